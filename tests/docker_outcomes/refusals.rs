//! Containers that are not made, or that the engine does not take.

use std::os::unix::fs::symlink;
use std::path::Path;

use super::bench::{Bench, Mode};
use super::docker;

/// The only outcome of a task in a pool with these keys.
fn refused(bench: &mut Bench, more: &str, task: &str) -> String {
    let host = bench.engine.host();
    bench.configure(&host, 1, Mode::Runner, more);
    bench.home.start();
    let job = bench.home.submit(&format!("name: k\npool: box\ntasks:\n  - {{ id: t, run: 'echo ran >> ran'{task} }}\n"));
    assert_eq!(bench.home.until_over(&job), "failed", "{more} {task}");
    let outcomes = bench.outcomes(&format!("{job}/t"));
    assert_eq!(outcomes.len(), 1, "{outcomes:?}");
    bench.until_nothing_is_left();
    bench.home.ok(["stop"]);
    bench.home.await_manager();
    println!("{more} {task}: {}", outcomes[0]);
    outcomes[0].clone()
}

fn mount(source: &Path) -> String {
    format!(", mounts: [{{ source: \"{}\", target: /there }}]", source.display())
}

#[test]
fn what_must_not_be_seen_is_not_mounted_by_whatever_way() {
    let Some(engine) = docker::shared() else { return };
    let mut bench = Bench::new(engine, &engine.host(), 1, Mode::Runner, "");
    let run = bench.home.path().parent().unwrap().join("run");
    let links = [
        ("to-engine", engine.socket()),
        ("to-engine-dir", engine.socket().parent().unwrap().to_owned()),
        ("to-root", "/".into()),
        ("to-root-of-process", "/proc/self/root".into()),
        ("to-home", bench.home.path()),
        ("to-run", run.clone()),
    ];
    for (name, target) in &links {
        symlink(target, bench.file(name)).unwrap();
    }
    let socket = "that is never mounted";
    for (source, why) in [
        (bench.file("to-engine"), socket),
        (bench.file("to-engine-dir"), socket),
        (bench.file("to-root"), socket),
        (bench.file("to-root-of-process"), socket),
        (run, socket),
        (bench.file("to-run"), socket),
        (bench.home.path(), "airx's own home"),
        (bench.home.path().join("jobs"), "airx's own home"),
        (bench.file("to-home/jobs"), "airx's own home"),
    ] {
        let said = refused(&mut bench, &mount(&source), "");
        assert!(said.contains(why), "{}: {said}", source.display());
    }
    for (workspace, why) in
        [("to-engine-dir", socket), ("to-root", socket), ("to-run", socket), ("to-home/jobs", "airx's own home")]
    {
        let said = refused(&mut bench, "", &format!(", workspace: {workspace}"));
        assert!(said.contains(why), "{workspace}: {said}");
    }
    assert!(!bench.file("ran").exists());
}

#[test]
fn what_the_engine_does_not_take_is_told_with_the_remedy() {
    let Some(engine) = docker::shared() else { return };
    let mut bench = Bench::new(engine, &engine.host(), 1, Mode::Runner, "");
    let missing = bench.file("missing");
    let cases = [
        (mount(&missing), "", vec!["mount refused", "missing"]),
        (", network: nowhere".to_owned(), "", vec!["nowhere", "docker network create"]),
        (", user: nobody-here".to_owned(), "", vec!["nobody-here", "UID:GID"]),
        (", override: { runtime: no-such-runtime }".to_owned(), "", vec!["no-such-runtime"]),
        (", override: { devices: [/dev/no-such-device] }".to_owned(), "", vec!["no-such-device"]),
    ];
    for (more, task, parts) in cases {
        let said = refused(&mut bench, &more, task);
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    }
    assert!(!bench.file("ran").exists());
}
