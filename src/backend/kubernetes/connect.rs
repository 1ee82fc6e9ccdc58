//! The way to a cluster: from a kubeconfig, as kubectl finds it, or from within.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::api::Api;
use super::fault::root;
use crate::model::kubernetes::{ClusterName, IN_CLUSTER};

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// Longest wait for credentials.
const CREDENTIALS: Duration = Duration::from_secs(30);
/// Set in every pod of a cluster.
const WITHIN: &str = "KUBERNETES_SERVICE_HOST";

/// Makes the calls of this namespace; nothing is said to the cluster yet.
///
/// # Errors
/// Why there is no way to it, and what to do.
pub async fn open(cluster: &ClusterName, env: &BTreeMap<String, String>) -> Result<Api, String> {
    open_at(cluster, env).await.map(|(api, _)| api)
}

/// The same, with the server's address.
///
/// # Errors
/// As [`open`].
pub async fn open_at(cluster: &ClusterName, env: &BTreeMap<String, String>) -> Result<(Api, String), String> {
    let mut config = config(cluster, env).await?;
    config.connect_timeout = Some(CONNECT);
    let namespace = cluster.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    let server = config.cluster_url.to_string();
    // A kubeconfig may name a program that is asked for credentials, which can take any time: no other attempt waits for it.
    let making = tokio::task::spawn_blocking(move || Client::try_from(config));
    let client = match tokio::time::timeout(CREDENTIALS, making).await {
        Ok(Ok(client)) => client.map_err(|error| format!("the kubeconfig cannot be used: {}", root(&error)))?,
        Ok(Err(error)) => return Err(format!("the kubeconfig cannot be used: {error}")),
        Err(_) => return Err("the program that the kubeconfig names for credentials does not answer: run it by hand".to_owned()),
    };
    Ok((Api::new(client, namespace), server))
}

async fn config(cluster: &ClusterName, env: &BTreeMap<String, String>) -> Result<Config, String> {
    let files = files(env);
    let there: Vec<&PathBuf> = files.iter().filter(|file| file.exists()).collect();
    let is_within = env.contains_key(WITHIN);
    if cluster.context.as_deref() == Some(IN_CLUSTER) || (cluster.context.is_none() && there.is_empty() && is_within) {
        return Config::incluster().map_err(|error| format!("airx does not run within a cluster: {}", root(&error)));
    }
    if there.is_empty() {
        let named: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
        let place = if named.is_empty() { "~/.kube/config".to_owned() } else { named.join(", ") };
        return Err(format!("there is no kubeconfig ({place}): make one, or set KUBECONFIG, or write `context: in-cluster`"));
    }
    let mut whole = Kubeconfig::default();
    for file in there {
        let told = |error: &dyn std::fmt::Display| format!("the kubeconfig {} cannot be used: {error}", file.display());
        let part = Kubeconfig::read_from(file).map_err(|error| told(&root(&error)))?;
        whole = whole.merge(part).map_err(|error| told(&root(&error)))?;
    }
    let known: Vec<String> = whole.contexts.iter().map(|context| context.name.clone()).collect();
    if let Some(wanted) = cluster.context.as_ref().filter(|wanted| !known.contains(wanted)) {
        return Err(format!("the kubeconfig has no context `{wanted}`, but {}: correct the pool's `context`", known.join(", ")));
    }
    let options = KubeConfigOptions { context: cluster.context.clone(), ..KubeConfigOptions::default() };
    let config = Config::from_custom_kubeconfig(whole, &options).await;
    config.map_err(|error| format!("the kubeconfig cannot be used: {}", root(&error)))
}

/// Where kubectl looks: <https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/>.
fn files(env: &BTreeMap<String, String>) -> Vec<PathBuf> {
    match env.get("KUBECONFIG").filter(|list| !list.is_empty()) {
        Some(list) => std::env::split_paths(list).filter(|path| !path.as_os_str().is_empty()).collect(),
        None => env.get("HOME").map(|home| PathBuf::from(home).join(".kube/config")).into_iter().collect(),
    }
}
