use super::*;
use crate::model::artifact::{ArtifactSpec, DEFAULT_BYTES, Missing, PATIENCE_MS, RESULT_PATIENCE_MS};
use crate::model::spec::{Artifacts, ROUND_TIMEOUT_MS, Repeat, ResultKind, ResultSpec, Resume, Until};

/// The launches among effects: session, whether it is resumed, whether it goes on where it stopped.
fn launches(effects: &[Effect]) -> Vec<(String, bool, bool)> {
    let launches = effects.iter().filter_map(|effect| match effect {
        Effect::Launch(launch) => Some((launch.session.clone().unwrap(), launch.resumes, launch.continues)),
        _ => None,
    });
    launches.collect()
}

fn bench_with(resume: Resume, repeat: Option<Repeat>) -> (Bench, String) {
    let mut bench = Bench::claude(|_| {});
    let mut only = claude("a");
    only.limits.retry = Retry { attempts: 9, delay_ms: 0, resume, ..Retry::default() };
    only.repeat = repeat;
    bench.submit(job(1, vec![only]));
    bench.start(0);
    let session = bench.job().tasks[0].run.as_ref().unwrap().session.clone().unwrap();
    (bench, session)
}

/// Which session the attempt after this end takes: none when it waits for ever.
fn after(resume: Resume, end: impl FnOnce(&mut Bench)) -> (bool, bool) {
    let (mut bench, first) = bench_with(resume, None);
    end(&mut bench);
    let next = launches(&bench.wait(86_400_000));
    let [(session, resumes, continues)] = next.as_slice() else { panic!("{next:?}") };
    assert_eq!(*session == first, *resumes, "a session that is not resumed is a new one");
    (*resumes, *continues && *resumes)
}

fn failed() -> ClaudeReport {
    ClaudeReport { result: refused(400).result, ..answered(1) }
}

