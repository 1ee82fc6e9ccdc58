//! Repeating what failed: how often and how soon, for all outcomes or for some of them.
//!
//! Every outcome that another attempt may follow has a class, and classes form a tree: `exit 75` is one of `failed`, which is one
//! of the task's own; `lost` is one of `infrastructure`. What a class does not say is said by the one above it. A class that says
//! `attempts` has a budget of its own, for itself and what is below it; all others spend that of the one above.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Resume;
use crate::model::state::{BudgetOf, FailCause, Outcome, Spends};

/// Attempts that may be lost to the infrastructure before a task fails, counted since the last requeue, when its file does not say.
pub const INFRASTRUCTURE_RETRIES: u32 = 3;
/// Delays between attempts lost to the infrastructure, where the file does not say.
const INFRASTRUCTURE: RetryRule = RetryRule {
    attempts: INFRASTRUCTURE_RETRIES + 1,
    delay_ms: 1_000,
    factor: 4.0,
    max_delay_ms: 60_000,
    jitter: 0.2,
    budget: Some(RetryClass::Infrastructure),
};

/// Repeating what failed. The task's own failures spend `attempts`; infrastructure failures have a budget of their own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Retry {
    /// Attempts in all, 1 to 100; 1 is no retry.
    pub attempts: u32,
    /// Before the second attempt.
    pub delay_ms: u64,
    /// Multiplies the delay each time, at least 1.
    pub factor: f64,
    /// The longest delay.
    pub max_delay_ms: u64,
    /// Part of the delay that is random, 0 to 1: 0.2 spreads it from 80 % to 120 %.
    pub jitter: f64,
    /// Whether a Claude run goes on with its session.
    #[serde(default, skip_serializing_if = "is_auto")]
    pub resume: Resume,
    /// What holds for some outcomes only.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub on: BTreeMap<RetryClass, ClassRetry>,
}

fn is_auto(resume: &Resume) -> bool {
    *resume == Resume::Auto
}

impl Default for Retry {
    fn default() -> Self {
        Retry {
            attempts: 1,
            delay_ms: 10_000,
            factor: 2.0,
            max_delay_ms: 600_000,
            jitter: 0.2,
            resume: Resume::Auto,
            on: BTreeMap::new(),
        }
    }
}

/// What a class says that differs from the one above it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ClassRetry {
    /// Attempts in all that may end so; 1 is never again. Said, it is a budget of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// As in [`Retry`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// As in [`Retry`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factor: Option<f64>,
    /// As in [`Retry`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_delay_ms: Option<u64>,
    /// As in [`Retry`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<f64>,
}

/// What holds for an outcome.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryRule {
    /// Attempts in all that the budget allows.
    pub attempts: u32,
    /// Before the first of them that is another one.
    pub delay_ms: u64,
    /// Multiplies the delay each time.
    pub factor: f64,
    /// The longest delay.
    pub max_delay_ms: u64,
    /// Part of the delay that is random.
    pub jitter: f64,
    /// Whose budget it is; none is that of all the task's own failures.
    pub budget: Option<RetryClass>,
}

impl RetryRule {
    fn with(self, class: RetryClass, said: &ClassRetry) -> RetryRule {
        RetryRule {
            attempts: said.attempts.unwrap_or(self.attempts),
            delay_ms: said.delay_ms.unwrap_or(self.delay_ms),
            factor: said.factor.unwrap_or(self.factor),
            max_delay_ms: said.max_delay_ms.unwrap_or(self.max_delay_ms),
            jitter: said.jitter.unwrap_or(self.jitter),
            budget: said.attempts.map_or(self.budget, |_| Some(class)),
        }
    }

    /// The longest delay that can come of it, jitter included.
    pub fn longest_ms(&self) -> u64 {
        (self.max_delay_ms as f64 * (1.0 + self.jitter.clamp(0.0, 1.0))).ceil() as u64
    }
}

/// How attempts since the last requeue ended, by class.
pub type Spent = BTreeMap<RetryClass, u32>;

impl Retry {
    /// What holds for outcomes of this class.
    pub fn rule(&self, class: RetryClass) -> RetryRule {
        let above = match class.above() {
            Some(above) => self.rule(above),
            None if class == RetryClass::Infrastructure => INFRASTRUCTURE,
            None => self.own(),
        };
        self.on.get(&class).map_or(above, |said| above.with(class, said))
    }

    fn own(&self) -> RetryRule {
        let Retry { attempts, delay_ms, factor, max_delay_ms, jitter, .. } = *self;
        RetryRule { attempts, delay_ms, factor, max_delay_ms, jitter, budget: None }
    }

