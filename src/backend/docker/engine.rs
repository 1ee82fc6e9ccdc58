//! One engine: the way to it, whether it answers, and what lives on it. Shared by all tasks of its thread.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bollard::models::{SystemInfo, SystemVersion};
use bollard::{API_DEFAULT_VERSION, Docker};
use tokio::sync::Notify;

use super::custody::Custody;
use super::fault::Fault;
use super::plan::{EngineFacts, Side};
use crate::backend::attempt::desk::Desk;
use crate::backend::places::Places;
use crate::manager::ports::{ClaudeCli, ReportSink};
use crate::model::ids::AttemptId;
use crate::model::report::Report;

/// Longest wait for an answer of the engine, in seconds. Starting many containers at once takes it long.
const PATIENCE_S: u64 = 120;
/// Longest wait for the first sign of life.
const HELLO: Duration = Duration::from_secs(10);
/// Between two tries to reach an engine that is gone: doubled each time, up to the latter.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// What an engine is made of.
pub struct Parts {
    /// As reports name it.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// What is known of this side.
    pub side: Side,
    /// Where results too large for the database go.
    pub results: PathBuf,
    /// Where reports go.
    pub sink: ReportSink,
    /// Reads transcripts.
    pub claude: Arc<dyn ClaudeCli>,
    /// Where all attempts live.
    pub places: Places,
    /// Logins to registries.
    pub registries: super::registry::Registries,
    /// Where the certificates for an engine at tcp are, when it is reached by TLS: `ca.pem`, `cert.pem`, `key.pem`.
    pub tls: Option<PathBuf>,
}

/// An engine.
pub struct Engine {
    /// What it is made of.
    pub parts: Parts,
    /// Reads what attempts leave.
    pub desk: Desk,
    /// Our program on a remote engine.
    pub program: super::remote::Program,
    client: RefCell<Option<Docker>>,
    facts: RefCell<EngineFacts>,
    trouble: RefCell<Option<String>>,
    /// Rings when it may be gone.
    pub doubt: Notify,
    /// Rings when it is back.
    pub back: Notify,
    tried: Notify,
    /// How often it was gone.
    pub outages: Cell<u32>,
    live: RefCell<BTreeMap<AttemptId, Rc<Custody>>>,
    /// Calls between the making of a container and the handing over of its environment: a manager that leaves waits for them.
    pub delicate: Cell<u32>,
}

impl Engine {
    /// Not connected yet.
    pub fn new(parts: Parts) -> Engine {
        Engine {
            desk: Desk::new(parts.results.clone(), parts.claude.clone(), parts.sink.clone()),
            parts,
            program: super::remote::Program::default(),
            client: RefCell::default(),
            facts: RefCell::default(),
            trouble: RefCell::default(),
            doubt: Notify::new(),
            back: Notify::new(),
            tried: Notify::new(),
            outages: Cell::new(0),
            live: RefCell::default(),
            delicate: Cell::new(0),
        }
    }

    /// The way to it.
    ///
    /// # Errors
    /// Why it cannot be reached now.
    pub fn client(&self) -> Result<Docker, Fault> {
        if let Some(why) = self.trouble.borrow().clone() {
            return Err(Fault::Unreachable(why));
        }
        self.client.borrow().clone().ok_or_else(|| Fault::Unreachable("it was not reached yet".to_owned()))
    }

    /// What is known of it.
    pub fn facts(&self) -> EngineFacts {
        self.facts.borrow().clone()
    }

    /// Tells.
    pub fn tell(&self, report: Report) {
        (self.parts.sink)(report);
    }

    /// Whether it is known to be gone.
    pub fn is_gone(&self) -> bool {
        self.trouble.borrow().is_some() || self.client.borrow().is_none()
    }

    /// A call failed in a way that says nothing about what was asked: whether it is gone is found out.
    pub fn doubt(&self, fault: &Fault) {
        tracing::debug!(engine = self.parts.name, "{fault}");
        self.doubt.notify_one();
    }

    /// Connects, asks who is there, and tells when it is back.
    ///
    /// # Errors
    /// Why it cannot be reached.
    pub async fn connect(&self) -> Result<(), Fault> {
        let docker =
            within(async { Ok(open(&self.parts.url, self.parts.tls.as_deref(), PATIENCE_S)?.negotiate_version().await?) })
                .await?;
        let info = within(async { Ok(docker.info().await?) }).await?;
        let version = within(async { Ok(docker.version().await?) }).await?;
        *self.facts.borrow_mut() = EngineFacts::of(&self.parts.url, &info, &version);
        *self.client.borrow_mut() = Some(docker);
        if self.trouble.borrow_mut().take().is_some() {
            tracing::info!(engine = self.parts.name, "the engine is back");
        }
        self.tell(Report::Engine { host: self.parts.name.clone(), trouble: None });
        self.back.notify_waiters();
        self.tried.notify_waiters();
        Ok(())
    }

