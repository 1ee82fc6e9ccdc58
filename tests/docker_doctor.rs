//! `airx doctor` about pools of containers, through the built program and on real engines.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a failing test says so by a panic")]

#[path = "support/docker/mod.rs"]
mod docker;
#[path = "support/home.rs"]
mod home;

use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, Instant};

use docker::{BUSYBOX, FOREIGN, Options};
use home::{TestHome, text};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Check {
    name: String,
    verdict: String,
    found: String,
    remedy: String,
}

/// A home whose configuration has these pools.
fn with_pools(pools: &str) -> TestHome {
    let home = TestHome::new();
    configure(&home, pools);
    home
}

fn configure(home: &TestHome, pools: &str) {
    std::fs::create_dir_all(home.path()).unwrap();
    std::fs::write(home.path().join("config.yaml"), format!("pools:\n{pools}")).unwrap();
}

/// What the doctor says of containers.
fn examine(home: &TestHome) -> Vec<Check> {
    let output = home.run(["doctor", "-o", "json"]);
    let all: Vec<Check> = serde_json::from_slice(&output.stdout).unwrap_or_else(|why| panic!("{why}: {}", text(&output)));
    assert_eq!(output.status.code() == Some(1), all.iter().any(|check| check.verdict == "fail"), "{all:?}");
    all.into_iter().filter(|check| ["engine", "containers"].contains(&&*check.name) || check.name.starts_with("pool ")).collect()
}

fn the<'c>(checks: &'c [Check], name: &str, verdict: &str) -> &'c Check {
    let found = checks.iter().find(|check| check.name == name && check.verdict == verdict);
    found.unwrap_or_else(|| panic!("no {verdict} of {name}: {checks:#?}"))
}

#[test]
fn without_pools_of_containers_nothing_is_said_of_them() {
    assert!(examine(&with_pools("  local: { backend: process }\n")).is_empty());
}

#[test]
fn an_engine_that_cannot_be_reached_is_told_by_why() {
    let home = with_pools("");
    let socket = home.work().join("engine.sock");
    configure(&home, &format!("  box: {{ backend: docker, image: x, host: \"unix://{}\" }}\n", socket.display()));
    let missing = examine(&home);
    assert!(the(&missing, "engine", "fail").found.contains("there is no such socket"), "{missing:?}");
    assert!(the(&missing, "engine", "fail").remedy.contains("DOCKER_HOST"), "{missing:?}");

    let listener = UnixListener::bind(&socket).unwrap();
    let begun = Instant::now();
    assert!(the(&examine(&home), "engine", "fail").found.contains("does not answer within 5 s"));
    assert!(begun.elapsed() < Duration::from_secs(30), "it took {:?}", begun.elapsed());

    drop(listener);
    let refused = examine(&home);
    assert!(the(&refused, "engine", "fail").found.contains("nobody listens there"), "{refused:?}");
    assert!(the(&refused, "engine", "fail").remedy.contains("is it running?"), "{refused:?}");
    assert!(!home.path().join("manager.lock").exists(), "the doctor starts no manager");
}

