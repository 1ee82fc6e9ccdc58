//! `make bench`: the built release program, measured as its user would, in one run with the floor.
//!
//! Prints a table and writes the same figures as JSON lines to `target/bench/core.jsonl`. `--check` exits 1 on a miss; words
//! choose figures: `make bench BENCH=memory`.
#![allow(clippy::print_stdout, clippy::panic, reason = "a benchmark prints its figures, and a fault of its surroundings ends it")]

mod claude;
mod containers;
#[path = "../support/docker/mod.rs"]
mod engines;
mod floor;
mod mapped;
mod place;
#[path = "../support/pty.rs"]
mod pty;
mod report;
mod runs;
mod screen;
#[path = "../support/claude/mod.rs"]
mod support;
mod transcripts;

use report::Report;

/// Measures something into a report.
type Figure<'a> = &'a dyn Fn(&mut Report);

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let is_check = std::env::args().any(|arg| arg == "--check");
    let mut report = Report::default();
    floor::settle();
    let floor = floor::spawn_loop(1_000);
    report.figure("floor: posix_spawn of /bin/true", floor, "tasks/s");
    report.figure("floor: one durable commit", floor::commit_ms(), "ms");
    let figures: [(&str, Figure<'_>); 11] = [
        ("throughput", &|report| runs::throughput(report, floor)),
        ("mapped", &|report| mapped::all(report, floor)),
        ("chain", &runs::chain),
        ("submit", &runs::submit_to_start),
        ("status", &runs::status),
        ("memory", &runs::memory),
        ("runner", &runs::runner_memory),
        ("screen", &screen::all),
        ("transcript", &transcripts::all),
        ("claude", &claude::all),
        ("containers", &containers::all),
    ];
    for (name, measure) in figures {
        if words.is_empty() || words.iter().any(|word| word == name) {
            measure(&mut report);
        }
    }
    place::clear();
    let misses = report.finish();
    if is_check && misses > 0 {
        std::process::exit(1);
    }
}
