//! The manager's log: JSON lines, a file a day, a bounded number of files.

use std::path::Path;

use tracing_appender::non_blocking::WorkerGuard;
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::EnvFilter;

/// Flushes the log when dropped.
pub type Guard = WorkerGuard;

/// Daily files kept.
const KEEP: usize = 7;
/// Lines that may wait for the disk; more are dropped and counted, since a slow disk must not slow the manager.
const WAITING: usize = 8_192;

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
    let (writer, guard) =
        tracing_appender::non_blocking::NonBlockingBuilder::default().buffered_lines_limit(WAITING).lossy(true).finish(file);
    let filter = EnvFilter::try_from_env("AIRX_LOG").unwrap_or_else(|_| EnvFilter::new(if verbose { "debug" } else { "info" }));
    // A second subscriber in one process (a workstation that embeds the manager twice) keeps the first.
    let _ = tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(writer).try_init();
    Ok(guard)
}
