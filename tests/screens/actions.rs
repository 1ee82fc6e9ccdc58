//! What keys lead to: commands for the manager, questions before something is lost, the editor, and leaving.

use airx::model::ids::{Address, JobName, JobRef};
use airx::model::message::{CancelHow, Command, RequeueWhich};
use airx::tui::app::{Effect, Program};
use airx::tui::output::fetch::Wanted;
use airx::tui::parts::Left;
use airx::tui::update::Input;

use super::harness::{Screen, Setup, at, over};
use super::scenes::morning;
use super::world::{MINUTE, SECOND, lost, task, world};

fn job(name: &str) -> JobRef {
    JobRef { name: name.to_owned(), number: Some(1) }
}

fn address(name: &str, id: &str) -> Address {
    Address { job: job(name), task: Some(id.to_owned()) }
}

fn whole(name: &str) -> Address {
    Address { job: job(name), task: None }
}

/// With the cursor on a task that the filter finds alone.
fn on(id: &str) -> Screen {
    let mut screen = over(morning());
    screen.press("/").types(id).press("enter j");
    screen
}

#[test]
fn a_failed_task_is_requeued() {
    let mut screen = on("notesdocs");
    assert_eq!(screen.selected(), "release-notes.1/docs");
    screen.press("r");
    let wanted =
        Command::Requeue { targets: vec![address("release-notes", "docs")], which: RequeueWhich::Failed, params: Vec::new() };
    assert_eq!(screen.commands, [wanted]);
    screen.shows("requeue of release-notes.1/docs: done");
}

#[test]
fn what_failed_in_a_job_is_requeued_at_once_and_the_whole_job_only_after_a_question() {
    let mut screen = on("notesdocs");
    screen.press("R");
    let failed = Command::Requeue { targets: vec![whole("release-notes")], which: RequeueWhich::Failed, params: Vec::new() };
    assert_eq!(screen.commands, [failed]);
    screen.press("ctrl-r").shows("Run every task of release-notes.1 again?").shows("1 is finished; so far it cost");
    screen.pass(400).press("y");
    let all = Command::Requeue { targets: vec![whole("release-notes")], which: RequeueWhich::All, params: Vec::new() };
    assert_eq!(screen.commands.last(), Some(&all));
}

#[test]
fn several_are_marked_and_cancelled_with_one_question_that_says_how_many() {
    let mut screen = over(morning());
    screen.press("/").types("fix/").press("enter j space space space space");
    screen.shows("4 marked");
    screen.press("c").shows("Cancel 4 tasks? 3 tasks are not over.").shows("harden-auth.1/fix/0");
    screen.pass(400).press("y");
    let targets: Vec<Address> = (0..4).map(|number| address("harden-auth", &format!("fix/{number}"))).collect();
    assert_eq!(screen.commands, [Command::Cancel { targets, all: false, how: CancelHow::Ask }]);
    screen.shows_no("marked");
}

#[test]
fn no_is_no() {
    for key in ["n", "esc", "ctrl-c"] {
        let mut screen = on("unit$");
        screen.press("c").shows("Cancel harden-auth.1/unit?");
        screen.pass(400).press(key);
        screen.shows_no("Cancel harden-auth.1/unit?");
        assert_eq!(screen.commands, []);
    }
}

#[test]
fn the_bottom_line_tells_the_keys_of_what_is_open() {
    let mut screen = over(morning());
    screen.press("?").shows(" j down  k up  esc close").shows_no("r requeue");
    screen.press("esc :").shows(" enter choose").shows("esc close").shows_no("r requeue");
    screen.press("esc j j j c").shows(" y yes  esc close").shows_no("r requeue");
}

#[test]
fn enter_alone_confirms_nothing() {
    let mut screen = on("unit$");
    screen.press("c").pass(400).press("enter space");
    assert_eq!(screen.commands, []);
    screen.shows("Cancel harden-auth.1/unit?");
}

#[test]
fn keys_count_only_some_time_after_a_question_appeared() {
    let mut screen = on("unit$");
    screen.press("c y").shows("Cancel harden-auth.1/unit?");
    assert_eq!(screen.commands, []);
    screen.pass(299).press("y n esc");
    assert_eq!(screen.commands, []);
    screen.shows("Cancel harden-auth.1/unit?");
    screen.pass(1).press("y");
    assert_eq!(screen.commands.len(), 1);
}

