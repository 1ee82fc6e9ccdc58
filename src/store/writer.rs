//! The write side: every change writes its row and its event, a turn's changes in one durable transaction.

mod attempts;
mod mapping;
mod runs;
mod schedules;

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, params};
use serde::Serialize;

use crate::manager::ports::{Loaded, Store, StoreError, StoredJob};
use crate::model::change::{Change, Event, Seq};
use crate::model::ids::{JobId, JobName, JobRef, TaskIdx};
use crate::model::state::{Counts, JobState, TaskKind, TaskState};
use crate::model::time::Utc;

use super::error::{about, contradiction, during};
use super::{load, schema};

/// Page cache of the writer, in KiB: rows are small and the operating system caches the file.
const CACHE_KIB: i64 = 1_024;

/// What tells a home from all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Eight hexadecimal digits, drawn when the home was made.
    pub home: String,
    /// Secret of the home, 64 hexadecimal digits.
    pub secret: String,
}

/// The writer. One for each database, used by one thread.
pub struct SqliteStore {
    connection: Connection,
    identity: Identity,
}

/// Counts and costs of the jobs that a transaction touches, written once at its end.
type Touched = BTreeMap<JobId, Totals>;

#[derive(Clone, Copy)]
struct Totals {
    counts: Counts,
    cost: i64,
    tokens: i64,
}

/// Makes the file for its owner alone before SQLite does for everybody; what lies beside it gets the same rights from SQLite.
/// Where that is not possible, opening it says why.
fn make_private(path: &Path) {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let made = std::fs::File::options().append(true).create(true).mode(0o600).open(path);
    let is_open = |data: &std::fs::Metadata| data.permissions().mode() & 0o077 != 0;
    if let Ok(file) = made
        && file.metadata().is_ok_and(|data| data.is_file() && is_open(&data))
    {
        let _ = file.set_permissions(std::fs::Permissions::from_mode(0o600));
    }
}

impl SqliteStore {
    /// Opens (or makes) the database. `entropy` is used once, for the identity of a new home.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be opened, is of a newer airx, or is damaged.
    pub fn open(path: &Path, entropy: [u8; 36]) -> Result<SqliteStore, StoreError> {
        let error = during("opening the database");
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        make_private(path);
        let mut connection = Connection::open_with_flags(path, flags).map_err(&error)?;
        connection
            .execute_batch(&format!(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 2000;
                 PRAGMA cache_size = -{CACHE_KIB}; PRAGMA wal_autocheckpoint = 2000; PRAGMA journal_size_limit = 67108864;
                 PRAGMA temp_store = MEMORY;"
            ))
            .map_err(&error)?;
        schema::migrate(&mut connection)?;
        connection.set_prepared_statement_cache_capacity(48);
        let identity = identity(&connection, entropy)?;
        Ok(SqliteStore { connection, identity })
    }

    /// The home's identity.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Bounds the database's size, in pages of 4 KiB; at the bound a commit fails as on a full disk.
    ///
    /// # Errors
    /// [`StoreError`] when the bound cannot be set.
    pub fn limit_pages(&mut self, pages: u32) -> Result<(), StoreError> {
        self.connection.pragma_update(None, "max_page_count", pages).map_err(during("bounding the database"))
    }

    /// The connection, for checks.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        // Readers that are still open would keep the last one from doing it; without it the next start does it.
        let _ = self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
    }
}

fn identity(connection: &Connection, entropy: [u8; 36]) -> Result<Identity, StoreError> {
    let error = during("reading the home's identity");
    let hex: String = entropy.iter().map(|byte| format!("{byte:02x}")).collect();
    let (home, secret) = hex.split_at(8);
    for (key, value) in [("home", home), ("secret", secret)] {
        connection.execute("INSERT OR IGNORE INTO meta (key, value) VALUES (?1, ?2)", [key, value]).map_err(&error)?;
    }
    let get = |key: &str| connection.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get::<_, String>(0));
    Ok(Identity { home: get("home").map_err(&error)?, secret: get("secret").map_err(&error)? })
}

