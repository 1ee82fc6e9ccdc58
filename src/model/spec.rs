//! A job's definition after parsing: defaults merged, durations in milliseconds, names checked.
//!
//! Produced by [`super::jobfile`], stored as JSON, read again at each launch. Strings marked "template" still hold
//! `{{ … }}`: they were checked at submission and are rendered at launch, when results of earlier tasks are known.

mod approve;
mod child;
mod claude;
mod graph;
mod retry;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use super::artifact::Artifacts;
pub use super::result::{ResultKind, ResultSpec};
use super::schedule::Scheduled;
pub use approve::ApproveSpec;
pub use child::{MAX_NESTING, SubJob, texts_of};
pub use claude::{AskPerson, Budget, ClaudeAuth, ClaudeSpec, ROUND_TIMEOUT_MS, Repeat, Resume, Trust, Until, WhenLimited};
pub use retry::{ClassRetry, INFRASTRUCTURE_RETRIES, RETRY_CLASSES, Retry, RetryClass, RetryRule, Spent};

pub use graph::{Items, Mapping, Rule};

/// A job as submitted, without its tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobSpec {
    /// `[A-Za-z0-9_-]{1,100}`; the submission becomes `NAME.N`.
    pub name: String,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The pool of tasks that name none.
    pub pool: String,
    /// Absolute directory that tasks run in.
    pub workspace: PathBuf,
    /// Most attempts alive at once, at least 1.
    pub max_parallel: u32,
    /// Jobs of higher priority get free slots first; [`PRIORITIES`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub priority: i32,
    /// Most tasks that its running tasks may queue in all; none leaves it to the bounds of every job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_added: Option<u32>,
    /// What a failed task does to the rest of the job.
    pub on_failure: OnFailure,
    /// Parameter values after defaults and `-p`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, serde_json::Value>,
    /// `env` of the job; tasks add to it and override it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, EnvValue>,
    /// What was taken from the submitter's environment: PATH, HOME, LANG, TZ and the names of `env_pass`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub passed_env: BTreeMap<String, String>,
    /// What Claude tasks take from the submitter's environment besides: the way to the login and through the network.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub claude_env: BTreeMap<String, String>,
    /// The task whose result is that of the job, for the job that runs it as a child.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// Most that its Claude runs may use together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// Defaults that tasks added at run time inherit (those of the file are merged already).
    pub added_defaults: TaskDefaults,
    /// The schedule that it comes from, and the time that it was due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled: Option<Scheduled>,
    /// What it was submitted as, for editing and submitting it again; none when that was larger than [`MAX_SOURCE`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
}

impl JobSpec {
    /// The same with other values for some of its parameters.
    pub fn with_params(&self, set: &BTreeMap<String, serde_json::Value>) -> JobSpec {
        let mut spec = self.clone();
        spec.params.extend(set.iter().map(|(name, value)| (name.clone(), value.clone())));
        spec
    }

    /// The same for showing and exporting: of what came from the submitter's environment only the names, since a secret may be
    /// among the values.
    pub fn without_values(&self) -> JobSpec {
        let names = |env: &BTreeMap<String, String>| env.keys().map(|name| (name.clone(), "…".to_owned())).collect();
        JobSpec { passed_env: names(&self.passed_env), claude_env: names(&self.claude_env), ..self.clone() }
    }
}

/// Priorities of jobs, and of tasks within their job; higher ones go first, 0 is the default.
pub const PRIORITIES: std::ops::RangeInclusive<i32> = -1_000..=1_000;

fn is_zero(priority: &i32) -> bool {
    *priority == 0
}

/// Largest job file that is kept with its job, in bytes.
pub const MAX_SOURCE: usize = 64 << 10;

/// A job file as it was submitted. Secrets are references there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Its text.
    pub text: String,
    /// How it was named.
    pub file: String,
    /// Absolute directory that its relative paths begin at.
    pub base: PathBuf,
    /// `-p NAME=VALUE`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<(String, String)>,
}

/// What a task gets when it does not say otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskDefaults {
    /// Longest run of an attempt's command, on the monotonic clock; none is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Between TERM and KILL.
    pub grace_ms: u64,
    /// How failures are repeated.
    pub retry: Retry,
    /// Memory, cpu and process limits.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    pub resources: Resources,
    /// Most bytes of output (stdout and stderr together) before the attempt is ended.
    pub output_limit: u64,
}

/// Time between TERM and KILL when nothing else is said.
pub const DEFAULT_GRACE_MS: u64 = 10_000;
/// Output limit when nothing else is said: 1 GiB.
pub const DEFAULT_OUTPUT_LIMIT: u64 = 1 << 30;

