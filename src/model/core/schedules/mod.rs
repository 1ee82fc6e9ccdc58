//! Schedules: what a time that has come leads to, what people do to schedules, and what a clock that was set means.
//!
//! A time and the job it leads to are one commit, so no time fires twice and none is lost whatever crashes. `through` only ever
//! grows, so a clock that is set back finds its times settled. A time is missed when it passed before this manager began to watch,
//! or while the machine slept, and more than a moment ago: then the catch-up rule decides, else the overlap rule alone.

mod people;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::change::Change;
use crate::model::ids::JobName;
use crate::model::message::{Done, Refusal};
use crate::model::schedule::{
    CatchUp, Clockwork, Due, Fired, MAX_CATCH_UP, MAX_WAITING, Overlap, Passed, Rule, ScheduleState, Scheduled, Skipped, Times,
};
use crate::model::spec::Submission;
use crate::model::stored::StoredSchedule;
use crate::model::time::{Now, Utc};

use super::Core;
use super::retry::splitmix;

/// What the wall clock may go ahead of the monotonic one, or fall behind it, before it counts as set, or the machine as asleep.
const STEP_MS: i64 = 1_000;

/// A time that is decided about so soon after it was not missed, whoever watched: a manager that is started anew, or a clock that is
/// set right, takes its moment.
const LATE_MS: u64 = 60_000;

/// A schedule in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// Its times.
    pub rule: Rule,
    /// What it submits.
    pub submission: Arc<Submission>,
    /// Where it stands.
    pub state: ScheduleState,
}

/// Since when somebody has been watching the clock.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Watch {
    /// The clocks when they were last looked at.
    seen: Option<Now>,
    /// Times before it were missed.
    awake_since: Utc,
    /// Whether times may have to be found anew, since the clock was set back.
    is_doubtful: bool,
}

impl Core {
    /// The schedules by name.
    pub fn schedules(&self) -> impl Iterator<Item = (&str, &Schedule)> {
        self.schedules.iter().map(|(name, schedule)| (name.as_str(), schedule))
    }

    /// Brings in what is stored.
    pub(super) fn load_schedules(&mut self, stored: Vec<StoredSchedule>, now: Now) {
        for StoredSchedule { name, rule, submission, state, last_number } in stored {
            self.learn_number(&name, last_number);
            self.apply_schedule(name, Schedule { rule, submission, state });
        }
        self.watch = Watch { seen: Some(now), awake_since: now.utc, is_doubtful: true };
    }

    /// A core that takes over within the same manager has watched as long as the one before.
    pub(super) fn inherit_watch(&mut self, old: &Core) {
        let seen = old.watch.seen.or(self.watch.seen);
        self.watch = Watch { seen, awake_since: old.watch.awake_since, is_doubtful: true };
    }

    pub(super) fn apply_schedule(&mut self, name: String, schedule: Schedule) {
        if let Some(old) = self.schedules.get(&name).and_then(|old| old.state.next) {
            self.schedule_dues.remove(&(old.at, name.clone()));
        }
        if let Some(next) = schedule.state.next {
            self.schedule_dues.insert((next.at, name.clone()));
        }
        if schedule.state.waiting.is_empty() {
            self.schedule_waits.remove(&name);
        } else {
            self.schedule_waits.insert(name.clone());
        }
        self.schedules.insert(name, schedule);
    }

    pub(super) fn apply_schedule_state(&mut self, name: &str, state: &ScheduleState) {
        if let Some(schedule) = self.schedules.get(name) {
            let schedule = Schedule { state: state.clone(), ..schedule.clone() };
            self.apply_schedule(name.to_owned(), schedule);
        }
    }

    pub(super) fn apply_schedule_removed(&mut self, name: &str) {
        if let Some(next) = self.schedules.remove(name).and_then(|old| old.state.next) {
            self.schedule_dues.remove(&(next.at, name.to_owned()));
        }
        self.schedule_waits.remove(name);
    }

    /// Submits what is due. Part of every turn: what waits for a job's end is seen in the turn that ends it.
    pub(super) fn fire_schedules(&mut self, now: Now) {
        self.watch_clock(now);
        if self.leaving {
            return;
        }
        if std::mem::take(&mut self.watch.is_doubtful) {
            self.find_times_anew(now);
        }
        self.start_waiting(now);
        while let Some((_, name)) = self.schedule_dues.first().filter(|(at, _)| *at <= now.utc).cloned() {
            self.come_due(&name, now);
        }
        self.start_waiting(now);
    }

    /// Sees whether the wall clock was set, or the machine slept.
    fn watch_clock(&mut self, now: Now) {
        let Some(seen) = self.watch.seen.replace(now) else {
            self.watch.awake_since = now.utc;
            return;
        };
        let passed = i64::try_from(now.mono.0.saturating_sub(seen.mono.0)).unwrap_or(i64::MAX);
        let jump = now.utc.0.saturating_sub(seen.utc.0).saturating_sub(passed);
        if jump > STEP_MS {
            self.watch.awake_since = now.utc.plus(-passed);
        } else if jump < -STEP_MS {
            self.watch.awake_since = self.watch.awake_since.min(now.utc);
            self.watch.is_doubtful = true;
        }
    }

