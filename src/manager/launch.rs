//! From a decided launch to a backend's order: templates rendered, environment composed, secrets resolved.

mod container;
mod context;
mod environment;
mod gate;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::model::attempt::{GateSpec, OutputMode, RunnerSpec, Stdin, StopSignal};
use crate::model::core::Launch;
use crate::model::ids::AttemptId;
use crate::model::seal::public;
use crate::model::settings::Settings;
use crate::model::spec::{Action, ClaudeSpec, EnvValue, ROUND_TIMEOUT_MS, Resources, SecretRef, Submission, Trust, Until};
use crate::model::template::{Context, render_shell, render_text};

use super::ports::{CONTAINER_WORKSPACE, ClaudeCli, ClaudeRun, LaunchOrder, Place};
use super::secrets;
use super::token::Identity;
use super::trust;

/// The name of the socket that runners see, in its directory.
const TASK_SOCKET: &str = "task.sock";

/// Opens a file that a task may have put something else in the place of: a regular one only, and never through a link.
pub type OpenFile = fn(&Path) -> std::io::Result<std::fs::File>;

/// Makes the way to Claude Code anew when its configuration changes.
pub type MakeClaude = Arc<dyn Fn(&Settings) -> Arc<dyn ClaudeCli> + Send + Sync>;

/// What became of a launch.
#[derive(Debug)]
pub enum Composed {
    /// Ready for the backend.
    Order(Box<LaunchOrder>),
    /// Secrets of a held task can be resolved now.
    Ready,
    /// They still cannot.
    StillMissing,
    /// A secret is missing.
    Secret {
        /// Which attempt has to wait.
        attempt: AttemptId,
        /// Which variable, and why.
        what: String,
    },
    /// It can never be launched.
    Never {
        /// Why, and what to do.
        why: String,
    },
}

/// Makes launch orders.
#[derive(Clone)]
pub struct Composer {
    home: PathBuf,
    identity: Identity,
    claude: Arc<dyn ClaudeCli>,
    make_claude: MakeClaude,
    settings: Settings,
    environment: Arc<BTreeMap<String, String>>,
    task_socket: String,
    own_directory: Option<PathBuf>,
    is_root: bool,
    open: OpenFile,
}

/// What a [`Composer`] has to know of the process it works in.
pub struct Surroundings {
    /// The home directory of airx.
    pub home: PathBuf,
    /// Its identity.
    pub identity: Identity,
    /// The manager's environment, for `env:` references.
    pub environment: BTreeMap<String, String>,
    /// The socket that runners see.
    pub task_socket: PathBuf,
    /// Where the airx binary lies; appended to PATH, so that tasks find `airx add`.
    pub own_directory: Option<PathBuf>,
    /// Whether tasks run as user 0.
    pub is_root: bool,
    /// Opens what an attempt left.
    pub open: OpenFile,
}

impl Composer {
    /// A composer for this home and configuration.
    pub fn new(surroundings: Surroundings, settings: &Settings, make_claude: MakeClaude) -> Composer {
        Composer {
            home: surroundings.home,
            identity: surroundings.identity,
            claude: make_claude(settings),
            make_claude,
            settings: settings.clone(),
            environment: Arc::new(surroundings.environment),
            task_socket: surroundings.task_socket.display().to_string(),
            own_directory: surroundings.own_directory,
            is_root: surroundings.is_root,
            open: surroundings.open,
        }
    }

    /// The same with another configuration.
    pub fn with_settings(&self, settings: &Settings) -> Composer {
        Composer { claude: (self.make_claude)(settings), settings: settings.clone(), ..self.clone() }
    }

    /// The home's identity.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Where an attempt's files lie.
    pub fn directory(&self, job: &str, task: &str, attempt: AttemptId) -> PathBuf {
        attempt_directory(&self.home, job, task, attempt.number)
    }

    /// Makes the order. Runs commands of `command:` secrets, so it may take long for those.
    pub fn compose(&self, launch: &Launch) -> Composed {
        match self.order(launch) {
            Ok(order) => Composed::Order(Box::new(order)),
            Err(Obstacle::Secret(what)) => Composed::Secret { attempt: launch.attempt, what },
            Err(Obstacle::Never(why)) => Composed::Never { why },
        }
    }

