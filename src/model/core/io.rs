//! What goes into the core, and what comes out.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::attempt::Allowance;
use crate::model::change::{Event, TaskResult};
use crate::model::decide::Decision;
use crate::model::ids::{AttemptId, JobId, JobName, TaskIdx};
use crate::model::message::{Command, Done, Refusal};
use crate::model::question::InboxItem;
use crate::model::report::Report;
use crate::model::spec::{JobSpec, TaskSpec};
use crate::model::state::{BudgetOf, TaskKind};

use super::{Limits, Taken};

/// Names a request whose answer is awaited.
pub type RequestId = u64;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A client asks. Jobs it names must have been brought in by [`super::Core::insert`].
    Command(RequestId, Command),
    /// A task asks to look into its outbox.
    Intake(RequestId, AttemptId),
    /// A backend reports.
    Report(Report),
    /// What a task does, as its expressions say; the answer to [`Effect::Decide`].
    Decided {
        /// The job.
        job: JobId,
        /// The task.
        task: TaskIdx,
        /// The number of the request.
        ticket: u64,
        /// The answer.
        decision: Decision,
    },
    /// A secret that held this task can be resolved now.
    SecretsReady(JobId, TaskIdx),
    /// The attempt cannot be launched before a secret is there; nothing was started.
    SecretMissing {
        /// Which.
        attempt: AttemptId,
        /// Which variable, and why.
        what: String,
    },
    /// Time passed: timers, backstops.
    Tick,
    /// Compare everything with reality (at the start, and at every poll interval).
    Reconcile,
    /// Let go of jobs that are over.
    Evict,
    /// Whether there is too little room on the disk to launch anything.
    DiskLow(bool),
    /// The pools whose engine cannot be reached, all of them, and why.
    Unreachable(BTreeMap<String, String>),
    /// The configuration changed.
    Limits(Limits),
}

/// Something to do after the commit.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Ask the backend to start the attempt.
    Launch(Box<Launch>),
    /// Ask the backend to end it.
    Stop {
        /// Which.
        attempt: AttemptId,
        /// Insist.
        kill: bool,
    },
    /// Ask the backend what is there.
    Inspect(Vec<AttemptId>),
    /// Ask the backend to look into the outbox.
    Intake(AttemptId),
    /// Put an answer into the attempt's inbox; put there twice, it is there once.
    Answer {
        /// Which.
        attempt: AttemptId,
        /// The answer.
        item: Box<InboxItem>,
    },
    /// Tell the attempt's runner that a budget it shares is spent.
    OverBudget {
        /// Which.
        attempt: AttemptId,
        /// Whose budget.
        of: BudgetOf,
    },
    /// The attempt is closed; the backend may forget it.
    Forget(AttemptId),
    /// Evaluate the expressions of this task, which is no instance; the number goes back with the answer.
    Decide(u64, Box<Launch>),
    /// See whether the secrets of this task can be resolved now.
    CheckSecrets(Box<Launch>),
    /// Answer a command.
    Reply(RequestId, Result<Done, Refusal>),
    /// Answer a task that asked to look into its outbox.
    Took(RequestId, Result<Vec<Taken>, Refusal>),
    /// The manager shall leave.
    Leave,
}

/// What is needed to compose an attempt's launch.
#[derive(Debug, Clone, PartialEq)]
pub struct Launch {
    /// Which.
    pub attempt: AttemptId,
    /// The task's id; `PARENT/INDEX` for an instance.
    pub id: String,
    /// The item it is for, and its place, for an instance.
    pub item: Option<(serde_json::Value, u32)>,
    /// The job's full name.
    pub name: JobName,
    /// The job.
    pub job: Arc<JobSpec>,
    /// The task.
    pub task: Arc<TaskSpec>,
    /// The tasks that its expressions name.
    pub seen: Vec<(String, Seen)>,
    /// Session id for a Claude run.
    pub session: Option<String>,
    /// Whether that session exists and is resumed.
    pub resumes: bool,
    /// Whether it is told to go on where it was interrupted, instead of its prompt.
    pub continues: bool,
    /// The attempt whose gate's output it may be told: the newest that ended there.
    pub gated: Option<u32>,
    /// What it may use.
    pub allowance: Option<Allowance>,
    /// What a person has allowed for the whole job, as rules of the CLI.
    pub rules: Vec<String>,
}

/// A task as later ones see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Where it stands.
    pub state: TaskKind,
    /// Its result.
    pub result: SeenResult,
}

/// The result of a task as later ones see it.
#[derive(Debug, Clone, PartialEq)]
pub enum SeenResult {
    /// Of a plain task, if it has one.
    One(Option<TaskResult>),
    /// Of a mapped task: one for each item, none where an instance has none.
    Many(Vec<Option<TaskResult>>),
}

/// What a turn led to.
#[derive(Debug, Default)]
pub struct Step {
    /// To be committed, in order, all or nothing.
    pub events: Vec<Event>,
    /// To be performed after that, in order.
    pub effects: Vec<Effect>,
}
