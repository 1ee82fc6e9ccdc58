//! One table of signs: every state has its own, in Unicode and in ASCII, so that no two look alike without colour.
//!
//! All are of East Asian width N or Na and have no emoji form (Unicode 16, `EastAsianWidth.txt`, `emoji-data.txt`), so that
//! every terminal gives them one cell.

use super::state::{JobState, TaskKind};

/// A sign in its two forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sign {
    /// For terminals that show it.
    pub unicode: &'static str,
    /// For the others.
    pub ascii: &'static str,
}

impl Sign {
    /// The form for this terminal.
    pub fn get(self, unicode: bool) -> &'static str {
        if unicode { self.unicode } else { self.ascii }
    }
}

/// The sign of a task's state.
pub fn task(kind: TaskKind) -> Sign {
    let (unicode, ascii) = match kind {
        TaskKind::Pending => ("\u{22c5}", "."),
        TaskKind::Queued => ("\u{25e6}", "o"),
        TaskKind::Held => ("\u{01c1}", "|"),
        TaskKind::Starting => ("\u{25b9}", "-"),
        TaskKind::Running => ("\u{25ba}", "*"),
        TaskKind::Cancelling => ("\u{25cc}", "~"),
        TaskKind::Completed => ("\u{2713}", "+"),
        TaskKind::Failed => ("\u{2718}", "x"),
        TaskKind::Cancelled => ("\u{2298}", "/"),
        TaskKind::Skipped => ("\u{00bb}", "s"),
        TaskKind::UpstreamFailed => ("\u{21af}", "^"),
        TaskKind::AwaitingInput => ("?", "?"),
        TaskKind::AwaitingApproval => ("!", "!"),
        TaskKind::Delegated => ("\u{21b3}", ">"),
        TaskKind::Mapped => ("\u{22ee}", "#"),
    };
    Sign { unicode, ascii }
}

/// The sign of a job's state.
pub fn job(state: JobState) -> Sign {
    task(kind_of(state))
}

/// The task's state that a job's state looks like.
pub fn kind_of(state: JobState) -> TaskKind {
    match state {
        JobState::Waiting => TaskKind::Queued,
        JobState::Working => TaskKind::Running,
        JobState::Completed => TaskKind::Completed,
        JobState::Failed => TaskKind::Failed,
        JobState::Cancelled => TaskKind::Cancelled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_states_share_a_sign_and_each_takes_one_cell() {
        for pick in [|sign: Sign| sign.unicode, |sign: Sign| sign.ascii] {
            let signs: std::collections::BTreeSet<&str> = TaskKind::ALL.iter().map(|kind| pick(task(*kind))).collect();
            assert_eq!(signs.len(), TaskKind::ALL.len());
            assert!(signs.iter().all(|sign| unicode_width::UnicodeWidthStr::width_cjk(*sign) == 1), "{signs:?}");
        }
    }
}
