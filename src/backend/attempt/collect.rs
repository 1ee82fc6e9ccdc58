//! What of an attempt's directory becomes a report.

use std::cell::Cell;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::told::Told;
use super::{artifacts, checking, directory, ending, outbox};
use crate::manager::ports::ClaudeCli;
use crate::model::attempt::{OutboxBody, OutboxItem};
use crate::model::ids::AttemptId;
use crate::model::report::{EndReport, ExitFinding, Report};
use crate::model::spec::ResultSpec;
use crate::model::time::Mono;

/// Where what is read goes, and who reads transcripts.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    /// Results too large for the database.
    pub results: &'a Path,
    /// Transcripts.
    pub claude: &'a dyn ClaudeCli,
}

/// What kind of attempt it is.
#[derive(Debug, Clone)]
pub struct Kind {
    /// What its result is.
    pub result: Option<ResultSpec>,
    /// Whether stdout is a transcript.
    pub claude: bool,
    /// Whether files of its workspace are kept.
    pub artifacts: bool,
}

impl Kind {
    /// Whether results are compared with a schema, which can take long.
    pub fn is_compared(&self) -> bool {
        self.result.as_ref().is_some_and(|result| result.schema.is_some())
    }
}

/// A check that takes longer counts as slow, as does one without an answer.
const SLOW: Duration = Duration::from_millis(500);
/// Slow checks of one attempt before its outbox is looked at no more: each holds up those of others.
const MAX_SLOW: u32 = 3;

/// What lies in the outbox, compared with what results must fit.
fn take(dir: &Path, after: u32, kind: &Kind, told: &mut Told, reading: Reading<'_>) -> Vec<OutboxItem> {
    let schema = kind.result.as_ref().and_then(|result| result.schema.as_deref());
    let slow = Cell::new(told.slow_checks);
    let check = |schema: &Value, value: &Value| {
        if slow.get() >= MAX_SLOW {
            return Err("results before it took too long to be compared with their schema".to_owned());
        }
        let begun = Instant::now();
        let verdict = checking::check(schema, value);
        let is_unknown = verdict.as_ref().is_err_and(|why| why.starts_with(checking::UNKNOWN));
        slow.set(slow.get() + u32::from(is_unknown || begun.elapsed() > SLOW));
        verdict
    };
    let (items, notes) = outbox::take(dir, after, reading.results, outbox::Schema { schema, check: &check });
    told.slow_checks = slow.get();
    told.note(notes);
    items
}

/// What is new in the outbox: since the last report, or since what the manager says it has (it may have lost a report with a
/// commit that failed). Asked so, it is answered also when nothing is new: somebody waits for it.
pub fn news(
    attempt: AttemptId,
    dir: &Path,
    kind: &Kind,
    told: &mut Told,
    asked: Option<u32>,
    reading: Reading<'_>,
    now: Mono,
) -> Option<Report> {
    let after = asked.unwrap_or(told.reported);
    let items = take(dir, after, kind, told, reading);
    told.reported = items.last().map_or(after, |last| last.seq);
    let found = kind.claude.then(|| directory::live(dir)).flatten();
    let live = found.and_then(|found| told.news(found, asked.is_some(), now));
    let is_worth_it = asked.is_some() || !items.is_empty() || live.is_some();
    is_worth_it.then(|| Report::Outbox { attempt, items, live: live.map(Box::new) })
}

/// The report of an attempt's end: its whole outbox, its result, its transcript, and remarks.
pub fn over(attempt: AttemptId, dir: &Path, kind: &Kind, exit: ExitFinding, told: &mut Told, reading: Reading<'_>) -> Report {
    let outbox = take(dir, 0, kind, told, reading);
    let claude = kind.claude.then(|| reading.claude.read(&dir.join("out")));
    let own = outbox.iter().any(|item| matches!(item.body, OutboxBody::Result(_) | OutboxBody::Stored(_)));
    let result = match (&exit, &kind.result) {
        // What the task has set by itself counts, whatever it printed.
        (ExitFinding::Record(record), Some(result)) if !own => {
            ending::result(dir, result, record, claude.as_ref(), reading.results, &checking::check)
        }
        _ => None,
    };
    // Without a record nobody says that it is whole; the list comes last, so what it names is.
    let kept = kind.artifacts.then(|| artifacts::kept(dir));
    let artifacts = kept.and_then(|(kept, notes)| {
        told.note(notes);
        kept.facts()
    });
    Report::Over { attempt, outbox, end: Box::new(EndReport { exit, result, artifacts, claude, notes: told.notes.take() }) }
}
