//! The life of one pod, on a thread of its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::kubernetes::status;
use super::super::kubernetes::store::{Cluster, Key};
use super::container::{Waiting, environment, secured};
use super::engine::Api;
use super::{Streams, volumes};

/// So often is looked whether what was missing is there.
const LOOK: Duration = Duration::from_millis(50);
/// Between a failed pull and the next.
const BACKOFF: Duration = Duration::from_millis(400);
/// The phase comes so much later than the container's end.
const LAG: Duration = Duration::from_millis(70);

/// What a pod's thread is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// It is to end within this grace.
    Delete(u64),
    /// It is out of the API, and ends some time.
    Forced,
    /// A container has ended.
    Exited,
    /// The server ends.
    End,
}

pub struct Running {
    pub cluster: Arc<Cluster>,
    pub key: Key,
    pub api: Api,
    pub label: String,
    pub place: PathBuf,
    pub spec: Value,
    pub inbox: Sender<Message>,
    pub messages: Receiver<Message>,
    pub stdin: Streams,
    /// What it was given to end.
    pub grace: Option<u64>,
    pub deadline: Option<Instant>,
    pub is_late: bool,
    /// Statuses of containers that are told with the pod's end.
    pub held: Option<Value>,
}

/// Why the thread ends before the pod does.
pub(super) enum Stop {
    /// Deleted before a container ran.
    Unknown,
    /// Its deadline was before.
    Late,
    /// The server ends, or the pod is out of its hands.
    Gone,
}

/// How a container ended.
pub(super) struct End {
    pub(super) code: i64,
}

impl Running {
    pub fn run(mut self) {
        match self.live() {
            Ok(phase) => self.over(phase),
            Err(Stop::Unknown) => self.unknown(),
            Err(Stop::Late) => {
                self.is_late = true;
                self.over("Failed");
            }
            Err(Stop::Gone) => {}
        }
        for container in self.names() {
            if let Some(log) = self.cluster.log(&self.key, &container) {
                log.end();
            }
            let _ = self.api.call("DELETE", &format!("/containers/{}?force=1&v=1", self.name(&container)), None);
        }
    }

