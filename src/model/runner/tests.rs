use proptest::prelude::*;

use super::*;

fn limits() -> Limits {
    Limits {
        timeout_ms: Some(1000),
        silence_ms: None,
        grace_ms: 100,
        stop: StopSignal::Term,
        output_limit: 10,
        memory: None,
        pids: None,
        round_timeout_ms: None,
        gate_timeout_ms: None,
    }
}

fn running(limits: Limits) -> Machine {
    let mut machine = Machine::new(limits);
    assert_eq!(machine.step(Mono(0), Input::Start), [Effect::SpawnCommand]);
    machine
}

fn ok(alone: bool) -> Input {
    Input::Exited { end: End::Exited(0), alone }
}

#[test]
fn a_command_that_ends_alone_needs_nothing_but_its_record() {
    let mut m = running(limits());
    assert_eq!(m.step(Mono(5), ok(true)), [Effect::Drain]);
    assert_eq!(m.step(Mono(5), Input::Drained), [Effect::WriteExit]);
    assert_eq!((m.end(), m.elapsed_ms(), m.is_finished()), (Some(&End::Exited(0)), 5, true));
}

#[test]
fn a_timeout_asks_once_then_insists_after_the_grace_and_until_all_are_gone() {
    let mut m = running(limits());
    assert_eq!(m.deadline(), Some(Mono(1000)));
    assert_eq!(m.step(Mono(999), Input::Tick), []);
    assert_eq!(m.step(Mono(1000), Input::Tick), [Effect::Ask(StopSignal::Term)]);
    assert_eq!(m.step(Mono(1050), Input::Tick), []);
    assert_eq!(m.deadline(), Some(Mono(1100)));
    assert_eq!(m.step(Mono(1100), Input::Tick), [Effect::Kill]);
    assert_eq!(m.step(Mono(1120), Input::Tick), [Effect::Kill]);
    assert_eq!(m.step(Mono(1121), Input::Exited { end: End::Signalled(9), alone: false }), []);
    assert_eq!(m.step(Mono(1122), Input::TreeEmpty), [Effect::Drain]);
    assert_eq!(m.step(Mono(1122), Input::Drained), [Effect::WriteExit]);
    assert_eq!(m.stopped(), Some(&StopCause::Timeout));
}

#[test]
fn leftovers_are_asked_counted_and_do_not_change_how_the_command_ended() {
    let mut m = running(limits());
    assert_eq!(m.step(Mono(5), ok(false)), [Effect::Ask(StopSignal::Term)]);
    m.step(Mono(5), Input::Signalled { others: 3 });
    assert_eq!(m.step(Mono(6), Input::Asked { kill: true }), [Effect::Kill]);
    m.step(Mono(6), Input::Signalled { others: 1 });
    assert_eq!(m.step(Mono(7), Input::TreeEmpty), [Effect::Drain]);
    assert_eq!((m.leftovers(), m.stopped()), (3, None));
}

#[test]
fn what_an_interrupted_command_leaves_behind_is_asked_as_well() {
    let mut m = running(Limits { stop: StopSignal::Int, ..limits() });
    assert_eq!(m.step(Mono(1), Input::Asked { kill: false }), [Effect::Ask(StopSignal::Int)]);
    assert_eq!(m.step(Mono(2), ok(false)), [Effect::Ask(StopSignal::Term)]);
    assert_eq!(m.deadline(), Some(Mono(101)));
}

#[test]
fn the_gate_runs_only_after_a_success_and_has_a_timeout_of_its_own() {
    let gated = Limits { gate_timeout_ms: Some(50), ..limits() };
    let mut failed = running(gated.clone());
    failed.step(Mono(1), Input::Exited { end: End::Exited(1), alone: true });
    assert_eq!(failed.step(Mono(1), Input::Drained), [Effect::WriteExit]);

    let mut m = running(gated);
    m.step(Mono(900), ok(true));
    assert_eq!(m.step(Mono(900), Input::Drained), [Effect::SpawnGate]);
    assert_eq!(m.deadline(), Some(Mono(950)));
    assert_eq!(m.step(Mono(950), Input::Tick), [Effect::Ask(StopSignal::Term)]);
    assert_eq!(m.step(Mono(951), Input::Exited { end: End::Signalled(15), alone: true }), [Effect::Drain]);
    assert_eq!(m.step(Mono(951), Input::Drained), [Effect::WriteExit]);
    assert_eq!(m.gate(), Some(GateEnd { end: End::Signalled(15), timed_out: true }));
    assert_eq!((m.end(), m.elapsed_ms(), m.stopped()), (Some(&End::Exited(0)), 900, None));
}

