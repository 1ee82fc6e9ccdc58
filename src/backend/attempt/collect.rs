//! What of an attempt's directory becomes a report.

use std::path::Path;

use super::told::Told;
use super::{directory, ending, outbox};
use crate::manager::ports::ClaudeCli;
use crate::model::ids::AttemptId;
use crate::model::report::{EndReport, ExitFinding, Report};
use crate::model::spec::ResultKind;
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
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// What of stdout is its result.
    pub result: Option<ResultKind>,
    /// Whether stdout is a transcript.
    pub claude: bool,
}

/// What is new in the outbox: since the last report, or since what the manager says it has (it may have lost a report with a
/// commit that failed). Asked so, it is answered also when nothing is new: somebody waits for it.
pub fn news(
    attempt: AttemptId,
    dir: &Path,
    kind: Kind,
    told: &mut Told,
    asked: Option<u32>,
    reading: Reading<'_>,
    now: Mono,
) -> Option<Report> {
    let after = asked.unwrap_or(told.reported);
    let (items, notes) = outbox::take(dir, after, reading.results);
    told.note(notes);
    told.reported = items.last().map_or(after, |last| last.seq);
    let found = kind.claude.then(|| directory::live(dir)).flatten();
    let live = found.and_then(|found| told.news(found, asked.is_some(), now));
    let is_worth_it = asked.is_some() || !items.is_empty() || live.is_some();
    is_worth_it.then(|| Report::Outbox { attempt, items, live: live.map(Box::new) })
}

/// The report of an attempt's end: its whole outbox, its result, its transcript, and remarks.
pub fn over(attempt: AttemptId, dir: &Path, kind: Kind, exit: ExitFinding, mut told: Told, reading: Reading<'_>) -> Report {
    let (outbox, notes) = outbox::take(dir, 0, reading.results);
    told.note(notes);
    let claude = kind.claude.then(|| reading.claude.read(&dir.join("out")));
    let result = match (&exit, kind.result) {
        (ExitFinding::Record(record), Some(result)) => ending::result(dir, result, record, claude.as_ref(), reading.results),
        _ => None,
    };
    Report::Over { attempt, outbox, end: Box::new(EndReport { exit, result, claude, notes: told.notes }) }
}
