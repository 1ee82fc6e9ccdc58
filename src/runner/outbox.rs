//! The writing side of `outbox/`: what a task asks of the manager, as files renamed into place. Works without a
//! manager; used by `airx add`, `airx result` and `airx progress`.
//!
//! `.seq` holds four numbers under a lock: files so far, tasks added without an id among them, those without the last
//! file, and bytes so far. A writer that dies between taking a number and the rename leaves `.NUMBER.new`; the next one takes the
//! same number again, so ordinals have no gaps and a parent that is run again derives the same keys.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::model::attempt::{MAX_OUTBOX_BYTES, MAX_OUTBOX_TOTAL, OutboxBody, OutboxItem};
use crate::os;

/// Most files in one attempt's outbox.
pub const MAX_OUTBOX_FILES: u32 = 10_000;
/// Longest wait for another writer of the same attempt.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// Why something could not be put into the outbox.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to {}: {cause}. {hint}", dir.display())]
pub struct OutboxError {
    /// The outbox.
    pub dir: PathBuf,
    /// Why.
    pub cause: io::Error,
    /// What to do.
    pub hint: &'static str,
}

/// Puts `body` into the outbox of the attempt directory `dir` (AIRX_DIR). `id` becomes the idempotency key; without
/// one it is `#ORDINAL` for an added task and `KIND#NUMBER` for the rest. Returns the item's number and key.
///
/// # Errors
/// When the directory cannot be written, the item is larger than [`MAX_OUTBOX_BYTES`] or the outbox is full.
pub fn put(dir: &Path, body: OutboxBody, id: Option<&str>) -> Result<(u32, String), OutboxError> {
    let outbox = dir.join("outbox");
    let fail = |hint| {
        let dir = outbox.clone();
        move |cause| OutboxError { dir, cause, hint }
    };
    const RIGHTS: &str = "Is AIRX_DIR the directory of a live attempt, and writable from here?";
    // A free lock: its runner is gone, and nobody takes in what is written here from now on.
    if os::is_locked(&dir.join("lock")).is_ok_and(|held| !held) {
        return Err(fail("Only a running task can ask.")(io::Error::other("this attempt is over")));
    }
    match DirBuilder::new().mode(0o700).create(&outbox) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(fail(RIGHTS)(e)),
        _ => {}
    }
    // The runner writes here too, and must not wait for what a task put in a file's place.
    let counter = os::create_regular(&outbox.join(".seq"), OpenOptions::new().read(true).write(true).truncate(false));
    let mut counter = counter.map_err(fail(RIGHTS))?;
    lock(&counter).map_err(fail("Another writer of this attempt holds it; try again."))?;
    let [last, with_last, without_last, written] = read_counter(&mut counter).map_err(fail(RIGHTS))?;

    // The last number was taken but its file never appeared: it is ours.
    let unfinished = last > 0 && outbox.join(temporary(last)).exists();
    let (seq, unnamed) = if unfinished { (last, without_last) } else { (last + 1, with_last) };
    if seq > MAX_OUTBOX_FILES {
        return Err(fail("One attempt can ask for 10,000 things; let another task ask for the rest.")(io::Error::other(
            "it is full",
        )));
    }
    let plain_add = id.is_none() && matches!(body, OutboxBody::Add(_));
    let ordinal = unnamed + u32::from(plain_add);
    let key = match (id, &body) {
        (Some(id), _) => id.to_owned(),
        (None, OutboxBody::Add(_)) => format!("#{ordinal}"),
        (None, OutboxBody::Result(_) | OutboxBody::Stored(_) | OutboxBody::Unfit(_)) => format!("result#{seq}"),
        (None, OutboxBody::Progress(_)) => format!("progress#{seq}"),
        (None, OutboxBody::Ask(question)) => question.key.clone(),
    };
    let item = OutboxItem { seq, key: key.clone(), body };
    let text = serde_json::to_vec(&item).map_err(|e| fail(RIGHTS)(e.into()))?;
    if text.len() as u64 > MAX_OUTBOX_BYTES {
        let cause = io::Error::other(format!("{} bytes are more than {MAX_OUTBOX_BYTES}", text.len()));
        return Err(
            fail("Put large data into a file and pass its name; a result is read from one by `result: { file: PATH }`.")(cause),
        );
    }
    let written = u64::from(written) + text.len() as u64;
    if written > MAX_OUTBOX_TOTAL {
        let cause = io::Error::other(format!("it would hold more than {MAX_OUTBOX_TOTAL} bytes"));
        return Err(fail("Put large data into files and pass their names.")(cause));
    }
    let new = outbox.join(temporary(seq));
    let store = || -> io::Result<()> {
        let file = os::create_regular(&new, OpenOptions::new().write(true).truncate(true))?;
        file.write_all_at(&text, 0)?;
        counter.write_all_at(format!("{seq:>10} {ordinal:>10} {unnamed:>10} {written:>10}").as_bytes(), 0)?;
        fs::rename(&new, outbox.join(format!("{seq:06}-{}.json", file_name(&key))))
    };
    store().map_err(fail("Is the disk full?"))?;
    Ok((seq, key))
}

