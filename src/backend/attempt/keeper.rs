//! Output that comes with times, from an engine's or a cluster's logs, kept as the runner would keep it.
//!
//! The `index` that is kept for readers (16 bytes a chunk, as the runner writes it) also tells where to go on after a restart: of
//! each stream, the newest chunk that begins a new millisecond. All since then is asked for again (in whole seconds only); what is
//! older is passed over, and then as many bytes as the file has beyond that chunk's beginning. Nothing is lost, and nothing is
//! kept twice.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Bytes of a record of the index.
const RECORD: usize = 16;
/// Output of one stream within this time is one chunk of the index.
const COALESCE_MS: i64 = 50;
/// Seconds by which the engine's clock may go back after a restart without anything being missed.
const STEP_S: i64 = 60;
/// Bytes after which engines cut a line into pieces. The `local` driver leaves out the end of one that fills them exactly.
const ENGINE_PIECE: usize = 16 << 10;
/// What the two streams are called.
const NAMES: [&str; 2] = ["out", "err"];

/// Where going on begins in a stream: the millisecond, and the place of its first byte.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Mark {
    ms: i64,
    offset: u64,
}

/// What the index says of a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Place {
    mark: Mark,
    length: u64,
    /// The clock went back: by time there is no going on, all is asked for again.
    stepped: bool,
}

impl Place {
    fn chunk(&mut self, length: u64, ms: i64) {
        if ms > self.mark.ms {
            self.mark = Mark { ms, offset: self.length };
        } else if ms < self.mark.ms {
            self.stepped = true;
        }
        self.length += length;
    }

    /// From where on pieces are new or to be counted off, and how many bytes of them are known.
    fn resume(&self, length: u64) -> (i64, u64) {
        if self.stepped { (0, length) } else { (self.mark.ms, length.saturating_sub(self.mark.offset)) }
    }
}

/// Also how many bytes of whole records there are. A task whose streams take turns byte by byte makes an index many times its
/// output: it is not read into memory.
fn places(mut index: impl Read) -> io::Result<([Place; 2], u64)> {
    let (mut places, mut whole) = ([Place::default(); 2], 0);
    let mut record = [0; RECORD];
    loop {
        match index.read_exact(&mut record) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok((places, whole)),
            other => other?,
        }
        whole += RECORD as u64;
        let length = u32::from_le_bytes([record[4], record[5], record[6], record[7]]);
        let time = u64::from_le_bytes([8, 9, 10, 11, 12, 13, 14, 15].map(|at: usize| record[at]));
        if let Some(place) = places.get_mut(usize::from(record[0])) {
            place.chunk(u64::from(length), i64::try_from(time).unwrap_or(0));
        }
    }
}

/// Where output comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A Docker engine, whose pieces of long lines have one time.
    Engine,
    /// A cluster, which tells only what it has not rotated away, each line with a time of its own.
    Cluster,
}

/// Keeps what comes.
pub struct Keeper {
    files: [File; 2],
    index: File,
    places: [Place; 2],
    resume: [(i64, u64); 2],
    /// The newest millisecond of each stream.
    last: [i64; 2],
    /// Of the newest piece of each stream: its time, and whether it filled a piece of the engine's without ending a line.
    before: [Option<(i128, bool)>; 2],
    /// Of the chunk that is being gathered: its stream, its time, its bytes.
    chunk: Option<(usize, i64, Vec<u8>)>,
    limit: u64,
    is_cut: bool,
    origin: Origin,
    /// Whether what comes next is the first of a stream.
    is_first: [bool; 2],
    gaps: u32,
}

