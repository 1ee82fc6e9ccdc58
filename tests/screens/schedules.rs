//! Schedules on the screen: how many there are and when the next one is due, and what leaving does to them.

use airx::model::message::Command;
use airx::tui::app::Effect;
use airx::tui::parts::Left;
use airx::tui::update::Input;

use super::harness::{Screen, at, over};
use super::world::{HOUR, NOON, World, task, world};

/// With two schedules, the next of which is due in three hours.
fn screen(mut home: World) -> Screen {
    home.overview.schedules = 2;
    home.overview.next_due = Some(NOON.plus(3 * HOUR as i64));
    over(home)
}

#[test]
fn the_top_line_tells_how_many_there_are_and_when_the_next_one_is_due() {
    let screen = screen(world().job("one", vec![task("a").completed(1_000)]));
    assert!(screen.line("airx").contains("2 scheduled, next "), "{}", screen.text());
}

#[test]
fn leaving_asks_also_when_nothing_runs_but_something_is_scheduled() {
    let mut home = screen(world().job("one", vec![task("a").completed(1_000)]));
    home.press("q").shows("Not over: 2 scheduled, next ").shows("then no schedule fires");
    home.pass(300).press("l");
    assert_eq!(home.asks_the_shell(), Some(Effect::Leave(Left::Background)));
    let mut home = screen(world());
    home.press("q").pass(300).press("w").pass(1_000);
    assert_eq!(home.asks_the_shell(), Some(Effect::Leave(Left::Quit)), "a person may want no schedule to fire");
}

#[test]
fn a_file_with_a_schedule_is_scheduled_by_the_editor() {
    let mut screen = at(80, 24).over(world());
    screen.press("+");
    let text = "name: nightly\nschedule: { every: 1h }\ntasks: [{ id: a, run: echo }]\n";
    screen.feed(Input::Paste(text.to_owned())).pass(200).shows("no fault: nightly, 1 task");
    screen.press("f2");
    assert!(matches!(screen.commands.first(), Some(Command::ScheduleSet { .. })), "{:?}", screen.commands);
}
