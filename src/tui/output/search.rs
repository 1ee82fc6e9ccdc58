//! Searching in output: smart case, by lines, a bounded part at a time.

use super::document::{Document, Step};

/// Bytes looked through in one go, so that a screen stays alive in between.
const BUDGET: u64 = 4 << 20;

/// What is searched for. Capitals in it make capitals matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// As typed.
    pub text: String,
    needle: String,
    folds: bool,
}

impl Pattern {
    /// None for an empty text.
    pub fn new(text: &str) -> Option<Pattern> {
        let folds = !text.chars().any(char::is_uppercase);
        (!text.is_empty()).then(|| Pattern { text: text.to_owned(), needle: text.to_owned(), folds })
    }

    /// Byte ranges of all matches in a line, at most 1,000.
    pub fn find(&self, line: &str) -> Vec<(usize, usize)> {
        if self.folds && line.is_ascii() {
            let line = line.to_ascii_lowercase();
            return matches(&line, &self.needle);
        }
        if !self.folds {
            return matches(line, &self.needle);
        }
        // Folding may change lengths, so places are mapped back character by character.
        let (mut folded, mut places) = (String::new(), Vec::new());
        for (at, character) in line.char_indices() {
            for lower in character.to_lowercase() {
                places.extend(std::iter::repeat_n(at, lower.len_utf8()));
                folded.push(lower);
            }
        }
        places.push(line.len());
        matches(&folded, &self.needle)
            .into_iter()
            .map(|(from, to)| {
                let start = places[from];
                (start, places[to..].iter().copied().find(|place| *place > start).unwrap_or(line.len()))
            })
            .collect()
    }

    /// Whether a line holds a match.
    pub fn is_in(&self, line: &str) -> bool {
        !self.find(line).is_empty()
    }
}

fn matches(line: &str, needle: &str) -> Vec<(usize, usize)> {
    line.match_indices(needle).take(1_000).map(|(at, found)| (at, at + found.len())).collect()
}

/// Where a search stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// A match is in the line that begins here.
    Found(u64),
    /// There is none on this side.
    Nothing,
    /// To be gone on with from here; more has to be read, or it was enough for now.
    Going(u64),
}

/// Looks for the next line with a match, from the line that begins at `from` on, or from before it backwards.
pub fn step(document: &mut Document, pattern: &Pattern, from: u64, backward: bool) -> Progress {
    let mut at = from;
    loop {
        if at.abs_diff(from) > BUDGET {
            return Progress::Going(at);
        }
        if backward {
            if at == 0 {
                return Progress::Nothing;
            }
            let Some(before) = document.before(at) else { return Progress::Going(at) };
            match document.line_at(before) {
                Step::Line(line) if holds(pattern, &line.bytes) => return Progress::Found(before),
                Step::Missing => return Progress::Going(at),
                _ => at = before,
            }
        } else {
            match document.line_at(at) {
                Step::Line(line) if holds(pattern, &line.bytes) => return Progress::Found(at),
                Step::Line(line) => at = line.next,
                Step::End => return Progress::Nothing,
                Step::Missing => return Progress::Going(at),
            }
        }
    }
}

fn holds(pattern: &Pattern, bytes: &[u8]) -> bool {
    // Colours may stand in the middle of a word; a line without them needs no second look.
    if memchr::memchr(0x1b, bytes).is_none() {
        return pattern.is_in(&String::from_utf8_lossy(bytes));
    }
    let mut sgr = crate::tui::text::ansi::Sgr::default();
    let text: String = crate::tui::text::ansi::line(bytes, &mut sgr).into_iter().map(|segment| segment.text).collect();
    pattern.is_in(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capitals_matter_only_when_they_are_typed() {
        let find = |pattern: &str, line: &str| Pattern::new(pattern).unwrap().find(line);
        assert_eq!(find("error", "an Error, an ERROR"), [(3, 8), (13, 18)]);
        assert_eq!(find("Error", "an Error, an ERROR"), [(3, 8)]);
        assert_eq!(find("ü", "Über ÜBER"), [(0, 2), (6, 8)]);
        assert_eq!(find("i", "İx"), [(0, 2)]);
        assert_eq!(Pattern::new(""), None);
    }
}
