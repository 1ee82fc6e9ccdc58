//! JSON Schemas of results: whether one is sound, and whether a value fits it, in words that help to mend it.
//!
//! Nothing is ever fetched: a reference leads to another place of the same schema, or is a fault. Schemas are compiled when they
//! are needed and dropped afterwards. How long a check may take and how much memory it may use is bounded by whoever asks: a
//! small value can keep a schema with alternatives busy for ever.

mod misfit;
#[cfg(test)]
mod tests;

use std::error::Error;

use boon::{CompileError, Compiler, Draft, ErrorKind, SchemaIndex, Schemas, UrlLoader, ValidationError};
use serde_json::Value;

/// Largest schema, as compact JSON, in bytes.
pub const MAX_SCHEMA: usize = 64 << 10;
/// The drafts that are known.
const DRAFTS: &str = "draft 2020-12 (without `$schema`), 2019-09, 7, 6 or 4";
/// What a schema is called while it is looked at: relative references resolve against it, and lead nowhere.
const PLACE: &str = "airx://schema/";

/// What is wrong with a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaFault {
    /// Where, as a JSON pointer into it.
    pub pointer: String,
    /// What is wrong, and why.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// Looks at a schema before anything has to fit it.
///
/// # Errors
/// The first fault: it is too large, no JSON Schema, of an unknown draft, or refers to what is not in it.
pub fn check(schema: &Value) -> Result<(), SchemaFault> {
    let fault = |pointer: String, message: String, hint: &str| SchemaFault { pointer, message, hint: hint.to_owned() };
    if !matches!(schema, Value::Object(_) | Value::Bool(_)) {
        let message = format!("{} is no JSON Schema", misfit::piece(schema));
        return Err(fault(String::new(), message, "write a mapping: { type: object, … }"));
    }
    let size = schema.to_string().len();
    if size > MAX_SCHEMA {
        let message = format!("the schema has {size} bytes, more than {} KiB", MAX_SCHEMA >> 10);
        return Err(fault(String::new(), message, "describe what matters only"));
    }
    let mut schemas = Schemas::new();
    let place = compile(schema, &mut schemas).map_err(|error| refused(schema, &error))?;
    // Whatever the value is, a circle of references shows at once.
    match schemas.validate(&Value::Null, place) {
        Err(error) if misfit::has_circle(&error) => {
            let message = "its references lead in a circle: it never comes to an end".to_owned();
            Err(fault(place_of(schema, "$ref", |_| true), message, "let a reference lead to a part of the value"))
        }
        _ => Ok(()),
    }
}

/// Whether the value fits. The schema is one that [`check`] found sound.
///
/// # Errors
/// Where it does not (as a JSON pointer), what was expected there, and the beginning of what was found; at most three places.
pub fn fits(schema: &Value, value: &Value) -> Result<(), String> {
    let mut schemas = Schemas::new();
    let place = compile(schema, &mut schemas).map_err(|error| {
        let SchemaFault { pointer, message, .. } = refused(schema, &error);
        format!("its schema cannot be used, at `{pointer}`: {message}")
    })?;
    schemas.validate(value, place).map_err(|error| misfit::words(&error, value))
}

/// Refuses whatever is to be fetched.
struct Nothing;

impl UrlLoader for Nothing {
    fn load(&self, _: &str) -> Result<Value, Box<dyn Error>> {
        Err("schemas from elsewhere are never fetched".into())
    }
}

fn compile(schema: &Value, schemas: &mut Schemas) -> Result<SchemaIndex, Box<CompileError>> {
    let mut compiler = Compiler::new();
    compiler.use_loader(Box::new(Nothing));
    compiler.set_default_draft(Draft::V2020_12);
    // A format is an annotation in newer drafts; who writes `format: date` wants a date.
    compiler.enable_format_assertions();
    compiler.add_resource(PLACE, schema.clone())?;
    Ok(compiler.compile(PLACE, schemas)?)
}

