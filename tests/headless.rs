//! A job file goes from `airx run FILE` to a recorded outcome, with its output kept: the built program, as a user meets it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a failing test says so by a panic")]

#[path = "support/home.rs"]
mod home;
#[path = "support/pty.rs"]
mod pty;

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
    let output =
        run(&home, "name: gated\ntasks:\n  - { id: a, run: echo done, accept: 'test -e proof || { echo no proof; exit 1; }' }\n");
    assert_eq!(output.status.code(), Some(1));
    assert!(matches!(home.tasks("gated")[0].outcome, Some(Outcome::Failed { cause: FailCause::Gate(_) })));
    let shown = home.ok(["logs", "gated/a"]);
    assert_eq!(shown, "done\n-- accept --\nno proof\n", "why the gate refused is part of the log");
    let lines = home.ok(["logs", "gated/a", "-o", "json"]);
    let lines: serde_json::Value = serde_json::from_str(&lines).unwrap();
    assert_eq!(lines[1], serde_json::json!({ "task": "a", "stream": "accept", "text": "no proof" }), "{lines}");
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
    assert!(home.ok(["logs", "-f", "grow"]).contains("unnamed"), "what was queued at run time is followed too");
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
fn ctrl_c_at_a_terminal_that_cannot_draw_leaves_the_job_running() {
    let mut home = TestHome::new();
    home.env.push(("TERM".to_owned(), "dumb".to_owned()));
    home.start();
    home.job_file("job.yaml", "name: dumb\ntasks:\n  - { id: a, run: 'touch begun; while [ ! -e go ]; do sleep 0.05; done' }\n");
    let mut terminal = pty::Pty::open(&home.command(["run", "job.yaml"]), 80, 24);
    home.until("the task runs", || home.work().join("begun").exists());
    terminal.keys("ctrl-c");
    terminal.wait_for("dumb.1 goes on");
    assert_eq!(terminal.exit(), 0);
    assert!(!terminal.since(0).contains(&0x1b), "{}", terminal.screen());
    std::fs::write(home.work().join("go"), "").unwrap();
    assert_eq!(home.until_over("dumb"), "completed");
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
fn logs_that_are_followed_tell_each_attempt_once() {
    let mut home = TestHome::new();
    home.start();
    let job = home.submit(
        "name: twice\ntasks:\n  - { id: a, retry: { attempts: 2, delay: 500ms, jitter: 0 }, run: 'printf once; exit 1' }\n",
    );
    assert_eq!(home.ok(["logs", "-f", &format!("{job}/a")]), "once\nonce");
}

#[test]
fn what_is_no_job_file_is_told_with_its_place_or_the_right_command() {
    let home = TestHome::new();
    let latin = home.work().join("latin.yaml");
    std::fs::write(&latin, b"name: a\ndescription: caf\xe9\n").unwrap();
    let said = text(&home.run(["validate", latin.to_str().unwrap()]));
    assert!(said.contains("latin.yaml:2:17: ") && said.contains("help: save the file as UTF-8"), "{said}");
    let long = home.job_file("long.yaml", &" ".repeat((8 << 20) + 1));
    let said = text(&home.run(["validate", long.to_str().unwrap()]));
    assert!(said.contains("long.yaml:1:1: ") && said.contains("help: split the job"), "{said}");
    for (words, part) in [
        (vec!["run", "latin.yaml", "more"], "`more` does not belong here"),
        (vec!["run", "nowhere.yaml"], "paths begin at"),
        (vec!["run", "pytest", "-k", "x"], "airx add -- pytest -k x"),
    ] {
        let output = home.run(words);
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output).contains(part), "{}", text(&output));
    }
}

#[test]
fn every_format_is_what_it_says() {
    let mut home = TestHome::new();
    home.start();
    let job = home.submit("name: forms\ntasks:\n  - { id: a, run: echo a }\n  - { id: b, run: exit 1 }\n");
    home.until_over(&job);
    for words in
        [vec!["status"], vec!["show", "forms"], vec!["show", "forms/a"], vec!["ping"], vec!["doctor"], vec!["pause", "forms"]]
    {
        let output = home.run(words.iter().copied().chain(["-o", "jsonl"]));
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(printed.lines().count(), 1, "{words:?}: {printed}");
        assert!(serde_json::from_str::<serde_json::Value>(&printed).is_ok(), "{words:?}: {printed}");
    }
    let view: serde_json::Value = serde_json::from_str(&home.ok(["status", "-o", "json"])).unwrap();
    assert_eq!((&view["tasks"]["completed"], &view["tasks"]["failed"]), (&1.into(), &1.into()), "{view}");
    assert!(home.ok(["status", "-o", "plain"]).contains("\tforms.1\t"));
    assert_eq!(home.ok(["show", "forms", "-o", "plain"]), home.ok(["tasks", "forms", "-o", "plain"]));
    assert!(home.ok(["show", "forms", "b", "-o", "plain"]).starts_with("1\texit 1\t"));
    assert!(home.ok(["status", "forms", "a"]).contains("forms.1/a"));
    assert_eq!(home.run(["logs", "forms/a", "--attempt", "0"]).status.code(), Some(2));
}

#[test]
fn requeue_from_a_task_runs_it_and_what_comes_after_again() {
    let mut home = TestHome::new();
    home.start();
    let job = home.submit("name: chain\ntasks:\n  - { id: a, run: echo a }\n  - { id: b, needs: [a], run: echo b }\n  - { id: c, needs: [b], run: echo c }\n");
    assert_eq!(home.until_over(&job), "completed");
    assert_eq!(home.ok(["requeue", "chain/b", "--from"]), "requeued: 2 tasks\n");
    home.until("both ran again", || home.tasks("chain").iter().all(|task| task.state == TaskState::Completed));
    assert_eq!(home.tasks("chain").iter().map(|task| task.attempts).collect::<Vec<_>>(), [1, 2, 2]);
}

