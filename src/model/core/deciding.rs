//! Tasks of which expressions say what they do. Results may be files, so the shell evaluates ([`crate::model::decide`]); what
//! follows is decided here. Asked for again whenever memory is read anew: an answer changes nothing before it is taken in.

use crate::model::change::Change;
use crate::model::decide::Decision;
use crate::model::ids::{AttemptId, JobId, TaskIdx};
use crate::model::spec::Action;
use crate::model::state::{FailCause, Outcome, SkipReason, TaskEvent};
use crate::model::time::Now;

use super::{Core, Effect, Task};

/// Decisions that are asked for and not answered yet; the others have their turn after these.
const MAX_AT_ONCE: usize = 64;
/// Of these, of one job, so that none keeps all others waiting.
const MAX_OF_JOB: usize = 16;
/// Of these, lists to map over: each answer may hold 100,000 items.
const MAX_LISTS: usize = 4;

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
        let is_list = |(job, task): &(JobId, TaskIdx)| {
            self.task(*job, *task).is_some_and(|task| task.spec.each.is_some() && task.instance.is_none())
        };
        let mut lists = self.deciding.keys().filter(|of| is_list(of)).count();
        let Some(job) = self.jobs.get(&id) else { return };
        let room = MAX_OF_JOB.min(MAX_AT_ONCE.saturating_sub(self.deciding.len()));
        let has_room = job.has_room_for_children();
        let may_go_on = |task: &TaskIdx| has_room || !job.get(*task).is_some_and(Task::is_delegated);
        let mut has_place = |task: &TaskIdx| {
            lists += usize::from(is_list(&(id, *task)));
            lists <= MAX_LISTS
        };
        let undecided = job.undecided.iter().copied().filter(may_go_on);
        let undecided: Vec<TaskIdx> = undecided.take(room).take_while(|task| has_place(task)).collect();
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

    /// What was asked and not answered (a result could not be read just now) is asked again, under its number: of two answers the
    /// first counts.
    pub(super) fn ask_again(&mut self, now: Now) {
        let mut asked: Vec<(u64, JobId, TaskIdx)> =
            self.deciding.iter().map(|((job, task), ticket)| (*ticket, *job, *task)).collect();
        asked.sort_unstable();
        for (ticket, job, task) in asked {
            let Some(number) = self.task(job, task).map(|task| task.attempts) else { continue };
            let launch = self.launch(AttemptId { job, task, number }, now);
            self.effects.extend(launch.map(|launch| Effect::Decide(ticket, Box::new(launch))));
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