#[test]
fn what_interrupted_a_run_lets_it_go_on_where_it_stopped() {
    type End = (&'static str, fn(&mut Bench));
    let ends: [End; 7] = [
        ("crashed", |bench| drop(bench.ends(0, ClaudeReport { result: None, ..answered(1) }))),
        ("lost", |bench| drop(bench.vanishes(0, Some(answered(1))))),
        ("overloaded", |bench| drop(bench.ends(0, refused(529)))),
        ("limited", |bench| drop(bench.ends(0, limited(None)))),
        ("auth", |bench| drop(bench.ends(0, refused(401)))),
        ("silent", |bench| drop(bench.stopped(0, StopCause::Silence, answered(1)))),
        ("timed out", |bench| drop(bench.stopped(0, StopCause::Timeout, answered(1)))),
    ];
    for (name, end) in ends {
        assert_eq!(after(Resume::Auto, end), (true, true), "{name}");
        assert_eq!(after(Resume::Never, end), (false, false), "{name}");
    }
}

#[test]
fn a_failed_run_begins_afresh_unless_its_task_says_otherwise() {
    let end = |bench: &mut Bench| drop(bench.ends(0, failed()));
    assert_eq!(after(Resume::Auto, end), (false, false));
    assert_eq!(after(Resume::Always, end), (true, true));
}

#[test]
fn a_run_whose_gate_failed_begins_afresh() {
    let end = |bench: &mut Bench| {
        let gate = crate::model::attempt::GateEnd { end: End::Exited(1), timed_out: false };
        let record = ExitRecord { gate: Some(gate), ..bench.record(0) };
        bench.ends_with(0, record, answered(1));
    };
    assert_eq!(after(Resume::Auto, end), (false, false));
}

#[test]
fn a_session_that_never_came_into_being_or_is_gone_is_not_resumed() {
    let never = |bench: &mut Bench| {
        let mut report = ClaudeReport { result: None, ..answered(1) };
        report.facts.session = None;
        bench.ends(0, report);
    };
    assert_eq!(after(Resume::Always, never), (false, false));
    let gone = |bench: &mut Bench| {
        bench.ends(0, ClaudeReport { session_gone: true, ..failed() });
    };
    assert_eq!(after(Resume::Always, gone), (false, false));
}

#[test]
fn what_a_person_gave_up_waiting_for_may_still_use_its_session_and_the_next_attempt_takes_another() {
    let (mut bench, first) = bench_with(Resume::Always, None);
    bench.ends(0, limited(None));
    assert_eq!(launches(&bench.wait(86_400_000)), [(first.clone(), true, true)]);
    bench.start(0);
    bench.tells(0, Vec::new(), Some(facts(1, true)));
    bench.cancel("a", CancelHow::Abandon);
    bench.requeue("a");
    let run = bench.job().tasks[0].run.as_ref().unwrap();
    assert_eq!((run.session.as_ref() == Some(&first), run.resumes), (false, false));
}

#[test]
fn an_attempt_that_is_launched_again_after_a_crash_gets_the_session_that_was_recorded() {
    let (mut bench, first) = bench_with(Resume::Auto, None);
    bench.ends(0, limited(None));
    bench.wait(86_400_000);
    // The manager that was to launch it is gone, and nothing of it is there.
    let attempt = bench.attempt(0);
    let effects = bench.step(vec![Input::Reconcile, Input::Report(Report::NeverStarted { attempt })]);
    assert_eq!(launches(&effects), [(first, true, true)]);
}

fn until(max: u32, fresh_session: bool, stop_after_no_change: u32) -> Repeat {
    Repeat { until: Until::Command("true".to_owned()), max, fresh_session, stop_after_no_change }
}

/// A round that succeeded; `code` is that of its condition.
fn round(bench: &mut Bench, code: i32, tree: Option<&str>) -> Vec<Effect> {
    bench.start(0);
    let condition = crate::model::attempt::GateEnd { end: End::Exited(code), timed_out: false };
    let record = ExitRecord { round: Some(condition), tree: tree.map(str::to_owned), ..bench.record(0) };
    bench.ends_with(0, record, answered(1))
}

#[test]
fn a_task_is_repeated_in_one_session_with_its_prompt_until_its_condition_holds() {
    let (mut bench, first) = bench_with(Resume::Auto, Some(until(9, false, 0)));
    for _ in 0..3 {
        assert_eq!(launches(&round(&mut bench, 1, None)), [(first.clone(), true, false)]);
    }
    round(&mut bench, 0, None);
    assert_eq!((bench.states(), bench.job().tasks[0].attempts), (vec![TaskKind::Completed], 4));
    assert_eq!(bench.job().tasks[0].spent_retry, 0);
}

#[test]
fn each_round_may_have_a_session_of_its_own() {
    let (mut bench, first) = bench_with(Resume::Auto, Some(until(9, true, 0)));
    let next = launches(&round(&mut bench, 1, None));
    assert!(next[0].0 != first && !next[0].1, "{next:?}");
}

#[test]
fn rounds_end_at_their_number_and_a_requeue_counts_afresh_in_a_new_session() {
    let (mut bench, first) = bench_with(Resume::Auto, Some(until(2, false, 0)));
    bench.core.jobs.get_mut(&JobId(1)).unwrap().tasks[0].spent_retry = 8;
    round(&mut bench, 1, None);
    round(&mut bench, 1, None);
    assert_eq!(bench.states(), [TaskKind::Failed]);
    bench.requeue("a");
    let run = bench.job().tasks[0].run.as_ref().unwrap();
    assert_eq!((run.rounds.done, run.session.as_ref() == Some(&first)), (0, false));
    round(&mut bench, 1, None);
    round(&mut bench, 0, None);
    assert_eq!(bench.states(), [TaskKind::Completed]);
}

#[test]
fn a_finished_task_that_repeats_is_run_again_in_a_session_of_its_own() {
    let (mut bench, first) = bench_with(Resume::Auto, Some(until(9, false, 0)));
    round(&mut bench, 0, None);
    let target = bench.of(Some("a"));
    bench.ask(Command::Requeue { targets: target, which: RequeueWhich::All, params: Vec::new() }).unwrap();
    let run = bench.job().tasks[0].run.as_ref().unwrap();
    assert_eq!((run.resumes, run.session.as_ref() == Some(&first)), (false, false));
}

#[test]
fn rounds_that_change_nothing_are_given_up_and_those_without_a_tree_are_not_counted() {
    let (mut bench, _) = bench_with(Resume::Auto, Some(until(99, false, 2)));
    bench.core.jobs.get_mut(&JobId(1)).unwrap().tasks[0].spent_retry = 8;
    for tree in [None, None, None, Some("x"), Some("x"), Some("y"), Some("y")] {
        round(&mut bench, 1, tree);
        assert_eq!(bench.states(), [TaskKind::Starting]);
    }
    round(&mut bench, 1, Some("y"));
    assert_eq!(bench.states(), [TaskKind::Failed]);
}

#[test]
fn a_round_that_is_interrupted_goes_on_and_a_cancel_in_between_ends_it_all() {
    let (mut bench, first) = bench_with(Resume::Auto, Some(until(9, false, 0)));
    round(&mut bench, 1, None);
    bench.start(0);
    bench.vanishes(0, Some(answered(1)));
    assert_eq!(launches(&bench.wait(86_400_000)), [(first, true, true)], "a round that was cut off is finished first");
    bench.start(0);
    bench.cancel("a", CancelHow::Ask);
    let condition = crate::model::attempt::GateEnd { end: End::Exited(1), timed_out: false };
    let record = ExitRecord { round: Some(condition), ..bench.record(0) };
    bench.ends_with(0, record, answered(1));
    assert_eq!(bench.states(), [TaskKind::Cancelled]);
}

#[test]
fn a_task_budget_ends_the_rounds() {
    let (mut bench, _) = bench_with(Resume::Auto, Some(until(9, false, 0)));
    let budget = Some(crate::model::spec::Budget { microusd: Some(2), tokens: None });
    let job = bench.core.jobs.get_mut(&JobId(1)).unwrap();
    let spec = TaskSpec { budget, ..job.tasks[0].spec.as_ref().clone() };
    job.tasks[0].spec = std::sync::Arc::new(spec);
    round(&mut bench, 1, None);
    assert_eq!(bench.states(), [TaskKind::Starting]);
    round(&mut bench, 1, None);
    assert_eq!(bench.states(), [TaskKind::Failed]);
}

#[test]
fn a_job_that_is_stopped_begins_no_other_round() {
    let mut bench = Bench::claude(|_| {});
    let again = TaskSpec { repeat: Some(until(9, false, 0)), ..claude("a") };
    let mut submission = job(2, vec![again, task("b", &[])]);
    submission.job.on_failure = OnFailure::Stop;
    bench.submit(submission);
    bench.start(1);
    bench.end(1, 1);
    round(&mut bench, 1, None);
    assert_eq!((bench.states(), bench.job().state), (vec![TaskKind::Failed, TaskKind::Failed], JobState::Failed));
}

#[test]
fn no_two_attempts_ever_get_the_same_session() {
    let (bench, _) = bench_with(Resume::Auto, None);
    let mut seen = BTreeSet::new();
    for (job, task) in [(1, 0), (1, 1), (2, 0), (1, 256)] {
        for number in 1..2_000 {
            let attempt = AttemptId { job: JobId(job), task: TaskIdx(task), number };
            assert!(seen.insert(bench.core.session_of(attempt, &claude("a").action)), "{attempt}");
        }
    }
}

#[test]
fn a_condition_that_takes_its_time_is_not_ended_by_the_backstop_behind_the_commands_timeout() {
    let mut bench = Bench::claude(|_| {});
    let mut only = claude("a");
    (only.limits.timeout_ms, only.limits.grace_ms, only.repeat) = (Some(1_000), 500, Some(until(3, false, 0)));
    bench.submit(job(1, vec![only]));
    bench.start(0);
    let deadline = [1_000, 500, ROUND_TIMEOUT_MS, 500, BACKSTOP_MS].iter().sum::<u64>();
    let waited = i64::try_from(deadline).unwrap();
    assert_eq!(bench.wait(waited - 1), []);
    assert_eq!(bench.wait(1), [Effect::Stop { attempt: bench.attempt(0), kill: true }]);
}

#[test]
fn a_runner_that_keeps_files_when_its_command_has_ended_has_the_time_for_it() {
    let mut bench = Bench::claude(|_| {});
    let mut only = claude("a");
    (only.limits.timeout_ms, only.limits.grace_ms) = (Some(1_000), 500);
    let files = vec![ArtifactSpec { path: "big".to_owned(), name: None, missing: Missing::Noted }];
    only.artifacts = Some(Artifacts { files, max_bytes: DEFAULT_BYTES });
    only.result = Some(ResultSpec { kind: ResultKind::Text, file: Some("r".to_owned()), schema: None });
    bench.submit(job(1, vec![only]));
    bench.start(0);
    let keeping = PATIENCE_MS + RESULT_PATIENCE_MS;
    let wait = |bench: &mut Bench, deadline: u64| {
        let waited = i64::try_from(deadline).unwrap();
        assert_eq!(bench.wait(waited - 1), []);
        assert_eq!(bench.wait(1), [Effect::Stop { attempt: bench.attempt(0), kill: true }]);
    };
    wait(&mut bench, 1_500 + keeping + BACKSTOP_MS);
    bench.cancel("a", CancelHow::Ask);
    wait(&mut bench, 500 + keeping + BACKSTOP_MS);
    bench.cancel("a", CancelHow::Kill);
    wait(&mut bench, BACKSTOP_MS);
}
