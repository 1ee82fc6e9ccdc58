//! What no container ever sees: the engine's socket, the sockets of the manager, the home.

use std::path::{Path, PathBuf};

/// Places that are kept from containers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Guarded {
    /// Whoever reaches one of these reaches everything: sockets of engines and of the manager.
    pub sockets: Vec<PathBuf>,
    /// Directories that are hidden where a workspace holds them.
    pub private: Vec<PathBuf>,
}

impl Guarded {
    /// Private directories below `workspace`, relative to it.
    pub fn hidden_in(&self, workspace: &Path) -> Vec<PathBuf> {
        let workspace = real(workspace);
        let below = |place: &PathBuf| real(place).strip_prefix(&workspace).ok().map(Path::to_owned);
        self.private.iter().filter_map(below).filter(|rest| rest.components().next().is_some()).collect()
    }
}

/// Refuses a directory or file that holds, or is, what must never be mounted.
///
/// # Errors
/// What it holds, and what to do.
pub fn guard(source: &Path, what: &str, guarded: &Guarded) -> Result<(), String> {
    let place = real(source);
    for socket in &guarded.sockets {
        let socket = real(socket);
        if socket.starts_with(&place) || place.starts_with(&socket) {
            return Err(format!(
                "{what}, {}, would show the container the socket {}, by which it could do everything: that is never mounted; \
                 use a directory below",
                source.display(),
                socket.display()
            ));
        }
    }
    if guarded.private.iter().any(|private| place.starts_with(real(private))) {
        return Err(format!(
            "{what}, {}, lies in airx's own home, which is never mounted: use another directory",
            source.display()
        ));
    }
    Ok(())
}

/// Where a path leads, as far as it exists.
fn real(path: &Path) -> PathBuf {
    let mut rest = Vec::new();
    let mut at = path;
    loop {
        if let Ok(found) = at.canonicalize() {
            return rest.iter().rev().fold(found, |path, part| path.join(part));
        }
        match (at.parent(), at.file_name()) {
            (Some(parent), Some(name)) => {
                rest.push(name.to_owned());
                at = parent;
            }
            _ => return path.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_and_what_holds_them_are_refused_by_whatever_path_and_homes_are_hidden() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for name in ["run/airx/x", "project/.air-executor/jobs", "work"] {
            std::fs::create_dir_all(at(name)).unwrap();
        }
        std::os::unix::fs::symlink(at("run"), at("link")).unwrap();
        let guarded = Guarded {
            sockets: vec![at("run/docker.sock"), at("run/airx/x/control.sock")],
            private: vec![at("project/.air-executor"), at("nowhere/home")],
        };
        for bad in ["run", "link", "run/airx", "run/docker.sock", "link/docker.sock", ".", "project/.air-executor/jobs"] {
            assert!(guard(&at(bad), "the mount", &guarded).is_err(), "{bad}");
        }
        for good in ["work", "project", "run/other"] {
            assert_eq!(guard(&at(good), "the mount", &guarded), Ok(()), "{good}");
        }
        assert_eq!(guarded.hidden_in(&at("project")), [PathBuf::from(".air-executor")]);
        assert!(guarded.hidden_in(&at("work")).is_empty() && guarded.hidden_in(&at("project/.air-executor")).is_empty());
    }
}
