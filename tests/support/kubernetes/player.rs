//! A kubelet that plays recordings.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::kubelet::Kubelet;
use super::logs::Log;
use super::replay::{OnTerm, Replay};
use super::rewrite::rewrite;
use super::script::{Entry, Script, Step, What, moved};
use super::status;
use super::store::{Cluster, Key};

/// Chooses what is played for a pod.
pub type Choice = Box<dyn Fn(&Value) -> Replay + Send + Sync>;

pub struct Player {
    choice: Choice,
    runs: Mutex<BTreeMap<Key, Arc<Run>>>,
    /// What came while nothing could be told.
    frozen: Mutex<Vec<Box<dyn FnOnce() + Send>>>,
    had_outage: AtomicBool,
    me: std::sync::Weak<Player>,
}

struct Run {
    key: Key,
    replay: Replay,
    script: Arc<Script>,
    /// Of its main container; it outlives the pod, for those who follow.
    log: Option<Arc<Log>>,
    state: Mutex<RunState>,
}

#[derive(Default)]
struct RunState {
    /// When each step was played.
    played: Vec<Option<Timestamp>>,
    /// So many steps of its life that change its status are still to come.
    left: usize,
    is_cancelled: bool,
    reaction: Reaction,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Reaction {
    #[default]
    None,
    /// It is deleted when the last step of its life was played.
    WithLife,
    /// It gets SIGTERM as soon as it runs.
    WhenRunning(u64),
    Played,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Life,
    Ending,
}

impl Player {
    pub fn new(choice: Choice) -> Arc<Player> {
        Arc::new_cyclic(|me| Player {
            choice,
            runs: Mutex::default(),
            frozen: Mutex::default(),
            had_outage: AtomicBool::new(false),
            me: me.clone(),
        })
    }

    fn schedule(self: &Arc<Player>, cluster: &Arc<Cluster>, run: &Arc<Run>, part: Part, from: f64) {
        let mut entries = run.script.life.clone();
        if part == Part::Ending {
            // The DELETE itself has told of its first step.
            let first = run.script.ending.iter().position(|entry| matches!(entry.what, What::Step(_)));
            entries = run
                .script
                .ending
                .iter()
                .enumerate()
                .filter(|(at, _)| Some(*at) != first)
                .map(|(_, entry)| entry.clone())
                .collect();
        }
        let (start, clock) = (Instant::now(), Timestamp::now());
        let (mut before, mut at) = (from, Duration::ZERO);
        for entry in entries {
            let gap = (entry.at - before).max(0.0) * run.replay.factor;
            at += Duration::from_secs_f64(gap).min(run.replay.longest);
            before = before.max(entry.at);
            let (player, cluster, run, entry) = (self.clone(), cluster.clone(), run.clone(), entry);
            let time = status::later(clock, at);
            cluster.clone().wheel.at(start + at, move || player.play(&cluster, &run, part, &entry, time));
        }
    }

    fn play(self: &Arc<Player>, cluster: &Arc<Cluster>, run: &Arc<Run>, part: Part, entry: &Entry, time: Timestamp) {
        if part == Part::Life && run.state().is_cancelled {
            return;
        }
        match &entry.what {
            What::Step(_) if cluster.is_frozen() => {
                let (player, cluster, run, entry) = (self.clone(), cluster.clone(), run.clone(), entry.clone());
                self.keep(Box::new(move || player.play(&cluster, &run, part, &entry, time)));
            }
            What::Step(step) => self.step(cluster, run, part, step, time),
            What::Line(text) => {
                if let Some(log) = &run.log {
                    log.push(time, text.clone());
                }
            }
            What::LogEnd => run.end_log(),
            What::LogsAway(is_away) => cluster.keep_logs_away(*is_away),
            What::Outage { down, forbidden } => {
                if !self.had_outage.swap(true, Ordering::SeqCst) {
                    let time = |seconds: f64| Duration::from_secs_f64(seconds * run.replay.factor);
                    cluster.outage(time(*down).min(run.replay.longest), time(*forbidden).min(run.replay.longest));
                }
            }
            What::Event(event) => cluster.event_of(&run.key, event.clone()),
        }
    }

