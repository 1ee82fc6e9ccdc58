//! A key with its modifiers, as text and as terminals tell it.

use std::fmt;
use std::str::FromStr;

use crate::config::layers::quoted;
use crate::model::diagnostic::nearest;

/// A key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// A character in its case; the space bar is the blank.
    Char(char),
    /// Return.
    Enter,
    /// Escape.
    Esc,
    /// Tabulator.
    Tab,
    /// Tabulator with shift.
    BackTab,
    /// Delete backwards.
    Backspace,
    /// Delete forwards.
    Delete,
    /// Insert.
    Insert,
    /// Arrow.
    Up,
    /// Arrow.
    Down,
    /// Arrow.
    Left,
    /// Arrow.
    Right,
    /// To the beginning.
    Home,
    /// To the end.
    End,
    /// A page back.
    PageUp,
    /// A page on.
    PageDown,
    /// F1 to F12.
    F(u8),
}

/// Keys that are written by name.
const NAMED: [(&str, Key); 29] = [
    ("enter", Key::Enter),
    ("esc", Key::Esc),
    ("tab", Key::Tab),
    ("backtab", Key::BackTab),
    ("space", Key::Char(' ')),
    ("minus", Key::Char('-')),
    ("backspace", Key::Backspace),
    ("delete", Key::Delete),
    ("insert", Key::Insert),
    ("up", Key::Up),
    ("down", Key::Down),
    ("left", Key::Left),
    ("right", Key::Right),
    ("home", Key::Home),
    ("end", Key::End),
    ("page-up", Key::PageUp),
    ("page-down", Key::PageDown),
    ("f1", Key::F(1)),
    ("f2", Key::F(2)),
    ("f3", Key::F(3)),
    ("f4", Key::F(4)),
    ("f5", Key::F(5)),
    ("f6", Key::F(6)),
    ("f7", Key::F(7)),
    ("f8", Key::F(8)),
    ("f9", Key::F(9)),
    ("f10", Key::F(10)),
    ("f11", Key::F(11)),
    ("f12", Key::F(12)),
];

/// What other programs call things: too far off for a near miss, too usual for none.
const ELSEWHERE: [(&str, &str); 13] = [
    ("escape", "esc"),
    ("return", "enter"),
    ("ret", "enter"),
    ("cr", "enter"),
    ("del", "delete"),
    ("ins", "insert"),
    ("bs", "backspace"),
    ("spc", "space"),
    ("pgup", "page-up"),
    ("pgdn", "page-down"),
    ("pgdown", "page-down"),
    ("dash", "minus"),
    ("hyphen", "minus"),
];

/// The same for modifiers.
const ELSEWHERE_MODIFIERS: [(&str, &str); 8] = [
    ("c", "ctrl"),
    ("control", "ctrl"),
    ("ctl", "ctrl"),
    ("m", "alt"),
    ("meta", "alt"),
    ("a", "alt"),
    ("option", "alt"),
    ("s", "shift"),
];

/// A key with its modifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Chord {
    /// The key.
    pub key: Key,
    /// With control.
    pub ctrl: bool,
    /// With alt.
    pub alt: bool,
    /// With shift; never for characters, which carry their case.
    pub shift: bool,
}

/// Why a text is no chord.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChordFault {
    /// What is wrong.
    pub message: String,
    /// What to do; may be empty.
    pub hint: String,
}

impl fmt::Display for ChordFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ChordFault {}

impl Chord {
    /// The one form of what a terminal may tell in several: to be used for events too, so that they compare equal.
    pub fn new(key: Key, ctrl: bool, alt: bool, shift: bool) -> Self {
        let (key, shift) = match key {
            Key::Tab if shift => (Key::BackTab, false),
            Key::BackTab => (Key::BackTab, false),
            // Control characters have no case; 4 to 7 is how crossterm tells the four after escape.
            Key::Char(c) if ctrl => {
                let c = match c {
                    '4' => '\\',
                    '5' => ']',
                    '6' => '^',
                    '7' | '/' => '_',
                    '@' | '2' => ' ',
                    _ => c.to_ascii_lowercase(),
                };
                (Key::Char(c), false)
            }
            Key::Char(c) => (Key::Char(if shift { c.to_ascii_uppercase() } else { c }), false),
            _ => (key, shift),
        };
        Self { key, ctrl, alt, shift }
    }

