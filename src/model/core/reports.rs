//! Reports of backends: confirmations, ends, and what no trace is left of.

use crate::model::attempt::{End, ExitRecord};
use crate::model::change::{AttemptFacts, Change, ClaudeFacts, RoundFacts};
use crate::model::ids::AttemptId;
use crate::model::outcome::{Asked, classify};
use crate::model::report::{EndReport, ExitFinding, Report, ResultFinding};
use crate::model::state::{BudgetOf, FailCause, Hold, LostCause, Outcome, TaskEvent, TaskState, Verdict};
use crate::model::time::Now;

use super::budget::{at_least, bound};
use super::retry::given_up;
use super::settle::outlives_failure;
use super::{Core, Effect};

/// Inspections in a row without a trace before a confirmed attempt counts as lost.
const MISSES: u32 = 2;

impl Core {
    pub(super) fn report(&mut self, report: Report, now: Now) {
        let Some(attempt) = report.attempt() else { return };
        if !self.live.contains_key(&attempt) {
            self.late(attempt, report, now);
            return;
        }
        match report {
            Report::Engine { .. } | Report::Stranded { .. } => {}
            Report::Launching { progress, .. } => self.launching(attempt, progress, now),
            Report::Started { .. } => self.confirmed(attempt, now),
            Report::Live { .. } => {
                if let Some(live) = self.live.get_mut(&attempt) {
                    live.answered();
                }
                self.answer_again(attempt);
                self.tell_budget_again(attempt, now);
                let is_adopted = self.live.get(&attempt).is_some_and(|live| !live.confirmed);
                self.confirmed(attempt, now);
                if is_adopted {
                    // That a budget is spent may have been told to nobody before the last manager ended.
                    self.watch_budgets(attempt, now);
                }
            }
            Report::LaunchFailed { why, transient, .. } => {
                let outcome = match self.asked(attempt) {
                    Asked::Nothing => Outcome::Unlaunchable { why, transient },
                    _ => Outcome::Cancelled,
                };
                self.end(attempt, outcome, AttemptFacts::default(), now);
            }
            Report::NeverStarted { .. } => self.no_trace(attempt, now),
            Report::Unsure { .. } => {
                let Some(live) = self.live.get_mut(&attempt) else { return };
                live.answered();
                let is_launched = !live.confirmed;
                let state = self.task(attempt.job, attempt.task).map(|task| &task.state);
                if is_launched && matches!(state, Some(TaskState::Cancelling { .. })) {
                    // Said before the launch was on its way, it was heard by nobody.
                    self.effects.push(Effect::Stop { attempt, kill: false });
                }
            }
            Report::Outbox { items, live, .. } => {
                self.take_outbox(attempt, items, now);
                if let Some(facts) = live {
                    self.run_seen(attempt, *facts, now);
                }
                self.answer_intakes(attempt);
            }
            Report::Over { outbox, end, .. } => {
                // What the task asked for counts before its end does: its sub-tasks must be there when it is over.
                self.take_outbox(attempt, outbox, now);
                self.answer_intakes(attempt);
                self.over(attempt, *end, now);
            }
        }
    }

    /// A report about an attempt that is closed: recorded when it tells of an end, and changes nothing.
    fn late(&mut self, attempt: AttemptId, report: Report, now: Now) {
        if !self.jobs.contains_key(&attempt.job) {
            // Its job is set aside: nothing is decided about it, so nothing of it is ended either.
            if let Report::Over { .. } = report {
                self.unproven.remove(&attempt);
                self.effects.push(Effect::Forget(attempt));
            }
            return;
        }
        match report {
            Report::Over { end, .. } => {
                self.unproven.remove(&attempt);
                let known = self.task(attempt.job, attempt.task).is_some_and(|task| task.attempts >= attempt.number);
                if known {
                    let what = match end.exit {
                        ExitFinding::Record(record) => format!("it ended after all: {:?}", record.end),
                        ExitFinding::Evicted(_) | ExitFinding::Missing { .. } => "it is gone without a record".to_owned(),
                    };
                    self.emit(Change::AttemptStale { attempt, what }, now);
                }
                self.effects.push(Effect::Forget(attempt));
            }
            // Alive although closed: only after `abandon`. It must not go on unseen.
            Report::Started { .. } | Report::Live { .. } => self.effects.push(Effect::Stop { attempt, kill: true }),
            Report::Engine { .. }
            | Report::Stranded { .. }
            | Report::Launching { .. }
            | Report::LaunchFailed { .. }
            | Report::NeverStarted { .. }
            | Report::Unsure { .. }
            | Report::Outbox { .. } => {}
        }
    }

