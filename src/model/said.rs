//! What happened to mapped tasks, around Claude runs and to schedules, in words: the same for the command line and the screen.

use super::change::Change;
use super::credential::CredentialHold;
use super::question::{Answer, AnsweredBy, OF_APPROVAL};
use super::state::{Outcome, SkipReason, TaskState};

/// The state that a task went to, with why where the state has it.
pub fn went_to(state: &TaskState) -> String {
    let word = state.kind().word();
    match state {
        TaskState::Skipped { why } => format!("{word} ({})", skipped(*why)),
        TaskState::Mapped { .. } => "goes on with its instances".to_owned(),
        TaskState::Delegated { job } => format!("delegated to {job}"),
        _ => word.to_owned(),
    }
}

/// Why a task never ran.
pub fn skipped(why: SkipReason) -> &'static str {
    match why {
        SkipReason::Rule => "its rule does not hold",
        SkipReason::If => "its `if` is false",
        SkipReason::Empty => "its list is empty",
        SkipReason::Gone => "its item is not in the list any more",
        SkipReason::Stopped => "a task failed (on_failure: stop)",
    }
}

/// In words, when it is about a mapped task, an end without an attempt, a question, a credential, a budget, a run that goes on, or a schedule.
pub fn said(change: &Change) -> Option<String> {
    Some(match change {
        Change::TaskExpanded { items, .. } => match items.len() {
            0 => went_to(&TaskState::Skipped { why: SkipReason::Empty }),
            1 => "mapped: 1 instance".to_owned(),
            count => format!("mapped: {count} instances"),
        },
        Change::TaskEnded { outcome, state, .. } => match outcome.as_ref() {
            Outcome::Succeeded | Outcome::Cancelled => went_to(state),
            outcome => format!("{} ({})", state.kind().word(), outcome.sentence()),
        },
        Change::QuestionAsked { id, question, .. } => format!("asks ({id}): {}", question.body.line()),
        Change::QuestionAnswered { attempt, id, answer, by, by_name } => {
            let comment = answer.as_deref().and_then(Answer::comment).map_or(String::new(), |text| format!(": {text}"));
            let answer = match answer.as_deref() {
                Some(Answer::Allow { always: true, .. }) => "allowed for the whole job",
                Some(Answer::Allow { input: Some(_), .. }) => "allowed with another input",
                Some(Answer::Allow { .. }) => "allowed",
                Some(Answer::Deny { .. }) => "denied",
                Some(Answer::Say { .. }) => "answered",
                Some(Answer::Approve { .. }) => "approved",
                Some(Answer::Reject { .. }) => "rejected",
                None => "void",
            };
            let by = match by {
                AnsweredBy::Person => by_name.as_deref().map_or("by a person".to_owned(), |name| format!("by {name}")),
                AnsweredBy::Rule => "by a rule of the job".to_owned(),
                AnsweredBy::Timeout => "since nobody answered in time".to_owned(),
                AnsweredBy::Over if attempt.number == OF_APPROVAL => "since its task was cancelled".to_owned(),
                AnsweredBy::Over => "since its attempt is over".to_owned(),
            };
            format!("question {id} {answer} {by}{comment}")
        }
        Change::QuestionHastened { id, .. } => {
            format!("question {id} waits no longer than was said, since the clock was put back")
        }
        Change::RuleAdded { rule, .. } => format!("allowed for the whole job: {rule}"),
        Change::BudgetSet { budget, .. } => match budget {
            None => "no budget any more".to_owned(),
            Some(budget) => format!("budget {}", super::money::most(budget)),
        },
        Change::PrioritySet { priority, .. } => format!("priority {priority}"),
        Change::ParamsSet { params, .. } => {
            let said = params.iter().map(|(name, value)| format!("{name}={value}"));
            format!("parameters for what starts from now on: {}", said.collect::<Vec<_>>().join(", "))
        }
        Change::CredentialMoved { credential, state } => match &state.hold {
            None => format!("{credential} works"),
            Some(CredentialHold::Limit { told: true, .. }) => format!("{credential} has reached its usage limit"),
            Some(CredentialHold::Limit { .. }) => format!("{credential} has reached a usage limit whose end is not known"),
            Some(CredentialHold::Login { .. }) => format!("{credential} was refused: somebody has to log in"),
        },
        Change::RunSeen { facts, .. } => match &facts.todo {
            Some((done, total, active)) => format!("{done}/{total} {active}").trim_end().to_owned(),
            None if facts.turns == 0 => "its session began".to_owned(),
            None => format!("turn {}", facts.turns),
        },
        Change::ScheduleSet { name, rule, .. } => format!("{name}: {rule}"),
        Change::ScheduleMoved { name, passed: Some(passed), .. } => {
            format!("{name}, due {}: {}", passed.due.rfc3339(), passed.what)
        }
        Change::ScheduleMoved { name, .. } => format!("{name}: other times to come"),
        Change::SchedulePaused { name, paused: true, .. } => format!("{name} paused"),
        Change::SchedulePaused { name, .. } => format!("{name} resumed"),
        Change::ScheduleRemoved { name } => format!("{name} removed"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::{JobId, TaskIdx};
    use crate::model::spec::Budget;
    use crate::model::state::FailCause;

    #[test]
    fn a_budget_is_told_as_it_was_set_and_never_as_nothing() {
        let told = |budget| said(&Change::BudgetSet { job: JobId(1), budget });
        let of = |microusd, tokens| Some(Budget { microusd, tokens });
        assert_eq!(told(None).as_deref(), Some("no budget any more"));
        assert_eq!(told(of(Some(100), None)).as_deref(), Some("budget <$0.01"));
        assert_eq!(told(of(Some(5_000_000), Some(1_200_000))).as_deref(), Some("budget $5 and 1.2M tokens"));
    }

    #[test]
    fn what_becomes_of_a_mapped_task_is_said() {
        let (job, task) = (JobId(1), TaskIdx(2));
        let list = |count: usize| {
            let items = std::sync::Arc::new(vec![serde_json::Value::Null; count]);
            said(&Change::TaskExpanded { job, task, items })
        };
        assert_eq!(list(4).as_deref(), Some("mapped: 4 instances"));
        assert_eq!(list(0).as_deref(), Some("skipped (its list is empty)"));
        let ended = |outcome, state| said(&Change::TaskEnded { job, task, outcome: Box::new(outcome), state, result: None });
        assert_eq!(ended(Outcome::Succeeded, TaskState::Completed).as_deref(), Some("completed"));
        let failed = Outcome::Failed { cause: FailCause::Instances { failed: 1, of: 3 } };
        assert_eq!(ended(failed, TaskState::Failed).as_deref(), Some("failed (1 of 3 instances failed)"));
        assert_eq!(went_to(&TaskState::Skipped { why: SkipReason::If }), "skipped (its `if` is false)");
    }
}
