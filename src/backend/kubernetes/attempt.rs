//! An attempt in its pod: on its way, while it runs, and what is left then.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::cluster::Cluster;
use super::custody::{Custody, Stage};
use super::ends::{AT_ONCE_S, ask, delete};
use super::judge::{Far, Finding, Known, Trouble, find};
use super::launch::{Obstacle, make, words};
use super::output::{self, Output};
use super::pod::Condition;
use super::record::EndedFor;
use super::sync::look;
use crate::backend::attempt::{directory, ending};
use crate::manager::ports::{LaunchOrder, PodPlace};
use crate::model::report::Report;
use crate::model::time::Utc;
use crate::os;

/// Between two tries to do what the cluster refused for the moment.
const LAST_PAUSE: Duration = Duration::from_secs(10);
/// After a container has ended, the phase and with it the reason of the whole follow: some 1.2 s in the recordings. With containers
/// beside it that go on, they never do.
const PHASE: Duration = Duration::from_secs(5);

/// Launches an attempt and sees it to its end.
pub async fn run(cluster: Rc<Cluster>, custody: Rc<Custody>, order: LaunchOrder, place: PodPlace) {
    let attempt = custody.attempt;
    match make(&cluster, &custody, &order, &place).await {
        Ok(()) => go_on(cluster, custody).await,
        Err(Obstacle::Gone(fault)) => {
            // Nothing is known: the manager asks again once the cluster is back.
            cluster.remove(attempt);
            cluster.doubt(&fault);
        }
        Err(Obstacle::Refused { why, transient }) => refuse(&cluster, &custody, why, transient),
    }
}

fn refuse(cluster: &Cluster, custody: &Custody, why: String, transient: bool) {
    custody.stage.set(Stage::Refused);
    cluster.tell(Report::LaunchFailed { attempt: custody.attempt, why, transient });
}

/// From a pod that was made to its end.
pub async fn go_on(cluster: Rc<Cluster>, custody: Rc<Custody>) {
    until_begun(&cluster, &custody).await;
    let output = if custody.far() == Far::Ended && !has_run(&custody) {
        Output::default()
    } else {
        begun(&cluster, &custody);
        see_out(&cluster, &custody).await
    };
    settle(&custody).await;
    tell_end(&cluster, &custody, output).await;
}

/// Whether a task that has ended may have printed anything.
fn has_run(custody: &Custody) -> bool {
    let pod = custody.pod();
    let ended = pod.as_ref().and_then(|pod| pod.main()).and_then(|main| main.terminated.as_ref());
    custody.record.borrow().is_started
        || ended.is_some_and(|end| !matches!(end.reason.as_str(), "StartError" | "ContainerStatusUnknown"))
}

fn begun(cluster: &Cluster, custody: &Custody) {
    custody.stage.set(Stage::Running);
    custody.runs();
    let is_new = !std::mem::replace(&mut custody.record.borrow_mut().is_started, true);
    if is_new {
        custody.keep_record();
    }
    // Should its end have been asked for meanwhile, that is said again now.
    cluster.tell(Report::Started { attempt: custody.attempt });
}

