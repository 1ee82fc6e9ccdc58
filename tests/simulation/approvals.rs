//! Approvals, looked at by a fold of its own over what is committed: a task that is one has no attempt, asks one thing at a
//! time, is settled once, and comes to what the answer says and to nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;

use airx::model::change::{Change, Event};
use airx::model::ids::{AttemptId, JobId, TaskIdx};
use airx::model::question::{Answer, AnsweredBy, OF_APPROVAL, QuestionBody};
use airx::model::spec::{Action, ApproveSpec, TaskSpec};
use airx::model::state::TaskState;
use airx::model::time::Utc;

use crate::dice::Dice;
use crate::store::Journal;

/// Who lives here.
pub const PEOPLE: [&str; 2] = ["ann", "bob"];

/// What was asked, and came of it.
#[derive(Debug)]
struct Asked {
    id: u32,
    expires: Option<Utc>,
    /// What was answered; none in it when it is void.
    settled: Option<Option<Answer>>,
}

/// What is committed so far.
#[derive(Debug, Default)]
pub struct Approvals {
    /// The newest question of each task.
    asked: BTreeMap<(JobId, TaskIdx), Asked>,
    /// What these storms tried, to be counted.
    pub tried: BTreeMap<&'static str, u32>,
}

/// A random approval.
pub fn approval(dice: &mut Dice) -> Action {
    Action::Approve(Box::new(ApproveSpec {
        message: "Go on with {{ job.name }}?".to_owned(),
        show: dice.chance(200).then(|| "everything".to_owned()),
        who: PEOPLE.iter().filter(|_| dice.chance(250)).map(|name| (*name).to_owned()).collect(),
        timeout_ms: dice.chance(600).then(|| 1 + dice.below(60_000)),
        approves: dice.chance(500),
    }))
}

fn spec_of(journal: &Journal, job: JobId, task: TaskIdx) -> Option<&Arc<TaskSpec>> {
    Some(&journal.jobs.get(&job.0)?.tasks.get(task.0 as usize)?.spec)
}

fn asks(spec: &TaskSpec) -> Option<&ApproveSpec> {
    match &spec.action {
        Action::Approve(asks) => Some(asks),
        _ => None,
    }
}

