//! What a cluster is asked, within a time that is bounded as a whole.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::rights::{self, Right};
use super::{Count, Facts, Question, Trial, Trouble};
use crate::backend::kubernetes::api::{Api, Listing};
use crate::backend::kubernetes::connect::open_at;
use crate::backend::kubernetes::fault::{Fault, NotMade, not_made};
use crate::backend::kubernetes::names;

/// Threads for what waits: names of servers, and credentials that a program is asked for.
const THREADS: usize = 4;
const NO_ANSWER: &str = "it does not answer in time";
const CREATE: Right = rights::NEEDED[0];
const LIST: Right = rights::NEEDED[2];

/// Asks a cluster; waits no longer than `patience`, also for a program that is asked for credentials.
pub(super) fn ask(question: &Question, patience: Duration) -> Result<Facts, Trouble> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(THREADS).build();
    let runtime = runtime.map_err(|error| Trouble::NoWay(error.to_string()))?;
    let answer = runtime.block_on(facts(question, patience));
    // What does not answer cannot be told to stop.
    runtime.shutdown_background();
    answer
}

async fn facts(question: &Question, patience: Duration) -> Result<Facts, Trouble> {
    let until = Instant::now() + patience;
    let (api, mut facts) = timeout_at(until, reach(question)).await.unwrap_or(Err(Trouble::Hangs))?;
    for right in rights::all() {
        match within(until, api.may(right.verb, right.resource, right.subresource)).await {
            Ok(allowed) => drop(facts.rights.insert(right, allowed)),
            Err(fault) => {
                facts.untold = Some(fault.to_string());
                break;
            }
        }
    }
    facts.labels = within(until, api.namespace_labels()).await.ok().map(labels);
    if facts.rights.get(&LIST) != Some(&false) {
        facts.pods = within(until, api.list_of_all()).await.ok().map(|listing| count(&listing));
    }
    if facts.rights.get(&CREATE) != Some(&false) {
        for (pool, pod) in &question.trials {
            facts.trials.insert(pool.clone(), tried(&api, pod, until).await);
        }
    }
    Ok(facts)
}

async fn within<T>(until: Instant, call: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    timeout_at(until, call).await.unwrap_or_else(|_| Err(Fault::Unreachable(NO_ANSWER.to_owned())))
}

/// The way to it, once it has answered.
async fn reach(question: &Question) -> Result<(Api, Facts), Trouble> {
    let (api, server) = open_at(&question.cluster, &question.env).await.map_err(Trouble::NoWay)?;
    let version = match api.version().await {
        Ok(version) => Some(version),
        Err(Fault::Unreachable(why)) => return Err(Trouble::Unreachable { server, why }),
        Err(Fault::Refused(refusal)) if refusal.code == 401 => {
            return Err(Trouble::Stranger { server, why: refusal.message });
        }
        // Not everybody is told.
        Err(Fault::Refused(_)) => None,
    };
    let namespace = api.namespace.clone();
    Ok((api, Facts { server, namespace, version, ..Facts::default() }))
}

fn labels(told: serde_json::Value) -> BTreeMap<String, String> {
    // A namespace without labels has none at all.
    serde_json::from_value(told).unwrap_or_default()
}

fn count(listing: &Listing) -> BTreeMap<String, Count> {
    let mut counts: BTreeMap<String, Count> = BTreeMap::new();
    for pod in &listing.pods {
        let count = counts.entry(pod.metadata.labels.get(names::INSTANCE).cloned().unwrap_or_default()).or_default();
        count.all += 1;
        count.live += usize::from(!pod.is_over());
    }
    counts
}

/// One that cannot even be shown.
fn unmade(found: String) -> NotMade {
    NotMade { found, remedy: "look at the pool's settings and its `template`", heals: false, transient: false }
}

async fn tried(api: &Api, pod: &Result<serde_json::Value, String>, until: Instant) -> Trial {
    let pod = match pod {
        Ok(pod) => pod,
        Err(why) => return Trial::Refused(unmade(why.clone())),
    };
    match within(until, api.create(pod, true)).await {
        Ok(_) => Trial::Admitted,
        Err(Fault::Unreachable(why)) => Trial::Unknown(why),
        // Said of webhooks that have effects of their own: <https://kubernetes.io/docs/reference/using-api/api-concepts/#dry-run>.
        Err(Fault::Refused(refusal)) if refusal.message.contains("does not support dry run") => Trial::Unknown(refusal.message),
        Err(Fault::Refused(refusal)) => Trial::Refused(not_made(&refusal, &api.namespace)),
    }
}
