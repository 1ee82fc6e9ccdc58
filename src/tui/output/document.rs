//! A text that may be far larger than memory, shown line by line from any place in it.

use std::collections::HashMap;

use memchr::{memchr, memrchr};

use crate::model::ids::Address;
use crate::model::message::{OutputPiece, OutputStream};
use crate::model::time::Mono;
use crate::tui::data::sync::OutputKey;

use super::order::{Order, Stream};

/// Bytes read at a time.
pub const CHUNK: u64 = 128 * 1024;
/// Chunks kept: 6 MiB.
const KEPT: usize = 48;
/// A longer line is shown in pieces of this size.
pub const MAX_LINE: u64 = 64 * 1024;
/// Requests under way.
const UNDER_WAY: usize = 4;
/// Bytes of the index asked for at a time.
const INDEX_PIECE: u32 = 256 * 1024;

/// Which of the streams are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Which {
    /// Both in the order in which they were written.
    #[default]
    Both,
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// A line, or the piece of one that is too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Where it begins.
    pub at: u64,
    /// Where the next one begins.
    pub next: u64,
    /// Its stream.
    pub stream: Stream,
    /// Its bytes without the line feed.
    pub bytes: Vec<u8>,
}

/// A step through the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A line.
    Line(Line),
    /// There is no more.
    End,
    /// That part was asked for and has not come yet.
    Missing,
}

/// An attempt's output.
#[derive(Debug)]
pub struct Document {
    /// The task.
    pub task: Address,
    /// The attempt.
    pub attempt: u32,
    /// Which streams are shown.
    pub which: Which,
    /// The attempt is over: nothing more will come.
    pub over: bool,
    /// Something was read.
    pub known: bool,
    /// When more came last.
    pub grown: Mono,
    /// Why it cannot be read.
    pub failure: Option<String>,
    sizes: [u64; 2],
    order: Order,
    /// The index was read to its end, and that once the attempt was over.
    ordered: bool,
    chunks: HashMap<(Stream, u64), Chunk>,
    tick: u64,
    under_way: Vec<(OutputStream, u64)>,
    wanted: Vec<(OutputStream, u64, u32)>,
}

#[derive(Debug)]
struct Chunk {
    data: Vec<u8>,
    used: u64,
}

impl Document {
    /// Of an attempt; nothing is read yet.
    pub fn new(task: Address, attempt: u32) -> Document {
        Document {
            task,
            attempt,
            which: Which::Both,
            over: false,
            known: false,
            grown: Mono(0),
            failure: None,
            sizes: [0, 0],
            order: Order::default(),
            ordered: false,
            chunks: HashMap::new(),
            tick: 0,
            under_way: Vec::new(),
            wanted: Vec::new(),
        }
    }

    /// Bytes of what is shown.
    pub fn len(&self) -> u64 {
        match self.which {
            Which::Out => self.sizes[0],
            Which::Err => self.sizes[1],
            Which::Both => {
                let rest = |stream| self.size(stream).saturating_sub(self.order.covered(stream));
                self.order.len() + rest(Stream::Out) + rest(Stream::Err)
            }
        }
    }

    /// Whether there is nothing to show.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of standard error.
    pub fn err_len(&self) -> u64 {
        self.sizes[1]
    }

    fn size(&self, stream: Stream) -> u64 {
        self.sizes[stream as usize]
    }

    /// When the last output came, in milliseconds since the epoch; none without an index.
    pub fn last_time(&self) -> Option<i64> {
        self.order.last_time()
    }

    /// Place of what was written at a time; none without an index or when only one stream is shown.
    pub fn at_time(&mut self, millis: i64) -> Option<u64> {
        self.which = Which::Both;
        self.order.at_time(millis)
    }

