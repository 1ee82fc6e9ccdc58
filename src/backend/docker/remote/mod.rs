//! What goes to and comes from a container by the engine's archive calls, where nothing can be mounted.
//!
//! Before the start the attempt's directory and the workspace are copied in, after the end both are copied out, and the
//! outcome is told only then. What is copied out is the truth; what [`super::relay`] brings meanwhile lets people see it
//! earlier. The workspace is kept beside the attempt's directory as an archive until all of it is in its place, so that
//! an engine that goes away leaves no half of it. Tasks that share a workspace see each other's results only when one
//! begins after the other has ended.

mod attempt;
mod pack;
mod pipe;
mod program;
mod tarball;
mod user;
mod workspace;

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bollard::Docker;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{CreateContainerOptions, RemoveContainerOptions};
use futures_util::TryFutureExt;
use tar::Builder;

pub use crate::backend::attempt::arrival::{FILES, Room, is_item};
pub use pipe::COPIES;
pub use program::{Program, ensure, mount};
pub use user::user_in_image;

use self::pack::{Owner, content, directory, file, tree};
use self::pipe::{Pieces, Trouble, receive, send};
use super::custody::Custody;
use super::engine::Engine;
use super::fault::{Fault, Stage};
use super::launch::Obstacle;
use super::names;
use super::plan::{Plan, ROOM};
use crate::manager::ports::{CONTAINER_ATTEMPT, CONTAINER_WORKSPACE, LaunchOrder};
use crate::model::attempt::Progress;
use crate::model::report::Report;
use crate::model::time::Utc;
use crate::os;

/// Uploads that an engine which is there breaks off before that is a reason.
const UPLOADS: u32 = 3;
/// The status of what is larger than is taken, as engines would say it.
pub const TOO_MUCH: u16 = 413;
/// And of what this side has no room for, now.
pub const NO_ROOM: u16 = 507;
/// Bytes of an attempt's directory beside its output.
const BESIDES: u64 = 256 << 20;
/// Room that the archive of a workspace leaves on this side's disk, and how much of it comes between two looks. A file that is
/// almost nothing where it is, but holes, is as large as it says in an archive.
const RESERVE: u64 = 512 << 20;
const LOOK: u64 = 64 << 20;

/// Puts the attempt's directory into a container that shares nothing with us.
///
/// # Errors
/// What the engine or the system says.
pub async fn upload(
    engine: &Engine,
    custody: &Custody,
    docker: &Docker,
    order: &LaunchOrder,
    plan: &Plan,
    owner: Owner,
) -> Result<(), Obstacle> {
    let (dir, has_config) = (order.dir.clone(), plan.record.claude);
    let pack = move |tar: &mut Builder<Pieces>| -> io::Result<()> {
        directory(tar, Path::new("attempt"), owner, 0o700)?;
        for part in ["outbox", "inbox"] {
            directory(tar, &Path::new("attempt").join(part), owner, 0o700)?;
        }
        for part in ["spec.json", "prompt", "lock"] {
            if dir.join(part).is_file() {
                file(tar, &Path::new("attempt").join(part), &dir.join(part), owner, Some(0o600))?;
            }
        }
        if has_config {
            directory(tar, Path::new("claude"), owner, 0o700)?;
        }
        Ok(())
    };
    put_in(engine, custody, docker, &custody.address(), ROOM, pack).await
}

