//! The rules about schedules, looked at by a fold of its own over what is committed. Its schedules are of the kind `every`, whose
//! times are plain arithmetic here.

use std::collections::{BTreeMap, BTreeSet};

use airx::model::change::{Change, Event};
use airx::model::ids::JobId;
use airx::model::message::Command;
use airx::model::schedule::{CatchUp, Fired, MAX_CATCH_UP, Overlap, Rule, ScheduleState, Skipped, When};
use airx::model::time::Utc;

use crate::dice::Dice;
use crate::load;
use crate::sim::Sim;
use crate::store::Journal;

/// Names of schedules; the first one is also that of jobs that people submit.
const NAMES: [&str; 2] = ["job0", "tick"];

/// What is committed about schedules so far.
#[derive(Debug, Default)]
pub struct Schedules {
    known: BTreeMap<String, Known>,
    /// Jobs of schedules whose time has not been told in the same commit.
    untold: BTreeMap<JobId, (String, Utc)>,
    /// Jobs that somebody gave more to do, and those whose rows were damaged once: they may live beside a later one.
    exempt: BTreeSet<JobId>,
    /// What was tried, for `storms_try_all_that_the_rules_are_about`.
    pub tried: BTreeMap<&'static str, u32>,
}

#[derive(Debug)]
struct Known {
    rule: Rule,
    state: ScheduleState,
    fired: BTreeSet<Utc>,
}

impl Known {
    fn step(&self) -> i64 {
        match self.rule.when {
            When::Every { ms } => ms as i64,
            When::Cron { .. } => unreachable!("storms set none"),
        }
    }

    /// Whether a time is one of the schedule's, and not one that a person asked for.
    fn is_own(&self, due: Utc) -> bool {
        (due.0 - self.state.anchor.0).rem_euclid(self.step()) == 0
    }
}

impl Schedules {
    /// Takes in what was committed.
    pub fn take(&mut self, event: &Event, journal: &Journal) -> Result<(), String> {
        self.exempt.extend(journal.damaged.iter().map(|id| JobId(*id)));
        match &event.change {
            Change::JobSubmitted { job, spec, .. } => {
                if let Some(scheduled) = &spec.scheduled {
                    self.untold.insert(*job, (scheduled.schedule.clone(), scheduled.due));
                }
            }
            Change::TaskRequeued { job, .. } | Change::TaskAdded { job, origin: Some(_), .. } => {
                let above = |id: &u32| journal.jobs.get(id)?.parent.as_ref().map(|(parent, _)| parent.job.0);
                self.exempt.extend(std::iter::successors(Some(job.0), above).map(JobId));
            }
            Change::ScheduleSet { name, rule, state, .. } => self.set(name, rule, state)?,
            Change::ScheduleMoved { name, passed, state } => {
                self.moved(name, state)?;
                if let Some(passed) = passed {
                    self.passed(name, passed.due, &passed.what, event.at, journal)?;
                }
                self.known.get_mut(name).ok_or("unknown")?.state = state.as_ref().clone();
            }
            Change::SchedulePaused { name, state, paused } => {
                let known = self.known.get_mut(name).ok_or("a schedule is paused that is not there")?;
                if *paused && (state.next.is_some() || !state.waiting.is_empty()) {
                    return Err(format!("nothing is due while a schedule is paused: {name}"));
                }
                known.state = state.as_ref().clone();
                self.try_it(if *paused { "a paused schedule" } else { "a resumed schedule" });
            }
            Change::ScheduleRemoved { name } => {
                self.known.remove(name);
                self.try_it("a removed schedule");
            }
            _ => {}
        }
        Ok(())
    }

    fn try_it(&mut self, what: &'static str) {
        *self.tried.entry(what).or_default() += 1;
    }

    fn set(&mut self, name: &str, rule: &Rule, state: &ScheduleState) -> Result<(), String> {
        let fired = match self.known.remove(name) {
            Some(old) if state.through < old.state.through => {
                return Err(format!("what is settled stays settled: another definition of {name} forgets it"));
            }
            Some(old) => old.fired,
            None => BTreeSet::new(),
        };
        self.known.insert(name.to_owned(), Known { rule: rule.clone(), state: state.clone(), fired });
        Ok(())
    }

    /// Times are settled: how many of them, and how many are made up for.
    fn moved(&mut self, name: &str, state: &ScheduleState) -> Result<(), String> {
        let Some(known) = self.known.get(name) else { return Err(format!("a schedule fires that is not there: {name}")) };
        if state.through < known.state.through {
            return Err(format!("what is settled stays settled: {name} forgets it"));
        }
        if state.next.is_some_and(|next| Some(next.due) <= state.through) {
            return Err(format!("a time fires once: {name} waits for one that is settled"));
        }
        if state.waiting.len() > MAX_CATCH_UP {
            return Err(format!("what waits has a bound: {} times of {name} do", state.waiting.len()));
        }
        Ok(())
    }

