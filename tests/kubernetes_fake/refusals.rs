//! Requests are refused as they were.

use serde_json::{Value, json};

use super::client::{Client, PODS};
use super::kubernetes::script::{fixtures, json};
use super::kubernetes::{Admission, Replay, Server};

/// What is not played: Eviction, JSON patches, differences of specs in words, and tokens of other lists.
const LEFT_OUT: &[&str] =
    &["429-eviction-pdb", "422-json-patch-test-failed", "422-patch-immutable-spec", "410-continue-expired-events"];

/// A running pod, one without a node, and a pod posted for it.
fn server() -> Server {
    let server = Server::replaying(|pod| {
        let is_held = pod["metadata"]["name"] == "airx-rec-held-1";
        Replay::of(if is_held { "sigterm-no-trap-pid1" } else { "unschedulable-cpu" }).quick()
    });
    let client = Client::of(&server);
    for name in ["airx-rec-held-1", "airx-rec-no-node-1"] {
        client.create(&pod(name));
    }
    server.until("one runs", |server| server.pod("airx-rec-held-1").unwrap()["status"]["phase"] == "Running");
    server
}

fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name },
        "spec": { "containers": [{ "name": "main", "image": "x:1" }], "terminationGracePeriodSeconds": 600 },
    })
}

/// What the recorder had set up for a request.
fn prepare(server: &Server, client: &mut Client, case: &str) {
    let faults = server.faults();
    for namespace in ["airx-limits", "airx-restricted", "airx-quota", "airx-going"] {
        server.namespace(namespace);
    }
    match case {
        "200-list-in-missing-namespace" | "404-namespace-create" | "404-namespace-get" => {
            server.allow_everywhere();
            server.allow("get", "namespaces");
        }
        "403-limitrange" => faults.refuse_pods(Some(Admission::LimitRange)),
        "403-podsecurity-restricted" => faults.refuse_pods(Some(Admission::PodSecurity)),
        "403-priority-class-missing" => faults.refuse_pods(Some(Admission::PriorityClass)),
        "403-quota-exceeded" => faults.refuse_pods(Some(Admission::Quota)),
        "403-quota-must-specify" => faults.refuse_pods(Some(Admission::QuotaMustSpecify)),
        "403-service-account-missing" => faults.refuse_pods(Some(Admission::ServiceAccount)),
        "403-namespace-terminating" => server.terminate_namespace("airx-going"),
        "403-patch-pod-without-right" => server.deny("patch", "pods"),
        "401-bad-token" => client.token = Some("nobody's".to_owned()),
        "403-anonymous" => client.token = None,
        "406-accept" => client.accept = "text/html",
        "409-already-exists-while-terminating" => server.delete("airx-rec-held-1", None),
        _ => {}
    }
}

/// Bodies that were not kept, made anew.
fn body(case: &str, request: &Value) -> Vec<u8> {
    let made = match case {
        "400-not-json" => return b"{\"apiVersion\":\"v1\",\"kind\":\"Pod".to_vec(),
        "413-body-too-large" => return vec![b' '; 3_145_729],
        "400-wrong-kind" => json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" } }),
        "400-wrong-namespace-in-body" => {
            let mut pod = pod("a");
            pod["metadata"]["namespace"] = json!("other");
            pod
        }
        "403-namespace-terminating" => pod("airx-rec-g2-1"),
        "422-annotations-too-long" => {
            let mut pod = pod("airx-rec-x-1");
            pod["metadata"]["annotations"] = json!({ "a": "x".repeat(300_000) });
            pod
        }
        _ if request["body"].is_null() => return Vec::new(),
        _ => request["body"].clone(),
    };
    made.to_string().into_bytes()
}

#[test]
fn requests_are_refused_as_they_were() {
    let mut cases: Vec<String> = std::fs::read_dir(fixtures().join("errors"))
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name().into_string().unwrap().trim_end_matches(".json").to_owned())
        .collect();
    cases.sort();
    assert!(cases.len() > 50);
    let uid = |text: &str| text.replace(|c: char| c.is_ascii_hexdigit(), "");
    std::thread::scope(|scope| {
        for part in cases.chunks(cases.len().div_ceil(4)) {
            scope.spawn(move || {
                for case in part.iter().filter(|case| !LEFT_OUT.contains(&case.as_str())) {
                    let recorded = json("errors", &format!("{case}.json"));
                    let (server, request) = (server(), &recorded["request"]);
                    let mut client = Client::of(&server);
                    prepare(&server, &mut client, case);
                    let (method, target) = (request["method"].as_str().unwrap(), request["target"].as_str().unwrap());
                    let content = request["content_type"].as_str().unwrap_or("application/json");
                    let reply = client.try_request(method, target, content, &body(case, request)).unwrap();
                    assert_eq!(u64::from(reply.status), recorded["status"].as_u64().unwrap(), "{case}: {reply:?}");
                    for name in ["Warning", "Retry-After", "Content-Type"] {
                        assert_eq!(reply.header(name), recorded["headers"][name].as_str(), "{case}: {name}");
                    }
                    if recorded["body"]["kind"] != "Status" {
                        continue;
                    }
                    let mut expected = recorded["body"].clone();
                    let message = expected["message"]
                        .as_str()
                        .unwrap()
                        .replace("airx-token-user", "system:serviceaccount:airx:airx-manager");
                    let mut got = reply.json();
                    let (shown, got_message) = match case.as_str() {
                        // Identities and versions are others, and what is quoted of a broken body.
                        "409-delete-precondition-uid" => (uid(&message), uid(got["message"].as_str().unwrap())),
                        "504-list-resource-version-future" | "400-not-json" => (String::new(), String::new()),
                        _ => (message, got["message"].as_str().unwrap().to_owned()),
                    };
                    assert_eq!(got_message, shown, "{case}");
                    for body in [&mut expected, &mut got] {
                        body.as_object_mut().unwrap().remove("message");
                    }
                    assert_eq!(got, expected, "{case}");
                }
            });
        }
    });
}

