use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::config::load::Loaded;
use crate::config::load::tests::loaded;
use crate::config::pool::Kind;
use crate::model::docker::{PullPolicy, RunnerMode};
use crate::model::kubernetes::{PodEnv, PodVolume, PodWorkspace, VolumeSource};
use crate::model::settings::PoolBackend;
use crate::model::spec::Resources;

/// Every key, with a value that is not its default.
const LINES: &[(&str, &str)] = &[
    ("backend", "kubernetes"),
    ("slots", "100"),
    ("memory", "2g"),
    ("cpus", "1.5"),
    ("context", "\"arn:aws:eks:eu-1:1:cluster/prod\""),
    ("namespace", "airx"),
    ("image", "registry.example/airx-runner:1"),
    ("pull", "always"),
    ("pull_secrets", "[registry-login, other.login]"),
    ("template", "pod.yaml"),
    ("service_account", "airx-task"),
    ("node_selector", "{ kubernetes.io/arch: amd64, gpu: true }"),
    (
        "tolerations",
        "[{ key: dedicated, value: yes, effect: NoSchedule }, { operator: Exists, effect: NoExecute, tolerationSeconds: 60 }]",
    ),
    (
        "affinity",
        "{ nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: \
         [{ matchExpressions: [{ key: zone, operator: In, values: [a, \"1\"] }] }] } } }",
    ),
    ("priority_class", "low"),
    ("runtime_class", "gvisor"),
    ("requests", "{ cpu: 500m, memory: 256Mi, example.com/gpu: 1 }"),
    (
        "volumes",
        "[{ claim: data, target: /data/, path: a/b/ }, { secret: netrc, target: /etc/netrc }, \
         { config_map: settings, target: /etc/settings, read_only: false }, { empty: true, target: /cache }, \
         { empty: { size: 1g, memory: true }, target: /scratch, read_only: true }]",
    ),
    (
        "workspace",
        "{ git: \"https://example.com/a.git\", ref: main, depth: 1, image: registry.example/git:2, secret: git-login }",
    ),
    ("env", "{ LANG: C, EMPTY: , TOKEN: { secret: github, key: token }, MAX_OUTPUT_TOKENS: 32000 }"),
    ("schedule_deadline", "1h"),
    ("pull_deadline", "24h"),
    ("run_deadline", "30d"),
    ("grace", "1s"),
    ("labels", "{ team: a, example.com/token-budget: high, bare: }"),
    ("annotations", "{ example.com/owner: \"Ann, room 7\" }"),
    ("create_rate", "0.5"),
    ("user", "1000:100"),
    ("read_only", "false"),
    ("runner", "none"),
    ("runner_image", "registry.example/airx:1"),
    ("attach", "true"),
];
const POD: &str =
    "metadata: { labels: { team: b } }\nspec:\n  containers: [{ name: main }, { name: log, image: b, command: [x] }]\n";

/// A configuration with files beside it.
fn beside(text: &str, files: &[(&str, &str)]) -> Loaded {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.yaml");
    std::fs::write(&path, text).unwrap();
    for (name, text) in files {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    let mut loaded = crate::config::load(&path);
    let root = format!("{}/", directory.path().display());
    loaded.faults.iter_mut().for_each(|fault| fault.file = fault.file.replace(&root, ""));
    loaded
}

fn read<'a>(lines: impl Iterator<Item = &'a (&'a str, &'a str)>) -> Loaded {
    let lines: String = lines.map(|(key, value)| format!("    {key}: {value}\n")).collect();
    beside(&format!("pools:\n  box:\n{lines}"), &[("pod.yaml", POD)])
}

/// A kubernetes pool with these keys besides.
fn pool_with(keys: &str) -> Loaded {
    loaded(&format!("pools:\n  box: {{ backend: kubernetes, image: a, {keys} }}\n"))
}

fn pods(loaded: &Loaded) -> Arc<KubernetesSettings> {
    assert_eq!(loaded.faults, []);
    match &loaded.settings.pools["box"].backend {
        PoolBackend::Kubernetes(pods) => Arc::clone(pods),
        _ => panic!("not kubernetes"),
    }
}

