//! A block of a conversation as lines of a width.

use crate::config::theme::Role;
use crate::model::conversation::{Block, Call, Ended, Permission, Question};
use crate::model::money::{Dollars, micro};
use crate::tui::text::harmless::tamed;
use crate::tui::text::markdown::{self, Tone};
use crate::tui::text::{cut, time, wrap};

/// Lines of a tool's input and answer that are shown when it is unfolded.
const MAX_UNFOLDED: usize = 400;

/// A line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    /// Its words with their roles.
    pub words: Vec<(String, Role)>,
    /// What stands at its right end.
    pub right: Option<(String, Role)>,
}

impl Line {
    /// With words alone.
    pub fn new(words: Vec<(String, Role)>) -> Line {
        Line { words, right: None }
    }

    /// Its text.
    pub fn text(&self) -> String {
        self.words.iter().map(|(text, _)| text.as_str()).collect()
    }
}

/// The lines of a block. `open` unfolds what a tool was given and answered.
pub fn lines(block: &Block, width: usize, open: bool, dollars: Dollars) -> Vec<Line> {
    let unicode = dollars.unicode;
    let pick = |one: &'static str, other: &'static str| if unicode { one } else { other };
    match block {
        Block::Session { model, mode, .. } => {
            vec![Line::new(vec![(tamed(&format!("session {} {model}, {mode}", pick("·", "-"))), Role::Dim)])]
        }
        Block::Said { text, depth } => said(text, *depth, width, pick("◉ ", "* "), unicode),
        Block::Thought { text, depth } => thought(text, *depth, width, open, unicode),
        Block::Prompted { text, depth } => {
            let mark = (format!("{}{} ", indent(*depth, unicode), pick("❯", ">")), Role::Accent);
            prose(text, width, mark, Role::Strong)
        }
        Block::Call(call) => self::call(call, width, open, unicode),
        Block::Result { result, .. } => {
            let head = "an earlier call".to_owned();
            call(&Call { argument: head, result: Some(result.clone()), ..Call::default() }, width, open, unicode)
        }
        Block::Question(question) => self::question(question, width, unicode),
        Block::Notice { text, is_warning } => {
            let role = if *is_warning { Role::Warning } else { Role::Dim };
            prose(text, width, (format!("{} ", pick("…", "..")), role), role)
        }
        Block::Ended(ended) => self::ended(ended, width, dollars),
        Block::Raw { text } => prose(text, width, (format!("{} ", pick("…", "..")), Role::Dim), Role::Dim),
    }
}

fn indent(depth: u8, unicode: bool) -> String {
    let bar = if unicode { "╎ " } else { ": " };
    bar.repeat(usize::from(depth.min(4)))
}

fn said(text: &str, depth: u8, width: usize, mark: &str, unicode: bool) -> Vec<Line> {
    let indent = indent(depth, unicode);
    let used = cut::width(&indent) + 2;
    let mut lines: Vec<Line> = markdown::lines(text, width.saturating_sub(used))
        .into_iter()
        .enumerate()
        .map(|(number, spans)| {
            let lead = if number == 0 { mark } else { "  " };
            let mut words = vec![(format!("{indent}{lead}"), Role::Accent)];
            words.extend(spans.into_iter().map(|span| (span.text, role(span.tone))));
            Line::new(words)
        })
        .collect();
    lines.push(Line::default());
    lines.insert(0, Line::default());
    lines
}

fn role(tone: Tone) -> Role {
    match tone {
        Tone::Text => Role::Text,
        Tone::Strong => Role::Strong,
        Tone::Emphasis => Role::Emphasis,
        Tone::Code => Role::Code,
        Tone::Heading => Role::Heading,
        Tone::Link => Role::Link,
        Tone::Quote => Role::Quote,
        Tone::Dim => Role::Dim,
    }
}

/// Plain text behind a mark.
fn prose(text: &str, width: usize, mark: (String, Role), role: Role) -> Vec<Line> {
    let used = cut::width(&mark.0);
    let mut lines = Vec::new();
    for line in text.lines().take(MAX_UNFOLDED) {
        for part in wrap::prose(&tamed(line), width.saturating_sub(used)) {
            let lead = if lines.is_empty() { mark.clone() } else { (" ".repeat(used), role) };
            lines.push(Line::new(vec![lead, (part, role)]));
        }
    }
    lines
}

