//! The database over versions and days: released schemas open, backups are made and kept in number.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test says so by a panic")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use airx::manager::ports::{Reader, Store, StoreErrorKind};
use airx::model::change::{AttemptFacts, Change, ClaudeFacts, Event, RoundFacts, TaskResult};
use airx::model::credential::{Credential, CredentialHold, CredentialState};
use airx::model::ids::{AttemptId, JobId, JobName, TaskIdx};
use airx::model::jobfile::{ParseOptions, parse};
use airx::model::message::{Answer, Query, RequeueWhich};
use airx::model::question::{Answer as QuestionAnswer, AnsweredBy, Question, QuestionBody};
use airx::model::spec::Budget;
use airx::model::state::{FailCause, JobState, Outcome, TaskKind, TaskState};
use airx::model::time::Utc;
use airx::store::{Age, SqliteStore, StoreReader, backup, repair, verify};

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/store/v1.db")
}

/// A small history: a task that completed with a result, one that failed and is held for its retry.
fn history() -> Vec<Event> {
    let none = BTreeMap::new();
    let options = ParseOptions {
        file: "job.yaml",
        base: Path::new("/work"),
        params: &[],
        environment: &none,
        pools: None,
        claude_passed: &none,
        read_file: &|_| Err(String::new()),
    };
    let text = "name: kept\ntasks:\n  - { id: a, run: echo a, result: text }\n  - { id: b, needs: [a], command: b, retry: 3 }\n";
    let submission = parse(text, &options).unwrap().submission;
    let job = JobId(1);
    let name = JobName { name: "kept".to_owned(), number: 1 };
    let mut changes =
        vec![Change::JobSubmitted { job, name, spec: Arc::new(submission.job), key: Some("0123456789abcdef".to_owned()) }];
    for (task, spec) in (0..).map(TaskIdx).zip(submission.tasks) {
        let state = if task.0 == 0 { TaskState::Queued } else { TaskState::Pending };
        changes.push(Change::TaskAdded { job, task, spec: Arc::new(spec), origin: None, state });
    }
    let attempt = |task| AttemptId { job, task: TaskIdx(task), number: 1 };
    let opened = |task| Change::AttemptOpened { attempt: attempt(task), pool: "local".to_owned(), session: None, resumes: false };
    let closed = |task, outcome, state| Change::AttemptClosed {
        attempt: attempt(task),
        outcome,
        facts: Box::new(AttemptFacts { elapsed_ms: 12, ..AttemptFacts::default() }),
        state,
    };
    changes.extend([
        opened(0),
        Change::JobMoved { job, state: JobState::Working },
        Change::AttemptStarted { attempt: attempt(0) },
        Change::ResultSet { attempt: attempt(0), result: TaskResult::Inline(Arc::new("a".into())) },
        closed(0, Outcome::Succeeded, TaskState::Completed),
        Change::TaskMoved { job, task: TaskIdx(1), state: TaskState::Queued },
        opened(1),
        Change::AttemptStarted { attempt: attempt(1) },
        closed(
            1,
            Outcome::Failed { cause: FailCause::Exit(3) },
            TaskState::Held { hold: airx::model::state::Hold::Retry { at: Utc(1_700_000_010_000), delay_ms: 10_000 } },
        ),
        Change::JobMoved { job, state: JobState::Waiting },
    ]);
    changes.into_iter().map(|change| Event { at: Utc(1_700_000_000_000), change }).collect()
}

