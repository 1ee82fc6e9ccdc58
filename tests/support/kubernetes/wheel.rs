//! One thread that does things at their times, however many pods there are.

use std::collections::BinaryHeap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

type Job = Box<dyn FnOnce() + Send>;

/// What is still to be done.
pub struct Wheel {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: BinaryHeap<Due>,
    number: u64,
    has_ended: bool,
}

struct Due {
    at: Instant,
    number: u64,
    job: Job,
}

impl Wheel {
    /// A wheel that turns until it is ended.
    pub fn new() -> Arc<Wheel> {
        let wheel = Arc::new(Wheel { state: Mutex::default(), changed: Condvar::new() });
        let turning = wheel.clone();
        std::thread::spawn(move || turning.turn());
        wheel
    }

    /// Does it at this time, after whatever is due then already.
    pub fn at(&self, at: Instant, job: impl FnOnce() + Send + 'static) {
        let mut state = self.state();
        state.number += 1;
        let number = state.number;
        state.jobs.push(Due { at, number, job: Box::new(job) });
        self.changed.notify_all();
    }

    /// Does it so much later.
    pub fn after(&self, wait: Duration, job: impl FnOnce() + Send + 'static) {
        self.at(Instant::now() + wait, job);
    }

    /// Nothing is done any more.
    pub fn end(&self) {
        let mut state = self.state();
        state.has_ended = true;
        let jobs = std::mem::take(&mut state.jobs);
        drop(state);
        drop(jobs);
        self.changed.notify_all();
    }

    fn turn(&self) {
        let mut state = self.state();
        while !state.has_ended {
            let now = Instant::now();
            match state.jobs.peek().map(|due| due.at) {
                Some(at) if at <= now => {
                    let due = state.jobs.pop();
                    drop(state);
                    if let Some(due) = due {
                        (due.job)();
                    }
                    state = self.state();
                }
                Some(at) => state = self.changed.wait_timeout(state, at - now).unwrap_or_else(PoisonError::into_inner).0,
                None => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The earliest first, and of those of one time the one that was asked for first.
impl Ord for Due {
    fn cmp(&self, other: &Due) -> std::cmp::Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Due) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Due) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}

impl Eq for Due {}
