//! Handing an order to a process of its own.

use std::collections::BTreeMap;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::deliver::VERB;
use super::order::{MAX_ORDER, Order};

/// Longest run of the process, whose own deadlines are shorter; past that it is killed.
const DEADLINE: Duration = Duration::from_secs(60);
/// What is read of its line, in bytes.
const MAX_LINE: u64 = 8 * 1024;

/// Has it done, and waits for the end of that, a minute at most; `on_start` is called once it is certain to happen, whatever
/// becomes of this process.
///
/// # Errors
/// Why it was not done.
pub fn send(order: &Order, environment: &BTreeMap<String, String>, on_start: impl FnOnce()) -> Result<String, String> {
    let text = serde_json::to_vec(order).map_err(|error| format!("the order cannot be written: {error}"))?;
    if text.len() as u64 > MAX_ORDER {
        return Err(format!("with its values it is larger than {} MiB", MAX_ORDER >> 20));
    }
    let input = crate::os::unnamed_file(&text).map_err(|error| format!("the order cannot be passed on: {error}"))?;
    let mut command = Command::new("/proc/self/exe");
    command
        .arg(VERB)
        .env_clear()
        .envs(Order::surroundings(environment))
        .current_dir("/")
        .stdin(Stdio::from(input))
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = crate::os::in_new_session(&mut command, Vec::new())
        .spawn()
        .map_err(|error| format!("no process can be started for it: {error}"))?;
    on_start();
    let status = wait(&mut child)?;
    // It has ended, and what it started has pipes of its own: this does not wait.
    let mut line = Vec::new();
    let _ = child.stdout.take().map(|out| out.take(MAX_LINE).read_to_end(&mut line));
    let line = String::from_utf8_lossy(&line).trim().to_owned();
    match status.code() {
        Some(0) => Ok(line),
        Some(_) if !line.is_empty() => Err(line),
        _ => Err(format!("the process for it ended with {status}")),
    }
}

fn wait(child: &mut Child) -> Result<std::process::ExitStatus, String> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(20)),
            Ok(None) => {
                // Already gone is as good as killed.
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("the process for it took longer than {} s", DEADLINE.as_secs()));
            }
            Err(error) => return Err(format!("the process for it was lost: {error}")),
        }
    }
}