#[test]
fn kill_insists_at_once() {
    let mut screen = on("unit$");
    screen.press("K").shows("Kill harden-auth.1/unit?");
    screen.pass(400).press("y");
    let wanted = Command::Cancel { targets: vec![address("harden-auth", "unit")], all: false, how: CancelHow::Kill };
    assert_eq!(screen.commands, [wanted]);
}

#[test]
fn what_is_over_cannot_be_cancelled_and_says_so() {
    let mut screen = on("discover");
    screen.press("c").shows("nothing to cancel, it is over");
    assert!(screen.app.dialog.is_none());
}

#[test]
fn a_job_is_paused_and_goes_on() {
    let mut screen = over(morning());
    screen.press("p");
    assert_eq!(screen.commands, [Command::Pause { job: Some(job("harden-auth")) }]);
    let mut paused = over(morning());
    paused.press("/").types("nightly").press("enter p");
    assert_eq!(paused.commands, [Command::Resume { job: Some(job("nightly-docs")) }]);
    paused.press("P");
    assert_eq!(paused.commands.last(), Some(&Command::Pause { job: None }));
    paused.world.overview.paused = true;
    let reset = paused.world.reset();
    paused.hears(reset).shows("all paused");
    paused.press("P");
    assert_eq!(paused.commands.last(), Some(&Command::Resume { job: None }));
}

#[test]
fn every_marked_job_is_paused_once() {
    let mut screen = over(morning());
    screen.press("H space space space p");
    assert_eq!(screen.commands.len(), 3, "{:?}", screen.commands);
}

#[test]
fn names_are_copied_and_files_written_and_opened() {
    let mut screen = on("unit$");
    screen.press("y");
    assert_eq!(screen.asks_the_shell(), Some(Effect::Copy("harden-auth.1/unit".to_owned())));
    screen.press("o");
    assert!(matches!(screen.asks_the_shell(), Some(Effect::Show(_, Wanted::Output { attempt: 1, .. }, Program::Pager))));
    screen.press("x");
    let Some(Effect::Show(_, Wanted::Output { to, replace: false, .. }, Program::None)) = screen.asks_the_shell() else {
        panic!()
    };
    assert_eq!(to.to_str(), Some("/home/ann/shop/harden-auth.1-unit-1.log"));
    screen.press("d");
    let Some(Effect::Edit { text, back: false, .. }) = screen.asks_the_shell() else { panic!() };
    assert!(text.contains("./unit.sh"), "{text}");
    screen.press("g g x");
    let Some(Effect::Show(_, Wanted::Job { to, .. }, Program::None)) = screen.asks_the_shell() else { panic!() };
    assert_eq!(to.to_str(), Some("/home/ann/shop/harden-auth.1.json"));
}

#[test]
fn the_shown_output_is_what_is_copied_in_the_pane() {
    let mut screen = over(world().job("ci", vec![task("a").completed(SECOND).printed("one\n\u{1b}[31mtwo\u{1b}[0m\n")]));
    screen.press("l j enter y");
    assert_eq!(screen.asks_the_shell(), Some(Effect::Copy("one\ntwo".to_owned())));
    screen.press("esc Y");
    assert_eq!(screen.asks_the_shell(), Some(Effect::Copy("ci.1/a".to_owned())));
}

#[test]
fn a_new_job_is_written_checked_submitted_and_selected() {
    let mut screen = at(120, 40).over(morning());
    screen.press("+").shows("template: command");
    screen.pass(200).shows("no fault");
    screen.press("f3").shows("template: claude");
    screen.press("f3").shows("template: pipeline");
    screen.press("f3").pass(200);
    screen.press("f2");
    let Some(Command::Submit { submission, key: Some(key) }) = screen.commands.first() else { panic!("{:?}", screen.commands) };
    assert!(key.len() >= 32, "an answer that is lost can be asked for again");
    let name = submission.job.name.clone();
    screen.shows(&format!("{name}.1 submitted"));
    assert!(screen.app.editor.is_none());
    screen.when(|world| world.submitted(&name, vec![task("one")]));
    assert_eq!(screen.selected(), JobName { name, number: 1 }.to_string());
}

