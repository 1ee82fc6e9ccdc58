//! Approvals through the built program: asked, answered, timed out, and never given by whoever may not.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test says so by a panic")]

#[path = "support/claude/mod.rs"]
mod claude;
#[path = "support/claude_home.rs"]
mod claude_home;
#[path = "support/home.rs"]
mod home;
#[path = "support/pty.rs"]
mod pty;

use airx::model::question::{Answer, AnsweredBy, QuestionView};
use airx::model::state::{FailCause, Outcome, TaskKind};
use home::{TestHome, text};

fn home() -> TestHome {
    let mut home = TestHome::new();
    home.start();
    home
}

/// Who runs the test, as the manager knows people.
fn me() -> String {
    airx::os::user::name(airx::os::uid())
}

/// A job whose `ship` waits for an approval; `more` belongs to that.
fn job(more: &str) -> String {
    format!(
        "name: rel\ntasks:\n  - {{ id: diff, run: \"printf '+ one\\\\n- two'\", result: text }}\n  - id: ok\n    needs: [diff]\n    \
         approve: {{ message: 'Ship {{{{ job.name }}}}?', show: '{{{{ tasks.diff.result }}}}'{more} }}\n  - {{ id: ship, needs: [ok], \
         run: 'echo \"{{{{ tasks.ok.result.by }}}} said {{{{ tasks.ok.result.comment }}}}\"' }}\n"
    )
}

fn questions(home: &TestHome, more: &[&str]) -> Vec<QuestionView> {
    let args: Vec<&str> = ["approvals", "-o", "json"].iter().chain(more).copied().collect();
    serde_json::from_str(&home.ok(args)).unwrap()
}

fn until_asked(home: &TestHome, count: usize) {
    home.until("it is asked", || questions(home, &[]).len() == count);
}

fn kinds(home: &TestHome, job: &str) -> Vec<TaskKind> {
    home.tasks(job).iter().map(|task| task.state.kind()).collect()
}

#[test]
fn what_is_approved_completes_and_later_tasks_know_who_said_what() {
    let home = home();
    let job = home.submit(&job(&format!(", who: {}", me())));
    until_asked(&home, 1);
    assert_eq!(kinds(&home, &job)[1], TaskKind::AwaitingApproval);
    let listed = home.ok(["approvals"]);
    for part in ["rel.1/ok", "Ship rel.1?", "+ one\n", "- two", "airx approve 1 [COMMENT]", &format!("({} may answer)", me())] {
        assert!(listed.contains(part), "{part}: {listed}");
    }
    assert!(home.ok(["status"]).contains("1 awaiting approval"));
    let wrong = home.run(["approve", "1", "--always"]);
    assert!(!wrong.status.success() && text(&wrong).contains("this is an approval"), "{}", text(&wrong));
    home.ok(["approve", "rel/ok", "looks", "good"]);
    assert_eq!(home.until_over(&job), "completed");
    assert_eq!(home.ok(["logs", "rel/ship", "--raw"]), format!("{} said looks good\n", me()));
    let shown = home.ok(["show", "rel/ok"]);
    assert!(shown.contains(&format!("approved by {}", me())) && shown.contains("looks good"), "{shown}");
    let settled = &questions(&home, &["--all"])[0];
    assert_eq!((settled.by, settled.by_name.clone()), (Some(AnsweredBy::Person), Some(me())));
    assert_eq!(settled.answer, Some(Answer::Approve { comment: "looks good".to_owned() }));
    assert!(home.ok(["events"]).contains(&format!("question 1 approved by {}: looks good", me())));
    let again = home.run(["approve", "1"]);
    assert!(!again.status.success() && text(&again).contains("no question 1 waits"), "{}", text(&again));
    assert_eq!(home.task("rel/ok").attempts.len(), 0, "it has no attempt");
}

#[test]
fn what_is_rejected_fails_and_a_requeue_asks_anew() {
    let home = home();
    let job = home.submit(&job(""));
    until_asked(&home, 1);
    home.ok(["reject", "rel/ok", "not", "today"]);
    assert_eq!(home.until_over(&job), "failed");
    assert_eq!(kinds(&home, &job)[1..], [TaskKind::Failed, TaskKind::UpstreamFailed]);
    assert_eq!(home.tasks(&job)[1].outcome.as_ref().unwrap().sentence(), format!("rejected by {}: not today", me()));
    home.ok(["requeue", "rel/ok"]);
    until_asked(&home, 1);
    assert_eq!(questions(&home, &[])[0].id, 2);
    assert_eq!(home.task("rel/ok").result, None, "what was said before is about something else");
    let refused = home.run(["requeue", "rel/ok"]);
    assert!(!refused.status.success() && text(&refused).contains("cancel it first"), "{}", text(&refused));
    home.ok(["approve", "2"]);
    assert_eq!(home.until_over(&job), "completed");
}

