//! What is told of the home as a whole: the manager, pools, credentials, what is used.

use serde::{Deserialize, Serialize};

use super::JobView;
use crate::model::state::Counts;
use crate::model::time::Utc;

/// The home at a glance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusView {
    /// Process id of the manager; none when no manager runs.
    pub manager: Option<u32>,
    /// Whether everything is paused.
    pub paused: bool,
    /// Tasks of all jobs; instances stand for their mapped tasks.
    pub tasks: Counts,
    /// Jobs by state, in the order waiting, working, completed, failed, cancelled.
    pub jobs: [u32; 5],
    /// Cost of all Claude runs, in millionths of a dollar.
    pub cost_microusd: u64,
    /// Pools that are configured or in use.
    pub pools: Vec<PoolView>,
    /// The newest jobs that are not over, at most 20, then as many finished ones as fit.
    pub recent: Vec<JobView>,
    /// Schedules.
    #[serde(default)]
    pub schedules: u32,
    /// When the next of them is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_due: Option<Utc>,
    /// What a person should look at: quarantined jobs, a full disk, an invalid configuration.
    pub warnings: Vec<String>,
}

/// What surrounds the jobs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverviewView {
    /// Process id of the manager; none when no manager runs.
    pub manager: Option<u32>,
    /// Whether everything is paused.
    pub paused: bool,
    /// Whether there is too little room on the disk to start anything.
    pub disk_low: bool,
    /// Pools that are configured or in use.
    pub pools: Vec<PoolView>,
    /// Live tasks of which nothing is known, though their engines can be reached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stranded: Vec<StrandedView>,
    /// As in [`StatusView`].
    pub warnings: Vec<String>,
    /// Questions that wait for a person.
    #[serde(default)]
    pub questions: u32,
    /// What Claude runs use.
    #[serde(default)]
    pub usage: UsageView,
    /// Schedules.
    #[serde(default)]
    pub schedules: u32,
    /// When the next of them is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_due: Option<Utc>,
}

/// A live task of which nothing is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StrandedView {
    /// Its job.
    pub job: u32,
    /// Its place in the job.
    pub task: u32,
    /// Why.
    pub why: String,
}

/// What Claude runs use, and what holds them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageView {
    /// Every credential that was used.
    pub credentials: Vec<CredentialView>,
    /// Used since the day began, in millionths of a dollar, by runs that are over and by those that go on.
    pub today_microusd: u64,
    /// As `today_microusd`, in tokens.
    pub today_tokens: u64,
    /// What may be used in a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day: Option<crate::model::spec::Budget>,
    /// Claude runs that live.
    pub running: u32,
    /// Most of them at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_parallel: Option<u32>,
}

/// A credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialView {
    /// Its name.
    pub name: String,
    /// What is known of it.
    #[serde(flatten)]
    pub state: crate::model::credential::CredentialState,
}

/// A pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolView {
    /// Its name.
    pub name: String,
    /// Its slots; 0 when it is not in the configuration any more.
    pub slots: u32,
    /// Slots taken.
    pub used: u32,
    /// Why its engine cannot be reached, if it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreachable: Option<String>,
}
