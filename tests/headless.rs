//! A job file goes from `airx run FILE` to a recorded outcome, with its output kept: the built program, as a user meets it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a failing test says so by a panic")]

#[path = "support/home.rs"]
mod home;

use airx::model::change::TaskResult;
use airx::model::state::{FailCause, Outcome, TaskState};
use home::{TestHome, text};

fn run(home: &TestHome, job: &str) -> std::process::Output {
    let path = home.job_file("job.yaml", job);
    home.run(["run", path.to_str().unwrap()])
}

#[test]
fn run_without_a_manager_starts_one_says_so_and_ends_with_the_job() {
    let home = TestHome::new();
    let output = run(&home, "name: hello\ntasks:\n  - { id: greet, run: echo hello }\n");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).contains("manager"), "it says that it started a manager: {}", text(&output));
    assert_eq!(home.ok(["logs", "hello/greet", "--raw"]), "hello\n");
    home.ok(["stop"]);
}

#[test]
fn a_failed_job_exits_1_and_says_which_task_failed_and_why() {
    let mut home = TestHome::new();
    home.start();
    let output = run(&home, "name: bad\ntasks:\n  - { id: a, run: exit 7 }\n  - { id: b, needs: [a], run: echo never }\n");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("exit 7"), "{}", text(&output));
    let tasks = home.tasks("bad");
    assert_eq!(tasks[0].outcome, Some(Outcome::Failed { cause: FailCause::Exit(7) }));
    assert_eq!(tasks[1].state, TaskState::UpstreamFailed);
}

#[test]
fn a_retry_recovers_and_each_attempt_keeps_its_own_output() {
    let mut home = TestHome::new();
    home.start();
    let output = run(
        &home,
        "name: again\ntasks:\n  - id: a\n    retry: { attempts: 3, delay: 10ms }\n    run: |\n      echo attempt\n      test -e mark && exit 0\n      touch mark; exit 1\n",
    );
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let attempts = home.task("again/a").attempts;
    assert_eq!(attempts.len(), 2);
    for attempt in ["1", "2"] {
        assert_eq!(home.ok(["logs", "again/a", "--attempt", attempt, "--raw"]), "attempt\n");
    }
}

#[test]
fn results_travel_to_later_tasks_and_never_become_shell_text() {
    let mut home = TestHome::new();
    home.start();
    let output = run(
        &home,
        "name: data\nparams: { word: { default: plain } }\ntasks:\n  - id: make\n    run: printf '%s' '$(touch pwned) \"quoted\"'\n    result: text\n  - id: use\n    needs: [make]\n    run: echo got {{ tasks.make.result }} and \"{{ params.word }}\"\n",
    );
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert_eq!(home.ok(["logs", "data/use", "--raw"]), "got $(touch pwned) \"quoted\" and plain\n");
    assert!(!home.work().join("pwned").exists());
}

#[test]
fn a_gate_stands_between_a_tasks_end_and_its_success() {
    let mut home = TestHome::new();
    home.start();
    let output = run(&home, "name: gated\ntasks:\n  - { id: a, run: echo done, accept: test -e proof }\n");
    assert_eq!(output.status.code(), Some(1));
    assert!(matches!(home.tasks("gated")[0].outcome, Some(Outcome::Failed { cause: FailCause::Gate(_) })));
    std::fs::write(home.work().join("proof"), "").unwrap();
    home.ok(["requeue", "gated"]);
    assert_eq!(home.until_over("gated"), "completed");
}

#[test]
fn a_timeout_ends_the_whole_tree_also_what_called_setsid_and_ignores_term() {
    let mut home = TestHome::new();
    home.start();
    let output = run(
        &home,
        "name: slow\ntasks:\n  - id: a\n    timeout: 300ms\n    grace: 200ms\n    run: |\n      trap '' TERM\n      setsid sh -c \"trap '' TERM; while :; do sleep 1; done\" &\n      while :; do sleep 1; done\n",
    );
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert_eq!(home.tasks("slow")[0].outcome, Some(Outcome::TimedOut));
    assert_eq!(home.strays(), Vec::<u32>::new());
}