    /// After the clock was set back a time may come that lies before the one that was waited for. None that is settled does. And a
    /// rule that an older version could not read may have times again.
    fn find_times_anew(&mut self, now: Now) {
        let names: Vec<String> = self.schedules.keys().cloned().collect();
        for name in names {
            let Some(schedule) = self.schedules.get(&name) else { continue };
            if schedule.state.paused {
                continue;
            }
            let next = schedule.state.next;
            let sooner = self.next_of(&name, schedule, now.utc).filter(|sooner| next.is_none_or(|next| sooner.due < next.due));
            if sooner.is_some() {
                let state = ScheduleState { next: sooner, ..schedule.state.clone() };
                self.emit(Change::ScheduleMoved { name, passed: None, state: Box::new(state) }, now);
            }
        }
    }

    /// The next time that is neither settled nor past.
    fn next_of(&self, name: &str, schedule: &Schedule, now: Utc) -> Option<Due> {
        let times = schedule.rule.times(schedule.state.anchor).ok()?;
        let after = schedule.state.through.map_or(now, |through| through.max(now));
        times.next_after(after).map(|due| self.due(name, &schedule.rule, &times, due))
    }

    /// A time with its jitter, which never reaches the one after it.
    fn due(&self, name: &str, rule: &Rule, times: &Clockwork<'_>, due: Utc) -> Due {
        if rule.jitter_ms == 0 {
            return Due { at: due, due };
        }
        let room = times.next_after(due).map_or(u64::MAX, |following| following.since(due));
        let of_name = name.bytes().fold(self.seed, |hash, byte| splitmix(hash ^ u64::from(byte)));
        let late = splitmix(of_name ^ due.0.unsigned_abs()) % room.min(rule.jitter_ms.saturating_add(1)).max(1);
        Due { at: due.plus(i64::try_from(late).unwrap_or(0)), due }
    }

    /// Decides about all times of a schedule that have passed.
    fn come_due(&mut self, name: &str, now: Now) {
        let Some(schedule) = self.schedules.get(name).cloned() else { return };
        let Some(next) = schedule.state.next else { return };
        let rule = &schedule.rule;
        let Ok(times) = rule.times(schedule.state.anchor) else {
            // Another version of airx wrote it. It stays as it is, for people to see.
            let why = "this airx cannot read its rule".to_owned();
            let passed = Some(passed(next.due, Fired::Skipped(Skipped::Refused { why }), now));
            let state = Box::new(ScheduleState { next: None, through: Some(next.due), ..schedule.state });
            return self.emit(Change::ScheduleMoved { name: name.to_owned(), passed, state }, now);
        };
        let mut gone = times.between(next.due.plus(-1), now.utc);
        if gone.newest.is_empty() {
            gone = Times { newest: vec![next.due], count: 1 };
        }
        let is_early = |due: &Utc| *due > next.due && self.due(name, rule, &times, *due).at > now.utc;
        if gone.newest.last().is_some_and(is_early) {
            gone.newest.pop();
            gone.count = gone.count.saturating_sub(1);
        }
        let last = gone.newest.last().copied().unwrap_or(next.due);
        let last_at = self.due(name, rule, &times, last).at;
        let is_missed = last_at < self.watch.awake_since && now.utc.since(last_at) >= LATE_MS;
        let runs = match rule.catch_up {
            CatchUp::None if is_missed => Vec::new(),
            CatchUp::None | CatchUp::Last => vec![last],
            CatchUp::All => gone.newest.split_off(gone.newest.len().saturating_sub(MAX_CATCH_UP)),
        };
        let further = times.next_after(last).map(|due| self.due(name, rule, &times, due));
        let missed = gone.count.saturating_sub(runs.len() as u64);
        let state = ScheduleState { next: further, through: schedule.state.through.max(Some(last)), ..schedule.state };
        if missed > 0 {
            let passed = Some(passed(next.due, Fired::Missed { count: missed }, now));
            self.emit(Change::ScheduleMoved { name: name.to_owned(), passed, state: Box::new(state.clone()) }, now);
        }
        // What becomes of the newest one tells where the schedule stands from now on as well.
        match runs.as_slice() {
            [] if missed > 0 => {}
            [] => self.emit(Change::ScheduleMoved { name: name.to_owned(), passed: None, state: Box::new(state) }, now),
            [due] => self.take_time(name, *due, state, now),
            _ => self.catch_up(name, runs, state, now),
        }
    }

    /// Missed times are made up for one after the other, before any further one.
    fn catch_up(&mut self, name: &str, runs: Vec<Utc>, mut state: ScheduleState, now: Now) {
        state.waiting.extend(runs);
        // After a second break, before all of the first one is made up for.
        let dropped: Vec<Utc> = state.waiting.drain(..state.waiting.len().saturating_sub(MAX_CATCH_UP)).collect();
        let count = dropped.len() as u64;
        let passed = dropped.first().map(|due| passed(*due, Fired::Dropped { count }, now));
        self.emit(Change::ScheduleMoved { name: name.to_owned(), passed, state: Box::new(state) }, now);
    }

