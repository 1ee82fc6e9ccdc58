//! Texts that terminals would obey, that take two cells or none, or that turn around what stands beside them.

use airx::model::change::AttemptFacts;
use airx::model::diagnostic::Diagnostic;
use airx::model::spec::{Action, EnvValue, Gate};
use airx::model::state::{FailCause, Hold, Outcome};

use super::harness::{Screen, Setup, at};
use super::picture;
use super::world::{MINUTE, SECOND, World, refused, task, world};

/// All of it in one text.
pub const ALL: &str = "a\u{1b}[31m\u{1b}]0;t\u{7}\u{1b}[2J\u{9b}5A漢字かな👩\u{200d}💻🏳\u{fe0f}\u{200d}🌈👍🏽e\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{200b}\u{feff}\u{202e}עברית\u{2066}\u{ad}\r\n\t\u{8}\u{7f}ﷺ\u{1160}\u{115f}ก็็็็\u{0}\u{e0041}z";
const PIECES: [&str; 6] = [
    "漢字かな漢字かな漢字かな",
    "👩\u{200d}💻👩\u{200d}💻",
    "\u{301}\u{301}",
    "\u{202e}\u{1b}[5m",
    "e\u{301}e\u{301}",
    "\t\r\u{8}",
];

fn name(number: usize) -> String {
    format!("{}{number}{ALL}", PIECES[number % PIECES.len()])
}

pub fn transcript() -> Vec<u8> {
    let text = format!(
        "# {ALL}\n\n- **{ALL}** `{ALL}`\n\n```\n{ALL}\n```\n\n| a | {ALL} |\n|---|---|\n| {ALL} | b |\n\n> {ALL} [{ALL}](http://{ALL})\n"
    );
    let todo = serde_json::json!({"todos":[{"content":ALL,"status":"in_progress"},{"content":name(1),"status":"pending"}]});
    let lines = [
        serde_json::json!({"type":"system","subtype":"init","session_id":ALL,"model":ALL,"permissionMode":ALL,"tools":[ALL]}),
        serde_json::json!({"type":"assistant","message":{"id":"m1","content":[{"type":"thinking","thinking":text},{"type":"text","text":text}]}}),
        serde_json::json!({"type":"assistant","message":{"id":"m2","content":[
            {"type":"tool_use","id":"a","name":ALL,"input":{"command":ALL,"file_path":ALL}},
            {"type":"tool_use","id":"b","name":"Bash","input":{"command":ALL}},
            {"type":"tool_use","id":"c","name":"Edit","input":{"file_path":ALL,"old_string":ALL,"new_string":ALL}},
            {"type":"tool_use","id":"t","name":"TodoWrite","input":todo}]}}),
        serde_json::json!({"type":"user","message":{"role":"user","content":[
            {"type":"tool_result","tool_use_id":"a","content":text,"is_error":true},
            {"type":"tool_result","tool_use_id":"b","content":text,"is_error":false}]}}),
        serde_json::json!({"type":"result","subtype":"error","is_error":true,"result":text,"num_turns":3,"total_cost_usd":1e300,
            "permission_denials":[{"tool_name":ALL}]}),
    ];
    let mut bytes = lines.iter().map(|line| format!("{line}\n")).collect::<String>().into_bytes();
    bytes.extend_from_slice(ALL.as_bytes());
    bytes.extend_from_slice(b"\n\xff\xfe\x9b[31m\n{\"type\":");
    bytes
}

