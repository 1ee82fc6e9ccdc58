//! What is played is what was recorded.

use std::time::Duration;

use serde_json::{Value, json};

use super::client::{Client, End, PODS, name, short};
use super::kubernetes::script::{changes, file, fixtures, is_own, json, request, stamped};
use super::kubernetes::{Kind, OnTerm, Replay, Server};

/// The manifest that was posted.
fn posted(scenario: &str) -> Value {
    json(scenario, "pod.json")
}

fn scenarios(with: &str) -> Vec<String> {
    let mut all: Vec<String> =
        std::fs::read_dir(fixtures()).unwrap().flatten().map(|it| it.file_name().into_string().unwrap()).collect();
    all.retain(|scenario| file(scenario, with).is_some());
    all.sort();
    all
}

/// Of a pod that a server made, and of one that was recorded: without what differs from pod to pod.
fn plain(pod: &Value) -> Value {
    let mut pod = pod.clone();
    for key in ["uid", "resourceVersion", "creationTimestamp"] {
        assert!(pod["metadata"][key].as_str().is_some_and(|text| !text.is_empty()), "{key}: {pod}");
        pod["metadata"].as_object_mut().unwrap().remove(key);
    }
    pod
}

#[test]
fn a_created_pod_has_the_defaults_that_a_server_gives() {
    let server = Server::replay(Replay::of("exit-7").quick());
    server.namespace("airx-limits");
    server.namespace("airx-restricted");
    let client = Client::of(&server);
    for scenario in scenarios("create.response.json") {
        let recorded = json(&scenario, "create.response.json");
        let mut pod = posted(&scenario);
        if recorded["status"] != 201 || scenario == "limitrange-defaults" || scenario == "preempted" {
            continue;
        }
        pod["metadata"]["name"] = json!(format!("{}-x", name(&pod)));
        let namespace = recorded["body"]["metadata"]["namespace"].as_str().unwrap();
        let reply = client.request("POST", &format!("/api/v1/namespaces/{namespace}/pods"), pod.to_string().as_bytes());
        assert_eq!(reply.status, 201, "{scenario}: {reply:?}");
        let mut expected = plain(&recorded["body"]);
        expected["metadata"]["name"] = pod["metadata"]["name"].clone();
        assert_eq!(plain(&reply.json()), expected, "{scenario}");
    }
}

/// The recorder's own DELETE is told from somebody else's by two marks, which agree.
#[test]
fn who_deleted_a_pod_is_told_by_the_requests_and_by_its_conditions() {
    for scenario in scenarios("watch.ndjson") {
        let exchange = json(&scenario, "exchange.json");
        if !exchange["requests"].is_array() {
            continue;
        }
        let deleting =
            changes(&scenario, None).into_iter().find(|(_, event)| !event["object"]["metadata"]["deletionTimestamp"].is_null());
        let Some((at, event)) = deleting else { continue };
        let asked = request(&exchange, "DELETE").is_some_and(|sent| sent <= at);
        assert_eq!(is_own(&exchange, at, &event["object"]), asked, "{scenario}");
    }
}

/// The whole series of a scenario, with the DELETE sent when the recorder sent it.
fn plays(scenario: &str) -> (Vec<String>, Vec<String>) {
    let recorded = changes(scenario, None);
    let server = Server::replay(Replay::of(scenario).quick());
    let client = Client::of(&server);
    let mut pod = posted(scenario);
    pod["metadata"]["name"] = json!("other");
    let mut watch = client.watch(&format!("&resourceVersion={}", client.version()));
    let created = client.create(&pod);
    let exchange = json(scenario, "exchange.json");
    let first = recorded.iter().position(|(_, event)| !event["object"]["metadata"]["deletionTimestamp"].is_null());
    let own = first.filter(|first| is_own(&exchange, recorded[*first].0, &recorded[*first].1["object"]));
    let mut got = Vec::new();
    while let Some(event) = watch.next_event() {
        assert_eq!(event["object"]["metadata"]["uid"], created["metadata"]["uid"]);
        assert_eq!(event["object"]["spec"]["containers"], created["spec"]["containers"]);
        got.push(short(&event));
        if Some(got.len()) == own {
            let asked = json(scenario, "delete.response.json")["request"]["body"]["gracePeriodSeconds"].as_u64();
            assert_eq!(client.delete_within(&created, asked).status, 200);
        }
        if event["type"] == "DELETED" || (own.is_none() && got.len() == recorded.len()) {
            break;
        }
    }
    assert!(server.complaints().is_empty(), "{:?}", server.complaints());
    (got, recorded.iter().map(|(_, event)| short(event)).collect())
}

