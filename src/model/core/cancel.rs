//! Cancel, kill, abandon.

use crate::model::change::{AttemptFacts, Change};
use crate::model::ids::{Address, AttemptId, JobId, JobName, TaskIdx};
use crate::model::message::{CancelHow, Done, Refusal};
use crate::model::question::OF_APPROVAL;
use crate::model::spec::Rule;
use crate::model::state::{LostCause, Outcome, TaskEvent, TaskKind, TaskState, Verdict};
use crate::model::time::Now;

use super::{Core, Effect, Task};

impl Core {
    pub(super) fn cancel(&mut self, targets: &[Address], all: bool, how: CancelHow, now: Now) -> Result<Done, Refusal> {
        let mut resolved = Vec::new();
        if all {
            // What is below a job is reached through it, once.
            let is_below = |job: &super::Job| job.parent.as_ref().is_some_and(|(of, _)| self.jobs.contains_key(&of.job));
            resolved.extend(self.jobs.values().filter(|job| !is_below(job)).map(|job| (job.id, None)));
        }
        // All addresses are resolved before anything is changed: one that is wrong refuses the whole command.
        for target in targets {
            resolved.push(self.resolve_address(target)?);
        }
        let mut count = 0;
        for (job, task) in resolved {
            match task {
                Some(task) => count += self.cancel_named(job, task, how, now),
                None => count += self.cancel_job(job, how, now),
            }
        }
        Ok(Done::Affected { count })
    }

    /// A task; of a mapped one its instances.
    fn cancel_named(&mut self, job: JobId, task: TaskIdx, how: CancelHow, now: Now) -> u32 {
        let Some(found) = self.task(job, task) else { return 0 };
        let targets = match (&found.state, &found.mapped) {
            (TaskState::Mapped { .. }, Some(mapped)) => mapped.instances.clone(),
            _ => vec![task],
        };
        self.cancel_tasks(job, &targets, how, now)
    }

    /// All tasks of a job. What runs whatever happened is left to run, until nothing else is left to cancel: then it is meant.
    fn cancel_job(&mut self, id: JobId, how: CancelHow, now: Now) -> u32 {
        let Some(job) = self.jobs.get(&id) else { return 0 };
        let tasks = || (0u32..).map(TaskIdx).zip(&job.tasks).filter(|(_, task)| !task.state.is_terminal());
        let outlives = |task: &Task| task.spec.finally || task.spec.rule == Rule::Always;
        let first: Vec<TaskIdx> = tasks().filter(|(_, task)| !outlives(task)).map(|(idx, _)| idx).collect();
        let chosen = if first.is_empty() { tasks().map(|(idx, _)| idx).collect() } else { first };
        self.cancel_tasks(id, &chosen, how, now)
    }

    /// Cancels a job for the next one of its schedule, however often that comes. What runs `finally` is never cancelled for it: the
    /// next one waits for that too. What runs by `rule: always` is, unless it cleans up after a cancel.
    pub(super) fn replace_job(&mut self, name: &JobName, now: Now) {
        if let Some(id) = self.by_name.get(name) {
            self.replace(*id, now);
        }
    }

    fn replace(&mut self, id: JobId, now: Now) {
        let Some(job) = self.jobs.get(&id) else { return };
        let tasks = || (0u32..).map(TaskIdx).zip(&job.tasks);
        let stops = || tasks().filter(|(_, task)| !task.state.is_terminal() && !task.spec.finally);
        let first: Vec<TaskIdx> = stops().filter(|(_, task)| task.spec.rule != Rule::Always).map(|(idx, _)| idx).collect();
        let is_cancelled = |task: &Task| matches!(task.state.kind(), TaskKind::Cancelling | TaskKind::Cancelled);
        let chosen = match first.is_empty() {
            false => first,
            true if tasks().any(|(_, task)| is_cancelled(task)) => return,
            true => stops().map(|(idx, _)| idx).collect(),
        };
        let (left, own): (Vec<TaskIdx>, Vec<TaskIdx>) = chosen.into_iter().partition(|task| self.child_of(id, *task).is_some());
        self.cancel_tasks(id, &own, CancelHow::Ask, now);
        // The same holds for what runs at the end of a child job.
        for child in left.into_iter().filter_map(|task| self.child_of(id, task)).collect::<Vec<_>>() {
            self.replace(child, now);
        }
    }

    /// Cancels these and then looks at what follows, so that none of them is given up because of another.
    fn cancel_tasks(&mut self, job: JobId, tasks: &[TaskIdx], how: CancelHow, now: Now) -> u32 {
        let children: Vec<JobId> = tasks.iter().filter_map(|task| self.child_of(job, *task)).collect();
        let cancelled: Vec<TaskIdx> = tasks.iter().copied().filter(|task| self.cancel_task(job, *task, how, now)).collect();
        cancelled.iter().for_each(|task| self.after_terminal(job, *task, now));
        let below = children.into_iter().fold(0, |sum: u32, child| sum.saturating_add(self.cancel_job(child, how, now)));
        u32::try_from(cancelled.len()).unwrap_or(u32::MAX).saturating_add(below)
    }

    fn cancel_task(&mut self, id: JobId, idx: TaskIdx, how: CancelHow, now: Now) -> bool {
        let Some(task) = self.task(id, idx) else { return false };
        let before = task.state.clone();
        if how == CancelHow::Abandon
            && let Some(number) = before.live_attempt()
        {
            self.abandon(AttemptId { job: id, task: idx, number }, now);
            return true;
        }
        let kill = how == CancelHow::Kill;
        let Ok(state) = before.next(TaskEvent::Cancel { kill }) else { return false };
        if state == before {
            // Asked again: the backend hears it again (a first signal may have been lost), nothing is recorded.
            if let Some(number) = state.live_attempt() {
                self.effects.push(Effect::Stop { attempt: AttemptId { job: id, task: idx, number }, kill });
            }
            return false;
        }
        if let TaskState::AwaitingApproval { question } = before {
            self.void_approval(AttemptId { job: id, task: idx, number: OF_APPROVAL }, question, now);
        }
        self.emit(Change::TaskMoved { job: id, task: idx, state: state.clone() }, now);
        if let TaskState::Cancelling { attempt: number, kill } = state {
            let attempt = AttemptId { job: id, task: idx, number };
            // Also while launching: a pull or a copy is given up for it. A start is awaited, and its confirmation says it again; told
            // twice to insist, a backend would not wait for any last word.
            let is_confirmed = self.live.get(&attempt).is_some_and(|live| live.confirmed);
            self.effects.push(Effect::Stop { attempt, kill: kill && is_confirmed });
        }
        true
    }

    /// A person decided not to wait for proof of the end.
    fn abandon(&mut self, attempt: AttemptId, now: Now) {
        let Some(task) = self.task(attempt.job, attempt.task) else { return };
        let Ok(state) = task.state.next(TaskEvent::Over(Verdict::Cancelled)) else { return };
        let mut facts = AttemptFacts {
            notes: vec!["abandoned: a person decided not to wait for proof that it ended; it may still run".to_owned()],
            ..AttemptFacts::default()
        };
        self.count_seen(attempt, &mut facts);
        let outcome = Outcome::Lost { cause: LostCause::RunnerGone };
        self.effects.push(Effect::Stop { attempt, kill: true });
        // Not forgotten: what it leaves is still to be ended, and its end, should it come, to be recorded.
        self.unproven.insert(attempt);
        self.record(attempt, outcome, facts, state, now);
    }
}