impl Store for SqliteStore {
    fn commit(&mut self, events: &[Event]) -> Result<Seq, StoreError> {
        let error = during("writing to the database");
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&error)?;
        let mut seq: i64 = transaction
            .prepare_cached("SELECT ifnull(max(seq), 0) FROM event")
            .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
            .map_err(&error)?;
        let mut touched = Touched::new();
        for event in events {
            seq += 1;
            Writer { transaction: &transaction, touched: &mut touched, at: event.at }
                .write(seq, event)
                .map_err(about(event.change.job()))?;
        }
        for (job, totals) in &touched {
            transaction
                .prepare_cached("UPDATE job SET counts = ?2, cost = ?3, tokens = ?4 WHERE id = ?1")
                .and_then(|mut statement| statement.execute(params![job.0, json(&totals.counts.0), totals.cost, totals.tokens]))
                .map_err(&error)?;
        }
        transaction.commit().map_err(&error)?;
        Ok(Seq(u64::try_from(seq).unwrap_or(0)))
    }

    fn load(&mut self) -> Result<Loaded, StoreError> {
        load::all(&self.connection)
    }

    fn load_job(&mut self, job: &JobRef) -> Result<Option<StoredJob>, StoreError> {
        load::job(&self.connection, job)
    }

    fn submitted_as(&mut self, key: &str) -> Result<Option<JobName>, StoreError> {
        load::submitted_as(&self.connection, key)
    }

    fn last_number(&mut self, name: &str) -> Result<u32, StoreError> {
        load::last_number(&self.connection, name)
    }
}

/// Writes the changes of one transaction.
struct Writer<'a> {
    transaction: &'a Transaction<'a>,
    touched: &'a mut Touched,
    at: Utc,
}

