//! A job and its tasks in memory, with what is derived from the rows: who waits for whom, counts, what is ready.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::model::attempt::Progress;
use crate::model::change::{Origin, Parent, Rounds, TaskResult};
use crate::model::ids::{JobId, JobName, TaskIdx};
use crate::model::live::LiveFacts;
use crate::model::spec::{Budget, JobSpec, Spent, TaskSpec};
use crate::model::state::{Counts, JobState, TaskState};
use crate::model::stored::{StoredJob, StoredQuestion, StoredTask};

use super::mapping::Mapped;
use super::ready::{Ready, Turns};
use super::rules::Tally;
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
    /// The task whose child it is, and that one's job.
    pub parent: Option<(Parent, JobName)>,
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
    /// What those of all jobs below it used.
    pub below: (u64, u64),
    /// What they may use, all together.
    pub budget: Option<Budget>,
    /// What a person allowed for the whole job.
    pub rules: BTreeSet<String>,
    /// Tasks by id; instances are found by their mapping.
    pub(super) by_id: HashMap<String, TaskIdx>,
    /// Tasks that run once everything else is over.
    pub(super) finally: Vec<TaskIdx>,
    /// Tasks that are not over and not in `finally`.
    pub(super) open: u32,
    /// Whether what runs at the end was looked at since `open` is 0.
    pub(super) at_end: bool,
    /// Tasks queued at run time, by who queued them under which key.
    pub(super) by_key: BTreeMap<(Option<TaskIdx>, String), TaskIdx>,
    /// Parameters that a person changed: in `spec` already.
    pub params: BTreeMap<String, serde_json::Value>,
    /// Jobs of higher priority get free slots first.
    pub priority: i32,
    /// Queued tasks by pool, only pools with some; of a mapping those alone that its `max_parallel` lets through.
    pub(super) ready: BTreeMap<String, Ready>,
    /// Mapped tasks whose instances wait for room in their mapping, now or later.
    pub(super) bounded: BTreeSet<TaskIdx>,
    /// Queued tasks of which it is to be decided what they do, and nobody was asked yet.
    pub(super) undecided: BTreeSet<TaskIdx>,
    /// When it was given room last.
    pub(super) turns: Turns,
}

/// A task in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Its id; `PARENT/INDEX` for an instance.
    pub id: Box<str>,
    /// Its definition; that of its mapping for an instance.
    pub spec: Arc<TaskSpec>,
    /// Whose instance it is, if it is one.
    pub instance: Option<Instance>,
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
    /// Its child job, the newest if there were several.
    pub child: Option<Box<JobName>>,
    /// The newest attempt that ended at its gate, unless a later one failed for another reason or completed.
    pub gated: Option<u32>,
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
    /// What became of `needs`.
    pub(super) tally: Tally,
    /// Of a mapped task: its instances, once there are any.
    pub(super) mapped: Option<Box<Mapped>>,
    /// Whether what it does is decided since it is queued.
    pub(super) decided: bool,
}

/// Which item of which mapped task a task is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instance {
    /// The mapped task.
    pub of: TaskIdx,
    /// The item's place in its list, from 0.
    pub index: u32,
}

impl Task {
    pub(super) fn new(spec: Arc<TaskSpec>, origin: Option<Origin>, state: TaskState) -> Task {
        Task {
            id: spec.id.as_str().into(),
            spec,
            instance: None,
            origin,
            state,
            attempts: 0,
            spent_retry: 0,
            spent_infra: 0,
            spent: Spent::new(),
            child: None,
            gated: None,
            result: None,
            progress: None,
            run: None,
            needs: Vec::new(),
            dependents: Vec::new(),
            tally: Tally::default(),
            mapped: None,
            decided: false,
        }
    }

    /// An instance of a mapped task.
    pub(super) fn of(parent: &Task, instance: Instance, state: TaskState) -> Task {
        let id = format!("{}/{}", parent.id, instance.index).into();
        Task { id, instance: Some(instance), ..Task::new(parent.spec.clone(), None, state) }
    }

    /// How long the list of a mapped task is, once that is known.
    pub fn mapped(&self) -> Option<usize> {
        self.mapped.as_ref().map(|mapped| mapped.items.len())
    }
}

impl Task {
    fn from_stored(stored: StoredTask) -> Task {
        let StoredTask {
            spec, origin, state, attempts, spent_retry, spent_infra, spent, gated, result, progress, instance, ..
        } = stored;
        let mut task =
            Task { attempts, spent_retry, spent_infra, spent, gated, result, progress, ..Task::new(spec, origin, state) };
        if let Some((of, index)) = instance {
            task.id = format!("{}/{index}", task.spec.id).into();
            task.instance = Some(Instance { of, index });
        }
        task.child = stored.child.map(Box::new);
        task.mapped = stored.items.map(|items| Box::new(Mapped::new(items)));
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

    /// Its budgets start afresh.
    pub(super) fn begin_anew(&mut self) {
        self.spent_retry = 0;
        self.spent_infra = 0;
        self.spent.clear();
        self.progress = None;
        if let Some(run) = &mut self.run {
            (run.used, run.rounds) = ((0, 0), Rounds::default());
        }
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
            below: (0, 0),
            budget: spec.budget,
            rules: BTreeSet::new(),
            params: BTreeMap::new(),
            priority: spec.priority,
            turns: Turns::default(),
            spec,
            parent: None,
            paused: false,
            stopped: false,
            state: JobState::Waiting,
            tasks: Vec::new(),
            counts: Counts::default(),
            by_id: HashMap::new(),
            by_key: BTreeMap::new(),
            finally: Vec::new(),
            open: 0,
            at_end: false,
            ready: BTreeMap::new(),
            bounded: BTreeSet::new(),
            undecided: BTreeSet::new(),
        }
    }

