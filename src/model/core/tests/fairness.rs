//! Who starts next when several jobs wait.

use super::*;

/// Ends an attempt well.
fn end(bench: &mut Bench, attempt: AttemptId) {
    let record = bench.record(0);
    let end =
        EndReport { exit: ExitFinding::Record(Box::new(record)), result: None, claude: None, artifacts: None, notes: Vec::new() };
    bench.step(vec![Input::Report(Report::Over { attempt, outbox: Vec::new(), end: Box::new(end) })]);
}

/// Ends the attempt that was opened first of those that live, and tells which job got its slot.
fn end_oldest(bench: &mut Bench, order: &mut Vec<AttemptId>) -> Option<u32> {
    let attempt = order.remove(0);
    end(bench, attempt);
    let new = bench.core.live().keys().find(|attempt| !order.contains(attempt)).copied()?;
    order.push(new);
    Some(new.job.0)
}

fn live(bench: &Bench) -> Vec<AttemptId> {
    bench.core.live().keys().copied().collect()
}

/// A job of so many tasks that may all run at once.
fn wide(tasks: u32, priority: i32) -> Submission {
    let mut submission = job(10_000, (0..tasks).map(|n| task(&format!("t{n}"), &[])).collect());
    submission.job.priority = priority;
    submission
}

fn of_job(bench: &Bench, job: u32) -> usize {
    bench.core.live().keys().filter(|attempt| attempt.job.0 == job).count()
}

fn set_priority(bench: &mut Bench, job: u32, priority: i32) -> Result<Done, Refusal> {
    bench.ask(Command::Priority { job: JobRef { name: "j".to_owned(), number: Some(job) }, priority })
}

#[test]
fn a_job_of_thousands_does_not_starve_one_of_three() {
    let mut bench = Bench::new(2);
    bench.submit(wide(10_000, 0));
    let mut order = live(&bench);
    bench.submit(wide(3, 0));
    let served: Vec<u32> = (0..8).filter_map(|_| end_oldest(&mut bench, &mut order)).collect();
    assert_eq!(served, [2, 1, 2, 1, 2, 1, 1, 1]);
}

#[test]
fn among_equals_slots_go_round_and_who_comes_later_does_not_go_before() {
    let mut bench = Bench::new(1);
    (0..4).for_each(|_| bench.submit(wide(9, 0)));
    let mut order = live(&bench);
    let mut served: Vec<u32> = (0..3).filter_map(|_| end_oldest(&mut bench, &mut order)).collect();
    bench.submit(wide(9, 0));
    served.extend((0..6).filter_map(|_| end_oldest(&mut bench, &mut order)));
    // Job 5 came when job 4 had just got the slot: all that have waited since before that are served before it.
    assert_eq!(served, [2, 3, 4, 1, 2, 3, 5, 4, 1]);
}

#[test]
fn no_stream_of_new_jobs_keeps_one_that_waits_from_its_turn() {
    let mut bench = Bench::new(1);
    (0..3).for_each(|_| bench.submit(wide(9, 0)));
    let mut order = live(&bench);
    let mut served = Vec::new();
    for _ in 0..12 {
        bench.submit(wide(1, 0));
        served.extend(end_oldest(&mut bench, &mut order));
    }
    let waits = (1..=3).map(|job| served.iter().filter(|served| **served == job).count()).collect::<Vec<_>>();
    assert!(waits.iter().all(|times| *times >= 1), "{served:?}");
    assert_eq!(served[..4], [2, 3, 4, 1], "{served:?}");
}

#[test]
fn a_job_of_higher_priority_gets_every_slot_that_becomes_free_and_takes_none_that_is_in_use() {
    let mut bench = Bench::new(2);
    bench.submit(wide(9, 0));
    let mut order = live(&bench);
    bench.submit(wide(3, 10));
    assert_eq!((of_job(&bench, 1), of_job(&bench, 2)), (2, 0));
    let served: Vec<u32> = (0..5).filter_map(|_| end_oldest(&mut bench, &mut order)).collect();
    assert_eq!(served, [2, 2, 2, 1, 1]);
}

