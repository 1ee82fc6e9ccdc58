//! A task as the screen keeps it: small, since there may be 100,000.

use compact_str::CompactString;

use crate::model::attempt::Progress;
use crate::model::change::{Change, Seq, mapped_state};
use crate::model::live::LiveFacts;
use crate::model::message::TaskView;
use crate::model::state::{Outcome, SkipReason, TaskKind, TaskState};
use crate::model::time::Utc;

use super::instances::Instances;

/// No task.
pub const NONE: u32 = u32::MAX;

/// A task.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskRow {
    /// Its id.
    pub id: CompactString,
    /// Its state without data.
    pub kind: TaskKind,
    /// Whether it is a Claude run.
    pub is_claude: bool,
    /// Whether it runs when everything else is over.
    pub is_finally: bool,
    /// Attempts so far.
    pub attempts: u32,
    /// The task that queued it, or [`NONE`].
    pub parent: u32,
    /// The last run's length, in milliseconds; [`NONE`] when there is none.
    pub elapsed_ms: u32,
    /// When the last attempt started; 0 when none did.
    pub started: Utc,
    /// Tasks it waits for, by place; those not known yet are left out.
    pub needs: Needs,
    /// What few tasks have.
    pub more: Option<Box<More>>,
    /// Newest event that is part of this row.
    pub as_of: Seq,
}

/// Places of tasks. Most need none or one, which takes no room of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Needs {
    /// None.
    #[default]
    None,
    /// One.
    One(u32),
    /// More: behind one pointer, so that the others stay small.
    More(Box<Vec<u32>>),
}

impl Needs {
    /// All of them.
    pub fn iter(&self) -> std::slice::Iter<'_, u32> {
        match self {
            Needs::None => [].iter(),
            Needs::One(place) => std::slice::from_ref(place).iter(),
            Needs::More(places) => places.iter(),
        }
    }
}

impl FromIterator<u32> for Needs {
    fn from_iter<T: IntoIterator<Item = u32>>(places: T) -> Needs {
        let mut places = places.into_iter();
        match (places.next(), places.next()) {
            (None, _) => Needs::None,
            (Some(first), None) => Needs::One(first),
            (Some(first), Some(second)) => Needs::More(Box::new([first, second].into_iter().chain(places).collect())),
        }
    }
}

/// What few tasks have.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct More {
    /// The state's data, when it has any worth showing.
    pub state: Option<TaskState>,
    /// Outcome of the last attempt, unless it succeeded.
    pub outcome: Option<Outcome>,
    /// How far it says it is.
    pub progress: Option<Progress>,
    /// How far its Claude run is.
    pub run: Option<Box<LiveFacts>>,
    /// Its pool, when it is not the job's.
    pub pool: Option<Box<str>>,
    /// What an instance is for.
    pub item: Option<Box<str>>,
    /// Of a mapped task: its instances.
    pub instances: Option<Box<Instances>>,
    /// Cost of all its attempts.
    pub cost_microusd: u64,
}

impl TaskRow {
    /// From a page read at `seq`; `place` finds a task of the same job by id.
    pub fn new(view: TaskView, seq: Seq, place: impl Fn(&str) -> Option<u32>) -> TaskRow {
        let mut row = TaskRow {
            // Most names are short enough to lie in the row itself.
            id: CompactString::new(&view.id),
            kind: view.state.kind(),
            is_claude: view.is_claude,
            is_finally: view.is_finally,
            attempts: view.attempts,
            parent: view.parent.as_deref().and_then(&place).unwrap_or(NONE),
            elapsed_ms: view.elapsed_ms.map_or(NONE, millis),
            started: view.started.unwrap_or_default(),
            needs: view.needs.iter().filter_map(|need| place(need)).collect(),
            more: None,
            as_of: seq,
        };
        row.set_state(view.state);
        row.set_outcome(view.outcome);
        if view.progress.is_some() {
            row.more().progress = view.progress;
        }
        if view.run.is_some() {
            row.more().run = view.run;
        }
        if let Some(pool) = view.pool {
            row.more().pool = Some(pool.into_boxed_str());
        }
        if let Some(item) = view.item {
            row.more().item = Some(item.into_boxed_str());
        }
        if let Some(mapping) = view.mapping {
            let counts = view.instances.unwrap_or_default();
            row.more().instances =
                Some(Box::new(Instances { counts, max_parallel: mapping.max_parallel, ..Instances::default() }));
        }
        if view.cost_microusd > 0 {
            row.more().cost_microusd = view.cost_microusd;
        }
        row
    }

    fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }

    /// The state with its data.
    pub fn state(&self) -> TaskState {
        if let Some(state) = self.more.as_ref().and_then(|more| more.state.clone()) {
            return state;
        }
        let attempt = self.attempts;
        match self.kind {
            TaskKind::Pending => TaskState::Pending,
            TaskKind::Starting => TaskState::Starting { attempt },
            TaskKind::Running => TaskState::Running { attempt },
            TaskKind::AwaitingInput => TaskState::AwaitingInput { attempt },
            TaskKind::Cancelling => TaskState::Cancelling { attempt, kill: false },
            TaskKind::Completed => TaskState::Completed,
            TaskKind::Failed => TaskState::Failed,
            TaskKind::Cancelled => TaskState::Cancelled,
            TaskKind::UpstreamFailed => TaskState::UpstreamFailed,
            // Those that carry data have it kept; without it they read as waiting for room.
            TaskKind::Queued
            | TaskKind::Held
            | TaskKind::Skipped
            | TaskKind::AwaitingApproval
            | TaskKind::Delegated
            | TaskKind::Mapped => TaskState::Queued,
        }
    }

    /// Cost of all its attempts, with what the one that goes on has used so far.
    pub fn cost(&self) -> u64 {
        self.more.as_ref().map_or(0, |more| more.cost_microusd).saturating_add(self.live_cost())
    }

    /// What the attempt that goes on has used so far.
    pub fn live_cost(&self) -> u64 {
        self.run().map_or(0, |run| run.spent.cost_microusd)
    }

    /// Outcome of the last attempt, unless it succeeded.
    pub fn outcome(&self) -> Option<&Outcome> {
        self.more.as_ref()?.outcome.as_ref()
    }

    /// How far it says it is; while it is starting, how far its launch is.
    pub fn progress(&self) -> Option<&Progress> {
        self.more.as_ref()?.progress.as_ref()
    }

    /// How far its Claude run is.
    pub fn run(&self) -> Option<&LiveFacts> {
        self.more.as_ref()?.run.as_deref()
    }

    /// The same; of a mapped task that of its instances.
    pub fn whole_cost(&self) -> u64 {
        self.cost().saturating_add(self.instances().map_or(0, |instances| instances.cost_microusd))
    }

    /// What it is called below what it belongs to: an instance by its item.
    pub fn name(&self) -> &str {
        self.item().filter(|item| !item.trim().is_empty()).unwrap_or(&self.id)
    }

    /// The newest event that it has.
    pub fn as_of(&self) -> Seq {
        self.as_of
    }

    /// What an instance is for, in a line.
    pub fn item(&self) -> Option<&str> {
        self.more.as_ref()?.item.as_deref()
    }

    /// An instance begins anew with another list, which has this for it, or has nothing for it any more.
    pub fn begin_anew(&mut self, seq: Seq, item: Option<String>) {
        if seq <= self.as_of {
            return;
        }
        self.as_of = seq;
        match item {
            Some(item) => {
                self.forget_progress();
                self.more().item = Some(item.into_boxed_str());
                self.set_state(TaskState::Queued);
            }
            None => self.set_state(TaskState::Skipped { why: SkipReason::Gone }),
        }
    }

    /// Its pool, when it is not the job's.
    pub fn pool(&self) -> Option<&str> {
        self.more.as_ref()?.pool.as_deref()
    }

    /// Whether an attempt may be alive.
    pub fn is_live(&self) -> bool {
        matches!(self.kind, TaskKind::Starting | TaskKind::Running | TaskKind::AwaitingInput | TaskKind::Cancelling)
    }

    fn set_state(&mut self, state: TaskState) {
        let was_starting = std::mem::replace(&mut self.kind, state.kind()) == TaskKind::Starting;
        if was_starting && self.kind != TaskKind::Starting {
            // How far its launch was.
            self.forget_progress();
        }
        let keep = matches!(
            state,
            TaskState::Held { .. }
                | TaskState::Skipped { .. }
                | TaskState::AwaitingApproval { .. }
                | TaskState::Delegated { .. }
                | TaskState::Mapped { .. }
        );
        if keep {
            self.more().state = Some(state);
        } else if let Some(more) = &mut self.more {
            more.state = None;
        }
    }

    fn forget_progress(&mut self) {
        if let Some(more) = &mut self.more {
            more.progress = None;
        }
    }

    fn set_outcome(&mut self, outcome: Option<Outcome>) {
        match outcome {
            Some(outcome) if outcome != Outcome::Succeeded => self.more().outcome = Some(outcome),
            _ => {
                if let Some(more) = &mut self.more {
                    more.outcome = None;
                }
            }
        }
    }

    /// Takes an event in; one that is part of the row already changes nothing.
    pub fn apply(&mut self, seq: Seq, at: Utc, change: &Change) {
        if seq <= self.as_of {
            return;
        }
        self.as_of = seq;
        match change {
            Change::TaskMoved { state, .. } => self.set_state(state.clone()),
            Change::TaskEnded { outcome, state, .. } => {
                self.set_outcome(Some(outcome.as_ref().clone()));
                self.set_state(state.clone());
            }
            Change::TaskExpanded { items, .. } => self.set_state(mapped_state(items)),
            Change::TaskRequeued { state, .. } => {
                self.forget_progress();
                self.set_state(state.clone());
            }
            Change::AttemptOpened { attempt, .. } => {
                self.attempts = attempt.number;
                self.kind = TaskKind::Starting;
                self.set_state(TaskState::Starting { attempt: attempt.number });
                self.elapsed_ms = NONE;
                if let Some(more) = &mut self.more {
                    (more.progress, more.run) = (None, None);
                }
            }
            Change::AttemptStarted { .. } => {
                if self.kind == TaskKind::Starting {
                    self.set_state(TaskState::Running { attempt: self.attempts });
                }
                self.started = at;
            }
            Change::AttemptClosed { outcome, facts, state, .. } => {
                self.set_state(state.clone());
                self.set_outcome(Some(outcome.clone()));
                self.elapsed_ms = millis(facts.elapsed_ms);
                if let Some(more) = &mut self.more {
                    more.run = None;
                }
                if let Some(claude) = facts.claude.as_ref().filter(|claude| claude.cost_microusd > 0) {
                    let more = self.more();
                    more.cost_microusd = more.cost_microusd.saturating_add(claude.cost_microusd);
                }
            }
            Change::ProgressSet { progress, .. } => self.more().progress = Some(progress.clone()),
            Change::RunSeen { facts, .. } => self.more().run = Some(facts.clone()),
            _ => {}
        }
    }
}

/// Milliseconds in 32 bits: 49 days, then the longest that can be told.
fn millis(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(NONE - 1)
}