#[test]
fn a_reader_that_goes_away_does_not_make_an_unfinished_job_look_completed() {
    let mut home = TestHome::new();
    home.start();
    let path = home.job_file("job.yaml", "name: cut\ntasks:\n  - { id: a, run: 'while [ ! -e go ]; do sleep 0.05; done' }\n");
    let (reader, writer) = std::io::pipe().unwrap();
    let mut child =
        home.command(["run", path.to_str().unwrap()]).stdout(writer).stderr(std::process::Stdio::null()).spawn().unwrap();
    drop(reader);
    assert_eq!(child.wait().unwrap().code(), Some(141));
    std::fs::write(home.work().join("go"), "").unwrap();
    assert_eq!(home.until_over("cut"), "completed");
}

#[test]
fn inside_a_task_commands_reach_the_tasks_own_home_and_change_nothing_there() {
    let mut home = TestHome::new();
    home.start();
    let output = run(&home, "name: own\ntasks:\n  - { id: a, run: 'airx cancel --all; airx pause; airx stop; true' }\n");
    let said = home.ok(["logs", "own/a"]);
    assert_eq!(output.status.code(), Some(0), "{}{said}", text(&output));
    assert!(!said.contains("no manager") && !said.contains("paused everything"), "{said}");
    assert!(home.run(["ping"]).status.success());
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
    let path = home.job_file(
        "held.yaml",
        &format!(
            "name: held\nenv: {{ N: {{ from: 'env:NOWHERE' }} }}\ntasks:\n  - {{ id: a, env: {{ K: {{ from: 'file:{}' }} }}, run: 'test $K = v' }}\n",
            secret.display()
        ),
    );
    let said = text(&home.run(["submit", path.to_str().unwrap()]));
    assert!(said.contains("K: cannot read") && said.contains("environment has no NOWHERE"), "told at submission: {said}");
    home.ok(["cancel", "held"]);
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

#[test]
fn all_that_a_home_holds_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let home = TestHome::new();
    let path = home.job_file("job.yaml", "name: own\ntasks:\n  - { id: a, run: echo a; echo b >&2, result: text }\n");
    assert!(home.run(["run", path.to_str().unwrap()]).status.success());
    let (mut open, mut look) = (Vec::new(), vec![home.path().to_owned()]);
    while let Some(directory) = look.pop() {
        for entry in std::fs::read_dir(directory).unwrap().flatten() {
            let data = entry.path().symlink_metadata().unwrap();
            if data.permissions().mode() & 0o077 != 0 {
                open.push((entry.path(), format!("{:o}", data.permissions().mode())));
            }
            if data.is_dir() {
                look.push(entry.path());
            }
        }
    }
    assert_eq!(open, []);
}

#[test]
fn a_chain_of_tasks_that_each_queue_the_next_ends_at_the_tenth_generation() {
    let mut home = TestHome::new();
    home.start();
    std::fs::write(home.work().join("next.sh"), "exec \"$AIRX_EXE\" add -- sh ./next.sh\n").unwrap();
    let name = home.submit("name: chain\ntasks: [{ id: first, run: sh ./next.sh }]\n");
    assert_eq!(home.until_over(&name), "failed");
    let tasks = home.tasks(&name);
    assert_eq!(tasks.len(), 11, "{}", home.ok(["tasks", &name]));
    let last = home.ok(["logs", &format!("{name}/{}", tasks[10].id)]);
    assert!(last.contains("at most 10 generations deep; nothing was queued"), "{last}");
}

#[test]
fn from_a_directory_that_was_removed_nothing_is_queued_to_work_elsewhere() {
    let mut home = TestHome::new();
    home.start();
    let script = "mkdir gone && cd gone && rmdir ../gone && \"$0\" \"$@\"";
    let inside = |args: &[&str]| {
        let mut all = vec!["-c", script, env!("CARGO_BIN_EXE_airx")];
        all.extend_from_slice(args);
        home.command_of(std::path::Path::new("/bin/sh"), all).current_dir(home.work()).output().unwrap()
    };
    for args in [&["claude", "Say hello"][..], &["add", "--", "true"]] {
        let output = inside(args);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        assert!(text(&output).contains("the working directory is gone"), "{}", text(&output));
    }
    let output = inside(&["jobs", "-o", "json"]);
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stdout).trim()), (Some(0), "[]"), "{}", text(&output));
}

#[test]
fn what_is_printed_of_a_job_holds_no_values_of_the_submitters_environment() {
    let mut home = TestHome::new();
    home.env.push(("API_WORD".to_owned(), "hunter2".to_owned()));
    home.start();
    let file = home.job_file("j.yaml", "name: j\nenv_pass: [API_WORD]\ntasks: [{ id: a, run: 'test ${#API_WORD} = 7' }]\n");
    home.ok([std::ffi::OsStr::new("submit"), file.as_os_str()]);
    assert_eq!(home.until_over("j"), "completed", "the task has it");
    for said in [home.ok(["events", "-o", "json"]), home.ok(["events", "-o", "jsonl"]), home.ok(["show", "j", "-o", "json"])] {
        assert!(said.contains("API_WORD") && !said.contains("hunter2"), "{said}");
    }
}
