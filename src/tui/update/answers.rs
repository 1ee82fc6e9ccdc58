//! Answers to the chosen question of the inbox: allow, allow always, deny, edit the input, say, approve, reject.

use crate::model::diagnostic::Diagnostic;
use crate::model::message::Command;
use crate::model::question::{Answer, QuestionBody, QuestionView};
use crate::model::time::Mono;
use crate::tui::action::Action;
use crate::tui::app::dialog::{Confirm, DEAF_MS, Dialog};
use crate::tui::app::editor::{Checked, Editor};
use crate::tui::app::prompt::{Prompt, Purpose};
use crate::tui::app::toast::Kind;
use crate::tui::app::{App, Effect};

use super::targets::{refuse, send};

/// What the model is told when a person denies without a word.
const DENIED: &str = "a person has denied this";

/// Whether it is to be answered in words.
pub fn is_in_words(question: &QuestionView) -> bool {
    matches!(question.body, QuestionBody::Words { .. })
}

/// What an answer's key leads to.
pub fn act(app: &mut App, action: Action) -> Vec<Effect> {
    let Some(question) = app.inbox.question() else { return Vec::new() };
    if !app.inbox.is_awake(app.now.mono) {
        return Vec::new();
    }
    if app.inbox.sent.contains(&question.id) {
        return refuse(app, "this was answered already, the answer is on its way");
    }
    if !app.shows_request() {
        // On a narrow screen: first what it is about.
        app.inbox.reads = true;
        app.inbox.wake_later(app.now.mono);
        return Vec::new();
    }
    match (&question.body, action) {
        (QuestionBody::Words { .. }, Action::Allow | Action::Say) => line(app, Purpose::Say),
        (_, Action::Deny) => line(app, Purpose::Deny),
        (QuestionBody::Permission { .. }, Action::Allow) => answer(app, Answer::Allow { input: None, always: false }),
        (QuestionBody::Permission { .. }, Action::AllowAlways) => match question.body.has_rules() {
            false => {
                let key = app.look.keys(Action::Allow);
                refuse(app, format!("there is no rule that would allow this always: {key} allows it once"))
            }
            true => always(app),
        },
        (QuestionBody::Permission { .. }, Action::AllowEdited) => edit(app),
        (QuestionBody::Approval { .. }, Action::Allow) => answer(app, Answer::Approve { comment: String::new() }),
        (QuestionBody::Approval { .. }, Action::Say) => line(app, Purpose::Comment),
        (QuestionBody::Approval { .. }, _) => {
            let (key, comment) = (app.look.keys(Action::Allow), app.look.keys(Action::Say));
            refuse(app, format!("it is an approval: {key} gives it, {comment} gives it with a comment"))
        }
        (QuestionBody::Permission { .. }, _) => refuse(app, "a tool is allowed or denied, not answered in words"),
        (QuestionBody::Words { .. }, _) => {
            let key = app.look.keys(Action::Say);
            refuse(app, format!("it is asked in words: {key} types the answer"))
        }
    }
}

fn command(app: &App, answer: Answer) -> Option<(String, Command)> {
    let question = app.inbox.question()?;
    let what = format!("answer to {}/{}", question.job, question.task);
    Some((what, Command::Answer { question: question.id, answer, by_name: None }))
}

/// Sends an answer to the chosen question.
fn answer(app: &mut App, answer: Answer) -> Vec<Effect> {
    match command(app, answer) {
        Some((what, command)) => send(app, what, command),
        None => Vec::new(),
    }
}

/// Asks once, with the rules that would hold for the whole job.
fn always(app: &mut App) -> Vec<Effect> {
    let Some(question) = app.inbox.question() else { return Vec::new() };
    let QuestionBody::Permission { rules, .. } = &question.body else { return Vec::new() };
    let question = format!("Allow this for all of {}, and never ask for it again there?", question.job);
    let lines = rules.clone();
    let commands = command(app, Answer::Allow { input: None, always: true }).into_iter().collect();
    let from = Mono(app.now.mono.0 + DEAF_MS);
    app.dialog = Some(Dialog::Confirm(Confirm { question, lines, commands, from, is_whole: true }));
    Vec::new()
}

/// A line to type.
fn line(app: &mut App, purpose: Purpose) -> Vec<Effect> {
    app.inbox.typed_for = app.inbox.chosen;
    app.prompt = Some(Prompt::new(purpose, ""));
    Vec::new()
}

