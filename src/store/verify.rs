//! Replay equals tables: the journal folded anew must give the rows.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::Connection;

use crate::model::change::{Change, Event};
use crate::model::replay::{Replayed, ReplayedJob};
use crate::model::state::{Counts, TaskState};

use super::reader::open;

/// Differences that are told; more are counted.
const MAX_TOLD: usize = 50;

/// Compares every job's rows with what its events say. Returns the differences, in words; none means that all is well.
pub fn replay(database: &Path) -> Vec<String> {
    match open(database).and_then(|connection| compare(&connection)) {
        Ok(differences) => differences,
        Err(error) => vec![format!("the database cannot be read: {error}")],
    }
}

/// SQLite's own check of the file. Returns its complaints.
pub fn integrity(database: &Path) -> Vec<String> {
    let check = |connection: Connection| {
        let mut statement = connection.prepare("PRAGMA quick_check(20)")?;
        statement.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()
    };
    match open(database).and_then(check) {
        Ok(lines) => lines.into_iter().filter(|line| line != "ok").collect(),
        Err(error) => vec![error.to_string()],
    }
}

fn compare(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut differences = Vec::new();
    let replayed = fold(connection, &mut differences)?;
    let mut statement =
        connection.prepare("SELECT id, name || '.' || number, state, paused, stopped, counts FROM job ORDER BY id")?;
    let mut rows = statement.query([])?;
    let mut seen = 0;
    while let Some(row) = rows.next()? {
        seen += 1;
        let (id, name): (u32, String) = (row.get(0)?, row.get(1)?);
        let Some(job) = replayed.jobs.get(&id) else {
            differences.push(format!("{name}: in the tables, but not in the journal"));
            continue;
        };
        let head = (row.get::<_, String>(2)?, row.get::<_, bool>(3)?, row.get::<_, bool>(4)?);
        let expected = (job.state.word().to_owned(), job.paused, job.stopped);
        if head != expected {
            differences.push(format!("{name}: the tables say {head:?}, the journal {expected:?}"));
        }
        let counts: Counts = serde_json::from_str(&row.get::<_, String>(5)?).unwrap_or_default();
        if counts != job.counts() {
            differences.push(format!("{name}: the tables count {counts:?}, the journal {:?}", job.counts()));
        }
        compare_tasks(connection, id, &name, job, &mut differences)?;
        if let Err(why) = super::load::decodes(connection, id) {
            differences.push(format!("{name}: {why}"));
        }
        if differences.len() > MAX_TOLD {
            break;
        }
    }
    if seen < replayed.jobs.len() && differences.len() <= MAX_TOLD {
        differences.push(format!("{} jobs of the journal are missing in the tables", replayed.jobs.len() - seen));
    }
    Ok(differences)
}

fn fold(connection: &Connection, differences: &mut Vec<String>) -> rusqlite::Result<Replayed> {
    let mut replayed = Replayed::default();
    let mut statement = connection.prepare("SELECT seq, at, body FROM event ORDER BY seq")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (seq, body): (i64, String) = (row.get(0)?, row.get(2)?);
        match serde_json::from_str::<Change>(&body) {
            Ok(change) => {
                if let Err(why) = replayed.apply(&Event { at: crate::model::time::Utc(row.get(1)?), change }) {
                    differences.push(format!("event {seq}: {why}"));
                }
            }
            Err(error) => differences.push(format!("event {seq} cannot be decoded: {error}")),
        }
    }
    Ok(replayed)
}

fn compare_tasks(
    connection: &Connection,
    id: u32,
    name: &str,
    job: &ReplayedJob,
    differences: &mut Vec<String>,
) -> rusqlite::Result<()> {
    let mut attempts: BTreeMap<(u32, u32), Option<String>> = BTreeMap::new();
    let mut statement = connection.prepare_cached("SELECT task, number, outcome FROM attempt WHERE job = ?1")?;
    let mut rows = statement.query([id])?;
    while let Some(row) = rows.next()? {
        attempts.insert((row.get(0)?, row.get(1)?), row.get(2)?);
    }
    let mut statement = connection.prepare_cached(
        "SELECT idx, id, state, attempts, spent_retry, spent_infra, result, progress FROM task WHERE job = ?1 ORDER BY idx",
    )?;
    let mut rows = statement.query([id])?;
    let mut place = 0usize;
    while let Some(row) = rows.next()? {
        let task_id: String = row.get(1)?;
        let Some(task) = job.tasks.get(place) else {
            differences.push(format!("{name}/{task_id}: in the tables, but not in the journal"));
            place += 1;
            continue;
        };
        let state = serde_json::from_str::<TaskState>(&row.get::<_, String>(2)?).ok();
        let numbers: (u32, u32, u32) = (row.get(3)?, row.get(4)?, row.get(5)?);
        let texts: (Option<String>, Option<String>) = (row.get(6)?, row.get(7)?);
        let expected = (task.result.as_ref().map(super::writer::json), task.progress.as_ref().map(super::writer::json));
        if state.as_ref() != Some(&task.state)
            || numbers != (task.attempts, task.spent_retry, task.spent_infra)
            || texts != expected
        {
            differences.push(format!(
                "{name}/{task_id}: the tables say {state:?} {numbers:?}, the journal {:?} {:?}",
                task.state,
                (task.attempts, task.spent_retry, task.spent_infra)
            ));
        }
        for number in 1..=task.attempts {
            let stored = attempts.remove(&(u32::try_from(place).unwrap_or(u32::MAX), number));
            let expected = task.outcomes.get(number as usize - 1).map(|outcome| outcome.as_ref().map(super::writer::json));
            if stored != expected {
                differences
                    .push(format!("{name}/{task_id} attempt {number}: the tables say {stored:?}, the journal {expected:?}"));
            }
        }
        place += 1;
    }
    if !attempts.is_empty() {
        differences.push(format!("{name}: {} attempts in the tables are not in the journal", attempts.len()));
    }
    Ok(())
}