/// AIRX_WRITE_FIXTURE=1 writes the fixture anew, which only a schema that was never released may need.
#[test]
fn a_database_of_the_first_schema_opens_and_says_what_it_said() {
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("airx.db");
    if std::env::var_os("AIRX_WRITE_FIXTURE").is_some() {
        let _ = std::fs::remove_file(fixture());
        SqliteStore::open(&fixture(), [5; 36]).unwrap().commit(&history()).unwrap();
    }
    std::fs::copy(fixture(), &copy).unwrap();
    let mut store = SqliteStore::open(&copy, [0; 36]).unwrap();
    assert_eq!(store.identity().home, "05050505", "a home keeps its identity");
    let loaded = store.load().unwrap();
    assert_eq!(loaded.jobs.len(), 1);
    assert_eq!(loaded.jobs[0].tasks[1].spent_retry, 1);
    assert_eq!(verify::replay(&copy), Vec::<String>::new());
    let reader = StoreReader::new(directory.path(), &copy);
    let Answer::Status(status) = reader.query(&Query::Status).unwrap().body else { panic!("no status") };
    assert_eq!(status.tasks.total(), 2);
    // Its counts are of eleven states; there are more by now.
    let Answer::Jobs(jobs) = reader.query(&Query::Jobs { before: None, limit: 10 }).unwrap().body else { panic!("no jobs") };
    assert_eq!((jobs.len(), jobs[0].tasks.of(TaskKind::Completed), jobs[0].tasks.of(TaskKind::Held)), (1, 1, 1));
    assert_eq!(jobs[0].tasks.of(TaskKind::AwaitingInput), 0);

    // And it goes on, also with what the first schema did not know.
    let attempt = AttemptId { job: JobId(1), task: TaskIdx(1), number: 2 };
    let question = Question { key: "q".to_owned(), body: QuestionBody::Words { text: "which?".to_owned(), options: Vec::new() } };
    let changes = [
        Change::TaskMoved { job: JobId(1), task: TaskIdx(1), state: TaskState::Queued },
        Change::AttemptOpened { attempt, pool: "local".to_owned(), session: None, resumes: false },
        Change::QuestionAsked { attempt, id: 1, question: Box::new(question), expires: None },
        Change::TaskMoved { job: JobId(1), task: TaskIdx(1), state: TaskState::AwaitingInput { attempt: 2 } },
        Change::JobMoved { job: JobId(1), state: JobState::Working },
    ];
    store.commit(&changes.map(|change| Event { at: Utc(1_700_000_020_000), change })).unwrap();
    assert_eq!(store.load().unwrap().jobs[0].tasks[1].questions.len(), 1);
    assert_eq!(verify::replay(&copy), Vec::<String>::new());
}

/// The history of a Claude run: asked, allowed, limited, paid for, and repeated.
fn run_history() -> Vec<Event> {
    let (job, task) = (JobId(2), TaskIdx(1));
    let attempt = |number| AttemptId { job, task, number };
    let opened = |number, resumes| Change::AttemptOpened {
        attempt: attempt(number),
        pool: "local".to_owned(),
        session: Some("s".to_owned()),
        resumes,
    };
    let used = |microusd| AttemptFacts {
        claude: Some(ClaudeFacts { cost_microusd: microusd, input_tokens: 7, ..ClaudeFacts::default() }),
        round: Some(RoundFacts { is_met: false, tree: Some("t".to_owned()) }),
        ..AttemptFacts::default()
    };
    let body =
        QuestionBody::Permission { tool: "Bash".to_owned(), input: serde_json::json!({}), rules: vec!["Bash(ls)".to_owned()] };
    let asked = |id, key: &str| {
        let question = Box::new(Question { key: key.to_owned(), body: body.clone() });
        Change::QuestionAsked { attempt: attempt(2), id, question, expires: Some(Utc(9)) }
    };
    let answer = Some(Box::new(QuestionAnswer::Allow { input: None, always: true }));
    let hold = CredentialHold::Limit { until: Utc(99), told: true };
    let state = CredentialState { hold: Some(hold), probe: Some(attempt(2)), ..CredentialState::default() };
    let changes = vec![
        Change::TaskMoved { job, task, state: TaskState::Queued },
        opened(1, false),
        Change::AttemptClosed {
            attempt: attempt(1),
            outcome: Outcome::Succeeded,
            facts: Box::new(used(5)),
            state: TaskState::Queued,
        },
        Change::CredentialMoved { credential: Credential("login".to_owned()), state: Box::new(state) },
        opened(2, true),
        Change::RunSeen { attempt: attempt(2), facts: Box::default() },
        asked(1, "a"),
        asked(2, "b"),
        Change::QuestionAnswered { attempt: attempt(2), id: 1, answer, by: AnsweredBy::Person, by_name: Some("ann".to_owned()) },
        Change::RuleAdded { job, rule: "Bash(ls)".to_owned() },
        Change::BudgetSet { job, budget: Some(Budget { microusd: Some(1), tokens: None }) },
        Change::PrioritySet { job, priority: 7 },
        Change::ParamsSet { job, params: BTreeMap::from([("p".to_owned(), serde_json::json!(null))]) },
    ];
    changes.into_iter().map(|change| Event { at: Utc(1_700_000_000_000), change }).collect()
}

