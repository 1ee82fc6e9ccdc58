//! What an engine has and lacks of what a pool needs, decided purely.

use std::path::Path;

use super::{Facts, Finding, Here, Level, Pool, Site};
use crate::backend::docker::mounts::guard;
use crate::backend::docker::owner::{self, ROOT_REFUSED};
use crate::backend::docker::plan::FAR_WORKSPACE;
use crate::model::docker::{NO_RUNNER, PullPolicy, RunnerMode, WorkspaceMode};

/// A line that says how it is, unless something does not work, and what is wrong, each by itself.
pub(super) fn findings(pool: &Pool<'_>, site: &Site<'_>, facts: &Facts, here: &Here) -> Vec<Finding> {
    let what = format!("pool {}", pool.name);
    let mut it = Judged { what: &what, pool, site, facts, good: Vec::new(), bad: Vec::new() };
    it.image();
    let is_reduced = it.runner();
    it.network();
    it.mounts(here);
    it.user(here, is_reduced);
    it.rest();
    let works = it.bad.iter().all(|finding| finding.level != Level::Fail);
    let good = works.then(|| Finding::ok(&what, it.good.join(", ")));
    good.into_iter().chain(it.bad).collect()
}

struct Judged<'a> {
    what: &'a str,
    pool: &'a Pool<'a>,
    site: &'a Site<'a>,
    facts: &'a Facts,
    good: Vec<String>,
    bad: Vec<Finding>,
}

impl Judged<'_> {
    fn warn(&mut self, found: impl Into<String>, remedy: impl Into<String>) {
        self.bad.push(Finding::warn(self.what, found, remedy));
    }

    fn fail(&mut self, found: impl Into<String>, remedy: impl Into<String>) {
        self.bad.push(Finding::fail(self.what, found, remedy));
    }

    fn image(&mut self) {
        let (image, docker) = (&self.pool.settings.image, self.site.docker());
        let found = self.facts.images.get(image).and_then(Option::as_ref);
        let build = format!("`{docker} build -t {image} DIR`, or `{docker} load <FILE`");
        match (found, self.pool.settings.pull) {
            (_, PullPolicy::Always) => self.good.push(format!("{image} is pulled before each attempt")),
            (Some(found), _) if found.architecture.is_empty() => self.good.push(image.clone()),
            (Some(found), _) => self.good.push(format!("{image} ({}/{})", found.os, found.architecture)),
            (None, PullPolicy::Never) => self.fail(
                format!("the engine has no image {image}, and the pool says pull: never"),
                format!("{build}; or write pull: missing"),
            ),
            (None, PullPolicy::Missing) if image.starts_with("localhost/") => self.warn(
                format!("the engine has no image {image}, and by its name no registry but one of this machine could have it"),
                if image.split(':').next() == Some("localhost/airx-runner") {
                    "`make docker-image` in airx's sources builds it (assets/docker/Dockerfile)".to_owned()
                } else {
                    build
                },
            ),
            (None, PullPolicy::Missing) => self.good.push(format!("{image} is not there yet: the first attempt pulls it")),
        }
    }

    /// Whether there is no runner.
    fn runner(&mut self) -> bool {
        const WITHOUT: &str = "reduced mode, without Claude runs, accept, repeat, sub-tasks and progress";
        let found = self.facts.images.get(&self.pool.settings.image).and_then(Option::as_ref);
        if self.pool.settings.runner == RunnerMode::None {
            self.good.push(format!("{WITHOUT}, since {NO_RUNNER}"));
            return true;
        }
        let Some(why) = found.and_then(|image| image.foreign()) else { return false };
        self.warn(format!("{WITHOUT}: {why}"), "use an image of this system, or say runner: none if that is meant");
        true
    }

    fn network(&mut self) {
        let is_there = |name: &str| {
            let networks = &self.facts.networks;
            networks.contains(name) || (name.len() >= 12 && networks.iter().any(|network| network.starts_with(name)))
        };
        match self.pool.settings.network.as_deref() {
            Some("none") => self.good.push("network none".to_owned()),
            // Podman's is made as it is needed, and called otherwise.
            Some("bridge") | None if self.facts.engine.is_podman => {
                self.good.push("network default: containers reach what this machine reaches".to_owned());
            }
            None if is_there("bridge") => {
                self.good.push("network default (bridge): containers reach what this machine reaches".to_owned())
            }
            None => self.good.push("network default: the engine has no bridge, so there is none".to_owned()),
            Some(name) if is_there(name) => self.good.push(format!("network {name}")),
            Some(name) => {
                let docker = self.site.docker();
                self.fail(
                    format!("the engine has no network {name}"),
                    format!("`{docker} network create {name}`, or correct the pool's `network`"),
                );
            }
        }
    }

    fn mounts(&mut self, here: &Here) {
        let pool = self.pool;
        let is_local = self.facts.engine.is_local;
        for mount in &pool.settings.mounts {
            let (source, target) = (Path::new(&mount.source), mount.target.display());
            if self.facts.missing_volumes.contains(&mount.source) {
                self.good.push(format!("the volume {} is made at its first use", mount.source));
            } else if source.is_absolute() && is_local && here.missing.contains(source) {
                self.fail(
                    format!("{}, mounted as {target}, is not there", mount.source),
                    "make it, or correct the pool's `mounts`: engines make no directory for a mount",
                );
            } else if source.is_absolute()
                && is_local
                && let Err(why) = guard(source, &format!("the mount at {target}"), &here.guarded)
            {
                self.fail(why, "take it out of the pool's `mounts`");
            }
        }
        if pool.settings.mounts.iter().any(|mount| mount.source.starts_with('/')) && !is_local {
            self.good.push("directories of `mounts` lie on the engine's machine, and were not looked for".to_owned());
        }
    }

    fn user(&mut self, here: &Here, is_reduced: bool) {
        let (settings, engine) = (self.pool.settings, &self.facts.engine);
        let (name, owner) = owner::inside(settings, engine, here.own);
        self.good.push(format!("user {name}"));
        if owner::is_root_unasked(settings, engine, owner) && !is_reduced {
            self.warn(format!("Claude runs are refused here: {ROOT_REFUSED}"), "user: \"1000:1000\" in the pool");
        }
        if !engine.is_local || is_reduced {
            return;
        }
        match owner.map(|owner| owner::outside(owner, engine, here.own)) {
            Some(Ok(_)) => {}
            Some(Err(why)) => self.fail(why, "take `user` out of the pool"),
            // Root may give it to whomever the image means.
            None if here.own.0 == 0 && !engine.is_rootless => {}
            None => self.warn(
                format!("whether `user: {name}` is you only the image knows; it cannot be another: only root gives files away"),
                format!("write numbers (user: \"{}:{}\"), or take `user` out of the pool", here.own.0, here.own.1),
            ),
        }
    }

    fn rest(&mut self) {
        let settings = self.pool.settings;
        if settings.workspace == WorkspaceMode::Bind && !self.facts.engine.is_local {
            self.fail(FAR_WORKSPACE, "take `workspace` out of the pool, or write copy");
        }
        // A shim by its full name need not be in the list.
        let is_unknown = |name: &&String| !self.facts.runtimes.contains(*name) && !name.contains('.');
        if let Some(runtime) = settings.overrides.runtime.as_ref().filter(is_unknown) {
            let known: Vec<&str> = self.facts.runtimes.iter().map(String::as_str).collect();
            self.fail(
                format!("the engine has no runtime {runtime}; it has {}", known.join(", ")),
                "install it and name it in the engine's daemon.json, or correct the pool's `override`",
            );
        }
    }
}
