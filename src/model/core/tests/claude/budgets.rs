use super::*;
use crate::model::core::DayBudget;
use crate::model::live::{MAX_SPENT, UsageWindow};
use crate::model::spec::Budget;
use crate::model::state::BudgetOf;

const DOLLAR: u64 = 1_000_000;

fn dollars(n: u64) -> Option<Budget> {
    Some(Budget { microusd: Some(n * DOLLAR), tokens: None })
}

fn with_budget(max_parallel: u32, budget: Option<Budget>, tasks: Vec<TaskSpec>) -> Submission {
    let mut submission = job(max_parallel, tasks);
    submission.job.budget = budget;
    submission
}

fn set_budget(bench: &mut Bench, budget: Option<Budget>) {
    let job = JobRef { name: "j".to_owned(), number: Some(1) };
    bench.ask(Command::Budget { job, budget }).unwrap();
}

fn over(of: BudgetOf) -> StopCause {
    StopCause::Budget { of }
}

fn told(effects: &[Effect]) -> Vec<u32> {
    let tasks = effects.iter().filter_map(|effect| match effect {
        Effect::OverBudget { attempt, .. } => Some(attempt.task.0),
        _ => None,
    });
    tasks.collect()
}

/// Facts of the attempt that was closed last, and how it ended.
fn closing(bench: &mut Bench, place: u32, cause: Option<StopCause>, report: ClaudeReport) -> (Outcome, Vec<String>) {
    let record = ExitRecord { stopped: cause, ..bench.record(0) };
    let exit = ExitFinding::Record(Box::new(record));
    let end = Box::new(EndReport { exit, result: None, artifacts: None, claude: Some(report), notes: Vec::new() });
    let attempt = bench.attempt(place);
    bench.core.handle(Input::Report(Report::Over { attempt, outbox: Vec::new(), end }), bench.now);
    let events = bench.core.finish(bench.now).events;
    let closed = events.into_iter().find_map(|event| match event.change {
        Change::AttemptClosed { outcome, facts, .. } => Some((outcome, facts.notes)),
        _ => None,
    });
    closed.unwrap()
}

#[test]
fn a_spent_job_budget_holds_what_waits_until_a_person_raises_it() {
    let mut bench = Bench::claude(|_| {});
    bench.submit(with_budget(1, dollars(2), vec![claude("a"), claude("b"), task("c", &[])]));
    bench.start(0);
    bench.ends(0, answered(2 * DOLLAR));
    assert_eq!(bench.hold(1), Hold::Budget { of: BudgetOf::Job, until: None });
    assert_eq!(bench.states()[2], TaskKind::Starting, "a command costs nothing");
    bench.wait(86_400_000);
    assert_eq!(bench.states()[1], TaskKind::Held);
    set_budget(&mut bench, dollars(1));
    assert_eq!(bench.states()[1], TaskKind::Held, "less is not more");
    set_budget(&mut bench, None);
    bench.end(2, 0);
    assert_eq!(bench.live(), [1]);
}

#[test]
fn runs_that_share_a_spent_budget_are_told_once_each() {
    let mut bench = Bench::claude(|_| {});
    bench.submit(with_budget(9, dollars(2), vec![claude("a"), claude("b"), claude("c"), claude("d")]));
    (0..4).for_each(|place| bench.start(place));
    assert_eq!(told(&bench.tells(0, Vec::new(), Some(facts(DOLLAR, true)))), [0; 0]);
    assert_eq!(told(&bench.tells(1, Vec::new(), Some(facts(DOLLAR, true)))), [0, 1], "together they spent it");
    assert_eq!(told(&bench.tells(1, Vec::new(), Some(facts(2 * DOLLAR, true)))), [0; 0], "once is enough");
    assert_eq!(told(&bench.tells(2, Vec::new(), Some(facts(0, true)))), [2]);
}

#[test]
fn the_use_of_a_run_that_is_over_ends_those_that_share_its_budget_too() {
    let mut bench = Bench::claude(|_| {});
    bench.submit(with_budget(9, dollars(2), vec![claude("a"), claude("b")]));
    (0..2).for_each(|place| bench.start(place));
    bench.tells(1, Vec::new(), Some(facts(DOLLAR, true)));
    assert_eq!(told(&bench.ends(0, answered(DOLLAR))), [1]);
}

