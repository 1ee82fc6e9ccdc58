//! Markdown as styled lines of a width.

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use unicode_width::UnicodeWidthStr;

use super::cut;
use super::harmless::tamed;

/// Most lines of one text.
const MAX_LINES: usize = 2_000;
/// Deepest nesting that is indented.
const MAX_DEPTH: usize = 8;

/// What a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Plain.
    Text,
    /// Strongly emphasised.
    Strong,
    /// Emphasised.
    Emphasis,
    /// Code.
    Code,
    /// A heading.
    Heading,
    /// A link.
    Link,
    /// Quoted.
    Quote,
    /// Less important: bars, bullets, addresses.
    Dim,
}

/// Text of one tone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Harmless text without line feeds.
    pub text: String,
    /// What it is.
    pub tone: Tone,
}

/// The lines of a text at this width, at most 2,000. Code is not broken.
pub fn lines(text: &str, width: usize) -> Vec<Vec<Span>> {
    let mut writer = Writer { width: width.max(10), ..Writer::default() };
    let options = Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TABLES | Options::ENABLE_TASKLISTS;
    for event in Parser::new_ext(text, options) {
        if writer.lines.len() >= MAX_LINES {
            break;
        }
        writer.event(event);
    }
    writer.flush();
    while writer.lines.last().is_some_and(Vec::is_empty) {
        writer.lines.pop();
    }
    writer.lines.truncate(MAX_LINES);
    writer.lines
}

#[derive(Default)]
struct Writer {
    width: usize,
    lines: Vec<Vec<Span>>,
    /// Words of the paragraph, each with its tone and whether a blank stands before it.
    words: Vec<(String, Tone, bool)>,
    /// A blank was read and belongs before the next word.
    blank: bool,
    tones: Vec<Tone>,
    /// The numbers of the lists around; none for bullets.
    lists: Vec<Option<u64>>,
    /// The item's mark, before its first line.
    mark: Option<String>,
    quotes: usize,
    code: Option<String>,
    link: Option<(String, String)>,
    table: Option<Vec<Vec<String>>>,
}

