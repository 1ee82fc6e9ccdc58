//! A line being typed: a filter, a search, a time, an answer.

use crate::model::question::MAX_ANSWER_TEXT;

/// What the line is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The tree's filter; applied at each key.
    Filter,
    /// A search in the output.
    Search,
    /// A time to go to.
    Time,
    /// Why a question is denied.
    Deny,
    /// The answer to a question in words.
    Say,
    /// What an approval is given with.
    Comment,
}

impl Purpose {
    /// Whether it answers a question.
    pub fn answers(self) -> bool {
        matches!(self, Purpose::Deny | Purpose::Say | Purpose::Comment)
    }

    /// Longest text, in bytes.
    fn most(self) -> usize {
        if self.answers() { MAX_ANSWER_TEXT } else { MAX }
    }
}

/// The line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// What it is for.
    pub purpose: Purpose,
    /// The text.
    pub text: String,
    /// The cursor's place in it, in bytes.
    pub cursor: usize,
    /// What was there before, for Esc.
    pub before: String,
}

/// Longest text.
const MAX: usize = 500;

impl Prompt {
    /// With a text to begin with.
    pub fn new(purpose: Purpose, text: &str) -> Prompt {
        Prompt { purpose, text: text.to_owned(), cursor: text.len(), before: text.to_owned() }
    }

    /// Types a character or a pasted text; line breaks and control characters are blanks.
    pub fn insert(&mut self, text: &str) {
        for character in text.chars() {
            if self.text.len() + character.len_utf8() > self.purpose.most() {
                return;
            }
            let character = if character.is_control() { ' ' } else { character };
            self.text.insert(self.cursor, character);
            self.cursor += character.len_utf8();
        }
    }

    /// Another text in its place.
    pub fn replace(&mut self, text: &str) {
        self.clear();
        self.insert(text);
    }

    /// Takes the character before the cursor away.
    pub fn backspace(&mut self) {
        if let Some(last) = self.text[..self.cursor].chars().next_back() {
            self.cursor -= last.len_utf8();
            self.text.remove(self.cursor);
        }
    }

    /// Takes the character under the cursor away.
    pub fn delete(&mut self) {
        if self.cursor < self.text.len() {
            self.text.remove(self.cursor);
        }
    }

    /// Takes the word before the cursor away.
    pub fn delete_word(&mut self) {
        let kept = self.text[..self.cursor].trim_end();
        let start = kept.rfind(char::is_whitespace).map_or(0, |at| at + 1);
        self.text.replace_range(start..self.cursor, "");
        self.cursor = start;
    }

    /// Takes everything away.
    pub fn clear(&mut self) {
        self.text.clear();
        self.cursor = 0;
    }

    /// Moves the cursor a character.
    pub fn step(&mut self, right: bool) {
        let step = if right { self.text[self.cursor..].chars().next() } else { self.text[..self.cursor].chars().next_back() };
        let len = step.map_or(0, char::len_utf8);
        self.cursor = if right { self.cursor + len } else { self.cursor - len };
    }

    /// Moves the cursor to an end.
    pub fn end(&mut self, right: bool) {
        self.cursor = if right { self.text.len() } else { 0 };
    }
}
