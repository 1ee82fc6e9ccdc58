//! The configuration as plain data.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::docker::DockerSettings;
use super::kubernetes::KubernetesSettings;
use super::notice::Notifier;
use super::spec::{Budget, ClaudeAuth, EnvValue, Resources, WhenLimited};

/// The configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Between two comparisons with reality, 1,000 to 60,000.
    pub poll_interval_ms: u64,
    /// Pools by name; `local` is there unless the configuration describes it as one that cannot be used.
    pub pools: BTreeMap<String, PoolSettings>,
    /// Claude Code.
    pub claude: ClaudeSettings,
    /// What all Claude runs may use in a day.
    pub day_budget: Option<Budget>,
    /// Below so many free bytes nothing new starts.
    pub min_free_bytes: u64,
    /// Finished jobs are kept so many days.
    pub retention_days: u32,
    /// Output of finished jobs is kept up to so many bytes.
    pub retention_bytes: u64,
    /// Who is told what, at most [`super::notice::MAX_NOTIFIERS`].
    pub notify: Vec<Notifier>,
}

/// A pool.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolSettings {
    /// Attempts at once, at least 1.
    pub slots: u32,
    /// For tasks that do not say otherwise.
    pub resources: Resources,
    /// Where its runners live.
    pub backend: PoolBackend,
}

impl PoolSettings {
    /// The engine that its runners live on, or the cluster; none for processes of this machine.
    pub fn engine(&self) -> Option<String> {
        match &self.backend {
            PoolBackend::Process => None,
            PoolBackend::Docker(settings) => Some(settings.engine().to_owned()),
            PoolBackend::Kubernetes(settings) => Some(settings.engine()),
        }
    }

    /// The variables that the manager gives to its tasks. Those of pods are the cluster's to give.
    pub fn env(&self) -> impl Iterator<Item = (&String, &EnvValue)> {
        let env = match &self.backend {
            PoolBackend::Process | PoolBackend::Kubernetes(_) => None,
            PoolBackend::Docker(settings) => Some(&settings.env),
        };
        env.into_iter().flatten()
    }
}

/// Where a pool's runners live.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum PoolBackend {
    /// Processes of this machine.
    #[default]
    Process,
    /// Containers.
    Docker(Arc<DockerSettings>),
    /// Pods.
    Kubernetes(Arc<KubernetesSettings>),
}

/// How Claude Code is run.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaudeSettings {
    /// A path, or a name that is looked up in the task's PATH.
    pub binary: String,
    /// For tasks that name none.
    pub model: String,
    /// For tasks that say nothing.
    pub auth: ClaudeAuth,
    /// Most runs at once, over all pools; none is no limit.
    pub max_parallel: Option<u32>,
    /// What a usage limit does to tasks that say nothing.
    pub when_limited: WhenLimited,
    /// After the announced end of a usage limit, in milliseconds.
    pub limit_margin_ms: u64,
    /// A daily span of local time in which no run starts, in minutes since midnight.
    pub quiet_hours: Option<(u32, u32)>,
    /// Longest time without an event, for tasks that say nothing, in milliseconds.
    pub silence_ms: u64,
    /// Directories whose projects are trusted, with all below them: absolute, or beginning with `~/`.
    pub trusted: Vec<PathBuf>,
}

/// Time without an event after which a Claude run is ended when nothing else is said: its own tools may work for 10 minutes
/// without a word, and a hanging API is given up by the CLI within 36.
pub const DEFAULT_SILENCE_MS: u64 = 40 * 60_000;

impl Default for Settings {
    fn default() -> Self {
        let local = PoolSettings { slots: 10, resources: Resources::default(), backend: PoolBackend::Process };
        Settings {
            poll_interval_ms: 5_000,
            pools: BTreeMap::from([("local".to_owned(), local)]),
            claude: ClaudeSettings {
                binary: "claude".to_owned(),
                model: "sonnet".to_owned(),
                auth: ClaudeAuth::Login,
                max_parallel: None,
                when_limited: WhenLimited::Wait,
                limit_margin_ms: 30_000,
                quiet_hours: None,
                silence_ms: DEFAULT_SILENCE_MS,
                trusted: Vec::new(),
            },
            day_budget: None,
            min_free_bytes: 256 << 20,
            retention_days: 30,
            retention_bytes: 10_000_000_000,
            notify: Vec::new(),
        }
    }
}
