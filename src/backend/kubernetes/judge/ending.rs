//! How an attempt in a pod ended.

use crate::backend::kubernetes::pod::{ContainerStatus, Pod, Terminated, instant};
use crate::backend::kubernetes::record::{EndedFor, Record};
use crate::model::attempt::{End, ExitRecord, NOT_ENTERED, StopCause};
use crate::model::exit_file::ExitFile;
use crate::model::report::ExitFinding;
use crate::model::time::Utc;

/// What is known of an attempt's end.
#[derive(Debug)]
pub struct Known<'a> {
    /// What was wanted.
    pub record: &'a Record,
    /// The last that was seen of its pod; none when nothing ever was.
    pub pod: Option<&'a Pod>,
    /// Whether a person asked for its end, through us, and whether at once.
    pub asked: Option<bool>,
    /// Whether we asked the cluster for its end, for whatever reason.
    pub is_deleted_by_us: bool,
    /// Whether its task lost its sandbox before it ended: its node was restarted.
    pub lost_sandbox: bool,
    /// Whether the cluster was out of sight while it ran.
    pub had_outage: bool,
    /// The runner's record.
    pub exit: ExitFile,
    /// Whether the runner had said who it is.
    pub had_runner: bool,
    /// Whether all lines of the runner were read, to the last.
    pub is_complete: bool,
    /// What its first process said besides.
    pub strange: &'a str,
    /// Bytes kept of its output, for the reduced mode.
    pub kept: (u64, u64),
}

/// How it ended.
#[derive(Debug, PartialEq)]
pub enum Finding {
    /// As the report has it.
    Exit(ExitFinding),
    /// Nothing of the task ran.
    NotLaunched {
        /// Why, and what to do.
        why: String,
        /// Whether another attempt may help.
        transient: bool,
    },
}

/// Decides, with remarks for people.
pub fn find(known: Known<'_>) -> (Finding, Vec<String>) {
    let mut notes = Vec::new();
    let finding = decide(&known, &mut notes);
    (finding, notes)
}

fn decide(known: &Known<'_>, notes: &mut Vec<String>) -> Finding {
    // The runner's word on a task that ended by itself, or by its own limits, is beyond doubt.
    if let ExitFile::Complete(record) = &known.exit
        && !matches!(record.stopped, Some(StopCause::Asked { .. }))
    {
        return Finding::Exit(ExitFinding::Record(record.clone()));
    }
    if matches!(known.exit, ExitFile::Torn) {
        notes.push("exit.json is torn".to_owned());
    }
    let main = known.pod.and_then(Pod::main);
    let ended = main.and_then(|main| main.terminated.as_ref());
    if let Some(why) = known.pod.and_then(|pod| disruption(pod, ended)) {
        return Finding::Exit(ExitFinding::Evicted(why));
    }
    // What was killed for its memory was over before any deadline ended it.
    let is_oom = ended.is_some_and(|end| end.reason == "OOMKilled" && end.exit_code != 0);
    if let Some(finding) = deadline(known, ended).filter(|_| !is_oom || known.record.ended_for.is_some()) {
        return finding;
    }
    if let ExitFile::Complete(record) = &known.exit {
        let is_somebody = known.asked.is_none() && !known.is_deleted_by_us;
        return Finding::Exit(match known.pod.is_some_and(|pod| is_somebody && pod.is_deleting()) {
            true => ExitFinding::Evicted(DELETED.to_owned()),
            false => ExitFinding::Record(record.clone()),
        });
    }
    if let Some((name, end)) = known.pod.and_then(failed_init) {
        let why = format!("its preparation `{name}` failed: exit {}{}", end.exit_code, said(end));
        return Finding::NotLaunched { why, transient: true };
    }
    match ended {
        Some(end) => by_container(known, end, notes),
        None => unknown(known, notes),
    }
}

const DELETED: &str = "its pod was deleted by somebody else than airx";

