//! The rows that a journal says there must be: a fold over its events, written apart from the core and from the store so
//! that a fault in one of them shows as a difference.

use std::collections::BTreeMap;

use super::attempt::Progress;
use super::change::{Change, Event, TaskResult};
use super::ids::{AttemptId, JobId, TaskIdx};
use super::state::{Counts, JobState, Outcome, Spends, TaskState};

/// Everything a journal tells.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Replayed {
    /// Jobs by number.
    pub jobs: BTreeMap<u32, ReplayedJob>,
    /// Whether everything is paused.
    pub paused: bool,
}

/// A job as its events say.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplayedJob {
    /// Where it stands.
    pub state: JobState,
    /// Whether a person paused it.
    pub paused: bool,
    /// Whether `on_failure: stop` took effect.
    pub stopped: bool,
    /// Its tasks in order.
    pub tasks: Vec<ReplayedTask>,
}

/// A task as its events say.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplayedTask {
    /// Where it stands.
    pub state: TaskState,
    /// Attempts opened.
    pub attempts: u32,
    /// Spent of the retry budget since the last requeue.
    pub spent_retry: u32,
    /// Spent of the infrastructure budget since the last requeue.
    pub spent_infra: u32,
    /// Its result.
    pub result: Option<TaskResult>,
    /// How far it says it is.
    pub progress: Option<Progress>,
    /// Outcomes of its attempts in order; none while one is open.
    pub outcomes: Vec<Option<Outcome>>,
}

impl ReplayedJob {
    /// Its tasks by state.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.tasks.iter().for_each(|task| counts.add(task.state.kind()));
        counts
    }
}

impl Replayed {
    /// Takes in the next event.
    ///
    /// # Errors
    /// What is wrong with it: it names something that does not exist, or breaks a rule of DESIGN section 4.
    pub fn apply(&mut self, event: &Event) -> Result<(), String> {
        match &event.change {
            Change::JobSubmitted { job, .. } => {
                let new = ReplayedJob { state: JobState::Waiting, paused: false, stopped: false, tasks: Vec::new() };
                match self.jobs.insert(job.0, new) {
                    None => Ok(()),
                    Some(_) => Err(format!("job {job} is submitted twice")),
                }
            }
            Change::TaskAdded { job, task, state, .. } => {
                let job = self.job(*job)?;
                if job.tasks.len() != task.0 as usize {
                    return Err(format!("task {} is added out of order", task.0));
                }
                job.tasks.push(ReplayedTask {
                    state: state.clone(),
                    attempts: 0,
                    spent_retry: 0,
                    spent_infra: 0,
                    result: None,
                    progress: None,
                    outcomes: Vec::new(),
                });
                Ok(())
            }
            Change::TaskMoved { job, task, state } => self.task(*job, *task).map(|task| task.state = state.clone()),
            Change::TaskRequeued { job, task, state } => self.task(*job, *task).map(|task| {
                task.spent_retry = 0;
                task.spent_infra = 0;
                task.progress = None;
                task.state = state.clone();
            }),
            Change::AttemptOpened { attempt, .. } => self.opened(*attempt),
            Change::AttemptStarted { attempt } => self.task(attempt.job, attempt.task).map(|task| {
                if matches!(task.state, TaskState::Starting { .. }) {
                    task.state = TaskState::Running { attempt: attempt.number };
                }
            }),
            Change::AttemptClosed { attempt, outcome, state, .. } => self.closed(*attempt, outcome, state),
            Change::ResultSet { attempt, result } => {
                self.task(attempt.job, attempt.task).map(|task| task.result = Some(result.clone()))
            }
            Change::ProgressSet { attempt, progress } => {
                self.task(attempt.job, attempt.task).map(|task| task.progress = Some(progress.clone()))
            }
            Change::JobMoved { job, state } => self.job(*job).map(|job| job.state = *state),
            Change::JobPaused { job, paused } => self.job(*job).map(|job| job.paused = *paused),
            Change::JobStopped { job, stopped } => self.job(*job).map(|job| job.stopped = *stopped),
            Change::AllPaused { paused } => {
                self.paused = *paused;
                Ok(())
            }
            Change::AttemptStale { .. } | Change::OutboxRefused { .. } => Ok(()),
        }
    }

    fn opened(&mut self, attempt: AttemptId) -> Result<(), String> {
        let task = self.task(attempt.job, attempt.task)?;
        if attempt.number != task.attempts + 1 {
            return Err(format!("attempt {attempt} does not follow attempt {}", task.attempts));
        }
        if task.outcomes.last().is_some_and(Option::is_none) {
            return Err(format!("attempt {attempt} is opened while the one before is open"));
        }
        task.attempts = attempt.number;
        task.outcomes.push(None);
        task.progress = None;
        task.state = TaskState::Starting { attempt: attempt.number };
        Ok(())
    }

    fn closed(&mut self, attempt: AttemptId, outcome: &Outcome, state: &TaskState) -> Result<(), String> {
        let task = self.task(attempt.job, attempt.task)?;
        match task.outcomes.get_mut((attempt.number as usize).wrapping_sub(1)) {
            Some(open @ None) => *open = Some(outcome.clone()),
            Some(Some(_)) => return Err(format!("attempt {attempt} is closed twice")),
            None => return Err(format!("attempt {attempt} is closed but was never opened")),
        }
        match outcome.spends() {
            Spends::Retry => task.spent_retry += 1,
            Spends::Infrastructure => task.spent_infra += 1,
            Spends::Nothing => {}
        }
        task.state = state.clone();
        Ok(())
    }

    fn job(&mut self, job: JobId) -> Result<&mut ReplayedJob, String> {
        self.jobs.get_mut(&job.0).ok_or_else(|| format!("job {job} does not exist"))
    }

    fn task(&mut self, job: JobId, task: TaskIdx) -> Result<&mut ReplayedTask, String> {
        self.job(job)?.tasks.get_mut(task.0 as usize).ok_or_else(|| format!("task {} of job {job} does not exist", task.0))
    }
}
