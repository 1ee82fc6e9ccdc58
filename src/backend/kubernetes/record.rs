//! What has to be known of a pod by whoever finds it: beside the attempt's directory.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::backend::attempt::collect::Kind;
use crate::backend::attempt::directory::read;
use crate::manager::ports::{LaunchOrder, PodPlace};
use crate::model::spec::ResultSpec;
use crate::model::time::Utc;

/// Largest record that is read, in bytes.
const MAX_RECORD: u64 = 512 << 10;

/// An attempt that lives, or lived, in a pod.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The cluster and its namespace, as reports name them.
    pub cluster: String,
    /// Where that was when the pod was made; empty when it is not known.
    #[serde(default)]
    pub place: String,
    /// The attempt's mark.
    pub mark: String,
    /// Begins each line of its runner's.
    pub nonce: String,
    /// The pod's uid, once one was made: another of its name is none of ours.
    #[serde(default)]
    pub uid: String,
    /// Whether the cluster alone says what became of the command.
    #[serde(default)]
    pub is_reduced: bool,
    /// What the task's result is.
    #[serde(default)]
    pub result: Option<ResultSpec>,
    /// Whether files of its workspace are kept.
    #[serde(default)]
    pub artifacts: Option<u64>,
    /// Whether stdout is a transcript.
    #[serde(default)]
    pub claude: bool,
    /// The limit that this backend enforces in the reduced mode.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    /// Between asking and insisting.
    pub grace_ms: u64,
    /// The grace that the pod was made with.
    #[serde(default)]
    pub pod_grace_ms: u64,
    /// Longest wait for a node.
    #[serde(default)]
    pub schedule_deadline_ms: u64,
    /// Longest time from a node to the running container.
    #[serde(default)]
    pub pull_deadline_ms: u64,
    /// Bytes of output.
    pub output_limit: u64,
    /// Whether words can be said to its runner.
    #[serde(default)]
    pub attach: bool,
    /// The image, for what is told of it.
    #[serde(default)]
    pub image: String,
    /// When it was launched.
    pub at: Utc,
    /// Whether its container was seen running.
    #[serde(default)]
    pub is_started: bool,
    /// Why this side told it to end, for whoever sees that end: a deadline, by the words for people.
    #[serde(default)]
    pub ended_for: Option<EndedFor>,
}

/// Why this backend ended a pod by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedFor {
    /// It could not be started in time, or never.
    Unlaunchable {
        /// In words, with the remedy.
        why: String,
        /// Whether it may work later.
        transient: bool,
    },
    /// The timeout of a task without our runner.
    Timeout,
    /// More output than may be, without our runner.
    OutputLimit,
}

impl Record {
    /// That of an order.
    pub fn of(order: &LaunchOrder, place: &PodPlace, is_reduced: bool, at: Utc) -> Record {
        let settings = &place.settings;
        Record {
            cluster: settings.engine(),
            place: String::new(),
            mark: order.spec.mark.clone(),
            nonce: place.nonce.clone(),
            uid: String::new(),
            is_reduced,
            result: order.spec.result.clone(),
            artifacts: order.spec.artifacts.as_ref().map(|artifacts| artifacts.max_bytes),
            claude: order.spec.claude,
            timeout_ms: order.spec.timeout_ms.or(settings.run_deadline_ms),
            grace_ms: order.spec.grace_ms,
            pod_grace_ms: order.spec.grace_ms,
            schedule_deadline_ms: settings.schedule_deadline_ms,
            pull_deadline_ms: settings.pull_deadline_ms,
            output_limit: order.spec.output_limit,
            attach: settings.attach && !is_reduced,
            image: settings.image.clone(),
            at,
            is_started: false,
            ended_for: None,
        }
    }

    /// What kind of attempt it is.
    pub fn kind(&self) -> Kind {
        Kind { result: self.result.clone(), claude: self.claude, artifacts: self.artifacts.is_some() }
    }

    /// The record of the attempt with this directory; none when it never was to live in a pod.
    ///
    /// # Errors
    /// When there is one that cannot be read: where the attempt lives is not known then.
    pub fn find(dir: &Path) -> io::Result<Option<Record>> {
        match read(&place(dir), MAX_RECORD) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            bytes => Ok(serde_json::from_slice(&bytes?)?),
        }
    }

    /// Writes it, whole or not at all, also when the power fails: pods outlive that.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        let (place, mut new) = (place(dir), place(dir).into_os_string());
        new.push(".new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_data()?;
        fs::rename(new, &place)?;
        // The name too: without it, whoever comes next would think that nothing of it lives.
        place.parent().map_or(Ok(()), |parent| fs::File::open(parent)?.sync_all())
    }
}

fn place(dir: &Path) -> PathBuf {
    let mut name = dir.as_os_str().to_owned();
    name.push(".pod");
    name.into()
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// One of an attempt without anything special.
    pub fn record() -> Record {
        let text =
            r#"{"cluster":"kubernetes:/airx","mark":"0a1b2c3d-1-0-1","nonce":"n","grace_ms":5000,"output_limit":1000,"at":0}"#;
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn one_that_cannot_be_read_is_told_apart_from_one_that_is_not_there() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("t.1");
        assert_eq!(Record::find(&dir).unwrap(), None);
        record().write(&dir).unwrap();
        assert_eq!(Record::find(&dir).unwrap(), Some(record()));
        fs::write(place(&dir), "").unwrap();
        assert!(Record::find(&dir).is_err());
    }
}
