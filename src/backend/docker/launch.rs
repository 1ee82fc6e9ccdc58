//! From an order to a container that runs.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, lchown};
use std::path::Path;

use bollard::Docker;
use bollard::models::ContainerStateStatusEnum as Status;
use bollard::query_parameters::{AttachContainerOptions, CreateContainerOptions, RemoveContainerOptions, StartContainerOptions};
use futures_util::TryFutureExt;
use tokio::io::AsyncWriteExt;

use super::custody::Custody;
use super::engine::Engine;
use super::fault::{Fault, Stage, why_not};
use super::owner::{self, ANY_GROUP};
use super::plan::{Plan, plan};
use super::pull::image;
use super::record::Record;
use super::{logs, names, remote};
use crate::backend::attempt::directory;
use crate::manager::ports::{DockerPlace, LaunchOrder};
use crate::model::attempt::{MAX_ENVIRONMENT, environment_message};
use crate::os;

/// Tries to make a container whose name is being let go of by another that is removed.
const CREATE_TRIES: u32 = 50;
/// Between two of them.
const CREATE_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// Longest wait until all of an environment is taken: its reader gives up sooner.
const HAND_OVER: std::time::Duration = std::time::Duration::from_secs(60);

/// Why an attempt was not launched.
#[derive(Debug, PartialEq)]
pub enum Obstacle {
    /// The engine is gone, or was for a moment: nothing is known of the attempt, and it is asked for again.
    Gone(Fault),
    /// It cannot be launched.
    Refused {
        /// Why, and what to do.
        why: String,
        /// Whether it may work later.
        transient: bool,
    },
}

impl Obstacle {
    /// One that only a person takes away.
    pub fn never(why: impl Into<String>) -> Obstacle {
        Obstacle::Refused { why: why.into(), transient: false }
    }

    /// What a call of the engine led to.
    pub fn at(stage: Stage, image: &str) -> impl Fn(Fault) -> Obstacle {
        let image = image.to_owned();
        move |fault| match fault {
            Fault::Unreachable(_) => Obstacle::Gone(fault),
            Fault::Refused { status, message } => {
                let (why, transient) = why_not(stage, &image, status, &message);
                Obstacle::Refused { why, transient }
            }
        }
    }
}

/// What there is after a launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Launched {
    /// The container runs.
    Runs,
    /// It was there already, and has ended.
    HasEnded,
}

/// Launches the attempt, once: a container that is there is adopted.
///
/// # Errors
/// Why there is none.
pub async fn launch(engine: &Engine, custody: &Custody, order: &LaunchOrder, place: &DockerPlace) -> Result<Launched, Obstacle> {
    let message = environment_message(&order.env);
    if message.len() as u64 > MAX_ENVIRONMENT {
        let why = "the task's environment is larger than a container can be handed: pass large values in files";
        return Err(Obstacle::never(why));
    }
    engine.until_tried().await;
    let docker = engine.client().map_err(Obstacle::Gone)?;
    let name = custody.name();
    if let Some(found) = existing(&docker, &name, custody).await? {
        return Ok(found);
    }
    let facts = image(engine, custody, place).await?;
    let mut record = Record::of(order, &engine.parts.name, &engine.parts.url);
    record.copied_at = Some(os::now().utc);
    record.launches += Record::find(&order.dir).ok().flatten().map_or(0, |before| before.launches);
    let mut known = engine.facts();
    if !known.is_local {
        known.program = engine.program.volume(&engine.parts.side.program).await.map_err(|e| directory_fault(order, &e))?;
    }
    let plan = plan(order, place, &known, &facts, &engine.parts.side, record).map_err(Obstacle::never)?;
    prepare(engine, order, place, &plan).map_err(|e| directory_fault(order, &e))?;
    *custody.record.borrow_mut() = plan.record.clone();
    plan.record.notes.iter().for_each(|note| custody.note(note.clone()));
    let image = &place.settings.image;
    let id = create(&docker, &name, &plan, image).await?;
    *custody.container.borrow_mut() = id.clone();
    furnish(engine, custody, &docker, (order, place), (&plan, &known.program)).await?;
    engine.delicate.set(engine.delicate.get() + 1);
    let started = start(&docker, &id, &plan, &message, image).await;
    engine.delicate.set(engine.delicate.get() - 1);
    started?;
    custody.record.borrow_mut().is_started = true;
    // Only for whoever finds the container gone; with a runner its own word says the same.
    if let Err(error) = custody.record.borrow().write(&order.dir) {
        tracing::warn!(name, "that it was started is not written down: {error}");
    }
    Ok(Launched::Runs)
}

