//! What a pod's runner tells, kept in the attempt's directory on this side. What comes again changes nothing: each part of a file
//! says where it belongs.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::record::Record;
use crate::backend::attempt::arrival::{FILES, Room, target};
use crate::model::artifact::DIRECTORY;
use crate::model::attempt::MAX_RESULT;
use crate::model::pod::END;
use crate::model::relay::{Frame, GROWING, Kind, OUTBOX};
use crate::os;

/// Most bytes of a file that grows, beyond the output's limit.
const BEYOND: u64 = 64 << 20;
/// Bytes of a record of the index.
const RECORD: u64 = 16;

/// Keeps frames.
pub struct Frames {
    dir: PathBuf,
    room: Room,
    most: u64,
    artifacts: u64,
    /// Whether all was told.
    is_complete: bool,
    /// Bytes that are missing in files that grow.
    lost: u64,
    unkept: Option<String>,
}

/// What a frame changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Nothing that anybody waits for.
    Nothing,
    /// There is something to be looked at: a request of the task, or how far it is.
    News,
}

impl Frames {
    /// Of the attempt with this directory.
    pub fn new(dir: &Path, record: &Record) -> Frames {
        let most = record.output_limit.saturating_add(BEYOND);
        let artifacts = record.artifacts.unwrap_or(0).saturating_add(BEYOND);
        Frames { dir: dir.to_owned(), room: Room::of(dir), most, artifacts, is_complete: false, lost: 0, unkept: None }
    }

    /// Whether all was told.
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Bytes of output that were told and did not come: the log had been rotated while nobody read it.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// The first that could not be kept at all, and why.
    pub fn unkept(&self) -> Option<&str> {
        self.unkept.as_deref()
    }

    /// Keeps one, when it is of what is taken.
    ///
    /// # Errors
    /// What the system says that may pass; it is to be kept again then.
    pub fn keep(&mut self, frame: &Frame) -> io::Result<Kept> {
        match self.put(frame) {
            // A name that is too long here, one below a file: that never passes.
            Err(error) if is_lasting(&error) => {
                self.unkept.get_or_insert_with(|| format!("{} could not be kept: {error}", frame.name));
                Ok(Kept::Nothing)
            }
            kept => kept,
        }
    }

    fn put(&mut self, frame: &Frame) -> io::Result<Kept> {
        let is_known = frame.name.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
        let target = target(Path::new(&frame.name), &self.dir).filter(|_| is_known);
        match (frame.kind, target) {
            (Kind::Whole, _) if frame.name == END => {
                self.is_complete = true;
                Ok(Kept::News)
            }
            (Kind::Part, Some(target)) => self.part(frame, &target).map(|()| Kept::Nothing),
            (Kind::Whole, Some(target)) if !GROWING.contains(&frame.name.as_str()) => self.whole(frame, &target),
            _ => Ok(Kept::Nothing),
        }
    }

    fn part(&mut self, frame: &Frame, target: &Path) -> io::Result<()> {
        let is_artifact = frame.name.starts_with(DIRECTORY);
        let most = match frame.name.as_str() {
            _ if is_artifact => self.artifacts,
            "result" => MAX_RESULT + 1,
            name if FILES.contains(&name) => self.most,
            _ => return Ok(()),
        };
        let end = frame.offset.saturating_add(frame.content.len() as u64);
        if end > most {
            return Ok(());
        }
        if is_artifact && let Some(parent) = target.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        }
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        let file = options.open(target)?;
        let there = file.metadata()?.len();
        if end <= there {
            return Ok(());
        }
        // A hole is what was lost: the index goes on counting with it. Of what must be whole, the length tells.
        if frame.offset > there && GROWING.contains(&frame.name.as_str()) {
            self.lost += frame.offset - there;
        }
        let at = frame.offset.max(there.min(frame.offset));
        file.write_all_at(&frame.content, at)?;
        Ok(())
    }

    fn whole(&mut self, frame: &Frame, target: &Path) -> io::Result<Kept> {
        let is_item = frame.name.starts_with(OUTBOX);
        if fs::read(target).is_ok_and(|known| known == frame.content) {
            return Ok(Kept::Nothing);
        }
        // What was set aside, or taken in, is not to come back.
        if is_item && !self.room.take(target, frame.content.len() as u64) {
            return Ok(Kept::Nothing);
        }
        let new = self.dir.join(format!(".{}.part", os::random_hex(4)));
        let written = fs::write(&new, &frame.content).and_then(|()| fs::rename(&new, target));
        if written.is_err() {
            // Tried again under another name.
            let _ = fs::remove_file(&new);
        }
        written?;
        Ok(if is_item || frame.name == "live.json" { Kept::News } else { Kept::Nothing })
    }
}

