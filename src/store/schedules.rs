//! What is read of schedules: for memory, for the check of the tables, and for people.

use rusqlite::{Connection, OptionalExtension, Row};

use crate::manager::ports::StoreError;
use crate::model::diagnostic::nearest;
use crate::model::ids::JobName;
use crate::model::message::{Refusal, RefusalCode, ScheduleDetail, ScheduleView};
use crate::model::schedule::{MAX_SCHEDULES, Passed, Rule, ScheduleState};
use crate::model::spec::Submission;
use crate::model::state::JobState;
use crate::model::stored::StoredSchedule;
use crate::model::time::Utc;

use super::error::during;
use super::load::{self, Undecodable, bytes, decode};
use super::queries::{Queries, decode as decode_text, job_state};
use super::reader::unreadable;

/// Times to come that are shown.
const UPCOMING: usize = 5;
const COLUMNS: &str = "name, rule, submission, state";

/// What cannot be decoded, and why.
type SetAside = Vec<(JobName, String)>;

/// All schedules, and those whose rows cannot be decoded, with why.
pub(super) fn all(connection: &Connection) -> Result<(Vec<StoredSchedule>, SetAside), StoreError> {
    let error = during("reading the schedules");
    let (mut schedules, mut bad) = (Vec::new(), Vec::new());
    let mut statement = connection.prepare(&format!("SELECT {COLUMNS} FROM schedule ORDER BY name")).map_err(&error)?;
    let mut rows = statement.query([]).map_err(&error)?;
    while let Some(row) = rows.next().map_err(&error)? {
        match stored(row) {
            Ok(schedule) => {
                let last_number = load::last_number(connection, &schedule.name)?;
                schedules.push(StoredSchedule { last_number, ..schedule });
            }
            Err(why) => {
                let name = row.get(0).unwrap_or_else(|_| "unreadable".to_owned());
                bad.push((JobName { name, number: 0 }, format!("its schedule does not fire: {why}")));
            }
        }
    }
    Ok((schedules, bad))
}

fn stored(row: &Row<'_>) -> Result<StoredSchedule, Undecodable> {
    let text = |column: usize| bytes(row, column).map_err(|error| format!("the schedule cannot be read: {error}"));
    let name = row.get::<_, String>(0).map_err(|error| format!("the schedule cannot be read: {error}"))?;
    Ok(StoredSchedule {
        name,
        rule: decode("the schedule's rule", &text(1)?)?,
        submission: std::sync::Arc::new(decode("the schedule's job", &text(2)?)?),
        state: decode("the schedule's state", &text(3)?)?,
        last_number: 0,
    })
}

/// The newest times of a schedule and what became of them, oldest first.
pub(super) fn passed(connection: &Connection, name: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare_cached("SELECT body FROM firing WHERE schedule = ?1 ORDER BY seq")?;
    let rows = statement.query_map([name], |row| row.get(0))?;
    rows.collect()
}

impl Queries<'_> {
    /// How many schedules are there, and when the next one is due.
    pub fn schedules_at_a_glance(&self) -> Result<(u32, Option<Utc>), Refusal> {
        self.db
            .query_row("SELECT count(*), min(next) FROM schedule", [], |row| {
                Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?.map(Utc)))
            })
            .map_err(|e| unreadable(&e))
    }

    /// All schedules by name.
    pub fn schedules(&self) -> Result<Vec<ScheduleView>, Refusal> {
        let sql = format!("SELECT {COLUMNS} FROM schedule ORDER BY name LIMIT {MAX_SCHEDULES}");
        let mut statement = self.db.prepare_cached(&sql).map_err(|e| unreadable(&e))?;
        let mut rows = statement.query([]).map_err(|e| unreadable(&e))?;
        let mut views = Vec::new();
        while let Some(row) = rows.next().map_err(|e| unreadable(&e))? {
            // One that cannot be decoded keeps no other from being shown; the manager tells of it.
            if let Ok(schedule) = stored(row) {
                views.push(self.schedule_view(schedule.name, schedule.rule, schedule.state)?);
            }
        }
        Ok(views)
    }

    fn schedule_view(&self, name: String, rule: Rule, state: ScheduleState) -> Result<ScheduleView, Refusal> {
        let newest = passed(self.db, &name).map_err(|e| unreadable(&e))?.pop();
        let newest = newest.map(|text| decode_text::<Passed>(&text, || format!("a time of the schedule {name}"))).transpose()?;
        let last_state = match &state.last {
            Some(job) => self.state_of(job)?,
            None => None,
        };
        Ok(ScheduleView { name, words: rule.to_string(), rule, state, last_state, newest })
    }

    fn state_of(&self, job: &JobName) -> Result<Option<JobState>, Refusal> {
        let found = self
            .db
            .prepare_cached("SELECT state FROM job WHERE name = ?1 AND number = ?2")
            .and_then(|mut statement| statement.query_row((&job.name, job.number), |row| row.get::<_, String>(0)).optional());
        Ok(found.map_err(|e| unreadable(&e))?.map(|word| job_state(&word)))
    }

    /// One schedule in full.
    pub fn schedule(&self, name: &str) -> Result<ScheduleDetail, Refusal> {
        let found = self
            .db
            .prepare_cached(&format!("SELECT {COLUMNS} FROM schedule WHERE name = ?1"))
            .and_then(|mut statement| statement.query_row([name], |row| Ok(stored(row))).optional())
            .map_err(|e| unreadable(&e))?;
        let schedule = match found {
            Some(Ok(schedule)) => schedule,
            Some(Err(message)) => {
                let hint = "`airx stop`, then `airx doctor --repair` mends it".to_owned();
                return Err(Refusal { code: RefusalCode::Unavailable, message, hint });
            }
            None => return Err(self.no_schedule(name)),
        };
        let StoredSchedule { name, rule, submission, state, .. } = schedule;
        let upcoming = upcoming(&rule, &state);
        let texts = passed(self.db, &name).map_err(|e| unreadable(&e))?;
        let passed =
            texts.iter().map(|text| decode_text(text, || format!("a time of the schedule {name}"))).collect::<Result<_, _>>()?;
        let view = self.schedule_view(name, rule, state)?;
        let Submission { job, tasks } = submission.as_ref();
        let tasks = tasks.iter().take(100).map(|task| task.id.clone()).collect();
        Ok(ScheduleDetail { schedule: view, spec: job.without_values(), tasks, upcoming, passed })
    }

    fn no_schedule(&self, name: &str) -> Refusal {
        let names = self.db.prepare_cached("SELECT name FROM schedule ORDER BY name").and_then(|mut statement| {
            statement.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()
        });
        let names = names.unwrap_or_default();
        let hint = match nearest(name, names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`? `airx schedule` lists all"),
            None => "`airx schedule` lists all".to_owned(),
        };
        Refusal { code: RefusalCode::NotFound, message: format!("there is no schedule `{name}`"), hint }
    }
}

/// The times to come, by the next one that is stored.
fn upcoming(rule: &Rule, state: &ScheduleState) -> Vec<Utc> {
    let (Some(next), Ok(times)) = (state.next, rule.times(state.anchor)) else { return Vec::new() };
    std::iter::successors(Some(next.due), |due| times.next_after(*due)).take(UPCOMING).collect()
}
