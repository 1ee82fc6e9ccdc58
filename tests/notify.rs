//! People are told of outcomes by commands and webhooks, and no notifier, however broken, harms a job: the built program with
//! a real manager and a real listener on loopback.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test says so by a panic")]

#[path = "support/claude/mod.rs"]
mod claude;
#[path = "support/home.rs"]
mod home;
#[path = "notify/hooks.rs"]
mod hooks;

use std::path::Path;
use std::time::{Duration, Instant};

use home::{TestHome, is_alive, text};
use hooks::{Answer, Hook};

/// A home whose configuration has these notifiers; no manager yet.
fn telling(notifiers: &str) -> TestHome {
    let home = TestHome::new();
    std::fs::create_dir_all(home.path()).unwrap();
    configure(&home, notifiers);
    home
}

fn configure(home: &TestHome, notifiers: &str) {
    std::fs::write(home.path().join("config.yaml"), format!("poll_interval: 1s\nnotify:\n{notifiers}")).unwrap();
}

/// A job of one task that fails.
const FAILS: &str = "name: bad\ntasks:\n  - { id: a, run: exit 7 }\n";

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn log(home: &TestHome) -> String {
    let files = std::fs::read_dir(home.path().join("logs")).into_iter().flatten().flatten();
    files.map(|file| std::fs::read_to_string(file.path()).unwrap_or_default()).collect()
}

#[test]
fn a_command_is_told_of_a_failure_in_its_arguments_and_its_environment_and_gets_nothing_else() {
    let mut home = telling(
        "  - { on: [failed], command: [sh, -c, 'printf \"%s\\n\" \"$0\" > told; env | sort > env; ls -l /proc/self/fd > fds', '{{ title }} | {{ text }}'] }\n",
    );
    home.env.push(("AIRX_TOKEN".to_owned(), "secret".to_owned()));
    home.env.push(("MY_API_KEY".to_owned(), "secret".to_owned()));
    home.start();
    let job = home.submit(FAILS);
    let place = home.user();
    home.until("the descriptors were listed", || lines(&place.join("fds")).len() > 3);
    assert_eq!(lines(&place.join("told")), [format!("airx: task failed | task {job}/a failed: exit 7")]);
    let env = lines(&place.join("env"));
    for wanted in ["AIRX_EVENT=failed", &format!("AIRX_JOB={job}"), "AIRX_TASK=a", "AIRX_REASON=exit 7", "AIRX_COUNT=1"] {
        assert!(env.iter().any(|line| line == wanted), "{wanted} in {env:?}");
    }
    assert!(!env.iter().any(|line| line.contains("secret")), "{env:?}");
    // Standard input is /dev/null; beside the three streams there is what `ls` itself opened.
    let descriptors: Vec<String> = lines(&place.join("fds")).into_iter().filter(|line| line.contains(" -> ")).collect();
    assert!(descriptors.iter().any(|line| line.contains(" 0 -> /dev/null")), "{descriptors:?}");
    assert_eq!(descriptors.len(), 4, "{descriptors:?}");
}

#[test]
fn a_job_that_completes_and_one_that_fails_reach_a_webhook_as_json() {
    let hook = Hook::start(Answer::Status(204));
    let mut home = telling(&format!(
        "  - on: [job_completed, job_failed]\n    webhook: \"{}\"\n    body: {{ text: \"{{{{ text }}}}\", event: \"{{{{ event }}}}\" }}\n    headers: {{ Authorization: {{ from: \"env:HOOK_TOKEN\" }} }}\n",
        hook.url()
    ));
    home.env.push(("HOOK_TOKEN".to_owned(), "Bearer s3cret".to_owned()));
    home.start();
    let bad = home.submit(FAILS);
    let good = home.submit("name: good\ntasks:\n  - { id: a, run: exit 0 }\n");
    home.until("both were told", || hook.requests().len() == 2);
    let requests = hook.requests();
    let mut told: Vec<(String, String)> = requests
        .iter()
        .map(|request| {
            let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
            (body["event"].as_str().unwrap().to_owned(), body["text"].as_str().unwrap().to_owned())
        })
        .collect();
    told.sort();
    assert_eq!(
        told,
        [
            ("job_completed".to_owned(), format!("job {good} completed: 1 of 1 tasks completed")),
            ("job_failed".to_owned(), format!("job {bad} failed: 1 of 1 tasks failed")),
        ]
    );
    assert!(requests[0].head.starts_with("POST /hook HTTP/1.1"), "{}", requests[0].head);
    let head = requests[0].head.to_ascii_lowercase();
    assert!(head.contains("authorization: bearer s3cret") && head.contains("content-type: application/json"), "{head}");
    home.until("the log tells", || log(&home).contains("answered 204"));
    assert!(!log(&home).contains("s3cret"));
}