/// The line was typed to its end.
pub fn typed(app: &mut App, purpose: Purpose, text: &str) -> Vec<Effect> {
    let typed_for = app.inbox.typed_for.take();
    // The chosen one cannot become another while a line is typed, but what it belongs to is what counts.
    if typed_for.is_none() || typed_for != app.inbox.chosen {
        return refuse(app, "the question is settled: nothing was sent");
    }
    let text = text.trim();
    let is_approval = app.inbox.question().is_some_and(|question| matches!(question.body, QuestionBody::Approval { .. }));
    match (purpose, text.is_empty()) {
        (Purpose::Deny, _) if is_approval => answer(app, Answer::Reject { comment: text.to_owned() }),
        (Purpose::Comment, _) => answer(app, Answer::Approve { comment: text.to_owned() }),
        (Purpose::Deny, true) => answer(app, Answer::Deny { message: DENIED.to_owned() }),
        (Purpose::Deny, false) => answer(app, Answer::Deny { message: text.to_owned() }),
        (_, true) => refuse(app, "nothing was typed: nothing was sent"),
        (_, false) => answer(app, Answer::Say { text: text.to_owned() }),
    }
}

/// The next answer to choose from takes the place of what is being typed.
pub fn option(app: &mut App, is_next: bool) {
    let Some(QuestionBody::Words { options, .. }) = app.inbox.question().map(|question| &question.body) else { return };
    let Some(prompt) = &mut app.prompt else { return };
    let known = options.iter().position(|option| *option == prompt.text);
    let at = match (known, is_next) {
        (None, true) => 0,
        (None, false) => options.len().saturating_sub(1),
        (Some(at), true) => (at + 1) % options.len(),
        (Some(at), false) => (at + options.len() - 1) % options.len(),
    };
    if let Some(option) = options.get(at) {
        prompt.replace(option);
    }
}

/// The input as JSON in the editor.
fn edit(app: &mut App) -> Vec<Effect> {
    let Some(question) = app.inbox.question() else { return Vec::new() };
    let QuestionBody::Permission { tool, input, .. } = &question.body else { return Vec::new() };
    let text = serde_json::to_string_pretty(input).unwrap_or_default();
    let file = format!("input of {tool} for {}/{}", question.job, question.task);
    let answers = Some(question.id);
    let editor = Editor::new(&text, &file, app.cwd.clone(), app.now.mono);
    if let Some(open) = app.editor.take().and_then(|editor| editor.draft()) {
        app.draft = Some(open);
    }
    app.editor = Some(Editor { answers, ..editor });
    Vec::new()
}

/// What is wrong with an edited input, if anything.
fn input(text: &str, file: &str) -> Result<serde_json::Value, Diagnostic> {
    let fault = |line: usize, column: usize, message: String, hint: &str| Diagnostic {
        file: file.to_owned(),
        line: u32::try_from(line).unwrap_or(u32::MAX).max(1),
        column: u32::try_from(column).unwrap_or(u32::MAX).max(1),
        message,
        hint: hint.to_owned(),
    };
    let value: serde_json::Value = serde_json::from_str(text)
        .map_err(|error| fault(error.line(), error.column(), format!("no JSON: {error}"), "names and texts stand in quotes"))?;
    if value.is_object() { Ok(value) } else { Err(fault(1, 1, "a tool's input is a JSON object".to_owned(), "begin with {")) }
}

/// Checks the edited input, and sends it when that was asked for and there is no fault.
pub fn check_edited(app: &mut App, is_submitted: bool) -> Vec<Effect> {
    let Some(editor) = &mut app.editor else { return Vec::new() };
    app.dirty = true;
    editor.check_at = None;
    match input(&editor.text(), &editor.file) {
        Ok(value) => {
            editor.checked = Checked::Input;
            if !is_submitted {
                return Vec::new();
            }
            let (Some(question), file) = (editor.answers, &editor.file) else { return Vec::new() };
            // The last word is what it is about.
            let what = format!("answer to {}", file.rsplit(' ').next().unwrap_or_default());
            let answer = Answer::Allow { input: Some(value), always: false };
            let effects = send(app, what, Command::Answer { question, answer, by_name: None });
            if let Some(editor) = &mut app.editor {
                editor.sending = !effects.is_empty();
            }
            effects
        }
        Err(fault) => {
            if is_submitted {
                super::editing::go_to(editor, &fault);
                app.toasts.add(format!("not sent: {}", fault.message), Kind::Fault, app.now);
            }
            editor.checked = Checked::Bad(vec![fault]);
            Vec::new()
        }
    }
}
