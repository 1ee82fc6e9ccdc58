//! Replay equals tables: the journal folded anew must give the rows.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::Connection;

use crate::model::change::{Change, Event, Rounds};
use crate::model::question::OF_APPROVAL;
use crate::model::replay::{Replayed, ReplayedJob};
use crate::model::spec::Budget;
use crate::model::state::{Counts, TaskState};

use super::reader::open;
use super::runs;
use super::schedules;
use super::schema::{self, Age};

/// Differences that are told; more are counted.
const MAX_TOLD: usize = 50;

/// Compares every job's rows with what its events say. Returns the differences, in words; none means that all is well.
pub fn replay(database: &Path) -> Vec<String> {
    let compared = open(database).and_then(|connection| match schema::unfit(schema::age(&connection)?) {
        // Its tables are not the ones that would be compared.
        Some((why, remedy)) => Ok(vec![format!("{why}: {remedy}")]),
        None => compare(&connection),
    });
    match compared {
        Ok(differences) => differences,
        Err(error) => vec![format!("the database cannot be read: {error}")],
    }
}

/// How the database's schema stands to the one that this airx knows. One whose version cannot be read is left to the other checks.
pub fn age(database: &Path) -> Age {
    open(database).and_then(|connection| schema::age(&connection)).unwrap_or(Age::Current)
}

/// The identity of the home whose database this is; none when it cannot be read.
pub fn identity(database: &Path) -> Option<String> {
    // Anything else than a file might keep its reader waiting.
    let is_file = std::fs::metadata(database).is_ok_and(|data| data.is_file());
    let read = |connection: Connection| connection.query_row("SELECT value FROM meta WHERE key = 'home'", [], |row| row.get(0));
    is_file.then(|| open(database).and_then(read).ok()).flatten()
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
        compare_runs(connection, id, &name, job, &mut differences)?;
        super::flows::compare(connection, id, &name, job, &mut differences)?;
        if let Err(why) = super::load::decodes(connection, id) {
            differences.push(format!("{name}: {why}"));
        }
        if differences.len() > MAX_TOLD {
            break;
        }
    }
    match runs::credentials(connection) {
        Ok(rows) => {
            let rows: BTreeMap<_, _> = rows.into_iter().collect();
            if rows != replayed.credentials {
                differences.push(format!("the tables know {rows:?} of credentials, the journal {:?}", replayed.credentials));
            }
        }
        Err(error) => differences.push(error.to_string()),
    }
    compare_schedules(connection, &replayed, &mut differences)?;
    if seen < replayed.jobs.len() && differences.len() <= MAX_TOLD {
        differences.push(format!("{} jobs of the journal are missing in the tables", replayed.jobs.len() - seen));
    }
    Ok(differences)
}

