//! `template`: a file with a Pod, over which is laid what a pool and an attempt say.

use std::sync::Arc;

use super::labels::reserved;
use crate::config::docker::LEFT_OUT;
use crate::config::file;
use crate::config::load::Reader;
use crate::config::value::shown;
use crate::model::jobfile::looks_secret;
use crate::model::kubernetes::KubernetesSettings;
use crate::model::yaml::{self, Node, Value};

/// What a template has.
const KEYS: &[&str] = &["apiVersion", "kind", "metadata", "spec"];
/// The container that the task runs in.
const MAIN: &str = "main";
/// Begins the names of what we add.
const OURS: &str = "airx-";
/// Directories of the task's container that are ours.
const PLACES: &[&str] = &["/airx", "/workspace"];

/// The Pod of the file that is named here, relative to the configuration; none when it is none, or says what is not its to say.
pub(super) fn template(reader: &mut Reader, node: &Node, pods: &KubernetesSettings) -> Option<Arc<serde_json::Value>> {
    let Some(name) = node.text().filter(|name| !name.is_empty() && !name.contains('\0')) else {
        let hint = format!("write the path of a file beside the configuration, such as pod.yaml{LEFT_OUT}");
        reader.fault(node, format!("template is {}, not a path", shown(node)), &hint);
        return None;
    };
    let path = reader.beside(name);
    let file = path.display().to_string();
    match file::text(&path, "the template") {
        Ok(Some(text)) => reader.within(file, |reader| pod(reader, &text, pods)).map(Arc::new),
        Ok(None) => {
            let hint = format!("write a path that begins beside the configuration, or at `/`{LEFT_OUT}");
            reader.fault(node, format!("there is no file {}", shown(node)), &hint);
            None
        }
        Err(unread) => {
            reader.within(file, |reader| reader.unread(unread));
            None
        }
    }
}

fn pod(reader: &mut Reader, text: &str, pods: &KubernetesSettings) -> Option<serde_json::Value> {
    let before = reader.faults();
    let parsed = yaml::parse(text);
    for fault in parsed.faults {
        reader.fault_at(fault.line, fault.column, fault.message, &fault.hint);
    }
    let Some(root) = parsed.root.filter(|root| root.value != Value::Null) else {
        if reader.faults() == before {
            reader.fault_at(1, 1, "the template is empty".to_owned(), &format!("write a Pod with its `spec`{LEFT_OUT}"));
        }
        return None;
    };
    let pod = kept(reader, &root);
    let entries = reader.entries(&root, "a template", KEYS);
    for (key, node) in &entries {
        match *key {
            "apiVersion" => constant(reader, node, "v1"),
            "kind" => constant(reader, node, "Pod"),
            "metadata" => metadata(reader, node),
            _ => spec(reader, node, pods),
        }
    }
    if matches!(root.value, Value::Map(_)) && !entries.iter().any(|(key, _)| *key == "spec") {
        reader.fault(&root, "the template has no `spec`".to_owned(), &format!("write a Pod with its `spec`{LEFT_OUT}"));
    }
    (reader.faults() == before).then_some(pod)
}

fn constant(reader: &mut Reader, node: &Node, word: &str) {
    if node.text() != Some(word) {
        let hint = format!("a template is a Pod of v1; of a PodTemplate or a Job write what lies below its `template`{LEFT_OUT}");
        reader.fault(node, format!("{} is not {word}", shown(node)), &hint);
    }
}

/// The entries of a mapping whose keys are free.
fn entries<'n>(reader: &mut Reader, node: &'n Node, what: &str) -> &'n [(Node, Node)] {
    match &node.value {
        Value::Map(entries) => entries,
        _ => {
            let hint = format!("write it as a Pod has it, or take it out{LEFT_OUT}");
            reader.fault(node, format!("{what} is {}, not a mapping", node.kind()), &hint);
            &[]
        }
    }
}

