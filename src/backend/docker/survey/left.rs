//! What homes that are gone have left on an engine: containers that nobody will ever collect, volumes that nobody reads again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::Docker;
use bollard::models::{ContainerSummary, ContainerSummaryStateEnum as State, Volume};
use bollard::query_parameters::{RemoveContainerOptions, RemoveVolumeOptions};
use futures_util::TryFutureExt;
use tokio::time::timeout;

use super::{Finding, Site, Trouble, ask};
use crate::backend::docker::fault::Fault;
use crate::backend::docker::names;

const CONTAINERS: &str = "containers";
/// Longest wait for one removal: what has to be killed takes its time.
const PATIENCE: Duration = Duration::from_secs(30);
/// Homes and removals that are named; more are counted.
const MAX_TOLD: usize = 20;

/// A container or a volume that bears a home's mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thing {
    /// Whether it is a volume, which is known by its name alone.
    pub is_volume: bool,
    /// The engine's id for it.
    pub id: String,
    /// Its name, for people.
    pub name: String,
    /// Whether something runs in it.
    pub is_running: bool,
    /// Whose it is.
    pub mark: Mark,
}

/// What the labels say.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// The identity of its home.
    pub instance: String,
    /// Where that is, on its machine.
    pub home: PathBuf,
    /// Which machine that is.
    pub machine: String,
    /// The job, for people.
    pub job: String,
}

impl Mark {
    /// None when a label is missing by which its home could be found.
    fn of(labels: &HashMap<String, String>) -> Option<Mark> {
        let get = |name: &str| labels.get(name).filter(|value| !value.is_empty()).cloned();
        let home = PathBuf::from(get(names::HOME)?);
        Some(Mark {
            instance: get(names::INSTANCE)?,
            home: Some(home).filter(|home| home.is_absolute())?,
            machine: get(names::MACHINE)?,
            job: get(names::JOB).unwrap_or_default(),
        })
    }
}

impl Thing {
    pub(super) fn of_container(found: ContainerSummary) -> Option<Thing> {
        let id = found.id?;
        let name = found.names.and_then(|names| names.first().cloned()).unwrap_or_else(|| id.clone());
        Some(Thing {
            is_volume: false,
            name: name.trim_start_matches('/').to_owned(),
            is_running: matches!(found.state, Some(State::RUNNING | State::PAUSED | State::RESTARTING)),
            mark: Mark::of(&found.labels?)?,
            id,
        })
    }

    pub(super) fn of_volume(found: Volume) -> Option<Thing> {
        let mark = Mark::of(&found.labels)?;
        Some(Thing { is_volume: true, id: found.name.clone(), name: found.name, is_running: false, mark })
    }
}

/// What has become of a home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HomeState {
    /// It is there.
    There,
    /// It is not, or another has taken its place.
    Gone,
    /// That cannot be seen by us.
    Unknown,
}

/// Whose things are on an engine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sorted {
    /// Those of homes of this machine that are gone.
    pub gone: Vec<Thing>,
    /// Those of this home.
    pub own: Vec<Thing>,
    /// How many of homes of this machine that cannot be looked at.
    pub unknown: usize,
    /// How many of other machines, and which.
    pub foreign: usize,
    /// See `foreign`.
    pub machines: BTreeSet<String>,
}

/// Sorts what there is. What bears the identity of this home is its own wherever the home was before it was moved; each other
/// home is looked at once.
pub fn sort(things: &[Thing], machine: &str, own: Option<&str>, look: &dyn Fn(&Mark) -> HomeState) -> Sorted {
    let mut sorted = Sorted::default();
    let mut seen: BTreeMap<(&Path, &str), HomeState> = BTreeMap::new();
    for thing in things {
        let mark = &thing.mark;
        if mark.machine != machine {
            sorted.foreign += 1;
            sorted.machines.insert(mark.machine.clone());
        } else if own == Some(mark.instance.as_str()) {
            sorted.own.push(thing.clone());
        } else {
            match *seen.entry((&mark.home, &mark.instance)).or_insert_with(|| look(mark)) {
                HomeState::Gone => sorted.gone.push(thing.clone()),
                HomeState::Unknown => sorted.unknown += 1,
                HomeState::There => {}
            }
        }
    }
    sorted
}

