//! Priorities and fairness through the built program.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test says so by a panic")]

#[path = "support/home.rs"]
mod home;

use std::fmt::Write as _;

use airx::model::change::Change;
use airx::model::message::EventView;
use home::{TestHome, text};

/// A manager whose pool has two slots.
fn home() -> TestHome {
    let mut home = TestHome::new();
    std::fs::create_dir_all(home.path()).unwrap();
    std::fs::write(home.path().join("config.yaml"), "pools:\n  local: { backend: process, slots: 2 }\n").unwrap();
    home.start();
    home
}

/// A job of so many tasks that do nothing and may all run at once.
fn wide(name: &str, tasks: usize) -> String {
    let mut text = format!("name: {name}\nmax_parallel: 10000\ntasks:\n");
    (0..tasks).for_each(|n| writeln!(text, "  - {{ id: t{n}, command: 'true' }}").unwrap());
    text
}

/// Which job each attempt belongs to, in the order in which they were opened since this job came.
fn opened(home: &TestHome, since: &str) -> Vec<String> {
    let events = home.ok(["events", "-o", "jsonl"]);
    let events = events.lines().map(|line| serde_json::from_str::<EventView>(line).unwrap());
    let is_submitted = |event: &EventView| matches!(&event.event.change, Change::JobSubmitted { name, .. } if name.name == since);
    events
        .skip_while(|event| !is_submitted(event))
        .filter(|event| matches!(event.event.change, Change::AttemptOpened { .. }))
        .filter_map(|event| Some(event.job?.to_string()))
        .collect()
}

#[test]
fn a_job_of_ten_thousand_tasks_does_not_starve_one_of_three() {
    let home = home();
    home.submit(&wide("big", 10_000));
    home.until("the large job runs", || home.job("big").job.tasks.terminal() > 0);
    home.submit(&wide("small", 3));
    assert_eq!(home.until_over("small"), "completed");
    let big = home.job("big").job;
    assert!(!big.state.is_terminal(), "the large one is far from over: {:?}", big.tasks);
    home.ok(["cancel", "big"]);
    let opened = opened(&home, "small");
    let places: Vec<usize> = (0..opened.len()).filter(|place| opened[*place] == "small.1").collect();
    assert_eq!(places.len(), 3);
    // Its first task gets the next slot that becomes free, and from then on the slots go round.
    let between = places[2] - 2;
    assert!(between <= 4, "{between} tasks of the large job started before the last one of the small job: {:?}", &opened[..9]);
}

#[test]
fn priorities_come_from_the_file_the_command_line_and_a_person_and_say_who_is_next() {
    let home = home();
    let gated = |name: &str, tasks: &str| format!("name: {name}\nmax_parallel: 9\npriority: 5\ntasks:\n{tasks}");
    let waits = "  - { id: a, run: 'while ! test -e go; do sleep 0.02; done' }\n";
    home.submit(&gated("first", &format!("{waits}{}", waits.replace("id: a", "id: b"))));
    home.until("both slots are taken", || home.job("first").job.tasks.live() == 2);
    home.submit(&gated("low", "  - { id: later, command: 'true' }\n  - { id: sooner, command: 'true', priority: 3 }\n"));
    let path = home.job_file("job.yaml", &gated("high", "  - { id: a, command: 'true' }\n"));
    home.ok(["submit", path.to_str().unwrap(), "--priority", "-3"]);
    assert_eq!((home.job("low").job.priority, home.job("high").job.priority), (5, -3));
    assert_eq!(
        home.ok(["priority", "high", "900"]),
        "high has the priority 900: it counts for slots that become free, what runs goes on\n"
    );
    assert_eq!(home.ok(["priority", "high", "900"]), "high has the priority 900 already\n");
    assert!(home.ok(["show", "high"]).contains("priority 900"));
    let status: serde_json::Value = serde_json::from_str(&home.ok(["status", "-o", "json"])).unwrap();
    assert_eq!(status["recent"][0]["priority"], 900, "{status}");
    let refused = home.run(["priority", "high", "1001"]);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
    std::fs::write(home.work().join("go"), "").unwrap();
    assert_eq!((home.until_over("low"), home.until_over("high")), ("completed".to_owned(), "completed".to_owned()));
    assert_eq!(opened(&home, "first")[2], "high.1");
    let started = |address: &str| home.task(address).attempts[0].opened;
    assert!(started("low/sooner") <= started("low/later"));
    assert!(home.ok(["events", "--job", "high"]).contains("priority 900"));
}

#[test]
fn a_priority_that_is_none_is_told_with_its_place() {
    let home = TestHome::new();
    let path = home.job_file("job.yaml", "name: x\npriority: 1001\ntasks:\n  - { id: a, run: 'true', priority: high }\n");
    let output = home.run(["validate", path.to_str().unwrap()]);
    let told = text(&output);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains(":2:11: 1001 is out of bounds"), "{told}");
    assert!(told.contains(":4:37: `high` is no priority"), "{told}");
}
