//! Lists, watches and logs as they come over the wire.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::{Client, End, PODS, name};
use super::kubernetes::script::{json, stamped};
use super::kubernetes::{Fault, Framing, Kind, Replay, Server, When, Which};

fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "labels": { "a": "b" } },
        "spec": { "containers": [{ "name": "main", "image": "x:1" }], "terminationGracePeriodSeconds": 600 },
    })
}

fn sleeper() -> Server {
    Server::replay(Replay::of("sigterm-no-trap-pid1").quick())
}

fn phase(server: &Server, name: &str) -> Value {
    server.pod(name).map(|pod| pod["status"]["phase"].clone()).unwrap_or_default()
}

#[test]
fn lists_come_in_pages_of_one_version() {
    let server = Server::replay(Replay::of("unschedulable-cpu").quick());
    let client = Client::of(&server);
    for number in 0..5 {
        client.create(&pod(&format!("pod-{number}")));
    }
    server.until("all are told of", |server| server.pods().iter().all(|pod| pod["status"]["conditions"].is_array()));
    let (mut names, mut versions, mut token) = (Vec::new(), Vec::new(), String::new());
    for page in 1..=3 {
        let list = client.get(&format!("{PODS}?labelSelector=a%3Db&limit=2&continue={token}")).json();
        let recorded = json("list-paged", &format!("page-{page}.response.json"))["body"].clone();
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&list), keys(&recorded));
        assert_eq!(keys(&list["metadata"]), keys(&recorded["metadata"]));
        assert_eq!(keys(&list["items"][0]), keys(&recorded["items"][0]));
        names.extend(list["items"].as_array().unwrap().iter().map(name));
        versions.push(list["metadata"]["resourceVersion"].clone());
        token = list["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
        // What changes meanwhile is not seen.
        server.change("pod-4", |pod| pod["metadata"]["labels"] = json!({}));
    }
    assert_eq!(names, ["pod-0", "pod-1", "pod-2", "pod-3", "pod-4"]);
    assert!(versions.windows(2).all(|pair| pair[0] == pair[1]));
    let whole = client.get(&format!("{PODS}?limit=2&resourceVersion=0")).json();
    assert_eq!((whole["items"].as_array().unwrap().len(), &whole["metadata"]["continue"]), (5, &Value::Null));
    let one = client.get(&format!("{PODS}?fieldSelector=metadata.name%3Dpod-3")).json();
    assert_eq!(one["items"].as_array().unwrap().len(), 1);
    let list = client.get(&format!("{PODS}?limit=2")).json();
    server.expire();
    let token = list["metadata"]["continue"].as_str().unwrap();
    assert_eq!(client.get(&format!("{PODS}?limit=2&continue={token}")).json()["reason"], "Expired");
}

