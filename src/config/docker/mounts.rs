//! What is mounted in a container, and what never is.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use crate::config::load::Reader;
use crate::config::value::shown;
use crate::model::docker::Mount;
use crate::model::yaml::{Node, Value};

/// Sockets by which an engine is commanded; each is there on some machine.
const SOCKETS: &[&str] = &[
    "/run/docker.sock",
    "/run/docker/containerd/containerd.sock",
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/podman/podman.sock",
];
/// Names of such sockets wherever they lie: engines without root have them below a home or `/run/user`.
const SOCKET_NAMES: &[&str] = &["docker.sock", "containerd.sock", "crio.sock", "podman.sock"];
const FORMS: &str = "write SOURCE:TARGET, SOURCE:TARGET:ro, or { source: SOURCE, target: TARGET, read_only: true }";

/// The mounts that are sound. One with a fault is left out as a whole: half of it could be writable where it was not to be.
pub(super) fn mounts(reader: &mut Reader, node: &Node, host: Option<&str>) -> Vec<Mount> {
    let engine = host.and_then(|host| absolute(host.strip_prefix("unix://")?));
    let mut mounts: Vec<Mount> = Vec::new();
    for item in reader.items(node, "mounts", "mounts: [\"/srv/data:/data:ro\"]") {
        let Some(mount) = mount(reader, item, engine.as_deref()) else { continue };
        if mounts.iter().any(|other| other.target == mount.target) {
            twice(reader, item, &mount.target);
        } else {
            mounts.push(mount);
        }
    }
    mounts
}

fn mount(reader: &mut Reader, node: &Node, engine: Option<&Path>) -> Option<Mount> {
    if !matches!(node.value, Value::Map(_)) {
        let parts: Vec<&str> = node.text().unwrap_or_default().split(':').collect();
        let (from, to, mode) = match parts[..] {
            [from, to] => (from, to, "rw"),
            [from, to, mode] => (from, to, mode),
            _ => {
                reader.fault(node, format!("{} is no mount", shown(node)), FORMS);
                return None;
            }
        };
        let (from, to) = (source(reader, node, from, engine), target(reader, node, to, ""));
        if !["ro", "rw"].contains(&mode) {
            reader.fault(node, format!("a mount has no mode `{mode}`"), "write ro or rw at its end, or nothing for rw");
            return None;
        }
        return Some(Mount { source: from?, target: to?, read_only: mode == "ro" });
    }
    let entries = reader.entries(node, "a mount", &["source", "target", "read_only"]);
    let (mut from, mut to, mut read_only) = (None, None, Some(false));
    for (key, value) in &entries {
        let text = value.text().unwrap_or_default();
        match *key {
            "source" => from = source(reader, value, text, engine),
            "target" => to = target(reader, value, text, ""),
            _ => read_only = reader.flag(value, "read_only"),
        }
    }
    for needed in ["source", "target"] {
        if !entries.iter().any(|(key, _)| *key == needed) {
            reader.fault(node, format!("this mount has no `{needed}`"), FORMS);
        }
    }
    let Value::Map(written) = &node.value else { return None };
    // A key that is not known may have been meant to make it read-only.
    (written.len() == entries.len()).then_some(Mount { source: from?, target: to?, read_only: read_only? })
}

fn source(reader: &mut Reader, node: &Node, text: &str, engine: Option<&Path>) -> Option<String> {
    if let Some(path) = absolute(text) {
        if let Some(why) = leads_to_engine(&path, engine) {
            reader.fault(node, why, "mount only what the task needs");
            return None;
        }
        return Some(path.to_string_lossy().into_owned());
    }
    // The engine's own rule for volumes.
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let is_volume = (2..=255).contains(&text.len()) && text.bytes().all(is_inner) && !text.starts_with(['_', '.', '-']);
    if !is_volume {
        let hint = "write an absolute path of the engine's machine, without `..`, `~` and `:`, or the name of a volume";
        reader.fault(node, format!("`{}` is no source of a mount", text.chars().take(80).collect::<String>()), hint);
    }
    is_volume.then(|| text.to_owned())
}

/// Why a source would hand the engine over: it is one of its sockets, or a directory that has one.
fn leads_to_engine(source: &Path, engine: Option<&Path>) -> Option<String> {
    let shown = source.display();
    let source = real(source);
    if source.file_name().is_some_and(|name| SOCKET_NAMES.iter().any(|socket| name == *socket))
        || Some(&source) == engine.map(real).as_ref()
    {
        return Some("the engine's socket is never mounted: a task that has it commands the whole machine".to_owned());
    }
    let is_above = SOCKETS.iter().map(Path::new).chain(engine).any(|socket| real(socket).starts_with(&source));
    // Every process shows its root there, and so the sockets.
    let is_process = source.starts_with("/proc");
    (is_above || is_process || source == Path::new("/var") || is_runtime(&source))
        .then(|| format!("the engine's socket is never mounted, and it can be reached by way of `{shown}`"))
}

