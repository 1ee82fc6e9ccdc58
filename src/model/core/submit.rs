//! Taking jobs and tasks in. Clients have checked a job file in full; what later decisions rest on is checked again here.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::attempt::AddedTask;
use crate::model::change::{Change, Origin, Parent};
use crate::model::ids::{Address, JobId, JobName, JobRef, TaskIdx, is_name};
use crate::model::message::{Done, Refusal, RefusalCode};
use crate::model::spec::{MAX_NESTING, MAX_TASKS, Rule, SubJob, Submission, TaskSpec};
use crate::model::state::{SkipReason, TaskState};
use crate::model::time::Now;

use super::commands::{check_priority, invalid};
use super::settle::outlives_failure;
use super::{Core, Task};

impl Core {
    pub(super) fn submit(&mut self, submission: Submission, key: Option<String>, now: Now) -> Result<Done, Refusal> {
        let tasks = u32::try_from(submission.tasks.len()).unwrap_or(u32::MAX);
        if let Some(job) = key.as_ref().and_then(|key| self.keys.get(key)) {
            return Ok(Done::Submitted { job: job.clone(), tasks, missing: Vec::new() });
        }
        check_all(&submission)?;
        let job = self.admit(submission, key, None, now);
        // Where secrets come from is not known here; the manager's shell fills it in.
        Ok(Done::Submitted { job, tasks, missing: Vec::new() })
    }

    /// Takes in a job that was checked.
    pub(super) fn admit(&mut self, submission: Submission, key: Option<String>, parent: Option<Parent>, now: Now) -> JobName {
        let id = JobId(self.last_job + 1);
        let name = JobName { name: submission.job.name.clone(), number: self.number(&submission.job.name) + 1 };
        self.emit(Change::JobSubmitted { job: id, name: name.clone(), spec: Arc::new(submission.job), key, parent }, now);
        for (place, spec) in submission.tasks.into_iter().enumerate() {
            let state = if spec.needs.is_empty() && !spec.finally { TaskState::Queued } else { TaskState::Pending };
            let task = TaskIdx(u32::try_from(place).unwrap_or(u32::MAX));
            self.emit(Change::TaskAdded { job: id, task, spec: Arc::new(spec), origin: None, state }, now);
        }
        if let Some(job) = self.jobs.get_mut(&id) {
            job.link_from(0);
        }
        name
    }

    /// A person's `airx add --job`.
    pub(super) fn add(&mut self, job: &JobRef, task: AddedTask, key: Option<String>, now: Now) -> Result<Done, Refusal> {
        let id = self.resolve(job)?;
        let digest = digest(&task);
        let key = key.unwrap_or_else(|| match &task.id {
            Some(id) => id.clone(),
            None => format!("#{}", self.jobs.get(&id).map_or(0, |job| job.tasks.len())),
        });
        let origin = Origin { parent: None, key, depth: 0, digest };
        let idx = self.add_task(id, task, origin, now)?;
        let Some(job) = self.jobs.get(&id) else { return Err(invalid("the job is gone".to_owned(), "")) };
        let job_ref = JobRef { name: job.name.name.clone(), number: Some(job.name.number) };
        let task = job.get(idx).map(|task| task.id.to_string());
        Ok(Done::Added { task: Address { job: job_ref, task } })
    }