#[test]
fn a_watch_begins_where_it_is_asked_to() {
    let server = sleeper();
    let client = Client::of(&server);
    let before = client.version();
    client.create(&pod("a"));
    server.until("it runs", |server| phase(server, "a") == "Running");
    // From nothing and from 0: what is there; from a version: what came after it, and as it was then.
    for query in ["", "&resourceVersion=0", "&resourceVersion="] {
        let first = client.watch(query).next_event().unwrap();
        assert_eq!((&first["type"], &first["object"]["status"]["phase"]), (&json!("ADDED"), &json!("Running")));
    }
    let first = client.watch(&format!("&resourceVersion={before}")).next_event().unwrap();
    assert_eq!((&first["type"], &first["object"]["status"]["phase"]), (&json!("ADDED"), &json!("Pending")));
    let mut old = client.watch("&resourceVersion=1");
    let recorded = super::kubernetes::script::watched("watch-resource-version-1")[0].1["line"].clone();
    let mut event = old.next_event().unwrap();
    event["object"]["message"] = recorded["object"]["message"].clone();
    assert_eq!((old.status, event, old.next_event(), old.end), (200, recorded, None, Some(End::Clean)));
    let wrong = client.get(&format!("{PODS}?watch=true&resourceVersion=abc"));
    let recorded = super::kubernetes::script::watched("watch-resource-version-invalid")[0].1["line"].clone();
    assert_eq!((wrong.status, wrong.json()), (500, recorded));
    // From the future: silence, and a clean end in time.
    let start = Instant::now();
    let mut future = client.stream(&format!("{PODS}?watch=true&resourceVersion=99999999&timeoutSeconds=1"));
    assert_eq!((future.next_event(), future.end), (None, Some(End::Clean)));
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[test]
fn labels_that_change_look_like_a_deletion() {
    let server = sleeper();
    let client = Client::of(&server);
    client.create(&pod("a"));
    server.until("it runs", |server| phase(server, "a") == "Running");
    let mut watch = client.watch("&labelSelector=a%3Db");
    let patch = |value: Value| {
        client.request("PATCH", &format!("{PODS}/a"), json!({ "metadata": { "labels": { "a": value } } }).to_string().as_bytes())
    };
    patch(json!("c"));
    patch(json!("b"));
    patch(Value::Null);
    let events = watch
        .until("it is added again", |event| event["type"] == "DELETED" && event["object"]["metadata"]["labels"]["a"].is_null());
    let told: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(told, ["ADDED", "DELETED", "ADDED", "DELETED"]);
    assert_eq!(events[1]["object"]["metadata"]["labels"]["a"], "c");
    assert_eq!(events[1]["object"]["status"]["phase"], "Running");
}

#[test]
fn bookmarks_and_initial_events_are_marked() {
    let server = sleeper();
    server.bookmark_every(Duration::from_millis(50));
    let client = Client::of(&server);
    client.create(&pod("a"));
    let mut watch = client.watch("&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan");
    let is_marked = |event: &Value| event["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"] == "true";
    watch.until("the first are over", is_marked);
    let last = watch.until("a bookmark comes", |event| event["type"] == "BOOKMARK").pop().unwrap();
    assert!(last["object"]["spec"]["containers"].is_null() && last["object"]["metadata"]["annotations"].is_null());
    server.until("it runs", |server| phase(server, "a") == "Running");
    // One chunk for each event.
    assert!(!watch.chunks.is_empty());
}

#[test]
fn a_log_is_told_from_where_it_is_asked() {
    let server = Server::replay(Replay::of("log-queries"));
    let client = Client::of(&server);
    client.create(&pod("a"));
    let target = format!("{PODS}/a/log");
    server.until("it is over", |server| phase(server, "a") == "Succeeded");
    let all = client.get(&format!("{target}?timestamps=true")).body;
    let all: Vec<&[u8]> = all.split_inclusive(|byte| *byte == b'\n').collect();
    let plain = |body: &[u8], is_stamped: bool| -> Vec<u8> {
        let lines = body.split_inclusive(|byte| *byte == b'\n');
        lines
            .flat_map(|line| {
                if is_stamped { stamped(line).map_or_else(|| line.to_vec(), |(_, text)| text.to_vec()) } else { line.to_vec() }
            })
            .collect()
    };
    let recorded = json("log-queries", "log-queries.json");
    for (case, answer) in recorded["answers"].as_object().unwrap() {
        let query = answer["query"].as_object().unwrap();
        let has = |key: &str| query.contains_key(key);
        if (has("limitBytes") && has("timestamps")) || query.get("sinceSeconds").is_some_and(|seconds| seconds == "2") {
            continue;
        }
        let mut asked: Vec<String> = query.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap())).collect();
        let mut expected = answer["body"].as_str().map(|body| plain(body.as_bytes(), has("timestamps")));
        if case.starts_with("sinceTime") && case != "sinceTime_future" {
            // Cut to whole seconds, inclusive.
            let time = stamped(all[5]).unwrap().0;
            asked.retain(|part| !part.starts_with("sinceTime"));
            asked.push(format!("sinceTime={time}"));
            let mut kept: Vec<&[u8]> =
                all.iter().copied().filter(|line| stamped(line).unwrap().0.as_second() >= time.as_second()).collect();
            assert!(kept.len() > 7, "the whole second comes again");
            if has("tailLines") {
                kept.drain(..kept.len() - 2);
            }
            expected = Some(plain(&kept.concat(), true));
        }
        let reply = client.get(&format!("{target}?{}", asked.join("&")));
        assert_eq!(u64::from(reply.status), answer["status"].as_u64().unwrap(), "{case}");
        match expected {
            Some(expected) => assert_eq!(plain(&reply.body, has("timestamps")), expected, "{case}"),
            None => assert_eq!(reply.json()["details"]["causes"], answer["body"]["details"]["causes"], "{case}"),
        }
    }
    // A long line counts in pieces.
    let server = Server::replay(Replay::of("log-long-line").quick());
    let client = Client::of(&server);
    client.create(&pod("a"));
    server.until("it is over", |server| phase(server, "a") == "Succeeded");
    assert_eq!(client.get(&format!("{target}?tailLines=2")).body.len(), 4096 + 1 + "after\n".len());
}

