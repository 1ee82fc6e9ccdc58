//! `result:` of a task, with the schema that it must fit.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::model::artifact::parse as path;
use crate::model::json_schema;
use crate::model::spec::{Action, ResultKind, ResultSpec};
use crate::model::yaml::{self, Node, Value};

use super::keys;
use super::read::{Fields, Reader};

/// Words of `result` and of its `kind`.
const KINDS: [(&str, ResultKind); 3] = [("text", ResultKind::Text), ("lines", ResultKind::Lines), ("json", ResultKind::Json)];
/// Most bytes of all different schemas of one job, those of files included.
const MAX_SCHEMAS: usize = 8 << 20;

/// The definition: a word, or a mapping.
pub(super) fn result(reader: &mut Reader<'_>, node: &Node) -> Option<ResultSpec> {
    if !matches!(node.value, Value::Map(_)) {
        return reader.one_of(node, &KINDS).map(ResultSpec::from);
    }
    let fields = reader.fields(node, "result", keys::RESULT)?;
    let file = fields.get("file").and_then(|node| file(reader, node));
    let schema = schema(reader, node, &fields);
    let is_given = fields.get("schema").or(fields.get("schema_file")).is_some();
    let kind = match fields.get("kind") {
        Some(node) => reader.one_of(node, &KINDS)?,
        None if is_given => ResultKind::Json,
        None => {
            reader.fault(node, "result needs `kind`".to_owned(), "write kind: text, lines or json");
            return None;
        }
    };
    if let Some(key) = fields.key("schema").or(fields.key("schema_file")).filter(|_| kind != ResultKind::Json) {
        reader.fault(key, "only a json result has a schema".to_owned(), "write kind: json, or take the schema out");
    }
    Some(ResultSpec { kind, file, schema })
}

/// A Claude task answers from its transcript; what the answer must be is told to the CLI, unless the task tells it otherwise.
pub(super) fn of_claude(reader: &mut Reader<'_>, fields: &Fields<'_>, result: &ResultSpec, action: &mut Action) {
    let Action::Claude(claude) = action else { return };
    if let Some(key) = fields.key("result").filter(|_| result.file.is_some()) {
        let hint = "take `file` out: its result is its answer, or what it sets by `airx result`";
        reader.fault(key, "the result of a claude task is no file".to_owned(), hint);
    }
    if let Some(schema) = result.schema.as_ref().filter(|schema| schema.is_object() && claude.json_schema.is_none()) {
        claude.json_schema = Some(schema.as_ref().clone());
    }
}

/// A file of the workspace.
fn file(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let text = reader.text(node)?;
    reader.literal(node, "file");
    match path(&text) {
        Ok(pattern) if pattern.parts.is_empty() && !text.ends_with('/') => Some(text),
        Ok(_) => {
            reader.fault(node, format!("`{text}` is no file's path"), "name one file of the workspace");
            None
        }
        Err(fault) => {
            reader.fault(node, fault.message, fault.hint);
            None
        }
    }
}

fn schema(reader: &mut Reader<'_>, node: &Node, fields: &Fields<'_>) -> Option<Arc<Json>> {
    match (fields.get("schema"), fields.get("schema_file")) {
        (None, None) => None,
        (Some(_), Some(_)) => {
            let at = fields.key("schema_file").unwrap_or(node);
            reader.fault(at, "`schema` and `schema_file` at once".to_owned(), "keep one of them");
            None
        }
        (Some(node), None) => {
            // JSON as text is taken too, as in `json_schema`.
            let json = match &node.value {
                Value::Scalar { text, .. } if node.boolean().is_none() => serde_json::from_str(text).unwrap_or(node.to_json()),
                _ => node.to_json(),
            };
            sound(reader, json, &|pointer| (place_of(node, pointer), String::new()))
        }
        (None, Some(node)) => {
            let path = reader.options.base.join(reader.text(node)?);
            let json = match (reader.options.read_file)(&path) {
                Ok(text) => from_file(reader, node, &path, &text)?,
                Err(why) => {
                    reader.fault(node, format!("the schema cannot be read: {why}"), "paths are relative to this file");
                    return None;
                }
            };
            let within = |pointer: &str| match pointer {
                "" => format!("{}: ", path.display()),
                _ => format!("{}, at {pointer}: ", path.display()),
            };
            sound(reader, json, &|pointer| ((node.line, node.column), within(pointer)))
        }
    }
}

fn from_file(reader: &mut Reader<'_>, node: &Node, path: &Path, text: &str) -> Option<Json> {
    let parsed = yaml::parse(text);
    if let Some(fault) = parsed.faults.first() {
        let message = format!("{}:{}:{}: {}", path.display(), fault.line, fault.column, fault.message);
        reader.fault(node, message, &fault.hint);
        return None;
    }
    let json = parsed.root.map(|root| root.to_json());
    if json.is_none() {
        reader.fault(node, format!("{} is empty", path.display()), "write a JSON Schema into it");
    }
    json
}

/// Where a part of a schema stands, by its JSON pointer, and what goes before the words about it.
type Place<'a> = &'a dyn Fn(&str) -> ((u32, u32), String);

/// The schema, once for all tasks that have the same.
fn sound(reader: &mut Reader<'_>, json: Json, place: Place<'_>) -> Option<Arc<Json>> {
    let text = json.to_string();
    if let Some(known) = reader.schemas.get(&text) {
        return Some(known.clone());
    }
    let known: usize = reader.schemas.keys().map(String::len).sum();
    let checked = match known + text.len() > MAX_SCHEMAS {
        true => Err(json_schema::SchemaFault {
            pointer: String::new(),
            message: "the schemas of this job have more than 8 MiB together".to_owned(),
            hint: "split the job".to_owned(),
        }),
        false => json_schema::check(&json),
    };
    if let Err(fault) = checked {
        let ((line, column), within) = place(&fault.pointer);
        reader.fault_at(line, column, format!("{within}{}", fault.message), &fault.hint);
        return None;
    }
    let schema = Arc::new(json);
    reader.schemas.insert(text, schema.clone());
    Some(schema)
}

/// Where a part of a mapping stands, by its JSON pointer; as near as there is a place.
fn place_of(node: &Node, pointer: &str) -> (u32, u32) {
    let mut at = node;
    for part in pointer.split('/').skip(1) {
        let name = part.replace("~1", "/").replace("~0", "~");
        let next = match &at.value {
            Value::Map(entries) => entries.iter().find(|(key, _)| key.text() == Some(&name)).map(|(_, value)| value),
            Value::List(items) => name.parse::<usize>().ok().and_then(|place| items.get(place)),
            _ => None,
        };
        match next {
            Some(next) => at = next,
            None => break,
        }
    }
    (at.line, at.column)
}
