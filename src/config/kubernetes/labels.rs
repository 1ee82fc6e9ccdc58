//! Labels and annotations.

use std::collections::BTreeMap;

use super::names::{is_label_value, is_qualified};
use crate::config::load::Reader;
use crate::config::value::shown;
use crate::model::jobfile::looks_secret;
use crate::model::yaml::{Node, Value};

/// Begins the names of ours.
const OURS: &str = "airx.dev/";
/// Says that we made a pod.
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Most bytes of all annotations together, which an API server refuses beyond.
const MAX_ANNOTATIONS: usize = 256 << 10;
/// What names are made of.
pub(super) const NAMES: &str =
    "write [PREFIX/]NAME: up to 63 letters, digits, `-`, `_` and `.`, letters or digits first and last";

/// Labels, by which things are chosen: their values have a grammar.
pub(super) fn labels(reader: &mut Reader, node: &Node) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    for (name, node, text) in read(reader, node, "labels") {
        if is_label_value(&text) {
            labels.insert(name, text);
        } else {
            let hint = "write up to 63 letters, digits, `-`, `_` and `.`, letters or digits first and last; or use `annotations`";
            reader.fault(node, format!("{} is no value of a label", shown(node)), hint);
        }
    }
    labels
}

/// Annotations, whose values are free.
pub(super) fn annotations(reader: &mut Reader, node: &Node) -> BTreeMap<String, String> {
    let (mut annotations, mut bytes) = (BTreeMap::new(), 0);
    for (name, value, text) in read(reader, node, "annotations") {
        bytes += name.len() + text.len();
        if bytes > MAX_ANNOTATIONS {
            reader.fault(value, "all annotations together have more than 256 KiB".to_owned(), "keep those that are needed");
            break;
        }
        annotations.insert(name, text);
    }
    annotations
}

fn read<'n>(reader: &mut Reader, node: &'n Node, what: &str) -> Vec<(String, &'n Node, String)> {
    let mut found = Vec::new();
    for (name, key, node) in reader.pairs(node, what, &format!("{what}: {{ NAME: VALUE }}")) {
        if let Some((why, hint)) = reserved(name) {
            reader.fault(key, why, hint);
        } else if !is_qualified(name) {
            reader.fault(key, format!("{} cannot name one of the {what}", shown(key)), NAMES);
        } else if matches!(node.value, Value::Null) {
            found.push((name.to_owned(), node, String::new()));
        } else if let Some(text) = reader.any_text(node, name) {
            // Whoever may look at a pod reads them. Their names say nothing: `token-budget` is no secret.
            match looks_secret("", &text) {
                Some(why) => reader.fault(
                    node,
                    format!("{why}: a secret may not stand in the configuration"),
                    "take it out, and name a Secret of the cluster in `env`",
                ),
                None => found.push((name.to_owned(), node, text)),
            }
        }
    }
    found
}

/// Why a name is not for others, and what to do.
pub(super) fn reserved(name: &str) -> Option<(String, &'static str)> {
    let is_ours = name.starts_with(OURS) || name == MANAGED_BY;
    is_ours.then(|| {
        let name: String = name.chars().take(80).collect();
        (
            format!("`{name}` is airx's own: pods are found again by such labels"),
            "choose a name that does not begin with `airx.dev/`",
        )
    })
}