#[test]
fn storms_are_the_same_for_the_same_seed() {
    let storm = |seed| {
        let server = Server::replay(Replay::of("unschedulable-cpu").quick());
        let client = Client::of(&server);
        server.faults().seed(seed);
        server.faults().on(Kind::Create, Which::Chance(0.3), Fault::internal(When::After));
        server.faults().on(Kind::Create, Which::Chance(0.3), Fault::too_many(When::Before, 1));
        let post = |number: usize| client.request("POST", PODS, pod(&format!("p{number}")).to_string().as_bytes());
        let replies: Vec<_> = (0..40).map(post).collect();
        assert!(replies.iter().filter(|reply| reply.status == 429).all(|reply| reply.header("Retry-After") == Some("1")));
        let stored = server.created().len();
        let told: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
        (told, stored)
    };
    let ((told, stored), again) = (storm(7), storm(7));
    assert_eq!((&told, stored), (&again.0, again.1));
    let count = |status| told.iter().filter(|told| **told == status).count();
    assert!(count(201) > 10 && count(500) > 3 && count(429) > 3, "{told:?}");
    // Some were answered 500 and are there all the same.
    assert_eq!(stored, count(201) + count(500));
    assert_ne!(storm(8).0, told);
}

#[test]
fn streams_break_as_they_are_told_to() {
    let server = Server::replay(Replay::of("success").quick());
    let client = Client::of(&server);
    let faults = server.faults();
    client.create(&pod("a"));
    server.until("it is over", |server| phase(server, "a") == "Succeeded");
    let from_start = "&resourceVersion=1000";
    let whole = client.watch(from_start).until("it is over", |event| event["object"]["status"]["phase"] == "Succeeded");
    for (is_clean, end) in [(true, End::Clean), (false, End::Broken)] {
        faults.on(Kind::Watch, Which::Next(1), Fault::End { after: 3, is_clean });
        let mut watch = client.watch(from_start);
        assert_eq!((watch.rest().split(|byte| *byte == b'\n').count(), watch.end), (4, Some(end)));
        faults.on(Kind::Log, Which::Next(1), Fault::End { after: 1, is_clean });
        let mut log = client.stream(&format!("{PODS}/a/log?follow=true"));
        assert_eq!((log.rest().split_inclusive(|byte| *byte == b'\n').count(), log.end), (1, Some(end)));
    }
    faults.on(Kind::Watch, Which::Next(1), Fault::Twice);
    let mut watch = client.watch(from_start);
    assert_eq!(watch.next_event(), watch.next_event());
    faults.on(Kind::Watch, Which::Next(1), Fault::Swapped);
    let mut watch = client.watch(from_start);
    let first = [watch.next_event().unwrap(), watch.next_event().unwrap()];
    assert_eq!(first, [whole[1].clone(), whole[0].clone()]);
    for (framing, most) in [(Framing::Pieces(100), 100), (Framing::Joined, usize::MAX)] {
        faults.on(Kind::Watch, Which::Next(1), Fault::Framed(framing));
        let mut watch = client.watch(from_start);
        let events = watch.until("it is over", |event| event["object"]["status"]["phase"] == "Succeeded");
        assert_eq!(events, whole);
        assert!(watch.chunks.iter().all(|size| *size <= most));
        assert!(framing != Framing::Joined || watch.chunks.len() == 1);
    }
    faults.on(Kind::Watch, Which::Next(1), Fault::Silent);
    let mut watch = client.stream(&format!("{PODS}?watch=true&timeoutSeconds=1"));
    assert_eq!((watch.next_event(), watch.end), (None, Some(End::Clean)));
    faults.on(Kind::Log, Which::Next(1), Fault::no_log());
    let log = client.get(&format!("{PODS}/a/log"));
    assert!(log.status == 200 && log.body.starts_with(b"unable to retrieve"));
    faults.on(Kind::Log, Which::Next(1), Fault::no_kubelet());
    let log = client.get(&format!("{PODS}/a/log")).json();
    assert!(log["code"] == 500 && log["reason"].is_null() && log["message"].as_str().unwrap().contains("connection refused"));
    faults.on(Kind::Get, Which::Every(2), Fault::Cut(When::Before));
    assert_eq!(client.get(&format!("{PODS}/a")).status, 200);
    assert!(client.try_request("GET", &format!("{PODS}/a"), "", b"").is_err());
    faults.clear();
    assert_eq!(client.get(&format!("{PODS}/a")).status, 200);
    assert_eq!(server.requests(Kind::Get), 3);
}

