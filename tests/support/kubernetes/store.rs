//! What the cluster holds: pods, their versions and changes, and who is told of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::faults::Faults;
use super::front::Front;
use super::kubelet::Kubelet;
use super::logs::Log;
use super::rights::Rights;
use super::wheel::Wheel;

/// Pods of a list, by name.
pub type Listed = Vec<(String, Arc<Value>)>;
pub type Labels = BTreeMap<String, String>;

/// One pod among all that ever were.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub namespace: String,
    pub name: String,
    pub uid: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Added,
    Modified,
    Deleted,
}

impl What {
    pub fn word(self) -> &'static str {
        match self {
            What::Added => "ADDED",
            What::Modified => "MODIFIED",
            What::Deleted => "DELETED",
        }
    }
}

/// A change as watches tell it.
pub struct Change {
    pub version: u64,
    pub what: What,
    pub namespace: String,
    pub name: String,
    /// Its labels before it.
    pub before: Arc<Labels>,
    pub after: Arc<Labels>,
    /// The pod as JSON.
    pub text: Arc<str>,
}

pub struct Pod {
    pub object: Arc<Value>,
    pub labels: Arc<Labels>,
    /// Of its containers, by name.
    pub logs: BTreeMap<String, Arc<Log>>,
    /// Only finalizers hold it.
    pub is_due: bool,
    has_run: bool,
}

/// Requests by kind, pods by name, and what a client should not have done.
#[derive(Debug, Clone, Default)]
pub struct Record {
    pub requests: BTreeMap<super::route::Kind, usize>,
    pub created: BTreeMap<String, usize>,
    pub ran: BTreeMap<String, usize>,
    pub complaints: Vec<String>,
    /// What came by attach.
    pub attached: BTreeMap<String, Vec<u8>>,
}

pub struct State {
    pub version: u64,
    /// Watches from before it are too old.
    pub oldest: u64,
    pub pods: BTreeMap<(String, String), Pod>,
    pub history: Vec<Arc<Change>>,
    /// Lists that are told in pages, by their version.
    pub pages: BTreeMap<u64, Arc<Listed>>,
    pub events: Vec<Value>,
    pub rights: Rights,
    /// Namespaces, and whether they are being deleted.
    pub namespaces: BTreeMap<String, bool>,
    /// So many pods may there be.
    pub quota: Option<usize>,
    /// Said in a header of each pod that is created.
    pub warning: Option<String>,
    /// Why nothing is told of pods, if so.
    pub frozen: BTreeSet<&'static str>,
    /// Followers end and logs cannot be had.
    pub are_logs_away: bool,
    pub secrets: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
    pub claims: BTreeMap<String, PathBuf>,
    /// Largest file of a log, when they rotate.
    pub rotation: Option<usize>,
    pub bookmarks: Duration,
    pub record: Record,
    pub has_ended: bool,
    numbers: u64,
}

/// All that outlives a restart of the API server.
pub struct Cluster {
    state: Mutex<State>,
    changed: Condvar,
    pub faults: Faults,
    pub wheel: Arc<Wheel>,
    pub kubelet: Arc<dyn Kubelet>,
    /// What serves it.
    pub front: OnceLock<Weak<Front>>,
}

impl Cluster {
    pub fn new(kubelet: Arc<dyn Kubelet>) -> Arc<Cluster> {
        let state = State {
            version: 1000,
            oldest: 1000,
            pods: BTreeMap::new(),
            history: Vec::new(),
            pages: BTreeMap::new(),
            events: Vec::new(),
            rights: Rights::default(),
            namespaces: BTreeMap::from([("airx".to_owned(), false), ("default".to_owned(), false)]),
            quota: None,
            warning: None,
            frozen: BTreeSet::new(),
            are_logs_away: false,
            secrets: BTreeMap::new(),
            claims: BTreeMap::new(),
            rotation: None,
            bookmarks: Duration::from_secs(60),
            record: Record::default(),
            has_ended: false,
            numbers: 0,
        };
        let (state, changed) = (Mutex::new(state), Condvar::new());
        Arc::new(Cluster { state, changed, faults: Faults::default(), wheel: Wheel::new(), kubelet, front: OnceLock::new() })
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a change, at most so long.
    pub fn wait<'a>(&self, state: MutexGuard<'a, State>, longest: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, longest).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Tells those who wait.
    pub fn ring(&self) {
        self.changed.notify_all();
    }

    /// Waits so long, unless the server ends.
    pub fn pause(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut state = self.state();
        while !state.has_ended && Instant::now() < until {
            state = self.wait(state, until.saturating_duration_since(Instant::now()));
        }
    }

    /// Something that the client should not have done.
    pub fn complain(&self, text: String) {
        self.state().record.complaints.push(text);
    }

    /// Changes a pod that is still there.
    pub fn modify(&self, key: &Key, change: impl FnOnce(&mut Value)) -> Option<Arc<Value>> {
        let mut state = self.state();
        state.pod(key)?;
        let object = state.change(&(key.namespace.clone(), key.name.clone()), change);
        drop(state);
        self.ring();
        object
    }

    /// Takes a pod away, or as soon as no finalizer holds it.
    pub fn remove(&self, key: &Key) {
        let mut state = self.state();
        if state.pod(key).is_some() {
            state.release(&(key.namespace.clone(), key.name.clone()));
        }
        drop(state);
        self.ring();
    }

