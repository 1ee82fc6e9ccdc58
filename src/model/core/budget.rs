//! What Claude runs have used, and what they may still use.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::attempt::Allowance;
use crate::model::change::{AttemptFacts, Change, ClaudeFacts};
use crate::model::ids::{AttemptId, JobId, JobRef, TaskIdx};
use crate::model::live::{LiveFacts, MAX_SPENT, Spent};
use crate::model::message::{Done, Refusal};
use crate::model::money::micro;
use crate::model::spec::{Action, Budget};
use crate::model::state::{BudgetOf, Hold, Outcome};
use crate::model::time::{Now, Utc};

use super::{Core, DayBudget, Effect, Job};

/// Spending is added up by quarters of an hour: every time zone's day begins with one.
const QUARTER_MS: i64 = 15 * 60_000;
/// Quarters kept: three days, so that a day's begin may lie anywhere.
const MAX_QUARTERS: usize = 288;

/// What was used by attempts that are over, by time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spending(BTreeMap<i64, (u64, u64)>);

impl Spending {
    /// Adds what an attempt that ended at `at` had used.
    pub fn add(&mut self, at: Utc, microusd: u64, tokens: u64) {
        if (microusd, tokens) == (0, 0) {
            return;
        }
        let quarter = self.0.entry(at.0.div_euclid(QUARTER_MS)).or_default();
        quarter.0 = quarter.0.saturating_add(microusd);
        quarter.1 = quarter.1.saturating_add(tokens);
        while self.0.len() > MAX_QUARTERS {
            self.0.pop_first();
        }
    }

    /// Dollars (in millionths) and tokens from `begins` until before `ends`. What a clock that ran ahead has put beyond is
    /// not today's.
    pub fn between(&self, begins: Utc, ends: Utc) -> (u64, u64) {
        let quarter = |at: Utc| at.0.div_euclid(QUARTER_MS);
        let last = quarter(ends).max(quarter(begins));
        let quarters = self.0.range(quarter(begins)..last).map(|(_, used)| *used);
        quarters.fold((0, 0), |sum, used| (sum.0.saturating_add(used.0), sum.1.saturating_add(used.1)))
    }
}

impl Core {
    /// What live runs have used so far: of one job and those below it, or of all.
    fn live_use(&self, job: Option<JobId>) -> (u64, u64) {
        let is_of = |of: JobId, job: JobId| of == job || self.line_of(of).any(|above| above.id == job);
        let runs = self.live.iter().filter(|(_, live)| live.facts.is_some());
        let runs = runs.filter(|(attempt, _)| job.is_none_or(|job| is_of(attempt.job, job)));
        let used = runs.filter_map(|(_, live)| live.facts.as_ref()).map(|facts| facts.spent);
        used.fold((0, 0), |sum, spent| (sum.0.saturating_add(spent.cost_microusd), sum.1.saturating_add(spent.tokens())))
    }

    /// What a job and all below it have used.
    fn whole_use(&self, job: &Job) -> (u64, u64) {
        let live = self.live_use(Some(job.id));
        let all = [job.used, job.below, live];
        all.into_iter().fold((0, 0), |sum, used| (sum.0.saturating_add(used.0), sum.1.saturating_add(used.1)))
    }

    /// Why a job's Claude tasks may not start: its budget is spent, or that of a job that it is below.
    pub(super) fn job_hold(&self, job: &Job) -> Option<Hold> {
        let is_spent = |job: &Job| {
            job.budget.is_some_and(|budget| {
                let used = self.whole_use(job);
                budget.is_spent(used.0, used.1)
            })
        };
        self.line_of(job.id).any(is_spent).then_some(Hold::Budget { of: BudgetOf::Job, until: None })
    }

    /// Why no Claude task may start today.
    pub(super) fn day_hold(&self, now: Now) -> Option<Hold> {
        let day = self.day(now)?;
        let used = self.used_today(day);
        day.budget.is_spent(used.0, used.1).then_some(Hold::Budget { of: BudgetOf::Day, until: Some(day.ends) })
    }

