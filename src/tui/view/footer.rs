//! The bottom line: the keys that help here, or the line being typed.

use ratatui::layout::Rect;

use crate::config::keymap::Found;
use crate::config::theme::Role;
use crate::model::question::QuestionBody;
use crate::tui::action::{Action, Scope, TABLE};
use crate::tui::app::dialog::Dialog;
use crate::tui::app::pane::Tab;
use crate::tui::app::prompt::Purpose;
use crate::tui::app::{App, Focus};
use crate::tui::text::harmless::tamed;
use crate::tui::text::{cut, time};

use super::brush::Brush;

/// Draws it; where the cursor is when a line is being typed.
pub fn draw(app: &App, area: Rect, brush: &mut Brush<'_>) -> Option<(u16, u16)> {
    if area.height == 0 {
        return None;
    }
    brush.fill(area, Role::Footer);
    let end = area.right();
    if let Some(prompt) = &app.prompt {
        let label = match prompt.purpose {
            Purpose::Filter => " / ",
            Purpose::Search => " search: ",
            Purpose::Time => " time (14:30, -10m): ",
            Purpose::Deny if is_approval(app) => " reject, because (may be empty): ",
            Purpose::Deny => " deny, because (may be empty): ",
            Purpose::Comment => " approve, with the comment (may be empty): ",
            Purpose::Say if has_options(app) => " answer (down: the next choice): ",
            Purpose::Say => " answer: ",
        };
        let x = brush.put(area.x, area.y, end, label, Role::Key);
        // The end of a long text is what is being typed.
        let room = usize::from(end.saturating_sub(x + 1));
        let before = tamed(&prompt.text[..prompt.cursor]);
        let before = cut::tail(&before, room).to_owned();
        let cursor = brush.put(x, area.y, end, &before, Role::Text);
        brush.put(cursor, area.y, end, &tamed(&prompt.text[prompt.cursor..]), Role::Text);
        return Some((cursor.min(end.saturating_sub(1)), area.y));
    }
    if !app.typed.is_empty() {
        draw_prefix(app, area, brush);
        return None;
    }
    let mut x = area.x + 1;
    let waiting = waiting(app);
    let hints_end = hints_end(area, &waiting);
    for (_, key, label) in hints(app) {
        let width = u16::try_from(cut::width(&key) + 1 + cut::width(label) + 2).unwrap_or(u16::MAX);
        if x.saturating_add(width) > hints_end {
            break;
        }
        x = brush.put(x, area.y, end, &key, Role::Key);
        x = brush.put(x, area.y, end, &format!(" {label}  "), Role::Footer);
    }
    if !waiting.is_empty() {
        brush.put_right(x, area.y, end - 1, &waiting, Role::Warning);
        return None;
    }
    let right = right(app);
    let width = u16::try_from(cut::width(&right)).unwrap_or(u16::MAX);
    if !right.is_empty() && x.saturating_add(width) < end {
        brush.put_right(x, area.y, end - 1, &right, Role::Dim);
    }
    None
}

fn has_options(app: &App) -> bool {
    let question = app.inbox.question().map(|question| &question.body);
    matches!(question, Some(QuestionBody::Words { options, .. }) if !options.is_empty())
}

fn is_approval(app: &App) -> bool {
    app.inbox.question().is_some_and(|question| matches!(question.body, QuestionBody::Approval { .. }))
}

