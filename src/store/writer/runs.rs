//! Rows of what belongs to Claude runs, to retries, and of what a person changes at a job.

use rusqlite::params;

use crate::manager::ports::StoreError;
use crate::model::change::{Change, RoundFacts, Rounds};
use crate::model::ids::{JobId, TaskIdx};
use crate::model::question::OF_APPROVAL;
use crate::model::spec::RetryClass;
use crate::model::state::Outcome;

use super::{Writer, json};
use crate::store::error::during;

impl Writer<'_> {
    /// The row of a change about a question, a rule, a budget, a priority, parameters, a credential or a run that goes on.
    pub(super) fn run_row(&mut self, change: &Change) -> Result<(), StoreError> {
        match change {
            Change::QuestionAsked { attempt, id, question, expires } => {
                if attempt.number == OF_APPROVAL {
                    let place = params![attempt.job.0, attempt.task.0];
                    self.execute("UPDATE task SET result = NULL WHERE job = ?1 AND idx = ?2", place)?;
                }
                self.execute(
                    "INSERT INTO question (id, job, task, attempt, body, asked, expires) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    params![id, attempt.job.0, attempt.task.0, attempt.number, json(question), self.at.0, expires.map(|at| at.0)],
                )
            }
            Change::QuestionAnswered { id, answer, by, by_name, .. } => self.execute(
                "UPDATE question SET settled = ?2, answer = ?3, answerer = ?4, answerer_name = ?5
                 WHERE id = ?1 AND settled IS NULL",
                params![id, self.at.0, answer.as_ref().map(json), json(by), by_name],
            ),
            Change::QuestionHastened { id, expires, .. } => {
                self.execute("UPDATE question SET expires = ?2 WHERE id = ?1 AND settled IS NULL", params![id, expires.0])
            }
            Change::RuleAdded { job, rule } => self.execute(
                "UPDATE job SET rules = json_insert(ifnull(rules, '[]'), '$[#]', ?2), updated = ?3 WHERE id = ?1",
                params![job.0, rule, self.at.0],
            ),
            Change::BudgetSet { job, budget } => {
                self.execute("UPDATE job SET budget = ?2, updated = ?3 WHERE id = ?1", params![job.0, json(budget), self.at.0])
            }
            Change::PrioritySet { job, priority } => {
                self.execute("UPDATE job SET priority = ?2, updated = ?3 WHERE id = ?1", params![job.0, priority, self.at.0])
            }
            Change::ParamsSet { job, params } => {
                self.execute("UPDATE job SET params = ?2, updated = ?3 WHERE id = ?1", params![job.0, json(params), self.at.0])
            }
            Change::CredentialMoved { credential, state } => self.execute(
                "INSERT INTO credential (name, state) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET state = excluded.state",
                params![credential.0, json(state)],
            ),
            Change::RunSeen { attempt, facts } => self.execute(
                "UPDATE attempt SET seen = ?4 WHERE job = ?1 AND task = ?2 AND number = ?3",
                params![attempt.job.0, attempt.task.0, attempt.number, json(facts)],
            ),
            _ => Ok(()),
        }
    }

    /// Counts how an attempt ended, by class.
    pub(super) fn add_spent(&mut self, job: JobId, task: TaskIdx, outcome: &Outcome) -> Result<(), StoreError> {
        let Some(class) = RetryClass::of(outcome) else { return Ok(()) };
        self.execute(
            "UPDATE task SET spent = json_set(ifnull(spent, '{}'), ?3, ifnull(json_extract(spent, ?3), 0) + 1)
             WHERE job = ?1 AND idx = ?2",
            params![job.0, task.0, format!("$.\"{class}\"")],
        )
    }

    pub(super) fn add_round(&mut self, job: JobId, task: TaskIdx, round: &RoundFacts) -> Result<(), StoreError> {
        let known: Option<String> = self
            .transaction
            .prepare_cached("SELECT rounds FROM task WHERE job = ?1 AND idx = ?2")
            .and_then(|mut statement| statement.query_row([job.0, task.0], |row| row.get(0)))
            .map_err(during("reading a task"))?;
        let mut rounds: Rounds = known.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        rounds.add(round);
        self.execute("UPDATE task SET rounds = ?3 WHERE job = ?1 AND idx = ?2", params![job.0, task.0, json(&rounds)])
    }
}
