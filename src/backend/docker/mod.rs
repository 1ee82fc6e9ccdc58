//! Runners as containers, one for each attempt, on a Docker Engine (or what speaks its language).
//!
//! One thread for each engine. What it knows lies in the attempt directories, in a record beside each, and in what the
//! engine shows, so a backend that is started anew goes on where the last one stopped.

mod custody;
mod ending;
mod engine;
mod fault;
mod launch;
mod left;
mod logs;
mod mounts;
mod names;
mod owner;
mod plan;
mod pull;
mod record;
mod reduced;
mod registry;
mod relay;
mod remote;
pub mod survey;
mod watch;
mod worker;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

pub use record::Record;

use super::handle::Handle;
use super::places::Places;
use crate::manager::ports::{ClaudeCli, ReportSink};
use crate::os;

/// Threads for what waits: copies, and beside them the looking up of engines' names, which must not wait for those.
const THREADS: usize = remote::COPIES + 4;

/// What the backend needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The home.
    pub home: PathBuf,
    /// The home's identity.
    pub instance: String,
    /// Where results too large for the database go, by hash.
    pub results: PathBuf,
    /// Where copies of our own program are kept for containers.
    pub programs: PathBuf,
    /// The directory of the task socket.
    pub task_socket: PathBuf,
    /// The control socket.
    pub control_socket: PathBuf,
    /// The manager's environment, for `DOCKER_HOST` and logins to registries.
    pub environment: BTreeMap<String, String>,
}

/// Starts the thread of the engine that pools call `name`.
///
/// # Errors
/// When the system refuses a thread.
pub fn start(
    name: &str,
    settings: &Settings,
    sink: ReportSink,
    claude: Arc<dyn ClaudeCli>,
    places: Places,
) -> io::Result<Handle> {
    let (name, settings) = (name.to_owned(), settings.clone());
    Handle::start(format!("the engine {name}"), THREADS, move |queue| async move {
        let engine = Rc::new(engine::Engine::new(parts(name, &settings, (sink, claude, places))));
        worker::run(engine, queue).await;
    })
}

fn parts(name: String, settings: &Settings, (sink, claude, places): (ReportSink, Arc<dyn ClaudeCli>, Places)) -> engine::Parts {
    let url = url(&name, &settings.environment);
    let mut sockets = vec![settings.control_socket.clone(), "/var/run/docker.sock".into(), "/run/docker.sock".into()];
    sockets.extend(url.strip_prefix("unix://").map(PathBuf::from));
    let program = program(&settings.programs).unwrap_or_else(|error| {
        tracing::error!("our own program cannot be copied for containers: {error}");
        settings.programs.join("airx")
    });
    let side = plan::Side {
        uid: os::uid(),
        gid: os::gid(),
        program,
        task_socket: settings.task_socket.clone(),
        instance: settings.instance.clone(),
        home: settings.home.clone(),
        machine: os::machine(),
        guarded: mounts::Guarded { sockets, private: vec![settings.home.clone()] },
    };
    let registries = registry::Registries::find(&settings.environment);
    let tls = tls(&url, &settings.environment);
    engine::Parts { name, url, side, results: settings.results.clone(), sink, claude, places, registries, tls }
}

/// Where certificates are, as the docker command line looks for them: only for an engine at tcp, and when TLS is asked for.
fn tls(url: &str, env: &BTreeMap<String, String>) -> Option<PathBuf> {
    let known = |name: &str| env.get(name).filter(|value| !value.is_empty());
    known("DOCKER_TLS_VERIFY").filter(|_| url.starts_with("tcp://"))?;
    known("DOCKER_CERT_PATH").map(PathBuf::from).or_else(|| known("HOME").map(|home| Path::new(home).join(".docker")))
}

/// Where an engine is: as the pool says, else as the environment does, else where it usually is.
pub fn url(name: &str, env: &BTreeMap<String, String>) -> String {
    if name != crate::model::docker::DEFAULT_ENGINE {
        return name.to_owned();
    }
    if let Some(host) = env.get("DOCKER_HOST").filter(|host| !host.is_empty()) {
        return host.clone();
    }
    let usual = PathBuf::from("/var/run/docker.sock");
    let podman = env.get("XDG_RUNTIME_DIR").map(|runtime| Path::new(runtime).join("podman/podman.sock"));
    let found = podman.filter(|podman| !usual.exists() && podman.exists()).unwrap_or(usual);
    format!("unix://{}", found.display())
}

/// A copy of this very program that stays where it is when ours is replaced. One for each build; those of others go, since
/// what runs keeps its own.
fn program(directory: &Path) -> io::Result<PathBuf> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    // Each engine's thread comes here: one would clear away what another is just writing.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let exe = std::fs::File::open("/proc/self/exe")?;
    let data = exe.metadata()?;
    let name = format!("airx-{}-{:x}-{:x}-{:x}", env!("CARGO_PKG_VERSION"), data.len(), data.mtime(), data.mtime_nsec());
    let place = directory.join(&name);
    std::fs::create_dir_all(directory)?;
    // Containers of other users have to come through.
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o755))?;
    for entry in std::fs::read_dir(directory)?.flatten().filter(|entry| entry.file_name() != name.as_str()) {
        let _ = std::fs::remove_file(entry.path());
    }
    if place.metadata().is_ok_and(|found| found.len() == data.len()) {
        return Ok(place);
    }
    let new = directory.join(format!(".{}.new", os::random_hex(4)));
    // Another name for the same file costs nothing, where it is that very file, everybody may run it, and it is on the same
    // file system: who replaces ours puts another file in its place.
    let same = std::env::current_exe().ok().filter(|path| {
        path.metadata().is_ok_and(|found| (found.dev(), found.ino()) == (data.dev(), data.ino()) && found.mode() & 0o005 == 0o005)
    });
    if same.is_none_or(|path| std::fs::hard_link(path, &new).is_err()) {
        std::fs::copy("/proc/self/exe", &new)?;
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o755))?;
    }
    std::fs::rename(&new, &place)?;
    Ok(place)
}
