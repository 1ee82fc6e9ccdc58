//! Usage limits and refused logins: what one run learns holds for all of its credential.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::model::change::{AttemptFacts, Change};
use crate::model::credential::{self, Credential, CredentialHold, CredentialState};
use crate::model::ids::{AttemptId, JobId, TaskIdx};
use crate::model::live::LiveFacts;
use crate::model::spec::{Action, WhenLimited};
use crate::model::state::{Hold, Outcome, TaskEvent, TaskState};
use crate::model::time::{Now, Utc};

use super::{Core, Job};

/// Before the next look at a usage limit whose end is not known.
const UNKNOWN_LIMIT_MS: i64 = 30 * 60_000;
/// The longest limit there is: by the month, for what may be paid. What ends later was misread, or is not the provider's word (the
/// task writes into its transcript too), and would hold a credential for years.
const LONGEST_LIMIT_MS: i64 = 32 * 86_400_000;
/// Before it is tried whether somebody has logged in again.
const LOGIN_MS: u64 = 5 * 60_000;
/// The longest of these waits: each is twice the one before.
const MAX_LOGIN_MS: u64 = 30 * 60_000;

/// A task, and what it is to be held for.
type ToHold = (JobId, TaskIdx, Hold);

/// What a credential's runs may do now.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Way {
    /// Start.
    Open,
    /// One of them may try.
    Probe,
    /// None may.
    Held(CredentialHold),
}

impl Core {
    /// The credential of a task; none when it is no Claude run.
    pub(super) fn credential_of(&self, job: JobId, task: TaskIdx) -> Option<Credential> {
        let job = self.jobs.get(&job)?;
        credential::of(&job.spec, &job.get(task)?.spec, &self.limits.claude.auth)
    }

    /// What a usage limit does to this task.
    pub(super) fn when_limited(&self, job: JobId, task: TaskIdx) -> WhenLimited {
        match self.task(job, task).map(|task| &task.spec.action) {
            Some(Action::Claude(claude)) => claude.when_limited.unwrap_or(self.limits.claude.when_limited),
            _ => WhenLimited::Wait,
        }
    }

    /// Learns from the end of an attempt what it says about its credential.
    pub(super) fn learn(&mut self, attempt: AttemptId, outcome: &Outcome, facts: &AttemptFacts, now: Now) {
        let Some(name) = self.credential_of(attempt.job, attempt.task) else { return };
        let known = self.credentials.get(&name).cloned().unwrap_or_default();
        let mut state = known.clone();
        let turns = facts.claude.as_ref().map_or(0, |claude| claude.turns);
        if let Some(claude) = &facts.claude {
            claude.windows.iter().for_each(|window| window.clone().put_in(&mut state.windows));
            if claude.session.is_some() {
                state.pays_by_key = Some(claude.pays_by_key);
            }
        }
        match outcome {
            Outcome::Limited { resets_at } if self.when_limited(attempt.job, attempt.task) != WhenLimited::Fail => {
                state.hold(self.limit_hold(known.hold.as_ref(), *resets_at, now));
            }
            Outcome::Auth => {
                // Each try moves all tasks of the credential: nobody seems to be there, so it is tried less and less often.
                let delay_ms = match known.hold {
                    Some(CredentialHold::Login { delay_ms, .. }) if known.probe == Some(attempt) => {
                        delay_ms.saturating_mul(2).min(MAX_LOGIN_MS)
                    }
                    Some(CredentialHold::Login { delay_ms, .. }) => delay_ms,
                    _ => LOGIN_MS,
                };
                state.hold(CredentialHold::Login { again: later(now, delay_ms), delay_ms });
            }
            // Only an answer of the model shows that it works again, and only one that was asked for after the hold.
            Outcome::Succeeded | Outcome::Failed { .. } if turns > 0 && known.probe == Some(attempt) => state.lift(),
            _ => {}
        }
        self.move_credential(name, state, now);
    }

    fn limit_hold(&self, known: Option<&CredentialHold>, resets_at: Option<Utc>, now: Now) -> CredentialHold {
        let resets_at = resets_at.filter(|at| *at <= now.utc.plus(LONGEST_LIMIT_MS));
        let until = match resets_at {
            // Clocks differ a little, and one that is past already would be tried at once and for ever.
            Some(at) => at.max(now.utc).plus(self.limits.claude.margin_ms),
            None => now.utc.plus(UNKNOWN_LIMIT_MS),
        };
        match known {
            // Several runs reach the same limit; what the provider told goes before a guess.
            Some(CredentialHold::Limit { until: earlier, told }) if *earlier > now.utc && (*told || resets_at.is_none()) => {
                let until = if resets_at.is_some() { until.max(*earlier) } else { *earlier };
                CredentialHold::Limit { until, told: *told }
            }
            _ => CredentialHold::Limit { until, told: resets_at.is_some() },
        }
    }

