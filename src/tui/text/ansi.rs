//! A line of program output: its colours are kept, everything else that a terminal would obey is taken out.

use super::harmless::harmless;
use crate::config::theme::Color;

/// Longest line that is laid out with carriage returns and backspaces, in bytes.
const MAX_OVERWRITTEN: usize = 8 * 1024;
/// Longest line at all, in bytes; the rest of it is cut.
const MAX_LINE: usize = 64 * 1024;

/// Select Graphic Rendition: how characters look as a program asked for it (ECMA-48 8.3.117; colours as in ISO 8613-6).
pub type Sgr = crate::config::theme::Style;

/// Text that looks the same throughout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Harmless text.
    pub text: String,
    /// How it looks.
    pub sgr: Sgr,
}

/// A line as what would remain of it on a terminal. `sgr` goes on from the line before.
pub fn line(bytes: &[u8], sgr: &mut Sgr) -> Vec<Segment> {
    let bytes = &bytes[..bytes.len().min(MAX_LINE)];
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    if bytes.iter().all(|byte| (0x20..0x7f).contains(byte)) {
        // What most output is: nothing to take out.
        let text = String::from_utf8_lossy(bytes).into_owned();
        return if text.is_empty() { Vec::new() } else { vec![Segment { text, sgr: *sgr }] };
    }
    let text = String::from_utf8_lossy(bytes);
    let moves = bytes.len() <= MAX_OVERWRITTEN && bytes.iter().any(|byte| matches!(byte, b'\r' | 0x08));
    if moves { overwritten(&text, sgr) } else { straight(&text, sgr) }
}

/// What comes next in a text: characters, or a sequence.
enum Part<'a> {
    Text(&'a str),
    Sgr(&'a str),
    Other,
}

/// Splits the next part off.
fn part(text: &str) -> (Part<'_>, &str) {
    let Some(start) = text.find(['\u{1b}', '\u{9b}', '\u{90}', '\u{9d}', '\u{9e}', '\u{9f}', '\u{98}']) else {
        return (Part::Text(text), "");
    };
    if start > 0 {
        return (Part::Text(&text[..start]), &text[start..]);
    }
    let mut rest = text.chars();
    let first = rest.next();
    let kind = if first == Some('\u{1b}') { rest.next() } else { first };
    let body = rest.as_str();
    match kind {
        Some('[' | '\u{9b}') => {
            let end = body.find(|c: char| !matches!(c, '\u{20}'..='\u{3f}')).unwrap_or(body.len());
            let after = &body[end..];
            let last = after.chars().next();
            // A sequence that is broken off by something else ends there.
            let rest = if matches!(last, Some('\u{40}'..='\u{7e}')) { &after[1..] } else { after };
            let is_plain = body[..end].bytes().all(|byte| matches!(byte, b'0'..=b'9' | b';' | b':'));
            (if last == Some('m') && is_plain { Part::Sgr(&body[..end]) } else { Part::Other }, rest)
        }
        // Operating system, device, privacy and application commands: up to their terminator.
        Some(']' | 'P' | 'X' | '^' | '_' | '\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}') => {
            let end = body.find(['\u{7}', '\u{9c}', '\u{1b}']);
            let rest = end.map_or("", |end| {
                let after = &body[end..];
                after.strip_prefix("\u{1b}\\").or_else(|| after.strip_prefix(['\u{7}', '\u{9c}'])).unwrap_or(after)
            });
            (Part::Other, rest)
        }
        // Escape, intermediates, final.
        Some(character @ '\u{20}'..='\u{2f}') => {
            let _ = character;
            let end = body.find(|c: char| !matches!(c, '\u{20}'..='\u{2f}')).unwrap_or(body.len());
            let mut after = body[end..].chars();
            if matches!(body[end..].chars().next(), Some('\u{30}'..='\u{7e}')) {
                after.next();
            }
            (Part::Other, after.as_str())
        }
        Some('\u{30}'..='\u{7e}') | None => (Part::Other, body),
        // An escape before something that belongs to no sequence.
        Some(_) => (Part::Other, &text[1..]),
    }
}

fn straight(text: &str, sgr: &mut Sgr) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    let (mut rest, mut column) = (text, 0);
    while !rest.is_empty() {
        let (part, after) = part(rest);
        rest = after;
        match part {
            Part::Text(text) => {
                let mut harmless_text = String::new();
                harmless(text, &mut harmless_text, column);
                column += super::cut::width(&harmless_text);
                match segments.last_mut() {
                    Some(last) if last.sgr == *sgr => last.text.push_str(&harmless_text),
                    _ => segments.push(Segment { text: harmless_text, sgr: *sgr }),
                }
            }
            Part::Sgr(parameters) => apply(sgr, parameters),
            Part::Other => {}
        }
    }
    segments.retain(|segment| !segment.text.is_empty());
    segments
}

/// Carriage returns begin the line anew over what is there, backspaces go back: progress bars show what remains.
fn overwritten(text: &str, sgr: &mut Sgr) -> Vec<Segment> {
    let (mut cells, mut at): (Vec<(String, Sgr)>, usize) = (Vec::new(), 0);
    let mut rest = text;
    while !rest.is_empty() {
        let (part, after) = part(rest);
        rest = after;
        let text = match part {
            Part::Text(text) => text,
            Part::Sgr(parameters) => {
                apply(sgr, parameters);
                continue;
            }
            Part::Other => continue,
        };
        for character in text.chars() {
            match character {
                '\r' => at = 0,
                '\u{8}' => at = at.saturating_sub(1),
                _ => put(character, *sgr, &mut cells, &mut at),
            }
        }
    }
    let mut segments: Vec<Segment> = Vec::new();
    for (text, sgr) in cells {
        match segments.last_mut() {
            Some(last) if last.sgr == sgr => last.text.push_str(&text),
            _ => segments.push(Segment { text, sgr }),
        }
    }
    segments
}

