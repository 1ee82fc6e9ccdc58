//! Templates: `{{ expression }}` in a job file's strings. Only this form exists; `{%` and `{#` are ordinary text, since shell
//! scripts are full of them. A literal `{{` is written `{{ "{{" }}`.
//!
//! Names: `params.NAME`, `tasks.ID.result`, `tasks.ID.state`, `job.name`, `job.due`, of an instance `item` and `index`, of a task
//! with a gate `gate.output` and `gate.attempt`; minijinja's operators and filters. In shell strings a value never
//! becomes shell text: see `shell.rs`.

mod check;
mod parts;
#[cfg(test)]
mod scripts;
mod shell;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value};

pub use check::{Fault, Scope, check_expression, check_shell, check_text, named_tasks, names_gate, tasks_of};
use parts::{Part, split};
use shell::{Lexer, Place};

/// Longest value in the environment: Linux takes 128 KiB for name, `=`, value and NUL together (`MAX_ARG_STRLEN`).
const MAX_VALUE: usize = 128 * 1024 - 64;

/// Longest expression, in bytes: what is parsed recursively must not exhaust the stack.
const MAX_EXPRESSION: usize = 500;
/// Most that evaluating one expression may cost: instructions, and 64 bytes of data each.
const FUEL: u64 = 1_000_000;

/// Longest value as JSON, in bytes.
const MAX_RENDERED: usize = 16 << 20;

/// What expressions can see.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// The job's full name.
    pub job: String,
    /// The time that it was due, when it comes from a schedule.
    pub due: String,
    /// Parameters.
    pub params: BTreeMap<String, serde_json::Value>,
    /// Results by task.
    pub results: BTreeMap<String, serde_json::Value>,
    /// States of tasks, in words.
    pub states: BTreeMap<String, String>,
    /// The item of an instance, and its place.
    pub item: Option<(serde_json::Value, u32)>,
    /// Of a task with a gate: what that wrote when it failed last.
    pub gate: Option<GateView>,
}

/// A gate as expressions see it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GateView {
    /// The end of what it wrote; nothing when no attempt has failed at it.
    pub output: String,
    /// The attempt that failed at it.
    pub attempt: Option<u32>,
}

/// A shell template, rendered: a script, and the variables that carry the values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RenderedShell {
    /// For `sh -c`.
    pub script: String,
    /// To be set in the environment.
    pub vars: Vec<(String, String)>,
}

/// A template that cannot be rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RenderError {
    /// Which expression, and why.
    pub message: String,
}

/// The text with every expression replaced by its value.
///
/// # Errors
/// [`RenderError`] when an expression is wrong or names something that is not there.
pub fn render_text(text: &str, context: &Context) -> Result<String, RenderError> {
    let mut rendered = String::with_capacity(text.len());
    for part in split(text) {
        match part {
            Part::Text(text) => rendered.push_str(text),
            Part::Expression { source, .. } => rendered.push_str(&evaluate(source, context)?),
            Part::Open { .. } => return Err(unclosed()),
        }
    }
    Ok(rendered)
}

/// How a value is put into a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Insertion {
    /// As it is.
    Plain,
    /// Escaped, so that it can stand inside a JSON string.
    Json,
}

/// The text with every expression replaced by its value, for templates with names of their own.
///
/// # Errors
/// As [`render_text`].
pub fn render_names(text: &str, names: &[(&str, serde_json::Value)], insertion: Insertion) -> Result<String, RenderError> {
    let values = Value::from_pairs(names.iter().map(|(name, value)| (*name, Value::from(Serde(value)))));
    let mut rendered = String::with_capacity(text.len());
    for part in split(text) {
        match part {
            Part::Text(text) => rendered.push_str(text),
            Part::Expression { source, .. } => {
                let value = evaluate_with(source, values.clone())?;
                match insertion {
                    Insertion::Plain => rendered.push_str(&value),
                    Insertion::Json => {
                        let quoted = serde_json::Value::from(value).to_string();
                        rendered.push_str(&quoted[1..quoted.len() - 1]);
                    }
                }
            }
            Part::Open { .. } => return Err(unclosed()),
        }
    }
    Ok(rendered)
}

/// The script in which every expression is a reference to a variable; the variables are named from `first + 1` on.
///
/// # Errors
/// [`RenderError`] as for [`render_text`], when an expression stands where no reference can (in single quotes, say), and
/// when a value does not fit the environment.
pub fn render_shell(text: &str, context: &Context, first: usize) -> Result<RenderedShell, RenderError> {
    let mut rendered = RenderedShell::default();
    let mut lexer = Lexer::default();
    for part in split(text) {
        match part {
            Part::Text(text) => {
                lexer.feed(text);
                rendered.script.push_str(text);
            }
            Part::Expression { source, .. } => {
                let value = evaluate(source, context)?;
                let name = format!("AIRX_V{}", first + rendered.vars.len() + 1);
                let reference = match lexer.place() {
                    Place::Quote => format!("\"${{{name}}}\""),
                    Place::Bare => format!("${{{name}}}"),
                    Place::Refuse(doubt) => return Err(RenderError { message: format!("`{{{{ {source} }}}}` {}", doubt.why) }),
                };
                lexer.value();
                if value.contains('\0') || value.len() > MAX_VALUE {
                    let why = if value.contains('\0') { "holds a NUL byte" } else { "is longer than 128 KiB" };
                    return Err(RenderError {
                        message: format!(
                            "the value of `{{{{ {source} }}}}` {why}, which the environment cannot carry; write it to a file and pass its name"
                        ),
                    });
                }
                rendered.script.push_str(&reference);
                rendered.vars.push((name, value));
            }
            Part::Open { .. } => return Err(unclosed()),
        }
    }
    lexer.finish();
    match lexer.late() {
        Some(doubt) => Err(RenderError { message: format!("an expression {}", doubt.why) }),
        None => Ok(rendered),
    }
}

