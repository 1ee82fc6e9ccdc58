//! What people do to schedules: set, pause, resume, remove, run now.

use std::sync::Arc;

use crate::model::change::Change;
use crate::model::diagnostic::nearest;
use crate::model::message::{Done, Refusal, RefusalCode};
use crate::model::schedule::{MAX_SCHEDULES, MAX_WAITING, Overlap, Rule, ScheduleState, Scheduled, Skipped};
use crate::model::spec::Submission;
use crate::model::time::{Now, Utc};

use super::super::Core;
use super::super::commands::{invalid, not_found};
use super::super::submit::check_all;
use super::Schedule;

impl Core {
    /// Adds a schedule, or gives one another definition. What it has settled stays settled; a rule that is the same goes on as if
    /// nothing had happened, so that whoever sets it again and again does not put its times off.
    pub(in crate::model::core) fn set_schedule(
        &mut self,
        mut submission: Submission,
        rule: Rule,
        now: Now,
    ) -> Result<Done, Refusal> {
        check_all(&submission)?;
        submission.job.scheduled = None;
        let name = submission.job.name.clone();
        let old = self.schedules.get(&name);
        if old.is_none() && self.schedules.len() >= MAX_SCHEDULES {
            return Err(Refusal {
                code: RefusalCode::Limit,
                message: format!("there are {MAX_SCHEDULES} schedules, the most that a home may have"),
                hint: "`airx schedule remove NAME` makes room".to_owned(),
            });
        }
        let is_same = old.is_some_and(|old| old.rule.when == rule.when && old.rule.start == rule.start);
        let mut state = old.map_or_else(ScheduleState::default, |old| old.state.clone());
        if !is_same {
            state.anchor = now.utc;
        }
        let keeps = is_same && old.is_some_and(|old| (old.rule.until, old.rule.jitter_ms) == (rule.until, rule.jitter_ms));
        let mut schedule = Schedule { rule, submission: Arc::new(submission), state };
        if let Err(fault) = schedule.rule.times(now.utc) {
            return Err(invalid(fault.message, &fault.hint));
        }
        let next = self.next_of(&name, &schedule, now.utc);
        let is_paused = schedule.state.paused;
        if next.is_none() && !is_paused && !keeps {
            return Err(invalid(
                format!("the schedule of `{name}` has no time to come: its `until` is past"),
                "move `until`, or leave it out",
            ));
        }
        if !keeps {
            schedule.state.next = next.filter(|_| !is_paused);
        }
        let (replaced, next) = (old.is_some(), schedule.state.next.map(|next| next.due));
        let Schedule { rule, submission, state } = schedule;
        let change = Change::ScheduleSet { name: name.clone(), rule: Box::new(rule), submission, state: Box::new(state) };
        self.emit(change, now);
        Ok(Done::Scheduled { name, replaced, next, paused: is_paused, missing: Vec::new() })
    }

    /// While a schedule is paused nothing is due; what waited is given up, and nothing is made up for afterwards.
    pub(in crate::model::core) fn pause_schedules(&mut self, names: &[String], paused: bool, now: Now) -> Result<Done, Refusal> {
        self.know_schedules(names)?;
        let mut count = 0;
        for name in names {
            if self.schedules.get(name).is_none_or(|schedule| schedule.state.paused == paused) {
                continue;
            }
            self.drop_waiting(name, &Skipped::Paused, now);
            let Some(schedule) = self.schedules.get(name) else { continue };
            let next = if paused { None } else { self.next_of(name, schedule, now.utc) };
            let state = Box::new(ScheduleState { paused, next, ..schedule.state.clone() });
            self.emit(Change::SchedulePaused { name: name.clone(), paused, state }, now);
            count += 1;
        }
        Ok(Done::Affected { count })
    }

    /// Its jobs go on.
    pub(in crate::model::core) fn remove_schedules(&mut self, names: &[String], now: Now) -> Result<Done, Refusal> {
        self.know_schedules(names)?;
        let mut count = 0;
        for name in names {
            if self.schedules.contains_key(name) {
                self.emit(Change::ScheduleRemoved { name: name.clone() }, now);
                count += 1;
            }
        }
        Ok(Done::Affected { count })
    }

    /// Out of turn. The overlap rule holds here too, so that never two jobs of a schedule run at once.
    pub(in crate::model::core) fn run_schedule(&mut self, name: &str, key: Option<String>, now: Now) -> Result<Done, Refusal> {
        if let Some(job) = key.as_ref().and_then(|key| self.keys.get(key)) {
            return Ok(Done::Submitted { job: job.clone(), tasks: 0, missing: Vec::new() });
        }
        self.know_schedules(std::slice::from_ref(&name.to_owned()))?;
        let Some(schedule) = self.schedules.get(name) else { return Err(no_schedule(name, None)) };
        let (overlap, waiting) = (schedule.rule.overlap, schedule.state.waiting.len());
        let tasks = u32::try_from(schedule.submission.tasks.len()).unwrap_or(u32::MAX);
        let (due, state) = (self.own_time(name, schedule, now.utc), schedule.state.clone());
        let Some(job) = self.job_before(name) else {
            let job = self.submit_scheduled(name, due, state, key, now)?;
            return Ok(Done::Submitted { job, tasks, missing: Vec::new() });
        };
        let conflict = |message: String, hint: String| Err(Refusal { code: RefusalCode::Conflict, message, hint });
        match overlap {
            Overlap::Skip => conflict(
                format!("{job} of this schedule is not over (overlap: skip)"),
                format!("wait for it, or end it: airx cancel {job}"),
            ),
            Overlap::Queue if waiting >= MAX_WAITING => {
                conflict(format!("{job} of this schedule is not over, and another time waits already"), String::new())
            }
            Overlap::Queue | Overlap::Replace => {
                self.take_time(name, due, state, now);
                Ok(Done::Waits { behind: job })
            }
        }
    }

    /// Now, or a little later: a time that is none of the schedule's own, which fire once each, and that no other job has.
    fn own_time(&self, name: &str, schedule: &Schedule, now: Utc) -> Utc {
        let Ok(times) = schedule.rule.times(schedule.state.anchor) else { return now };
        let is_its = |due: Utc| move |scheduled: &Scheduled| scheduled.schedule == name && scheduled.due == due;
        let is_taken = |due: Utc| self.jobs.values().any(|job| job.spec.scheduled.as_ref().is_some_and(is_its(due)));
        let mut own = now;
        while times.next_after(own.plus(-1)) == Some(own) || schedule.state.waiting.contains(&own) || is_taken(own) {
            own = own.plus(1);
        }
        own
    }

    fn know_schedules(&self, names: &[String]) -> Result<(), Refusal> {
        match names.iter().find(|name| !self.schedules.contains_key(*name)) {
            Some(unknown) => Err(no_schedule(unknown, nearest(unknown, self.schedules.keys().map(String::as_str)))),
            None => Ok(()),
        }
    }
}

/// A refusal that names the schedule that may have been meant.
fn no_schedule(name: &str, near: Option<&str>) -> Refusal {
    let hint = match near {
        Some(near) => format!("did you mean `{near}`? `airx schedule` lists all"),
        None => "`airx schedule` lists all".to_owned(),
    };
    not_found(format!("there is no schedule `{name}`"), &hint)
}
