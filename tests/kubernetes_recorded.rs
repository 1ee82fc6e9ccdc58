//! What a real cluster was recorded to do, played to the backend of pods: each scenario ends in the right outcome, with all its
//! lines, at the recorded times and fifty times as fast.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test says so by a panic")]

#[path = "support/kubernetes/mod.rs"]
mod kubernetes;
#[path = "support/pods.rs"]
mod pods;

use airx::model::kubernetes::KubernetesSettings;
use kubernetes::script::{file, stamped};
use kubernetes::{Replay, Server};
use pods::{Bench, reduced};

/// What is done, besides waiting for its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    /// Nothing.
    Wait,
    /// A person cancels it when it runs.
    Cancel,
    /// The same, and then insists.
    CancelThenKill,
    /// A person cancels it when it says this.
    CancelAt(&'static str),
    /// Somebody else deletes it, as the recorder did.
    Somebody,
}

/// A scenario, what is done, and the outcome as a person reads it; `…` at its end stands for anything, and `|` between
/// two for either: what is told while nobody can listen may be told by what is left alone.
struct Case(&'static str, Act, &'static str);

macro_rules! cases {
    ($($name:ident: $scenario:literal, $act:expr => $outcome:literal;)+) => {
        const CASES: &[Case] = &[$(Case($scenario, $act, $outcome)),+];
        mod quick {
            use super::Act::{Cancel, CancelAt, CancelThenKill, Somebody, Wait};

            $(#[test]
            fn $name() {
                super::play(&super::Case($scenario, $act, $outcome), true);
            })+
        }
    };
}

use Act::{Cancel, CancelAt, CancelThenKill, Somebody, Wait};

cases! {
    success: "success", Wait => "succeeded";
    exit_7: "exit-7", Wait => "exit 7";
    exit_137_is_no_lack_of_memory: "exit-137-not-oom", Wait => "signal 9";
    instant_exit: "instant-exit", Wait => "succeeded";
    termination_message: "termination-message", Wait => "exit 5";
    oom_main: "oom-main", Wait => "out of memory…";
    oom_child: "oom-child", Wait => "out of memory…";
    oom_child_parent_continues: "oom-child-parent-continues", Wait => "succeeded";
    trap_exit_0_cancelled: "sigterm-trap-exit-0", Cancel => "cancelled";
    trap_exit_0_deleted: "sigterm-trap-exit-0", Somebody => "evicted: its pod was deleted by somebody else than airx";
    trap_exit_3_cancelled: "sigterm-trap-exit-3", Cancel => "cancelled";
    no_trap_shared_pid_cancelled: "sigterm-no-trap-shared-pid", Cancel => "cancelled";
    no_trap_pid1_cancelled: "sigterm-no-trap-pid1", Cancel => "cancelled";
    grace_expires: "grace-expires", Cancel => "cancelled";
    forced_by_somebody: "delete-force-grace-0", Somebody => "evicted…";
    cancelled_before_scheduled: "delete-before-scheduled", CancelAt("no node takes it") => "cancelled";
    deleted_before_scheduled: "delete-before-scheduled", Somebody => "evicted…";
    deleted_while_creating: "delete-while-creating", Somebody => "evicted…";
    killed_after_cancelled: "delete-then-shorter-grace", CancelThenKill => "cancelled";
    deadline_no_trap: "deadline-no-trap", Wait => "timed out";
    deadline_trap: "deadline-trap", Wait => "timed out";
    image_pull_backoff: "image-pull-backoff", Wait => "could not start: …";
    err_image_never_pull: "err-image-never-pull", Wait => "could not start: ErrImageNeverPull: …";
    invalid_image_name: "invalid-image-name", Wait => "could not start: InvalidImageName: …";
    config_error_secret: "config-error-secret", Wait => "could not start: CreateContainerConfigError: secret \"no-such-secret\" not found…";
    config_error_configmap_key: "config-error-configmap-key", Wait => "could not start: CreateContainerConfigError: couldn't find key no-such-key…";
    config_error_run_as_non_root: "config-error-run-as-non-root", Wait => "could not start: CreateContainerConfigError: container has runAsNonRoot…";
    missing_volume_secret: "missing-volume-secret", Wait => "could not start: it still makes its container after …";
    unschedulable_cpu: "unschedulable-cpu", Wait => "could not start: no node takes it (Unschedulable): 0/1 nodes are available: 1 Insufficient cpu…";
    unschedulable_node_selector: "unschedulable-node-selector", Wait => "could not start: no node takes it (Unschedulable): 0/1 nodes…";
    start_error: "start-error", Wait => "could not start: in busybox: \"/no/such/binary\"…";
    start_error_not_executable: "start-error-not-executable", Wait => "could not start: in busybox: …";
    init_fails: "init-fails", Wait => "could not start: its preparation `prepare` failed: exit 3…";
    init_ok: "init-ok", Wait => "succeeded";
    sidecar_keeps_running: "sidecar-keeps-running", Wait => "exit 4";
    native_sidecar: "native-sidecar", Wait => "exit 4";
    evicted_emptydir: "evicted-emptydir", Wait => "evicted: Evicted: Usage of EmptyDir volume…";
    eviction_api: "eviction-api", Wait => "evicted: EvictionByEvictionAPI…";
    preempted: "preempted", Wait => "evicted: PreemptionByScheduler…";
    finalizer_deleted: "finalizer", Somebody => "evicted…";
    finalizer_cancelled: "finalizer", Cancel => "cancelled";
    finalizer_finished: "finalizer-finished-pod", Wait => "exit 2";
    podsecurity_accepted: "podsecurity-accepted", Wait => "succeeded";
    limitrange_defaults: "limitrange-defaults", Wait => "succeeded";
    stderr_interleaved: "stderr-interleaved", Wait => "succeeded";
    command_dollar_escaped: "command-dollar-escaped", Wait => "succeeded";
    log_10000_lines: "log-10000-lines", Wait => "succeeded";
    log_burst_before_exit: "log-burst-before-exit", Wait => "succeeded";
    log_empty: "log-empty", Wait => "succeeded";
    log_invalid_utf8: "log-invalid-utf8", Wait => "succeeded";
    log_long_line: "log-long-line", Wait => "succeeded";
    log_no_final_newline: "log-no-final-newline", Wait => "succeeded";
    api_killed_and_ends_meanwhile: "apiserver-killed/ends-meanwhile", Wait => "exit 6";
    api_killed_and_deleted: "apiserver-killed/ticks", Somebody => "evicted…|lost…";
    kubelet_away_and_ends_meanwhile: "kubelet-stopped/ends-meanwhile", Wait => "exit 5";
    kubelet_away_and_deadline: "kubelet-stopped/deadline-meanwhile", Wait => "timed out";
    kubelet_away_and_taint: "kubelet-stopped/tolerates-5s", Wait => "evicted: DeletionByTaintManager…";
    kubelet_away_and_deleted: "kubelet-stopped/deleted-meanwhile", Somebody => "evicted…";
    kubelet_away_and_forced: "kubelet-stopped/forced-meanwhile", Somebody => "evicted…";
    kubelet_away_and_created: "kubelet-stopped/created-meanwhile", Wait => "succeeded";
    kubelet_away_and_created_later: "kubelet-stopped/created-after-not-ready", Wait => "succeeded";
    node_restarted: "node-restart/ticks", Wait => "lost…";
    node_restarted_after_the_end: "node-restart/finished", Wait => "exit 2";
    node_restarted_in_init: "node-restart/in-init", Wait => "could not start: its preparation `prepare` failed: exit 137";
    node_restarted_without_image: "node-restart/image-missing", Wait => "could not start: …";
    node_restarted_without_node: "node-restart/unschedulable", Wait => "could not start: no node takes it…";
}

