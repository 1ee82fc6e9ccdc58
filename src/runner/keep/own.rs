//! What of a workspace is none of the task's: airx's own home, and what only looks like files.

use std::ffi::OsString;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FsWord, fstat, fstatfs, readlinkat};

/// What makes a directory a home.
const DATABASE: &str = "airx.db";
/// File systems whose files are words of the kernel, which tell of other processes too: proc, sysfs, cgroup, debugfs, tracefs,
/// securityfs, bpf.
const WITHOUT_STORAGE: &[FsWord] =
    &[0x9fa0, 0x6265_6572, 0x0027_e0eb, 0x6367_7270, 0x6462_6720, 0x7472_6163, 0x7363_6673, 0xcafe_4a11];

/// Places that nothing is kept of.
pub(super) struct Own {
    paths: Vec<PathBuf>,
    nodes: Vec<(u64, u64)>,
}

impl Own {
    /// The attempt's directory, and the home that it lies in.
    pub fn of(root: impl AsFd, dir: &Path) -> Own {
        let mut paths: Vec<PathBuf> = dir.canonicalize().into_iter().collect();
        let home = paths.first().and_then(|dir| dir.ancestors().find(|place| place.join(DATABASE).exists())).map(Path::to_owned);
        let workspace = real(&root);
        if let Some(home) = home {
            // A workspace may lie in the home.
            let lies_in = |place: &Path| workspace.as_ref().is_some_and(|workspace| workspace.starts_with(place));
            let jobs = home.join("jobs");
            match lies_in(&home) && workspace.as_ref() != Some(&home) {
                true if lies_in(&jobs) => {}
                true => paths.push(jobs),
                false => paths.push(home),
            }
        }
        let nodes = paths.iter().filter_map(|path| std::fs::File::open(path).ok()).filter_map(|place| node(&place)).collect();
        Own { paths, nodes }
    }

    /// Whether a file or directory is such.
    pub fn has(&self, opened: impl AsFd) -> bool {
        node(&opened).is_some_and(|node| self.nodes.contains(&node))
            || real(&opened).is_some_and(|path| self.paths.iter().any(|own| path.starts_with(own)))
    }
}

/// Whether it lies on a file system that stores nothing.
pub(super) fn is_without_storage(opened: impl AsFd) -> bool {
    fstatfs(opened).is_ok_and(|system| WITHOUT_STORAGE.contains(&system.f_type))
}

fn node(opened: impl AsFd) -> Option<(u64, u64)> {
    fstat(opened).ok().map(|stat| (stat.st_dev, stat.st_ino))
}

/// Where it is, whatever links led there.
fn real(opened: impl AsFd) -> Option<PathBuf> {
    let path = readlinkat(CWD, format!("/proc/self/fd/{}", opened.as_fd().as_raw_fd()), Vec::new()).ok()?;
    Some(PathBuf::from(OsString::from_vec(path.into_bytes())))
}
