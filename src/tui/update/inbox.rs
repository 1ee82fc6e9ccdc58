//! The inbox: opening it, moving in it, reading what waits, and what becomes of questions that are settled.

use crate::api::client::ClientError;
use crate::model::change::Change;
use crate::model::ids::JobName;
use crate::model::message::{Command, EventView};
use crate::model::question::QuestionView;
use crate::model::said::said;
use crate::model::time::Mono;
use crate::tui::action::{Action, Scope};
use crate::tui::app::dialog::{Confirm, Dialog};
use crate::tui::app::pane::Tab;
use crate::tui::app::toast::Kind;
use crate::tui::app::{App, Effect, Focus};
use crate::tui::data::row::NONE;
use crate::tui::data::sync::Request;
use crate::tui::view::areas;

use super::answers;
use super::targets::refuse;

/// A page that could not be read is asked for again after so long, in milliseconds.
const AGAIN_MS: u64 = 1_000;

/// What the action leads to; none when it is not one of these.
pub fn act(app: &mut App, action: Action) -> Option<Vec<Effect>> {
    if action == Action::Inbox {
        toggle(app);
        return Some(Vec::new());
    }
    match (app.inbox.is_open, action.info().scope) {
        // Questions are answered only with the whole request in view.
        (false, Scope::Inbox) => {
            let key = app.look.keys(Action::Inbox);
            return Some(refuse(app, format!("open the inbox first: {key}")));
        }
        // Nothing is done to what cannot be seen.
        (true, Scope::Tree | Scope::Task | Scope::Pane | Scope::Graph) => return Some(Vec::new()),
        (true, _) => {}
        (false, _) => return None,
    }
    let page = isize::try_from(app.inbox.shown()).unwrap_or(1);
    match action {
        Action::NextPane | Action::PreviousPane => app.inbox.reads = !app.inbox.reads,
        Action::InboxDown => step(app, 1),
        Action::InboxUp => step(app, -1),
        Action::InboxPageDown => app.inbox.scroll(page),
        Action::InboxPageUp => app.inbox.scroll(-page),
        Action::InboxFirst => app.inbox.scroll(isize::MIN),
        Action::InboxLast => app.inbox.scroll(isize::MAX),
        Action::InboxOpen => return Some(open(app)),
        Action::InboxBack => back(app),
        Action::InboxOutput => return Some(output(app)),
        Action::Allow | Action::AllowAlways | Action::Deny | Action::AllowEdited | Action::Say => {
            return Some(answers::act(app, action));
        }
        _ => return None,
    }
    Some(Vec::new())
}

fn toggle(app: &mut App) {
    if app.inbox.is_open {
        app.inbox.close();
        return;
    }
    app.inbox.open(selected_asker(app));
}

/// The selected task, when it is one that asks: then its question is what is meant.
fn selected_asker(app: &App) -> Option<(JobName, String)> {
    let key = app.tree.selected.filter(|key| key.task != NONE)?;
    let job = app.mirror.job(key.job)?;
    let task = job.tasks.get(key.task as usize).filter(|task| task.kind.waits_for_person())?;
    Some((job.view.name.clone(), task.id.to_string()))
}

fn step(app: &mut App, by: isize) {
    if app.inbox.reads { app.inbox.scroll(by) } else { app.inbox.step(by) }
}

fn open(app: &mut App) -> Vec<Effect> {
    // What is asked in words is answered where it is read.
    if app.inbox.reads && app.inbox.question().is_some_and(answers::is_in_words) {
        return answers::act(app, Action::Say);
    }
    app.inbox.reads = !app.inbox.questions.is_empty();
    Vec::new()
}

/// From the request to the list, from the list to where one came from.
fn back(app: &mut App) {
    if app.inbox.reads && app.inbox.questions.len() > 1 {
        app.inbox.reads = false;
    } else {
        app.inbox.close();
    }
}

/// To what the task of the chosen question wrote.
fn output(app: &mut App) -> Vec<Effect> {
    let Some(question) = app.inbox.question() else { return Vec::new() };
    let Some(job) = app.mirror.named(&question.job).map(|job| job.view.id) else {
        return refuse(app, "its job is not among those that are kept here");
    };
    let task = question.task.clone();
    app.inbox.close();
    app.pane.tab = Tab::Output;
    app.focus = Focus::Pane;
    app.tree.open.insert(job);
    app.tree.touch();
    app.tree.seeks_task = Some((job, task));
    Vec::new()
}

