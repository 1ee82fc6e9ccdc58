//! Running finished tasks again, and bringing back what was given up because of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::change::Change;
use crate::model::diagnostic::nearest;
use crate::model::ids::{Address, JobId, TaskIdx};
use crate::model::message::{Done, Refusal, RefusalCode, RequeueWhich};
use crate::model::spec::JobSpec;
use crate::model::state::{Hold, SkipReason, TaskEvent, TaskState};
use crate::model::time::Now;

use super::commands::invalid;
use super::rules::Readiness;
use super::{Core, Task};

/// Values by name.
type Params = BTreeMap<String, serde_json::Value>;

fn waits_for_credential(state: &TaskState) -> bool {
    matches!(state, TaskState::Held { hold: Hold::Login { .. } | Hold::Limit { .. } })
}

/// Whether the task's work goes on somewhere else, or a person is asked.
fn is_left_to_others(state: &TaskState) -> bool {
    matches!(state, TaskState::Mapped { .. } | TaskState::Delegated { .. } | TaskState::AwaitingApproval { .. })
}

/// Why a task that is not over is not run again.
fn refused(target: &str, state: &TaskState) -> Refusal {
    Refusal {
        code: RefusalCode::Conflict,
        message: format!("`{target}` is {}", state.kind().word()),
        hint: if state.live_attempt().is_some() || is_left_to_others(state) {
            format!("cancel it first: `airx cancel {target}`")
        } else {
            "it will run by itself".to_owned()
        },
    }
}

/// All that differs from the submission once these are set: text, unless the value until now shows that it is something else.
fn changed_params(spec: &JobSpec, known: &Params, given: &[(String, String)]) -> Result<Params, Refusal> {
    let mut params = known.clone();
    for (name, text) in given {
        let Some(before) = spec.params.get(name) else {
            let hint = match nearest(name, spec.params.keys().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None if spec.params.is_empty() => "it declares none (`params`)".to_owned(),
                None => format!("it has {}", spec.params.keys().cloned().collect::<Vec<_>>().join(", ")),
            };
            return Err(invalid(format!("the job `{}` has no parameter `{name}`", spec.name), &hint));
        };
        let value = if before.is_string() { None } else { serde_json::from_str(text).ok() };
        params.insert(name.clone(), value.unwrap_or_else(|| text.as_str().into()));
    }
    Ok(params)
}

impl Core {
    /// Requeues with other parameters from now on; what lives keeps what it was started with.
    pub(super) fn requeue_with(
        &mut self,
        targets: &[Address],
        which: RequeueWhich,
        params: &[(String, String)],
        now: Now,
    ) -> Result<Done, Refusal> {
        let mut set = BTreeMap::new();
        for target in targets.iter().filter(|_| !params.is_empty()) {
            let id = self.resolve(&target.job)?;
            if let Some(job) = self.jobs.get(&id) {
                set.insert(id, changed_params(&job.spec, &job.params, params)?);
            }
        }
        let done = self.requeue(targets, which, now)?;
        // What was requeued starts only once all of this is decided.
        for (job, params) in set {
            if self.jobs.get(&job).is_some_and(|job| job.params != params) {
                self.emit(Change::ParamsSet { job, params }, now);
            }
        }
        Ok(done)
    }