#[test]
fn of_many_failures_the_first_is_told_at_once_and_the_others_in_one_message() {
    let hook = Hook::start(Answer::Status(200));
    let mut home = telling(&format!("  - {{ on: [failed], webhook: \"{}\" }}\n", hook.url()));
    home.start();
    let tasks: String = (0..12).map(|n| format!("  - {{ id: t{n}, run: exit 1 }}\n")).collect();
    let job = home.submit(&format!("name: many\nmax_parallel: 12\ntasks:\n{tasks}"));
    assert_eq!(home.until_over(&job), "failed");
    home.until("the first was told", || !hook.requests().is_empty());
    home.until("the others were told", || hook.requests().len() > 1);
    let told: Vec<u64> = hook.requests().iter().map(|request| request.json()["count"].as_u64().unwrap()).collect();
    assert_eq!(told, [1, 11]);
    assert_eq!(hook.requests()[1].json()["text"], format!("11 tasks failed in {job}"));
}

#[test]
fn what_failed_in_a_managers_last_second_is_told_by_it_and_by_none_after_it() {
    let hook = Hook::start(Answer::Status(200));
    let mut home = telling(&format!("  - {{ on: [job_failed], webhook: \"{}\" }}\n", hook.url()));
    home.start();
    let job = home.submit(FAILS);
    assert_eq!(home.until_over(&job), "failed");
    home.ok(["stop"]);
    home.await_manager();
    home.until("it was told", || hook.requests().len() == 1);
    home.start();
    let good = home.submit("name: good\ntasks:\n  - { id: a, run: exit 1 }\n");
    home.until("the next one was told", || hook.requests().len() == 2);
    assert_eq!(hook.requests()[1].json()["job"], good, "nothing is told twice");
}

#[test]
fn what_a_killed_manager_did_not_tell_its_successor_tells() {
    let hook = Hook::start(Answer::Status(200));
    let told = |hook: &Hook, job: &str| hook.requests().iter().filter(|request| request.json()["job"] == job).count();
    let mut home = telling(&format!("  - {{ on: [job_failed], webhook: \"{}\" }}\n", hook.url()));
    home.start();
    let first = home.submit(FAILS);
    home.until("the first is told", || told(&hook, &first) == 1);
    // The second one of its kind waits for the end of the gap: the manager dies with it.
    let second = home.submit(FAILS);
    assert_eq!(home.until_over(&second), "failed");
    home.kill_manager();
    home.start();
    home.until("the second is told", || told(&hook, &second) == 1);
    assert_eq!(told(&hook, &first), 1);
}

#[test]
fn broken_notifiers_harm_no_job_and_the_log_says_what_is_wrong_with_each() {
    let (refuses, hangs, fails) = (Hook::refusing(), Hook::start(Answer::Never), Hook::start(Answer::Status(500)));
    let (endless, redirects) = (Hook::start(Answer::Gigabyte), Hook::start(Answer::Redirect));
    let mut home = telling(&format!(
        concat!(
            "  - {{ on: [job_failed], command: [sh, -c, 'echo $$ > hanging; trap : TERM; while :; do sleep 1000; done'] }}\n",
            "  - {{ on: [job_failed], command: [/nowhere/notify-send] }}\n",
            "  - {{ on: [job_failed], run: 'echo no bus >&2; exit 3' }}\n",
            "  - {{ on: [job_failed], webhook: \"{}\" }}\n",
            "  - {{ on: [job_failed], webhook: \"{}\" }}\n",
            "  - {{ on: [job_failed], webhook: \"{}\" }}\n",
            "  - {{ on: [job_failed], webhook: \"{}\" }}\n",
            "  - {{ on: [job_failed], webhook: \"{}\" }}\n",
            "  - {{ on: [job_failed], webhook: {{ from: \"env:NOT_THERE\" }} }}\n",
        ),
        refuses.url(),
        hangs.url(),
        fails.url(),
        endless.url(),
        redirects.url()
    ));
    home.start();
    let job = home.submit(FAILS);
    assert_eq!(home.until_over(&job), "failed");
    // While they all fail, work goes on as ever.
    let begun = Instant::now();
    for _ in 0..5 {
        let good = home.submit("name: good\ntasks:\n  - { id: a, run: echo hello }\n");
        assert_eq!(home.until_over(&good), "completed");
    }
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    for wanted in [
        "`/nowhere/notify-send` cannot be started",
        "exit status: 3: no bus",
        "took longer than 30 s and was ended",
        "Connection refused",
        "no answer within 10 s, 3 times",
        "answered 500, 3 times",
        "answered 200",
        "a redirect, which is not followed",
        "no NOT_THERE",
    ] {
        home.until(&format!("the log says `{wanted}`: {}", log(&home)), || log(&home).contains(wanted));
    }
    assert_eq!(fails.requests().len(), 3);
    let hanging: u32 = lines(&home.user().join("hanging"))[0].parse().unwrap();
    home.until("the command that ignores SIGTERM is gone", || !is_alive(hanging));
    let memory = std::fs::read_to_string(format!("/proc/{}/status", home.manager_pid())).unwrap();
    let peak: u64 =
        memory.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.trim().parse().ok()).unwrap();
    assert!(peak < 64 * 1024, "{peak} KiB at its peak");
    assert!(is_alive(home.manager_pid()));
}

