//! A recorded status as that of another pod.

use serde_json::{Value, json};

/// Puts a recorded status in place of a pod's, with the pod's own images and init containers.
pub fn rewrite(pod: &mut Value, mut new: Value) {
    let images = |list: &str| -> Vec<(String, Value)> {
        let all = pod["spec"][list].as_array().into_iter().flatten();
        all.map(|it| (it["name"].as_str().unwrap_or_default().to_owned(), it["image"].clone())).collect()
    };
    let (inits, mains) = (images("initContainers"), images("containers"));
    for status in new.get_mut("containerStatuses").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some((_, image)) = mains.iter().find(|(name, _)| status["name"] == name.as_str()) {
            status["image"] = image.clone();
        }
    }
    if let Some(recorded) = new.get_mut("initContainerStatuses").and_then(Value::as_array_mut) {
        for (status, (name, image)) in recorded.iter_mut().zip(&inits) {
            status["name"] = json!(name);
            status["image"] = image.clone();
        }
    } else if !inits.is_empty() && new["containerStatuses"].is_array() {
        new["initContainerStatuses"] = prepared(&inits, &new);
    }
    if new["qosClass"].is_string() {
        new["qosClass"] = pod["status"]["qosClass"].clone();
    }
    keep_disruption(&pod["status"], &mut new);
    pod["status"] = new;
}

/// Init containers that the recording has not: waiting until the main one is past that, then done.
fn prepared(inits: &[(String, Value)], status: &Value) -> Value {
    let waiting = &status["containerStatuses"][0]["state"]["waiting"]["reason"];
    let start = status["startTime"].clone();
    let state = match waiting.as_str() {
        Some("ContainerCreating" | "PodInitializing") => json!({ "waiting": { "reason": "PodInitializing" } }),
        _ => json!({ "terminated": {
            "exitCode": 0, "reason": "Completed", "startedAt": start, "finishedAt": start, "containerID": "containerd://0f2e5a1d3c4a",
        } }),
    };
    let is_done = !state["terminated"].is_null();
    let all = inits.iter().map(|(name, image)| {
        json!({
            "name": name, "state": state, "lastState": {}, "ready": is_done, "restartCount": 0, "image": image, "imageID": "",
            "started": false,
        })
    });
    all.collect()
}

/// Whoever disrupts a pod says so for good.
fn keep_disruption(old: &Value, new: &mut Value) {
    let of = |status: &Value| {
        let all = status["conditions"].as_array().into_iter().flatten();
        all.into_iter().find(|condition| condition["type"] == "DisruptionTarget").cloned()
    };
    if let (Some(condition), None) = (of(old), of(new))
        && let Some(conditions) = new.get_mut("conditions").and_then(Value::as_array_mut)
    {
        conditions.insert(0, condition);
    }
}
