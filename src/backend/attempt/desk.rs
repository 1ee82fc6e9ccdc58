//! Who reads what attempts leave. Where a schema has to be compared with, that can take many seconds, and it happens on a few
//! threads of its own: all others that are watched must not wait for it.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::collect::{self, Kind, Reading};
use super::told::Told;
use crate::manager::ports::{ClaudeCli, ReportSink};
use crate::model::ids::AttemptId;
use crate::model::report::{ExitFinding, Report};
use crate::os;

/// Most comparisons at once, each with a process of its own. More wait.
const THREADS: usize = 2;

/// What is read: an attempt's directory, and what was told of it.
#[derive(Debug, Clone)]
pub struct Source {
    /// Which attempt.
    pub attempt: AttemptId,
    /// Its directory.
    pub dir: PathBuf,
    /// What kind it is.
    pub kind: Kind,
    /// What was told; held while something is read.
    pub told: Arc<Mutex<Told>>,
}

/// The readers. None is there while nothing is to be compared; each ends with its queue.
pub struct Desk {
    shared: Arc<Shared>,
}

struct Shared {
    results: PathBuf,
    claude: Arc<dyn ClaudeCli>,
    sink: ReportSink,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    /// One look into an outbox, and one end, of an attempt at most: its bound is that of attempts.
    waiting: VecDeque<Job>,
    threads: usize,
}

enum Job {
    News(Source, Option<u32>),
    Over(Source, ExitFinding, Vec<String>, Then),
}

/// What happens with the report of an end.
pub type Then = Box<dyn FnOnce(Report) + Send>;

/// What a thread that panicked left is whole: nothing is changed in steps.
fn locked<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Desk {
    /// Results too large for the database go to `results`, transcripts are read by `claude`, news are told to `sink`.
    pub fn new(results: PathBuf, claude: Arc<dyn ClaudeCli>, sink: ReportSink) -> Desk {
        Desk { shared: Arc::new(Shared { results, claude, sink, queue: Mutex::default() }) }
    }

    /// Tells what is new of a live attempt, now or as soon as its turn has come.
    pub fn news(&self, source: Source, asked: Option<u32>) {
        if !source.kind.is_compared() {
            return self.shared.work(Job::News(source, asked));
        }
        let mut queue = locked(&self.shared.queue);
        let before = queue.waiting.iter_mut().find_map(|job| match job {
            Job::News(waiting, asked) if waiting.attempt == source.attempt => Some(asked),
            _ => None,
        });
        match before {
            // One look answers both, with all that either has not got.
            Some(before) => *before = before.iter().copied().chain(asked).min(),
            None => self.add(queue, Job::News(source, asked)),
        }
    }

    /// Reads what an attempt that is over left, with these remarks besides, and hands the report on.
    pub fn over(&self, source: Source, exit: ExitFinding, notes: Vec<String>, then: Then) {
        let is_compared = source.kind.is_compared();
        let job = Job::Over(source, exit, notes, then);
        if is_compared { self.add(locked(&self.shared.queue), job) } else { self.shared.work(job) }
    }

    fn add(&self, mut queue: MutexGuard<'_, Queue>, job: Job) {
        queue.waiting.push_back(job);
        if queue.threads >= THREADS {
            return;
        }
        queue.threads += 1;
        drop(queue);
        let shared = self.shared.clone();
        let begun = std::thread::Builder::new().name("results".into()).spawn(move || shared.empty());
        if begun.is_err() {
            // Slowly is better than never.
            self.shared.empty();
        }
    }
}

impl Shared {
    /// Works until nothing waits.
    fn empty(&self) {
        loop {
            let mut queue = locked(&self.queue);
            let Some(job) = queue.waiting.pop_front() else {
                queue.threads -= 1;
                return;
            };
            drop(queue);
            self.work(job);
        }
    }