fn texts<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn expected() -> KubernetesSettings {
    let volume = |source, target: &str, path: Option<&str>, read_only| PodVolume {
        source,
        target: target.into(),
        path: path.map(str::to_owned),
        read_only,
    };
    KubernetesSettings {
        context: some("arn:aws:eks:eu-1:1:cluster/prod"),
        namespace: some("airx"),
        image: "registry.example/airx-runner:1".to_owned(),
        pull: PullPolicy::Always,
        pull_secrets: vec!["registry-login".to_owned(), "other.login".to_owned()],
        template: Some(Arc::new(json!({
            "metadata": { "labels": { "team": "b" } },
            "spec": { "containers": [{ "name": "main" }, { "name": "log", "image": "b", "command": ["x"] }] },
        }))),
        service_account: some("airx-task"),
        node_selector: texts([("kubernetes.io/arch", "amd64"), ("gpu", "true")]),
        tolerations: vec![
            json!({ "key": "dedicated", "value": "yes", "effect": "NoSchedule" }),
            json!({ "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60 }),
        ],
        affinity: Some(json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms":
            [{ "matchExpressions": [{ "key": "zone", "operator": "In", "values": ["a", "1"] }] }] } } })),
        priority_class: some("low"),
        runtime_class: some("gvisor"),
        requests: texts([("cpu", "500m"), ("memory", "256Mi"), ("example.com/gpu", "1")]),
        volumes: vec![
            volume(VolumeSource::Claim("data".to_owned()), "/data", Some("a/b"), false),
            volume(VolumeSource::Secret("netrc".to_owned()), "/etc/netrc", None, true),
            volume(VolumeSource::ConfigMap("settings".to_owned()), "/etc/settings", None, false),
            volume(VolumeSource::Empty { bytes: None, memory: false }, "/cache", None, false),
            volume(VolumeSource::Empty { bytes: Some(1 << 30), memory: true }, "/scratch", None, true),
        ],
        workspace: PodWorkspace::Git {
            url: "https://example.com/a.git".to_owned(),
            reference: some("main"),
            image: "registry.example/git:2".to_owned(),
            depth: Some(1),
            secret: some("git-login"),
        },
        env: BTreeMap::from([
            ("LANG".to_owned(), PodEnv::Text("C".to_owned())),
            ("EMPTY".to_owned(), PodEnv::Text(String::new())),
            ("TOKEN".to_owned(), PodEnv::Secret { name: "github".to_owned(), key: "token".to_owned() }),
            ("MAX_OUTPUT_TOKENS".to_owned(), PodEnv::Text("32000".to_owned())),
        ]),
        schedule_deadline_ms: HOUR,
        pull_deadline_ms: DAY,
        run_deadline_ms: Some(30 * DAY),
        grace_ms: Some(1_000),
        labels: texts([("team", "a"), ("example.com/token-budget", "high"), ("bare", "")]),
        annotations: texts([("example.com/owner", "Ann, room 7")]),
        create_rate: 0.5,
        user: Some((1000, 100)),
        read_only: false,
        runner: RunnerMode::None,
        runner_image: some("registry.example/airx:1"),
        attach: true,
    }
}

#[test]
fn config_reads_all_of_a_kubernetes_pool_in_any_order() {
    for loaded in [read(LINES.iter()), read(LINES.iter().rev())] {
        assert_eq!(*pods(&loaded), expected());
        let pool = &loaded.settings.pools["box"];
        let resources = Resources { memory: Some(2 << 30), cpus: Some(1.5), pids: None };
        assert_eq!((pool.slots, &pool.resources), (100, &resources));
    }
}

