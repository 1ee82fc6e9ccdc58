//! Sub-flows: tasks whose work a child job does. The child is submitted in the commit in which its parent's task is delegated,
//! and the child's end is that of the task, in one commit too.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::model::change::{Change, Parent, TaskResult};
use crate::model::ids::{JobId, JobName, TaskIdx};
use crate::model::message::{Refusal, RefusalCode, RequeueWhich};
use crate::model::spec::{PRIORITIES, SubJob};
use crate::model::state::{FailCause, JobState, Outcome, TaskEvent, TaskKind, TaskState};
use crate::model::time::Now;

use super::{Core, Job};

/// Child jobs of one job that go on at once; further ones wait for the end of one. Each is a job in memory.
pub(super) const MAX_CHILDREN: u32 = 1_000;

impl Job {
    /// Whether another child job may begin.
    pub(super) fn has_room_for_children(&self) -> bool {
        self.counts.of(TaskKind::Delegated) < MAX_CHILDREN
    }

    /// The result that the job has for its parent.
    fn own_result(&self) -> Option<TaskResult> {
        let task = self.find(self.spec.result.as_deref()?)?;
        self.get(task)?.result.clone()
    }

    /// Whether it would be submitted with the same values. What a person changed since is meant for it as it is.
    fn has_params(&self, given: &BTreeMap<String, Value>) -> bool {
        given.iter().all(|(name, value)| self.params.contains_key(name) || self.spec.params.get(name) == Some(value))
    }
}

impl Core {
    /// Whether a person paused the job, or one that it is below.
    pub(super) fn is_paused(&self, id: JobId) -> bool {
        self.line_of(id).any(|job| job.paused)
    }

    /// A job and those that it is below, as far as they are in memory, from itself on.
    pub(super) fn line_of(&self, id: JobId) -> impl Iterator<Item = &Job> {
        std::iter::successors(self.jobs.get(&id), |job| self.jobs.get(&job.parent.as_ref()?.0.job))
    }

    /// The child job that does a task's work now.
    pub(super) fn child_of(&self, job: JobId, task: TaskIdx) -> Option<JobId> {
        match &self.task(job, task)?.state {
            TaskState::Delegated { job } => self.by_name.get(job).copied(),
            _ => None,
        }
    }

    /// The name of the job that a task is left to when it is decided so, and the one that it was left to before.
    pub fn child_to_be(&self, job: JobId, task: TaskIdx) -> Option<(&str, Option<&JobName>)> {
        let task = self.task(job, task)?;
        Some((&task.spec.child()?.submission.job.name, task.child.as_deref()))
    }

    /// What a task's child job gets is known: it begins, or the one that did not complete goes on.
    pub(super) fn delegate(&mut self, id: JobId, idx: TaskIdx, params: BTreeMap<String, Value>, now: Now) {
        let waits = self.paused || self.disk_low || self.leaving || self.is_paused(id);
        if let Some(job) = self.jobs.get_mut(&id)
            && (waits || !job.has_room_for_children())
        {
            // Asked for again when it may begin.
            job.undecided.insert(idx);
            self.ready_jobs.insert(id);
            return;
        }
        let Some(task) = self.task(id, idx) else { return };
        let (Some(child), before) = (task.spec.child(), task.child.as_deref()) else { return };
        let before = before.and_then(|name| self.by_name.get(name)).and_then(|child| self.jobs.get(child));
        if let Some(before) = before.filter(|job| job.state != JobState::Completed && job.has_params(&params)) {
            let (before, name) = (before.id, before.name.clone());
            self.move_to_child(id, idx, name, now);
            self.run_again(self.in_job(before, RequeueWhich::Failed).into_iter().collect(), false, now);
            // It may be that nothing of it can run again: then its end is seen at once.
            self.touched.insert(before);
            return;
        }
        let submission = child.with(&params, self.priority_below(id, task.spec.priority, child));
        let name = self.admit(submission, None, Some(Parent { job: id, task: idx }), now);
        self.move_to_child(id, idx, name, now);
    }

    fn move_to_child(&mut self, job: JobId, task: TaskIdx, name: JobName, now: Now) {
        let Some(found) = self.task(job, task) else { return };
        if let Ok(state) = found.state.next(TaskEvent::Delegate(name)) {
            self.emit(Change::TaskMoved { job, task, state }, now);
        }
    }

    fn priority_below(&self, job: JobId, task: i32, child: &SubJob) -> i32 {
        let parent = self.jobs.get(&job).map_or(0, |job| job.priority);
        bounded(parent.saturating_add(task).saturating_add(child.submission.job.priority))
    }

