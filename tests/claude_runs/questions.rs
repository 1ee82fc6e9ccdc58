//! Permissions that a person is asked for.

use airx::model::question::{AnsweredBy, QuestionView};
use airx::model::state::{TaskKind, TaskState};

use crate::claude_home::{QUIET, job, plain};
use crate::home::{TestHome, text};

fn waiting(home: &TestHome) -> Vec<QuestionView> {
    serde_json::from_str(&home.ok(["approvals", "-o", "json"])).unwrap()
}

fn settled(home: &TestHome) -> Vec<QuestionView> {
    let mut all: Vec<QuestionView> = serde_json::from_str(&home.ok(["approvals", "--all", "-o", "json"])).unwrap();
    all.reverse();
    all
}

fn until_asked(home: &TestHome, id: u32) {
    home.until("a person is asked", || waiting(home).iter().any(|question| question.id == id));
}

const TOOLS: &str = r#"[[fake:tools {"command": "touch made-by-bash"}]]"#;

#[test]
fn a_permission_is_asked_for_over_a_restart_of_the_manager_and_the_answer_reaches_the_run() {
    let Some((mut home, _api)) = plain() else { return };
    let name = home.submit(&job(TOOLS, "      permissions: ask\n    timeout: 30s\n"));
    until_asked(&home, 1);
    assert!(matches!(home.tasks(&name)[0].state, TaskState::AwaitingInput { attempt: 1 }));
    assert!(home.ok(["tasks", &name]).contains("waits for you"));
    let shown = home.ok(["approvals"]);
    assert!(shown.contains("fake-output.txt") && shown.contains("written by the fake model"), "{shown}");
    home.kill_manager();
    home.start();
    assert_eq!(waiting(&home).len(), 1);
    home.ok(["approve", &format!("{name}/a")]);
    until_asked(&home, 2);
    home.ok(["reject", "2", "not", "with", "touch"]);
    assert_eq!(home.until_over(&name), "completed");
    assert!(home.work().join("fake-output.txt").exists());
    assert!(!home.work().join("made-by-bash").exists());
    assert!(home.ok(["logs", &format!("{name}/a")]).contains("not with touch"), "the model is told why");
    assert_eq!(home.task(&format!("{name}/a")).attempts.len(), 1);
    assert_eq!(waiting(&home), []);
    let by: Vec<_> = settled(&home).into_iter().map(|question| question.by).collect();
    assert_eq!(by, [Some(AnsweredBy::Person); 2]);
}

#[test]
fn an_answer_that_was_committed_just_before_the_manager_died_still_reaches_the_run() {
    let Some((mut home, _api)) = plain() else { return };
    let name = home.submit(&job(TOOLS, "      permissions: ask\n      allowed_tools: [Write]\n"));
    until_asked(&home, 1);
    home.ok(["approve", "1"]);
    home.kill_manager();
    // As if the manager had died between its commit and the file.
    let inbox = home.path().join("jobs").join(&name).join("a.1/inbox");
    let _ = std::fs::remove_dir_all(inbox);
    home.start();
    assert_eq!(home.until_over(&name), "completed");
    assert!(home.work().join("made-by-bash").exists());
}

#[test]
fn allowed_for_the_whole_job_nobody_is_asked_for_the_same_again() {
    let Some((home, _api)) = plain() else { return };
    let task = |id: &str, needs: &str| {
        format!(
            "  - id: {id}\n    needs: [{needs}]\n    claude:\n      permissions: ask\n      prompt: '[[fake:bash {{\"command\": \"touch it\"}}]]'\n"
        )
    };
    let name = home.submit(&format!("name: c\n{QUIET}\ntasks:\n{}{}", task("a", ""), task("b", "a")));
    until_asked(&home, 1);
    home.ok(["approve", "1", "--always"]);
    assert_eq!(home.until_over(&name), "completed");
    // The second run is told of the rule at its start, and does not ask at all; or is answered by it.
    assert!(settled(&home).iter().skip(1).all(|question| question.by == Some(AnsweredBy::Rule)), "{:?}", settled(&home));
}

