//! One turn of the manager: inputs in, one commit, effects out. The order is the point: effects only after the commit,
//! and a failed commit leaves nothing behind in memory. The simulator runs this very code.

use std::collections::BTreeMap;

use crate::model::change::{Change, Seq};
use crate::model::core::{Core, Effect, Input, Limits, RequestId, Step};
use crate::model::decide::Decision;
use crate::model::ids::{Address, JobId, JobName, JobRef};
use crate::model::message::{Command, Refusal, RefusalCode};
use crate::model::spec::MAX_NESTING;
use crate::model::time::{Mono, Now};

use super::ports::{Store, StoreError, StoreErrorKind};

/// Longest wait before a store that failed is tried again, in milliseconds.
const MAX_STORE_WAIT_MS: u64 = 5_000;

/// The core together with its store.
pub struct Turn<S> {
    core: Core,
    store: S,
    limits: Limits,
    /// Whether there is too little room on the disk to launch anything.
    disk_low: bool,
    /// Pools whose engine cannot be reached, and why.
    unreachable: BTreeMap<String, String>,
    seed: u64,
    failing: Option<Failing>,
    /// Jobs that the store could not decode, or whose rows contradict what was to be written.
    set_aside: Vec<(JobName, String)>,
    /// Of these, the ones that it did load.
    shunned: BTreeMap<JobId, String>,
    /// Commits that failed since the last one that did not.
    strikes: u32,
}

/// The store refused a commit: memory is not to be trusted until it was read again.
struct Failing {
    error: StoreError,
    retry_at: Mono,
}

/// What a turn led to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// To be performed, in order.
    pub effects: Vec<Effect>,
    /// The newest committed event, when this turn committed any.
    pub seq: Option<Seq>,
    /// Whether a job is over since this turn: memory can let go of it.
    pub freed: bool,
    /// The store's refusal, when there is one.
    pub error: Option<StoreError>,
}

impl<S: Store> Turn<S> {
    /// Reads the store and begins. The first turn should get [`Input::Reconcile`].
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn begin(mut store: S, limits: Limits, seed: u64, now: Now) -> Result<Turn<S>, StoreError> {
        let mut loaded = store.load()?;
        let set_aside = std::mem::take(&mut loaded.quarantined);
        let core = Core::load(limits.clone(), seed, loaded, now);
        Ok(Turn {
            core,
            store,
            limits,
            disk_low: false,
            unreachable: BTreeMap::new(),
            seed,
            failing: None,
            set_aside,
            shunned: BTreeMap::new(),
            strikes: 0,
        })
    }

    /// The state of the core, for looking at.
    pub fn core(&self) -> &Core {
        &self.core
    }

    /// The store, for looking at.
    pub fn store_mut(&mut self) -> &mut S {
        &mut self.store
    }

    /// Jobs that the store could not decode, and why; they are left alone.
    pub fn set_aside(&self) -> &[(JobName, String)] {
        &self.set_aside
    }

    /// Why nothing can be committed at present.
    pub fn failing(&self) -> Option<&StoreError> {
        self.failing.as_ref().map(|failing| &failing.error)
    }

    /// Milliseconds until a timer of the core is due; none when only an input can change anything.
    pub fn next_wake(&self, now: Now) -> Option<u64> {
        if let Some(failing) = &self.failing {
            return Some(failing.retry_at.0.saturating_sub(now.mono.0));
        }
        let (utc, mono) = self.core.next_wake();
        let utc = utc.map(|at| at.since(now.utc));
        let mono = mono.map(|at| at.0.saturating_sub(now.mono.0));
        utc.into_iter().chain(mono).min()
    }

