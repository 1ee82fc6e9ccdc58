//! A workspace that comes back: what an archive holds goes into a directory, and nowhere else.
//!
//! The archive shows what a task left, which is not trusted: each directory on the way is opened by itself and never by a
//! link, so that there is no way out, whatever else writes there meanwhile. A file appears as a whole or not at all, and one
//! that is as before is not touched, so that builds see no change where none is. What the task removed stays.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::fs::{chmod, fchmod, futimens, linkat, mkdirat, openat, readlinkat, renameat, statat, symlinkat, unlinkat};
use rustix::io::Errno;
use tar::EntryType;

use super::tarball::{Item, Tarball, shown};
use crate::model::time::Utc;
use crate::os;

/// Bytes that are compared at once.
const PIECE: usize = 128 << 10;
/// Permissions that are taken over: no setuid, no setgid.
const PERMISSIONS: u32 = 0o777;
/// A directory that can be written to while it is filled.
const OPEN: u32 = 0o700;

/// What did not go where it should, for each reason how often, and the first of them.
type Left = BTreeMap<String, (u64, String)>;

struct Unpacking<'a> {
    root: OwnedFd,
    hidden: &'a [PathBuf],
    copied_at: Option<Utc>,
    /// The directory that was used last: most entries follow others of theirs.
    at: Option<(PathBuf, OwnedFd)>,
    /// Directories and the permissions that they get once all is in them.
    finally: Vec<(PathBuf, u32)>,
    left: Left,
}

/// Puts the archive of a directory into `workspace`, but for what lies below `hidden` of it, and for files that were changed here
/// after it was copied. Remarks on what could not be
/// put there, none when it is all.
///
/// # Errors
/// When the archive cannot be read, or nothing more can be written: the disk is full.
pub fn take(archive: impl Read, workspace: &Path, hidden: &[PathBuf], copied_at: Option<Utc>) -> io::Result<Vec<String>> {
    std::fs::create_dir_all(workspace)?;
    let root = openat(CWD, workspace, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut unpacking = Unpacking { root, hidden, copied_at, at: None, finally: Vec::new(), left: Left::new() };
    let mut tar = Tarball::new(archive);
    while let Some(item) = tar.next()? {
        if let Err(error) = unpacking.put(&item, &mut tar) {
            if is_the_end(&error) {
                return Err(io::Error::new(error.kind(), format!("{}: {error}", shown(&item.path))));
            }
            unpacking.leave(error.to_string(), &item.path);
        }
    }
    for (path, mode) in std::mem::take(&mut unpacking.finally).into_iter().rev() {
        let Ok(directory) = unpacking.walk(&path, false) else { continue };
        let _ = set_mode(&directory, mode);
    }
    Ok(unpacking.left.into_iter().map(|(why, (count, first))| remark(&why, count, &first)).collect())
}

fn remark(why: &str, count: u64, first: &str) -> String {
    match count {
        1 => format!("{first}: {why}"),
        _ => format!("{first} and {} more: {why}", count - 1),
    }
}

/// Whether nothing that follows can go better.
fn is_the_end(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, QuotaExceeded, ReadOnlyFilesystem, StorageFull, UnexpectedEof};
    matches!(error.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem | UnexpectedEof | InvalidData)
        || error.raw_os_error() == Some(libc::EIO)
}

/// Below the directory that was packed; none when it leads out of it.
fn below(path: &Path) -> Option<PathBuf> {
    let mut parts = path.components().filter(|part| *part != Component::CurDir);
    matches!(parts.next(), Some(Component::Normal(_))).then_some(())?;
    parts.map(|part| matches!(part, Component::Normal(_)).then(|| part.as_os_str())).collect()
}

