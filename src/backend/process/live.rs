//! What the thread knows about an attempt that is not over.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use rustix::process::Signal;

use crate::backend::attempt::directory;
use crate::model::attempt::RunnerSpec;
use crate::model::live::LiveFacts;
use crate::model::spec::ResultKind;
use crate::model::time::Mono;
use crate::os;

/// Remarks kept about one attempt.
const MAX_NOTES: usize = 50;
/// Between two news of how far a run is: half of what a runner lets pass. A task can write there and ask for looks as often as it
/// likes, and each news is kept in the journal; what is passed over is found by the next inspection.
const NEWS_MS: u64 = 500;

/// An attempt that is not over.
pub struct Live {
    pub dir: PathBuf,
    pub facts: Facts,
    pub watch: Watch,
    /// The runner, when it is a child of this process.
    pub child: Option<u32>,
    /// Number of the last outbox item reported.
    pub reported: u32,
    /// What was asked before the runner could be signalled, and how often it was told to kill.
    pub asked: Option<bool>,
    pub kills: u32,
    pub notes: Vec<String>,
    /// How far its Claude run was when it was last told, and when that was.
    seen: Option<(LiveFacts, Mono)>,
}

/// What of the specification is needed at the end.
pub struct Facts {
    pub mark: String,
    pub result: Option<ResultKind>,
    pub claude: bool,
}

pub enum Watch {
    /// The runner's pidfd, registered under a token.
    Pidfd { fd: OwnedFd, pid: u32, token: u64 },
    /// Its lock is held; it has until then to say who it is.
    Opening { until: Mono },
    /// Only its lock can be watched: it lives in another pid namespace, or there are no pidfds here.
    Lock,
    /// It is gone without a record, and its processes are not all gone yet.
    Sweeping,
}

impl From<RunnerSpec> for Facts {
    fn from(spec: RunnerSpec) -> Facts {
        Facts { mark: spec.mark, result: spec.result, claude: spec.claude }
    }
}

impl Live {
    pub fn new(dir: PathBuf, facts: Facts, watch: Watch, child: Option<u32>) -> Live {
        Live { dir, facts, watch, child, reported: 0, asked: None, kills: 0, notes: Vec::new(), seen: None }
    }

    /// What is to be told of how far its Claude run is. Who asks may have lost what was told before, with a commit that failed.
    pub fn news(&mut self, found: LiveFacts, is_asked: bool, now: Mono) -> Option<LiveFacts> {
        match &self.seen {
            Some((seen, _)) if *seen == found => is_asked.then_some(found),
            Some((_, at)) if now.0 < at.0.saturating_add(NEWS_MS) => None,
            _ => {
                self.seen = Some((found.clone(), now));
                Some(found)
            }
        }
    }

    /// Keeps remarks, each once, at most [`MAX_NOTES`].
    pub fn note(&mut self, notes: impl IntoIterator<Item = String>) {
        for note in notes {
            if self.notes.len() < MAX_NOTES && !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
    }

    /// Asks the runner, or tells it to insist. A runner that is stopped, or was told before, is killed itself; what it
    /// leaves is swept.
    pub fn signal(&mut self, kill: bool) {
        let (pid, fd) = match (&self.watch, self.pid()) {
            (Watch::Pidfd { fd, pid, .. }, _) => (*pid, Some(fd)),
            (Watch::Lock, Some(pid)) => (pid, None),
            // It has not said who it is yet, or cannot be reached from here: told as soon as it is known.
            _ => {
                self.asked = Some(kill || self.asked == Some(true));
                return;
            }
        };
        let stopped = kill && os::proc::process(pid).is_some_and(|p| matches!(p.state, b'T' | b't'));
        let end_it = kill && (stopped || self.kills > 1);
        let signal = match kill {
            true if end_it => Signal::KILL,
            true => Signal::USR1,
            false => Signal::TERM,
        };
        match fd {
            // An error means that it has ended: its pidfd says so, too.
            Some(fd) => drop(os::pidfd_signal(fd.as_fd(), signal)),
            None => os::signal_pid(pid, signal),
        }
        if end_it {
            self.note(["the runner did not answer and was killed with its processes".to_owned()]);
        }
    }

    /// The runner's number where there is no pidfd: a child that was not waited for, or a process that is still the
    /// one that wrote `runner.json`.
    fn pid(&self) -> Option<u32> {
        if !matches!(self.watch, Watch::Lock) {
            return None;
        }
        self.child.or_else(|| {
            let info = directory::info(&self.dir)?;
            let here = info.pid_ns == os::pid_namespace() && info.boot_id == os::boot_id();
            let same = here && os::proc::process(info.pid).is_some_and(|p| p.start_ticks == info.start_ticks);
            same.then_some(info.pid)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_a_run_is_is_told_when_it_changes_or_somebody_asks_and_never_in_a_flood() {
        let facts = Facts { mark: String::new(), result: None, claude: true };
        let mut live = Live::new(PathBuf::new(), facts, Watch::Lock, None);
        let turn = |turns| LiveFacts { turns, ..LiveFacts::default() };
        assert_eq!(live.news(turn(1), false, Mono(0)), Some(turn(1)));
        assert_eq!(live.news(turn(1), false, Mono(5_000)), None, "nothing is new");
        assert_eq!(live.news(turn(1), true, Mono(5_000)), Some(turn(1)), "who asks may have lost it");
        assert_eq!(live.news(turn(2), false, Mono(5_000)), Some(turn(2)));
        let told = (5_000..15_000).filter(|ms| live.news(turn(*ms), true, Mono(u64::from(*ms))).is_some()).count();
        assert_eq!(told, 19, "two a second at most");
        assert_eq!(live.news(turn(3), false, Mono(60_000)), Some(turn(3)), "what was passed over is found later");
    }
}
