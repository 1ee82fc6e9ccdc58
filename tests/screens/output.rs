//! The task pane: output as a log and as a conversation, Info, Events and the graph.

use airx::model::spec::{EnvValue, SecretRef};
use airx::model::state::{FailCause, Outcome};

use super::harness::{Screen, Setup, at, over};
use super::scenes::{log, morning, talk, thirty, transcript};
use super::world::{MINUTE, SECOND, task, world};

fn reading(screen: &mut Screen, name: &str) {
    screen.press("/").types(name).press("enter j enter");
}

/// A screen with a task's pane open.
fn log_at(columns: u16, rows: u16) -> Screen {
    let mut screen = at(columns, rows).over(world().job("ci", vec![log()]));
    screen.press("j enter");
    screen
}

#[test]
fn a_log_keeps_its_colours_and_tells_stderr_apart_by_a_sign() {
    let screen = log_at(120, 40);
    assert_eq!(screen.style_of("Compiling"), "green bold");
    assert_eq!(screen.style_of("FAILED"), "red");
    assert!(screen.line("warning: this `if`").contains("▎"), "{}", screen.text());
    assert!(!screen.line("running 3 tests").contains("▎"));
    screen.shows("100 % of the corpus").shows_no("55 %");
    screen.shows("name    size");
    assert_eq!(screen.style_of("true indexed"), "#78c850");
    assert_eq!(screen.style_of("reversed"), "reverse");
    assert!(screen.line("▎warning").contains("src") || screen.text().contains("▎  --> src/token.rs:88:5"), "both lines of it");
}

#[test]
fn one_stream_can_be_shown_alone() {
    let mut screen = log_at(120, 40);
    screen.press("s").shows("only stdout").shows("running 3 tests").shows_no("panicked at");
    screen.press("s").shows("only stderr").shows("panicked at").shows_no("running 3 tests");
    screen.press("s").shows("both streams").shows("panicked at").shows("running 3 tests");
}

#[test]
fn long_lines_are_broken_or_moved_sideways() {
    let mut screen = log_at(80, 24);
    screen.shows_no("and then it was sorted");
    screen.press("l l l l l l l").shows("and then it was sorted").shows_no("running 3 tests");
    screen.press("w").shows("and then it was sorted").shows("running 3 tests").shows("wrapped");
    screen.press("w").shows_no("wrapped").shows_no("and then it was sorted");
}

/// All characters that a pane shows, without what surrounds them.
fn content(screen: &Screen) -> String {
    let lines = screen
        .text()
        .lines()
        .skip(3)
        .take_while(|line| !line.starts_with('╰'))
        .map(|line| line.trim_matches('│').to_owned())
        .collect::<Vec<_>>();
    lines.concat().chars().filter(|character| !character.is_whitespace()).collect()
}

#[test]
fn nothing_of_a_broken_line_is_lost_at_the_edge() {
    let long: String = (0..400).map(|number| format!("{number},")).collect();
    for columns in [60, 61, 79, 80, 81] {
        let mut screen = at(columns, 60).over(world().job("ci", vec![task("long").completed(SECOND).printed(&long)]));
        screen.press("l j enter w g g");
        assert!(content(&screen).contains(&long), "{columns}\n{}", screen.text());
        let mut said = serde_json::json!({"type":"assistant","message":{"id":"m1","content":[{"type":"text","text":""}]}});
        let words: Vec<String> = (0..200).map(|number| format!("word{number}")).collect();
        said["message"]["content"][0]["text"] = words.join(" ").into();
        let run = task("talk").completed(SECOND).claude(format!("{said}\n").as_bytes());
        let mut screen = at(columns, 60).over(world().job("ai", vec![run]));
        screen.press("l j enter");
        assert!(content(&screen).contains(&words.concat()), "{columns}\n{}", screen.text());
    }
}

fn numbered(lines: usize) -> String {
    (0..lines).map(|line| format!("line {line}{}\n", if line % 100 == 7 { " needle" } else { "" })).collect()
}

