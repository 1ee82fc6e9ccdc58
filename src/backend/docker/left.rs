//! What a container that has ended left, brought to this side before its outcome is told.
//!
//! An engine that is gone is waited for, however long, and so is room on this side's disk for what the attempt's directory
//! holds: without it a task that has succeeded would count as lost, and run again. What else cannot be kept here is tried
//! for a while; then the outcome is told with a remark that says where it is.

use std::io;
use std::path::Path;
use std::time::Duration;

use bollard::query_parameters::RenameContainerOptions;
use futures_util::TryFutureExt;

use super::custody::Custody;
use super::engine::Engine;
use super::fault::Fault;
use super::names;
use super::remote::{self, Spool};
use crate::model::artifact::DIRECTORY;

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(500);
/// The same while this side's disk is full.
const NO_ROOM_PAUSE: Duration = Duration::from_secs(5);
/// Tries to copy what the engine gives and this side cannot keep, or the other way round.
const TRIES: u32 = 10;

/// Answers that break off though the engine is there, before that counts as an answer.
const BROKEN: u32 = 20;

/// Asks the engine, whenever it is there, until it has an answer: its refusals are asked about again, a few times.
async fn asked<T>(engine: &Engine, ask: impl AsyncFn(bollard::Docker) -> Result<T, Fault>) -> Result<T, Fault> {
    let (mut tries, mut broken) = (1, 0);
    loop {
        engine.until_back().await;
        let Ok(docker) = engine.client() else { continue };
        match ask(docker).await {
            Err(fault @ Fault::Unreachable(_)) => {
                // An engine that answers, but not this, will not at another time either.
                broken += u32::from(engine.answers().await);
                if broken > BROKEN {
                    return Err(fault);
                }
                engine.doubt(&fault);
            }
            Err(Fault::Refused { status: remote::NO_ROOM, message }) => {
                tracing::warn!("what an attempt left cannot be copied here yet: {message}");
                tokio::time::sleep(NO_ROOM_PAUSE).await;
            }
            Err(Fault::Refused { status, .. }) if status != remote::TOO_MUCH && tries < TRIES => tries += 1,
            answer => return answer,
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Takes the attempt's directory from a remote engine.
pub async fn fetch(engine: &Engine, custody: &Custody) {
    if fetch_part(engine, custody, "").await.is_ok() {
        return;
    }
    // The task can put there what it likes: what is ours is taken one by one.
    for part in remote::FILES.iter().copied().chain(["outbox", DIRECTORY]) {
        if let Err(fault) = fetch_part(engine, custody, part).await {
            custody.note(format!("{part}, which it left on the engine, could not be copied: {fault}"));
        }
    }
}

async fn fetch_part(engine: &Engine, custody: &Custody, part: &str) -> Result<(), Fault> {
    let (limit, name) = (custody.record.borrow().most_bytes(), custody.address());
    asked(engine, async |docker| remote::fetch(&docker, &name, &custody.dir, part, limit).await).await
}

/// Takes the workspace back. Files that the task removed stay on this side.
pub async fn fetch_workspace(engine: &Engine, custody: &Custody, workspace: &Path) {
    let (spool, name) = (Spool::of(&custody.dir), custody.address());
    let hidden = engine.parts.side.guarded.hidden_in(workspace);
    let copied_at = custody.record.borrow().copied_at;
    let mut tries = 1;
    loop {
        match asked(engine, async |docker| spool.fill(&docker, &name).await).await {
            Ok(true) => {}
            Ok(false) => {
                spool.remove();
                custody.note("the workspace could not be copied back: its container is gone");
                return;
            }
            Err(fault) => {
                spool.remove();
                set_aside(engine, custody, &fault).await;
                return;
            }
        }
        match spool.unpack(workspace, hidden.clone(), copied_at).await {
            Ok(left) => {
                if left.is_empty() {
                    spool.remove();
                } else {
                    let place = spool.path().display();
                    left.into_iter().for_each(|left| custody.note(format!("not copied back, but in {place}: {left}")));
                }
                return;
            }
            // What the engine gave was no whole archive.
            Err(error) if is_damaged(&error) && tries < TRIES => {}
            Err(error) if tries == TRIES => {
                let place = spool.path().display();
                custody.note(format!("the workspace could not be copied back: {error}; all of it is in {place}"));
                return;
            }
            Err(error) => tracing::warn!(name, "the workspace cannot be copied back yet: {error}"),
        }
        tries += 1;
        tokio::time::sleep(PAUSE).await;
    }
}

fn is_damaged(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData)
}

/// Gives the container a name by which it is no attempt's any more, so that it stays, and notes where what it holds is.
async fn set_aside(engine: &Engine, custody: &Custody, why: &Fault) {
    let (left, name) = (names::left(&custody.record.borrow().mark), custody.address());
    let rename = async |docker: bollard::Docker| {
        let options = RenameContainerOptions { name: left.clone() };
        docker.rename_container(&name, options).map_err(Fault::from).await
    };
    let place = match asked(engine, rename).await {
        Ok(()) => {
            custody.is_kept.set(true);
            format!("in the container {left} of the engine: `docker cp {left}:/workspace/. DIRECTORY`, then remove it")
        }
        Err(fault) => format!("in its container, which could not be set aside and will be removed: {fault}"),
    };
    let note = format!("the workspace could not be copied back: {why}; it is still {place}");
    custody.note(note.clone());
    // For a manager that comes before this is told, and finds no container any more.
    let mut record = custody.record.borrow_mut();
    record.workspace = None;
    record.notes.push(note);
    if let Err(error) = record.write(&custody.dir) {
        tracing::warn!(name, "where its workspace is is not written down: {error}");
    }
}
