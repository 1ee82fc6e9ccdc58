use super::*;
use crate::model::credential::{Credential, CredentialHold};

const MARGIN: i64 = 30_000;
const RESET: i64 = 9_000_000;

fn three() -> Bench {
    let mut bench = Bench::claude(|_| {});
    bench.submit(job(9, vec![claude("a"), claude("b"), claude("c"), with_key("d"), task("e", &[])]));
    bench
}

/// `a`, `b` and `c` are held by a limit until `RESET`.
fn three_held() -> Bench {
    let mut bench = three();
    (0..3).for_each(|place| bench.start(place));
    (0..3).for_each(|place| drop(bench.ends(place, limited(Some(RESET)))));
    bench
}

#[test]
fn a_limit_that_one_run_reaches_holds_all_of_its_credential_and_nothing_else() {
    let mut bench = Bench::claude(|_| {});
    bench.submit(job(1, vec![claude("a"), claude("b"), with_key("c"), task("d", &[])]));
    bench.start(0);
    bench.ends(0, limited(Some(RESET)));
    let until = Utc(RESET + MARGIN);
    assert_eq!((bench.hold(0), bench.hold(1)), (Hold::Limit { until, asks: false }, Hold::Limit { until, asks: false }));
    assert_eq!(bench.states()[2..], [TaskKind::Starting, TaskKind::Queued]);
    assert_eq!((bench.job().tasks[0].spent_retry, bench.job().tasks[0].spent_infra), (0, 0));
    assert_eq!(bench.core.next_wake().0, Some(until), "it is looked at again by itself");
}

#[test]
fn once_due_one_run_tries_and_the_rest_follows_when_the_model_has_answered_it() {
    let mut bench = three_held();
    bench.wait_until(RESET + MARGIN - 1);
    assert_eq!(bench.live(), [3, 4]);
    bench.wait_until(RESET + MARGIN);
    assert_eq!(bench.live(), [0, 3, 4], "one tries it");
    bench.start(0);
    bench.tells(0, Vec::new(), Some(facts(1, false)));
    bench.wait(3_600_000);
    assert_eq!(bench.live(), [0, 3, 4], "nobody else as long as it is not known");
    bench.tells(0, Vec::new(), Some(facts(1, true)));
    assert_eq!(bench.live(), [0, 1, 2, 3, 4]);
    assert_eq!(bench.core.credentials()[&Credential("login".to_owned())].hold, None);
}

#[test]
fn the_rest_follows_also_when_the_one_that_tries_ends_well_before_it_told_anything() {
    let mut bench = three_held();
    bench.wait_until(RESET + MARGIN);
    bench.start(0);
    bench.ends(0, answered(5));
    assert_eq!(bench.live(), [1, 2, 3, 4]);
}

#[test]
fn a_run_from_before_the_limit_that_still_answers_does_not_lift_it() {
    let mut bench = three();
    (0..3).for_each(|place| bench.start(place));
    bench.ends(0, limited(Some(RESET)));
    bench.tells(1, Vec::new(), Some(facts(1, true)));
    bench.ends(1, answered(5));
    assert!(matches!(bench.hold(0), Hold::Limit { .. }));
}

#[test]
fn a_try_that_is_limited_again_waits_for_the_new_end_and_one_that_crashes_is_followed_by_another() {
    let mut bench = three_held();
    bench.wait_until(RESET + MARGIN);
    bench.start(0);
    bench.ends(0, limited(Some(2 * RESET)));
    let until = Utc(2 * RESET + MARGIN);
    assert!((0..3).all(|place| bench.hold(place) == Hold::Limit { until, asks: false }), "all of them are told");
    bench.wait_until(until.0);
    bench.start(0);
    bench.vanishes(0, Some(answered(0)));
    assert!(matches!(bench.hold(0), Hold::Retry { .. }), "a crash is no limit");
    assert_eq!(bench.live(), [1, 3, 4], "and another one tries");
}

