//! A store that keeps what was committed over every crash, fails when told to, and can be made to lie.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use airx::manager::ports::{Loaded, Store, StoreError, StoreErrorKind, StoredJob, StoredTask};
use airx::model::change::{Change, Event, Origin, Rounds, Seq};
use airx::model::credential::{Credential, CredentialState};
use airx::model::ids::{JobName, JobRef, TaskIdx};
use airx::model::replay::{Replayed, ReplayedSchedule};
use airx::model::schedule::{Due, ScheduleState};
use airx::model::spec::{Action, JobSpec, TaskSpec};
use airx::model::state::TaskState;
use airx::model::stored::StoredSchedule;
use airx::model::time::Utc;

use crate::sim::Plant;

/// What is durable.
#[derive(Default)]
pub struct Journal {
    pub events: Vec<Event>,
    /// The rows that follow from the events.
    pub rows: Replayed,
    pub jobs: BTreeMap<u32, StoredJob>,
    pub keys: BTreeMap<String, JobName>,
    /// Jobs whose rows are damaged: commits that touch them fail.
    pub damaged: BTreeSet<u32>,
    /// Commits fail.
    pub full: bool,
    /// A rule that a committed event broke.
    pub broken: Option<String>,
    pub plant: Plant,
    /// The last commit was claimed, not made.
    pub lied: bool,
}

/// A state whose last time is still to come.
fn forgetful(state: &ScheduleState) -> ScheduleState {
    match state.through {
        Some(due) if state.next.is_some() => ScheduleState { through: None, next: Some(Due { at: due, due }), ..state.clone() },
        _ => state.clone(),
    }
}

/// The manager's handle to the journal.
#[derive(Clone)]
pub struct SimStore(pub Arc<Mutex<Journal>>);

impl Journal {
    fn take(&mut self, event: &Event) {
        if let Err(why) = self.rows.apply(event) {
            self.broken.get_or_insert(format!("replay: {why}"));
        }
        match &event.change {
            Change::JobSubmitted { job, name, spec, key, parent } => {
                let parent = parent.map(|parent| (parent, self.jobs[&parent.job.0].name.clone()));
                let new = StoredJob {
                    id: *job,
                    name: name.clone(),
                    spec: spec.clone(),
                    parent,
                    paused: false,
                    stopped: false,
                    used: (0, 0),
                    below: (0, 0),
                    rules: Vec::new(),
                    budget: None,
                    priority: 0,
                    params: BTreeMap::new(),
                    tasks: Vec::new(),
                };
                self.jobs.insert(job.0, new);
                if let Some(key) = key
                    && self.keys.insert(key.clone(), name.clone()).is_some()
                {
                    self.broken.get_or_insert(format!("a key is submitted once: {key} was used again for {name}"));
                }
            }
            Change::TaskAdded { job, task, spec, origin, .. } => {
                if let Some(job) = self.jobs.get_mut(&job.0) {
                    job.tasks.push(new_task(*task, spec.clone(), origin.clone(), None));
                }
            }
            Change::TaskExpanded { job, .. } => {
                if let (Some(job), Some(rows)) = (self.jobs.get_mut(&job.0), self.rows.jobs.get(&job.0)) {
                    for (place, row) in rows.tasks.iter().enumerate().skip(job.tasks.len()) {
                        let instance = row.instance.map(|(of, index)| (TaskIdx(of), index));
                        let spec = instance.map(|(of, _)| job.tasks[of.0 as usize].spec.clone());
                        let (idx, spec) = (TaskIdx(place as u32), spec.expect("an instance is of a mapped task"));
                        job.tasks.push(new_task(idx, spec, None, instance));
                    }
                }
            }
            _ => {}
        }
        self.events.push(event.clone());
    }

    fn credentials(&self) -> Vec<(Credential, CredentialState)> {
        if self.plant == Plant::CredentialsForgotten { Vec::new() } else { self.rows.credentials.clone().into_iter().collect() }
    }

