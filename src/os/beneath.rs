//! Opening what lies below a directory, whatever links somebody puts there meanwhile.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, mkdirat, openat, openat2, statat, unlinkat};
use rustix::io::Errno;

/// Whether links on the way may be gone by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// Those that lead to a place below the directory too.
    Inside,
    /// None.
    None,
}

/// Tries of a path that is changed while it is looked at.
const TRIES: u32 = 16;

/// Opens `path`, relative to `root`, for reading. Never anything that is not below `root`, and never waiting, as a fifo without a
/// writer would make us.
///
/// # Errors
/// When it cannot be opened, or leads out (`CrossesDevices`, or a loop of links).
pub fn open(root: impl AsFd, path: &str, links: Links) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let mut resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    if links == Links::None {
        resolve |= ResolveFlags::NO_SYMLINKS;
    }
    for _ in 0..TRIES {
        match openat2(root.as_fd(), path, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN) => {}
            // Older kernels, and containers whose rules are older than the call.
            Err(Errno::NOSYS | Errno::PERM) => return by_steps(root, path, flags),
            other => return Ok(other?),
        }
    }
    Err(Errno::AGAIN.into())
}

/// The same without any link on the way.
fn by_steps(root: impl AsFd, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
    let mut at = openat(root.as_fd(), ".", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut parts = path.split('/').filter(|part| !part.is_empty() && *part != ".").peekable();
    while let Some(part) = parts.next() {
        if part == ".." {
            return Err(Errno::XDEV.into());
        }
        let is_last = parts.peek().is_none();
        let flags = if is_last { flags } else { OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC };
        at = openat(&at, part, flags | OFlags::NOFOLLOW, Mode::empty())?;
        if is_last {
            return Ok(at);
        }
    }
    Ok(openat(&at, ".", flags | OFlags::DIRECTORY, Mode::empty())?)
}

/// Makes a file for its owner alone below `root`, with the directories on the way, by no link at all. What lies in its place is an
/// error (`AlreadyExists`), unless `replaces` says that it gives way.
///
/// # Errors
/// What the system says.
pub fn create(root: impl AsFd, name: &str, replaces: bool) -> io::Result<File> {
    let (at, last) = parent(root, name)?;
    if replaces {
        match unlinkat(&at, last, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(openat(&at, last, flags, Mode::RUSR | Mode::WUSR)?))
}

/// Takes a file away again.
///
/// # Errors
/// What the system says.
pub fn remove(root: impl AsFd, name: &str) -> io::Result<()> {
    let (at, last) = parent(root, name)?;
    Ok(unlinkat(&at, last, AtFlags::empty())?)
}

/// The directory that a name lies in, made where it is not there.
fn parent(root: impl AsFd, name: &str) -> io::Result<(OwnedFd, &str)> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let (dirs, last) = name.rsplit_once('/').unwrap_or(("", name));
    let mut at = openat(root.as_fd(), ".", flags, Mode::empty())?;
    for part in dirs.split('/').filter(|part| !part.is_empty()) {
        if part == ".." {
            return Err(Errno::XDEV.into());
        }
        match mkdirat(&at, part, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => at = openat(&at, part, flags, Mode::empty())?,
            Err(error) => return Err(error.into()),
        }
    }
    if matches!(last, "" | "." | "..") { Err(Errno::INVAL.into()) } else { Ok((at, last)) }
}

/// What an entry of a directory is, a link itself and not what it leads to.
///
/// # Errors
/// What the system says.
pub fn kind(dir: impl AsFd, name: &str) -> io::Result<FileType> {
    Ok(FileType::from_raw_mode(statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn nothing_is_opened_that_does_not_lie_below() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("a")).unwrap();
        fs::write(dir.path().join("secret"), "s").unwrap();
        fs::write(root.join("a/b"), "b").unwrap();
        symlink("../secret", root.join("up")).unwrap();
        symlink("/etc", root.join("etc")).unwrap();
        symlink("a", root.join("inside")).unwrap();
        let held = File::open(&root).unwrap();
        for out in ["up", "etc/passwd", "../secret", "a/../../secret", "/etc/passwd"] {
            assert!(open(&held, out, Links::Inside).is_err(), "{out}");
            assert!(by_steps(&held, out, OFlags::RDONLY | OFlags::CLOEXEC).is_err() || out == "/etc/passwd", "{out}");
        }
        open(&held, "a/b", Links::None).unwrap();
        open(&held, "inside/b", Links::Inside).unwrap();
        assert!(open(&held, "inside/b", Links::None).is_err());
        by_steps(&held, "a/b", OFlags::RDONLY | OFlags::CLOEXEC).unwrap();
        assert!(by_steps(&held, "inside/b", OFlags::RDONLY | OFlags::CLOEXEC).is_err());
        by_steps(&held, "", OFlags::RDONLY | OFlags::CLOEXEC).unwrap();
    }

    #[test]
    fn nothing_is_made_that_does_not_lie_below_or_lies_there_already() {
        use std::io::Write as _;
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir(&root).unwrap();
        fs::write(dir.path().join("mine"), "m").unwrap();
        symlink("..", root.join("up")).unwrap();
        symlink("../mine", root.join("link")).unwrap();
        let held = File::open(&root).unwrap();
        for out in ["up/x", "../x", "a/../../x", "link", "a/..", ""] {
            assert!(create(&held, out, false).is_err(), "{out}");
        }
        create(&held, "a/b/c", false).unwrap().write_all(b"1").unwrap();
        assert_eq!(create(&held, "a/b/c", false).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        create(&held, "a/b/c", true).unwrap().write_all(b"2").unwrap();
        create(&held, "link", true).unwrap().write_all(b"new").unwrap();
        assert_eq!(
            (fs::read(root.join("a/b/c")).unwrap(), fs::read(dir.path().join("mine")).unwrap()),
            (b"2".to_vec(), b"m".to_vec())
        );
        remove(&held, "a/b/c").unwrap();
        assert!(!root.join("a/b/c").exists());
    }
}
