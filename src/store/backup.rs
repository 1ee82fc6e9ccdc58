//! Daily copies of the database, and its rebuilding from the journal when it is damaged.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use crate::manager::ports::{Store, StoreError, StoreErrorKind};
use crate::model::change::{Change, Event};
use crate::model::ids::JobId;
use crate::model::time::Utc;

use super::error::during;
use super::reader::open;
use super::writer::SqliteStore;

/// Daily copies kept.
const KEEP: usize = 7;
/// Events written back in one transaction.
const BATCH: usize = 2_000;

/// Copies the database to `directory/airx-DATE.db` unless that is there, and removes the oldest beyond seven. Reads one
/// snapshot; the writer goes on meanwhile. Returns whether a copy was made.
///
/// # Errors
/// [`StoreError`] when the copy cannot be written; what is there stays.
pub fn backup(database: &Path, directory: &Path, date: &str) -> Result<bool, StoreError> {
    let target = directory.join(format!("airx-{date}.db"));
    if target.exists() {
        return Ok(false);
    }
    std::fs::create_dir_all(directory).map_err(|error| io("making the backup directory", directory, &error))?;
    let partial = directory.join(format!("airx-{date}.partial"));
    let _ = std::fs::remove_file(&partial);
    let connection = open(database).map_err(during("opening the database"))?;
    connection.execute("VACUUM INTO ?1", [partial.to_string_lossy()]).map_err(during("copying the database"))?;
    std::fs::rename(&partial, &target).map_err(|error| io("naming the backup", &target, &error))?;
    let mut copies = copies(directory);
    while copies.len() > KEEP {
        // One that cannot be removed now is removed tomorrow.
        let _ = std::fs::remove_file(copies.remove(0));
    }
    Ok(true)
}

/// The copies there are, oldest first.
fn copies(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.starts_with("airx-") && name.ends_with(".db")
        })
        .collect();
    files.sort();
    files
}

/// What a repair found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repaired {
    /// Where the damaged database lies now; nothing is deleted.
    pub kept: PathBuf,
    /// Events written back.
    pub events: usize,
    /// Of these, events that only a backup still had.
    pub from_backup: usize,
    /// Jobs written back.
    pub jobs: usize,
    /// What could not be recovered, in words.
    pub lost: Vec<String>,
}

/// Rebuilds the database from the journals of the damaged one and of the newest readable backup. Nobody may use it
/// meanwhile. What runners did since is taken in from their directories when the manager starts.
///
/// # Errors
/// [`StoreError`] when files cannot be moved or written; the damaged database then still lies where it was, or aside.
pub fn repair(database: &Path, backups: &Path, suffix: &str, entropy: [u8; 36]) -> Result<Repaired, StoreError> {
    let mut repaired = Repaired { kept: aside(database, suffix), ..Repaired::default() };
    let mut salvage = Salvage::default();
    let gives = salvage.read(database);
    let own = salvage.events.len();
    let newest = copies(backups).into_iter().rev().find(|copy| salvage.read(copy));
    if !gives {
        repaired.lost.push(match &newest {
            Some(copy) => format!("all that the damaged database held since the backup {}", copy.display()),
            None => "all that the damaged database held: nothing in it can be read, and there is no backup".to_owned(),
        });
    }
    repaired.from_backup = salvage.events.len() - own;
    for end in ["", "-wal", "-shm"] {
        let from = PathBuf::from(format!("{}{end}", database.display()));
        if from.exists() {
            let to = PathBuf::from(format!("{}{end}", repaired.kept.display()));
            std::fs::rename(&from, &to).map_err(|error| io("moving the damaged database aside", &from, &error))?;
        }
    }
    let mut store = SqliteStore::open(database, entropy)?;
    for (key, value) in &salvage.meta {
        store
            .connection()
            .execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)", [key, value])
            .map_err(during("writing the home's identity"))?;
    }
    salvage.write(&mut store, &mut repaired)?;
    Ok(repaired)
}

