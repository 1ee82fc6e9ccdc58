//! SQLite's errors in airx's terms.

use rusqlite::ErrorCode;

use crate::manager::ports::{StoreError, StoreErrorKind};
use crate::model::ids::JobId;

/// Names what was being done when `error` came.
pub(super) fn during(what: &str) -> impl Fn(rusqlite::Error) -> StoreError + '_ {
    move |error| {
        let kind = match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => StoreErrorKind::Full,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreErrorKind::Busy,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreErrorKind::Corrupt,
            Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch) => StoreErrorKind::Row(None),
            // Not of SQLite: a value of another type than was written.
            None => StoreErrorKind::Row(None),
            Some(_) => StoreErrorKind::Other,
        };
        let hint = match kind {
            StoreErrorKind::Full => "free some disk space",
            StoreErrorKind::Busy => "another process holds the database; try again",
            StoreErrorKind::Corrupt => "the database is damaged: run `airx doctor --repair`",
            StoreErrorKind::Row(_) => "`airx doctor --repair` mends the rows of a job",
            StoreErrorKind::Other => "see the manager's log; `airx doctor` checks the database",
        };
        StoreError { kind, what: what.to_owned(), cause: error.to_string(), hint: hint.to_owned() }
    }
}

/// A change that contradicts the rows: they were damaged, or airx has a fault.
pub(super) fn contradiction(cause: String) -> StoreError {
    StoreError {
        kind: StoreErrorKind::Row(None),
        what: "writing a change".to_owned(),
        cause,
        hint: "the change was not written; `airx doctor --repair` mends the rows of a job".to_owned(),
    }
}

/// The same error, said of the job whose rows were written.
pub(super) fn about(job: Option<JobId>) -> impl Fn(StoreError) -> StoreError {
    move |error| match error.kind {
        StoreErrorKind::Row(None) => StoreError { kind: StoreErrorKind::Row(job), ..error },
        _ => error,
    }
}
