//! Text cut to a number of cells.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Cells of a text.
pub fn width(text: &str) -> usize {
    text.width()
}

/// The longest beginning of at most `cells` cells; marks stay with their character.
pub fn head(text: &str, cells: usize) -> &str {
    let mut used = 0;
    for (at, character) in text.char_indices() {
        used += character.width().unwrap_or(0);
        if used > cells {
            return &text[..at];
        }
    }
    text
}

/// The longest end of at most `cells` cells.
pub fn tail(text: &str, cells: usize) -> &str {
    let mut used = 0;
    let mut start = text.len();
    for (at, character) in text.char_indices().rev() {
        let own = character.width().unwrap_or(0);
        used += own;
        if used > cells {
            break;
        }
        if own > 0 && !is_modifier(character) {
            start = at;
        }
    }
    &text[start..]
}

/// Skin tones take cells of their own, but what stands before them takes them in: they cannot begin anything.
fn is_modifier(character: char) -> bool {
    matches!(character, '\u{1f3fb}'..='\u{1f3ff}')
}

/// A text of at most `cells` cells; when it was longer, `dots` stand for its end.
pub fn end<'a>(text: &'a str, cells: usize, dots: &str) -> Cow<'a, str> {
    if text.width() <= cells {
        return Cow::Borrowed(text);
    }
    match cells.checked_sub(dots.width()) {
        Some(room) => Cow::Owned(format!("{}{dots}", head(text, room))),
        None => Cow::Borrowed(head(text, cells)),
    }
}

/// A text of at most `cells` cells; when it was longer, `dots` stand for its middle: names tell most at both ends.
pub fn middle<'a>(text: &'a str, cells: usize, dots: &str) -> Cow<'a, str> {
    if text.width() <= cells {
        return Cow::Borrowed(text);
    }
    match cells.checked_sub(dots.width()) {
        Some(room) if room >= 2 => {
            let front = room.div_ceil(2);
            Cow::Owned(format!("{}{dots}{}", head(text, front), tail(text, room - front)))
        }
        _ => Cow::Borrowed(head(text, cells)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_never_exceeds_its_cells_nor_splits_a_character() {
        for text in ["", "plain", "漢字漢字", "a漢b", "e\u{301}e\u{301}e\u{301}", "👩‍💻 works", "ーーー"] {
            for cells in 0..12 {
                for cut in [end(text, cells, "…"), middle(text, cells, "…"), end(text, cells, ".."), middle(text, cells, "..")]
                {
                    assert!(cut.width() <= cells, "{text:?} {cells} {cut:?}");
                }
            }
        }
        assert_eq!(middle("src/backend/process/worker.rs", 15, "…"), "src/bac…rker.rs");
        assert_eq!(end("reason", 4, "…"), "rea…");
        assert_eq!(tail("👍🏽 yes", 6), " yes", "a skin tone is nothing without its hand");
    }
}