#[test]
fn a_fault_is_shown_at_its_line_and_nothing_is_submitted() {
    let mut screen = at(80, 24).over(world());
    screen.press("+");
    screen.feed(Input::Paste("nonsense: true\n".to_owned())).pass(100).shows("checking");
    screen.pass(100).shows("nonsense").shows("✘ 1 fault").shows("line 1, column 1");
    assert!(screen.line(" 1 nonsense").contains("✘"), "{}", screen.text());
    screen.press("f2").shows("not submitted");
    assert_eq!(screen.commands, []);
    assert!(screen.app.editor.is_some(), "the text is still there");
}

#[test]
fn what_was_typed_comes_back() {
    let mut screen = at(80, 24).over(world());
    screen.press("+").types("# mine").press("esc").shows("the text is kept");
    assert_eq!(screen.asks_the_shell(), Some(Effect::Keep));
    screen.press("+").shows("# mine");
    screen.press("f3").shows("a template takes the place of the text").shows("# mine");
}

#[test]
fn the_file_of_a_job_is_edited_and_submitted_again() {
    let mut screen = over(morning());
    screen.press("e").shows("edit of harden-auth.1").shows("name: harden-auth");
    screen.press("f4");
    assert!(matches!(screen.asks_the_shell(), Some(Effect::Edit { back: true, .. })));
    airx::tui::update::replaced(&mut screen.app, "name: other\ntasks:\n  - { id: a, run: echo }\n");
    screen.pass(200).shows("name: other").shows("no fault: other, 1 task");
    screen.press("f2");
    assert!(matches!(screen.commands.first(), Some(Command::Submit { .. })));
}

#[test]
fn a_refused_submission_leaves_the_text() {
    let mut screen = over(world());
    screen.world.says = super::world::Says::No("the store is full", "free some room");
    screen.press("+ f2").shows("the store is full").shows("free some room");
    assert!(screen.app.editor.as_ref().is_some_and(|editor| !editor.sending));
}

#[test]
fn a_whole_job_that_is_pasted_takes_the_place_of_an_untouched_template() {
    let job = "name: pasted\r\ntasks:\r\n  - { id: a, run: echo }\r\n";
    let mut screen = over(world());
    screen.press("+").feed(Input::Paste(job.to_owned())).pass(200);
    screen.shows("no fault: pasted, 1 task").shows_no("lint");
    // What a person typed gives way to nothing.
    screen.feed(Input::Paste(job.to_owned())).pass(200).shows("stands twice");
}

#[test]
fn what_was_sent_cannot_be_changed_until_it_is_answered() {
    let mut screen = over(world());
    screen.world.says = super::world::Says::Nothing;
    screen.press("+ f2");
    let text = screen.app.editor.as_ref().unwrap().text();
    screen.feed(Input::Paste("# pasted\n".to_owned())).press("x f4").pass(200);
    let editor = screen.app.editor.as_ref().unwrap();
    assert!(editor.sending && editor.text() == text, "{}", editor.text());
    assert!(screen.asks_the_shell().is_none());
}

#[test]
fn an_editor_that_was_opened_after_a_submission_outlives_its_answer() {
    let mut screen = over(world());
    screen.world.says = super::world::Says::Nothing;
    screen.press("+ f2 esc +").types("# mine").pass(200);
    let number = screen.late[0];
    let job = JobName { name: "build".to_owned(), number: 1 };
    let done = airx::model::message::Done::Submitted { job, tasks: 1, missing: Vec::new() };
    screen.hears(airx::tui::data::sync::Incoming::Answered(number, Ok(done)));
    screen.shows("build.1 submitted").shows("# mine");
}

#[test]
fn characters_are_text_in_the_editor() {
    let mut screen = at(80, 24).over(morning());
    screen.press("+").types("q?:/+jk gg").shows("q?:/+jk gg");
    assert!(screen.app.dialog.is_none() && screen.app.editor.is_some());
}

#[test]
fn every_action_of_the_palette_can_be_chosen_by_name() {
    let mut screen = over(morning());
    screen.press(":").types("pause-all").press("enter");
    assert_eq!(screen.commands, [Command::Pause { job: None }]);
    screen.press(":").types("zzzz").shows("no such action");
    screen.press("enter");
    screen.press("esc :").types("tab-graph").press("enter").shows("[Graph]");
}

