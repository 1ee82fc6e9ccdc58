//! What an engine's answer means, decided purely.

use super::{Facts, Finding, Pool, Site, Trouble, names};
use crate::model::docker::RunnerMode;

const ENGINE: &str = "engine";
/// The API of Engine 20.10.
const OLDEST: (u32, u32) = (1, 41);

/// Why it cannot be used at all, as a check.
pub(super) fn trouble(site: &Site<'_>, trouble: &Trouble) -> Finding {
    let (why, remedy) = match trouble {
        Trouble::NoSocket => (
            "there is no such socket".to_owned(),
            "start the engine (`sudo systemctl start docker`, without root `systemctl --user start docker` or `podman.socket`), \
             or say where it is: DOCKER_HOST, or the pool's `host`"
                .to_owned(),
        ),
        Trouble::Denied => (
            "you may not use this socket".to_owned(),
            "add yourself to the group docker (`sudo usermod -aG docker $USER`, then log in anew; whoever is in it can become \
             root), or use the rootless engine (`dockerd-rootless-setuptool.sh install`)"
                .to_owned(),
        ),
        Trouble::Refused => (
            "nobody listens there".to_owned(),
            "is it running? `sudo systemctl start docker`, and `journalctl -u docker` says why it ended".to_owned(),
        ),
        Trouble::Hangs => (
            format!("it does not answer within {} s", super::PATIENCE.as_secs()),
            "`journalctl -u docker` may say why; `sudo systemctl restart docker` ends its containers unless it has \
             live-restore"
                .to_owned(),
        ),
        Trouble::Other(why) => (why.clone(), format!("is it an engine that `{} version` can talk to?", site.docker())),
    };
    Finding::fail(ENGINE, format!("{} ({}): {why}; nothing starts there", site.url, site.users()), remedy)
}

/// Whether it lacks what containers are made with.
pub(super) fn is_too_old(facts: &Facts) -> bool {
    facts.api.is_none_or(|api| api < OLDEST)
}

pub(super) fn too_old(site: &Site<'_>, facts: &Facts) -> Finding {
    let found = format!("{} ({}): {}, older than Engine 20.10 (API 1.41)", site.url, site.users(), brand(facts));
    Finding::fail(ENGINE, found, "install a newer one (https://docs.docker.com/engine/install/), or use a pool of processes")
}

fn brand(facts: &Facts) -> String {
    let api =
        facts.api.map_or_else(|| "an API that is not understood".to_owned(), |(major, minor)| format!("API {major}.{minor}"));
    format!("{} {} ({api})", if facts.engine.is_podman { "Podman" } else { "Docker" }, facts.version)
}

/// The engine itself.
pub(super) fn engine(site: &Site<'_>, facts: &Facts) -> Vec<Finding> {
    let mut parts = vec![brand(facts)];
    parts.extend(facts.engine.is_rootless.then(|| "rootless".to_owned()));
    parts.extend(facts.cgroup.map(|version| format!("cgroup v{version}")));
    let limits = [("memory", facts.limits.memory), ("cpus", facts.limits.cpus), ("pids", facts.limits.pids)];
    let enforced: Vec<&str> = limits.iter().filter_map(|(name, holds)| holds.then_some(*name)).collect();
    parts.extend((!enforced.is_empty()).then(|| format!("enforces {}", enforced.join(", "))));
    let mut findings = vec![Finding::ok(ENGINE, format!("{} ({}): {}", site.url, site.users(), parts.join(", ")))];
    findings.extend(limits.iter().filter(|(_, holds)| !holds).map(|(name, _)| limit(name, site, facts)));
    findings.extend(swap(site, facts));
    findings.extend(init(site, facts));
    // Podman has no process whose end would matter.
    if !facts.live_restore && !facts.engine.is_podman {
        let file = if facts.engine.is_rootless { "~/.config/docker/daemon.json" } else { "/etc/docker/daemon.json" };
        let reload = if facts.engine.is_rootless { "systemctl --user reload docker" } else { "sudo systemctl reload docker" };
        findings.push(Finding::warn(
            ENGINE,
            format!("{}: restarting it (an upgrade, say) ends what runs in its containers: live-restore is off", site.url),
            format!("{{ \"live-restore\": true }} in {file}, then `{reload}`"),
        ));
    }
    findings
}

fn sets(pool: &&Pool<'_>, limit: &str) -> bool {
    match limit {
        "memory" => pool.resources.memory.is_some(),
        "cpus" => pool.resources.cpus.is_some(),
        // Every container has one.
        _ => true,
    }
}

fn limit(name: &str, site: &Site<'_>, facts: &Facts) -> Finding {
    let setting: Vec<&str> = site.pools.iter().filter(|pool| sets(pool, name)).map(|pool| pool.name).collect();
    let whose = if setting.is_empty() {
        "no pool sets one, and a task's own would not hold either".to_owned()
    } else {
        format!("`{name}` of {} is not", names(setting.into_iter()))
    };
    let remedy = match (facts.engine.is_rootless, facts.cgroup) {
        (true, Some(2)) => {
            "let your user's systemd delegate it: [Service] Delegate=cpu cpuset io memory pids in \
             /etc/systemd/system/user@.service.d/delegate.conf, then `sudo systemctl daemon-reload` and log in anew"
        }
        (true, _) => "a rootless engine needs cgroup v2 for it: boot with systemd.unified_cgroup_hierarchy=1",
        (false, _) if name == "memory" => {
            "boot with cgroup_enable=memory, or with cgroup v2 (systemd.unified_cgroup_hierarchy=1)"
        }
        (false, _) => "boot with cgroup v2 (systemd.unified_cgroup_hierarchy=1), or a kernel that has this controller",
    };
    Finding::warn(ENGINE, format!("{}: limits of {name} are not enforced there: {whose}", site.url), remedy)
}

/// Where swapping is not limited, a limit of memory is soft.
fn swap(site: &Site<'_>, facts: &Facts) -> Option<Finding> {
    let limited: Vec<&str> = site.pools.iter().filter(|pool| pool.resources.memory.is_some()).map(|pool| pool.name).collect();
    let is_soft = facts.limits.memory && !facts.limits.swap && !limited.is_empty();
    is_soft.then(|| {
        let found = format!(
            "{}: swap is not limited there: where the machine has some, `memory` of {} slows a task down instead of ending it",
            site.url,
            names(limited.into_iter())
        );
        Finding::warn(ENGINE, found, "boot with swapaccount=1 (cgroup v1), or turn swap off")
    })
}

fn init(site: &Site<'_>, facts: &Facts) -> Option<Finding> {
    let needing = |pool: &&Pool<'_>| {
        let image = facts.images.get(&pool.settings.image).and_then(Option::as_ref);
        pool.settings.init || pool.settings.runner == RunnerMode::None || image.is_some_and(|image| image.foreign().is_some())
    };
    let needing: Vec<&str> = site.pools.iter().filter(needing).map(|pool| pool.name).collect();
    (facts.lacks_init && !needing.is_empty()).then(|| {
        let found = format!(
            "{}: the engine says that its init (docker-init) is missing, and containers of {} cannot start without it",
            site.url,
            names(needing.into_iter())
        );
        Finding::warn(
            ENGINE,
            found,
            "install it where the engine runs (Debian: apt install tini docker.io), or name it: \"init-path\" in daemon.json",
        )
    })
}
