//! The pinned Claude Code CLI and the fake Messages API, for tests. See README.md beside this file.
#![allow(dead_code, reason = "each test program uses its own part")]

use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/claude");

/// The pinned CLI: `AIRX_TEST_CLAUDE`, else where `install.sh` puts it; none when it is not installed.
///
/// # Panics
/// When it is missing though `AIRX_TEST_REQUIRE` names `claude` or `all`.
#[expect(clippy::print_stderr, reason = "says that a test is skipped")]
pub fn binary() -> Option<PathBuf> {
    let version = include_str!("version").trim();
    let cache = || {
        let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let base = base.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))?;
        Some(base.join(format!("airx-tests/claude-{version}/node_modules/.bin/claude")))
    };
    let path = std::env::var_os("AIRX_TEST_CLAUDE").map(PathBuf::from).or_else(cache);
    let found = path.filter(|path| path.is_file());
    if found.is_none() {
        let required = std::env::var("AIRX_TEST_REQUIRE").unwrap_or_default();
        let required = required.split(',').any(|part| matches!(part.trim(), "claude" | "all"));
        assert!(!required, "the Claude CLI {version} is required: run tests/support/claude/install.sh");
        eprintln!("skipped: no Claude CLI {version} (tests/support/claude/install.sh installs it)");
    }
    found
}

/// A fake Messages API on a port of its own; ends when dropped, and when the test dies.
pub struct FakeApi {
    child: Child,
    host: String,
    port: u16,
}

impl FakeApi {
    /// Starts it and waits until it answers; `dir` gets its port file and its request log `requests.ndjson`.
    pub fn start(dir: &Path) -> FakeApi {
        FakeApi::start_on(dir, "127.0.0.1")
    }

    /// The same with a file of rules, for prompts that carry no marker.
    pub fn start_with_rules(dir: &Path, rules: &Path) -> FakeApi {
        FakeApi::start_as(dir, "127.0.0.1", &["--rules".as_ref(), rules.as_os_str()])
    }

    /// The same on another address of this machine, such as that of a bridge to containers.
    pub fn start_on(dir: &Path, host: &str) -> FakeApi {
        FakeApi::start_as(dir, host, &[])
    }

    fn start_as(dir: &Path, host: &str, more: &[&OsStr]) -> FakeApi {
        let port_file = dir.join("port");
        let child = Command::new("python3")
            .arg(format!("{HERE}/fake_messages_api.py"))
            .args(["--until-stdin-closes", "--port", "0", "--host", host, "--port-file"])
            .arg(&port_file)
            .arg("--log")
            .arg(dir.join("requests.ndjson"))
            .args(more)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("python3 runs the fake Messages API");
        let mut api = FakeApi { child, host: host.to_owned(), port: 0 };
        wait_until("the fake API to write its port", Duration::from_secs(30), || {
            assert_eq!(api.child.try_wait().expect("its state"), None, "the fake API ended early");
            api.port = std::fs::read_to_string(&port_file).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
            api.port != 0
        });
        api
    }

    /// For `ANTHROPIC_BASE_URL`.
    pub fn url(&self) -> String {
        format!("http://{}:{}", self.host, self.port)
    }

    /// An environment to be used instead of the test's own: nothing outside of `home` and the fake API is reached.
    pub fn environment(&self, home: &Path) -> Vec<(String, String)> {
        let home_text = home.display().to_string();
        [
            ("PATH", "/usr/local/bin:/usr/bin:/bin"),
            ("HOME", &home_text),
            ("CLAUDE_CONFIG_DIR", &format!("{home_text}/.claude")),
            ("ANTHROPIC_BASE_URL", &self.url()),
            ("ANTHROPIC_API_KEY", "test-key"),
            ("DISABLE_TELEMETRY", "1"),
            ("DISABLE_AUTOUPDATER", "1"),
            ("DISABLE_ERROR_REPORTING", "1"),
            ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }
}

impl Drop for FakeApi {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for a condition that another process brings about.
///
/// # Panics
/// When it does not hold within `limit`.
pub fn wait_until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < limit, "waited {limit:?} for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// All of a file, or nothing when it is not there.
pub fn content(path: &Path) -> String {
    let mut text = String::new();
    let _ = std::fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text));
    text
}
