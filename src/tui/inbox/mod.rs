//! The inbox: questions of running tasks that wait for a person, with the whole request of the chosen one.
//!
//! Plain data, as all that is shown. Which question is chosen changes by a person's key alone; where it is settled elsewhere
//! another one takes its place, and then keys are ignored for a moment: they were meant for the one before.

pub mod request;

use std::collections::{BTreeSet, VecDeque};

use crate::model::ids::JobName;
use crate::model::question::QuestionView;
use crate::model::time::Mono;
use crate::tui::app::dialog::DEAF_MS;
use request::Line;

/// Settled questions that are remembered, so that an older page does not bring them back.
const REMEMBERED: usize = 512;
/// Questions kept that a page did not have any more, until the news tells who settled them.
const LEFT: usize = 64;

/// The inbox.
#[derive(Debug, Default)]
pub struct Inbox {
    /// Whether it is on the screen.
    pub is_open: bool,
    /// What waits, oldest first, as far as one page goes.
    pub questions: Vec<QuestionView>,
    /// The chosen one's number.
    pub chosen: Option<u32>,
    /// Answers count from then on.
    pub awake_at: Mono,
    /// Whether moving keys move in the request instead of the list; on a narrow screen, which of them is shown.
    pub reads: bool,
    /// First line of the request that is shown.
    pub top: usize,
    /// The request, laid out.
    pub laid: Laid,
    /// Lines of the request that fit.
    pub height: usize,
    /// Whether a page was read since it was opened.
    pub is_known: bool,
    /// Whether what waits may be other than what is here.
    pub is_stale: bool,
    /// Whether a page is on its way.
    pub is_asked: bool,
    /// Why the last page could not be read.
    pub failure: Option<String>,
    /// Read again then, after a failure.
    pub again_at: Mono,
    /// Questions whose answer is on its way or taken, until they are known as settled.
    pub sent: BTreeSet<u32>,
    /// The question that the line being typed belongs to.
    pub typed_for: Option<u32>,
    /// The first question of this task is to be chosen once it is known.
    pub wanted: Option<(JobName, String)>,
    settled: VecDeque<u32>,
    left: VecDeque<QuestionView>,
}

/// A request as lines, and for which question, width and signs they are.
#[derive(Debug, Default)]
pub struct Laid {
    of: Option<(u32, usize, bool)>,
    /// The lines.
    pub lines: Vec<Line>,
}

impl Inbox {
    /// Opens it. What waits is read anew.
    pub fn open(&mut self, wanted: Option<(JobName, String)>) {
        (self.is_open, self.is_stale, self.wanted) = (true, true, wanted);
        (self.is_known, self.reads, self.top) = (false, false, 0);
    }

    /// Closes it; what was read may be large, and is let go. The chosen one is chosen again when it is opened again.
    pub fn close(&mut self) {
        (self.is_open, self.is_known, self.failure) = (false, false, None);
        (self.questions, self.left, self.laid) = (Vec::new(), VecDeque::new(), Laid::default());
    }

    /// The chosen question.
    pub fn question(&self) -> Option<&QuestionView> {
        self.questions.iter().find(|question| Some(question.id) == self.chosen)
    }

    /// The chosen question's place in the list.
    pub fn place(&self) -> usize {
        self.questions.iter().position(|question| Some(question.id) == self.chosen).unwrap_or(0)
    }

    /// Whether answers count already.
    pub fn is_awake(&self, now: Mono) -> bool {
        now >= self.awake_at
    }

    /// Takes a page of what waits. The chosen one stays chosen as long as it is there.
    pub fn take(&mut self, page: Vec<QuestionView>, now: Mono) {
        let place = self.place();
        let before = std::mem::take(&mut self.questions);
        self.questions = page.into_iter().filter(|question| !self.settled.contains(&question.id)).collect();
        let gone = before.into_iter().filter(|old| !self.questions.iter().any(|question| question.id == old.id));
        self.left.extend(gone);
        while self.left.len() > LEFT {
            self.left.pop_front();
        }
        let is_first = !std::mem::replace(&mut self.is_known, true);
        if let Some((job, task)) = self.wanted.take() {
            let found = self.questions.iter().find(|question| question.job == job && question.task == task);
            self.chosen = found.map(|question| question.id).or(self.chosen);
        }
        if is_first {
            // A single one is what a person came for.
            self.reads = self.questions.len() == 1;
            self.wake_later(now);
        }
        self.choose(place, now);
    }

    /// A question is settled: what it was, if it was here.
    pub fn settle(&mut self, id: u32, now: Mono) -> Option<QuestionView> {
        if self.settled.len() >= REMEMBERED {
            self.settled.pop_front();
        }
        self.settled.push_back(id);
        let left = self.left.iter().position(|question| question.id == id).and_then(|at| self.left.remove(at));
        let Some(at) = self.questions.iter().position(|question| question.id == id) else { return left };
        let question = self.questions.remove(at);
        self.choose(at, now);
        Some(question)
    }

    /// Keeps the choice, else chooses what has taken the place `at`: keys that were meant for the one before do not count.
    fn choose(&mut self, at: usize, now: Mono) {
        if self.question().is_some() {
            return;
        }
        let last = self.questions.len().saturating_sub(1);
        self.chosen = self.questions.get(at.min(last)).map(|question| question.id);
        self.top = 0;
        self.wake_later(now);
    }

    /// Answers count after a moment: what is shown has changed without a key.
    pub fn wake_later(&mut self, now: Mono) {
        self.awake_at = Mono(now.0 + DEAF_MS);
    }

    /// A person chooses another one, so many places on.
    pub fn step(&mut self, by: isize) {
        let last = self.questions.len().saturating_sub(1);
        self.go(self.place().saturating_add_signed(by).min(last));
    }

    /// A person chooses the one at this place.
    pub fn go(&mut self, at: usize) {
        if let Some(question) = self.questions.get(at)
            && self.chosen != Some(question.id)
        {
            (self.chosen, self.top) = (Some(question.id), 0);
        }
    }

    /// Moves in the request.
    pub fn scroll(&mut self, by: isize) {
        self.top = self.top.saturating_add_signed(by).min(self.last_top());
    }

    fn last_top(&self) -> usize {
        self.laid.lines.len().saturating_sub(self.shown())
    }

    /// Lines of the request on the screen: one gives way to the word on the rest where not all fit.
    pub fn shown(&self) -> usize {
        if self.laid.lines.len() > self.height { self.height.saturating_sub(1) } else { self.height }.max(1)
    }

    /// Lines below those on the screen.
    pub fn below(&self) -> usize {
        self.laid.lines.len().saturating_sub(self.top + self.shown())
    }

    /// Lays the chosen request out for this room.
    pub fn lay_out(&mut self, width: usize, height: usize, unicode: bool) {
        self.height = height.max(1);
        let of = self.chosen.map(|id| (id, width, unicode));
        if self.laid.of != of {
            let lines = self.question().map(|question| request::lines(question, width, unicode)).unwrap_or_default();
            self.laid = Laid { of: of.filter(|_| !lines.is_empty()), lines };
        }
        self.top = self.top.min(self.last_top());
    }

    /// The connection was made anew: answers that were on their way will not be heard of.
    pub fn reconnect(&mut self) {
        self.sent.clear();
        (self.is_stale, self.is_asked) = (true, false);
    }
}
