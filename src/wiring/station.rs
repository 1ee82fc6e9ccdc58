//! The manager of a workstation: embedded in its process, or reached by the socket; and how it is handed over.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use airx::api::client::{Client, ClientError, ClientErrorKind};
use airx::api::local::{Embedded, Watching};
use airx::api::paths::SocketPaths;
use airx::api::server::Server;
use airx::api::socket::SocketClient;
use airx::backend::Threads;
use airx::cli::context::{Context, Failure};
use airx::cli::daemon::{Started, Starter};
use airx::manager::Message;
use airx::manager::handle::Handle;
use airx::manager::ports::{Reader, StoreError};
use airx::model::message::{Answer, Query};
use airx::notify::Courier;
use airx::store::StoreReader;

use super::lock::{HomeLock, LockError};
use super::manager::{BeginError, Managed, store_failure};

/// Longest wait for a manager that holds the lock and does not listen.
const BETWEEN: Duration = Duration::from_secs(2);

/// Where a workstation's manager is.
pub struct Station {
    inside: Mutex<Option<Inside>>,
    /// Held while a manager is handed over or ended, so that whoever comes second (a screen that was stuck, the signals'
    /// thread) does not end the process in the middle.
    turn: Mutex<()>,
    /// Why a manager that was here has ended by itself.
    fallen: Mutex<Option<String>>,
    /// The store alone, when no manager can be had here, and why.
    read_only: Option<(Arc<StoreReader>, String)>,
    starter: Starter,
    home: PathBuf,
}

/// A manager in this process.
struct Inside {
    lock: HomeLock,
    sockets: SocketPaths,
    listeners: [OwnedFd; 2],
    server: Server,
    engine: JoinHandle<Result<(), StoreError>>,
    backends: Threads,
    courier: Arc<Courier>,
    sender: SyncSender<Message>,
    handle: Handle,
    reader: Arc<StoreReader>,
    _log: super::logging::Guard,
}

/// A lock that is held for moments only: whoever panicked with it left nothing half done.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Station {
    /// Attaches to the running manager, else begins one here. Where none can begin, but the store can be read, it is shown
    /// read-only.
    ///
    /// # Errors
    /// When there is nothing to show: the home cannot be used, or its database is damaged.
    pub fn open(context: &Context) -> Result<Station, Failure> {
        let station = |inside, read_only| Station {
            inside: Mutex::new(inside),
            turn: Mutex::new(()),
            fallen: Mutex::new(None),
            read_only,
            starter: Starter::new(context),
            home: context.home.path.clone(),
        };
        match Inside::begin(context) {
            Ok(Some(inside)) => Ok(station(Some(inside), None)),
            // Somebody else's: attach.
            Ok(None) => Ok(station(None, None)),
            Err(BeginError::Store(error)) if error.kind.is_damage() => Err(store_failure(error)),
            Err(error) => {
                let failure = Failure::from(error);
                let reader = Arc::new(StoreReader::new(&context.home.path, &context.home.database()));
                let is_readable = context.home.database().exists() && reader.query(&Query::Overview).is_ok();
                if is_readable { Ok(station(None, Some((reader, failure.message)))) } else { Err(failure) }
            }
        }
    }

    /// Why nothing can be changed.
    pub fn read_only(&self) -> Option<String> {
        self.read_only.as_ref().map(|(_, why)| why.clone())
    }

    /// Whether the manager is in this process.
    pub fn embeds(&self) -> bool {
        held(&self.inside).is_some()
    }

    /// A way to the manager, wherever it is now.
    ///
    /// # Errors
    /// When there is none.
    pub fn connect(&self) -> Result<Box<dyn Client>, ClientError> {
        if let Some((reader, why)) = &self.read_only {
            return Ok(Box::new(Watching::new(reader.clone(), why.clone())));
        }
        let mut inside = held(&self.inside);
        if inside.as_ref().is_some_and(|inside| inside.engine.is_finished())
            && let Some(fallen) = inside.take()
        {
            *held(&self.fallen) = Some(fallen.bury(&self.home));
        }
        if let Some(inside) = inside.as_ref() {
            return Ok(Box::new(Embedded::new(inside.handle.clone(), inside.reader.clone())));
        }
        drop(inside);
        let paths = SocketPaths::find(&self.home).ok_or_else(ClientError::no_manager)?;
        match SocketClient::connect(&paths.control()) {
            Ok(client) => {
                *held(&self.fallen) = None;
                Ok(Box::new(client))
            }
            Err(mut error) => {
                if let (ClientErrorKind::NoManager, Some(why)) = (error.kind, held(&self.fallen).clone()) {
                    error.message = why;
                }
                Err(error)
            }
        }
    }

    /// Starts a manager in the background.
    ///
    /// # Errors
    /// In its own words.
    pub fn start(&self) -> Result<u32, String> {
        if self.read_only.is_some() {
            return Err("this home can only be read".to_owned());
        }
        self.starter.start(Vec::new()).map(|started| started.pid).map_err(|failure| failure.message)
    }

    /// Leaves the manager of this process to one in the background, which gets the home's lock and the listening sockets:
    /// at no moment could another begin. None when there is none here.
    ///
    /// # Errors
    /// Why no other could be started. What runs goes on; the home is free.
    pub fn hand_over(&self) -> Result<Option<Started>, Failure> {
        self.leave(true)
    }

    /// The same when anything is left to do, by a task or for another client; else the manager of this process ends.
    ///
    /// # Errors
    /// As for [`Station::hand_over`].
    pub fn hand_over_if_needed(&self) -> Result<Option<Started>, Failure> {
        self.leave(false)
    }

    fn leave(&self, always: bool) -> Result<Option<Started>, Failure> {
        let _turn = held(&self.turn);
        let Some(inside) = held(&self.inside).take() else { return Ok(None) };
        let has_clients = inside.server.connections() > 0;
        let reader = inside.reader.clone();
        let kept = inside.rest();
        // Looked at once nothing is decided any more: what was submitted until then is seen.
        if !always && !has_clients && !has_work(&reader) {
            kept.sockets.remove(&self.home);
            return Ok(None);
        }
        let cannot = |error: std::io::Error| Failure::failed(error.to_string(), "");
        let [control, task] = kept.listeners;
        let started = kept.lock.share().map_err(cannot).and_then(|lock| self.starter.start(vec![lock, control, task]));
        started.map(Some).map_err(|failure| {
            kept.sockets.remove(&self.home);
            let hint = "what runs goes on; `airx --daemon` starts a manager that takes it over";
            Failure { message: format!("no manager could take over: {}", failure.message), hint: hint.to_owned(), ..failure }
        })
    }
}

