//! When a task may start: its trigger rule over what became of the tasks it needs.

use crate::model::spec::Rule;
use crate::model::state::{SkipReason, TaskState};

use super::job::{Job, Task};

/// How many of some tasks are over, by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub completed: u32,
    /// Failed, or given up because of another's failure.
    pub failed: u32,
    pub cancelled: u32,
    pub skipped: u32,
}

impl Tally {
    /// Counts a task in; one that is not over counts nowhere.
    pub fn count(&mut self, state: &TaskState) {
        if let Some(number) = self.of(state) {
            *number += 1;
        }
    }

    /// Counts a task out.
    pub fn forget(&mut self, state: &TaskState) {
        if let Some(number) = self.of(state) {
            *number = number.saturating_sub(1);
        }
    }

    fn of(&mut self, state: &TaskState) -> Option<&mut u32> {
        match state {
            TaskState::Completed => Some(&mut self.completed),
            TaskState::Failed | TaskState::UpstreamFailed => Some(&mut self.failed),
            TaskState::Cancelled => Some(&mut self.cancelled),
            TaskState::Skipped { .. } => Some(&mut self.skipped),
            _ => None,
        }
    }

    /// All that are over.
    pub fn over(self) -> u32 {
        self.completed + self.failed + self.cancelled + self.skipped
    }
}

/// What a pending task's rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readiness {
    /// It depends on what is not over.
    Waits,
    /// It may start.
    Ready,
    /// It will not run, and nothing failed.
    Skip(SkipReason),
    /// It will not run, because a task it needs did not complete.
    UpstreamFailed,
}

impl Readiness {
    /// The state of a task that was pending.
    pub fn state(self) -> TaskState {
        match self {
            Readiness::Waits => TaskState::Pending,
            Readiness::Ready => TaskState::Queued,
            Readiness::Skip(why) => TaskState::Skipped { why },
            Readiness::UpstreamFailed => TaskState::UpstreamFailed,
        }
    }
}

impl Job {
    /// What the rule of a task says now.
    pub(super) fn readiness(&self, task: &Task) -> Readiness {
        // An instance waits for what its mapping needs, when that is run again.
        let task = task.instance.and_then(|instance| self.get(instance.of)).unwrap_or(task);
        if task.spec.finally && self.open > 0 {
            return Readiness::Waits;
        }
        let needs = u32::try_from(task.needs.len()).unwrap_or(u32::MAX);
        let is_over = task.tally.over() >= needs;
        // Of a mapping the instances of its present list count one by one.
        let early = || {
            let mapped = task.needs.iter().filter_map(|need| self.get(*need)?.mapped.as_deref());
            mapped.map(|mapped| mapped.tally).fold((0, 0), |sum, tally| (sum.0 + tally.completed, sum.1 + tally.failed))
        };
        judge(task.spec.rule, task.tally, is_over, &early)
    }
}

/// The rule's word on tasks of which so many became this or that; `early` tells completed and failed instances of mappings.
fn judge(rule: Rule, tally: Tally, is_over: bool, early: &dyn Fn() -> (u32, u32)) -> Readiness {
    let wait_or = |judged| if is_over { judged } else { Readiness::Waits };
    let is_broken = tally.failed + tally.cancelled > 0;
    match rule {
        Rule::AllSuccess | Rule::NoneFailed if is_broken => Readiness::UpstreamFailed,
        Rule::AllSuccess if tally.skipped > 0 => wait_or(Readiness::Skip(SkipReason::Rule)),
        Rule::AllSuccess | Rule::NoneFailed | Rule::AllDone | Rule::Always => wait_or(Readiness::Ready),
        Rule::OneSuccess if tally.completed > 0 || early().0 > 0 => Readiness::Ready,
        Rule::OneSuccess if is_broken => wait_or(Readiness::UpstreamFailed),
        Rule::OneFailed if tally.failed > 0 || early().1 > 0 => Readiness::Ready,
        Rule::OneSuccess | Rule::OneFailed => wait_or(Readiness::Skip(SkipReason::Rule)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(rule: Rule, completed: u32, failed: u32, cancelled: u32, skipped: u32, open: u32) -> Readiness {
        judge(rule, Tally { completed, failed, cancelled, skipped }, open == 0, &|| (0, 0))
    }

    #[test]
    fn each_rule_says_what_the_design_says() {
        use Readiness::{Ready, Skip, UpstreamFailed, Waits};
        let skipped = Skip(SkipReason::Rule);
        for (rule, some_open, all_completed, one_failed, one_cancelled, one_skipped, failed_and_open, completed_and_open) in [
            (Rule::AllSuccess, Waits, Ready, UpstreamFailed, UpstreamFailed, skipped, UpstreamFailed, Waits),
            (Rule::AllDone, Waits, Ready, Ready, Ready, Ready, Waits, Waits),
            (Rule::Always, Waits, Ready, Ready, Ready, Ready, Waits, Waits),
            (Rule::OneSuccess, Waits, Ready, Ready, Ready, Ready, Waits, Ready),
            (Rule::OneFailed, Waits, skipped, Ready, skipped, skipped, Ready, Waits),
            (Rule::NoneFailed, Waits, Ready, UpstreamFailed, UpstreamFailed, Ready, UpstreamFailed, Waits),
        ] {
            assert_eq!(told(rule, 0, 0, 0, 0, 2), some_open, "{rule:?} with nothing over");
            assert_eq!(told(rule, 2, 0, 0, 0, 0), all_completed, "{rule:?} with all completed");
            assert_eq!(told(rule, 1, 1, 0, 0, 0), one_failed, "{rule:?} with one failed");
            assert_eq!(told(rule, 1, 0, 1, 0, 0), one_cancelled, "{rule:?} with one cancelled");
            assert_eq!(told(rule, 1, 0, 0, 1, 0), one_skipped, "{rule:?} with one skipped");
            assert_eq!(told(rule, 0, 1, 0, 0, 1), failed_and_open, "{rule:?} with one failed and one open");
            assert_eq!(told(rule, 1, 0, 0, 0, 1), completed_and_open, "{rule:?} with one completed and one open");
        }
        assert_eq!(told(Rule::OneSuccess, 0, 1, 0, 1, 0), UpstreamFailed);
        assert_eq!(told(Rule::OneSuccess, 0, 0, 0, 2, 0), skipped);
        assert_eq!(told(Rule::AllSuccess, 0, 0, 0, 1, 1), Waits, "what is skipped may still be given up for a failure");
    }

    #[test]
    fn instances_of_a_mapping_that_goes_on_count_one_by_one() {
        let with = |rule, instances| judge(rule, Tally::default(), false, &|| instances);
        assert_eq!(with(Rule::OneSuccess, (1, 0)), Readiness::Ready);
        assert_eq!(with(Rule::OneFailed, (5, 1)), Readiness::Ready);
        assert_eq!(with(Rule::OneFailed, (5, 0)), Readiness::Waits);
        assert_eq!(with(Rule::AllDone, (5, 1)), Readiness::Waits);
    }
}
