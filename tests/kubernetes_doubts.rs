//! Whatever is not proven of a pod is taken for possible: no attempt is closed while its pod may run, and none is given up because
//! nobody could look.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test says so by a panic")]

#[path = "support/kubernetes/mod.rs"]
mod kubernetes;
#[path = "support/pods.rs"]
mod pods;

use std::time::Duration;

use airx::model::kubernetes::KubernetesSettings;
use airx::model::report::Report;
use kubernetes::faults::{Admission, Fault, When, Which};
use kubernetes::{Kind, Replay, Server};
use pods::{Bench, reduced};

fn patient() -> KubernetesSettings {
    KubernetesSettings { schedule_deadline_ms: 120_000, pull_deadline_ms: 120_000, ..reduced() }
}

/// Whether it is told that an attempt has ended while its pod is there and is not even asked to end.
fn is_left_running(bench: &Bench, pod: &str) -> bool {
    bench.server.pod(pod).is_some_and(|pod| pod["metadata"]["deletionTimestamp"].is_null())
}

#[test]
fn a_pod_whose_making_was_not_answered_is_ended_before_its_cancelling_is_told() {
    let mut bench = Bench::new(Server::replay(Replay::of("sigterm-no-trap-shared-pid").factor(0.2)));
    bench.until("it is there", |report| matches!(report, Report::Engine { trouble: None, .. }).then_some(()));
    for fault in [Fault::Cut(When::After), Fault::internal(When::After)] {
        bench.server.faults().on(Kind::Create, Which::Next(1), fault);
        let attempt = bench.launch(&patient());
        let pod = Bench::pod(attempt);
        bench.server.until("it is made", |server| server.pod(&pod).is_some());
        bench.stop(attempt, false);
        assert_eq!(bench.end(attempt).sentence, "cancelled");
        assert!(!is_left_running(&bench, &pod), "it runs on unseen");
    }
}

#[test]
fn a_pod_whose_making_was_not_answered_is_no_reason_to_refuse_it() {
    let server = Server::replay(Replay::of("success").factor(0.3));
    server.faults().on(Kind::Watch, Which::Next(1), Fault::Silent);
    let mut bench = Bench::new(server);
    bench.until("it is there", |report| matches!(report, Report::Engine { trouble: None, .. }).then_some(()));
    bench.server.faults().on(Kind::List, Which::Always, Fault::Stall(When::Before, Duration::from_secs(5)));
    bench.server.faults().on(Kind::Create, Which::Next(1), Fault::Cut(When::After));
    let attempt = bench.launch(&patient());
    let pod = Bench::pod(attempt);
    bench.server.until("it is made", |server| server.pod(&pod).is_some());
    // A cluster looks at what a pod may be before it looks whether it is there.
    bench.server.faults().refuse_pods(Some(Admission::PodSecurity));
    let ended = bench.end(attempt);
    assert_eq!(ended.sentence, "succeeded", "{ended:?}");
}

#[test]
fn nothing_is_given_up_while_nobody_can_look() {
    let mut bench = Bench::new(Server::replay(Replay::of("success").factor(0.3)));
    let settings = KubernetesSettings { schedule_deadline_ms: 1_000, pull_deadline_ms: 1_000, ..reduced() };
    let attempt = bench.launch(&settings);
    bench.until_progress("makes its container");
    bench.server.restart(Duration::from_secs(4));
    let ended = bench.end(attempt);
    assert_eq!(ended.sentence, "succeeded", "{ended:?}");
}

#[test]
fn a_wait_for_a_node_begins_when_there_is_a_pod() {
    let mut bench = Bench::new(Server::replay(Replay::of("success").quick()));
    bench.until("it is there", |report| matches!(report, Report::Engine { trouble: None, .. }).then_some(()));
    bench.server.faults().refuse_pods(Some(Admission::Quota));
    let settings = KubernetesSettings { schedule_deadline_ms: 2_500, ..patient() };
    let attempt = bench.launch(&settings);
    std::thread::sleep(Duration::from_millis(2_000));
    bench.server.faults().refuse_pods(None);
    let ended = bench.end(attempt);
    assert_eq!(ended.sentence, "succeeded", "{ended:?}");
}