impl Writer {
    fn tone(&self) -> Tone {
        self.tones.last().copied().unwrap_or(if self.quotes > 0 { Tone::Quote } else { Tone::Text })
    }

    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => self.text(&text),
            Event::Code(text) => self.add(&text, Tone::Code),
            Event::Html(text) | Event::InlineHtml(text) => self.add(&text, Tone::Dim),
            Event::InlineMath(text) | Event::DisplayMath(text) => self.add(&text, Tone::Code),
            Event::FootnoteReference(text) => self.add(&format!("[{text}]"), Tone::Dim),
            Event::SoftBreak => self.blank = true,
            Event::HardBreak => self.wrap(),
            Event::Rule => {
                self.flush();
                let width = self.width.min(20);
                self.lines.push(vec![Span { text: "-".repeat(width), tone: Tone::Dim }]);
                self.space();
            }
            Event::TaskListMarker(done) => self.mark = Some(if done { "[x] " } else { "[ ] " }.to_owned()),
        }
    }

    fn text(&mut self, text: &str) {
        if let Some(code) = &mut self.code {
            code.push_str(text);
        } else if let Some((_, shown)) = &mut self.link {
            shown.push_str(text);
            let tone = Tone::Link;
            self.add(text, tone);
        } else {
            let tone = self.tone();
            self.add(text, tone);
        }
    }

    fn add(&mut self, text: &str, tone: Tone) {
        if let Some(cell) = self.table.as_mut().and_then(|rows| rows.last_mut()).and_then(|row| row.last_mut()) {
            cell.push_str(&tamed(text));
            return;
        }
        let text = tamed(&text.replace('\n', " "));
        for (number, word) in text.split(' ').enumerate() {
            self.blank |= number > 0;
            if !word.is_empty() {
                self.words.push((word.to_owned(), tone, std::mem::take(&mut self.blank)));
            }
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Heading { level, .. } => {
                self.flush();
                self.tones.push(Tone::Heading);
                if level > HeadingLevel::H2 {
                    self.words.push(("-".repeat(level as usize - 2), Tone::Dim, false));
                    self.blank = true;
                }
            }
            Tag::BlockQuote(_) => {
                self.flush();
                self.quotes += 1;
            }
            Tag::CodeBlock(kind) => {
                self.flush();
                self.code = Some(String::new());
                if let CodeBlockKind::Fenced(language) = kind
                    && !language.is_empty()
                {
                    let prefix = self.prefix();
                    self.lines.push(vec![Span { text: format!("{prefix}{}", tamed(&language)), tone: Tone::Dim }]);
                }
            }
            Tag::List(first) => {
                self.wrap();
                self.lists.push(first);
            }
            Tag::Item => {
                self.wrap();
                self.mark = Some(match self.lists.last_mut() {
                    Some(Some(number)) => {
                        *number += 1;
                        format!("{}. ", *number - 1)
                    }
                    _ => "- ".to_owned(),
                });
            }
            Tag::Emphasis => self.tones.push(Tone::Emphasis),
            Tag::Strong => self.tones.push(Tone::Strong),
            Tag::Strikethrough => self.tones.push(Tone::Dim),
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => self.link = Some((dest_url.into_string(), String::new())),
            Tag::Table(_) => {
                self.flush();
                self.table = Some(Vec::new());
            }
            Tag::TableHead | Tag::TableRow => {
                if let Some(rows) = &mut self.table {
                    rows.push(Vec::new());
                }
            }
            Tag::TableCell => {
                if let Some(row) = self.table.as_mut().and_then(|rows| rows.last_mut()) {
                    row.push(String::new());
                }
            }
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Paragraph => {
                self.wrap();
                if self.lists.is_empty() {
                    self.space();
                }
            }
            TagEnd::Heading(_) => {
                self.wrap();
                self.tones.pop();
            }
            TagEnd::BlockQuote(_) => {
                self.wrap();
                self.quotes = self.quotes.saturating_sub(1);
                self.space();
            }
            TagEnd::CodeBlock => self.code_block(),
            TagEnd::List(_) => {
                self.wrap();
                self.lists.pop();
                if self.lists.is_empty() {
                    self.space();
                }
            }
            TagEnd::Item => self.wrap(),
            TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough => drop(self.tones.pop()),
            TagEnd::Link | TagEnd::Image => {
                if let Some((address, shown)) = self.link.take()
                    && address != shown
                    && !address.is_empty()
                {
                    self.blank = true;
                    self.add(&format!("<{address}>"), Tone::Dim);
                }
            }
            TagEnd::Table => self.table_block(),
            _ => {}
        }
    }

    fn code_block(&mut self) {
        let prefix = self.prefix();
        for line in self.code.take().unwrap_or_default().lines() {
            if self.lines.len() >= MAX_LINES {
                return;
            }
            let mut text = format!("{prefix}  ");
            super::harmless::harmless(line, &mut text, 0);
            self.lines.push(vec![Span { text, tone: Tone::Code }]);
        }
        self.space();
    }

    fn table_block(&mut self) {
        let rows = self.table.take().unwrap_or_default();
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0).min(20);
        let own = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.width()).max().unwrap_or(0);
        let mut widths: Vec<usize> = (0..columns).map(own).collect();
        while widths.iter().sum::<usize>() + 2 * columns > self.width {
            match widths.iter_mut().max() {
                Some(widest) if *widest > 3 => *widest -= 1,
                _ => break,
            }
        }
        for (number, row) in rows.iter().enumerate() {
            let mut text = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                let shown = cut::end(cell, *width, "…");
                text.push_str(&shown);
                text.extend(std::iter::repeat_n(' ', width + 2 - shown.width()));
            }
            let tone = if number == 0 { Tone::Strong } else { Tone::Text };
            self.lines.push(vec![Span { text: text.trim_end().to_owned(), tone }]);
        }
        self.space();
    }

    fn prefix(&self) -> String {
        let quote = "| ".repeat(self.quotes.min(MAX_DEPTH));
        let depth = self.lists.len().min(MAX_DEPTH);
        format!("{quote}{}", "  ".repeat(depth))
    }

    /// Writes the words as lines.
    fn wrap(&mut self) {
        let words = std::mem::take(&mut self.words);
        self.blank = false;
        if words.is_empty() {
            return;
        }
        let prefix = self.prefix();
        let first = match self.mark.take() {
            Some(mark) => {
                let outer = prefix.strip_suffix("  ").unwrap_or(&prefix);
                format!("{outer}{mark}")
            }
            None => prefix.clone(),
        };
        let rest = format!("{prefix}{}", " ".repeat(first.width().saturating_sub(prefix.width())));
        let mut line: Vec<Span> = if first.is_empty() { Vec::new() } else { vec![Span { text: first.clone(), tone: Tone::Dim }] };
        let mut used = first.width();
        let indent = rest.width();
        for (word, tone, blank) in words {
            let gap = usize::from(blank && used > indent);
            if used + gap + word.width() > self.width && used > indent {
                self.lines.push(std::mem::take(&mut line));
                if !rest.is_empty() {
                    line.push(Span { text: rest.clone(), tone: Tone::Dim });
                }
                used = indent;
            }
            let text = if blank && used > indent { format!(" {word}") } else { word };
            used += self.put(&mut line, text, tone, used, &rest);
        }
        self.lines.push(line);
    }

    /// Adds a word, broken where it is longer than a whole line; the cells that it takes of the last one.
    fn put(&mut self, line: &mut Vec<Span>, text: String, tone: Tone, used: usize, rest: &str) -> usize {
        let mut text = text.as_str();
        let mut start = used;
        while start + text.width() > self.width {
            let head = cut::head(text, self.width.saturating_sub(start).max(2));
            if head.is_empty() {
                break;
            }
            add(line, head, tone);
            text = &text[head.len()..];
            self.lines.push(std::mem::take(line));
            line.push(Span { text: rest.to_owned(), tone: Tone::Dim });
            start = rest.width();
            if self.lines.len() >= MAX_LINES {
                return 0;
            }
        }
        add(line, text, tone);
        (start + text.width()).saturating_sub(used)
    }

    fn flush(&mut self) {
        if self.code.is_some() {
            self.code_block();
        }
        if self.table.is_some() {
            self.table_block();
        }
        self.wrap();
    }

    /// An empty line, once.
    fn space(&mut self) {
        if self.lines.last().is_some_and(|line| !line.is_empty()) {
            self.lines.push(Vec::new());
        }
    }
}