/// The items of a list of mappings, by what a Pod calls it.
fn items<'n>(reader: &mut Reader, node: &'n Node, what: &str) -> Vec<&'n Node> {
    let hint = format!("write it as a Pod has it, or take it out{LEFT_OUT}");
    let Value::List(items) = &node.value else {
        reader.fault(node, format!("{what} is {}, not a list", node.kind()), &hint);
        return Vec::new();
    };
    for item in items.iter().filter(|item| !matches!(item.value, Value::Map(_))) {
        reader.fault(item, format!("{what} has {}, not a mapping", item.kind()), &hint);
    }
    items.iter().filter(|item| matches!(item.value, Value::Map(_))).collect()
}

fn get<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
    let Value::Map(entries) = &node.value else { return None };
    entries.iter().find(|(key, _)| key.text() == Some(name)).map(|(_, value)| value)
}

fn metadata(reader: &mut Reader, node: &Node) {
    for (key, value) in entries(reader, node, "metadata") {
        let (why, hint) = match key.text().unwrap_or_default() {
            name @ ("name" | "generateName") => {
                (format!("`metadata.{name}` is airx's own: a pod is named after its attempt"), "take it out")
            }
            "namespace" => ("`metadata.namespace` is the pool's to say".to_owned(), "write `namespace` into the pool"),
            name @ ("uid" | "resourceVersion") => {
                (format!("`metadata.{name}` belongs to a pod that is there already"), "take it out")
            }
            name @ ("labels" | "annotations") => {
                for (key, _) in entries(reader, value, name) {
                    if let Some((why, hint)) = key.text().and_then(reserved) {
                        reader.fault(key, why, &format!("{hint}{LEFT_OUT}"));
                    }
                }
                continue;
            }
            _ => continue,
        };
        reader.fault(key, why, &format!("{hint}{LEFT_OUT}"));
    }
}

fn spec(reader: &mut Reader, node: &Node, pods: &KubernetesSettings) {
    for (key, value) in entries(reader, node, "spec") {
        let (why, hint) = match key.text().unwrap_or_default() {
            "restartPolicy" if value.text() != Some("Never") => (
                "`restartPolicy` can only be Never: a task runs once, and what follows from its end is for airx to decide",
                "take it out, and give tasks `retry`",
            ),
            "activeDeadlineSeconds" => (
                "`activeDeadlineSeconds` is airx's own: it would count the wait for images too",
                "take it out; use `run_deadline` of the pool, or `timeout` of a task",
            ),
            "terminationGracePeriodSeconds" => {
                ("`terminationGracePeriodSeconds` is airx's own", "take it out; use `grace` of the pool, or of a task")
            }
            name @ ("containers" | "initContainers") => {
                for item in items(reader, value, name) {
                    container(reader, item, (name == "containers").then_some(pods));
                }
                continue;
            }
            "volumes" => {
                for item in items(reader, value, "volumes") {
                    ours(reader, item, "a volume");
                }
                continue;
            }
            _ => continue,
        };
        reader.fault(key, why.to_owned(), &format!("{hint}{LEFT_OUT}"));
    }
}

/// Whether a name is one of those that we give.
fn ours(reader: &mut Reader, node: &Node, what: &str) {
    if let Some(name) = get(node, "name").filter(|name| name.text().is_some_and(|text| text.starts_with(OURS))) {
        let hint = format!("choose a name that does not begin with `{OURS}`{LEFT_OUT}");
        reader.fault(name, format!("{} is a name of airx's own for {what}", shown(name)), &hint);
    }
}

