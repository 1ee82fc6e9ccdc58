//! The state machines of tasks, attempts and jobs: enums that carry their data, and one total `next` function each.

mod counts;
mod outcome;

use serde::{Deserialize, Serialize};

use super::ids::JobName;
use super::time::Utc;

pub use counts::{Counts, JobState, TaskKind};
pub use outcome::{FailCause, LostCause, Outcome, Spends};

/// Where a task stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum TaskState {
    /// Waits for tasks it needs.
    Pending,
    /// Ready; waits for room.
    Queued,
    /// Waits for something else than room.
    Held {
        /// What for.
        hold: Hold,
    },
    /// An attempt is being launched: its row is committed, the backend is asked.
    Starting {
        /// The attempt's number.
        attempt: u32,
    },
    /// An attempt runs.
    Running {
        /// The attempt's number.
        attempt: u32,
    },
    /// An attempt runs and has asked a person something; keeps its slot, its timeout stands still.
    AwaitingInput {
        /// The attempt's number.
        attempt: u32,
    },
    /// Waits for a person's approval: no attempt, no slot.
    AwaitingApproval {
        /// The question's number.
        question: u32,
    },
    /// A child job does its work: no attempt, no slot.
    Delegated {
        /// The child.
        job: JobName,
    },
    /// Its instances, one for each item of its list, do its work: no attempt, no slot.
    Mapped {
        /// How many.
        instances: u32,
    },
    /// A person asked for the end; keeps its slot until that is proven.
    Cancelling {
        /// The attempt's number.
        attempt: u32,
        /// Insist at once instead of asking first.
        kill: bool,
    },
    /// Done.
    Completed,
    /// The last attempt failed and nothing is left to try.
    Failed,
    /// Ended by a person.
    Cancelled,
    /// Never ran, and why.
    Skipped {
        /// The rule that skipped it.
        why: SkipReason,
    },
    /// Never ran, because a task it needs did not complete.
    UpstreamFailed,
}

/// What a held task waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "for", rename_all = "snake_case")]
pub enum Hold {
    /// The next attempt after a failure.
    Retry {
        /// Not before.
        at: Utc,
        /// The delay that led to `at`; after a clock change or restart the wait is never longer than this.
        delay_ms: u64,
    },
    /// The model provider's usage limit; released together with all tasks of the same credential.
    Limit {
        /// When it is lifted.
        until: Utc,
        /// Whether a person has to say then that it may go on (`when_limited: ask`).
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        asks: bool,
    },
    /// The configuration's quiet hours.
    Quiet {
        /// When they end.
        until: Utc,
    },
    /// A budget that is spent.
    Budget {
        /// Whose.
        of: BudgetOf,
        /// When it begins anew, if by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Utc>,
    },
    /// A login that has expired, or a credential that was refused: a person has to log in again.
    Login {
        /// When it is tried whether somebody has.
        again: Utc,
        /// The delay that led to `again`; as for a retry.
        delay_ms: u64,
    },
    /// A secret reference that cannot be resolved; looked at again at every poll.
    Secret {
        /// Which variable, and why.
        what: String,
    },
}

/// Whose budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BudgetOf {
    /// One attempt's: `max_budget_usd`.
    #[default]
    Attempt,
    /// The task's, over all its attempts.
    Task,
    /// The job's.
    Job,
    /// The day's, of the whole home.
    Day,
}

impl BudgetOf {
    /// The word people see.
    pub fn word(self) -> &'static str {
        match self {
            BudgetOf::Attempt => "attempt",
            BudgetOf::Task => "task",
            BudgetOf::Job => "job",
            BudgetOf::Day => "day",
        }
    }
}

/// Why a task was skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// `on_failure: stop`, and a task failed.
    Stopped,
    /// Its trigger rule asks for something that did not happen, or a task it needs was skipped.
    Rule,
    /// Its `if` is false.
    If,
    /// Its list is empty.
    Empty,
    /// An instance of an item that its list does not have any more.
    Gone,
}

