//! Values that several parts of the configuration have: words, sizes, texts, and secrets by reference.

use std::path::Path;

use crate::model::diagnostic::nearest;
use crate::model::jobfile::looks_secret;
use crate::model::spec::{EnvValue, SecretRef};
use crate::model::units::parse_size;
use crate::model::yaml::{Node, Value};

use super::load::Reader;

/// Longest text, in bytes.
const MAX_TEXT: usize = 16 * 1024;
/// Most items of a list, and most entries of a mapping whose keys are free.
const MAX_ITEMS: usize = 100;

impl Reader {
    /// One of some words; `fate` is what becomes of the rest when it is none.
    pub(super) fn one_of<T: Copy>(&mut self, node: &Node, what: &str, words: &[(&str, T)], fate: &str) -> Option<T> {
        let text = node.text().unwrap_or_default();
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let all = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
            let hint = match nearest(text, words.iter().map(|(word, _)| *word)) {
                Some(near) => format!("did you mean `{near}`? It is one of {all}{fate}"),
                None => format!("it is one of {all}{fate}"),
            };
            self.fault(node, format!("{what} is {}, which it cannot be", shown(node)), &hint);
        }
        found
    }

    /// A boolean.
    pub(super) fn flag(&mut self, node: &Node, what: &str) -> Option<bool> {
        let flag = node.boolean();
        if flag.is_none() {
            self.fault(node, format!("{what} is {}, not a boolean", node.kind()), "write true or false");
        }
        flag
    }

    /// A size that bounds something; where sizes bound memory, the kernel takes 0 for no bound at all.
    pub(super) fn bound(&mut self, node: &Node, what: &str) -> Option<u64> {
        let size = self.parsed(node, parse_size)?;
        if size == 0 {
            self.fault(node, format!("{what} is 0, which would be no bound at all"), "write a size, such as 64m");
        }
        (size > 0).then_some(size)
    }

    /// The items of a list.
    pub(super) fn items<'n>(&mut self, node: &'n Node, what: &str, example: &str) -> &'n [Node] {
        let Value::List(items) = &node.value else {
            self.fault(node, format!("{what} is {}, not a list", node.kind()), &format!("write {example}"));
            return &[];
        };
        if items.len() > MAX_ITEMS {
            self.fault(node, format!("{what} has more than {MAX_ITEMS} items"), "keep those that are needed");
        }
        &items[..items.len().min(MAX_ITEMS)]
    }

    /// The entries of a mapping whose keys are free: the key's text, its place, and the value.
    pub(super) fn pairs<'n>(&mut self, node: &'n Node, what: &str, example: &str) -> Vec<(&'n str, &'n Node, &'n Node)> {
        let Value::Map(entries) = &node.value else {
            self.fault(node, format!("{what} is {}, not a mapping", node.kind()), &format!("write {example}"));
            return Vec::new();
        };
        if entries.len() > MAX_ITEMS {
            self.fault(node, format!("{what} has more than {MAX_ITEMS} entries"), "keep those that are needed");
        }
        let mut pairs: Vec<(&str, &Node, &Node)> = Vec::new();
        for (key, value) in entries.iter().take(MAX_ITEMS) {
            match key.text() {
                Some(text) if pairs.iter().any(|(seen, _, _)| *seen == text) => {
                    self.fault(key, format!("`{text}` stands twice"), "keep one of them");
                }
                Some(text) => pairs.push((text, key, value)),
                None => self.fault(key, format!("a key of {what} is {}", key.kind()), "keys are text"),
            }
        }
        pairs
    }

    /// A text, or a secret by reference.
    pub(super) fn value(&mut self, node: &Node, what: &str) -> Option<EnvValue> {
        if matches!(node.value, Value::Map(_)) {
            self.reference(node, what).map(EnvValue::From)
        } else {
            self.text(node, what).map(EnvValue::Text)
        }
    }

    /// A secret by reference. A path is absolute or begins with `~/`.
    pub(super) fn reference(&mut self, node: &Node, what: &str) -> Option<SecretRef> {
        let hint = "write { from: \"env:NAME\" }, file:PATH or command:LINE";
        let entries = self.entries(node, "a reference", &["from"]);
        let secret = entries.first().and_then(|(_, from)| SecretRef::parse(from.text()?));
        let is_rooted = |path: &Path| path.is_absolute() || path.starts_with("~");
        match secret {
            Some(SecretRef::File(path)) if !is_rooted(&path) => {
                self.fault(node, "a relative path has no place to begin at here".to_owned(), "write file:/… or file:~/…");
                None
            }
            Some(secret) => Some(secret),
            None => {
                self.fault(node, format!("{what} is no reference"), hint);
                None
            }
        }
    }

    /// The value of a variable as a pool's env has it: neither a template nor a secret; `remedy` says how a secret is passed.
    pub(super) fn literal(&mut self, node: &Node, name: &str, remedy: &str) -> Option<String> {
        let text = self.any_text(node, name)?;
        if text.contains("{{") {
            let hint = "write the value itself, or set the variable in the job's env, where templates are filled";
            self.fault(node, "templates are not filled in a pool's env".to_owned(), hint);
            return None;
        }
        if let Some(why) = looks_secret(name, &text) {
            self.fault(node, format!("{why}: a secret may not stand in the configuration"), remedy);
            return None;
        }
        Some(text)
    }

    /// A text that says something.
    pub(super) fn text(&mut self, node: &Node, what: &str) -> Option<String> {
        match self.any_text(node, what) {
            Some(text) if text.trim().is_empty() => {
                self.fault(node, format!("{what} is empty"), "write text, or leave it out");
                None
            }
            text => text,
        }
    }

    /// A text, which may be empty.
    pub(super) fn any_text(&mut self, node: &Node, what: &str) -> Option<String> {
        match node.text() {
            Some(text) if text.len() > MAX_TEXT || text.contains('\0') => {
                self.fault(node, format!("{what} holds a NUL or is longer than {MAX_TEXT} bytes"), "write a shorter text");
                None
            }
            Some(text) => Some(text.to_owned()),
            None => {
                self.fault(node, format!("{what} is {}, not text", node.kind()), "write text");
                None
            }
        }
    }
}

/// Keeps what could be read; whether it could.
pub(super) fn set<T>(setting: &mut T, read: Option<T>) -> bool {
    read.map(|value| *setting = value).is_some()
}

/// A value as it was written, cut to a reasonable length.
pub(super) fn shown(node: &Node) -> String {
    match node.text() {
        Some(text) => format!("`{}`", text.chars().take(80).collect::<String>()),
        None => node.kind().to_owned(),
    }
}
