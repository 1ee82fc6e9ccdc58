//! How a container is shut in, as the engine shows it and as it is seen from inside; and where secrets are not.

use std::process::Command;

use super::bench::{Bench, Mode};
use super::docker;

#[test]
fn a_container_may_do_nothing_that_it_need_not() {
    let Some(engine) = docker::shared() else { return };
    let more = ", network: none, user: \"1000:1000\", memory: 64m, pids: 99, cpus: 0.5, labels: { of: theirs }";
    let mut bench = Bench::new(engine, &engine.host(), 1, Mode::Runner, more);
    std::os::unix::fs::chown(bench.home.work(), Some(1000), Some(1000)).unwrap();
    open_the_way(&bench);
    bench.home.start();
    let job = bench.home.submit(
        "name: k\npool: box\ntasks:\n  - id: t\n    run: |\n      grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp|Uid):' /proc/self/status\n      \
         touch /etc/x 2>/dev/null || echo read-only\n      ls /sys/class/net\n      find / -xdev -type s 2>/dev/null | grep -v task\n      touch here-t1\n      \
         until [ -e go ]; do sleep 0.1; done\n",
    );
    bench.until_all_are_here(1);
    let seen = bench.engine.get(&format!("/containers/{}/json", bench.container()));
    let (host, config) = (&seen["HostConfig"], &seen["Config"]);
    assert_eq!(host["CapDrop"], serde_json::json!(["ALL"]));
    assert!(host["CapAdd"].as_array().is_none_or(Vec::is_empty), "{}", host["CapAdd"]);
    assert_eq!(host["SecurityOpt"], serde_json::json!(["no-new-privileges"]));
    assert_eq!((&host["ReadonlyRootfs"], &host["Privileged"]), (&true.into(), &false.into()));
    assert_eq!((&host["PidsLimit"], &host["Memory"], &host["MemorySwap"]), (&99.into(), &(64 << 20).into(), &(64 << 20).into()));
    assert_eq!((&host["NanoCpus"], &host["NetworkMode"]), (&500_000_000.into(), &"none".into()));
    assert_eq!((&host["AutoRemove"], &host["RestartPolicy"]["Name"]), (&false.into(), &"no".into()));
    assert_eq!((&host["IpcMode"], &host["PidMode"], &host["UsernsMode"]), (&"private".into(), &"".into(), &"".into()));
    assert_eq!(config["User"], "1000:1000");
    let labels = &config["Labels"];
    assert_eq!((&labels["airx.job"], &labels["airx.task"], &labels["of"]), (&job.as_str().into(), &"t".into(), &"theirs".into()));
    assert!(labels["airx.instance"].is_string() && labels["airx.attempt"].is_string() && labels["airx.machine"].is_string());
    let mounts = seen["Mounts"].as_array().unwrap();
    let sources: Vec<&str> = mounts.iter().filter_map(|mount| mount["Source"].as_str()).collect();
    println!("{sources:?}");
    for source in &sources {
        let holds = |name: &str| std::path::Path::new(source).join(name).exists() || source.ends_with(name);
        assert!(!holds("docker.sock") && !holds("control.sock") && !holds("control"), "{source}");
    }
    assert_eq!(sources.len(), 4, "program, attempt, task socket and workspace: {sources:?}");
    bench.touch("go");
    bench.home.until_over(&job);
    bench.assert_once(
        &job,
        "t",
        "Uid:\t1000\t1000\t1000\t1000\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\nread-only\nlo\n",
    );
    bench.until_nothing_is_left();
}

/// A temporary directory is its owner's alone, and the task is somebody else.
fn open_the_way(bench: &Bench) {
    use std::os::unix::fs::PermissionsExt;
    let top = bench.home.work().parent().unwrap().to_owned();
    std::fs::set_permissions(top, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Secrets of the job and of the pool reach the task, and no place where anybody would find them.
#[test]
fn secrets_are_in_the_task_and_nowhere_else() {
    let Some(engine) = docker::shared() else { return };
    let more = ", env: { OF_POOL: { from: \"env:POOL_SECRET\" } }";
    let mut bench = Bench::new(engine, &engine.host(), 1, Mode::Runner, more);
    let secret = |of: &str| format!("{of}-{:x}-cafe", std::process::id());
    let (of_job, of_pool) = (secret("job"), secret("pool"));
    bench.home.env.push(("JOB_SECRET".to_owned(), of_job.clone()));
    bench.home.env.push(("POOL_SECRET".to_owned(), of_pool.clone()));
    bench.home.start();
    let job = bench.home.submit(
        "name: k\npool: box\nenv: { OF_JOB: { from: \"env:JOB_SECRET\" } }\ntasks:\n  - id: t\n    run: |\n      \
         printf %s \"$OF_JOB $OF_POOL\" | sha256sum > digest; touch here-t1; until [ -e go ]; do sleep 0.1; done\n",
    );
    bench.until_all_are_here(1);
    let container = bench.container();
    let shown = bench.engine.ok(["inspect", &container]);
    let data = bench.engine.get("/info")["DockerRootDir"].as_str().unwrap().to_owned();
    let places = [bench.home.path().display().to_string(), format!("{data}/containers"), format!("{data}/volumes")];
    let run = bench.engine.socket().parent().unwrap().join("exec").display().to_string();
    for secret in [&of_job, &of_pool] {
        assert!(!shown.contains(secret.as_str()), "{shown}");
        let found = Command::new("grep").args(["-rlsaF", "-D", "skip", secret]).args(&places).arg(&run).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&found.stdout), "", "{secret}");
    }
    bench.touch("go");
    assert_eq!(bench.home.until_over(&job), "completed");
    use sha2::Digest;
    let digest: String = sha2::Sha256::digest(format!("{of_job} {of_pool}")).iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(bench.content("digest").starts_with(&digest));
    bench.until_nothing_is_left();
}
