//! Rows of attempts, and of their tasks as far as an attempt moves them.

use rusqlite::params;

use super::{Writer, json};
use crate::manager::ports::StoreError;
use crate::model::change::AttemptFacts;
use crate::model::ids::AttemptId;
use crate::model::outcome::gated_after;
use crate::model::state::{Outcome, Spends, TaskKind, TaskState};
use crate::store::error::contradiction;

impl Writer<'_> {
    pub(super) fn open_attempt(
        &mut self,
        attempt: AttemptId,
        pool: &str,
        session: Option<&str>,
        resumes: bool,
    ) -> Result<(), StoreError> {
        let AttemptId { job, task, number } = attempt;
        let state = TaskState::Starting { attempt: number };
        let kind = self.kind(job, task)?;
        self.recount(job, kind, state.kind())?;
        let updated = self.count(
            "UPDATE task SET kind = ?3, state = ?4, updated = ?5, attempts = ?6, started = ?5, elapsed = NULL, progress = NULL
             WHERE job = ?1 AND idx = ?2 AND attempts = ?6 - 1",
            params![job.0, task.0, state.kind() as i64, json(&state), self.at.0, number],
        )?;
        if updated != 1 {
            return Err(contradiction(format!("attempt {attempt} does not follow the last one")));
        }
        self.execute(
            "INSERT INTO attempt (job, task, number, pool, session, opened, resumes) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![job.0, task.0, number, pool, session, self.at.0, resumes],
        )
    }

    pub(super) fn start_attempt(&mut self, attempt: AttemptId) -> Result<(), StoreError> {
        let AttemptId { job, task, number } = attempt;
        self.execute(
            "UPDATE attempt SET started = ?4 WHERE job = ?1 AND task = ?2 AND number = ?3",
            params![job.0, task.0, number, self.at.0],
        )?;
        // A task that is being cancelled stays so when its runner is confirmed.
        if self.kind(job, task)? == TaskKind::Starting {
            self.move_task(job, task, &TaskState::Running { attempt: number })?;
        }
        Ok(())
    }

    pub(super) fn close_attempt(
        &mut self,
        attempt: AttemptId,
        outcome: &Outcome,
        facts: &AttemptFacts,
        state: &TaskState,
    ) -> Result<(), StoreError> {
        let AttemptId { job, task, number } = attempt;
        let bounded = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let claude = facts.claude.as_ref();
        let cost = claude.map_or(0, |claude| bounded(claude.cost_microusd));
        let tokens = claude.map_or(0, |claude| bounded(claude.input_tokens.saturating_add(claude.output_tokens)));
        let closed = self.count(
            "UPDATE attempt SET closed = ?4, outcome = ?5, facts = ?6, cost = ?7, tokens = ?8, seen = NULL
             WHERE job = ?1 AND task = ?2 AND number = ?3 AND closed IS NULL",
            params![job.0, task.0, number, self.at.0, json(outcome), json(facts), cost, tokens],
        )?;
        if closed != 1 {
            return Err(contradiction(format!("attempt {attempt} is closed already, or was never opened")));
        }
        let kind = self.kind(job, task)?;
        self.recount(job, kind, state.kind())?;
        let totals = self.totals(job)?;
        totals.cost = totals.cost.saturating_add(cost);
        totals.tokens = totals.tokens.saturating_add(tokens);
        self.add_above(job, cost, tokens)?;
        let (retry, infra) = match outcome.spends() {
            Spends::Retry => (1, 0),
            Spends::Infrastructure => (0, 1),
            Spends::Nothing => (0, 0),
        };
        self.execute(
            "UPDATE task SET kind = ?3, state = ?4, updated = ?5, outcome = ?6, elapsed = ?7, cost = cost + ?8,
                    spent_retry = spent_retry + ?9, spent_infra = spent_infra + ?10, used_cost = used_cost + ?8,
                    used_tokens = used_tokens + ?11, progress = iif(kind = 3 AND ?3 <> 3, NULL, progress)
             WHERE job = ?1 AND idx = ?2",
            params![
                job.0,
                task.0,
                state.kind() as i64,
                json(state),
                self.at.0,
                json(outcome),
                i64::try_from(facts.elapsed_ms).unwrap_or(i64::MAX),
                cost,
                retry,
                infra,
                tokens
            ],
        )?;
        self.set_gated(attempt, outcome)?;
        self.add_spent(job, task, outcome)?;
        match &facts.round {
            Some(round) => self.add_round(job, task, round),
            None => Ok(()),
        }
    }

    /// Which attempt's gate the next one is to know of.
    fn set_gated(&mut self, attempt: AttemptId, outcome: &Outcome) -> Result<(), StoreError> {
        let AttemptId { job, task, number } = attempt;
        // What it leaves as it was needs no look at the row.
        let kept = gated_after(Some(0), number, outcome);
        if kept == Some(0) {
            return Ok(());
        }
        self.execute("UPDATE task SET gated = ?3 WHERE job = ?1 AND idx = ?2", params![job.0, task.0, kept])
    }
}
