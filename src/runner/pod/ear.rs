//! The manager's words on standard input.

use crate::model::pod::{MAX_WORD, Word};

/// Makes words of bytes that come in pieces.
#[derive(Debug, Default)]
pub(super) struct Ear {
    line: Vec<u8>,
    /// The present line is longer than a word can be, and is passed over.
    is_deaf: bool,
}

impl Ear {
    /// Takes in a piece; the words that it completes. What is none is passed over.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<Word> {
        let mut words = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            if !self.is_deaf && self.line.len() + part.len() <= MAX_WORD {
                self.line.extend_from_slice(part);
            } else {
                self.is_deaf = true;
                self.line = Vec::new();
            }
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                words.extend(std::str::from_utf8(&line).ok().and_then(Word::read));
                self.is_deaf = false;
            }
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_heard_in_whatever_pieces_and_what_is_too_long_is_not() {
        let put = Word::Put("q.json".to_owned(), b"{}".to_vec());
        let said = format!("{}nonsense\n{}", put.line(), Word::Kill.line());
        for size in [1, 3, said.len()] {
            let mut ear = Ear::default();
            let heard: Vec<Word> = said.as_bytes().chunks(size).flat_map(|piece| ear.take(piece)).collect();
            assert_eq!(heard, [put.clone(), Word::Kill]);
        }
        // One that broke off anywhere spoils none that comes after it, and none of its beginnings is taken for a word.
        let whole = put.line();
        for cut in 0..whole.len() - 1 {
            let said = format!("{}{whole}", &whole[..cut]);
            assert_eq!(Ear::default().take(said.as_bytes()), std::slice::from_ref(&put), "{cut}");
        }
        let mut ear = Ear::default();
        for _ in 0..3 {
            assert_eq!(ear.take(&vec![b'x'; MAX_WORD / 2 + 1]), []);
            assert!(ear.line.len() <= MAX_WORD);
        }
        assert_eq!(ear.take(b"\nkill\n"), [Word::Kill], "the next line is heard again");
    }
}