/// What an answer's key does to an approval.
fn approving(action: Action, label: &'static str) -> &'static str {
    match action {
        Action::Allow => "approve",
        Action::Say => "with a comment",
        Action::Deny => "reject",
        _ => label,
    }
}

/// Where hints end: that somebody is waited for does not give way to them.
fn hints_end(area: Rect, waiting: &str) -> u16 {
    let kept = if waiting.is_empty() { 0 } else { cut::width(waiting) + 1 };
    area.right().saturating_sub(u16::try_from(kept).unwrap_or(0))
}

/// That questions wait, and the key to them.
fn waiting(app: &App) -> String {
    let key = app.look.keys(Action::Inbox);
    match app.mirror.overview.questions {
        _ if app.inbox.is_open || app.dialog.is_some() => String::new(),
        0 => String::new(),
        1 => format!("1 question waits ({key})"),
        count => format!("{count} questions wait ({key})"),
    }
}

/// What can follow the keys typed so far.
fn draw_prefix(app: &App, area: Rect, brush: &mut Brush<'_>) {
    let typed: Vec<String> = app.typed.iter().map(ToString::to_string).collect();
    let mut x = brush.put(area.x + 1, area.y, area.right(), &format!("{} ", typed.join(" ")), Role::Key);
    let scopes: &[&str] = if app.editor.is_some() { &["editor"] } else { app.scopes() };
    if let Found::Prefix(next) = app.look.keymap.find(scopes, &app.typed) {
        for (chord, action) in next {
            x = brush.put(x, area.y, area.right(), &format!(" {chord}"), Role::Key);
            x = brush.put(x, area.y, area.right(), &format!(" {action} "), Role::Footer);
        }
    }
}

/// What a question or a list takes; what is behind it takes nothing meanwhile.
fn dialog_hints(app: &App, dialog: &Dialog) -> Vec<(Action, String, &'static str)> {
    let wanted: &[Action] = match dialog {
        Dialog::Confirm(_) => &[Action::DialogYes, Action::DialogNo],
        Dialog::Leave { .. } => &[Action::DialogNo],
        Dialog::Help { .. } | Dialog::Messages { .. } => &[Action::DialogNext, Action::DialogPrevious, Action::DialogNo],
        Dialog::Palette(_) => &[Action::DialogChoose, Action::DialogNext, Action::DialogPrevious, Action::DialogNo],
    };
    // Characters are text in the palette.
    let is_text = matches!(dialog, Dialog::Palette(_));
    let key = |action: &Action| {
        let keys = app.look.keymap.keys_of(action.info().name);
        // As in the question itself: escape is what people press who want none of it.
        let usual = keys.iter().find(|key| *key == "esc").cloned();
        usual.or_else(|| keys.into_iter().find(|key| !is_text || key.chars().count() > 1 && key != "space")).unwrap_or_default()
    };
    wanted.iter().map(|action| (*action, key(action), action.info().label)).filter(|(_, key, _)| !key.is_empty()).collect()
}

/// What can be done in the inbox.
fn inbox_hints(app: &App) -> &'static [Action] {
    match app.inbox.question().map(|question| &question.body) {
        None => &[Action::InboxBack, Action::Help, Action::Quit],
        Some(_) if !app.shows_request() => {
            &[Action::InboxOpen, Action::InboxBack, Action::InboxOutput, Action::Help, Action::Quit]
        }
        Some(QuestionBody::Words { .. }) => {
            &[Action::Say, Action::Deny, Action::InboxOutput, Action::InboxOpen, Action::InboxBack, Action::Help]
        }
        Some(QuestionBody::Approval { .. }) => {
            &[Action::Allow, Action::Say, Action::Deny, Action::InboxOpen, Action::InboxBack, Action::Help]
        }
        Some(QuestionBody::Permission { .. }) => &[
            Action::Allow,
            Action::AllowAlways,
            Action::Deny,
            Action::AllowEdited,
            Action::InboxOutput,
            Action::InboxOpen,
            Action::InboxBack,
            Action::Help,
        ],
    }
}

