//! The rules of sub-flows, as a fold of its own over the journal: a task's child job is there exactly once, goes on as long as the
//! task does, takes no slot for it, and is reached by every cancel.

use std::collections::{BTreeMap, BTreeSet};

use airx::model::change::{Change, Event, Parent};
use airx::model::ids::{Address, JobId, JobName, TaskIdx};
use airx::model::spec::{Action, Rule, SubJob, Submission};
use airx::model::state::TaskState;
use serde_json::json;

use crate::dice::Dice;
use crate::store::Journal;

/// What the journal says of sub-flows.
#[derive(Default)]
pub struct Flows {
    jobs: BTreeMap<JobId, Flow>,
    /// Children that a commit submitted and has not left their task to yet.
    untold: BTreeMap<JobId, Parent>,
    /// Children that went on again, whether there was room for them or not.
    again: BTreeSet<JobName>,
    /// How often what was tried.
    pub tried: BTreeMap<&'static str, u32>,
}

struct Flow {
    name: JobName,
    parent: Option<Parent>,
    is_over: bool,
}

/// A random child of a task that needs `need`.
pub fn child(dice: &mut Dice, mut submission: Submission, need: Option<&String>) -> Action {
    submission.job.params = [("x".to_owned(), json!(null))].into();
    submission.job.result = dice.chance(500).then(|| "t0".to_owned());
    let value = match (dice.below(4), need) {
        (0, Some(need)) => json!(format!("{{{{ tasks.{need}.result }}}}")),
        (1, _) => json!(["{{ job.name }}", 1]),
        _ => json!("same"),
    };
    Action::Job(Box::new(SubJob { file: "child.yaml".to_owned(), submission, params: [("x".to_owned(), value)].into() }))
}

