//! What can go wrong between the backend of pods and a cluster: each attempt runs once, ends once, in the right outcome and with all
//! its lines.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a failing test says so by a panic")]

#[path = "support/kubernetes/mod.rs"]
mod kubernetes;
#[path = "support/pods.rs"]
mod pods;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use airx::model::docker::RunnerMode;
use airx::model::ids::AttemptId;
use airx::model::kubernetes::KubernetesSettings;
use airx::model::pod::Word;
use airx::model::report::Report;
use kubernetes::faults::{Admission, Fault, When, Which};
use kubernetes::script::{file, stamped};
use kubernetes::{Kind, OnTerm, Replay, Server};
use pods::{Bench, Ended, reduced};

/// Scenarios of a storm, and how each ends; `|` stands between two for either. A pod that goes by itself may be gone before anybody
/// could look.
const MIX: &[(&str, &str)] = &[
    ("success", "succeeded"),
    ("exit-7", "exit 7"),
    ("oom-main", "out of memory (its limit)"),
    ("log-10000-lines", "succeeded"),
    ("preempted", "evicted: |lost: "),
    ("log-long-line", "succeeded"),
    ("native-sidecar", "exit 4"),
];

/// What all of them have: nothing is given up for a storm's sake.
fn patient() -> KubernetesSettings {
    KubernetesSettings { schedule_deadline_ms: 120_000, pull_deadline_ms: 120_000, ..reduced() }
}

fn scenario_of(number: u32) -> &'static (&'static str, &'static str) {
    &MIX[number as usize % MIX.len()]
}

/// A server whose pods play the mix by the number of their attempt.
fn mixed() -> Server {
    Server::replaying(|pod| {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        let number = name.rsplit('-').next().and_then(|number| number.parse().ok()).unwrap_or(0);
        Replay::of(scenario_of(number).0).quick()
    })
}

fn printed(scenario: &str) -> Vec<u8> {
    let log = file(scenario, "log.txt").unwrap_or_default();
    log.split_inclusive(|byte| *byte == b'\n').filter_map(stamped).flat_map(|(_, text)| text.to_vec()).collect()
}

/// Runs so many attempts through a storm.
fn weather(count: u32, prepare: impl FnOnce(&Server)) -> Bench {
    let server = mixed();
    prepare(&server);
    let mut bench = Bench::new(server);
    let attempts: Vec<AttemptId> = (0..count).map(|_| bench.launch(&patient())).collect();
    see_through(&mut bench, &attempts);
    bench
}

/// Waits for the end of all, and compares.
fn see_through(bench: &mut Bench, attempts: &[AttemptId]) {
    let mut ended: BTreeMap<AttemptId, Ended> = BTreeMap::new();
    for attempt in attempts {
        ended.insert(*attempt, bench.end(*attempt));
    }
    for (attempt, end) in &ended {
        let (scenario, sentence) = scenario_of(attempt.number);
        assert!(sentence.split('|').any(|sentence| end.sentence.starts_with(sentence)), "{scenario}: {end:?}");
        if *scenario != "preempted" {
            assert!(end.out == printed(scenario), "{scenario}: {} bytes; {:?}", end.out.len(), end.notes);
        }
        // One that is made by a call without an answer, and taken away before anybody could see it, is asked for again.
        let made = bench.server.created().get(&Bench::pod(*attempt)).copied();
        assert!(made == Some(1) || (*scenario == "preempted" && made.is_some()), "{scenario}: {made:?}");
    }
    for attempt in attempts {
        let is_its = |report: &&Report| matches!(report, Report::Over { attempt: it, .. } if it == attempt);
        let first = bench.told.iter().find(is_its);
        assert!(bench.told.iter().filter(is_its).all(|again| Some(again) == first), "asked again, the same is told");
    }
}

#[test]
fn streams_that_drop_lose_nothing() {
    let bench = weather(14, |server| {
        let faults = server.faults();
        faults.on(Kind::Watch, Which::Every(2), Fault::End { after: 5, is_clean: false });
        faults.on(Kind::Watch, Which::Every(3), Fault::End { after: 3, is_clean: true });
        faults.on(Kind::Log, Which::Every(2), Fault::End { after: 2, is_clean: false });
        faults.on(Kind::Log, Which::Next(5), Fault::End { after: 1, is_clean: true });
    });
    assert!(bench.server.faults().fired() > 10);
}

