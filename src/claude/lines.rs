//! Cuts a growing transcript into lines, with bounded memory.

use memchr::memchr;

/// Longest line that is held in memory; the longest seen of real runs was 170 KB.
pub(super) const MAX_LINE: usize = 8 << 20;
/// What is kept of a longer line to tell its kind.
const HEAD: usize = 4096;
/// The buffer that is kept from line to line at most.
const USUAL: usize = 64 << 10;

/// A line without its line feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// Of a line over [`MAX_LINE`], or of one that was not wanted.
    Long {
        /// Its first bytes, at most [`HEAD`].
        head: &'a [u8],
        /// Its length.
        len: u64,
    },
}

impl Line<'_> {
    /// Its length without the line feed.
    pub(super) fn len(&self) -> u64 {
        match self {
            Line::Whole(bytes) => bytes.len() as u64,
            Line::Long { len, .. } => *len,
        }
    }
}

/// A line that is not complete yet.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Its bytes so far; of a line that is passed over only the first [`HEAD`].
    bytes: Vec<u8>,
    /// Its length so far.
    len: u64,
    /// Whether only its head is kept.
    passed_over: bool,
}

impl Lines {
    /// Takes further bytes and tells the lines that they complete.
    ///
    /// `is_wanted` is asked with the first bytes of a line that spans several pieces; of one that is not wanted no more than
    /// its head is kept and told. It must say the same for each piece of one line.
    pub(super) fn push(&mut self, mut bytes: &[u8], is_wanted: impl Fn(&[u8]) -> bool, mut each: impl FnMut(Line)) {
        while let Some(end) = memchr(b'\n', bytes) {
            if self.len == 0 {
                each(whole(&bytes[..end]));
            } else {
                self.keep(&bytes[..end], &is_wanted);
                self.tell(&mut each);
            }
            bytes = &bytes[end + 1..];
        }
        if !bytes.is_empty() {
            self.keep(bytes, &is_wanted);
        }
    }

    /// Tells what there is of a last line that will not be completed.
    pub(super) fn finish(&mut self, mut each: impl FnMut(Line)) {
        if self.len > 0 {
            self.tell(&mut each);
        }
    }

    fn keep(&mut self, bytes: &[u8], is_wanted: impl Fn(&[u8]) -> bool) {
        let had_head = self.bytes.len() >= HEAD;
        self.len = self.len.saturating_add(bytes.len() as u64);
        if self.passed_over || self.len > MAX_LINE as u64 {
            self.pass_over(bytes);
            return;
        }
        self.bytes.extend_from_slice(bytes);
        if !had_head && self.bytes.len() >= HEAD && !is_wanted(&self.bytes[..HEAD]) {
            self.pass_over(&[]);
        }
    }

    fn pass_over(&mut self, bytes: &[u8]) {
        self.passed_over = true;
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(HEAD.saturating_sub(self.bytes.len()))]);
        self.bytes.truncate(HEAD);
        self.bytes.shrink_to(USUAL);
    }

    fn tell(&mut self, each: &mut impl FnMut(Line)) {
        each(if self.passed_over { Line::Long { head: &self.bytes, len: self.len } } else { Line::Whole(&self.bytes) });
        self.bytes.clear();
        self.bytes.shrink_to(USUAL);
        self.len = 0;
        self.passed_over = false;
    }
}

fn whole(line: &[u8]) -> Line<'_> {
    if line.len() > MAX_LINE { Line::Long { head: &line[..HEAD], len: line.len() as u64 } } else { Line::Whole(line) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8], piece: usize) -> Vec<(usize, u64)> {
        let (mut lines, mut told) = (Lines::default(), Vec::new());
        for bytes in text.chunks(piece) {
            let each = |line: Line| {
                told.push(match line {
                    Line::Whole(bytes) => (bytes.len(), bytes.len() as u64),
                    Line::Long { head, len } => (head.len(), len),
                });
            };
            lines.push(bytes, |head| !head.starts_with(b"#"), each);
        }
        assert!(lines.bytes.capacity() <= MAX_LINE * 2);
        told
    }

    #[test]
    fn a_line_may_come_in_any_pieces_and_is_told_once_complete() {
        let text = b"one\n\ntwo three\nrest";
        for piece in 1..=text.len() {
            assert_eq!(lines(text, piece), [(3, 3), (0, 0), (9, 9)], "pieces of {piece}");
        }
    }

    #[test]
    fn of_a_line_beyond_all_measure_only_its_head_is_kept() {
        let mut text = vec![b'x'; MAX_LINE + 1];
        text.extend_from_slice(b"\nnext\n");
        for piece in [1 << 16, MAX_LINE, text.len()] {
            assert_eq!(lines(&text, piece), [(HEAD, MAX_LINE as u64 + 1), (4, 4)], "pieces of {piece}");
        }
    }

    #[test]
    fn what_is_not_wanted_takes_no_memory() {
        let mut text = vec![b'#'; 1 << 20];
        text.push(b'\n');
        assert_eq!(lines(&text, 1 << 12), [(HEAD, 1 << 20)]);
    }
}
