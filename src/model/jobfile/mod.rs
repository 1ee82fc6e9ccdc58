//! Job files: text in, a checked submission or all its faults out. Pure: files that a job file names are read by the caller.

mod approve;
mod artifacts;
mod checks;
mod child;
mod claude;
mod env;
mod graph;
mod keys;
mod original;
mod read;
mod repeat;
mod result;
mod retry;
mod schedule;
mod schema;
mod task;
#[cfg(test)]
mod tests;
mod upstream;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use super::diagnostic::Diagnostic;
use super::ids::is_name;
use super::schedule::Rule;
use super::spec::{JobSpec, MAX_SOURCE, MAX_TASKS, OnFailure, Source, Submission, TaskDefaults};
use super::yaml::{self, Node};

use child::{Shared, Trail};
pub use env::{looks_secret, wrong_variable};
pub use read::MAX_FAULTS;
use read::{Fields, Reader};
pub use schema::schema;

/// Largest job file, in bytes.
pub const MAX_FILE: usize = 8 << 20;

/// What a job file is read with.
pub struct ParseOptions<'a> {
    /// The file, as it is to be named in messages.
    pub file: &'a str,
    /// Absolute directory that its relative paths begin at.
    pub base: &'a Path,
    /// `-p NAME=VALUE`.
    pub params: &'a [(String, String)],
    /// The submitter's environment.
    pub environment: &'a BTreeMap<String, String>,
    /// Configured pools; none when that is not known.
    pub pools: Option<&'a BTreeSet<String>>,
    /// What Claude tasks take from the environment besides.
    pub claude_passed: &'a BTreeMap<String, String>,
    /// Reads a file that the job file names (`prompt_file`).
    pub read_file: &'a dyn Fn(&Path) -> Result<String, String>,
}

/// A job file without faults.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The job.
    pub submission: Submission,
    /// When it is to be submitted; none is at once.
    pub schedule: Option<Rule>,
    /// What a person should know all the same.
    pub warnings: Vec<Diagnostic>,
}

/// Reads a job file in YAML or JSON, or the original Air-Executor's JSON.
///
/// # Errors
/// Every fault that can be told at once, in the order of the file.
pub fn parse(text: &str, options: &ParseOptions<'_>) -> Result<Parsed, Vec<Diagnostic>> {
    let shared = Shared::default();
    parse_within(text, options, &Trail::root(options, &shared)).map(|(parsed, _)| parsed)
}

/// Reads a file among those that name it; with its parameters that have no value.
fn parse_within(text: &str, options: &ParseOptions<'_>, trail: &Trail<'_>) -> Result<(Parsed, Vec<String>), Vec<Diagnostic>> {
    let mut reader = Reader::new(text, options, trail);
    if text.len() > MAX_FILE {
        reader.fault_at(
            1,
            1,
            format!("the file has {} bytes, more than the 8 MiB a job file may have", text.len()),
            "split the job",
        );
        return Err(reader.finish());
    }
    let parsed = yaml::parse(text);
    for fault in &parsed.faults {
        reader.fault_at(fault.line, fault.column, fault.message.clone(), &fault.hint);
    }
    let Some(root) = parsed.root else {
        if reader.faults.is_empty() {
            reader.fault_at(1, 1, "the file is empty".to_owned(), "a job has a name and tasks: see `airx init` and the README");
        }
        return Err(reader.finish());
    };
    let is_original = original::is_original(&root);
    let submission = if is_original { original::job(&mut reader, &root) } else { job(&mut reader, &root) };
    let schedule = if is_original { None } else { schedule::of(&mut reader, &root) };
    if trail.given().is_some() {
        schedule::refuse(&mut reader, &root);
    }
    match submission {
        Some(mut submission) if reader.faults.is_empty() => {
            submission.job.source = (text.len() <= MAX_SOURCE).then(|| Source {
                text: text.to_owned(),
                file: options.file.to_owned(),
                base: options.base.to_owned(),
                params: options.params.to_vec(),
            });
            Ok((Parsed { submission, schedule, warnings: reader.warnings }, reader.missing))
        }
        _ => {
            if reader.faults.is_empty() {
                reader.fault(&root, "this is no job".to_owned(), "a job has a name and tasks");
            }
            Err(reader.finish())
        }
    }
}

