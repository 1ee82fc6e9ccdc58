//! What is different for an attempt that is to live in a container or a pod.

use std::collections::BTreeMap;

use super::{Composer, Obstacle, pool, workspace};
use crate::manager::ports::{CONTAINER_CLAUDE, DockerPlace, Place, PodPlace};
use crate::model::core::Launch;
use crate::model::credential::{CONFIG_DIR, LOGIN_STAYS, LOGIN_STAYS_OUT_OF_PODS, is_given};
use crate::model::kubernetes::PodEnv;
use crate::model::settings::PoolBackend;
use crate::model::spec::{Action, ClaudeAuth};

impl Composer {
    /// Where the attempt is to live.
    pub(super) fn place(&self, launch: &Launch) -> Place {
        let job = launch.name.to_string();
        let task = launch.id.clone();
        match self.settings.pools.get(pool(launch)).map(|pool| &pool.backend) {
            None | Some(PoolBackend::Process) => Place::Process,
            Some(PoolBackend::Docker(settings)) => {
                let is_claude = matches!(launch.task.action, Action::Claude(_));
                Place::Docker(Box::new(DockerPlace {
                    settings: settings.clone(),
                    task,
                    workspace: workspace(launch).to_owned(),
                    resources: self.resources(launch),
                    claude_config: is_claude.then(|| self.home.join("jobs").join(&job).join(".claude")),
                    job,
                }))
            }
            Some(PoolBackend::Kubernetes(settings)) => {
                let mark = self.identity.mark(launch.attempt);
                Place::Kubernetes(Box::new(PodPlace {
                    settings: settings.clone(),
                    job,
                    task,
                    resources: self.resources(launch),
                    nonce: self.identity.token(&format!("lines of {mark}")).chars().take(NONCE).collect(),
                }))
            }
        }
    }

    /// Where the CLI keeps its configuration and sessions in a container, and by what it gets to its model.
    pub(super) fn claude_in_container(
        &self,
        auth: &ClaudeAuth,
        place: &Place,
        env: &mut BTreeMap<String, String>,
    ) -> Result<(), Obstacle> {
        let of_pod = |name: &str| match place {
            Place::Kubernetes(pod) => pod.settings.env.get(name).map(|value| match value {
                PodEnv::Text(text) => text.as_str(),
                PodEnv::Secret { .. } => "of the cluster",
            }),
            Place::Process | Place::Docker(_) => None,
        };
        let known = |name: &str| env.get(name).map(String::as_str).or_else(|| of_pod(name));
        if *place != Place::Process && *auth == ClaudeAuth::Login && !is_given(known) {
            let lacks = if matches!(place, Place::Kubernetes(_)) { LOGIN_STAYS_OUT_OF_PODS } else { LOGIN_STAYS };
            return Err(Obstacle::Never(lacks.to_owned()));
        }
        let is_kept = match place {
            Place::Process => false,
            Place::Docker(container) => container.claude_config.is_some(),
            Place::Kubernetes(pod) => !pod.settings.env.contains_key(CONFIG_DIR),
        };
        if is_kept {
            env.entry(CONFIG_DIR.to_owned()).or_insert_with(|| CONTAINER_CLAUDE.to_owned());
        }
        Ok(())
    }

    /// Whether the CLI still has the session; none when that cannot be seen from here.
    pub(super) fn has_session(&self, session: &str, env: &BTreeMap<String, String>, place: &Place) -> Option<bool> {
        let is_ours = env.get(CONFIG_DIR).is_some_and(|place| place == CONTAINER_CLAUDE);
        match place {
            Place::Process => self.claude.has_session(session, env),
            Place::Docker(container) => {
                let outside = container.claude_config.as_ref().filter(|outside| is_ours && outside.exists())?;
                let outside = BTreeMap::from([(CONFIG_DIR.to_owned(), outside.display().to_string())]);
                self.claude.has_session(session, &outside)
            }
            // It went with its pod, unless it lies on a volume.
            Place::Kubernetes(_) => is_ours.then_some(false),
        }
    }

    /// Whether the command would run as root: in a container by the pool's user.
    pub(super) fn is_root(&self, place: &Place) -> bool {
        match place {
            Place::Process => self.is_root,
            Place::Docker(container) => match container.settings.user.as_deref() {
                Some(user) => matches!(user.split(':').next(), Some("0" | "root")),
                None => self.is_root,
            },
            Place::Kubernetes(pod) => pod.settings.user.is_some_and(|(uid, _)| uid == 0),
        }
    }
}

/// Digits of the nonce that begins a runner's lines: 64 bits.
const NONCE: usize = 16;
