//! A Claude task's transcript as it is looked at: which blocks are unfolded, where the cursor is, which lines are drawn.

use std::collections::{HashMap, HashSet};

use crate::config::theme::Role;
use crate::model::conversation::{Block, TodoState, Transcript};
use crate::model::message::{OutputPiece, OutputStream};
use crate::model::time::Mono;
use crate::tui::data::sync::OutputKey;

use super::document::Document;
use super::lines::{Line, lines};
use super::search::Pattern;

/// Bytes read at a time: parsed in well under a frame.
const PIECE: u32 = 192 * 1024;
/// Bytes of standard error that are shown at the end.
const ERR: u32 = 16 * 1024;
/// Blocks whose lines are kept.
const KEPT: usize = 400;

/// A conversation on the screen.
pub struct Talk {
    transcript: Box<dyn Transcript>,
    read: u64,
    size: u64,
    under_way: bool,
    err: Option<String>,
    err_asked: bool,
    /// Nothing more will come, and all of it was read.
    pub over: bool,
    /// Something was read.
    pub known: bool,
    /// When more came last.
    pub grown: Mono,
    /// Whether the cursor stays at the end.
    pub follow: bool,
    /// The cursor: a block (dropped ones counted) and a line of it.
    pub cursor: (usize, usize),
    top: (usize, usize),
    open: HashSet<usize>,
    all_open: bool,
    cache: HashMap<usize, Vec<Line>>,
    laid_out_for: (usize, bool),
    /// What was just unfolded is to be seen.
    reveals: bool,
    /// What is drawn: for each line its block, its place in it, and the line.
    pub shown: Vec<(usize, usize, Line)>,
}

impl Talk {
    /// Nothing read yet.
    pub fn new(transcript: Box<dyn Transcript>) -> Talk {
        Talk {
            transcript,
            read: 0,
            size: 0,
            under_way: false,
            err: None,
            err_asked: false,
            over: false,
            known: false,
            grown: Mono(0),
            follow: true,
            cursor: (0, 0),
            top: (0, 0),
            open: HashSet::new(),
            all_open: false,
            cache: HashMap::new(),
            laid_out_for: (0, true),
            reveals: false,
            shown: Vec::new(),
        }
    }

    /// What to ask for now.
    pub fn request(&mut self, document: &Document, poll: bool) -> Option<(OutputKey, u32)> {
        let key = |stream, offset| OutputKey { task: document.task.clone(), attempt: document.attempt, stream, offset };
        if self.under_way {
            return None;
        }
        if self.over && !self.err_asked {
            self.err_asked = true;
            return Some((key(OutputStream::Err, 0), ERR));
        }
        let more = self.read < self.size;
        if self.over || !(poll || more || !self.known) {
            return None;
        }
        self.under_way = true;
        Some((key(OutputStream::Out, self.read), PIECE))
    }

    /// The answer will not come any more.
    pub fn reconnect(&mut self) {
        self.under_way = false;
    }

    /// Takes a piece of the transcript in; whether anything changed.
    pub fn take(&mut self, key: &OutputKey, piece: OutputPiece, now: Mono) -> bool {
        self.under_way = false;
        if key.offset != self.read {
            return false;
        }
        let was = (self.known, self.over, self.read);
        self.known = true;
        self.size = piece.size;
        if !piece.data.is_empty() {
            self.read += piece.data.len() as u64;
            self.grown = now;
            self.transcript.push(&piece.data);
        }
        if piece.over && self.read >= piece.size {
            self.over = true;
            self.transcript.finish();
        }
        if let Some(first) = self.transcript.take_changed() {
            self.cache.retain(|block, _| *block < first);
        }
        was != (self.known, self.over, self.read)
    }

    /// Takes what claude wrote to standard error.
    pub fn take_err(&mut self, piece: &OutputPiece) {
        let text = String::from_utf8_lossy(&piece.data).trim().to_owned();
        self.err = (!text.is_empty()).then_some(text);
        self.cache.remove(&self.end());
    }

    /// The list of things to do.
    pub fn todo(&self) -> &[(TodoState, String)] {
        self.transcript.todo()
    }

