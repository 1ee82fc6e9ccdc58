//! Keys while a question, a list or the help is open.

use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};

use crate::config::keymap::{Chord, Found, Key};
use crate::model::message::{CancelHow, Command};
use crate::tui::action::{Action, Scope, TABLE};
use crate::tui::app::dialog::{Confirm, Dialog, Palette};
use crate::tui::app::{App, Effect, Leaving};
use crate::tui::parts::Left;

use super::targets::send;

/// A key.
pub fn key(app: &mut App, chord: Chord) -> Vec<Effect> {
    let Some(dialog) = &app.dialog else { return Vec::new() };
    // What was typed before a question appeared is no answer to it.
    if !dialog.is_awake(app.now.mono) {
        return Vec::new();
    }
    if matches!(dialog, Dialog::Palette(_)) && palette_key(app, chord) {
        return Vec::new();
    }
    let action = match app.look.keymap.find(&["dialog"], &[chord]) {
        Found::Action(name) => Action::named(name),
        _ if chord.ctrl && matches!(chord.key, Key::Char('c' | 'g')) => Some(Action::DialogNo),
        _ => None,
    };
    action.map(|action| act(app, action)).unwrap_or_default()
}

/// Text goes into the palette's line; true when the key was that.
fn palette_key(app: &mut App, chord: Chord) -> bool {
    let Some(Dialog::Palette(palette)) = &mut app.dialog else { return false };
    match (chord.key, chord.ctrl || chord.alt) {
        (Key::Char(character), false) => palette.text.push(character),
        (Key::Backspace, _) => drop(palette.text.pop()),
        (Key::Char('u'), true) => palette.text.clear(),
        _ => return false,
    }
    palette.text.truncate(palette.text.char_indices().nth(60).map_or(palette.text.len(), |(at, _)| at));
    find(palette);
    true
}

/// Finds the actions that match.
pub fn find(palette: &mut Palette) {
    palette.chosen = 0;
    let over_inbox = palette.over_inbox;
    let usable = TABLE.iter().filter(|info| match info.scope {
        Scope::Global => true,
        Scope::Dialog | Scope::Editor => false,
        Scope::Inbox => over_inbox,
        Scope::Task | Scope::Tree | Scope::Pane | Scope::Graph => !over_inbox,
    });
    if palette.text.trim().is_empty() {
        palette.found = usable.map(|info| info.action).collect();
        return;
    }
    let pattern = Pattern::parse(&palette.text, CaseMatching::Ignore, Normalization::Smart);
    let mut matcher = Matcher::new(Config::DEFAULT);
    let mut buffer = Vec::new();
    let mut scored: Vec<(u32, Action)> = usable
        .filter_map(|info| {
            // What the name is like counts more than what the line says.
            let name = pattern.score(Utf32Str::new(info.name, &mut buffer), &mut matcher).map(|score| score * 2);
            let score = name.or_else(|| pattern.score(Utf32Str::new(info.doc, &mut buffer), &mut matcher))?;
            Some((score, info.action))
        })
        .collect();
    scored.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    palette.found = scored.into_iter().map(|(_, action)| action).collect();
}

fn act(app: &mut App, action: Action) -> Vec<Effect> {
    match action {
        Action::DialogNo => {
            // Who is asked how to leave, and stays, does not leave later either.
            if is_leaving(app) {
                app.leaving = None;
            }
            app.dialog = None;
            Vec::new()
        }
        Action::DialogNext => scroll(app, true),
        Action::DialogPrevious => scroll(app, false),
        Action::DialogYes => match app.dialog.take() {
            Some(Dialog::Confirm(confirm)) => confirmed(app, confirm),
            other => {
                app.dialog = other;
                Vec::new()
            }
        },
        // Enter alone must not lose anything: only the lists take it.
        Action::DialogChoose => match app.dialog.take() {
            Some(Dialog::Palette(palette)) => match palette.found.get(palette.chosen) {
                Some(action) => super::act(app, *action),
                None => Vec::new(),
            },
            Some(Dialog::Help { .. } | Dialog::Messages { .. }) => Vec::new(),
            other => {
                app.dialog = other;
                Vec::new()
            }
        },
        Action::DialogLeave if is_leaving(app) => {
            app.dialog = None;
            vec![Effect::Leave(Left::Background)]
        }
        Action::DialogWait if is_leaving(app) => {
            app.dialog = None;
            super::leave_later(app, Leaving::Wait);
            Vec::new()
        }
        Action::DialogCancelAll if is_leaving(app) => {
            app.dialog = None;
            super::leave_later(app, Leaving::Cancel);
            let command = Command::Cancel { targets: Vec::new(), all: true, how: CancelHow::Ask };
            send(app, "cancel of everything".to_owned(), command)
        }
        _ => Vec::new(),
    }
}

fn is_leaving(app: &App) -> bool {
    matches!(app.dialog, Some(Dialog::Leave { .. }))
}

fn confirmed(app: &mut App, confirm: Confirm) -> Vec<Effect> {
    if !app.inbox.is_open {
        app.tree.marks.clear();
    }
    confirm.commands.into_iter().flat_map(|(what, command)| send(app, what, command)).collect()
}

/// A line on or back.
pub fn scroll(app: &mut App, down: bool) -> Vec<Effect> {
    let step = |place: usize| if down { place.saturating_add(1) } else { place.saturating_sub(1) };
    match &mut app.dialog {
        Some(Dialog::Help { top } | Dialog::Messages { top }) => *top = step(*top),
        Some(Dialog::Palette(palette)) => palette.chosen = step(palette.chosen).min(palette.found.len().saturating_sub(1)),
        _ => {}
    }
    Vec::new()
}