fn temporary(seq: u32) -> String {
    format!(".{seq}.new")
}

/// The key as part of a file name; the file's content is what counts.
fn file_name(key: &str) -> String {
    key.chars().take(100).map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '#') { c } else { '_' }).collect()
}

fn read_counter(file: &mut File) -> io::Result<[u32; 4]> {
    let mut text = String::new();
    file.take(64).read_to_string(&mut text)?;
    let mut numbers = text.split_ascii_whitespace().map(|n| n.parse::<u32>().map_err(io::Error::other));
    let mut next = || io::Result::Ok(numbers.next().transpose()?.unwrap_or(0));
    Ok([next()?, next()?, next()?, next()?])
}

fn lock(file: &File) -> io::Result<()> {
    let deadline = Instant::now() + LOCK_WAIT;
    while !os::try_lock(file)? {
        if Instant::now() > deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::attempt::{AddedTask, Progress};
    use crate::model::spec::Action;

    fn add() -> OutboxBody {
        OutboxBody::Add(Box::new(AddedTask { id: None, needs: vec![], action: Action::Run("true".into()) }))
    }

    #[test]
    fn keys_of_added_tasks_do_not_depend_on_progress_in_between() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(put(dir.path(), add(), None).unwrap(), (1, "#1".into()));
        assert_eq!(put(dir.path(), OutboxBody::Progress(Progress::default()), None).unwrap(), (2, "progress#2".into()));
        assert_eq!(put(dir.path(), add(), Some("named")).unwrap(), (3, "named".into()));
        assert_eq!(put(dir.path(), add(), None).unwrap(), (4, "#2".into()));
        let item: OutboxItem = serde_json::from_slice(&fs::read(dir.path().join("outbox/000004-#2.json")).unwrap()).unwrap();
        assert_eq!((item.seq, item.key.as_str()), (4, "#2"));
    }

    #[test]
    fn a_writer_that_died_before_its_rename_leaves_no_gap() {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), add(), None).unwrap();
        fs::write(dir.path().join("outbox/.2.new"), "{").unwrap();
        fs::write(dir.path().join("outbox/.seq"), "2 2 1").unwrap();
        assert_eq!(put(dir.path(), add(), None).unwrap(), (2, "#2".into()));
    }

    #[test]
    fn writers_at_the_same_time_get_different_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let mut seqs: Vec<u32> = std::thread::scope(|s| {
            let writers: Vec<_> = (0..4)
                .map(|_| s.spawn(|| (0..25).map(|_| put(dir.path(), add(), None).unwrap().0).collect::<Vec<_>>()))
                .collect();
            writers.into_iter().flat_map(|w| w.join().unwrap()).collect()
        });
        seqs.sort_unstable();
        assert_eq!(seqs, (1..=100).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_too_large_is_refused_with_a_hint() {
        let dir = tempfile::tempdir().unwrap();
        let big = serde_json::Value::String("x".repeat(MAX_OUTBOX_BYTES as usize));
        let error = put(dir.path(), OutboxBody::Result(big), None).unwrap_err().to_string();
        assert!(error.contains("Put large data into a file"), "{error}");
    }

    #[test]
    fn nobody_waits_for_what_is_no_file_in_the_outbox() {
        use std::sync::mpsc::channel;
        let dir = tempfile::tempdir().unwrap();
        for name in [".seq", ".1.new"] {
            let place = dir.path().join(name.trim_start_matches('.'));
            fs::create_dir_all(place.join("outbox")).unwrap();
            let fifo = place.join("outbox").join(name);
            rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
            let (told, tells) = channel();
            std::thread::spawn(move || told.send(put(&place, add(), None).is_err()).unwrap());
            assert!(tells.recv_timeout(Duration::from_secs(10)).expect("no wait for a writer or reader"), "{name}");
        }
    }

    #[test]
    fn nothing_is_asked_for_an_attempt_that_is_over() {
        let dir = tempfile::tempdir().unwrap();
        let lock = File::create(dir.path().join("lock")).unwrap();
        assert!(os::try_lock(&lock).unwrap());
        put(dir.path(), add(), None).unwrap();
        drop(lock);
        let refused = put(dir.path(), add(), None).unwrap_err().to_string();
        assert!(refused.contains("this attempt is over"), "{refused}");
    }

    #[test]
    fn all_files_together_are_bounded_too() {
        let dir = tempfile::tempdir().unwrap();
        let body = || OutboxBody::Result(serde_json::Value::String("x".repeat(1 << 19)));
        let refused = (1..100).find_map(|_| put(dir.path(), body(), None).err()).expect("a bound on all of them");
        assert!(refused.to_string().contains("more than 33554432 bytes"), "{refused}");
        let written: u64 = fs::read_dir(dir.path().join("outbox")).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
        assert!(written <= MAX_OUTBOX_TOTAL + 64, "{written}");
    }
}
