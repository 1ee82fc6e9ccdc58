//! Mapped tasks as the screen keeps them: their instances are rows like others, and are counted where they belong.

use std::collections::HashMap;

use crate::model::change::{Change, Seq};
use crate::model::decide::shown;
use crate::model::message::{EventView, TaskView};
use crate::model::state::{Counts, FailCause, Outcome, SkipReason, TaskKind, TaskState};

use super::mirror::{ASKING, JobRow, Loaded, asks, queued};
use super::row::TaskRow;

/// The instances of a mapped task, counted whenever one of them changes: there may be 100,000.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Instances {
    /// Those of the present list, by state.
    pub counts: Counts,
    /// Those of an earlier list, whose items the present one does not have.
    pub gone: u32,
    /// Cost of all their attempts, with what goes on.
    pub cost_microusd: u64,
    /// Most of them alive at once; none leaves it to the job and the pool.
    pub max_parallel: Option<u32>,
}

/// What of an instance counts for its mapped task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Its state; none when its item is gone.
    kind: Option<TaskKind>,
    cost_microusd: u64,
}

impl Instances {
    /// Counts an instance in.
    pub fn add(&mut self, part: Part) {
        match part.kind {
            Some(kind) => self.counts.add(kind),
            None => self.gone += 1,
        }
        self.cost_microusd = self.cost_microusd.saturating_add(part.cost_microusd);
    }

    /// Counts an instance out.
    pub fn remove(&mut self, part: Part) {
        match part.kind {
            Some(kind) => self.counts.remove(kind),
            None => self.gone = self.gone.saturating_sub(1),
        }
        self.cost_microusd = self.cost_microusd.saturating_sub(part.cost_microusd);
    }

    /// Before any is counted.
    pub fn clear(&mut self) {
        *self = Instances { max_parallel: self.max_parallel, ..Instances::default() };
    }
}

impl TaskRow {
    /// Of a mapped task, whether its list is known or not: its instances.
    pub fn instances(&self) -> Option<&Instances> {
        self.more.as_ref()?.instances.as_deref()
    }

    /// The same, to count them.
    pub fn instances_mut(&mut self) -> Option<&mut Instances> {
        self.more.as_mut()?.instances.as_deref_mut()
    }

    /// Whether instances stand for it: its list is known, and it is where they brought it.
    pub fn is_mapped(&self) -> bool {
        let by_instances = match self.kind {
            TaskKind::Mapped | TaskKind::Completed | TaskKind::Cancelled => true,
            TaskKind::Failed => matches!(self.outcome(), Some(Outcome::Failed { cause: FailCause::Instances { .. } })),
            _ => false,
        };
        by_instances && self.instances().is_some_and(|instances| instances.counts.total() > 0)
    }

    /// What of it counts for the mapped task that it is an instance of.
    pub fn part(&self) -> Part {
        Part { kind: (!self.is_gone()).then_some(self.kind), cost_microusd: self.cost() }
    }

    /// Whether it is an instance of an item that its list does not have any more.
    pub fn is_gone(&self) -> bool {
        let state = self.more.as_ref().and_then(|more| more.state.as_ref());
        matches!(state, Some(TaskState::Skipped { why: SkipReason::Gone }))
    }
}

impl JobRow {
    /// The mapped task that a task is an instance of: nothing else has one as its parent, since it has no attempts.
    pub fn mapping_of(&self, task: u32) -> Option<u32> {
        let parent = self.tasks.get(task as usize)?.parent;
        self.tasks.get(parent as usize)?.instances().map(|_| parent)
    }

    /// A mapped task's instances, the mapped task given.
    pub fn instances_of(&self, mapping: u32) -> impl Iterator<Item = (u32, &TaskRow)> {
        let is_mapping = self.tasks.get(mapping as usize).is_some_and(|row| row.instances().is_some());
        // They come after it.
        let rows = self.tasks.iter().skip(if is_mapping { mapping as usize + 1 } else { self.tasks.len() });
        (mapping.saturating_add(1)..).zip(rows).filter(move |(_, row)| row.parent == mapping)
    }

    /// The first task that failed by itself, not by its instances.
    pub fn first_failed(&self) -> Option<u32> {
        let failed = |row: &TaskRow| row.kind == TaskKind::Failed && !row.is_mapped();
        (0u32..).zip(&self.tasks).find(|(_, row)| failed(row)).map(|(task, _)| task)
    }

    /// Whether a task, or an instance of it, has asked a person something.
    pub fn waits_for_person(&self, row: &TaskRow) -> bool {
        let instances = row.instances().filter(|_| row.kind == TaskKind::Mapped);
        asks(row) || instances.is_some_and(|known| ASKING.iter().any(|kind| known.counts.of(*kind) > 0))
    }

    /// Counts the instances of all mapped tasks anew.
    pub(super) fn count_instances(&mut self) {
        self.tasks.iter_mut().filter_map(TaskRow::instances_mut).for_each(Instances::clear);
        for task in 0..self.tasks.len() {
            let (part, parent) = (self.tasks[task].part(), self.tasks[task].parent);
            if let Some(instances) = self.tasks.get_mut(parent as usize).and_then(TaskRow::instances_mut) {
                instances.add(part);
            }
        }
    }
}

/// A mapped task's list is known: instances that there are begin anew, further ones come behind all other tasks.
pub(super) fn expand(job: &mut JobRow, event: &EventView, parent: u32, items: &[serde_json::Value]) {
    let Some(row) = job.tasks.get_mut(parent as usize).filter(|row| row.as_of() < event.seq) else { return };
    row.apply(event.seq, event.event.at, &event.event.change);
    let (id, is_claude) = (row.id.clone(), row.is_claude);
    let known = begin_anew(job, parent, event.seq, items);
    job.tasks.reserve(items.len().saturating_sub(known));
    for (place, item) in items.iter().enumerate().skip(known) {
        let view = TaskView { id: format!("{id}/{place}"), item: Some(shown(item)), is_claude, ..queued(event) };
        let mut row = TaskRow::new(view, event.seq, |_| None);
        row.parent = parent;
        job.push(row);
    }
    job.count_instances();
    job.places = HashMap::new();
}

/// Of a mapped task that is pending again nothing of the old list stands any more.
pub(super) fn let_go(job: &mut JobRow, event: &EventView, task: u32) {
    use TaskState::Pending;
    let (Change::TaskMoved { state: Pending, .. } | Change::TaskRequeued { state: Pending, .. }) = &event.event.change else {
        return;
    };
    if job.loaded == Loaded::All && begin_anew(job, task, event.seq, &[]) > 0 {
        job.count_instances();
    }
}

/// The instances that there are, with another list; how many.
pub(super) fn begin_anew(job: &mut JobRow, parent: u32, seq: Seq, items: &[serde_json::Value]) -> usize {
    if job.tasks.get(parent as usize).is_none_or(|row| row.instances().is_none()) {
        return 0;
    }
    let mut known = 0;
    for row in job.tasks.iter_mut().filter(|row| row.parent == parent) {
        row.begin_anew(seq, items.get(known).map(shown));
        known += 1;
    }
    known
}
