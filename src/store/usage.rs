//! Answers about questions to a person, credentials and what Claude runs use.

use rusqlite::{Row, params};

use crate::model::core::{default_answer, default_of};
use crate::model::credential::CredentialState;
use crate::model::ids::{Address, JobName};
use crate::model::message::{CredentialView, MAX_PAGE, Refusal, UsageView};
use crate::model::question::{Question, QuestionView};
use crate::model::spec::{Action, TaskSpec};
use crate::model::time::Utc;

use super::queries::Queries;
use super::reader::unreadable;

/// A page of questions ends at this size, so that it fits a frame.
const MAX_PAGE_BYTES: usize = 700 * 1024;
/// Claude runs that live: they alone have sessions. Begun at the attempts, whose index holds no others.
const LIVE: &str = "FROM attempt a CROSS JOIN job j ON j.id = a.job
     WHERE a.closed IS NULL AND a.session IS NOT NULL AND j.over = 0";

impl Queries<'_> {
    /// Questions that wait.
    pub(super) fn open_questions(&self) -> Result<u32, Refusal> {
        self.db
            .prepare_cached("SELECT count(*) FROM question WHERE settled IS NULL")
            .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
            .map_err(|e| unreadable(&e))
    }

    pub(super) fn questions(&self, of: Option<&Address>, all: bool, limit: u32) -> Result<Vec<QuestionView>, Refusal> {
        let job = of.map(|of| self.job(&of.job)).transpose()?.map(|(view, _)| view.id);
        let task = of.and_then(|of| of.task.as_deref());
        let which = if all { "1" } else { "q.settled IS NULL" };
        let order = if all { "DESC" } else { "ASC" };
        let sql = format!(
            "SELECT q.id, j.name, j.number, t.id, q.attempt, q.asked, q.body, q.expires, q.answer, q.answerer, q.settled, d.spec, q.answerer_name
             FROM question q JOIN job j ON j.id = q.job JOIN task t ON t.job = q.job AND t.idx = q.task
             JOIN definition d ON d.job = q.job AND d.idx = coalesce(t.mapping, t.idx)
             WHERE {which} AND (?1 IS NULL OR q.job = ?1) AND (?2 IS NULL OR t.id = ?2) ORDER BY q.id {order} LIMIT ?3"
        );
        let mut statement = self.db.prepare_cached(&sql).map_err(|e| unreadable(&e))?;
        let mut rows = statement.query(params![job, task, limit.clamp(1, MAX_PAGE)]).map_err(|e| unreadable(&e))?;
        let (mut found, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows.next().map_err(|e| unreadable(&e))? {
            bytes += row.get_ref(6).ok().and_then(|body| body.as_bytes().ok().map(<[u8]>::len)).unwrap_or(0);
            if bytes > MAX_PAGE_BYTES && !found.is_empty() {
                break;
            }
            // One that cannot be decoded keeps no other from being shown.
            found.extend(view(row).ok().flatten());
        }
        Ok(found)
    }

    pub(super) fn usage(&self) -> Result<UsageView, Refusal> {
        let mut credentials = Vec::new();
        let mut statement =
            self.db.prepare_cached("SELECT name, state FROM credential ORDER BY name").map_err(|e| unreadable(&e))?;
        let mut rows = statement.query([]).map_err(|e| unreadable(&e))?;
        while let Some(row) = rows.next().map_err(|e| unreadable(&e))? {
            let Ok(name) = row.get::<_, String>(0) else { continue };
            let state: CredentialState =
                row.get::<_, String>(1).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
            credentials.push(CredentialView { name, state });
        }
        let begins = self.around.day_begins;
        let (past_cost, past_tokens) = self.sums(
            "SELECT CAST(total(cost) AS INTEGER), CAST(total(tokens) AS INTEGER) FROM attempt WHERE (tokens > 0 OR cost > 0) AND closed >= ?1",
            begins,
        )?;
        let (live_cost, live_tokens) = self.sums(
            &format!(
                "SELECT CAST(total(json_extract(a.seen, '$.spent.cost_microusd')) AS INTEGER),
                    CAST(total(json_extract(a.seen, '$.spent.input_tokens') + json_extract(a.seen, '$.spent.output_tokens')) AS INTEGER)
                    {LIVE} AND ?1 = ?1 AND json_valid(a.seen)"
            ),
            begins,
        )?;
        Ok(UsageView {
            credentials,
            today_microusd: past_cost.saturating_add(live_cost),
            today_tokens: past_tokens.saturating_add(live_tokens),
            day: self.around.claude.day,
            running: self.claude_running()?,
            max_parallel: self.around.claude.max_parallel,
        })
    }

    /// Claude runs that live.
    pub(super) fn claude_running(&self) -> Result<u32, Refusal> {
        self.db
            .prepare_cached(&format!("SELECT count(*) {LIVE}"))
            .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
            .map_err(|e| unreadable(&e))
    }

    fn sums(&self, sql: &str, since: Utc) -> Result<(u64, u64), Refusal> {
        let number = |row: &Row<'_>, column| row.get::<_, i64>(column).map(|number| u64::try_from(number).unwrap_or(0));
        self.db
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_row([since.0], |row| Ok((number(row, 0)?, number(row, 1)?))))
            .map_err(|e| unreadable(&e))
    }
}

fn view(row: &Row<'_>) -> rusqlite::Result<Option<QuestionView>> {
    let Ok(question) = serde_json::from_str::<Question>(&row.get::<_, String>(6)?) else { return Ok(None) };
    let decoded = |column: usize| row.get::<_, Option<String>>(column);
    let settled: Option<i64> = row.get(10)?;
    let expires = row.get::<_, Option<i64>>(7)?.map(Utc);
    let is_tool = matches!(question.body, crate::model::question::QuestionBody::Permission { .. });
    let default = match serde_json::from_str::<TaskSpec>(&row.get::<_, String>(11)?).ok().map(|spec| spec.action) {
        Some(Action::Claude(claude)) => default_answer(is_tool && claude.permissions.is_some_and(|ask| ask.allows)),
        Some(Action::Approve(asks)) => default_of(&asks),
        _ => default_answer(false),
    };
    Ok(Some(QuestionView {
        id: row.get(0)?,
        job: JobName { name: row.get(1)?, number: row.get(2)? },
        task: row.get(3)?,
        attempt: row.get(4)?,
        asked: Utc(row.get(5)?),
        body: question.body,
        expires,
        default: expires.map(|_| default),
        answer: decoded(8)?.and_then(|text| serde_json::from_str(&text).ok()),
        by: decoded(9)?.and_then(|text| serde_json::from_str(&text).ok()),
        by_name: row.get(12)?,
        answered: settled.map(Utc),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_at_every_look_reads_no_more_than_what_lives_or_waits() {
        let mut connection = rusqlite::Connection::open_in_memory().unwrap();
        crate::store::schema::migrate(&mut connection).unwrap();
        let plan = |sql: &str| -> Vec<String> {
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            statement.query_map([], |row| row.get(3)).unwrap().map(Result::unwrap).collect()
        };
        let live = plan(&format!("SELECT count(*) {LIVE}"));
        assert_eq!(live, ["SCAN a USING INDEX attempt_open", "SEARCH j USING COVERING INDEX job_live (id=? AND rowid=?)"]);
        assert_eq!(plan("SELECT count(*) FROM question WHERE settled IS NULL"), ["SCAN question USING INDEX question_open"]);
    }
}
