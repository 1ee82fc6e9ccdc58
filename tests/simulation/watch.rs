//! The rules about Claude runs, looked at by a fold of its own over what is committed.

use std::collections::{BTreeMap, BTreeSet};

use airx::model::change::{AttemptFacts, Change, Event};
use airx::model::core::{ClaudeLimits, Core, Limits};
use airx::model::credential::{self, Credential, CredentialHold, CredentialState};
use airx::model::ids::{AttemptId, JobId, TaskIdx};
use airx::model::question::{Answer, OF_APPROVAL};
use airx::model::spec::{Action, TaskSpec, WhenLimited};
use airx::model::state::{Outcome, TaskState};
use airx::model::time::Utc;

use crate::sim::{Plant, Sim};
use crate::store::{Journal, SimStore};

/// Claude runs at once, over both pools.
pub const MAX_RUNS: u32 = 3;

/// What is committed about Claude runs so far.
#[derive(Debug, Default)]
pub struct Watch {
    credentials: BTreeMap<Credential, CredentialState>,
    /// Who tries whether a hold is over.
    probes: BTreeMap<Credential, (CredentialHold, AttemptId)>,
    /// Attempts that may be alive, with what they seem to have used.
    open: BTreeMap<AttemptId, Open>,
    /// Whose session it is.
    sessions: BTreeMap<String, (JobId, TaskIdx)>,
    /// Sessions of attempts that nobody waits for any more.
    given_up: BTreeSet<String>,
    used: BTreeMap<JobId, u64>,
    used_by_task: BTreeMap<(JobId, TaskIdx), u64>,
    budgets: BTreeMap<JobId, Option<u64>>,
    spending: Vec<(Utc, u64)>,
    asked: BTreeMap<u32, (AttemptId, String)>,
    keys: BTreeSet<(AttemptId, String)>,
    pub answers: BTreeMap<(AttemptId, String), Answer>,
    /// Pools whose engine the core knows to be gone.
    pub gone: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Open {
    session: Option<String>,
    is_claude: bool,
    seen: u64,
}

impl Watch {
    /// Takes in what was committed under these limits.
    pub fn take(&mut self, event: &Event, journal: &Journal, limits: &ClaudeLimits) -> Result<(), String> {
        match &event.change {
            Change::JobSubmitted { job, spec, .. } => {
                self.budgets.insert(*job, spec.budget.and_then(|budget| budget.microusd));
            }
            Change::BudgetSet { job, budget } => {
                self.budgets.insert(*job, budget.and_then(|budget| budget.microusd));
            }
            Change::TaskRequeued { job, task, .. } => drop(self.used_by_task.remove(&(*job, *task))),
            Change::TaskExpanded { job, task, .. } => {
                let rows = &journal.rows.jobs[&job.0].tasks;
                let is_of =
                    |place: u32| rows.get(place as usize).and_then(|row| row.instance).is_some_and(|(of, _)| of == task.0);
                self.used_by_task.retain(|(of, place), _| of != job || !is_of(place.0));
            }
            Change::CredentialMoved { credential, state } => {
                self.credentials.insert(credential.clone(), state.as_ref().clone());
            }
            Change::AttemptOpened { attempt, session, resumes, .. } => {
                self.opens(*attempt, session.as_deref(), *resumes, event.at, journal, limits)?;
            }
            Change::RunSeen { attempt, facts } => {
                if let Some(open) = self.open.get_mut(attempt) {
                    open.seen = facts.spent.cost_microusd;
                }
            }
            // Approvals have rules of their own.
            Change::QuestionAsked { attempt, id, question, .. } if attempt.number != OF_APPROVAL => {
                if !self.keys.insert((*attempt, question.key.clone())) {
                    return Err(format!("a question is asked once: {attempt} asked {} again", question.key));
                }
                self.asked.insert(*id, (*attempt, question.key.clone()));
            }
            Change::QuestionAnswered { attempt, id, answer, .. } if attempt.number != OF_APPROVAL => {
                let Some(of) = self.asked.remove(id) else { return Err(format!("a question is settled once: {id} again")) };
                self.answers.extend(answer.as_ref().map(|answer| (of, answer.as_ref().clone())));
            }
            Change::AttemptClosed { attempt, outcome, facts, state } => {
                self.closes(*attempt, outcome, facts, state, event.at, journal)?
            }
            _ => {}
        }
        Ok(())
    }

