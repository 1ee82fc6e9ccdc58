//! Rows of mapped tasks and their instances.

use rusqlite::params;
use serde_json::Value;

use super::{Writer, json};
use crate::manager::ports::StoreError;
use crate::model::change::{Parent, TaskResult, mapped_state};
use crate::model::ids::{JobId, TaskIdx};
use crate::model::state::{Outcome, SkipReason, TaskKind, TaskState};
use crate::store::error::{contradiction, during};

impl Writer<'_> {
    /// How a task is over without an attempt's end.
    pub(super) fn end_task(
        &mut self,
        job: JobId,
        task: TaskIdx,
        outcome: &Outcome,
        result: Option<&TaskResult>,
    ) -> Result<(), StoreError> {
        self.execute(
            "UPDATE task SET outcome = ?3, result = ifnull(?4, result) WHERE job = ?1 AND idx = ?2",
            params![job.0, task.0, json(outcome), result.map(json)],
        )
    }

    /// What a run used counts for all jobs that its own is below.
    pub(super) fn add_above(&mut self, job: JobId, cost: i64, tokens: i64) -> Result<(), StoreError> {
        if (cost, tokens) == (0, 0) {
            return Ok(());
        }
        self.execute(
            "WITH RECURSIVE above (id) AS (SELECT parent FROM job WHERE id = ?1
                 UNION ALL SELECT j.parent FROM job j JOIN above ON j.id = above.id WHERE j.parent IS NOT NULL)
             UPDATE job SET below_cost = below_cost + ?2, below_tokens = below_tokens + ?3 WHERE id IN (SELECT id FROM above)",
            params![job.0, cost, tokens],
        )
    }

    /// A job is the child of a task.
    pub(super) fn link(&mut self, job: JobId, parent: Parent) -> Result<(), StoreError> {
        self.execute("UPDATE job SET parent = ?2, parent_task = ?3 WHERE id = ?1", params![job.0, parent.job.0, parent.task.0])?;
        self.execute("UPDATE task SET child = ?3 WHERE job = ?1 AND idx = ?2", params![parent.job.0, parent.task.0, job.0])
    }

    /// A mapped task that is pending again has no list until it is told anew.
    pub(super) fn let_go(&mut self, job: JobId, task: TaskIdx, state: &TaskState) -> Result<(), StoreError> {
        let sql = "UPDATE mapping SET items = '[]' WHERE job = ?1 AND idx = ?2 AND items <> '[]'";
        if *state == TaskState::Pending && self.count(sql, params![job.0, task.0])? > 0 {
            self.begin_anew(job, task, 0)?;
        }
        Ok(())
    }

    /// A mapped task's list is known.
    pub(super) fn expand(&mut self, job: JobId, task: TaskIdx, items: &[Value]) -> Result<(), StoreError> {
        let number = u32::try_from(items.len()).unwrap_or(u32::MAX);
        self.execute(
            "INSERT INTO mapping (job, idx, items) VALUES (?1, ?2, ?3)
             ON CONFLICT (job, idx) DO UPDATE SET items = excluded.items",
            params![job.0, task.0, json(&items)],
        )?;
        let known = self.begin_anew(job, task, number)?;
        self.insert_instances(job, task, known, number)?;
        self.move_task(job, task, &mapped_state(items))
    }

    /// Instances of an earlier list; tells how many there are.
    fn begin_anew(&mut self, job: JobId, task: TaskIdx, number: u32) -> Result<u32, StoreError> {
        let kinds: Vec<(usize, u32)> = {
            let sql = "SELECT kind, item FROM task WHERE job = ?1 AND mapping = ?2";
            let mut statement = self.transaction.prepare_cached(sql).map_err(during("reading instances"))?;
            let rows = statement.query_map([job.0, task.0], |row| Ok((row.get(0)?, row.get(1)?)));
            rows.and_then(Iterator::collect).map_err(during("reading instances"))?
        };
        let (again, gone) = (TaskState::Queued, TaskState::Skipped { why: SkipReason::Gone });
        for (kind, item) in &kinds {
            let kind = TaskKind::ALL.get(*kind).ok_or_else(|| contradiction(format!("an instance has kind {kind}")))?;
            let to = if *item < number { again.kind() } else { gone.kind() };
            self.recount(job, *kind, to)?;
        }
        if !kinds.is_empty() {
            self.execute(
                "UPDATE task SET kind = ?4, state = ?5, updated = ?6, spent_retry = 0, spent_infra = 0, spent = NULL, progress = NULL,
                        used_cost = 0, used_tokens = 0, rounds = NULL, result = NULL, child = NULL
                 WHERE job = ?1 AND mapping = ?2 AND item < ?3",
                params![job.0, task.0, number, again.kind() as i64, json(&again), self.at.0],
            )?;
            self.execute(
                "UPDATE task SET kind = ?4, state = ?5, updated = ?6 WHERE job = ?1 AND mapping = ?2 AND item >= ?3",
                params![job.0, task.0, number, gone.kind() as i64, json(&gone), self.at.0],
            )?;
        }
        Ok(u32::try_from(kinds.len()).unwrap_or(u32::MAX))
    }

    fn insert_instances(&mut self, job: JobId, task: TaskIdx, from: u32, to: u32) -> Result<(), StoreError> {
        let error = during("writing instances");
        let state = TaskState::Queued;
        let (kind, text, at) = (state.kind(), json(&state), self.at.0);
        let totals = self.totals(job)?;
        let first = totals.counts.total();
        (from..to).for_each(|_| totals.counts.add(kind));
        let parent: String = self
            .transaction
            .query_row("SELECT id FROM task WHERE job = ?1 AND idx = ?2", [job.0, task.0], |row| row.get(0))
            .map_err(&error)?;
        let sql = "INSERT INTO task (job, idx, id, kind, state, updated, mapping, item) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        let mut statement = self.transaction.prepare_cached(sql).map_err(&error)?;
        for (idx, item) in (first..).zip(from..to) {
            let id = format!("{parent}/{item}");
            statement.execute(params![job.0, idx, id, kind as i64, text, at, task.0, item]).map_err(&error)?;
        }
        Ok(())
    }
}
