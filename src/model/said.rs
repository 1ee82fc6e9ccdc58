//! What happened around Claude runs, in words: the same for the command line and the screen.

use super::change::Change;
use super::credential::CredentialHold;
use super::question::{Answer, AnsweredBy};

/// In words, when it is about a question, a credential, a budget or a run that goes on.
pub fn said(change: &Change) -> Option<String> {
    Some(match change {
        Change::QuestionAsked { id, question, .. } => format!("asks ({id}): {}", question.body.line()),
        Change::QuestionAnswered { id, answer, by, .. } => {
            let answer = match answer.as_deref() {
                Some(Answer::Allow { always: true, .. }) => "allowed for the whole job",
                Some(Answer::Allow { input: Some(_), .. }) => "allowed with another input",
                Some(Answer::Allow { .. }) => "allowed",
                Some(Answer::Deny { .. }) => "denied",
                Some(Answer::Say { .. }) => "answered",
                None => "void",
            };
            let by = match by {
                AnsweredBy::Person => "by a person",
                AnsweredBy::Rule => "by a rule of the job",
                AnsweredBy::Timeout => "since nobody answered in time",
                AnsweredBy::Over => "since its attempt is over",
            };
            format!("question {id} {answer} {by}")
        }
        Change::RuleAdded { rule, .. } => format!("allowed for the whole job: {rule}"),
        Change::BudgetSet { budget, .. } => match budget {
            None => "no budget any more".to_owned(),
            Some(budget) => {
                let usd = budget.microusd.map(|usd| format!("${:.2}", usd as f64 / 1e6));
                let tokens = budget.tokens.map(|tokens| format!("{tokens} tokens"));
                format!("budget {}", usd.into_iter().chain(tokens).collect::<Vec<_>>().join(" and "))
            }
        },
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
        _ => return None,
    })
}
