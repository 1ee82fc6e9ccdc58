//! Tasks: in a list, and one in full.

use std::sync::Arc;

use rusqlite::{OptionalExtension, Row, params};

use super::rows::{attempt_view, decode, nearest, utc_clock};
use super::{MAX_PAGE_BYTES, Queries};
use crate::model::by_hand;
use crate::model::change::Origin;
use crate::model::ids::{Address, JobId, JobRef, TaskIdx};
use crate::model::message::{AttemptView, JobView, MAX_PAGE, MappingView, PoolView, Refusal, RefusalCode, TaskDetail, TaskView};
use crate::model::spec::{Action, JobSpec, TaskSpec};
use crate::model::state::{Outcome, TaskKind, TaskState};
use crate::model::time::Utc;
use crate::model::why::{Circumstances, why};
use crate::store::mapping::{self, Mapped};
use crate::store::reader::unreadable;
use crate::store::writer::json;

/// Columns of a [`TaskView`], in the order of [`Queries::task_view`].
const TASK_COLUMNS: &str =
    "t.idx, t.id, t.state, t.attempts, t.outcome, t.started, t.updated, t.elapsed, t.cost, t.progress, d.origin, d.spec,
     CASE WHEN t.kind IN (3, 4, 5, 11) THEN (SELECT seen FROM attempt a WHERE a.job = t.job AND a.task = t.idx AND a.number = t.attempts) END,
     t.mapping, t.item, t.child";
/// Where a task's definition is: an instance has that of its mapped task.
const DEFINITION: &str = "JOIN definition d ON d.job = t.job AND d.idx = ifnull(t.mapping, t.idx)";

