//! JSON with positions: the same tree, for texts that are valid JSON.

use super::tree::{Node, Style, Value};
use super::{MAX_DEPTH, Parsed};

/// The text is no JSON (or nests too deep); YAML's parser then says what is wrong.
pub(super) struct NotJson;

pub(super) fn parse(text: &str) -> Result<Parsed, NotJson> {
    // serde_json decides what is valid; what follows only finds the places.
    serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|_| NotJson)?;
    let mut reader = Reader { text, at: 0, line: 1, column: 1, counted: 0 };
    let root = reader.value(0)?;
    Ok(Parsed { root: Some(root), faults: Vec::new() })
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    line: u32,
    /// The column of the byte `counted`: counting goes on from there, since a whole file may be one line.
    column: u32,
    counted: usize,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Result<Node, NotJson> {
        if depth > MAX_DEPTH {
            return Err(NotJson);
        }
        self.space();
        let (line, column) = (self.line, self.column());
        let value = match self.peek() {
            Some(b'{') => Value::Map(self.object(depth)?),
            Some(b'[') => Value::List(self.list(depth)?),
            Some(b'"') => Value::Scalar { text: self.string()?, style: Style::Quoted },
            _ => {
                let word = self.word();
                if word == "null" { Value::Null } else { Value::Scalar { text: word.to_owned(), style: Style::Plain } }
            }
        };
        Ok(Node { line, column, value })
    }

    fn object(&mut self, depth: usize) -> Result<Vec<(Node, Node)>, NotJson> {
        let mut entries = Vec::new();
        self.at += 1;
        loop {
            self.space();
            match self.peek() {
                Some(b'}') => {
                    self.at += 1;
                    return Ok(entries);
                }
                Some(b',') => self.at += 1,
                Some(_) => {
                    let key = self.value(depth + 1)?;
                    self.space();
                    self.at += 1;
                    entries.push((key, self.value(depth + 1)?));
                }
                None => return Err(NotJson),
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, NotJson> {
        let mut items = Vec::new();
        self.at += 1;
        loop {
            self.space();
            match self.peek() {
                Some(b']') => {
                    self.at += 1;
                    return Ok(items);
                }
                Some(b',') => self.at += 1,
                Some(_) => items.push(self.value(depth + 1)?),
                None => return Err(NotJson),
            }
        }
    }

    fn string(&mut self) -> Result<String, NotJson> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'\\') => self.at += 2,
                Some(b'"') => break,
                Some(_) => self.at += 1,
                None => return Err(NotJson),
            }
        }
        self.at += 1;
        self.text.get(start..self.at).and_then(|quoted| serde_json::from_str(quoted).ok()).ok_or(NotJson)
    }

    fn word(&mut self) -> &str {
        let start = self.at;
        while self.peek().is_some_and(|byte| !matches!(byte, b',' | b']' | b'}') && !byte.is_ascii_whitespace()) {
            self.at += 1;
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn space(&mut self) {
        while let Some(byte) = self.peek().filter(u8::is_ascii_whitespace) {
            self.at += 1;
            if byte == b'\n' {
                self.line += 1;
                (self.column, self.counted) = (1, self.at);
            }
        }
    }

    fn column(&mut self) -> u32 {
        let before = self.text.get(self.counted..self.at).unwrap_or_default();
        self.column = self.column.saturating_add(u32::try_from(before.chars().count()).unwrap_or(u32::MAX));
        self.counted = self.at;
        self.column
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}