#[test]
fn asked_to_stop_between_the_command_and_its_gate_the_gate_does_not_run() {
    let gated = Limits { gate_timeout_ms: Some(50), ..limits() };
    let mut with_leftovers = running(gated.clone());
    with_leftovers.step(Mono(5), ok(false));
    assert_eq!(with_leftovers.step(Mono(6), Input::Asked { kill: true }), [Effect::Kill]);
    assert_eq!(with_leftovers.step(Mono(7), Input::TreeEmpty), [Effect::Drain]);
    assert_eq!(with_leftovers.step(Mono(7), Input::Drained), [Effect::WriteExit]);
    assert_eq!(with_leftovers.stopped(), Some(&StopCause::Asked { kill: true }));

    let mut disk_full = running(gated);
    disk_full.step(Mono(5), ok(true));
    assert_eq!(disk_full.step(Mono(6), Input::Asked { kill: false }), [Effect::GiveUpOutput, Effect::WriteExit]);
    assert_eq!(disk_full.stopped(), Some(&StopCause::Asked { kill: false }));
}

#[test]
fn exactly_the_output_limit_is_no_excess() {
    let mut m = running(limits());
    assert_eq!(m.step(Mono(1), Input::Output { total: 10 }), []);
    assert_eq!(m.step(Mono(1), Input::Output { total: 11 }), [Effect::Ask(StopSignal::Term)]);
    assert_eq!(m.step(Mono(1), Input::Output { total: 12 }), []);
}

#[test]
fn silence_counts_from_the_last_output() {
    let mut m = running(Limits { silence_ms: Some(100), timeout_ms: None, ..limits() });
    m.step(Mono(90), Input::Output { total: 1 });
    assert_eq!(m.step(Mono(189), Input::Tick), []);
    assert_eq!(m.step(Mono(190), Input::Tick), [Effect::Ask(StopSignal::Term)]);
    assert_eq!(m.stopped(), Some(&StopCause::Silence));
}

#[test]
fn excess_memory_is_killed_without_grace() {
    let mut m = running(Limits { memory: Some(100), ..limits() });
    assert_eq!(m.step(Mono(1000), Input::Usage { memory: 100, pids: 1 }), []);
    assert_eq!(m.step(Mono(1000), Input::Usage { memory: 101, pids: 1 }), [Effect::Kill]);
    assert_eq!(m.stopped(), Some(&StopCause::Memory));
}

