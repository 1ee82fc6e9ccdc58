//! Questions of running tasks to a person: asked once, answered once, void when their attempt is over.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::change::Change;
use crate::model::ids::{AttemptId, is_name};
use crate::model::message::{Done, Refusal, RefusalCode};
use crate::model::question::{
    Answer, AnsweredBy, InboxItem, MAX_ANSWER_TEXT, MAX_OPEN_QUESTIONS, MAX_QUESTION, OF_APPROVAL, Question, QuestionBody,
};
use crate::model::spec::{Action, AskPerson};
use crate::model::state::TaskEvent;
use crate::model::time::{Now, Utc};

use super::commands::{invalid, not_found};
use super::{Core, Effect};

/// Rules that a person may add to one job, and their bytes together.
const MAX_RULES: usize = 1_000;
/// See [`MAX_RULES`]. Each is an argument of every later run of the job, and with more none could be started.
const MAX_RULES_BYTES: usize = 256 << 10;
/// Longest rule that may hold for a whole job, in bytes: a longer one is a whole script, and comes never again.
const MAX_RULE: usize = 4 << 10;

/// An open question.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenQuestion {
    /// What is asked.
    pub question: Question,
    /// When it is answered by itself.
    pub expires: Option<Utc>,
}

/// The questions of an attempt that may be alive.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Asked {
    /// Those that wait, by number.
    pub open: BTreeMap<u32, OpenQuestion>,
    /// Answers given so far, by the question's number.
    pub answered: BTreeMap<u32, InboxItem>,
    /// Keys seen.
    pub keys: BTreeSet<String>,
}

impl Core {
    /// Takes a question in. The error is why nobody will be asked, which the task is answered with.
    pub(super) fn ask(&mut self, attempt: AttemptId, question: Question, now: Now) -> Result<(), String> {
        let Some(asked) = self.live.get(&attempt).map(|live| &live.asked) else { return Ok(()) };
        if asked.keys.contains(&question.key) {
            // Read from the outbox once more. Its answer may have been lost with the manager that gave it.
            let answer = asked.answered.values().find(|item| item.key == question.key).cloned();
            self.effects.extend(answer.map(|item| Effect::Answer { attempt, item: Box::new(item) }));
            return Ok(());
        }
        if !is_name(&question.key) {
            return Err("its key is no name".to_owned());
        }
        let open = asked.open.len();
        if let Err(why) = check(&question, open) {
            let item = InboxItem::new(question.key, Answer::Deny { message: why.clone() });
            self.effects.push(Effect::Answer { attempt, item: Box::new(item) });
            return Err(why);
        }
        let id = self.last_question + 1;
        let rule = self.allowed_by_rule(attempt, &question.body);
        let policy = self.ask_policy(attempt);
        let wait = policy.and_then(|policy| policy.timeout_ms);
        let expires = wait.map(|ms| now.utc.plus(i64::try_from(ms).unwrap_or(i64::MAX)));
        self.emit(Change::QuestionAsked { attempt, id, question: Box::new(question), expires }, now);
        if rule {
            self.settle(id, Some(Answer::Allow { input: None, always: false }), AnsweredBy::Rule, None, now);
            return Ok(());
        }
        if let Some(task) = self.task(attempt.job, attempt.task)
            && let Ok(state) = task.state.next(TaskEvent::Ask { attempt: attempt.number })
            && state != task.state
        {
            self.emit(Change::TaskMoved { job: attempt.job, task: attempt.task, state }, now);
        }
        Ok(())
    }

    /// A person answers.
    pub(super) fn answer(&mut self, id: u32, answer: Answer, by_name: Option<String>, now: Now) -> Result<Done, Refusal> {
        let Some(attempt) = self.questions.get(&id).copied() else {
            let known = self.live.values().find_map(|live| live.asked.answered.get(&id));
            return match known {
                // Said again, for instance after a hand-over.
                Some(item) if item.answer == answer => Ok(Done::Affected { count: 0 }),
                Some(_) => Err(Refusal {
                    code: RefusalCode::Conflict,
                    message: format!("question {id} was answered already"),
                    hint: "`airx approvals` lists what waits".to_owned(),
                }),
                None => Err(not_found(format!("no question {id} waits"), "`airx approvals` lists what does")),
            };
        };
        if attempt.number == OF_APPROVAL {
            return self.answer_approval(attempt, id, answer, by_name, now);
        }
        let open = self.live.get(&attempt).and_then(|live| live.asked.open.get(&id));
        let Some(OpenQuestion { question, .. }) = open else {
            return Err(not_found(format!("no question {id} waits"), "`airx approvals` lists what does"));
        };
        if !question.body.fits(&answer) {
            return Err(invalid(
                format!("this does not answer question {id}"),
                "a tool is allowed (its input a JSON object) or denied, a question in words is answered in words",
            ));
        }
        check_length(&answer)?;
        let rules = match (&answer, &question.body) {
            (Answer::Allow { always: true, .. }, QuestionBody::Permission { rules, .. }) => rules.clone(),
            _ => Vec::new(),
        };
        self.has_room_for(attempt, &rules)?;
        self.settle(id, Some(answer), AnsweredBy::Person, by_name, now);
        self.add_rules(attempt, rules, now);
        Ok(Done::Affected { count: 1 })
    }

