//! Usage limits and refused logins: what one run learns holds for all of its credential.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use airx::model::message::{Answer, Page, UsageView};
use airx::model::state::{FailCause, Hold, Outcome, TaskState};

use crate::claude_home::{QUIET, plain, with};
use crate::home::TestHome;
use crate::{outcomes, requests, sessions};

/// A prompt whose first request of a session is refused for a usage limit until `resets`, in seconds since the epoch.
fn limited(resets: u64) -> String {
    let headers = format!(
        r#"{{"anthropic-ratelimit-unified-status": "rejected", "anthropic-ratelimit-unified-reset": "{resets}", "anthropic-ratelimit-unified-representative-claim": "five_hour", "anthropic-ratelimit-unified-overage-status": "rejected"}}"#
    );
    format!(r#"Work [[fake:429 {{"times": 1, "retry_after": 3600, "text": "went on", "headers": {headers}}}]]"#)
}

/// Seconds since the epoch, `ahead` from now.
fn at(ahead: u64) -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + ahead
}

/// A job whose tasks run by a subscription's token, each with its prompt.
fn subscribed(tasks: &[(&str, &str)], more: &str) -> String {
    let env = QUIET.replace(" }", ", CLAUDE_CODE_OAUTH_TOKEN: { from: 'env:TOKEN' } }");
    let task = |(id, prompt): &(&str, &str)| {
        format!("  - id: {id}\n    claude:\n      auth: login\n      prompt: |\n        {prompt}\n{more}")
    };
    format!("name: c\n{env}\nmax_parallel: 4\ntasks:\n{}", tasks.iter().map(task).collect::<String>())
}

fn subscriber() -> Option<(TestHome, crate::claude::FakeApi)> {
    let (mut home, api) = with(", limit_margin: 1s", "")?;
    home.env.push(("TOKEN".to_owned(), "dummy-token".to_owned()));
    home.kill_manager();
    home.start();
    Some((home, api))
}

fn is_limited(state: &TaskState) -> bool {
    matches!(state, TaskState::Held { hold: Hold::Limit { .. } })
}

#[test]
fn a_limit_holds_all_of_its_credential_and_each_task_resumes_by_itself_after_the_reset() {
    let Some((home, _api)) = subscriber() else { return };
    let resets = at(9);
    let text = subscribed(&[("a", &limited(resets))], "");
    let name = home.submit(&text);
    home.until("the task is held", || is_limited(&home.tasks(&name)[0].state));
    let TaskState::Held { hold: Hold::Limit { until, asks: false } } = home.tasks(&name)[0].state else { panic!("not held") };
    assert_eq!(until.0, (i64::try_from(resets).unwrap() + 1) * 1_000, "the reset, and the margin");
    // What comes later is held without an attempt of its own.
    let other =
        home.submit(&subscribed(&[("b", "Say [[fake:text]]"), ("c", "Say [[fake:text]]")], "").replace("name: c", "name: d"));
    home.until("the others are held too", || home.tasks(&other).iter().all(|task| is_limited(&task.state)));
    assert!(home.tasks(&other).iter().all(|task| task.attempts == 0));
    assert!(home.ok(["tasks", &name]).contains("usage limit until"), "{}", home.ok(["tasks", &name]));
    assert_eq!(home.until_over(&name), "completed");
    assert_eq!(home.until_over(&other), "completed");
    let task = home.task(&format!("{name}/a"));
    assert!(
        matches!(outcomes(&task)[..], [Outcome::Limited { resets_at: Some(_) }, Outcome::Succeeded]),
        "{:?}",
        outcomes(&task)
    );
    assert_eq!(sessions(&task)[0], sessions(&task)[1], "it goes on with its own session");
    assert!(task.attempts[1].opened.0 >= until.0, "not before the reset");
    assert!(home.tasks(&other).iter().all(|task| task.attempts == 1));
}