#[test]
fn events_that_come_twice_late_or_in_another_order_change_nothing() {
    for fault in [Fault::Twice, Fault::Late(Duration::from_millis(150)), Fault::Swapped] {
        weather(14, |server| server.faults().on(Kind::Watch, Which::Always, fault));
    }
}

#[test]
fn a_server_that_is_busy_or_broken_is_asked_again() {
    for seed in 1..=3 {
        let bench = weather(14, |server| {
            let faults = server.faults();
            faults.seed(seed);
            faults.on_all(Which::Chance(0.15), Fault::internal(When::Before));
            faults.on_all(Which::Chance(0.1), Fault::internal(When::After));
            faults.on(Kind::Create, Which::Chance(0.3), Fault::internal(When::After));
            faults.on(Kind::Create, Which::Chance(0.2), Fault::Cut(When::After));
            faults.on(Kind::Log, Which::Chance(0.2), Fault::no_kubelet());
            faults.on_all(Which::Chance(0.03), Fault::too_many(When::Before, 1));
        });
        assert!(bench.server.faults().fired() > 5);
    }
}

#[test]
fn answers_that_come_late_are_waited_for() {
    weather(7, |server| {
        let faults = server.faults();
        faults.on(Kind::Create, Which::Next(1), Fault::Stall(When::After, Duration::from_secs(10)));
        faults.on(Kind::List, Which::Next(1), Fault::Stall(When::Before, Duration::from_secs(5)));
        faults.on(Kind::Log, Which::Next(2), Fault::Stall(When::Before, Duration::from_secs(10)));
    });
}

#[test]
fn a_watch_that_falls_silent_is_found_out_by_a_list() {
    let bench = weather(3, |server| server.faults().on(Kind::Watch, Which::Next(1), Fault::Silent));
    assert!(bench.server.requests(Kind::List) >= 2);
}

#[test]
fn what_the_kubelet_says_in_the_place_of_a_log_is_no_output() {
    weather(7, |server| server.faults().on(Kind::Log, Which::Every(2), Fault::no_log()));
}

#[test]
fn a_server_that_restarts_costs_nothing_but_time() {
    let server = mixed();
    let mut bench = Bench::new(server);
    let mut attempts: Vec<AttemptId> = (0..7).map(|_| bench.launch(&patient())).collect();
    for _ in 0..3 {
        bench.until_started(*attempts.last().unwrap());
        bench.server.restart(Duration::from_millis(700));
        attempts.push(bench.launch(&patient()));
    }
    see_through(&mut bench, &attempts);
    let was_told = bench.told.iter().any(|report| matches!(report, Report::Engine { trouble: Some(_), .. }));
    assert!(was_told, "that it was gone is told");
}

#[test]
fn quota_that_is_used_up_is_waited_for_and_what_never_heals_is_told_at_once() {
    let mut bench = Bench::new(Server::replay(Replay::of("success").quick()));
    bench.server.faults().refuse_pods(Some(Admission::Quota));
    let attempt = bench.launch(&patient());
    bench.until_progress("quota");
    bench.server.faults().refuse_pods(None);
    assert_eq!(bench.end(attempt).sentence, "succeeded");
    let never = [
        (Admission::QuotaMustSpecify, "`requests`"),
        (Admission::LimitRange, "LimitRange"),
        (Admission::PodSecurity, "Pod Security"),
        (Admission::PriorityClass, "`priority_class`"),
        (Admission::ServiceAccount, "`service_account`"),
        (Admission::NamespaceTerminating, "being deleted"),
    ];
    for (admission, part) in never {
        bench.server.faults().refuse_pods(Some(admission));
        let attempt = bench.launch(&patient());
        let began = Instant::now();
        let ended = bench.end(attempt);
        assert!(ended.sentence.contains(part) && began.elapsed() < Duration::from_secs(10), "{ended:?}");
    }
}

#[test]
fn a_missing_right_is_told_by_its_verb() {
    let mut bench = Bench::new(Server::replay(Replay::of("success").quick()));
    bench.until("it is there", |report| matches!(report, Report::Engine { trouble: None, .. }).then_some(()));
    bench.server.deny("create", "pods");
    let attempt = bench.launch(&reduced());
    bench.until_progress("the verb `create` on pods in airx is missing");
    let ended = bench.end(attempt);
    assert!(ended.sentence.contains("assets/kubernetes"), "{ended:?}");
}

