//! Questions of a real Claude run, answered by keys.

use airx::model::question::{Answer, AnsweredBy, QuestionView};

use crate::claude_home::unstarted;
use crate::home::TestHome;
use crate::pty::Pty;
use crate::{airx, answer};

/// Claude writes a file, then runs a command; it may do neither without being allowed.
const JOB: &str = r#"name: asks
env: { DISABLE_TELEMETRY: 1, DISABLE_ERROR_REPORTING: 1, CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: 1 }
tasks:
  - id: a
    claude:
      prompt: |
        [[fake:tools {"command": "touch first"}]]
      permissions: ask
"#;

/// What was answered, in order.
fn answers(home: &TestHome) -> Vec<(Answer, AnsweredBy)> {
    let mut settled: Vec<QuestionView> = serde_json::from_str(&home.ok(["approvals", "--all", "-o", "json"])).unwrap();
    settled.sort_by_key(|question| question.id);
    settled.into_iter().filter_map(|question| Some((question.answer?, question.by?))).collect()
}

#[test]
fn what_claude_asks_is_denied_and_allowed_with_another_input_by_keys() {
    let Some((mut home, _api)) = unstarted("", "") else { return };
    home.env.push(("EDITOR".to_owned(), "sed -i 's/touch first/touch second/'".to_owned()));
    let screen = Pty::open(&airx(&home), 80, 24);
    screen.wait_for("No jobs yet");
    let job = home.submit(JOB);
    screen.wait_for("1 question waits (i)");
    screen.keys("i");
    // The whole request is in view before it is answered.
    screen.wait_for("written by the fake model");
    answer(&screen, "asked ", "d");
    screen.wait_for("deny, because");
    screen.text("not this file");
    screen.keys("enter");
    screen.wait_for("$ touch first");
    assert!(!home.work().join("first").exists(), "nothing runs before somebody allows it");
    answer(&screen, "asked ", "e");
    screen.wait_for("allows the tool with it");
    screen.keys("f4");
    screen.wait_for("\"touch second\"");
    screen.keys("f2");
    screen.wait_for("Nothing waits for you.");
    screen.keys("esc");
    assert_eq!(home.until_over(&job), "completed");
    assert!(home.work().join("second").exists() && !home.work().join("first").exists());
    let given = answers(&home);
    assert_eq!(given[0], (Answer::Deny { message: "not this file".to_owned() }, AnsweredBy::Person));
    assert!(matches!(&given[1], (Answer::Allow { input: Some(input), always: false }, AnsweredBy::Person)
        if input["command"] == "touch second"));
    assert_eq!(given.len(), 2);
}
