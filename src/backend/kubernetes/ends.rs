//! What is said to a pod and asked of the cluster for its end.

use std::rc::Rc;
use std::time::Duration;

use tokio::task::spawn_local;

use super::api::Api;
use super::cluster::{Cluster, Pause};
use super::custody::{Custody, Stage};
use super::fault::Fault;
use super::sync::look;
use crate::model::pod::Word;

/// Between two tries to do what the cluster refused for the moment.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LAST_PAUSE: Duration = Duration::from_secs(10);
/// Tries to delete a pod whose outcome is stored; the next comparison with reality finds one that is left.
const REMOVALS: u32 = 20;
/// Seconds of grace for what is to end at once. With none at all the cluster would say that it is gone while it runs on.
pub const AT_ONCE_S: u64 = 1;

/// Asks the pod to end, or insists.
pub async fn ask(cluster: &Cluster, custody: &Custody) {
    let insists = custody.stop.get() == Some(true);
    let (can_hear, name) = (custody.record.borrow().attach, custody.name());
    // A grace that was given is not taken back by the cluster: the runner itself has to be told.
    if insists
        && can_hear
        && custody.told_grace_s.get().is_none_or(|told| told > AT_ONCE_S)
        && let Ok(api) = cluster.api()
        && let Err(fault) = speak(&api, custody, &Word::Kill).await
    {
        tracing::debug!(name, "its runner cannot be told to end at once: {fault}");
    }
    delete(cluster, custody, insists.then_some(AT_ONCE_S)).await;
}

/// Asks the cluster for its end, with its own grace or a shorter one, unless that was asked for already.
pub async fn delete(cluster: &Cluster, custody: &Custody, grace_s: Option<u64>) {
    let grace_s = grace_s.unwrap_or_else(|| custody.record.borrow().pod_grace_ms.div_ceil(1_000).max(AT_ONCE_S));
    let Some(uid) = custody.uid() else { return };
    if custody.told_grace_s.get().is_some_and(|told| told <= grace_s) {
        return;
    }
    let Ok(api) = cluster.api() else { return };
    match api.delete(&custody.name(), &uid, Some(grace_s)).await {
        Ok(()) => custody.told_grace_s.set(Some(grace_s)),
        // It is gone, or another has its name, which a look at it proves.
        Err(fault) if fault.is_missing() || fault.is_conflict() => {
            if let Err(fault) = look(&api, custody, None).await {
                cluster.doubt(&fault);
            }
        }
        Err(fault @ Fault::Unreachable(_)) => cluster.doubt(&fault),
        Err(fault) => tracing::warn!(attempt = %custody.attempt, "its pod cannot be deleted yet: {fault}"),
    }
}

/// Deletes a pod whose outcome is stored, unless that is under way.
pub async fn clear(cluster: Rc<Cluster>, name: String, uid: String) {
    if cluster.begin_clearing(&uid) {
        let is_heard = cleared(&cluster, &name, &uid).await;
        cluster.end_clearing(&uid, is_heard);
    }
}

/// Whether it was heard.
async fn cleared(cluster: &Cluster, name: &str, uid: &str) -> bool {
    let mut pause = Pause::new(FIRST_PAUSE, LAST_PAUSE);
    for _ in 0..REMOVALS {
        let api = cluster.until_back().await;
        match api.delete(name, uid, None).await {
            Ok(()) => return true,
            Err(fault) if fault.is_missing() || fault.is_conflict() => return true,
            Err(fault @ Fault::Unreachable(_)) => cluster.doubt(&fault),
            Err(fault) => tracing::debug!(name, "not deleted yet: {fault}"),
        }
        pause.wait().await;
    }
    false
}

/// One word after another: two at once would be read as one.
async fn speak(api: &Api, custody: &Custody, word: &Word) -> Result<(), Fault> {
    let _turn = custody.mouth.lock().await;
    api.say(&custody.name(), &word.line()).await
}

/// Says a word of the manager's to the runner of an attempt, once.
pub fn say(cluster: &Rc<Cluster>, custody: &Rc<Custody>, name: String, content: Vec<u8>) {
    if !custody.record.borrow().attach || custody.stage.get() != Stage::Running || !custody.said.borrow_mut().insert(name.clone())
    {
        return;
    }
    let (cluster, custody) = (cluster.clone(), custody.clone());
    spawn_local(async move {
        let said = match cluster.api() {
            Ok(api) => speak(&api, &custody, &Word::Put(name.clone(), content)).await,
            Err(fault) => Err(fault),
        };
        if let Err(fault) = said {
            // It is said again at the next comparison with reality.
            custody.said.borrow_mut().remove(&name);
            match fault {
                Fault::Unreachable(_) => cluster.doubt(&fault),
                Fault::Refused(_) => custody.note(format!("inbox/{name} could not be handed to its runner: {fault}")),
            }
        }
    });
}
