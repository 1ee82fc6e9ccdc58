//! Our own program on a remote engine: one volume for each build of it, mounted by all containers and written to by none.
//!
//! It is filled by a container that is never started, whose name lets only one do it at a time, whichever home it is of. A
//! file that comes last says that it is whole.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::Docker;
use bollard::models::{ContainerCreateBody, HostConfig, Mount, MountType, MountVolumeOptions};
use bollard::query_parameters::{CreateContainerOptions, ListVolumesOptions, RemoveVolumeOptions};
use futures_util::TryFutureExt;
use sha2::{Digest, Sha256};
use tar::Builder;
use tokio::time::Instant;

use super::pack::{content, file};
use super::pipe::Pieces;
use super::{put_in, remove};
use crate::backend::docker::custody::Custody;
use crate::backend::docker::engine::Engine;
use crate::backend::docker::fault::{Fault, Stage};
use crate::backend::docker::launch::Obstacle;
use crate::backend::docker::names;
use crate::backend::docker::plan::Side;
use crate::manager::ports::CONTAINER_BIN;

/// Last of what a volume is filled with.
const WHOLE: &str = ".whole";
/// Bytes that are summed up at once.
const PIECE: usize = 256 << 10;
/// Between two looks at a volume that somebody else fills.
const PAUSE: Duration = Duration::from_millis(200);
/// So long somebody else's filling is waited for; then it is taken for one that was given up.
const PATIENCE: Duration = Duration::from_secs(600);

/// What is known of our program.
#[derive(Default)]
pub struct Program {
    digest: RefCell<Option<String>>,
    filling: tokio::sync::Mutex<()>,
}

impl Program {
    /// The volume for this build.
    ///
    /// # Errors
    /// When our program cannot be read.
    pub async fn volume(&self, program: &Path) -> io::Result<String> {
        if let Some(digest) = &*self.digest.borrow() {
            return Ok(name_of(digest));
        }
        let program = program.to_owned();
        let digest = tokio::task::spawn_blocking(move || -> io::Result<String> {
            let (mut file, mut sum, mut bytes) = (File::open(program)?, Sha256::new(), vec![0; PIECE]);
            loop {
                match file.read(&mut bytes)? {
                    0 => break,
                    count => sum.update(&bytes[..count]),
                }
            }
            Ok(sum.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect())
        });
        let digest = digest.await.map_err(io::Error::other)??;
        *self.digest.borrow_mut() = Some(digest.clone());
        Ok(name_of(&digest))
    }
}

fn name_of(digest: &str) -> String {
    format!("airx-program-{digest}")
}

/// The mount of a volume with our program.
pub fn mount(volume: &str, side: &Side, read_only: bool) -> Mount {
    let labels = [
        (names::PROGRAM, volume.to_owned()),
        (names::INSTANCE, side.instance.clone()),
        (names::HOME, side.home.display().to_string()),
        (names::MACHINE, side.machine.clone()),
    ];
    Mount {
        typ: Some(MountType::VOLUME),
        source: Some(volume.to_owned()),
        target: Some(CONTAINER_BIN.to_owned()),
        read_only: Some(read_only),
        volume_options: Some(MountVolumeOptions {
            no_copy: Some(true),
            labels: Some(labels.map(|(name, value)| (name.to_owned(), value)).into()),
            ..MountVolumeOptions::default()
        }),
        ..Mount::default()
    }
}

