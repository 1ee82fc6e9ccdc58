//! Messages between clients and the manager: the verbs of the `control` socket and what they answer.

use serde::{Deserialize, Serialize};

use super::artifact::Artifact;
use super::attempt::{AddedTask, Progress};
use super::change::{AttemptFacts, Event, Seq, TaskResult};
use super::ids::{Address, JobName, JobRef};
use super::schedule::{Passed, Rule, ScheduleState};
use super::spec::{JobSpec, Submission, TaskSpec};
use super::state::{Counts, JobState, Outcome, TaskKind, TaskState};
use super::time::Utc;

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

/// Why a request was refused, with what to do. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// For programs.
    pub code: RefusalCode,
    /// For people: what, why.
    pub message: String,
    /// What to do; empty when that is plain.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hint: String,
}

/// Kinds of refusals, with their JSON-RPC error codes (-32000 to -32099 are the server's).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// No such job or task.
    NotFound,
    /// The state does not allow it (requeueing a live task).
    Conflict,
    /// The request itself is wrong.
    Invalid,
    /// The caller may not do this (a task that cancels).
    Forbidden,
    /// A bound was reached.
    Limit,
    /// The store cannot take it now (disk full); nothing is lost, try again.
    Unavailable,
    /// Client and manager are of different versions.
    Version,
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

/// The home at a glance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusView {
    /// Process id of the manager; none when no manager runs.
    pub manager: Option<u32>,
    /// Whether everything is paused.
    pub paused: bool,
    /// Tasks of all jobs; instances stand for their mapped tasks.
    pub tasks: Counts,
    /// Jobs by state, in the order waiting, working, completed, failed, cancelled.
    pub jobs: [u32; 5],
    /// Cost of all Claude runs, in millionths of a dollar.
    pub cost_microusd: u64,
    /// Pools that are configured or in use.
    pub pools: Vec<PoolView>,
    /// The newest jobs that are not over, at most 20, then as many finished ones as fit.
    pub recent: Vec<JobView>,
    /// Schedules.
    #[serde(default)]
    pub schedules: u32,
    /// When the next of them is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_due: Option<Utc>,
    /// What a person should look at: quarantined jobs, a full disk, an invalid configuration.
    pub warnings: Vec<String>,
}

/// What surrounds the jobs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverviewView {
    /// Process id of the manager; none when no manager runs.
    pub manager: Option<u32>,
    /// Whether everything is paused.
    pub paused: bool,
    /// Whether there is too little room on the disk to start anything.
    pub disk_low: bool,
    /// Pools that are configured or in use.
    pub pools: Vec<PoolView>,
    /// As in [`StatusView`].
    pub warnings: Vec<String>,
    /// Questions that wait for a person.
    #[serde(default)]
    pub questions: u32,
    /// What Claude runs use.
    #[serde(default)]
    pub usage: UsageView,
    /// Schedules.
    #[serde(default)]
    pub schedules: u32,
    /// When the next of them is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_due: Option<Utc>,
}

/// What Claude runs use, and what holds them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageView {
    /// Every credential that was used.
    pub credentials: Vec<CredentialView>,
    /// Used since the day began, in millionths of a dollar, by runs that are over and by those that go on.
    pub today_microusd: u64,
    /// As `today_microusd`, in tokens.
    pub today_tokens: u64,
    /// What may be used in a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day: Option<super::spec::Budget>,
    /// Claude runs that live.
    pub running: u32,
    /// Most of them at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_parallel: Option<u32>,
}

/// What a requeue would run again although it is finished.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RerunView {
    /// Tasks that completed.
    pub finished: u32,
    /// What their last attempts cost, in millionths of a dollar.
    pub cost_microusd: u64,
    /// Attempts of their jobs that live.
    pub live: u32,
}

/// A credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialView {
    /// Its name.
    pub name: String,
    /// What is known of it.
    #[serde(flatten)]
    pub state: super::credential::CredentialState,
}

/// A pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolView {
    /// Its name.
    pub name: String,
    /// Its slots; 0 when it is not in the configuration any more.
    pub slots: u32,
    /// Slots taken.
    pub used: u32,
    /// Why its engine cannot be reached, if it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreachable: Option<String>,
}

/// A job in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobView {
    /// Its number.
    pub id: u32,
    /// Its name.
    pub name: JobName,
    /// Where it stands.
    pub state: JobState,
    /// Whether a person paused it.
    pub paused: bool,
    /// Whether `on_failure: stop` took effect.
    pub stopped: bool,
    /// Jobs of higher priority get free slots first.
    #[serde(default)]
    pub priority: i32,
    /// Its tasks by state.
    pub tasks: Counts,
    /// When it was submitted.
    pub submitted: Utc,
    /// When its last change was.
    pub updated: Utc,
    /// Cost of its Claude runs, with those of the jobs below it.
    pub cost_microusd: u64,
    /// The task that it does the work of, for a child job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Box<ParentView>>,
    /// Of its tasks, those that instances stand for (see [`JobView::work`]), by state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapped: Option<Box<Counts>>,
}

/// The task that a child job does the work of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ParentView {
    /// The number of its job.
    pub job: u32,
    /// Its place there.
    pub task: u32,
    /// Its address.
    pub address: Address,
}

