//! A transcript as a conversation, read piece by piece with bounded memory.

use std::collections::{HashMap, VecDeque};

use memchr::memchr;
use serde_json::Value;

use crate::model::conversation::{Block, Call, CallResult, Ended, TodoState, Transcript};

use super::notice::{self, argument, blocks, text};
use super::text::clip;

/// Longest line that is read; of a longer one only its size is told.
const MAX_LINE: usize = 8 << 20;
/// Blocks kept.
const MAX_BLOCKS: usize = 20_000;
/// Longest text of one block.
const MAX_SAID: usize = 64 << 10;
/// Longest result of a tool.
const MAX_RESULT: usize = 16 << 10;
/// Longest input of a tool.
const MAX_INPUT: usize = 8 << 10;
/// Longest name, argument and notice.
const MAX_SHORT: usize = 500;
/// Calls whose result may still come.
const MAX_OPEN: usize = 1_000;
/// Items of a list of things to do.
const MAX_TODO: usize = 100;

/// Reads a transcript.
#[derive(Debug, Default)]
pub struct Conversation {
    blocks: VecDeque<Block>,
    dropped: usize,
    partial: Vec<u8>,
    len: usize,
    /// Calls without a result: their number, counted with dropped ones.
    open: HashMap<String, usize>,
    todo: Vec<(TodoState, String)>,
    last_message: String,
    turns: u32,
    cost_usd: Option<f64>,
    changed: Option<usize>,
}

impl Conversation {
    /// Nothing read yet.
    pub fn new() -> Conversation {
        Conversation::default()
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = MAX_LINE.saturating_sub(self.partial.len());
        self.partial.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.len = self.len.saturating_add(bytes.len());
    }

    fn flush(&mut self) {
        let line = std::mem::take(&mut self.partial);
        let len = std::mem::take(&mut self.len);
        if len > line.len() {
            let text = format!("an event of {} MiB, not shown", len >> 20);
            self.add(Block::Notice { text, is_warning: true });
            return;
        }
        match serde_json::from_slice::<Value>(&line) {
            Ok(event) if event.is_object() => self.event(&event),
            _ => {
                let text = String::from_utf8_lossy(&line);
                if !text.trim().is_empty() {
                    self.add(Block::Raw { text: clip(&text, MAX_SHORT).to_owned() });
                }
            }
        }
    }

    fn add(&mut self, block: Block) {
        let number = self.dropped + self.blocks.len();
        self.touch(number);
        self.blocks.push_back(block);
        if self.blocks.len() > MAX_BLOCKS {
            self.blocks.pop_front();
            self.dropped += 1;
        }
    }

    fn touch(&mut self, number: usize) {
        self.changed = Some(self.changed.map_or(number, |before| before.min(number)));
    }

    fn notice(&mut self, text: &str, is_warning: bool) {
        self.add(Block::Notice { text: clip(text, MAX_SHORT).to_owned(), is_warning });
    }

    fn event(&mut self, event: &Value) {
        match text(event, "type") {
            "assistant" => self.assistant(event),
            "user" => self.user(event),
            "result" => self.result(event),
            "system" => self.system(event),
            "rate_limit_event" => {
                let info = &event["rate_limit_info"];
                self.notice(&notice::rate_limit(info), text(info, "status") != "allowed");
            }
            "stream_event" | "control_request" | "control_response" => {}
            _ => self.add(Block::Raw { text: clip(&event.to_string(), MAX_SHORT).to_owned() }),
        }
    }

    fn system(&mut self, event: &Value) {
        let short = |key| clip(text(event, key), MAX_SHORT).to_owned();
        match text(event, "subtype") {
            "init" => {
                self.add(Block::Session { id: short("session_id"), model: short("model"), mode: short("permissionMode") });
            }
            subtype => {
                if let Some(text) = notice::system(event) {
                    self.notice(&text, matches!(subtype, "api_retry" | "model_fallback" | "hook_response"));
                }
            }
        }
    }

