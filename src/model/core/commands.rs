//! Commands of people and programs: which job they mean, and who decides them.

use crate::model::change::Change;
use crate::model::ids::{Address, JobId, JobRef, TaskIdx};
use crate::model::message::{Command, Done, Refusal, RefusalCode};
use crate::model::spec::PRIORITIES;
use crate::model::time::Now;

use super::{Core, Effect};

impl Core {
    /// Decides a command.
    pub(super) fn command(&mut self, command: Command, now: Now) -> Result<Done, Refusal> {
        match command {
            Command::Submit { mut submission, key } => {
                // Only a schedule says so.
                submission.job.scheduled = None;
                self.submit(*submission, key, now)
            }
            Command::ScheduleSet { submission, rule } => self.set_schedule(*submission, *rule, now),
            Command::SchedulePause { names, paused } => self.pause_schedules(&names, paused, now),
            Command::ScheduleRemove { names } => self.remove_schedules(&names, now),
            Command::ScheduleRun { name, key } => self.run_schedule(&name, key, now),
            Command::Add { job, task, key } => self.add(&job, *task, key, now),
            Command::Requeue { targets, which, params } => self.requeue_with(&targets, which, &params, now),
            Command::Cancel { targets, all, how } => self.cancel(&targets, all, how, now),
            Command::Pause { job } => self.pause(job.as_ref(), true, now),
            Command::Resume { job } => self.pause(job.as_ref(), false, now),
            Command::Answer { question, answer, by_name } => self.answer(question, answer, by_name, now),
            Command::Budget { job, budget } => self.set_budget(&job, budget, now),
            Command::Priority { job, priority } => self.set_priority(&job, priority, now),
            Command::Stop => {
                self.leaving = true;
                self.effects.push(Effect::Leave);
                Ok(Done::Stopping)
            }
        }
    }

    fn pause(&mut self, job: Option<&JobRef>, paused: bool, now: Now) -> Result<Done, Refusal> {
        let changed = match job {
            None => {
                let changed = self.paused != paused;
                if changed {
                    self.emit(Change::AllPaused { paused }, now);
                }
                changed
            }
            Some(job) => {
                let id = self.resolve(job)?;
                let changed = self.jobs.get(&id).is_some_and(|job| job.paused != paused);
                if changed {
                    self.emit(Change::JobPaused { job: id, paused }, now);
                }
                changed
            }
        };
        Ok(Done::Affected { count: u32::from(changed) })
    }

    fn set_priority(&mut self, job: &JobRef, priority: i32, now: Now) -> Result<Done, Refusal> {
        let id = self.resolve(job)?;
        check_priority(priority)?;
        let before = self.jobs.get(&id).map_or(priority, |job| job.priority);
        let changed = before != priority;
        if changed {
            self.emit(Change::PrioritySet { job: id, priority }, now);
            self.shift_priorities_below(id, priority.saturating_sub(before), now);
        }
        Ok(Done::Affected { count: u32::from(changed) })
    }

    /// The job that a reference means.
    pub(super) fn resolve(&self, job: &JobRef) -> Result<JobId, Refusal> {
        let number = job.number.unwrap_or_else(|| self.number(&job.name));
        let name = crate::model::ids::JobName { name: job.name.clone(), number };
        self.by_name.get(&name).copied().ok_or_else(|| not_found(format!("there is no job `{job}`"), "see `airx jobs`"))
    }

    /// The task that an address means; none for a whole job.
    pub(super) fn resolve_address(&self, address: &Address) -> Result<(JobId, Option<TaskIdx>), Refusal> {
        let id = self.resolve(&address.job)?;
        let Some(task) = &address.task else { return Ok((id, None)) };
        let found = self.jobs.get(&id).and_then(|job| job.find(task));
        match found {
            Some(idx) => Ok((id, Some(idx))),
            None => Err(not_found(
                format!("the job `{}` has no task `{task}`", address.job),
                &format!("see `airx tasks {}`", address.job),
            )),
        }
    }
}

/// A refusal because something does not exist.
pub(super) fn not_found(message: String, hint: &str) -> Refusal {
    Refusal { code: RefusalCode::NotFound, message, hint: hint.to_owned() }
}

/// Whether a priority, of a job or of a task, is one.
pub(super) fn check_priority(priority: i32) -> Result<(), Refusal> {
    if PRIORITIES.contains(&priority) {
        return Ok(());
    }
    let hint = format!("it is {} to {}, and higher ones go first", PRIORITIES.start(), PRIORITIES.end());
    Err(invalid(format!("{priority} is no priority"), &hint))
}

/// A refusal of a request that is wrong in itself.
pub(super) fn invalid(message: String, hint: &str) -> Refusal {
    Refusal { code: RefusalCode::Invalid, message, hint: hint.to_owned() }
}