/// Waits until its task runs or never will, and tells how far it is. What takes longer than it may is given up.
async fn until_begun(cluster: &Cluster, custody: &Custody) {
    let mut changes = custody.changes();
    let (at, schedule, pull) = {
        let record = custody.record.borrow();
        (record.at, record.schedule_deadline_ms, record.pull_deadline_ms)
    };
    let waited = u64::try_from(os::now().utc.0 - at.0).unwrap_or(0);
    let scheduled_by = Instant::now() + Duration::from_millis(schedule.saturating_sub(waited));
    let mut prepared_by = None;
    // Nobody could look at it: until then nothing is given up.
    let mut excused = None;
    let mut told = String::new();
    loop {
        changes.mark_unchanged();
        tell_stranded(cluster, custody);
        let far = custody.far();
        let (deadline, what, trouble, limit) = match far.clone() {
            Far::Running { .. } | Far::Ended => return,
            Far::Node(trouble) => (scheduled_by, "waits for a node".to_owned(), trouble, schedule),
            Far::Preparing { what, trouble } => {
                let by = *prepared_by.get_or_insert_with(|| Instant::now() + Duration::from_millis(pull));
                (by, what, trouble, pull)
            }
        };
        let text = trouble.as_ref().map_or_else(|| what.clone(), |trouble| trouble.why.clone());
        if text != told {
            cluster.tell(Report::Launching { attempt: custody.attempt, progress: words(&text) });
            told = text;
        }
        let deadline = excused.map_or(deadline, |excused| deadline.max(excused));
        let is_late = Instant::now() >= deadline;
        if custody.ended_for().is_none() && (is_late || trouble.as_ref().is_some_and(|trouble| trouble.is_final)) {
            if !is_seen(cluster, custody).await {
                excused = Some(Instant::now() + LAST_PAUSE);
            } else if custody.far() == far {
                give_up(cluster, custody, &what, trouble, limit).await;
            } else {
                continue;
            }
        }
        let is_given_up = custody.ended_for().is_some();
        let wish = custody.stop.get();
        if is_given_up || wish.is_some() {
            delete(cluster, custody, if wish == Some(true) { Some(AT_ONCE_S) } else { None }).await;
        }
        tokio::select! {
            // The sender lives as long as the custody.
            _ = changes.changed() => {}
            () = sleep_until(excused.map_or(deadline, |excused| deadline.max(excused))), if !is_given_up => {}
            () = custody.asked.notified() => {}
            // A deletion that was not answered is asked for again.
            () = sleep(LAST_PAUSE), if is_given_up || wish.is_some() => {}
        }
    }
}

/// Looks at its pod, since what is known of it may be old; whether that could be done.
async fn is_seen(cluster: &Cluster, custody: &Custody) -> bool {
    let Ok(api) = cluster.api() else { return false };
    match look(&api, custody, None).await {
        Ok(()) => true,
        Err(fault) => {
            cluster.doubt(&fault);
            false
        }
    }
}

/// Writes down why it is given up, before anybody is asked to end it: its deletion overwrites the reason.
async fn give_up(cluster: &Cluster, custody: &Custody, what: &str, trouble: Option<Trouble>, limit_ms: u64) {
    let after = format!("after {}", crate::model::units::duration_words(limit_ms));
    let (why, transient) = match trouble {
        Some(Trouble { why, is_final: true, transient }) => (why, transient),
        Some(Trouble { why, transient, .. }) => (format!("{why} (given up {after})"), transient),
        None => {
            let told = match cluster.api() {
                Ok(api) => api.warnings(&custody.name()).await.ok().filter(|told| !told.is_empty()),
                Err(_) => None,
            };
            (format!("it still {what} {after}{}", told.map_or_else(String::new, |told| format!(": {told}"))), true)
        }
    };
    custody.record.borrow_mut().ended_for = Some(EndedFor::Unlaunchable { why, transient });
    custody.keep_record();
}

/// Keeps what it prints, sees to it that it ends when it is to, and waits for that.
async fn see_out(cluster: &Rc<Cluster>, custody: &Rc<Custody>) -> Output {
    let reading = output::keep(cluster, custody);
    tokio::pin!(reading);
    let guarding = guard(cluster, custody);
    tokio::pin!(guarding);
    let mut output = None;
    loop {
        tokio::select! {
            read = &mut reading, if output.is_none() => {
                if read.is_cut && !custody.has_ended() {
                    end_for(custody, EndedFor::OutputLimit);
                }
                output = Some(read);
            }
            () = &mut guarding => break,
        }
    }
    match output {
        Some(output) => output,
        None => reading.await,
    }
}

fn end_for(custody: &Custody, why: EndedFor) {
    custody.record.borrow_mut().ended_for.get_or_insert(why);
    custody.keep_record();
    custody.asked.notify_one();
}

