//! What a notifier's process is told to do: everything rendered, every secret resolved.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::manager::secrets;
use crate::model::notice::words::Words;
use crate::model::notice::{Means, Notice, Notifier};
use crate::model::spec::EnvValue;

/// Largest order, in bytes of JSON.
pub const MAX_ORDER: u64 = 1 << 20;
/// What a command gets of the manager's environment: what finds programs, the user's session and its desktop. No token, no key.
const PASSED: [&str; 15] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "TMUX",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
];
/// What a request needs besides: the way out, and whom to trust.
const PASSED_TO_REQUESTS: [&str; 10] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// What to do.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Run a program.
    Command {
        /// The program and its arguments.
        argv: Vec<String>,
        /// Its whole environment.
        env: BTreeMap<String, String>,
        /// Its directory.
        cwd: PathBuf,
    },
    /// Send a request.
    Post {
        /// Where to.
        url: String,
        /// Beside the usual ones.
        headers: Vec<(String, String)>,
        /// Its body.
        body: String,
    },
}

impl Order {
    /// What `notifier` does about `notice`; none when a workstation does it. Runs commands of `command:` secrets, so it may
    /// take long for those.
    ///
    /// # Errors
    /// Why it cannot be done, in words that never contain a secret.
    pub fn compose(
        notifier: &Notifier,
        notice: &Notice,
        home: &Path,
        environment: &BTreeMap<String, String>,
    ) -> Result<Option<Order>, String> {
        let words = Words::new(notifier, notice, &home.display().to_string()).map_err(|error| error.to_string())?;
        let command = |argv: Vec<String>| {
            let mut env = passed(environment, &PASSED);
            env.extend(words.variables());
            let own = env.get("HOME").map(PathBuf::from).filter(|home| home.is_dir());
            Order::Command { argv, env, cwd: own.unwrap_or_else(|| PathBuf::from("/")) }
        };
        Ok(match &notifier.means {
            Means::Terminal(_) => None,
            Means::Run(line) => Some(command(vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()])),
            Means::Command(templates) => {
                let argv: Result<Vec<String>, _> = templates.iter().map(|template| words.render(template)).collect();
                Some(command(argv.map_err(|error| error.to_string())?))
            }
            Means::Webhook(webhook) => {
                let resolve = |what: &str, value: &EnvValue| resolved(value, environment).map_err(|why| format!("{what}: {why}"));
                let headers: Result<Vec<_>, String> =
                    webhook.headers.iter().map(|(name, value)| Ok((name.clone(), resolve(name, value)?))).collect();
                let body = words.body(webhook).map_err(|error| error.to_string())?;
                Some(Order::Post { url: resolve("its address", &webhook.url)?, headers: headers?, body })
            }
        })
    }

    /// The environment of the process that does it.
    pub(super) fn surroundings(environment: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut env = passed(environment, &PASSED);
        env.extend(passed(environment, &PASSED_TO_REQUESTS));
        env
    }
}

fn passed(environment: &BTreeMap<String, String>, names: &[&str]) -> BTreeMap<String, String> {
    names.iter().filter_map(|name| Some(((*name).to_owned(), environment.get(*name)?.clone()))).collect()
}

fn resolved(value: &EnvValue, environment: &BTreeMap<String, String>) -> Result<String, String> {
    match value {
        EnvValue::Text(text) => Ok(text.clone()),
        EnvValue::From(secret) => secrets::resolve(secret, environment),
    }
}
