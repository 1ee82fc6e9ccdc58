//! What can go wrong with a cluster's API, told apart by what to do about it.

use kube::client::AuthError;
use kube::config::KubeconfigError;
use kube::error::Error;

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It cannot be reached, or did not answer: nothing is known, and it is asked again later.
    Unreachable(String),
    /// It said no.
    Refused(Refusal),
}

/// A `Status` that is a failure. Its message is for people; code, reason and causes decide.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Refusal {
    /// The HTTP status.
    pub code: u16,
    /// `NotFound`, `Forbidden`…; may be empty.
    pub reason: String,
    /// In its words.
    pub message: String,
    /// The reasons of its causes.
    pub causes: Vec<String>,
    /// Seconds after which to ask again, if it said so.
    pub retry_after_s: u32,
}

impl Fault {
    fn refusal(&self) -> Option<&Refusal> {
        match self {
            Fault::Unreachable(_) => None,
            Fault::Refused(refusal) => Some(refusal),
        }
    }

    fn has_code(&self, code: u16) -> bool {
        self.refusal().is_some_and(|refusal| refusal.code == code)
    }

    /// Whether what was named is not there.
    pub fn is_missing(&self) -> bool {
        self.has_code(404)
    }

    /// Whether what was to be made is there, or what was to be changed is another by now.
    pub fn is_conflict(&self) -> bool {
        self.has_code(409)
    }

    /// Whether it is no answer to what was asked: the server is busy, starting or broken.
    pub fn is_passing(&self) -> bool {
        match self {
            Fault::Unreachable(_) => true,
            Fault::Refused(refusal) => refusal.code == 429 || refusal.code >= 500,
        }
    }

    /// Whether the Role lacks a verb, which a server that was just started says of everything for some seconds.
    pub fn is_not_allowed(&self) -> bool {
        self.has_code(401) || self.refusal().is_some_and(|refusal| refusal.code == 403 && lacks_verb(&refusal.message))
    }

    /// Milliseconds after which it wants to be asked again, if it said so.
    pub fn retry_after_ms(&self) -> Option<u64> {
        self.refusal().map(|refusal| u64::from(refusal.retry_after_s) * 1_000).filter(|ms| *ms > 0)
    }
}

/// As the authorizer says it: <https://kubernetes.io/docs/reference/access-authn-authz/authorization/>. Admission says other things
/// with the same code and reason.
fn lacks_verb(message: &str) -> bool {
    message.contains(" is forbidden: User ") && message.contains(" cannot ")
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Unreachable(why) => f.write_str(why),
            Fault::Refused(Refusal { code, reason, message, .. }) if message.is_empty() => write!(f, "{code} {reason}"),
            Fault::Refused(refusal) => f.write_str(refusal.message.trim_end()),
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        match error {
            // Whatever it is that answers, it does not know our pods.
            Error::Api(status) if status.reason == NO_STATUS && !matches!(status.code, 401 | 403 | 413 | 429 | 500..) => {
                Fault::Unreachable(format!("something else than a cluster answers there ({})", status.code))
            }
            Error::Api(status) => Fault::Refused(Refusal {
                code: status.code,
                reason: status.reason.clone(),
                message: bounded(&status.message),
                retry_after_s: status.details.as_ref().map_or(0, |details| details.retry_after_seconds),
                causes: status.details.iter().flat_map(|details| &details.causes).map(|cause| cause.reason.clone()).collect(),
            }),
            other => Fault::Unreachable(root(&other)),
        }
    }
}

/// What the library says of an answer that is no `Status`, as those of proxies are.
const NO_STATUS: &str = "Failed to parse error data";
/// Longest message that is kept, in characters: a webhook's, or the page of a proxy.
const MAX_MESSAGE: usize = 2_000;

fn bounded(message: &str) -> String {
    match message.char_indices().nth(MAX_MESSAGE) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

/// What led to an error in the end: the outermost says no more than that a request failed.
pub fn root(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    loop {
        if let Some(told) = discreet(cause) {
            return told;
        }
        match cause.source() {
            Some(source) => cause = source,
            None => break,
        }
    }
    let text = cause.to_string();
    text.split(" (os error ").next().unwrap_or_default().to_owned()
}

/// What errors quote that quote a kubeconfig, or what a program printed that was asked for credentials: none of it is repeated.
fn discreet(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    if let Some(KubeconfigError::Parse(error)) = error.downcast_ref() {
        let place = error.location().map(|at| format!(" (line {}, column {})", at.line(), at.column()));
        return Some(format!("it is no kubeconfig{}", place.unwrap_or_default()));
    }
    let program = "the program that it names for credentials";
    match error.downcast_ref()? {
        AuthError::AuthExecRun { out, .. } => Some(format!("{program} failed ({})", out.status)),
        AuthError::AuthExecParse(_) => Some(format!("what {program} printed is no credential")),
        AuthError::AuthExec(_) => Some(format!("{program} gave none")),
        AuthError::AuthExecStart(error) => Some(format!("{program} cannot be started: {}", root(error))),
        _ => None,
    }
}

/// Why a pod cannot be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotMade {
    /// In words.
    pub found: String,
    /// What to do; empty when that is plain, or not known.
    pub remedy: &'static str,
    /// Whether it may be made when it is asked for again.
    pub heals: bool,
    /// Whether another attempt may help, should it not.
    pub transient: bool,
}

impl NotMade {
    /// In words, with the remedy.
    pub fn why(&self) -> String {
        if self.remedy.is_empty() { self.found.clone() } else { format!("{}; {}", self.found, self.remedy) }
    }
}

