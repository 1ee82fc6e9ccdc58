//! What `airx run` tells of the instances of mapped tasks: of a few every line, of many their failures, and how far all are.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::cli::tasks::grouped;
use crate::model::change::Change;
use crate::model::message::EventView;
use crate::model::state::{Counts, Outcome, TaskKind, TaskState};
use crate::model::time::Utc;

/// Instances of which every line is told.
const FEW: usize = 50;
/// Between two lines on how far a mapped task is.
const GAP: Duration = Duration::from_secs(1);

/// Mapped tasks of many instances, by their ids.
#[derive(Default)]
pub(super) struct Mappings {
    known: BTreeMap<String, Mapping>,
}

struct Mapping {
    /// The state of each instance.
    kinds: Vec<TaskKind>,
    counts: Counts,
    /// When it was last told how far they are.
    told: Instant,
    /// When the last change was that was not told.
    changed: Option<Utc>,
}

impl Mappings {
    /// Takes an event in; whether it has a line of its own.
    pub fn take(&mut self, event: &EventView, now: Instant) -> bool {
        let Some(task) = &event.task else { return true };
        let change = &event.event.change;
        match change {
            Change::TaskExpanded { items, .. } if items.len() > FEW => {
                let mut counts = Counts::default();
                items.iter().for_each(|_| counts.add(TaskKind::Queued));
                let kinds = vec![TaskKind::Queued; items.len()];
                self.known.insert(task.clone(), Mapping { kinds, counts, told: now, changed: None });
                return true;
            }
            Change::TaskExpanded { .. } | Change::TaskEnded { .. } => drop(self.known.remove(task)),
            _ => {}
        }
        let Some((mapping, index)) = task.rsplit_once('/') else { return true };
        let (Some(mapping), Ok(index)) = (self.known.get_mut(mapping), index.parse::<usize>()) else { return true };
        if let (Some(state), Some(kind)) = (state(change), mapping.kinds.get_mut(index)) {
            mapping.counts.remove(*kind);
            *kind = state;
            mapping.counts.add(state);
            mapping.changed = Some(event.event.at);
        }
        matters(change)
    }

    /// How far those are of which it is time to say so: when, the task and the words.
    pub fn due(&mut self, now: Instant) -> Vec<(Utc, String, String)> {
        let due = self.known.iter_mut().filter(|(_, mapping)| now.duration_since(mapping.told) >= GAP);
        due.filter_map(|(task, mapping)| {
            let at = mapping.changed.take()?;
            mapping.told = now;
            Some((at, task.clone(), far(&mapping.counts)))
        })
        .collect()
    }
}

/// The state that an event brings a task to.
fn state(change: &Change) -> Option<TaskKind> {
    match change {
        Change::TaskMoved { state, .. } | Change::TaskRequeued { state, .. } | Change::AttemptClosed { state, .. } => {
            Some(state.kind())
        }
        Change::AttemptStarted { .. } => Some(TaskKind::Running),
        _ => None,
    }
}

/// Whether it is told of one instance among many: what went wrong, and what waits for a person.
fn matters(change: &Change) -> bool {
    match change {
        Change::AttemptClosed { outcome, .. } => !matches!(outcome, Outcome::Succeeded | Outcome::Cancelled),
        Change::TaskEnded { state, .. } | Change::TaskMoved { state, .. } => *state == TaskState::Failed,
        Change::QuestionAsked { .. } | Change::OutboxRefused { .. } => true,
        _ => false,
    }
}

fn far(counts: &Counts) -> String {
    let mut text = format!("{}/{} completed", grouped(counts.of(TaskKind::Completed)), grouped(counts.total()));
    for (kind, count) in [
        (TaskKind::Failed, counts.of(TaskKind::Failed)),
        (TaskKind::Running, counts.live()),
        (TaskKind::Held, counts.of(TaskKind::Held)),
    ] {
        if count > 0 {
            text.push_str(&format!(", {} {}", grouped(count), kind.word()));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::attempt::Progress;
    use crate::model::change::{AttemptFacts, Event, Seq};
    use crate::model::ids::{AttemptId, JobId, TaskIdx};
    use crate::model::state::FailCause;

    fn event(task: &str, change: Change) -> EventView {
        EventView { seq: Seq(1), job: None, task: Some(task.to_owned()), event: Event { at: Utc(0), change } }
    }

    fn expanded(count: usize) -> EventView {
        let items = std::sync::Arc::new(vec![serde_json::Value::Null; count]);
        event("fix", Change::TaskExpanded { job: JobId(1), task: TaskIdx(0), items })
    }

    fn closed(index: usize, outcome: Outcome) -> EventView {
        let attempt = AttemptId { job: JobId(1), task: TaskIdx(1), number: 1 };
        let state = if outcome == Outcome::Succeeded { TaskState::Completed } else { TaskState::Failed };
        event(
            &format!("fix/{index}"),
            Change::AttemptClosed { attempt, outcome, facts: Box::new(AttemptFacts::default()), state },
        )
    }

    fn started(index: usize) -> EventView {
        let attempt = AttemptId { job: JobId(1), task: TaskIdx(1), number: 1 };
        event(&format!("fix/{index}"), Change::AttemptStarted { attempt })
    }

    #[test]
    fn of_many_instances_only_failures_and_how_far_they_are_is_told() {
        let (mut mappings, begin) = (Mappings::default(), Instant::now());
        let failed = || Outcome::Failed { cause: FailCause::Exit(1) };
        assert!(mappings.take(&expanded(2_000), begin), "that it is mapped is told");
        for index in 0..1_000 {
            assert!(!mappings.take(&started(index), begin));
            assert!(!mappings.take(&closed(index, Outcome::Succeeded), begin));
        }
        assert!(mappings.take(&closed(1_000, failed()), begin), "a failure is told");
        mappings.take(&started(1_001), begin);
        assert!(mappings.due(begin).is_empty(), "at most once a second");
        let told: Vec<String> = mappings.due(begin + GAP).into_iter().map(|(_, _, text)| text).collect();
        assert_eq!(told, ["1,000/2,000 completed, 1 failed, 1 running"]);
        assert!(mappings.due(begin + GAP * 2).is_empty(), "and only when something changed");
        assert!(mappings.take(
            &event("test", Change::AttemptStarted { attempt: AttemptId { job: JobId(1), task: TaskIdx(9), number: 1 } }),
            begin
        ));
        let done = Change::TaskEnded {
            job: JobId(1),
            task: TaskIdx(0),
            outcome: Box::new(failed()),
            state: TaskState::Failed,
            result: None,
        };
        assert!(mappings.take(&event("fix", done), begin), "its end is told");
        assert!(mappings.due(begin + GAP * 9).is_empty());
    }

    #[test]
    fn of_a_few_instances_every_line_is_told() {
        let (mut mappings, now) = (Mappings::default(), Instant::now());
        mappings.take(&expanded(FEW), now);
        assert!(mappings.take(&started(1), now) && mappings.take(&closed(1, Outcome::Succeeded), now));
        assert!(mappings.due(now + GAP).is_empty());
        let progress: Progress = serde_json::from_value(serde_json::json!({ "done": 1 })).unwrap();
        let attempt = AttemptId { job: JobId(1), task: TaskIdx(1), number: 1 };
        assert!(mappings.take(&event("fix/1", Change::ProgressSet { attempt, progress }), now));
    }
}
