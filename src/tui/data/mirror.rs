//! All jobs, and the tasks of those that were looked into.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::model::change::{Change, Seq};
use crate::model::ids::{JobName, JobRef};
use crate::model::message::{EventView, JobView, MappingView, OverviewView, TaskView};
use crate::model::spec::{Action, JobSpec};
use crate::model::state::{Counts, TaskKind, TaskState};
use crate::model::time::Utc;

use super::early::Early;
use super::instances::{begin_anew, expand, let_go};
use super::row::{NONE, Needs, TaskRow};

/// Jobs kept, newest first; older ones are only counted.
pub const MAX_JOBS: usize = 20_000;
/// Tasks kept over all jobs; above it the tasks of jobs that are folded are forgotten.
pub const MAX_TASKS: usize = 400_000;

/// A job.
#[derive(Debug, Clone)]
pub struct JobRow {
    /// As the manager told.
    pub view: JobView,
    /// Its tasks, as far as they were read.
    pub tasks: Vec<TaskRow>,
    /// How far they were read.
    pub loaded: Loaded,
    /// Its definition, once it was read.
    pub spec: Option<Box<JobSpec>>,
    /// Cost of runs that go on: a sum, since there may be very many tasks.
    live_cost: u64,
    /// Places by the hash of the id: half the memory of the ids themselves.
    pub(super) places: HashMap<u64, u32>,
    /// Needs that stand behind their task in the file and were not read yet.
    unresolved: Vec<(u32, Vec<String>)>,
}

/// How far a job's tasks were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loaded {
    /// Not at all.
    No,
    /// Some.
    Part,
    /// All; events keep them true.
    All,
}

/// The screen's copy.
#[derive(Debug, Default)]
pub struct Mirror {
    /// By number, oldest first.
    pub jobs: Vec<JobRow>,
    /// Jobs older than those.
    pub older: bool,
    /// What surrounds them.
    pub overview: OverviewView,
    /// Newest event taken in.
    pub seq: Seq,
    /// Grows whenever rows come, go or change places.
    pub structure: u64,
    /// Grows with every change.
    pub version: u64,
    /// Events of tasks that were not here yet: a page that was read before them is brought up to date by them.
    early: Early,
}

impl JobRow {
    fn new(view: JobView) -> JobRow {
        JobRow {
            view,
            tasks: Vec::new(),
            loaded: Loaded::No,
            spec: None,
            live_cost: 0,
            places: HashMap::new(),
            unresolved: Vec::new(),
        }
    }

    /// Its reference.
    pub fn reference(&self) -> JobRef {
        reference(&self.view.name)
    }

    /// What its runs have cost, with what those that go on have used so far, as far as its tasks were read.
    pub fn cost(&self) -> u64 {
        self.view.cost_microusd.saturating_add(self.live_cost)
    }

    /// A task's place by its id.
    pub fn place(&self, id: &str) -> Option<u32> {
        find(&self.places, &self.tasks, id)
    }

    /// Finds places by name again, when they were let go.
    fn index(&mut self) {
        if self.places.is_empty() {
            self.places = (0..).zip(&self.tasks).map(|(place, task)| (hash(&task.id), place)).collect();
        }
    }

    pub(super) fn push(&mut self, row: TaskRow) {
        let place = u32::try_from(self.tasks.len()).unwrap_or(NONE);
        self.places.insert(hash(&row.id), place);
        self.tasks.push(row);
    }

    fn add(&mut self, view: TaskView, seq: Seq, parent: Option<u32>) {
        let place = u32::try_from(self.tasks.len()).unwrap_or(NONE);
        if view.needs.iter().any(|need| self.place(need).is_none()) {
            self.unresolved.push((place, view.needs.clone()));
        }
        let mut row = TaskRow::new(view, seq, |id| self.place(id));
        if let Some(parent) = parent {
            row.parent = parent;
        }
        self.push(row);
    }

    /// Brings new rows up to what has happened since they were read.
    fn catch_up(&mut self, early: &Early) {
        for event in early.of(self.view.id) {
            let place = event.event.change.task().map(|task| task.0);
            if let (Some(place), Change::TaskExpanded { items, .. }) = (place, &event.event.change) {
                begin_anew(self, place, event.seq, items);
            }
            if let Some(row) = place.and_then(|place| self.tasks.get_mut(place as usize)) {
                row.apply(event.seq, event.event.at, &event.event.change);
            }
        }
    }

    fn resolve(&mut self) {
        for (place, needs) in std::mem::take(&mut self.unresolved) {
            let found: Needs = needs.iter().filter_map(|need| self.place(need)).collect();
            if found.iter().len() < needs.len() && self.loaded != Loaded::All {
                self.unresolved.push((place, needs));
            }
            self.tasks[place as usize].needs = found;
        }
    }
}

