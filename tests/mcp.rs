//! `airx mcp` as any MCP client sees it: the built program, started with the environment of a running task.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test says so by a panic")]

#[path = "support/home.rs"]
mod home;
#[path = "support/mcp.rs"]
mod mcp;
#[path = "support/questions.rs"]
mod questions;

use std::time::{Duration, Instant};

use airx::model::question::{Answer, QuestionBody};
use airx::model::state::TaskState;
use home::{TestHome, text};
use mcp::Session;
use serde_json::{Value, json};

/// A job whose first task tells its environment and waits.
const JOB: &str = "name: j\nmax_parallel: 9\ntasks:\n  - { id: p, run: 'env > vars.new; mv vars.new vars; sleep 1000' }\n";

/// A running task's environment, and a home in which it runs.
fn inside(job: &str) -> (TestHome, Vec<(String, String)>) {
    let mut home = TestHome::new();
    home.start();
    home.submit(job);
    let vars = home.work().join("vars");
    home.until("the task runs", || vars.exists());
    let vars = std::fs::read_to_string(vars).unwrap();
    let env = vars.lines().filter_map(|line| line.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned()));
    (home, env.collect())
}

fn session(home: &TestHome, env: &[(String, String)]) -> Session {
    let mut command = home.command(["mcp"]);
    command.envs(env.iter().cloned());
    Session::open(command)
}

#[test]
fn what_a_task_asks_by_its_tools_is_done_for_its_own_job() {
    let (home, env) = inside(JOB);
    let mut session = session(&home, &env);
    assert_eq!(session.tools(), ["queue_task", "list_tasks", "set_result", "report_progress", "ask_human"]);
    let queue = |session: &mut Session, arguments: Value| session.call("queue_task", arguments);
    assert_eq!(queue(&mut session, json!({ "id": "a", "run": "echo '{{ literal }}'" })), Ok("queued j.1/a".to_owned()));
    assert_eq!(
        queue(&mut session, json!({ "command": ["sh", "-c", "exit 0"], "needs": ["a"] })),
        Ok("queued j.1/p-2".to_owned())
    );
    assert_eq!(queue(&mut session, json!({ "id": "a", "run": "echo '{{ literal }}'" })), Ok("queued j.1/a".to_owned()));
    let taken = queue(&mut session, json!({ "id": "a", "run": "other" })).unwrap_err();
    assert!(taken.contains("another definition"), "{taken}");
    let nobody = queue(&mut session, json!({ "needs": ["nobody"], "run": "x" })).unwrap_err();
    assert!(nobody.contains("there is no task `nobody`"), "{nobody}");

    home.until("what was queued is done", || home.tasks("j").iter().skip(1).all(|task| task.state == TaskState::Completed));
    assert_eq!(home.ok(["logs", "j/a"]), "{{ literal }}\n");
    let list: Value = serde_json::from_str(&session.call("list_tasks", json!({})).unwrap()).unwrap();
    let tasks = json!([
        { "id": "p", "state": "running" },
        { "id": "a", "state": "completed" },
        { "id": "p-2", "state": "completed", "needs": ["a"] },
    ]);
    assert_eq!(list, json!({ "job": "j.1", "you": "p", "tasks": tasks }));
    let page: Value = serde_json::from_str(&session.call("list_tasks", json!({ "from": 1, "limit": 1 })).unwrap()).unwrap();
    assert_eq!((&page["tasks"][0]["id"], &page["next"]), (&json!("a"), &json!(2)));

    assert!(session.call("report_progress", json!({ "done": 3, "total": 5, "text": "compiling" })).is_ok());
    assert!(home.ok(["tasks", "j"]).contains("3/5 compiling"), "{}", home.ok(["tasks", "j"]));
    assert!(session.call("report_progress", json!({ "done": 3, "total": 0 })).is_err());
    assert!(session.call("set_result", json!({ "value": { "found": [1, null] } })).is_ok());
    let result = serde_json::to_value(home.task("j/p").result).unwrap();
    assert!(result.to_string().contains("\"found\":[1,null]"), "{result}");
}

#[test]
fn a_result_that_does_not_fit_the_tasks_schema_is_refused_at_once() {
    let (home, env) = inside(&JOB.replace("sleep 1000'", "sleep 1000', result: { schema: { type: object, required: [ok] } }"));
    let mut session = session(&home, &env);
    let refused = session.call("set_result", json!({ "value": { "no": 1 } })).unwrap_err();
    assert!(refused.contains("it does not fit its schema: at the top: expected the key `ok`"), "{refused}");
    assert_eq!(home.task("j/p").result, None);
    session.call("set_result", json!({ "value": { "ok": 1 } })).unwrap();
    assert!(home.task("j/p").result.is_some());
}

