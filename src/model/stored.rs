//! Jobs as the store keeps them and memory starts from.

use std::sync::Arc;

use super::attempt::Progress;
use super::change::{Origin, Seq, TaskResult};
use super::ids::{JobId, JobName, TaskIdx};
use super::spec::{JobSpec, TaskSpec};
use super::state::TaskState;

/// What memory starts from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Loaded {
    /// Jobs that are not over.
    pub jobs: Vec<StoredJob>,
    /// The highest job number ever used.
    pub last_job: u32,
    /// The newest event.
    pub seq: Seq,
    /// Whether everything is paused.
    pub paused: bool,
    /// Jobs set aside because a row of theirs could not be decoded, and why.
    pub quarantined: Vec<(JobName, String)>,
}

/// A job as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredJob {
    /// Its number.
    pub id: JobId,
    /// Its name.
    pub name: JobName,
    /// Its definition.
    pub spec: Arc<JobSpec>,
    /// Whether a person paused it.
    pub paused: bool,
    /// Whether `on_failure: stop` took effect.
    pub stopped: bool,
    /// Its tasks, in order of [`TaskIdx`] from 0, without gaps.
    pub tasks: Vec<StoredTask>,
}

/// A task as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredTask {
    /// Its place.
    pub idx: TaskIdx,
    /// Its definition.
    pub spec: Arc<TaskSpec>,
    /// Who queued it, if not the file.
    pub origin: Option<Origin>,
    /// Where it stands.
    pub state: TaskState,
    /// Attempts opened so far: the number of the last one.
    pub attempts: u32,
    /// Attempts since the last requeue that spent the retry budget.
    pub spent_retry: u32,
    /// Attempts since the last requeue that spent the infrastructure budget.
    pub spent_infra: u32,
    /// Its result.
    pub result: Option<TaskResult>,
    /// How far it says it is.
    pub progress: Option<Progress>,
}
