//! Mapped tasks: from a list to instances, and from their ends to that of the task.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use crate::model::change::Change;
use crate::model::ids::{JobId, TaskIdx};
use crate::model::spec::MAX_TASKS;
use crate::model::state::{FailCause, Outcome, SkipReason, TaskEvent, TaskState, Verdict};
use crate::model::time::Now;

use super::job::{Instance, Job, Task};
use super::rules::Tally;
use super::{Core, Seen, SeenResult};

/// The instances of a mapped task.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mapped {
    /// The list that is worked on.
    pub items: Arc<Vec<Value>>,
    /// Its instances by index; more than items when an earlier list was longer.
    pub instances: Vec<TaskIdx>,
    /// What became of those that the list has.
    pub tally: Tally,
    /// Of these, those with an attempt that may be alive, or with a child job that goes on.
    pub live: u32,
    /// Instances that may start as far as the mapping is concerned; counted with `max_parallel` alone.
    pub ready: u32,
    /// Queued instances that wait for room in the mapping.
    pub backlog: BTreeSet<TaskIdx>,
    /// Whether those that do not wait for all of it have seen one that completed, and one that failed.
    pub seen: (bool, bool),
}

impl Mapped {
    /// Before its instances.
    pub fn new(items: Arc<Vec<Value>>) -> Mapped {
        Mapped {
            items,
            instances: Vec::new(),
            tally: Tally::default(),
            live: 0,
            ready: 0,
            backlog: BTreeSet::new(),
            seen: (false, false),
        }
    }

    /// An instance went from one state to another, or came into being.
    pub fn instance_moved(&mut self, index: u32, old: Option<&TaskState>, new: Option<&TaskState>) {
        if index as usize >= self.items.len() {
            return;
        }
        let goes_on = |state: &TaskState| state.live_attempt().is_some() || matches!(state, TaskState::Delegated { .. });
        let is_live = |state: Option<&TaskState>| u32::from(state.is_some_and(goes_on));
        self.live = (self.live + is_live(new)).saturating_sub(is_live(old));
        if let Some(old) = old {
            self.tally.forget(old);
        }
        if let Some(new) = new {
            self.tally.count(new);
        }
    }

    /// The next instance that may start, when no more than `most` may.
    pub fn next(&mut self, most: u32) -> Option<TaskIdx> {
        if self.live + self.ready >= most {
            return None;
        }
        let next = self.backlog.pop_first()?;
        self.ready += 1;
        Some(next)
    }

    /// Whether every instance is over.
    fn is_over(&self) -> bool {
        self.tally.over() as usize >= self.items.len()
    }
}

impl Job {
    pub(super) fn mapped_mut(&mut self, parent: TaskIdx) -> Option<&mut Mapped> {
        self.tasks.get_mut(parent.0 as usize)?.mapped.as_deref_mut()
    }

    /// Tells a task's mapping, if it is an instance, what became of it.
    pub(super) fn tell_mapping(&mut self, idx: TaskIdx, old: Option<&TaskState>, new: Option<&TaskState>) {
        let Some(instance) = self.get(idx).and_then(|task| task.instance) else { return };
        if let Some(mapped) = self.mapped_mut(instance.of) {
            mapped.instance_moved(instance.index, old, new);
        }
    }

    /// A mapped task begins anew: its list is to be told again, and what there was of the old one is none of it.
    pub(super) fn let_go(&mut self, parent: TaskIdx) {
        if self.get(parent).and_then(|task| task.mapped.as_ref()).is_some_and(|mapped| !mapped.items.is_empty()) {
            self.expand(parent, &Arc::new(Vec::new()));
        }
    }