#[test]
fn watches_tell_what_was_recorded() {
    // Finalizers are the client's matter, and pods that are forced away are those of another test.
    let special = [
        "finalizer",
        "finalizer-finished-pod",
        "delete-force-grace-0",
        "delete-then-shorter-grace",
        "watch-label-leaves-selector",
    ];
    let all: Vec<String> = scenarios("watch.ndjson")
        .into_iter()
        .filter(|scenario| file(scenario, "pod.json").is_some() && !special.contains(&scenario.as_str()))
        .collect();
    assert!(all.len() > 30, "{all:?}");
    std::thread::scope(|scope| {
        for part in all.chunks(all.len().div_ceil(6)) {
            scope.spawn(move || {
                for scenario in part {
                    let (got, recorded) = plays(scenario);
                    let differ = got.iter().zip(&recorded).position(|(got, recorded)| got != recorded);
                    let at = differ.unwrap_or(got.len().min(recorded.len()));
                    assert_eq!(got.get(at), recorded.get(at), "{scenario}, event {at}");
                }
            });
        }
    });
}

#[test]
fn logs_are_what_was_recorded() {
    let all = scenarios("log.txt");
    std::thread::scope(|scope| {
        for part in all.chunks(all.len().div_ceil(6)) {
            scope.spawn(move || part.iter().for_each(|scenario| tells_the_log(scenario)));
        }
    });
}

fn tells_the_log(scenario: &str) {
    let recorded = file(scenario, "log.txt").unwrap();
    let lines: Vec<&[u8]> =
        recorded.split_inclusive(|byte| *byte == b'\n').filter_map(|line| stamped(line).map(|(_, text)| text)).collect();
    if lines.concat().is_empty() || file(scenario, "pod.json").is_none() {
        return;
    }
    // What others deleted, or was gone at once, has to be slow enough for its log to be opened.
    let is_brief = ["eviction-api", "preempted", "delete-force-grace-0"].contains(&scenario);
    let replay = Replay::of(scenario);
    let server = Server::replay(if is_brief { replay.factor(0.5).deleted_by_somebody() } else { replay.quick() });
    let client = Client::of(&server);
    let created = client.create(&posted(scenario));
    let pod = name(&created);
    let target = format!("{PODS}/{pod}/log?follow=true&timestamps=true&container=main");
    server.until("the log can be opened", |_| client.stream(&target).status == 200);
    let mut stream = client.stream(&target);
    let lasts = !is_brief
        && changes(scenario, None).iter().any(|(_, event)| {
            let pod = &event["object"];
            !pod["metadata"]["deletionTimestamp"].is_null() && pod["status"]["phase"] == "Running"
        });
    if lasts {
        server.until("it runs", |server| server.pod(&pod).is_some_and(|pod| pod["status"]["phase"] == "Running"));
        client.delete(&created);
    }
    let got = stream.rest();
    assert_eq!(stream.end, Some(End::Clean), "{scenario}");
    let got: Vec<(jiff::Timestamp, &[u8])> =
        got.split_inclusive(|byte| *byte == b'\n').map(|line| stamped(line).unwrap()).collect();
    assert_eq!(got.iter().map(|(_, text)| *text).collect::<Vec<_>>().concat(), lines.concat(), "{scenario}");
    assert!(got.windows(2).all(|pair| pair[0].0 < pair[1].0), "{scenario}: times grow");
    let age = got[0].0.duration_until(jiff::Timestamp::now()).abs();
    assert!(age < jiff::SignedDuration::from_secs(60), "{scenario}: of now");
}

#[test]
fn times_of_a_status_are_of_now_and_in_order() {
    let server = Server::replay(Replay::of("deadline-trap").quick());
    let client = Client::of(&server);
    let pod = client.create(&posted("deadline-trap"));
    server.until("it is over", |server| server.pod(&name(&pod)).is_some_and(|pod| pod["status"]["phase"] == "Failed"));
    let pod = server.pod(&name(&pod)).unwrap();
    let ended = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
    let time = |value: &Value| value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let order = [
        time(&pod["metadata"]["creationTimestamp"]),
        time(&pod["status"]["startTime"]),
        time(&ended["startedAt"]),
        time(&ended["finishedAt"]),
        jiff::Timestamp::now(),
    ];
    assert!(order.is_sorted(), "{order:?}");
    assert!(order[0].duration_until(order[4]) < jiff::SignedDuration::from_secs(60));
}

/// Nothing of it was recorded: what a kubelet does with any process.
#[test]
fn a_pod_can_be_deleted_earlier_than_the_recorder_did() {
    for (on_term, code) in [(OnTerm::Exit(143), 143), (OnTerm::Exit(0), 0), (OnTerm::Ignore, 137)] {
        let replay = Replay::of("evicted-emptydir").factor(0.01).on_term(on_term);
        let server = Server::replay(replay.gaps(Duration::from_secs(5)));
        let client = Client::of(&server);
        let mut watch = client.watch("");
        let pod = client.create(&posted("evicted-emptydir"));
        watch.until("it runs", |event| event["object"]["status"]["phase"] == "Running");
        assert_eq!(client.delete(&pod).status, 200);
        let rest = watch.until("it is gone", |event| event["type"] == "DELETED");
        let last = &rest.last().unwrap()["object"];
        let phase = if code == 0 { "Succeeded" } else { "Failed" };
        assert_eq!(last["status"]["phase"], phase);
        assert_eq!(last["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"], code);
        let grace = &pod["spec"]["terminationGracePeriodSeconds"];
        assert_eq!(rest[0]["object"]["metadata"]["deletionGracePeriodSeconds"], *grace);
    }
}

