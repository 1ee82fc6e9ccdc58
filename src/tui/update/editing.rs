//! Keys in the editor of job files, and what becomes of its text.

use ratatui_textarea::{Input, Key as AreaKey};

use crate::config::keymap::{Chord, Found, Key};
use crate::model::diagnostic::Diagnostic;
use crate::model::jobfile::Parsed;
use crate::model::message::Command;
use crate::tui::action::Action;
use crate::tui::app::editor::{Checked, Editor, TEMPLATES};
use crate::tui::app::toast::Kind;
use crate::tui::app::{App, Effect, Sent};

use super::answers;

/// A key.
pub fn key(app: &mut App, chord: Chord) -> Vec<Effect> {
    app.typed.push(chord);
    let typed = app.typed.clone();
    match app.look.keymap.find(&["editor"], &typed) {
        Found::Action(name) => {
            app.typed.clear();
            return Action::named(name).map(|action| act(app, action)).unwrap_or_default();
        }
        Found::Prefix(_) => return Vec::new(),
        Found::Nothing => app.typed.clear(),
    }
    let now = app.now.mono;
    if let Some(editor) = &mut app.editor
        && !editor.sending
        && editor.area.input(input(chord))
    {
        editor.touch(now);
    }
    Vec::new()
}

/// The same key for the text widget.
fn input(chord: Chord) -> Input {
    let key = match chord.key {
        Key::Char(character) => AreaKey::Char(character),
        Key::Enter => AreaKey::Enter,
        Key::Esc => AreaKey::Esc,
        Key::Tab => AreaKey::Tab,
        Key::Backspace => AreaKey::Backspace,
        Key::Delete => AreaKey::Delete,
        Key::Up => AreaKey::Up,
        Key::Down => AreaKey::Down,
        Key::Left => AreaKey::Left,
        Key::Right => AreaKey::Right,
        Key::Home => AreaKey::Home,
        Key::End => AreaKey::End,
        Key::PageUp => AreaKey::PageUp,
        Key::PageDown => AreaKey::PageDown,
        Key::BackTab | Key::Insert | Key::F(_) => AreaKey::Null,
    };
    Input { key, ctrl: chord.ctrl, alt: chord.alt, shift: chord.shift }
}

fn act(app: &mut App, action: Action) -> Vec<Effect> {
    match action {
        Action::EditorClose => close(app),
        Action::EditorTemplate => template(app),
        Action::EditorSubmit => submit(app),
        Action::EditorExternal => match &app.editor {
            // It would come back changed to a text that was sent.
            Some(editor) if editor.sending => Vec::new(),
            Some(editor) => {
                let ending = if editor.answers.is_some() { ".json" } else { ".yaml" };
                vec![Effect::Edit { text: editor.text(), ending, back: true }]
            }
            None => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// Nothing typed is lost: the text comes back with the next new job, also after a restart.
fn close(app: &mut App) -> Vec<Effect> {
    let Some(editor) = app.editor.take() else { return Vec::new() };
    if editor.answers.is_some() && editor.touched {
        app.toasts.add("nothing was sent: the question still waits", Kind::News, app.now);
    }
    let Some(draft) = editor.draft() else { return Vec::new() };
    app.draft = Some(draft);
    let key = app.look.keys(Action::NewJob);
    app.toasts.add(format!("the text is kept: {key} goes on with it"), Kind::News, app.now);
    vec![Effect::Keep]
}

fn template(app: &mut App) -> Vec<Effect> {
    let now = app.now.mono;
    let Some(editor) = &app.editor else { return Vec::new() };
    if editor.answers.is_some() {
        return Vec::new();
    }
    if editor.touched {
        app.toasts.add("a template takes the place of the text: undo everything typed first, or close", Kind::Fault, app.now);
        return Vec::new();
    }
    let next = editor.template.map_or(0, |at| (at + 1) % TEMPLATES.len());
    let mut fresh = Editor::new(TEMPLATES[next].1, "new job", editor.base.clone(), now);
    fresh.template = Some(next);
    fresh.stamp = editor.stamp + 1;
    app.editor = Some(fresh);
    Vec::new()
}

/// Checks again and submits when there is no fault; the shell does both.
fn submit(app: &mut App) -> Vec<Effect> {
    if let Some(why) = &app.read_only {
        let text = format!("not submitted: this home is read-only\n{why}");
        app.toasts.add(text, Kind::Fault, app.now);
        return Vec::new();
    }
    if !app.link.is_up() {
        app.toasts.add("not submitted: there is no manager now\nthe text stays here", Kind::Fault, app.now);
        return Vec::new();
    }
    match &mut app.editor {
        Some(editor) if !editor.sending && editor.answers.is_some() => answers::check_edited(app, true),
        Some(editor) if !editor.sending => {
            editor.sending = true;
            editor.check_at = None;
            vec![Effect::Check]
        }
        _ => Vec::new(),
    }
}

/// What a check found. When the text was to be submitted, it is now.
pub fn checked(app: &mut App, stamp: u64, found: Result<Box<Parsed>, Vec<Diagnostic>>) -> Vec<Effect> {
    app.dirty = true;
    let key = crate::os::random_hex(16);
    let Some(editor) = app.editor.as_mut().filter(|editor| editor.stamp == stamp) else { return Vec::new() };
    match found {
        Ok(parsed) => {
            let (name, tasks) = (parsed.submission.job.name.clone(), parsed.submission.tasks.len());
            editor.checked = Checked::Good(name.clone(), tasks, parsed.warnings);
            if !editor.sending {
                return Vec::new();
            }
            let number = app.next_number();
            let what = format!("submission of {name}");
            app.toasts.add_for(format!("{what}: sent"), Kind::Sent, app.now, Some(number));
            app.sent.insert(number, Sent { what, submits: true, question: None });
            let submission = Box::new(parsed.submission);
            let command = match parsed.schedule {
                Some(rule) => Command::ScheduleSet { submission, rule: Box::new(rule) },
                None => Command::Submit { submission, key: Some(key) },
            };
            vec![Effect::Command(number, command)]
        }
        Err(faults) => {
            if editor.sending {
                editor.sending = false;
                if let Some(first) = faults.first() {
                    go_to(editor, first);
                    app.toasts.add(format!("not submitted: {}", first.message), Kind::Fault, app.now);
                }
            }
            if let Some(editor) = &mut app.editor {
                editor.checked = Checked::Bad(faults);
            }
            Vec::new()
        }
    }
}

/// Puts the cursor on a fault.
pub fn go_to(editor: &mut Editor, fault: &Diagnostic) {
    let place = |number: u32| u16::try_from(number.saturating_sub(1)).unwrap_or(u16::MAX);
    editor.area.move_cursor(ratatui_textarea::CursorMove::Jump(place(fault.line), place(fault.column)));
}

/// The text that came back from `$EDITOR`.
pub fn replaced(app: &mut App, text: &str) {
    let now = app.now.mono;
    if let Some(editor) = &mut app.editor {
        let mut fresh = Editor::new(text, &editor.file, editor.base.clone(), now);
        fresh.params = std::mem::take(&mut editor.params);
        fresh.template = editor.template;
        fresh.answers = editor.answers;
        fresh.stamp = editor.stamp + 1;
        fresh.touched = true;
        *editor = fresh;
    }
    app.dirty = true;
}