/// What can happen to a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskEvent {
    /// Every needed task completed.
    DepsMet,
    /// It cannot start for another reason than room.
    Hold(Hold),
    /// What it was held for is over.
    Release,
    /// An attempt was opened.
    Launch {
        /// Its number.
        attempt: u32,
    },
    /// The backend confirmed the attempt.
    Started,
    /// Its attempt asks a person something.
    Ask {
        /// The attempt's number.
        attempt: u32,
    },
    /// Everything its attempt has asked is answered.
    Answered,
    /// The attempt is over.
    Over(Verdict),
    /// A person asked for the end.
    Cancel {
        /// Insist at once.
        kill: bool,
    },
    /// A rule decided that it will not run.
    Skip(SkipReason),
    /// A needed task ended without completing.
    UpstreamFailed,
    /// Its work is left to instances.
    Map {
        /// How many.
        instances: u32,
    },
    /// Its work is left to a child job.
    Delegate(JobName),
    /// A person is asked whether it may complete.
    AskApproval {
        /// The question's number.
        question: u32,
    },
    /// What it was left to is over, or it was decided without an attempt.
    Settled(Verdict),
    /// Some of what it was left to runs again.
    Reopen(Box<TaskState>),
    /// A person runs a finished task again, or has a held one wait no longer.
    Requeue {
        /// Whether everything it needs is completed.
        ready: bool,
    },
    /// A task it needs was requeued.
    Reset,
}

/// What an attempt's outcome means for its task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Done.
    Complete,
    /// Failed for good.
    Fail,
    /// Another attempt later.
    Again(Hold),
    /// Another attempt as soon as there is room: the condition of its `repeat` does not hold yet.
    Round,
    /// Ended by a person.
    Cancelled,
    /// Nothing was to be done.
    Skip(SkipReason),
}

/// An event that a state does not allow. Always a bug or a late message, never silently ignored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a task that is {state:?} cannot take {event:?}")]
pub struct IllegalTransition {
    /// The state before.
    pub state: TaskState,
    /// The event.
    pub event: TaskEvent,
}

