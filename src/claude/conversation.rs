//! A transcript as a conversation, read piece by piece with bounded memory.

use std::collections::{HashMap, VecDeque};

use super::parser::{MAX_RESULT, Parser, ToolResult, Update};
use super::text::clip;
use crate::model::conversation::{Block, CallResult, Permission, TodoState, Transcript};

/// Blocks kept.
const MAX_BLOCKS: usize = 20_000;
/// Calls whose result may still come, and questions whose answer may.
const MAX_OPEN: usize = 1_000;

/// Reads a transcript.
#[derive(Debug, Default)]
pub struct Conversation {
    parser: Parser,
    kept: Kept,
    todo: Vec<(TodoState, String)>,
}

/// What was read.
#[derive(Debug, Default)]
struct Kept {
    blocks: VecDeque<Block>,
    dropped: usize,
    /// Calls without a result: their number, counted with dropped ones.
    calls: HashMap<String, usize>,
    /// Questions that wait: their key, the call that they are about, their number.
    questions: Vec<(String, String, usize)>,
    changed: Option<usize>,
}

impl Conversation {
    /// Nothing read yet.
    pub fn new() -> Conversation {
        Conversation::default()
    }

    fn list_todo(&mut self) {
        let items = self.parser.todo().items();
        let is_same = items.len() == self.todo.len()
            && items.iter().zip(&self.todo).all(|(item, (state, text))| item.state == *state && item.text == *text);
        if !is_same {
            self.todo = items.iter().map(|item| (item.state, item.text.clone())).collect();
        }
    }
}

impl Kept {
    fn take(&mut self, update: Update) {
        match update {
            Update::Add(block) => self.add(block),
            Update::Result(result) => self.result(&result),
            Update::Answered { key, allowed } => {
                let answer = match allowed {
                    Some(true) => Permission::Allowed,
                    Some(false) => Permission::Denied,
                    None => Permission::Withdrawn,
                };
                self.answer(|(asked, _)| *asked == key, answer);
            }
            Update::Writing => self.touch(self.dropped + self.blocks.len()),
        }
    }

    fn add(&mut self, block: Block) {
        let number = self.dropped + self.blocks.len();
        self.touch(number);
        match &block {
            Block::Call(call) => {
                if self.calls.len() >= MAX_OPEN {
                    self.calls.clear();
                }
                self.calls.insert(call.id.clone(), number);
            }
            Block::Question(question) => {
                if self.questions.len() >= MAX_OPEN {
                    self.questions.remove(0);
                }
                self.questions.push((question.key.clone(), question.call.clone(), number));
            }
            _ => {}
        }
        self.blocks.push_back(block);
        if self.blocks.len() > MAX_BLOCKS {
            self.blocks.pop_front();
            self.dropped += 1;
        }
    }

    fn touch(&mut self, number: usize) {
        self.changed = Some(self.changed.map_or(number, |before| before.min(number)));
    }

    fn result(&mut self, result: &ToolResult) {
        // A tool that answers has been allowed, whoever did it; the error of one that was not is its result too.
        let answer = if result.is_error { Permission::Denied } else { Permission::Allowed };
        self.answer(|(_, call)| *call == result.call, answer);
        let number = self.calls.remove(&result.call);
        let Some((number, at)) = number.and_then(|number| Some((number, number.checked_sub(self.dropped)?))) else {
            let (call, result) = (result.call.clone(), call_result("", result));
            return self.add(Block::Result { call, result });
        };
        self.touch(number);
        if let Some(Block::Call(call)) = self.blocks.get_mut(at) {
            call.result = Some(call_result(&call.name, result));
        }
    }

    fn answer(&mut self, is_it: impl Fn((&String, &String)) -> bool, answer: Permission) {
        let Some(at) = self.questions.iter().position(|(key, call, _)| is_it((key, call))) else { return };
        let (_, _, number) = self.questions.remove(at);
        self.touch(number);
        let block = number.checked_sub(self.dropped).and_then(|at| self.blocks.get_mut(at));
        if let Some(Block::Question(question)) = block {
            question.answer = Some(answer);
        }
    }
}

impl Transcript for Conversation {
    fn push(&mut self, bytes: &[u8]) {
        let kept = &mut self.kept;
        self.parser.push(bytes, |update| kept.take(update));
        self.list_todo();
    }

    fn finish(&mut self) {
        let kept = &mut self.kept;
        self.parser.finish(|update| kept.take(update));
        self.list_todo();
    }

    fn blocks(&self) -> &VecDeque<Block> {
        &self.kept.blocks
    }

    fn dropped(&self) -> usize {
        self.kept.dropped
    }

    fn take_changed(&mut self) -> Option<usize> {
        self.kept.changed.take()
    }

    fn writing(&self) -> Option<&Block> {
        self.parser.writing()
    }

    fn todo(&self) -> &[(TodoState, String)] {
        &self.todo
    }

    fn turns(&self) -> u32 {
        self.parser.turns()
    }

    fn messages(&self) -> (&str, &str) {
        self.parser.messages()
    }

    fn cost_usd(&self) -> Option<f64> {
        self.parser.cost_usd()
    }
}

fn call_result(tool: &str, result: &ToolResult) -> CallResult {
    CallResult { is_error: result.is_error, summary: summary(tool, result), text: clipped(&result.text) }
}

fn clipped(said: &str) -> String {
    let kept = clip(said, MAX_RESULT);
    match said.len() - kept.len() {
        0 => kept.to_owned(),
        more => format!("{kept}\n… and {more} more bytes"),
    }
}

/// A result in a word or two.
fn summary(tool: &str, result: &ToolResult) -> String {
    let lines = |count: usize| if count == 1 { "1 line".to_owned() } else { format!("{count} lines") };
    let said = result.text.trim();
    let first = said.lines().next().unwrap_or_default();
    if result.is_error {
        let code = first.strip_prefix("Exit code ").map(|code| format!("exit {code}"));
        return code.unwrap_or_else(|| clip(first.trim_start_matches("<tool_use_error>"), 60).to_owned());
    }
    match tool {
        "Edit" | "MultiEdit" | "Write" | "NotebookEdit" => match result.patch {
            Some((added, removed)) => format!("+{added} -{removed}"),
            None => String::new(),
        },
        _ if said.is_empty() => "no output".to_owned(),
        "Grep" | "Glob" => format!("{} found", lines(result.text.trim_end().lines().count())),
        _ => lines(result.text.trim_end().lines().count()),
    }
}

#[cfg(test)]
mod tests;
