//! A file of the drop directory: what it is on the disk, and its text. Nothing but a regular file of the user's own is opened.

use std::fs::{File, Metadata, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::SystemTime;

use airx::model::diagnostic::place_of;
use airx::model::jobfile::MAX_FILE;
use rustix::fs::OFlags;
use rustix::io::Errno;
use sha2::{Digest, Sha256};

/// A file that nobody has written to for so long is whole, in seconds; a younger one is looked at twice.
const OLD: i64 = 10;
/// A shell makes a file empty before the command that fills it has begun: an empty one is left to its writer for so long, in seconds.
const EMPTY: i64 = 300;

/// What a file is on the disk. Whoever writes to it, or puts another one in its place, changes it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stamp {
    place: (u64, u64),
    size: u64,
    written: (i64, i64),
    /// Also moved by a rename and by another link, so that a file that is dropped again is another one.
    changed: (i64, i64),
}

/// What lies there.
pub enum Look {
    /// A file of the user's own.
    Is(Stamp),
    /// Nothing any more.
    Gone,
    /// Something that is not opened, and why.
    Foreign(&'static str),
}

/// Why a file has no text.
pub enum Unfit {
    /// It was taken away.
    Gone,
    /// It may have one later: it is being written, or the machine is short of something.
    Later(String),
    /// It is at fault, in words.
    Faulty(String),
}

impl Stamp {
    fn of(data: &Metadata) -> Stamp {
        Stamp {
            place: (data.dev(), data.ino()),
            size: data.len(),
            written: (data.mtime(), data.mtime_nsec()),
            changed: (data.ctime(), data.ctime_nsec()),
        }
    }

    /// Whether it is the same content in the same place, whatever was done to its rights.
    pub fn is_same_file(&self, other: &Stamp) -> bool {
        (self.place, self.size, self.written) == (other.place, other.size, other.written)
    }

    /// Whether nobody has written to it for a while, so that it will hardly become another one.
    pub fn is_old(&self, now: i64) -> bool {
        let age = if self.size == 0 { EMPTY } else { OLD };
        now.saturating_sub(self.written.0) >= age && now.saturating_sub(self.changed.0) >= age
    }

    /// Whether it can be looked into, given what it was at the look before.
    pub fn is_settled(&self, before: Option<&Stamp>, now: i64) -> bool {
        self.is_old(now) || (self.size > 0 && before == Some(self))
    }

    /// The submission's key: the same for the same file as long as it lies there.
    pub fn key(&self, name: &str, text: &str) -> String {
        let mut digest = Sha256::new();
        digest.update(format!("{name}\0{:?}\0{}\0{:?}\0{:?}\0", self.place, self.size, self.written, self.changed));
        digest.update(text);
        let hex: String = digest.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        format!("drop-{hex}")
    }
}

/// Seconds since 1970.
pub fn now() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.ok().and_then(|now| i64::try_from(now.as_secs()).ok()).unwrap_or(0)
}

/// Looks at a file without opening it.
pub fn look(path: &Path) -> Look {
    match std::fs::symlink_metadata(path) {
        Ok(data) if !data.is_file() => Look::Foreign("it is no regular file"),
        Ok(data) if data.uid() != airx::os::uid() => Look::Foreign("it belongs to another user"),
        Ok(data) => Look::Is(Stamp::of(&data)),
        Err(_) => Look::Gone,
    }
}

/// Its text, when it is still what it was.
pub fn read(path: &Path, stamp: Stamp) -> Result<String, Unfit> {
    let shown = path.display();
    let faulty = |why: String| Unfit::Faulty(format!("{why}\n"));
    if stamp.size > MAX_FILE as u64 {
        return Err(faulty(format!("{shown}:1:1: the file is larger than {} MiB, the most that it may be", MAX_FILE >> 20)));
    }
    // Neither a link nor a fifo that took its place is followed or waited for.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC).bits();
    let flags = i32::try_from(flags).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(|error| unfit(path, &error))?;
    if stamp_of(&file) != Some(stamp) {
        return Err(Unfit::Later("it changes".to_owned()));
    }
    let mut bytes = Vec::new();
    (&file).take(MAX_FILE as u64 + 1).read_to_end(&mut bytes).map_err(|error| unfit(path, &error))?;
    if stamp_of(&file) != Some(stamp) || bytes.len() as u64 != stamp.size {
        return Err(Unfit::Later("it changes".to_owned()));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let (line, column) = place_of(&String::from_utf8_lossy(&error.as_bytes()[..at]), at);
        faulty(format!("{shown}:{line}:{column}: this is no UTF-8 text\n  help: save the file as UTF-8"))
    })
}

/// What a failed read means: only what the file itself is to blame for sets it aside.
fn unfit(path: &Path, error: &std::io::Error) -> Unfit {
    let why = format!("{} cannot be read: {error}", path.display());
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOENT) => Unfit::Gone,
        Some(Errno::LOOP | Errno::ACCESS | Errno::PERM) => Unfit::Faulty(format!("{why}\n")),
        _ => Unfit::Later(why),
    }
}

fn stamp_of(file: &File) -> Option<Stamp> {
    file.metadata().ok().filter(|data| data.is_file() && data.uid() == airx::os::uid()).map(|data| Stamp::of(&data))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(size: u64, written: i64) -> Stamp {
        Stamp { size, written: (written, 0), changed: (written, 0), ..Stamp::default() }
    }

    #[test]
    fn only_a_file_that_is_to_blame_itself_is_at_fault() {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join("job.yaml");
        assert!(matches!(read(&path, stamp(1, 0)), Err(Unfit::Gone)), "taken away between look and read");
        std::fs::write(&path, "name: x\n").expect("written");
        assert!(matches!(read(&path, stamp(8, 0)), Err(Unfit::Later(_))), "another one took its place");
        let of = |errno: Errno| unfit(&path, &std::io::Error::from(errno));
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::IO, Errno::STALE] {
            assert!(matches!(of(errno), Unfit::Later(_)), "{errno}");
        }
        assert!(matches!((of(Errno::LOOP), of(Errno::ACCESS)), (Unfit::Faulty(_), Unfit::Faulty(_))));
    }

    #[test]
    fn a_file_is_looked_into_when_it_is_old_or_the_same_twice_and_an_empty_one_only_after_minutes() {
        let whole = stamp(9, 1_000);
        assert!(!whole.is_settled(None, 1_009) && whole.is_settled(Some(&whole), 1_000) && whole.is_settled(None, 1_010));
        assert!(!whole.is_settled(Some(&stamp(8, 1_000)), 1_001), "it grows");
        let empty = stamp(0, 1_000);
        assert!(!empty.is_settled(Some(&empty), 1_299), "its writer may just be slow");
        assert!(empty.is_settled(None, 1_300) && empty.is_old(1_300));
    }
}
