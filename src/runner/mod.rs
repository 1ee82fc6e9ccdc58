//! `airx run-task DIR`: the single-task runner. It starts the command in a session of its own, is subreaper of
//! whatever that spawns, enforces the limits without a manager, runs the gate, ends leftovers, and writes facts.
//!
//! One thread, one loop, few pages: a task costs mostly the start of its runner. The decisions are
//! [`crate::model::runner::Machine`]'s.

mod asking;
mod copy;
pub mod enter;
mod follow;
mod keep;
mod launch;
pub mod outbox;
pub mod place;
pub mod pod;
mod records;
pub mod relay;
mod supervise;

use std::ffi::OsString;
use std::path::Path;

use crate::os;
pub use supervise::MakeWatch;

/// Runs the attempt in `dir`: descriptor 0 is its locked `lock`, the environment is the task's. Returns the exit
/// code of the process: 0 when the exit record was written, whatever it says. `make_watch` is for runs of Claude.
pub fn main(dir: &Path, make_watch: MakeWatch) -> i32 {
    match run(dir, make_watch) {
        Ok(()) => 0,
        Err(error) => {
            // Nobody reads this but a person who looks for why an attempt has no exit record.
            let text = format!("{} airx run-task: {error}\n", os::now().utc.0);
            let _ = std::fs::OpenOptions::new().create(true).append(true).open("runner.log").map(|file| {
                let _ = rustix::io::write(&file, text.as_bytes());
            });
            1
        }
    }
}

/// The directory named by the arguments, when they say `run-task DIR`: looked at before anything else, so that a
/// runner pays for nothing else.
pub fn requested(mut args: impl Iterator<Item = OsString>) -> Option<std::path::PathBuf> {
    args.next();
    (args.next()? == "run-task").then_some(())?;
    args.next().map(Into::into)
}

fn run(dir: &Path, make_watch: MakeWatch) -> Result<(), RunnerError> {
    os::close_inherited();
    rustix::process::chdir(dir).map_err(|e| RunnerError::new("enter the attempt directory", e))?;
    // Cosmetic: the process would be named after the descriptor it was started from.
    let _ = rustix::thread::set_name(c"airx-runner");
    // The lock stays descriptor 0 of this process until it ends. The task never inherits it: every spawn here puts
    // another file in that place, and every other descriptor is close-on-exec.
    let spec = records::read_spec()?;
    os::become_subreaper().map_err(|e| RunnerError::new("become subreaper", e))?;
    supervise::Supervisor::new(spec, make_watch)?.run()
}

/// Why a runner could not do its work; the manager finds an attempt without a record.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what}: {cause}")]
struct RunnerError {
    what: &'static str,
    cause: std::io::Error,
}

impl RunnerError {
    fn new(what: &'static str, cause: impl Into<std::io::Error>) -> RunnerError {
        RunnerError { what, cause: cause.into() }
    }
}
