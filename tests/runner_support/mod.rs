//! Attempt directories for tests that run the real runner, and conditions to wait for.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails says so by panicking")]
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use airx::model::attempt::{ExitRecord, GateSpec, OutputMode, RunnerSpec, Stdin, StopSignal};
use airx::model::exit_file::{ExitFile, decode};
use airx::model::spec::Resources;
use airx::os;
use airx::os::proc::{has_mark, processes};

pub const AIRX: &str = env!("CARGO_BIN_EXE_airx");
const DEADLINE: Duration = Duration::from_secs(30);

/// Waits for a condition, at most 30 s.
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < DEADLINE, "waited in vain for: {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// A mark no other test uses.
pub fn unique_mark() -> String {
    static LAST: AtomicU32 = AtomicU32::new(0);
    format!("test{}-{}-1-1", std::process::id(), LAST.fetch_add(1, Ordering::Relaxed))
}

/// A specification that runs `script` by `sh -c`, with a grace of 300 ms.
pub fn shell(script: &str) -> RunnerSpec {
    command(&["sh", "-c", script])
}

pub fn command(argv: &[&str]) -> RunnerSpec {
    RunnerSpec {
        mark: unique_mark(),
        argv: argv.iter().map(|a| (*a).to_owned()).collect(),
        cwd: "/".into(),
        stdin: Stdin::Null,
        output: OutputMode::Pipes,
        timeout_ms: None,
        silence_ms: None,
        grace_ms: 300,
        stop: StopSignal::Term,
        output_limit: 1 << 30,
        resources: Resources::default(),
        gate: None,
        round: None,
        allowance: None,
        seal: String::new(),
        result: None,
        artifacts: None,
        claude: false,
        contained: false,
    }
}

pub fn gate(script: &str, timeout_ms: u64) -> Option<GateSpec> {
    Some(GateSpec { argv: ["sh", "-c", script].map(str::to_owned).to_vec(), timeout_ms })
}

/// An attempt directory of its own.
pub struct Attempt {
    _home: tempfile::TempDir,
    pub dir: PathBuf,
    pub mark: String,
}

impl Attempt {
    pub fn new(spec: &RunnerSpec) -> Attempt {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("attempt");
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("spec.json"), serde_json::to_vec(spec).unwrap()).unwrap();
        Attempt { _home: home, dir, mark: spec.mark.clone() }
    }

    pub fn command(&self) -> Command {
        self.command_of(AIRX.as_ref())
    }

    /// The same with another copy of the program.
    pub fn command_of(&self, program: &Path) -> Command {
        let lock = File::options().read(true).write(true).create(true).truncate(false).open(self.dir.join("lock")).unwrap();
        assert!(os::try_lock(&lock).unwrap());
        let mut command = Command::new(program);
        command.arg("run-task").arg(&self.dir).env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
        command.env("AIRX_ATTEMPT", &self.mark).stdin(Stdio::from(lock)).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    pub fn start(&self) -> Child {
        self.command().spawn().unwrap()
    }

    /// Runs it to its end; nothing of it may be left alive.
    pub fn run(&self) -> ExitRecord {
        let status = self.start().wait().unwrap();
        assert!(status.success(), "{status}: {}", self.text("runner.log"));
        self.record()
    }

    pub fn record(&self) -> ExitRecord {
        let ExitFile::Complete(record) = decode(&fs::read(self.dir.join("exit.json")).unwrap()) else {
            panic!("no complete record")
        };
        assert_eq!(survivors(&self.mark), Vec::<u32>::new(), "left alive");
        *record
    }

    pub fn text(&self, name: &str) -> String {
        String::from_utf8_lossy(&self.bytes(name)).into_owned()
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.dir.join(name)).unwrap_or_default()
    }

    /// The index as (stream, length).
    pub fn index(&self) -> Vec<(u8, u32)> {
        self.bytes("index").chunks_exact(16).map(|r| (r[0], u32::from_le_bytes([r[4], r[5], r[6], r[7]]))).collect()
    }
}

/// Living processes that carry the mark.
pub fn survivors(mark: &str) -> Vec<u32> {
    processes().unwrap().into_iter().filter(|p| !p.is_zombie() && has_mark(p.pid, mark)).map(|p| p.pid).collect()
}

/// Runs `spec` to its end.
pub fn run(spec: &RunnerSpec) -> (Attempt, ExitRecord) {
    let attempt = Attempt::new(spec);
    let record = attempt.run();
    (attempt, record)
}
