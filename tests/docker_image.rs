//! The image for pools of containers, as far as it can be judged without building it.
#![allow(clippy::unwrap_used, reason = "a failing test says so by a panic")]

const DOCKERFILE: &str = include_str!("../assets/docker/Dockerfile");

/// Instructions and what follows them, with continued lines joined.
fn instructions() -> Vec<(String, String)> {
    let lines = DOCKERFILE.lines().filter(|line| !line.trim_start().starts_with('#'));
    let joined = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let known = ["FROM", "ARG", "RUN", "COPY", "ENV", "WORKDIR", "USER", "CMD"];
    let split = |line: &str| {
        let (word, rest) = line.split_once(' ').unwrap();
        assert!(known.contains(&word), "an instruction that is not expected here: {line}");
        (word.to_owned(), rest.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    joined.lines().filter(|line| !line.trim().is_empty()).map(split).collect()
}

fn all(word: &str) -> Vec<String> {
    instructions().into_iter().filter(|(found, _)| found == word).map(|(_, rest)| rest).collect()
}

#[test]
fn the_cli_is_the_version_that_the_tests_pin() {
    let pinned = include_str!("support/claude/version").trim();
    assert_eq!(all("ARG"), [format!("CLAUDE_VERSION={pinned}")]);
    assert!(all("RUN")[0].contains("@anthropic-ai/claude-code@${CLAUDE_VERSION}"));
}

#[test]
fn nothing_comes_from_elsewhere_than_the_two_package_managers_and_no_secret_goes_in() {
    assert!(all("FROM").iter().all(|base| base.split(' ').next().is_some_and(|name| name.contains("bookworm"))));
    assert_eq!(all("COPY"), ["--from=cli /claude /usr/local/bin/claude"], "nothing of the directory it is built from");
    let runs = all("RUN").join(" ");
    assert!(!runs.contains("curl") && !runs.contains("wget") && !runs.contains("http"), "{runs}");
    let secrets = ["ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN", "TOKEN=", "KEY="];
    let said: String = instructions().into_iter().map(|(word, rest)| format!("{word} {rest}\n")).collect();
    assert!(secrets.iter().all(|secret| !said.contains(secret)), "{said}");
}

#[test]
fn it_is_nobodys_root_and_fits_a_pools_defaults() {
    let (last, user) = instructions().into_iter().rfind(|(word, _)| ["USER", "RUN", "COPY"].contains(&word.as_str())).unwrap();
    assert_eq!((last.as_str(), user.as_str()), ("USER", "1000:1000"));
    assert_eq!(all("ENV"), ["DISABLE_AUTOUPDATER=1 HOME=/tmp"]);
    assert_eq!(all("WORKDIR"), [airx::manager::ports::CONTAINER_WORKSPACE]);
    let installed = &all("RUN")[1];
    for package in ["bash", "ca-certificates", "git", "ripgrep"] {
        assert!(installed.contains(&format!(" {package} ")), "{package}: {installed}");
    }
}

/// What its head says is a pool that the configuration takes.
#[test]
fn the_pool_that_it_shows_is_one() {
    let shown = DOCKERFILE.lines().map_while(|line| line.strip_prefix('#')).skip_while(|line| !line.contains("pools:"));
    let yaml: Vec<&str> =
        shown.take_while(|line| !line.trim().is_empty()).map(|line| line.strip_prefix("     ").unwrap()).collect();
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("config.yaml");
    std::fs::write(&path, yaml.join("\n")).unwrap();
    let loaded = airx::config::load(&path);
    assert!(loaded.faults.is_empty(), "{:?}", loaded.faults);
    assert!(loaded.settings.pools.contains_key("sandbox"));
}
