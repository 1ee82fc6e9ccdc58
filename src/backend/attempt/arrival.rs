//! What of an attempt's directory is taken from where the task could have put anything: known names, and so much.

use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::model::artifact::{DIRECTORY, is_kept_name};
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

/// Where a file that came from elsewhere belongs, by its path below `attempt/`; none when it is none that is taken.
pub fn target(path: &Path, dir: &Path) -> Option<PathBuf> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
