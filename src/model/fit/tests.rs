use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::model::docker::DockerSettings;
use crate::model::kubernetes::{KubernetesSettings, PodEnv};
use crate::model::settings::PoolSettings;
use crate::model::spec::{Resources, SecretRef};

/// The places and words of faults and warnings of a job with these tasks in the pool `box`.
fn judged(pool: DockerSettings, auth: ClaudeAuth, head: &str, tasks: &str) -> (Vec<String>, Vec<String>) {
    judged_in(PoolBackend::Docker(Arc::new(pool)), auth, head, tasks)
}

/// The faults of a job with these tasks in the pool of pods `box`.
fn in_pods(pool: KubernetesSettings, head: &str, tasks: &str) -> Vec<String> {
    let (faults, warnings) = judged_in(PoolBackend::Kubernetes(Arc::new(pool)), ClaudeAuth::Login, head, tasks);
    assert!(warnings.is_empty(), "{warnings:?}");
    faults
}

fn judged_in(backend: PoolBackend, auth: ClaudeAuth, head: &str, tasks: &str) -> (Vec<String>, Vec<String>) {
    let mut settings = Settings::default();
    settings.pools.insert("box".into(), PoolSettings { slots: 1, resources: Resources::default(), backend });
    settings.claude.auth = auth;
    let text = format!("name: j\npool: box\n{head}tasks:\n{tasks}");
    let environment = BTreeMap::from([("ANTHROPIC_API_KEY".to_owned(), "k".to_owned())]);
    let options = ParseOptions {
        file: "job.yaml",
        base: Path::new("/repo"),
        params: &[],
        environment: &environment,
        pools: Some(&BTreeSet::from(["box".to_owned(), "local".to_owned()])),
        claude_passed: &BTreeMap::from([("CLAUDE_CONFIG_DIR".to_owned(), "/home/ann/.claude".to_owned())]),
        read_file: &|_| Err(String::new()),
    };
    let shown = |all: Vec<Diagnostic>| all.iter().map(|it| format!("{}:{} {}", it.line, it.column, it.message)).collect();
    match parse_fitting(&text, &options, &settings) {
        Ok(parsed) => (Vec::new(), shown(parsed.warnings)),
        Err(faults) => (shown(faults), Vec::new()),
    }
}

const CLAUDE: &str = "  - id: a\n    claude: Hello\n";

#[test]
fn a_claude_run_in_a_container_needs_a_credential_that_is_not_a_login() {
    let with = |pool, head: &str, tasks: &str| judged(pool, ClaudeAuth::Login, head, tasks).0;
    let plain = || DockerSettings::of("x");
    let faults = with(plain(), "", CLAUDE);
    assert_eq!(faults, ["5:5 task `a`: `box` is a pool of containers, and this run has no credential there"]);
    let fine: &[String] = &[];
    assert_eq!(with(plain(), "", "  - { id: a, pool: local, claude: Hello }\n"), fine);
    assert_eq!(with(plain(), "", "  - { id: a, claude: { prompt: Hello, auth: \"env:KEY\" } }\n"), fine);
    assert_eq!(with(plain(), "env: { CLAUDE_CODE_OAUTH_TOKEN: { from: \"env:T\" } }\n", CLAUDE), fine);
    assert_eq!(with(plain(), "env: { CLAUDE_CODE_USE_BEDROCK: \"1\" }\n", CLAUDE), fine);
    assert_eq!(with(plain(), "env: { CLAUDE_CODE_USE_BEDROCK: \"0\" }\n", CLAUDE).len(), 1);
    let given = EnvValue::From(SecretRef::Env("T".into()));
    let pool = || DockerSettings { env: BTreeMap::from([("ANTHROPIC_API_KEY".into(), given.clone())]), ..plain() };
    assert_eq!(with(pool(), "", CLAUDE), fine);
    assert_eq!(with(pool(), "env: { ANTHROPIC_API_KEY: \"\" }\n", CLAUDE).len(), 1, "the job takes it away");
    assert!(judged(plain(), ClaudeAuth::Env("KEY".into()), "", CLAUDE).0.is_empty());
}

#[test]
fn what_needs_the_runner_is_told_where_the_pool_has_none() {
    let none = DockerSettings { runner: RunnerMode::None, ..DockerSettings::of("x") };
    let tasks = "  - { id: a, run: \"true\" }\n  - { id: b, run: \"true\", accept: \"true\" }\n  - { id: c, claude: Hello }\n";
    let (faults, _) = judged(none, ClaudeAuth::Env("KEY".into()), "", tasks);
    assert_eq!(
        faults,
        [
            "5:27 task `b`: accept needs the runner in its container, and `box` has none: the pool says runner: none",
            "6:14 task `c`: a Claude run needs the runner in its container, and `box` has none: the pool says runner: none",
        ]
    );
}

#[test]
fn what_the_runner_copies_is_refused_where_there_is_none() {
    let none = DockerSettings { runner: RunnerMode::None, ..DockerSettings::of("x") };
    let tasks = "  - { id: a, run: \"true\", artifacts: [x] }\n  - { id: b, run: \"true\", result: { kind: text, file: r } }\n\
                 \x20 - { id: c, run: \"true\", result: text }\n";
    let (faults, _) = judged(none, ClaudeAuth::Login, "", tasks);
    assert_eq!(
        faults,
        [
            "4:27 task `a`: artifacts needs the runner in its container, and `box` has none: the pool says runner: none",
            "5:27 task `b`: result needs the runner in its container, and `box` has none: the pool says runner: none",
        ]
    );
}