    /// Turns and cost so far.
    pub fn spent(&self) -> (u32, Option<f64>) {
        (self.transcript.turns(), self.transcript.cost_usd())
    }

    /// Whether there is nothing to show.
    pub fn is_empty(&self) -> bool {
        self.transcript.blocks().is_empty() && self.err.is_none()
    }

    /// One past the last block; there stands what was written to standard error.
    fn end(&self) -> usize {
        self.transcript.dropped() + self.transcript.blocks().len()
    }

    fn first(&self) -> usize {
        self.transcript.dropped()
    }

    fn last(&self) -> usize {
        if self.err.is_some() { self.end() } else { self.end().saturating_sub(1).max(self.first()) }
    }

    fn block(&self, number: usize) -> Option<&Block> {
        self.transcript.blocks().get(number.checked_sub(self.transcript.dropped())?)
    }

    fn is_open(&self, number: usize) -> bool {
        self.all_open != self.open.contains(&number)
    }

    fn lines_of(&mut self, number: usize) -> &[Line] {
        if !self.cache.contains_key(&number) {
            if self.cache.len() >= KEPT {
                self.cache.clear();
            }
            let (width, unicode) = self.laid_out_for;
            let open = self.is_open(number);
            let mut made = match (self.block(number), &self.err) {
                (Some(block), _) => lines(block, width, open, unicode),
                (None, Some(err)) if number == self.end() => {
                    let head = Line::new(vec![("stderr".to_owned(), Role::Dim)]);
                    let body = err.lines().map(|line| Line::new(vec![(super::super::text::harmless::tamed(line), Role::Stderr)]));
                    std::iter::once(head).chain(body).collect()
                }
                _ => Vec::new(),
            };
            if number == self.first() && number > 0 {
                made.insert(0, Line::new(vec![(format!("the first {number} parts are not kept; o shows the file"), Role::Dim)]));
            }
            self.cache.insert(number, made);
        }
        self.cache.get(&number).map_or(&[], Vec::as_slice)
    }

    fn height_of(&mut self, number: usize) -> usize {
        self.lines_of(number).len()
    }

    /// Finds the lines to draw.
    pub fn prepare(&mut self, width: usize, height: usize, unicode: bool) {
        if self.laid_out_for != (width, unicode) {
            self.laid_out_for = (width, unicode);
            self.cache.clear();
        }
        let last = self.last();
        if self.follow {
            self.cursor = (last, self.height_of(last).saturating_sub(1));
        }
        self.cursor.0 = self.cursor.0.clamp(self.first(), last);
        self.cursor.1 = self.cursor.1.min(self.height_of(self.cursor.0).saturating_sub(1));
        self.keep_cursor_visible(height.max(1));
        if std::mem::take(&mut self.reveals) {
            let below = self.height_of(self.cursor.0);
            let top = self.back((self.cursor.0, 0), height.saturating_sub(below));
            self.top = self.top.max(top);
        }
        self.shown.clear();
        let (mut block, mut line) = self.top;
        while self.shown.len() < height && block <= last {
            let room = height - self.shown.len();
            let own: Vec<Line> = self.lines_of(block).iter().skip(line).take(room).cloned().collect();
            self.shown.extend(own.into_iter().enumerate().map(|(place, shown)| (block, line + place, shown)));
            (block, line) = (block + 1, 0);
        }
    }

    fn keep_cursor_visible(&mut self, height: usize) {
        if self.cursor < self.top {
            self.top = self.cursor;
        }
        // Lines from the top to the cursor; more than a screen moves the top.
        let (mut block, mut line, mut above) = (self.cursor.0, self.cursor.1, 0);
        while (block, line) > self.top {
            if line > 0 {
                let step = if block == self.top.0 { line - self.top.1 } else { line };
                above += step;
                line -= step;
            } else {
                block -= 1;
                line = self.height_of(block);
            }
            if above >= height {
                self.top = self.back(self.cursor, height - 1);
                return;
            }
        }
        // Nothing below the end: the end stays at the bottom.
        if self.follow {
            self.top = self.back(self.cursor, height - 1);
        }
    }