    /// What of a budget is spent, of attempts that ended so: so many in all by the task's own fault, and so many lost to the
    /// infrastructure. (A database of an earlier airx knows these two only.)
    pub fn spent(&self, budget: Option<RetryClass>, by_class: &Spent, (own, infrastructure): (u32, u32)) -> u32 {
        let is_of = |class: RetryClass| self.rule(class).budget == budget;
        let count = |counts: &dyn Fn(RetryClass) -> bool| -> u32 {
            by_class.iter().filter(|(class, _)| counts(**class)).map(|(_, count)| count).sum()
        };
        match budget {
            None => own.saturating_sub(count(&|class| class.is_own() && !is_of(class))),
            Some(RetryClass::Infrastructure) => infrastructure.saturating_sub(count(&|class| !class.is_own() && !is_of(class))),
            Some(_) => count(&is_of),
        }
    }

    /// Attempts that there can be at most without a requeue, limits and rounds aside.
    pub fn most(&self) -> u32 {
        let said = self.on.iter().filter(|(class, _)| **class != RetryClass::Infrastructure);
        let classes = said.filter_map(|(_, said)| said.attempts);
        let all = [self.attempts, self.rule(RetryClass::Infrastructure).attempts].into_iter().chain(classes);
        all.fold(1, |sum, attempts| sum.saturating_add(attempts.saturating_sub(1)))
    }

    /// The same, but nothing of the task's own fault is repeated: what costs money is repeated only where its own definition
    /// says so.
    pub fn once(&self) -> Retry {
        let mut once = Retry { attempts: 1, ..self.clone() };
        let own = once.on.iter_mut().filter(|(class, _)| class.is_own());
        own.for_each(|(_, said)| said.attempts = None);
        once
    }
}

/// A class of outcomes that another attempt may follow. In words those of a job file, `exit 75` for an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum RetryClass {
    /// By its own fault, in whatever way.
    Failed,
    /// With this exit code.
    Exit(i32),
    /// By a signal.
    Signal,
    /// Out of the memory it may use.
    Oom,
    /// More processes than it may have.
    Pids,
    /// Refused by its gate.
    Gate,
    /// `max_turns` reached.
    MaxTurns,
    /// Tools were denied.
    Denied,
    /// Its `repeat` was given up.
    Repeat,
    /// Claude reported an error.
    ErrorResult,
    /// Output limit reached.
    OutputLimit,
    /// No result as it should be.
    BadResult,
    /// Without a file that had to be kept.
    Artifact,
    /// Longer than its timeout.
    TimedOut,
    /// Silent for too long.
    Silent,
    /// One attempt's budget is spent.
    BudgetExceeded,
    /// All that is not the task's fault.
    Infrastructure,
    /// Its place was taken away.
    Evicted,
    /// Ended by something outside of it.
    Crashed,
    /// Its runner vanished.
    Lost,
    /// The model provider is overloaded.
    Overloaded,
    /// It could not be started this time.
    Unlaunchable,
}

/// The classes with a word of their own: all but exit codes.
pub const RETRY_CLASSES: [(&str, RetryClass); 21] = [
    ("failed", RetryClass::Failed),
    ("signal", RetryClass::Signal),
    ("oom", RetryClass::Oom),
    ("pids", RetryClass::Pids),
    ("gate", RetryClass::Gate),
    ("max_turns", RetryClass::MaxTurns),
    ("denied", RetryClass::Denied),
    ("repeat", RetryClass::Repeat),
    ("error_result", RetryClass::ErrorResult),
    ("output_limit", RetryClass::OutputLimit),
    ("bad_result", RetryClass::BadResult),
    ("artifact", RetryClass::Artifact),
    ("timed_out", RetryClass::TimedOut),
    ("silent", RetryClass::Silent),
    ("budget_exceeded", RetryClass::BudgetExceeded),
    ("infrastructure", RetryClass::Infrastructure),
    ("evicted", RetryClass::Evicted),
    ("crashed", RetryClass::Crashed),
    ("lost", RetryClass::Lost),
    ("overloaded", RetryClass::Overloaded),
    ("unlaunchable", RetryClass::Unlaunchable),
];

