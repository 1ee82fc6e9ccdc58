//! Who gets free slots: jobs of higher priority first, and of equals the one that has the fewest, so that a job of many tasks
//! keeps no other waiting for more than a round.
//!
//! All of it is derived anew from what may be alive. Nothing here goes through the ready tasks: whatever has no room (a full
//! pool, a job at its `max_parallel`, Claude runs at their bound) is passed over as a whole.

use std::cmp::Reverse;
use std::collections::btree_set::Iter;
use std::collections::{BinaryHeap, HashMap};
use std::iter::Peekable;

use crate::model::ids::{AttemptId, JobId, TaskIdx};
use crate::model::spec::Action;

use super::ready::{Place, Ready};
use super::{Core, Job};

/// A task that is to be started, and the pool whose slot it takes.
pub(super) type Choice = (JobId, TaskIdx, String);
/// The smallest goes first: how many live, whose turn was longest ago, who was submitted first.
type Key = (u32, u64, JobId);

/// From one opening to the next. Whoever comes in between stands in line before the one that was served last.
const TURN: u64 = 2;

/// What may start besides what may be alive.
#[derive(Default)]
pub(super) struct Room<'a> {
    pools: Vec<Pool<'a>>,
    jobs: HashMap<JobId, Share>,
    /// Claude runs that may start; none when nothing bounds them.
    claude: Option<u32>,
}

struct Pool<'a> {
    name: &'a str,
    free: u32,
}

/// What of a job may be alive.
#[derive(Default)]
struct Share {
    live: u32,
    claude: u32,
    /// By pool.
    pools: Vec<(usize, u32)>,
}

impl Share {
    fn in_pool(&self, pool: usize) -> u32 {
        self.pools.iter().find(|(known, _)| *known == pool).map_or(0, |(_, live)| *live)
    }

    fn add(&mut self, pool: usize, is_claude: bool) {
        self.live += 1;
        self.claude += u32::from(is_claude);
        match self.pools.iter_mut().find(|(known, _)| *known == pool) {
            Some((_, live)) => *live += 1,
            None => self.pools.push((pool, 1)),
        }
    }
}

impl<'a> Room<'a> {
    /// The place of a pool among those that are looked at.
    fn pool(&mut self, core: &Core, name: &'a str) -> usize {
        let known = self.pools.iter().position(|pool| pool.name == name);
        known.unwrap_or_else(|| {
            self.pools.push(Pool { name, free: core.slots(name) });
            self.pools.len() - 1
        })
    }

    /// Attempts of this job that may start.
    fn left(&self, job: &Job) -> u32 {
        job.spec.max_parallel.saturating_sub(self.jobs.get(&job.id).map_or(0, |share| share.live))
    }

    fn take(&mut self, job: JobId, pool: usize, is_claude: bool) {
        self.pools[pool].free = self.pools[pool].free.saturating_sub(1);
        self.jobs.entry(job).or_default().add(pool, is_claude);
        if let Some(room) = self.claude.as_mut().filter(|_| is_claude) {
            *room = room.saturating_sub(1);
        }
    }

    /// Whether a Claude task could start now.
    pub(super) fn has(&self, core: &Core, job: &Job, task: TaskIdx) -> bool {
        let Some(name) = job.get(task).map(|task| job.pool_of(&task.spec)) else { return false };
        let known = self.pools.iter().find(|pool| pool.name == name);
        let free = known.map_or_else(|| core.slots(name), |pool| pool.free);
        !core.is_paused(job.id) && job.has_place(task) && self.claude != Some(0) && free > 0 && self.left(job) > 0
    }
}

