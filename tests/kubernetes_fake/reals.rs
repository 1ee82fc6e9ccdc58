//! Pods that really run, in containers of the tests' engine.

use serde_json::{Value, json};

use super::client::{Client, PODS, short};
use super::docker::BUSYBOX;
use super::kubernetes::Server;
use super::real;

fn shell(name: &str, script: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "labels": { "a": "b" } },
        "spec": {
            "restartPolicy": "Never", "terminationGracePeriodSeconds": 2, "automountServiceAccountToken": false,
            "containers": [{ "name": "main", "image": BUSYBOX, "imagePullPolicy": "Never", "command": ["sh", "-c", script] }],
        },
    })
}

/// A pod that does the second when there is a file `go` in the directory.
fn waiting(server: &Server, first: &str, second: &str) -> (Value, tempfile::TempDir) {
    let place = tempfile::tempdir().unwrap();
    server.claim("signs", place.path());
    let mut pod = shell("a", &format!("{first}; while [ ! -e /signs/go ]; do sleep 0.02; done; {second}"));
    pod["spec"]["volumes"] = json!([{ "name": "signs", "persistentVolumeClaim": { "claimName": "signs" } }]);
    pod["spec"]["containers"][0]["volumeMounts"] = json!([{ "name": "signs", "mountPath": "/signs" }]);
    (pod, place)
}

fn terminated(pod: &Value) -> &Value {
    &pod["status"]["containerStatuses"][0]["state"]["terminated"]
}

fn over(server: &Server, name: &str) -> Value {
    let phase = |server: &Server| server.pod(name).map(|pod| pod["status"]["phase"].clone()).unwrap_or_default();
    server.until("it is over", |server| phase(server) == "Succeeded" || phase(server) == "Failed");
    (*server.pod(name).unwrap()).clone()
}

