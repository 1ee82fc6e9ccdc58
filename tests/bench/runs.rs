//! The figures of the core.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use airx::api::Client;
use airx::manager::ports::Store;
use airx::model::change::{AttemptFacts, Change, Event};
use airx::model::ids::{AttemptId, JobId, JobName, TaskIdx};
use airx::model::message::{Answer, Query};
use airx::model::state::{JobState, Outcome, TaskState};
use airx::model::time::Utc;

use crate::place::{Place, pss};
use crate::report::{Report, median};

/// A job of `count` tasks of /bin/true, so many at once.
fn trues(name: &str, count: u32, parallel: u32) -> String {
    let mut job = format!("name: {name}\nmax_parallel: {parallel}\ntasks:\n");
    for n in 0..count {
        let _ = writeln!(job, "  - {{ id: t{n}, command: /bin/true }}");
    }
    job
}

/// Submits a job and waits for its end; seconds from the submission.
pub fn timed(place: &Place, file: &str) -> f64 {
    let start = Instant::now();
    let output = place.run(&["submit", file]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let job = String::from_utf8_lossy(&output.stdout).trim().parse().expect("a job's name");
    let mut client = place.client();
    loop {
        let page = client.query(Query::Job { job: airx::model::ids::JobRef::clone(&job) }).expect("an answer");
        if let Answer::Job(detail) = page.body
            && detail.job.state.is_terminal()
        {
            assert_eq!(detail.job.state, JobState::Completed);
            return start.elapsed().as_secs_f64();
        }
        client.wait(page.seq, Duration::from_secs(60)).expect("news");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// 1,000 tasks, 10 at a time, every transition committed.
pub fn throughput(report: &mut Report, floor: f64) {
    let place = Place::started();
    let file = place.file("many.yaml", &trues("many", 1_000, 10));
    let rates: Vec<f64> = (0..5).map(|_| 1_000.0 / timed(&place, &file)).collect();
    let rate = median(rates);
    report.figure("throughput, 1,000 tasks, 10 at a time", rate, "tasks/s");
    report.at_least("throughput as a part of the floor", rate / floor, 0.28, 0.42, "");
}

/// A chain of 50 tasks that wait for each other.
pub fn chain(report: &mut Report) {
    let place = Place::started();
    let mut job = "name: chain\ntasks:\n  - { id: t0, command: /bin/true }\n".to_owned();
    for n in 1..50 {
        let _ = writeln!(job, "  - {{ id: t{n}, needs: [t{}], command: /bin/true }}", n - 1);
    }
    let file = place.file("chain.yaml", &job);
    let steps: Vec<f64> = (0..5).map(|_| timed(&place, &file) * 1_000.0 / 50.0).collect();
    report.at_most("a chain of 50 dependent tasks, per step", median(steps), 5.0, 2.0, "ms");
}

/// From the call of `airx submit` to what the task does first, on an idle manager: the task touches a file, which is looked
/// for every 100 microseconds (file times are only as fine as the kernel's tick).
pub fn submit_to_start(report: &mut Report) {
    let place = Place::started();
    let mark = place.work().join("started");
    let file = place.file(
        "one.yaml",
        &format!("name: one\ntasks:\n  - {{ id: a, command: /usr/bin/touch, args: ['{}'] }}\n", mark.display()),
    );
    let mut times = Vec::new();
    for _ in 0..20 {
        let _ = std::fs::remove_file(&mark);
        let start = Instant::now();
        let mut submit = place.command(&["submit", &file]).stdout(std::process::Stdio::null()).spawn().expect("airx");
        while !mark.exists() {
            assert!(start.elapsed() < Duration::from_secs(10), "the task did not start");
            std::thread::sleep(Duration::from_micros(100));
        }
        times.push(start.elapsed().as_secs_f64() * 1_000.0);
        assert!(submit.wait().expect("a child").success());
        // The next one finds an idle manager.
        std::thread::sleep(Duration::from_millis(50));
    }
    report.at_most("`airx submit` called to task started", median(times), 10.0, 4.5, "ms");
}

/// A home with so many finished tasks in jobs of 1,000, written by the store itself.
pub fn filled(tasks: u32) -> Place {
    let place = Place::new();
    std::fs::create_dir(place.home()).expect("a home");
    std::fs::set_permissions(place.home(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("permissions");
    let mut store = airx::store::SqliteStore::open(&place.home().join("airx.db"), [7; 36]).expect("a store");
    let spec = sample();
    for job in 1..=tasks / 1_000 {
        store.commit(&finished(JobId(job), &spec)).expect("a commit");
    }
    place
}

pub fn sample() -> airx::model::spec::Submission {
    let options = airx::model::jobfile::ParseOptions {
        file: "sample",
        base: std::path::Path::new("/"),
        params: &[],
        environment: &std::collections::BTreeMap::new(),
        pools: None,
        claude_passed: &std::collections::BTreeMap::new(),
        read_file: &|_| Err(String::new()),
    };
    airx::model::jobfile::parse(&trues("many", 1_000, 10), &options).expect("a job").submission
}

fn finished(job: JobId, submission: &airx::model::spec::Submission) -> Vec<Event> {
    let event = |change| Event { at: Utc(1_700_000_000_000), change };
    let name = JobName { name: "many".to_owned(), number: job.0 };
    let mut events = vec![event(Change::JobSubmitted {
        job,
        name,
        spec: std::sync::Arc::new(submission.job.clone()),
        key: None,
        parent: None,
    })];
    for (idx, task) in (0..).map(TaskIdx).zip(&submission.tasks) {
        let attempt = AttemptId { job, task: idx, number: 1 };
        let spec = std::sync::Arc::new(task.clone());
        events.push(event(Change::TaskAdded { job, task: idx, spec, origin: None, state: TaskState::Queued }));
        events.push(event(Change::AttemptOpened { attempt, pool: "local".to_owned(), session: None, resumes: false }));
        events.push(event(Change::AttemptStarted { attempt }));
        let facts = Box::new(AttemptFacts::default());
        events.push(event(Change::AttemptClosed { attempt, outcome: Outcome::Succeeded, facts, state: TaskState::Completed }));
    }
    events.push(event(Change::JobMoved { job, state: JobState::Completed }));
    events
}

/// `airx status` with 10,000 finished tasks, the whole process.
pub fn status(report: &mut Report) {
    let mut place = filled(10_000);
    place.start();
    let mut times = Vec::new();
    for _ in 0..50 {
        let start = Instant::now();
        assert!(place.run(&["status"]).status.success());
        times.push(start.elapsed().as_secs_f64() * 1_000.0);
    }
    report.at_most("`airx status` with 10,000 finished tasks", median(times), 10.0, 5.0, "ms");
}

/// The manager's memory, and how fast it is ready with 100,000 tasks in the store.
pub fn memory(report: &mut Report) {
    let idle = Place::started();
    settle();
    report.at_most("manager memory (PSS), idle", idle.manager_pss(), 12.0, 8.0, "MiB");
    drop(idle);
    // The way it is used: ten jobs of 1,000 tasks have just run through this very manager.
    let place = Place::started();
    let file = place.file("many.yaml", &trues("many", 1_000, 10));
    for _ in 0..10 {
        timed(&place, &file);
    }
    settle();
    report.at_most("manager memory after 10,000 tasks run", place.manager_pss(), 20.0, 12.0, "MiB");
    drop(place);
    let mut place = filled(100_000);
    let ready: Vec<f64> = (0..5)
        .map(|_| {
            let seconds = place.start();
            place.stop();
            seconds * 1_000.0
        })
        .collect();
    report.at_most("start to ready with 100,000 tasks in the store", median(ready), 200.0, 50.0, "ms");
    place.start();
    for args in [["status"].as_slice(), &["jobs"], &["tasks", "many"], &["events", "--job", "many"]] {
        assert!(place.run(args).status.success());
    }
    settle();
    report.at_most("manager memory with 100,000 finished tasks", place.manager_pss(), 60.0, 30.0, "MiB");
}

/// Two poll intervals: finished jobs leave memory at a poll, and what is free is given back.
fn settle() {
    std::thread::sleep(Duration::from_secs(11));
}

/// A runner's own memory: the mean of ten beside a manager.
pub fn runner_memory(report: &mut Report) {
    let place = Place::started();
    let mut job = "name: sleepers\nmax_parallel: 10\ntasks:\n".to_owned();
    for n in 0..10 {
        let _ = writeln!(job, "  - {{ id: t{n}, command: sleep, args: ['30'] }}");
    }
    let file = place.file("sleepers.yaml", &job);
    assert!(place.run(&["submit", &file]).status.success());
    let directory = place.home().join("jobs/sleepers.1");
    let deadline = Instant::now() + Duration::from_secs(20);
    let runners: Vec<u32> = (0..10)
        .map(|n| {
            loop {
                let path = directory.join(format!("t{n}.1/runner.json"));
                if let Ok(info) = std::fs::read_to_string(&path)
                    && let Ok(info) = serde_json::from_str::<airx::model::attempt::RunnerInfo>(&info)
                {
                    break info.pid;
                }
                assert!(Instant::now() < deadline, "the runners did not start");
                std::thread::sleep(Duration::from_millis(5));
            }
        })
        .collect();
    std::thread::sleep(Duration::from_millis(300));
    let mean = runners.iter().map(|pid| pss(*pid)).sum::<f64>() / 10.0 / 1_024.0;
    report.at_most("a runner's own memory (PSS, mean of ten)", mean, 1.0, 0.4, "MiB");
    assert!(place.run(&["cancel", "--all", "--kill"]).status.success());
    let mut client = place.client();
    while !matches!(client.query(Query::Status).expect("an answer").body, Answer::Status(view) if view.tasks.live() == 0) {
        assert!(Instant::now() < deadline, "the runners did not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}