    fn step(self: &Arc<Player>, cluster: &Arc<Cluster>, run: &Arc<Run>, part: Part, step: &Arc<Step>, time: Timestamp) {
        let mut state = run.state();
        state.played[step.number] = Some(time);
        let played = state.played.clone();
        if part == Part::Life && !step.is_repeat {
            state.left = state.left.saturating_sub(1);
        }
        let (left, reaction) = (state.left, state.reaction);
        drop(state);
        if step.is_gone {
            if !run.script.has_log_end() {
                run.end_log();
            }
            cluster.remove(&run.key);
            return;
        }
        if step.number == 0 {
            return;
        }
        let factor = run.replay.factor;
        let changed = cluster.modify(&run.key, |pod| {
            let mut new = step.status.clone();
            for told in &step.times {
                let at = played[told.step].unwrap_or(time);
                let before = told.step.checked_sub(1).and_then(|step| played[step]).unwrap_or(at);
                let least = (at.as_nanosecond() - before.as_nanosecond()) as f64 / 1e9;
                let shown = moved(at, -(told.before * factor).min(least));
                if let Some(place) = new.pointer_mut(&told.pointer) {
                    *place = json!(status::stamp(shown));
                }
            }
            rewrite(pod, new);
            if let Some(node) = &step.node {
                pod["spec"]["nodeName"] = json!(node);
            }
            if let Some(grace) = step.grace {
                let now = pod["metadata"]["deletionGracePeriodSeconds"].as_u64();
                if now.is_none() || (now != Some(grace) && (grace == 0 || part == Part::Life)) {
                    status::mark_deleting(pod, grace);
                }
            }
        });
        let Some(pod) = changed else { return };
        let main = status::main_state(&pod).map(|(word, _)| word);
        if main == Some("terminated") && !run.script.has_log_end() {
            run.end_log();
        }
        match reaction {
            Reaction::WhenRunning(grace) if main == Some("running") => self.terminate(cluster, run, grace),
            Reaction::WithLife | Reaction::WhenRunning(_) if left == 0 => self.go(cluster, run, Duration::ZERO),
            _ => {}
        }
    }

    /// SIGTERM where the recording has nothing to say of it.
    fn terminate(self: &Arc<Player>, cluster: &Arc<Cluster>, run: &Arc<Run>, grace: u64) {
        let mut state = run.state();
        state.is_cancelled = true;
        state.reaction = Reaction::Played;
        drop(state);
        let (code, wait) = match run.replay.on_term {
            OnTerm::Exit(code) => (code, run.scaled(0.25)),
            OnTerm::Ignore => (137, run.scaled(grace as f64)),
        };
        let (player, cluster, run) = (self.clone(), cluster.clone(), run.clone());
        cluster.clone().wheel.after(wait, move || {
            player.tell(&cluster, &run.key, move |pod| {
                let started = status::main_state(pod).map(|(_, state)| state["startedAt"].clone()).unwrap_or_default();
                let reason = if code == 0 { "Completed" } else { "Error" };
                let state = json!({
                    "exitCode": code, "reason": reason, "startedAt": started, "finishedAt": status::stamp(Timestamp::now()),
                    "containerID": status::container(pod, "main").map(|status| status["containerID"].clone()),
                });
                status::set_state(pod, "main", "terminated", state);
                status::set_over(pod, if code == 0 { "Succeeded" } else { "Failed" });
            });
            run.end_log();
            let wait = run.scaled(0.27);
            player.go(&cluster, &run, wait);
        });
    }

    /// A container that waits and never ran.
    fn give_up(self: &Arc<Player>, cluster: &Arc<Cluster>, run: &Arc<Run>) {
        let mut state = run.state();
        state.is_cancelled = true;
        state.reaction = Reaction::Played;
        drop(state);
        self.tell(cluster, &run.key, |pod| status::set_state(pod, "main", "waiting", json!({ "reason": "ContainerCreating" })));
        let (player, cluster, run) = (self.clone(), cluster.clone(), run.clone());
        cluster.clone().wheel.after(run.scaled(0.9), move || {
            player.tell(&cluster, &run.key, |pod| {
                status::set_state(pod, "main", "terminated", status::unknown());
                status::set_condition(pod, "PodReadyToStartContainers", false, None);
                pod["status"]["phase"] = json!("Failed");
            });
            player.go(&cluster, &run, Duration::ZERO);
        });
    }

