//! The thread of an engine: takes commands, listens to its events, compares with what it shows.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use bollard::models::{ContainerSummary, ContainerSummaryStateEnum as State, EventMessage};
use bollard::query_parameters::{EventsOptions, ListContainersOptions};
use futures_util::{StreamExt, TryFutureExt};
use tokio::task::spawn_local;
use tokio::time::Instant;

use super::custody::{Custody, Stage};
use super::engine::Engine;
use super::fault::Fault;
use super::record::Record;
use super::{names, owner, remote, watch};
use crate::backend::attempt::{directory, ending, inbox};
use crate::backend::handle::{Command, Commands};
use crate::manager::ports::{LaunchOrder, Place};
use crate::model::exit_file::ExitFile;
use crate::model::ids::AttemptId;
use crate::model::report::Report;
use crate::model::time::Utc;
use crate::os;

/// Longest wait, when the manager leaves, for launches that are between two steps.
const FAREWELL: Duration = Duration::from_secs(5);
/// Events of this much time before the stream began are asked for too.
const OVERLAP_MS: i64 = 2_000;
/// Longest wait for the list of what an engine has.
const PATIENCE: Duration = Duration::from_secs(20);
/// After a stream of events ended for no reason that can be seen. Doubled each time up to the latter: there are engines, and
/// what stands before them, that tell no events at all, and then the comparisons at every poll must do.
const PAUSE: Duration = Duration::from_millis(200);
const LAST_PAUSE: Duration = Duration::from_secs(5);
/// A stream that went on for so long was a good one.
const GOOD: Duration = Duration::from_secs(10);

/// Runs until the handle is dropped. Containers go on.
pub async fn run(engine: Rc<Engine>, mut queue: Commands) {
    let listening = spawn_local(listen(engine.clone()));
    let mut rounds: Option<tokio::task::JoinHandle<()>> = None;
    while let Some(command) = queue.recv().await {
        match command {
            Command::Launch(order) => begin(&engine, *order),
            Command::Stop(attempt, kill) => ask(&engine, attempt, kill),
            Command::Inspect(attempts, set_aside) => {
                let (engine, before) = (engine.clone(), rounds.take().filter(|round| !round.is_finished()));
                rounds = Some(spawn_local(async move {
                    let Some(before) = before else { return inspect(&engine, attempts, &set_aside).await };
                    // One comparison at a time: two would adopt the same container twice. And each is answered after the one
                    // before it: the manager counts them to know which were asked for before a launch.
                    let _ = before.await;
                    attempts.into_iter().for_each(|(attempt, _)| engine.tell(Report::Unsure { attempt }));
                }));
            }
            Command::Intake(attempt, after) => intake(&engine, attempt, Some(after)),
            Command::Put(attempt, name, content) => put(&engine, attempt, name, content),
            Command::Forget(attempt) => forget(&engine, attempt),
        }
    }
    listening.abort();
    let quiet = async {
        while engine.delicate.get() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let _ = tokio::time::timeout(FAREWELL, quiet).await;
}

fn begin(engine: &Rc<Engine>, order: LaunchOrder) {
    let Place::Docker(place) = &order.place else { return };
    let place = (**place).clone();
    let attempt = order.attempt;
    match engine.get(attempt).map(|custody| custody.stage.get()) {
        Some(Stage::Running) => return engine.tell(Report::Started { attempt }),
        Some(Stage::Launching | Stage::Over) => return,
        Some(Stage::Refused) | None => {}
    }
    let record = Record::of(&order, &engine.parts.name, &engine.parts.url);
    let custody = Rc::new(Custody::new(attempt, order.dir.clone(), record, Stage::Launching, false));
    engine.insert(custody.clone());
    spawn_local(watch::run(engine.clone(), custody, order, place));
}

fn ask(engine: &Rc<Engine>, attempt: AttemptId, kill: bool) {
    let Some(custody) = engine.get(attempt) else { return };
    // Said while it is launched, it is said once more when it runs.
    let counts = kill && custody.stage.get() != Stage::Launching;
    custody.kills.set(custody.kills.get() + u32::from(counts));
    custody.stop.set(Some(kill || custody.stop.get() == Some(true)));
    custody.asked.notify_one();
    // While it is launched what takes long is given up, and the start is awaited.
    if custody.stage.get() == Stage::Running && !custody.record.borrow().is_reduced {
        let engine = engine.clone();
        spawn_local(async move {
            watch::stop(&engine, &custody, kill).await;
        });
    }
}

fn forget(engine: &Rc<Engine>, attempt: AttemptId) {
    if let Some(id) = engine.remove(attempt).filter(|custody| !custody.is_kept.get()).and_then(|custody| custody.id()) {
        spawn_local(watch::remove(engine.clone(), id));
    }
}

/// Looks for what is new of an attempt.
pub fn intake(engine: &Rc<Engine>, attempt: AttemptId, asked: Option<u32>) {
    if let Some(custody) = engine.get(attempt) {
        engine.desk.news(custody.source(), asked);
    }
}

/// Where nothing tells what happens on a remote engine: what is small is copied, and told.
pub async fn copy_small(engine: &Engine, custody: &Custody) {
    for part in ["outbox", "live.json", "runner.json"] {
        let Ok(docker) = engine.client() else { return };
        if let Err(fault) = remote::fetch(&docker, &custody.address(), &custody.dir, part, 0).await {
            tracing::debug!(attempt = %custody.attempt, "{part}: {fault}");
        }
    }
    engine.desk.news(custody.source(), None);
}

fn put(engine: &Rc<Engine>, attempt: AttemptId, name: String, content: Vec<u8>) {
    let Some(custody) = engine.get(attempt) else { return };
    let (is_remote, owner) = (custody.record.borrow().is_remote, custody.record.borrow().owner);
    // Asked for again by the next manager, should this one not see it through.
    if !is_remote {
        // What is refused at the launch does not get here.
        let outside = owner.and_then(|owner| owner::outside(owner, &engine.facts(), engine.parts.side.own()).unwrap_or(None));
        if let Err(error) = inbox::put(&custody.dir, &name, &content, outside) {
            custody.note(format!("inbox/{name} could not be written: {error}"));
        }
        return;
    }
    if custody.inbox.borrow().get(&name) == Some(&content) {
        return;
    }
    custody.inbox.borrow_mut().insert(name.clone(), content.clone());
    let engine = engine.clone();
    spawn_local(async move {
        let put = match engine.client() {
            Ok(docker) => remote::put(&docker, &custody.address(), name.clone(), content, owner.unwrap_or((0, 0))).await,
            Err(fault) => Err(fault),
        };
        if let Err(fault) = put {
            // It is said again at the next comparison with reality.
            custody.inbox.borrow_mut().remove(&name);
            match fault {
                Fault::Unreachable(_) => engine.doubt(&fault),
                Fault::Refused { .. } => custody.note(format!("inbox/{name} could not be put into the container: {fault}")),
            }
        }
    });
}

/// Keeps listening to the engine; each time it begins, all is looked at once, so that nothing between two streams is missed.
async fn listen(engine: Rc<Engine>) {
    let mut since = os::now().utc.0 - OVERLAP_MS;
    let mut pause = PAUSE;
    loop {
        engine.reach().await;
        let Ok(docker) = engine.client() else { continue };
        let mut filters = names::of_home(&engine.parts.side.instance);
        filters.insert("type".to_owned(), vec!["container".to_owned()]);
        let options = EventsOptions { since: Some(watch::engine_time(Utc(since))), until: None, filters: Some(filters) };
        let mut events = Box::pin(docker.events(Some(options)));
        let look = spawn_local(look(engine.clone()));
        let began = Instant::now();
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(Ok(event)) => {
                        since = event.time_nano.map_or(since, |nanos| nanos / 1_000_000);
                        happened(&engine, &event);
                    }
                    Some(Err(error)) => {
                        tracing::debug!(engine = engine.parts.name, "events: {error}");
                        break;
                    }
                    None => break,
                },
                () = engine.doubt.notified() => {
                    if !engine.answers().await {
                        break;
                    }
                }
            }
        }
        look.abort();
        pause = if began.elapsed() > GOOD { PAUSE } else { (pause * 2).min(LAST_PAUSE) };
        tokio::time::sleep(pause).await;
    }
}

