//! What is wrong with a template, before anything runs.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::{Environment, ErrorKind};

use crate::model::diagnostic::nearest;

use super::parts::{Part, paths, split, with_brackets};
use super::shell::{Doubt, Lexer, Place};

/// What expressions may name.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Parameters.
    pub params: BTreeSet<String>,
    /// Tasks that this one needs, directly or not, and of those without a result what would give them one.
    pub upstream: BTreeMap<String, Option<String>>,
    /// All tasks of the job.
    pub tasks: BTreeSet<String>,
    /// Whether `item` and `index` are there, and the names that `item` is known to have, if it has any.
    pub item: Option<Option<BTreeSet<String>>>,
    /// Whether `gate` is there: the task has an `accept`.
    pub gate: bool,
    /// Values of parameters, as far as they are known: an expression of these alone is tried.
    pub values: BTreeMap<String, serde_json::Value>,
}

/// Something wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Byte in the text where the expression begins.
    pub offset: usize,
    /// What.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// Words of the expression language that are no names.
const WORDS: &[&str] = &["and", "or", "not", "if", "else", "in", "is", "true", "false", "none", "True", "False", "None"];

/// What is wrong with a text template.
pub fn check_text(text: &str, scope: &Scope) -> Vec<Fault> {
    check(text, scope, None)
}

/// What is wrong with a shell template.
pub fn check_shell(text: &str, scope: &Scope) -> Vec<Fault> {
    check(text, scope, Some(Lexer::default()))
}

/// The tasks that a template's expressions name, existing or not.
pub fn named_tasks(text: &str) -> BTreeSet<&str> {
    let expressions = split(text).into_iter().filter_map(|part| match part {
        Part::Expression { source, .. } => Some(source),
        _ => None,
    });
    expressions.flat_map(tasks_of).collect()
}

/// Whether an expression of the template names the gate.
pub fn names_gate(text: &str) -> bool {
    split(text).into_iter().any(|part| match part {
        Part::Expression { source, .. } => paths(source).iter().any(|path| path.parts.first() == Some(&"gate")),
        _ => false,
    })
}

/// The tasks that an expression names, existing or not.
pub fn tasks_of(source: &str) -> BTreeSet<&str> {
    paths(source)
        .into_iter()
        .filter_map(|path| match path.parts.as_slice() {
            ["tasks", id, ..] => Some(*id),
            _ => None,
        })
        .collect()
}

/// What is wrong with an expression that stands for itself, without `{{` and `}}`: an `if`, or a list to map over.
pub fn check_expression(source: &str, scope: &Scope) -> Option<Fault> {
    expression(source, scope).map(|(message, hint)| Fault { offset: 0, message, hint })
}

fn check(text: &str, scope: &Scope, mut lexer: Option<Lexer>) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut last = None;
    for part in split(text) {
        match part {
            Part::Text(text) => {
                if let Some(lexer) = &mut lexer {
                    lexer.feed(text);
                    faults.extend(too_late(lexer, last));
                }
            }
            Part::Open { offset } => faults.push(Fault {
                offset,
                message: "`{{` without `}}`".to_owned(),
                hint: format!("close it, or write {} for a literal `{{{{`", super::parts::LITERAL),
            }),
            Part::Expression { source, offset } => {
                faults.extend(expression(source, scope).map(|(message, hint)| Fault { offset, message, hint }));
                if let Some(lexer) = &mut lexer {
                    if let Place::Refuse(doubt) = lexer.place() {
                        faults.push(refused(source, offset, doubt));
                    }
                    lexer.value();
                    last = Some((source, offset));
                }
            }
        }
    }
    if let Some(lexer) = &mut lexer {
        lexer.finish();
        faults.extend(too_late(lexer, last));
    }
    faults
}

/// The fault of the last expression, when what follows it shows that it may not stand there.
fn too_late(lexer: &mut Lexer, last: Option<(&str, usize)>) -> Option<Fault> {
    let (doubt, (source, offset)) = (lexer.late()?, last?);
    Some(refused(source, offset, doubt))
}

fn refused(source: &str, offset: usize, doubt: Doubt) -> Fault {
    Fault { offset, message: format!("`{{{{ {source} }}}}` {}", doubt.why), hint: doubt.hint.to_owned() }
}

fn expression(source: &str, scope: &Scope) -> Option<(String, String)> {
    if source.len() > super::MAX_EXPRESSION {
        return Some((
            format!("the expression has more than {} bytes", super::MAX_EXPRESSION),
            "compute it in a task, and use that task's result".to_owned(),
        ));
    }
    let rewritten = with_brackets(source);
    let environment = super::environment();
    if let Err(error) = environment.compile_expression(&rewritten) {
        return Some((
            format!("`{{{{ {source} }}}}` is no expression: {}", super::reason(&error)),
            format!(
                "names are params.NAME, tasks.ID.result, job.name and job.due; a literal `{{{{` is written {}",
                super::parts::LITERAL
            ),
        ));
    }
    let (mut before, mut negated_test) = ("", false);
    let mut from = 0;
    for path in paths(source) {
        let between = source[from..path.range.start].trim_end();
        let after = source[path.range.end..].trim_start();
        from = path.range.end;
        let is_test = before == "is" || (negated_test && between.is_empty());
        let is_argument = after.starts_with('=') && !after.starts_with("==");
        let word = path.parts.first().copied().unwrap_or_default();
        negated_test = before == "is" && word == "not";
        before = word;
        let fault = match () {
            () if between.ends_with('|') => unknown(&environment, before, ErrorKind::UnknownFilter),
            () if WORDS.contains(&before) || is_argument || between.ends_with('.') => None,
            () if is_test => unknown(&environment, before, ErrorKind::UnknownTest),
            () if path.parts.len() > 1 && after.starts_with('(') => Some((
                format!("`{}` is called, but values have no methods", path.parts.join(".")),
                "use a filter: {{ params.x | upper }}".to_owned(),
            )),
            () => name(&path.parts, scope),
        };
        if fault.is_some() {
            return fault;
        }
    }
    tried(source, scope)
}

