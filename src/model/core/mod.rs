//! The manager's mind: all jobs that are not over, and what to do about everything that happens to them.
//!
//! [`Core::handle`] takes one input after the other, [`Core::finish`] hands out what they led to: events to commit, then
//! effects to perform. Memory moves only by `Core::apply` of the very changes that are committed.

mod apply;
mod approvals;
mod budget;
mod cancel;
mod commands;
mod credentials;
mod deciding;
mod fair;
mod flows;
mod io;
mod job;
mod launching;
mod limits;
mod mapping;
mod memory;
mod outbox;
mod questions;
mod reach;
mod ready;
mod reports;
mod requeue;
mod retry;
mod rules;
mod schedule;
mod schedules;
mod session;
mod settle;
mod submit;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};

pub use approvals::default_of;
pub use budget::Spending;
pub use io::{Effect, Input, Launch, RequestId, Seen, SeenResult, Step};
pub use job::{Instance, Job, Task};
pub use limits::{ClaudeLimits, DayBudget, Limits};
pub use memory::{JobMemory, Memory};
pub use outbox::Taken;
pub use questions::{Asked, OpenQuestion, default_answer};
pub use schedules::Schedule;
pub use session::{PastEnd, PastSession};

use super::change::{Change, Event};
use super::credential::{Credential, CredentialState};
use super::ids::{AttemptId, JobId, JobName, TaskIdx};
use super::live::LiveFacts;
use super::state::BudgetOf;
use super::stored::{Loaded, StoredJob};
use super::time::{Mono, Now, Utc};

/// After a runner's own deadline and grace the manager waits this long before it kills: the runner itself may be stopped.
pub const BACKSTOP_MS: u64 = 30_000;
/// Generations of tasks that tasks queue.
pub const MAX_DEPTH: u32 = 10;
/// Tasks that one task may queue.
pub const MAX_ADDED_BY_TASK: u32 = 10_000;

/// An attempt that may be alive, beyond what is stored.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Live {
    /// When the manager should insist by itself.
    pub kill_at: Option<Mono>,
    /// Whether the backend has confirmed it to this manager.
    pub confirmed: bool,
    /// Inspections in a row that found no trace of it.
    missing: u32,
    /// Inspections that are not answered yet.
    inspected: u32,
    /// Of these, those that were asked before the launch: their answers say nothing about it.
    stale: u32,
    /// What became of its outbox, by order number.
    taken: BTreeMap<u32, Taken>,
    /// Requests that wait for the next look into the outbox.
    waiting: Vec<RequestId>,
    /// Its questions to a person.
    pub asked: Asked,
    /// How far it is, for a Claude run.
    pub facts: Option<LiveFacts>,
    /// Whose budget it was told is spent, if it was.
    told_budget: Option<BudgetOf>,
    /// What was taken in of how far its launch is.
    launch: launching::Told,
}

/// All jobs that are not over, and what was decided but not yet handed out.
#[derive(Debug, Clone)]
pub struct Core {
    limits: Limits,
    seed: u64,
    jobs: BTreeMap<JobId, Job>,
    by_name: HashMap<JobName, JobId>,
    /// Highest submission number by name, as far as known.
    numbers: HashMap<String, u32>,
    /// Submissions by idempotency key, as far as known.
    keys: HashMap<String, JobName>,
    last_job: u32,
    paused: bool,
    disk_low: bool,
    /// Pools whose engine cannot be reached, and why.
    unreachable: BTreeMap<String, String>,
    leaving: bool,
    live: BTreeMap<AttemptId, Live>,
    /// Attempts that a person gave up waiting for, until their end is told after all: their jobs stay in memory.
    unproven: BTreeSet<AttemptId>,
    timers: BTreeSet<(Utc, JobId, TaskIdx)>,
    credentials: BTreeMap<Credential, CredentialState>,
    /// When credentials that are held may be tried.
    dues: BTreeSet<(Utc, Credential)>,
    /// Tasks held for a credential.
    waiting: BTreeMap<Credential, BTreeSet<(JobId, TaskIdx)>>,
    /// Tasks held because their job's budget is spent.
    over_budget: BTreeMap<JobId, BTreeSet<TaskIdx>>,
    /// Whose attempt asked a question that waits.
    questions: BTreeMap<u32, AttemptId>,
    /// When questions are answered by themselves.
    expiries: BTreeSet<(Utc, u32)>,
    /// Of those that wait the ones of approvals, and when they are answered by themselves.
    approvals: BTreeMap<u32, Option<Utc>>,
    last_question: u32,
    spending: Spending,
    schedules: BTreeMap<String, Schedule>,
    /// When schedules are due.
    schedule_dues: BTreeSet<(Utc, String)>,
    /// Schedules with a time that waits for a job's end.
    schedule_waits: BTreeSet<String>,
    watch: schedules::Watch,
    ready_jobs: BTreeSet<JobId>,
    /// Tasks about which the shell was asked, and under which number.
    deciding: HashMap<(JobId, TaskIdx), u64>,
    last_decision: u64,
    /// Counts openings: whose turn it is follows from it.
    turns: u64,
    touched: BTreeSet<JobId>,
    events: Vec<Event>,
    effects: Vec<Effect>,
}

