//! Text of tasks made fit for a terminal: nothing in it moves the cursor, changes a mode, or hides or reorders text.

/// Combining marks kept on one character.
const MOST_MARKS: usize = 4;
/// Columns between tab stops.
const TAB: usize = 8;

/// Appends `text` to `out` so that no terminal acts on it. `column` is where it begins, for tabs; line feeds become `^J`,
/// so whoever wants lines splits before.
pub fn harmless(text: &str, out: &mut String, column: usize) {
    use unicode_width::UnicodeWidthChar;
    let (mut column, mut marks) = (column, 0);
    for character in text.chars() {
        match character {
            '\t' => {
                let blanks = TAB - column % TAB;
                out.extend(std::iter::repeat_n(' ', blanks));
                column += blanks;
            }
            '\u{0}'..='\u{1f}' => {
                out.push('^');
                out.push(char::from((character as u8) ^ 0x40));
                column += 2;
            }
            '\u{7f}' => {
                out.push_str("^?");
                column += 2;
            }
            _ if is_hidden(character) => {
                let escape = character.escape_unicode().to_string();
                column += escape.len();
                out.push_str(&escape);
            }
            _ => {
                let width = character.width().unwrap_or(0);
                marks = if width == 0 { marks + 1 } else { 0 };
                // A mark without a character of its own would sit on what is drawn before it.
                if width == 0 && (marks > MOST_MARKS || out.is_empty()) {
                    continue;
                }
                column += width;
                out.push(character);
            }
        }
    }
}

/// As [`harmless`], as a new text.
pub fn tamed(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    harmless(text, &mut out, 0);
    out
}

/// Characters that show nothing and change how others are shown: C1 controls, bidirectional and zero-width ones, tags.
/// The joiner and the variation selectors are left, since emoji are made with them.
fn is_hidden(character: char) -> bool {
    matches!(character,
        '\u{80}'..='\u{9f}'
        | '\u{ad}'
        | '\u{61c}'
        | '\u{115f}'..='\u{1160}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200c}'
        | '\u{200e}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{3164}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_becomes_visible() {
        assert_eq!(tamed("a\x1b[2J\r\u{9b}31m\u{202e}\x7f"), "a^[[2J^M\\u{9b}31m\\u{202e}^?");
        assert_eq!(tamed("a\tb"), "a       b");
        assert_eq!(tamed("\u{301}e\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}"), "e\u{301}\u{301}\u{301}\u{301}");
    }

    #[test]
    fn no_text_at_all_lets_a_control_character_through() {
        let mut seed = 7u64;
        for _ in 0..2_000 {
            let text: String = (0..40)
                .filter_map(|_| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    char::from_u32(u32::try_from(seed >> 43).unwrap() & 0x1_ffff >> (seed % 10))
                })
                .collect();
            assert!(!tamed(&text).chars().any(|c| c.is_control()), "{text:?}");
        }
    }
}
