//! Claude tasks through the whole of airx: the built program, the real CLI, a fake model on loopback.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test says so by a panic")]

#[path = "support/claude/mod.rs"]
mod claude;
#[path = "support/claude_home.rs"]
mod claude_home;
#[path = "support/home.rs"]
mod home;

use airx::model::state::{FailCause, Hold, Outcome, TaskState};
use claude_home::{job, plain as home};
use home::{TestHome, text};

fn run(home: &TestHome, text: &str) -> std::process::Output {
    let path = home.job_file("job.yaml", text);
    home.run(["run", path.to_str().unwrap()])
}

#[test]
fn a_run_is_recorded_with_its_session_cost_tokens_turns_and_whole_transcript() {
    let Some((home, _api)) = home() else { return };
    let output = run(&home, &job("/looks like a command [[fake:text {\"text\": \"the answer\"}]]", ""));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let task = home.task("c/a");
    let attempt = &task.attempts[0];
    let facts = attempt.facts.as_ref().unwrap().claude.as_ref().unwrap();
    assert_eq!(facts.session, attempt.session, "the session is the one chosen before the launch");
    assert!(facts.cost_microusd > 0 && facts.input_tokens > 0 && facts.output_tokens > 0, "{facts:?}");
    assert_eq!(facts.turns, 1);
    assert_eq!(facts.text.as_deref(), Some("the answer"));
    assert_eq!(task.task.cost_microusd, facts.cost_microusd);
    let transcript = home.ok(["logs", "c/a", "--raw"]);
    assert!(transcript.lines().last().unwrap().contains("\"type\":\"result\""), "{transcript}");
    assert!(home.ok(["logs", "c/a"]).contains("the answer"));
    let spec = std::fs::read_to_string(attempt.dir.join("spec.json")).unwrap();
    assert!(!spec.contains("test-key"), "the key is not written down");
}

#[test]
fn a_later_task_can_use_the_answer() {
    let Some((home, _api)) = home() else { return };
    let use_it = "    result: text\n  - { id: b, needs: [a], run: 'echo \"<{{ tasks.a.result }}>\"' }\n";
    let output = run(&home, &job("[[fake:text {\"text\": \"the answer\"}]]", use_it));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert_eq!(home.ok(["logs", "c/b"]), "<the answer>\n");
}

#[test]
fn an_answer_has_the_shape_that_its_result_asks_for() {
    let Some((home, _api)) = home() else { return };
    let prompt = "Go. [[fake:structured {\"value\": {\"name\": \"fake\", \"count\": 3}}]]";
    let shape = |count: &str| format!("result: {{ schema: {{ type: object, properties: {{ count: {{ type: {count} }} }} }} }}");
    let output = run(&home, &job(prompt, &format!("    {}\n", shape("integer"))));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert_eq!(home.ok(["show", "c/a", "--result"]), "{\"name\":\"fake\",\"count\":3}\n");
    // What the CLI is told may say less than what the result must be.
    let lax = format!("      json_schema: {{ type: object }}\n    {}\n", shape("string"));
    run(&home, &job(prompt, &lax));
    let outcome = home.tasks("c")[0].outcome.clone().unwrap().sentence();
    assert_eq!(outcome, "bad result: it does not fit its schema: at /count: expected string, found 3");
}

#[test]
fn a_denied_tool_is_recorded_and_the_gate_decides() {
    let Some((home, _api)) = home() else { return };
    let output = run(&home, &job("[[fake:tools {\"command\": \"touch x\"}]]", "    accept: test -e x\n"));
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let attempt = &home.task("c/a").attempts[0];
    assert!(matches!(attempt.outcome, Some(Outcome::Failed { cause: FailCause::Gate(_) })), "{:?}", attempt.outcome);
    assert!(!attempt.facts.as_ref().unwrap().claude.as_ref().unwrap().denials.is_empty());
}

#[test]
fn max_turns_and_api_errors_are_told_apart() {
    let Some((home, _api)) = home() else { return };
    run(&home, &job("[[fake:loop]]", "      max_turns: 2\n      permission_mode: acceptEdits\n"));
    assert_eq!(home.tasks("c")[0].outcome, Some(Outcome::Failed { cause: FailCause::MaxTurns }));
    run(&home, &job("[[fake:400]]", ""));
    assert!(
        matches!(home.tasks("c")[0].outcome, Some(Outcome::Failed { cause: FailCause::ErrorResult(_) })),
        "{:?}",
        home.tasks("c")
    );
}

