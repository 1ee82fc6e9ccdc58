//! `make bench`: the built release program, measured as its user would, in one run with the floor.
//!
//! Prints a table and writes the same figures as JSON lines to `target/bench/core.jsonl`. `--check` exits 1 on a miss.
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod floor;
mod place;
mod report;
mod runs;

use report::Report;

fn main() {
    let is_check = std::env::args().any(|arg| arg == "--check");
    let mut report = Report::default();
    let floor = floor::spawn_loop(1_000);
    report.figure("floor: posix_spawn of /bin/true", floor, "tasks/s");
    report.figure("floor: one durable commit", floor::commit_ms(), "ms");
    runs::throughput(&mut report, floor);
    runs::chain(&mut report);
    runs::submit_to_start(&mut report);
    runs::status(&mut report);
    runs::memory(&mut report);
    runs::runner_memory(&mut report);
    let misses = report.finish();
    if is_check && misses > 0 {
        std::process::exit(1);
    }
}
