//! What of an attempt's directory becomes a report.

use std::path::Path;

use super::told::Told;
use super::{artifacts, checking, directory, ending, outbox};
use crate::manager::ports::ClaudeCli;
use crate::model::attempt::OutboxBody;
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
    /// What results must fit.
    fn schema(&self) -> outbox::Schema<'_> {
        let schema = self.result.as_ref().and_then(|result| result.schema.as_deref());
        outbox::Schema { schema, check: &checking::check }
    }
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
    let (items, notes) = outbox::take(dir, after, reading.results, kind.schema());
    told.note(notes);
    told.reported = items.last().map_or(after, |last| last.seq);
    let found = kind.claude.then(|| directory::live(dir)).flatten();
    let live = found.and_then(|found| told.news(found, asked.is_some(), now));
    let is_worth_it = asked.is_some() || !items.is_empty() || live.is_some();
    is_worth_it.then(|| Report::Outbox { attempt, items, live: live.map(Box::new) })
}

/// The report of an attempt's end: its whole outbox, its result, its transcript, and remarks.
pub fn over(attempt: AttemptId, dir: &Path, kind: &Kind, exit: ExitFinding, mut told: Told, reading: Reading<'_>) -> Report {
    let (outbox, notes) = outbox::take(dir, 0, reading.results, kind.schema());
    told.note(notes);
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
    Report::Over { attempt, outbox, end: Box::new(EndReport { exit, result, artifacts, claude, notes: told.notes }) }
}