#[test]
fn a_deletion_before_a_container_runs_ends_as_in_the_recordings() {
    // Waiting for good: unknown. On its way: it still starts.
    let unknown = |pod: &Value| pod["status"]["containerStatuses"][0]["state"]["terminated"]["reason"].clone();
    let server = Server::replay(Replay::of("image-pull-backoff").quick());
    let client = Client::of(&server);
    let mut watch = client.watch("");
    let pod = client.create(&posted("image-pull-backoff"));
    watch.until("it waits", |event| {
        event["object"]["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "ErrImagePull"
    });
    client.delete(&pod);
    let rest = watch.until("it is gone", |event| event["type"] == "DELETED");
    assert_eq!(unknown(&rest.last().unwrap()["object"]), "ContainerStatusUnknown");
    assert!(server.ran().is_empty());

    let server = Server::replay(Replay::of("success").factor(0.05));
    let client = Client::of(&server);
    let mut watch = client.watch("");
    let pod = client.create(&posted("success"));
    watch.until("it is being created", |event| !event["object"]["status"]["containerStatuses"].is_null());
    client.delete(&pod);
    let rest = watch.until("it is gone", |event| event["type"] == "DELETED");
    assert!(rest.iter().any(|event| event["object"]["status"]["phase"] == "Running"), "{rest:#?}");
    assert_eq!(unknown(&rest.last().unwrap()["object"]), "Error");
    assert_eq!(server.ran().values().sum::<usize>(), 1);
}

#[test]
fn an_outage_is_played_with_the_pod_that_saw_it() {
    let server = Server::replay(Replay::of_pod("apiserver-killed", "ends-meanwhile").factor(0.2));
    let client = Client::of(&server);
    let mut watch = client.watch("");
    client.create(&json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "a" },
        "spec": { "containers": [{ "name": "main", "image": "x" }] },
    }));
    let running = watch.until("it runs", |event| event["object"]["status"]["phase"] == "Running");
    let version = running.last().unwrap()["object"]["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    assert_eq!(watch.rest(), b"");
    assert_eq!(watch.end, Some(End::Broken));
    let refused = |_: &Server| {
        client.try_request("GET", PODS, "", b"").is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
    };
    server.until("connections are refused", refused);
    server.until("it answers", |_| client.try_request("GET", PODS, "", b"").is_ok_and(|reply| reply.status == 200));
    let error = client.watch(&format!("&resourceVersion={version}")).next_event().unwrap();
    assert_eq!((&error["type"], &error["object"]["code"]), (&json!("ERROR"), &json!(410)));
    server.until("its end is told", |server| server.pod("a").is_some_and(|pod| pod["status"]["phase"] == "Failed"));
    assert_eq!(client.get(&format!("{PODS}/a/log")).body, b"bye\n");
}

#[test]
fn a_node_can_be_away_as_it_was() {
    let server = Server::replay(Replay::of_pod("kubelet-stopped", "ends-meanwhile").factor(0.02));
    let client = Client::of(&server);
    let mut watch = client.watch("");
    client.create(&json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "a" },
        "spec": { "containers": [{ "name": "main", "image": "x" }] },
    }));
    watch.until("it runs", |event| event["object"]["status"]["phase"] == "Running");
    server.until("its log cannot be had", |_| client.get(&format!("{PODS}/a/log")).status == 500);
    let events = watch.until("it has ended", |event| event["object"]["status"]["phase"] == "Failed");
    let is_unready = |event: &Value| {
        let conditions = event["object"]["status"]["conditions"].as_array().unwrap();
        conditions.iter().any(|it| it["type"] == "Ready" && it["status"] == "False" && it["reason"].is_null())
    };
    assert!(events.iter().any(is_unready));
    assert_eq!(client.get(&format!("{PODS}/a/log")).status, 200);
}

/// A thousand pods, each watched and its log followed.
#[test]
fn a_thousand_pods_are_played_at_once() {
    let server = Server::replay(Replay::of("success").quick());
    let client = Client::of(&server);
    let mut watch = client.watch(&format!("&resourceVersion={}", client.version()));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut ended = 0;
            while ended < 1000 {
                let event = watch.next_event().expect("the watch goes on");
                let pod = &event["object"];
                ended += usize::from(pod["status"]["phase"] == "Succeeded" && pod["metadata"]["deletionTimestamp"].is_null());
            }
        });
        for thread in 0..4 {
            let client = &client;
            scope.spawn(move || {
                let mut pod = posted("success");
                for number in 0..250 {
                    pod["metadata"]["name"] = json!(format!("pod-{thread}-{number}"));
                    client.create(&pod);
                }
            });
        }
    });
    assert_eq!(server.created().len(), 1000);
    assert!(server.ran().values().all(|count| *count == 1) && server.ran().len() == 1000);
    assert_eq!(server.requests(Kind::Create), 1000);
}
