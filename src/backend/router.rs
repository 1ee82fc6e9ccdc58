//! All backends of a manager: each attempt is handed to the one where it lives.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::docker::{self, Record, Settings as DockerParts};
use super::handle::Handle;
use super::kubernetes::{self, Parts as ClusterParts};
use super::places::Places;
use super::process::ProcessBackend;
use crate::manager::ports::{Backend, ClaudeCli, LaunchOrder, Place, ReportSink};
use crate::model::docker::DEFAULT_ENGINE;
use crate::model::ids::AttemptId;
use crate::model::kubernetes::ClusterName;
use crate::model::settings::{PoolSettings, Settings};

/// The threads of all backends, those that are started later among them: for whoever must know that they have done all they
/// were told before this process ends. They end once the backends and the receiver of their reports are gone.
#[derive(Clone, Default)]
pub struct Threads(Arc<Mutex<Vec<JoinHandle<()>>>>);

impl Threads {
    /// Waits for all of them.
    pub fn join(&self) {
        let threads = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // One that panicked has said so in the log.
            let _ = thread.join();
        }
    }

    fn add(&self, thread: Option<JoinHandle<()>>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(thread);
    }
}

/// The backends. Those of engines are started when a pool, or an attempt that was found, needs them.
pub struct Backends {
    process: ProcessBackend,
    /// Engines and clusters, by name.
    engines: BTreeMap<String, Handle>,
    docker: DockerParts,
    clusters: ClusterParts,
    sink: ReportSink,
    claude: Arc<dyn ClaudeCli>,
    threads: Threads,
    places: Places,
}

impl Backends {
    /// The process backend, and what is needed to start others.
    pub fn new(
        mut process: ProcessBackend,
        docker: DockerParts,
        clusters: ClusterParts,
        sink: ReportSink,
        claude: Arc<dyn ClaudeCli>,
    ) -> Backends {
        let threads = Threads::default();
        threads.add(process.thread());
        Backends { process, engines: BTreeMap::new(), docker, clusters, sink, claude, threads, places: Places::default() }
    }

    /// Their threads.
    pub fn threads(&self) -> Threads {
        self.threads.clone()
    }

    fn engine(&mut self, name: &str) -> Option<&mut Handle> {
        if !self.engines.contains_key(name) {
            let (sink, claude, places) = (self.sink.clone(), self.claude.clone(), self.places.clone());
            let started = match ClusterName::parse(name) {
                Some(cluster) => kubernetes::start(cluster, &self.clusters, sink, claude, places),
                None => docker::start(name, &self.docker, sink, claude, places),
            };
            match started {
                Ok(mut engine) => {
                    self.threads.add(engine.thread());
                    self.engines.insert(name.to_owned(), engine);
                }
                // Tried again at the next comparison. Told to the manager, whose thread this is, it could wait for ever.
                Err(error) => tracing::error!("no thread can be started for {name}: {error}"),
            }
        }
        self.engines.get_mut(name)
    }

    fn of(&mut self, attempt: AttemptId) -> Option<&mut dyn Backend> {
        match self.places.get(attempt).flatten() {
            Some(name) => self.engine(&name).map(|engine| engine as &mut dyn Backend),
            None => Some(&mut self.process),
        }
    }

    /// Where the attempt with this directory lives.
    fn place(&self, attempt: AttemptId, dir: &Path) -> io::Result<Option<String>> {
        if let Some(known) = self.places.get(attempt) {
            return Ok(known);
        }
        let default = docker::url(DEFAULT_ENGINE, &self.docker.environment);
        let place = match kubernetes::Record::find(dir)? {
            Some(record) => Some(record.cluster),
            None => Record::find(dir)?.map(|record| record.engine_now(&default).to_owned()),
        };
        self.places.insert(attempt, place.clone());
        Ok(place)
    }
}

impl Backend for Backends {
    fn launch(&mut self, order: LaunchOrder) {
        let place = match &order.place {
            Place::Process => None,
            Place::Docker(place) => Some(place.settings.engine().to_owned()),
            Place::Kubernetes(place) => Some(place.settings.engine()),
        };
        self.places.insert(order.attempt, place);
        let attempt = order.attempt;
        if let Some(backend) = self.of(attempt) {
            backend.launch(order);
        }
    }

    fn stop(&mut self, attempt: AttemptId, kill: bool) {
        if let Some(backend) = self.of(attempt) {
            backend.stop(attempt, kill);
        }
    }

    fn inspect(&mut self, attempts: Vec<(AttemptId, PathBuf)>, set_aside: &BTreeSet<String>) {
        let mut processes = Vec::new();
        // Each engine is asked, also for none: what it has beyond that is to be cleared away.
        let mut on_engines: BTreeMap<String, Vec<(AttemptId, PathBuf)>> =
            self.engines.keys().map(|name| (name.clone(), Vec::new())).collect();
        let mut kept = set_aside.clone();
        for (attempt, dir) in attempts {
            match self.place(attempt, &dir) {
                Ok(Some(name)) => on_engines.entry(name).or_default().push((attempt, dir)),
                Ok(None) => processes.push((attempt, dir)),
                Err(error) => {
                    // It may live anywhere. Nothing is told of it until that is known, and nothing of its job is cleared away.
                    tracing::warn!(%attempt, "the record beside {} cannot be read: {error}", dir.display());
                    let job = dir.parent().and_then(Path::file_name);
                    kept.extend(job.map(|job| job.to_string_lossy().into_owned()));
                }
            }
        }
        if !processes.is_empty() {
            self.process.inspect(processes, set_aside);
        }
        for (name, attempts) in on_engines {
            if let Some(engine) = self.engine(&name) {
                engine.inspect(attempts, &kept);
            }
        }
    }

    fn intake(&mut self, attempt: AttemptId, after: u32) {
        if let Some(backend) = self.of(attempt) {
            backend.intake(attempt, after);
        }
    }

    fn put(&mut self, attempt: AttemptId, name: String, content: Vec<u8>) {
        if let Some(backend) = self.of(attempt) {
            backend.put(attempt, name, content);
        }
    }

    fn forget(&mut self, attempt: AttemptId) {
        if let Some(backend) = self.of(attempt) {
            backend.forget(attempt);
        }
        self.places.remove(attempt);
    }

    fn configure(&mut self, settings: &Settings) {
        for engine in settings.pools.values().filter_map(PoolSettings::engine) {
            self.engine(&engine);
        }
    }
}