#[test]
fn a_limit_without_an_end_is_looked_at_again_later_or_at_once_when_a_person_says_so() {
    let Some((home, _api)) = plain() else { return };
    let name =
        home.submit(&crate::claude_home::job(r#"Work [[fake:429 {"times": 1, "retry_after": 120, "text": "went on"}]]"#, ""));
    home.until("the task is held", || is_limited(&home.tasks(&name)[0].state));
    let task = home.task(&format!("{name}/a"));
    assert_eq!(outcomes(&task), [Outcome::Limited { resets_at: None }]);
    let TaskState::Held { hold: Hold::Limit { until, .. } } = task.task.state else { panic!("not held") };
    let minutes = until.since(task.attempts[0].closed.unwrap()) / 60_000;
    assert!((29..=30).contains(&minutes), "{minutes}");
    home.ok(["requeue", &format!("{name}/a")]);
    assert_eq!(home.until_over(&name), "completed");
    let task = home.task(&format!("{name}/a"));
    assert_eq!(sessions(&task)[0], sessions(&task)[1]);
}

#[test]
fn a_task_may_ask_or_fail_instead_of_waiting_for_the_end_of_a_limit() {
    let Some((home, _api)) = subscriber() else { return };
    let failing = home.submit(&subscribed(&[("a", &limited(at(3_600)))], "      when_limited: fail\n"));
    assert_eq!(home.until_over(&failing), "failed");
    assert!(matches!(outcomes(&home.task(&format!("{failing}/a")))[..], [Outcome::Limited { .. }]));
    let asking = home.submit(&subscribed(&[("a", &limited(at(3)))], "      when_limited: ask\n"));
    home.until("the task waits for a person", || {
        matches!(home.tasks(&asking)[0].state, TaskState::Held { hold: Hold::Limit { asks: true, .. } })
    });
    assert!(home.ok(["tasks", &asking]).contains("airx requeue"));
    std::thread::sleep(Duration::from_millis(10));
    home.ok(["requeue", &asking]);
    assert_eq!(home.until_over(&asking), "completed");
}

#[test]
fn a_refused_key_is_known_at_its_first_sign_and_holds_the_credential_with_one_attempt() {
    let Some((home, _api)) = plain() else { return };
    // The CLI by itself would try for three minutes.
    let prompt = r#"Work [[fake:401 {"times": 1, "text": "went on"}]]"#;
    let name = home.submit(&crate::claude_home::job(prompt, ""));
    home.until("the login is known to be refused", || {
        matches!(home.tasks(&name)[0].state, TaskState::Held { hold: Hold::Login { .. } })
    });
    let task = home.task(&format!("{name}/a"));
    assert_eq!(outcomes(&task), [Outcome::Auth]);
    let ran = task.attempts[0].facts.as_ref().unwrap().elapsed_ms;
    assert!(ran < 60_000, "it took {ran} ms to see it");
    let more = home.submit(&format!(
        "name: d\n{QUIET}\nmax_parallel: 5\ntasks:\n{}",
        (0..5).map(|n| format!("  - {{ id: t{n}, claude: 'Say [[fake:text]]' }}\n")).collect::<String>()
    ));
    home.until("all of the credential is held", || {
        home.tasks(&more).iter().all(|task| matches!(task.state, TaskState::Held { hold: Hold::Login { .. } }))
    });
    assert_eq!(requests(&home).len(), 1, "nobody else has asked");
    home.ok(["requeue", &name]);
    assert_eq!(home.until_over(&name), "completed");
    assert_eq!(home.until_over(&more), "completed");
    assert!(home.tasks(&more).iter().all(|task| task.attempts == 1));
    let task = home.task(&format!("{name}/a"));
    assert_eq!(sessions(&task)[0], sessions(&task)[1]);
}

#[test]
fn an_overloaded_provider_is_asked_again_later_and_spends_no_attempt_of_the_task() {
    let Some((home, _api)) = plain() else { return };
    // Without patience of the CLI's own.
    let more = "    env: { CLAUDE_CODE_MAX_RETRIES: 0 }\n";
    let name = home.submit(&crate::claude_home::job(r#"Work [[fake:529 {"times": 1, "text": "went on"}]]"#, more));
    assert_eq!(home.until_over(&name), "completed");
    let task = home.task(&format!("{name}/a"));
    assert_eq!(outcomes(&task), [Outcome::Overloaded, Outcome::Succeeded]);
    assert_eq!(sessions(&task)[0], sessions(&task)[1]);
}

#[test]
fn no_more_claude_runs_live_at_once_than_the_configuration_allows_over_all_pools() {
    let pools = "pools: { other: { backend: process, slots: 4 } }";
    let Some((home, _api)) = with(", max_parallel: 2", pools) else { return };
    let task = |n: u32| {
        let pool = if n.is_multiple_of(2) { "local" } else { "other" };
        format!("  - {{ id: t{n}, pool: {pool}, claude: 'Say [[fake:long {{\"deltas\": 20, \"delay\": 0.05}}]]' }}\n")
    };
    let name = home.submit(&format!(
        "name: c\n{QUIET}\nmax_parallel: 9\ntasks:\n{}  - {{ id: shell, run: 'true' }}\n",
        (0..5).map(task).collect::<String>()
    ));
    home.until("two run", || home.tasks(&name).iter().filter(|task| task.state.live_attempt().is_some()).count() == 2);
    assert!(home.ok(["tasks", &name]).contains("(claude.max_parallel)"), "{}", home.ok(["tasks", &name]));
    let mut most = 0;
    while !home.job(&name).job.state.is_terminal() {
        let claude = home.tasks(&name).into_iter().filter(|task| task.is_claude && task.state.live_attempt().is_some()).count();
        most = most.max(claude);
    }
    assert_eq!((most, home.job(&name).job.state.word()), (2, "completed"));
}

#[test]
fn denied_tools_fail_a_task_that_says_so() {
    let Some((home, _api)) = plain() else { return };
    let name = home.submit(&crate::claude_home::job("[[fake:tools]]", "      denials: fail\n"));
    assert_eq!(home.until_over(&name), "failed");
    let outcome = outcomes(&home.task(&format!("{name}/a"))).remove(0);
    assert_eq!(outcome, Outcome::Failed { cause: FailCause::Denied("Write".to_owned()) });
    assert!(home.ok(["tasks", &name]).contains("denied: Write"));
}

#[test]
fn usage_windows_are_told_as_the_provider_told_them() {
    let Some((home, _api)) = subscriber() else { return };
    let resets = at(3_600);
    let headers = format!(
        r#"{{"anthropic-ratelimit-unified-status": "allowed_warning", "anthropic-ratelimit-unified-reset": "{resets}", "anthropic-ratelimit-unified-representative-claim": "five_hour", "anthropic-ratelimit-unified-5h-utilization": "0.91", "anthropic-ratelimit-unified-5h-reset": "{resets}", "anthropic-ratelimit-unified-5h-surpassed-threshold": "0.9"}}"#
    );
    let prompt = format!(r#"Say [[fake:script {{"steps": [{{"blocks": [{{"text": "hi"}}], "headers": {headers}}}]}}]]"#);
    let name = home.submit(&subscribed(&[("a", &prompt)], ""));
    assert_eq!(home.until_over(&name), "completed");
    let windows = crate::facts(&home.task(&format!("{name}/a")).attempts[0]).windows;
    assert_eq!(windows.len(), 1, "{}", home.ok(["logs", &format!("{name}/a"), "--raw"]));
    assert_eq!((windows[0].kind.as_str(), windows[0].percent), ("five_hour", Some(91)));
    let usage = usage(&home);
    assert_eq!(usage.credentials[0].state.windows, windows);
    assert_eq!(usage.credentials[0].state.pays_by_key, Some(false), "dollars are notional");
    assert!(usage.today_tokens > 0);
}

fn usage(home: &TestHome) -> UsageView {
    use airx::manager::ports::Reader as _;
    let reader = airx::store::StoreReader::new(&home.path(), &home.path().join("airx.db"));
    match reader.query(&airx::model::message::Query::Usage) {
        Ok(Page { body: Answer::Usage(usage), .. }) => *usage,
        other => panic!("{other:?}"),
    }
}
