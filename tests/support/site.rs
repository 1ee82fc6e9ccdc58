//! A home whose pool `box` is somewhere else, and what is true of every task whatever happened to it.
#![allow(dead_code, reason = "each test program uses its own part")]

use std::fs;
use std::path::PathBuf;

use airx::model::message::{AttemptView, StatusView, TaskView};
use airx::model::state::{Outcome, TaskState};

use crate::home::TestHome;

/// With the runner in the container or pod, or without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Runner,
    Reduced,
}

/// A home. Its manager is not started yet.
pub struct Site {
    pub home: TestHome,
}

impl Site {
    pub fn new() -> Site {
        Site { home: TestHome::new() }
    }

    /// Writes the configuration, in which `pool` is the pool `box`.
    pub fn set_pool(&self, pool: &str) {
        fs::create_dir_all(self.home.path()).expect("a directory");
        fs::write(self.home.path().join("config.yaml"), format!("poll_interval: 1s\npools:\n  box: {pool}\n"))
            .expect("a configuration");
    }

    /// Sets the poll interval.
    pub fn poll_every(&self, interval: &str) {
        let path = self.home.path().join("config.yaml");
        let text = fs::read_to_string(&path).expect("a configuration");
        fs::write(path, text.replace("poll_interval: 1s", &format!("poll_interval: {interval}"))).expect("a configuration");
    }

    /// Waits until the tasks t1, t2… have each made a file `here-…`.
    pub fn until_all_are_here(&self, count: u32) {
        self.home.until("all tasks are there", || (1..=count).all(|n| self.file(&format!("here-t{n}")).exists()));
    }

    /// A file of the workspace.
    pub fn file(&self, name: &str) -> PathBuf {
        self.home.work().join(name)
    }

    /// What it holds.
    pub fn content(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap_or_default()
    }

    /// Makes it.
    pub fn touch(&self, name: &str) {
        fs::write(self.file(name), "").expect("a file");
    }

    /// Waits for it.
    pub fn until_file(&self, name: &str) {
        self.home.until(&format!("{name} is there"), || self.file(name).exists());
    }

    /// Slots of the pool that are taken.
    pub fn slots_used(&self) -> u32 {
        self.status().pools.iter().filter(|pool| pool.name == "box").map(|pool| pool.used).sum()
    }

    /// `airx status`.
    pub fn status(&self) -> StatusView {
        serde_json::from_str(&self.home.ok(["status", "-o", "json"])).expect("a status")
    }

    /// A task of a job, as it is listed.
    pub fn listed(&self, job: &str, task: &str) -> TaskView {
        self.home.tasks(job).into_iter().find(|listed| listed.id == task).expect("such a task")
    }

    /// The attempts of a task: numbered without gaps, each with its outcome.
    pub fn attempts(&self, address: &str) -> Vec<AttemptView> {
        let attempts = self.home.task(address).attempts;
        for (at, attempt) in attempts.iter().enumerate() {
            assert_eq!(attempt.number as usize, at + 1, "{address}: {attempts:?}");
            assert!(attempt.outcome.is_some(), "{address} has an attempt without an outcome: {attempts:?}");
        }
        attempts
    }

    /// The sentences of a task's outcomes.
    pub fn outcomes(&self, address: &str) -> Vec<String> {
        self.attempts(address).iter().filter_map(|attempt| Some(attempt.outcome.as_ref()?.sentence())).collect()
    }

    /// The remarks of a task's last attempt.
    pub fn notes(&self, address: &str) -> String {
        let attempts = self.attempts(address);
        attempts.last().and_then(|attempt| attempt.facts.clone()).map_or_else(String::new, |facts| facts.notes.join("\n"))
    }

    /// A task that has run once, in its only attempt.
    pub fn assert_once(&self, job: &str, task: &str, out: &str) {
        let address = format!("{job}/{task}");
        assert_eq!(self.outcomes(&address), ["succeeded"], "{address}\n{}\n{}", self.notes(&address), self.home.manager_log());
        assert_eq!(self.listed(job, task).state, TaskState::Completed);
        self.assert_out(&address, out);
    }

    /// What the last attempt printed.
    pub fn assert_out(&self, address: &str, out: &str) {
        let attempts = self.attempts(address);
        let dir = &attempts.last().expect("an attempt").dir;
        assert_eq!(fs::read_to_string(dir.join("out")).unwrap_or_default(), out, "{address}");
    }

    /// The journal gives the tables again.
    pub fn assert_replay(&self) {
        let differences = airx::store::verify::replay(&self.home.path().join("airx.db"));
        assert!(differences.is_empty(), "{differences:?}");
    }

    /// What the manager wrote down.
    pub fn log(&self) -> String {
        let logs = fs::read_dir(self.home.path().join("logs")).into_iter().flatten().flatten();
        logs.filter_map(|log| fs::read_to_string(log.path()).ok()).collect::<String>() + &self.home.manager_log()
    }

    /// Waits until a task has ended, with anything.
    pub fn until_ended(&self, job: &str, task: &str) -> Outcome {
        self.home.until("the task is over", || self.listed(job, task).state.is_terminal());
        self.attempts(&format!("{job}/{task}")).pop().and_then(|attempt| attempt.outcome).expect("an attempt")
    }
}