    /// The day's budget. Once the day is over it binds nothing, though the next one is not told yet.
    fn day(&self, now: Now) -> Option<DayBudget> {
        self.limits.claude.day.filter(|day| now.utc < day.ends)
    }

    fn used_today(&self, day: DayBudget) -> (u64, u64) {
        let (past, live) = (self.spending.between(day.begins, day.ends), self.live_use(None));
        (past.0.saturating_add(live.0), past.1.saturating_add(live.1))
    }

    /// The tightest of what an attempt that is about to start may use.
    pub(super) fn allowance(&self, attempt: AttemptId, now: Now) -> Option<Allowance> {
        let job = self.jobs.get(&attempt.job)?;
        let task = job.get(attempt.task)?;
        let Action::Claude(claude) = &task.spec.action else { return None };
        let own = claude.max_budget_usd.and_then(micro).map(|most| Budget { microusd: Some(most), tokens: None });
        let all = [
            own.map(|left| (left, BudgetOf::Attempt)),
            task.spec.budget.map(|budget| (budget.left(task.used().0, task.used().1), BudgetOf::Task)),
            self.day(now).map(|day| {
                let used = self.used_today(day);
                (day.budget.left(used.0, used.1), BudgetOf::Day)
            }),
        ];
        // Dollars and tokens may be tightest in different budgets; the one that names the end is that of the dollars.
        let of_jobs = self.line_of(attempt.job).filter_map(|job| {
            let used = self.whole_use(job);
            Some((job.budget?.left(used.0, used.1), BudgetOf::Job))
        });
        let all: Vec<(Budget, BudgetOf)> = all.into_iter().flatten().chain(of_jobs).collect();
        let dollars = all.iter().filter_map(|(left, of)| Some((left.microusd?, *of))).min_by_key(|(left, _)| *left);
        let tokens = all.iter().filter_map(|(left, of)| Some((left.tokens?, *of))).min_by_key(|(left, _)| *left);
        let of = dollars.or(tokens)?.1;
        Some(Allowance { left: Budget { microusd: dollars.map(|d| d.0), tokens: tokens.map(|t| t.0) }, of })
    }

    /// A run that goes on tells what it has used: where that spends a shared budget, all that share it are told to end.
    pub(super) fn watch_budgets(&mut self, attempt: AttemptId, now: Now) {
        for of in [BudgetOf::Job, BudgetOf::Day] {
            if !self.is_spent(attempt, of, now) {
                continue;
            }
            let jobs: BTreeSet<JobId> = self.live.keys().map(|other| other.job).collect();
            let spent = |job: &JobId| self.jobs.get(job).is_some_and(|job| self.job_hold(job).is_some());
            let sharing: BTreeSet<JobId> = jobs.into_iter().filter(|job| of == BudgetOf::Day || spent(job)).collect();
            for (other, live) in &mut self.live {
                if sharing.contains(&other.job) && live.facts.is_some() && live.told_budget.is_none() {
                    live.told_budget = Some(of);
                    self.effects.push(Effect::OverBudget { attempt: *other, of });
                }
            }
        }
    }

    /// A run that still lives may not have heard it: the disk was full.
    pub(super) fn tell_budget_again(&mut self, attempt: AttemptId, now: Now) {
        let told = self.live.get(&attempt).and_then(|live| live.told_budget);
        let still = told.filter(|of| self.is_spent(attempt, *of, now));
        self.effects.extend(still.map(|of| Effect::OverBudget { attempt, of }));
    }

    /// Whether a budget that this attempt shares is spent.
    fn is_spent(&self, attempt: AttemptId, of: BudgetOf, now: Now) -> bool {
        match of {
            BudgetOf::Job => self.jobs.get(&attempt.job).and_then(|job| self.job_hold(job)).is_some(),
            _ => self.day_hold(now).is_some(),
        }
    }