impl Unpacking<'_> {
    fn leave(&mut self, why: String, path: &Path) {
        let entry = self.left.entry(why).or_insert_with(|| (0, shown(path)));
        entry.0 += 1;
    }

    fn is_hidden(&self, path: &Path) -> bool {
        self.hidden.iter().any(|hidden| path.starts_with(hidden))
    }

    fn put(&mut self, item: &Item, content: &mut impl Read) -> io::Result<()> {
        let Some(path) = below(&item.path) else { return Err(io::Error::other("it would lead out of the workspace")) };
        let Some(name) = path.file_name().filter(|_| !self.is_hidden(&path)) else { return Ok(()) };
        let parent = self.parent(path.parent().unwrap_or(Path::new("")))?;
        match item.kind {
            EntryType::Directory => {
                make_directory(&parent, name)?;
                self.finally.push((path, item.mode & PERMISSIONS));
                Ok(())
            }
            EntryType::Regular => match self.changed_here(&parent, name, item) {
                // The task did not touch it.
                Some(false) => Ok(()),
                changed => put_file(&parent, name, item, content, changed.is_some()),
            },
            EntryType::Symlink => put_link(&parent, name, item.link.as_deref().unwrap_or(Path::new(""))),
            EntryType::Link => self.put_second_name(&parent, name, item),
            // Sockets, fifos and devices are of use to nobody but who made them.
            _ => Ok(()),
        }
    }

    /// Whether a file of the task's would be written over what was changed here since it was copied, and whether the task has
    /// changed it too.
    fn changed_here(&self, parent: &OwnedFd, name: &OsStr, item: &Item) -> Option<bool> {
        let copied_at = self.copied_at?;
        let there = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let nanos = i64::try_from(there.st_mtime_nsec).unwrap_or(0);
        let changed = there.st_mtime.saturating_mul(1000).saturating_add(nanos / 1_000_000);
        (changed > copied_at.0).then(|| item.mtime.saturating_mul(1000) >= copied_at.0)
    }

    fn parent(&mut self, path: &Path) -> io::Result<OwnedFd> {
        match &self.at {
            Some((at, directory)) if at == path => Ok(directory.try_clone()?),
            _ => {
                let directory = self.walk(path, true)?;
                self.at = Some((path.to_owned(), directory.try_clone()?));
                Ok(directory)
            }
        }
    }

    /// Opens a directory, part by part.
    fn walk(&self, path: &Path, make: bool) -> io::Result<OwnedFd> {
        let mut at = self.root.try_clone()?;
        for part in path.iter() {
            at = match open_directory(&at, part) {
                Err(Errno::NOENT) if make => {
                    make_directory(&at, part)?;
                    open_directory(&at, part)?
                }
                Err(Errno::LOOP | Errno::NOTDIR) => return Err(io::Error::other("a link or a file is where its directory was")),
                other => other?,
            };
        }
        Ok(at)
    }

    /// A hard link: to what came before it, if that can be, else a copy.
    fn put_second_name(&mut self, parent: &OwnedFd, name: &OsStr, item: &Item) -> io::Result<()> {
        let first = item.link.as_deref().and_then(below).filter(|first| !self.is_hidden(first));
        let Some((first, of)) = first.as_deref().and_then(|first| Some((first.file_name()?, first.parent()?))) else {
            return Err(io::Error::other("it would lead out of the workspace"));
        };
        let of = self.walk(of, false)?;
        let found = statat(&of, first, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
            return Err(io::Error::other("what it is another name of is no file"));
        }
        let is_same = |there: rustix::fs::Stat| (there.st_dev, there.st_ino) == (found.st_dev, found.st_ino);
        if statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(is_same) {
            return Ok(());
        }
        match replace(parent, name, |new| linkat(&of, first, parent, new, AtFlags::empty())) {
            Ok(()) => Ok(()),
            Err(error) if is_the_end(&error) => Err(error),
            Err(_) => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let mut source = File::from(openat(&of, first, flags, Mode::empty())?);
                let item = Item { size: source.metadata()?.len(), mode: found.st_mode, ..item.clone() };
                put_file(parent, name, &item, &mut source, false)
            }
        }
    }
}

