//! What follows when a task is over: for those that need it, for its mapping, for what runs at the end, and for its job.

use crate::model::change::{Change, TaskResult};
use crate::model::ids::{JobId, TaskIdx};
use crate::model::spec::{OnFailure, TaskSpec};
use crate::model::state::{Outcome, SkipReason, TaskEvent, TaskState, Verdict};
use crate::model::time::Now;

use super::Core;
use super::rules::Readiness;

/// Whether a task starts also after `on_failure: stop`.
pub(super) fn outlives_failure(spec: &TaskSpec) -> bool {
    spec.finally || spec.rule.accepts_failure()
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
            work.extend(dependents.into_iter().filter(|dependent| self.settle_task(id, *dependent, now)));
            if let Some(instance) = instance {
                if self.settle_mapping(id, instance.of, now) {
                    work.push(instance.of);
                } else {
                    let early = self.task(id, instance.of).map(|parent| parent.dependents.clone()).unwrap_or_default();
                    work.extend(early.into_iter().filter(|dependent| self.settle_task(id, *dependent, now)));
                }
            }
            if let Some(job) = self.jobs.get(&id).filter(|job| job.open == 0) {
                let finally = job.finally.clone();
                work.extend(finally.into_iter().filter(|task| self.settle_task(id, *task, now)));
            }
        }
        if failed {
            self.stop_job(id, now);
        }
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
