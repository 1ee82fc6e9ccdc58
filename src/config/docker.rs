//! What a pool of containers says about them.

pub(super) mod image;
pub(super) mod mounts;
pub(super) mod overrides;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use crate::model::docker::{DockerSettings, PullPolicy, RunnerMode, WorkspaceMode};
use crate::model::jobfile::{looks_secret, wrong_variable};
use crate::model::spec::EnvValue;
use crate::model::units::parse_duration;
use crate::model::yaml::{Node, Value};

use super::load::Reader;
use super::value::{set, shown};

/// What a pool of containers may have beyond what every pool has.
pub(super) const KEYS: &[&str] = &[
    "image",
    "host",
    "pull",
    "pull_deadline",
    "user",
    "workspace",
    "mounts",
    "env",
    "network",
    "tmpfs",
    "read_only",
    "init",
    "labels",
    "extra_hosts",
    "log_driver",
    "runner",
    "override",
];
/// Longest pull that can be allowed, in milliseconds.
const MAX_PULL_DEADLINE_MS: u64 = 24 * 3_600_000;
/// What becomes of a pool whose fault decides where tasks run, or how far they are shut in.
pub(super) const LEFT_OUT: &str = "; the pool is left out";

/// The settings of a pool whose backend is written at `at`. None when there is no image, or when what is wrong decides where
/// tasks run and how far they are shut in: a default could be the wrong machine, or less shut in than was meant.
pub(super) fn settings(reader: &mut Reader, at: &Node, entries: &[(&'static str, &Node)]) -> Option<DockerSettings> {
    let get = |name: &str| entries.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
    let mut docker = DockerSettings::of("");
    let mut sound = match get("image") {
        Some(node) => set(&mut docker.image, image::image(reader, node, "image", LEFT_OUT)),
        None => {
            let hint = format!("write image: NAME, such as localhost/airx-runner{LEFT_OUT}");
            reader.fault(at, "a docker pool needs `image`".to_owned(), &hint);
            false
        }
    };
    for (key, node) in entries {
        match *key {
            "host" => sound &= set(&mut docker.host, host(reader, node).map(Some)),
            "user" => sound &= set(&mut docker.user, user(reader, node).map(Some)),
            "network" => sound &= set(&mut docker.network, network(reader, node).map(Some)),
            "workspace" => sound &= set(&mut docker.workspace, reader.one_of(node, "workspace", WORKSPACES, LEFT_OUT)),
            "override" => sound &= set(&mut docker.overrides, overrides::overrides(reader, node)),
            _ => other(reader, key, node, &mut docker),
        }
    }
    // Which sources are refused depends on the engine, and what is taken already on the mounts, wherever those are written.
    docker.mounts = get("mounts").map_or_else(Vec::new, |node| mounts::mounts(reader, node, docker.host.as_deref()));
    docker.tmpfs = get("tmpfs").map_or_else(BTreeMap::new, |node| mounts::tmpfs(reader, node, &docker.mounts));
    sound.then_some(docker)
}

const WORKSPACES: &[(&str, WorkspaceMode)] =
    &[("auto", WorkspaceMode::Auto), ("bind", WorkspaceMode::Bind), ("copy", WorkspaceMode::Copy), ("none", WorkspaceMode::None)];
pub(super) const PULLS: &[(&str, PullPolicy)] =
    &[("missing", PullPolicy::Missing), ("always", PullPolicy::Always), ("never", PullPolicy::Never)];
pub(super) const RUNNERS: &[(&str, RunnerMode)] = &[("auto", RunnerMode::Auto), ("none", RunnerMode::None)];

/// Keys whose defaults are harmless.
fn other(reader: &mut Reader, key: &str, node: &Node, docker: &mut DockerSettings) {
    match key {
        "pull" => set(&mut docker.pull, reader.one_of(node, "pull", PULLS, "")),
        "pull_deadline" => set(&mut docker.pull_deadline_ms, pull_deadline(reader, node)),
        "env" => set(&mut docker.env, Some(env(reader, node))),
        "read_only" => set(&mut docker.read_only, reader.flag(node, "read_only")),
        "init" => set(&mut docker.init, reader.flag(node, "init")),
        "labels" => set(&mut docker.labels, Some(labels(reader, node))),
        "extra_hosts" => set(&mut docker.extra_hosts, Some(extra_hosts(reader, node))),
        "log_driver" => set(&mut docker.log_driver, log_driver(reader, node).map(Some)),
        "runner" => set(&mut docker.runner, reader.one_of(node, "runner", RUNNERS, "")),
        _ => false,
    };
}

fn host(reader: &mut Reader, node: &Node) -> Option<String> {
    let text = node.text().unwrap_or_default();
    let is_host = match text.split_once("://") {
        Some(("unix", path)) => mounts::absolute(path).is_some_and(|path| path != Path::new("/")),
        Some(("tcp", place)) => is_place(place),
        _ => false,
    };
    if !is_host {
        let hint = format!("write unix:///ABSOLUTE/PATH or tcp://HOST:PORT{LEFT_OUT}");
        reader.fault(node, format!("{} is no address of an engine", shown(node)), &hint);
    }
    is_host.then(|| text.to_owned())
}

fn is_place(place: &str) -> bool {
    let Some((host, port)) = place.rsplit_once(':') else { return false };
    let is_name =
        |host: &str| !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_name(host),
    };
    is_host && port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

fn user(reader: &mut Reader, node: &Node) -> Option<String> {
    let text = node.text().unwrap_or_default();
    let is_part = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
            && !part.starts_with('-')
    };
    let is_user = match text.split_once(':') {
        Some((user, group)) => is_part(user) && is_part(group),
        None => is_part(text),
    };
    if !is_user {
        let hint = format!("write \"UID\", \"UID:GID\", or names that the image knows{LEFT_OUT}");
        reader.fault(node, format!("{} is no user", shown(node)), &hint);
    }
    is_user.then(|| text.to_owned())
}

fn network(reader: &mut Reader, node: &Node) -> Option<String> {
    let text = node.text().unwrap_or_default();
    let is_name = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    let why = if text == "host" {
        "with `host` a task would share the machine's network, and reach all that listens only there".to_owned()
    } else if text.starts_with("container:") {
        "a task would share another container's network".to_owned()
    } else if !is_name || text.len() > 255 {
        format!("{} is no network", shown(node))
    } else {
        return Some(text.to_owned());
    };
    reader.fault(node, why, &format!("write none, bridge, or the name of a network{LEFT_OUT}"));
    None
}

fn pull_deadline(reader: &mut Reader, node: &Node) -> Option<u64> {
    let millis = reader.parsed(node, parse_duration)?;
    let is_within = (1_000..=MAX_PULL_DEADLINE_MS).contains(&millis);
    if !is_within {
        reader.fault(node, "the deadline of a pull is out of bounds".to_owned(), "it is 1s to 24h");
    }
    is_within.then_some(millis)
}

/// Variables by the rules of a job file, but for templates: there is no job here that could fill them.
fn env(reader: &mut Reader, node: &Node) -> BTreeMap<String, EnvValue> {
    let mut env = BTreeMap::new();
    for (name, key, node) in reader.pairs(node, "env", "env: { NAME: VALUE }") {
        if let Some((why, hint)) = wrong_variable(name) {
            reader.fault(key, why, hint);
            continue;
        }
        let value = match &node.value {
            Value::Null => Some(EnvValue::Text(String::new())),
            Value::Map(_) => reader.reference(node, name).map(EnvValue::From),
            _ => literal(reader, node, name).map(EnvValue::Text),
        };
        if let Some(value) = value {
            env.insert(name.to_owned(), value);
        }
    }
    env
}

fn literal(reader: &mut Reader, node: &Node, name: &str) -> Option<String> {
    let hint = format!("pass it by reference, so that it is stored nowhere: {name}: {{ from: \"env:{name}\" }}");
    reader.literal(node, name, &hint)
}

fn labels(reader: &mut Reader, node: &Node) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    for (name, key, node) in reader.pairs(node, "labels", "labels: { NAME: VALUE }") {
        let is_name = !name.is_empty() && name.len() <= 255 && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'=');
        if name.starts_with("airx.") {
            reader.fault(
                key,
                format!("`{name}` is airx's own: containers are found again by such labels"),
                "choose a name that does not begin with `airx.`",
            );
        } else if !is_name {
            reader.fault(key, "this cannot name a label".to_owned(), "use ASCII without spaces and `=`");
        } else if matches!(node.value, Value::Null) {
            labels.insert(name.to_owned(), String::new());
        } else if let Some(text) = reader.any_text(node, name) {
            // Whoever may look at a container reads its labels. Their names say nothing: `token-budget` is no secret.
            match looks_secret("", &text) {
                Some(why) => reader.fault(
                    node,
                    format!("{why}: a secret may not stand in the configuration"),
                    "take it out, and pass it in env by reference",
                ),
                None => drop(labels.insert(name.to_owned(), text)),
            }
        }
    }
    labels
}

fn extra_hosts(reader: &mut Reader, node: &Node) -> Vec<String> {
    let mut hosts = Vec::new();
    for item in reader.items(node, "extra_hosts", "extra_hosts: [\"db:10.0.0.2\"]") {
        let (name, address) = item.text().and_then(|text| text.split_once(':')).unwrap_or_default();
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        // Older engines would take the brackets for a part of the address.
        let address = address.strip_prefix('[').and_then(|address| address.strip_suffix(']')).unwrap_or(address);
        if is_name && (address == "host-gateway" || address.parse::<IpAddr>().is_ok()) {
            hosts.push(format!("{name}:{address}"));
        } else {
            let hint = "write \"NAME:ADDRESS\" with an IP address, or host-gateway for the engine's machine";
            reader.fault(item, format!("{} is no name with an address", shown(item)), hint);
        }
    }
    hosts
}

fn log_driver(reader: &mut Reader, node: &Node) -> Option<String> {
    let text = node.text().unwrap_or_default();
    let is_readable = ["json-file", "local", "journald"].contains(&text);
    if !is_readable {
        let why = format!("with the log driver {} its output cannot be read back", shown(node));
        reader.fault(node, why, "write json-file, local or journald");
    }
    is_readable.then(|| text.to_owned())
}
