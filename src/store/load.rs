//! What memory starts from. A row that cannot be decoded sets its own job aside and harms no other.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::de::DeserializeOwned;

use crate::manager::ports::{Loaded, StoreError, StoredJob, StoredTask};
use crate::model::change::{Parent, Seq};
use crate::model::ids::{JobId, JobName, JobRef, TaskIdx, is_name};
use crate::model::spec::{Budget, TaskSpec};
use crate::model::state::{Counts, TaskState};

use super::error::during;
use super::{runs, schedules};

/// Columns of a job's row, in the order of [`Head::read`].
const HEAD: &str = "id, name, number, paused, stopped, spec, counts, cost, tokens, rules, budget, priority, params, parent,
    parent_task, (SELECT p.name || '.' || p.number FROM job p WHERE p.id = job.parent), below_cost, below_tokens";

/// Why a job was set aside.
pub(super) type Undecodable = String;

pub(super) fn all(connection: &Connection) -> Result<Loaded, StoreError> {
    let error = during("reading the database");
    let mut loaded = Loaded { last_job: single(connection, "SELECT ifnull(max(id), 0) FROM job")?, ..Loaded::default() };
    loaded.seq = Seq(single(connection, "SELECT ifnull(max(seq), 0) FROM event")?);
    loaded.paused = connection
        .query_row("SELECT value = 'true' FROM meta WHERE key = 'paused'", [], |row| row.get(0))
        .optional()
        .map_err(&error)?
        .unwrap_or(false);
    loaded.last_question = single(connection, "SELECT ifnull(max(id), 0) FROM question")?;
    loaded.credentials = runs::credentials(connection)?;
    loaded.spending = runs::spending(connection)?;
    (loaded.schedules, loaded.quarantined) = schedules::all(connection)?;
    let mut statement = connection.prepare(&format!("SELECT {HEAD} FROM job WHERE over = 0 ORDER BY id")).map_err(&error)?;
    let mut rows = statement.query([]).map_err(&error)?;
    while let Some(row) = rows.next().map_err(&error)? {
        let head = match Head::read(row) {
            Ok(head) => head,
            Err(why) => {
                loaded.quarantined.push((name_of(row), why));
                continue;
            }
        };
        let name = head.name.clone();
        match with_tasks(connection, head)? {
            Ok(job) => loaded.jobs.push(job),
            Err(why) => loaded.quarantined.push((name, why)),
        }
    }
    ended_children(connection, &mut loaded)?;
    Ok(loaded)
}

/// Child jobs that are over while their parent's task is not: the parent was set aside when they ended.
fn ended_children(connection: &Connection, loaded: &mut Loaded) -> Result<(), StoreError> {
    let known: HashSet<&JobName> =
        loaded.jobs.iter().map(|job| &job.name).chain(loaded.quarantined.iter().map(|(name, _)| name)).collect();
    let delegated = loaded.jobs.iter().flat_map(|job| &job.tasks).filter_map(|task| match &task.state {
        TaskState::Delegated { job } if !known.contains(job) => Some(JobRef { name: job.name.clone(), number: Some(job.number) }),
        _ => None,
    });
    for child in delegated.collect::<Vec<_>>() {
        loaded.jobs.extend(job(connection, &child)?);
    }
    loaded.jobs.sort_by_key(|job| job.id);
    Ok(())
}

pub(super) fn job(connection: &Connection, job: &JobRef) -> Result<Option<StoredJob>, StoreError> {
    let number = match job.number {
        Some(number) => number,
        None => last_number(connection, &job.name)?,
    };
    let head = connection
        .query_row(&format!("SELECT {HEAD} FROM job WHERE name = ?1 AND number = ?2"), params![job.name, number], |row| {
            Ok(Head::read(row))
        })
        .optional()
        .map_err(during("reading a job"))?;
    let Some(Ok(head)) = head else { return Ok(None) };
    Ok(with_tasks(connection, head)?.ok())
}

/// Whether everything that is stored of a job can be read, over or not.
pub(super) fn decodes(connection: &Connection, id: u32) -> Result<(), Undecodable> {
    let unread = |error: rusqlite::Error| error.to_string();
    let sql = format!("SELECT {HEAD} FROM job WHERE id = ?1");
    let mut statement = connection.prepare_cached(&sql).map_err(unread)?;
    let head = statement.query_row([id], |row| Ok(Head::read(row))).map_err(unread)??;
    with_tasks(connection, head).map_err(|error| error.to_string())?.map(drop)
}

