//! One request: who asks, what goes wrong, what is allowed, and who answers.

use std::io;

use serde_json::{Value, json};

use super::attach;
use super::faults::{Fault, StreamFaults, When, kubelet_refused};
use super::follow::{self, Served};
use super::front::Front;
use super::http::{Answer, Connection, Request};
use super::pods;
use super::refusal::{Refusal, USER, bad_request, no_namespace, not_allowed};
use super::route::{Call, Kind};
use super::selector::pair;
use super::watch::Watch;

/// What became of it: an answer, or a stream that has ended already.
enum Outcome {
    Answer(Answer),
    /// Whether the connection can go on.
    Done(bool),
}

/// Serves it. Whether the connection can go on.
pub fn one(front: &Front, connection: &mut Connection, request: &Request) -> io::Result<bool> {
    let call = Call::of(request);
    let cluster = &front.cluster;
    *cluster.state().record.requests.entry(call.kind).or_default() += 1;
    if request.is_too_large {
        let refusal = Refusal::new(413, "RequestEntityTooLarge", "Request entity too large: limit is 3145728");
        return connection.answer(&refusal.answer()).map(|()| true);
    }
    let user = match request.header("authorization") {
        Some(text) if text.strip_prefix("Bearer ") == Some(&front.token) => USER,
        Some(_) => {
            return connection.answer(&Refusal::new(401, "Unauthorized", "Unauthorized").answer()).map(|()| true);
        }
        None => "system:anonymous",
    };
    let forbids = || not_allowed(user, call.verb, &call.resource, call.namespace.as_deref(), call.name.as_deref());
    if (front.is_starting() || user != USER) && !call.resource.is_empty() {
        return connection.answer(&forbids().answer()).map(|()| true);
    }
    let faults = cluster.faults.take(call.kind, &request.path);
    for fault in &faults {
        match fault {
            Fault::Stall(When::Before, time) => cluster.pause(*time),
            Fault::Held(When::Before, halt) if halt.stay() => {}
            Fault::Cut(When::Before) | Fault::Held(When::Before, _) => {
                connection.cut();
                return Ok(false);
            }
            Fault::Refuse(When::Before, refusal) => {
                return connection.answer(&about(refusal, &call).answer()).map(|()| true);
            }
            _ => {}
        }
    }
    if !call.resource.is_empty() && !cluster.state().rights.may(call.verb, &call.resource, call.namespace.as_deref()) {
        if call.kind == Kind::Other {
            cluster.complain(format!("a request for what nobody may: {}", request.line()));
        }
        return connection.answer(&forbids().answer()).map(|()| true);
    }
    if request.header("accept").is_some_and(|accept| !accept.contains("json") && !accept.contains("*/*"))
        && call.kind != Kind::Log
    {
        return connection.answer(&not_acceptable().answer()).map(|()| true);
    }
    let outcome = handle(front, connection, request, &call, &faults)?;
    for fault in &faults {
        match (fault, &outcome) {
            (Fault::Stall(When::After, time), _) => cluster.pause(*time),
            (Fault::Held(When::After, halt), _) if halt.stay() => {}
            (Fault::Cut(When::After) | Fault::Held(When::After, _), _) => {
                connection.cut();
                return Ok(false);
            }
            (Fault::Refuse(When::After, refusal), Outcome::Answer(_)) => {
                return connection.answer(&about(refusal, &call).answer()).map(|()| true);
            }
            _ => {}
        }
    }
    match outcome {
        Outcome::Answer(answer) => connection.answer(&answer).map(|()| true),
        Outcome::Done(goes_on) => Ok(goes_on),
    }
}

/// A kubelet that cannot be reached is named with the pod.
fn about(refusal: &Refusal, call: &Call) -> Refusal {
    match &call.name {
        Some(name) if refusal.reason.is_empty() => kubelet_refused(name),
        _ => refusal.clone(),
    }
}