#[test]
fn a_person_changes_a_priority_while_the_job_waits_and_one_out_of_bounds_is_refused() {
    let mut bench = Bench::new(1);
    (0..3).for_each(|_| bench.submit(wide(3, 0)));
    let mut order = live(&bench);
    assert_eq!(set_priority(&mut bench, 3, -1), Ok(Done::Affected { count: 1 }));
    assert_eq!(set_priority(&mut bench, 2, 1_000), Ok(Done::Affected { count: 1 }));
    assert_eq!(set_priority(&mut bench, 2, 1_000), Ok(Done::Affected { count: 0 }), "it has it already");
    let served: Vec<u32> = (0..8).filter_map(|_| end_oldest(&mut bench, &mut order)).collect();
    assert_eq!(served, [2, 2, 2, 1, 1, 3, 3, 3]);
    let refusal = set_priority(&mut bench, 1, 1_001).unwrap_err();
    assert_eq!((refusal.code, refusal.message.as_str()), (RefusalCode::Invalid, "1001 is no priority"));
}

#[test]
fn within_a_job_tasks_of_higher_priority_start_first_and_never_before_a_job_of_higher_priority() {
    let mut bench = Bench::new(1);
    let of = |id: &str, priority| TaskSpec { priority, ..task(id, &[]) };
    bench.submit(job(9, vec![of("a", 0), of("b", -5), of("c", 1_000), of("d", 0)]));
    bench.submit(wide(2, 1));
    let mut served = vec![bench.core.live().keys().next().copied().unwrap()];
    for _ in 0..5 {
        end(&mut bench, *served.last().unwrap());
        served.push(bench.core.live().keys().next().copied().unwrap());
    }
    let served: Vec<(u32, u32)> = served.iter().map(|attempt| (attempt.job.0, attempt.task.0)).collect();
    assert_eq!(served, [(1, 2), (2, 0), (2, 1), (1, 0), (1, 3), (1, 1)]);
}

#[test]
fn what_a_job_may_run_at_once_goes_to_its_first_tasks_whatever_their_pool() {
    let limits = Limits { slots: BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 1)]), ..Limits::default() };
    let mut bench = Bench { core: Core::new(limits, 7), ..Bench::new(0) };
    let of = |id: &str, pool: &str, priority| TaskSpec { priority, pool: Some(pool.to_owned()), ..task(id, &[]) };
    bench.submit(job(1, vec![of("low", "a", 0), of("high", "b", 1)]));
    assert_eq!(bench.states(), [TaskKind::Queued, TaskKind::Starting]);
}

/// A home where Claude runs are bounded beside the pools' slots.
fn bounded(slots: u32, runs: u32) -> Bench {
    let claude = ClaudeLimits { max_parallel: Some(runs), ..ClaudeLimits::default() };
    let slots = BTreeMap::from([("local".to_owned(), slots), ("other".to_owned(), slots)]);
    Bench { core: Core::new(Limits { slots, claude }, 7), ..Bench::new(0) }
}

fn runs(count: u32, pool: &str) -> Submission {
    let one = |n| TaskSpec { pool: Some(pool.to_owned()), action: Action::Claude(Box::default()), ..task(&format!("c{n}"), &[]) };
    job(10_000, (0..count).map(one).collect())
}

#[test]
fn claude_runs_at_their_bound_go_round_over_all_pools_and_hold_up_no_command() {
    let mut bench = bounded(9, 2);
    bench.submit(runs(50, "local"));
    bench.submit(runs(50, "other"));
    assert_eq!((of_job(&bench, 1), of_job(&bench, 2)), (2, 0));
    let oldest = live(&bench)[0];
    end(&mut bench, oldest);
    assert_eq!((of_job(&bench, 1), of_job(&bench, 2)), (1, 1), "the next one is the other job's, in its own pool");
    // A job whose Claude tasks come first still starts its commands.
    let mut mixed = runs(3, "local");
    mixed.tasks.extend((0..3).map(|n| task(&format!("t{n}"), &[])));
    bench.submit(mixed);
    assert_eq!(of_job(&bench, 3), 3);
}

