//! What is told of an approval: what it asks, of whom, and who answered.

use crate::config::theme::Role;
use crate::model::question::{Answer, AnsweredBy, QuestionBody, QuestionView};
use crate::tui::app::App;

use super::Sheet;

pub(super) fn sheet(app: &App, question: &QuestionView, sheet: &mut Sheet) {
    let QuestionBody::Approval { message, show, who } = &question.body else { return };
    sheet.heading("Approval");
    sheet.field("asks", message, Role::Strong);
    sheet.field("of", &who.join(", "), Role::Text);
    sheet.field("asked", &app.time(question.asked), Role::Text);
    match (question.answered, question.expires) {
        (Some(at), _) => {
            let (answer, role) = answered(question);
            sheet.field(answer, &format!("{}, {}", by(question), app.time(at)), role);
        }
        (None, Some(at)) => {
            sheet.field("waits", &format!("{} at {} if nobody answers", question.by_default(), app.time(at)), Role::Wait);
        }
        (None, None) => sheet.field("waits", "until somebody answers", Role::Wait),
    }
    sheet.field("comment", question.answer.as_ref().and_then(Answer::comment).unwrap_or_default(), Role::Text);
    if let Some(show) = show {
        sheet.heading("Shown with it");
        sheet.code(show);
    }
}

fn answered(question: &QuestionView) -> (&'static str, Role) {
    match &question.answer {
        Some(answer) if answer.allows() => ("approved", Role::Good),
        Some(_) => ("rejected", Role::Bad),
        None => ("void", Role::Dim),
    }
}

fn by(question: &QuestionView) -> String {
    match (question.by, &question.by_name) {
        (Some(AnsweredBy::Person), Some(name)) => format!("by {name}"),
        (Some(AnsweredBy::Person), None) => "by a person".to_owned(),
        (Some(AnsweredBy::Timeout), _) => "since nobody answered in time".to_owned(),
        (Some(AnsweredBy::Rule), _) => "by a rule of the job".to_owned(),
        (Some(AnsweredBy::Over) | None, _) => "since its task was cancelled".to_owned(),
    }
}
