//! Child jobs and their parents, as rows.

use rusqlite::{Connection, OptionalExtension, Row};

use super::queries::Queries;
use super::reader::unreadable;
use crate::model::ids::{Address, JobName};
use crate::model::message::{ChildView, JobView, ParentView, Refusal};
use crate::model::replay::ReplayedJob;
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

/// Whose child a job is, which children its tasks have and what these used, as the tables and the journal say it.
pub(super) fn compare(
    connection: &Connection,
    id: u32,
    name: &str,
    job: &ReplayedJob,
    differences: &mut Vec<String>,
) -> rusqlite::Result<()> {
    let sql = "SELECT below_cost, below_tokens, parent, parent_task FROM job WHERE id = ?1";
    let number = |row: &Row<'_>, column| row.get::<_, i64>(column).map(|number| u64::try_from(number).unwrap_or(0));
    let mut statement = connection.prepare_cached(sql)?;
    let (below, parent) = statement.query_row([id], |row| {
        let parent: (Option<u32>, Option<u32>) = (row.get(2)?, row.get(3)?);
        Ok(((number(row, 0)?, number(row, 1)?), parent.0.zip(parent.1)))
    })?;
    let told = (job.below, job.parent.map(|parent| (parent.job.0, parent.task.0)));
    if (below, parent) != told {
        differences
            .push(format!("{name}: the tables say {below:?} used below it and the parent {parent:?}, the journal {told:?}"));
    }
    let mut statement =
        connection.prepare_cached("SELECT idx, child FROM task WHERE job = ?1 AND child IS NOT NULL ORDER BY idx")?;
    let rows = statement.query_map([id], |row| Ok((row.get::<_, u32>(0)?, row.get::<_, u32>(1)?)))?;
    let stored = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    let told: Vec<(u32, u32)> = (0u32..).zip(&job.tasks).filter_map(|(idx, task)| Some((idx, task.child?))).collect();
    if stored != told {
        differences.push(format!("{name}: the tables say the children {stored:?}, the journal {told:?}"));
    }
    Ok(())
}