#[test]
fn a_refusal_that_was_not_heard_is_the_same_when_it_is_told_again() {
    let mut bench = Bench::new(Server::replay(Replay::of("image-pull-backoff").quick()));
    let attempt = bench.launch(&reduced());
    let is_refused = |report: &Report| matches!(report, Report::LaunchFailed { .. }).then_some(());
    bench.until("it is given up", is_refused);
    let first = bench.told.pop().unwrap();
    // Another comparison comes, and another launch of the same attempt.
    bench.until("it is told again", is_refused);
    assert_eq!(bench.told.pop(), Some(first));
    assert_eq!(bench.server.created().get(&Bench::pod(attempt)), Some(&1));
}

#[test]
fn a_node_whose_clock_is_wrong_ends_no_task_before_its_time() {
    let mut bench = Bench::new(Server::replay(Replay::of("sigterm-no-trap-pid1").factor(1.0)));
    let mut order = bench.order(&patient());
    order.spec.timeout_ms = Some(60_000);
    let attempt = order.attempt;
    bench.launch_order(order);
    bench.until_started(attempt);
    bench.server.change(&Bench::pod(attempt), |pod| {
        pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"] = "2020-01-01T00:00:00Z".into();
    });
    std::thread::sleep(Duration::from_secs(2));
    assert!(is_left_running(&bench, &Bench::pod(attempt)), "its time is not over");
}

/// The way that `kubectl config use-context` goes.
fn lead_elsewhere(bench: &Bench, other: &Server) -> String {
    let file = bench.server.kubeconfig();
    let before = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, std::fs::read_to_string(other.kubeconfig()).unwrap()).unwrap();
    before
}

#[test]
fn a_kubeconfig_that_leads_to_another_cluster_ends_nothing_in_the_first() {
    let other = Server::replay(Replay::of("success").quick());
    let mut bench = Bench::new(Server::replay(Replay::of("success").factor(0.5)));
    let attempt = bench.launch(&patient());
    bench.until_started(attempt);
    let before = lead_elsewhere(&bench, &other);
    // What does not answer may have moved, and the kubeconfig is read again.
    bench.server.restart(Duration::from_millis(500));
    let leads = |report: &Report| match report {
        Report::Engine { trouble: Some(why), .. } if why.contains("leads to") => Some(why.clone()),
        _ => None,
    };
    let why = bench.until("it is told", leads);
    assert!(why.contains(&bench.server.url()) && why.contains(&other.url()), "{why}");
    std::fs::write(bench.server.kubeconfig(), before).unwrap();
    assert_eq!(bench.end(attempt).sentence, "succeeded");
    assert_eq!(other.created().len(), 0, "nothing is begun there");
}

#[test]
fn a_manager_that_finds_another_cluster_waits_for_the_one_that_it_knew() {
    let other = Server::replay(Replay::of("success").quick());
    let mut bench = Bench::new(Server::replay(Replay::of("success").factor(0.5)));
    let attempt = bench.launch(&patient());
    bench.until_started(attempt);
    let before = lead_elsewhere(&bench, &other);
    bench.restart();
    bench.told.clear();
    let why = bench.until("it is out of sight", |report| match report {
        Report::Stranded { why: Some(why), .. } => Some(why.clone()),
        _ => None,
    });
    assert!(why.contains(&bench.server.url()) && why.contains("leads to"), "{why}");
    let is_closing =
        |report: &Report| matches!(report, Report::Over { .. } | Report::NeverStarted { .. } | Report::LaunchFailed { .. });
    std::thread::sleep(Duration::from_secs(1));
    assert!(!bench.heard().iter().any(is_closing), "{:?}", bench.told);
    std::fs::write(bench.server.kubeconfig(), before).unwrap();
    bench.restart();
    assert_eq!(bench.end(attempt).sentence, "succeeded");
    assert_eq!(other.created().len(), 0, "nothing is begun there");
}
