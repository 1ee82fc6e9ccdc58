//! One namespace of a cluster: the way to it, what it shows, and what lives in it. Shared by all tasks of its thread.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::Parts;
use super::api::{Api, Listing};
use super::custody::{Custody, leads_to};
use super::fault::Fault;
use super::pod::Pod;
use crate::backend::attempt::desk::Desk;
use crate::backend::places::Places;
use crate::manager::ports::{ClaudeCli, ReportSink};
use crate::model::ids::AttemptId;
use crate::model::kubernetes::ClusterName;
use crate::model::report::Report;
use crate::os;

/// A namespace.
pub struct Cluster {
    /// Which, as the configuration says it.
    pub cluster: ClusterName,
    /// The same as reports name it.
    pub name: String,
    /// What is known of this side.
    pub parts: Parts,
    /// Where all attempts live.
    pub places: Places,
    /// Reads what attempts leave.
    pub desk: Desk,
    sink: ReportSink,
    api: RefCell<Option<Api>>,
    place: RefCell<String>,
    /// Those that were begun somewhere else than where it is now.
    elsewhere: RefCell<BTreeSet<AttemptId>>,
    trouble: RefCell<Option<String>>,
    is_tried: Cell<bool>,
    tried: Notify,
    back: Notify,
    /// How often it was out of sight.
    pub outages: Cell<u32>,
    /// Rings when it may be gone.
    pub doubt: Notify,
    shown: RefCell<BTreeMap<AttemptId, Rc<Pod>>>,
    live: RefCell<BTreeMap<AttemptId, Rc<Custody>>>,
    /// Pods whose deletion is being asked for, by uid, and whether it was heard.
    clearing: RefCell<BTreeMap<String, bool>>,
    next_pod: Cell<Option<Instant>>,
    /// Calls between the making of a pod and the writing down of its uid: a manager that leaves waits for them.
    pub delicate: Cell<u32>,
}

impl Cluster {
    /// Not connected yet.
    pub fn new(cluster: ClusterName, parts: Parts, sink: ReportSink, claude: Arc<dyn ClaudeCli>, places: Places) -> Cluster {
        Cluster {
            name: cluster.to_string(),
            cluster,
            desk: Desk::new(parts.results.clone(), claude, sink.clone()),
            parts,
            places,
            sink,
            api: RefCell::default(),
            place: RefCell::default(),
            elsewhere: RefCell::default(),
            trouble: RefCell::default(),
            is_tried: Cell::new(false),
            tried: Notify::new(),
            back: Notify::new(),
            outages: Cell::new(0),
            doubt: Notify::new(),
            shown: RefCell::default(),
            live: RefCell::default(),
            clearing: RefCell::default(),
            next_pod: Cell::new(None),
            delicate: Cell::new(0),
        }
    }

    /// The way to it.
    ///
    /// # Errors
    /// Why it cannot be reached now.
    pub fn api(&self) -> Result<Api, Fault> {
        if let Some(why) = self.trouble.borrow().clone() {
            return Err(Fault::Unreachable(why));
        }
        self.api.borrow().clone().ok_or_else(|| Fault::Unreachable("it was not reached yet".to_owned()))
    }

    /// There is a way to it. While anything of ours lives there, it is the same place or none: a kubeconfig may lead somewhere else
    /// by now.
    ///
    /// # Errors
    /// Why it is none.
    pub fn found_at(&self, api: &Api) -> Result<(), String> {
        let mut place = self.place.borrow_mut();
        if *place != api.place && !place.is_empty() && !self.live.borrow().is_empty() {
            return Err(leads_to(&place, &api.place));
        }
        place.clone_from(&api.place);
        Ok(())
    }

    /// An attempt was begun somewhere else, or is not any more.
    pub fn tell_elsewhere(&self, attempt: AttemptId, why: Option<String>) {
        let mut elsewhere = self.elsewhere.borrow_mut();
        let is_new = if why.is_some() { elsewhere.insert(attempt) } else { elsewhere.remove(&attempt) };
        if is_new {
            self.tell(Report::Stranded { attempt, why });
        }
    }

    /// Tells.
    pub fn tell(&self, report: Report) {
        (self.sink)(report);
    }

    /// A call failed in a way that says nothing about what was asked: whether it is gone is found out.
    pub fn doubt(&self, fault: &Fault) {
        tracing::debug!(cluster = self.name, "{fault}");
        self.doubt.notify_one();
    }

    /// It was listed: it is there, and this is all of it. `asked` is when the list was asked for. Tells whose pods were not in it:
    /// they are gone, or have lost their labels.
    pub fn listed(&self, api: &Api, listing: Listing, asked: Instant) -> Vec<Rc<Custody>> {
        let mut missing = Vec::new();
        let instance = &self.parts.instance;
        let mut found: BTreeMap<AttemptId, Rc<Pod>> = BTreeMap::new();
        for pod in listing.pods {
            if let Some(attempt) = pod.attempt(instance) {
                found.insert(attempt, Rc::new(pod));
            }
        }
        for custody in self.all() {
            let uid = custody.uid();
            match found.get(&custody.attempt).filter(|pod| uid.as_ref().is_none_or(|uid| *uid == pod.metadata.uid)) {
                Some(pod) => custody.find(pod),
                // One that was made while the list was under way is not in it.
                None if uid.is_some() && custody.made_before(asked) && !custody.is_gone() => missing.push(custody),
                None => {}
            }
        }
        *self.shown.borrow_mut() = found;
        // What was heard and is still there without a sign of it is asked for again.
        self.clearing.borrow_mut().retain(|_, is_heard| !*is_heard);
        self.reached(api);
        missing
    }