#[test]
fn a_search_goes_on_and_back_and_says_when_there_is_no_more() {
    let mut screen = at(80, 24).over(world().job("ci", vec![task("long").completed(MINUTE).printed(&numbered(350))]));
    screen.press("l j enter g g /").types("needle").press("enter");
    let (x, y) = screen.place("line 7 needle");
    assert_eq!(super::picture::style(&screen.draw()[(x + 7, y)]), "yellow bold reverse");
    assert_eq!(super::picture::style(&screen.draw()[(x + 6, y)]), "");
    screen.shows("line 7 needle").shows("/needle");
    screen.press("n").shows("line 107 needle");
    screen.press("n n").shows("line 307 needle");
    screen.press("n").shows("from the beginning again").shows("line 7 needle");
    screen.press("N").shows("from the end again").shows("line 307 needle");
    screen.press("N").shows("line 207 needle");
    screen.press("/ ctrl-u").types("NEEDLE").press("enter").shows("`NEEDLE` is not there");
    screen.press("/ ctrl-u").types("line 349").press("enter n").shows("`line 349` is nowhere else");
}

#[test]
fn a_search_from_the_end_of_a_log_finds_what_is_above() {
    let mut screen = at(80, 24).over(world().job("ci", vec![task("long").completed(MINUTE).printed(&numbered(350))]));
    screen.press("l j enter").shows("line 349");
    screen.press("/").types("line 20 ").press("enter").shows("is not there");
    screen.press("/ ctrl-u").types("7 needle").press("enter").shows("from the beginning again").shows("line 7 needle");
}

#[test]
fn the_ends_and_pages_of_a_log_are_a_key_away() {
    let mut screen = at(80, 24).over(world().job("ci", vec![task("long").completed(MINUTE).printed(&numbered(350))]));
    screen.press("l j enter").shows("line 349");
    screen.press("g g").shows("line 0").shows_no("line 349");
    screen.press("ctrl-d").shows("line 18").shows_no("line 0\n");
    screen.press("ctrl-u").shows("line 0");
    screen.press("G").shows("line 349");
    screen.press("k k").shows_no("line 349");
    screen.press("j j j j").shows("line 349");
}

#[test]
fn what_was_written_at_a_time_is_found() {
    let pieces: Vec<(bool, String)> =
        (0..30).map(|minute| (false, (0..30).map(|line| format!("minute {minute} line {line}\n")).collect())).collect();
    let pieces: Vec<(bool, &str)> = pieces.iter().map(|(is_err, text)| (*is_err, text.as_str())).collect();
    let mut screen = at(80, 24).over(world().job("ci", vec![task("long").completed(MINUTE).wrote(&pieces)]));
    // The first piece came at 21:43:20, and one more each minute.
    screen.press("l j enter @").types("21:50:20").press("enter");
    screen.shows("minute 7 line 0").shows_no("minute 6 line");
    screen.press("@").types("-10m").press("enter").shows("minute 20 line 0");
    screen.press("@").types("soon").press("enter").shows("`soon` is no time");
}

#[test]
fn a_log_follows_what_comes_until_it_is_told_to_stay() {
    let mut screen = log_at(80, 24);
    let more: String = (0..40).map(|line| format!("more {line}\n")).collect();
    let write = |screen: &mut Screen, text: &str| {
        let files = screen.world.jobs[0].tasks[0].files.get_mut(&1).unwrap();
        files.out.extend_from_slice(text.as_bytes());
        screen.pass(600);
    };
    write(&mut screen, &more);
    screen.shows("more 39").shows("follows");
    screen.press("f").shows("stays here");
    write(&mut screen, "even more\n");
    screen.shows_no("even more");
    screen.press("G").shows("even more");
}

#[test]
fn older_and_newer_attempts_are_a_key_away() {
    let tries = task("flaky")
        .exited(1)
        .printed("the first try\n")
        .exited(2)
        .printed("the second try\n")
        .completed(SECOND)
        .printed("the third try\n");
    let mut screen = at(80, 24).over(world().job("ci", vec![tries]));
    screen.press("l j enter").shows("attempt 3 of 3").shows("the third try");
    screen.press("[").shows("attempt 2 of 3").shows("the second try");
    screen.press("[").shows("the first try");
    screen.press("[").shows("this is the first attempt").shows("the first try");
    screen.press("] ]").shows("the third try");
    screen.press("]").shows("this is the newest attempt");
}