impl Default for TaskDefaults {
    fn default() -> Self {
        TaskDefaults {
            timeout_ms: None,
            grace_ms: DEFAULT_GRACE_MS,
            retry: Retry::default(),
            resources: Resources::default(),
            output_limit: DEFAULT_OUTPUT_LIMIT,
        }
    }
}

/// What a failed task does to tasks that do not depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// They go on.
    #[default]
    Continue,
    /// Nothing new starts; what has not started is skipped.
    Stop,
}

/// One task's definition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// Unique in its job.
    pub id: String,
    /// Ids of the tasks it waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// What has to have become of those that it may start.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rule: Rule,
    /// `if`: an expression; the task is skipped when it is false.
    #[serde(default, rename = "if", skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Whether it runs once everything else of its job is over, whatever happened.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub finally: bool,
    /// One instance of the task for each item of a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub each: Option<Mapping>,
    /// What it does.
    pub action: Action,
    /// Added to the job's environment, overriding it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, EnvValue>,
    /// Absolute directory; none is the job's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<PathBuf>,
    /// Pool; none is the job's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// Timeout, grace, retry, resources and output limit.
    #[serde(flatten)]
    pub limits: TaskDefaults,
    /// The gate: a shell template that must exit 0 for the task to complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept: Option<Gate>,
    /// What becomes the task's result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<ResultSpec>,
    /// Files of the workspace that are kept with each attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifacts: Option<Artifacts>,
    /// Most that its Claude runs may use, over all attempts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// Runs it again until a condition holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<Repeat>,
    /// Of the ready tasks of its own job those of higher priority start first; [`PRIORITIES`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub priority: i32,
}

impl TaskSpec {
    /// A task that only says what it does.
    pub fn new(id: &str, action: Action) -> TaskSpec {
        TaskSpec {
            id: id.to_owned(),
            needs: Vec::new(),
            rule: Rule::default(),
            when: None,
            finally: false,
            each: None,
            action,
            env: BTreeMap::new(),
            workspace: None,
            pool: None,
            limits: TaskDefaults::default(),
            accept: None,
            result: None,
            artifacts: None,
            budget: None,
            repeat: None,
            priority: 0,
        }
    }
}

/// An acceptance command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// Shell template for `sh -c`.
    pub run: String,
    /// Longest run of the gate.
    pub timeout_ms: u64,
}

/// What a task executes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A shell template for `sh -c`; expressions become references to variables.
    Run(String),
    /// A program without a shell; templates, each rendered to exactly one argument.
    Command {
        /// The program: a path, or a name looked up in the task's PATH.
        program: String,
        /// Its arguments.
        #[serde(default)]
        args: Vec<String>,
    },
    /// The Claude Code CLI on a prompt.
    Claude(Box<ClaudeSpec>),
    /// Another job file, as a child job.
    Job(Box<SubJob>),
    /// Nothing: a person says whether it completes.
    Approve(Box<ApproveSpec>),
}

/// A value in `env`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnvValue {
    /// A template, rendered at launch.
    Text(String),
    /// A secret by reference, resolved by the manager at each launch and never stored.
    From(SecretRef),
}

/// Where a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Hash)]
#[serde(rename_all = "snake_case")]
pub enum SecretRef {
    /// `env:NAME`: a variable of the manager.
    Env(String),
    /// `file:PATH`: the file's content without its last newline.
    File(PathBuf),
    /// `command:LINE`: standard output of `sh -c LINE` without its last newline.
    Command(String),
}

impl SecretRef {
    /// Reads `env:NAME`, `file:PATH` or `command:LINE`; none when it is none of them. A path is kept as it is written.
    pub fn parse(text: &str) -> Option<SecretRef> {
        let is_variable = |name: &str| {
            !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
                && !name.as_bytes()[0].is_ascii_digit()
        };
        match text.split_once(':')? {
            ("env", name) if is_variable(name) => Some(SecretRef::Env(name.to_owned())),
            ("file", path) if !path.is_empty() => Some(SecretRef::File(PathBuf::from(path))),
            ("command", line) if !line.trim().is_empty() => Some(SecretRef::Command(line.to_owned())),
            _ => None,
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Limits on what an attempt may use. Absent is no limit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Resources {
    /// Bytes of memory for the whole process tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Cores, such as 0.5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<f64>,
    /// Processes and threads in the tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pids: Option<u32>,
}

impl Resources {
    /// Whether nothing is limited.
    pub fn is_empty(&self) -> bool {
        *self == Resources::default()
    }
}

/// A whole submission: the job and its tasks in file order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Submission {
    /// The job.
    pub job: JobSpec,
    /// Its tasks, at least one, at most 100,000.
    pub tasks: Vec<TaskSpec>,
}

/// Most tasks of one job, those added at run time included.
pub const MAX_TASKS: usize = 100_000;
