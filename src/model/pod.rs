//! What passes between the manager and the first process of a pod, which share no directory.
//!
//! **In**: all of a launch, in variables `AIRX_ORDER_0`, `AIRX_ORDER_1`… of the container: base64 of JSON, in pieces that a
//! process's environment can hold.
//!
//! **Out**: the frames of [`super::relay`], on the container's standard output, as lines that nobody else can write:
//! `NONCE NUMBER + BASE64` begins a frame, `NONCE NUMBER . BASE64` goes on with it. A number follows the one before it. Lines are
//! shorter than the pieces that container runtimes cut lines into.
//!
//! **Answers**, where the pool can attach: lines on standard input, `put NAME BYTES BASE64`, and `kill`, which insists. Each begins with the
//! end of a line: what was said before may have broken off in the middle, and what of it looks like a word has another length.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::attempt::RunnerSpec;
use super::relay::{Decoder, Frame};

/// Begins the names of the variables that hold an order.
const ORDER: &str = "AIRX_ORDER_";
/// Most bytes of one of them: Linux allows 128 KiB for each string of an environment.
const PIECE: usize = 96 << 10;
/// Most bytes of an order as JSON: an object of more than 1.5 MiB is refused by a cluster's store.
pub const MAX_ORDER: usize = 700 << 10;
/// Bytes of a frame in one line: with its head a line stays below 16 KiB, above which runtimes cut.
const LINE: usize = 9_000;
/// Longest line that can be ours.
pub const MAX_LINE: usize = 16 << 10;
/// Longest line of standard input.
pub const MAX_WORD: usize = 2 << 20;
/// The version of all of this.
pub const VERSION: u32 = 1;
/// The name of the last frame: all is told.
pub const END: &str = "end";

/// All that a pod's first process needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PodOrder {
    /// [`VERSION`] of whoever wrote it.
    pub version: u32,
    /// Begins each line of ours.
    pub nonce: String,
    /// `spec.json`.
    pub spec: RunnerSpec,
    /// The task's environment.
    pub env: Vec<(String, String)>,
    /// Content of the file `prompt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
}

impl PodOrder {
    /// As variables; none when it is larger than [`MAX_ORDER`].
    pub fn variables(&self) -> Option<Vec<(String, String)>> {
        let json = serde_json::to_vec(self).ok().filter(|json| json.len() <= MAX_ORDER)?;
        let text = STANDARD.encode(json);
        let pieces = text.as_bytes().chunks(PIECE).enumerate();
        Some(pieces.map(|(number, piece)| (format!("{ORDER}{number}"), String::from_utf8_lossy(piece).into_owned())).collect())
    }

    /// Reads back what `variable` knows.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<PodOrder, String> {
        let mut text = String::new();
        for number in 0_u32.. {
            match variable(&format!("{ORDER}{number}")) {
                Some(piece) => text.push_str(&piece),
                None => break,
            }
        }
        if text.is_empty() {
            return Err("there is no order: only a pod of airx's is started so".to_owned());
        }
        let json = STANDARD.decode(text).map_err(|error| format!("the order is no base64: {error}"))?;
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let Versioned { version } =
            serde_json::from_slice(&json).map_err(|error| format!("the order cannot be read: {error}"))?;
        if version != VERSION {
            return Err(format!(
                "the manager speaks version {version} and this program {VERSION}: use an image of the manager's version"
            ));
        }
        serde_json::from_slice(&json).map_err(|error| format!("the order cannot be read: {error}"))
    }

    /// Whether a variable holds a part of an order, and is none of the task's.
    pub fn is_variable(name: &str) -> bool {
        name.starts_with(ORDER)
    }
}

/// Makes lines of frames.
#[derive(Debug)]
pub struct LineWriter {
    nonce: String,
    number: u64,
}

impl LineWriter {
    /// Of this nonce.
    pub fn new(nonce: &str) -> LineWriter {
        LineWriter { nonce: nonce.to_owned(), number: 0 }
    }

    /// The lines of a frame, each with its end.
    pub fn lines(&mut self, frame: &Frame) -> Vec<u8> {
        let bytes = frame.encode();
        let mut lines = Vec::with_capacity(bytes.len() * 4 / 3 + 64);
        for (place, piece) in bytes.chunks(LINE).enumerate() {
            let sign = if place == 0 { '+' } else { '.' };
            lines.extend(format!("{} {} {sign} {}\n", self.nonce, self.number, STANDARD.encode(piece)).into_bytes());
            self.number += 1;
        }
        lines
    }
}

/// Takes frames out of lines.
#[derive(Debug)]
pub struct LineReader {
    nonce: String,
    next: Option<u64>,
    decoder: Option<Decoder>,
    /// Lines that are missing.
    lost: u64,
}

impl LineReader {
    /// Of this nonce.
    pub fn new(nonce: &str) -> LineReader {
        LineReader { nonce: nonce.to_owned(), next: None, decoder: None, lost: 0 }
    }

    /// Lines that should have come and did not, so far. Those before the first one that was ever read count only when it was to
    /// be the very first.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Takes in a line without its end; whether it is ours, and the frame that it completes. Lines that came before are passed
    /// over, and so is the rest of a frame whose beginning did not come.
    pub fn take(&mut self, line: &[u8]) -> Taken {
        let Some((number, begins, piece)) = self.parts(line) else { return Taken::Strange };
        match self.next {
            Some(next) if number < next => return Taken::Nothing,
            Some(next) if number > next => {
                self.lost += number - next;
                self.decoder = None;
            }
            _ => {}
        }
        self.next = Some(number.saturating_add(1));
        if begins {
            self.decoder = Some(Decoder::default());
        }
        let Some(decoder) = &mut self.decoder else { return Taken::Nothing };
        decoder.push(&piece);
        match decoder.frame() {
            Ok(Some(frame)) => {
                self.decoder = None;
                Taken::Frame(frame)
            }
            Ok(None) => Taken::Nothing,
            Err(_) => {
                self.decoder = None;
                Taken::Nothing
            }
        }
    }

