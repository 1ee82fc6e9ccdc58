//! How far events were told, kept in the home: a manager that follows another neither repeats its night nor misses its last
//! second.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::model::change::Seq;

/// The file `notified`: the number of the last event that is done with. It is replaced as a whole and not forced to the disk:
/// a power cut may repeat a notice, which is better than losing one.
pub(super) struct Keep {
    path: PathBuf,
    kept: Option<Seq>,
}

impl Keep {
    pub fn open(home: &Path) -> Keep {
        let path = home.join("notified");
        let kept = std::fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok()).map(Seq);
        Keep { path, kept }
    }

    pub fn get(&self) -> Option<Seq> {
        self.kept
    }

    pub fn set(&mut self, seq: Seq) {
        if self.kept == Some(seq) {
            return;
        }
        let beside = self.path.with_extension("new");
        match write(&beside, seq).and_then(|()| std::fs::rename(&beside, &self.path)) {
            Ok(()) => self.kept = Some(seq),
            // A full disk: what was told may be told again after a restart.
            Err(error) => tracing::warn!("cannot keep how far notices were sent: {error}"),
        }
    }

    /// Nobody is told anything: whoever is, later, is told of what comes from then on.
    pub fn forget(&mut self) {
        self.kept = None;
        // Mostly there is none.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn write(path: &Path, seq: Seq) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    writeln!(file, "{}", seq.0)
}