    /// Whether terminals, tmux or screen are wont to take it for themselves.
    pub(super) fn is_taken(self) -> bool {
        self.ctrl && !self.alt && matches!(self.key, Key::Char('a' | 'b' | 's' | 'q' | 'z' | '\\'))
    }
}

impl fmt::Display for Chord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (held, text) in [(self.ctrl, "ctrl-"), (self.alt, "alt-"), (self.shift, "shift-")] {
            if held {
                f.write_str(text)?;
            }
        }
        match self.key {
            Key::Char('-') if !(self.ctrl || self.alt) => f.write_str("-"),
            key => match (NAMED.iter().find(|(_, named)| *named == key), key) {
                (Some((name, _)), _) => f.write_str(name),
                (None, Key::Char(c)) => write!(f, "{c}"),
                // No other is without a name, but for an F key beyond the twelve.
                (None, Key::F(number)) => write!(f, "f{number}"),
                (None, other) => write!(f, "{other:?}"),
            },
        }
    }
}

/// What is held, before its effect on the key.
#[derive(Clone, Copy, Default)]
struct Held {
    ctrl: bool,
    alt: bool,
    shift: bool,
}

impl FromStr for Chord {
    type Err = ChordFault;

    fn from_str(text: &str) -> Result<Self, ChordFault> {
        let (held, name) = modifiers(text)?;
        let key = key(name)?;
        if held.shift
            && !held.ctrl
            && let Key::Char(c) = key
        {
            let hint = if c.is_ascii_alphabetic() {
                format!("write `{}{}`", if held.alt { "alt-" } else { "" }, c.to_ascii_uppercase())
            } else {
                "write the character that it types".to_owned()
            };
            return Err(ChordFault { message: format!("{}: characters carry their case, without `shift-`", quoted(text)), hint });
        }
        if held.alt && !held.ctrl && matches!(key, Key::Char('[' | 'O')) {
            let message = format!("terminals cannot tell {} from the beginning of other keys", quoted(text));
            return Err(ChordFault { message, hint: "bind another key".to_owned() });
        }
        if let Some(same) = told_as(key, held) {
            let same = if held.alt { format!("alt-{same}") } else { same };
            let message = format!("terminals cannot tell {} from `{same}`", quoted(text));
            return Err(ChordFault { message, hint: format!("bind `{same}` or another key") });
        }
        Ok(Self::new(key, held.ctrl, held.alt, held.shift))
    }
}

fn modifiers(text: &str) -> Result<(Held, &str), ChordFault> {
    let (mut held, mut rest) = (Held::default(), text);
    loop {
        let (flag, after) = if let Some(after) = rest.strip_prefix("ctrl-") {
            (&mut held.ctrl, after)
        } else if let Some(after) = rest.strip_prefix("alt-") {
            (&mut held.alt, after)
        } else if let Some(after) = rest.strip_prefix("shift-") {
            (&mut held.shift, after)
        } else {
            return Ok((held, rest));
        };
        if after.is_empty() || *flag {
            let why = if *flag { "names a modifier twice" } else { "lacks a key after its modifier" };
            let hint = if *flag { "leave one out" } else { "write for example `ctrl-x`, or `ctrl-minus`" };
            return Err(ChordFault { message: format!("{} {why}", quoted(text)), hint: hint.to_owned() });
        }
        *flag = true;
        rest = after;
    }
}

fn key(name: &str) -> Result<Key, ChordFault> {
    let mut chars = name.chars();
    if let (Some(c), None) = (chars.next(), chars.next())
        && !c.is_control()
        && !c.is_whitespace()
    {
        return Ok(Key::Char(c));
    }
    if let Some((_, key)) = NAMED.iter().find(|(known, _)| *known == name) {
        return Ok(*key);
    }
    Err(ChordFault { message: format!("no key is called {}", quoted(name)), hint: near(name) })
}

