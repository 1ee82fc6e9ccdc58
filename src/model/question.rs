//! What a running task or an approval asks a person, and what the person answers.
//!
//! The runner puts a question into the outbox; its answer comes back as a file of the inbox, named by the question's key, so
//! that both survive the manager. A question belongs to its attempt and is void once that is over. That of an approval belongs to
//! its task ([`OF_APPROVAL`]), and its answer decides what becomes of that.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ids::JobName;
use super::time::Utc;

/// Largest question, in bytes of JSON: a person must be able to see all of it. What is larger is denied by the runner.
pub const MAX_QUESTION: usize = 256 << 10;
/// Most questions of one attempt that wait at once.
pub const MAX_OPEN_QUESTIONS: usize = 32;
/// Longest answer in words, in bytes.
pub const MAX_ANSWER_TEXT: usize = 16 << 10;

/// In the place of an attempt's number: the question of a task that is an approval, which has no attempts.
pub const OF_APPROVAL: u32 = 0;

/// A question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// Its name within its attempt, 1 to 100 letters, digits, `_` and `-`; names the answer's file too.
    pub key: String,
    /// What is asked.
    pub body: QuestionBody,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "asks", rename_all = "snake_case")]
pub enum QuestionBody {
    /// Claude wants to use a tool that it is not allowed to use yet.
    Permission {
        /// The tool.
        tool: String,
        /// Its whole input.
        input: Value,
        /// What "always" would allow, as rules of the CLI such as `Bash(touch *)`; without any there is no "always".
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        rules: Vec<String>,
    },
    /// Something in words.
    Words {
        /// The question.
        text: String,
        /// Answers to choose from; any other is possible too.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        options: Vec<String>,
    },
    /// Whether a task that is an approval completes.
    Approval {
        /// What is asked.
        message: String,
        /// Longer text under it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        show: Option<String>,
        /// Who may answer; without any whoever may use the control socket.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        who: Vec<String>,
    },
}

/// What a person answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// Use the tool.
    Allow {
        /// With this input instead of what was asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        input: Option<Value>,
        /// And never ask for its rules again in this job.
        #[serde(default)]
        always: bool,
    },
    /// Do not.
    Deny {
        /// What the model is told.
        message: String,
    },
    /// In words.
    Say {
        /// The answer.
        text: String,
    },
    /// The approval's task completes.
    Approve {
        /// What is to be said about it; may be empty.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        comment: String,
    },
    /// It fails.
    Reject {
        /// Why; may be empty.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        comment: String,
    },
}

impl Answer {
    /// What was said beside an approval or a rejection, if anything was.
    pub fn comment(&self) -> Option<&str> {
        match self {
            Answer::Approve { comment } | Answer::Reject { comment } => Some(comment.as_str()).filter(|text| !text.is_empty()),
            Answer::Allow { .. } | Answer::Deny { .. } | Answer::Say { .. } => None,
        }
    }

    /// Whether something goes on by it: a tool is used, a task completes.
    pub fn allows(&self) -> bool {
        matches!(self, Answer::Allow { .. } | Answer::Approve { .. })
    }
}

/// Who answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnsweredBy {
    /// A person.
    Person,
    /// An earlier "always" of the same job.
    Rule,
    /// Nobody in time: the task's default.
    Timeout,
    /// Nobody: its attempt ended first, or its task was cancelled.
    Over,
}

/// A file of `inbox/`, named `KEY.json` after the question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InboxItem {
    /// The question's key.
    pub key: String,
    /// The answer.
    pub answer: Answer,
    /// By which the runner knows that the manager gave it ([`super::seal`]).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub seal: String,
}

impl InboxItem {
    /// An answer that is not sealed yet.
    pub fn new(key: String, answer: Answer) -> InboxItem {
        InboxItem { key, answer, seal: String::new() }
    }
}

/// A question as clients see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QuestionView {
    /// Unique in its home; grows with time.
    pub id: u32,
    /// The job.
    pub job: JobName,
    /// The task's id.
    pub task: String,
    /// The attempt.
    pub attempt: u32,
    /// When it was asked.
    pub asked: Utc,
    /// What.
    pub body: QuestionBody,
    /// When it is answered by itself, if it will be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Utc>,
    /// What it is answered then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Answer>,
    /// The answer, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
    /// Who gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<AnsweredBy>,
    /// The person's name, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_name: Option<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered: Option<Utc>,
}

impl QuestionView {
    /// What becomes of it when nobody answers.
    pub fn by_default(&self) -> &'static str {
        match (&self.body, self.default.as_ref().is_some_and(Answer::allows)) {
            (QuestionBody::Approval { .. }, true) => "approved",
            (QuestionBody::Approval { .. }, false) => "rejected",
            (_, true) => "allowed",
            (_, false) => "denied",
        }
    }
}

impl QuestionBody {
    /// One line for people: the tool and what it would do, or the question itself.
    pub fn line(&self) -> String {
        match self {
            QuestionBody::Permission { tool, input, .. } => {
                let known = ["command", "file_path", "path", "url", "pattern"];
                match known.iter().find_map(|key| input[*key].as_str()) {
                    Some(argument) => format!("{tool}: {argument}"),
                    None => format!("{tool} {input}"),
                }
            }
            QuestionBody::Words { text, .. } => text.clone(),
            QuestionBody::Approval { message, .. } => message.clone(),
        }
    }

    /// Whether there is an "always": rules that it would add.
    pub fn has_rules(&self) -> bool {
        matches!(self, QuestionBody::Permission { rules, .. } if !rules.is_empty())
    }

    /// Whether `answer` fits: tools are allowed or denied, words are answered by words, approvals approved or rejected.
    pub fn fits(&self, answer: &Answer) -> bool {
        match (self, answer) {
            (QuestionBody::Permission { .. }, Answer::Allow { input, .. }) => input.as_ref().is_none_or(Value::is_object),
            (QuestionBody::Permission { .. }, Answer::Deny { .. }) => true,
            (QuestionBody::Words { .. }, Answer::Say { .. } | Answer::Deny { .. }) => true,
            (QuestionBody::Approval { .. }, Answer::Approve { .. } | Answer::Reject { .. }) => true,
            _ => false,
        }
    }
}
