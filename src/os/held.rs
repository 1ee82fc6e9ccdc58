//! Directories that a task owns as well, and putting files into them.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

/// A directory that somebody else may have put something else in the place of: held open, so that what is done by its
/// [`Held::path`] is done in this very one.
#[derive(Debug)]
pub struct Held(OwnedFd);

impl Held {
    /// Opens the directory, never through a link.
    ///
    /// # Errors
    /// When it cannot be opened, or is something else.
    pub fn open(path: &Path) -> io::Result<Held> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Held(rustix::fs::open(path, flags, Mode::empty())?))
    }

    /// The same with a directory that is made, for its owner alone, when it is not there.
    ///
    /// # Errors
    /// As for [`Held::open`].
    pub fn make(path: &Path) -> io::Result<Held> {
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Held::open(path),
        }
    }

    /// A path to it that leads nowhere else as long as it is held, whatever becomes of its name.
    pub fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.0.as_raw_fd()).into()
    }

    /// Puts a file there, whole or not at all. Asking twice changes nothing; what somebody else has put in its place gives way.
    /// `owner` is who must be able to read it, when that is another user than this process's.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put(&self, name: &str, content: &[u8], owner: Option<(u32, u32)>) -> io::Result<()> {
        let dir = self.path();
        let (new, place) = (dir.join(format!(".{name}.new")), dir.join(name));
        if is(&place, content) {
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
}

fn is(place: &Path, content: &[u8]) -> bool {
    let mut bytes = Vec::new();
    let most = (content.len() as u64).saturating_add(1);
    super::open_regular(place).and_then(|file| file.take(most).read_to_end(&mut bytes)).is_ok() && bytes == content
}
