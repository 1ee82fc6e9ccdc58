use serde_json::{Value, json};

use super::*;
use crate::backend::kubernetes::pod::Pod;
use crate::backend::kubernetes::record::tests::record;
use crate::backend::kubernetes::record::{EndedFor, Record};
use crate::model::attempt::{End, ExitRecord, NOT_ENTERED, StopCause};
use crate::model::exit_file::ExitFile;
use crate::model::report::ExitFinding;
use crate::model::time::Utc;

fn pod(mut status: Value, deleting: bool) -> Pod {
    let containers = status["main"].take();
    if !containers.is_null() {
        status["containerStatuses"] =
            json!([{ "name": "side", "state": { "running": {} } }, { "name": "main", "state": containers }]);
    }
    let mut all = json!({ "metadata": { "uid": "u" }, "spec": { "nodeName": "n" }, "status": status });
    if deleting {
        all["metadata"]["deletionTimestamp"] = "2026-11-23T15:52:08Z".into();
    }
    serde_json::from_value(all).unwrap()
}

fn ended(code: i32, reason: &str) -> Value {
    json!({ "terminated": { "exitCode": code, "reason": reason, "startedAt": "2026-11-23T15:52:08Z", "finishedAt": "2026-11-23T15:52:11Z" } })
}

/// A pod of the reduced mode, unless something else is said.
struct Case {
    record: Record,
    pod: Option<Pod>,
    asked: Option<bool>,
    by_us: bool,
    lost_sandbox: bool,
    had_outage: bool,
    exit: ExitFile,
    had_runner: bool,
}

impl Case {
    fn of(pod: Pod) -> Case {
        let record = Record { is_reduced: true, is_started: true, ..record() };
        Case {
            record,
            pod: Some(pod),
            asked: None,
            by_us: false,
            lost_sandbox: false,
            had_outage: false,
            exit: ExitFile::Empty,
            had_runner: false,
        }
    }

    /// The same with our runner.
    fn with_runner(mut self) -> Case {
        self.record.is_reduced = false;
        self.had_runner = true;
        self
    }

    fn found(self) -> Finding {
        let Case { record, pod, asked, by_us, lost_sandbox, had_outage, exit, had_runner } = self;
        find(Known {
            record: &record,
            pod: pod.as_ref(),
            asked,
            is_deleted_by_us: by_us || asked.is_some(),
            lost_sandbox,
            had_outage,
            exit,
            had_runner,
            is_complete: false,
            strange: "",
            kept: (0, 0),
        })
        .0
    }

    fn end(self) -> (End, Option<StopCause>) {
        match self.found() {
            Finding::Exit(ExitFinding::Record(record)) => (record.end, record.stopped),
            other => panic!("{other:?}"),
        }
    }
}

fn lost(rebooted: bool) -> Finding {
    Finding::Exit(ExitFinding::Missing { rebooted })
}

