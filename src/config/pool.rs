//! `pools`: where tasks run, and how many at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::ids::is_name;
use crate::model::settings::{PoolBackend, PoolSettings, Settings};
use crate::model::spec::Resources;
use crate::model::units::parse_size;
use crate::model::yaml::{Node, Value};

use super::load::Reader;
use super::{docker, kubernetes};

/// What a pool of any backend may have.
const COMMON: &[&str] = &["backend", "slots", "memory", "cpus"];
/// What is bounded by cgroups of one's own, which a pod's are not.
const PIDS: &str = "pids";

/// The backend of a pool.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Process,
    Docker,
    Kubernetes,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::Process, Kind::Docker, Kind::Kubernetes];

    fn word(self) -> &'static str {
        match self {
            Kind::Process => "process",
            Kind::Docker => "docker",
            Kind::Kubernetes => "kubernetes",
        }
    }

    /// What its pools have beyond [`COMMON`].
    fn own(self) -> impl Iterator<Item = &'static str> {
        let (pids, more): (_, &[&str]) = match self {
            Kind::Process => (Some(PIDS), &[]),
            Kind::Docker => (Some(PIDS), docker::KEYS),
            Kind::Kubernetes => (None, kubernetes::KEYS),
        };
        pids.into_iter().chain(more.iter().copied())
    }

    /// All keys of its pools.
    pub(super) fn keys(self) -> Vec<&'static str> {
        COMMON.iter().copied().chain(self.own()).collect()
    }
}

/// What is wrong with a key that pools of this backend do not have and others do, and what to do.
fn foreign(kind: Kind, key: &str) -> Option<(String, Option<String>)> {
    let owners: Vec<&str> = Kind::ALL.into_iter().filter(|other| other.own().any(|own| own == key)).map(Kind::word).collect();
    if owners.is_empty() {
        return None;
    }
    if key == PIDS {
        let why = format!("`{PIDS}` is no key of kubernetes pools: Kubernetes has no such limit for a pod");
        return Some((why, Some("take it out; the `podPidsLimit` of a node's kubelet bounds each pod there".to_owned())));
    }
    let hint = match kubernetes::instead(key) {
        Some(instead) if kind == Kind::Kubernetes => instead.to_owned(),
        _ => format!("write backend: {}, or take it out", owners.join(" or ")),
    };
    Some((format!("`{key}` is a key of {} pools", owners.join(" and ")), Some(hint)))
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
        let at = backend_of(node);
        let kind = at.map_or(Some(Kind::Process), |at| self.backend(at));
        let known = kind.map_or_else(|| Kind::ALL.into_iter().flat_map(Kind::keys).collect(), Kind::keys);
        let entries = self.entries_or(node, "a pool", &known, |key| {
            let told = kind.and_then(|kind| foreign(kind, key));
            told.unwrap_or_else(|| (format!("a pool has no key `{key}`"), None))
        });
        let mut pool = PoolSettings { slots: 10, resources: Resources::default(), backend: PoolBackend::Process };
        for (key, value) in &entries {
            match *key {
                "slots" => pool.slots = self.whole(value, 10_000).unwrap_or(pool.slots),
                "memory" => pool.resources.memory = self.parsed(value, parse_size),
                "cpus" => pool.resources.cpus = self.cpus(value),
                PIDS => pool.resources.pids = self.whole(value, 4_194_304),
                _ => {}
            }
        }
        let at = at.unwrap_or(node);
        pool.backend = match kind? {
            Kind::Process => PoolBackend::Process,
            Kind::Docker => PoolBackend::Docker(Arc::new(docker::settings(self, at, &entries)?)),
            Kind::Kubernetes => PoolBackend::Kubernetes(Arc::new(kubernetes::settings(self, at, &entries)?)),
        };
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
        let kind = Kind::ALL.into_iter().find(|kind| node.text() == Some(kind.word()));
        if kind.is_none() {
            let hint = format!("write process, docker or kubernetes{}", docker::LEFT_OUT);
            self.fault(node, "there is no such backend".to_owned(), &hint);
        }
        kind
    }
}

/// Where a pool says its backend; which keys it may have follows from it, wherever it stands.
fn backend_of(node: &Node) -> Option<&Node> {
    let Value::Map(entries) = &node.value else { return None };
    entries.iter().find(|(key, _)| key.text() == Some("backend")).map(|(_, value)| value)
}
