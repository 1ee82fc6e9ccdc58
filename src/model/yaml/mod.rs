//! YAML and JSON as one positioned tree, so that a check can go on after a fault and tell all of them with their places.

mod json;
#[cfg(test)]
mod tests;
mod tree;

pub use tree::{Node, Style, Value};

/// Deepest nesting.
const MAX_DEPTH: usize = 64;

/// Something in the text that is no tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// A text as a tree.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The tree; none for an empty text or one that is no tree.
    pub root: Option<Node>,
    /// What is wrong with it.
    pub faults: Vec<Fault>,
}

/// Reads a text. One that begins with `{` or `[` and is valid JSON is read as JSON (which has escapes that YAML has not).
pub fn parse(text: &str) -> Parsed {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_start().starts_with(['{', '['])
        && let Ok(parsed) = json::parse(text)
    {
        return parsed;
    }
    tree::parse(text)
}
