//! What `airx relay` says about an attempt's directory to whoever sees it from another machine: frames, one after another.
//!
//! A frame is a byte of its kind, one of its name's length, four of its content's length and eight of the content's place in
//! the file (little-endian), the name, and the content. The upper half of the first byte is that of a name that is longer than a
//! byte can tell, as artifacts may have.

/// Most bytes in one frame.
pub const MAX_CONTENT: usize = 1 << 20;
/// Between two frames there is at most this much time: an empty one says that there is nothing to say.
pub const BEAT_MS: u64 = 5_000;
/// So long a relay goes on without a word from whoever listens.
pub const LISTENER_MS: u64 = 60_000;
/// Files that only grow, of which what is new is told. What the index says is in the others has been told before it.
pub const GROWING: [&str; 4] = ["out", "err", "gate.log", "index"];
/// Files that are told as a whole whenever they are others.
pub const WHOLE: [&str; 2] = ["runner.json", "live.json"];
/// Where items of the outbox are.
pub const OUTBOX: &str = "outbox/";

const HEAD: usize = 14;
/// Longest name, in bytes.
const MAX_NAME: usize = 0xfff;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing is new.
    Beat,
    /// A part of a file that grows.
    Part,
    /// A whole file.
    Whole,
}

/// A frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub kind: Kind,
    /// The file, relative to the attempt's directory.
    pub name: String,
    /// Where the content is in the file.
    pub offset: u64,
    /// The content.
    pub content: Vec<u8>,
}

impl Frame {
    /// One that says nothing.
    pub fn beat() -> Frame {
        Frame { kind: Kind::Beat, name: String::new(), offset: 0, content: Vec::new() }
    }

    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let kind = match self.kind {
            Kind::Beat => 0,
            Kind::Part => 1,
            Kind::Whole => 2,
        };
        let length = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
        let name = &self.name.as_bytes()[..self.name.len().min(MAX_NAME)];
        let mut bytes = Vec::with_capacity(HEAD + name.len() + self.content.len());
        let [low, high, ..] = length(name.len());
        bytes.extend([kind | high << 4, low]);
        bytes.extend(length(self.content.len()));
        bytes.extend(self.offset.to_le_bytes());
        bytes.extend(name);
        bytes.extend(&self.content);
        bytes
    }
}

/// Takes frames out of bytes that come in pieces.
#[derive(Debug, Default)]
pub struct Decoder(Vec<u8>);

impl Decoder {
    /// Takes in a piece.
    pub fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The next whole frame; none as long as there is none.
    ///
    /// # Errors
    /// When what came is no frame.
    pub fn frame(&mut self) -> Result<Option<Frame>, String> {
        let Some((head, rest)) = self.0.split_at_checked(HEAD) else { return Ok(None) };
        let kind = match head[0] & 0xf {
            0 => Kind::Beat,
            1 => Kind::Part,
            2 => Kind::Whole,
            other => return Err(format!("{other} is no kind of frame")),
        };
        let length = head[2..6].iter().rev().fold(0, |sum, byte| (sum << 8) | usize::from(*byte));
        let offset = head[6..].iter().rev().fold(0, |sum, byte| (sum << 8) | u64::from(*byte));
        if length > MAX_CONTENT {
            return Err(format!("a frame of {length} bytes is too long"));
        }
        let name = usize::from(head[1]) | usize::from(head[0] >> 4) << 8;
        let whole = name + length;
        if rest.len() < whole {
            return Ok(None);
        }
        let name = std::str::from_utf8(&rest[..name]).map_err(|error| error.to_string())?.to_owned();
        let content = rest[whole - length..whole].to_vec();
        self.0.drain(..HEAD + whole);
        Ok(Some(Frame { kind, name, offset, content }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn frames_arrive_as_they_were_in_whatever_pieces(
            contents in prop::collection::vec((any::<u64>(), "[a-z/.]{0,600}", prop::collection::vec(any::<u8>(), 0..300)), 0..10),
            piece in 1usize..70,
        ) {
            let frames: Vec<Frame> = contents.into_iter()
                .map(|(offset, name, content)| Frame { kind: Kind::Part, name, offset, content })
                .collect();
            let bytes: Vec<u8> = frames.iter().flat_map(Frame::encode).collect();
            let (mut decoder, mut seen) = (Decoder::default(), Vec::new());
            for piece in bytes.chunks(piece) {
                decoder.push(piece);
                while let Some(frame) = decoder.frame().unwrap() {
                    seen.push(frame);
                }
            }
            prop_assert_eq!(seen, frames);
        }

        #[test]
        fn anything_at_all_is_taken_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut decoder = Decoder::default();
            decoder.push(&bytes);
            while let Ok(Some(_)) = decoder.frame() {}
        }
    }
}
