//! The state machines of tasks, attempts and jobs: enums that carry their data, and one total `next` function each.

use serde::{Deserialize, Serialize};

use super::ids::JobName;
use super::time::Utc;

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

/// A task's state without its data. The order is that of [`Counts`] and of the store's column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are those of TaskState")]
pub enum TaskKind {
    Pending,
    Queued,
    Held,
    Starting,
    Running,
    Cancelling,
    Completed,
    Failed,
    Cancelled,
    Skipped,
    UpstreamFailed,
    AwaitingInput,
    AwaitingApproval,
    Delegated,
    Mapped,
}

impl TaskKind {
    /// All of them, in order.
    pub const ALL: [TaskKind; 15] = [
        TaskKind::Pending,
        TaskKind::Queued,
        TaskKind::Held,
        TaskKind::Starting,
        TaskKind::Running,
        TaskKind::Cancelling,
        TaskKind::Completed,
        TaskKind::Failed,
        TaskKind::Cancelled,
        TaskKind::Skipped,
        TaskKind::UpstreamFailed,
        TaskKind::AwaitingInput,
        TaskKind::AwaitingApproval,
        TaskKind::Delegated,
        TaskKind::Mapped,
    ];

    /// Whether a person is waited for: a running task has asked something, or an approval does.
    pub fn waits_for_person(self) -> bool {
        matches!(self, TaskKind::AwaitingInput | TaskKind::AwaitingApproval)
    }

    /// The word people see.
    pub fn word(self) -> &'static str {
        match self {
            TaskKind::Pending => "pending",
            TaskKind::Queued => "queued",
            TaskKind::Held => "held",
            TaskKind::Starting => "starting",
            TaskKind::Running => "running",
            TaskKind::Cancelling => "cancelling",
            TaskKind::Completed => "completed",
            TaskKind::Failed => "failed",
            TaskKind::Cancelled => "cancelled",
            TaskKind::Skipped => "skipped",
            TaskKind::UpstreamFailed => "upstream_failed",
            TaskKind::AwaitingInput => "awaiting_input",
            TaskKind::AwaitingApproval => "awaiting_approval",
            TaskKind::Delegated => "delegated",
            TaskKind::Mapped => "mapped",
        }
    }
}

/// How many tasks of a job are in each state, in the order of [`TaskKind::ALL`].
/// For people and programs it is a mapping by the states' words; the database keeps the numbers alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts(pub [u32; 15]);

impl Serialize for Counts {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(TaskKind::ALL.iter().map(|kind| (kind.word(), self.of(*kind))))
    }
}

impl<'de> Deserialize<'de> for Counts {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Counts, D::Error> {
        use serde::de::Error as _;
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            /// A kind that is newer than the row is 0 there.
            Numbers(Vec<u32>),
            Words(std::collections::BTreeMap<String, u32>),
        }
        Ok(match Written::deserialize(deserializer)? {
            Written::Numbers(numbers) if numbers.len() > TaskKind::ALL.len() => {
                return Err(D::Error::custom("counts of more states than there are"));
            }
            Written::Numbers(numbers) => Counts(TaskKind::ALL.map(|kind| numbers.get(kind as usize).copied().unwrap_or(0))),
            Written::Words(words) => Counts(TaskKind::ALL.map(|kind| words.get(kind.word()).copied().unwrap_or(0))),
        })
    }
}

impl Counts {
    /// Tasks in `kind`.
    pub fn of(&self, kind: TaskKind) -> u32 {
        self.0[kind as usize]
    }

    /// Counts a task in.
    pub fn add(&mut self, kind: TaskKind) {
        self.0[kind as usize] += 1;
    }

    /// Counts a task out.
    pub fn remove(&mut self, kind: TaskKind) {
        self.0[kind as usize] = self.0[kind as usize].saturating_sub(1);
    }

    /// All tasks.
    pub fn total(&self) -> u32 {
        self.0.iter().sum()
    }

