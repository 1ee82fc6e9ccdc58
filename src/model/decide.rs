//! What the expressions of a task's definition say once everything that it needs is over. Pure: the caller brings the values.

use std::collections::BTreeMap;

use serde_json::Value;

use super::spec::MAX_TASKS;
use super::spec::{Action, ApproveSpec, Items, SubJob, TaskSpec};
use super::template::{Context, evaluate_value, render_text, render_value};

/// What a task does.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// What its action says.
    Run,
    /// Nothing: its `if` is false.
    Skip,
    /// An instance for each of these.
    Map(Vec<Value>),
    /// A child job with these parameters.
    Delegate(BTreeMap<String, Value>),
    /// A person is asked.
    Ask {
        /// What.
        message: String,
        /// Longer text under it.
        show: Option<String>,
    },
    /// It cannot be told, and why.
    Fail(String),
}

/// Decides about a task; about an instance as far as its item says something.
pub fn decide(task: &TaskSpec, context: &Context) -> Decision {
    if context.item.is_some() {
        return act(&task.action, context);
    }
    match &task.when {
        None => {}
        Some(when) => match evaluate_value(when, context) {
            Ok(value) if is_true(&value) => {}
            Ok(_) => return Decision::Skip,
            Err(error) => return Decision::Fail(format!("if: {error}")),
        },
    }
    match &task.each {
        None => act(&task.action, context),
        Some(each) => match items(&each.over, context) {
            Ok(items) => Decision::Map(items),
            Err(why) => Decision::Fail(why),
        },
    }
}

/// What is done once it is known that something is.
fn act(action: &Action, context: &Context) -> Decision {
    let decided = match action {
        Action::Approve(asks) => ask(asks, context).map(|(message, show)| Decision::Ask { message, show }),
        Action::Job(child) => given(child, context).map(Decision::Delegate),
        Action::Run(_) | Action::Command { .. } | Action::Claude(_) => Ok(Decision::Run),
    };
    decided.unwrap_or_else(Decision::Fail)
}

/// What a child's parameters are given.
fn given(child: &SubJob, context: &Context) -> Result<BTreeMap<String, Value>, String> {
    let mut bytes = 0;
    let mut params = BTreeMap::new();
    for (name, value) in &child.params {
        let value = render_value(value, context).map_err(|error| format!("params.{name}: {error}"))?;
        bytes += value.to_string().len();
        if bytes > MAX_GIVEN {
            return Err(format!(
                "params.{name}: the parameters of {} have more than {} KiB; hand it large values in a file",
                child.file,
                MAX_GIVEN >> 10
            ));
        }
        params.insert(name.clone(), value);
    }
    Ok(params)
}

fn ask(asks: &ApproveSpec, context: &Context) -> Result<(String, Option<String>), String> {
    let message = render_text(&asks.message, context).map_err(|error| format!("approve: {error}"))?;
    let show = asks.show.as_ref().map(|show| render_text(show, context)).transpose();
    Ok((message, show.map_err(|error| format!("approve.show: {error}"))?))
}

/// Whether a value counts as true: nothing, `false`, 0, an empty text, list or mapping do not, and neither do the texts that
/// people and shells write for no.
pub fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !matches!(text.trim().to_ascii_lowercase().as_str(), "" | "false" | "no" | "off" | "0"),
        Value::Array(items) => !items.is_empty(),
        Value::Object(entries) => !entries.is_empty(),
    }
}

/// Most that the parameters of a child may be together, in bytes of JSON: they are stored with it.
const MAX_GIVEN: usize = 1 << 20;

/// Longest text that an item is shown as, in characters.
const MAX_SHOWN: usize = 200;

