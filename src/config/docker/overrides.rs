//! `override`: what is lifted or added beyond the hardened defaults, each by its own key and type.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::config::load::Reader;
use crate::config::value::shown;
use crate::model::diagnostic::nearest;
use crate::model::docker::Overrides;
use crate::model::yaml::{Node, Value};

use super::{LEFT_OUT, mounts};

/// What can be overridden.
pub(in crate::config) const KEYS: &[&str] = &["cap_add", "devices", "runtime", "shm_size", "ulimits", "dns"];
/// capabilities(7).
const CAPABILITIES: &[&str] = &[
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];
/// The limits that engines know.
const LIMITS: &[&str] = &[
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// What is overridden; none when the runtime is wrong, since the engine's own may shut tasks in less.
pub(super) fn overrides(reader: &mut Reader, node: &Node) -> Option<Overrides> {
    let mut overrides = Overrides::default();
    let mut sound = true;
    let unknown = |key: &str| (format!("`{key}` is not among what can be overridden"), None);
    for (key, value) in reader.entries_or(node, "override", KEYS, unknown) {
        match key {
            "cap_add" => overrides.cap_add = capabilities(reader, value),
            "devices" => overrides.devices = devices(reader, value),
            "runtime" => {
                overrides.runtime = runtime(reader, value);
                sound = overrides.runtime.is_some();
            }
            "shm_size" => overrides.shm_size = reader.bound(value, "shm_size"),
            "ulimits" => overrides.ulimits = ulimits(reader, value),
            _ => overrides.dns = dns(reader, value),
        }
    }
    sound.then_some(overrides)
}

fn capabilities(reader: &mut Reader, node: &Node) -> Vec<String> {
    let mut capabilities = Vec::new();
    for item in reader.items(node, "cap_add", "cap_add: [NET_BIND_SERVICE]") {
        let text = item.text().unwrap_or_default();
        let name = text.strip_prefix("CAP_").unwrap_or(text);
        if CAPABILITIES.contains(&name) {
            capabilities.push(name.to_owned());
            continue;
        }
        let hint = match nearest(name, CAPABILITIES.iter().copied()) {
            _ if name == "ALL" => "name those that the task needs, each by itself".to_owned(),
            Some(near) => format!("did you mean `{near}`?"),
            None => "write one of capabilities(7), such as NET_BIND_SERVICE".to_owned(),
        };
        reader.fault(item, format!("{} is no capability", shown(item)), &hint);
    }
    capabilities
}

fn devices(reader: &mut Reader, node: &Node) -> Vec<String> {
    let mut devices = Vec::new();
    for item in reader.items(node, "devices", "devices: [/dev/kvm]") {
        let text = item.text().unwrap_or_default();
        let is_path = |path: &str| mounts::absolute(path).is_some();
        let are_rights =
            |rights: &str| !rights.is_empty() && rights.len() <= 3 && rights.bytes().all(|byte| b"rwm".contains(&byte));
        let is_device = match text.split(':').collect::<Vec<_>>()[..] {
            [path] => is_path(path),
            [path, target] => is_path(path) && is_path(target),
            [path, target, rights] => is_path(path) && is_path(target) && are_rights(rights),
            _ => false,
        };
        if is_device {
            devices.push(text.to_owned());
        } else {
            let hint = "write /dev/NAME, /dev/NAME:/dev/TARGET or /dev/NAME:/dev/TARGET:rwm";
            reader.fault(item, format!("{} is no device", shown(item)), hint);
        }
    }
    devices
}

fn runtime(reader: &mut Reader, node: &Node) -> Option<String> {
    let text = node.text().unwrap_or_default();
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let is_runtime = (1..=100).contains(&text.len()) && text.bytes().all(is_inner) && !text.starts_with(['.', '_', '-']);
    if !is_runtime {
        let hint = format!("write the name that the engine knows it by, such as runsc{LEFT_OUT}");
        reader.fault(node, format!("{} is no runtime", shown(node)), &hint);
    }
    is_runtime.then(|| text.to_owned())
}

fn ulimits(reader: &mut Reader, node: &Node) -> BTreeMap<String, (i64, i64)> {
    let mut limits = BTreeMap::new();
    for (name, key, node) in reader.pairs(node, "ulimits", "ulimits: { nofile: 1024 }") {
        if !LIMITS.contains(&name) {
            let hint = match nearest(name, LIMITS.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are {}", LIMITS.join(", ")),
            };
            reader.fault(key, format!("there is no limit `{}`", name.chars().take(80).collect::<String>()), &hint);
        } else if let Some(limit) = ulimit(reader, node) {
            limits.insert(name.to_owned(), limit);
        }
    }
    limits
}

/// A limit, soft and hard. -1 is none.
fn ulimit(reader: &mut Reader, node: &Node) -> Option<(i64, i64)> {
    if !matches!(node.value, Value::Map(_)) {
        return number(reader, node).map(|limit| (limit, limit));
    }
    let (mut soft, mut hard) = (None, None);
    for (key, value) in reader.entries(node, "a limit", &["soft", "hard"]) {
        let limit = number(reader, value)?;
        if key == "soft" { soft = Some(limit) } else { hard = Some(limit) }
    }
    let (Some(soft), Some(hard)) = (soft, hard) else {
        reader.fault(node, "this limit is not whole".to_owned(), "write { soft: 1024, hard: 4096 }, or one number for both");
        return None;
    };
    let is_below = hard == -1 || (soft != -1 && soft <= hard);
    if !is_below {
        reader.fault(node, "soft is above hard".to_owned(), "write a soft limit that is at most the hard one");
    }
    is_below.then_some((soft, hard))
}

fn number(reader: &mut Reader, node: &Node) -> Option<i64> {
    let limit = node.plain().and_then(|text| text.parse::<i64>().ok()).filter(|limit| *limit >= -1);
    if limit.is_none() {
        reader.fault(node, format!("{} is no limit", shown(node)), "write a whole number, or -1 for none");
    }
    limit
}

fn dns(reader: &mut Reader, node: &Node) -> Vec<String> {
    let mut servers = Vec::new();
    for item in reader.items(node, "dns", "dns: [10.0.0.53]") {
        match item.text().filter(|text| text.parse::<IpAddr>().is_ok()) {
            Some(text) => servers.push(text.to_owned()),
            None => reader.fault(item, format!("{} is no address of a name server", shown(item)), "write an IP address"),
        }
    }
    servers
}
