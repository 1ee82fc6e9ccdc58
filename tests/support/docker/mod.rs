//! Real Docker engines for tests: one that all tests of a suite run share, and private ones to kill and restart. See README.md.
#![allow(dead_code, reason = "each test program uses its own part")]

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

/// busybox and its applets; root, and a user `task` (1000).
pub const BUSYBOX: &str = "airx-test/busybox";
/// The same with bash and git.
pub const TOOLS: &str = "airx-test/tools";
/// The first, said to be for arm64.
pub const FOREIGN: &str = "airx-test/foreign";

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/docker");
const INIT: &str = "/usr/bin/docker-init";
/// Longest wait for an engine, which comes up in a second or two on an idle machine.
const PATIENCE: Duration = Duration::from_secs(90);
/// So long a failed start of the shared engine stands for those who can do without.
const FAILED_FOR: Duration = Duration::from_secs(120);

/// Where a running engine is reached.
pub struct Engine {
    run: PathBuf,
    state: PathBuf,
}

/// The engine that all ordinary tests share; none (after saying so) where there can be none.
///
/// # Panics
/// When there can be none though `AIRX_TEST_REQUIRE` names `docker` or `all`.
pub fn shared() -> Option<&'static Engine> {
    static LEASED: OnceLock<Result<(Engine, File), String>> = OnceLock::new();
    match LEASED.get_or_init(lease) {
        Ok((engine, _)) => Some(engine),
        Err(why) => left_out(why),
    }
}

/// What a private engine is started with.
#[derive(Clone, Copy)]
pub struct Options {
    /// Containers survive the end of the engine.
    pub live_restore: bool,
    /// Listens on a port of 127.0.0.1 as well.
    pub tcp: bool,
    /// What it has from the start.
    pub images: &'static [&'static str],
}

impl Default for Options {
    fn default() -> Self {
        Options { live_restore: false, tcp: false, images: &[BUSYBOX] }
    }
}

/// An engine of one test's own. Ends when dropped, and when the test dies.
pub struct Private {
    engine: Engine,
    supervisor: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    port: Option<u16>,
    _place: tempfile::TempDir,
}

/// A running engine for one test; none as for [`shared`].
///
/// # Panics
/// As [`shared`].
pub fn private(options: Options) -> Option<Private> {
    match Private::start_new(options) {
        Ok(engine) => Some(engine),
        Err(why) => left_out(&why),
    }
}

impl Private {
    fn start_new(options: Options) -> Result<Private, String> {
        missing()?;
        let images = images().map_err(|error| error.to_string())?;
        let place = tempfile::Builder::new().prefix("docker-").tempdir_in(env!("CARGO_TARGET_TMPDIR"));
        let place = place.map_err(|error| error.to_string())?;
        let engine = Engine::at(place.path().to_owned());
        let mut extra = Vec::new();
        if options.live_restore {
            extra.push("--live-restore".to_owned());
        }
        let port = options.tcp.then(free_port);
        if let Some(port) = port {
            extra.extend(listening(port));
        }
        let mut supervisor =
            engine.supervise("private", &extra, Stdio::piped(), Stdio::piped()).map_err(|error| error.to_string())?;
        let orders = supervisor.stdin.take();
        let answers = BufReader::new(supervisor.stdout.take().expect("a pipe"));
        let mut private = Private { engine, supervisor, orders, answers, port, _place: place };
        private.order("start");
        private.engine.await_answer()?;
        for image in options.images {
            private.engine.load(&images, image)?;
        }
        Ok(private)
    }

    /// Ends the engine with SIGKILL. Its containers go on until the next start, which ends them unless they are to survive.
    pub fn kill(&mut self) {
        self.order("kill");
    }

    /// Ends the engine as a system's shutdown does.
    pub fn stop(&mut self) {
        self.order("stop");
    }

    /// Starts the engine again, on the same data and socket, and waits until it answers.
    pub fn start(&mut self) {
        self.order("start");
        if let Err(why) = self.engine.await_answer() {
            panic!("{why}");
        }
    }

    /// The address of its second listener.
    pub fn tcp(&self) -> String {
        format!("tcp://127.0.0.1:{}", self.port.expect("it was asked to listen on a port"))
    }

    fn order(&mut self, word: &str) {
        let orders = self.orders.as_mut().expect("open until it is dropped");
        writeln!(orders, "{word}").expect("the supervisor lives");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("the supervisor lives");
        assert_eq!(answer.trim_end(), word, "the supervisor ended: {}", self.engine.log());
    }
}

impl std::ops::Deref for Private {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.engine
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        self.orders = None;
        let _ = self.supervisor.wait();
    }
}

impl Engine {
    /// The engine whose data lies here; its sockets have a short path of their own, since such paths are bounded.
    fn at(state: PathBuf) -> Engine {
        let key = state.as_os_str().as_encoded_bytes();
        let key = key.iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
        Engine { run: PathBuf::from(format!("/tmp/airx-docker-{key:016x}")), state }
    }

