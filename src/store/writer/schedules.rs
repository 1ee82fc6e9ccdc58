//! Rows of schedules.

use rusqlite::params;

use crate::manager::ports::StoreError;
use crate::model::change::Change;
use crate::model::schedule::{MAX_FIRINGS, ScheduleState};

use super::{Writer, json};

impl Writer<'_> {
    /// The rows of a change about a schedule. None contradicts what is there: a schedule that is damaged harms no other.
    pub(super) fn schedule_row(&mut self, seq: i64, change: &Change) -> Result<(), StoreError> {
        match change {
            Change::ScheduleSet { name, rule, submission, state } => self.execute(
                "INSERT INTO schedule (name, rule, submission, state, next, updated) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (name) DO UPDATE SET rule = excluded.rule, submission = excluded.submission,
                   state = excluded.state, next = excluded.next, updated = excluded.updated",
                params![name, json(rule), json(submission), json(state), state.next.map(|next| next.at.0), self.at.0],
            ),
            Change::ScheduleMoved { name, passed, state } => {
                self.schedule_state(name, state)?;
                let Some(passed) = passed else { return Ok(()) };
                self.execute("INSERT INTO firing (schedule, seq, body) VALUES (?1, ?2, ?3)", params![name, seq, json(passed)])?;
                self.execute(
                    "DELETE FROM firing WHERE schedule = ?1 AND seq <
                       (SELECT seq FROM firing WHERE schedule = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)",
                    params![name, MAX_FIRINGS - 1],
                )
            }
            Change::SchedulePaused { name, state, .. } => self.schedule_state(name, state),
            Change::ScheduleRemoved { name } => {
                self.execute("DELETE FROM schedule WHERE name = ?1", [name])?;
                self.execute("DELETE FROM firing WHERE schedule = ?1", [name])
            }
            _ => Ok(()),
        }
    }

    fn schedule_state(&mut self, name: &str, state: &ScheduleState) -> Result<(), StoreError> {
        self.execute(
            "UPDATE schedule SET state = ?2, next = ?3, updated = ?4 WHERE name = ?1",
            params![name, json(state), state.next.map(|next| next.at.0), self.at.0],
        )
    }
}
