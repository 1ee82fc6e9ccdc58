//! `env`: variables of a pool's pods.

use std::collections::BTreeMap;

use super::names;
use crate::config::load::Reader;
use crate::config::value::shown;
use crate::model::jobfile::wrong_variable;
use crate::model::kubernetes::PodEnv;
use crate::model::yaml::{Node, Value};

/// Variables by the rules of a job file, but for templates, and for secrets: what is in a pod's definition can be read in its
/// cluster, so those are the cluster's to give.
pub(super) fn env(reader: &mut Reader, node: &Node) -> BTreeMap<String, PodEnv> {
    let mut env = BTreeMap::new();
    for (name, key, node) in reader.pairs(node, "env", "env: { NAME: VALUE }") {
        if let Some((why, hint)) = wrong_variable(name) {
            reader.fault(key, why, hint);
            continue;
        }
        let value = match &node.value {
            Value::Null => Some(PodEnv::Text(String::new())),
            Value::Map(entries) => secret(reader, node, entries, name),
            _ => reader.literal(node, name, &remedy(name)).map(PodEnv::Text),
        };
        if let Some(value) = value {
            env.insert(name.to_owned(), value);
        }
    }
    env
}

fn remedy(name: &str) -> String {
    format!("put it into a Secret of the cluster, and name that: {name}: {{ secret: my-secret, key: {name} }}")
}

fn secret(reader: &mut Reader, node: &Node, entries: &[(Node, Node)], name: &str) -> Option<PodEnv> {
    if let Some((from, _)) = entries.iter().find(|(key, _)| key.text() == Some("from")) {
        let why = format!("{name} is a secret of the manager's, and what is in a pod's definition can be read in its cluster");
        reader.fault(from, why, &remedy(name));
        return None;
    }
    let (mut secret, mut secret_key) = (None, None);
    let found = reader.entries(node, "a variable", &["secret", "key"]);
    for (key, value) in &found {
        match *key {
            "secret" => secret = names::object(reader, value, key, ""),
            _ => {
                secret_key = value.text().filter(|text| names::is_secret_key(text)).map(str::to_owned);
                if secret_key.is_none() {
                    let hint = "write one of those that `kubectl describe secret` names";
                    reader.fault(value, format!("{} is no key of a Secret", shown(value)), hint);
                }
            }
        }
    }
    for needed in ["secret", "key"] {
        if !found.iter().any(|(key, _)| *key == needed) {
            reader.fault(
                node,
                format!("{name} has no `{needed}`"),
                &format!("write {name}: {{ secret: my-secret, key: {name} }}"),
            );
        }
    }
    Some(PodEnv::Secret { name: secret?, key: secret_key? })
}
