//! What a transcript's events say besides the conversation itself, in words.

use serde_json::Value;

use super::event::Event;

/// The one argument by which people recognise a call: the command, the file, else the first text.
pub(super) fn argument(input: &Value) -> String {
    if let Some(todos) = input["todos"].as_array() {
        let done = todos.iter().filter(|todo| todo["status"] == "completed").count();
        return format!("{done} of {} done", todos.len());
    }
    let known = ["command", "file_path", "pattern", "path", "url", "query", "description", "prompt"];
    let found = known.iter().find_map(|key| input[*key].as_str());
    let first = || input.as_object().and_then(|fields| fields.values().find_map(Value::as_str));
    found.or_else(first).map_or_else(
        || if input.as_object().is_none_or(serde_json::Map::is_empty) { String::new() } else { input.to_string() },
        str::to_owned,
    )
}

/// An event that is told in a line, and whether it is a trouble; none for the others.
pub(super) fn line(event: &Event) -> Option<(String, bool)> {
    Some(match event {
        Event::Retry { error, status, attempt, of, delay_ms } => {
            let status = status.map(|status| format!(" ({status})")).unwrap_or_default();
            (format!("API {error}{status}, retry {attempt} of {of} in {:.1} s", delay_ms / 1000.0), true)
        }
        Event::Fallback { from, to, trigger } => (format!("model {to} instead of {from}: {trigger}"), true),
        Event::Refused { content } => (format!("the model refused: {content}"), true),
        Event::Background { description } => (format!("in the background: {description}"), false),
        Event::TaskStopped { status } => (format!("a background task was {status}"), true),
        Event::TaskOver { status, summary } => (format!("task {status}: {summary}"), false),
        Event::HookFailed { name, output } => (format!("hook {name} failed: {output}"), true),
        Event::Told { text } => ((*text).to_owned(), false),
        Event::RateLimit { window, status, resets_at } => {
            let resets = resets_at.and_then(|at| jiff::Timestamp::from_second(at).ok());
            let resets = resets.map(|at| format!(", resets {at}")).unwrap_or_default();
            (format!("usage limit {window} {status}{resets}"), *status != "allowed")
        }
        _ => return None,
    })
}