/// What is wrong with an expression of known values, found by evaluating it.
fn tried(source: &str, scope: &Scope) -> Option<(String, String)> {
    let paths = paths(source);
    let params = || paths.iter().filter(|path| path.parts.first() == Some(&"params"));
    let is_known = params().all(|path| path.parts.get(1).is_some_and(|name| scope.values.contains_key(*name)));
    if !is_known
        || params().next().is_none()
        || paths.iter().any(|path| matches!(path.parts.first(), Some(&("tasks" | "item" | "index" | "gate"))))
    {
        return None;
    }
    let named = params()
        .filter_map(|path| path.parts.get(1))
        .filter_map(|name| Some(((*name).to_owned(), scope.values.get(*name)?.clone())));
    let context = super::Context { job: "job.1".to_owned(), params: named.collect(), ..super::Context::default() };
    let error = super::evaluate(source, &context).err()?;
    Some((error.message, "see what the parameter holds; {{ params.x.y | default(\"…\") }} stands for what is missing".to_owned()))
}

/// Tells a filter or test that there is not, by trying it on a number: there is no other way to ask.
fn unknown(environment: &Environment<'_>, name: &str, kind: ErrorKind) -> Option<(String, String)> {
    let (what, probe) = match kind {
        ErrorKind::UnknownFilter => ("filter", format!("0 | {name}")),
        _ => ("test", format!("0 is {name}")),
    };
    let error = environment.compile_expression(&probe).and_then(|expression| expression.eval(())).err()?;
    if error.kind() != kind {
        return None;
    }
    let hint = match nearest(
        name,
        ["default", "first", "int", "join", "last", "length", "lines", "lower", "replace", "trim", "upper"],
    ) {
        Some(near) if what == "filter" => format!("did you mean `{near}`?"),
        _ => "the filters and tests are minijinja's: default, first, int, join, last, length, lines, replace, trim, upper, …"
            .to_owned(),
    };
    Some((format!("there is no {what} `{name}`"), hint))
}

fn name(parts: &[&str], scope: &Scope) -> Option<(String, String)> {
    match parts {
        ["params", param, ..] if scope.params.contains(*param) => None,
        ["params", param, ..] => Some((
            format!("there is no parameter `{param}`"),
            match nearest(param, scope.params.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `params.{near}`?"),
                None => format!("declare it: params: {{ {param}: {{ default: … }} }}"),
            },
        )),
        ["tasks", id, rest @ ..] => task(id, rest, scope),
        ["job", "name" | "due"] => None,
        ["job", ..] => {
            Some((format!("`{}` is not defined", parts.join(".")), "of the job there are `job.name` and `job.due`".to_owned()))
        }
        ["params" | "tasks"] => Some((
            format!("`{}` alone is no value", parts[0]),
            if parts[0] == "params" { "write params.NAME" } else { "write tasks.ID.result" }.to_owned(),
        )),
        ["item", rest @ ..] if scope.item.is_some() => item(rest, scope.item.as_ref().and_then(Option::as_ref)),
        ["index"] if scope.item.is_some() => None,
        ["item" | "index", ..] => Some((
            format!("`{}` is not defined", parts[0]),
            "a task with `for_each` or `matrix` has it, in what each instance does".to_owned(),
        )),
        ["gate", "output" | "attempt"] if scope.gate => None,
        ["gate", ..] if scope.gate => {
            Some((format!("`{}` is no value", parts.join(".")), "of the gate there are gate.output and gate.attempt".to_owned()))
        }
        ["gate", ..] => Some((
            format!("`{}` is not defined: there is no gate whose output it could be", parts.join(".")),
            "a task with `accept` has it, in what the task and its gate do".to_owned(),
        )),
        _ => Some((
            format!("`{}` is not defined", parts.join(".")),
            match nearest(parts.first().copied().unwrap_or_default(), ["params", "tasks", "job"]) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "names are params.NAME, tasks.ID.result, tasks.ID.state, job.name and job.due".to_owned(),
            },
        )),
    }
}

fn item(rest: &[&str], names: Option<&BTreeSet<String>>) -> Option<(String, String)> {
    let (names, name) = (names?, rest.first()?);
    (!names.contains(*name)).then(|| {
        let hint = match nearest(name, names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `item.{near}`?"),
            None => format!("the matrix has {}", names.iter().cloned().collect::<Vec<_>>().join(", ")),
        };
        (format!("the item has no `{name}`"), hint)
    })
}

fn task(id: &str, rest: &[&str], scope: &Scope) -> Option<(String, String)> {
    if !scope.tasks.contains(id) {
        let hint = match nearest(id, scope.tasks.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `tasks.{near}.result`?"),
            None => "name a task of this job".to_owned(),
        };
        return Some((format!("there is no task `{id}`"), hint));
    }
    match scope.upstream.get(id) {
        None => Some((
            format!("the result of `{id}` may not be there yet: nothing makes this task wait for it"),
            format!("add it: needs: [{id}]"),
        )),
        Some(_) if rest == ["state"] => None,
        Some(_) if rest.first() != Some(&"result") => {
            Some(("of a task there are its result and its state".to_owned(), format!("write tasks.{id}.result")))
        }
        Some(remedy) => Some((format!("the task `{id}` has no result"), remedy.clone()?)),
    }
}
