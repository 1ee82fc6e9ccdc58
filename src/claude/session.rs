//! Where the CLI keeps its sessions.
//!
//! `CLAUDE_CONFIG_DIR/projects/DIRECTORY/ID.jsonl` (its reference, section 12). How DIRECTORY is made of the working directory is
//! the CLI's own business: the id alone is looked for, since it is unique.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::model::credential::CONFIG_DIR;

/// Most directories of projects that are looked into.
const MAX_PROJECTS: usize = 20_000;

/// Where a run with this environment keeps its configuration and sessions; none when nothing says so.
pub fn config_dir(env: &BTreeMap<String, String>) -> Option<PathBuf> {
    let known = |name: &str| env.get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    known(CONFIG_DIR).or_else(|| known("HOME").map(|home| home.join(".claude")))
}

/// Whether the session exists; none when its place cannot be read, or holds too much to look through.
pub(super) fn exists(session: &str, env: &BTreeMap<String, String>) -> Option<bool> {
    let name = format!("{session}.jsonl");
    let projects = match std::fs::read_dir(config_dir(env)?.join("projects")) {
        Ok(projects) => projects,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Some(false),
        Err(_) => return None,
    };
    let mut seen = 0;
    for project in projects.take(MAX_PROJECTS).flatten() {
        seen += 1;
        if is_file(&project.path().join(&name)) {
            return Some(true);
        }
    }
    (seen < MAX_PROJECTS).then_some(false)
}

fn is_file(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|data| data.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_found_whatever_the_directory_of_its_project_is_called() {
        let home = tempfile::tempdir().unwrap();
        let env = |value: &Path| BTreeMap::from([("HOME".to_owned(), value.display().to_string())]);
        assert_eq!(exists("id", &env(home.path())), Some(false));
        std::fs::create_dir_all(home.path().join(".claude/projects/-w")).unwrap();
        std::fs::write(home.path().join(".claude/projects/-w/id.jsonl"), "").unwrap();
        assert_eq!(exists("id", &env(home.path())), Some(true));
        assert_eq!(exists("other", &env(home.path())), Some(false));
        assert_eq!(exists("id", &BTreeMap::new()), None);
    }
}
