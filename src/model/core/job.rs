//! A job and its tasks in memory, with what is derived from the rows: who waits for whom, counts, what is ready.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::model::attempt::Progress;
use crate::model::change::{Origin, Rounds, TaskResult};
use crate::model::ids::{JobId, JobName, TaskIdx};
use crate::model::live::LiveFacts;
use crate::model::spec::{Action, Budget, JobSpec, Spent, TaskSpec};
use crate::model::state::{Counts, JobState, TaskState};
use crate::model::stored::{StoredJob, StoredQuestion, StoredTask};

use super::session::PastSession;

/// A job in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Its number.
    pub id: JobId,
    /// Its name.
    pub name: JobName,
    /// Its definition.
    pub spec: Arc<JobSpec>,
    /// Whether a person paused it.
    pub paused: bool,
    /// Whether `on_failure: stop` took effect.
    pub stopped: bool,
    /// Where it stands: always `counts.job_state()` once a turn is finished.
    pub state: JobState,
    /// Its tasks, by [`TaskIdx`].
    pub tasks: Vec<Task>,
    /// Its tasks by state.
    pub counts: Counts,
    /// What its Claude runs used: millionths of a dollar, and tokens.
    pub used: (u64, u64),
    /// What they may use.
    pub budget: Option<Budget>,
    /// What a person allowed for the whole job.
    pub rules: BTreeSet<String>,
    /// Tasks by id.
    pub(super) by_id: HashMap<String, TaskIdx>,
    /// Tasks queued at run time, by who queued them under which key.
    pub(super) by_key: BTreeMap<(Option<TaskIdx>, String), TaskIdx>,
    /// Parameters that a person changed: in `spec` already.
    pub params: BTreeMap<String, serde_json::Value>,
    /// Jobs of higher priority get free slots first.
    pub priority: i32,
    /// Queued tasks by pool; only pools with some.
    pub(super) ready: BTreeMap<String, Ready>,
    /// When it was given room last.
    pub(super) turns: Turns,
}

/// Queued tasks of one pool in the order in which they start: the higher priority first, then as in the file. Claude runs are
/// apart, since a bound of their own may let the others go first.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Ready {
    pub plain: BTreeSet<Place>,
    pub claude: BTreeSet<Place>,
}

/// A queued task's place in the order of its job.
pub(super) type Place = (Reverse<i32>, TaskIdx);

/// When a job was given room last, counted in openings of this manager.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Turns {
    /// When it came.
    pub since: u64,
    /// By pool.
    pub pools: BTreeMap<String, u64>,
    /// As for pools, of the bound that all Claude runs share.
    pub claude: Option<u64>,
}

impl Turns {
    /// When it last got a slot of this pool.
    pub fn in_pool(&self, pool: &str) -> u64 {
        self.pools.get(pool).copied().unwrap_or(self.since)
    }

    /// When its last Claude run began.
    pub fn of_claude(&self) -> u64 {
        self.claude.unwrap_or(self.since)
    }
}

/// A task in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Its definition.
    pub spec: Arc<TaskSpec>,
    /// Who queued it, if not the file.
    pub origin: Option<Origin>,
    /// Where it stands.
    pub state: TaskState,
    /// Attempts opened so far.
    pub attempts: u32,
    /// Attempts since the last requeue that spent the retry budget.
    pub spent_retry: u32,
    /// Attempts since the last requeue that spent the infrastructure budget.
    pub spent_infra: u32,
    /// How these ended.
    pub spent: Spent,
    /// Its result.
    pub result: Option<TaskResult>,
    /// How far it says it is; while it is starting, how far its launch is.
    pub progress: Option<Progress>,
    /// What only Claude runs and tasks that repeat have; apart, since most tasks of a large job have not begun.
    pub(super) run: Option<Box<RunState>>,
    /// Places of the tasks it needs.
    pub(super) needs: Vec<TaskIdx>,
    /// Places of the tasks that need it.
    pub(super) dependents: Vec<TaskIdx>,
    /// How many of `needs` are not completed.
    pub(super) unmet: u32,
}

