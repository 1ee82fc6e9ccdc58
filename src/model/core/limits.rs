//! What the core has to know of the configuration, and what another one changes.

use std::collections::BTreeMap;

use crate::model::change::Change;
use crate::model::ids::{JobId, TaskIdx};
use crate::model::spec::{Budget, ClaudeAuth, WhenLimited};
use crate::model::state::{BudgetOf, Hold, TaskKind, TaskState};
use crate::model::time::{Now, Utc};

use super::Core;

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

impl Core {
    /// Another configuration, or another day: tasks that were held by the old one are looked at anew.
    pub(super) fn relimit(&mut self, limits: Limits, now: Now) {
        let before = std::mem::replace(&mut self.limits, limits);
        if before.claude == self.limits.claude {
            return;
        }
        let mut held: Vec<(JobId, TaskIdx, Hold)> = Vec::new();
        for job in self.jobs.values().filter(|job| job.counts.of(TaskKind::Held) > 0) {
            for (task, found) in (0u32..).map(TaskIdx).zip(&job.tasks) {
                if let TaskState::Held { hold } = &found.state {
                    held.push((job.id, task, hold.clone()));
                }
            }
        }
        // Who waits for which credential depends on the configured one.
        self.waiting.clear();
        for (job, task, hold) in held {
            match hold {
                Hold::Limit { .. } | Hold::Login { .. } => {
                    self.index_waiting(job, task, &TaskState::Pending, &TaskState::Held { hold: hold.clone() });
                    match self
                        .credential_of(job, task)
                        .and_then(|name| self.credentials.get(&name)?.hold.clone())
                        .map(|hold| self.hold_for(job, task, &hold))
                    {
                        None => self.release(job, task, now),
                        Some(other) if other != hold => {
                            self.emit(Change::TaskMoved { job, task, state: TaskState::Held { hold: other } }, now);
                        }
                        Some(_) => {}
                    }
                }
                Hold::Quiet { .. } | Hold::Budget { of: BudgetOf::Day, .. } => self.release(job, task, now),
                Hold::Budget { .. } | Hold::Retry { .. } | Hold::Secret { .. } => {}
            }
        }
    }
}
