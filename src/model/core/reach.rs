//! Pools whose engine cannot be reached: nothing is opened there, and what was opened before waits for its return.

use std::collections::BTreeMap;

use crate::model::ids::AttemptId;

use super::{Core, Live};

impl Core {
    /// Tells which pools' engines cannot be reached, and why.
    pub(super) fn lose_sight(&mut self, pools: BTreeMap<String, String>) {
        self.unreachable = pools;
        self.expect_few_answers();
    }

    /// Attempts that may be opened in a pool: none where they could not be launched.
    pub(super) fn slots(&self, pool: &str) -> u32 {
        if self.unreachable.contains_key(pool) { 0 } else { self.limits.slots.get(pool).copied().unwrap_or(0) }
    }

    /// Inspections of what an engine that is gone runs stay without an answer. Were they waited for, a launch that is asked for
    /// once it is back would have all these answers ignored, and be asked for again only after as many more.
    pub(super) fn expect_few_answers(&mut self) {
        if self.unreachable.is_empty() {
            return;
        }
        let gone: Vec<AttemptId> = self.live.keys().copied().filter(|attempt| self.is_out_of_sight(*attempt)).collect();
        for attempt in gone {
            self.live.get_mut(&attempt).into_iter().for_each(Live::unheard);
        }
    }

    /// Whether nothing is heard of an attempt since its engine cannot be reached.
    pub(super) fn is_out_of_sight(&self, attempt: AttemptId) -> bool {
        let Some(job) = self.jobs.get(&attempt.job) else { return false };
        job.get(attempt.task).is_some_and(|task| self.unreachable.contains_key(job.pool_of(&task.spec)))
    }
}

impl Live {
    /// All but one: the last may reach the engine just as it comes back.
    fn unheard(&mut self) {
        self.inspected = self.inspected.min(1);
        self.stale = self.stale.min(self.inspected);
    }
}
