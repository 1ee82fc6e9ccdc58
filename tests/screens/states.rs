//! The states that a screen is in when something is missing, lost, refused or wrong: each is designed, and each is here.

use airx::config::theme::Role;
use airx::model::diagnostic::Diagnostic;
use airx::model::message::RefusalCode;
use airx::model::state::{FailCause, Hold, Outcome};

use super::harness::{Setup, at, over};
use super::scenes::morning;
use super::world::{MINUTE, SECOND, Says, ago, lost, refused, task, world};

#[test]
fn an_empty_home_shows_what_to_type() {
    let mut screen = at(80, 24).over(world());
    screen.shows("airx run FILE").shows("airx claude").shows("airx add -- make test");
    screen.looks_as_in("state_empty_home");
    screen.press("j k enter r c p x y G g g").shows("airx run FILE");
}

#[test]
fn connecting_says_so() {
    let screen = at(80, 24).connecting(world());
    screen.shows("connecting to the manager");
    screen.looks_as_in("state_connecting");
}

#[test]
fn without_a_manager_from_the_beginning_it_says_what_to_do() {
    let mut screen = at(80, 24).connecting(world());
    screen.loses_the_manager(airx::api::client::ClientError::no_manager());
    screen.shows("no connection to the manager").shows("starts a manager in the background");
    screen.looks_as_in("state_no_manager");
}

#[test]
fn a_lost_manager_dims_what_is_shown_and_says_as_of_when() {
    let mut screen = at(80, 24).over(morning());
    screen.loses_the_manager(lost());
    screen.shows("as of 22:13:20").shows("reconnecting").shows("what runs goes on");
    let stale = super::picture::style(&{
        let mut cell = ratatui::buffer::Cell::default();
        cell.set_style(screen.app.look.style(Role::Stale));
        cell
    });
    assert!(screen.style_of("discover").contains(&stale), "{} is not {stale}", screen.style_of("discover"));
    screen.looks_as_in("state_reconnecting");
    screen.press("r").shows("not sent, there is no manager now");
    assert_eq!(screen.commands, []);
    screen.pass(5 * SECOND).shows("as of 22:13:20");
    let reset = screen.world.reset();
    screen.hears(reset).shows("the manager is back").shows_no("as of");
}

#[test]
fn no_match_says_what_was_looked_for_and_how_to_get_back() {
    let mut screen = at(80, 24).over(morning());
    screen.press("/").types("zzz").press("enter");
    screen.shows("nothing matches `zzz`").shows("esc shows everything");
    screen.looks_as_in("state_no_match");
    screen.press("esc").shows("harden-auth.1");
}

#[test]
fn a_silent_task_says_how_long() {
    let mut screen = at(80, 24).over(world().job("quiet", vec![task("wait").running(192 * SECOND)]));
    screen.press("j enter").shows("silent 3:12");
    screen.looks_as_in("state_nothing_yet");
    screen.pass(SECOND).shows("silent 3:13");
}

#[test]
fn a_task_that_has_not_started_says_why() {
    let mut screen = at(80, 24).over(world().job("queue", vec![task("first").running(SECOND), task("second")]));
    screen.press("j j enter").shows("it has not started");
    screen.looks_as_in("state_not_started");
}

#[test]
fn an_engine_that_is_gone_stands_beside_all_of_its_pool_and_is_gone_when_it_is_back() {
    let tasks = vec![
        task("lives").running(SECOND).pool("far").progress(3, Some(5), ""),
        task("begins").starting().pool("far"),
        task("waits").pool("far"),
        task("near").running(SECOND),
    ];
    let mut home = world().job("mixed", tasks);
    let far = airx::model::message::PoolView { name: "far".to_owned(), slots: 2, used: 2, unreachable: None };
    home.overview.pools.push(far);
    let mut screen = at(80, 24).over(home);
    screen.press("l").shows_no("engine unreachable");
    let mut overview = screen.world.overview.clone();
    overview.pools[1].unreachable = Some("no such socket".to_owned());
    screen.hears(airx::tui::data::sync::Incoming::Overview(Box::new(overview.clone())));
    assert_eq!(screen.text().matches("engine unreachable: no such socket").count(), 3, "{}", screen.text());
    screen.shows("(3/5");
    overview.pools[1].unreachable = None;
    screen.hears(airx::tui::data::sync::Incoming::Overview(Box::new(overview))).shows_no("engine unreachable");
}

#[test]
fn a_launch_says_how_far_it_is() {
    let pulled = task("a").starting().progress(34, Some(100), "pulling image");
    let mut screen = at(80, 24).over(world().job("new", vec![pulled]));
    screen.press("l j").shows("pulling image 34 %");
}

#[test]
fn output_that_was_cut_off_says_so_below_it() {
    let long: String = (0..100).map(|line| format!("line {line}\n")).collect();
    let flood = task("flood").failed(Outcome::Failed { cause: FailCause::OutputLimit }).printed(&long);
    let mut screen = at(80, 24).over(world().job("loud", vec![flood]));
    screen.press("l j enter").shows("line 99").shows("what came after it was not kept").shows("output_limit");
    screen.looks_as_in("state_truncated");
    screen.press("g g").shows("line 0").shows("what came after it was not kept");
}

