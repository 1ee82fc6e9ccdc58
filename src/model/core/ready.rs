//! Which queued tasks of a job may start: all but those that are to be decided about, and those that wait for room in their
//! mapping.

use crate::model::ids::TaskIdx;
use crate::model::state::TaskState;

use super::job::Job;

impl Job {
    /// A queued task may start, has to be decided about, or waits for room in its mapping.
    pub(super) fn enqueue(&mut self, idx: TaskIdx) {
        let Some(task) = self.get(idx) else { return };
        if !task.decided && task.is_to_decide() {
            self.undecided.insert(idx);
            return;
        }
        match task.instance.filter(|_| task.spec.each.as_ref().is_some_and(|each| each.max_parallel.is_some())) {
            Some(instance) => {
                if let Some(mapped) = self.mapped_mut(instance.of) {
                    mapped.backlog.insert(idx);
                }
            }
            None => self.make_ready(idx),
        }
    }

    fn make_ready(&mut self, idx: TaskIdx) {
        let Some(task) = self.get(idx) else { return };
        let pool = self.pool_of(&task.spec).to_owned();
        self.ready.entry(pool).or_default().insert(idx);
    }

    pub(super) fn dequeue(&mut self, idx: TaskIdx) {
        self.undecided.remove(&idx);
        let Some(task) = self.get(idx) else { return };
        let pool = self.pool_of(&task.spec).to_owned();
        let instance = task.instance;
        let was_ready = self.ready.get_mut(&pool).is_some_and(|ready| ready.remove(&idx));
        if let Some(mapped) = instance.and_then(|instance| self.mapped_mut(instance.of)) {
            mapped.backlog.remove(&idx);
            mapped.ready = mapped.ready.saturating_sub(u32::from(was_ready));
        }
    }

    /// Queued tasks that may start as far as their job's graph is concerned, in order; of mappings also what waits for room.
    pub(super) fn startable(&self) -> impl Iterator<Item = TaskIdx> {
        let backlog = self.tasks.iter().filter_map(|task| task.mapped.as_ref()).flat_map(|mapped| &mapped.backlog);
        self.ready.values().flatten().chain(backlog).copied()
    }

    /// Whether a task's mapping, if it is an instance, leaves it room.
    pub(super) fn has_place(&self, idx: TaskIdx) -> bool {
        let Some(task) = self.get(idx) else { return false };
        let Some(most) = task.spec.each.as_ref().and_then(|each| each.max_parallel) else { return true };
        let mapped = task.instance.and_then(|instance| self.get(instance.of)?.mapped.as_ref());
        let is_let_through = || self.ready.values().any(|ready| ready.contains(&idx));
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
            let instance = task.instance;
            self.undecided.remove(&idx);
            self.enqueue(idx);
            instance.iter().for_each(|instance| self.let_through(instance.of));
        }
    }

    /// Whether anything is ready to start, or to be decided.
    pub(super) fn has_ready(&self) -> bool {
        !self.undecided.is_empty() || self.ready.values().any(|tasks| !tasks.is_empty())
    }
}
