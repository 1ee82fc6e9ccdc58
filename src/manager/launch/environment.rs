//! The environment of a task: what it passes on, what its job and pool say, and who it is.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Composer, Obstacle, TASK_SOCKET};
use crate::manager::ports::{CONTAINER_ATTEMPT, CONTAINER_SOCKET, Place};
use crate::manager::secrets;
use crate::model::core::Launch;
use crate::model::credential::{API_KEY, SECRET_STAYS};
use crate::model::docker::LEFT_OUTSIDE;
use crate::model::spec::{Action, ClaudeAuth, ClaudeSpec, EnvValue, SecretRef};
use crate::model::template::{Context, render_text};

impl Composer {
    /// Passed variables, then the job's, then the task's.
    pub(super) fn environment(
        &self,
        launch: &Launch,
        context: &Context,
        place: &Place,
    ) -> Result<BTreeMap<String, String>, Obstacle> {
        let mut env = launch.job.passed_env.clone();
        if matches!(launch.task.action, Action::Claude(_)) {
            env.extend(launch.job.claude_env.clone());
        }
        if *place != Place::Process {
            for name in LEFT_OUTSIDE {
                env.remove(*name);
            }
        }
        if let Place::Docker(container) = place {
            for (name, value) in &container.settings.env {
                let value = match value {
                    EnvValue::Text(text) => text.clone(),
                    EnvValue::From(secret) => self.secret(name, secret)?,
                };
                env.insert(name.clone(), value);
            }
        }
        for (name, value) in launch.job.env.iter().chain(&launch.task.env) {
            let value = match value {
                EnvValue::Text(text) => render_text(text, context).map_err(Obstacle::never)?,
                EnvValue::From(_) if matches!(place, Place::Kubernetes(_)) => return Err(Obstacle::Never(stays_here(name))),
                EnvValue::From(secret) => self.secret(name, secret)?,
            };
            env.insert(name.clone(), value);
        }
        Ok(env)
    }

    pub(super) fn claude_environment(
        &self,
        spec: &ClaudeSpec,
        place: &Place,
        env: &mut BTreeMap<String, String>,
    ) -> Result<(), Obstacle> {
        let auth = spec.auth.as_ref().unwrap_or(&self.settings.claude.auth);
        match (auth, place) {
            // A pod takes it from a Secret of its cluster.
            (ClaudeAuth::Env(name), Place::Kubernetes(pod)) if !pod.settings.env.contains_key(API_KEY) => {
                return Err(Obstacle::Never(stays_here(name)));
            }
            (ClaudeAuth::Env(_), Place::Kubernetes(_)) => {}
            (ClaudeAuth::Env(name), _) => {
                let key = self.secret(API_KEY, &SecretRef::Env(name.clone()))?;
                env.insert(API_KEY.to_owned(), key);
            }
            (ClaudeAuth::Login, _) => {}
        }
        for (name, value) in self.claude.env_defaults() {
            env.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        }
        self.claude_in_container(auth, place, env)
    }

    fn secret(&self, variable: &str, secret: &SecretRef) -> Result<String, Obstacle> {
        secrets::resolve(secret, &self.environment).map_err(|why| Obstacle::Secret(format!("{variable}: {why}")))
    }

    /// Tells the task who it is and how to reach the manager.
    pub(super) fn identify(&self, launch: &Launch, dir: &Path, place: &Place, env: &mut BTreeMap<String, String>) {
        let mark = self.identity.mark(launch.attempt);
        let is_contained = *place != Place::Process;
        let own_dir = if is_contained { CONTAINER_ATTEMPT.to_owned() } else { dir.display().to_string() };
        let socket = match place {
            Place::Process => Some(self.task_socket.clone()),
            Place::Docker(_) => Some(format!("{CONTAINER_SOCKET}/{TASK_SOCKET}")),
            // Nothing listens there: what a task asks for is told by its runner.
            Place::Kubernetes(_) => None,
        };
        for (name, value) in
            socket.into_iter().flat_map(|socket| [("AIRX_SOCKET", socket), ("AIRX_TOKEN", self.identity.token(&mark))])
        {
            env.insert(name.to_owned(), value);
        }
        let own = [
            ("AIRX_JOB", launch.name.to_string()),
            ("AIRX_TASK", launch.id.clone()),
            ("AIRX_ATTEMPT", mark),
            ("AIRX_DIR", own_dir),
        ];
        env.extend(own.map(|(name, value)| (name.to_owned(), value)));
        // A container has its image's PATH, and its runner adds our program to it.
        if is_contained {
            return;
        }
        let path = env.entry("PATH".to_owned()).or_insert_with(|| "/usr/local/bin:/usr/bin:/bin".to_owned());
        if let Some(own) = self.own_directory.as_ref().and_then(|dir| dir.to_str())
            && !path.split(':').any(|part| part == own)
        {
            path.push(':');
            path.push_str(own);
        }
    }
}

/// Why a pod does not get a secret of this machine's.
fn stays_here(name: &str) -> String {
    format!("{name} is a secret of the manager's, {}", SECRET_STAYS)
}
