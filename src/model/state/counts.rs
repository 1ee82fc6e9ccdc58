//! States without their data, how many tasks of a job are in each, and what that makes of the job.

use serde::{Deserialize, Serialize};

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
