//! Every theme, with the main screen and with a question over it.

use super::harness::{Setup, at};
use super::scenes::morning;

fn looks(theme: &'static str) {
    let mut screen = Setup { theme, ..at(80, 24) }.over(morning());
    screen.press("j j j");
    screen.shows("harden-auth.1");
    screen.looks_as_in(&format!("theme_{theme}"));
    screen.press("enter w").looks_as_in(&format!("theme_{theme}_pane"));
    screen.press("esc j space space c").shows("Cancel 2 tasks? 1 task is not over.");
    screen.looks_as_in(&format!("theme_{theme}_question"));
}

#[test]
fn terminal() {
    looks("terminal");
}

#[test]
fn dark() {
    looks("dark");
}

#[test]
fn light() {
    looks("light");
}

#[test]
fn high_contrast() {
    looks("high-contrast");
}

#[test]
fn mono() {
    looks("mono");
}

#[test]
fn the_terminal_theme_sets_no_background() {
    let mut screen = at(120, 40).over(morning());
    for keys in ["j j j", "tab 1", "2", "3", "4", "tab :", "esc ?", "esc +", "esc j space space c"] {
        screen.press(keys);
        let buffer = screen.draw();
        assert!(buffer.content().iter().all(|cell| cell.bg == ratatui::style::Color::Reset), "after {keys}");
    }
}
