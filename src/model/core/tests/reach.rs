//! Engines that cannot be reached, and launches on their way.

use super::*;
use crate::model::attempt::Progress;

fn far(id: &str) -> TaskSpec {
    TaskSpec { pool: Some("far".to_owned()), ..task(id, &[]) }
}

/// Two pools, one of which lives on an engine.
fn two_pools() -> Bench {
    let slots = BTreeMap::from([("local".to_owned(), 2), ("far".to_owned(), 2)]);
    let limits = Limits { slots, ..Limits::default() };
    Bench { core: Core::new(limits, 7), now: Now { utc: Utc(1_000_000), mono: Mono(1_000) }, requests: 0, events: Vec::new() }
}

impl Bench {
    fn loses(&mut self) -> Vec<Effect> {
        let gone = BTreeMap::from([("far".to_owned(), "no such socket".to_owned())]);
        self.step(vec![Input::Unreachable(gone)])
    }

    fn finds(&mut self) -> Vec<Effect> {
        self.step(vec![Input::Unreachable(BTreeMap::new()), Input::Reconcile])
    }

    fn no_trace(&mut self, place: u32) -> Vec<Effect> {
        let attempt = self.attempt(place);
        self.step(vec![Input::Report(Report::NeverStarted { attempt })])
    }

    fn launching(&mut self, done: u64, text: &str) -> Option<Progress> {
        let (attempt, progress) = (self.attempt(0), Progress { done, total: Some(100), text: Some(text.to_owned()) });
        self.step(vec![Input::Report(Report::Launching { attempt, progress })]);
        self.job().tasks[0].progress.clone()
    }
}

fn launches(effects: &[Effect]) -> Vec<u32> {
    let launched = effects.iter().filter_map(|effect| match effect {
        Effect::Launch(launch) => Some(launch.attempt.task.0),
        _ => None,
    });
    launched.collect()
}

#[test]
fn nothing_is_opened_where_the_engine_is_gone_and_other_pools_go_on() {
    let mut bench = two_pools();
    bench.loses();
    bench.submit(job(9, vec![far("a"), task("b", &[])]));
    assert_eq!(bench.states(), [TaskKind::Queued, TaskKind::Starting]);
    bench.step(vec![Input::Reconcile]);
    assert_eq!(bench.job().tasks[0].attempts, 0);
    assert_eq!(launches(&bench.finds()), [0], "it is opened by itself");
}

#[test]
fn what_was_opened_before_keeps_its_slot_and_is_not_given_up() {
    let mut bench = two_pools();
    bench.submit(job(9, vec![far("a"), far("b"), far("c")]));
    bench.start(0);
    bench.loses();
    for _ in 0..1_000 {
        bench.step(vec![Input::Reconcile]);
    }
    assert_eq!(bench.states(), [TaskKind::Running, TaskKind::Starting, TaskKind::Queued]);
    assert_eq!(launches(&bench.finds()), Vec::<u32>::new(), "its slots are taken");
    let attempt = bench.attempt(0);
    bench.step(vec![Input::Report(Report::Live { attempt })]);
    assert_eq!(bench.states(), [TaskKind::Running, TaskKind::Starting, TaskKind::Queued]);
}

#[test]
fn a_launch_that_came_to_nothing_is_asked_for_again_under_its_number_after_every_outage() {
    let mut bench = two_pools();
    bench.submit(job(9, vec![far("a")]));
    for _ in 0..3 {
        bench.loses();
        for _ in 0..100 {
            bench.step(vec![Input::Reconcile]);
        }
        bench.finds();
        // At most one answer may have been on its way; the next comparison's is as good as the first's.
        let mut launched = launches(&bench.no_trace(0));
        if launched.is_empty() {
            bench.step(vec![Input::Reconcile]);
            launched = launches(&bench.no_trace(0));
        }
        assert_eq!(launched, [0]);
    }
    assert_eq!(bench.job().tasks[0].attempts, 1);
}

#[test]
fn an_answer_on_its_way_as_the_engine_comes_back_says_nothing_about_the_launch_that_follows() {
    let mut bench = two_pools();
    bench.submit(job(9, vec![far("a")]));
    bench.loses();
    // This one is answered after all, and the one at the return too.
    bench.step(vec![Input::Reconcile]);
    bench.finds();
    assert_eq!(launches(&bench.no_trace(0)), [0]);
    assert_eq!(launches(&bench.no_trace(0)), Vec::<u32>::new(), "it was asked for before that launch");
}

