//! The tests' own Docker engines do what tests rely on, and leave nothing behind.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a failing test says so by a panic")]

#[path = "support/docker/mod.rs"]
mod docker;

use docker::Options;

#[test]
fn the_shared_engine_runs_what_its_images_hold() {
    let Some(engine) = docker::shared() else { return };
    let said = engine.ok(["run", "--rm", docker::BUSYBOX, "sh", "-c", "echo $((6 * 7)); id -un task; stat -c %a /tmp"]);
    assert_eq!(said, "42\ntask\n1777\n");
    let said = engine.ok([
        "run",
        "--rm",
        docker::TOOLS,
        "bash",
        "-c",
        "git init -q /tmp/a && git -C /tmp/a rev-parse --git-dir && echo ${BASH_VERSION:+bash}",
    ]);
    assert_eq!(said, ".git\nbash\n");
    assert_eq!(engine.get(&format!("/images/{}/json", docker::FOREIGN))["Architecture"], "arm64");
}

/// Killed with containers that run and that are paused, started again, and dropped while others run.
#[test]
fn a_private_engine_can_be_killed_and_leaves_nothing() {
    let Some(mut engine) = docker::private(Options { live_restore: true, tcp: true, ..Options::default() }) else { return };
    let (socket, key) = (engine.socket(), engine.socket().parent().unwrap().file_name().unwrap().to_owned());
    engine.ok(["run", "-d", "--name", "lasting", docker::BUSYBOX, "sleep", "300"]);
    engine.ok(["run", "-d", "--name", "paused", docker::BUSYBOX, "sleep", "300"]);
    engine.ok(["pause", "paused"]);
    let before = engine.pid();
    engine.kill();
    engine.start();
    assert_ne!(engine.pid(), before);
    let state = engine.get("/containers/lasting/json");
    assert_eq!(state["State"]["Running"], true, "it survived: {}", state["State"]);
    assert_eq!(engine.ok(["-H", &engine.tcp(), "ps", "-q"]).lines().count(), 2, "the second listener is there again");
    let data = engine.get("/info")["DockerRootDir"].as_str().unwrap().to_owned();
    assert!(mounts().contains(&data), "mounts of containers can be seen");
    engine.stop();
    drop(engine);

    let key = key.to_str().unwrap();
    assert!(!socket.exists());
    assert!(!mounts().contains(key) && !mounts().contains(&data) && !std::path::Path::new(&data).exists());
    let groups = std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten().map(|entry| entry.path().join(key));
    assert_eq!(groups.filter(|group| group.exists()).collect::<Vec<_>>(), Vec::<std::path::PathBuf>::new());
    let processes = std::fs::read_dir("/proc").unwrap().flatten().filter(|entry| {
        let told = |file| std::fs::read(entry.path().join(file)).unwrap_or_default();
        String::from_utf8_lossy(&told("cmdline")).contains(key) || String::from_utf8_lossy(&told("cgroup")).contains(key)
    });
    assert_eq!(processes.map(|entry| entry.file_name()).collect::<Vec<_>>(), Vec::<std::ffi::OsString>::new());
}

fn mounts() -> String {
    std::fs::read_to_string("/proc/self/mountinfo").unwrap()
}
