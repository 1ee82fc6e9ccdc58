//! The job file as types, for its JSON Schema. Editors use the schema; the parser checks more than a schema can say.

mod approve;
mod claude;
mod results;
mod retry;
mod schedule;

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, schema_for};

use crate::model::spec::{OnFailure, Rule};

use approve::ApproveEntry;
use claude::{Budget, ClaudeEntry, RepeatFields};
use results::{ArtifactsEntry, ResultEntry};
use retry::Retry;
use schedule::ScheduleEntry;

/// The JSON Schema of a job file.
pub fn schema() -> Schema {
    schema_for!(Job)
}

/// A job for airx.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, title = "airx job")]
#[expect(dead_code, reason = "only its shape is used")]
struct Job {
    /// 1 to 100 letters, digits, `_` and `-`; each submission becomes NAME.N.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_-]{1,100}$"))]
    name: String,
    /// For people.
    description: Option<String>,
    /// The pool of tasks that name none; default `local`.
    pool: Option<String>,
    /// Directory of the tasks, relative to this file; default its own.
    workspace: Option<String>,
    /// Most attempts at once; default 1.
    #[schemars(range(min = 1, max = 10000))]
    max_parallel: Option<u32>,
    /// Jobs of higher priority get free slots first; default 0.
    #[schemars(range(min = -1000, max = 1000))]
    priority: Option<i32>,
    /// Most tasks that its running tasks may queue in all; by default 10,000 each, and 100,000 tasks in a job.
    #[schemars(range(min = 0, max = 100000))]
    max_added: Option<u32>,
    /// What a failed task does to the rest; default continue.
    on_failure: Option<OnFailure>,
    /// Parameters: NAME: VALUE, or NAME: { default, description }.
    params: Option<BTreeMap<String, Param>>,
    /// Environment of every task.
    env: Option<BTreeMap<String, EnvEntry>>,
    /// Variables taken from the submitter besides PATH, HOME, LANG and TZ.
    env_pass: Option<Vec<String>>,
    /// The most that its Claude runs may use together.
    budget: Option<Budget>,
    /// When it is to be submitted, again and again; without it, it is submitted at once.
    schedule: Option<ScheduleEntry>,
    /// The task whose result is that of the job, for a job that runs it as a child.
    result: Option<String>,
    /// For tasks that do not say otherwise.
    defaults: Option<Defaults>,
    /// The tasks.
    #[schemars(length(min = 1, max = 100000))]
    tasks: Vec<Task>,
    /// Tasks that run once all others are over, whatever became of them, also after a cancel.
    finally: Option<Vec<Task>>,
}

/// A parameter.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its shape is used")]
enum Param {
    /// With a description.
    Full(ParamFields),
    /// Its default alone.
    Plain(serde_json::Value),
}

/// A parameter with a description.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its shape is used")]
struct ParamFields {
    /// Its value when `-p` gives none.
    default: Option<serde_json::Value>,
    /// For people.
    description: Option<String>,
}

/// A variable.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its shape is used")]
enum EnvEntry {
    /// A template.
    Text(String),
    /// A number, written as it is.
    Number(f64),
    /// A boolean, written as it is.
    Boolean(bool),
    /// A secret.
    From(EnvFrom),
}

/// A secret by reference.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its shape is used")]
struct EnvFrom {
    /// env:NAME, file:PATH or command:LINE.
    #[schemars(regex(pattern = r"^(env|file|command):.+"))]
    from: String,
}

/// What tasks inherit.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its shape is used")]
struct Defaults {
    /// Longest run: 30m, 1h30m, 10s, 500ms, or seconds.
    timeout: Option<Duration>,
    /// Between TERM and KILL; default 10s.
    grace: Option<Duration>,
    /// Repeating what failed (not for Claude tasks).
    retry: Option<Retry>,
    /// Limits on what an attempt may use.
    resources: Option<Resources>,
    /// Most bytes of output: 1g, 512m; default 1g.
    output_limit: Option<Duration>,
}

/// A task.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its shape is used")]
struct Task {
    /// Unique in its job.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_-]{1,100}$"))]
    id: String,
    /// For people.
    description: Option<String>,
    /// Tasks that it waits for.
    needs: Option<OneOrMany>,
    /// What has to have become of them; default all_success (in `finally` all_done).
    rule: Option<Rule>,
    /// An expression over parameters and results; when it is false the task is skipped.
    #[serde(rename = "if")]
    when: Option<serde_json::Value>,
    /// One instance for each item: a list, or an expression whose value is one. The item is `item`, its place `index`.
    for_each: Option<ListOrExpression>,
    /// One instance for each combination of these lists; `item.NAME` is what it has of each.
    matrix: Option<BTreeMap<String, ListOrExpression>>,
    /// Most instances of for_each or matrix at once.
    #[schemars(range(min = 1, max = 10000))]
    max_parallel: Option<u32>,
    /// A shell script for `sh -c`.
    run: Option<String>,
    /// A program, run without a shell.
    command: Option<String>,
    /// Its arguments.
    args: Option<Vec<serde_json::Value>>,
    /// A Claude Code run.
    claude: Option<ClaudeEntry>,
    /// Another job file, run as a child job.
    job: Option<ChildEntry>,
    /// A person says whether the task completes: what is asked, or with who, until when, and what is shown.
    approve: Option<ApproveEntry>,
    /// Added to the job's environment.
    env: Option<BTreeMap<String, EnvEntry>>,
    /// Directory, relative to this file.
    workspace: Option<String>,
    /// Pool.
    pool: Option<String>,
    /// Longest run.
    timeout: Option<Duration>,
    /// Between TERM and KILL.
    grace: Option<Duration>,
    /// Repeating what failed.
    retry: Option<Retry>,
    /// Limits on what an attempt may use.
    resources: Option<Resources>,
    /// Most bytes of output.
    output_limit: Option<Duration>,
    /// A command that must exit 0 for the task to complete.
    accept: Option<Accept>,
    /// What becomes its result.
    result: Option<ResultEntry>,
    /// Files of the workspace that are kept with each attempt.
    artifacts: Option<ArtifactsEntry>,
    /// The most that its Claude runs may use, over all attempts.
    budget: Option<Budget>,
    /// Runs it again until a condition holds.
    repeat: Option<RepeatFields>,
    /// Of the ready tasks of this job those of higher priority start first; default 0.
    #[schemars(range(min = -1000, max = 1000))]
    priority: Option<i32>,
}

