//! Engines that nothing can be mounted on: all is copied there and back, whoever dies in between.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a failing test says so by a panic")]

#[path = "support/docker/mod.rs"]
mod engines;
#[path = "support/home.rs"]
mod home;

#[path = "support/questions.rs"]
mod questions;

#[path = "docker_remote/copies.rs"]
mod copies;
#[path = "docker_remote/deaths.rs"]
mod deaths;
#[path = "docker_remote/sight.rs"]
mod sight;
#[path = "docker_remote/users.rs"]
mod users;

use airx::model::message::{AttemptView, TaskDetail};
use airx::model::state::TaskState;
use engines::Engine;
use home::TestHome;

/// A home whose pool `far` is on the engine at `host`; no manager yet.
fn unstarted(host: &str, more: &str) -> TestHome {
    let home = TestHome::new();
    std::fs::create_dir_all(home.path()).unwrap();
    let pool = format!("{{ backend: docker, slots: 4, image: {}, pull: never, host: \"{host}\"{more} }}", engines::BUSYBOX);
    std::fs::write(home.path().join("config.yaml"), format!("poll_interval: 1s\npools:\n  far: {pool}\n")).unwrap();
    home
}

fn started(host: &str, more: &str) -> TestHome {
    let mut home = unstarted(host, more);
    home.start();
    home
}

/// A job `j.1` in the pool with a task `t` that is a script.
fn submit(home: &TestHome, script: &str, more: &str) -> String {
    let task = serde_json::json!({ "id": "t", "run": script });
    let job = serde_json::json!({ "name": "j", "pool": "far", "tasks": [task] });
    let mut job = job;
    let more: serde_json::Value = serde_json::from_str(&format!("{{{more}}}")).unwrap();
    for (key, value) in more.as_object().unwrap() {
        job["tasks"][0][key] = value.clone();
    }
    home.submit(&job.to_string())
}

fn task(home: &TestHome) -> TaskDetail {
    home.task("j.1/t")
}

/// The only attempt, once the task is over; its outcome as a sentence, and all remarks.
fn only(home: &TestHome) -> (String, String) {
    home.until_over("j.1");
    let task = task(home);
    let sentences: Vec<String> = task.attempts.iter().map(outcome).collect();
    assert_eq!(sentences.len(), 1, "{sentences:?}");
    (sentences[0].clone(), notes(&task))
}

fn outcome(attempt: &AttemptView) -> String {
    attempt.outcome.as_ref().map_or_else(String::new, |outcome| outcome.sentence())
}

fn notes(task: &TaskDetail) -> String {
    let facts = task.attempts.iter().filter_map(|attempt| attempt.facts.as_ref());
    facts.flat_map(|facts| facts.notes.clone()).collect::<Vec<_>>().join("\n")
}

fn until_running(home: &TestHome) {
    home.until("the task runs", || matches!(home.tasks("j.1")[0].state, TaskState::Running { .. }));
}

fn until_printed(home: &TestHome, text: &str) {
    home.until("the task printed it", || String::from_utf8_lossy(&home.run(["logs", "j.1/t", "--raw"]).stdout).contains(text));
}

/// The home's containers of attempts, running or not.
fn containers(engine: &Engine, home: &TestHome) -> Vec<String> {
    let of_home = format!("label=airx.home={}", home.path().display());
    let said = engine.ok(["ps", "-aq", "--filter", &of_home, "--filter", "label=airx.attempt"]);
    said.lines().map(str::to_owned).collect()
}

/// Runs a command in the task's container.
fn inside(engine: &Engine, home: &TestHome, command: &[&str]) -> String {
    let container = containers(engine, home).pop().expect("a container");
    let exec = ["exec", "-w", "/workspace", &container];
    engine.ok(exec.iter().chain(command))
}

fn until_cleared(engine: &Engine, home: &TestHome) {
    home.until("its container is gone", || containers(engine, home).is_empty());
}
