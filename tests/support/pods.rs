//! The backend of pods against the fake API server, without a manager: what is ordered, and what is reported.
#![allow(dead_code, reason = "each test program uses its own part")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use airx::backend::Places;
use airx::backend::kubernetes::{self as backend, Parts};
use airx::manager::ports::{Backend, ClaudeCli, ClaudeRun, LaunchOrder, Place, PodPlace};
use airx::model::attempt::{Progress, RunnerSpec};
use airx::model::docker::RunnerMode;
use airx::model::ids::{AttemptId, JobId, TaskIdx};
use airx::model::jobfile::{ParseOptions, parse};
use airx::model::kubernetes::{ClusterName, KubernetesSettings};
use airx::model::outcome::{Asked, classify};
use airx::model::report::{ClaudeReport, Report};
use airx::model::spec::{ClaudeSpec, Resources, TaskSpec};
use airx::model::state::Outcome;
use serde_json::json;

use crate::kubernetes::{PATIENCE, Server};

/// Between two comparisons with reality.
const POLL: Duration = Duration::from_millis(300);
/// The home's identity in all tests.
pub const INSTANCE: &str = "0a1b2c3d";

struct NoClaude;

impl ClaudeCli for NoClaude {
    fn refuse(&self, _: &ClaudeSpec, _: &str, _: bool, _: &[(String, String)]) -> Option<String> {
        None
    }
    fn env_defaults(&self) -> Vec<(&'static str, &'static str)> {
        Vec::new()
    }
    fn argv(&self, _: &ClaudeRun<'_>) -> Vec<String> {
        Vec::new()
    }
    fn go_on(&self) -> &'static str {
        ""
    }
    fn has_session(&self, _: &str, _: &BTreeMap<String, String>) -> Option<bool> {
        None
    }
    fn stdin(&self, prompt: &str, _: bool) -> String {
        prompt.to_owned()
    }
    fn read(&self, _: &Path) -> ClaudeReport {
        ClaudeReport::default()
    }
}

/// A backend, its home, and the server that it talks to.
pub struct Bench {
    pub server: Server,
    dir: tempfile::TempDir,
    backend: Option<Box<dyn Backend>>,
    reports: Receiver<Report>,
    /// All that was reported, in order.
    pub told: Vec<Report>,
    asked: BTreeMap<AttemptId, Asked>,
    /// Of those that have not ended.
    settings: BTreeMap<AttemptId, KubernetesSettings>,
    next: u32,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// As a person reads it.
    pub sentence: String,
    /// The outcome.
    pub outcome: Outcome,
    /// What was kept of its output.
    pub out: Vec<u8>,
    /// Remarks.
    pub notes: Vec<String>,
}

/// The settings of a pool without our runner, whose waits are as short as the recordings are played quickly.
pub fn reduced() -> KubernetesSettings {
    KubernetesSettings {
        runner: RunnerMode::None,
        schedule_deadline_ms: 1_500,
        pull_deadline_ms: 1_500,
        create_rate: 1_000.0,
        ..KubernetesSettings::of("busybox")
    }
}

