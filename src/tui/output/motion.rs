//! The cursor of a transcript on the screen, and what moves it.

use super::pages::Near;
use super::talk::{Spot, Talk};

impl Talk {
    pub(super) fn keep_cursor_visible(&mut self, height: usize) {
        if self.cursor < self.top {
            self.top = self.cursor;
        }
        // Lines from the top to the cursor; more than a screen moves the top.
        let ((mut place, mut line), mut above) = (self.cursor, 0);
        while (place, line) > self.top {
            if line > 0 {
                let step = if place == self.top.0 { line - self.top.1 } else { line };
                above += step;
                line -= step;
            } else if let Near::At(before) = self.before(place) {
                place = before;
                line = self.height_of(place);
            } else {
                above = height;
            }
            if above >= height {
                self.top = self.back(self.cursor, height - 1).0;
                return;
            }
        }
        // Nothing below the end: the end stays at the bottom.
        if self.follow {
            self.top = self.back(self.cursor, height - 1).0;
        }
    }

    /// The line so many before another, and how many are missing because they have to be read first.
    pub(super) fn back(&mut self, from: Spot, by: usize) -> (Spot, usize) {
        let ((mut place, mut line), mut left) = (from, by);
        while left > 0 {
            if line >= left {
                return ((place, line - left), 0);
            }
            left -= line;
            match self.before(place) {
                Near::At(before) => {
                    place = before;
                    line = self.height_of(place);
                }
                Near::Edge => return ((place, 0), 0),
                Near::Missing => return ((place, 0), left),
            }
        }
        ((place, line), 0)
    }

    /// Moves the cursor.
    pub fn scroll(&mut self, by: isize) {
        self.follow = false;
        if by < 0 {
            let (spot, left) = self.back(self.cursor, by.unsigned_abs());
            (self.cursor, self.debt) = (spot, 0_isize.saturating_sub_unsigned(left));
            return;
        }
        let mut left = by;
        while left > 0 {
            if self.cursor.1 + 1 < self.height_of(self.cursor.0) {
                self.cursor.1 += 1;
                left -= 1;
                continue;
            }
            let mut near = self.after(self.cursor.0);
            while let Near::At(next) = near {
                if self.height_of(next) > 0 {
                    break;
                }
                near = self.after(next);
            }
            match near {
                Near::At(next) => self.cursor = (next, 0),
                Near::Edge => return,
                Near::Missing => {
                    self.debt = left;
                    return;
                }
            }
            left -= 1;
        }
    }

    /// To the beginning or the end.
    pub fn go_to_end(&mut self, last: bool) {
        (self.follow, self.debt) = (last, 0);
        if !last {
            self.cursor = match self.pages.first() {
                Near::At(first) => (first, 0),
                Near::Edge | Near::Missing => ((0, 0), 0),
            };
        }
    }

    /// Folds or unfolds the block under the cursor.
    pub fn toggle(&mut self) {
        self.follow = false;
        let place = self.cursor.0;
        if !self.open.remove(&place) {
            self.open.insert(place);
        }
        self.cache.remove(&place);
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
        if let Some((place, at, _)) = self.shown.get(line) {
            let was = self.cursor == (*place, *at);
            (self.cursor, self.follow) = ((*place, *at), false);
            if was || self.cursor.1 == 0 {
                self.toggle();
            }
        }
    }
}
