//! A transcript as text for people: what Claude said, one line for each tool call, what went wrong, and how it ended.
//!
//! Prints what `parser` tells, as it comes: a call when it is made, its error when it failed.

use std::collections::VecDeque;
use std::time::Duration;

use super::parser::{Parser, ToolResult, Update};
use super::text::{harmless, one_line};
use crate::model::conversation::{Block, Ended};

/// Longest argument, error or raw event.
const MAX_ONE_LINE: usize = 160;
/// Tool calls that wait for their result.
const MAX_CALLS: usize = 64;

/// Turns bytes of a transcript into text, piece by piece. Holds at most one line of 8 MiB.
#[derive(Debug, Default)]
pub struct Renderer {
    parser: Parser,
    printer: Printer,
}

#[derive(Debug, Default)]
struct Printer {
    /// Id and name of calls without a result yet.
    calls: VecDeque<(String, String)>,
}

impl Renderer {
    /// Starts at the beginning of a line.
    pub fn new() -> Renderer {
        Renderer::default()
    }

    /// Takes further bytes and appends what they complete to `out`, in whole lines.
    pub fn push(&mut self, bytes: &[u8], out: &mut String) {
        let printer = &mut self.printer;
        self.parser.push(bytes, |update| printer.print(update, out));
    }

    /// Shows a last line that was never completed.
    pub fn finish(&mut self, out: &mut String) {
        let printer = &mut self.printer;
        self.parser.finish(|update| printer.print(update, out));
    }
}

impl Printer {
    fn print(&mut self, update: Update, out: &mut String) {
        match update {
            Update::Add(block) => self.block(block, out),
            Update::Result(result) => self.result(&result, out),
            // What a person decided shows in what the tool answers; what is being written comes as a whole.
            Update::Answered { .. } | Update::Writing => {}
        }
    }

    fn block(&mut self, block: Block, out: &mut String) {
        match block {
            Block::Session { id, model, mode } => labelled(0, "… ", &format!("session {id} · {model} · {mode}"), out),
            Block::Said { text, depth } => said(&text, depth, out),
            Block::Thought { text, depth } => labelled(depth, "(thinking) ", &text, out),
            Block::Prompted { text, depth } => labelled(depth, "❯ ", &text, out),
            Block::Call(call) => {
                labelled(call.depth, "▸ ", &call.name, out);
                out.pop();
                out.push(' ');
                one_line(&call.argument, MAX_ONE_LINE, out);
                out.push('\n');
                if self.calls.len() == MAX_CALLS {
                    self.calls.pop_front();
                }
                self.calls.push_back((call.id, call.name));
            }
            Block::Question(question) => {
                labelled(0, "? ", &format!("{} {}", question.tool, question.argument), out);
            }
            // Told by the update, not kept as a block here.
            Block::Result { .. } => {}
            // An interruption stands where the result of the tool would.
            Block::Notice { text, .. } if text.starts_with("[Request interrupted") => labelled(0, "  ✘ ", &text, out),
            Block::Notice { text, .. } | Block::Raw { text } => labelled(0, "… ", &text, out),
            Block::Ended(ended) => end(&ended, out),
        }
    }

    /// A result that is an error; others are what was to be expected.
    fn result(&mut self, result: &ToolResult, out: &mut String) {
        let place = self.calls.iter().position(|(id, _)| *id == result.call);
        let call = place.and_then(|place| self.calls.remove(place));
        if !result.is_error {
            return;
        }
        // "Exit code 3" stands alone on its line, the reason follows.
        let mut lines = result.text.lines().map(str::trim).filter(|line| !line.is_empty());
        let first = lines.next().unwrap_or("failed");
        let reason = lines.next().filter(|_| first.starts_with("Exit code "));
        let name = call.map(|(_, name)| format!("{name}: ")).unwrap_or_default();
        labelled(result.depth, "  ✘ ", &format!("{name}{first}"), out);
        if let Some(reason) = reason {
            out.pop();
            out.push_str(": ");
            one_line(reason, MAX_ONE_LINE, out);
            out.push('\n');
        }
    }
}

/// What a subagent does stands under the call that started it.
fn indent(depth: u8) -> &'static str {
    if depth > 0 { "  │ " } else { "" }
}

fn said(text: &str, depth: u8, out: &mut String) {
    for (number, line) in text.trim().lines().enumerate() {
        out.push_str(indent(depth));
        out.push_str(match number {
            0 => "● ",
            _ if line.is_empty() => "",
            _ => "  ",
        });
        harmless(line, out);
        out.push('\n');
    }
}

fn labelled(depth: u8, label: &str, text: &str, out: &mut String) {
    out.push_str(indent(depth));
    out.push_str(label);
    one_line(text, MAX_ONE_LINE, out);
    out.push('\n');
}

fn end(ended: &Ended, out: &mut String) {
    if ended.is_error {
        out.push_str("✘ ");
        one_line(&ended.text, MAX_ONE_LINE, out);
    } else {
        out.push_str("✔ done");
    }
    if let Some(turns) = ended.turns {
        out.push_str(&format!(" · {turns} {}", if turns == 1 { "turn" } else { "turns" }));
    }
    if let Some(usd) = ended.cost_usd {
        out.push_str(&format!(" · ${usd:.4}"));
    }
    if let Some(millis) = ended.duration_ms {
        out.push_str(&format!(" · {:.1} s", Duration::from_millis(millis).as_secs_f64()));
    }
    out.push('\n');
    for denial in &ended.denials {
        labelled(0, "  denied: ", denial, out);
    }
}

#[cfg(test)]
mod tests;