impl Keeper {
    /// Goes on where the last one stopped. `limit` bytes are kept of both streams together.
    ///
    /// # Errors
    /// When the files cannot be opened or read.
    pub fn open(dir: &Path, limit: u64, origin: Origin) -> io::Result<Keeper> {
        let open = |name: &str| {
            let mut options = OpenOptions::new();
            options.read(true).append(true).create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW).open(dir.join(name))
        };
        let index = open("index")?;
        let (places, whole) = places(BufReader::new(&index))?;
        index.set_len(whole)?;
        let files = [open(NAMES[0])?, open(NAMES[1])?];
        let mut keeper = Keeper {
            files,
            index,
            places,
            resume: [(0, 0); 2],
            last: [0; 2],
            before: [None; 2],
            chunk: None,
            limit,
            is_cut: false,
            origin,
            is_first: [true; 2],
            gaps: 0,
        };
        for number in 0..2 {
            let length = keeper.files[number].metadata()?.len();
            // Written, but not yet in the index.
            if length > keeper.places[number].length {
                keeper.record(number, keeper.places[number].mark.ms, length - keeper.places[number].length)?;
            }
        }
        keeper.again();
        Ok(keeper)
    }

    /// From now on pieces come again, from [`Keeper::since`] on.
    pub fn again(&mut self) {
        self.before = [None; 2];
        self.is_first = [true; 2];
        for number in 0..2 {
            self.resume[number] = self.places[number].resume(self.places[number].length);
            self.last[number] = self.places[number].mark.ms;
        }
    }

    /// Since when the engine is to be asked, in whole seconds.
    pub fn since(&self) -> i32 {
        let from = self.resume.iter().map(|(from, _)| *from).min().unwrap_or(0);
        i32::try_from((from.div_euclid(1_000) - STEP_S).max(0)).unwrap_or(0)
    }

    /// Bytes kept of both streams.
    pub fn kept(&self) -> (u64, u64) {
        (self.places[0].length, self.places[1].length)
    }

    /// How often something was missing when it went on: the log had been rotated meanwhile.
    pub fn gaps(&self) -> u32 {
        self.gaps
    }

    /// The second from which on a cluster has to tell what it has; none when nothing was kept.
    pub fn resumes_at_s(&self) -> Option<i64> {
        let (from, known) = self.resume[0];
        (from > 0 && known > 0).then(|| from.div_euclid(1_000))
    }

    /// Whether more came than may be kept, and is lost.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Takes in one piece of a stream: its timestamp, a space, and its bytes.
    ///
    /// # Errors
    /// What the system says when an earlier chunk cannot be written; the piece is taken in all the same.
    pub fn take(&mut self, number: usize, piece: &[u8]) -> io::Result<()> {
        let Some((nanos, bytes)) = stamped(piece) else { return Ok(()) };
        let ms = i64::try_from(nanos.div_euclid(1_000_000)).unwrap_or(0);
        if ms < self.resume[number].0 || bytes.is_empty() {
            return Ok(());
        }
        if std::mem::take(&mut self.is_first[number]) && self.origin == Origin::Cluster {
            let (from, known) = &mut self.resume[number];
            // All that is known of it lies within one chunk's time. When none of that comes, it was rotated away.
            if *known > 0 && *from > 0 && ms >= *from + COALESCE_MS {
                *known = 0;
                self.gaps += 1;
            }
        }
        // All pieces of a line have one time. The `local` driver leaves out the end of a line that fills its pieces exactly.
        let lost = self.before[number].is_some_and(|(before, is_open)| is_open && before != nanos);
        let is_open = self.origin == Origin::Engine && bytes.len() % ENGINE_PIECE == 0 && !bytes.ends_with(b"\n");
        self.before[number] = Some((nanos, is_open));
        let ended = if lost { self.add(number, self.last[number], b"\n") } else { Ok(()) };
        self.add(number, ms, bytes).and(ended)
    }

    fn add(&mut self, number: usize, ms: i64, mut bytes: &[u8]) -> io::Result<()> {
        let (from, known) = &mut self.resume[number];
        // What comes from here on is new, or counted off, also when the clock goes back.
        *from = i64::MIN;
        let passed = bytes.len().min(usize::try_from(*known).unwrap_or(usize::MAX));
        *known -= passed as u64;
        bytes = &bytes[passed..];
        let first = ms > self.last[number];
        let back = ms < self.last[number];
        self.last[number] = ms;
        let (out, err) = self.kept();
        let gathered = self.chunk.as_ref().map_or(0, |(_, _, bytes)| bytes.len() as u64);
        let room = self.limit.saturating_sub(out + err + gathered);
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        self.is_cut |= bytes.len() > room;
        bytes = &bytes[..bytes.len().min(room)];
        if bytes.is_empty() {
            return Ok(());
        }
        let goes_on = self
            .chunk
            .as_ref()
            .is_some_and(|(stream, began, _)| *stream == number && !back && (!first || ms < began + COALESCE_MS));
        if goes_on {
            if let Some((_, _, gathered)) = &mut self.chunk {
                gathered.extend_from_slice(bytes);
            }
            return Ok(());
        }
        let written = self.flush();
        // A chunk that does not begin its millisecond is no place to go on from: it bears the time of the one that is. When the
        // clock went back no time is, which an earlier one says.
        let mark = self.places[number].mark.ms;
        let time = if back {
            (mark - 1).min(ms)
        } else if first {
            ms
        } else {
            mark
        };
        match &mut self.chunk {
            None => self.chunk = Some((number, time, bytes.to_vec())),
            // The disk is full: what is gathered stays one chunk, whatever its times.
            Some((stream, _, gathered)) if *stream == number => gathered.extend_from_slice(bytes),
            Some(_) => return Err(io::ErrorKind::StorageFull.into()),
        }
        written
    }

    /// Writes what was gathered: the bytes, then their chunk.
    ///
    /// # Errors
    /// What the system says; nothing gathered is lost by it.
    pub fn flush(&mut self) -> io::Result<()> {
        let Some((number, time, bytes)) = self.chunk.take() else { return Ok(()) };
        let mut written = 0;
        let result = loop {
            match (&self.files[number]).write(&bytes[written..]) {
                _ if written == bytes.len() => break Ok(()),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        if written < bytes.len() {
            self.chunk = Some((number, time, bytes[written..].to_vec()));
        }
        if written > 0 {
            self.record(number, time, written as u64)?;
        }
        result
    }

    fn record(&mut self, number: usize, ms: i64, mut length: u64) -> io::Result<()> {
        while length > 0 {
            let part = u32::try_from(length).unwrap_or(u32::MAX);
            let mut record = [0; RECORD];
            record[0] = u8::try_from(number).unwrap_or(0);
            record[4..8].copy_from_slice(&part.to_le_bytes());
            record[8..].copy_from_slice(&u64::try_from(ms).unwrap_or(0).to_le_bytes());
            self.places[number].chunk(u64::from(part), ms);
            length -= u64::from(part);
            (&self.index).write_all(&record)?;
        }
        Ok(())
    }
}

/// A piece's time in nanoseconds, and its bytes.
pub fn stamped(piece: &[u8]) -> Option<(i128, &[u8])> {
    let end = piece.iter().take(64).position(|byte| *byte == b' ')?;
    let text = std::str::from_utf8(&piece[..end]).ok()?;
    let at: jiff::Timestamp = text.parse().ok()?;
    Some((at.as_nanosecond(), &piece[end + 1..]))
}

#[cfg(test)]
mod tests;
