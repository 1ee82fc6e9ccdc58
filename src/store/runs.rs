//! What is stored of Claude runs beyond their tasks' rows: sessions, questions, credentials, spending.

use rusqlite::{Connection, Row, params};

use crate::manager::ports::{StoreError, StoredTask};
use crate::model::credential::{Credential, CredentialState};
use crate::model::ids::JobId;
use crate::model::question::OF_APPROVAL;
use crate::model::spec::Action;
use crate::model::state::TaskState;
use crate::model::stored::{StoredAttempt, StoredQuestion};
use crate::model::time::Utc;

use super::error::during;
use super::load::{Undecodable, bytes, decode, decode_some};

/// Quarters of an hour that are looked back upon: three days of them, so that a day's begin may lie anywhere. Counted and not
/// measured from the last one, which a clock that ran ahead may have put anywhere.
const LOOK_BACK: u32 = 288;

/// Reads the newest attempts of a Claude run, and the questions of an attempt that may be alive, whatever it runs.
pub(super) fn fill(connection: &Connection, job: JobId, task: &mut StoredTask) -> Result<(), Undecodable> {
    if task.attempts > 0 && matches!(task.spec.action, Action::Claude(_)) {
        attempts(connection, job, task)?;
    }
    questions(connection, job, task)
}

fn attempts(connection: &Connection, job: JobId, task: &mut StoredTask) -> Result<(), Undecodable> {
    let unread = |error: rusqlite::Error| format!("the attempts of task {} cannot be read: {error}", task.idx.0);
    let mut statement = connection
        .prepare_cached(
            "SELECT session, resumes, opened, outcome, facts, seen FROM attempt
             WHERE job = ?1 AND task = ?2 AND number > ?3 - 2 ORDER BY number",
        )
        .map_err(unread)?;
    let mut rows = statement.query(params![job.0, task.idx.0, task.attempts]).map_err(unread)?;
    while let Some(row) = rows.next().map_err(unread)? {
        task.newest.push(attempt(row)?);
    }
    Ok(())
}

fn questions(connection: &Connection, job: JobId, task: &mut StoredTask) -> Result<(), Undecodable> {
    let waits = match &task.state {
        TaskState::AwaitingApproval { question } => Some(*question),
        _ => None,
    };
    let Some(number) = task.state.live_attempt().or(waits.map(|_| OF_APPROVAL)) else { return Ok(()) };
    let unread = |error: rusqlite::Error| format!("the questions of task {} cannot be read: {error}", task.idx.0);
    let mut statement = connection
        .prepare_cached(
            "SELECT id, body, expires, answer, settled FROM question
             WHERE job = ?1 AND task = ?2 AND attempt = ?3 AND (?4 IS NULL OR id = ?4) ORDER BY id",
        )
        .map_err(unread)?;
    let mut rows = statement.query(params![job.0, task.idx.0, number, waits]).map_err(unread)?;
    while let Some(row) = rows.next().map_err(unread)? {
        task.questions.push(question(row)?);
    }
    match waits {
        Some(id) if task.questions.iter().all(|question| question.is_settled) => {
            Err(format!("the question {id} that task {} waits for is missing, or answered", task.idx.0))
        }
        _ => Ok(()),
    }
}

fn attempt(row: &Row<'_>) -> Result<StoredAttempt, Undecodable> {
    let bad = |error: rusqlite::Error| format!("an attempt cannot be decoded: {error}");
    let outcome = decode_some("an outcome", &bytes(row, 3).map_err(bad)?)?;
    let facts = decode_some("the facts of an attempt", &bytes(row, 4).map_err(bad)?)?.unwrap_or_default();
    Ok(StoredAttempt {
        session: row.get(0).map_err(bad)?,
        resumes: row.get(1).map_err(bad)?,
        opened: Utc(row.get(2).map_err(bad)?),
        end: outcome.map(|outcome| (outcome, facts)),
        seen: decode_some("what was seen of a run", &bytes(row, 5).map_err(bad)?)?,
    })
}

fn question(row: &Row<'_>) -> Result<StoredQuestion, Undecodable> {
    let bad = |error: rusqlite::Error| format!("a question cannot be decoded: {error}");
    Ok(StoredQuestion {
        id: row.get(0).map_err(bad)?,
        question: decode("a question", &bytes(row, 1).map_err(bad)?)?,
        expires: row.get::<_, Option<i64>>(2).map_err(bad)?.map(Utc),
        answer: decode_some("an answer", &bytes(row, 3).map_err(bad)?)?,
        is_settled: row.get::<_, Option<i64>>(4).map_err(bad)?.is_some(),
    })
}

/// What is known of the credentials. One that cannot be decoded is as good as unknown: its next run tells anew.
pub(super) fn credentials(connection: &Connection) -> Result<Vec<(Credential, CredentialState)>, StoreError> {
    let error = during("reading the credentials");
    let mut statement = connection.prepare_cached("SELECT name, state FROM credential").map_err(&error)?;
    let rows = statement.query_map([], |row| Ok((bytes(row, 0)?, bytes(row, 1)?))).map_err(&error)?;
    let mut found = Vec::new();
    for row in rows {
        let (name, state) = row.map_err(&error)?;
        let name = String::from_utf8(name).ok().map(Credential);
        found.extend(name.and_then(|name| Some((name, serde_json::from_slice(&state).ok()?))));
    }
    Ok(found)
}

/// What was used during the last days, by quarters of an hour. `sum` would refuse what is too large, and the manager could not
/// start.
pub(super) fn spending(connection: &Connection) -> Result<Vec<(Utc, u64, u64)>, StoreError> {
    let error = during("reading what was used");
    let mut statement = connection
        .prepare_cached(
            "SELECT closed / 900000, CAST(total(cost) AS INTEGER), CAST(total(tokens) AS INTEGER) FROM attempt
             WHERE tokens > 0 OR cost > 0 GROUP BY closed / 900000 ORDER BY closed / 900000 DESC LIMIT ?1",
        )
        .map_err(&error)?;
    let number = |row: &Row<'_>, column| row.get::<_, i64>(column).map(|number| u64::try_from(number).unwrap_or(0));
    let rows = statement
        .query_map([LOOK_BACK], |row| Ok((Utc(row.get::<_, i64>(0)? * 900_000), number(row, 1)?, number(row, 2)?)))
        .map_err(&error)?;
    let mut newest_first = rows.collect::<rusqlite::Result<Vec<_>>>().map_err(&error)?;
    newest_first.reverse();
    Ok(newest_first)
}