impl Flows {
    /// Takes the next event in.
    pub fn take(&mut self, event: &Event, journal: &Journal) -> Result<(), String> {
        match &event.change {
            Change::JobSubmitted { job, name, parent, .. } => {
                if let Some(parent) = parent {
                    self.untold.insert(*job, *parent);
                }
                self.jobs.insert(*job, Flow { name: name.clone(), parent: *parent, is_over: false });
            }
            Change::JobMoved { job, state } => {
                if let Some(flow) = self.jobs.get_mut(job) {
                    flow.is_over = state.is_terminal();
                }
            }
            Change::TaskMoved { job, task, state: TaskState::Delegated { job: name } } => {
                let Some((child, flow)) = self.jobs.iter().find(|(_, flow)| flow.name == *name) else {
                    return Err(format!("a delegated task has a child: {job}-{} is left to {name}", task.0));
                };
                if flow.parent != Some(Parent { job: *job, task: *task }) {
                    return Err(format!("a child belongs to its task: {job}-{} is left to {name}", task.0));
                }
                let (child, name) = (*child, name.clone());
                let is_new = self.untold.remove(&child).is_some();
                let what = if is_new { "a child job" } else { "a child job that goes on again" };
                *self.tried.entry(what).or_default() += 1;
                if self.line(child) > 2 {
                    *self.tried.entry("a child of a child").or_default() += 1;
                }
                if is_new {
                    self.room(journal, *job, *task)?;
                } else {
                    self.again.insert(name);
                }
            }
            Change::AttemptOpened { attempt, .. } => {
                let spec = &journal.jobs[&attempt.job.0].tasks[attempt.task.0 as usize].spec;
                if spec.child().is_some() {
                    return Err(format!("a delegated task takes no slot: {attempt} is opened"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn line(&self, job: JobId) -> usize {
        std::iter::successors(self.jobs.get(&job), |flow| self.jobs.get(&flow.parent?.job)).count()
    }

    /// After a commit: a child is over exactly when its task is not left to it any more.
    pub fn check_commit(&self, journal: &Journal) -> Result<(), String> {
        if let Some((child, _)) = self.untold.iter().next() {
            return Err(format!("a child and its task are one commit: job {child} was submitted alone"));
        }
        let mut left: BTreeMap<&JobName, Parent> = BTreeMap::new();
        for (id, job) in &journal.rows.jobs {
            for (task, row) in (0..).map(TaskIdx).zip(&job.tasks) {
                if let TaskState::Delegated { job: name } = &row.state
                    && left.insert(name, Parent { job: JobId(*id), task }).is_some()
                {
                    return Err(format!("a child does the work of one task: {name} of two"));
                }
            }
        }
        for (id, flow) in &self.jobs {
            let Some(parent) = flow.parent else { continue };
            if journal.damaged.contains(&id.0) || journal.damaged.contains(&parent.job.0) {
                continue;
            }
            if flow.is_over == left.contains_key(&flow.name) {
                let word = if flow.is_over { "is over" } else { "goes on" };
                return Err(format!("the end of a child is that of its task: {} {word}, and its task is not", flow.name));
            }
        }
        Ok(())
    }

    /// After a cancel that was the only command of its turn: nothing below goes on but what runs whatever happened.
    pub fn check_cancel(&mut self, targets: &[Address], journal: &Journal) -> Result<(), String> {
        for target in targets {
            let number = target.job.number;
            let found = self.jobs.iter().find(|(_, flow)| flow.name.name == target.job.name && Some(flow.name.number) == number);
            let Some((id, _)) = found else { continue };
            let roots: Vec<JobId> = match &target.task {
                None => vec![*id],
                Some(task) => {
                    self.left_by(*id, journal).into_iter().filter(|left| left.task == *task).map(|left| left.child).collect()
                }
            };
            let mut work: Vec<JobId> = roots;
            let mut seen = BTreeSet::new();
            while let Some(id) = work.pop() {
                if journal.damaged.contains(&id.0) || !seen.insert(id) {
                    continue;
                }
                let job = &journal.jobs[&id.0];
                for (task, row) in job.tasks.iter().zip(&journal.rows.jobs[&id.0].tasks) {
                    let outlives = task.spec.finally || task.spec.rule == Rule::Always;
                    let ends = row.state.is_terminal()
                        || matches!(
                            row.state,
                            TaskState::Cancelling { .. } | TaskState::Delegated { .. } | TaskState::Mapped { .. }
                        );
                    if !outlives && !ends {
                        return Err(format!("a cancel reaches what is below: {}/{} is {:?}", job.name, task.spec.id, row.state));
                    }
                }
                let below: Vec<_> = self.left_by(id, journal).into_iter().filter(|left| !left.outlives).collect();
                if !below.is_empty() {
                    *self.tried.entry("a cancel that reached a child").or_default() += 1;
                }
                work.extend(below.into_iter().map(|left| left.child));
            }
        }
        Ok(())
    }

    /// Tasks of a job that are left to a child, and that one.
    fn left_by(&self, id: JobId, journal: &Journal) -> Vec<Left> {
        let (Some(job), Some(rows)) = (journal.jobs.get(&id.0), journal.rows.jobs.get(&id.0)) else { return Vec::new() };
        let left = job.tasks.iter().zip(&rows.tasks).filter_map(|(task, row)| match &row.state {
            TaskState::Delegated { job } => {
                let index = task.instance.map_or(String::new(), |(_, index)| format!("/{index}"));
                let (child, _) = self.jobs.iter().find(|(_, flow)| flow.name == *job)?;
                let outlives = task.spec.finally || task.spec.rule == Rule::Always;
                Some(Left { task: format!("{}{index}", task.spec.id), child: *child, outlives })
            }
            _ => None,
        });
        left.collect()
    }
}

/// A task that is left to a child, and whether it runs whatever happened.
struct Left {
    task: String,
    child: JobId,
    outlives: bool,
}

impl Flows {
    /// A mapping's `max_parallel` bounds its child jobs too.
    fn room(&self, journal: &Journal, job: JobId, task: TaskIdx) -> Result<(), String> {
        let rows = &journal.rows.jobs[&job.0].tasks;
        let Some((parent, _)) = rows[task.0 as usize].instance else { return Ok(()) };
        let each = journal.jobs[&job.0].tasks[parent as usize].spec.each.as_ref();
        let Some(most) = each.and_then(|each| each.max_parallel) else { return Ok(()) };
        let left = rows.iter().filter(|row| row.instance.is_some_and(|(of, _)| of == parent)).filter(|row| match &row.state {
            TaskState::Delegated { job } => !self.again.contains(job),
            _ => false,
        });
        let left = left.count();
        if left > most as usize {
            return Err(format!("{left} child jobs of {job}-{parent}, and max_parallel is {most}"));
        }
        Ok(())
    }
}