#[test]
fn several_runs_reach_the_same_limit_and_the_latest_end_that_was_told_counts() {
    let mut bench = three();
    (0..3).for_each(|place| bench.start(place));
    for (place, resets_at) in [(0, None), (1, Some(RESET)), (2, None)] {
        bench.ends(place, limited(resets_at));
    }
    let until = Utc(RESET + MARGIN);
    assert!((0..3).all(|place| bench.hold(place) == Hold::Limit { until, asks: false }), "what was told goes before a guess");
}

#[test]
fn two_guesses_are_no_knowledge() {
    let mut bench = three();
    (0..3).for_each(|place| bench.start(place));
    bench.ends(0, limited(None));
    bench.ends(1, limited(None));
    let guess = Utc(bench.now.utc.0 + 30 * 60_000);
    assert_eq!(bench.hold(0), Hold::Limit { until: guess, asks: false });
    bench.ends(2, limited(Some(bench.now.utc.0 + 60_000)));
    let told = Utc(bench.now.utc.0 + 60_000 + MARGIN);
    assert_eq!(bench.hold(0), Hold::Limit { until: told, asks: false }, "the first that is told beats them");
}

#[test]
fn an_end_beyond_every_limit_there_is_is_not_believed() {
    let day = 86_400_000;
    let until = |days: i64| {
        let mut bench = three();
        let now = bench.now.utc;
        bench.start(0);
        bench.ends(0, limited(Some(now.plus(days * day).0)));
        (bench, now)
    };
    let (bench, now) = until(33);
    assert_eq!(bench.hold(0), Hold::Limit { until: now.plus(30 * 60_000), asks: false });
    let (mut bench, now) = until(31);
    assert_eq!(bench.hold(0), Hold::Limit { until: now.plus(31 * day + MARGIN), asks: false });
    // The clock had run ahead.
    bench.now.utc = now.plus(-2 * day);
    bench.step(vec![Input::Reconcile]);
    assert_eq!(bench.hold(0), Hold::Limit { until: now.plus(-2 * day + 30 * 60_000), asks: false });
}

#[test]
fn an_end_that_is_past_already_is_waited_for_by_the_margin() {
    let mut bench = three();
    bench.start(0);
    bench.ends(0, limited(Some(5)));
    assert_eq!(bench.hold(0), Hold::Limit { until: bench.now.utc.plus(MARGIN), asks: false });
}

#[test]
fn a_guessed_wait_is_no_longer_than_its_delay_when_the_clock_is_set_back_and_a_told_end_stays() {
    let mut bench = three();
    bench.start(0);
    bench.start(3);
    bench.ends(0, limited(None));
    bench.ends(3, limited(Some(RESET)));
    bench.now.utc = Utc(0);
    bench.step(vec![Input::Reconcile]);
    assert_eq!(bench.hold(0), Hold::Limit { until: Utc(30 * 60_000), asks: false });
    assert_eq!(bench.hold(3), Hold::Limit { until: Utc(RESET + MARGIN), asks: false });
}

#[test]
fn a_task_that_asks_waits_for_a_person_and_the_rest_of_its_credential_does_not() {
    let mut bench = Bench::claude(|_| {});
    let ask = Some(crate::model::spec::WhenLimited::Ask);
    let asks = claude_with("asks", ClaudeSpec { when_limited: ask, ..ClaudeSpec::default() });
    bench.submit(job(9, vec![asks, claude("b"), claude("c")]));
    (0..3).for_each(|place| bench.start(place));
    (0..3).for_each(|place| drop(bench.ends(place, limited(Some(RESET)))));
    bench.wait_until(RESET + MARGIN);
    assert_eq!(bench.live(), [1], "one of those that wait by themselves tries");
    bench.start(1);
    bench.ends(1, answered(0));
    assert_eq!(bench.live(), [2]);
    bench.wait(86_400_000);
    assert!(matches!(bench.hold(0), Hold::Limit { asks: true, .. }), "nothing but a person lets it go on");
    bench.requeue("asks");
    assert!(bench.live().contains(&0));
}