fn handle(front: &Front, connection: &mut Connection, request: &Request, call: &Call, faults: &[Fault]) -> io::Result<Outcome> {
    let cluster = &front.cluster;
    let (namespace, name) = (call.namespace.as_deref(), call.name.as_deref().unwrap_or_default());
    let space = namespace.unwrap_or_default();
    let of_stream = StreamFaults::of(faults);
    let answered = match call.kind {
        Kind::Create => pods::create(cluster, request, space),
        Kind::Get => pods::get(cluster, space, name),
        Kind::List => pods::list(cluster, request, namespace),
        Kind::Delete => pods::delete(cluster, request, space, name),
        Kind::Patch => pods::patch(cluster, request, space, name),
        Kind::Watch => match Watch::of(request, namespace) {
            Ok(watch) => return watch.serve(cluster, connection, &of_stream).map(Outcome::Done),
            Err(refusal) => Err(refusal),
        },
        Kind::Log => match (follow::serve(cluster, request, space, name), of_stream.text) {
            (Ok(Served::Whole(answer)), Some(text)) if answer.status == 200 => Ok(Answer::text(200, text)),
            (Ok(Served::Stream { .. }), Some(text)) => Ok(Answer::text(200, text)),
            (Ok(Served::Whole(answer)), _) => Ok(answer),
            (Ok(Served::Stream { log, wanted }), None) => {
                return follow::stream(cluster, connection, &log, &wanted, &of_stream).map(Outcome::Done);
            }
            (Err(refusal), _) => Err(refusal),
        },
        Kind::Attach => match attach::open(cluster, request, space, name) {
            Ok(target) => return attach::serve(cluster, connection, request, target, &of_stream).map(Outcome::Done),
            Err(refusal) => Err(refusal),
        },
        Kind::Events => Ok(events(front, request, space)),
        Kind::Review => review(front, request),
        Kind::Namespace => {
            let state = cluster.state();
            let phase = state.namespaces.get(name).map(|is_going| if *is_going { "Terminating" } else { "Active" });
            phase.map(|phase| Answer::json(200, &json!({
                "kind": "Namespace", "apiVersion": "v1", "metadata": { "name": name, "uid": "5d0e7c6a-0000-4000-8000-000000000001",
                "labels": { "kubernetes.io/metadata.name": name } }, "spec": { "finalizers": ["kubernetes"] },
                "status": { "phase": phase },
            }))).ok_or_else(|| no_namespace(name))
        }
        Kind::Version => Ok(match request.path.as_str() {
            "/version" => Answer::json(
                200,
                &json!({
                    "major": "1", "minor": "36", "gitVersion": "v1.36.2", "platform": "linux/amd64",
                }),
            ),
            _ => Answer::text(200, "ok"),
        }),
        Kind::Other => {
            cluster.complain(format!("an unknown request: {}", request.line()));
            Ok(unknown(request, call))
        }
    };
    Ok(Outcome::Answer(answered.unwrap_or_else(|refusal| refusal.answer())))
}

fn not_acceptable() -> Refusal {
    let message = "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, application/vnd.kubernetes.protobuf, application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";
    Refusal { details: json!({}), ..Refusal::new(406, "NotAcceptable", message) }
}

fn unknown(request: &Request, call: &Call) -> Answer {
    let refusal = |code, reason, message| Refusal { details: json!({}), ..Refusal::new(code, reason, message) };
    if !request.path.starts_with("/api/v1/") {
        let mut answer = Answer::text(404, "404 page not found\n");
        answer.headers[0].1.push_str("; charset=utf-8");
        return answer;
    }
    if call.resource.is_empty() {
        return refusal(404, "NotFound", "the server could not find the requested resource").answer();
    }
    refusal(405, "MethodNotAllowed", "the server does not allow this method on the requested resource").answer()
}

fn events(front: &Front, request: &Request, namespace: &str) -> Answer {
    let wanted: Vec<(String, String, bool)> =
        request.param("fieldSelector").unwrap_or_default().split(',').filter_map(pair).collect();
    let state = front.cluster.state();
    let of = |event: &Value, path: &str| path.split('.').fold(event.clone(), |value, key| value[key].clone());
    let fits = |event: &&Value| {
        event["metadata"]["namespace"] == namespace
            && wanted.iter().all(|(key, value, is_equal)| (of(event, key) == value.as_str()) == *is_equal)
    };
    let items: Vec<&Value> = state.events.iter().filter(fits).collect();
    let metadata = json!({ "resourceVersion": state.version.to_string() });
    Answer::json(200, &json!({ "kind": "EventList", "apiVersion": "v1", "metadata": metadata, "items": items }))
}

/// Whether the asker may.
fn review(front: &Front, request: &Request) -> Result<Answer, Refusal> {
    let mut body: Value = serde_json::from_slice(&request.body).map_err(|error| bad_request(error.to_string()))?;
    let wanted = &body["spec"]["resourceAttributes"];
    let word = |key: &str| wanted[key].as_str().unwrap_or_default();
    let resource = match word("subresource") {
        "" => word("resource").to_owned(),
        sub => format!("{}/{sub}", word("resource")),
    };
    let namespace = Some(word("namespace")).filter(|name| !name.is_empty());
    let may = word("group").is_empty() && front.cluster.state().rights.may(word("verb"), &resource, namespace);
    body["kind"] = json!("SelfSubjectAccessReview");
    body["apiVersion"] = json!("authorization.k8s.io/v1");
    body["status"] = if may {
        json!({ "allowed": true, "reason": "RBAC: allowed by RoleBinding \"airx-manager/airx\" of Role \"airx-manager\"" })
    } else {
        json!({ "allowed": false })
    };
    Ok(Answer::json(201, &body))
}