fn put(character: char, sgr: Sgr, cells: &mut Vec<(String, Sgr)>, at: &mut usize) {
    let mut text = String::new();
    harmless(character.encode_utf8(&mut [0; 4]), &mut text, *at);
    if text.is_empty() {
        // A mark belongs to the character before it.
        if let Some((before, _)) = at.checked_sub(1).and_then(|before| cells.get_mut(before))
            && before.chars().count() < 5
        {
            before.push(character);
        }
        return;
    }
    if *at < cells.len() {
        cells[*at] = (text, sgr);
    } else {
        cells.push((text, sgr));
    }
    *at += 1;
}

/// Takes parameters in: `1;31`, `38;5;208`, `38;2;1;2;3`, and the same with colons.
fn apply(sgr: &mut Sgr, parameters: &str) {
    let numbers: Vec<u16> = parameters.split([';', ':']).take(32).map(|text| text.parse().unwrap_or(0)).collect();
    let mut at = 0;
    while at < numbers.len() {
        let number = numbers[at];
        at += 1;
        match number {
            0 => *sgr = Sgr::default(),
            1 => sgr.bold = true,
            2 => sgr.dim = true,
            3 => sgr.italic = true,
            4 => sgr.underline = true,
            7 => sgr.reverse = true,
            9 => sgr.strikethrough = true,
            21 | 22 => (sgr.bold, sgr.dim) = (false, false),
            23 => sgr.italic = false,
            24 => sgr.underline = false,
            27 => sgr.reverse = false,
            29 => sgr.strikethrough = false,
            30..=37 | 90..=97 => sgr.fg = Some(Color::Ansi(palette(number, 30))),
            40..=47 | 100..=107 => sgr.bg = Some(Color::Ansi(palette(number, 40))),
            39 => sgr.fg = None,
            49 => sgr.bg = None,
            38 | 48 | 58 => {
                let color = extended(&numbers, &mut at);
                match number {
                    38 => sgr.fg = color.or(sgr.fg),
                    48 => sgr.bg = color.or(sgr.bg),
                    _ => {}
                }
            }
            _ => {}
        }
    }
}

fn palette(number: u16, base: u16) -> u8 {
    let index = number - base;
    u8::try_from(if index >= 60 { index - 60 + 8 } else { index }).unwrap_or(7)
}

fn extended(numbers: &[u16], at: &mut usize) -> Option<Color> {
    let byte = |place: usize| numbers.get(place).map(|number| u8::try_from(*number).unwrap_or(u8::MAX));
    match numbers.get(*at) {
        Some(5) => {
            let color = byte(*at + 1).map(Color::Indexed);
            *at += 2;
            color
        }
        Some(2) => {
            let color = byte(*at + 1).zip(byte(*at + 2)).zip(byte(*at + 3)).map(|((r, g), b)| Color::Rgb(r, g, b));
            *at += 4;
            color
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> String {
        line(bytes, &mut Sgr::default()).into_iter().map(|segment| segment.text).collect()
    }

    #[test]
    fn colours_are_kept_and_go_on_over_lines() {
        let mut sgr = Sgr::default();
        let segments = line(b"a\x1b[1;31mb\x1b[38;5;208mc", &mut sgr);
        assert_eq!(segments.iter().map(|segment| segment.text.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
        assert!(segments[1].sgr.bold && segments[1].sgr.fg == Some(Color::Ansi(1)));
        let next = line(b"d\x1b[me\x1b[38;2;1;2;3mf\x1b[97;41mg", &mut sgr);
        assert_eq!(next[0].sgr.fg, Some(Color::Indexed(208)));
        assert_eq!(next[1].sgr, Sgr::default());
        assert_eq!(next[2].sgr.fg, Some(Color::Rgb(1, 2, 3)));
        assert_eq!((next[3].sgr.fg, next[3].sgr.bg), (Some(Color::Ansi(15)), Some(Color::Ansi(1))));
    }

    #[test]
    fn everything_else_is_taken_out() {
        assert_eq!(
            text(b"a\x1b[2J\x1b[?25l\x1b[10;5Hb\x1b]0;title\x07c\x1b]52;c;aGk=\x1b\\d\x1bPq#0\x1b\\e\x1b(Bf\x1b7g"),
            "abcdefg"
        );
        assert_eq!(text("a\u{9b}2Jb\u{9d}x\u{9c}c".as_bytes()), "abc");
        assert_eq!(text(b"a\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\"), "alink");
        assert_eq!(text(b"a\x1b]never ends"), "a");
    }

    #[test]
    fn a_progress_line_shows_what_remains() {
        assert_eq!(text(b"10 %\r100 %\r"), "100 %");
        assert_eq!(text(b"abcdef\rXY"), "XYcdef");
        assert_eq!(text(b"abc\x08\x08Z"), "aZc");
        assert_eq!(text(b"windows\r"), "windows");
    }

    #[test]
    fn no_bytes_at_all_let_a_control_character_through() {
        let mut seed = 3u64;
        let odd = [0x1b, b'[', b']', b'm', b';', b'\r', 8, 7, 0x9b, 0xc2, 0xff, b'3', b'\t', 0xe2, 0x80, 0xae, b'a', b'\\', b'P'];
        for _ in 0..20_000 {
            let bytes: Vec<u8> = (0..30)
                .map(|_| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    odd[usize::try_from(seed >> 33).unwrap() % odd.len()]
                })
                .collect();
            let text = text(&bytes);
            assert!(!text.chars().any(char::is_control), "{bytes:?} gave {text:?}");
        }
    }
}
