//! What runs pods, behind the API.

use std::io::Write;
use std::sync::{Arc, Weak};
use std::time::Duration;

use serde_json::json;

use super::status;
use super::store::{Cluster, Key};

/// Plays recordings, or really runs pods.
pub trait Kubelet: Send + Sync {
    /// A pod was created.
    fn created(&self, cluster: &Arc<Cluster>, key: &Key);

    /// A pod that has a node is to end within its grace; its `deletionTimestamp` is set.
    fn deleting(&self, cluster: &Arc<Cluster>, key: &Key, grace: u64);

    /// A pod was taken away at once; what runs of it may go on for a while.
    fn forced(&self, _cluster: &Arc<Cluster>, _key: &Key) {}

    /// Standard input of a container that runs.
    fn stdin(&self, _key: &Key, _container: &str) -> Option<Box<dyn Write + Send>> {
        None
    }

    /// What was held back while nothing could be told can be told now.
    fn thawed(&self) {}

    /// The server ends.
    fn end(&self) {}
}

/// Why a pod is to end, when it was nobody's plain request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disruption {
    Evicted,
    Preempted,
    Tainted,
}

impl Cluster {
    /// Marks a pod for deletion and lets it end, as a DELETE does. What is over or was never scheduled goes at once.
    pub fn delete(self: &Arc<Cluster>, key: &Key, grace: Option<u64>) {
        let mut state = self.state();
        let Some(object) = state.pod(key).map(|pod| pod.object.clone()) else { return };
        let place = (key.namespace.clone(), key.name.clone());
        let asked = grace.or_else(|| object["spec"]["terminationGracePeriodSeconds"].as_u64()).unwrap_or(30);
        let at_once = asked == 0 || status::is_over(&object) || object["spec"]["nodeName"].is_null();
        let grace = if at_once { 0 } else { asked };
        let before = object["metadata"]["deletionGracePeriodSeconds"].as_u64();
        if before.is_none_or(|before| grace < before) {
            state.change(&place, |pod| status::mark_deleting(pod, grace));
        }
        if at_once {
            state.release(&place);
        }
        drop(state);
        self.ring();
        if at_once {
            self.kubelet.forced(self, key);
        } else if before.is_none() {
            self.kubelet.deleting(self, key, grace);
        }
    }

    /// Ends a pod as the Eviction API, the scheduler or the taint manager does.
    pub fn disrupt(self: &Arc<Cluster>, key: &Key, why: Disruption) {
        let (reason, message) = match why {
            Disruption::Evicted => ("EvictionByEvictionAPI", "Eviction API: evicting"),
            Disruption::Preempted => {
                ("PreemptionByScheduler", "default-scheduler: preempting to accommodate a higher priority pod")
            }
            Disruption::Tainted => ("DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint"),
        };
        self.modify(key, |pod| {
            let mut condition = status::condition("DisruptionTarget", true, None);
            condition["reason"] = json!(reason);
            condition["message"] = json!(message);
            if let Some(conditions) = pod["status"]["conditions"].as_array_mut() {
                conditions.push(condition);
            }
        });
        self.delete(key, None);
    }

    /// Nothing is told of pods from now on, for this reason.
    pub fn freeze(&self, why: &'static str) {
        self.state().frozen.insert(why);
    }

    /// One reason less.
    pub fn thaw(&self, why: &'static str) {
        let mut state = self.state();
        let was_last = state.frozen.remove(why) && state.frozen.is_empty();
        drop(state);
        if was_last {
            self.ring();
            self.kubelet.thawed();
        }
    }

    pub fn is_frozen(&self) -> bool {
        !self.state().frozen.is_empty()
    }

    /// Sends followers away and refuses logs, or does so no more.
    pub fn keep_logs_away(&self, are_away: bool) {
        let mut state = self.state();
        state.are_logs_away = are_away;
        let logs: Vec<_> = state.pods.values().flat_map(|pod| pod.logs.values().cloned()).collect();
        drop(state);
        if are_away {
            logs.iter().for_each(|log| log.part());
        }
    }

    /// The API server goes for a while, and forbids everything for another.
    pub fn outage(&self, down: Duration, forbidden: Duration) {
        let Some(front) = self.front.get().and_then(Weak::upgrade) else { return };
        front.down();
        self.wheel.after(down, move || {
            let _ = front.up_again(forbidden);
        });
    }

    /// Conditions as the node's controller sets them.
    fn set_node_ready(&self, is_ready: bool) {
        let mut state = self.state();
        let running: Vec<_> = state.pods.iter().filter(|(_, pod)| pod.object["status"]["phase"] == "Running").collect();
        let places: Vec<_> = running.into_iter().map(|(place, _)| place.clone()).collect();
        for place in places {
            state.change(&place, |pod| status::set_condition(pod, "Ready", is_ready, None));
        }
        drop(state);
        self.ring();
    }

    /// The node is gone: states stay as they are, `Ready` becomes false without a reason, logs cannot be had.
    pub fn node_away(&self) {
        self.freeze("node");
        self.keep_logs_away(true);
        self.set_node_ready(false);
    }

    /// The node is back, and what happened meanwhile is told.
    pub fn node_back(&self) {
        self.keep_logs_away(false);
        self.set_node_ready(true);
        self.thaw("node");
    }
}
