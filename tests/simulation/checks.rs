//! The rules of DESIGN section 4, looked at after every step.

use std::collections::BTreeMap;

use airx::model::attempt::{End, ExitRecord, OutboxBody};
use airx::model::change::Change;
use airx::model::core::Launch;
use airx::model::ids::{AttemptId, JobId};
use airx::model::state::{Hold, LostCause, Outcome, SkipReason, TaskEvent, TaskState, Verdict};
use airx::model::time::Utc;

use crate::sim::{SLOTS, Sim};

impl Sim {
    /// What was just committed.
    pub fn check_commit(&mut self, seq: usize) -> Result<(), String> {
        let journal = self.journal.clone();
        let journal = journal.lock().expect("one thread");
        if let Some(broken) = &journal.broken {
            return Err(broken.clone());
        }
        if seq > journal.events.len() && !journal.lied {
            return Err("effects and news follow the commit: a sequence number was told before it was there".to_owned());
        }
        let from = std::mem::replace(&mut self.seen, journal.events.len());
        // States before these events, by going through all earlier ones only for the jobs that are touched.
        let mut states: BTreeMap<(JobId, u32), TaskState> = BTreeMap::new();
        for (place, event) in journal.events.iter().enumerate() {
            let is_new = place >= from;
            // What becomes of its instances is looked at by the rules of graphs.
            if let Change::TaskExpanded { job, task, .. } = &event.change {
                let rows = &journal.rows.jobs[&job.0].tasks;
                let is_of =
                    |place: u32| rows.get(place as usize).and_then(|row| row.instance).is_some_and(|(of, _)| of == task.0);
                states.retain(|(of, place), _| of != job || !is_of(*place));
            }
            let (Some(job), Some(task)) = (event.change.job(), event.change.task()) else { continue };
            let key = (job, task.0);
            let before = states.get(&key).cloned();
            if is_new {
                self.check_engine_event(event, before.as_ref())?;
            }
            let Some(after) = after(&event.change, before.as_ref()) else { continue };
            if let (true, Some(before)) = (is_new, before) {
                if before != after && !is_legal(&before, &after) {
                    return Err(format!("only transitions of the machine: {key:?} went from {before:?} to {after:?}"));
                }
                if let TaskState::Held { hold: Hold::Retry { at, delay_ms } } = &after
                    && at.since(event.at) > *delay_ms
                {
                    return Err(format!("a retry never waits longer than its delay: {key:?} {delay_ms} ms"));
                }
            }
            states.insert(key, after);
        }
        let stood = self.schedules.states();
        for event in &journal.events[from..] {
            self.watch.take(event, &journal, &self.told.claude)?;
            self.graph.take(event)?;
            self.flows.take(event, &journal)?;
            self.retries.take(event, &journal)?;
            self.approvals.take(event, &journal)?;
            self.fair.take(event, &journal, &self.told, &self.engine.known)?;
            self.schedules.take(event, &journal)?;
            if let Change::AttemptClosed { attempt, outcome, facts, .. } = &event.change {
                if facts.notes.iter().any(|note| note.starts_with("abandoned")) {
                    if let Some(attempt) = self.attempts.get_mut(attempt) {
                        attempt.abandoned = true;
                    }
                } else {
                    self.check_outbox(*attempt, outcome, &journal.events)?;
                }
            }
        }
        self.schedules.check_commit(&journal.events[from..], &stood)?;
        self.schedules.check_jobs(&journal)?;
        self.flows.check_commit(&journal)?;
        Ok(())
    }

    /// What an attempt had asked for is there before its outcome.
    fn check_outbox(&self, id: AttemptId, outcome: &Outcome, events: &[airx::model::change::Event]) -> Result<(), String> {
        let Some(attempt) = self.attempts.get(&id) else { return Ok(()) };
        if attempt.is_alive() && *outcome != (Outcome::Lost { cause: LostCause::RunnerGone }) {
            return Err(format!("an outcome needs an end: {id} is closed as {outcome:?} while it is alive"));
        }
        let goes_round =
            |record: &ExitRecord| record.round.as_ref().is_some_and(|round| round.end != End::Exited(0) || round.timed_out);
        let is_short = attempt.exit.as_ref().is_some_and(|record| record.missing.is_some() && !goes_round(record));
        if is_short && *outcome == Outcome::Succeeded {
            return Err(format!("what had to be kept was there: {id} succeeded without it"));
        }
        let closed =
            events.iter().position(|event| matches!(&event.change, Change::AttemptClosed { attempt, .. } if *attempt == id));
        for item in &attempt.outbox {
            if !matches!(item.body, OutboxBody::Add(_)) {
                continue;
            }
            let taken = events.iter().position(|event| match &event.change {
                Change::TaskAdded { job, origin: Some(origin), .. } => {
                    *job == id.job && origin.parent == Some(id.task) && origin.key == item.key
                }
                Change::OutboxRefused { attempt, key, .. } => *attempt == id && *key == item.key,
                _ => false,
            });
            if taken.is_none_or(|taken| Some(taken) > closed) {
                return Err(format!("outbox before outcome: `{}` of {id} was not taken in before its outcome", item.key));
            }
        }
        Ok(())
    }