/// Actions with their keys and labels, the most useful first.
fn hints(app: &App) -> Vec<(Action, String, &'static str)> {
    if let Some(dialog) = &app.dialog {
        return dialog_hints(app, dialog);
    }
    let wanted: &[Action] = if app.editor.as_ref().is_some_and(|editor| editor.answers.is_some()) {
        &[Action::EditorSubmit, Action::EditorExternal, Action::EditorClose]
    } else if app.editor.is_none() && app.inbox.is_open {
        inbox_hints(app)
    } else if app.editor.is_some() {
        &[Action::EditorSubmit, Action::EditorTemplate, Action::EditorExternal, Action::EditorClose]
    } else {
        match (app.focus, app.pane.tab) {
            (Focus::Tree, _) => &[
                Action::Open,
                Action::Requeue,
                Action::Cancel,
                Action::Pause,
                Action::NewJob,
                Action::Filter,
                Action::Palette,
                Action::Help,
                Action::Quit,
            ],
            (Focus::Pane, Tab::Output) => &[
                Action::Back,
                Action::NextTab,
                Action::Follow,
                Action::Wrap,
                Action::Search,
                Action::Requeue,
                Action::Cancel,
                Action::Help,
                Action::Quit,
            ],
            (Focus::Pane, _) => {
                &[Action::Back, Action::NextTab, Action::Requeue, Action::Cancel, Action::Palette, Action::Help, Action::Quit]
            }
        }
    };
    let answers_approval = app.editor.is_none() && app.inbox.is_open && is_approval(app);
    let labelled = wanted.iter().map(|action| {
        let label = action.info().label;
        (*action, app.look.keys(*action), if answers_approval { approving(*action, label) } else { label })
    });
    let changes = |action: &Action| {
        matches!(
            action,
            Action::Requeue
                | Action::Cancel
                | Action::Pause
                | Action::NewJob
                | Action::Allow
                | Action::AllowAlways
                | Action::Deny
                | Action::AllowEdited
                | Action::Say
        )
    };
    let needs_rows =
        |action: &Action| matches!(action, Action::Open | Action::Requeue | Action::Cancel | Action::Pause | Action::Filter);
    let is_empty = app.focus == Focus::Tree && app.editor.is_none() && app.mirror.jobs.is_empty();
    let leads_nowhere = |action: &Action| match action {
        Action::InboxOpen => app.inbox.reads,
        Action::AllowAlways => app.inbox.question().is_some_and(|question| !question.body.has_rules()),
        _ => false,
    };
    labelled
        .filter(|(action, ..)| !leads_nowhere(action))
        .filter(|(action, ..)| !(app.read_only.is_some() && changes(action) || is_empty && needs_rows(action)))
        .filter(|(_, key, label)| !key.is_empty() && !label.is_empty())
        .collect()
}

/// The hint at a column, for the mouse.
pub fn hint_at(app: &App, area: Rect, column: u16) -> Option<Action> {
    let waiting = waiting(app);
    let end = hints_end(area, &waiting);
    if !waiting.is_empty() && column >= end {
        return Some(Action::Inbox);
    }
    let mut x = area.x + 1;
    for (action, key, label) in hints(app) {
        let width = u16::try_from(cut::width(&key) + 1 + cut::width(label)).unwrap_or(u16::MAX);
        if x.saturating_add(width + 2) > end {
            return None;
        }
        if (x..x.saturating_add(width)).contains(&column) {
            return Some(action);
        }
        x = x.saturating_add(width + 2);
    }
    None
}

/// What is known about the pools, when there is room.
fn right(app: &App) -> String {
    let pools = app.mirror.overview.pools.iter().filter(|pool| pool.used > 0).take(3);
    pools.map(|pool| format!("{} {}/{}", pool.name, pool.used, pool.slots)).collect::<Vec<_>>().join("  ")
}

/// The README's table of keys, made of the action table and a keymap.
pub fn key_table(keymap: &crate::config::keymap::Keymap) -> String {
    let mut text = String::from("| keys | action | what it does |\n|---|---|---|\n");
    for scope in Scope::ALL {
        for info in TABLE.iter().filter(|info| info.scope == scope) {
            let keys = keymap.keys_of(info.name).iter().map(|keys| format!("`{}`", keys.replace('|', "\\|"))).collect::<Vec<_>>();
            text.push_str(&format!("| {} | `{}` | {} |\n", keys.join(" "), info.name, info.doc));
        }
    }
    text
}

/// How long ago, for lines that are not drawn every second.
pub fn ago(app: &App, at: crate::model::time::Utc) -> String {
    time::age(app.now.utc.since(at))
}