impl Task {
    pub(super) fn new(spec: Arc<TaskSpec>, origin: Option<Origin>, state: TaskState) -> Task {
        Task {
            spec,
            origin,
            state,
            attempts: 0,
            spent_retry: 0,
            spent_infra: 0,
            spent: Spent::new(),
            result: None,
            progress: None,
            run: None,
            needs: Vec::new(),
            dependents: Vec::new(),
            unmet: 0,
        }
    }
}

impl Task {
    fn from_stored(stored: StoredTask) -> Task {
        let StoredTask { spec, origin, state, attempts, spent_retry, spent_infra, spent, result, progress, .. } = stored;
        let mut task = Task { attempts, spent_retry, spent_infra, spent, result, progress, ..Task::new(spec, origin, state) };
        let has_run = stored.newest.iter().any(|attempt| attempt.session.is_some()) || stored.rounds.done > 0;
        // A command asks a person too.
        if !has_run && stored.questions.is_empty() {
            return task;
        }
        let run = task.run_mut();
        (run.used, run.rounds, run.questions) = (stored.used, stored.rounds, stored.questions);
        for attempt in stored.newest {
            if let Some((outcome, facts)) = &attempt.end {
                run.past = PastSession::after(attempt.session.as_deref(), attempt.resumes, outcome, facts);
            }
            (run.session, run.resumes) = (attempt.session, attempt.resumes);
            run.seen = attempt.seen;
        }
        task
    }

    /// What it used since the last requeue: millionths of a dollar, and tokens.
    pub(super) fn used(&self) -> (u64, u64) {
        self.run.as_ref().map_or((0, 0), |run| run.used)
    }

    pub(super) fn run_mut(&mut self) -> &mut RunState {
        self.run.get_or_insert_default()
    }
}

/// What only Claude runs and tasks that repeat have.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunState {
    /// What it used since the last requeue: millionths of a dollar, and tokens.
    pub used: (u64, u64),
    /// Its rounds since then.
    pub rounds: Rounds,
    /// Session of its newest attempt.
    pub session: Option<String>,
    /// Whether its newest attempt resumes that session.
    pub resumes: bool,
    /// The session of its last attempt that is over.
    pub past: Option<PastSession>,
    /// Read from the store, until the attempt is known again: how far it was.
    pub(super) seen: Option<LiveFacts>,
    /// As `seen`: its questions.
    pub(super) questions: Vec<StoredQuestion>,
}

impl Job {
    /// An empty job, before its tasks.
    pub(super) fn new(id: JobId, name: JobName, spec: Arc<JobSpec>) -> Job {
        Job {
            id,
            name,
            used: (0, 0),
            budget: spec.budget,
            rules: BTreeSet::new(),
            params: BTreeMap::new(),
            priority: spec.priority,
            turns: Turns::default(),
            spec,
            paused: false,
            stopped: false,
            state: JobState::Waiting,
            tasks: Vec::new(),
            counts: Counts::default(),
            by_id: HashMap::new(),
            by_key: BTreeMap::new(),
            ready: BTreeMap::new(),
        }
    }

    pub(super) fn from_stored(stored: StoredJob) -> Job {
        let mut job = Job::new(stored.id, stored.name, stored.spec);
        job.paused = stored.paused;
        job.stopped = stored.stopped;
        job.used = stored.used;
        job.rules = stored.rules.into_iter().collect();
        job.budget = stored.budget.unwrap_or(job.budget);
        job.priority = stored.priority;
        job.set_params(&stored.params);
        for task in stored.tasks {
            job.push(Task::from_stored(task));
        }
        // Needs may name tasks that come later in the file.
        job.link_from(0);
        job.state = job.counts.job_state();
        job
    }

    /// Adds a task without linking its needs.
    pub(super) fn push(&mut self, task: Task) -> TaskIdx {
        let idx = TaskIdx(u32::try_from(self.tasks.len()).expect("jobs are bounded to MAX_TASKS, far below 2^32"));
        self.counts.add(task.state.kind());
        self.by_id.insert(task.spec.id.clone(), idx);
        if let Some(origin) = &task.origin {
            self.by_key.insert((origin.parent, origin.key.clone()), idx);
        }
        let is_ready = task.state == TaskState::Queued;
        self.tasks.push(task);
        if is_ready {
            self.set_ready(idx, true);
        }
        idx
    }