    fn assistant(&mut self, event: &Value) {
        // Written by the CLI for an API error; the result that follows says the same.
        if event["message"]["model"] == "<synthetic>" && event["error"].is_string() {
            return;
        }
        let depth = depth(event);
        let id = text(&event["message"], "id");
        if depth == 0 && (id.is_empty() || id != self.last_message) {
            self.turns = self.turns.saturating_add(1);
            clip(id, MAX_SHORT).clone_into(&mut self.last_message);
        }
        for block in blocks(event) {
            let said = || clip(text(block, "text"), MAX_SAID).to_owned();
            match text(block, "type") {
                "text" if text(block, "text").trim().is_empty() => {}
                "text" => self.add(Block::Said { text: said(), depth }),
                "thinking" => {
                    let text = clip(text(block, "thinking"), MAX_SAID).to_owned();
                    if !text.trim().is_empty() {
                        self.add(Block::Thought { text, depth });
                    }
                }
                "tool_use" => self.call(block, depth),
                _ => self.notice(&block.to_string(), false),
            }
        }
    }

    fn call(&mut self, block: &Value, depth: u8) {
        let name = clip(text(block, "name"), MAX_SHORT).to_owned();
        let input = &block["input"];
        if depth == 0 {
            self.todo_of(&name, input);
        }
        let id = clip(text(block, "id"), MAX_SHORT).to_owned();
        if self.open.len() >= MAX_OPEN {
            self.open.clear();
        }
        self.open.insert(id.clone(), self.dropped + self.blocks.len());
        let pretty = serde_json::to_string_pretty(input).unwrap_or_default();
        self.add(Block::Call(Call {
            id,
            name,
            argument: clip(&argument(input), MAX_SHORT).to_owned(),
            input: clip(&pretty, MAX_INPUT).to_owned(),
            depth,
            result: None,
        }));
    }

    fn todo_of(&mut self, name: &str, input: &Value) {
        if name != "TodoWrite" {
            return;
        }
        let items = input["todos"].as_array().map_or(&[][..], Vec::as_slice);
        self.todo = items
            .iter()
            .take(MAX_TODO)
            .map(|item| {
                let state = match text(item, "status") {
                    "completed" => TodoState::Done,
                    "in_progress" => TodoState::Active,
                    _ => TodoState::Pending,
                };
                (state, clip(text(item, "content"), MAX_SHORT).to_owned())
            })
            .collect();
    }

    fn user(&mut self, event: &Value) {
        let depth = depth(event);
        if let Some(said) = event["message"]["content"].as_str().filter(|said| !said.trim().is_empty()) {
            self.add(Block::Prompted { text: clip(said, MAX_SAID).to_owned(), depth });
        }
        for block in blocks(event) {
            match text(block, "type") {
                "tool_result" => self.answer(event, block),
                "text" if text(block, "text").starts_with("[Request interrupted") => self.notice(text(block, "text"), true),
                "text" if !text(block, "text").trim().is_empty() => {
                    self.add(Block::Prompted { text: clip(text(block, "text"), MAX_SAID).to_owned(), depth });
                }
                _ => {}
            }
        }
    }

    fn answer(&mut self, event: &Value, block: &Value) {
        let id = clip(text(block, "tool_use_id"), MAX_SHORT);
        let said = match &block["content"] {
            Value::String(said) => said.clone(),
            Value::Array(parts) => parts
                .iter()
                .map(
                    |part| {
                        if part["type"] == "text" { text(part, "text").to_owned() } else { format!("[{}]", text(part, "type")) }
                    },
                )
                .collect::<Vec<_>>()
                .join("\n"),
            _ => String::new(),
        };
        let is_error = block["is_error"] == Value::Bool(true);
        let found = self.open.remove(id).and_then(|number| number.checked_sub(self.dropped).map(|at| (number, at)));
        let Some((number, at)) = found else {
            let text = format!("a result for a call that is not known: {}", clip(&said, 200));
            return self.notice(&text, false);
        };
        self.touch(number);
        if let Some(Block::Call(call)) = self.blocks.get_mut(at) {
            let summary = summary(&call.name, &event["tool_use_result"], &said, is_error);
            call.result = Some(CallResult { is_error, summary, text: clipped(&said) });
        }
    }

