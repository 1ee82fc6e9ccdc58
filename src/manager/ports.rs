//! The manager's ports: what it needs from the outside, as traits. Only `main` knows who implements them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::model::attempt::RunnerSpec;
use crate::model::change::{Event, Seq};
use crate::model::docker::DockerSettings;
use crate::model::ids::{AttemptId, JobId, JobName, JobRef};
use crate::model::kubernetes::KubernetesSettings;
use crate::model::message::{Answer, Page, Query, Refusal};
use crate::model::report::{ClaudeReport, Report};
use crate::model::settings::Settings;
use crate::model::spec::{ClaudeSpec, Resources};
pub use crate::model::stored::{Loaded, StoredJob, StoredTask};
use crate::model::time::{Now, Utc};

/// Where runners live. Every method returns at once; what happens is told through the [`ReportSink`] that the
/// implementation was built with.
pub trait Backend: Send {
    /// Starts the attempt's runner, once: asked again for the same attempt, it adopts what is there.
    /// Answers `Started` or `LaunchFailed`, and `Over` when it has ended.
    fn launch(&mut self, order: LaunchOrder);
    /// Asks (or insists) that the attempt end. Does nothing when it is over.
    fn stop(&mut self, attempt: AttemptId, kill: bool);
    /// Compares with reality: answers `Live`, `NeverStarted` or `Over` for each of `attempts`. A live one that is not
    /// known (after a restart) is adopted: its end will be reported.
    /// Each comes with its directory, since a backend that was started anew knows none. While what runs them cannot be reached
    /// there is no answer. What a backend finds of this home beyond `attempts` and of no job in `set_aside` is closed for good,
    /// and may be cleared away.
    fn inspect(&mut self, attempts: Vec<(AttemptId, PathBuf)>, set_aside: &BTreeSet<String>);
    /// Looks into the attempt's outbox now, for what is numbered above `after` (the last that the manager has taken in);
    /// answers `Outbox`, also when nothing is new.
    fn intake(&mut self, attempt: AttemptId, after: u32);
    /// Puts a file into the attempt's inbox, under a name without a slash; one that is there stays as it is.
    fn put(&mut self, attempt: AttemptId, name: String, content: Vec<u8>);
    /// The outcome is committed: nothing more will be asked about the attempt.
    fn forget(&mut self, attempt: AttemptId);
    /// The configuration, at the start and whenever it changes: which engines to be in touch with.
    fn configure(&mut self, _settings: &Settings) {}
}

/// Takes a backend's reports; blocks when the manager is behind (its queue is bounded).
pub type ReportSink = Arc<dyn Fn(Report) + Send + Sync>;

/// All a backend needs to start an attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct LaunchOrder {
    /// Which.
    pub attempt: AttemptId,
    /// Its directory, to be created; the parent may not exist yet either.
    pub dir: PathBuf,
    /// `spec.json`.
    pub spec: RunnerSpec,
    /// The task's whole environment, secrets resolved. Never written down.
    pub env: Vec<(String, String)>,
    /// Content of the file `prompt`.
    pub prompt: Option<String>,
    /// Where it is to live.
    pub place: Place,
}

/// Where an attempt is to live.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Place {
    /// A process of this machine.
    #[default]
    Process,
    /// A container of its own.
    Docker(Box<DockerPlace>),
    /// A pod of its own.
    Kubernetes(Box<PodPlace>),
}

/// A pod, as it is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct PodPlace {
    /// The pool's settings.
    pub settings: Arc<KubernetesSettings>,
    /// The job's full name, for people.
    pub job: String,
    /// The task's id, for people.
    pub task: String,
    /// What the task's container may use.
    pub resources: Resources,
    /// Begins each line that the runner writes for us: nobody else can know it.
    pub nonce: String,
}

/// A container, as it is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct DockerPlace {
    /// The pool's settings.
    pub settings: Arc<DockerSettings>,
    /// The job's full name, for people.
    pub job: String,
    /// The task's id, for people.
    pub task: String,
    /// The task's workspace on this machine, which the command sees as [`CONTAINER_WORKSPACE`].
    pub workspace: PathBuf,
    /// What the container may use.
    pub resources: Resources,
    /// The directory on this machine that keeps the job's Claude sessions, for a Claude run; seen as [`CONTAINER_CLAUDE`].
    pub claude_config: Option<PathBuf>,
}

/// The attempt's directory in a container.
pub const CONTAINER_ATTEMPT: &str = "/airx/attempt";
/// The directory of our own program in a container.
pub const CONTAINER_BIN: &str = "/airx/bin";
/// The directory of the task socket in a container.
pub const CONTAINER_SOCKET: &str = "/airx/socket";
/// The task's workspace in a container.
pub const CONTAINER_WORKSPACE: &str = "/workspace";
/// The directory of a container that can always be written to: a file system in memory.
pub const CONTAINER_SCRATCH: &str = "/tmp";
/// The configuration directory of the Claude CLI in a container.
pub const CONTAINER_CLAUDE: &str = "/airx/claude";