    /// Where the byte at `at` lies: stream, offset there, and how many bytes follow there.
    fn locate(&self, at: u64) -> Option<(Stream, u64, u64)> {
        let single = |stream, at: u64| (at < self.size(stream)).then(|| (stream, at, self.size(stream) - at));
        match self.which {
            Which::Out => single(Stream::Out, at),
            Which::Err => single(Stream::Err, at),
            Which::Both => match self.order.find(at) {
                Some(segment) => {
                    let within = at - segment.at;
                    Some((segment.stream, segment.offset + within, segment.len - within))
                }
                None => {
                    // What no index covers: transcripts, and what was written when the runner died.
                    let (out, err) = (self.order.covered(Stream::Out), self.order.covered(Stream::Err));
                    let past = at - self.order.len();
                    let rest = self.size(Stream::Out).saturating_sub(out);
                    if past < rest {
                        Some((Stream::Out, out + past, rest - past))
                    } else {
                        single(Stream::Err, err + (past - rest))
                    }
                }
            },
        }
    }

    /// Bytes from `at` on that lie together in memory; empty at the end, none when they have to be read first.
    fn piece(&mut self, at: u64) -> Option<(Stream, &[u8])> {
        let Some((stream, offset, run)) = self.locate(at) else { return Some((Stream::Out, &[])) };
        let start = offset / CHUNK * CHUNK;
        self.tick += 1;
        let tick = self.tick;
        let within = usize::try_from(offset - start).unwrap_or(usize::MAX);
        if self.chunks.get(&(stream, start)).is_none_or(|chunk| chunk.data.len() <= within) {
            self.want(stream, start);
            return None;
        }
        let chunk = self.chunks.get_mut(&(stream, start))?;
        chunk.used = tick;
        let run = usize::try_from(run).unwrap_or(usize::MAX);
        let end = within.saturating_add(run).min(chunk.data.len());
        Some((stream, &chunk.data[within..end]))
    }

    fn want(&mut self, stream: Stream, start: u64) {
        let file = if stream == Stream::Out { OutputStream::Out } else { OutputStream::Err };
        let key = (file, start);
        if !self.under_way.contains(&key) && !self.wanted.iter().any(|(file, at, _)| (*file, *at) == key) {
            self.wanted.push((file, start, u32::try_from(CHUNK).unwrap_or(u32::MAX)));
        }
    }

    /// The line that begins at `at`.
    pub fn line_at(&mut self, at: u64) -> Step {
        let mut bytes: Vec<u8> = Vec::new();
        let mut first = None;
        let mut pos = at;
        loop {
            let Some((stream, piece)) = self.piece(pos) else { return Step::Missing };
            let other = first.is_some_and(|first| first != stream);
            if piece.is_empty() || other {
                return match first {
                    Some(stream) => Step::Line(Line { at, next: pos, stream, bytes }),
                    None => Step::End,
                };
            }
            first = Some(stream);
            let room = usize::try_from(MAX_LINE - (pos - at)).unwrap_or(0);
            if let Some(end) = memchr(b'\n', &piece[..piece.len().min(room)]) {
                bytes.extend_from_slice(&piece[..end]);
                return Step::Line(Line { at, next: pos + end as u64 + 1, stream, bytes });
            }
            let taken = piece.len().min(room);
            bytes.extend_from_slice(&piece[..taken]);
            pos += taken as u64;
            if taken == room {
                return Step::Line(Line { at, next: pos, stream, bytes });
            }
        }
    }

    /// Where the line before the one at `at` begins; none when it has to be read first, `at` itself at the beginning.
    pub fn before(&mut self, at: u64) -> Option<u64> {
        let mut end = at.min(self.len());
        if end == 0 {
            return Some(0);
        }
        // The line feed that ends the line before.
        let (stream, _, _) = self.locate(end - 1).unwrap_or((Stream::Out, 0, 0));
        if self.byte(end - 1)? == b'\n' {
            end -= 1;
        }
        let floor = end.saturating_sub(MAX_LINE);
        while end > floor {
            let (of, offset, _) = self.locate(end - 1)?;
            if of != stream {
                return Some(end);
            }
            let start = (offset / CHUNK * CHUNK).max(offset.saturating_sub(end - 1 - floor));
            let from = (end - 1).saturating_sub(offset - start);
            // Not over the beginning of the segment: there another stream may stand.
            let from = match self.which {
                Which::Both => self
                    .order
                    .find(end - 1)
                    .map_or(from, |segment| from.max(segment.at))
                    .max(if end > self.order.len() { self.order.len().min(end - 1) } else { 0 }),
                _ => from,
            };
            let (_, piece) = self.piece(from)?;
            let len = usize::try_from(end - from).unwrap_or(usize::MAX).min(piece.len());
            if let Some(found) = memrchr(b'\n', &piece[..len]) {
                return Some(from + found as u64 + 1);
            }
            if from >= end {
                return Some(end);
            }
            end = from;
        }
        Some(end)
    }