#[test]
fn the_same_definition_again_is_a_further_task_and_from_a_later_attempt_the_same_one() {
    let (home, env) = inside(JOB);
    let mut one = session(&home, &env);
    let run = || json!({ "run": "true" });
    assert_eq!(one.call("queue_task", run()), Ok("queued j.1/p-1".to_owned()));
    assert_eq!(one.call("queue_task", run()), Ok("queued j.1/p-2".to_owned()));
    // A session that is resumed, or begun anew, is served by a process of its own.
    let mut other = session(&home, &env);
    assert_eq!(other.call("queue_task", json!({ "run": "false" })), Ok("queued j.1/p-3".to_owned()));
    assert_eq!(other.call("queue_task", run()), Ok("queued j.1/p-1".to_owned()));
}

#[test]
fn queueing_beyond_the_jobs_bound_is_refused_and_says_so() {
    let (home, env) = inside(&JOB.replace("max_parallel", "max_added: 2\nmax_parallel"));
    let mut session = session(&home, &env);
    for _ in 0..2 {
        assert!(session.call("queue_task", json!({ "run": "true" })).is_ok());
    }
    for _ in 0..3 {
        let refused = session.call("queue_task", json!({ "run": "true" })).unwrap_err();
        assert!(refused.contains("2 tasks, the most they may (max_added)"), "{refused}");
    }
    assert_eq!(home.tasks("j").len(), 3);
}

#[test]
fn nothing_is_shown_or_done_without_the_attempts_own_token() {
    let (home, mut env) = inside(JOB);
    env.iter_mut().filter(|(name, _)| name == "AIRX_TOKEN").for_each(|(_, token)| *token = "0".repeat(64));
    let refused = session(&home, &env).call("list_tasks", json!({})).unwrap_err();
    assert!(refused.contains("does not belong to a running attempt"), "{refused}");
    let output = home.run(["mcp"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("works inside a running task only"), "{}", text(&output));
}

#[test]
fn what_is_asked_while_no_manager_runs_is_taken_in_by_the_next() {
    let (mut home, env) = inside(JOB);
    home.kill_manager();
    let mut session = session(&home, &env);
    let said = session.call("queue_task", json!({ "id": "later", "run": "true" })).unwrap();
    assert!(said.contains("do not repeat it"), "{said}");
    assert!(session.call("list_tasks", json!({})).unwrap_err().contains("no manager"));
    home.start();
    home.until("it is queued", || home.tasks("j").iter().any(|task| task.id == "later"));
}

#[test]
fn a_question_waits_for_its_answer_beside_other_calls_and_over_a_restart_of_the_manager() {
    let (mut home, env) = inside(JOB);
    let mut session = session(&home, &env);
    let asked = session.send("ask_human", json!({ "question": "Merge?", "options": ["yes", "no"] }));
    home.until("the question waits", || questions::waiting(&home.path()).len() == 1);
    let body = questions::waiting(&home.path())[0].body.clone();
    assert_eq!(body, QuestionBody::Words { text: "Merge?".to_owned(), options: vec!["yes".to_owned(), "no".to_owned()] });
    assert!(session.call("report_progress", json!({ "done": 1 })).is_ok(), "another call is answered meanwhile");
    assert_eq!(session.await_progress(asked)["message"], "waiting for a person", "a client that waits sees that it is alive");
    home.kill_manager();
    home.start();
    let question = questions::waiting(&home.path())[0].id;
    questions::answer(&home.path(), question, Answer::Say { text: "yes, but rebase".to_owned() });
    assert_eq!(session.answer(asked), Ok("yes, but rebase".to_owned()));

    let refused = session.send("ask_human", json!({ "question": "And now?" }));
    home.until("the next question waits", || questions::waiting(&home.path()).len() == 1);
    let question = questions::waiting(&home.path())[0].id;
    questions::answer(&home.path(), question, Answer::Deny { message: "decide yourself".to_owned() });
    assert_eq!(session.answer(refused), Err("no answer: decide yourself".to_owned()));
    assert!(session.call("ask_human", json!({ "question": " " })).unwrap_err().contains("empty"));
}

#[test]
fn it_ends_at_once_with_its_standard_input_though_a_question_is_open() {
    let (home, env) = inside(JOB);
    let mut session = session(&home, &env);
    session.send("ask_human", json!({ "question": "Merge?" }));
    home.until("the question waits", || questions::waiting(&home.path()).len() == 1);
    let begun = Instant::now();
    assert!(session.close().success());
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}