#[test]
fn a_manager_that_is_told_to_leave_waits_for_no_notifier() {
    let hook = Hook::start(Answer::Never);
    let mut home = telling(&format!(
        "  - {{ on: [job_failed], webhook: \"{}\" }}\n  - {{ on: [job_failed], run: sleep 1000 }}\n",
        hook.url()
    ));
    home.start();
    let job = home.submit(FAILS);
    assert_eq!(home.until_over(&job), "failed");
    home.until("the webhook was reached", || !hook.requests().is_empty());
    let begun = Instant::now();
    home.ok(["stop"]);
    home.await_manager();
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn notifiers_that_are_added_later_tell_of_what_comes_then() {
    let mut home = telling("  []\n");
    home.start();
    let before = home.submit(FAILS);
    assert_eq!(home.until_over(&before), "failed");
    configure(&home, "  - { on: [job_failed], run: 'echo $AIRX_JOB >> told' }\n");
    let told = home.user().join("told");
    let mut jobs = Vec::new();
    let begun = Instant::now();
    while lines(&told).is_empty() {
        assert!(begun.elapsed() < home::PATIENCE, "nobody was told");
        let job = home.submit(FAILS);
        home.until_over(&job);
        jobs.push(job);
    }
    let first = lines(&told).remove(0);
    assert!(first != before && jobs.contains(&first), "{first} of {jobs:?}");
}

#[test]
fn the_test_tells_what_became_of_each_notifier_and_doctor_what_is_missing() {
    let hook = Hook::start(Answer::Status(403));
    let home = telling(&format!(
        "  - {{ on: [failed], run: 'echo \"$AIRX_TEXT\" > told' }}\n  - {{ on: [auth], webhook: \"{}\" }}\n  - {{ on: [question], command: [nowhere-to-be-found] }}\n",
        hook.url()
    ));
    let output = home.run(["notify", "test", "-o", "json"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let ok: Vec<bool> = told.as_array().unwrap().iter().map(|one| one["ok"].as_bool().unwrap()).collect();
    assert_eq!(ok, [true, false, false], "{told}");
    assert_eq!(told[1]["said"], "answered 403", "what is refused is not tried again");
    assert_eq!(hook.requests().len(), 1);
    assert!(lines(&home.user().join("told"))[0].contains("only a test, with \"quotes\""));
    let doctor = text(&home.run(["doctor"]));
    assert!(doctor.contains("nowhere-to-be-found` is not found") && doctor.contains("webhook 127.0.0.1"), "{doctor}");
    let none = TestHome::new().run(["notify", "test"]);
    assert_eq!(none.status.code(), Some(2), "{}", text(&none));
}

#[test]
fn a_refused_key_of_many_claude_tasks_is_told_once_and_a_question_of_another_ones_run_is_told() {
    let Some(binary) = claude::binary() else { return };
    let mut home = TestHome::new();
    let api = claude::FakeApi::start(&home.user());
    std::fs::create_dir_all(home.path()).unwrap();
    let config = format!(
        "claude: {{ binary: '{}' }}\nnotify:\n  - {{ on: [auth, question, limited], run: 'echo \"$AIRX_EVENT: $AIRX_TEXT\" >> told' }}\n",
        binary.display()
    );
    std::fs::write(home.path().join("config.yaml"), config).unwrap();
    for (name, value) in [("BAD_KEY", "bad"), ("GOOD_KEY", "good"), ("ANTHROPIC_BASE_URL", &api.url())] {
        home.env.push((name.to_owned(), value.to_owned()));
    }
    home.start();
    let refused: String =
        (0..4).map(|n| format!("  - {{ id: t{n}, claude: {{ prompt: '[[fake:401]]', auth: 'env:BAD_KEY' }} }}\n")).collect();
    let env = "env: { CLAUDE_CODE_MAX_RETRIES: 0, DISABLE_TELEMETRY: 1, DISABLE_ERROR_REPORTING: 1, CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: 1 }";
    let many = home.submit(&format!("name: many\nmax_parallel: 2\n{env}\ntasks:\n{refused}"));
    let asks = home.submit(&format!(
        "name: asks\n{env}\ntasks:\n  - {{ id: a, claude: {{ prompt: '[[fake:tools {{\"command\": \"touch x\"}}]]', auth: 'env:GOOD_KEY', permissions: ask }} }}\n"
    ));
    let told = home.user().join("told");
    home.until("both are told", || lines(&told).len() >= 2);
    home.until("all tasks are held", || {
        home.tasks(&many).iter().all(|task| task.state.kind() == airx::model::state::TaskKind::Held)
    });
    let mut told = lines(&told);
    told.sort();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("auth: tasks wait: key BAD_KEY") && told[0].contains("log in again"), "{told:?}");
    assert!(told[1].starts_with(&format!("question: task {asks}/a asks: Write: ")), "{told:?}");
    home.ok(["cancel", "--all", "--kill"]);
}
