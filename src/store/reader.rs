//! The read side: connections of its own, each answer from one consistent read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags};

use crate::manager::ports::Reader;
use crate::model::change::Seq;
use crate::model::ids::{AttemptId, JobId, TaskIdx};
use crate::model::message::{Answer, Page, Query, Refusal, RefusalCode, StrandedView};
use crate::model::spec::Budget;
use crate::model::time::{Utc, day_of};

use super::queries;
use super::schema;

/// Connections kept open. Further readers at the same time open their own and close it.
const KEPT: usize = 2;
/// Page cache of a read connection, in KiB.
const CACHE_KIB: i64 = 512;

/// What the answers need besides the database.
#[derive(Debug, Clone, Default)]
pub(super) struct Surroundings {
    pub slots: Option<BTreeMap<String, u32>>,
    pub manager: Option<u32>,
    pub warnings: Vec<String>,
    pub trouble: Vec<String>,
    pub rejected: Vec<String>,
    pub disk_low: bool,
    pub unreachable: BTreeMap<String, String>,
    pub stranded: BTreeMap<(JobId, TaskIdx), String>,
    pub claude: ClaudeBounds,
    pub day_begins: Utc,
}

impl Surroundings {
    /// Everything that a person should look at.
    pub fn all_warnings(&self) -> Vec<String> {
        [self.warnings.as_slice(), &self.trouble, &self.rejected].concat()
    }

    /// Live tasks of which nothing is known.
    pub fn stranded(&self) -> Vec<StrandedView> {
        let view = |((job, task), why): (&(JobId, TaskIdx), &String)| StrandedView { job: job.0, task: task.0, why: why.clone() };
        self.stranded.iter().map(view).collect()
    }
}

/// What the configuration bounds of Claude runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClaudeBounds {
    /// Most at once, over all pools.
    pub max_parallel: Option<u32>,
    /// What may be used in a day.
    pub day: Option<Budget>,
}

/// Answers queries from the database and the attempt directories of one home.
pub struct StoreReader {
    home: PathBuf,
    database: PathBuf,
    kept: Mutex<Vec<Connection>>,
    surroundings: Mutex<Surroundings>,
    offset_ms: fn(Utc) -> i64,
}

impl StoreReader {
    /// A reader for a home; nothing is opened before the first query.
    pub fn new(home: &Path, database: &Path) -> StoreReader {
        StoreReader {
            home: home.to_owned(),
            database: database.to_owned(),
            kept: Mutex::new(Vec::new()),
            surroundings: Mutex::new(Surroundings::default()),
            offset_ms: |_| 0,
        }
    }

    /// The same, with days that begin at local midnight; `offset_ms` tells how far local time is ahead of UTC.
    pub fn in_zone(self, offset_ms: fn(Utc) -> i64) -> StoreReader {
        StoreReader { offset_ms, ..self }
    }

    /// Tells what bounds Claude runs.
    pub fn set_claude(&self, claude: ClaudeBounds) {
        self.surroundings.lock().unwrap_or_else(PoisonError::into_inner).claude = claude;
    }

    /// Tells the slots of the configured pools.
    pub fn set_slots(&self, slots: BTreeMap<String, u32>) {
        self.surroundings.lock().unwrap_or_else(PoisonError::into_inner).slots = Some(slots);
    }

    /// Tells the running manager's process id.
    pub fn set_manager(&self, pid: u32) {
        self.surroundings.lock().unwrap_or_else(PoisonError::into_inner).manager = Some(pid);
    }

    /// Tells what a person should look at.
    pub fn set_warnings(&self, warnings: Vec<String>) {
        self.surroundings.lock().unwrap_or_else(PoisonError::into_inner).warnings = warnings;
    }

    /// Tells of job files in the drop directory that were rejected.
    pub fn set_rejected(&self, rejected: Vec<String>) {
        self.surroundings.lock().unwrap_or_else(PoisonError::into_inner).rejected = rejected;
    }

    /// Tells of which attempts nothing is known though their engines are there, and why.
    pub fn set_stranded(&self, attempts: &BTreeMap<AttemptId, String>) {
        let tasks = attempts.iter().map(|(attempt, why)| ((attempt.job, attempt.task), why.clone()));
        self.surroundings.lock().unwrap_or_else(PoisonError::into_inner).stranded = tasks.collect();
    }

    /// Tells what the manager sees that a person should look at, whether the disk has too little room, and which pools' engines
    /// cannot be reached, and why.
    pub fn set_trouble(&self, trouble: Vec<String>, disk_low: bool, unreachable: BTreeMap<String, String>) {
        let mut surroundings = self.surroundings.lock().unwrap_or_else(PoisonError::into_inner);
        surroundings.trouble = trouble;
        surroundings.disk_low = disk_low;
        surroundings.unreachable = unreachable;
    }

    fn connection(&self) -> Result<Connection, Refusal> {
        if let Some(connection) = self.kept.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            return Ok(connection);
        }
        if !self.database.exists() {
            return Err(Refusal {
                code: RefusalCode::NotFound,
                message: format!("there is no job yet in {}", self.home.display()),
                hint: "submit one: `airx run FILE`".to_owned(),
            });
        }
        let connection = open(&self.database).map_err(|error| unreadable(&error))?;
        match schema::unfit(schema::age(&connection).map_err(|error| unreadable(&error))?) {
            None => Ok(connection),
            Some((why, hint)) => Err(Refusal {
                code: RefusalCode::Unavailable,
                message: format!("{} cannot be read: {why}", self.database.display()),
                hint: hint.to_owned(),
            }),
        }
    }
}

/// A read-only connection. Where the WAL's index is missing and cannot be made (a home on a read-only medium), the file
/// is read as it stands.
pub(super) fn open(database: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let prepare = |connection: Connection| {
        connection.busy_timeout(std::time::Duration::from_secs(2))?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        connection.query_row("SELECT count(*) FROM meta", [], |row| row.get::<_, i64>(0))?;
        connection.set_prepared_statement_cache_capacity(32);
        Ok(connection)
    };
    match Connection::open_with_flags(database, flags).and_then(prepare) {
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::CannotOpen) => {
            let uri = format!("file:{}?immutable=1", database.display().to_string().replace('?', "%3f").replace('#', "%23"));
            Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI).and_then(prepare)
        }
        other => other,
    }
}

impl Reader for StoreReader {
    fn query(&self, query: &Query) -> Result<Page<Answer>, Refusal> {
        let mut connection = self.connection()?;
        let mut surroundings = self.surroundings.lock().unwrap_or_else(PoisonError::into_inner).clone();
        surroundings.day_begins = day_of(crate::os::now().utc, &self.offset_ms).0;
        let answer = {
            let transaction = connection.transaction().map_err(|error| unreadable(&error))?;
            let seq: u64 = transaction
                .query_row("SELECT ifnull(max(seq), 0) FROM event", [], |row| row.get(0))
                .map_err(|error| unreadable(&error))?;
            let body = queries::answer(&transaction, &self.home, &surroundings, query)?;
            Page { seq: Seq(seq), body }
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT {
            kept.push(connection);
        }
        Ok(answer)
    }
}

/// A refusal because the database cannot be read now.
pub(super) fn unreadable(error: &rusqlite::Error) -> Refusal {
    let error = super::error::during("reading the database")(match error {
        rusqlite::Error::SqliteFailure(code, text) => rusqlite::Error::SqliteFailure(*code, text.clone()),
        other => rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(1), Some(other.to_string())),
    });
    Refusal { code: RefusalCode::Unavailable, message: format!("{}: {}", error.what, error.cause), hint: error.hint }
}