    fn result(&mut self, event: &Value) {
        let is_error = event["is_error"] != Value::Bool(false);
        let said = event["result"].as_str().or_else(|| event["errors"][0].as_str()).unwrap_or_else(|| text(event, "subtype"));
        let said = if said.starts_with("[ede_diagnostic]") { "interrupted" } else { said };
        self.cost_usd = event["total_cost_usd"].as_f64().or(self.cost_usd);
        let denials = event["permission_denials"].as_array().map_or(&[][..], Vec::as_slice);
        let denial = |denial: &Value| format!("{} {}", text(denial, "tool_name"), argument(&denial["tool_input"]));
        self.add(Block::Ended(Ended {
            is_error,
            text: clip(said, MAX_SAID).to_owned(),
            turns: event["num_turns"].as_u64(),
            cost_usd: event["total_cost_usd"].as_f64(),
            duration_ms: event["duration_ms"].as_u64(),
            denials: denials.iter().take(MAX_TODO).map(|one| clip(&denial(one), MAX_SHORT).to_owned()).collect(),
        }));
    }
}

impl Transcript for Conversation {
    fn push(&mut self, mut bytes: &[u8]) {
        while let Some(end) = memchr(b'\n', bytes) {
            self.keep(&bytes[..end]);
            self.flush();
            bytes = &bytes[end + 1..];
        }
        self.keep(bytes);
    }

    fn finish(&mut self) {
        if self.len > 0 {
            self.flush();
        }
    }

    fn blocks(&self) -> &VecDeque<Block> {
        &self.blocks
    }

    fn dropped(&self) -> usize {
        self.dropped
    }

    fn take_changed(&mut self) -> Option<usize> {
        self.changed.take()
    }

    fn todo(&self) -> &[(TodoState, String)] {
        &self.todo
    }

    fn turns(&self) -> u32 {
        self.turns
    }

    fn cost_usd(&self) -> Option<f64> {
        self.cost_usd
    }
}

/// Events of a subagent belong to the call that started it.
fn depth(event: &Value) -> u8 {
    u8::from(event["parent_tool_use_id"].is_string())
}

fn clipped(said: &str) -> String {
    let kept = clip(said, MAX_RESULT);
    match said.len() - kept.len() {
        0 => kept.to_owned(),
        more => format!("{kept}\n… and {more} more bytes"),
    }
}

/// A result in a word or two.
fn summary(tool: &str, details: &Value, said: &str, is_error: bool) -> String {
    let lines = |count: usize| if count == 1 { "1 line".to_owned() } else { format!("{count} lines") };
    let first = said.trim().lines().next().unwrap_or_default();
    if is_error {
        let code = first.strip_prefix("Exit code ").map(|code| format!("exit {code}"));
        return code.unwrap_or_else(|| clip(first.trim_start_matches("<tool_use_error>"), 60).to_owned());
    }
    match tool {
        "Edit" | "MultiEdit" | "Write" | "NotebookEdit" => match patch(details) {
            Some((added, removed)) => format!("+{added} -{removed}"),
            None => String::new(),
        },
        _ if said.trim().is_empty() => "no output".to_owned(),
        "Grep" | "Glob" => format!("{} found", lines(said.trim_end().lines().count())),
        _ => lines(said.trim_end().lines().count()),
    }
}

/// Lines added and removed, by the CLI's own account.
fn patch(details: &Value) -> Option<(usize, usize)> {
    let hunks = details["structuredPatch"].as_array().filter(|hunks| !hunks.is_empty());
    let Some(hunks) = hunks else {
        let content = details["content"].as_str()?;
        return Some((content.lines().count(), 0));
    };
    let lines = || hunks.iter().filter_map(|hunk| hunk["lines"].as_array()).flatten().filter_map(Value::as_str);
    Some((lines().filter(|line| line.starts_with('+')).count(), lines().filter(|line| line.starts_with('-')).count()))
}

#[cfg(test)]
mod tests;
