//! Whether tasks fit the pools that they are to run in, as far as the configuration tells it before any launch.

use std::collections::HashSet;

use super::credential::{LOGIN_STAYS, is_given};
use super::diagnostic::Diagnostic;
use super::docker::{DockerSettings, LEFT_OUTSIDE, NO_RUNNER, RUNNER_REMEDY, RunnerMode, RunnerNeeds};
use super::jobfile::{MAX_FAULTS, ParseOptions, Parsed, parse};
use super::settings::{PoolBackend, Settings};
use super::spec::{Action, ClaudeAuth, ClaudeSpec, EnvValue, JobSpec, TaskSpec};
use super::yaml::{self, Node, Value};

/// A task and its pool that do not go together.
struct Misfit {
    /// The key of the task that is at odds with the pool.
    key: &'static str,
    /// Whether it might work all the same.
    is_warning: bool,
    message: String,
    hint: &'static str,
}

/// Reads a job file, and compares its tasks with the pools of the configuration.
///
/// # Errors
/// The faults of the file; of one without any, the tasks that would be refused at their launch.
pub fn parse_fitting(text: &str, options: &ParseOptions<'_>, settings: &Settings) -> Result<Parsed, Vec<Diagnostic>> {
    let mut parsed = parse(text, options)?;
    let (mut faults, mut warnings) = (Vec::new(), Vec::new());
    let mut files = vec![(options.file, Some(text), &parsed.submission)];
    let mut seen: HashSet<&str> = HashSet::new();
    while let Some((file, text, submission)) = files.pop() {
        // One that is named several times is told of once.
        if !seen.insert(file) {
            continue;
        }
        for child in submission.tasks.iter().filter_map(TaskSpec::child) {
            let text = child.submission.job.source.as_ref().map(|source| source.text.as_str());
            files.push((&child.file, text, &child.submission));
        }
        let tasks = submission.tasks.iter().enumerate();
        let found = tasks
            .flat_map(|(index, task)| misfits(&submission.job, task, settings).into_iter().map(move |misfit| (index, misfit)));
        let found: Vec<(usize, Misfit)> = found.take(MAX_FAULTS).collect();
        let root = text.filter(|_| !found.is_empty()).and_then(|text| yaml::parse(text).root);
        for (index, misfit) in found {
            let id = &submission.tasks[index].id;
            let (line, column) = root.as_ref().and_then(|root| place(root, index, misfit.key)).unwrap_or((1, 1));
            let message = format!("task `{id}`: {}", misfit.message);
            let told = Diagnostic { file: file.to_owned(), line, column, message, hint: misfit.hint.to_owned() };
            if misfit.is_warning { warnings.push(told) } else { faults.push(told) }
        }
    }
    parsed.warnings.extend(warnings);
    if faults.is_empty() { Ok(parsed) } else { Err(faults) }
}

fn misfits(job: &JobSpec, task: &TaskSpec, settings: &Settings) -> Vec<Misfit> {
    let name = task.pool.as_deref().unwrap_or(&job.pool);
    let Some(PoolBackend::Docker(pool)) = settings.pools.get(name).map(|pool| &pool.backend) else { return Vec::new() };
    let claude = match &task.action {
        Action::Claude(claude) => Some(&**claude),
        Action::Run(_) | Action::Command { .. } | Action::Approve(_) => None,
        Action::Job(_) => return Vec::new(),
    };
    let mut misfits = Vec::new();
    let needs = RunnerNeeds {
        claude: claude.is_some(),
        accept: task.accept.is_some(),
        repeat: task.repeat.is_some(),
        silence: claude.is_some_and(|claude| claude.silence_ms.is_some()),
        artifacts: task.artifacts.is_some(),
        result_file: task.result.as_ref().is_some_and(|result| result.file.is_some()),
    };
    if pool.runner == RunnerMode::None
        && let Some(what) = needs.first()
    {
        let key = if needs.claude { "claude" } else { what };
        let message = format!("{what} needs the runner in its container, and `{name}` has none: {NO_RUNNER}");
        misfits.push(Misfit { key, is_warning: false, message, hint: RUNNER_REMEDY });
    }
    if let Some(claude) = claude {
        misfits.extend(credential(claude, job, task, pool, settings).then(|| Misfit {
            key: "claude",
            is_warning: false,
            message: format!("`{name}` is a pool of containers, and this run has no credential there"),
            hint: LOGIN_STAYS,
        }));
        misfits.extend((pool.network.as_deref() == Some("none")).then(|| Misfit {
            key: "claude",
            is_warning: true,
            message: format!("`{name}` has no network (network: none), and Claude reaches no model without one"),
            hint: "give the pool a network, or use another pool",
        }));
    }
    misfits
}

/// Whether a Claude run would have nothing to prove itself by: decided as at its launch, with what is known already.
fn credential(claude: &ClaudeSpec, job: &JobSpec, task: &TaskSpec, pool: &DockerSettings, settings: &Settings) -> bool {
    let variable = |name: &str| {
        let said = task.env.get(name).or_else(|| job.env.get(name)).or_else(|| pool.env.get(name));
        match said {
            Some(EnvValue::Text(text)) => Some(text.as_str()),
            // What it refers to is looked up at each launch.
            Some(EnvValue::From(_)) => Some("by reference"),
            None if LEFT_OUTSIDE.contains(&name) => None,
            None => job.claude_env.get(name).or_else(|| job.passed_env.get(name)).map(String::as_str),
        }
    };
    *claude.auth.as_ref().unwrap_or(&settings.claude.auth) == ClaudeAuth::Login && !is_given(variable)
}

/// Where a key of the task with this number stands in a file without faults.
fn place(root: &Node, index: usize, key: &str) -> Option<(u32, u32)> {
    let entry = |node: &Node, key: &str| match &node.value {
        Value::Map(entries) => entries.iter().find(|(name, _)| name.text() == Some(key)).cloned(),
        _ => None,
    };
    let (_, tasks) = entry(root, "tasks")?;
    let Value::List(items) = &tasks.value else { return None };
    let task = items.get(index)?;
    let at = entry(task, key).map_or((task.line, task.column), |(key, _)| (key.line, key.column));
    Some(at)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
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
        let tasks =
            "  - { id: a, run: \"true\" }\n  - { id: b, run: \"true\", accept: \"true\" }\n  - { id: c, claude: Hello }\n";
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
}
