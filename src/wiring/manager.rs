//! The manager of a home, from its lock to its end.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::SystemTime;

use airx::api::paths::SocketPaths;
use airx::api::server::{self, Server, ServerParts};
use airx::backend::docker::Settings as DockerSettings;
use airx::backend::kubernetes::Parts as ClusterParts;
use airx::backend::process::{ProcessBackend, Settings as BackendSettings};
use airx::backend::{Backends, Threads};
use airx::claude::cli::Cli as ClaudeBinary;
use airx::cli::context::{Context, Failure};
use airx::manager::Message;
use airx::manager::engine::{Engine, Mailbox, Parts, Trouble};
use airx::manager::launch::{Composer, MakeClaude, Surroundings};
use airx::manager::ports::{StoreError, StoreErrorKind};
use airx::manager::token::Identity;
use airx::model::diagnostic::Diagnostic;
use airx::model::settings::Settings;
use airx::notify::{Courier, Parts as CourierParts};
use airx::store::{SqliteStore, StoreReader};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::clock::SystemClock;
use super::lock::{HomeLock, LockError};
use super::upkeep::Upkeep;

/// A manager of a home that is ready to decide.
pub struct Managed {
    /// The home's lock.
    pub lock: HomeLock,
    /// Where it listens.
    pub sockets: SocketPaths,
    /// The listening sockets once more, for whoever it hands over to.
    pub listeners: [OwnedFd; 2],
    /// Serves the sockets.
    pub server: Server,
    /// What decides.
    pub engine: Engine<SqliteStore>,
    /// The backends' threads, which end after the engine.
    pub backends: Threads,
    /// Tells people; ends after the engine.
    pub courier: Arc<Courier>,
    /// The way in for signals.
    pub sender: SyncSender<Message>,
    /// The read side of its store.
    pub reader: Arc<StoreReader>,
    /// Flushes the log when dropped.
    pub log: super::logging::Guard,
    /// Faults of its configuration.
    pub faults: Vec<Diagnostic>,
}

/// What a leaving manager left to this process.
pub struct Inherited {
    lock: OwnedFd,
    control: OwnedFd,
    task: OwnedFd,
}

impl Inherited {
    /// What the environment names; none when there is nothing to take over.
    ///
    /// # Errors
    /// When it names what is not there.
    fn find(context: &Context) -> Result<Option<Inherited>, Failure> {
        let Some(text) = context.env.get(airx::cli::daemon::INHERIT) else { return Ok(None) };
        let taken: Result<Vec<OwnedFd>, std::io::Error> = text
            .split(',')
            .map(|number| airx::os::inherited(number.parse().map_err(|_| std::io::ErrorKind::InvalidInput)?))
            .collect();
        match taken.map(<[OwnedFd; 3]>::try_from) {
            Ok(Ok([lock, control, task])) => Ok(Some(Inherited { lock, control, task })),
            _ => Err(Failure::failed(
                format!("{}={text} names no descriptors that were handed over", airx::cli::daemon::INHERIT),
                "unset it",
            )),
        }
    }
}

/// Runs the manager of the context's home until it is told to leave. Runners outlive it.
pub fn run(context: &Context) -> Result<(), Failure> {
    let inherited = Inherited::find(context)?;
    context.home.create().map_err(|error| Failure::input(error.to_string(), ""))?;
    let path = context.home.lock();
    let (lock, listeners) = match inherited {
        None => (HomeLock::take(&path), None),
        Some(Inherited { lock, control, task }) => (HomeLock::inherit(lock, &path), Some([control, task])),
    };
    let lock = lock.map_err(|error| match &error {
        LockError::Held { pid } => {
            let hint = pid.map_or_else(String::new, |pid| format!("`airx stop` ends it (pid {pid}); what runs goes on"));
            Failure::failed(error.to_string(), hint)
        }
        LockError::Unusable { .. } => Failure::failed(error.to_string(), "check the permissions of the home"),
    })?;
    let managed = begin(context, lock, listeners)?;
    managed.faults.iter().for_each(|fault| eprint(&format!("warning: {fault}")));
    listen_for_signals(managed.sender)?;
    airx::cli::daemon::say_ready(&context.env);
    let end = managed.engine.run();
    managed.backends.join();
    managed.courier.finish();
    managed.server.stop();
    managed.sockets.remove(&context.home.path);
    tracing::info!("the manager has left");
    end.map_err(store_failure)
}

/// Why no manager begins.
pub enum BeginError {
    /// The store is at fault.
    Store(StoreError),
    /// Something around it is.
    Other(Failure),
}

impl From<StoreError> for BeginError {
    fn from(error: StoreError) -> Self {
        BeginError::Store(error)
    }
}

impl From<Failure> for BeginError {
    fn from(failure: Failure) -> Self {
        BeginError::Other(failure)
    }
}

