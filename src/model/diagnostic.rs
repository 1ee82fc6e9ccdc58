//! Faults in files, told so that a person can mend them: where, what, why, what to do.

use std::fmt;

use serde::{Deserialize, Serialize};

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

/// Faults for people, each with the line it is on and a mark under its place.
pub fn render(faults: &[Diagnostic], source: &str) -> String {
    let lines: Vec<&str> = source.split('\n').collect();
    let mut text = String::new();
    for fault in faults.iter().take(MAX_SHOWN) {
        text.push_str(&format!("{}:{}:{}: {}\n", fault.file, fault.line, fault.column, fault.message));
        if let Some(line) = lines.get((fault.line as usize).wrapping_sub(1)) {
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
    let shown: Vec<char> = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let place = column.saturating_sub(1).min(shown.len());
    let start = place.saturating_sub(EXCERPT / 2);
    let part: String = shown.iter().skip(start).take(EXCERPT).collect();
    if part.trim().is_empty() {
        return String::new();
    }
    let margin = " ".repeat(number.to_string().len());
    format!(" {number} | {}\n {margin} | {}^\n", part.trim_end(), " ".repeat(place - start))
}

/// Names that are compared in the search for a near miss: a file may hold many faults and 100,000 names.
const MAX_COMPARED: usize = 5_000;

/// The name most like `wanted` among (the first 5,000 of) `names`, when one is like it at all.
pub fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = |name: &str| 1 + wanted.len().max(name.len()) / 4;
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
    }
}
