//! The thread of a namespace: takes commands, and compares with what the namespace shows.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::spawn_local;

use super::api::Api;
use super::attempt;
use super::cluster::Cluster;
use super::custody::{Custody, Stage};
use super::ends::{clear, say};
use super::manifest::{grace_ms, is_reduced};
use super::record::Record;
use super::sync;
use crate::backend::handle::{Command, Commands};
use crate::manager::ports::{LaunchOrder, Place};
use crate::model::ids::AttemptId;
use crate::model::report::Report;
use crate::os;

/// Longest wait, when the manager leaves, for pods that are just being made.
const FAREWELL: Duration = Duration::from_secs(5);
/// Between two looks at that.
const LOOK: Duration = Duration::from_millis(10);

/// Runs until the handle is dropped. Pods go on.
pub async fn run(cluster: Rc<Cluster>, mut queue: Commands) {
    let syncing = spawn_local(sync::run(cluster.clone()));
    while let Some(command) = queue.recv().await {
        match command {
            Command::Launch(order) => begin(&cluster, *order),
            Command::Stop(attempt, kill) => ask(&cluster, attempt, kill),
            Command::Inspect(attempts, set_aside) => {
                cluster.until_tried().await;
                inspect(&cluster, attempts, &set_aside);
            }
            Command::Intake(attempt, after) => {
                if let Some(custody) = cluster.get(attempt) {
                    cluster.desk.news(custody.source(), Some(after));
                }
            }
            Command::Put(attempt, name, content) => {
                if let Some(custody) = cluster.get(attempt) {
                    say(&cluster, &custody, name, content);
                }
            }
            Command::Forget(attempt) => forget(&cluster, attempt),
        }
    }
    syncing.abort();
    let quiet = async {
        while cluster.delicate.get() > 0 {
            tokio::time::sleep(LOOK).await;
        }
    };
    let _ = tokio::time::timeout(FAREWELL, quiet).await;
}

fn begin(cluster: &Rc<Cluster>, order: LaunchOrder) {
    let Place::Kubernetes(place) = &order.place else { return };
    let place = (**place).clone();
    let attempt = order.attempt;
    match cluster.get(attempt).map(|custody| custody.stage.get()) {
        Some(Stage::Running) => return cluster.tell(Report::Started { attempt }),
        Some(Stage::Launching | Stage::Over) => return,
        Some(Stage::Refused) | None => {}
    }
    let mut record = Record::of(&order, &place, is_reduced(&place.settings), os::now().utc);
    record.pod_grace_ms = grace_ms(&order, &place.settings);
    let custody = Rc::new(Custody::new(attempt, order.dir.clone(), record, Stage::Launching, false));
    cluster.insert(custody.clone());
    spawn_local(attempt::run(cluster.clone(), custody, order, place));
}

fn ask(cluster: &Rc<Cluster>, attempt: AttemptId, kill: bool) {
    let Some(custody) = cluster.get(attempt) else { return };
    custody.stop.set(Some(kill || custody.stop.get() == Some(true)));
    custody.asked.notify_one();
}

fn forget(cluster: &Rc<Cluster>, attempt: AttemptId) {
    cluster.tell_elsewhere(attempt, None);
    let Some(custody) = cluster.remove(attempt) else { return };
    if custody.stranded.borrow_mut().take().is_some() {
        cluster.tell(Report::Stranded { attempt, why: None });
    }
    if let Some(uid) = custody.uid().filter(|_| !custody.is_gone()) {
        spawn_local(clear(cluster.clone(), custody.name(), uid));
    }
}

/// Answers for each attempt, adopts what is not known, and clears away what nobody asks for any more.
fn inspect(cluster: &Rc<Cluster>, attempts: Vec<(AttemptId, PathBuf)>, set_aside: &BTreeSet<String>) {
    let Ok(api) = cluster.api() else {
        return attempts.into_iter().for_each(|(attempt, _)| cluster.tell(Report::Unsure { attempt }));
    };
    let asked: BTreeSet<AttemptId> = attempts.iter().map(|(attempt, _)| *attempt).collect();
    for (attempt, dir) in attempts {
        let Some(custody) = cluster.get(attempt) else {
            adopt(cluster, &api, attempt, dir);
            continue;
        };
        match custody.stage.get() {
            Stage::Running => {
                cluster.tell(Report::Live { attempt });
                cluster.desk.news(custody.source(), None);
            }
            Stage::Launching => cluster.tell(Report::Unsure { attempt }),
            Stage::Over => cluster.tell(custody.told_in_vain().unwrap_or(Report::Unsure { attempt })),
            Stage::Refused => {
                // It was told, and that was lost with a commit that failed: told anew by another launch, which finds its pod.
                cluster.remove(attempt);
                cluster.tell(Report::NeverStarted { attempt });
            }
        }
    }
    for (attempt, pod) in cluster.all_shown() {
        let job = pod.metadata.labels.get(super::names::JOB);
        let is_kept = set_aside.iter().any(|aside| job.is_some_and(|job| *job == super::names::label(aside)));
        let is_left = !asked.contains(&attempt) && cluster.get(attempt).is_none();
        let is_others = cluster.places.is_elsewhere(attempt, &cluster.name);
        if is_left && !is_others && !is_kept && !pod.is_deleting() {
            tracing::info!(%attempt, "a pod is left of an attempt that is closed; it is deleted");
            spawn_local(clear(cluster.clone(), pod.metadata.name.clone(), pod.metadata.uid.clone()));
        }
    }
}

/// An attempt that is not in our hands: what there is of it decides.
fn adopt(cluster: &Rc<Cluster>, api: &Api, attempt: AttemptId, dir: PathBuf) {
    let Ok(record) = Record::find(&dir) else { return cluster.tell(Report::Unsure { attempt }) };
    let Some(record) = record else { return cluster.tell(Report::NeverStarted { attempt }) };
    let shown = cluster.shown(attempt).filter(|pod| record.uid.is_empty() || record.uid == pod.metadata.uid);
    let custody = Rc::new(Custody::new(attempt, dir, record.clone(), Stage::Launching, true));
    if let Some(why) = custody.is_elsewhere(api).filter(|_| shown.is_none()) {
        cluster.tell_elsewhere(attempt, Some(why));
        return cluster.tell(Report::Unsure { attempt });
    }
    cluster.tell_elsewhere(attempt, None);
    // It may have been asked for, and not be there yet: asked for again, it is still one.
    if shown.is_none() && record.uid.is_empty() {
        return cluster.tell(Report::NeverStarted { attempt });
    }
    let uid = shown.as_ref().map_or_else(|| record.uid.clone(), |pod| pod.metadata.uid.clone());
    custody.made(&uid);
    // The same pod by another address is in the same cluster.
    custody.record.borrow_mut().place.clone_from(&api.place);
    if *custody.record.borrow() != record {
        custody.keep_record();
    }
    cluster.insert(custody.clone());
    // Until it is known to run: then that is told.
    cluster.tell(Report::Unsure { attempt });
    let cluster = cluster.clone();
    spawn_local(async move {
        match shown {
            Some(pod) => custody.see(&pod),
            // It is not among those with our labels: whether it is there at all is asked.
            None => {
                let api = cluster.until_back().await;
                if let Err(fault) = sync::look(&api, &custody, None).await {
                    cluster.remove(attempt);
                    return cluster.doubt(&fault);
                }
            }
        }
        attempt::go_on(cluster, custody).await;
    });
}
