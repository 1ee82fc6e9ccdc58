//! The job tree: which lines there are, and which one is selected.

mod rows;

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::model::ids::JobName;
use crate::model::state::{Outcome, TaskKind};
use crate::model::time::Mono;
use crate::tui::data::Mirror;
use crate::tui::data::row::{NONE, TaskRow};

/// Jobs, newest first, whose tasks are read for a filter.
pub const FILTERED: usize = 500;

/// A mapped task of more instances than this is folded until somebody unfolds it.
pub const FEW: u32 = 20;

/// A line: a job, a task, or one of its attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The job's place in the mirror.
    pub job: u32,
    /// The task's place in the job, or [`NONE`].
    pub task: u32,
    /// The attempt, or 0.
    pub attempt: u32,
    /// How deep it stands.
    pub depth: u8,
}

/// What a line is about, whatever place it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The job's number.
    pub job: u32,
    /// The task's place in the job, or [`NONE`].
    pub task: u32,
    /// The attempt, or 0.
    pub attempt: u32,
}

impl Key {
    /// A whole job.
    pub fn job(job: u32) -> Key {
        Key { job, task: NONE, attempt: 0 }
    }

    /// A task.
    pub fn task(job: u32, task: u32) -> Key {
        Key { job, task, attempt: 0 }
    }

    /// The same without the attempt.
    pub fn whole(self) -> Key {
        Key { attempt: 0, ..self }
    }
}

/// In which order jobs and tasks stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// Newest job first, tasks as in the file.
    #[default]
    Newest,
    /// What runs first, then what waits, then what failed.
    State,
    /// By name.
    Name,
    /// The dearest first.
    Cost,
}

impl Sort {
    /// The next one.
    pub fn next(self) -> Sort {
        match self {
            Sort::Newest => Sort::State,
            Sort::State => Sort::Name,
            Sort::Name => Sort::Cost,
            Sort::Cost => Sort::Newest,
        }
    }

    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Sort::Newest => "newest",
            Sort::State => "state",
            Sort::Name => "name",
            Sort::Cost => "cost",
        }
    }
}

/// What is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// As typed.
    pub text: String,
    words: String,
    states: Vec<TaskKind>,
    pools: Vec<String>,
}

impl Filter {
    /// `state:failed pool:local` and words that the name must be like. An unknown state matches nothing.
    pub fn new(text: &str) -> Filter {
        let mut filter = Filter { text: text.to_owned(), ..Filter::default() };
        let mut words = Vec::new();
        for word in text.split_whitespace() {
            if let Some(state) = word.strip_prefix("state:") {
                filter
                    .states
                    .extend(TaskKind::ALL.into_iter().filter(|kind| !state.is_empty() && kind.word().starts_with(state)));
                if filter.states.is_empty() && !state.is_empty() {
                    words.push(word);
                }
            } else if let Some(pool) = word.strip_prefix("pool:") {
                filter.pools.push(pool.to_owned());
            } else {
                words.push(word);
            }
        }
        filter.words = words.join(" ");
        filter
    }

    /// Whether everything is shown.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty() && self.states.is_empty() && self.pools.iter().all(String::is_empty)
    }

    /// Whether what is shown changes with states.
    pub fn looks_at_states(&self) -> bool {
        !self.states.is_empty()
    }

    /// Whether instances are asked for whose items are gone: they are skipped tasks, and nobody looks for them otherwise.
    fn wants_gone(&self) -> bool {
        self.states.contains(&TaskKind::Skipped)
    }
}

/// Numbers of attempts and how they ended; none while they have not.
pub type Outcomes = Vec<(u32, Option<Outcome>)>;

/// The tree.
#[derive(Debug, Default)]
pub struct Tree {
    /// All lines that could be scrolled to.
    pub rows: Vec<Row>,
    /// Jobs that are unfolded.
    pub open: HashSet<u32>,
    /// Tasks whose attempts are shown.
    pub open_tasks: HashSet<(u32, u32)>,
    /// Mapped tasks that were folded (`false`) or unfolded; the others are as their number of instances says.
    pub mappings: HashMap<(u32, u32), bool>,
    /// How the attempts of those ended, as far as they were read.
    pub outcomes: HashMap<(u32, u32), Outcomes>,
    /// A job whose first failed task is to be selected once its tasks are read.
    pub seeks_failed: Option<u32>,
    /// A job and the task of it that is to be selected once its tasks are read.
    pub seeks_task: Option<(u32, String)>,
    /// The selected line's place.
    pub cursor: usize,
    /// What is selected.
    pub selected: Option<Key>,
    /// First line on the screen.
    pub top: usize,
    /// What is shown.
    pub filter: Filter,
    /// In which order.
    pub sort: Sort,
    /// What is marked.
    pub marks: BTreeSet<Key>,
    /// Whether the cursor follows what starts.
    pub follows: bool,
    /// What was selected is gone; its name.
    pub gone: Option<String>,
    /// What is being read: a job's tasks (`t`), a job (`j`), the pane's events (`e`, without a job).
    pub flight: HashSet<(u32, char)>,
    /// Jobs that could not be read, and when to try again.
    pub unreadable: HashMap<u32, Mono>,
    /// A job that was submitted here and is to be selected once it is known.
    pub wanted: Option<JobName>,
    built: Option<(u64, u64)>,
    own: u64,
}

