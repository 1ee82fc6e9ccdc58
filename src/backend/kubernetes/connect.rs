//! The way to a cluster: from a kubeconfig, as kubectl finds it, or from within.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::api::Api;
use super::fault::root;
use crate::model::kubernetes::{ClusterName, IN_CLUSTER};

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// Longest wait for a program that is asked for credentials.
const CREDENTIALS: Duration = Duration::from_secs(60);
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
    let server = without_user(&config.cluster_url);
    let unusable = |why: String| format!("the kubeconfig cannot be used: {why}");
    // A program may be asked for credentials, which takes its time, and a token that is none makes the library panic.
    match timeout(CREDENTIALS, spawn_blocking(move || Client::try_from(config))).await {
        Ok(Ok(Ok(client))) => Ok((Api::new(client, namespace, &server), server)),
        Ok(Ok(Err(error))) => Err(unusable(root(&error))),
        Ok(Err(_)) => Err(unusable("its token has characters that no token has, such as the end of a line".to_owned())),
        Err(_) => Err(unusable(format!("its credentials did not come within {} s", CREDENTIALS.as_secs()))),
    }
}

/// An address as it may be told.
fn without_user(url: &http::Uri) -> String {
    let scheme = url.scheme_str().unwrap_or("https");
    let place = url.authority().map_or("", |authority| authority.as_str());
    let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
    format!("{scheme}://{place}{}", url.path())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn told(user: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config");
        let kubeconfig = "current-context: a\nclusters: [{ name: a, cluster: { server: \"https://127.0.0.1:1\" } }]\n\
                          contexts: [{ name: a, context: { cluster: a, user: a } }]\nusers:\n- name: a\n  user:\n    ";
        let kubeconfig = format!("{kubeconfig}{user}\n");
        std::fs::write(&file, kubeconfig).unwrap();
        let env = BTreeMap::from([("KUBECONFIG".to_owned(), file.display().to_string())]);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let name = ClusterName { context: None, namespace: None };
        runtime.block_on(async { open(&name, &env).await.err().unwrap_or_default() })
    }

    #[test]
    fn an_address_is_told_without_who_asks_there() {
        let told = |url: &str| without_user(&url.parse().unwrap());
        assert_eq!(told("https://me:hunter2@k:6443"), "https://k:6443/");
        assert_eq!(told("http://[::1]:1/k8s/clusters/c-1"), "http://[::1]:1/k8s/clusters/c-1");
    }

    #[test]
    fn what_is_wrong_with_a_kubeconfig_is_told_without_its_secrets() {
        let exec = |script: &str| {
            let head = "exec: { apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: sh, \
                        env: [{ name: SECRET, value: hunter2secret }], args: [-c, ";
            format!("{head}\"{script}\"] }}")
        };
        let cases = [
            ("{ token: hunter2secret, client-certificate: [1] }".to_owned(), "no kubeconfig (line 7"),
            ("token: [hunter2secret]".to_owned(), "no kubeconfig (line 7"),
            ("password: { a: hunter2secret }".to_owned(), "no kubeconfig (line 7"),
            ("token: \"hunter2secret".to_owned(), "no kubeconfig (line 7"),
            ("token: hunter2secret\n   x".to_owned(), "no kubeconfig (line 8"),
            ("{ client-certificate-data: hunter2secret-, client-key-data: hunter2secret- }".to_owned(), "Invalid symbol"),
            ("token: \"hunter2secret\\n\"".to_owned(), "characters that no token has"),
            (exec("echo $SECRET; echo $SECRET >&2; exit 3"), "failed (exit status: 3)"),
            (exec("echo $SECRET"), "no credential"),
            (exec("echo '{status: hunter2secret}'"), "no credential"),
        ];
        for (user, part) in cases {
            let told = told(&user);
            assert!(told.contains(part) && !told.contains("hunter2"), "{user}: {told}");
        }
    }
}
