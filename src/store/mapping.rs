//! What the rows of one page share: definitions and lists of mapped tasks, read once.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension};
use serde_json::Value;

use super::reader::unreadable;
use crate::model::decide::shown;
use crate::model::message::Refusal;
use crate::model::spec::TaskSpec;
use crate::model::state::{Counts, TaskKind};

/// Longest item that is told with its instance, as JSON.
const MAX_ITEM: usize = 64 * 1024;

/// What was read for the row before.
#[derive(Default)]
pub(super) struct Mapped {
    definition: Option<(u32, Arc<TaskSpec>)>,
    items: Option<(u32, Vec<Value>)>,
    live: Option<(u32, u32)>,
}

impl Mapped {
    /// The definition at a place: instances of one mapped task follow each other, and its list may be long.
    pub fn definition(&mut self, place: u32, read: impl FnOnce() -> Result<TaskSpec, Refusal>) -> Result<Arc<TaskSpec>, Refusal> {
        if let Some((_, spec)) = self.definition.as_ref().filter(|(known, _)| *known == place) {
            return Ok(spec.clone());
        }
        let spec = Arc::new(read()?);
        self.definition = Some((place, spec.clone()));
        Ok(spec)
    }

    /// What an instance is for, in a line.
    pub fn item(&mut self, db: &Connection, job: u32, of: u32, place: u32) -> Result<Option<String>, Refusal> {
        if self.items.as_ref().is_none_or(|(known, _)| *known != of) {
            let text: Option<String> = db
                .prepare_cached("SELECT items FROM mapping WHERE job = ?1 AND idx = ?2")
                .and_then(|mut statement| statement.query_row([job, of], |row| row.get(0)).optional())
                .map_err(|e| unreadable(&e))?;
            self.items = Some((of, text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()));
        }
        Ok(self.items.as_ref().and_then(|(_, items)| items.get(place as usize)).map(shown))
    }

    /// The whole item of the instance that was read last; none when it is no instance, or its item is very long.
    pub fn whole_item(&self, place: Option<u32>) -> Option<Value> {
        let item = self.items.as_ref()?.1.get(place? as usize)?;
        (item.to_string().len() <= MAX_ITEM).then(|| item.clone())
    }

    /// Live instances of a mapped task, and how many may live, when that is bounded.
    pub fn room(&mut self, db: &Connection, job: u32, of: u32, most: Option<u32>) -> Result<Option<(u32, u32)>, Refusal> {
        let Some(most) = most else { return Ok(None) };
        let known = self.live.filter(|(known, _)| *known == of).map(|(_, live)| live);
        let live = match known {
            Some(live) => live,
            None => instances(db, job, of)?.map_or(0, |counts| counts.live() + counts.of(TaskKind::Delegated)),
        };
        self.live = Some((of, live));
        Ok(Some((live, most)))
    }
}

/// The instances of a mapped task's present list, by state; none when it has none.
pub(super) fn instances(db: &Connection, job: u32, of: u32) -> Result<Option<Counts>, Refusal> {
    let mut statement = db
        .prepare_cached(
            "SELECT kind, count(*) FROM task WHERE job = ?1 AND mapping = ?2
             AND item < (SELECT json_array_length(items) FROM mapping WHERE job = ?1 AND idx = ?2) GROUP BY kind",
        )
        .map_err(|e| unreadable(&e))?;
    let mut counts = Counts::default();
    let mut rows = statement.query([job, of]).map_err(|e| unreadable(&e))?;
    while let Some(row) = rows.next().map_err(|e| unreadable(&e))? {
        let (kind, number): (usize, u32) = (row.get(0).map_err(|e| unreadable(&e))?, row.get(1).map_err(|e| unreadable(&e))?);
        if kind < TaskKind::ALL.len() {
            counts.0[kind] = number;
        }
    }
    Ok((counts.total() > 0).then_some(counts))
}

/// Takes mapped tasks out of the counts of all jobs: where instances brought them, those stand for them.
pub(super) fn without_mapped(db: &Connection, counts: &mut Counts) -> Result<(), Refusal> {
    let mut statement = db
        .prepare_cached(
            "SELECT t.kind, count(*) FROM mapping m JOIN task t ON t.job = m.job AND t.idx = m.idx
             WHERE t.kind IN (6, 7, 8, 14) GROUP BY t.kind",
        )
        .map_err(|e| unreadable(&e))?;
    let mut rows = statement.query([]).map_err(|e| unreadable(&e))?;
    while let Some(row) = rows.next().map_err(|e| unreadable(&e))? {
        let (kind, number): (usize, u32) = (row.get(0).map_err(|e| unreadable(&e))?, row.get(1).map_err(|e| unreadable(&e))?);
        if let Some(count) = counts.0.get_mut(kind) {
            *count = count.saturating_sub(number);
        }
    }
    Ok(())
}
