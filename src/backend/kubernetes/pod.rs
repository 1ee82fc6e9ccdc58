//! What we read of a Pod. Everything may be missing: what a server leaves out is as good as empty.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::names;
use crate::model::ids::AttemptId;
use crate::model::time::Utc;

/// A Pod.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Pod {
    /// Who it is.
    pub metadata: Metadata,
    /// What was wanted.
    pub spec: Spec,
    /// What there is.
    pub status: Status,
}

/// `metadata`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Metadata {
    /// The name.
    pub name: String,
    /// Which of all pods that have or had that name.
    pub uid: String,
    /// The version of this view of it.
    pub resource_version: String,
    /// The labels.
    pub labels: BTreeMap<String, String>,
    /// When it is to be gone, once it is being deleted.
    pub deletion_timestamp: Option<String>,
    /// The grace of that, in seconds.
    pub deletion_grace_period_seconds: Option<i64>,
}

/// `spec`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Spec {
    /// Its node, once there is one.
    pub node_name: Option<String>,
}

/// `status`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Status {
    /// `Pending`, `Running`, `Succeeded`, `Failed`, `Unknown`.
    pub phase: String,
    /// `Evicted`, `DeadlineExceeded`…
    pub reason: String,
    /// The same in words.
    pub message: String,
    /// `PodScheduled`, `Ready`, `DisruptionTarget`…, in no order.
    pub conditions: Vec<Condition>,
    /// Containers.
    pub container_statuses: Vec<ContainerStatus>,
    /// Init containers.
    pub init_container_statuses: Vec<ContainerStatus>,
}

/// A condition.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Condition {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False`, `Unknown`.
    pub status: String,
    /// Why.
    pub reason: String,
    /// The same in words.
    pub message: String,
    /// Since when.
    pub last_transition_time: Option<String>,
}

/// The state of a container.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ContainerStatus {
    /// The container.
    pub name: String,
    /// Its state.
    pub state: ContainerState,
}

/// One of these.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ContainerState {
    /// Not started.
    pub waiting: Option<Waiting>,
    /// It runs.
    pub running: Option<Running>,
    /// It has ended.
    pub terminated: Option<Terminated>,
}

/// A container that waits.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Waiting {
    /// `ContainerCreating`, `ImagePullBackOff`…
    pub reason: String,
    /// The same in words.
    pub message: String,
}

/// A container that runs.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Running {
    /// Since when, in whole seconds.
    pub started_at: Option<String>,
}

/// A container that has ended.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Terminated {
    /// Its exit code; 128 and the signal when it was killed.
    pub exit_code: i32,
    /// `Completed`, `Error`, `OOMKilled`, `StartError`, `ContainerStatusUnknown`…
    pub reason: String,
    /// The same in words, or what it wrote to its termination log.
    pub message: String,
    /// When it began.
    pub started_at: Option<String>,
    /// When it ended.
    pub finished_at: Option<String>,
}

/// The name of the container that runs the task.
pub const MAIN: &str = "main";

impl Pod {
    /// The container that runs the task, once something is known of it.
    pub fn main(&self) -> Option<&ContainerState> {
        self.status.container_statuses.iter().find(|status| status.name == MAIN).map(|status| &status.state)
    }

    /// A condition by its type.
    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        self.status.conditions.iter().find(|condition| condition.kind == kind)
    }

    /// Whether a condition is `True`.
    pub fn is(&self, kind: &str) -> bool {
        self.condition(kind).is_some_and(|condition| condition.status == "True")
    }

    /// Whether it is being deleted.
    pub fn is_deleting(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    /// Whether nothing of it runs any more.
    pub fn is_over(&self) -> bool {
        matches!(self.status.phase.as_str(), "Succeeded" | "Failed")
    }

    /// The attempt that it is of, when it is one of this home's by all that we give to our pods.
    pub fn attempt(&self, instance: &str) -> Option<AttemptId> {
        let label = |name: &str| self.metadata.labels.get(name).map(String::as_str);
        let mark = label(names::ATTEMPT)?;
        let is_ours = label(names::INSTANCE) == Some(instance) && self.metadata.name == names::pod(mark);
        names::attempt(instance, mark).filter(|_| is_ours)
    }

    /// The attempt whose pod has this name, whatever its labels say.
    pub fn named(&self, instance: &str) -> Option<AttemptId> {
        names::attempt(instance, self.metadata.name.strip_prefix(names::pod("").as_str())?)
    }

    /// Whether this view is not older than another one of the same pod. Versions are numbers that grow, as of Kubernetes 1.35 by
    /// contract; what is no number is taken for newer.
    pub fn is_as_new_as(&self, other: &Pod) -> bool {
        let number = |pod: &Pod| pod.metadata.resource_version.parse::<u64>();
        match (number(self), number(other)) {
            (Ok(own), Ok(other)) => own >= other,
            _ => true,
        }
    }
}

/// A time as the cluster writes it; that of a container that never began is none.
pub fn instant(text: Option<&String>) -> Option<Utc> {
    let at: jiff::Timestamp = text?.parse().ok()?;
    Some(Utc(at.as_millisecond())).filter(|at| at.0 > 0)
}