impl Approvals {
    /// Takes in what was committed.
    pub fn take(&mut self, event: &Event, journal: &Journal) -> Result<(), String> {
        let broken = |why: String| Err(format!("approvals: {why}"));
        match &event.change {
            Change::AttemptOpened { attempt, .. } => {
                match spec_of(journal, attempt.job, attempt.task).and_then(|spec| asks(spec)) {
                    Some(_) => broken(format!("an approval has no attempt: {attempt}")),
                    None => Ok(()),
                }
            }
            Change::QuestionAsked { attempt, id, question, expires } if attempt.number == OF_APPROVAL => {
                let key = (attempt.job, attempt.task);
                let Some(asks) = spec_of(journal, key.0, key.1).and_then(|spec| asks(spec)) else {
                    return broken(format!("only an approval asks without an attempt: {attempt}"));
                };
                if self.asked.get(&key).is_some_and(|asked| asked.settled.is_none()) {
                    return broken(format!("one question at a time: {attempt} asks again"));
                }
                let wait = asks.timeout_ms.map(|ms| event.at.plus(ms as i64));
                let is_whole = matches!(&question.body, QuestionBody::Approval { who, message, .. }
                    if *who == asks.who && message.starts_with("Go on with "));
                if *expires != wait || !is_whole {
                    return broken(format!("it asks what the job file says: {question:?} until {expires:?}"));
                }
                self.asked.insert(key, Asked { id: *id, expires: *expires, settled: None });
                Ok(())
            }
            Change::QuestionHastened { attempt, id, expires } if attempt.number == OF_APPROVAL => {
                let asked = self.open(*attempt, *id)?;
                if asked.expires.is_none_or(|before| before <= *expires) {
                    return broken(format!("a wait becomes shorter only: {asked:?}, {expires:?}"));
                }
                asked.expires = Some(*expires);
                *self.tried.entry("an approval whose wait was shortened").or_default() += 1;
                Ok(())
            }
            Change::QuestionAnswered { attempt, id, answer, by, by_name } if attempt.number == OF_APPROVAL => {
                self.answered(*attempt, *id, answer.as_deref(), *by, by_name.as_deref(), event.at, journal)
            }
            Change::TaskMoved { job, task, state } | Change::TaskEnded { job, task, state, .. } => {
                self.moved(*job, *task, state, journal)
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, attempt: AttemptId, id: u32) -> Result<&mut Asked, String> {
        let asked = self.asked.get_mut(&(attempt.job, attempt.task));
        asked
            .filter(|asked| asked.id == id && asked.settled.is_none())
            .ok_or_else(|| format!("approvals: settled exactly once: question {id} of {attempt} does not wait"))
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one event")]
    fn answered(
        &mut self,
        attempt: AttemptId,
        id: u32,
        answer: Option<&Answer>,
        by: AnsweredBy,
        by_name: Option<&str>,
        at: Utc,
        journal: &Journal,
    ) -> Result<(), String> {
        let asks = spec_of(journal, attempt.job, attempt.task).and_then(|spec| asks(spec)).cloned().unwrap_or_default();
        let asked = self.open(attempt, id)?;
        let approves = matches!(answer, Some(Answer::Approve { .. }));
        let fits = match by {
            AnsweredBy::Person => asks.who.is_empty() || by_name.is_some_and(|name| asks.who.iter().any(|who| who == name)),
            AnsweredBy::Timeout => asked.expires.is_some_and(|expires| expires <= at) && approves == asks.approves,
            AnsweredBy::Over => answer.is_none(),
            AnsweredBy::Rule => false,
        };
        asked.settled = Some(answer.cloned());
        if !fits {
            return Err(format!("approvals: who answers, and when: {attempt} {answer:?} by {by:?} {by_name:?} at {at:?}"));
        }
        let what = match (by, approves) {
            (AnsweredBy::Person, true) => "an approval that a person gave",
            (AnsweredBy::Person, false) => "an approval that a person refused",
            (AnsweredBy::Timeout, true) => "an approval given by default",
            (AnsweredBy::Timeout, false) => "an approval refused by default",
            _ => "an approval that became void",
        };
        *self.tried.entry(what).or_default() += 1;
        Ok(())
    }

    /// It completes by an approval that is committed, and waits for no longer than its question does.
    fn moved(&mut self, job: JobId, task: TaskIdx, state: &TaskState, journal: &Journal) -> Result<(), String> {
        let Some(spec) = spec_of(journal, job, task).filter(|spec| asks(spec).is_some()) else { return Ok(()) };
        let is_mapping = spec.each.is_some() && journal.rows.jobs[&job.0].tasks[task.0 as usize].instance.is_none();
        if is_mapping {
            return Ok(());
        }
        let asked = self.asked.get(&(job, task));
        let waits = asked.is_some_and(|asked| asked.settled.is_none());
        let fits = match state {
            TaskState::AwaitingApproval { question } => waits && asked.is_some_and(|asked| asked.id == *question),
            TaskState::Completed => matches!(asked, Some(Asked { settled: Some(Some(Answer::Approve { .. })), .. })),
            _ => !waits,
        };
        if fits { Ok(()) } else { Err(format!("approvals: {task:?} of job {job} is {state:?}, and was asked {asked:?}")) }
    }

    /// In the end nobody is asked any more.
    pub fn check_end(&self) -> Result<(), String> {
        match self.asked.iter().find(|(_, asked)| asked.settled.is_none()) {
            Some((key, asked)) => Err(format!("approvals: everything is settled: {key:?} {asked:?}")),
            None => Ok(()),
        }
    }
}
