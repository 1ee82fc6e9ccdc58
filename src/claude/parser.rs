//! The one reader of transcripts for people: turns bytes into parts of a conversation as they become complete.
//!
//! [`super::conversation`] keeps what it tells, [`super::render`] prints it. Memory is bounded whatever the bytes are.

use serde_json::Value;

use super::event::{Assistant, Ended, Event, Part, Piece, Reply, User};
use super::json::parse;
use super::lines::{Line, Lines};
use super::notice::{self, argument};
use super::text::clip;
use super::todo::Todo;
use crate::model::conversation::{self, Block, Call, Question};

/// Longest text of one block.
const MAX_SAID: usize = 64 << 10;
/// Longest result of a tool.
pub(super) const MAX_RESULT: usize = 16 << 10;
/// Longest input of a tool.
const MAX_INPUT: usize = 8 << 10;
/// Longest name, argument and notice.
const MAX_SHORT: usize = 500;
/// Most tools that were denied.
const MAX_DENIALS: usize = 100;

/// What a piece of a transcript adds.
#[derive(Debug)]
pub(super) enum Update {
    /// A further block.
    Add(Block),
    /// A tool answered.
    Result(ToolResult),
    /// A question was answered, or withdrawn.
    Answered {
        /// Its key.
        key: String,
        /// What was decided, if it is said.
        allowed: Option<bool>,
    },
    /// What is being written has changed.
    Writing,
}

/// What a tool answered.
#[derive(Debug)]
pub(super) struct ToolResult {
    /// Its call.
    pub(super) call: String,
    /// Whether it failed.
    pub(super) is_error: bool,
    /// All of it.
    pub(super) text: String,
    /// Lines added and removed, by the CLI's own account.
    pub(super) patch: Option<(usize, usize)>,
    /// Above 0 for a subagent.
    pub(super) depth: u8,
}

/// Reads.
#[derive(Debug, Default)]
pub(super) struct Parser {
    lines: Lines,
    state: State,
}

/// What carries over from line to line.
#[derive(Debug, Default)]
struct State {
    todo: Todo,
    first_message: String,
    last_message: String,
    turns: u32,
    cost_usd: Option<f64>,
    writing: Option<Block>,
}

impl Parser {
    /// Takes further bytes and tells what they complete.
    pub(super) fn push(&mut self, bytes: &[u8], mut tell: impl FnMut(Update)) {
        let state = &mut self.state;
        self.lines.push(bytes, |_| true, |line| state.line(line, &mut tell));
    }

    /// The last line will not be completed any more.
    pub(super) fn finish(&mut self, mut tell: impl FnMut(Update)) {
        let state = &mut self.state;
        self.lines.finish(|line| state.line(line, &mut tell));
        if state.writing.take().is_some() {
            tell(Update::Writing);
        }
    }

    /// The newest list of things to do.
    pub(super) fn todo(&self) -> &Todo {
        &self.state.todo
    }

    /// Messages of the main thread.
    pub(super) fn turns(&self) -> u32 {
        self.state.turns
    }

    /// The first and the last message of the main thread; empty when there was none.
    pub(super) fn messages(&self) -> (&str, &str) {
        (&self.state.first_message, &self.state.last_message)
    }

    /// Of the last result.
    pub(super) fn cost_usd(&self) -> Option<f64> {
        self.state.cost_usd
    }

    /// What is being written right now, as far as partial messages tell.
    pub(super) fn writing(&self) -> Option<&Block> {
        self.state.writing.as_ref()
    }
}

impl State {
    fn line(&mut self, line: Line, tell: &mut impl FnMut(Update)) {
        let bytes = match line {
            Line::Whole(bytes) => bytes,
            Line::Long { len, .. } => {
                let text = format!("an event of {} MiB, not shown", len >> 20);
                return tell(Update::Add(Block::Notice { text, is_warning: true }));
            }
        };
        match parse::<Value>(bytes) {
            Some(event) if event.is_object() => self.event(&event, tell),
            _ => raw(&String::from_utf8_lossy(bytes), tell),
        }
    }

