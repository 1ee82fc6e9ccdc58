//! Approvals: tasks that a person completes or fails. No attempt, no slot: what there is of one is its question, and when that
//! is answered by itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::change::{Change, TaskResult};
use crate::model::ids::{AttemptId, JobId, TaskIdx};
use crate::model::message::{Done, Refusal, RefusalCode};
use crate::model::question::{Answer, AnsweredBy, MAX_QUESTION, OF_APPROVAL, Question, QuestionBody};
use crate::model::spec::{Action, ApproveSpec, TaskSpec};
use crate::model::state::{FailCause, Outcome, TaskEvent, TaskState};
use crate::model::time::{Now, Utc};
use crate::model::units::duration_words;

use super::Core;
use super::commands::{invalid, not_found};
use super::questions::check_length;

/// The key of an approval's question: it has no other.
const KEY: &str = "approval";

/// What a task that is an approval asks for.
fn asks(task: &TaskSpec) -> Option<&ApproveSpec> {
    match &task.action {
        Action::Approve(asks) => Some(asks),
        Action::Run(_) | Action::Command { .. } | Action::Claude(_) | Action::Job(_) => None,
    }
}

/// What an approval comes to when nobody answers.
pub fn default_of(asks: &ApproveSpec) -> Answer {
    let waited = asks.timeout_ms.map(|ms| format!(" within {}", duration_words(ms))).unwrap_or_default();
    let comment = format!("nobody answered{waited}");
    if asks.approves { Answer::Approve { comment } } else { Answer::Reject { comment } }
}

