//! An attempt in a container without our runner: its output, its limits, and what the engine knows beside its end.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use bollard::query_parameters::EventsOptions;
use futures_util::StreamExt;
use tokio::time::Instant;

use super::custody::Custody;
use super::ending::{EngineEnd, init_failure};
use super::engine::Engine;
use super::fault::Fault;
use super::logs;
use super::watch::{PAUSE, TRIES, engine_time, instant, stop};
use crate::backend::attempt::directory;
use crate::backend::attempt::keeper::{Keeper, Origin};
use crate::model::attempt::StopCause;
use crate::model::time::Utc;
use crate::os;

/// Keeps the output, and enforces the limits that the runner would.
pub async fn follow(engine: &Engine, custody: &Custody) -> ((u64, u64), Option<StopCause>) {
    let (limit, timeout, grace) = {
        let record = custody.record.borrow();
        (record.output_limit, record.timeout_ms, Duration::from_millis(record.grace_ms))
    };
    let mut keeper = loop {
        match Keeper::open(&custody.dir, limit, Origin::Engine) {
            Ok(keeper) => break keeper,
            Err(error) => {
                custody.note(format!("its output could not be kept for a while: {error}"));
                tokio::time::sleep(PAUSE).await;
            }
        }
    };
    let started = started_at(engine, custody).await;
    let elapsed = started.map_or(0, |at| u64::try_from(os::now().utc.0 - at.0).unwrap_or(0));
    let mut deadline = timeout.map(|ms| Instant::now() + Duration::from_millis(ms.saturating_sub(elapsed)));
    let mut stopped = None;
    let reading = async {
        while !custody.is_ended.get() && !keeper.is_cut() {
            engine.until_back().await;
            let Ok(docker) = engine.client() else { continue };
            let Some(id) = custody.id() else { break };
            if let Err(fault) = logs::read(&docker, &id, &mut keeper, true).await {
                engine.doubt(&fault);
            }
            // The stream ends with the container, or with the engine.
            tokio::select! { () = tokio::time::sleep(PAUSE) => {}, () = custody.ended.notified() => custody.end() }
        }
        keeper.is_cut()
    };
    tokio::pin!(reading);
    let (mut insist, mut heard) = (false, false);
    let mut reads = true;
    while !custody.is_ended.get() {
        tokio::select! {
            is_cut = &mut reading, if reads => {
                reads = false;
                if is_cut {
                    (stopped, insist) = (stopped.or(Some(StopCause::OutputLimit)), true);
                    heard |= stop(engine, custody, false).await;
                    deadline = Some(Instant::now() + grace);
                }
            }
            () = custody.until_ended() => {}
            () = custody.asked.notified() => {
                let kill = custody.stop.get() == Some(true);
                stopped = stopped.or(Some(StopCause::Asked { kill }));
                // It is asked for at every comparison with reality, until it has ended: the command is told once, and its
                // grace does not begin again.
                if kill || !heard {
                    heard |= stop(engine, custody, kill).await;
                }
                let until = Instant::now() + if kill { PAUSE } else { grace };
                deadline = Some(deadline.filter(|_| insist).map_or(until, |before| before.min(until)));
                insist = true;
            }
            () = at(deadline) => {
                stopped = stopped.or(Some(StopCause::Timeout));
                heard |= stop(engine, custody, insist).await;
                (insist, deadline) = (true, Some(Instant::now() + grace.max(PAUSE)));
            }
        }
    }
    let (kept, is_cut) = finish_reading(engine, custody, limit).await;
    // It ended by itself before it could be stopped: what is missing is missing all the same.
    (kept, stopped.or(is_cut.then_some(StopCause::OutputLimit)))
}

/// The tail: what a followed stream left out when the container ended.
async fn finish_reading(engine: &Engine, custody: &Custody, limit: u64) -> ((u64, u64), bool) {
    let told = |keeper: &Keeper| (keeper.kept(), keeper.is_cut());
    for _ in 0..TRIES {
        engine.until_back().await;
        let (Ok(docker), Ok(mut keeper)) = (engine.client(), Keeper::open(&custody.dir, limit, Origin::Engine)) else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let read = match custody.id() {
            Some(id) => logs::read(&docker, &id, &mut keeper, false).await,
            None => Err(Fault::Refused { status: 404, message: String::new() }),
        };
        match read {
            Ok(()) => return told(&keeper),
            Err(fault @ Fault::Unreachable(_)) => engine.doubt(&fault),
            Err(fault) if fault.is_missing() => {
                custody.note("its container was removed, and the last of its output with it");
                return told(&keeper);
            }
            Err(fault) => custody.note(format!("its output could not be read to the end: {fault}")),
        }
        tokio::time::sleep(PAUSE).await;
    }
    Keeper::open(&custody.dir, limit, Origin::Engine).map_or(((0, 0), false), |keeper| told(&keeper))
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

async fn started_at(engine: &Engine, custody: &Custody) -> Option<Utc> {
    let found = engine.client().ok()?.inspect_container(&custody.id()?, None).await.ok()?;
    found.state.and_then(|state| instant(state.started_at.as_deref()))
}

/// Why the engine's init could not start the command. That is no output of the task's: it is taken out of it.
pub fn said_by_init(dir: &Path, code: i32) -> Option<String> {
    let err = directory::read(&dir.join("err"), 4096).ok()?;
    let why = init_failure(code, &err)?;
    for name in ["err", "index"] {
        if let Err(error) = directory::write(&dir.join(name), b"") {
            tracing::warn!("{}: {error}", dir.join(name).display());
        }
    }
    Some(why)
}

/// Whether something else than this manager has told the container to end. An engine that was killed, and
/// keeps no containers alive, does that when it comes back; it knows of little more than its last events.
pub async fn ended_by_others(engine: &Engine, custody: &Custody, end: Option<&EngineEnd>) -> Others {
    kill_event(engine, custody, end).await.unwrap_or(Others::Nothing)
}

async fn kill_event(engine: &Engine, custody: &Custody, end: Option<&EngineEnd>) -> Option<Others> {
    let (id, started, ended) = (custody.id()?, end?.started?, end?.ended?);
    let docker = engine.client().ok()?;
    let filters = [("container", id), ("event", "kill".to_owned())].map(|(key, value)| (key.to_owned(), vec![value]));
    let options = EventsOptions {
        since: Some(engine_time(started)),
        until: Some(engine_time(os::now().utc)),
        filters: Some(HashMap::from(filters)),
    };
    let mut events = Box::pin(docker.events(Some(options)));
    // An engine whose clock is behind would wait for that time.
    let told = tokio::time::timeout(PAUSE * 2, events.next()).await.ok()??.ok()?;
    let timeout = custody.record.borrow().timeout_ms.and_then(|ms| i64::try_from(ms).ok());
    if timeout.is_some_and(|ms| ended.0 - started.0 >= ms) {
        // The manager before this one did.
        return Some(Others::Late);
    }
    let signal = told.actor.and_then(|actor| actor.attributes).and_then(|mut labels| labels.remove("signal"));
    let signal = signal.unwrap_or_else(|| "9".to_owned());
    custody.note(format!(
        "its container was sent signal {signal}, not by airx: by somebody else, or by the engine when it was started anew"
    ));
    Some(if signal == "9" { Others::Killed } else { Others::Asked })
}

/// What others have done to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// As far as is known.
    Nothing,
    /// It was asked to end.
    Asked,
    /// It was ended.
    Killed,
    /// It was asked to end by the manager before this one, when its time was over.
    Late,
}