/// What that means.
pub fn findings(site: &Site<'_>, sorted: &Sorted, has_manager: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !sorted.gone.is_empty() {
        let homes: BTreeSet<&Path> = sorted.gone.iter().map(|thing| thing.mark.home.as_path()).collect();
        let more = homes.len().saturating_sub(MAX_TOLD);
        let mut told: Vec<String> = homes.iter().take(MAX_TOLD).map(|home| home.display().to_string()).collect();
        told.extend((more > 0).then(|| format!("and {more} more")));
        let verb = if sorted.gone.len() == 1 { "is" } else { "are" };
        let found = format!("{}: {} {verb} left of homes that are gone: {}", site.url, count(&sorted.gone), told.join(", "));
        findings.push(Finding::warn(CONTAINERS, found, "`airx doctor --repair` removes them, also those that run"));
    }
    let own: Vec<Thing> = sorted.own.iter().filter(|thing| !thing.is_volume).cloned().collect();
    if !has_manager && !own.is_empty() {
        let found = format!("{}: {} of this home, and no manager looks after them", site.url, count(&own));
        findings.push(Finding::warn(CONTAINERS, found, "they are left alone; the next manager takes them over: airx --daemon"));
    }
    let others = [
        (sorted.foreign > 0).then(|| {
            let machines: Vec<&str> = sorted.machines.iter().map(String::as_str).take(MAX_TOLD).collect();
            format!("{} of other machines ({})", sorted.foreign, machines.join(", "))
        }),
        (sorted.unknown > 0).then(|| format!("{} of homes that you may not look at", sorted.unknown)),
    ];
    let others: Vec<String> = others.into_iter().flatten().collect();
    if !others.is_empty() {
        findings.push(Finding::ok(CONTAINERS, format!("{}: left alone: {}", site.url, others.join(", "))));
    }
    findings
}

/// `2 containers (1 runs) and 1 volume`.
fn count(things: &[Thing]) -> String {
    let (volumes, containers): (Vec<&Thing>, Vec<&Thing>) = things.iter().partition(|thing| thing.is_volume);
    let many = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let running = containers.iter().filter(|thing| thing.is_running).count();
    let containers = (!containers.is_empty()).then(|| {
        let those = many(containers.len(), "container");
        if running > 0 { format!("{those} ({running} running)") } else { those }
    });
    let volumes = (!volumes.is_empty()).then(|| many(volumes.len(), "volume"));
    containers.into_iter().chain(volumes).collect::<Vec<_>>().join(" and ")
}

/// Removes what was found to be left, each after its labels were read again and its home was looked at again; what became of
/// each, in lines.
pub fn remove(site: &Site<'_>, things: &[Thing], look: &dyn Fn(&Mark) -> HomeState) -> Vec<String> {
    let mut lines = Vec::new();
    let work = async {
        let docker = timeout(super::PATIENCE, ask::connect(site)).await.unwrap_or(Err(Trouble::Hangs));
        let Ok(docker) = docker else {
            lines.push(format!("{}: the engine does not answer any more; nothing was removed", site.url));
            return;
        };
        // A volume can go only after its containers.
        let (volumes, containers): (Vec<&Thing>, Vec<&Thing>) = things.iter().partition(|thing| thing.is_volume);
        let mut removed = 0;
        for thing in containers.into_iter().chain(volumes) {
            let what = if thing.is_volume { "volume" } else { "container" };
            let whose = format!("{what} {} (job {}, of {})", thing.name, thing.mark.job, thing.mark.home.display());
            match timeout(PATIENCE, one(&docker, thing, look)).await {
                Ok(Ok(true)) => {
                    removed += 1;
                    lines.extend((removed <= MAX_TOLD).then(|| format!("removed {whose}")));
                }
                Ok(Ok(false)) => {}
                Ok(Err(fault)) => lines.push(format!("not removed: {whose}: {fault}")),
                Err(_) => {
                    lines.push(format!("{}: the engine does not answer any more; once it does, try again", site.url));
                    break;
                }
            }
        }
        lines.extend((removed > MAX_TOLD).then(|| format!("removed {} more", removed - MAX_TOLD)));
    };
    if let Err(error) = ask::run(work) {
        lines.push(format!("{}: {error}", site.url));
    }
    lines
}

/// Removes one; whether it was still there and still left.
async fn one(docker: &Docker, thing: &Thing, look: &dyn Fn(&Mark) -> HomeState) -> Result<bool, Fault> {
    let labels = if thing.is_volume {
        docker.inspect_volume(&thing.id).map_err(Fault::from).await.map(|found| found.labels)
    } else {
        let found = docker.inspect_container(&thing.id, None).map_err(Fault::from).await;
        found.map(|found| found.config.and_then(|config| config.labels).unwrap_or_default())
    };
    let labels = match labels {
        Err(fault) if fault.is_missing() => return Ok(false),
        other => other?,
    };
    if Mark::of(&labels).as_ref() != Some(&thing.mark) || look(&thing.mark) != HomeState::Gone {
        return Ok(false);
    }
    let removed = if thing.is_volume {
        docker.remove_volume(&thing.id, Some(RemoveVolumeOptions { force: false })).map_err(Fault::from).await
    } else {
        let options = RemoveContainerOptions { v: true, force: true, link: false };
        docker.remove_container(&thing.id, Some(options)).map_err(Fault::from).await
    };
    match removed {
        Err(fault) if fault.is_missing() => Ok(false),
        other => other.map(|()| true),
    }
}
