//! What a cluster's answer means, decided purely.

use std::collections::BTreeMap;

use super::rights::{self, Right, words};
use super::{Count, Facts, Finding, PATIENCE, Pool, Site, Trial, Trouble};
use crate::backend::finding::pools;
use crate::backend::kubernetes::manifest::is_reduced;
use crate::model::kubernetes::IN_CLUSTER;

const CLUSTER: &str = "cluster";
const RIGHTS: &str = "rights";
const PODS: &str = "pods";
/// The oldest version that pods are made for.
const OLDEST: (u32, u32) = (1, 24);
/// The namespace that the files of `assets/kubernetes` name.
const USUAL: &str = "airx";
/// Says which Pod Security level is enforced.
const ENFORCE: &str = "pod-security.kubernetes.io/enforce";
/// Homes that are named; more are counted.
const MAX_TOLD: usize = 5;

/// Why it cannot be used at all.
pub(super) fn trouble(site: &Site<'_>, trouble: &Trouble) -> Finding {
    let kubectl = site.kubectl();
    let (why, remedy) = match trouble {
        Trouble::NoWay(why) if site.cluster.context.as_deref() == Some(IN_CLUSTER) => (
            why.clone(),
            "run airx in a pod of it (assets/kubernetes/manager.yaml), or name a context of your kubeconfig in the pool"
                .to_owned(),
        ),
        Trouble::NoWay(why) => (
            why.clone(),
            "`kubectl config get-contexts` shows what your kubeconfig has, and KUBECONFIG says which file that is".to_owned(),
        ),
        Trouble::Unreachable { server, why } if site.cluster.context.as_deref() == Some(IN_CLUSTER) => (
            format!("{server} cannot be reached: {why}"),
            "does a NetworkPolicy, or the cluster's network, keep this pod from the API?".to_owned(),
        ),
        Trouble::Unreachable { server, why } => (
            format!("{server} cannot be reached: {why}"),
            format!("is the cluster up, and its address right? `{kubectl} version` asks the same"),
        ),
        Trouble::Stranger { server, why } => (
            format!("{server} does not know who you are: {why}"),
            format!(
                "log in anew, or renew the token or certificate in the kubeconfig; `{kubectl} auth whoami` tells when it is right"
            ),
        ),
        Trouble::Hangs => (
            format!("no answer within {} s", PATIENCE.as_secs()),
            format!(
                "`{kubectl} version` asks the same: a network that swallows it, or a program of the kubeconfig that waits for a login"
            ),
        ),
    };
    Finding::fail(CLUSTER, format!("{} ({}): {why}; nothing starts there", site.place(None), site.users()), remedy)
}

/// All that there is to say.
pub(super) fn all(site: &Site<'_>, facts: &Facts, own: Option<&str>, has_manager: bool) -> Vec<Finding> {
    let place = site.place(Some(&facts.namespace));
    let mut findings = vec![cluster(site, facts, &place)];
    findings.extend(access(site, facts, &place));
    findings.extend(site.pools.iter().filter_map(|pool| Some(trial(pool, facts.trials.get(pool.name)?))));
    findings.extend(facts.pods.as_ref().and_then(|pods| left(pods, &place, own, has_manager)));
    findings
}

fn cluster(site: &Site<'_>, facts: &Facts, place: &str) -> Finding {
    let version = facts.version.as_deref().unwrap_or("of a version that is not told");
    let mut found = format!("{place} ({}): Kubernetes {version} at {}", site.users(), facts.server);
    if let Some(labels) = &facts.labels {
        match labels.get(ENFORCE) {
            Some(level) => found.push_str(&format!(", Pod Security level {level}")),
            None => found.push_str(", no Pod Security level"),
        }
    }
    let is_old = facts.version.as_deref().and_then(number).is_some_and(|version| version < OLDEST);
    if is_old {
        found.push_str("; older than 1.24, which pods are made for");
        return Finding::warn(CLUSTER, found, "upgrade the cluster (https://kubernetes.io/releases/), or use another one");
    }
    Finding::ok(CLUSTER, found)
}

/// `v1.27.3-gke.100` is 1.27; some write `v1.24+`.
fn number(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.trim_start_matches('v').split('.');
    let mut number = || {
        let part = parts.next()?;
        part[..part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len())].parse().ok()
    };
    Some((number()?, number()?))
}

