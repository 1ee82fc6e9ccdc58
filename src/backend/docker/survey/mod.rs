//! What engines say of themselves and of what pools need there, for `airx doctor`: asked by `ask`, judged purely by `judge` and
//! `pool`; what homes that are gone have left there is [`left`].

mod ask;
mod judge;
pub mod left;
mod pool;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use super::mounts::Guarded;
use super::plan::{EngineFacts, ImageFacts};
use crate::backend::finding::pools as names;
pub use crate::backend::finding::{Finding, Level};
use crate::model::docker::DockerSettings;
use crate::model::settings::{PoolBackend, Settings};
use crate::model::spec::Resources;
use left::Thing;

/// Longest wait for all that one engine is asked: one that hangs holds up nobody longer.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// A pool of containers.
#[derive(Debug, Clone, Copy)]
pub struct Pool<'a> {
    /// Its name.
    pub name: &'a str,
    /// What its containers may use.
    pub resources: &'a Resources,
    /// The rest of it.
    pub settings: &'a DockerSettings,
}

/// An engine, and the pools that use it.
#[derive(Debug, Clone)]
pub struct Site<'a> {
    /// Where it is.
    pub url: String,
    /// Whether no pool had to say so.
    pub is_default: bool,
    /// Where its certificates are, when it is reached by TLS.
    pub tls: Option<PathBuf>,
    /// Who uses it.
    pub pools: Vec<Pool<'a>>,
}

/// The engines of a configuration, each once.
pub fn sites<'a>(settings: &'a Settings, env: &BTreeMap<String, String>) -> Vec<Site<'a>> {
    let mut sites: Vec<Site<'a>> = Vec::new();
    for (name, pool) in &settings.pools {
        let PoolBackend::Docker(docker) = &pool.backend else { continue };
        let (url, is_default) = (super::url(docker.engine(), env), docker.host.is_none());
        let pool = Pool { name, resources: &pool.resources, settings: docker };
        match sites.iter_mut().find(|site| site.url == url) {
            Some(site) => {
                site.pools.push(pool);
                site.is_default |= is_default;
            }
            None => sites.push(Site { tls: super::tls(&url, env), url, is_default, pools: vec![pool] }),
        }
    }
    sites
}

/// Why nothing is known of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// There is no such socket.
    NoSocket,
    /// It may not be used by us.
    Denied,
    /// Nobody listens there.
    Refused,
    /// It does not answer in time.
    Hangs,
    /// Something else, in words.
    Other(String),
}

/// What an engine says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// Its version.
    pub version: String,
    /// The version of its API; none when it is not understood.
    pub api: Option<(u32, u32)>,
    /// What backends need to know of it.
    pub engine: EngineFacts,
    /// The version of its control groups.
    pub cgroup: Option<u8>,
    /// Which limits it enforces.
    pub limits: Limits,
    /// Whether it says that its init is missing. That it is there nobody knows.
    pub lacks_init: bool,
    /// Whether its containers go on when it is restarted.
    pub live_restore: bool,
    /// Its OCI runtimes.
    pub runtimes: BTreeSet<String>,
    /// Names and ids of its networks.
    pub networks: BTreeSet<String>,
    /// The images of the pools; those that it does not have are none.
    pub images: BTreeMap<String, Option<ImageFacts>>,
    /// Volumes of the pools that it does not have.
    pub missing_volumes: BTreeSet<String>,
    /// What is labelled as some home's.
    pub things: Vec<Thing>,
}

/// Which limits are enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Memory.
    pub memory: bool,
    /// Memory that is swapped out.
    pub swap: bool,
    /// Processors.
    pub cpus: bool,
    /// Processes and threads.
    pub pids: bool,
}

/// What is known of this side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Here {
    /// User and group of whoever runs the manager.
    pub own: (u32, u32),
    /// What must not be mounted.
    pub guarded: Guarded,
    /// Directories and files that pools mount and that are not there.
    pub missing: BTreeSet<PathBuf>,
}

/// Asks all engines at once.
pub fn survey(sites: &[Site<'_>]) -> Vec<Result<Facts, Trouble>> {
    std::thread::scope(|scope| {
        let asked: Vec<_> = sites.iter().map(|site| scope.spawn(|| ask::ask(site, PATIENCE))).collect();
        let lost = || Err(Trouble::Other("it could not be asked".to_owned()));
        asked.into_iter().map(|thread| thread.join().unwrap_or_else(|_| lost())).collect()
    })
}

/// What an engine's answer means for its pools.
pub fn findings(site: &Site<'_>, answer: &Result<Facts, Trouble>, here: &Here) -> Vec<Finding> {
    match answer {
        Err(trouble) => vec![judge::trouble(site, trouble)],
        Ok(facts) if judge::is_too_old(facts) => vec![judge::too_old(site, facts)],
        Ok(facts) => {
            let pools = site.pools.iter().flat_map(|pool| pool::findings(pool, site, facts, here));
            judge::engine(site, facts).into_iter().chain(pools).collect()
        }
    }
}

impl Here {
    /// For these engines: mounts of pools are looked for on this machine where the engine is of it.
    pub fn look(own: (u32, u32), home: PathBuf, mut sockets: Vec<PathBuf>, sites: &[Site<'_>]) -> Here {
        let local = sites.iter().filter_map(|site| Some((site, site.url.strip_prefix("unix://")?)));
        let mut missing = BTreeSet::new();
        for (site, socket) in local {
            sockets.push(socket.into());
            let sources = site.pools.iter().flat_map(|pool| &pool.settings.mounts).map(|mount| PathBuf::from(&mount.source));
            let is_gone =
                |path: &PathBuf| std::fs::metadata(path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound);
            missing.extend(sources.filter(|path| path.is_absolute()).filter(is_gone));
        }
        sockets.extend(["/var/run/docker.sock".into(), "/run/docker.sock".into()]);
        Here { own, guarded: Guarded { sockets, private: vec![home] }, missing }
    }
}

impl Site<'_> {
    /// Its pools, for people.
    fn users(&self) -> String {
        names(self.pools.iter().map(|pool| pool.name))
    }

    /// The engine's command line program, for it.
    fn docker(&self) -> String {
        if self.is_default { "docker".to_owned() } else { format!("docker -H {}", self.url) }
    }
}