/// Who took its place away, if anybody did before the task ended by itself.
fn disruption(pod: &Pod, ended: Option<&Terminated>) -> Option<String> {
    let status = &pod.status;
    if matches!(status.reason.as_str(), "Evicted" | "Preempting" | "NodeLost" | "NodeShutdown" | "Terminated") {
        return Some(words(&status.reason, &status.message));
    }
    let target = pod.condition("DisruptionTarget").filter(|condition| condition.status == "True")?;
    let finished = ended.and_then(|end| instant(end.finished_at.as_ref()));
    // Both in whole seconds.
    let came_late = finished.zip(instant(target.last_transition_time.as_ref())).is_some_and(|(ended, told)| ended < told);
    (!came_late).then(|| words(&target.reason, &target.message))
}

fn words(reason: &str, message: &str) -> String {
    let message = message.trim().trim_end_matches('.');
    if message.is_empty() { reason.to_owned() } else { format!("{reason}: {message}") }
}

fn deadline(known: &Known<'_>, ended: Option<&Terminated>) -> Option<Finding> {
    let is_late = known.pod.is_some_and(|pod| pod.status.reason == "DeadlineExceeded");
    let stopped = match &known.record.ended_for {
        Some(EndedFor::Unlaunchable { why, transient }) => {
            let began = known.had_runner || ended.is_some_and(began);
            return Some(match began {
                // What it was ended by is no fault of its own.
                true => Finding::Exit(ExitFinding::Evicted(format!("it began only when it was being given up: {why}"))),
                false => Finding::NotLaunched { why: why.clone(), transient: *transient },
            });
        }
        Some(EndedFor::Timeout) => StopCause::Timeout,
        Some(EndedFor::OutputLimit) => StopCause::OutputLimit,
        None if is_late => StopCause::Timeout,
        None => return None,
    };
    let record = match &known.exit {
        ExitFile::Complete(record) => ExitRecord { stopped: Some(stopped), ..(**record).clone() },
        _ => {
            let none = Terminated::default();
            let end = ended.unwrap_or(&none);
            record(known, end, how(end.exit_code), Some(stopped))
        }
    };
    Some(Finding::Exit(ExitFinding::Record(Box::new(record))))
}

/// Whether a container that has ended ever ran.
fn began(end: &Terminated) -> bool {
    !is_start_error(end) && end.reason != "ContainerStatusUnknown"
}

fn is_start_error(end: &Terminated) -> bool {
    matches!(end.reason.as_str(), "StartError" | "ContainerCannotRun")
}

fn failed_init(pod: &Pod) -> Option<(&str, &Terminated)> {
    let failed = |status: &'_ ContainerStatus| status.state.terminated.as_ref().is_some_and(|end| end.exit_code != 0);
    let status = pod.status.init_container_statuses.iter().find(|status| failed(status))?;
    let main_ran = pod.main().is_some_and(|main| main.terminated.as_ref().is_some_and(began) || main.running.is_some());
    (!main_ran).then_some((status.name.as_str(), status.state.terminated.as_ref()?))
}

