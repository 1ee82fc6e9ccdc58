//! Every screen at the sizes that people have.

use airx::model::state::TaskKind;

use super::harness::{Screen, at};
use super::scenes::{log, morning, talk, thirty};
use super::world::{MINUTE, Says, task, world};

const SIZES: [(u16, u16); 4] = [(60, 16), (80, 24), (120, 40), (200, 50)];

fn at_all_sizes(name: &str, make: impl Fn(u16, u16) -> Screen) {
    for (columns, rows) in SIZES {
        make(columns, rows).looks_as_in(&format!("{name}_{columns}x{rows}"));
    }
}

#[test]
fn the_tree() {
    at_all_sizes("tree", |columns, rows| {
        let mut screen = at(columns, rows).over(morning());
        screen.press("j j j l k k");
        // Whatever the room: what failed, what is held and why does not go.
        screen.shows("exit 2").shows("1 failed").shows("usage limit until 23:13:20");
        screen
    });
}

#[test]
fn a_log() {
    at_all_sizes("log", |columns, rows| {
        let mut screen = at(columns, rows).over(world().job("ci", vec![log()]));
        screen.press("j enter");
        screen.shows("FAILED").shows("panicked at src/token.rs");
        screen
    });
}

#[test]
fn a_log_with_broken_lines_and_hits() {
    at_all_sizes("log_search", |columns, rows| {
        let mut screen = at(columns, rows).over(world().job("ci", vec![log()]));
        screen.press("j enter w g g /").types("failed").press("enter");
        screen.shows("FAILED").shows("/failed");
        screen
    });
}

#[test]
fn a_conversation() {
    at_all_sizes("talk", |columns, rows| {
        let mut screen = at(columns, rows).over(world().job("ai", vec![task("fix").running(MINUTE).claude(&talk())]));
        screen.press("j enter");
        screen.shows("cargo test -p auth").shows("todo 1/3");
        screen
    });
}

#[test]
fn a_conversation_unfolded() {
    at_all_sizes("talk_unfolded", |columns, rows| {
        let mut screen = at(columns, rows).over(world().job("ai", vec![task("fix").running(MINUTE).claude(&talk())]));
        screen.press("j enter F /").types("identical").press("enter");
        screen.shows("identical blocks");
        screen
    });
}

#[test]
fn info() {
    at_all_sizes("info", |columns, rows| {
        let mut screen = at(columns, rows).over(morning());
        screen.press("/").types("fix/1").press("enter j enter 2");
        screen.shows("harden-auth.1/fix/1");
        screen
    });
}

#[test]
fn events() {
    at_all_sizes("events", |columns, rows| {
        let mut screen = at(columns, rows).over(morning());
        screen.press("tab 3");
        screen.shows("attempt 1");
        screen
    });
}

#[test]
fn a_graph() {
    at_all_sizes("graph", |columns, rows| {
        let mut screen = at(columns, rows).over(thirty());
        screen.press("tab 4 l l");
        screen.shows("build-0");
        screen
    });
}

#[test]
fn the_editor_with_a_fault_at_its_line() {
    at_all_sizes("editor", |columns, rows| {
        let mut screen = at(columns, rows).over(world());
        screen.press("+");
        for _ in 0..20 {
            screen.press("down");
        }
        screen.press("end enter").types("max_paralel: 2").pass(200);
        screen.shows("max_paralel").shows("✘ 1 fault");
        screen
    });
}

#[test]
fn the_palette() {
    at_all_sizes("palette", |columns, rows| {
        let mut screen = at(columns, rows).over(morning());
        screen.press(":").types("requeue");
        screen.shows("requeue-failed");
        screen
    });
}

#[test]
fn the_help() {
    at_all_sizes("help", |columns, rows| {
        let mut screen = at(columns, rows).over(morning());
        screen.press("?");
        screen.shows("run the task again");
        screen
    });
}

#[test]
fn a_question() {
    at_all_sizes("question", |columns, rows| {
        let mut screen = at(columns, rows).over(morning());
        screen.press("j space space space space c");
        screen.shows("Cancel 4 tasks").shows("yes").shows("no");
        screen
    });
}

#[test]
fn the_question_before_leaving() {
    at_all_sizes("leave", |columns, rows| {
        let mut screen = at(columns, rows).over(morning());
        screen.press("q");
        screen.shows("Not over: 4 running").shows("leave it to a background manager");
        screen
    });
}

#[test]
fn the_messages() {
    at_all_sizes("messages", |columns, rows| {
        let mut screen =
            at(columns, rows).over(morning().warning("the disk has 312 MiB left (min_free_disk: 1 GiB): nothing new starts"));
        screen.press("p s a m");
        screen.shows("312 MiB left").shows("the cursor follows what starts");
        screen
    });
}

#[test]
fn toasts() {
    at_all_sizes("toasts", |columns, rows| {
        let mut screen = at(columns, rows).over(morning());
        screen.world.says = Says::No("it is alive", "cancel it first");
        screen.press("j r");
        screen.world.says = Says::Nothing;
        screen.press("p").shows("it is alive").shows("cancel it first").shows(": sent");
        screen
    });
}

#[test]
fn below_110_columns_one_pane_has_the_screen_and_zoom_does_it_anywhere() {
    let mut screen = at(109, 30).over(morning());
    screen.shows("Jobs").shows_no("Events");
    screen.press("tab").shows("Events").shows_no("╭ Jobs");
    screen.press("esc").shows("╭ Jobs");
    screen.resize(110, 30).shows("Events").shows("╭ Jobs");
    screen.press("z").shows("╭ Jobs").shows_no("Events");
    screen.press("z").shows("Events");
}

#[test]
fn the_width_of_the_tree_is_kept() {
    let mut screen = at(200, 50).over(morning());
    let before = screen.place("[Job]").0;
    screen.press(">");
    assert!(screen.place("[Job]").0 > before);
    assert_eq!(screen.asks_the_shell(), Some(airx::tui::app::Effect::Keep));
    for _ in 0..30 {
        screen.press("<");
    }
    assert_eq!(screen.app.split, 20);
}

#[test]
fn counts_of_what_needs_a_person_are_the_last_to_go_from_the_top_line() {
    let screen = at(60, 16).over(morning());
    let top = screen.text().lines().next().unwrap().to_owned();
    let (failed, _) = airx::tui::app::look::Look::sign(&screen.app.look, TaskKind::Failed);
    assert!(top.contains(&format!("{failed} 1 failed")), "{top}");
    assert!(top.contains("2 held"), "{top}");
}
