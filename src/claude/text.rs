//! Text from a transcript made fit for a terminal and for a bounded record.

/// The longest prefix of at most `max` bytes that ends between characters.
pub(super) fn clip(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}

/// Writes `text` so that no terminal acts on it: control characters in caret or escape notation, and the invisible
/// characters that reorder or hide text (bidirectional and zero-width ones) as escapes. Tabs become spaces; line feeds
/// are kept only where the caller splits by them first.
pub(super) fn harmless(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '\t' => out.push_str("    "),
            '\u{0}'..='\u{1f}' => {
                out.push('^');
                out.push(char::from((character as u8) ^ 0x40));
            }
            '\u{7f}' => out.push_str("^?"),
            '\u{80}'..='\u{9f}'
            | '\u{ad}'
            | '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}' => out.extend(character.escape_unicode()),
            _ => out.push(character),
        }
    }
}

/// The first line of `text` that is not empty, at most `max` bytes, harmless, with a mark when something was left out.
pub(super) fn one_line(text: &str, max: usize, out: &mut String) {
    let text = text.trim();
    let first = text.lines().next().unwrap_or_default().trim_end();
    let kept = clip(first, max);
    harmless(kept, out);
    if kept.len() < text.len() {
        out.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clip_never_cuts_a_character() {
        assert_eq!(clip("aé", 2), "a");
        assert_eq!(clip("aé", 3), "aé");
        assert_eq!(clip("aé", 99), "aé");
    }

    #[test]
    fn what_a_terminal_would_obey_becomes_visible() {
        let mut out = String::new();
        harmless("a\x1b[2J\r\u{9b}31m\u{202e}\x7f\tö", &mut out);
        assert_eq!(out, "a^[[2J^M\\u{9b}31m\\u{202e}^?    ö");
    }

    #[test]
    fn one_line_says_that_there_was_more() {
        let mut out = String::new();
        one_line("\n first \nsecond", 100, &mut out);
        assert_eq!(out, "first…");
    }
}
