//! A transcript by pages, so that one of any size opens at its end at once and can be gone through with bounded memory.
//!
//! The first page is as large as a usual transcript and read as it grows. What is beyond it comes in small pages, each read
//! by itself: a page holds the lines that begin in its part of the file.

use std::collections::BTreeMap;

use memchr::memchr;

use crate::model::conversation::{Block, CallResult, Transcript};
use crate::model::message::OutputPiece;
use crate::tui::parts::MakeTranscript;

/// Bytes of the first page.
const FIRST: u64 = 2 << 20;
/// Bytes of each further one: read and parsed in well under a frame.
const PAGE: u64 = 256 << 10;
/// Bytes asked for at a time.
const PIECE: u32 = 256 << 10;
/// Pages with something in them that are kept.
const KEPT: usize = 24;
/// A line that goes on for longer than this beyond its page is not read to its end; it would not be shown anyway.
const MAX_LINE: u64 = 9 << 20;

/// A block: its page, and its number there (dropped ones counted).
pub type Place = (u64, usize);

/// What stands beside a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Near {
    /// This.
    At(Place),
    /// Nothing: here the transcript begins or ends.
    Edge,
    /// Something that has to be read first; it will be asked for.
    Missing,
}

/// A call's answer that is in another page than the call.
#[derive(Debug, Clone, PartialEq)]
pub enum Later {
    /// This.
    Result(CallResult),
    /// It may be in a page that is not loaded.
    Unread,
    /// There is none.
    Nothing,
}

/// The pages that are loaded.
pub struct Pages {
    make: MakeTranscript,
    pages: BTreeMap<u64, Page>,
    /// Pages that are looked at or searched for, the most urgent first.
    needs: Vec<u64>,
    /// The page and the offset of the request under way.
    under_way: Option<(u64, u64)>,
    /// Bytes of the transcript.
    pub size: u64,
    /// Something was read.
    pub known: bool,
    /// Nothing more will be written.
    pub over: bool,
}

struct Page {
    transcript: Box<dyn Transcript>,
    /// Where the next byte to be read stands.
    read: u64,
    /// The first line that begins in it is not found yet.
    is_searching: bool,
    /// All of its lines were read.
    done: bool,
}

impl Page {
    fn end(&self) -> usize {
        self.transcript.dropped() + self.transcript.blocks().len()
    }

    fn is_empty(&self) -> bool {
        self.transcript.blocks().is_empty()
    }

    fn finish(&mut self) {
        if !self.done {
            self.transcript.finish();
            self.done = true;
        }
    }

    /// Takes what stands at `read`; `begin` and `end` are the page's.
    fn take(&mut self, mut bytes: &[u8], end: u64) {
        let mut at = self.read;
        self.read += bytes.len() as u64;
        if self.is_searching {
            match memchr(b'\n', bytes) {
                Some(found) => {
                    at += found as u64 + 1;
                    bytes = &bytes[found + 1..];
                    self.is_searching = false;
                    self.done = at >= end;
                }
                None => self.done = self.read + 1 >= end,
            }
            if self.done || self.is_searching {
                return;
            }
        }
        // The page's last line is the one that holds the page's last byte.
        let last = usize::try_from((end - 1).saturating_sub(at)).unwrap_or(usize::MAX);
        match bytes.get(last..).and_then(|rest| memchr(b'\n', rest)) {
            Some(found) => {
                self.transcript.push(&bytes[..=last + found]);
                self.finish();
            }
            None => {
                self.transcript.push(bytes);
                if self.read > end.saturating_add(MAX_LINE) {
                    self.finish();
                }
            }
        }
    }
}

fn begin(page: u64) -> u64 {
    if page == 0 { 0 } else { FIRST + (page - 1) * PAGE }
}

fn end(page: u64) -> u64 {
    FIRST + page * PAGE
}

impl Pages {
    /// Nothing read yet.
    pub fn new(make: MakeTranscript) -> Pages {
        Pages { make, pages: BTreeMap::new(), needs: Vec::new(), under_way: None, size: 0, known: false, over: false }
    }

    /// The page in which the transcript ends.
    pub fn last_page(&self) -> u64 {
        if self.size <= FIRST { 0 } else { (self.size - 1 - FIRST) / PAGE + 1 }
    }

    /// Forgets what was needed so far.
    pub fn begin_needs(&mut self) {
        self.needs.clear();
    }

    /// Asks for a page, if there is such a one.
    pub fn need(&mut self, page: u64) {
        if page <= self.last_page() && !self.needs.contains(&page) {
            self.needs.push(page);
        }
    }

    /// Where to read on, and how much of it; none when nothing is needed, or something is under way. `poll` asks whether
    /// there is more.
    pub fn request(&mut self, poll: bool) -> Option<(u64, u32)> {
        if self.under_way.is_some() {
            return None;
        }
        let needed = if self.known { self.needs.clone() } else { vec![0] };
        for number in needed {
            let make = &self.make;
            let page = self.pages.entry(number).or_insert_with(|| Page {
                transcript: make(),
                // The line feed before it tells whether a line begins at its first byte.
                read: begin(number).saturating_sub(1),
                is_searching: number > 0,
                done: false,
            });
            if !page.done && (page.read < self.size || !self.known) {
                self.under_way = Some((number, page.read));
                return Some((page.read, PIECE));
            }
        }
        if !poll || self.over {
            return None;
        }
        let waits = self.pages.iter().find(|(_, page)| !page.done && page.read >= self.size);
        let (number, at, limit) = waits.map_or((u64::MAX, self.size, 1), |(number, page)| (*number, page.read, PIECE));
        self.under_way = Some((number, at));
        Some((at, limit))
    }

