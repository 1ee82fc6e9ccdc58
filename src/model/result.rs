//! What becomes a task's result: of what it printed or wrote into a file, and what shape it must have.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How what was printed, or written into a file, becomes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResultKind {
    /// Standard output without its last newline, as one string.
    Text,
    /// Standard output's lines, as a list of strings.
    Lines,
    /// Standard output as one JSON value; anything else fails the attempt with "bad result".
    Json,
}

/// `result` of a task. Stored as the word alone where nothing else is said, as it always was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Form", into = "Form")]
pub struct ResultSpec {
    /// How it becomes a value.
    pub kind: ResultKind,
    /// A file of the workspace that it is read from; none is standard output.
    pub file: Option<String>,
    /// A JSON Schema that the value must fit, also one that the task sets by itself.
    pub schema: Option<Arc<Value>>,
}

impl From<ResultKind> for ResultSpec {
    fn from(kind: ResultKind) -> ResultSpec {
        ResultSpec { kind, file: None, schema: None }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Form {
    Word(ResultKind),
    Full {
        kind: ResultKind,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        schema: Option<Arc<Value>>,
    },
}

impl From<Form> for ResultSpec {
    fn from(form: Form) -> ResultSpec {
        match form {
            Form::Word(kind) => kind.into(),
            Form::Full { kind, file, schema } => ResultSpec { kind, file, schema },
        }
    }
}

impl From<ResultSpec> for Form {
    fn from(result: ResultSpec) -> Form {
        match result {
            ResultSpec { kind, file: None, schema: None } => Form::Word(kind),
            ResultSpec { kind, file, schema } => Form::Full { kind, file, schema },
        }
    }
}

/// Most levels of lists and mappings in a result: what holds it has some more, and is read with a bound of its own.
pub const MAX_LEVELS: usize = 64;

/// Whether a value can be a result.
///
/// # Errors
/// Why not.
pub fn sound(value: &Value) -> Result<(), String> {
    if goes_deeper(value, MAX_LEVELS) {
        return Err(format!("it is nested deeper than {MAX_LEVELS} levels, the most that a result may have"));
    }
    Ok(())
}

fn goes_deeper(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => levels == 0 || items.iter().any(|item| goes_deeper(item, levels - 1)),
        Value::Object(entries) => levels == 0 || entries.values().any(|item| goes_deeper(item, levels - 1)),
        _ => false,
    }
}

/// Begins what is said of a value that does not fit.
pub const UNFIT: &str = "it does not fit its schema";

/// Longest words about a result that is none, in characters.
const MAX_WHY: usize = 1_000;

/// A misfit as it is told to people, and to the task.
pub fn unfit(why: &str) -> String {
    let why: String = why.chars().take(MAX_WHY).collect();
    format!("{UNFIT}: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_bounded() {
        let nested = |levels: usize| (0..levels).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
        assert!(sound(&nested(MAX_LEVELS)).is_ok() && sound(&nested(MAX_LEVELS + 1)).is_err());
    }

    #[test]
    fn what_was_stored_as_a_word_is_still_read_and_written_so() {
        let plain: ResultSpec = serde_json::from_str("\"lines\"").unwrap();
        assert_eq!(plain, ResultKind::Lines.into());
        assert_eq!(serde_json::to_string(&plain).unwrap(), "\"lines\"");
        let full = ResultSpec { file: Some("a.json".into()), schema: Some(Arc::new(true.into())), ..ResultKind::Json.into() };
        let text = serde_json::to_string(&full).unwrap();
        assert_eq!(text, r#"{"kind":"json","file":"a.json","schema":true}"#);
        assert_eq!(serde_json::from_str::<ResultSpec>(&text).unwrap(), full);
    }
}
