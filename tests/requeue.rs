//! Requeues through the built program: what runs again, with which parameters, and what is asked first.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test says so by a panic")]

#[path = "support/claude/mod.rs"]
mod claude;
#[path = "support/claude_home.rs"]
mod claude_home;
#[path = "support/home.rs"]
mod home;
#[path = "support/pty.rs"]
mod pty;

use airx::model::message::TaskView;
use airx::model::state::TaskState;
use home::{TestHome, text};

fn home() -> TestHome {
    let mut home = TestHome::new();
    home.start();
    home
}

/// How often each task of a job was tried.
fn attempts(home: &TestHome, job: &str) -> Vec<u32> {
    home.tasks(job).iter().map(|task: &TaskView| task.attempts).collect()
}

/// Four tasks: a chain of three, whose middle one fails as long as there is no `good`, and one beside it.
const CHAIN: &str = "name: chain\nmax_parallel: 2\ntasks:\n  - { id: a, run: 'true' }\n  - { id: b, needs: [a], run: test -e good }\n  \
                     - { id: c, needs: [b], run: 'true' }\n  - { id: d, run: 'true' }\n";

#[test]
fn by_default_what_failed_runs_again_and_brings_back_what_waited_for_it() {
    let home = home();
    let job = home.submit(CHAIN);
    assert_eq!(home.until_over(&job), "failed");
    std::fs::write(home.work().join("good"), "").unwrap();
    assert_eq!(home.ok(["requeue", "chain"]), "requeued: 1 task\n");
    assert_eq!((home.until_over(&job).as_str(), attempts(&home, &job)), ("completed", vec![1, 2, 1, 1]));
    assert!(home.ok(["requeue", "chain", "--failed"]).starts_with("nothing to requeue"));
}

#[test]
fn from_a_task_it_and_all_after_it_run_again_whatever_became_of_them() {
    let home = home();
    let job = home.submit(CHAIN);
    assert_eq!(home.until_over(&job), "failed");
    // Completed, failed and never run, from the first on; what costs nothing is not asked about.
    assert_eq!(home.ok(["requeue", "chain/a", "--from"]), "requeued: 3 tasks\n");
    assert_eq!((home.until_over(&job).as_str(), attempts(&home, &job)), ("failed", vec![2, 2, 0, 1]));
    std::fs::write(home.work().join("good"), "").unwrap();
    assert_eq!(home.ok(["requeue", "chain/b", "--from"]), "requeued: 2 tasks\n");
    assert_eq!((home.until_over(&job).as_str(), attempts(&home, &job)), ("completed", vec![2, 3, 1, 1]));
}

#[test]
fn what_lives_downstream_keeps_it_all_from_running_again() {
    let home = home();
    let job = home.submit("name: two\ntasks:\n  - { id: a, run: 'true' }\n  - { id: b, needs: [a], run: sleep 600 }\n");
    home.until("the second runs", || matches!(home.tasks(&job)[1].state, TaskState::Running { .. }));
    let output = home.run(["requeue", "two/a", "--from"]);
    assert!(!output.status.success() && text(&output).contains("airx cancel two.1/b"), "{}", text(&output));
    assert_eq!(attempts(&home, &job), [1, 1]);
    home.ok(["cancel", "two", "--kill"]);
    assert_eq!(home.until_over(&job), "cancelled");
    assert_eq!(home.ok(["requeue", "two/a", "--from"]), "requeued: 2 tasks\n");
    home.until("the second runs again", || matches!(home.tasks(&job)[1].state, TaskState::Running { attempt: 2 }));
    home.ok(["cancel", "two", "--kill"]);
}

#[test]
fn all_of_it_wants_a_yes_where_nobody_can_be_asked() {
    let home = home();
    std::fs::write(home.work().join("good"), "").unwrap();
    let job = home.submit(CHAIN);
    assert_eq!(home.until_over(&job), "completed");
    let output = home.run(["requeue", "chain", "--all"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    let said = text(&output);
    assert!(said.contains("this needs a yes: Run 4 finished tasks again?") && said.contains("--yes"), "{said}");
    assert_eq!(attempts(&home, &job), [1, 1, 1, 1]);
    assert_eq!(home.ok(["requeue", "chain", "--all", "--yes"]), "requeued: 4 tasks\n");
    assert_eq!((home.until_over(&job).as_str(), attempts(&home, &job)), ("completed", vec![2, 2, 2, 2]));
}

#[test]
fn on_a_terminal_it_asks_and_takes_no_for_an_answer() {
    let home = home();
    std::fs::write(home.work().join("good"), "").unwrap();
    let job = home.submit(CHAIN);
    assert_eq!(home.until_over(&job), "completed");
    for (answer, code, tries) in [("n", 1, 1), ("", 1, 1), ("y", 0, 2)] {
        let mut terminal = pty::Pty::open(&home.command(["requeue", "chain", "--all"]), 80, 24);
        terminal.wait_for("Run 4 finished tasks again? [y/N]");
        terminal.text(answer);
        terminal.keys("enter");
        assert_eq!(terminal.exit(), code, "{}", terminal.screen());
        home.until("the job is over", || home.job(&job).job.state.is_terminal());
        assert_eq!(attempts(&home, &job), [tries; 4], "{answer:?}");
    }
}

#[test]
fn what_was_paid_for_is_named_and_asked_about_from_a_task_on_too() {
    let Some((home, _api)) = claude_home::plain() else { return };
    let name = home.submit(&claude_home::job("Say [[fake:text]]", "  - { id: b, needs: [a], run: 'true' }\n"));
    assert_eq!(home.until_over(&name), "completed");
    assert!(home.task(&format!("{name}/a")).task.cost_microusd > 0);
    let output = home.run(["requeue", &format!("{name}/a"), "--from"]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("Run 2 finished tasks again? Their last attempts cost ") && said.contains('$'), "{said}");
    assert_eq!(home.ok(["requeue", &format!("{name}/b"), "--from"]), "requeued: 1 task\n", "what follows cost nothing");
}

#[test]
fn what_is_run_from_now_on_has_the_new_parameters_and_the_job_tells_which() {
    let mut home = home();
    let job = home.submit(
        "name: par\nparams: { word: { default: old }, count: { default: 3 } }\ntasks:\n  \
         - { id: a, run: 'echo {{ params.word }} {{ params.count }}' }\n  - { id: b, needs: [a], run: 'echo {{ params.word }}; test {{ params.count }} = 5' }\n",
    );
    assert_eq!(home.until_over(&job), "failed");
    let output = home.run(["requeue", "par", "-p", "wrod=new"]);
    assert!(!output.status.success() && text(&output).contains("did you mean `word`?"), "{}", text(&output));
    let said = home.ok(["requeue", "par", "--with-params", "word=$(touch pwned)", "-p", "count=5"]);
    assert_eq!(said, "parameters set for what starts from now on\nrequeued: 1 task\n");
    home.kill_manager();
    home.start();
    assert_eq!(home.until_over(&job), "completed");
    assert_eq!(home.ok(["logs", "par/a", "--raw"]), "old 3\n");
    assert_eq!(home.ok(["logs", "par/b", "--raw"]), "$(touch pwned)\n");
    assert!(!home.work().join("pwned").exists());
    let detail = home.job("par");
    assert_eq!(detail.params_set, ["count", "word"]);
    assert_eq!(detail.spec.params["count"], 5, "it stays a number");
    let shown = home.ok(["show", "par"]);
    assert!(shown.contains("params count=5 (changed)  word=\"$(touch pwned)\" (changed)"), "{shown}");
    assert!(home.ok(["events", "--job", "par"]).contains("parameters for what starts from now on"));
}
