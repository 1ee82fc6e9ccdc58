//! What the core has to know of the configuration.

use std::collections::BTreeMap;

use crate::model::spec::{Budget, ClaudeAuth, WhenLimited};
use crate::model::time::Utc;

/// What the core has to know of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Slots by pool.
    pub slots: BTreeMap<String, u32>,
    /// What holds for all Claude runs.
    pub claude: ClaudeLimits,
}

/// What holds for all Claude runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaudeLimits {
    /// The credential of tasks that name none.
    pub auth: ClaudeAuth,
    /// Most at once, over all pools; none is no limit.
    pub max_parallel: Option<u32>,
    /// What a usage limit does to tasks that do not say.
    pub when_limited: WhenLimited,
    /// After the announced end of a usage limit, so that clocks that differ a little cost no attempt.
    pub margin_ms: i64,
    /// None starts before.
    pub quiet_until: Option<Utc>,
    /// What all of them may use today.
    pub day: Option<DayBudget>,
}

impl Default for ClaudeLimits {
    fn default() -> Self {
        ClaudeLimits {
            auth: ClaudeAuth::Login,
            max_parallel: None,
            when_limited: WhenLimited::Wait,
            margin_ms: 30_000,
            quiet_until: None,
            day: None,
        }
    }
}

/// What may be used within a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayBudget {
    /// The most.
    pub budget: Budget,
    /// When the day began.
    pub begins: Utc,
    /// When the next one does.
    pub ends: Utc,
}