#[test]
fn a_conversation_reads_as_one_and_its_calls_unfold() {
    let run = task("fix").running(2 * MINUTE).claude(&talk());
    let mut screen = at(80, 24).over(world().job("ai", vec![run]));
    screen.press("j enter");
    screen.shows("◉ I'll look at how the token is validated first.").shows_no("**how");
    screen.shows("▸ Read /home/ann/shop/src/token.rs").shows("214 lines");
    screen.shows("Bash cargo clippy -p auth");
    assert!(screen.line("cargo test -p auth").contains("running"));
    screen.shows("todo 1/3  ► fix the check");
    screen.looks_as_in("one_talk_folded");
    assert_eq!(screen.style_of("how the token"), "bold");
    screen.press("/").types("identical").press("enter").shows("error: this `if` has identical blocks");
    screen.press("enter").shows_no("identical blocks");
    screen.press("F").shows("identical blocks").shows("▾ Bash");
    screen.looks_as_in("one_talk_unfolded");
}

#[test]
fn a_conversation_that_ended_tells_its_turns_and_cost() {
    let run = task("fix").completed(2 * MINUTE).claude(&transcript("tools_default-denied"));
    let mut screen = at(80, 24).over(world().job("ai", vec![run]));
    screen.press("l j enter").shows("✓ done · 3 turns · ≈<$0.01").shows("turn 3").shows("denied: Write");
    screen.looks_as_in("one_talk_ended");
}

#[test]
fn info_tells_all_attempts_the_way_to_continue_and_no_secret() {
    let run = task("fix").exited(101).completed(2 * MINUTE).cost(220_000).claude(&talk()).needs(&["discover"]).with(|spec| {
        spec.env.insert("TOKEN".to_owned(), EnvValue::From(SecretRef::Command("pass show api-token".to_owned())));
        spec.env.insert("KEY".to_owned(), EnvValue::From(SecretRef::Env("DEPLOY_KEY".to_owned())));
        spec.env.insert("LEVEL".to_owned(), EnvValue::Text("debug".to_owned()));
    });
    let mut screen = at(80, 64).over(world().job("ai", vec![task("discover").completed(SECOND), run]));
    screen.press("l j j enter 2");
    screen.shows("Attempt 2").shows("Attempt 1").shows("exit 101").shows("succeeded");
    screen.shows("claude --resume 7605ea43-9d63-4dd7-9eec-cf2e38914930");
    screen.shows("secret from a command").shows("secret from env:DEPLOY_KEY").shows("debug").shows_no("pass show");
    screen.looks_as_in("one_info");
}

#[test]
fn events_tell_the_life_of_a_task_in_order() {
    let mut screen = at(80, 24).over(world().job("ci", vec![task("flaky").exited(1).completed(SECOND)]));
    screen.press("l j enter 3");
    let text = screen.text();
    let (first, second) = (text.find("attempt 1: exit 1").unwrap(), text.find("attempt 2: succeeded").unwrap());
    assert!(first < second, "{text}");
    screen.looks_as_in("one_events");
}

#[test]
fn thirty_nodes_are_legible_and_can_be_walked_through() {
    let mut screen = at(80, 24).over(thirty());
    screen.press("j enter 4");
    for name in ["begin", "fetch-7", "build-3", "check-5", "pack-2", "release"] {
        screen.shows(name);
    }
    screen.looks_as_in("one_graph");
    screen.shows("✓ begin─");
    screen.shows("✘ build-1─");
    screen.press("l");
    let chosen = screen.app.pane.graph.chosen.map(|at| screen.app.pane.graph.members[at].name.clone()).unwrap();
    assert!(chosen.starts_with("fetch-"), "{chosen}");
    screen.press("enter");
    assert_eq!(screen.selected(), format!("thirty.1/{chosen}"));
}

#[test]
fn mapped_tasks_are_one_node_with_a_count() {
    let mut screen = at(120, 40).over(morning());
    screen.press("j tab 4").shows("fix 1/4");
}

