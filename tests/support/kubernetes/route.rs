//! What a request asks for.

use super::http::Request;

/// Requests as they are counted, and as faults name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Create,
    Get,
    List,
    Watch,
    Delete,
    Patch,
    Log,
    Attach,
    Events,
    Review,
    Namespace,
    Version,
    Other,
}

/// A request with what it is about.
#[derive(Debug, Clone)]
pub struct Call {
    pub kind: Kind,
    pub verb: &'static str,
    /// With its subresource after a slash; empty for what needs no right.
    pub resource: String,
    pub namespace: Option<String>,
    pub name: Option<String>,
}

/// Other resources, which a client might ask for and may not.
const KNOWN: &[&str] =
    &["secrets", "configmaps", "nodes", "services", "serviceaccounts", "persistentvolumeclaims", "resourcequotas"];
const SUBRESOURCES: &[&str] = &["eviction", "status", "exec", "portforward", "ephemeralcontainers", "resize", "binding", "proxy"];

impl Call {
    pub fn of(request: &Request) -> Call {
        let parts: Vec<&str> = request.path.split('/').filter(|part| !part.is_empty()).collect();
        let method = request.method.as_str();
        match parts.as_slice() {
            ["version" | "readyz" | "livez" | "healthz"] => Call::free(Kind::Version),
            ["apis", "authorization.k8s.io", "v1", "selfsubjectaccessreviews"] if method == "POST" => Call::free(Kind::Review),
            ["api", "v1", "namespaces", name] if method == "GET" => {
                let (namespace, name) = (Some((*name).to_owned()), Some((*name).to_owned()));
                Call { kind: Kind::Namespace, verb: "get", resource: "namespaces".to_owned(), namespace, name }
            }
            ["api", "v1", resource] => Call::object(request, None, resource, None, None),
            ["api", "v1", "namespaces", namespace, resource] => Call::object(request, Some(namespace), resource, None, None),
            ["api", "v1", "namespaces", namespace, resource, name] => {
                Call::object(request, Some(namespace), resource, Some(name), None)
            }
            ["api", "v1", "namespaces", namespace, resource, name, sub] => {
                Call::object(request, Some(namespace), resource, Some(name), Some(sub))
            }
            _ => Call::free(Kind::Other),
        }
    }

    fn free(kind: Kind) -> Call {
        Call { kind, verb: "", resource: String::new(), namespace: None, name: None }
    }

    fn object(request: &Request, namespace: Option<&str>, resource: &str, name: Option<&str>, sub: Option<&str>) -> Call {
        let owned = |part: Option<&str>| part.map(str::to_owned);
        let verb = match (request.method.as_str(), name) {
            ("GET", None) if request.is_set("watch") => "watch",
            ("GET", None) => "list",
            ("GET", Some(_)) => "get",
            ("POST", _) => "create",
            ("PUT", _) => "update",
            ("PATCH", _) => "patch",
            ("DELETE", None) => "deletecollection",
            ("DELETE", Some(_)) => "delete",
            _ => "",
        };
        let kind = match (resource, sub, verb) {
            ("pods", None, "create") if name.is_none() => Kind::Create,
            ("pods", None, "get") => Kind::Get,
            ("pods", None, "list") => Kind::List,
            ("pods", None, "watch") => Kind::Watch,
            ("pods", None, "delete") => Kind::Delete,
            ("pods", None, "patch") => Kind::Patch,
            ("pods", Some("log"), "get") => Kind::Log,
            ("pods", Some("attach"), "get" | "create") => Kind::Attach,
            ("events", None, "list") => Kind::Events,
            _ => Kind::Other,
        };
        let is_known = match sub {
            Some(sub) => resource == "pods" && (SUBRESOURCES.contains(&sub) || kind != Kind::Other),
            None => resource == "pods" || resource == "events" || KNOWN.contains(&resource),
        };
        let whole = sub.map_or(resource.to_owned(), |sub| format!("{resource}/{sub}"));
        let resource = if is_known { whole } else { String::new() };
        Call { kind, verb, resource, namespace: owned(namespace), name: owned(name) }
    }
}
