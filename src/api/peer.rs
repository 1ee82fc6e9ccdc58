//! Who is at the other end of the control socket: a person's program, or something that descends from a runner.

use std::path::Path;

/// Ancestors that are looked at. Nobody has more but who hides behind them, and that is a task.
const MAX_ANCESTORS: usize = 4_096;

/// Whether the process descends from a runner of this home. A guard rail, not a boundary (that is a container): a task
/// that clears its environment or detaches itself is still found by its ancestors, since runners are subreapers.
pub fn descends_from_runner(pid: u32, home: &Path) -> bool {
    let mut pid = pid;
    for _ in 0..MAX_ANCESTORS {
        if pid <= 1 {
            return false;
        }
        if is_of_runner(pid, home) {
            return true;
        }
        match crate::os::proc::process(pid) {
            Some(process) => pid = process.parent,
            None => return false,
        }
    }
    true
}

fn is_of_runner(pid: u32, home: &Path) -> bool {
    let jobs = home.join("jobs");
    let jobs = jobs.as_os_str().as_encoded_bytes();
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut words = command.split(|byte| *byte == 0).skip(1);
    if words.next() == Some(b"run-task") && words.next().is_some_and(|dir| dir.starts_with(jobs)) {
        return true;
    }
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|entry| entry.strip_prefix(b"AIRX_DIR=").is_some_and(|dir| dir.starts_with(jobs)))
}
