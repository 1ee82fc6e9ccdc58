//! From an order to a pod that exists, once: one that is there is adopted.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::api::Api;
use super::cluster::{Cluster, Pause};
use super::custody::Custody;
use super::fault::{Fault, Refusal, not_made};
use super::manifest::manifest;
use super::names;
use super::pod::Pod;
use super::record::Record;
use crate::backend::attempt::directory;
use crate::manager::ports::{LaunchOrder, PodPlace};
use crate::model::attempt::Progress;
use crate::model::report::Report;
use crate::os;

/// Between two tries to make a pod that cannot be made now.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LAST_PAUSE: Duration = Duration::from_secs(15);
/// So long a lack of rights may pass: a server that has just been started knows none.
const STARTING: Duration = Duration::from_secs(30);

/// Why an attempt has no pod.
#[derive(Debug, Clone, PartialEq)]
pub enum Obstacle {
    /// The cluster is gone, or was for a moment: nothing is known of the attempt, and it is asked for again.
    Gone(Fault),
    /// It cannot be launched.
    Refused {
        /// Why, and what to do.
        why: String,
        /// Whether it may work later.
        transient: bool,
    },
}

impl Obstacle {
    fn never(why: impl Into<String>) -> Obstacle {
        Obstacle::Refused { why: why.into(), transient: false }
    }
}

/// Makes the pod, and writes down which it is.
///
/// # Errors
/// Why there is none.
pub async fn make(cluster: &Cluster, custody: &Custody, order: &LaunchOrder, place: &PodPlace) -> Result<(), Obstacle> {
    let wanted = {
        let record = custody.record.borrow();
        manifest(order, place, &cluster.parts.instance, &record).map_err(Obstacle::never)?
    };
    prepare(order, custody).map_err(|error| {
        let (why, transient) = directory::why_not(&order.dir, &error);
        Obstacle::Refused { why, transient }
    })?;
    if custody.uid().is_some() {
        return found(cluster, custody).await;
    }
    let mut pause = Pause::new(FIRST_PAUSE, LAST_PAUSE);
    let deadline = Duration::from_millis(place.settings.schedule_deadline_ms);
    let (mut began, mut outages) = (Instant::now(), cluster.outages.get());
    // Whether one may have been made by a call that was not answered, and why there shall be none.
    let (mut may_be, mut obstacle) = (false, None);
    loop {
        if let Some(pod) = custody.pod() {
            take(custody, &pod);
            return Ok(());
        }
        if custody.stop.get().is_some() {
            obstacle = Some(Obstacle::never(CANCELLED));
        }
        if let Some(obstacle) = obstacle.take_if(|_| !may_be) {
            return Err(obstacle);
        }
        let api = tokio::select! {
            api = cluster.until_back() => api,
            () = until_stopped(custody), if !may_be => continue,
        };
        // Asked for once more it might be refused for the room that it takes itself: so it is looked for.
        if may_be {
            match there(&api, custody).await {
                Ok(Some(pod)) => {
                    custody.see(&Rc::new(pod));
                    continue;
                }
                Ok(None) => may_be = false,
                Err(fault) => cluster.doubt(&fault),
            }
            if may_be || obstacle.is_none() {
                pause.wait().await;
            }
            continue;
        }
        // What could not be tried does not count.
        if outages != cluster.outages.get() {
            (began, outages) = (Instant::now(), cluster.outages.get());
        }
        tokio::select! {
            () = cluster.turn(place.settings.create_rate) => {}
            () = until_stopped(custody) => continue,
        }
        // Before anybody is asked: whoever finds no pod there knows nothing of one here.
        if custody.record.borrow().place != api.place {
            custody.record.borrow_mut().place.clone_from(&api.place);
            custody.keep_record();
        }
        let is_late = |patience| began.elapsed() >= patience;
        let mut asked_s = 0;
        match one(cluster, &api, custody, &wanted).await {
            Ok(true) => return Ok(()),
            // Another of its name is on its way out.
            Ok(false) if is_late(deadline) => {
                let why = format!("a pod {} that is being deleted does not go", custody.name());
                return Err(Obstacle::Refused { why, transient: true });
            }
            Ok(false) => {}
            Err(fault @ Fault::Unreachable(_)) => {
                may_be = true;
                cluster.doubt(&fault);
                let why = format!("its pod cannot be made: {fault}");
                cluster.tell(Report::Launching { attempt: custody.attempt, progress: words(&why) });
                if is_late(deadline) {
                    obstacle = Some(Obstacle::Refused { why, transient: true });
                }
                // At once, or one that is evicted soon would have left no trace.
                continue;
            }
            Err(Fault::Refused(refusal)) => {
                let told = not_made(&refusal, &api.namespace);
                may_be |= refusal.code >= 500;
                asked_s = u64::from(refusal.retry_after_s);
                if !told.heals || is_late(if told.transient { deadline } else { STARTING.min(deadline) }) {
                    obstacle = Some(Obstacle::Refused { why: told.why(), transient: told.transient });
                    continue;
                }
                cluster.tell(Report::Launching { attempt: custody.attempt, progress: words(&told.why()) });
                if may_be {
                    continue;
                }
            }
        }
        let next = pause.take().max(Duration::from_secs(asked_s.min(60)));
        tokio::select! { () = sleep(next) => {}, () = custody.asked.notified() => {} }
    }
}

