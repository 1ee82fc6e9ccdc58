//! What the thread knows about an attempt that is not over.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rustix::process::Signal;

use crate::backend::attempt::collect::Kind;
use crate::backend::attempt::desk::Source;
use crate::backend::attempt::directory;
use crate::backend::attempt::told::{Notes, Told};
use crate::model::attempt::RunnerSpec;
use crate::model::ids::AttemptId;
use crate::model::spec::ResultSpec;
use crate::model::time::Mono;
use crate::os;

/// An attempt that is not over.
pub struct Live {
    pub dir: PathBuf,
    pub facts: Facts,
    pub watch: Watch,
    /// The runner, when it is a child of this process.
    pub child: Option<u32>,
    /// What was asked before the runner could be signalled, and how often it was told to kill.
    pub asked: Option<bool>,
    pub kills: u32,
    /// What was told of it.
    pub told: Arc<Mutex<Told>>,
    /// Remarks for the end.
    pub notes: Notes,
}

/// What of the specification is needed at the end.
pub struct Facts {
    pub mark: String,
    pub result: Option<ResultSpec>,
    pub claude: bool,
    pub artifacts: bool,
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

impl Facts {
    /// What kind of attempt it is.
    pub fn kind(&self) -> Kind {
        Kind { result: self.result.clone(), claude: self.claude, artifacts: self.artifacts }
    }
}

impl From<RunnerSpec> for Facts {
    fn from(spec: RunnerSpec) -> Facts {
        Facts { mark: spec.mark, result: spec.result, claude: spec.claude, artifacts: spec.artifacts.is_some() }
    }
}

impl Live {
    pub fn new(dir: PathBuf, facts: Facts, watch: Watch, child: Option<u32>) -> Live {
        Live { dir, facts, watch, child, asked: None, kills: 0, told: Arc::default(), notes: Notes::default() }
    }

    /// What is read of it.
    pub fn source(&self, attempt: AttemptId) -> Source {
        Source { attempt, dir: self.dir.clone(), kind: self.facts.kind(), told: self.told.clone() }
    }

    /// A remark for the end.
    pub fn note(&mut self, notes: impl IntoIterator<Item = String>) {
        self.notes.add(notes);
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