    /// Takes all inputs in, commits what they lead to as one group, and returns what to do.
    pub fn run(&mut self, inputs: Vec<Input>, now: Now) -> Outcome {
        let mut outcome = Outcome::default();
        // Told once: also while nothing can be committed, so that memory that is read again knows.
        for input in &inputs {
            match input {
                Input::Limits(limits) => self.limits = limits.clone(),
                Input::DiskLow(low) => self.disk_low = *low,
                Input::Unreachable(pools) => self.unreachable.clone_from(pools),
                _ => {}
            }
        }
        if let Err(error) = self.recover(now) {
            refuse_all(inputs, &error, &mut outcome.effects);
            outcome.error = Some(error);
            return outcome;
        }
        let mut requests = Vec::new();
        let mut trouble = None;
        for mut input in inputs {
            if let Err(error) = self.prepare_child(&mut input, now) {
                trouble = Some(error);
            }
            let Input::Command(id, mut command) = input else {
                if let Input::Intake(id, _) = &input {
                    requests.push((*id, true));
                }
                self.core.handle(input, now);
                continue;
            };
            requests.push((id, false));
            match self.prepare(&mut command, now) {
                Ok(()) => self.core.handle(Input::Command(id, command), now),
                Err(refusal) => outcome.effects.push(Effect::Reply(id, Err(refusal))),
            }
        }
        let Step { events, effects } = self.core.finish(now);
        if events.is_empty() && trouble.is_none() {
            outcome.effects.extend(effects);
            return outcome;
        }
        match trouble.map_or_else(|| self.store.commit(&events), Err) {
            Ok(seq) => {
                self.strikes = 0;
                outcome.seq = Some(seq);
                outcome.freed =
                    events.iter().any(|event| matches!(event.change, Change::JobMoved { state, .. } if state.is_terminal()));
                outcome.effects.extend(effects);
            }
            Err(error) => {
                // A manager that is told to leave leaves, and who waits since an earlier turn is answered; everything
                // else waits for the store.
                outcome.effects = effects.into_iter().filter_map(|effect| instead(effect, &requests, &error)).collect();
                for (id, intake) in requests {
                    outcome.effects.push(refused(id, intake, &error));
                }
                if let StoreErrorKind::Row(Some(job)) = error.kind {
                    // The same would fail for ever, and keep all others waiting: that job is left alone.
                    self.shunned.insert(job, error.cause.clone());
                }
                self.fail(error.clone(), now);
                outcome.error = Some(error);
            }
        }
        outcome
    }

    /// After a failed commit: what memory believed is discarded and read again. Everything alive is inspected, since
    /// reports may have been lost with it.
    fn recover(&mut self, now: Now) -> Result<(), StoreError> {
        let Some(failing) = &self.failing else { return Ok(()) };
        if now.mono < failing.retry_at {
            return Err(failing.error.clone());
        }
        match self.store.load() {
            Ok(mut loaded) => {
                self.set_aside = std::mem::take(&mut loaded.quarantined);
                loaded.jobs.retain(|job| match self.shunned.get(&job.id) {
                    Some(why) => {
                        self.set_aside.push((job.name.clone(), why.clone()));
                        false
                    }
                    None => true,
                });
                let old = std::mem::replace(&mut self.core, Core::load(self.limits.clone(), self.seed, loaded, now));
                self.core.inherit(&old);
                self.core.handle(Input::DiskLow(self.disk_low), now);
                self.core.handle(Input::Unreachable(self.unreachable.clone()), now);
                self.core.handle(Input::Reconcile, now);
                self.failing = None;
                Ok(())
            }
            Err(error) => {
                self.fail(error.clone(), now);
                Err(error)
            }
        }
    }

    /// Notes the failure; each one in a row doubles the wait.
    fn fail(&mut self, error: StoreError, now: Now) {
        let wait_ms = (100u64 << self.strikes.min(10)).min(MAX_STORE_WAIT_MS);
        self.strikes = self.strikes.saturating_add(1);
        self.failing = Some(Failing { error, retry_at: Mono(now.mono.0.saturating_add(wait_ms)) });
    }

    /// Brings what a command names into memory and fixes bare names to the newest submission.
    fn prepare(&mut self, command: &mut Command, now: Now) -> Result<(), Refusal> {
        match command {
            Command::Submit { submission, key } => {
                self.learn_key(key.as_deref())?;
                self.learn_number(&submission.job.name)
            }
            // A job that goes on again takes those with it that it is below.
            Command::Add { job, .. } => self.bring_in_line(job, now),
            Command::Requeue { targets, .. } => {
                targets.iter_mut().try_for_each(|Address { job, .. }| self.bring_in_line(job, now))
            }
            Command::Cancel { targets, .. } => targets.iter_mut().try_for_each(|Address { job, .. }| self.bring_in(job, now)),
            // The jobs of what waits for an answer live, so they are in memory.
            Command::Answer { .. } => Ok(()),
            Command::Budget { job, .. } | Command::Priority { job, .. } => self.bring_in(job, now),
            Command::Pause { job } | Command::Resume { job } => job.iter_mut().try_for_each(|job| self.bring_in(job, now)),
            Command::ScheduleSet { submission, .. } => self.learn_number(&submission.job.name),
            Command::ScheduleRun { name, key } => {
                self.learn_key(key.as_deref())?;
                self.learn_number(name)
            }
            Command::SchedulePause { .. } | Command::ScheduleRemove { .. } => Ok(()),
            Command::Stop => Ok(()),
        }
    }

    fn learn_key(&mut self, key: Option<&str>) -> Result<(), Refusal> {
        if let Some(key) = key.filter(|key| !self.core.knows_key(key))
            && let Some(job) = self.store.submitted_as(key).map_err(|e| unavailable(&e))?
        {
            self.core.learn_key(key, job);
        }
        Ok(())
    }

    fn learn_number(&mut self, name: &str) -> Result<(), Refusal> {
        if !self.core.knows_number(name) {
            let number = self.store.last_number(name).map_err(|e| unavailable(&e))?;
            self.core.learn_number(name, number);
        }
        Ok(())
    }