#[test]
fn a_task_that_shall_fail_at_a_limit_fails_and_holds_nobody() {
    let mut bench = Bench::claude(|limits| limits.when_limited = crate::model::spec::WhenLimited::Fail);
    bench.submit(job(1, vec![claude("a"), claude("b")]));
    bench.start(0);
    bench.ends(0, limited(Some(RESET)));
    assert_eq!(bench.states(), [TaskKind::Failed, TaskKind::Starting]);
}

#[test]
fn a_refused_login_is_one_hold_for_its_credential_and_one_run_tries_it_after_five_minutes() {
    let mut bench = three();
    bench.start(0);
    bench.ends(0, refused(401));
    (1..3).for_each(|place| bench.start(place));
    bench.stopped(1, StopCause::Refused, refused(401));
    bench.stopped(2, StopCause::Refused, refused(401));
    assert!((0..3).all(|place| matches!(bench.hold(place), Hold::Login { .. })));
    bench.wait(5 * 60_000);
    assert_eq!(bench.live(), [0, 3, 4]);
    bench.start(0);
    bench.ends(0, refused(401));
    assert_eq!(bench.live(), [3, 4]);
    assert!(matches!(bench.hold(0), Hold::Login { delay_ms, .. } if delay_ms == 10 * 60_000), "then less often");
    bench.requeue("b");
    assert_eq!(bench.live().len(), 3, "whoever logged in says so, and need not wait");
    assert!((0..3).all(|place| bench.job().tasks[place].spent_retry == 0));
}

#[test]
fn a_requeue_sends_no_second_run_while_one_tries() {
    let mut bench = three_held();
    bench.wait_until(RESET + MARGIN);
    bench.start(0);
    bench.wait(1_000);
    bench.requeue("b");
    assert_eq!(bench.live(), [0, 3, 4]);
    bench.tells(0, Vec::new(), Some(facts(1, true)));
    assert_eq!(bench.live(), [0, 1, 2, 3, 4], "and the first one's answer counts");
}

#[test]
fn the_wait_for_a_login_is_no_longer_than_its_delay_when_the_clock_is_set_back() {
    let mut bench = three();
    bench.start(0);
    bench.ends(0, refused(401));
    bench.now.utc = Utc(0);
    bench.step(vec![Input::Reconcile]);
    assert_eq!(bench.hold(0), Hold::Login { again: Utc(5 * 60_000), delay_ms: 5 * 60_000 });
    bench.wait_until(5 * 60_000);
    assert!(bench.live().contains(&0));
}

#[test]
fn a_ready_run_without_room_does_not_keep_all_others_of_its_credential_waiting() {
    let mut bench = three_held();
    // First in the order, but its pool has no slots; then one of a job that has no room.
    let mut nowhere = job(1, vec![TaskSpec { pool: Some("gone".to_owned()), ..claude("x") }]);
    nowhere.job.name = "nowhere".to_owned();
    bench.core.jobs.get_mut(&JobId(1)).unwrap().paused = true;
    bench.submit(nowhere);
    let mut busy = job(1, vec![task("long", &[]), claude("y")]);
    busy.job.name = "busy".to_owned();
    bench.submit(busy);
    let mut free = job(1, vec![claude("z")]);
    free.job.name = "free".to_owned();
    bench.submit(free);
    bench.wait_until(RESET + MARGIN);
    let live: Vec<(u32, u32)> = bench.core.live().keys().map(|id| (id.job.0, id.task.0)).collect();
    assert_eq!(live, [(1, 3), (1, 4), (3, 0), (4, 0)], "the one that can start tries");
    let attempt = AttemptId { job: JobId(4), task: TaskIdx(0), number: 1 };
    let told = Report::Outbox { attempt, items: Vec::new(), live: Some(Box::new(facts(1, true))) };
    bench.step(vec![Input::Report(Report::Started { attempt }), Input::Report(told)]);
    bench.ask(Command::Resume { job: Some(JobRef { name: "j".to_owned(), number: Some(1) }) }).unwrap();
    assert_eq!(bench.live().len(), 7);
}

