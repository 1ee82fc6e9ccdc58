//! A kubelet that really runs pods: as containers of the tests' shared Docker engine. A test that has this module also has
//! `support/docker/mod.rs` as `docker` and `support/kubernetes/mod.rs` as `kubernetes` beside it.
#![allow(dead_code, reason = "each test program uses its own part")]

mod container;
mod engine;
mod one;
mod output;
mod pod;
mod volumes;

use std::collections::BTreeMap;
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::docker;
use super::kubernetes::Server;
use super::kubernetes::kubelet::Kubelet;
use super::kubernetes::store::{Cluster, Key};
use engine::Api;
use pod::{Message, Running};

/// Containers of these tests have it; its value is the process that they belong to.
const LABEL: &str = "airx.test.kubernetes";

/// A server whose pods really run; none (after saying so) where there is no engine.
///
/// # Panics
/// As `docker::shared`.
pub fn server() -> Option<Server> {
    docker::shared().map(server_on)
}

/// The same on another engine. A pod with the annotation `airx.test/network` is on that network of the engine's; others have none.
pub fn server_on(engine: &docker::Engine) -> Server {
    let api = Api { socket: engine.socket() };
    sweep(&api);
    let place = tempfile::Builder::new().prefix("airx-kubelet-").tempdir().expect("a directory");
    static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let label = format!("{}.{number}", owner());
    Server::with(Arc::new(Node { api, label, place, pods: Mutex::default() }))
}

/// A node: the engine, and what runs there.
struct Node {
    api: Api,
    label: String,
    place: tempfile::TempDir,
    pods: Mutex<BTreeMap<Key, Entry>>,
}

struct Entry {
    inbox: Sender<Message>,
    stdin: Streams,
}

/// Standard inputs of a pod's containers, by name, and whether the first writer closes it.
type Streams = Arc<Mutex<BTreeMap<String, (UnixStream, bool)>>>;

impl Node {
    fn pods(&self) -> MutexGuard<'_, BTreeMap<Key, Entry>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, key: &Key, message: Message) {
        if let Some(entry) = self.pods().get(key) {
            let _ = entry.inbox.send(message);
        }
    }
}

impl Kubelet for Node {
    fn created(&self, cluster: &Arc<Cluster>, key: &Key) {
        let Some(object) = cluster.object(key) else { return };
        let place = self.place.path().join(&key.uid);
        std::fs::create_dir_all(&place).expect("a directory");
        let (inbox, messages) = channel();
        let stdin = Streams::default();
        self.pods().insert(key.clone(), Entry { inbox: inbox.clone(), stdin: stdin.clone() });
        let running = Running {
            cluster: cluster.clone(),
            key: key.clone(),
            api: self.api.clone(),
            label: self.label.clone(),
            place,
            spec: (*object).clone(),
            inbox,
            messages,
            stdin,
            grace: None,
            deadline: None,
            is_late: false,
            held: None,
        };
        std::thread::spawn(move || running.run());
    }

    fn deleting(&self, _cluster: &Arc<Cluster>, key: &Key, grace: u64) {
        self.send(key, Message::Delete(grace));
    }

    fn forced(&self, _cluster: &Arc<Cluster>, key: &Key) {
        self.send(key, Message::Forced);
    }

    fn stdin(&self, key: &Key, container: &str) -> Option<Box<dyn Write + Send>> {
        let streams = self.pods().get(key)?.stdin.clone();
        let streams = streams.lock().unwrap_or_else(PoisonError::into_inner);
        let (stream, is_once) = streams.get(container)?;
        Some(Box::new(Stdin { stream: stream.try_clone().ok()?, is_once: *is_once }))
    }

    fn end(&self) {
        for entry in std::mem::take(&mut *self.pods()).values() {
            let _ = entry.inbox.send(Message::End);
        }
        remove(&self.api, |value| value == self.label);
        // Threads that still hold this do not keep it there.
        let _ = std::fs::remove_dir_all(self.place.path());
    }
}

/// A container's standard input; the only writer closes it behind itself.
struct Stdin {
    stream: UnixStream,
    is_once: bool,
}

impl Write for Stdin {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.stream.flush()
    }
}

impl Drop for Stdin {
    fn drop(&mut self) {
        if self.is_once {
            let _ = self.stream.shutdown(Shutdown::Write);
        }
    }
}

/// This process, told from others that had its number.
fn owner() -> String {
    let pid = std::process::id();
    format!("{pid}.{}", started(pid).unwrap_or_default())
}

/// When a process started, in ticks.
fn started(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(19).map(str::to_owned)
}

/// Removes what tests left that died.
fn sweep(api: &Api) {
    remove(api, |value| {
        let mut parts = value.split('.');
        let pid = parts.next().and_then(|pid| pid.parse().ok());
        pid.and_then(started).as_deref() != parts.next()
    });
}

/// Removes the containers whose label says so.
fn remove(api: &Api, is_it: impl Fn(&str) -> bool) {
    let filters = format!("%7B%22label%22%3A%5B%22{LABEL}%22%5D%7D");
    let all = api.call("GET", &format!("/containers/json?all=1&filters={filters}"), None).unwrap_or_default();
    for container in all.as_array().into_iter().flatten() {
        let label = container["Labels"][LABEL].as_str().unwrap_or_default();
        if is_it(label) {
            let _ = api.call("DELETE", &format!("/containers/{}?force=1&v=1", id(container)), None);
        }
    }
}

fn id(container: &Value) -> String {
    container["Id"].as_str().unwrap_or_default().to_owned()
}
