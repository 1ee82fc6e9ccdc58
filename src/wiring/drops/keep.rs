//! Where files of the drop directory go: `taken/` under their job's name, `rejected/` with the reason beside them. Both are bounded.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Files that are kept in each of both directories.
const KEPT: usize = 100;
/// Rejected files that are named; more are counted.
const NAMED: usize = 3;

/// Longest name of a file, in bytes, and what is kept of a longer one.
const MAX_NAME: usize = 255;
const SHORT: usize = 200;
/// What the name of a reason ends with.
const REASON: &str = ".error";

/// Both directories.
pub struct Keeper {
    taken: PathBuf,
    rejected: PathBuf,
}

impl Keeper {
    /// Those of a home's `jobs/`. Neither can be the directory of a job, whose name has a number.
    pub fn new(jobs: &Path) -> Keeper {
        Keeper { taken: jobs.join("taken"), rejected: jobs.join("rejected") }
    }

    /// Moves away what a job was made of.
    ///
    /// # Errors
    /// When it cannot be moved; it lies where it lay.
    pub fn take(&self, name: &str, path: &Path, job: &str) -> std::io::Result<()> {
        make(&self.taken)?;
        let ending = Path::new(name).extension().and_then(OsStr::to_str).unwrap_or("yaml");
        rename(path, &self.taken.join(format!("{job}.{ending}")))?;
        prune(&self.taken);
        Ok(())
    }

    /// Sets a file aside, with the reason beside it: the reason first, so that it is never missing.
    ///
    /// # Errors
    /// As [`Keeper::take`].
    pub fn reject(&self, name: &str, path: &Path, why: &str) -> std::io::Result<()> {
        make(&self.rejected)?;
        let name = &*kept_name(name);
        let reason = self.rejected.join(format!("{name}{REASON}"));
        let written = self.rejected.join(format!(".{name}{REASON}"));
        let _ = std::fs::remove_file(&written);
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&written)?.write_all(why.as_bytes())?;
        std::fs::rename(&written, reason)?;
        rename(path, &self.rejected.join(name))?;
        prune(&self.rejected);
        forget_reasons(&self.rejected);
        Ok(())
    }

    /// What a person should know of rejected files, in lines.
    pub fn rejected(&self) -> Vec<String> {
        let mut names: Vec<String> = files(&self.rejected).into_iter().map(|(_, name)| name).collect();
        names.retain(|name| !name.ends_with(REASON));
        if names.is_empty() {
            return Vec::new();
        }
        let (count, more) = (names.len(), names.len().saturating_sub(NAMED));
        names.truncate(NAMED);
        let word = if count == 1 { "a dropped job file was" } else { "dropped job files were" };
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let number = if count == 1 { String::new() } else { format!("{count} ") };
        let (named, place) = (names.join(", "), self.rejected.display());
        vec![format!(
            "{number}{word} rejected: {named}{more}; NAME.error in {place} says why, and taking the file away ends this"
        )]
    }
}

/// The name that a rejected file is kept under: one that leaves room for its reason's, which may be hidden as well.
fn kept_name(name: &str) -> Cow<'_, str> {
    if name.len() < MAX_NAME - REASON.len() {
        return Cow::Borrowed(name);
    }
    let ending = Path::new(name).extension().and_then(OsStr::to_str).unwrap_or("yaml");
    let digest: String = Sha256::digest(name).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    Cow::Owned(format!("{}~{digest}.{ending}", &name[..name.floor_char_boundary(SHORT)]))
}

/// A directory of the user's own; a link to one is none.
fn make(directory: &Path) -> std::io::Result<()> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ if std::fs::symlink_metadata(directory)?.is_dir() => Ok(()),
        _ => Err(std::io::Error::other(format!("{} is no directory", directory.display()))),
    }
}

/// Another manager of this home may have moved it just before.
fn rename(from: &Path, to: &Path) -> std::io::Result<()> {
    match std::fs::rename(from, to) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !from.exists() => Ok(()),
        other => other,
    }
}

/// Regular files by when they were moved here, newest first.
fn files(directory: &Path) -> Vec<((i64, i64), String)> {
    let mut files: Vec<_> = regular(directory).filter(|(_, name)| !name.starts_with('.')).collect();
    files.sort_by(|one, other| other.cmp(one));
    files
}

fn regular(directory: &Path) -> impl Iterator<Item = ((i64, i64), String)> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let data = entry.metadata().ok().filter(|data| data.is_file())?;
        Some(((data.ctime(), data.ctime_nsec()), entry.file_name().into_string().ok()?))
    })
}

