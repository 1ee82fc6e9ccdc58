//! The only place where memory moves: a change is applied exactly as it will be committed.

use crate::model::artifact;
use crate::model::change::{Change, mapped_state};
use crate::model::ids::{AttemptId, JobId, TaskIdx};
use crate::model::outcome::gated_after;
use crate::model::question::OF_APPROVAL;
use crate::model::spec::{ROUND_TIMEOUT_MS, RetryClass, TaskSpec};
use crate::model::state::{BudgetOf, Hold, Spends, TaskState};
use crate::model::stored::StoredQuestion;
use crate::model::time::{Mono, Now};

use super::budget::used_of;
use super::job::{Job, Task};
use super::session::PastSession;
use super::{BACKSTOP_MS, Core, Live, Schedule};

impl Core {
    /// Moves memory by one change.
    pub(super) fn apply(&mut self, change: &Change, now: Now) {
        match change {
            Change::JobSubmitted { job, name, spec, key, parent } => {
                self.last_job = self.last_job.max(job.0);
                self.numbers.insert(name.name.clone(), name.number);
                if let Some(key) = key {
                    self.keys.insert(key.clone(), name.clone());
                }
                self.by_name.insert(name.clone(), *job);
                let mut new = Job::new(*job, name.clone(), spec.clone());
                new.turns.since = self.line();
                if let Some(parent) = parent {
                    new.parent = self.jobs.get(&parent.job).map(|of| (*parent, of.name.clone()));
                    if let Some(task) = self.task_mut(parent.job, parent.task) {
                        task.child = Some(Box::new(name.clone()));
                    }
                }
                self.jobs.insert(*job, new);
            }
            Change::TaskAdded { job: id, spec, origin, state, .. } => {
                if let Some(job) = self.jobs.get_mut(id) {
                    job.push(Task::new(spec.clone(), origin.clone(), state.clone()));
                    if *state == TaskState::Queued {
                        self.ready_jobs.insert(*id);
                    }
                }
            }
            Change::TaskMoved { job, task, state } => {
                self.let_go_of_list(*job, *task, state);
                self.move_task(*job, *task, state, now);
            }
            Change::TaskRequeued { job, task, state, anew } => {
                self.let_go_of_list(*job, *task, state);
                if let Some(task) = self.task_mut(*job, *task) {
                    task.begin_anew();
                    task.child = task.child.take().filter(|_| !anew);
                }
                self.move_task(*job, *task, state, now);
            }
            Change::TaskEnded { job, task, state, result, .. } => {
                if let (Some(task), Some(result)) = (self.task_mut(*job, *task), result) {
                    task.result = Some(result.clone());
                }
                self.move_task(*job, *task, state, now);
            }
            Change::TaskExpanded { job: id, task, items } => {
                if let Some(job) = self.jobs.get_mut(id) {
                    job.expand(*task, items);
                }
                self.move_task(*id, *task, &mapped_state(items), now);
            }
            Change::AttemptOpened { attempt, pool, session, resumes } => {
                self.note_turn(*attempt, pool);
                if let Some(task) = self.task_mut(attempt.job, attempt.task) {
                    task.attempts = attempt.number;
                    task.progress = None;
                    if session.is_some() {
                        let run = task.run_mut();
                        run.session.clone_from(session);
                        run.resumes = *resumes;
                    }
                }
                self.move_task(attempt.job, attempt.task, &TaskState::Starting { attempt: attempt.number }, now);
            }
            Change::AttemptStarted { attempt } => {
                if let Some(TaskState::Starting { .. }) = self.task(attempt.job, attempt.task).map(|t| &t.state) {
                    self.move_task(attempt.job, attempt.task, &TaskState::Running { attempt: attempt.number }, now);
                }
            }
            Change::AttemptClosed { attempt, outcome, state, facts } => {
                let (microusd, tokens) = used_of(facts.claude.as_ref());
                self.spending.add(now.utc, microusd, tokens);
                if let Some(job) = self.jobs.get_mut(&attempt.job) {
                    job.used = (job.used.0.saturating_add(microusd), job.used.1.saturating_add(tokens));
                }
                for above in self.line_of(attempt.job).skip(1).map(|job| job.id).collect::<Vec<_>>() {
                    if let Some(job) = self.jobs.get_mut(&above) {
                        job.below = (job.below.0.saturating_add(microusd), job.below.1.saturating_add(tokens));
                    }
                }
                if let Some(task) = self.task_mut(attempt.job, attempt.task) {
                    if task.run.is_some() || facts.round.is_some() {
                        let run = task.run_mut();
                        run.used = (run.used.0.saturating_add(microusd), run.used.1.saturating_add(tokens));
                        run.past = PastSession::after(run.session.as_deref(), run.resumes, outcome, facts);
                        facts.round.iter().for_each(|round| run.rounds.add(round));
                    }
                    task.gated = gated_after(task.gated, attempt.number, outcome);
                    if let Some(class) = RetryClass::of(outcome) {
                        *task.spent.entry(class).or_default() += 1;
                    }
                    match outcome.spends() {
                        Spends::Retry => task.spent_retry += 1,
                        Spends::Infrastructure => task.spent_infra += 1,
                        Spends::Nothing => {}
                    }
                }
                self.move_task(attempt.job, attempt.task, state, now);
            }
            Change::ResultSet { attempt, result } => {
                if let Some(task) = self.task_mut(attempt.job, attempt.task) {
                    task.result = Some(result.clone());
                }
            }
            Change::ProgressSet { attempt, progress } => {
                if let Some(task) = self.task_mut(attempt.job, attempt.task) {
                    task.progress = Some(progress.clone());
                }
            }
            Change::JobMoved { job, state } => {
                if let Some(job) = self.jobs.get_mut(job) {
                    job.state = *state;
                }
            }
            Change::JobPaused { job, paused } => {
                if let Some(job) = self.jobs.get_mut(job) {
                    job.paused = *paused;
                }
            }
            Change::JobStopped { job, stopped } => {
                if let Some(job) = self.jobs.get_mut(job) {
                    job.stopped = *stopped;
                }
            }
            Change::AllPaused { paused } => self.paused = *paused,
            Change::QuestionAsked { attempt, id, question, expires } => self.apply_asked(*attempt, *id, question, *expires),
            Change::QuestionAnswered { attempt, id, answer, .. } => self.apply_answered(*attempt, *id, answer.as_deref()),
            Change::QuestionHastened { attempt, id, expires } => self.apply_hastened(*attempt, *id, *expires),
            Change::RuleAdded { job, rule } => {
                if let Some(job) = self.jobs.get_mut(job) {
                    job.rules.insert(rule.clone());
                }
            }
            Change::BudgetSet { job, budget } => {
                if let Some(job) = self.jobs.get_mut(job) {
                    job.budget = *budget;
                }
            }
            Change::PrioritySet { job, priority } => {
                if let Some(job) = self.jobs.get_mut(job) {
                    job.priority = *priority;
                }
            }
            Change::ParamsSet { job, params } => {
                if let Some(job) = self.jobs.get_mut(job) {
                    job.set_params(params);
                }
            }
            Change::CredentialMoved { credential, state } => self.apply_credential(credential, state),
            Change::RunSeen { attempt, facts } => {
                if let Some(live) = self.live.get_mut(attempt) {
                    live.facts = Some(facts.as_ref().clone());
                }
            }
            Change::ScheduleSet { name, rule, submission, state } => {
                let (rule, state) = (rule.as_ref().clone(), state.as_ref().clone());
                self.apply_schedule(name.clone(), Schedule { rule, submission: submission.clone(), state });
            }
            Change::ScheduleMoved { name, state, .. } | Change::SchedulePaused { name, state, .. } => {
                self.apply_schedule_state(name, state);
            }
            Change::ScheduleRemoved { name } => self.apply_schedule_removed(name),
            Change::AttemptStale { .. } | Change::OutboxRefused { .. } => {}
        }
        if let Some(job) = change.job() {
            self.touched.insert(job);
        }
    }