impl Core {
    /// Slots in use, derived from the attempts that may be alive.
    pub(super) fn room(&self) -> Room<'_> {
        let mut room = Room { claude: self.limits.claude.max_parallel, ..Room::default() };
        for attempt in self.live.keys() {
            let Some(job) = self.jobs.get(&attempt.job) else { continue };
            let Some(task) = job.get(attempt.task) else { continue };
            let pool = room.pool(self, job.pool_of(&task.spec));
            room.take(attempt.job, pool, matches!(task.spec.action, Action::Claude(_)));
        }
        room
    }

    /// What starts now, in order.
    pub(super) fn choose(&self) -> Vec<Choice> {
        if self.ready_jobs.is_empty() {
            return Vec::new();
        }
        let mut room = self.room();
        let mut waiting: Vec<&Job> = Vec::with_capacity(self.ready_jobs.len());
        for job in self.ready_jobs.iter().filter_map(|id| self.jobs.get(id)) {
            let has_slots = job.ready.keys().fold(false, |has, name| {
                let pool = room.pool(self, name);
                has || room.pools[pool].free > 0
            });
            if has_slots && !self.is_paused(job.id) && room.left(job) > 0 {
                waiting.push(job);
            }
        }
        // Stable: of equals the one that was submitted first stays first.
        waiting.sort_by_key(|job| Reverse(job.priority));
        let mut chosen = Vec::new();
        for equals in waiting.chunk_by(|a, b| a.priority == b.priority) {
            if room.pools.iter().all(|pool| pool.free == 0) {
                break;
            }
            let mut round = Round::new(self, room, equals, chosen);
            round.fill();
            (room, chosen) = (round.room, round.chosen);
        }
        chosen
    }

    /// Where a job that comes now stands in line: behind all that have waited longer, so that no stream of new ones keeps
    /// another from its turn.
    pub(super) fn line(&self) -> u64 {
        self.turns.saturating_sub(TURN / 2)
    }

    /// Remembers whose turn it was.
    pub(super) fn note_turn(&mut self, attempt: AttemptId, pool: &str) {
        self.turns += TURN;
        let Some(job) = self.jobs.get_mut(&attempt.job) else { return };
        match job.turns.pools.get_mut(pool) {
            Some(turn) => *turn = self.turns,
            None => drop(job.turns.pools.insert(pool.to_owned(), self.turns)),
        }
        let task = job.tasks.get(attempt.task.0 as usize);
        if task.is_some_and(|task| matches!(task.spec.action, Action::Claude(_))) {
            job.turns.claude = Some(self.turns);
        }
    }
}

/// Ready tasks of a job in a pool that are not chosen yet.
struct Lane<'a> {
    plain: Peekable<Iter<'a, Place>>,
    claude: Peekable<Iter<'a, Place>>,
}

impl<'a> Lane<'a> {
    fn new(ready: &'a Ready) -> Lane<'a> {
        Lane { plain: ready.plain.iter().peekable(), claude: ready.claude.iter().peekable() }
    }

    /// The task that comes first, of Claude runs only when one may start.
    fn first(&mut self, with_runs: bool) -> Option<(Place, bool)> {
        let plain = self.plain.peek().map(|place| (**place, false));
        let claude = self.claude.peek().filter(|_| with_runs).map(|place| (**place, true));
        plain.into_iter().chain(claude).min()
    }
}

/// Hands out slots among jobs of the same priority, until nothing of theirs has room.
struct Round<'a> {
    core: &'a Core,
    room: Room<'a>,
    /// By pool: the jobs with something to start there that needs no more than a slot.
    slots: Vec<BinaryHeap<Reverse<Key>>>,
    /// The jobs with Claude runs, while there is a bound that these share.
    runs: BinaryHeap<Reverse<Key>>,
    lanes: HashMap<(JobId, usize), Lane<'a>>,
    /// Turns taken in this round: by pool, and of Claude runs.
    turns: HashMap<(JobId, Option<usize>), u64>,
    chosen: Vec<Choice>,
}

