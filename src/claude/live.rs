//! Watches a transcript as it grows, for what somebody has to act on while the run goes on.
//!
//! Runs inside each runner, so it holds no more than the line being read (8 MiB at most, of lines that matter), a list of
//! things to do and a few counts. Lines that say nothing of interest, the results of tools above all, are passed over by
//! their first bytes.

mod event;

use std::cell::Cell;

use serde_json::Value;

use super::json::{Loose, Object, count, dollars, parse};
use super::kind::Kind;
use super::lines::{Line, Lines};
use super::spending::Spending;
use super::text::clip;
use super::todo::Todo;
use super::window::RateLimit;
use crate::model::live::{Sign, Spent, Watch};
use crate::model::question::{Question, QuestionBody};
use event::{Assistant, Calls, ControlRequest, Errors, Init, ModelUsage, ResultLine, Results};

/// Longest name kept: a session, a window.
const MAX_NAME: usize = 200;
/// Longest text of the active item, in characters.
const MAX_ACTIVE: usize = 200;
/// Longest key of a question.
const MAX_KEY: usize = 100;

/// Reads a transcript as it grows.
#[derive(Debug, Default)]
pub struct Live {
    lines: Lines,
    scanner: Scanner,
}

impl Live {
    /// Nothing read yet.
    pub fn new() -> Live {
        Live::default()
    }
}

impl Watch for Live {
    fn push(&mut self, bytes: &[u8]) -> Vec<Sign> {
        let mut signs = Vec::new();
        let scanner = &mut self.scanner;
        // Only a whole line changes what is wanted, so the answer is the same for all pieces of one.
        let waits = Cell::new(scanner.todo.waits());
        let is_wanted = |head: &[u8]| match Kind::of_head(head) {
            Some(Kind::Other) => false,
            Some(Kind::User) => waits.get(),
            _ => true,
        };
        self.lines.push(bytes, is_wanted, |line| {
            scanner.line(line, &mut signs);
            waits.set(scanner.todo.waits());
        });
        signs
    }
}

/// How the credential stands, as far as it was told.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Standing {
    #[default]
    Unknown,
    Answered,
    Refused,
}

#[derive(Debug, Default)]
struct Scanner {
    standing: Standing,
    turns: u32,
    spending: Spending,
    told: Spent,
    todo: Todo,
    told_todo: (u32, u32, String),
}

impl Scanner {
    fn line(&mut self, line: Line, signs: &mut Vec<Sign>) {
        let bytes = match line {
            Line::Whole(bytes) => bytes,
            Line::Long { head, .. } => {
                match Kind::of_head(head) {
                    Some(Kind::Assistant) => self.answered(signs),
                    Some(Kind::Result) => signs.push(Sign::Over),
                    _ => {}
                }
                return;
            }
        };
        match Kind::of(bytes) {
            Kind::Init => init(&parse(bytes).unwrap_or_default(), signs),
            Kind::Assistant => self.assistant(bytes, signs),
            Kind::User if self.todo.waits() => self.user(bytes, signs),
            Kind::Retry => self.trouble(&parse::<Errors>(bytes).unwrap_or_default().error, signs),
            Kind::RateLimit => self.rate_limit(&parse(bytes).unwrap_or_default(), signs),
            Kind::ControlRequest => signs.extend(parse(bytes).and_then(question).map(|asked| Sign::Asks(Box::new(asked)))),
            Kind::Result => {
                if let Some(result) = parse(bytes) {
                    self.result(&result, signs);
                }
            }
            Kind::User | Kind::Fallback | Kind::Other => {}
        }
    }

    fn assistant(&mut self, bytes: &[u8], signs: &mut Vec<Sign>) {
        let Some(line) = parse::<Assistant>(bytes) else { return };
        let message = &line.message.0;
        if message.model.text() == Some("<synthetic>") {
            if line.error != Loose::Nothing {
                self.trouble(&line.error, signs);
            }
            return;
        }
        self.answered(signs);
        let (id, model) = (message.id.text().unwrap_or_default(), message.model.text().unwrap_or_default());
        let characters = message.content.0.iter().map(|block| block.0.characters()).fold(0, u64::saturating_add);
        let is_first = self.spending.line(id, model, message.usage.0.tokens(), characters);
        if line.parent_tool_use_id == Loose::Nothing {
            if is_first {
                self.turns = self.turns.saturating_add(1);
                signs.push(Sign::Turns(self.turns));
            }
            if message.content.0.iter().any(|block| block.0.is_todo()) {
                self.todo_call(bytes, signs);
            }
        }
        self.tell_spent(signs);
    }

    fn todo_call(&mut self, bytes: &[u8], signs: &mut Vec<Sign>) {
        let line: Calls = parse(bytes).unwrap_or_default();
        for Object(call) in &line.message.0.content.0 {
            self.todo.call(call.name.text().unwrap_or_default(), call.id.text().unwrap_or_default(), &call.input.0);
        }
        self.tell_todo(signs);
    }

