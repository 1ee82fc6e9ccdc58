//! `airx doctor` about pools of pods, through the built program: where no cluster is to be reached, and on the wire of the fake one. All
//! that a cluster's answers may mean is told by the tests beside `backend::kubernetes::survey`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test says so by a panic")]

#[path = "support/home.rs"]
mod home;
#[path = "support/kubernetes/mod.rs"]
mod kubernetes;

use std::net::TcpListener;
use std::time::{Duration, Instant};

use home::{TestHome, text};
use kubernetes::{Admission, Kind, Replay, Server};
use serde_json::Value;

/// What the doctor says of clusters: verdict, what was found, remedy.
fn examine(home: &TestHome, pools: &str) -> Vec<(String, String, String)> {
    std::fs::create_dir_all(home.path()).unwrap();
    std::fs::write(home.path().join("config.yaml"), format!("pools:\n{pools}")).unwrap();
    let output = home.run(["doctor", "-o", "json"]);
    let all: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap_or_else(|why| panic!("{why}: {}", text(&output)));
    let word = |check: &Value, key: &str| check[key].as_str().unwrap().to_owned();
    let of_clusters =
        all.iter().filter(|check| ["cluster", "rights", "pods", "pool pods"].contains(&check["name"].as_str().unwrap()));
    of_clusters.map(|check| (word(check, "verdict"), word(check, "found"), word(check, "remedy"))).collect()
}

fn one(home: &TestHome, pools: &str) -> (String, String) {
    let mut all = examine(home, pools);
    assert_eq!(all.len(), 1, "{all:?}");
    let (verdict, found, remedy) = all.remove(0);
    assert_eq!(verdict, "fail", "{found}");
    assert!(found.ends_with("nothing starts there"), "{found}");
    (found, remedy)
}

fn write_kubeconfig(home: &TestHome, port: u16, user: &str) {
    let place = home.user().join(".kube");
    std::fs::create_dir_all(&place).unwrap();
    let config = format!(
        "apiVersion: v1\nkind: Config\nclusters: [{{name: k, cluster: {{server: \"http://127.0.0.1:{port}\"}}}}]\n\
         users: [{{name: u, user: {user}}}]\ncontexts: [{{name: dev, context: {{cluster: k, user: u, namespace: airx}}}}]\n\
         current-context: dev\n"
    );
    std::fs::write(place.join("config"), config).unwrap();
}

const POOL: &str = "  pods: { backend: kubernetes, image: x }\n";

#[test]
fn without_pools_of_pods_nothing_is_said_of_clusters() {
    assert_eq!(examine(&TestHome::new(), "  local: { backend: process }\n"), []);
}

#[test]
fn what_leads_to_no_cluster_is_told_by_why() {
    let home = TestHome::new();
    let (found, remedy) = one(&home, POOL);
    assert!(found.contains("there is no kubeconfig") && remedy.contains("KUBECONFIG"), "{found} {remedy}");
    let (found, remedy) = one(&home, "  pods: { backend: kubernetes, image: x, context: in-cluster }\n");
    assert!(found.contains("does not run within a cluster") && remedy.contains("manager.yaml"), "{found} {remedy}");

    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    write_kubeconfig(&home, closed, "{token: t}");
    let (found, _) = one(&home, "  pods: { backend: kubernetes, image: x, context: prod }\n");
    assert!(found.contains("no context `prod`, but dev"), "{found}");
    let (found, remedy) = one(&home, POOL);
    assert!(found.contains(&format!("http://127.0.0.1:{closed}/ cannot be reached: Connection refused")), "{found}");
    assert!(remedy.contains("is the cluster up"), "{remedy}");
}

/// One that takes connections and says nothing, and one whose credentials nobody gives: both at once hold up no longer than one.
#[test]
fn who_does_not_answer_is_not_waited_for() {
    let home = TestHome::new();
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let plugin = "{exec: {apiVersion: client.authentication.k8s.io/v1, command: sleep, args: [\"30\"], interactiveMode: Never}}";
    for user in ["{token: t}", plugin] {
        write_kubeconfig(&home, mute.local_addr().unwrap().port(), user);
        let began = Instant::now();
        let both = "  a: { backend: kubernetes, image: x }\n  b: { backend: kubernetes, image: x, namespace: other }\n";
        let all = examine(&home, both);
        assert!(all.len() == 2 && all.iter().all(|(_, found, _)| found.contains("no answer within")), "{all:?}");
        assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
    }
}

/// A home whose manager would use the fake cluster.
fn with_server() -> (TestHome, Server) {
    let (mut home, server) = (TestHome::new(), Server::replay(Replay::of("success").quick()));
    home.env.push(("KUBECONFIG".to_owned(), server.kubeconfig().display().to_string()));
    (home, server)
}

#[test]
fn each_missing_right_is_told_and_a_pod_is_shown_and_not_made() {
    let (home, server) = with_server();
    let all = examine(&home, POOL);
    assert!(all.iter().all(|(verdict, ..)| verdict == "ok"), "{all:?}");
    assert!(all.iter().any(|(_, found, _)| found.contains("a pod of it would be admitted")), "{all:?}");
    for (verb, resource) in [("watch", "pods"), ("get", "pods/log")] {
        server.deny(verb, resource);
    }
    let all = examine(&home, POOL);
    let (verdict, found, remedy) = all.iter().find(|(_, found, _)| found.contains("missing")).expect("what is missing is told");
    assert!(verdict == "fail" && found.contains("watch on pods") && found.contains("get on pods/log"), "{found}");
    assert!(remedy.contains("kubectl apply"), "{remedy}");
    assert!(server.pods().is_empty() && server.created().is_empty());
}

#[test]
fn who_would_refuse_a_pod_is_told() {
    let (home, server) = with_server();
    for (admission, part) in
        [(Admission::PodSecurity, "Pod Security"), (Admission::Quota, "quota"), (Admission::ServiceAccount, "service account")]
    {
        server.faults().refuse_pods(Some(admission));
        let all = examine(&home, POOL);
        assert!(all.iter().any(|(verdict, found, _)| verdict != "ok" && found.contains(part)), "{admission:?}: {all:?}");
    }
    assert!(server.requests(Kind::Create) >= 3);
}
