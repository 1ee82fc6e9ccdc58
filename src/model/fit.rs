//! Whether tasks fit the pools that they are to run in, as far as the configuration tells it before any launch.

mod pods;

use std::collections::HashSet;

use super::credential::{LOGIN_STAYS, is_given};
use super::diagnostic::Diagnostic;
use super::docker::{LEFT_OUTSIDE, NO_RUNNER, RUNNER_REMEDY, RunnerMode, RunnerNeeds};
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

impl Misfit {
    fn fault(key: &'static str, message: String, hint: &'static str) -> Misfit {
        Misfit { key, is_warning: false, message, hint }
    }
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
    let Some(backend) = settings.pools.get(name).map(|pool| &pool.backend) else { return Vec::new() };
    let runner = match backend {
        PoolBackend::Process => return Vec::new(),
        PoolBackend::Docker(pool) => pool.runner,
        PoolBackend::Kubernetes(pool) => pool.runner,
    };
    let claude = match &task.action {
        Action::Claude(claude) => Some(&**claude),
        Action::Run(_) | Action::Command { .. } => None,
        Action::Approve(_) | Action::Job(_) => return Vec::new(),
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
    if runner == RunnerMode::None
        && let Some(what) = needs.first()
    {
        let key = if needs.claude { "claude" } else { what };
        let message = format!("{what} needs the runner in its container, and `{name}` has none: {NO_RUNNER}");
        misfits.push(Misfit::fault(key, message, RUNNER_REMEDY));
    }
    match backend {
        PoolBackend::Kubernetes(pool) => misfits.extend(pods::misfits(job, task, claude, (name, pool), settings)),
        PoolBackend::Docker(pool) => misfits.extend(claude.into_iter().flat_map(|claude| {
            let lacks = !has_credential(claude, job, task, settings, |variable| match pool.env.get(variable)? {
                EnvValue::Text(text) => Some(text.as_str()),
                EnvValue::From(_) => Some(BY_REFERENCE),
            });
            let message = format!("`{name}` is a pool of containers, and this run has no credential there");
            let lost = lacks.then(|| Misfit::fault("claude", message, LOGIN_STAYS));
            let cut_off = (pool.network.as_deref() == Some("none")).then(|| Misfit {
                key: "claude",
                is_warning: true,
                message: format!("`{name}` has no network (network: none), and Claude reaches no model without one"),
                hint: "give the pool a network, or use another pool",
            });
            lost.into_iter().chain(cut_off)
        })),
        PoolBackend::Process => {}
    }
    misfits
}

/// Stands for a value that is looked up at each launch.
const BY_REFERENCE: &str = "by reference";

/// Whether a Claude run would have something to prove itself by: decided as at its launch, with what is known already. `of_pool`
/// knows the pool's variables.
fn has_credential<'a>(
    claude: &ClaudeSpec,
    job: &'a JobSpec,
    task: &'a TaskSpec,
    settings: &Settings,
    of_pool: impl Fn(&str) -> Option<&'a str>,
) -> bool {
    let variable = |name: &str| match task.env.get(name).or_else(|| job.env.get(name)) {
        Some(EnvValue::Text(text)) => Some(text.as_str()),
        Some(EnvValue::From(_)) => Some(BY_REFERENCE),
        None => of_pool(name).or_else(|| {
            let passed = || job.claude_env.get(name).or_else(|| job.passed_env.get(name)).map(String::as_str);
            if LEFT_OUTSIDE.contains(&name) { None } else { passed() }
        }),
    };
    *claude.auth.as_ref().unwrap_or(&settings.claude.auth) != ClaudeAuth::Login || is_given(variable)
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
mod tests;
