//! Copying one file to be kept.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags, mkdirat, openat};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use crate::model::artifact::{Artifact, DIRECTORY, MANIFEST, Manifest, RESULT_PATIENCE_MS};
use crate::model::attempt::{RESULT_FILE, unread};
use crate::model::time::Utc;
use crate::os;
use crate::os::beneath::{self, Links};

/// Bytes that are copied at once.
const PIECE: usize = 256 << 10;
/// Why copying has ended before its time.
pub(super) const TOO_LONG: &str = "it took too long, or the attempt's end was asked for";
const DIRECTORY_FLAGS: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Why a file was not kept.
pub(super) enum Stop {
    /// It has more bytes than are left.
    TooLarge,
    /// Its name is taken.
    Clash,
    /// There is no time left.
    Time,
    /// There is no room on the disk.
    Full(io::Error),
    /// Anything else.
    Other,
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Stop::Full(error),
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => Stop::Clash,
            _ => Stop::Other,
        }
    }
}

/// The directory of what is kept.
pub(super) struct Place(OwnedFd);

impl Place {
    /// Makes it in the attempt's directory.
    pub fn make(dir: &Path) -> io::Result<Place> {
        let dir = File::open(dir)?;
        match mkdirat(&dir, DIRECTORY, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => Ok(Place(openat(&dir, DIRECTORY, DIRECTORY_FLAGS, Mode::empty())?)),
            Err(error) => Err(error.into()),
        }
    }

    /// Copies a file of at most `most` bytes under this name; what is not whole is taken away again.
    pub fn copy(&self, source: &File, name: &str, most: u64, goes_on: &dyn Fn() -> bool) -> Result<Artifact, Stop> {
        let data = source.metadata()?;
        if data.len() > most {
            return Err(Stop::TooLarge);
        }
        let mut target = beneath::create(&self.0, name, false)?;
        match copied(source, &mut target, most, goes_on) {
            Ok((bytes, sha256)) => {
                let at = data.mtime().saturating_mul(1_000).saturating_add(data.mtime_nsec() / 1_000_000);
                Ok(Artifact { name: name.to_owned(), bytes, sha256, at: Utc(at) })
            }
            Err(stop) => {
                // Left behind, it would be in no list, and take room.
                let _ = beneath::remove(&self.0, name);
                Err(stop)
            }
        }
    }
}

fn copied(mut source: &File, target: &mut File, most: u64, goes_on: &dyn Fn() -> bool) -> Result<(u64, String), Stop> {
    let (mut buffer, mut digest, mut bytes) = (vec![0; PIECE], Sha256::new(), 0u64);
    loop {
        if !goes_on() {
            return Err(Stop::Time);
        }
        let count = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return Err(Stop::Other),
        };
        bytes += count as u64;
        if bytes > most {
            return Err(Stop::TooLarge);
        }
        digest.update(&buffer[..count]);
        target.write_all(&buffer[..count])?;
    }
    Ok((bytes, digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()))
}

/// Writes the list, as a whole or not at all.
pub(super) fn write_manifest(dir: &Path, manifest: &Manifest) -> io::Result<()> {
    let (new, place) = (dir.join(format!("{MANIFEST}.new")), dir.join(MANIFEST));
    let mut file = os::create_regular(&new, std::fs::OpenOptions::new().write(true).truncate(true))?;
    file.write_all(&serde_json::to_vec(manifest)?)?;
    std::fs::rename(new, place)
}

/// Copies the file that is the task's result into the attempt's directory, at most one byte more than `most`, by which it is known
/// to be too large. Ends early when `is_hurried` says so. A remark when it could not be; that it is not there is seen by whoever
/// looks for the copy.
pub fn result(file: &str, cwd: &Path, dir: &Path, most: u64, is_hurried: &dyn Fn() -> bool) -> Option<String> {
    // What the task may have put in its place is no result.
    let place = dir.join(RESULT_FILE);
    let _ = std::fs::remove_file(&place);
    let until = os::now().mono.0.saturating_add(RESULT_PATIENCE_MS);
    let goes_on = || os::now().mono.0 < until && !is_hurried();
    let keep = || -> io::Result<()> {
        let root = File::open(cwd)?;
        let source = match beneath::open(&root, file, Links::Inside) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                return Err(io::Error::new(error.kind(), "it leads out of the workspace"));
            }
            source => File::from(source?),
        };
        if !source.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
        }
        let mut target = os::create_regular(&place, std::fs::OpenOptions::new().write(true).truncate(true))?;
        let mut source = source.take(most.saturating_add(1));
        let mut buffer = vec![0; PIECE];
        loop {
            if !goes_on() {
                return Err(io::Error::new(io::ErrorKind::TimedOut, TOO_LONG));
            }
            match source.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => target.write_all(&buffer[..count])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    };
    keep().err().map(|error| {
        let _ = std::fs::remove_file(&place);
        format!("{}{error}", unread(file))
    })
}