#[test]
fn a_run_that_is_adopted_is_told_again_since_the_last_manager_may_not_have() {
    let mut bench = Bench::claude(|_| {});
    bench.submit(with_budget(9, dollars(1), vec![claude("a")]));
    bench.start(0);
    bench.tells(0, Vec::new(), Some(facts(DOLLAR, true)));
    let attempt = bench.attempt(0);
    // As the store would give it back.
    let seen = bench.core.live[&attempt].facts.clone();
    bench.core.live.insert(attempt, Live { facts: seen, ..Live::default() });
    assert_eq!(told(&bench.step(vec![Input::Report(Report::Live { attempt })])), [0]);
}

#[test]
fn a_run_that_used_less_than_it_seemed_to_leaves_room_for_those_it_held() {
    let mut bench = Bench::claude(|_| {});
    bench.submit(with_budget(2, dollars(1), vec![claude("a"), claude("b"), claude("c")]));
    (0..2).for_each(|place| bench.start(place));
    bench.tells(0, Vec::new(), Some(facts(DOLLAR, true)));
    bench.stopped(1, over(BudgetOf::Job), answered(1));
    assert_eq!((bench.states()[1], bench.states()[2]), (TaskKind::Held, TaskKind::Held));
    bench.ends(0, answered(DOLLAR / 2));
    assert_eq!(bench.live(), [1, 2]);
}

#[test]
fn a_budget_that_was_raised_while_a_run_was_being_ended_for_it_holds_nobody() {
    let mut bench = Bench::claude(|_| {});
    bench.submit(with_budget(1, dollars(1), vec![claude("a")]));
    bench.start(0);
    bench.tells(0, Vec::new(), Some(facts(DOLLAR, true)));
    set_budget(&mut bench, dollars(9));
    bench.stopped(0, over(BudgetOf::Job), answered(DOLLAR));
    assert_eq!((bench.states(), bench.job().tasks[0].attempts), (vec![TaskKind::Starting], 2));
}

#[test]
fn an_overshoot_is_told_with_what_was_used_and_whose_budget_it_was() {
    let mut bench = Bench::claude(|_| {});
    bench.submit(with_budget(1, dollars(1), vec![claude("a")]));
    bench.start(0);
    let (outcome, notes) = closing(&mut bench, 0, Some(over(BudgetOf::Job)), answered(DOLLAR * 3 / 2));
    assert_eq!(outcome, Outcome::BudgetExceeded { of: BudgetOf::Job });
    assert_eq!(notes, ["job budget: $1.5000 of $1.0000 used"]);
}

#[test]
fn a_success_that_went_beyond_its_budget_says_so() {
    for (used, notes) in [(DOLLAR, vec!["task budget: $1.0000 of $0.000001 used".to_owned()]), (0, Vec::new())] {
        let mut bench = Bench::claude(|_| {});
        let least = Budget { microusd: Some(1), tokens: None };
        bench.submit(job(1, vec![TaskSpec { budget: Some(least), ..claude("a") }]));
        bench.start(0);
        assert_eq!(closing(&mut bench, 0, None, answered(used)), (Outcome::Succeeded, notes));
    }
}

#[test]
fn a_spent_day_holds_all_runs_until_the_next_one_begins() {
    let day = 86_400_000;
    let at = |begins: i64| DayBudget { budget: dollars(1).unwrap(), begins: Utc(begins), ends: Utc(begins + day) };
    let mut bench = Bench::claude(|limits| limits.day = Some(at(0)));
    bench.submit(job(1, vec![claude("a"), with_key("b"), task("c", &[])]));
    bench.start(0);
    bench.ends(0, answered(DOLLAR));
    assert_eq!(bench.hold(1), Hold::Budget { of: BudgetOf::Day, until: Some(Utc(day)) });
    assert_eq!(bench.states()[2], TaskKind::Starting);
    bench.end(2, 0);
    let mut limits = bench.core.limits.clone();
    limits.claude.day = Some(at(day));
    bench.wait_until(day);
    assert_eq!(bench.live(), [1]);
    assert_eq!(bench.core.allowance(bench.attempt(1), bench.now), None, "yesterday's use does not bind it");
    bench.start(1);
    assert_eq!(told(&bench.tells(1, Vec::new(), Some(facts(1, true)))), [0; 0]);
    bench.step(vec![Input::Limits(limits)]);
    assert_eq!(told(&bench.tells(1, Vec::new(), Some(facts(DOLLAR, true)))), [1]);
}

