//! Answers to queries, row by row.

use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::de::DeserializeOwned;

use crate::manager::launch::attempt_directory;
use crate::model::by_hand;
use crate::model::change::{Change, Event, Origin, Seq};
use crate::model::decide::shown;
use crate::model::ids::{Address, JobName, JobRef, is_name};
use crate::model::message::{
    Answer, AttemptView, EventView, JobDetail, JobView, MAX_PAGE, MappingView, OutputPiece, OutputStream, OverviewView, PoolView,
    Query, Refusal, RefusalCode, StatusView, TaskDetail, TaskView,
};
use crate::model::spec::{Action, JobSpec, Submission, TaskSpec};
use crate::model::state::{Counts, JobState, Outcome, TaskKind, TaskState};
use crate::model::time::Utc;

use super::mapping::{self, Mapped};
use super::output;
use super::reader::{Surroundings, unreadable};
use crate::model::why::{Circumstances, why};

/// A page ends when its encoded rows reach this size, so that it fits a frame.
pub(super) const MAX_PAGE_BYTES: usize = 700 * 1024;
/// Longest event that is told whole, in bytes; it has to fit a frame beside others.
const MAX_EVENT_BYTES: usize = 384 * 1024;
/// Jobs in a status.
const RECENT: u32 = 20;

pub(super) fn answer(db: &Connection, home: &Path, around: &Surroundings, query: &Query) -> Result<Answer, Refusal> {
    let reader = Queries { db, home, around };
    Ok(match query {
        Query::Status => Answer::Status(Box::new(reader.status()?)),
        Query::Overview => Answer::Overview(Box::new(reader.overview()?)),
        Query::JobsOf { ids } => Answer::Jobs(reader.jobs_of(ids)?),
        Query::Jobs { before, limit } => Answer::Jobs(reader.jobs(*before, *limit)?),
        Query::Job { job } => {
            let (job, spec) = reader.job(job)?;
            let params_set = reader.params_set(job.id)?;
            Answer::Job(Box::new(JobDetail { job, spec, params_set }))
        }
        Query::Tasks { job, from, limit, kinds } => Answer::Tasks(reader.tasks(job, *from, *limit, kinds)?),
        Query::Task { task } => Answer::Task(Box::new(reader.task(task)?)),
        Query::Events { since, job, below, task, last, limit } => {
            let which = Which { since: *since, below: *below, task: *task, last: *last, limit: *limit };
            Answer::Events(reader.events(job.as_ref(), &which)?)
        }
        Query::Questions { of, all, limit } => Answer::Questions(reader.questions(of.as_ref(), *all, *limit)?),
        Query::Schedules => Answer::Schedules(reader.schedules()?),
        Query::Schedule { name } => Answer::Schedule(Box::new(reader.schedule(name)?)),
        Query::Rerun { targets, which } => Answer::Rerun(reader.rerun(targets, *which)?),
        Query::Usage => Answer::Usage(Box::new(reader.usage()?)),
        Query::Output { task, attempt, stream, offset, limit } => {
            Answer::Output(reader.output(task, *attempt, *stream, *offset, *limit)?)
        }
        Query::Artifacts { task, attempt, from } => Answer::Artifacts(Box::new(reader.artifacts(task, *attempt, *from)?)),
        Query::Artifact { task, attempt, name, offset, limit } => {
            Answer::Output(reader.artifact(task, *attempt, name, *offset, *limit)?)
        }
        Query::Result { task, offset, limit } => Answer::Output(reader.result(task, *offset, *limit)?),
    })
}

/// Which events.
struct Which {
    since: Seq,
    below: bool,
    task: Option<u32>,
    last: bool,
    limit: u32,
}

pub(super) struct Queries<'a> {
    pub db: &'a Connection,
    pub home: &'a Path,
    pub around: &'a Surroundings,
}