pub fn hostile() -> World {
    let output = format!("{ALL}\n{}\n{}\n\u{1b}[38;5;999;4:3m\u{1b}[48;2;1;2mx\n", ALL.repeat(20), "漢".repeat(500));
    let mut tasks = vec![
        task(&name(0)).completed(SECOND).cost(u64::MAX / 4).printed(&output),
        task(&name(1)).running(90 * 24 * 60 * MINUTE).progress(u64::MAX, Some(u64::MAX), ALL).printed(&output),
        task(&name(2)).failed(Outcome::Failed { cause: FailCause::ErrorResult(ALL.repeat(5)) }).printed(&output),
        task(&name(3)).failed(Outcome::Crashed { why: ALL.to_owned() }).held(Hold::Secret { what: ALL.repeat(3) }),
        task(&name(4)).pending(&[&name(0), &name(1), &name(2)]),
        task(&name(5)).running(SECOND).claude(&transcript()).below(&name(1)).pool(ALL),
        task(&name(6)).below(&name(5)),
        task(&format!("map/{ALL}")).failed(Outcome::Unlaunchable { why: ALL.to_owned(), transient: false }),
    ];
    tasks[0].spec.action = Action::Run(ALL.repeat(3));
    tasks[2].spec.env.insert(ALL.to_owned(), EnvValue::Text(ALL.to_owned()));
    tasks[2].spec.accept = Some(Gate { run: ALL.to_owned(), timeout_ms: 1 });
    for task in &mut tasks {
        for attempt in &mut task.attempts {
            attempt.pool = ALL.to_owned();
            attempt.dir = ALL.replace('\0', "").into();
            let facts = attempt.facts.get_or_insert_with(AttemptFacts::default);
            facts.notes = vec![ALL.to_owned()];
            facts.max_rss_kib = u64::MAX >> 12;
        }
    }
    let mut world = world().job("plain", vec![task("a"), task("b").exited(1)]).job(&name(2), tasks).with(|job| {
        job.spec.description = Some(ALL.to_owned());
        job.spec.workspace = ALL.replace('\0', "").into();
        job.spec.params.insert(ALL.to_owned(), serde_json::json!(ALL));
        if let Some(source) = &mut job.spec.source {
            source.text = format!("{ALL}\n").repeat(40);
            source.file = ALL.to_owned();
        }
    });
    world.overview.pools[0].name = ALL.to_owned();
    world.overview.pools[0].used = u32::MAX;
    world.warning(ALL)
}

/// A screen with faults of a configuration that is as hostile.
pub fn setup() -> Setup {
    let fault = |line| Diagnostic { file: ALL.to_owned(), line, column: u32::MAX, message: ALL.repeat(3), hint: ALL.to_owned() };
    Setup { faults: vec![fault(0), fault(u32::MAX)], ..at(120, 40) }
}

pub fn screen() -> Screen {
    let mut screen = setup().over(hostile());
    screen.app.home = ALL.to_owned();
    screen
}

#[test]
fn nothing_that_a_terminal_obeys_reaches_it_from_anywhere() {
    let mut screen = screen();
    for keys in ["", "j", "j", "j", "j", "j", "j", "j", "j"] {
        screen.press(keys);
        for tab in ["1", "w", "w", "F", "2", "3", "4"] {
            screen.press("tab");
            screen.press(tab);
            screen.press("tab");
            assert_eq!(picture::faults(&screen.draw(), screen.area()), Vec::<String>::new(), "after {keys:?} {tab}");
        }
    }
    screen.press("space c").pass(400);
    assert_eq!(picture::faults(&screen.draw(), screen.area()), Vec::<String>::new(), "in a question");
    screen.press("esc m");
    assert_eq!(picture::faults(&screen.draw(), screen.area()), Vec::<String>::new(), "in the messages");
}

#[test]
fn control_sequences_are_seen_where_people_decide() {
    let why = "x\u{1b}[2Ay\u{202e}z".to_owned();
    let broken = task("a").failed(Outcome::Crashed { why });
    let mut screen = at(120, 40).over(world().job("odd", vec![broken]));
    screen.press("l j").shows("crashed: x^[[2Ay\\u{202e}z");
    screen.press("/").types("\u{9b}x").shows_no("\u{9b}");
}

#[test]
fn a_refusal_is_harmless_too() {
    let mut screen = at(120, 40).connecting(world());
    screen.loses_the_manager(refused(airx::model::message::RefusalCode::Version, ALL, ALL));
    assert_eq!(picture::faults(&screen.draw(), screen.area()), Vec::<String>::new());
    let mut lost = at(120, 40).over(hostile());
    lost.loses_the_manager(refused(airx::model::message::RefusalCode::Version, ALL, ALL));
    assert_eq!(picture::faults(&lost.draw(), lost.area()), Vec::<String>::new());
}

#[test]
fn wide_characters_are_cut_whole_and_lines_keep_their_ends() {
    for columns in [60, 61, 80, 81, 110, 111] {
        let mut screen = at(columns, 24).over(world().job(
            "漢字",
            vec![task("漢字かな漢字かな漢字かな漢字かな漢字かな漢字かな漢字かな").running(SECOND).printed(&"漢".repeat(300))],
        ));
        screen.press("j");
        for keys in ["", "tab", "w", "l", "l"] {
            screen.press(keys);
            let buffer = screen.draw();
            assert_eq!(picture::faults(&buffer, screen.area()), Vec::<String>::new());
            for y in 1..22 {
                let right = buffer[(columns - 1, y)].symbol();
                assert!(["╮", "│", "╯"].contains(&right), "{columns} columns, line {y} ends with {right:?}\n{}", screen.text());
            }
        }
    }
}
