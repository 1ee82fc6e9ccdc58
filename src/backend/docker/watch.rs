//! An attempt in its container: to its end, and what is left then.

use std::rc::Rc;
use std::time::Duration;

use bollard::models::ContainerState;
use bollard::query_parameters::{KillContainerOptions, RemoveContainerOptions};
use futures_util::TryFutureExt;

use super::custody::{Custody, Stage};
use super::ending::{EngineEnd, Finding, Known, find};
use super::engine::Engine;
use super::fault::Fault;
use super::launch::{Launched, Obstacle, launch};
use super::reduced::{Others, ended_by_others, follow, said_by_init};
use super::{left, relay};
use crate::backend::attempt::{directory, ending};
use crate::manager::ports::{DockerPlace, LaunchOrder};
use crate::model::attempt::StopCause;
use crate::model::exit_file::ExitFile;
use crate::model::report::Report;
use crate::model::time::Utc;
use crate::os;

/// Between two tries to do what the engine refused for the moment.
pub const PAUSE: Duration = Duration::from_millis(500);
/// Tries to read what a container that has ended left, when the engine refuses it.
pub const TRIES: u32 = 10;
/// Launches of one attempt whose task never arrived, before that is told as its end.
const LAUNCHES: u32 = 5;
/// Tries to remove a container; the next comparison with reality finds one that is left.
const REMOVALS: u32 = 20;

/// Launches an attempt and sees it to its end.
pub async fn run(engine: Rc<Engine>, custody: Rc<Custody>, order: LaunchOrder, place: DockerPlace) {
    let attempt = custody.attempt;
    match launch(&engine, &custody, &order, &place).await {
        Ok(found) => {
            if found == Launched::HasEnded {
                custody.end();
            }
            custody.stage.set(Stage::Running);
            // One that was found may still lack its task.
            if !custody.is_adopted.get() || custody.has_task() {
                // Should its end have been asked for meanwhile, that is said again now.
                engine.tell(Report::Started { attempt });
            }
            see_out(engine, custody).await;
        }
        Err(Obstacle::Gone(fault)) => {
            // Nothing is known: the manager asks again once the engine is back.
            engine.remove(attempt);
            engine.doubt(&fault);
        }
        Err(Obstacle::Refused { why, transient }) => {
            custody.stage.set(Stage::Refused);
            engine.tell(Report::LaunchFailed { attempt, why, transient });
        }
    }
}

/// Waits for the end of a container that runs, and tells it.
pub async fn see_out(engine: Rc<Engine>, custody: Rc<Custody>) {
    let is_reduced = custody.record.borrow().is_reduced;
    let (kept, stopped) = if is_reduced {
        follow(&engine, &custody).await
    } else if custody.record.borrow().is_remote {
        tokio::select! { () = custody.until_ended() => {}, () = relay::follow(&engine, &custody) => {} }
        ((0, 0), None)
    } else {
        custody.until_ended().await;
        ((0, 0), None)
    };
    tell_end(&engine, &custody, kept, stopped).await;
}

/// A time as the engine takes it.
pub fn engine_time(at: Utc) -> String {
    format!("{}.{:03}000000", at.0.div_euclid(1000), at.0.rem_euclid(1000))
}

/// A time of the engine's; years before 1970 are how it says never.
pub fn instant(text: Option<&str>) -> Option<Utc> {
    let at: jiff::Timestamp = text?.parse().ok()?;
    Some(Utc(at.as_millisecond())).filter(|at| at.0 > 0)
}