    /// Brings in what a task needs of which it was decided that a child job does its work: the number of that one's name, and the
    /// one that did it before.
    fn prepare_child(&mut self, input: &mut Input, now: Now) -> Result<(), StoreError> {
        let Input::Decided { job, task, decision, .. } = input else { return Ok(()) };
        let (Decision::Delegate(_), Some((name, before))) = (&*decision, self.core.child_to_be(*job, *task)) else {
            return Ok(());
        };
        let (name, before) = (name.to_owned(), before.cloned());
        if !self.core.knows_number(&name) {
            let number = self.store.last_number(&name)?;
            self.core.learn_number(&name, number);
        }
        let Some(before) = before.filter(|before| self.core.job(before).is_none()) else { return Ok(()) };
        let why = self.set_aside.iter().find(|(name, _)| *name == before).map(|(name, why)| aside(name, why));
        match self.store.load_job(&JobRef { name: before.name, number: Some(before.number) })? {
            Some(stored) if why.is_none() && !self.shunned.contains_key(&stored.id) => self.core.insert(stored, now),
            Some(stored) => {
                let why = why.unwrap_or_else(|| aside(&stored.name, "its rows contradict what was to be written"));
                *decision = Decision::Fail(format!("{}; {}", why.message, why.hint));
            }
            None => {}
        }
        Ok(())
    }

    /// A job, and of those that it is below the ones that would go on again with it.
    fn bring_in_line(&mut self, job: &mut JobRef, now: Now) -> Result<(), Refusal> {
        self.bring_in(job, now)?;
        let mut below = job.clone();
        for _ in 0..MAX_NESTING {
            let name = JobName { name: below.name.clone(), number: below.number.unwrap_or(0) };
            let over = self.core.job(&name).filter(|job| job.counts.job_state().is_terminal());
            let Some((_, parent)) = over.and_then(|job| job.parent.as_ref()) else { break };
            below = JobRef { name: parent.name.clone(), number: Some(parent.number) };
            self.bring_in(&mut below, now)?;
        }
        Ok(())
    }

    fn bring_in(&mut self, job: &mut JobRef, now: Now) -> Result<(), Refusal> {
        if job.number.is_none() {
            self.learn_number(&job.name)?;
            job.number = Some(self.core.number(&job.name)).filter(|number| *number > 0);
        }
        let Some(number) = job.number else { return Ok(()) };
        if let Some((name, why)) = self.set_aside.iter().find(|(name, _)| name.name == job.name && name.number == number) {
            return Err(aside(name, why));
        }
        if self.core.job(&JobName { name: job.name.clone(), number }).is_none()
            && let Some(stored) = self.store.load_job(job).map_err(|e| unavailable(&e))?
        {
            if let Some(why) = self.shunned.get(&stored.id) {
                return Err(aside(&stored.name, why));
            }
            self.core.insert(stored, now);
        }
        Ok(())
    }
}

fn aside(job: &JobName, why: &str) -> Refusal {
    Refusal {
        code: RefusalCode::Unavailable,
        message: format!("{job} is set aside, since the database holds something undecodable ({why})"),
        hint: "`airx stop`, then `airx doctor --repair` mends it".to_owned(),
    }
}

/// What is done of an effect whose commit failed.
fn instead(effect: Effect, requests: &[(RequestId, bool)], error: &StoreError) -> Option<Effect> {
    match effect {
        Effect::Leave => Some(Effect::Leave),
        Effect::Took(id, _) if !requests.contains(&(id, true)) => Some(refused(id, true, error)),
        _ => None,
    }
}

fn refuse_all(inputs: Vec<Input>, error: &StoreError, effects: &mut Vec<Effect>) {
    for input in inputs {
        match input {
            Input::Command(id, Command::Stop) => {
                effects.push(Effect::Reply(id, Ok(crate::model::message::Done::Stopping)));
                effects.push(Effect::Leave);
            }
            Input::Command(id, _) => effects.push(refused(id, false, error)),
            Input::Intake(id, _) => effects.push(refused(id, true, error)),
            // Reports come again with the inspection that follows the next successful read.
            _ => {}
        }
    }
}

fn refused(id: RequestId, intake: bool, error: &StoreError) -> Effect {
    if intake { Effect::Took(id, Err(unavailable(error))) } else { Effect::Reply(id, Err(unavailable(error))) }
}

fn unavailable(error: &StoreError) -> Refusal {
    let hint = match error.kind {
        StoreErrorKind::Full => "free some disk space; nothing is lost, and airx goes on by itself".to_owned(),
        _ => error.hint.clone(),
    };
    Refusal { code: RefusalCode::Unavailable, message: format!("nothing was changed: {}: {}", error.what, error.cause), hint }
}
