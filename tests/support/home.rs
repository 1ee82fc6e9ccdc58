//! A home of its own for each test, with the built program in a cleared environment and managers that end with the test.
#![allow(dead_code, reason = "each test program uses its own part")]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use airx::model::message::{JobDetail, TaskDetail, TaskView};
use tempfile::TempDir;

/// The built program.
pub const AIRX: &str = env!("CARGO_BIN_EXE_airx");
/// Longest wait for a condition. Generous: the suite shares two cores.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// A home, and the manager that the test started in it.
pub struct TestHome {
    dir: TempDir,
    manager: Option<Child>,
    /// The home itself, when it is not below the directory.
    pub place: Option<PathBuf>,
    /// Variables beside the cleared environment's.
    pub env: Vec<(String, String)>,
}

impl TestHome {
    /// An empty home; no manager yet.
    pub fn new() -> TestHome {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for part in ["work", "run", "user"] {
            std::fs::create_dir_all(dir.path().join(part)).expect("a directory");
        }
        set_mode(&dir.path().join("run"), 0o700);
        TestHome { dir, manager: None, place: None, env: Vec::new() }
    }

    /// Where airx keeps its things.
    pub fn path(&self) -> PathBuf {
        self.place.clone().unwrap_or_else(|| self.dir.path().join("home"))
    }

    /// A directory for the tasks.
    pub fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    /// HOME of the programs, where notifiers' commands run.
    pub fn user(&self) -> PathBuf {
        self.dir.path().join("user")
    }

    /// A command of the built program for this home.
    pub fn command<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        self.command_of(Path::new(AIRX), args)
    }

    /// The same with another copy of the program.
    pub fn command_of<A: AsRef<OsStr>>(&self, program: &Path, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(program);
        command
            .args(args)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.dir.path().join("user"))
            .env("LANG", "C.UTF-8")
            .env("TZ", "UTC")
            .env("AIRX_HOME", self.path())
            .env("XDG_RUNTIME_DIR", self.dir.path().join("run"))
            .envs(self.env.iter().cloned())
            .current_dir(self.work())
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn run<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Output {
        self.command(args).output().expect("the program runs")
    }

    /// Runs a command that must succeed; its standard output.
    pub fn ok<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "exit {:?}: {}", output.status, text(&output));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Starts a manager and waits until it answers.
    pub fn start(&mut self) {
        self.start_with(Path::new(AIRX));
    }

    /// Starts a manager from another copy of the program.
    pub fn start_with(&mut self, program: &Path) {
        let log = std::fs::File::create(self.dir.path().join("manager.err")).expect("a file");
        let child = self.command_of(program, ["--daemon", "--foreground"]).stdout(Stdio::null()).stderr(log).spawn();
        self.manager = Some(child.expect("the manager starts"));
        self.until("the manager answers", || self.run(["ping"]).status.success());
    }

    /// The manager's process id.
    pub fn manager_pid(&self) -> u32 {
        self.manager.as_ref().expect("a manager was started").id()
    }

    /// Kills the manager with SIGKILL.
    pub fn kill_manager(&mut self) {
        if let Some(mut manager) = self.manager.take() {
            let _ = manager.kill();
            let _ = manager.wait();
        }
    }

    /// Waits for the manager to end by itself.
    pub fn await_manager(&mut self) -> std::process::ExitStatus {
        let mut manager = self.manager.take().expect("a manager was started");
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = manager.try_wait().expect("a child") {
                return status;
            }
            assert!(Instant::now() < deadline, "the manager did not end: {}", self.manager_log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What the manager said on standard error.
    pub fn manager_log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("manager.err")).unwrap_or_default()
    }

    /// Writes a job file; its path.
    pub fn job_file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.work().join(name);
        std::fs::write(&path, text).expect("a job file");
        path
    }

    /// Submits a job file; the job's full name.
    pub fn submit(&self, text: &str) -> String {
        let path = self.job_file("job.yaml", text);
        let answer = self.ok([OsStr::new("submit"), path.as_os_str(), OsStr::new("-o"), OsStr::new("plain")]);
        answer.trim().to_owned()
    }

    /// The tasks of a job.
    pub fn tasks(&self, job: &str) -> Vec<TaskView> {
        serde_json::from_str(&self.ok(["tasks", job, "-o", "json"])).expect("a list of tasks")
    }

    /// A task in full.
    pub fn task(&self, address: &str) -> TaskDetail {
        serde_json::from_str(&self.ok(["show", address, "-o", "json"])).expect("a task")
    }

    /// A job in full.
    pub fn job(&self, name: &str) -> JobDetail {
        serde_json::from_str(&self.ok(["show", name, "-o", "json"])).expect("a job")
    }

    /// Waits until the job is over; its state in words.
    pub fn until_over(&self, job: &str) -> String {
        self.until("the job is over", || self.job(job).job.state.is_terminal());
        self.job(job).job.state.word().to_owned()
    }

    /// Waits for a named condition.
    pub fn until(&self, what: &str, condition: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition() {
            if Instant::now() > deadline {
                let status = self.run(["status"]);
                panic!("waited too long until {what}\n{}\nmanager: {}", text(&status), self.manager_log());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Processes that carry the mark of an attempt of this home, without the test's own.
    pub fn strays(&self) -> Vec<u32> {
        let socket_dir = format!("AIRX_DIR={}", self.path().display());
        processes().filter(|pid| environment(*pid).is_some_and(|env| contains(&env, socket_dir.as_bytes()))).collect()
    }
}

impl Drop for TestHome {
    fn drop(&mut self) {
        if let Some(mut manager) = self.manager.take() {
            let _ = manager.kill();
            let _ = manager.wait();
        }
        // A background manager that a command started, and whatever the test left running in this home.
        if let Some(pid) =
            std::fs::read_to_string(self.path().join("manager.lock")).ok().and_then(|text| text.trim().parse().ok())
            && environment(pid).is_some_and(|env| contains(&env, self.path().as_os_str().as_encoded_bytes()))
        {
            kill(pid);
        }
        for pid in self.strays() {
            kill(pid);
        }
    }
}

/// Both streams of a command, for messages.
pub fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Sends SIGKILL to one process.
pub fn kill(pid: u32) {
    signal(pid, rustix::process::Signal::KILL);
}

/// Sends a signal to one process.
pub fn signal(pid: u32, signal: rustix::process::Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// Whether a process exists and is not a zombie.
pub fn is_alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z')))
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != std::process::id() && is_alive(*pid))
}

fn environment(pid: u32) -> Option<Vec<u8>> {
    std::fs::read(format!("/proc/{pid}/environ")).ok()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("permissions");
}
