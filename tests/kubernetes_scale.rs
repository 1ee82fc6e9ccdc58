//! A thousand tasks as pods of a played cluster: none is missed or doubled, and the API server is asked for little.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a failing test says so by a panic")]

#[path = "support/kubernetes/bench.rs"]
mod bench;
#[path = "support/home.rs"]
mod home;
#[path = "support/kubernetes/mod.rs"]
mod kubernetes;

use std::time::Instant;

use airx::model::state::TaskState;
use bench::Bench;
use kubernetes::script::{file, stamped};
use kubernetes::{Kind, Replay, Server};

/// The recording that all of them play: a task that prints a few lines and ends well.
const SCENARIO: &str = "success";

/// A home with so many slots for pods that live for half a second or so.
fn site(slots: u32) -> Bench {
    let server = Server::replay(Replay::of(SCENARIO).factor(0.1));
    Bench::new(server, slots, "image: busybox, runner: none, create_rate: 1000")
}

fn job(tasks: usize, slots: u32) -> String {
    let tasks: String = (1..=tasks).map(|n| format!("  - {{ id: t{n}, run: 'true' }}\n")).collect();
    format!("name: k\npool: box\nmax_parallel: {slots}\ntasks:\n{tasks}")
}

fn printed() -> Vec<u8> {
    let log = file(SCENARIO, "log.txt").unwrap();
    log.split_inclusive(|byte| *byte == b'\n').filter_map(stamped).flat_map(|(_, text)| text.to_vec()).collect()
}

/// Every task is completed in one attempt, whose pod was made once and ran once, and which printed what it should.
fn assert_all(bench: &Bench, job: &str, count: usize) {
    bench.server.until("all are deleted", |server| server.requests(Kind::Delete) >= count && server.pods().is_empty());
    assert_eq!(bench.home.until_over(job), "completed");
    let tasks = bench.home.tasks(job);
    assert_eq!(tasks.len(), count);
    for task in &tasks {
        assert_eq!((&task.state, task.attempts), (&TaskState::Completed, 1), "{}", task.id);
    }
    let (created, ran) = (bench.server.created(), bench.server.ran());
    assert_eq!((created.len(), ran.len()), (count, count));
    assert!(created.values().chain(ran.values()).all(|times| *times == 1));
    let first = bench.home.task(&format!("{job}/t1")).attempts[0].dir.clone();
    let expected = printed();
    let attempts = std::fs::read_dir(first.parent().unwrap()).unwrap().flatten().map(|entry| entry.path());
    let kept: Vec<_> = attempts.filter(|path| path.join("out").exists()).collect();
    assert_eq!(kept.len(), count);
    for attempt in kept {
        assert!(std::fs::read(attempt.join("out")).unwrap() == expected, "{}", attempt.display());
    }
    bench.until_nothing_is_left();
    bench.assert_replay();
}

/// A figure of a process in `/proc`, in MiB.
fn mebibytes(pid: u32, file: &str, name: &str) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1_024.0
}

#[test]
fn a_thousand_tasks_at_a_hundred_slots() {
    const TASKS: usize = 1_000;
    const SLOTS: u32 = 100;
    let mut bench = site(SLOTS);
    bench.home.start();
    let began = Instant::now();
    let job = bench.home.submit(&job(TASKS, SLOTS));
    bench.server.until("all are deleted", |server| server.requests(Kind::Delete) >= TASKS && server.pods().is_empty());
    let (took, manager) = (began.elapsed(), bench.home.manager_pid());
    println!("{TASKS} tasks at {SLOTS} slots took {:.1} s", took.as_secs_f64());
    let (pss, most) = (mebibytes(manager, "smaps_rollup", "Pss:"), mebibytes(manager, "status", "VmHWM:"));
    println!("the manager: PSS {pss:.1} MiB, at most {most:.1} MiB resident");
    let requests = bench.server.all_requests();
    requests.iter().for_each(|(kind, count)| println!("{kind:?}: {count}, {:.3} for each pod", *count as f64 / TASKS as f64));
    let (_, connections) = bench.server.connections();
    println!("at most {connections} connections at once");
    assert_all(&bench, &job, TASKS);

    let calls: usize =
        requests.iter().filter(|(kind, _)| !matches!(kind, Kind::Watch | Kind::List)).map(|(_, count)| count).sum();
    assert!(calls <= 5 * TASKS && requests[&Kind::Create] == TASKS && requests[&Kind::Delete] == TASKS, "{requests:?}");
    let streams = |kind| requests.get(&kind).copied().unwrap_or_default();
    assert!(streams(Kind::Watch) + streams(Kind::List) <= 10, "{requests:?}");
    // A follower for each that runs, the watch, and calls that are just being made.
    assert!(connections <= SLOTS as usize + 30, "{connections}");
    assert!(took.as_secs() < 60, "{took:?}");
}

#[test]
fn three_hundred_tasks_and_three_managers() {
    const TASKS: usize = 300;
    let mut bench = site(50);
    bench.home.start();
    let job = bench.home.submit(&job(TASKS, 50));
    for reached in [TASKS / 3, TASKS * 2 / 3] {
        bench.server.until("many are made", |server| server.requests(Kind::Create) >= reached);
        bench.home.kill_manager();
        bench.home.start();
    }
    assert_all(&bench, &job, TASKS);
    println!("{:?}", bench.server.all_requests());
}
