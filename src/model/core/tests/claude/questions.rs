use super::*;
use crate::model::question::{Answer, AnsweredBy, MAX_OPEN_QUESTIONS, MAX_QUESTION, Question, QuestionBody};
use crate::model::spec::AskPerson;

fn permission(command: &str) -> QuestionBody {
    QuestionBody::Permission {
        tool: "Bash".to_owned(),
        input: serde_json::json!({ "command": command }),
        rules: vec![format!("Bash({command})")],
    }
}

fn asks(seq: u32, key: &str, body: QuestionBody) -> OutboxItem {
    OutboxItem { seq, key: key.to_owned(), body: OutboxBody::Ask(Box::new(Question { key: key.to_owned(), body })) }
}

fn allow(always: bool) -> Answer {
    Answer::Allow { input: None, always }
}

fn deny() -> Answer {
    Answer::Deny { message: "no".to_owned() }
}

/// Answers put into inboxes: task, key, answer.
fn answers(effects: &[Effect]) -> Vec<(u32, String, Answer)> {
    let answers = effects.iter().filter_map(|effect| match effect {
        Effect::Answer { attempt, item } => Some((attempt.task.0, item.key.clone(), item.answer.clone())),
        _ => None,
    });
    answers.collect()
}

fn answer(bench: &mut Bench, question: u32, answer: Answer) -> Vec<Effect> {
    bench.step(vec![Input::Command(1_000, Command::Answer { question, answer, by_name: None })])
}

fn asking(timeout_ms: Option<u64>, allows: bool) -> TaskSpec {
    claude_with("a", ClaudeSpec { permissions: Some(AskPerson { timeout_ms, allows }), ..ClaudeSpec::default() })
}

/// One running task that may ask.
fn bench_of(only: TaskSpec) -> Bench {
    let mut bench = Bench::claude(|_| {});
    bench.submit(job(1, vec![only, claude("b")]));
    bench.start(0);
    bench
}

#[test]
fn a_task_that_asks_waits_keeps_its_slot_and_goes_on_when_all_is_answered() {
    let mut only = asking(None, false);
    only.limits.timeout_ms = Some(1_000);
    let mut bench = bench_of(only);
    assert!(bench.core.next_wake().1.is_some());
    bench.tells(0, vec![asks(1, "x", permission("ls")), asks(2, "y", permission("rm"))], None);
    assert_eq!(bench.states(), [TaskKind::AwaitingInput, TaskKind::Queued]);
    assert_eq!(bench.core.next_wake(), (None, None), "a person's time is not the task's");
    let effects = answer(&mut bench, 1, allow(false));
    assert_eq!(answers(&effects), [(0, "x".to_owned(), allow(false))]);
    assert_eq!(bench.states()[0], TaskKind::AwaitingInput);
    answer(&mut bench, 2, deny());
    assert_eq!(bench.states()[0], TaskKind::Running);
    assert!(bench.core.next_wake().1.is_some(), "its backstop counts again");
}

#[test]
fn a_question_that_is_read_twice_is_asked_once_and_answered_with_the_same_answer() {
    let mut bench = bench_of(asking(None, false));
    bench.tells(0, vec![asks(1, "x", permission("ls"))], None);
    bench.tells(0, vec![asks(1, "x", permission("ls"))], None);
    assert_eq!(bench.core.questions.len(), 1);
    answer(&mut bench, 1, allow(false));
    let effects = bench.tells(0, vec![asks(2, "x", permission("ls"))], None);
    assert_eq!(answers(&effects), [(0, "x".to_owned(), allow(false))]);
    assert_eq!(bench.core.last_question, 1);
}

