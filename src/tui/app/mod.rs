//! What the screen knows and shows: plain data. It changes in `update` and is drawn by `view`.

pub mod bell;
pub mod dialog;
pub mod editor;
pub mod graph;
pub mod look;
pub mod pane;
pub mod prompt;
pub mod toast;
pub mod tree;

use std::collections::HashMap;
use std::path::PathBuf;

use jiff::tz::TimeZone;

use crate::api::client::{ClientError, ClientErrorKind};
use crate::config::keymap::Chord;
use crate::model::message::{Command, RefusalCode};
use crate::model::money::Dollars;
use crate::model::notice::Ring;
use crate::model::time::{Now, Utc};

use super::data::Mirror;
use super::data::sync::Request;
use super::inbox::Inbox;
use super::output::fetch::Wanted;
use super::parts::{Left, MakeTranscript};

use bell::Bell;
use dialog::Dialog;
use editor::{Draft, Editor};
use look::Look;
use pane::{Pane, Tab};
use prompt::Prompt;
use toast::Toasts;
use tree::Tree;

/// The smallest screen that shows more than a plain message.
pub const LEAST: (u16, u16) = (60, 16);
/// From so many columns on, both panes stand side by side.
pub const WIDE: u16 = 110;

/// The connection as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// Not yet made.
    Connecting,
    /// There is one.
    Up,
    /// Lost; what is shown is as of then.
    Down {
        /// Since when.
        since: Utc,
        /// Why.
        why: ClientError,
    },
}

impl Link {
    /// Whether this program and the manager are of versions that do not understand each other.
    pub fn is_version_mismatch(&self) -> bool {
        matches!(self, Link::Down { why, .. } if matches!(why.kind, ClientErrorKind::Refused(RefusalCode::Version)))
    }

    /// Whether commands can be sent.
    pub fn is_up(&self) -> bool {
        *self == Link::Up
    }
}

/// Which pane has the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Focus {
    /// The job tree.
    Tree,
    /// The task pane.
    Pane,
}

/// What leaving waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// Everything to be over.
    Wait,
    /// Everything that was cancelled to be over.
    Cancel,
}

/// What was sent to the manager and not answered yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// In words, as in `cancel of nightly.3/fix`.
    pub what: String,
    /// It submits the editor's text.
    pub submits: bool,
    /// The question that it answers.
    pub question: Option<u32>,
}

impl Sent {
    /// Whether a message names what the command was about.
    pub fn names_itself(&self, message: &str) -> bool {
        self.what.rsplit(' ').next().is_some_and(|name| message.contains(name))
    }
}

/// What the shell around the app has to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Read something.
    Ask(Request),
    /// Send a command under this number.
    Command(u64, Command),
    /// Leave.
    Leave(Left),
    /// Stop until the shell's `fg`.
    Suspend,
    /// Clear the terminal and draw everything.
    Redraw,
    /// Copy a text.
    Copy(String),
    /// Have the terminal notify a person.
    Ring {
        /// How.
        ring: Ring,
        /// The heading.
        title: String,
        /// The line.
        text: String,
    },
    /// Take the mouse or leave it.
    Mouse(bool),
    /// Start a manager in the background.
    StartManager,
    /// Fetch something, then show it in a program.
    Show(u64, Wanted, Program),
    /// Show a file in `$PAGER`, then remove it.
    Page(PathBuf),
    /// Edit a text in `$EDITOR`: the editor's text, or a read-only copy of a definition.
    Edit {
        /// The text.
        text: String,
        /// Ending of the file's name.
        ending: &'static str,
        /// Whether the edited text goes back into the editor.
        back: bool,
    },
    /// Keep the editor's text and the sizes of panes for the next start.
    Keep,
    /// Check the editor's text.
    Check,
}

/// A program that takes the terminal for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// `$PAGER`.
    Pager,
    /// None: only say where the file is.
    None,
}

/// Everything.
pub struct App {
    /// What the manager knows.
    pub mirror: Mirror,
    /// The connection.
    pub link: Link,
    /// Whether there was one before.
    pub met: bool,
    /// The job tree.
    pub tree: Tree,
    /// The task pane.
    pub pane: Pane,
    /// Questions that wait for a person.
    pub inbox: Inbox,
    /// Which of them has the keys.
    pub focus: Focus,
    /// Whether the one with the keys has the whole screen.
    pub zoomed: bool,
    /// The tree's part of the width, in percent, 20 to 80.
    pub split: u16,
    /// A question, a list or the help over everything.
    pub dialog: Option<Dialog>,
    /// The editor of job files.
    pub editor: Option<Editor>,
    /// What the editor held when it was closed.
    pub draft: Option<Draft>,
    /// A line being typed.
    pub prompt: Option<Prompt>,
    /// Keys typed so far of a sequence.
    pub typed: Vec<Chord>,
    /// Messages.
    pub toasts: Toasts,
    /// What the terminal tells of.
    pub bell: Bell,
    /// Keys, colours and signs.
    pub look: Look,
    /// Both clocks, at the last update.
    pub now: Now,
    /// For showing times.
    pub zone: TimeZone,
    /// Columns and rows.
    pub size: (u16, u16),
    /// Commands under way.
    pub sent: HashMap<u64, Sent>,
    /// Last number used.
    pub number: u64,
    /// What leaving waits for.
    pub leaving: Option<Leaving>,
    /// Whether the manager lives in this process.
    pub embeds: bool,
    /// The home, as it is shown.
    pub home: String,
    /// Where files are exported to.
    pub cwd: PathBuf,
    /// Where files lie that are only shown.
    pub scratch: PathBuf,
    /// Whether the mouse is taken.
    pub mouse: bool,
    /// Why nothing can be changed, when only the store can be read.
    pub read_only: Option<String>,
    /// Makes a reader of transcripts.
    pub transcript: MakeTranscript,
    /// Something changed that is to be drawn.
    pub dirty: bool,
}

