//! Messages between clients and the manager: the verbs of the `control` socket and what they answer.

mod home;
mod refusal;
mod views;

use serde::{Deserialize, Serialize};

use super::attempt::AddedTask;
use super::change::Seq;
use super::ids::{Address, JobName, JobRef};
use super::schedule::Rule;
use super::spec::Submission;
use super::state::TaskKind;
use super::time::Utc;

pub use home::{CredentialView, OverviewView, PoolView, StatusView, StrandedView, UsageView};
pub use refusal::{Refusal, RefusalCode};
pub use views::{
    ArtifactsView, AttemptView, ChildView, EventView, JobDetail, JobView, MappingView, OutputPiece, ParentView, RerunView,
    ScheduleDetail, ScheduleView, TaskDetail, TaskView,
};

/// Version of this protocol; a client and a manager of different major versions refuse each other with the remedy.
pub const PROTOCOL: u32 = 1;
/// Largest frame on a socket, checked before anything is allocated.
pub const MAX_FRAME: usize = 1 << 20;
/// Most rows in one page.
pub const MAX_PAGE: u32 = 1_000;

/// A request that changes something. Answered after its commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verb", content = "with", rename_all = "snake_case")]
pub enum Command {
    /// Take a job in.
    Submit {
        /// The job, checked by the client and checked again by the manager.
        submission: Box<Submission>,
        /// The same key again is answered with the same job, so a lost answer can be asked for again.
        key: Option<String>,
    },
    /// Queue one task in an existing job (a person's `airx add --job`). A job that is over comes back to life.
    Add {
        /// The job.
        job: JobRef,
        /// The task.
        task: Box<AddedTask>,
        /// As in `Submit`.
        key: Option<String>,
    },
    /// Run finished tasks again with a fresh retry budget.
    Requeue {
        /// Tasks, or whole jobs (then only those of `which`).
        targets: Vec<Address>,
        /// Which tasks of a whole job.
        which: RequeueWhich,
        /// Parameters of their jobs from now on, `NAME=VALUE` as at a submission.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        params: Vec<(String, String)>,
    },
    /// End tasks or jobs.
    Cancel {
        /// Empty with `all`.
        targets: Vec<Address>,
        /// Every job that is not over.
        all: bool,
        /// How.
        how: CancelHow,
    },
    /// Start nothing new in the job, or anywhere.
    Pause {
        /// None is everything.
        job: Option<JobRef>,
    },
    /// Take back `Pause`.
    Resume {
        /// None is everything.
        job: Option<JobRef>,
    },
    /// Answer a question of a running task.
    Answer {
        /// Its number.
        question: u32,
        /// The answer.
        answer: super::question::Answer,
        /// Who answers. Whoever takes the command in knows: what a client says of itself does not count.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by_name: Option<String>,
    },
    /// Give a job another budget; what was held for the old one goes on.
    Budget {
        /// Which job.
        job: JobRef,
        /// The most that its Claude runs may use together; none is no limit.
        budget: Option<super::spec::Budget>,
    },
    /// Give a job another priority: those of higher priority get free slots first.
    Priority {
        /// Which job.
        job: JobRef,
        /// The new one, -1000 to 1000.
        priority: i32,
    },
    /// Add a schedule under the job's name, or give that one another definition.
    ScheduleSet {
        /// What it submits.
        submission: Box<Submission>,
        /// When.
        rule: Box<Rule>,
    },
    /// Pause schedules, or resume them.
    SchedulePause {
        /// Their names.
        names: Vec<String>,
        /// Whether they are to be paused.
        paused: bool,
    },
    /// Remove schedules; their jobs stay.
    ScheduleRemove {
        /// Their names.
        names: Vec<String>,
    },
    /// Submit the job of a schedule now, out of turn.
    ScheduleRun {
        /// Its name.
        name: String,
        /// As in `Submit`.
        key: Option<String>,
    },
    /// End the manager; runners go on.
    Stop,
}

/// Which tasks of a job to requeue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequeueWhich {
    /// Failed and cancelled ones, what was skipped because of them, and those held for a login.
    #[default]
    Failed,
    /// All.
    All,
    /// The named tasks and all that come after them; of a whole job, all.
    From,
}

/// How to end an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelHow {
    /// Ask, then insist after the grace.
    Ask,
    /// Insist at once.
    Kill,
    /// Stop waiting for proof that it ended (a dead node): a person's recorded decision.
    Abandon,
}

/// Answer to a [`Command`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Done {
    /// The job was taken in under this name.
    Submitted {
        /// Its full name.
        job: JobName,
        /// Tasks of the file.
        tasks: u32,
        /// Secrets that are not there yet, and why; the tasks that need them will be held.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        missing: Vec<String>,
    },
    /// The task was queued under this address.
    Added {
        /// Its address.
        task: Address,
    },
    /// So many tasks (or jobs) were affected; 0 is no error.
    Affected {
        /// How many.
        count: u32,
    },
    /// The schedule was added, or has another definition.
    Scheduled {
        /// Its name.
        name: String,
        /// Whether there was one of this name.
        replaced: bool,
        /// Its next time; none when it is paused.
        next: Option<Utc>,
        /// Whether it is paused.
        paused: bool,
        /// As in `Submitted`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        missing: Vec<String>,
    },
    /// The schedule's job will be submitted once the one before is over.
    Waits {
        /// The one before.
        behind: JobName,
    },
    /// The manager is leaving.
    Stopping,
}