fn compare_schedules(connection: &Connection, replayed: &Replayed, differences: &mut Vec<String>) -> rusqlite::Result<()> {
    use super::writer::json;
    let mut rows = BTreeMap::new();
    let mut statement = connection.prepare("SELECT name, rule, submission, state, next FROM schedule")?;
    let mut stored = statement.query([])?;
    while let Some(row) = stored.next()? {
        let columns: (String, String, String, Option<i64>) = (row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
        rows.insert(row.get::<_, String>(0)?, columns);
    }
    for (name, said) in &replayed.schedules {
        let next = said.state.next.map(|next| next.at.0);
        let expected = (json(&said.rule), json(&said.submission), json(&said.state), next);
        let passed: Vec<String> = said.passed.iter().map(json).collect();
        let (row, firings) = (rows.remove(name), schedules::passed(connection, name)?);
        if row.as_ref() != Some(&expected) || firings != passed {
            let states = (row.map(|row| row.2), expected.2);
            differences.push(format!("the schedule {name}: the tables say {:?}, the journal {}", states.0, states.1));
        }
    }
    differences.extend(rows.keys().map(|name| format!("the schedule {name}: in the tables, but not in the journal")));
    Ok(())
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

/// What a job's Claude runs used, may use, asked and were allowed.
fn compare_runs(
    connection: &Connection,
    id: u32,
    name: &str,
    job: &ReplayedJob,
    differences: &mut Vec<String>,
) -> rusqlite::Result<()> {
    let mut statement =
        connection.prepare_cached("SELECT cost, tokens, rules, budget, priority, params FROM job WHERE id = ?1")?;
    let (used, rules, budget, set) = statement.query_row([id], |row| {
        Ok((
            (number(row, 0)?, number(row, 1)?),
            row.get::<_, Option<String>>(2)?,
            row.get::<_, Option<String>>(3)?,
            (row.get::<_, i32>(4)?, row.get::<_, Option<String>>(5)?),
        ))
    })?;
    let params = set.1.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    if (set.0, &params) != (job.priority, &job.params) {
        differences.push(format!(
            "{name}: the tables say priority {} and the parameters {params:?}, the journal {} and {:?}",
            set.0, job.priority, job.params
        ));
    }
    let rules: Vec<String> = rules.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let budget: Option<Option<Budget>> = budget.and_then(|text| serde_json::from_str(&text).ok());
    if (used, &rules, budget) != (job.used, &job.rules, job.budget) {
        differences.push(format!(
            "{name}: the tables say {used:?} used, {rules:?} allowed, the budget {budget:?}; the journal {:?}, {:?}, {:?}",
            job.used, job.rules, job.budget
        ));
    }
    let mut statement = connection
        .prepare_cached("SELECT idx, id, used_cost, used_tokens, rounds, spent FROM task WHERE job = ?1 ORDER BY idx")?;
    let mut rows = statement.query([id])?;
    while let Some(row) = rows.next()? {
        let (idx, task_id): (u32, String) = (row.get(0)?, row.get(1)?);
        let Some(task) = job.tasks.get(idx as usize) else { continue };
        let used = (number(row, 2)?, number(row, 3)?);
        let rounds: Rounds =
            row.get::<_, Option<String>>(4)?.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        if (used, &rounds) != (task.used, &task.rounds) {
            differences.push(format!(
                "{name}/{task_id}: the tables say {used:?} used and {rounds:?}, the journal {:?} and {:?}",
                task.used, task.rounds
            ));
        }
        let spent: BTreeMap<String, u32> =
            row.get::<_, Option<String>>(5)?.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        // An earlier airx kept the sums only; what failed under it is in no class.
        let is_whole = spent.values().sum::<u32>() >= task.spent_retry + task.spent_infra;
        let is_known = spent.iter().all(|(class, count)| task.spent.get(class).is_some_and(|known| count <= known));
        if if is_whole { task.spent != spent } else { !is_known } {
            differences.push(format!("{name}/{task_id}: the tables say {spent:?} spent, the journal {:?}", task.spent));
        }
        let expected: Vec<QuestionRow> = task
            .questions
            .iter()
            .map(|known| {
                let answer = known.answer.as_ref().map(super::writer::json);
                (known.id, super::writer::json(&known.question), answer, known.is_settled, known.expires.map(|at| at.0))
            })
            .collect();
        let number = if task.attempts == 0 { OF_APPROVAL } else { task.attempts };
        let mut stored = questions(connection, (id, idx, number))?;
        if number == OF_APPROVAL {
            // Those of earlier rounds are history.
            stored.drain(..stored.len().saturating_sub(1));
        }
        if stored != expected {
            differences.push(format!("{name}/{task_id}: the tables have the questions {stored:?}, the journal {expected:?}"));
        }
    }
    Ok(())
}

/// A question's number, what it asks, its answer, whether it is settled, and when it is answered by itself.
type QuestionRow = (u32, String, Option<String>, bool, Option<i64>);

/// The questions of an attempt.
fn questions(connection: &Connection, (job, task, attempt): (u32, u32, u32)) -> rusqlite::Result<Vec<QuestionRow>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, body, answer, settled IS NOT NULL, expires FROM question WHERE job = ?1 AND task = ?2 AND attempt = ?3 ORDER BY id",
    )?;
    let rows =
        statement.query_map([job, task, attempt], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))?;
    rows.collect()
}

fn number(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
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
        "SELECT t.idx, t.id, t.state, t.attempts, t.spent_retry, t.spent_infra, t.result, t.progress, t.mapping, t.item, m.items,
                t.gated
         FROM task t LEFT JOIN mapping m ON m.job = t.job AND m.idx = t.idx WHERE t.job = ?1 ORDER BY t.idx",
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
        let gated: Option<u32> = row.get(11)?;
        if gated != task.gated && gated.is_some() {
            // An earlier airx did not keep it.
            differences
                .push(format!("{name}/{task_id}: the tables say {gated:?} ended at its gate, the journal {:?}", task.gated));
        }
        let instance = row.get::<_, Option<u32>>(8)?.zip(row.get::<_, Option<u32>>(9)?);
        let items = row.get::<_, Option<String>>(10)?;
        if (instance, &items) != (task.instance, &task.items.as_ref().map(super::writer::json)) {
            differences.push(format!("{name}/{task_id}: the tables say {instance:?} of a list, the journal {:?}", task.instance));
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