#[test]
fn an_expired_login_says_how_to_log_in_and_what_to_press_then() {
    let held = Hold::Login { again: ago(0).plus(300_000), delay_ms: 300_000 };
    let expired = task("fix").failed(Outcome::Auth).held(held).claude(&super::scenes::transcript("err_401"));
    let mut screen = at(80, 24).over(world().job("ai", vec![expired]));
    screen.press("l j").shows("login or key refused: log in again");
    screen.press("enter").shows("the login has expired: /login in `claude`").shows("r tries it at once");
    screen.looks_as_in("state_login_expired");
}

#[test]
fn what_was_removed_is_gone_and_the_rest_is_there() {
    let mut screen = over(morning());
    screen.press("G");
    let reset = {
        let mut smaller = screen.world.clone();
        smaller.jobs.remove(0);
        smaller.reset()
    };
    screen.hears(reset).shows("release-notes.1 is gone: removed after the retention time").shows("harden-auth.1");
    screen.looks_as_in("state_gone");
    screen.press("k").shows_no("is gone");
}

#[test]
fn output_that_was_removed_says_so() {
    let mut screen = over(world().job("old", vec![task("a").completed(MINUTE)]));
    screen.world.jobs[0].tasks[0].files.clear();
    screen.press("l j").shows("the output is not there any more");
}

#[test]
fn a_command_is_sent_then_confirmed() {
    let mut screen = at(80, 24).over(morning());
    screen.world.says = Says::Nothing;
    screen.press("p").shows("pause of harden-auth.1: sent");
    screen.looks_as_in("state_sent");
    let number = screen.late.pop().unwrap();
    let done = airx::model::message::Done::Affected { count: 1 };
    screen.hears(airx::tui::data::sync::Incoming::Answered(number, Ok(done)));
    screen.shows("pause of harden-auth.1: done").shows_no(": sent");
    screen.looks_as_in("state_confirmed");
    screen.pass(5 * SECOND).shows_no(": done");
}

#[test]
fn a_refused_command_says_why_and_what_to_do() {
    let mut screen = at(80, 24).over(morning());
    screen.world.says = Says::No("harden-auth.1/discover is still alive", "cancel it first: airx cancel harden-auth.1/discover");
    screen.press("j r").shows("✘ harden-auth.1/discover is still alive").shows("cancel it first");
    screen.looks_as_in("state_refused");
    screen.pass(11 * SECOND).shows_no("cancel it first");
    screen.press("m").shows("still alive");
}

#[test]
fn a_read_only_home_says_so_and_changes_nothing() {
    let why = "the store is of a later version of airx".to_owned();
    let mut screen = Setup { read_only: Some(why), embeds: false, ..at(80, 24) }.over(morning());
    screen.shows("read-only");
    screen.looks_as_in("state_read_only");
    screen.press("r").shows("read-only").shows("of a later version of airx");
    screen.press("c").pass(400).press("y P p K ctrl-r").pass(400).press("y");
    assert_eq!(screen.commands, [], "nothing is sent");
    screen.press("esc m").shows("the store is of a later version of airx");
}

#[test]
fn faults_of_the_configuration_are_counted_and_told_with_their_lines() {
    let fault = Diagnostic {
        file: "/home/ann/.config/airx/keymaps/default.yaml".to_owned(),
        line: 7,
        column: 3,
        message: "no action is called `requeu`".to_owned(),
        hint: "did you mean `requeue`?".to_owned(),
    };
    let mut screen = Setup { faults: vec![fault], ..at(80, 24) }.over(morning());
    screen.shows("1 warning (m)");
    screen.press("m").shows("default.yaml:7:3").shows("did you mean `requeue`?");
    screen.looks_as_in("state_configuration_error");
}

#[test]
fn versions_that_do_not_match_are_told_with_the_remedy() {
    let mut screen = at(80, 24).connecting(world());
    let hint = "`airx stop`, then `airx --daemon`: what runs goes on";
    screen.loses_the_manager(refused(RefusalCode::Version, "the manager speaks version 2, this program version 1", hint));
    screen.shows("of different versions").shows("airx stop");
    screen.looks_as_in("state_version_mismatch");
    let mut attached = at(80, 24).over(morning());
    attached.loses_the_manager(refused(RefusalCode::Version, "the manager speaks version 2, this program version 1", hint));
    attached.shows("versions differ").shows("airx stop");
}

#[test]
fn a_screen_that_is_too_small_says_what_it_needs() {
    let screen = at(59, 16).over(morning());
    screen.shows("airx needs 60x16, this is 59x16");
    at(60, 15).over(morning()).shows("airx needs 60x16");
    at(60, 16).over(morning()).shows("harden-auth.1");
}

#[test]
fn a_manager_that_is_met_late_is_not_back() {
    let mut screen = at(120, 16).connecting(morning());
    screen.loses_the_manager(lost());
    let reset = screen.world.reset();
    screen.hears(reset).shows_no("is back").shows("discover");
}
