//! Events that come before the rows they are about: pages of tasks and events are read side by side.

use std::collections::VecDeque;

use crate::model::change::{Change, Seq};
use crate::model::message::EventView;

/// Events kept. A page is on its way for milliseconds; one that is older than all of these is read again.
const MAX: usize = 2_000;

/// The last events of tasks that were not here.
#[derive(Debug, Default)]
pub struct Early {
    events: VecDeque<EventView>,
    /// Every event after this one that a row could lack is here.
    pub complete_from: Seq,
}

impl Early {
    /// Nothing yet, from this event on.
    pub fn since(seq: Seq) -> Early {
        Early { events: VecDeque::new(), complete_from: seq }
    }

    /// Keeps what a row needs of an event: results and texts may be large, and are in none.
    pub fn keep(&mut self, event: &EventView) {
        let mut event = event.clone();
        match &mut event.event.change {
            Change::AttemptClosed { facts, .. } => {
                facts.notes = Vec::new();
                if let Some(claude) = &mut facts.claude {
                    (claude.text, claude.denials) = (None, Vec::new());
                }
            }
            Change::ResultSet { .. } | Change::OutboxRefused { .. } | Change::AttemptStale { .. } => return,
            _ => {}
        }
        if self.events.len() >= MAX
            && let Some(oldest) = self.events.pop_front()
        {
            self.complete_from = oldest.seq;
        }
        self.events.push_back(event);
    }

    /// Those of a job, in order.
    pub fn of(&self, job: u32) -> impl Iterator<Item = &EventView> {
        self.events.iter().filter(move |event| event.event.change.job().is_some_and(|of| of.0 == job))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::change::{Event, TaskResult};
    use crate::model::ids::{AttemptId, JobId, TaskIdx};
    use crate::model::time::Utc;

    #[test]
    fn a_bounded_number_of_events_is_kept_and_none_with_a_result() {
        let attempt = AttemptId { job: JobId(1), task: TaskIdx(0), number: 1 };
        let view = |seq, change| EventView { seq: Seq(seq), job: None, task: None, event: Event { at: Utc(0), change } };
        let mut early = Early::since(Seq(5));
        early.keep(&view(6, Change::ResultSet { attempt, result: TaskResult::File { sha256: String::new(), bytes: 1 } }));
        assert_eq!(early.of(1).count(), 0);
        (0..MAX as u64 + 3).for_each(|number| early.keep(&view(10 + number, Change::AttemptStarted { attempt })));
        assert_eq!((early.of(1).count(), early.of(2).count()), (MAX, 0));
        assert_eq!(early.complete_from, Seq(12), "what was read before this one lacks something");
    }
}
