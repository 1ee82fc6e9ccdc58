//! Tasks of which expressions say what they do. Results may be files, so the shell evaluates ([`crate::model::decide`]); what
//! follows is decided here. Asked for again whenever memory is read anew: an answer changes nothing before it is taken in.

use crate::model::change::Change;
use crate::model::decide::Decision;
use crate::model::ids::{AttemptId, JobId, TaskIdx};
use crate::model::state::{FailCause, Outcome, SkipReason, TaskEvent};
use crate::model::time::Now;

use super::{Core, Effect};

/// Decisions that are asked for in one turn; the others have theirs in the next.
const MAX_AT_ONCE: usize = 256;

impl Core {
    /// Asks about the tasks of a job that are queued and undecided.
    pub(super) fn ask_decisions(&mut self, id: JobId, now: Now) {
        let Some(job) = self.jobs.get(&id) else { return };
        let undecided: Vec<TaskIdx> = job.undecided.iter().copied().take(MAX_AT_ONCE).collect();
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
            Decision::Map(items) => return self.map(job, task, items, now),
            Decision::Ask { message, show } => return self.ask_approval(job, task, message, show, now),
            Decision::Fail(why) => {
                self.end_without_attempt(job, task, Outcome::Failed { cause: FailCause::Decision(why) }, now);
            }
        }
        self.after_terminal(job, task, now);
    }
}