/// A request that only reads. Answered from the store, also without a manager.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verb", content = "with", rename_all = "snake_case")]
pub enum Query {
    /// The home at a glance.
    Status,
    /// What surrounds the jobs: the part of `Status` that costs nothing however many jobs there are.
    Overview,
    /// These jobs, those that exist, in no particular order.
    JobsOf {
        /// Job numbers, at most [`MAX_PAGE`].
        ids: Vec<u32>,
    },
    /// Jobs, newest first.
    Jobs {
        /// Only jobs older than this job number; none begins with the newest.
        before: Option<u32>,
        /// At most [`MAX_PAGE`].
        limit: u32,
    },
    /// One job.
    Job {
        /// Which.
        job: JobRef,
    },
    /// Tasks of a job in order.
    Tasks {
        /// Which job.
        job: JobRef,
        /// Only tasks from this place on.
        from: u32,
        /// At most [`MAX_PAGE`].
        limit: u32,
        /// Only these states; empty is all.
        #[serde(default)]
        kinds: Vec<TaskKind>,
    },
    /// One task in full, with its attempts.
    Task {
        /// Its address.
        task: Address,
    },
    /// Events in order.
    Events {
        /// Only those after this one.
        since: Seq,
        /// Only of this job.
        job: Option<JobRef>,
        /// Of the jobs below it too.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        below: bool,
        /// Only of this task, by its place in the job.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        task: Option<u32>,
        /// The last ones instead of the first ones, still in order.
        #[serde(default)]
        last: bool,
        /// At most [`MAX_PAGE`].
        limit: u32,
    },
    /// Questions to a person, oldest first.
    Questions {
        /// Only of this job, or of this task.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        of: Option<Address>,
        /// Those that are settled too, newest first.
        #[serde(default)]
        all: bool,
        /// At most [`MAX_PAGE`].
        limit: u32,
    },
    /// The schedules by name.
    Schedules,
    /// One schedule in full.
    Schedule {
        /// Its name.
        name: String,
    },
    /// What a requeue would run again that is finished already.
    Rerun {
        /// As in [`Command::Requeue`].
        targets: Vec<Address>,
        /// As in [`Command::Requeue`].
        which: RequeueWhich,
    },
    /// What is known of the credentials and today's spending.
    Usage,
    /// A piece of an attempt's output.
    Output {
        /// The task.
        task: Address,
        /// None is the newest attempt.
        attempt: Option<u32>,
        /// Which file.
        stream: OutputStream,
        /// First byte.
        offset: u64,
        /// At most 512 KiB.
        limit: u32,
    },
    /// What was kept of an attempt's workspace.
    Artifacts {
        /// The task.
        task: Address,
        /// None is the newest attempt that has some.
        attempt: Option<u32>,
        /// Only those from this place on.
        #[serde(default)]
        from: u32,
    },
    /// A piece of an artifact.
    Artifact {
        /// The task.
        task: Address,
        /// Which attempt's.
        attempt: u32,
        /// Its name.
        name: String,
        /// First byte.
        offset: u64,
        /// At most 512 KiB.
        limit: u32,
    },
    /// A piece of a task's result, as JSON.
    Result {
        /// The task.
        task: Address,
        /// First byte.
        offset: u64,
        /// At most 512 KiB.
        limit: u32,
    },
}

/// A file of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputStream {
    /// Standard output (a Claude task's transcript).
    Out,
    /// Standard error.
    Err,
    /// The index that tells in which order and when the two were written.
    Index,
    /// Output of the gate.
    Gate,
}

/// Answer to a [`Query`], with the number of the newest event of the same read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Page<T> {
    /// Newest event at the time of the read.
    pub seq: Seq,
    /// What was asked for.
    pub body: T,
}

/// What a query answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// To `Status`.
    Status(Box<StatusView>),
    /// To `Overview`.
    Overview(Box<OverviewView>),
    /// To `Jobs` and `JobsOf`.
    Jobs(Vec<JobView>),
    /// To `Job`.
    Job(Box<JobDetail>),
    /// To `Tasks`.
    Tasks(Vec<TaskView>),
    /// To `Task`.
    Task(Box<TaskDetail>),
    /// To `Events`.
    Events(Vec<EventView>),
    /// To `Questions`.
    Questions(Vec<super::question::QuestionView>),
    /// To `Schedules`.
    Schedules(Vec<ScheduleView>),
    /// To `Schedule`.
    Schedule(Box<ScheduleDetail>),
    /// To `Rerun`.
    Rerun(RerunView),
    /// To `Usage`.
    Usage(Box<UsageView>),
    /// To `Output`, `Artifact` and `Result`.
    Output(OutputPiece),
    /// To `Artifacts`.
    Artifacts(Box<ArtifactsView>),
}
