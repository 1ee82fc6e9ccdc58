//! Usage limits and refused logins: what one run learns holds for all of its credential.

use std::collections::BTreeMap;

use crate::model::change::{AttemptFacts, Change};
use crate::model::credential::{self, Credential, CredentialHold, CredentialState};
use crate::model::ids::{AttemptId, JobId, TaskIdx};
use crate::model::live::{LiveFacts, UsageWindow};
use crate::model::spec::{Action, WhenLimited};
use crate::model::state::{BudgetOf, Hold, Outcome, TaskEvent, TaskState};
use crate::model::time::{Now, Utc};

use super::Core;

/// Before the next look at a usage limit whose end is not known.
const UNKNOWN_LIMIT_MS: i64 = 30 * 60_000;
/// Before it is tried whether somebody has logged in again.
const LOGIN_MS: u64 = 5 * 60_000;

/// What a credential's runs may do now.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Way {
    /// Start.
    Open,
    /// One of them may try.
    Probe,
    /// None may.
    Held(Hold),
}

impl Core {
    /// The credential of a task; none when it is no Claude run.
    pub(super) fn credential_of(&self, job: JobId, task: TaskIdx) -> Option<Credential> {
        let job = self.jobs.get(&job)?;
        credential::of(&job.spec, &job.get(task)?.spec, &self.limits.claude.auth)
    }

    /// What a usage limit does to this task.
    pub(super) fn when_limited(&self, attempt: AttemptId) -> WhenLimited {
        match self.task(attempt.job, attempt.task).map(|task| &task.spec.action) {
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
            claude.windows.iter().for_each(|window| state.see(window.clone()));
            if claude.session.is_some() {
                state.pays_by_key = Some(claude.pays_by_key);
            }
        }
        match outcome {
            Outcome::Limited { resets_at } => {
                let policy = self.when_limited(attempt);
                if policy != WhenLimited::Fail {
                    state.hold = Some(self.limit_hold(known.hold.as_ref(), *resets_at, policy == WhenLimited::Ask, now));
                }
            }
            Outcome::Auth => {
                let again = now.utc.plus(i64::try_from(LOGIN_MS).unwrap_or(i64::MAX));
                state.hold = Some(CredentialHold::Login { again, delay_ms: LOGIN_MS });
            }
            // Only an answer of the model shows that it works again, and only one that was asked for after the hold.
            Outcome::Succeeded | Outcome::Failed { .. } if turns > 0 && self.is_probe(attempt, &known) => state.hold = None,
            _ => {}
        }
        self.move_credential(name, state, now);
    }

    fn limit_hold(&self, known: Option<&CredentialHold>, resets_at: Option<Utc>, asks: bool, now: Now) -> CredentialHold {
        let until = match resets_at {
            // Clocks differ a little, and one that is past already would be tried at once and for ever.
            Some(at) => at.max(now.utc).plus(self.limits.claude.margin_ms),
            None => now.utc.plus(UNKNOWN_LIMIT_MS),
        };
        match known {
            // Several runs reach the same limit; what the provider told goes before a guess.
            Some(CredentialHold::Limit { until: earlier, told, asks: before })
                if *earlier > now.utc && (*told || resets_at.is_none()) =>
            {
                let until = if resets_at.is_some() { until.max(*earlier) } else { *earlier };
                CredentialHold::Limit { until, asks: asks || *before, told: true }
            }
            _ => CredentialHold::Limit { until, asks, told: resets_at.is_some() },
        }
    }

    /// Learns from a run that goes on.
    pub(super) fn hear(&mut self, attempt: AttemptId, facts: &LiveFacts, now: Now) {
        let Some(name) = self.credential_of(attempt.job, attempt.task) else { return };
        let known = self.credentials.get(&name).cloned().unwrap_or_default();
        let mut state = known.clone();
        facts.windows.iter().for_each(|window: &UsageWindow| state.see(window.clone()));
        state.pays_by_key = facts.pays_by_key.or(state.pays_by_key);
        if facts.answered && self.is_probe(attempt, &known) {
            state.hold = None;
        }
        self.move_credential(name, state, now);
    }

