//! What the thread knows about an attempt that is in its hands.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::record::Record;
use crate::backend::attempt::desk::Source;
use crate::backend::attempt::directory;
use crate::backend::attempt::told::{Notes, Told};
use crate::model::ids::AttemptId;
use crate::model::report::Report;

/// How far an attempt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// On its way: pulled, made, started.
    Launching,
    /// It runs.
    Running,
    /// It has ended, and was or is being told.
    Over,
    /// It could not be launched, which was told.
    Refused,
}

/// An attempt.
pub struct Custody {
    /// Which.
    pub attempt: AttemptId,
    /// Its directory.
    pub dir: PathBuf,
    /// What its container is known by.
    pub record: RefCell<Record>,
    /// The container's id, once it is known: events of others of its name say nothing of it.
    pub container: RefCell<String>,
    /// Whether it was found, and not launched, by this process.
    pub is_adopted: Cell<bool>,
    /// Whether its first process is known to have got its task.
    has_task: Cell<bool>,
    /// How far it is.
    pub stage: Cell<Stage>,
    /// Rings when its container has ended or is gone.
    pub ended: Notify,
    /// Whether it has.
    pub is_ended: Cell<bool>,
    /// Whether the engine said that something in it was killed for its memory.
    pub oom: Cell<bool>,
    /// Whether its container holds what could not be copied, and stays for a person.
    pub is_kept: Cell<bool>,
    /// Rings when its end is asked for.
    pub asked: Notify,
    /// Whether it is, and whether at once.
    pub stop: Cell<Option<bool>>,
    /// How often it was told to end at once.
    pub kills: Cell<u32>,
    /// How often the engine had been gone when it came into our hands.
    pub outages: Cell<Option<u32>>,
    /// What was put into its inbox on a remote engine: it is said again and again, and carried there once.
    pub inbox: RefCell<BTreeMap<String, Vec<u8>>>,
    /// What was told of it.
    pub told: Arc<Mutex<Told>>,
    /// Remarks for the end.
    pub notes: RefCell<Notes>,
    /// What was told of its end, and how often it was asked for since.
    pub over: RefCell<Option<(Report, u32)>>,
}

impl Custody {
    /// One at the beginning.
    pub fn new(attempt: AttemptId, dir: PathBuf, record: Record, stage: Stage, is_adopted: bool) -> Custody {
        Custody {
            attempt,
            dir,
            record: RefCell::new(record),
            container: RefCell::default(),
            is_adopted: Cell::new(is_adopted),
            has_task: Cell::new(false),
            stage: Cell::new(stage),
            ended: Notify::new(),
            is_ended: Cell::new(false),
            oom: Cell::new(false),
            is_kept: Cell::new(false),
            asked: Notify::new(),
            stop: Cell::new(None),
            kills: Cell::new(0),
            outages: Cell::new(None),
            inbox: RefCell::default(),
            told: Arc::default(),
            notes: RefCell::default(),
            over: RefCell::default(),
        }
    }

    /// What is read of it.
    pub fn source(&self) -> Source {
        let kind = self.record.borrow().kind();
        Source { attempt: self.attempt, dir: self.dir.clone(), kind, told: self.told.clone() }
    }

    /// The name of its container.
    pub fn name(&self) -> String {
        super::names::container(&self.record.borrow().mark)
    }

    /// Its container; none when it has none, or none any more. One of others that has its name is none of its.
    pub fn id(&self) -> Option<String> {
        Some(self.container.borrow().clone()).filter(|id| !id.is_empty())
    }

    /// What the engine is asked by: its id, and before that is known its name.
    pub fn address(&self) -> String {
        self.id().unwrap_or_else(|| self.name())
    }

    /// Whether the task itself is there. Whoever launched what was found may have ended before the environment was handed
    /// over: until the runner says who it is, the container may still have to be made anew.
    pub fn has_task(&self) -> bool {
        let told = self.record.borrow().is_reduced || self.record.borrow().is_started;
        let has_it = self.has_task.get() || told || directory::info(&self.dir).is_some();
        self.has_task.set(has_it);
        has_it
    }

    /// The end's report, when it is to be told again: it was asked for more than once since it was told, so it was lost
    /// with a commit that failed. The first may have been asked before it was heard.
    pub fn told_in_vain(&self) -> Option<Report> {
        let mut over = self.over.borrow_mut();
        let (report, asked) = over.as_mut()?;
        *asked += 1;
        (*asked > 1).then(|| report.clone())
    }

    /// Its container has ended, or is gone.
    pub fn end(&self) {
        self.is_ended.set(true);
        self.ended.notify_one();
    }

    /// Waits for that.
    pub async fn until_ended(&self) {
        while !self.is_ended.get() {
            self.ended.notified().await;
        }
    }

    /// A remark.
    pub fn note(&self, note: impl Into<String>) {
        self.notes.borrow_mut().add([note.into()]);
    }
}
