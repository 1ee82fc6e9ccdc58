//! Why a task waits, in words that name the setting.

use crate::model::spec::JobSpec;
use crate::model::state::{Hold, SkipReason, TaskState};

/// What the answer depends on besides the task.
pub(super) struct Circumstances<'a> {
    pub all_paused: bool,
    pub disk_low: bool,
    pub job_paused: bool,
    pub job_live: u32,
    pub spec: &'a JobSpec,
    pub pool: &'a str,
    /// Slots of the pool and how many are taken; none when the configuration is not known.
    pub slots: Option<(u32, u32)>,
    /// Needed tasks that are not completed.
    pub unmet: &'a [String],
}

/// Needed tasks that are named before the rest is counted.
const NAMED: usize = 3;

/// The reason; none for a task that does not wait.
pub(super) fn why(state: &TaskState, around: &Circumstances<'_>) -> Option<String> {
    match state {
        TaskState::Pending => Some(needs(around.unmet)),
        TaskState::Queued => Some(queued(around)),
        TaskState::Held { hold } => Some(match hold {
            Hold::Retry { at, .. } => format!("retry at {}", clock(at.0)),
            Hold::Limit { until } => format!("usage limit until {}", clock(until.0)),
            Hold::Secret { what } => format!("secret missing: {what}"),
        }),
        TaskState::Skipped { why: SkipReason::Stopped } => Some("a task failed (on_failure: stop)".to_owned()),
        TaskState::UpstreamFailed => Some("a task it needs did not complete".to_owned()),
        _ => None,
    }
}

fn queued(around: &Circumstances<'_>) -> String {
    if around.all_paused {
        return "everything is paused: airx resume".to_owned();
    }
    if around.disk_low {
        return "too little room on the disk (min_free_disk)".to_owned();
    }
    if around.job_paused {
        return "the job is paused".to_owned();
    }
    if around.job_live >= around.spec.max_parallel {
        return format!("{} of {} (max_parallel)", around.job_live, around.spec.max_parallel);
    }
    match around.slots {
        Some((0, _)) => format!("no pool `{}` in the configuration", around.pool),
        Some((slots, used)) if used >= slots => format!("pool {} full ({used} of {slots})", around.pool),
        _ => "next".to_owned(),
    }
}

fn needs(unmet: &[String]) -> String {
    let named = unmet.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match unmet.len().saturating_sub(NAMED) {
        0 => format!("needs {named}"),
        more => format!("needs {named} +{more}"),
    }
}

/// UTC, to the second, for readers without a time zone; clients that have one show their own.
fn clock(millis: i64) -> String {
    jiff::Timestamp::from_millisecond(millis)
        .map(|at| at.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
        .unwrap_or_else(|_| format!("{millis} ms"))
}