fn said(end: &Terminated) -> String {
    let message = end.message.trim();
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

/// By the end of the container, without a word from our runner.
fn by_container(known: &Known<'_>, end: &Terminated, notes: &mut Vec<String>) -> Finding {
    let record_of = |how, stopped| Finding::Exit(ExitFinding::Record(Box::new(record(known, end, how, stopped))));
    if is_start_error(end) {
        let errno = if end.message.contains("permission denied") { libc::EACCES } else { libc::ENOENT };
        let message = end.message.rsplit("exec: ").next().unwrap_or(&end.message);
        if known.record.is_reduced {
            return record_of(End::NotStarted { errno, why: format!("in {}: {message}", known.record.image) }, None);
        }
        let why = format!(
            "its runner could not be started in {}: {message}; give the pool a `runner_image`, use an image with airx in it, or `runner: none`",
            known.record.image
        );
        return Finding::NotLaunched { why, transient: false };
    }
    if end.reason == "ContainerStatusUnknown" {
        notes.push("its node does not know what became of its container".to_owned());
        return Finding::Exit(ExitFinding::Missing { rebooted: false });
    }
    if known.lost_sandbox && end.exit_code == 137 && known.asked.is_none() && !known.is_deleted_by_us {
        notes.push("its node was restarted".to_owned());
        return Finding::Exit(ExitFinding::Missing { rebooted: true });
    }
    let is_oom = end.reason == "OOMKilled";
    let is_told = known.asked.is_some() || known.is_deleted_by_us;
    if known.record.is_reduced && known.had_outage && end.exit_code == 137 && !is_oom && !is_told {
        notes.push("it was killed while the cluster was out of sight, by its node most likely".to_owned());
        return Finding::Exit(ExitFinding::Missing { rebooted: false });
    }
    if known.record.is_reduced {
        if let Some(kill) = known.asked {
            return record_of(how(end.exit_code), Some(StopCause::Asked { kill }));
        }
        if known.pod.is_some_and(Pod::is_deleting) && !known.is_deleted_by_us {
            return Finding::Exit(ExitFinding::Evicted(DELETED.to_owned()));
        }
        if is_oom && end.exit_code == 0 {
            notes.push("something in it was killed for its memory, and it got over that".to_owned());
        }
        return record_of(how(end.exit_code), (is_oom && end.exit_code != 0).then_some(StopCause::Memory));
    }
    if is_oom && end.exit_code != 0 {
        notes.push("the container's memory was used up, and its runner was killed too".to_owned());
        return record_of(End::Signalled(libc::SIGKILL), Some(StopCause::Memory));
    }
    if !known.had_runner && end.exit_code == NOT_ENTERED {
        let why = if known.strange.is_empty() { "without a word" } else { known.strange };
        return Finding::NotLaunched { why: format!("its runner did not begin: {why}"), transient: false };
    }
    if known.pod.is_some_and(Pod::is_deleting) && known.asked.is_none() && !known.is_deleted_by_us {
        return Finding::Exit(ExitFinding::Evicted(DELETED.to_owned()));
    }
    // The runner's exit code is 0 only when its record says that all went well.
    let is_all = known.record.result.is_none() && known.record.artifacts.is_none() && !known.record.claude;
    // One that never said who it is may be any program of that name.
    if end.exit_code == 0 && !known.is_complete && is_all && known.had_runner {
        notes.push("the last lines of its runner were lost; its exit code says that it succeeded".to_owned());
        return record_of(End::Exited(0), None);
    }
    notes.push(format!("its container ended with code {} ({}), without its runner's last word", end.exit_code, end.reason));
    Finding::Exit(ExitFinding::Missing { rebooted: false })
}

/// A pod that is gone, or over, and nobody saw how its container ended.
fn unknown(known: &Known<'_>, notes: &mut Vec<String>) -> Finding {
    if known.asked.is_some() && !known.record.is_started {
        return Finding::NotLaunched { why: "it was cancelled before it began".to_owned(), transient: false };
    }
    if known.asked.is_none() && !known.is_deleted_by_us && known.pod.is_some_and(Pod::is_deleting) {
        return Finding::Exit(ExitFinding::Evicted(DELETED.to_owned()));
    }
    notes.push("its pod is gone, and nobody saw how it ended".to_owned());
    Finding::Exit(ExitFinding::Missing { rebooted: false })
}

/// Kubernetes tells one number of both codes and signals; the latter are told as shells do.
fn how(code: i32) -> End {
    if (129..=159).contains(&code) { End::Signalled(code - 128) } else { End::Exited(code) }
}

fn record(known: &Known<'_>, end: &Terminated, how: End, stopped: Option<StopCause>) -> ExitRecord {
    let ended = instant(end.finished_at.as_ref()).or_else(|| instant(end.started_at.as_ref())).unwrap_or(Utc(0));
    let started = instant(end.started_at.as_ref()).unwrap_or(ended);
    ExitRecord {
        mark: known.record.mark.clone(),
        boot_id: String::new(),
        started,
        ended,
        elapsed_ms: u64::try_from(ended.0 - started.0).unwrap_or(0),
        end: how,
        stopped,
        gate: None,
        round: None,
        tree: None,
        missing: None,
        spent: None,
        leftovers: 0,
        out_bytes: known.kept.0,
        err_bytes: known.kept.1,
        cpu_ms: 0,
        max_rss_kib: 0,
        notes: Vec::new(),
    }
}
