use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::model::docker::DockerSettings;
use crate::model::settings::PoolSettings;
use crate::model::spec::{Resources, SecretRef};

/// The places and words of faults and warnings of a job with these tasks in the pool `box`.
fn judged(pool: DockerSettings, auth: ClaudeAuth, head: &str, tasks: &str) -> (Vec<String>, Vec<String>) {
    let mut settings = Settings::default();
    let backend = PoolBackend::Docker(Arc::new(pool));
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
