//! Ending what a vanished runner left behind, before a new attempt may start.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use crate::os;
use crate::os::proc::{Process, closure, has_mark, processes};

/// Looks at the process table for one sweep; a sweep that is not clean by then is repeated later.
const PASSES: u32 = 50;
/// For what was killed to be gone.
const PAUSE: Duration = Duration::from_millis(4);

/// What is known about the vanished runner.
pub struct Vanished<'a> {
    /// `AIRX_ATTEMPT`.
    pub mark: &'a str,
    /// Its cgroup, if it had one.
    pub cgroup: Option<PathBuf>,
    /// Whether its orphans come to this process: it was a child, and this process is a subreaper.
    pub orphans_come_here: bool,
    /// Device and inode of the runner's binary and of this process's own (usually the same; a child shows the latter
    /// until it executes): runners and managers are no orphans.
    pub ours: [Option<(u64, u64)>; 2],
}

/// How a sweep went.
pub struct Swept {
    /// Nothing is left that could be found.
    pub clean: bool,
    /// What a person should know.
    pub note: String,
}

/// Kills all that can be found until a look finds nothing.
pub fn sweep(vanished: &Vanished<'_>) -> Swept {
    let mut ended = BTreeSet::new();
    let mut clean = false;
    for _ in 0..PASSES {
        if let Some(group) = &vanished.cgroup {
            os::cgroup::kill(group);
        }
        let Ok(found) = strays(vanished) else { break };
        let populated = vanished.cgroup.as_deref().and_then(os::cgroup::is_populated).unwrap_or(false);
        if found.is_empty() && !populated {
            clean = true;
            break;
        }
        for process in found {
            if process.is_zombie() {
                os::reap(process.pid);
            } else {
                os::signal_pid(process.pid, Signal::KILL);
                ended.insert((process.pid, process.start_ticks));
            }
        }
        std::thread::sleep(PAUSE);
    }
    if let Some(group) = &vanished.cgroup {
        // Gone already, or still populated: then the sweep is not clean.
        let _ = fs::remove_dir(group);
    }
    let certain = vanished.orphans_come_here || vanished.cgroup.is_some();
    let how = match (clean, certain) {
        (true, true) => "the sweep is certain",
        (true, false) => "the sweep is best effort: a process that dropped AIRX_ATTEMPT from its environment may live on",
        (false, _) => "some do not end yet",
    };
    Swept { clean, note: format!("the runner vanished; processes it left and that were ended: {}; {how}", ended.len()) }
}

fn strays(vanished: &Vanished<'_>) -> std::io::Result<Vec<Process>> {
    let all = processes()?;
    let me = std::process::id();
    let my_session = all.iter().find(|p| p.pid == me).map_or(0, |p| p.session);
    let orphan =
        |p: &Process| vanished.orphans_come_here && p.parent == me && p.session != my_session && !runs(p, &vanished.ours);
    let marked = |p: &Process| !vanished.mark.is_empty() && !p.is_zombie() && has_mark(p.pid, vanished.mark);
    let start: BTreeSet<u32> = all.iter().filter(|p| p.pid != me && (orphan(p) || marked(p))).map(|p| p.pid).collect();
    let members = closure(&all, start);
    // Zombies count only as children of ours: others are for their parents to reap.
    Ok(all.into_iter().filter(|p| p.pid != me && members.contains(&p.pid) && (!p.is_zombie() || p.parent == me)).collect())
}

/// What lives of an attempt whose directory is gone.
pub struct Stray {
    /// `AIRX_ATTEMPT`, as it was told.
    pub mark: String,
    /// The runner, if it is among them.
    pub runner: Option<u32>,
}

/// Living processes that were told that `dir` is their attempt's directory.
pub fn of_directory(dir: &Path) -> Option<Stray> {
    let mut stray: Option<Stray> = None;
    for process in processes().ok()?.into_iter().filter(|p| !p.is_zombie()) {
        let Some(mark) = os::proc::mark_in(process.pid, dir) else { continue };
        let stray = stray.get_or_insert(Stray { mark, runner: None });
        if os::proc::is_runner_of(process.pid, dir) {
            stray.runner = Some(process.pid);
        }
    }
    stray
}

/// Whether a process runs one of our binaries. A zombie runs nothing any more; should it have been a runner, reaping it
/// here takes nothing from its watcher, who looks at the lock and the record.
fn runs(process: &Process, ours: &[Option<(u64, u64)>]) -> bool {
    let exe = identity(Path::new(&format!("/proc/{}/exe", process.pid)));
    !process.is_zombie() && exe.is_some() && ours.contains(&exe)
}

/// Device and inode of a file.
pub fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|m| (m.dev(), m.ino()))
}
