//! The original Air-Executor's JSON, accepted unchanged: `{"job": {"name", "description"}, "tasks": [{"id", "command",
//! "args", "dependencies"}]}`. Keys that begin with `_` are ignored. Strings are literal, and a failure stops the job.

use std::collections::BTreeMap;

use crate::model::spec::{Action, JobSpec, MAX_TASKS, OnFailure, Submission, TaskDefaults, TaskSpec};
use crate::model::template::escape;
use crate::model::yaml::{Node, Value};

use super::keys::Keys;
use super::read::Reader;
use super::task::Task;
use super::{checks, finish};

const FILE: Keys = Keys { known: &["job", "tasks"], later: &[] };
const JOB: Keys = Keys { known: &["name", "description"], later: &[] };
const TASK: Keys = Keys { known: &["id", "command", "args", "dependencies", "description", "name"], later: &[] };

/// Whether the file has the original's shape.
pub(super) fn is_original(root: &Node) -> bool {
    let Value::Map(entries) = &root.value else { return false };
    entries.iter().any(|(key, value)| key.text() == Some("job") && matches!(value.value, Value::Map(_)))
        && !entries.iter().any(|(key, _)| key.text() == Some("name"))
}

pub(super) fn job(reader: &mut Reader<'_>, root: &Node) -> Option<Submission> {
    let root = without_notes(root);
    let file = reader.fields(&root, "the file", FILE)?;
    let node = file.get("job")?;
    let fields = reader.fields(node, "the job", JOB)?;
    let name = super::name(reader, node, &fields, "name", "a job").unwrap_or_default();
    let description = fields.get("description").and_then(|node| reader.text(node));
    let Some(list) = file.get("tasks") else {
        reader.fault(&root, "the job has no tasks".to_owned(), "add \"tasks\": [...]");
        return None;
    };
    let items = reader.list(list, "tasks")?;
    if items.is_empty() || items.len() > MAX_TASKS {
        reader.fault(list, format!("the job has {} tasks", items.len()), "a job has 1 to 100,000 tasks");
    }
    let tasks: Vec<Task> = items.iter().take(MAX_TASKS).filter_map(|item| task(reader, item)).collect();
    let spec = JobSpec {
        name,
        description,
        pool: "local".to_owned(),
        workspace: reader.options.base.to_owned(),
        max_parallel: 1,
        priority: 0,
        max_added: None,
        on_failure: OnFailure::Stop,
        params: BTreeMap::new(),
        env: BTreeMap::new(),
        passed_env: super::env::passed(reader, None),
        claude_env: BTreeMap::new(),
        scheduled: None,
        result: None,
        source: None,
        budget: None,
        added_defaults: TaskDefaults::default(),
    };
    if reader.trail.count(tasks.len()).is_none() {
        super::too_many(reader, &root);
    }
    checks::all(reader, &spec, &[], &tasks);
    let tasks = tasks.into_iter().map(|task| task.spec).collect();
    Some(finish(reader, spec, tasks))
}

fn task(reader: &mut Reader<'_>, node: &Node) -> Option<Task> {
    let fields = reader.fields(node, "a task", TASK)?;
    let id = super::name(reader, node, &fields, "id", "a task").unwrap_or_default();
    let program = match fields.get("command") {
        Some(command) => {
            let program = reader.text(command);
            if program.as_ref().is_some_and(|program| program.trim().is_empty()) {
                reader.fault(command, "the command is empty".to_owned(), "name a program");
            }
            escape(&program.unwrap_or_default())
        }
        None => {
            reader.fault(node, "the task has no command".to_owned(), "add \"command\": \"PROGRAM\"");
            String::new()
        }
    };
    let args = fields.get("args").and_then(|node| reader.list(node, "args")).unwrap_or_default();
    let args = args.iter().filter_map(|arg| reader.text(arg)).map(|arg| escape(&arg)).collect();
    let needs = fields.get("dependencies").and_then(|node| reader.list(node, "dependencies")).unwrap_or_default();
    let pairs: Vec<(String, Node)> = needs.iter().filter_map(|node| Some((reader.text(node)?, node.clone()))).collect();
    let (ids, places) = pairs.into_iter().unzip();
    Some(Task {
        deciding: Default::default(),
        has_rule: false,
        spec: TaskSpec { needs: ids, ..TaskSpec::new(&id, Action::Command { program, args }) },
        node: Node { value: Value::Null, ..*node },
        id: fields.get("id").cloned(),
        needs: places,
        texts: Vec::new(),
        shells: Vec::new(),
    })
}

/// The tree without keys that begin with `_`.
fn without_notes(node: &Node) -> Node {
    let value = match &node.value {
        Value::Map(entries) => {
            let kept = entries.iter().filter(|(key, _)| !key.text().is_some_and(|text| text.starts_with('_')));
            Value::Map(kept.map(|(key, value)| (key.clone(), without_notes(value))).collect())
        }
        Value::List(items) => Value::List(items.iter().map(without_notes).collect()),
        other => other.clone(),
    };
    Node { line: node.line, column: node.column, value }
}