fn job(reader: &mut Reader<'_>, root: &Node) -> Option<Submission> {
    let fields = reader.fields(root, "the job", keys::JOB)?;
    // What is wrong with the name hides nothing of what follows: the faults keep the job from being taken.
    let name = name(reader, root, &fields, "name", "a job").unwrap_or_default();
    let description = fields.get("description").and_then(|node| reader.text(node));
    let pool = pool(reader, fields.get("pool")).unwrap_or_else(|| "local".to_owned());
    let workspace = match fields.get("workspace") {
        Some(node) => workspace(reader, node),
        None => reader.options.base.to_owned(),
    };
    let max_parallel = fields.get("max_parallel").and_then(|node| reader.whole(node, 1, 10_000)).unwrap_or(1);
    let max_added = fields.get("max_added").and_then(|node| reader.whole(node, 0, MAX_TASKS as u64));
    let on_failure = match fields.get("on_failure") {
        Some(node) => reader.one_of(node, &[("continue", OnFailure::Continue), ("stop", OnFailure::Stop)]).unwrap_or_default(),
        None => OnFailure::Continue,
    };
    let params = params(reader, fields.get("params"));
    let env = fields.get("env").map(|node| env::env(reader, node)).unwrap_or_default();
    let passed_env = env::passed(reader, fields.get("env_pass"));
    let defaults = fields.get("defaults").map(|node| task::defaults(reader, node)).unwrap_or_default();
    let mut tasks = tasks(reader, root, &fields, &defaults);
    tasks.extend(fields.get("finally").map(|node| graph::finally(reader, node, &defaults)).unwrap_or_default());
    let spec = JobSpec {
        name,
        description,
        pool,
        workspace,
        max_parallel: u32::try_from(max_parallel).unwrap_or(1),
        priority: fields.get("priority").and_then(|node| reader.priority(node)).unwrap_or(0),
        max_added: max_added.and_then(|most| u32::try_from(most).ok()),
        on_failure,
        params,
        env: env.values,
        passed_env,
        claude_env: BTreeMap::new(),
        scheduled: None,
        result: fields.get("result").and_then(|node| reader.text(node)),
        source: None,
        budget: fields.get("budget").and_then(|node| repeat::budget(reader, node)),
        added_defaults: TaskDefaults { retry: defaults.retry.once(), ..defaults },
    };
    if reader.trail.count(tasks.len()).is_none() {
        too_many(reader, root);
    }
    checks::result(reader, fields.get("result"), &tasks);
    checks::all(reader, &spec, &env.places, &tasks);
    let specs: Vec<_> = tasks.into_iter().map(|task| task.spec).collect();
    Some(finish(reader, spec, specs))
}

fn too_many(reader: &mut Reader<'_>, at: &Node) {
    let message = format!("the job and its sub-flows have more than {MAX_TASKS} tasks in all");
    reader.fault(at, message, "split the job, or start some of it at run time");
}

/// What holds for both kinds of files.
fn finish(reader: &Reader<'_>, mut job: JobSpec, tasks: Vec<super::spec::TaskSpec>) -> Submission {
    if tasks.iter().any(|task| matches!(task.action, super::spec::Action::Claude(_))) {
        job.claude_env.clone_from(reader.options.claude_passed);
    }
    Submission { job, tasks }
}

fn name(reader: &mut Reader<'_>, at: &Node, fields: &Fields<'_>, key: &str, what: &str) -> Option<String> {
    let Some(node) = fields.get(key) else {
        reader.fault(at, format!("{what} needs `{key}`"), "use 1 to 100 letters, digits, `_` and `-`");
        return None;
    };
    let text = reader.text(node)?;
    if !is_name(&text) {
        let shown: String = text.chars().take(120).collect();
        reader.fault(node, format!("`{shown}` cannot be {what}'s {key}"), "use 1 to 100 letters, digits, `_` and `-`");
    }
    Some(text)
}

fn pool(reader: &mut Reader<'_>, node: Option<&Node>) -> Option<String> {
    let node = node?;
    let text = reader.text(node)?;
    if let Some(pools) = reader.options.pools.filter(|pools| !pools.contains(&text)) {
        let hint = match super::diagnostic::nearest(&text, pools.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the configuration has {}", pools.iter().cloned().collect::<Vec<_>>().join(", ")),
        };
        reader.fault(node, format!("there is no pool `{text}`"), &hint);
    }
    Some(text)
}