    /// The pod as it is.
    pub fn object(&self, key: &Key) -> Option<Arc<Value>> {
        self.state().pod(key).map(|pod| pod.object.clone())
    }

    pub fn log(&self, key: &Key, container: &str) -> Option<Arc<Log>> {
        self.state().pod(key).and_then(|pod| pod.logs.get(container).cloned())
    }

    /// An Event of a pod, of now.
    pub fn event(&self, key: &Key, kind: &str, reason: &str, message: &str) {
        let now = format!("{:.0}", Timestamp::now());
        let event = json!({
            "reason": reason, "message": message, "type": kind, "count": 1,
            "firstTimestamp": now, "lastTimestamp": now, "eventTime": null,
            "source": { "component": "kubelet", "host": "node-1" },
            "reportingComponent": "kubelet", "reportingInstance": "node-1",
        });
        self.event_of(key, event);
    }

    /// An Event that is known but for whom it is about.
    pub fn event_of(&self, key: &Key, mut event: Value) {
        let mut state = self.state();
        state.version += 1;
        let version = state.version;
        let (name, namespace) = (format!("{}.{version:016x}", key.name), &key.namespace);
        let now = format!("{:.0}", Timestamp::now());
        let uid = state.uid();
        event["metadata"] = json!({
            "name": name, "namespace": namespace, "uid": uid, "resourceVersion": version.to_string(), "creationTimestamp": now,
        });
        event["involvedObject"] =
            json!({ "kind": "Pod", "apiVersion": "v1", "namespace": namespace, "name": key.name, "uid": key.uid });
        state.events.push(event);
    }
}

impl State {
    pub fn pod(&self, key: &Key) -> Option<&Pod> {
        self.pods.get(&(key.namespace.clone(), key.name.clone())).filter(|pod| pod.object["metadata"]["uid"] == key.uid.as_str())
    }

    /// One that nobody else has.
    pub fn uid(&mut self) -> String {
        self.numbers += 1;
        let mut bytes = [0; 8];
        let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
        let random = u64::from_le_bytes(bytes);
        format!("{:08x}-{:04x}-4{:03x}-8000-{:012x}", random >> 32, random >> 16 & 0xffff, random & 0xfff, self.numbers)
    }

    pub fn insert(&mut self, object: Value) -> Arc<Value> {
        let word = |key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
        let place = (word("namespace"), word("name"));
        let mut logs = BTreeMap::new();
        for container in containers(&object) {
            logs.insert(container, Arc::new(Log::new(self.rotation)));
        }
        *self.record.created.entry(place.1.clone()).or_default() += 1;
        let labels = Arc::new(labels(&object));
        self.pods.insert(place.clone(), Pod { object: Arc::new(object), labels, logs, is_due: false, has_run: false });
        self.tell(&place, What::Added).unwrap_or_default()
    }

    pub fn change(&mut self, place: &(String, String), change: impl FnOnce(&mut Value)) -> Option<Arc<Value>> {
        let pod = self.pods.get_mut(place)?;
        change(Arc::make_mut(&mut pod.object));
        if !pod.has_run && super::status::has_run(&pod.object) {
            pod.has_run = true;
            *self.record.ran.entry(place.1.clone()).or_default() += 1;
        }
        let object = self.tell(place, What::Modified);
        let held = self.pods.get(place).is_some_and(|pod| pod.is_due && finalizers(&pod.object).is_empty());
        if held {
            self.release(place);
        }
        object
    }

    /// Deletes what no finalizer holds.
    pub fn release(&mut self, place: &(String, String)) {
        let Some(pod) = self.pods.get_mut(place) else { return };
        pod.is_due = true;
        if finalizers(&pod.object).is_empty() {
            self.tell(place, What::Deleted);
            self.pods.remove(place);
        }
    }

    /// Gives the pod a version and its watchers a change.
    fn tell(&mut self, place: &(String, String), what: What) -> Option<Arc<Value>> {
        self.version += 1;
        let pod = self.pods.get_mut(place)?;
        let object = Arc::make_mut(&mut pod.object);
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let before = std::mem::replace(&mut pod.labels, Arc::new(labels(object)));
        let change = Change {
            version: self.version,
            what,
            namespace: place.0.clone(),
            name: place.1.clone(),
            before,
            after: pod.labels.clone(),
            text: object.to_string().into(),
        };
        self.history.push(Arc::new(change));
        Some(pod.object.clone())
    }

    /// What a restart does: whoever knew something knows it from too long ago.
    pub fn forget(&mut self) {
        self.version += 1;
        self.oldest = self.version;
        self.pages.clear();
    }
}

pub fn key_of(object: &Value) -> Key {
    let word = |key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
    Key { namespace: word("namespace"), name: word("name"), uid: word("uid") }
}

pub fn labels(object: &Value) -> Labels {
    let labels = object["metadata"]["labels"].as_object().into_iter().flatten();
    labels.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
}

pub fn finalizers(object: &Value) -> BTreeSet<String> {
    let all = object["metadata"]["finalizers"].as_array().into_iter().flatten();
    all.filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

/// The names of all its containers.
pub fn containers(object: &Value) -> Vec<String> {
    let of = |list: &str| object["spec"][list].as_array().cloned().unwrap_or_default();
    let all = of("initContainers").into_iter().chain(of("containers"));
    all.filter_map(|container| container["name"].as_str().map(str::to_owned)).collect()
}