/// Columns of a [`JobView`], in the order of [`job_view`]; among them mapped tasks that are where their instances brought them.
const JOB_COLUMNS: &str = "id, name, number, state, paused, stopped, counts, submitted, updated, cost + below_cost, priority,
     (SELECT group_concat(t.kind) FROM mapping m JOIN task t ON t.job = m.job AND t.idx = m.idx
      WHERE m.job = job.id AND t.kind IN (6, 7, 8, 14)), parent, parent_task,
     (SELECT p.name || '.' || p.number || '/' || t.id FROM job p JOIN task t ON t.job = p.id
      WHERE p.id = job.parent AND t.idx = job.parent_task)";
/// Columns of a [`TaskView`], in the order of [`Queries::task_view`].
const TASK_COLUMNS: &str =
    "t.idx, t.id, t.state, t.attempts, t.outcome, t.started, t.updated, t.elapsed, t.cost, t.progress, d.origin, d.spec,
     CASE WHEN t.kind IN (3, 4, 5, 11) THEN (SELECT seen FROM attempt a WHERE a.job = t.job AND a.task = t.idx AND a.number = t.attempts) END,
     t.mapping, t.item, t.child";
/// Where a task's definition is: an instance has that of its mapped task.
const DEFINITION: &str = "JOIN definition d ON d.job = t.job AND d.idx = ifnull(t.mapping, t.idx)";

