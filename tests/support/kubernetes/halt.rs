//! A request that stays where it is until a test decides what becomes of it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::PATIENCE;

/// A request that is awaited, or held.
#[derive(Debug, Clone, Default)]
pub struct Halt(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug, Default)]
struct State {
    is_there: bool,
    /// Whether it goes on.
    goes_on: Option<bool>,
}

impl Halt {
    /// Waits until a request is held.
    pub fn reached(&self) {
        assert!(self.wait(|state| state.is_there), "no such request came");
    }

    /// It goes on.
    pub fn let_go(self) {
        self.decide(true);
    }

    /// Its connection is reset. What was not done is never done.
    pub fn cut(self) {
        self.decide(false);
    }

    fn decide(&self, goes_on: bool) {
        self.state().goes_on = Some(goes_on);
        self.0.1.notify_all();
    }

    /// Stays; whether it is to go on.
    pub(super) fn stay(&self) -> bool {
        self.state().is_there = true;
        self.0.1.notify_all();
        self.wait(|state| state.goes_on.is_some());
        self.state().goes_on == Some(true)
    }

    fn wait(&self, is_so: impl Fn(&State) -> bool) -> bool {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.state();
        while !is_so(&state) && Instant::now() < deadline {
            state = self.0.1.wait_timeout(state, Duration::from_secs(1)).unwrap_or_else(PoisonError::into_inner).0;
        }
        is_so(&state)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
