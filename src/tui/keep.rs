//! What the workstation remembers between two starts: a job that was being written, and the sizes of panes.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::app::editor::Draft;

/// Largest file that is read, in bytes: a job file and a little more.
const MAX: u64 = 9 << 20;

/// What is remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    /// What the editor held when it was closed, or when the program ended.
    pub draft: Option<Draft>,
    /// The tree's part of the width, in percent.
    pub split: Option<u16>,
}

fn path(home: &Path) -> PathBuf {
    home.join("workstation.json")
}

impl Kept {
    /// Reads it. What cannot be read is as if it was not there: it is a convenience.
    pub fn read(home: &Path) -> Kept {
        let mut text = String::new();
        let read = File::open(path(home)).and_then(|file| file.take(MAX).read_to_string(&mut text));
        read.ok().and_then(|_| serde_json::from_str(&text).ok()).unwrap_or_default()
    }

    /// Writes it: whole or not at all, readable by its owner alone.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write(&self, home: &Path) -> io::Result<()> {
        let target = path(home);
        let part = home.join(format!(".workstation.{}", std::process::id()));
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
        file.write_all(serde_json::to_string(self)?.as_bytes())?;
        file.sync_data()?;
        std::fs::rename(&part, &target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_damage_is_nothing() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(Kept::read(home.path()), Kept::default());
        let params = vec![("a".to_owned(), "1".to_owned())];
        let draft = Draft { text: "name: x\n".to_owned(), file: "edit of x.1".to_owned(), base: "/somewhere".into(), params };
        let kept = Kept { draft: Some(draft), split: Some(40) };
        kept.write(home.path()).unwrap();
        assert_eq!(Kept::read(home.path()), kept);
        std::fs::write(path(home.path()), "{").unwrap();
        assert_eq!(Kept::read(home.path()), Kept::default());
    }
}
