//! An attempt's directory that comes back: only files of known names, since the container is not trusted.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use tar::EntryType;

use super::tarball::Tarball;
use crate::backend::attempt::arrival::{Room, target};
use crate::model::artifact::{DIRECTORY, MAX_FILES};

/// Most entries that are looked at.
const MAX_ENTRIES: usize = 60_000;
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
}
