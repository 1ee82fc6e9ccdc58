//! The rows that a journal says there must be: a fold over its events, written apart from the core and from the store so
//! that a fault in one of them shows as a difference.

mod questions;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::attempt::Progress;
use super::change::{AttemptFacts, Change, Event, Parent, Rounds, TaskResult};
use super::credential::{Credential, CredentialState};
use super::ids::{AttemptId, JobId, TaskIdx};
use super::schedule::{MAX_FIRINGS, Passed, Rule, ScheduleState};
use super::spec::{Budget, RetryClass, Submission};
use super::state::{Counts, FailCause, JobState, Outcome, SkipReason, Spends, TaskKind, TaskState};
use super::stored::{StoredAttempt, StoredQuestion};

/// Everything a journal tells.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Replayed {
    /// Jobs by number.
    pub jobs: BTreeMap<u32, ReplayedJob>,
    /// Whether everything is paused.
    pub paused: bool,
    /// What is known of the credentials.
    pub credentials: BTreeMap<Credential, CredentialState>,
    /// The highest question number.
    pub last_question: u32,
    /// Schedules by name.
    pub schedules: BTreeMap<String, ReplayedSchedule>,
}

/// A schedule as its events say.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplayedSchedule {
    /// Its times.
    pub rule: Rule,
    /// What it submits.
    pub submission: Arc<Submission>,
    /// Where it stands.
    pub state: ScheduleState,
    /// Its newest times and what became of them.
    pub passed: VecDeque<Passed>,
}

/// A job as its events say.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplayedJob {
    /// The task whose child it is.
    pub parent: Option<Parent>,
    /// Where it stands.
    pub state: JobState,
    /// Whether a person paused it.
    pub paused: bool,
    /// Whether `on_failure: stop` took effect.
    pub stopped: bool,
    /// What its Claude runs used.
    pub used: (u64, u64),
    /// What those of all jobs below it used.
    pub below: (u64, u64),
    /// What a person allowed for all of it.
    pub rules: Vec<String>,
    /// Its priority.
    pub priority: i32,
    /// Parameters that a person changed since.
    pub params: BTreeMap<String, serde_json::Value>,
    /// Its budget, once a person gave it another.
    pub budget: Option<Option<Budget>>,
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
    /// How these ended.
    pub spent: BTreeMap<String, u32>,
    /// The attempt whose gate's output the next one is to know of.
    pub gated: Option<u32>,
    /// Its result.
    pub result: Option<TaskResult>,
    /// How far it says it is.
    pub progress: Option<Progress>,
    /// Outcomes of its attempts in order; none while one is open.
    pub outcomes: Vec<Option<Outcome>>,
    /// What its Claude runs used since the last requeue.
    pub used: (u64, u64),
    /// Its rounds since then.
    pub rounds: Rounds,
    /// Its newest attempts, at most two, as later ones depend on them.
    pub newest: Vec<StoredAttempt>,
    /// Questions of its newest attempt.
    pub questions: Vec<StoredQuestion>,
    /// Of an instance: the place of its mapped task, and its item's.
    pub instance: Option<(u32, u32)>,
    /// Its child job.
    pub child: Option<u32>,
    /// Of a mapped task: its list.
    pub items: Option<Arc<Vec<serde_json::Value>>>,
}

impl ReplayedJob {
    /// Its tasks by state.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.tasks.iter().for_each(|task| counts.add(task.state.kind()));
        counts
    }
}

impl ReplayedJob {
    /// A mapped task's list: its instances in the order of their indexes are the tasks that name it as theirs.
    fn expand(&mut self, parent: u32, items: &Arc<Vec<serde_json::Value>>) -> Result<(), String> {
        let number = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let mut known = 0;
        for task in &mut self.tasks {
            let Some((_, index)) = task.instance.filter(|(of, _)| *of == parent) else { continue };
            known += 1;
            if index < number(items.len()) {
                task.anew(TaskState::Queued);
                (task.result, task.child) = (None, None);
            } else {
                task.state = TaskState::Skipped { why: SkipReason::Gone };
            }
        }
        for index in known..number(items.len()) {
            self.tasks.push(ReplayedTask::new(TaskState::Queued, Some((parent, index))));
        }
        let Some(task) = self.tasks.get_mut(parent as usize) else { return Err(format!("there is no task {parent} to map")) };
        task.items = Some(items.clone());
        task.state = match number(items.len()) {
            0 => TaskState::Skipped { why: SkipReason::Empty },
            instances => TaskState::Mapped { instances },
        };
        Ok(())
    }
}

impl Replayed {
    /// A mapped task that is pending again has no list until it is told anew.
    fn let_go(&mut self, job: JobId, task: TaskIdx, state: &TaskState) -> Result<(), String> {
        let has_list = self.task(job, task)?.items.as_ref().is_some_and(|items| !items.is_empty());
        if *state == TaskState::Pending && has_list { self.job(job)?.expand(task.0, &Arc::new(Vec::new())) } else { Ok(()) }
    }
}