fn evicted(finding: &Finding) -> &str {
    match finding {
        Finding::Exit(ExitFinding::Evicted(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_pod_is_as_far_as_its_main_container_whatever_stands_beside_it() {
    let waiting = |reason: &str, message: &str| json!({ "phase": "Pending", "main": { "waiting": { "reason": reason, "message": message } } });
    assert_eq!(
        far(&pod(waiting("ContainerCreating", ""), false)),
        Far::Preparing { what: "makes its container".into(), trouble: None }
    );
    let running = json!({ "phase": "Running", "main": { "running": { "startedAt": "2026-11-23T15:52:08Z" } } });
    assert_eq!(far(&pod(running, false)), Far::Running { since: Some(Utc(1_795_449_128_000)) });
    assert_eq!(
        far(&pod(json!({ "phase": "Running", "main": ended(4, "Error") }), false)),
        Far::Ended,
        "the one beside it goes on"
    );
    let trouble = |reason: &str, message: &str| match far(&pod(waiting(reason, message), false)) {
        Far::Preparing { trouble: Some(trouble), .. } => (trouble.is_final, trouble.transient),
        other => panic!("{other:?}"),
    };
    assert_eq!(trouble("InvalidImageName", "x"), (true, false));
    assert_eq!(trouble("ErrImageNeverPull", "x"), (true, false));
    assert_eq!(trouble("ImagePullBackOff", "connection refused"), (false, true));
    assert_eq!(trouble("ErrImagePull", "manifest unknown"), (false, false));
    assert_eq!(trouble("CreateContainerConfigError", "secret \"s\" not found"), (false, false));
    let conditions = json!([{ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes." }]);
    let mut unscheduled = pod(json!({ "phase": "Pending", "conditions": conditions }), false);
    unscheduled.spec.node_name = None;
    let Far::Node(Some(trouble)) = far(&unscheduled) else { panic!("it has no node") };
    assert_eq!(trouble.why, "no node takes it (Unschedulable): 0/1 nodes");
}

#[test]
fn without_a_runner_the_container_tells_code_signal_and_memory() {
    let of = |code, reason| Case::of(pod(json!({ "phase": "Failed", "main": ended(code, reason) }), false));
    assert_eq!(of(7, "Error").end(), (End::Exited(7), None));
    assert_eq!(of(137, "Error").end(), (End::Signalled(9), None), "137 alone is no lack of memory");
    assert_eq!(of(137, "OOMKilled").end(), (End::Signalled(9), Some(StopCause::Memory)));
    assert_eq!(of(9, "OOMKilled").end(), (End::Exited(9), Some(StopCause::Memory)));
    assert_eq!(of(0, "OOMKilled").end(), (End::Exited(0), None), "it got over it");
    assert!(matches!(of(128, "StartError").end().0, End::NotStarted { .. }));
    assert_eq!(of(137, "ContainerStatusUnknown").found(), lost(false), "its 137 is invented");
    assert_eq!(Case { lost_sandbox: true, ..of(137, "Error") }.found(), lost(true));
    assert_eq!(Case { had_outage: true, ..of(137, "Error") }.found(), lost(false));
    assert_eq!(Case { had_outage: true, ..of(143, "Error") }.end(), (End::Signalled(15), None));
}

#[test]
fn a_disruption_comes_before_all_and_a_deadline_before_the_exit_code() {
    let target = |at: &str| json!([{ "type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler", "lastTransitionTime": at }]);
    let disrupted =
        |at: &str| Case::of(pod(json!({ "phase": "Succeeded", "conditions": target(at), "main": ended(0, "Completed") }), true));
    assert_eq!(evicted(&disrupted("2026-11-23T15:52:09Z").found()), "PreemptionByScheduler");
    let late = disrupted("2026-11-23T15:52:12Z");
    assert_eq!(evicted(&late.found()), "its pod was deleted by somebody else than airx");
    let mut kept = disrupted("2026-11-23T15:52:12Z");
    kept.by_us = true;
    assert_eq!(kept.end(), (End::Exited(0), None), "it had ended by itself before");
    let by_kubelet = json!({ "phase": "Failed", "reason": "Evicted", "message": "Usage exceeds. ", "main": ended(137, "Error") });
    assert_eq!(evicted(&Case::of(pod(by_kubelet, false)).found()), "Evicted: Usage exceeds");
    let late = json!({ "phase": "Failed", "reason": "DeadlineExceeded", "main": ended(0, "Completed") });
    assert_eq!(Case::of(pod(late, false)).end(), (End::Exited(0), Some(StopCause::Timeout)));
    let oom = json!({ "phase": "Failed", "reason": "DeadlineExceeded", "main": ended(137, "OOMKilled") });
    assert_eq!(Case::of(pod(oom, false)).end(), (End::Signalled(9), Some(StopCause::Memory)));
    let mut ours = Case::of(pod(json!({ "phase": "Failed", "main": ended(143, "Error") }), true));
    (ours.by_us, ours.record.ended_for) = (true, Some(EndedFor::Timeout));
    assert_eq!(ours.end(), (End::Signalled(15), Some(StopCause::Timeout)));
}

#[test]
fn what_was_asked_for_is_told_as_that_and_another_persons_doing_as_theirs() {
    let of = || Case::of(pod(json!({ "phase": "Succeeded", "main": ended(0, "Completed") }), true));
    assert_eq!(Case { asked: Some(false), ..of() }.end(), (End::Exited(0), Some(StopCause::Asked { kill: false })));
    assert_eq!(evicted(&of().found()), "its pod was deleted by somebody else than airx");
    let gone = || Case::of(pod(json!({ "phase": "Running", "main": { "running": {} } }), true));
    assert_eq!(evicted(&gone().found()), "its pod was deleted by somebody else than airx");
    assert_eq!(Case { asked: Some(true), ..gone() }.found(), lost(false), "which the person's wish decides");
    assert_eq!(Case { pod: None, ..gone() }.found(), lost(false));
}

#[test]
fn the_runners_word_counts_and_without_it_the_task_is_lost() {
    let exit = |stopped| {
        let text = json!({ "mark": "m", "boot_id": "", "started": 0, "ended": 1, "elapsed_ms": 1, "end": { "exited": 3 }, "out_bytes": 0, "err_bytes": 0 });
        let record: ExitRecord = serde_json::from_value(text).unwrap();
        ExitFile::Complete(Box::new(ExitRecord { stopped, ..record }))
    };
    let disrupted = json!({ "phase": "Failed", "reason": "Evicted", "main": ended(3, "Error") });
    let of = |stopped| Case { exit: exit(stopped), ..Case::of(pod(disrupted.clone(), false)).with_runner() };
    assert_eq!(of(None).end(), (End::Exited(3), None), "it ended by itself before that");
    assert_eq!(of(Some(StopCause::Timeout)).end().1, Some(StopCause::Timeout));
    assert_eq!(evicted(&of(Some(StopCause::Asked { kill: false })).found()), "Evicted");
    let vanished = |code, reason| Case::of(pod(json!({ "phase": "Failed", "main": ended(code, reason) }), false)).with_runner();
    assert_eq!(vanished(137, "Error").found(), lost(false));
    assert_eq!(vanished(137, "OOMKilled").end(), (End::Signalled(9), Some(StopCause::Memory)));
    assert_eq!(vanished(0, "Completed").end(), (End::Exited(0), None), "its runner says so by its exit code");
    let silent = Case { had_runner: false, ..vanished(0, "Completed") };
    assert_eq!(silent.found(), lost(false), "nothing was heard of it: it may be any program of that name");
    let mut keeps = vanished(0, "Completed");
    keeps.record.artifacts = Some(1);
    assert_eq!(keeps.found(), lost(false), "its artifacts did not come");
    let no_entry = Case { had_runner: false, ..vanished(NOT_ENTERED, "Error") };
    assert!(matches!(no_entry.found(), Finding::NotLaunched { transient: false, .. }));
    let no_program = vanished(128, "StartError");
    assert!(matches!(no_program.found(), Finding::NotLaunched { why, .. } if why.contains("runner_image")));
}

#[test]
fn what_never_ran_was_not_launched() {
    let init = json!([{ "name": "airx-clone", "state": { "terminated": { "exitCode": 128, "reason": "Error", "message": "no such ref" } } }]);
    let waiting = json!({ "waiting": { "reason": "PodInitializing" } });
    let failed = pod(json!({ "phase": "Failed", "initContainerStatuses": init, "main": waiting }), false);
    let Finding::NotLaunched { why, transient: true } = Case::of(failed).found() else { panic!("it was launched") };
    assert_eq!(why, "its preparation `airx-clone` failed: exit 128: no such ref");
    let mut given_up = Case::of(pod(json!({ "phase": "Failed", "main": ended(137, "ContainerStatusUnknown") }), true));
    let why = EndedFor::Unlaunchable { why: "ImagePullBackOff: x".to_owned(), transient: true };
    (given_up.by_us, given_up.record.is_started, given_up.record.ended_for) = (true, false, Some(why.clone()));
    assert!(matches!(given_up.found(), Finding::NotLaunched { why, transient: true } if why == "ImagePullBackOff: x"));
    let mut began = Case::of(pod(json!({ "phase": "Failed", "main": ended(143, "Error") }), true));
    (began.by_us, began.record.ended_for) = (true, Some(why));
    assert!(evicted(&began.found()).starts_with("it began only when it was being given up"));
    let mut cancelled = Case { asked: Some(false), pod: None, ..Case::of(Pod::default()) };
    cancelled.record.is_started = false;
    assert!(matches!(cancelled.found(), Finding::NotLaunched { .. }));
}
