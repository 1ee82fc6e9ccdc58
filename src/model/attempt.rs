//! What lies in an attempt's directory: the contract between the manager and the runner, which never talk otherwise.
//!
//! `spec.json  lock  runner.json  out  err  index  gate.log  outbox/  inbox/  result  artifacts/  artifacts.json  exit.json`
//!
//! The manager creates the directory, writes `spec.json` (and `prompt` for a Claude task), takes an exclusive `flock`
//! on `lock` and starts `airx run-task DIR` with that descriptor as standard input and the task's environment as the
//! runner's own, so no secret is ever written down. The runner writes facts; [`super::outcome`] classifies them.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::live::Spent;
use super::question::Question;
use super::spec::{Artifacts, Budget, Resources, ResultSpec};
use super::state::BudgetOf;
use super::time::Utc;

/// The variable by which a task can start the airx that runs it, set by its runner: it works as long as the runner lives, also
/// after an upgrade replaced the file that was started.
pub const OWN_PROGRAM: &str = "AIRX_EXE";

/// Locked (shared) by whoever inside the task waits for a person's answer in words, as long as it waits: the runner lets neither
/// timeout nor silence pass meanwhile. What it waits for must be an open question of the outbox, so that a person can see it.
pub const ASKING: &str = "outbox/.asking";
/// What the keys of such questions begin with.
pub const ASK_KEY: &str = "ask-";

/// `spec.json`: all the runner needs, apart from the environment, which it inherits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunnerSpec {
    /// Unique over all homes: `HOMEID-JOB-TASK-NUMBER`; also in `AIRX_ATTEMPT`, by which a sweep finds strays.
    pub mark: String,
    /// The command: program and arguments.
    pub argv: Vec<String>,
    /// Directory to run in.
    pub cwd: PathBuf,
    /// What the command reads.
    pub stdin: Stdin,
    /// How the command's output is kept.
    pub output: OutputMode,
    /// Longest run of the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Longest time without any output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silence_ms: Option<u64>,
    /// Between asking and insisting.
    pub grace_ms: u64,
    /// How to ask.
    pub stop: StopSignal,
    /// Bytes of stdout and stderr together.
    pub output_limit: u64,
    /// Limits on the process tree.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    pub resources: Resources,
    /// Run after the command exited 0, in the same sandbox; its output goes to `gate.log`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<GateSpec>,
    /// The condition of a task that repeats, run after the command exited 0 and before the gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round: Option<GateSpec>,
    /// The most that a Claude run may still use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowance: Option<Allowance>,
    /// What becomes the task's result: the manager reads it, from the file `result` where it is one of the workspace, which the
    /// runner has copied there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<ResultSpec>,
    /// What the runner keeps of the workspace, in `artifacts/`, with `artifacts.json` as the list of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifacts: Option<Artifacts>,
    /// The public half of the seal on answers, for a run that may ask ([`super::seal`]).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub seal: String,
    /// Whether stdout is a Claude Code transcript that decides the outcome together with the exit code.
    #[serde(default)]
    pub claude: bool,
    /// Whether the runner has a container to itself and its task: the engine enforces the limits, and the container's own
    /// cgroup tells what they ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub contained: bool,
}

/// Exit code of a container's first process when it could not become a runner: nothing of the task ran.
pub const NOT_ENTERED: i32 = 113;
/// Most bytes of an environment on its way into a container.
pub const MAX_ENVIRONMENT: u64 = 8 << 20;

/// A task's environment as it is written to the standard input of a container's first process.
pub fn environment_message(env: &[(String, String)]) -> Vec<u8> {
    // Strings always have a JSON form.
    let json = serde_json::to_vec(env).unwrap_or_default();
    let mut message = format!("{}\n", json.len()).into_bytes();
    message.extend(json);
    message
}

/// Reads back what follows the first line of [`environment_message`].
///
/// # Errors
/// When it is no such list.
pub fn parse_environment(json: &[u8]) -> Result<Vec<(String, String)>, serde_json::Error> {
    serde_json::from_slice(json)
}

/// What is left of the tightest budget that an attempt is under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowance {
    /// Dollars and tokens.
    pub left: Budget,
    /// Whose budget it is.
    pub of: BudgetOf,
}

/// A shell command of the runner's own: the gate, or the condition of a task that repeats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateSpec {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Longest run.
    pub timeout_ms: u64,
}

/// What the command's standard input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stdin {
    /// `/dev/null`.
    Null,
    /// The file `prompt` of the attempt directory.
    Prompt,
    /// A pipe that the runner holds: the file `prompt` first (one JSON message), then answers from the inbox, closed once the
    /// transcript shows a result.
    Stream,
}

/// How output reaches `out` and `err`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputMode {
    /// Two pipes that the runner copies, with an index (a task that holds the file itself could truncate it).
    Pipes,
    /// Stdout is the file `out` itself (Claude Code loses the tail of a pipe at exit); stderr is a pipe.
    File,
}

/// The first signal of a stop; KILL follows after the grace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopSignal {
    /// To every process of the tree.
    Term,
    /// To the command alone (Claude Code stops its own tools on INT, and leaves them running on TERM).
    Int,
}

