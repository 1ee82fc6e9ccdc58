//! What the machine can do at best.

use std::process::{Command, Stdio};
use std::time::Instant;

/// Waits until what was written before (a build, most often) is on the disk: every durable commit would wait behind it.
pub fn settle() {
    rustix::fs::sync();
    std::thread::sleep(std::time::Duration::from_secs(3));
    rustix::fs::sync();
}

/// Bare spawns of /bin/true a second, one after the other (std uses posix_spawn here).
pub fn spawn_loop(count: u32) -> f64 {
    let start = Instant::now();
    for _ in 0..count {
        let mut child = Command::new("/bin/true").stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("/bin/true");
        child.wait().expect("a child");
    }
    f64::from(count) / start.elapsed().as_secs_f64()
}

/// Milliseconds of one durable one-row commit (WAL, synchronous FULL), where homes of this run lie.
pub fn commit_ms() -> f64 {
    let directory = tempfile::tempdir().expect("a directory");
    let connection = rusqlite::Connection::open(directory.path().join("floor.db")).expect("a database");
    connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t (x)").expect("a table");
    let start = Instant::now();
    for n in 0..200 {
        connection.execute("INSERT INTO t VALUES (?1)", [n]).expect("a row");
    }
    start.elapsed().as_secs_f64() * 1_000.0 / 200.0
}
