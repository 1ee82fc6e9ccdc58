//! The attempt directory, seen from the manager's side.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::io::Errno;

use crate::manager::ports::LaunchOrder;
use crate::model::attempt::{RunnerInfo, RunnerSpec};
use crate::model::live::LiveFacts;
use crate::os;

/// Largest `spec.json` or `runner.json` that is read, in bytes.
const MAX_FILE: u64 = 32 << 20;
/// Largest `live.json` that is read, in bytes.
const MAX_LIVE: u64 = 64 << 10;

/// What an attempt's lock says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// No lock, or no directory: it was never started.
    Missing,
    /// Held: a runner lives.
    Held,
    /// Free: it was started, and is over.
    Free,
}

/// Looks at the lock.
pub fn lock(dir: &Path) -> io::Result<Lock> {
    match os::is_locked(&dir.join("lock")) {
        Ok(true) => Ok(Lock::Held),
        Ok(false) => Ok(Lock::Free),
        // Something else in its place (a task can do anything to its directory) is as good as none.
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidInput) => Ok(Lock::Missing),
        Err(e) => Err(e),
    }
}

/// Creates the directory with all a runner needs but the lock.
pub fn fill(order: &LaunchOrder) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(&order.dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => DirBuilder::new().mode(0o700).recursive(true).create(&order.dir)?,
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
        _ => {}
    }
    write(&order.dir.join("spec.json"), &serde_json::to_vec(&order.spec)?)?;
    if let Some(prompt) = &order.prompt {
        write(&order.dir.join("prompt"), prompt.as_bytes())?;
    }
    Ok(())
}

/// The same with the lock, last, which is returned held. An error leaves no lock.
pub fn prepare(order: &LaunchOrder, boot_id: &str) -> io::Result<File> {
    fill(order)?;
    let path = order.dir.join("lock");
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    let held = os::try_lock(&file).and_then(|held| {
        // By the boot id a reboot is known even when the runner did not get to write anything.
        file.write_all_at(boot_id.as_bytes(), 0)?;
        if held { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
    });
    match held {
        Ok(()) => Ok(file),
        Err(e) => {
            unprepare(&order.dir);
            Err(e)
        }
    }
}

/// Takes the lock away again: nothing was started.
pub fn unprepare(dir: &Path) {
    // Left behind, it would say that the attempt is over without a record, which is safe as well.
    let _ = fs::remove_file(dir.join("lock"));
}

/// Why a runner could not be started in `dir`, with the remedy, and whether it may work later.
pub fn why_not(dir: &Path, error: &io::Error) -> (String, bool) {
    let errno = Errno::from_io_error(error);
    let transient = matches!(
        errno,
        Some(Errno::NOSPC | Errno::DQUOT | Errno::AGAIN | Errno::NOMEM | Errno::MFILE | Errno::NFILE | Errno::IO | Errno::TXTBSY)
    );
    let hint = match errno {
        Some(Errno::TOOBIG) => "; the task's environment is too large: pass large values in files",
        Some(Errno::NOSPC | Errno::DQUOT) => "; make room on the disk",
        Some(Errno::AGAIN) => "; the limit of processes is reached (ulimit -u, or the container's)",
        Some(Errno::MFILE | Errno::NFILE) => "; too many files are open (ulimit -n)",
        _ => "",
    };
    (format!("the runner in {} could not be started: {error}{hint}", dir.display()), transient)
}

/// Writes a file anew, for its owner alone.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // A directory of this name may be there already, with anything in it: nothing in it is followed or waited for.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).custom_flags(flags).open(path)?;
    file.write_all_at(bytes, 0)
}

/// `runner.json`, once it is there.
pub fn info(dir: &Path) -> Option<RunnerInfo> {
    serde_json::from_slice(&read(&dir.join("runner.json"), MAX_FILE).ok()?).ok()
}

/// `live.json`, once a Claude run's runner has written it.
pub fn live(dir: &Path) -> Option<LiveFacts> {
    serde_json::from_slice(&read(&dir.join("live.json"), MAX_LIVE).ok()?).ok()
}

/// `spec.json`.
pub fn spec(dir: &Path) -> io::Result<RunnerSpec> {
    Ok(serde_json::from_slice(&read(&dir.join("spec.json"), MAX_FILE)?)?)
}

/// Whether the machine was started anew since the attempt began.
pub fn rebooted(dir: &Path, boot_id: &str) -> bool {
    let then = match info(dir) {
        Some(info) => info.boot_id,
        None => String::from_utf8_lossy(&read(&dir.join("lock"), 256).unwrap_or_default()).into_owned(),
    };
    !then.is_empty() && then != boot_id
}

/// A whole file of at most `limit` bytes. The task owns its directory: what it puts there must not make us wait.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    use io::Read as _;
    let mut bytes = Vec::new();
    os::open_regular(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}
