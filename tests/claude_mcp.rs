//! Claude runs that grow their job: the built program, the real CLI with our MCP server, a fake model on loopback.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test says so by a panic")]

#[path = "support/claude/mod.rs"]
mod claude;
#[path = "support/claude_home.rs"]
mod claude_home;
#[path = "support/home.rs"]
mod home;
#[path = "support/questions.rs"]
mod questions;

use std::time::{Duration, Instant};

use airx::model::question::Answer;
use airx::model::state::{FailCause, Outcome, TaskState};
use claude_home::{QUIET, plain};
use home::{TestHome, text};
use serde_json::{Value, json};

/// A job whose task `p` is a run that may queue tasks and plays `steps`. `more` are further keys of the run and tasks of the
/// job, `head` further keys of the job.
fn job(head: &str, steps: &Value, more: &str) -> String {
    let prompt = format!("go on [[fake:script {}]]", json!({ "steps": steps }));
    format!(
        "name: c\n{QUIET}\n{head}tasks:\n  - id: p\n    claude:\n      prompt_file: prompt.md\n      subtasks: true\n{more}\n#{prompt}"
    )
}

/// Submits a job of [`job`]; its prompt travels in a file, since templates and JSON both use braces.
fn submit(home: &TestHome, job: &str) -> String {
    let (job, prompt) = job.rsplit_once("\n#").unwrap();
    std::fs::write(home.work().join("prompt.md"), prompt).unwrap();
    home.submit(job)
}

/// A step in which the model calls a tool of ours.
fn call(tool: &str, input: Value) -> Value {
    json!({ "blocks": [{ "tool": format!("mcp__airx__{tool}"), "input": input }] })
}

fn done() -> Value {
    json!({ "blocks": [{ "text": "done" }] })
}

/// What the tools of the task `p` answered, in order, and whether each was an error.
fn answers(home: &TestHome) -> Vec<(String, bool)> {
    let transcript = home.ok(["logs", "c/p", "--raw"]);
    let lines = transcript.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let contents = lines.filter(|line| line["type"] == "user").map(|line| line["message"]["content"][0].clone());
    contents
        .map(|content| {
            let text = content["content"].as_str().or(content["content"][0]["text"].as_str()).unwrap_or_default();
            (text.to_owned(), content["is_error"] == true)
        })
        .collect()
}