fn hash(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

fn find(places: &HashMap<u64, u32>, tasks: &[TaskRow], id: &str) -> Option<u32> {
    let place = *places.get(&hash(id))?;
    if tasks.get(place as usize).is_some_and(|task| &*task.id == id) {
        return Some(place);
    }
    // Two ids of one hash.
    tasks.iter().position(|task| &*task.id == id).and_then(|place| u32::try_from(place).ok())
}

/// A job's full reference.
pub fn reference(name: &JobName) -> JobRef {
    JobRef { name: name.name.clone(), number: Some(name.number) }
}

impl Mirror {
    /// Everything anew after a connection was made; tasks are read again by whoever shows them.
    pub fn reset(&mut self, overview: OverviewView, jobs: Vec<JobView>, seq: Seq, older: bool) {
        let mut rows: Vec<JobRow> = jobs.into_iter().map(JobRow::new).collect();
        rows.sort_by_key(|job| job.view.id);
        let (structure, version) = (self.structure + 1, self.version + 1);
        *self = Mirror { jobs: rows, older, overview, seq, structure, version, early: Early::since(seq) };
    }

    /// Where a job stands in `jobs`.
    pub fn find(&self, id: u32) -> Option<usize> {
        self.jobs.binary_search_by_key(&id, |job| job.view.id).ok()
    }

    /// The job of this number.
    pub fn job(&self, id: u32) -> Option<&JobRow> {
        self.find(id).map(|at| &self.jobs[at])
    }

    /// The job of this name.
    pub fn named(&self, name: &JobName) -> Option<&JobRow> {
        self.jobs.iter().rev().find(|job| job.view.name == *name)
    }

    /// The task at this place.
    pub fn task(&self, job: u32, task: u32) -> Option<&TaskRow> {
        self.job(job)?.tasks.get(task as usize)
    }

    /// Tasks of all jobs by state; instances stand for their mapped tasks.
    pub fn totals(&self) -> Counts {
        let mut totals = Counts::default();
        for job in &self.jobs {
            for (sum, count) in totals.0.iter_mut().zip(job.view.work().0) {
                *sum = sum.saturating_add(count);
            }
        }
        totals
    }

    /// Tasks that wait in jobs which a person paused.
    pub fn paused_tasks(&self) -> u32 {
        let waiting = |job: &JobRow| job.view.tasks.of(TaskKind::Queued) + job.view.tasks.of(TaskKind::Pending);
        self.jobs.iter().filter(|job| job.view.paused).fold(0, |sum, job| sum.saturating_add(waiting(job)))
    }

    /// Job rows as they are now, new ones among them.
    pub fn set_jobs(&mut self, views: Vec<JobView>) {
        for view in views {
            self.version += 1;
            match self.jobs.binary_search_by_key(&view.id, |job| job.view.id) {
                Ok(at) => self.jobs[at].view = view,
                Err(at) => {
                    self.structure += 1;
                    self.jobs.insert(at, JobRow::new(view));
                }
            }
        }
        if self.jobs.len() > MAX_JOBS {
            self.jobs.drain(..self.jobs.len() - MAX_JOBS);
            self.older = true;
        }
    }

    /// A page of a job's tasks, read at `seq`, that begins at `from`. An empty one is the last.
    pub fn set_tasks(&mut self, job: u32, from: u32, views: Vec<TaskView>, seq: Seq) {
        let Some(at) = self.find(job) else { return };
        let job = &mut self.jobs[at];
        // One that can not be brought up to date is read again.
        if job.tasks.len() != from as usize || job.loaded == Loaded::All || seq < self.early.complete_from {
            return;
        }
        job.loaded = if views.is_empty() { Loaded::All } else { Loaded::Part };
        // At once as much as there is: a vector that grows by doubling keeps up to twice of it.
        let all = job.view.tasks.total() as usize;
        job.tasks.reserve_exact(all.saturating_sub(job.tasks.len()).min(MAX_TASKS));
        job.places.reserve(all.saturating_sub(job.places.len()).min(MAX_TASKS));
        for view in views {
            job.add(view, seq, None);
        }
        if job.tasks.len() as u64 >= u64::from(job.view.tasks.total()) {
            job.loaded = Loaded::All;
        }
        job.resolve();
        job.catch_up(&self.early);
        job.live_cost = job.tasks.iter().fold(0, |sum, task| sum.saturating_add(task.live_cost()));
        if job.loaded == Loaded::All {
            job.count_instances();
            // Events name tasks by their place; whoever adds one finds the others by name again.
            job.places = HashMap::new();
        }
        self.structure += 1;
        self.version += 1;
    }

    /// A job's definition.
    pub fn set_spec(&mut self, job: u32, spec: JobSpec) {
        if let Some(at) = self.find(job) {
            self.jobs[at].spec = Some(Box::new(spec));
            self.version += 1;
        }
    }

    /// Forgets the tasks of jobs not in `keep`, when there are too many.
    pub fn shrink(&mut self, keep: &BTreeSet<u32>) {
        let mut sum: usize = self.jobs.iter().map(|job| job.tasks.len()).sum();
        for job in &mut self.jobs {
            if sum <= MAX_TASKS {
                return;
            }
            if !keep.contains(&job.view.id) && !job.tasks.is_empty() {
                sum -= job.tasks.len();
                (job.tasks, job.places, job.loaded, job.live_cost) = (Vec::new(), HashMap::new(), Loaded::No, 0);
                job.unresolved.clear();
                self.structure += 1;
            }
        }
    }

    /// Takes events in, in order, up to `seq`; `views` are the jobs they touched, read afterwards.
    pub fn apply(&mut self, events: &[EventView], views: Vec<JobView>, seq: Seq) {
        self.set_jobs(views);
        for event in events {
            self.version += 1;
            self.apply_one(event);
        }
        self.seq = self.seq.max(seq);
    }

    fn apply_one(&mut self, event: &EventView) {
        let change = &event.event.change;
        if let Change::AllPaused { paused } = change {
            self.overview.paused = *paused;
        }
        if let Change::ParamsSet { job, .. } = change {
            // Read again when it is shown.
            self.find(job.0).into_iter().for_each(|at| self.jobs[at].spec = None);
        }
        let (Some(job), Some(task)) = (change.job(), change.task()) else { return };
        let Some(at) = self.find(job.0) else { return };
        let job = &mut self.jobs[at];
        if let Change::TaskExpanded { items, .. } = change {
            if job.loaded == Loaded::All {
                expand(job, event, task.0, items);
                self.structure += 1;
            } else {
                self.early.keep(event);
            }
            return;
        }
        let_go(job, event, task.0);
        if let Change::TaskAdded { .. } = change {
            if job.loaded == Loaded::All && job.tasks.len() == task.0 as usize {
                add(job, event, change);
                self.structure += 1;
            }
        } else if let Some(row) = job.tasks.get_mut(task.0 as usize) {
            let (waited, cost, before) = (asks(row), row.live_cost(), row.part());
            row.apply(event.seq, event.event.at, change);
            job.live_cost = job.live_cost.saturating_sub(cost).saturating_add(row.live_cost());
            // What waits for a person stands first in its job.
            self.structure += u64::from(waited != asks(row));
            let (after, parent) = (row.part(), row.parent);
            if job.loaded == Loaded::All
                && let Some(instances) = job.tasks.get_mut(parent as usize).and_then(TaskRow::instances_mut)
            {
                instances.remove(before);
                instances.add(after);
            }
        } else {
            self.early.keep(event);
        }
    }
}

/// States of tasks that have asked a person something.
pub(super) const ASKING: [TaskKind; 2] = [TaskKind::AwaitingInput, TaskKind::AwaitingApproval];

pub(super) fn asks(row: &TaskRow) -> bool {
    ASKING.contains(&row.kind)
}

fn add(job: &mut JobRow, event: &EventView, change: &Change) {
    let Change::TaskAdded { spec, origin, state, .. } = change else { return };
    let view = TaskView {
        idx: u32::try_from(job.tasks.len()).unwrap_or(NONE),
        id: spec.id.clone(),
        state: state.clone(),
        needs: spec.needs.clone(),
        pool: spec.pool.clone(),
        is_claude: matches!(spec.action, Action::Claude(_)),
        is_finally: spec.finally,
        mapping: spec.each.as_ref().map(|each| MappingView { max_parallel: each.max_parallel }),
        ..queued(event)
    };
    job.index();
    job.add(view, event.seq, origin.as_ref().and_then(|origin| origin.parent).map(|parent| parent.0));
    job.resolve();
}

/// A task that came into being by this event.
pub(super) fn queued(event: &EventView) -> TaskView {
    TaskView {
        idx: 0,
        id: String::new(),
        state: TaskState::Queued,
        why: None,
        attempts: 0,
        outcome: None,
        started: None,
        updated: event.event.at,
        elapsed_ms: None,
        cost_microusd: 0,
        progress: None,
        run: None,
        parent: None,
        item: None,
        child: None,
        instances: None,
        needs: Vec::new(),
        pool: None,
        is_claude: false,
        mapping: None,
        is_finally: false,
    }
}

/// When a running task began, for its age.
pub fn began(row: &TaskRow) -> Option<Utc> {
    (matches!(row.kind, TaskKind::Running | TaskKind::AwaitingInput | TaskKind::Cancelling) && row.started.0 > 0)
        .then_some(row.started)
}