    /// Takes a new list: instances that there are begin anew, further ones come into being, those beyond it are skipped.
    pub(super) fn expand(&mut self, parent: TaskIdx, items: &Arc<Vec<Value>>) {
        let known = self.get(parent).and_then(|task| task.mapped.as_ref()).map(|mapped| mapped.instances.clone());
        let known = known.unwrap_or_default();
        // First all of them leave the old list, so that the new one counts from nothing.
        for idx in &known {
            self.set_state(*idx, TaskState::Skipped { why: SkipReason::Gone });
        }
        let mut mapped = Mapped::new(items.clone());
        mapped.instances = known;
        if let Some(task) = self.tasks.get_mut(parent.0 as usize) {
            task.mapped = Some(Box::new(mapped));
        }
        for index in 0..u32::try_from(items.len()).unwrap_or(u32::MAX) {
            self.begin_instance(parent, index);
        }
        self.let_through(parent);
    }

    fn begin_instance(&mut self, parent: TaskIdx, index: u32) {
        let Some(task) = self.get(parent) else { return };
        let known = task.mapped.as_ref().and_then(|mapped| mapped.instances.get(index as usize)).copied();
        let Some(idx) = known else {
            let new = Task::of(task, Instance { of: parent, index }, TaskState::Queued);
            self.push(new);
            return;
        };
        if let Some(task) = self.tasks.get_mut(idx.0 as usize) {
            task.begin_anew();
            (task.result, task.child) = (None, None);
        }
        self.set_state(idx, TaskState::Queued);
    }
}

impl Job {
    /// The tasks that a task's expressions name.
    pub(super) fn seen_by(&self, task: &Task) -> Vec<(String, Seen)> {
        let named = task.spec.named_tasks(task.instance.is_none());
        named.into_iter().filter_map(|id| Some((self.seen(self.find(&id)?)?, id))).map(|(seen, id)| (id, seen)).collect()
    }

    fn seen(&self, idx: TaskIdx) -> Option<Seen> {
        let task = self.get(idx)?;
        let result = match &task.mapped {
            Some(mapped) => {
                let current = mapped.instances.iter().take(mapped.items.len());
                SeenResult::Many(current.map(|idx| self.get(*idx)?.result.clone()).collect())
            }
            None => SeenResult::One(task.result.clone()),
        };
        Some(Seen { state: task.state.kind(), result })
    }
}

impl Core {
    /// A mapped task's list is known.
    pub(super) fn map(&mut self, job: JobId, task: TaskIdx, items: Vec<Value>, now: Now) {
        let Some(found) = self.jobs.get(&job) else { return };
        let known = found.get(task).and_then(|task| task.mapped.as_ref()).map_or(0, |mapped| mapped.instances.len());
        let total = found.tasks.len() + items.len().saturating_sub(known);
        if total > MAX_TASKS {
            let why = format!(
                "for_each: a list of {} items would make {total} tasks, and a job may have {MAX_TASKS}; split the list",
                items.len()
            );
            self.end_without_attempt(job, task, Outcome::Failed { cause: FailCause::Decision(why) }, now);
        } else {
            self.emit(Change::TaskExpanded { job, task, items: Arc::new(items) }, now);
        }
        self.after_terminal(job, task, now);
    }

    /// A mapped task is over with its last instance; whether it was now.
    pub(super) fn settle_mapping(&mut self, job: JobId, parent: TaskIdx, now: Now) -> bool {
        let Some(task) = self.task(job, parent) else { return false };
        let (TaskState::Mapped { instances }, Some(mapped)) = (&task.state, &task.mapped) else { return false };
        if !mapped.is_over() {
            return false;
        }
        let Tally { completed, failed, cancelled, .. } = mapped.tally;
        let outcome = match (failed, cancelled, completed) {
            (0, 0, 0) => None,
            (0, 0, _) => Some(Outcome::Succeeded),
            (0, _, _) => Some(Outcome::Cancelled),
            (failed, ..) => Some(Outcome::Failed { cause: FailCause::Instances { failed, of: *instances } }),
        };
        match outcome {
            Some(outcome) => self.end_without_attempt(job, parent, outcome, now),
            None => {
                if let Ok(state) = task.state.next(TaskEvent::Settled(Verdict::Skip(SkipReason::Rule))) {
                    self.emit(Change::TaskMoved { job, task: parent, state }, now);
                }
            }
        }
        true
    }
}