pub(super) fn submitted_as(connection: &Connection, key: &str) -> Result<Option<JobName>, StoreError> {
    connection
        .query_row("SELECT name, number FROM job WHERE key = ?1", [key], |row| {
            Ok(JobName { name: row.get(0)?, number: row.get(1)? })
        })
        .optional()
        .map_err(during("looking for a submission"))
}

pub(super) fn last_number(connection: &Connection, name: &str) -> Result<u32, StoreError> {
    connection
        .query_row("SELECT ifnull(max(number), 0) FROM job WHERE name = ?1", [name], |row| row.get(0))
        .map_err(during("looking for a job"))
}

fn single<T: rusqlite::types::FromSql>(connection: &Connection, sql: &str) -> Result<T, StoreError> {
    connection.query_row(sql, [], |row| row.get(0)).map_err(during("reading the database"))
}

/// A job's row.
struct Head {
    id: JobId,
    name: JobName,
    paused: bool,
    stopped: bool,
    spec: Vec<u8>,
    counts: Counts,
    used: (u64, u64),
    below: (u64, u64),
    rules: Vec<String>,
    budget: Option<Option<Budget>>,
    priority: i32,
    params: BTreeMap<String, serde_json::Value>,
    parent: Option<(Parent, JobName)>,
}

/// A name for a job whose row cannot be decoded: its own as far as that goes, else one made of its row.
fn name_of(row: &Row<'_>) -> JobName {
    let id = row.get::<_, u32>(0).unwrap_or(0);
    let name = row.get::<_, String>(1).ok().filter(|name| is_name(name)).unwrap_or_else(|| format!("unreadable-{id}"));
    JobName { name, number: row.get(2).unwrap_or(id).max(1) }
}

/// A job's full name in a column.
fn name_in(row: &Row<'_>, column: usize) -> Result<Option<JobName>, String> {
    let text: Option<String> = row.get(column).map_err(|error| error.to_string())?;
    text.map(|text| JobName::try_from(text).map_err(|error| error.to_string())).transpose()
}

impl Head {
    fn read(row: &Row<'_>) -> Result<Head, Undecodable> {
        let bad = |error: rusqlite::Error| format!("the job's row cannot be decoded: {error}");
        let name: String = row.get(1).map_err(bad)?;
        if !is_name(&name) {
            return Err(format!("`{name}` is no job name"));
        }
        // Read so that it is known now, and not at the first commit, that they can be.
        let (cost, tokens) = (row.get::<_, i64>(7).map_err(bad)?, row.get::<_, i64>(8).map_err(bad)?);
        Ok(Head {
            id: JobId(row.get(0).map_err(bad)?),
            name: JobName { name, number: row.get(2).map_err(bad)? },
            paused: row.get(3).map_err(bad)?,
            stopped: row.get(4).map_err(bad)?,
            spec: bytes(row, 5).map_err(bad)?,
            counts: decode("the job's counts", &bytes(row, 6).map_err(bad)?)?,
            used: (u64::try_from(cost).unwrap_or(0), u64::try_from(tokens).unwrap_or(0)),
            below: (number_of(row, 16), number_of(row, 17)),
            rules: decode_some("the job's rules", &bytes(row, 9).map_err(bad)?)?.unwrap_or_default(),
            budget: decode_some("the job's budget", &bytes(row, 10).map_err(bad)?)?,
            priority: row.get(11).map_err(bad)?,
            params: decode_some("the job's parameters", &bytes(row, 12).map_err(bad)?)?.unwrap_or_default(),
            parent: match (row.get::<_, Option<u32>>(13).map_err(bad)?, row.get::<_, Option<u32>>(14).map_err(bad)?) {
                (Some(job), Some(task)) => {
                    let name = name_in(row, 15).map_err(|why| format!("the job's parent cannot be decoded: {why}"))?;
                    name.map(|name| (Parent { job: JobId(job), task: TaskIdx(task) }, name))
                }
                _ => None,
            },
        })
    }
}