/// An item in one line, for people: a text as it is, anything else as JSON.
pub fn shown(item: &Value) -> String {
    let text = match item {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let line = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut shown: String = line.take(MAX_SHOWN).collect();
    if shown.len() < text.len() && text.chars().count() > MAX_SHOWN {
        shown.pop();
        shown.push('…');
    }
    shown
}

/// The items of a mapping.
fn items(over: &Items, context: &Context) -> Result<Vec<Value>, String> {
    match over {
        Items::List(items) => Ok(items.clone()),
        Items::From(source) => match evaluate_value(source, context) {
            Ok(Value::Array(items)) if items.len() <= MAX_TASKS => Ok(items),
            Ok(Value::Array(items)) => Err(too_many(items.len())),
            Ok(other) => Err(format!(
                "for_each: `{{{{ {source} }}}}` is {}, not a list; a task gives one by `result: lines`, or `result: json` and `[…]`",
                kind(&other)
            )),
            Err(error) => Err(format!("for_each: {error}")),
        },
        Items::Matrix(axes) => {
            let mut product = vec![serde_json::Map::new()];
            for (name, over) in axes {
                let items = items(over, context).map_err(|why| why.replacen("for_each", &format!("matrix.{name}"), 1))?;
                let total = product.len().saturating_mul(items.len());
                if total > MAX_TASKS {
                    return Err(too_many(total));
                }
                product = product
                    .into_iter()
                    .flat_map(|entry| {
                        items.iter().map(move |item| {
                            let mut entry = entry.clone();
                            entry.insert(name.clone(), item.clone());
                            entry
                        })
                    })
                    .collect();
            }
            Ok(product.into_iter().map(Value::Object).collect())
        }
    }
}

fn too_many(count: usize) -> String {
    format!("for_each: {count} items are more than the {MAX_TASKS} tasks that a job may have; split the list")
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::spec::{Action, Mapping};
    use serde_json::json;

    fn context() -> Context {
        let results = [("find", json!(["a", "b"])), ("text", json!("a\nb")), ("none", json!([]))];
        Context {
            params: [("env".to_owned(), json!("prod")), ("n".to_owned(), json!(3))].into(),
            results: results.map(|(id, value)| (id.to_owned(), value)).into(),
            ..Context::default()
        }
    }

    fn task(when: Option<&str>, over: Option<Items>) -> TaskSpec {
        TaskSpec {
            when: when.map(str::to_owned),
            each: over.map(|over| Mapping { over, max_parallel: None }),
            ..TaskSpec::new("t", Action::Run("true".to_owned()))
        }
    }

    #[test]
    fn a_condition_over_parameters_and_results_decides() {
        let told = |when: &str| decide(&task(Some(when), None), &context());
        for yes in ["params.env == 'prod'", "tasks.find.result | length > 1", "params.n >= 3 and not tasks.none.result", "true"] {
            assert_eq!(told(yes), Decision::Run, "{yes}");
        }
        for no in ["params.env == 'test'", "tasks.none.result", "'a' in tasks.none.result", "false", "'no'", "0"] {
            assert_eq!(told(no), Decision::Skip, "{no}");
        }
        assert!(matches!(told("params.missing"), Decision::Fail(why) if why.starts_with("if: ")));
    }

    #[test]
    fn a_list_is_literal_or_a_value_and_a_matrix_is_their_product() {
        let list = |over| decide(&task(None, Some(over)), &context());
        let from = |source: &str| Items::From(source.to_owned());
        assert_eq!(list(Items::List(vec![json!(1), json!({"a": 2})])), Decision::Map(vec![json!(1), json!({"a": 2})]));
        assert_eq!(list(from("tasks.find.result")), Decision::Map(vec![json!("a"), json!("b")]));
        assert_eq!(list(from("tasks.none.result")), Decision::Map(vec![]));
        assert!(matches!(list(from("tasks.text.result")), Decision::Fail(why) if why.contains("is a text, not a list")));
        let axes =
            vec![("os".to_owned(), Items::List(vec![json!("l"), json!("m")])), ("f".to_owned(), from("tasks.find.result"))];
        let product = [("l", "a"), ("l", "b"), ("m", "a"), ("m", "b")].map(|(os, f)| json!({"os": os, "f": f}));
        assert_eq!(list(Items::Matrix(axes)), Decision::Map(product.to_vec()));
        let many = Items::List((0..400).map(|n| json!(n)).collect());
        let axes = vec![("a".to_owned(), many.clone()), ("b".to_owned(), many)];
        assert!(matches!(list(Items::Matrix(axes)), Decision::Fail(why) if why.contains("160000 items")));
    }
}
