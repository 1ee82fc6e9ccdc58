//! What follows when a task is over: for those that need it, for its mapping, for what runs at the end, and for its job.

use crate::model::change::{Change, TaskResult};
use crate::model::ids::{JobId, TaskIdx};
use crate::model::spec::{OnFailure, Rule, TaskSpec};
use crate::model::state::{Outcome, SkipReason, TaskEvent, TaskKind, TaskState, Verdict};
use crate::model::time::Now;

use super::rules::Readiness;
use super::{Core, Job, Task};

/// Whether a task starts also after `on_failure: stop`.
pub(super) fn outlives_failure(spec: &TaskSpec) -> bool {
    spec.finally || spec.rule.accepts_failure()
}

impl Job {
    /// Tasks that need a mapped one and do not wait for all of it, when its instances tell them something new.
    fn early_of(&mut self, mapping: TaskIdx) -> Vec<TaskIdx> {
        let Some(mapped) = self.mapped_mut(mapping) else { return Vec::new() };
        let now = (mapped.tally.completed > 0, mapped.tally.failed > 0);
        let is_new = (now.0 && !mapped.seen.0) || (now.1 && !mapped.seen.1);
        mapped.seen = (mapped.seen.0 || now.0, mapped.seen.1 || now.1);
        let Some(task) = self.get(mapping).filter(|_| is_new) else { return Vec::new() };
        let is_early = |task: &Task| matches!(task.spec.rule, Rule::OneSuccess | Rule::OneFailed);
        task.dependents.iter().copied().filter(|dependent| self.get(*dependent).is_some_and(is_early)).collect()
    }

    /// What runs at the end, once for each time that everything else has come to its end.
    fn finally_now(&mut self) -> Vec<TaskIdx> {
        let is_now = self.open == 0 && !self.at_end;
        self.at_end = self.open == 0;
        if is_now { self.finally.clone() } else { Vec::new() }
    }

    /// Instances of a mapped task that wait for what it needs.
    fn pending_of(&self, mapping: TaskIdx) -> Vec<TaskIdx> {
        let task = self.get(mapping).filter(|task| matches!(task.state, TaskState::Mapped { .. }));
        let instances = task.and_then(|task| task.mapped.as_ref()).map(|mapped| mapped.instances.as_slice()).unwrap_or_default();
        let is_pending = |idx: &TaskIdx| self.get(*idx).is_some_and(|task| task.state == TaskState::Pending);
        if self.counts.of(TaskKind::Pending) == 0 { Vec::new() } else { instances.iter().copied().filter(is_pending).collect() }
    }
}

impl Core {
    /// What follows from a task's end, or from a mapping's first instances.
    pub(super) fn after_terminal(&mut self, id: JobId, idx: TaskIdx, now: Now) {
        // A list of its own instead of recursion: a chain may have 100,000 links.
        let mut work = vec![idx];
        let mut failed = false;
        while let Some(idx) = work.pop() {
            let Some(task) = self.task(id, idx) else { continue };
            if !task.state.is_terminal() {
                continue;
            }
            failed |= task.state == TaskState::Failed;
            let (dependents, instance) = (task.dependents.clone(), task.instance);
            dependents.into_iter().for_each(|dependent| self.settle_whole(id, dependent, &mut work, now));
            if let Some(instance) = instance {
                if self.settle_mapping(id, instance.of, now) {
                    work.push(instance.of);
                } else {
                    let early = self.jobs.get_mut(&id).map(|job| job.early_of(instance.of)).unwrap_or_default();
                    work.extend(early.into_iter().filter(|dependent| self.settle_task(id, *dependent, now)));
                }
            }
            let finally = self.jobs.get_mut(&id).map(Job::finally_now).unwrap_or_default();
            finally.into_iter().for_each(|task| self.settle_whole(id, task, &mut work, now));
        }
        if failed {
            self.stop_job(id, now);
        }
    }

    /// A task, and of a mapped one the instances that wait for what it needs; those that are over by that go into `work`.
    fn settle_whole(&mut self, id: JobId, idx: TaskIdx, work: &mut Vec<TaskIdx>, now: Now) {
        let mut tasks = self.jobs.get(&id).map(|job| job.pending_of(idx)).unwrap_or_default();
        tasks.push(idx);
        work.extend(tasks.into_iter().filter(|task| self.settle_task(id, *task, now)));
    }

    /// A pending task whose rule has its answer goes on; whether it is over by that.
    pub(super) fn settle_task(&mut self, id: JobId, idx: TaskIdx, now: Now) -> bool {
        let Some(job) = self.jobs.get(&id) else { return false };
        let Some(task) = job.get(idx).filter(|task| task.state == TaskState::Pending) else { return false };
        let event = match job.readiness(task) {
            Readiness::Waits => return false,
            Readiness::Ready => TaskEvent::DepsMet,
            Readiness::Skip(why) => TaskEvent::Skip(why),
            Readiness::UpstreamFailed => TaskEvent::UpstreamFailed,
        };
        let Ok(state) = task.state.next(event) else { return false };
        let is_over = state.is_terminal();
        self.emit(Change::TaskMoved { job: id, task: idx, state }, now);
        is_over
    }

    /// Ends a task whose work was not an attempt's, or that comes to none.
    pub(super) fn end_without_attempt(&mut self, job: JobId, task: TaskIdx, outcome: Outcome, now: Now) {
        self.end_with(job, task, outcome, None, now);
    }

    /// As [`Core::end_without_attempt`], with a result.
    pub(super) fn end_with(&mut self, job: JobId, task: TaskIdx, outcome: Outcome, result: Option<TaskResult>, now: Now) {
        let verdict = match &outcome {
            Outcome::Succeeded => Verdict::Complete,
            Outcome::Cancelled => Verdict::Cancelled,
            _ => Verdict::Fail,
        };
        let Some(found) = self.task(job, task) else { return };
        if let Ok(state) = found.state.next(TaskEvent::Settled(verdict)) {
            self.emit(Change::TaskEnded { job, task, outcome: Box::new(outcome), state, result }, now);
        }
    }

    /// `on_failure: stop`: nothing new starts but what accepts a failure, what has not started is skipped.
    fn stop_job(&mut self, id: JobId, now: Now) {
        let Some(job) = self.jobs.get(&id) else { return };
        if job.stopped || job.spec.on_failure != OnFailure::Stop {
            return;
        }
        self.emit(Change::JobStopped { job: id, stopped: true }, now);
        let total = self.jobs.get(&id).map_or(0, |job| job.tasks.len());
        let waiting = (0..u32::try_from(total).unwrap_or(u32::MAX)).map(TaskIdx);
        for task in waiting.clone() {
            self.skip_stopped(id, task, now);
        }
        // Those that outlive it may have waited for what was skipped just now.
        for task in waiting {
            if self.task(id, task).is_some_and(|found| found.state == TaskState::Skipped { why: SkipReason::Stopped }) {
                self.after_terminal(id, task, now);
            }
        }
    }

    /// `on_failure: stop` gives a task up that has not started.
    pub(super) fn skip_stopped(&mut self, job: JobId, task: TaskIdx, now: Now) {
        let Some(found) = self.task(job, task).filter(|found| !outlives_failure(&found.spec)) else { return };
        if let Ok(state) = found.state.next(TaskEvent::Skip(SkipReason::Stopped)) {
            self.emit(Change::TaskMoved { job, task, state }, now);
        }
    }
}