fn inputs() -> impl Strategy<Value = Input> {
    prop_oneof![
        (any::<i32>(), any::<bool>()).prop_map(|(code, alone)| Input::Exited { end: End::Exited(code % 2), alone }),
        Just(Input::TreeEmpty),
        Just(Input::Drained),
        (0..20u64).prop_map(|total| Input::Output { total }),
        any::<bool>().prop_map(|kill| Input::Asked { kill }),
        (0..5u32).prop_map(|others| Input::Signalled { others }),
        (0..200u64, 0..20u32).prop_map(|(memory, pids)| Input::Usage { memory, pids }),
        Just(Input::Enforced(StopCause::Memory)),
        any::<bool>().prop_map(Input::Waiting),
        Just(Input::Refused),
        prop::sample::select(vec![BudgetOf::Attempt, BudgetOf::Task, BudgetOf::Job, BudgetOf::Day]).prop_map(Input::OverBudget),
        Just(Input::NotStarted(End::NotStarted { errno: 2, why: String::new() })),
        Just(Input::Tick),
        Just(Input::Start),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_the_record_is_written_exactly_once_and_a_kill_follows_its_grace(
        steps in prop::collection::vec((0..400u64, inputs()), 0..60),
        silence in prop::option::of(50..500u64), memory in prop::option::of(100..150u64),
        gate in prop::option::of(50..500u64), round in prop::option::of(50..500u64),
    ) {
        let mut m = Machine::new(Limits {
            silence_ms: silence, gate_timeout_ms: gate, round_timeout_ms: round, memory, ..limits()
        });
        let mut seen = m.step(Mono(0), Input::Start);
        let (mut now, mut asked_at) = (0, None);
        // The command, the condition and the gate come to their end.
        let ends = [ok(true), Input::TreeEmpty, Input::Drained];
        for (wait, input) in steps.into_iter().chain([&ends; 3].into_iter().flatten().cloned().map(|i| (1, i))) {
            now += wait;
            for input in [Input::Tick, input] {
                let effects = m.step(Mono(now), input);
                if effects.iter().any(|e| matches!(e, Effect::Kill | Effect::Drain | Effect::WriteExit)) {
                    asked_at = None;
                }
                if effects.iter().any(|e| matches!(e, Effect::Ask(_))) {
                    asked_at = asked_at.or(Some(now));
                }
                seen.extend(effects);
            }
            prop_assert!(asked_at.is_none_or(|at| now < at + 100), "no kill after the grace");
        }
        prop_assert_eq!(seen.iter().filter(|e| **e == Effect::WriteExit).count(), 1);
        prop_assert_eq!(seen.last(), Some(&Effect::WriteExit));
        prop_assert!(m.end().is_some());
        prop_assert!(m.deadline().is_none());
    }
    #[test]
    fn a_persons_time_is_neither_the_tasks_timeout_nor_its_silence(
        steps in prop::collection::vec((0..400u64, prop::option::of(any::<bool>()), any::<bool>()), 0..60),
        silence in prop::option::of(50..900u64),
    ) {
        let mut m = running(Limits { silence_ms: silence, output_limit: u64::MAX, ..limits() });
        let (mut now, mut waits, mut own_ms, mut silent_ms, mut written) = (0, false, 0, 0, 0);
        for (passed, waiting, writes) in steps {
            now += passed;
            if !waits {
                (own_ms, silent_ms) = (own_ms + passed, silent_ms + passed);
            }
            m.step(Mono(now), Input::Tick);
            let expected = match () {
                () if waits => None,
                () if own_ms >= 1000 => Some(StopCause::Timeout),
                () if silence.is_some_and(|most| silent_ms >= most) => Some(StopCause::Silence),
                () => None,
            };
            prop_assert_eq!(m.stopped(), expected.as_ref());
            prop_assert!(!waits || m.deadline().is_none(), "nothing is due while a person is asked");
            if expected.is_some() {
                break;
            }
            if let Some(waiting) = waiting {
                m.step(Mono(now), Input::Waiting(waiting));
                if waits && !waiting {
                    silent_ms = 0;
                }
                waits = waiting;
            }
            if writes {
                written += 1;
                m.step(Mono(now), Input::Output { total: written });
                silent_ms = 0;
            }
        }
    }
}

#[test]
fn a_refused_credential_and_a_spent_budget_end_the_command_and_no_gate() {
    let asks =
        [(Input::Refused, StopCause::Refused), (Input::OverBudget(BudgetOf::Job), StopCause::Budget { of: BudgetOf::Job })];
    for (input, cause) in asks {
        let mut m = running(Limits { stop: StopSignal::Int, gate_timeout_ms: Some(50), ..limits() });
        m.step(Mono(1), Input::Waiting(true));
        assert_eq!(m.step(Mono(2), input.clone()), [Effect::Ask(StopSignal::Int)], "also while a person is asked");
        assert_eq!(m.deadline(), Some(Mono(102)), "and insists after the grace");
        m.step(Mono(3), ok(true));
        assert_eq!(m.step(Mono(3), Input::Drained), [Effect::WriteExit]);
        assert_eq!(m.stopped(), Some(&cause));

        let mut gating = running(Limits { gate_timeout_ms: Some(50), ..limits() });
        gating.step(Mono(1), ok(true));
        gating.step(Mono(1), Input::Drained);
        assert_eq!(gating.step(Mono(2), input), [], "a gate costs nothing and needs no credential");
    }
}

#[test]
fn a_condition_is_looked_at_after_a_success_and_the_gate_runs_only_once_it_holds() {
    let repeats = Limits { round_timeout_ms: Some(50), gate_timeout_ms: Some(50), ..limits() };
    let mut unmet = running(repeats.clone());
    unmet.step(Mono(1), ok(true));
    assert_eq!(unmet.step(Mono(1), Input::Drained), [Effect::SpawnRound]);
    unmet.step(Mono(2), Input::Exited { end: End::Exited(1), alone: true });
    assert_eq!(unmet.step(Mono(2), Input::Drained), [Effect::WriteExit]);
    assert_eq!(unmet.round(), Some(GateEnd { end: End::Exited(1), timed_out: false }));

    let mut met = running(repeats);
    met.step(Mono(1), ok(true));
    met.step(Mono(1), Input::Drained);
    met.step(Mono(2), ok(true));
    assert_eq!(met.step(Mono(2), Input::Drained), [Effect::SpawnGate]);
}