/// Our rights, each group of them by itself when something is wrong with it.
fn access(site: &Site<'_>, facts: &Facts, place: &str) -> Vec<Finding> {
    let with = |is: bool, of: &[Right]| -> Vec<Right> {
        of.iter().filter(|right| facts.rights.get(right) == Some(&is)).copied().collect()
    };
    let mut findings = Vec::new();
    let missing = with(false, rights::NEEDED);
    let attaching: Vec<&str> = site.pools.iter().filter(|pool| hears(pool)).map(|pool| pool.name).collect();
    let blind = with(false, rights::OPTIONAL);
    if !missing.is_empty() {
        // It is in the same Role.
        let also = if blind.is_empty() { String::new() } else { format!(" (and {}, which is optional)", words(&blind)) };
        let found = format!("{place}: missing: {}{also}; no pod can be run without", words(&missing));
        findings.push(Finding::fail(RIGHTS, found, role(site, facts, "role.yaml")));
    }
    let deaf = with(false, rights::ATTACH);
    if !attaching.is_empty() && !deaf.is_empty() {
        let names = pools(attaching.iter().copied());
        let found = format!("{place}: missing: {}; {names} with attach: true cannot be given answers without", words(&deaf));
        let remedy = format!("{}; or take `attach` out", role(site, facts, "role-attach.yaml"));
        findings.push(Finding::fail(RIGHTS, found, remedy));
    }
    if !blind.is_empty() && missing.is_empty() {
        let found = format!("{place}: missing: {}; why a pod does not start is told less well without", words(&blind));
        findings.push(Finding::warn(RIGHTS, found, role(site, facts, "role.yaml")));
    }
    if let Some(why) = &facts.untold {
        let remedy = format!("`{} auth can-i --list -n {}` tells them to people", site.kubectl(), facts.namespace);
        findings.push(Finding::warn(RIGHTS, format!("{place}: the cluster does not tell what airx may do: {why}"), remedy));
    } else if missing.is_empty() && (attaching.is_empty() || deaf.is_empty()) {
        let answers = if attaching.is_empty() {
            "; answers to questions have no way in, since no pool says attach: true"
        } else {
            "; answers to questions get in"
        };
        findings.insert(0, Finding::ok(RIGHTS, format!("{place}: all that is needed on pods and pods/log{answers}")));
    }
    let excess = with(true, rights::EXCESS);
    if !excess.is_empty() {
        let found = format!("{place}: more than is needed: {}; {}", words(&excess), harm(&excess));
        let remedy = "run airx as the ServiceAccount of assets/kubernetes/role.yaml, which may do no more than it has to";
        findings.push(Finding::warn(RIGHTS, found, remedy));
    }
    findings
}

fn harm(excess: &[Right]) -> &'static str {
    let has = |name: &str| excess.iter().any(|right| right.resource == name || right.subresource == name);
    match (has("secrets"), has("exec")) {
        (true, true) => "whoever gets hold of airx could read Secrets there, and enter any pod",
        (true, false) => "whoever gets hold of airx could read or plant Secrets there",
        _ => "whoever gets hold of airx could enter any pod there",
    }
}

/// Whether the pool's pods are to be told something.
fn hears(pool: &&Pool<'_>) -> bool {
    pool.settings.attach && !is_reduced(pool.settings)
}

/// How the rights are given.
fn role(site: &Site<'_>, facts: &Facts, file: &str) -> String {
    let (kubectl, namespace) = (site.kubectl(), &facts.namespace);
    let apply = if namespace == USUAL {
        format!("`{kubectl} apply -f assets/kubernetes/{file}`")
    } else {
        format!("`sed 's/namespace: {USUAL}$/namespace: {namespace}/' assets/kubernetes/{file} | {kubectl} apply -f -`")
    };
    format!(
        "as somebody who may: {apply}; it is for the ServiceAccount airx-manager; where your kubeconfig is another's, bind the Role to that one"
    )
}

/// What the cluster would make of a pod.
fn trial(pool: &Pool<'_>, trial: &Trial) -> Finding {
    let what = format!("pool {}", pool.name);
    match trial {
        Trial::Admitted => Finding::ok(
            &what,
            format!(
                "a pod of it would be admitted; its image ({}), volumes and Secrets are looked for only when one starts",
                pool.settings.image
            ),
        ),
        Trial::Refused(why) => {
            let now = if why.transient { " now" } else { "" };
            let found = format!("a pod of it would be refused{now}: {}", why.found);
            let level = if why.transient { Finding::warn } else { Finding::fail };
            level(&what, found, remedy(why.remedy).to_owned())
        }
        Trial::Unknown(why) => {
            Finding::warn(&what, format!("whether a pod of it would be admitted is not known: {why}"), "run a small job there")
        }
    }
}

fn remedy(known: &'static str) -> &'static str {
    if known.is_empty() { "ask whoever looks after the cluster" } else { known }
}

/// Pods that are there already.
fn left(pods: &BTreeMap<String, Count>, place: &str, own: Option<&str>, has_manager: bool) -> Option<Finding> {
    let mine = own.and_then(|own| pods.get(own)).copied().unwrap_or_default();
    let others: Vec<(&String, &Count)> = pods.iter().filter(|(instance, _)| Some(instance.as_str()) != own).collect();
    let mut parts = Vec::new();
    if mine.all > 0 {
        parts.push(format!("{} of this home", counted(mine)));
    }
    if !others.is_empty() {
        let sum = others.iter().fold(Count::default(), |sum, (_, of)| Count { all: sum.all + of.all, live: sum.live + of.live });
        let mut names: Vec<String> = others.iter().take(MAX_TOLD).map(|(instance, _)| (*instance).clone()).collect();
        if others.len() > MAX_TOLD {
            names.push(format!("{} more", others.len() - MAX_TOLD));
        }
        let homes = if others.len() == 1 { "another home" } else { "other homes" };
        parts.push(format!("{} of {homes} ({}), left alone", counted(sum), names.join(", ")));
    }
    if parts.is_empty() {
        return None;
    }
    let found = format!("{place}: {}", parts.join("; "));
    Some(if mine.all > 0 && !has_manager {
        Finding::warn(PODS, format!("{found}; no manager runs that would take in what they did"), "`airx --daemon` takes them up")
    } else {
        Finding::ok(PODS, found)
    })
}

fn counted(count: Count) -> String {
    let pods = if count.all == 1 { "pod" } else { "pods" };
    match count.live {
        0 => format!("{} {pods} (over)", count.all),
        live => format!("{} {pods} ({live} not over)", count.all),
    }
}