    /// Whose budget ended a run that only says that one did: the CLI knows of dollars, not of whose they are.
    pub(super) fn whose_budget(&self, attempt: AttemptId, facts: &AttemptFacts, now: Now) -> BudgetOf {
        let (microusd, tokens) = used_of(facts.claude.as_ref());
        let (Some(job), Some(task)) = (self.jobs.get(&attempt.job), self.task(attempt.job, attempt.task)) else {
            return BudgetOf::Attempt;
        };
        let plus = |used: (u64, u64)| (used.0.saturating_add(microusd), used.1.saturating_add(tokens));
        let spent = |budget: Option<Budget>, used: (u64, u64)| budget.is_some_and(|budget| budget.is_spent(used.0, used.1));
        if let Action::Claude(claude) = &task.spec.action
            && claude.max_budget_usd.and_then(micro).is_some_and(|most| microusd >= most)
        {
            return BudgetOf::Attempt;
        }
        let day = self.day(now).map(|day| (day.budget, self.spending.between(day.begins, day.ends)));
        if spent(task.spec.budget, plus(task.used())) {
            BudgetOf::Task
        } else if self.line_of(job.id).any(|job| spent(job.budget, plus(over(job)))) {
            BudgetOf::Job
        } else if day.is_some_and(|(budget, used)| spent(Some(budget), plus(used))) {
            BudgetOf::Day
        } else {
            BudgetOf::Attempt
        }
    }

    /// By how much a budget was overshot, in words.
    pub(super) fn overshoot(&self, attempt: AttemptId, facts: &AttemptFacts, outcome: &Outcome) -> Option<String> {
        let of = match outcome {
            Outcome::BudgetExceeded { of } => of,
            Outcome::Cancelled => return None,
            // It ended otherwise: this is why there is no other attempt, or what its last answer cost beyond the budget.
            _ if self.is_task_spent(attempt, facts) => &BudgetOf::Task,
            _ => return None,
        };
        let (job, task) = (self.jobs.get(&attempt.job)?, self.task(attempt.job, attempt.task)?);
        let (microusd, tokens) = used_of(facts.claude.as_ref());
        let (budget, used) = match (of, &task.spec.action) {
            (BudgetOf::Attempt, Action::Claude(claude)) => {
                (Budget { microusd: claude.max_budget_usd.and_then(micro), tokens: None }, (0, 0))
            }
            (BudgetOf::Task, _) => (task.spec.budget?, task.used()),
            (BudgetOf::Job, _) => {
                let is_spent = |job: &&Job| {
                    job.budget.is_some_and(|budget| {
                        let used = over(job);
                        budget.is_spent(used.0.saturating_add(microusd), used.1.saturating_add(tokens))
                    })
                };
                let job = self.line_of(job.id).find(is_spent).unwrap_or(job);
                (job.budget?, over(job))
            }
            (BudgetOf::Day, _) => {
                let day = self.limits.claude.day?;
                (day.budget, self.spending.between(day.begins, day.ends))
            }
            _ => return None,
        };
        let used = (used.0.saturating_add(microusd), used.1.saturating_add(tokens));
        let dollars = budget.microusd.filter(|most| used.0 >= *most).map(|most| format!("{} of {}", exact(used.0), exact(most)));
        let words = budget.tokens.filter(|most| used.1 >= *most).map(|most| format!("{} of {most} tokens", used.1));
        let said: Vec<String> = dollars.into_iter().chain(words).collect();
        (!said.is_empty()).then(|| format!("{} budget: {} used", of.word(), said.join(", ")))
    }

    /// A person gives a job another budget.
    pub(super) fn set_budget(&mut self, job: &JobRef, budget: Option<Budget>, now: Now) -> Result<Done, Refusal> {
        let id = self.resolve(job)?;
        let changed = self.jobs.get(&id).is_some_and(|job| job.budget != budget);
        if changed {
            self.emit(Change::BudgetSet { job: id, budget }, now);
            self.release_budget(id, now);
        }
        Ok(Done::Affected { count: u32::from(changed) })
    }

