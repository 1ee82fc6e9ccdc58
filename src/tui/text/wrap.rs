//! Lines broken to a width.

use unicode_width::UnicodeWidthChar;

use super::ansi::Segment;

/// Breaks at the edge, as a terminal does; wide characters go to the next line. At least one line; at most 2,000.
pub fn hard(segments: Vec<Segment>, width: usize) -> Vec<Vec<Segment>> {
    let width = width.max(2);
    let (mut lines, mut line, mut used): (Vec<Vec<Segment>>, Vec<Segment>, usize) = (Vec::new(), Vec::new(), 0);
    for segment in segments {
        let mut text = String::new();
        for character in segment.text.chars() {
            let own = character.width().unwrap_or(0);
            if used + own > width {
                if !text.is_empty() {
                    line.push(Segment { text: std::mem::take(&mut text), sgr: segment.sgr });
                }
                lines.push(std::mem::take(&mut line));
                used = 0;
                if lines.len() >= 2_000 {
                    return lines;
                }
            }
            used += own;
            text.push(character);
        }
        if !text.is_empty() {
            line.push(Segment { text, sgr: segment.sgr });
        }
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

/// Breaks prose at blanks; a word that is longer than the width is broken at the edge. At least one line.
pub fn prose(text: &str, width: usize) -> Vec<String> {
    let width = width.max(2);
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let own = super::cut::width(word);
        if used > 0 && used + 1 + own > width {
            lines.push(String::new());
            used = 0;
        }
        if used > 0 {
            push(&mut lines, " ");
            used += 1;
        }
        let mut rest = word;
        while super::cut::width(rest) > width - used {
            let head = super::cut::head(rest, width - used);
            push(&mut lines, head);
            rest = &rest[head.len()..];
            lines.push(String::new());
            used = 0;
        }
        push(&mut lines, rest);
        used += super::cut::width(rest);
    }
    lines
}

fn push(lines: &mut [String], text: &str) {
    if let Some(line) = lines.last_mut() {
        line.push_str(text);
    }
}

/// Lines that a line becomes when it is broken.
pub fn rows_of(bytes: &[u8], width: usize) -> usize {
    hard(super::ansi::line(bytes, &mut super::ansi::Sgr::default()), width).len().max(1)
}

#[cfg(test)]
mod tests {
    use super::super::ansi::Sgr;
    use super::*;

    #[test]
    fn no_line_is_wider_than_it_may_be() {
        for width in 2..20 {
            let segment = |text: &str| Segment { text: text.to_owned(), sgr: Sgr::default() };
            for line in hard(vec![segment("漢字かな"), segment(" and some e\u{301} more 👩")], width) {
                let cells: usize = line.iter().map(|segment| super::super::cut::width(&segment.text)).sum();
                assert!(cells <= width, "{width} {line:?}");
            }
            for line in prose("the quick brown 漢字漢字漢字 foxjumpsoverthelazydog", width) {
                assert!(super::super::cut::width(&line) <= width, "{width} {line:?}");
            }
        }
        assert_eq!(prose("one two three", 8), ["one two", "three"]);
        assert_eq!(hard(Vec::new(), 5).len(), 1);
    }
}
