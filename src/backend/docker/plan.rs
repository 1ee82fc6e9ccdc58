//! From an order and what is known of engine and image to the container that is made: decided purely.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bollard::models::{
    ContainerCreateBody, DeviceMapping, HealthConfig, HostConfig, HostConfigLogConfig, Mount, MountType, MountVolumeOptions,
    ResourcesUlimits, RestartPolicy, RestartPolicyNameEnum,
};

use super::mounts::{Guarded, guard};
use super::names;
use super::owner::{self, ROOT_REFUSED};
use super::record::Record;
use super::remote;
use crate::manager::ports::{
    CONTAINER_ATTEMPT, CONTAINER_BIN, CONTAINER_CLAUDE, CONTAINER_SCRATCH, CONTAINER_SOCKET, CONTAINER_WORKSPACE, DockerPlace,
    LaunchOrder,
};
use crate::model::docker::{DEFAULT_PIDS, NO_RUNNER, RunnerMode, RunnerNeeds, WorkspaceMode, needs_runner};

/// Where everything of ours is, when nothing can be mounted.
pub const ROOM: &str = "/airx";

/// Why a workspace is not mounted on another machine's engine.
pub const FAR_WORKSPACE: &str = "workspace: bind mounts a directory of this machine, and the engine is another's: leave \
                                 `workspace` out, or write copy";

/// What is known of an engine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EngineFacts {
    /// Whether it is of this machine, so that directories can be mounted.
    pub is_local: bool,
    /// Whether it runs as an ordinary user, who is root in its containers.
    pub is_rootless: bool,
    /// Whether users of containers are other users outside.
    pub remaps_users: bool,
    /// Whether it is Podman.
    pub is_podman: bool,
    /// The volume with our program, where that cannot be mounted.
    pub program: String,
}

/// What is known of an image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImageFacts {
    /// `linux`.
    pub os: String,
    /// `amd64`, `arm64`.
    pub architecture: String,
}

impl ImageFacts {
    /// Why our runner cannot run there; none when it can.
    pub fn foreign(&self) -> Option<String> {
        let own = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let fits = self.os == "linux" && (self.architecture.is_empty() || self.architecture == own);
        (!fits).then(|| format!("the image is of {}/{}, and this airx of linux/{own}", self.os, self.architecture))
    }
}

/// What is known of this side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// Whoever runs the manager.
    pub uid: u32,
    /// Their group.
    pub gid: u32,
    /// Our own program, where the engine can mount it from.
    pub program: PathBuf,
    /// The directory of the task socket.
    pub task_socket: PathBuf,
    /// The home's identity.
    pub instance: String,
    /// The home.
    pub home: PathBuf,
    /// Which machine this is.
    pub machine: String,
    /// What must not be seen from a container.
    pub guarded: Guarded,
}

impl Side {
    /// Whoever runs the manager: user and group.
    pub fn own(&self) -> (u32, u32) {
        (self.uid, self.gid)
    }
}

/// A container to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// How it is found again.
    pub record: Record,
    /// Its user as numbers; none when the engine has to look the name up in the image.
    pub owner: Option<(u32, u32)>,
    /// What of the workspace must not be copied, when it is copied; none when it is mounted.
    pub copies: Option<Vec<PathBuf>>,
    /// What the engine is asked for.
    pub body: ContainerCreateBody,
}

/// Why there is none.
pub type Refusal = String;

