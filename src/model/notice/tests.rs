use std::collections::BTreeSet;

use super::*;
use crate::model::change::{AttemptFacts, Change, ClaudeFacts, Event};
use crate::model::credential::{Credential, CredentialHold, CredentialState};
use crate::model::ids::{AttemptId, JobId, JobName, TaskIdx};
use crate::model::message::{EventView, JobView};
use crate::model::question::{AnsweredBy, Question, QuestionBody};
use crate::model::state::{BudgetOf, Counts, FailCause, Hold, JobState, Outcome, TaskKind, TaskState};
use crate::model::time::{Mono, Utc};

const NIGHT: i64 = 1_700_000_000_000;
const CLOCK: Clock<'static> = &|_| "14:30".to_owned();

fn event(seq: u64, job: u32, task: Option<&str>, at: i64, change: Change) -> EventView {
    EventView {
        seq: Seq(seq),
        job: Some(JobName { name: "nightly".to_owned(), number: job }),
        task: task.map(str::to_owned),
        event: Event { at: Utc(at), change },
    }
}

fn closed(seq: u64, job: u32, at: i64, outcome: Outcome, state: TaskState) -> EventView {
    let attempt = AttemptId { job: JobId(job), task: TaskIdx(0), number: 1 };
    let claude = ClaudeFacts { cost_microusd: 250_000, ..ClaudeFacts::default() };
    let facts = Box::new(AttemptFacts { claude: Some(claude), ..AttemptFacts::default() });
    event(seq, job, Some("fix"), at, Change::AttemptClosed { attempt, outcome, facts, state })
}

fn failed(seq: u64, job: u32) -> EventView {
    closed(seq, job, NIGHT, Outcome::Failed { cause: FailCause::Exit(1) }, TaskState::Failed)
}

fn held() -> TaskState {
    TaskState::Held { hold: Hold::Login { again: Utc(NIGHT), delay_ms: 300_000 } }
}

fn on(kinds: &[Kind]) -> Notifier {
    Notifier { on: kinds.iter().copied().collect(), means: Means::Terminal(Ring::Bell), title: None, text: None }
}

fn texts(told: &[(usize, Notice)]) -> Vec<String> {
    told.iter().map(|(_, notice)| words::text(notice)).collect()
}

fn texts_of(found: &[Found]) -> Vec<String> {
    found.iter().flatten().map(words::text).collect()
}

#[test]
fn an_outcome_becomes_a_notice_with_its_reason_and_cost() {
    let found = Digest::default().take(&[failed(7, 3)], &[], CLOCK);
    let notice = &found[0][0];
    assert_eq!(
        (notice.kind, notice.seq, notice.outcome.as_str(), notice.cost_microusd),
        (Kind::Failed, Seq(7), "failed", 250_000)
    );
    assert_eq!(words::text(notice), "task nightly.3/fix failed: exit 1");
    assert_eq!(words::title(notice), "airx: task failed");
    let again = closed(8, 3, NIGHT, Outcome::TimedOut, TaskState::Queued);
    assert_eq!(Digest::default().take(&[again], &[], CLOCK), Vec::<Found>::new(), "what is tried again is no news");
}

#[test]
fn a_job_that_ends_tells_how_many_of_its_tasks_did_what() {
    let moved = |state| event(9, 3, None, NIGHT, Change::JobMoved { job: JobId(3), state });
    let mut tasks = Counts::default();
    (0..2).for_each(|_| tasks.add(TaskKind::Failed));
    (0..28).for_each(|_| tasks.add(TaskKind::Completed));
    let view = JobView {
        id: 3,
        name: JobName { name: "nightly".to_owned(), number: 3 },
        state: JobState::Failed,
        paused: false,
        stopped: false,
        priority: 0,
        tasks,
        submitted: Utc(NIGHT),
        updated: Utc(NIGHT),
        cost_microusd: 3_000_000,
        mapped: None,
    };
    let events = [moved(JobState::Failed)];
    assert_eq!(wanted_jobs(&events), [3]);
    assert_eq!(texts_of(&Digest::default().take(&events, &[view], CLOCK)), ["job nightly.3 failed: 2 of 30 tasks failed"]);
    assert_eq!(texts_of(&Digest::default().take(&events, &[], CLOCK)), ["job nightly.3 failed"], "its row may be gone");
    let working = [moved(JobState::Working)];
    assert!(wanted_jobs(&working).is_empty() && Digest::default().take(&working, &[], CLOCK).is_empty());
}

