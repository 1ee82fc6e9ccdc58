//! An attempt's directory that comes back: only files of known names, since the container is not trusted.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use tar::EntryType;

use super::tarball::Tarball;

/// Files of an attempt's directory that are taken from a container.
pub const FILES: &[&str] = &["out", "err", "index", "gate.log", "runner.json", "runner.log", "live.json", "exit.json", "tree"];
/// Most entries that are looked at.
const MAX_ENTRIES: usize = 60_000;
/// Longest name of a file of the outbox.
const MAX_OUTBOX_NAME: usize = 200;

/// Whether this can be the name of an item of the outbox.
pub fn is_item(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '#' | '.');
    name.len() <= MAX_OUTBOX_NAME && name.ends_with(".json") && !name.starts_with('.') && name.chars().all(is_plain)
}

fn target(path: &Path, dir: &Path) -> Option<PathBuf> {
    if path.components().any(|part| part == Component::ParentDir) {
        return None;
    }
    let names: Vec<&str> = path.iter().filter_map(|part| part.to_str()).filter(|part| *part != "attempt").collect();
    match names.as_slice() {
        [name] if FILES.contains(name) => Some(dir.join(name)),
        ["outbox", name] if is_item(name) => Some(dir.join("outbox").join(name)),
        _ => None,
    }
}

/// Takes them out of an archive.
///
/// # Errors
/// When it cannot be read, or they cannot be written.
pub fn take(archive: impl Read, dir: &Path) -> io::Result<()> {
    let mut tar = Tarball::new(archive);
    for _ in 0..MAX_ENTRIES {
        let Some(item) = tar.next()? else { break };
        let Some(target) = target(&item.path, dir).filter(|_| item.kind == EntryType::Regular) else { continue };
        let mut new = target.clone().into_os_string();
        new.push(".part");
        let mut file = File::create(&new)?;
        io::copy(&mut tar, &mut file)?;
        // A link that lay there is replaced, not followed.
        fs::rename(new, target)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tar::{Builder, Header};

    #[test]
    fn of_an_attempt_only_what_is_known_comes_back() {
        let mut tar = Builder::new(Vec::new());
        for (name, kind, content) in [
            ("attempt/out", EntryType::Regular, "hello"),
            ("attempt/outbox/000001-a.json", EntryType::Regular, "{}"),
            ("attempt/outbox/../../evil.json", EntryType::Regular, "x"),
            ("attempt/spec.json", EntryType::Regular, "forged"),
            ("attempt/err", EntryType::Symlink, ""),
        ] {
            let mut header = Header::new_gnu();
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(kind);
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            if kind == EntryType::Symlink {
                header.set_link_name("/etc/passwd").unwrap();
            }
            header.set_cksum();
            tar.append(&header, content.as_bytes()).unwrap();
        }
        let tar = tar.into_inner().unwrap();
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("outbox")).unwrap();
        take(&tar[..], dir.path()).unwrap();
        assert_eq!(fs::read(dir.path().join("out")).unwrap(), b"hello");
        assert!(dir.path().join("outbox/000001-a.json").exists());
        assert!(!dir.path().join("spec.json").exists() && !dir.path().join("err").exists());
        assert!(!dir.path().parent().unwrap().join("evil.json").exists());
    }
}