#[test]
fn a_run_queues_three_tasks_which_then_run_and_tells_its_result_and_progress() {
    let Some((home, _api)) = plain() else { return };
    let prompt = "say it [[fake:text {\"text\": \"the child's answer\"}]]";
    let steps = json!([
        call("queue_task", json!({ "id": "child", "prompt": prompt, "max_turns": 3 })),
        call("queue_task", json!({ "id": "echo", "command": ["echo", "from a command"], "needs": ["child"] })),
        call("queue_task", json!({ "run": "echo from-a-script" })),
        call("list_tasks", json!({})),
        call("report_progress", json!({ "done": 3, "total": 4, "text": "queued" })),
        call("set_result", json!({ "value": ["one", "two"] })),
        done(),
    ]);
    let more = "      model: haiku\n      allowed_tools: ['Bash(echo *)']\n    result: text\n  \
                - { id: after, needs: [p], run: 'echo \"{{ tasks.p.result | join(\"+\") }}\"' }\n";
    let name = submit(&home, &job("", &steps, more));
    assert_eq!(home.until_over(&name), "completed", "{}", home.ok(["tasks", "c"]));
    let answers = answers(&home);
    assert!(answers.iter().all(|(_, is_error)| !is_error), "{answers:?}");
    assert_eq!(answers[0].0, "queued c.1/child");
    let listed: Value = serde_json::from_str(&answers[3].0).unwrap();
    let ids: Vec<&str> = listed["tasks"].as_array().unwrap().iter().map(|task| task["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["p", "after", "child", "echo", "p-4"]);
    assert_eq!(listed["tasks"][3]["why"], "needs child");

    assert!(home.ok(["logs", "c/child"]).contains("the child's answer"));
    assert_eq!(home.ok(["logs", "c/echo"]), "from a command\n");
    assert_eq!(home.ok(["logs", "c/p-4"]), "from-a-script\n");
    assert_eq!(home.ok(["logs", "c/after"]), "one+two\n", "the result it set counts, not its last words");
    let parent = home.task("c/p");
    assert_eq!(parent.task.progress.as_ref().map(ToString::to_string).as_deref(), Some("3/4 queued"));
    let child = serde_json::to_value(&home.task("c/child").spec.action).unwrap();
    assert_eq!(child["claude"]["model"], "haiku", "what it leaves open is its parent's");

    let written = std::fs::read_to_string(parent.attempts[0].dir.join("spec.json")).unwrap();
    assert!(written.contains("mcp-config") && !written.contains("AIRX_TOKEN"), "{written}");
    assert_eq!(home.strays(), Vec::<u32>::new(), "the server ended with its run");
}

#[test]
fn a_run_that_queues_for_ever_is_refused_once_the_jobs_bound_is_reached_and_ends_by_its_turns() {
    let Some((home, _api)) = plain() else { return };
    let steps = json!([call("queue_task", json!({ "run": "true" }))]);
    let name = submit(&home, &job("max_added: 3\n", &steps, "      max_turns: 6\n      allowed_tools: [Bash]\n"));
    home.until_over(&name);
    assert_eq!(home.tasks("c")[0].outcome, Some(Outcome::Failed { cause: FailCause::MaxTurns }));
    let answers = answers(&home);
    let refused: Vec<bool> = answers.iter().map(|(_, is_error)| *is_error).collect();
    assert_eq!(refused, [false, false, false, true, true, true], "{answers:?}");
    assert!(answers[3].0.contains("have queued 3 tasks, the most they may (max_added); nothing was queued"), "{answers:?}");
    let states: Vec<TaskState> = home.tasks("c").into_iter().skip(1).map(|task| task.state).collect();
    assert_eq!(states, vec![TaskState::Completed; 3], "what was queued ran");
}

#[test]
fn a_run_queues_nothing_that_it_may_not_do_itself() {
    let Some((home, _api)) = plain() else { return };
    let steps = json!([
        call("queue_task", json!({ "prompt": "x", "permission_mode": "bypassPermissions" })),
        call("queue_task", json!({ "prompt": "x", "allowed_tools": ["Bash"] })),
        call("queue_task", json!({ "command": ["touch", "pwned"] })),
        done(),
    ]);
    let name = submit(&home, &job("", &steps, "      permission_mode: acceptEdits\n      allowed_tools: [Read]\n"));
    assert_eq!(home.until_over(&name), "completed");
    let answers = answers(&home);
    for (answer, why) in answers.iter().zip(["permission_mode bypassPermissions is beyond", "`Bash` is beyond", "queue a prompt"])
    {
        assert!(answer.1 && answer.0.contains(why), "{answers:?}");
    }
    assert_eq!(home.tasks("c").len(), 1);
}

#[test]
fn a_person_is_asked_for_longer_than_tools_may_take_and_the_run_goes_on_with_the_answer() {
    let Some((home, _api)) = plain() else { return };
    let steps = json!([call("ask_human", json!({ "question": "Which branch?", "options": ["main", "next"] })), done()]);
    // Shorter than the person takes.
    let limits = "    env: { MCP_TOOL_TIMEOUT: 1000 }\n";
    let name = submit(&home, &job("", &steps, limits));
    home.until("the question waits", || questions::waiting(&home.path()).len() == 1);
    let begun = Instant::now();
    home.until("a person took its time", || begun.elapsed() > Duration::from_secs(2));
    assert!(matches!(home.tasks("c")[0].state, TaskState::AwaitingInput { .. }), "{:?}", home.tasks("c")[0].state);
    let question = questions::waiting(&home.path())[0].id;
    questions::answer(&home.path(), question, Answer::Say { text: "next, please".to_owned() });
    assert_eq!(home.until_over(&name), "completed");
    assert_eq!(answers(&home), [("next, please".to_owned(), false)]);
}

#[test]
fn a_run_that_is_cancelled_while_it_waits_for_a_person_leaves_nothing_alive() {
    let Some((home, _api)) = plain() else { return };
    let name = submit(&home, &job("", &json!([call("ask_human", json!({ "question": "Which?" })), done()]), ""));
    home.until("the question waits", || questions::waiting(&home.path()).len() == 1);
    home.ok(["cancel", &name]);
    assert_eq!(home.until_over(&name), "cancelled");
    assert_eq!(home.strays(), Vec::<u32>::new());
}

#[test]
fn a_run_without_subtasks_gets_none_of_these_tools() {
    let Some((home, _api)) = plain() else { return };
    let path = home.job_file("job.yaml", "name: c\ntasks:\n  - { id: p, claude: 'say it [[fake:text]]' }\n");
    let output = home.run(["run", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let transcript = home.ok(["logs", "c/p", "--raw"]);
    let init: Value = serde_json::from_str(transcript.lines().next().unwrap()).unwrap();
    assert_eq!((init["subtype"].as_str(), init["mcp_servers"].as_array().map(Vec::len)), (Some("init"), Some(0)), "{init}");
}
