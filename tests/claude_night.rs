//! A night, compressed: twenty Claude tasks through two usage limits, a killed manager, an expired login, a runaway and a question.
//! Nobody lifts a hand but for the question and the login, and in the morning each task ran, ran once, and what failed says why.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test says so by a panic")]

#[path = "support/claude/mod.rs"]
mod claude;
#[path = "support/claude_home.rs"]
mod claude_home;
#[path = "support/home.rs"]
mod home;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use airx::model::question::QuestionView;
use airx::model::state::{BudgetOf, Hold, Outcome, TaskState};
use airx::model::time::Utc;
use claude_home::{QUIET, with};
use home::{PATIENCE, TestHome};

/// Tasks that just do their part.
const PLAIN: usize = 15;

/// A step that is never played: the CLI closes the gap in a session that it resumes with an answer of its own.
const UNUSED: &str = r#"{"blocks": [{"text": "never said"}]}"#;

/// A scenario whose first request of a session meets a usage limit that ends at `resets`, in seconds since the epoch; then it does
/// `command`.
fn limited(resets: u64, command: &str) -> String {
    let headers = format!(
        r#"{{"retry-after": "3600", "anthropic-ratelimit-unified-status": "rejected", "anthropic-ratelimit-unified-reset": "{resets}", "anthropic-ratelimit-unified-representative-claim": "five_hour", "anthropic-ratelimit-unified-overage-status": "rejected"}}"#
    );
    let refusal = format!(r#"{{"status": 429, "error": "rate_limit_error", "message": "no", "times": 1, "headers": {headers}}}"#);
    script(&[&refusal, UNUSED, &bash(command), r#"{"blocks": [{"text": "done"}]}"#])
}

fn bash(command: &str) -> String {
    format!(r#"{{"blocks": [{{"tool": "Bash", "input": {{"command": "{command}"}}}}]}}"#)
}

fn script(steps: &[&str]) -> String {
    format!(r#"[[fake:script {{"steps": [{}]}}]]"#, steps.join(", "))
}

/// The job: every task writes its own name, so that what ran twice shows.
fn night(now: u64) -> String {
    let mut text = format!(
        "name: night\n{}\nmax_parallel: 4\ntasks:\n",
        QUIET.replace(" }", ", CLAUDE_CODE_OAUTH_TOKEN: { from: 'env:TOKEN' } }")
    );
    let mut task = |id: &str, needs: &str, prompt: &str, more: &str| {
        let may = if id == "question" { "permissions: ask" } else { "allowed_tools: [Bash]" };
        let _ = write!(
            text,
            "  - id: {id}\n    needs: [{needs}]\n    claude:\n      auth: login\n      prompt: |\n        {prompt}\n      {may}\n{more}"
        );
    };
    let does = |id: &str| script(&[&bash(&format!("echo {id} >> ran")), r#"{"blocks": [{"text": "done"}], "delay": 0.05}"#]);
    for n in 0..PLAIN {
        let needs = if n < 4 { String::new() } else { format!("p{}", n - 4) };
        task(&format!("p{n}"), &needs, &does(&format!("p{n}")), "");
    }
    task("first-limit", "p1", &limited(now + 20, "echo first-limit >> ran"), "");
    task("second-limit", "first-limit", &limited(now + 40, "echo second-limit >> ran"), "");
    let refused = r#"{"status": 401, "error": "authentication_error", "message": "expired", "times": 1}"#;
    task("login", "p6", &script(&[refused, UNUSED, &bash("echo login >> ran"), r#"{"blocks": [{"text": "done"}]}"#]), "");
    task("question", "p2", &script(&[&bash("touch asked; echo question >> ran"), r#"{"blocks": [{"text": "done"}]}"#]), "");
    task("runaway", "p3", r#"[[fake:loop {"usage": {"input_tokens": 5000}}]]"#, "    budget: 0.1\n");
    text
}

fn asked(home: &TestHome) -> Vec<QuestionView> {
    serde_json::from_str(&home.ok(["approvals", "-o", "json"])).unwrap()
}

/// What a person had to do, and what was seen on the way.
#[derive(Default)]
struct Night {
    logins: u32,
    answers: u32,
    was_killed: bool,
    seen_limits: BTreeSet<i64>,
    most: usize,
}

impl Night {
    /// Looks at the job once, and does what a person would.
    fn look(&mut self, home: &mut TestHome, job: &str) {
        let tasks = home.tasks(job);
        self.most = self.most.max(tasks.iter().filter(|task| task.state.live_attempt().is_some()).count());
        for task in &tasks {
            if let TaskState::Held { hold: Hold::Limit { until, .. } } = &task.state {
                self.seen_limits.insert(until.0);
            }
        }
        // Those whose turn comes at once wait for the first to have tried.
        let later = |again: &Utc| again.0 > airx::os::now().utc.0 + 10_000;
        if tasks.iter().any(|task| matches!(&task.state, TaskState::Held { hold: Hold::Login { again, .. } } if later(again))) {
            self.logins += 1;
            home.ok(["requeue", job]);
        }
        for question in asked(home) {
            self.answers += 1;
            home.ok(["approve", &question.id.to_string()]);
        }
        let done = tasks.iter().filter(|task| task.state == TaskState::Completed).count();
        if !self.was_killed && done >= 6 && tasks.iter().any(|task| matches!(task.state, TaskState::Running { .. })) {
            home.kill_manager();
            home.start();
            self.was_killed = true;
        }
    }
}

#[test]
fn a_night_ends_right_without_a_hand_but_for_the_question_and_the_login() {
    let Some((mut home, _api)) = with(", limit_margin: 1s, max_parallel: 3", "") else { return };
    home.env.push(("TOKEN".to_owned(), "dummy-token".to_owned()));
    home.kill_manager();
    home.start();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let job = home.submit(&night(now));
    assert_eq!(home.tasks(&job).len(), 20);
    let (mut night, deadline) = (Night::default(), Instant::now() + 3 * PATIENCE);
    while !home.job(&job).job.state.is_terminal() {
        assert!(Instant::now() < deadline, "the night does not end:\n{}", home.ok(["tasks", &job]));
        night.look(&mut home, &job);
    }
    let overview = home.ok(["tasks", &job]);
    assert_eq!((night.logins, night.answers, night.was_killed), (1, 1, true), "{overview}");
    assert!(night.seen_limits.len() >= 2, "two limits were waited for: {:?}", night.seen_limits);
    assert!(night.most <= 3, "claude.max_parallel held: {}", night.most);
    for task in home.tasks(&job) {
        let address = format!("{job}/{}", task.id);
        let attempts = home.task(&address).attempts;
        let outcomes: Vec<Outcome> = attempts.iter().filter_map(|attempt| attempt.outcome.clone()).collect();
        match task.id.as_str() {
            "runaway" => assert_eq!(outcomes, [Outcome::BudgetExceeded { of: BudgetOf::Task }], "{overview}"),
            "login" => assert_eq!(outcomes, [Outcome::Auth, Outcome::Succeeded], "{overview}"),
            "first-limit" | "second-limit" => {
                assert!(matches!(outcomes[..], [Outcome::Limited { .. }, Outcome::Succeeded]), "{outcomes:?}\n{overview}");
                assert_eq!(attempts[0].session, attempts[1].session, "it goes on with its own session");
            }
            _ => assert_eq!(outcomes, [Outcome::Succeeded], "{address}\n{overview}"),
        }
    }
    let text = std::fs::read_to_string(home.work().join("ran")).unwrap();
    let mut ran: Vec<&str> = text.lines().collect();
    ran.sort_unstable();
    let mut expected: Vec<String> = (0..PLAIN).map(|n| format!("p{n}")).collect();
    expected.extend(["first-limit", "second-limit", "login", "question"].map(str::to_owned));
    expected.sort_unstable();
    assert_eq!(ran, expected, "each ran once");
    assert_eq!(home.job(&job).job.state.word(), "failed", "the runaway");
    assert!(overview.contains("budget exceeded (task)"), "{overview}");
    assert_eq!(home.strays(), Vec::<u32>::new());
}
