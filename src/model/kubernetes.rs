//! What a pool of the Kubernetes backend says about its pods, as plain data.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use super::docker::{PullPolicy, RunnerMode};

/// Longest wait for a node when nothing else is said, in milliseconds. A full cluster may make room.
pub const DEFAULT_SCHEDULE_DEADLINE_MS: u64 = 30 * 60_000;
/// Longest time from a node to the running container (pulls, volumes, preparation) when nothing else is said, in milliseconds.
pub const DEFAULT_PULL_DEADLINE_MS: u64 = 10 * 60_000;
/// Pods made in a second when nothing else is said.
pub const DEFAULT_CREATE_RATE: f64 = 20.0;
/// The user and group of a pod that does not say: none of an image's own, and not root.
pub const DEFAULT_USER: (u32, u32) = (10_001, 10_001);
/// The image that clones a repository when nothing else is said.
pub const DEFAULT_GIT_IMAGE: &str = "docker.io/alpine/git:latest";
/// The context that stands for the cluster that the manager itself runs in.
pub const IN_CLUSTER: &str = "in-cluster";
/// Begins the names of clusters among those of engines.
const CLUSTER: &str = "kubernetes:";

/// The settings of a pool of pods, one for each attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct KubernetesSettings {
    /// A context of the kubeconfig, or [`IN_CLUSTER`]; none is the current context, or within a cluster that one.
    pub context: Option<String>,
    /// The namespace; none is that of the context.
    pub namespace: Option<String>,
    /// The image of the task's container.
    pub image: String,
    /// When images are pulled.
    pub pull: PullPolicy,
    /// Secrets with logins to registries, by name.
    pub pull_secrets: Vec<String>,
    /// A Pod as its template file has it: what we set is laid over it.
    pub template: Option<Arc<Value>>,
    /// The service account; its token is never mounted unless the template says so.
    pub service_account: Option<String>,
    /// Labels that a node must have.
    pub node_selector: BTreeMap<String, String>,
    /// `tolerations` as Kubernetes has them.
    pub tolerations: Vec<Value>,
    /// `affinity` as Kubernetes has it.
    pub affinity: Option<Value>,
    /// The priority class.
    pub priority_class: Option<String>,
    /// The runtime class.
    pub runtime_class: Option<String>,
    /// What is asked of a node, by resource (`cpu`, `memory`, …), as quantities; what is missing equals the limits.
    pub requests: BTreeMap<String, String>,
    /// What else is mounted.
    pub volumes: Vec<PodVolume>,
    /// What the workspace is.
    pub workspace: PodWorkspace,
    /// Variables beside the task's, which go before them. Secrets of the cluster by name only.
    pub env: BTreeMap<String, PodEnv>,
    /// Longest wait for a node, in milliseconds.
    pub schedule_deadline_ms: u64,
    /// Longest time from a node to the running container, in milliseconds.
    pub pull_deadline_ms: u64,
    /// Longest run of a task that has no timeout of its own, in milliseconds; none is no bound.
    pub run_deadline_ms: Option<u64>,
    /// Least time between asking a pod to end and its end, in milliseconds; none is the task's own grace.
    pub grace_ms: Option<u64>,
    /// Labels beside ours.
    pub labels: BTreeMap<String, String>,
    /// Annotations beside ours.
    pub annotations: BTreeMap<String, String>,
    /// Most pods made in a second.
    pub create_rate: f64,
    /// User and group in the container; the image's own when none.
    pub user: Option<(u32, u32)>,
    /// Whether the image's own file system is read-only.
    pub read_only: bool,
    /// Whether our runner is the first process.
    pub runner: RunnerMode,
    /// The image that an init container copies our program from; none when the task's image has it.
    pub runner_image: Option<String>,
    /// Whether the Role allows `get` and `create` on `pods/attach`: answers to questions go in by it.
    pub attach: bool,
}

