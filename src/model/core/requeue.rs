//! Running finished tasks again, and bringing back what was given up because of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::change::Change;
use crate::model::diagnostic::nearest;
use crate::model::ids::{Address, JobId, TaskIdx};
use crate::model::message::{Done, Refusal, RefusalCode, RequeueWhich};
use crate::model::spec::JobSpec;
use crate::model::state::{Hold, SkipReason, TaskEvent, TaskState};
use crate::model::time::Now;

use super::Core;
use super::commands::invalid;

/// Values by name.
type Params = BTreeMap<String, serde_json::Value>;

fn waits_for_credential(state: &TaskState) -> bool {
    matches!(state, TaskState::Held { hold: Hold::Login { .. } | Hold::Limit { .. } })
}

/// Why a task that is not over is not run again.
fn refused(target: &str, state: &TaskState) -> Refusal {
    Refusal {
        code: RefusalCode::Conflict,
        message: format!("`{target}` is {}", state.kind().word()),
        hint: if state.live_attempt().is_some() {
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
                    let state = self.task(job, task).map(|task| &task.state);
                    if let Some(state) = state.filter(|state| !state.is_terminal() && !matches!(state, TaskState::Held { .. })) {
                        return Err(refused(&target.to_string(), state));
                    }
                    chosen.insert((job, task));
                    if which == RequeueWhich::From {
                        chosen.extend(self.after(job, task)?.into_iter().map(|task| (job, task)));
                    }
                }
                (job, None) => chosen.extend(self.in_job(job, which).into_iter().map(|task| (job, task))),
            }
        }
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
        for (job, task) in &chosen {
            self.reset_dependents(*job, *task, now);
        }
        for (job, task) in &chosen {
            self.ready_if_met(*job, *task, now);
        }
        for job in jobs {
            self.revive_skipped(job, now);
        }
        Ok(Done::Affected { count: u32::try_from(chosen.len()).unwrap_or(u32::MAX) })
    }

    /// Everything that comes after a task and is over. What may be running there keeps it all from being run again.
    fn after(&self, job: JobId, task: TaskIdx) -> Result<BTreeSet<TaskIdx>, Refusal> {
        let (mut after, mut seen, mut work) = (BTreeSet::new(), BTreeSet::from([task]), vec![task]);
        while let Some(task) = work.pop() {
            for dependent in self.task(job, task).map(|task| task.dependents.as_slice()).unwrap_or_default() {
                let Some(found) = self.task(job, *dependent).filter(|_| seen.insert(*dependent)) else { continue };
                if found.state.live_attempt().is_some() {
                    let job = self.jobs.get(&job).map(|job| job.name.to_string()).unwrap_or_default();
                    return Err(refused(&format!("{job}/{}", found.spec.id), &found.state));
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
        let wanted = |state: &TaskState| match which {
            // Whoever has logged in again says so by this.
            RequeueWhich::Failed => {
                matches!(
                    state,
                    TaskState::Failed
                        | TaskState::Cancelled
                        | TaskState::Held { hold: Hold::Login { .. } | Hold::Limit { asks: true, .. } }
                )
            }
            RequeueWhich::All | RequeueWhich::From => state.is_terminal(),
        };
        (0u32..).map(TaskIdx).zip(&job.tasks).filter(|(_, task)| wanted(&task.state)).map(|(idx, _)| idx).collect()
    }

    fn requeue_task(&mut self, job: JobId, task: TaskIdx, ready: bool, now: Now) {
        let Some(found) = self.task(job, task) else { return };
        if let Ok(state) = found.state.next(TaskEvent::Requeue { ready }) {
            self.emit(Change::TaskRequeued { job, task, state }, now);
        }
    }

    /// Descendants that were given up return to pending, those that wait for room wait for this task again.
    fn reset_dependents(&mut self, job: JobId, task: TaskIdx, now: Now) {
        let mut work = vec![task];
        while let Some(task) = work.pop() {
            let dependents = self.task(job, task).map(|task| task.dependents.clone()).unwrap_or_default();
            for dependent in dependents {
                let Some(found) = self.task(job, dependent) else { continue };
                let hopeless = self.jobs.get(&job).is_some_and(|job| job.needs_hopeless(&found.needs));
                let given_up = matches!(found.state, TaskState::UpstreamFailed | TaskState::Skipped { .. });
                if hopeless && given_up {
                    continue;
                }
                if let Ok(state) = found.state.next(TaskEvent::Reset) {
                    self.emit(Change::TaskMoved { job, task: dependent, state }, now);
                    if given_up {
                        work.push(dependent);
                    }
                }
            }
        }
    }

    /// A pending task whose needs are all completed becomes ready; one that needs a hopeless task is given up again.
    fn ready_if_met(&mut self, job: JobId, task: TaskIdx, now: Now) {
        let Some(found) = self.task(job, task) else { return };
        if found.state != TaskState::Pending {
            return;
        }
        if found.unmet == 0 {
            self.emit(Change::TaskMoved { job, task, state: TaskState::Queued }, now);
        } else if self.jobs.get(&job).is_some_and(|job| job.needs_hopeless(&found.needs)) {
            self.emit(Change::TaskMoved { job, task, state: TaskState::UpstreamFailed }, now);
            self.after_terminal(job, task, now);
        }
    }

    /// Tasks that `on_failure: stop` skipped get their turn again once the stop is lifted.
    fn revive_skipped(&mut self, id: JobId, now: Now) {
        let Some(job) = self.jobs.get(&id) else { return };
        let skipped: Vec<TaskIdx> = (0u32..)
            .map(TaskIdx)
            .zip(&job.tasks)
            .filter(|(_, task)| task.state == TaskState::Skipped { why: SkipReason::Stopped })
            .map(|(idx, _)| idx)
            .collect();
        for task in &skipped {
            self.emit(Change::TaskMoved { job: id, task: *task, state: TaskState::Pending }, now);
        }
        for task in skipped {
            self.ready_if_met(id, task, now);
        }
    }
}