/// Sees to it that all the container needs is where its user finds it.
async fn furnish(
    engine: &Engine,
    custody: &Custody,
    docker: &Docker,
    (order, place): (&LaunchOrder, &DockerPlace),
    (plan, program): (&Plan, &str),
) -> Result<(), Obstacle> {
    let owner = match plan.owner {
        Some(owner) => owner,
        None => remote::user_in_image(docker, &custody.address(), plan.body.user.as_deref().unwrap_or_default()).await?,
    };
    custody.record.borrow_mut().owner = Some(owner);
    custody.record.borrow().write(&order.dir).map_err(|e| directory_fault(order, &e))?;
    if plan.record.is_remote && !plan.record.is_reduced {
        remote::ensure(engine, custody, docker, &place.settings.image, program).await?;
        remote::upload(engine, custody, docker, order, plan, owner).await?;
    } else if !plan.record.is_remote
        && !plan.record.is_reduced
        && let Some(outside) = owner::outside(owner, &engine.facts(), engine.parts.side.own()).map_err(Obstacle::never)?
    {
        hand_over(&order.dir, outside)?;
        place.claude_config.as_ref().map_or(Ok(()), |config| hand_over(config, outside))?;
    }
    if let Some(hidden) = plan.copies.clone() {
        remote::fill_workspace(engine, custody, docker, plan, hidden, owner).await?;
    }
    Ok(())
}

/// What there is of it already. One that was made and never started is removed: made anew, it is as this order wants it.
async fn existing(docker: &Docker, name: &str, custody: &Custody) -> Result<Option<Launched>, Obstacle> {
    let at = Obstacle::at(Stage::Create, "");
    let mut found = match docker.inspect_container(name, None).map_err(Fault::from).await {
        Err(fault) if fault.is_missing() => return Ok(None),
        other => other.map_err(&at)?,
    };
    let labels = found.config.and_then(|config| config.labels).unwrap_or_default();
    if labels.get(names::ATTEMPT) != Some(&custody.record.borrow().mark) {
        return Err(Obstacle::never(format!("the engine has a container {name} that is not airx's: rename or remove it")));
    }
    let id = found.id.take().unwrap_or_default();
    let adopted = match found.state.and_then(|state| state.status) {
        // An engine that was killed just then does not know any more that it has started it.
        Some(Status::CREATED) if logs::has_any(docker, &id).await => Ok(Some(Launched::HasEnded)),
        Some(Status::CREATED) => {
            // Should it start at this very moment, it is not removed.
            let removed = docker.remove_container(name, Some(RemoveContainerOptions { v: true, ..Default::default() }));
            match removed.map_err(Fault::from).await {
                Ok(()) => Ok(None),
                Err(fault) if fault.is_missing() => Ok(None),
                Err(fault) if fault.is_conflict() => Ok(Some(Launched::Runs)),
                Err(fault) => Err(at(fault)),
            }
        }
        Some(Status::EXITED | Status::DEAD) => Ok(Some(Launched::HasEnded)),
        Some(Status::REMOVING) => Ok(None),
        _ => Ok(Some(Launched::Runs)),
    }?;
    if adopted.is_some() {
        *custody.container.borrow_mut() = id;
        custody.is_adopted.set(true);
        match Record::find(&custody.dir) {
            Ok(Some(record)) => *custody.record.borrow_mut() = record,
            Ok(None) => {}
            // What would be taken for granted instead may not be true of it.
            Err(error) => return Err(Obstacle::Gone(Fault::Unreachable(format!("its record cannot be read: {error}")))),
        }
    }
    Ok(adopted)
}

