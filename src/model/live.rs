//! What the transcript of a run that goes on says: signs that somebody has to act on, and how far it is.

use serde::{Deserialize, Serialize};

use super::question::Question;
use super::time::Utc;

/// What a piece of a transcript says that matters while the run goes on.
#[derive(Debug, Clone, PartialEq)]
pub enum Sign {
    /// A turn of this session began (`system/init`).
    Session {
        /// Its id.
        id: String,
        /// Whether an API key pays (`apiKeySource` other than `none`): dollars are real then.
        pays_by_key: bool,
    },
    /// The model answered: the credential works, and no usage limit stands in the way.
    Answered,
    /// The credential was refused (`api_retry` or a synthetic message with `authentication_failed`).
    Refused,
    /// So many model calls of the main thread were answered so far.
    Turns(u32),
    /// What the run has used so far, subagents included.
    Spent(Spent),
    /// The newest list of things to do.
    Todo {
        /// Items done.
        done: u32,
        /// All items.
        total: u32,
        /// The active item, clipped to 200 characters; empty when there is none.
        active: String,
    },
    /// A usage window as the provider told it.
    Window(UsageWindow),
    /// A tool wants permission (`control_request` with `can_use_tool`).
    Asks(Box<Question>),
    /// A `result` line: the turn is over.
    Over,
}

/// What a run has used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// Tokens read, cached ones included.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// Millionths of a dollar.
    pub cost_microusd: u64,
    /// Whether the CLI itself said so (`result`); else it is estimated from the lines so far.
    #[serde(default)]
    pub is_exact: bool,
}

impl Spent {
    /// All tokens.
    pub fn tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }
}

/// A usage window of a subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageWindow {
    /// `five_hour`, `seven_day`, …, as the provider names it.
    pub kind: String,
    /// Used part in percent, when told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// When it begins anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<Utc>,
    /// Whether requests are refused until then.
    #[serde(default)]
    pub is_rejected: bool,
}

/// Reads a transcript as it grows. Memory is bounded whatever it holds.
pub trait Watch: Send {
    /// Takes further bytes; what they complete is told in order.
    fn push(&mut self, bytes: &[u8]) -> Vec<Sign>;
}