    fn event(&mut self, value: &Value, tell: &mut impl FnMut(Update)) {
        let event = Event::of(value);
        match &event {
            Event::Init { session, model, mode } => {
                let short = |text: &str| clip(text, MAX_SHORT).to_owned();
                tell(Update::Add(Block::Session { id: short(session), model: short(model), mode: short(mode) }));
            }
            Event::Assistant(line) => self.assistant(line, tell),
            Event::User(line) => self.user(line, tell),
            Event::Stream { of, piece } => self.stream(*of, piece, tell),
            Event::Ended(ended) => self.ended(ended, tell),
            Event::Asked { key, call, tool, input } => tell(Update::Add(Block::Question(Question {
                key: clip(key, MAX_SHORT).to_owned(),
                call: clip(call, MAX_SHORT).to_owned(),
                tool: clip(tool, MAX_SHORT).to_owned(),
                argument: clip(&argument(input), MAX_SHORT).to_owned(),
                answer: None,
            }))),
            Event::Answered { key, allowed } => {
                tell(Update::Answered { key: clip(key, MAX_SHORT).to_owned(), allowed: *allowed });
            }
            Event::Quiet => {}
            Event::Unknown => raw(&value.to_string(), tell),
            told => notice::line(told).into_iter().for_each(|(text, is_warning)| notice(&text, is_warning, tell)),
        }
    }

    fn assistant(&mut self, line: &Assistant, tell: &mut impl FnMut(Update)) {
        if self.writing.as_ref().is_some_and(|writing| depth_of(writing) == depth(line.of)) {
            self.writing = None;
            tell(Update::Writing);
        }
        // The result that follows says the same.
        if line.is_synthetic && line.is_error {
            return;
        }
        let depth = depth(line.of);
        if depth == 0 && !line.is_synthetic && (line.id.is_empty() || line.id != self.last_message) {
            self.turns = self.turns.saturating_add(1);
            clip(line.id, MAX_SHORT).clone_into(&mut self.last_message);
            if self.turns == 1 {
                self.first_message.clone_from(&self.last_message);
            }
        }
        for part in line.content.iter().map(Part::of) {
            match part {
                Part::Text(text) if !text.trim().is_empty() => tell(Update::Add(Block::Said { text: long(text), depth })),
                Part::Thinking(text) if !text.trim().is_empty() => {
                    tell(Update::Add(Block::Thought { text: long(text), depth }));
                }
                Part::Text(_) | Part::Thinking(_) => {}
                Part::Call { id, name, input } => self.call(id, name, input, depth, tell),
                Part::Unknown(block) => notice(&block.to_string(), false, tell),
            }
        }
    }

    fn call(&mut self, id: &str, name: &str, input: &Value, depth: u8, tell: &mut impl FnMut(Update)) {
        if depth == 0 && Todo::is_tool(name) {
            use serde::Deserialize;
            self.todo.call(name, id, &super::todo::Input::deserialize(input).unwrap_or_default());
        }
        let pretty = serde_json::to_string_pretty(input).unwrap_or_default();
        tell(Update::Add(Block::Call(Call {
            id: clip(id, MAX_SHORT).to_owned(),
            name: clip(name, MAX_SHORT).to_owned(),
            argument: clip(&argument(input), MAX_SHORT).to_owned(),
            input: clip(&pretty, MAX_INPUT).to_owned(),
            depth,
            result: None,
        })));
    }

    fn user(&mut self, line: &User, tell: &mut impl FnMut(Update)) {
        let depth = depth(line.of);
        let prompted = |text: &str| Update::Add(Block::Prompted { text: long(text), depth });
        if let Some(said) = line.text.filter(|said| !said.trim().is_empty()) {
            tell(prompted(said));
        }
        for reply in line.content.iter().map(Reply::of) {
            match reply {
                Reply::Text(text) if text.starts_with("[Request interrupted") => notice(text, true, tell),
                Reply::Text(text) if !text.trim().is_empty() => tell(prompted(text)),
                Reply::Text(_) | Reply::Unknown => {}
                Reply::Result { call, is_error, content } => {
                    if self.todo.waits() {
                        use serde::Deserialize;
                        let created = super::todo::Created::deserialize(line.details).unwrap_or_default();
                        self.todo.result(call, is_error, &created);
                    }
                    let call = clip(call, MAX_SHORT).to_owned();
                    let patch = patch(line.details);
                    tell(Update::Result(ToolResult { call, is_error, text: said(content), patch, depth }));
                }
            }
        }
    }