    /// Resolves the needs of the tasks from `first` on. Needs that name no task (checked before) are left out.
    pub(super) fn link_from(&mut self, first: usize) {
        for place in first..self.tasks.len() {
            let idx = TaskIdx(u32::try_from(place).unwrap_or(u32::MAX));
            let needs: Vec<TaskIdx> = self.tasks[place].spec.needs.iter().filter_map(|id| self.by_id.get(id).copied()).collect();
            let mut unmet = 0;
            for need in &needs {
                let needed = &mut self.tasks[need.0 as usize];
                needed.dependents.push(idx);
                unmet += u32::from(needed.state != TaskState::Completed);
            }
            let task = &mut self.tasks[place];
            task.needs = needs;
            task.unmet = unmet;
        }
    }

    /// The pool whose slot a task takes.
    pub(super) fn pool_of<'a>(&'a self, task: &'a TaskSpec) -> &'a str {
        task.pool.as_deref().unwrap_or(&self.spec.pool)
    }

    /// The task of this id.
    pub fn find(&self, id: &str) -> Option<TaskIdx> {
        self.by_id.get(id).copied()
    }

    pub(super) fn get(&self, task: TaskIdx) -> Option<&Task> {
        self.tasks.get(task.0 as usize)
    }

    /// Gives a task its new state and keeps everything derived from it in step.
    pub(super) fn set_state(&mut self, idx: TaskIdx, state: TaskState) {
        let Some(task) = self.tasks.get_mut(idx.0 as usize) else { return };
        let old = std::mem::replace(&mut task.state, state.clone());
        if matches!(old, TaskState::Starting { .. }) && !matches!(state, TaskState::Starting { .. }) {
            // What was told of the launch is not what the task says.
            task.progress = None;
        }
        self.counts.remove(old.kind());
        self.counts.add(state.kind());
        let (was, is) = (old == TaskState::Completed, state == TaskState::Completed);
        if was != is {
            for dependent in task.dependents.clone() {
                if let Some(dependent) = self.tasks.get_mut(dependent.0 as usize) {
                    dependent.unmet = if is { dependent.unmet.saturating_sub(1) } else { dependent.unmet + 1 };
                }
            }
        }
        if (old == TaskState::Queued) != (state == TaskState::Queued) {
            self.set_ready(idx, state == TaskState::Queued);
        }
    }

    /// Puts a task among those that may start, or takes it out. The only place where these sets change.
    fn set_ready(&mut self, idx: TaskIdx, is_ready: bool) {
        let Some(task) = self.tasks.get(idx.0 as usize) else { return };
        let pool = task.spec.pool.as_deref().unwrap_or(&self.spec.pool);
        if is_ready && !self.ready.contains_key(pool) {
            self.ready.insert(pool.to_owned(), Ready::default());
        }
        let Some(ready) = self.ready.get_mut(pool) else { return };
        let place = (Reverse(task.spec.priority), idx);
        let lane = if matches!(task.spec.action, Action::Claude(_)) { &mut ready.claude } else { &mut ready.plain };
        if is_ready {
            lane.insert(place);
        } else {
            lane.remove(&place);
            if ready.plain.is_empty() && ready.claude.is_empty() {
                self.ready.remove(pool);
            }
        }
    }

    /// Gives what starts from now on other parameters.
    pub(super) fn set_params(&mut self, params: &BTreeMap<String, serde_json::Value>) {
        self.params.clone_from(params);
        if !params.is_empty() {
            self.spec = Arc::new(self.spec.with_params(params));
        }
    }

    /// Whether anything is ready to start.
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Claude tasks that are ready to start.
    pub(super) fn ready_runs(&self) -> impl Iterator<Item = TaskIdx> {
        self.ready.values().flat_map(|ready| &ready.claude).map(|(_, task)| *task)
    }

    /// Whether one of the needed tasks can never complete without a person.
    pub(super) fn needs_hopeless(&self, needs: &[TaskIdx]) -> bool {
        needs.iter().filter_map(|n| self.get(*n)).any(|n| n.state.is_terminal() && n.state != TaskState::Completed)
    }
}