#[test]
fn rows_of_runs_that_differ_from_the_journal_are_told_and_a_repair_makes_them_equal() {
    let damages = [
        "UPDATE job SET cost = 6 WHERE id = 2",
        "UPDATE job SET tokens = 6 WHERE id = 2",
        "UPDATE job SET rules = NULL WHERE id = 2",
        "UPDATE job SET budget = NULL WHERE id = 2",
        "UPDATE job SET priority = 0 WHERE id = 2",
        "UPDATE job SET params = NULL WHERE id = 2",
        "UPDATE task SET used_cost = 6 WHERE job = 2",
        "UPDATE task SET used_tokens = 6 WHERE job = 2",
        "UPDATE task SET rounds = NULL WHERE job = 2",
        "UPDATE task SET spent = '{\"lost\":9}' WHERE job = 2",
        "UPDATE credential SET state = '{}'",
        "DELETE FROM credential",
        "UPDATE question SET answer = NULL WHERE id = 1",
        "UPDATE question SET settled = 5 WHERE id = 2",
        "DELETE FROM question WHERE id = 2",
    ];
    for damage in damages {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("airx.db");
        let mut store = SqliteStore::open(&path, [3; 36]).unwrap();
        for batch in [history(), second(), run_history()] {
            store.commit(&batch).unwrap();
        }
        assert_eq!(verify::replay(&path), Vec::<String>::new());
        let before = store.load().unwrap();
        drop(store);
        rusqlite::Connection::open(&path).unwrap().execute(damage, []).unwrap();
        assert!(!verify::replay(&path).is_empty(), "{damage}: no repair would be made");
        let repaired = repair(&path, &directory.path().join("backup"), "1", [4; 36]).unwrap();
        assert_eq!((repaired.lost, repaired.jobs), (Vec::<String>::new(), 2), "{damage}");
        assert_eq!(verify::replay(&path), Vec::<String>::new(), "{damage}");
        assert_eq!(SqliteStore::open(&path, [3; 36]).unwrap().load().unwrap(), before, "{damage}");
    }
}

#[test]
fn a_database_of_a_newer_airx_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("airx.db");
    drop(SqliteStore::open(&path, [1; 36]).unwrap());
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let Err(error) = SqliteStore::open(&path, [1; 36]) else { panic!("it was opened") };
    assert!(error.cause.contains("newer airx"), "{error}");
    assert!(error.hint.contains("--home"), "{error}");
}

/// Read without a manager, which would bring it to the newest.
#[test]
fn a_database_of_another_schema_is_not_read_as_if_it_were_of_this_one() {
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = (directory.path().join("old.db"), directory.path().join("new.db"));
    std::fs::copy(fixture(), &old).unwrap();
    drop(SqliteStore::open(&new, [1; 36]).unwrap());
    assert_eq!((verify::age(&old), verify::age(&new)), (Age::Earlier, Age::Current));
    rusqlite::Connection::open(&new).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert_eq!(verify::age(&new), Age::Newer);
    for (path, why, hint) in [(&old, "an earlier airx", "airx --daemon"), (&new, "a newer airx", "--home")] {
        let refusal = StoreReader::new(directory.path(), path).query(&Query::Status).unwrap_err();
        assert!(refusal.message.contains(why) && refusal.hint.contains(hint), "{refusal}");
        assert!(verify::replay(path)[0].contains(why));
    }
}

