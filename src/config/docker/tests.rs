use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::*;
use crate::config::load::Loaded;
use crate::config::load::tests::loaded;
use crate::config::pool::Kind;
use crate::model::docker::{Mount, Overrides};
use crate::model::settings::PoolBackend;
use crate::model::spec::{Resources, SecretRef};

/// Every key, with a value that is not its default.
const LINES: &[(&str, &str)] = &[
    ("backend", "docker"),
    ("slots", "4"),
    ("memory", "2g"),
    ("cpus", "1.5"),
    ("pids", "256"),
    ("image", "localhost/airx-runner"),
    ("host", "unix:///srv/engine/docker.socket"),
    ("pull", "always"),
    ("pull_deadline", "1h"),
    ("user", "1000:100"),
    ("workspace", "copy"),
    ("mounts", "[{ source: /srv/data, target: /data, read_only: true }, \"cargo:/cargo/\", \"/srv/x:/x:ro\", \"/srv/y:/y:rw\"]"),
    (
        "env",
        "{ LANG: C, EMPTY: , TOKEN: { from: \"env:X\" }, KEY: { from: \"file:~/key\" }, PASSWORD: { from: \"command:pass a\" } }",
    ),
    ("network", "none"),
    ("tmpfs", "[/cache, { target: /scratch, size: 512m }]"),
    ("read_only", "false"),
    ("init", "true"),
    ("labels", "{ team: a, token-budget: high, bare: }"),
    ("extra_hosts", "[\"db:10.0.0.2\", \"six:[fd00::1]\", \"engine:host-gateway\"]"),
    ("log_driver", "journald"),
    ("runner", "none"),
    (
        "override",
        "{ cap_add: [CAP_NET_RAW, KILL], devices: [/dev/kvm, \"/dev/a:/dev/b:r\"], runtime: runsc, shm_size: 64m, \
         ulimits: { nofile: 1024, core: { hard: -1, soft: 0 } }, dns: [10.0.0.53, \"fd00::53\"] }",
    ),
];

fn read<'a>(lines: impl Iterator<Item = &'a (&'a str, &'a str)>) -> Loaded {
    let lines: String = lines.map(|(key, value)| format!("    {key}: {value}\n")).collect();
    loaded(&format!("pools:\n  box:\n{lines}"))
}

/// A docker pool with these keys besides.
fn pool_with(keys: &str) -> Loaded {
    loaded(&format!("pools:\n  box: {{ backend: docker, image: alpine, {keys} }}\n"))
}

