//! How the app changes: each input leads to a new state and to effects for the shell around it. Nothing here waits or reads.

mod acts;
mod answers;
mod arrivals;
mod dialogs;
mod editing;
mod inbox;
mod incoming;
mod instances;
mod moves;
mod needs;
mod panes;
mod searching;
mod targets;

use crate::config::keymap::{Chord, Found, Key};
use crate::model::state::TaskKind;
use crate::model::time::{Mono, Now};

use super::action::Action;
use super::app::bell::Bell;
use super::app::dialog::Dialog;
use super::app::look::Look;
use super::app::prompt::{Prompt, Purpose};
use super::app::toast::Kind;
use super::app::{App, Effect, Leaving};
use super::data::sync::{Incoming, Request};
use super::parts::Left;

pub use editing::replaced;
pub use needs::{next_wake, prepare};

/// What comes in.
#[derive(Debug)]
pub enum Input {
    /// A key.
    Key(Chord),
    /// Pasted text.
    Paste(String),
    /// A click or a turn of the wheel at this column and row.
    Mouse(Mouse, u16, u16),
    /// Another size.
    Resize(u16, u16),
    /// From the manager.
    Incoming(Incoming),
}

/// What the mouse did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mouse {
    /// The left button.
    Click,
    /// The wheel, three lines.
    Down,
    /// The wheel, three lines.
    Up,
}

/// Takes an input in.
pub fn update(app: &mut App, input: Input, now: Now) -> Vec<Effect> {
    app.now = now;
    let was_dirty = std::mem::replace(&mut app.dirty, true);
    match input {
        // A look at a silent task's output changes nothing.
        Input::Incoming(Incoming::Output(key, found)) => {
            app.dirty = arrivals::piece(app, &key, found) || was_dirty;
            Vec::new()
        }
        Input::Key(chord) => key(app, chord),
        Input::Paste(text) => paste(app, &text),
        Input::Mouse(what, x, y) => moves::mouse(app, what, x, y),
        Input::Resize(columns, rows) => {
            app.size = (columns, rows);
            Vec::new()
        }
        Input::Incoming(incoming) => incoming::take(app, incoming),
    }
}

fn key(app: &mut App, chord: Chord) -> Vec<Effect> {
    if app.dialog.is_some() {
        return dialogs::key(app, chord);
    }
    if app.prompt.is_some() {
        return prompt_key(app, chord);
    }
    if app.editor.is_some() {
        return editing::key(app, chord);
    }
    app.typed.push(chord);
    let typed = app.typed.clone();
    match app.look.keymap.find(app.scopes(), &typed) {
        Found::Action(name) => {
            app.typed.clear();
            Action::named(name).map(|action| act(app, action)).unwrap_or_default()
        }
        Found::Prefix(_) => Vec::new(),
        Found::Nothing => {
            app.typed.clear();
            // The first key of a sequence that came to nothing is forgotten; the last may begin another.
            if typed.len() > 1 {
                return key(app, chord);
            }
            Vec::new()
        }
    }
}

/// Does what an action says.
pub fn act(app: &mut App, action: Action) -> Vec<Effect> {
    if let Some(effects) = inbox::act(app, action) {
        return effects;
    }
    if let Some(effects) = acts::act(app, action) {
        return effects;
    }
    if let Some(effects) = moves::act(app, action) {
        return effects;
    }
    if let Some(effects) = panes::act(app, action) {
        return effects;
    }
    Vec::new()
}

fn paste(app: &mut App, text: &str) -> Vec<Effect> {
    if let Some(editor) = &mut app.editor {
        // As for keys: what is on its way is what is seen.
        if editor.sending {
            return Vec::new();
        }
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        // A whole job: nobody wants it in front of a template that was not touched.
        if !editor.touched && editor.template.is_some() && text.lines().any(|line| line.starts_with("tasks:")) {
            replaced(app, &text);
            return Vec::new();
        }
        editor.area.insert_str(text);
        editor.touch(app.now.mono);
    } else if let Some(prompt) = &mut app.prompt {
        prompt.insert(text);
        return prompt_changed(app);
    }
    Vec::new()
}

fn prompt_key(app: &mut App, chord: Chord) -> Vec<Effect> {
    let Some(prompt) = &mut app.prompt else { return Vec::new() };
    match (chord.key, chord.ctrl, chord.alt) {
        (Key::Esc, ..) | (Key::Char('c' | 'g'), true, _) => {
            let before = prompt.before.clone();
            let purpose = prompt.purpose;
            app.prompt = None;
            if purpose == Purpose::Filter {
                acts::set_filter(app, &before);
            }
            return Vec::new();
        }
        (Key::Enter, ..) => {
            let Some(Prompt { purpose, text, .. }) = app.prompt.take() else { return Vec::new() };
            return match purpose {
                Purpose::Filter => Vec::new(),
                Purpose::Search => searching::search(app, &text),
                Purpose::Time => searching::jump(app, &text),
                Purpose::Deny | Purpose::Say | Purpose::Comment => answers::typed(app, purpose, &text),
            };
        }
        (Key::Backspace, _, false) | (Key::Char('h'), true, _) => prompt.backspace(),
        (Key::Backspace, _, true) | (Key::Char('w'), true, _) => prompt.delete_word(),
        (Key::Char('u'), true, _) => prompt.clear(),
        (Key::Delete, ..) => prompt.delete(),
        (Key::Left, ..) => prompt.step(false),
        (Key::Right, ..) => prompt.step(true),
        (Key::Home, ..) | (Key::Char('a'), true, _) => prompt.end(false),
        (Key::End, ..) | (Key::Char('e'), true, _) => prompt.end(true),
        (Key::Char(character), false, false) => prompt.insert(character.encode_utf8(&mut [0; 4])),
        (Key::Down | Key::Up, ..) if prompt.purpose == Purpose::Filter => {
            let action = if chord.key == Key::Down { Action::Down } else { Action::Up };
            return act(app, action);
        }
        (Key::Down | Key::Up, ..) if prompt.purpose == Purpose::Say => answers::option(app, chord.key == Key::Down),
        _ => return Vec::new(),
    }
    prompt_changed(app)
}