/// `/run/user` and a user's directory in it, where engines without root have their sockets.
fn is_runtime(source: &Path) -> bool {
    source.strip_prefix("/run/user").is_ok_and(|rest| {
        let rest: Vec<_> = rest.iter().skip(1).collect();
        rest.is_empty() || rest == ["podman"]
    })
}

/// `/var/run` is `/run` on every system that has both.
fn real(path: &Path) -> PathBuf {
    path.strip_prefix("/var/run").map_or_else(|_| path.to_owned(), |rest| Path::new("/run").join(rest))
}

/// A place in a container where something can be mounted; `fate` is what becomes of the rest when it is none.
pub(in crate::config) fn target(reader: &mut Reader, node: &Node, text: &str, fate: &str) -> Option<PathBuf> {
    let Some(path) = absolute(text) else {
        let hint = format!("write an absolute path, without `..` and `:`{fate}");
        reader.fault(node, format!("`{}` is no place in a container", text.chars().take(80).collect::<String>()), &hint);
        return None;
    };
    let own = ["/airx", "/workspace"].into_iter().find(|own| path.starts_with(own));
    let is_system = path == Path::new("/") || path == Path::new("/dev") || path.starts_with("/proc") || path.starts_with("/sys");
    let why = match own {
        Some(own) => format!("`{own}` is airx's own in a container"),
        None if is_system => format!("nothing can be mounted at `{}`: the container needs what is there", path.display()),
        None => return Some(path),
    };
    reader.fault(node, why, &format!("choose another place, such as /data{fate}"));
    None
}

/// File systems in memory that are sound.
pub(super) fn tmpfs(reader: &mut Reader, node: &Node, mounts: &[Mount]) -> BTreeMap<String, Option<u64>> {
    let example = "tmpfs: [/cache, { target: /scratch, size: 512m }]";
    let mut found: Vec<(&Node, Option<PathBuf>, Option<u64>)> = Vec::new();
    if matches!(node.value, Value::Map(_)) {
        for (text, key, size) in reader.pairs(node, "tmpfs", example) {
            let bytes = if matches!(size.value, Value::Null) { None } else { reader.bound(size, "size") };
            found.push((key, target(reader, key, text, ""), bytes));
        }
    } else {
        for item in reader.items(node, "tmpfs", example) {
            let (target, bytes) = one(reader, item, example);
            found.push((item, target, bytes));
        }
    }
    let mut tmpfs = BTreeMap::new();
    for (node, target, bytes) in found {
        let Some(target) = target else { continue };
        let name = target.to_string_lossy().into_owned();
        if tmpfs.contains_key(&name) || mounts.iter().any(|mount| mount.target == target) {
            twice(reader, node, &target);
        } else {
            tmpfs.insert(name, bytes);
        }
    }
    tmpfs
}

fn one(reader: &mut Reader, node: &Node, example: &str) -> (Option<PathBuf>, Option<u64>) {
    if !matches!(node.value, Value::Map(_)) {
        return (target(reader, node, node.text().unwrap_or_default(), ""), None);
    }
    let (mut to, mut bytes, mut is_there) = (None, None, false);
    for (key, value) in reader.entries(node, "a tmpfs", &["target", "size"]) {
        if key == "target" {
            is_there = true;
            to = target(reader, value, value.text().unwrap_or_default(), "");
        } else {
            bytes = reader.bound(value, "size");
        }
    }
    if !is_there {
        reader.fault(node, "this tmpfs has no `target`".to_owned(), &format!("write {example}"));
    }
    (to, bytes)
}

fn twice(reader: &mut Reader, node: &Node, target: &Path) {
    reader.fault(node, format!("something is mounted at `{}` already", target.display()), "keep one of them");
}

/// An absolute path, tidied. Nothing that leads upwards, so that where it lies can be told from its text; and no `:`, which
/// engines take for the end of a path.
pub(super) fn absolute(text: &str) -> Option<PathBuf> {
    let path = Path::new(text);
    let is_plain = path.is_absolute() && text.len() <= 4096 && !text.contains(|c: char| c == ':' || c.is_control());
    (is_plain && !path.components().any(|part| part == Component::ParentDir)).then(|| path.components().collect())
}