    fn let_go_of_list(&mut self, job: JobId, task: TaskIdx, state: &TaskState) {
        if let Some(job) = self.jobs.get_mut(&job).filter(|_| *state == TaskState::Pending) {
            job.let_go(task);
        }
    }

    pub(super) fn task_mut(&mut self, job: JobId, task: TaskIdx) -> Option<&mut Task> {
        self.jobs.get_mut(&job)?.tasks.get_mut(task.0 as usize)
    }

    /// Gives a task its new state; timers, live attempts and ready jobs follow.
    fn move_task(&mut self, id: JobId, idx: TaskIdx, state: &TaskState, now: Now) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let Some(task) = job.tasks.get(idx.0 as usize) else { return };
        let old = task.state.clone();
        if old == TaskState::Queued {
            self.deciding.remove(&(id, idx));
        }
        let limits = task.spec.limits.clone();
        // What follows the command within the same attempt has deadlines of its own, each with a grace.
        let condition_ms = task.spec.repeat.as_ref().map(|_| ROUND_TIMEOUT_MS);
        let gate_ms = task.spec.accept.as_ref().map(|gate| gate.timeout_ms);
        let keeping_ms = keeping_ms(&task.spec);
        let further_ms = [condition_ms, gate_ms].into_iter().flatten().map(|ms| ms.saturating_add(limits.grace_ms));
        let further_ms = further_ms.fold(keeping_ms, u64::saturating_add);
        job.set_state(idx, state.clone());
        self.index_waiting(id, idx, &old, state);
        let Some(job) = self.jobs.get(&id) else { return };
        if job.has_ready() {
            self.ready_jobs.insert(id);
        } else {
            self.ready_jobs.remove(&id);
        }
        if let Some(due) = due(&old) {
            self.timers.remove(&(due, id, idx));
        }
        if let Some(due) = due(state) {
            self.timers.insert((due, id, idx));
        }
        match (waits_for_budget(&old), waits_for_budget(state)) {
            (_, true) => drop(self.over_budget.entry(id).or_default().insert(idx)),
            (true, false) => {
                if let Some(tasks) = self.over_budget.get_mut(&id) {
                    tasks.remove(&idx);
                    if tasks.is_empty() {
                        self.over_budget.remove(&id);
                    }
                }
            }
            (false, false) => {}
        }
        match (old.live_attempt(), state.live_attempt()) {
            (Some(number), None) => {
                self.live.remove(&AttemptId { job: id, task: idx, number });
            }
            (_, Some(number)) => {
                let live = self.live.entry(AttemptId { job: id, task: idx, number }).or_default();
                live.kill_at = match state {
                    TaskState::Running { .. } => limits
                        .timeout_ms
                        .map(|timeout| [timeout, limits.grace_ms, further_ms, BACKSTOP_MS].into_iter().fold(now.mono, after)),
                    TaskState::Cancelling { kill, .. } => {
                        let patience_ms = if *kill { 0 } else { limits.grace_ms.saturating_add(keeping_ms) };
                        Some(after(after(now.mono, BACKSTOP_MS), patience_ms))
                    }
                    _ => None,
                };
            }
            (None, None) => {}
        }
    }

    /// What is stored of an attempt that may be alive, beyond its state.
    fn recall_run(&mut self, job: JobId, task: TaskIdx, state: &TaskState) {
        let of_approval = matches!(state, TaskState::AwaitingApproval { .. }).then_some(OF_APPROVAL);
        let Some(number) = state.live_attempt().or(of_approval) else { return };
        let attempt = AttemptId { job, task, number };
        let Some(found) = self.task_mut(job, task) else { return };
        let Some(run) = &mut found.run else { return };
        let (facts, questions) = (run.seen.take(), std::mem::take(&mut run.questions));
        if let Some(live) = self.live.get_mut(&attempt) {
            live.facts = facts;
        }
        for question in questions {
            let StoredQuestion { id, question, expires, answer, is_settled } = question;
            self.apply_asked(attempt, id, &question, expires);
            if is_settled {
                self.apply_answered(attempt, id, answer.as_ref());
            }
        }
    }

    /// Derives what is not stored for a job that has just been brought in.
    pub(super) fn index_job(&mut self, id: JobId, now: Now) {
        let Some(job) = self.jobs.get(&id) else { return };
        let (name, number) = (job.name.name.clone(), job.name.number);
        if job.has_ready() {
            self.ready_jobs.insert(id);
        }
        let states: Vec<(TaskIdx, TaskState)> = job
            .tasks
            .iter()
            .enumerate()
            .filter(|(_, task)| {
                task.state.live_attempt().is_some()
                    || matches!(task.state, TaskState::Held { .. } | TaskState::AwaitingApproval { .. })
            })
            .map(|(place, task)| (TaskIdx(u32::try_from(place).unwrap_or(u32::MAX)), task.state.clone()))
            .collect();
        for (idx, state) in states {
            self.move_task(id, idx, &state, now);
            self.index_waiting(id, idx, &TaskState::Pending, &state);
            self.recall_run(id, idx, &state);
        }
        self.touched.insert(id);
        if self.numbers.contains_key(&name) {
            self.learn_number(&name, number);
        }
    }
}