    pub(super) fn requeue(&mut self, targets: &[Address], which: RequeueWhich, now: Now) -> Result<Done, Refusal> {
        let mut chosen: BTreeSet<(JobId, TaskIdx)> = BTreeSet::new();
        for target in targets {
            match self.resolve_address(target)? {
                (job, Some(task)) => {
                    chosen.extend(self.named(job, task, which, target)?.into_iter().map(|task| (job, task)));
                    if which == RequeueWhich::From {
                        chosen.extend(self.after(job, task)?.into_iter().map(|task| (job, task)));
                    }
                }
                (job, None) => chosen.extend(self.in_job(job, which).into_iter().map(|task| (job, task))),
            }
        }
        // A mapped task that is run again makes its instances anew.
        let made_anew = |(job, task): &(JobId, TaskIdx)| {
            let parent = self.task(*job, *task).and_then(|task| task.instance).map(|instance| instance.of);
            parent.is_some_and(|parent| chosen.contains(&(*job, parent)))
        };
        let anew: BTreeSet<_> = chosen.iter().copied().filter(made_anew).collect();
        chosen.retain(|task| !anew.contains(task));
        let jobs: BTreeSet<JobId> = chosen.iter().map(|(job, _)| *job).collect();
        for job in &jobs {
            if self.jobs.get(job).is_some_and(|job| job.stopped) {
                self.emit(Change::JobStopped { job: *job, stopped: false }, now);
            }
        }
        // First all of them leave their end, then what waits for them is looked at, so that order does not matter.
        let mut tried = BTreeSet::new();
        for (job, task) in &chosen {
            if self.task(*job, *task).is_some_and(|task| waits_for_credential(&task.state)) {
                tried.extend(self.credential_of(*job, *task));
            }
            self.requeue_task(*job, *task, false, now);
        }
        for name in tried {
            self.try_credential(&name, now);
        }
        let parent_of = |core: &Core, job, task| core.task(job, task).and_then(|task| task.instance).map(|instance| instance.of);
        for (job, task) in &chosen {
            parent_of(self, *job, *task).iter().for_each(|parent| self.reopen_mapping(*job, *parent, now));
        }
        let mut reset: Vec<(JobId, TaskIdx)> = Vec::new();
        for job in &jobs {
            reset.extend(self.revive_skipped(*job, now).into_iter().map(|task| (*job, task)));
        }
        let count = chosen.len() + reset.len();
        let mut roots = chosen.clone();
        roots.extend(chosen.iter().filter_map(|(job, task)| Some((*job, parent_of(self, *job, *task)?))));
        for (job, task) in roots {
            reset.extend(self.reset_dependents(job, task, now).into_iter().map(|task| (job, task)));
        }
        for job in &jobs {
            self.reopen_finally(*job, now);
        }
        for (job, task) in chosen.iter().chain(&reset) {
            self.settle_or_end(*job, *task, now);
        }
        Ok(Done::Affected { count: u32::try_from(count).unwrap_or(u32::MAX) })
    }

    /// What a named task means: itself, or of a mapped one its instances that failed.
    fn named(&self, job: JobId, idx: TaskIdx, which: RequeueWhich, target: &Address) -> Result<Vec<TaskIdx>, Refusal> {
        let Some(task) = self.task(job, idx) else { return Ok(Vec::new()) };
        if matches!(task.state, TaskState::Skipped { why: SkipReason::Gone }) {
            return Err(Refusal {
                code: RefusalCode::Conflict,
                message: format!("the list that `{target}` was made for does not have its item any more"),
                hint: "instances of the present list can be requeued".to_owned(),
            });
        }
        if let Some(instance) = task.instance.filter(|instance| !self.takes_back(job, instance.of)) {
            let parent = self.task(job, instance.of).map(|task| task.id.to_string()).unwrap_or_default();
            return Err(Refusal {
                code: RefusalCode::Conflict,
                message: format!("`{target}` is made anew when `{parent}` has its turn"),
                hint: "it will run by itself, if its list still has its item".to_owned(),
            });
        }
        if which == RequeueWhich::Failed
            && let Some(mapped) = task.mapped.as_ref().filter(|mapped| !mapped.items.is_empty())
            && (task.state.is_terminal() || matches!(task.state, TaskState::Mapped { .. }))
            && !matches!(task.state, TaskState::Failed if mapped.tally.failed + mapped.tally.cancelled == 0)
        {
            let job = self.jobs.get(&job);
            let is_failed = |idx: &TaskIdx| {
                let state = job.and_then(|job| job.get(*idx)).map(|task| &task.state);
                matches!(state, Some(TaskState::Failed | TaskState::Cancelled | TaskState::UpstreamFailed))
            };
            let failed: Vec<TaskIdx> = mapped.instances.iter().take(mapped.items.len()).copied().filter(is_failed).collect();
            if failed.is_empty() {
                return Err(Refusal {
                    code: RefusalCode::Conflict,
                    message: format!("no instance of `{target}` failed or was cancelled"),
                    hint: format!("`airx requeue {target} --all` runs all of them again once it is over"),
                });
            }
            return Ok(failed);
        }
        if !task.state.is_terminal() && !matches!(task.state, TaskState::Held { .. }) {
            return Err(refused(&target.to_string(), &task.state));
        }
        Ok(vec![idx])
    }