/// What the recorded container printed.
fn printed(scenario: &str) -> Option<Vec<u8>> {
    let log = file(scenario, "log.txt")?;
    let lines = log.split_inclusive(|byte| *byte == b'\n');
    Some(lines.filter_map(stamped).flat_map(|(_, text)| text.to_vec()).collect())
}

fn play(case: &Case, quick: bool) {
    let Case(scenario, act, outcome) = *case;
    let mut replay = match scenario.split_once('/') {
        Some((scenario, pod)) => Replay::of_pod(scenario, pod),
        None => Replay::of(scenario),
    };
    if quick {
        replay = replay.quick();
    }
    if act == Somebody {
        replay = replay.deleted_by_somebody();
    }
    let mut bench = Bench::new(Server::replay(replay));
    // Where the cluster itself is away for a while, what is late is not given up.
    let patience = if scenario.contains('/') { 80_000 } else { 20_000 };
    let settings = if quick {
        reduced()
    } else {
        KubernetesSettings { schedule_deadline_ms: patience, pull_deadline_ms: patience, ..reduced() }
    };
    let attempt = bench.launch(&settings);
    match act {
        Wait | Somebody => {}
        Cancel | CancelThenKill => {
            bench.until_started(attempt);
            bench.stop(attempt, false);
        }
        CancelAt(part) => {
            bench.until_progress(part);
            bench.stop(attempt, false);
        }
    }
    if act == CancelThenKill {
        let pod = Bench::pod(attempt);
        bench.server.until("it is being deleted", |server| {
            server.pod(&pod).is_none_or(|pod| pod["metadata"]["deletionTimestamp"].is_string())
        });
        bench.stop(attempt, true);
    }
    let ended = bench.end(attempt);
    let fits = outcome.split('|').any(|outcome| match outcome.strip_suffix('…') {
        Some(begin) => ended.sentence.starts_with(begin),
        None => ended.sentence == outcome,
    });
    assert!(fits, "{scenario}: {ended:?} instead of {outcome}; told {:?}", bench.told);
    // Scenarios with several pods have no whole logs. One that is cancelled here ends at another time than the recorded one.
    if act == Wait && !scenario.contains('/') {
        let expected = printed(scenario).unwrap_or_default();
        let differ = expected.iter().zip(&ended.out).position(|(one, other)| one != other);
        assert!(
            expected == ended.out,
            "{scenario}: {} bytes where {} were expected, first difference {differ:?}; {ended:?}",
            ended.out.len(),
            expected.len()
        );
    }
    bench.forget(attempt);
    let pod = Bench::pod(attempt);
    bench.server.until("its pod is deleted", |server| {
        server.pod(&pod).is_none_or(|pod| pod["metadata"]["deletionTimestamp"].is_string())
    });
    assert_eq!(bench.server.created().get(&pod), Some(&1), "{scenario}");
}

#[test]
fn all_at_recorded_times() {
    let threads: Vec<_> = CASES.iter().map(|case| (case.0, std::thread::spawn(move || play(case, false)))).collect();
    let failed: Vec<&str> = threads.into_iter().filter_map(|(name, thread)| thread.join().err().map(|_| name)).collect();
    assert!(failed.is_empty(), "{failed:?}");
}