    fn confirmed(&mut self, attempt: AttemptId, now: Now) {
        if let Some(live) = self.live.get_mut(&attempt) {
            live.found();
        }
        match self.task(attempt.job, attempt.task).map(|task| task.state.clone()) {
            Some(TaskState::Starting { .. }) => self.emit(Change::AttemptStarted { attempt }, now),
            // Cancelled while it was launching (or before this manager started): now there is something to stop.
            Some(TaskState::Cancelling { kill, .. }) => self.effects.push(Effect::Stop { attempt, kill }),
            _ => {}
        }
    }

    /// No trace: before the confirmation it is launched (again) under the same number, after a cancel it is over.
    fn no_trace(&mut self, attempt: AttemptId, now: Now) {
        let Some(live) = self.live.get_mut(&attempt) else { return };
        let Some(misses) = live.miss() else { return };
        let confirmed = live.confirmed;
        match self.task(attempt.job, attempt.task).map(|task| task.state.clone()) {
            Some(TaskState::Starting { .. }) if !confirmed => {
                // Two answers of one turn mean one launch: the second was asked for before the first was heard.
                let is_asked = |effect: &Effect| matches!(effect, Effect::Launch(launch) if launch.attempt == attempt);
                if !self.effects.iter().any(is_asked) {
                    self.start(attempt, now);
                }
            }
            Some(TaskState::Cancelling { .. }) if !confirmed => {
                self.end(attempt, Outcome::Cancelled, AttemptFacts::default(), now);
            }
            _ if misses >= MISSES => {
                let facts = AttemptFacts { notes: vec!["its directory is gone".to_owned()], ..AttemptFacts::default() };
                self.end(attempt, Outcome::Lost { cause: LostCause::RunnerGone }, facts, now);
            }
            _ => {}
        }
    }

    fn over(&mut self, attempt: AttemptId, end: EndReport, now: Now) {
        let Some(task) = self.task(attempt.job, attempt.task) else { return };
        let own_result = self.live.get(&attempt).is_some_and(super::Live::has_result);
        let mut end = end;
        if own_result {
            // A value set by `airx result` goes before what the output says, and before what it does not say.
            end.result = None;
        }
        let mut outcome = classify(&end, self.asked(attempt), &task.spec);
        let repeat = task.spec.repeat.clone();
        let mut rounds = task.run.as_ref().map(|run| run.rounds.clone()).unwrap_or_default();
        let EndReport { exit, result, artifacts, claude, notes } = end;
        let seen = self.live.get(&attempt).and_then(|live| live.facts.as_ref()).map(|facts| facts.spent).unwrap_or_default();
        let (mut facts, spent) = match exit {
            ExitFinding::Record(record) => {
                let spent = record.spent.unwrap_or(seen);
                (facts_of(*record, repeat.is_some()), spent)
            }
            ExitFinding::Evicted(_) | ExitFinding::Missing { .. } => (AttemptFacts::default(), seen),
        };
        facts.notes.extend(notes);
        facts.artifacts = artifacts;
        let told = claude.as_ref().is_some_and(|claude| claude.result.is_some());
        facts.claude = claude.map(|claude| ClaudeFacts { session_gone: claude.session_gone, ..claude.facts });
        self.count_seen(attempt, &mut facts);
        if let Some(claude) = facts.claude.as_mut().filter(|_| !told) {
            at_least(claude, spent);
        }
        facts.claude.iter_mut().for_each(bound);
        if let (Outcome::Succeeded, Some(repeat), Some(round)) = (&outcome, repeat, &facts.round) {
            rounds.add(round);
            let stopped = self.is_stopped(attempt);
            let stopped = stopped.then(|| "`until` did not hold, and the job is stopped: there is no other round".to_owned());
            if let Some(why) = given_up(&repeat, &rounds).or(stopped).filter(|_| !round.is_met) {
                outcome = Outcome::Failed { cause: FailCause::Repeat(why) };
            } else if !round.is_met && self.is_task_spent(attempt, &facts) {
                outcome = Outcome::BudgetExceeded { of: BudgetOf::Task };
            }
        }
        if outcome == (Outcome::BudgetExceeded { of: BudgetOf::Attempt }) {
            outcome = Outcome::BudgetExceeded { of: self.whose_budget(attempt, &facts, now) };
        }
        facts.notes.extend(self.overshoot(attempt, &facts, &outcome));
        if let (Outcome::Succeeded, Some(ResultFinding::Value(result))) = (&outcome, result) {
            self.emit(Change::ResultSet { attempt, result }, now);
        }
        self.end(attempt, outcome, facts, now);
    }