#[test]
fn a_batch_is_written_whole_or_not_at_all_also_when_the_disk_is_full() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("airx.db");
    let mut store = SqliteStore::open(&path, [1; 36]).unwrap();
    store.limit_pages(16).unwrap();
    let mut failed = None;
    for number in 1..200 {
        let mut batch = history();
        for event in &mut batch {
            renumber(&mut event.change, number);
        }
        if let Err(error) = store.commit(&batch) {
            failed = Some((number, error));
            break;
        }
    }
    let (number, error) = failed.expect("sixteen pages are not enough");
    assert_eq!(error.kind, StoreErrorKind::Full, "{error}");
    assert_eq!(store.load().unwrap().last_job, number - 1);
    assert_eq!(verify::replay(&path), Vec::<String>::new());
}

fn renumber(change: &mut Change, number: u32) {
    let id = JobId(number);
    match change {
        Change::JobSubmitted { job, name, key, .. } => {
            *job = id;
            name.number = number;
            *key = None;
        }
        Change::TaskAdded { job, .. } | Change::TaskMoved { job, .. } | Change::JobMoved { job, .. } => *job = id,
        Change::AttemptOpened { attempt, .. }
        | Change::AttemptStarted { attempt }
        | Change::AttemptClosed { attempt, .. }
        | Change::ResultSet { attempt, .. } => attempt.job = id,
        _ => {}
    }
}

#[test]
fn one_backup_a_day_is_made_and_seven_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("airx.db");
    let backups = directory.path().join("backup");
    SqliteStore::open(&path, [1; 36]).unwrap().commit(&history()).unwrap();
    for day in 1..=9 {
        assert!(backup(&path, &backups, &format!("2026010{day}")).unwrap());
        assert!(!backup(&path, &backups, &format!("2026010{day}")).unwrap(), "once a day");
    }
    let mut names: Vec<_> =
        std::fs::read_dir(&backups).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!((names.len(), names[0].as_str()), (7, "airx-20260103.db"));
    assert_eq!(verify::replay(&backups.join("airx-20260109.db")), Vec::<String>::new());
}

/// Whatever is wrong with the rows of one job: it alone is set aside, and the check that the manager points at sees it.
#[test]
fn damaged_rows_set_their_job_aside_and_no_other() {
    let damages = [
        "UPDATE job SET name = x'ff00' WHERE id = 1",
        "UPDATE job SET name = 'no name' WHERE id = 1",
        "UPDATE job SET number = 'x' WHERE id = 1",
        "UPDATE job SET paused = 'maybe' WHERE id = 1",
        "UPDATE job SET spec = '{}' WHERE id = 1",
        "UPDATE job SET counts = 'x' WHERE id = 1",
        "UPDATE job SET counts = '[9]' WHERE id = 1",
        "UPDATE job SET cost = 'x' WHERE id = 1",
        "UPDATE job SET rules = 'x' WHERE id = 1",
        "UPDATE job SET budget = 'x' WHERE id = 1",
        "UPDATE task SET rounds = 'x' WHERE job = 1",
        "UPDATE task SET state = x'00' WHERE job = 1",
        "UPDATE task SET kind = 77 WHERE job = 1",
        "UPDATE task SET id = x'00ff' WHERE job = 1 AND idx = 1",
        "UPDATE task SET attempts = 'x' WHERE job = 1",
        "DELETE FROM task WHERE job = 1 AND idx = 1",
        "DELETE FROM definition WHERE job = 1",
    ];
    for damage in damages {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("airx.db");
        let mut store = SqliteStore::open(&path, [3; 36]).unwrap();
        store.commit(&history()).unwrap();
        store.commit(&second()).unwrap();
        rusqlite::Connection::open(&path).unwrap().execute(damage, []).unwrap();
        let loaded = store.load().unwrap();
        assert_eq!(loaded.quarantined.len(), 1, "{damage}");
        assert_eq!(loaded.jobs.iter().map(|job| job.id).collect::<Vec<_>>(), [JobId(2)], "{damage}");
        assert!(!verify::replay(&path).is_empty(), "{damage}: no repair would be made");
        // What can still be read is shown.
        let reader = StoreReader::new(directory.path(), &path);
        for query in [Query::Status, Query::Jobs { before: None, limit: 10 }] {
            assert!(reader.query(&query).is_ok(), "{damage}: {query:?}");
        }
    }
}

