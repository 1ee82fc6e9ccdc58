//! A home with a pool of containers, and what is true of every task whatever happened to it.
#![allow(dead_code, reason = "each test program uses its own part")]

#[path = "../site.rs"]
mod site;

use std::ops::{Deref, DerefMut};

use super::docker::{self, Engine};
pub use site::Mode;
use site::Site;

/// A home whose pool `box` is on an engine. The manager is not started yet.
pub struct Bench {
    site: Site,
    pub engine: Engine,
}

impl Bench {
    /// Its pool is reached by `host`; `more` are further keys of the pool, each with a comma before it.
    pub fn new(engine: &Engine, host: &str, slots: u32, mode: Mode, more: &str) -> Bench {
        let bench = Bench { site: Site::new(), engine: engine.handle() };
        bench.configure(host, slots, mode, more);
        bench
    }

    /// Writes the configuration.
    pub fn configure(&self, host: &str, slots: u32, mode: Mode, more: &str) {
        let mode = if mode == Mode::Reduced { ", runner: none" } else { "" };
        let image = if more.contains("image:") { String::new() } else { format!(", image: {}", docker::BUSYBOX) };
        let pull = if more.contains("pull:") { "" } else { ", pull: never" };
        self.set_pool(&format!("{{ backend: docker, slots: {slots}, host: \"{host}\"{image}{pull}{mode}{more} }}"));
    }

    /// The containers of this home, as `docker ps` tells them in this form.
    pub fn containers(&self, all: bool, form: &str) -> Vec<String> {
        let filter = format!("label=airx.home={}", self.home.path().display());
        let mut args = vec!["ps", "--no-trunc", "--filter", &filter, "--format", form];
        if all {
            args.push("-a");
        }
        self.engine.ok(args).lines().map(str::to_owned).collect()
    }

    /// The only container of this home.
    pub fn container(&self) -> String {
        let found = self.containers(true, "{{.ID}}");
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].clone()
    }

    /// Nothing is left: no container, and every slot is free.
    pub fn until_nothing_is_left(&self) {
        self.home.until("no container is left", || self.containers(true, "{{.Names}}").is_empty());
        assert_eq!(self.slots_used(), 0);
    }
}

impl Deref for Bench {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

impl DerefMut for Bench {
    fn deref_mut(&mut self) -> &mut Site {
        &mut self.site
    }
}
