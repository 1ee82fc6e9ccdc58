//! Notifications: what a person is told of, by which means, in which words.
//!
//! Pure: committed events become [`Notice`]s (`digest`), a [`Throttle`] keeps a hundred of them from being a hundred messages,
//! and [`words`] puts them into the notifier's templates. Sending is for others.

mod digest;
pub mod ring;
#[cfg(test)]
mod tests;
mod throttle;
pub mod words;

pub use digest::{Clock, Digest, Found, wanted_jobs};
pub use throttle::{GAP_MS, Throttle};

use std::collections::{BTreeMap, BTreeSet};

use super::change::Seq;
use super::spec::{EnvValue, SecretRef};

/// Most notifiers of a configuration.
pub const MAX_NOTIFIERS: usize = 20;

/// What a notifier can be told of. The order is the one in which an event that is several of them is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A person is asked.
    Question,
    /// A usage limit holds a credential.
    Limited,
    /// A login is needed.
    Auth,
    /// A task spent more than it may.
    Budget,
    /// A task failed for good.
    Failed,
    /// A task completed.
    Completed,
    /// A job is over, and a task failed.
    JobFailed,
    /// A job is over, and a task was cancelled.
    JobCancelled,
    /// A job is over, as it should be.
    JobCompleted,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 9] = [
        Kind::Question,
        Kind::Limited,
        Kind::Auth,
        Kind::Budget,
        Kind::Failed,
        Kind::Completed,
        Kind::JobFailed,
        Kind::JobCancelled,
        Kind::JobCompleted,
    ];

    /// Its word in the configuration.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Question => "question",
            Kind::Limited => "limited",
            Kind::Auth => "auth",
            Kind::Budget => "budget",
            Kind::Failed => "failed",
            Kind::Completed => "completed",
            Kind::JobFailed => "job_failed",
            Kind::JobCancelled => "job_cancelled",
            Kind::JobCompleted => "job_completed",
        }
    }

    /// The kind of this word.
    pub fn named(word: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// One way to tell a person.
#[derive(Debug, Clone, PartialEq)]
pub struct Notifier {
    /// Of what; never empty.
    pub on: BTreeSet<Kind>,
    /// By what.
    pub means: Means,
    /// Template of the heading; none takes [`words::title`].
    pub title: Option<String>,
    /// Template of the line; none takes [`words::text`].
    pub text: Option<String>,
}

/// By what a person is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Means {
    /// A program and its arguments, each a template; no shell.
    Command(Vec<String>),
    /// A line for `sh -c`, taken as it is: what it has to know is in its environment.
    Run(String),
    /// A POST request.
    Webhook(Webhook),
    /// The terminal of an open workstation.
    Terminal(Ring),
}

/// A POST request.
#[derive(Debug, Clone, PartialEq)]
pub struct Webhook {
    /// Where to, `http://` or `https://`; many such addresses are secrets.
    pub url: EnvValue,
    /// Template of the body; none sends all that is known as JSON.
    pub body: Option<String>,
    /// Beside the usual ones.
    pub headers: Vec<(String, EnvValue)>,
}

impl Webhook {
    /// Whether the body is JSON, so that values are escaped for it: unless a header says otherwise.
    pub fn is_json(&self) -> bool {
        let content = self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        content.is_none_or(|(_, value)| matches!(value, EnvValue::Text(text) if text.to_ascii_lowercase().contains("json")))
    }
}

/// What a terminal does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ring {
    /// BEL.
    Bell,
    /// `OSC 9`: iTerm2's notification, known to many others.
    Osc9,
    /// `OSC 777 ; notify`: urxvt's notification, with a heading.
    Osc777,
}

impl Ring {
    /// Its word in the configuration.
    pub fn word(self) -> &'static str {
        match self {
            Ring::Bell => "bell",
            Ring::Osc9 => "osc9",
            Ring::Osc777 => "osc777",
        }
    }
}

impl Notifier {
    /// What it is, for people; never a secret, and never an address that may be one.
    pub fn what(&self) -> String {
        match &self.means {
            Means::Command(argv) => format!("command {}", argv.first().map_or("", String::as_str)),
            Means::Run(line) => format!("run {}", line.lines().next().unwrap_or_default().chars().take(60).collect::<String>()),
            Means::Webhook(webhook) => match &webhook.url {
                EnvValue::Text(url) => format!("webhook {}", words::host(url)),
                EnvValue::From(_) => "webhook (its address is a secret)".to_owned(),
            },
            Means::Terminal(ring) => format!("terminal {}", ring.word()),
        }
    }

    /// What is certainly missing for it, as far as that can be told without doing it: a program, or a variable of this
    /// environment. A template in a program's place may be anything.
    pub fn lacks(&self, environment: &BTreeMap<String, String>, is_program: impl Fn(&str) -> bool) -> Option<String> {
        match &self.means {
            Means::Command(argv) => {
                let program = argv.first().filter(|program| !program.contains("{{") && !is_program(program))?;
                Some(format!("`{program}` is not found"))
            }
            Means::Webhook(webhook) => {
                let values = std::iter::once(&webhook.url).chain(webhook.headers.iter().map(|(_, value)| value));
                values.into_iter().find_map(|value| match value {
                    EnvValue::From(SecretRef::Env(name)) if !environment.contains_key(name) => {
                        Some(format!("{name} is not set here (it has to be where the manager starts)"))
                    }
                    _ => None,
                })
            }
            Means::Run(_) | Means::Terminal(_) => None,
        }
    }

    /// Whether a workstation does it, not the manager.
    pub fn is_terminal(&self) -> bool {
        matches!(self.means, Means::Terminal(_))
    }
}

/// One thing to tell, or several of one kind gathered into one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The newest event it stands for.
    pub seq: Seq,
    /// What kind.
    pub kind: Kind,
    /// How many events it stands for, at least 1.
    pub count: u32,
    /// The job's full name; empty when it stands for events of several jobs, or of none.
    pub job: String,
    /// How many jobs it stands for.
    pub jobs: u32,
    /// The task's id; empty when it stands for several, or for the job.
    pub task: String,
    /// The outcome's or state's word.
    pub outcome: String,
    /// Why, in words.
    pub reason: String,
    /// What it cost, in millionths of a dollar.
    pub cost_microusd: u64,
}
