//! Reads the archives that engines make.
//!
//! Of our own, since the crate takes names with newlines apart wrongly where they are long or no ASCII, and an archive that
//! was cut off between two files for a whole one.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use tar::{EntryType, Header};

/// Bytes of a block.
const BLOCK: u64 = 512;
/// Longest name, and longest head with more about an entry.
const MAX_HEAD: u64 = 1 << 20;

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// As it is in the archive.
    pub path: PathBuf,
    /// What a link leads to.
    pub link: Option<PathBuf>,
    /// What it is.
    pub kind: EntryType,
    /// Its permissions, with all that is beside them.
    pub mode: u32,
    /// When it was changed, in seconds.
    pub mtime: i64,
    /// Bytes of its content.
    pub size: u64,
}

/// An archive that is read from its beginning to its end. Reading from it gives the content of the entry at hand.
pub struct Tarball<R> {
    inner: R,
    left: u64,
    padding: u64,
}

impl<R: Read> Tarball<R> {
    /// At its beginning.
    pub fn new(inner: R) -> Tarball<R> {
        Tarball { inner, left: 0, padding: 0 }
    }

    /// The next entry; none at the end.
    ///
    /// # Errors
    /// When the archive cannot be read, is none, or is cut off.
    pub fn next(&mut self) -> io::Result<Option<Item>> {
        let (mut path, mut link, mut size, mut mtime) = (None, None, None, None);
        loop {
            self.skip()?;
            let mut header = Header::new_old();
            self.inner.read_exact(header.as_mut_bytes())?;
            if header.as_bytes().iter().all(|byte| *byte == 0) {
                return Ok(None);
            }
            if !is_sound(&header) {
                return Err(damaged());
            }
            self.left = size.unwrap_or(header.entry_size()?);
            let whole = self.left.checked_next_multiple_of(BLOCK).ok_or_else(damaged)?;
            self.padding = whole - self.left;
            match header.entry_type() {
                EntryType::GNULongName => path = Some(until_nul(self.head()?)),
                EntryType::GNULongLink => link = Some(until_nul(self.head()?)),
                EntryType::XGlobalHeader => {}
                EntryType::XHeader => {
                    for (key, value) in records(&self.head()?) {
                        match key {
                            b"path" => path = Some(value.to_vec()),
                            b"linkpath" => link = Some(value.to_vec()),
                            b"size" => size = text(value).and_then(|text| text.parse().ok()),
                            b"mtime" => mtime = text(value).and_then(|text| text.split('.').next()?.parse().ok()),
                            _ => {}
                        }
                    }
                }
                kind => {
                    let named = header.link_name_bytes().map(|name| name.into_owned());
                    let link = link.or(named).filter(|_| matches!(kind, EntryType::Link | EntryType::Symlink));
                    let path = path.unwrap_or_else(|| header.path_bytes().into_owned());
                    return Ok(Some(Item {
                        path: OsString::from_vec(path).into(),
                        link: link.map(|link| OsString::from_vec(link).into()),
                        kind: if kind == EntryType::Continuous || kind.is_file() { EntryType::Regular } else { kind },
                        mode: header.mode().unwrap_or(0o600),
                        mtime: mtime.unwrap_or_else(|| header.mtime().map_or(0, |at| i64::try_from(at).unwrap_or(0))),
                        size: self.left,
                    }));
                }
            }
        }
    }

    fn skip(&mut self) -> io::Result<()> {
        let rest = self.left + self.padding;
        (self.left, self.padding) = (0, 0);
        let skipped = io::copy(&mut self.inner.by_ref().take(rest), &mut io::sink())?;
        if skipped < rest { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    fn head(&mut self) -> io::Result<Vec<u8>> {
        if self.left > MAX_HEAD {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a name in the archive is too long"));
        }
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl<R: Read> Read for Tarball<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        let count = self.inner.read(&mut buffer[..most])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= count as u64;
        Ok(count)
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it is no archive, or a damaged one")
}

fn is_sound(header: &Header) -> bool {
    let bytes = header.as_bytes();
    let sum: u32 = bytes[..148].iter().chain(&bytes[156..]).map(|byte| u32::from(*byte)).sum::<u32>() + 8 * 32;
    header.cksum().is_ok_and(|told| told == sum)
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(memchr::memchr(0, &bytes).unwrap_or(bytes.len()));
    bytes
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// `LENGTH KEY=VALUE\n`, again and again: the length counts all of it.
fn records(mut bytes: &[u8]) -> Vec<(&[u8], &[u8])> {
    let mut found = Vec::new();
    while let Some(space) = memchr::memchr(b' ', bytes) {
        let Some(length) = text(&bytes[..space]).and_then(|text| text.parse::<usize>().ok()) else { break };
        if length <= space + 1 || length > bytes.len() {
            break;
        }
        let record = &bytes[space + 1..length - 1];
        if let Some(equals) = memchr::memchr(b'=', record) {
            found.push((&record[..equals], &record[equals + 1..]));
        }
        bytes = &bytes[length..];
    }
    found
}

/// Names of entries as they are said to people.
pub fn shown(path: &std::path::Path) -> String {
    String::from_utf8_lossy(path.as_os_str().as_bytes()).escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_an_archive_is_made_of_is_read_and_one_that_is_cut_off_is_none() {
        let long = "d/".repeat(150);
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = Header::new_gnu();
        header.set_size(3);
        header.set_mode(0o4755);
        header.set_mtime(7);
        tar.append_data(&mut header, format!("{long}a\nb"), &b"one"[..]).unwrap();
        tar.append_pax_extensions([("path", &b"odd\n\xff"[..]), ("mtime", b"12.5")]).unwrap();
        tar.append_data(&mut header, "other", &b"two"[..]).unwrap();
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Link);
        header.set_size(0);
        tar.append_link(&mut header, "second", "first").unwrap();
        let whole = tar.into_inner().unwrap();

        let mut read = Tarball::new(&whole[..]);
        let first = read.next().unwrap().unwrap();
        assert_eq!((first.path, first.mode, first.mtime), (format!("{long}a\nb").into(), 0o4755, 7));
        let mut content = String::new();
        read.read_to_string(&mut content).unwrap();
        assert_eq!(content, "one");
        let second = read.next().unwrap().unwrap();
        assert_eq!((second.path.as_os_str().as_bytes(), second.mtime, second.size), (&b"odd\n\xff"[..], 12, 3));
        let third = read.next().unwrap().unwrap();
        assert_eq!((third.kind, third.link), (EntryType::Link, Some("first".into())));
        assert_eq!(read.next().unwrap(), None);

        let mut tar = tar::Builder::new(Vec::new());
        tar.append_pax_extensions([("size", &b"18446744073709551615"[..])]).unwrap();
        let mut header = Header::new_gnu();
        header.set_size(0);
        tar.append_data(&mut header, "endless", &b""[..]).unwrap();
        assert_eq!(Tarball::new(&tar.into_inner().unwrap()[..]).next().unwrap_err().kind(), io::ErrorKind::InvalidData);

        for end in (0..whole.len() - 1024).step_by(512) {
            let mut read = Tarball::new(&whole[..end]);
            let failed = (0..5).any(|_| read.next().is_err());
            assert!(failed, "cut off at {end}");
        }
    }
}