/// A text that renders to `text` itself.
pub fn escape(text: &str) -> String {
    text.replace("{{", parts::LITERAL)
}

fn unclosed() -> RenderError {
    RenderError { message: "`{{` without `}}`".to_owned() }
}

fn evaluate(source: &str, context: &Context) -> Result<String, RenderError> {
    evaluate_with(source, names(context))
}

/// The value of an expression that stands for itself, without `{{` and `}}`.
///
/// # Errors
/// As [`render_text`].
pub fn evaluate_value(source: &str, context: &Context) -> Result<serde_json::Value, RenderError> {
    value_of(source, names(context))
}

/// A value in which every text is a template: one that is an expression alone has that one's value, as it is.
///
/// # Errors
/// As [`render_text`].
pub fn render_value(value: &serde_json::Value, context: &Context) -> Result<serde_json::Value, RenderError> {
    use serde_json::Value as Json;
    Ok(match value {
        Json::String(text) => match split(text).as_slice() {
            [Part::Expression { source, .. }] => evaluate_value(source, context)?,
            _ => Json::String(render_text(text, context)?),
        },
        Json::Array(items) => Json::Array(items.iter().map(|item| render_value(item, context)).collect::<Result<_, _>>()?),
        Json::Object(entries) => {
            let rendered = entries.iter().map(|(name, value)| Ok((name.clone(), render_value(value, context)?)));
            Json::Object(rendered.collect::<Result<_, RenderError>>()?)
        }
        Json::Null | Json::Bool(_) | Json::Number(_) => value.clone(),
    })
}

fn evaluate_with(source: &str, names: Value) -> Result<String, RenderError> {
    value_of(source, names).map(|value| text_of(&value))
}

fn value_of(source: &str, names: Value) -> Result<serde_json::Value, RenderError> {
    let wrong = |error: minijinja::Error| RenderError {
        message: match error.kind() {
            minijinja::ErrorKind::OutOfFuel => {
                format!("`{{{{ {source} }}}}` takes more work or memory than an expression may; let a command do it")
            }
            _ => format!("`{{{{ {source} }}}}`: {}", reason(&error)),
        },
    };
    if source.len() > MAX_EXPRESSION {
        return Err(RenderError { message: format!("an expression has more than {MAX_EXPRESSION} bytes") });
    }
    let environment = environment();
    let rewritten = parts::with_brackets(source);
    let expression = environment.compile_expression(&rewritten).map_err(wrong)?;
    let value = expression.eval(names).map_err(wrong)?;
    if value.is_undefined() {
        return Err(RenderError { message: format!("`{{{{ {source} }}}}` is not defined") });
    }
    // Values may be lazy, so their size shows only when they are written.
    let mut json = Bounded(Vec::new());
    let is_written = serde_json::to_writer(&mut json, &value).is_ok();
    let value = serde_json::from_slice(&json.0).ok().filter(|_| is_written);
    value.ok_or_else(|| RenderError {
        message: format!("the value of `{{{{ {source} }}}}` is longer than {} MiB, or cannot be written", MAX_RENDERED >> 20),
    })
}

/// Takes up to [`MAX_RENDERED`] bytes.
struct Bounded(Vec<u8>);

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_RENDERED {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What an error says, without its place in an expression of one line.
fn reason(error: &minijinja::Error) -> String {
    error.detail().map_or_else(|| error.kind().to_string(), str::to_owned)
}

/// All names, as minijinja's values.
fn names(context: &Context) -> Value {
    let params = context.params.iter().map(|(name, value)| (name.clone(), Value::from(Serde(value))));
    let known: std::collections::BTreeSet<&String> = context.results.keys().chain(context.states.keys()).collect();
    let tasks = known.into_iter().map(|id| {
        let result = context.results.get(id).map(|result| ("result", Value::from(Serde(result))));
        let state = context.states.get(id).map(|state| ("state", Value::from(state.as_str())));
        (id.clone(), Value::from_pairs(result.into_iter().chain(state)))
    });
    let gate = context.gate.iter().map(|gate| {
        let of = [("output", Value::from(gate.output.as_str())), ("attempt", Value::from(Serde(gate.attempt)))];
        ("gate", Value::from_pairs(of))
    });
    let item = context.item.iter().flat_map(|(item, index)| [("item", Value::from(Serde(item))), ("index", Value::from(*index))]);
    Value::from_pairs(
        [
            ("params", Value::from_pairs(params)),
            ("tasks", Value::from_pairs(tasks)),
            ("job", Value::from_pairs([("name", context.job.as_str()), ("due", context.due.as_str())])),
        ]
        .into_iter()
        .chain(item)
        .chain(gate),
    )
}

fn environment<'a>() -> Environment<'a> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // A template is a name or two; what takes longer is a mistake, or mischief.
    environment.set_recursion_limit(50);
    // Fuel also pays for memory: a filter such as `indent(3000000000)` must not end the manager.
    environment.set_fuel(Some(FUEL));
    environment
}

/// How a value is written: text as it is, numbers and booleans as in JSON, nothing as nothing, a list of such things one a
/// line, everything else as JSON.
fn text_of(value: &serde_json::Value) -> String {
    use serde_json::Value as Json;
    match value {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        Json::Array(items) if items.iter().all(|item| !item.is_array() && !item.is_object()) => {
            items.iter().map(text_of).collect::<Vec<_>>().join("\n")
        }
        other => other.to_string(),
    }
}