impl Queries<'_> {
    fn status(&self) -> Result<StatusView, Refusal> {
        let (schedules, next_due) = self.schedules_at_a_glance()?;
        let mut tasks = Counts::default();
        let mut jobs = [0u32; 5];
        let mut cost = 0u64;
        let mut statement = self.db.prepare_cached("SELECT state, counts, cost FROM job").map_err(|e| unreadable(&e))?;
        let mut rows = statement.query([]).map_err(|e| unreadable(&e))?;
        while let Some(row) = rows.next().map_err(|e| unreadable(&e))? {
            let Ok((state, counts)) = get2::<String, String>(row) else { continue };
            jobs[job_state(&state) as usize] += 1;
            let counts: Counts = serde_json::from_str(&counts).unwrap_or_default();
            for kind in TaskKind::ALL {
                tasks.0[kind as usize] = tasks.0[kind as usize].saturating_add(counts.of(kind));
            }
            cost = cost.saturating_add(row.get(2).unwrap_or(0));
        }
        mapping::without_mapped(self.db, &mut tasks)?;
        let recent = self.job_views(&format!("SELECT {JOB_COLUMNS} FROM job ORDER BY over, id DESC LIMIT {RECENT}"), [])?;
        let mut warnings = self.around.all_warnings();
        if self.around.manager.is_none() {
            warnings.push("no manager runs: `airx --daemon` starts one".to_owned());
        }
        Ok(StatusView {
            manager: self.around.manager,
            paused: self.paused()?,
            tasks,
            jobs,
            cost_microusd: cost,
            pools: self.pools()?,
            recent,
            schedules,
            next_due,
            warnings,
        })
    }

    fn overview(&self) -> Result<OverviewView, Refusal> {
        let (schedules, next_due) = self.schedules_at_a_glance()?;
        Ok(OverviewView {
            manager: self.around.manager,
            paused: self.paused()?,
            disk_low: self.around.disk_low,
            pools: self.pools()?,
            warnings: self.around.all_warnings(),
            questions: self.open_questions()?,
            usage: self.usage()?,
            schedules,
            next_due,
        })
    }

    fn jobs_of(&self, ids: &[u32]) -> Result<Vec<JobView>, Refusal> {
        let sql = format!("SELECT {JOB_COLUMNS} FROM job WHERE id = ?1");
        let mut statement = self.db.prepare_cached(&sql).map_err(|e| unreadable(&e))?;
        let mut jobs = Vec::new();
        for id in ids.iter().take(MAX_PAGE as usize) {
            jobs.extend(statement.query_row([id], job_view).optional().map_err(|e| unreadable(&e))?);
        }
        Ok(jobs)
    }

    fn paused(&self) -> Result<bool, Refusal> {
        self.db
            .query_row("SELECT value = 'true' FROM meta WHERE key = 'paused'", [], |row| row.get(0))
            .optional()
            .map(|paused| paused.unwrap_or(false))
            .map_err(|e| unreadable(&e))
    }

    /// Slots in use, from the attempts of live jobs that are not closed.
    fn pools(&self) -> Result<Vec<PoolView>, Refusal> {
        let mut pools: std::collections::BTreeMap<String, PoolView> =
            self.around.slots.iter().flatten().map(|(name, slots)| (name.clone(), self.pool(name, *slots))).collect();
        let mut statement = self
            .db
            .prepare_cached(
                "SELECT a.pool, count(*) FROM job j JOIN task t ON t.job = j.id AND t.kind IN (3, 4, 5, 11)
                 JOIN attempt a ON a.job = t.job AND a.task = t.idx AND a.number = t.attempts
                 WHERE j.over = 0 GROUP BY a.pool",
            )
            .map_err(|e| unreadable(&e))?;
        let mut rows = statement.query([]).map_err(|e| unreadable(&e))?;
        while let Some(row) = rows.next().map_err(|e| unreadable(&e))? {
            let (name, used): (String, u32) = get2(row)?;
            pools.entry(name.clone()).or_insert_with(|| self.pool(&name, 0)).used = used;
        }
        Ok(pools.into_values().collect())
    }

    /// A pool with nothing in it.
    fn pool(&self, name: &str, slots: u32) -> PoolView {
        PoolView { name: name.to_owned(), slots, used: 0, unreachable: self.around.unreachable.get(name).cloned() }
    }

    fn jobs(&self, before: Option<u32>, limit: u32) -> Result<Vec<JobView>, Refusal> {
        self.job_views(
            &format!("SELECT {JOB_COLUMNS} FROM job WHERE id < ?1 ORDER BY id DESC LIMIT ?2"),
            params![before.unwrap_or(u32::MAX), limit.clamp(1, MAX_PAGE)],
        )
    }

    fn job_views(&self, sql: &str, values: impl rusqlite::Params) -> Result<Vec<JobView>, Refusal> {
        let mut statement = self.db.prepare_cached(sql).map_err(|e| unreadable(&e))?;
        let rows = statement.query_map(values, job_view).map_err(|e| unreadable(&e))?;
        // A row that cannot be decoded keeps no other from being shown; the manager says that its job is set aside.
        let decoded = rows.filter(|row| row.as_ref().err().is_none_or(|e| e.sqlite_error_code().is_some()));
        decoded.collect::<rusqlite::Result<_>>().map_err(|e| unreadable(&e))
    }

    /// The job that a reference means.
    pub fn job(&self, job: &JobRef) -> Result<(JobView, JobSpec), Refusal> {
        let sql = match job.number {
            Some(_) => format!("SELECT {JOB_COLUMNS}, spec, params FROM job WHERE name = ?1 AND number = ?2"),
            None => {
                format!("SELECT {JOB_COLUMNS}, spec, params FROM job WHERE name = ?1 AND ?2 IS NULL ORDER BY number DESC LIMIT 1")
            }
        };
        let found = self
            .db
            .prepare_cached(&sql)
            .and_then(|mut statement| {
                statement
                    .query_row(params![job.name, job.number], |row| Ok((job_view(row)?, row.get::<_, String>(15)?, row.get(16)?)))
                    .optional()
            })
            .map_err(|e| unreadable(&e))?;
        let found: Option<(JobView, String, Option<String>)> = found;
        let Some((view, spec, set)) = found else { return Err(self.no_job(job)) };
        let spec: JobSpec = decode(&spec, || format!("the definition of job {}", view.name))?;
        let set = set.map(|set| decode(&set, || format!("the parameters of job {}", view.name))).transpose()?;
        Ok((
            view,
            match set {
                Some(set) => spec.with_params(&set),
                None => spec,
            },
        ))
    }

    /// Names of the parameters that a person changed.
    fn params_set(&self, job: u32) -> Result<Vec<String>, Refusal> {
        let sql = "SELECT k.key FROM job j, json_each(j.params) k WHERE j.id = ?1 ORDER BY k.key";
        let mut statement = self.db.prepare_cached(sql).map_err(|e| unreadable(&e))?;
        let names = statement.query_map([job], |row| row.get(0)).map_err(|e| unreadable(&e))?;
        names.collect::<rusqlite::Result<_>>().map_err(|e| unreadable(&e))
    }

    /// A task's place in its job.
    pub(super) fn place_of(&self, job: &JobView, id: &str) -> Result<u32, Refusal> {
        self.db
            .prepare_cached("SELECT idx FROM task WHERE job = ?1 AND id = ?2")
            .and_then(|mut statement| statement.query_row(params![job.id, id], |row| row.get(0)).optional())
            .map_err(|e| unreadable(&e))?
            .ok_or_else(|| self.no_task(job, id))
    }

    fn no_job(&self, job: &JobRef) -> Refusal {
        let names =
            self.db.prepare_cached("SELECT DISTINCT name FROM job ORDER BY id DESC LIMIT 2000").and_then(|mut statement| {
                statement.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()
            });
        let names = names.unwrap_or_default();
        let near = nearest(&job.name, names.iter().map(String::as_str));
        let hint = match near {
            Some(near) if near == job.name => format!("see `airx jobs` for the numbers of `{near}`"),
            Some(near) => format!("did you mean `{near}`? `airx jobs` lists all"),
            None => "`airx jobs` lists all".to_owned(),
        };
        Refusal { code: RefusalCode::NotFound, message: format!("there is no job `{job}`"), hint }
    }

    fn tasks(&self, job: &JobRef, from: u32, limit: u32, kinds: &[TaskKind]) -> Result<Vec<TaskView>, Refusal> {
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
            bytes += super::writer::json(&task).len();
            tasks.push(task);
            if tasks.len() >= limit.clamp(1, MAX_PAGE) as usize || bytes > MAX_PAGE_BYTES {
                break;
            }
        }
        Ok(tasks)
    }

    fn task(&self, address: &Address) -> Result<TaskDetail, Refusal> {
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

    fn no_task(&self, job: &JobView, id: &str) -> Refusal {
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
            bytes += super::writer::json(&attempt).len();
            // The newest are what people look for.
            attempts.push(attempt);
            while bytes > MAX_PAGE_BYTES && attempts.len() > 1 {
                bytes -= super::writer::json(&attempts.remove(0)).len();
            }
        }
        Ok(attempts)
    }

    fn events(&self, job: Option<&JobRef>, which: &Which) -> Result<Vec<EventView>, Refusal> {
        let job = job.map(|job| self.job(job)).transpose()?.map(|(view, _)| view.id);
        // A condition that the index answers, for each case.
        let of_job = match job {
            Some(_) if which.below => super::flows::BELOW,
            Some(_) => "e.job = ?2",
            None => "?2 IS NULL",
        };
        let of_task = if which.task.is_some() { "e.task = ?4" } else { "?4 IS NULL" };
        let order = if which.last { "DESC" } else { "ASC" };
        let sql = format!(
            "SELECT e.seq, e.at, e.body, j.name, j.number, t.id FROM event e LEFT JOIN job j ON j.id = e.job
             LEFT JOIN task t ON t.job = e.job AND t.idx = e.task
             WHERE e.seq > ?1 AND {of_job} AND {of_task} ORDER BY e.seq {order} LIMIT ?3"
        );
        let mut statement = self.db.prepare_cached(&sql).map_err(|e| unreadable(&e))?;
        let since = i64::try_from(which.since.0).unwrap_or(i64::MAX);
        let mut rows =
            statement.query(params![since, job, which.limit.clamp(1, MAX_PAGE), which.task]).map_err(|e| unreadable(&e))?;
        let (mut events, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows.next().map_err(|e| unreadable(&e))? {
            let body: String = row.get(2).map_err(|e| unreadable(&e))?;
            // A single definition may be larger than a frame; then a later page is what does not fit, never this one.
            if bytes + body.len() > MAX_PAGE_BYTES && !events.is_empty() {
                break;
            }
            bytes += body.len() + 200;
            // One that cannot be decoded keeps none of the others back; `status` and `doctor` tell of its job.
            events.extend(event_view(row, &body).ok());
        }
        if which.last {
            events.reverse();
        }
        Ok(events)
    }

    fn output(
        &self,
        address: &Address,
        attempt: Option<u32>,
        stream: OutputStream,
        offset: u64,
        limit: u32,
    ) -> Result<OutputPiece, Refusal> {
        let Located { view, id, idx, attempts, number } = self.located(address, attempt)?;
        if attempts == 0 {
            return Ok(OutputPiece { attempt: 0, offset, data: Vec::new(), size: 0, over: false });
        }
        // Whether it is over is read before the file: what is written in between is then asked for once more.
        let over = self
            .db
            .prepare_cached("SELECT closed IS NOT NULL FROM attempt WHERE job = ?1 AND task = ?2 AND number = ?3")
            .and_then(|mut statement| statement.query_row([view.id, idx, number], |row| row.get(0)).optional())
            .map_err(|e| unreadable(&e))?
            .unwrap_or(true);
        let directory = attempt_directory(self.home, &view.name.to_string(), &id, number);
        let (data, size) = output::piece(&directory, stream, offset, limit).map_err(|error| Refusal {
            code: RefusalCode::Unavailable,
            message: format!("cannot read the output in {}: {error}", directory.display()),
            hint: "check the permissions of the home".to_owned(),
        })?;
        Ok(OutputPiece { attempt: number, offset, data, size, over })
    }
}

