//! Whose change it is: of which job, and of which task.

use super::Change;
use crate::model::ids::{JobId, TaskIdx};

impl Change {
    /// The job it belongs to; none for [`Change::AllPaused`], [`Change::CredentialMoved`] and what happens to schedules.
    pub fn job(&self) -> Option<JobId> {
        match self {
            Change::JobSubmitted { job, .. }
            | Change::TaskAdded { job, .. }
            | Change::TaskMoved { job, .. }
            | Change::TaskRequeued { job, .. }
            | Change::TaskEnded { job, .. }
            | Change::TaskExpanded { job, .. }
            | Change::JobMoved { job, .. }
            | Change::JobPaused { job, .. }
            | Change::RuleAdded { job, .. }
            | Change::BudgetSet { job, .. }
            | Change::PrioritySet { job, .. }
            | Change::ParamsSet { job, .. }
            | Change::JobStopped { job, .. } => Some(*job),
            Change::AttemptOpened { attempt, .. }
            | Change::AttemptStarted { attempt }
            | Change::AttemptClosed { attempt, .. }
            | Change::AttemptStale { attempt, .. }
            | Change::ResultSet { attempt, .. }
            | Change::ProgressSet { attempt, .. }
            | Change::QuestionAsked { attempt, .. }
            | Change::QuestionAnswered { attempt, .. }
            | Change::QuestionHastened { attempt, .. }
            | Change::RunSeen { attempt, .. }
            | Change::OutboxRefused { attempt, .. } => Some(attempt.job),
            Change::AllPaused { .. }
            | Change::CredentialMoved { .. }
            | Change::ScheduleSet { .. }
            | Change::ScheduleMoved { .. }
            | Change::SchedulePaused { .. }
            | Change::ScheduleRemoved { .. } => None,
        }
    }

    /// The task it belongs to, if any.
    pub fn task(&self) -> Option<TaskIdx> {
        match self {
            Change::TaskAdded { task, .. }
            | Change::TaskMoved { task, .. }
            | Change::TaskRequeued { task, .. }
            | Change::TaskEnded { task, .. }
            | Change::TaskExpanded { task, .. } => Some(*task),
            Change::AttemptOpened { attempt, .. }
            | Change::AttemptStarted { attempt }
            | Change::AttemptClosed { attempt, .. }
            | Change::AttemptStale { attempt, .. }
            | Change::ResultSet { attempt, .. }
            | Change::ProgressSet { attempt, .. }
            | Change::QuestionAsked { attempt, .. }
            | Change::QuestionAnswered { attempt, .. }
            | Change::QuestionHastened { attempt, .. }
            | Change::RunSeen { attempt, .. }
            | Change::OutboxRefused { attempt, .. } => Some(attempt.task),
            Change::JobSubmitted { .. }
            | Change::RuleAdded { .. }
            | Change::BudgetSet { .. }
            | Change::PrioritySet { .. }
            | Change::ParamsSet { .. }
            | Change::CredentialMoved { .. }
            | Change::JobMoved { .. }
            | Change::JobPaused { .. }
            | Change::JobStopped { .. }
            | Change::ScheduleSet { .. }
            | Change::ScheduleMoved { .. }
            | Change::SchedulePaused { .. }
            | Change::ScheduleRemoved { .. }
            | Change::AllPaused { .. } => None,
        }
    }
}
