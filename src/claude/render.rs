//! A transcript as text for people: what Claude said, one line for each tool call, what went wrong, and how it ended.

use std::collections::VecDeque;

use memchr::memchr;
use serde_json::Value;

use super::notice::{self, argument, blocks, text};
use super::text::{clip, harmless, one_line};

/// Longest line that is shown; of a longer one only its size is told.
const MAX_LINE: usize = 1 << 20;
/// Longest argument, error or raw event.
const MAX_ONE_LINE: usize = 160;
/// Tool calls that wait for their result.
const MAX_CALLS: usize = 64;

/// Turns bytes of a transcript into text, piece by piece. Holds at most one line of 1 MiB.
#[derive(Debug, Default)]
pub struct Renderer {
    partial: Vec<u8>,
    /// Length of the line in `partial`, also beyond what is kept of it.
    len: usize,
    /// Id and name of calls without a result yet.
    calls: VecDeque<(String, String)>,
}

impl Renderer {
    /// Starts at the beginning of a line.
    pub fn new() -> Renderer {
        Renderer::default()
    }

    /// Takes further bytes and appends what they complete to `out`, in whole lines.
    pub fn push(&mut self, mut bytes: &[u8], out: &mut String) {
        while let Some(end) = memchr(b'\n', bytes) {
            self.keep(&bytes[..end]);
            self.flush(out);
            bytes = &bytes[end + 1..];
        }
        self.keep(bytes);
    }

    /// Shows a last line that was never completed.
    pub fn finish(&mut self, out: &mut String) {
        if self.len > 0 {
            self.flush(out);
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = MAX_LINE.saturating_sub(self.partial.len());
        self.partial.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.len = self.len.saturating_add(bytes.len());
    }

    fn flush(&mut self, out: &mut String) {
        let line = std::mem::take(&mut self.partial);
        let len = std::mem::take(&mut self.len);
        if len > line.len() {
            out.push_str(&format!("… an event of {} MiB, not shown\n", len >> 20));
        } else {
            self.line(&line, out);
        }
        // Keeps the allocation of usual lines for the next one.
        if line.capacity() <= 64 * 1024 {
            self.partial = line;
            self.partial.clear();
        }
    }

    fn line(&mut self, line: &[u8], out: &mut String) {
        match serde_json::from_slice::<Value>(line) {
            Ok(event) if event.is_object() => self.event(&event, out),
            _ => {
                let text = String::from_utf8_lossy(line);
                if !text.trim().is_empty() {
                    raw(&text, out);
                }
            }
        }
    }

    fn event(&mut self, event: &Value, out: &mut String) {
        match text(event, "type") {
            "assistant" => self.assistant(event, out),
            "user" => self.user(event, out),
            "result" => result(event, out),
            "system" => notice::system(event).into_iter().for_each(|text| raw(&text, out)),
            "rate_limit_event" => raw(&notice::rate_limit(&event["rate_limit_info"]), out),
            // Pieces of what follows as a whole, and talk between programs.
            "stream_event" | "control_request" | "control_response" => {}
            _ => raw(&event.to_string(), out),
        }
    }

    fn assistant(&mut self, event: &Value, out: &mut String) {
        // Written by the CLI for an API error; the result that follows says the same.
        if event["message"]["model"] == "<synthetic>" && event["error"].is_string() {
            return;
        }
        let indent = indent(event);
        for block in blocks(event) {
            match text(block, "type") {
                "text" => said(text(block, "text"), indent, out),
                "thinking" => labelled(indent, "(thinking) ", text(block, "thinking"), out),
                "tool_use" => self.call(block, indent, out),
                _ => labelled(indent, "… ", &block.to_string(), out),
            }
        }
    }

    fn call(&mut self, block: &Value, indent: &str, out: &mut String) {
        out.push_str(indent);
        out.push_str("▸ ");
        one_line(text(block, "name"), MAX_ONE_LINE, out);
        out.push(' ');
        one_line(&argument(&block["input"]), MAX_ONE_LINE, out);
        out.push('\n');
        if self.calls.len() == MAX_CALLS {
            self.calls.pop_front();
        }
        let short = |key| clip(text(block, key), MAX_ONE_LINE).to_owned();
        self.calls.push_back((short("id"), short("name")));
    }

    fn user(&mut self, event: &Value, out: &mut String) {
        let indent = indent(event);
        for block in blocks(event) {
            match text(block, "type") {
                "tool_result" => self.tool_result(block, indent, out),
                "text" if text(block, "text").starts_with("[Request interrupted") => {
                    labelled(indent, "  ✘ ", text(block, "text"), out);
                }
                _ => {}
            }
        }
    }

    /// A result that is an error; others are what was to be expected.
    fn tool_result(&mut self, block: &Value, indent: &str, out: &mut String) {
        let place = self.calls.iter().position(|(id, _)| id == clip(text(block, "tool_use_id"), MAX_ONE_LINE));
        let call = place.and_then(|place| self.calls.remove(place));
        if block["is_error"] != Value::Bool(true) {
            return;
        }
        out.push_str(indent);
        out.push_str("  ✘ ");
        if let Some((_, name)) = call {
            one_line(&name, MAX_ONE_LINE, out);
            out.push_str(": ");
        }
        let said = match &block["content"] {
            Value::String(said) => said.as_str(),
            Value::Array(parts) => parts.first().map_or("", |part| text(part, "text")),
            _ => "",
        };
        // "Exit code 3" stands alone on its line, the reason follows.
        let mut lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
        let first = lines.next().unwrap_or("failed");
        one_line(first, MAX_ONE_LINE, out);
        if let Some(second) = lines.next().filter(|_| first.starts_with("Exit code ")) {
            out.push_str(": ");
            one_line(second, MAX_ONE_LINE, out);
        }
        out.push('\n');
    }
}

/// Events of a subagent stand under the call that started it.
fn indent(event: &Value) -> &'static str {
    if event["parent_tool_use_id"].is_string() { "  │ " } else { "" }
}