impl Core {
    /// A person is asked whether a task completes.
    pub(super) fn ask_approval(&mut self, id: JobId, idx: TaskIdx, message: String, show: Option<String>, now: Now) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.paused || self.paused {
            // What it asks may be another then: it is rendered again.
            job.undecided.insert(idx);
            self.ready_jobs.insert(id);
            return;
        }
        let Some(task) = job.get(idx).filter(|task| task.state == TaskState::Queued) else { return };
        let Some(asks) = asks(&task.spec) else { return };
        let body = QuestionBody::Approval { message, show, who: asks.who.clone() };
        let size = serde_json::to_string(&body).map_or(usize::MAX, |text| text.len());
        if size > MAX_QUESTION {
            let why = format!(
                "approve: what is asked and shown has {size} bytes, more than a person can be shown ({MAX_QUESTION}); show a part of it"
            );
            self.end_without_attempt(id, idx, Outcome::Failed { cause: FailCause::Decision(why) }, now);
            return self.after_terminal(id, idx, now);
        }
        let expires = asks.timeout_ms.map(|ms| now.utc.plus(i64::try_from(ms).unwrap_or(i64::MAX)));
        let question = self.last_question + 1;
        let Ok(state) = task.state.next(TaskEvent::AskApproval { question }) else { return };
        let attempt = AttemptId { job: id, task: idx, number: OF_APPROVAL };
        let asked = Box::new(Question { key: KEY.to_owned(), body });
        self.emit(Change::QuestionAsked { attempt, id: question, question: asked, expires }, now);
        self.emit(Change::TaskMoved { job: id, task: idx, state }, now);
    }

    /// A person approves or rejects.
    pub(super) fn answer_approval(
        &mut self,
        attempt: AttemptId,
        id: u32,
        answer: Answer,
        by_name: Option<String>,
        now: Now,
    ) -> Result<Done, Refusal> {
        let Some(asks) = self.task(attempt.job, attempt.task).and_then(|task| asks(&task.spec)) else {
            return Err(not_found(format!("no question {id} waits"), "`airx approvals` lists what does"));
        };
        if !matches!(answer, Answer::Approve { .. } | Answer::Reject { .. }) {
            return Err(invalid(format!("this does not answer question {id}"), "an approval is approved or rejected"));
        }
        check_length(&answer)?;
        let is_named = by_name.as_ref().is_some_and(|name| asks.who.contains(name));
        if !asks.who.is_empty() && !is_named {
            let who = asks.who.join(", ");
            let by = by_name.map_or("whoever this is".to_owned(), |name| format!("`{name}`"));
            return Err(Refusal {
                code: RefusalCode::Forbidden,
                message: format!("{by} may not answer question {id}: the job file names {who}"),
                hint: format!("it waits for {who}; whoever may cancel the task can do that"),
            });
        }
        self.settle_approval(attempt, id, answer, AnsweredBy::Person, by_name, now);
        Ok(Done::Affected { count: 1 })
    }

    /// Nobody has answered in time.
    pub(super) fn expire_approval(&mut self, attempt: AttemptId, id: u32, now: Now) {
        let Some(asks) = self.task(attempt.job, attempt.task).and_then(|task| asks(&task.spec)) else { return };
        let answer = default_of(asks);
        self.settle_approval(attempt, id, answer, AnsweredBy::Timeout, None, now);
    }

    /// The answer is recorded, and with it what becomes of the task: both are committed together.
    fn settle_approval(
        &mut self,
        attempt: AttemptId,
        id: u32,
        answer: Answer,
        by: AnsweredBy,
        by_name: Option<String>,
        now: Now,
    ) {
        let approved = answer.allows();
        let comment = answer.comment().unwrap_or_default().to_owned();
        let value = serde_json::json!({
            "approved": approved,
            "by": by_name,
            "at": now.utc.rfc3339(),
            "comment": comment,
        });
        let outcome = match (approved, by) {
            (true, _) => Outcome::Succeeded,
            (false, AnsweredBy::Person) => {
                let who = by_name.as_deref().unwrap_or("a person");
                let why = if comment.is_empty() { String::new() } else { format!(": {comment}") };
                Outcome::Failed { cause: FailCause::Rejected(format!("by {who}{why}")) }
            }
            (false, _) => Outcome::Failed { cause: FailCause::Rejected(comment) },
        };
        self.emit(Change::QuestionAnswered { attempt, id, answer: Some(Box::new(answer)), by, by_name }, now);
        self.emit(Change::ResultSet { attempt, result: TaskResult::Inline(Arc::new(value)) }, now);
        self.end_without_attempt(attempt.job, attempt.task, outcome, now);
        self.after_terminal(attempt.job, attempt.task, now);
    }

    /// Nobody is to answer any more: the task is cancelled.
    pub(super) fn void_approval(&mut self, attempt: AttemptId, id: u32, now: Now) {
        self.emit(Change::QuestionAnswered { attempt, id, answer: None, by: AnsweredBy::Over, by_name: None }, now);
    }

    /// A question never waits longer than it was to, whatever the clock did meanwhile.
    pub(super) fn clamp_questions(&mut self, now: Now) {
        let waiting: Vec<(Utc, u32)> = self.expiries.iter().copied().collect();
        for (at, id) in waiting {
            let Some(attempt) = self.questions.get(&id).copied() else { continue };
            let approval = self.task(attempt.job, attempt.task).and_then(|task| asks(&task.spec));
            let wait_ms = approval.map(|asks| asks.timeout_ms).or_else(|| Some(self.ask_policy(attempt)?.timeout_ms)).flatten();
            let latest = wait_ms.map(|ms| now.utc.plus(i64::try_from(ms).unwrap_or(i64::MAX)));
            if let Some(expires) = latest.filter(|latest| at > *latest) {
                self.emit(Change::QuestionHastened { attempt, id, expires }, now);
            }
        }
    }

    pub(super) fn apply_approval_asked(&mut self, attempt: AttemptId, id: u32, expires: Option<Utc>) {
        if let Some(task) = self.task_mut(attempt.job, attempt.task) {
            task.result = None;
        }
        self.questions.insert(id, attempt);
        self.approvals.insert(id, expires);
        self.expiries.extend(expires.map(|at| (at, id)));
    }

    pub(super) fn apply_hastened(&mut self, attempt: AttemptId, id: u32, expires: Utc) {
        let of_attempt = self.live.get_mut(&attempt).and_then(|live| Some(&mut live.asked.open.get_mut(&id)?.expires));
        let Some(place) = self.approvals.get_mut(&id).or(of_attempt) else { return };
        if let Some(before) = place.replace(expires) {
            self.expiries.remove(&(before, id));
        }
        self.expiries.insert((expires, id));
    }

    /// The approvals of a job that wait.
    pub(super) fn approvals_of(&self, job: JobId) -> BTreeMap<u32, Option<Utc>> {
        let is_of = |id: &u32| self.questions.get(id).is_some_and(|attempt| attempt.job == job);
        self.approvals.iter().filter(|(id, _)| is_of(id)).map(|(id, at)| (*id, *at)).collect()
    }
}
