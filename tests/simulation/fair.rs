//! Priorities and fairness, looked at by a fold of its own over what is committed: whenever an attempt is opened, nobody who
//! should have gone before could have.

use std::collections::BTreeMap;
use std::sync::Arc;

use airx::model::change::{Change, Event, mapped_state};
use airx::model::core::Limits;
use airx::model::ids::{AttemptId, JobId, TaskIdx};
use airx::model::spec::{Action, TaskSpec};
use airx::model::state::{SkipReason, TaskState};

use crate::store::Journal;

/// What is committed so far, as far as it says who may start.
#[derive(Debug, Default)]
pub struct Fair {
    jobs: BTreeMap<JobId, Job>,
    /// What these storms tried, to be counted.
    pub tried: BTreeMap<&'static str, u32>,
}

#[derive(Debug)]
struct Job {
    pool: String,
    priority: i32,
    max_parallel: usize,
    /// Whether a person paused it.
    paused: bool,
    /// The job that it is a child of.
    parent: Option<JobId>,
    tasks: Vec<Task>,
}

#[derive(Debug)]
struct Task {
    pool: String,
    is_claude: bool,
    priority: i32,
    state: TaskState,
    /// Whether it may start for certain once it is queued: nothing of it is to be decided, and no mapping bounds it.
    is_certain: bool,
    /// Of an instance: its mapped task, and its place.
    instance: Option<(TaskIdx, usize)>,
    /// Its definition.
    spec: Arc<TaskSpec>,
}

impl Job {
    fn task(&self, spec: &Arc<TaskSpec>, state: &TaskState) -> Task {
        Task {
            is_certain: spec.when.is_none() && spec.each.is_none() && spec.child().is_none() && !is_approval(spec),
            instance: None,
            spec: spec.clone(),
            pool: spec.pool.clone().unwrap_or_else(|| self.pool.clone()),
            is_claude: matches!(spec.action, Action::Claude(_)),
            priority: spec.priority,
            state: state.clone(),
        }
    }

    /// A mapped task's list is known.
    fn expand(&mut self, parent: TaskIdx, items: usize) {
        let of = |task: &&mut Task| task.instance.is_some_and(|(of, _)| of == parent);
        let mut known = 0;
        for task in self.tasks.iter_mut().filter(of) {
            let is_of_list = task.instance.is_some_and(|(_, place)| place < items);
            task.state = if is_of_list { TaskState::Queued } else { TaskState::Skipped { why: SkipReason::Gone } };
            known += 1;
        }
        let Some(spec) = self.tasks.get(parent.0 as usize).map(|task| task.spec.clone()) else { return };
        for place in known..items {
            let is_certain = spec.each.as_ref().is_none_or(|each| each.max_parallel.is_none())
                && spec.child().is_none()
                && !is_approval(&spec);
            let new = Task { is_certain, instance: Some((parent, place)), ..self.task(&spec, &TaskState::Queued) };
            self.tasks.push(new);
        }
    }

    fn live(&self, counts: impl Fn(&Task) -> bool) -> usize {
        self.tasks.iter().filter(|task| task.state.live_attempt().is_some() && counts(task)).count()
    }

    fn in_pool(&self, pool: &str) -> usize {
        self.live(|task| task.pool == pool)
    }

    fn runs(&self) -> usize {
        self.live(|task| task.is_claude)
    }

    fn may_start(&self) -> bool {
        self.live(|_| true) < self.max_parallel
    }

    fn has_ready(&self, is_claude: bool, is_open: impl Fn(&str) -> bool) -> bool {
        let mut certain = self.tasks.iter().filter(|task| task.is_certain);
        certain.any(|task| task.state == TaskState::Queued && task.is_claude == is_claude && is_open(&task.pool))
    }
}

impl Fair {
    /// Takes in what was committed under these limits, while the engines of these pools were gone.
    pub fn take(
        &mut self,
        event: &Event,
        journal: &Journal,
        limits: &Limits,
        gone: &BTreeMap<String, String>,
    ) -> Result<(), String> {
        match &event.change {
            Change::JobSubmitted { job, spec, parent, .. } => {
                let new = Job {
                    pool: spec.pool.clone(),
                    priority: spec.priority,
                    max_parallel: spec.max_parallel as usize,
                    paused: false,
                    parent: parent.map(|parent| parent.job),
                    tasks: Vec::new(),
                };
                self.jobs.insert(*job, new);
            }
            Change::TaskAdded { job, spec, state, .. } => {
                if let Some(job) = self.jobs.get_mut(job) {
                    let task = job.task(spec, state);
                    job.tasks.push(task);
                }
            }
            Change::TaskExpanded { job, task, items } => {
                self.job(*job, |job| job.expand(*task, items.len()));
                let state = mapped_state(items);
                self.go(AttemptId { job: *job, task: *task, number: 0 }, &state);
            }
            Change::TaskEnded { job, task, state, .. } => self.go(AttemptId { job: *job, task: *task, number: 0 }, state),
            Change::PrioritySet { job, priority } => self.job(*job, |job| job.priority = *priority),
            Change::JobPaused { job, paused } => self.job(*job, |job| job.paused = *paused),
            Change::TaskMoved { job, task, state } | Change::TaskRequeued { job, task, state, .. } => {
                if *state == TaskState::Pending {
                    self.job(*job, |job| job.expand(*task, 0));
                }
                self.go(AttemptId { job: *job, task: *task, number: 0 }, state);
            }
            Change::AttemptOpened { attempt, .. } => {
                self.check(*attempt, journal, limits, gone)?;
                self.go(*attempt, &TaskState::Starting { attempt: attempt.number });
            }
            Change::AttemptClosed { attempt, state, .. } => self.go(*attempt, state),
            _ => {}
        }
        Ok(())
    }