/// An attempt of a task.
pub(super) struct Located {
    pub view: JobView,
    pub id: String,
    pub idx: u32,
    pub attempts: u32,
    pub number: u32,
}

impl Queries<'_> {
    /// Which attempt is meant: none is the newest.
    pub fn located(&self, address: &Address, attempt: Option<u32>) -> Result<Located, Refusal> {
        let (view, _) = self.job(&address.job)?;
        let id = address.task.clone().unwrap_or_default();
        let found: Option<(u32, u32)> = self
            .db
            .prepare_cached("SELECT idx, attempts FROM task WHERE job = ?1 AND id = ?2")
            .and_then(|mut statement| statement.query_row(params![view.id, id], |row| Ok((row.get(0)?, row.get(1)?))).optional())
            .map_err(|e| unreadable(&e))?;
        let Some((idx, attempts)) = found else { return Err(self.no_task(&view, &id)) };
        let number = attempt.unwrap_or(attempts);
        if number > attempts || attempt == Some(0) {
            return Err(Refusal {
                code: RefusalCode::NotFound,
                message: format!("{address} has {attempts} attempts, not {number}"),
                hint: "attempts are numbered from 1".to_owned(),
            });
        }
        Ok(Located { view, id, idx, attempts, number })
    }
}

fn job_view(row: &Row<'_>) -> rusqlite::Result<JobView> {
    Ok(JobView {
        id: row.get(0)?,
        name: job_name(row.get(1)?, row.get(2)?)?,
        state: job_state(&row.get::<_, String>(3)?),
        paused: row.get(4)?,
        stopped: row.get(5)?,
        tasks: serde_json::from_str(&row.get::<_, String>(6)?).unwrap_or_default(),
        submitted: Utc(row.get(7)?),
        updated: Utc(row.get(8)?),
        cost_microusd: row.get(9)?,
        priority: row.get(10)?,
        mapped: row.get::<_, Option<String>>(11)?.map(|kinds| Box::new(counted(&kinds))),
        parent: super::flows::parent(row, 12)?.map(Box::new),
    })
}