    pub(super) fn from_stored(stored: StoredJob) -> Job {
        let mut job = Job::new(stored.id, stored.name, stored.spec);
        job.parent = stored.parent;
        job.paused = stored.paused;
        job.stopped = stored.stopped;
        (job.used, job.below) = (stored.used, stored.below);
        job.rules = stored.rules.into_iter().collect();
        job.budget = stored.budget.unwrap_or(job.budget);
        job.priority = stored.priority;
        job.set_params(&stored.params);
        for task in stored.tasks {
            job.push(Task::from_stored(task));
        }
        // Needs may name tasks that come later in the file.
        job.link_from(0);
        for mapping in job.bounded.clone() {
            job.let_through(mapping);
        }
        job.state = job.counts.job_state();
        job
    }

    /// Adds a task without linking its needs.
    pub(super) fn push(&mut self, task: Task) -> TaskIdx {
        let idx = TaskIdx(u32::try_from(self.tasks.len()).expect("jobs are bounded to MAX_TASKS, far below 2^32"));
        let state = task.state.clone();
        self.counts.add(state.kind());
        match task.instance {
            Some(instance) => {
                if let Some(mapped) = self.mapped_mut(instance.of) {
                    mapped.instances.push(idx);
                }
            }
            None => drop(self.by_id.insert(task.spec.id.clone(), idx)),
        }
        if let Some(origin) = &task.origin {
            self.by_key.insert((origin.parent, origin.key.clone()), idx);
        }
        if task.spec.finally && task.instance.is_none() {
            self.finally.push(idx);
        }
        self.open += u32::from(!task.spec.finally && !state.is_terminal());
        self.at_end &= self.open == 0;
        self.tasks.push(task);
        self.tell_mapping(idx, None, Some(&state));
        if state == TaskState::Queued {
            self.enqueue(idx);
        }
        idx
    }

    /// Resolves the needs of the tasks from `first` on. Needs that name no task (checked before) are left out.
    pub(super) fn link_from(&mut self, first: usize) {
        for place in first..self.tasks.len() {
            if self.tasks[place].instance.is_some() {
                continue;
            }
            let idx = TaskIdx(u32::try_from(place).unwrap_or(u32::MAX));
            let needs: Vec<TaskIdx> = self.tasks[place].spec.needs.iter().filter_map(|id| self.find(id)).collect();
            let mut tally = Tally::default();
            for need in &needs {
                let needed = &mut self.tasks[need.0 as usize];
                needed.dependents.push(idx);
                tally.count(&needed.state);
            }
            let task = &mut self.tasks[place];
            task.needs = needs;
            task.tally = tally;
        }
    }

    /// The pool whose slot a task takes.
    pub(super) fn pool_of<'a>(&'a self, task: &'a TaskSpec) -> &'a str {
        task.pool.as_deref().unwrap_or(&self.spec.pool)
    }

    /// The task of this id.
    pub fn find(&self, id: &str) -> Option<TaskIdx> {
        match id.split_once('/') {
            None => self.by_id.get(id).copied(),
            Some((of, index)) => {
                let place = index.parse::<usize>().ok().filter(|place| place.to_string() == index)?;
                self.get(self.by_id.get(of).copied()?)?.mapped.as_ref()?.instances.get(place).copied()
            }
        }
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
        if state == TaskState::Pending || state.is_terminal() {
            task.decided = false;
        }
        self.counts.remove(old.kind());
        self.counts.add(state.kind());
        if !task.spec.finally {
            self.open = self.open + u32::from(!state.is_terminal()) - u32::from(!old.is_terminal());
            self.at_end &= self.open == 0;
        }
        if old.is_terminal() || state.is_terminal() {
            for dependent in task.dependents.clone() {
                if let Some(dependent) = self.tasks.get_mut(dependent.0 as usize) {
                    dependent.tally.forget(&old);
                    dependent.tally.count(&state);
                }
            }
        }
        self.tell_mapping(idx, Some(&old), Some(&state));
        match (old == TaskState::Queued, state == TaskState::Queued) {
            (false, true) => self.enqueue(idx),
            (true, false) => self.dequeue(idx),
            _ => {}
        }
        if let Some(instance) = self.get(idx).and_then(|task| task.instance) {
            self.let_through(instance.of);
        }
    }
}