    fn order(&self, launch: &Launch) -> Result<LaunchOrder, Obstacle> {
        let context = Context { gate: self.gate(launch), ..self.context(launch)? };
        let place = self.place(launch);
        let mut env = self.environment(launch, &context, &place)?;
        let mut variables = Vec::new();
        let mut shell = |text: &str| -> Result<Vec<String>, Obstacle> {
            let rendered = render_shell(text, &context, variables.len()).map_err(Obstacle::never)?;
            variables.extend(rendered.vars);
            Ok(vec!["/bin/sh".to_owned(), "-c".to_owned(), rendered.script])
        };
        let mut prompt = None;
        let mut silence_ms = None;
        let argv = match &launch.task.action {
            Action::Run(text) => shell(text)?,
            Action::Command { program, args } => std::iter::once(program)
                .chain(args)
                .map(|text| render_text(text, &context).map_err(Obstacle::never))
                .collect::<Result<_, _>>()?,
            Action::Job(_) => return Err(Obstacle::Never("a child job does its work".to_owned())),
            // It has no attempts.
            Action::Approve(_) => return Err(Obstacle::Never("an approval is not started".to_owned())),
            Action::Claude(claude) => {
                let text = if claude.literal {
                    claude.prompt.clone()
                } else {
                    render_text(&claude.prompt, &context).map_err(Obstacle::never)?
                };
                self.claude_environment(claude, &place, &mut env)?;
                let pairs: Vec<(String, String)> = env.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
                if let Some(why) = self.claude.refuse(claude, &text, self.is_root(&place), &pairs) {
                    return Err(Obstacle::Never(why));
                }
                let session = launch.session.as_deref().unwrap_or_default();
                // Recorded as resumed, but gone since (or never begun): the id is free for a session that begins afresh.
                let resumes = launch.resumes && self.has_session(session, &env, &place) != Some(false);
                let text = if resumes && launch.continues { self.claude.go_on().to_owned() } else { text };
                prompt = Some(self.claude.stdin(&text, claude.permissions.is_some()));
                silence_ms = Some(claude.silence_ms.unwrap_or(self.settings.claude.silence_ms));
                let microusd = launch.allowance.and_then(|allowance| allowance.left.microusd);
                let trusts_project = self.trust(launch, claude)? == Trust::Project;
                self.claude.argv(&ClaudeRun { spec: claude, session, resumes, microusd, rules: &launch.rules, trusts_project })
            }
        };
        let round = launch.task.repeat.as_ref().map(|repeat| round(&repeat.until, &mut shell)).transpose()?;
        let gate = launch
            .task
            .accept
            .as_ref()
            .map(|gate| Ok(GateSpec { argv: shell(&gate.run)?, timeout_ms: gate.timeout_ms }))
            .transpose()?;
        env.extend(variables);
        if let Some(Until::File { path, matches }) = launch.task.repeat.as_ref().map(|repeat| &repeat.until) {
            env.insert("AIRX_UNTIL_FILE".to_owned(), path.clone());
            env.insert("AIRX_UNTIL_MATCHES".to_owned(), matches.clone().unwrap_or_default());
        }
        let dir = self.directory(&launch.name.to_string(), &launch.id, launch.attempt);
        self.identify(launch, &dir, &place, &mut env);
        let is_contained = place != Place::Process;
        let is_claude = prompt.is_some();
        let limits = &launch.task.limits;
        let mark = self.identity.mark(launch.attempt);
        let spec = RunnerSpec {
            mark: mark.clone(),
            argv,
            cwd: if is_contained { CONTAINER_WORKSPACE.into() } else { workspace(launch).to_owned() },
            stdin: match &launch.task.action {
                Action::Claude(claude) if claude.permissions.is_some() => Stdin::Stream,
                Action::Claude(_) => Stdin::Prompt,
                Action::Run(_) | Action::Command { .. } | Action::Job(_) | Action::Approve(_) => Stdin::Null,
            },
            output: if is_claude { OutputMode::File } else { OutputMode::Pipes },
            timeout_ms: limits.timeout_ms,
            silence_ms,
            grace_ms: limits.grace_ms,
            stop: if is_claude { StopSignal::Int } else { StopSignal::Term },
            output_limit: limits.output_limit,
            // The engine enforces them in a container.
            resources: if is_contained { Resources::default() } else { self.resources(launch) },
            round,
            gate,
            allowance: launch.allowance,
            seal: public(&self.identity.seal(&mark)),
            result: launch.task.result.clone(),
            artifacts: launch.task.artifacts.clone(),
            claude: is_claude,
            contained: is_contained,
        };
        Ok(LaunchOrder { attempt: launch.attempt, dir, spec, env: env.into_iter().collect(), prompt, place })
    }