#[test]
fn a_node_that_is_away_holds_its_attempt_and_no_other_is_begun() {
    let mut bench = Bench::new(Server::replay(Replay::of_pod("kubelet-stopped", "tolerates-5s").factor(0.05)));
    let attempt = bench.launch(&patient());
    let why = bench.until("it is stranded", |report| match report {
        Report::Stranded { attempt: it, why: Some(why) } if *it == attempt => Some(why.clone()),
        _ => None,
    });
    assert!(why.contains("node-1 is unreachable"), "{why}");
    assert!(!bench.heard().iter().any(|report| matches!(report, Report::Over { .. })), "nothing is known of it");
    let ended = bench.end(attempt);
    assert!(ended.sentence.starts_with("evicted: DeletionByTaintManager"), "{ended:?}");
    let back = bench.told.iter().rposition(|report| matches!(report, Report::Stranded { why: None, .. }));
    let over = bench.told.iter().rposition(|report| matches!(report, Report::Over { .. }));
    assert!(back < over, "{:?}", bench.told);
}

#[test]
fn a_pod_that_lost_its_labels_is_not_gone() {
    let mut bench = Bench::new(Server::replay(Replay::of("success").factor(1.0)));
    let attempt = bench.launch(&patient());
    bench.until_started(attempt);
    bench.server.change(&Bench::pod(attempt), |pod| {
        pod["metadata"]["labels"] = serde_json::json!({ "somebody": "else" });
    });
    assert_eq!(bench.end(attempt).sentence, "succeeded");
}

/// However often what is there is compared with what is wanted.
#[test]
fn a_deletion_that_is_refused_is_asked_for_by_one_at_a_time() {
    let mut bench = Bench::new(Server::replay(Replay::of("success").quick()));
    let attempt = bench.launch(&patient());
    assert_eq!(bench.end(attempt).sentence, "succeeded");
    bench.server.deny("delete", "pods");
    bench.forget(attempt);
    bench.server.until("it was asked for", |server| server.requests(Kind::Delete) > 0);
    (0..100).for_each(|_| bench.inspect(&[]));
    bench.server.until("it was asked for again", |server| server.requests(Kind::Delete) > 2);
    assert!(bench.server.requests(Kind::Delete) < 10, "{}", bench.server.requests(Kind::Delete));
    bench.server.allow("delete", "pods");
    bench.server.until("it is gone", |server| server.pods().is_empty());
}

#[test]
fn a_pod_that_is_not_ours_is_left_alone() {
    let mut bench = Bench::new(Server::replay(Replay::of("success").quick()));
    let order = bench.order(&reduced());
    let attempt = order.attempt;
    bench.launch_order(order);
    assert_eq!(bench.end(attempt).sentence, "succeeded");
    let pod = Bench::pod(attempt);
    bench.server.change(&pod, |pod| pod["metadata"]["labels"] = serde_json::json!({ "app": "theirs" }));
    // As a home that was restored from a backup might.
    std::fs::remove_file(format!("{}.pod", bench.dir(attempt).display())).unwrap();
    bench.restart();
    bench.told.clear();
    let order = bench.order_of(attempt, &reduced());
    bench.launch_order(order);
    let ended = bench.end(attempt);
    assert!(ended.sentence.contains("not airx's"), "{ended:?}");
    assert_eq!(bench.server.requests(Kind::Delete), 0);
}

#[test]
fn answers_and_the_wish_to_end_at_once_are_said_by_attaching_once() {
    let mut bench = Bench::new(Server::replay(Replay::of("success").factor(1.5).on_term(OnTerm::Ignore)));
    let settings = KubernetesSettings { runner: RunnerMode::Auto, attach: true, ..patient() };
    let attempt = bench.launch(&settings);
    bench.until_started(attempt);
    // It is said again at every comparison with reality.
    bench.put(attempt, "q-1.json", b"yes");
    bench.put(attempt, "q-1.json", b"yes");
    let pod = Bench::pod(attempt);
    let answer = Word::Put("q-1.json".to_owned(), b"yes".to_vec()).line();
    bench.server.until("the answer is said", |server| server.attached(&pod) == answer.as_bytes());
    bench.stop(attempt, false);
    bench.server.until("it is asked to end", |server| server.requests(Kind::Delete) == 1);
    bench.stop(attempt, true);
    let both = answer + &Word::Kill.line();
    bench.server.until("it is told to end at once", |server| server.attached(&pod) == both.as_bytes());
    bench.server.delete(&pod, Some(0));
    assert_eq!(bench.end(attempt).sentence, "cancelled");
}