#[test]
fn a_running_task_queues_further_tasks_sets_its_result_and_tells_its_progress() {
    let mut home = TestHome::new();
    home.start();
    let output = run(
        &home,
        "name: grow\nmax_parallel: 2\ntasks:\n  - id: seed\n    retry: { attempts: 2, delay: 10ms }\n    run: |\n      airx progress 1/2 halfway || exit 9\n      airx add --id leaf -- sh -c 'echo leaf' || exit 9\n      airx add -- sh -c 'echo unnamed' || exit 9\n      airx result '{\"n\": 3}' || exit 9\n      test -e again || { touch again; exit 1; }\n",
    );
    assert_eq!(output.status.code(), Some(0), "{}{}", text(&output), home.ok(["logs", "grow/seed", "--raw"]));
    let tasks = home.tasks("grow");
    let ids: Vec<&str> = tasks.iter().map(|task| task.id.as_str()).collect();
    assert_eq!(ids, ["seed", "leaf", "seed-1"], "the second attempt asked for the same, and nothing was doubled");
    assert!(tasks.iter().all(|task| task.state == TaskState::Completed));
    assert_eq!(tasks[1].parent.as_deref(), Some("seed"));
    match home.task("grow/seed").result {
        Some(TaskResult::Inline(value)) => assert_eq!(*value, serde_json::json!({"n": 3})),
        other => panic!("no result: {other:?}"),
    }
}

#[test]
fn a_command_is_queued_without_a_file_and_its_words_are_literal() {
    let mut home = TestHome::new();
    home.start();
    home.ok(["add", "--", "/bin/echo", "{{ x }}", "$(touch pwned)"]);
    assert_eq!(home.until_over("echo"), "completed");
    assert_eq!(home.ok(["logs", "echo/echo", "--raw"]), "{{ x }} $(touch pwned)\n");
    home.ok(["add", "--job", "echo", "--id", "more", "--needs", "echo", "--", "sh", "-c", "echo more"]);
    home.until("the job has its new task", || home.tasks("echo").iter().all(|task| task.state == TaskState::Completed));
    assert_eq!(home.ok(["logs", "echo", "more", "--raw"]), "more\n");
}

#[test]
fn ctrl_c_on_a_pipe_cancels_the_job_and_exits_130() {
    let mut home = TestHome::new();
    home.start();
    let path = home.job_file(
        "job.yaml",
        "name: long\ntasks:\n  - { id: a, run: 'touch begun; sleep 300' }\n  - { id: b, needs: [a], run: echo b }\n",
    );
    let child = home.command(["run", path.to_str().unwrap()]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    home.until("the task runs", || home.work().join("begun").exists());
    home::signal(child.id(), rustix::process::Signal::INT);
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(130));
    assert_eq!(home.until_over("long"), "cancelled");
    assert_eq!(home.strays(), Vec::<u32>::new());
}

#[test]
fn run_goes_on_over_a_restart_of_the_manager() {
    let mut home = TestHome::new();
    home.start();
    let path = home
        .job_file("job.yaml", "name: over\ntasks:\n  - { id: a, run: 'touch begun; while [ ! -e go ]; do sleep 0.05; done' }\n");
    let child = home
        .command(["run", path.to_str().unwrap()])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    home.until("the task runs", || home.work().join("begun").exists());
    home.kill_manager();
    home.start();
    std::fs::write(home.work().join("go"), "").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).contains("the manager is back"), "{}", text(&output));
}