async fn create(docker: &Docker, name: &str, plan: &Plan, image: &str) -> Result<String, Obstacle> {
    let mut tries = 0;
    loop {
        let options = CreateContainerOptions { name: Some(name.to_owned()), platform: String::new() };
        match docker.create_container(Some(options), plan.body.clone()).map_err(Fault::from).await {
            Ok(made) => return Ok(made.id),
            // The name is held by one that is being removed.
            Err(fault) if fault.is_conflict() && tries < CREATE_TRIES => {
                tries += 1;
                tokio::time::sleep(CREATE_PAUSE).await;
            }
            Err(fault) => return Err(Obstacle::at(Stage::Create, image)(fault)),
        }
    }
}

/// Starts it, and hands the task's environment to its first process.
async fn start(docker: &Docker, id: &str, plan: &Plan, message: &[u8], image: &str) -> Result<(), Obstacle> {
    let at = Obstacle::at(Stage::Start, image);
    let begin = docker.start_container(id, None::<StartContainerOptions>).map_err(Fault::from);
    if plan.record.is_reduced {
        return begin.await.map_err(at);
    }
    let options = AttachContainerOptions { stdin: true, stream: true, ..Default::default() };
    let mut attached = docker.attach_container(id, Some(options)).map_err(Fault::from).await.map_err(&at)?;
    begin.await.map_err(&at)?;
    // Should this fail, the first process ends for the lack of it, and the attempt is launched anew.
    let sent = async {
        attached.input.write_all(message).await?;
        attached.input.shutdown().await
    };
    let sent = tokio::time::timeout(HAND_OVER, sent).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    sent.map_err(|error| Obstacle::Gone(Fault::Unreachable(format!("the environment could not be handed over: {error}"))))
}

/// The directory of the attempt and what is mounted beside it.
fn prepare(engine: &Engine, order: &LaunchOrder, place: &DockerPlace, plan: &Plan) -> io::Result<()> {
    directory::fill(order)?;
    plan.record.write(&order.dir)?;
    directory::write(&order.dir.join("lock"), os::boot_id().as_bytes())?;
    for name in ["outbox", "inbox"] {
        private(&order.dir.join(name))?;
    }
    if let Some(config) = place.claude_config.as_ref().filter(|_| !plan.record.is_remote) {
        private(config)?;
    }
    if !plan.record.is_reduced && !engine.parts.side.program.is_file() {
        return Err(io::Error::other(format!("airx's own program is gone from {}", engine.parts.side.program.display())));
    }
    Ok(())
}

fn private(directory: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).recursive(true).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Gives a directory with what lies in it to the container's user.
fn hand_over(dir: &Path, (uid, gid): (u32, u32)) -> Result<(), Obstacle> {
    let gid = Some(gid).filter(|gid| *gid != ANY_GROUP);
    let give = |path: &Path| lchown(path, Some(uid), gid);
    let all = || -> io::Result<()> {
        give(dir)?;
        fs::read_dir(dir)?.flatten().try_for_each(|entry| give(&entry.path()))
    };
    let refused = |error: io::Error| format!("{} cannot be given to user {uid} of the pool: {error}", dir.display());
    all().map_err(|error| Obstacle::never(refused(error)))
}

fn directory_fault(order: &LaunchOrder, error: &io::Error) -> Obstacle {
    let (why, transient) = directory::why_not(&order.dir, error);
    Obstacle::Refused { why, transient }
}
