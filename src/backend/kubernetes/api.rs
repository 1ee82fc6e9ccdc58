//! The calls of a cluster's API that we make, for one namespace. Each has a bound in time.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{AsyncBufRead, SinkExt, StreamExt};
use http::{Method, Request};
use kube::Client;
use kube::client::Connection;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::fault::{Fault, Refusal};
use super::lines::Lines;
use super::names;
use super::pod::{MAIN, Pod};

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Objects on one page of a list: an order may have most of a megabyte, and a page is in memory as a whole.
const PAGE: u32 = 100;
/// Seconds after which the server ends a watch. Proxies often end idle connections after five minutes.
const WATCH_S: u32 = 290;
/// Largest event of a watch, in bytes: objects have at most 1.5 MiB in a cluster's store, and more as JSON.
const MAX_EVENT: usize = 8 << 20;
/// Longest part of a line of a log that is taken in at once.
pub const MAX_PART: usize = 256 << 10;

/// The way to a namespace.
#[derive(Clone)]
pub struct Api {
    client: Client,
    /// The namespace.
    pub namespace: String,
    /// Where that is: a name in a kubeconfig may lead somewhere else tomorrow.
    pub place: String,
}

/// What a namespace shows of our pods at one time.
#[derive(Debug, Default)]
pub struct Listing {
    /// The pods.
    pub pods: Vec<Pod>,
    /// Where a watch goes on.
    pub version: String,
}

/// An event of a watch.
#[derive(Debug)]
pub enum Event {
    /// It is new, or other than before.
    Seen(Box<Pod>),
    /// It is gone, or has lost the labels that are watched.
    Gone(Box<Pod>),
    /// Nothing but a newer version to go on from.
    Bookmark(String),
    /// The watch cannot go on.
    Error(Fault),
}

/// Which part of a log.
#[derive(Debug, Clone, Copy)]
pub struct LogRange {
    /// Whether what comes later is told too.
    pub follow: bool,
    /// From this second on, of all when none.
    pub since_s: Option<i64>,
    /// Whether only its last line is told.
    pub last: bool,
}

#[derive(Deserialize)]
struct PodList {
    #[serde(default)]
    metadata: ListMeta,
    #[serde(default)]
    items: Vec<Pod>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct ListMeta {
    resource_version: String,
    #[serde(rename = "continue")]
    more: Option<String>,
}

#[derive(Deserialize)]
struct WatchLine {
    #[serde(rename = "type")]
    kind: String,
    object: Value,
}

impl Api {
    /// Calls of this client, in this namespace of that server.
    pub fn new(client: Client, namespace: String, server: &str) -> Api {
        let place = format!("{server} (namespace {namespace})");
        Api { client, namespace, place }
    }

    fn pods(&self) -> String {
        format!("/api/v1/namespaces/{}/pods", self.namespace)
    }

    async fn call<T: DeserializeOwned>(&self, method: Method, path: &str, body: Option<&Value>) -> Result<T, Fault> {
        let request = request(method, path, body)?;
        match timeout(PATIENCE, self.client.request::<T>(request)).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(Fault::Unreachable("it does not answer".to_owned())),
        }
    }

    /// Makes a pod; on a dry run it is checked by all that would check it, and not made.
    ///
    /// # Errors
    /// Why not; 409 when its name is taken.
    pub async fn create(&self, pod: &Value, is_dry: bool) -> Result<Pod, Fault> {
        let dry = if is_dry { "&dryRun=All" } else { "" };
        self.call(Method::POST, &format!("{}?fieldManager=airx{dry}", self.pods()), Some(pod)).await
    }

    /// A pod by name.
    ///
    /// # Errors
    /// 404 when there is none.
    pub async fn get(&self, name: &str) -> Result<Pod, Fault> {
        self.call(Method::GET, &format!("{}/{name}", self.pods()), None).await
    }

    /// All pods of the home `instance`.
    ///
    /// # Errors
    /// When they cannot be told.
    pub async fn list(&self, instance: &str) -> Result<Listing, Fault> {
        self.selected(&names::of_home(instance)).await
    }

    /// All pods of any home.
    ///
    /// # Errors
    /// When they cannot be told.
    pub async fn list_of_all(&self) -> Result<Listing, Fault> {
        self.selected(&names::of_any_home()).await
    }

    async fn selected(&self, selector: &str) -> Result<Listing, Fault> {
        let selector = escape(selector);
        let mut all = Listing::default();
        let mut more = String::new();
        loop {
            let path = format!("{}?labelSelector={selector}&limit={PAGE}{more}", self.pods());
            let page: PodList = self.call(Method::GET, &path, None).await?;
            all.pods.extend(page.items);
            all.version = page.metadata.resource_version;
            match page.metadata.more.filter(|more| !more.is_empty()) {
                Some(token) => more = format!("&continue={}", escape(&token)),
                None => return Ok(all),
            }
        }
    }