    /// Learns from a run that goes on.
    pub(super) fn hear(&mut self, attempt: AttemptId, facts: &LiveFacts, now: Now) {
        let Some(name) = self.credential_of(attempt.job, attempt.task) else { return };
        let known = self.credentials.get(&name).cloned().unwrap_or_default();
        let mut state = known.clone();
        facts.windows.iter().for_each(|window| window.clone().put_in(&mut state.windows));
        state.pays_by_key = facts.pays_by_key.or(state.pays_by_key);
        if facts.answered && known.probe == Some(attempt) {
            state.lift();
        }
        self.move_credential(name, state, now);
    }

    /// A run is about to begin although its credential is held: it tries whether the hold is over.
    pub(super) fn note_probe(&mut self, attempt: AttemptId, now: Now) {
        let Some(name) = self.credential_of(attempt.job, attempt.task) else { return };
        let Some(state) = self.credentials.get(&name).filter(|state| state.hold.is_some()) else { return };
        let state = CredentialState { probe: Some(attempt), ..state.clone() };
        self.move_credential(name, state, now);
    }

    /// Records what is known of a credential; tasks that it holds are released, or told the new time.
    fn move_credential(&mut self, name: Credential, state: CredentialState, now: Now) {
        let known = self.credentials.get(&name);
        if known == Some(&state) || (known.is_none() && state == CredentialState::default()) {
            return;
        }
        let hold = state.hold.clone();
        self.emit(Change::CredentialMoved { credential: name.clone(), state: Box::new(state) }, now);
        let waiting: Vec<(JobId, TaskIdx)> = self.waiting.get(&name).into_iter().flatten().copied().collect();
        for (job, task) in waiting {
            match &hold {
                None if self.asks_a_person(job, task) => {}
                None => self.release(job, task, now),
                Some(hold) => {
                    let state = TaskState::Held { hold: self.hold_for(job, task, hold) };
                    if self.task(job, task).is_some_and(|task| task.state != state) {
                        self.emit(Change::TaskMoved { job, task, state }, now);
                    }
                }
            }
        }
    }

    /// A person says that a credential may be tried now.
    pub(super) fn try_credential(&mut self, name: &Credential, now: Now) {
        let Some(mut state) = self.credentials.get(name).cloned() else { return };
        state.hold = state.hold.map(|hold| match hold {
            CredentialHold::Limit { until, told } => CredentialHold::Limit { until: until.min(now.utc), told },
            CredentialHold::Login { again, delay_ms } => CredentialHold::Login { again: again.min(now.utc), delay_ms },
        });
        self.move_credential(name.clone(), state, now);
    }

    /// The wait for a login, or for the end of a limit that nobody has told, is never longer than its delay, and no limit longer
    /// than there are any, whatever the clock did.
    pub(super) fn clamp_credentials(&mut self, now: Now) {
        let guess = now.utc.plus(UNKNOWN_LIMIT_MS);
        let longest = now.utc.plus(LONGEST_LIMIT_MS).plus(self.limits.claude.margin_ms);
        let clamped = |hold: &CredentialHold| match hold {
            CredentialHold::Login { again, delay_ms } if *again > later(now, *delay_ms) => {
                Some(CredentialHold::Login { again: later(now, *delay_ms), delay_ms: *delay_ms })
            }
            CredentialHold::Limit { until, told } if *until > if *told { longest } else { guess } => {
                Some(CredentialHold::Limit { until: guess, told: false })
            }
            _ => None,
        };
        let late: Vec<(Credential, CredentialState)> = self
            .credentials
            .iter()
            .filter_map(|(name, state)| {
                let hold = clamped(state.hold.as_ref()?)?;
                Some((name.clone(), CredentialState { hold: Some(hold), ..state.clone() }))
            })
            .collect();
        for (name, state) in late {
            self.move_credential(name, state, now);
        }
        // What was due before the clock was set back will be due again.
        let dues = self.credentials.iter().filter_map(|(name, state)| Some((state.hold.as_ref()?.due(), name.clone())));
        self.dues.extend(dues.filter(|(at, _)| *at > now.utc));
    }