#[test]
fn leaving_asks_while_something_goes_on_in_this_process() {
    let mut screen = over(morning());
    screen.press("q").shows("Not over: 4 running, 12 waiting, 2 held.");
    screen.press("l");
    assert_eq!(screen.asks_the_shell(), None, "keys do not count yet");
    screen.pass(300).press("l");
    assert_eq!(screen.asks_the_shell(), Some(Effect::Leave(Left::Background)));
}

#[test]
fn leaving_can_wait_until_everything_is_over() {
    let mut screen = over(world().job("one", vec![task("last").running(MINUTE)]));
    screen.press("q").pass(300).press("w").shows("leaves when all is over");
    screen.pass(SECOND);
    assert_eq!(screen.asks_the_shell(), None);
    screen.when(|world| world.moves(1, "last", Task::completed_now)).pass(SECOND);
    assert_eq!(screen.asks_the_shell(), Some(Effect::Leave(Left::Quit)));
}

use super::world::Task;

impl Task {
    /// The running attempt ends well.
    fn completed_now(mut task: Task) -> Task {
        task.attempts.pop();
        task.view.attempts -= 1;
        task.completed(MINUTE)
    }
}

#[test]
fn leaving_can_cancel_everything_first() {
    let mut screen = over(morning());
    screen.press("q").pass(300).press("c").shows("cancelling, then leaves");
    assert_eq!(screen.commands, [Command::Cancel { targets: Vec::new(), all: true, how: CancelHow::Ask }]);
}

#[test]
fn leaving_is_free_where_nothing_is_lost_by_it() {
    let mut attached = Setup { embeds: false, ..Setup::default() }.over(morning());
    attached.press("q");
    assert_eq!(attached.asks_the_shell(), Some(Effect::Leave(Left::Quit)));
    let mut idle = over(world().job("one", vec![task("done").completed(SECOND)]));
    idle.press("ctrl-c");
    assert_eq!(idle.asks_the_shell(), Some(Effect::Leave(Left::Quit)));
}

#[test]
fn an_answer_that_was_lost_is_told() {
    let mut screen = over(morning());
    screen.world.says = super::world::Says::Nothing;
    screen.press("p").loses_the_manager(lost());
    let reset = screen.world.reset();
    screen.hears(reset).shows("pause of harden-auth.1: the answer was lost").shows_no(": sent");
}

#[test]
fn a_manager_is_started_only_when_there_is_none() {
    let mut screen = over(morning());
    screen.press("S").shows("a manager runs already");
    assert_eq!(screen.asks_the_shell(), None);
    screen.loses_the_manager(lost()).press("S");
    assert_eq!(screen.asks_the_shell(), Some(Effect::StartManager));
}

#[test]
fn the_shell_is_asked_for_what_only_it_can_do() {
    let mut screen = over(morning());
    for (key, wanted) in [("ctrl-l", Effect::Redraw), ("Z", Effect::Suspend), ("M", Effect::Mouse(false))] {
        screen.press(key);
        assert_eq!(screen.asks_the_shell(), Some(wanted));
    }
}

#[test]
fn the_question_of_how_to_leave_tells_how_things_are_and_goes_when_there_is_nothing_to_ask() {
    let mut screen = over(world().job("build", vec![task("a").running(MINUTE), task("b").pending(&["a"])]));
    screen.press("q").shows("Not over: 1 running, 1 waiting.");
    screen.when(|world| world.moves(1, "a", |task| task.completed(MINUTE))).pass(10);
    screen.shows("Not over: 1 waiting.");
    screen.when(|world| world.moves(1, "b", |task| task.completed(SECOND))).pass(10);
    assert!(screen.app.dialog.is_none());
    assert!(matches!(screen.asks_the_shell(), Some(Effect::Leave(Left::Quit))));
}

#[test]
fn an_edit_that_is_gone_on_with_later_keeps_where_its_paths_begin() {
    let mut screen = over(morning());
    screen.press("e").types("# mine ");
    let kept = |screen: &Screen| {
        let editor = screen.app.editor.as_ref().unwrap();
        (editor.base.clone(), editor.params.clone(), editor.file.clone())
    };
    let before = kept(&screen);
    screen.app.cwd = "/elsewhere".into();
    screen.press("esc +").shows("# mine");
    assert_eq!(kept(&screen), before);
}
