//! The engine that one pool lives on: it goes and comes back, its backend notices late, and what is asked of it meanwhile is
//! neither done nor answered.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use airx::manager::reach::Reach;
use airx::model::attempt::Progress;
use airx::model::change::{Change, Event};
use airx::model::core::{Input, Job, Launch};
use airx::model::docker::DockerSettings;
use airx::model::ids::AttemptId;
use airx::model::report::Report;
use airx::model::settings::{PoolBackend, PoolSettings, Settings};
use airx::model::spec::{Action, Resources};
use airx::model::state::TaskState;

use super::{Plant, Sim};

/// The pool that lives on it.
pub const FAR: &str = "far";
/// What a launch says of itself.
const PULLING: &str = "pulling image";

/// The engine, and what is known of it.
#[derive(Default)]
pub struct Engine {
    /// It does not answer.
    down: bool,
    /// The backend has noticed that, and asks nothing of it until it has noticed its return.
    gone: bool,
    /// Told by the backend and not yet heard, in order.
    told: VecDeque<Option<String>>,
    /// What the manager has heard.
    reach: Reach,
    /// The pools that its core knows to be without an engine.
    pub known: BTreeMap<String, String>,
    /// What this storm tried, to be counted.
    pub tried: BTreeMap<&'static str, u32>,
}

impl Engine {
    fn tell(&mut self, trouble: Option<String>) {
        self.gone = trouble.is_some();
        self.told.push_back(trouble);
    }

    /// The manager is gone, and its backend with it.
    pub fn forget(&mut self) {
        (self.gone, self.reach) = (false, Reach::default());
        self.told.clear();
        self.known.clear();
    }

    /// It answers for good.
    pub fn mend(&mut self) {
        self.down = false;
    }

    pub fn is_quiet(&self) -> bool {
        self.told.is_empty()
    }
}

/// The configuration, as far as it says where pools live.
fn settings() -> Settings {
    let docker = DockerSettings { host: Some("tcp://far:2375".to_owned()), ..DockerSettings::of("image") };
    let backend = PoolBackend::Docker(Arc::new(docker));
    let mut settings = Settings::default();
    settings.pools.insert(FAR.to_owned(), PoolSettings { slots: 1, resources: Resources::default(), backend });
    settings
}

impl Sim {
    /// The engine goes or comes back.
    pub(super) fn move_engine(&mut self) {
        self.engine.down = self.dice.chance(550);
        self.note(format!("the engine is {}", if self.engine.down { "down" } else { "up" }));
    }

    /// Its backend looks at it now and then.
    pub(super) fn look_at_engine(&mut self) {
        let (down, gone) = (self.engine.down, self.engine.gone);
        if down && !gone && self.dice.chance(200) {
            self.lose_engine();
        }
        if !down && gone && (self.is_calm || self.dice.chance(300)) {
            match self.plant {
                Plant::ReturnUntold => self.engine.gone = false,
                _ => self.engine.tell(None),
            }
        }
    }

    fn lose_engine(&mut self) {
        *self.engine.tried.entry("an engine that is gone").or_default() += 1;
        self.engine.tell(Some("no answer".to_owned()));
    }

    /// Whether something can be asked about this attempt. What cannot is dropped, and that it could not be is noticed.
    pub(super) fn reaches(&mut self, id: AttemptId, what: &'static str) -> bool {
        if !self.is_far(id) {
            return true;
        }
        if self.engine.down && !self.engine.gone {
            self.lose_engine();
        }
        if self.engine.gone {
            *self.engine.tried.entry(what).or_default() += 1;
        }
        !self.engine.gone
    }

    pub(super) fn is_far(&self, id: AttemptId) -> bool {
        let journal = self.journal.lock().expect("one thread");
        let task = journal.jobs.get(&id.job.0).and_then(|job| job.tasks.get(id.task.0 as usize));
        task.is_some_and(|task| task.spec.pool.as_deref() == Some(FAR))
    }

    /// The engine goes just after it has started something, so that nobody hears of that.
    pub(super) fn goes_silent(&mut self, id: AttemptId) -> bool {
        if self.is_calm || !self.is_far(id) || !self.dice.chance(40) {
            return false;
        }
        *self.engine.tried.entry("a start that nobody heard of").or_default() += 1;
        self.engine.down = true;
        self.lose_engine();
        true
    }

