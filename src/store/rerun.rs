//! What a requeue would run again although it is finished, and what that cost the last time.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rusqlite::params;
use serde::Deserialize;

use crate::model::ids::Address;
use crate::model::message::{Refusal, RequeueWhich, RerunView};
use crate::model::state::TaskKind;

use super::queries::Queries;
use super::reader::unreadable;

/// Finished tasks of a job with what their last attempts, or their child jobs, cost, by place; all that comes after some of its tasks, when asked for.
const FINISHED: &str =
    "SELECT t.idx, ifnull((SELECT a.cost FROM attempt a WHERE a.job = t.job AND a.task = t.idx AND a.number = t.attempts), 0)
            + ifnull((SELECT c.cost + c.below_cost FROM job c WHERE c.id = t.child), 0),
            ifnull(t.mapping, t.idx)
     FROM task t WHERE t.job = ?1 AND t.kind = ?2 AND NOT EXISTS (SELECT 1 FROM mapping m WHERE m.job = t.job AND m.idx = t.idx)";

/// Of a task's definition what it waits for.
#[derive(Deserialize)]
struct Needs {
    #[serde(default)]
    needs: Vec<String>,
}

impl Queries<'_> {
    pub(super) fn rerun(&self, targets: &[Address], which: RequeueWhich) -> Result<RerunView, Refusal> {
        // By job: some of its tasks, or all.
        let mut chosen: BTreeMap<u32, Option<BTreeSet<u32>>> = BTreeMap::new();
        let mut view = RerunView::default();
        for target in targets {
            let (job, _) = self.job(&target.job)?;
            if !chosen.contains_key(&job.id) {
                view.live = view.live.saturating_add(job.tasks.live());
            }
            let tasks = chosen.entry(job.id).or_insert_with(|| Some(BTreeSet::new()));
            match (&target.task, tasks) {
                (Some(task), Some(tasks)) => {
                    let from = self.place_of(&job, task)?;
                    tasks.insert(from);
                    if which == RequeueWhich::From {
                        let of = task.split_once('/').map_or(Ok(from), |(of, _)| self.place_of(&job, of))?;
                        tasks.extend(self.all_after(job.id, of)?);
                    }
                }
                // Only what has failed is run again: nothing of it is finished.
                (None, _) if which == RequeueWhich::Failed => {}
                (None, tasks) => *tasks = None,
                (Some(_), None) => {}
            }
        }
        for (job, tasks) in chosen {
            let mut statement = self.db.prepare_cached(FINISHED).map_err(|e| unreadable(&e))?;
            let mut rows = statement.query(params![job, TaskKind::Completed as i64]).map_err(|e| unreadable(&e))?;
            while let Some(row) = rows.next().map_err(|e| unreadable(&e))? {
                let (idx, cost): (u32, u64) = (row.get(0).map_err(|e| unreadable(&e))?, row.get(1).unwrap_or(0));
                // With a mapped task all its instances are run again.
                let of: u32 = row.get(2).map_err(|e| unreadable(&e))?;
                if tasks.as_ref().is_none_or(|tasks| tasks.contains(&idx) || tasks.contains(&of)) {
                    view.finished = view.finished.saturating_add(1);
                    view.cost_microusd = view.cost_microusd.saturating_add(cost);
                }
            }
        }
        Ok(view)
    }

    /// Places of all tasks that come after one.
    fn all_after(&self, job: u32, from: u32) -> Result<BTreeSet<u32>, Refusal> {
        let sql = "SELECT t.idx, t.id, d.spec FROM task t JOIN definition d ON d.job = t.job AND d.idx = t.idx WHERE t.job = ?1";
        let mut statement = self.db.prepare_cached(sql).map_err(|e| unreadable(&e))?;
        let mut rows = statement.query([job]).map_err(|e| unreadable(&e))?;
        let (mut ids, mut dependents): (HashMap<u32, String>, HashMap<String, Vec<u32>>) = (HashMap::new(), HashMap::new());
        while let Some(row) = rows.next().map_err(|e| unreadable(&e))? {
            let idx: u32 = row.get(0).map_err(|e| unreadable(&e))?;
            let needs = row.get::<_, String>(2).ok().and_then(|text| serde_json::from_str::<Needs>(&text).ok());
            for need in needs.into_iter().flat_map(|needs| needs.needs) {
                dependents.entry(need).or_default().push(idx);
            }
            ids.insert(idx, row.get(1).map_err(|e| unreadable(&e))?);
        }
        let (mut after, mut work) = (BTreeSet::new(), vec![from]);
        while let Some(next) = work.pop() {
            let next = ids.get(&next).and_then(|id| dependents.get(id)).into_iter().flatten().copied();
            work.extend(next.filter(|idx| after.insert(*idx)));
        }
        Ok(after)
    }
}
