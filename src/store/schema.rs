//! Numbered, append-only migrations; the number of the last one is the database's `user_version`.

use std::cmp::Ordering;

use rusqlite::Connection;

use crate::manager::ports::{StoreError, StoreErrorKind};

use super::error::during;

/// In order. A released one is never changed; `tests/fixtures/store` keeps a database of each.
const MIGRATIONS: &[&str] = &[include_str!("schema.sql"), include_str!("schema_2.sql"), include_str!("schema_3.sql")];

/// `airx` in ASCII, in the file's header, so that tools can tell whose database it is.
const APPLICATION_ID: i32 = 0x6169_7278;

/// How a database's schema stands to the one that this airx reads and writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// It is that one.
    Current,
    /// It is of an earlier airx; the next manager brings it to the newest.
    Earlier,
    /// It is of a newer airx, and must be left alone.
    Newer,
}

/// How the database's schema stands to the newest one.
pub(super) fn age(connection: &Connection) -> rusqlite::Result<Age> {
    let version = connection.query_row("PRAGMA user_version", [], |row| row.get::<_, usize>(0))?;
    Ok(match version.cmp(&MIGRATIONS.len()) {
        Ordering::Less => Age::Earlier,
        Ordering::Equal => Age::Current,
        Ordering::Greater => Age::Newer,
    })
}

/// What a person is told of a database that is not of this schema, and what to do; none when it is.
pub(super) fn unfit(age: Age) -> Option<(&'static str, &'static str)> {
    match age {
        Age::Current => None,
        Age::Earlier => Some(("it was written by an earlier airx", "the next manager brings it to the newest: `airx --daemon`")),
        Age::Newer => Some(("it was written by a newer airx", "install the newer airx, or choose another home with --home")),
    }
}

/// Brings the database to the newest schema.
///
/// # Errors
/// When it is of a newer airx, of another program, or cannot be written.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let error = during("opening the database");
    let pragma = |name: &str| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
    let version = usize::try_from(pragma("user_version").map_err(&error)?).unwrap_or(usize::MAX);
    let application = pragma("application_id").map_err(&error)?;
    if application != 0 && application != i64::from(APPLICATION_ID) {
        return Err(refused("it belongs to another program", "choose another home with --home"));
    }
    if version > MIGRATIONS.len() {
        return Err(refused(
            &format!("it was written by a newer airx (schema {version}, this one knows {})", MIGRATIONS.len()),
            "install the newer airx, or choose another home with --home",
        ));
    }
    for (number, migration) in MIGRATIONS.iter().enumerate().skip(version) {
        let transaction = connection.transaction().map_err(&error)?;
        transaction.execute_batch(migration).map_err(&error)?;
        transaction.pragma_update(None, "user_version", i64::try_from(number + 1).unwrap_or(i64::MAX)).map_err(&error)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(&error)?;
        transaction.commit().map_err(&error)?;
    }
    Ok(())
}

fn refused(cause: &str, hint: &str) -> StoreError {
    StoreError {
        kind: StoreErrorKind::Other,
        what: "opening the database".to_owned(),
        cause: cause.to_owned(),
        hint: hint.to_owned(),
    }
}
