//! Much at once, and much in little time: nothing is lost or doubled, and the manager stays small.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use super::bench::{Bench, Mode};
use super::docker;
use super::proxy::{Proxy, When};

/// The stream of events breaks. What ends while there is none is found by the next comparison with reality.
#[test]
fn what_ends_while_there_are_no_events_is_found_by_the_next_poll() {
    let Some(engine) = docker::shared() else { return };
    let proxy = Proxy::before(&engine.socket());
    let mut bench = Bench::new(engine, &proxy.host(), 4, Mode::Runner, "");
    bench.home.start();
    let job = bench.home.submit(&waiting(4));
    bench.until_all_are_here(4);
    let halt = proxy.stop_at(When::Before, "GET", "/events");
    assert_eq!(proxy.cut("GET", "/events"), 1);
    halt.reached();
    bench.touch("go");
    let began = std::time::Instant::now();
    assert_eq!(bench.home.until_over(&job), "completed");
    assert!(began.elapsed().as_secs() < 10, "polls are every second: {:?}", began.elapsed());
    (1..=4).for_each(|n| bench.assert_once(&job, &format!("t{n}"), "end\n"));
    bench.until_nothing_is_left();
}

/// The same with polls a minute apart: what happened between two streams is found when the second begins.
#[test]
fn what_ends_between_two_streams_of_events_is_found_at_once() {
    let Some(engine) = docker::shared() else { return };
    let proxy = Proxy::before(&engine.socket());
    let mut bench = Bench::new(engine, &proxy.host(), 4, Mode::Runner, "");
    bench.poll_every("60s");
    bench.home.start();
    let job = bench.home.submit(&waiting(4));
    bench.until_all_are_here(4);
    let halt = proxy.stop_at(When::Before, "GET", "/events");
    assert_eq!(proxy.cut("GET", "/events"), 1);
    halt.reached();
    bench.touch("go");
    bench.home.until("the containers have ended", || bench.containers(false, "{{.ID}}").is_empty());
    let began = std::time::Instant::now();
    halt.let_go();
    assert_eq!(bench.home.until_over(&job), "completed");
    assert!(began.elapsed().as_secs() < 20, "no poll was waited for: {:?}", began.elapsed());
    (1..=4).for_each(|n| bench.assert_once(&job, &format!("t{n}"), "end\n"));
    bench.until_nothing_is_left();
}

/// Tasks that run until there is `go`.
fn waiting(count: u32) -> String {
    let task = |n| format!("  - {{ id: t{n}, run: 'touch here-t{n}; until [ -e go ]; do sleep 0.1; done; echo end' }}\n");
    format!("name: k\npool: box\nmax_parallel: {count}\ntasks:\n{}", (1..=count).map(task).collect::<String>())
}

/// Fifty that wait until all of them are there.
fn fifty(mode: Mode) {
    let Some(engine) = docker::shared() else { return };
    let mut bench = Bench::new(engine, &engine.host(), 50, mode, "");
    bench.home.start();
    let task = |n| {
        format!(
            "  - id: t{n}\n    run: 'echo run >> ran-t{n}; i=0; while [ $i -lt 100 ]; do echo $AIRX_TASK $i; i=$((i+1)); done; touch here-t{n}; \
             until [ -e go ]; do sleep 0.3; done; echo end of t{n}'\n"
        )
    };
    let tasks: String = (1..=50).map(task).collect();
    let job = bench.home.submit(&format!("name: k\npool: box\nmax_parallel: 50\ntasks:\n{tasks}"));
    bench.until_all_are_here(50);
    assert_eq!(bench.containers(false, "{{.ID}}").len(), 50);
    bench.touch("go");
    assert_eq!(bench.home.until_over(&job), "completed");
    for n in 1..=50 {
        let printed: String = (0..100).map(|line| format!("t{n} {line}\n")).collect();
        bench.assert_once(&job, &format!("t{n}"), &format!("{printed}end of t{n}\n"));
        assert_eq!(bench.content(&format!("ran-t{n}")), "run\n");
    }
    bench.until_nothing_is_left();
    bench.assert_replay();
}

#[test]
fn fifty_at_once() {
    fifty(Mode::Runner);
}

