//! The writing side of `inbox/`: answers to what a task asked, renamed into place.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, fchown};
use std::path::Path;

use super::directory::read;
use crate::os;

/// Puts a file there. Asking twice changes nothing; what the task has put in its place gives way, or the runner would wait for
/// ever for an answer that was given. `owner` is who must be able to read it, when that is another user than this process's.
///
/// # Errors
/// When it cannot be written.
pub fn put(dir: &Path, name: &str, content: &[u8], owner: Option<(u32, u32)>) -> io::Result<()> {
    let inbox = dir.join("inbox");
    match DirBuilder::new().mode(0o700).create(&inbox) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // The task owns its directory: a link that it put in the place of this one must lead nowhere.
    let held = os::Held::open(&inbox)?;
    let inbox = held.path();
    let (new, place) = (inbox.join(format!(".{name}.new")), inbox.join(name));
    // The manager says its answers again at every comparison with reality.
    if read(&place, content.len() as u64).is_ok_and(|known| known == content) {
        return Ok(());
    }
    let _ = fs::remove_file(&new);
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).custom_flags(flags).open(&new)?;
    file.write_all_at(content, 0)?;
    if let Some((uid, gid)) = owner {
        fchown(&file, Some(uid), Some(gid).filter(|gid| *gid != u32::MAX))?;
    }
    match fs::rename(&new, &place) {
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
            fs::remove_dir(&place)?;
            fs::rename(&new, &place)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_takes_the_place_of_what_the_task_put_there_and_a_link_is_not_followed() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("inbox/q.json");
        put(dir.path(), "q.json", b"answer", None).unwrap();
        let first = fs::metadata(&place).unwrap().ino();
        put(dir.path(), "q.json", b"answer", None).unwrap();
        assert_eq!(fs::metadata(&place).unwrap().ino(), first, "nothing is written twice");
        fs::write(&place, "forged").unwrap();
        put(dir.path(), "q.json", b"answer", None).unwrap();
        assert_eq!(fs::read(&place).unwrap(), b"answer");
        fs::remove_file(&place).unwrap();
        fs::create_dir(&place).unwrap();
        put(dir.path(), "q.json", b"answer", None).unwrap();
        assert_eq!(fs::read(&place).unwrap(), b"answer");
        let other = dir.path().join("other");
        fs::write(&other, "mine").unwrap();
        std::os::unix::fs::symlink(&other, dir.path().join("inbox/.r.json.new")).unwrap();
        put(dir.path(), "r.json", b"answer", None).unwrap();
        assert_eq!(fs::read(&other).unwrap(), b"mine");
        assert_eq!(fs::read_dir(dir.path().join("inbox")).unwrap().count(), 2, "nothing is left over");
    }

    #[test]
    fn a_link_in_the_place_of_the_inbox_leads_nowhere() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::os::unix::fs::symlink(other.path(), dir.path().join("inbox")).unwrap();
        assert!(put(dir.path(), "q.json", b"answer", None).is_err());
        assert_eq!(fs::read_dir(other.path()).unwrap().count(), 0);
    }
}
