//! One manager for each home: whoever holds the lock file owns the state.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

/// Longest wait for the lock of a dead manager.
const LET_GO: Duration = Duration::from_secs(5);

/// The lock of a home, held until dropped (or the process ends, however that happens).
pub struct HomeLock {
    _file: File,
}

/// Why the lock could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// A manager runs.
    #[error("a manager already runs for this home{}", pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    Held {
        /// Its process id, when the file tells.
        pid: Option<u32>,
    },
    /// The file cannot be used.
    #[error("cannot lock {path}: {cause}")]
    Unusable {
        /// The file.
        path: String,
        /// Why.
        cause: std::io::Error,
    },
}

impl HomeLock {
    /// Takes the lock and writes this process's id into it.
    ///
    /// # Errors
    /// [`LockError`]; waits only for the lock of a manager that is dead, at most five seconds.
    pub fn take(path: &Path) -> Result<HomeLock, LockError> {
        let unusable = |cause: std::io::Error| LockError::Unusable { path: path.display().to_string(), cause };
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path).map_err(unusable)?;
        let deadline = Instant::now() + LET_GO;
        while flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let pid = holder(&mut file);
            // A manager that was killed in the middle of starting a runner: the runner lets go of the lock when it is
            // executed, a moment later.
            let is_dead = pid.is_some_and(|pid| airx::os::proc::process(pid).is_none_or(|found| found.is_zombie()));
            if !is_dead || Instant::now() > deadline {
                return Err(LockError::Held { pid });
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        file.set_len(0).map_err(unusable)?;
        file.seek(SeekFrom::Start(0)).map_err(unusable)?;
        writeln!(file, "{}", std::process::id()).map_err(unusable)?;
        Ok(HomeLock { _file: file })
    }
}

/// The process id in a lock file.
fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).ok()?;
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// The manager that holds the lock at `path`; none when no manager runs.
pub fn running(path: &Path) -> Option<u32> {
    let mut file = OpenOptions::new().read(true).open(path).ok()?;
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => None,
        Err(_) => Some(holder(&mut file).unwrap_or(0)),
    }
}
