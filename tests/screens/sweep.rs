//! Every screen at every size, with hostile texts: nothing panics, nothing is drawn outside of the area, and no cell holds
//! what a terminal would obey.

use airx::tui::update::Input;
use airx::tui::view;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::harness::{Screen, at};
use super::hostile::{ALL, hostile, screen, setup};
use super::picture;
use super::world::{Says, lost, refused, world};

/// Around the area that is drawn.
const MARGIN: u16 = 3;

fn draws(name: &str, screen: &mut Screen, columns: u16, rows: u16) {
    screen.resize(columns, rows);
    let area = Rect { x: MARGIN, y: MARGIN, width: columns, height: rows };
    let all = Rect { x: 0, y: 0, width: columns + 2 * MARGIN, height: rows + 2 * MARGIN };
    let mut buffer = Buffer::filled(all, ratatui::buffer::Cell::new("#"));
    let cursor = view::draw(&screen.app, area, &mut buffer);
    for y in all.top()..all.bottom() {
        for x in all.left()..all.right() {
            let is_outside = !area.contains((x, y).into());
            let is_kept = buffer[(x, y)].symbol() == "#" && picture::style(&buffer[(x, y)]).is_empty();
            assert!(!is_outside || is_kept, "{name} at {columns}x{rows} draws outside, at {x},{y}");
        }
    }
    let faults = picture::faults(&buffer, area);
    assert!(faults.is_empty(), "{name} at {columns}x{rows}: {}", faults.join("\n"));
    if let Some((x, y)) = cursor {
        assert!(area.contains((x, y).into()), "{name} at {columns}x{rows}: the cursor is at {x},{y}");
    }
}

/// Every width up to 100 and some beyond, every height, each with a few of the other.
fn sweeps(name: &str, screen: &mut Screen) {
    for columns in (60..=100).chain((101..=250).step_by(9)).chain([109, 110, 111, 250]) {
        draws(name, screen, columns, 16 + columns * 7 % 65);
    }
    for rows in 16..=80 {
        draws(name, screen, 60 + rows * 13 % 60, rows);
    }
    draws(name, screen, 250, 80);
    for (columns, rows) in [(0, 0), (1, 1), (59, 16), (60, 15), (250, 3), (3, 80)] {
        draws(name, screen, columns, rows);
    }
}

fn after(keys: &str) -> Screen {
    let mut screen = screen();
    screen.press(keys);
    screen
}

#[test]
fn too_small_screens() {
    let mut screen = screen();
    for columns in 0..=64 {
        for rows in 0..=18 {
            draws("small", &mut screen, columns, rows);
        }
    }
}

#[test]
fn the_tree() {
    sweeps("tree", &mut after("j j"));
    sweeps("unfolded", &mut after("L j l j l j l j l"));
    sweeps("marked", &mut after("space space space s s"));
}

#[test]
fn prompts() {
    let mut filter = after("/");
    filter.feed(Input::Paste(ALL.to_owned()));
    sweeps("filter", &mut filter);
    let mut search = after("j j tab /");
    search.feed(Input::Paste(ALL.repeat(4)));
    search.press("home right right");
    sweeps("search", &mut search);
    sweeps("time", &mut after("j tab @ 1 2"));
    sweeps("sequence", &mut after("g"));
}

#[test]
fn logs() {
    sweeps("log", &mut after("j j tab"));
    sweeps("wrapped log", &mut after("j j tab w g g"));
    sweeps("moved log", &mut after("j j tab l l l"));
    let mut hits = after("j j tab w /");
    hits.types("漢").press("enter");
    sweeps("hits", &mut hits);
}

#[test]
fn conversations() {
    sweeps("folded", &mut after("j j j tab k"));
    sweeps("unfolded", &mut after("j j j tab F"));
}

#[test]
fn info_events_and_graph() {
    sweeps("job", &mut after("tab G"));
    sweeps("info", &mut after("j tab 2"));
    sweeps("info of a failed one", &mut after("j j j j j tab 2"));
    sweeps("events", &mut after("tab 3"));
    sweeps("graph", &mut after("tab 4"));
    sweeps("graph from its end", &mut after("tab 4 G"));
}

#[test]
fn dialogs() {
    sweeps("palette", &mut after(":"));
    let mut typed = after(":");
    typed.types("漢字");
    sweeps("palette without a match", &mut typed);
    sweeps("help", &mut after("? j j j"));
    sweeps("messages", &mut after("m"));
    sweeps("question", &mut after("j space space space space space c"));
    sweeps("one question", &mut after("j j c"));
    sweeps("leave", &mut after("q"));
}

#[test]
fn the_editor() {
    let mut editor = after("+");
    editor.feed(Input::Paste(format!("{ALL}: {ALL}\n").repeat(30))).pass(200);
    sweeps("editor", &mut editor);
    editor.press("up up end");
    sweeps("editor, end of a line", &mut editor);
    sweeps("editor with a template", &mut after("+"));
    sweeps("editor of a job", &mut after("e"));
}

#[test]
fn states() {
    let mut toasts = screen();
    toasts.world.says = Says::No("no\u{1b}[31m", "漢字\u{202e}");
    toasts.press("j r R p s a");
    sweeps("toasts", &mut toasts);
    let mut down = screen();
    down.loses_the_manager(lost());
    sweeps("down", &mut down);
    let mut other = screen();
    other.loses_the_manager(refused(airx::model::message::RefusalCode::Version, ALL, ALL));
    sweeps("version", &mut other);
    sweeps("connecting", &mut setup().connecting(hostile()));
    sweeps("empty", &mut at(80, 24).over(world()));
    let mut read_only = super::harness::Setup { read_only: Some(ALL.to_owned()), ..setup() }.over(hostile());
    read_only.press("j r");
    sweeps("read-only", &mut read_only);
    let mut slow = {
        let mut world = hostile();
        world.is_slow = true;
        setup().over(world)
    };
    slow.press("j j tab 4");
    sweeps("slow", &mut slow);
}

#[test]
fn the_inbox() {
    use airx::model::question::QuestionBody;
    let mut asking = hostile();
    let place = asking.jobs.iter().position(|job| job.tasks.len() > 5).unwrap();
    let (job, running) = (asking.jobs[place].view.id, asking.jobs[place].tasks[5].view.id.clone());
    let input = serde_json::json!({ "command": ALL.repeat(40), ALL: [ALL] });
    let tool = QuestionBody::Permission { tool: ALL.to_owned(), input, rules: vec![ALL.repeat(9), ALL.to_owned()] };
    asking.asks(job, &running, tool, Some(60_000));
    asking.asks(job, &running, QuestionBody::Words { text: ALL.repeat(9), options: vec![ALL.to_owned()] }, None);
    let opened = |keys: &str| {
        let mut screen = setup().over(asking.clone());
        screen.press("i").pass(300).press(keys);
        screen
    };
    sweeps("list", &mut opened(""));
    sweeps("request", &mut opened("enter G"));
    sweeps("words", &mut opened("j enter"));
    sweeps("always", &mut opened("enter A"));
    sweeps("edited input", &mut opened("enter e"));
    sweeps("deny", &mut opened("enter d"));
    sweeps("empty", &mut {
        let mut screen = setup().over(hostile());
        screen.press("i");
        screen
    });
}
