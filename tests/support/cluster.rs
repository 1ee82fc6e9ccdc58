//! A real cluster for tests, when the environment names one: a namespace of each test's own, which is deleted with it.
//!
//! `AIRX_TEST_KUBECONFIG` is a kubeconfig that may make namespaces, `AIRX_TEST_KUBE_IMAGE` an image with busybox, and
//! `AIRX_TEST_KUBE_RUNNER_IMAGE` one with airx's static program alone (`make kube-runner-image`), both known to its nodes.
#![allow(dead_code, reason = "each test program uses its own part")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount};
use kube::api::{AttachParams, DeleteParams, ListParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::runtime::Runtime;

/// Longest wait for what a cluster does by itself.
const PATIENCE: Duration = Duration::from_secs(60);

/// A namespace of a real cluster.
pub struct Cluster {
    /// The kubeconfig.
    pub kubeconfig: PathBuf,
    /// The namespace.
    pub namespace: String,
    /// An image with busybox.
    pub image: String,
    /// An image with our program.
    pub runner_image: String,
    runtime: Runtime,
    client: Client,
}

/// Whether the environment names a cluster.
pub fn is_named() -> bool {
    std::env::var_os("AIRX_TEST_KUBECONFIG").is_some()
}

impl Cluster {
    /// A new namespace, in which only what the Pod Security level `restricted` allows can be.
    pub fn new() -> Cluster {
        let variable =
            |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set, though a cluster is named"));
        let kubeconfig = PathBuf::from(variable("AIRX_TEST_KUBECONFIG"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let client = runtime.block_on(async {
            let file = Kubeconfig::read_from(&kubeconfig).expect("a kubeconfig");
            let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.expect("a context");
            Client::try_from(config).expect("a client")
        });
        let namespace = format!("airx-test-{}", airx::os::random_hex(5));
        let cluster = Cluster {
            kubeconfig,
            namespace,
            image: variable("AIRX_TEST_KUBE_IMAGE"),
            runner_image: variable("AIRX_TEST_KUBE_RUNNER_IMAGE"),
            runtime,
            client,
        };
        cluster.make();
        cluster
    }

    fn make(&self) {
        let labels = json!({ "pod-security.kubernetes.io/enforce": "restricted", "airx.dev/test": "true" });
        let wanted = json!({ "metadata": { "name": self.namespace, "labels": labels } });
        let wanted: Namespace = serde_json::from_value(wanted).expect("a namespace");
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &self.namespace);
        self.runtime.block_on(async {
            Api::all(self.client.clone()).create(&PostParams::default(), &wanted).await.expect("a namespace can be made");
        });
        // Until then no pod is admitted.
        self.until("the namespace has its service account", || {
            self.runtime.block_on(accounts.get_opt("default")).ok().flatten().is_some()
        });
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The names of all pods in it.
    pub fn names(&self) -> Vec<String> {
        let all = self.runtime.block_on(self.pods().list(&ListParams::default())).expect("a list");
        all.items.into_iter().filter_map(|pod| pod.metadata.name).collect()
    }

    /// Whether a file is in the workspace of the one pod. Of one that has ended nothing can be said, so it is taken for there.
    pub fn has_file(&self, name: &str) -> bool {
        let found = self.runtime.block_on(self.pods().list(&ListParams::default())).expect("a list");
        let Some(pod) = found.items.first() else { return true };
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default();
        matches!(phase, "Succeeded" | "Failed") || self.exec(&["test", "-e", &format!("/workspace/{name}")])
    }

    /// Makes a file in the workspace of the one pod.
    pub fn touch(&self, name: &str) {
        self.until("the file is made", || self.exec(&["touch", &format!("/workspace/{name}")]));
    }

    fn exec(&self, command: &[&str]) -> bool {
        let names = self.names();
        let Some(name) = names.first() else { return false };
        self.runtime.block_on(async {
            let params = AttachParams::default().container("main").stderr(false);
            let Ok(mut attached) = self.pods().exec(name, command.iter().copied(), &params).await else { return false };
            let status = attached.take_status().expect("asked for once");
            let mut said = Vec::new();
            if let Some(mut out) = attached.stdout() {
                let _ = out.read_to_end(&mut said).await;
            }
            status.await.is_some_and(|status| status.status.as_deref() == Some("Success"))
        })
    }

    fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < deadline, "in vain: {what}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let all: Api<Namespace> = Api::all(self.client.clone());
        // A test that fails leaves nothing behind either.
        let _ = self.runtime.block_on(all.delete(&self.namespace, &DeleteParams::default()));
    }
}