/// Reads a refusal of a pod.
pub fn not_made(refusal: &Refusal, namespace: &str) -> NotMade {
    let said = refusal.message.trim_end();
    let has = |part: &str| said.contains(part);
    let never = |found: String, remedy: &'static str| NotMade { found, remedy, heals: false, transient: false };
    match refusal.code {
        401 => NotMade {
            found: format!("the cluster does not know who we are: {said}"),
            remedy: "renew the credentials of the kubeconfig",
            heals: true,
            transient: true,
        },
        403 if lacks_verb(said) => NotMade {
            found: format!("forbidden, the verb `create` on pods in {namespace} is missing: {said}"),
            remedy: "apply the Role in assets/kubernetes, or ask `airx doctor`",
            heals: true,
            transient: false,
        },
        403 if has("exceeded quota") => NotMade {
            found: format!("the quota of {namespace} is used up: {said}"),
            remedy: "raise it, or give the pool fewer slots",
            heals: true,
            transient: true,
        },
        403 if has("failed quota") => never(
            format!("the quota of {namespace} wants what the pool does not say: {said}"),
            "give the pool `memory`, `cpus` and `requests`",
        ),
        403 if has("violates PodSecurity") => never(
            format!("the Pod Security level of {namespace} does not allow it: {said}"),
            "look at the pool's `user` and `template`",
        ),
        403 if has("per Container is") || has("per Pod is") => never(
            format!("a LimitRange of {namespace} does not allow it: {said}"),
            "correct the task's or the pool's `memory` and `cpus`",
        ),
        403 if has("PriorityClass") => never(said.to_owned(), "correct the pool's `priority_class`"),
        403 if has("service account") => never(said.to_owned(), "create it, or correct the pool's `service_account`"),
        403 if refusal.causes.iter().any(|cause| cause == "NamespaceTerminating") => {
            never(format!("the namespace {namespace} is being deleted: {said}"), "")
        }
        403 => never(format!("the cluster's admission refused the pod: {said}"), ""),
        404 => never(format!("there is no namespace {namespace}: {said}"), "create it, or correct the pool's `namespace`"),
        413 => {
            never("the pod's definition is larger than the cluster takes".to_owned(), "pass large values in files of a volume")
        }
        422 | 400 => never(
            format!("the cluster cannot use the pod's definition: {said}"),
            "look at the pool's settings and its `template`",
        ),
        // Said by ourselves.
        0 => never(said.to_owned(), ""),
        429 | 500.. => {
            NotMade { found: format!("the cluster's API is out of order: {said}"), remedy: "", heals: true, transient: true }
        }
        code => NotMade {
            found: format!("the cluster refused the pod ({code} {}): {said}", refusal.reason),
            remedy: "",
            heals: false,
            transient: true,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(code: u16, message: &str) -> Refusal {
        Refusal { code, message: message.to_owned(), ..Refusal::default() }
    }

    /// A pod that a proxy does not find may live.
    #[test]
    fn what_something_else_than_a_cluster_says_proves_nothing() {
        let status = |reason: &str, code: u16, message: &str| {
            Fault::from(Error::Api(kube::core::Status::failure(message, reason).with_code(code).boxed()))
        };
        let page = status(NO_STATUS, 404, "<html>Not Found</html>");
        assert!(!page.is_missing() && page.is_passing(), "{page:?}");
        assert!(!status(NO_STATUS, 409, "").is_conflict());
        assert!(status("NotFound", 404, "pods \"x\" not found").is_missing());
        assert!(status(NO_STATUS, 429, "Too many requests, please try again later.").is_passing());
        assert!(status(NO_STATUS, 401, "").is_not_allowed());
        assert!(status("", 422, &"ä".repeat(100_000)).to_string().len() < 2 * MAX_MESSAGE + 10);
    }

    /// Messages as a cluster said them.
    #[test]
    fn what_a_cluster_refuses_is_told_with_the_remedy_and_whether_it_heals() {
        let cases = [
            (
                403,
                "pods is forbidden: User \"u\" cannot create resource \"pods\" in API group \"\" in the namespace \"airx\"",
                "verb `create`",
                true,
            ),
            (
                403,
                "pods \"x\" is forbidden: exceeded quota: airx-pods, requested: pods=1, used: pods=1, limited: pods=1",
                "quota",
                true,
            ),
            (403, "pods \"x\" is forbidden: failed quota: airx-pods: must specify limits.memory for: main", "`memory`", false),
            (
                403,
                "pods \"x\" is forbidden: violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false",
                "Pod Security",
                false,
            ),
            (403, "pods \"x\" is forbidden: [maximum cpu usage per Container is 500m, but limit is 2]", "LimitRange", false),
            (403, "pods \"x\" is forbidden: no PriorityClass with name no-such-class was found", "`priority_class`", false),
            (
                403,
                "pods \"x\" is forbidden: error looking up service account airx/no-such-sa: serviceaccount \"no-such-sa\" not found",
                "`service_account`",
                false,
            ),
            (404, "namespaces \"no-such-ns\" not found", "create it", false),
            (422, "Pod \"x\" is invalid: spec.containers[0].name: Invalid value", "definition", false),
            (500, "etcdserver: request timed out", "out of order", true),
        ];
        for (code, message, part, heals) in cases {
            let told = not_made(&refusal(code, message), "airx");
            assert!(told.why().contains(part) && told.heals == heals, "{told:?}");
        }
        let going =
            Refusal { causes: vec!["NamespaceTerminating".to_owned()], ..refusal(403, "pods \"x\" is forbidden: unable") };
        assert!(not_made(&going, "airx").why().contains("being deleted"));
        assert!(!Fault::Refused(refusal(403, "pods \"x\" is forbidden: exceeded quota")).is_not_allowed());
    }
}
