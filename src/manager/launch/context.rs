//! What the expressions of a task see, and what they say about it.

use std::collections::BTreeMap;
use std::io::ErrorKind;

use serde_json::Value;

use super::{Composer, Obstacle};
use crate::model::change::TaskResult;
use crate::model::core::{Launch, SeenResult};
use crate::model::decide::{Decision, decide};
use crate::model::template::Context;

impl Composer {
    /// What a task does, as its expressions say; none when that cannot be told just now.
    pub fn decide(&self, launch: &Launch) -> Option<Decision> {
        match self.context(launch) {
            Ok(context) => Some(decide(&launch.task, &context)),
            Err(Obstacle::Never(why)) => Some(Decision::Fail(why)),
            Err(Obstacle::Secret(_)) => None,
        }
    }

    pub(super) fn context(&self, launch: &Launch) -> Result<Context, Obstacle> {
        let (mut results, mut states) = (BTreeMap::new(), BTreeMap::new());
        for (task, seen) in &launch.seen {
            states.insert(task.clone(), seen.state.word().to_owned());
            let value = match &seen.result {
                SeenResult::One(None) => continue,
                SeenResult::One(Some(result)) => self.value(result)?,
                SeenResult::Many(all) => {
                    let value =
                        |result: &Option<TaskResult>| result.as_ref().map_or(Ok(Value::Null), |result| self.value(result));
                    Value::Array(all.iter().map(value).collect::<Result<_, _>>()?)
                }
            };
            results.insert(task.clone(), value);
        }
        let params = launch.job.params.clone();
        let due = launch.job.scheduled.as_ref().map_or_else(String::new, |scheduled| scheduled.due.rfc3339());
        let item = launch.item.clone();
        Ok(Context { job: launch.name.to_string(), due, params, results, states, item, gate: None })
    }

    fn value(&self, result: &TaskResult) -> Result<Value, Obstacle> {
        match result {
            TaskResult::Inline(value) => Ok(value.as_ref().clone()),
            TaskResult::File { sha256, .. } => self.read_result(sha256),
        }
    }

    fn read_result(&self, sha256: &str) -> Result<Value, Obstacle> {
        let path = self.home.join("results").join(sha256);
        let broken = |why: String| format!("cannot read the result {}: {why}", path.display());
        let text = std::fs::read_to_string(&path).map_err(|error| match error.kind() {
            // What is there, and cannot be read just now, may be read later.
            ErrorKind::NotFound | ErrorKind::InvalidData | ErrorKind::PermissionDenied => {
                Obstacle::Never(broken(error.to_string()))
            }
            _ => Obstacle::Secret(broken(error.to_string())),
        })?;
        serde_json::from_str(&text).map_err(|error| Obstacle::Never(broken(error.to_string())))
    }
}