#[test]
fn a_cancel_while_the_engine_is_gone_waits_for_proof_and_ends_then() {
    let mut bench = two_pools();
    bench.submit(job(9, vec![far("a"), far("b")]));
    bench.start(1);
    bench.loses();
    bench.ask(Command::Cancel { targets: bench.of(None), all: false, how: CancelHow::Ask }).unwrap();
    for _ in 0..10 {
        // The backstop insists, to nobody, and concludes nothing from that.
        bench.now.mono = Mono(bench.now.mono.0 + 2 * BACKSTOP_MS);
        bench.step(vec![Input::Reconcile]);
    }
    assert_eq!(bench.states(), [TaskKind::Cancelling, TaskKind::Cancelling]);
    bench.finds();
    bench.no_trace(0);
    let attempt = bench.attempt(1);
    let effects = bench.step(vec![Input::Report(Report::Live { attempt })]);
    assert!(effects.contains(&Effect::Stop { attempt, kill: false }), "the stop was lost, and is asked for again: {effects:?}");
    assert_eq!(bench.states(), [TaskKind::Cancelled, TaskKind::Cancelling]);
}

#[test]
fn a_try_of_a_credential_that_is_out_of_sight_keeps_no_other_pool_waiting() {
    let claude = |id: &str, pool: Option<&str>| TaskSpec {
        action: Action::Claude(Box::default()),
        pool: pool.map(str::to_owned),
        ..task(id, &[])
    };
    let mut bench = two_pools();
    bench.submit(job(9, vec![claude("a", Some("far")), claude("b", None)]));
    for place in [0, 1] {
        bench.start(place);
        let attempt = bench.attempt(place);
        let result = ClaudeResult { is_error: true, api_error_status: Some(401), ..ClaudeResult::default() };
        let claude = Some(ClaudeReport { result: Some(result), ..ClaudeReport::default() });
        let exit = ExitFinding::Record(Box::new(bench.record(1)));
        let end = Box::new(EndReport { exit, result: None, artifacts: None, claude, notes: Vec::new() });
        bench.step(vec![Input::Report(Report::Over { attempt, outbox: Vec::new(), end })]);
    }
    bench.now.utc = bench.now.utc.plus(3_600_000);
    bench.step(vec![Input::Tick]);
    assert_eq!(bench.states(), [TaskKind::Starting, TaskKind::Held], "one tries");
    bench.loses();
    assert_eq!(bench.states(), [TaskKind::Starting, TaskKind::Starting]);
}

#[test]
fn how_far_a_launch_is_is_told_now_and_then_and_gone_once_it_has_started() {
    let mut bench = two_pools();
    bench.submit(job(9, vec![far("a")]));
    let told = |progress: Option<Progress>| progress.map(|progress| progress.done);
    assert_eq!(told(bench.launching(1, "pulling")), Some(1));
    assert_eq!(told(bench.launching(2, "pulling")), Some(1), "not every number is an event");
    assert_eq!(told(bench.launching(0, "unpacking")), Some(0), "other words are");
    bench.now.mono = Mono(bench.now.mono.0 + 1_000);
    assert_eq!(told(bench.launching(3, "unpacking")), Some(3));
    bench.start(0);
    assert_eq!(bench.job().tasks[0].progress, None);
    assert_eq!(bench.launching(99, "pulling"), None, "too late");
    bench.end(0, 0);
    assert_eq!(bench.launching(99, "pulling"), None);
}

#[test]
fn a_backend_that_tells_without_end_is_heard_six_hundred_times() {
    let mut bench = two_pools();
    bench.submit(job(9, vec![far("a")]));
    let last = (1..2_000).map(|n| bench.launching(n, &format!("layer {n}"))).last().flatten().unwrap();
    assert_eq!(last.done, 600);
    bench.ask(Command::Cancel { targets: bench.of(None), all: false, how: CancelHow::Ask }).unwrap();
    assert_eq!(bench.job().tasks[0].progress, None, "a cancel does not wait for it either");
}
