//! Running finished tasks again, and bringing back what was given up because of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::change::Change;
use crate::model::diagnostic::nearest;
use crate::model::ids::{Address, JobId, TaskIdx};
use crate::model::message::{Done, Refusal, RefusalCode, RequeueWhich};
use crate::model::spec::JobSpec;
use crate::model::state::{Hold, SkipReason, TaskEvent, TaskKind, TaskState};
use crate::model::time::Now;

use super::commands::invalid;
use super::rules::Readiness;
use super::{Core, Job, Task};

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

impl Job {
    /// Gives what starts from now on other parameters.
    pub(super) fn set_params(&mut self, params: &BTreeMap<String, serde_json::Value>) {
        self.params.clone_from(params);
        if !params.is_empty() {
            self.spec = Arc::new(self.spec.with_params(params));
        }
    }
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
            let (job, task) = self.resolve_address(target)?;
            self.may_go_on(job)?;
            match task {
                Some(task) => {
                    chosen.extend(self.named(job, task, which, target)?);
                    if which == RequeueWhich::From {
                        chosen.extend(self.after(job, task)?.into_iter().map(|task| (job, task)));
                    }
                }
                None => chosen.extend(self.in_job(job, which)),
            }
        }
        // A mapped task that is run again makes its instances anew, and a task that is left to a child job takes care of that one.
        let is_taken_care_of = |(job, task): &(JobId, TaskIdx)| {
            let parent = self.task(*job, *task).and_then(|task| task.instance).map(|instance| instance.of);
            let mut above = self.line_of(*job).filter_map(|job| job.parent.as_ref()).map(|(parent, _)| (parent.job, parent.task));
            parent.is_some_and(|parent| chosen.contains(&(*job, parent))) || above.any(|above| chosen.contains(&above))
        };
        let taken_care_of: BTreeSet<_> = chosen.iter().copied().filter(is_taken_care_of).collect();
        chosen.retain(|task| !taken_care_of.contains(task));
        let count = chosen.len();
        let revived = self.run_again(chosen, which != RequeueWhich::Failed, now);
        Ok(Done::Affected { count: u32::try_from(count + revived).unwrap_or(u32::MAX) })
    }

    /// Runs these again, and brings back what was given up because of them; with new child jobs when all of it begins anew.
    pub(super) fn run_again(&mut self, chosen: BTreeSet<(JobId, TaskIdx)>, anew: bool, now: Now) -> usize {
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
            self.requeue_task(*job, *task, anew, now);
        }
        for name in tried {
            self.try_credential(&name, now);
        }
        for (job, task) in &chosen {
            self.mapping_of(*job, *task).iter().for_each(|parent| self.reopen_mapping(*job, *parent, now));
        }
        let mut all: Vec<(JobId, TaskIdx)> = chosen.into_iter().collect();
        for job in jobs {
            all.extend(self.reopen_above(job, now));
        }
        self.bring_back(&all, now)
    }

    /// What follows when these have left their end; how many others run again because of a stop that is lifted.
    pub(super) fn bring_back(&mut self, tasks: &[(JobId, TaskIdx)], now: Now) -> usize {
        let mut reset: Vec<(JobId, TaskIdx)> = Vec::new();
        let jobs: BTreeSet<JobId> = tasks.iter().map(|(job, _)| *job).collect();
        for job in &jobs {
            reset.extend(self.revive_skipped(*job, now).into_iter().map(|task| (*job, task)));
        }
        let revived = reset.len();
        let mut roots: BTreeSet<(JobId, TaskIdx)> = tasks.iter().copied().collect();
        roots.extend(tasks.iter().filter_map(|(job, task)| Some((*job, self.mapping_of(*job, *task)?))));
        for (job, task) in roots {
            reset.extend(self.reset_dependents(job, task, now).into_iter().map(|task| (job, task)));
        }
        for job in &jobs {
            self.reopen_finally(*job, now);
        }
        for (job, task) in tasks.iter().chain(&reset) {
            self.settle_or_end(*job, *task, now);
        }
        revived
    }

    /// The mapped task that a task is an instance of.
    fn mapping_of(&self, job: JobId, task: TaskIdx) -> Option<TaskIdx> {
        self.task(job, task)?.instance.map(|instance| instance.of)
    }

    /// What a named task means: itself, or of a mapped one its instances that failed.
    fn named(&self, job: JobId, idx: TaskIdx, which: RequeueWhich, target: &Address) -> Result<Vec<(JobId, TaskIdx)>, Refusal> {
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
        {
            let is_failed = |idx: &TaskIdx| {
                let state = self.task(job, *idx).map(|task| &task.state);
                matches!(state, Some(TaskState::Failed | TaskState::Cancelled | TaskState::UpstreamFailed))
            };
            let current = || mapped.instances.iter().take(mapped.items.len()).copied();
            let below = current().filter_map(|idx| self.child_of(job, idx)).flat_map(|child| self.in_job(child, which));
            let failed: Vec<_> = current().filter(is_failed).map(|idx| (job, idx)).chain(below).collect();
            if failed.is_empty() {
                return Err(Refusal {
                    code: RefusalCode::Conflict,
                    message: format!("no instance of `{target}` failed or was cancelled"),
                    hint: format!("`airx requeue {target} --all` runs all of them again once it is over"),
                });
            }
            return Ok(failed);
        }
        if let Some(child) = self.child_of(job, idx).filter(|_| which == RequeueWhich::Failed) {
            let failed = self.in_job(child, which);
            if !failed.is_empty() {
                return Ok(failed);
            }
        }
        if !task.state.is_terminal() && !matches!(task.state, TaskState::Held { .. }) {
            return Err(refused(&target.to_string(), &task.state));
        }
        Ok(vec![(job, idx)])
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

    /// What of a job a requeue means; of those below it that go on, what failed.
    pub(super) fn in_job(&self, job: JobId, which: RequeueWhich) -> Vec<(JobId, TaskIdx)> {
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
        let tasks = || (0u32..).map(TaskIdx).zip(&job.tasks);
        let own = tasks().filter(|(_, task)| wanted(task)).map(|(idx, _)| (job.id, idx));
        let goes_on = which == RequeueWhich::Failed && job.counts.of(TaskKind::Delegated) > 0;
        let children = tasks().filter(|_| goes_on).filter_map(|(idx, _)| self.child_of(job.id, idx));
        own.chain(children.flat_map(|child| self.in_job(child, which))).collect()
    }

    fn requeue_task(&mut self, job: JobId, task: TaskIdx, anew: bool, now: Now) {
        let Some(found) = self.task(job, task) else { return };
        if let Ok(state) = found.state.next(TaskEvent::Requeue { ready: false }) {
            self.emit(Change::TaskRequeued { job, task, state, anew }, now);
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
    pub(super) fn takes_back(&self, job: JobId, parent: TaskIdx) -> bool {
        use TaskState::{Cancelled, Completed, Failed, Mapped, Skipped};
        let Some(task) = self.task(job, parent) else { return false };
        // Without a list it is where something else has brought it.
        let has_list = task.mapped.as_ref().is_some_and(|mapped| !mapped.items.is_empty());
        has_list && matches!(task.state, Mapped { .. } | Completed | Failed | Cancelled | Skipped { why: SkipReason::Rule })
    }

    /// A mapped task goes on when an instance of it does.
    pub(super) fn reopen_mapping(&mut self, job: JobId, parent: TaskIdx, now: Now) {
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
                self.requeue_task(id, task, true, now);
            } else if let Ok(state) = found.state.next(TaskEvent::Reset) {
                self.emit(Change::TaskMoved { job: id, task, state }, now);
            }
        }
    }

    /// Tasks that `on_failure: stop` skipped get their turn again once the stop is lifted.
    fn revive_skipped(&mut self, id: JobId, now: Now) -> Vec<TaskIdx> {
        let Some(job) = self.jobs.get(&id).filter(|job| !job.stopped) else { return Vec::new() };
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