impl ReplayedTask {
    fn new(state: TaskState, instance: Option<(u32, u32)>) -> ReplayedTask {
        ReplayedTask {
            state,
            attempts: 0,
            spent_retry: 0,
            spent_infra: 0,
            spent: BTreeMap::new(),
            gated: None,
            result: None,
            progress: None,
            outcomes: Vec::new(),
            used: (0, 0),
            rounds: Rounds::default(),
            newest: Vec::new(),
            questions: Vec::new(),
            instance,
            child: None,
            items: None,
        }
    }

    /// To another state with budgets that start afresh.
    fn anew(&mut self, state: TaskState) {
        self.spent_retry = 0;
        self.spent_infra = 0;
        self.spent.clear();
        self.progress = None;
        (self.used, self.rounds) = ((0, 0), Rounds::default());
        self.state = state;
    }

    /// To another state. How far the launch was goes with the one it was told of.
    fn go(&mut self, state: &TaskState) {
        let (was, is) = (self.state.kind() == TaskKind::Starting, state.kind() == TaskKind::Starting);
        if was && !is {
            self.progress = None;
        }
        self.state = state.clone();
    }
}

impl Replayed {
    /// Takes in the next event.
    ///
    /// # Errors
    /// What is wrong with it: it names something that does not exist, or breaks a rule of DESIGN section 4.
    pub fn apply(&mut self, event: &Event) -> Result<(), String> {
        match &event.change {
            Change::JobSubmitted { job, spec, parent, .. } => {
                if let Some(Parent { job: of, task }) = parent {
                    self.task(*of, *task)?.child = Some(job.0);
                }
                let new = ReplayedJob {
                    parent: *parent,
                    state: JobState::Waiting,
                    paused: false,
                    stopped: false,
                    used: (0, 0),
                    below: (0, 0),
                    rules: Vec::new(),
                    budget: None,
                    priority: spec.priority,
                    params: BTreeMap::new(),
                    tasks: Vec::new(),
                };
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
                job.tasks.push(ReplayedTask::new(state.clone(), None));
                Ok(())
            }
            Change::TaskMoved { job, task, state } => {
                self.let_go(*job, *task, state)?;
                self.task(*job, *task)?.leave(state)
            }
            Change::TaskRequeued { job, task, state, anew } => {
                self.let_go(*job, *task, state)?;
                self.task(*job, *task).map(|task| {
                    task.anew(state.clone());
                    task.child = task.child.filter(|_| !anew);
                })
            }
            Change::TaskEnded { job, task, state, result, .. } => {
                let task = self.task(*job, *task)?;
                result.iter().for_each(|result| task.result = Some(result.clone()));
                task.leave(state)
            }
            Change::TaskExpanded { job, task, items } => self.job(*job)?.expand(task.0, items),
            Change::AttemptOpened { attempt, session, resumes, .. } => {
                let new = StoredAttempt { session: session.clone(), resumes: *resumes, opened: event.at, end: None, seen: None };
                self.opened(*attempt, new)
            }
            Change::AttemptStarted { attempt } => self.task(attempt.job, attempt.task).map(|task| {
                if matches!(task.state, TaskState::Starting { .. }) {
                    task.go(&TaskState::Running { attempt: attempt.number });
                }
            }),
            Change::AttemptClosed { attempt, outcome, state, facts } => self.closed(*attempt, outcome, facts, state),
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
            Change::QuestionAsked { attempt, id, question, expires } => {
                if *id <= self.last_question {
                    return Err(format!("question {id} does not follow question {}", self.last_question));
                }
                self.last_question = *id;
                let question = question.as_ref().clone();
                let new = StoredQuestion { id: *id, question, expires: *expires, answer: None, is_settled: false };
                self.task(attempt.job, attempt.task)?.asked(*attempt, new)
            }
            Change::QuestionAnswered { attempt, id, answer, .. } => {
                let task = self.task(attempt.job, attempt.task)?;
                match task.questions.iter_mut().find(|known| known.id == *id && !known.is_settled) {
                    Some(known) => {
                        (known.answer, known.is_settled) = (answer.as_deref().cloned(), true);
                        Ok(())
                    }
                    None => Err(format!("question {id} is answered, but does not wait")),
                }
            }
            Change::QuestionHastened { attempt, id, expires } => self.task(attempt.job, attempt.task)?.hastened(*id, *expires),
            Change::RuleAdded { job, rule } => self.job(*job).map(|job| job.rules.push(rule.clone())),
            Change::BudgetSet { job, budget } => self.job(*job).map(|job| job.budget = Some(*budget)),
            Change::PrioritySet { job, priority } => self.job(*job).map(|job| job.priority = *priority),
            Change::ParamsSet { job, params } => self.job(*job).map(|job| job.params.clone_from(params)),
            Change::CredentialMoved { credential, state } => {
                self.credentials.insert(credential.clone(), state.as_ref().clone());
                Ok(())
            }
            Change::RunSeen { attempt, facts } => {
                let task = self.task(attempt.job, attempt.task)?;
                task.newest.iter_mut().last().iter_mut().for_each(|run| run.seen = Some(facts.as_ref().clone()));
                Ok(())
            }
            Change::ScheduleSet { .. }
            | Change::ScheduleMoved { .. }
            | Change::SchedulePaused { .. }
            | Change::ScheduleRemoved { .. } => self.schedule(&event.change),
            Change::AttemptStale { .. } | Change::OutboxRefused { .. } => Ok(()),
        }
    }