    /// Attempts that may be alive.
    pub fn live(&self) -> u32 {
        [TaskKind::Starting, TaskKind::Running, TaskKind::AwaitingInput, TaskKind::Cancelling].iter().map(|k| self.of(*k)).sum()
    }

    /// Tasks that are over.
    pub fn terminal(&self) -> u32 {
        use TaskKind::{Cancelled, Completed, Failed, Skipped, UpstreamFailed};
        [Completed, Failed, Cancelled, Skipped, UpstreamFailed].iter().map(|k| self.of(*k)).sum()
    }

    /// The job's state, derived from its tasks alone.
    ///
    /// A job whose tasks are all over failed when any failed, else was cancelled when any was cancelled, else completed.
    pub fn job_state(&self) -> JobState {
        if self.live() + self.of(TaskKind::Delegated) > 0 {
            JobState::Working
        } else if self.terminal() < self.total() {
            JobState::Waiting
        } else if self.of(TaskKind::Failed) > 0 || (self.of(TaskKind::UpstreamFailed) > 0 && self.of(TaskKind::Cancelled) == 0) {
            JobState::Failed
        } else if self.of(TaskKind::Cancelled) > 0 {
            JobState::Cancelled
        } else {
            JobState::Completed
        }
    }
}

/// Where a job stands, derived from its tasks by [`Counts::job_state`]; `paused` is a flag beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Something is left to do, nothing runs.
    Waiting,
    /// Something runs.
    Working,
    /// Every task completed (or was skipped).
    Completed,
    /// A task failed.
    Failed,
    /// A task was cancelled, none failed.
    Cancelled,
}

impl JobState {
    /// Whether all tasks are over.
    pub fn is_terminal(self) -> bool {
        matches!(self, JobState::Completed | JobState::Failed | JobState::Cancelled)
    }

    /// The word people see.
    pub fn word(self) -> &'static str {
        match self {
            JobState::Waiting => "waiting",
            JobState::Working => "working",
            JobState::Completed => "completed",
            JobState::Failed => "failed",
            JobState::Cancelled => "cancelled",
        }
    }
}

/// How an attempt ended. Exactly one is recorded for every runner that was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// As it should.
    Succeeded,
    /// The task's own fault.
    Failed {
        /// How.
        cause: FailCause,
    },
    /// Longer than `timeout`.
    TimedOut,
    /// No output for longer than `silence`.
    Silent,
    /// A person ended it.
    Cancelled,
    /// It spent more than it may.
    BudgetExceeded {
        /// Whose budget ended it.
        #[serde(default)]
        of: BudgetOf,
    },
    /// The model provider's usage limit.
    Limited {
        /// When it is lifted, if that was said.
        resets_at: Option<Utc>,
    },
    /// The model provider is overloaded.
    Overloaded,
    /// The credential is missing or refused.
    Auth,
    /// The backend took its place away.
    Evicted,
    /// It ended through something outside of it.
    Crashed {
        /// What.
        why: String,
    },
    /// Its runner vanished without a record.
    Lost {
        /// How.
        cause: LostCause,
    },
    /// It never ran.
    Unlaunchable {
        /// What was missing, where, and what to do.
        why: String,
        /// Whether another attempt may help.
        transient: bool,
    },
}

/// How a task failed by its own fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailCause {
    /// Exit code other than 0.
    Exit(i32),
    /// Fatal signal.
    Signal(i32),
    /// Out of the memory it may use.
    Oom,
    /// More processes than it may have.
    Pids,
    /// The acceptance command did not exit 0; in words.
    Gate(String),
    /// `max_turns` reached.
    MaxTurns,
    /// Tools were denied, and the task says `denials: fail`; which.
    Denied(String),
    /// Its `repeat` ended without its condition; why.
    Repeat(String),
    /// Claude reported an error; in its words.
    ErrorResult(String),
    /// Output limit reached.
    OutputLimit,
    /// The output is not the result it should be; why.
    BadResult(String),
    /// What it should do could not be decided from its expressions; why.
    Decision(String),
    /// Instances of a mapped task failed.
    Instances {
        /// How many.
        failed: u32,
        /// Of how many.
        of: u32,
    },
    /// Its child job did not complete; which, and its state in a word.
    Child(String),
    /// A person, or the time-out, refused approval; in words.
    Rejected(String),
    /// A file that had to be kept was not there; which.
    Artifact(String),
}