    fn passed(&mut self, name: &str, due: Utc, what: &Fired, at: Utc, journal: &Journal) -> Result<(), String> {
        let Some(known) = self.known.get_mut(name) else { return Ok(()) };
        match what {
            Fired::Submitted { job } => {
                if !known.fired.insert(due) {
                    return Err(format!("a time fires once: {due:?} of {name} again"));
                }
                // One that waited may begin after the clock was set back.
                let is_early = due > at && !known.state.waiting.contains(&due);
                if known.is_own(due) && (known.state.paused || is_early) {
                    return Err(format!("nothing fires early, or while paused: {due:?} of {name} at {at:?}"));
                }
                let Some(stored) = journal.jobs.values().find(|stored| stored.name == *job) else {
                    return Err(format!("a time and its job are one commit: {job} is not stored"));
                };
                let mark = self.untold.remove(&stored.id);
                if mark != Some((name.to_owned(), due)) {
                    return Err(format!("a time and its job are one commit: {job} of {name} is marked {mark:?}"));
                }
                self.try_it("a job of a schedule");
            }
            Fired::Missed { .. } => self.try_it("missed times"),
            Fired::Dropped { .. } => self.try_it("waiting times that are too many"),
            Fired::Waits { .. } => self.try_it("a time that waits"),
            Fired::Replaces { .. } => self.try_it("a job that is replaced"),
            Fired::Skipped(Skipped::Overlap { .. }) => self.try_it("a time that is skipped"),
            Fired::Skipped(_) => self.try_it("a waiting time that is given up"),
        }
        Ok(())
    }

    /// What became of the times of a whole commit: exactly as many are made up for as the rule says.
    pub fn check_commit(&self, events: &[Event], before: &BTreeMap<String, ScheduleState>) -> Result<(), String> {
        if let Some((job, (name, _))) = self.untold.iter().next() {
            return Err(format!("a time and its job are one commit: job {job} of {name} was submitted without"));
        }
        for (name, known) in &self.known {
            let Some(next) = before.get(name).and_then(|state| state.next) else { continue };
            let is_set = |event: &Event| match &event.change {
                Change::ScheduleSet { name: of, .. } | Change::SchedulePaused { name: of, .. } => of == name,
                Change::ScheduleRemoved { name: of } => of == name,
                _ => false,
            };
            let Some(through) = known.state.through.filter(|through| *through >= next.due) else { continue };
            if events.iter().any(is_set) {
                continue;
            }
            let times = (through.0 - next.due.0) / known.step() + 1;
            let passed = || {
                events.iter().filter_map(|event| match &event.change {
                    Change::ScheduleMoved { name: of, passed: Some(passed), .. } if of == name => Some(passed),
                    _ => None,
                })
            };
            let missed: u64 = passed().map(|passed| if let Fired::Missed { count } = passed.what { count } else { 0 }).sum();
            let is_new = |due: &Utc| *due >= next.due && known.is_own(*due);
            let mut made: BTreeSet<Utc> = known.state.waiting.iter().copied().filter(is_new).collect();
            let decided = passed()
                .filter(|passed| !matches!(passed.what, Fired::Missed { .. } | Fired::Dropped { .. }))
                .map(|passed| passed.due);
            made.extend(decided.filter(is_new));
            let wanted = match known.rule.catch_up {
                CatchUp::None => made.len().min(1),
                CatchUp::Last => 1,
                CatchUp::All => (times as usize).min(MAX_CATCH_UP),
            };
            if made.len() != wanted || made.len() as u64 + missed != times as u64 {
                return Err(format!(
                    "by the catch-up rule exactly so many: {name} ({:?}) had {times} times, made up for {}, missed {missed}",
                    known.rule.catch_up,
                    made.len()
                ));
            }
        }
        Ok(())
    }

    /// Where the schedules stood, to be compared with the next commit.
    pub fn states(&self) -> BTreeMap<String, ScheduleState> {
        self.known.iter().map(|(name, known)| (name.clone(), known.state.clone())).collect()
    }

    /// Never two jobs of one schedule at once.
    pub fn check_jobs(&self, journal: &Journal) -> Result<(), String> {
        let mut live: BTreeMap<&str, JobId> = BTreeMap::new();
        for (id, job) in &journal.jobs {
            let is_live = journal.rows.jobs.get(id).is_some_and(|row| !row.counts().job_state().is_terminal());
            let Some(scheduled) = job.spec.scheduled.as_ref().filter(|_| is_live && !self.exempt.contains(&job.id)) else {
                continue;
            };
            if let Some(other) = live.insert(&scheduled.schedule, job.id) {
                return Err(format!("never two jobs of one schedule at once: {other} and {} of {}", job.id, scheduled.schedule));
            }
        }
        Ok(())
    }
}

/// What people do to schedules.
pub fn command(dice: &mut Dice) -> Command {
    let name = dice.pick(&NAMES).copied().unwrap_or("tick").to_owned();
    match dice.below(10) {
        0..5 => {
            let mut submission = load::submission(dice);
            submission.job.name = name;
            submission.tasks.truncate(2);
            let overlaps = [Overlap::Skip, Overlap::Queue, Overlap::Replace];
            let rule = Rule {
                when: When::Every { ms: 1_000 * (1 + dice.below(20)) },
                start: None,
                until: None,
                catch_up: dice.pick(&[CatchUp::None, CatchUp::Last, CatchUp::All]).copied().unwrap_or_default(),
                overlap: dice.pick(&overlaps).copied().unwrap_or_default(),
                jitter_ms: if dice.chance(300) { dice.below(30_000) } else { 0 },
            };
            Command::ScheduleSet { submission: Box::new(submission), rule: Box::new(rule) }
        }
        5 => Command::SchedulePause { names: vec![name], paused: true },
        6 | 7 => Command::SchedulePause { names: vec![name], paused: false },
        8 => Command::ScheduleRun { name, key: dice.chance(500).then(|| format!("run{}", dice.below(1_000))) },
        _ => Command::ScheduleRemove { names: vec![name] },
    }
}

impl Sim {
    /// A person removes all schedules, so that the storm comes to an end.
    pub fn remove_schedules(&mut self) {
        let names: Vec<String> = self.journal.lock().expect("one thread").rows.schedules.keys().cloned().collect();
        for name in names {
            self.ask(Command::ScheduleRemove { names: vec![name] });
        }
    }
}
