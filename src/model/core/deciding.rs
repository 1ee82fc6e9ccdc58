//! Tasks of which expressions say what they do. Results may be files, so the shell evaluates ([`crate::model::decide`]); what
//! follows is decided here. Asked for again whenever memory is read anew: an answer changes nothing before it is taken in.

use crate::model::change::Change;
use crate::model::decide::Decision;
use crate::model::ids::{AttemptId, JobId, TaskIdx};
use crate::model::spec::Action;
use crate::model::state::{FailCause, Outcome, SkipReason, TaskEvent};
use crate::model::time::Now;

use super::{Core, Effect, Task};

/// Decisions that are asked for in one turn; the others have theirs in the next.
const MAX_AT_ONCE: usize = 256;

impl Task {
    /// Whether an expression of its definition says what it does, what a child job gets, or what a person is asked.
    pub(super) fn is_to_decide(&self) -> bool {
        let is_left_to_others = matches!(self.spec.action, Action::Approve(_) | Action::Job(_));
        is_left_to_others || self.instance.is_none() && (self.spec.when.is_some() || self.spec.each.is_some())
    }

    /// Whether it is left to a child job once it is decided about.
    pub(super) fn is_delegated(&self) -> bool {
        self.spec.child().is_some() && (self.instance.is_some() || self.spec.each.is_none())
    }
}

impl Core {
    /// Asks about the tasks of a job that are queued and undecided.
    pub(super) fn ask_decisions(&mut self, id: JobId, now: Now) {
        let Some(job) = self.jobs.get(&id) else { return };
        let has_room = job.has_room_for_children();
        let may_go_on = |task: &TaskIdx| has_room || !job.get(*task).is_some_and(Task::is_delegated);
        let undecided: Vec<TaskIdx> = job.undecided.iter().copied().filter(may_go_on).take(MAX_AT_ONCE).collect();
        for task in undecided {
            let Some(number) = self.task(id, task).map(|task| task.attempts) else { continue };
            let Some(launch) = self.launch(AttemptId { job: id, task, number }, now) else { continue };
            self.last_decision += 1;
            self.deciding.insert((id, task), self.last_decision);
            if let Some(job) = self.jobs.get_mut(&id) {
                job.undecided.remove(&task);
            }
            self.effects.push(Effect::Decide(self.last_decision, Box::new(launch)));
        }
    }

    /// An answer. One that a task does not wait for any more, since what it needs was run again, is none.
    pub(super) fn decided(&mut self, job: JobId, task: TaskIdx, ticket: u64, decision: Decision, now: Now) {
        if self.deciding.get(&(job, task)) != Some(&ticket) {
            return;
        }
        self.deciding.remove(&(job, task));
        let Some(found) = self.task(job, task) else { return };
        match decision {
            Decision::Run => {
                if let Some(job) = self.jobs.get_mut(&job) {
                    job.set_decided(task);
                }
                self.ready_jobs.insert(job);
                return;
            }
            Decision::Skip => {
                if let Ok(state) = found.state.next(TaskEvent::Skip(SkipReason::If)) {
                    self.emit(Change::TaskMoved { job, task, state }, now);
                }
            }
            Decision::Delegate(params) => return self.delegate(job, task, params, now),
            Decision::Map(items) => return self.map(job, task, items, now),
            Decision::Ask { message, show } => return self.ask_approval(job, task, message, show, now),
            Decision::Fail(why) => {
                self.end_without_attempt(job, task, Outcome::Failed { cause: FailCause::Decision(why) }, now);
            }
        }
        self.after_terminal(job, task, now);
    }
}