fn prompt_changed(app: &mut App) -> Vec<Effect> {
    if let Some(Prompt { purpose: Purpose::Filter, text, .. }) = &app.prompt {
        let text = text.clone();
        acts::set_filter(app, &text);
    }
    Vec::new()
}

/// Time went by.
pub fn tick(app: &mut App, now: Now) -> Vec<Effect> {
    let before = app.now;
    app.now = now;
    let mut effects = Vec::new();
    if app.toasts.all.iter().any(|toast| toast.until > before.mono && toast.until <= now.mono) {
        app.dirty = true;
    }
    if needs::has_aged(app, before.utc, now.utc) {
        app.dirty = true;
    }
    if let Some(editor) = &mut app.editor
        && editor.check_at.is_some_and(|at| at <= now.mono)
    {
        if editor.answers.is_some() {
            effects.extend(answers::check_edited(app, false));
        } else {
            editor.check_at = None;
            effects.push(Effect::Check);
        }
    }
    effects.extend(ask_anew(app));
    effects.extend(app.bell.due(&app.home_path(), now.mono));
    if app.leaving.is_some() && app.link.is_up() && !app.has_work() {
        effects.push(Effect::Leave(Left::Quit));
    }
    effects
}

/// A request that could not be passed on: whoever needs it asks again.
pub fn unasked(app: &mut App, request: &Request) {
    match request {
        Request::Tasks { job: (id, _), .. } => drop(app.tree.flight.remove(&(*id, 't'))),
        Request::Job(id, _) => drop(app.tree.flight.remove(&(*id, 'j'))),
        Request::Task(_) => (app.pane.asked, app.pane.pending) = (None, false),
        Request::Events(..) => {
            app.tree.flight.remove(&(0, 'e'));
            app.pane.events_asked = None;
        }
        Request::Questions => (app.inbox.is_asked, app.inbox.is_stale) = (false, true),
        Request::Output(key, _) => {
            if let Some(output) = &mut app.pane.output {
                output.document.unasked(key);
                if let Some(talk) = &mut output.talk {
                    talk.reconnect();
                }
            }
        }
    }
}

/// A command that could not be passed on.
pub fn unsent(app: &mut App, number: u64) {
    if let Some(sent) = app.sent.remove(&number) {
        if let Some(question) = sent.question {
            incoming::answer_answered(app, question, false);
        }
        let text = format!("{}: not sent, too much is under way\ntry again in a moment", sent.what);
        app.toasts.add_for(text, Kind::Fault, app.now, Some(number));
        app.dirty = true;
    }
}

/// The configuration was read again; whether the terminal shows our signs is known already.
pub fn relook(app: &mut App, look: Look, unicode: bool) {
    let unicode = if look.is_measured() { unicode && look.unicode } else { look.unicode };
    if look.notify != app.look.notify {
        app.bell = Bell::new(look.notify.clone());
    }
    app.look = look;
    app.look.unicode = unicode;
    app.typed.clear();
    let text = match app.look.faults.len() {
        0 => "the configuration was read again".to_owned(),
        count => format!(
            "the configuration was read again: {count} fault{}, see {}",
            if count == 1 { "" } else { "s" },
            app.look.keys(Action::Messages)
        ),
    };
    app.toasts.add(text, Kind::News, app.now);
    app.dirty = true;
}

/// A person asks to leave.
fn quit(app: &mut App) -> Vec<Effect> {
    if !app.embeds || !(app.has_work() || app.mirror.overview.schedules > 0) {
        return vec![Effect::Leave(Left::Quit)];
    }
    let from = Mono(app.now.mono.0 + super::app::dialog::DEAF_MS);
    app.dialog = Some(Dialog::Leave { from, counts: not_over(app) });
    Vec::new()
}

/// Tasks that run, wait and are held.
fn not_over(app: &App) -> [u32; 3] {
    let totals = app.mirror.totals();
    let held = totals.of(TaskKind::Held);
    let waiting = totals.total() - totals.terminal() - totals.live() - held;
    // What is left to child jobs is told of those, as far as they are known.
    let left = totals.of(TaskKind::Delegated);
    let others = waiting.saturating_sub(left);
    [totals.live(), if totals.live() + held + others == 0 { waiting } else { others }, held]
}

/// The question of how to leave tells how things are now; once there is nothing to ask about, it is answered.
fn ask_anew(app: &mut App) -> Option<Effect> {
    let now = matches!(app.dialog, Some(Dialog::Leave { .. })).then(|| not_over(app))?;
    if app.link.is_up() && !app.has_work() && app.mirror.overview.schedules == 0 {
        app.dialog = None;
        return Some(Effect::Leave(Left::Quit));
    }
    if let Some(Dialog::Leave { counts, .. }) = &mut app.dialog
        && *counts != now
    {
        *counts = now;
        app.dirty = true;
    }
    None
}

/// Leaves once everything is over.
fn leave_later(app: &mut App, how: Leaving) {
    app.leaving = Some(how);
    let text = match how {
        Leaving::Wait => "leaves as soon as everything is over",
        Leaving::Cancel => "leaves as soon as everything has ended",
    };
    app.toasts.add(text, Kind::News, app.now);
}
