//! Schedules: when a job is due, and what is done about times that were missed or come while the job before still runs.
//!
//! Pure: [`Rule`] tells the next time after any other, [`crate::model::core`] decides what a time that has come leads to.

mod cron;
mod state;
#[cfg(test)]
mod tests;
mod words;
pub mod zone;

use serde::{Deserialize, Serialize};

pub use cron::{CronFault, Timetable};
pub use state::{Due, Fired, Passed, ScheduleState, Skipped};
pub use words::span;

use super::time::Utc;

/// Most schedules of a home.
pub const MAX_SCHEDULES: usize = 1_000;
/// Most missed times that `catch_up: all` makes up for; those before them are dropped, and that is said.
pub const MAX_CATCH_UP: usize = 100;
/// Most times that wait under `overlap: queue` until the job before is over.
pub const MAX_WAITING: usize = 1;
/// Shortest `every`.
pub const MIN_EVERY_MS: u64 = 1_000;
/// Firings that are kept of each schedule.
pub const MAX_FIRINGS: u32 = 50;

/// When a job is due, and what becomes of times that do not fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// The times.
    pub when: When,
    /// None is due before it; `every` counts from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Utc>,
    /// None is due after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Utc>,
    /// What becomes of times that passed while no manager ran, or while the machine slept.
    #[serde(default)]
    pub catch_up: CatchUp,
    /// What becomes of a time that comes while the job before is not over.
    #[serde(default)]
    pub overlap: Overlap,
    /// Each time is put off by a random part of this, so that not all machines begin at once.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub jitter_ms: u64,
}

/// The times themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// By the clock on the wall of a place.
    Cron {
        /// Five fields, or a name such as `@daily`.
        expression: String,
        /// Such as `Europe/Berlin`.
        timezone: String,
    },
    /// At equal distances, whatever the clocks of people do.
    Every {
        /// In milliseconds.
        ms: u64,
    },
}

/// What becomes of missed times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// Nothing.
    None,
    /// One run for all of them.
    #[default]
    Last,
    /// One run for each, at most 100, one after the other.
    All,
}

/// What becomes of a time that comes while the job before is not over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// Nothing; that is recorded.
    #[default]
    Skip,
    /// It waits until the job before is over; one waits, further ones are skipped.
    Queue,
    /// The job before is cancelled; the new one is submitted once it is over.
    Replace,
}

/// Which schedule a job comes from, and for which time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheduled {
    /// The schedule's name.
    pub schedule: String,
    /// The time that it was due; when a person asked for it, that time.
    pub due: Utc,
}

/// Times that passed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Times {
    /// The newest ones, in order, one more than are ever made up for.
    pub newest: Vec<Utc>,
    /// How many there were in all, as far as they were counted.
    pub count: u64,
}

/// Times that are counted one by one; whoever missed more is told of so many.
const MAX_COUNTED: u64 = 10_000;
/// Times that are kept: the last one may be put off by its jitter.
const KEPT: usize = MAX_CATCH_UP + 1;
/// The first span that is searched backwards.
const LOOK_BACK_MS: i64 = 3_600_000;

impl Rule {
    /// Its times, ready to be asked for.
    ///
    /// # Errors
    /// When the expression or the zone cannot be read, as this version reads them.
    pub fn times(&self, anchor: Utc) -> Result<Clockwork<'_>, CronFault> {
        let table = match &self.when {
            When::Cron { expression, timezone } => Some(Timetable::parse(expression, timezone)?),
            When::Every { .. } => None,
        };
        Ok(Clockwork { rule: self, table, anchor })
    }
}

/// A rule's times.
#[derive(Debug, Clone)]
pub struct Clockwork<'a> {
    rule: &'a Rule,
    table: Option<Timetable>,
    /// What `every` counts from when the rule says nothing.
    anchor: Utc,
}

impl Clockwork<'_> {
    /// The first time after `after`; none when there is no further one.
    pub fn next_after(&self, after: Utc) -> Option<Utc> {
        let after = match self.rule.start {
            Some(start) => after.max(start.plus(-1)),
            None => after,
        };
        let next = match (&self.rule.when, &self.table) {
            (When::Every { ms }, _) => {
                let (from, ms) = (self.rule.start.unwrap_or(self.anchor).0, i64::try_from(*ms).unwrap_or(i64::MAX).max(1));
                let steps = after.0.saturating_sub(from).div_euclid(ms).saturating_add(1);
                Utc(from.checked_add(steps.checked_mul(ms)?)?)
            }
            (When::Cron { .. }, Some(table)) => table.next_after(after)?,
            (When::Cron { .. }, None) => return None,
        };
        self.rule.until.is_none_or(|until| next <= until).then_some(next)
    }

    /// The times after `after`, up to `to`.
    pub fn between(&self, after: Utc, to: Utc) -> Times {
        let mut times = Times::default();
        let mut at = after;
        while let Some(next) = self.next_after(at).filter(|next| *next <= to) {
            if times.newest.len() == KEPT {
                // The oldest gives way; few are kept, so moving them costs little.
                times.newest.remove(0);
            }
            times.newest.push(next);
            times.count += 1;
            at = next;
            if times.count == MAX_COUNTED {
                let newest = self.newest(at, to);
                times.count += newest.len() as u64;
                times.newest.extend(newest);
                times.newest.drain(..times.newest.len().saturating_sub(KEPT));
                break;
            }
        }
        times
    }

    /// The newest times after `after`, up to `to`, found from the end.
    fn newest(&self, after: Utc, to: Utc) -> Vec<Utc> {
        let mut span = LOOK_BACK_MS;
        loop {
            let from = to.plus(-span).max(after);
            let mut newest = std::collections::VecDeque::new();
            let mut at = from;
            while let Some(next) = self.next_after(at).filter(|next| *next <= to) {
                newest.push_back(next);
                if newest.len() > KEPT {
                    newest.pop_front();
                }
                at = next;
            }
            if newest.len() == KEPT || from == after {
                return newest.into();
            }
            span = span.saturating_mul(2);
        }
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}
