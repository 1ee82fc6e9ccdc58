//! What a backend reports about attempts: facts, which the core turns into states and outcomes.

use serde::{Deserialize, Serialize};

use super::artifact::ArtifactFacts;
use super::attempt::{ExitRecord, OutboxItem, Progress};
use super::change::{ClaudeFacts, TaskResult};
use super::ids::AttemptId;
use super::live::LiveFacts;
use super::time::Utc;

/// A backend's message to the manager. May come late, twice or out of order; the core copes.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// Whether what runs a backend's attempts (an engine of containers) can be reached, told when that changes, and in order
    /// with what is reported of its attempts.
    Engine {
        /// Which, as the pools' settings lead to it: [`super::docker::DockerSettings::engine`].
        host: String,
        /// Why not, and what to do; none when it can.
        trouble: Option<String>,
    },
    /// The attempt is on its way, such as with the pull of its image.
    Launching {
        /// Which.
        attempt: AttemptId,
        /// How far, in words and numbers.
        progress: Progress,
    },
    /// The runner exists.
    Started {
        /// Which.
        attempt: AttemptId,
    },
    /// The runner could not be started, and certainly never will be for this attempt.
    LaunchFailed {
        /// Which.
        attempt: AttemptId,
        /// What was missing, where, and what to do.
        why: String,
        /// Whether another attempt may help.
        transient: bool,
    },
    /// Whether anything is known of an attempt that was running, where what runs it can be reached but not it: a node of a cluster.
    Stranded {
        /// Which.
        attempt: AttemptId,
        /// Why nothing is known; none when it is in sight again.
        why: Option<String>,
    },
    /// Answer to `inspect`: alive (and adopted, if it was not known).
    Live {
        /// Which.
        attempt: AttemptId,
    },
    /// Answer to `inspect`: no trace of it; it may be launched under the same number.
    NeverStarted {
        /// Which.
        attempt: AttemptId,
    },
    /// Answer to `inspect`: it cannot be told now, since it is on its way or over, or what runs it cannot be reached.
    Unsure {
        /// Which.
        attempt: AttemptId,
    },
    /// New files in the outbox of a live attempt.
    Outbox {
        /// Which.
        attempt: AttemptId,
        /// In order; those reported before may be among them.
        items: Vec<OutboxItem>,
        /// How far a Claude run is, when its runner has written that down.
        live: Option<Box<LiveFacts>>,
    },
    /// It is over, its process tree swept, its outbox read to the end.
    Over {
        /// Which.
        attempt: AttemptId,
        /// The whole outbox, in order. Taken in before the outcome.
        outbox: Vec<OutboxItem>,
        /// How it ended.
        end: Box<EndReport>,
    },
}

impl Report {
    /// The attempt it is about; none for what is about all of an engine's.
    pub fn attempt(&self) -> Option<AttemptId> {
        match self {
            Report::Engine { .. } => None,
            Report::Launching { attempt, .. }
            | Report::Started { attempt }
            | Report::LaunchFailed { attempt, .. }
            | Report::Stranded { attempt, .. }
            | Report::Live { attempt }
            | Report::NeverStarted { attempt }
            | Report::Unsure { attempt }
            | Report::Outbox { attempt, .. }
            | Report::Over { attempt, .. } => Some(*attempt),
        }
    }
}

/// How an attempt ended, as found by the backend.
#[derive(Debug, Clone, PartialEq)]
pub struct EndReport {
    /// The exit record, or what its absence means.
    pub exit: ExitFinding,
    /// What the task's `result:` gave, when it has one and the command exited 0.
    pub result: Option<ResultFinding>,
    /// What was kept of its workspace.
    pub artifacts: Option<ArtifactFacts>,
    /// What the transcript says, for a Claude task.
    pub claude: Option<ClaudeReport>,
    /// Remarks of the backend (an uncertain sweep, a record that was torn).
    pub notes: Vec<String>,
}

/// The exit record, or what its absence means.
#[derive(Debug, Clone, PartialEq)]
pub enum ExitFinding {
    /// It is there and its checksum holds.
    Record(Box<ExitRecord>),
    /// What it ran in was taken away: by whom, or for what.
    Evicted(String),
    /// None, or torn.
    Missing {
        /// Whether the machine was started anew since the attempt began.
        rebooted: bool,
    },
}

/// What reading the task's result gave.
#[derive(Debug, Clone, PartialEq)]
pub enum ResultFinding {
    /// The value.
    Value(TaskResult),
    /// Why there is none.
    Bad(String),
}

/// A Claude Code transcript, read to its end.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ClaudeReport {
    /// Session, cost, tokens, turns, denials, final text.
    pub facts: ClaudeFacts,
    /// The last `result` line, if it is final: no further turn began after it and no line was cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<ClaudeResult>,
    /// A structured or textual sign that the provider's usage limit was reached, and no answer since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limited: Option<ClaudeLimit>,
    /// `error` of the last synthetic message or `api_retry`, such as `authentication_failed`; none once the model answered
    /// again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_error: Option<String>,
    /// Whether the session to be resumed is not known to the CLI (any more), or belongs to another directory.
    #[serde(default)]
    pub session_gone: bool,
}

/// The fields of a `result` line that decide.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ClaudeResult {
    /// `subtype`.
    pub subtype: String,
    /// `is_error`.
    pub is_error: bool,
    /// `api_error_status`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_error_status: Option<u16>,
    /// `result`, or the first of `errors`; at most 16 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// `stop_reason`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
    /// Whether `structured_output` was there.
    #[serde(default)]
    pub structured: bool,
    /// Where its line stands in the transcript: its first byte, and its length.
    #[serde(default)]
    pub line: (u64, u64),
}

/// A usage limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaudeLimit {
    /// Which.
    #[serde(default)]
    pub kind: LimitKind,
    /// When it is lifted, if that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<Utc>,
}

/// Which usage limit was reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitKind {
    /// Of a session of five hours.
    Session,
    /// Of the week, whatever the model.
    Weekly,
    /// Of one model; others may still answer.
    Model,
    /// Of what may be paid: extra usage, credits, a monthly cap.
    Spend,
    /// It was not said, or not in words that are known.
    #[default]
    #[serde(other)]
    Unknown,
}