#[test]
fn a_day_budget_that_is_raised_releases_what_it_held() {
    let day = |budget| Some(DayBudget { budget, begins: Utc(0), ends: Utc(86_400_000) });
    let mut bench = Bench::claude(|limits| limits.day = day(dollars(1).unwrap()));
    bench.submit(job(1, vec![claude("a"), claude("b")]));
    bench.start(0);
    bench.ends(0, answered(DOLLAR));
    assert_eq!(bench.states()[1], TaskKind::Held);
    let mut limits = bench.core.limits.clone();
    limits.claude.day = day(dollars(2).unwrap());
    bench.step(vec![Input::Limits(limits)]);
    assert_eq!(bench.live(), [1]);
}

#[test]
fn a_task_budget_counts_all_its_attempts_and_a_requeue_begins_afresh() {
    let mut bench = Bench::claude(|_| {});
    let mut only = claude("a");
    only.budget = dollars(3);
    only.limits.retry = Retry { attempts: 9, delay_ms: 0, ..Retry::default() };
    bench.submit(job(1, vec![only]));
    let left = |bench: &Bench| bench.core.allowance(bench.attempt(0), bench.now).unwrap();
    assert_eq!(left(&bench).of, BudgetOf::Task);
    for spent in [0, 1] {
        assert_eq!(left(&bench).left.microusd, Some((3 - spent) * DOLLAR));
        bench.start(0);
        bench.ends(0, ClaudeReport { result: refused(400).result, ..answered(DOLLAR) });
        bench.wait(1);
    }
    bench.start(0);
    bench.stopped(0, over(BudgetOf::Task), answered(DOLLAR));
    assert_eq!(bench.states(), [TaskKind::Failed]);
    bench.requeue("a");
    assert_eq!((bench.states(), left(&bench).left.microusd), (vec![TaskKind::Starting], Some(3 * DOLLAR)));
}

#[test]
fn no_attempt_begins_once_its_task_budget_is_used_up_however_the_last_one_ended() {
    let mut bench = Bench::claude(|_| {});
    let mut only = claude("a");
    only.budget = dollars(1);
    bench.submit(job(1, vec![only]));
    bench.start(0);
    let (outcome, notes) = closing(&mut bench, 0, None, ClaudeReport { result: None, ..answered(DOLLAR) });
    assert!(matches!(outcome, Outcome::Crashed { .. }), "{outcome:?}");
    assert_eq!(notes, ["task budget: $1.0000 of $1.0000 used"], "this is why it is not tried again");
    assert_eq!(bench.states(), [TaskKind::Failed]);
}

#[test]
fn an_attempt_budget_spends_the_retries() {
    let mut bench = Bench::claude(|_| {});
    let mut only = claude_with("a", ClaudeSpec { max_budget_usd: Some(0.5), ..ClaudeSpec::default() });
    only.limits.retry = Retry { attempts: 2, delay_ms: 0, ..Retry::default() };
    bench.submit(job(1, vec![only]));
    for kind in [TaskKind::Held, TaskKind::Failed] {
        bench.start(0);
        let mut report = answered(DOLLAR / 2);
        report.result =
            Some(ClaudeResult { subtype: "error_max_budget_usd".to_owned(), is_error: true, ..ClaudeResult::default() });
        bench.ends(0, report);
        assert_eq!(bench.states(), [kind]);
        bench.wait(1);
    }
}