impl From<BeginError> for Failure {
    fn from(error: BeginError) -> Self {
        match error {
            BeginError::Store(error) => store_failure(error),
            BeginError::Other(failure) => failure,
        }
    }
}

/// Makes the manager of the context's home, whose lock the caller holds. It listens already; it decides when its engine runs.
///
/// # Errors
/// When the store cannot be opened or read, and when the log, the sockets or the backend cannot be made.
pub fn begin(context: &Context, lock: HomeLock, listeners: Option<[OwnedFd; 2]>) -> Result<Managed, BeginError> {
    let home = &context.home;
    let log = super::logging::start(&home.logs(), context.global.verbose)
        .map_err(|error| Failure::failed(format!("cannot write the log in {}: {error}", home.logs().display()), ""))?;
    let loaded = context.settings();
    for fault in &loaded.faults {
        tracing::warn!("configuration: {fault}");
    }
    let store = open_store(context)?;
    let reader = Arc::new(StoreReader::new(&home.path, &home.database()).in_zone(super::clock::offset_ms));
    super::configure(&reader, &loaded.settings);
    reader.set_manager(std::process::id());
    reader.set_warnings(loaded.faults.iter().map(|fault| format!("configuration: {fault}")).collect());

    let (sockets, listeners) = match listeners.zip(SocketPaths::find(&home.path)) {
        Some((listeners, sockets)) => (sockets, listeners),
        None => {
            let sockets = sockets(context)?;
            let (control, task) = server::bind(&sockets).map_err(socket_failure)?;
            (sockets, [control.into(), task.into()])
        }
    };
    let mailbox = Mailbox::default();
    let sender = mailbox.sender();
    let courier = Arc::new(Courier::new(CourierParts {
        home: home.path.clone(),
        environment: Arc::new(context.env.clone()),
        reader: reader.clone(),
        news: mailbox.handle().news(),
    }));
    courier.configure(&loaded.settings.notify);
    let (engine, backends) = engine(context, store, mailbox, loaded.settings, &sockets, reader.clone(), courier.clone())?;
    let server = serve(context, &listeners, engine.handle(), reader.clone())?;
    tracing::info!(pid = std::process::id(), version = env!("CARGO_PKG_VERSION"), "the manager is ready");
    Ok(Managed { lock, sockets, listeners, server, engine, backends, courier, sender, reader, log, faults: loaded.faults })
}

