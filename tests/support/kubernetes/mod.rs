//! A fake Kubernetes API server: it speaks the wire, and pods are recordings or really run. See README.md.
#![allow(dead_code, unused_imports, reason = "each test program uses its own part")]
#![allow(clippy::result_large_err, reason = "a refused request is no hot path")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test says so by a panic")]

mod attach;
mod defaults;
pub mod faults;
mod follow;
mod front;
pub mod halt;
mod http;
pub mod kubelet;
pub mod logs;
mod player;
mod pods;
mod refusal;
mod replay;
mod rewrite;
mod rights;
mod route;
pub mod script;
mod selector;
mod serve;
pub mod status;
pub mod store;
mod watch;
mod wheel;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

pub use faults::{Admission, Fault, Faults, When, Which};
pub use halt::Halt;
pub use http::Framing;
pub use kubelet::Disruption;
pub use refusal::Refusal;
pub use replay::{OnTerm, Replay};
pub use route::Kind;

use front::Front;
use kubelet::Kubelet;
use player::{Choice, Player};
use store::{Cluster, Key, key_of};

/// Longest wait for a condition.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// So long a server that was started anew forbids everything.
const STARTING: Duration = Duration::from_millis(200);

/// A server. It ends when it is dropped.
pub struct Server {
    front: Arc<Front>,
    cluster: Arc<Cluster>,
    dir: tempfile::TempDir,
}

impl Server {
    /// One whose pods all play the same recording.
    pub fn replay(replay: Replay) -> Server {
        Server::replaying(move |_| replay.clone())
    }

    /// One that chooses a recording for each pod.
    pub fn replaying(choice: impl Fn(&Value) -> Replay + Send + Sync + 'static) -> Server {
        let choice: Choice = Box::new(choice);
        Server::with(Player::new(choice))
    }

    /// One with another kubelet.
    pub fn with(kubelet: Arc<dyn Kubelet>) -> Server {
        let cluster = Cluster::new(kubelet);
        let front = Front::new(cluster.clone()).expect("a port of 127.0.0.1");
        let dir = tempfile::Builder::new().prefix("airx-kubernetes-").tempdir().expect("a directory");
        let server = Server { front, cluster, dir };
        server.write_kubeconfig();
        server
    }

