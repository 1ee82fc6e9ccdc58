//! Retries by outcome and requeues through the built program.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test says so by a panic")]

#[path = "support/home.rs"]
mod home;

use airx::model::change::Change;
use airx::model::message::EventView;
use airx::model::state::{FailCause, Hold, Outcome, TaskState};
use home::TestHome;

fn home() -> TestHome {
    let mut home = TestHome::new();
    home.start();
    home
}

/// The waits before further attempts of a job, in milliseconds.
fn waits(home: &TestHome, job: &str) -> Vec<u64> {
    let events = home.ok(["events", "--job", job, "-o", "jsonl"]);
    let events = events.lines().map(|line| serde_json::from_str::<EventView>(line).unwrap().event.change);
    let wait = |change| match change {
        Change::AttemptClosed { state: TaskState::Held { hold: Hold::Retry { delay_ms, .. } }, .. } => Some(delay_ms),
        _ => None,
    };
    events.filter_map(wait).collect()
}

#[test]
fn an_exit_code_has_its_own_retries_while_others_have_none() {
    let home = home();
    let job = home.submit(
        "name: busy\ntasks:\n  - id: a\n    retry: { attempts: 1, jitter: 0, on: { exit: { 75: { attempts: 4, delay: 20ms, factor: 1 } } } }\n    \
         run: echo x >> tries; test $(wc -l < tries) -ge 3 || exit 75\n",
    );
    assert_eq!(home.until_over(&job), "completed");
    assert_eq!((home.task("busy/a").attempts.len(), waits(&home, &job)), (3, vec![20, 20]));
    let job = home.submit(
        "name: wrong\ntasks:\n  - id: a\n    retry: { attempts: 5, delay: 10ms, on: { exit: { 2: never } } }\n    run: exit 2\n",
    );
    assert_eq!((home.until_over(&job).as_str(), home.task("wrong/a").attempts.len()), ("failed", 1));
}

#[test]
fn a_timeout_waits_longer_than_a_failure_and_a_gate_is_never_tried_again() {
    let home = home();
    let job = home.submit(
        "name: slow\ntasks:\n  - id: a\n    timeout: 100ms\n    grace: 10ms\n    \
         retry: { attempts: 3, delay: 1ms, factor: 1, jitter: 0, on: { timed_out: { delay: 30ms } } }\n    \
         run: echo x >> tries; case $(wc -l < tries) in 1) sleep 60;; 2) exit 1;; esac\n",
    );
    assert_eq!(home.until_over(&job), "completed");
    let outcomes: Vec<Outcome> = home.task("slow/a").attempts.into_iter().filter_map(|attempt| attempt.outcome).collect();
    let failed = Outcome::Failed { cause: FailCause::Exit(1) };
    assert_eq!((outcomes, waits(&home, &job)), (vec![Outcome::TimedOut, failed, Outcome::Succeeded], vec![30, 1]));
    let job = home.submit(
        "name: gated\ntasks:\n  - { id: a, run: 'true', accept: 'false', retry: { attempts: 9, delay: 1ms, on: { gate: never } } }\n",
    );
    assert_eq!((home.until_over(&job).as_str(), home.task("gated/a").attempts.len()), ("failed", 1));
}

#[test]
fn what_is_spent_of_a_class_outlives_the_manager() {
    let mut home = home();
    let job = home.submit(
        "name: long\ntasks:\n  - id: a\n    retry: { on: { exit: { 75: { attempts: 3, delay: 300ms, factor: 1, jitter: 0 } } } }\n    run: exit 75\n",
    );
    home.until("it has failed once", || waits(&home, &job).len() == 1);
    home.kill_manager();
    home.start();
    assert_eq!(home.until_over(&job), "failed");
    assert_eq!(home.task("long/a").attempts.len(), 3);
    home.ok(["stop"]);
    assert!(home.ok(["doctor"]).contains("journal"), "tables and journal are compared");
}