    fn byte(&mut self, at: u64) -> Option<u8> {
        self.piece(at)?.1.first().copied()
    }

    /// What to ask for now: missing parts, and whether there is more.
    pub fn requests(&mut self, poll: bool) -> Vec<(OutputKey, u32)> {
        if poll && !self.over && self.under_way.is_empty() {
            self.wanted.push((OutputStream::Index, self.order.wanted_from(), INDEX_PIECE));
            // A look at the sizes: the chunks that still grow.
            for stream in [Stream::Out, Stream::Err] {
                let size = self.size(stream);
                let file = if stream == Stream::Out { OutputStream::Out } else { OutputStream::Err };
                self.wanted.push((file, size, 1));
            }
        }
        let room = UNDER_WAY.saturating_sub(self.under_way.len());
        let now: Vec<(OutputStream, u64, u32)> = self.wanted.drain(..room.min(self.wanted.len())).collect();
        self.wanted.truncate(UNDER_WAY);
        now.into_iter()
            .map(|(stream, offset, limit)| {
                self.under_way.push((stream, offset));
                (OutputKey { task: self.task.clone(), attempt: self.attempt, stream, offset }, limit)
            })
            .collect()
    }

    /// A request that was not sent after all.
    pub fn unasked(&mut self, key: &OutputKey) {
        self.under_way.retain(|(stream, offset)| (*stream, *offset) != (key.stream, key.offset));
    }

    /// Takes a piece in; whether anything changed.
    pub fn take(&mut self, key: &OutputKey, piece: OutputPiece, now: Mono) -> bool {
        self.unasked(key);
        self.failure = None;
        let was = (self.len(), self.over, self.known);
        self.known = true;
        let mut came = false;
        match key.stream {
            OutputStream::Index => {
                let more = piece.offset + (piece.data.len() as u64) < piece.size;
                self.order.take(&piece.data, piece.over && !more);
                self.ordered = piece.over && !more;
                if more && !piece.data.is_empty() {
                    self.wanted.push((OutputStream::Index, self.order.wanted_from(), INDEX_PIECE));
                }
            }
            OutputStream::Out | OutputStream::Err => {
                let stream = if key.stream == OutputStream::Out { Stream::Out } else { Stream::Err };
                self.sizes[stream as usize] = piece.size;
                if key.offset.is_multiple_of(CHUNK)
                    && !piece.data.is_empty()
                    && (piece.data.len() > 1 || piece.size - key.offset == 1)
                {
                    came = true;
                    self.keep(stream, key.offset, piece.data);
                }
                // An attempt that ended between both: its last lines are in no order yet.
                self.over = piece.over && self.ordered;
            }
            OutputStream::Gate => {}
        }
        let changed = was != (self.len(), self.over, self.known);
        if was.0 != self.len() {
            self.grown = now;
        }
        changed || came
    }

    fn keep(&mut self, stream: Stream, start: u64, data: Vec<u8>) {
        self.tick += 1;
        self.chunks.insert((stream, start), Chunk { data, used: self.tick });
        if self.chunks.len() > KEPT
            && let Some(oldest) = self.chunks.iter().min_by_key(|(_, chunk)| chunk.used).map(|(key, _)| *key)
        {
            self.chunks.remove(&oldest);
        }
    }

    /// Answers that were under way will not come any more.
    pub fn reconnect(&mut self) {
        self.under_way.clear();
        self.failure = None;
    }

    /// Nothing could be read.
    pub fn fail(&mut self, key: &OutputKey, why: String) {
        self.unasked(key);
        self.failure = Some(why);
    }
}

#[cfg(test)]
mod tests;
