//! `job:` of a task: another job file, read and checked with the one that names it.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::path::{Component, Path, PathBuf};

use serde_json::Value as Json;

use crate::model::diagnostic::{Diagnostic, nearest};
use crate::model::spec::{Action, MAX_NESTING, MAX_TASKS, SubJob, Submission};
use crate::model::yaml::{Node, Value};

use super::keys;
use super::read::{Fields, MAX_FAULTS, Reader};
use super::task::Task;
use super::{ParseOptions, Parsed};

/// Where a file stands among those that name each other.
pub(super) struct Trail<'a> {
    /// The files from the first one to this one: where each is, and how it is named.
    files: Vec<(PathBuf, String)>,
    /// What its parent gives its parameters, as far as that is known; none for a file that a person submits.
    given: Option<&'a BTreeMap<String, Option<Json>>>,
    shared: &'a Shared,
}

/// What is known of all files together.
#[derive(Default)]
pub(super) struct Shared {
    /// Tasks that were read, each as often as its file is named.
    tasks: RefCell<usize>,
    /// Files that were read with these parameters. One with faults has told them.
    read: RefCell<HashMap<(PathBuf, String), Known>>,
}

/// What became of a file.
#[derive(Clone)]
enum Known {
    Good(Box<Child>),
    Faulty(usize),
}

/// A child without faults.
#[derive(Clone)]
struct Child {
    submission: Submission,
    missing: Vec<String>,
    declared: Vec<String>,
}

impl<'a> Trail<'a> {
    /// For the file that a person submits.
    pub fn root(options: &ParseOptions<'_>, shared: &'a Shared) -> Trail<'a> {
        let name = Path::new(options.file).file_name().unwrap_or_default();
        Trail { files: vec![(options.base.join(name), options.file.to_owned())], given: None, shared }
    }

    /// What the file's parameters are given, when another file names it.
    pub fn given(&self) -> Option<&BTreeMap<String, Option<Json>>> {
        self.given
    }

    /// Counts the tasks of a file in; none when these are too many.
    pub fn count(&self, tasks: usize) -> Option<()> {
        let mut count = self.shared.tasks.borrow_mut();
        *count = count.saturating_add(tasks);
        (*count <= MAX_TASKS).then_some(())
    }
}

/// Reads `job:`.
pub(super) fn job(reader: &mut Reader<'_>, node: &Node, fields: &Fields<'_>, task: &mut Task) -> Option<Action> {
    for key in keys::OF_RUNS.iter().filter_map(|key| fields.key(key)) {
        let message = format!("`{}` belongs to a task that runs something itself", key.text().unwrap_or_default());
        let hint = match key.text() {
            Some("result") => "write `result: TASK` beside `name` in the file that is named: that task's result is this one's",
            _ => "take it out: the job file that is named says it for its own tasks",
        };
        reader.fault(key, message, hint);
    }
    let nothing = Vec::new();
    let (file, params) = match &node.value {
        Value::Map(_) => {
            let fields = reader.fields(node, "job", keys::CHILD)?;
            let Some(file) = fields.get("file").cloned() else {
                reader.fault(node, "job needs `file`".to_owned(), "write file: PATH, relative to this file");
                return None;
            };
            let params = fields.get("params").map(|node| reader.entries(node, "params"));
            let params = params.unwrap_or_default().into_iter().map(|(key, value)| (key.clone(), value.clone())).collect();
            (file, params)
        }
        _ => (node.clone(), nothing),
    };
    let given: Vec<(String, Node, Node)> =
        params.into_iter().filter_map(|(key, value)| Some((reader.text(&key)?, key, value))).collect();
    for (_, _, value) in &given {
        texts(value, &mut task.texts);
    }
    let named = reader.text(&file)?;
    if named.trim().is_empty() || named.contains("{{") {
        let why = if named.trim().is_empty() { "names no file" } else { "is read before anything runs: it holds no expression" };
        reader.fault(&file, format!("the job file {why}"), "write its path, relative to this file");
        return None;
    }
    let child = read(reader, &file, &named, &given)?;
    let values = given.into_iter().map(|(name, _, value)| (name, value.to_json())).collect();
    Some(Action::Job(Box::new(SubJob { file: shown(reader, &named), submission: child, params: values })))
}

/// The scalars of a value.
fn texts(node: &Node, found: &mut Vec<Node>) {
    match &node.value {
        Value::Map(entries) => entries.iter().for_each(|(_, value)| texts(value, found)),
        Value::List(items) => items.iter().for_each(|item| texts(item, found)),
        _ => found.push(node.clone()),
    }
}

fn has_expression(node: &Node) -> bool {
    let mut all = Vec::new();
    texts(node, &mut all);
    all.iter().any(|node| node.text().is_some_and(|text| text.contains("{{")))
}

