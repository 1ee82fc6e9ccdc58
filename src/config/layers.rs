//! Files that build on one another by `base: NAME`: a user's file over one that is embedded.

use crate::model::diagnostic::{Diagnostic, nearest};
use crate::model::yaml::{self, Node, Style, Value};

/// Largest file; no keymap or theme that is meant comes near it.
const MAX_BYTES: usize = 256 * 1024;
/// Faults for which a near miss is sought: beyond them nobody reads, and each search costs.
const MAX_SOUGHT: usize = 200;
/// Characters of a file that are repeated in a message.
const MAX_QUOTED: usize = 60;

/// What is wrong, over all files.
#[derive(Default)]
pub struct Faults(Vec<Diagnostic>);

impl Faults {
    /// Adds one.
    pub fn add(&mut self, file: &str, (line, column): (u32, u32), message: impl Into<String>, hint: impl Into<String>) {
        self.0.push(Diagnostic { file: file.to_owned(), line, column, message: message.into(), hint: hint.into() });
    }

    /// A hint that names the near miss; `otherwise` when there is none.
    pub fn near<'a>(&self, wanted: &str, names: impl IntoIterator<Item = &'a str>, otherwise: &str) -> String {
        let found = if self.0.len() < MAX_SOUGHT { nearest(&wanted.to_lowercase(), names) } else { None };
        found.map_or_else(|| otherwise.to_owned(), |name| format!("did you mean `{name}`?"))
    }

    /// All, by file and place.
    pub fn into_sorted(mut self) -> Vec<Diagnostic> {
        self.0.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        self.0
    }
}

/// Text of a file as it may stand in a message: short, and without what a terminal would obey.
pub fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(MAX_QUOTED).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(MAX_QUOTED).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// Where a node begins.
pub fn place(node: &Node) -> (u32, u32) {
    (node.line, node.column)
}

/// The words of a text, each with the number of characters before it.
pub fn words(text: &str) -> impl Iterator<Item = (u32, &str)> {
    let mut offset = 0u32;
    text.split(' ').filter_map(move |word| {
        let at = offset;
        offset = offset.saturating_add(u32::try_from(word.chars().count()).unwrap_or(u32::MAX)).saturating_add(1);
        (!word.is_empty()).then_some((at, word))
    })
}

/// A place inside a scalar, as near as can be told.
pub fn inside(node: &Node, offset: u32) -> (u32, u32) {
    let before = match node.value {
        Value::Scalar { style: Style::Plain, .. } => offset,
        Value::Scalar { style: Style::Quoted, .. } => offset.saturating_add(1),
        _ => 0,
    };
    (node.line, node.column.saturating_add(before))
}

/// The embedded files of one kind.
pub struct Family<'a> {
    /// What they are, for messages.
    pub kind: &'static str,
    /// The one that holds when nothing else is named.
    pub default: &'static str,
    /// Their names and texts.
    pub embedded: &'a [(&'a str, &'a str)],
}

/// One file's top level, without `base`.
pub struct Layer {
    /// The file, as it is named in messages.
    pub file: String,
    /// Its entries.
    pub entries: Vec<(Node, Node)>,
}

impl Family<'_> {
    /// The files that make up `name`, the lowest first; each builds on those before it.
    pub fn layers(&self, name: &str, user: Option<(&str, &str)>, faults: &mut Faults) -> Vec<Layer> {
        let mut layers = Vec::new();
        let mut next = match user {
            Some((file, text)) => {
                let own = if self.text(name).is_some() { name } else { self.default };
                let (layer, base) = self.read(file, text, faults);
                layers.extend(layer);
                Some(base.unwrap_or_else(|| own.to_owned()))
            }
            None if self.text(name).is_some() => Some(name.to_owned()),
            None => {
                // The name's own place is known only to who asked for it.
                self.unknown(self.kind, (1, 1), name, faults);
                Some(self.default.to_owned())
            }
        };
        let mut seen = Vec::new();
        while let Some(name) = next.take() {
            let Some(text) = self.text(&name).filter(|_| !seen.contains(&name)) else { break };
            let (layer, base) = self.read(&format!("{name} (built in)"), text, faults);
            layers.extend(layer);
            seen.push(name);
            next = base;
        }
        layers.reverse();
        layers
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.embedded.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
    }

    fn unknown(&self, file: &str, at: (u32, u32), name: &str, faults: &mut Faults) {
        let names: Vec<&str> = self.embedded.iter().map(|(name, _)| *name).collect();
        let hint = faults.near(name, names.iter().copied(), &format!("there are {}", names.join(", ")));
        faults.add(file, at, format!("no {} is called {}; `{}` holds instead", self.kind, quoted(name), self.default), hint);
    }

    /// One file's entries, and its base.
    fn read(&self, file: &str, text: &str, faults: &mut Faults) -> (Option<Layer>, Option<String>) {
        if text.len() > MAX_BYTES {
            let message = format!("the file has {} KiB; at most {} are read", text.len().div_ceil(1024), MAX_BYTES / 1024);
            faults.add(file, (1, 1), message, format!("this is hardly a {}", self.kind));
            return (None, None);
        }
        let parsed = yaml::parse(text);
        for fault in parsed.faults {
            faults.add(file, (fault.line, fault.column), fault.message, fault.hint);
        }
        let Some(root) = parsed.root else { return (None, None) };
        let at = place(&root);
        let kind = root.kind();
        let entries = match root.value {
            Value::Map(entries) => entries,
            // An empty file, or one of comments, changes nothing.
            Value::Null => Vec::new(),
            Value::Scalar { .. } | Value::List(_) => {
                faults.add(
                    file,
                    at,
                    format!("a {} is a mapping, but this is {kind}", self.kind),
                    "write `NAME:` and entries below it",
                );
                return (None, None);
            }
        };
        let (bases, entries): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(key, _)| key.text() == Some("base"));
        let base = self.base(file, &bases, faults);
        (Some(Layer { file: file.to_owned(), entries }), base)
    }

    fn base(&self, file: &str, bases: &[(Node, Node)], faults: &mut Faults) -> Option<String> {
        let ((first, value), more) = bases.split_first()?;
        for (key, _) in more {
            faults.add(file, place(key), format!("`base` is already given on line {}", first.line), "leave one out");
        }
        let Some(name) = value.text() else {
            let message = format!("`base` is the name of a {}, but this is {}", self.kind, value.kind());
            faults.add(file, place(value), message, format!("write `base: {}`", self.default));
            return None;
        };
        if self.text(name).is_some() {
            return Some(name.to_owned());
        }
        self.unknown(file, place(value), name, faults);
        Some(self.default.to_owned())
    }
}
