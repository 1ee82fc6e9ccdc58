//! From committed events to what a person may want to be told.

use std::collections::BTreeMap;

use crate::model::change::{AttemptFacts, Change, Seq};
use crate::model::message::{EventView, JobView};
use crate::model::state::{JobState, Outcome, TaskKind, TaskState};
use crate::model::time::Utc;

use super::{Kind, Notice};

/// A limit or a login that was told is not told again for so long, when nothing says how long it lasts: 1 hour for a limit
/// without a reset, 6 hours for a login, which is tried again every few minutes all night.
const AGAIN_MS: (i64, i64) = (3_600_000, 6 * 3_600_000);
/// Longest reason that is kept, in characters.
const MAX_REASON: usize = 1_000;

/// What one event means: the same thing under each kind that it is, the narrowest first. A notifier is told of it once.
pub type Found = Vec<Notice>;

/// Remembers what holds for all tasks of a credential, so that it is told once.
#[derive(Debug, Clone, Default)]
pub struct Digest {
    quiet_until: BTreeMap<Kind, Utc>,
}

/// Jobs whose rows [`Digest::take`] needs: those that these events end.
pub fn wanted_jobs(events: &[EventView]) -> Vec<u32> {
    let mut ids: Vec<u32> = events
        .iter()
        .filter_map(|event| match &event.event.change {
            Change::JobMoved { job, state } if state.is_terminal() => Some(job.0),
            _ => None,
        })
        .collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

impl Digest {
    /// What these events mean, in their order; `jobs` holds the rows of [`wanted_jobs`], as far as they could be read.
    pub fn take(&mut self, events: &[EventView], jobs: &[JobView]) -> Vec<Found> {
        events.iter().map(|event| self.event(event, jobs)).filter(|found| !found.is_empty()).collect()
    }

    fn event(&mut self, event: &EventView, jobs: &[JobView]) -> Found {
        match &event.event.change {
            Change::AttemptClosed { outcome, facts, state, .. } => self.closed(event, outcome, facts, state),
            Change::TaskMoved { state: TaskState::Failed, .. } => vec![of_task(event, Kind::Failed, "failed", "")],
            Change::JobMoved { job, state } => {
                let view = jobs.iter().find(|view| view.id == job.0);
                of_job(event, *state, view).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    fn closed(&mut self, event: &EventView, outcome: &Outcome, facts: &AttemptFacts, state: &TaskState) -> Found {
        let at = event.event.at;
        let mut kinds = Vec::new();
        match outcome {
            Outcome::Limited { resets_at } => {
                let until = resets_at.filter(|reset| *reset > at).unwrap_or(Utc(at.0.saturating_add(AGAIN_MS.0)));
                kinds.extend(self.once(Kind::Limited, at, until));
            }
            Outcome::Auth => kinds.extend(self.once(Kind::Auth, at, Utc(at.0.saturating_add(AGAIN_MS.1)))),
            Outcome::BudgetExceeded { .. } => kinds.push(Kind::Budget),
            // The credential works again: the next refusal is news.
            Outcome::Succeeded if facts.claude.is_some() => drop(self.quiet_until.remove(&Kind::Auth)),
            _ => {}
        }
        match state {
            TaskState::Failed => kinds.push(Kind::Failed),
            TaskState::Completed => kinds.push(Kind::Completed),
            _ => {}
        }
        let reason = match outcome {
            Outcome::Succeeded => String::new(),
            other => other.sentence(),
        };
        let cost = facts.claude.as_ref().map_or(0, |claude| claude.cost_microusd);
        let told = |kind| Notice { cost_microusd: cost, ..of_task(event, kind, word(outcome), &reason) };
        kinds.into_iter().map(told).collect()
    }

    /// The kind, unless it was told and still holds.
    fn once(&mut self, kind: Kind, at: Utc, until: Utc) -> Option<Kind> {
        let quiet = self.quiet_until.get(&kind).is_some_and(|quiet| at < *quiet);
        if !quiet {
            self.quiet_until.insert(kind, until);
        }
        (!quiet).then_some(kind)
    }
}

fn of_task(event: &EventView, kind: Kind, outcome: &str, reason: &str) -> Notice {
    Notice { task: event.task.clone().unwrap_or_default(), ..notice(event, kind, outcome, reason) }
}

fn of_job(event: &EventView, state: JobState, view: Option<&JobView>) -> Option<Notice> {
    let kind = match state {
        JobState::Failed => Kind::JobFailed,
        JobState::Cancelled => Kind::JobCancelled,
        JobState::Completed => Kind::JobCompleted,
        JobState::Waiting | JobState::Working => return None,
    };
    let counted =
        |view: &JobView, kind: TaskKind| format!("{} of {} tasks {}", view.tasks.of(kind), view.tasks.total(), kind.word());
    let reason = view.map_or_else(String::new, |view| match state {
        JobState::Failed => counted(view, TaskKind::Failed),
        JobState::Cancelled => counted(view, TaskKind::Cancelled),
        _ => counted(view, TaskKind::Completed),
    });
    let cost_microusd = view.map_or(0, |view| view.cost_microusd);
    Some(Notice { cost_microusd, ..notice(event, kind, state.word(), &reason) })
}

fn notice(event: &EventView, kind: Kind, outcome: &str, reason: &str) -> Notice {
    Notice {
        seq: Seq(event.seq.0),
        kind,
        count: 1,
        job: event.job.as_ref().map(ToString::to_string).unwrap_or_default(),
        jobs: u32::from(event.job.is_some()),
        task: String::new(),
        outcome: outcome.to_owned(),
        reason: reason.chars().take(MAX_REASON).collect(),
        cost_microusd: 0,
    }
}

/// An outcome's name, as in its JSON.
fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded => "succeeded",
        Outcome::Failed { .. } => "failed",
        Outcome::TimedOut => "timed_out",
        Outcome::Silent => "silent",
        Outcome::Cancelled => "cancelled",
        Outcome::BudgetExceeded { .. } => "budget_exceeded",
        Outcome::Limited { .. } => "limited",
        Outcome::Overloaded => "overloaded",
        Outcome::Auth => "auth",
        Outcome::Evicted => "evicted",
        Outcome::Crashed { .. } => "crashed",
        Outcome::Lost { .. } => "lost",
        Outcome::Unlaunchable { .. } => "unlaunchable",
    }
}
