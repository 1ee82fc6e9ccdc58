//! Images that are not there, not to be had, or of another machine.

use airx::model::state::{Outcome, TaskState};

use super::bench::{Bench, Mode};
use super::docker;
use super::registry::{Answers, registry};

const JOB: &str = "name: k\npool: box\ntasks:\n  - { id: t, run: echo never }\n";

fn bench(more: &str) -> Option<Bench> {
    let engine = docker::shared()?;
    let mut bench = Bench::new(engine, &engine.host(), 1, Mode::Runner, more);
    bench.home.start();
    Some(bench)
}

/// A task that cannot be launched, and never will be: its only outcome.
fn refused(more: &str) -> Option<String> {
    let bench = bench(more)?;
    let job = bench.home.submit(JOB);
    assert_eq!(bench.home.until_over(&job), "failed");
    let outcomes = bench.outcomes(&format!("{job}/t"));
    assert_eq!(outcomes.len(), 1, "{outcomes:?}");
    bench.until_nothing_is_left();
    Some(outcomes[0].clone())
}

/// A task that could not be launched and may be later: its first outcome. It is tried again though its own attempts are used up.
fn put_off(more: &str) -> Option<String> {
    let bench = bench(more)?;
    let job = bench.home.submit(JOB);
    bench.home.until("it waits for another try", || matches!(bench.listed(&job, "t").state, TaskState::Held { .. }));
    let first = bench.home.task(&format!("{job}/t")).attempts.remove(0).outcome;
    bench.home.ok(["cancel", &job]);
    assert_eq!(bench.home.until_over(&job), "cancelled");
    bench.until_nothing_is_left();
    match first {
        Some(Outcome::Unlaunchable { why, transient: true }) => Some(why),
        other => panic!("{other:?}"),
    }
}

fn says(why: Option<String>, parts: &[&str]) {
    let Some(why) = why else { return };
    println!("{why}");
    assert!(parts.iter().all(|part| why.contains(part)), "{why}");
}

#[test]
fn an_image_that_is_not_there_and_is_not_pulled() {
    says(refused(", image: nowhere/x, pull: never"), &["the engine has no image nowhere/x", "pull: never"]);
}

#[test]
fn a_registry_that_is_not_there() {
    says(put_off(", image: 127.0.0.1:1/x, pull: missing"), &["the pull of 127.0.0.1:1/x:latest failed", "connection refused"]);
}

#[test]
fn a_registry_that_refuses() {
    let image = format!("{}/x", registry(Answers::Denied));
    says(refused(&format!(", image: {image}, pull: missing")), &[&format!("pull of {image}:latest denied"), "docker login"]);
}

#[test]
fn a_registry_without_the_image() {
    let image = format!("{}/x:3", registry(Answers::Unknown));
    says(refused(&format!(", image: {image}, pull: missing")), &[&format!("no registry has the image {image}")]);
}

#[test]
fn a_pull_that_takes_too_long() {
    let image = format!("{}/x", registry(Answers::Never));
    says(put_off(&format!(", image: {image}, pull: missing, pull_deadline: 2s")), &["did not end within 2 s", "pull_deadline"]);
}

/// What it waits for is shown, and its cancelling is not held up.
#[test]
fn cancelled_while_its_image_is_pulled() {
    let image = format!("{}/x", registry(Answers::Never));
    let Some(bench) = bench(&format!(", image: {image}, pull: missing")) else { return };
    let job = bench.home.submit(JOB);
    bench.home.until("the pull is shown", || bench.home.ok(["tasks", &job]).contains(&format!("pulling {image}")));
    assert!(matches!(bench.listed(&job, "t").state, TaskState::Starting { .. }));
    let began = std::time::Instant::now();
    bench.home.ok(["cancel", &job]);
    assert_eq!(bench.home.until_over(&job), "cancelled");
    assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
    assert_eq!(bench.outcomes(&format!("{job}/t")), ["cancelled"]);
    bench.until_nothing_is_left();
}

/// An image of another architecture has no use for our runner: what needs it is refused, the rest says what it is without.
#[test]
fn an_image_of_another_architecture() {
    let Some(engine) = docker::shared() else { return };
    let mut bench = Bench::new(engine, &engine.host(), 1, Mode::Runner, &format!(", image: {}", docker::FOREIGN));
    bench.home.env.push(("LOGIN".to_owned(), "dummy".to_owned()));
    bench.home.start();
    let job = bench.home.submit(
        "name: k\npool: box\nenv: { CLAUDE_CODE_OAUTH_TOKEN: { from: \"env:LOGIN\" } }\ntasks:\n  - { id: plain, run: echo hello }\n  - { id: gated, run: echo never, accept: 'true' }\n  \
         - { id: claude, claude: { prompt: hello } }\n",
    );
    bench.home.until_over(&job);
    bench.assert_once(&job, "plain", "hello\n");
    assert!(bench.notes(&format!("{job}/plain")).contains("reduced mode, since the image is of linux/arm64"));
    assert!(bench.home.ok(["show", &format!("{job}/plain")]).contains("reduced mode"));
    for (task, what) in [("gated", "accept needs the runner"), ("claude", "a Claude run needs the runner")] {
        let outcomes = bench.outcomes(&format!("{job}/{task}"));
        assert!(outcomes.len() == 1 && outcomes[0].contains(what) && outcomes[0].contains("arm64"), "{outcomes:?}");
    }
    bench.until_nothing_is_left();
}
