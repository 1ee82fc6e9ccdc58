//! What a terminal tells, as the app understands it.

mod torn;

pub use torn::Torn;

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEventKind};

use crate::config::keymap::{Chord, Key};

use super::update::{Input, Mouse};

/// The input that an event is; none when it is nothing to the app.
pub fn input(event: Event) -> Option<Input> {
    match event {
        Event::Key(key) => chord(key).map(Input::Key),
        Event::Paste(text) => Some(Input::Paste(text)),
        Event::Resize(columns, rows) => Some(Input::Resize(columns, rows)),
        Event::Mouse(mouse) => {
            let what = match mouse.kind {
                MouseEventKind::Down(MouseButton::Left) => Mouse::Click,
                MouseEventKind::ScrollDown => Mouse::Down,
                MouseEventKind::ScrollUp => Mouse::Up,
                _ => return None,
            };
            Some(Input::Mouse(what, mouse.column, mouse.row))
        }
        Event::FocusGained | Event::FocusLost => None,
    }
}

fn chord(event: KeyEvent) -> Option<Chord> {
    if event.kind == KeyEventKind::Release {
        return None;
    }
    let key = match event.code {
        KeyCode::Char(character) => Key::Char(character),
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Esc,
        KeyCode::Tab => Key::Tab,
        KeyCode::BackTab => Key::BackTab,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Delete => Key::Delete,
        KeyCode::Insert => Key::Insert,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::F(number) => Key::F(number),
        _ => return None,
    };
    let held = |modifier| event.modifiers.contains(modifier);
    Some(Chord::new(key, held(KeyModifiers::CONTROL), held(KeyModifiers::ALT), held(KeyModifiers::SHIFT)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_in_one_form() {
        let told = |code, modifiers| match input(Event::Key(KeyEvent::new(code, modifiers))) {
            Some(Input::Key(chord)) => chord.to_string(),
            other => format!("{other:?}"),
        };
        assert_eq!(told(KeyCode::Char('G'), KeyModifiers::SHIFT), "G");
        assert_eq!(told(KeyCode::Char('c'), KeyModifiers::CONTROL), "ctrl-c");
        assert_eq!(told(KeyCode::Tab, KeyModifiers::SHIFT), "backtab");
        assert_eq!(told(KeyCode::CapsLock, KeyModifiers::NONE), "None");
    }
}
