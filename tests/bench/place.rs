//! A home for measuring: its own directory, a cleared environment, a manager that ends with it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The program that is measured.
pub const AIRX: &str = env!("CARGO_BIN_EXE_airx");

/// A home and its manager.
pub struct Place {
    dir: Option<TempDir>,
    manager: Option<Child>,
    /// Variables beside the cleared environment's.
    pub more: Vec<(String, String)>,
}

impl Place {
    /// An empty home without a manager.
    pub fn new() -> Place {
        // Not among the system's temporary files: a test suite removes many thousands of them, and ext4 looks at each inode
        // that was removed within the last minutes before it makes a new one near it (`recently_deleted` in its ialloc.c).
        // Beside them every attempt's directory takes two to three times as long.
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench/homes");
        std::fs::create_dir_all(&root).expect("target/bench/homes");
        let dir = tempfile::tempdir_in(root).expect("a directory");
        for part in ["run", "user", "work"] {
            std::fs::create_dir(dir.path().join(part)).expect("a directory");
        }
        Place { dir: Some(dir), manager: None, more: Vec::new() }
    }

    /// With a manager that answers.
    pub fn started() -> Place {
        let mut place = Place::new();
        place.start();
        place
    }

    /// Starts the manager; seconds until it answers.
    pub fn start(&mut self) -> f64 {
        let start = Instant::now();
        let child = self.command(&["--daemon", "--foreground"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.manager = Some(child.expect("a manager"));
        let sockets = self.home().join("sockets");
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let control = std::fs::read_to_string(&sockets).ok().map(|dir| Path::new(dir.trim()).join("control.sock"));
            if control.is_some_and(|path| airx::api::socket::SocketClient::connect(&path).is_ok()) {
                return start.elapsed().as_secs_f64();
            }
            assert!(Instant::now() < deadline, "the manager does not answer");
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// Ends the manager.
    pub fn stop(&mut self) {
        assert!(self.run(&["stop"]).status.success());
        if let Some(mut manager) = self.manager.take() {
            manager.wait().expect("a child");
        }
    }

    fn path(&self) -> &Path {
        self.dir.as_ref().expect("it is there until it is dropped").path()
    }

    pub fn home(&self) -> PathBuf {
        self.path().join("home")
    }

    pub fn work(&self) -> PathBuf {
        self.path().join("work")
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(AIRX);
        command
            .args(args)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.path().join("user"))
            .env("AIRX_HOME", self.home())
            .env("XDG_RUNTIME_DIR", self.path().join("run"))
            .envs(self.more.iter().cloned())
            .current_dir(self.work())
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("airx")
    }

    /// Writes a job file.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.work().join(name);
        std::fs::write(&path, text).expect("a file");
        path.display().to_string()
    }

    /// A connection to the manager.
    pub fn client(&self) -> airx::api::socket::SocketClient {
        let paths = airx::api::paths::SocketPaths::find(&self.home()).expect("sockets");
        airx::api::socket::SocketClient::connect(&paths.control()).expect("a manager")
    }

    /// The manager's PSS in MiB, once it has come to rest.
    pub fn manager_pss(&self) -> f64 {
        pss(self.manager.as_ref().expect("a manager").id()) / 1_024.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(mut manager) = self.manager.take() {
            let _ = manager.kill();
            let _ = manager.wait();
        }
        used().extend(self.dir.take());
    }
}

/// Homes that are no longer needed. They are removed at the very end, for the same reason as they are not among the temporary
/// files.
static USED: Mutex<Vec<TempDir>> = Mutex::new(Vec::new());

fn used() -> std::sync::MutexGuard<'static, Vec<TempDir>> {
    USED.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Removes what all figures left.
pub fn clear() {
    used().clear();
}

/// A process's proportional share of memory, in KiB.
pub fn pss(pid: u32) -> f64 {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = rollup.lines().find(|line| line.starts_with("Pss:")).unwrap_or("Pss: 0 kB");
    line.split_whitespace().nth(1).and_then(|value| value.parse().ok()).unwrap_or(0.0)
}
