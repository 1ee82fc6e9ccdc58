//! Lines of a stream of bytes, whatever they are, with a bound.

use std::io;

use futures_util::{AsyncBufRead, AsyncBufReadExt};

/// Reads lines.
pub struct Lines<R> {
    from: R,
    most: usize,
    /// Whether the line that was begun has been handed out in part.
    is_inside: bool,
}

/// A line, or a part of one that is longer than the bound.
#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    /// Its bytes, without its end.
    pub bytes: Vec<u8>,
    /// Whether it begins here.
    pub begins: bool,
    /// Whether its end came.
    pub ends: bool,
    /// Whether it is the whole of a line, with its end.
    pub is_whole: bool,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    /// Lines of at most `most` bytes; longer ones come in parts.
    pub fn new(from: R, most: usize) -> Lines<R> {
        Lines { from, most, is_inside: false }
    }

    /// The next line; none at the end. A last one without its end says so.
    ///
    /// # Errors
    /// When the stream breaks. What came of a line before is lost.
    pub async fn next(&mut self) -> io::Result<Option<Line>> {
        let mut bytes = Vec::new();
        loop {
            let there = self.from.fill_buf().await?;
            if there.is_empty() {
                return Ok((!bytes.is_empty()).then(|| self.line(bytes, false)));
            }
            let room = self.most - bytes.len();
            let (taken, ends) = match memchr::memchr(b'\n', &there[..there.len().min(room)]) {
                Some(end) => (end, true),
                None => (there.len().min(room), false),
            };
            bytes.extend_from_slice(&there[..taken]);
            self.from.consume_unpin(taken + usize::from(ends));
            if ends || bytes.len() == self.most {
                return Ok(Some(self.line(bytes, ends)));
            }
        }
    }

    fn line(&mut self, bytes: Vec<u8>, ends: bool) -> Line {
        let begins = !self.is_inside;
        self.is_inside = !ends;
        Line { bytes, begins, ends, is_whole: begins && ends }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &[u8], most: usize) -> Vec<(String, bool, bool)> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut lines = Lines::new(futures_util::io::BufReader::with_capacity(3, text), most);
            let mut seen = Vec::new();
            while let Some(line) = lines.next().await.unwrap() {
                seen.push((String::from_utf8(line.bytes).unwrap(), line.begins, line.ends));
            }
            seen
        })
    }

    #[test]
    fn lines_come_whole_and_long_ones_in_parts() {
        let line = |text: &str, begins, ends| (text.to_owned(), begins, ends);
        assert_eq!(all(b"one\n\nthree", 100), [line("one", true, true), line("", true, true), line("three", true, false)]);
        assert_eq!(all(b"12345\n6", 4), [line("1234", true, false), line("5", false, true), line("6", true, false)]);
        assert_eq!(all(b"1234\n5\n", 4), [line("1234", true, false), line("", false, true), line("5", true, true)]);
        assert_eq!(all(b"", 4), []);
    }
}