impl Core {
    /// An empty core. `seed` belongs to the home and stays the same: it spreads retries and names Claude sessions, so that an
    /// attempt that is launched again after a crash gets the session that was recorded for it.
    pub fn new(limits: Limits, seed: u64) -> Core {
        Core {
            limits,
            seed,
            jobs: BTreeMap::new(),
            by_name: HashMap::new(),
            numbers: HashMap::new(),
            keys: HashMap::new(),
            last_job: 0,
            paused: false,
            disk_low: false,
            unreachable: BTreeMap::new(),
            leaving: false,
            live: BTreeMap::new(),
            unproven: BTreeSet::new(),
            timers: BTreeSet::new(),
            credentials: BTreeMap::new(),
            dues: BTreeSet::new(),
            waiting: BTreeMap::new(),
            over_budget: BTreeMap::new(),
            questions: BTreeMap::new(),
            expiries: BTreeSet::new(),
            approvals: BTreeMap::new(),
            last_question: 0,
            spending: Spending::default(),
            schedules: BTreeMap::new(),
            schedule_dues: BTreeSet::new(),
            schedule_waits: BTreeSet::new(),
            watch: schedules::Watch::default(),
            ready_jobs: BTreeSet::new(),
            deciding: HashMap::new(),
            last_decision: 0,
            turns: 0,
            touched: BTreeSet::new(),
            events: Vec::new(),
            effects: Vec::new(),
        }
    }

    /// A core with what the store holds. Everything that may be alive has to be inspected: send [`Input::Reconcile`].
    pub fn load(limits: Limits, seed: u64, loaded: Loaded, now: Now) -> Core {
        let mut core = Core::new(limits, seed);
        core.paused = loaded.paused;
        core.last_job = loaded.last_job;
        core.last_question = loaded.last_question;
        for (name, state) in &loaded.credentials {
            core.apply_credential(name, state);
        }
        for (at, microusd, tokens) in loaded.spending {
            core.spending.add(at, microusd, tokens);
        }
        core.load_schedules(loaded.schedules, now);
        for job in loaded.jobs {
            core.insert(job, now);
        }
        core
    }

    /// Takes over from the core that this one replaces within the same manager what is still under way at the backends:
    /// answers to inspections that the old one asked for may be older than launches that it asked for after them, and tasks
    /// may wait for a look into their outbox. What the old one had taken from there is taken again.
    pub fn inherit(&mut self, old: &Core) {
        self.unproven.clone_from(&old.unproven);
        self.inherit_watch(old);
        for (attempt, live) in &mut self.live {
            if let Some(before) = old.live.get(attempt) {
                live.inspected = before.inspected;
                live.stale = before.inspected;
                live.waiting.clone_from(&before.waiting);
                live.launch.clone_from(&before.launch);
                self.effects.push(Effect::Intake(*attempt));
            }
        }
    }

    /// Brings a stored job into memory; one that is there already is left alone.
    pub fn insert(&mut self, stored: StoredJob, now: Now) {
        if self.jobs.contains_key(&stored.id) {
            return;
        }
        let id = stored.id;
        let mut job = Job::from_stored(stored);
        job.turns.since = self.line();
        self.by_name.insert(job.name.clone(), id);
        self.jobs.insert(id, job);
        self.last_job = self.last_job.max(id.0);
        self.index_job(id, now);
    }

    /// Takes in one input. Its effects come with [`Core::finish`].
    pub fn handle(&mut self, input: Input, now: Now) {
        match input {
            Input::Command(request, command) => {
                let answer = self.command(command, now);
                self.effects.push(Effect::Reply(request, answer));
            }
            Input::Intake(request, attempt) => self.intake(request, attempt),
            Input::Report(report) => self.report(report, now),
            Input::Decided { job, task, ticket, decision } => self.decided(job, task, ticket, decision, now),
            Input::SecretsReady(job, task) => self.release(job, task, now),
            Input::SecretMissing { attempt, what } => self.secret_missing(attempt, what, now),
            Input::Tick => self.tick(now),
            Input::Reconcile => {
                self.tick(now);
                self.clamp_waits(now);
                self.clamp_questions(now);
                self.clamp_credentials(now);
                let live: Vec<AttemptId> = self.live.keys().copied().collect();
                self.live.values_mut().for_each(|live| live.inspected += 1);
                self.expect_few_answers();
                // Also when none lives: what a backend has beyond that is to be cleared away.
                self.effects.push(Effect::Inspect(live));
                self.check_held_secrets(now);
                self.ask_again(now);
                self.evict();
            }
            Input::Evict => self.evict(),
            Input::DiskLow(low) => self.disk_low = low,
            Input::Unreachable(pools) => self.lose_sight(pools),
            Input::Limits(limits) => self.relimit(limits, now),
        }
    }