impl<'a> Round<'a> {
    fn new(core: &'a Core, room: Room<'a>, jobs: &[&'a Job], chosen: Vec<Choice>) -> Round<'a> {
        let slots = room.pools.iter().map(|_| BinaryHeap::new()).collect();
        let (lanes, turns) = (HashMap::new(), HashMap::new());
        let mut round = Round { core, room, slots, runs: BinaryHeap::new(), lanes, turns, chosen };
        let is_bounded = round.room.claude.is_some();
        for job in jobs {
            for (name, ready) in &job.ready {
                let pool = round.room.pool(core, name);
                if round.room.pools[pool].free > 0 && !(is_bounded && ready.plain.is_empty()) {
                    let key = round.slot_key(job, pool);
                    round.slots[pool].push(Reverse(key));
                }
            }
            if round.room.claude.is_some_and(|room| room > 0) && job.ready.values().any(|ready| !ready.claude.is_empty()) {
                let key = round.run_key(job);
                round.runs.push(Reverse(key));
            }
        }
        round
    }

    fn fill(&mut self) {
        let pools = self.room.pools.len();
        loop {
            let mut has_given = false;
            for pool in 0..pools {
                has_given |= self.give(pool, true);
            }
            if !has_given && !(0..pools).any(|pool| self.give(pool, false)) {
                return;
            }
        }
    }

    /// Gives one slot of a pool to the job whose turn it is. One that is `patient` waits when that job has a task that comes
    /// before in a pool with room, so that its `max_parallel` goes to the tasks of the highest priority.
    fn give(&mut self, pool: usize, patient: bool) -> bool {
        if self.room.pools[pool].free == 0 {
            return false;
        }
        let runner = self.runner();
        let of_runner = runner.filter(|job| self.lane(job, pool).is_some_and(|lane| lane.claude.peek().is_some()));
        let of_runner = of_runner.map(|job| self.slot_key(job, pool));
        let Some(key) = self.next_in(pool).into_iter().chain(of_runner).min() else { return false };
        let Some(job) = self.core.jobs.get(&key.2) else { return false };
        let with_runs = self.room.claude.is_none() || runner.is_some_and(|runner| runner.id == job.id);
        let Some((place, is_claude)) = self.lane(job, pool).and_then(|lane| lane.first(with_runs)) else { return false };
        if patient && self.comes_before_elsewhere(job, pool, place, with_runs) {
            return false;
        }
        if let Some(lane) = self.lane(job, pool) {
            if is_claude {
                lane.claude.next()
            } else {
                lane.plain.next()
            };
        }
        self.room.take(job.id, pool, is_claude);
        self.chosen.push((job.id, place.1, self.room.pools[pool].name.to_owned()));
        let turn = self.core.turns + TURN * self.chosen.len() as u64;
        self.turns.insert((job.id, Some(pool)), turn);
        if is_claude {
            self.turns.insert((job.id, None), turn);
        }
        true
    }

    /// Of the jobs with something to start in this pool the one whose turn it is.
    fn next_in(&mut self, pool: usize) -> Option<Key> {
        let with_runs = self.room.claude.is_none();
        while let Some(Reverse(key)) = self.slots[pool].peek().copied() {
            let job = self.core.jobs.get(&key.2)?;
            let is_ready = self.room.left(job) > 0 && self.lane(job, pool).is_some_and(|lane| lane.first(with_runs).is_some());
            let now = self.slot_key(job, pool);
            if is_ready && now == key {
                return Some(key);
            }
            self.slots[pool].pop();
            if is_ready {
                self.slots[pool].push(Reverse(now));
            }
        }
        None
    }

    /// The job that may begin the next Claude run, when these are bounded and there is room for one.
    fn runner(&mut self) -> Option<&'a Job> {
        if self.room.claude.is_none_or(|room| room == 0) {
            return None;
        }
        while let Some(Reverse(key)) = self.runs.peek().copied() {
            let job = self.core.jobs.get(&key.2)?;
            let is_ready = self.room.left(job) > 0
                && job.ready.keys().any(|name| {
                    let pool = self.room.pool(self.core, name);
                    self.room.pools[pool].free > 0 && self.lane(job, pool).is_some_and(|lane| lane.claude.peek().is_some())
                });
            let now = self.run_key(job);
            if is_ready && now == key {
                return Some(job);
            }
            self.runs.pop();
            if is_ready {
                self.runs.push(Reverse(now));
            }
        }
        None
    }

    fn comes_before_elsewhere(&mut self, job: &'a Job, pool: usize, place: Place, with_runs: bool) -> bool {
        job.ready.len() > 1
            && job.ready.keys().any(|name| {
                let other = self.room.pool(self.core, name);
                let has_slots = other != pool && self.room.pools[other].free > 0;
                let first = self.lane(job, other).filter(|_| has_slots).and_then(|lane| lane.first(with_runs));
                first.is_some_and(|(first, _)| first < place)
            })
    }

    fn lane(&mut self, job: &'a Job, pool: usize) -> Option<&mut Lane<'a>> {
        let ready = job.ready.get(self.room.pools[pool].name)?;
        Some(self.lanes.entry((job.id, pool)).or_insert_with(|| Lane::new(ready)))
    }

    fn slot_key(&self, job: &Job, pool: usize) -> Key {
        let live = self.room.jobs.get(&job.id).map_or(0, |share| share.in_pool(pool));
        let turn = self.turns.get(&(job.id, Some(pool))).copied();
        (live, turn.unwrap_or_else(|| job.turns.in_pool(self.room.pools[pool].name)), job.id)
    }

    fn run_key(&self, job: &Job) -> Key {
        let live = self.room.jobs.get(&job.id).map_or(0, |share| share.claude);
        (live, self.turns.get(&(job.id, None)).copied().unwrap_or_else(|| job.turns.of_claude()), job.id)
    }
}
