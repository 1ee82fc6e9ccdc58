//! What the thread knows about an attempt that is in its hands.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::PathBuf;

use tokio::sync::Notify;

use super::record::Record;
use crate::backend::attempt::told::Told;
use crate::model::ids::AttemptId;

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
    pub is_adopted: bool,
    /// How far it is.
    pub stage: Cell<Stage>,
    /// Rings when its container has ended or is gone.
    pub ended: Notify,
    /// Whether it has.
    pub is_ended: Cell<bool>,
    /// Whether the engine said that something in it was killed for its memory.
    pub oom: Cell<bool>,
    /// Rings when its end is asked for.
    pub asked: Notify,
    /// Whether it is, and whether at once.
    pub stop: Cell<Option<bool>>,
    /// How often it was told to end at once.
    pub kills: Cell<u32>,
    /// What was put into its inbox on a remote engine: it is said again and again, and carried there once.
    pub inbox: RefCell<BTreeMap<String, Vec<u8>>>,
    /// What was told of it.
    pub told: RefCell<Told>,
}

impl Custody {
    /// One at the beginning.
    pub fn new(attempt: AttemptId, dir: PathBuf, record: Record, stage: Stage, is_adopted: bool) -> Custody {
        Custody {
            attempt,
            dir,
            record: RefCell::new(record),
            container: RefCell::default(),
            is_adopted,
            stage: Cell::new(stage),
            ended: Notify::new(),
            is_ended: Cell::new(false),
            oom: Cell::new(false),
            asked: Notify::new(),
            stop: Cell::new(None),
            kills: Cell::new(0),
            inbox: RefCell::default(),
            told: RefCell::default(),
        }
    }

    /// The name of its container.
    pub fn name(&self) -> String {
        super::names::container(&self.record.borrow().mark)
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
        self.told.borrow_mut().note([note.into()]);
    }
}