/// What is asked of the Claude Code CLI's knowledge, so that manager and backends need none.
pub trait ClaudeCli: Send + Sync {
    /// The command line, program first; the prompt goes to stdin.
    fn argv(&self, run: &ClaudeRun<'_>) -> Vec<String>;
    /// Why a run would certainly fail at once, with the remedy; none when it may start.
    fn refuse(&self, spec: &ClaudeSpec, prompt: &str, is_root: bool, env: &[(String, String)]) -> Option<String>;
    /// What is set for every run unless its environment has it already.
    fn env_defaults(&self) -> Vec<(&'static str, &'static str)>;
    /// The prompt as it must be written to stdin (a leading `/` is neutralised); as a message where the run is a conversation.
    fn stdin(&self, prompt: &str, is_conversation: bool) -> String;
    /// What a resumed session is told.
    fn go_on(&self) -> &'static str;
    /// Whether the CLI still has a session, by the environment it would run in; none when that cannot be told.
    fn has_session(&self, session: &str, env: &BTreeMap<String, String>) -> Option<bool>;
    /// Reads the transcript (the attempt's `out`) to its end. Its session is the one that was printed, so none when
    /// nothing was.
    fn read(&self, transcript: &Path) -> ClaudeReport;
}

/// One run of the CLI.
#[derive(Debug, Clone, Copy)]
pub struct ClaudeRun<'a> {
    /// What it is asked to do, and how.
    pub spec: &'a ClaudeSpec,
    /// Its session.
    pub session: &'a str,
    /// Whether the session exists and is resumed.
    pub resumes: bool,
    /// Millionths of a dollar after which it ends, whatever the specification says.
    pub microusd: Option<u64>,
    /// Rules that a person added for the whole job.
    pub rules: &'a [String],
    /// Whether the project's own settings, hooks and MCP servers may act.
    pub trusts_project: bool,
}

/// Both clocks.
pub trait Clock: Send {
    /// Reads them together.
    fn now(&self) -> Now;
    /// How far local time is ahead of UTC at a point in time, in milliseconds; UTC itself unless an implementation knows more.
    fn offset_ms(&self, _at: Utc) -> i64 {
        0
    }
}

/// The write side of the store, and what the manager reads from it.
pub trait Store: Send {
    /// Writes each event and its row, all or nothing, durable on return. Returns the last event's number.
    ///
    /// # Errors
    /// [`StoreError`] when nothing was written; the caller discards its memory and reloads.
    fn commit(&mut self, events: &[Event]) -> Result<Seq, StoreError>;
    /// What memory starts from: every job that is not over, and the counters.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be read. A job with an undecodable row is quarantined, not an error.
    fn load(&mut self) -> Result<Loaded, StoreError>;
    /// One job in full, over or not; none when there is none (or it is quarantined).
    ///
    /// # Errors
    /// As [`Store::load`].
    fn load_job(&mut self, job: &JobRef) -> Result<Option<StoredJob>, StoreError>;
    /// The job that was submitted under this idempotency key.
    ///
    /// # Errors
    /// As [`Store::load`].
    fn submitted_as(&mut self, key: &str) -> Result<Option<JobName>, StoreError>;
    /// The highest submission number used for this name; 0 when none.
    ///
    /// # Errors
    /// As [`Store::load`].
    fn last_number(&mut self, name: &str) -> Result<u32, StoreError>;
}

/// The read side of the store: answers queries for clients, on any thread, also when no manager runs.
pub trait Reader: Send + Sync {
    /// Answers from one consistent read.
    ///
    /// # Errors
    /// [`Refusal`] with `NotFound` (naming the near miss) or `Unavailable`.
    fn query(&self, query: &Query) -> Result<Page<Answer>, Refusal>;
}

/// A failed store operation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {cause}. {hint}")]
pub struct StoreError {
    /// Which kind, for what to do next.
    pub kind: StoreErrorKind,
    /// What was being done.
    pub what: String,
    /// Why it failed.
    pub cause: String,
    /// What to do.
    pub hint: String,
}

/// Kinds of store errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// No room: try again when there is.
    Full,
    /// Another process holds it, or it could not be reached this time.
    Busy,
    /// The database is damaged: stop, and name the command that repairs it.
    Corrupt,
    /// Rows of one job (when it is known which) cannot be decoded, or contradict what was to be written: that job must be
    /// left alone, the others go on.
    Row(Option<JobId>),
    /// Anything else.
    Other,
}

impl StoreErrorKind {
    /// Whether what is stored is at fault, which only a repair mends.
    pub fn is_damage(self) -> bool {
        matches!(self, StoreErrorKind::Corrupt | StoreErrorKind::Row(_))
    }
}