/// The child job that does a task's work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChildView {
    /// Its number.
    pub id: u32,
    /// Its name.
    pub job: JobName,
    /// Its tasks by state.
    pub tasks: Counts,
}

impl JobView {
    /// Its tasks by state, for fractions and bars: a mapped task whose list is known is not counted beside its instances, since
    /// all that it does is to wait for them. One that never came to a list, or whose list is empty, counts like any other.
    pub fn work(&self) -> Counts {
        let mut work = self.tasks;
        if let Some(mapped) = &self.mapped {
            work.0.iter_mut().zip(mapped.0).for_each(|(tasks, mapped)| *tasks = tasks.saturating_sub(mapped));
        }
        work
    }
}

/// A schedule in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleView {
    /// Its name, which is that of its jobs.
    pub name: String,
    /// Its rule in words.
    pub words: String,
    /// Its rule.
    pub rule: Rule,
    /// Where it stands.
    pub state: ScheduleState,
    /// Where its last job stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_state: Option<JobState>,
    /// The newest time that something became of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<Passed>,
}

/// A schedule in full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleDetail {
    /// As in a list.
    #[serde(flatten)]
    pub schedule: ScheduleView,
    /// The job it submits.
    pub spec: JobSpec,
    /// That job's tasks, at most the first 100.
    pub tasks: Vec<String>,
    /// The next times.
    pub upcoming: Vec<Utc>,
    /// The newest times and what became of them, oldest first.
    pub passed: Vec<Passed>,
}

/// A job in full, without its tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobDetail {
    /// As in a list.
    pub job: JobView,
    /// Its definition, with the parameters that a person changed.
    pub spec: JobSpec,
    /// The names of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params_set: Vec<String>,
}

/// A task in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskView {
    /// Its place in the job.
    pub idx: u32,
    /// Its id.
    pub id: String,
    /// Where it stands.
    pub state: TaskState,
    /// Why it waits, in words: names the setting for a queued task (`1 of 1 (max_parallel)`). Of a live one, why nothing is known
    /// of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Attempts so far.
    pub attempts: u32,
    /// Outcome of the last finished attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// When the last attempt started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Utc>,
    /// When it went to its present state.
    pub updated: Utc,
    /// The last attempt's run, when it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elapsed_ms: Option<u64>,
    /// Cost of all its attempts.
    pub cost_microusd: u64,
    /// How far it says it is; while it is starting, how far its launch is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// How far its Claude run is, while that goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Box<super::live::LiveFacts>>,
    /// The task that queued it, if not the file; of an instance its mapped task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// What an instance is for, in one line of at most 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// The child job that does its work, or did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub child: Option<Box<ChildView>>,
    /// Of a mapped task: its instances by state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instances: Option<Counts>,
    /// Of a mapped task, whether its list is known or not: its mapping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapping: Option<MappingView>,
    /// Whether it runs when everything else is over (`finally`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_finally: bool,
    /// Ids of the tasks it waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// Its pool, when it is not the job's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// Whether it is a Claude run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_claude: bool,
}

/// What a list of tasks says of a mapping.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MappingView {
    /// Most instances alive at once; none leaves it to the job and the pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_parallel: Option<u32>,
}

/// A task in full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskDetail {
    /// The job's name.
    pub job: JobName,
    /// As in a list.
    pub task: TaskView,
    /// Its definition; secrets are references there.
    pub spec: TaskSpec,
    /// Of an instance: its item, unless that is longer than 64 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<serde_json::Value>,
    /// How a person goes on with the session of its newest attempt, as a shell command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_hand: Option<String>,
    /// Its attempts, oldest first.
    pub attempts: Vec<AttemptView>,
    /// Its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<TaskResult>,
    /// Of an approval: what is asked, or was last, and who answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Box<super::question::QuestionView>>,
}

/// An attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptView {
    /// From 1.
    pub number: u32,
    /// The pool whose slot it took.
    pub pool: String,
    /// When it was opened.
    pub opened: Utc,
    /// When its end was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<Utc>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Measurements and remarks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<AttemptFacts>,
    /// Claude session chosen at launch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Its directory.
    pub dir: std::path::PathBuf,
}

/// An event of the journal, with the names that make it readable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventView {
    /// Its number.
    pub seq: Seq,
    /// The job's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobName>,
    /// The task's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// When and what.
    pub event: Event,
}

/// A piece of output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutputPiece {
    /// Which attempt it is from.
    pub attempt: u32,
    /// First byte of `data` in the file.
    pub offset: u64,
    /// The bytes, base64 on the wire.
    #[serde(with = "base64_bytes")]
    pub data: Vec<u8>,
    /// The file's size at the time of the read.
    pub size: u64,
    /// Whether the attempt is over, so that nothing more will come.
    pub over: bool,
}

/// A page of what was kept of an attempt's workspace.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ArtifactsView {
    /// Which attempt's; 0 when there is none yet.
    pub attempt: u32,
    /// The directory that they lie in.
    pub dir: std::path::PathBuf,
    /// How many there are.
    pub count: u32,
    /// Those from the place that was asked for, by name, as many as fit a page.
    pub files: Vec<Artifact>,
}

/// Bytes as base64 text, so that output in any encoding travels in JSON.
mod base64_bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