#[test]
fn config_takes_no_key_of_a_kubernetes_pool_without_reading_it() {
    assert_eq!(LINES.iter().map(|(key, _)| *key).collect::<Vec<_>>(), Kind::Kubernetes.keys());
    let all = read(LINES.iter()).settings;
    for (left_out, _) in LINES {
        let loaded = read(LINES.iter().filter(|(key, _)| key != left_out));
        assert_ne!(loaded.settings.pools.get("box"), all.pools.get("box"), "{left_out}");
        assert_eq!(loaded.faults.is_empty(), !["backend", "image"].contains(left_out), "{left_out}");
    }
}

#[test]
fn config_has_defaults_for_all_of_a_kubernetes_pool_but_the_image_and_short_forms() {
    assert_eq!(*pods(&loaded("pools: { box: { image: a, backend: kubernetes } }\n")), KubernetesSettings::of("a"));
    let workspace = |text: &str| pods(&pool_with(&format!("workspace: {text}"))).workspace.clone();
    assert_eq!(workspace("empty"), PodWorkspace::Empty { bytes: None });
    assert_eq!(workspace("{ size: 10g }"), PodWorkspace::Empty { bytes: Some(10 << 30) });
    let claim = PodWorkspace::Claim { name: "repo".to_owned(), path: some("a/b") };
    assert_eq!(workspace("{ claim: repo, path: a/b }"), claim);
    let plain = PodWorkspace::Git {
        url: "git@example.com:a".to_owned(),
        reference: None,
        image: crate::model::kubernetes::DEFAULT_GIT_IMAGE.to_owned(),
        depth: None,
        secret: None,
    };
    assert_eq!(workspace("{ git: \"git@example.com:a\" }"), plain);
    for (user, ids) in [("image", None), ("1000", Some((1000, 1000))), ("\"0\"", Some((0, 0))), ("0:5", Some((0, 5)))] {
        assert_eq!(pods(&pool_with(&format!("user: {user}"))).user, ids, "{user}");
    }
    assert_eq!(pods(&pool_with("context: in-cluster")).context.as_deref(), Some(IN_CLUSTER));
}

#[test]
fn config_of_the_readme_has_kubernetes_pools_without_faults() {
    let readme = include_str!("../../../README.md");
    let examples: Vec<&str> = readme.split("```yaml\n").filter(|block| block.contains("backend: kubernetes\n")).collect();
    assert!(!examples.is_empty());
    for example in examples {
        let loaded = beside(example.split("```").next().unwrap(), &[("pod.yaml", POD)]);
        assert_eq!(loaded.faults, []);
        assert!(loaded.settings.pools.values().any(|pool| matches!(pool.backend, PoolBackend::Kubernetes(_))));
    }
}

#[test]
fn config_keys_of_other_pools_are_told_with_what_to_write_instead() {
    for key in Kind::Docker.keys().into_iter().filter(|key| !Kind::Kubernetes.keys().contains(key) && *key != "pids") {
        let loaded = pool_with(&format!("{key}: 1"));
        let fault = &loaded.faults[0];
        assert_eq!((loaded.faults.len(), fault.message.clone()), (1, format!("`{key}` is a key of docker pools")));
        assert_eq!(Some(fault.hint.as_str()), instead(key), "a key of containers has a counterpart, or a reason");
    }
    let pids = pool_with("pids: 5");
    assert!(pids.faults.len() == 1 && pids.faults[0].message.contains("Kubernetes has no such limit for a pod"));
    assert_eq!(pids.settings.pools["box"].resources, Resources::default());
    for key in Kind::Kubernetes.keys().into_iter().filter(|key| !Kind::Docker.keys().contains(key)) {
        for (backend, image) in [("process", ""), ("docker", "image: a, ")] {
            let loaded = loaded(&format!("pools:\n  box: {{ backend: {backend}, {image}{key}: 1 }}\n"));
            assert_eq!(loaded.faults.len(), 1, "{key}");
            assert_eq!(loaded.faults[0].message, format!("`{key}` is a key of kubernetes pools"));
            assert!(loaded.faults[0].hint.contains("backend: kubernetes"));
            assert!(loaded.settings.pools.contains_key("box"));
        }
    }
}

