//! One container of a pod, from its image to its end.

use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::kubernetes::status;
use super::container::asked;
use super::pod::{End, Message, Running, Stop};
use super::{output, volumes};

impl Running {
    /// One container from its image to its end.
    pub(super) fn one(&mut self, container: &Value, is_init: bool) -> Result<End, Stop> {
        let name = container["name"].as_str().unwrap_or_default().to_owned();
        let environment = loop {
            match self.ready(container) {
                Ok(environment) => break environment,
                Err((reason, message)) => {
                    let state = json!({ "reason": reason, "message": message });
                    self.tell(|pod| status::set_state(pod, &name, "waiting", state));
                    self.cluster.event(&self.key, "Warning", "Failed", &message);
                    self.wait_for_change(container, reason, &message)?;
                }
            }
        };
        let (binds, words) = volumes::binds(&self.cluster, &self.spec, container, &self.place).expect("mounts");
        let body = asked(&self.spec, container, &environment, &binds, &self.label);
        let place = format!("/containers/create?name={}", self.name(&name));
        let made = match self.api.call("POST", &place, Some(&body)) {
            Ok(made) => super::id(&made),
            Err(message) => {
                let state = json!({ "reason": "CreateContainerError", "message": message });
                self.tell(|pod| status::set_state(pod, &name, "waiting", state));
                loop {
                    self.idle()?;
                }
            }
        };
        let has_stdin = container["stdin"] == true;
        let attached = self.api.attach(&made, has_stdin).expect("its streams");
        if has_stdin {
            let is_once = container["stdinOnce"] == true;
            let mut streams = self.stdin.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            streams.insert(name.clone(), (attached.stdin, is_once));
        }
        let (ended, read) = channel();
        if let Some(log) = self.cluster.log(&self.key, &name) {
            std::thread::spawn(move || output::read(attached.output, &log, &ended));
        }
        let id = format!("containerd://{made}");
        if let Err(message) = self.api.call("POST", &format!("/containers/{made}/start"), None) {
            let message = format!("failed to create containerd task: failed to create shim task: {message}");
            let state = json!({
                "exitCode": 128, "reason": "StartError", "message": message, "startedAt": "1970-01-01T00:00:00Z",
                "finishedAt": status::stamp(Timestamp::now()), "containerID": id,
            });
            self.ended(&name, state, &id, is_init);
            return Ok(End { code: 128 });
        }
        let started = status::stamp(Timestamp::now());
        self.tell(|pod| {
            status::set_state(pod, &name, "running", json!({ "startedAt": started }));
            set_id(pod, &name, &id);
            if !is_init {
                pod["status"]["phase"] = json!("Running");
                for condition in ["Ready", "ContainersReady"] {
                    status::set_condition(pod, condition, true, None);
                }
            }
        });
        self.cluster.event(&self.key, "Normal", "Started", &format!("Started container {name}"));
        let (api, waiting, inbox) = (self.api.clone(), made.clone(), self.inbox.clone());
        std::thread::spawn(move || {
            let _ = api.call("POST", &format!("/containers/{waiting}/wait"), None);
            let _ = inbox.send(Message::Exited);
        });
        self.watch(&made)?;
        // All it printed is there before its end is told.
        let _ = read.recv_timeout(Duration::from_secs(5));
        let found = self.ending(&made, container);
        let code = found["State"]["ExitCode"].as_i64().unwrap_or(137);
        let reason = match code {
            _ if found["State"]["OOMKilled"] == true => "OOMKilled",
            0 => "Completed",
            _ => "Error",
        };
        let mut state = json!({
            "exitCode": code, "reason": reason, "startedAt": started, "finishedAt": status::stamp(Timestamp::now()), "containerID": id,
        });
        let message = std::fs::read(&words).unwrap_or_default();
        if !message.is_empty() {
            state["message"] = json!(String::from_utf8_lossy(&message[..message.len().min(4096)]));
        }
        self.ended(&name, state, &id, is_init);
        Ok(End { code })
    }

    /// How a container ended, as the engine tells it. That memory ran out it may learn later than the end, or never when it is busy:
    /// then the kernel's word is taken.
    fn ending(&self, id: &str, container: &Value) -> Value {
        let look = || self.api.call("GET", &format!("/containers/{id}/json"), None).unwrap_or_default();
        let mut found = look();
        let is_bounded = !container["resources"]["limits"]["memory"].is_null();
        if !is_bounded || found["State"]["ExitCode"] == 0 || found["State"]["OOMKilled"] == true {
            return found;
        }
        if kernel_killed(id) {
            found["State"]["OOMKilled"] = json!(true);
            return found;
        }
        std::thread::sleep(Duration::from_millis(50));
        look()
    }

