//! The manager is killed at each point of a container's life.

use super::bench::{Bench, Mode};
use super::docker;
use super::proxy::{Halt, Proxy, When};

/// Prints as soon as it runs, and goes on to its end when `go` is there.
const TASK: &str = "echo run >> ran; i=1; while [ $i -le 200 ]; do echo line $i; i=$((i+1)); done; touch runs; \
                    until [ -e go ]; do sleep 0.05; done; printf end";

fn job() -> String {
    format!("name: k\npool: box\ntasks:\n  - {{ id: t, run: '{TASK}' }}\n")
}

fn printed() -> String {
    (1..=200).map(|n| format!("line {n}\n")).collect::<String>() + "end"
}

/// Lets the task end, and looks at all that is true then.
fn see_out(bench: &Bench, job: &str) {
    bench.touch("go");
    assert_eq!(bench.home.until_over(job), "completed", "{:?}", bench.outcomes(&format!("{job}/t")));
    bench.assert_once(job, "t", &printed());
    assert_eq!(bench.content("ran"), "run\n", "it ran once");
    bench.until_nothing_is_left();
    bench.assert_replay();
}

fn with_proxy(mode: Mode, test: impl FnOnce(Bench, &Proxy)) {
    let Some(engine) = docker::shared() else { return };
    let proxy = Proxy::before(&engine.socket());
    let bench = Bench::new(engine, &proxy.host(), 1, mode, "");
    test(bench, &proxy);
}

/// The manager is killed when this request is there, and its connection is closed.
fn killed_at(mode: Mode, when: When, method: &str, part: &str) {
    with_proxy(mode, |mut bench, proxy| {
        let halt = proxy.stop_at(when, method, part);
        bench.home.start();
        let job = bench.home.submit(&job());
        halt.reached();
        bench.home.kill_manager();
        halt.drop_it();
        bench.home.start();
        see_out(&bench, &job);
    });
}

macro_rules! killed_at {
    ($($name:ident: $mode:ident, $when:ident, $method:literal, $part:literal;)+) => {
        $(#[test]
        fn $name() {
            killed_at(Mode::$mode, When::$when, $method, $part);
        })+
    };
}

killed_at! {
    before_the_container_is_made: Runner, Before, "POST", "/containers/create";
    before_the_container_is_made_without_runner: Reduced, Before, "POST", "/containers/create";
    when_the_container_is_made: Runner, After, "POST", "/containers/create";
    between_making_and_starting: Runner, Before, "POST", "/attach";
    between_making_and_starting_without_runner: Reduced, Before, "POST", "/start";
    between_starting_and_handing_over_the_environment: Runner, After, "POST", "/start";
    when_it_was_started_without_runner: Reduced, After, "POST", "/start";
}

/// Killed while the task runs, and again, before it ends under the third one's eyes.
fn while_it_runs(mode: Mode) {
    let Some(engine) = docker::shared() else { return };
    let mut bench = Bench::new(engine, &engine.host(), 1, mode, "");
    bench.home.start();
    let job = bench.home.submit(&job());
    for _ in 0..2 {
        bench.until_file("runs");
        bench.home.kill_manager();
        bench.home.start();
    }
    see_out(&bench, &job);
}

#[test]
fn while_the_task_runs() {
    while_it_runs(Mode::Runner);
}

#[test]
fn while_the_task_runs_without_runner() {
    while_it_runs(Mode::Reduced);
}

/// Killed while the task runs, which then ends; the next manager finds a container that has.
fn before_the_end_is_collected(mode: Mode) {
    let Some(engine) = docker::shared() else { return };
    let mut bench = Bench::new(engine, &engine.host(), 1, mode, "");
    bench.home.start();
    let job = bench.home.submit(&job());
    bench.until_file("runs");
    bench.home.kill_manager();
    bench.touch("go");
    bench.home.until("its container has ended", || bench.containers(true, "{{.State}}") == ["exited"]);
    bench.home.start();
    see_out(&bench, &job);
}