#[test]
fn in_quiet_hours_no_run_starts_and_commands_do() {
    let mut bench = Bench::claude(|limits| limits.quiet_until = Some(Utc(RESET)));
    bench.submit(job(9, vec![claude("a"), task("b", &[])]));
    assert_eq!(bench.hold(0), Hold::Quiet { until: Utc(RESET) });
    assert_eq!(bench.live(), [1]);
    bench.wait_until(RESET);
    assert_eq!(bench.live(), [0, 1]);
}

#[test]
fn quiet_hours_that_are_taken_back_release_what_they_held() {
    let mut bench = Bench::claude(|limits| limits.quiet_until = Some(Utc(RESET)));
    bench.submit(job(9, vec![claude("a")]));
    let limits = Limits { claude: ClaudeLimits::default(), ..bench.core.limits.clone() };
    bench.step(vec![Input::Limits(limits)]);
    assert_eq!(bench.live(), [0]);
}

#[test]
fn another_credential_in_the_configuration_frees_what_waits_for_the_old_one() {
    let mut bench = three_held();
    let mut limits = bench.core.limits.clone();
    limits.claude.auth = ClaudeAuth::Env("TEAM".to_owned());
    bench.step(vec![Input::Limits(limits)]);
    assert_eq!(bench.live(), [0, 1, 2, 3, 4]);
    assert_eq!(bench.core.waiting, BTreeMap::new());
}

#[test]
fn runs_at_once_are_bounded_over_all_pools_and_commands_are_not() {
    let mut bench = Bench::claude(|limits| limits.max_parallel = Some(2));
    bench.core.limits.slots.insert("other".to_owned(), 9);
    let elsewhere = |id: &str| TaskSpec { pool: Some("other".to_owned()), ..claude(id) };
    bench.submit(job(9, vec![claude("a"), elsewhere("b"), elsewhere("c"), claude("d"), task("e", &[])]));
    assert_eq!(bench.live().len(), 3);
    assert_eq!(bench.states()[4], TaskKind::Starting);
    let runs = |bench: &Bench| bench.live().into_iter().filter(|place| *place < 4).collect::<Vec<_>>();
    let first = runs(&bench)[0];
    bench.start(first);
    bench.ends(first, answered(1));
    assert_eq!(runs(&bench).len(), 2, "the next one takes its place");
}

#[test]
fn tasks_held_by_a_credential_of_which_nothing_is_known_any_more_go_on() {
    let mut bench = three_held();
    bench.core.credentials.clear();
    bench.step(vec![Input::Reconcile]);
    assert_eq!(bench.live(), [0, 1, 2, 3, 4]);
}

#[test]
fn what_is_known_of_a_credential_is_there_again_after_a_reload() {
    let bench = three_held();
    let login = Credential("login".to_owned());
    let state = bench.core.credentials()[&login].clone();
    assert!(matches!(state.hold, Some(CredentialHold::Limit { told: true, .. })));
    let loaded = Loaded { credentials: vec![(login.clone(), state.clone())], ..Loaded::default() };
    let mut again = Bench::claude(|_| {});
    again.core = Core::load(bench.core.limits.clone(), 7, loaded, again.now);
    again.submit(job(9, vec![claude("a")]));
    assert_eq!(again.hold(0), Hold::Limit { until: Utc(RESET + MARGIN), asks: false });
}

#[test]
fn a_task_whose_job_has_no_money_left_says_so_once_its_limit_is_over() {
    let mut bench = Bench::claude(|_| {});
    let mut submission = job(9, vec![claude("a"), claude("b")]);
    submission.job.budget = Some(crate::model::spec::Budget { microusd: Some(10), tokens: None });
    bench.submit(submission);
    (0..2).for_each(|place| bench.start(place));
    bench.ends(0, limited(Some(RESET)));
    bench.ends(1, answered(10));
    assert!(matches!(bench.hold(0), Hold::Limit { .. }));
    bench.wait_until(RESET + MARGIN);
    assert_eq!(bench.hold(0), Hold::Budget { of: BudgetOf::Job, until: None });
}
