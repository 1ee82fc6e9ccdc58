//! GET of a pod's log.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::faults::{StreamFaults, kubelet_refused};
use super::http::{Answer, Connection, Request};
use super::logs::{Log, News, Wanted, told};
use super::refusal::{Cause, Refusal, bad_request, invalid, no_pod};
use super::status;
use super::store::{Cluster, containers};
use jiff::Timestamp;

/// A follower waits no longer than this before it looks whether anybody is there.
const LOOK: Duration = Duration::from_millis(500);
const LOST: &str = "unable to retrieve container logs for ";

/// What comes of the request.
pub enum Served {
    Whole(Answer),
    Stream { log: Arc<Log>, wanted: Wanted },
}

pub fn serve(cluster: &Cluster, request: &Request, namespace: &str, name: &str) -> Result<Served, Refusal> {
    let state = cluster.state();
    let pod = state.pods.get(&(namespace.to_owned(), name.to_owned())).ok_or_else(|| no_pod(name))?;
    let (object, logs, are_away) = (pod.object.clone(), pod.logs.clone(), state.are_logs_away);
    drop(state);
    let wanted = wanted(request, name)?;
    let names = containers(&object);
    let container = match request.param("container").filter(|name| !name.is_empty()) {
        Some(container) => container.to_owned(),
        None if names.len() == 1 => names[0].clone(),
        None => {
            let message = format!("a container name must be specified for pod {name}, choose one of: [{}]", names.join(" "));
            return Err(bad_request(message));
        }
    };
    let Some(log) = logs.get(&container) else {
        return Err(bad_request(format!("container {container} is not valid for pod {name}")));
    };
    if request.is_set("previous") {
        return Err(bad_request(format!("previous terminated container \"{container}\" in pod \"{name}\" not found")));
    }
    if object["spec"]["nodeName"].is_null() {
        return Ok(Served::Whole(Answer::empty(204)));
    }
    if are_away {
        return Err(kubelet_refused(name));
    }
    let Some(of_container) = status::container(&object, &container) else {
        return Err(bad_request(format!("container \"{container}\" in pod \"{name}\" is not available")));
    };
    if let Some(waiting) = of_container["state"]["waiting"]["reason"].as_str() {
        let why = match waiting {
            "ErrImagePull" => "image can't be pulled",
            "ImagePullBackOff" => "trying and failing to pull image",
            other => other,
        };
        return Err(bad_request(format!("container \"{container}\" in pod \"{name}\" is waiting to start: {why}")));
    }
    let id = &of_container["containerID"];
    // The runtime has forgotten a container before the object is gone, when a finalizer holds it.
    let is_lost = object["metadata"]["deletionGracePeriodSeconds"] == 0 || id.as_str().is_none_or(str::is_empty);
    if is_lost {
        return Ok(Served::Whole(Answer::text(200, format!("{LOST}{}", id.as_str().unwrap_or_default()))));
    }
    if request.is_set("follow") {
        return Ok(Served::Stream { log: log.clone(), wanted });
    }
    let (mut body, _) = log.read(&wanted);
    body.truncate(wanted.limit.unwrap_or(usize::MAX));
    Ok(Served::Whole(Answer::text(200, body)))
}

fn wanted(request: &Request, name: &str) -> Result<Wanted, Refusal> {
    let wrong = |reason, field: &str, message: String| {
        invalid("PodLogOptions", name, &[Cause { reason, field: field.to_owned(), message }])
    };
    let number = |key: &str| -> Result<Option<i64>, Refusal> {
        let Some(text) = request.param(key) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| bad_request(format!("strconv.ParseInt: parsing \"{text}\": invalid syntax")))
    };
    if request.param("stream").is_some() {
        return Err(wrong("FieldValueForbidden", "stream", "Forbidden: may not be specified".to_owned()));
    }
    let tail = number("tailLines")?;
    if let Some(tail) = tail.filter(|tail| *tail < 0) {
        return Err(wrong(
            "FieldValueInvalid",
            "tailLines",
            format!("Invalid value: {tail}: must be greater than or equal to 0"),
        ));
    }
    let limit = number("limitBytes")?;
    if let Some(limit) = limit.filter(|limit| *limit < 1) {
        return Err(wrong("FieldValueInvalid", "limitBytes", format!("Invalid value: {limit}: must be greater than 0")));
    }
    let seconds = number("sinceSeconds")?;
    let time = request.param("sinceTime");
    if seconds.is_some() && time.is_some() {
        let message = "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified".to_owned();
        return Err(wrong("FieldValueForbidden", "[]", message));
    }
    if let Some(seconds) = seconds.filter(|seconds| *seconds < 1) {
        return Err(wrong("FieldValueInvalid", "sinceSeconds", format!("Invalid value: {seconds}: must be greater than 0")));
    }
    let since = match time {
        Some(text) => {
            let parsed: Result<Timestamp, _> = text.parse();
            let parsed = parsed.map_err(|_| {
                bad_request(format!(
                    "parsing time \"{text}\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"{text}\" as \"2006\""
                ))
            })?;
            // On its way to the kubelet it loses its fraction.
            Timestamp::from_second(parsed.as_second()).ok()
        }
        None => seconds.and_then(|seconds| Timestamp::now().checked_sub(Duration::from_secs(seconds.unsigned_abs())).ok()),
    };
    let size = |number: Option<i64>| number.and_then(|number| usize::try_from(number).ok());
    Ok(Wanted { is_stamped: request.is_set("timestamps"), since, tail: size(tail), limit: size(limit) })
}

/// Sends what is there and what comes. Whether the connection can go on.
pub fn stream(
    cluster: &Cluster,
    connection: &mut Connection,
    log: &Log,
    wanted: &Wanted,
    faults: &StreamFaults,
) -> io::Result<bool> {
    connection.framing = faults.framing;
    connection.begin("text/plain")?;
    let partings = log.partings();
    let mut left = wanted.limit.unwrap_or(usize::MAX);
    let (first, mut at) = log.read(wanted);
    let mut told_lines = 0;
    let mut pending: Vec<Vec<u8>> = first.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    loop {
        for line in pending.drain(..) {
            if let Some((_, is_clean)) = faults.end.filter(|(after, _)| told_lines >= *after) {
                return parted(connection, is_clean);
            }
            if let Some(late) = faults.late {
                std::thread::sleep(late);
            }
            let count = line.len().min(left);
            if !faults.is_silent {
                connection.send(&line[..count])?;
            }
            told_lines += 1;
            left -= count;
            if left == 0 {
                connection.end()?;
                return Ok(true);
            }
        }
        connection.flush()?;
        if let Some((_, is_clean)) = faults.end.filter(|(after, _)| told_lines >= *after) {
            return parted(connection, is_clean);
        }
        match log.news(at, partings, LOOK) {
            News::Lines(lines) => {
                at += lines.len();
                pending = lines.iter().map(|line| told(line, wanted.is_stamped)).collect();
            }
            News::Nothing => {
                if connection.is_gone() {
                    return Ok(false);
                }
                if cluster.state().has_ended {
                    return Ok(false);
                }
            }
            News::End => {
                connection.end()?;
                return Ok(true);
            }
        }
    }
}

fn parted(connection: &mut Connection, is_clean: bool) -> io::Result<bool> {
    if is_clean {
        connection.end()?
    } else {
        connection.cut()
    }
    Ok(is_clean)
}