/// A container; `pods` where it may be the task's.
fn container(reader: &mut Reader, node: &Node, pods: Option<&KubernetesSettings>) {
    ours(reader, node, "a container");
    let main = pods.filter(|_| get(node, "name").and_then(Node::text) == Some(MAIN));
    if let Some(env) = get(node, "env") {
        for item in items(reader, env, "env") {
            variable(reader, item, main.is_some());
        }
    }
    let Some(pods) = main else { return };
    let Value::Map(entries) = &node.value else { return };
    for (key, value) in entries {
        let name = key.text().unwrap_or_default();
        let is_set = !matches!(value.value, Value::Null);
        if ["command", "args", "stdin", "stdinOnce", "tty", "restartPolicy", "restartPolicyRules"].contains(&name) && is_set {
            let why = format!("`{name}` of the container `{MAIN}` is airx's own: the task runs in it");
            reader.fault(key, why, &format!("take it out; what is run is the task's to say{LEFT_OUT}"));
        } else if name == "image" && !pods.image.is_empty() && value.text() != Some(&pods.image) {
            let hint = format!("take it out, or write the same as in the pool{LEFT_OUT}");
            reader.fault(value, format!("the image of `{MAIN}` is the pool's `image`"), &hint);
        } else if name == "volumeMounts" {
            for item in items(reader, value, name) {
                mount(reader, item, pods);
            }
        }
    }
}

/// A mount of the task's container.
fn mount(reader: &mut Reader, node: &Node, pods: &KubernetesSettings) {
    let Some(path) = get(node, "mountPath") else { return };
    let text = std::path::Path::new(path.text().unwrap_or_default());
    let why = if let Some(own) = PLACES.iter().find(|own| text.starts_with(own)) {
        format!("`{own}` is airx's own in a container")
    } else if pods.volumes.iter().any(|volume| volume.target == text) {
        format!("the pool's `volumes` mount something at {} already", shown(path))
    } else {
        return;
    };
    reader.fault(path, why, &format!("choose another place, such as /data{LEFT_OUT}"));
}

/// A variable of a container. What refers to another variable is no secret by itself.
fn variable(reader: &mut Reader, node: &Node, is_main: bool) {
    let Some(name) = get(node, "name").and_then(Node::text) else { return };
    if is_main && name.starts_with("AIRX_") {
        let hint = format!("choose a name that does not begin with AIRX_{LEFT_OUT}");
        reader.fault(node, format!("{} is airx's own", get(node, "name").map_or(String::new(), shown)), &hint);
    }
    let Some((value, text)) = get(node, "value").and_then(|value| Some((value, value.text()?))) else { return };
    let is_reference = text.starts_with("$(") && text.ends_with(')');
    if let Some(why) = looks_secret(name, text).filter(|_| !is_reference) {
        let hint =
            format!("name a Secret of the cluster: valueFrom: {{ secretKeyRef: {{ name: my-secret, key: {name} }} }}{LEFT_OUT}");
        reader.fault(value, format!("{why}: a secret may not stand in a template"), &hint);
    }
}

/// A node as it stands, for what is handed on. Told is what others would read differently, or by halves.
pub(super) fn kept(reader: &mut Reader, node: &Node) -> serde_json::Value {
    ambiguous(reader, node);
    node.to_json()
}

fn ambiguous(reader: &mut Reader, node: &Node) {
    match &node.value {
        Value::Null => {}
        Value::Scalar { .. } => {
            let digits = node.plain().map(|text| text.trim_start_matches(['+', '-'])).unwrap_or_default();
            let octal = digits.strip_prefix('0').map(|octal| octal.strip_prefix('o').unwrap_or(octal));
            if let Some(number) = octal.and_then(|octal| u64::from_str_radix(octal, 8).ok()).filter(|_| digits.len() > 1) {
                let hint = format!("write {number} if it is an octal number, and \"{digits}\" if it is text{LEFT_OUT}");
                reader.fault(node, format!("`{digits}` is read differently by different programs"), &hint);
            }
        }
        Value::List(items) => items.iter().for_each(|item| ambiguous(reader, item)),
        Value::Map(entries) => {
            let mut seen = std::collections::BTreeSet::new();
            for (key, value) in entries {
                match key.text() {
                    // Which one holds is for each program to say.
                    Some(text) if !seen.insert(text) => {
                        reader.fault(key, format!("{} stands twice", shown(key)), "keep one of them");
                    }
                    Some(_) => {}
                    None => reader.fault(key, format!("a key is {}", key.kind()), &format!("keys are text{LEFT_OUT}")),
                }
                ambiguous(reader, value);
            }
        }
    }
}