/// The container for an order.
///
/// # Errors
/// Why there is none, with the remedy; nothing but a person helps.
pub fn plan(
    order: &LaunchOrder,
    place: &DockerPlace,
    engine: &EngineFacts,
    image: &ImageFacts,
    side: &Side,
    mut record: Record,
) -> Result<Plan, Refusal> {
    let settings = &place.settings;
    record.is_reduced = reduced(order, place, image, &mut record.notes)?;
    record.is_remote = !engine.is_local;
    let (user, owner) = owner::inside(settings, engine, side.own());
    if place.claude_config.is_some() && owner::is_root_unasked(settings, engine, owner) {
        return Err(ROOT_REFUSED.to_owned());
    }
    let copies = match settings.workspace {
        WorkspaceMode::Auto => record.is_remote,
        WorkspaceMode::Bind => false,
        WorkspaceMode::Copy | WorkspaceMode::None => true,
    };
    if !copies && record.is_remote {
        return Err(FAR_WORKSPACE.to_owned());
    }
    record.workspace = (copies && settings.workspace != WorkspaceMode::None).then(|| place.workspace.clone());
    let mounts = mounts(order, place, (engine, side), &record, copies)?;
    let body = ContainerCreateBody {
        image: Some(settings.image.clone()),
        user: Some(user),
        labels: Some(labels(place, side, &record)),
        working_dir: Some(if record.is_reduced { CONTAINER_WORKSPACE.to_owned() } else { "/".to_owned() }),
        tty: Some(false),
        attach_stdin: Some(!record.is_reduced),
        open_stdin: Some(!record.is_reduced),
        stdin_once: Some(!record.is_reduced),
        // The image's own would run beside the task.
        healthcheck: (!engine.is_podman).then(|| HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() }),
        stop_timeout: Some(i64::try_from(record.grace_ms.div_ceil(1000).saturating_add(5)).unwrap_or(i64::MAX)),
        host_config: Some(host_config(place, engine, side, &record, mounts, copies)),
        ..command(order, &record)
    };
    let copies = copies.then(|| side.guarded.hidden_in(&place.workspace));
    Ok(Plan { record, owner, copies, body })
}

/// What runs: our runner, or the command itself.
fn command(order: &LaunchOrder, record: &Record) -> ContainerCreateBody {
    if !record.is_reduced {
        let entry = [format!("{CONTAINER_BIN}/airx"), "enter".to_owned(), CONTAINER_ATTEMPT.to_owned()];
        return ContainerCreateBody { entrypoint: Some(entry.to_vec()), cmd: Some(Vec::new()), ..ContainerCreateBody::default() };
    }
    let (program, args) = order.spec.argv.split_first().map_or((String::new(), &[][..]), |(p, args)| (p.clone(), args));
    // Without our program in it, it has no use for its way to the manager, which the configuration would show.
    let is_ours = |name: &str| matches!(name, "AIRX_DIR" | "AIRX_SOCKET" | "AIRX_TOKEN");
    let env = order.env.iter().filter(|(name, _)| !is_ours(name)).map(|(name, value)| format!("{name}={value}")).collect();
    ContainerCreateBody {
        entrypoint: Some(vec![program]),
        cmd: Some(args.to_vec()),
        env: Some(env),
        ..ContainerCreateBody::default()
    }
}

/// Whether there is no runner in it, and why that is impossible for this task.
fn reduced(order: &LaunchOrder, place: &DockerPlace, image: &ImageFacts, notes: &mut Vec<String>) -> Result<bool, Refusal> {
    let why = match place.settings.runner {
        RunnerMode::None => NO_RUNNER.to_owned(),
        RunnerMode::Auto => match image.foreign() {
            Some(why) => why,
            None => return Ok(false),
        },
    };
    let spec = &order.spec;
    let needs = RunnerNeeds {
        claude: spec.claude,
        accept: spec.gate.is_some(),
        repeat: spec.round.is_some(),
        silence: spec.silence_ms.is_some(),
        artifacts: spec.artifacts.is_some(),
        result_file: spec.result.as_ref().is_some_and(|result| result.file.is_some()),
    };
    if let Some(what) = needs.first() {
        return Err(needs_runner(what, &why));
    }
    notes.push(format!(
        "reduced mode, since {why}: the engine alone tells what became of the command, there are no sub-tasks, results by `airx \
         result` or progress, and the environment is in the container's configuration"
    ));
    Ok(true)
}

fn labels(place: &DockerPlace, side: &Side, record: &Record) -> HashMap<String, String> {
    let own = [(names::TASK, place.task.clone()), (names::ATTEMPT, record.mark.clone())];
    let theirs = place.settings.labels.iter().map(|(name, value)| (name.clone(), value.clone()));
    theirs.chain(own.map(|(name, value)| (name.to_owned(), value))).chain(owned(place, side)).collect()
}