#[test]
fn config_leaves_a_kubernetes_pool_out_when_its_tasks_could_be_elsewhere_or_less_shut_in() {
    let decisive = [
        "context",
        "namespace",
        "image",
        "template",
        "service_account",
        "node_selector",
        "tolerations",
        "affinity",
        "runtime_class",
        "volumes",
        "workspace",
        "user",
    ];
    for key in KEYS {
        let image = if *key == "image" { "" } else { "image: a, " };
        let loaded = loaded(&format!("pools:\n  local: {{ backend: kubernetes, {image}{key}: [[]] }}\n"));
        assert_ne!(loaded.faults, [], "{key}");
        let is_there = loaded.settings.pools.contains_key("local");
        assert_eq!(is_there, !decisive.contains(key), "{key}");
        let told = loaded.faults.iter().any(|fault| fault.hint.contains("the pool is left out"));
        assert!(is_there || told || ["node_selector", "affinity", "tolerations", "volumes"].contains(key), "{key}");
    }
}

#[test]
fn config_never_quotes_a_secret_of_a_kubernetes_pool() {
    let pod = "spec:\n  containers: [{ name: a, env: [{ name: TOKEN, value: hunter2-hunter2 }] }]\n  initContainers: [{ name: b, \
               env: [{ name: X, value: ghp_0123456789abcdef }, { name: PASSWORD, value: $(TOKEN) }] }]\n";
    let text = "pools:\n  box: { backend: kubernetes, image: a, env: { API_TOKEN: hunter2-hunter2, X: ghp_0123456789abcdef }, \
                labels: { x: ghp_0123456789abcdef }, annotations: { x: ghp_0123456789abcdef }, template: pod.yaml }\n";
    let loaded = beside(text, &[("pod.yaml", pod)]);
    let places: Vec<(&str, u32)> = loaded.faults.iter().map(|fault| (fault.file.as_str(), fault.line)).collect();
    let own = ("config.yaml", 2);
    assert_eq!(places, [own, own, own, own, ("pod.yaml", 2), ("pod.yaml", 3)]);
    let told = format!("{:?}", loaded.faults);
    assert!(!told.contains("hunter2") && !told.contains("0123456789abcdef"), "{told}");
}

#[test]
fn config_tells_faults_of_a_template_once_and_takes_none_that_has_too_many_to_keep() {
    let two = "pools:\n  a: { backend: kubernetes, image: a, template: pod.yaml }\n  b: { backend: kubernetes, image: a, template: pod.yaml }\n";
    let pod = "spec: { containers: [{ name: main, env: [{ name: AIRX_TOKEN, value: abcdefgh }] }], a: 1, a: 01 }\n";
    let one: String = two.lines().take(2).map(|line| format!("{line}\n")).collect();
    let of_one = beside(&one, &[("pod.yaml", pod)]).faults;
    assert_eq!((of_one.len(), &of_one), (4, &beside(two, &[("pod.yaml", pod)]).faults));
    let loaded = beside(two, &[("pod.yaml", "spec: { restartPolicy: Always }\n")]);
    assert_eq!(loaded.faults.len(), 1);
    assert!(loaded.faults[0].to_string().starts_with("pod.yaml:1:9: `restartPolicy` can only be Never"));
    assert_eq!(loaded.settings.pools.keys().collect::<Vec<_>>(), ["local"]);
    let many: String = (0..300).map(|number| format!("key{number}: 1\n")).collect();
    let loaded = beside(&format!("{two}{many}"), &[("pod.yaml", "spec: { restartPolicy: Always }\n")]);
    assert_eq!(loaded.settings.pools.keys().collect::<Vec<_>>(), ["local"]);
    // Those that are not kept decide as well.
    let many: String = (0..300).map(|number| format!("  x{number}: {{ slots: 0 }}\n")).collect();
    let loaded = beside(&format!("pools:\n{many}{}", &two[7..]), &[("pod.yaml", "spec: { restartPolicy: Always }\n")]);
    assert!(!loaded.settings.pools.contains_key("a") && !loaded.settings.pools.contains_key("b"));
}