/// A line for whoever started the manager in the foreground.
fn eprint(line: &str) {
    use std::io::Write;
    // Nobody to tell that standard error is gone.
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn open_store(context: &Context) -> Result<SqliteStore, StoreError> {
    let entropy = airx::os::random_bytes(36).try_into().unwrap_or([0; 36]);
    SqliteStore::open(&context.home.database(), entropy)
}

pub(super) fn store_failure(error: StoreError) -> Failure {
    let hint = match error.kind {
        StoreErrorKind::Corrupt => "the database is damaged, and nothing was changed: run `airx doctor --repair`".to_owned(),
        _ => error.hint,
    };
    Failure::failed(format!("{}: {}", error.what, error.cause), hint)
}

fn sockets(context: &Context) -> Result<SocketPaths, Failure> {
    let runtime = context.env.get("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_dir());
    let uid = airx::os::uid();
    let chosen = SocketPaths::choose(&context.home.path, runtime.as_deref(), uid);
    match chosen.create(&context.home.path, uid) {
        Ok(()) => Ok(chosen),
        // A runtime directory that cannot be used (another user's, after su) is no reason to fail.
        Err(_) if runtime.is_some() => {
            let other = SocketPaths::choose(&context.home.path, None, uid);
            other.create(&context.home.path, uid).map(|()| other).map_err(socket_failure)
        }
        Err(error) => Err(socket_failure(error)),
    }
}

pub(super) fn socket_failure(error: std::io::Error) -> Failure {
    Failure::failed(format!("cannot make the sockets: {error}"), "set XDG_RUNTIME_DIR to a directory of your own")
}

fn engine(
    context: &Context,
    store: SqliteStore,
    mailbox: Mailbox,
    settings: Settings,
    sockets: &SocketPaths,
    reader: Arc<StoreReader>,
    courier: Arc<Courier>,
) -> Result<(Engine<SqliteStore>, Threads), BeginError> {
    let home = &context.home;
    let identity = Identity { home: store.identity().home.clone(), secret: store.identity().secret.clone() };
    let make_claude: MakeClaude =
        Arc::new(|settings| Arc::new(ClaudeBinary::new(settings.claude.binary.clone(), settings.claude.model.clone())));
    // Orphans of runners that die come to the manager, where a sweep finds them.
    airx::os::become_subreaper().map_err(|error| Failure::failed(format!("cannot become a subreaper: {error}"), ""))?;
    let backend_settings = BackendSettings { exe: None, results: home.results() };
    let claude = make_claude(&settings);
    let process = ProcessBackend::start(backend_settings, mailbox.sink(), claude.clone())
        .map_err(|error| Failure::failed(format!("cannot start the process backend: {error}"), ""))?;
    let docker = DockerSettings {
        home: home.path.clone(),
        instance: identity.home.clone(),
        results: home.results(),
        programs: home.programs(),
        task_socket: sockets.task_directory(),
        control_socket: sockets.control(),
        environment: context.env.clone(),
    };
    let clusters = ClusterParts {
        instance: identity.home.clone(),
        home: home.path.clone(),
        results: home.results(),
        environment: context.env.clone(),
    };
    let backends = Backends::new(process, docker, clusters, mailbox.sink(), claude);
    let own = std::env::current_exe().ok();
    let surroundings = Surroundings {
        home: home.path.clone(),
        identity,
        environment: context.env.clone(),
        task_socket: sockets.task(),
        own_directory: own.as_deref().and_then(Path::parent).map(Path::to_owned),
        is_root: airx::os::uid() == 0,
        open: airx::os::open_regular,
    };
    let composer = Composer::new(surroundings, &settings, make_claude);
    let (disk, told) = (home.path.clone(), reader.clone());
    let drops = super::drops::begin(super::drops::Parts {
        jobs: home.jobs(),
        base: context.env.get("HOME").map(PathBuf::from).filter(|base| base.is_absolute()),
        check: airx::cli::submit::checker(context),
        manager: mailbox.handle(),
        reader: reader.clone(),
    });
    let drops = drops.map_err(|error| Failure::failed(format!("cannot start a thread: {error}"), ""))?;
    let upkeep =
        Upkeep::new(home.clone(), context.config_path(), modified(&context.config_path()), reader, mailbox.sender(), courier);
    let threads = backends.threads();
    let parts = Parts {
        store,
        backend: Box::new(backends),
        composer,
        clock: Box::new(SystemClock),
        settings,
        free_bytes: Box::new(move || airx::os::free_bytes(&disk).ok()),
        on_trouble: Box::new(move |trouble| {
            told.set_trouble(trouble_lines(&trouble), trouble.disk_low, trouble.unreachable());
            told.set_stranded(&trouble.stranded);
        }),
        on_poll: Box::new(upkeep.into_poll(drops)),
        on_freed: Box::new(airx::os::trim_memory),
    };
    Ok((Engine::begin(parts, mailbox)?, threads))
}

/// What a person should look at, in lines.
fn trouble_lines(trouble: &Trouble) -> Vec<String> {
    let aside = trouble.set_aside.iter().map(|(job, why)| {
        format!("{job} is set aside, since the database holds something undecodable ({why}): `airx doctor --repair` mends it")
    });
    let disk = trouble.disk_low.then(|| "too little room on the disk: nothing new starts (min_free_disk)".to_owned());
    let engines = trouble.engines.iter().map(|gone| {
        let (word, pools) = (if gone.pools.len() == 1 { "pool" } else { "pools" }, gone.pools.join(", "));
        format!("engine {} unreachable, nothing starts there until it is back ({word} {pools}): {}", gone.engine, gone.why)
    });
    aside.chain(disk).chain(engines).chain(trouble.store.clone()).collect()
}

/// When a file was last written.
pub(super) fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|data| data.modified()).ok()
}

fn serve(
    context: &Context,
    listeners: &[OwnedFd; 2],
    handle: airx::manager::handle::Handle,
    reader: Arc<StoreReader>,
) -> Result<Server, Failure> {
    let [control, task] = listeners.each_ref().map(|listener| listener.try_clone().map(UnixListener::from));
    let (control, task) = (control.map_err(socket_failure)?, task.map_err(socket_failure)?);
    let parts = ServerParts { control, task, handle, reader, home: context.home.path.clone(), uid: airx::os::uid() };
    server::start(parts).map_err(socket_failure)
}

/// SIGTERM and SIGINT end the manager, SIGHUP lets it read its configuration again at the next poll.
fn listen_for_signals(sender: SyncSender<Message>) -> Result<(), Failure> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])
        .map_err(|error| Failure::failed(format!("cannot listen for signals: {error}"), ""))?;
    std::thread::Builder::new()
        .name("signals".to_owned())
        .stack_size(128 * 1024)
        .spawn(move || {
            for signal in signals.forever() {
                let message = if signal == SIGHUP { Message::Poll } else { Message::Leave };
                if sender.send(message).is_err() {
                    return;
                }
            }
        })
        .map(drop)
        .map_err(|error| Failure::failed(format!("cannot start a thread: {error}"), ""))
}
