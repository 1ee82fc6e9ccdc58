//! What the workstation needs from the parts of the program that it may not name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::api::client::{Client, ClientError};
use crate::config::keymap::Keymap;
use crate::config::screen::ScreenSettings;
use crate::config::theme::{Depth, Theme};
use crate::model::conversation::Transcript;
use crate::model::diagnostic::Diagnostic;
use crate::model::jobfile::Parsed;
use crate::model::notice::Notifier;
use crate::os::wake::Waker;

/// Makes a connection to the manager, wherever it is.
pub type Connect = Arc<dyn Fn() -> Result<Box<dyn Client>, ClientError> + Send + Sync>;
/// Starts a manager in the background; its process id, or why not.
pub type StartManager = Arc<dyn Fn() -> Result<u32, String> + Send + Sync>;
/// Checks a job file's text, named so, with relative paths from there, with these parameters.
pub type CheckJob = Arc<dyn Fn(&str, &str, &Path, &[(String, String)]) -> Result<Parsed, Vec<Diagnostic>> + Send + Sync>;
/// Makes a reader of Claude transcripts.
pub type MakeTranscript = Arc<dyn Fn() -> Box<dyn Transcript> + Send + Sync>;
/// Reads the screen's part of the configuration again.
pub type LoadLook = Arc<dyn Fn() -> LoadedLook + Send + Sync>;

/// The screen's part of the configuration.
#[derive(Clone)]
pub struct LoadedLook {
    /// Single settings.
    pub screen: ScreenSettings,
    /// Keys.
    pub keymap: Keymap,
    /// Colours, for this terminal's depth.
    pub theme: Theme,
    /// How many colours the terminal has.
    pub depth: Depth,
    /// Who is told what.
    pub notify: Vec<Notifier>,
    /// What is wrong with the configuration, the keymap and the theme.
    pub faults: Vec<Diagnostic>,
}

/// All of it.
#[derive(Clone)]
pub struct Parts {
    /// The way to the manager.
    pub connect: Connect,
    /// For when none runs.
    pub start_manager: StartManager,
    /// Whether the manager lives in this process.
    pub embeds: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Leaves the manager of this process to one in the background; nothing happens when there is none here.
    pub hand_over: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
    /// Checks job files.
    pub check_job: CheckJob,
    /// Reads transcripts.
    pub transcript: MakeTranscript,
    /// Reads the configuration.
    pub load_look: LoadLook,
    /// Grows whenever a file of the configuration was written.
    pub look_stamp: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// Why nothing can be changed, when only the store can be read.
    pub read_only: Option<String>,
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// Where relative paths begin.
    pub cwd: PathBuf,
    /// The home's directory.
    pub home: PathBuf,
    /// For showing times.
    pub zone: jiff::tz::TimeZone,
    /// Tells the screen to leave.
    pub told: Told,
}

impl Parts {
    /// The directory one works in, with the home of the user as `~`.
    pub fn shown_cwd(&self) -> String {
        let cwd = self.cwd.display().to_string();
        match self.env.get("HOME").filter(|home| home.len() > 1) {
            Some(home) if cwd == *home => "~".to_owned(),
            Some(home) => cwd.strip_prefix(&format!("{home}/")).map_or(cwd.clone(), |rest| format!("~/{rest}")),
            None => cwd,
        }
    }
}

/// What the screen was told from outside, by signals: bits, since several may come at once.
#[derive(Clone)]
pub struct Told {
    what: Arc<AtomicU8>,
    waker: Waker,
}

const LEAVE: u8 = 1;
const SUSPEND: u8 = 2;
const REDRAW: u8 = 4;
const LENT: u8 = 8;

impl Told {
    /// Nothing told yet.
    pub fn new(waker: Waker) -> Told {
        Told { what: Arc::new(AtomicU8::new(0)), waker }
    }

    fn tell(&self, what: u8) {
        self.what.fetch_or(what, Ordering::SeqCst);
        self.waker.wake();
    }

    /// To leave at once: the terminal was closed, or the process is to end.
    pub fn leave(&self) {
        self.tell(LEAVE);
    }

    /// To give the terminal back and stop, as by Ctrl-Z.
    pub fn suspend(&self) {
        self.tell(SUSPEND);
    }

    /// To draw everything anew: it was stopped from outside and goes on.
    pub fn redraw(&self) {
        self.tell(REDRAW);
    }

    /// Whether to leave; stays so.
    pub fn must_leave(&self) -> bool {
        self.what.load(Ordering::SeqCst) & LEAVE != 0
    }

    /// Whether to suspend; told once.
    pub fn takes_suspend(&self) -> bool {
        self.what.fetch_and(!SUSPEND, Ordering::SeqCst) & SUSPEND != 0
    }

    /// Whether to draw everything anew; told once.
    pub fn takes_redraw(&self) -> bool {
        self.what.fetch_and(!REDRAW, Ordering::SeqCst) & REDRAW != 0
    }

    /// Another program has the terminal from now on, or gives it back: what its keys send to all programs on it is meant
    /// for that one.
    pub fn lend(&self, lent: bool) {
        if lent {
            self.what.fetch_or(LENT, Ordering::SeqCst);
        } else {
            self.what.fetch_and(!LENT, Ordering::SeqCst);
        }
    }

    /// Whether another program has the terminal.
    pub fn is_lent(&self) -> bool {
        self.what.load(Ordering::SeqCst) & LENT != 0
    }

    /// Wakes the screen.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }
}

/// How the screen was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// By a person, with nothing left to do or nobody to hand over to.
    Quit,
    /// By a person: a background manager goes on.
    Background,
    /// By a signal, a closed terminal or a fault: a background manager goes on if there is anything to do.
    Told,
}