const CANCELLED: &str = "it was cancelled before it was made";

async fn until_stopped(custody: &Custody) {
    while custody.stop.get().is_none() {
        custody.asked.notified().await;
    }
}

/// Asks for the pod once; whether there is one.
async fn one(cluster: &Cluster, api: &Api, custody: &Custody, wanted: &Value) -> Result<bool, Fault> {
    cluster.delicate.set(cluster.delicate.get() + 1);
    let made = created(api, custody, wanted).await;
    if let Ok(Some(pod)) = &made {
        take(custody, pod);
        custody.see(&Rc::new(pod.clone()));
    }
    cluster.delicate.set(cluster.delicate.get() - 1);
    made.map(|pod| pod.is_some())
}

/// This is its pod: from now on it waits for a node.
fn take(custody: &Custody, pod: &Pod) {
    custody.made(&pod.metadata.uid);
    custody.record.borrow_mut().at = os::now().utc;
    custody.keep_record();
}

/// The pod of the attempt, if there is one.
async fn there(api: &Api, custody: &Custody) -> Result<Option<Pod>, Fault> {
    match api.get(&custody.name()).await {
        Ok(pod) => Ok(Some(pod).filter(|pod| is_its(custody, pod))),
        Err(fault) if fault.is_missing() => Ok(None),
        Err(fault) => Err(fault),
    }
}

fn is_its(custody: &Custody, pod: &Pod) -> bool {
    pod.metadata.labels.get(names::ATTEMPT) == Some(&custody.record.borrow().mark)
}

/// The pod that was made before, whatever has become of it: it may have run, so there is no second one.
async fn found(cluster: &Cluster, custody: &Custody) -> Result<(), Obstacle> {
    cluster.until_tried().await;
    let api = cluster.api().map_err(Obstacle::Gone)?;
    if let Some(why) = custody.is_elsewhere(&api) {
        return Err(Obstacle::Gone(Fault::Unreachable(why)));
    }
    custody.is_adopted.set(true);
    custody.made(&custody.uid().unwrap_or_default());
    match api.get(&custody.name()).await {
        Ok(pod) if custody.uid().as_deref() == Some(&pod.metadata.uid) => custody.see(&Rc::new(pod)),
        Ok(_) => custody.lose(None),
        Err(fault) if fault.is_missing() => custody.lose(None),
        Err(fault) => return Err(Obstacle::Gone(fault)),
    }
    Ok(())
}

/// How far it is, in words.
pub fn words(text: &str) -> Progress {
    Progress { done: 0, total: None, text: Some(text.to_owned()) }
}

/// The pod that was made, or was there already; none when one that is not ours any more has yet to go.
async fn created(api: &Api, custody: &Custody, wanted: &Value) -> Result<Option<Pod>, Fault> {
    match api.create(wanted, false).await {
        Ok(pod) => Ok(Some(pod)),
        Err(fault) if fault.is_conflict() => {
            let found = match api.get(&custody.name()).await {
                Err(fault) if fault.is_missing() => return Ok(None),
                found => found?,
            };
            // Made by a call whose answer was lost, or by the manager before this one: it is this very attempt's.
            if is_its(custody, &found) {
                custody.is_adopted.set(true);
                return Ok(Some(found));
            }
            Err(Fault::Refused(Refusal {
                code: 0,
                reason: "NotOurs".to_owned(),
                message: format!("there is a pod {} that is not airx's: rename or delete it", custody.name()),
                ..Refusal::default()
            }))
        }
        Err(fault) => Err(fault),
    }
}

/// The attempt's directory, and what is known of its pod beside it, before anybody is asked.
fn prepare(order: &LaunchOrder, custody: &Custody) -> io::Result<()> {
    directory::fill(order)?;
    for name in ["outbox", "inbox"] {
        match fs::DirBuilder::new().mode(0o700).create(order.dir.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    if let Some(before) = Record::find(&order.dir)?.filter(|before| !before.uid.is_empty()) {
        // The manager before this one had made it, which was not told.
        let mut record = custody.record.borrow_mut();
        record.uid = before.uid;
        record.place = before.place;
        record.at = before.at;
        // What was decided of it holds, also when that was told and not heard.
        record.is_started = before.is_started;
        record.ended_for = before.ended_for;
    }
    custody.record.borrow().write(&order.dir)
}
