//! Reads a transcript (`--output-format stream-json`, one JSON event a line) for what decides and what is recorded.
//!
//! Most lines are passed over after a look at their first bytes; only the few kinds that matter are parsed. Memory is
//! bounded whatever the file holds: a line over 8 MiB is passed over too, unless it is a result, which is then read as a
//! stream.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::UNIX_EPOCH;

use jiff::tz::TimeZone;
use memchr::memchr;

use super::collect::Collector;
use super::json::BoundedTokens;
use super::kind::Kind;
use super::lines::{HEAD, MAX_LINE};
use crate::model::report::ClaudeReport;
use crate::model::time::Utc;

const BUFFER: usize = 256 * 1024;

/// Reads the transcript to its end. A file that cannot be opened is an empty transcript; one that cannot be read to its end
/// has no final result.
///
/// Times in words (a limit that "resets 3pm") are understood as of when the file was last written, and in `zone` unless they
/// name one: a manager that was down in between must not take yesterday's 3pm for today's.
pub fn read(path: &Path, zone: &TimeZone) -> ClaudeReport {
    match open(path) {
        Ok(file) => {
            let collector = Collector::new(written(&file), zone);
            read_from(collector, file, || open(path).ok())
        }
        Err(_) => ClaudeReport::default(),
    }
}

/// When the file was last written; 1970 if the file system does not say.
fn written(file: &File) -> Utc {
    let modified = file.metadata().and_then(|metadata| metadata.modified()).unwrap_or(UNIX_EPOCH);
    let since = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
    Utc(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// The file is the task's own: a link or a fifo in its place is neither followed nor waited for.
fn open(path: &Path) -> std::io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(std::io::ErrorKind::InvalidInput.into()) }
}

/// As [`read`], from anything; `again` opens it a second time for a result line that does not fit in memory.
fn read_from<R: Read, S: Read + Seek>(mut collector: Collector, source: R, again: impl Fn() -> Option<S>) -> ClaudeReport {
    let mut source = BufReader::with_capacity(BUFFER, source);
    let mut carry = Carry::default();
    loop {
        let available = match source.fill_buf() {
            Ok([]) => break,
            Ok(available) => available,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => {
                collector.unfinished();
                return collector.finish();
            }
        };
        let taken = match memchr(b'\n', available) {
            Some(end) if carry.len == 0 => {
                collector.at(carry.start, end as u64);
                collector.line(&available[..end]);
                carry.start += end as u64 + 1;
                end + 1
            }
            Some(end) => {
                carry.push(&available[..end]);
                carry.hand_over(&mut collector, &again);
                end + 1
            }
            None => {
                carry.push(available);
                available.len()
            }
        };
        source.consume(taken);
    }
    if carry.len > 0 {
        // A last line without its line feed is whole only if it is whole JSON.
        if carry.is_whole_json() { carry.hand_over(&mut collector, &again) } else { collector.unfinished() }
    }
    collector.finish()
}

/// A line that spans several buffers.
#[derive(Default)]
struct Carry {
    /// Its bytes; of a line over [`MAX_LINE`] only the first [`HEAD`].
    bytes: Vec<u8>,
    /// Where it begins.
    start: u64,
    /// Its length so far.
    len: u64,
}

impl Carry {
    fn push(&mut self, bytes: &[u8]) {
        if self.is_too_long(bytes.len()) {
            self.bytes.extend_from_slice(&bytes[..bytes.len().min(HEAD.saturating_sub(self.bytes.len()))]);
            self.bytes.truncate(HEAD);
            self.bytes.shrink_to(HEAD);
        } else {
            self.bytes.extend_from_slice(bytes);
        }
        self.len += bytes.len() as u64;
    }

    fn is_too_long(&self, more: usize) -> bool {
        self.len + more as u64 > MAX_LINE as u64
    }

    fn is_whole_json(&self) -> bool {
        !self.is_too_long(0) && serde_json::from_slice::<serde::de::IgnoredAny>(&self.bytes).is_ok()
    }

    fn hand_over<S: Read + Seek>(&mut self, collector: &mut Collector, again: &impl Fn() -> Option<S>) {
        collector.at(self.start, self.len);
        if !self.is_too_long(0) {
            collector.line(&self.bytes);
        } else if Kind::of(&self.bytes) == Kind::Result {
            match again().and_then(|mut file| file.seek(SeekFrom::Start(self.start)).ok().map(|_| file)) {
                Some(file) => collector.long_result(BufReader::new(BoundedTokens::new(file.take(self.len)))),
                None => collector.unfinished(),
            }
        } else {
            collector.long_line(&self.bytes);
        }
        self.start += self.len + 1;
        self.len = 0;
        self.bytes.clear();
    }
}

#[cfg(test)]
mod tests;
