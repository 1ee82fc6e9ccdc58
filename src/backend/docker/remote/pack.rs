//! Archives for containers, written piece by piece, so that their size does not matter.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tar::{Builder, EntryType, Header};

use super::tarball::shown;

/// Deepest directory of a workspace.
const MAX_DEPTH: usize = 200;

/// User and group by number.
pub type Owner = (u32, u32);

/// The head of an entry; the group may be left to the image, which is root's then.
pub fn header(kind: EntryType, (uid, gid): Owner, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_uid(uid.into());
    header.set_gid(if gid == u32::MAX { 0 } else { gid.into() });
    header.set_mode(mode);
    header.set_size(0);
    header
}

/// An empty directory.
///
/// # Errors
/// When it cannot be written.
pub fn directory(tar: &mut Builder<impl Write>, path: &Path, owner: Owner, mode: u32) -> io::Result<()> {
    tar.append_data(&mut header(EntryType::Directory, owner, mode), path, io::empty())
}

/// A file with what is given.
///
/// # Errors
/// When it cannot be written.
pub fn content(tar: &mut Builder<impl Write>, path: &Path, owner: Owner, bytes: &[u8]) -> io::Result<()> {
    let mut header = header(EntryType::Regular, owner, 0o600);
    header.set_size(bytes.len() as u64);
    tar.append_data(&mut header, path, bytes)
}

/// A file of this side.
///
/// # Errors
/// When it cannot be read or written.
pub fn file(tar: &mut Builder<impl Write>, path: &Path, source: &Path, owner: Owner, mode: Option<u32>) -> io::Result<()> {
    let source = crate::os::open_regular(source).map_err(|error| of(source, error))?;
    let data = source.metadata()?;
    let mut header = header(EntryType::Regular, owner, mode.unwrap_or(data.mode() & 0o777));
    header.set_size(data.len());
    header.set_mtime(u64::try_from(data.mtime()).unwrap_or(0));
    append(tar, &mut header, path, source, data.len())
}

fn append(tar: &mut Builder<impl Write>, header: &mut Header, path: &Path, source: File, length: u64) -> io::Result<()> {
    // One that grows or shrinks meanwhile must not shift what follows it.
    tar.append_data(header, path, source.chain(io::repeat(0)).take(length))
}

fn of(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", shown(path)))
}

/// The same error with the file's name; none for what is gone since its directory was read.
fn still_there<T>(path: &Path, tried: io::Result<T>) -> io::Result<Option<T>> {
    match tried {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(of(path, error)),
    }
}

/// A directory, as `name`, with all below it but `hidden`; what is neither file, directory nor link is left out.
///
/// # Errors
/// When something in it cannot be read, or nothing can be written.
pub fn tree(tar: &mut Builder<impl Write>, source: &Path, name: &Path, owner: Owner, hidden: &[PathBuf]) -> io::Result<()> {
    let mode = fs::metadata(source).map_err(|error| of(source, error))?.mode() & 0o777;
    let entries = fs::read_dir(source).map_err(|error| of(source, error))?;
    directory(tar, name, owner, mode)?;
    let hidden: Vec<PathBuf> = hidden.iter().map(|hidden| name.join(hidden)).collect();
    below(tar, entries, name, owner, &hidden, 0)
}

fn below(
    tar: &mut Builder<impl Write>,
    entries: fs::ReadDir,
    path: &Path,
    owner: Owner,
    hidden: &[PathBuf],
    depth: usize,
) -> io::Result<()> {
    for entry in entries {
        let entry = entry?;
        let (from, to) = (entry.path(), path.join(entry.file_name()));
        let Some(data) = still_there(&from, entry.metadata())? else { continue };
        if hidden.contains(&to) {
            continue;
        }
        if data.is_dir() {
            if depth == MAX_DEPTH {
                return Err(io::Error::other(format!("{} is too deep", shown(&from))));
            }
            let Some(entries) = still_there(&from, fs::read_dir(&from))? else { continue };
            directory(tar, &to, owner, data.mode() & 0o777)?;
            below(tar, entries, &to, owner, hidden, depth + 1)?;
        } else if data.is_symlink() {
            let Some(target) = still_there(&from, fs::read_link(&from))? else { continue };
            tar.append_link(&mut header(EntryType::Symlink, owner, 0o777), &to, target)?;
        } else if data.is_file() {
            match file(tar, &to, &from, owner, None) {
                // Gone, or replaced by what is left out.
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidInput) => {}
                other => other?,
            }
        }
    }
    Ok(())
}