    /// The answer will not come any more.
    pub fn reconnect(&mut self) {
        self.under_way = None;
    }

    /// Takes what stands at `offset`; the first place that changed, none when nothing did.
    pub fn take(&mut self, offset: u64, piece: &OutputPiece) -> Option<Place> {
        let (number, _) = self.under_way.take().filter(|(_, asked)| *asked == offset)?;
        (self.known, self.size, self.over) = (true, piece.size, piece.over);
        let mut changed = None;
        if let Some(page) = self.pages.get_mut(&number) {
            page.take(&piece.data, end(number));
            changed = page.transcript.take_changed().map(|first| (number, first));
        }
        if self.over {
            for (number, page) in self.pages.iter_mut().filter(|(_, page)| !page.done && page.read >= piece.size) {
                page.finish();
                let first = page.transcript.take_changed().map(|first| (*number, first));
                changed = [changed, first].into_iter().flatten().min();
            }
        }
        changed
    }

    /// Drops the pages that are farthest from `place`, beyond a bound, unless they are needed.
    pub fn drop_beyond(&mut self, place: Place) {
        while self.pages.values().filter(|page| !page.is_empty()).count() > KEPT {
            let busy = self.under_way.map(|(page, _)| page);
            let free = |page: &&u64| Some(**page) != busy && !self.needs.contains(page);
            let farthest = self.pages.keys().filter(free).max_by_key(|page| page.abs_diff(place.0)).copied();
            match farthest {
                Some(page) => self.pages.remove(&page),
                None => return,
            };
        }
    }

    /// Whether all that there is so far was read, from the beginning to the end.
    pub fn is_whole(&self) -> bool {
        self.known
            && (0..=self.last_page()).all(|page| self.pages.get(&page).is_some_and(|page| page.done || page.read >= self.size))
    }

    /// The loaded readers, in order.
    pub fn loaded(&self) -> impl DoubleEndedIterator<Item = (u64, &dyn Transcript)> {
        self.pages.iter().map(|(number, page)| (*number, &*page.transcript))
    }

    /// A block, if it is loaded.
    pub fn block(&self, place: Place) -> Option<&Block> {
        let transcript = &self.pages.get(&place.0)?.transcript;
        transcript.blocks().get(place.1.checked_sub(transcript.dropped())?)
    }

    /// Blocks of a page that were dropped from its beginning.
    pub fn dropped(&self, page: u64) -> usize {
        self.pages.get(&page).map_or(0, |page| page.transcript.dropped())
    }

    /// What stands before a place.
    pub fn before(&mut self, place: Place) -> Near {
        if place.1 > self.dropped(place.0) && self.pages.contains_key(&place.0) {
            return Near::At((place.0, place.1 - 1));
        }
        self.last_up_to(place.0.checked_sub(1))
    }

    /// What stands after a place.
    pub fn after(&mut self, place: Place) -> Near {
        let Some(page) = self.pages.get(&place.0) else { return self.first_from(place.0) };
        if place.1 + 1 < page.end() {
            return Near::At((place.0, place.1 + 1));
        }
        if !page.done {
            return if page.read >= self.size { Near::Edge } else { self.missing(place.0) };
        }
        self.first_from(place.0 + 1)
    }

    /// The first block.
    pub fn first(&mut self) -> Near {
        self.first_from(0)
    }

    /// The last block so far.
    pub fn last(&mut self) -> Near {
        self.last_up_to(Some(self.last_page()))
    }

    fn missing(&mut self, page: u64) -> Near {
        self.need(page);
        Near::Missing
    }

    fn first_from(&mut self, mut number: u64) -> Near {
        while number <= self.last_page() {
            match self.pages.get(&number) {
                Some(page) if !page.is_empty() => return Near::At((number, page.transcript.dropped())),
                Some(page) if page.done => number += 1,
                Some(page) if page.read >= self.size && self.known => return Near::Edge,
                _ => return self.missing(number),
            }
        }
        Near::Edge
    }

    fn last_up_to(&mut self, number: Option<u64>) -> Near {
        let mut number = number;
        while let Some(at) = number {
            match self.pages.get(&at) {
                Some(page) if page.done || (self.known && page.read >= self.size) => {
                    if !page.is_empty() {
                        return Near::At((at, page.end() - 1));
                    }
                }
                // What there is of the first page is shown while it is read.
                Some(page) if at == 0 && self.last_page() == 0 && !page.is_empty() => {
                    let so_far = page.end() - 1;
                    self.need(0);
                    return Near::At((0, so_far));
                }
                _ => return self.missing(at),
            }
            number = at.checked_sub(1);
        }
        Near::Edge
    }

    /// What came back for a call that has no answer in its own page.
    pub fn later(&self, page: u64, call: &str) -> Later {
        let mut is_whole = true;
        for number in page + 1..=self.last_page() {
            let Some(later) = self.pages.get(&number) else {
                return Later::Unread;
            };
            is_whole &= later.done || later.read >= self.size;
            let found = later.transcript.blocks().iter().find_map(|block| match block {
                Block::Result { call: of, result } if of == call => Some(result.clone()),
                _ => None,
            });
            if let Some(result) = found {
                return Later::Result(result);
            }
        }
        if is_whole { Later::Nothing } else { Later::Unread }
    }
}

#[cfg(test)]
mod tests;
