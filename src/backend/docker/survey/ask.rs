//! What an engine is asked, within a time that is bounded as a whole.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::time::Duration;

use bollard::Docker;
use bollard::models::{SystemInfo, SystemInfoCgroupVersionEnum, SystemVersion};
use bollard::query_parameters::{ListContainersOptions, ListNetworksOptions, ListVolumesOptions};
use futures_util::TryFutureExt;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::left::Thing;
use super::{Facts, Limits, Site, Trouble};
use crate::backend::docker::engine::open;
use crate::backend::docker::fault::Fault;
use crate::backend::docker::names;
use crate::backend::docker::plan::{EngineFacts, ImageFacts};

/// Longest wait of the client itself, in seconds: longer than any of ours, which say more.
const CLIENT_PATIENCE_S: u64 = 120;

/// Asks an engine; waits no longer than `patience`.
pub(super) fn ask(site: &Site<'_>, patience: Duration) -> Result<Facts, Trouble> {
    let conversation = async { timeout(patience, facts(site)).await.unwrap_or(Err(Trouble::Hangs)) };
    run(conversation).unwrap_or_else(|error| Err(Trouble::Other(error.to_string())))
}

/// Runs a conversation with an engine on this thread, and leaves behind whatever it still waits for.
pub(super) fn run<T>(conversation: impl Future<Output = T>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build()?;
    let result = runtime.block_on(conversation);
    // A name server that does not answer cannot be told to stop.
    runtime.shutdown_background();
    Ok(result)
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Trouble {
        match fault {
            Fault::Unreachable(why) => Trouble::Other(why),
            Fault::Refused { status, message } => {
                Trouble::Other(format!("it refuses to answer ({status}): {}", message.trim_end()))
            }
        }
    }
}

/// Whether anybody is there. The client's own errors do not tell these cases apart.
async fn knock(url: &str) -> Result<(), Trouble> {
    let knocked = match url.split_once("://") {
        Some(("unix", path)) => UnixStream::connect(path).await.map(drop),
        Some(("tcp" | "http", place)) => TcpStream::connect(place.trim_end_matches('/')).await.map(drop),
        // Told by whoever opens it.
        _ => Ok(()),
    };
    knocked.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Trouble::NoSocket,
        io::ErrorKind::PermissionDenied => Trouble::Denied,
        io::ErrorKind::ConnectionRefused => Trouble::Refused,
        // Its queue is full: it does not take anybody in.
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Trouble::Hangs,
        _ => Trouble::Other(error.to_string()),
    })
}

/// The way to an engine, which speaks no newer language than it does.
pub(super) async fn connect(site: &Site<'_>) -> Result<Docker, Trouble> {
    knock(&site.url).await?;
    let docker = open(&site.url, site.tls.as_deref(), CLIENT_PATIENCE_S)?;
    Ok(docker.negotiate_version().map_err(Fault::from).await?)
}

async fn facts(site: &Site<'_>) -> Result<Facts, Trouble> {
    let docker = connect(site).await?;
    let version = docker.version().map_err(Fault::from).await?;
    let info = docker.info().map_err(Fault::from).await?;
    let mut facts = told(&site.url, &info, &version);
    if super::judge::is_too_old(&facts) {
        return Ok(facts);
    }
    let networks = docker.list_networks(None::<ListNetworksOptions>).map_err(Fault::from).await?;
    facts.networks = networks.into_iter().flat_map(|network| network.name.into_iter().chain(network.id)).collect();
    facts.images = images(&docker, site).await?;
    facts.missing_volumes = missing_volumes(&docker, site).await?;
    facts.things = things(&docker).await?;
    Ok(facts)
}

fn told(url: &str, info: &SystemInfo, version: &SystemVersion) -> Facts {
    let engine = EngineFacts::of(url, info, version);
    let number = |text: &str| {
        let (major, minor) = text.split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    let api = version.api_version.as_deref().and_then(number);
    let init = info.init_commit.as_ref().and_then(|commit| commit.id.as_deref());
    Facts {
        version: version.version.clone().unwrap_or_default(),
        api,
        cgroup: match info.cgroup_version {
            Some(SystemInfoCgroupVersionEnum::_1) => Some(1),
            Some(SystemInfoCgroupVersionEnum::_2) => Some(2),
            _ => None,
        },
        limits: Limits {
            memory: info.memory_limit.unwrap_or(false),
            swap: info.swap_limit.unwrap_or(false),
            cpus: info.cpu_cfs_quota.unwrap_or(false),
            pids: info.pids_limit.unwrap_or(false),
        },
        // Podman names none of what it has.
        lacks_init: !engine.is_podman && (info.init_binary.as_deref().is_none_or(str::is_empty) || init == Some("N/A")),
        live_restore: info.live_restore_enabled.unwrap_or(false),
        runtimes: info.runtimes.iter().flatten().map(|(name, _)| name.clone()).collect(),
        engine,
        ..Facts::default()
    }
}

/// None where it does not have what was asked for.
async fn found<T>(call: impl Future<Output = Result<T, bollard::errors::Error>>) -> Result<Option<T>, Trouble> {
    match call.map_err(Fault::from).await {
        Ok(found) => Ok(Some(found)),
        Err(fault) if fault.is_missing() => Ok(None),
        Err(fault) => Err(fault.into()),
    }
}

async fn images(docker: &Docker, site: &Site<'_>) -> Result<BTreeMap<String, Option<ImageFacts>>, Trouble> {
    let mut images = BTreeMap::new();
    let wanted: BTreeSet<&str> = site.pools.iter().map(|pool| pool.settings.image.as_str()).collect();
    for image in wanted {
        images.insert(image.to_owned(), found(docker.inspect_image(image)).await?.map(ImageFacts::from));
    }
    Ok(images)
}

async fn missing_volumes(docker: &Docker, site: &Site<'_>) -> Result<BTreeSet<String>, Trouble> {
    let sources = site.pools.iter().flat_map(|pool| &pool.settings.mounts).map(|mount| mount.source.as_str());
    let wanted: BTreeSet<&str> = sources.filter(|source| !source.starts_with('/')).collect();
    let mut missing = BTreeSet::new();
    for volume in wanted {
        if found(docker.inspect_volume(volume)).await?.is_none() {
            missing.insert(volume.to_owned());
        }
    }
    Ok(missing)
}

/// All containers and volumes that bear the mark of some home.
async fn things(docker: &Docker) -> Result<Vec<Thing>, Trouble> {
    let filters = HashMap::from([("label".to_owned(), vec![names::INSTANCE.to_owned()])]);
    let options = ListContainersOptions { all: true, filters: Some(filters.clone()), ..Default::default() };
    let containers = docker.list_containers(Some(options)).map_err(Fault::from).await?;
    let volumes = docker.list_volumes(Some(ListVolumesOptions { filters: Some(filters) })).map_err(Fault::from).await?;
    let containers = containers.into_iter().filter_map(Thing::of_container);
    Ok(containers.chain(volumes.volumes.into_iter().flatten().filter_map(Thing::of_volume)).collect())
}