#[test]
fn nobody_in_time_is_answered_as_the_file_says() {
    let home = home();
    let rejected = home.submit(&job(", timeout: 50ms"));
    assert_eq!(home.until_over(&rejected), "failed");
    let how = FailCause::Rejected("nobody answered within 50ms".to_owned());
    assert_eq!(home.tasks(&rejected)[1].outcome, Some(Outcome::Failed { cause: how }));
    let approved = home.submit(&job(", timeout: 50ms, default: approve"));
    assert_eq!(home.until_over(&approved), "completed");
    assert_eq!(home.ok(["logs", "rel/ship", "--raw"]), " said nobody answered within 50ms\n");
    assert!(questions(&home, &["--all"]).iter().all(|question| question.by == Some(AnsweredBy::Timeout)));
}

#[test]
fn only_those_who_are_named_may_answer() {
    let home = home();
    let job = home.submit(&job(", who: [nobody-else, somebody]"));
    until_asked(&home, 1);
    for verb in ["approve", "reject"] {
        let refused = home.run([verb, "rel/ok"]);
        let said = text(&refused);
        let names = format!("`{}` may not answer question 1: the job file names nobody-else, somebody", me());
        assert!(!refused.status.success() && said.contains(&names), "{said}");
    }
    home.ok(["cancel", "rel/ok"]);
    home.until_over(&job);
    assert_eq!(kinds(&home, &job)[1], TaskKind::Cancelled);
    assert_eq!(questions(&home, &["--all"])[0].by, Some(AnsweredBy::Over));
}

#[test]
fn a_killed_manager_loses_neither_the_question_nor_the_answer() {
    let mut home = home();
    let job = home.submit(&job(""));
    until_asked(&home, 1);
    home.kill_manager();
    home.start();
    assert_eq!(questions(&home, &[])[0].id, 1, "it waits under the same number");
    home.ok(["approve", "1", "after all"]);
    home.kill_manager();
    home.start();
    assert_eq!(home.until_over(&job), "completed");
    assert_eq!(home.ok(["logs", "rel/ship", "--raw"]), format!("{} said after all\n", me()));
    home.ok(["stop"]);
    let checked = home.run(["doctor"]);
    assert!(checked.status.success(), "the rows are those of the journal: {}", text(&checked));
}

#[test]
fn a_running_task_cannot_approve_what_its_job_waits_for() {
    let home = home();
    let airx = home::AIRX;
    let text = format!(
        "name: sly\nmax_parallel: 2\ntasks:\n  - {{ id: ok, approve: 'Let it out?' }}\n  - id: sly\n    run: |\n      i=0\n      \
         while [ $i -lt 500 ] && ! {airx} approvals | grep -q 'Let it out'; do i=$((i+1)); sleep 0.05; done\n      \
         {airx} approve sly/ok; {airx} reject sly/ok\n      unset AIRX_DIR AIRX_TOKEN AIRX_SOCKET AIRX_ATTEMPT AIRX_JOB AIRX_TASK\n      \
         export AIRX_HOME={} XDG_RUNTIME_DIR={}\n      {airx} approve 1; setsid {airx} approve 1; true\n",
        home.path().display(),
        home.work().parent().unwrap().join("run").display(),
    );
    let job = home.submit(&text);
    home.until("it has tried", || kinds(&home, &job)[1] == TaskKind::Completed);
    let said = home.ok(["logs", "sly/sly"]);
    assert_eq!(said.matches("a running task may not do this").count(), 4, "{said}");
    assert_eq!(kinds(&home, &job)[0], TaskKind::AwaitingApproval);
    home.ok(["cancel", "sly"]);
}

#[test]
fn each_item_of_a_mapping_is_asked_about_and_a_paused_job_asks_nothing() {
    let home = home();
    let text = "name: each\ntasks:\n  - { id: first, run: sleep 0.3 }\n  - { id: ok, needs: [first], for_each: [a, b], approve: \
                'Take {{ item }}?' }\n  - { id: last, needs: [ok], run: 'echo {{ tasks.ok.result | length }}' }\n";
    let job = home.submit(text);
    home.ok(["pause", "each"]);
    home.until("the first is over", || kinds(&home, &job)[0] == TaskKind::Completed);
    assert_eq!(questions(&home, &[]).len(), 0);
    home.ok(["resume", "each"]);
    until_asked(&home, 2);
    let asked: Vec<String> = questions(&home, &[]).iter().map(|question| question.body.line()).collect();
    assert_eq!(asked, ["Take a?", "Take b?"]);
    home.ok(["approve", "each/ok/1"]);
    home.ok(["approve", "each/ok/0"]);
    assert_eq!(home.until_over(&job), "completed");
    assert_eq!(home.ok(["logs", "each/last", "--raw"]), "2\n");
}

