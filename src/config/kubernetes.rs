//! What a pool of pods says about them.

mod labels;
mod names;
mod placement;
mod quantity;
mod template;
#[cfg(test)]
mod tests;
mod variables;
mod volumes;
mod workspace;

use crate::model::kubernetes::{IN_CLUSTER, KubernetesSettings};
use crate::model::units::parse_duration;
use crate::model::yaml::Node;

use super::docker::{LEFT_OUT, PULLS, RUNNERS, image};
use super::load::Reader;
use super::value::{set, shown};

/// What a pool of pods may have beyond what every pool has.
pub(super) const KEYS: &[&str] = &[
    "context",
    "namespace",
    "image",
    "pull",
    "pull_secrets",
    "template",
    "service_account",
    "node_selector",
    "tolerations",
    "affinity",
    "priority_class",
    "runtime_class",
    "requests",
    "volumes",
    "workspace",
    "env",
    "schedule_deadline",
    "pull_deadline",
    "run_deadline",
    "grace",
    "labels",
    "annotations",
    "create_rate",
    "user",
    "read_only",
    "runner",
    "runner_image",
    "attach",
];
const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600 * SECOND;
const DAY: u64 = 24 * HOUR;
/// The largest user and group that Kubernetes takes.
const MAX_ID: u32 = i32::MAX as u32;

/// What stands in a pool of pods in the place of a key that only pools of containers have.
pub(super) fn instead(key: &str) -> Option<&'static str> {
    Some(match key {
        "host" => "write `context`, the cluster's name in your kubeconfig",
        "mounts" => "write `volumes`: [{ claim: NAME, target: /data }]",
        "tmpfs" => "write `volumes`: [{ empty: { memory: true, size: 512m }, target: /scratch }]",
        "network" => "take it out; what a pod reaches is for a NetworkPolicy of its namespace to say",
        "log_driver" => "take it out; a cluster keeps its logs by itself",
        "init" => "take it out; `shareProcessNamespace: true` in the `template` does the same",
        "extra_hosts" => "write `hostAliases` into the `template`",
        "override" => "write what a container gets beyond the defaults into the `template`",
        _ => return None,
    })
}