/// What an app begins with.
pub struct Begin {
    /// Keys, colours and signs.
    pub look: Look,
    /// Both clocks.
    pub now: Now,
    /// For showing times.
    pub zone: TimeZone,
    /// Columns and rows.
    pub size: (u16, u16),
    /// Whether the manager lives in this process.
    pub embeds: bool,
    /// The home, as it is shown.
    pub home: String,
    /// Where files are exported to.
    pub cwd: PathBuf,
    /// Where files lie that are only shown.
    pub scratch: PathBuf,
    /// Why nothing can be changed, when only the store can be read.
    pub read_only: Option<String>,
    /// What the editor held at the end of the last session.
    pub draft: Option<Draft>,
    /// The tree's part of the width.
    pub split: Option<u16>,
    /// Whether to take the mouse.
    pub mouse: bool,
    /// Makes a reader of transcripts.
    pub transcript: MakeTranscript,
}

impl App {
    /// Before anything is known.
    pub fn new(begin: Begin) -> App {
        App {
            mirror: Mirror::default(),
            link: Link::Connecting,
            met: false,
            tree: Tree::default(),
            pane: Pane::default(),
            inbox: Inbox::default(),
            focus: Focus::Tree,
            zoomed: false,
            split: begin.split.unwrap_or(45).clamp(20, 80),
            dialog: None,
            editor: None,
            draft: begin.draft,
            prompt: None,
            typed: Vec::new(),
            toasts: Toasts::default(),
            bell: Bell::new(begin.look.notify.clone()),
            look: begin.look,
            now: begin.now,
            zone: begin.zone,
            size: begin.size,
            sent: HashMap::new(),
            number: 0,
            leaving: None,
            embeds: begin.embeds,
            home: begin.home,
            cwd: begin.cwd,
            scratch: begin.scratch,
            read_only: begin.read_only,
            mouse: begin.mouse,
            transcript: begin.transcript,
            dirty: true,
        }
    }

    /// Where keys are looked up, the nearest first.
    pub fn scopes(&self) -> &'static [&'static str] {
        if self.inbox.is_open {
            return &["inbox", "global"];
        }
        match (self.focus, self.pane.tab) {
            (Focus::Tree, _) => &["tree", "task", "global"],
            (Focus::Pane, Tab::Graph) => &["graph", "pane", "task", "global"],
            (Focus::Pane, _) => &["pane", "task", "global"],
        }
    }

    /// A number that was not used before.
    pub fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    /// Whether both panes stand side by side.
    pub fn is_wide(&self) -> bool {
        self.size.0 >= WIDE && !self.zoomed
    }

    /// Whether the task pane can be seen.
    pub fn shows_pane(&self) -> bool {
        !self.inbox.is_open && (self.is_wide() || self.focus == Focus::Pane)
    }

    /// Whether the tree can be seen.
    pub fn shows_tree(&self) -> bool {
        !self.inbox.is_open && (self.is_wide() || self.focus == Focus::Tree)
    }

    /// Whether the chosen question's request can be seen.
    pub fn shows_request(&self) -> bool {
        self.inbox.is_open && (self.is_wide() || self.inbox.reads)
    }

    /// How dollars are written here.
    pub fn dollars(&self) -> Dollars {
        Dollars::of(&self.mirror.overview.usage, self.look.unicode)
    }

    /// The home's directory, for people who are told of something elsewhere.
    pub fn home_path(&self) -> String {
        self.scratch.parent().unwrap_or(&self.scratch).display().to_string()
    }

    /// Local time: only the clock when it is today, else with the date.
    pub fn time(&self, at: Utc) -> String {
        crate::tui::text::time::time(at, self.now.utc, &self.zone)
    }

    /// Whether anything is live, queued, held or waiting.
    pub fn has_work(&self) -> bool {
        self.mirror.jobs.iter().any(|job| !job.view.state.is_terminal())
    }
}