    fn way(&self, name: &Credential, now: Now) -> Way {
        let Some(state) = self.credentials.get(name) else { return Way::Open };
        let Some(hold) = &state.hold else { return Way::Open };
        // One of which nothing is heard must not keep the others waiting for its engine.
        let tells = |attempt| self.live.contains_key(&attempt) && !self.is_out_of_sight(attempt);
        let is_tried = state.probe.is_some_and(tells);
        if hold.due() > now.utc || is_tried { Way::Held(hold.clone()) } else { Way::Probe }
    }

    /// Tasks whose credential is not held (any more) wait for nothing: it was lifted while their job was set aside, or what was
    /// known of it could not be read.
    pub(super) fn release_unheld(&mut self, now: Now) {
        let is_free = |name: &Credential| self.credentials.get(name).is_none_or(|state| state.hold.is_none());
        let free: Vec<(JobId, TaskIdx)> =
            self.waiting.iter().filter(|(name, _)| is_free(name)).flat_map(|(_, tasks)| tasks).copied().collect();
        for (job, task) in free.into_iter().filter(|(job, task)| !self.asks_a_person(*job, *task)).collect::<Vec<_>>() {
            self.release(job, task, now);
        }
    }

    /// Whether this task is held until a person says that it may go on (`when_limited: ask`). The rest of its credential is not.
    fn asks_a_person(&self, job: JobId, task: TaskIdx) -> bool {
        let state = self.task(job, task).map(|task| &task.state);
        matches!(state, Some(TaskState::Held { hold: Hold::Limit { asks: true, .. } }))
    }

    /// How a credential's hold shows at one of its tasks.
    pub(super) fn hold_for(&self, job: JobId, task: TaskIdx, hold: &CredentialHold) -> Hold {
        match hold {
            CredentialHold::Limit { until, .. } => {
                Hold::Limit { until: *until, asks: self.when_limited(job, task) == WhenLimited::Ask }
            }
            CredentialHold::Login { again, delay_ms } => Hold::Login { again: *again, delay_ms: *delay_ms },
        }
    }

    /// Ready Claude tasks that may not start are held, with the reason; of a credential whose hold is due one is let through.
    pub(super) fn hold_back(&mut self, now: Now) {
        let quiet = self.limits.claude.quiet_until.filter(|until| *until > now.utc).map(|until| Hold::Quiet { until });
        let day = self.day_hold(now);
        let mut ways: BTreeMap<Credential, Way> = BTreeMap::new();
        for (name, state) in &self.credentials {
            if state.hold.is_some() {
                ways.insert(name.clone(), self.way(name, now));
            }
        }
        let room = ways.values().any(|way| *way == Way::Probe).then(|| self.room());
        let may_probe = |job: &Job, task| room.as_ref().is_some_and(|room| room.has(self, job, task));
        let mut held: Vec<ToHold> = Vec::new();
        // Ready tasks of credentials that are to be tried, and of each the first that can start at once: one without room
        // must not keep all others waiting.
        let mut others: Vec<(JobId, TaskIdx, Credential)> = Vec::new();
        let mut probing: BTreeMap<Credential, (JobId, TaskIdx)> = BTreeMap::new();
        let mut ready: Vec<JobId> = self.ready_jobs.iter().copied().collect();
        if room.is_some() {
            // The job of the highest priority may try first.
            ready.sort_by_key(|id| Reverse(self.jobs.get(id).map(|job| job.priority)));
        }
        for id in ready {
            let Some(job) = self.jobs.get(&id) else { continue };
            let whole = self.job_hold(job).or_else(|| day.clone()).or_else(|| quiet.clone());
            if ways.is_empty() && whole.is_none() {
                continue;
            }
            for task in job.ready_runs() {
                let Some(name) = self.credential_of(id, task) else { continue };
                match (&whole, ways.get(&name)) {
                    (Some(hold), _) => held.push((id, task, hold.clone())),
                    (None, Some(Way::Held(hold))) => held.push((id, task, self.hold_for(id, task, hold))),
                    (None, Some(Way::Probe)) if !probing.contains_key(&name) && may_probe(job, task) => {
                        probing.insert(name, (id, task));
                    }
                    (None, Some(Way::Probe)) => others.push((id, task, name)),
                    (None, Some(Way::Open) | None) => {}
                }
            }
        }
        let free = quiet.is_none() && day.is_none();
        let (mut sent, mut moved) = (Vec::new(), Vec::new());
        for name in ways.iter().filter(|(_, way)| free && **way == Way::Probe).map(|(name, _)| name) {
            if probing.contains_key(name) {
                continue;
            }
            // None of the ready ones can start: the first of the held ones that can is let through.
            let (first, spent) = self.first_waiting(name, &may_probe);
            moved.extend(spent);
            sent.extend(first);
            probing.extend(first.map(|first| (name.clone(), first)));
        }
        for (job, task, name) in others.into_iter().filter(|(.., name)| probing.contains_key(name)) {
            let hold = self.credentials.get(&name).and_then(|state| state.hold.as_ref());
            held.extend(hold.map(|hold| (job, task, self.hold_for(job, task, hold))));
        }
        for (job, task, hold) in held {
            self.hold(job, task, hold, now);
        }
        for (job, task, hold) in moved {
            self.emit(Change::TaskMoved { job, task, state: TaskState::Held { hold } }, now);
        }
        for (job, task) in sent {
            self.release(job, task, now);
        }
    }