#[test]
fn a_person_may_change_what_is_done() {
    let Some((home, _api)) = plain() else { return };
    let name = home.submit(&job(r#"[[fake:bash {"command": "touch made-by-bash"}]]"#, "      permissions: ask\n"));
    until_asked(&home, 1);
    for bad in ["[1]", "no json"] {
        let refused = home.run(["approve", "1", "--input", bad]);
        assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
    }
    home.ok(["approve", "1", "--input", r#"{"command": "touch made-by-a-person"}"#]);
    assert_eq!(home.until_over(&name), "completed");
    assert!(home.work().join("made-by-a-person").exists() && !home.work().join("made-by-bash").exists());
}

#[test]
fn what_nobody_answers_in_time_is_answered_by_the_tasks_default() {
    let Some((home, _api)) = plain() else { return };
    for (default, is_made) in [("deny", false), ("allow", true)] {
        let name = home.submit(&job(
            r#"[[fake:bash {"command": "touch made-by-bash"}]]"#,
            &format!("      permissions: {{ timeout: 1s, default: {default} }}\n"),
        ));
        assert_eq!(home.until_over(&name), "completed");
        assert_eq!(home.work().join("made-by-bash").exists(), is_made, "{default}");
    }
    assert!(settled(&home).iter().all(|question| question.by == Some(AnsweredBy::Timeout)));
}

#[test]
fn a_run_that_waits_keeps_its_slot_its_timeout_stands_still_and_it_can_be_cancelled() {
    let Some((home, _api)) = plain() else { return };
    let more = "      permissions: ask\n    timeout: 8s\n  - { id: b, run: 'true' }\n";
    let name = home.submit(&job(r#"[[fake:bash {"command": "touch made-by-bash"}]]"#, more));
    until_asked(&home, 1);
    let asked = std::time::Instant::now();
    home.until("longer than the timeout has passed", || asked.elapsed() > std::time::Duration::from_secs(10));
    assert_eq!(home.tasks(&name)[0].state.kind(), TaskKind::AwaitingInput);
    assert_eq!(home.tasks(&name)[1].state, TaskState::Queued, "the job has one place, and it is taken");
    home.ok(["cancel", &name]);
    assert_eq!(home.until_over(&name), "cancelled");
    assert_eq!(waiting(&home), []);
    assert_eq!(home.strays(), Vec::<u32>::new());
    let late = home.run(["approve", "1"]);
    assert!(text(&late).contains("no question 1 waits"), "{}", text(&late));
}

#[test]
fn a_task_cannot_answer_a_question() {
    let Some((home, _api)) = plain() else { return };
    let asking = job(r#"[[fake:bash {"command": "touch made-by-bash"}]]"#, "      permissions: ask\n");
    let name = home.submit(
        &format!("{asking}  - {{ id: b, run: 'until airx approvals -o plain | grep -q .; do sleep 0.1; done; airx approve 1 2>said || true' }}\n").replace("tasks:", "max_parallel: 2\ntasks:"),
    );
    until_asked(&home, 1);
    home.until("the other task has tried", || home.tasks(&name)[1].state.is_terminal());
    let said = std::fs::read_to_string(home.work().join("said")).unwrap();
    assert!(said.contains("a running task may not do this"), "{said}");
    // Nor by writing into the inbox: what the manager did not seal is no answer.
    let key = waiting(&home)[0].id;
    assert_eq!(key, 1);
    let dir = home.path().join("jobs").join(&name).join("a.1");
    let transcript = std::fs::read_to_string(dir.join("out")).unwrap();
    let request = transcript.split("\"request_id\":\"").nth(1).unwrap().split('"').next().unwrap();
    std::fs::create_dir_all(dir.join("inbox")).unwrap();
    let forged = format!(r#"{{"key":"{request}","answer":{{"answer":"allow"}},"seal":"{}"}}"#, "0".repeat(128));
    std::fs::write(dir.join(format!("inbox/{request}.json")), forged).unwrap();
    let forged_at = std::time::Instant::now();
    home.until("the runner has looked at it several times", || forged_at.elapsed() > std::time::Duration::from_secs(2));
    assert_eq!(waiting(&home).len(), 1);
    assert!(!home.work().join("made-by-bash").exists());
    home.ok(["cancel", &name]);
    home.until_over(&name);
}
