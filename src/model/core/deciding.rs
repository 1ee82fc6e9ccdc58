//! Tasks of which expressions say what they do. Results may be files, so the shell evaluates ([`crate::model::decide`]); what
//! follows is decided here. Asked for again whenever memory is read anew: an answer changes nothing before it is taken in.

use crate::model::change::Change;
use crate::model::decide::Decision;
use crate::model::ids::{AttemptId, JobId, TaskIdx};
use crate::model::state::{FailCause, Outcome, SkipReason, TaskEvent};
use crate::model::time::Now;

use super::{Core, Effect};

/// Decisions that are asked for and not answered yet; the others have their turn after these.
const MAX_AT_ONCE: usize = 64;
/// Of these, of one job, so that none keeps all others waiting.
const MAX_OF_JOB: usize = 16;
/// Of these, lists to map over: each answer may hold 100,000 items.
const MAX_LISTS: usize = 4;

impl Core {
    /// Asks about the tasks of a job that are queued and undecided.
    pub(super) fn ask_decisions(&mut self, id: JobId, now: Now) {
        let is_list = |(job, task): &(JobId, TaskIdx)| self.task(*job, *task).is_some_and(|task| task.spec.each.is_some());
        let mut lists = self.deciding.keys().filter(|of| is_list(of)).count();
        let Some(job) = self.jobs.get(&id) else { return };
        let room = MAX_OF_JOB.min(MAX_AT_ONCE.saturating_sub(self.deciding.len()));
        let mut has_place = |task: &TaskIdx| {
            lists += usize::from(is_list(&(id, *task)));
            lists <= MAX_LISTS
        };
        let undecided: Vec<TaskIdx> = job.undecided.iter().copied().take(room).take_while(|task| has_place(task)).collect();
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
            Decision::Map(items) => return self.map(job, task, items, now),
            Decision::Ask { message, show } => return self.ask_approval(job, task, message, show, now),
            Decision::Fail(why) => {
                self.end_without_attempt(job, task, Outcome::Failed { cause: FailCause::Decision(why) }, now);
            }
        }
        self.after_terminal(job, task, now);
    }
}
