//! Processes as `/proc` shows them: who descends from whom, who carries an attempt's mark, what a tree uses.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The variable by which a sweep finds processes that escaped their tree.
pub const MARK: &str = "AIRX_ATTEMPT";

/// A process, from `/proc/PID/stat` (proc(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its parent.
    pub parent: u32,
    /// Its session.
    pub session: u32,
    /// `R`, `S`, `D`, `T` (stopped), `Z` (ended, not yet waited for) and so on.
    pub state: u8,
    /// Threads in it.
    pub threads: u32,
    /// When it started, in clock ticks since boot: with the pid, its identity.
    pub start_ticks: u64,
}

impl Process {
    /// Whether it has ended and only waits to be reaped.
    pub fn is_zombie(&self) -> bool {
        matches!(self.state, b'Z' | b'X')
    }
}

/// The process `pid`, if it is there.
pub fn process(pid: u32) -> Option<Process> {
    parse(pid, super::read_small(&format!("/proc/{pid}/stat"), &mut [0; 1024])?)
}

/// Field 22 of `/proc/self/stat`; 0 where that cannot be told.
pub fn own_start_ticks() -> u64 {
    super::read_small("/proc/self/stat", &mut [0; 1024]).and_then(|s| parse(0, s)).map_or(0, |p| p.start_ticks)
}

/// All processes of this pid namespace that can be seen.
///
/// # Errors
/// When `/proc` is not there.
pub fn processes() -> io::Result<Vec<Process>> {
    let entries = fs::read_dir("/proc")?;
    Ok(entries.flatten().filter_map(|e| process(e.file_name().to_str()?.parse().ok()?)).collect())
}

fn parse(pid: u32, stat: &[u8]) -> Option<Process> {
    // The name in parentheses may hold anything, also parentheses: fields count from the last one.
    let rest = &stat[stat.iter().rposition(|b| *b == b')')? + 1..];
    let fields: Vec<&str> = std::str::from_utf8(rest).ok()?.split_ascii_whitespace().collect();
    Some(Process {
        pid,
        state: *fields.first()?.as_bytes().first()?,
        parent: fields.get(1)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        threads: fields.get(17)?.parse().ok()?,
        start_ticks: fields.get(19)?.parse().ok()?,
    })
}

/// Whether the process was started with `AIRX_ATTEMPT=mark`.
pub fn has_mark(pid: u32, mark: &str) -> bool {
    let Ok(environ) = fs::read(format!("/proc/{pid}/environ")) else { return false };
    environ
        .split(|b| *b == 0)
        .any(|v| v.strip_prefix(MARK.as_bytes()).and_then(|v| v.strip_prefix(b"=")) == Some(mark.as_bytes()))
}

/// The mark of a process whose environment names `dir` as its attempt's directory.
pub fn mark_in(pid: u32, dir: &Path) -> Option<String> {
    let environ = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let value =
        |name: &str| environ.split(|b| *b == 0).find_map(|v| v.strip_prefix(name.as_bytes()).and_then(|v| v.strip_prefix(b"=")));
    (value("AIRX_DIR")? == dir.as_os_str().as_bytes()).then_some(())?;
    Some(String::from_utf8_lossy(value(MARK)?).into_owned())
}

/// Whether the process was started as `airx run-task dir`.
pub fn is_runner_of(pid: u32, dir: &Path) -> bool {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut words = words.split(|b| *b == 0).skip(1);
    words.next() == Some(b"run-task") && words.next() == Some(dir.as_os_str().as_bytes())
}

/// The members of `start` and all their descendants among `all`, and everybody in the sessions that members of that
/// set lead, with their descendants.
pub fn closure(all: &[Process], start: BTreeSet<u32>) -> BTreeSet<u32> {
    let mut members = start;
    loop {
        let before = members.len();
        for p in all {
            if members.contains(&p.parent) || members.contains(&p.session) {
                members.insert(p.pid);
            }
        }
        if members.len() == before {
            return members;
        }
    }
}

/// Every living process, itself excluded, that descends from the runner `root`, sits in a session one of those leads,
/// or carries `mark`.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn tree(root: u32, mark: &str) -> io::Result<Vec<Process>> {
    let all = processes()?;
    let mut start: BTreeSet<u32> = all.iter().filter(|p| p.parent == root).map(|p| p.pid).collect();
    start = closure(&all, start);
    let marked: Vec<u32> = all
        .iter()
        .filter(|p| p.pid != root && !p.is_zombie() && !start.contains(&p.pid) && has_mark(p.pid, mark))
        .map(|p| p.pid)
        .collect();
    if !marked.is_empty() {
        start.extend(marked);
        start = closure(&all, start);
    }
    Ok(all.into_iter().filter(|p| p.pid != root && !p.is_zombie() && start.contains(&p.pid)).collect())
}

/// The living descendants of `root`: [`tree`] without what escaped, at a fraction of its cost.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn descendants(root: u32) -> io::Result<Vec<Process>> {
    let all = processes()?;
    let members = closure(&all, all.iter().filter(|p| p.parent == root).map(|p| p.pid).collect());
    Ok(all.into_iter().filter(|p| p.pid != root && !p.is_zombie() && members.contains(&p.pid)).collect())
}

/// Memory of a process in bytes, its share of shared pages counted in proportion (PSS); its resident set where the
/// system keeps no PSS; 0 when it is gone.
pub fn memory(pid: u32) -> u64 {
    let field = |file: &str, name: &str| -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?;
        let line = text.lines().find_map(|l| l.strip_prefix(name))?;
        line.split_ascii_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
    };
    field("smaps_rollup", "Pss:").or_else(|| field("status", "VmRSS:")).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_finds_itself() {
        let me = std::process::id();
        let found = processes().unwrap().into_iter().find(|p| p.pid == me).unwrap();
        assert_eq!(found.start_ticks, own_start_ticks());
        assert_eq!(Some(found.parent), process(me).map(|p| p.parent));
        assert!(memory(me) > 0);
    }

    #[test]
    fn a_name_full_of_parentheses_does_not_shift_the_fields() {
        let stat = b"7 (a) R 1 (b)) S 3 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 2 0 4711 0";
        let p = parse(7, stat).unwrap();
        assert_eq!((p.state, p.parent, p.session, p.threads, p.start_ticks), (b'S', 3, 7, 2, 4711));
    }

    #[test]
    fn a_closure_holds_descendants_and_the_sessions_they_lead() {
        let p = |pid, parent, session| Process { pid, parent, session, state: b'S', threads: 1, start_ticks: 0 };
        let all = [p(1, 0, 1), p(10, 1, 10), p(11, 10, 10), p(12, 11, 12), p(20, 1, 12), p(30, 1, 30)];
        assert_eq!(closure(&all, [10].into()), [10, 11, 12, 20].into());
    }
}
