//! How far a pod is on its way.

use crate::backend::kubernetes::pod::{ContainerStatus, Pod, instant};
use crate::model::time::Utc;

/// How far a pod is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Far {
    /// It waits for a node; why, in the scheduler's words.
    Node(Option<Trouble>),
    /// It has one, and is being prepared.
    Preparing {
        /// What is done, for people.
        what: String,
        /// What is wrong, if anything is.
        trouble: Option<Trouble>,
    },
    /// Its task runs.
    Running {
        /// Since when, in whole seconds.
        since: Option<Utc>,
    },
    /// Its task has ended, or never will begin.
    Ended,
}

/// Why a pod does not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// In words, with the remedy.
    pub why: String,
    /// Whether it never heals, so that no deadline is waited for.
    pub is_final: bool,
    /// Whether another attempt may help.
    pub transient: bool,
}

impl Trouble {
    fn new(why: String, is_final: bool, transient: bool) -> Trouble {
        Trouble { why, is_final, transient }
    }
}

/// How far it is.
pub fn far(pod: &Pod) -> Far {
    let main = pod.main();
    if pod.is_over() || main.is_some_and(|main| main.terminated.is_some()) {
        return Far::Ended;
    }
    if let Some(running) = main.and_then(|main| main.running.as_ref()) {
        return Far::Running { since: instant(running.started_at.as_ref()) };
    }
    if pod.spec.node_name.is_none() && !pod.is("PodScheduled") {
        let scheduled = pod.condition("PodScheduled").filter(|condition| condition.status == "False");
        return Far::Node(scheduled.map(|condition| {
            let said = condition.message.trim_end_matches('.');
            Trouble::new(format!("no node takes it ({}): {said}", condition.reason), false, true)
        }));
    }
    let containers = pod.status.init_container_statuses.iter().chain(&pod.status.container_statuses);
    let trouble = containers.clone().find_map(trouble);
    let preparing = pod.status.init_container_statuses.iter().find(|status| status.state.running.is_some());
    let what = match preparing {
        Some(status) => format!("prepares: {}", status.name),
        None => "makes its container".to_owned(),
    };
    Far::Preparing { what, trouble }
}

/// What a waiting container suffers from.
fn trouble(status: &ContainerStatus) -> Option<Trouble> {
    let waiting = status.state.waiting.as_ref()?;
    let (reason, said) = (waiting.reason.as_str(), waiting.message.trim());
    let told = |advice: &str| format!("{reason}: {said}; {advice}");
    let trouble = match reason {
        "ContainerCreating" | "PodInitializing" | "" => return None,
        "InvalidImageName" => Trouble::new(told("correct the pool's `image`"), true, false),
        "ErrImageNeverPull" => {
            Trouble::new(told("bring the image to the nodes, or let the pool pull it (`pull: missing`)"), true, false)
        }
        "ErrImagePull" | "ImagePullBackOff" | "RegistryUnavailable" | "ImageInspectError" => {
            let never = ["not found", "denied", "unauthorized", "authentication required", "manifest unknown"];
            let is_ours = never.iter().any(|part| said.contains(part));
            Trouble::new(told("look at the pool's `image` and `pull_secrets`"), false, !is_ours)
        }
        "CreateContainerConfigError" => {
            Trouble::new(told("look at the Secrets and ConfigMaps that the pool names, and at its `user`"), false, false)
        }
        _ => Trouble::new(format!("{reason}: {said}"), false, true),
    };
    Some(trouble)
}
