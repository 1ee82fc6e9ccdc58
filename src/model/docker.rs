//! What a pool of the Docker backend says about its containers, as plain data.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::credential::CONFIG_DIR;
use super::spec::EnvValue;

/// Longest pull of an image when nothing else is said, in milliseconds.
pub const DEFAULT_PULL_DEADLINE_MS: u64 = 10 * 60_000;
/// Most processes and threads of a container whose pool and task do not say.
pub const DEFAULT_PIDS: u32 = 4096;

/// The name of the engine of pools that do not say which.
pub const DEFAULT_ENGINE: &str = "default";

/// Variables of the submitter that name places of the submitter's machine: containers do not get them.
pub const LEFT_OUTSIDE: &[&str] = &["PATH", "HOME", CONFIG_DIR, "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "SSL_CERT_DIR"];

/// The settings of a pool of containers, one for each attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct DockerSettings {
    /// The engine: `unix:///PATH` or `tcp://HOST:PORT`; none is the manager's `DOCKER_HOST`, else the engine's usual socket.
    pub host: Option<String>,
    /// The image.
    pub image: String,
    /// When it is pulled.
    pub pull: PullPolicy,
    /// Longest pull, in milliseconds.
    pub pull_deadline_ms: u64,
    /// `UID[:GID]` or `NAME[:GROUP]`; none is whoever runs the manager.
    pub user: Option<String>,
    /// How the task's workspace gets there.
    pub workspace: WorkspaceMode,
    /// What else is mounted.
    pub mounts: Vec<Mount>,
    /// Variables beside the task's, which go before them. Secrets by reference only.
    pub env: BTreeMap<String, EnvValue>,
    /// `none`, `bridge`, or a network's name; none is the engine's default.
    pub network: Option<String>,
    /// File systems in memory: where, and how many bytes at most. `/tmp` is always one.
    pub tmpfs: BTreeMap<String, Option<u64>>,
    /// Whether the image's own file system is read-only.
    pub read_only: bool,
    /// Whether a small init of the engine's is the first process instead of ours.
    pub init: bool,
    /// Labels beside ours.
    pub labels: BTreeMap<String, String>,
    /// `NAME:ADDRESS`.
    pub extra_hosts: Vec<String>,
    /// The log driver of containers without our runner; none is the engine's.
    pub log_driver: Option<String>,
    /// Whether our runner is the first process.
    pub runner: RunnerMode,
    /// What is lifted or added beyond that.
    pub overrides: Overrides,
}

impl DockerSettings {
    /// The defaults for containers of `image`.
    pub fn of(image: &str) -> DockerSettings {
        DockerSettings {
            host: None,
            image: image.to_owned(),
            pull: PullPolicy::Missing,
            pull_deadline_ms: DEFAULT_PULL_DEADLINE_MS,
            user: None,
            workspace: WorkspaceMode::Auto,
            mounts: Vec::new(),
            env: BTreeMap::new(),
            network: None,
            tmpfs: BTreeMap::new(),
            read_only: true,
            init: false,
            labels: BTreeMap::new(),
            extra_hosts: Vec::new(),
            log_driver: None,
            runner: RunnerMode::Auto,
            overrides: Overrides::default(),
        }
    }

    /// What its engine is called: pools of one name live and vanish together.
    pub fn engine(&self) -> &str {
        self.host.as_deref().unwrap_or(DEFAULT_ENGINE)
    }
}

/// When an image is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PullPolicy {
    /// When the engine does not have it.
    #[default]
    Missing,
    /// Before each attempt.
    Always,
    /// Never.
    Never,
}

/// How a workspace gets into a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WorkspaceMode {
    /// Mounted where the engine is of this machine (a unix socket), else copied.
    #[default]
    Auto,
    /// Mounted.
    Bind,
    /// Copied in before, and out after the attempt.
    Copy,
    /// An empty directory.
    None,
}

/// Something that is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// An absolute path of the engine's machine, or the name of a volume.
    pub source: String,
    /// An absolute path of the container.
    pub target: PathBuf,
    /// Whether it cannot be written to.
    pub read_only: bool,
}

/// Whether our runner is the first process of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RunnerMode {
    /// Where the image's system fits.
    #[default]
    Auto,
    /// Never: the engine alone says what became of the command (the reduced mode).
    None,
}

/// Why there is no runner, where the pool says so.
pub const NO_RUNNER: &str = "the pool says runner: none";

/// What of a task only our runner can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RunnerNeeds {
    /// It is a Claude run.
    pub claude: bool,
    /// It has an acceptance command.
    pub accept: bool,
    /// It repeats.
    pub repeat: bool,
    /// It is ended when it says nothing.
    pub silence: bool,
    /// It keeps files of its workspace.
    pub artifacts: bool,
    /// Its result is read from a file of its workspace.
    pub result_file: bool,
}

impl RunnerNeeds {
    /// The first of them, in words; none when the engine alone will do.
    pub fn first(self) -> Option<&'static str> {
        let all = [
            (self.claude, "a Claude run"),
            (self.accept, "accept"),
            (self.repeat, "repeat"),
            (self.silence, "silence"),
            (self.artifacts, "artifacts"),
            (self.result_file, "result"),
        ];
        all.into_iter().find_map(|(needed, what)| needed.then_some(what))
    }
}

/// Why a task that needs the runner cannot be where there is none.
pub fn needs_runner(what: &str, why: &str) -> String {
    format!("{what} needs the runner in the container, and there is none ({why}): {RUNNER_REMEDY}")
}

/// What to do about it.
pub const RUNNER_REMEDY: &str = "use a pool whose image is of this system, without `runner: none`";

/// What is lifted or added beyond the hardened defaults.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Overrides {
    /// Capabilities given back, such as `NET_BIND_SERVICE`.
    pub cap_add: Vec<String>,
    /// Devices of the engine's machine, `PATH[:TARGET[:RIGHTS]]`.
    pub devices: Vec<String>,
    /// An OCI runtime by name, such as `runsc`.
    pub runtime: Option<String>,
    /// Bytes of `/dev/shm`.
    pub shm_size: Option<u64>,
    /// Limits by name, such as `nofile`: soft and hard.
    pub ulimits: BTreeMap<String, (i64, i64)>,
    /// Name servers.
    pub dns: Vec<String>,
}