/// Puts the task's workspace, or an empty one, into a container.
///
/// By way of the directory that holds it, since engines leave the owner of the one that is uploaded to as it is. Where that
/// one is read-only, another container that has the same volumes, and is never started, is the way in.
///
/// # Errors
/// What the engine or the system says.
pub async fn fill_workspace(
    engine: &Engine,
    custody: &Custody,
    docker: &Docker,
    plan: &Plan,
    hidden: Vec<PathBuf>,
    owner: Owner,
) -> Result<(), Obstacle> {
    let (source, name) = (plan.record.workspace.clone(), Path::new(CONTAINER_WORKSPACE.trim_start_matches('/')));
    let pack = move |tar: &mut Builder<Pieces>| match &source {
        Some(source) => tree(tar, source, name, owner, &hidden),
        None => directory(tar, name, owner, 0o755),
    };
    let container = custody.address();
    if plan.body.host_config.as_ref().and_then(|host| host.readonly_rootfs) != Some(true) {
        return put_in(engine, custody, docker, &container, "/", pack).await;
    }
    let helper = format!("{}-fill", custody.name());
    let labels = plan.body.labels.iter().flatten().filter(|(label, _)| *label != names::ATTEMPT);
    let body = ContainerCreateBody {
        image: plan.body.image.clone(),
        entrypoint: Some(vec!["/".to_owned()]),
        labels: Some(labels.map(|(label, value)| (label.clone(), value.clone())).collect()),
        host_config: Some(HostConfig { volumes_from: Some(vec![container]), ..HostConfig::default() }),
        ..ContainerCreateBody::default()
    };
    // One that a manager left that was killed.
    remove(docker, &helper).await;
    let options = CreateContainerOptions { name: Some(helper.clone()), platform: String::new() };
    let made = docker.create_container(Some(options), body).map_err(Fault::from).await;
    made.map_err(Obstacle::at(Stage::Create, plan.body.image.as_deref().unwrap_or_default()))?;
    let filled = put_in(engine, custody, docker, &helper, "/", pack).await;
    remove(docker, &helper).await;
    filled
}

/// Removes a container that was never started, and no volume. Should it stay, the next one of its name finds it.
async fn remove(docker: &Docker, name: &str) {
    let options = RemoveContainerOptions { force: true, ..Default::default() };
    if let Err(error) = docker.remove_container(name, Some(options)).await {
        tracing::debug!(name, "not removed: {error}");
    }
}

/// Uploads, again when it breaks off. Whoever asks for the attempt's end meanwhile need not wait for what is large.
async fn put_in(
    engine: &Engine,
    custody: &Custody,
    docker: &Docker,
    name: &str,
    path: &str,
    pack: impl FnMut(&mut Builder<Pieces>) -> io::Result<()> + Clone + Send + 'static,
) -> Result<(), Obstacle> {
    let mut tries = 1;
    loop {
        if custody.stop.get().is_some() {
            return Err(Obstacle::never("its end was asked for while its files were copied"));
        }
        let tell = |bytes: u64| {
            let progress = Progress { done: bytes >> 20, total: None, text: Some("MiB copied to the engine".to_owned()) };
            engine.tell(Report::Launching { attempt: custody.attempt, progress });
        };
        let sent = tokio::select! {
            sent = send(docker, name, path, tell, pack.clone()) => sent,
            () = custody.asked.notified() => continue,
        };
        match sent {
            Ok(()) => return Ok(()),
            Err(Trouble::Here(error)) => {
                return Err(Obstacle::never(format!("what the container needs could not be read: {error}")));
            }
            Err(Trouble::Engine(fault @ Fault::Refused { .. })) => return Err(Obstacle::at(Stage::Upload, name)(fault)),
            // One that is there and takes no more has a reason that it could not say, such as a full disk.
            Err(Trouble::Engine(fault)) if tries == UPLOADS && engine.answers().await => {
                let why =
                    format!("the engine broke off the copying of files {UPLOADS} times: {fault}; look at its log and its disk");
                return Err(Obstacle::Refused { why, transient: true });
            }
            Err(Trouble::Engine(fault)) if !engine.answers().await => return Err(Obstacle::Gone(fault)),
            Err(Trouble::Engine(_)) => tries += 1,
        }
    }
}

/// Puts one file into the inbox of a container. Its readers take what is not whole yet for none.
///
/// # Errors
/// What the engine says.
pub async fn put(docker: &Docker, container: &str, name: String, bytes: Vec<u8>, owner: Owner) -> Result<(), Fault> {
    let pack = move |tar: &mut Builder<Pieces>| content(tar, &Path::new("inbox").join(&name), owner, &bytes);
    send(docker, container, CONTAINER_ATTEMPT, |_| (), pack).await.map_err(fault)
}