    fn user(&mut self, bytes: &[u8], signs: &mut Vec<Sign>) {
        let line: Results = parse(bytes).unwrap_or_default();
        for Object(result) in &line.message.0.content.0 {
            let call = result.tool_use_id.text().unwrap_or_default();
            self.todo.result(call, result.is_error == Loose::Bool(true), &line.tool_use_result.0);
        }
        self.tell_todo(signs);
    }

    fn result(&mut self, line: &ResultLine, signs: &mut Vec<Sign>) {
        if let Some(cost) = dollars(line.total_cost_usd.number()) {
            let usage = line.model_usage.0.iter().map(|model| &model.0);
            let sum = |count: fn(&ModelUsage) -> u64| usage.clone().map(count).fold(0, u64::saturating_add);
            self.spending.result(Spent {
                input_tokens: sum(ModelUsage::input),
                output_tokens: sum(|model| count(&model.output_tokens)),
                cost_microusd: count(&Loose::Number(cost * 1e6)),
                is_exact: true,
            });
            self.tell_spent(signs);
        }
        signs.push(Sign::Over);
    }

    fn answered(&mut self, signs: &mut Vec<Sign>) {
        if self.standing != Standing::Answered {
            self.standing = Standing::Answered;
            signs.push(Sign::Answered);
        }
    }

    /// What went wrong with a request: a refusal is told once, until an answer shows that it is over.
    fn trouble(&mut self, error: &Loose, signs: &mut Vec<Sign>) {
        let is_refused = error.text() == Some("authentication_failed");
        match self.standing {
            Standing::Refused => {}
            _ if is_refused => {
                self.standing = Standing::Refused;
                signs.push(Sign::Refused);
            }
            _ => self.standing = Standing::Unknown,
        }
    }

    fn rate_limit(&mut self, line: &RateLimit, signs: &mut Vec<Sign>) {
        let window = line.window();
        if window.is_rejected && self.standing == Standing::Answered {
            self.standing = Standing::Unknown;
        }
        signs.push(Sign::Window(window));
    }

    fn tell_spent(&mut self, signs: &mut Vec<Sign>) {
        let total = self.spending.total();
        if total != self.told {
            self.told = total;
            signs.push(Sign::Spent(total));
        }
    }

    fn tell_todo(&mut self, signs: &mut Vec<Sign>) {
        let (done, active) = self.todo.progress();
        let small = |number| u32::try_from(number).unwrap_or(u32::MAX);
        let now = (small(done), small(self.todo.items().len()), active.chars().take(MAX_ACTIVE).collect::<String>());
        if now != self.told_todo {
            signs.push(Sign::Todo { done: now.0, total: now.1, active: now.2.clone() });
            self.told_todo = now;
        }
    }
}

fn init(line: &Init, signs: &mut Vec<Sign>) {
    signs.push(Sign::Session {
        id: clip(line.session_id.text().unwrap_or_default(), MAX_NAME).to_owned(),
        pays_by_key: line.api_key_source.text().is_some_and(|source| source != "none"),
    });
}

/// A request for permission as a question.
///
/// The key becomes a file's name. The CLI's request ids are UUIDs; a request whose id could not name a file is not one of
/// its own and is left unanswered.
fn question(line: ControlRequest) -> Option<Question> {
    let (key, request) = (line.request_id.text()?, line.request);
    let is_name = |key: &str| key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if request.subtype != "can_use_tool" || key.is_empty() || key.len() > MAX_KEY || !is_name(key) {
        return None;
    }
    let suggestions = request.permission_suggestions.as_array().map_or(&[][..], Vec::as_slice);
    let mut rules: Vec<String> = suggestions.iter().flat_map(allowed).collect();
    // The bare name of the shell would allow every command: without a rule of the CLI's there is no "always" for it.
    if rules.is_empty() && request.tool_name != "Bash" {
        rules.push(request.tool_name.clone());
    }
    let body = QuestionBody::Permission { tool: request.tool_name, input: request.input, rules };
    Some(Question { key: key.to_owned(), body })
}

/// The rules of a suggestion to allow some.
fn allowed(suggestion: &Value) -> Vec<String> {
    if suggestion["type"] != "addRules" || suggestion["behavior"] != "allow" {
        return Vec::new();
    }
    let rule = |rule: &Value| {
        let tool = rule["toolName"].as_str()?;
        Some(match rule["ruleContent"].as_str() {
            Some(content) => format!("{tool}({content})"),
            None => tool.to_owned(),
        })
    };
    suggestion["rules"].as_array().into_iter().flatten().filter_map(rule).collect()
}

#[cfg(test)]
mod tests;
