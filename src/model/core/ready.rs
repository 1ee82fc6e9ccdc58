//! Which queued tasks of a job may start: all but those that are to be decided about, and those that wait for room in their
//! mapping.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::model::ids::TaskIdx;
use crate::model::spec::Action;
use crate::model::state::TaskState;

use super::job::Job;

/// Queued tasks of one pool in the order in which they start: the higher priority first, then as in the file. Claude runs are
/// apart, since a bound of their own may let the others go first.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Ready {
    pub plain: BTreeSet<Place>,
    pub claude: BTreeSet<Place>,
}

/// A queued task's place in the order of its job.
pub(super) type Place = (Reverse<i32>, TaskIdx);

/// When a job was given room last, counted in openings of this manager.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Turns {
    /// When it came.
    pub since: u64,
    /// By pool.
    pub pools: BTreeMap<String, u64>,
    /// As for pools, of the bound that all Claude runs share.
    pub claude: Option<u64>,
}

impl Turns {
    /// When it last got a slot of this pool.
    pub fn in_pool(&self, pool: &str) -> u64 {
        self.pools.get(pool).copied().unwrap_or(self.since)
    }

    /// When its last Claude run began.
    pub fn of_claude(&self) -> u64 {
        self.claude.unwrap_or(self.since)
    }
}

impl Job {
    /// A queued task may start, has to be decided about, or waits for room in its mapping.
    pub(super) fn enqueue(&mut self, idx: TaskIdx) {
        let Some(task) = self.get(idx) else { return };
        match task.instance.filter(|_| task.spec.each.as_ref().is_some_and(|each| each.max_parallel.is_some())) {
            Some(instance) => {
                self.bounded.insert(instance.of);
                if let Some(mapped) = self.mapped_mut(instance.of) {
                    mapped.backlog.insert(idx);
                }
            }
            None => self.make_ready(idx),
        }
    }

    fn make_ready(&mut self, idx: TaskIdx) {
        let Some(task) = self.tasks.get(idx.0 as usize) else { return };
        if !task.decided && task.is_to_decide() {
            self.undecided.insert(idx);
            return;
        }
        let pool = task.spec.pool.as_deref().unwrap_or(&self.spec.pool);
        if !self.ready.contains_key(pool) {
            self.ready.insert(pool.to_owned(), Ready::default());
        }
        let Some(ready) = self.ready.get_mut(pool) else { return };
        let place = (Reverse(task.spec.priority), idx);
        if matches!(task.spec.action, Action::Claude(_)) {
            ready.claude.insert(place)
        } else {
            ready.plain.insert(place)
        };
    }

    pub(super) fn dequeue(&mut self, idx: TaskIdx) {
        self.undecided.remove(&idx);
        let Some(task) = self.tasks.get(idx.0 as usize) else { return };
        let pool = task.spec.pool.as_deref().unwrap_or(&self.spec.pool);
        let (place, instance) = ((Reverse(task.spec.priority), idx), task.instance);
        if let Some(ready) = self.ready.get_mut(pool) {
            let _ = ready.plain.remove(&place) || ready.claude.remove(&place);
            if ready.plain.is_empty() && ready.claude.is_empty() {
                self.ready.remove(pool);
            }
        }
        if let Some(mapped) = instance.and_then(|instance| self.mapped_mut(instance.of)) {
            // What does not wait for room in the mapping was let through, also while somebody decides about it.
            let was_let_through = !mapped.backlog.remove(&idx);
            mapped.ready = mapped.ready.saturating_sub(u32::from(was_let_through));
        }
    }

    /// Claude tasks that are ready to start; of mappings also those that wait for room there.
    pub(super) fn ready_runs(&self) -> impl Iterator<Item = TaskIdx> {
        let ready = self.ready.values().flat_map(|ready| &ready.claude).map(|(_, task)| *task);
        let bounded = self.bounded.iter().filter_map(|parent| self.get(*parent)?.mapped.as_ref());
        ready.chain(bounded.flat_map(|mapped| mapped.backlog.iter().copied()))
    }

    /// Whether a task's mapping, if it is an instance, leaves it room.
    pub(super) fn has_place(&self, idx: TaskIdx) -> bool {
        let Some(task) = self.get(idx) else { return false };
        let Some(most) = task.spec.each.as_ref().and_then(|each| each.max_parallel) else { return true };
        let mapped = task.instance.and_then(|instance| self.get(instance.of)?.mapped.as_ref());
        let place = (Reverse(task.spec.priority), idx);
        let is_let_through = || self.ready.values().any(|ready| ready.plain.contains(&place) || ready.claude.contains(&place));
        mapped.is_none_or(|mapped| mapped.live + mapped.ready < most || is_let_through())
    }

    /// As many instances of a mapping as its `max_parallel` leaves room for may start.
    pub(super) fn let_through(&mut self, parent: TaskIdx) {
        let most = self.get(parent).and_then(|task| task.spec.each.as_ref()?.max_parallel).unwrap_or(u32::MAX);
        while let Some(next) = self.mapped_mut(parent).and_then(|mapped| mapped.next(most)) {
            self.make_ready(next);
        }
    }

    /// What a task of which it was to be decided does is decided: it may start.
    pub(super) fn set_decided(&mut self, idx: TaskIdx) {
        let Some(task) = self.tasks.get_mut(idx.0 as usize) else { return };
        task.decided = true;
        if task.state == TaskState::Queued {
            self.undecided.remove(&idx);
            // An instance was let through before anybody was asked about it.
            self.make_ready(idx);
        }
    }

    /// Whether anything is ready to start, or to be decided.
    pub(super) fn has_ready(&self) -> bool {
        !self.undecided.is_empty() || !self.ready.is_empty()
    }
}
