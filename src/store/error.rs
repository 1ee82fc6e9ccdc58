//! SQLite's errors in airx's terms.

use rusqlite::ErrorCode;

use crate::manager::ports::{StoreError, StoreErrorKind};

/// Names what was being done when `error` came.
pub(super) fn during(what: &str) -> impl Fn(rusqlite::Error) -> StoreError + '_ {
    move |error| {
        let kind = match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => StoreErrorKind::Full,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreErrorKind::Busy,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreErrorKind::Corrupt,
            _ => StoreErrorKind::Other,
        };
        let hint = match kind {
            StoreErrorKind::Full => "free some disk space",
            StoreErrorKind::Busy => "another process holds the database; try again",
            StoreErrorKind::Corrupt => "the database is damaged: run `airx doctor --repair`",
            StoreErrorKind::Other => "see the manager's log; `airx doctor` checks the database",
        };
        StoreError { kind, what: what.to_owned(), cause: error.to_string(), hint: hint.to_owned() }
    }
}

/// A change that contradicts the rows: a fault of airx itself, never of the disk.
pub(super) fn contradiction(cause: String) -> StoreError {
    StoreError {
        kind: StoreErrorKind::Other,
        what: "writing a change".to_owned(),
        cause,
        hint: "this is a fault of airx; the change was not written".to_owned(),
    }
}
