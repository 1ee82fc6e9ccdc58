//! Texts and expressions of a template.

/// How a literal `{{` is written.
pub(super) const LITERAL: &str = "{{ \"{{\" }}";

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// Text.
    Text(&'a str),
    /// What stands between `{{` and `}}`, without blanks around it.
    Expression { source: &'a str, offset: usize },
    /// A `{{` that nothing closes.
    Open { offset: usize },
}

/// The pieces of a template, in order.
pub(super) fn split(text: &str) -> Vec<Part<'_>> {
    let (mut parts, mut start) = (Vec::new(), 0);
    while let Some(open) = text[start..].find("{{").map(|at| at + start) {
        if open > start {
            parts.push(Part::Text(&text[start..open]));
        }
        if text[open..].starts_with(LITERAL) {
            parts.push(Part::Text("{{"));
            start = open + LITERAL.len();
            continue;
        }
        let Some(length) = closing(&text[open + 2..]) else {
            parts.push(Part::Open { offset: open });
            return parts;
        };
        parts.push(Part::Expression { source: text[open + 2..open + 2 + length].trim(), offset: open });
        start = open + 2 + length + 2;
    }
    if start < text.len() {
        parts.push(Part::Text(&text[start..]));
    }
    parts
}

/// Where `}}` stands outside of string literals.
fn closing(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut at, mut quote) = (0, None);
    while at < bytes.len() {
        match (quote, bytes[at]) {
            (Some(_), b'\\') => at += 1,
            (Some(open), byte) if byte == open => quote = None,
            (None, byte @ (b'"' | b'\'')) => quote = Some(byte),
            (None, b'}') if bytes.get(at + 1) == Some(&b'}') => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

/// A name in an expression, with what follows it after dots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path<'a> {
    /// Its parts: `tasks`, `some-id`, `result`.
    pub parts: Vec<&'a str>,
    /// Where it stands in the expression.
    pub range: std::ops::Range<usize>,
}

/// The paths in an expression, outside of string literals. Ids of tasks may hold `-`, other names may not.
pub(super) fn paths(source: &str) -> Vec<Path<'_>> {
    let bytes = source.as_bytes();
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let (mut found, mut at, mut quote) = (Vec::new(), 0, None);
    while at < bytes.len() {
        match (quote, bytes[at]) {
            (Some(_), b'\\') => at += 2,
            (Some(open), byte) => {
                if byte == open {
                    quote = None;
                }
                at += 1;
            }
            (None, byte @ (b'"' | b'\'')) => {
                quote = Some(byte);
                at += 1;
            }
            (None, byte) if byte.is_ascii_alphabetic() || byte == b'_' => {
                let start = at;
                let mut parts = Vec::new();
                loop {
                    let from = at;
                    let is_id = parts == ["tasks"];
                    while at < bytes.len() && (is_word(bytes[at]) || (is_id && bytes[at] == b'-')) {
                        at += 1;
                    }
                    parts.push(&source[from..at]);
                    let dotted = bytes.get(at) == Some(&b'.') && bytes.get(at + 1).is_some_and(|byte| is_word(*byte));
                    if !dotted {
                        break;
                    }
                    at += 1;
                }
                found.push(Path { parts, range: start..at });
            }
            (None, byte) if byte.is_ascii_digit() => {
                while at < bytes.len() && (is_word(bytes[at]) || bytes[at] == b'.') {
                    at += 1;
                }
            }
            _ => at += 1,
        }
    }
    found
}

/// The expression with `tasks.ID` written as `tasks["ID"]`, so that an id may hold `-` or begin with a digit.
pub(super) fn with_brackets(source: &str) -> String {
    let (mut rewritten, mut from) = (String::with_capacity(source.len() + 8), 0);
    for path in paths(source) {
        if let ["tasks", id, rest @ ..] = path.parts.as_slice() {
            rewritten.push_str(&source[from..path.range.start]);
            rewritten.push_str(&format!("tasks[\"{id}\"]"));
            for part in rest {
                rewritten.push('.');
                rewritten.push_str(part);
            }
            from = path.range.end;
        }
    }
    rewritten.push_str(&source[from..]);
    rewritten
}
