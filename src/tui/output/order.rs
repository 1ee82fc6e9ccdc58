//! In which order the two streams were written: one line of bytes made of both, by the attempt's index.

/// Bytes of one record of the index: stream, 3 unused, length (u32), time in milliseconds (i64); see `runner::copy`.
pub const RECORD: usize = 16;
/// Output of one stream within this time is one segment here.
const MERGE_MS: i64 = 1_000;
/// Segments kept; beyond them, what follows of a stream is taken as one.
const MAX_SEGMENTS: usize = 200_000;

/// Standard output or standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// Consecutive bytes of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Which stream.
    pub stream: Stream,
    /// Place in both together.
    pub at: u64,
    /// Place in the stream.
    pub offset: u64,
    /// Length in bytes.
    pub len: u64,
    /// When its first byte came, in milliseconds since the epoch.
    pub time: i64,
}

/// The order of both streams.
#[derive(Debug, Default)]
pub struct Order {
    segments: Vec<Segment>,
    /// Those that cannot change any more.
    fixed: usize,
    /// Bytes of the index that were taken in for good.
    read: u64,
}

impl Order {
    /// From where the index is to be read on.
    pub fn wanted_from(&self) -> u64 {
        self.read
    }

    /// Takes a piece of the index that begins at [`Order::wanted_from`]. The last record of a running attempt still grows:
    /// it counts, and is read again.
    pub fn take(&mut self, bytes: &[u8], over: bool) {
        self.segments.truncate(self.fixed);
        let records: Vec<&[u8]> = bytes.chunks_exact(RECORD).collect();
        let whole = if over { records.len() } else { records.len().saturating_sub(1) };
        for (number, record) in records.iter().enumerate() {
            let stream = if record[0] == 1 { Stream::Err } else { Stream::Out };
            let len = u32::from_le_bytes([record[4], record[5], record[6], record[7]]);
            let mut time = [0; 8];
            time.copy_from_slice(&record[8..16]);
            self.add(stream, u64::from(len), i64::from_le_bytes(time), number < whole);
        }
        self.read += (whole * RECORD) as u64;
    }

    fn add(&mut self, stream: Stream, len: u64, time: i64, is_final: bool) {
        let at = self.len();
        let offset = self.segments.iter().rev().find(|last| last.stream == stream).map_or(0, |last| last.offset + last.len);
        let full = self.segments.len() >= MAX_SEGMENTS;
        match self.segments.last_mut() {
            Some(last) if is_final && last.stream == stream && (full || time - last.time < MERGE_MS) => last.len += len,
            _ => self.segments.push(Segment { stream, at, offset, len, time }),
        }
        if is_final {
            self.fixed = self.segments.len();
        }
    }

    /// Bytes that are in order.
    pub fn len(&self) -> u64 {
        self.segments.last().map_or(0, |last| last.at + last.len)
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Bytes of a stream that are in order.
    pub fn covered(&self, stream: Stream) -> u64 {
        self.segments.iter().rev().find(|last| last.stream == stream).map_or(0, |last| last.offset + last.len)
    }

    /// The segment that holds the byte at `at`.
    pub fn find(&self, at: u64) -> Option<Segment> {
        let after = self.segments.partition_point(|segment| segment.at <= at);
        let segment = self.segments[..after].last()?;
        (at < segment.at + segment.len).then_some(*segment)
    }

    /// Place of the first byte that came at `time` or later.
    pub fn at_time(&self, time: i64) -> Option<u64> {
        let first = self.segments.partition_point(|segment| segment.time < time);
        self.segments.get(first).or(self.segments.last()).map(|segment| segment.at)
    }

    /// When the last byte came.
    pub fn last_time(&self) -> Option<i64> {
        self.segments.last().map(|segment| segment.time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(stream: u8, len: u32, time: i64) -> Vec<u8> {
        let mut bytes = vec![stream, 0, 0, 0];
        bytes.extend(len.to_le_bytes());
        bytes.extend(time.to_le_bytes());
        bytes
    }

    #[test]
    fn both_streams_become_one_in_the_order_of_the_index() {
        let mut order = Order::default();
        let bytes = [record(0, 10, 0), record(1, 5, 100), record(0, 7, 5_000)].concat();
        order.take(&bytes, true);
        assert_eq!(order.len(), 22);
        assert_eq!(order.find(12).map(|s| (s.stream, s.offset, s.at)), Some((Stream::Err, 0, 10)));
        assert_eq!(order.find(15).map(|s| (s.stream, s.offset)), Some((Stream::Out, 10)));
        assert_eq!(order.find(22), None);
        assert_eq!((order.at_time(50), order.at_time(99_999)), (Some(10), Some(15)));
    }

    #[test]
    fn a_record_that_still_grows_is_read_again() {
        let mut order = Order::default();
        order.take(&[record(0, 10, 0), record(1, 5, 100)].concat(), false);
        assert_eq!((order.wanted_from(), order.len()), (16, 15));
        order.take(&[record(1, 9, 100), record(0, 1, 200)].concat(), false);
        assert_eq!((order.wanted_from(), order.len()), (32, 20));
        order.take(&record(0, 4, 200), true);
        assert_eq!((order.wanted_from(), order.len()), (48, 23));
        assert_eq!(order.covered(Stream::Out), 14);
    }

    #[test]
    fn rubbish_is_no_panic() {
        let mut order = Order::default();
        order.take(&[0xff; 71], false);
        order.take(&[], true);
        assert!(order.find(u64::MAX).is_none());
    }
}
