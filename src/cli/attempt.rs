//! The attempt that this process runs in, and what it may ask of the manager. A file in the outbox is the request; the socket
//! only speeds the answer, so that nothing is lost while the manager is away.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::api::client::{ClientError, ClientErrorKind};
use crate::api::socket::{Proof, intake, own_tasks};
use crate::model::attempt::{OutboxBody, RunnerSpec};
use crate::model::core::Taken;
use crate::model::message::{RefusalCode, TaskView};
use crate::model::result::sound;

use super::context::{Context, Failure, Services};

/// Longest wait for the manager's answer; the request is safe in the outbox by then.
const PATIENCE: Duration = Duration::from_secs(10);

/// Largest `spec.json` that is read, in bytes.
const MAX_SPEC: u64 = 32 << 20;

/// A running attempt, seen from inside.
#[derive(Clone)]
pub(super) struct Attempt {
    /// `AIRX_DIR`.
    pub directory: PathBuf,
    /// `AIRX_JOB`, the job's full name.
    pub job: String,
    /// `AIRX_TASK`, the task's id.
    pub task: String,
    is_apart: bool,
    proof: Proof,
    services: Arc<dyn Services>,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Asked {
    /// The manager took it in.
    Taken(Taken),
    /// It lies in the outbox under this key; the manager does not answer here now (it is away, or another machine) and takes it in when it can.
    Later(String),
    /// The same where the manager never answers, so that there is nothing to remark on.
    Apart(String),
}

/// Whether the environment is that of a task whose manager listens nowhere: it reads what the task asks for, from afar.
pub(super) fn is_apart(env: &BTreeMap<String, String>) -> bool {
    let has = |name: &str| env.get(name).is_some_and(|value| !value.is_empty());
    has("AIRX_DIR") && !has("AIRX_SOCKET")
}

impl Attempt {
    /// The attempt that the environment names; none outside of a running task.
    pub fn of(context: &Context) -> Option<Attempt> {
        let variable = |name: &str| context.env.get(name).cloned().unwrap_or_default();
        let directory = PathBuf::from(context.env.get("AIRX_DIR").filter(|dir| !dir.is_empty())?);
        let (mark, token) = (variable("AIRX_ATTEMPT"), variable("AIRX_TOKEN"));
        let proof = Proof { socket: PathBuf::from(variable("AIRX_SOCKET")), mark, token };
        let services = context.services.clone();
        let (job, task) = (variable("AIRX_JOB"), variable("AIRX_TASK"));
        Some(Attempt { directory, job, task, is_apart: is_apart(&context.env), proof, services })
    }

    /// The same for the command `verb`, which works nowhere else.
    ///
    /// # Errors
    /// Bad input outside of a running task.
    pub fn needed(context: &Context, verb: &str) -> Result<Attempt, Failure> {
        Attempt::of(context)
            .ok_or_else(|| Failure::input(format!("`airx {verb}` works inside a running task only"), "AIRX_DIR is not set here"))
    }

    /// Whether `name` is the attempt's own job, in full or without its number.
    pub fn is_of(&self, name: &str) -> bool {
        self.job == name || self.job.rsplit_once('.').is_some_and(|(own, _)| name == own)
    }

    /// Puts the request into the outbox, and asks the manager to look. Blocks for [`PATIENCE`] at most.
    ///
    /// # Errors
    /// Why it could not be put there, or why the manager refused it.
    pub fn ask(&self, body: OutboxBody, id: Option<&str>) -> Result<Asked, Failure> {
        if let OutboxBody::Result(value) = &body {
            self.fits(value)?;
        }
        let (seq, key) = self
            .services
            .put(&self.directory, body, id)
            .map_err(|why| Failure::failed(why, "check that the attempt's directory is still there and has room"))?;
        if self.is_apart {
            return Ok(Asked::Apart(key));
        }
        match intake(&self.proof, PATIENCE) {
            Ok(all) => match all.into_iter().find(|taken| taken.seq == seq) {
                Some(Taken { refused: Some(why), .. }) => Err(Failure::failed(format!("refused: {why}"), "")),
                Some(taken) => Ok(Asked::Taken(taken)),
                None => Ok(Asked::Later(key)),
            },
            // Such as a full disk: what was asked for is in the outbox all the same, and must not be asked for again.
            Err(error) if error.kind == ClientErrorKind::Refused(RefusalCode::Unavailable) => Ok(Asked::Later(key)),
            Err(error) if matches!(error.kind, ClientErrorKind::Refused(_)) => Err(error.into()),
            Err(_) => Ok(Asked::Later(key)),
        }
    }

    /// A result that does not fit the task's schema is refused here, where it can be mended at once.
    fn fits(&self, value: &Value) -> Result<(), Failure> {
        let refused = |why: String| Failure::failed(format!("refused: {why}"), "set another one");
        sound(value).map_err(refused)?;
        // Without one that can be read the manager looks by itself.
        let Some(schema) = self.schema() else { return Ok(()) };
        self.services.fits(&schema, value).map_err(refused)
    }

    fn schema(&self) -> Option<Arc<Value>> {
        let mut text = Vec::new();
        let file = crate::os::open_regular(&self.directory.join("spec.json")).ok()?;
        file.take(MAX_SPEC).read_to_end(&mut text).ok()?;
        serde_json::from_slice::<RunnerSpec>(&text).ok()?.result?.schema
    }

    /// `AIRX_ATTEMPT`, its mark.
    pub fn mark(&self) -> &str {
        &self.proof.mark
    }

    /// Tasks of the attempt's job in order, from the place `from` on.
    ///
    /// # Errors
    /// When the manager cannot be asked now.
    pub fn tasks(&self, from: u32, limit: u32) -> Result<Vec<TaskView>, ClientError> {
        if self.is_apart {
            return Err(ClientError::apart());
        }
        own_tasks(&self.proof, from, limit, PATIENCE)
    }
}