impl Tree {
    /// What is shown has to be found anew.
    pub fn touch(&mut self) {
        self.own += 1;
    }

    /// Whether a mapped task's instances are shown: as somebody said, else when there are few.
    pub fn shows_instances(&self, job: u32, mapping: u32, row: &TaskRow) -> bool {
        let said = self.mappings.get(&(job, mapping)).copied();
        said.unwrap_or_else(|| row.instances().is_some_and(|instances| instances.counts.total() <= FEW))
    }

    /// Finds the lines anew if anything changed that decides which there are; keeps the cursor on what it was on.
    pub fn build(&mut self, mirror: &Mirror) {
        let lively = self.filter.looks_at_states() || self.sort == Sort::State || self.sort == Sort::Cost;
        let version = (if lively { mirror.version } else { mirror.structure }, self.own);
        if self.built == Some(version) {
            return;
        }
        self.built = Some(version);
        self.rows = rows::rows(self, mirror);
        self.place_cursor(mirror);
    }

    fn place_cursor(&mut self, mirror: &Mirror) {
        let key_at = |at: usize| self.rows.get(at).map(|row| key(mirror, row));
        let Some(selected) = self.selected else {
            self.cursor = 0;
            self.selected = key_at(0);
            return;
        };
        // Most often nothing moved, or a few lines came above.
        let near = (self.cursor..(self.cursor + 64).min(self.rows.len())).find(|at| key_at(*at) == Some(selected));
        let found = near.or_else(|| self.rows.iter().position(|row| key(mirror, row) == selected));
        match found {
            Some(at) => {
                // The line stays where it is on the screen.
                self.top = (self.top + at).saturating_sub(self.cursor);
                self.cursor = at;
            }
            None => {
                // Folded away or filtered out: its task, its mapped task, its job, else the line that is in its place now.
                let mapping = mirror.job(selected.job).and_then(|job| job.mapping_of(selected.task));
                let parents =
                    [Some(selected.whole()), mapping.map(|task| Key::task(selected.job, task)), Some(Key::job(selected.job))];
                let place = |parent: Key| self.rows.iter().position(|row| key(mirror, row) == parent);
                let parent = parents.into_iter().flatten().find_map(place);
                self.cursor = parent.unwrap_or(self.cursor).min(self.rows.len().saturating_sub(1));
                match mirror.job(selected.job) {
                    None => drop(self.gone.get_or_insert_with(|| format!("job {}", selected.job))),
                    // Its line comes when its page is read (again).
                    Some(job) if selected.task != NONE && job.tasks.len() <= selected.task as usize => return,
                    Some(_) => {}
                }
                self.selected = self.rows.get(self.cursor).map(|row| key(mirror, row));
            }
        }
    }

    /// Moves the cursor to a line.
    pub fn go(&mut self, mirror: &Mirror, at: usize) {
        self.cursor = at.min(self.rows.len().saturating_sub(1));
        self.selected = self.rows.get(self.cursor).map(|row| key(mirror, row));
        self.gone = None;
        self.seeks_failed = None;
        self.seeks_task = None;
    }

    /// Selects something, unfolding its job; false when it is not shown.
    pub fn select(&mut self, mirror: &Mirror, wanted: Key) -> bool {
        if wanted.task != NONE && self.open.insert(wanted.job) {
            self.touch();
        }
        // An instance is there once its mapped task is unfolded.
        if let Some(job) = mirror.job(wanted.job)
            && let Some(mapping) = job.mapping_of(wanted.task)
            && !self.shows_instances(wanted.job, mapping, &job.tasks[mapping as usize])
        {
            self.mappings.insert((wanted.job, mapping), true);
            self.touch();
        }
        self.build(mirror);
        match self.rows.iter().position(|row| key(mirror, row) == wanted) {
            Some(at) => {
                self.go(mirror, at);
                true
            }
            None => false,
        }
    }

    /// Keeps the cursor on the screen of so many lines.
    pub fn scroll(&mut self, height: usize) {
        let height = height.max(1);
        // A line of what stands around it, where there is room.
        let margin = usize::from(height > 6);
        self.top = self.top.min(self.cursor.saturating_sub(margin));
        if self.cursor + margin + 1 > self.top + height {
            self.top = self.cursor + margin + 1 - height;
        }
        self.top = self.top.min(self.rows.len().saturating_sub(height));
    }

    /// What an action is done to: the marked ones, else the selected one.
    pub fn targets(&self) -> Vec<Key> {
        if self.marks.is_empty() {
            self.selected.map(Key::whole).into_iter().collect()
        } else {
            self.marks.iter().copied().collect()
        }
    }
}

/// What a line is about.
pub fn key(mirror: &Mirror, row: &Row) -> Key {
    let job = mirror.jobs.get(row.job as usize).map_or(0, |job| job.view.id);
    Key { job, task: row.task, attempt: row.attempt }
}
