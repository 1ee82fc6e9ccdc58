//! Artifacts: files of the workspace that are kept with an attempt. What a pattern means, what a kept file may be called, and
//! the list that goes with them.

mod pattern;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::time::Utc;

pub use pattern::{Fault, Part, Pattern, parse};

/// Most files that are kept of one attempt.
pub const MAX_FILES: usize = 1_000;
/// Most bytes of them together when nothing else is said: 1 GiB.
pub const DEFAULT_BYTES: u64 = 1 << 30;
/// Longest time that a runner takes to keep them, in milliseconds. Whoever waits for its record has to allow for it.
pub const PATIENCE_MS: u64 = 120_000;
/// The same for the file that is a result.
pub const RESULT_PATIENCE_MS: u64 = 30_000;
/// Most patterns of a task.
pub const MAX_PATTERNS: usize = 100;
/// Longest name of a kept file, in bytes.
pub const MAX_NAME: usize = 500;
/// Most directories in a name.
pub const MAX_DEPTH: usize = 32;
/// Largest list of them that is read, in bytes.
pub const MAX_MANIFEST: u64 = 2 << 20;
/// Names that the facts of an attempt hold; the list beside the files has them all.
pub const NAMED: usize = 100;
/// Bytes of these names together: facts are in the journal, for each attempt.
const NAMED_BYTES: usize = 8 << 10;
/// The list, in the attempt's directory.
pub const MANIFEST: &str = "artifacts.json";
/// The directory of the files, in the attempt's.
pub const DIRECTORY: &str = "artifacts";

/// One entry of `artifacts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactSpec {
    /// A file, a directory or a pattern, relative to the workspace.
    pub path: String,
    /// What takes the place of the path's fixed part in the names of what is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it means when there is nothing such.
    #[serde(default, skip_serializing_if = "is_noted")]
    pub missing: Missing,
}

/// What it means when nothing is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// A remark on the attempt.
    #[default]
    Noted,
    /// The attempt has failed, if it has not anyway.
    Fails,
    /// Nothing.
    Fine,
}

fn is_noted(missing: &Missing) -> bool {
    *missing == Missing::Noted
}

/// `artifacts` of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifacts {
    /// What is kept.
    pub files: Vec<ArtifactSpec>,
    /// Most bytes together.
    pub max_bytes: u64,
}

/// A kept file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Its name: a path below the directory of the attempt's artifacts.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of its content, as hexadecimal digits.
    pub sha256: String,
    /// When it was last changed in the workspace.
    pub at: Utc,
}

/// `artifacts.json`: what the runner has kept. The task owns the directory it lies in, so whoever reads it believes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// In order of their names.
    pub files: Vec<Artifact>,
}

impl Manifest {
    /// Reads one: entries that cannot be are left out, as is what is beyond the bounds.
    pub fn read(json: &[u8]) -> Manifest {
        let Ok(Manifest { mut files }) = serde_json::from_slice::<Manifest>(json) else { return Manifest::default() };
        files.retain(|file| is_kept_name(&file.name) && is_digest(&file.sha256));
        files.sort_by(|one, other| one.name.cmp(&other.name));
        files.dedup_by(|one, other| one.name == other.name);
        files.truncate(MAX_FILES);
        Manifest { files }
    }

    /// What of it goes into the attempt's facts.
    pub fn facts(&self) -> Option<ArtifactFacts> {
        if self.files.is_empty() {
            return None;
        }
        let mut room = NAMED_BYTES;
        let fits = |file: &&Artifact| {
            room = room.saturating_sub(file.name.len());
            room > 0
        };
        let named = self
            .files
            .iter()
            .take(NAMED)
            .take_while(fits)
            .map(|file| NamedArtifact { name: file.name.clone(), bytes: file.bytes });
        Some(ArtifactFacts {
            count: u32::try_from(self.files.len()).unwrap_or(u32::MAX),
            bytes: self.files.iter().fold(0, |sum, file| sum.saturating_add(file.bytes)),
            named: named.collect(),
        })
    }
}

/// What is known of an attempt's artifacts without looking at them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactFacts {
    /// How many there are.
    pub count: u32,
    /// Their sizes together.
    pub bytes: u64,
    /// The first [`NAMED`], by name.
    pub named: Vec<NamedArtifact>,
}

/// Name and size of an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedArtifact {
    /// As in [`Artifact`].
    pub name: String,
    /// Its size.
    pub bytes: u64,
}

/// Whether a file can be kept under this name: a path that leads down only, of bounded length, and no trouble on a screen.
pub fn is_kept_name(name: &str) -> bool {
    let is_part = |part: &str| !part.is_empty() && part != "." && part != ".." && part.len() <= 255;
    name.len() <= MAX_NAME
        && name.split('/').count() <= MAX_DEPTH
        && name.split('/').all(is_part)
        && !name.contains(super::diagnostic::is_treacherous)
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