    /// A time has come: the overlap rule decides. The schedule will stand as `state` says, but for that.
    fn take_time(&mut self, name: &str, due: Utc, mut state: ScheduleState, now: Now) {
        let Some(overlap) = self.schedules.get(name).map(|schedule| schedule.rule.overlap) else { return };
        let before = self.job_before(name);
        let Some(job) = before.clone().or_else(|| state.last.clone().filter(|_| !state.waiting.is_empty())) else {
            return drop(self.submit_scheduled(name, due, state, None, now));
        };
        let what = match overlap {
            Overlap::Skip if before.is_none() => Fired::Skipped(Skipped::Waiting),
            Overlap::Skip => Fired::Skipped(Skipped::Overlap { job }),
            Overlap::Queue if state.waiting.len() >= MAX_WAITING => Fired::Skipped(Skipped::Waiting),
            Overlap::Queue => {
                state.waiting.push(due);
                Fired::Waits { behind: job }
            }
            Overlap::Replace => {
                self.drop_waiting(name, &Skipped::Replaced, now);
                state.waiting = vec![due];
                Fired::Replaces { job }
            }
        };
        let is_replaced = matches!(what, Fired::Replaces { .. });
        let passed = Some(passed(due, what, now));
        self.emit(Change::ScheduleMoved { name: name.to_owned(), passed, state: Box::new(state) }, now);
        if let Some(job) = before.filter(|_| is_replaced) {
            self.replace_job(&job, now);
        }
    }

    /// What waits for a job that is over now starts.
    fn start_waiting(&mut self, now: Now) {
        if self.schedule_waits.is_empty() {
            return;
        }
        let live = self.live_scheduled();
        let free: Vec<String> = self.schedule_waits.iter().filter(|name| !live.contains_key(*name)).cloned().collect();
        for name in free {
            // One that is refused leaves the place to the next one.
            while let Some(state) = self.schedules.get(&name).map(|schedule| schedule.state.clone()) {
                let Some(due) = state.waiting.first().copied() else { break };
                if self.submit_scheduled(&name, due, state, None, now).is_ok() {
                    break;
                }
            }
        }
    }

    /// Submits the job of a schedule for a time, in the same commit as the time's end. The schedule will stand as `state` says.
    fn submit_scheduled(
        &mut self,
        name: &str,
        due: Utc,
        mut state: ScheduleState,
        key: Option<String>,
        now: Now,
    ) -> Result<JobName, Refusal> {
        let Some(schedule) = self.schedules.get(name) else {
            return Err(super::commands::not_found(format!("there is no schedule `{name}`"), "`airx schedule` lists them"));
        };
        let mut submission = schedule.submission.as_ref().clone();
        submission.job.scheduled = Some(Scheduled { schedule: name.to_owned(), due });
        state.waiting.retain(|waiting| *waiting != due);
        let answer = self.submit(submission, key, now).and_then(|done| match done {
            Done::Submitted { job, .. } => Ok(job),
            _ => Err(super::commands::invalid("the job was not submitted".to_owned(), "")),
        });
        let what = match &answer {
            Ok(job) => {
                state.last = Some(job.clone());
                Fired::Submitted { job: job.clone() }
            }
            Err(refusal) => Fired::Skipped(Skipped::Refused { why: refusal.message.clone() }),
        };
        let passed = Some(passed(due, what, now));
        self.emit(Change::ScheduleMoved { name: name.to_owned(), passed, state: Box::new(state) }, now);
        answer
    }

    /// What waits is given up.
    fn drop_waiting(&mut self, name: &str, why: &Skipped, now: Now) {
        while let Some(mut state) = self.schedules.get(name).map(|s| s.state.clone()).filter(|s| !s.waiting.is_empty()) {
            let due = state.waiting.remove(0);
            let passed = Some(passed(due, Fired::Skipped(why.clone()), now));
            self.emit(Change::ScheduleMoved { name: name.to_owned(), passed, state: Box::new(state) }, now);
        }
    }

    /// The newest job of a schedule that is not over.
    fn job_before(&self, name: &str) -> Option<JobName> {
        let is_its = |scheduled: &Scheduled| scheduled.schedule == name;
        let mut jobs = self.jobs.values().rev().filter(|job| job.spec.scheduled.as_ref().is_some_and(is_its));
        jobs.find(|job| !job.counts.job_state().is_terminal()).map(|job| job.name.clone())
    }

    /// Schedules with a job that is not over.
    fn live_scheduled(&self) -> HashMap<String, JobName> {
        let live = self.jobs.values().filter(|job| !job.counts.job_state().is_terminal());
        live.filter_map(|job| Some((job.spec.scheduled.as_ref()?.schedule.clone(), job.name.clone()))).collect()
    }
}

fn passed(due: Utc, what: Fired, now: Now) -> Box<Passed> {
    Box::new(Passed { due, at: now.utc, what })
}