fn open_directory(at: &OwnedFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    openat(at, name, OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// Of the very directory that was opened, whatever has its name now.
fn set_mode(directory: &OwnedFd, mode: u32) -> io::Result<()> {
    let there = rustix::fs::fstat(directory)?.st_mode;
    if there & PERMISSIONS == mode {
        return Ok(());
    }
    Ok(chmod(format!("/proc/self/fd/{}", directory.as_raw_fd()), Mode::from_raw_mode((there & 0o7000) | mode))?)
}

fn make_directory(parent: &OwnedFd, name: &OsStr) -> io::Result<()> {
    match open_directory(parent, name) {
        Ok(there) => {
            let mode = rustix::fs::fstat(&there)?.st_mode & PERMISSIONS;
            return set_mode(&there, mode | OPEN);
        }
        Err(Errno::NOENT) => {}
        // A file or a link, which the task replaced by a directory.
        Err(Errno::NOTDIR | Errno::LOOP) => unlinkat(parent, name, AtFlags::empty())?,
        Err(error) => return Err(error.into()),
    }
    Ok(mkdirat(parent, name, Mode::from_raw_mode(0o755))?)
}

/// Makes something under a name of its own, and puts it in place: it is there as a whole, or what was there stays.
fn replace(parent: &OwnedFd, name: &OsStr, make: impl FnOnce(&str) -> Result<(), Errno>) -> io::Result<()> {
    let new = format!(".airx-{}", os::random_hex(8));
    let made = make(&new).and_then(|()| match renameat(parent, &*new, parent, name) {
        // An empty directory gives way.
        Err(Errno::ISDIR) => unlinkat(parent, name, AtFlags::REMOVEDIR).and_then(|()| renameat(parent, &*new, parent, name)),
        other => other,
    });
    if made.is_err() {
        let _ = unlinkat(parent, &*new, AtFlags::empty());
    }
    match made {
        Err(Errno::NOTEMPTY | Errno::EXIST | Errno::ISDIR) => {
            Err(io::Error::other("a directory that is not empty is in its place"))
        }
        other => Ok(other?),
    }
}

fn put_link(parent: &OwnedFd, name: &OsStr, target: &Path) -> io::Result<()> {
    if readlinkat(parent, name, Vec::new()).is_ok_and(|there| there.as_bytes() == target.as_os_str().as_encoded_bytes()) {
        return Ok(());
    }
    replace(parent, name, |new| symlinkat(target, parent, new))
}

/// `keeps` is whether what is there stays, should it differ.
fn put_file(parent: &OwnedFd, name: &OsStr, item: &Item, content: &mut impl Read, keeps: bool) -> io::Result<()> {
    let mode = item.mode & PERMISSIONS;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let there = openat(parent, name, flags, Mode::empty()).map(File::from).ok();
    let mut there = there.filter(|there| there.metadata().is_ok_and(|data| data.is_file() && data.len() == item.size));
    let (mut same, mut rest) = (0, Vec::new());
    if let Some(there) = &mut there {
        (same, rest) = agree(there, content, item.size)?;
        if same == item.size {
            let found = rustix::fs::fstat(&*there)?.st_mode;
            if found & PERMISSIONS != mode {
                fchmod(&*there, Mode::from_raw_mode((found & 0o7000) | mode))?;
            }
            return Ok(());
        }
    }
    if keeps {
        return Err(io::Error::other("it was changed here while the task ran, which stays"));
    }
    let mut fill = |new: &str| -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(parent, new, flags, Mode::from_raw_mode(0o600))?);
        if let Some(there) = &mut there {
            there.seek(SeekFrom::Start(0))?;
            io::copy(&mut there.take(same), &mut file)?;
        }
        file.write_all(&rest)?;
        io::copy(&mut content.take(item.size - same - rest.len() as u64), &mut file)?;
        fchmod(&file, Mode::from_raw_mode(mode))?;
        let at = rustix::fs::Timespec { tv_sec: item.mtime, tv_nsec: 0 };
        Ok(futimens(file.as_fd(), &rustix::fs::Timestamps { last_access: at, last_modification: at })?)
    };
    let mut failed = None;
    let put = replace(parent, name, |new| {
        fill(new).map_err(|error| {
            let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
            failed = Some(error);
            errno
        })
    });
    failed.map_or(put, Err)
}

/// How many bytes are the same from the beginning on, and those of `content` that were read beyond.
fn agree(there: &mut File, content: &mut impl Read, size: u64) -> io::Result<(u64, Vec<u8>)> {
    let (mut same, mut ours, mut theirs) = (0, vec![0; PIECE], vec![0; PIECE]);
    while same < size {
        let count = usize::try_from(size - same).unwrap_or(PIECE).min(PIECE);
        content.read_exact(&mut theirs[..count])?;
        // What cannot be read here, or shrinks meanwhile, differs.
        if there.read_exact(&mut ours[..count]).is_err() || ours[..count] != theirs[..count] {
            theirs.truncate(count);
            return Ok((same, theirs));
        }
        same += count as u64;
    }
    Ok((same, Vec::new()))
}
