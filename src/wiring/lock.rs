//! One manager for each home: whoever holds the lock file owns the state.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

/// Longest wait for the lock of a dead manager.
const LET_GO: Duration = Duration::from_secs(5);

/// The lock of a home, held until dropped (or the process ends, however that happens).
pub struct HomeLock {
    file: File,
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
        HomeLock::sign(file).map_err(unusable)
    }
}

impl HomeLock {
    /// Takes over the lock that a leaving manager hands over: an open file description that holds it already.
    ///
    /// # Errors
    /// [`LockError::Unusable`] when the descriptor is not the lock of this home, or does not hold it.
    pub fn inherit(descriptor: OwnedFd, path: &Path) -> Result<HomeLock, LockError> {
        let unusable = |cause: std::io::Error| LockError::Unusable { path: path.display().to_string(), cause };
        let file = File::from(descriptor);
        let (ours, named) = (file.metadata().map_err(unusable)?, std::fs::metadata(path).map_err(unusable)?);
        if (ours.dev(), ours.ino()) != (named.dev(), named.ino()) {
            return Err(unusable(std::io::Error::other("what was handed over is another file")));
        }
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|error| unusable(error.into()))?;
        HomeLock::sign(file).map_err(unusable)
    }

    /// Writes this process's id into the file.
    fn sign(mut file: File) -> std::io::Result<HomeLock> {
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        writeln!(file, "{}", std::process::id())?;
        Ok(HomeLock { file })
    }

    /// The same lock for another process: it is free when both have let go.
    ///
    /// # Errors
    /// When there are too many descriptors.
    pub fn share(&self) -> std::io::Result<OwnedFd> {
        self.file.try_clone().map(OwnedFd::from)
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
