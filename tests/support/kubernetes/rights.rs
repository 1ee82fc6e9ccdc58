//! What the client may do, and where.

use std::collections::BTreeSet;

/// Allowed verbs of resources (`pods`, `pods/log`), in the namespace `airx` or everywhere.
#[derive(Debug, Clone)]
pub struct Rights {
    allowed: BTreeSet<(String, String)>,
    pub namespaces: BTreeSet<String>,
    pub is_everywhere: bool,
}

impl Default for Rights {
    /// Those of the recordings' `rbac.yaml`, and `attach`.
    fn default() -> Rights {
        let mut allowed = BTreeSet::new();
        for verb in ["create", "get", "list", "watch", "delete", "patch"] {
            allowed.insert((verb.to_owned(), "pods".to_owned()));
        }
        for (verb, resource) in [("get", "pods/log"), ("list", "events"), ("create", "pods/attach"), ("get", "pods/attach")] {
            allowed.insert((verb.to_owned(), resource.to_owned()));
        }
        Rights { allowed, namespaces: BTreeSet::from(["airx".to_owned()]), is_everywhere: false }
    }
}

impl Rights {
    pub fn allow(&mut self, verb: &str, resource: &str) {
        self.allowed.insert((verb.to_owned(), resource.to_owned()));
    }

    pub fn deny(&mut self, verb: &str, resource: &str) {
        self.allowed.remove(&(verb.to_owned(), resource.to_owned()));
    }

    pub fn may(&self, verb: &str, resource: &str, namespace: Option<&str>) -> bool {
        let here = self.is_everywhere || namespace.is_some_and(|namespace| self.namespaces.contains(namespace));
        let is_known = |verb: &str| self.allowed.contains(&(verb.to_owned(), resource.to_owned()));
        here && (is_known(verb) || is_known("*"))
    }
}
