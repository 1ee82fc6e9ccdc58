//! Pieces of an attempt's output, read from its directory.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::model::message::OutputStream;

/// Most bytes in one piece: as base64 it must fit a frame.
pub(super) const MAX_PIECE: u32 = 512 * 1024;

/// A piece of the file and the file's size; a file that is not there is empty.
pub(super) fn piece(directory: &Path, stream: OutputStream, offset: u64, limit: u32) -> std::io::Result<(Vec<u8>, u64)> {
    let name = match stream {
        OutputStream::Out => "out",
        OutputStream::Err => "err",
        OutputStream::Index => "index",
        OutputStream::Gate => "gate.log",
    };
    let mut file = match open(&directory.join(name)) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok((Vec::new(), 0)),
        Err(error) => return Err(error),
    };
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(offset))?;
    let mut data = Vec::new();
    file.take(u64::from(limit.min(MAX_PIECE))).read_to_end(&mut data)?;
    Ok((data, size))
}

/// Never through a link: a task owns its directory's files and could point them elsewhere.
fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)
}
