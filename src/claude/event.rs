//! The events of a transcript, typed: each kind that the CLI was seen to write, and the rest as unknown.
//!
//! Fields that are absent or of another type read as empty: a transcript of another version is shown as far as it is
//! understood.

use serde_json::Value;

/// An event.
#[derive(Debug)]
pub(super) enum Event<'a> {
    /// `system/init`: a turn begins.
    Init { session: &'a str, model: &'a str, mode: &'a str },
    /// `assistant`: a part of a message is complete.
    Assistant(Assistant<'a>),
    /// `user`: results of tools, notices, replayed input.
    User(User<'a>),
    /// `stream_event`: a piece of what will come as a whole.
    Stream { of: Option<&'a str>, piece: Piece<'a> },
    /// `result`: the turn is over.
    Ended(Ended<'a>),
    /// `rate_limit_event`.
    RateLimit { window: &'a str, status: &'a str, resets_at: Option<i64> },
    /// `system/api_retry`.
    Retry { error: &'a str, status: Option<u64>, attempt: u64, of: u64, delay_ms: f64 },
    /// `system/model_fallback`.
    Fallback { from: &'a str, to: &'a str, trigger: &'a str },
    /// `system/model_refusal_no_fallback`.
    Refused { content: &'a str },
    /// `system/task_started` of what runs in the background.
    Background { description: &'a str },
    /// `system/task_updated` that says how a task ended before its time.
    TaskStopped { status: &'a str },
    /// `system/task_notification`.
    TaskOver { status: &'a str, summary: &'a str },
    /// `system/hook_response` of a hook that failed.
    HookFailed { name: &'a str, output: &'a str },
    /// `system/informational` and `system/notification`.
    Told { text: &'a str },
    /// `control_request`: a tool wants permission.
    Asked { key: &'a str, call: &'a str, tool: &'a str, input: &'a Value },
    /// `control_response`, and `control_cancel_request`: `allowed` when it says so.
    Answered { key: &'a str, allowed: Option<bool> },
    /// Known, and nothing that people need to read: progress of tasks, hooks that went well, talk between programs.
    Quiet,
    /// Anything else.
    Unknown,
}

/// An `assistant` line.
#[derive(Debug)]
pub(super) struct Assistant<'a> {
    /// The message that it belongs to; may be empty.
    pub(super) id: &'a str,
    /// The call that started the subagent that it belongs to.
    pub(super) of: Option<&'a str>,
    /// Written by the CLI itself.
    pub(super) is_synthetic: bool,
    /// For an error of the API; the result says the same.
    pub(super) is_error: bool,
    /// Its parts; one as a rule.
    pub(super) content: &'a [Value],
}

/// A part of a message of the model.
#[derive(Debug)]
pub(super) enum Part<'a> {
    Text(&'a str),
    Thinking(&'a str),
    Call { id: &'a str, name: &'a str, input: &'a Value },
    Unknown(&'a Value),
}

/// A `user` line.
#[derive(Debug)]
pub(super) struct User<'a> {
    /// The call that started the subagent that it belongs to.
    pub(super) of: Option<&'a str>,
    /// All of it, when it is a single text.
    pub(super) text: Option<&'a str>,
    /// Its parts.
    pub(super) content: &'a [Value],
    /// `tool_use_result`.
    pub(super) details: &'a Value,
}

/// A part of a `user` line.
#[derive(Debug)]
pub(super) enum Reply<'a> {
    Text(&'a str),
    Result { call: &'a str, is_error: bool, content: &'a Value },
    Unknown,
}

/// What a `stream_event` adds.
#[derive(Debug, PartialEq)]
pub(super) enum Piece<'a> {
    /// A message, or a part of one, begins.
    Begin,
    Text(&'a str),
    Thinking(&'a str),
    /// A message is complete.
    End,
    Other,
}

/// A `result` line.
#[derive(Debug)]
pub(super) struct Ended<'a> {
    pub(super) is_error: bool,
    /// `result`, else the first of `errors`, else the subtype.
    pub(super) text: &'a str,
    pub(super) turns: Option<u64>,
    pub(super) cost_usd: Option<f64>,
    pub(super) duration_ms: Option<u64>,
    pub(super) denials: &'a [Value],
}

impl<'a> Event<'a> {
    /// Of a line's object.
    pub(super) fn of(event: &'a Value) -> Event<'a> {
        match text(event, "type") {
            "assistant" => Event::Assistant(Assistant {
                id: text(&event["message"], "id"),
                of: event["parent_tool_use_id"].as_str(),
                is_synthetic: event["message"]["model"] == "<synthetic>",
                is_error: event["error"].is_string(),
                content: list(&event["message"]["content"]),
            }),
            "user" => Event::User(User {
                of: event["parent_tool_use_id"].as_str(),
                text: event["message"]["content"].as_str(),
                content: list(&event["message"]["content"]),
                details: &event["tool_use_result"],
            }),
            "stream_event" => Event::Stream { of: event["parent_tool_use_id"].as_str(), piece: Piece::of(&event["event"]) },
            "result" => Event::Ended(Ended::of(event)),
            "rate_limit_event" => {
                let info = &event["rate_limit_info"];
                Event::RateLimit {
                    window: text(info, "rateLimitType"),
                    status: text(info, "status"),
                    resets_at: info["resetsAt"].as_i64(),
                }
            }
            "control_request" => Event::request(event),
            "control_response" => {
                let response = &event["response"];
                let behavior = response["response"]["behavior"].as_str();
                Event::Answered { key: text(response, "request_id"), allowed: behavior.map(|behavior| behavior == "allow") }
            }
            "control_cancel_request" => Event::Answered { key: text(event, "request_id"), allowed: None },
            "keep_alive" => Event::Quiet,
            "system" => Event::system(event),
            _ => Event::Unknown,
        }
    }

    fn request(event: &'a Value) -> Event<'a> {
        let request = &event["request"];
        if text(request, "subtype") != "can_use_tool" {
            return Event::Quiet;
        }
        Event::Asked {
            key: text(event, "request_id"),
            call: text(request, "tool_use_id"),
            tool: text(request, "tool_name"),
            input: &request["input"],
        }
    }

    fn system(event: &'a Value) -> Event<'a> {
        let of = |key| text(event, key);
        match of("subtype") {
            "init" => Event::Init { session: of("session_id"), model: of("model"), mode: of("permissionMode") },
            "api_retry" => Event::Retry {
                error: of("error"),
                status: event["error_status"].as_u64(),
                attempt: event["attempt"].as_u64().unwrap_or(0),
                of: event["max_retries"].as_u64().unwrap_or(0),
                delay_ms: event["retry_delay_ms"].as_f64().unwrap_or(0.0),
            },
            "model_fallback" => Event::Fallback { from: of("original_model"), to: of("fallback_model"), trigger: of("trigger") },
            "model_refusal_no_fallback" => Event::Refused { content: of("content") },
            // A subagent's call says the same as its start.
            "task_started" if of("task_type") == "local_bash" => Event::Background { description: of("description") },
            "task_updated" if matches!(text(&event["patch"], "status"), "killed" | "failed") => {
                Event::TaskStopped { status: text(&event["patch"], "status") }
            }
            "task_notification" => Event::TaskOver { status: of("status"), summary: of("summary") },
            "hook_response" if of("outcome") == "error" => {
                let output = [of("output"), of("stderr")].into_iter().find(|text| !text.is_empty());
                Event::HookFailed { name: of("hook_name"), output: output.unwrap_or_default() }
            }
            "informational" => Event::Told { text: of("content") },
            "notification" => Event::Told { text: of("text") },
            "status" | "thinking_tokens" | "hook_started" | "hook_response" | "hook_progress" | "task_started"
            | "task_progress" | "task_updated" => Event::Quiet,
            _ => Event::Unknown,
        }
    }
}

impl<'a> Part<'a> {
    /// Of an item of `content`.
    pub(super) fn of(block: &'a Value) -> Part<'a> {
        match text(block, "type") {
            "text" => Part::Text(text(block, "text")),
            "thinking" => Part::Thinking(text(block, "thinking")),
            "tool_use" => Part::Call { id: text(block, "id"), name: text(block, "name"), input: &block["input"] },
            _ => Part::Unknown(block),
        }
    }
}

impl<'a> Reply<'a> {
    /// Of an item of `content`.
    pub(super) fn of(block: &'a Value) -> Reply<'a> {
        match text(block, "type") {
            "text" => Reply::Text(text(block, "text")),
            "tool_result" => Reply::Result {
                call: text(block, "tool_use_id"),
                is_error: block["is_error"] == Value::Bool(true),
                content: &block["content"],
            },
            _ => Reply::Unknown,
        }
    }
}

impl<'a> Piece<'a> {
    fn of(event: &'a Value) -> Piece<'a> {
        match (text(event, "type"), text(&event["delta"], "type")) {
            ("message_start" | "content_block_start", _) => Piece::Begin,
            ("content_block_delta", "text_delta") => Piece::Text(text(&event["delta"], "text")),
            ("content_block_delta", "thinking_delta") => Piece::Thinking(text(&event["delta"], "thinking")),
            ("message_stop", _) => Piece::End,
            _ => Piece::Other,
        }
    }
}

impl<'a> Ended<'a> {
    fn of(event: &'a Value) -> Ended<'a> {
        let said = event["result"].as_str().or_else(|| event["errors"][0].as_str()).unwrap_or_else(|| text(event, "subtype"));
        Ended {
            is_error: event["is_error"] != Value::Bool(false),
            // What the CLI says of an interrupted run means nothing to people.
            text: if said.starts_with("[ede_diagnostic]") { "interrupted" } else { said },
            turns: event["num_turns"].as_u64(),
            cost_usd: super::json::dollars(event["total_cost_usd"].as_f64()),
            duration_ms: event["duration_ms"].as_u64(),
            denials: list(&event["permission_denials"]),
        }
    }
}

/// A field's text; empty when it is none.
pub(super) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
