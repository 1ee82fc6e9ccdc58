//! The task pane: what is shown of the selected job or task.

use crate::model::ids::Address;
use crate::model::message::{EventView, TaskDetail};
use crate::tui::output::Document;
use crate::tui::output::order::Stream;
use crate::tui::output::search::Pattern;
use crate::tui::output::talk::Talk;
use crate::tui::text::ansi::Segment;

use super::graph::GraphView;
use super::tree::Key;

/// What of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tab {
    /// What it wrote.
    #[default]
    Output,
    /// What it is and how its attempts ended.
    Info,
    /// What happened.
    Events,
    /// The job's graph.
    Graph,
}

impl Tab {
    /// In the order in which they stand.
    pub const ALL: [Tab; 4] = [Tab::Output, Tab::Info, Tab::Events, Tab::Graph];

    /// Its label. A job has no output of its own: there stands what it is.
    pub fn title(self, of_job: bool) -> &'static str {
        match self {
            Tab::Output if of_job => "Job",
            Tab::Output => "Output",
            Tab::Info => "Info",
            Tab::Events => "Events",
            Tab::Graph => "Graph",
        }
    }
}

/// The pane.
#[derive(Default)]
pub struct Pane {
    /// What is shown of it.
    pub tab: Tab,
    /// The job or task.
    pub subject: Option<Key>,
    /// The task in full.
    pub detail: Option<Box<TaskDetail>>,
    /// Why it cannot be shown.
    pub failure: Option<String>,
    /// The mirror's row was this new when the detail was asked for.
    pub asked: Option<(Key, u64)>,
    /// An answer is under way.
    pub pending: bool,
    /// The attempt that was chosen; none is the newest.
    pub attempt: Option<u32>,
    /// Its output.
    pub output: Option<Output>,
    /// First line of Info.
    pub info_top: usize,
    /// Lines of Info at the last drawing.
    pub info_lines: usize,
    /// Events, for whom, and how new.
    pub events: Option<(Address, Vec<EventView>)>,
    /// What events were asked for.
    pub events_asked: Option<(Key, u64)>,
    /// First event, counted from the last one.
    pub events_top: usize,
    /// The graph.
    pub graph: GraphView,
    /// Lines of the last drawing, for moving by pages.
    pub height: usize,
    /// Columns of the last drawing.
    pub width: usize,
}

/// An attempt's output and how it is looked at.
pub struct Output {
    /// The text.
    pub document: Document,
    /// The conversation, for a Claude task.
    pub talk: Option<Talk>,
    /// Where a log is looked at.
    pub log: LogView,
    /// When to look for more, in monotonic milliseconds.
    pub next_poll: u64,
}

/// Where a log is looked at.
#[derive(Debug, Default)]
pub struct LogView {
    /// Where the first line on the screen begins.
    pub top: u64,
    /// So many of its wrapped lines are above the screen.
    pub skip: usize,
    /// Whether it stays at the end.
    pub follow: bool,
    /// Whether long lines are broken.
    pub wrap: bool,
    /// Columns to the left of the screen.
    pub left: usize,
    /// Lines to draw.
    pub shown: Vec<Shown>,
    /// Something that belongs on the screen was asked for and is not there yet.
    pub missing: bool,
    /// Lines still to be gone back, once what lies there was read.
    pub owed: usize,
    /// What is searched for.
    pub search: Option<Search>,
}

impl LogView {
    /// Whether it is to stay at the end, and that was not read yet.
    pub fn is_unread(&self) -> bool {
        self.follow && self.shown.is_empty()
    }
}

/// A line to draw.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// Where its line begins.
    pub at: u64,
    /// Its stream.
    pub stream: Stream,
    /// Its text.
    pub segments: Vec<Segment>,
    /// Whether it goes on from the line above.
    pub continues: bool,
}

/// A search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// What for.
    pub pattern: Pattern,
    /// The line it found last.
    pub at: Option<u64>,
    /// Going on from here, backwards or not.
    pub going: Option<(u64, bool)>,
    /// There was nothing more on that side.
    pub ended: bool,
}

impl Pane {
    /// Begins with another job or task.
    pub fn show(&mut self, subject: Option<Key>) {
        let tab = self.tab;
        let graph = std::mem::take(&mut self.graph);
        let (height, width) = (self.height, self.width);
        *self = Pane { tab, subject, graph, height, width, ..Pane::default() };
    }

    /// The attempt that is shown.
    pub fn shown_attempt(&self) -> Option<u32> {
        let newest = self.detail.as_ref()?.task.attempts;
        Some(self.attempt.unwrap_or(newest).min(newest)).filter(|attempt| *attempt > 0)
    }
}