    /// What its backend has told reaches the manager, after all that it told of its attempts before.
    pub(super) fn hear_of_engine(&mut self, inputs: &mut Vec<Input>) {
        if self.engine.told.is_empty() {
            return;
        }
        let far: Vec<AttemptId> = self.reports.keys().copied().filter(|id| self.is_far(*id)).collect();
        for id in far {
            inputs.extend(self.reports.remove(&id).into_iter().flatten().map(Input::Report));
        }
        let settings = settings();
        let mut is_back = false;
        for trouble in std::mem::take(&mut self.engine.told) {
            is_back |= self.engine.reach.hear("tcp://far:2375".to_owned(), trouble);
        }
        self.engine.known = self.engine.reach.pools(&settings);
        self.watch.gone = self.engine.known.keys().cloned().collect();
        let pools = if self.plant == Plant::EngineUntold { BTreeMap::new() } else { self.engine.known.clone() };
        inputs.push(Input::Unreachable(pools));
        if is_back && self.plant != Plant::LostExit {
            inputs.push(Input::Reconcile);
        }
    }

    /// A launch tells how far it is, now and then too late.
    pub(super) fn tell_launch(&mut self, id: AttemptId) {
        while self.dice.chance(300) {
            let (done, text) = (self.dice.below(100), Some(PULLING.to_owned()));
            self.send(id, Report::Launching { attempt: id, progress: Progress { done, total: Some(100), text } });
        }
    }

    /// Nothing is opened where it could not be launched, and how far a launch is is told of launches only.
    pub(crate) fn check_engine_event(&self, event: &Event, before: Option<&TaskState>) -> Result<(), String> {
        match &event.change {
            Change::AttemptOpened { attempt, pool, .. } if self.engine.known.contains_key(pool) => {
                Err(format!("nothing is opened where the engine is gone: {attempt} is, in {pool}"))
            }
            Change::ProgressSet { attempt, progress }
                if progress.text.as_deref() == Some(PULLING) && !matches!(before, Some(TaskState::Starting { .. })) =>
            {
                Err(format!("a launch that is over is told nothing of: {attempt} was {before:?}"))
            }
            _ => Ok(()),
        }
    }

    /// What has room starts, wherever else an engine is gone; and what was told of launches goes with them.
    pub(crate) fn check_room(&self) -> Result<(), String> {
        let Some(turn) = &self.turn else { return Ok(()) };
        let mut used: BTreeMap<&str, u32> = BTreeMap::new();
        let pool_of = |job: &Job, task: &airx::model::core::Task| {
            let pool = task.spec.pool.as_deref().unwrap_or(&job.spec.pool);
            self.told.slots.keys().find(|known| *known == pool).map_or("", String::as_str)
        };
        for job in turn.core().jobs() {
            for task in &job.tasks {
                *used.entry(pool_of(job, task)).or_default() += u32::from(task.state.live_attempt().is_some());
                let said = task.progress.as_ref().and_then(|progress| progress.text.as_deref());
                if said == Some(PULLING) && !matches!(task.state, TaskState::Starting { .. }) {
                    return Err(format!("how far a launch is goes with it: {}/{} keeps it", job.name, task.spec.id));
                }
            }
        }
        if self.disk_low || self.journal.lock().expect("one thread").rows.paused {
            return Ok(());
        }
        let room = |pool: &str| self.told.slots.get(pool).copied().unwrap_or(0) > used.get(pool).copied().unwrap_or(0);
        let above = |job: &&Job| job.parent.as_ref().and_then(|(_, name)| turn.core().job(name));
        let is_paused = |job: &Job| std::iter::successors(Some(job), |job| above(job)).any(|job| job.paused);
        for job in turn.core().jobs().filter(|job| !is_paused(job)) {
            let live = job.tasks.iter().filter(|task| task.state.live_attempt().is_some()).count();
            if live >= job.spec.max_parallel as usize {
                continue;
            }
            let waits = job.tasks.iter().find(|task| {
                // Of Claude runs more is asked than room.
                let pool = pool_of(job, task);
                let is_ready = task.state == TaskState::Queued && !matches!(task.spec.action, Action::Claude(_));
                // An expression may be on its way to be decided, and a mapping lets through what its own bound does.
                let is_plain = task.spec.when.is_none() && task.spec.each.is_none();
                if task.spec.child().is_some() {
                    return false;
                }
                let is_approval = matches!(task.spec.action, Action::Approve(_));
                let has_place = task.instance.is_some_and(|instance| {
                    let siblings = job.tasks.iter().filter(|other| other.instance.is_some_and(|other| other.of == instance.of));
                    let live = siblings.filter(|other| other.state.live_attempt().is_some()).count();
                    live < task.spec.each.as_ref().and_then(|each| each.max_parallel).unwrap_or(u32::MAX) as usize
                });
                is_ready && !is_approval && (is_plain || has_place) && !self.engine.known.contains_key(pool) && room(pool)
            });
            if let Some(task) = waits {
                return Err(format!("what has room starts: {}/{} does not", job.name, task.spec.id));
            }
        }
        Ok(())
    }

    /// A launch whose engine cannot be reached comes to nothing.
    pub(super) fn drops(&mut self, launch: &Launch) -> bool {
        !self.reaches(launch.attempt, "a launch that was dropped")
    }
}