    /// The last two changes of a pod that is to go.
    fn go(self: &Arc<Player>, cluster: &Arc<Cluster>, run: &Arc<Run>, wait: Duration) {
        let (player, cluster, key) = (self.clone(), cluster.clone(), run.key.clone());
        cluster.clone().wheel.after(wait, move || {
            player.tell(&cluster, &key, |pod| status::mark_deleting(pod, 0));
            let (kept, copy) = (cluster.clone(), key.clone());
            if cluster.is_frozen() {
                player.keep(Box::new(move || kept.remove(&copy)));
            } else {
                cluster.remove(&key);
            }
        });
    }

    /// Changes a pod, now or when that can be told.
    fn tell(&self, cluster: &Arc<Cluster>, key: &Key, change: impl FnOnce(&mut Value) + Send + 'static) {
        if cluster.is_frozen() {
            let (cluster, key) = (cluster.clone(), key.clone());
            self.keep(Box::new(move || drop(cluster.modify(&key, change))));
        } else {
            cluster.modify(key, change);
        }
    }

    fn keep(&self, job: Box<dyn FnOnce() + Send>) {
        self.frozen.lock().unwrap_or_else(PoisonError::into_inner).push(job);
    }

    fn run(&self, key: &Key) -> Option<Arc<Run>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }
}

impl Run {
    fn state(&self) -> MutexGuard<'_, RunState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end_log(&self) {
        if let Some(log) = &self.log {
            log.end();
        }
    }

    fn scaled(&self, seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds * self.replay.factor).min(self.replay.longest)
    }
}

impl Kubelet for Player {
    fn created(&self, cluster: &Arc<Cluster>, key: &Key) {
        let (Some(me), Some(pod)) = (self.me.upgrade(), cluster.object(key)) else { return };
        let replay = (self.choice)(&pod);
        let script = Script::of(&replay.scenario, replay.pod.as_deref(), replay.by_somebody);
        let counts = |entry: &&Entry| matches!(&entry.what, What::Step(step) if !step.is_repeat);
        let mut state =
            RunState { played: vec![None; script.steps], left: script.life.iter().filter(counts).count(), ..RunState::default() };
        state.played[0] = Some(Timestamp::now());
        let log = cluster.log(key, "main");
        let run = Arc::new(Run { key: key.clone(), replay, script, log, state: Mutex::new(state) });
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), run.clone());
        me.schedule(cluster, &run, Part::Life, 0.0);
    }

    fn deleting(&self, cluster: &Arc<Cluster>, key: &Key, grace: u64) {
        let (Some(me), Some(run), Some(pod)) = (self.me.upgrade(), self.run(key), cluster.object(key)) else { return };
        let mut state = run.state();
        if state.reaction != Reaction::None {
            return;
        }
        let has_own = !run.script.ending.is_empty() && !run.script.is_forced && !run.replay.by_somebody;
        if state.left == 0 && has_own {
            state.reaction = Reaction::Played;
            state.is_cancelled = true;
            drop(state);
            return me.schedule(cluster, &run, Part::Ending, run.script.deleted_at);
        }
        let runs_later = run.script.life.iter().any(|entry| match &entry.what {
            What::Step(step) => {
                state.played[step.number].is_none() && !step.status["containerStatuses"][0]["state"]["running"].is_null()
            }
            _ => false,
        });
        match status::main_state(&pod).map(|(word, _)| word) {
            Some("terminated") if state.left > 0 => state.reaction = Reaction::WithLife,
            Some("terminated") => {
                drop(state);
                me.go(cluster, &run, Duration::ZERO);
            }
            Some("running") => {
                drop(state);
                me.terminate(cluster, &run, grace);
            }
            _ if runs_later => state.reaction = Reaction::WhenRunning(grace),
            _ => {
                drop(state);
                me.give_up(cluster, &run);
            }
        }
    }

    fn forced(&self, _cluster: &Arc<Cluster>, key: &Key) {
        if let Some(run) = self.run(key) {
            run.state().is_cancelled = true;
        }
    }

    fn thawed(&self) {
        let jobs = std::mem::take(&mut *self.frozen.lock().unwrap_or_else(PoisonError::into_inner));
        jobs.into_iter().for_each(|job| job());
    }

    fn end(&self) {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.frozen.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