    fn parts(&self, line: &[u8]) -> Option<(u64, bool, Vec<u8>)> {
        let text = std::str::from_utf8(line).ok()?.strip_prefix(self.nonce.as_str())?.strip_prefix(' ')?;
        let mut parts = text.splitn(3, ' ');
        let number = parts.next()?.parse().ok()?;
        let begins = match parts.next()? {
            "+" => true,
            "." => false,
            _ => return None,
        };
        Some((number, begins, STANDARD.decode(parts.next()?).ok()?))
    }
}

/// What became of a line.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is none of ours.
    Strange,
    /// It is, and completes nothing.
    Nothing,
    /// It completes this.
    Frame(Frame),
}

/// A word of the manager's to a pod's first process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// A file for the inbox.
    Put(String, Vec<u8>),
    /// End at once.
    Kill,
}

impl Word {
    /// As a line, with its end.
    pub fn line(&self) -> String {
        match self {
            Word::Put(name, content) => format!("\nput {name} {} {}\n", content.len(), STANDARD.encode(content)),
            Word::Kill => "\nkill\n".to_owned(),
        }
    }

    /// Reads a line; none when it is no word.
    pub fn read(line: &str) -> Option<Word> {
        let mut parts = line.trim_matches(['\r', '\n']).splitn(4, ' ');
        match (parts.next()?, parts.next(), parts.next(), parts.next()) {
            ("kill", None, None, None) => Some(Word::Kill),
            ("put", Some(name), Some(length), Some(content)) => {
                let is_name = !name.is_empty() && !name.starts_with('.') && !name.contains('/');
                let content = STANDARD.decode(content).ok()?;
                let is_whole = length.parse() == Ok(content.len());
                Some(Word::Put(name.to_owned(), content)).filter(|_| is_name && is_whole)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::relay::Kind;

    fn frame(length: usize) -> Frame {
        let content = (0..length).map(|n| u8::try_from(n % 251).unwrap()).collect();
        Frame { kind: Kind::Whole, name: "x".to_owned(), offset: 0, content }
    }

    fn lines(writer: &mut LineWriter, frame: &Frame) -> Vec<Vec<u8>> {
        let bytes = writer.lines(frame);
        bytes.split_inclusive(|byte| *byte == b'\n').map(|line| line[..line.len() - 1].to_vec()).collect()
    }

    #[test]
    fn frames_come_out_of_their_lines_once_whatever_stands_between_them() {
        let (mut writer, mut reader) = (LineWriter::new("n1"), LineReader::new("n1"));
        let (first, second) = (lines(&mut writer, &frame(50_000)), lines(&mut writer, &frame(3)));
        assert!(first.iter().all(|line| line.len() < MAX_LINE));
        assert_eq!(first.len(), 6);
        assert_eq!(reader.take(b"n2 0 + AAAA"), Taken::Strange);
        for line in &first[..5] {
            assert_eq!(reader.take(line), Taken::Nothing);
            assert_eq!(reader.take(b"a task wrote this"), Taken::Strange);
        }
        assert_eq!(reader.take(&first[5]), Taken::Frame(frame(50_000)));
        for line in &first {
            assert_eq!(reader.take(line), Taken::Nothing, "it came before");
        }
        assert_eq!((reader.take(&second[0]), reader.lost()), (Taken::Frame(frame(3)), 0));
    }

    #[test]
    fn what_is_lost_is_counted_and_the_next_frame_is_whole() {
        let (mut writer, mut reader) = (LineWriter::new("n"), LineReader::new("n"));
        let (first, second) = (lines(&mut writer, &frame(50_000)), lines(&mut writer, &frame(7)));
        assert_eq!(reader.take(&first[0]), Taken::Nothing);
        assert_eq!(reader.take(&first[3]), Taken::Nothing);
        assert_eq!((reader.take(&second[0]), reader.lost()), (Taken::Frame(frame(7)), 4));
        let mut late = LineReader::new("n");
        assert_eq!(late.take(&first[2]), Taken::Nothing, "the frame began before");
        assert_eq!(first[3..].iter().map(|line| late.take(line)).filter(|taken| *taken != Taken::Nothing).count(), 0);
        assert_eq!((late.take(&second[0]), late.lost()), (Taken::Frame(frame(7)), 0));
    }

    #[test]
    fn words_are_read_as_they_were_said_and_no_others() {
        let put = |name: &str, content: &str| Word::Put(name.to_owned(), content.as_bytes().to_vec());
        for word in [Word::Kill, put("q-1.json", "{}\n"), put("empty", "")] {
            assert_eq!(Word::read(&word.line()), Some(word));
        }
        for bad in [
            "",
            "put",
            "put ../x 2 e30=",
            "put .x 2 e30=",
            "put x 2 !",
            "put x 3 e30=",
            "put x two e30=",
            "put x e30=",
            "kill all",
            "stop",
        ] {
            assert_eq!(Word::read(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_line_is_taken_without_a_panic(line in prop::collection::vec(any::<u8>(), 0..80), number in any::<u64>()) {
            let mut reader = LineReader::new("n");
            reader.take(&line);
            reader.take(format!("n {} + AAAA", number.min(u64::MAX - 1)).as_bytes());
            reader.take(b"n 1 . AAAA");
        }
    }
}