    /// What is below a job goes along when it gets another priority.
    pub(super) fn shift_priorities_below(&mut self, id: JobId, by: i32, now: Now) {
        let Some(job) = self.jobs.get(&id) else { return };
        let tasks = (0u32..).map(TaskIdx).take(job.tasks.len());
        let children: Vec<JobId> = tasks.filter_map(|task| self.child_of(id, task)).collect();
        for child in children {
            let Some(priority) = self.jobs.get(&child).map(|job| bounded(job.priority.saturating_add(by))) else { continue };
            self.emit(Change::PrioritySet { job: child, priority }, now);
            self.shift_priorities_below(child, by, now);
        }
    }

    /// The ends of child jobs are those of the tasks that they do the work of; whether there was one.
    pub(super) fn settle_parents(&mut self, over: Vec<JobId>, now: Now) -> bool {
        let mut any = false;
        for id in over {
            let Some(child) = self.jobs.get(&id) else { continue };
            let Some((Parent { job, task }, _)) = child.parent else { continue };
            if self.child_of(job, task) != Some(id) {
                continue;
            }
            let (outcome, result) = match child.state {
                JobState::Completed => (Outcome::Succeeded, child.own_result()),
                JobState::Cancelled => (Outcome::Cancelled, None),
                state => {
                    let how = format!("{} {}", child.name, state.word());
                    (Outcome::Failed { cause: FailCause::Child(how) }, None)
                }
            };
            any = true;
            self.end_with(job, task, outcome, result, now);
            self.after_terminal(job, task, now);
        }
        any
    }

    /// Whether tasks of a job may run (again): the task that it is the child of stands where it has brought it.
    pub(super) fn may_go_on(&self, id: JobId) -> Result<(), Refusal> {
        use TaskState::{Cancelled, Completed, Delegated, Failed};
        for job in self.line_of(id) {
            let Some((Parent { job: of, task }, name)) = &job.parent else { return Ok(()) };
            let Some(parent) = self.task(*of, *task) else { return Ok(()) };
            let conflict = |message: String, hint: String| Err(Refusal { code: RefusalCode::Conflict, message, hint });
            let address = format!("{name}/{}", parent.id);
            match parent.child.as_deref() {
                Some(child) if *child == job.name => {}
                Some(child) => return conflict(format!("`{}` is replaced by {child}", job.name), format!("of `{address}`")),
                None => return conflict(format!("`{}` is replaced", job.name), format!("`{address}` begins anew")),
            }
            if let Delegated { .. } = parent.state {
                return Ok(());
            }
            let takes_back = parent.instance.is_none_or(|instance| self.takes_back(*of, instance.of));
            if !takes_back || !matches!(parent.state, Completed | Failed | Cancelled) {
                let message = format!("`{}` goes on when `{address}` has its turn", job.name);
                return conflict(message, format!("see `airx show {address}`"));
            }
        }
        Ok(())
    }

    /// The tasks that a job's work is left by, and those above them, are left to it again when it goes on; tells which.
    pub(super) fn reopen_above(&mut self, id: JobId, now: Now) -> Vec<(JobId, TaskIdx)> {
        let mut reopened = Vec::new();
        let mut below = id;
        while let Some(job) = self.jobs.get(&below).filter(|job| !job.counts.job_state().is_terminal()) {
            let (Some((Parent { job: of, task }, _)), name) = (job.parent.clone(), job.name.clone()) else { break };
            let Some(parent) = self.task(of, task).filter(|task| task.child.as_deref() == Some(&name)) else { break };
            let instance = parent.instance;
            let to = TaskState::Delegated { job: name };
            let Ok(state) = parent.state.next(TaskEvent::Reopen(Box::new(to))) else { break };
            if self.jobs.get(&of).is_some_and(|job| job.stopped) {
                self.emit(Change::JobStopped { job: of, stopped: false }, now);
            }
            self.emit(Change::TaskMoved { job: of, task, state }, now);
            instance.iter().for_each(|instance| self.reopen_mapping(of, instance.of, now));
            reopened.push((of, task));
            below = of;
        }
        reopened
    }

    /// As [`Core::reopen_above`], with what follows from that.
    pub(super) fn go_on_above(&mut self, id: JobId, now: Now) {
        let above = self.reopen_above(id, now);
        self.bring_back(&above, now);
    }
}

fn bounded(priority: i32) -> i32 {
    priority.clamp(*PRIORITIES.start(), *PRIORITIES.end())
}
