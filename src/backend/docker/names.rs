//! How the containers of a home are known: by name, and by labels.

use std::collections::{BTreeMap, HashMap};

use bollard::models::ContainerSummary;

use crate::model::ids::{AttemptId, JobId, TaskIdx};

/// The home's identity.
pub const INSTANCE: &str = "airx.instance";
/// The job's full name.
pub const JOB: &str = "airx.job";
/// The task's id.
pub const TASK: &str = "airx.task";
/// The attempt's mark, `HOMEID-JOB-TASK-NUMBER`.
pub const ATTEMPT: &str = "airx.attempt";
/// The directory of the home, on its own machine.
pub const HOME: &str = "airx.home";
/// Which machine that is.
pub const MACHINE: &str = "airx.machine";

/// The volume with our own program: its own name.
pub const PROGRAM: &str = "airx.program";

/// The name of an attempt's container: the same for the same attempt, so that two requests make one.
pub fn container(mark: &str) -> String {
    format!("airx-{mark}")
}

/// The name that a container gets whose workspace could not be copied back: kept for a person, it is no attempt's any more.
pub fn left(mark: &str) -> String {
    format!("airx-{mark}-left")
}

/// The name of the volume that keeps a job's Claude sessions on a remote engine.
pub fn claude_volume(instance: &str, job: &str) -> String {
    format!("airx-{instance}-{job}-claude")
}

/// The attempt with this mark, when it is one of the home `instance`.
pub fn attempt(instance: &str, mark: &str) -> Option<AttemptId> {
    let mut parts = mark.strip_prefix(instance)?.strip_prefix('-')?.splitn(3, '-').map(str::parse::<u32>);
    let mut number = || parts.next()?.ok();
    Some(AttemptId { job: JobId(number()?), task: TaskIdx(number()?), number: number()? })
}

/// A filter for what is this home's.
pub fn of_home(instance: &str) -> HashMap<String, Vec<String>> {
    HashMap::from([("label".to_owned(), vec![format!("{INSTANCE}={instance}")])])
}

/// Containers of a home by the attempt that they are of.
pub fn by_attempt(found: Vec<ContainerSummary>, instance: &str) -> BTreeMap<AttemptId, ContainerSummary> {
    let mut all: BTreeMap<AttemptId, ContainerSummary> = BTreeMap::new();
    for summary in found {
        let Some(mark) = summary.labels.as_ref().and_then(|labels| labels.get(ATTEMPT)) else { continue };
        let Some(attempt) = attempt(instance, mark).filter(|_| !has_name(&summary, &left(mark))) else { continue };
        // An image that somebody makes of our container bears its labels, and so does what is started from it.
        if !all.get(&attempt).is_some_and(is_own) {
            all.insert(attempt, summary);
        }
    }
    all
}

fn has_name(summary: &ContainerSummary, name: &str) -> bool {
    summary.names.iter().flatten().any(|known| known.trim_start_matches('/') == name)
}

/// Whether a container has the name of the attempt that its labels name.
pub fn is_own(summary: &ContainerSummary) -> bool {
    let mark = summary.labels.as_ref().and_then(|labels| labels.get(ATTEMPT));
    mark.is_some_and(|mark| has_name(summary, &container(mark)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_leads_to_its_attempt_and_another_homes_to_none() {
        let attempt = AttemptId { job: JobId(3), task: TaskIdx(7), number: 2 };
        assert_eq!(super::attempt("0a1b2c3d", &format!("0a1b2c3d-{attempt}")), Some(attempt));
        for bad in ["0a1b2c3e-3-7-2", "0a1b2c3d-3-7", "0a1b2c3d-3-7-x", "0a1b2c3d"] {
            assert_eq!(super::attempt("0a1b2c3d", bad), None, "{bad}");
        }
    }

    fn summary(id: &str, name: &str, mark: &str) -> ContainerSummary {
        ContainerSummary {
            id: Some(id.to_owned()),
            names: Some(vec![format!("/{name}")]),
            labels: Some(HashMap::from([(ATTEMPT.to_owned(), mark.to_owned())])),
            ..ContainerSummary::default()
        }
    }

    #[test]
    fn what_is_made_of_an_attempts_container_is_not_taken_for_it() {
        let (mark, attempt) = ("0a1b2c3d-1-0-2", AttemptId { job: JobId(1), task: TaskIdx(0), number: 2 });
        let own = || summary("own", &format!("airx-{mark}"), mark);
        let copy = || summary("copy", "looking", mark);
        for found in [vec![own(), copy()], vec![copy(), own()]] {
            assert_eq!(by_attempt(found, "0a1b2c3d")[&attempt].id.as_deref(), Some("own"));
        }
        let alone = by_attempt(vec![copy()], "0a1b2c3d");
        assert!(!is_own(&alone[&attempt]), "and it is not cleared away");
        let left = summary("left", &left(mark), mark);
        assert!(by_attempt(vec![left, summary("x", "airx-0a1b2c3e-1-0-2", "0a1b2c3e-1-0-2")], "0a1b2c3d").is_empty());
    }
}