    fn opens(
        &mut self,
        attempt: AttemptId,
        session: Option<&str>,
        resumes: bool,
        at: Utc,
        journal: &Journal,
        limits: &ClaudeLimits,
    ) -> Result<(), String> {
        let task = spec(journal, attempt);
        let name = task.and_then(|task| credential::of(&journal.jobs[&attempt.job.0].spec, task, &limits.auth));
        let Some((task, name)) = task.zip(name) else {
            self.open.insert(attempt, Open::default());
            return Ok(());
        };
        self.may_start(attempt, &name, at, journal, limits)?;
        self.has_money(attempt, task, at, journal, limits)?;
        let runs = self.open.iter().filter(|(id, open)| open.is_claude && !journal.damaged.contains(&id.job.0)).count();
        if runs >= MAX_RUNS as usize {
            return Err(format!("claude.max_parallel holds: {attempt} starts beside {runs} runs"));
        }
        let Some(session) = session else { return Err(format!("a Claude run has a session: {attempt} has none")) };
        let place = (attempt.job, attempt.task);
        let known = self.sessions.insert(session.to_owned(), place);
        if known.is_some_and(|known| known != place) || known.is_some() != resumes {
            return Err(format!("a session belongs to its task: {attempt} takes one of {known:?} (resumes: {resumes})"));
        }
        let is_taken = self.open.values().any(|open| open.session.as_deref() == Some(session));
        if is_taken || self.given_up.contains(session) {
            return Err(format!("a session is used by one attempt at a time: that of {attempt} may be in use"));
        }
        self.open.insert(attempt, Open { session: Some(session.to_owned()), is_claude: true, seen: 0 });
        Ok(())
    }

    fn may_start(
        &mut self,
        attempt: AttemptId,
        name: &Credential,
        at: Utc,
        journal: &Journal,
        limits: &ClaudeLimits,
    ) -> Result<(), String> {
        if limits.quiet_until.is_some_and(|until| until > at) {
            return Err(format!("nothing starts in quiet hours: {attempt} does"));
        }
        let Some(hold) = self.credentials.get(name).and_then(|state| state.hold.clone()) else { return Ok(()) };
        if hold.due() > at {
            return Err(format!("no run starts while its credential is held: {attempt} at {at:?} under {hold:?}"));
        }
        let before = self.probes.insert(name.clone(), (hold.clone(), attempt));
        // One whose job is set aside, or whose engine is gone, tells nobody anything.
        let is_gone = |probe: &AttemptId| {
            spec(journal, *probe).and_then(|task| task.pool.as_ref()).is_some_and(|pool| self.gone.contains(pool))
        };
        let tells =
            |probe: &AttemptId| self.open.contains_key(probe) && !journal.damaged.contains(&probe.job.0) && !is_gone(probe);
        match before.filter(|(of, probe)| *of == hold && tells(probe)) {
            Some((_, probe)) => Err(format!("one run tries at a time: {attempt} starts beside {probe}")),
            None => Ok(()),
        }
    }

    fn has_money(
        &self,
        attempt: AttemptId,
        task: &TaskSpec,
        at: Utc,
        journal: &Journal,
        limits: &ClaudeLimits,
    ) -> Result<(), String> {
        let of = |id: &AttemptId| id.job == attempt.job;
        let seen = |mine: bool| -> u64 {
            let open = self.open.iter().filter(|(id, _)| !journal.damaged.contains(&id.job.0) && (!mine || of(id)));
            open.map(|(_, open)| open.seen).sum()
        };
        let used = self.used.get(&attempt.job).copied().unwrap_or(0) + seen(true);
        if self.budgets.get(&attempt.job).copied().flatten().is_some_and(|most| used >= most) {
            return Err(format!("no run starts while a budget is spent: {attempt}, its job used {used}"));
        }
        self.has_money_above(attempt, journal)?;
        let own = self.used_by_task.get(&(attempt.job, attempt.task)).copied().unwrap_or(0);
        if task.budget.and_then(|budget| budget.microusd).is_some_and(|most| own >= most) {
            return Err(format!("no run starts while a budget is spent: {attempt}, its task used {own}"));
        }
        let Some(day) = limits.day.filter(|day| at < day.ends) else { return Ok(()) };
        let today: u64 = self.spending.iter().filter(|(at, _)| (day.begins..day.ends).contains(at)).map(|(_, used)| used).sum();
        if day.budget.is_spent(today + seen(false), 0) {
            return Err(format!("no run starts while a budget is spent: {attempt}, today used {today}"));
        }
        Ok(())
    }