    fn job(&mut self, job: JobId, change: impl FnOnce(&mut Job)) {
        if let Some(job) = self.jobs.get_mut(&job) {
            change(job);
        }
    }

    fn go(&mut self, attempt: AttemptId, state: &TaskState) {
        let task = self.jobs.get_mut(&attempt.job).and_then(|job| job.tasks.get_mut(attempt.task.0 as usize));
        if let Some(task) = task {
            task.state = state.clone();
        }
    }

    fn check(
        &mut self,
        attempt: AttemptId,
        journal: &Journal,
        limits: &Limits,
        gone: &BTreeMap<String, String>,
    ) -> Result<(), String> {
        // What is set aside is nobody's rival, and whether it still takes room is told only later.
        let is_whole = journal.damaged.is_empty();
        // A pause is one of all that is below.
        let is_paused = |job: &Job| std::iter::successors(Some(job), |job| self.jobs.get(&job.parent?)).any(|job| job.paused);
        let may_start = |job: &Job| job.may_start() && !is_paused(job);
        let rivals = || self.jobs.iter().filter(|(id, job)| **id != attempt.job && is_whole && may_start(job));
        let Some(job) = self.jobs.get(&attempt.job) else { return Ok(()) };
        if is_paused(job) && is_whole {
            return Err(format!("nothing starts in a paused job, or below one: {attempt} does"));
        }
        let Some(task) = job.tasks.get(attempt.task.0 as usize) else { return Ok(()) };
        let pool = task.pool.as_str();
        let runs: usize = self.jobs.values().map(Job::runs).sum();
        let most = limits.claude.max_parallel.map_or(usize::MAX, |most| most as usize);
        let is_open = |name: &str| {
            let used: usize = self.jobs.values().map(|job| job.in_pool(name)).sum();
            !gone.contains_key(name) && used < limits.slots.get(name).map_or(0, |slots| *slots as usize)
        };
        if let Some(first) = job.tasks.iter().find(|other| {
            let is_rival = other.is_certain
                && other.state == TaskState::Queued
                && other.pool == task.pool
                && other.is_claude == task.is_claude;
            is_rival && other.priority > task.priority
        }) {
            return Err(format!("within a job the higher priority starts first: {attempt} starts before {first:?}"));
        }
        let mut tried: Vec<&'static str> = Vec::new();
        for (id, rival) in rivals() {
            let in_pool = |name: &str| name == pool;
            let (plain, claude) = (rival.has_ready(false, in_pool), runs < most && rival.has_ready(true, in_pool));
            if (plain || claude) && rival.priority > job.priority {
                return Err(format!(
                    "the job of higher priority starts first: {attempt} of priority {} starts in {pool} before job {id} of {}",
                    job.priority, rival.priority
                ));
            }
            if (plain || claude) && rival.priority < job.priority {
                tried.push("a job that went before one of lower priority");
            }
            if rival.priority != job.priority {
                continue;
            }
            if plain && rival.in_pool(pool) < job.in_pool(pool) {
                return Err(format!(
                    "of equals the one with the fewest starts first: {attempt} starts beside {} in {pool}, job {id} has {}",
                    job.in_pool(pool),
                    rival.in_pool(pool)
                ));
            }
            tried.extend(
                (plain && rival.in_pool(pool) > job.in_pool(pool)).then_some("a job that went before an equal with more"),
            );
            if task.is_claude && rival.has_ready(true, is_open) {
                if rival.runs() < job.runs() {
                    return Err(format!(
                        "of equals the one with the fewest runs begins the next: {attempt} beside {}, job {id} has {}",
                        job.runs(),
                        rival.runs()
                    ));
                }
                tried.push("a Claude run that two equals could have begun");
            }
        }
        let waits = |other: &&Task| other.state == TaskState::Queued && other.pool == task.pool;
        let is_ordered = job.tasks.iter().filter(waits).any(|other| other.priority < task.priority);
        tried.extend(is_ordered.then_some("a task that went before one of lower priority"));
        tried.into_iter().for_each(|what| *self.tried.entry(what).or_default() += 1);
        Ok(())
    }
}

/// Whether it waits for a person and never for a slot.
fn is_approval(spec: &TaskSpec) -> bool {
    matches!(spec.action, Action::Approve(_))
}
