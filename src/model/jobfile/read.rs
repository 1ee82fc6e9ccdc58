//! Reading typed values from the tree; every fault is noted with its place, and reading goes on.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::diagnostic::{Diagnostic, harmless, nearest};
use crate::model::spec::PRIORITIES;
use crate::model::units;
use crate::model::yaml::{Node, Style, Value};

use super::ParseOptions;
use super::child::Trail;
use super::keys::Keys;

/// Faults that are collected; a file with more is not worth more.
pub const MAX_FAULTS: usize = 1_000;

/// Collects faults while values are read.
pub(super) struct Reader<'a> {
    pub options: &'a ParseOptions<'a>,
    /// The files that led to this one.
    pub trail: &'a Trail<'a>,
    /// Parameters that have neither a default nor a value, when its parent is to give them one.
    pub missing: Vec<String>,
    lines: Vec<&'a str>,
    pub faults: Vec<Diagnostic>,
    pub warnings: Vec<Diagnostic>,
    /// The schemas of results that are sound, by their text: tasks that have the same share it.
    pub schemas: HashMap<String, Arc<serde_json::Value>>,
}

/// The values of a mapping by key.
pub(super) struct Fields<'n> {
    entries: Vec<(&'n str, &'n Node, &'n Node)>,
}

impl<'n> Fields<'n> {
    pub fn get(&self, key: &str) -> Option<&'n Node> {
        self.entries.iter().find(|(name, _, _)| *name == key).map(|(_, _, node)| *node)
    }

    /// The key's own place.
    pub fn key(&self, key: &str) -> Option<&'n Node> {
        self.entries.iter().find(|(name, _, _)| *name == key).map(|(_, node, _)| *node)
    }
}

