//! `claude:` of a task.

use crate::model::spec::{AskPerson, ClaudeAuth, ClaudeSpec, Trust, WhenLimited};
use crate::model::yaml::{Node, Value};

use super::keys;
use super::read::Reader;

/// Permission modes of the CLI (its reference, section 10).
const MODES: [(&str, &str); 6] = [
    ("default", "default"),
    ("acceptEdits", "acceptEdits"),
    ("plan", "plan"),
    ("dontAsk", "dontAsk"),
    ("auto", "auto"),
    ("bypassPermissions", "bypassPermissions"),
];

/// Modes in which the CLI asks nobody: one allows everything, the other denies it.
const NEVER_ASK: [&str; 2] = ["bypassPermissions", "dontAsk"];

/// Words of `denials`.
const DENIALS: [(&str, bool); 2] = [("ignore", false), ("fail", true)];

/// Words of `when_limited`.
pub(super) const WHEN_LIMITED: [(&str, WhenLimited); 3] =
    [("wait", WhenLimited::Wait), ("ask", WhenLimited::Ask), ("fail", WhenLimited::Fail)];

/// The definition, and where its templated prompt stands.
pub(super) fn claude(reader: &mut Reader<'_>, node: &Node) -> Option<(ClaudeSpec, Option<Node>)> {
    // `claude: PROMPT` is the short form.
    if let (Value::Scalar { .. }, Some(text)) = (&node.value, node.text()) {
        if text.trim().is_empty() {
            reader.fault(node, "the prompt is empty".to_owned(), "write what Claude should do");
        }
        let spec = ClaudeSpec { prompt: text.to_owned(), ..ClaudeSpec::default() };
        return Some((spec, Some(node.clone())));
    }
    let fields = reader.fields(node, "claude", keys::CLAUDE)?;
    let (prompt, literal, place) = match (fields.get("prompt"), fields.get("prompt_file")) {
        (Some(prompt), None) => {
            let text = reader.text(prompt);
            if text.as_ref().is_some_and(|text| text.trim().is_empty()) {
                reader.fault(prompt, "the prompt is empty".to_owned(), "write what Claude should do");
            }
            (text.unwrap_or_default(), false, Some(prompt.clone()))
        }
        (None, Some(file)) => (prompt_file(reader, file).unwrap_or_default(), true, None),
        (Some(_), Some(_)) => {
            let at = fields.key("prompt_file").unwrap_or(node);
            reader.fault(at, "`prompt` and `prompt_file` at once".to_owned(), "keep one of them");
            (String::new(), true, None)
        }
        (None, None) => {
            reader.fault(node, "claude needs a prompt".to_owned(), "write prompt: TEXT, or prompt_file: PATH");
            (String::new(), true, None)
        }
    };
    for key in ["model", "append_system_prompt"] {
        if let Some(node) = fields.get(key) {
            reader.literal(node, key);
        }
    }
    let mode = fields.get("permission_mode").and_then(|node| reader.one_of(node, &MODES));
    let permissions = fields.get("permissions").and_then(|node| permissions(reader, node));
    if let (Some(mode), Some(_), Some(key)) =
        (mode.filter(|mode| NEVER_ASK.contains(mode)), &permissions, fields.key("permissions"))
    {
        let message = format!("nobody would be asked in permission_mode {mode}");
        reader.fault(key, message, "take one of the two out: with acceptEdits, only what that mode does not allow is asked");
    }
    let spec = ClaudeSpec {
        prompt,
        literal,
        model: fields.get("model").and_then(|node| reader.text(node)).filter(|model| !model.is_empty()),
        permission_mode: mode.map(str::to_owned),
        allowed_tools: fields.get("allowed_tools").map(|node| reader.texts(node, "allowed_tools")).unwrap_or_default(),
        disallowed_tools: fields.get("disallowed_tools").map(|node| reader.texts(node, "disallowed_tools")).unwrap_or_default(),
        max_turns: fields.get("max_turns").and_then(|node| reader.whole(node, 1, 100_000)).and_then(|n| u32::try_from(n).ok()),
        max_budget_usd: fields.get("max_budget_usd").and_then(|node| reader.number(node, 0.000_001, 1_000_000.0)),
        append_system_prompt: fields.get("append_system_prompt").and_then(|node| reader.text(node)),
        add_dirs: fields.get("add_dirs").map(|node| reader.texts(node, "add_dirs")).unwrap_or_default(),
        json_schema: fields.get("json_schema").and_then(|node| schema(reader, node)),
        auth: fields.get("auth").and_then(|node| auth(reader, node)),
        permissions,
        fails_on_denial: fields.get("denials").and_then(|node| reader.one_of(node, &DENIALS)).unwrap_or(false),
        silence_ms: fields.get("silence").and_then(|node| reader.duration(node, 1)),
        when_limited: fields.get("when_limited").and_then(|node| reader.one_of(node, &WHEN_LIMITED)),
        trust: fields.get("trust").and_then(|node| reader.one_of(node, &[("project", Trust::Project), ("none", Trust::None)])),
        subtasks: fields
            .get("subtasks")
            .and_then(|node| reader.one_of(node, &[("true", true), ("false", false)]))
            .unwrap_or_default(),
    };
    Some((spec, place))
}