    /// As [`Core::settle_task`], with what follows from an end.
    fn settle_or_end(&mut self, job: JobId, task: TaskIdx, now: Now) {
        if self.settle_task(job, task, now) {
            self.after_terminal(job, task, now);
        }
    }

    /// Everything that comes after a task and is over. What may be running there keeps it all from being run again.
    fn after(&self, job: JobId, task: TaskIdx) -> Result<BTreeSet<TaskIdx>, Refusal> {
        let task = self.task(job, task).and_then(|task| task.instance).map_or(task, |instance| instance.of);
        let (mut after, mut seen, mut work) = (BTreeSet::new(), BTreeSet::from([task]), vec![task]);
        while let Some(task) = work.pop() {
            let Some(of) = self.task(job, task) else { continue };
            let instances = of.mapped.iter().flat_map(|mapped| &mapped.instances).filter_map(|idx| self.task(job, *idx));
            for dependent in std::iter::once(of).chain(instances).flat_map(|task| &task.dependents) {
                let Some(found) = self.task(job, *dependent).filter(|_| seen.insert(*dependent)) else { continue };
                if found.state.live_attempt().is_some() || is_left_to_others(&found.state) {
                    let job = self.jobs.get(&job).map(|job| job.name.to_string()).unwrap_or_default();
                    return Err(refused(&format!("{job}/{}", found.id), &found.state));
                }
                if found.state.is_terminal() {
                    after.insert(*dependent);
                }
                work.push(*dependent);
            }
        }
        Ok(after)
    }

    fn in_job(&self, job: JobId, which: RequeueWhich) -> Vec<TaskIdx> {
        let Some(job) = self.jobs.get(&job) else { return Vec::new() };
        let wanted = |task: &Task| match which {
            // Whoever has logged in again says so by this.
            RequeueWhich::Failed => {
                // What failed of a mapped task are its instances.
                let is_mapped = task.mapped.as_ref().is_some_and(|mapped| mapped.tally.failed + mapped.tally.cancelled > 0);
                let is_of_now = task.instance.is_none_or(|instance| self.takes_back(job.id, instance.of));
                let is_given_up = task.instance.is_some() && task.state == TaskState::UpstreamFailed;
                !is_mapped
                    && is_of_now
                    && (is_given_up
                        || matches!(
                            task.state,
                            TaskState::Failed
                                | TaskState::Cancelled
                                | TaskState::Held { hold: Hold::Login { .. } | Hold::Limit { asks: true, .. } }
                        ))
            }
            // A mapped task makes its instances anew.
            RequeueWhich::All | RequeueWhich::From => task.state.is_terminal() && task.instance.is_none(),
        };
        (0u32..).map(TaskIdx).zip(&job.tasks).filter(|(_, task)| wanted(task)).map(|(idx, _)| idx).collect()
    }

    fn requeue_task(&mut self, job: JobId, task: TaskIdx, ready: bool, now: Now) {
        let Some(found) = self.task(job, task) else { return };
        if let Ok(state) = found.state.next(TaskEvent::Requeue { ready }) {
            self.emit(Change::TaskRequeued { job, task, state }, now);
        }
    }