#[test]
fn a_pod_runs_as_one_that_was_recorded() {
    let Some(server) = real::server() else { return };
    let client = Client::of(&server);
    let mut watch = client.watch("");
    client.create(&shell("a", r#"printf 'a\377\376b\n'; echo err >&2; printf end; exit 7"#));
    let events = watch.until("it has failed", |event| event["object"]["status"]["phase"] == "Failed");
    let told: Vec<String> = events.iter().map(short).collect();
    let recorded = super::kubernetes::script::changes("exit-7", None);
    let recorded: Vec<String> = recorded[..told.len()].iter().map(|(_, event)| short(event)).collect();
    assert_eq!(told, recorded);
    let text = server.log("a");
    assert!(text.starts_with(b"a\xff\xfeb\n") || text.starts_with(b"err\n"), "{text:?}");
    assert_eq!(text.len(), b"a\xff\xfeb\nerr\nend".len());
    assert_eq!(client.get(&format!("{PODS}/a/log")).body, text);
    assert_eq!(server.ran()["a"], 1);
}

#[test]
fn volumes_users_limits_and_variables_are_as_asked() {
    let Some(server) = real::server() else { return };
    let client = Client::of(&server);
    let claimed = tempfile::tempdir().unwrap();
    server.claim("work", claimed.path());
    server.secret("keys", "token", b"s3cret");
    let script = "cat /scratch/from-init; echo $TOKEN $JOINED $$HOME; id -u; id -g; pwd; touch /x 2>/dev/null || echo read-only; \
                  echo kept > /work/part/kept; cat /keys/token; echo; echo last words > /dev/termination-log";
    let security =
        json!({ "readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } });
    let mut pod = shell("a", script);
    pod["spec"]["securityContext"] = json!({ "runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 2000, "runAsNonRoot": true });
    pod["spec"]["volumes"] = json!([
        { "name": "scratch", "emptyDir": {} }, { "name": "work", "persistentVolumeClaim": { "claimName": "work" } },
        { "name": "keys", "secret": { "secretName": "keys" } },
    ]);
    pod["spec"]["initContainers"] = json!([{
        "name": "first", "image": BUSYBOX, "command": ["sh", "-c", "echo from init > /scratch/from-init"],
        "volumeMounts": [{ "name": "scratch", "mountPath": "/scratch" }], "securityContext": security,
    }]);
    let main = &mut pod["spec"]["containers"][0];
    main["workingDir"] = json!("/scratch");
    main["securityContext"] = security;
    main["resources"] = json!({ "limits": { "memory": "64Mi", "cpu": "500m" } });
    main["env"] = json!([
        { "name": "TOKEN", "valueFrom": { "secretKeyRef": { "name": "keys", "key": "token" } } },
        { "name": "JOINED", "value": "<$(TOKEN)$(NOBODY)$$(TOKEN)>" },
        { "name": "HOME", "value": "/scratch" },
    ]);
    main["volumeMounts"] = json!([
        { "name": "scratch", "mountPath": "/scratch" }, { "name": "work", "mountPath": "/work/part", "subPath": "part" },
        { "name": "keys", "mountPath": "/keys", "readOnly": true },
    ]);
    client.create(&pod);
    let pod = over(&server, "a");
    let text = String::from_utf8(server.log("a")).unwrap();
    let wanted = "from init\ns3cret <s3cret$(NOBODY)$(TOKEN)> /scratch\n1000\n1000\n/scratch\nread-only\ns3cret\n";
    assert_eq!((text.as_str(), &terminated(&pod)["message"]), (wanted, &json!("last words\n")), "{pod:#}");
    assert_eq!(std::fs::read_to_string(claimed.path().join("part/kept")).unwrap(), "kept\n");
    let init = &pod["status"]["initContainerStatuses"][0]["state"]["terminated"];
    assert_eq!((&init["exitCode"], &init["reason"]), (&json!(0), &json!("Completed")));
}

#[test]
fn a_deletion_ends_the_process_within_its_grace() {
    let Some(server) = real::server() else { return };
    let client = Client::of(&server);
    let mut watch = client.watch("");
    let cases = [
        ("trapped", "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done", 0),
        ("deaf", "trap '' TERM; echo up; while :; do sleep 0.05; done", 137),
    ];
    for (name, script, code) in cases {
        let pod = client.create(&shell(name, script));
        server.until("it is up", |server| {
            server.pod(name).is_some_and(|pod| pod["status"]["phase"] == "Running") && server.log(name) == b"up\n"
        });
        let mut follow = client.stream(&format!("{PODS}/{name}/log?follow=true"));
        assert_eq!(client.delete(&pod).status, 200);
        let events = watch.until("it is gone", |event| event["type"] == "DELETED" && event["object"]["metadata"]["name"] == name);
        let last = &events.last().unwrap()["object"];
        assert_eq!(terminated(last)["exitCode"], code);
        assert_eq!(last["status"]["phase"], if code == 0 { "Succeeded" } else { "Failed" });
        assert_eq!(follow.rest(), if code == 0 { &b"up\nbye\n"[..] } else { &b"up\n"[..] });
    }
    assert!(server.complaints().is_empty(), "{:?}", server.complaints());
}

#[test]
fn what_cannot_run_says_so_as_recorded() {
    let Some(server) = real::server() else { return };
    let client = Client::of(&server);
    let reason = |server: &Server, name: &str| -> Value {
        let state = server.pod(name).map(|pod| pod["status"]["containerStatuses"][0]["state"].clone()).unwrap_or_default();
        let reason = &state["waiting"]["reason"];
        if reason.is_null() { state["terminated"]["reason"].clone() } else { reason.clone() }
    };
    let make = |name: &str, change: &dyn Fn(&mut Value)| {
        let mut pod = shell(name, "true");
        change(&mut pod["spec"]);
        client.create(&pod)
    };
    make("never", &|spec| spec["containers"][0]["image"] = json!("localhost/nope:1"));
    make("pull", &|spec| {
        spec["containers"][0]["image"] = json!("localhost/nope:1");
        spec["containers"][0]["imagePullPolicy"] = json!("IfNotPresent");
    });
    make("name", &|spec| spec["containers"][0]["image"] = json!("Bad Image!!"));
    make("root", &|spec| spec["securityContext"] = json!({ "runAsNonRoot": true }));
    let from = json!([{ "name": "A", "valueFrom": { "secretKeyRef": { "name": "later", "key": "k" } } }]);
    make("secret", &|spec| spec["containers"][0]["env"] = from.clone());
    make("start", &|spec| spec["containers"][0]["command"] = json!(["/no/such/binary"]));
    make("claim", &|spec| spec["volumes"] = json!([{ "name": "w", "persistentVolumeClaim": { "claimName": "later" } }]));
    let waits =
        [("never", "ErrImageNeverPull"), ("pull", "ErrImagePull"), ("pull", "ImagePullBackOff"), ("pull", "ErrImagePull")];
    let more = [("name", "InvalidImageName"), ("root", "CreateContainerConfigError"), ("secret", "CreateContainerConfigError")];
    for (name, wanted) in waits.into_iter().chain(more).chain([("start", "StartError")]) {
        server.until(&format!("{name} is {wanted}"), |server| reason(server, name) == wanted);
    }
    let pod = over(&server, "start");
    assert_eq!((&terminated(&pod)["exitCode"], &terminated(&pod)["startedAt"]), (&json!(128), &json!("1970-01-01T00:00:00Z")));
    server.until("there is no claim", |server| {
        server.pod("claim").unwrap()["status"]["conditions"][0]["reason"] == "Unschedulable"
    });

    // Some of it heals, the rest goes as what never ran goes.
    server.secret("later", "k", b"v");
    server.claim("later", &std::env::temp_dir());
    assert_eq!(over(&server, "secret")["status"]["phase"], "Succeeded");
    assert_eq!(over(&server, "claim")["status"]["phase"], "Succeeded");
    let mut watch = client.watch("");
    client.delete(&server.pod("pull").unwrap());
    let gone = watch.until("it is gone", |event| event["type"] == "DELETED");
    assert_eq!(terminated(&gone.last().unwrap()["object"])["reason"], "ContainerStatusUnknown");
}

#[test]
fn memory_and_deadline_end_a_pod() {
    let Some(server) = real::server() else { return };
    let client = Client::of(&server);
    let mut hungry = shell("hungry", "exec tail -c 200000000 /dev/zero");
    hungry["spec"]["containers"][0]["resources"] = json!({ "limits": { "memory": "16Mi" } });
    client.create(&hungry);
    let mut late = shell("late", "trap 'exit 0' TERM; while :; do sleep 0.05; done");
    late["spec"]["activeDeadlineSeconds"] = json!(1);
    client.create(&late);
    let pod = over(&server, "hungry");
    assert_eq!((&terminated(&pod)["reason"], &terminated(&pod)["exitCode"]), (&json!("OOMKilled"), &json!(137)));
    let pod = over(&server, "late");
    assert_eq!((&pod["status"]["reason"], &terminated(&pod)["exitCode"]), (&json!("DeadlineExceeded"), &json!(0)));
    assert_eq!(pod["status"]["phase"], "Failed");
}

#[test]
fn a_pod_outlives_its_server_and_its_node_s_absence() {
    let Some(server) = real::server() else { return };
    let client = Client::of(&server);
    let (pod, place) = waiting(&server, "echo up", "echo done");
    client.create(&pod);
    server.until("it is up", |server| server.log("a") == b"up\n");
    server.until("it runs", |server| server.pod("a").unwrap()["status"]["phase"] == "Running");
    server.node_away();
    std::fs::write(place.path().join("go"), "").unwrap();
    assert_eq!(client.get(&format!("{PODS}/a/log")).status, 500);
    server.until("it has ended", |server| server.log("a") == b"up\ndone\n");
    assert_eq!(server.pod("a").unwrap()["status"]["phase"], "Running");
    server.stop();
    server.node_back();
    assert!(client.try_request("GET", PODS, "", b"").is_err());
    server.start(std::time::Duration::ZERO);
    assert_eq!(over(&server, "a")["status"]["phase"], "Succeeded");
    assert_eq!(client.get(&format!("{PODS}/a/log")).body, b"up\ndone\n");
}

/// A follower sees all of a log that rotates; who comes later sees the newest file.
#[test]
fn logs_rotate() {
    let Some(server) = real::server() else { return };
    server.rotate_logs(10_000);
    let client = Client::of(&server);
    let (pod, place) = waiting(&server, "echo first", "seq 1 5000; echo last");
    client.create(&pod);
    server.until("it prints", |server| server.pod("a").unwrap()["status"]["phase"] == "Running" && !server.log("a").is_empty());
    let mut follow = client.stream(&format!("{PODS}/a/log?follow=true"));
    assert_eq!(follow.next_line().unwrap(), b"first\n");
    std::fs::write(place.path().join("go"), "").unwrap();
    let all = [b"first\n".to_vec(), follow.rest()].concat();
    assert_eq!(all, server.log("a"));
    assert_eq!(all.split_inclusive(|byte| *byte == b'\n').count(), 5002);
    let now = client.get(&format!("{PODS}/a/log")).body;
    assert!(now.len() < 10_000 && now.ends_with(b"last\n"), "{}", now.len());
}
