//! What can go wrong with an engine, told apart by what to do about it.

use bollard::errors::Error;

/// A call of an engine that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It cannot be reached, or did not answer: nothing is known, and it is asked again later.
    Unreachable(String),
    /// It said no.
    Refused {
        /// The HTTP status; 0 for an error within a stream.
        status: u16,
        /// In its words.
        message: String,
    },
}

impl Fault {
    /// Whether what was named is not there.
    pub fn is_missing(&self) -> bool {
        matches!(self, Fault::Refused { status: 404, .. })
    }

    /// Whether what was to be made is there, or is being made or unmade.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Fault::Refused { status: 409, .. })
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Unreachable(why) => f.write_str(why),
            Fault::Refused { message, .. } => f.write_str(message.trim_end()),
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        match error {
            Error::DockerResponseServerError { status_code, message } => Fault::Refused { status: status_code, message },
            Error::DockerStreamError { error } => Fault::Refused { status: 0, message: error },
            Error::RequestTimeoutError => Fault::Unreachable("it does not answer".to_owned()),
            other => Fault::Unreachable(causes(&other)),
        }
    }
}

/// What led to an error in the end: the outermost says no more than that a connection failed.
fn causes(error: &Error) -> String {
    if let Error::SocketNotFoundError(_) = error {
        return "there is no such socket".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let text = cause.to_string();
    text.split(" (os error ").next().unwrap_or_default().to_owned()
}

/// What was being done when an engine said no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The image was pulled.
    Pull,
    /// The container was made.
    Create,
    /// Something was copied into it.
    Upload,
    /// It was started.
    Start,
}

/// Why an attempt cannot be launched, in words with the remedy, and whether it may work later.
pub fn why_not(stage: Stage, image: &str, status: u16, message: &str) -> (String, bool) {
    let said = message.trim_end().trim_end_matches(": unknown");
    let has = |parts: &[&str]| parts.iter().any(|part| said.contains(part));
    let is_short = has(&["no space left", "cannot allocate memory", "resource temporarily unavailable", "too many open files"]);
    match stage {
        _ if is_short => (format!("the engine is short of something: {said}"), true),
        Stage::Pull
            if has(&["denied", "unauthorized", "authentication required", "no basic auth"]) || matches!(status, 401 | 403) =>
        {
            (format!("pull of {image} denied: {said}; log in to its registry with `docker login`, or correct the name"), false)
        }
        Stage::Pull if status == 404 || has(&["not found", "manifest unknown"]) => {
            (format!("no registry has the image {image}: {said}; correct the name, or build it"), false)
        }
        Stage::Pull => (format!("the pull of {image} failed: {said}"), true),
        Stage::Create if status == 404 && has(&["No such image", "no such image"]) => {
            (format!("the image {image} is gone from the engine: {said}; pull or build it"), true)
        }
        _ if has(&["network"]) && has(&["not found"]) => {
            (format!("{said}; create it with `docker network create`, or correct the pool's `network`"), false)
        }
        _ if has(&[
            "bind source path does not exist",
            "mounts denied",
            "invalid mount config",
            "is not shared from the host",
        ]) =>
        {
            (format!("mount refused: {said}; the engine must see the directory under the same path"), false)
        }
        _ if has(&["error mounting", "failed to mount", "not a directory: unknown: Are you trying to mount"]) => {
            (format!("mount refused: {said}; look at the pool's `mounts`"), false)
        }
        _ if has(&["unable to find user", "no matching entries in passwd file"]) => {
            (format!("{said}: the image does not know the pool's `user`; give numbers, UID:GID"), false)
        }
        _ if has(&["gathering device information", "invalid runtime name", "runtime not found"]) => {
            (format!("the engine refused the container: {said}; look at the pool's `override`"), false)
        }
        Stage::Start if has(&["exec format error"]) => {
            (format!("the image {image} is of another architecture: {said}; use one of this machine's, or `runner: none`"), false)
        }
        // Another of its name is being removed, which may take long.
        Stage::Create if status == 409 => (format!("the engine refused the container: {said}"), true),
        _ => (format!("the engine refused the container: {said}"), status >= 500 && stage != Stage::Create),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_engine_refuses_is_told_with_the_remedy_and_whether_it_may_work_later() {
        let cases = [
            (
                Stage::Pull,
                404,
                "pull access denied for x, repository does not exist or may require 'docker login'",
                "denied",
                false,
            ),
            (
                Stage::Pull,
                500,
                "Get \"http://127.0.0.1:1/v2/\": dial tcp 127.0.0.1:1: connect: connection refused",
                "failed",
                true,
            ),
            (Stage::Pull, 404, "manifest for x:1 not found: manifest unknown", "no registry has", false),
            (
                Stage::Create,
                400,
                "invalid mount config for type \"bind\": bind source path does not exist: /x",
                "mount refused",
                false,
            ),
            (Stage::Create, 404, "No such image: x:latest", "gone from the engine", true),
            (Stage::Create, 409, "Conflict. The container name \"/x\" is already in use", "refused", true),
            (Stage::Start, 404, "network nowhere not found", "docker network create", false),
            (Stage::Start, 500, "write /var/lib/docker/x: no space left on device", "short of", true),
            (Stage::Start, 400, "unable to find user ann: no matching entries in passwd file", "UID:GID", false),
        ];
        for (stage, status, message, expected, transient) in cases {
            let (why, may_work) = why_not(stage, "x", status, message);
            assert!(why.contains(expected) && may_work == transient, "{why} {may_work}");
        }
    }
}