#[test]
fn what_a_client_must_not_do_is_kept() {
    let server = server();
    let client = Client::of(&server);
    assert_eq!(server.complaints(), Vec::<String>::new());
    client.request("DELETE", &format!("{PODS}/airx-rec-no-node-1"), b"");
    let forced =
        json!({ "gracePeriodSeconds": 0, "preconditions": { "uid": server.pod("airx-rec-held-1").unwrap()["metadata"]["uid"] } });
    client.request("DELETE", &format!("{PODS}/airx-rec-held-1"), forced.to_string().as_bytes());
    client.get("/api/v1/nodes");
    let complaints = server.complaints();
    assert_eq!(complaints.len(), 3, "{complaints:?}");
    assert!(complaints[0].contains("without preconditions") && complaints[1].contains("grace 0"), "{complaints:?}");
    assert!(server.pods().is_empty());
}

#[test]
fn rights_are_told_as_they_are() {
    let server = server();
    let client = Client::of(&server);
    let may = |verb: &str, resource: &str, subresource: &str, namespace: &str| {
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": { "resourceAttributes": { "verb": verb, "resource": resource, "subresource": subresource, "namespace": namespace } },
        });
        let reply =
            client.request("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review.to_string().as_bytes());
        assert_eq!(reply.status, 201);
        reply.json()["status"]["allowed"] == true
    };
    assert!(may("create", "pods", "", "airx") && may("get", "pods", "log", "airx") && may("create", "pods", "attach", "airx"));
    assert!(!may("update", "pods", "", "airx") && !may("create", "pods", "exec", "airx"));
    assert!(!may("create", "pods", "", "default") && !may("create", "pods", "", ""));
    server.deny("create", "pods/attach");
    assert!(!may("create", "pods", "attach", "airx"));
    assert_eq!(client.get("/api/v1/namespaces/airx").status, 403);
    server.allow("get", "namespaces");
    assert_eq!(client.get("/api/v1/namespaces/airx").json()["status"]["phase"], "Active");
    assert_eq!(client.get("/version").json()["gitVersion"], "v1.36.2");
    assert_eq!(server.complaints(), Vec::<String>::new());
}

/// As the recorder did: a label, a deletion, and what may be changed then.
#[test]
fn finalizers_hold_the_object_but_not_the_log() {
    let server = Server::replay(Replay::of("finalizer").quick());
    let client = Client::of(&server);
    let mut watch = client.watch("");
    let created = client.create(&pod("a"));
    let target = format!("{PODS}/a");
    watch.until("it runs", |event| event["object"]["status"]["phase"] == "Running");
    let patch = |patch: &Value| client.request("PATCH", &target, patch.to_string().as_bytes());
    let held = patch(&json!({ "metadata": { "finalizers": ["airx.dev/collect"], "labels": { "a": "b" } } })).json();
    assert_eq!((&held["metadata"]["finalizers"][0], &held["metadata"]["labels"]["a"]), (&json!("airx.dev/collect"), &json!("b")));
    client.delete(&created);
    let is_held = |event: &Value| event["object"]["metadata"]["deletionGracePeriodSeconds"] == 0;
    let events = watch.until("it is held", is_held);
    assert_eq!(events.last().unwrap()["type"], "MODIFIED");
    assert_eq!(client.get(&target).json()["status"]["phase"], "Succeeded");
    let lost = client.get(&format!("{target}/log"));
    let recorded = json("finalizer", "log-while-held.response.json");
    let text = String::from_utf8(lost.body).unwrap();
    let start = "unable to retrieve container logs for containerd://";
    assert!(lost.status == 200 && text.starts_with(start) && recorded["body"].as_str().unwrap().starts_with(start), "{text}");
    for (change, file) in [
        (json!({ "metadata": { "finalizers": ["airx.dev/collect", "airx.dev/other"] } }), "patch-add-while-terminating"),
        (json!({ "metadata": { "uid": "00000000-0000-0000-0000-000000000000" } }), "patch-wrong-uid"),
    ] {
        let recorded = json("finalizer", &format!("{file}.response.json"))["body"].clone();
        let got = patch(&change).json();
        assert_eq!(got["message"].as_str().unwrap(), recorded["message"].as_str().unwrap().replace("airx-rec-finalizer-1", "a"));
        assert_eq!((&got["code"], &got["reason"]), (&recorded["code"], &recorded["reason"]));
        assert_eq!(got["details"]["causes"][0], recorded["details"]["causes"][0]);
    }
    assert_eq!(patch(&json!({ "metadata": { "finalizers": [] } })).status, 200);
    watch.until("it is gone", |event| event["type"] == "DELETED");
    assert_eq!(client.get(&target).status, 404);
}