/// `permissions: ask`, or with what becomes of a question that nobody answers.
fn permissions(reader: &mut Reader<'_>, node: &Node) -> Option<AskPerson> {
    if matches!(node.value, Value::Scalar { .. }) {
        return reader.one_of(node, &[("ask", true), ("deny", false)])?.then(AskPerson::default);
    }
    let fields = reader.fields(node, "permissions", keys::PERMISSIONS)?;
    let asks = fields.get("ask").and_then(|node| super::repeat::boolean(reader, node, "ask")).unwrap_or(true);
    let timeout_ms = fields.get("timeout").and_then(|node| reader.duration(node, 1));
    let default = fields.get("default");
    if let Some(node) = default.filter(|_| fields.get("timeout").is_none()) {
        reader.fault(node, "`default` without `timeout`".to_owned(), "say after how long it counts: timeout: 30m");
    }
    let allows = default.and_then(|node| reader.one_of(node, &[("deny", false), ("allow", true)])).unwrap_or(false);
    asks.then_some(AskPerson { timeout_ms, allows })
}

fn prompt_file(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let path = reader.options.base.join(reader.text(node)?);
    match (reader.options.read_file)(&path) {
        Ok(text) if text.trim().is_empty() => {
            reader.fault(node, format!("{} is empty", path.display()), "write what Claude should do into it");
            None
        }
        Ok(text) => Some(text),
        Err(why) => {
            reader.fault(node, format!("the prompt file cannot be read: {why}"), "paths are relative to this file");
            None
        }
    }
}

fn schema(reader: &mut Reader<'_>, node: &Node) -> Option<serde_json::Value> {
    let value = match &node.value {
        Value::Scalar { text, .. } => serde_json::from_str(text).ok(),
        _ => Some(node.to_json()),
    };
    if value.as_ref().is_none_or(|value| !value.is_object()) {
        reader.fault(node, "json_schema is no JSON Schema".to_owned(), "write the schema as a mapping: { type: object, … }");
        return None;
    }
    value
}

fn auth(reader: &mut Reader<'_>, node: &Node) -> Option<ClaudeAuth> {
    let text = reader.text(node)?;
    match text.strip_prefix("env:") {
        _ if text == "login" => Some(ClaudeAuth::Login),
        Some(name) if !name.is_empty() => Some(ClaudeAuth::Env(name.to_owned())),
        _ => {
            reader.fault(
                node,
                "auth is neither `login` nor a reference".to_owned(),
                "write login, or env:NAME for a key in a variable",
            );
            None
        }
    }
}
