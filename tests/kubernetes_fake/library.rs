//! The library that airx speaks to clusters with gets on with the fake.

use std::future::Future;
use std::time::Duration;

use futures_util::{AsyncBufReadExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{
    AttachParams, DeleteParams, ListParams, LogParams, Patch, PatchParams, PostParams, Preconditions, WatchEvent, WatchParams,
};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt};
use serde_json::json;
use tokio::io::AsyncWriteExt;

use super::docker::BUSYBOX;
use super::kubernetes::{Kind, Replay, Server};
use super::real;

const PATIENCE: Duration = Duration::from_secs(60);

fn runs<T>(what: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, what).await.expect("in time") })
}

async fn pods(server: &Server) -> Api<Pod> {
    let kubeconfig = Kubeconfig::read_from(server.kubeconfig()).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    Api::default_namespaced(Client::try_from(config).unwrap())
}

fn pod(stdin: bool, script: &str) -> Pod {
    let pod = json!({
        "metadata": { "name": "a", "labels": { "job": "x" } },
        "spec": {
            "restartPolicy": "Never", "terminationGracePeriodSeconds": 1,
            "containers": [{
                "name": "main", "image": BUSYBOX, "command": ["sh", "-c", script], "stdin": stdin, "stdinOnce": stdin,
                "imagePullPolicy": "Never",
            }],
        },
    });
    serde_json::from_value(pod).unwrap()
}

async fn phase(api: &Api<Pod>, wanted: &[&str]) -> Pod {
    let mut watch = std::pin::pin!(api.watch(&WatchParams::default().labels("job=x"), "0").await.unwrap());
    while let Some(event) = watch.try_next().await.unwrap() {
        match event {
            WatchEvent::Added(pod) | WatchEvent::Modified(pod)
                if pod
                    .status
                    .as_ref()
                    .and_then(|status| status.phase.as_deref())
                    .is_some_and(|phase| wanted.contains(&phase)) =>
            {
                return pod;
            }
            _ => {}
        }
    }
    panic!("the watch ended before {wanted:?}");
}

#[test]
fn the_library_makes_watches_reads_and_deletes_pods() {
    let server = Server::replay(Replay::of("success").quick());
    runs(async {
        let api = pods(&server).await;
        let made = api
            .create(&PostParams { field_manager: Some("airx".to_owned()), ..PostParams::default() }, &pod(false, "true"))
            .await
            .unwrap();
        let again = api.create(&PostParams::default(), &pod(false, "true")).await.unwrap_err();
        assert!(matches!(again, kube::Error::Api(status) if status.code == 409 && status.reason == "AlreadyExists"));
        phase(&api, &["Succeeded"]).await;
        let params = LogParams { follow: true, timestamps: true, container: Some("main".to_owned()), ..LogParams::default() };
        let lines: Vec<String> = api.log_stream("a", &params).await.unwrap().lines().try_collect().await.unwrap();
        assert_eq!(lines.len(), 3, "{lines:?}");
        let patch = json!({ "metadata": { "labels": { "more": "y" } } });
        api.patch("a", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
        assert_eq!(api.list(&ListParams::default().labels("more=y")).await.unwrap().items.len(), 1);
        let params = DeleteParams {
            preconditions: Some(Preconditions { uid: made.uid(), resource_version: None }),
            ..DeleteParams::default()
        };
        assert!(api.delete("a", &params).await.unwrap().is_left());
        assert!(api.get_opt("a").await.unwrap().is_none());
    });
    assert_eq!(server.complaints(), Vec::<String>::new());
    assert_eq!((server.requests(Kind::Create), server.requests(Kind::Delete)), (2, 1));
}

#[test]
fn the_library_writes_to_a_container_s_standard_input() {
    let Some(server) = real::server() else { return };
    runs(async {
        let api = pods(&server).await;
        api.create(&PostParams::default(), &pod(true, "wc -c; echo closed")).await.unwrap();
        phase(&api, &["Running"]).await;
        let params = AttachParams::default().stdin(true).stdout(false).stderr(false).container("main");
        let mut process = api.attach("a", &params).await.unwrap();
        let mut stdin = process.stdin().unwrap();
        let bytes = vec![b'x'; 100_000];
        stdin.write_all(&bytes).await.unwrap();
        stdin.shutdown().await.unwrap();
        drop(stdin);
        tokio::task::yield_now().await;
        drop(process);
        phase(&api, &["Succeeded"]).await;
    });
    assert_eq!(server.attached("a").len(), 100_000);
    assert_eq!(server.log("a"), b"100000\nclosed\n");
    assert_eq!(server.requests(Kind::Attach), 1);
    assert_eq!(server.complaints(), Vec::<String>::new());
}
