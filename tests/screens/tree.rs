//! The job tree: what it shows, and that the cursor stays where a person put it.

use airx::model::message::ParentView;
use airx::model::state::Outcome;
use airx::model::time::Utc;

use super::harness::{at, over};
use super::scenes::morning;
use super::world::{MINUTE, SECOND, task, world};
use airx::tui::data::sync::Request;

#[test]
fn a_line_says_what_waits_for_what_and_what_failed_how() {
    let screen = at(200, 50).over(morning());
    assert!(screen.line("fix/3").contains("retry at 22:15:50, in 2:30"), "{}", screen.text());
    screen.shows("usage limit until 23:13:20");
    screen.shows("needs fix/1, fix/2, fix/3 +1");
    assert!(screen.line("fix/1").contains("3/5 todo"));
    assert!(screen.line("fix/1").contains("3:12"));
    assert!(screen.line("fix/1").contains("$0.22"));
    assert!(screen.line("fix/1").contains("try 3"));
    assert!(screen.line("nightly-docs.1").contains("paused"));
    assert!(screen.line("release-notes.1").contains("1 failed"));
}

#[test]
fn added_tasks_stand_below_the_one_that_queued_them() {
    let screen = over(morning());
    let rows = screen.rows();
    let place = |name: &str| rows.iter().position(|row| row.ends_with(name)).unwrap();
    assert_eq!(place(" extra"), place(" fix/1") + 1);
    assert_eq!(rows[place(" extra")], "-- extra");
    assert_eq!(rows[place(" extra-2")], "--- extra-2");
}

#[test]
fn a_child_job_stands_below_the_task_that_it_does_the_work_of_and_unfolds_there() {
    let mut nightly = world().job("nightly", vec![task("check"), task("tell")]).job("checks", vec![task("lint")]);
    let address = "nightly.1/check".parse().unwrap();
    nightly.jobs[1].view.parent = Some(Box::new(ParentView { job: 1, task: 0, address }));
    let mut screen = over(nightly);
    assert_eq!(screen.rows(), ["nightly.1", "- check", "checks.1", "--- lint", "- tell"]);
    screen.press("j j left");
    assert_eq!(screen.rows(), ["nightly.1", "- check", "checks.1", "- tell"]);
    screen.press("/ l i n t enter");
    assert_eq!(screen.rows(), ["checks.1", "- lint"], "a filter finds it wherever it is");
}

#[test]
fn the_cursor_stays_on_its_line_when_work_appears_above_it() {
    let mut screen = at(120, 16).over(morning());
    screen.press("j j j");
    let (before, line) = (screen.selected(), screen.app.tree.cursor - screen.app.tree.top);
    for number in 0..5 {
        screen.when(|world| world.submitted(&format!("new-{number}"), vec![task("a"), task("b")]));
    }
    assert_eq!(screen.selected(), before);
    assert_eq!(screen.app.tree.cursor - screen.app.tree.top, line, "not even on the screen does it move");
    screen.press("g g");
    assert_eq!(screen.selected(), "new-4.1", "the new ones are above");
}

#[test]
fn the_cursor_stays_when_tasks_are_added_above_it() {
    let mut screen = over(morning());
    screen.press("j j j j j j");
    let before = screen.selected();
    screen.when(|world| world.adds(3, task("late").below("discover")));
    assert_eq!(screen.selected(), before);
    screen.shows("late");
}

#[test]
fn the_filter_is_live_and_fuzzy_and_esc_takes_it_back() {
    let mut screen = over(morning());
    screen.press("/").types("hrdscover");
    assert_eq!(screen.rows(), ["harden-auth.1", "- discover"], "fuzzy, over job and task, while it is typed");
    screen.shows(" / hrdscover");
    screen.press("esc");
    assert!(screen.rows().len() > 10, "esc takes back what was typed");
    screen.press("/").types("unit").press("enter");
    screen.shows("Jobs  /unit");
    screen.press("esc");
    screen.shows_no("/unit");
}