fn refused(schema: &Value, error: &CompileError) -> SchemaFault {
    let fault = |pointer: String, message: String, hint: &str| SchemaFault { pointer, message, hint: hint.to_owned() };
    let draft = || place_of(schema, "$schema", |_| true);
    let lost = |url: &str| {
        let part = url.strip_prefix(PLACE).unwrap_or(url);
        let part = part.split('#').next().unwrap_or_default();
        place_of(schema, "$ref", |name| !part.is_empty() && name.split('#').next().unwrap_or_default().ends_with(part))
    };
    match error {
        CompileError::LoadUrlError { url, .. } | CompileError::UnsupportedUrlScheme { url }
            if schema.get("$schema").and_then(Value::as_str).is_some_and(|named| named.trim_end_matches('#') == url) =>
        {
            fault(draft(), format!("the draft `{url}` is not known"), &format!("it is {DRAFTS}"))
        }
        CompileError::UnsupportedDraft { url }
        | CompileError::InvalidMetaSchemaUrl { url, .. }
        | CompileError::MetaSchemaCycle { url } => {
            let named = schema.get("$schema").and_then(Value::as_str).unwrap_or(url);
            fault(draft(), format!("the draft `{named}` is not known"), &format!("it is {DRAFTS}"))
        }
        CompileError::LoadUrlError { url, .. } | CompileError::UnsupportedUrlScheme { url } => {
            let shown = url.strip_prefix(PLACE).unwrap_or(url);
            let message = format!("`{shown}` is not in this schema, and schemas from elsewhere are never fetched");
            fault(lost(url), message, "put it under `$defs` and refer to it by `#/$defs/NAME`")
        }
        CompileError::JsonPointerNotFound(url) | CompileError::InvalidJsonPointer(url) => {
            let part = url.split_once('#').map_or(url.as_str(), |(_, part)| part);
            let pointer = place_of(schema, "$ref", |name| name.split_once('#').is_some_and(|(_, named)| named == part));
            fault(pointer, format!("the reference `#{part}` leads nowhere"), "name a place of this schema: #/$defs/NAME")
        }
        CompileError::AnchorNotFound { reference, .. } => {
            let pointer = place_of(schema, "$ref", |name| reference.ends_with(name) || name.ends_with(reference.as_str()));
            let shown = reference.strip_prefix(PLACE).unwrap_or(reference);
            fault(pointer, format!("the reference `{shown}` leads nowhere"), "name a place of this schema: #/$defs/NAME")
        }
        CompileError::InvalidRegex { regex, src, .. } => {
            let pointer = place_of(schema, "pattern", |pattern| pattern == regex);
            fault(
                pointer,
                format!("`{regex}` is no regular expression that is known here: {}", misfit::line(&src.to_string())),
                REGEX,
            )
        }
        CompileError::ValidationError { src, .. } => not_a_schema(schema, src),
        other => fault(String::new(), format!("it is no JSON Schema: {}", misfit::line(&format!("{other:#}"))), ""),
    }
}

/// What to do about a pattern.
const REGEX: &str = "neither look-around nor back-references are known: both can take for ever";

fn not_a_schema(schema: &Value, error: &ValidationError<'_, '_>) -> SchemaFault {
    let leaf = misfit::first(error);
    let pointer = leaf.instance_location.to_string();
    let found = schema.pointer(&pointer).unwrap_or(&Value::Null);
    let (message, hint) = match &leaf.kind {
        ErrorKind::Format { want: "regex", err, .. } => {
            let why = misfit::line(&err.to_string());
            (format!("{} is no regular expression that is known here: {why}", misfit::piece(found)), REGEX)
        }
        _ => (format!("it is no JSON Schema: {}", misfit::expectation(leaf, found)), "see json-schema.org, draft 2020-12"),
    };
    SchemaFault { pointer, message, hint: hint.to_owned() }
}

/// Where the first text under a key stands that is such.
fn place_of(schema: &Value, key: &str, is_it: impl Fn(&str) -> bool) -> String {
    let mut work = vec![(String::new(), schema)];
    while let Some((pointer, value)) = work.pop() {
        match value {
            Value::Object(entries) => {
                if entries.get(key).and_then(Value::as_str).is_some_and(&is_it) {
                    return format!("{pointer}/{key}");
                }
                let escaped = |name: &str| name.replace('~', "~0").replace('/', "~1");
                work.extend(entries.iter().rev().map(|(name, value)| (format!("{pointer}/{}", escaped(name)), value)));
            }
            Value::Array(items) => {
                work.extend(items.iter().enumerate().rev().map(|(place, value)| (format!("{pointer}/{place}"), value)));
            }
            _ => {}
        }
    }
    String::new()
}
