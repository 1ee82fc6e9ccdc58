//! Whether a directory's own settings, hooks and MCP servers may act: those of a cloned repository run as the user, and the
//! headless CLI asks nobody.

use std::path::{Path, PathBuf};

use crate::model::spec::Trust;

/// What holds for a Claude run in `workspace`: what the task says, else trust where the configuration marks the workspace, or a
/// directory above it, and none elsewhere. Links are followed on both sides, so that no link in a marked directory is a way in.
///
/// # Errors
/// Why a task may not ask for trust here, with the remedy.
pub fn decide(asked: Option<Trust>, workspace: &Path, marked: &[PathBuf], home: Option<&str>) -> Result<Trust, String> {
    let is_marked = || {
        let Ok(place) = workspace.canonicalize() else { return false };
        marked.iter().filter_map(|marked| expanded(marked, home)?.canonicalize().ok()).any(|marked| place.starts_with(marked))
    };
    match asked {
        Some(Trust::None) => Ok(Trust::None),
        Some(Trust::Project) if !is_marked() => {
            let place = workspace.canonicalize().unwrap_or_else(|_| workspace.to_owned());
            Err(format!(
                "trust: project lets the project's own settings, hooks and MCP servers act, and {place:?} is not marked as trusted: add \
                 it to the configuration (claude: {{ trusted: [{place:?}] }}), or write trust: none"
            ))
        }
        Some(Trust::Project) => Ok(Trust::Project),
        None => Ok(if is_marked() { Trust::Project } else { Trust::None }),
    }
}

/// The directory that a `~` at its beginning stands for; none without a home.
fn expanded(path: &Path, home: Option<&str>) -> Option<PathBuf> {
    match path.strip_prefix("~") {
        Ok(rest) => Some(Path::new(home?).join(rest)),
        Err(_) => Some(path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directories() -> (tempfile::TempDir, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        for name in ["mine/shop/src", "mine-too", "cloned/evil"] {
            std::fs::create_dir_all(root.path().join(name)).unwrap();
        }
        std::os::unix::fs::symlink("../cloned/evil", root.path().join("mine/link")).unwrap();
        std::os::unix::fs::symlink("mine", root.path().join("alias")).unwrap();
        let path = root.path().to_owned();
        (root, path)
    }

    #[test]
    fn a_workspace_at_or_below_a_marked_directory_is_trusted_and_no_other() {
        let (_root, root) = directories();
        for marked in [root.join("mine"), root.join("alias"), PathBuf::from("~/mine")] {
            let trusts =
                |name: &str| decide(None, &root.join(name), std::slice::from_ref(&marked), root.to_str()) == Ok(Trust::Project);
            assert!(trusts("mine") && trusts("mine/shop/src") && trusts("alias/shop"), "{marked:?}");
            assert!(!trusts("mine-too") && !trusts("cloned/evil") && !trusts("."), "{marked:?}");
            assert!(!trusts("mine/link"), "a link leads out of what is marked");
            assert!(!trusts("mine/../cloned/evil") && !trusts("mine/gone"));
        }
        assert_eq!(decide(None, &root.join("mine"), &[PathBuf::from("~/mine")], None), Ok(Trust::None), "no home, no `~`");
    }

    #[test]
    fn a_task_may_give_trust_up_but_not_take_it() {
        let (_root, root) = directories();
        let marked = [root.join("mine")];
        let decide = |asked, name: &str| decide(Some(asked), &root.join(name), &marked, None);
        assert_eq!(decide(Trust::None, "mine"), Ok(Trust::None));
        assert_eq!(decide(Trust::Project, "mine/shop"), Ok(Trust::Project));
        let why = decide(Trust::Project, "cloned/evil").unwrap_err();
        assert!(why.contains("claude: { trusted: [\"") && why.contains("cloned/evil"), "{why}");
    }
}