#[test]
fn what_was_seen_of_a_run_that_never_said_what_it_used_counts() {
    let mut bench = Bench::claude(|_| {});
    bench.submit(with_budget(1, dollars(9), vec![claude("a")]));
    bench.start(0);
    bench.tells(0, Vec::new(), Some(facts(DOLLAR, true)));
    bench.vanishes(0, Some(ClaudeReport { result: None, ..answered(0) }));
    assert_eq!(bench.job().used, (DOLLAR, 0));
}

#[test]
fn what_was_seen_of_a_run_counts_though_nothing_can_be_read_of_it_any_more() {
    type End = fn(&mut Bench);
    let ends: [(&str, End); 3] = [
        ("a person gives it up", |bench| bench.cancel("a", CancelHow::Abandon)),
        ("its directory is gone", |bench| {
            let attempt = bench.attempt(0);
            bench.step(vec![Input::Report(Report::NeverStarted { attempt }), Input::Report(Report::NeverStarted { attempt })]);
        }),
        ("its runner is gone and its directory cannot be read", |bench| drop(bench.vanishes(0, None))),
    ];
    for (what, end) in ends {
        let mut bench = Bench::claude(|_| {});
        bench.submit(with_budget(1, dollars(9), vec![claude("a")]));
        bench.start(0);
        bench.tells(0, Vec::new(), Some(facts(DOLLAR, true)));
        end(&mut bench);
        assert_eq!(bench.job().used, (DOLLAR, 0), "{what}");
    }
}

#[test]
fn what_a_clock_that_ran_ahead_has_put_into_the_future_is_not_todays_use() {
    let day = 86_400_000;
    let mut bench = Bench::claude(|limits| {
        limits.day = Some(DayBudget { budget: dollars(1).unwrap(), begins: Utc(0), ends: Utc(day) });
    });
    bench.submit(job(1, vec![claude("a"), claude("b")]));
    bench.start(0);
    let today = bench.now;
    bench.now.utc = Utc(400 * day);
    bench.ends(0, answered(DOLLAR));
    bench.now.utc = today.utc;
    bench.step(vec![Input::Tick]);
    assert_eq!(bench.live(), [1]);
    let allowance = bench.core.allowance(bench.attempt(1), bench.now).unwrap();
    assert_eq!(allowance.left, dollars(1).unwrap());
}

#[test]
fn a_run_that_claims_to_have_used_more_than_there_is_is_not_believed() {
    let mut bench = Bench::claude(|_| {});
    bench.submit(job(1, vec![claude("a"), claude("b")]));
    let mut news = facts(u64::MAX, true);
    news.windows = (0..99)
        .map(|n| UsageWindow { kind: n.to_string().repeat(9_999), percent: None, resets_at: None, is_rejected: false })
        .collect();
    news.todo = Some((0, 1, "x".repeat(9_999)));
    for place in [0, 1] {
        bench.start(place);
        bench.tells(place, Vec::new(), Some(news.clone()));
        let seen = bench.core.live()[&bench.attempt(place)].facts.clone().unwrap();
        assert!(serde_json::to_string(&seen).unwrap().len() < 4_096, "each is kept in the journal");
        bench.ends(place, answered(u64::MAX));
    }
    assert_eq!(bench.job().used, (2 * MAX_SPENT, 0));
}

#[test]
fn a_run_that_lives_on_is_told_again_that_its_budget_is_spent_since_the_disk_may_have_been_full() {
    let mut bench = Bench::claude(|_| {});
    bench.submit(with_budget(2, dollars(1), vec![claude("a"), claude("b")]));
    bench.start(0);
    bench.start(1);
    assert_eq!(told(&bench.tells(0, Vec::new(), Some(facts(DOLLAR, true)))), [0]);
    let looked = |bench: &mut Bench| {
        let reports = [0, 1].map(|place| Input::Report(Report::Live { attempt: bench.attempt(place) }));
        told(&bench.step(reports.to_vec()))
    };
    assert_eq!(looked(&mut bench), [0]);
    set_budget(&mut bench, dollars(9));
    assert_eq!(looked(&mut bench), [0; 0]);
}