fn aside(database: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}.damaged-{suffix}", database.display()))
}

/// What could be read.
#[derive(Default)]
struct Salvage {
    events: BTreeMap<i64, Event>,
    unreadable: usize,
    meta: BTreeMap<String, String>,
}

impl Salvage {
    /// Takes what `database` still gives and is not known yet. Returns whether it could be opened.
    fn read(&mut self, database: &Path) -> bool {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let Ok(connection) = Connection::open_with_flags(database, flags) else { return false };
        let Ok(last) = connection.query_row("SELECT ifnull(max(seq), 0) FROM event", [], |row| row.get::<_, i64>(0)) else {
            return false;
        };
        if let Ok(mut statement) = connection.prepare("SELECT key, value FROM meta") {
            let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)));
            for (key, value) in rows.into_iter().flatten().flatten() {
                self.meta.entry(key).or_insert(value);
            }
        }
        // Event by event: one damaged page costs the events on it and no others.
        let Ok(mut statement) = connection.prepare("SELECT at, body FROM event WHERE seq = ?1") else { return false };
        for seq in 1..=last {
            if self.events.contains_key(&seq) {
                continue;
            }
            let found = statement.query_row([seq], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)));
            match found.ok().and_then(|(at, body)| Some(Event { at: Utc(at), change: serde_json::from_str(&body).ok()? })) {
                Some(event) => drop(self.events.insert(seq, event)),
                None => self.unreadable += 1,
            }
        }
        true
    }

    /// Writes the events back in order. An event that contradicts what is there (since one before it is lost) ends the
    /// story of its job there.
    fn write(self, store: &mut SqliteStore, repaired: &mut Repaired) -> Result<(), StoreError> {
        let last = self.events.keys().next_back().copied().unwrap_or(0);
        let missing = usize::try_from(last).unwrap_or(0).saturating_sub(self.events.len());
        if missing > 0 {
            repaired.lost.push(format!("{missing} events of the journal could not be read"));
        }
        let events: Vec<Event> = self.events.into_values().collect();
        let mut broken: BTreeMap<JobId, usize> = BTreeMap::new();
        for batch in events.chunks(BATCH) {
            match store.commit(batch) {
                Ok(_) => repaired.events += batch.len(),
                Err(error) if error.kind == StoreErrorKind::Full => return Err(error),
                Err(_) => one_by_one(store, batch, &mut broken, repaired)?,
            }
        }
        repaired.jobs = events.iter().filter(|event| matches!(event.change, Change::JobSubmitted { .. })).count();
        for (job, count) in broken {
            repaired.lost.push(format!("{count} events of job number {job} contradict the rest and were left out"));
        }
        Ok(())
    }
}

fn one_by_one(
    store: &mut SqliteStore,
    batch: &[Event],
    broken: &mut BTreeMap<JobId, usize>,
    repaired: &mut Repaired,
) -> Result<(), StoreError> {
    for event in batch {
        let job = event.change.job();
        if let Some(count) = job.and_then(|job| broken.get_mut(&job)) {
            *count += 1;
            continue;
        }
        match store.commit(std::slice::from_ref(event)) {
            Ok(_) => repaired.events += 1,
            Err(error) if error.kind == StoreErrorKind::Full => return Err(error),
            Err(_) => {
                if let Some(job) = job {
                    broken.insert(job, 1);
                }
            }
        }
    }
    Ok(())
}

fn io(what: &str, path: &Path, error: &std::io::Error) -> StoreError {
    StoreError {
        kind: if error.kind() == std::io::ErrorKind::StorageFull { StoreErrorKind::Full } else { StoreErrorKind::Other },
        what: what.to_owned(),
        cause: format!("{}: {error}", path.display()),
        hint: "check the permissions of the home and the room on its disk".to_owned(),
    }
}