fn happened(engine: &Rc<Engine>, event: &EventMessage) {
    let labels = event.actor.as_ref().and_then(|actor| actor.attributes.as_ref());
    let mark = labels.and_then(|labels| labels.get(names::ATTEMPT));
    let attempt = mark.and_then(|mark| names::attempt(&engine.parts.side.instance, mark));
    let Some(custody) = attempt.and_then(|attempt| engine.get(attempt)) else { return };
    let id = event.actor.as_ref().and_then(|actor| actor.id.as_deref()).unwrap_or_default();
    if *custody.container.borrow() != id {
        return;
    }
    match event.action.as_deref() {
        Some("oom") => custody.oom.set(true),
        Some("die" | "destroy") => custody.end(),
        _ => {}
    }
}

/// What the engine has of this home.
async fn list(engine: &Engine) -> Result<BTreeMap<AttemptId, ContainerSummary>, Fault> {
    let options =
        ListContainersOptions { all: true, filters: Some(names::of_home(&engine.parts.side.instance)), ..Default::default() };
    let client = engine.client()?;
    let listing = client.list_containers(Some(options)).map_err(Fault::from);
    let late = |_| Fault::Unreachable("it does not say what it has".to_owned());
    let found = tokio::time::timeout(PATIENCE, listing).await.map_err(late)??;
    Ok(names::by_attempt(found, &engine.parts.side.instance))
}

/// Ends what has ended meanwhile.
async fn look(engine: Rc<Engine>) {
    let running: Vec<Rc<Custody>> = engine.all().into_iter().filter(|custody| custody.stage.get() == Stage::Running).collect();
    match list(&engine).await {
        Ok(found) => compare(&running, &found),
        Err(fault) => engine.doubt(&fault),
    }
}

