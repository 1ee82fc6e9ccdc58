//! Copies the command's pipes into files, with an index of what came when.
//!
//! `index` holds 16 bytes per chunk, little-endian: stream (0 `out`, 1 `err`), three zero bytes, length (u32), time
//! of its first byte (u64, UTC milliseconds). Chunks lie in `out` and `err` one after another in this order. A file
//! that was never written to does not exist.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::records::create_output;
use crate::model::time::{Mono, Now, Utc};

/// What one read takes at most: what a pipe holds by default.
const CHUNK: usize = 64 * 1024;
/// Output of one stream within this time is one record of the index.
const COALESCE_MS: u64 = 50;
/// Between two tries on a full disk.
const RETRY_MS: u64 = 1000;

pub struct Copier {
    streams: Vec<Stream>,
    index: Index,
    buffer: Vec<u8>,
    /// Read, but not stored: which stream, which bytes of the buffer. Nothing more is read meanwhile.
    pending: Option<(usize, Range<usize>)>,
    retry_at: Option<Mono>,
    keep_left: u64,
    seen: u64,
    noted: Vec<String>,
}

struct Stream {
    name: &'static str,
    pipe: Option<OwnedFd>,
    file: Option<File>,
    kept: u64,
}

impl Copier {
    /// Copies `pipes` into files of these names and keeps `limit` bytes of them all; `indexed` with an index.
    pub fn new(pipes: Vec<(&'static str, OwnedFd)>, limit: u64, indexed: bool) -> Copier {
        let streams = pipes.into_iter().map(|(name, pipe)| Stream { name, pipe: Some(pipe), file: None, kept: 0 }).collect();
        Copier {
            streams,
            index: Index { wanted: indexed, ..Index::default() },
            buffer: Vec::new(),
            pending: None,
            retry_at: None,
            keep_left: limit,
            seen: 0,
            noted: Vec::new(),
        }
    }

    /// The pipes to poll, with their numbers.
    pub fn pipes(&self) -> impl Iterator<Item = (usize, BorrowedFd<'_>)> {
        let stalled = self.is_stalled();
        self.streams.iter().enumerate().filter(move |_| !stalled).filter_map(|(i, s)| Some((i, s.pipe.as_ref()?.as_fd())))
    }

    /// When to call [`Copier::flush`] again, on a full disk.
    pub fn retry_at(&self) -> Option<Mono> {
        self.retry_at
    }

    /// Bytes read so far, those past the limit included.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Bytes stored of the stream called `name`.
    pub fn kept(&self, name: &str) -> u64 {
        self.streams.iter().filter(|s| s.name == name).map(|s| s.kept).sum()
    }

    /// What a person should know.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.noted)
    }