impl Bench {
    pub fn new(server: Server) -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let (backend, reports) = start(&server, dir.path());
        Bench {
            server,
            dir,
            backend: Some(backend),
            reports,
            told: Vec::new(),
            asked: BTreeMap::new(),
            settings: BTreeMap::new(),
            next: 1,
        }
    }

    fn backend(&mut self) -> &mut dyn Backend {
        self.backend.as_mut().unwrap().as_mut()
    }

    /// As if the manager had been killed: what the thread was doing is not waited for.
    pub fn restart(&mut self) {
        self.backend = None;
        let (backend, reports) = start(&self.server, self.dir.path());
        (self.backend, self.reports) = (Some(backend), reports);
    }

    pub fn dir(&self, attempt: AttemptId) -> PathBuf {
        self.dir.path().join("jobs/a.1").join(format!("t.{}", attempt.number))
    }

    pub fn pod(attempt: AttemptId) -> String {
        format!("airx-{INSTANCE}-{attempt}")
    }

    /// The order for one more attempt.
    pub fn order(&mut self, settings: &KubernetesSettings) -> LaunchOrder {
        let attempt = AttemptId { job: JobId(1), task: TaskIdx(0), number: self.next };
        self.next += 1;
        self.order_of(attempt, settings)
    }

    pub fn order_of(&self, attempt: AttemptId, settings: &KubernetesSettings) -> LaunchOrder {
        let spec: RunnerSpec = serde_json::from_value(json!({
            "mark": format!("{INSTANCE}-{attempt}"), "argv": ["sh", "-c", "true"], "cwd": "/workspace", "stdin": "null",
            "output": "pipes", "grace_ms": 2_000, "stop": "term", "output_limit": 100_000_000,
        }))
        .unwrap();
        let place = PodPlace {
            settings: Arc::new(settings.clone()),
            job: "a.1".into(),
            task: "t".into(),
            resources: Resources::default(),
            nonce: "nonce".into(),
        };
        LaunchOrder {
            attempt,
            dir: self.dir(attempt),
            spec,
            env: Vec::new(),
            prompt: None,
            place: Place::Kubernetes(Box::new(place)),
        }
    }

    pub fn launch(&mut self, settings: &KubernetesSettings) -> AttemptId {
        let order = self.order(settings);
        let attempt = order.attempt;
        self.settings.insert(attempt, settings.clone());
        self.launch_order(order);
        attempt
    }

    pub fn launch_order(&mut self, order: LaunchOrder) {
        self.backend().launch(order);
    }

    pub fn stop(&mut self, attempt: AttemptId, kill: bool) {
        self.asked.insert(attempt, if kill { Asked::Kill } else { Asked::Cancel });
        self.backend().stop(attempt, kill);
    }

    pub fn put(&mut self, attempt: AttemptId, name: &str, content: &[u8]) {
        self.backend().put(attempt, name.to_owned(), content.to_vec());
    }

    pub fn forget(&mut self, attempt: AttemptId) {
        self.backend().forget(attempt);
    }

    pub fn inspect(&mut self, attempts: &[AttemptId]) {
        let all = attempts.iter().map(|attempt| (*attempt, self.dir(*attempt))).collect();
        self.backend().inspect(all, &BTreeSet::new());
    }

    /// The next report that fits. Meanwhile it does what a manager does: it compares with reality now and then, and asks again for
    /// what came to nothing.
    pub fn until<T>(&mut self, what: &str, fits: impl Fn(&Report) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "in vain: {what}; told {:?}; {:?}", self.told, self.server.complaints());
            match self.reports.recv_timeout(POLL) {
                Ok(report) => {
                    // Those come again and again.
                    if !matches!(report, Report::Live { .. } | Report::Unsure { .. }) {
                        self.told.push(report.clone());
                    }
                    if let Some(found) = fits(&report) {
                        return found;
                    }
                    if let Report::NeverStarted { attempt } = report {
                        self.launch_order(self.order_of(attempt, &self.settings[&attempt].clone()));
                    }
                }
                Err(_) => {
                    let all: Vec<AttemptId> = self.settings.keys().copied().collect();
                    self.inspect(&all);
                }
            }
        }
    }

    /// Reports that have come by now.
    pub fn heard(&mut self) -> Vec<Report> {
        let mut all = Vec::new();
        while let Ok(report) = self.reports.try_recv() {
            all.push(report);
        }
        self.told.extend(all.clone());
        all
    }

    pub fn until_started(&mut self, attempt: AttemptId) {
        self.until("it runs", |report| matches!(report, Report::Started { attempt: it } if *it == attempt).then_some(()));
    }

    pub fn until_progress(&mut self, part: &str) {
        let has = |progress: &Progress| progress.text.as_ref().is_some_and(|text| text.contains(part));
        self.until(part, |report| matches!(report, Report::Launching { progress, .. } if has(progress)).then_some(()));
    }

    /// Waits for an attempt's end, as the manager would take it in.
    pub fn end(&mut self, attempt: AttemptId) -> Ended {
        let told = |report: &Report| match report {
            Report::Over { attempt: it, end, .. } if *it == attempt => Some(Ok(end.clone())),
            Report::LaunchFailed { attempt: it, why, transient } if *it == attempt => Some(Err((why.clone(), *transient))),
            _ => None,
        };
        let found = match self.told.iter().find_map(told) {
            Some(found) => found,
            None => self.until("its end", told),
        };
        self.settings.remove(&attempt);
        let asked = self.asked.get(&attempt).copied().unwrap_or_default();
        let (outcome, notes) = match found {
            Ok(end) => (classify(&end, asked, &task()), end.notes),
            Err(_) if asked != Asked::Nothing => (Outcome::Cancelled, Vec::new()),
            Err((why, transient)) => (Outcome::Unlaunchable { why, transient }, Vec::new()),
        };
        let out = std::fs::read(self.dir(attempt).join("out")).unwrap_or_default();
        Ended { sentence: outcome.sentence(), outcome, out, notes }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.server.complaints(), Vec::<String>::new(), "what a client must not do");
        }
    }
}

fn start(server: &Server, home: &Path) -> (Box<dyn Backend>, Receiver<Report>) {
    let (send, reports) = channel();
    // A report nobody waits for any more is of no use.
    let sink = Arc::new(move |report| drop(send.send(report)));
    let kubeconfig = server.kubeconfig().display().to_string();
    let parts = Parts {
        instance: INSTANCE.to_owned(),
        home: home.to_owned(),
        results: home.join("results"),
        environment: BTreeMap::from([("KUBECONFIG".to_owned(), kubeconfig)]),
    };
    let cluster = ClusterName { context: None, namespace: None };
    let handle = backend::start(cluster, &parts, sink, Arc::new(NoClaude), Places::default()).unwrap();
    (Box::new(handle), reports)
}

fn task() -> TaskSpec {
    let (none, nobody) = (BTreeMap::new(), |_: &Path| Err(String::new()));
    let options = ParseOptions {
        file: "job.yaml",
        base: Path::new("/"),
        params: &[],
        environment: &none,
        pools: None,
        claude_passed: &none,
        read_file: &nobody,
    };
    let parsed = parse("name: a\ntasks: [{ id: t, run: 'true' }]\n", &options).unwrap();
    parsed.submission.tasks.into_iter().next().unwrap()
}