#[test]
fn a_claude_run_without_a_network_is_warned_of() {
    let none = DockerSettings { network: Some("none".into()), ..DockerSettings::of("x") };
    let (faults, warnings) = judged(none, ClaudeAuth::Env("KEY".into()), "", CLAUDE);
    assert!(
        faults.is_empty() && warnings.len() == 1 && warnings[0].contains("5:5 task `a`: `box` has no network"),
        "{warnings:?}"
    );
}

const NOTHING: &[String] = &[];

/// A pool of pods with these variables.
fn pods(env: &[(&str, PodEnv)]) -> KubernetesSettings {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    KubernetesSettings { env, ..KubernetesSettings::of("x") }
}

fn of_cluster() -> PodEnv {
    PodEnv::Secret { name: "claude".into(), key: "token".into() }
}

#[test]
fn a_secret_of_the_manager_does_not_get_into_a_pod() {
    let tasks = "  - id: a\n    run: \"true\"\n    env: { A: { from: \"env:A\" }, B: plain }\n  - { id: b, run: \"true\" }\n";
    let faults = in_pods(pods(&[]), "", tasks);
    assert_eq!(faults, ["6:5 task `a`: `box` is a pool of pods, and A is a secret of the manager's"]);
    let head = "env: { A: { from: \"file:/a\" } }\n";
    let of_job = in_pods(pods(&[]), head, "  - { id: b, run: \"true\" }\n  - { id: c, run: \"true\", pool: local }\n");
    assert_eq!(of_job, ["5:5 task `b`: `box` is a pool of pods, and A is a secret of the manager's"]);
    let text = format!("name: j\npool: box\n{head}tasks:\n  - {{ id: b, run: \"true\" }}\n");
    let mut settings = Settings::default();
    let backend = PoolBackend::Kubernetes(Arc::new(pods(&[])));
    settings.pools.insert("box".into(), PoolSettings { slots: 1, resources: Resources::default(), backend });
    let options = ParseOptions {
        file: "job.yaml",
        base: Path::new("/repo"),
        params: &[],
        environment: &BTreeMap::new(),
        pools: None,
        claude_passed: &BTreeMap::new(),
        read_file: &|_| Err(String::new()),
    };
    let faults = parse_fitting(&text, &options, &settings).unwrap_err();
    assert!(faults[0].hint.contains("NAME: { secret: my-secret, key: NAME }"), "{}", faults[0].hint);
}

#[test]
fn a_claude_run_in_a_pod_needs_a_credential_of_the_cluster() {
    let lacks = ["5:5 task `a`: `box` is a pool of pods, and this run has no credential there"];
    assert_eq!(in_pods(pods(&[]), "", CLAUDE), lacks);
    assert_eq!(in_pods(pods(&[("OTHER", of_cluster())]), "", CLAUDE), lacks);
    for name in ["CLAUDE_CODE_OAUTH_TOKEN", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"] {
        assert_eq!(in_pods(pods(&[(name, of_cluster())]), "", CLAUDE), NOTHING, "{name}");
    }
    assert_eq!(in_pods(pods(&[("CLAUDE_CODE_USE_BEDROCK", PodEnv::Text("1".into()))]), "", CLAUDE), NOTHING);
    assert_eq!(in_pods(pods(&[("CLAUDE_CODE_USE_BEDROCK", PodEnv::Text("0".into()))]), "", CLAUDE), lacks);
    assert_eq!(in_pods(pods(&[]), "env: { CLAUDE_CODE_USE_BEDROCK: \"1\" }\n", CLAUDE), NOTHING, "it is no secret");
    // A key of the manager's stays here; one of that name in the cluster takes its place.
    let by_key = "  - id: a\n    claude: { prompt: Hello, auth: \"env:KEY\" }\n";
    assert_eq!(in_pods(pods(&[]), "", by_key), lacks);
    assert_eq!(in_pods(pods(&[("CLAUDE_CODE_OAUTH_TOKEN", of_cluster())]), "", by_key), lacks);
    assert_eq!(in_pods(pods(&[("ANTHROPIC_API_KEY", of_cluster())]), "", by_key), NOTHING);
    assert_eq!(in_pods(pods(&[]), "", "  - { id: a, pool: local, claude: Hello }\n"), NOTHING);
}

#[test]
fn a_run_that_may_ask_needs_a_way_into_its_pod() {
    let asks = "  - id: a\n    claude: { prompt: Hello, permissions: ask }\n";
    let pool = || pods(&[("CLAUDE_CODE_OAUTH_TOKEN", of_cluster())]);
    assert_eq!(
        in_pods(pool(), "", asks),
        ["5:5 task `a`: it may ask for permissions, and `box` has no way to answer into its pods"]
    );
    assert_eq!(in_pods(KubernetesSettings { attach: true, ..pool() }, "", asks), NOTHING);
    assert_eq!(in_pods(pool(), "", CLAUDE), NOTHING);
}

#[test]
fn what_needs_the_runner_is_told_of_pods_without_one() {
    let none = || KubernetesSettings { runner: RunnerMode::None, ..pods(&[("CLAUDE_CODE_OAUTH_TOKEN", of_cluster())]) };
    let tasks = "  - { id: a, run: \"true\", result: text }\n  - { id: b, run: \"true\", accept: \"true\" }\n\
                 \x20 - { id: c, run: \"true\", artifacts: [x] }\n  - { id: d, claude: Hello }\n";
    let lacks = |place: &str, id: &str, what: &str| {
        format!("{place} task `{id}`: {what} needs the runner in its container, and `box` has none: the pool says runner: none")
    };
    assert_eq!(
        in_pods(none(), "", tasks),
        [lacks("5:27", "b", "accept"), lacks("6:27", "c", "artifacts"), lacks("7:14", "d", "a Claude run")]
    );
}
