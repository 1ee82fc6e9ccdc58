//! What is committed: every decision leaves the model as a list of changes.
//!
//! A change is at once the event in the journal, the row it writes, and the only way memory moves
//! ([`super::core`] applies the same changes), so replaying a job's events gives its rows.

use std::collections::BTreeMap;
mod whose;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::attempt::Progress;
use super::credential::{Credential, CredentialState};
use super::ids::{AttemptId, JobId, JobName, TaskIdx};
use super::live::LiveFacts;
use super::question::{Answer, AnsweredBy, Question};
use super::schedule::{Passed, Rule, ScheduleState};
use super::spec::{Budget, JobSpec, Submission, TaskSpec};
use super::state::{JobState, Outcome, SkipReason, TaskState};
use super::time::Utc;

pub use super::facts::{AttemptFacts, ClaudeFacts, RoundFacts, Rounds};

/// Position in the journal, from 1, without gaps in memory of what was committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub u64);

/// A change with its time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When it was decided.
    pub at: Utc,
    /// What.
    pub change: Change,
}

/// One transition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Change {
    /// A job was submitted; its tasks follow as [`Change::TaskAdded`].
    JobSubmitted {
        /// Its number.
        job: JobId,
        /// Its full name.
        name: JobName,
        /// Its definition.
        spec: Arc<JobSpec>,
        /// The submitter's idempotency key: the same key again is answered with the same job.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
        /// The task whose child job it is; that one is `delegated` right after.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<Parent>,
    },
    /// A task came into being, with the file or at run time.
    TaskAdded {
        /// Its job.
        job: JobId,
        /// Its place.
        task: TaskIdx,
        /// Its definition.
        spec: Arc<TaskSpec>,
        /// The task that queued it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        origin: Option<Origin>,
        /// Its first state: pending, queued, or already decided.
        state: TaskState,
    },
    /// A task went to another state without an attempt's beginning or end. A mapped one that is pending again lets go of its
    /// list: its instances are skipped, since their items are to be told anew.
    TaskMoved {
        /// The job.
        job: JobId,
        /// The task.
        task: TaskIdx,
        /// The new state.
        state: TaskState,
    },
    /// A person ran a finished task again: its retry budgets start afresh after this attempt. A mapped one lets go of its list, as
    /// in [`Change::TaskMoved`].
    TaskRequeued {
        /// The job.
        job: JobId,
        /// The task.
        task: TaskIdx,
        /// Pending or queued.
        state: TaskState,
        /// Whether it begins without what it has: its child job, if it has one, is not gone on with.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        anew: bool,
    },
    /// A task is over without an attempt's end: what it left its work to is over, or nothing came of it.
    TaskEnded {
        /// The job.
        job: JobId,
        /// The task.
        task: TaskIdx,
        /// How.
        outcome: Box<Outcome>,
        /// The state that follows.
        state: TaskState,
        /// Its result, when its child job has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        result: Option<TaskResult>,
    },
    /// A mapped task's list is known. Instances that there are begin anew, further ones come into being behind all other tasks
    /// of the job, those that the list does not have any more are skipped. All of the list's are queued; the mapped task is
    /// `mapped`, or skipped when the list is empty.
    TaskExpanded {
        /// The job.
        job: JobId,
        /// The mapped task.
        task: TaskIdx,
        /// An instance for each.
        items: Arc<Vec<serde_json::Value>>,
    },
    /// Intent: the attempt exists from here on, and the backend will be asked to start it. The task is `starting`.
    AttemptOpened {
        /// The attempt.
        attempt: AttemptId,
        /// The pool whose slot it takes.
        pool: String,
        /// Session id chosen for a Claude run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<String>,
        /// Whether that session exists already and is to be resumed.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        resumes: bool,
    },
    /// The backend confirmed it. The task is `running` (or still `cancelling`).
    AttemptStarted {
        /// The attempt.
        attempt: AttemptId,
    },
    /// Its one recorded outcome.
    AttemptClosed {
        /// The attempt.
        attempt: AttemptId,
        /// How it ended.
        outcome: Outcome,
        /// Measurements and remarks.
        facts: Box<AttemptFacts>,
        /// The task's state from now on.
        state: TaskState,
    },
    /// A late report about an attempt that is already closed. Changes nothing.
    AttemptStale {
        /// The attempt.
        attempt: AttemptId,
        /// What came late.
        what: String,
    },
    /// A task's result was set.
    ResultSet {
        /// The attempt that set it.
        attempt: AttemptId,
        /// The value.
        result: TaskResult,
    },
    /// A task told how far it is.
    ProgressSet {
        /// The attempt.
        attempt: AttemptId,
        /// How far.
        progress: Progress,
    },
    /// What a task asked for was refused.
    OutboxRefused {
        /// The attempt.
        attempt: AttemptId,
        /// Its idempotency key.
        key: String,
        /// Why, and what to do.
        why: String,
    },
    /// A running task asks a person, or an approval does: that has no attempt, and the number 0 in its place. What an approval was
    /// answered before is forgotten with it.
    QuestionAsked {
        /// The attempt.
        attempt: AttemptId,
        /// The question's number, unique in its home.
        id: u32,
        /// What is asked.
        question: Box<Question>,
        /// When it is answered by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires: Option<Utc>,
    },
    /// A question is settled.
    QuestionAnswered {
        /// The attempt.
        attempt: AttemptId,
        /// The question's number.
        id: u32,
        /// The answer; none when its attempt ended first.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answer: Option<Box<Answer>>,
        /// Who gave it.
        by: AnsweredBy,
        /// The person's name, where it is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by_name: Option<String>,
    },
    /// A question is answered by itself earlier than was said, since the clock was put back.
    QuestionHastened {
        /// The attempt.
        attempt: AttemptId,
        /// The question's number.
        id: u32,
        /// When it is answered by itself now.
        expires: Utc,
    },
    /// A person allowed something for the whole job.
    RuleAdded {
        /// The job.
        job: JobId,
        /// As the CLI writes it, such as `Bash(touch *)`.
        rule: String,
    },
    /// A person gave the job another budget.
    BudgetSet {
        /// The job.
        job: JobId,
        /// The new one; none is no limit.
        budget: Option<Budget>,
    },
    /// A person gave the job another priority.
    PrioritySet {
        /// The job.
        job: JobId,
        /// The new one.
        priority: i32,
    },
    /// A person gave the job other parameters: what starts from now on gets them.
    ParamsSet {
        /// The job.
        job: JobId,
        /// All values that differ from those it was submitted with.
        params: BTreeMap<String, serde_json::Value>,
    },
    /// Something became known of a credential: a usage limit, a refusal, its windows, or that it works again.
    CredentialMoved {
        /// Which.
        credential: Credential,
        /// All that is known now.
        state: Box<CredentialState>,
    },
    /// How far a Claude run is, told while it goes on.
    RunSeen {
        /// The attempt.
        attempt: AttemptId,
        /// So far.
        facts: Box<LiveFacts>,
    },
    /// The job's derived state became another.
    JobMoved {
        /// The job.
        job: JobId,
        /// The new state.
        state: JobState,
    },
    /// A person paused or resumed the job.
    JobPaused {
        /// The job.
        job: JobId,
        /// Whether it is paused now.
        paused: bool,
    },
    /// `on_failure: stop` took effect, or was lifted by a requeue.
    JobStopped {
        /// The job.
        job: JobId,
        /// Whether nothing new may start.
        stopped: bool,
    },
    /// A person paused or resumed everything.
    AllPaused {
        /// Whether all is paused now.
        paused: bool,
    },
    /// A person added a schedule, or gave one another definition.
    ScheduleSet {
        /// Its name, which is that of its jobs.
        name: String,
        /// Its times.
        rule: Box<Rule>,
        /// What it submits.
        submission: Arc<Submission>,
        /// Where it stands now.
        state: Box<ScheduleState>,
    },
    /// Something became of a time of a schedule; a job that was submitted for it comes right before.
    ScheduleMoved {
        /// Its name.
        name: String,
        /// Which time, and what became of it; none when only the times to come changed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        passed: Option<Box<Passed>>,
        /// Where it stands now.
        state: Box<ScheduleState>,
    },
    /// A person paused or resumed a schedule.
    SchedulePaused {
        /// Its name.
        name: String,
        /// Whether it is paused now.
        paused: bool,
        /// Where it stands now.
        state: Box<ScheduleState>,
    },
    /// A person removed a schedule; its jobs stay.
    ScheduleRemoved {
        /// Its name.
        name: String,
    },
}

/// The state of a mapped task right after its list became known.
pub fn mapped_state(items: &[serde_json::Value]) -> TaskState {
    match u32::try_from(items.len()).unwrap_or(u32::MAX) {
        0 => TaskState::Skipped { why: SkipReason::Empty },
        instances => TaskState::Mapped { instances },
    }
}

/// The task whose child a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// Its job.
    pub job: JobId,
    /// Its place there.
    pub task: TaskIdx,
}

/// Where a task queued at run time comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The task that queued it; none for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<TaskIdx>,
    /// Idempotency key within the parent.
    pub key: String,
    /// 1 for what a task of the file queued, one more for each generation.
    pub depth: u32,
    /// Digest of the request, to tell a repetition from another definition under the same key.
    pub digest: String,
}

/// A task's result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskResult {
    /// The value itself, up to 256 KiB as JSON text.
    Inline(Arc<serde_json::Value>),
    /// A file under `results/` of the home, named by its SHA-256.
    File {
        /// Lower-case hex.
        sha256: String,
        /// Its size.
        bytes: u64,
    },
}