/// Longest time that the runner takes, once all of a task's commands have ended, to keep what is left of its workspace.
fn keeping_ms(task: &TaskSpec) -> u64 {
    let artifacts_ms = task.artifacts.as_ref().map(|_| artifact::PATIENCE_MS);
    let result_ms = task.result.as_ref().and_then(|result| result.file.as_ref()).map(|_| artifact::RESULT_PATIENCE_MS);
    artifacts_ms.unwrap_or(0).saturating_add(result_ms.unwrap_or(0))
}

/// Never past the end of time: whoever submits may write any number.
fn after(at: Mono, millis: u64) -> Mono {
    Mono(at.0.saturating_add(millis))
}

fn waits_for_budget(state: &TaskState) -> bool {
    matches!(state, TaskState::Held { hold: Hold::Budget { of: BudgetOf::Job, .. } })
}

/// When a held task has to be looked at again by itself.
pub(super) fn due(state: &TaskState) -> Option<crate::model::time::Utc> {
    match state {
        TaskState::Held { hold: Hold::Retry { at, .. } } => Some(*at),
        TaskState::Held { hold: Hold::Quiet { until } } => Some(*until),
        TaskState::Held { hold: Hold::Budget { until, .. } } => *until,
        _ => None,
    }
}

impl Live {
    /// The backend is asked to start it: answers to earlier inspections do not know of that yet.
    pub(super) fn launched(&mut self) {
        self.stale = self.inspected;
    }

    /// How often in a row no trace was found; none when the answer is older than the launch.
    pub(super) fn miss(&mut self) -> Option<u32> {
        self.inspected = self.inspected.saturating_sub(1);
        if self.stale > 0 {
            self.stale -= 1;
            return None;
        }
        self.missing += 1;
        Some(self.missing)
    }

    /// An inspection was answered.
    pub(super) fn answered(&mut self) {
        self.inspected = self.inspected.saturating_sub(1);
        self.stale = self.stale.saturating_sub(1);
    }

    /// A trace was found.
    pub(super) fn found(&mut self) {
        self.missing = 0;
        self.confirmed = true;
    }
}