    /// Connects as soon as that is possible, and tells that it is not.
    pub async fn reach(&self) {
        let mut pause = FIRST_PAUSE;
        while let Err(fault) = self.connect().await {
            self.outages.set(self.outages.get() + u32::from(pause == FIRST_PAUSE));
            let why = format!("{}: {fault}; is it running, and may you use it?", self.parts.url);
            if self.trouble.borrow().as_ref() != Some(&why) {
                tracing::warn!(engine = self.parts.name, "the engine cannot be reached: {why}");
                *self.trouble.borrow_mut() = Some(why.clone());
                self.tell(Report::Engine { host: self.parts.name.clone(), trouble: Some(why) });
            }
            self.tried.notify_waiters();
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    /// Waits until it was reached, or could not be, for the first time.
    pub async fn until_tried(&self) {
        loop {
            let tried = self.tried.notified();
            if self.trouble.borrow().is_some() || self.client.borrow().is_some() {
                return;
            }
            tried.await;
        }
    }

    /// Waits until it can be reached again; at once when it can.
    pub async fn until_back(&self) {
        loop {
            let back = self.back.notified();
            if !self.is_gone() {
                return;
            }
            back.await;
        }
    }

    /// Whether it answers.
    pub async fn answers(&self) -> bool {
        let Some(docker) = self.client.borrow().clone() else { return false };
        within(async { Ok(docker.ping().await?) }).await.is_ok()
    }

    /// An attempt that is in our hands.
    pub fn get(&self, attempt: AttemptId) -> Option<Rc<Custody>> {
        self.live.borrow().get(&attempt).cloned()
    }

    /// All that are.
    pub fn all(&self) -> Vec<Rc<Custody>> {
        self.live.borrow().values().cloned().collect()
    }

    /// Takes one into our hands.
    pub fn insert(&self, custody: Rc<Custody>) {
        custody.outages.set(Some(self.outages.get()));
        self.live.borrow_mut().insert(custody.attempt, custody);
    }

    /// Lets go of one.
    pub fn remove(&self, attempt: AttemptId) -> Option<Rc<Custody>> {
        self.live.borrow_mut().remove(&attempt)
    }
}

/// The way to the engine at `url`; nothing is said to it yet.
///
/// # Errors
/// Why there is none.
pub fn open(url: &str, tls: Option<&Path>, patience_s: u64) -> Result<Docker, Fault> {
    if let Some(path) = url.strip_prefix("unix://") {
        Ok(Docker::connect_with_unix(path, patience_s, API_DEFAULT_VERSION)?)
    } else if let Some(certs) = tls {
        let file = |name: &str| certs.join(name);
        let (key, cert, ca) = (file("key.pem"), file("cert.pem"), file("ca.pem"));
        if let Some(missing) = [&key, &cert, &ca].into_iter().find(|file| !file.is_file()) {
            return Err(Fault::Unreachable(format!("DOCKER_TLS_VERIFY is set, and there is no {}", missing.display())));
        }
        Ok(Docker::connect_with_ssl(url, &key, &cert, &ca, patience_s, API_DEFAULT_VERSION)?)
    } else if url.starts_with("tcp://") || url.starts_with("http://") {
        Ok(Docker::connect_with_http(url, patience_s, API_DEFAULT_VERSION)?)
    } else {
        let why = "only unix:///PATH and tcp://HOST:PORT can be reached; forward another one's socket with `ssh -L`";
        Err(Fault::Unreachable(why.to_owned()))
    }
}

impl EngineFacts {
    /// What the engine at `url` says of itself.
    pub fn of(url: &str, info: &SystemInfo, version: &SystemVersion) -> EngineFacts {
        let options = info.security_options.as_deref().unwrap_or_default();
        let has = |name: &str| options.iter().any(|option| option.split(',').any(|part| part == name));
        let parts = version.components.as_deref().unwrap_or_default();
        EngineFacts {
            is_local: url.starts_with("unix://"),
            is_rootless: has("name=rootless"),
            remaps_users: has("name=userns"),
            is_podman: parts.iter().any(|part| part.name.to_lowercase().contains("podman")),
            program: String::new(),
        }
    }
}

/// Bounds a first call: an engine that hangs is as good as gone.
async fn within<T>(call: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    tokio::time::timeout(HELLO, call).await.unwrap_or_else(|_| Err(Fault::Unreachable("it does not answer".to_owned())))
}