/// Lets go of reasons whose file people took away, and of those that were never written to their end.
fn forget_reasons(directory: &Path) {
    for (_, name) in regular(directory) {
        let Some(file) = name.strip_suffix(REASON) else { continue };
        if file.starts_with('.') || directory.join(file).symlink_metadata().is_err() {
            let _ = std::fs::remove_file(directory.join(&name));
        }
    }
}

/// Lets go of the oldest, each with its reason.
fn prune(directory: &Path) {
    let job_files = files(directory).into_iter().filter(|(_, name)| !name.ends_with(REASON));
    for (_, name) in job_files.skip(KEPT) {
        for gone in [directory.join(&name), directory.join(format!("{name}{REASON}"))] {
            // What cannot be removed is tried again when the next file comes.
            let _ = std::fs::remove_file(gone);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, Keeper) {
        let directory = tempfile::tempdir().expect("a directory");
        let keeper = Keeper::new(directory.path());
        (directory, keeper)
    }

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> = files(directory).into_iter().map(|(_, name)| name).collect();
        names.sort();
        names
    }

    #[test]
    fn a_hundred_are_kept_and_the_oldest_leave_first() {
        let (directory, keeper) = place();
        for number in 0..KEPT + 5 {
            let path = directory.path().join("job.yaml");
            std::fs::write(&path, "x").expect("written");
            keeper.take("job.yaml", &path, &format!("job.{number:03}")).expect("moved");
        }
        let names = names(&keeper.taken);
        assert_eq!(names.len(), KEPT);
        assert!(names.contains(&format!("job.{:03}.yaml", KEPT + 4)), "the newest stays");
    }

    #[test]
    fn a_rejected_file_has_its_reason_beside_it() {
        let (directory, keeper) = place();
        let path = directory.path().join("job.yaml");
        std::fs::write(&path, "x").expect("written");
        keeper.reject("job.yaml", &path, "it is bad\n").expect("moved");
        assert_eq!(names(&keeper.rejected), ["job.yaml", "job.yaml.error"]);
        assert_eq!(std::fs::read_to_string(keeper.rejected.join("job.yaml.error")).expect("read"), "it is bad\n");
        assert!(keeper.rejected()[0].contains("job.yaml"));
    }

    #[test]
    fn a_rejected_file_of_the_longest_name_is_kept_under_a_shorter_one_with_its_reason() {
        let (directory, keeper) = place();
        for ending in ["ab.yaml", "cd.yaml"] {
            let name = format!("{}{ending}", "é".repeat(124));
            let path = directory.path().join(&name);
            std::fs::write(&path, ending).expect("written");
            keeper.reject(&name, &path, ending).expect("moved");
        }
        let names = names(&keeper.rejected);
        assert_eq!(names.len(), 4, "none in the place of the other: {names:?}");
        for name in names.iter().filter(|name| !name.ends_with(REASON)) {
            let of = |name: &str| std::fs::read_to_string(keeper.rejected.join(name)).expect("read");
            assert_eq!(of(name), of(&format!("{name}{REASON}")));
            assert!(name.ends_with(".yaml") && name.len() < 220, "{name}");
        }
        assert_eq!(kept_name("job.yaml"), "job.yaml");
    }

    #[test]
    fn reasons_leave_with_the_files_that_people_take_away() {
        let (directory, keeper) = place();
        let reject = |name: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, "x").expect("written");
            keeper.reject(name, &path, "it is bad\n").expect("moved");
        };
        reject("one.yaml");
        std::fs::remove_file(keeper.rejected.join("one.yaml")).expect("taken away");
        std::fs::write(keeper.rejected.join(".half.yaml.error"), "it").expect("a manager was killed while it wrote this");
        reject("two.yaml");
        let left: std::collections::BTreeSet<String> = regular(&keeper.rejected).map(|(_, name)| name).collect();
        assert_eq!(left.into_iter().collect::<Vec<_>>(), ["two.yaml", "two.yaml.error"]);
        // One that is taken away while it is rejected leaves no reason either.
        keeper.reject("gone.yaml", &directory.path().join("gone.yaml"), "it is bad\n").expect("nothing to move");
        assert_eq!(names(&keeper.rejected), ["two.yaml", "two.yaml.error"]);
    }

    #[test]
    fn a_link_in_place_of_the_directory_is_not_followed() {
        let (directory, keeper) = place();
        let elsewhere = tempfile::tempdir().expect("a directory");
        std::os::unix::fs::symlink(elsewhere.path(), &keeper.taken).expect("linked");
        let path = directory.path().join("job.yaml");
        std::fs::write(&path, "x").expect("written");
        assert!(keeper.take("job.yaml", &path, "job.1").is_err());
        assert!(path.exists(), "it lies where it lay");
    }
}