    /// What happens to the pods of the home `instance` from a version on.
    ///
    /// # Errors
    /// When it cannot be watched.
    pub async fn watch(&self, instance: &str, version: &str) -> Result<Watch<impl AsyncBufRead + Unpin + use<>>, Fault> {
        let selector = escape(&names::of_home(instance));
        let path = format!(
            "{}?watch=true&labelSelector={selector}&resourceVersion={version}&allowWatchBookmarks=true&timeoutSeconds={WATCH_S}",
            self.pods()
        );
        Ok(Watch { lines: Lines::new(self.stream(&path).await?, MAX_EVENT) })
    }

    async fn stream(&self, path: &str) -> Result<impl AsyncBufRead + Unpin + use<>, Fault> {
        let mut request = request(Method::GET, path, None)?;
        // Newer servers compress each event for itself, which not every reader can undo.
        request.headers_mut().insert(http::header::ACCEPT_ENCODING, http::HeaderValue::from_static("identity"));
        match timeout(PATIENCE, self.client.request_stream(request)).await {
            Ok(stream) => Ok(Box::pin(stream?)),
            Err(_) => Err(Fault::Unreachable("it does not answer".to_owned())),
        }
    }

    /// The log of a pod's main container, line by line, with times.
    ///
    /// # Errors
    /// When there is none, or none yet.
    pub async fn log(&self, name: &str, range: LogRange) -> Result<Lines<impl AsyncBufRead + Unpin + use<>>, Fault> {
        let since = range.since_s.and_then(|at| jiff::Timestamp::from_second(at).ok());
        let since = since.map_or_else(String::new, |at| format!("&sinceTime={}", escape(&at.to_string())));
        let follow = range.follow;
        let tail = if range.last { "&tailLines=1" } else { "" };
        let path = format!("{}/{name}/log?container={MAIN}&follow={follow}&timestamps=true{since}{tail}", self.pods());
        Ok(Lines::new(self.stream(&path).await?, MAX_PART))
    }

    /// Asks for a pod's end, with so many seconds of grace, at least 1. It is done only to the pod with this uid.
    ///
    /// # Errors
    /// 404 when it is gone; 409 when another has its name.
    pub async fn delete(&self, name: &str, uid: &str, grace_s: Option<u64>) -> Result<(), Fault> {
        let mut options = json!({ "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": { "uid": uid } });
        if let Some(grace_s) = grace_s {
            options["gracePeriodSeconds"] = grace_s.max(1).into();
        }
        self.call::<Value>(Method::DELETE, &format!("{}/{name}", self.pods()), Some(&options)).await.map(drop)
    }

    /// What went wrong with a pod, as the cluster's own events tell it to those who may list them: the newest of each kind.
    ///
    /// # Errors
    /// When they are not told.
    pub async fn warnings(&self, name: &str) -> Result<String, Fault> {
        let selector = escape(&format!("involvedObject.name={name},type=Warning"));
        let path = format!("/api/v1/namespaces/{}/events?fieldSelector={selector}&limit={PAGE}", self.namespace);
        let answer: Value = self.call(Method::GET, &path, None).await?;
        let items = answer["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut newest: Vec<(&str, &str)> = Vec::new();
        for item in items.iter().rev() {
            let (reason, message) = (item["reason"].as_str().unwrap_or_default(), item["message"].as_str().unwrap_or_default());
            if !newest.iter().any(|(known, _)| *known == reason) && newest.len() < MAX_WARNINGS {
                newest.push((reason, message.trim()));
            }
        }
        Ok(newest.iter().map(|(reason, message)| format!("{reason}: {message}")).collect::<Vec<_>>().join("; "))
    }

    /// Whether we may do this in the namespace; the reason is the authorizer's, when it gave one.
    ///
    /// # Errors
    /// When that is not told.
    pub async fn may(&self, verb: &str, resource: &str, subresource: &str) -> Result<bool, Fault> {
        let attributes = json!({ "namespace": self.namespace, "verb": verb, "resource": resource, "subresource": subresource });
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": { "resourceAttributes": attributes },
        });
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let answer: Value = self.call(Method::POST, path, Some(&review)).await?;
        Ok(answer["status"]["allowed"].as_bool() == Some(true))
    }

    /// The server's version, such as `v1.36.2`.
    ///
    /// # Errors
    /// When it is not told.
    pub async fn version(&self) -> Result<String, Fault> {
        let answer: Value = self.call(Method::GET, "/version", None).await?;
        Ok(answer["gitVersion"].as_str().unwrap_or("unknown").to_owned())
    }

    /// The namespace's labels, for those who may read them.
    ///
    /// # Errors
    /// When they are not told.
    pub async fn namespace_labels(&self) -> Result<Value, Fault> {
        let answer: Value = self.call(Method::GET, &format!("/api/v1/namespaces/{}", self.namespace), None).await?;
        Ok(answer["metadata"]["labels"].clone())
    }

    /// Writes to the standard input of a pod's main container, and lets go of it.
    ///
    /// # Errors
    /// When it cannot be attached to, or does not take it.
    pub async fn say(&self, name: &str, text: &str) -> Result<(), Fault> {
        let path = format!("{}/{name}/attach?container={MAIN}&stdin=true&stdout=false&stderr=false&tty=false", self.pods());
        let said = async {
            let mut wanted = request(Method::GET, &path, None)?;
            // What is no object has no JSON form: a server answers 406 to who wants one.
            wanted.headers_mut().remove(http::header::ACCEPT);
            let connection = self.client.connect(wanted).await?;
            write(connection, text).await
        };
        timeout(PATIENCE, said).await.unwrap_or_else(|_| Err(Fault::Unreachable("it does not answer".to_owned())))
    }
}

