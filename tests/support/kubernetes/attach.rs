//! Standard input of a container that runs, over a websocket. Output is not sent this way: logs have it.

use std::io::{self, Write};
use std::time::Duration;

use serde_json::json;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::Role;
use tungstenite::{Error, Message, WebSocket};

use super::faults::StreamFaults;
use super::http::{Connection, Request};
use super::refusal::{Refusal, bad_request, no_pod};
use super::status;
use super::store::{Cluster, Key, containers, key_of};

const PROTOCOLS: [&str; 2] = ["v5.channel.k8s.io", "v4.channel.k8s.io"];
/// So often is looked whether the container still runs.
const LOOK: Duration = Duration::from_millis(100);

/// What is attached to.
pub struct Target {
    key: Key,
    container: String,
    stdin: Option<Box<dyn Write + Send>>,
}

pub fn open(cluster: &Cluster, request: &Request, namespace: &str, name: &str) -> Result<Target, Refusal> {
    let state = cluster.state();
    let pod = state.pods.get(&(namespace.to_owned(), name.to_owned())).ok_or_else(|| no_pod(name))?;
    let object = pod.object.clone();
    drop(state);
    let container = request.param("container").map_or_else(|| containers(&object).pop().unwrap_or_default(), str::to_owned);
    if status::container(&object, &container).is_none_or(|status| status["state"]["running"].is_null()) {
        return Err(Refusal::new(500, "InternalError", format!("container {container} not found in pod {name}_{namespace}")));
    }
    let is_websocket = request.header("upgrade").is_some_and(|word| word.eq_ignore_ascii_case("websocket"));
    if !is_websocket || protocol(request).is_none() || request.header("sec-websocket-key").is_none() {
        return Err(bad_request("Upgrade request required"));
    }
    // A stream is no object: who wants JSON alone gets nothing, as from a real server.
    if request.header("accept").is_some_and(|accept| accept == "application/json") {
        return Err(Refusal::new(406, "NotAcceptable", "406: Not Acceptable\n\nAvailable representations: "));
    }
    let key = key_of(&object);
    let stdin = if request.is_set("stdin") { cluster.kubelet.stdin(&key, &container) } else { None };
    Ok(Target { key, container, stdin })
}

/// The newest protocol that is offered and known.
fn protocol(request: &Request) -> Option<&'static str> {
    let offered = request.header("sec-websocket-protocol")?;
    PROTOCOLS.into_iter().find(|known| offered.split(',').any(|name| name.trim() == *known))
}

/// Passes what comes on channel 0, until either side ends it. The connection is used up.
pub fn serve(
    cluster: &Cluster,
    connection: &mut Connection,
    request: &Request,
    mut target: Target,
    faults: &StreamFaults,
) -> io::Result<bool> {
    let accept = derive_accept_key(request.header("sec-websocket-key").unwrap_or_default().as_bytes());
    let protocol = protocol(request).unwrap_or_default().to_owned();
    let headers = [("Sec-WebSocket-Accept".to_owned(), accept), ("Sec-WebSocket-Protocol".to_owned(), protocol)];
    let (stream, rest) = connection.upgrade(&headers)?;
    stream.set_read_timeout(Some(LOOK))?;
    let mut socket = WebSocket::from_partially_read(stream, rest, Role::Server, None);
    let mut count = 0;
    loop {
        if let Some((_, is_clean)) = faults.end.filter(|(after, _)| count >= *after) {
            if is_clean {
                let _ = socket.close(None);
            } else {
                connection.cut();
            }
            return Ok(false);
        }
        match socket.read() {
            Ok(Message::Binary(bytes)) => {
                count += 1;
                match bytes.split_first() {
                    Some((0, bytes)) if !faults.is_silent => {
                        let mut state = cluster.state();
                        state.record.attached.entry(target.key.name.clone()).or_default().extend_from_slice(bytes);
                        drop(state);
                        if let Some(stdin) = &mut target.stdin {
                            stdin.write_all(bytes)?;
                        }
                    }
                    // The fifth protocol can close a channel.
                    Some((255, [0])) => target.stdin = None,
                    _ => {}
                }
            }
            Ok(Message::Close(_)) => {
                let _ = socket.flush();
                return Ok(false);
            }
            Ok(_) => {}
            Err(Error::Io(error)) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                let runs = cluster.object(&target.key).is_some_and(|pod| {
                    status::container(&pod, &target.container).is_some_and(|status| !status["state"]["running"].is_null())
                });
                if !runs || cluster.state().has_ended {
                    let status = json!({ "metadata": {}, "status": "Success" }).to_string();
                    let _ = socket.send(Message::binary([&[3], status.as_bytes()].concat()));
                    let _ = socket.close(None);
                    return Ok(false);
                }
            }
            Err(_) => return Ok(false),
        }
    }
}
