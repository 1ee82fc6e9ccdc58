//! The tree, and its building from YAML events.

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::{Fault, MAX_DEPTH, Parsed};

/// A value and where it begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// What it is.
    pub value: Value,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing: `null`, `~` or empty.
    Null,
    /// Text, a number or a boolean.
    Scalar {
        /// As written, without quotes and escapes.
        text: String,
        /// How it was written; only a plain one can be a number or a boolean.
        style: Style,
    },
    /// A list.
    List(Vec<Node>),
    /// A mapping, in order, with its keys' places.
    Map(Vec<(Node, Node)>),
}

/// How a scalar was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Without quotes.
    Plain,
    /// In quotes.
    Quoted,
    /// A block after `|`: its lines are the file's lines.
    Literal,
    /// A block after `>`.
    Folded,
}

impl Node {
    /// Its text, whatever it could mean besides.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// Its text when it was not written in quotes.
    pub fn plain(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, style: Style::Plain } => Some(text),
            _ => None,
        }
    }

    /// Its boolean.
    pub fn boolean(&self) -> Option<bool> {
        match self.plain()? {
            "true" | "True" | "TRUE" => Some(true),
            "false" | "False" | "FALSE" => Some(false),
            _ => None,
        }
    }

    /// What it is, for messages.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Scalar { .. } if self.boolean().is_some() => "a boolean",
            Value::Scalar { .. } if self.plain().is_some_and(|text| text.parse::<f64>().is_ok()) => "a number",
            Value::Scalar { .. } => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// The same as JSON.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Scalar { text, .. } => {
                if let Some(boolean) = self.boolean() {
                    return boolean.into();
                }
                let number = self.plain().and_then(|text| serde_json::from_str::<serde_json::Number>(text).ok());
                number.map_or_else(|| text.clone().into(), serde_json::Value::Number)
            }
            Value::List(items) => items.iter().map(Node::to_json).collect(),
            Value::Map(entries) => {
                let pairs = entries.iter().map(|(key, value)| (key.text().unwrap_or_default().to_owned(), value.to_json()));
                serde_json::Value::Object(pairs.collect())
            }
        }
    }
}

pub(super) fn parse(text: &str) -> Parsed {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        match event {
            Ok((event, span)) => {
                if !builder.take(event, &span) {
                    break;
                }
            }
            Err(error) => {
                let marker = error.marker();
                let has_tab = |line: &str| line.trim_start_matches(' ').starts_with('\t');
                // The parser notices a tab a line late at times.
                let near = text.lines().skip(marker.line().saturating_sub(2)).take(2).any(has_tab);
                let info = error.info();
                let hint = match info {
                    _ if near => "a tab stands where blanks belong: YAML is indented by blanks",
                    "recursion limit exceeded" => "nothing here nests so deep",
                    _ => remedy(info),
                };
                builder.fault(marker.line(), marker.col() + 1, info.to_owned(), hint);
                builder.root = None;
                break;
            }
        }
    }
    Parsed { root: builder.root, faults: builder.faults }
}

/// What to do about a fault that YAML's parser tells in its own words.
fn remedy(info: &str) -> &'static str {
    match info {
        _ if info.contains("mapping values are not allowed") => {
            "put text that holds `: ` in quotes, or after a `|` on lines of its own; else check the indentation"
        }
        _ if info.contains("unexpected character") => "put text that begins with this character in quotes",
        _ if info.contains("quoted scalar") || info.contains("end of stream") => "close the quotes, and indent what is in them",
        _ if info.contains("',' or") => "a comma or a closing bracket is missing before this place",
        _ if info.contains("expected") => "check indentation, quotes and brackets from this line upwards",
        _ => "this is no YAML from here on",
    }
}

/// What is being built.
enum Open {
    List(Node),
    Map(Node, Option<Node>),
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    root: Option<Node>,
    documents: usize,
    faults: Vec<Fault>,
}

impl Builder {
    /// Takes an event; false when it makes no sense to go on.
    fn take(&mut self, event: Event<'_>, span: &Span) -> bool {
        let (line, column) = (span.start.line(), span.start.col() + 1);
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    self.fault(line, column, "a second document begins here".to_owned(), "write one document in a file");
                    return false;
                }
                true
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.plain_features(line, column, anchor, tag.as_deref());
                let style = match style {
                    ScalarStyle::Plain => Style::Plain,
                    ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted,
                    ScalarStyle::Literal => Style::Literal,
                    ScalarStyle::Folded => Style::Folded,
                };
                let value = match (style, text.as_ref()) {
                    (Style::Plain, "" | "~" | "null" | "Null" | "NULL") => Value::Null,
                    _ => Value::Scalar { text: text.into_owned(), style },
                };
                self.add(node(line, column, value));
                true
            }
            Event::SequenceStart(anchor, tag) => {
                self.plain_features(line, column, anchor, tag.as_deref());
                self.begin(line, column, Open::List(node(line, column, Value::List(Vec::new()))))
            }
            Event::MappingStart(anchor, tag) => {
                self.plain_features(line, column, anchor, tag.as_deref());
                self.begin(line, column, Open::Map(node(line, column, Value::Map(Vec::new())), None))
            }
            Event::SequenceEnd | Event::MappingEnd => {
                match self.open.pop() {
                    Some(Open::List(node) | Open::Map(node, _)) => self.add(node),
                    None => {}
                }
                true
            }
            Event::Alias(_) => {
                self.fault(line, column, "aliases (`*name`) are not supported".to_owned(), "write it out");
                self.add(node(line, column, Value::Null));
                true
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => true,
        }
    }

    fn begin(&mut self, line: usize, column: usize, open: Open) -> bool {
        if self.open.len() >= MAX_DEPTH {
            self.fault(line, column, format!("nested deeper than {MAX_DEPTH}"), "nothing here nests so deep");
            self.root = None;
            return false;
        }
        self.open.push(open);
        true
    }

    /// Anchors and tags change what a text means; neither is needed here.
    fn plain_features(&mut self, line: usize, column: usize, anchor: usize, tag: Option<&Tag>) {
        if anchor > 0 {
            self.fault(line, column, "anchors (`&name`) are not supported".to_owned(), "write it out where it is used");
        }
        if let Some(tag) = tag.filter(|tag| !tag.is_yaml_core_schema()) {
            self.fault(line, column, format!("the tag `{}{}` means nothing here", tag.handle, tag.suffix), "leave it out");
        }
    }

    fn add(&mut self, node: Node) {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List(list)) => {
                if let Value::List(items) = &mut list.value {
                    items.push(node);
                }
            }
            Some(Open::Map(_, key @ None)) => *key = Some(node),
            Some(Open::Map(map, key)) => {
                if let (Value::Map(entries), Some(key)) = (&mut map.value, key.take()) {
                    entries.push((key, node));
                }
            }
        }
    }

    fn fault(&mut self, line: usize, column: usize, message: String, hint: &str) {
        self.faults.push(Fault { line: place(line), column: place(column), message, hint: hint.to_owned() });
    }
}

fn node(line: usize, column: usize, value: Value) -> Node {
    Node { line: place(line), column: place(column), value }
}

fn place(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX).max(1)
}