fn docker(loaded: &Loaded) -> Arc<DockerSettings> {
    assert_eq!(loaded.faults, []);
    match &loaded.settings.pools["box"].backend {
        PoolBackend::Docker(docker) => Arc::clone(docker),
        _ => panic!("not docker"),
    }
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn config_reads_all_of_a_docker_pool_in_any_order() {
    let mount = |source: &str, target: &str, read_only| Mount { source: source.to_owned(), target: target.into(), read_only };
    let expected = DockerSettings {
        host: Some("unix:///srv/engine/docker.socket".to_owned()),
        image: "localhost/airx-runner".to_owned(),
        pull: PullPolicy::Always,
        pull_deadline_ms: 3_600_000,
        user: Some("1000:100".to_owned()),
        workspace: WorkspaceMode::Copy,
        mounts: vec![
            mount("/srv/data", "/data", true),
            mount("cargo", "/cargo", false),
            mount("/srv/x", "/x", true),
            mount("/srv/y", "/y", false),
        ],
        env: BTreeMap::from([
            ("LANG".to_owned(), EnvValue::Text("C".to_owned())),
            ("EMPTY".to_owned(), EnvValue::Text(String::new())),
            ("TOKEN".to_owned(), EnvValue::From(SecretRef::Env("X".to_owned()))),
            ("KEY".to_owned(), EnvValue::From(SecretRef::File(PathBuf::from("~/key")))),
            ("PASSWORD".to_owned(), EnvValue::From(SecretRef::Command("pass a".to_owned()))),
        ]),
        network: Some("none".to_owned()),
        tmpfs: BTreeMap::from([("/cache".to_owned(), None), ("/scratch".to_owned(), Some(512 << 20))]),
        read_only: false,
        init: true,
        labels: [("team", "a"), ("token-budget", "high"), ("bare", "")].map(|(a, b)| (a.to_owned(), b.to_owned())).into(),
        extra_hosts: strings(&["db:10.0.0.2", "six:fd00::1", "engine:host-gateway"]),
        log_driver: Some("journald".to_owned()),
        runner: RunnerMode::None,
        overrides: Overrides {
            cap_add: strings(&["NET_RAW", "KILL"]),
            devices: strings(&["/dev/kvm", "/dev/a:/dev/b:r"]),
            runtime: Some("runsc".to_owned()),
            shm_size: Some(64 << 20),
            ulimits: BTreeMap::from([("nofile".to_owned(), (1024, 1024)), ("core".to_owned(), (0, -1))]),
            dns: strings(&["10.0.0.53", "fd00::53"]),
        },
    };
    for loaded in [read(LINES.iter()), read(LINES.iter().rev())] {
        assert_eq!(*docker(&loaded), expected);
        let pool = &loaded.settings.pools["box"];
        let resources = Resources { memory: Some(2 << 30), cpus: Some(1.5), pids: Some(256) };
        assert_eq!((pool.slots, &pool.resources), (4, &resources));
    }
}

#[test]
fn config_takes_no_key_of_a_docker_pool_without_reading_it() {
    assert_eq!(LINES.iter().map(|(key, _)| *key).collect::<Vec<_>>(), Kind::Docker.keys());
    let all = read(LINES.iter()).settings;
    for (left_out, _) in LINES {
        let loaded = read(LINES.iter().filter(|(key, _)| key != left_out));
        assert_ne!(loaded.settings.pools.get("box"), all.pools.get("box"), "{left_out}");
        assert_eq!(loaded.faults.is_empty(), !["backend", "image"].contains(left_out), "{left_out}");
    }
}

#[test]
fn config_has_defaults_for_all_but_the_image_and_short_forms() {
    assert_eq!(*docker(&loaded("pools: { box: { image: alpine, backend: docker } }\n")), DockerSettings::of("alpine"));
    let short = docker(&pool_with("tmpfs: { /scratch: 1g, /tmp: }, network: team_net, user: node, host: \"tcp://[::1]:2375\""));
    assert_eq!(short.tmpfs, BTreeMap::from([("/scratch".to_owned(), Some(1 << 30)), ("/tmp".to_owned(), None)]));
    assert_eq!((short.network.as_deref(), short.user.as_deref()), (Some("team_net"), Some("node")));
}

#[test]
fn config_of_the_readme_is_read_without_faults() {
    let readme = include_str!("../../../README.md");
    let example = readme.split("```yaml\n").find(|block| block.contains("backend: docker")).unwrap();
    let loaded = loaded(example.split("```").next().unwrap());
    assert_eq!((loaded.faults, loaded.settings.pools.len()), (Vec::new(), 2));
}

#[test]
fn config_keys_of_docker_mean_nothing_in_other_pools() {
    for (key, value) in LINES.iter().filter(|(key, _)| !Kind::Process.keys().contains(key)) {
        let owners = if Kind::Kubernetes.keys().contains(key) { "docker and kubernetes" } else { "docker" };
        for backend in ["", "backend: process, "] {
            let loaded = loaded(&format!("pools:\n  box: {{ {backend}slots: 3, {key}: {value} }}\n"));
            let fault = &loaded.faults[0];
            assert_eq!((fault.line, fault.column as usize), (2, 20 + backend.len()), "{key}");
            assert_eq!(fault.message, format!("`{key}` is a key of {owners} pools"));
            assert!(loaded.faults.len() == 1 && fault.hint.contains("backend: docker"));
            assert_eq!(loaded.settings.pools["box"].slots, 3);
        }
    }
    let wrong = loaded("pools:\n  box: { image: x, backend: podman, namespace: a, mounts: [], slots: 0 }\n");
    let told: Vec<&str> = wrong.faults.iter().map(|fault| fault.message.as_str()).collect();
    assert_eq!(told, ["there is no such backend", "this is no whole number within bounds"]);
    assert!(!wrong.settings.pools.contains_key("box"));
}

#[test]
fn config_puts_no_other_pool_in_the_place_of_one_that_cannot_be_used() {
    let broken = loaded("pools: { local: { backend: docker, image: Bad } }\n");
    assert!(!broken.settings.pools.contains_key("local"), "tasks that were to be shut in must not run on the machine");
    // One fault where a default could be the wrong engine or shut in less, and one where it cannot.
    for (keys, is_there) in
        [("network: host", false), ("workspace: cpoy", false), ("pull: sometimes", true), ("read_only: 1", true)]
    {
        assert_eq!(pool_with(keys).settings.pools.contains_key("box"), is_there, "{keys}");
    }
}

#[test]
fn config_never_mounts_the_socket_of_an_engine() {
    let sources = |host: &str, source: &str| {
        let loaded = pool_with(&format!("mounts: [{{ source: \"{source}\", target: /x }}]{host}"));
        let PoolBackend::Docker(docker) = &loaded.settings.pools["box"].backend else { panic!("not docker") };
        assert_eq!(docker.mounts.is_empty(), !loaded.faults.is_empty(), "{source}");
        loaded.faults.first().map(|fault| fault.message.clone())
    };
    let host = ", host: \"unix:///home/me/engine/api\"";
    for (host, source) in [
        ("", "/"),
        ("", "//"),
        ("", "/run"),
        ("", "/run/."),
        ("", "/var"),
        ("", "/var/run/"),
        ("", "/var//run/docker.sock"),
        ("", "/run/docker.sock"),
        ("", "/run/podman"),
        ("", "/var/run/podman/podman.sock"),
        ("", "/run/containerd"),
        ("", "/run/user/1000"),
        ("", "/run/user/1000/docker.sock"),
        ("", "/home/me/.docker/run/docker.sock"),
        ("", "/proc/1/root/run"),
        (host, "/home/me/engine/api"),
        (host, "/home/me"),
        (", host: \"unix:///var/run/mine/api\"", "/run/mine"),
    ] {
        let why = sources(host, source).expect(source);
        assert!(why.contains("the engine's socket is never mounted"), "{source}: {why}");
    }
    for (host, source) in [
        ("", "/home/me"),
        ("", "/run/user/1000/keyring"),
        ("", "/var/lib/x"),
        ("", "/running"),
        (host, "/home/me/engine/other"),
        ("", "cargo"),
    ] {
        assert_eq!(sources(host, source), None, "{source}");
    }
    for source in ["/srv/../run", "~/x", "./x", "x/y", "x", "", "-x", "/a:b"] {
        assert!(sources("", source).expect(source).contains("is no source of a mount"), "{source}");
    }
}

#[test]
fn config_never_quotes_a_secret() {
    let loaded = pool_with("env: { API_TOKEN: hunter2-hunter2, X: ghp_0123456789abcdef }, labels: { x: ghp_0123456789abcdef }");
    assert_eq!(loaded.faults.len(), 3);
    let PoolBackend::Docker(docker) = &loaded.settings.pools["box"].backend else { panic!("not docker") };
    assert!(docker.env.is_empty() && docker.labels.is_empty());
    let told = format!("{:?}", loaded.faults);
    assert!(!told.contains("hunter2") && !told.contains("0123456789abcdef"), "{told}");
}

#[test]
fn config_tells_each_fault_of_a_docker_pool_with_its_place_and_remedy() {
    let tell = |text: &str| -> String {
        let loaded = loaded(&format!("pools:\n  box: {{ backend: docker, {text} }}\n"));
        assert_ne!(loaded.faults, [], "{text}");
        let fate = if loaded.settings.pools.contains_key("box") { "" } else { " (no pool)" };
        loaded
            .faults
            .iter()
            .map(|fault| {
                assert!(!fault.hint.is_empty() || fault.message.contains(": write "), "no remedy: {text}");
                format!("{}:{} {} | {}{fate}\n", fault.line, fault.column, fault.message, fault.hint)
            })
            .collect()
    };
    let mut seen: String =
        ["slots: 2", "image: ", "image: Team/Runner", "image: a b", "image: a, nettwork: none, image: b"].map(tell).concat();
    for keys in [
        "host: /run/docker.sock",
        "host: \"ssh://me@box\"",
        "host: \"tcp://box\"",
        "host: \"tcp://box:0\"",
        "host: \"unix://run/docker.sock\"",
        "pull: allways",
        "pull: true",
        "pull_deadline: 0",
        "pull_deadline: 2d",
        "user: \"\"",
        "user: a b",
        "user: \"1000:\"",
        "workspace: mount",
        "mounts: /a:/b",
        "mounts: [/a, \"/a:/b:z\", { source: /a }, { target: /b }, { source: /a, target: /b, readonly: true }]",
        "mounts: [\"/run/docker.sock:/s\", \"/run:/r\", \"../a:/b\"]",
        "mounts: [\"/a:/b\", \"/c:/b/\", \"/a:b\", \"/a:/workspace/x\", \"/a:/airx\", \"/a:/\", \"/a:/proc/sys\", \"/a:/sys\", \"/a:/dev\"]",
        "mounts: [{ source: /a, target: /b, read_only: maybe }]",
        "env: [A]",
        "env: { 1A: x, AIRX_HOME: x, A: [x], B: \"{{ item }}\", C: { from: x }, D: { from: \"file:x\" }, E: 1, E: 2 }",
        "env: { TOKEN: abcdefgh }",
        "network: host",
        "network: \"container:db\"",
        "network: a b",
        "tmpfs: /a",
        "tmpfs: [a, { size: 1m }, { target: /a, size: 0 }, { target: /a, sise: 1m }, /workspace]",
        "tmpfs: { /a: lots, /b: 1m }, mounts: [\"v1:/b\"]",
        "read_only: no",
        "init: 1",
        "labels: { airx.job: x, \"a b\": x, a: [x] }",
        "extra_hosts: [db, \"db:x\", \":10.0.0.1\"]",
        "log_driver: syslog",
        "runner: ours",
        "override: { privileged: true, seccomp: unconfined, cap_ad: [KILL] }",
        "override: { cap_add: [ALL, NET_ADMN, x], devices: [kvm, \"/dev/a:/dev/b:x\"], shm_size: 0, dns: [ns] }",
        "override: { runtime: /bin/sh }",
        "override: { ulimits: { nofiles: 1, nproc: x, core: { soft: 1 }, cpu: { soft: 5, hard: 4 }, rss: -2 } }",
    ] {
        seen.push_str(&tell(&format!("image: a, {keys}")));
    }
    insta::with_settings!({ snapshot_path => "../../../snapshots", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("config_docker_faults", seen);
    });
}
