//! `pools`: where tasks run, and how many at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::ids::is_name;
use crate::model::settings::{PoolBackend, PoolSettings, Settings};
use crate::model::spec::Resources;
use crate::model::units::parse_size;
use crate::model::yaml::{Node, Value};

use super::docker;
use super::load::Reader;

/// What a pool of any backend may have.
const COMMON: &[&str] = &["backend", "slots", "memory", "cpus", "pids"];
/// What a pool may have; all beyond [`COMMON`] belongs to docker.
pub(super) const KEYS: &[&str] = &[
    "backend",
    "slots",
    "memory",
    "cpus",
    "pids",
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
/// What pools of clusters will have.
const LATER: &[&str] = &["namespace", "template", "context"];

/// A backend that a pool can have in this version.
#[derive(Clone, Copy)]
enum Kind {
    Process,
    Docker,
}

impl Reader {
    pub(super) fn pools(&mut self, node: &Node, settings: &mut Settings) {
        let Value::Map(pools) = &node.value else {
            self.fault(node, format!("pools is {}, not a mapping", node.kind()), "write NAME: { backend: process, slots: 4 }");
            return;
        };
        let mut seen = BTreeSet::new();
        for (key, node) in pools {
            let Some(name) = key.text().filter(|name| is_name(name)) else {
                self.fault(key, "this cannot name a pool".to_owned(), "use 1 to 100 letters, digits, `_` and `-`");
                continue;
            };
            if !seen.insert(name) {
                self.fault(key, format!("`{name}` stands twice"), "keep one of them");
                continue;
            }
            match self.pool(node) {
                Some(pool) => drop(settings.pools.insert(name.to_owned(), pool)),
                // The `local` of the defaults must not take the place of one that was to be shut in.
                None => drop(settings.pools.remove(name)),
            }
        }
    }

    /// A pool; none when it cannot be used.
    fn pool(&mut self, node: &Node) -> Option<PoolSettings> {
        let entries = self.entries(node, "a pool", KEYS, LATER);
        let mut pool = PoolSettings { slots: 10, resources: Resources::default(), backend: PoolBackend::Process };
        let mut backend = None;
        for (key, value) in &entries {
            match *key {
                "backend" => backend = Some(*value),
                "slots" => pool.slots = self.whole(value, 10_000).unwrap_or(pool.slots),
                "memory" => pool.resources.memory = self.parsed(value, parse_size),
                "cpus" => pool.resources.cpus = self.cpus(value),
                "pids" => pool.resources.pids = self.whole(value, 4_194_304),
                _ => {}
            }
        }
        match backend.map_or(Some(Kind::Process), |backend| self.backend(backend))? {
            Kind::Process => self.only_docker(node),
            Kind::Docker => {
                pool.backend = PoolBackend::Docker(Arc::new(docker::settings(self, backend.unwrap_or(node), &entries)?))
            }
        }
        Some(pool)
    }

    fn cpus(&mut self, node: &Node) -> Option<f64> {
        let cpus = node.plain().and_then(|text| text.parse().ok()).filter(|cpus: &f64| cpus.is_finite() && *cpus > 0.0);
        if cpus.is_none() {
            self.fault(node, "cpus is no number above 0".to_owned(), "write a number of cores, such as 0.5");
        }
        cpus
    }

    fn backend(&mut self, node: &Node) -> Option<Kind> {
        match node.text() {
            Some("process") => Some(Kind::Process),
            Some("docker") => Some(Kind::Docker),
            Some("kubernetes") => {
                let why = "the backend `kubernetes` is known, but not in this version".to_owned();
                self.fault(node, why, "use process or docker; the pool is left out");
                None
            }
            _ => {
                self.fault(node, "there is no such backend".to_owned(), "write process or docker; the pool is left out");
                None
            }
        }
    }

    /// Tells of keys that mean nothing where there are no containers.
    fn only_docker(&mut self, node: &Node) {
        let Value::Map(entries) = &node.value else { return };
        for (key, _) in entries {
            let text = key.text().unwrap_or_default();
            if KEYS.contains(&text) && !COMMON.contains(&text) {
                self.fault(key, format!("`{text}` is a key of docker pools"), "write backend: docker, or take it out");
            }
        }
    }
}
