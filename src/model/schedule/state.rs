//! What is known of a schedule beside its definition, and what became of its times.

use serde::{Deserialize, Serialize};

use crate::model::ids::JobName;
use crate::model::time::Utc;

/// A time to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Due {
    /// When it is submitted: the time itself, put off by its jitter.
    pub at: Utc,
    /// The time.
    pub due: Utc,
}

/// Where a schedule stands. Each of its changes carries all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleState {
    /// What `every` counts from when the rule names no start: when the schedule was added.
    pub anchor: Utc,
    /// Whether a person paused it: nothing is due.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// The last time that something became of: none up to it will ever fire again, whatever the clock does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<Utc>,
    /// The next time; none while it is paused, and when there is no further one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Due>,
    /// Times that wait until the job before is over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<Utc>,
    /// The last job it submitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<JobName>,
}

/// What became of a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fired {
    /// A job was submitted for it.
    Submitted {
        /// The job.
        job: JobName,
    },
    /// It waits until the job before is over.
    Waits {
        /// The job before.
        behind: JobName,
    },
    /// The job before is being cancelled for it.
    Replaces {
        /// The job before.
        job: JobName,
    },
    /// Nothing was submitted.
    Skipped(Skipped),
    /// So many times passed while no manager ran or the machine slept, and are not made up for. The time is the first of them.
    Missed {
        /// How many.
        count: u64,
    },
    /// So many times that waited are given up, since more than 100 did. The time is the first of them.
    Dropped {
        /// How many.
        count: u64,
    },
}

/// Why nothing was submitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Skipped {
    /// The job before was not over (`overlap: skip`).
    Overlap {
        /// The job before.
        job: JobName,
    },
    /// As many as may wait did so already.
    Waiting,
    /// A later time took its place (`overlap: replace`).
    Replaced,
    /// The schedule was paused while it waited.
    Paused,
    /// The job was refused.
    Refused {
        /// Why.
        why: String,
    },
}

/// A time that passed, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// The time.
    pub due: Utc,
    /// When that was decided.
    pub at: Utc,
    /// What became of it.
    pub what: Fired,
}

impl std::fmt::Display for Fired {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fired::Submitted { job } => write!(f, "submitted {job}"),
            Fired::Waits { behind } => write!(f, "waits until {behind} is over (overlap: queue)"),
            Fired::Replaces { job } => write!(f, "waits until {job}, which it replaces, is over (overlap: replace)"),
            Fired::Skipped(why) => write!(f, "skipped: {why}"),
            Fired::Dropped { count: 1 } => f.write_str("given up: more than 100 waited"),
            Fired::Dropped { count } => write!(f, "given up, with {} after it: more than 100 waited", count - 1),
            Fired::Missed { count: 1 } => f.write_str("missed: no manager ran, or the machine slept"),
            Fired::Missed { count } => write!(f, "missed, with {} after it: no manager ran, or the machine slept", count - 1),
        }
    }
}

impl std::fmt::Display for Skipped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Skipped::Overlap { job } => write!(f, "{job} was not over (overlap: skip)"),
            Skipped::Waiting => f.write_str("another time waited already"),
            Skipped::Replaced => f.write_str("a later time took its place (overlap: replace)"),
            Skipped::Paused => f.write_str("the schedule was paused"),
            Skipped::Refused { why } => write!(f, "the job was refused: {why}"),
        }
    }
}