    /// A runner is about to start.
    pub fn check_launch(&self, launch: &Launch) -> Result<(), String> {
        let id = launch.attempt;
        let journal = self.journal.lock().expect("one thread");
        let row = journal.rows.jobs.get(&id.job.0).and_then(|job| job.tasks.get(id.task.0 as usize));
        let open = row.is_some_and(|row| row.attempts == id.number && row.outcomes.last() == Some(&None));
        if !open {
            return Err(format!("intent before effect: {id} is started, but not open in the store"));
        }
        drop(journal);
        self.check_params(launch)?;
        for number in 1..id.number {
            let earlier = AttemptId { number, ..id };
            if self.attempts.get(&earlier).is_some_and(|attempt| attempt.is_alive() && !attempt.abandoned) {
                return Err(format!("at most one attempt is alive: {id} starts while {earlier} may live"));
            }
        }
        Ok(())
    }

    /// What starts has the parameters that were set last; one that was opened before they were, and is launched again, may
    /// have been started with those until then.
    fn check_params(&self, launch: &Launch) -> Result<(), String> {
        let journal = self.journal.lock().expect("one thread");
        let Some(job) = journal.jobs.get(&launch.attempt.job.0) else { return Ok(()) };
        let Some(set) = journal.rows.jobs.get(&launch.attempt.job.0).map(|row| &row.params) else { return Ok(()) };
        let wanted = job.spec.with_params(set).params;
        let last = |is: &dyn Fn(&Change) -> bool| journal.events.iter().rposition(|event| is(&event.change));
        let opened = last(&|change| matches!(change, Change::AttemptOpened { attempt, .. } if *attempt == launch.attempt));
        let changed = last(&|change| matches!(change, Change::ParamsSet { job, .. } if *job == launch.attempt.job));
        if launch.job.params == wanted || opened < changed {
            return Ok(());
        }
        Err(format!("what starts has the newest parameters: {} has {:?}, not {wanted:?}", launch.attempt, launch.job.params))
    }

    /// What is alive in the world.
    pub fn check_alive(&self) -> Result<(), String> {
        let journal = self.journal.lock().expect("one thread");
        let (mut by_job, mut by_pool, mut by_task) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for attempt in self.attempts.values() {
            if attempt.starts > 1 {
                return Err(format!("at most one runner for an attempt: {} was started {} times", attempt.id, attempt.starts));
            }
            // What is set aside takes no room: the others go on without it.
            if attempt.runner.is_none() || attempt.abandoned || journal.damaged.contains(&attempt.id.job.0) {
                continue;
            }
            let Some(job) = journal.jobs.get(&attempt.id.job.0) else { continue };
            let pool = job.tasks.get(attempt.id.task.0 as usize).and_then(|task| task.spec.pool.clone());
            *by_job.entry(attempt.id.job).or_insert(0u32) += 1;
            *by_pool.entry(pool.unwrap_or_else(|| job.spec.pool.clone())).or_insert(0u32) += 1;
            *by_task.entry((attempt.id.job, attempt.id.task)).or_insert(0u32) += 1;
        }
        if let Some((task, _)) = by_task.iter().find(|(_, count)| **count > 1) {
            return Err(format!("at most one attempt is alive: {task:?} has several"));
        }
        if let Some((id, count)) = by_job.iter().find(|(id, count)| **count > journal.jobs[&id.0].spec.max_parallel) {
            return Err(format!("max_parallel holds: job {id} has {count} live runners"));
        }
        for (pool, slots) in SLOTS {
            let used = by_pool.get(pool).copied().unwrap_or(0);
            if used > slots {
                return Err(format!("a pool's slots hold: {pool} has {used} live runners of {slots} slots"));
            }
        }
        Ok(())
    }

    /// Memory equals what is stored.
    pub fn check_state(&self) -> Result<(), String> {
        self.check_alive()?;
        let Some(turn) = &self.turn else { return Ok(()) };
        if turn.failing().is_some() {
            return Ok(());
        }
        let journal = self.journal.lock().expect("one thread");
        for job in turn.core().jobs() {
            let Some(row) = journal.rows.jobs.get(&job.id.0) else {
                return Err(format!("memory equals the store: {} is not stored", job.name));
            };
            if job.params != row.params {
                return Err(format!("memory equals the store: {} has the parameters {:?}", job.name, job.params));
            }
            let head = (job.state, job.paused, job.stopped, job.priority, job.counts);
            if head != (row.state, row.paused, row.stopped, row.priority, row.counts()) {
                return Err(format!("memory equals the store: {} differs", job.name));
            }
            if job.state != job.counts.job_state() {
                return Err(format!("a job's state follows from its tasks: {}", job.name));
            }
            let bare = job
                .tasks
                .iter()
                .filter(|task| task.mapped().is_none())
                .find(|task| task.state == TaskState::Completed && task.spec.result.is_some() && task.result.is_none());
            if let Some(task) = bare {
                return Err(format!("a task that has a result has it when it has completed: {}/{}", job.name, task.spec.id));
            }
            let differs = job.tasks.iter().zip(&row.tasks).find(|(task, row)| {
                task.state != row.state
                    || task.attempts != row.attempts
                    || (task.spent_retry, task.spent_infra) != (row.spent_retry, row.spent_infra)
                    || task.spent.iter().map(|(class, count)| (class.to_string(), *count)).collect::<BTreeMap<_, _>>()
                        != row.spent
                    || task.result != row.result
                    || task.gated != row.gated
                    || task.progress != row.progress
            });
            if job.tasks.len() != row.tasks.len() || differs.is_some() {
                return Err(format!("memory equals the store: {}: {differs:?}", job.name));
            }
        }
        let is_its_turn = !self.is_calm && journal.events.len().is_multiple_of(16);
        drop(journal);
        self.check_answers()?;
        self.check_room()?;
        if is_its_turn { self.check_memory(self.told.clone()) } else { Ok(()) }
    }

