//! Reads a transcript (`--output-format stream-json`, one JSON event a line) for what decides and what is recorded.
//!
//! Most lines are passed over after a look at their first bytes; only the few kinds that matter are parsed. Memory is
//! bounded whatever the file holds: a line over 8 MiB is passed over too, unless it is a result, which is then read as a
//! stream.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Cursor, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::UNIX_EPOCH;

use jiff::tz::TimeZone;

use super::collect::Collector;
use super::json::BoundedTokens;
use super::kind::Kind;
use super::lines::{Line, Lines};
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
    if file.metadata()?.is_file() { Ok(file) } else { Err(ErrorKind::InvalidInput.into()) }
}

/// As [`read`], of a transcript in memory that was written at `now`.
pub fn read_bytes(bytes: &[u8], now: Utc, zone: &TimeZone) -> ClaudeReport {
    read_from(Collector::new(now, zone), bytes, || Some(Cursor::new(bytes)))
}

/// As [`read`], from anything; `again` opens it a second time for a result line that does not fit in memory.
fn read_from<R: Read, S: Read + Seek>(collector: Collector, source: R, again: impl Fn() -> Option<S>) -> ClaudeReport {
    let mut source = BufReader::with_capacity(BUFFER, source);
    let mut lines = Lines::default();
    let mut reading = Reading { collector, start: 0, again };
    loop {
        let available = match source.fill_buf() {
            Ok([]) => break,
            Ok(available) => available,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => {
                reading.collector.unfinished();
                return reading.collector.finish();
            }
        };
        lines.push(available, |_| true, |line| reading.line(line));
        let taken = available.len();
        source.consume(taken);
    }
    // A last line without its line feed is whole only if it is whole JSON.
    lines.finish(|line| match line {
        Line::Whole(bytes) if serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok() => reading.line(line),
        _ => reading.collector.unfinished(),
    });
    reading.collector.finish()
}

struct Reading<F> {
    collector: Collector,
    /// Where the next line begins.
    start: u64,
    again: F,
}

impl<S: Read + Seek, F: Fn() -> Option<S>> Reading<F> {
    fn line(&mut self, line: Line) {
        let len = line.len();
        self.collector.at(self.start, len);
        match line {
            Line::Whole(bytes) => self.collector.line(bytes),
            Line::Long { head, .. } if Kind::of(head) == Kind::Result => self.long_result(len),
            Line::Long { head, .. } => self.collector.long_line(head),
        }
        self.start += len + 1;
    }

    fn long_result(&mut self, len: u64) {
        match (self.again)().and_then(|mut file| file.seek(SeekFrom::Start(self.start)).ok().map(|_| file)) {
            Some(file) => self.collector.long_result(BufReader::new(BoundedTokens::new(file.take(len)))),
            None => self.collector.unfinished(),
        }
    }
}

#[cfg(test)]
mod tests;