    /// Tells of a container's end, unless the pod's end is told with it.
    fn ended(&mut self, name: &str, state: Value, id: &str, is_init: bool) {
        let is_good = state["exitCode"] == 0;
        let is_told_with_the_pod = (self.grace.is_some() || self.is_late) && !is_init;
        let change = move |pod: &mut Value| {
            status::set_state(pod, name, "terminated", state);
            set_id(pod, name, id);
            let mut inits = pod["status"]["initContainerStatuses"].as_array().into_iter().flatten();
            if !is_init || !is_good {
                status::set_ended(pod, is_good);
            } else if inits.all(|init| init["state"]["terminated"]["exitCode"] == 0) {
                status::set_condition(pod, "Initialized", true, None);
            }
        };
        if is_told_with_the_pod {
            let mut pod = self.cluster.object(&self.key).map(|pod| (*pod).clone()).unwrap_or_default();
            change(&mut pod);
            self.held = Some(pod["status"]["containerStatuses"].clone());
        } else {
            self.tell(change);
        }
        if let Some(log) = self.cluster.log(&self.key, name) {
            log.end();
        }
    }

    /// Until the container has ended, with whatever ends it.
    fn watch(&mut self, id: &str) -> Result<(), Stop> {
        let mut kill_at: Option<Instant> = None;
        let mut is_forced = false;
        loop {
            let next = [kill_at, self.deadline.filter(|_| !self.is_late)].into_iter().flatten().min();
            let wait = next.map_or(Duration::from_secs(3600), |at| at.saturating_duration_since(Instant::now()));
            match self.messages.recv_timeout(wait) {
                Ok(Message::Exited) if is_forced => return Err(Stop::Gone),
                Ok(Message::Exited) => return Ok(()),
                Ok(Message::Delete(grace)) => {
                    self.await_thaw();
                    self.grace = Some(grace);
                    self.signal(id, "SIGTERM");
                    kill_at = Some(Instant::now() + Duration::from_secs(grace));
                }
                // It is out of the API at once, and the process goes on for a while.
                Ok(Message::Forced) => {
                    is_forced = true;
                    self.signal(id, "SIGTERM");
                    kill_at = Some(Instant::now() + Duration::from_millis(500));
                }
                Ok(Message::End) | Err(RecvTimeoutError::Disconnected) => return Err(Stop::Gone),
                Err(RecvTimeoutError::Timeout) if kill_at.is_some_and(|at| at <= Instant::now()) => {
                    self.signal(id, "SIGKILL");
                    kill_at = None;
                }
                Err(RecvTimeoutError::Timeout) if self.deadline.is_some_and(|at| at <= Instant::now()) && !self.is_late => {
                    self.await_thaw();
                    self.is_late = true;
                    self.tell(|pod| {
                        for name in ["Ready", "ContainersReady"] {
                            status::set_condition(pod, name, false, Some(("PodFailed", "")));
                        }
                    });
                    self.signal(id, "SIGTERM");
                    let grace = self.spec["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap_or(30);
                    kill_at = Some(Instant::now() + Duration::from_secs(grace));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn signal(&self, id: &str, signal: &str) {
        let _ = self.api.call("POST", &format!("/containers/{id}/kill?signal={signal}"), None);
    }
}

fn set_id(pod: &mut Value, container: &str, id: &str) {
    for list in ["containerStatuses", "initContainerStatuses"] {
        for status in pod["status"].get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            if status["name"] == container {
                status["containerID"] = json!(id);
                status["imageID"] = json!("sha256:0f2e5a1d3c4b");
            }
        }
    }
}

/// Whether the kernel's log has it that this container's memory ran out.
fn kernel_killed(id: &str) -> bool {
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
    let Ok(mut log) = std::fs::OpenOptions::new().read(true).custom_flags(flags).open("/dev/kmsg") else { return false };
    let mut record = vec![0; 8192];
    loop {
        match log.read(&mut record) {
            Ok(0) => return false,
            Ok(count) => {
                let text = String::from_utf8_lossy(&record[..count]);
                if text.contains("oom-kill:") && text.contains(id) {
                    return true;
                }
            }
            // Overwritten while it was read.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
            Err(_) => return false,
        }
    }
}
