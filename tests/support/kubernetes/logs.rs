//! The log of a container: lines with their times, in files that may rotate.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

/// A line is stored in pieces of so many bytes, and those are what `tailLines` counts.
const PIECE: usize = 16 << 10;
/// What each line of a file has beside its text.
const FRAME: usize = 40;

pub struct Log {
    state: Mutex<State>,
    changed: Condvar,
    rotation: Option<usize>,
}

#[derive(Default)]
struct State {
    lines: Vec<Line>,
    file: u32,
    size: usize,
    /// Nothing comes any more.
    has_ended: bool,
    /// So often have all followers been sent away.
    partings: u32,
}

#[derive(Debug, Clone)]
pub struct Line {
    pub at: Timestamp,
    /// With its newline, if it has one.
    pub text: Vec<u8>,
    file: u32,
}

/// What a reader wants.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    pub is_stamped: bool,
    pub since: Option<Timestamp>,
    pub tail: Option<usize>,
    pub limit: Option<usize>,
}

/// What came of waiting for a line.
pub enum News {
    Lines(Vec<Line>),
    Nothing,
    /// It is over for this follower.
    End,
}

impl Log {
    pub fn new(rotation: Option<usize>) -> Log {
        Log { state: Mutex::default(), changed: Condvar::new(), rotation }
    }

    /// Appends a line; its time is moved behind that of the line before.
    pub fn push(&self, at: Timestamp, text: Vec<u8>) {
        let mut state = self.state();
        let next = state.lines.last().and_then(|last| last.at.checked_add(Duration::from_nanos(1)).ok());
        let at = next.map_or(at, |next| at.max(next));
        let size = text.len() + FRAME;
        if self.rotation.is_some_and(|largest| state.size > 0 && state.size + size > largest) {
            state.file += 1;
            state.size = 0;
        }
        state.size += size;
        let file = state.file;
        state.lines.push(Line { at, text, file });
        self.changed.notify_all();
    }

    pub fn end(&self) {
        self.state().has_ended = true;
        self.changed.notify_all();
    }

    pub fn has_ended(&self) -> bool {
        self.state().has_ended
    }

    /// Ends the streams of all who follow, though more may come.
    pub fn part(&self) {
        self.state().partings += 1;
        self.changed.notify_all();
    }

    pub fn partings(&self) -> u32 {
        self.state().partings
    }

    /// All lines that ever were.
    pub fn lines(&self) -> Vec<Line> {
        self.state().lines.clone()
    }

    /// What is there for a reader, and where a follower goes on.
    pub fn read(&self, wanted: &Wanted) -> (Vec<u8>, usize) {
        let state = self.state();
        let there = state.lines.iter().filter(|line| line.file == state.file);
        let there: Vec<&Line> = there.filter(|line| wanted.since.is_none_or(|since| line.at >= since)).collect();
        let mut pieces: Vec<(&Line, usize, usize)> = Vec::new();
        for line in there {
            let length = line.text.strip_suffix(b"\n").unwrap_or(&line.text).len();
            pieces.extend((0..length.max(1)).step_by(PIECE).map(|start| {
                let end = if start + PIECE >= length { line.text.len() } else { start + PIECE };
                (line, start, end)
            }));
        }
        let first = wanted.tail.map_or(0, |tail| pieces.len().saturating_sub(tail));
        let mut body = Vec::new();
        for (number, (line, start, end)) in pieces[first..].iter().enumerate() {
            if wanted.is_stamped && (*start == 0 || number == 0) {
                body.extend_from_slice(stamp(line).as_bytes());
            }
            body.extend_from_slice(&line.text[*start..*end]);
        }
        (body, state.lines.len())
    }

    /// What came after so many lines, waiting for it a little.
    pub fn news(&self, from: usize, partings: u32, longest: Duration) -> News {
        let mut state = self.state();
        if state.lines.len() <= from && !state.has_ended && state.partings == partings {
            state = self.changed.wait_timeout(state, longest).unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.lines.len() > from {
            return News::Lines(state.lines[from..].to_vec());
        }
        if state.has_ended || state.partings != partings { News::End } else { News::Nothing }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stamp(line: &Line) -> String {
    format!("{:.9} ", line.at)
}

/// A line as a reader gets it.
pub fn told(line: &Line, is_stamped: bool) -> Vec<u8> {
    let mut bytes = if is_stamped { stamp(line).into_bytes() } else { Vec::new() };
    bytes.extend_from_slice(&line.text);
    bytes
}
