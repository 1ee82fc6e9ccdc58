//! What a journal says of questions, and of approvals, which end by them.

use crate::model::ids::AttemptId;
use crate::model::question::{Answer, OF_APPROVAL};
use crate::model::state::TaskState;
use crate::model::stored::StoredQuestion;
use crate::model::time::Utc;

use super::ReplayedTask;

impl ReplayedTask {
    /// To another state without an attempt. An approval is left by what its question was answered.
    pub(super) fn leave(&mut self, state: &TaskState) -> Result<(), String> {
        if let TaskState::AwaitingApproval { question } = &self.state {
            let Some(known) = self.questions.iter().find(|known| known.id == *question && known.is_settled) else {
                return Err(format!("an approval is over while its question {question} waits"));
            };
            let is_approved = matches!(known.answer, Some(Answer::Approve { .. }));
            if (*state == TaskState::Completed) != is_approved {
                return Err(format!("an approval that was answered {:?} is {}", known.answer, state.kind().word()));
            }
        }
        self.go(state);
        Ok(())
    }

    /// A question; an approval has one at a time, and forgets what came of the one before.
    pub(super) fn asked(&mut self, attempt: AttemptId, question: StoredQuestion) -> Result<(), String> {
        if attempt.number == OF_APPROVAL {
            if self.state != TaskState::Queued {
                return Err(format!("an approval is asked for while its task is {}", self.state.kind().word()));
            }
            self.questions.clear();
            self.result = None;
        }
        self.questions.push(question);
        Ok(())
    }

    /// A question waits for less long than was said.
    pub(super) fn hastened(&mut self, id: u32, expires: Utc) -> Result<(), String> {
        match self.questions.iter_mut().find(|known| known.id == id && !known.is_settled) {
            Some(known) if known.expires.is_some_and(|before| expires < before) => {
                known.expires = Some(expires);
                Ok(())
            }
            _ => Err(format!("question {id} is hastened, but does not wait for longer")),
        }
    }
}
