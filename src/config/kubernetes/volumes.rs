//! `volumes`: what else is mounted in a pod.

use super::names;
use crate::config::docker::{LEFT_OUT, mounts};
use crate::config::load::Reader;
use crate::config::value::shown;
use crate::model::kubernetes::{PodVolume, VolumeSource};
use crate::model::yaml::{Node, Value};

/// What a volume may have; the first four are its sources.
const KEYS: &[&str] = &["claim", "secret", "config_map", "empty", "target", "path", "read_only"];
const SOURCES: &[&str] = &["claim", "secret", "config_map", "empty"];

/// The volumes; none when one is wrong, since a task could write to another place than was meant.
pub(super) fn volumes(reader: &mut Reader, node: &Node) -> Option<Vec<PodVolume>> {
    let before = reader.faults();
    let mut volumes: Vec<PodVolume> = Vec::new();
    for item in reader.items(node, "volumes", "volumes: [{ claim: data, target: /data }]") {
        let Some(volume) = volume(reader, item) else { continue };
        if volumes.iter().any(|other| other.target == volume.target) {
            let why = format!("something is mounted at `{}` already", volume.target.display());
            reader.fault(item, why, &format!("keep one of them{LEFT_OUT}"));
        }
        volumes.push(volume);
    }
    (reader.faults() == before).then_some(volumes)
}

fn volume(reader: &mut Reader, node: &Node) -> Option<PodVolume> {
    let entries = reader.entries(node, "a volume", KEYS);
    if !matches!(node.value, Value::Map(_)) {
        return None;
    }
    let (mut source, mut to, mut path, mut read_only) = (None, None, None, None);
    for (key, value) in &entries {
        match *key {
            "claim" => source = names::object(reader, value, key, LEFT_OUT).map(VolumeSource::Claim),
            "secret" => source = names::object(reader, value, key, LEFT_OUT).map(VolumeSource::Secret),
            "config_map" => source = names::object(reader, value, key, LEFT_OUT).map(VolumeSource::ConfigMap),
            "empty" => source = empty(reader, value),
            "target" => to = mounts::target(reader, value, value.text().unwrap_or_default(), LEFT_OUT),
            "path" => path = below(reader, value),
            _ => read_only = reader.flag(value, key),
        }
    }
    let sources: Vec<&str> = entries.iter().map(|(key, _)| *key).filter(|key| SOURCES.contains(key)).collect();
    let hint = format!("write one of claim: NAME, secret: NAME, config_map: NAME and empty: true{LEFT_OUT}");
    match sources[..] {
        [_] => {}
        [] => reader.fault(node, "this volume does not say what it is".to_owned(), &hint),
        _ => reader.fault(node, format!("this volume is several things ({})", sources.join(", ")), &hint),
    }
    if !entries.iter().any(|(key, _)| *key == "target") {
        reader.fault(node, "this volume has no `target`".to_owned(), &format!("write target: /PATH{LEFT_OUT}"));
    }
    let source = source?;
    let is_given = matches!(source, VolumeSource::Secret(_) | VolumeSource::ConfigMap(_));
    Some(PodVolume { source, target: to?, path, read_only: read_only.unwrap_or(is_given) })
}

/// An empty directory: `true`, or its size and whether it is in memory.
fn empty(reader: &mut Reader, node: &Node) -> Option<VolumeSource> {
    if node.boolean() == Some(true) {
        return Some(VolumeSource::Empty { bytes: None, memory: false });
    }
    if !matches!(node.value, Value::Map(_)) {
        let hint = format!("write empty: true, or empty: {{ size: 1g, memory: true }}{LEFT_OUT}");
        reader.fault(node, format!("empty is {}, which it cannot be", shown(node)), &hint);
        return None;
    }
    let (mut bytes, mut memory) = (None, false);
    for (key, value) in reader.entries(node, "an empty volume", &["size", "memory"]) {
        match key {
            "size" => bytes = reader.bound(value, key),
            _ => memory = reader.flag(value, key).unwrap_or(memory),
        }
    }
    Some(VolumeSource::Empty { bytes, memory })
}

/// A path in a volume.
pub(super) fn below(reader: &mut Reader, node: &Node) -> Option<String> {
    let text = node.text().unwrap_or_default();
    let is_part = |part: &str| !part.is_empty() && part != "." && part != "..";
    let path = text.strip_suffix('/').unwrap_or(text);
    let is_path = text.len() <= 4096 && !text.contains(|c: char| c.is_control() || c == ':') && path.split('/').all(is_part);
    if !is_path {
        let hint = format!("write a path that begins in the volume, without `..` and `:`{LEFT_OUT}");
        reader.fault(node, format!("{} is no path in a volume", shown(node)), &hint);
    }
    is_path.then(|| path.to_owned())
}
