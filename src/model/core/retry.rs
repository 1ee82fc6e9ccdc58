//! What an outcome means for its task: done, failed, or another attempt, and when.

use crate::model::change::AttemptFacts;
use crate::model::change::Rounds;
use crate::model::ids::AttemptId;
use crate::model::spec::{Repeat, RetryClass, RetryRule, WhenLimited};
use crate::model::state::{BudgetOf, Hold, Outcome, TaskState, Verdict};
use crate::model::time::Now;

use super::{Core, Task};

impl Core {
    /// Judges the end of an attempt of a task in its state before the end.
    pub(super) fn verdict(&self, attempt: AttemptId, outcome: &Outcome, facts: &AttemptFacts, now: Now) -> Verdict {
        let Some(task) = self.task(attempt.job, attempt.task) else { return Verdict::Fail };
        match outcome {
            Outcome::Succeeded if facts.round.as_ref().is_some_and(|round| !round.is_met) => return round(task),
            Outcome::Succeeded => return Verdict::Complete,
            Outcome::Cancelled => return Verdict::Cancelled,
            _ if matches!(task.state, TaskState::Cancelling { .. }) => return Verdict::Cancelled,
            Outcome::Unlaunchable { transient: false, .. } => return Verdict::Fail,
            Outcome::Limited { .. } if self.when_limited(attempt.job, attempt.task) == WhenLimited::Fail => return Verdict::Fail,
            // What it may use over all its attempts is used: another would be ended at once.
            Outcome::BudgetExceeded { of: BudgetOf::Task } => return Verdict::Fail,
            _ if self.is_task_spent(attempt, facts) => return Verdict::Fail,
            _ if self.is_stopped(attempt) => return Verdict::Fail,
            _ => {}
        }
        let random = splitmix(
            self.seed ^ (u64::from(attempt.job.0) << 40) ^ (u64::from(attempt.task.0) << 16) ^ u64::from(attempt.number),
        );
        match RetryClass::of(outcome) {
            Some(class) => {
                let retry = &task.spec.limits.retry;
                let rule = retry.rule(class);
                let spent = retry.spent(rule.budget, &task.spent, (task.spent_retry, task.spent_infra)) + 1;
                if spent >= rule.attempts {
                    return Verdict::Fail;
                }
                let delay_ms = delay(&rule, spent, random);
                Verdict::Again(Hold::Retry { at: now.utc.plus(i64::try_from(delay_ms).unwrap_or(i64::MAX)), delay_ms })
            }
            None => match outcome {
                Outcome::BudgetExceeded { of: BudgetOf::Day } => {
                    Verdict::Again(self.day_hold(now).unwrap_or(Hold::Budget { of: BudgetOf::Day, until: Some(now.utc) }))
                }
                Outcome::BudgetExceeded { of } => Verdict::Again(Hold::Budget { of: *of, until: None }),
                _ => self.credential_hold(attempt).map_or(Verdict::Fail, Verdict::Again),
            },
        }
    }
}

/// The condition of a task that repeats does not hold yet: another round, unless a person has asked for its end meanwhile.
fn round(task: &Task) -> Verdict {
    if matches!(task.state, TaskState::Cancelling { .. }) { Verdict::Cancelled } else { Verdict::Round }
}

/// Why a task that repeats is given up after this round, which did not meet its condition.
pub(super) fn given_up(repeat: &Repeat, rounds: &Rounds) -> Option<String> {
    if rounds.done >= repeat.max {
        return Some(format!("`until` did not hold after {} rounds", rounds.done));
    }
    let most = repeat.stop_after_no_change;
    (most > 0 && rounds.unchanged >= most).then(|| format!("{most} rounds in a row changed nothing in the git tree"))
}

/// The delay before the attempt that follows `spent` spent ones: exponential, capped, spread by jitter.
pub fn delay(retry: &RetryRule, spent: u32, random: u64) -> u64 {
    let exponent = i32::try_from(spent.saturating_sub(1)).unwrap_or(i32::MAX);
    let plain = (retry.delay_ms as f64 * retry.factor.max(1.0).powi(exponent)).min(retry.max_delay_ms as f64);
    // 53 random bits are a fraction of [0, 1).
    let fraction = (random >> 11) as f64 / (1u64 << 53) as f64;
    let spread = 1.0 + retry.jitter.clamp(0.0, 1.0) * (2.0 * fraction - 1.0);
    (plain * spread).clamp(0.0, 365.0 * 86_400_000.0) as u64
}

/// Sebastiano Vigna's splitmix64: spreads a seed over all bits.
pub(super) fn splitmix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