/// Most events of a pod that are told.
const MAX_WARNINGS: usize = 3;
/// Bytes of one message of an attached stream.
const MESSAGE: usize = 32 << 10;
/// The channel of standard input: the first byte of a message.
const STDIN: u8 = 0;

async fn write(connection: Connection, text: &str) -> Result<(), Fault> {
    let broken = |error: &dyn std::fmt::Display| Fault::Unreachable(format!("the connection to the pod broke: {error}"));
    let mut stream = connection.into_stream();
    for piece in text.as_bytes().chunks(MESSAGE) {
        let mut message = vec![STDIN];
        message.extend_from_slice(piece);
        stream.send(Bytes::from(message).into()).await.map_err(|error| broken(&error))?;
    }
    stream.close(None).await.map_err(|error| broken(&error))?;
    // What was sent is on its way once the other side has closed too.
    while let Some(Ok(_)) = stream.next().await {}
    Ok(())
}

/// A watch under way.
pub struct Watch<R> {
    lines: Lines<R>,
}

impl<R: AsyncBufRead + Unpin> Watch<R> {
    /// The next event; none when the watch has ended by its time.
    pub async fn next(&mut self) -> Option<Event> {
        let line = match self.lines.next().await {
            Ok(Some(line)) if line.is_whole => line.bytes,
            Ok(Some(_)) => return Some(Event::Error(Fault::Unreachable("an event is too large".to_owned()))),
            Ok(None) => return None,
            Err(error) => return Some(Event::Error(Fault::Unreachable(format!("the watch broke: {error}")))),
        };
        Some(event(&line))
    }
}

fn event(line: &[u8]) -> Event {
    let unknown = |error: serde_json::Error| Event::Error(Fault::Unreachable(format!("an event cannot be read: {error}")));
    let line: WatchLine = match serde_json::from_slice(line) {
        Ok(line) => line,
        Err(error) => return unknown(error),
    };
    let version = || line.object["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
    match line.kind.as_str() {
        "BOOKMARK" => Event::Bookmark(version()),
        "ERROR" => Event::Error(Fault::Refused(Refusal {
            code: line.object["code"].as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or(500),
            reason: line.object["reason"].as_str().unwrap_or_default().to_owned(),
            message: line.object["message"].as_str().unwrap_or_default().to_owned(),
            ..Refusal::default()
        })),
        kind => match serde_json::from_value::<Pod>(line.object) {
            Ok(pod) if kind == "DELETED" => Event::Gone(Box::new(pod)),
            Ok(pod) => Event::Seen(Box::new(pod)),
            Err(error) => unknown(error),
        },
    }
}

fn request(method: Method, path: &str, body: Option<&Value>) -> Result<Request<Vec<u8>>, Fault> {
    let mut request = Request::builder().method(method).uri(path).header(http::header::ACCEPT, "application/json");
    if body.is_some() {
        request = request.header(http::header::CONTENT_TYPE, "application/json");
    }
    let bytes = body.map(serde_json::to_vec).transpose().map_err(|error| Fault::Unreachable(error.to_string()))?;
    request.body(bytes.unwrap_or_default()).map_err(|error| Fault::Unreachable(format!("no request can be made of it: {error}")))
}

/// Text as a part of a query.
fn escape(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes().map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