/// Whose something on an engine is.
fn owned(place: &DockerPlace, side: &Side) -> HashMap<String, String> {
    let own = [
        (names::INSTANCE, side.instance.clone()),
        (names::JOB, place.job.clone()),
        (names::HOME, side.home.display().to_string()),
        (names::MACHINE, side.machine.clone()),
    ];
    own.map(|(name, value)| (name.to_owned(), value)).into()
}

fn bind(source: &Path, target: &str, read_only: bool) -> Mount {
    Mount {
        typ: Some(MountType::BIND),
        source: Some(source.display().to_string()),
        target: Some(target.to_owned()),
        read_only: Some(read_only),
        ..Mount::default()
    }
}

fn volume(name: Option<String>, target: &str) -> Mount {
    Mount { typ: Some(MountType::VOLUME), source: name, target: Some(target.to_owned()), ..Mount::default() }
}

/// The job's Claude sessions on a remote engine: found by label, since it outlives the containers.
fn sessions(place: &DockerPlace, side: &Side) -> Mount {
    let options = MountVolumeOptions { labels: Some(owned(place, side)), ..MountVolumeOptions::default() };
    let named = volume(Some(names::claude_volume(&side.instance, &place.job)), CONTAINER_CLAUDE);
    Mount { volume_options: Some(options), ..named }
}

fn mounts(
    order: &LaunchOrder,
    place: &DockerPlace,
    (engine, side): (&EngineFacts, &Side),
    record: &Record,
    copies: bool,
) -> Result<Vec<Mount>, Refusal> {
    let mut mounts = Vec::new();
    match (record.is_reduced, record.is_remote) {
        (true, _) => {}
        // A volume of its own, since an image's own file system may be read-only even for what is copied in.
        (false, true) => {
            mounts.push(volume(None, ROOM));
            mounts.push(remote::mount(&engine.program, side, true));
        }
        (false, false) => {
            mounts.push(bind(&side.program, &format!("{CONTAINER_BIN}/airx"), true));
            mounts.push(bind(&order.dir, CONTAINER_ATTEMPT, false));
            mounts.push(bind(&side.task_socket, CONTAINER_SOCKET, true));
        }
    }
    if copies {
        mounts.push(volume(None, CONTAINER_WORKSPACE));
    } else {
        guard(&place.workspace, "the workspace", &side.guarded)?;
        mounts.push(bind(&place.workspace, CONTAINER_WORKSPACE, false));
    }
    if let Some(config) = &place.claude_config {
        mounts.push(if record.is_remote { sessions(place, side) } else { bind(config, CONTAINER_CLAUDE, false) });
    }
    for mount in &place.settings.mounts {
        let target = mount.target.display().to_string();
        let source = Path::new(&mount.source);
        if source.is_absolute() {
            guard(source, &format!("the mount at {target}"), &side.guarded)?;
            mounts.push(bind(source, &target, mount.read_only));
        } else {
            mounts.push(Mount { read_only: Some(mount.read_only), ..volume(Some(mount.source.clone()), &target) });
        }
    }
    Ok(mounts)
}

