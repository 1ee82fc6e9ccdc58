//! Why a task waits, in words that name the setting.

use super::said::skipped;
use super::state::{BudgetOf, Hold, TaskState};
use super::time::Utc;

/// What the answer depends on besides the task.
pub struct Circumstances<'a> {
    /// Everything is paused.
    pub all_paused: bool,
    /// There is too little room on the disk.
    pub disk_low: bool,
    /// Why its pool's engine cannot be reached, if it cannot.
    pub unreachable: Option<&'a str>,
    /// Why nothing is known of it though its engine can be reached, if that is so.
    pub stranded: Option<&'a str>,
    /// The job is paused.
    pub job_paused: bool,
    /// Attempts of the job that may be alive.
    pub job_live: u32,
    /// `max_parallel` of the job.
    pub max_parallel: u32,
    /// Its pool.
    pub pool: &'a str,
    /// Slots of the pool and how many are taken; none when the configuration is not known.
    pub slots: Option<(u32, u32)>,
    /// For a Claude run: how many live, and how many may (`claude.max_parallel`), when that is bounded.
    pub claude: Option<(u32, u32)>,
    /// Needed tasks that are not over.
    pub unmet: &'a [String],
    /// Whether it runs when everything else is over (`finally`).
    pub is_finally: bool,
    /// For an instance: how many of its mapped task live, and how many may, when that is bounded.
    pub mapping: Option<(u32, u32)>,
    /// Of the child job that does its work how many tasks are over, of how many.
    pub child: Option<(u32, u32)>,
}

/// Needed tasks that are named before the rest is counted.
const NAMED: usize = 3;

/// The reason; none for a task that does not wait and of which all is known. `clock` writes a time.
pub fn why(state: &TaskState, around: &Circumstances<'_>, clock: &dyn Fn(Utc) -> String) -> Option<String> {
    match state {
        TaskState::Pending => Some(needs(around)),
        TaskState::Queued => Some(queued(around)),
        TaskState::Held { hold } => Some(match hold {
            Hold::Retry { at, .. } => format!("retry at {}", clock(*at)),
            Hold::Limit { until, asks: false } => format!("usage limit until {}", clock(*until)),
            Hold::Limit { until, asks: true } => format!("usage limit until {}, then `airx requeue`", clock(*until)),
            Hold::Quiet { until } => format!("quiet hours until {}", clock(*until)),
            Hold::Budget { of, until: Some(until) } => format!("{} budget spent, until {}", of.word(), clock(*until)),
            Hold::Budget { of: BudgetOf::Job, .. } => "job budget spent: `airx budget JOB` raises it".to_owned(),
            Hold::Budget { of, .. } => format!("{} budget spent", of.word()),
            Hold::Login { again, .. } => {
                format!("login or key refused: log in again, or mend the key (tried at {})", clock(*again))
            }
            Hold::Secret { what } => format!("secret missing: {what}"),
        }),
        TaskState::Starting { .. } | TaskState::Running { .. } | TaskState::Cancelling { .. } => {
            gone(around).or_else(|| around.stranded.map(|why| format!("held: {why}")))
        }
        TaskState::AwaitingInput { .. } => Some("waits for you: `airx approvals`".to_owned()),
        TaskState::AwaitingApproval { .. } => Some("waits for your approval: `airx approvals`".to_owned()),
        TaskState::Delegated { job } => Some(match around.child {
            Some((over, all)) => format!("done by {job}, {over}/{all} tasks over"),
            None => format!("done by {job}"),
        }),
        TaskState::Skipped { why } => Some(skipped(*why).to_owned()),
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
    if let Some(gone) = gone(around) {
        return gone;
    }
    if let Some((live, most)) = around.mapping.filter(|(live, most)| live >= most) {
        return format!("{live} of {most} (max_parallel of its mapping)");
    }
    if around.job_live >= around.max_parallel {
        return format!("{} of {} (max_parallel)", around.job_live, around.max_parallel);
    }
    match around.slots {
        Some((0, _)) => format!("no pool `{}` in the configuration", around.pool),
        Some((slots, used)) if used >= slots => format!("pool {} full ({used} of {slots})", around.pool),
        _ => match around.claude {
            Some((live, most)) if live >= most => format!("{live} of {most} (claude.max_parallel)"),
            _ => "next".to_owned(),
        },
    }
}

/// Nothing is known of what runs there, and nothing starts.
fn gone(around: &Circumstances<'_>) -> Option<String> {
    around.unreachable.map(|why| format!("engine unreachable: {why}"))
}

fn needs(around: &Circumstances<'_>) -> String {
    let unmet = around.unmet;
    if unmet.is_empty() {
        return if around.is_finally { "runs when everything else is over" } else { "next" }.to_owned();
    }
    let named = unmet.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match unmet.len().saturating_sub(NAMED) {
        0 => format!("needs {named}"),
        more => format!("needs {named} +{more}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_is_gone_is_the_reason_of_what_waits_and_of_what_lives_there() {
        let around = Circumstances {
            all_paused: false,
            disk_low: false,
            unreachable: Some("no such socket"),
            stranded: Some("node n is unreachable"),
            job_paused: false,
            job_live: 1,
            max_parallel: 1,
            pool: "far",
            slots: Some((2, 0)),
            claude: None,
            unmet: &[],
            is_finally: false,
            mapping: None,
            child: None,
        };
        let told = |state| why(&state, &around, &|_| String::new());
        let gone = Some("engine unreachable: no such socket".to_owned());
        for state in [TaskState::Queued, TaskState::Starting { attempt: 1 }, TaskState::Running { attempt: 1 }] {
            assert_eq!(told(state), gone);
        }
        let seen = Circumstances { unreachable: None, ..around };
        let told = |state| why(&state, &seen, &|_| String::new());
        assert_eq!(told(TaskState::Running { attempt: 1 }).as_deref(), Some("held: node n is unreachable"));
        let around = Circumstances { unreachable: Some("no such socket"), ..seen };
        let told = |state| why(&state, &around, &|_| String::new());
        assert_eq!(told(TaskState::Completed), None);
        assert_eq!(told(TaskState::Pending).as_deref(), Some("next"), "its rule is about to be looked at");
        let last = Circumstances { is_finally: true, ..around };
        let told = why(&TaskState::Pending, &last, &|_| String::new());
        assert_eq!(told.as_deref(), Some("runs when everything else is over"));
        let around = last;
        let paused = Circumstances { all_paused: true, ..around };
        let why = why(&TaskState::Queued, &paused, &|_| String::new());
        assert_eq!(why.as_deref(), Some("everything is paused: airx resume"), "what a person can change comes first");
    }
}