    fn schedules(&self) -> Vec<StoredSchedule> {
        let last = |name: &str| self.jobs.values().filter(|job| job.name.name == name).map(|job| job.name.number).max();
        let stored = |(name, row): (&String, &ReplayedSchedule)| StoredSchedule {
            name: name.clone(),
            rule: row.rule.clone(),
            submission: row.submission.clone(),
            state: match self.plant {
                Plant::TimesForgotten => forgetful(&row.state),
                _ => row.state.clone(),
            },
            last_number: last(name).unwrap_or(0),
        };
        self.rows.schedules.iter().map(stored).collect()
    }

    /// What was used, by quarters of an hour.
    fn spending(&self) -> Vec<(Utc, u64, u64)> {
        let mut quarters: BTreeMap<i64, u64> = BTreeMap::new();
        for event in self.events.iter().filter(|_| self.plant != Plant::SpendingForgotten) {
            if let Change::AttemptClosed { facts, .. } = &event.change {
                let used = facts.claude.as_ref().map_or(0, |claude| claude.cost_microusd);
                if used > 0 {
                    *quarters.entry(event.at.0 / 900_000).or_default() += used;
                }
            }
        }
        quarters.into_iter().map(|(quarter, used)| (Utc(quarter * 900_000), used, 0)).collect()
    }

    /// A job as stored: its definition, and the rows that follow from its events.
    fn stored(&self, id: u32) -> Option<StoredJob> {
        let (mut job, rows) = (self.jobs.get(&id)?.clone(), self.rows.jobs.get(&id)?);
        if self.plant == Plant::ScheduleUnmarked {
            job.spec = Arc::new(JobSpec { scheduled: None, result: None, ..job.spec.as_ref().clone() });
        }
        if self.plant == Plant::ParentsForgotten {
            job.parent = None;
        }
        job.paused = rows.paused;
        job.stopped = rows.stopped;
        job.below = rows.below;
        (job.used, job.rules, job.budget) = (rows.used, rows.rules.clone(), rows.budget);
        if self.plant != Plant::ParamsForgotten {
            job.params.clone_from(&rows.params);
        }
        job.priority = if self.plant == Plant::PrioritiesForgotten { job.spec.priority } else { rows.priority };
        for (task, row) in job.tasks.iter_mut().zip(&rows.tasks) {
            task.state = row.state.clone();
            let child = row.child.and_then(|child| self.jobs.get(&child)).filter(|_| self.plant != Plant::ChildrenForgotten);
            task.child = child.map(|child| child.name.clone());
            task.items = row.items.clone().filter(|_| self.plant != Plant::ListsForgotten);
            task.attempts = if self.plant == Plant::AttemptsForgotten { 0 } else { row.attempts };
            task.spent_retry = row.spent_retry;
            task.spent_infra = row.spent_infra;
            let knows = self.plant != Plant::RetriesForgotten;
            task.spent = row
                .spent
                .iter()
                .filter(|_| knows)
                .map(|(class, count)| (class.clone().try_into().expect("a class"), *count))
                .collect();
            task.result.clone_from(&row.result);
            task.progress.clone_from(&row.progress);
            (task.used, task.rounds) = (row.used, row.rounds.clone());
            if matches!(task.spec.action, Action::Claude(_)) && self.plant != Plant::SessionsForgotten {
                task.newest.clone_from(&row.newest);
            }
            task.gated = row.gated;
            let is_approval = matches!(row.state, TaskState::AwaitingApproval { .. });
            if is_approval && self.plant != Plant::ApprovalsForgotten {
                task.questions.clone_from(&row.questions);
            }
            if row.state.live_attempt().is_some() && self.plant != Plant::QuestionsForgotten {
                task.questions.clone_from(&row.questions);
            }
        }
        Some(job)
    }
}