#[test]
fn config_tells_each_fault_of_a_kubernetes_pool_with_its_place_and_remedy() {
    let tell = |text: &str| -> String {
        let loaded = loaded(&format!("pools:\n  box: {{ backend: kubernetes, {text} }}\n"));
        told(&loaded, text)
    };
    let mut seen: String = ["slots: 2", "image: ", "image: Team/Runner", "image: a, namespce: b"].map(tell).concat();
    for keys in [
        "context: \"\"",
        "context: \"a\\nb\"",
        "namespace: Airx",
        "namespace: a.b",
        "pull: ifNotPresent",
        "pull_secrets: [A, [x]]",
        "pull_secrets: login",
        "template: none.yaml",
        "template: [a]",
        "service_account: a_b",
        "priority_class: A",
        "runtime_class: \"\"",
        "node_selector: { \"a b\": x, b: \"x y\", c: [x], d: , e: 1, e: 2 }",
        "tolerations: { key: a }",
        "tolerations: [{ value: a }, { key: a, operator: Exists, value: b }, { key: a, effect: NoSchedul, operator: Equals }]",
        "tolerations: [{ key: a, effect: NoSchedule, tolerationSeconds: 5 }, { keys: a, tolerationSeconds: soon }, x]",
        "affinity: { nodeAffinty: {}, podAffinity: [a] }",
        "affinity: { podAffinity: { a: 1, a: 2, b: 0644 } }",
        "requests: { cpus!: 1, memory: 2g, cpu: lots, ephemeral-storage: 512m }",
        "volumes: { claim: a }",
        "volumes: [{ target: /a }, { claim: a }, { claim: a, secret: b, target: /b }, x, { claim: A_, target: /c }]",
        "volumes: [{ claim: a, target: / }, { claim: a, target: b }, { claim: a, target: /airx/x }, { claim: a, target: /workspace }]",
        "volumes: [{ claim: a, target: /a, path: ../b }, { claim: a, target: /a/, path: /b }, { claim: a, target: /b, readonly: true }]",
        "volumes: [{ empty: 1g, target: /a }, { empty: { size: 0, medium: Memory }, target: /b }, { empty: false, target: /c }]",
        "volumes: [{ secret: a, target: /a, read_only: maybe }]",
        "workspace: auto",
        "workspace: { git: \"https://x/y\", size: 1g }",
        "workspace: { size: 1g, claim: a }",
        "workspace: { size: 0 }",
        "workspace: { path: a }",
        "workspace: { claim: A, path: ../x }",
        "workspace: { git: \"http://x/y\", ref: --upload-pack=x, depth: 0, image: A, secret: B_ }",
        "workspace: { git: \"https://me:pass@x/y\" }",
        "env: { 1A: x, AIRX_ORDER_0: x, A: [x], B: \"{{ item }}\", C: { from: \"env:C\" }, E: 1, E: 2 }",
        "env: { TOKEN: abcdefgh }",
        "env: { A: { secret: B_, key: \"a b\" }, B: { secret: b }, C: { name: a, key: b } }",
        "schedule_deadline: 0",
        "pull_deadline: 25h",
        "run_deadline: 31d",
        "run_deadline: long",
        "grace: 0",
        "grace: 0ms",
        "grace: 2h",
        "labels: { airx.dev/job: x, app.kubernetes.io/managed-by: me, \"a b\": x, a: [x], b: \"x y\" }",
        "annotations: { airx.dev/job: x, \"a b\": x, a: [x] }",
        "create_rate: 0",
        "create_rate: 1001",
        "create_rate: fast",
        "user: node",
        "user: \"1000:\"",
        "user: -1",
        "user: 4294967295",
        "read_only: no",
        "runner: ours",
        "runner_image: A",
        "attach: yes",
        "pids: 5, mounts: [], network: none",
    ] {
        seen.push_str(&tell(&format!("image: a, {keys}")));
    }
    insta::with_settings!({ snapshot_path => "../../../snapshots", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("config_kubernetes_faults", seen);
    });
}