/// What became of it, told once all of it is on this side.
pub async fn tell_end(engine: &Rc<Engine>, custody: &Custody, kept: (u64, u64), stopped: Option<StopCause>) {
    custody.stage.set(Stage::Over);
    let record = custody.record.borrow().clone();
    if record.is_remote && !record.is_reduced {
        left::fetch(engine, custody).await;
    }
    let exit = ending::exit(&custody.dir);
    let needs_engine = record.is_reduced || !matches!(exit, ExitFile::Complete(_));
    let end = if needs_engine { engine_end(engine, custody).await } else { None };
    let not_started = end.as_ref().filter(|_| record.is_reduced).and_then(|end| said_by_init(&custody.dir, end.code));
    let kept = if not_started.is_some() { (0, 0) } else { kept };
    let others = match stopped {
        None if record.is_reduced && not_started.is_none() => ended_by_others(engine, custody, end.as_ref()).await,
        _ => Others::Nothing,
    };
    let stopped = stopped.or(match others {
        Others::Asked => Some(StopCause::Asked { kill: false }),
        Others::Late => Some(StopCause::Timeout),
        Others::Killed | Others::Nothing => None,
    });
    let (finding, notes) = find(Known {
        mark: &record.mark,
        is_reduced: record.is_reduced,
        engine: end,
        exit,
        had_runner: directory::info(&custody.dir).is_some(),
        is_started: record.is_started,
        rebooted: !record.is_remote && directory::rebooted(&custody.dir, &os::boot_id()),
        stopped,
        kept,
        not_started,
        is_killed: others == Others::Killed,
    });
    if record.is_reduced && custody.outages.get() != Some(engine.outages.get()) {
        custody.note("the engine was gone for a while as it ran: what it printed then may be missing");
    }
    match finding {
        Finding::Exit(exit) => {
            if let Some(workspace) = &record.workspace {
                left::fetch_workspace(engine, custody, workspace).await;
            }
            let mut remarks = custody.notes.borrow_mut().take();
            remarks.extend(notes);
            if needs_engine {
                remarks.extend(ending::runner_log(&custody.dir));
            }
            let (done, read) = tokio::sync::oneshot::channel();
            // Nobody waits any more when the manager leaves.
            engine.desk.over(custody.source(), exit, remarks, Box::new(move |report| drop(done.send(report))));
            let Ok(report) = read.await else { return };
            *custody.over.borrow_mut() = Some((report.clone(), 0));
            engine.tell(report);
        }
        // Whoever launched it ended before the environment was handed over. Nothing of the task ran: it is launched again. What
        // was copied there as its workspace may be older by now than what is here.
        Finding::NotEntered if custody.is_adopted.get() && record.launches < LAUNCHES => {
            if let Some(id) = custody.id() {
                remove(engine.clone(), id).await;
            }
            engine.remove(custody.attempt);
            engine.tell(Report::NeverStarted { attempt: custody.attempt });
        }
        Finding::NotEntered => {
            custody.stage.set(Stage::Refused);
            let why = ending::runner_log(&custody.dir).unwrap_or_else(|| "the task's environment did not arrive".to_owned());
            engine.tell(Report::LaunchFailed { attempt: custody.attempt, why, transient: true });
        }
    }
}

/// The engine's word; none when the container is gone.
async fn engine_end(engine: &Engine, custody: &Custody) -> Option<EngineEnd> {
    let id = custody.id()?;
    loop {
        engine.until_back().await;
        let Ok(docker) = engine.client() else { continue };
        match docker.inspect_container(&id, None).map_err(Fault::from).await {
            Ok(found) => {
                let state = found.state.unwrap_or_default();
                if !state.running.unwrap_or(false) {
                    return Some(end_of(state, custody.oom.get()));
                }
                // An end that was taken for one before its time: nothing is told before it is proven.
                tokio::time::sleep(PAUSE).await;
            }
            Err(fault) if fault.is_missing() => return None,
            Err(fault) => {
                engine.doubt(&fault);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn end_of(state: ContainerState, oom: bool) -> EngineEnd {
    EngineEnd {
        code: state.exit_code.and_then(|code| i32::try_from(code).ok()).unwrap_or(-1),
        oom: oom || state.oom_killed == Some(true),
        started: instant(state.started_at.as_deref()),
        ended: instant(state.finished_at.as_deref()),
        error: state.error.unwrap_or_default(),
    }
}

/// Asks, or insists; whether the engine has heard it. Our runner is told by the signals that it knows; a command by those that
/// any knows.
pub async fn stop(engine: &Engine, custody: &Custody, kill: bool) -> bool {
    let is_reduced = custody.record.borrow().is_reduced;
    let signal = match kill {
        true if is_reduced || custody.kills.get() > 1 => "SIGKILL",
        true => "SIGUSR1",
        false => "SIGTERM",
    };
    let (Ok(docker), Some(id)) = (engine.client(), custody.id()) else { return false };
    let options = KillContainerOptions { signal: signal.to_owned() };
    match docker.kill_container(&id, Some(options)).map_err(Fault::from).await {
        Ok(()) => true,
        // It has ended, or is gone: seen by other means. Or it is paused.
        Err(Fault::Refused { .. }) => false,
        Err(fault) => {
            engine.doubt(&fault);
            false
        }
    }
}

/// Removes a container whose outcome is stored. It is known by its id: its name may be another's by now.
pub async fn remove(engine: Rc<Engine>, id: String) {
    for _ in 0..REMOVALS {
        engine.until_back().await;
        let Ok(docker) = engine.client() else { continue };
        let options = RemoveContainerOptions { v: true, force: true, link: false };
        match docker.remove_container(&id, Some(options)).map_err(Fault::from).await {
            Ok(()) => return,
            Err(fault) if fault.is_missing() => return,
            Err(fault @ Fault::Unreachable(_)) => engine.doubt(&fault),
            Err(fault) => tracing::debug!(id, "not removed yet: {fault}"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}