/// Another job file.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its shape is used")]
enum ChildEntry {
    /// Its path, relative to this file.
    File(String),
    /// With parameters.
    Full(ChildFields),
}

/// Another job file with parameters.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its shape is used")]
struct ChildFields {
    /// Its path, relative to this file.
    file: String,
    /// What its parameters are given. A text that is an expression alone has that one's value, as it is.
    params: Option<BTreeMap<String, serde_json::Value>>,
}

/// A list, or an expression whose value is one.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its shape is used")]
enum ListOrExpression {
    /// The items.
    List(Vec<serde_json::Value>),
    /// The expression.
    Expression(String),
}

/// One text or a list.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its shape is used")]
enum OneOrMany {
    /// One.
    One(String),
    /// Many.
    Many(Vec<String>),
}

/// A duration or size: text with a unit, or a number.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its shape is used")]
enum Duration {
    /// With a unit.
    Text(String),
    /// Seconds, or bytes.
    Number(u64),
}

/// Limits on what an attempt may use.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its shape is used")]
struct Resources {
    /// Bytes for the whole process tree: 512m, 2g.
    memory: Option<Duration>,
    /// Cores.
    cpus: Option<f64>,
    /// Processes and threads.
    pids: Option<u32>,
}

/// The gate: a shell script, or with its timeout.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its shape is used")]
enum Accept {
    /// The script.
    Run(String),
    /// With its timeout.
    Full(AcceptFields),
}

/// The gate with its timeout.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its shape is used")]
struct AcceptFields {
    /// The script.
    run: String,
    /// Longest run; default 10m.
    timeout: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::keys;
    use super::approve::ApproveFields;
    use super::claude::{BudgetFields, ClaudeFields, PermissionsFields, UntilFields};
    use super::results::{ArtifactFields, ArtifactsFields, ResultFields};
    use super::retry::{ClassFields, OnFields, RetryFields};
    use super::schedule::ScheduleFields;
    use super::*;

    const STORED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/job.schema.json");

    /// Run with AIRX_WRITE_SCHEMA=1 to write the file anew.
    #[test]
    fn the_schema_in_assets_is_the_one_of_the_types() {
        let text = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
        if std::env::var_os("AIRX_WRITE_SCHEMA").is_some() {
            std::fs::write(STORED, &text).unwrap();
        }
        let stored = std::fs::read_to_string(STORED).unwrap_or_default();
        assert!(stored == text, "assets/job.schema.json is stale: AIRX_WRITE_SCHEMA=1 cargo test the_schema_in_assets");
    }

    fn properties<T: JsonSchema>() -> BTreeSet<String> {
        let schema = serde_json::to_value(schema_for!(T)).unwrap();
        schema["properties"].as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn schema_and_parser_know_the_same_keys() {
        let known = |keys: keys::Keys| keys.known.iter().map(|key| (*key).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(properties::<Job>(), known(keys::JOB));
        assert_eq!(properties::<Task>(), known(keys::TASK));
        assert_eq!(properties::<Defaults>(), known(keys::DEFAULTS));
        assert_eq!(properties::<RetryFields>(), known(keys::RETRY));
        assert_eq!(properties::<ClassFields>(), known(keys::RETRY_CLASS));
        let classes = crate::model::spec::RETRY_CLASSES.iter().map(|(word, _)| (*word).to_owned());
        assert_eq!(properties::<OnFields>(), classes.chain(["exit".to_owned()]).collect());
        assert_eq!(properties::<Resources>(), known(keys::RESOURCES));
        assert_eq!(properties::<AcceptFields>(), known(keys::ACCEPT));
        assert_eq!(properties::<ApproveFields>(), known(keys::APPROVE));
        assert_eq!(properties::<ResultFields>(), known(keys::RESULT));
        assert_eq!(properties::<ArtifactsFields>(), known(keys::ARTIFACTS));
        assert_eq!(properties::<ArtifactFields>(), known(keys::ARTIFACT));
        assert_eq!(properties::<BudgetFields>(), known(keys::BUDGET));
        assert_eq!(properties::<RepeatFields>(), known(keys::REPEAT));
        assert_eq!(properties::<ScheduleFields>(), known(keys::SCHEDULE));
        assert_eq!(properties::<UntilFields>(), known(keys::UNTIL));
        assert_eq!(properties::<PermissionsFields>(), known(keys::PERMISSIONS));
        assert_eq!(properties::<ParamFields>(), known(keys::PARAM));
        assert_eq!(properties::<EnvFrom>(), known(keys::ENV_FROM));
        assert_eq!(properties::<ClaudeFields>(), known(keys::CLAUDE));
    }
}
