//! What makes Claude runs fit to be left alone: usage limits, logins, sessions, budgets and rounds, through the built program with
//! the real CLI and a fake model on loopback.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test says so by a panic")]

#[path = "support/claude/mod.rs"]
mod claude;
#[path = "support/claude_home.rs"]
mod claude_home;
#[path = "support/home.rs"]
mod home;

#[path = "claude_runs/budgets.rs"]
mod budgets;
#[path = "claude_runs/limits.rs"]
mod limits;
#[path = "claude_runs/questions.rs"]
mod questions;
#[path = "claude_runs/rounds.rs"]
mod rounds;
#[path = "claude_runs/sessions.rs"]
mod sessions;

use airx::model::change::ClaudeFacts;
use airx::model::message::{AttemptView, TaskDetail};
use airx::model::state::Outcome;
use home::TestHome;

/// How a task's attempts ended, oldest first.
fn outcomes(task: &TaskDetail) -> Vec<Outcome> {
    task.attempts.iter().filter_map(|attempt| attempt.outcome.clone()).collect()
}

/// Sessions of its attempts, oldest first.
fn sessions(task: &TaskDetail) -> Vec<String> {
    task.attempts.iter().map(|attempt| attempt.session.clone().unwrap()).collect()
}

fn facts(attempt: &AttemptView) -> ClaudeFacts {
    attempt.facts.as_ref().unwrap().claude.clone().unwrap()
}

/// Requests that the model got so far, by their sessions.
fn requests(home: &TestHome) -> Vec<String> {
    let log = std::fs::read_to_string(home.work().join("requests.ndjson")).unwrap_or_default();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    lines
        .filter(|request| request["method"] == "POST")
        .map(|request| request["session"].as_str().unwrap_or_default().to_owned())
        .collect()
}
