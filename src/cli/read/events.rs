//! `airx events`: what happened, in words.

use std::time::Duration;

use crate::cli::args::Format;
use crate::cli::context::{Context, Failure};
use crate::cli::print;
use crate::model::change::{Change, Seq};
use crate::model::ids::{AddressError, JobRef};
use crate::model::message::{Answer, EventView, MAX_PAGE, Page, Query};
use crate::model::said::{said, went_to};

use super::unexpected;

pub(in crate::cli) fn events(context: &Context, since: u64, follow: bool, job: Option<&str>) -> Result<(), Failure> {
    let job: Option<JobRef> =
        job.map(|job| job.parse().map_err(|e: AddressError| Failure::input(e.to_string(), ""))).transpose()?;
    let mut client = context.reader()?;
    let mut seen = Seq(since);
    let mut all: Vec<EventView> = Vec::new();
    loop {
        let Page { seq, body: Answer::Events(page) } = client.query(Query::Events {
            since: seen,
            job: job.clone(),
            below: false,
            task: None,
            last: false,
            limit: MAX_PAGE,
        })?
        else {
            return Err(unexpected());
        };
        let is_last = page.is_empty();
        if let Some(last) = page.last() {
            seen = last.seq;
        }
        if context.global.output == Format::Json && !follow {
            all.extend(page);
        } else {
            print::out(&page.iter().map(|event| event_text(context, event)).collect::<String>());
        }
        if is_last && !follow {
            break;
        }
        if is_last {
            seen = seen.max(seq);
            client.wait(seen, Duration::from_secs(60))?;
        }
    }
    if context.global.output == Format::Json {
        print::out(&print::value(context.global.output, &all));
    }
    Ok(())
}

fn event_text(context: &Context, event: &EventView) -> String {
    if matches!(context.global.output, Format::Json | Format::Jsonl) {
        return print::json_line(event);
    }
    let whole = match event.event.change {
        Change::CredentialMoved { .. } => "claude",
        Change::ScheduleSet { .. }
        | Change::ScheduleMoved { .. }
        | Change::SchedulePaused { .. }
        | Change::ScheduleRemoved { .. } => "schedules",
        _ => "everything",
    };
    let what = event.job.as_ref().map_or(whole.to_owned(), |job| match &event.task {
        Some(task) => format!("{job}/{task}"),
        None => job.to_string(),
    });
    let line = print::harmless(&change_text(&event.event.change), 400);
    match context.global.output {
        Format::Plain => format!("{}\t{}\t{what}\t{line}\n", event.seq.0, event.event.at.0),
        _ => format!("{:>6}  {}  {what}  {line}\n", event.seq.0, context.printer.clock(event.event.at)),
    }
}

/// An event in words.
pub(in crate::cli) fn change_text(change: &Change) -> String {
    match change {
        Change::JobSubmitted { .. } => "submitted".to_owned(),
        Change::TaskAdded { origin: Some(_), state, .. } => format!("queued at run time, {}", state.kind().word()),
        Change::TaskAdded { state, .. } => format!("added, {}", state.kind().word()),
        Change::TaskMoved { state, .. } => went_to(state),
        Change::TaskRequeued { state, .. } => format!("requeued, {}", state.kind().word()),
        Change::AttemptOpened { attempt, .. } => format!("starting (attempt {})", attempt.number),
        Change::AttemptStarted { attempt } => format!("running (attempt {})", attempt.number),
        Change::AttemptClosed { outcome, state, .. } => format!("{} ({})", state.kind().word(), outcome.sentence()),
        Change::AttemptStale { attempt, what } => format!("late news of attempt {}: {what}", attempt.number),
        Change::ResultSet { .. } => "result set".to_owned(),
        Change::ProgressSet { progress: so_far, .. } => format!("progress {so_far}"),
        Change::OutboxRefused { key, why, .. } => format!("refused `{key}`: {why}"),
        Change::JobMoved { state, .. } => format!("job {}", state.word()),
        Change::JobPaused { paused: true, .. } => "job paused".to_owned(),
        Change::JobPaused { .. } => "job resumed".to_owned(),
        Change::JobStopped { stopped: true, .. } => "job stopped: a task failed (on_failure: stop)".to_owned(),
        Change::JobStopped { .. } => "job goes on".to_owned(),
        Change::AllPaused { paused: true } => "paused".to_owned(),
        Change::AllPaused { .. } => "resumed".to_owned(),
        other => said(other).unwrap_or_default(),
    }
}
