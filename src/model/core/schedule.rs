//! Who starts next, and the passing of time.

use crate::model::change::Change;
use crate::model::ids::{AttemptId, JobId, TaskIdx};
use crate::model::spec::Action;
use crate::model::state::{Hold, TaskEvent, TaskState};
use crate::model::template::names_gate;
use crate::model::time::Now;

use super::retry::splitmix;
use super::session::{PastEnd, resumes};
use super::{BACKSTOP_MS, Core, Effect, Launch};

/// Whether a prompt has the gate's output in it.
fn reads_gate(action: &Action) -> bool {
    matches!(action, Action::Claude(claude) if !claude.literal && names_gate(&claude.prompt))
}

impl Core {
    /// Opens attempts as long as there is room, for whom and in which order [`Core::choose`] says.
    pub(super) fn schedule(&mut self, now: Now) {
        if self.paused || self.disk_low || self.leaving {
            return;
        }
        self.release_budgets(now);
        self.release_unheld(now);
        self.hold_back(now);
        for (job, task, pool) in self.choose() {
            self.open(job, task, pool, now);
        }
        let is_undecided = |id: &&JobId| self.jobs.get(id).is_some_and(|job| !job.undecided.is_empty());
        let undecided = self.ready_jobs.iter().filter(is_undecided).filter(|id| !self.is_paused(**id));
        for id in undecided.copied().collect::<Vec<_>>() {
            self.ask_decisions(id, now);
        }
    }

    fn open(&mut self, id: JobId, idx: TaskIdx, pool: String, now: Now) {
        let Some(task) = self.task(id, idx) else { return };
        let attempt = AttemptId { job: id, task: idx, number: task.attempts + 1 };
        let run = task.run.as_ref();
        let past = run.and_then(|run| run.past.as_ref().filter(|past| resumes(&task.spec, past, &run.rounds)));
        let (session, resumes) = match past {
            Some(past) => (Some(past.id.clone()), true),
            None => (self.session_of(attempt, &task.spec.action), false),
        };
        self.note_probe(attempt, now);
        self.emit(Change::AttemptOpened { attempt, pool, session, resumes }, now);
        self.start(attempt, now);
    }

    /// Asks the backend to start an open attempt.
    pub(super) fn start(&mut self, attempt: AttemptId, now: Now) {
        let Some(launch) = self.launch(attempt, now) else { return };
        if let Some(live) = self.live.get_mut(&attempt) {
            live.launched();
        }
        self.effects.push(Effect::Launch(Box::new(launch)));
    }

    /// For a Claude run: a UUID of version 4 shape, another for every attempt of every home (whose seeds differ), known
    /// before the launch and the same when it is asked for again.
    pub(super) fn session_of(&self, attempt: AttemptId, action: &Action) -> Option<String> {
        if !matches!(action, Action::Claude(_)) {
            return None;
        }
        let place = (u64::from(attempt.job.0) << 32) | u64::from(attempt.task.0);
        let high = splitmix(self.seed ^ splitmix(splitmix(place) ^ u64::from(attempt.number)));
        let low = splitmix(high);
        Some(format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0x0fff,
            0x8000 | ((low >> 48) & 0x3fff),
            low & 0xffff_ffff_ffff
        ))
    }

    /// What is needed to launch an attempt: the task, and the results it can see.
    pub(super) fn launch(&self, attempt: AttemptId, now: Now) -> Option<Launch> {
        let job = self.jobs.get(&attempt.job)?;
        let task = job.get(attempt.task)?;
        let item = task.instance.and_then(|instance| {
            let mapped = job.get(instance.of)?.mapped.as_ref()?;
            Some((mapped.items.get(instance.index as usize)?.clone(), instance.index))
        });
        let run = task.run.as_ref();
        Some(Launch {
            attempt,
            id: task.id.to_string(),
            item,
            name: job.name.clone(),
            job: job.spec.clone(),
            task: task.spec.clone(),
            seen: job.seen_by(task),
            session: run.and_then(|run| run.session.clone()),
            resumes: run.is_some_and(|run| run.resumes),
            gated: task.gated,
            continues: run.and_then(|run| run.past.as_ref()).is_some_and(|past| match past.end {
                PastEnd::Interrupted => true,
                // A further round of a task that repeats gets its prompt again.
                PastEnd::Round => false,
                // So does one that is to read what its gate said.
                PastEnd::Other => task.gated.is_none() || !reads_gate(&task.spec.action),
            }),
            allowance: self.allowance(attempt, now),
            rules: job.rules.iter().cloned().collect(),
        })
    }

    /// Releases what has waited long enough, insists where an end is overdue.
    pub(super) fn tick(&mut self, now: Now) {
        self.expire(now);
        // That a credential may be tried is seen when the next turn looks for what may start.
        while self.dues.first().is_some_and(|(at, _)| *at <= now.utc) {
            self.dues.pop_first();
        }
        while let Some(&(at, job, task)) = self.timers.first() {
            if at > now.utc {
                break;
            }
            self.timers.pop_first();
            self.release(job, task, now);
        }
        let overdue: Vec<AttemptId> =
            self.live.iter().filter(|(_, live)| live.kill_at.is_some_and(|at| at <= now.mono)).map(|(id, _)| *id).collect();
        for attempt in overdue {
            if let Some(live) = self.live.get_mut(&attempt) {
                live.kill_at = Some(crate::model::time::Mono(now.mono.0.saturating_add(BACKSTOP_MS)));
            }
            self.effects.push(Effect::Stop { attempt, kill: true });
        }
    }

    pub(super) fn release(&mut self, job: JobId, task: TaskIdx, now: Now) {
        let Some(found) = self.task(job, task) else { return };
        if let Ok(state) = found.state.next(TaskEvent::Release) {
            self.emit(Change::TaskMoved { job, task, state }, now);
        }
    }

    /// A retry never waits longer than its delay, whatever the clock did meanwhile.
    pub(super) fn clamp_waits(&mut self, now: Now) {
        let waiting: Vec<(JobId, TaskIdx)> = self.timers.iter().map(|(_, job, task)| (*job, *task)).collect();
        for (job, task) in waiting {
            let latest = |delay_ms: u64| now.utc.plus(i64::try_from(delay_ms).unwrap_or(i64::MAX));
            let clamped = match self.task(job, task).map(|task| &task.state) {
                Some(TaskState::Held { hold: Hold::Retry { at, delay_ms } }) if *at > latest(*delay_ms) => {
                    Hold::Retry { at: latest(*delay_ms), delay_ms: *delay_ms }
                }
                _ => continue,
            };
            self.emit(Change::TaskMoved { job, task, state: TaskState::Held { hold: clamped } }, now);
        }
    }

    /// Tasks held for a secret are looked at again.
    pub(super) fn check_held_secrets(&mut self, now: Now) {
        let held: Vec<AttemptId> = self
            .jobs
            .values()
            .filter(|job| job.counts.of(crate::model::state::TaskKind::Held) > 0)
            .flat_map(|job| {
                (0u32..).zip(&job.tasks).filter_map(|(idx, task)| {
                    let waits = matches!(task.state, TaskState::Held { hold: Hold::Secret { .. } });
                    waits.then_some(AttemptId { job: job.id, task: TaskIdx(idx), number: task.attempts })
                })
            })
            .collect();
        for attempt in held {
            if let Some(launch) = self.launch(attempt, now) {
                self.effects.push(Effect::CheckSecrets(Box::new(launch)));
            }
        }
    }
}