/// A text column as it is: a damaged one need not be UTF-8, nor text.
pub(super) fn bytes(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<u8>> {
    use rusqlite::types::ValueRef;
    Ok(match row.get_ref(column)? {
        ValueRef::Text(text) | ValueRef::Blob(text) => text.to_vec(),
        _ => Vec::new(),
    })
}

pub(super) fn decode<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, Undecodable> {
    serde_json::from_slice(bytes).map_err(|error| format!("{what} cannot be decoded: {error}"))
}

pub(super) fn decode_some<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<Option<T>, Undecodable> {
    if bytes.is_empty() { Ok(None) } else { decode(what, bytes).map(Some) }
}

fn with_tasks(connection: &Connection, head: Head) -> Result<Result<StoredJob, Undecodable>, StoreError> {
    let error = during("reading a job's tasks");
    let mut statement = connection
        .prepare_cached(
            "SELECT t.idx, d.spec, d.origin, t.state, t.attempts, t.spent_retry, t.spent_infra, t.result, t.progress, t.kind, t.id,
                    t.used_cost, t.used_tokens, t.rounds, t.mapping, t.item, m.items, t.spent, t.gated,
                    (SELECT c.name || '.' || c.number FROM job c WHERE c.id = t.child)
             FROM task t LEFT JOIN definition d ON d.job = t.job AND d.idx = t.idx
             LEFT JOIN mapping m ON m.job = t.job AND m.idx = t.idx WHERE t.job = ?1 ORDER BY t.idx",
        )
        .map_err(&error)?;
    let mut rows = statement.query([head.id.0]).map_err(&error)?;
    let mut tasks: Vec<StoredTask> = Vec::new();
    while let Some(row) = rows.next().map_err(&error)? {
        let stored = task(row, &tasks).and_then(|mut task| {
            runs::fill(connection, head.id, &mut task)?;
            Ok(task)
        });
        match stored {
            Ok(task) => tasks.push(task),
            Err(why) => return Ok(Err(why)),
        }
    }
    let spec = match decode("the job's definition", &head.spec) {
        Ok(spec) => spec,
        Err(why) => return Ok(Err(why)),
    };
    let mut counts = Counts::default();
    tasks.iter().for_each(|task: &StoredTask| counts.add(task.state.kind()));
    if counts != head.counts {
        return Ok(Err("the job's counts contradict its tasks".to_owned()));
    }
    let Head { id, name, paused, stopped, used, below, rules, budget, priority, params, parent, .. } = head;
    Ok(Ok(StoredJob {
        id,
        name,
        spec: Arc::new(spec),
        paused,
        stopped,
        used,
        below,
        rules,
        budget,
        priority,
        parent,
        params,
        tasks,
    }))
}

fn number_of(row: &Row<'_>, column: usize) -> u64 {
    row.get::<_, i64>(column).ok().and_then(|number| u64::try_from(number).ok()).unwrap_or(0)
}

/// The task of a row that follows these.
fn task(row: &Row<'_>, before: &[StoredTask]) -> Result<StoredTask, Undecodable> {
    let place = before.len();
    let text = |column: usize| bytes(row, column).map_err(|error| format!("task {place} cannot be read: {error}"));
    let number = |column: usize| row.get::<_, u32>(column).map_err(|error| format!("task {place} cannot be read: {error}"));
    let idx = number(0)?;
    if idx as usize != place {
        return Err(format!("task {place} is missing"));
    }
    let what = |part: &str| format!("{part} of task {place}");
    let state: TaskState = decode(&what("the state"), &text(3)?)?;
    let instance = match row.get::<_, Option<u32>>(14).map_err(|error| format!("task {place} cannot be read: {error}"))? {
        Some(of) => Some((TaskIdx(of), number(15)?)),
        None => None,
    };
    let (spec, id) = match instance {
        None => {
            let spec: TaskSpec = decode(&what("the definition"), &text(1)?)?;
            let id = spec.id.clone();
            (Arc::new(spec), id)
        }
        Some((of, item)) => {
            let Some(parent) = before.get(of.0 as usize) else {
                return Err(format!("the mapped task of task {place} is missing"));
            };
            (parent.spec.clone(), format!("{}/{item}", parent.spec.id))
        }
    };
    if number(9)? != state.kind() as u32 || text(10)? != id.as_bytes() {
        return Err(format!("the columns of task {place} contradict each other"));
    }
    Ok(StoredTask {
        idx: TaskIdx(idx),
        spec,
        origin: decode_some(&what("the origin"), &text(2)?)?,
        instance,
        items: decode_some(&what("the list"), &text(16)?)?,
        child: name_in(row, 19).map_err(|why| format!("{} cannot be decoded: {why}", what("the child")))?,
        state,
        attempts: number(4)?,
        spent_retry: number(5)?,
        spent_infra: number(6)?,
        spent: decode_some(&what("the spent retries"), &text(17)?)?.unwrap_or_default(),
        gated: row.get(18).map_err(|error| format!("task {place} cannot be read: {error}"))?,
        result: decode_some(&what("the result"), &text(7)?)?,
        progress: decode_some(&what("the progress"), &text(8)?)?,
        used: (number_of(row, 11), number_of(row, 12)),
        rounds: decode_some(&what("the rounds"), &text(13)?)?.unwrap_or_default(),
        newest: Vec::new(),
        questions: Vec::new(),
    })
}
