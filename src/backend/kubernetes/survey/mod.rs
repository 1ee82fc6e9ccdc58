//! What clusters say of themselves, of our rights and of the pods that pools would make, for `airx doctor`: asked by `ask`, judged
//! purely by `judge`. Nothing is made or changed there.

mod ask;
mod judge;
pub mod rights;
#[cfg(test)]
mod tests;
mod trial;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use super::fault::NotMade;
use crate::backend::finding::pools;
pub use crate::backend::finding::{Finding, Level};
use crate::model::kubernetes::{ClusterName, IN_CLUSTER, KubernetesSettings};
use crate::model::settings::{PoolBackend, Settings};
use crate::model::spec::Resources;
use crate::os;
use rights::Right;

/// Longest wait for all that one cluster is asked: one that hangs holds up nobody longer. Programs that kubeconfigs take credentials
/// from need some seconds of it.
pub const PATIENCE: Duration = Duration::from_secs(8);
/// What a thread needs beyond that to tell so.
const LEEWAY: Duration = Duration::from_secs(1);
/// Stands in a trial's labels for a home that has no identity yet.
const NO_HOME: &str = "doctor";

/// A pool of pods.
#[derive(Debug, Clone, Copy)]
pub struct Pool<'a> {
    /// Its name.
    pub name: &'a str,
    /// What its tasks may use.
    pub resources: &'a Resources,
    /// The rest of it.
    pub settings: &'a Arc<KubernetesSettings>,
}

/// A namespace of a cluster, and the pools that use it.
#[derive(Debug, Clone)]
pub struct Site<'a> {
    /// Which, as the pools say it.
    pub cluster: ClusterName,
    /// Who uses it.
    pub pools: Vec<Pool<'a>>,
}

/// The namespaces of a configuration, each once.
pub fn sites(settings: &Settings) -> Vec<Site<'_>> {
    let mut sites: Vec<Site<'_>> = Vec::new();
    for (name, pool) in &settings.pools {
        let PoolBackend::Kubernetes(pods) = &pool.backend else { continue };
        let cluster = ClusterName { context: pods.context.clone(), namespace: pods.namespace.clone() };
        let pool = Pool { name, resources: &pool.resources, settings: pods };
        match sites.iter_mut().find(|site| site.cluster == cluster) {
            Some(site) => site.pools.push(pool),
            None => sites.push(Site { cluster, pools: vec![pool] }),
        }
    }
    sites
}

/// Why nothing is known of a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// There is no way to it from here, in words.
    NoWay(String),
    /// Nobody answers at this address, in words.
    Unreachable {
        /// The address.
        server: String,
        /// Why.
        why: String,
    },
    /// It does not know who we are, in its words.
    Stranger {
        /// The address.
        server: String,
        /// In its words.
        why: String,
    },
    /// No answer comes in time.
    Hangs,
}

/// What a cluster says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// Its address.
    pub server: String,
    /// The namespace.
    pub namespace: String,
    /// Its version, when it tells it.
    pub version: Option<String>,
    /// Which rights we have; those it does not tell of are not there.
    pub rights: BTreeMap<Right, bool>,
    /// Why it does not tell of all.
    pub untold: Option<String>,
    /// The namespace's labels, when we may read them.
    pub labels: Option<BTreeMap<String, String>>,
    /// What it makes of a pod of each pool, by the pool's name.
    pub trials: BTreeMap<String, Trial>,
    /// Pods of all homes, by the home's identity; none when they may not be listed.
    pub pods: Option<BTreeMap<String, Count>>,
}

/// What a cluster makes of a pod that it is only shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trial {
    /// It would be made.
    Admitted,
    /// It would not.
    Refused(NotMade),
    /// That is not told, and why.
    Unknown(String),
}

/// How many pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// In all.
    pub all: usize,
    /// Of which these are not over.
    pub live: usize,
}

/// What is asked of a cluster, without anything borrowed: its thread may outlive whoever asks.
#[derive(Debug, Clone)]
struct Question {
    cluster: ClusterName,
    env: BTreeMap<String, String>,
    trials: BTreeMap<String, Result<serde_json::Value, String>>,
}

/// Asks all clusters at once. `instance` is the home's identity, when it has one.
pub fn survey(sites: &[Site<'_>], env: &BTreeMap<String, String>, instance: Option<&str>) -> Vec<Result<Facts, Trouble>> {
    let asked: Vec<_> = sites.iter().map(|site| begin(question(site, env, instance.unwrap_or(NO_HOME)))).collect();
    let until = std::time::Instant::now() + PATIENCE + LEEWAY;
    let left = || until.saturating_duration_since(std::time::Instant::now());
    asked.into_iter().map(|answer| answer.recv_timeout(left()).unwrap_or(Err(Trouble::Hangs))).collect()
}

/// A program that is asked for credentials cannot be told to stop: the thread that waits for it is left behind.
fn begin(question: Question) -> mpsc::Receiver<Result<Facts, Trouble>> {
    let (tell, answer) = mpsc::channel();
    // Without a thread there is no answer either, which is told.
    let _ = std::thread::Builder::new().spawn(move || {
        let _ = tell.send(ask::ask(&question, PATIENCE));
    });
    answer
}

fn question(site: &Site<'_>, env: &BTreeMap<String, String>, instance: &str) -> Question {
    let trial = |pool: &Pool<'_>| {
        let mark = format!("{NO_HOME}-{}", os::random_hex(4));
        (pool.name.to_owned(), trial::pod(pool, instance, &mark))
    };
    Question { cluster: site.cluster.clone(), env: env.clone(), trials: site.pools.iter().map(trial).collect() }
}

/// What a cluster's answer means for its pools. `own` is the home's identity; whether a manager looks after its pods is told apart.
pub fn findings(site: &Site<'_>, answer: &Result<Facts, Trouble>, own: Option<&str>, has_manager: bool) -> Vec<Finding> {
    match answer {
        Err(trouble) => vec![judge::trouble(site, trouble)],
        Ok(facts) => judge::all(site, facts, own, has_manager),
    }
}

impl Site<'_> {
    /// Its pools, for people.
    fn users(&self) -> String {
        pools(self.pools.iter().map(|pool| pool.name))
    }

    /// Its context, for people.
    fn context(&self) -> String {
        match self.cluster.context.as_deref() {
            Some(IN_CLUSTER) => "the cluster that airx runs in".to_owned(),
            Some(context) => format!("context {context}"),
            None => "current context".to_owned(),
        }
    }

    /// Which namespace of which cluster, for people.
    fn place(&self, namespace: Option<&str>) -> String {
        match namespace.or(self.cluster.namespace.as_deref()) {
            Some(namespace) => format!("namespace {namespace}, {}", self.context()),
            None => self.context(),
        }
    }

    /// The command line program of clusters, for this one.
    fn kubectl(&self) -> String {
        match self.cluster.context.as_deref().filter(|context| *context != IN_CLUSTER) {
            Some(context) => format!("kubectl --context {}", quoted(context)),
            None => "kubectl".to_owned(),
        }
    }
}

/// A word of a shell.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@".contains(c);
    if word.chars().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}