    /// Of the tasks held by a credential the first that can start, of a job of the highest priority; and those that wait for their
    /// job's budget by now.
    fn first_waiting(
        &self,
        name: &Credential,
        may_probe: &impl Fn(&Job, TaskIdx) -> bool,
    ) -> (Option<(JobId, TaskIdx)>, Vec<ToHold>) {
        let (mut spent, mut first): (_, Option<(i32, (JobId, TaskIdx))>) = (Vec::new(), None);
        let mut of_job: Option<(&Job, Option<Hold>)> = None;
        for (id, task) in self.waiting.get(name).into_iter().flatten() {
            if of_job.as_ref().is_none_or(|(job, _)| job.id != *id) {
                of_job = self.jobs.get(id).map(|job| (job, self.job_hold(job)));
            }
            match &of_job {
                Some((_, Some(hold))) => spent.push((*id, *task, hold.clone())),
                Some((job, None))
                    if first.is_none_or(|(priority, _)| job.priority > priority)
                        && may_probe(job, *task)
                        && !self.asks_a_person(*id, *task) =>
                {
                    first = Some((job.priority, (*id, *task)));
                }
                _ => {}
            }
        }
        (first.map(|(_, first)| first), spent)
    }

    fn hold(&mut self, job: JobId, task: TaskIdx, hold: Hold, now: Now) {
        let Some(found) = self.task(job, task) else { return };
        if let Ok(state) = found.state.next(TaskEvent::Hold(hold)) {
            self.emit(Change::TaskMoved { job, task, state }, now);
        }
    }

    /// The hold that a credential's tasks get, for one whose attempt has just ended by it.
    pub(super) fn credential_hold(&self, attempt: AttemptId) -> Option<Hold> {
        let name = self.credential_of(attempt.job, attempt.task)?;
        let hold = self.credentials.get(&name)?.hold.as_ref()?;
        Some(self.hold_for(attempt.job, attempt.task, hold))
    }

    pub(super) fn apply_credential(&mut self, name: &Credential, state: &CredentialState) {
        if let Some(hold) = self.credentials.get(name).and_then(|known| known.hold.as_ref()) {
            self.dues.remove(&(hold.due(), name.clone()));
        }
        if let Some(hold) = &state.hold {
            self.dues.insert((hold.due(), name.clone()));
        }
        self.credentials.insert(name.clone(), state.clone());
    }

    /// Keeps the index of who waits for which credential.
    pub(super) fn index_waiting(&mut self, job: JobId, task: TaskIdx, old: &TaskState, new: &TaskState) {
        let (was, is) = (waits(old), waits(new));
        if was == is {
            return;
        }
        let Some(name) = self.credential_of(job, task) else { return };
        let waiting = self.waiting.entry(name.clone()).or_default();
        if is {
            waiting.insert((job, task));
        } else {
            waiting.remove(&(job, task));
            if waiting.is_empty() {
                self.waiting.remove(&name);
            }
        }
    }

    /// What is known of the credentials, by name.
    pub fn credentials(&self) -> &BTreeMap<Credential, CredentialState> {
        &self.credentials
    }
}

fn waits(state: &TaskState) -> bool {
    matches!(state, TaskState::Held { hold: Hold::Limit { .. } | Hold::Login { .. } })
}

fn later(now: Now, delay_ms: u64) -> Utc {
    now.utc.plus(i64::try_from(delay_ms).unwrap_or(i64::MAX))
}