    /// Whether these rules may hold for the whole job beside those that do.
    fn has_room_for(&self, attempt: AttemptId, rules: &[String]) -> Result<(), Refusal> {
        let Some(job) = self.jobs.get(&attempt.job) else { return Ok(()) };
        let new: BTreeSet<&String> = rules.iter().filter(|rule| !job.rules.contains(*rule)).collect();
        let bytes: usize = job.rules.iter().chain(new.iter().copied()).map(String::len).sum();
        let why = if new.iter().any(|rule| rule.len() > MAX_RULE) {
            format!("this is longer than what may be allowed for a whole job ({MAX_RULE} bytes)")
        } else if job.rules.len() + new.len() > MAX_RULES || bytes > MAX_RULES_BYTES {
            format!("the job holds {} rules, and has no room for more", job.rules.len())
        } else {
            return Ok(());
        };
        Err(Refusal { code: RefusalCode::Limit, message: why, hint: "allow it this once".to_owned() })
    }

    /// "Always" holds for the whole job, and for what waits there already.
    fn add_rules(&mut self, attempt: AttemptId, rules: Vec<String>, now: Now) {
        let Some(job) = self.jobs.get(&attempt.job) else { return };
        let new: BTreeSet<String> = rules.into_iter().filter(|rule| !job.rules.contains(rule)).collect();
        if new.is_empty() {
            return;
        }
        for rule in new {
            self.emit(Change::RuleAdded { job: attempt.job, rule }, now);
        }
        let covered: Vec<u32> = self
            .live
            .iter()
            .filter(|(other, _)| other.job == attempt.job)
            .flat_map(|(other, live)| live.asked.open.iter().map(|(id, open)| (*id, *other, open)))
            .filter(|(_, other, open)| self.allowed_by_rule(*other, &open.question.body))
            .map(|(id, ..)| id)
            .collect();
        for id in covered {
            self.settle(id, Some(Answer::Allow { input: None, always: false }), AnsweredBy::Rule, None, now);
        }
    }

    fn allowed_by_rule(&self, attempt: AttemptId, body: &QuestionBody) -> bool {
        let QuestionBody::Permission { rules, .. } = body else { return false };
        let Some(job) = self.jobs.get(&attempt.job) else { return false };
        !rules.is_empty() && rules.iter().all(|rule| job.rules.contains(rule))
    }

    pub(super) fn ask_policy(&self, attempt: AttemptId) -> Option<AskPerson> {
        match &self.task(attempt.job, attempt.task)?.spec.action {
            Action::Claude(claude) => claude.permissions.clone(),
            Action::Run(_) | Action::Command { .. } | Action::Job(_) | Action::Approve(_) => None,
        }
    }

    /// Answers a question; its task goes on when nothing else is open.
    fn settle(&mut self, id: u32, answer: Option<Answer>, by: AnsweredBy, by_name: Option<String>, now: Now) {
        let Some(attempt) = self.questions.get(&id).copied() else { return };
        let key = self.live.get(&attempt).and_then(|live| live.asked.open.get(&id)).map(|open| open.question.key.clone());
        self.emit(Change::QuestionAnswered { attempt, id, answer: answer.clone().map(Box::new), by, by_name }, now);
        if let (Some(key), Some(answer)) = (key, answer) {
            self.effects.push(Effect::Answer { attempt, item: Box::new(InboxItem::new(key, answer)) });
        }
        let still_open = self.live.get(&attempt).is_some_and(|live| !live.asked.open.is_empty());
        if !still_open
            && let Some(task) = self.task(attempt.job, attempt.task)
            && let Ok(state) = task.state.next(TaskEvent::Answered)
        {
            self.emit(Change::TaskMoved { job: attempt.job, task: attempt.task, state }, now);
        }
    }