#[test]
fn a_job_has_a_sheet_in_the_place_of_output() {
    let screen = over(morning());
    screen.shows("harden-auth.1").shows("max_parallel 4").shows("workspace").shows("/home/ann/shop");
}

#[test]
fn a_tasks_sheet_names_what_was_kept_of_it() {
    let mut screen =
        at(200, 50).over(world().job("ci", vec![task("bench").completed(MINUTE).kept(&["out/a.html", "report.html"])]));
    screen.press("l j tab 2").shows("artifacts    2 (2.0 KiB) in /home/ann/.airx/attempts/bench/1/artifacts");
    screen.shows("out/a.html, 1.0 KiB").shows("report.html, 1.0 KiB");
}

#[test]
fn without_colours_a_log_has_none_either() {
    let mut screen = Setup { depth: airx::config::theme::Depth::None, ..at(80, 24) }.over(world().job("ci", vec![log()]));
    screen.press("j enter");
    assert_eq!(screen.style_of("Compiling"), "bold", "what is bold stays so");
    assert_eq!(super::signs::colors(&screen.draw()), 0);
}

#[test]
fn a_filter_and_a_pane_meet() {
    let mut screen = over(morning());
    reading(&mut screen, "docs");
    screen.shows("gate failed: cargo doc");
    let failed = Outcome::Failed { cause: FailCause::Gate("cargo doc".to_owned()) };
    screen.shows(&failed.sentence());
}

/// A transcript of many pages: each message has its number, and the result of the first call is the last line.
fn large(messages: usize) -> Vec<u8> {
    let said = |block: serde_json::Value| serde_json::json!({"type": "assistant", "message": {"content": [block]}});
    let call = serde_json::json!({"type": "tool_use", "id": "t", "name": "Bash", "input": {"command": "make everything"}});
    let mut text = format!("{}\n", said(call));
    for number in 0..messages {
        let words = format!("message {number}. {}", "x".repeat(800));
        text.push_str(&format!("{}\n", said(serde_json::json!({"type": "text", "text": words}))));
    }
    let result = serde_json::json!({"type": "tool_result", "tool_use_id": "t", "content": "made"});
    text.push_str(&format!("{}\n", serde_json::json!({"type": "user", "message": {"content": [result]}})));
    text.into_bytes()
}

#[test]
fn a_large_transcript_opens_at_its_end_and_all_of_it_is_in_reach() {
    let mut screen = at(80, 24).over(world().job("ai", vec![task("long").completed(MINUTE).claude(&large(20_000))]));
    screen.press("l j enter").shows("message 19999.").shows("an earlier call");
    screen.press("g g").shows("make everything").shows("further on");
    for _ in 0..40 {
        screen.press("ctrl-d");
    }
    screen.shows_no("message 0.");
    screen.press("G").shows("message 19999.");
    for _ in 0..200 {
        screen.press("ctrl-u");
    }
    // Half a screen each time, whether or not a page had to be read first.
    screen.shows_no("message 19999.").shows("message 19");
    screen.press("/").types("message 7777.").press("enter").shows("message 7777.");
    screen.press("/ ctrl-u").types("message 3.").press("enter").shows("message 3.").shows("from the beginning again");
    screen.press("/ ctrl-u").types("no such words").press("enter").shows("`no such words` is not there");
}

#[test]
fn what_is_being_written_is_seen_as_it_grows_and_a_question_as_it_waits() {
    let piece = |text: &str| {
        let delta = serde_json::json!({"type": "text_delta", "text": text});
        let event = serde_json::json!({"type": "content_block_delta", "delta": delta});
        format!("{}\n", serde_json::json!({"type": "stream_event", "event": event}))
    };
    let request = serde_json::json!({"subtype": "can_use_tool", "tool_name": "Bash", "input": {"command": "rm -r x"}});
    let asked = serde_json::json!({"type": "control_request", "request_id": "r", "request": request});
    let transcript = format!("{asked}\n{}{}", piece("I am "), piece("writing"));
    let mut screen = at(80, 24).over(world().job("ai", vec![task("fix").running(MINUTE).claude(transcript.as_bytes())]));
    screen.press("l j enter").shows("I am writing").shows("? Bash rm -r x").shows("waits for an answer");
}
