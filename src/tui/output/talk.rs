//! A Claude task's transcript as it is looked at: which blocks are unfolded, where the cursor is, which lines are drawn.

use std::collections::{HashMap, HashSet};

use crate::config::theme::Role;
use crate::model::conversation::{Block, Call, CallResult, TodoState};
use crate::model::message::{OutputPiece, OutputStream};
use crate::model::money::Dollars;
use crate::model::time::Mono;
use crate::tui::data::sync::OutputKey;
use crate::tui::parts::MakeTranscript;

use super::document::Document;
use super::lines::{Line, lines};
use super::pages::{Later, Near, Pages, Place};
use super::seek::Seek;
pub use super::seek::Sought;

/// Bytes of standard error that are shown at the end.
const ERR: u32 = 16 * 1024;
/// Blocks whose lines are kept.
const KEPT: usize = 400;

/// A line: its block, and its number there.
pub(super) type Spot = (Place, usize);

/// A conversation on the screen.
pub struct Talk {
    pub(super) pages: Pages,
    err: Option<String>,
    err_asked: bool,
    /// Nothing more will come, and all up to its end was read.
    pub over: bool,
    /// Something was read.
    pub known: bool,
    /// When more came last.
    pub grown: Mono,
    /// Whether the cursor stays at the end.
    pub follow: bool,
    /// The cursor.
    pub cursor: Spot,
    pub(super) top: Spot,
    /// Lines that are still to be scrolled, once what stands there is read.
    pub(super) debt: isize,
    pub(super) open: HashSet<Place>,
    pub(super) all_open: bool,
    pub(super) cache: HashMap<Place, Vec<Line>>,
    laid_out_for: (usize, Dollars),
    /// What was just unfolded is to be seen.
    pub(super) reveals: bool,
    pub(super) seek: Option<Seek>,
    /// What a search that had to read on came to.
    pub sought: Option<Sought>,
    /// What is drawn: for each line its block, its place in it, and the line.
    pub shown: Vec<(Place, usize, Line)>,
}

