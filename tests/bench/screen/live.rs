//! The built program in a pseudo-terminal: what its user waits for, and what it costs while nobody does anything.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::place::{Place, pss};
use crate::pty::Pty;
use crate::report::{Report, median};
use crate::runs::filled;

/// A workstation at this size, over the home of `place`.
fn open(place: &Place) -> Pty {
    let mut command = place.command(&[]);
    command.env("LANG", "C.UTF-8");
    Pty::open(&command, 200, 50)
}

/// From the start of the program to the first frame with jobs in it, with 10,000 tasks in the store.
pub fn first_frame(report: &mut Report) {
    let place = filled(10_000);
    let times: Vec<f64> = (0..9)
        .map(|_| {
            let start = Instant::now();
            let mut screen = open(&place);
            let seen = screen.wait_for("many.10");
            screen.keys("q");
            assert_eq!(screen.exit(), 0);
            seen.duration_since(start).as_secs_f64() * 1_000.0
        })
        .collect();
    report.at_most("screen: first frame, 10,000 tasks in the store", median(times), 60.0, 20.0, "ms");
}

/// From a key to the frame that it leads to, in the terminal.
pub fn key_to_frame(report: &mut Report) {
    let place = filled(10_000);
    let screen = open(&place);
    screen.wait_for("many.10");
    screen.keys("l");
    screen.wait_for("t5");
    let times: Vec<f64> = (0..100)
        .map(|round| {
            let mark = screen.mark();
            let start = Instant::now();
            screen.keys(if round % 2 == 0 { "j" } else { "k" });
            screen.wait_log("a frame", mark, |log| log.windows(8).any(|part| part == b"\x1b[?2026l"));
            start.elapsed().as_secs_f64() * 1_000.0
        })
        .collect();
    report.at_most("screen: key to drawn frame", median(times), 5.0, 2.0, "ms");
}

/// An idle screen attached to an idle manager: frames, and its part of a core.
pub fn idle(report: &mut Report) {
    let mut place = filled(10_000);
    place.start();
    let screen = open(&place);
    screen.wait_for("many.10");
    screen.keys("l j enter");
    screen.wait_quiet(Duration::from_secs(2));
    let (mark, ticks, start) = (screen.mark(), cpu_ms(screen.pid()), Instant::now());
    std::thread::sleep(Duration::from_secs(10));
    let share = (cpu_ms(screen.pid()) - ticks) / start.elapsed().as_secs_f64() / 1_000.0 * 100.0;
    report.at_most("screen: frames of an idle screen in 10 s", screen.frames_since(mark) as f64, 0.0, 0.0, "");
    report.at_most("screen: an idle screen's part of a core", share, 0.2, 0.05, "%");
}

/// Output at 50,000 lines a second: frames, and how soon keys are answered.
pub fn fast_output(report: &mut Report) {
    let place = Place::started();
    let script = "n=100; while [ $n -lt 220 ]; do seq ${n}0000 ${n}4999; n=$((n+1)); sleep 0.1; done";
    let file = place.file("fast.yaml", &format!("name: fast\ntasks:\n  - {{ id: a, run: '{script}' }}\n"));
    let screen = open(&place);
    screen.wait_for("No jobs yet");
    assert!(place.run(&["submit", &file]).status.success());
    screen.wait_for("fast.1");
    screen.keys("l");
    screen.wait_for("► a");
    screen.keys("j enter");
    screen.wait_for("[Output]");
    screen.wait_for("4999");
    let (mark, start) = (screen.mark(), Instant::now());
    std::thread::sleep(Duration::from_secs(3));
    let rate = screen.frames_since(mark) as f64 / start.elapsed().as_secs_f64();
    let keys: Vec<f64> = (0..20)
        .map(|round| {
            let (key, tab) = if round % 2 == 0 { ("2", "[Info]") } else { ("1", "[Output]") };
            let start = Instant::now();
            screen.keys(key);
            screen.wait_for(tab).duration_since(start).as_secs_f64() * 1_000.0
        })
        .collect();
    report.at_most("screen: frames with 50,000 lines/s of output", rate, 30.5, 30.5, "/s");
    report.at_most("screen: a key with 50,000 lines/s of output", median(keys), 50.0, 10.0, "ms");
    assert!(place.run(&["cancel", "--all", "--kill"]).status.success());
}

/// An attached screen's own memory with one job of 100,000 tasks unfolded, all of them read.
pub fn memory(report: &mut Report) {
    let place = Place::started();
    // None of them starts: they wait for one that sleeps.
    let mut job = "name: large\ntasks:\n  - { id: first, command: sleep, args: ['600'] }\n".to_owned();
    for n in 1..100_000 {
        let _ = writeln!(job, "  - {{ id: t{n}, needs: [first], command: /bin/true }}");
    }
    let file = place.file("large.yaml", &job);
    assert!(place.run(&["submit", &file]).status.success());
    let screen = open(&place);
    screen.wait_for("/100001");
    screen.keys("G");
    screen.wait_for("t99999");
    screen.wait_quiet(Duration::from_secs(2));
    report.at_most("screen: memory (PSS) with 100,000 tasks in the tree", pss(screen.pid()) / 1_024.0, 20.0, 20.0, "MiB");
    assert!(place.run(&["cancel", "--all", "--kill"]).status.success());
}

/// Processor time of a process so far, in milliseconds.
fn cpu_ms(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap_or_default();
    // Of all its threads: each has a file of its own.
    let own = |text: &str| text.split_whitespace().next().and_then(|value| value.parse::<f64>().ok()).unwrap_or(0.0);
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("a process");
    let sum: f64 = tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok())
        .map(|text| own(&text))
        .sum();
    sum.max(own(&stat)) / 1_000_000.0
}
