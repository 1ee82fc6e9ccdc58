//! The pod that a pool would make of the smallest task there is, for the cluster to look at without making it.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use super::Pool;
use crate::backend::kubernetes::manifest::{grace_ms, is_reduced, manifest};
use crate::backend::kubernetes::record::Record;
use crate::manager::ports::{LaunchOrder, Place, PodPlace};
use crate::model::attempt::{OutputMode, RunnerSpec, Stdin, StopSignal};
use crate::model::ids::{AttemptId, JobId, TaskIdx};
use crate::model::spec::Resources;
use crate::model::time::Utc;

/// Milliseconds of grace of a task that says nothing.
const GRACE_MS: u64 = 10_000;
/// Bytes of output: none comes.
const OUTPUT: u64 = 1 << 20;

/// The pod. `mark` names it: no attempt's is like it, so that nothing there has its name.
///
/// # Errors
/// Why there can be none.
pub(super) fn pod(pool: &Pool<'_>, instance: &str, mark: &str) -> Result<Value, String> {
    let order = order(mark);
    let place = PodPlace {
        settings: Arc::clone(pool.settings),
        job: "airx-doctor.1".to_owned(),
        task: "true".to_owned(),
        resources: pool.resources.clone(),
        nonce: mark.to_owned(),
    };
    let mut record = Record::of(&order, &place, is_reduced(&place.settings), Utc(0));
    record.pod_grace_ms = grace_ms(&order, &place.settings);
    manifest(&order, &place, instance, &record)
}

fn order(mark: &str) -> LaunchOrder {
    let spec = RunnerSpec {
        mark: mark.to_owned(),
        argv: vec!["true".to_owned()],
        cwd: PathBuf::from(crate::manager::ports::CONTAINER_WORKSPACE),
        stdin: Stdin::Null,
        output: OutputMode::Pipes,
        timeout_ms: None,
        silence_ms: None,
        grace_ms: GRACE_MS,
        stop: StopSignal::Term,
        output_limit: OUTPUT,
        resources: Resources::default(),
        gate: None,
        round: None,
        allowance: None,
        result: None,
        artifacts: None,
        seal: String::new(),
        claude: false,
        contained: true,
    };
    LaunchOrder {
        attempt: AttemptId { job: JobId(0), task: TaskIdx(0), number: 0 },
        dir: PathBuf::new(),
        spec,
        env: Vec::new(),
        prompt: None,
        place: Place::Process,
    }
}