#[test]
fn a_question_is_answered_once_and_saying_the_same_again_is_no_error() {
    let mut bench = bench_of(asking(None, false));
    bench.tells(0, vec![asks(1, "x", permission("ls"))], None);
    let ask = |bench: &mut Bench, answer| bench.ask(Command::Answer { question: 1, answer, by_name: None });
    assert_eq!(ask(&mut bench, allow(false)), Ok(Done::Affected { count: 1 }));
    assert_eq!(ask(&mut bench, allow(false)), Ok(Done::Affected { count: 0 }));
    assert_eq!(ask(&mut bench, deny()).unwrap_err().code, RefusalCode::Conflict);
    assert_eq!(
        bench.ask(Command::Answer { question: 7, answer: deny(), by_name: None }).unwrap_err().code,
        RefusalCode::NotFound
    );
}

#[test]
fn an_answer_of_the_wrong_kind_is_refused_and_the_question_waits_on() {
    let mut bench = bench_of(asking(None, false));
    let words = QuestionBody::Words { text: "which?".to_owned(), options: Vec::new() };
    bench.tells(0, vec![asks(1, "x", permission("ls")), asks(2, "y", words)], None);
    let said = Answer::Say { text: "yes".to_owned() };
    let list = Answer::Allow { input: Some(serde_json::json!([1])), always: false };
    for (question, answer) in [(1, said.clone()), (1, list), (2, allow(false))] {
        let refusal = bench.ask(Command::Answer { question, answer, by_name: None }).unwrap_err();
        assert_eq!(refusal.code, RefusalCode::Invalid, "{refusal:?}");
    }
    assert_eq!(bench.core.questions.len(), 2);
    bench.ask(Command::Answer { question: 2, answer: said, by_name: None }).unwrap();
}

#[test]
fn nobody_answers_in_time_and_the_default_of_the_task_counts() {
    for (allows, expected) in [(true, default_answer(true)), (false, default_answer(false))] {
        let mut bench = bench_of(asking(Some(60_000), allows));
        bench.tells(0, vec![asks(1, "x", permission("ls"))], None);
        assert_eq!(answers(&bench.wait(59_999)), []);
        assert_eq!(answers(&bench.wait(1)), [(0, "x".to_owned(), expected)]);
        assert_eq!(bench.states()[0], TaskKind::Running);
    }
}

#[test]
fn a_default_of_allow_is_for_tools_and_no_answer_to_words() {
    let mut bench = bench_of(asking(Some(1), true));
    bench.tells(0, vec![asks(1, "x", QuestionBody::Words { text: "which?".to_owned(), options: Vec::new() })], None);
    assert_eq!(answers(&bench.wait(1)), [(0, "x".to_owned(), default_answer(false))]);
}

#[test]
fn always_answers_what_waits_and_what_comes_in_this_job_and_in_no_other() {
    let mut bench = Bench::claude(|_| {});
    bench.submit(job(9, vec![asking(None, false), claude("b")]));
    let mut other = job(9, vec![asking(None, false)]);
    other.job.name = "other".to_owned();
    bench.submit(other);
    (0..2).for_each(|place| bench.start(place));
    bench.tells(0, vec![asks(1, "x", permission("ls"))], None);
    bench.tells(1, vec![asks(1, "y", permission("ls")), asks(2, "z", permission("rm"))], None);
    let elsewhere = AttemptId { job: JobId(2), task: TaskIdx(0), number: 1 };
    let items = vec![asks(1, "w", permission("ls"))];
    bench.step(vec![Input::Report(Report::Outbox { attempt: elsewhere, items, live: None })]);
    let effects = answer(&mut bench, 1, allow(true));
    assert_eq!(answers(&effects), [(0, "x".to_owned(), allow(true)), (1, "y".to_owned(), allow(false))]);
    assert_eq!(bench.states(), [TaskKind::Running, TaskKind::AwaitingInput], "`rm` was not allowed");
    let effects = bench.tells(0, vec![asks(2, "v", permission("ls"))], None);
    assert_eq!(answers(&effects), [(0, "v".to_owned(), allow(false))]);
    assert_eq!(bench.states()[0], TaskKind::Running, "nobody is asked");
    assert_eq!(bench.core.questions.values().collect::<Vec<_>>(), [&bench.attempt(1), &elsewhere]);
}