impl Store for SimStore {
    fn commit(&mut self, events: &[Event]) -> Result<Seq, StoreError> {
        let mut journal = self.0.lock().expect("one thread");
        if journal.full {
            return Err(StoreError {
                kind: StoreErrorKind::Full,
                what: "writing".to_owned(),
                cause: "no room".to_owned(),
                hint: String::new(),
            });
        }
        if let Some(job) = events.iter().filter_map(|event| event.change.job()).find(|job| journal.damaged.contains(&job.0)) {
            return Err(StoreError {
                kind: StoreErrorKind::Row((journal.plant != Plant::DamageUnnamed).then_some(job)),
                what: "writing".to_owned(),
                cause: "damaged".to_owned(),
                hint: String::new(),
            });
        }
        let opens = events.iter().any(|event| matches!(event.change, Change::AttemptOpened { .. }));
        if journal.plant == Plant::EffectBeforeCommit && opens && journal.events.len().is_multiple_of(5) {
            journal.lied = true;
            return Ok(Seq(journal.events.len() as u64));
        }
        for event in events {
            journal.take(event);
        }
        Ok(Seq(journal.events.len() as u64))
    }

    fn load(&mut self) -> Result<Loaded, StoreError> {
        let journal = self.0.lock().expect("one thread");
        // Of a task that is not over its child belongs to it, also if that one is.
        let is_awaited = |id: &u32| {
            let parent = journal.rows.jobs[id].parent;
            let task = parent.map(|parent| (parent, &journal.rows.jobs[&parent.job.0].tasks[parent.task.0 as usize]));
            task.is_some_and(|(parent, row)| {
                !journal.rows.jobs[&parent.job.0].state.is_terminal()
                    && row.state == (TaskState::Delegated { job: journal.jobs[id].name.clone() })
            })
        };
        let live = journal.rows.jobs.iter().filter(|(id, job)| !job.state.is_terminal() || is_awaited(id));
        Ok(Loaded {
            jobs: live.filter_map(|(id, _)| journal.stored(*id)).collect(),
            last_job: journal.jobs.keys().next_back().copied().unwrap_or(0),
            seq: Seq(journal.events.len() as u64),
            paused: journal.rows.paused,
            last_question: journal.rows.last_question,
            credentials: journal.credentials(),
            spending: journal.spending(),
            schedules: journal.schedules(),
            quarantined: Vec::new(),
        })
    }

    fn load_job(&mut self, job: &JobRef) -> Result<Option<StoredJob>, StoreError> {
        let journal = self.0.lock().expect("one thread");
        let found = journal.jobs.values().filter(|known| known.name.name == job.name);
        let found = found.rev().find(|known| job.number.is_none_or(|number| number == known.name.number));
        Ok(found.and_then(|found| journal.stored(found.id.0)))
    }

    fn submitted_as(&mut self, key: &str) -> Result<Option<JobName>, StoreError> {
        let journal = self.0.lock().expect("one thread");
        Ok(if journal.plant == Plant::KeysForgotten { None } else { journal.keys.get(key).cloned() })
    }

    fn last_number(&mut self, name: &str) -> Result<u32, StoreError> {
        let journal = self.0.lock().expect("one thread");
        Ok(journal.jobs.values().filter(|job| job.name.name == name).map(|job| job.name.number).max().unwrap_or(0))
    }
}

/// A task that has just come into being; its state is that of its row.
fn new_task(idx: TaskIdx, spec: Arc<TaskSpec>, origin: Option<Origin>, instance: Option<(TaskIdx, u32)>) -> StoredTask {
    StoredTask {
        idx,
        spec,
        instance,
        items: None,
        origin,
        state: TaskState::Pending,
        attempts: 0,
        spent_retry: 0,
        spent_infra: 0,
        spent: BTreeMap::new(),
        gated: None,
        result: None,
        child: None,
        progress: None,
        used: (0, 0),
        rounds: Rounds::default(),
        newest: Vec::new(),
        questions: Vec::new(),
    }
}
