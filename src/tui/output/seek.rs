//! Searching in a transcript: block by block, reading on where it is not loaded.

use super::pages::{Near, Place};
use super::search::Pattern;
use super::talk::Talk;
use crate::model::conversation::Block;

/// Blocks looked through in one go, so that a screen stays alive in between.
const BUDGET: usize = 20_000;

/// What a search came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sought {
    /// A match; `over` when the search went over an end, `is_same` when it is where the search began.
    Found {
        /// Over the end, to the other one.
        over: bool,
        /// Where the search began.
        is_same: bool,
        /// The way it went.
        backward: bool,
    },
    /// There is none.
    Nowhere,
    /// Something has to be read first.
    Going,
}

/// A search that is under way.
#[derive(Debug, Clone)]
pub(super) struct Seek {
    pattern: Pattern,
    backward: bool,
    /// Where it began.
    start: Place,
    fresh: bool,
    at: Next,
    over: bool,
}

/// What is to be looked at next.
#[derive(Debug, Clone, Copy)]
enum Next {
    This(Place),
    Beside(Place),
    End,
}

impl Talk {
    /// Goes to the next block that holds a match, at an end on from the other one. A fresh search begins with what is on the
    /// screen.
    pub fn search(&mut self, pattern: &Pattern, backward: bool, fresh: bool) -> Sought {
        let start = if fresh { self.top.0 } else { self.cursor.0 };
        let at = if fresh { Next::This(start) } else { Next::Beside(start) };
        self.follow = false;
        self.seek = Some(Seek { pattern: pattern.clone(), backward, start, fresh, at, over: false });
        self.sought = None;
        self.go_on();
        self.sought.take().unwrap_or(Sought::Going)
    }

    /// Whether a search is under way.
    pub fn is_seeking(&self) -> bool {
        self.seek.is_some()
    }

    /// Goes on with a search that is under way; its end is told by `sought`.
    pub(super) fn go_on(&mut self) {
        let Some(mut seek) = self.seek.take() else { return };
        for _ in 0..BUDGET {
            let near = match (seek.at, seek.backward) {
                (Next::This(place), _) => Near::At(place),
                (Next::Beside(place), false) => self.pages.after(place),
                (Next::Beside(place), true) => self.pages.before(place),
                (Next::End, false) => self.pages.first(),
                (Next::End, true) => self.pages.last(),
            };
            match near {
                Near::Missing => break,
                Near::Edge if seek.over => {
                    self.sought = Some(Sought::Nowhere);
                    return;
                }
                Near::Edge => (seek.over, seek.at) = (true, Next::End),
                Near::At(place) => {
                    let past = if seek.backward { place < seek.start } else { place > seek.start };
                    if seek.over && past {
                        self.sought = Some(Sought::Nowhere);
                        return;
                    }
                    if self.pages.block(place).is_some_and(|block| holds(block, &seek.pattern)) {
                        return self.found(&seek, place);
                    }
                    seek.at = Next::Beside(place);
                }
            }
        }
        self.seek = Some(seek);
    }

    fn found(&mut self, seek: &Seek, place: Place) {
        let block = self.pages.block(place);
        if !self.is_open(place) && matches!(block, Some(Block::Call(_) | Block::Result { .. } | Block::Thought { .. })) {
            self.open.insert(place);
            self.cache.remove(&place);
        }
        let line = self.lines_of(place).iter().position(|line| seek.pattern.is_in(&line.text())).unwrap_or(0);
        self.cursor = (place, line);
        let is_same = !seek.fresh && place == seek.start;
        self.sought = Some(Sought::Found { over: seek.over, is_same, backward: seek.backward });
    }
}

fn holds(block: &Block, pattern: &Pattern) -> bool {
    text_of(block).lines().any(|line| pattern.is_in(line))
}

/// All text of a block.
pub(super) fn text_of(block: &Block) -> String {
    match block {
        Block::Session { id, .. } => id.clone(),
        Block::Said { text, .. } | Block::Thought { text, .. } | Block::Prompted { text, .. } => text.clone(),
        Block::Notice { text, .. } | Block::Raw { text } => text.clone(),
        Block::Call(call) => {
            let result = call.result.as_ref().map_or("", |result| result.text.as_str());
            format!("{} {}\n{result}", call.name, call.argument)
        }
        Block::Result { result, .. } => result.text.clone(),
        Block::Question(question) => format!("{} {}", question.tool, question.argument),
        Block::Ended(ended) => ended.text.clone(),
    }
}