fn moved(seq: u64, name: &str, hold: Option<CredentialHold>) -> EventView {
    let state = Box::new(CredentialState { hold, ..CredentialState::default() });
    let change = Change::CredentialMoved { credential: Credential(name.to_owned()), state };
    EventView { seq: Seq(seq), job: None, task: None, event: Event { at: Utc(NIGHT), change } }
}

#[test]
fn a_usage_limit_is_told_once_however_many_tasks_it_holds_and_again_after_it_was_lifted() {
    let until = |until| Some(CredentialHold::Limit { until: Utc(until), told: true });
    let limited = |seq, attempt| closed(seq, attempt, NIGHT, Outcome::Limited { resets_at: None }, held());
    let events = [
        limited(1, 1),
        moved(2, "login /a", until(NIGHT)),
        limited(3, 2),
        moved(4, "login /a", until(NIGHT + 60_000)),
        moved(5, "key B", until(NIGHT)),
        moved(6, "login /a", None),
        moved(7, "login /a", until(NIGHT)),
    ];
    let found = Digest::default().take(&events, &[], CLOCK);
    assert_eq!(
        texts_of(&found),
        [
            "tasks wait: usage limit of login /a until 14:30",
            "tasks wait: usage limit of key B until 14:30",
            "tasks wait: usage limit of login /a until 14:30"
        ]
    );
}

#[test]
fn a_login_is_asked_for_once_until_it_worked_again() {
    let refused = |seq| moved(seq, "login /a", Some(CredentialHold::Login { again: Utc(NIGHT + seq as i64), delay_ms: 300_000 }));
    let events = [refused(1), refused(2), refused(3), moved(4, "login /a", None), refused(5)];
    let found = Digest::default().take(&events, &[], CLOCK);
    let told: Vec<(Kind, u64)> = found.iter().flatten().map(|notice| (notice.kind, notice.seq.0)).collect();
    assert_eq!(told, [(Kind::Auth, 1), (Kind::Auth, 5)]);
    assert_eq!(words::text(&found[0][0]), "tasks wait: login /a was refused: log in again, or mend the key");
}

#[test]
fn a_question_is_told_unless_a_rule_of_the_job_answers_it() {
    let attempt = AttemptId { job: JobId(3), task: TaskIdx(0), number: 1 };
    let asked = |seq, id| {
        let body = QuestionBody::Permission {
            tool: "Bash".to_owned(),
            input: serde_json::json!({ "command": "make" }),
            rules: Vec::new(),
        };
        let question = Box::new(Question { key: "k".to_owned(), body });
        event(seq, 3, Some("fix"), NIGHT, Change::QuestionAsked { attempt, id, question, expires: None })
    };
    let answered = Change::QuestionAnswered { attempt, id: 1, answer: None, by: AnsweredBy::Rule, by_name: None };
    let found = Digest::default().take(&[asked(1, 1), event(2, 3, Some("fix"), NIGHT, answered), asked(3, 2)], &[], CLOCK);
    assert_eq!(texts_of(&found), ["task nightly.3/fix asks: Bash: make"]);
    assert_eq!(found[0][0].seq, Seq(3));
}