impl KubernetesSettings {
    /// The defaults for pods of `image`.
    pub fn of(image: &str) -> KubernetesSettings {
        KubernetesSettings {
            context: None,
            namespace: None,
            image: image.to_owned(),
            pull: PullPolicy::Missing,
            pull_secrets: Vec::new(),
            template: None,
            service_account: None,
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
            affinity: None,
            priority_class: None,
            runtime_class: None,
            requests: BTreeMap::new(),
            volumes: Vec::new(),
            workspace: PodWorkspace::Empty { bytes: None },
            env: BTreeMap::new(),
            schedule_deadline_ms: DEFAULT_SCHEDULE_DEADLINE_MS,
            pull_deadline_ms: DEFAULT_PULL_DEADLINE_MS,
            run_deadline_ms: None,
            grace_ms: None,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            create_rate: DEFAULT_CREATE_RATE,
            user: Some(DEFAULT_USER),
            read_only: true,
            runner: RunnerMode::Auto,
            runner_image: None,
            attach: false,
        }
    }

    /// What its cluster and namespace are called: pools of one name live and vanish together.
    pub fn engine(&self) -> String {
        ClusterName { context: self.context.clone(), namespace: self.namespace.clone() }.to_string()
    }
}

/// A namespace of a cluster, as reports and records name it: `kubernetes:CONTEXT/NAMESPACE`, either of which may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterName {
    /// As [`KubernetesSettings::context`].
    pub context: Option<String>,
    /// As [`KubernetesSettings::namespace`].
    pub namespace: Option<String>,
}

impl ClusterName {
    /// Reads a name; none when it is that of another kind of engine.
    pub fn parse(name: &str) -> Option<ClusterName> {
        // Contexts may hold slashes, namespaces cannot.
        let (context, namespace) = name.strip_prefix(CLUSTER)?.rsplit_once('/')?;
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Some(ClusterName { context: given(context), namespace: given(namespace) })
    }
}

impl std::fmt::Display for ClusterName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (context, namespace) = (self.context.as_deref(), self.namespace.as_deref());
        write!(f, "{CLUSTER}{}/{}", context.unwrap_or_default(), namespace.unwrap_or_default())
    }
}

/// A variable of a pool's pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PodEnv {
    /// The value itself.
    Text(String),
    /// A key of a Secret of the namespace: Kubernetes hands it to the container, and it passes nobody else.
    Secret {
        /// The Secret.
        name: String,
        /// Its key.
        key: String,
    },
}

/// What a workspace is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PodWorkspace {
    /// An empty directory of the pod's own.
    Empty {
        /// Its most bytes.
        bytes: Option<u64>,
    },
    /// The same, into which an init container clones a repository.
    Git {
        /// Where from.
        url: String,
        /// A branch, tag or commit; none is the repository's own.
        reference: Option<String>,
        /// The image with `git` and a shell.
        image: String,
        /// Commits that are fetched; none is all.
        depth: Option<u32>,
        /// A Secret with `username` and `password`, or `token`.
        secret: Option<String>,
    },
    /// A PersistentVolumeClaim.
    Claim {
        /// The claim.
        name: String,
        /// A directory in it.
        path: Option<String>,
    },
}

/// Something that is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodVolume {
    /// What.
    pub source: VolumeSource,
    /// An absolute path of the container.
    pub target: PathBuf,
    /// A path in the volume.
    pub path: Option<String>,
    /// Whether it cannot be written to.
    pub read_only: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VolumeSource {
    /// A PersistentVolumeClaim.
    Claim(String),
    /// A Secret.
    Secret(String),
    /// A ConfigMap.
    ConfigMap(String),
    /// An empty directory, of so many bytes at most.
    Empty {
        /// Its most bytes.
        bytes: Option<u64>,
        /// Whether it is in memory.
        memory: bool,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_known_again_by_its_name() {
        for (context, namespace) in [(None, None), (Some("arn:aws:eks/prod"), Some("airx")), (Some(IN_CLUSTER), None)] {
            let name = ClusterName { context: context.map(str::to_owned), namespace: namespace.map(str::to_owned) };
            assert_eq!(ClusterName::parse(&name.to_string()), Some(name));
        }
        assert_eq!(ClusterName::parse("tcp://host:1"), None);
    }
}
