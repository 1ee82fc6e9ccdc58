//! What is different for an attempt that is to live in a container.

use std::collections::BTreeMap;

use super::{Composer, Obstacle, pool, workspace};
use crate::manager::ports::{CONTAINER_CLAUDE, DockerPlace};
use crate::model::core::Launch;
use crate::model::credential::{CONFIG_DIR, LOGIN_STAYS, is_given};
use crate::model::settings::PoolBackend;
use crate::model::spec::{Action, ClaudeAuth, ClaudeSpec};

impl Composer {
    /// The container that the attempt is to live in, when its pool is one of containers.
    pub(super) fn container(&self, launch: &Launch) -> Option<DockerPlace> {
        let PoolBackend::Docker(settings) = &self.settings.pools.get(pool(launch))?.backend else { return None };
        let job = launch.name.to_string();
        let is_claude = matches!(launch.task.action, Action::Claude(_));
        Some(DockerPlace {
            settings: settings.clone(),
            task: launch.id.clone(),
            workspace: workspace(launch).to_owned(),
            resources: self.resources(launch),
            claude_config: is_claude.then(|| self.home.join("jobs").join(&job).join(".claude")),
            job,
        })
    }

    /// Where the CLI keeps its configuration and sessions in a container, and by what it gets to its model.
    pub(super) fn claude_in_container(
        &self,
        spec: &ClaudeSpec,
        container: &DockerPlace,
        env: &mut BTreeMap<String, String>,
    ) -> Result<(), Obstacle> {
        let auth = spec.auth.as_ref().unwrap_or(&self.settings.claude.auth);
        if *auth == ClaudeAuth::Login && !is_given(|name| env.get(name).map(String::as_str)) {
            return Err(Obstacle::Never(LOGIN_STAYS.to_owned()));
        }
        if container.claude_config.is_some() {
            env.entry(CONFIG_DIR.to_owned()).or_insert_with(|| CONTAINER_CLAUDE.to_owned());
        }
        Ok(())
    }

    /// Whether the CLI still has the session; none when that cannot be seen from here.
    pub(super) fn has_session(
        &self,
        session: &str,
        env: &BTreeMap<String, String>,
        container: Option<&DockerPlace>,
    ) -> Option<bool> {
        let Some(container) = container else { return self.claude.has_session(session, env) };
        let is_ours = env.get(CONFIG_DIR).is_some_and(|place| place == CONTAINER_CLAUDE);
        let outside = container.claude_config.as_ref().filter(|outside| is_ours && outside.exists())?;
        let outside = BTreeMap::from([(CONFIG_DIR.to_owned(), outside.display().to_string())]);
        self.claude.has_session(session, &outside)
    }

    /// Whether the command would run as root: in a container by the pool's user.
    pub(super) fn is_root(&self, container: Option<&DockerPlace>) -> bool {
        match container.and_then(|container| container.settings.user.as_deref()) {
            Some(user) => matches!(user.split(':').next(), Some("0" | "root")),
            None => self.is_root,
        }
    }
}
