//! Patterns of paths: `target/criterion/**/report.html`. `*`, `?` and `[a-z]` stand for characters of one name, `**` for any
//! directories. They match no name that begins with a dot, unless the pattern does; a directory that is named is taken whole.

use super::{MAX_DEPTH, MAX_NAME, is_kept_name};

/// A part of a pattern between two slashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// A name.
    Name(String),
    /// A name with wildcards.
    Some(Vec<Piece>),
    /// `**`: any directories, or none.
    Any,
}

/// What a wildcard stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// This character.
    Char(char),
    /// `?`: any character.
    One,
    /// `*`: any characters, or none.
    Many,
    /// `[a-z]`, or `[!a-z]`: one of (or none of) these.
    Of(bool, Vec<(char, char)>),
}

/// A pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// The names it begins with.
    pub fixed: Vec<String>,
    /// The rest, from the first wildcard on; empty for the path of a file or a directory.
    pub parts: Vec<Part>,
}

/// What is wrong with a pattern, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What.
    pub message: String,
    /// What to do.
    pub hint: &'static str,
}

/// Reads a path or pattern.
///
/// # Errors
/// When it could lead out of the workspace, or means nothing.
pub fn parse(text: &str) -> Result<Pattern, Fault> {
    let fault = |message: String, hint: &'static str| Err(Fault { message, hint });
    if text.starts_with('/') {
        return fault(format!("`{text}` is an absolute path"), "name what is in the workspace, relative to it");
    }
    if text.len() > MAX_NAME || text.split('/').count() > MAX_DEPTH {
        return fault("the path is too long".to_owned(), "a path has at most 500 bytes and 32 directories");
    }
    if text.contains(crate::model::diagnostic::is_treacherous) {
        return fault("the path holds a control character".to_owned(), "take it out");
    }
    let (mut fixed, mut parts) = (Vec::new(), Vec::new());
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => return fault(format!("`{text}` leads upwards"), "what is kept lies in the workspace, or below"),
            "**" if parts.last() == Some(&Part::Any) => {}
            "**" => parts.push(Part::Any),
            _ if part.contains("**") => {
                return fault(format!("`{part}` is no pattern: `**` stands alone"), "write **/*.html for files of any directory");
            }
            _ => match pieces(part) {
                None => return fault(format!("`{part}` has no `]` to its `[`"), "write [[] for the bracket itself"),
                Some(Part::Name(name)) if parts.is_empty() => fixed.push(name),
                Some(part) => parts.push(part),
            },
        }
    }
    if fixed.is_empty() && parts.is_empty() {
        return fault(
            "the whole workspace is no artifact".to_owned(),
            "name what is to be kept: a file, a directory or a pattern",
        );
    }
    Ok(Pattern { fixed, parts })
}

fn pieces(part: &str) -> Option<Part> {
    let mut pieces = Vec::new();
    let mut rest = part.chars();
    while let Some(c) = rest.next() {
        pieces.push(match c {
            '*' => Piece::Many,
            '?' => Piece::One,
            '[' => class(&mut rest)?,
            other => Piece::Char(other),
        });
    }
    let plain = |piece: &Piece| match piece {
        Piece::Char(c) => Some(*c),
        _ => None,
    };
    Some(match pieces.iter().map(plain).collect::<Option<String>>() {
        Some(name) => Part::Name(name),
        None => Part::Some(pieces),
    })
}

/// What follows a `[`.
fn class(rest: &mut std::str::Chars<'_>) -> Option<Piece> {
    let mut chars: Vec<char> = Vec::new();
    loop {
        let c = rest.next()?;
        let is_first = chars.is_empty() || chars == ['!'] || chars == ['^'];
        if c == ']' && !is_first {
            break;
        }
        chars.push(c);
    }
    let is_not = matches!(chars.first(), Some('!' | '^'));
    let mut ranges = Vec::new();
    let mut rest = &chars[usize::from(is_not)..];
    while let [first, tail @ ..] = rest {
        if let ['-', last, after @ ..] = tail {
            ranges.push((*first, *last));
            rest = after;
        } else {
            ranges.push((*first, *first));
            rest = tail;
        }
    }
    Some(Piece::Of(!is_not, ranges))
}

impl Part {
    /// Whether a name of a directory fits.
    pub fn fits(&self, name: &str) -> bool {
        match self {
            Part::Name(wanted) => wanted == name,
            Part::Any => !name.starts_with('.'),
            Part::Some(pieces) => {
                let shows_hidden = pieces.first() == Some(&Piece::Char('.'));
                (shows_hidden || !name.starts_with('.')) && matches(pieces, &name.chars().collect::<Vec<_>>())
            }
        }
    }
}

/// In time of the order of both lengths multiplied: after a star only the last one is tried anew.
fn matches(pieces: &[Piece], name: &[char]) -> bool {
    let (mut at, mut from, mut star) = (0, 0, None);
    while from < name.len() {
        let here = match pieces.get(at) {
            Some(Piece::Many) => {
                star = Some((at, from));
                at += 1;
                continue;
            }
            Some(Piece::One) => true,
            Some(Piece::Char(c)) => *c == name[from],
            Some(Piece::Of(wanted, ranges)) => {
                ranges.iter().any(|(first, last)| (*first..=*last).contains(&name[from])) == *wanted
            }
            None => false,
        };
        match star {
            _ if here => (at, from) = (at + 1, from + 1),
            Some((place, begun)) => {
                star = Some((place, begun + 1));
                (at, from) = (place + 1, begun + 1);
            }
            None => return false,
        }
    }
    pieces[at..].iter().all(|piece| *piece == Piece::Many)
}

impl Pattern {
    /// What a file is kept under that was found at `path` below the fixed part; none when it can be kept under no name.
    pub fn name_of(&self, name: Option<&str>, path: &[String]) -> Option<String> {
        let begin: Vec<&str> = match name {
            Some(name) => vec![name],
            None => self.fixed.iter().map(String::as_str).collect(),
        };
        let kept = begin.into_iter().chain(path.iter().map(String::as_str)).collect::<Vec<_>>().join("/");
        is_kept_name(&kept).then_some(kept)
    }
}