    /// Ends a turn: derives job states, starts what has room, and hands out everything decided since the last call.
    pub fn finish(&mut self, now: Now) -> Step {
        self.fire_schedules(now);
        loop {
            self.schedule(now);
            let over = self.move_jobs(now);
            // The end of a child is that of its parent's task, and what follows from that belongs to this turn.
            if !self.settle_parents(over, now) {
                break;
            }
            self.fire_schedules(now);
        }
        Step { events: std::mem::take(&mut self.events), effects: std::mem::take(&mut self.effects) }
    }

    /// When the next timer is due, on the wall clock, and the next backstop, on the monotonic one.
    pub fn next_wake(&self) -> (Option<Utc>, Option<Mono>) {
        let timers = [
            self.timers.first().map(|t| t.0),
            self.dues.first().map(|t| t.0),
            self.expiries.first().map(|t| t.0),
            self.schedule_dues.first().map(|t| t.0).filter(|_| !self.leaving),
        ];
        (timers.into_iter().flatten().min(), self.live.values().filter_map(|l| l.kill_at).min())
    }

    /// The job of this name, when it is in memory.
    pub fn job(&self, name: &JobName) -> Option<&Job> {
        self.by_name.get(name).and_then(|id| self.jobs.get(id))
    }

    /// All jobs in memory.
    pub fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.jobs.values()
    }

    /// Attempts that may be alive.
    pub fn live(&self) -> &BTreeMap<AttemptId, Live> {
        &self.live
    }

    /// The job of an attempt that may be alive.
    pub fn job_of_live(&self, attempt: AttemptId) -> Option<&Job> {
        self.live.get(&attempt).and_then(|_| self.jobs.get(&attempt.job))
    }

    /// The names of an attempt's job and task, when the job is in memory.
    pub fn names(&self, attempt: AttemptId) -> Option<(String, String)> {
        let job = self.jobs.get(&attempt.job)?;
        Some((job.name.to_string(), job.get(attempt.task)?.id.to_string()))
    }

    /// Whether the highest submission number of this name is known.
    pub fn knows_number(&self, name: &str) -> bool {
        self.numbers.contains_key(name)
    }

    /// Tells the highest submission number of a name, from the store.
    pub fn learn_number(&mut self, name: &str, number: u32) {
        let known = self.numbers.entry(name.to_owned()).or_insert(0);
        *known = (*known).max(number);
    }

    /// The highest submission number of this name, 0 when there is none or it is not known.
    pub fn number(&self, name: &str) -> u32 {
        self.numbers.get(name).copied().unwrap_or(0)
    }

    /// Whether this submission key was seen since the start.
    pub fn knows_key(&self, key: &str) -> bool {
        self.keys.contains_key(key)
    }

    /// Tells under which name a submission key was used, from the store.
    pub fn learn_key(&mut self, key: &str, job: JobName) {
        self.keys.insert(key.to_owned(), job);
    }

    /// Decides a change: memory moves at once, the event waits for the commit.
    fn emit(&mut self, change: Change, now: Now) {
        self.apply(&change, now);
        self.events.push(Event { at: now.utc, change });
    }

    fn task(&self, job: JobId, task: TaskIdx) -> Option<&Task> {
        self.jobs.get(&job)?.tasks.get(task.0 as usize)
    }

    /// Derived job states follow what happened to their tasks. Tells which of those that have a parent are over.
    fn move_jobs(&mut self, now: Now) -> Vec<JobId> {
        let mut over = Vec::new();
        for id in std::mem::take(&mut self.touched) {
            let Some(job) = self.jobs.get(&id) else { continue };
            let state = job.counts.job_state();
            if state != job.state {
                self.emit(Change::JobMoved { job: id, state }, now);
            }
            if state.is_terminal() && self.jobs.get(&id).is_some_and(|job| job.parent.is_some()) {
                over.push(id);
            }
        }
        self.touched.clear();
        over
    }

    /// Jobs that are over leave memory; commands that name them bring them back.
    fn evict(&mut self) {
        let unproven: BTreeSet<JobId> = self.unproven.iter().map(|attempt| attempt.job).collect();
        let over: Vec<JobId> = self
            .jobs
            .values()
            .filter(|job| job.state.is_terminal() && job.counts.job_state() == job.state && !self.touched.contains(&job.id))
            .filter(|job| !unproven.contains(&job.id))
            .map(|job| job.id)
            .collect();
        if over.is_empty() {
            return;
        }
        for id in over {
            if let Some(job) = self.jobs.remove(&id) {
                self.by_name.remove(&job.name);
            }
        }
        // The store knows the keys and numbers of what has left; memory must not grow with every job there ever was.
        let (by_name, jobs) = (&self.by_name, &self.jobs);
        self.keys.retain(|_, job| by_name.contains_key(job));
        let names: std::collections::HashSet<&str> = jobs.values().map(|job| job.name.name.as_str()).collect();
        self.numbers.retain(|name, _| names.contains(name.as_str()) || self.schedules.contains_key(name));
    }
}