    /// Whether this attempt was begun to try whether a hold is over.
    fn is_probe(&self, attempt: AttemptId, state: &CredentialState) -> bool {
        let Some(hold) = &state.hold else { return false };
        self.live.get(&attempt).is_some_and(|live| live.opened >= hold.due())
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
                None => self.release(job, task, now),
                Some(hold) => {
                    let state = TaskState::Held { hold: hold_of(hold) };
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
        state.hold = match state.hold {
            Some(CredentialHold::Limit { told, .. }) => Some(CredentialHold::Limit { until: now.utc, asks: false, told }),
            Some(CredentialHold::Login { delay_ms, .. }) => Some(CredentialHold::Login { again: now.utc, delay_ms }),
            None => None,
        };
        self.move_credential(name.clone(), state, now);
    }

    /// The wait for a login is never longer than its delay, whatever the clock did.
    pub(super) fn clamp_logins(&mut self, now: Now) {
        let late: Vec<Credential> = self
            .credentials
            .iter()
            .filter(|(_, state)| match state.hold {
                Some(CredentialHold::Login { again, delay_ms }) => again > later(now, delay_ms),
                _ => false,
            })
            .map(|(name, _)| name.clone())
            .collect();
        for name in late {
            let Some(mut state) = self.credentials.get(&name).cloned() else { continue };
            if let Some(CredentialHold::Login { delay_ms, .. }) = state.hold {
                state.hold = Some(CredentialHold::Login { again: later(now, delay_ms), delay_ms });
                self.move_credential(name, state, now);
            }
        }
    }

    fn way(&self, name: &Credential, now: Now) -> Way {
        let Some(state) = self.credentials.get(name) else { return Way::Open };
        let Some(hold) = &state.hold else { return Way::Open };
        let tried = || {
            let mine = |attempt: &AttemptId| self.credential_of(attempt.job, attempt.task).as_ref() == Some(name);
            self.live.iter().any(|(attempt, live)| live.opened >= hold.due() && mine(attempt))
        };
        if hold.asks() || hold.due() > now.utc || tried() { Way::Held(hold_of(hold)) } else { Way::Probe }
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
        let mut held: Vec<(JobId, TaskIdx, Hold)> = Vec::new();
        let mut probing: Vec<Credential> = Vec::new();
        for id in &self.ready_jobs {
            let Some(job) = self.jobs.get(id) else { continue };
            let spent = self.job_hold(job);
            if ways.is_empty() && quiet.is_none() && day.is_none() && spent.is_none() {
                continue;
            }
            for task in job.ready.values().flatten() {
                let is_claude = job.get(*task).is_some_and(|task| matches!(task.spec.action, Action::Claude(_)));
                if !is_claude {
                    continue;
                }
                let way = self.credential_of(*id, *task).and_then(|name| Some((ways.get(&name)?, name)));
                let by_credential = match way {
                    Some((Way::Held(hold), _)) => Some(hold.clone()),
                    Some((Way::Probe, name)) if probing.contains(&name) => {
                        self.credentials.get(&name).and_then(|state| state.hold.as_ref()).map(hold_of)
                    }
                    Some((Way::Probe, name)) if !job.paused && !job.stopped => {
                        probing.push(name);
                        None
                    }
                    _ => None,
                };
                let hold = spent.clone().or_else(|| day.clone()).or_else(|| quiet.clone()).or(by_credential);
                held.extend(hold.map(|hold| (*id, *task, hold)));
            }
        }
        for (job, task, hold) in held {
            self.hold(job, task, hold, now);
        }
        let nobody = |name: &&Credential| !probing.contains(name);
        let due: Vec<Credential> =
            ways.iter().filter(|(_, way)| **way == Way::Probe).map(|(name, _)| name).filter(nobody).cloned().collect();
        if quiet.is_none() && day.is_none() {
            due.into_iter().for_each(|name| self.send_probe(&name, now));
        }
    }

    /// Lets the first of the held tasks through.
    fn send_probe(&mut self, name: &Credential, now: Now) {
        let may = |id: &JobId| self.jobs.get(id).is_some_and(|job| !job.paused && !job.stopped && self.job_hold(job).is_none());
        let first = self.waiting.get(name).into_iter().flatten().find(|(job, _)| may(job)).copied();
        if let Some((job, task)) = first {
            self.release(job, task, now);
        }
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
        self.credentials.get(&name)?.hold.as_ref().map(hold_of)
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

    /// Tasks whose budget was raised may go on.
    pub(super) fn release_budget(&mut self, job: JobId, of: BudgetOf, now: Now) {
        let Some(found) = self.jobs.get(&job) else { return };
        let held = |state: &TaskState| matches!(state, TaskState::Held { hold: Hold::Budget { of: whose, .. } } if *whose == of);
        let tasks: Vec<TaskIdx> =
            (0u32..).map(TaskIdx).zip(&found.tasks).filter(|(_, task)| held(&task.state)).map(|(idx, _)| idx).collect();
        for task in tasks {
            self.release(job, task, now);
        }
    }
}

fn waits(state: &TaskState) -> bool {
    matches!(state, TaskState::Held { hold: Hold::Limit { .. } | Hold::Login { .. } })
}

fn later(now: Now, delay_ms: u64) -> Utc {
    now.utc.plus(i64::try_from(delay_ms).unwrap_or(i64::MAX))
}

/// How a credential's hold shows at its tasks.
fn hold_of(hold: &CredentialHold) -> Hold {
    match hold {
        CredentialHold::Limit { until, asks, .. } => Hold::Limit { until: *until, asks: *asks },
        CredentialHold::Login { again, delay_ms } => Hold::Login { again: *again, delay_ms: *delay_ms },
    }
}
