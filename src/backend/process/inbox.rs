//! The writing side of `inbox/`: answers to what a task asked, renamed into place.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;

/// Puts a file there; one that is there stays, so that asking twice changes nothing.
///
/// # Errors
/// When it cannot be written.
pub fn put(dir: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let inbox = dir.join("inbox");
    // The manager says its answers again at every comparison with reality.
    if fs::symlink_metadata(inbox.join(name)).is_ok() {
        return Ok(());
    }
    match DirBuilder::new().mode(0o700).create(&inbox) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let (new, place) = (inbox.join(format!(".{name}.new")), inbox.join(name));
    // The task owns its directory: a link that it put there must lead nowhere.
    let _ = fs::remove_file(&new);
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).custom_flags(flags).open(&new)?;
    file.write_all_at(content, 0)?;
    match fs::hard_link(&new, &place) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => fs::rename(&new, &place),
        _ => fs::remove_file(&new),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_there_stays_and_a_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), "q.json", b"first").unwrap();
        put(dir.path(), "q.json", b"second").unwrap();
        assert_eq!(fs::read(dir.path().join("inbox/q.json")).unwrap(), b"first");
        let other = dir.path().join("other");
        fs::write(&other, "mine").unwrap();
        std::os::unix::fs::symlink(&other, dir.path().join("inbox/.r.json.new")).unwrap();
        put(dir.path(), "r.json", b"answer").unwrap();
        assert_eq!(fs::read(&other).unwrap(), b"mine");
        assert_eq!(fs::read_dir(dir.path().join("inbox")).unwrap().count(), 2, "nothing is left over");
    }
}
