//! On which nodes pods run.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::labels::NAMES;
use super::names::{is_label_value, is_qualified};
use super::template::kept;
use crate::config::docker::LEFT_OUT;
use crate::config::load::Reader;
use crate::config::value::shown;
use crate::model::yaml::{Node, Value};

/// What an affinity may have.
const AFFINITY: &[&str] = &["nodeAffinity", "podAffinity", "podAntiAffinity"];
/// What a toleration may have.
const TOLERATION: &[&str] = &["key", "operator", "value", "effect", "tolerationSeconds"];
const OPERATORS: &[(&str, &str)] = &[("Equal", "Equal"), ("Exists", "Exists")];
const EFFECTS: &[(&str, &str)] =
    &[("NoSchedule", "NoSchedule"), ("PreferNoSchedule", "PreferNoSchedule"), ("NoExecute", "NoExecute")];

/// Labels that a node must have. None when one is wrong: without it a pod could go to any node.
pub(super) fn node_selector(reader: &mut Reader, node: &Node) -> Option<BTreeMap<String, String>> {
    let before = reader.faults();
    let mut labels = BTreeMap::new();
    for (name, key, node) in reader.pairs(node, "node_selector", "node_selector: { kubernetes.io/arch: amd64 }") {
        let value = node.text().unwrap_or_default();
        if !is_qualified(name) {
            reader.fault(key, format!("{} cannot name a label of a node", shown(key)), &format!("{NAMES}{LEFT_OUT}"));
        } else if node.text().is_none() || !is_label_value(value) {
            let hint = format!("write what the label says on the nodes that are meant{LEFT_OUT}");
            reader.fault(node, format!("{} is no value of a label", shown(node)), &hint);
        } else {
            labels.insert(name.to_owned(), value.to_owned());
        }
    }
    (reader.faults() == before).then_some(labels)
}

/// Tolerations; none when one is wrong.
pub(super) fn tolerations(reader: &mut Reader, node: &Node) -> Option<Vec<Json>> {
    let before = reader.faults();
    let items = reader.items(node, "tolerations", "tolerations: [{ key: dedicated, value: airx, effect: NoSchedule }]");
    let tolerations = items.iter().map(|item| toleration(reader, item)).collect();
    (reader.faults() == before).then_some(tolerations)
}

fn toleration(reader: &mut Reader, node: &Node) -> Json {
    let mut toleration = Map::new();
    let entries = reader.entries(node, "a toleration", TOLERATION);
    for (key, value) in &entries {
        let read = match *key {
            "key" => checked(reader, value, is_qualified, "key of a taint"),
            "value" => checked(reader, value, is_label_value, "value of a taint"),
            "operator" => reader.one_of(value, key, OPERATORS, LEFT_OUT).map(Json::from),
            "effect" => reader.one_of(value, key, EFFECTS, LEFT_OUT).map(Json::from),
            _ => seconds(reader, value),
        };
        if let Some(read) = read {
            toleration.insert((*key).to_owned(), read);
        }
    }
    let place = |name: &str| entries.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
    let exists = toleration.get("operator") == Some(&json!("Exists"));
    if let Some(value) = place("value").filter(|_| exists) {
        let hint = format!("take the value out, or write operator: Equal{LEFT_OUT}");
        reader.fault(value, "operator: Exists asks for no value".to_owned(), &hint);
    }
    if place("key").is_none() && !exists {
        let hint = format!("write the key of the taint, or operator: Exists, which tolerates all{LEFT_OUT}");
        reader.fault(node, "this toleration has no `key`".to_owned(), &hint);
    }
    if let Some(seconds) = place("tolerationSeconds").filter(|_| toleration.get("effect") != Some(&json!("NoExecute"))) {
        let hint = format!("write effect: NoExecute, or take them out{LEFT_OUT}");
        reader.fault(seconds, "tolerationSeconds go with effect: NoExecute only".to_owned(), &hint);
    }
    Json::Object(toleration)
}

fn checked(reader: &mut Reader, node: &Node, is_one: fn(&str) -> bool, what: &str) -> Option<Json> {
    let text = node.text().filter(|text| is_one(text));
    if text.is_none() {
        let hint = format!("write it as `kubectl describe node` shows it{LEFT_OUT}");
        reader.fault(node, format!("{} is no {what}", shown(node)), &hint);
    }
    text.map(Json::from)
}

fn seconds(reader: &mut Reader, node: &Node) -> Option<Json> {
    let seconds = node.plain().and_then(|text| text.parse::<u32>().ok());
    if seconds.is_none() {
        reader.fault(node, format!("{} is no number of seconds", shown(node)), &format!("write a whole number{LEFT_OUT}"));
    }
    seconds.map(Json::from)
}

/// An affinity as it stands; none when it is wrong.
pub(super) fn affinity(reader: &mut Reader, node: &Node) -> Option<Json> {
    let before = reader.faults();
    for (key, value) in reader.entries(node, "affinity", AFFINITY) {
        if !matches!(value.value, Value::Map(_)) {
            let hint = format!("write it as a Pod's `spec.affinity` has it{LEFT_OUT}");
            reader.fault(value, format!("{key} is {}, not a mapping", value.kind()), &hint);
        }
    }
    let affinity = kept(reader, node);
    (reader.faults() == before).then_some(affinity)
}