fn host_config(
    place: &DockerPlace,
    engine: &EngineFacts,
    side: &Side,
    record: &Record,
    mounts: Vec<Mount>,
    copies: bool,
) -> HostConfig {
    let settings = &place.settings;
    let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let memory = place.resources.memory.map(bytes);
    HostConfig {
        mounts: Some(mounts),
        tmpfs: Some(tmpfs(place, side, record.is_remote, copies)),
        readonly_rootfs: Some(settings.read_only),
        cap_drop: Some(vec!["ALL".to_owned()]),
        cap_add: some(settings.overrides.cap_add.clone()),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        // Without a runner somebody has to hand signals on, which a first process ignores, and to reap.
        init: Some(settings.init || record.is_reduced),
        memory,
        // Swapping would only make the limit slow.
        memory_swap: memory,
        nano_cpus: place.resources.cpus.map(nano),
        pids_limit: Some(i64::from(place.resources.pids.unwrap_or(DEFAULT_PIDS))),
        network_mode: settings.network.clone(),
        extra_hosts: some(settings.extra_hosts.clone()),
        dns: some(settings.overrides.dns.clone()),
        devices: some(settings.overrides.devices.iter().map(|device| mapping(device)).collect()),
        runtime: settings.overrides.runtime.clone(),
        shm_size: settings.overrides.shm_size.map(bytes),
        ulimits: some(settings.overrides.ulimits.iter().map(|(name, (soft, hard))| limit(name, *soft, *hard)).collect()),
        // Files are handed over by number: the same numbers must mean the same users outside.
        userns_mode: engine.remaps_users.then(|| "host".to_owned()),
        log_config: Some(log_config(place, engine, record)),
        restart_policy: Some(RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None }),
        auto_remove: Some(false),
        ..HostConfig::default()
    }
}

/// The scratch directory, what the pool says, and empty places over what must not be seen.
fn tmpfs(place: &DockerPlace, side: &Side, is_remote: bool, copies: bool) -> HashMap<String, String> {
    let options = |size: Option<u64>| {
        let size = size.map_or_else(String::new, |size| format!(",size={size}"));
        format!("rw,exec,nosuid,nodev,mode=1777{size}")
    };
    let mut all: HashMap<String, String> =
        place.settings.tmpfs.iter().map(|(target, size)| (target.clone(), options(*size))).collect();
    all.entry(CONTAINER_SCRATCH.to_owned()).or_insert_with(|| options(None));
    let workspace = (place.workspace.as_path(), Path::new(CONTAINER_WORKSPACE));
    let mounts = place.settings.mounts.iter().map(|mount| (Path::new(&mount.source), mount.target.as_path()));
    // Of another machine's directories we know nothing.
    let mounts = mounts.filter(|(source, _)| !is_remote && source.is_absolute());
    for (source, target) in mounts.chain((!copies).then_some(workspace)) {
        for hidden in side.guarded.hidden_in(source) {
            let target = target.join(hidden).display().to_string();
            all.insert(target, "ro,nosuid,nodev,noexec,size=4k,mode=0555".to_owned());
        }
    }
    all
}

/// Where the output of a container goes by the engine's own means. With the runner nothing is written there.
fn log_config(place: &DockerPlace, engine: &EngineFacts, record: &Record) -> HostConfigLogConfig {
    if !record.is_reduced {
        return HostConfigLogConfig { typ: Some("none".to_owned()), config: None };
    }
    let driver = place.settings.log_driver.clone();
    match driver {
        Some(driver) => HostConfigLogConfig { typ: Some(driver), config: None },
        None if engine.is_podman => HostConfigLogConfig { typ: Some("json-file".to_owned()), config: None },
        // Keeps every byte as it was written, which json-file does not; and all of it, until it was read.
        None => {
            let options = [("max-size", "1000g"), ("max-file", "1"), ("compress", "false")];
            let options = options.map(|(name, value)| (name.to_owned(), value.to_owned()));
            HostConfigLogConfig { typ: Some("local".to_owned()), config: Some(HashMap::from(options)) }
        }
    }
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

#[expect(clippy::cast_possible_truncation, reason = "`as` saturates, and the configuration bounds the number")]
fn nano(cpus: f64) -> i64 {
    (cpus * 1e9) as i64
}

fn mapping(device: &str) -> DeviceMapping {
    let mut parts = device.splitn(3, ':');
    let source = parts.next().map(str::to_owned);
    DeviceMapping {
        path_in_container: parts.next().map(str::to_owned).or_else(|| source.clone()),
        cgroup_permissions: Some(parts.next().unwrap_or("rwm").to_owned()),
        path_on_host: source,
    }
}

fn limit(name: &str, soft: i64, hard: i64) -> ResourcesUlimits {
    ResourcesUlimits { name: Some(name.to_owned()), soft: Some(soft), hard: Some(hard) }
}

#[cfg(test)]
mod tests;
