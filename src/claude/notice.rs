//! What a transcript's events say besides the conversation itself, in words.

use serde_json::Value;

pub(super) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

pub(super) fn blocks(event: &Value) -> &[Value] {
    event["message"]["content"].as_array().map_or(&[], Vec::as_slice)
}

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

/// A `system` event; none for what nobody needs to read.
pub(super) fn system(event: &Value) -> Option<String> {
    let of = |key| text(event, key);
    Some(match of("subtype") {
        "init" => format!("session {} · {} · {}", of("session_id"), of("model"), of("permissionMode")),
        "api_retry" => {
            let wait = event["retry_delay_ms"].as_f64().unwrap_or(0.0) / 1000.0;
            let status = event["error_status"].as_u64().map(|status| format!(" ({status})")).unwrap_or_default();
            format!("API {}{status}, retry {} of {} in {wait:.1} s", of("error"), event["attempt"], event["max_retries"])
        }
        "model_fallback" => format!("model {} instead of {}: {}", of("fallback_model"), of("original_model"), of("trigger")),
        "task_notification" => format!("task {}: {}", of("status"), of("summary")),
        "hook_response" if of("outcome") != "error" => return None,
        "hook_response" => format!("hook {} failed: {}", of("hook_name"), of("output")),
        "informational" => of("content").to_owned(),
        "notification" => of("text").to_owned(),
        "model_refusal_no_fallback" => format!("the model refused: {}", of("content")),
        "status" | "thinking_tokens" | "hook_started" | "task_started" | "task_progress" | "task_updated" => return None,
        _ => event.to_string(),
    })
}

/// A `rate_limit_event`.
pub(super) fn rate_limit(info: &Value) -> String {
    let resets = info["resetsAt"].as_i64().and_then(|at| jiff::Timestamp::from_second(at).ok());
    let resets = resets.map(|at| format!(", resets {at}")).unwrap_or_default();
    format!("usage limit {} {}{resets}", text(info, "rateLimitType"), text(info, "status"))
}
