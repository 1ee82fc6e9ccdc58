//! Whose change it is: of which job, and of which task.

use super::Change;
use crate::model::ids::{JobId, TaskIdx};

impl Change {
    /// The job it belongs to; none for [`Change::AllPaused`], [`Change::CredentialMoved`] and what happens to schedules.
    pub fn job(&self) -> Option<JobId> {
        self.place().map(|(job, _)| job)
    }

    /// The task it belongs to, if any.
    pub fn task(&self) -> Option<TaskIdx> {
        self.place()?.1
    }

    fn place(&self) -> Option<(JobId, Option<TaskIdx>)> {
        match self {
            Change::TaskAdded { job, task, .. }
            | Change::TaskMoved { job, task, .. }
            | Change::TaskRequeued { job, task, .. }
            | Change::TaskEnded { job, task, .. }
            | Change::TaskExpanded { job, task, .. } => Some((*job, Some(*task))),
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
            | Change::OutboxRefused { attempt, .. } => Some((attempt.job, Some(attempt.task))),
            Change::JobSubmitted { job, .. }
            | Change::JobMoved { job, .. }
            | Change::JobPaused { job, .. }
            | Change::RuleAdded { job, .. }
            | Change::BudgetSet { job, .. }
            | Change::PrioritySet { job, .. }
            | Change::ParamsSet { job, .. }
            | Change::JobStopped { job, .. } => Some((*job, None)),
            Change::AllPaused { .. }
            | Change::CredentialMoved { .. }
            | Change::ScheduleSet { .. }
            | Change::ScheduleMoved { .. }
            | Change::SchedulePaused { .. }
            | Change::ScheduleRemoved { .. } => None,
        }
    }
}