#[test]
fn what_is_two_things_is_told_once() {
    let found = Digest::default().take(
        &[closed(1, 3, NIGHT, Outcome::BudgetExceeded { of: BudgetOf::Task }, TaskState::Failed)],
        &[],
        CLOCK,
    );
    let notifiers = [on(&[Kind::Budget, Kind::Failed]), on(&[Kind::Failed]), on(&[Kind::Question])];
    let told = Throttle::default().offer(&notifiers, &found[0], Mono(0));
    let kinds: Vec<(usize, Kind)> = told.iter().map(|(place, notice)| (*place, notice.kind)).collect();
    assert_eq!(kinds, [(0, Kind::Budget), (1, Kind::Failed)]);
}

#[test]
fn the_first_failure_is_told_at_once_and_the_next_twelve_in_one_message() {
    let notifiers = [on(&[Kind::Failed])];
    let mut throttle = Throttle::default();
    let found = Digest::default().take(&(1..=13).map(|seq| failed(seq, 3)).collect::<Vec<_>>(), &[], CLOCK);
    let at_once: Vec<_> = found.iter().flat_map(|found| throttle.offer(&notifiers, found, Mono(50))).collect();
    assert_eq!(texts(&at_once), ["task nightly.3/fix failed: exit 1"]);
    assert_eq!((throttle.next_due(), throttle.oldest()), (Some(Mono(50 + GAP_MS)), Some(Seq(2))));
    assert!(throttle.due(Mono(49 + GAP_MS)).is_empty());
    let later = throttle.due(Mono(50 + GAP_MS));
    assert_eq!(texts(&later), ["12 tasks failed in nightly.3"]);
    assert_eq!((later[0].1.seq, later[0].1.cost_microusd), (Seq(13), 3_000_000));
    assert_eq!((throttle.next_due(), throttle.oldest()), (None, None));
    // The gate is closed again, so the fourteenth waits its turn.
    assert!(throttle.offer(&notifiers, &found[0], Mono(60 + GAP_MS)).is_empty());
    assert_eq!(texts(&throttle.flush()), ["task nightly.3/fix failed: exit 1"]);
}

#[test]
fn failures_of_many_jobs_are_counted_by_job() {
    let notifiers = [on(&[Kind::Failed])];
    let mut throttle = Throttle::default();
    for job in 1..=300 {
        let found = Digest::default().take(&[failed(u64::from(job), job)], &[], CLOCK);
        throttle.offer(&notifiers, &found[0], Mono(0));
    }
    assert_eq!(texts(&throttle.due(Mono(GAP_MS))), ["299 tasks failed in 299 jobs"]);
}

#[test]
fn values_are_escaped_in_a_json_body_and_no_terminal_obeys_them() {
    let webhook =
        |body: &str| Webhook { url: EnvValue::Text("https://x".to_owned()), body: Some(body.to_owned()), headers: Vec::new() };
    let mut notice = words::sample(Kind::Failed);
    notice.reason = "said \"no\"\n\u{1b}[2J \\ \u{202e}".to_owned();
    let words = words::Words::new(&on(&[Kind::Failed]), &notice, "/h").unwrap();
    let body = words.body(&webhook("{\"text\": \"{{ reason }}\", \"cost\": {{ cost }}}")).unwrap();
    let value: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(value["text"], "said \"no\" \\u{1b}[2J \\ \\u{202e}");
    assert_eq!(value["cost"], 1.23);
    let all = words.body(&Webhook { body: None, ..webhook("") }).unwrap();
    let all: serde_json::Value = serde_json::from_str(&all).unwrap();
    assert_eq!((&all["event"], &all["job"], &all["home"]), (&"failed".into(), &"test.1".into(), &"/h".into()));
}

#[test]
fn a_notifier_may_use_its_own_words() {
    let notifier = Notifier { text: Some("{{ task | upper }} of {{ job }}".to_owned()), ..on(&[Kind::Failed]) };
    let words = words::Words::new(&notifier, &words::sample(Kind::Failed), "/h").unwrap();
    assert_eq!(words.get("text"), "NOTIFY of test.1");
    assert!(words.variables().contains(&("AIRX_TEXT".to_owned(), "NOTIFY of test.1".to_owned())));
}

