//! The manager's log: JSON lines, a file a day, a bounded number of files.

use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tracing_appender::non_blocking::WorkerGuard;
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::EnvFilter;

/// Flushes the log when dropped.
pub type Guard = WorkerGuard;

/// Daily files kept.
const KEEP: usize = 7;
/// Lines that may wait for the disk; more are dropped and counted, since a slow disk must not slow the manager.
const WAITING: usize = 8_192;

/// Bytes that a process logs in a day; after that it says so, and no more until the next.
const MOST: u64 = 64 << 20;
/// Milliseconds of a day.
const DAY: i64 = 86_400_000;

/// A file a day, each for its owner alone and of bounded size.
struct Daily<W> {
    inner: W,
    directory: PathBuf,
    now: fn() -> i64,
    day: i64,
    written: u64,
}

impl<W: Write> Write for Daily<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let day = (self.now)() / DAY;
        let is_new = day != self.day;
        if is_new {
            (self.day, self.written) = (day, 0);
        } else if self.written >= MOST {
            return Ok(line.len());
        }
        let count = self.inner.write(line)?;
        self.written += count as u64;
        if self.written >= MOST {
            self.inner
                .write_all(b"{\"level\":\"WARN\",\"message\":\"so much was logged today; the rest of the day is left out\"}\n")?;
        }
        if is_new {
            self.make_private();
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<W> Daily<W> {
    /// The appender makes its files for everybody. Where the rights cannot be changed, those of the directory hold.
    fn make_private(&self) {
        for entry in std::fs::read_dir(&self.directory).into_iter().flatten().flatten() {
            let _ = std::fs::set_permissions(entry.path(), std::fs::Permissions::from_mode(0o600));
        }
    }
}

/// Begins to log into `directory`. The log ends when the guard is dropped.
///
/// # Errors
/// When the file cannot be made.
pub fn start(directory: &Path, verbose: bool) -> Result<Guard, tracing_appender::rolling::InitError> {
    let file = RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix("airx")
        .filename_suffix("log")
        .max_log_files(KEEP)
        .build(directory)?;
    let file = Daily { inner: file, directory: directory.to_owned(), now: || airx::os::now().utc.0, day: -1, written: 0 };
    let (writer, guard) =
        tracing_appender::non_blocking::NonBlockingBuilder::default().buffered_lines_limit(WAITING).lossy(true).finish(file);
    let filter = EnvFilter::try_from_env("AIRX_LOG").unwrap_or_else(|_| EnvFilter::new(if verbose { "debug" } else { "info" }));
    // A second subscriber in one process (a workstation that embeds the manager twice) keeps the first.
    let _ = tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(writer).try_init();
    Ok(guard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_its_bound_and_the_next_begins_anew() {
        thread_local! { static NOW: std::cell::Cell<i64> = const { std::cell::Cell::new(0) } }
        let directory = tempfile::tempdir().expect("a directory");
        let now = || NOW.with(std::cell::Cell::get);
        let mut log = Daily { inner: Vec::new(), directory: directory.path().to_owned(), now, day: -1, written: 0 };
        let line = vec![b'x'; 1 << 20];
        for _ in 0..100 {
            log.write_all(&line).expect("room");
        }
        assert!(log.inner.len() < (MOST as usize) + 200, "{}", log.inner.len());
        assert!(log.inner.ends_with(b"left out\"}\n"));
        NOW.with(|now| now.set(DAY));
        log.write_all(b"another day").expect("room");
        assert!(log.inner.ends_with(b"another day"));
    }
}