/// What belongs to no job keeps no manager from starting, and nothing else from being shown.
#[test]
fn damaged_rows_of_what_claude_runs_share_harm_nothing_else() {
    let damages = [
        "UPDATE attempt SET cost = 9223372036854775807, tokens = 9223372036854775807",
        "UPDATE attempt SET cost = 'x', tokens = x'00'",
        "UPDATE attempt SET cost = 1, closed = 'x'",
        "UPDATE attempt SET session = 's', closed = NULL, seen = '{\"spent\":{\"cost_microusd\":18446744073709551615}}'",
        "INSERT INTO credential VALUES (x'ff00', '{}')",
        "INSERT INTO credential VALUES ('login', x'ff')",
        "INSERT INTO question (id, job, task, attempt, body, asked, expires, settled, answer, answerer) VALUES (7, 1, 0, 1, x'ff', 'x', 'x', NULL, 'x', 'x')",
    ];
    for damage in damages {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("airx.db");
        let mut store = SqliteStore::open(&path, [3; 36]).unwrap();
        store.commit(&history()).unwrap();
        rusqlite::Connection::open(&path).unwrap().execute(damage, []).unwrap();
        let loaded = store.load().unwrap_or_else(|error| panic!("{damage}: {error}"));
        assert_eq!((loaded.jobs.len(), loaded.quarantined.len()), (1, 0), "{damage}");
        let reader = StoreReader::new(directory.path(), &path);
        for query in [Query::Usage, Query::Questions { of: None, all: true, limit: 10 }] {
            let answer = reader.query(&query);
            assert!(answer.is_ok(), "{damage}: {answer:?}");
        }
    }
}

#[test]
fn what_was_used_lately_is_read_though_a_clock_once_ran_ahead() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("airx.db");
    let mut store = SqliteStore::open(&path, [3; 36]).unwrap();
    store.commit(&history()).unwrap();
    let ahead = "UPDATE attempt SET cost = 5, closed = closed + (task * 400 * 86400000)";
    rusqlite::Connection::open(&path).unwrap().execute(ahead, []).unwrap();
    assert_eq!(store.load().unwrap().spending.iter().map(|(_, cost, _)| *cost).collect::<Vec<_>>(), [5, 5]);
}

#[test]
fn a_change_that_contradicts_the_rows_names_its_job() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(&directory.path().join("airx.db"), [3; 36]).unwrap();
    store.commit(&history()).unwrap();
    store.commit(&second()).unwrap();
    let before = store.load().unwrap();
    // Attempt 1 is there already.
    let attempt = AttemptId { job: JobId(1), task: TaskIdx(1), number: 1 };
    let opened = Change::AttemptOpened { attempt, pool: "local".to_owned(), session: None, resumes: false };
    let error = store.commit(&[Event { at: Utc(9), change: opened }]).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Row(Some(JobId(1))), "{error}");
    assert_eq!(store.load().unwrap(), before);
}