impl TaskState {
    /// The state after `event`.
    ///
    /// # Errors
    /// [`IllegalTransition`] when the machine of DESIGN section 3 has no such arrow.
    pub fn next(&self, event: TaskEvent) -> Result<TaskState, IllegalTransition> {
        use TaskEvent as E;
        use TaskState as S;
        Ok(match (self, event) {
            (S::Pending, E::DepsMet) => S::Queued,
            (S::Pending, E::UpstreamFailed) => S::UpstreamFailed,
            (S::Pending | S::Queued | S::Held { .. }, E::Skip(why)) => S::Skipped { why },
            (S::Queued, E::Hold(hold)) => S::Held { hold },
            (S::Held { .. }, E::Release) => S::Queued,
            (S::Queued, E::Map { instances }) => S::Mapped { instances },
            (S::Queued, E::Delegate(job)) => S::Delegated { job },
            (S::Queued, E::AskApproval { question }) => S::AwaitingApproval { question },
            (S::Queued | S::AwaitingApproval { .. } | S::Delegated { .. } | S::Mapped { .. }, E::Settled(verdict)) => {
                match verdict {
                    Verdict::Complete => S::Completed,
                    Verdict::Fail => S::Failed,
                    Verdict::Cancelled => S::Cancelled,
                    Verdict::Skip(why) => S::Skipped { why },
                    Verdict::Again(_) | Verdict::Round => {
                        return Err(IllegalTransition { state: self.clone(), event: E::Settled(verdict) });
                    }
                }
            }
            (state, E::Reopen(to)) if state.is_terminal() && matches!(*to, S::Mapped { .. } | S::Delegated { .. }) => *to,
            (S::Queued, E::Launch { attempt }) => S::Starting { attempt },
            (S::Starting { attempt }, E::Started) => S::Running { attempt: *attempt },
            // The start of an attempt whose end was already asked for changes nothing.
            (S::Cancelling { attempt, kill }, E::Started) => S::Cancelling { attempt: *attempt, kill: *kill },
            (S::Starting { .. } | S::Running { .. }, E::Ask { attempt }) => S::AwaitingInput { attempt },
            (S::AwaitingInput { attempt }, E::Answered) => S::Running { attempt: *attempt },
            (S::AwaitingInput { attempt }, E::Started | E::Ask { .. }) => S::AwaitingInput { attempt: *attempt },
            (S::Starting { .. } | S::Running { .. } | S::AwaitingInput { .. } | S::Cancelling { .. }, E::Over(verdict)) => {
                match verdict {
                    Verdict::Complete => S::Completed,
                    Verdict::Fail => S::Failed,
                    Verdict::Again(hold) => S::Held { hold },
                    Verdict::Round => S::Queued,
                    Verdict::Cancelled => S::Cancelled,
                    Verdict::Skip(why) => S::Skipped { why },
                }
            }
            (S::Pending | S::Queued | S::Held { .. } | S::AwaitingApproval { .. }, E::Cancel { .. }) => S::Cancelled,
            (S::Starting { attempt } | S::Running { attempt } | S::AwaitingInput { attempt }, E::Cancel { kill }) => {
                S::Cancelling { attempt: *attempt, kill }
            }
            (S::Cancelling { attempt, kill }, E::Cancel { kill: more }) => {
                S::Cancelling { attempt: *attempt, kill: *kill || more }
            }
            (state, E::Requeue { ready }) if state.is_terminal() || matches!(state, S::Held { .. }) => {
                if ready {
                    S::Queued
                } else {
                    S::Pending
                }
            }
            (S::UpstreamFailed | S::Skipped { .. }, E::Reset) => S::Pending,
            // A queued task goes back when what it needs is requeued before it started.
            (S::Queued | S::Held { .. }, E::Reset) => S::Pending,
            (state, event) => return Err(IllegalTransition { state: state.clone(), event }),
        })
    }

    /// Whether nothing more happens without a person.
    pub fn is_terminal(&self) -> bool {
        matches!(
            self,
            TaskState::Completed
                | TaskState::Failed
                | TaskState::Cancelled
                | TaskState::Skipped { .. }
                | TaskState::UpstreamFailed
        )
    }

    /// Number of the attempt that may be alive.
    pub fn live_attempt(&self) -> Option<u32> {
        match self {
            TaskState::Starting { attempt }
            | TaskState::Running { attempt }
            | TaskState::AwaitingInput { attempt }
            | TaskState::Cancelling { attempt, .. } => Some(*attempt),
            _ => None,
        }
    }

    /// The state without its data, for counting and showing.
    pub fn kind(&self) -> TaskKind {
        match self {
            TaskState::Pending => TaskKind::Pending,
            TaskState::Queued => TaskKind::Queued,
            TaskState::Held { .. } => TaskKind::Held,
            TaskState::Starting { .. } => TaskKind::Starting,
            TaskState::Running { .. } => TaskKind::Running,
            TaskState::Cancelling { .. } => TaskKind::Cancelling,
            TaskState::Completed => TaskKind::Completed,
            TaskState::Failed => TaskKind::Failed,
            TaskState::Cancelled => TaskKind::Cancelled,
            TaskState::Skipped { .. } => TaskKind::Skipped,
            TaskState::UpstreamFailed => TaskKind::UpstreamFailed,
            TaskState::AwaitingInput { .. } => TaskKind::AwaitingInput,
            TaskState::AwaitingApproval { .. } => TaskKind::AwaitingApproval,
            TaskState::Delegated { .. } => TaskKind::Delegated,
            TaskState::Mapped { .. } => TaskKind::Mapped,
        }
    }
}