#[test]
fn templates_are_tried_before_they_are_needed() {
    let webhook = |body: &str, header: Option<&str>| Notifier {
        means: Means::Webhook(Webhook {
            url: EnvValue::Text("https://x".to_owned()),
            body: Some(body.to_owned()),
            headers: header.map(|kind| ("Content-Type".to_owned(), EnvValue::Text(kind.to_owned()))).into_iter().collect(),
        }),
        ..on(&[Kind::Failed])
    };
    let faults = |notifier: &Notifier| words::faults(notifier).into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    assert!(faults(&webhook("{\"text\": \"{{ text }}\"}", None)).is_empty());
    assert_eq!(faults(&webhook("{\"text\": {{ text }}}", None)), ["body"]);
    assert!(faults(&webhook("{{ text }}", Some("text/plain"))).is_empty());
    let wrong = Notifier { title: Some("{{ titel }}".to_owned()), text: Some("{{ text".to_owned()), ..on(&[Kind::Failed]) };
    assert_eq!(faults(&wrong), ["title", "text"]);
    let command =
        Notifier { means: Means::Command(vec!["notify-send".to_owned(), "{{ nothing }}".to_owned()]), ..on(&[Kind::Failed]) };
    assert_eq!(faults(&command), ["command"]);
}

#[test]
fn an_address_is_shown_by_its_host_alone() {
    assert_eq!(words::host("https://user:secret@hooks.example.com:8443/services/T0/B0/xyz?token=1"), "hooks.example.com:8443");
}

#[test]
fn every_kind_has_its_word() {
    let words: BTreeSet<&str> = Kind::ALL.iter().map(|kind| kind.word()).collect();
    assert_eq!(words.len(), Kind::ALL.len());
    assert!(Kind::ALL.iter().all(|kind| Kind::named(kind.word()) == Some(*kind)));
}

#[test]
fn a_terminal_gets_one_sequence_and_nothing_out_of_the_words_escapes_it() {
    let said = |ring, tmux| ring::signal(ring, "a;b\x1b]0;", "x\x07\x1b\\ \u{9c}\ny", tmux);
    assert_eq!(said(Ring::Bell, true), "\x07");
    let text = "x\\u{7}\\u{1b}\\ \\u{9c} y";
    assert_eq!(said(Ring::Osc9, false), format!("\x1b]9;{text}\x07"));
    assert_eq!(said(Ring::Osc777, false), format!("\x1b]777;notify;a,b\\u{{1b}}]0,;{text}\x07"));
    assert_eq!(said(Ring::Osc9, true), format!("\x1bPtmux;\x1b\x1b]9;{text}\x07\x1b\\"));
    assert_eq!(ring::signal(Ring::Osc9, "", "4;100;x", false), "\x1b]9;x\x07");
    assert!(ring::signal(Ring::Osc9, "", &"x".repeat(10_000), false).len() < 300);
}

#[test]
fn what_failed_of_a_mapped_task_is_told_of_its_instances_and_not_again_of_itself() {
    let told = |outcome, state| {
        let change = Change::TaskEnded { job: JobId(1), task: TaskIdx(0), outcome: Box::new(outcome), state };
        texts_of(&Digest::default().take(&[event(5, 1, Some("fix"), NIGHT, change)], &[], CLOCK))
    };
    let failed = |cause| Outcome::Failed { cause };
    assert!(told(failed(FailCause::Instances { failed: 200, of: 500 }), TaskState::Failed).is_empty());
    let why = FailCause::Decision("for_each: no such field".to_owned());
    let texts = told(failed(why), TaskState::Failed);
    assert!(texts.len() == 1 && texts[0].ends_with("/fix failed: cannot be decided: for_each: no such field"), "{texts:?}");
    let texts = told(Outcome::Succeeded, TaskState::Completed);
    assert!(texts.len() == 1 && texts[0].ends_with("/fix completed"), "{texts:?}");
    assert!(told(Outcome::Cancelled, TaskState::Cancelled).is_empty());
}