/// How a file is named that this one names: from where this one is named from.
fn shown(reader: &Reader<'_>, named: &str) -> String {
    let directory = Path::new(reader.options.file).parent().unwrap_or_else(|| Path::new(""));
    normal(&directory.join(named)).display().to_string()
}

/// Without `.`, and without `..` where that is possible.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(normal.components().next_back(), Some(Component::Normal(_))) => drop(normal.pop()),
            other => normal.push(other),
        }
    }
    normal
}

/// The checked child; what is wrong with it is told with its own places, and here where it is named.
fn read(reader: &mut Reader<'_>, at: &Node, named: &str, given: &[(String, Node, Node)]) -> Option<Submission> {
    let (path, file) = (normal(&reader.options.base.join(named)), shown(reader, named));
    let trail = reader.trail;
    if let Some(from) = trail.files.iter().position(|(known, _)| *known == path) {
        let mut names: Vec<&str> = trail.files[from..].iter().map(|(_, name)| name.as_str()).collect();
        names.push(&file);
        let message = format!("the job files name each other in a circle: {}", names.join(" -> "));
        reader.fault(at, message, "take one of these `job` out");
        return None;
    }
    if trail.files.len() >= MAX_NESTING {
        reader.fault(
            at,
            format!("sub-flows are nested more than {MAX_NESTING} deep"),
            "put what the innermost ones do into one file",
        );
        return None;
    }
    let values: BTreeMap<String, Option<Json>> =
        given.iter().map(|(name, _, value)| (name.clone(), (!has_expression(value)).then(|| value.to_json()))).collect();
    let key = (path.clone(), serde_json::to_string(&values).unwrap_or_default());
    let known = trail.shared.read.borrow().get(&key).cloned();
    let known = match known {
        Some(Known::Good(child)) if trail.count(child.submission.all_tasks()).is_none() => None,
        Some(known) => Some(known),
        None => {
            let fresh = fresh(reader, at, &path, &file, &values)?;
            trail.shared.read.borrow_mut().insert(key, fresh.clone());
            Some(fresh)
        }
    };
    match known {
        Some(Known::Good(child)) => {
            params(reader, at, &file, &child, given);
            Some(child.submission)
        }
        Some(Known::Faulty(count)) => {
            let count = if count == 1 { "1 fault".to_owned() } else { format!("{count} faults") };
            reader.fault(at, format!("{file} has {count}"), "they are told with their places there");
            None
        }
        None => {
            super::too_many(reader, at);
            None
        }
    }
}

/// Reads a file that was not read with these parameters.
fn fresh(reader: &mut Reader<'_>, at: &Node, path: &Path, file: &str, given: &BTreeMap<String, Option<Json>>) -> Option<Known> {
    let text = match (reader.options.read_file)(path) {
        Ok(text) => text,
        Err(why) => {
            reader.fault(at, format!("the job file cannot be read: {why}"), "paths are relative to this file");
            return None;
        }
    };
    let options = ParseOptions { file, base: path.parent().unwrap_or(path), params: &[], ..*reader.options };
    let mut files = reader.trail.files.clone();
    files.push((path.to_owned(), file.to_owned()));
    let trail = Trail { files, given: Some(given), shared: reader.trail.shared };
    match super::parse_within(&text, &options, &trail) {
        Ok((Parsed { submission, warnings, .. }, missing)) => {
            reader.warnings.extend(warnings);
            let declared = submission.job.params.keys().cloned().collect();
            Some(Known::Good(Box::new(Child { submission, missing, declared })))
        }
        Err(faults) => {
            let count = faults.len();
            foreign(reader, faults);
            Some(Known::Faulty(count))
        }
    }
}

/// Faults of another file come behind those of this one.
fn foreign(reader: &mut Reader<'_>, faults: Vec<Diagnostic>) {
    // Where the file is named must have room too.
    let room = (MAX_FAULTS / 2).saturating_sub(reader.faults.len());
    reader.faults.extend(faults.into_iter().take(room));
}

/// What is given, compared with what the child has.
fn params(reader: &mut Reader<'_>, at: &Node, file: &str, child: &Child, given: &[(String, Node, Node)]) {
    for (name, key, _) in given.iter().filter(|(name, _, _)| !child.declared.contains(name)) {
        let hint = match nearest(name, child.declared.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None if child.declared.is_empty() => format!("{file} declares none (`params`)"),
            None => format!("it has {}", child.declared.join(", ")),
        };
        reader.fault(key, format!("{file} has no parameter `{name}`"), &hint);
    }
    for name in &child.missing {
        let hint = format!("give it one: job: {{ file: …, params: {{ {name}: … }} }}");
        reader.fault(at, format!("the parameter `{name}` of {file} has no default and no value"), &hint);
    }
}