    /// Tasks held for their job's budget go on once it is not spent: it was raised, or a run has used less than it seemed.
    pub(super) fn release_budgets(&mut self, now: Now) {
        let jobs: Vec<JobId> = self.over_budget.keys().copied().collect();
        jobs.into_iter().for_each(|job| self.release_budget(job, now));
    }

    fn release_budget(&mut self, job: JobId, now: Now) {
        if self.jobs.get(&job).is_some_and(|job| self.job_hold(job).is_some()) {
            return;
        }
        let held: Vec<TaskIdx> = self.over_budget.get(&job).into_iter().flatten().copied().collect();
        held.into_iter().for_each(|task| self.release(job, task, now));
    }

    /// Whether a task has used all that it may over all its attempts, one with these facts included.
    pub(super) fn is_task_spent(&self, attempt: AttemptId, facts: &AttemptFacts) -> bool {
        let Some(task) = self.task(attempt.job, attempt.task) else { return false };
        let (microusd, tokens) = used_of(facts.claude.as_ref());
        let used = (task.used().0.saturating_add(microusd), task.used().1.saturating_add(tokens));
        task.spec.budget.is_some_and(|budget| budget.is_spent(used.0, used.1))
    }

    /// What was seen of a run counts though nothing can be read of it any more: given up by a person, or its directory gone.
    pub(super) fn count_seen(&self, attempt: AttemptId, facts: &mut AttemptFacts) {
        let Some(seen) = self.live.get(&attempt).and_then(|live| live.facts.as_ref()) else { return };
        if facts.claude.is_none() && seen.spent != Spent::default() {
            let mut claude = ClaudeFacts { is_unread: true, ..ClaudeFacts::default() };
            at_least(&mut claude, seen.spent);
            facts.claude = Some(claude);
        }
    }

    /// Takes in how far a run is.
    pub(super) fn run_seen(&mut self, attempt: AttemptId, facts: LiveFacts, now: Now) {
        let facts = facts.bounded();
        let Some(live) = self.live.get_mut(&attempt) else { return };
        if live.facts.as_ref() == Some(&facts) {
            return;
        }
        self.emit(Change::RunSeen { attempt, facts: Box::new(facts.clone()) }, now);
        self.hear(attempt, &facts, now);
        self.watch_budgets(attempt, now);
    }
}

/// What attempts that are over used, of a job and all below it.
fn over(job: &Job) -> (u64, u64) {
    (job.used.0.saturating_add(job.below.0), job.used.1.saturating_add(job.below.1))
}

/// What a run used, in millionths of a dollar and tokens.
pub(super) fn used_of(claude: Option<&ClaudeFacts>) -> (u64, u64) {
    claude.map_or((0, 0), |claude| (claude.cost_microusd, claude.input_tokens.saturating_add(claude.output_tokens)))
}

/// Where the CLI did not say what a run used (it was ended before its result), what was seen of it counts.
pub(super) fn at_least(claude: &mut ClaudeFacts, seen: Spent) {
    claude.cost_microusd = claude.cost_microusd.max(seen.cost_microusd);
    claude.input_tokens = claude.input_tokens.max(seen.input_tokens);
    claude.output_tokens = claude.output_tokens.max(seen.output_tokens);
}

/// No more than is believed of one attempt: the CLI's output is the task's too.
pub(super) fn bound(claude: &mut ClaudeFacts) {
    claude.cost_microusd = claude.cost_microusd.min(MAX_SPENT);
    claude.input_tokens = claude.input_tokens.min(MAX_SPENT);
    claude.output_tokens = claude.output_tokens.min(MAX_SPENT);
}

/// Millionths of a dollar as dollars, with the digits that a small sum needs.
fn exact(microusd: u64) -> String {
    let digits = if microusd.is_multiple_of(100) { 4 } else { 6 };
    format!("${:.digits$}", microusd as f64 / 1e6)
}
