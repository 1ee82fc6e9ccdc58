//! Faults in files, told so that a person can mend them: where, what, why, what to do.

use std::fmt;

use serde::{Deserialize, Serialize};
use unicode_width::UnicodeWidthStr;

/// Faults that are shown; the rest is counted.
const MAX_SHOWN: usize = 100;
/// Columns of source that are shown on either side of a fault.
const EXCERPT: usize = 100;

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// The file, as it was named.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// What is wrong, and why.
    pub message: String,
    /// What to do; empty when that is plain.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hint: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)?;
        if self.hint.is_empty() { Ok(()) } else { write!(f, "\n  help: {}", self.hint) }
    }
}

/// Faults for people, each of the first one's file with the line it is on and a mark under its place.
pub fn render(faults: &[Diagnostic], source: &str) -> String {
    let lines: Vec<&str> = source.split('\n').collect();
    // Those of files that this one names come behind its own, and their text is not known here.
    let file = faults.first().map(|fault| fault.file.as_str());
    let mut text = String::new();
    for fault in faults.iter().take(MAX_SHOWN) {
        text.push_str(&format!("{}:{}:{}: {}\n", fault.file, fault.line, fault.column, fault.message));
        if let Some(line) = lines.get((fault.line as usize).wrapping_sub(1)).filter(|_| file == Some(fault.file.as_str())) {
            text.push_str(&excerpt(line, fault.line, fault.column as usize));
        }
        if !fault.hint.is_empty() {
            text.push_str(&format!("  help: {}\n", fault.hint));
        }
    }
    if faults.len() > MAX_SHOWN {
        text.push_str(&format!("and {} more\n", faults.len() - MAX_SHOWN));
    }
    text
}

fn excerpt(line: &str, number: u32, column: usize) -> String {
    let shown: Vec<char> = line.chars().map(|c| if is_treacherous(c) { ' ' } else { c }).collect();
    let place = column.saturating_sub(1).min(shown.len());
    let start = place.saturating_sub(EXCERPT / 2);
    let part: String = shown.iter().skip(start).take(EXCERPT).collect();
    if part.trim().is_empty() {
        return String::new();
    }
    let margin = " ".repeat(number.to_string().len());
    // The mark stands under its place on the screen, where some characters take two columns.
    let before: String = part.chars().take(place - start).collect();
    format!(" {number} | {}\n {margin} | {}^\n", part.trim_end(), " ".repeat(before.width()))
}

/// Whether a terminal would obey a character instead of showing it: control characters, and those that show nothing and
/// reverse or hide other text. The joiner and the variation selectors are none, since emoji are made with them.
pub fn is_treacherous(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}' | '\u{200c}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// A message that quotes a file, with nothing in it that a terminal would obey.
pub fn harmless(text: String) -> String {
    if !text.contains(is_treacherous) {
        return text;
    }
    text.chars().map(|c| if is_treacherous(c) { c.escape_unicode().to_string() } else { c.to_string() }).collect()
}

/// The place of a byte of a text, line and column from 1.
pub fn place_of(text: &str, offset: usize) -> (u32, u32) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
}

/// Names that are compared in the search for a near miss: a file may hold many faults and 100,000 names.
const MAX_COMPARED: usize = 5_000;

/// The name most like `wanted` among (the first 5,000 of) `names`, when one is like it at all.
pub fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = |name: &str| 1 + wanted.len().min(name.len()) / 4;
    names
        .into_iter()
        .take(MAX_COMPARED)
        .filter(|name| name.len().abs_diff(wanted.len()) <= allowed(name))
        .map(|name| (strsim::osa_distance(wanted, name), name))
        .filter(|(distance, name)| *distance <= allowed(name))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_shown_under_its_line() {
        let fault = Diagnostic { file: "a.yaml".into(), line: 2, column: 3, message: "no".into(), hint: "yes".into() };
        let expected = "a.yaml:2:3: no\n 2 | b: c\n   |   ^\n  help: yes\n";
        assert_eq!(render(std::slice::from_ref(&fault), "x\nb: c\n"), expected);
        assert_eq!(fault.to_string(), "a.yaml:2:3: no\n  help: yes");
    }

    #[test]
    fn positions_beyond_the_text_are_harmless() {
        for (line, column) in [(0, 0), (1, 999), (99, 1), (u32::MAX, u32::MAX)] {
            let fault = Diagnostic { file: "f".into(), line, column, message: "m".into(), hint: String::new() };
            assert!(render(&[fault], "é\u{1b}\n").starts_with("f:"));
        }
    }

    #[test]
    fn a_near_miss_is_near() {
        assert_eq!(nearest("max_paralel", ["max_parallel", "name"]), Some("max_parallel"));
        assert_eq!(nearest("zzz", ["max_parallel", "name"]), None);
        assert_eq!(nearest("foo", ["pool", "run"]), None);
        assert_eq!(nearest("polo", ["pool", "name"]), Some("pool"));
    }

    #[test]
    fn the_mark_stands_under_wide_characters_and_nothing_quoted_is_obeyed() {
        let fault = Diagnostic { file: "f".into(), line: 1, column: 3, message: "m".into(), hint: String::new() };
        assert_eq!(render(&[fault], "日本x\u{1b}[2J\u{202e}"), "f:1:3: m\n 1 | 日本x [2J\n   |     ^\n");
        assert_eq!(harmless("a\u{1b}[2Jb\u{202e}é".to_owned()), "a\\u{1b}[2Jb\\u{202e}é");
        assert_eq!(place_of("a\né日x", 7), (2, 3));
    }
}