fn is_lasting(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let lasting = [Errno::EXIST, Errno::INVAL, Errno::ISDIR, Errno::LOOP, Errno::NAMETOOLONG, Errno::NOTDIR];
    Errno::from_io_error(error).is_some_and(|error| lasting.contains(&error))
}

/// The time of the newest output that is kept, in milliseconds: all that the runner told before that is here. None when there is
/// no output.
pub fn newest(dir: &Path) -> Option<i64> {
    let file = os::open_regular(&dir.join("index")).ok()?;
    let whole = file.metadata().ok()?.len() / RECORD;
    let mut record = [0; RECORD as usize];
    file.read_exact_at(&mut record, whole.checked_sub(1)? * RECORD).ok()?;
    let time = u64::from_le_bytes([8, 9, 10, 11, 12, 13, 14, 15].map(|at: usize| record[at]));
    i64::try_from(time).ok().filter(|ms| *ms > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::kubernetes::record::tests::record;

    fn part(name: &str, offset: u64, content: &str) -> Frame {
        Frame { kind: Kind::Part, name: name.to_owned(), offset, content: content.as_bytes().to_vec() }
    }

    fn whole(name: &str, content: &str) -> Frame {
        Frame { kind: Kind::Whole, ..part(name, 0, content) }
    }

    #[test]
    fn what_comes_is_kept_where_it_belongs_and_coming_again_it_changes_nothing() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("1");
        fs::create_dir_all(dir.join("outbox")).unwrap();
        let mut frames = Frames::new(&dir, &record());
        let mut keep = |frame: Frame| frames.keep(&frame).unwrap();
        for frame in [part("out", 0, "abc"), part("out", 0, "abc"), part("out", 2, "cdef"), part("out", 1, "bc")] {
            assert_eq!(keep(frame), Kept::Nothing);
        }
        assert_eq!(fs::read(dir.join("out")).unwrap(), b"abcdef");
        assert_eq!(keep(whole("outbox/000001-a.json", "{}")), Kept::News);
        assert_eq!(keep(whole("outbox/000001-a.json", "{}")), Kept::Nothing, "it is there");
        keep(part("artifacts/d/f", 0, "x"));
        assert_eq!(fs::read(dir.join("artifacts/d/f")).unwrap(), b"x");
        for bad in ["spec.json", "outbox/../../x.json", "outbox/.x.json", "/etc/x.json", "artifacts/../../x", "lock", "../1.pod"]
        {
            keep(whole(bad, "bad"));
            keep(part(bad, 0, "bad"));
        }
        let mut names: Vec<_> = fs::read_dir(&dir).unwrap().flatten().map(|entry| entry.file_name()).collect();
        names.sort();
        assert_eq!(names, ["artifacts", "out", "outbox"]);
        keep(whole(END, ""));
        assert!(frames.is_complete() && frames.lost() == 0);
    }

    #[test]
    fn what_was_lost_is_counted_and_the_rest_is_where_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let mut frames = Frames::new(dir.path(), &record());
        frames.keep(&part("out", 0, "abc")).unwrap();
        frames.keep(&part("out", 5, "fg")).unwrap();
        assert_eq!((fs::read(dir.path().join("out")).unwrap().as_slice(), frames.lost()), (&b"abc\0\0fg"[..], 2));
    }

    /// Waited for, they would keep all that comes after them.
    #[test]
    fn what_can_never_be_kept_is_passed_over_and_told() {
        let dir = tempfile::tempdir().unwrap();
        let mut frames = Frames::new(dir.path(), &record());
        frames.keep(&part("artifacts/a", 0, "x")).unwrap();
        frames.keep(&part("artifacts/a/b", 0, "x")).unwrap();
        fs::create_dir(dir.path().join("runner.log")).unwrap();
        frames.keep(&part("runner.log", 0, "x")).unwrap();
        frames.keep(&whole("runner.log", "x")).unwrap();
        frames.keep(&part("artifacts/c", 0, "x")).unwrap();
        assert_eq!(fs::read(dir.path().join("artifacts/c")).unwrap(), b"x");
        assert!(frames.unkept().unwrap().contains("artifacts/a/b"), "{:?}", frames.unkept());
    }

    #[test]
    fn the_newest_time_is_that_of_the_index() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(newest(dir.path()), None);
        let mut index = vec![0; 16];
        index.extend([0; 8]);
        index.extend(1_700_000_000_123_u64.to_le_bytes());
        index.extend([1; 7]);
        fs::write(dir.path().join("index"), index).unwrap();
        assert_eq!(newest(dir.path()), Some(1_700_000_000_123));
    }
}
