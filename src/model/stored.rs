//! Jobs as the store keeps them and memory starts from.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::attempt::Progress;
use super::change::{AttemptFacts, Origin, Parent, Rounds, Seq, TaskResult};
use super::credential::{Credential, CredentialState};
use super::ids::{JobId, JobName, TaskIdx};
use super::live::LiveFacts;
use super::question::{Answer, Question};
use super::schedule::{Rule, ScheduleState};
use super::spec::{Budget, JobSpec, Spent, Submission, TaskSpec};
use super::state::{Outcome, TaskState};
use super::time::Utc;

/// What memory starts from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Loaded {
    /// Jobs that are not over.
    pub jobs: Vec<StoredJob>,
    /// The highest job number ever used.
    pub last_job: u32,
    /// The newest event.
    pub seq: Seq,
    /// Whether everything is paused.
    pub paused: bool,
    /// The highest question number ever used.
    pub last_question: u32,
    /// What is known of the credentials.
    pub credentials: Vec<(Credential, CredentialState)>,
    /// What Claude runs used during the last days, in millionths of a dollar and tokens, by when they ended.
    pub spending: Vec<(Utc, u64, u64)>,
    /// The schedules.
    pub schedules: Vec<StoredSchedule>,
    /// Jobs set aside because a row of theirs could not be decoded, and why.
    pub quarantined: Vec<(JobName, String)>,
}

/// A schedule as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredSchedule {
    /// Its name, which is that of its jobs.
    pub name: String,
    /// Its times.
    pub rule: Rule,
    /// What it submits.
    pub submission: Arc<Submission>,
    /// Where it stands.
    pub state: ScheduleState,
    /// The highest submission number used for its name.
    pub last_number: u32,
}

/// A job as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredJob {
    /// Its number.
    pub id: JobId,
    /// Its name.
    pub name: JobName,
    /// Its definition.
    pub spec: Arc<JobSpec>,
    /// Whether a person paused it.
    pub paused: bool,
    /// Whether `on_failure: stop` took effect.
    pub stopped: bool,
    /// What its Claude runs used: millionths of a dollar, and tokens.
    pub used: (u64, u64),
    /// What those of all jobs below it used.
    pub below: (u64, u64),
    /// What a person allowed for the whole job.
    pub rules: Vec<String>,
    /// Its budget, once a person gave it another than its definition has.
    pub budget: Option<Option<Budget>>,
    /// Its priority.
    pub priority: i32,
    /// The task whose child it is, and that one's job.
    pub parent: Option<(Parent, JobName)>,
    /// Parameters that a person changed since.
    pub params: BTreeMap<String, serde_json::Value>,
    /// Its tasks, in order of [`TaskIdx`] from 0, without gaps.
    pub tasks: Vec<StoredTask>,
}

/// A task as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredTask {
    /// Its place.
    pub idx: TaskIdx,
    /// Its definition.
    pub spec: Arc<TaskSpec>,
    /// Who queued it, if not the file.
    pub origin: Option<Origin>,
    /// Of an instance: its mapped task, and its item's place.
    pub instance: Option<(TaskIdx, u32)>,
    /// Of a mapped task: its list, once it is known.
    pub items: Option<Arc<Vec<serde_json::Value>>>,
    /// Its child job, the newest if there were several.
    pub child: Option<JobName>,
    /// Where it stands.
    pub state: TaskState,
    /// Attempts opened so far: the number of the last one.
    pub attempts: u32,
    /// Attempts since the last requeue that spent the retry budget.
    pub spent_retry: u32,
    /// Attempts since the last requeue that spent the infrastructure budget.
    pub spent_infra: u32,
    /// How these ended.
    pub spent: Spent,
    /// The newest attempt that ended at its gate, unless a later one failed for another reason or completed.
    pub gated: Option<u32>,
    /// Its result.
    pub result: Option<TaskResult>,
    /// How far it says it is.
    pub progress: Option<Progress>,
    /// What its Claude runs used since the last requeue.
    pub used: (u64, u64),
    /// Its rounds, when it repeats.
    pub rounds: Rounds,
    /// Its newest attempts, oldest first, at most two.
    pub newest: Vec<StoredAttempt>,
    /// Questions of its attempt, when that may be alive; of an approval the one that waits.
    pub questions: Vec<StoredQuestion>,
}

/// An attempt as stored, as far as later ones depend on it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredAttempt {
    /// Its session.
    pub session: Option<String>,
    /// Whether that was resumed.
    pub resumes: bool,
    /// When it was opened.
    pub opened: Utc,
    /// How it ended; none while it may be alive.
    pub end: Option<(Outcome, AttemptFacts)>,
    /// How far it was when it was last seen.
    pub seen: Option<LiveFacts>,
}

/// A question as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredQuestion {
    /// Its number.
    pub id: u32,
    /// What is asked.
    pub question: Question,
    /// When it is answered by itself.
    pub expires: Option<Utc>,
    /// The answer.
    pub answer: Option<Answer>,
    /// Whether nothing more is waited for.
    pub is_settled: bool,
}
