//! From committed events to what a person may want to be told.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::change::{AttemptFacts, Change, Seq};
use crate::model::credential::{Credential, CredentialHold};
use crate::model::message::{EventView, JobView};
use crate::model::question::AnsweredBy;
use crate::model::state::{FailCause, JobState, Outcome, TaskKind, TaskState};
use crate::model::time::Utc;

use super::{Kind, Notice};

/// Longest reason that is kept, in characters.
const MAX_REASON: usize = 1_000;
/// Credentials that are remembered as held; a home has a handful.
const MAX_CREDENTIALS: usize = 1_000;

/// What one event means: the same thing under each kind that it is, the narrowest first. A notifier is told of it once.
pub type Found = Vec<Notice>;

/// Puts a point in time into words of the reader's zone.
pub type Clock<'a> = &'a dyn Fn(Utc) -> String;

/// Remembers which credentials are held, so that each hold is told once, however often it is tried and put off.
#[derive(Debug, Clone, Default)]
pub struct Digest {
    held: BTreeMap<Credential, Kind>,
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
    pub fn take(&mut self, events: &[EventView], jobs: &[JobView], clock: Clock<'_>) -> Vec<Found> {
        // What a rule of the job's answers at once is no question to anybody.
        let by_rule: BTreeSet<u32> = events
            .iter()
            .filter_map(|event| match event.event.change {
                Change::QuestionAnswered { id, by: AnsweredBy::Rule, .. } => Some(id),
                _ => None,
            })
            .collect();
        let found = |event| self.event(event, jobs, &by_rule, clock);
        events.iter().map(found).filter(|found| !found.is_empty()).collect()
    }

    fn event(&mut self, event: &EventView, jobs: &[JobView], by_rule: &BTreeSet<u32>, clock: Clock<'_>) -> Found {
        match &event.event.change {
            Change::AttemptClosed { outcome, facts, state, .. } => closed(event, outcome, facts, state),
            Change::TaskEnded { outcome, state, .. } => ended(event, outcome, state),
            Change::TaskMoved { state: TaskState::Failed, .. } => vec![of_task(event, Kind::Failed, "failed", "")],
            Change::JobMoved { job, state } => {
                let view = jobs.iter().find(|view| view.id == job.0);
                of_job(event, *state, view).into_iter().collect()
            }
            Change::QuestionAsked { id, question, .. } if !by_rule.contains(id) => {
                vec![of_task(event, Kind::Question, "waiting", &question.body.line())]
            }
            Change::CredentialMoved { credential, state } => {
                self.credential(event, credential, state.hold.as_ref(), clock).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    fn credential(
        &mut self,
        event: &EventView,
        name: &Credential,
        hold: Option<&CredentialHold>,
        clock: Clock<'_>,
    ) -> Option<Notice> {
        let (kind, reason) = match hold {
            None => {
                self.held.remove(name);
                return None;
            }
            Some(CredentialHold::Limit { until, .. }) => {
                (Kind::Limited, format!("usage limit of {name} until {}", clock(*until)))
            }
            Some(CredentialHold::Login { .. }) => (Kind::Auth, format!("{name} was refused: log in again, or mend the key")),
        };
        if self.held.len() >= MAX_CREDENTIALS {
            self.held.clear();
        }
        let is_known = self.held.insert(name.clone(), kind) == Some(kind);
        (!is_known).then(|| notice(event, kind, kind.word(), &reason))
    }
}

fn closed(event: &EventView, outcome: &Outcome, facts: &AttemptFacts, state: &TaskState) -> Found {
    let mut kinds = Vec::new();
    if matches!(outcome, Outcome::BudgetExceeded { .. }) {
        kinds.push(Kind::Budget);
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

/// A task that is over without an attempt's end. What failed of a mapped task was told of its instances.
fn ended(event: &EventView, outcome: &Outcome, state: &TaskState) -> Found {
    // Of a mapped task each instance was told already.
    let by_instances = matches!(outcome, Outcome::Failed { cause: FailCause::Instances { .. } });
    let kind = match state {
        TaskState::Failed if !by_instances => Kind::Failed,
        TaskState::Completed => Kind::Completed,
        _ => return Vec::new(),
    };
    let reason = if *outcome == Outcome::Succeeded { String::new() } else { outcome.sentence() };
    vec![of_task(event, kind, word(outcome), &reason)]
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
    let counted = |view: &JobView, kind: TaskKind| {
        let work = view.work();
        format!("{} of {} tasks {}", work.of(kind), work.total(), kind.word())
    };
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
        Outcome::Evicted { .. } => "evicted",
        Outcome::Crashed { .. } => "crashed",
        Outcome::Lost { .. } => "lost",
        Outcome::Unlaunchable { .. } => "unlaunchable",
    }
}
