//! An attempt's directory that comes back: only files of known names, since the container is not trusted.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use tar::EntryType;

use super::tarball::Tarball;
use crate::model::artifact::{DIRECTORY, MAX_FILES, is_kept_name};
use crate::model::attempt::MAX_OUTBOX_TOTAL;

/// Files of an attempt's directory that are taken from a container.
pub const FILES: &[&str] = &[
    "out",
    "err",
    "index",
    "gate.log",
    "runner.json",
    "runner.log",
    "live.json",
    "result",
    "artifacts.json",
    "exit.json",
    "tree",
];
/// Most entries that are looked at.
const MAX_ENTRIES: usize = 60_000;
/// Most items of an outbox that are kept; fewer are read.
const MAX_ITEMS: usize = 20_000;
/// Longest name of a file of the outbox.
const MAX_OUTBOX_NAME: usize = 200;

/// Whether this can be the name of an item of the outbox.
pub fn is_item(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '#' | '.');
    name.len() <= MAX_OUTBOX_NAME && name.ends_with(".json") && !name.starts_with('.') && name.chars().all(is_plain)
}

/// What an outbox on this side may still take: a task can name as many items as it likes.
#[derive(Debug)]
pub struct Room {
    items: usize,
    bytes: u64,
}

impl Room {
    /// That of the attempt with this directory.
    pub fn of(dir: &Path) -> Room {
        let mut room = Room { items: MAX_ITEMS, bytes: 2 * MAX_OUTBOX_TOTAL };
        for entry in fs::read_dir(dir.join("outbox")).into_iter().flatten().flatten() {
            room.items = room.items.saturating_sub(1);
            room.bytes = room.bytes.saturating_sub(entry.metadata().map_or(0, |data| data.len()));
        }
        room
    }

    /// Whether there is room for an item of this size at this place, which it takes then.
    pub fn take(&mut self, target: &Path, bytes: u64) -> bool {
        let before = fs::symlink_metadata(target).ok().map(|data| data.len());
        let (items, room) = (usize::from(before.is_none()), self.bytes.saturating_add(before.unwrap_or(0)));
        let fits = items <= self.items && bytes <= room;
        if fits {
            (self.items, self.bytes) = (self.items - items, room - bytes);
        }
        fits
    }
}

fn target(path: &Path, dir: &Path) -> Option<PathBuf> {
    if path.components().any(|part| part == Component::ParentDir) {
        return None;
    }
    let names: Vec<&str> = path.iter().filter_map(|part| part.to_str()).filter(|part| *part != "attempt").collect();
    match names.as_slice() {
        [name] if FILES.contains(name) => Some(dir.join(name)),
        ["outbox", name] if is_item(name) => Some(dir.join("outbox").join(name)),
        [DIRECTORY, names @ ..] if !names.is_empty() => {
            let name = names.join("/");
            is_kept_name(&name).then(|| dir.join(DIRECTORY).join(name))
        }
        _ => None,
    }
}

/// Takes them out of an archive.
///
/// # Errors
/// When it cannot be read, or they cannot be written.
pub fn take(archive: impl Read, dir: &Path) -> io::Result<()> {
    let mut tar = Tarball::new(archive);
    let (mut room, mut kept) = (Room::of(dir), 0);
    for _ in 0..MAX_ENTRIES {
        let Some(item) = tar.next()? else { break };
        let Some(target) = target(&item.path, dir).filter(|_| item.kind == EntryType::Regular) else { continue };
        let is_artifact = target.starts_with(dir.join(DIRECTORY));
        let is_item = target.parent() != Some(dir) && !is_artifact;
        if is_item && !room.take(&target, item.size) {
            continue;
        }
        if is_artifact {
            kept += 1;
            if kept > MAX_FILES {
                continue;
            }
            // Only regular files ever come here, so nothing on the way leads elsewhere.
            target.parent().map_or(Ok(()), fs::create_dir_all)?;
        }
        let mut new = target.clone().into_os_string();
        new.push(".part");
        let taken = File::create(&new).and_then(|mut file| io::copy(&mut tar, &mut file));
        // A link that lay there is replaced, not followed.
        if let Err(error) = taken.and_then(|_| fs::rename(&new, target)) {
            // On a full disk half of one file would take the room of the others.
            let _ = fs::remove_file(&new);
            return Err(error);
        }
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
        // Writing there fails like on a full disk.
        std::os::unix::fs::symlink("/dev/full", dir.path().join("out.part")).unwrap();
        assert_eq!(take(&tar[..], dir.path()).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert!(dir.path().join("out.part").symlink_metadata().is_err(), "half of it takes no room");
        assert_eq!(fs::read(dir.path().join("out")).unwrap(), b"hello");
    }

    #[test]
    fn an_outbox_takes_only_so_many_items_and_bytes() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("outbox")).unwrap();
        let at = |name: &str| dir.path().join("outbox").join(name);
        fs::write(at("a.json"), [0; 100]).unwrap();
        let mut room = Room::of(dir.path());
        assert_eq!((room.items, room.bytes), (MAX_ITEMS - 1, 2 * MAX_OUTBOX_TOTAL - 100));
        room = Room { items: 1, bytes: 50 };
        assert!(!room.take(&at("b.json"), 51) && room.take(&at("a.json"), 150) && !room.take(&at("b.json"), 1));
        room.bytes = 10;
        assert!(room.take(&at("b.json"), 10) && !room.take(&at("c.json"), 0), "there is no room for another name");
    }
}
