//! The writing side of `inbox/`: answers to what a task asked, renamed into place.

use std::io;
use std::path::Path;

use crate::os;

/// Puts a file there. Asking twice changes nothing, as the manager does at every comparison with reality; what the task has put in
/// its place gives way, or the runner would wait for ever for an answer that was given. `owner` is who must be able to read it, when
/// that is another user than this process's.
///
/// # Errors
/// When it cannot be written.
pub fn put(dir: &Path, name: &str, content: &[u8], owner: Option<(u32, u32)>) -> io::Result<()> {
    // The task owns its directory: a link that it put in the place of this one must lead nowhere.
    os::Held::make(&dir.join("inbox"))?.put(name, content, owner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

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
