//! How attempts, and tasks without one, end.

use serde::{Deserialize, Serialize};

use super::BudgetOf;
use crate::model::time::Utc;

/// How an attempt ended. Exactly one is recorded for every runner that was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// As it should.
    Succeeded,
    /// The task's own fault.
    Failed {
        /// How.
        cause: FailCause,
    },
    /// Longer than `timeout`.
    TimedOut,
    /// No output for longer than `silence`.
    Silent,
    /// A person ended it.
    Cancelled,
    /// It spent more than it may.
    BudgetExceeded {
        /// Whose budget ended it.
        #[serde(default)]
        of: BudgetOf,
    },
    /// The model provider's usage limit.
    Limited {
        /// When it is lifted, if that was said.
        resets_at: Option<Utc>,
    },
    /// The model provider is overloaded.
    Overloaded,
    /// The credential is missing or refused.
    Auth,
    /// The backend took its place away.
    Evicted {
        /// By whom, or for what; empty when that was not told.
        #[serde(default)]
        why: String,
    },
    /// It ended through something outside of it.
    Crashed {
        /// What.
        why: String,
    },
    /// Its runner vanished without a record.
    Lost {
        /// How.
        cause: LostCause,
    },
    /// It never ran.
    Unlaunchable {
        /// What was missing, where, and what to do.
        why: String,
        /// Whether another attempt may help.
        transient: bool,
    },
}

/// How a task failed by its own fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailCause {
    /// Exit code other than 0.
    Exit(i32),
    /// Fatal signal.
    Signal(i32),
    /// Out of the memory it may use.
    Oom,
    /// More processes than it may have.
    Pids,
    /// The acceptance command did not exit 0; in words.
    Gate(String),
    /// `max_turns` reached.
    MaxTurns,
    /// Tools were denied, and the task says `denials: fail`; which.
    Denied(String),
    /// Its `repeat` ended without its condition; why.
    Repeat(String),
    /// Claude reported an error; in its words.
    ErrorResult(String),
    /// Output limit reached.
    OutputLimit,
    /// The output is not the result it should be; why.
    BadResult(String),
    /// What it should do could not be decided from its expressions; why.
    Decision(String),
    /// Instances of a mapped task failed.
    Instances {
        /// How many.
        failed: u32,
        /// Of how many.
        of: u32,
    },
    /// Its child job did not complete; which, and its state in a word.
    Child(String),
    /// A person, or the time-out, refused approval; in words.
    Rejected(String),
    /// A file that had to be kept was not there; which.
    Artifact(String),
}

/// How a runner vanished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LostCause {
    /// The machine was started anew meanwhile.
    Reboot,
    /// The runner died without a record on a machine that went on.
    RunnerGone,
}

/// Which budget an outcome spends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spends {
    /// The task's `retry`.
    Retry,
    /// The separate budget for what is not the task's fault.
    Infrastructure,
    /// Nothing: the task waits and resumes.
    Nothing,
}

impl Outcome {
    /// Which budget another attempt would be taken from.
    pub fn spends(&self) -> Spends {
        match self {
            Outcome::BudgetExceeded { of: BudgetOf::Job | BudgetOf::Day } => Spends::Nothing,
            Outcome::Failed { .. } | Outcome::TimedOut | Outcome::Silent | Outcome::BudgetExceeded { .. } => Spends::Retry,
            Outcome::Evicted { .. }
            | Outcome::Crashed { .. }
            | Outcome::Lost { .. }
            | Outcome::Overloaded
            | Outcome::Unlaunchable { .. } => Spends::Infrastructure,
            Outcome::Succeeded | Outcome::Cancelled | Outcome::Limited { .. } | Outcome::Auth => Spends::Nothing,
        }
    }

    /// One line for people: what happened, without the remedy.
    pub fn sentence(&self) -> String {
        match self {
            Outcome::Succeeded => "succeeded".to_owned(),
            Outcome::Failed { cause } => match cause {
                FailCause::Exit(code) => format!("exit {code}"),
                FailCause::Signal(signal) => format!("signal {signal}"),
                FailCause::Oom => "out of memory (its limit)".to_owned(),
                FailCause::Pids => "too many processes (its limit)".to_owned(),
                FailCause::Gate(how) => format!("gate failed: {how}"),
                FailCause::MaxTurns => "maximum number of turns reached".to_owned(),
                FailCause::Denied(what) => format!("denied: {what}"),
                FailCause::Repeat(why) => why.clone(),
                FailCause::ErrorResult(text) => format!("error result: {text}"),
                FailCause::OutputLimit => "output limit reached".to_owned(),
                FailCause::BadResult(why) => format!("bad result: {why}"),
                FailCause::Decision(why) => format!("cannot be decided: {why}"),
                FailCause::Instances { failed, of } => format!("{failed} of {of} instances failed"),
                FailCause::Child(how) => format!("child job {how}"),
                FailCause::Rejected(how) if how.starts_with("by ") => format!("rejected {how}"),
                FailCause::Rejected(how) => format!("rejected: {how}"),
                FailCause::Artifact(which) => format!("artifact missing: {which}"),
            },
            Outcome::TimedOut => "timed out".to_owned(),
            Outcome::Silent => "silent for too long".to_owned(),
            Outcome::Cancelled => "cancelled".to_owned(),
            Outcome::BudgetExceeded { of } => format!("budget exceeded ({})", of.word()),
            Outcome::Limited { .. } => "usage limit reached".to_owned(),
            Outcome::Overloaded => "model provider overloaded".to_owned(),
            Outcome::Auth => "not logged in, or the credential was refused".to_owned(),
            Outcome::Evicted { why } if why.is_empty() => "evicted".to_owned(),
            Outcome::Evicted { why } => format!("evicted: {why}"),
            Outcome::Crashed { why } => format!("crashed: {why}"),
            Outcome::Lost { cause: LostCause::Reboot } => "lost: the machine was restarted".to_owned(),
            Outcome::Lost { cause: LostCause::RunnerGone } => "lost: its runner is gone".to_owned(),
            Outcome::Unlaunchable { why, .. } => format!("could not start: {why}"),
        }
    }
}