/// An absolute directory; whether it is there is seen at launch, since a task before may make it.
fn workspace(reader: &mut Reader<'_>, node: &Node) -> PathBuf {
    if matches!(node.value, yaml::Value::Map(_)) {
        reader.later(node, "a workspace from git, or a worktree,");
        return reader.options.base.to_owned();
    }
    let text = reader.text(node).unwrap_or_default();
    if text.is_empty() || text.contains('\0') {
        reader.fault(node, "the workspace is no directory".to_owned(), "name a directory, relative to this file");
    }
    reader.literal(node, "workspace");
    let mut path = PathBuf::new();
    for part in reader.options.base.join(text).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(path.pop()),
            other => path.push(other),
        }
    }
    path
}

/// A parameter as it is declared: its name, its key, its default.
type Declared<'n> = (String, &'n Node, Option<serde_json::Value>);

fn declared<'n>(reader: &mut Reader<'_>, node: Option<&'n Node>) -> Vec<Declared<'n>> {
    let mut declared = Vec::new();
    for (key, node) in node.map(|node| reader.entries(node, "params")).unwrap_or_default() {
        let Some(param) = reader.text(key) else { continue };
        if param.is_empty()
            || !param.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            || param.as_bytes()[0].is_ascii_digit()
        {
            reader.fault(
                key,
                format!("`{param}` cannot name a parameter"),
                "use letters, digits and `_`, not beginning with a digit",
            );
        }
        let default = if matches!(node.value, yaml::Value::Map(_)) {
            let Some(fields) = reader.fields(node, "a parameter", keys::PARAM) else { continue };
            fields.get("default").map(Node::to_json)
        } else {
            Some(node.to_json())
        };
        declared.push((param, key, default));
    }
    declared
}

/// The parameters of a file that another one names: what is known only at run time is null until then.
fn child_params(
    reader: &mut Reader<'_>,
    node: Option<&Node>,
    given: &BTreeMap<String, Option<serde_json::Value>>,
) -> BTreeMap<String, serde_json::Value> {
    let mut values = BTreeMap::new();
    for (param, _, default) in declared(reader, node) {
        let value = match given.get(&param) {
            Some(value) => value.clone(),
            None => {
                if default.is_none() {
                    reader.missing.push(param.clone());
                }
                default
            }
        };
        values.insert(param, value.unwrap_or_default());
    }
    values
}

fn params(reader: &mut Reader<'_>, node: Option<&Node>) -> BTreeMap<String, serde_json::Value> {
    let mut values = BTreeMap::new();
    if let Some(given) = reader.trail.given() {
        return child_params(reader, node, given);
    }
    let given: BTreeMap<&str, &str> = reader.options.params.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    for (param, key, default) in declared(reader, node) {
        match (given.get(param.as_str()), default) {
            // What is given on a command line is text, unless the default shows that it is something else.
            (Some(text), Some(default)) if !default.is_string() => {
                values.insert(param, serde_json::from_str(text).unwrap_or_else(|_| (*text).into()));
            }
            (Some(text), _) => drop(values.insert(param, (*text).into())),
            (None, Some(default)) => drop(values.insert(param, default)),
            (None, None) => {
                let hint = format!("give one: -p {param}=VALUE");
                reader.fault(key, format!("the parameter `{param}` has no default and no value"), &hint);
                values.insert(param, serde_json::Value::Null);
            }
        }
    }
    for param in given.keys().filter(|param| !values.contains_key(**param)) {
        let hint = match super::diagnostic::nearest(param, values.keys().map(String::as_str)) {
            Some(near) => format!("did you mean -p {near}=…?"),
            None => "declare it under `params`".to_owned(),
        };
        reader.faults.push(reader.diagnostic(1, 1, format!("-p {param}: the job has no such parameter"), &hint));
    }
    values
}

fn tasks(reader: &mut Reader<'_>, root: &Node, fields: &Fields<'_>, defaults: &TaskDefaults) -> Vec<task::Task> {
    let Some(node) = fields.get("tasks") else {
        reader.fault(root, "the job has no tasks".to_owned(), "add `tasks:` with at least one");
        return Vec::new();
    };
    let Some(items) = reader.list(node, "tasks") else { return Vec::new() };
    if items.is_empty() {
        reader.fault(node, "the job has no tasks".to_owned(), "add at least one: - { id: hello, run: echo hello }");
    }
    if items.len() > MAX_TASKS {
        reader.fault(&items[MAX_TASKS], format!("the job has {} tasks, more than 100,000", items.len()), "split the job");
        return Vec::new();
    }
    items.iter().filter_map(|item| task::task(reader, item, defaults)).collect()
}
