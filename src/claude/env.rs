//! The environment of a Claude task: what it inherits, what is set for it, and what is never passed on.

use std::collections::BTreeMap;

use crate::model::credential::CONFIG_DIR;

/// What a Claude task takes from its submitter beside PATH, HOME, LANG and TZ, so that it finds the login and the network
/// that an interactive `claude` in the same shell would use. HOME and CLAUDE_CONFIG_DIR lead to the login; the base URL
/// and the provider switches say where requests go; the rest is how this network is reached.
///
/// Left out on purpose: every credential (ANTHROPIC_API_KEY, ANTHROPIC_AUTH_TOKEN, CLAUDE_CODE_OAUTH_TOKEN, AWS keys), since
/// what is passed is stored with the job and secrets travel by reference only; ANTHROPIC_MODEL, since the model is always
/// passed as a flag; IS_SANDBOX, since lifting a protection should be written in the job file.
pub const PASSED: &[&str] = &[
    CONFIG_DIR,
    "ANTHROPIC_BASE_URL",
    "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CODE_USE_VERTEX",
    "AWS_PROFILE",
    "AWS_REGION",
    "CLOUD_ML_REGION",
    "ANTHROPIC_VERTEX_PROJECT_ID",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "https_proxy",
    "http_proxy",
    "no_proxy",
    "NODE_EXTRA_CA_CERTS",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// Those of [`PASSED`] that `lookup` knows, without those that carry a credential (`http://user:password@proxy`): they would
/// be stored. Such a proxy is given in the job's `env` as a reference.
pub fn passed(lookup: impl Fn(&str) -> Option<String>) -> BTreeMap<String, String> {
    let known = PASSED.iter().filter_map(|name| Some(((*name).to_owned(), lookup(name)?)));
    known.filter(|(_, value)| !has_userinfo(value)).collect()
}

fn has_userinfo(value: &str) -> bool {
    let authority = value.split_once("://").map_or(value, |(_, rest)| rest);
    authority.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@'))
}

/// What is set for every Claude task unless its environment has it already.
///
/// Retries inside a run keep what it has paid for, while another attempt starts from nothing. So the CLI's own ten retries
/// stay (a dead API ends the run after 3 minutes), written down so that another version's default changes nothing; only
/// the wait for an answer that never comes is shortened from 300 s to 180 s each, 36 minutes in all. Task timeouts bound
/// the rest. A CLI that updates itself under a hundred running tasks is asking for trouble.
pub fn env_defaults() -> Vec<(&'static str, &'static str)> {
    vec![("CLAUDE_CODE_MAX_RETRIES", "10"), ("API_TIMEOUT_MS", "180000"), ("DISABLE_AUTOUPDATER", "1")]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::credential::API_KEY;

    #[test]
    fn login_and_network_are_passed_and_credentials_never() {
        let shell = |name: &str| match name {
            "CLAUDE_CONFIG_DIR" => Some("/home/ann/.claude".to_owned()),
            "HTTPS_PROXY" => Some("http://ann:secret@proxy:3128".to_owned()),
            "https_proxy" => Some("ann:secret@proxy:3128".to_owned()),
            "HTTP_PROXY" => Some("http://proxy:3128/a@b".to_owned()),
            "ANTHROPIC_API_KEY" | "CLAUDE_CODE_OAUTH_TOKEN" | "ANTHROPIC_AUTH_TOKEN" => Some("secret".to_owned()),
            _ => None,
        };
        let passed: Vec<_> = passed(shell).into_iter().collect();
        let expected = [("CLAUDE_CONFIG_DIR", "/home/ann/.claude"), ("HTTP_PROXY", "http://proxy:3128/a@b")];
        assert_eq!(passed, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn nothing_set_by_default_is_a_credential_or_also_passed() {
        assert!(env_defaults().iter().all(|(name, _)| !PASSED.contains(name) && *name != API_KEY));
    }
}