fn thought(text: &str, depth: u8, width: usize, open: bool, unicode: bool) -> Vec<Line> {
    let sign = fold_sign(open, unicode);
    let mark = (format!("{}{sign} thinking  ", indent(depth, unicode)), Role::Dim);
    if open {
        return prose(text, width, mark, Role::Dim);
    }
    let room = width.saturating_sub(cut::width(&mark.0));
    let first = tamed(text.trim().lines().next().unwrap_or_default());
    let dots = if unicode { "…" } else { ".." };
    vec![Line::new(vec![mark, (cut::end(&first, room, dots).into_owned(), Role::Dim)])]
}

fn fold_sign(open: bool, unicode: bool) -> &'static str {
    match (open, unicode) {
        (true, true) => "▾",
        (false, true) => "▸",
        (true, false) => "v",
        (false, false) => ">",
    }
}

fn call(call: &Call, width: usize, open: bool, unicode: bool) -> Vec<Line> {
    let dots = if unicode { "…" } else { ".." };
    let indent = indent(call.depth, unicode);
    let (summary, role) = match &call.result {
        None => ("running".to_owned(), Role::Busy),
        Some(result) if result.is_error => (tamed(&result.summary), Role::Bad),
        Some(result) => (tamed(&result.summary), Role::Dim),
    };
    let right = cut::end(&summary, width / 3, dots).into_owned();
    let lead = format!("{indent}{} ", fold_sign(open, unicode));
    let name = tamed(&call.name);
    let used = cut::width(&lead) + cut::width(&name) + 1 + cut::width(&right) + 2;
    let argument = tamed(&call.argument.replace('\n', " "));
    // A path tells most at its end, a command at its beginning.
    let room = width.saturating_sub(used);
    let is_path = matches!(call.name.as_str(), "Read" | "Write" | "Edit" | "MultiEdit" | "NotebookEdit");
    let argument = if is_path { cut::middle(&argument, room, dots) } else { cut::end(&argument, room, dots) }.into_owned();
    let head = Line {
        words: vec![(lead, Role::Dim), (format!("{name} "), Role::Tool), (argument, Role::Text)],
        right: Some((right, role)),
    };
    let mut lines = vec![head];
    if open {
        let body = |text: &str, role: Role, lines: &mut Vec<Line>| {
            for line in text.lines().take(MAX_UNFOLDED) {
                let mut sgr = crate::tui::text::ansi::Sgr::default();
                let plain: String =
                    crate::tui::text::ansi::line(line.as_bytes(), &mut sgr).into_iter().map(|part| part.text).collect();
                lines.push(Line::new(vec![(format!("{indent}    {}", cut::end(&plain, width.saturating_sub(4), dots)), role)]));
            }
        };
        body(&call.input, Role::Dim, &mut lines);
        if let Some(result) = &call.result {
            body(&result.text, if result.is_error { Role::Bad } else { Role::Code }, &mut lines);
        }
    }
    lines
}

fn question(question: &Question, width: usize, unicode: bool) -> Vec<Line> {
    let (right, role) = match question.answer {
        None => ("waits for an answer", Role::Warning),
        Some(Permission::Allowed) => ("allowed", Role::Dim),
        Some(Permission::Denied) => ("denied", Role::Warning),
        Some(Permission::Withdrawn) => ("no longer asked", Role::Dim),
    };
    let text = tamed(&format!("{} {}", question.tool, question.argument.replace('\n', " ")));
    let room = width.saturating_sub(4 + cut::width(right));
    let text = cut::end(&text, room, if unicode { "…" } else { ".." }).into_owned();
    vec![Line { words: vec![("? ".to_owned(), role), (text, role)], right: Some((right.to_owned(), role)) }]
}

fn ended(ended: &Ended, width: usize, dollars: Dollars) -> Vec<Line> {
    let unicode = dollars.unicode;
    let dot = if unicode { " · " } else { ", " };
    let mut parts = vec![match (ended.is_error, unicode) {
        (false, true) => "✓ done".to_owned(),
        (false, false) => "+ done".to_owned(),
        (true, true) => "✘ failed".to_owned(),
        (true, false) => "x failed".to_owned(),
    }];
    parts.extend(ended.turns.map(|turns| if turns == 1 { "1 turn".to_owned() } else { format!("{turns} turns") }));
    parts.extend(ended.cost_usd.and_then(micro).map(|cost| dollars.show(cost)).filter(|cost| !cost.is_empty()));
    parts.extend(ended.duration_ms.map(time::duration));
    let role = if ended.is_error { Role::Bad } else { Role::Good };
    let mut lines = vec![Line::new(vec![(parts.join(dot), role)])];
    if ended.is_error {
        lines.extend(prose(&ended.text, width, ("  ".to_owned(), Role::Bad), Role::Bad));
    }
    for denial in &ended.denials {
        lines.extend(prose(denial, width, ("  denied: ".to_owned(), Role::Warning), Role::Warning));
    }
    lines
}
