//! Whose usage limit and login a Claude run depends on.
//!
//! Runs of one credential reach its limit together and are locked out together, so what is learnt from one of them holds for
//! all: the rest is held instead of failing one after the other. Once the hold is due a single run tries it first.

use serde::{Deserialize, Serialize};

use super::ids::AttemptId;
use super::live::UsageWindow;
use super::spec::{Action, ClaudeAuth, EnvValue, JobSpec, SecretRef, TaskSpec};
use super::time::Utc;

/// The variable that carries an API key to the CLI.
pub const API_KEY: &str = "ANTHROPIC_API_KEY";

/// The variable that says where the CLI keeps its login and its sessions, in place of `~/.claude`.
pub const CONFIG_DIR: &str = "CLAUDE_CONFIG_DIR";

/// Variables that carry a token in place of a login kept on disk.
const TOKENS: [&str; 2] = ["ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"];

/// Switches to a provider whose own credentials the CLI looks for.
const CLOUDS: [&str; 2] = ["CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX"];

/// Why a secret of the manager's does not get into a pod, and what to do.
pub const SECRET_STAYS: &str = concat!(
    "and what is in a pod's definition can be read in its cluster: put it into a Secret there, and name that in the pool's `env`, ",
    "such as NAME: { secret: my-secret, key: NAME }",
);
/// What a Claude run in a pod lacks, and what to do.
pub const LOGIN_STAYS_OUT_OF_PODS: &str = concat!(
    "your login stays outside of pods: put a credential into a Secret of the namespace, and name that in the pool's `env`, such as ",
    "ANTHROPIC_API_KEY: { secret: my-secret, key: NAME }, or CLAUDE_CODE_OAUTH_TOKEN (`claude setup-token` makes one)",
);
/// Why a Claude run in a container has no credential, and what to do.
pub const LOGIN_STAYS: &str = concat!(
    "your login stays outside of containers: give this run a credential by reference, such as ",
    "claude: { auth: env:ANTHROPIC_API_KEY } in the configuration, or CLAUDE_CODE_OAUTH_TOKEN: { from: \"env:NAME\" } in the `env` ",
    "of the job or the pool (`claude setup-token` makes one)",
);

/// Whether a run whose login is not there gets to its model by what its environment says: a key or a token, a cloud's own
/// credentials, or a directory that somebody put there.
pub fn is_given<'v>(variable: impl Fn(&str) -> Option<&'v str>) -> bool {
    let is_key = |name: &&str| variable(name).is_some_and(|key| !key.is_empty());
    let is_cloud = |name: &&str| variable(name).is_some_and(|value| value != "0");
    is_key(&API_KEY) || TOKENS.iter().any(is_key) || CLOUDS.iter().any(is_cloud) || variable(CONFIG_DIR).is_some()
}

/// A credential's name, for people too: `login /home/ann/.claude`, `key TEAM_KEY`. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Credential(pub String);

impl std::fmt::Display for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The credential of a task; none when it is no Claude run. `default` is the configuration's `claude.auth`.
pub fn of(job: &JobSpec, task: &TaskSpec, default: &ClaudeAuth) -> Option<Credential> {
    let Action::Claude(claude) = &task.action else { return None };
    let own = |name: &str| task.env.get(name).or_else(|| job.env.get(name));
    let text = |name: &str| match own(name) {
        Some(EnvValue::Text(text)) => Some(text.as_str()),
        Some(EnvValue::From(_)) => None,
        None => job.claude_env.get(name).or_else(|| job.passed_env.get(name)).map(String::as_str),
    };
    let given = |name: &&str| match own(name) {
        Some(EnvValue::From(secret)) => Some(reference(secret)),
        _ => None,
    };
    let name = match (claude.auth.as_ref().unwrap_or(default), given(&API_KEY), TOKENS.iter().find_map(given)) {
        (ClaudeAuth::Env(name), ..) => format!("key {name}"),
        (ClaudeAuth::Login, Some(key), _) => format!("key {key}"),
        (ClaudeAuth::Login, None, Some(token)) => format!("token {token}"),
        (ClaudeAuth::Login, None, None) => {
            let place = text(CONFIG_DIR).map(str::to_owned);
            let place = place.or_else(|| text("HOME").map(|home| format!("{home}/.claude")));
            format!("login {}", place.unwrap_or_default())
        }
    };
    // The same key at another provider has limits of its own.
    let provider = text("ANTHROPIC_BASE_URL").map(|url| format!(" at {}", without_secrets(url))).unwrap_or_default();
    Some(Credential(format!("{}{provider}", name.trim_end())))
}