#[test]
fn a_run_that_is_cancelled_in_a_tool_leaves_nothing_alive() {
    let Some((home, _api)) = home() else { return };
    let name = home.submit(&job(
        "[[fake:bash {\"command\": \"echo $$ > toolpid; sleep 300\"}]]",
        "      permission_mode: acceptEdits\n      allowed_tools: [Bash]\n",
    ));
    home.until("the tool runs", || home.work().join("toolpid").exists());
    home.ok(["cancel", &name]);
    assert_eq!(home.until_over(&name), "cancelled");
    assert_eq!(home.strays(), Vec::<u32>::new());
}

#[test]
fn a_run_outlives_its_manager_and_is_adopted_by_the_next() {
    let Some((mut home, _api)) = home() else { return };
    let name = home.submit(&job("[[fake:long {\"deltas\": 20, \"delay\": 0.1}]]", ""));
    let transcript = home.path().join("jobs").join(&name).join("a.1/out");
    home.until("the run has begun", || std::fs::metadata(&transcript).is_ok_and(|data| data.len() > 0));
    home.kill_manager();
    home.start();
    assert_eq!(home.until_over(&name), "completed");
    assert_eq!(home.task(&format!("{name}/a")).attempts.len(), 1);
}

#[test]
fn a_claude_task_without_a_file_works_from_any_directory() {
    let Some((home, _api)) = home() else { return };
    let said = home.ok(["claude", "Say it [[fake:text {\"text\": \"done\"}]]"]);
    assert!(said.contains("claude.1"), "{said}");
    assert_eq!(home.until_over("claude"), "completed");
}

#[test]
fn a_refused_key_holds_the_task_spends_no_attempt_of_its_budget_and_a_person_has_it_tried_at_once() {
    let Some((home, _api)) = home() else { return };
    // The CLI itself would ask again for minutes.
    let once = job("[[fake:401]]", "    env: { CLAUDE_CODE_MAX_RETRIES: 0 }\n    retry: { attempts: 2, delay: 0s }\n");
    let name = home.submit(&once);
    let holds = |attempts: u32| {
        home.until("the task is held for a login", || {
            let task = &home.tasks(&name)[0];
            task.attempts == attempts && matches!(task.state, TaskState::Held { hold: Hold::Login { .. } })
        });
    };
    for attempts in 1..=3 {
        holds(attempts);
        assert_eq!(home.tasks(&name)[0].outcome, Some(Outcome::Auth));
        assert!(home.ok(["tasks", &name]).contains("log in"), "{}", home.ok(["tasks", &name]));
        home.ok(["requeue", &name]);
    }
    home.ok(["cancel", &name]);
    assert_eq!(home.until_over(&name), "cancelled");
}

/// A home whose Claude tasks print `transcript` and end.
fn home_of_transcript(transcript: &str) -> TestHome {
    use std::os::unix::fs::PermissionsExt;
    let mut home = TestHome::new();
    std::fs::create_dir_all(home.path()).unwrap();
    let (file, program) = (home.work().join("transcript"), home.work().join("claude"));
    std::fs::write(&file, transcript).unwrap();
    std::fs::write(&program, format!("#!/bin/sh\nexec cat '{}'\n", file.display())).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(home.path().join("config.yaml"), format!("claude: {{ binary: '{}' }}\n", program.display())).unwrap();
    home.start();
    home
}

#[test]
fn the_last_lines_of_a_large_transcript_are_those_of_the_whole() {
    let mut transcript = String::new();
    for number in 0..1_000 {
        let words = format!("message {number} {}", "x".repeat(if number % 250 == 249 { 60_000 } else { 800 }));
        let message = serde_json::json!({"content": [{"type": "text", "text": words}]});
        transcript.push_str(&format!("{}\n", serde_json::json!({"type": "assistant", "message": message})));
    }
    transcript.push_str("{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"num_turns\":1}\n");
    let home = home_of_transcript(&transcript);
    let job = home.submit("name: ai\ntasks:\n  - { id: a, claude: { prompt: x } }\n");
    assert_eq!(home.until_over(&job), "completed");
    for raw in [&["logs", "ai/a"][..], &["logs", "ai/a", "--raw"]] {
        let whole = home.ok(raw.iter().copied());
        let lines: Vec<&str> = whole.lines().collect();
        assert_eq!(lines.len(), 1_001);
        for tail in [0, 1, 3, 700, 1_001, 10_000] {
            let count = tail.to_string();
            let shown = home.ok(raw.iter().copied().chain(["--tail", &count]));
            assert!(shown.lines().eq(lines[1_001_usize.saturating_sub(tail)..].iter().copied()), "{raw:?} --tail {tail}");
        }
    }
    let followed = home.ok(["logs", "-f", "ai/a", "--tail", "2"]);
    assert_eq!(followed.lines().count(), 2);
}