/// What was likely meant.
fn near(name: &str) -> String {
    let lower = name.to_lowercase();
    let called =
        |table: &[(&str, &'static str)], word: &str| table.iter().find(|(known, _)| *known == word).map(|(_, ours)| *ours);
    let parts = lower.split_once('-').zip(name.split_once('-')).map(|((head, _), (_, rest))| (head, rest));
    if let Some((head, rest)) = parts
        && let Some(modifier) = called(&ELSEWHERE_MODIFIERS, head)
    {
        return format!("write {}", quoted(&format!("{modifier}-{rest}")));
    }
    let names = NAMED.iter().map(|(name, _)| *name);
    if let Some(meant) = called(&ELSEWHERE, &lower).or_else(|| nearest(&lower, names)) {
        return format!("did you mean `{meant}`?");
    }
    if let Some((head, rest)) = parts
        && let Some(modifier) = nearest(head, ["ctrl", "alt", "shift"])
    {
        return format!("did you mean {}?", quoted(&format!("{modifier}-{rest}")));
    }
    "keys are single characters, or names like `enter`, `page-up`, `f5`; chords stand apart: `g g`".to_owned()
}

/// The plainer chord that most terminals send for this one.
fn told_as(key: Key, held: Held) -> Option<String> {
    let plain = |name: &str| Some(name.to_owned());
    match key {
        Key::Char(c) if held.ctrl => match c.to_ascii_lowercase() {
            'i' => plain("tab"),
            'm' => plain("enter"),
            '[' | '3' => plain("esc"),
            '?' | '8' => plain("backspace"),
            '2' | '@' => plain("ctrl-space"),
            '4' => plain("ctrl-\\"),
            '5' => plain("ctrl-]"),
            '6' => plain("ctrl-^"),
            '7' => plain("ctrl-_"),
            lower @ 'a'..='z' => (held.shift || c.is_ascii_uppercase()).then(|| format!("ctrl-{lower}")),
            '\\' | ']' | '^' | '_' | '/' => None,
            ' ' => held.shift.then(|| "ctrl-space".to_owned()),
            other => Some(Chord::new(Key::Char(other), false, false, false).to_string()),
        },
        Key::Enter if held.ctrl || held.shift => plain("enter"),
        Key::Esc if held.ctrl || held.shift => plain("esc"),
        Key::Backspace if held.ctrl || held.shift => plain("backspace"),
        Key::Tab if held.ctrl => plain(if held.shift { "backtab" } else { "tab" }),
        Key::BackTab if held.ctrl => plain("backtab"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chord(text: &str) -> Chord {
        text.parse().unwrap_or_else(|fault| panic!("{text}: {fault}"))
    }

    #[test]
    fn chords_are_written_in_one_form() {
        for text in ["j", "G", "/", "?", ":", "+", "-", "é", "enter", "backtab", "space", "page-up", "f12", "ctrl-x", "alt-<"] {
            assert_eq!(chord(text).to_string(), text);
        }
        for (text, canonical) in [
            ("shift-tab", "backtab"),
            ("minus", "-"),
            ("ctrl-alt-x", "ctrl-alt-x"),
            ("alt-ctrl-x", "ctrl-alt-x"),
            ("alt--", "alt-minus"),
            ("alt-minus", "alt-minus"),
            ("shift-ctrl-up", "ctrl-shift-up"),
            ("ctrl-/", "ctrl-_"),
        ] {
            assert_eq!(chord(text).to_string(), canonical);
            assert_eq!(chord(canonical), chord(text));
        }
    }

    #[test]
    fn what_terminals_tell_compares_equal_to_what_is_written() {
        assert_eq!(Chord::new(Key::Char('G'), false, false, true), chord("G"));
        assert_eq!(Chord::new(Key::BackTab, false, false, true), chord("shift-tab"));
        assert_eq!(Chord::new(Key::Char('4'), true, false, false), chord("ctrl-\\"));
        assert_eq!(Chord::new(Key::Char('7'), true, false, false), chord("ctrl-/"));
        assert_eq!(Chord::new(Key::Char(' '), true, false, false), chord("ctrl-space"));
    }
}