    fn opened(&mut self, attempt: AttemptId, new: StoredAttempt) -> Result<(), String> {
        let task = self.task(attempt.job, attempt.task)?;
        if attempt.number != task.attempts + 1 {
            return Err(format!("attempt {attempt} does not follow attempt {}", task.attempts));
        }
        if task.outcomes.last().is_some_and(Option::is_none) {
            return Err(format!("attempt {attempt} is opened while the one before is open"));
        }
        task.attempts = attempt.number;
        task.outcomes.push(None);
        task.questions.clear();
        if task.newest.len() > 1 {
            task.newest.remove(0);
        }
        task.newest.push(new);
        task.progress = None;
        task.state = TaskState::Starting { attempt: attempt.number };
        Ok(())
    }

    fn closed(&mut self, attempt: AttemptId, outcome: &Outcome, facts: &AttemptFacts, state: &TaskState) -> Result<(), String> {
        let claude = facts.claude.as_ref();
        let more = claude.map_or((0, 0), |run| (run.cost_microusd, run.input_tokens.saturating_add(run.output_tokens)));
        let job = self.job(attempt.job)?;
        job.used = (job.used.0.saturating_add(more.0), job.used.1.saturating_add(more.1));
        let mut parent = job.parent;
        while let Some(above) = parent {
            let job = self.job(above.job)?;
            job.below = (job.below.0.saturating_add(more.0), job.below.1.saturating_add(more.1));
            parent = job.parent;
        }
        let task = self.task(attempt.job, attempt.task)?;
        match task.outcomes.get_mut((attempt.number as usize).wrapping_sub(1)) {
            Some(open @ None) => *open = Some(outcome.clone()),
            Some(Some(_)) => return Err(format!("attempt {attempt} is closed twice")),
            None => return Err(format!("attempt {attempt} is closed but was never opened")),
        }
        if let Some(class) = RetryClass::of(outcome) {
            *task.spent.entry(class.to_string()).or_default() += 1;
        }
        task.gated = match outcome {
            Outcome::Failed { cause: FailCause::Gate(_) } => Some(attempt.number),
            Outcome::Succeeded => None,
            other => task.gated.filter(|_| other.spends() != Spends::Retry),
        };
        match outcome.spends() {
            Spends::Retry => task.spent_retry += 1,
            Spends::Infrastructure => task.spent_infra += 1,
            Spends::Nothing => {}
        }
        task.used = (task.used.0.saturating_add(more.0), task.used.1.saturating_add(more.1));
        facts.round.iter().for_each(|round| task.rounds.add(round));
        if let Some(run) = task.newest.last_mut() {
            (run.end, run.seen) = (Some((outcome.clone(), facts.clone())), None);
        }
        if task.questions.iter().any(|question| !question.is_settled) {
            return Err(format!("attempt {attempt} is closed while a question of it waits"));
        }
        task.go(state);
        Ok(())
    }

    fn schedule(&mut self, change: &Change) -> Result<(), String> {
        let unknown = |name: &str| format!("the schedule {name} does not exist");
        match change {
            Change::ScheduleSet { name, rule, submission, state } => {
                let (rule, state) = (rule.as_ref().clone(), state.as_ref().clone());
                let passed = self.schedules.remove(name).map(|old| old.passed).unwrap_or_default();
                self.schedules.insert(name.clone(), ReplayedSchedule { rule, submission: submission.clone(), state, passed });
            }
            Change::ScheduleMoved { name, passed, state } => {
                let schedule = self.schedules.get_mut(name).ok_or_else(|| unknown(name))?;
                schedule.state = state.as_ref().clone();
                schedule.passed.extend(passed.as_deref().cloned());
                if schedule.passed.len() > MAX_FIRINGS as usize {
                    schedule.passed.pop_front();
                }
            }
            Change::SchedulePaused { name, paused, state } => {
                let schedule = self.schedules.get_mut(name).ok_or_else(|| unknown(name))?;
                if state.paused != *paused || (*paused && state.next.is_some()) {
                    return Err(format!("the schedule {name} is paused, but something is due"));
                }
                schedule.state = state.as_ref().clone();
            }
            Change::ScheduleRemoved { name } => drop(self.schedules.remove(name).ok_or_else(|| unknown(name))?),
            _ => {}
        }
        Ok(())
    }

    fn job(&mut self, job: JobId) -> Result<&mut ReplayedJob, String> {
        self.jobs.get_mut(&job.0).ok_or_else(|| format!("job {job} does not exist"))
    }

    fn task(&mut self, job: JobId, task: TaskIdx) -> Result<&mut ReplayedTask, String> {
        self.job(job)?.tasks.get_mut(task.0 as usize).ok_or_else(|| format!("task {} of job {job} does not exist", task.0))
    }
}
