//! Retries, looked at by a fold of its own over what is committed: how often a task was tried again for which outcomes, and
//! after how long a wait.

use std::collections::BTreeMap;

use airx::model::change::{Change, Event};
use airx::model::ids::{JobId, TaskIdx};
use airx::model::spec::{ClassRetry, Retry, RetryClass};
use airx::model::state::{FailCause, Hold, Outcome, TaskState};

use crate::store::Journal;

/// What is committed so far, since each task's last requeue.
#[derive(Debug, Default)]
pub struct Retries {
    /// Attempts after which there was to be another one, by the class whose budget that spends.
    again: BTreeMap<(JobId, TaskIdx), BTreeMap<Option<RetryClass>, u32>>,
    /// What these storms tried, to be counted.
    pub tried: BTreeMap<&'static str, u32>,
}

/// The classes of an outcome from the finest on, written apart from the model's.
fn chain(outcome: &Outcome) -> Vec<RetryClass> {
    let below = |class| vec![class, RetryClass::Failed];
    let infrastructure = |class| vec![class, RetryClass::Infrastructure];
    match outcome {
        Outcome::Failed { cause: FailCause::Exit(code) } => below(RetryClass::Exit(*code)),
        Outcome::Failed { cause: FailCause::Gate(_) } => below(RetryClass::Gate),
        Outcome::Failed { .. } => vec![RetryClass::Failed],
        Outcome::TimedOut => vec![RetryClass::TimedOut],
        Outcome::Lost { .. } => infrastructure(RetryClass::Lost),
        Outcome::Overloaded => infrastructure(RetryClass::Overloaded),
        Outcome::Evicted { .. } | Outcome::Crashed { .. } | Outcome::Unlaunchable { .. } => vec![RetryClass::Infrastructure],
        _ => Vec::new(),
    }
}

/// Whose budget an outcome spends, how many attempts that allows, and the longest wait.
fn budget(retry: &Retry, outcome: &Outcome) -> (Option<RetryClass>, u32, f64) {
    let chain = chain(outcome);
    let is_own = !chain.contains(&RetryClass::Infrastructure);
    let said = |of: &dyn Fn(&ClassRetry) -> bool| chain.iter().find(|class| retry.on.get(class).is_some_and(of)).copied();
    let owner = said(&|said| said.attempts.is_some()).or((!is_own).then_some(RetryClass::Infrastructure));
    let attempts = owner.and_then(|class| retry.on.get(&class)?.attempts);
    let longest = if is_own { retry.max_delay_ms as f64 * (1.0 + retry.jitter) } else { 60_000.0 * 1.2 };
    (owner, attempts.unwrap_or(if is_own { retry.attempts } else { 4 }), longest)
}

impl Retries {
    /// Takes in what was committed.
    pub fn take(&mut self, event: &Event, journal: &Journal) -> Result<(), String> {
        match &event.change {
            Change::TaskRequeued { job, task, .. } => drop(self.again.remove(&(*job, *task))),
            Change::TaskExpanded { job, task, .. } => {
                let rows = &journal.rows.jobs[&job.0].tasks;
                let is_of =
                    |place: u32| rows.get(place as usize).and_then(|row| row.instance).is_some_and(|(of, _)| of == task.0);
                self.again.retain(|(of, place), _| of != job || !is_of(place.0));
            }
            Change::AttemptClosed { attempt, outcome, state: TaskState::Held { hold: Hold::Retry { delay_ms, .. } }, .. } => {
                let Some(task) = journal.jobs.get(&attempt.job.0).and_then(|job| job.tasks.get(attempt.task.0 as usize)) else {
                    return Ok(());
                };
                let retry = &task.spec.limits.retry;
                let (owner, attempts, longest) = budget(retry, outcome);
                let again = self.again.entry((attempt.job, attempt.task)).or_default();
                let count = again.entry(owner).or_default();
                *count += 1;
                if *count >= attempts {
                    return Err(format!(
                        "no budget of retries is overdrawn: {attempt} is tried again after {outcome:?}, {count} times of {attempts}"
                    ));
                }
                if *delay_ms as f64 > longest {
                    return Err(format!("no wait is longer than the longest: {attempt} waits {delay_ms} ms of {longest}"));
                }
                let total: u32 = again.values().sum();
                if total >= retry.most() {
                    return Err(format!("no more attempts than all budgets together: {attempt}, {total} of {}", retry.most()));
                }
                let what = match owner {
                    None => "a retry of the task's budget",
                    Some(RetryClass::Infrastructure) => "a retry of the infrastructure's budget",
                    Some(_) => "a retry of an outcome's own budget",
                };
                *self.tried.entry(what).or_default() += 1;
                if again.len() > 1 {
                    *self.tried.entry("retries of several budgets").or_default() += 1;
                }
            }
            _ => {}
        }
        Ok(())
    }
}
