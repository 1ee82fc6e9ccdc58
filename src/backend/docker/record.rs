//! What has to be known of a container by whoever finds it: beside the attempt's directory, where nothing in the
//! container can write.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::backend::attempt::collect::Kind;
use crate::backend::attempt::directory::read;
use crate::manager::ports::LaunchOrder;
use crate::model::attempt::MAX_RESULT;
use crate::model::docker::DEFAULT_ENGINE;
use crate::model::spec::ResultSpec;
use crate::model::time::Utc;

/// Largest record that is read, in bytes.
const MAX_RECORD: u64 = 512 << 10;

/// An attempt that lives, or lived, in a container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The engine, as reports name it.
    pub engine: String,
    /// Where that was.
    pub url: String,
    /// The attempt's mark.
    pub mark: String,
    /// Whether the engine alone says what became of the command.
    #[serde(default)]
    pub is_reduced: bool,
    /// Whether nothing is shared with the container, and all is copied: a remote engine.
    #[serde(default)]
    pub is_remote: bool,
    /// The container's user, once it is known.
    #[serde(default)]
    pub owner: Option<(u32, u32)>,
    /// The workspace that is copied back, when it is.
    #[serde(default)]
    pub workspace: Option<PathBuf>,
    /// What the task's result is.
    #[serde(default)]
    pub result: Option<ResultSpec>,
    /// The most bytes of its workspace that are kept; none when nothing is.
    #[serde(default)]
    pub artifacts: Option<u64>,
    /// Whether stdout is a transcript.
    #[serde(default)]
    pub claude: bool,
    /// Limits that this backend enforces in the reduced mode.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    /// Between asking and insisting.
    pub grace_ms: u64,
    /// Bytes of output.
    pub output_limit: u64,
    /// When the copying of the workspace began, for one that is copied: what was changed on this side since is not written over.
    #[serde(default)]
    pub copied_at: Option<Utc>,
    /// How often it was launched under its number.
    #[serde(default)]
    pub launches: u32,
    /// Whether it was started: without a container it is gone then, and was not to begin with otherwise.
    #[serde(default)]
    pub is_started: bool,
    /// Remarks from the launch.
    #[serde(default)]
    pub notes: Vec<String>,
}

impl Record {
    /// That of an order.
    pub fn of(order: &LaunchOrder, engine: &str, url: &str) -> Record {
        Record {
            engine: engine.to_owned(),
            url: url.to_owned(),
            mark: order.spec.mark.clone(),
            is_reduced: false,
            is_remote: false,
            owner: None,
            workspace: None,
            result: order.spec.result.clone(),
            artifacts: order.spec.artifacts.as_ref().map(|artifacts| artifacts.max_bytes),
            claude: order.spec.claude,
            timeout_ms: order.spec.timeout_ms,
            grace_ms: order.spec.grace_ms,
            output_limit: order.spec.output_limit,
            copied_at: None,
            launches: 1,
            is_started: false,
            notes: Vec::new(),
        }
    }

    /// Most bytes that its directory may bring from a remote engine, beside what every attempt's holds.
    pub fn most_bytes(&self) -> u64 {
        let file = self.result.as_ref().and_then(|result| result.file.as_ref()).map_or(0, |_| MAX_RESULT);
        self.output_limit.saturating_add(self.artifacts.unwrap_or(0)).saturating_add(file)
    }

    /// What kind of attempt it is.
    pub fn kind(&self) -> Kind {
        Kind { result: self.result.clone(), claude: self.claude, artifacts: self.artifacts.is_some() }
    }

    /// The record of the attempt with this directory; none when it never was to live in a container.
    ///
    /// # Errors
    /// When there is one that cannot be read: where the attempt lives is not known then.
    pub fn find(dir: &Path) -> io::Result<Option<Record>> {
        match read(&place(dir), MAX_RECORD) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            bytes => Ok(serde_json::from_slice(&bytes?)?),
        }
    }

    /// The engine where it lives, by name. The one that pools call nothing may be another since: then it is known by where it was.
    pub fn engine_now(&self, default_url: &str) -> &str {
        if self.engine == DEFAULT_ENGINE && self.url != default_url { &self.url } else { &self.engine }
    }

    /// Writes it, whole or not at all, also when the power fails: containers of other machines outlive that.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        let (place, mut new) = (place(dir), place(dir).into_os_string());
        new.push(".new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        if self.is_remote {
            file.sync_data()?;
        }
        fs::rename(new, place)
    }
}

fn place(dir: &Path) -> PathBuf {
    let mut name = dir.as_os_str().to_owned();
    name.push(".container");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(engine: &str, url: &str) -> Record {
        let text = format!(r#"{{"engine":"{engine}","url":"{url}","mark":"m","grace_ms":0,"output_limit":0}}"#);
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn one_that_cannot_be_read_is_told_apart_from_one_that_is_not_there() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("t.1");
        assert_eq!(Record::find(&dir).unwrap(), None);
        let written = record("default", "unix:///a");
        written.write(&dir).unwrap();
        assert_eq!(Record::find(&dir).unwrap(), Some(written));
        fs::write(place(&dir), "").unwrap();
        assert!(Record::find(&dir).is_err());
    }

    #[test]
    fn another_default_engine_does_not_take_over_what_lives_on_the_one_before() {
        assert_eq!(record("default", "unix:///a").engine_now("unix:///a"), "default");
        assert_eq!(record("default", "unix:///a").engine_now("tcp://b:1"), "unix:///a");
        assert_eq!(record("tcp://b:1", "tcp://b:1").engine_now("unix:///a"), "tcp://b:1");
    }
}
