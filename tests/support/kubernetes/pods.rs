//! Pods made, read, listed, changed and deleted.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::http::{Answer, Request};
use super::refusal::{Cause, Refusal, bad_request, exists, forbidden, invalid, no_namespace, no_pod};
use super::selector::Selector;
use super::store::{Cluster, finalizers, key_of};
use super::{defaults, faults::Admission, status};

type Answered = Result<Answer, Refusal>;

pub fn create(cluster: &Arc<Cluster>, request: &Request, namespace: &str) -> Answered {
    let Ok(mut posted) = serde_json::from_slice::<Value>(&request.body) else {
        let body = String::from_utf8_lossy(&request.body).chars().take(32).collect::<String>();
        let message = format!(
            "the object provided is unrecognized (must be of type Pod): couldn't get version/kind; json parse error: unexpected end of JSON input ({body} ...)"
        );
        return Err(bad_request(message));
    };
    let unknown = defaults::drop_unknown(&mut posted);
    if let Some(first) = unknown.first().filter(|_| request.param("fieldValidation") == Some("Strict")) {
        let message =
            format!("Pod in version \"v1\" cannot be handled as a Pod: strict decoding error: unknown field \"{first}\"");
        return Err(bad_request(message));
    }
    if let (true, Some(prefix)) = (posted["metadata"]["name"].is_null(), posted["metadata"]["generateName"].as_str()) {
        let uid = cluster.state().uid();
        posted["metadata"]["name"] = json!(format!("{prefix}{}", &uid[uid.len() - 5..]));
    }
    let name = posted["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let mut state = cluster.state();
    match state.namespaces.get(namespace) {
        None => return Err(no_namespace(namespace)),
        Some(true) => return Err(Admission::NamespaceTerminating.refusal(namespace, &name)),
        Some(false) => {}
    }
    defaults::check(&posted, namespace)?;
    if let Some(why) = cluster.faults.admission() {
        return Err(why.refusal(namespace, &name));
    }
    if let Some(pod) = state.pods.get(&(namespace.to_owned(), name.clone())) {
        return Err(exists(&name, !pod.object["metadata"]["deletionTimestamp"].is_null()));
    }
    let living = state.pods.values().filter(|pod| !status::is_over(&pod.object)).count();
    if let Some(most) = state.quota.filter(|most| living >= *most) {
        let why = format!("exceeded quota: airx-pods, requested: pods=1, used: pods={living}, limited: pods={most}");
        return Err(forbidden(&name, &why));
    }
    let uid = state.uid();
    let mut pod = defaults::complete(&posted, namespace, &uid);
    let is_dry = request.param("dryRun") == Some("All");
    if is_dry {
        pod["metadata"].as_object_mut().map(|metadata| metadata.remove("resourceVersion"));
    } else {
        pod = (*state.insert(pod)).clone();
    }
    let warning = state.warning.clone();
    drop(state);
    let mut answer = Answer::json(201, &pod);
    for text in unknown.iter().map(|field| format!("unknown field \"{field}\"")).chain(warning) {
        answer = answer.with("Warning", format!("299 - \"{}\"", text.replace('"', "\\\"")));
    }
    if !is_dry {
        cluster.ring();
        cluster.kubelet.created(cluster, &key_of(&pod));
    }
    Ok(answer)
}

pub fn get(cluster: &Cluster, namespace: &str, name: &str) -> Answered {
    let object = find(cluster, namespace, name)?;
    Ok(Answer::json(200, &object))
}

fn find(cluster: &Cluster, namespace: &str, name: &str) -> Result<Arc<Value>, Refusal> {
    let state = cluster.state();
    let pod = state.pods.get(&(namespace.to_owned(), name.to_owned()));
    pod.map(|pod| pod.object.clone()).ok_or_else(|| no_pod(name))
}

pub fn list(cluster: &Cluster, request: &Request, namespace: Option<&str>) -> Answered {
    let selector = Selector::of(request, namespace)?;
    let version: u64 = match request.param("resourceVersion") {
        None | Some("") => 0,
        Some(text) => text.parse().map_err(|_| bad_version(text))?,
    };
    let mut state = cluster.state();
    if version > state.version {
        let current = state.version;
        drop(state);
        cluster.pause(std::time::Duration::from_secs(3));
        let message = format!("Timeout: Too large resource version: {version}, current: {current}");
        let mut refusal = Refusal::new(504, "Timeout", message);
        refusal.details = json!({ "causes": [{ "reason": "ResourceVersionTooLarge", "message": "Too large resource version" }] });
        return Err(refusal.retry_after(1));
    }
    if request.param("resourceVersionMatch") == Some("Exact") && version < state.oldest {
        return Err(Refusal::new(410, "Expired", "The resourceVersion for the provided list is too old."));
    }
    let limit = request.param("limit").and_then(|limit| limit.parse::<usize>().ok()).filter(|limit| *limit > 0);
    // What a cache answers comes whole.
    let limit = limit.filter(|_| request.param("resourceVersion") != Some("0"));
    let (version, after, all) = match request.param("continue").filter(|token| !token.is_empty()) {
        Some(token) => {
            let (version, after) = read_token(token)?;
            let all = state.pages.get(&version).cloned().ok_or_else(expired)?;
            (version, Some(after), all)
        }
        None => {
            let all =
                state.pods.iter().filter(|((namespace, name), pod)| selector.fits(namespace, name, &pod.labels, &pod.object));
            (state.version, None, Arc::new(all.map(|((_, name), pod)| (name.clone(), pod.object.clone())).collect()))
        }
    };
    let rest = all.iter().filter(|(name, _)| after.as_ref().is_none_or(|after| name > after));
    let page: Vec<&(String, Arc<Value>)> = rest.clone().take(limit.unwrap_or(usize::MAX)).collect();
    let mut metadata = json!({ "resourceVersion": version.to_string() });
    if let Some((last, _)) = page.last().filter(|_| page.len() < rest.count()) {
        metadata["continue"] = json!(token(version, last));
        state.pages.insert(version, all.clone());
        while state.pages.len() > 16 {
            state.pages.pop_first();
        }
    }
    drop(state);
    let items: Vec<Value> = page.iter().map(|(_, object)| item(object)).collect();
    Ok(Answer::json(200, &json!({ "kind": "PodList", "apiVersion": "v1", "metadata": metadata, "items": items })))
}

/// Items of a list say neither kind nor version.
fn item(object: &Value) -> Value {
    json!({ "metadata": object["metadata"], "spec": object["spec"], "status": object["status"] })
}

fn token(version: u64, name: &str) -> String {
    let text = json!({ "v": "meta.k8s.io/v1", "rv": version, "start": format!("/{name}\0") });
    URL_SAFE_NO_PAD.encode(text.to_string())
}

fn read_token(token: &str) -> Result<(u64, String), Refusal> {
    let wrong = || {
        bad_request("invalid continue token: continue key is not valid: invalid character 'o' in literal null (expecting 'u')")
    };
    let bytes = URL_SAFE_NO_PAD.decode(token.trim_end_matches('=')).map_err(|_| wrong())?;
    let read: Value = serde_json::from_slice(&bytes).map_err(|_| wrong())?;
    let start = read["start"].as_str().unwrap_or_default().trim_matches(['/', '\0']).to_owned();
    Ok((read["rv"].as_u64().ok_or_else(wrong)?, start))
}

fn expired() -> Refusal {
    let message = "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.";
    Refusal::new(410, "Expired", message)
}

pub fn bad_version(text: &str) -> Refusal {
    let message = format!("resourceVersion: Invalid value: \"{text}\": strconv.ParseUint: parsing \"{text}\": invalid syntax");
    Refusal::new(500, "", message)
}

pub fn delete(cluster: &Arc<Cluster>, request: &Request, namespace: &str, name: &str) -> Answered {
    let object = find(cluster, namespace, name)?;
    let options: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
    match options["preconditions"]["uid"].as_str() {
        None => cluster.complain(format!("DELETE of {name} without preconditions.uid")),
        Some(asked) if asked != uid => {
            let message = format!(
                "Operation cannot be fulfilled on Pod \"{name}\": the UID in the precondition ({asked}) does not match the UID in record ({uid}). The object might have been deleted and then recreated"
            );
            return Err(Refusal::new(409, "Conflict", message).of("Pod", name));
        }
        Some(_) => {}
    }
    let asked = request.param("gracePeriodSeconds").and_then(|text| text.parse().ok());
    let grace = options["gracePeriodSeconds"].as_u64().or(asked);
    if grace == Some(0) && !status::is_over(&object) {
        cluster.complain(format!("DELETE of {name} with grace 0"));
    }
    let key = key_of(&object);
    cluster.delete(&key, grace);
    let told = cluster.object(&key);
    let told = told.unwrap_or_else(|| {
        let mut gone = (*object).clone();
        status::mark_deleting(&mut gone, 0);
        Arc::new(gone)
    });
    Ok(Answer::json(200, &told))
}

pub fn patch(cluster: &Arc<Cluster>, request: &Request, namespace: &str, name: &str) -> Answered {
    let content = request.header("content-type").unwrap_or_default();
    if !content.contains("merge-patch+json") {
        return Err(Refusal { details: json!({}), ..Refusal::new(415, "UnsupportedMediaType", "415: Unsupported Media Type") });
    }
    let object = find(cluster, namespace, name)?;
    let patch: Value = serde_json::from_slice(&request.body).map_err(|error| bad_request(error.to_string()))?;
    let given = &patch["metadata"];
    let has_other = |key: &str| given[key].as_str().is_some_and(|asked| object["metadata"][key] != asked);
    if has_other("uid") {
        let message = format!("Invalid value: {}: field is immutable", given["uid"]);
        return Err(invalid("Pod", name, &[Cause { reason: "FieldValueInvalid", field: "metadata.uid".to_owned(), message }]));
    }
    if has_other("resourceVersion") {
        let message = format!(
            "Operation cannot be fulfilled on pods \"{name}\": the object has been modified; please apply your changes to the latest version and try again"
        );
        return Err(Refusal::new(409, "Conflict", message).of("pods", name));
    }
    let old = finalizers(&object);
    let new: Vec<String> = finalizers(&patch).difference(&old).map(|name| format!("\"{name}\"")).collect();
    if !new.is_empty() && !object["metadata"]["deletionTimestamp"].is_null() {
        let message = format!(
            "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
            new.join(", ")
        );
        return Err(invalid(
            "Pod",
            name,
            &[Cause { reason: "FieldValueForbidden", field: "metadata.finalizers".to_owned(), message }],
        ));
    }
    let spec = patch["spec"].as_object().into_iter().flatten();
    if spec.clone().any(|(key, value)| key != "activeDeadlineSeconds" && object["spec"][key.as_str()] != *value) {
        let message = "Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)".to_owned();
        return Err(invalid("Pod", name, &[Cause { reason: "FieldValueForbidden", field: "spec".to_owned(), message }]));
    }
    let deadline = spec.clone().next().map(|(_, value)| value.clone());
    let changed = cluster.modify(&key_of(&object), |pod| {
        for key in ["labels", "annotations", "finalizers"] {
            if let Some(patch) = given.get(key) {
                merge(&mut pod["metadata"], key, patch);
            }
        }
        if let Some(deadline) = deadline {
            pod["spec"]["activeDeadlineSeconds"] = deadline;
        }
    });
    changed.map(|pod| Answer::json(200, &pod)).ok_or_else(|| no_pod(name))
}

/// One step of a merge patch: null takes away, an object is merged, all else is put in place.
fn merge(into: &mut Value, key: &str, patch: &Value) {
    let Some(target) = into.as_object_mut() else { return };
    match patch {
        Value::Null => drop(target.remove(key)),
        Value::Object(entries) => {
            let old = target.get(key).and_then(Value::as_object).cloned().unwrap_or_default();
            let mut new: BTreeMap<String, Value> = old.into_iter().collect();
            for (name, value) in entries {
                match value {
                    Value::Null => drop(new.remove(name)),
                    value => drop(new.insert(name.clone(), value.clone())),
                }
            }
            target.insert(key.to_owned(), json!(new));
        }
        Value::Array(list) if list.is_empty() => drop(target.remove(key)),
        value => drop(target.insert(key.to_owned(), value.clone())),
    }
}