    /// Runs all containers in their order; the phase at the end.
    fn live(&mut self) -> Result<&'static str, Stop> {
        self.schedule()?;
        let spec = self.spec["spec"].clone();
        let inits = spec["initContainers"].as_array().cloned().unwrap_or_default();
        let mains = spec["containers"].as_array().cloned().unwrap_or_default();
        if mains.len() != 1 || inits.iter().any(|init| init["restartPolicy"] == "Always") {
            self.cluster.complain(format!("{}: only init containers and one other really run here", self.key.name));
        }
        self.begin(&inits, &mains);
        if let Some(seconds) = spec["activeDeadlineSeconds"].as_u64() {
            self.deadline = Some(Instant::now() + Duration::from_secs(seconds));
        }
        let mut was_told = false;
        while let Some((volume, secret)) = volumes::missing_secret(&self.cluster, &self.spec) {
            if !std::mem::replace(&mut was_told, true) {
                let message = format!("MountVolume.SetUp failed for volume \"{volume}\" : secret \"{secret}\" not found");
                self.cluster.event(&self.key, "Warning", "FailedMount", &message);
            }
            self.idle()?;
        }
        volumes::prepare(&self.cluster, &self.spec, &self.place).expect("volumes");
        self.tell(|pod| status::set_condition(pod, "PodReadyToStartContainers", true, None));
        for init in &inits {
            if self.one(init, true)?.code != 0 || self.grace.is_some() {
                return Ok("Failed");
            }
        }
        let end = self.one(&mains[0], false)?;
        Ok(if end.code == 0 && !self.is_late { "Succeeded" } else { "Failed" })
    }

    fn schedule(&mut self) -> Result<(), Stop> {
        loop {
            let why = match volumes::missing_claim(&self.cluster, &self.spec) {
                Some(claim) => format!("persistentvolumeclaim \"{claim}\" not found"),
                None if self.spec["spec"]["nodeSelector"].as_object().is_some_and(|selector| !selector.is_empty()) => {
                    "1 node(s) didn't match Pod's node affinity/selector".to_owned()
                }
                None => break,
            };
            let message = format!(
                "0/1 nodes are available: {why}. no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
            );
            let is_told =
                self.cluster.object(&self.key).is_some_and(|pod| pod["status"]["conditions"][0]["message"] == message.as_str());
            if !is_told {
                self.tell(|pod| status::set_condition(pod, "PodScheduled", false, Some(("Unschedulable", &message))));
                self.cluster.event(&self.key, "Warning", "FailedScheduling", &message);
            }
            self.idle()?;
        }
        self.tell(|pod| {
            pod["spec"]["nodeName"] = json!("node-1");
            status::set_condition(pod, "PodScheduled", true, None);
        });
        let message = format!("Successfully assigned {}/{} to node-1", self.key.namespace, self.key.name);
        self.cluster.event(&self.key, "Normal", "Scheduled", &message);
        Ok(())
    }

    /// The first that the kubelet says: everything waits.
    fn begin(&self, inits: &[Value], mains: &[Value]) {
        let reason = if inits.is_empty() { "ContainerCreating" } else { "PodInitializing" };
        let waiting = |container: &Value| {
            json!({
                "name": container["name"], "state": { "waiting": { "reason": reason } }, "lastState": {}, "ready": false,
                "restartCount": 0, "image": container["image"], "imageID": "", "started": false,
            })
        };
        let names =
            |all: &[Value]| all.iter().map(|it| it["name"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>().join(" ");
        let (unready, incomplete) = (names(mains), names(inits));
        self.tell(|pod| {
            pod["status"]["conditions"] = json!([]);
            status::set_condition(pod, "PodReadyToStartContainers", false, None);
            let incomplete = format!("containers with incomplete status: [{incomplete}]");
            let why = (!inits.is_empty()).then_some(("ContainersNotInitialized", incomplete.as_str()));
            status::set_condition(pod, "Initialized", inits.is_empty(), why);
            let unready = format!("containers with unready status: [{unready}]");
            for name in ["Ready", "ContainersReady"] {
                status::set_condition(pod, name, false, Some(("ContainersNotReady", &unready)));
            }
            status::set_condition(pod, "PodScheduled", true, None);
            pod["status"]["observedGeneration"] = pod["metadata"]["generation"].clone();
            pod["status"]["hostIP"] = json!("192.0.2.2");
            pod["status"]["hostIPs"] = json!([{ "ip": "192.0.2.2" }]);
            pod["status"]["startTime"] = json!(status::stamp(Timestamp::now()));
            if !inits.is_empty() {
                pod["status"]["initContainerStatuses"] = inits.iter().map(waiting).collect();
            }
            pod["status"]["containerStatuses"] = mains.iter().map(waiting).collect();
        });
    }

    /// What a container needs before it can be made: its image and its environment.
    pub(super) fn ready(&self, container: &Value) -> Result<Vec<(String, String)>, Waiting> {
        let image = container["image"].as_str().unwrap_or_default();
        if image.contains(|c: char| c.is_whitespace() || c == '!') || image.chars().any(|c| c.is_ascii_uppercase()) {
            let message = format!(
                "Failed to apply default image tag \"{image}\": couldn't parse image name \"{image}\": invalid reference format: repository name (library/{image}) must be lowercase"
            );
            return Err(("InvalidImageName", message));
        }
        let Ok(found) = self.api.call("GET", &format!("/images/{image}/json"), None) else {
            if container["imagePullPolicy"] == "Never" {
                let message = format!("Container image \"{image}\" is not present with pull policy of Never");
                return Err(("ErrImageNeverPull", message));
            }
            let message = format!(
                "failed to pull and unpack image \"{image}\": failed to resolve image: failed to do request: Head \"https://{image}\": dial tcp 127.0.0.1:443: connect: connection refused"
            );
            return Err(("ErrImagePull", message));
        };
        let user = secured(&self.spec, container, "runAsUser").as_u64();
        let is_root =
            user == Some(0) || (user.is_none() && matches!(found["Config"]["User"].as_str(), None | Some("" | "0" | "root")));
        if *secured(&self.spec, container, "runAsNonRoot") == true && is_root {
            let (name, namespace, uid) = (&self.key.name, &self.key.namespace, &self.key.uid);
            let message = format!(
                "container has runAsNonRoot and image will run as root (pod: \"{name}_{namespace}({uid})\", container: {})",
                container["name"].as_str().unwrap_or_default()
            );
            return Err(("CreateContainerConfigError", message));
        }
        environment(&self.cluster, &self.key, &self.spec, container)
    }

    /// Waits until a container that could not be made can, or says the next word of a failing pull.
    pub(super) fn wait_for_change(&mut self, container: &Value, reason: &str, message: &str) -> Result<(), Stop> {
        let start = Instant::now();
        let name = container["name"].as_str().unwrap_or_default().to_owned();
        let mut is_backing_off = false;
        loop {
            self.idle()?;
            match self.ready(container) {
                Ok(_) => return Ok(()),
                Err((now, _)) if now != reason => return Ok(()),
                Err(_) => {}
            }
            if reason == "ErrImagePull" && start.elapsed() > BACKOFF {
                if is_backing_off && start.elapsed() > 2 * BACKOFF {
                    return Ok(());
                }
                if !std::mem::replace(&mut is_backing_off, true) {
                    let image = container["image"].as_str().unwrap_or_default();
                    let message = format!("Back-off pulling image \"{image}\": ErrImagePull: {message}");
                    self.tell(|pod| {
                        status::set_state(pod, &name, "waiting", json!({ "reason": "ImagePullBackOff", "message": message }))
                    });
                }
            }
        }
    }

    /// Waits a little while no container runs.
    pub(super) fn idle(&mut self) -> Result<(), Stop> {
        match self.messages.recv_timeout(LOOK) {
            Ok(Message::Delete(grace)) => {
                self.grace = Some(grace);
                Err(Stop::Unknown)
            }
            Ok(Message::Forced | Message::End) | Err(RecvTimeoutError::Disconnected) => Err(Stop::Gone),
            Ok(Message::Exited) | Err(RecvTimeoutError::Timeout) => {
                if self.deadline.is_some_and(|at| at <= Instant::now()) {
                    Err(Stop::Late)
                } else {
                    Ok(())
                }
            }
        }
    }

    /// The phase at the end, and what a deletion adds to it.
    fn over(&mut self, phase: &str) {
        if self.grace.is_none() && !self.is_late {
            std::thread::sleep(LAG);
        }
        let told = self.held.take();
        let is_late = self.is_late;
        self.await_thaw();
        // Told and looked at in one: a DELETE comes before, or finds a pod that is over.
        let pod = self.cluster.modify(&self.key, |pod| {
            if let Some(told) = told {
                pod["status"]["containerStatuses"] = told;
            }
            status::set_over(pod, phase);
            if is_late {
                pod["status"]["reason"] = json!("DeadlineExceeded");
                pod["status"]["message"] = json!("Pod was active on the node longer than the specified deadline");
            }
        });
        if pod.is_some_and(|pod| !pod["metadata"]["deletionTimestamp"].is_null()) {
            self.go();
        }
    }

    /// Deleted before a container ran.
    fn unknown(&mut self) {
        let names = self.names();
        let main = names.last().cloned().unwrap_or_default();
        self.tell(|pod| status::set_state(pod, &main, "waiting", json!({ "reason": "ContainerCreating" })));
        self.tell(|pod| {
            status::set_state(pod, &main, "terminated", status::unknown());
            status::set_condition(pod, "PodReadyToStartContainers", false, None);
            pod["status"]["phase"] = json!("Failed");
        });
        self.go();
    }

    fn go(&self) {
        self.tell(|pod| status::mark_deleting(pod, 0));
        self.await_thaw();
        self.cluster.remove(&self.key);
    }

    fn names(&self) -> Vec<String> {
        super::super::kubernetes::store::containers(&self.spec)
    }

    /// A container's name at the engine.
    pub(super) fn name(&self, container: &str) -> String {
        format!("airx-k8s-{}-{container}", self.key.uid)
    }

    pub(super) fn await_thaw(&self) {
        while self.cluster.is_frozen() && !self.cluster.state().has_ended {
            self.cluster.pause(LOOK);
        }
    }

    /// Changes the pod, as soon as the API can be told.
    pub(super) fn tell(&self, change: impl FnOnce(&mut Value)) {
        self.await_thaw();
        self.cluster.modify(&self.key, change);
    }
}