    fn write_kubeconfig(&self) {
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "airx",
            "clusters": [{ "name": "fake", "cluster": { "server": self.url() } }],
            "users": [{ "name": "airx-manager", "user": { "token": self.token() } }],
            "contexts": [{ "name": "airx", "context": { "cluster": "fake", "user": "airx-manager", "namespace": "airx" } }],
        });
        // JSON is YAML.
        std::fs::write(self.kubeconfig(), format!("{config:#}\n")).expect("a kubeconfig");
    }

    /// The path of its kubeconfig, whose context `airx` has the namespace `airx`.
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.path().join("kubeconfig")
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.front.port)
    }

    pub fn port(&self) -> u16 {
        self.front.port
    }

    pub fn token(&self) -> &str {
        &self.front.token
    }

    /// What goes wrong.
    pub fn faults(&self) -> &Faults {
        &self.cluster.faults
    }

    /// What a client did that it must not.
    pub fn complaints(&self) -> Vec<String> {
        self.cluster.state().record.complaints.clone()
    }

    /// How many requests there were of a kind, refused ones too.
    pub fn requests(&self, kind: Kind) -> usize {
        self.cluster.state().record.requests.get(&kind).copied().unwrap_or_default()
    }

    /// Of all kinds.
    pub fn all_requests(&self) -> BTreeMap<Kind, usize> {
        self.cluster.state().record.requests.clone()
    }

    /// How often each name was created.
    pub fn created(&self) -> BTreeMap<String, usize> {
        self.cluster.state().record.created.clone()
    }

    /// How often the main container of each name ran.
    pub fn ran(&self) -> BTreeMap<String, usize> {
        self.cluster.state().record.ran.clone()
    }

    /// The pods that are there.
    pub fn pods(&self) -> Vec<Arc<Value>> {
        self.cluster.state().pods.values().map(|pod| pod.object.clone()).collect()
    }

    /// The pod of this name in the namespace `airx`.
    pub fn pod(&self, name: &str) -> Option<Arc<Value>> {
        self.cluster.state().pods.get(&("airx".to_owned(), name.to_owned())).map(|pod| pod.object.clone())
    }

    /// All that the main container of a pod printed.
    pub fn log(&self, name: &str) -> Vec<u8> {
        let log = self.cluster.log(&self.key(name), "main").expect("a container named main");
        log.lines().iter().flat_map(|line| line.text.clone()).collect()
    }

    /// All that was sent to standard inputs of a pod's containers.
    pub fn attached(&self, name: &str) -> Vec<u8> {
        self.cluster.state().record.attached.get(name).cloned().unwrap_or_default()
    }

    /// Waits for a named condition.
    pub fn until(&self, what: &str, condition: impl Fn(&Server) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition(self) {
            assert!(Instant::now() < deadline, "waited too long until {what}; pods: {:#?}", self.pods());
            let state = self.cluster.state();
            drop(self.cluster.wait(state, Duration::from_millis(20)));
        }
    }

    /// Deletes a pod as another person does; without a grace its own.
    pub fn delete(&self, name: &str, grace: Option<u64>) {
        self.cluster.delete(&self.key(name), grace);
    }

    /// The same where it may have gone by now; whether it was there.
    pub fn delete_if_there(&self, name: &str, grace: Option<u64>) -> bool {
        let pod = self.pod(name);
        pod.inspect(|pod| self.cluster.delete(&key_of(pod), grace)).is_some()
    }

    /// Evicts a pod.
    pub fn evict(&self, name: &str) {
        self.disrupt(name, Disruption::Evicted);
    }

    /// Ends a pod as somebody of the cluster does.
    pub fn disrupt(&self, name: &str, why: Disruption) {
        self.cluster.disrupt(&self.key(name), why);
    }

    /// Changes a pod by hand, its status too; watches are told.
    pub fn change(&self, name: &str, change: impl FnOnce(&mut Value)) {
        self.cluster.modify(&self.key(name), change);
    }

    fn key(&self, name: &str) -> Key {
        let pod = self.pod(name).unwrap_or_else(|| panic!("there is no pod {name}"));
        key_of(&pod)
    }

    /// The node goes: states freeze, `Ready` becomes false without a reason, logs cannot be had.
    pub fn node_away(&self) {
        self.cluster.node_away();
    }

    /// The node is back, and tells what happened meanwhile.
    pub fn node_back(&self) {
        self.cluster.node_back();
    }

    /// The API server goes: connections are reset, then refused.
    pub fn stop(&self) {
        self.front.down();
    }

    /// It comes back on its port, forbids everything for a while, and knows no resourceVersion of before.
    pub fn start(&self, forbidden: Duration) {
        self.front.up_again(forbidden).expect("its port");
    }

    /// Both, with a time in between.
    pub fn restart(&self, down_for: Duration) {
        self.stop();
        std::thread::sleep(down_for);
        self.start(STARTING);
    }

    /// All resourceVersions become too old, without anything else.
    pub fn expire(&self) {
        self.cluster.state().forget();
    }

    /// Open connections, and how many there were at most.
    pub fn connections(&self) -> (usize, usize) {
        (self.front.connections(), self.front.most_connections())
    }

    /// Allows a verb on a resource, a subresource after a slash (`pods/log`).
    pub fn allow(&self, verb: &str, resource: &str) {
        self.cluster.state().rights.allow(verb, resource);
    }

    pub fn deny(&self, verb: &str, resource: &str) {
        self.cluster.state().rights.deny(verb, resource);
    }

    /// What is allowed is so in all namespaces.
    pub fn allow_everywhere(&self) {
        self.cluster.state().rights.is_everywhere = true;
    }

    /// One more namespace, where the client has its rights.
    pub fn namespace(&self, name: &str) {
        let mut state = self.cluster.state();
        state.namespaces.insert(name.to_owned(), false);
        state.rights.namespaces.insert(name.to_owned());
    }

    /// A namespace is being deleted.
    pub fn terminate_namespace(&self, name: &str) {
        self.cluster.state().namespaces.insert(name.to_owned(), true);
    }

    /// So many pods that are not over may there be.
    pub fn quota(&self, pods: Option<usize>) {
        self.cluster.state().quota = pods;
    }

    /// Said in a header to each POST of a pod.
    pub fn warn(&self, text: Option<&str>) {
        self.cluster.state().warning = text.map(str::to_owned);
    }

    /// How often watches are sent a bookmark.
    pub fn bookmark_every(&self, time: Duration) {
        self.cluster.state().bookmarks = time;
    }

    /// Files of the logs of pods to come have at most so many bytes.
    pub fn rotate_logs(&self, largest: usize) {
        self.cluster.state().rotation = Some(largest);
    }

    /// A secret in the namespace.
    pub fn secret(&self, name: &str, key: &str, value: &[u8]) {
        let mut state = self.cluster.state();
        state.secrets.entry(name.to_owned()).or_default().insert(key.to_owned(), value.to_vec());
    }

    /// A PersistentVolumeClaim that is a directory of this machine.
    pub fn claim(&self, name: &str, directory: &Path) {
        self.cluster.state().claims.insert(name.to_owned(), directory.to_owned());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.cluster.state().has_ended = true;
        self.cluster.ring();
        self.front.end();
        self.cluster.wheel.end();
        self.cluster.kubelet.end();
    }
}