    /// Records the outcome and what it means for the task.
    fn end(&mut self, attempt: AttemptId, outcome: Outcome, mut facts: AttemptFacts, now: Now) {
        self.count_seen(attempt, &mut facts);
        self.learn(attempt, &outcome, &facts, now);
        let verdict = self.verdict(attempt, &outcome, &facts, now);
        let Some(task) = self.task(attempt.job, attempt.task) else { return };
        let Ok(state) = task.state.next(TaskEvent::Over(verdict)) else { return };
        self.close(attempt, outcome, facts, state, now);
        self.watch_budgets(attempt, now);
    }

    /// Closes an attempt; what waits for its task is looked at.
    pub(super) fn close(&mut self, attempt: AttemptId, outcome: Outcome, facts: AttemptFacts, state: TaskState, now: Now) {
        self.record(attempt, outcome, facts, state, now);
        self.effects.push(Effect::Forget(attempt));
    }

    /// As [`Core::close`], for an attempt that the backend shall go on to watch.
    pub(super) fn record(&mut self, attempt: AttemptId, outcome: Outcome, facts: AttemptFacts, state: TaskState, now: Now) {
        for request in self.live.get_mut(&attempt).map(super::Live::take_waiting).unwrap_or_default() {
            self.effects.push(Effect::Took(request, Ok(Vec::new())));
        }
        self.void_questions(attempt, now);
        self.emit(Change::AttemptClosed { attempt, outcome, facts: Box::new(facts), state }, now);
        self.after_terminal(attempt.job, attempt.task, now);
    }

    /// Held back by a secret: the attempt is closed without having run, the task waits.
    pub(super) fn secret_missing(&mut self, attempt: AttemptId, what: String, now: Now) {
        let Some(task) = self.task(attempt.job, attempt.task) else { return };
        if task.state.live_attempt() != Some(attempt.number) {
            return;
        }
        let verdict = match task.state {
            TaskState::Cancelling { .. } => Verdict::Cancelled,
            _ => Verdict::Again(Hold::Secret { what: what.clone() }),
        };
        let Ok(state) = task.state.next(TaskEvent::Over(verdict)) else { return };
        let outcome = Outcome::Unlaunchable { why: what, transient: true };
        self.close(attempt, outcome, AttemptFacts::default(), state, now);
        if self.jobs.get(&attempt.job).is_some_and(|job| job.stopped) {
            self.skip_stopped(attempt.job, attempt.task, now);
            self.after_terminal(attempt.job, attempt.task, now);
        }
    }

    /// Whether `on_failure: stop` keeps this attempt's task from another one.
    pub(super) fn is_stopped(&self, attempt: AttemptId) -> bool {
        let task = self.task(attempt.job, attempt.task);
        self.jobs.get(&attempt.job).is_some_and(|job| job.stopped) && task.is_some_and(|task| !outlives_failure(&task.spec))
    }

    /// Whether, and how, the end of this attempt was asked for.
    fn asked(&self, attempt: AttemptId) -> Asked {
        match self.task(attempt.job, attempt.task).map(|task| &task.state) {
            Some(TaskState::Cancelling { kill: true, .. }) => Asked::Kill,
            Some(TaskState::Cancelling { kill: false, .. }) => Asked::Cancel,
            _ => Asked::Nothing,
        }
    }
}

fn facts_of(record: ExitRecord, repeats: bool) -> AttemptFacts {
    let is_met = record.round.as_ref().is_some_and(|round| !round.timed_out && round.end == End::Exited(0));
    let round = (repeats && record.round.is_some()).then_some(RoundFacts { is_met, tree: record.tree });
    AttemptFacts {
        started: Some(record.started),
        ended: Some(record.ended),
        elapsed_ms: record.elapsed_ms,
        out_bytes: record.out_bytes,
        err_bytes: record.err_bytes,
        cpu_ms: record.cpu_ms,
        max_rss_kib: record.max_rss_kib,
        leftovers: record.leftovers,
        notes: record.notes,
        artifacts: None,
        claude: None,
        round,
    }
}
