//! What has to be known of a container by whoever finds it: beside the attempt's directory, where nothing in the
//! container can write.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::backend::attempt::directory::read;
use crate::manager::ports::LaunchOrder;
use crate::model::spec::ResultKind;

/// Largest record that is read, in bytes.
const MAX_RECORD: u64 = 64 << 10;

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
    /// What of stdout is the task's result.
    #[serde(default)]
    pub result: Option<ResultKind>,
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
            result: order.spec.result,
            claude: order.spec.claude,
            timeout_ms: order.spec.timeout_ms,
            grace_ms: order.spec.grace_ms,
            output_limit: order.spec.output_limit,
            is_started: false,
            notes: Vec::new(),
        }
    }

    /// The record of the attempt with this directory; none when it never was to live in a container.
    pub fn find(dir: &Path) -> Option<Record> {
        serde_json::from_slice(&read(&place(dir), MAX_RECORD).ok()?).ok()
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        let (place, mut new) = (place(dir), place(dir).into_os_string());
        new.push(".new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        fs::rename(new, place)
    }
}

fn place(dir: &Path) -> PathBuf {
    let mut name = dir.as_os_str().to_owned();
    name.push(".container");
    name.into()
}