/// The mouse on a question of the list.
pub fn click(app: &mut App, x: u16, y: u16) {
    let areas = areas::areas(app);
    let inside = |area: Option<ratatui::layout::Rect>| area.filter(|area| area.contains((x, y).into()));
    if let Some(list) = inside(areas.inbox.list) {
        app.inbox.reads = false;
        let line = usize::from(y.saturating_sub(list.y + 1));
        let rows = crate::tui::view::inbox::first(app, list) + line / crate::tui::view::inbox::ROWS;
        if y > list.y && rows < app.inbox.questions.len() {
            if rows == app.inbox.place() {
                app.inbox.reads = true;
            }
            app.inbox.go(rows);
        }
    } else if inside(areas.inbox.request).is_some() {
        app.inbox.reads = true;
    }
}

/// Brings it into the state that is drawn; what has to be read for it.
pub fn prepare(app: &mut App, effects: &mut Vec<Effect>) {
    if !app.inbox.is_open {
        return;
    }
    let waits = usize::try_from(app.mirror.overview.questions).unwrap_or(usize::MAX);
    let is_due = app.inbox.is_stale || (waits > 0 && app.inbox.questions.is_empty() && app.inbox.sent.is_empty());
    if is_due && !app.inbox.is_asked && app.link.is_up() && app.now.mono >= app.inbox.again_at {
        (app.inbox.is_asked, app.inbox.is_stale) = (true, false);
        effects.push(Effect::Ask(Request::Questions));
    }
    let inner = areas::areas(app).inbox.request_inner();
    app.inbox.lay_out(usize::from(inner.width), usize::from(inner.height), app.look.unicode);
}

/// A page of what waits came.
pub fn page(app: &mut App, found: Result<Vec<QuestionView>, ClientError>) {
    app.inbox.is_asked = false;
    if !app.inbox.is_open {
        return;
    }
    app.inbox.again_at = Mono(app.now.mono.0 + if found.is_ok() { 0 } else { AGAIN_MS });
    match found {
        Ok(page) => {
            app.inbox.failure = None;
            app.inbox.take(page, app.now.mono);
            if app.inbox.questions.is_empty() && app.mirror.overview.questions > 0 {
                // Not asked for again until something happens, or after a while.
                app.inbox.again_at = Mono(app.now.mono.0 + AGAIN_MS);
            }
        }
        Err(error) => {
            app.inbox.failure = Some(error.message);
            app.inbox.is_stale = true;
        }
    }
}

/// What happened to questions.
pub fn hear(app: &mut App, events: &[EventView]) {
    let mut told: Vec<String> = Vec::new();
    for event in events {
        match &event.event.change {
            Change::QuestionAsked { .. } => app.inbox.is_stale = true,
            Change::QuestionAnswered { id, .. } => {
                let is_ours = app.inbox.sent.remove(id);
                let Some(question) = app.inbox.settle(*id, app.now.mono) else { continue };
                // Questions beyond the page move up.
                app.inbox.is_stale = true;
                let lost = forsake(app, *id);
                if !is_ours || lost {
                    let how = said(&event.event.change).unwrap_or_default();
                    let lost = if lost { "\nwhat you were about to answer was not sent" } else { "" };
                    told.push(format!("{}/{}: {how}{lost}", question.job, question.task));
                }
            }
            _ => {}
        }
    }
    if told.len() > 2 {
        let rest = told.len() - 1;
        told.truncate(1);
        told.push(format!("and {rest} more questions were settled"));
    }
    told.into_iter().for_each(|text| app.toasts.add(text, Kind::News, app.now));
}

/// Ends whatever a person was about to answer to this question; whether there was anything.
fn forsake(app: &mut App, id: u32) -> bool {
    let mut any = false;
    if app.inbox.typed_for == Some(id) {
        any = app.prompt.take().is_some_and(|prompt| prompt.purpose.answers());
        app.inbox.typed_for = None;
    }
    let is_about = |(_, command): &(String, Command)| matches!(command, Command::Answer { question, .. } if *question == id);
    if let Some(Dialog::Confirm(Confirm { commands, .. })) = &app.dialog
        && commands.iter().any(is_about)
    {
        (app.dialog, any) = (None, true);
    }
    // An edited input that is on its way was what settled it.
    if app.editor.as_ref().is_some_and(|editor| editor.answers == Some(id)) {
        any |= app.editor.take().is_some_and(|editor| !editor.sending);
    }
    any
}
