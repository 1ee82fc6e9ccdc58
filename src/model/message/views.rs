//! What is told of jobs, tasks, attempts and what surrounds them.

use serde::{Deserialize, Serialize};

use crate::model::artifact::Artifact;
use crate::model::attempt::Progress;
use crate::model::change::{AttemptFacts, Event, Seq, TaskResult};
use crate::model::ids::{Address, JobName};
use crate::model::schedule::{Passed, Rule, ScheduleState};
use crate::model::spec::{JobSpec, TaskSpec};
use crate::model::state::{Counts, JobState, Outcome, TaskState};
use crate::model::time::Utc;
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
    pub run: Option<Box<crate::model::live::LiveFacts>>,
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
    pub approval: Option<Box<crate::model::question::QuestionView>>,
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