#[test]
fn fifty_at_once_without_runner() {
    fifty(Mode::Reduced);
}

/// Twenty that print a last line without its end, and end within milliseconds of their start.
fn quick(mode: Mode) {
    let Some(engine) = docker::shared() else { return };
    let mut bench = Bench::new(engine, &engine.host(), 4, mode, "");
    bench.home.start();
    let task = |n| format!("  - {{ id: t{n}, command: printf, args: ['one\\n%s', 'last of {n}'] }}\n").replace('\'', "\"");
    let tasks: String = (1..=20).map(task).collect();
    let job = bench.home.submit(&format!("name: k\npool: box\nmax_parallel: 4\ntasks:\n{tasks}"));
    assert_eq!(bench.home.until_over(&job), "completed");
    (1..=20).for_each(|n| bench.assert_once(&job, &format!("t{n}"), &format!("one\nlast of {n}")));
    bench.until_nothing_is_left();
}

#[test]
fn a_last_line_without_its_end_of_twenty_quick_ones() {
    quick(Mode::Runner);
}

#[test]
fn a_last_line_without_its_end_of_twenty_quick_ones_without_runner() {
    quick(Mode::Reduced);
}

/// Blocks of 8 MiB, each after a line that numbers it.
const BLOCKS: usize = 128;
const BLOCK: usize = 8 << 20;

/// Lines of all lengths up to a few KiB that never repeat.
fn block() -> Vec<u8> {
    let mut random = 42_u64;
    let mut bytes = Vec::with_capacity(BLOCK);
    let mut left = 0;
    while bytes.len() < BLOCK {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if left == 0 {
            left = (random >> 33) as usize % 4_000;
            bytes.push(b'\n');
        } else {
            let count = left.min(8);
            bytes.extend(random.to_le_bytes()[..count].iter().map(|byte| b'a' + byte % 26));
            left -= count;
        }
    }
    bytes.truncate(BLOCK);
    bytes
}

fn flood(mode: Mode) {
    let Some(engine) = docker::shared() else { return };
    let mut bench = Bench::new(engine, &engine.host(), 1, mode, "");
    bench.home.start();
    let block = block();
    std::fs::write(bench.file("block"), &block).unwrap();
    let run = format!("i=0; while [ $i -lt {BLOCKS} ]; do echo block $i; cat block; i=$((i+1)); done; printf end");
    let job = bench.home.submit(&format!("name: k\npool: box\ntasks:\n  - {{ id: t, output_limit: 2GB, run: '{run}' }}\n"));
    let began = std::time::Instant::now();
    assert_eq!(bench.home.until_over(&job), "completed", "{:?}", bench.outcomes(&format!("{job}/t")));
    println!("1 GiB in {:?}, {} kB of memory at most", began.elapsed(), peak(bench.home.manager_pid()));
    let attempt = bench.attempts(&format!("{job}/t")).pop().unwrap();
    compare(&attempt.dir.join("out"), &block);
    assert!(peak(bench.home.manager_pid()) < 150_000, "{} kB", peak(bench.home.manager_pid()));
    bench.until_nothing_is_left();
}

/// The whole output is as it was printed, byte for byte.
fn compare(out: &Path, block: &[u8]) {
    let heads: usize = (0..BLOCKS).map(|n| format!("block {n}\n").len()).sum();
    assert_eq!(out.metadata().unwrap().len(), (BLOCKS * BLOCK + heads + 3) as u64);
    let mut file = BufReader::with_capacity(1 << 20, File::open(out).unwrap());
    let mut bytes = vec![0; BLOCK];
    for n in 0..BLOCKS {
        let mut head = vec![0; format!("block {n}\n").len()];
        file.read_exact(&mut head).unwrap();
        assert_eq!(String::from_utf8_lossy(&head), format!("block {n}\n"));
        file.read_exact(&mut bytes).unwrap();
        assert!(bytes == block, "block {n} differs at {:?}", bytes.iter().zip(block).position(|(a, b)| a != b));
    }
}

/// The most memory that a process ever had, in kB.
fn peak(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_gibibyte_of_output() {
    flood(Mode::Runner);
}

#[test]
fn a_gibibyte_of_output_without_runner() {
    flood(Mode::Reduced);
}