/// What stands at a place.
enum Item<'a> {
    Block(&'a Block),
    Err(&'a str),
    Nothing,
}

impl Talk {
    /// Nothing read yet.
    pub fn new(make: MakeTranscript) -> Talk {
        Talk {
            pages: Pages::new(make),
            err: None,
            err_asked: false,
            over: false,
            known: false,
            grown: Mono(0),
            follow: true,
            cursor: ((0, 0), 0),
            top: ((0, 0), 0),
            debt: 0,
            open: HashSet::new(),
            all_open: false,
            cache: HashMap::new(),
            laid_out_for: (0, Dollars { are_real: true, unicode: true }),
            reveals: false,
            seek: None,
            sought: None,
            shown: Vec::new(),
        }
    }

    /// What to ask for now.
    pub fn request(&mut self, document: &Document, poll: bool) -> Option<(OutputKey, u32)> {
        let key = |stream, offset| OutputKey { task: document.task.clone(), attempt: document.attempt, stream, offset };
        if self.over && !self.err_asked {
            self.err_asked = true;
            return Some((key(OutputStream::Err, 0), ERR));
        }
        let (offset, limit) = self.pages.request(poll)?;
        Some((key(OutputStream::Out, offset), limit))
    }

    /// The answer will not come any more.
    pub fn reconnect(&mut self) {
        self.pages.reconnect();
    }

    /// Takes a piece of the transcript in; whether anything changed.
    pub fn take(&mut self, key: &OutputKey, piece: &OutputPiece, now: Mono) -> bool {
        let was = (self.known, self.over, self.pages.size);
        let changed = self.pages.take(key.offset, piece);
        if let Some(first) = changed {
            // An answer may belong to a call of any page before.
            let is_whole = first.0 == 0;
            self.cache.retain(|place, _| is_whole && *place < first);
        }
        self.known = self.pages.known;
        self.over |= self.pages.over && matches!(self.pages.last(), Near::At(_) | Near::Edge);
        let is = (self.known, self.over, self.pages.size);
        if was.2 != is.2 {
            self.grown = now;
        }
        was != is || changed.is_some()
    }

    /// Takes what claude wrote to standard error.
    pub fn take_err(&mut self, piece: &OutputPiece) {
        let text = String::from_utf8_lossy(&piece.data).trim().to_owned();
        self.err = (!text.is_empty()).then_some(text);
        self.cache.clear();
    }

    /// The list of things to do, as far as it is known from what is loaded: the newest that was written.
    pub fn todo(&self) -> &[(TodoState, String)] {
        // Of a large transcript, the first page tells nothing about now.
        let recent = |(page, _): &(u64, _)| *page > 0 || self.pages.last_page() == 0;
        let lists = self.pages.loaded().filter(recent).map(|(_, transcript)| transcript.todo());
        lists.rev().find(|todo| !todo.is_empty()).unwrap_or(&[])
    }

    /// Turns and cost so far; turns only when all of it was read.
    pub fn spent(&self) -> (Option<u32>, Option<f64>) {
        let cost = self.pages.loaded().filter_map(|(_, transcript)| transcript.cost_usd()).next_back();
        if !self.pages.is_whole() {
            return (None, cost);
        }
        let (mut turns, mut last) = (0_u32, "");
        for (_, transcript) in self.pages.loaded().filter(|(_, transcript)| transcript.turns() > 0) {
            let (first, end) = transcript.messages();
            let goes_on = u32::from(!first.is_empty() && first == last);
            turns = turns.saturating_add(transcript.turns().saturating_sub(goes_on));
            last = end;
        }
        (Some(turns), cost)
    }

    /// Whether there is nothing to show.
    pub fn is_empty(&self) -> bool {
        self.pages.loaded().all(|(_, transcript)| transcript.blocks().is_empty() && transcript.writing().is_none())
            && self.err.is_none()
    }

    /// What is being written, if the end is loaded.
    fn writing(&self) -> Option<&Block> {
        self.pages.loaded().next_back().and_then(|(_, transcript)| transcript.writing())
    }

    /// Where what follows the last block stands: what is being written, then what was written to standard error; and how many
    /// of both there are. None while the end is not loaded.
    fn tail(&mut self) -> Option<(Place, usize)> {
        let begin = match self.pages.last() {
            Near::At((page, block)) => (page, block + 1),
            Near::Edge => (0, 0),
            Near::Missing => return None,
        };
        Some((begin, usize::from(self.writing().is_some()) + usize::from(self.err.is_some())))
    }

    /// The last place.
    fn last(&mut self) -> Near {
        match self.tail() {
            Some(((page, block), count)) if block + count > 0 => Near::At((page, block + count - 1)),
            Some(_) => Near::Edge,
            None => Near::Missing,
        }
    }

    pub(super) fn after(&mut self, place: Place) -> Near {
        match self.pages.after(place) {
            Near::Edge => match self.last() {
                Near::At(last) if place < last => Near::At((last.0, if place.0 == last.0 { place.1 + 1 } else { last.1 })),
                _ => Near::Edge,
            },
            other => other,
        }
    }

    pub(super) fn before(&mut self, place: Place) -> Near {
        match place.1.checked_sub(1) {
            Some(block) if self.pages.block((place.0, block)).is_none() && self.is_tail((place.0, block)) => {
                Near::At((place.0, block))
            }
            _ => self.pages.before(place),
        }
    }

    fn is_tail(&mut self, place: Place) -> bool {
        self.tail().is_some_and(|((page, begin), count)| page == place.0 && (begin..begin + count).contains(&place.1))
    }

    fn item(&mut self, place: Place) -> Item<'_> {
        if self.pages.block(place).is_none() && !self.is_tail(place) {
            return Item::Nothing;
        }
        let begin = self.tail().map(|(begin, _)| begin);
        if let Some(block) = self.pages.block(place) {
            return Item::Block(block);
        }
        match (self.writing(), &self.err) {
            (Some(block), _) if Some(place) == begin => Item::Block(block),
            (_, Some(err)) => Item::Err(err),
            _ => Item::Nothing,
        }
    }

    pub(super) fn is_open(&self, place: Place) -> bool {
        self.all_open != self.open.contains(&place)
    }

    pub(super) fn lines_of(&mut self, place: Place) -> &[Line] {
        if !self.cache.contains_key(&place) {
            if self.cache.len() >= KEPT {
                self.cache.clear();
            }
            let (width, dollars) = self.laid_out_for;
            let open = self.is_open(place);
            let mut made = match self.item(place) {
                Item::Block(Block::Call(call)) if call.result.is_none() => {
                    let call = call.clone();
                    lines(&Block::Call(self.with_later_result(place, call)), width, open, dollars)
                }
                Item::Block(block) => lines(block, width, open, dollars),
                Item::Err(err) => {
                    let head = Line::new(vec![("stderr".to_owned(), Role::Dim)]);
                    let body = err.lines().map(|line| Line::new(vec![(super::super::text::harmless::tamed(line), Role::Stderr)]));
                    std::iter::once(head).chain(body).collect()
                }
                Item::Nothing => Vec::new(),
            };
            let dropped = self.pages.dropped(place.0);
            if place.1 == dropped && dropped > 0 {
                made.insert(0, Line::new(vec![(format!("{dropped} parts before are not kept; o shows the file"), Role::Dim)]));
            }
            self.cache.insert(place, made);
        }
        self.cache.get(&place).map_or(&[], Vec::as_slice)
    }

    fn with_later_result(&self, place: Place, call: Call) -> Call {
        let result = match self.pages.later(place.0, &call.id) {
            Later::Result(result) => Some(result),
            Later::Unread => Some(CallResult { summary: "further on".to_owned(), ..CallResult::default() }),
            Later::Nothing => None,
        };
        Call { result, ..call }
    }

    pub(super) fn height_of(&mut self, place: Place) -> usize {
        self.lines_of(place).len()
    }

    /// Finds the lines to draw, and what has to be read for them.
    pub fn prepare(&mut self, width: usize, height: usize, dollars: Dollars) {
        if self.laid_out_for != (width, dollars) {
            self.laid_out_for = (width, dollars);
            self.cache.clear();
        }
        self.pages.begin_needs();
        self.go_on();
        let debt = std::mem::take(&mut self.debt);
        if debt != 0 {
            self.scroll(debt);
        }
        if self.place_cursor() {
            self.keep_cursor_visible(height.max(1));
            if std::mem::take(&mut self.reveals) {
                let below = self.height_of(self.cursor.0);
                let top = self.back((self.cursor.0, 0), height.saturating_sub(below)).0;
                self.top = self.top.max(top);
            }
            self.show(height);
        }
        self.pages.drop_beyond(self.cursor.0);
    }

    /// Puts the cursor onto a line that is there; false when it has to be read first.
    fn place_cursor(&mut self) -> bool {
        if self.follow {
            let Near::At(last) = self.last() else {
                return false;
            };
            self.cursor = (last, self.height_of(last).saturating_sub(1));
        }
        if matches!(self.item(self.cursor.0), Item::Nothing) {
            // Beyond the end of its page, or in one that is not loaded.
            let near = match self.after(self.cursor.0) {
                Near::Edge => self.last(),
                other => other,
            };
            let Near::At(place) = near else {
                self.pages.need(self.cursor.0.0);
                return false;
            };
            self.cursor = (place, 0);
        }
        self.cursor.1 = self.cursor.1.min(self.height_of(self.cursor.0).saturating_sub(1));
        true
    }

    fn show(&mut self, height: usize) {
        self.shown.clear();
        let (mut place, mut line) = self.top;
        while self.shown.len() < height {
            let room = height - self.shown.len();
            let own: Vec<Line> = self.lines_of(place).iter().skip(line).take(room).cloned().collect();
            self.shown.extend(own.into_iter().enumerate().map(|(at, shown)| (place, line + at, shown)));
            match self.after(place) {
                Near::At(next) => (place, line) = (next, 0),
                Near::Edge | Near::Missing => break,
            }
        }
        // What stands beside is read before it is scrolled to.
        let (first, last) = (self.top.0.0, place.0);
        first.checked_sub(1).into_iter().chain([last + 1]).for_each(|page| self.pages.need(page));
    }

    /// The text of the block under the cursor.
    pub fn chosen_text(&self) -> String {
        self.pages.block(self.cursor.0).map(super::seek::text_of).unwrap_or_default()
    }
}
