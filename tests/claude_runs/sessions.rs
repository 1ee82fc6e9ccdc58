//! What a run has done is not lost with it: another attempt goes on with its session.

use airx::model::state::{FailCause, Outcome};

use crate::claude_home::{QUIET, job, plain};
use crate::home::{TestHome, is_alive, kill};
use crate::{outcomes, sessions};

/// What the CLI keeps of a session.
fn session_text(home: &TestHome, session: &str) -> String {
    let projects = home.path().parent().unwrap().join("user/.claude/projects");
    let found = std::fs::read_dir(projects).into_iter().flatten().flatten();
    found.filter_map(|project| std::fs::read_to_string(project.path().join(format!("{session}.jsonl"))).ok()).collect()
}

/// The process id of an attempt's runner.
fn runner(home: &TestHome, job: &str, attempt: u32) -> u32 {
    let path = home.path().join("jobs").join(job).join(format!("a.{attempt}/runner.json"));
    home.until("the runner has said who it is", || path.exists());
    let info: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    u32::try_from(info["pid"].as_u64().unwrap()).unwrap()
}

#[test]
fn a_runner_killed_in_a_stream_leaves_nothing_alive_and_its_session_is_resumed() {
    let Some((home, _api)) = plain() else { return };
    let steps = r#"[{"blocks": [{"tool": "Bash", "input": {"command": "echo step-one"}}]}, {"blocks": [{"text": "slow slow slow slow slow slow slow slow slow slow"}], "delay": 0.2, "times": 1}, {"blocks": [{"text": "the end"}]}]"#;
    let name = home.submit(&job(&format!(r#"Work [[fake:script {{"steps": {steps}}}]]"#), ""));
    // The CLI writes its session down a little later than its transcript.
    home.until("the task has begun", || home.tasks(&name)[0].attempts == 1);
    let session = sessions(&home.task(&format!("{name}/a"))).remove(0);
    home.until("its first tool has run and is part of the session", || {
        session_text(&home, &session).contains("\"stdout\":\"step-one")
    });
    kill(runner(&home, &name, 1));
    assert_eq!(home.until_over(&name), "completed");
    let task = home.task(&format!("{name}/a"));
    assert!(matches!(outcomes(&task)[..], [Outcome::Lost { .. }, Outcome::Succeeded]), "{:?}", outcomes(&task));
    assert_eq!(sessions(&task)[0], sessions(&task)[1]);
    let log = home.ok(["logs", &format!("{name}/a"), "--raw"]);
    assert!(!log.contains("echo step-one"), "what was done is not done again: {log}");
    assert_eq!(home.strays(), Vec::<u32>::new());
}

#[test]
fn a_runner_killed_in_a_bash_tool_leaves_no_tool_alive_and_its_session_is_resumed() {
    let Some((mut home, _api)) = plain() else { return };
    let prompt = r#"[[fake:bash {"command": "echo $$ > toolpid; sleep 300"}]]"#;
    let name = home.submit(&job(prompt, "      permission_mode: acceptEdits\n      allowed_tools: [Bash]\n"));
    let pid_file = home.work().join("toolpid");
    home.until("the tool runs", || std::fs::read_to_string(&pid_file).is_ok_and(|text| text.ends_with('\n')));
    let tool: u32 = std::fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
    let session = sessions(&home.task(&format!("{name}/a"))).remove(0);
    home.until("the call is part of the session", || session_text(&home, &session).contains("toolpid"));
    // The manager too: the next one finds out by itself.
    home.kill_manager();
    kill(runner(&home, &name, 1));
    home.start();
    home.until("the tool is gone", || !is_alive(tool));
    assert_eq!(home.until_over(&name), "completed");
    let task = home.task(&format!("{name}/a"));
    assert!(matches!(outcomes(&task)[..], [Outcome::Lost { .. }, Outcome::Succeeded]), "{:?}", outcomes(&task));
    assert_eq!(sessions(&task)[0], sessions(&task)[1]);
    assert_eq!(home.strays(), Vec::<u32>::new());
}

#[test]
fn a_silent_run_is_ended_and_resumed() {
    let Some((home, _api)) = plain() else { return };
    let prompt = r#"[[fake:script {"steps": [{"hang": true}, {"blocks": [{"text": "went on"}]}]}]]"#;
    let more = "      silence: 4s\n    retry: { attempts: 2, delay: 0s }\n";
    let name = home.submit(&job(prompt, more));
    assert_eq!(home.until_over(&name), "completed");
    let task = home.task(&format!("{name}/a"));
    assert_eq!(outcomes(&task), [Outcome::Silent, Outcome::Succeeded]);
    assert_eq!(sessions(&task)[0], sessions(&task)[1]);
}

#[test]
fn a_retry_after_the_tasks_own_failure_begins_afresh_unless_it_always_resumes() {
    let Some((home, _api)) = plain() else { return };
    for (resume, same) in [("auto", false), ("always", true)] {
        let marker = format!("tried-{resume}");
        let more = format!(
            "    accept: 'test -e {marker} || {{ touch {marker}; false; }}'\n    retry: {{ attempts: 2, delay: 0s, resume: {resume} }}\n"
        );
        let name = home.submit(&job("[[fake:text]]", &more));
        assert_eq!(home.until_over(&name), "completed");
        let task = home.task(&format!("{name}/a"));
        assert!(matches!(outcomes(&task)[0], Outcome::Failed { cause: FailCause::Gate(_) }));
        assert_eq!(sessions(&task)[0] == sessions(&task)[1], same, "{resume}");
        // The sum of both is what the task has cost.
        let costs: u64 = task.attempts.iter().map(|attempt| crate::facts(attempt).cost_microusd).sum();
        assert_eq!((task.task.cost_microusd, costs > 0), (costs, true));
    }
}

#[test]
fn a_session_that_the_cli_has_lost_begins_afresh() {
    let Some((home, _api)) = plain() else { return };
    let prompt = r#"[[fake:script {"steps": [{"hang": true}, {"blocks": [{"text": "went on"}]}]}]]"#;
    let name = home.submit(&job(prompt, "      silence: 4s\n    retry: { attempts: 2, delay: 5s, jitter: 0 }\n"));
    home.until("the first attempt is over", || home.task(&format!("{name}/a")).attempts[0].closed.is_some());
    std::fs::remove_dir_all(home.path().parent().unwrap().join("user/.claude/projects")).unwrap();
    home.until("the second has begun", || home.tasks(&name)[0].attempts == 2);
    let spec = home.path().join("jobs").join(&name).join("a.2/spec.json");
    home.until("it is composed", || spec.exists());
    assert!(std::fs::read_to_string(spec).unwrap().contains("--session-id="));
    home.ok(["cancel", &name, "--kill"]);
    home.until_over(&name);
}

#[test]
fn the_command_to_continue_by_hand_is_shown() {
    let Some((home, _api)) = plain() else { return };
    let name = home.submit(&format!("name: c\n{QUIET}\ntasks: [{{ id: a, claude: 'Say [[fake:text]]' }}]\n"));
    home.until_over(&name);
    let session = sessions(&home.task(&format!("{name}/a"))).remove(0);
    let shown = home.ok(["show", &format!("{name}/a")]);
    let command = shown.lines().find_map(|line| line.trim().strip_prefix("to continue by hand: ")).unwrap();
    assert!(
        command.contains(&home.work().display().to_string()) && command.ends_with(&format!("--resume {session}")),
        "{command}"
    );
    // It is what it says: the shell takes it, and the CLI knows the session.
    let say = format!("{command} -p 'And now [[fake:text {{\"text\": \"by hand\"}}]]'");
    let output = std::process::Command::new("sh")
        .args(["-c", &say])
        .env_clear()
        .envs(home.env.iter().cloned())
        .env("PATH", format!("{}:/usr/bin:/bin", crate::claude::binary().unwrap().parent().unwrap().display()))
        .env("HOME", home.path().parent().unwrap().join("user"))
        .env("ANTHROPIC_API_KEY", "test-key")
        .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("by hand"), "{output:?}");
}