fn compare(running: &[Rc<Custody>], found: &BTreeMap<AttemptId, ContainerSummary>) {
    for custody in running {
        let same = found.get(&custody.attempt).filter(|summary| summary.id == custody.id());
        match same.and_then(|summary| summary.state) {
            Some(State::EXITED | State::DEAD | State::REMOVING) => custody.end(),
            Some(_) => {}
            // It is gone, or of another of its name.
            None => custody.end(),
        }
    }
}

/// Answers for each attempt, adopts what is not known, and clears away what nobody asks for any more.
async fn inspect(engine: &Rc<Engine>, attempts: Vec<(AttemptId, PathBuf)>, set_aside: &BTreeSet<String>) {
    engine.until_tried().await;
    // Launched while the list was made, they are not in it.
    let before: HashMap<AttemptId, Rc<Custody>> = engine.all().into_iter().map(|custody| (custody.attempt, custody)).collect();
    let running: Vec<Rc<Custody>> = before.values().filter(|c| c.stage.get() == Stage::Running).cloned().collect();
    let found = match list(engine).await {
        Ok(found) => found,
        Err(fault) => {
            engine.doubt(&fault);
            attempts.into_iter().for_each(|(attempt, _)| engine.tell(Report::Unsure { attempt }));
            return;
        }
    };
    compare(&running, &found);
    let asked: BTreeSet<AttemptId> = attempts.iter().map(|(attempt, _)| *attempt).collect();
    for (attempt, dir) in attempts {
        let Some(custody) = engine.get(attempt) else {
            adopt(engine, attempt, dir, found.get(&attempt));
            continue;
        };
        match custody.stage.get() {
            Stage::Running => live(engine, &custody),
            Stage::Launching => engine.tell(Report::Unsure { attempt }),
            Stage::Over => engine.tell(custody.told_in_vain().unwrap_or(Report::Unsure { attempt })),
            Stage::Refused => {
                // It was told, and that was lost with a commit that failed: told anew by another launch.
                engine.remove(attempt);
                engine.tell(Report::NeverStarted { attempt });
            }
        }
    }
    for (attempt, summary) in found {
        let job = summary.labels.as_ref().and_then(|labels| labels.get(names::JOB));
        let is_left = !asked.contains(&attempt) && engine.get(attempt).is_none() && !before.contains_key(&attempt);
        let is_others = !names::is_own(&summary) || engine.parts.places.is_elsewhere(attempt, &engine.parts.name);
        if is_left && !is_others && !job.is_some_and(|job| set_aside.contains(job)) {
            clear(engine, attempt, summary);
        }
    }
}

/// A container of an attempt that is closed.
fn clear(engine: &Rc<Engine>, attempt: AttemptId, summary: ContainerSummary) {
    let Some(id) = summary.id else { return };
    tracing::info!(%attempt, "a container is left of an attempt that is closed; it is cleared away");
    spawn_local(watch::remove(engine.clone(), id));
}

/// An attempt whose container runs.
fn live(engine: &Rc<Engine>, custody: &Custody) {
    let attempt = custody.attempt;
    let has_task = !custody.is_adopted.get() || custody.has_task();
    engine.tell(if has_task { Report::Live { attempt } } else { Report::Unsure { attempt } });
    intake(engine, attempt, None);
}

/// An attempt that is not in our hands: what there is of it decides.
fn adopt(engine: &Rc<Engine>, attempt: AttemptId, dir: PathBuf, summary: Option<&ContainerSummary>) {
    let Ok(record) = Record::find(&dir) else { return engine.tell(Report::Unsure { attempt }) };
    let Some(record) = record else { return engine.tell(Report::NeverStarted { attempt }) };
    // One that is being removed is as good as gone.
    let Some(state) = summary.and_then(|summary| summary.state).filter(|state| *state != State::REMOVING) else {
        // Was it there, and did it run?
        let ran = directory::info(&dir).is_some() || matches!(ending::exit(&dir), ExitFile::Complete(_));
        if ran || record.is_started {
            take(engine, attempt, dir, record, String::new(), true);
        } else {
            engine.tell(Report::NeverStarted { attempt });
        }
        return;
    };
    let id = summary.and_then(|summary| summary.id.clone()).unwrap_or_default();
    match state {
        // Made, and never started: launched again it is made anew.
        State::CREATED => engine.tell(Report::NeverStarted { attempt }),
        State::RUNNING | State::PAUSED | State::RESTARTING | State::STOPPING | State::EMPTY => {
            let custody = take(engine, attempt, dir, record, id, false);
            live(engine, &custody);
        }
        State::EXITED | State::DEAD | State::REMOVING => drop(take(engine, attempt, dir, record, id, true)),
    }
}

fn take(engine: &Rc<Engine>, attempt: AttemptId, dir: PathBuf, record: Record, id: String, is_over: bool) -> Rc<Custody> {
    let custody = Rc::new(Custody::new(attempt, dir, record, Stage::Running, true));
    *custody.container.borrow_mut() = id;
    let notes = custody.record.borrow().notes.clone();
    notes.into_iter().for_each(|note| custody.note(note));
    engine.insert(custody.clone());
    if is_over {
        custody.end();
    }
    spawn_local(watch::see_out(engine.clone(), custody.clone()));
    custody
}
