//! The mouse does what the keys do.

use airx::tui::app::pane::Tab;
use airx::tui::app::{Effect, Focus};
use airx::tui::update::Mouse;

use super::harness::{at, over};
use super::scenes::{morning, talk};
use super::world::{MINUTE, task, world};

#[test]
fn a_click_on_a_line_selects_it_and_one_more_opens_it() {
    let mut screen = over(morning());
    screen.click_on("discover");
    assert_eq!(screen.selected(), "harden-auth.1/discover");
    assert_eq!(screen.app.focus, Focus::Tree);
    screen.click_on("discover");
    assert_eq!(screen.app.focus, Focus::Pane);
}

#[test]
fn a_click_on_a_job_selects_then_folds_it() {
    let mut screen = over(morning());
    screen.click_on("◦ nightly-docs.1");
    assert_eq!(screen.selected(), "nightly-docs.1");
    screen.click_on("◦ nightly-docs.1");
    screen.shows_no("page-3");
    screen.click_on("◦ nightly-docs.1").shows("page-3");
}

#[test]
fn a_click_on_a_tab_shows_it() {
    let mut screen = over(morning());
    for (text, tab) in [("Info", Tab::Info), ("Events", Tab::Events), ("Graph", Tab::Graph), ("Job", Tab::Output)] {
        // The tree's title has the same letters.
        let label = if text == "Job" { " Job " } else { text };
        screen.click_on(label);
        assert_eq!(screen.app.pane.tab, tab);
        screen.shows(&format!("[{text}]"));
    }
}

#[test]
fn a_click_on_a_hint_does_what_its_key_does() {
    let mut by_mouse = over(morning());
    let mut by_key = over(morning());
    by_mouse.click_on("help");
    by_key.press("?");
    assert_eq!(by_mouse.text(), by_key.text());
    let (mut by_mouse, mut by_key) = (over(morning()), over(morning()));
    by_mouse.click_on("p pause");
    by_key.press("p");
    assert_eq!(by_mouse.commands, by_key.commands);
    assert_eq!(by_mouse.commands.len(), 1);
    let mut leaving = at(120, 40).over(world());
    leaving.click_on("quit");
    assert!(matches!(leaving.asks_the_shell(), Some(Effect::Leave(_))));
}

#[test]
fn nothing_happens_where_there_is_nothing() {
    let mut screen = over(morning());
    let before = screen.text();
    for (x, y) in [(0, 0), (119, 0), (3, 38), (119, 39), (500, 500), (u16::MAX, u16::MAX), (0, 1)] {
        screen.click(x, y);
    }
    assert_eq!(screen.selected(), "harden-auth.1");
    assert_eq!(screen.commands, []);
    screen.press("tab esc");
    assert_eq!(screen.text(), before);
}

#[test]
fn the_wheel_moves_what_is_under_it() {
    let mut screen = over(morning());
    screen.wheel(Mouse::Down, "discover");
    assert_eq!(screen.app.tree.cursor, 3);
    screen.wheel(Mouse::Up, "discover");
    assert_eq!(screen.app.tree.cursor, 0);
    let mut info = at(120, 20).over(morning());
    info.wheel(Mouse::Down, "last change");
    assert_eq!(info.app.pane.info_top, 3);
    let mut help = over(morning());
    help.press("?").wheel(Mouse::Down, "discover");
    assert!(matches!(help.app.dialog, Some(airx::tui::app::dialog::Dialog::Help { top: 1.. })));
}

#[test]
fn a_click_on_a_call_unfolds_it() {
    let mut screen = at(80, 24).over(world().job("ai", vec![task("fix").running(MINUTE).claude(&talk())]));
    screen.press("j enter").shows_no("identical blocks");
    screen.click_on("Bash cargo clippy").shows("identical blocks");
}

#[test]
fn a_click_on_a_node_chooses_it() {
    let mut screen = at(80, 24).over(super::scenes::thirty());
    screen.press("tab 4").click_on("check-3");
    let graph = &screen.app.pane.graph;
    assert_eq!(graph.members[graph.chosen.unwrap()].name, "check-3");
}