#[test]
fn what_no_person_can_be_shown_is_denied_at_once_with_the_reason() {
    let mut bench = bench_of(asking(None, false));
    let effects = bench.tells(0, vec![asks(1, "big", permission(&"x".repeat(MAX_QUESTION)))], None);
    assert!(matches!(&answers(&effects)[..], [(0, key, Answer::Deny { .. })] if key == "big"));
    let many = u32::try_from(MAX_OPEN_QUESTIONS).unwrap();
    let items = (0..=many).map(|n| asks(2 + n, &format!("q{n}"), permission("ls"))).collect();
    let effects = bench.tells(0, items, None);
    assert!(matches!(&answers(&effects)[..], [(0, key, Answer::Deny { .. })] if *key == format!("q{many}")));
    assert_eq!(bench.core.questions.len(), MAX_OPEN_QUESTIONS);
}

#[test]
fn a_question_is_void_when_its_attempt_is_over() {
    let mut bench = bench_of(asking(Some(60_000), true));
    let attempt = bench.attempt(0);
    bench.tells(0, vec![asks(1, "x", permission("ls"))], None);
    let end = EndReport {
        exit: ExitFinding::Missing { rebooted: false },
        result: None,
        artifacts: None,
        claude: None,
        notes: Vec::new(),
    };
    let over = Report::Over { attempt, outbox: vec![asks(2, "y", permission("rm"))], end: Box::new(end) };
    bench.core.handle(Input::Report(over), bench.now);
    let events = bench.core.finish(bench.now).events;
    let void = |id| move |event: &Event| matches!(event.change, Change::QuestionAnswered { id: settled, by: AnsweredBy::Over, .. } if settled == id);
    assert!(events.iter().any(void(1)) && events.iter().any(void(2)), "{events:?}");
    assert_eq!((bench.core.questions.len(), bench.core.expiries.len()), (0, 0));
    assert_eq!(answers(&bench.wait(86_400_000)), []);
}

#[test]
fn a_cancel_does_not_wait_for_a_person_and_what_is_asked_after_it_changes_nothing() {
    let mut bench = bench_of(asking(None, false));
    bench.tells(0, vec![asks(1, "x", permission("ls"))], None);
    bench.cancel("a", CancelHow::Ask);
    assert_eq!(bench.states()[0], TaskKind::Cancelling);
    assert!(bench.core.next_wake().1.is_some(), "it is ended by force if need be");
    bench.tells(0, vec![asks(2, "y", permission("rm"))], None);
    answer(&mut bench, 1, allow(false));
    assert_eq!(bench.states()[0], TaskKind::Cancelling);
    bench.end(0, 130);
    assert_eq!((bench.states()[0], bench.core.questions.len()), (TaskKind::Cancelled, 0));
}

#[test]
fn a_question_may_come_before_the_word_that_its_runner_started() {
    let mut bench = Bench::claude(|_| {});
    bench.submit(job(1, vec![asking(None, false)]));
    bench.tells(0, vec![asks(1, "x", permission("ls"))], None);
    assert_eq!(bench.states(), [TaskKind::AwaitingInput]);
    bench.start(0);
    assert_eq!(bench.states(), [TaskKind::AwaitingInput]);
    answer(&mut bench, 1, allow(false));
    assert_eq!(bench.states(), [TaskKind::Running]);
}

