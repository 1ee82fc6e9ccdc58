//! Whatever dies between a manager and a cluster: every attempt has one outcome, every task ran once for each of its attempts, its
//! output is whole, and nothing is left behind.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a failing test says so by a panic")]

#[path = "support/kubernetes/bench.rs"]
mod bench;
#[path = "support/docker/mod.rs"]
mod docker;
#[path = "support/home.rs"]
mod home;
#[path = "support/kubernetes/mod.rs"]
mod kubernetes;
#[path = "support/kubernetes/real/mod.rs"]
mod real;
#[path = "support/runner_image.rs"]
mod runner_image;

#[path = "kubernetes_kills/connections.rs"]
mod connections;
#[path = "kubernetes_kills/managers.rs"]
mod managers;
#[path = "kubernetes_kills/others.rs"]
mod others;
#[path = "kubernetes_kills/servers.rs"]
mod servers;
#[path = "kubernetes_kills/storm.rs"]
mod storm;

use bench::{Bench, CLAIM, Mode};

/// A home whose pods really run, each a container of the tests' engine with the home's workspace; none where there is no engine.
fn site(mode: Mode, slots: u32) -> Option<Bench> {
    let bench = site_without_claim(mode, slots, docker::BUSYBOX)?;
    bench.claim();
    Some(bench)
}

/// The same with an image of one's own; its workspace is not there yet.
fn site_without_claim(mode: Mode, slots: u32, image: &str) -> Option<Bench> {
    let server = real::server()?;
    let runner = match mode {
        Mode::Runner => format!("runner_image: \"{}\"", runner_image::runner_image(engine())),
        Mode::Reduced => "runner: none".to_owned(),
    };
    let pool = format!("image: \"{image}\", pull: missing, workspace: {{ claim: {CLAIM} }}, {runner}");
    Some(Bench::new(server, slots, &pool))
}

fn engine() -> &'static docker::Engine {
    docker::shared().expect("pods run on it")
}

/// Prints as soon as it runs, and goes on to its end when its file `go` is there.
fn task(id: &str) -> String {
    format!(
        "  - id: {id}\n    run: 'echo $AIRX_ATTEMPT >> ran; i=1; while [ $i -le 200 ]; do echo line $i; i=$((i+1)); done; \
         touch runs-{id}; until [ -e go-{id} ]; do sleep 0.05; done; printf \"end of {id}\"; touch done-{id}'\n"
    )
}

fn job_of(ids: &[&str]) -> String {
    let tasks: String = ids.iter().map(|id| task(id)).collect();
    format!("name: k\npool: box\nmax_parallel: {}\ntasks:\n{tasks}", ids.len())
}

fn job() -> String {
    job_of(&["t"])
}

fn printed(id: &str) -> String {
    (1..=200).map(|n| format!("line {n}\n")).collect::<String>() + "end of " + id
}

/// Lets the task end, and looks at all that is true then.
fn see_out(bench: &Bench, job: &str) {
    bench.touch("go-t");
    assert_eq!(bench.home.until_over(job), "completed", "{:?}", bench.outcomes(&format!("{job}/t")));
    bench.assert_once(job, "t", &printed("t"));
    bench.until_nothing_is_left();
    bench.assert_each_ran_once(1);
    bench.assert_replay();
}

/// Both ways to run a pod: with our runner and without.
macro_rules! in_both_modes {
    ($($name:ident, $reduced:ident: $test:expr;)+) => {
        $(#[test]
        fn $name() {
            ($test)(crate::bench::Mode::Runner);
        }

        #[test]
        fn $reduced() {
            ($test)(crate::bench::Mode::Reduced);
        })+
    };
}
use in_both_modes;