/// `runner.json`: who runs the attempt. A pid alone proves nothing: it may be reused, or mean another process in
/// another pid namespace or after a reboot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunnerInfo {
    /// The attempt's mark.
    pub mark: String,
    /// The runner's process id.
    pub pid: u32,
    /// Field 22 of `/proc/PID/stat` (clock ticks since boot).
    pub start_ticks: u64,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// Inode of `/proc/self/ns/pid`.
    pub pid_ns: u64,
    /// When it started.
    pub at: Utc,
    /// The attempt's cgroup v2 directory, when one could be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<PathBuf>,
}

/// `exit.json`: how an attempt ended, in facts. Preallocated at launch, checksummed, written once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// The attempt's mark.
    pub mark: String,
    /// Boot under which it was written.
    pub boot_id: String,
    /// When the command was started and when everything was over.
    pub started: Utc,
    /// See `started`.
    pub ended: Utc,
    /// The command's run on the monotonic clock.
    pub elapsed_ms: u64,
    /// How the command itself ended.
    pub end: End,
    /// Why the runner ended it, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<StopCause>,
    /// How the gate ended, if it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<GateEnd>,
    /// How the condition of a task that repeats ended, if it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round: Option<GateEnd>,
    /// Digest of the workspace's git tree after the command, for a task that repeats in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree: Option<String>,
    /// The first artifact that had to be there and was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
    /// What a Claude run had used by what its transcript said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent: Option<Spent>,
    /// Processes that outlived the command and were ended.
    #[serde(default)]
    pub leftovers: u32,
    /// Bytes kept of stdout and stderr.
    pub out_bytes: u64,
    /// See `out_bytes`.
    pub err_bytes: u64,
    /// Processor time of the whole tree.
    #[serde(default)]
    pub cpu_ms: u64,
    /// Peak resident set of the largest process.
    #[serde(default)]
    pub max_rss_kib: u64,
    /// What a person should know: limits that are not enforced here, output that could not be kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// With an exit code.
    Exited(i32),
    /// By a signal.
    Signalled(i32),
    /// It never ran.
    NotStarted {
        /// `errno` of the failing call.
        errno: i32,
        /// In words: what was missing, and where it was looked for.
        why: String,
    },
}

/// Why a runner ended its command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopCause {
    /// `timeout` passed.
    Timeout,
    /// Nothing was written for `silence`.
    Silence,
    /// The runner was asked by TERM; `kill` when it was told to insist at once (USR1).
    Asked {
        /// No grace was given.
        kill: bool,
    },
    /// More output than `output_limit`.
    OutputLimit,
    /// The tree used more memory than allowed.
    Memory,
    /// The tree had more processes than allowed.
    Pids,
    /// A Claude run's credential was refused; the CLI would try for minutes.
    Refused,
    /// A Claude run had used its allowance.
    Budget {
        /// Whose budget that was.
        of: BudgetOf,
    },
}

/// How the gate ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateEnd {
    /// Its end.
    pub end: End,
    /// Whether it was ended for its timeout.
    #[serde(default)]
    pub timed_out: bool,
}

/// One file of `outbox/`: what a task asks of the manager. Renamed into place, named `SEQ-KEY.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutboxItem {
    /// Order within the attempt, from 1.
    pub seq: u32,
    /// Idempotency key within (job, adding task): the `--id`, else `#ORDINAL`.
    pub key: String,
    /// The request.
    pub body: OutboxBody,
}

/// What a task may ask.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutboxBody {
    /// Queue a further task of the same job.
    Add(Box<AddedTask>),
    /// Set the task's result; the last one counts.
    Result(serde_json::Value),
    /// The same once the backend has seen that it does not fit the task's schema; why.
    #[serde(skip)]
    Unfit(String),
    /// The same once the backend has put a large one into a file. It is never read from an outbox: a task that could name a
    /// file by its hash could take another's result.
    #[serde(skip)]
    Stored(super::change::TaskResult),
    /// Tell how far it is.
    Progress(Progress),
    /// Ask a person; the answer comes into the inbox under the question's key.
    Ask(Box<Question>),
}

/// A task queued at run time. What it leaves out comes from the job's defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AddedTask {
    /// Its id; none lets the manager derive `PARENT-ORDINAL`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Ids of tasks of the same job.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// What it does. Strings are taken literally: nothing is templated.
    pub action: super::spec::Action,
}

/// How far a task is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Done so far.
    pub done: u64,
    /// Out of, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// In words, at most 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// `3/10 compiling`; only how many where it is not known out of how many.
impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.done)?;
        self.total.iter().try_for_each(|total| write!(f, "/{total}"))?;
        self.text.iter().try_for_each(|text| write!(f, " {text}"))
    }
}

/// Largest outbox file, in bytes: a definition or a result.
pub const MAX_OUTBOX_BYTES: u64 = 1 << 20;
/// Largest result that is read from output or a file, in bytes, as text.
pub const MAX_RESULT: u64 = 64 << 20;
/// The same as JSON: in memory each number takes many times its text.
pub const MAX_JSON_RESULT: u64 = 8 << 20;
/// The file that a result of the workspace is copied to, in the attempt's directory.
pub const RESULT_FILE: &str = "result";

/// Begins the runner's remark on such a file that was there and could not be copied; why follows.
pub fn unread(file: &str) -> String {
    format!("the result {file} could not be read: ")
}

/// Most bytes of all files of one attempt's outbox together: the manager holds them at once when the attempt is over.
pub const MAX_OUTBOX_TOTAL: u64 = 32 << 20;
/// Largest result kept in the row; a larger one becomes a file named by its hash.
pub const MAX_INLINE_RESULT: usize = 256 * 1024;
