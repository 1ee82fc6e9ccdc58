//! Limits by cgroup v2, where a delegated directory can be written.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::model::spec::Resources;

/// A cgroup made for one attempt; the runner stays outside of it.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
    home: PathBuf,
}

/// Where this process is, if there is a cgroup v2 hierarchy: its directory there, and the mount point.
fn own() -> Option<(PathBuf, PathBuf)> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let (mount, root) = mounts.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let mut fields = left.split(' ').skip(3);
        let (root, mount) = (fields.next()?, fields.next()?);
        right.starts_with("cgroup2 ").then(|| (PathBuf::from(mount), root.to_owned()))
    })?;
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = groups.lines().find_map(|l| l.strip_prefix("0::"))?;
    let inside = Path::new(path).strip_prefix(&root).ok()?;
    Some((mount.join(inside), mount))
}

impl Cgroup {
    /// Makes a cgroup that enforces all of `limits`.
    ///
    /// # Errors
    /// When none can be made, or the controllers are not delegated: the limits must be watched instead.
    pub fn make(mark: &str, limits: &Resources) -> io::Result<Cgroup> {
        let (home, mount) = own().ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))?;
        // A group that holds processes cannot give controllers to children, unless it is the root: so beside us, too.
        let mut candidates = vec![home.clone()];
        candidates.extend(home.parent().filter(|p| p.starts_with(&mount)).map(Path::to_owned));
        let mut last = io::Error::from(io::ErrorKind::Unsupported);
        for parent in candidates {
            let group = Cgroup { path: parent.join(format!("airx-{mark}")), home: home.clone() };
            // Entering and leaving is tried before it matters: once the command runs there is no way back.
            let made = fs::create_dir(&group.path).and_then(|()| group.enter()).and_then(|()| group.leave());
            match made.and_then(|()| group.limit(limits)) {
                Ok(()) => return Ok(group),
                Err(e) => last = e,
            }
        }
        Err(last)
    }

    fn limit(&self, limits: &Resources) -> io::Result<()> {
        if let Some(bytes) = limits.memory {
            self.set("memory.max", &bytes.to_string())?;
            // Swapping would only make the limit slow; absent where swap accounting is off.
            let _ = self.set("memory.swap.max", "0");
        }
        if let Some(cpus) = limits.cpus {
            self.set("cpu.max", &format!("{:.0} 100000", (cpus * 100_000.0).max(1000.0)))?;
        }
        if let Some(pids) = limits.pids {
            self.set("pids.max", &pids.to_string())?;
        }
        Ok(())
    }

    fn set(&self, file: &str, value: &str) -> io::Result<()> {
        // Opened without O_CREAT: a missing controller shows as a missing file.
        let file = fs::OpenOptions::new().write(true).open(self.path.join(file))?;
        rustix::io::write(&file, value.as_bytes())?;
        Ok(())
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `spawn` inside the group: what it starts stays there, this process returns to where it was.
    ///
    /// # Errors
    /// When this process could not enter.
    pub fn inside<T>(&self, spawn: impl FnOnce() -> T) -> io::Result<T> {
        self.enter()?;
        let value = spawn();
        // Worked a moment ago. Should it fail, a kill of the group takes this process along, and the manager sweeps.
        let _ = self.leave();
        Ok(value)
    }

    fn enter(&self) -> io::Result<()> {
        self.set("cgroup.procs", "0")
    }

    fn leave(&self) -> io::Result<()> {
        fs::write(self.home.join("cgroup.procs"), "0")
    }

    /// Kills everything in it.
    pub fn kill(&self) {
        kill(&self.path);
    }

    /// Whether the kernel killed something in it for its memory.
    pub fn oom_killed(&self) -> bool {
        self.event("memory.events", "oom_kill")
    }

    /// Whether a fork was refused in it.
    pub fn forks_refused(&self) -> bool {
        self.event("pids.events", "max")
    }

    fn event(&self, file: &str, name: &str) -> bool {
        let text = fs::read_to_string(self.path.join(file)).unwrap_or_default();
        text.lines().any(|l| l.split_once(' ').is_some_and(|(n, v)| n == name && v != "0"))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Fails while something lives in it; the sweep that ends that removes it.
        let _ = fs::remove_dir(&self.path);
    }
}

/// What the limits of the container that this process lives in have ended so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ended {
    /// Processes killed for their memory.
    pub killed: u64,
    /// Forks refused.
    pub forks_refused: u64,
}

/// Reads that, by the cgroup that engines show a container as its own (version 2, else 1); zeros where nothing tells.
pub fn ended_by_limits() -> Ended {
    ended_in(Path::new("/sys/fs/cgroup"))
}

fn ended_in(root: &Path) -> Ended {
    let count = |files: [&str; 2], name: &str| {
        let text = files.iter().find_map(|file| fs::read_to_string(root.join(file)).ok()).unwrap_or_default();
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or(0)
    };
    Ended {
        killed: count(["memory.events", "memory/memory.oom_control"], "oom_kill "),
        forks_refused: count(["pids.events", "pids/pids.events"], "max "),
    }
}

/// Kills everything in the cgroup at `path`, and says whether that could be asked for.
pub fn kill(path: &Path) -> bool {
    fs::write(path.join("cgroup.kill"), "1").is_ok()
}

/// Whether anything lives in the cgroup at `path`; none when that cannot be told.
pub fn is_populated(path: &Path) -> Option<bool> {
    let text = fs::read_to_string(path.join("cgroup.events")).ok()?;
    text.lines().find_map(|l| l.strip_prefix("populated ")).map(|v| v != "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_limits_ended_is_read_from_either_version() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(ended_in(root.path()), Ended::default());
        for part in ["memory", "pids"] {
            fs::create_dir(root.path().join(part)).unwrap();
        }
        fs::write(root.path().join("memory/memory.oom_control"), "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n").unwrap();
        fs::write(root.path().join("pids/pids.events"), "max 2\n").unwrap();
        assert_eq!(ended_in(root.path()), Ended { killed: 3, forks_refused: 2 });
        fs::write(root.path().join("memory.events"), "low 0\nhigh 0\nmax 9\noom 1\noom_kill 1\noom_group_kill 0\n").unwrap();
        assert_eq!(ended_in(root.path()).killed, 1);
    }
}