impl RetryClass {
    /// The finest class of an outcome; none when it spends nothing.
    pub fn of(outcome: &Outcome) -> Option<RetryClass> {
        if outcome.spends() == Spends::Nothing {
            return None;
        }
        Some(match outcome {
            Outcome::Failed { cause } => match cause {
                FailCause::Exit(code) => RetryClass::Exit(*code),
                FailCause::Signal(_) => RetryClass::Signal,
                FailCause::Oom => RetryClass::Oom,
                FailCause::Pids => RetryClass::Pids,
                FailCause::Gate(_) => RetryClass::Gate,
                FailCause::MaxTurns => RetryClass::MaxTurns,
                FailCause::Denied(_) => RetryClass::Denied,
                FailCause::Repeat(_) => RetryClass::Repeat,
                FailCause::ErrorResult(_) => RetryClass::ErrorResult,
                FailCause::OutputLimit => RetryClass::OutputLimit,
                FailCause::BadResult(_) => RetryClass::BadResult,
                FailCause::Artifact(_) => RetryClass::Artifact,
                // No attempt ends so.
                FailCause::Decision(_) | FailCause::Instances { .. } | FailCause::Child(_) | FailCause::Rejected(_) => {
                    return None;
                }
            },
            Outcome::TimedOut => RetryClass::TimedOut,
            Outcome::Silent => RetryClass::Silent,
            Outcome::BudgetExceeded { of: BudgetOf::Attempt | BudgetOf::Task } => RetryClass::BudgetExceeded,
            Outcome::Evicted { .. } => RetryClass::Evicted,
            Outcome::Crashed { .. } => RetryClass::Crashed,
            Outcome::Lost { .. } => RetryClass::Lost,
            Outcome::Overloaded => RetryClass::Overloaded,
            Outcome::Unlaunchable { .. } => RetryClass::Unlaunchable,
            Outcome::BudgetExceeded { .. }
            | Outcome::Succeeded
            | Outcome::Cancelled
            | Outcome::Limited { .. }
            | Outcome::Auth => return None,
        })
    }

    /// The class that it is one of.
    fn above(self) -> Option<RetryClass> {
        use RetryClass as Of;
        match self {
            Of::Failed | Of::TimedOut | Of::Silent | Of::BudgetExceeded | Of::Infrastructure => None,
            Of::Evicted | Of::Crashed | Of::Lost | Of::Overloaded | Of::Unlaunchable => Some(Of::Infrastructure),
            _ => Some(Of::Failed),
        }
    }

    /// Whether it is the task's own fault.
    pub fn is_own(self) -> bool {
        self != RetryClass::Infrastructure && self.above() != Some(RetryClass::Infrastructure)
    }
}

impl fmt::Display for RetryClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, RETRY_CLASSES.iter().find(|(_, class)| class == self)) {
            (RetryClass::Exit(code), _) => write!(f, "exit {code}"),
            (_, Some((word, _))) => f.write_str(word),
            (_, None) => f.write_str("failed"),
        }
    }
}

impl From<RetryClass> for String {
    fn from(class: RetryClass) -> String {
        class.to_string()
    }
}

impl TryFrom<String> for RetryClass {
    type Error = String;

    fn try_from(word: String) -> Result<RetryClass, String> {
        let exit = word.strip_prefix("exit ").and_then(|code| code.parse().ok()).map(RetryClass::Exit);
        let known = RETRY_CLASSES.iter().find(|(known, _)| *known == word).map(|(_, class)| *class);
        exit.or(known).ok_or_else(|| format!("`{word}` is no class of outcomes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_one_word_and_is_read_back() {
        for (word, class) in RETRY_CLASSES {
            assert_eq!((class.to_string().as_str(), RetryClass::try_from(word.to_owned())), (word, Ok(class)));
        }
        assert_eq!(RetryClass::try_from("exit 75".to_owned()), Ok(RetryClass::Exit(75)));
        assert!(RetryClass::try_from("exit".to_owned()).is_err());
    }

    #[test]
    fn what_a_class_does_not_say_is_said_by_the_one_above_and_attempts_make_a_budget() {
        let mut retry = Retry { attempts: 3, delay_ms: 10, ..Retry::default() };
        retry.on.insert(RetryClass::Failed, ClassRetry { delay_ms: Some(20), ..ClassRetry::default() });
        retry.on.insert(RetryClass::Exit(75), ClassRetry { attempts: Some(9), ..ClassRetry::default() });
        retry.on.insert(RetryClass::Lost, ClassRetry { delay_ms: Some(7), ..ClassRetry::default() });
        let of = |class| (retry.rule(class).attempts, retry.rule(class).delay_ms, retry.rule(class).budget);
        assert_eq!(of(RetryClass::TimedOut), (3, 10, None));
        assert_eq!(of(RetryClass::Exit(1)), (3, 20, None));
        assert_eq!(of(RetryClass::Exit(75)), (9, 20, Some(RetryClass::Exit(75))));
        assert_eq!(of(RetryClass::Lost), (4, 7, Some(RetryClass::Infrastructure)));
        let spent = Spent::from([(RetryClass::Exit(75), 2), (RetryClass::Exit(1), 1), (RetryClass::Lost, 1)]);
        let of = |budget| retry.spent(budget, &spent, (3, 1));
        let budgets = [None, Some(RetryClass::Exit(75)), Some(RetryClass::Infrastructure)];
        assert_eq!(budgets.map(of), [1, 2, 1]);
        assert_eq!(retry.spent(None, &Spent::new(), (3, 1)), 3, "known in sum only");
        assert_eq!(retry.most(), 1 + 2 + 8 + 3);
        assert_eq!(retry.once().most(), 1 + 3);
    }
}