/// Sees to it that the volume, which the attempt's container has already (so that nobody removes it), holds our program.
///
/// # Errors
/// What the engine or the system says.
pub async fn ensure(engine: &Engine, custody: &Custody, docker: &Docker, image: &str, volume: &str) -> Result<(), Obstacle> {
    if is_whole(docker, &custody.address()).await? {
        return Ok(());
    }
    let _one = engine.program.filling.lock().await;
    let helper = format!("{volume}-fill");
    let mut other: Option<(String, Instant)> = None;
    loop {
        if custody.stop.get().is_some() {
            return Err(Obstacle::never("its end was asked for while airx was copied to the engine"));
        }
        if is_whole(docker, &custody.address()).await? {
            return Ok(());
        }
        let body = body(image, volume, &engine.parts.side);
        let options = CreateContainerOptions { name: Some(helper.clone()), platform: String::new() };
        match docker.create_container(Some(options), body).map_err(Fault::from).await {
            Ok(_) => break,
            Err(fault) if fault.is_conflict() => {}
            Err(fault) => return Err(Obstacle::at(Stage::Create, image)(fault)),
        }
        let Some((id, instance)) = whose(docker, &helper).await? else { continue };
        let since = other.take().filter(|(known, _)| *known == id).map_or_else(Instant::now, |(_, since)| since);
        // Of this home only one manager lives, and it fills one at a time: what is there was left.
        if instance == engine.parts.side.instance || since.elapsed() > PATIENCE {
            remove(docker, &id).await;
        }
        other = Some((id, since));
        tokio::time::sleep(PAUSE).await;
    }
    let program = engine.parts.side.program.clone();
    let filled = fill(engine, custody, docker, &helper, program).await;
    remove(docker, &helper).await;
    filled?;
    remove_others(docker, &engine.parts.side.instance, volume).await;
    Ok(())
}

async fn fill(engine: &Engine, custody: &Custody, docker: &Docker, helper: &str, program: PathBuf) -> Result<(), Obstacle> {
    let pack = move |tar: &mut Builder<Pieces>| -> io::Result<()> {
        file(tar, Path::new("airx"), &program, (0, 0), Some(0o755))?;
        content(tar, Path::new(WHOLE), (0, 0), b"")
    };
    put_in(engine, custody, docker, helper, CONTAINER_BIN, pack).await
}

async fn is_whole(docker: &Docker, container: &str) -> Result<bool, Obstacle> {
    let options = bollard::query_parameters::ContainerArchiveInfoOptions { path: format!("{CONTAINER_BIN}/{WHOLE}") };
    match docker.get_container_archive_info(container, Some(options)).map_err(Fault::from).await {
        Ok(_) => Ok(true),
        Err(fault) if fault.is_missing() => Ok(false),
        Err(fault) => Err(Obstacle::at(Stage::Upload, container)(fault)),
    }
}

fn body(image: &str, volume: &str, side: &Side) -> ContainerCreateBody {
    let labels = [(names::INSTANCE, side.instance.clone()), (names::HOME, side.home.display().to_string())];
    ContainerCreateBody {
        image: Some(image.to_owned()),
        entrypoint: Some(vec![format!("{CONTAINER_BIN}/airx")]),
        labels: Some(labels.map(|(name, value)| (name.to_owned(), value)).into()),
        host_config: Some(HostConfig { mounts: Some(vec![mount(volume, side, false)]), ..HostConfig::default() }),
        ..ContainerCreateBody::default()
    }
}

/// The id of a container, and the home it is of.
async fn whose(docker: &Docker, name: &str) -> Result<Option<(String, String)>, Obstacle> {
    match docker.inspect_container(name, None).map_err(Fault::from).await {
        Ok(found) => {
            let mut labels = found.config.and_then(|config| config.labels).unwrap_or_default();
            Ok(Some((found.id.unwrap_or_default(), labels.remove(names::INSTANCE).unwrap_or_default())))
        }
        Err(fault) if fault.is_missing() => Ok(None),
        Err(fault) => Err(Obstacle::at(Stage::Create, name)(fault)),
    }
}

/// Volumes of this home's earlier builds, which nothing uses any more. The engine refuses those that something does.
async fn remove_others(docker: &Docker, instance: &str, volume: &str) {
    let labels = vec![names::PROGRAM.to_owned(), format!("{}={instance}", names::INSTANCE)];
    let filters = HashMap::from([("label".to_owned(), labels), ("dangling".to_owned(), vec!["true".to_owned()])]);
    let Ok(found) = docker.list_volumes(Some(ListVolumesOptions { filters: Some(filters) })).await else { return };
    for old in found.volumes.unwrap_or_default().into_iter().filter(|found| found.name != volume) {
        if let Err(error) = docker.remove_volume(&old.name, None::<RemoveVolumeOptions>).await {
            tracing::debug!(old.name, "not removed: {error}");
        }
    }
}