    /// The same engine, for whoever only uses it.
    pub fn handle(&self) -> Engine {
        Engine { run: self.run.clone(), state: self.state.clone() }
    }

    /// For a pool's `host:` and for `DOCKER_HOST`.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// The shared engine as one that can mount nothing of this machine is reached, for a pool's `host:`.
    ///
    /// # Panics
    /// When it is not the shared engine.
    pub fn remote(&self) -> String {
        let port = std::fs::read_to_string(self.state.join("ready")).expect("the shared engine");
        format!("tcp://127.0.0.1:{port}")
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.run.join("docker.sock")
    }

    /// What it said last.
    pub fn log(&self) -> String {
        let text = std::fs::read_to_string(self.state.join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// The engine's process id.
    pub fn pid(&self) -> u32 {
        let text = std::fs::read_to_string(self.run.join("pid")).expect("it runs");
        text.trim().parse().expect("a process id")
    }

    /// The engine's command line program.
    pub fn docker<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let debian = Path::new("/usr/bin/docker");
        let mut command = Command::new(if debian.exists() { debian } else { Path::new("docker") });
        command
            .args(args)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", &self.state)
            .env("DOCKER_HOST", self.host())
            .stdin(Stdio::null());
        command
    }

    /// Runs it; it must succeed. Its standard output.
    pub fn ok<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> String {
        let output = self.docker(args).output().expect("docker runs");
        assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// A request to its API; status and body.
    pub fn request(&self, method: &str, path: &str, body: Option<&mut File>) -> io::Result<(u16, Vec<u8>)> {
        let mut stream = UnixStream::connect(self.socket())?;
        let length = body.as_ref().map_or(Ok(0), |file| file.metadata().map(|data| data.len()))?;
        write!(stream, "{method} {path} HTTP/1.0\r\nContent-Type: application/x-tar\r\nContent-Length: {length}\r\n\r\n")?;
        if let Some(file) = body {
            io::copy(file, &mut stream)?;
        }
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let head = answer.windows(4).position(|part| part == b"\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
        let status = String::from_utf8_lossy(&answer[..head]).split(' ').nth(1).and_then(|word| word.parse().ok());
        Ok((status.ok_or(io::ErrorKind::InvalidData)?, answer.split_off(head + 4)))
    }

    /// What its API has under a path that must be there.
    pub fn get(&self, path: &str) -> serde_json::Value {
        let (status, body) = self.request("GET", path, None).expect("the engine answers");
        assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).expect("JSON")
    }

    fn answers(&self) -> bool {
        self.request("GET", "/_ping", None).is_ok_and(|(status, _)| status == 200)
    }

    fn await_answer(&self) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        while !self.answers() {
            let log = self.log();
            let ended = log.contains("failed to start daemon") || log.contains("failed to start containerd");
            if ended || Instant::now() > deadline {
                return Err(format!("dockerd does not come up:\n{}", self.log()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn load(&self, images: &Path, image: &str) -> Result<(), String> {
        let name = image.trim_start_matches("airx-test/");
        let change = "ENV%20PATH%3D/usr/local/bin:/usr/bin:/bin&changes=CMD%20%5B%22sh%22%5D";
        let path = match image {
            FOREIGN => "/images/load".to_owned(),
            _ => format!("/images/create?fromSrc=-&repo={image}&tag=latest&changes={change}"),
        };
        let load = || {
            let mut file = File::open(images.join(format!("{name}.tar")))?;
            self.request("POST", &path, Some(&mut file))
        };
        let (_, said) = load().map_err(|error| format!("{image}: {error}"))?;
        match self.request("GET", &format!("/images/{image}/json"), None) {
            Ok((200, _)) => Ok(()),
            _ => Err(format!("{image} was not taken: {}", String::from_utf8_lossy(&said))),
        }
    }

    /// In a session of its own, so that what ends the tests from a terminal leaves it time to clean up.
    fn supervise(&self, mode: &str, extra: &[String], stdin: Stdio, stdout: Stdio) -> io::Result<Child> {
        let mut command = Command::new("setsid");
        command
            .args([INIT, "-s", "--", "sh"])
            .arg(format!("{HERE}/engine.sh"))
            .arg(&self.run)
            .arg(&self.state)
            .arg(mode)
            .args(extra);
        command.env_clear().current_dir("/").stdin(stdin).stdout(stdout).stderr(Stdio::null()).spawn()
    }
}

/// The shared engine, started if need be, and the lease that keeps it.
fn lease() -> Result<(Engine, File), String> {
    missing()?;
    let engine = Engine::at(suite_directory());
    let lock = locked(&engine.state.join("lock")).map_err(|error| error.to_string())?;
    let lease = File::create(engine.state.join("lease")).map_err(|error| error.to_string())?;
    flock(&lease, FlockOperation::LockShared).map_err(|error| error.to_string())?;
    if !engine.state.join("ready").exists() || !engine.is_supervised() || !engine.answers() {
        let failed = engine.state.join("failed");
        let is_recent = |data: std::fs::Metadata| data.modified().is_ok_and(|at| at.elapsed().is_ok_and(|ago| ago < FAILED_FOR));
        // Where no engine can be, a hundred tests need not find it out each.
        if !required() && std::fs::metadata(&failed).is_ok_and(is_recent) {
            return Err(std::fs::read_to_string(&failed).unwrap_or_default());
        }
        if let Err(why) = engine.start_shared() {
            let _ = std::fs::write(&failed, &why);
            return Err(why);
        }
    }
    drop(lock);
    Ok((engine, lease))
}

impl Engine {
    fn start_shared(&self) -> Result<(), String> {
        let ready = self.state.join("ready");
        let _ = std::fs::remove_file(&ready);
        self.end_the_one_before();
        let images = build_images(&self.state).map_err(|error| error.to_string())?;
        // One that was left without a supervisor may still listen there, until the new one has ended it.
        let _ = std::fs::remove_file(self.socket());
        let _ = std::fs::remove_file(self.state.join("log"));
        let port = self.start_with_port()?;
        for image in [BUSYBOX, TOOLS, FOREIGN] {
            self.load(&images, image)?;
        }
        std::fs::write(&ready, port.to_string()).map_err(|error| error.to_string())
    }

    /// Between the choice of a port and its use somebody else may take it: then another one.
    fn start_with_port(&self) -> Result<u16, String> {
        let mut tries = 0;
        loop {
            let port = free_port();
            let started = self.supervise("shared", &listening(port), Stdio::null(), Stdio::null());
            started.map_err(|error| error.to_string())?;
            match self.await_answer() {
                Ok(()) => return Ok(port),
                Err(why) if !why.contains("address already in use") || tries == 3 => return Err(why),
                Err(_) => self.end_the_one_before(),
            }
            tries += 1;
        }
    }

    /// A supervisor without a ready engine: its starter died, or its engine did. The lock proves whose the process id is.
    fn end_the_one_before(&self) {
        while self.is_supervised() {
            let pid = std::fs::read_to_string(self.state.join("supervisor")).ok().and_then(|text| text.trim().parse().ok());
            if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn is_supervised(&self) -> bool {
        let alive = File::create(self.state.join("alive"));
        alive.is_ok_and(|alive| flock(&alive, FlockOperation::NonBlockingLockExclusive).is_err())
    }
}

/// The images as files, built once for all engines of a suite run.
fn images() -> io::Result<PathBuf> {
    let state = suite_directory();
    let _lock = locked(&state.join("lock"))?;
    build_images(&state)
}

fn build_images(state: &Path) -> io::Result<PathBuf> {
    let images = state.join("images");
    let output = Command::new("sh").arg(format!("{HERE}/images.sh")).arg(&images).stdin(Stdio::null()).output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!("images.sh: {}", String::from_utf8_lossy(&output.stderr))));
    }
    Ok(images)
}

/// Of this checkout, also where several share a target directory.
fn suite_directory() -> PathBuf {
    let inode = std::fs::metadata(HERE).map_or(0, |data| data.ino());
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("docker-{inode}"));
    let _ = std::fs::create_dir_all(&directory);
    directory
}

fn locked(path: &Path) -> io::Result<File> {
    let file = File::create(path)?;
    flock(&file, FlockOperation::LockExclusive)?;
    Ok(file)
}

/// On this machine's own address alone: whoever reaches an engine is root.
fn listening(port: u16) -> [String; 3] {
    ["--host".to_owned(), format!("tcp://127.0.0.1:{port}"), "--tls=false".to_owned()]
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// Why no engine can be here.
fn missing() -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Err("only root can start dockerd".to_owned());
    }
    let there =
        |name: &str| ["/usr/sbin", "/usr/bin", "/usr/local/bin", "/bin"].iter().any(|dir| Path::new(dir).join(name).exists());
    let programs = ["dockerd", "docker-init", "busybox", "git", "bash"];
    let missing: Vec<&str> = programs.into_iter().filter(|name| !there(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!("{} not there (Debian: apt install --no-install-recommends docker.io busybox-static git)", missing.join(", ")))
}

#[expect(clippy::print_stderr, reason = "says that a test is skipped")]
fn left_out<T>(why: &str) -> Option<T> {
    assert!(!required(), "a Docker engine is required: {why}");
    eprintln!("skipped: no Docker engine: {why}");
    None
}

fn required() -> bool {
    let required = std::env::var("AIRX_TEST_REQUIRE").unwrap_or_default();
    required.split(',').any(|part| matches!(part.trim(), "docker" | "all"))
}