#[test]
fn config_tells_each_fault_of_a_template_with_its_place_and_remedy() {
    let tell = |pod: &str| -> String {
        let text = "pools:\n  box: { backend: kubernetes, image: a, volumes: [{ claim: b, target: /b }], template: pod.yaml }\n";
        told(&beside(text, &[("pod.yaml", pod)]), pod)
    };
    let seen: String = [
        "",
        "# nothing\n",
        "[a]",
        "{",
        "a: &x 1",
        "metadata: {}",
        "apiVersion: v2\nkind: PodTemplate\ntemplate: {}\nspec: {}",
        "metadata: { name: a, generateName: b, namespace: c, uid: d, labels: { airx.dev/x: y } }\nspec: {}",
        "metadata: x\nspec: x",
        "spec: { restartPolicy: Always, activeDeadlineSeconds: 5, terminationGracePeriodSeconds: 0 }",
        "spec: { containers: { name: main } }",
        "spec: { containers: [main], volumes: [{ name: airx-x }] }",
        "spec:\n  containers:\n    - { name: main, image: b, command: [a], args: [a], stdin: true, stdinOnce: true, tty: true }",
        "spec: { containers: [{ name: main, restartPolicy: Always, restartPolicyRules: [] }] }",
        "spec: { containers: [{ name: main, volumeMounts: [{ mountPath: /airx/x }, { mountPath: /workspace }, { mountPath: /b/ }] }] }",
        "spec: { containers: [{ name: main, env: [{ name: AIRX_HOME, value: x }, { name: API_KEY, value: abcdefgh }] }] }",
        "spec: { initContainers: [{ name: airx-git, env: { a: b } }] }",
        "spec: { volumes: [{ name: a, secret: { secretName: b, defaultMode: 0400 } }], a: 1, a: 2, [b]: 1 }\nspec: {}",
    ]
    .map(tell)
    .concat();
    insta::with_settings!({ snapshot_path => "../../../snapshots", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("config_template_faults", seen);
    });
}

#[test]
fn config_keeps_what_else_a_template_says() {
    let kept = |text: &str| {
        let text = text.to_owned();
        let config = "pools: { box: { backend: kubernetes, image: a, template: pod.yaml } }\n";
        pods(&beside(config, &[("pod.yaml", &text)])).template.as_deref().cloned().unwrap()
    };
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "annotations": { "a": "0644" } },
        "spec": {
            "restartPolicy": "Never",
            "hostAliases": [{ "ip": "10.0.0.1", "hostnames": ["db"] }],
            "containers": [{ "name": "main", "image": "a", "command": null, "securityContext": { "runAsNonRoot": true },
                "env": [{ "name": "TOKEN", "valueFrom": { "secretKeyRef": { "name": "a", "key": "b" } } }],
                "volumeMounts": [{ "name": "x", "mountPath": "/data" }] }],
            "volumes": [{ "name": "x", "secret": { "secretName": "b", "defaultMode": 256 } }],
        },
    });
    assert_eq!(kept(&pod.to_string()), pod);
    assert_eq!(kept("spec:\n  nodeName: a\n  priority: 5\n"), json!({ "spec": { "nodeName": "a", "priority": 5 } }));
}

/// The faults of a configuration, a line each, with what becomes of its pool.
fn told(loaded: &Loaded, text: &str) -> String {
    assert_ne!(loaded.faults, [], "{text}");
    let fate = if loaded.settings.pools.contains_key("box") { "" } else { " (no pool)" };
    let line = |fault: &crate::model::diagnostic::Diagnostic| {
        let is_yaml = fault.file == "pod.yaml";
        assert!(!fault.hint.is_empty() || fault.message.contains(": write "), "no remedy: {text}");
        let file = if is_yaml { "pod.yaml:" } else { "" };
        format!("{file}{}:{} {} | {}{fate}\n", fault.line, fault.column, fault.message, fault.hint)
    };
    loaded.faults.iter().map(line).collect()
}
