//! What a manager does in a namespace, as the cluster's Role has to allow it, verb by verb.

/// A verb on a resource of the core API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// `pods`…
    pub resource: &'static str,
    /// `log`…; empty for the resource itself.
    pub subresource: &'static str,
    /// `get`…
    pub verb: &'static str,
}

const fn right(verb: &'static str, resource: &'static str, subresource: &'static str) -> Right {
    Right { resource, subresource, verb }
}

/// Without these no pool works.
pub const NEEDED: &[Right] = &[
    right("create", "pods", ""),
    right("get", "pods", ""),
    right("list", "pods", ""),
    right("watch", "pods", ""),
    right("delete", "pods", ""),
    right("get", "pods", "log"),
];

/// Without these nothing can be said to a pod's runner. A stream that is asked for by a GET takes `get`; since Kubernetes 1.35 it
/// takes `create` as well.
pub const ATTACH: &[Right] = &[right("get", "pods", "attach"), right("create", "pods", "attach")];

/// These only explain pods that do not start.
pub const OPTIONAL: &[Right] = &[right("list", "events", "")];

/// Whoever has these can do more harm by the manager than by its pods. They are asked for only to warn of them.
pub const EXCESS: &[Right] = &[
    right("get", "secrets", ""),
    right("list", "secrets", ""),
    right("create", "secrets", ""),
    right("get", "pods", "exec"),
    right("create", "pods", "exec"),
];

/// All that is asked for.
pub fn all() -> impl Iterator<Item = Right> {
    [NEEDED, ATTACH, OPTIONAL, EXCESS].into_iter().flatten().copied()
}

/// Rights for people: `create, get on pods; get on pods/log`.
pub fn words(rights: &[Right]) -> String {
    let mut groups: Vec<((&str, &str), Vec<&str>)> = Vec::new();
    for right in rights {
        let of = (right.resource, right.subresource);
        match groups.iter_mut().find(|(known, _)| *known == of) {
            Some((_, verbs)) => verbs.push(right.verb),
            None => groups.push((of, vec![right.verb])),
        }
    }
    let told = |((resource, sub), verbs): &((&str, &str), Vec<&str>)| {
        let slash = if sub.is_empty() { "" } else { "/" };
        format!("{} on {resource}{slash}{sub}", verbs.join(", "))
    };
    groups.iter().map(told).collect::<Vec<_>>().join("; ")
}