/// An address as it may be shown, and sent to people: without a password or a token in it.
fn without_secrets(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let end = rest.find('/').unwrap_or(rest.len());
    let host = rest[..end].rsplit('@').next().unwrap_or_default();
    let sign = if scheme.is_empty() { "" } else { "://" };
    format!("{scheme}{sign}{host}{}", &rest[end..])
}

fn reference(secret: &SecretRef) -> String {
    match secret {
        SecretRef::Env(name) => name.clone(),
        SecretRef::File(path) => path.display().to_string(),
        SecretRef::Command(line) => line.clone(),
    }
}

/// Why a credential's runs are held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "for", rename_all = "snake_case")]
pub enum CredentialHold {
    /// The provider's usage limit.
    Limit {
        /// When one run may try again.
        until: Utc,
        /// Whether the provider told when; else it is a guess.
        #[serde(default)]
        told: bool,
    },
    /// It was refused: somebody has to log in, or mend the key.
    Login {
        /// When one run tries whether somebody has.
        again: Utc,
        /// The delay that led to `again`: after a clock change the wait is never longer.
        delay_ms: u64,
    },
}

impl CredentialHold {
    /// When one run may try.
    pub fn due(&self) -> Utc {
        match self {
            CredentialHold::Limit { until, .. } => *until,
            CredentialHold::Login { again, .. } => *again,
        }
    }
}

/// What is known of a credential.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialState {
    /// Why its runs are held, if they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<CredentialHold>,
    /// The run that tries whether the hold is over, while it may be alive. It is named, since a wall clock that was set back
    /// cannot tell it from runs that are older than the hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<AttemptId>,
    /// Its usage windows as last told, at most [`super::live::MAX_WINDOWS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<UsageWindow>,
    /// Whether an API key pays, so that dollars are real; none before the first run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pays_by_key: Option<bool>,
}

impl CredentialState {
    /// Holds its runs; whoever tried whether an earlier hold was over says nothing about this one.
    pub fn hold(&mut self, hold: CredentialHold) {
        (self.hold, self.probe) = (Some(hold), None);
    }

    /// Its runs may start again.
    pub fn lift(&mut self) {
        (self.hold, self.probe) = (None, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::spec::{ClaudeSpec, OnFailure, TaskDefaults};
    use std::collections::BTreeMap;

    fn job() -> JobSpec {
        JobSpec {
            name: "j".into(),
            description: None,
            pool: "local".into(),
            workspace: "/w".into(),
            max_parallel: 1,
            priority: 0,
            max_added: None,
            on_failure: OnFailure::Continue,
            params: BTreeMap::new(),
            env: BTreeMap::new(),
            passed_env: BTreeMap::from([("HOME".to_owned(), "/home/ann".to_owned())]),
            claude_env: BTreeMap::new(),
            budget: None,
            added_defaults: TaskDefaults::default(),
            scheduled: None,
            result: None,
            source: None,
        }
    }

    fn task(claude: ClaudeSpec) -> TaskSpec {
        TaskSpec::new("t", Action::Claude(Box::new(claude)))
    }

    #[test]
    fn runs_of_one_login_share_a_credential_and_a_key_or_another_provider_is_another_one() {
        let name = |job: &JobSpec, claude| of(job, &task(claude), &ClaudeAuth::Login).map(|name| name.0);
        let plain = ClaudeSpec::default();
        assert_eq!(name(&job(), plain.clone()).as_deref(), Some("login /home/ann/.claude"));
        let key = ClaudeSpec { auth: Some(ClaudeAuth::Env("TEAM".into())), ..plain.clone() };
        assert_eq!(name(&job(), key).as_deref(), Some("key TEAM"));
        let mut other = job();
        other.claude_env.insert("CLAUDE_CONFIG_DIR".into(), "/srv/bot".into());
        other.claude_env.insert("ANTHROPIC_BASE_URL".into(), "http://127.0.0.1:1".into());
        assert_eq!(name(&other, plain.clone()).as_deref(), Some("login /srv/bot at http://127.0.0.1:1"));
        for (url, shown) in [
            ("https://ann:pw@llm.example/v1?key=pw#x", "https://llm.example/v1"),
            ("ann:p@w@llm.example", "llm.example"),
            ("https://llm.example/a@b", "https://llm.example/a@b"),
            ("", ""),
        ] {
            other.claude_env.insert("ANTHROPIC_BASE_URL".into(), url.into());
            assert_eq!(name(&other, plain.clone()).unwrap(), format!("login /srv/bot at {shown}"));
        }
        let mut secret = job();
        secret.env.insert(API_KEY.into(), EnvValue::From(SecretRef::File("/k".into())));
        assert_eq!(name(&secret, plain).as_deref(), Some("key /k"));
        assert_eq!(of(&job(), &TaskSpec::new("t", Action::Run("true".into())), &ClaudeAuth::Login), None);
    }
}
