//! The workspace of a pod.

use serde_json::{Value, json};

use super::{SCRATCH, confined, literal, pull_policy, small};
use crate::manager::ports::{CONTAINER_SCRATCH, CONTAINER_WORKSPACE};
use crate::model::kubernetes::{KubernetesSettings, PodWorkspace};

const WORKSPACE: &str = "airx-workspace";

pub(super) fn volume(settings: &KubernetesSettings) -> Value {
    match &settings.workspace {
        PodWorkspace::Claim { name, .. } => json!({ "name": WORKSPACE, "persistentVolumeClaim": { "claimName": name } }),
        PodWorkspace::Empty { bytes: Some(bytes) } => {
            json!({ "name": WORKSPACE, "emptyDir": { "sizeLimit": bytes.to_string() } })
        }
        PodWorkspace::Empty { bytes: None } | PodWorkspace::Git { .. } => json!({ "name": WORKSPACE, "emptyDir": {} }),
    }
}

pub(super) fn mount(settings: &KubernetesSettings) -> Value {
    let mut mount = json!({ "name": WORKSPACE, "mountPath": CONTAINER_WORKSPACE });
    if let PodWorkspace::Claim { path: Some(path), .. } = &settings.workspace {
        mount["subPath"] = path.as_str().into();
    }
    mount
}

/// Any reference is fetched by name, whatever it is, and nothing but that. Credentials come by variables, which the helper reads:
/// none of them is in an argument or in the configuration that stays.
const CLONE: &str = r#"set -e
cd /workspace
helper='!f() { test "$1" = get || exit 0; echo "username=${GIT_USERNAME:-x-access-token}"; echo "password=${GIT_PASSWORD:-$GIT_TOKEN}"; }; f'
test -n "$GIT_PASSWORD$GIT_TOKEN" || helper=
git init -q .
git remote add origin "$AIRX_GIT_URL"
if test -n "$AIRX_GIT_DEPTH"; then set -- --depth "$AIRX_GIT_DEPTH"; fi
git -c credential.helper="$helper" fetch -q "$@" origin "${AIRX_GIT_REF:-HEAD}"
git checkout -q FETCH_HEAD
"#;

/// Clones the repository, where there is one.
pub(super) fn clone(settings: &KubernetesSettings) -> Option<Value> {
    let PodWorkspace::Git { url, reference, image, depth, secret } = &settings.workspace else { return None };
    let variable = |name: &str, value: &str| json!({ "name": name, "value": literal(value) });
    let mut env = vec![
        variable("HOME", CONTAINER_SCRATCH),
        variable("GIT_TERMINAL_PROMPT", "0"),
        // The directory itself is the cluster's, not the user's.
        variable("GIT_CONFIG_COUNT", "1"),
        variable("GIT_CONFIG_KEY_0", "safe.directory"),
        variable("GIT_CONFIG_VALUE_0", CONTAINER_WORKSPACE),
        variable("AIRX_GIT_URL", url),
        variable("AIRX_GIT_REF", reference.as_deref().unwrap_or_default()),
        variable("AIRX_GIT_DEPTH", &depth.map(|depth| depth.to_string()).unwrap_or_default()),
    ];
    for (name, key) in [("GIT_USERNAME", "username"), ("GIT_PASSWORD", "password"), ("GIT_TOKEN", "token")] {
        env.extend(secret.as_ref().map(
            |secret| json!({ "name": name, "valueFrom": { "secretKeyRef": { "name": secret, "key": key, "optional": true } } }),
        ));
    }
    Some(json!({
        "name": "airx-clone",
        "image": image,
        "imagePullPolicy": pull_policy(settings.pull),
        "command": ["sh", "-c", literal(CLONE)],
        "env": env,
        "securityContext": confined(true),
        "volumeMounts": [mount(settings), { "name": SCRATCH, "mountPath": CONTAINER_SCRATCH }],
        "resources": small(settings),
    }))
}

/// What git has to be told of a workspace that it does not own.
pub(super) fn variables(settings: &KubernetesSettings) -> Vec<(&'static str, String)> {
    match settings.workspace {
        PodWorkspace::Git { .. } => vec![
            ("GIT_CONFIG_COUNT", "1".to_owned()),
            ("GIT_CONFIG_KEY_0", "safe.directory".to_owned()),
            ("GIT_CONFIG_VALUE_0", CONTAINER_WORKSPACE.to_owned()),
        ],
        PodWorkspace::Empty { .. } | PodWorkspace::Claim { .. } => Vec::new(),
    }
}
