//! Which session of the Claude CLI an attempt takes: a new one, or the one of the attempt before.
//!
//! A session belongs to one task, and an attempt begins only when the one before is over for certain, so no two processes
//! ever work on the same one (the CLI would not prevent that: its reference, section 12).

use crate::model::change::{AttemptFacts, Rounds};
use crate::model::spec::{Action, Resume, TaskSpec};
use crate::model::state::{Outcome, Spends};

/// The session of the attempt before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastSession {
    /// Its id.
    pub id: String,
    /// How that attempt ended.
    pub end: PastEnd,
}

/// What the end of an attempt says about going on with its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PastEnd {
    /// It was interrupted by what was not the task's fault: the work goes on where it stopped.
    Interrupted,
    /// A round of a task that repeats: the same prompt again.
    Round,
    /// It failed, or a person ended it: what it did may be what led there.
    Other,
}

impl PastSession {
    /// After an attempt with this session; none when the session never came into being, may still be in use, or is unknown
    /// to the CLI.
    pub fn after(session: Option<&str>, resumed: bool, outcome: &Outcome, facts: &AttemptFacts) -> Option<PastSession> {
        let claude = facts.claude.as_ref();
        let exists = resumed || claude.is_some_and(|claude| claude.session.is_some());
        // Given up without proof of its end (a dead machine): nothing was read of it, and it may still be at work.
        let is_unread = claude.is_none_or(|claude| claude.is_unread);
        let unproven = is_unread && matches!(outcome, Outcome::Cancelled | Outcome::Lost { .. });
        let gone = claude.is_some_and(|claude| claude.session_gone);
        if !exists || unproven || gone {
            return None;
        }
        let end = match outcome {
            Outcome::Succeeded => PastEnd::Round,
            Outcome::TimedOut | Outcome::Silent => PastEnd::Interrupted,
            Outcome::Cancelled => PastEnd::Other,
            _ => match outcome.spends() {
                Spends::Retry => PastEnd::Other,
                Spends::Infrastructure | Spends::Nothing => PastEnd::Interrupted,
            },
        };
        Some(PastSession { id: session?.to_owned(), end })
    }
}

/// Whether another attempt of this task goes on with `past`, after so many rounds since it was queued.
pub(super) fn resumes(task: &TaskSpec, past: &PastSession, rounds: &Rounds) -> bool {
    if !matches!(task.action, Action::Claude(_)) {
        return false;
    }
    match (past.end, task.limits.retry.resume) {
        // Without a round before it is no further round: a person runs the finished task again, from its beginning.
        (PastEnd::Round, _) => rounds.done > 0 && task.repeat.as_ref().is_some_and(|repeat| !repeat.fresh_session),
        (_, Resume::Never) => false,
        (PastEnd::Interrupted, _) | (PastEnd::Other, Resume::Always) => true,
        (PastEnd::Other, Resume::Auto) => false,
    }
}