    /// Descendants that were given up return to pending where that changes anything, those that wait for room wait for this task
    /// again. What they come to is seen once all have left their end.
    fn reset_dependents(&mut self, job: JobId, task: TaskIdx, now: Now) -> Vec<TaskIdx> {
        let (mut work, mut reset) = (vec![task], Vec::new());
        while let Some(task) = work.pop() {
            let dependents = self.task(job, task).map(|task| task.dependents.clone()).unwrap_or_default();
            for dependent in dependents {
                let Some(readiness) = self.jobs.get(&job).and_then(|job| Some(job.readiness(job.get(dependent)?))) else {
                    continue;
                };
                let Some(found) = self.task(job, dependent) else { continue };
                let given_up = matches!(found.state, TaskState::UpstreamFailed | TaskState::Skipped { .. });
                let is_changed = if given_up { readiness.state() != found.state } else { readiness == Readiness::Waits };
                if !is_changed {
                    continue;
                }
                if let Ok(state) = found.state.next(TaskEvent::Reset) {
                    self.emit(Change::TaskMoved { job, task: dependent, state }, now);
                    reset.push(dependent);
                    if given_up {
                        work.push(dependent);
                    }
                }
            }
        }
        reset
    }

    /// Whether instances of a mapped task may run again by themselves: it stands where they have brought it.
    fn takes_back(&self, job: JobId, parent: TaskIdx) -> bool {
        use TaskState::{Cancelled, Completed, Failed, Mapped, Skipped};
        let Some(task) = self.task(job, parent) else { return false };
        // Without a list it is where something else has brought it.
        let has_list = task.mapped.as_ref().is_some_and(|mapped| !mapped.items.is_empty());
        has_list && matches!(task.state, Mapped { .. } | Completed | Failed | Cancelled | Skipped { why: SkipReason::Rule })
    }

    /// A mapped task goes on when an instance of it does.
    fn reopen_mapping(&mut self, job: JobId, parent: TaskIdx, now: Now) {
        if let Some(mapped) = self.jobs.get_mut(&job).and_then(|job| job.mapped_mut(parent)) {
            // What is told by its instances is news again.
            mapped.seen = (false, false);
        }
        let Some(task) = self.task(job, parent) else { return };
        let Some(mapped) = &task.mapped else { return };
        let to = TaskState::Mapped { instances: u32::try_from(mapped.items.len()).unwrap_or(u32::MAX) };
        if let Ok(state) = task.state.next(TaskEvent::Reopen(Box::new(to))) {
            self.emit(Change::TaskMoved { job, task: parent, state }, now);
        }
    }

    /// What runs at the end runs again once what goes on now is over.
    pub(super) fn reopen_finally(&mut self, id: JobId, now: Now) {
        let Some(job) = self.jobs.get(&id).filter(|job| job.open > 0) else { return };
        for task in job.finally.clone() {
            let Some(found) = self.task(id, task) else { continue };
            if found.state.is_terminal() {
                self.requeue_task(id, task, false, now);
            } else if let Ok(state) = found.state.next(TaskEvent::Reset) {
                self.emit(Change::TaskMoved { job: id, task, state }, now);
            }
        }
    }

    /// Tasks that `on_failure: stop` skipped get their turn again once the stop is lifted.
    fn revive_skipped(&mut self, id: JobId, now: Now) -> Vec<TaskIdx> {
        let Some(job) = self.jobs.get(&id) else { return Vec::new() };
        let skipped: Vec<TaskIdx> = (0u32..)
            .map(TaskIdx)
            .zip(&job.tasks)
            .filter(|(_, task)| task.state == TaskState::Skipped { why: SkipReason::Stopped })
            .filter(|(_, task)| task.instance.is_none_or(|instance| self.takes_back(id, instance.of)))
            .map(|(idx, _)| idx)
            .collect();
        for task in &skipped {
            self.emit(Change::TaskMoved { job: id, task: *task, state: TaskState::Pending }, now);
            if let Some(instance) = self.task(id, *task).and_then(|task| task.instance) {
                self.reopen_mapping(id, instance.of, now);
            }
        }
        skipped
    }
}