/// Until it has ended: passes on that it is to, enforces what no runner does, and tells when its node is out of sight.
async fn guard(cluster: &Cluster, custody: &Custody) {
    let mut changes = custody.changes();
    let timeout = {
        let record = custody.record.borrow();
        record.timeout_ms.filter(|_| record.is_reduced)
    };
    let mut insist_at: Option<Instant> = None;
    loop {
        changes.mark_unchanged();
        let since = match custody.far() {
            Far::Ended => return,
            Far::Running { since } => since,
            Far::Node(_) | Far::Preparing { .. } => None,
        };
        tell_stranded(cluster, custody);
        let deadline = timeout.map(|ms| Instant::now() + Duration::from_millis(ms.saturating_sub(elapsed_ms(custody, since))));
        if custody.ended_for().is_none() && deadline.is_some_and(|at| at <= Instant::now()) {
            end_for(custody, EndedFor::Timeout);
        }
        let is_asked = custody.stop.get().is_some() || custody.ended_for().is_some();
        if is_asked {
            insist_at = Some(Instant::now() + LAST_PAUSE);
            ask(cluster, custody).await;
        }
        tokio::select! {
            _ = changes.changed() => {}
            () = custody.asked.notified() => {}
            () = until(deadline), if !is_asked => {}
            // What was not answered is asked for again.
            () = until(insist_at), if is_asked => {}
        }
    }
}

/// How long it has run by what its node says, whose clock may be wrong: no less than it was seen to, and no more than it was there.
fn elapsed_ms(custody: &Custody, since: Option<Utc>) -> u64 {
    let now = os::now().utc;
    let from = |at: Utc| u64::try_from(now.0 - at.0).unwrap_or(0);
    let most = if custody.is_adopted.get() { from(custody.record.borrow().at) } else { ms(custody.known_for()) };
    since.map_or(0, from).min(most).max(ms(custody.seen_running_for()))
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// A node that does not answer any more: its pods are said not to be ready, without a reason, and are otherwise left as they were.
/// Whether they run on nobody knows.
fn tell_stranded(cluster: &Cluster, custody: &Custody) {
    let pod = custody.pod();
    let is_stranded = pod.as_ref().is_some_and(|pod| {
        let is_without_reason = |ready: &Condition| ready.status != "True" && ready.reason.is_empty();
        !custody.has_ended() && pod.condition("Ready").is_some_and(is_without_reason)
    });
    let node = pod.as_ref().and_then(|pod| pod.spec.node_name.clone()).unwrap_or_default();
    let why = is_stranded
        .then(|| format!("node {node} is unreachable: it is not known whether it runs, and no other attempt is begun"));
    if *custody.stranded.borrow() != why {
        custody.stranded.borrow_mut().clone_from(&why);
        cluster.tell(Report::Stranded { attempt: custody.attempt, why });
    }
}

/// Waits for what is only told of the pod as a whole.
async fn settle(custody: &Custody) {
    let mut changes = custody.changes();
    let deadline = Instant::now() + PHASE;
    loop {
        changes.mark_unchanged();
        let is_over = custody.pod().is_none_or(|pod| pod.is_over());
        if is_over || custody.is_gone() {
            return;
        }
        tokio::select! {
            _ = changes.changed() => {}
            () = sleep_until(deadline) => return,
        }
    }
}

/// What became of it, told once all of it is on this side.
async fn tell_end(cluster: &Rc<Cluster>, custody: &Rc<Custody>, output: Output) {
    if custody.stranded.borrow_mut().take().is_some() {
        cluster.tell(Report::Stranded { attempt: custody.attempt, why: None });
    }
    let record = custody.record.borrow().clone();
    let pod = custody.pod();
    let (finding, notes) = find(Known {
        record: &record,
        pod: pod.as_deref(),
        asked: custody.stop.get(),
        is_deleted_by_us: custody.told_grace_s.get().is_some(),
        lost_sandbox: custody.lost_sandbox(),
        had_outage: custody.outages.get() != cluster.outages.get(),
        exit: ending::exit(&custody.dir),
        had_runner: directory::info(&custody.dir).is_some(),
        is_complete: output.is_complete,
        strange: &output.strange,
        kept: output.kept,
    });
    match finding {
        Finding::Exit(exit) => {
            if custody.stage.get() == Stage::Launching {
                cluster.tell(Report::Started { attempt: custody.attempt });
            }
            custody.stage.set(Stage::Over);
            let mut remarks = custody.notes.borrow_mut().take();
            remarks.extend(notes);
            let (done, read) = tokio::sync::oneshot::channel();
            // Nobody waits any more when the manager leaves.
            cluster.desk.over(custody.source(), exit, remarks, Box::new(move |report| drop(done.send(report))));
            let Ok(report) = read.await else { return };
            *custody.over.borrow_mut() = Some((report.clone(), 0));
            cluster.tell(report);
        }
        Finding::NotLaunched { why, transient } => refuse(cluster, custody, why, transient),
    }
}