/// Whether a task is not over. What cannot be read may be anything.
fn has_work(reader: &StoreReader) -> bool {
    match reader.query(&Query::Status).map(|page| page.body) {
        Ok(Answer::Status(status)) => status.tasks.total() > status.tasks.terminal(),
        _ => true,
    }
}

/// The home's lock, or the fault that another holds it and can be reached. One that is just beginning cannot be reached yet,
/// and one that is ending lets go of it in a moment; one that does neither in time is left to the screen, which tells.
fn lock_or_reach(context: &Context) -> Result<HomeLock, LockError> {
    let deadline = Instant::now() + BETWEEN;
    loop {
        let taken = HomeLock::take(&context.home.lock());
        let is_waited_for = matches!(taken, Err(LockError::Held { .. })) && Instant::now() < deadline;
        if !is_waited_for || is_reached(&context.home.path) {
            return taken;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether somebody listens at the control socket.
fn is_reached(home: &Path) -> bool {
    SocketPaths::find(home).is_some_and(|paths| UnixStream::connect(paths.control()).is_ok())
}

/// What is left of a manager that has stopped deciding.
struct Kept {
    lock: HomeLock,
    sockets: SocketPaths,
    listeners: [OwnedFd; 2],
}

impl Inside {
    /// Begins a manager here; none when the home has one already.
    fn begin(context: &Context) -> Result<Option<Inside>, BeginError> {
        context.home.create().map_err(|error| Failure::input(error.to_string(), "choose another with --home"))?;
        match lock_or_reach(context) {
            Ok(lock) => Ok(Some(Inside::run(super::manager::begin(context, lock, None)?)?)),
            Err(LockError::Held { .. }) => Ok(None),
            Err(error) => Err(Failure::failed(error.to_string(), "check the permissions of the home").into()),
        }
    }

    /// Lets it decide, on a thread of its own.
    fn run(managed: Managed) -> Result<Inside, Failure> {
        let Managed { lock, sockets, listeners, server, engine, backends, courier, sender, reader, log, faults: _ } = managed;
        let handle = engine.handle();
        let engine = std::thread::Builder::new()
            .name("manager".to_owned())
            .spawn(move || engine.run())
            .map_err(|error| Failure::failed(format!("cannot start a thread: {error}"), ""))?;
        Ok(Inside { lock, sockets, listeners, server, engine, backends, courier, sender, handle, reader, _log: log })
    }

    /// Stops deciding: the turn under way is committed, the store is closed, answers on their way go out, and what the
    /// backend was told is done.
    fn rest(self) -> Kept {
        // It has left already when nobody takes this.
        let _ = self.sender.send(Message::Leave);
        drop(self.sender);
        if let Ok(Err(error)) = self.engine.join() {
            tracing::error!("the manager left with an error: {error}");
        }
        self.server.stop();
        drop(self.handle);
        self.backends.join();
        self.courier.finish();
        tracing::info!("the manager has left");
        Kept { lock: self.lock, sockets: self.sockets, listeners: self.listeners }
    }

    /// Clears up after one that ended by itself; why it did.
    fn bury(self, home: &Path) -> String {
        let why = match self.engine.join() {
            Ok(Ok(())) => "the manager was told to leave".to_owned(),
            Ok(Err(error)) => {
                let failure = store_failure(error);
                format!("the manager had to end: {}; {}", failure.message, failure.hint)
            }
            Err(_) => "the manager ended by a fault of its own (see the log); what runs goes on".to_owned(),
        };
        self.courier.finish();
        self.server.stop();
        self.sockets.remove(home);
        why
    }
}
