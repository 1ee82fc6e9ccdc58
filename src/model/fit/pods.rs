//! What of a task cannot be in a pod.

use super::{Misfit, has_credential};
use crate::model::credential::{API_KEY, LOGIN_STAYS_OUT_OF_PODS, SECRET_STAYS};
use crate::model::kubernetes::{KubernetesSettings, PodEnv};
use crate::model::settings::Settings;
use crate::model::spec::{ClaudeAuth, ClaudeSpec, EnvValue, JobSpec, TaskSpec};

/// What does not fit the pool of this name.
pub(super) fn misfits(
    job: &JobSpec,
    task: &TaskSpec,
    claude: Option<&ClaudeSpec>,
    (name, pool): (&str, &KubernetesSettings),
    settings: &Settings,
) -> Vec<Misfit> {
    let mut misfits = Vec::new();
    let by_reference = job.env.iter().chain(&task.env).filter(|(_, value)| matches!(value, EnvValue::From(_)));
    for (variable, _) in by_reference {
        let message = format!("`{name}` is a pool of pods, and {variable} is a secret of the manager's");
        misfits.push(Misfit::fault("env", message, SECRET_STAYS));
    }
    let Some(claude) = claude else { return misfits };
    let of_pool = |variable: &str| match pool.env.get(variable)? {
        PodEnv::Text(text) => Some(text.as_str()),
        PodEnv::Secret { .. } => Some("of the cluster"),
    };
    let lacks = match claude.auth.as_ref().unwrap_or(&settings.claude.auth) {
        ClaudeAuth::Env(_) => of_pool(API_KEY).is_none(),
        ClaudeAuth::Login => !has_credential(claude, job, task, settings, of_pool),
    };
    if lacks {
        let message = format!("`{name}` is a pool of pods, and this run has no credential there");
        misfits.push(Misfit::fault("claude", message, LOGIN_STAYS_OUT_OF_PODS));
    }
    if claude.permissions.is_some() && !pool.attach {
        let message = format!("it may ask for permissions, and `{name}` has no way to answer into its pods");
        let hint = "write attach: true into the pool, and allow `get` and `create` on pods/attach in the Role; or take `permissions` out";
        misfits.push(Misfit::fault("claude", message, hint));
    }
    misfits
}
