//! What memory holds beyond tasks' states, for comparison: after everything was read again from the store it has to be the
//! same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::change::Parent;
use crate::model::credential::{Credential, CredentialState};
use crate::model::ids::{AttemptId, JobId, JobName, TaskIdx};
use crate::model::live::LiveFacts;
use crate::model::spec::Budget;
use crate::model::time::Utc;

use super::job::RunState;
use super::rules::Tally;
use super::{Asked, Core, Schedule, Spending};

/// What memory holds of all jobs together.
#[derive(Debug, Clone, PartialEq)]
pub struct Memory {
    /// What is known of credentials.
    pub credentials: BTreeMap<Credential, CredentialState>,
    /// What was used, by time.
    pub spending: Spending,
    /// The highest question number.
    pub last_question: u32,
    /// By name.
    pub schedules: BTreeMap<String, Schedule>,
    /// By job.
    pub jobs: BTreeMap<JobId, JobMemory>,
}

/// What memory holds of one job.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JobMemory {
    used: (u64, u64),
    below: (u64, u64),
    budget: Option<Budget>,
    priority: i32,
    params: BTreeMap<String, serde_json::Value>,
    rules: BTreeSet<String>,
    runs: BTreeMap<TaskIdx, RunState>,
    live: BTreeMap<AttemptId, (Asked, Option<LiveFacts>)>,
    questions: BTreeMap<u32, AttemptId>,
    approvals: BTreeMap<u32, Option<Utc>>,
    gated: BTreeMap<TaskIdx, u32>,
    timers: BTreeSet<(Utc, TaskIdx)>,
    waiting: BTreeSet<(Credential, TaskIdx)>,
    over_budget: BTreeSet<TaskIdx>,
    open: u32,
    parent: Option<(Parent, JobName)>,
    children: BTreeMap<TaskIdx, JobName>,
    tallies: Vec<Tally>,
    mapped: BTreeMap<TaskIdx, MappedMemory>,
}

/// A mapped task's list, its instances, what became of them and how many may be alive.
type MappedMemory = (Arc<Vec<serde_json::Value>>, Vec<TaskIdx>, Tally, u32);

impl Core {
    /// What memory holds now.
    pub fn memory(&self) -> Memory {
        let jobs = self.jobs.keys().map(|id| (*id, self.memory_of(*id))).collect();
        let (credentials, spending) = (self.credentials.clone(), self.spending.clone());
        Memory { credentials, spending, last_question: self.last_question, schedules: self.schedules.clone(), jobs }
    }

    fn memory_of(&self, id: JobId) -> JobMemory {
        let Some(job) = self.jobs.get(&id) else { return JobMemory::default() };
        let runs = (0u32..).map(TaskIdx).zip(&job.tasks).filter_map(|(idx, task)| Some((idx, task.run.as_deref()?.clone())));
        let mapped = (0u32..).map(TaskIdx).zip(&job.tasks).filter_map(|(idx, task)| Some((idx, task.mapped.as_deref()?)));
        let children =
            (0u32..).map(TaskIdx).zip(&job.tasks).filter_map(|(idx, task)| Some((idx, task.child.as_deref()?.clone())));
        let live = self.live.iter().filter(|(attempt, _)| attempt.job == id);
        let waiting = self.waiting.iter().flat_map(|(name, tasks)| tasks.iter().map(move |(job, task)| (name, *job, *task)));
        JobMemory {
            used: job.used,
            below: job.below,
            budget: job.budget,
            priority: job.priority,
            params: job.spec.params.clone(),
            rules: job.rules.clone(),
            runs: runs.filter(|(_, run)| *run != RunState::default()).collect(),
            live: live.map(|(attempt, live)| (*attempt, (live.asked.clone(), live.facts.clone()))).collect(),
            questions: self.questions.iter().filter(|(_, attempt)| attempt.job == id).map(|(n, a)| (*n, *a)).collect(),
            approvals: self.approvals_of(id),
            gated: (0u32..).map(TaskIdx).zip(&job.tasks).filter_map(|(idx, task)| Some((idx, task.gated?))).collect(),
            timers: self.timers.iter().filter(|(_, job, _)| *job == id).map(|(at, _, task)| (*at, *task)).collect(),
            waiting: waiting.filter(|(_, job, _)| *job == id).map(|(name, _, task)| (name.clone(), task)).collect(),
            over_budget: self.over_budget.get(&id).cloned().unwrap_or_default(),
            open: job.open,
            parent: job.parent.clone(),
            children: children.collect(),
            tallies: job.tasks.iter().map(|task| task.tally).collect(),
            mapped: mapped
                .map(|(idx, mapped)| (idx, (mapped.items.clone(), mapped.instances.clone(), mapped.tally, mapped.live)))
                .collect(),
        }
    }
}
