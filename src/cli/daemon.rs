//! `airx --daemon`: in the foreground the manager itself, else a manager of its own session that has said it is ready.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;

use crate::api::paths::SocketPaths;

use super::context::{Context, Failure};
use super::print;

/// The variable that tells a manager in the background where to say that it is ready: standard output then is a pipe.
pub(super) const READY: &str = "AIRX_READY";
/// The variable that names the descriptors which a leaving manager hands over: the home's lock, the two listening sockets.
pub const INHERIT: &str = "AIRX_INHERIT";

/// A manager that was started.
#[derive(Debug, Serialize)]
pub struct Started {
    /// Its process id.
    pub pid: u32,
    /// Its control socket.
    pub socket: String,
}

pub(super) fn daemon(context: &Context, foreground: bool) -> Result<i32, Failure> {
    if foreground {
        return context.services.manage(context).map(|()| 0);
    }
    let started = start_background(context)?;
    if context.printer.for_people() {
        print::out(&format!("the manager is ready (pid {}, socket {})\n", started.pid, started.socket));
    } else {
        print::out(&print::json(&started));
    }
    Ok(0)
}

/// Starts a manager in a session of its own and waits until it is ready, or has said why it is not.
///
/// # Errors
/// When it cannot be started, in its own words.
pub fn start_background(context: &Context) -> Result<Started, Failure> {
    Starter::new(context).start(Vec::new())
}

/// What a manager in the background is started with.
#[derive(Debug, Clone)]
pub struct Starter {
    home: PathBuf,
    config: Option<PathBuf>,
    verbose: bool,
}

impl Starter {
    /// For the context's home.
    pub fn new(context: &Context) -> Starter {
        Starter {
            home: context.home.path.clone(),
            config: context.global.config.as_ref().map(|config| context.cwd.join(config)),
            verbose: context.global.verbose,
        }
    }

    /// Starts it, with these descriptors left to it, and waits until it is ready.
    ///
    /// # Errors
    /// When it cannot be started, in its own words.
    pub fn start(&self, keep: Vec<OwnedFd>) -> Result<Started, Failure> {
        let cannot = |error: std::io::Error| {
            Failure::failed(format!("cannot start a manager: {error}"), "try `airx --daemon --foreground`")
        };
        let mut command = Command::new("/proc/self/exe");
        command.arg0("airx").args(["--daemon", "--foreground", "--home"]).arg(&self.home);
        if let Some(config) = &self.config {
            command.arg("--config").arg(config);
        }
        if self.verbose {
            command.arg("--verbose");
        }
        if !keep.is_empty() {
            let numbers: Vec<String> = keep.iter().map(|fd| fd.as_raw_fd().to_string()).collect();
            command.env(INHERIT, numbers.join(","));
        }
        command.env(READY, "1").current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = crate::os::in_new_session(&mut command, keep).spawn().map_err(cannot)?;
        let mut ready = [0u8; 1];
        let told =
            child.stdout.take().is_some_and(|mut pipe| is_readable(&pipe) && pipe.read(&mut ready).is_ok_and(|count| count == 1));
        if !told && child.try_wait().is_ok_and(|ended| ended.is_none()) && !has_ended(&mut child) {
            // It may hold the home: ended, so that the next one can begin.
            let _ = child.kill();
            let _ = child.wait();
            let seconds = READY_WITHIN.as_secs();
            return Err(Failure::failed(
                format!("the manager was not ready within {seconds} s and was ended"),
                "see the log, then try again",
            ));
        }
        if !told {
            let mut said = String::new();
            if let Some(stderr) = child.stderr.take() {
                // What it said is for people only; a read that fails leaves it short.
                let _ = stderr.take(64 * 1024).read_to_string(&mut said);
            }
            let code = child.wait().ok().and_then(|status| status.code()).unwrap_or(1);
            let said = said.trim().trim_start_matches("airx: ").to_owned();
            let message = if said.is_empty() { "the manager ended before it was ready".to_owned() } else { said };
            return Err(Failure { code: code.max(1), message, hint: String::new() });
        }
        let pid = child.id();
        let socket = SocketPaths::find(&self.home).map(|paths| paths.control().display().to_string()).unwrap_or_default();
        Ok(Started { pid, socket })
    }
}

/// Longest wait for a manager to be ready: a large database that has to be recovered takes seconds.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Longest wait for one that said nothing to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// Waits until the manager says something or is gone; false when it does neither.
fn is_readable(pipe: &impl AsFd) -> bool {
    let mut fds = [PollFd::new(pipe, PollFlags::IN)];
    let timeout = Timespec { tv_sec: i64::try_from(READY_WITHIN.as_secs()).unwrap_or(i64::MAX), tv_nsec: 0 };
    poll(&mut fds, Some(&timeout)).is_ok_and(|count| count > 0)
}

/// Whether it ends by itself: its streams are closed a moment before.
fn has_ended(child: &mut std::process::Child) -> bool {
    let deadline = Instant::now() + GONE_WITHIN;
    while Instant::now() < deadline {
        if child.try_wait().is_ok_and(|ended| ended.is_some()) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

/// Tells whoever started this manager that it is ready, then lets go of its streams.
pub fn say_ready(env: &std::collections::BTreeMap<String, String>) {
    if !env.contains_key(READY) {
        return;
    }
    use std::io::Write;
    // The starter may be gone; the manager goes on.
    let _ = std::io::stdout().lock().write_all(b"r").and_then(|()| std::io::stdout().lock().flush());
    if let Ok(null) = File::options().read(true).write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(&null);
        let _ = rustix::stdio::dup2_stderr(&null);
    }
}