    /// Answers what nobody has answered in time.
    pub(super) fn expire(&mut self, now: Now) {
        while let Some((at, id)) = self.expiries.first().copied().filter(|(at, _)| *at <= now.utc) {
            self.expiries.remove(&(at, id));
            let Some(attempt) = self.questions.get(&id).copied() else { continue };
            if attempt.number == OF_APPROVAL {
                self.expire_approval(attempt, id, now);
                continue;
            }
            let is_tool = self
                .live
                .get(&attempt)
                .and_then(|live| live.asked.open.get(&id))
                .is_some_and(|open| matches!(open.question.body, QuestionBody::Permission { .. }));
            let allows = is_tool && self.ask_policy(attempt).is_some_and(|policy| policy.allows);
            self.settle(id, Some(default_answer(allows)), AnsweredBy::Timeout, None, now);
        }
    }

    /// Nobody waits for these answers any more: their attempt is over.
    pub(super) fn void_questions(&mut self, attempt: AttemptId, now: Now) {
        let open: Vec<u32> = self.live.get(&attempt).map(|live| live.asked.open.keys().copied().collect()).unwrap_or_default();
        for id in open {
            self.emit(Change::QuestionAnswered { attempt, id, answer: None, by: AnsweredBy::Over, by_name: None }, now);
        }
    }

    /// An adopted attempt may not have got what was answered just before the last manager ended.
    pub(super) fn answer_again(&mut self, attempt: AttemptId) {
        let answered: Vec<InboxItem> =
            self.live.get(&attempt).map(|live| live.asked.answered.values().cloned().collect()).unwrap_or_default();
        self.effects.extend(answered.into_iter().map(|item| Effect::Answer { attempt, item: Box::new(item) }));
    }

    pub(super) fn apply_asked(&mut self, attempt: AttemptId, id: u32, question: &Question, expires: Option<Utc>) {
        self.last_question = self.last_question.max(id);
        if attempt.number == OF_APPROVAL {
            return self.apply_approval_asked(attempt, id, expires);
        }
        let Some(live) = self.live.get_mut(&attempt) else { return };
        live.asked.keys.insert(question.key.clone());
        live.asked.open.insert(id, OpenQuestion { question: question.clone(), expires });
        self.questions.insert(id, attempt);
        if let Some(at) = expires {
            self.expiries.insert((at, id));
        }
    }

    pub(super) fn apply_answered(&mut self, attempt: AttemptId, id: u32, answer: Option<&Answer>) {
        self.questions.remove(&id);
        if let Some(at) = self.approvals.remove(&id).flatten() {
            self.expiries.remove(&(at, id));
        }
        let Some(live) = self.live.get_mut(&attempt) else { return };
        let Some(open) = live.asked.open.remove(&id) else { return };
        if let Some(at) = open.expires {
            self.expiries.remove(&(at, id));
        }
        if let Some(answer) = answer {
            live.asked.answered.insert(id, InboxItem::new(open.question.key, answer.clone()));
        }
    }
}

/// Refuses an answer that is too long to be kept.
pub(super) fn check_length(answer: &Answer) -> Result<(), Refusal> {
    if text_of(answer).is_some_and(|text| text.len() > MAX_ANSWER_TEXT) {
        return Err(invalid("the answer is longer than 16 KiB".to_owned(), "put long text into a file and name it"));
    }
    Ok(())
}

/// What nobody's answer means.
pub fn default_answer(allows: bool) -> Answer {
    match allows {
        true => Answer::Allow { input: None, always: false },
        false => Answer::Deny { message: "nobody answered in time; go on without it, or end with what is missing".to_owned() },
    }
}

fn text_of(answer: &Answer) -> Option<&str> {
    match answer {
        Answer::Allow { .. } => None,
        Answer::Deny { message } => Some(message),
        Answer::Say { text } => Some(text),
        Answer::Approve { comment } | Answer::Reject { comment } => Some(comment),
    }
}

/// Why a question cannot be put to a person.
fn check(question: &Question, open: usize) -> Result<(), String> {
    if matches!(question.body, QuestionBody::Approval { .. }) {
        return Err("only a task of a job file asks for an approval".to_owned());
    }
    if open >= MAX_OPEN_QUESTIONS {
        return Err(format!("{MAX_OPEN_QUESTIONS} questions of this task wait already"));
    }
    let size = serde_json::to_string(&question.body).map_or(usize::MAX, |text| text.len());
    if size > MAX_QUESTION {
        return Err(format!("the request has {size} bytes, more than a person can be shown ({MAX_QUESTION})"));
    }
    Ok(())
}