fn add(line: &mut Vec<Span>, text: &str, tone: Tone) {
    match line.last_mut() {
        Some(last) if last.tone == tone => last.text.push_str(text),
        _ => line.push(Span { text: text.to_owned(), tone }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str, width: usize) -> Vec<String> {
        lines(text, width).into_iter().map(|line| line.into_iter().map(|span| span.text).collect()).collect()
    }

    #[test]
    fn what_people_write_reads_as_they_meant_it() {
        let text = "# Title\n\nSome **bold** and `code`, a [link](http://x).\n\n- one two three four five\n- nested\n  1. first\n  2. second\n\n```rust\nfn main() {}\n```\n> quoted\n\n| a | b |\n|---|---|\n| 1 | 22 |\n";
        let expected = [
            "Title",
            "Some bold and code, a",
            "link <http://x>.",
            "",
            "- one two three four",
            "  five",
            "- nested",
            "  1. first",
            "  2. second",
            "",
            "rust",
            "  fn main() {}",
            "",
            "| quoted",
            "",
            "a  b",
            "1  22",
        ];
        let told: Vec<String> = plain(text, 22);
        assert_eq!(told, expected, "{told:#?}");
    }

    #[test]
    fn nothing_is_wider_than_it_may_be_but_code_and_nothing_is_obeyed() {
        let text = "a \u{1b}[31mred\u{202e} wordthatislongerthanthewholelineis 漢字漢字漢字漢字漢字\n\n1. x\n   - y\n     > z z z z z z z z z z z z\n";
        for width in 10..40 {
            for line in plain(text, width) {
                assert!(line.width() <= width.max(16), "{width}: {line:?}");
                assert!(!line.chars().any(char::is_control));
            }
        }
    }
}