    /// Reads once from a pipe that is readable (or closed) and stores what came.
    pub fn read(&mut self, stream: usize, now: Now) {
        if self.buffer.is_empty() {
            // Zeroed by the system, so only pages that output reaches are ever touched.
            self.buffer = vec![0; CHUNK];
        }
        let Some(pipe) = self.streams[stream].pipe.as_ref() else { return };
        match rustix::io::read(pipe, &mut self.buffer[..]) {
            Ok(n) if n > 0 => {
                self.seen += n as u64;
                let keep = n.min(usize::try_from(self.keep_left).unwrap_or(n));
                self.keep_left -= keep as u64;
                self.pending = Some((stream, 0..keep));
                self.flush(now);
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            _ => self.streams[stream].pipe = None,
        }
    }

    /// Stores what is still pending.
    pub fn flush(&mut self, now: Now) {
        if self.retry_at.take().is_some() {
            // Opened again: whoever made room may have put something else in the file's place.
            self.streams.iter_mut().for_each(|s| s.file = None);
            self.index.file = None;
        }
        while let Some((stream, range)) = self.pending.take() {
            if range.is_empty() {
                break;
            }
            match self.streams[stream].write(&self.buffer[range.clone()]) {
                Ok(n) => {
                    self.index.add(stream, n, now.utc);
                    self.pending = Some((stream, range.start + n..range.end));
                }
                Err(Errno::INTR) => self.pending = Some((stream, range)),
                Err(e @ (Errno::NOSPC | Errno::DQUOT)) => {
                    self.pending = Some((stream, range));
                    self.stall(e, now);
                    return;
                }
                Err(e) => {
                    self.note(format!("output of `{}` could not be kept: {}", self.streams[stream].name, io::Error::from(e)))
                }
            }
        }
        match self.index.write() {
            Err(e @ (Errno::NOSPC | Errno::DQUOT)) => self.stall(e, now),
            Err(e) => {
                self.index.wanted = false;
                self.note(format!("the index of the output could not be written: {}", io::Error::from(e)));
            }
            Ok(()) => {}
        }
    }

    /// Reads all that is in the pipes, whose writers are gone; whether all of it is stored.
    pub fn drain(&mut self, now: Now) -> bool {
        for stream in 0..self.streams.len() {
            while !self.is_stalled() {
                let Some(pipe) = self.streams[stream].pipe.as_ref() else { break };
                let mut fds = [PollFd::new(pipe, PollFlags::IN)];
                if !matches!(poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(n) if n > 0) {
                    break;
                }
                self.read(stream, now);
            }
        }
        !self.is_stalled()
    }

    /// Drops what could not be stored.
    pub fn give_up(&mut self) {
        if self.is_stalled() {
            self.note("the end of the output is missing: the disk was full to the end".into());
        }
        self.pending = None;
        self.retry_at = None;
        self.streams.iter_mut().for_each(|s| s.pipe = None);
    }

    fn is_stalled(&self) -> bool {
        self.retry_at.is_some()
    }

    fn stall(&mut self, error: Errno, now: Now) {
        self.retry_at = Some(Mono(now.mono.0 + RETRY_MS));
        self.note(format!("output waited for room on the disk ({})", io::Error::from(error)));
    }

    fn note(&mut self, note: String) {
        if !self.noted.contains(&note) {
            self.noted.push(note);
        }
    }
}

impl Stream {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        if self.file.is_none() {
            self.file = Some(create_output(self.name).map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))?);
        }
        let Some(file) = &self.file else { return Err(Errno::IO) };
        let n = rustix::io::write(file, bytes)?;
        self.kept += n as u64;
        Ok(n)
    }
}

/// The index file and its last record, which is rewritten while output comes in small pieces.
#[derive(Default)]
struct Index {
    wanted: bool,
    file: Option<File>,
    /// Where the last record lies.
    at: u64,
    last: Option<(usize, u32, Utc)>,
    /// Complete records that could not be written yet, in order, before the last one.
    dirty: bool,
    unwritten: Vec<u8>,
}

impl Index {
    fn add(&mut self, stream: usize, bytes: usize, now: Utc) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.dirty = true;
        match &mut self.last {
            Some((s, len, since))
                if *s == stream && now.since(*since) < COALESCE_MS && now >= *since && len.checked_add(bytes).is_some() =>
            {
                *len += bytes;
            }
            _ => {
                if let Some(last) = self.last {
                    self.unwritten.extend(record(last));
                }
                self.last = Some((stream, bytes, now));
            }
        }
    }

    fn write(&mut self) -> Result<(), Errno> {
        let Some(last) = self.last.filter(|_| self.wanted && self.dirty) else { return Ok(()) };
        let errno = |e: io::Error| Errno::from_io_error(&e).unwrap_or(Errno::IO);
        if self.file.is_none() {
            self.file = Some(open_index().map_err(errno)?);
        }
        let Some(file) = &self.file else { return Ok(()) };
        let complete = self.unwritten.len() as u64;
        let mut bytes = self.unwritten.clone();
        bytes.extend(record(last));
        file.write_all_at(&bytes, self.at).map_err(errno)?;
        self.at += complete;
        self.unwritten.clear();
        self.dirty = false;
        Ok(())
    }
}

/// Not truncated: after a full disk the earlier records are there.
fn open_index() -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    File::options().write(true).create(true).truncate(false).mode(0o600).open("index")
}

fn record((stream, len, at): (usize, u32, Utc)) -> [u8; 16] {
    let mut record = [0; 16];
    record[0] = u8::from(stream != 0);
    record[4..8].copy_from_slice(&len.to_le_bytes());
    record[8..].copy_from_slice(&u64::try_from(at.0).unwrap_or(0).to_le_bytes());
    record
}
