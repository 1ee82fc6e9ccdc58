//! How far a launch is: shown while the task is starting, and gone with that state.

use crate::model::attempt::Progress;
use crate::model::change::Change;
use crate::model::ids::AttemptId;
use crate::model::state::TaskState;
use crate::model::time::{Mono, Now};

use super::Core;
use super::outbox::bounded;

/// Between two numbers of the same words, in milliseconds: each is an event.
const BETWEEN_MS: u64 = 1_000;
/// Most of them of one attempt, whatever its backend tells.
const MAX_TOLD: u32 = 600;

/// What was taken in of one launch.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Told {
    last: Option<Mono>,
    count: u32,
}

impl Core {
    /// A backend tells how far a launch is. Of one that is over, or being cancelled, nobody asks any more.
    pub(super) fn launching(&mut self, attempt: AttemptId, progress: Progress, now: Now) {
        let Some(task) = self.task(attempt.job, attempt.task) else { return };
        if task.state != (TaskState::Starting { attempt: attempt.number }) {
            return;
        }
        let progress = bounded(progress);
        let before = task.progress.as_ref();
        if before == Some(&progress) {
            return;
        }
        let is_other_text = before.is_none_or(|before| before.text != progress.text);
        let is_told = self.live.get_mut(&attempt).is_some_and(|live| live.launch.tell(is_other_text, now.mono));
        if is_told {
            self.emit(Change::ProgressSet { attempt, progress }, now);
        }
    }
}

impl Told {
    /// Whether this one is taken in; what is passed over is followed by another soon.
    fn tell(&mut self, is_other_text: bool, now: Mono) -> bool {
        let is_due = self.last.is_none_or(|last| now.0.saturating_sub(last.0) >= BETWEEN_MS);
        if self.count >= MAX_TOLD || !(is_other_text || is_due) {
            return false;
        }
        self.count += 1;
        self.last = Some(now);
        true
    }
}