#[test]
fn between_its_end_and_the_collection() {
    before_the_end_is_collected(Mode::Runner);
}

#[test]
fn between_its_end_and_the_collection_without_runner() {
    before_the_end_is_collected(Mode::Reduced);
}

/// Killed while it reads what the container has printed last.
#[test]
fn while_the_end_is_collected_without_runner() {
    with_proxy(Mode::Reduced, |mut bench, proxy| {
        bench.home.start();
        let job = bench.home.submit(&job());
        bench.until_file("runs");
        let halt = proxy.stop_at(When::After, "GET", "/logs?");
        bench.touch("go");
        halt.reached();
        bench.home.kill_manager();
        halt.drop_it();
        bench.home.start();
        see_out(&bench, &job);
    });
}

/// Killed when the outcome is stored and the container is still there; nothing else ever runs in that home.
fn before_its_container_is_removed(mode: Mode) {
    with_proxy(mode, |mut bench, proxy| {
        let halt = proxy.stop_at(When::Before, "DELETE", "/containers/");
        bench.home.start();
        let job = bench.home.submit(&job());
        bench.touch("go");
        halt.reached();
        assert_eq!(bench.home.until_over(&job), "completed");
        bench.home.kill_manager();
        halt.drop_it();
        assert_eq!(bench.containers(true, "{{.State}}"), ["exited"]);
        bench.home.start();
        see_out(&bench, &job);
    });
}

#[test]
fn between_the_outcome_and_the_removal() {
    before_its_container_is_removed(Mode::Runner);
}

#[test]
fn between_the_outcome_and_the_removal_without_runner() {
    before_its_container_is_removed(Mode::Reduced);
}

/// The connection breaks at each request of a launch, before and after the engine has done it; the manager lives on.
fn connections_break(mode: Mode, points: &[(When, &str, &str)]) {
    for (when, method, part) in points {
        println!("{when:?} {method} {part}");
        with_proxy(mode, |mut bench, proxy| {
            let halt: Halt = proxy.stop_at(*when, method, part);
            bench.home.start();
            let job = bench.home.submit(&job());
            if *method == "DELETE" {
                bench.touch("go");
            }
            halt.reached();
            halt.drop_it();
            see_out(&bench, &job);
        });
    }
}

#[test]
fn a_launch_whose_connection_breaks_goes_on_under_its_number() {
    let points = [
        (When::Before, "POST", "/containers/create"),
        (When::After, "POST", "/containers/create"),
        (When::After, "POST", "/attach"),
        (When::Before, "POST", "/start"),
        (When::After, "POST", "/start"),
        (When::Before, "DELETE", "/containers/"),
    ];
    connections_break(Mode::Runner, &points);
}

#[test]
fn a_launch_whose_connection_breaks_goes_on_under_its_number_without_runner() {
    let points = [
        (When::After, "POST", "/containers/create"),
        (When::Before, "POST", "/start"),
        (When::After, "POST", "/start"),
        (When::After, "GET", "/logs?"),
        (When::After, "DELETE", "/containers/"),
    ];
    connections_break(Mode::Reduced, &points);
}

/// The store cannot be written to for a while: an end that was told then is told again.
#[test]
fn an_end_that_could_not_be_stored_is_told_again() {
    for mode in [Mode::Runner, Mode::Reduced] {
        let Some(engine) = docker::shared() else { return };
        let mut bench = Bench::new(engine, &engine.host(), 1, mode, "");
        bench.home.start();
        let job = bench.home.submit(&job());
        bench.home.until("it runs", || bench.listed(&job, "t").started.is_some() && bench.file("runs").exists());
        let database = rusqlite::Connection::open(bench.home.path().join("airx.db")).unwrap();
        database.execute_batch("BEGIN IMMEDIATE").unwrap();
        bench.touch("go");
        bench.home.until("it cannot be stored", || bench.log().contains("another process holds the database"));
        database.execute_batch("ROLLBACK").unwrap();
        see_out(&bench, &job);
    }
}
