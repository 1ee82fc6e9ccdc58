//! What is told once, when everything is over. Whoever has the last frame has all before it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::first::First;
use super::{PIECE, remark};
use crate::model::artifact::{DIRECTORY, MANIFEST, MAX_MANIFEST, Manifest};
use crate::model::attempt::{MAX_OUTBOX_TOTAL, MAX_RESULT, RESULT_FILE, RunnerSpec};
use crate::model::exit_file::{EXIT_FILE_BYTES, ExitFile, decode};
use crate::model::pod::END;
use crate::model::relay::{Frame, Kind, MAX_CONTENT};
use crate::os;
use crate::os::beneath::{self, Links};
use crate::runner::relay::Relay;

const EXIT: &str = "exit.json";
const LOG: &str = "runner.log";
/// Bytes of the runner's log that are told: its last ones, and no more than are read of it.
const MAX_LOG: u64 = 16 << 10;
/// Bytes of items of the outbox that are told once more: a log that was rotated meanwhile has lost the first time.
const AGAIN: u64 = MAX_OUTBOX_TOTAL / 4;

/// Tells it. What cannot be read is left out, as it would be where the directory is shared.
pub(super) fn tell(first: &mut First, dir: &Path, spec: &RunnerSpec, relay: &Relay) {
    if spec.result.as_ref().is_some_and(|result| result.file.is_some())
        && let Ok(file) = os::open_regular(&dir.join(RESULT_FILE))
    {
        // One byte more than it may have, by which it is known to be too large.
        grown(first, RESULT_FILE, &file, MAX_RESULT + 1);
    }
    if let Some(wanted) = &spec.artifacts {
        artifacts(first, dir, wanted.max_bytes);
    }
    if !matches!(record(dir), ExitFile::Complete(_))
        && let Some(log) = end_of_log(dir)
    {
        whole(first, LOG, log);
    }
    // Saying never fails.
    let _ = relay.again(AGAIN, &mut |frame| first.say(&frame));
    if let Some(exit) = read(&dir.join(EXIT), EXIT_FILE_BYTES as u64).filter(|exit| decode(exit) != ExitFile::Empty) {
        whole(first, EXIT, exit);
    }
    whole(first, END, Vec::new());
}

/// The exit record.
pub(super) fn record(dir: &Path) -> ExitFile {
    read(&dir.join(EXIT), EXIT_FILE_BYTES as u64).map_or(ExitFile::Empty, |bytes| decode(&bytes))
}

/// Notes, for whoever asks why there is no record, what this process knows of it.
pub(super) fn note(dir: &Path, text: &str) {
    remark(text);
    let line = format!("{} airx pod: {text}\n", os::now().utc.0);
    // On a full disk it is said in the pod's log only.
    let _ =
        os::create_regular(&dir.join(LOG), OpenOptions::new().append(true)).and_then(|mut file| file.write_all(line.as_bytes()));
}

/// The artifacts that the list names, at most so many bytes of them, and then the list. The task owns both.
fn artifacts(first: &mut First, dir: &Path, most: u64) {
    let Some(json) = read(&dir.join(MANIFEST), MAX_MANIFEST) else { return };
    let mut manifest = Manifest::read(&json);
    let json = fitting(&mut manifest, json);
    let root = File::open(dir).and_then(|dir| beneath::open(&dir, DIRECTORY, Links::None));
    let mut left = most;
    for file in &manifest.files {
        let Ok(root) = &root else { break };
        let Ok(opened) = beneath::open(root, &file.name, Links::None).map(File::from) else { continue };
        if file.bytes <= left && opened.metadata().is_ok_and(|data| data.is_file()) {
            left -= grown(first, &format!("{DIRECTORY}/{}", file.name), &opened, file.bytes);
        }
    }
    whole(first, MANIFEST, json);
}

/// The list as it is, or as many of its entries as one frame can hold: names full of quotes take twice their room.
fn fitting(manifest: &mut Manifest, mut json: Vec<u8>) -> Vec<u8> {
    let all = manifest.files.len();
    while json.len() > MAX_CONTENT && !manifest.files.is_empty() {
        manifest.files.truncate(manifest.files.len() * 9 / 10);
        json = serde_json::to_vec(manifest).unwrap_or_default();
    }
    if manifest.files.len() < all {
        remark(&format!("{} artifacts are not told: their names are too long", all - manifest.files.len()));
    }
    json
}

/// Tells a file from its beginning, at most so many bytes, also when it is empty; how many there were.
fn grown(first: &mut First, name: &str, file: &File, most: u64) -> u64 {
    let mut offset = 0;
    loop {
        let mut content = Vec::new();
        let count = file.take(PIECE.min(most - offset)).read_to_end(&mut content).map_or(0, |count| count as u64);
        content.truncate(usize::try_from(count).unwrap_or(0));
        if count > 0 || offset == 0 {
            let _ = first.say(&Frame { kind: Kind::Part, name: name.to_owned(), offset, content });
        }
        offset += count;
        if count == 0 || offset >= most {
            return offset;
        }
    }
}

fn whole(first: &mut First, name: &str, content: Vec<u8>) {
    let _ = first.say(&Frame { kind: Kind::Whole, name: name.to_owned(), offset: 0, content });
}

fn end_of_log(dir: &Path) -> Option<Vec<u8>> {
    let mut file = os::open_regular(&dir.join(LOG)).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(MAX_LOG))).ok()?;
    let mut bytes = Vec::new();
    file.take(MAX_LOG).read_to_end(&mut bytes).ok()?;
    Some(bytes).filter(|bytes| !bytes.is_empty())
}

/// A whole file of at most so many bytes.
fn read(path: &Path, most: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    os::open_regular(path).ok()?.take(most + 1).read_to_end(&mut bytes).ok()?;
    Some(bytes).filter(|bytes| bytes.len() as u64 <= most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::artifact::Artifact;
    use crate::model::time::Utc;

    #[test]
    fn a_list_that_is_larger_than_a_frame_is_told_as_far_as_it_fits() {
        let file = |number: usize| Artifact {
            name: format!("{number:04}{}/{}", "\"".repeat(240), "\"".repeat(250)),
            bytes: 1,
            sha256: "ab".repeat(32),
            at: Utc(1),
        };
        let files: Vec<Artifact> = (0..1000).map(file).collect();
        let mut manifest = Manifest { files };
        let json = serde_json::to_vec(&manifest).unwrap();
        assert!(json.len() > MAX_CONTENT);
        let json = fitting(&mut manifest, json);
        assert!((500..1000).contains(&manifest.files.len()) && json.len() <= MAX_CONTENT);
        assert_eq!(Manifest::read(&json), manifest);
    }

    #[test]
    fn of_a_long_log_the_end_is_told() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(end_of_log(dir.path()), None);
        std::fs::write(dir.path().join(LOG), format!("{}end", "x".repeat(100_000))).unwrap();
        let end = end_of_log(dir.path()).unwrap();
        assert!(end.len() == 16 << 10 && end.ends_with(b"xend"));
    }
}