/// How a runner vanished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LostCause {
    /// The machine was started anew meanwhile.
    Reboot,
    /// The runner died without a record on a machine that went on.
    RunnerGone,
}

/// Which budget an outcome spends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spends {
    /// The task's `retry`.
    Retry,
    /// The separate budget for what is not the task's fault.
    Infrastructure,
    /// Nothing: the task waits and resumes.
    Nothing,
}

impl Outcome {
    /// Which budget another attempt would be taken from.
    pub fn spends(&self) -> Spends {
        match self {
            Outcome::BudgetExceeded { of: BudgetOf::Job | BudgetOf::Day } => Spends::Nothing,
            Outcome::Failed { .. } | Outcome::TimedOut | Outcome::Silent | Outcome::BudgetExceeded { .. } => Spends::Retry,
            Outcome::Evicted
            | Outcome::Crashed { .. }
            | Outcome::Lost { .. }
            | Outcome::Overloaded
            | Outcome::Unlaunchable { .. } => Spends::Infrastructure,
            Outcome::Succeeded | Outcome::Cancelled | Outcome::Limited { .. } | Outcome::Auth => Spends::Nothing,
        }
    }

    /// One line for people: what happened, without the remedy.
    pub fn sentence(&self) -> String {
        match self {
            Outcome::Succeeded => "succeeded".to_owned(),
            Outcome::Failed { cause } => match cause {
                FailCause::Exit(code) => format!("exit {code}"),
                FailCause::Signal(signal) => format!("signal {signal}"),
                FailCause::Oom => "out of memory (its limit)".to_owned(),
                FailCause::Pids => "too many processes (its limit)".to_owned(),
                FailCause::Gate(how) => format!("gate failed: {how}"),
                FailCause::MaxTurns => "maximum number of turns reached".to_owned(),
                FailCause::Denied(what) => format!("denied: {what}"),
                FailCause::Repeat(why) => why.clone(),
                FailCause::ErrorResult(text) => format!("error result: {text}"),
                FailCause::OutputLimit => "output limit reached".to_owned(),
                FailCause::BadResult(why) => format!("bad result: {why}"),
                FailCause::Decision(why) => format!("cannot be decided: {why}"),
                FailCause::Instances { failed, of } => format!("{failed} of {of} instances failed"),
                FailCause::Child(how) => format!("child job {how}"),
                FailCause::Rejected(how) if how.starts_with("by ") => format!("rejected {how}"),
                FailCause::Rejected(how) => format!("rejected: {how}"),
                FailCause::Artifact(which) => format!("artifact missing: {which}"),
            },
            Outcome::TimedOut => "timed out".to_owned(),
            Outcome::Silent => "silent for too long".to_owned(),
            Outcome::Cancelled => "cancelled".to_owned(),
            Outcome::BudgetExceeded { of } => format!("budget exceeded ({})", of.word()),
            Outcome::Limited { .. } => "usage limit reached".to_owned(),
            Outcome::Overloaded => "model provider overloaded".to_owned(),
            Outcome::Auth => "not logged in, or the credential was refused".to_owned(),
            Outcome::Evicted => "evicted".to_owned(),
            Outcome::Crashed { why } => format!("crashed: {why}"),
            Outcome::Lost { cause: LostCause::Reboot } => "lost: the machine was restarted".to_owned(),
            Outcome::Lost { cause: LostCause::RunnerGone } => "lost: its runner is gone".to_owned(),
            Outcome::Unlaunchable { why, .. } => format!("could not start: {why}"),
        }
    }
}
