//! What an approval asks, whom, and for how long.

use serde::{Deserialize, Serialize};

/// A task that a person completes: no attempt, no slot.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ApproveSpec {
    /// What is asked: a template.
    pub message: String,
    /// Longer text under it: a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub show: Option<String>,
    /// Who may answer; without any whoever may use the control socket.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub who: Vec<String>,
    /// How long it waits; none is for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Whether it is approved once nobody has answered for so long; else it is rejected.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub approves: bool,
}

impl ApproveSpec {
    /// Its templates.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.message.as_str()).chain(self.show.as_deref())
    }
}
