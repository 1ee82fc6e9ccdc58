//! What is known of an attempt that is over, besides how it ended.

use serde::{Deserialize, Serialize};

use super::artifact::ArtifactFacts;
use super::live::UsageWindow;
use super::time::Utc;

/// What is known about an attempt besides its outcome.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AttemptFacts {
    /// When its command started, by the runner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Utc>,
    /// When it was over, by the runner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Utc>,
    /// The command's run on the monotonic clock.
    #[serde(default)]
    pub elapsed_ms: u64,
    /// Bytes kept of stdout and stderr.
    #[serde(default)]
    pub out_bytes: u64,
    /// See `out_bytes`.
    #[serde(default)]
    pub err_bytes: u64,
    /// Processor time of the whole tree.
    #[serde(default)]
    pub cpu_ms: u64,
    /// Peak resident set of the largest process.
    #[serde(default)]
    pub max_rss_kib: u64,
    /// Processes that had to be ended after the command.
    #[serde(default)]
    pub leftovers: u32,
    /// What a person should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What was kept of its workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifacts: Option<ArtifactFacts>,
    /// What a Claude run reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claude: Option<ClaudeFacts>,
    /// How a round of a task with `repeat` ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round: Option<RoundFacts>,
}

/// How a round of a task with `repeat` ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoundFacts {
    /// Whether its condition holds.
    pub is_met: bool,
    /// Digest of the git tree after it; none where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree: Option<String>,
}

/// The rounds of a task with `repeat` since it was last queued by a person or the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rounds {
    /// How many there were.
    pub done: u32,
    /// How many in a row left the git tree as it was.
    pub unchanged: u32,
    /// Digest of the tree after the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree: Option<String>,
}

impl Rounds {
    /// Counts a round in.
    pub fn add(&mut self, round: &RoundFacts) {
        self.done = self.done.saturating_add(1);
        // Without a tree nothing can be said of changes, and the first tree is compared with none.
        let is_same = round.tree.is_some() && round.tree == self.tree;
        self.unchanged = if is_same { self.unchanged.saturating_add(1) } else { 0 };
        self.tree.clone_from(&round.tree);
    }
}

/// What a Claude run reported about itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ClaudeFacts {
    /// Session id, as printed or as chosen at launch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Model of the last turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// `total_cost_usd` of the last result, in millionths of a dollar.
    #[serde(default)]
    pub cost_microusd: u64,
    /// Summed over `modelUsage`, cache reads and writes included in input.
    #[serde(default)]
    pub input_tokens: u64,
    /// Summed over `modelUsage`.
    #[serde(default)]
    pub output_tokens: u64,
    /// `num_turns` summed over the results of this process.
    #[serde(default)]
    pub turns: u32,
    /// Tools that were denied, in order, at most 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub denials: Vec<String>,
    /// Final text, at most 16 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Usage windows as last told, one of each kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<UsageWindow>,
    /// Whether an API key pays, so that dollars are real.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pays_by_key: bool,
    /// Nothing could be read of its transcript: what it used is what was seen of it while it lived.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_unread: bool,
    /// The CLI does not know the session that it was to resume.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub session_gone: bool,
}