    /// Whoever waits for it may go on.
    fn reached(&self, api: &Api) {
        *self.api.borrow_mut() = Some(api.clone());
        let was_gone = self.trouble.borrow_mut().take().is_some();
        if was_gone {
            tracing::info!(cluster = self.name, "the cluster is back");
        }
        if was_gone || !self.is_tried.replace(true) {
            self.tell(Report::Engine { host: self.name.clone(), trouble: None });
        }
        self.back.notify_waiters();
        self.tried.notify_waiters();
    }

    /// It cannot be reached, or used.
    pub fn lose(&self, why: String) {
        if self.trouble.borrow().as_ref() != Some(&why) {
            tracing::warn!(cluster = self.name, "the cluster cannot be used: {why}");
            *self.trouble.borrow_mut() = Some(why.clone());
            self.tell(Report::Engine { host: self.name.clone(), trouble: Some(why) });
        }
        self.is_tried.set(true);
        self.tried.notify_waiters();
    }

    /// A pod is there, or has changed.
    pub fn see(&self, pod: Pod) {
        let Some(attempt) = pod.attempt(&self.parts.instance) else { return };
        let pod = Rc::new(pod);
        let is_late = self.shown.borrow().get(&attempt).is_some_and(|known| !pod.is_as_new_as(known));
        if is_late {
            return;
        }
        self.shown.borrow_mut().insert(attempt, pod.clone());
        if let Some(custody) = self.get(attempt) {
            custody.see(&pod);
        }
    }

    /// A pod is gone; this is what it showed last.
    pub fn gone(&self, pod: Pod) {
        let Some(attempt) = pod.named(&self.parts.instance) else { return };
        let pod = Rc::new(pod);
        let is_shown = self.shown.borrow().get(&attempt).is_some_and(|known| known.metadata.uid == pod.metadata.uid);
        if is_shown {
            self.shown.borrow_mut().remove(&attempt);
        }
        let Some(custody) = self.get(attempt) else { return };
        let is_its = match custody.uid() {
            Some(uid) => uid == pod.metadata.uid,
            // Made by a call that was not answered yet, or never will be.
            None => pod.attempt(&self.parts.instance) == Some(attempt),
        };
        if is_its {
            custody.lose(Some(&pod));
        }
    }

    /// What it shows of an attempt.
    pub fn shown(&self, attempt: AttemptId) -> Option<Rc<Pod>> {
        self.shown.borrow().get(&attempt).cloned()
    }

    /// All that it shows of this home.
    pub fn all_shown(&self) -> Vec<(AttemptId, Rc<Pod>)> {
        self.shown.borrow().iter().map(|(attempt, pod)| (*attempt, pod.clone())).collect()
    }

    /// Waits until it was reached, or could not be, for the first time.
    pub async fn until_tried(&self) {
        loop {
            let tried = self.tried.notified();
            if self.is_tried.get() {
                return;
            }
            tried.await;
        }
    }

    /// Waits until it can be reached; at once when it can.
    pub async fn until_back(&self) -> Api {
        loop {
            let back = self.back.notified();
            if let Ok(api) = self.api() {
                return api;
            }
            back.await;
        }
    }

    /// Waits for the turn of one more pod, of `rate` in a second.
    pub async fn turn(&self, rate: f64) {
        let now = Instant::now();
        let at = self.next_pod.get().map_or(now, |at| at.max(now));
        // Checked to be at least 0.1 in the configuration.
        self.next_pod.set(Some(at + Duration::from_secs_f64(1.0 / rate.max(0.1))));
        tokio::time::sleep_until(at).await;
    }

    /// An attempt that is in our hands.
    pub fn get(&self, attempt: AttemptId) -> Option<Rc<Custody>> {
        self.live.borrow().get(&attempt).cloned()
    }

    /// All that are.
    pub fn all(&self) -> Vec<Rc<Custody>> {
        self.live.borrow().values().cloned().collect()
    }

    /// Takes one into our hands.
    pub fn insert(&self, custody: Rc<Custody>) {
        custody.outages.set(self.outages.get());
        self.live.borrow_mut().insert(custody.attempt, custody);
    }

    /// Whether the deletion of a pod is not being asked for by anybody else; it is from now on.
    pub fn begin_clearing(&self, uid: &str) -> bool {
        self.clearing.borrow_mut().insert(uid.to_owned(), false).is_none()
    }

    /// The deletion of a pod is asked for no more, because it was heard or in vain.
    pub fn end_clearing(&self, uid: &str, is_heard: bool) {
        if is_heard {
            self.clearing.borrow_mut().insert(uid.to_owned(), true);
        } else {
            self.clearing.borrow_mut().remove(uid);
        }
    }

    /// Lets go of one.
    pub fn remove(&self, attempt: AttemptId) -> Option<Rc<Custody>> {
        self.live.borrow_mut().remove(&attempt)
    }
}

/// Time between two tries: doubled each time from one bound to the other, and never quite the same, so that managers that lost a
/// cluster together do not all come back at once.
pub struct Pause {
    next: Duration,
    first: Duration,
    last: Duration,
}

impl Pause {
    /// From the first to the last.
    pub fn new(first: Duration, last: Duration) -> Pause {
        Pause { next: first, first, last }
    }

    /// It worked: the next one is the first again.
    pub fn reset(&mut self) {
        self.next = self.first;
    }

    /// How long this one is.
    pub fn take(&mut self) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(self.last);
        let dice = u32::from_str_radix(&os::random_hex(2), 16).unwrap_or(0);
        whole.mul_f64(0.5 + f64::from(dice) / f64::from(u16::MAX) / 2.0)
    }

    /// Waits that long.
    pub async fn wait(&mut self) {
        let pause = self.take();
        tokio::time::sleep(pause).await;
    }
}
