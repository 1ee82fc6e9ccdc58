//! Rows as they are told.

use std::path::Path;
use std::sync::Arc;

use rusqlite::Row;
use serde::de::DeserializeOwned;

use crate::manager::launch::attempt_directory;
use crate::model::change::{Change, Event, Seq};
use crate::model::decide::shown;
use crate::model::ids::{JobName, is_name};
use crate::model::message::{AttemptView, EventView, JobView, Refusal, RefusalCode};
use crate::model::spec::{JobSpec, Submission};
use crate::model::state::{Counts, JobState, TaskKind};
use crate::model::time::Utc;
use crate::store::reader::unreadable;

/// Longest event that is told whole, in bytes; it has to fit a frame beside others.
const MAX_EVENT_BYTES: usize = 384 * 1024;

pub(super) fn job_view(row: &Row<'_>) -> rusqlite::Result<JobView> {
    Ok(JobView {
        id: row.get(0)?,
        name: job_name(row.get(1)?, row.get(2)?)?,
        state: job_state(&row.get::<_, String>(3)?),
        paused: row.get(4)?,
        stopped: row.get(5)?,
        tasks: serde_json::from_str(&row.get::<_, String>(6)?).unwrap_or_default(),
        submitted: Utc(row.get(7)?),
        updated: Utc(row.get(8)?),
        cost_microusd: row.get(9)?,
        priority: row.get(10)?,
        mapped: row.get::<_, Option<String>>(11)?.map(|kinds| Box::new(counted(&kinds))),
        parent: crate::store::flows::parent(row, 12)?.map(Box::new),
    })
}

/// How often each kind is in a list of their numbers.
pub(super) fn counted(kinds: &str) -> Counts {
    let mut counts = Counts::default();
    let kinds = kinds.split(',').filter_map(|kind| TaskKind::ALL.get(kind.parse::<usize>().ok()?));
    kinds.for_each(|kind| counts.add(*kind));
    counts
}

/// A name that clients can read back.
pub(super) fn job_name(name: String, number: u32) -> rusqlite::Result<JobName> {
    if is_name(&name) { Ok(JobName { name, number }) } else { Err(rusqlite::Error::InvalidQuery) }
}

pub(super) fn attempt_view(row: &Row<'_>, home: &Path, job: &JobName, task: &str) -> Result<AttemptView, Refusal> {
    let number: u32 = row.get(0).map_err(|e| unreadable(&e))?;
    let text = |column: usize| row.get::<_, Option<String>>(column).map_err(|e| unreadable(&e));
    let what = |part: &str| format!("{part} of {job}/{task} attempt {number}");
    Ok(AttemptView {
        number,
        pool: row.get(1).map_err(|e| unreadable(&e))?,
        opened: Utc(row.get(2).map_err(|e| unreadable(&e))?),
        closed: row.get::<_, Option<i64>>(3).map_err(|e| unreadable(&e))?.map(Utc),
        outcome: text(4)?.map(|text| decode(&text, || what("the outcome"))).transpose()?,
        facts: text(5)?.map(|text| decode(&text, || what("the facts"))).transpose()?,
        session: text(6)?,
        dir: attempt_directory(home, &job.to_string(), task, number),
    })
}

pub(super) fn event_view(row: &Row<'_>, body: &str) -> Result<EventView, Refusal> {
    let seq: u64 = row.get(0).map_err(|e| unreadable(&e))?;
    // An event is shown without the names of a job whose row cannot be decoded.
    let (name, number): (Option<String>, Option<u32>) = (row.get(3).unwrap_or(None), row.get(4).unwrap_or(None));
    let mut change: Change = decode(body, || format!("event {seq}"))?;
    if let Change::JobSubmitted { spec, .. } = &mut change {
        *spec = Arc::new(spec.without_values());
    }
    if let Change::ScheduleSet { submission, .. } = &mut change {
        // What is shown of it is its rule. The whole definition may be larger than a frame, and holds the submitter's environment.
        let job = JobSpec { source: None, ..submission.job.without_values() };
        *submission = Arc::new(Submission { job, tasks: Vec::new() });
    }
    if let Change::TaskExpanded { items, .. } = &mut change
        && body.len() > MAX_EVENT_BYTES
    {
        // How many there are is told in any case; what they are, each in a few words, or by the rows.
        let most = (MAX_EVENT_BYTES / items.len().max(1)).saturating_sub(8);
        let short = |item: &serde_json::Value| shown(item).chars().take(most / 4).collect::<String>().into();
        *items = Arc::new(items.iter().map(short).collect());
    }
    if let Change::TaskAdded { spec, .. } = &mut change {
        Arc::make_mut(spec).reduce();
    }
    Ok(EventView {
        seq: Seq(seq),
        job: name.zip(number).and_then(|(name, number)| job_name(name, number).ok()),
        task: row.get(5).unwrap_or(None),
        event: Event { at: Utc(row.get(1).map_err(|e| unreadable(&e))?), change },
    })
}

/// UTC, to the second, for readers without a time zone; clients that have one show their own.
pub(super) fn utc_clock(at: Utc) -> String {
    jiff::Timestamp::from_millisecond(at.0)
        .map(|at| at.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
        .unwrap_or_else(|_| format!("{} ms", at.0))
}

pub(super) fn get2<A: rusqlite::types::FromSql, B: rusqlite::types::FromSql>(row: &Row<'_>) -> Result<(A, B), Refusal> {
    Ok((row.get(0).map_err(|e| unreadable(&e))?, row.get(1).map_err(|e| unreadable(&e))?))
}

pub(in crate::store) fn job_state(word: &str) -> JobState {
    [JobState::Waiting, JobState::Working, JobState::Completed, JobState::Failed, JobState::Cancelled]
        .into_iter()
        .find(|state| state.word() == word)
        .unwrap_or(JobState::Waiting)
}

pub(in crate::store) fn decode<T: DeserializeOwned>(text: &str, what: impl Fn() -> String) -> Result<T, Refusal> {
    serde_json::from_str(text).map_err(|error| Refusal {
        code: RefusalCode::Unavailable,
        message: format!("{} cannot be decoded: {error}", what()),
        hint: "`airx doctor` checks the database, `airx doctor --repair` mends it".to_owned(),
    })
}

/// The name most like `wanted`, when one is like it at all.
pub(super) fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names
        .map(|name| (strsim::jaro_winkler(wanted, name), name))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}