    /// What is below a job counts for its budget.
    fn has_money_above(&self, attempt: AttemptId, journal: &Journal) -> Result<(), String> {
        let above = |id: &JobId| journal.jobs.get(&id.0)?.parent.as_ref().map(|(parent, _)| parent.job);
        let line = |id: JobId| std::iter::successors(Some(id), above).collect::<Vec<_>>();
        if line(attempt.job).iter().any(|id| journal.damaged.contains(&id.0)) {
            return Ok(());
        }
        for of in line(attempt.job).into_iter().skip(1) {
            let Some(most) = self.budgets.get(&of).copied().flatten() else { continue };
            let over: u64 = self.used.iter().filter(|(id, _)| line(**id).contains(&of)).map(|(_, used)| used).sum();
            let open = self.open.iter().filter(|(id, _)| line(id.job).contains(&of) && !journal.damaged.contains(&id.job.0));
            let used = over + open.map(|(_, open)| open.seen).sum::<u64>();
            if used >= most {
                return Err(format!("no run starts while a budget above it is spent: {attempt}, below job {of} {used} are used"));
            }
        }
        Ok(())
    }

    fn closes(
        &mut self,
        attempt: AttemptId,
        outcome: &Outcome,
        facts: &AttemptFacts,
        state: &TaskState,
        at: Utc,
        journal: &Journal,
    ) -> Result<(), String> {
        let cost = facts.claude.as_ref().map_or(0, |claude| claude.cost_microusd);
        *self.used.entry(attempt.job).or_default() += cost;
        let own = self.used_by_task.entry((attempt.job, attempt.task)).or_default();
        *own += cost;
        self.spending.push((at, cost));
        let open = self.open.remove(&attempt).unwrap_or_default();
        if facts.notes.iter().any(|note| note.starts_with("abandoned")) {
            self.given_up.extend(open.session);
        }
        if let Some((id, _)) = self.asked.iter().find(|(_, (of, _))| *of == attempt) {
            return Err(format!("no question waits for what is over: {id} of {attempt}"));
        }
        let Some(task) = spec(journal, attempt) else { return Ok(()) };
        let is_spent = task.budget.and_then(|budget| budget.microusd).is_some_and(|most| *own >= most);
        let fails = match (outcome, &task.action) {
            (Outcome::Limited { .. }, Action::Claude(claude)) => claude.when_limited == Some(WhenLimited::Fail),
            (Outcome::Auth, _) => false,
            _ => return Ok(()),
        };
        let stopped = journal.rows.jobs.get(&attempt.job.0).is_some_and(|job| job.stopped);
        if *state == TaskState::Failed && !(fails || stopped || is_spent) {
            return Err(format!("a limit spends nothing: {attempt} failed by {outcome:?}"));
        }
        Ok(())
    }
}

fn spec(journal: &Journal, attempt: AttemptId) -> Option<&TaskSpec> {
    journal.jobs.get(&attempt.job.0)?.tasks.get(attempt.task.0 as usize).map(|task| task.spec.as_ref())
}

impl Sim {
    /// Memory is what it would be if it were read again.
    pub fn check_memory(&self, limits: Limits) -> Result<(), String> {
        use airx::manager::ports::Store;
        let Some(turn) = &self.turn else { return Ok(()) };
        let journal = self.journal.lock().expect("one thread");
        // What is used below a job that is set aside is known to those above it once it is back.
        if journal.damaged.iter().any(|id| journal.jobs.get(id).is_some_and(|job| job.parent.is_some())) {
            return Ok(());
        }
        drop(journal);
        let loaded = SimStore(self.journal.clone()).load().map_err(|error| error.to_string())?;
        let (mut now, mut then) = (turn.core().memory(), Core::load(limits, 42, loaded, self.now()).memory());
        // Jobs that are over are not read; those that are set aside are not in memory.
        now.jobs.retain(|id, _| then.jobs.contains_key(id));
        then.jobs.retain(|id, _| now.jobs.contains_key(id));
        for (id, job) in &now.jobs {
            if then.jobs.get(id) != Some(job) {
                return Err(format!("memory is the same after a reload: job {id} is {job:?}, would be {:?}", then.jobs.get(id)));
            }
        }
        if now != then {
            return Err(format!("memory is the same after a reload: {now:?}, would be {then:?}"));
        }
        Ok(())
    }

    /// What runners got as answers is what was recorded.
    pub fn check_answers(&self) -> Result<(), String> {
        for attempt in self.attempts.values() {
            for (key, answer) in &attempt.inbox {
                let recorded = self.watch.answers.get(&(attempt.id, key.clone()));
                if recorded != Some(answer) && self.plant == Plant::None {
                    return Err(format!("an answer is what was recorded: {} got {answer:?}, not {recorded:?}", attempt.id));
                }
            }
        }
        Ok(())
    }
}
