//! `env` and `env_pass`: values, secrets by reference, and nothing secret in clear.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::model::spec::{EnvValue, SecretRef};
use crate::model::yaml::{Node, Value};

use super::keys;
use super::read::Reader;

/// Taken from the submitter in any case.
const ALWAYS: [&str; 4] = ["PATH", "HOME", "LANG", "TZ"];

/// An environment, and where its values stand.
#[derive(Default)]
pub(super) struct Env {
    pub values: BTreeMap<String, EnvValue>,
    pub places: Vec<(String, Node)>,
}

pub(super) fn env(reader: &mut Reader<'_>, node: &Node) -> Env {
    let mut env = Env::default();
    for (key, value) in reader.entries(node, "env") {
        let Some(name) = key.text() else { continue };
        if let Some((why, hint)) = wrong_variable(name) {
            reader.fault(key, why, hint);
            continue;
        }
        match &value.value {
            Value::Map(_) => {
                if let Some(secret) = reference(reader, value) {
                    env.values.insert(name.to_owned(), EnvValue::From(secret));
                }
            }
            Value::Null => drop(env.values.insert(name.to_owned(), EnvValue::Text(String::new()))),
            _ => {
                let Some(text) = reader.text(value) else { continue };
                if let Some(why) = looks_secret(name, &text) {
                    let hint = format!("pass it by reference, so that it is stored nowhere: {name}: {{ from: \"env:{name}\" }}");
                    reader.fault(value, format!("{why}: a secret may not stand in a job file"), &hint);
                }
                env.places.push((name.to_owned(), value.clone()));
                env.values.insert(name.to_owned(), EnvValue::Text(text));
            }
        }
    }
    env
}

fn reference(reader: &mut Reader<'_>, node: &Node) -> Option<SecretRef> {
    let fields = reader.fields(node, "a reference", keys::ENV_FROM)?;
    let Some(from) = fields.get("from") else {
        reader.fault(node, "a reference needs `from`".to_owned(), "write { from: \"env:NAME\" }");
        return None;
    };
    let text = reader.text(from)?;
    match SecretRef::parse(&text) {
        Some(SecretRef::File(path)) => Some(SecretRef::File(file(reader, &path.to_string_lossy()))),
        Some(secret) => Some(secret),
        None => {
            reader.fault(from, format!("`{text}` is no reference"), "write env:NAME, file:PATH or command:LINE");
            None
        }
    }
}

fn file(reader: &Reader<'_>, path: &str) -> PathBuf {
    if let Some(rest) = path.strip_prefix("~/")
        && let Some(home) = reader.options.environment.get("HOME")
    {
        return PathBuf::from(home).join(rest);
    }
    reader.options.base.join(path)
}

/// What tasks take from the submitter's environment.
pub(super) fn passed(reader: &mut Reader<'_>, node: Option<&Node>) -> BTreeMap<String, String> {
    let mut passed: BTreeMap<String, String> =
        ALWAYS.iter().filter_map(|name| Some(((*name).to_owned(), reader.options.environment.get(*name)?.clone()))).collect();
    let Some(node) = node else { return passed };
    for item in reader.list(node, "env_pass").unwrap_or_default() {
        let Some(name) = reader.text(item) else { continue };
        let value = reader.options.environment.get(&name).cloned();
        if !is_variable(&name) {
            reader.fault(item, format!("`{name}` cannot name a variable"), "name variables of your environment");
        } else if looks_secret(&name, value.as_deref().filter(|value| !value.is_empty()).unwrap_or("unknown")).is_some() {
            let hint = format!("what is passed is stored; write instead: env: {{ {name}: {{ from: \"env:{name}\" }} }}");
            reader.fault(item, format!("`{name}` looks like a secret"), &hint);
        } else if let Some(value) = value {
            passed.insert(name, value);
        } else {
            reader.warn(item, format!("`{name}` is not set in your environment"), "tasks will not have it either");
        }
    }
    passed
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && !name.as_bytes()[0].is_ascii_digit()
}

/// Why nobody can choose this name for a variable of a task, and what to do.
pub fn wrong_variable(name: &str) -> Option<(String, &'static str)> {
    if !is_variable(name) {
        return Some((format!("`{name}` cannot name a variable"), "use letters, digits and `_`, not beginning with a digit"));
    }
    name.starts_with("AIRX_").then(|| (format!("`{name}` is airx's own"), "choose a name that does not begin with AIRX_"))
}

/// Why a value looks like a secret; templates, empty values and plain switches do not.
pub fn looks_secret(name: &str, value: &str) -> Option<String> {
    const PREFIXES: [&str; 9] = ["sk-", "ghp_", "gho_", "ghs_", "github_pat_", "xoxb-", "xoxp-", "AKIA", "glpat-"];
    if value.starts_with("{{") && value.ends_with("}}") {
        return None;
    }
    if let Some(prefix) = PREFIXES.iter().find(|prefix| value.len() >= prefix.len() + 12 && value.starts_with(**prefix)) {
        return Some(format!("the value begins with `{prefix}`, as credentials do"));
    }
    if value.contains("-----BEGIN") && value.contains("PRIVATE KEY") {
        return Some("the value is a private key".to_owned());
    }
    let upper = name.to_ascii_uppercase();
    let named = ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL", "API_KEY", "APIKEY", "PRIVATE_KEY", "ACCESS_KEY"];
    let is_path = upper.ends_with("_FILE") || upper.ends_with("_PATH") || upper.ends_with("_DIR");
    let is_switch = value.is_empty()
        || value.len() <= 5
            && matches!(value.to_ascii_lowercase().as_str(), "0" | "1" | "true" | "false" | "yes" | "no" | "on" | "off");
    // A number of tokens is none: CLAUDE_CODE_MAX_OUTPUT_TOKENS.
    let is_count = upper.contains("TOKENS") && value.len() <= 12 && value.bytes().all(|byte| byte.is_ascii_digit());
    if !is_path && !is_switch && !is_count && (named.iter().any(|part| upper.contains(part)) || upper.ends_with("_KEY")) {
        return Some(format!("`{name}` is named like a secret"));
    }
    None
}
