//! Questions, lists and the help.

use crate::model::message::Command;
use crate::model::time::Mono;
use crate::tui::action::Action;

/// Keys are ignored for so long after a question appears, in milliseconds: what was typed before is no answer.
pub const DEAF_MS: u64 = 300;

/// Something over everything else.
#[derive(Debug, Clone, PartialEq)]
pub enum Dialog {
    /// A question before something is lost.
    Confirm(Confirm),
    /// How to leave.
    Leave {
        /// Keys count from then on.
        from: Mono,
        /// What goes on.
        counts: [u32; 3],
    },
    /// All keys.
    Help {
        /// First line shown.
        top: usize,
    },
    /// Actions by name.
    Palette(Palette),
    /// Messages and faults.
    Messages {
        /// First line shown.
        top: usize,
    },
}

/// A question.
#[derive(Debug, Clone, PartialEq)]
pub struct Confirm {
    /// What is to be done.
    pub question: String,
    /// To which ones, a line each.
    pub lines: Vec<String>,
    /// What is done at "yes".
    pub commands: Vec<(String, Command)>,
    /// Keys count from then on.
    pub from: Mono,
    /// Whether the lines are shown as they are and to their ends, a single one too.
    pub is_whole: bool,
}

/// The palette.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Palette {
    /// What was typed.
    pub text: String,
    /// Which line is chosen.
    pub chosen: usize,
    /// Actions that match, best first.
    pub found: Vec<Action>,
    /// Whether it was opened over the inbox, where jobs and tasks cannot be seen.
    pub over_inbox: bool,
}

impl Dialog {
    /// Whether keys count already.
    pub fn is_awake(&self, now: Mono) -> bool {
        match self {
            Dialog::Confirm(Confirm { from, .. }) | Dialog::Leave { from, .. } => now >= *from,
            _ => true,
        }
    }
}