    fn stream(&mut self, of: Option<&str>, piece: &Piece, tell: &mut impl FnMut(Update)) {
        let depth = depth(of);
        let before = self.writing.take().filter(|writing| depth_of(writing) == depth);
        self.writing = match (piece, before) {
            (Piece::Text(more), Some(Block::Said { text, .. })) => Some(Block::Said { text: longer(text, more), depth }),
            (Piece::Text(more), _) => Some(Block::Said { text: long(more), depth }),
            (Piece::Thinking(more), Some(Block::Thought { text, .. })) => {
                Some(Block::Thought { text: longer(text, more), depth })
            }
            (Piece::Thinking(more), _) => Some(Block::Thought { text: long(more), depth }),
            (Piece::Begin | Piece::End, _) => None,
            (Piece::Other, before) => before,
        };
        tell(Update::Writing);
    }

    fn ended(&mut self, ended: &Ended, tell: &mut impl FnMut(Update)) {
        self.cost_usd = ended.cost_usd.or(self.cost_usd);
        let denial = |denial: &Value| {
            let tool = denial["tool_name"].as_str().unwrap_or_default();
            clip(&format!("{tool} {}", argument(&denial["tool_input"])), MAX_SHORT).to_owned()
        };
        tell(Update::Add(Block::Ended(conversation::Ended {
            is_error: ended.is_error,
            text: long(ended.text),
            turns: ended.turns,
            cost_usd: ended.cost_usd,
            duration_ms: ended.duration_ms,
            denials: ended.denials.iter().take(MAX_DENIALS).map(denial).collect(),
        })));
    }
}

/// Events of a subagent belong to the call that started it.
fn depth(of: Option<&str>) -> u8 {
    u8::from(of.is_some())
}

fn depth_of(writing: &Block) -> u8 {
    match writing {
        Block::Said { depth, .. } | Block::Thought { depth, .. } => *depth,
        _ => 0,
    }
}

fn long(text: &str) -> String {
    clip(text, MAX_SAID).to_owned()
}

fn longer(mut text: String, more: &str) -> String {
    text.push_str(clip(more, MAX_SAID.saturating_sub(text.len())));
    text
}

fn notice(text: &str, is_warning: bool, tell: &mut impl FnMut(Update)) {
    tell(Update::Add(Block::Notice { text: clip(text, MAX_SHORT).to_owned(), is_warning }));
}

fn raw(text: &str, tell: &mut impl FnMut(Update)) {
    if !text.trim().is_empty() {
        tell(Update::Add(Block::Raw { text: clip(text, MAX_SHORT).to_owned() }));
    }
}

/// The text of a tool's result.
fn said(content: &Value) -> String {
    let part = |part: &Value| match part["type"].as_str() {
        Some("text") => part["text"].as_str().unwrap_or_default().to_owned(),
        kind => format!("[{}]", kind.unwrap_or_default()),
    };
    match content {
        Value::String(said) => said.clone(),
        Value::Array(parts) => parts.iter().map(part).collect::<Vec<_>>().join("\n"),
        _ => String::new(),
    }
}

fn patch(details: &Value) -> Option<(usize, usize)> {
    let Some(hunks) = details["structuredPatch"].as_array().filter(|hunks| !hunks.is_empty()) else {
        let content = details["content"].as_str()?;
        return Some((content.lines().count(), 0));
    };
    let lines = || hunks.iter().filter_map(|hunk| hunk["lines"].as_array()).flatten().filter_map(Value::as_str);
    Some((lines().filter(|line| line.starts_with('+')).count(), lines().filter(|line| line.starts_with('-')).count()))
}