    /// The place so many lines before another.
    fn back(&mut self, from: (usize, usize), by: usize) -> (usize, usize) {
        let (mut block, mut line, mut left) = (from.0, from.1, by);
        while left > 0 {
            if line >= left {
                return (block, line - left);
            }
            left -= line;
            if block <= self.first() {
                return (self.first(), 0);
            }
            block -= 1;
            line = self.height_of(block);
        }
        (block, line)
    }

    /// Moves the cursor.
    pub fn scroll(&mut self, by: isize) {
        self.follow = false;
        if by < 0 {
            self.cursor = self.back(self.cursor, by.unsigned_abs());
            return;
        }
        let last = self.last();
        for _ in 0..by {
            if self.cursor.1 + 1 < self.height_of(self.cursor.0) {
                self.cursor.1 += 1;
            } else {
                let next = (self.cursor.0 + 1..=last).find(|block| self.height_of(*block) > 0);
                match next {
                    Some(next) => self.cursor = (next, 0),
                    None => return,
                }
            }
        }
    }

    /// To the beginning or the end.
    pub fn go_to_end(&mut self, last: bool) {
        self.follow = last;
        if !last {
            self.cursor = (self.first(), 0);
        }
    }

    /// Folds or unfolds the block under the cursor.
    pub fn toggle(&mut self) {
        self.follow = false;
        let block = self.cursor.0;
        if !self.open.remove(&block) {
            self.open.insert(block);
        }
        self.cache.remove(&block);
        (self.cursor.1, self.reveals) = (0, true);
    }

    /// Folds or unfolds all of them.
    pub fn toggle_all(&mut self) {
        self.all_open = !self.all_open;
        self.open.clear();
        self.cache.clear();
        (self.cursor.1, self.reveals) = (0, true);
    }

    /// A click on a line of the screen.
    pub fn click(&mut self, line: usize) {
        if let Some((block, place, _)) = self.shown.get(line) {
            let was = self.cursor == (*block, *place);
            (self.cursor, self.follow) = ((*block, *place), false);
            if was || *place == 0 {
                self.toggle();
            }
        }
    }

    /// Goes to the next block that holds a match, at an end on from the other one; whether it went over an end, or none when
    /// there is no match. A fresh search begins with what is on the screen.
    pub fn search(&mut self, pattern: &Pattern, backward: bool, fresh: bool) -> Option<bool> {
        let (first, last) = (self.first(), self.last());
        let here = if fresh { self.top.0 } else { self.cursor.0 };
        let start = if fresh { here } else { here + 1 };
        let holds =
            |number: &usize| self.block(*number).is_some_and(|block| text_of(block).lines().any(|line| pattern.is_in(line)));
        let (found, over) = if backward {
            let found = (first..here).rev().chain((here..=last).rev()).find(holds)?;
            (found, found >= here)
        } else {
            let found = (start..=last).chain(first..start).find(holds)?;
            (found, found < start)
        };
        self.follow = false;
        if !self.is_open(found) && matches!(self.block(found), Some(Block::Call(_) | Block::Thought { .. })) {
            self.open.insert(found);
            self.cache.remove(&found);
        }
        let line = self.lines_of(found).iter().position(|line| pattern.is_in(&line.text())).unwrap_or(0);
        self.cursor = (found, line);
        Some(over)
    }

    /// The text of the block under the cursor.
    pub fn chosen_text(&self) -> String {
        self.block(self.cursor.0).map(text_of).unwrap_or_default()
    }
}

/// All text of a block.
fn text_of(block: &Block) -> String {
    match block {
        Block::Session { id, .. } => id.clone(),
        Block::Said { text, .. } | Block::Thought { text, .. } | Block::Prompted { text, .. } => text.clone(),
        Block::Notice { text, .. } | Block::Raw { text } => text.clone(),
        Block::Call(call) => {
            let result = call.result.as_ref().map_or("", |result| result.text.as_str());
            format!("{} {}\n{result}", call.name, call.argument)
        }
        Block::Question(question) => format!("{} {}", question.tool, question.argument),
        Block::Ended(ended) => ended.text.clone(),
    }
}