/// The core as the store gives it back: all that was committed, and nothing else.
fn reload(bench: &mut Bench, only: TaskSpec, question: StoredQuestionOf, state: TaskState) {
    use crate::model::stored::{StoredAttempt, StoredJob, StoredTask};
    let job = bench.job();
    let attempt = StoredAttempt { session: None, resumes: false, opened: Utc(1), end: None, seen: None };
    let is_claude = matches!(only.action, Action::Claude(_));
    let task = StoredTask {
        child: None,
        instance: None,
        items: None,
        idx: TaskIdx(0),
        spec: std::sync::Arc::new(only),
        origin: None,
        state,
        attempts: 1,
        spent_retry: 0,
        spent_infra: 0,
        spent: BTreeMap::new(),
        gated: None,
        result: None,
        progress: None,
        used: (0, 0),
        rounds: crate::model::change::Rounds::default(),
        newest: if is_claude { vec![StoredAttempt { session: Some("s".to_owned()), ..attempt }] } else { Vec::new() },
        questions: vec![question],
    };
    let stored = StoredJob {
        id: job.id,
        name: job.name.clone(),
        spec: job.spec.clone(),
        paused: false,
        stopped: false,
        used: (0, 0),
        rules: Vec::new(),
        budget: None,
        priority: 0,
        params: BTreeMap::new(),
        parent: None,
        below: (0, 0),
        tasks: vec![task],
    };
    let loaded = Loaded { jobs: vec![stored], last_job: 1, last_question: 1, ..Loaded::default() };
    bench.core = Core::load(bench.core.limits.clone(), 7, loaded, bench.now);
}

type StoredQuestionOf = crate::model::stored::StoredQuestion;

fn stored(answer: Option<Answer>) -> StoredQuestionOf {
    StoredQuestionOf {
        id: 1,
        question: Question { key: "x".to_owned(), body: permission("ls") },
        expires: None,
        is_settled: answer.is_some(),
        answer,
    }
}

#[test]
fn a_question_survives_the_manager_and_its_answer_is_delivered_again() {
    for only in [asking(None, false), task("a", &[])] {
        let mut bench = bench_of(only.clone());
        reload(&mut bench, only.clone(), stored(None), TaskState::AwaitingInput { attempt: 1 });
        let attempt = bench.attempt(0);
        bench.step(vec![Input::Reconcile, Input::Report(Report::Live { attempt })]);
        bench.tells(0, vec![asks(1, "x", permission("ls"))], None);
        assert_eq!((bench.core.questions.len(), bench.core.last_question), (1, 1), "the same question");
        assert_eq!(bench.states(), [TaskKind::AwaitingInput]);
        answer(&mut bench, 1, allow(false));
        assert_eq!(bench.states(), [TaskKind::Running]);
        reload(&mut bench, only, stored(Some(allow(false))), TaskState::Running { attempt: 1 });
        let effects = bench.step(vec![Input::Reconcile, Input::Report(Report::Live { attempt })]);
        assert_eq!(answers(&effects), [(0, "x".to_owned(), allow(false))]);
    }
}

#[test]
fn what_would_keep_later_runs_of_the_job_from_starting_cannot_be_allowed_for_all_of_it() {
    let mut bench = bench_of(asking(None, false));
    bench.tells(0, vec![asks(1, "x", permission(&"x".repeat(5_000)))], None);
    let ask = |bench: &mut Bench, question, answer| bench.ask(Command::Answer { question, answer, by_name: None });
    let refusal = ask(&mut bench, 1, allow(true)).unwrap_err();
    assert_eq!((refusal.code, refusal.hint.as_str()), (RefusalCode::Limit, "allow it this once"));
    ask(&mut bench, 1, allow(false)).unwrap();
    // Each is short enough, and together they are more than a command line takes.
    let mut kept = 0;
    for n in 2..200_u32 {
        bench.tells(0, vec![asks(n, &format!("k{n}"), permission(&format!("{n} {}", "x".repeat(4_000))))], None);
        match ask(&mut bench, n, allow(true)) {
            Ok(_) => kept += 1,
            Err(refusal) => {
                assert_eq!(refusal.code, RefusalCode::Limit);
                ask(&mut bench, n, deny()).unwrap();
            }
        }
    }
    let bytes: usize = bench.job().rules.iter().map(String::len).sum();
    assert_eq!((bench.job().rules.len(), bytes <= 256 << 10), (kept, true));
    assert!((60..70).contains(&kept), "{kept}");
}
