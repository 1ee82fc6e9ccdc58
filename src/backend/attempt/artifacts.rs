//! What was kept of the workspace, as the runner's list tells it and the files beside it prove it. The task owns both.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

use super::directory::read;
use crate::model::artifact::{DIRECTORY, MANIFEST, MAX_MANIFEST, Manifest};
use crate::os::beneath::{self, Links};

/// The list, without what is not there as it says, and a remark on that.
pub fn kept(dir: &Path) -> (Manifest, Option<String>) {
    let Ok(json) = read(&dir.join(MANIFEST), MAX_MANIFEST) else { return (Manifest::default(), None) };
    let mut manifest = Manifest::read(&json);
    let told = manifest.files.len();
    let root = File::open(dir).ok().and_then(|dir| beneath::open(&dir, DIRECTORY, Links::None).ok());
    manifest.files.retain(|file| root.as_ref().is_some_and(|root| size(root, &file.name) == Some(file.bytes)));
    let lost = told - manifest.files.len();
    (manifest, (lost > 0).then(|| format!("{lost} artifacts are not there as they were kept")))
}

/// The size of a regular file.
fn size(root: &OwnedFd, name: &str) -> Option<u64> {
    let data = File::from(beneath::open(root, name, Links::None).ok()?).metadata().ok()?;
    data.is_file().then_some(data.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::artifact::Artifact;
    use crate::model::time::Utc;
    use std::fs;

    #[test]
    fn only_what_is_there_as_the_list_says_is_believed() {
        let dir = tempfile::tempdir().unwrap();
        let files = dir.path().join(DIRECTORY);
        fs::create_dir_all(files.join("d")).unwrap();
        fs::write(files.join("d/good"), "1234").unwrap();
        fs::write(files.join("grown"), "123456").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", files.join("link")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, files.join("fifo"), rustix::fs::Mode::RWXU).unwrap();
        let file = |name: &str| Artifact { name: name.into(), bytes: 4, sha256: "ab".repeat(32), at: Utc(1) };
        let list = ["d/good", "grown", "link", "fifo", "gone", "d", "../spec.json"].map(file);
        fs::write(dir.path().join(MANIFEST), serde_json::to_vec(&Manifest { files: list.to_vec() }).unwrap()).unwrap();
        let (kept, note) = kept(dir.path());
        assert_eq!(kept.files, [file("d/good")]);
        assert!(note.unwrap().starts_with("5 artifacts"));
        fs::remove_dir_all(&files).unwrap();
        std::os::unix::fs::symlink("/etc", &files).unwrap();
        assert_eq!(super::kept(dir.path()).0, Manifest::default());
    }
}