impl Writer<'_> {
    fn write(&mut self, seq: i64, event: &Event) -> Result<(), StoreError> {
        let change = &event.change;
        let (job, task) = (change.job().map(|job| job.0), change.task().map(|task| task.0));
        self.execute(
            "INSERT INTO event (seq, at, job, task, body) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![seq, self.at.0, job, task, json(change)],
        )?;
        self.row(seq, change)
    }

    fn row(&mut self, seq: i64, change: &Change) -> Result<(), StoreError> {
        match change {
            Change::JobSubmitted { job, name, spec, key, parent } => {
                self.touched.insert(*job, Totals { counts: Counts::default(), cost: 0, tokens: 0 });
                self.execute(
                    "INSERT INTO job (id, name, number, state, spec, key, counts, submitted, updated, priority)
                     VALUES (?1, ?2, ?3, 'waiting', ?4, ?5, '[]', ?6, ?6, ?7)",
                    params![job.0, name.name, name.number, json(spec), key, self.at.0, spec.priority],
                )?;
                parent.map_or(Ok(()), |parent| self.link(*job, parent))
            }
            Change::TaskAdded { job, task, spec, origin, state } => {
                self.totals(*job)?.counts.add(state.kind());
                self.execute(
                    "INSERT INTO definition (job, idx, spec, origin) VALUES (?1, ?2, ?3, ?4)",
                    params![job.0, task.0, json(spec), origin.as_ref().map(json)],
                )?;
                self.execute(
                    "INSERT INTO task (job, idx, id, kind, state, updated) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                    params![job.0, task.0, spec.id, state.kind() as i64, json(state), self.at.0],
                )
            }
            Change::TaskMoved { job, task, state } => {
                self.let_go(*job, *task, state)?;
                self.move_task(*job, *task, state)
            }
            Change::TaskRequeued { job, task, state, anew } => {
                self.let_go(*job, *task, state)?;
                self.execute(
                    "UPDATE task SET child = iif(?3, NULL, child), spent_retry = 0, spent_infra = 0, progress = NULL, used_cost = 0, used_tokens = 0,
                            rounds = NULL, spent = NULL WHERE job = ?1 AND idx = ?2",
                    params![job.0, task.0, anew],
                )?;
                self.move_task(*job, *task, state)
            }
            Change::TaskEnded { job, task, outcome, state, result } => {
                self.end_task(*job, *task, outcome, result.as_ref())?;
                self.move_task(*job, *task, state)
            }
            Change::TaskExpanded { job, task, items } => self.expand(*job, *task, items),
            Change::AttemptOpened { attempt, pool, session, resumes } => {
                self.open_attempt(*attempt, pool, session.as_deref(), *resumes)
            }
            Change::AttemptStarted { attempt } => self.start_attempt(*attempt),
            Change::AttemptClosed { attempt, outcome, facts, state } => self.close_attempt(*attempt, outcome, facts, state),
            Change::ResultSet { attempt, result } => self.execute(
                "UPDATE task SET result = ?3 WHERE job = ?1 AND idx = ?2",
                params![attempt.job.0, attempt.task.0, json(result)],
            ),
            Change::ProgressSet { attempt, progress } => self.execute(
                "UPDATE task SET progress = ?3 WHERE job = ?1 AND idx = ?2",
                params![attempt.job.0, attempt.task.0, json(progress)],
            ),
            Change::JobMoved { job, state } => self.execute(
                "UPDATE job SET state = ?2, over = ?3, updated = ?4 WHERE id = ?1",
                params![job.0, JobState::word(*state), state.is_terminal(), self.at.0],
            ),
            Change::JobPaused { job, paused } => {
                self.execute("UPDATE job SET paused = ?2, updated = ?3 WHERE id = ?1", params![job.0, paused, self.at.0])
            }
            Change::JobStopped { job, stopped } => {
                self.execute("UPDATE job SET stopped = ?2, updated = ?3 WHERE id = ?1", params![job.0, stopped, self.at.0])
            }
            Change::AllPaused { paused } => self.execute(
                "INSERT INTO meta (key, value) VALUES ('paused', ?1) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                params![paused.to_string()],
            ),
            Change::QuestionAsked { .. }
            | Change::QuestionAnswered { .. }
            | Change::QuestionHastened { .. }
            | Change::RuleAdded { .. }
            | Change::BudgetSet { .. }
            | Change::PrioritySet { .. }
            | Change::ParamsSet { .. }
            | Change::CredentialMoved { .. }
            | Change::RunSeen { .. } => self.run_row(change),
            Change::ScheduleSet { .. }
            | Change::ScheduleMoved { .. }
            | Change::SchedulePaused { .. }
            | Change::ScheduleRemoved { .. } => self.schedule_row(seq, change),
            Change::AttemptStale { .. } | Change::OutboxRefused { .. } => Ok(()),
        }
    }

    /// What is told of a launch is for as long as its task is starting (3).
    fn move_task(&mut self, job: JobId, task: TaskIdx, state: &TaskState) -> Result<(), StoreError> {
        let kind = self.kind(job, task)?;
        self.recount(job, kind, state.kind())?;
        self.execute(
            "UPDATE task SET kind = ?3, state = ?4, updated = ?5, progress = iif(kind = 3 AND ?3 <> 3, NULL, progress)
             WHERE job = ?1 AND idx = ?2",
            params![job.0, task.0, state.kind() as i64, json(state), self.at.0],
        )
    }

    fn recount(&mut self, job: JobId, from: TaskKind, to: TaskKind) -> Result<(), StoreError> {
        let totals = self.totals(job)?;
        totals.counts.remove(from);
        totals.counts.add(to);
        Ok(())
    }

    /// The job's counts and cost, read from its row at the first touch in this transaction.
    fn totals(&mut self, job: JobId) -> Result<&mut Totals, StoreError> {
        if !self.touched.contains_key(&job) {
            let (counts, cost, tokens): (String, i64, i64) = self
                .transaction
                .prepare_cached("SELECT counts, cost, tokens FROM job WHERE id = ?1")
                .and_then(|mut statement| statement.query_row([job.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))))
                .map_err(during("reading a job"))?;
            let counts = serde_json::from_str(&counts).map_err(|e| contradiction(format!("job {job} has bad counts: {e}")))?;
            self.touched.insert(job, Totals { counts, cost, tokens });
        }
        self.touched.get_mut(&job).ok_or_else(|| contradiction(format!("job {job} is missing")))
    }

    fn kind(&self, job: JobId, task: TaskIdx) -> Result<TaskKind, StoreError> {
        let kind: usize = self
            .transaction
            .prepare_cached("SELECT kind FROM task WHERE job = ?1 AND idx = ?2")
            .and_then(|mut statement| statement.query_row([job.0, task.0], |row| row.get(0)))
            .map_err(during("reading a task"))?;
        TaskKind::ALL.get(kind).copied().ok_or_else(|| contradiction(format!("task {task:?} of job {job} has kind {kind}")))
    }

    fn execute(&self, sql: &str, values: impl rusqlite::Params) -> Result<(), StoreError> {
        self.count(sql, values).map(|_| ())
    }

    fn count(&self, sql: &str, values: impl rusqlite::Params) -> Result<usize, StoreError> {
        self.transaction
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(values))
            .map_err(during("writing to the database"))
    }
}

/// JSON text of a value of the model, all of which have string keys and finite numbers only where JSON has them.
pub(super) fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}