    /// Adds one task to a job, or finds the one that the same request added before.
    pub(super) fn add_task(&mut self, id: JobId, added: AddedTask, origin: Origin, now: Now) -> Result<TaskIdx, Refusal> {
        self.may_go_on(id)?;
        let Some(job) = self.jobs.get(&id) else { return Err(invalid("the job is gone".to_owned(), "")) };
        if let Some(known) = job.by_key.get(&(origin.parent, origin.key.clone())) {
            let same = job.get(*known).and_then(|task| task.origin.as_ref()).is_some_and(|known| known.digest == origin.digest);
            return if same {
                Ok(*known)
            } else {
                Err(Refusal {
                    code: RefusalCode::Conflict,
                    message: format!("`{}` was queued before with another definition", origin.key),
                    hint: "give the new task another id".to_owned(),
                })
            };
        }
        if job.tasks.len() >= MAX_TASKS {
            return Err(limit(format!("the job has {MAX_TASKS} tasks, the most a job may have")));
        }
        let name = match &added.id {
            Some(name) => name.clone(),
            None => derived_id(job, &origin),
        };
        if job.find(&name).is_some() {
            return Err(Refusal {
                code: RefusalCode::Conflict,
                message: format!("the job has a task `{name}` already"),
                hint: "give the new task another id".to_owned(),
            });
        }
        let parent = origin.parent.and_then(|parent| job.get(parent)).map(|task| task.spec.clone());
        let known = |need: &str| job.find(need).is_some();
        let spec = crate::model::added::build(added, &name, &job.spec.added_defaults, parent.as_deref(), &known)
            .map_err(|why| invalid(why, ""))?;
        let is_last = |need: &&String| job.find(need).and_then(|need| job.get(need)).is_some_and(|need| need.spec.finally);
        if let Some(need) = spec.needs.iter().find(is_last).filter(|_| !spec.finally) {
            return Err(waits_for_last(need));
        }
        let state = self.first_state(id, &spec, origin.parent);
        let task = TaskIdx(u32::try_from(job.tasks.len()).unwrap_or(u32::MAX));
        self.emit(Change::TaskAdded { job: id, task, spec: Arc::new(spec), origin: Some(origin), state }, now);
        if let Some(job) = self.jobs.get_mut(&id) {
            job.link_from(task.0 as usize);
        }
        self.reopen_finally(id, now);
        self.go_on_above(id, now);
        Ok(task)
    }

    /// Where a task queued at run time begins: what was decided about its job or its parent holds for it too.
    fn first_state(&self, id: JobId, spec: &TaskSpec, parent: Option<TaskIdx>) -> TaskState {
        let Some(job) = self.jobs.get(&id) else { return TaskState::Pending };
        let needs: Vec<TaskIdx> = spec.needs.iter().filter_map(|need| job.find(need)).collect();
        let parent_state = parent.and_then(|parent| job.get(parent)).map(|task| &task.state);
        if matches!(parent_state, Some(TaskState::Cancelling { .. } | TaskState::Cancelled)) {
            TaskState::Cancelled
        } else if job.stopped && !outlives_failure(spec) {
            TaskState::Skipped { why: SkipReason::Stopped }
        } else {
            let mut task = Task::new(Arc::new(spec.clone()), None, TaskState::Pending);
            needs.iter().filter_map(|need| job.get(*need)).for_each(|need| task.tally.count(&need.state));
            task.needs = needs;
            job.readiness(&task).state()
        }
    }
}

/// An id for a task that was queued without one: `PARENT-ORDINAL`, with a suffix when that is taken.
fn derived_id(job: &super::Job, origin: &Origin) -> String {
    let parent = origin.parent.and_then(|parent| job.get(parent)).map_or("added", |task| &task.id);
    let ordinal = origin.key.trim_start_matches('#');
    let ordinal = if is_name(ordinal) { ordinal.to_owned() } else { job.tasks.len().to_string() };
    // Names are bounded to 100 characters; a long parent's name is cut so that its children still have one.
    let room = crate::model::ids::MAX_NAME.saturating_sub(ordinal.len() + 8);
    let parent: String = parent.replace('/', "-").chars().take(room).collect();
    let plain = format!("{parent}-{ordinal}");
    if job.find(&plain).is_none() {
        return plain;
    }
    (2..=u32::MAX).map(|n| format!("{plain}-{n}")).find(|name| job.find(name).is_none()).unwrap_or(plain)
}

fn waits_for_last(need: &str) -> Refusal {
    invalid(format!("`{need}` runs when everything else is over: nothing else can wait for it"), "leave it out of the needs")
}