fn fault(trouble: Trouble) -> Fault {
    match trouble {
        Trouble::Engine(fault) => fault,
        Trouble::Here(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            Fault::Refused { status: TOO_MUCH, message: "it is more than is taken".to_owned() }
        }
        Trouble::Here(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
            Fault::Refused { status: NO_ROOM, message: error.to_string() }
        }
        Trouble::Here(error) => Fault::Refused { status: 0, message: error.to_string() },
    }
}

/// Copies to the end, as long as `has_room` says so between two parts.
fn copy_with_room(from: &mut impl Read, to: &mut impl io::Write, part: u64, has_room: impl Fn() -> bool) -> io::Result<()> {
    while io::copy(&mut from.take(part), to)? == part {
        if !has_room() {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it would leave too little room on the disk"));
        }
    }
    Ok(())
}

/// Takes what the attempt's directory in the container holds at `part` of it (all of it: an empty path) into `dir`. Each file
/// is there as a whole or not at all. Of output there are at most `limit` bytes.
///
/// # Errors
/// What the engine says; nothing there is no error.
pub async fn fetch(docker: &Docker, name: &str, dir: &Path, part: &str, limit: u64) -> Result<(), Fault> {
    let from = Path::new(CONTAINER_ATTEMPT).join(part).display().to_string();
    let dir = dir.to_owned();
    let taken = receive(docker, name, &from, limit.saturating_add(BESIDES), move |archive| attempt::take(archive, &dir)).await;
    taken.map(drop).map_err(fault)
}

/// The archive of a workspace, on this side.
#[derive(Debug)]
pub struct Spool(PathBuf);

impl Spool {
    /// That of the attempt with this directory: one name, so that what a manager left that was killed is written over.
    pub fn of(dir: &Path) -> Spool {
        let mut place = dir.as_os_str().to_owned();
        place.push(".workspace.tar");
        Spool(place.into())
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Downloads it. Whether there was one.
    ///
    /// # Errors
    /// What the engine says, or the system.
    pub async fn fill(&self, docker: &Docker, name: &str) -> Result<bool, Fault> {
        let place = self.0.clone();
        let keep = move |mut archive: pipe::Arriving| -> io::Result<()> {
            use std::os::unix::fs::OpenOptionsExt;
            let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&place)?;
            copy_with_room(&mut archive, &mut file, LOOK, || os::free_bytes(&place).is_ok_and(|free| free > RESERVE))
        };
        match receive(docker, name, CONTAINER_WORKSPACE, u64::MAX, keep).await {
            Ok(found) => Ok(found.is_some()),
            Err(Trouble::Engine(fault)) => Err(fault),
            Err(Trouble::Here(error)) => {
                let status = if error.kind() == io::ErrorKind::FileTooLarge { TOO_MUCH } else { 0 };
                Err(Fault::Refused { status, message: format!("{} cannot be written: {error}", self.0.display()) })
            }
        }
    }

    /// Puts what it holds into the workspace; remarks on what could not be put there.
    ///
    /// # Errors
    /// Why it could not go on.
    pub async fn unpack(&self, workspace: &Path, hidden: Vec<PathBuf>, copied_at: Option<Utc>) -> io::Result<Vec<String>> {
        let (place, workspace) = (self.0.clone(), workspace.to_owned());
        let turn = pipe::turn().await;
        let unpacking = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let archive = io::BufReader::with_capacity(1 << 20, File::open(place)?);
            workspace::take(archive, &workspace, &hidden, copied_at)
        });
        unpacking.await.unwrap_or_else(|_| Err(io::Error::other("the thread that unpacked ended early")))
    }

    /// Takes it away.
    pub fn remove(&self) {
        if let Err(error) = fs::remove_file(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!("{} cannot be removed: {error}", self.0.display());
        }
    }
}

#[cfg(test)]
mod tests;