    /// Whether a command has to run to resolve a secret of this launch.
    pub fn runs_command(&self, launch: &Launch) -> bool {
        let of_pool = self.settings.pools.get(pool(launch)).into_iter().flat_map(|pool| pool.env().map(|(_, value)| value));
        let mut all = launch.job.env.values().chain(launch.task.env.values()).chain(of_pool);
        all.any(|value| matches!(value, EnvValue::From(SecretRef::Command(_))))
    }

    /// What a new job's secrets lack now.
    pub fn missing_secrets(&self, submission: &Submission) -> Vec<String> {
        secrets::missing(submission, &self.settings, &self.environment)
    }

    fn trust(&self, launch: &Launch, spec: &ClaudeSpec) -> Result<Trust, Obstacle> {
        let workspace = workspace(launch);
        let home = self.environment.get("HOME").map(String::as_str);
        trust::decide(spec.trust, workspace, &self.settings.claude.trusted, home).map_err(Obstacle::Never)
    }

    /// The task's limits; what it leaves open comes from its pool.
    fn resources(&self, launch: &Launch) -> Resources {
        let own = &launch.task.limits.resources;
        let Some(pool) = self.settings.pools.get(pool(launch)).map(|pool| &pool.resources) else { return own.clone() };
        Resources { memory: own.memory.or(pool.memory), cpus: own.cpus.or(pool.cpus), pids: own.pids.or(pool.pids) }
    }
}

/// The pool of the attempt.
fn pool(launch: &Launch) -> &str {
    launch.task.pool.as_deref().unwrap_or(&launch.job.pool)
}

/// Where the task works.
fn workspace(launch: &Launch) -> &Path {
    launch.task.workspace.as_ref().unwrap_or(&launch.job.workspace)
}

/// Where an attempt's files lie in a home: `jobs/NAME.N/TASK.NUMBER`.
pub fn attempt_directory(home: &Path, job: &str, task: &str, number: u32) -> PathBuf {
    // Ids of mapped instances hold a slash, which must not make a directory of its own.
    home.join("jobs").join(job).join(format!("{}.{number}", task.replace('/', ".")))
}

/// Writes a digest of the workspace's git tree, untracked files included, where there is one.
const TREE: &str = r#"if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
  { git rev-parse -q --verify HEAD; git status --porcelain=v1 -uall; git diff --no-ext-diff --no-textconv HEAD
    git ls-files -oz --exclude-standard | xargs -0r git hash-object --; } 2>/dev/null | git hash-object --stdin >"$AIRX_DIR/tree"
fi
"#;

/// The condition of a task that repeats, as a shell command that also writes down the state of the workspace.
fn round(until: &Until, shell: &mut dyn FnMut(&str) -> Result<Vec<String>, Obstacle>) -> Result<GateSpec, Obstacle> {
    let mut argv = match until {
        Until::Command(text) => shell(text)?,
        Until::File { matches, .. } => {
            let look = match matches {
                // grep says 2 of a bad pattern as well as of a file that is not there yet.
                Some(_) => format!(
                    r#"grep -qE -e "$AIRX_UNTIL_MATCHES" </dev/null; test $? -le 1 || exit {}
exec grep -qE -e "$AIRX_UNTIL_MATCHES" -- "$AIRX_UNTIL_FILE""#,
                    Until::BAD_PATTERN
                ),
                None => r#"exec test -e "$AIRX_UNTIL_FILE""#.to_owned(),
            };
            vec!["/bin/sh".to_owned(), "-c".to_owned(), look]
        }
    };
    if let Some(script) = argv.last_mut() {
        script.insert_str(0, TREE);
    }
    Ok(GateSpec { argv, timeout_ms: ROUND_TIMEOUT_MS })
}

/// Why there is no order.
enum Obstacle {
    Secret(String),
    Never(String),
}

impl Obstacle {
    fn never(error: impl std::fmt::Display) -> Obstacle {
        Obstacle::Never(error.to_string())
    }
}