/// How often each kind is in a list of their numbers.
fn counted(kinds: &str) -> Counts {
    let mut counts = Counts::default();
    let kinds = kinds.split(',').filter_map(|kind| TaskKind::ALL.get(kind.parse::<usize>().ok()?));
    kinds.for_each(|kind| counts.add(*kind));
    counts
}

/// A name that clients can read back.
fn job_name(name: String, number: u32) -> rusqlite::Result<JobName> {
    if is_name(&name) { Ok(JobName { name, number }) } else { Err(rusqlite::Error::InvalidQuery) }
}

fn attempt_view(row: &Row<'_>, home: &Path, job: &JobName, task: &str) -> Result<AttemptView, Refusal> {
    let number: u32 = row.get(0).map_err(|e| unreadable(&e))?;
    let text = |column: usize| row.get::<_, Option<String>>(column).map_err(|e| unreadable(&e));
    let what = |part: &str| format!("{part} of {job}/{task} attempt {number}");
    Ok(AttemptView {
        number,
        pool: row.get(1).map_err(|e| unreadable(&e))?,
        opened: Utc(row.get(2).map_err(|e| unreadable(&e))?),
        closed: row.get::<_, Option<i64>>(3).map_err(|e| unreadable(&e))?.map(Utc),
        outcome: text(4)?.map(|text| decode(&text, || what("the outcome"))).transpose()?,
        facts: text(5)?.map(|text| decode(&text, || what("the facts"))).transpose()?,
        session: text(6)?,
        dir: attempt_directory(home, &job.to_string(), task, number),
    })
}

