//! Keeps what a namespace shows true: one list, one watch from there on, and both anew whenever that one ends badly.
//!
//! Nothing depends on a single event. A watch that drops something, or says it twice or late, is set right by the next list, and
//! there is one now and then in any case.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::api::{Api, Event};
use super::cluster::{Cluster, Pause};
use super::connect;
use super::custody::Custody;
use super::fault::Fault;
use super::pod::Pod;

/// Between two lists while a watch goes on and something lives there, also when the watch has nothing to say: it may be dead.
const RECONCILE: Duration = Duration::from_secs(60);
const QUIET: Duration = Duration::from_secs(20);
/// The same while nothing lives there.
const IDLE: Duration = Duration::from_secs(300);
/// Between two tries.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(10);
/// A watch that ends sooner was not ended by its time.
const SHORT: Duration = Duration::from_secs(1);
/// So long a refusal for lack of rights is taken for a server that has just been started: it knows its rules only after a while
/// (some two seconds in the recordings).
const STARTING: Duration = Duration::from_secs(10);
/// So long a server may be out of order before that is told.
const BUSY: Duration = Duration::from_secs(5);

/// Runs until it is dropped.
pub async fn run(cluster: Rc<Cluster>) {
    let mut pause = Pause::new(FIRST_PAUSE, LAST_PAUSE);
    let mut refused: Option<Instant> = None;
    let mut api: Option<Api> = None;
    loop {
        let way = match &api {
            Some(api) => Ok(api.clone()),
            None => connect::open(&cluster.cluster, &cluster.parts.environment).await,
        };
        let way = match way {
            Ok(way) => way,
            Err(why) => {
                cluster.lose(why);
                pause.wait().await;
                continue;
            }
        };
        if let Err(why) = cluster.found_at(&way) {
            api = None;
            cluster.lose(why);
            pause.wait().await;
            continue;
        }
        api = Some(way.clone());
        match list(&cluster, &way).await {
            Ok(version) => {
                refused = None;
                let began = Instant::now();
                let ended = follow(&cluster, &way, version).await;
                tracing::debug!(cluster = cluster.name, "the watch ended: {ended:?}");
                if began.elapsed() > LAST_PAUSE {
                    pause.reset();
                }
            }
            Err(fault) => {
                if refused.is_none() {
                    cluster.outages.set(cluster.outages.get() + 1);
                }
                let since = *refused.get_or_insert_with(Instant::now);
                judge(&cluster, &way, &fault, since);
                // Credentials may have been renewed on disk since, or the address been corrected.
                if fault.is_not_allowed() || matches!(fault, Fault::Unreachable(_)) {
                    api = None;
                }
                if let Some(ms) = fault.retry_after_ms() {
                    tokio::time::sleep(Duration::from_millis(ms.min(30_000))).await;
                }
            }
        }
        pause.wait().await;
    }
}

/// What a list that failed means for the pools that live there.
fn judge(cluster: &Cluster, api: &Api, fault: &Fault, since: Instant) {
    let lasts = since.elapsed();
    let namespace = &api.namespace;
    match fault {
        Fault::Unreachable(why) => cluster.lose(format!("{why}; is the cluster up, and is the context the right one?")),
        _ if fault.is_not_allowed() && lasts < STARTING => {}
        _ if fault.is_not_allowed() => {
            cluster.lose(format!("forbidden, `list` on pods in {namespace} is missing: {fault}; apply the Role in assets/kubernetes, or renew the credentials"));
        }
        _ if fault.is_passing() && lasts < BUSY => {}
        _ => cluster.lose(format!("its API is out of order: {fault}")),
    }
}

async fn list(cluster: &Cluster, api: &Api) -> Result<String, Fault> {
    let asked = Instant::now();
    let listing = api.list(&cluster.parts.instance).await?;
    let version = listing.version.clone();
    for custody in cluster.listed(api, listing, asked) {
        look(api, &custody, None).await?;
    }
    Ok(version)
}

/// Asks for one pod: a selection by labels does not tell one that is gone from one that has lost them.
pub async fn look(api: &Api, custody: &Custody, last: Option<&Rc<Pod>>) -> Result<(), Fault> {
    match api.get(&custody.name()).await {
        Ok(found) if custody.uid().as_deref() == Some(&found.metadata.uid) => custody.see(&Rc::new(found)),
        Ok(_) => custody.lose(last),
        Err(fault) if fault.is_missing() => custody.lose(last),
        Err(fault) => return Err(fault),
    }
    Ok(())
}

/// Follows watches, one after the other, as long as they end by their time alone.
async fn follow(cluster: &Rc<Cluster>, api: &Api, mut version: String) -> Result<(), Fault> {
    let mut listed = Instant::now();
    loop {
        let mut watch = api.watch(&cluster.parts.instance, &version).await?;
        let began = Instant::now();
        let mut heard = began;
        loop {
            let lives = !cluster.all().is_empty();
            let reconcile = if lives { (listed + RECONCILE).min(heard.max(listed) + QUIET) } else { listed + IDLE };
            let event = tokio::select! {
                event = watch.next() => Some(event),
                () = sleep_until(reconcile) => None,
                // A call was not answered: is anybody there?
                () = cluster.doubt.notified() => None,
            };
            let Some(event) = event else {
                list(cluster, api).await?;
                listed = Instant::now();
                continue;
            };
            heard = Instant::now();
            match event {
                Some(Event::Seen(pod)) => {
                    version.clone_from(&pod.metadata.resource_version);
                    cluster.see(*pod);
                }
                Some(Event::Gone(pod)) => {
                    version.clone_from(&pod.metadata.resource_version);
                    gone(cluster, api, *pod).await?;
                }
                Some(Event::Bookmark(newer)) => version = newer,
                Some(Event::Error(fault)) => return Err(fault),
                None => break,
            }
        }
        // What stands before a server may end a watch at once, again and again.
        if began.elapsed() < SHORT {
            return Ok(());
        }
    }
}

/// Whether a pod that is watched no more is gone is asked, where that is not plain.
async fn gone(cluster: &Cluster, api: &Api, pod: Pod) -> Result<(), Fault> {
    let is_plain = pod.is_deleting() && pod.metadata.deletion_grace_period_seconds == Some(0);
    let custody = pod.named(&cluster.parts.instance).and_then(|attempt| cluster.get(attempt));
    match custody.filter(|custody| !is_plain && custody.uid().as_deref() == Some(&pod.metadata.uid)) {
        Some(custody) => look(api, &custody, Some(&Rc::new(pod))).await,
        None => {
            cluster.gone(pod);
            Ok(())
        }
    }
}