#[test]
fn an_eviction_is_told_before_the_deletion() {
    let server = sleeper();
    let client = Client::of(&server);
    client.create(&pod("a"));
    server.until("it runs", |server| phase(server, "a") == "Running");
    let mut watch = client.watch("");
    server.evict("a");
    let events = watch.until("it is gone", |event| event["type"] == "DELETED");
    let is_evicted = |event: &Value| {
        event["object"]["status"]["conditions"].as_array().unwrap().iter().any(|it| it["reason"] == "EvictionByEvictionAPI")
    };
    assert!(events[1..].iter().all(is_evicted), "{events:#?}");
    assert!(events[1]["object"]["metadata"]["deletionTimestamp"].is_null());
}

#[test]
fn a_restart_forgets_versions_but_not_pods() {
    let server = sleeper();
    let client = Client::of(&server);
    client.create(&pod("a"));
    server.until("it runs", |server| phase(server, "a") == "Running");
    let version = client.version();
    let mut watch = client.watch(&format!("&resourceVersion={version}"));
    server.stop();
    assert_eq!((watch.next_event(), watch.end), (None, Some(End::Broken)));
    assert_eq!(client.try_request("GET", PODS, "", b"").unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    server.start(Duration::from_millis(300));
    assert_eq!(client.get(PODS).status, 403);
    server.until("rights are known", |_| client.get(PODS).status == 200);
    assert_eq!(client.watch(&format!("&resourceVersion={version}")).next_event().unwrap()["object"]["code"], 410);
    assert_eq!(client.get(PODS).json()["items"][0]["metadata"]["name"], "a");
}

#[test]
fn many_can_watch_and_follow_at_once() {
    let server = sleeper();
    let client = Client::of(&server);
    client.create(&pod("a"));
    server.until("it runs", |server| phase(server, "a") == "Running");
    let mut watches: Vec<_> = (0..75).map(|_| client.watch("")).collect();
    let follows: Vec<_> = (0..75).map(|_| client.stream(&format!("{PODS}/a/log?follow=true"))).collect();
    assert!(server.connections().0 >= 150);
    server.change("a", |pod| pod["metadata"]["labels"]["x"] = json!("y"));
    for watch in &mut watches {
        watch.until("the change is told", |event| event["object"]["metadata"]["labels"]["x"] == "y");
    }
    drop((watches, follows));
    server.until("nobody is there any more", |server| server.connections().0 < 5);
}