#[test]
fn an_engine_that_is_gone_is_told_of_what_lives_there_and_how_far_a_launch_was_goes_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("airx.db");
    let mut store = SqliteStore::open(&path, [3; 36]).unwrap();
    store.commit(&second()).unwrap();
    let reader = StoreReader::new(directory.path(), &path);
    reader.set_slots(BTreeMap::from([("local".to_owned(), 4)]));
    let task = || {
        let job = airx::model::ids::JobRef { name: "kept".to_owned(), number: Some(2) };
        let query = Query::Tasks { job, from: 0, limit: 1, kinds: Vec::new() };
        let Answer::Tasks(tasks) = reader.query(&query).unwrap().body else { panic!("no tasks") };
        tasks.into_iter().next().unwrap()
    };
    let gone = BTreeMap::from([("local".to_owned(), "no such socket".to_owned())]);
    reader.set_trouble(vec!["a line".to_owned()], false, gone);
    assert_eq!(task().why.as_deref(), Some("engine unreachable: no such socket"));
    let attempt = AttemptId { job: JobId(2), task: TaskIdx(0), number: 1 };
    let progress = airx::model::attempt::Progress { done: 1, total: Some(2), text: Some("pulling image".to_owned()) };
    let changes = [
        Change::AttemptOpened { attempt, pool: "local".to_owned(), session: None, resumes: false },
        Change::ProgressSet { attempt, progress: progress.clone() },
    ];
    store.commit(&changes.map(|change| Event { at: Utc(6), change })).unwrap();
    assert_eq!((task().why.as_deref(), task().progress), (Some("engine unreachable: no such socket"), Some(progress)));
    let Answer::Overview(overview) = reader.query(&Query::Overview).unwrap().body else { panic!("no overview") };
    assert_eq!((overview.pools[0].used, overview.pools[0].unreachable.as_deref()), (1, Some("no such socket")));
    reader.set_trouble(Vec::new(), false, BTreeMap::new());
    store.commit(&[Event { at: Utc(7), change: Change::AttemptStarted { attempt } }]).unwrap();
    assert_eq!((task().why, task().progress), (None, None));
    assert_eq!(verify::replay(&path), Vec::<String>::new());
}

/// Another job, queued.
/// What a requeue would run again, and what its last attempts cost.
#[test]
fn what_is_finished_and_what_it_cost_the_last_time_is_known_before_it_runs_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("airx.db");
    let mut store = SqliteStore::open(&path, [1; 36]).unwrap();
    store.commit(&history()).unwrap();
    let opened = |task, number| Change::AttemptOpened {
        attempt: AttemptId { job: JobId(1), task: TaskIdx(task), number },
        pool: "local".to_owned(),
        session: None,
        resumes: false,
    };
    let closed = |task, number, cost_microusd| Change::AttemptClosed {
        attempt: AttemptId { job: JobId(1), task: TaskIdx(task), number },
        outcome: Outcome::Succeeded,
        facts: Box::new(AttemptFacts {
            claude: Some(ClaudeFacts { cost_microusd, ..ClaudeFacts::default() }),
            ..AttemptFacts::default()
        }),
        state: TaskState::Completed,
    };
    // `a` ran twice more: what its last attempt cost counts. `b`, which needs it, is finished too.
    let changes = [opened(0, 2), closed(0, 2, 900), opened(0, 3), closed(0, 3, 40), opened(1, 2), closed(1, 2, 7)];
    store.commit(&changes.map(|change| Event { at: Utc(9), change })).unwrap();
    let reader = StoreReader::new(directory.path(), &path);
    let rerun = |target: &str, which| {
        let targets = vec![target.parse().unwrap()];
        match reader.query(&Query::Rerun { targets, which }).unwrap().body {
            Answer::Rerun(view) => (view.finished, view.cost_microusd),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(rerun("kept", RequeueWhich::All), (2, 47));
    assert_eq!(rerun("kept.1/a", RequeueWhich::From), (2, 47));
    assert_eq!(rerun("kept.1/b", RequeueWhich::From), (1, 7));
    assert_eq!(rerun("kept.1/a", RequeueWhich::All), (1, 40), "the task alone");
    assert_eq!(rerun("kept", RequeueWhich::Failed), (0, 0));
    let refusal = reader.query(&Query::Rerun { targets: vec!["kept/x".parse().unwrap()], which: RequeueWhich::All });
    assert!(refusal.unwrap_err().message.contains("no task `x`"));
}

fn second() -> Vec<Event> {
    let first = history();
    let job = JobId(2);
    let changes = first.into_iter().filter_map(|event| match event.change {
        Change::JobSubmitted { spec, .. } => {
            let name = JobName { name: "kept".to_owned(), number: 2 };
            Some(Change::JobSubmitted { job, name, spec, key: None })
        }
        Change::TaskAdded { task, spec, state, .. } => Some(Change::TaskAdded { job, task, spec, origin: None, state }),
        _ => None,
    });
    changes.map(|change| Event { at: Utc(5), change }).collect()
}