fn said(text: &str, indent: &str, out: &mut String) {
    for (number, line) in text.trim().lines().enumerate() {
        out.push_str(indent);
        out.push_str(match number {
            0 => "● ",
            _ if line.is_empty() => "",
            _ => "  ",
        });
        harmless(line, out);
        out.push('\n');
    }
}

fn labelled(indent: &str, label: &str, text: &str, out: &mut String) {
    out.push_str(indent);
    out.push_str(label);
    one_line(text, MAX_ONE_LINE, out);
    out.push('\n');
}

fn raw(text: &str, out: &mut String) {
    labelled("", "… ", text, out);
}

fn result(event: &Value, out: &mut String) {
    let good = event["is_error"] == Value::Bool(false);
    out.push_str(if good { "✔ done" } else { "✘ " });
    if !good {
        let said = event["result"].as_str().or_else(|| event["errors"][0].as_str());
        match said.unwrap_or_else(|| text(event, "subtype")) {
            said if said.starts_with("[ede_diagnostic]") => out.push_str("interrupted"),
            said => one_line(said, MAX_ONE_LINE, out),
        }
    }
    if let Some(turns) = event["num_turns"].as_u64() {
        out.push_str(&format!(" · {turns} {}", if turns == 1 { "turn" } else { "turns" }));
    }
    if let Some(usd) = event["total_cost_usd"].as_f64() {
        out.push_str(&format!(" · ${usd:.4}"));
    }
    if let Some(millis) = event["duration_ms"].as_f64() {
        out.push_str(&format!(" · {:.1} s", millis / 1000.0));
    }
    out.push('\n');
    for denial in event["permission_denials"].as_array().into_iter().flatten().take(MAX_CALLS) {
        out.push_str("  denied: ");
        one_line(text(denial, "tool_name"), MAX_ONE_LINE, out);
        out.push(' ');
        one_line(&argument(&denial["tool_input"]), MAX_ONE_LINE, out);
        out.push('\n');
    }
}

#[cfg(test)]
mod tests;