#[test]
fn a_filter_by_state_looks_into_folded_jobs() {
    let mut screen = over(morning());
    screen.press("H /").types("state:failed").press("enter");
    assert_eq!(screen.rows(), ["release-notes.1", "- docs"]);
    screen.when(|world| world.moves(3, "unit", |task| task.exited(1)));
    assert!(screen.rows().contains(&"- unit".to_owned()), "what fails now appears: {:?}", screen.rows());
}

#[test]
fn a_filter_by_pool_finds_the_tasks_of_that_pool() {
    let world = morning().job("mixed", vec![task("here"), task("there").pool("gpu")]);
    let mut screen = over(world);
    screen.press("/").types("pool:gpu");
    assert_eq!(screen.rows(), ["mixed.1", "- there"]);
    screen.press("ctrl-u").types("pool:gpu state:running");
    screen.shows("nothing matches `pool:gpu state:running`");
}

#[test]
fn the_order_goes_round_newest_state_name_cost() {
    let mut screen = over(morning());
    screen.press("H");
    assert_eq!(screen.rows(), ["harden-auth.1", "nightly-docs.1", "release-notes.1"]);
    screen.press("s").shows("by state");
    assert_eq!(screen.rows(), ["harden-auth.1", "nightly-docs.1", "release-notes.1"]);
    screen.press("s s").shows("by cost");
    assert_eq!(screen.rows(), ["harden-auth.1", "release-notes.1", "nightly-docs.1"]);
    screen.press("s").shows_no("by cost");
}

#[test]
fn attempts_unfold_below_their_task() {
    let mut screen = over(morning());
    screen.press("/").types("fix/1").press("enter j l");
    assert_eq!(screen.rows(), ["harden-auth.1", "- fix/1", "-- attempt 3", "-- attempt 2", "-- attempt 1"]);
    screen.shows("exit 101");
    screen.shows("lost: its runner is gone");
    screen.press("j j").shows("attempt 2 of 3");
    screen.press("h h");
    assert_eq!(screen.rows(), ["harden-auth.1", "- fix/1"]);
}

#[test]
fn attempts_say_why_they_ended_wherever_the_cursor_is() {
    let mut screen = at(80, 24).over(morning());
    screen.press("j j j l").shows("✘ attempt 2  exit 101").shows("✘ attempt 1  lost: its runner is gone");
    screen.press("g g").shows("✘ attempt 2  exit 101");
}

#[test]
fn a_selection_that_disappears_leaves_the_cursor_nearby_and_says_so() {
    let mut screen = over(morning());
    screen.press("G");
    assert_eq!(screen.selected(), "release-notes.1");
    let reset = {
        let mut smaller = screen.world.clone();
        smaller.jobs.remove(0);
        smaller.reset()
    };
    screen.hears(reset).shows("release-notes.1 is gone");
    screen.press("k").shows_no("is gone");
}

#[test]
fn a_folded_or_filtered_selection_goes_to_its_job() {
    let mut screen = over(morning());
    screen.press("j j H");
    assert_eq!(screen.selected(), "harden-auth.1");
    screen.press("l j j j /").types("discover");
    assert_eq!(screen.selected(), "harden-auth.1", "the job is what is left of it");
}

#[test]
fn the_cursor_follows_what_starts_when_it_was_told_to() {
    let mut screen = over(morning());
    screen.press("a").shows("follows");
    screen.when(|world| world.moves(3, "fix/2", |task| task.running(0)));
    assert_eq!(screen.selected(), "harden-auth.1/fix/2");
    screen.press("j");
    let moved_by_hand = screen.selected();
    screen.when(|world| world.moves(2, "page-5", |task| task.running(0)));
    assert_eq!(screen.selected(), moved_by_hand, "whoever moves it has it back");
}