#[test]
fn a_job_with_many_commands_gets_its_claude_runs_all_the_same() {
    let mut bench = bounded(20, 2);
    bench.submit(runs(50, "local"));
    let mut mixed = runs(3, "local");
    mixed.tasks.extend((0..8).map(|n| task(&format!("t{n}"), &[])));
    bench.submit(mixed);
    assert_eq!((of_job(&bench, 1), of_job(&bench, 2)), (2, 8), "more live there, but no Claude run");
    let oldest = live(&bench)[0];
    end(&mut bench, oldest);
    assert_eq!((of_job(&bench, 1), of_job(&bench, 2)), (1, 9));
}

#[test]
fn what_is_paused_stopped_or_at_its_bound_keeps_nobody_waiting() {
    let mut bench = Bench::new(4);
    bench.ask(Command::Pause { job: None }).unwrap();
    bench.submit(Submission { job: JobSpec { priority: 9, ..wide(1, 0).job }, ..wide(9, 0) });
    bench.submit(Submission { job: JobSpec { max_parallel: 1, ..wide(1, 5).job }, ..wide(9, 0) });
    bench.submit(wide(9, 0));
    bench.ask(Command::Pause { job: Some(JobRef { name: "j".to_owned(), number: Some(1) }) }).unwrap();
    bench.ask(Command::Resume { job: None }).unwrap();
    assert_eq!((of_job(&bench, 1), of_job(&bench, 2), of_job(&bench, 3)), (0, 1, 3));
}

#[test]
fn of_runs_held_by_a_limit_one_of_the_job_of_higher_priority_tries_whether_it_is_over() {
    let mut bench = bounded(9, 9);
    bench.submit(runs(1, "local"));
    let limited = {
        let record = bench.record(1);
        let claude = ClaudeReport {
            limited: Some(crate::model::report::ClaudeLimit { resets_at: Some(Utc(9_000_000)), ..Default::default() }),
            ..ClaudeReport::default()
        };
        EndReport {
            exit: ExitFinding::Record(Box::new(record)),
            result: None,
            claude: Some(claude),
            artifacts: None,
            notes: Vec::new(),
        }
    };
    let attempt = live(&bench)[0];
    bench.step(vec![Input::Report(Report::Over { attempt, outbox: Vec::new(), end: Box::new(limited) })]);
    let urgent = runs(1, "local");
    bench.submit(Submission { job: JobSpec { priority: 5, ..urgent.job }, ..urgent });
    assert_eq!((of_job(&bench, 1), of_job(&bench, 2)), (0, 0), "both are held");
    bench.now.utc = bench.core.next_wake().0.unwrap();
    bench.step(vec![Input::Tick]);
    assert_eq!((of_job(&bench, 1), of_job(&bench, 2)), (0, 1));
}

/// Were the ready tasks gone through, this would take many minutes.
#[test]
fn one_end_among_a_hundred_thousand_ready_tasks_costs_next_to_nothing() {
    let mut bench = bounded(10, 1);
    for n in 0..200 {
        let mut submission = wide(500, n % 3);
        submission.job.max_parallel = 1 + n as u32 % 5;
        if n % 2 == 0 {
            submission.tasks.iter_mut().for_each(|task| task.action = Action::Claude(Box::default()));
        }
        bench.submit(submission);
    }
    for _ in 0..5_000 {
        let first = *bench.core.live().keys().next().unwrap();
        end(&mut bench, first);
    }
    assert_eq!(bench.core.live().len(), 10);
}