    fn work(&self, job: Job) {
        let reading = Reading { results: &self.results, claude: &*self.claude };
        match job {
            Job::News(source, asked) => {
                let told = &mut *locked(&source.told);
                // News behind its end would be of an attempt that is no more.
                if !told.is_over {
                    let news = collect::news(source.attempt, &source.dir, &source.kind, told, asked, reading, os::now().mono);
                    news.into_iter().for_each(|news| (self.sink)(news));
                }
            }
            Job::Over(source, exit, notes, then) => {
                let told = &mut *locked(&source.told);
                told.is_over = true;
                told.note(notes);
                then(collect::over(source.attempt, &source.dir, &source.kind, exit, told, reading));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::manager::ports::ClaudeRun;
    use crate::model::ids::{JobId, TaskIdx};
    use crate::model::report::ClaudeReport;
    use crate::model::result::{ResultKind, ResultSpec};
    use crate::model::spec::ClaudeSpec;

    /// Reads as long as the test wishes.
    struct Slow(Mutex<Receiver<()>>);

    impl ClaudeCli for Slow {
        fn argv(&self, _: &ClaudeRun<'_>) -> Vec<String> {
            Vec::new()
        }
        fn refuse(&self, _: &ClaudeSpec, _: &str, _: bool, _: &[(String, String)]) -> Option<String> {
            None
        }
        fn env_defaults(&self) -> Vec<(&'static str, &'static str)> {
            Vec::new()
        }
        fn stdin(&self, prompt: &str, _: bool) -> String {
            prompt.to_owned()
        }
        fn go_on(&self) -> &'static str {
            ""
        }
        fn has_session(&self, _: &str, _: &BTreeMap<String, String>) -> Option<bool> {
            None
        }
        fn read(&self, _: &Path) -> ClaudeReport {
            locked(&self.0).recv_timeout(Duration::from_secs(30)).unwrap();
            ClaudeReport::default()
        }
    }

    fn source(dir: &Path, number: u32, is_slow: bool) -> Source {
        let attempt = AttemptId { job: JobId(1), task: TaskIdx(0), number };
        let result = ResultSpec { kind: ResultKind::Json, file: None, schema: is_slow.then(|| Arc::new(json!({}))) };
        let kind = Kind { result: Some(result), claude: is_slow, artifacts: false };
        Source { attempt, dir: dir.to_owned(), kind, told: Arc::default() }
    }

    #[test]
    fn what_takes_long_to_be_compared_holds_up_nobody_else_and_nothing_is_told_behind_an_end() {
        let dir = tempfile::tempdir().unwrap();
        let (go, slow) = channel();
        let (told, reports) = channel();
        let sink: ReportSink = Arc::new(move |report| told.send(report).unwrap());
        let desk = Desk::new(dir.path().to_owned(), Arc::new(Slow(Mutex::new(slow))), sink.clone());
        let over = |source: &Source| {
            let sink = sink.clone();
            let gone = ExitFinding::Missing { rebooted: false };
            desk.over(source.clone(), gone, vec!["a remark".to_owned()], Box::new(move |report| sink(report)));
        };
        let next = || match reports.recv_timeout(Duration::from_secs(30)).unwrap() {
            Report::Over { attempt, end, .. } => (attempt.number, end.notes),
            other => panic!("{other:?}"),
        };
        let slow: Vec<Source> = (1..=4).map(|number| source(dir.path(), number, true)).collect();
        slow.iter().for_each(over);
        desk.news(slow[0].clone(), Some(0));
        desk.news(slow[0].clone(), Some(0));
        over(&source(dir.path(), 9, false));
        assert_eq!(next(), (9, vec!["a remark".to_owned()]), "others are still read");
        assert!(locked(&desk.shared.queue).threads <= THREADS);
        (1..=4).for_each(|_| go.send(()).unwrap());
        let mut ends: Vec<u32> = (1..=4).map(|_| next().0).collect();
        ends.sort_unstable();
        assert_eq!(ends, [1, 2, 3, 4]);
        desk.news(source(dir.path(), 9, false), Some(0));
        assert!(
            matches!(reports.recv_timeout(Duration::from_secs(30)), Ok(Report::Outbox { attempt, .. }) if attempt.number == 9),
            "no news behind an end"
        );
    }
}