#[test]
fn the_next_failed_task_is_found_in_folded_jobs_too() {
    let mut screen = over(morning());
    screen.press("H !");
    assert_eq!(screen.selected(), "release-notes.1/docs");
    let mut fine = over(world().job("fine", vec![task("a").completed(SECOND)]));
    fine.press("!").shows("no task has failed");
}

#[test]
fn changes_show_at_once_and_only_where_they_belong() {
    let mut screen = over(morning());
    assert!(screen.line("► harden-auth.1").contains("3/11"), "{}", screen.line("► harden-auth.1"));
    screen.when(|world| world.moves(3, "unit", |task| task.failed(Outcome::TimedOut)));
    // One more is over, and none more is done.
    assert!(screen.line("► harden-auth.1").contains("3/11  1 failed  2 held"), "{}", screen.line("► harden-auth.1"));
    assert!(screen.line("unit").contains("timed out"), "{}", screen.line("unit"));
}

#[test]
fn a_sequence_and_unknown_keys_do_what_they_should() {
    let mut screen = over(morning());
    screen.press("G");
    let last = screen.selected();
    screen.press("g").shows("first");
    assert_eq!(screen.selected(), last, "one g is only a beginning");
    screen.press("g");
    assert_eq!(screen.selected(), "harden-auth.1");
    let before = screen.text();
    screen.press("§ f9 alt-x ctrl-y");
    assert_eq!(screen.text(), before, "unknown keys do nothing");
    screen.press("g j");
    assert_eq!(screen.app.tree.cursor, 1, "a key that ends no sequence is itself");
}

#[test]
fn ages_grow_with_the_clock() {
    let mut screen = over(world().job("one", vec![task("slow").running(59 * SECOND)]));
    assert!(screen.line("slow").contains("0:59"));
    screen.pass(2 * SECOND);
    assert!(screen.line("slow").contains("1:01"));
    screen.pass(60 * MINUTE);
    assert!(screen.line("slow").contains("1:01:01"));
    assert_eq!(screen.app.now.utc, Utc(super::world::NOON.0 + 3_602_000));
}

#[test]
fn a_large_job_is_read_page_by_page_and_moved_through() {
    let tasks = (0..2_500).map(|number| task(&format!("t-{number}"))).collect();
    let mut screen = over(world().job("large", tasks));
    screen.press("G");
    assert_eq!(screen.selected(), "large.1/t-2499");
    screen.press("ctrl-u");
    assert_eq!(screen.selected(), format!("large.1/t-{}", 2_499 - (40 - 2 - 2 - 1)));
}

#[test]
fn what_happens_while_a_page_of_tasks_is_on_its_way_is_not_missed() {
    let mut world = world().job("build", vec![task("a").running(SECOND), task("b").running(SECOND)]);
    let job = airx::model::ids::JobRef { name: "build".to_owned(), number: Some(1) };
    let page = world.answer(Request::Tasks { job: (1, job), from: 0 }).unwrap();
    world.is_slow = true;
    let mut screen = at(120, 16).over(world);
    screen.when(|world| world.moves(1, "a", |task| task.completed(SECOND)));
    screen.hears(page);
    assert!(screen.line(" a ").contains('✓'), "{}", screen.text());
    assert!(!screen.line(" b ").contains('✓'), "{}", screen.text());
}

#[test]
fn a_page_of_tasks_from_before_a_new_connection_is_read_again() {
    let mut world = world().job("build", vec![task("a").running(SECOND), task("b").running(SECOND)]);
    let job = airx::model::ids::JobRef { name: "build".to_owned(), number: Some(1) };
    let page = world.answer(Request::Tasks { job: (1, job), from: 0 }).unwrap();
    world.is_slow = true;
    drop(world.moves(1, "a", |task| task.completed(SECOND)));
    let mut screen = at(120, 16).over(world);
    screen.world.is_slow = false;
    screen.hears(page);
    assert!(screen.line(" a ").contains('✓'), "{}", screen.text());
}