    /// After everything: each runner that was started has exactly one outcome, each answered submission its job.
    pub fn check_end(&self) -> Result<(), String> {
        let journal = self.journal.lock().expect("one thread");
        for attempt in self.attempts.values().filter(|attempt| attempt.starts > 0) {
            let id = attempt.id;
            let outcomes = journal
                .events
                .iter()
                .filter(|event| matches!(&event.change, Change::AttemptClosed { attempt, .. } if *attempt == id))
                .count();
            if outcomes != 1 {
                return Err(format!("every runner ends in exactly one outcome: {id} has {outcomes}"));
            }
        }
        self.graph.check_end()?;
        self.approvals.check_end()?;
        for name in &self.answered {
            if !journal.jobs.values().any(|job| job.name == *name) {
                return Err(format!("nothing that was answered is lost: {name} is gone"));
            }
        }
        Ok(())
    }
}

/// The task's state after a change, if it says so.
fn after(change: &Change, before: Option<&TaskState>) -> Option<TaskState> {
    match change {
        Change::TaskAdded { state, .. }
        | Change::TaskMoved { state, .. }
        | Change::TaskRequeued { state, .. }
        | Change::TaskEnded { state, .. }
        | Change::AttemptClosed { state, .. } => Some(state.clone()),
        Change::AttemptOpened { attempt, .. } => Some(TaskState::Starting { attempt: attempt.number }),
        Change::AttemptStarted { attempt } if matches!(before, Some(TaskState::Starting { .. })) => {
            Some(TaskState::Running { attempt: attempt.number })
        }
        _ => None,
    }
}

/// Whether the machine of DESIGN section 3 has an arrow between two states.
fn is_legal(before: &TaskState, after: &TaskState) -> bool {
    let hold = match after {
        TaskState::Held { hold } => hold.clone(),
        _ => Hold::Limit { until: Utc(0), asks: false },
    };
    let attempt = after.live_attempt().unwrap_or(0);
    if let TaskState::Delegated { job } = after
        && before.next(TaskEvent::Delegate(job.clone())).as_ref() == Ok(after)
    {
        return true;
    }
    let asked = if let TaskState::AwaitingApproval { question } = after { *question } else { 0 };
    let kill = matches!(after, TaskState::Cancelling { kill: true, .. });
    // A wait may be shortened after the clock was set back, and another end of a limit be told.
    if let (TaskState::Held { hold: from }, TaskState::Held { hold: to }) = (before, after) {
        let by_credential = |hold: &Hold| matches!(hold, Hold::Limit { .. } | Hold::Login { .. });
        let is_retry = |hold: &Hold| matches!(hold, Hold::Retry { .. });
        let is_spent = |hold: &Hold| matches!(hold, Hold::Budget { .. });
        return (is_retry(from) && is_retry(to)) || (by_credential(from) && (by_credential(to) || is_spent(to)));
    }
    [
        TaskEvent::DepsMet,
        TaskEvent::Hold(hold.clone()),
        TaskEvent::Release,
        TaskEvent::Launch { attempt },
        TaskEvent::Started,
        TaskEvent::Ask { attempt },
        TaskEvent::Answered,
        TaskEvent::Over(Verdict::Round),
        TaskEvent::Over(Verdict::Complete),
        TaskEvent::Over(Verdict::Fail),
        TaskEvent::Over(Verdict::Again(hold)),
        TaskEvent::Over(Verdict::Cancelled),
        TaskEvent::Cancel { kill },
        TaskEvent::AskApproval { question: asked },
        TaskEvent::Settled(Verdict::Complete),
        TaskEvent::Settled(Verdict::Fail),
        TaskEvent::Settled(Verdict::Cancelled),
        TaskEvent::Settled(Verdict::Skip(SkipReason::Rule)),
        TaskEvent::Reopen(Box::new(after.clone())),
        TaskEvent::Skip(SkipReason::Stopped),
        TaskEvent::Skip(SkipReason::Rule),
        TaskEvent::Skip(SkipReason::If),
        TaskEvent::UpstreamFailed,
        TaskEvent::Requeue { ready: true },
        TaskEvent::Requeue { ready: false },
        TaskEvent::Reset,
    ]
    .into_iter()
    .any(|event| before.next(event).as_ref() == Ok(after))
}
