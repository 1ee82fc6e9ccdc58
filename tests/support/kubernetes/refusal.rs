//! The bodies of refused requests, in the words of the recordings.

use serde_json::{Value, json};

use super::http::Answer;

/// Who the token belongs to.
pub const USER: &str = "system:serviceaccount:airx:airx-manager";

/// A refused request.
#[derive(Debug, Clone)]
pub struct Refusal {
    pub code: u16,
    pub reason: &'static str,
    pub message: String,
    pub details: Value,
    pub retry_after: Option<u32>,
}

impl Refusal {
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { code, reason, message: message.into(), details: Value::Null, retry_after: None }
    }

    /// About an object.
    pub fn of(mut self, kind: &str, name: &str) -> Refusal {
        self.details = json!({ "name": name, "kind": kind });
        self
    }

    pub fn retry_after(mut self, seconds: u32) -> Refusal {
        self.retry_after = Some(seconds);
        self.details["retryAfterSeconds"] = json!(seconds);
        self
    }

    pub fn body(&self) -> Value {
        let mut body =
            json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.message });
        if !self.reason.is_empty() {
            body["reason"] = json!(self.reason);
        }
        if !self.details.is_null() {
            body["details"] = self.details.clone();
        }
        body["code"] = json!(self.code);
        body
    }

    pub fn answer(&self) -> Answer {
        let answer = Answer::json(self.code, &self.body());
        match self.retry_after {
            Some(seconds) => answer.with("Retry-After", seconds.to_string()),
            None => answer,
        }
    }
}

pub fn bad_request(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "BadRequest", message)
}

pub fn no_pod(name: &str) -> Refusal {
    Refusal::new(404, "NotFound", format!("pods \"{name}\" not found")).of("pods", name)
}

pub fn no_namespace(name: &str) -> Refusal {
    Refusal::new(404, "NotFound", format!("namespaces \"{name}\" not found")).of("namespaces", name)
}

pub fn exists(name: &str, is_being_deleted: bool) -> Refusal {
    let before = if is_being_deleted { "object is being deleted: " } else { "" };
    Refusal::new(409, "AlreadyExists", format!("{before}pods \"{name}\" already exists")).of("pods", name)
}

/// A create that admission refuses.
pub fn forbidden(name: &str, why: &str) -> Refusal {
    Refusal::new(403, "Forbidden", format!("pods \"{name}\" is forbidden: {why}")).of("pods", name)
}

/// What the user may not do; `resource` with its subresource after a slash.
pub fn not_allowed(user: &str, verb: &str, resource: &str, namespace: Option<&str>, name: Option<&str>) -> Refusal {
    let kind = resource.split('/').next().unwrap_or(resource);
    let scope = namespace.map_or("at the cluster scope".to_owned(), |namespace| format!("in the namespace \"{namespace}\""));
    let subject = name.map_or(kind.to_owned(), |name| format!("{kind} \"{name}\""));
    let message =
        format!("{subject} is forbidden: User \"{user}\" cannot {verb} resource \"{resource}\" in API group \"\" {scope}");
    let refusal = Refusal::new(403, "Forbidden", message);
    match name {
        Some(name) => refusal.of(kind, name),
        None => Refusal { details: json!({ "kind": kind }), ..refusal },
    }
}

/// A fault of an object's field.
#[derive(Debug, Clone)]
pub struct Cause {
    pub reason: &'static str,
    pub field: String,
    pub message: String,
}

/// All faults of an object at once.
pub fn invalid(kind: &str, name: &str, causes: &[Cause]) -> Refusal {
    let texts: Vec<String> = causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
    let said = if texts.len() == 1 { texts[0].clone() } else { format!("[{}]", texts.join(", ")) };
    let mut refusal = Refusal::new(422, "Invalid", format!("{kind} \"{name}\" is invalid: {said}")).of(kind, name);
    let causes = causes.iter().map(|cause| json!({ "reason": cause.reason, "message": cause.message, "field": cause.field }));
    refusal.details["causes"] = causes.collect();
    refusal
}

pub fn too_old(version: u64, oldest: u64) -> Value {
    Refusal::new(410, "Expired", format!("too old resource version: {version} ({oldest})")).body()
}
