//! The container that runs the task.

use serde_json::{Map, Value, json};

use super::merge::{append, lay};
use super::{TOO_LARGE, confined, is_reduced, literal, mounts, pull_policy, workspace};
use crate::backend::kubernetes::pod::MAIN;
use crate::manager::ports::{CONTAINER_ATTEMPT, CONTAINER_BIN, CONTAINER_SCRATCH, CONTAINER_WORKSPACE, LaunchOrder, PodPlace};
use crate::model::attempt::RunnerSpec;
use crate::model::kubernetes::{KubernetesSettings, PodEnv};
use crate::model::pod::{MAX_ORDER, PodOrder, VERSION};
use crate::model::spec::Resources;

/// Longest argument or variable that Linux takes, in bytes.
const MAX_STRING: usize = (128 << 10) - 1;

/// The container, over what the template says of it.
pub(super) fn container(order: &LaunchOrder, place: &PodPlace, under: Value) -> Result<Value, String> {
    let settings = &*place.settings;
    let mut main = under;
    let command = if is_reduced(settings) { order.spec.argv.iter().map(|word| literal(word)).collect() } else { entry(settings) };
    if let Some(long) = command.iter().find(|word| word.len() > MAX_STRING) {
        return Err(format!("an argument of its command has {} bytes, and {MAX_STRING} is the most: {TOO_LARGE}", long.len()));
    }
    lay(
        &mut main,
        json!({
            "name": MAIN,
            "image": settings.image,
            "imagePullPolicy": pull_policy(settings.pull),
            "command": command,
            "workingDir": if is_reduced(settings) { CONTAINER_WORKSPACE } else { "/" },
            "securityContext": confined(settings.read_only),
            "resources": resources(&place.resources, settings),
        }),
    );
    if settings.attach && !is_reduced(settings) {
        main["stdin"] = true.into();
    }
    append(&mut main, "volumeMounts", mounts(settings));
    append(&mut main, "env", variables(order, place)?);
    Ok(main)
}

fn entry(settings: &KubernetesSettings) -> Vec<String> {
    let program = if settings.runner_image.is_some() { format!("{CONTAINER_BIN}/airx") } else { "airx".to_owned() };
    vec![program, "pod".to_owned(), CONTAINER_ATTEMPT.to_owned()]
}

/// Those of the pool, then those of the task, which count when both say something.
fn variables(order: &LaunchOrder, place: &PodPlace) -> Result<Vec<Value>, String> {
    let settings = &*place.settings;
    let mut all: Vec<(String, Value)> = Vec::new();
    for (name, value) in &settings.env {
        all.push((
            name.clone(),
            match value {
                PodEnv::Text(text) => json!({ "name": name, "value": literal(text) }),
                PodEnv::Secret { name: secret, key } => {
                    json!({ "name": name, "valueFrom": { "secretKeyRef": { "name": secret, "key": key } } })
                }
            },
        ));
    }
    let mut env = order.env.clone();
    for (name, value) in workspace::variables(settings) {
        if !env.iter().any(|(known, _)| known == name) {
            env.push((name.to_owned(), value));
        }
    }
    if is_reduced(settings) {
        // An image's own HOME is not to be written to as a rule.
        if !env.iter().any(|(name, _)| name == "HOME") && !settings.env.contains_key("HOME") {
            env.push(("HOME".to_owned(), CONTAINER_SCRATCH.to_owned()));
        }
        if let Some((name, value)) = env.iter().find(|(_, value)| value.len() > MAX_STRING) {
            return Err(format!("its variable {name} has {} bytes, and {MAX_STRING} is the most: {TOO_LARGE}", value.len()));
        }
        let known: Vec<&String> = env.iter().map(|(name, _)| name).collect();
        all.retain(|(name, _)| !known.contains(&name));
        all.extend(env.iter().map(|(name, value)| (name.clone(), json!({ "name": name, "value": literal(value) }))));
    } else {
        let handed = PodOrder {
            version: VERSION,
            nonce: place.nonce.clone(),
            spec: RunnerSpec { timeout_ms: order.spec.timeout_ms.or(settings.run_deadline_ms), ..order.spec.clone() },
            env,
            prompt: order.prompt.clone(),
        };
        let pieces = handed.variables().ok_or_else(|| {
            format!(
                "its command, environment and prompt have more than {MAX_ORDER} bytes, which a pod cannot be handed: {TOO_LARGE}"
            )
        })?;
        all.extend(pieces.into_iter().map(|(name, value)| (name.clone(), json!({ "name": name, "value": value }))));
    }
    Ok(all.into_iter().map(|(_, variable)| variable).collect())
}

/// Limits of the task, and what is asked of a node.
fn resources(limits: &Resources, settings: &KubernetesSettings) -> Value {
    let mut most = Map::new();
    if let Some(bytes) = limits.memory {
        most.insert("memory".to_owned(), bytes.to_string().into());
    }
    if let Some(cpus) = limits.cpus {
        // Validated as a finite number above 0; a tenth of a percent of a core is the least that Kubernetes knows.
        most.insert("cpu".to_owned(), format!("{}m", (cpus * 1_000.0).ceil().max(1.0)).into());
    }
    let mut all = json!({});
    if !most.is_empty() {
        all["limits"] = Value::Object(most);
    }
    if !settings.requests.is_empty() {
        all["requests"] = json!(settings.requests);
    }
    all
}