#[test]
fn what_an_engine_has_and_lacks_is_told_pool_by_pool() {
    let Some(engine) = docker::shared() else { return };
    let pools = [
        ("good", format!("image: {BUSYBOX}, user: \"1000:1000\", network: none")),
        ("rooted", format!("image: {BUSYBOX}")),
        ("never", "image: airx-test/nowhere, pull: never".to_owned()),
        ("later", "image: registry.invalid/x, user: \"1000:1000\", network: none".to_owned()),
        ("other", format!("image: {FOREIGN}, user: \"1000:1000\"")),
        (
            "lost",
            format!(
                "image: {BUSYBOX}, network: airx-test-nowhere, mounts: [\"/airx-test/nowhere:/data\", \"airx-test-new:/new\"]"
            ),
        ),
    ];
    let line = |(name, keys): &(&str, String)| format!("  {name}: {{ backend: docker, host: \"{}\", {keys} }}\n", engine.host());
    let home = with_pools(&pools.iter().map(line).collect::<String>());
    let checks = examine(&home);

    let version = engine.get("/version")["Version"].as_str().unwrap().to_owned();
    let it = the(&checks, "engine", "ok");
    assert!(it.found.contains(&format!("Docker {version} (API 1.")) && it.found.contains(&engine.host()), "{it:?}");
    assert_eq!(checks.iter().filter(|check| check.name == "engine" && check.verdict == "ok").count(), 1, "{checks:#?}");
    let good = the(&checks, "pool good", "ok");
    assert!(good.found.contains(BUSYBOX) && good.found.contains("network none") && good.found.contains("user 1000:1000"));
    assert!(checks.iter().filter(|check| check.name == "pool good").count() == 1, "{checks:#?}");
    assert!(the(&checks, "pool rooted", "warn").found.contains("Claude runs are refused"));
    assert!(the(&checks, "pool never", "fail").remedy.contains("build -t airx-test/nowhere"));
    assert!(the(&checks, "pool later", "ok").found.contains("the first attempt pulls it"));
    assert!(the(&checks, "pool other", "warn").found.contains("linux/arm64"));
    let lost: Vec<&Check> = checks.iter().filter(|check| check.name == "pool lost" && check.verdict == "fail").collect();
    assert!(lost.len() == 2 && lost[0].remedy.contains("network create airx-test-nowhere"), "{lost:?}");
    assert!(lost[1].found.contains("/airx-test/nowhere"), "{lost:?}");
}

/// A container with a home's labels, as airx makes them.
fn labelled(engine: &docker::Engine, home: &Path, instance: &str, machine: &str) -> String {
    let labels = [
        format!("airx.instance={instance}"),
        format!("airx.home={}", home.display()),
        format!("airx.machine={machine}"),
        "airx.job=old.1".to_owned(),
        format!("airx.attempt={instance}-1-0-1"),
    ];
    let mut args: Vec<String> = ["run", "-d", "--network", "none"].map(str::to_owned).into();
    args.extend(labels.into_iter().flat_map(|label| ["--label".to_owned(), label]));
    args.extend([BUSYBOX, "sleep", "600"].map(str::to_owned));
    engine.ok(args).trim().to_owned()
}

fn ids(engine: &docker::Engine) -> Vec<String> {
    engine.ok(["ps", "-a", "-q", "--no-trunc"]).lines().map(str::to_owned).collect()
}

