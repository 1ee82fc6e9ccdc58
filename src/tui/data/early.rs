//! Events that come before the rows they are about: pages of tasks and events are read side by side.

use std::collections::VecDeque;

use crate::model::change::Seq;
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

    /// Keeps an event.
    pub fn keep(&mut self, event: &EventView) {
        if self.events.len() >= MAX
            && let Some(oldest) = self.events.pop_front()
        {
            self.complete_from = oldest.seq;
        }
        self.events.push_back(event.clone());
    }

    /// Those of a job, in order.
    pub fn of(&self, job: u32) -> impl Iterator<Item = &EventView> {
        self.events.iter().filter(move |event| event.event.change.job().is_some_and(|of| of.0 == job))
    }
}