impl<'a> Reader<'a> {
    pub fn new(text: &'a str, options: &'a ParseOptions<'a>, trail: &'a Trail<'a>) -> Reader<'a> {
        Reader {
            options,
            trail,
            missing: Vec::new(),
            lines: text.lines().collect(),
            faults: Vec::new(),
            warnings: Vec::new(),
            schemas: HashMap::new(),
        }
    }

    pub fn finish(mut self) -> Vec<Diagnostic> {
        // Those of files that this one names come behind its own, each file's in order.
        let own = self.options.file;
        self.faults.sort_by_key(|fault| if fault.file == own { (false, fault.line, fault.column) } else { (true, 0, 0) });
        self.faults.dedup();
        self.faults
    }

    pub fn diagnostic(&self, line: u32, column: u32, message: String, hint: &str) -> Diagnostic {
        Diagnostic {
            file: self.options.file.to_owned(),
            line,
            column,
            message: harmless(message),
            hint: harmless(hint.to_owned()),
        }
    }

    /// Whether so many faults are known that further ones would not be kept.
    pub fn is_full(&self) -> bool {
        self.faults.len() >= MAX_FAULTS
    }

    pub fn fault_at(&mut self, line: u32, column: u32, message: String, hint: &str) {
        if !self.is_full() {
            // A parser may place the end of the text behind its last line.
            let last = u32::try_from(self.lines.len()).unwrap_or(u32::MAX).max(1);
            let end = self.lines.last().map_or(0, |line| line.chars().count());
            let (line, column) =
                if line <= last { (line, column) } else { (last, u32::try_from(end).unwrap_or(u32::MAX - 1) + 1) };
            let fault = self.diagnostic(line, column, message, hint);
            self.faults.push(fault);
        }
    }

    pub fn fault(&mut self, node: &Node, message: String, hint: &str) {
        self.fault_at(node.line, node.column, message, hint);
    }

    pub fn warn(&mut self, node: &Node, message: String, hint: &str) {
        let warning = self.diagnostic(node.line, node.column, message, hint);
        self.warnings.push(warning);
    }

    /// Tells that the expressions in this text, one that is no template, stay as they are.
    pub fn literal(&mut self, node: &Node, what: &str) {
        if node.text().is_some_and(|text| text.contains("{{")) {
            let hint = "expressions work in run, command, args, prompt, accept and env";
            self.warn(node, format!("`{{{{` means nothing in {what}: it is taken as it stands"), hint);
        }
    }

    pub fn later(&mut self, node: &Node, what: &str) {
        self.fault(node, format!("{what} is known, but not in this version"), "leave it out for now");
    }

    /// The entries of a mapping; keys that stand twice are faults.
    pub fn entries<'n>(&mut self, node: &'n Node, what: &str) -> Vec<(&'n Node, &'n Node)> {
        let Value::Map(entries) = &node.value else {
            self.fault(node, format!("{what} is {}, not a mapping", node.kind()), "write `key: value` lines");
            return Vec::new();
        };
        let mut seen: HashMap<&str, &Node> = HashMap::new();
        let mut kept = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let Some(text) = key.text() else {
                self.fault(key, format!("a key of {what} is {}", key.kind()), "keys are text");
                continue;
            };
            if let Some(first) = seen.insert(text, key) {
                self.fault(key, format!("`{text}` stands twice, first in line {}", first.line), "keep one of them");
                continue;
            }
            kept.push((key, value));
        }
        kept
    }

    /// The fields of a mapping with these keys.
    pub fn fields<'n>(&mut self, node: &'n Node, what: &str, keys: Keys) -> Option<Fields<'n>> {
        if !matches!(node.value, Value::Map(_)) {
            self.fault(node, format!("{what} is {}, not a mapping", node.kind()), "write `key: value` lines");
            return None;
        }
        let mut fields = Vec::new();
        for (key, value) in self.entries(node, what) {
            let Some(text) = key.text() else { continue };
            if keys.known.contains(&text) {
                fields.push((text, key, value));
            } else if keys.later.contains(&text) {
                self.later(key, &format!("`{text}`"));
            } else {
                let hint = match nearest(text, keys.known.iter().chain(keys.later).copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("{what} has {}", keys.known.join(", ")),
                };
                let shown: String = text.chars().take(80).collect();
                self.fault(key, format!("{what} has no key `{shown}`"), &hint);
            }
        }
        Some(Fields { entries: fields })
    }

    /// Text: a string, or a number or boolean as it is written.
    pub fn text(&mut self, node: &Node) -> Option<String> {
        match node.text() {
            Some(text) if text.contains('\0') => {
                self.fault(node, "this text holds a NUL character".to_owned(), "take it out: no program can be given one");
                None
            }
            Some(text) => Some(text.to_owned()),
            None => {
                self.fault(node, format!("{} stands where text belongs", node.kind()), "write text, in quotes if need be");
                None
            }
        }
    }

    /// A whole number within bounds.
    pub fn whole(&mut self, node: &Node, least: u64, most: u64) -> Option<u64> {
        let number = node.plain().and_then(|text| text.replace('_', "").parse::<u64>().ok());
        match number {
            Some(number) if (least..=most).contains(&number) => Some(number),
            Some(number) => {
                self.fault(node, format!("{number} is out of bounds"), &format!("it is {least} to {most}"));
                None
            }
            None => {
                let found = shown(node);
                self.fault(node, format!("{found} is no whole number"), &format!("write {least} to {most}"));
                None
            }
        }
    }

    /// A priority: a whole number, which may be negative.
    pub fn priority(&mut self, node: &Node) -> Option<i32> {
        let (least, most) = (PRIORITIES.start(), PRIORITIES.end());
        match node.plain().and_then(|text| text.parse::<i64>().ok()) {
            Some(number) => {
                let priority = i32::try_from(number).ok().filter(|number| PRIORITIES.contains(number));
                if priority.is_none() {
                    let hint = format!("a priority is {least} to {most}, and higher ones go first");
                    self.fault(node, format!("{number} is out of bounds"), &hint);
                }
                priority
            }
            None => {
                let found = shown(node);
                self.fault(node, format!("{found} is no priority"), &format!("write a whole number, {least} to {most}"));
                None
            }
        }
    }

    /// A number within bounds.
    pub fn number(&mut self, node: &Node, least: f64, most: f64) -> Option<f64> {
        let number = node.plain().and_then(|text| text.parse::<f64>().ok()).filter(|number| number.is_finite());
        match number {
            Some(number) if (least..=most).contains(&number) => Some(number),
            Some(number) => {
                self.fault(node, format!("{number} is out of bounds"), &format!("it is {least} to {most}"));
                None
            }
            None => {
                let found = shown(node);
                self.fault(node, format!("{found} is no number"), &format!("write {least} to {most}"));
                None
            }
        }
    }

    /// A duration of at least `least` milliseconds.
    pub fn duration(&mut self, node: &Node, least: u64) -> Option<u64> {
        let text = self.text(node)?;
        match units::parse_duration(&text) {
            Ok(millis) if millis < least => {
                self.fault(node, format!("`{text}` is too short"), &format!("it is at least {least} ms"));
                None
            }
            Ok(millis) if millis > 3650 * 86_400_000 => {
                self.fault(node, format!("`{text}` is longer than ten years"), "leave it out for no limit");
                None
            }
            Ok(millis) => Some(millis),
            Err(why) => {
                self.fault(node, why, "");
                None
            }
        }
    }

    /// A size in bytes, at least `least`.
    pub fn size(&mut self, node: &Node, least: u64) -> Option<u64> {
        let text = self.text(node)?;
        match units::parse_size(&text) {
            Ok(bytes) if bytes < least => {
                self.fault(node, format!("`{text}` is too small"), &format!("it is at least {least} bytes"));
                None
            }
            Ok(bytes) => Some(bytes),
            Err(why) => {
                self.fault(node, why, "");
                None
            }
        }
    }

    /// One of some words.
    pub fn one_of<T: Copy>(&mut self, node: &Node, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(node)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let all = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
        let hint = match nearest(&text, words.iter().map(|(word, _)| *word)) {
            Some(near) => format!("did you mean `{near}`? It is one of {all}"),
            None => format!("it is one of {all}"),
        };
        self.fault(node, format!("{} is not known here", shown(node)), &hint);
        None
    }

    /// The items of a list.
    pub fn list<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [Node]> {
        match &node.value {
            Value::List(items) => Some(items),
            _ => {
                self.fault(node, format!("{what} is {}, not a list", node.kind()), "write [a, b], or a line `- a` for each");
                None
            }
        }
    }

    /// Line and column of the byte `offset` of a scalar's text, as near as its style tells.
    pub fn place_in(&self, node: &Node, offset: usize) -> (u32, u32) {
        let Value::Scalar { text, style } = &node.value else { return (node.line, node.column) };
        let before = text.get(..offset).unwrap_or(text);
        let columns = |line: &str| u32::try_from(line.chars().count()).unwrap_or(0);
        match style {
            // The lines of a literal block are the file's lines without their indentation; its place is that of
            // its first line that is not empty.
            Style::Literal => {
                let number = before.matches('\n').count();
                let empty = text.len() - text.trim_start_matches('\n').len();
                let line = node.line + u32::try_from(number.saturating_sub(empty)).unwrap_or(0);
                let source = self.lines.get(line as usize - 1).copied().unwrap_or_default();
                let content = text.lines().nth(number).unwrap_or_default();
                let indent = columns(source).saturating_sub(columns(content));
                (line, indent + 1 + columns(before.rsplit('\n').next().unwrap_or_default()))
            }
            Style::Plain if !text.contains('\n') => (node.line, node.column + columns(before)),
            Style::Quoted if !text.contains('\n') => (node.line, node.column + 1 + columns(before)),
            _ => (node.line, node.column),
        }
    }

    /// A list of texts; one text alone counts as a list of one.
    pub fn texts(&mut self, node: &Node, what: &str) -> Vec<String> {
        if matches!(node.value, Value::Scalar { .. }) {
            return self.text(node).into_iter().collect();
        }
        let items = self.list(node, what).unwrap_or_default();
        items.iter().filter_map(|item| self.text(item)).collect()
    }
}

/// A value as it was written, cut to a reasonable length.
fn shown(node: &Node) -> String {
    match node.text() {
        Some(text) => format!("`{}`", text.chars().take(80).collect::<String>()),
        None => node.kind().to_owned(),
    }
}
