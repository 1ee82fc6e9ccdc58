//! What the thread knows about an attempt that is in its hands.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::api::Api;
use super::judge::{Far, far};
use super::names;
use super::pod::Pod;
use super::record::{EndedFor, Record};
use crate::backend::attempt::desk::Source;
use crate::backend::attempt::told::{Notes, Told};
use crate::model::ids::AttemptId;
use crate::model::report::Report;

/// Why what was begun at one place is not looked for at another one.
pub fn leads_to(before: &str, now: &str) -> String {
    format!(
        "it was begun at {before}, and the pool's context leads to {now}: lead it back (or `airx cancel --abandon`, if that cluster is no more)"
    )
}

/// How far an attempt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// On its way: made, scheduled, pulled.
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
    /// What its pod is known by.
    pub record: RefCell<Record>,
    /// Whether it was found, and not launched, by this process.
    pub is_adopted: Cell<bool>,
    /// How far it is.
    pub stage: Cell<Stage>,
    /// When the uid of its pod was learnt.
    made: Cell<Option<Instant>>,
    since: Instant,
    running: Cell<Option<Instant>>,
    pod: RefCell<Option<Rc<Pod>>>,
    is_gone: Cell<bool>,
    lost_sandbox: Cell<bool>,
    changes: watch::Sender<u64>,
    /// How often the cluster had been out of sight when it came into our hands.
    pub outages: Cell<u32>,
    /// Rings when its end is asked for.
    pub asked: Notify,
    /// Whether it is, and whether at once.
    pub stop: Cell<Option<bool>>,
    /// The least grace that the cluster was told, in seconds.
    pub told_grace_s: Cell<Option<u64>>,
    /// Names of the inbox that were said to its runner: they are asked for again and again.
    pub said: RefCell<BTreeSet<String>>,
    /// Whose turn it is to speak to its runner: words that are said at once would mix.
    pub mouth: tokio::sync::Mutex<()>,
    /// Why nothing is known of it, as it was told.
    pub stranded: RefCell<Option<String>>,
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
            is_adopted: Cell::new(is_adopted),
            stage: Cell::new(stage),
            made: Cell::new(None),
            since: Instant::now(),
            running: Cell::new(None),
            pod: RefCell::default(),
            is_gone: Cell::new(false),
            lost_sandbox: Cell::new(false),
            changes: watch::Sender::new(0),
            outages: Cell::new(0),
            asked: Notify::new(),
            stop: Cell::new(None),
            told_grace_s: Cell::new(None),
            said: RefCell::default(),
            mouth: tokio::sync::Mutex::default(),
            stranded: RefCell::default(),
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

    /// The name of its pod.
    pub fn name(&self) -> String {
        names::pod(&self.record.borrow().mark)
    }

    /// The uid of its pod, once one was made.
    pub fn uid(&self) -> Option<String> {
        Some(self.record.borrow().uid.clone()).filter(|uid| !uid.is_empty())
    }

    /// Why nothing that is seen by this way tells of its pod: it was made somewhere else.
    pub fn is_elsewhere(&self, api: &Api) -> Option<String> {
        let record = self.record.borrow();
        (!record.place.is_empty() && record.place != api.place).then(|| leads_to(&record.place, &api.place))
    }

    /// Its pod was made, or found.
    pub fn made(&self, uid: &str) {
        self.record.borrow_mut().uid = uid.to_owned();
        self.made.set(Some(Instant::now()));
    }

    /// How long it has been in our hands.
    pub fn known_for(&self) -> Duration {
        self.since.elapsed()
    }

    /// It was seen running.
    pub fn runs(&self) {
        self.running.set(Some(Instant::now()));
    }

    /// How long ago that was.
    pub fn seen_running_for(&self) -> Duration {
        self.running.get().map_or(Duration::ZERO, |at| at.elapsed())
    }

    /// Whether the uid of its pod was known by then.
    pub fn made_before(&self, at: Instant) -> bool {
        self.made.get().is_some_and(|made| made < at)
    }

    /// The last that was seen of its pod.
    pub fn pod(&self) -> Option<Rc<Pod>> {
        self.pod.borrow().clone()
    }

    /// Whether its pod is proven to be no more.
    pub fn is_gone(&self) -> bool {
        self.is_gone.get()
    }

    /// Whether its task lost its sandbox while it had not ended: its node was restarted.
    pub fn lost_sandbox(&self) -> bool {
        self.lost_sandbox.get()
    }

    /// Counts what is seen of it.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// A pod of its name and with its labels was seen. One with another uid is none of ours, once ours is known. Before that it was
    /// made by a call that was not answered yet, or never will be: written down at once, it is not made again should it go.
    pub fn see(&self, pod: &Rc<Pod>) {
        let is_late =
            self.pod.borrow().as_ref().is_some_and(|known| known.metadata.uid == pod.metadata.uid && !pod.is_as_new_as(known));
        if !is_late {
            self.find(pod);
        }
    }

    /// The same as a list has it, which counts whatever its version says: those of a cluster whose store was restored begin anew.
    pub fn find(&self, pod: &Rc<Pod>) {
        if self.uid().is_some_and(|uid| uid != pod.metadata.uid) || self.is_gone() {
            return;
        }
        // A sandbox ends after its containers, unless its node went down: the recorded restart of one shows it.
        let has_ended = pod.main().is_some_and(|main| main.terminated.is_some());
        let sandbox = pod.condition("PodReadyToStartContainers");
        let is_lost = has_ended && !pod.is_over() && sandbox.is_some_and(|condition| condition.status == "False");
        self.lost_sandbox.set(self.lost_sandbox.get() || is_lost);
        if self.uid().is_none() {
            self.made(&pod.metadata.uid);
            self.keep_record();
        }
        *self.pod.borrow_mut() = Some(pod.clone());
        self.changes.send_modify(|count| *count += 1);
    }

    /// Its pod is gone; what it showed last, if that was seen.
    pub fn lose(&self, last: Option<&Rc<Pod>>) {
        if let Some(last) = last {
            self.see(last);
        }
        self.is_gone.set(true);
        self.changes.send_modify(|count| *count += 1);
    }

    /// How far its pod is.
    pub fn far(&self) -> Far {
        if self.is_gone() {
            return Far::Ended;
        }
        self.pod.borrow().as_ref().map_or(Far::Node(None), |pod| far(pod))
    }

    /// Whether its task has ended.
    pub fn has_ended(&self) -> bool {
        self.far() == Far::Ended
    }

    /// Waits for that.
    pub async fn until_ended(&self) {
        let mut changes = self.changes();
        while !self.has_ended() {
            // The sender lives as long as we do.
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Why this side ended it, if it did.
    pub fn ended_for(&self) -> Option<EndedFor> {
        self.record.borrow().ended_for.clone()
    }

    /// The end's report, when it is to be told again: it was asked for more than once since it was told, so it was lost
    /// with a commit that failed. The first may have been asked before it was heard.
    pub fn told_in_vain(&self) -> Option<Report> {
        let mut over = self.over.borrow_mut();
        let (report, asked) = over.as_mut()?;
        *asked += 1;
        (*asked > 1).then(|| report.clone())
    }

    /// A remark.
    pub fn note(&self, note: impl Into<String>) {
        self.notes.borrow_mut().add([note.into()]);
    }

    /// Writes down what is known of its pod.
    pub fn keep_record(&self) {
        if let Err(error) = self.record.borrow().write(&self.dir) {
            tracing::warn!(attempt = %self.attempt, "what is known of its pod is not written down: {error}");
        }
    }
}
