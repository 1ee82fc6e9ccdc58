//! Standard input of a container that runs, over a websocket.

use std::io::{self, Write};

use super::faults::StreamFaults;
use super::http::{Connection, Request};
use super::refusal::{Refusal, bad_request, no_pod};
use super::status;
use super::store::{Cluster, containers, key_of};

/// The container's standard input, if it is to be written to.
pub fn open(cluster: &Cluster, request: &Request, namespace: &str, name: &str) -> Result<Option<Box<dyn Write + Send>>, Refusal> {
    let state = cluster.state();
    let pod = state.pods.get(&(namespace.to_owned(), name.to_owned())).ok_or_else(|| no_pod(name))?;
    let object = pod.object.clone();
    drop(state);
    let container = request.param("container").map_or_else(|| containers(&object).pop().unwrap_or_default(), str::to_owned);
    if status::container(&object, &container).is_none_or(|status| status["state"]["running"].is_null()) {
        return Err(Refusal::new(500, "InternalError", format!("container {container} not found in pod {name}_{namespace}")));
    }
    if request.header("upgrade").is_none_or(|word| !word.eq_ignore_ascii_case("websocket")) {
        return Err(bad_request("Upgrade request required"));
    }
    Ok(if request.is_set("stdin") { cluster.kubelet.stdin(&key_of(&object), &container) } else { None })
}

/// Passes what comes on channel 0.
pub fn serve(
    _cluster: &Cluster,
    _connection: &mut Connection,
    _request: &Request,
    _stdin: Option<Box<dyn Write + Send>>,
    _faults: &StreamFaults,
) -> io::Result<bool> {
    Ok(false)
}
