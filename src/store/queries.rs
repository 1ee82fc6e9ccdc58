//! Answers to queries, row by row.

mod rows;
mod tasks;

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use crate::manager::launch::attempt_directory;
use crate::model::change::Seq;
use crate::model::ids::{Address, JobRef};
use crate::model::message::{
    Answer, EventView, JobDetail, JobView, MAX_PAGE, OutputPiece, OutputStream, OverviewView, PoolView, Query, Refusal,
    RefusalCode, StatusView,
};
use crate::model::spec::JobSpec;
use crate::model::state::{Counts, TaskKind};

use super::mapping::{self};
use super::output;
use super::reader::{Surroundings, unreadable};
pub(super) use rows::{decode, job_state};
use rows::{event_view, get2, job_view, nearest};

/// A page ends when its encoded rows reach this size, so that it fits a frame.
pub(super) const MAX_PAGE_BYTES: usize = 700 * 1024;
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
            stranded: self.around.stranded(),
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