fn event_view(row: &Row<'_>, body: &str) -> Result<EventView, Refusal> {
    let seq: u64 = row.get(0).map_err(|e| unreadable(&e))?;
    // An event is shown without the names of a job whose row cannot be decoded.
    let (name, number): (Option<String>, Option<u32>) = (row.get(3).unwrap_or(None), row.get(4).unwrap_or(None));
    let mut change: Change = decode(body, || format!("event {seq}"))?;
    if let Change::JobSubmitted { spec, .. } = &mut change {
        *spec = Arc::new(spec.without_values());
    }
    if let Change::ScheduleSet { submission, .. } = &mut change {
        // What is shown of it is its rule. The whole definition may be larger than a frame, and holds the submitter's environment.
        let job = JobSpec { source: None, ..submission.job.without_values() };
        *submission = Arc::new(Submission { job, tasks: Vec::new() });
    }
    if let Change::TaskExpanded { items, .. } = &mut change
        && body.len() > MAX_EVENT_BYTES
    {
        // How many there are is told in any case; what they are, each in a few words, or by the rows.
        let most = (MAX_EVENT_BYTES / items.len().max(1)).saturating_sub(8);
        let short = |item: &serde_json::Value| shown(item).chars().take(most / 4).collect::<String>().into();
        *items = Arc::new(items.iter().map(short).collect());
    }
    if let Change::TaskAdded { spec, .. } = &mut change {
        Arc::make_mut(spec).reduce();
    }
    Ok(EventView {
        seq: Seq(seq),
        job: name.zip(number).and_then(|(name, number)| job_name(name, number).ok()),
        task: row.get(5).unwrap_or(None),
        event: Event { at: Utc(row.get(1).map_err(|e| unreadable(&e))?), change },
    })
}

/// UTC, to the second, for readers without a time zone; clients that have one show their own.
fn utc_clock(at: Utc) -> String {
    jiff::Timestamp::from_millisecond(at.0)
        .map(|at| at.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
        .unwrap_or_else(|_| format!("{} ms", at.0))
}

fn get2<A: rusqlite::types::FromSql, B: rusqlite::types::FromSql>(row: &Row<'_>) -> Result<(A, B), Refusal> {
    Ok((row.get(0).map_err(|e| unreadable(&e))?, row.get(1).map_err(|e| unreadable(&e))?))
}

pub(super) fn job_state(word: &str) -> JobState {
    [JobState::Waiting, JobState::Working, JobState::Completed, JobState::Failed, JobState::Cancelled]
        .into_iter()
        .find(|state| state.word() == word)
        .unwrap_or(JobState::Waiting)
}

pub(super) fn decode<T: DeserializeOwned>(text: &str, what: impl Fn() -> String) -> Result<T, Refusal> {
    serde_json::from_str(text).map_err(|error| Refusal {
        code: RefusalCode::Unavailable,
        message: format!("{} cannot be decoded: {error}", what()),
        hint: "`airx doctor` checks the database, `airx doctor --repair` mends it".to_owned(),
    })
}

/// The name most like `wanted`, when one is like it at all.
fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names
        .map(|name| (strsim::jaro_winkler(wanted, name), name))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}
