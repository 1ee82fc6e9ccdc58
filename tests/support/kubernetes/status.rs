//! What a pod's status says, in the words of the recordings.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

/// A time as objects have it.
pub fn stamp(time: Timestamp) -> String {
    format!("{time:.0}")
}

/// Now, so much later.
pub fn later(time: Timestamp, wait: Duration) -> Timestamp {
    time.checked_add(wait).unwrap_or(time)
}

pub fn condition(name: &str, is_true: bool, generation: Option<&Value>) -> Value {
    let word = if is_true { "True" } else { "False" };
    let mut condition = json!({ "type": name });
    if let Some(generation) = generation {
        condition["observedGeneration"] = generation.clone();
    }
    condition["status"] = json!(word);
    condition["lastProbeTime"] = Value::Null;
    condition["lastTransitionTime"] = json!(stamp(Timestamp::now()));
    condition
}

/// Sets a condition that is there, or appends it; its time only moves when its value does.
pub fn set_condition(pod: &mut Value, name: &str, is_true: bool, why: Option<(&str, &str)>) {
    let generation = pod["metadata"]["generation"].clone();
    let mut new = condition(name, is_true, Some(&generation));
    if let Some((reason, message)) = why {
        if !reason.is_empty() {
            new["reason"] = json!(reason);
        }
        if !message.is_empty() {
            new["message"] = json!(message);
        }
    }
    if !pod["status"]["conditions"].is_array() {
        pod["status"]["conditions"] = json!([]);
    }
    let Some(conditions) = pod["status"]["conditions"].as_array_mut() else { return };
    match conditions.iter_mut().find(|old| old["type"] == name) {
        Some(old) => {
            if old["status"] == new["status"] {
                new["lastTransitionTime"] = old["lastTransitionTime"].clone();
            }
            *old = new;
        }
        None => conditions.push(new),
    }
}

/// Sets or shortens the grace of a pod that is to go.
pub fn mark_deleting(pod: &mut Value, grace: u64) {
    if pod["metadata"]["deletionTimestamp"].is_null() {
        pod["metadata"]["generation"] = json!(pod["metadata"]["generation"].as_u64().unwrap_or(1) + 1);
    }
    pod["metadata"]["deletionTimestamp"] = json!(stamp(later(Timestamp::now(), Duration::from_secs(grace))));
    pod["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
}

/// The status of a container by its name, of both kinds.
pub fn container<'a>(pod: &'a Value, name: &str) -> Option<&'a Value> {
    let of = |list: &str| pod["status"][list].as_array().into_iter().flatten();
    of("containerStatuses").chain(of("initContainerStatuses")).find(|status| status["name"] == name)
}

/// The state of the container `main`, or of the first one.
pub fn main_state(pod: &Value) -> Option<(&str, &Value)> {
    let all = pod["status"]["containerStatuses"].as_array()?;
    let main = all.iter().find(|status| status["name"] == "main").or_else(|| all.first())?;
    main["state"].as_object()?.iter().next().map(|(word, state)| (word.as_str(), state))
}

/// Whether its first instruction was reached, as far as the status tells.
pub fn has_run(pod: &Value) -> bool {
    match main_state(pod) {
        Some(("running", _)) => true,
        Some(("terminated", state)) => !matches!(state["reason"].as_str(), Some("ContainerStatusUnknown" | "StartError")),
        _ => false,
    }
}

pub fn is_over(pod: &Value) -> bool {
    matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
}

/// Puts a state in place of a container's.
pub fn set_state(pod: &mut Value, name: &str, word: &str, state: Value) {
    let of = |list: &str, pod: &Value| {
        let all = pod["status"][list].as_array();
        all.and_then(|all| all.iter().position(|status| status["name"] == name)).map(|at| (list.to_owned(), at))
    };
    let Some((list, at)) = of("containerStatuses", pod).or_else(|| of("initContainerStatuses", pod)) else { return };
    let status = &mut pod["status"][list.as_str()][at];
    let is_running = word == "running";
    let is_done = word == "terminated" && state["exitCode"] == 0 && list == "initContainerStatuses";
    status["state"] = json!({ word: state });
    status["ready"] = json!((is_running && list == "containerStatuses") || is_done);
    status["started"] = json!(is_running);
}

/// The pod is over: its phase, and its conditions with `PodCompleted` or `PodFailed`.
pub fn set_over(pod: &mut Value, phase: &str) {
    set_ended(pod, phase == "Succeeded");
    pod["status"]["phase"] = json!(phase);
    set_condition(pod, "PodReadyToStartContainers", false, None);
}

/// What conditions say when the last container has ended.
pub fn set_ended(pod: &mut Value, is_good: bool) {
    let reason = if is_good { "PodCompleted" } else { "PodFailed" };
    if is_good {
        set_condition(pod, "Initialized", true, Some((reason, "")));
    }
    set_condition(pod, "Ready", false, Some((reason, "")));
    set_condition(pod, "ContainersReady", false, Some((reason, "")));
}

/// A deletion overwrites why a container that never ran was waiting.
pub fn unknown() -> Value {
    json!({
        "exitCode": 137, "reason": "ContainerStatusUnknown",
        "message": "The container could not be located when the pod was terminated",
        "startedAt": null, "finishedAt": null,
    })
}
