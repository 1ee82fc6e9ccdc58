//! What a manager would know of Claude runs: how far they are, what they ask, and what is known of their credentials.

use airx::model::change::Change;
use airx::model::credential::CredentialState;
use airx::model::ids::{AttemptId, JobId, JobName, TaskIdx};
use airx::model::live::{LiveFacts, Spent, UsageWindow};
use airx::model::message::CredentialView;
use airx::model::question::{Answer, AnsweredBy, OF_APPROVAL, Question, QuestionBody, QuestionView};
use airx::model::state::TaskState;
use airx::tui::data::sync::Incoming;

use super::{MINUTE, NOON, Task, World, ago};

/// A usage window that begins anew so many milliseconds from now.
pub fn window(kind: &str, percent: u8, resets_in: u64) -> UsageWindow {
    let resets_at = Some(NOON.plus(i64::try_from(resets_in).unwrap()));
    UsageWindow { kind: kind.to_owned(), percent: Some(percent), resets_at, is_rejected: false }
}

impl Task {
    /// How far its run is: turns, tokens, cost, and its list of things to do.
    pub fn runs(mut self, turns: u32, microusd: u64, todo: Option<(u32, u32, &str)>) -> Task {
        let spent = Spent { input_tokens: 8_100, output_tokens: 420, cost_microusd: microusd, is_exact: false };
        let todo = todo.map(|(done, all, active)| (done, all, active.to_owned()));
        self.view.run = Some(Box::new(LiveFacts { turns, spent, todo, ..LiveFacts::default() }));
        self
    }
}

impl World {
    /// A running task asks, or an approval does: it waits for a person from now on. Times out after so many milliseconds, into a
    /// denial.
    pub fn asks(&mut self, job: u32, id: &str, body: QuestionBody, timeout_ms: Option<u64>) -> Incoming {
        let place = self.place(job, id).unwrap();
        let (name, task) = {
            let job = &mut self.jobs[job as usize - 1];
            (job.view.name.clone(), &mut job.tasks[place as usize])
        };
        let number = self.last_question + 1;
        let (attempt, state) = match body {
            QuestionBody::Approval { .. } => (OF_APPROVAL, TaskState::AwaitingApproval { question: number }),
            _ => (task.view.attempts, TaskState::AwaitingInput { attempt: task.view.attempts }),
        };
        task.view.state = state.clone();
        self.last_question = number;
        let expires = timeout_ms.map(|ms| NOON.plus(i64::try_from(ms).unwrap()));
        let default = expires.map(|_| Answer::Deny { message: "nobody answered in time".to_owned() });
        self.questions.push(QuestionView {
            id: number,
            job: name,
            task: id.to_owned(),
            attempt,
            asked: ago(3 * MINUTE),
            body: body.clone(),
            expires,
            default,
            answer: None,
            by: None,
            by_name: None,
            answered: None,
        });
        self.overview.questions += 1;
        self.count(job as usize - 1);
        let attempt = AttemptId { job: JobId(job), task: TaskIdx(place), number: attempt };
        let question = Box::new(Question { key: format!("q{number}"), body });
        let asked = Change::QuestionAsked { attempt, id: number, question, expires };
        let moved = Change::TaskMoved { job: JobId(job), task: TaskIdx(place), state };
        self.news(job, vec![asked, moved])
    }

    /// Somebody has answered, or nobody will any more.
    pub fn settles(&mut self, id: u32, answer: Option<Answer>, by: AnsweredBy) -> Incoming {
        let at = self.questions.iter().position(|question| question.id == id).unwrap();
        let question = self.questions.remove(at);
        self.overview.questions -= 1;
        let job = self.jobs.iter().position(|job| job.view.name == question.job).unwrap();
        let job = u32::try_from(job).unwrap() + 1;
        let place = self.place(job, &question.task).unwrap();
        let running = match (&question.body, &answer) {
            (QuestionBody::Approval { .. }, Some(Answer::Approve { .. })) => TaskState::Completed,
            (QuestionBody::Approval { .. }, Some(_)) => TaskState::Failed,
            (QuestionBody::Approval { .. }, None) => TaskState::Cancelled,
            _ => TaskState::Running { attempt: question.attempt },
        };
        self.jobs[job as usize - 1].tasks[place as usize].view.state = running.clone();
        self.count(job as usize - 1);
        let attempt = AttemptId { job: JobId(job), task: TaskIdx(place), number: question.attempt };
        let answered = Change::QuestionAnswered { attempt, id, answer: answer.map(Box::new), by, by_name: None };
        let moved = Change::TaskMoved { job: JobId(job), task: TaskIdx(place), state: running };
        self.news(job, vec![answered, moved])
    }

    /// What an approval asks, as long as it waits.
    pub fn approval(&self, job: &JobName, task: &str) -> Option<Box<QuestionView>> {
        let is_approval = |question: &&QuestionView| matches!(question.body, QuestionBody::Approval { .. });
        let of = self.questions.iter().filter(is_approval).find(|question| question.job == *job && question.task == task);
        of.cloned().map(Box::new)
    }

    /// One more credential, and what is known of it.
    pub fn credential(mut self, name: &str, state: CredentialState) -> World {
        self.overview.usage.credentials.push(CredentialView { name: name.to_owned(), state });
        self
    }
}
