//! People and their configuration: what they ask for, answer, and do in the end.

use airx::model::core::{ClaudeLimits, DayBudget, Input, Limits};
use airx::model::ids::{Address, AttemptId, JobName, JobRef};
use airx::model::message::{Command, RequeueWhich};
use airx::model::question::{Answer, QuestionBody};
use airx::model::spec::Budget;
use airx::model::state::{BudgetOf, Hold, TaskState};
use airx::model::time::Utc;

use crate::approvals::PEOPLE;
use crate::watch::MAX_RUNS;
use crate::{load, schedules};

use super::{Plant, SLOTS, Sim};

/// A day.
const DAY_MS: i64 = 86_400_000;

impl Sim {
    /// The configuration, and what follows of it from the clock.
    pub(super) fn limits(&self) -> Limits {
        let extra = if self.plant == Plant::SlotsMiscounted { 2 } else { 0 };
        let runs = if self.plant == Plant::RunsMiscounted { MAX_RUNS + 2 } else { MAX_RUNS };
        let now = self.now().utc;
        let begins = Utc(now.0.div_euclid(DAY_MS) * DAY_MS);
        let budget = Budget { microusd: Some(3_000_000), tokens: None };
        Limits {
            slots: SLOTS.iter().map(|(name, slots)| ((*name).to_owned(), slots + extra)).collect(),
            claude: ClaudeLimits {
                max_parallel: Some(runs),
                quiet_until: self.quiet_until.filter(|until| !self.is_calm && *until > now),
                day: (!self.is_calm).then(|| DayBudget { budget, begins, ends: begins.plus(DAY_MS) }),
                ..ClaudeLimits::default()
            },
        }
    }

    /// Questions that wait, as the rows say.
    pub(super) fn open_questions(&self) -> Vec<(u32, QuestionBody)> {
        let journal = self.journal.lock().expect("one thread");
        let tasks = journal.rows.jobs.values().flat_map(|job| &job.tasks);
        let open = tasks.flat_map(|task| &task.questions).filter(|question| !question.is_settled);
        open.map(|question| (question.id, question.question.body.clone())).collect()
    }

    /// A person looks into the inbox.
    pub(super) fn answer_something(&mut self) {
        let open = self.open_questions();
        if let Some((question, body)) = self.dice.pick(&open) {
            let answer = load::answer(&mut self.dice, body);
            let answer_is_unnamed = self.dice.chance(200);
            let by_name = self.dice.pick(&PEOPLE).filter(|_| !answer_is_unnamed).map(|name| (*name).to_owned());
            self.ask(Command::Answer { question: *question, answer, by_name });
        }
    }

    /// What waits for a person gets one.
    pub(super) fn duties(&mut self) {
        for (question, body) in self.open_questions() {
            let answer = match body {
                QuestionBody::Permission { .. } => Answer::Allow { input: None, always: false },
                QuestionBody::Words { .. } => Answer::Say { text: "go on".to_owned() },
                QuestionBody::Approval { .. } => Answer::Approve { comment: String::new() },
            };
            for name in PEOPLE {
                self.ask(Command::Answer { question, answer: answer.clone(), by_name: Some(name.to_owned()) });
            }
        }
        for (job, task, hold) in self.held() {
            match hold {
                // It may be that of any job that this one is below.
                Hold::Budget { of: BudgetOf::Job, .. } => {
                    for job in self.line_of(&job) {
                        self.ask(Command::Budget { job, budget: None });
                    }
                }
                Hold::Limit { asks: true, until } if until <= self.now().utc => {
                    let targets = vec![Address { job, task: Some(task) }];
                    self.ask(Command::Requeue { targets, which: RequeueWhich::Failed, params: Vec::new() });
                }
                _ => {}
            }
        }
    }

    /// A job and those that it is below.
    fn line_of(&self, job: &JobRef) -> Vec<JobRef> {
        let journal = self.journal.lock().expect("one thread");
        let is_it = |name: &JobName| name.name == job.name && Some(name.number) == job.number;
        let first = journal.jobs.values().find(|known| is_it(&known.name));
        let line = std::iter::successors(first, |job| journal.jobs.get(&job.parent.as_ref()?.0.job.0));
        line.map(|job| JobRef { name: job.name.name.clone(), number: Some(job.name.number) }).collect()
    }

    pub(super) fn held(&self) -> Vec<(JobRef, String, Hold)> {
        let journal = self.journal.lock().expect("one thread");
        let mut held = Vec::new();
        for (id, job) in journal.rows.jobs.iter().filter(|(id, _)| !journal.damaged.contains(id)) {
            let Some(stored) = journal.jobs.get(id) else { continue };
            let reference = JobRef { name: stored.name.name.clone(), number: Some(stored.name.number) };
            for (task, row) in stored.tasks.iter().zip(&job.tasks) {
                if let TaskState::Held { hold } = &row.state {
                    let index = task.instance.map_or(String::new(), |(_, index)| format!("/{index}"));
                    held.push((reference.clone(), format!("{}{index}", task.spec.id), hold.clone()));
                }
            }
        }
        held
    }

    /// Somebody asks for something.
    pub(super) fn person(&mut self) {
        if self.dice.chance(350) {
            let (key, submission) = match self.dice.pick(&self.unanswered) {
                Some(again) if self.plant == Plant::KeysForgotten || self.turn.is_some() => again.clone(),
                _ => (format!("key{}", self.dice.next()), load::submission(&mut self.dice)),
            };
            self.next_request += 1;
            self.submits.insert(self.next_request, key.clone());
            if !self.unanswered.iter().any(|(known, _)| *known == key) {
                self.unanswered.push((key.clone(), submission.clone()));
            }
            let command = Command::Submit { submission: Box::new(submission), key: Some(key) };
            self.waiting.insert(self.next_request);
            self.inputs.push(Input::Command(self.next_request, command));
            return;
        }
        if self.dice.chance(250) {
            let command = schedules::command(&mut self.dice);
            self.ask(command);
            return;
        }
        let jobs = self.known_jobs();
        let command = load::command(&mut self.dice, &jobs);
        if self.dice.chance(100) {
            let live: Vec<AttemptId> = self.attempts.values().filter(|a| a.runner.is_some()).map(|a| a.id).collect();
            if let Some(id) = self.dice.pick(&live).copied() {
                self.next_request += 1;
                self.inputs.push(Input::Intake(self.next_request, id));
            }
        }
        self.ask(command);
    }

    pub fn ask(&mut self, command: Command) {
        self.next_request += 1;
        self.waiting.insert(self.next_request);
        self.inputs.push(Input::Command(self.next_request, command));
    }

    pub(super) fn known_jobs(&self) -> Vec<(JobRef, u32)> {
        let journal = self.journal.lock().expect("one thread");
        let reference = |name: &JobName| JobRef { name: name.name.clone(), number: Some(name.number) };
        journal.jobs.values().map(|job| (reference(&job.name), job.tasks.len() as u32)).collect()
    }

    pub(super) fn resume_all(&mut self) -> Result<(), String> {
        self.remove_schedules();
        self.ask(Command::Resume { job: None });
        let jobs: Vec<JobRef> = self.known_jobs().into_iter().map(|(job, _)| job).collect();
        for job in jobs {
            self.ask(Command::Resume { job: Some(job) });
        }
        self.deliver(true)
    }
}
