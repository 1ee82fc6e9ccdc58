//! Child jobs and their parents, as rows.

use rusqlite::{OptionalExtension, Row};

use super::queries::Queries;
use super::reader::unreadable;
use crate::model::ids::{Address, JobName};
use crate::model::message::{ChildView, JobView, ParentView, Refusal};
use crate::model::spec::MAX_NESTING;

/// The condition that an event is of the job `?2`, or of one below it.
pub(super) const BELOW: &str = "e.job IN (WITH RECURSIVE tree (id) AS
    (SELECT ?2 UNION ALL SELECT c.id FROM job c JOIN tree ON c.parent = tree.id) SELECT id FROM tree)";

/// The parent in three columns from this one on: its job, its place, its address.
pub(super) fn parent(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<ParentView>> {
    let (job, task) = (row.get::<_, Option<u32>>(column)?, row.get::<_, Option<u32>>(column + 1)?);
    let address: Option<String> = row.get(column + 2)?;
    let address = address.and_then(|address| address.parse::<Address>().ok());
    Ok(job.zip(task).zip(address).map(|((job, task), address)| ParentView { job, task, address }))
}

impl Queries<'_> {
    /// A child job, as its parent's task shows it.
    pub(super) fn child(&self, id: u32) -> Result<Option<ChildView>, Refusal> {
        let found: Option<(String, u32, String)> = self
            .db
            .prepare_cached("SELECT name, number, counts FROM job WHERE id = ?1")
            .and_then(|mut statement| statement.query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional())
            .map_err(|e| unreadable(&e))?;
        Ok(found.map(|(name, number, counts)| {
            let tasks = serde_json::from_str(&counts).unwrap_or_default();
            ChildView { id, job: JobName { name, number }, tasks }
        }))
    }

    /// Whether a job is paused that this one is below.
    pub(super) fn is_paused_above(&self, job: &JobView) -> Result<bool, Refusal> {
        let mut above = job.parent.as_ref().map(|parent| parent.job);
        for _ in 0..MAX_NESTING {
            let Some(id) = above else { break };
            let found: Option<(bool, Option<u32>)> = self
                .db
                .prepare_cached("SELECT paused, parent FROM job WHERE id = ?1")
                .and_then(|mut statement| statement.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional())
                .map_err(|e| unreadable(&e))?;
            match found {
                Some((true, _)) => return Ok(true),
                Some((false, parent)) => above = parent,
                None => break,
            }
        }
        Ok(false)
    }
}