/// A stable digest of a request, to tell a repetition from another definition under the same key.
pub(super) fn digest(task: &AddedTask) -> String {
    use sha2::{Digest, Sha256};
    let text = serde_json::to_string(task).unwrap_or_default();
    Sha256::digest(text.as_bytes()).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn limit(message: String) -> Refusal {
    Refusal { code: RefusalCode::Limit, message, hint: String::new() }
}

/// As [`check`], with all that is below a job.
pub(super) fn check_all(submission: &Submission) -> Result<(), Refusal> {
    if !submission.is_bounded() {
        let message = format!("its sub-flows are nested too deep, or have more than {MAX_TASKS} tasks in all");
        return Err(invalid(message, &format!("they are nested at most {MAX_NESTING} deep")));
    }
    submission.with_children().into_iter().try_for_each(check)
}

/// What every later decision rests on: names, unique ids, needs that exist and do not go round.
fn check(submission: &Submission) -> Result<(), Refusal> {
    let job = &submission.job;
    if !is_name(&job.name) {
        return Err(invalid(format!("`{}` is no job name", job.name), "use 1 to 100 letters, digits, `_` and `-`"));
    }
    check_priority(job.priority)?;
    submission.tasks.iter().try_for_each(|task| check_priority(task.priority))?;
    if submission.tasks.is_empty() || submission.tasks.len() > MAX_TASKS {
        return Err(invalid(format!("the job has {} tasks", submission.tasks.len()), "a job has 1 to 100,000 tasks"));
    }
    if submission.tasks.iter().all(|task| task.finally) {
        return Err(invalid("the job has nothing but `finally`".to_owned(), "give it at least one other task"));
    }
    if job.max_parallel == 0 {
        return Err(invalid("max_parallel is 0".to_owned(), "it is at least 1"));
    }
    let mut places = HashMap::with_capacity(submission.tasks.len());
    for (place, task) in submission.tasks.iter().enumerate() {
        if !is_name(&task.id) {
            return Err(invalid(format!("`{}` is no task id", task.id), "use 1 to 100 letters, digits, `_` and `-`"));
        }
        if let Some(name) = task.child().and_then(unknown_param) {
            return Err(invalid(
                format!("the task `{}` gives its job a parameter `{name}`, which it does not have", task.id),
                "",
            ));
        }
        if places.insert(task.id.as_str(), place).is_some() {
            return Err(invalid(format!("the task id `{}` is used twice", task.id), "ids are unique in a job"));
        }
    }
    if let Some(id) = job.result.as_deref().filter(|id| !places.contains_key(id)) {
        return Err(invalid(format!("the job's result is that of the task `{id}`, which does not exist"), ""));
    }
    let mut waiting = vec![0usize; submission.tasks.len()];
    let mut dependents = vec![Vec::new(); submission.tasks.len()];
    for (place, task) in submission.tasks.iter().enumerate() {
        if task.each.as_ref().is_some_and(|each| each.max_parallel == Some(0)) {
            return Err(invalid(format!("max_parallel of the task `{}` is 0", task.id), "it is at least 1"));
        }
        if task.needs.is_empty() && matches!(task.rule, Rule::OneSuccess | Rule::OneFailed) {
            return Err(invalid(format!("the rule of the task `{}` can never hold: it needs no other", task.id), ""));
        }
        for need in &task.needs {
            let last = places.get(need.as_str()).is_some_and(|place| submission.tasks[*place].finally);
            if last && !task.finally {
                return Err(waits_for_last(need));
            }
            let Some(needed) = places.get(need.as_str()) else {
                return Err(invalid(format!("the task `{}` needs `{need}`, which does not exist", task.id), ""));
            };
            waiting[place] += 1;
            dependents[*needed].push(place);
        }
    }
    let mut free: Vec<usize> = (0..waiting.len()).filter(|place| waiting[*place] == 0).collect();
    let mut seen = 0;
    while let Some(place) = free.pop() {
        seen += 1;
        for dependent in &dependents[place] {
            waiting[*dependent] -= 1;
            if waiting[*dependent] == 0 {
                free.push(*dependent);
            }
        }
    }
    if seen < waiting.len() {
        return Err(invalid("the tasks need each other in a circle".to_owned(), "`airx validate` prints the circle"));
    }
    Ok(())
}

fn unknown_param(child: &SubJob) -> Option<&String> {
    child.params.keys().find(|name| !child.submission.job.params.contains_key(*name))
}
