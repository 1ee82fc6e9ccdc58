//! How tasks end.

use super::bench::{Bench, Mode};
use super::docker;

/// Tasks of one job; each must end with one of these sentences and with this in its remarks.
fn ends(mode: Mode, more: &str, tasks: &[(&str, &str, &str, &str)]) {
    let Some(engine) = docker::shared() else { return };
    let mut bench = Bench::new(engine, &engine.host(), 4, mode, more);
    bench.home.start();
    let file: String = tasks.iter().map(|(id, keys, ..)| format!("  - {{ id: {id}, {keys} }}\n")).collect();
    let job = bench.home.submit(&format!("name: k\npool: box\nmax_parallel: 4\ntasks:\n{file}"));
    bench.home.until_over(&job);
    for (id, _, sentence, note) in tasks {
        let address = format!("{job}/{id}");
        let (outcomes, notes) = (bench.outcomes(&address), bench.notes(&address));
        println!("{address}: {outcomes:?}\n{notes}");
        assert!(outcomes.len() == 1 && outcomes[0] == *sentence, "{address}: {outcomes:?} instead of {sentence}; {notes}");
        assert!(notes.contains(note), "{address}: {notes}");
    }
    bench.until_nothing_is_left();
}

const MEMORY: &str = "out of memory (its limit)";

#[test]
fn exits_signals_and_limits() {
    ends(
        Mode::Runner,
        "",
        &[
            ("exits", "run: exit 7", "exit 7", ""),
            ("killed", "run: 'kill -9 $$'", "signal 9", ""),
            ("memory", "resources: { memory: 48m }, command: tail, args: [/dev/zero]", MEMORY, ""),
            ("child", "resources: { memory: 48m }, run: 'tail /dev/zero; exit 0'", "succeeded", "memory"),
            ("child-fails", "resources: { memory: 48m }, run: 'tail /dev/zero; exit 3'", MEMORY, ""),
            (
                "pids",
                "resources: { pids: 12 }, run: 'i=0; while [ $i -lt 30 ]; do sleep 2 & i=$((i+1)); done; exit 4'",
                "exit 2",
                "the container's limit `pids` was reached",
            ),
            ("late", "timeout: 1s, run: sleep 60", "timed out", ""),
            (
                "absent",
                "command: no-such-program",
                "could not start: `no-such-program` was not found in PATH (/usr/local/bin:/usr/bin:/bin:/airx/bin)",
                "",
            ),
        ],
    );
}

#[test]
fn exits_signals_and_limits_without_runner() {
    ends(
        Mode::Reduced,
        "",
        &[
            ("exits", "run: exit 7", "exit 7", "reduced mode"),
            ("killed", "run: 'sh -c \"kill -9 \\$\\$\"; exit 137'", "signal 9", "does not tell signal 9 from exit code 137"),
            ("memory", "resources: { memory: 48m }, command: tail, args: [/dev/zero]", MEMORY, ""),
            ("child", "resources: { memory: 48m }, run: 'tail /dev/zero; exit 0'", "succeeded", ""),
            ("late", "timeout: 1s, run: sleep 60", "timed out", ""),
        ],
    );
}

/// So little memory that the runner is killed with its command.
#[test]
fn memory_that_is_not_enough_for_the_runner() {
    ends(
        Mode::Runner,
        "",
        &[("small", "resources: { memory: 6m }, run: 'a=$(head -c 30000000 /dev/zero | tr \"\\0\" x); echo $a'", MEMORY, "")],
    );
}

/// Ended by people: with last words, without, and again while it does not listen.
fn ended_by_people(mode: Mode) {
    let Some(engine) = docker::shared() else { return };
    let mut bench = Bench::new(engine, &engine.host(), 4, mode, "");
    bench.home.start();
    let job = bench.home.submit(
        "name: k\npool: box\nmax_parallel: 4\ntasks:\n  \
         - { id: asked, grace: 30s, run: 'trap \"echo last; exit 0\" TERM; touch here-t1; while :; do sleep 0.1; done' }\n  \
         - { id: deaf, grace: 4s, run: 'trap \"\" TERM; touch here-t2; while :; do sleep 0.1; done' }\n  \
         - { id: killed, grace: 10m, run: 'trap \"\" TERM; touch here-t3; while :; do sleep 0.1; done' }\n",
    );
    bench.until_all_are_here(3);
    for task in ["asked", "deaf"] {
        bench.home.ok(["cancel", &format!("{job}/{task}")]);
    }
    bench.home.ok(["cancel", &format!("{job}/killed"), "--kill"]);
    let began = std::time::Instant::now();
    assert_eq!(bench.home.until_over(&job), "cancelled");
    assert!(began.elapsed().as_secs() < 20, "the grace of 4 s is not begun again: {:?}", began.elapsed());
    for task in ["asked", "deaf", "killed"] {
        assert_eq!(bench.outcomes(&format!("{job}/{task}")), ["cancelled"], "{task}");
    }
    bench.assert_out(&format!("{job}/asked"), "last\n");
    bench.until_nothing_is_left();
}

#[test]
fn cancelled_and_killed() {
    ended_by_people(Mode::Runner);
}

#[test]
fn cancelled_and_killed_without_runner() {
    ended_by_people(Mode::Reduced);
}

/// More than may be kept, by a command that ends by itself at once, and exactly as much.
fn more_than_may_be_kept(mode: Mode) {
    let Some(engine) = docker::shared() else { return };
    let mut bench = Bench::new(engine, &engine.host(), 2, mode, "");
    bench.home.start();
    let run = |bytes| format!("head -c {bytes} /dev/zero | tr \"\\0\" x");
    let job = bench.home.submit(&format!(
        "name: k\npool: box\nmax_parallel: 2\ntasks:\n  - {{ id: more, output_limit: 100000, run: '{}' }}\n  \
         - {{ id: exact, output_limit: 100000, run: '{}' }}\n",
        run(150_000),
        run(100_000)
    ));
    bench.home.until_over(&job);
    assert_eq!(bench.outcomes(&format!("{job}/more")), ["output limit reached"]);
    assert_eq!(bench.outcomes(&format!("{job}/exact")), ["succeeded"]);
    for task in ["more", "exact"] {
        bench.assert_out(&format!("{job}/{task}"), &"x".repeat(100_000));
    }
    bench.until_nothing_is_left();
}

#[test]
fn more_output_than_may_be_kept_of_a_command_that_ends_at_once() {
    more_than_may_be_kept(Mode::Runner);
}

#[test]
fn more_output_than_may_be_kept_of_a_command_that_ends_at_once_without_runner() {
    more_than_may_be_kept(Mode::Reduced);
}