#[test]
fn the_originals_json_is_accepted_unchanged() {
    let mut home = TestHome::new();
    home.start();
    let path = home.job_file(
        "original.json",
        r#"{"_comment": "as before", "job": {"name": "old-one", "description": "d"},
            "tasks": [{"id": "a", "command": "echo", "args": ["{{ not a template }}"], "dependencies": []},
                      {"id": "b", "command": "false", "args": [], "dependencies": ["a"]},
                      {"id": "c", "command": "echo", "args": ["c"], "dependencies": ["b"]}]}"#,
    );
    let output = home.run(["run", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert_eq!(home.ok(["logs", "old-one/a", "--raw"]), "{{ not a template }}\n");
    let states: Vec<TaskState> = home.tasks("old-one").into_iter().map(|task| task.state).collect();
    assert_eq!(states[..2], [TaskState::Completed, TaskState::Failed]);
    assert!(states[2].is_terminal() && states[2] != TaskState::Completed, "what needs a failed task never runs: {states:?}");
}

#[test]
fn bad_files_name_every_fault_with_its_place_and_exit_2() {
    let home = TestHome::new();
    let path = home.job_file("bad.yaml", "name: a/b\ntasks:\n  - { id: x, rum: echo }\n  - { id: x, run: echo, needs: [y] }\n");
    let output = home.run(["validate", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output);
    for part in ["bad.yaml:1:", "bad.yaml:3:", "bad.yaml:4:", "rum", "run"] {
        assert!(said.contains(part), "{part} is missing in\n{said}");
    }
}

#[test]
fn environment_is_only_what_was_asked_for_and_secrets_are_never_stored() {
    let mut home = TestHome::new();
    home.env.push(("CHOSEN".to_owned(), "passed-value".to_owned()));
    home.env.push(("OTHER".to_owned(), "not-passed".to_owned()));
    home.env.push(("MY_SECRET".to_owned(), "dummy-secret-value".to_owned()));
    home.start();
    let output = run(
        &home,
        "name: env\nenv: { A: '1', S: { from: 'env:MY_SECRET' } }\nenv_pass: [CHOSEN]\ntasks:\n  - { id: a, run: 'env | sort; test ${#S} = 18' }\n",
    );
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let printed = home.ok(["logs", "env/a", "--raw"]);
    assert!(printed.contains("A=1\n") && printed.contains("CHOSEN=passed-value\n"), "{printed}");
    assert!(!printed.contains("OTHER="), "{printed}");
    for file in ["airx.db", "airx.db-wal", "jobs/env.1/a.1/spec.json"] {
        let bytes = std::fs::read(home.path().join(file)).unwrap_or_default();
        assert!(!bytes.windows(18).any(|w| w == b"dummy-secret-value"), "the secret was stored in {file}");
    }
}

#[test]
fn a_missing_secret_holds_the_task_until_it_is_there() {
    let mut home = TestHome::new();
    std::fs::create_dir_all(home.path()).unwrap();
    home.start();
    let secret = home.work().join("key");
    let job = home.submit(&format!(
        "name: held\ntasks:\n  - {{ id: a, env: {{ K: {{ from: 'file:{}' }} }}, run: 'test $K = v' }}\n",
        secret.display()
    ));
    home.until("the task is held", || matches!(home.tasks(&job)[0].state, TaskState::Held { .. }));
    std::fs::write(&secret, "v\n").unwrap();
    assert_eq!(home.until_over(&job), "completed");
}

#[test]
fn pause_starts_nothing_new_and_resume_goes_on() {
    let mut home = TestHome::new();
    home.start();
    home.ok(["pause"]);
    let job = home.submit("name: later\ntasks:\n  - { id: a, run: echo a }\n");
    assert_eq!(home.tasks(&job)[0].state, TaskState::Queued);
    assert!(home.tasks(&job)[0].why.as_deref().is_some_and(|why| why.contains("paused")));
    home.ok(["resume"]);
    assert_eq!(home.until_over(&job), "completed");
}

#[test]
fn a_second_manager_is_refused_with_the_pid_of_the_first() {
    let mut home = TestHome::new();
    home.start();
    let output = home.run(["--daemon", "--foreground"]);
    assert_ne!(output.status.code(), Some(0));
    assert!(text(&output).contains(&home.manager_pid().to_string()), "{}", text(&output));
}

#[test]
fn sigterm_ends_the_manager_and_leaves_its_runners_alone() {
    let mut home = TestHome::new();
    home.start();
    let job = home.submit("name: lasting\ntasks:\n  - { id: a, run: 'echo $$ > pid.tmp; mv pid.tmp pid; sleep 1; echo end' }\n");
    home.until("the task runs", || home.work().join("pid").exists());
    home::signal(home.manager_pid(), rustix::process::Signal::TERM);
    assert!(home.await_manager().success(), "{}", home.manager_log());
    home.start();
    assert_eq!(home.until_over(&job), "completed");
    assert_eq!(home.ok(["logs", &format!("{job}/a"), "--raw"]), "end\n");
    assert_eq!(home.task(&format!("{job}/a")).attempts.len(), 1);
}

#[test]
fn reading_needs_no_manager_and_says_that_none_runs() {
    let mut home = TestHome::new();
    home.start();
    let job = home.submit("name: read\ntasks:\n  - { id: a, run: echo a }\n");
    home.until_over(&job);
    home.kill_manager();
    let output = home.run(["status"]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no manager runs"), "{}", text(&output));
    assert!(text(&output).contains("read.1"));
    assert_eq!(home.run(["pause"]).status.code(), Some(3));
}