#[test]
fn run_says_what_waits_and_how_it_is_answered() {
    let home = home();
    let path = home.job_file("job.yaml", "name: rel\ntasks:\n  - { id: ok, approve: Ship it? }\n");
    let run = home.command(["run", path.to_str().unwrap()]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    until_asked(&home, 1);
    home.ok(["approve", "1"]);
    let said = String::from_utf8(run.wait_with_output().unwrap().stdout).unwrap();
    assert!(said.contains("asks (1): Ship it?   (airx approve 1 [COMMENT], or airx reject 1 [WHY])"), "{said}");
}

#[test]
fn the_inbox_shows_all_of_it_and_takes_the_answer() {
    let home = home();
    let job = home.submit(&job(""));
    until_asked(&home, 1);
    let terminal = pty::Pty::open(&home.command::<&str>([]), 120, 30);
    terminal.wait_for("waits for your approval (i)");
    terminal.keys("i");
    terminal.wait_for("Ship rel.1?");
    terminal.wait_for("+ one");
    // Keys count a moment after it appeared.
    home.until("keys count", || {
        terminal.keys("s");
        terminal.screen().contains("approve, with the comment")
    });
    terminal.text("go");
    terminal.keys("enter");
    assert_eq!(home.until_over(&job), "completed");
    let said = home.ok(["logs", "rel/ship", "--raw"]);
    assert!(said.starts_with(&format!("{} said ", me())) && said.ends_with("go\n"), "{said}");
}

/// What the gate says of the first attempt is in the prompt of the second.
#[test]
fn the_second_attempts_prompt_holds_what_the_gate_said() {
    let Some((home, _api)) = claude_home::plain() else { return };
    let gate = "    retry: { attempts: 2, delay: 10ms }\n    accept: 'test -e seen && exit 0; touch seen; echo the moon is missing; exit 1'\n";
    let prompt =
        "Build it. [[fake:text {\"text\": \"done\"}]] The gate said <{{ gate.output }}> of attempt <{{ gate.attempt }}>.";
    let job = home.submit(&claude_home::job(prompt, gate));
    assert_eq!(home.until_over(&job), "completed");
    let attempts = home.task("c/a").attempts;
    let prompts: Vec<String> =
        attempts.iter().map(|attempt| std::fs::read_to_string(attempt.dir.join("prompt")).unwrap()).collect();
    assert!(prompts[0].contains("The gate said <> of attempt <>."), "{prompts:?}");
    assert!(prompts[1].contains("The gate said <the moon is missing\n> of attempt <1>."), "{prompts:?}");
    assert_ne!(attempts[0].session, attempts[1].session, "what failed is not gone on with");
}

#[test]
fn a_retry_learns_what_its_gate_said_by_any_way_and_only_a_task_with_a_gate_has_one() {
    let home = home();
    let text = "name: gated\ntasks:\n  - id: a\n    retry: { attempts: 3, delay: 10ms }\n    env: { SAID: '{{ gate.output }}' }\n    \
                run: |\n      printf '%s|%s|%s\\n' {{ gate.output }} \"$SAID\" {{ gate.attempt }}\n    accept: |\n      \
                test -e two && exit 0; test -e one && touch two; touch one; printf 'no \\000 moon $(touch pwned)'; exit 1\n";
    let job = home.submit(text);
    assert_eq!(home.until_over(&job), "completed");
    let said = "no \u{fffd} moon $(touch pwned)";
    assert_eq!(home.ok(["logs", "gated/a", "--attempt", "1", "--raw"]), "||\n");
    assert_eq!(home.ok(["logs", "gated/a", "--attempt", "2", "--raw"]), format!("{said}|{said}|1\n"));
    assert_eq!(home.ok(["logs", "gated/a", "--attempt", "3", "--raw"]), format!("{said}|{said}|2\n"));
    assert!(!home.work().join("pwned").exists());
    let path = home.job_file("bad.yaml", "name: b\ntasks:\n  - { id: a, run: 'echo {{ gate.output }}' }\n");
    let refused = home.run(["validate", path.to_str().unwrap()]);
    let told = home::text(&refused);
    assert!(told.contains("bad.yaml:3:25") && told.contains("a task with `accept` has it"), "{told}");
}
