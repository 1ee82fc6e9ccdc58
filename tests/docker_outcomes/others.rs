//! What others than airx do to its containers.

use super::bench::{Bench, Mode};
use super::docker;

const JOB: &str = "name: k\npool: box\ntasks:\n  - id: t\n    run: |\n      echo run >> ran; echo begun; touch here-t1\n      \
                   [ $(wc -l < ran) -gt 1 ] || until [ -e go ]; do sleep 0.05; done; echo end\n";

/// Runs a task until it is there, does something to its container, and sees it end; the sentences of its outcomes.
fn after(mode: Mode, act: impl FnOnce(&mut Bench, &str, &str)) -> Option<(Vec<String>, String)> {
    let engine = docker::shared()?;
    let mut bench = Bench::new(engine, &engine.host(), 1, mode, "");
    bench.home.start();
    let job = bench.home.submit(JOB);
    bench.until_all_are_here(1);
    let container = bench.container();
    act(&mut bench, &job, &container);
    bench.home.until_over(&job);
    let address = format!("{job}/t");
    let outcomes = bench.outcomes(&address);
    let ran = bench.content("ran").lines().count();
    assert_eq!(ran, outcomes.len(), "it ran once for each attempt: {outcomes:?}");
    let first = bench.home.task(&address).attempts.remove(0);
    let notes = first.facts.map_or_else(String::new, |facts| facts.notes.join("\n"));
    println!("{outcomes:?}\n{notes}");
    bench.until_nothing_is_left();
    bench.assert_replay();
    Some((outcomes, notes))
}

fn check(found: Option<(Vec<String>, String)>, outcomes: &[&str], note: &str) {
    let Some((seen, notes)) = found else { return };
    assert_eq!(seen.len(), outcomes.len(), "{seen:?}");
    assert!(seen.iter().zip(outcomes).all(|(seen, begin)| seen.starts_with(begin)), "{seen:?} instead of {outcomes:?}");
    assert!(notes.contains(note), "{notes}");
}

#[test]
fn removed_while_it_runs() {
    for mode in [Mode::Runner, Mode::Reduced] {
        let found = after(mode, |bench, _, container| drop(bench.engine.ok(["rm", "-f", container])));
        check(found, &["lost", "succeeded"], "container was ");
    }
}

/// The container has ended and is removed, and only then is there a manager again. With the runner its word is on this side.
#[test]
fn removed_after_its_end_while_no_manager_ran() {
    let removed = |bench: &mut Bench, _: &str, container: &str| {
        bench.home.kill_manager();
        bench.touch("go");
        bench.home.until("it has ended", || bench.containers(true, "{{.State}}") == ["exited"]);
        bench.engine.ok(["rm", container]);
        bench.home.start();
    };
    check(after(Mode::Runner, removed), &["succeeded"], "");
    check(after(Mode::Reduced, removed), &["lost", "succeeded"], "removed, by someone else than airx");
}

#[test]
fn killed_by_somebody_else() {
    for mode in [Mode::Runner, Mode::Reduced] {
        let found = after(mode, |bench, _, container| drop(bench.engine.ok(["kill", container])));
        check(found, &["lost", "succeeded"], "signal 9");
        let found = after(mode, |bench, _, container| drop(bench.engine.ok(["stop", container])));
        check(found, &["crashed", "succeeded"], "");
    }
}

#[test]
fn paused_for_a_while() {
    for mode in [Mode::Runner, Mode::Reduced] {
        let found = after(mode, |bench, job, container| {
            bench.engine.ok(["pause", container]);
            bench.home.kill_manager();
            bench.home.start();
            bench.touch("go");
            let polls = || bench.home.ok(["events", "--job", job]).lines().count();
            let before = polls();
            // Two comparisons with reality, a second apart.
            let began = std::time::Instant::now();
            bench.home.until("some polls have passed", || began.elapsed().as_millis() > 2_500);
            assert_eq!(polls(), before, "nothing is decided of it");
            bench.engine.ok(["unpause", container]);
        });
        check(found, &["succeeded"], "");
    }
}

/// The engine lets a container go on that is to end.
#[test]
fn cancelled_while_it_is_paused() {
    for mode in [Mode::Runner, Mode::Reduced] {
        let found = after(mode, |bench, job, container| {
            bench.engine.ok(["pause", container]);
            bench.home.ok(["cancel", job]);
        });
        check(found, &["cancelled"], "");
    }
}