impl Queries<'_> {
    pub(super) fn tasks(&self, job: &JobRef, from: u32, limit: u32, kinds: &[TaskKind]) -> Result<Vec<TaskView>, Refusal> {
        let (view, spec) = self.job(job)?;
        let (all_paused, pools) = (self.paused()?, self.pools()?);
        let sql = format!(
            "SELECT {TASK_COLUMNS}, t.kind FROM task t {DEFINITION}
             WHERE t.job = ?1 AND t.idx >= ?2 ORDER BY t.idx"
        );
        let mut statement = self.db.prepare_cached(&sql).map_err(|e| unreadable(&e))?;
        let mut rows = statement.query(params![view.id, from]).map_err(|e| unreadable(&e))?;
        let (mut tasks, mut bytes, mut mapped) = (Vec::new(), 0, Mapped::default());
        while let Some(row) = rows.next().map_err(|e| unreadable(&e))? {
            let kind: usize = row.get(16).map_err(|e| unreadable(&e))?;
            if !kinds.is_empty() && !kinds.iter().any(|wanted| *wanted as usize == kind) {
                continue;
            }
            let (task, _) = self.task_view(row, &view, &spec, &mut mapped, all_paused, &pools)?;
            bytes += json(&task).len();
            tasks.push(task);
            if tasks.len() >= limit.clamp(1, MAX_PAGE) as usize || bytes > MAX_PAGE_BYTES {
                break;
            }
        }
        Ok(tasks)
    }

    pub(super) fn task(&self, address: &Address) -> Result<TaskDetail, Refusal> {
        let (view, spec) = self.job(&address.job)?;
        let Some(id) = &address.task else {
            return Err(Refusal {
                code: RefusalCode::Invalid,
                message: format!("`{address}` names a job, not a task"),
                hint: format!("write {address}/TASK"),
            });
        };
        let sql = format!(
            "SELECT {TASK_COLUMNS}, t.result FROM task t {DEFINITION}
             WHERE t.job = ?1 AND t.id = ?2"
        );
        let mut statement = self.db.prepare_cached(&sql).map_err(|e| unreadable(&e))?;
        let mut rows = statement.query(params![view.id, id]).map_err(|e| unreadable(&e))?;
        let Some(row) = rows.next().map_err(|e| unreadable(&e))? else { return Err(self.no_task(&view, id)) };
        let mut mapped = Mapped::default();
        let (task, task_spec) = self.task_view(row, &view, &spec, &mut mapped, self.paused()?, &self.pools()?)?;
        let result: Option<String> = row.get(16).map_err(|e| unreadable(&e))?;
        let attempts = self.attempts(&view, &task)?;
        let result = result.map(|text| decode(&text, || format!("the result of {address}"))).transpose()?;
        let session = attempts.last().and_then(|attempt| attempt.session.as_deref());
        let by_hand = session.map(|session| by_hand::command(&spec, &task_spec, session));
        let mut spec = task_spec.as_ref().clone();
        spec.reduce();
        let item = mapped.whole_item(row.get(14).map_err(|e| unreadable(&e))?);
        let approval = match task_spec.action {
            Action::Approve(_) => self.questions(Some(address), true, 1)?.pop().map(Box::new),
            _ => None,
        };
        Ok(TaskDetail { job: view.name, task, spec, item, by_hand, attempts, result, approval })
    }

    pub(super) fn no_task(&self, job: &JobView, id: &str) -> Refusal {
        let ids = self.db.prepare_cached("SELECT id FROM task WHERE job = ?1 LIMIT 5000").and_then(|mut statement| {
            statement.query_map([job.id], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()
        });
        let ids = ids.unwrap_or_default();
        let near = nearest(id, ids.iter().map(String::as_str));
        let hint = near.map_or(String::new(), |near| format!("did you mean `{}/{near}`? ", job.name));
        Refusal {
            code: RefusalCode::NotFound,
            message: format!("the job `{}` has no task `{id}`", job.name),
            hint: format!("{hint}`airx tasks {}` lists all", job.name),
        }
    }

    fn task_view(
        &self,
        row: &Row<'_>,
        job: &JobView,
        spec: &JobSpec,
        mapped: &mut Mapped,
        all_paused: bool,
        pools: &[PoolView],
    ) -> Result<(TaskView, Arc<TaskSpec>), Refusal> {
        let text = |column: usize| row.get::<_, Option<String>>(column).map_err(|e| unreadable(&e));
        let id: String = row.get(1).map_err(|e| unreadable(&e))?;
        let what = |part: &str| format!("{part} of {}/{id}", job.name);
        let state: TaskState = decode(&text(2)?.unwrap_or_default(), || what("the state"))?;
        let idx: u32 = row.get(0).map_err(|e| unreadable(&e))?;
        let instance: Option<u32> = row.get(13).map_err(|e| unreadable(&e))?;
        let read = || decode::<TaskSpec>(&text(11)?.unwrap_or_default(), || what("the definition"));
        let task = mapped.definition(instance.unwrap_or(idx), read)?;
        let item = match (instance, row.get::<_, Option<u32>>(14).map_err(|e| unreadable(&e))?) {
            (Some(of), Some(place)) => mapped.item(self.db, job.id, of, place)?,
            _ => None,
        };
        let origin: Option<Origin> = text(10)?.map(|text| decode(&text, || what("the origin"))).transpose()?;
        let outcome: Option<Outcome> = text(4)?.map(|text| decode(&text, || what("the outcome"))).transpose()?;
        let progress = text(9)?.map(|text| decode(&text, || what("the progress"))).transpose()?;
        let parent = match instance.or(origin.and_then(|origin| origin.parent).map(|parent| parent.0)) {
            Some(parent) => self.id_of(job.id, parent)?,
            None => None,
        };
        let claude = self
            .around
            .claude
            .max_parallel
            .filter(|_| state == TaskState::Queued)
            .map(|most| self.claude_running().map(|live| (live, most)))
            .transpose()?;
        let unmet = if state == TaskState::Pending { self.unmet(job.id, &task.needs)? } else { Vec::new() };
        let pool = task.pool.clone().unwrap_or_else(|| spec.pool.clone());
        let slots = self
            .around
            .slots
            .as_ref()
            .map(|_| pools.iter().find(|view| view.name == pool).map_or((0, 0), |view| (view.slots, view.used)));
        let child = match row.get::<_, Option<u32>>(15).map_err(|e| unreadable(&e))? {
            Some(child) => self.child(child)?,
            None => None,
        };
        let around = Circumstances {
            all_paused,
            disk_low: self.around.disk_low,
            unreachable: self.around.unreachable.get(&pool).map(String::as_str),
            stranded: self.around.stranded.get(&(JobId(job.id), TaskIdx(idx))).map(String::as_str),
            job_paused: job.paused || self.is_paused_above(job)?,
            job_live: job.tasks.live(),
            max_parallel: spec.max_parallel,
            pool: &pool,
            slots,
            claude: matches!(task.action, Action::Claude(_)).then_some(claude).flatten(),
            unmet: &unmet,
            is_finally: task.finally,
            mapping: match instance.filter(|_| state == TaskState::Queued) {
                Some(of) => mapped.room(self.db, job.id, of, task.each.as_ref().and_then(|each| each.max_parallel))?,
                None => None,
            },
            child: child.as_ref().map(|child| (child.tasks.terminal(), child.tasks.total())),
        };
        let view = TaskView {
            idx,
            instances: match task.each.is_some() && instance.is_none() {
                true => mapping::instances(self.db, job.id, idx)?,
                false => None,
            },
            item,
            child: child.map(Box::new),
            why: why(&state, &around, &utc_clock),
            id,
            state,
            attempts: row.get(3).map_err(|e| unreadable(&e))?,
            outcome,
            started: row.get::<_, Option<i64>>(5).map_err(|e| unreadable(&e))?.map(Utc),
            updated: Utc(row.get(6).map_err(|e| unreadable(&e))?),
            elapsed_ms: row.get(7).map_err(|e| unreadable(&e))?,
            cost_microusd: row.get(8).map_err(|e| unreadable(&e))?,
            progress,
            run: text(12)?.and_then(|text| serde_json::from_str(&text).ok()),
            parent,
            needs: if instance.is_some() { Vec::new() } else { task.needs.clone() },
            pool: task.pool.clone(),
            is_claude: matches!(task.action, Action::Claude(_)),
            mapping: task
                .each
                .as_ref()
                .filter(|_| instance.is_none())
                .map(|each| MappingView { max_parallel: each.max_parallel }),
            is_finally: task.finally,
        };
        Ok((view, task))
    }

    fn id_of(&self, job: u32, task: u32) -> Result<Option<String>, Refusal> {
        self.db
            .prepare_cached("SELECT id FROM task WHERE job = ?1 AND idx = ?2")
            .and_then(|mut statement| statement.query_row([job, task], |row| row.get(0)).optional())
            .map_err(|e| unreadable(&e))
    }

    fn unmet(&self, job: u32, needs: &[String]) -> Result<Vec<String>, Refusal> {
        let mut statement = self
            .db
            .prepare_cached("SELECT kind BETWEEN 6 AND 10 FROM task WHERE job = ?1 AND id = ?2")
            .map_err(|e| unreadable(&e))?;
        let mut unmet = Vec::new();
        for need in needs {
            let done =
                statement.query_row(params![job, need], |row| row.get::<_, bool>(0)).optional().map_err(|e| unreadable(&e))?;
            if done != Some(true) {
                unmet.push(need.clone());
            }
        }
        Ok(unmet)
    }

    fn attempts(&self, job: &JobView, task: &TaskView) -> Result<Vec<AttemptView>, Refusal> {
        let mut statement = self
            .db
            .prepare_cached(
                "SELECT number, pool, opened, closed, outcome, facts, session FROM attempt WHERE job = ?1 AND task = ?2 ORDER BY number",
            )
            .map_err(|e| unreadable(&e))?;
        let mut rows = statement.query([job.id, task.idx]).map_err(|e| unreadable(&e))?;
        let (mut attempts, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows.next().map_err(|e| unreadable(&e))? {
            let attempt = attempt_view(row, self.home, &job.name, &task.id)?;
            bytes += json(&attempt).len();
            // The newest are what people look for.
            attempts.push(attempt);
            while bytes > MAX_PAGE_BYTES && attempts.len() > 1 {
                bytes -= json(&attempts.remove(0)).len();
            }
        }
        Ok(attempts)
    }
}