/// On an engine of its own: what it removes must not be another test's.
#[test]
fn what_homes_that_are_gone_have_left_is_told_and_removed_on_request_and_nothing_else() {
    let Some(mut engine) = docker::private(Options::default()) else { return };
    let pool = format!(
        "  box: {{ backend: docker, image: {BUSYBOX}, pull: never, user: \"1000:1000\", host: \"{}\" }}\n",
        engine.host()
    );
    let mut home = with_pools(&pool);
    home.start();
    let running = home.submit("{ name: mine, pool: box, tasks: [{ id: a, run: \"echo there; sleep 600\" }] }");
    home.until("its container runs", || !ids(&engine).is_empty() && home.job(&running).job.state.word() == "working");
    let mine = ids(&engine);

    // A home that was there and is removed while its container runs: made by airx itself.
    let gone = {
        let mut other = with_pools(&pool);
        other.start();
        other.submit("{ name: theirs, pool: box, tasks: [{ id: a, run: \"echo there; sleep 600\" }] }");
        other.until("its container runs", || engine.ok(["ps", "-q"]).lines().count() == 2);
        other.kill_manager();
        other.path()
    };
    assert!(!gone.exists(), "the home went with the test's directory");
    let machine = airx::os::machine();
    let left: Vec<String> = ids(&engine).into_iter().filter(|id| !mine.contains(id)).collect();
    let replaced = labelled(&engine, &home.path(), "0badc0de", &machine);
    let elsewhere = labelled(&engine, &gone, "0badc0de", "some-other-machine");
    let nobodys = engine.ok(["run", "-d", "--network", "none", BUSYBOX, "sleep", "600"]).trim().to_owned();
    let label = |name: &str, value: &str| ["--label".to_owned(), format!("airx.{name}={value}")];
    let mut volume: Vec<String> = ["volume", "create"].map(str::to_owned).into();
    let of_gone = [label("instance", "0badc0de"), label("home", &gone.display().to_string()), label("machine", &machine)];
    volume.extend(of_gone.into_iter().flatten());
    volume.push("airx-0badc0de-old.1-claude".to_owned());
    engine.ok(&volume);

    let checks = examine(&home);
    let told = the(&checks, "containers", "warn");
    assert!(told.found.contains("2 containers (2 running) and 1 volume are left of homes that are gone"), "{told:?}");
    assert!(told.found.contains(&gone.display().to_string()) && told.remedy.contains("--repair"), "{told:?}");
    assert!(the(&checks, "containers", "ok").found.contains("1 of other machines (some-other-machine)"), "{checks:?}");

    // The manager runs on: what is removed is none of its business.
    let repaired = home.ok(["doctor", "--repair"]);
    assert_eq!(repaired.matches("removed container").count(), 2, "{repaired}");
    assert!(repaired.contains("removed volume airx-0badc0de-old.1-claude") && repaired.contains("airx stop"), "{repaired}");
    let after = ids(&engine);
    assert!(!after.contains(&left[0]) && !after.contains(&replaced), "{after:?}");
    assert!(after.contains(&mine[0]) && after.contains(&elsewhere) && after.contains(&nobodys), "{after:?}");
    assert!(examine(&home).iter().all(|check| !check.found.contains("left of homes")));

    home.kill_manager();
    let checks = examine(&home);
    let own = the(&checks, "containers", "warn");
    assert!(own.found.contains("1 container (1 running) of this home, and no manager looks after"), "{own:?}");
    let repaired = home.ok(["doctor", "--repair"]);
    assert!(repaired.contains("the database is sound") && !repaired.contains("removed"), "{repaired}");
    assert!(ids(&engine).contains(&mine[0]), "its next manager takes it over");

    engine.stop();
    let stopped = examine(&home);
    assert_eq!(the(&stopped, "engine", "fail").name, "engine");
    let repaired = home.ok(["doctor", "--repair"]);
    assert!(repaired.contains("not looked at, since the engine cannot be reached"), "{repaired}");
}

/// Without any engine: the configuration tells it.
#[test]
fn what_would_be_refused_at_its_launch_is_told_at_submission() {
    let home = with_pools(concat!(
        "  box: { backend: docker, image: x, host: \"unix:///nowhere/docker.sock\" }\n",
        "  plain: { backend: docker, image: x, runner: none, host: \"unix:///nowhere/docker.sock\" }\n"
    ));
    let ask = "  - id: ask\n    claude: Hello\n";
    let gate = "  - id: gate\n    pool: plain\n    run: make\n    accept: test -e x\n";
    let job = format!("name: j\npool: box\ntasks:\n{ask}{gate}");
    let path = home.job_file("job.yaml", &job);
    for command in ["validate", "submit", "run"] {
        let output = home.run([command.as_ref(), path.as_os_str()]);
        let said = text(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(
            said.contains("job.yaml:5:5: task `ask`: `box` is a pool of containers") && said.contains("CLAUDE_CODE_OAUTH_TOKEN"),
            "{said}"
        );
        assert!(said.contains("job.yaml:9:5: task `gate`: accept needs the runner") && said.contains("2 faults"), "{said}");
    }
    assert!(!home.path().join("manager.lock").exists(), "nothing was started for it");
}