/// The settings of a pool whose backend is written at `at`. None when there is no image, or when what is wrong decides where tasks
/// run and how far they are shut in: a default could be another cluster, or less shut in than was meant.
pub(super) fn settings(reader: &mut Reader, at: &Node, entries: &[(&'static str, &Node)]) -> Option<KubernetesSettings> {
    let get = |name: &str| entries.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
    let mut pods = KubernetesSettings::of("");
    let mut sound = match get("image") {
        Some(node) => set(&mut pods.image, image::image(reader, node, "image", LEFT_OUT)),
        None => {
            let hint = format!("write image: NAME, such as registry.example/airx-runner:1{LEFT_OUT}");
            reader.fault(at, "a kubernetes pool needs `image`".to_owned(), &hint);
            false
        }
    };
    for (key, node) in entries {
        match *key {
            "context" => sound &= set(&mut pods.context, context(reader, node).map(Some)),
            "namespace" => sound &= set(&mut pods.namespace, names::namespace(reader, node).map(Some)),
            "service_account" => sound &= set(&mut pods.service_account, names::object(reader, node, key, LEFT_OUT).map(Some)),
            "runtime_class" => sound &= set(&mut pods.runtime_class, names::object(reader, node, key, LEFT_OUT).map(Some)),
            "node_selector" => sound &= set(&mut pods.node_selector, placement::node_selector(reader, node)),
            "tolerations" => sound &= set(&mut pods.tolerations, placement::tolerations(reader, node)),
            "affinity" => sound &= set(&mut pods.affinity, placement::affinity(reader, node).map(Some)),
            "volumes" => sound &= set(&mut pods.volumes, volumes::volumes(reader, node)),
            "workspace" => sound &= set(&mut pods.workspace, workspace::workspace(reader, node)),
            "user" => sound &= set(&mut pods.user, user(reader, node)),
            // It is compared with other keys, wherever those stand.
            "template" | "image" => {}
            _ => other(reader, key, node, &mut pods),
        }
    }
    if let Some(node) = get("template") {
        let template = template::template(reader, node, &pods);
        sound &= set(&mut pods.template, template.map(Some));
    }
    sound.then_some(pods)
}

/// Keys whose defaults are harmless.
fn other(reader: &mut Reader, key: &'static str, node: &Node, pods: &mut KubernetesSettings) {
    match key {
        "pull" => set(&mut pods.pull, reader.one_of(node, key, PULLS, "")),
        "pull_secrets" => set(&mut pods.pull_secrets, Some(pull_secrets(reader, node))),
        "priority_class" => set(&mut pods.priority_class, names::object(reader, node, key, "").map(Some)),
        "requests" => set(&mut pods.requests, Some(quantity::requests(reader, node))),
        "env" => set(&mut pods.env, Some(variables::env(reader, node))),
        "schedule_deadline" => set(&mut pods.schedule_deadline_ms, span(reader, node, key, DAY, "24h")),
        "pull_deadline" => set(&mut pods.pull_deadline_ms, span(reader, node, key, DAY, "24h")),
        "run_deadline" => set(&mut pods.run_deadline_ms, span(reader, node, key, 30 * DAY, "30d").map(Some)),
        "grace" => set(&mut pods.grace_ms, grace(reader, node).map(Some)),
        "labels" => set(&mut pods.labels, Some(labels::labels(reader, node))),
        "annotations" => set(&mut pods.annotations, Some(labels::annotations(reader, node))),
        "create_rate" => set(&mut pods.create_rate, create_rate(reader, node)),
        "read_only" => set(&mut pods.read_only, reader.flag(node, key)),
        "runner" => set(&mut pods.runner, reader.one_of(node, key, RUNNERS, "")),
        "runner_image" => set(&mut pods.runner_image, image::image(reader, node, key, "").map(Some)),
        "attach" => set(&mut pods.attach, reader.flag(node, key)),
        _ => false,
    };
}

/// A context: kubeconfigs call them anything.
fn context(reader: &mut Reader, node: &Node) -> Option<String> {
    let text = node.text().unwrap_or_default();
    let is_context = !text.trim().is_empty() && text.len() <= 1024 && !text.contains(char::is_control);
    if !is_context {
        let hint = format!("write one of `kubectl config get-contexts`, or {IN_CLUSTER} for the one that airx runs in{LEFT_OUT}");
        reader.fault(node, format!("{} is no context", shown(node)), &hint);
    }
    is_context.then(|| text.to_owned())
}

fn pull_secrets(reader: &mut Reader, node: &Node) -> Vec<String> {
    let items = reader.items(node, "pull_secrets", "pull_secrets: [registry-login]");
    items.iter().filter_map(|item| names::object(reader, item, "a pull secret", "")).collect()
}

/// A duration from a second to `most`, which is `words` for people.
fn span(reader: &mut Reader, node: &Node, what: &str, most: u64, words: &str) -> Option<u64> {
    let millis = reader.parsed(node, parse_duration)?;
    let is_within = (SECOND..=most).contains(&millis);
    if !is_within {
        reader.fault(node, format!("{what} is out of bounds"), &format!("it is 1s to {words}"));
    }
    is_within.then_some(millis)
}

/// How long a pod has to end. Zero would take its object away while its processes still run, so that another attempt could begin.
fn grace(reader: &mut Reader, node: &Node) -> Option<u64> {
    if node.text().is_some_and(|text| parse_duration(text) == Ok(0)) {
        let why = "grace is 0: Kubernetes would forget a pod while what is in it still runs".to_owned();
        reader.fault(node, why, "it is 1s to 1h; `airx cancel --kill` insists on a task's end at once");
        return None;
    }
    span(reader, node, "grace", HOUR, "1h")
}

fn create_rate(reader: &mut Reader, node: &Node) -> Option<f64> {
    let rate = node.plain().and_then(|text| text.parse().ok()).filter(|rate: &f64| (0.1..=1_000.0).contains(rate));
    if rate.is_none() {
        reader.fault(node, format!("create_rate is {}, which it cannot be", shown(node)), "it is 0.1 to 1000 pods in a second");
    }
    rate
}

/// User and group; none inside is the image's own. A user alone is of the group of the same number, never of root's.
fn user(reader: &mut Reader, node: &Node) -> Option<Option<(u32, u32)>> {
    let text = node.text().unwrap_or_default();
    if text == "image" {
        return Some(None);
    }
    let (uid, gid) = text.split_once(':').unwrap_or((text, text));
    let number = |part: &str| {
        let is_number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse::<u32>().ok().filter(|id| is_number && *id <= MAX_ID)
    };
    let ids = number(uid).zip(number(gid));
    if ids.is_none() {
        let hint = format!("write \"UID:GID\" or \"UID\" in numbers, or image for the image's own user{LEFT_OUT}");
        reader.fault(node, format!("{} is no user of a pod: Kubernetes knows no names", shown(node)), &hint);
    }
    ids.map(Some)
}
