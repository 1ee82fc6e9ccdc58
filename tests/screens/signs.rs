//! What tells states apart: never colour alone.

use std::collections::{BTreeMap, BTreeSet};

use airx::config::screen::Glyphs;
use airx::config::theme::Depth;
use airx::model::sign;
use airx::model::state::{JobState, TaskKind};
use ratatui::buffer::Buffer;
use ratatui::style::Color;
use unicode_width::UnicodeWidthStr;

use super::harness::{Setup, at};
use super::scenes::{all_states, log, morning, talk};
use super::world::{MINUTE, task, world};

/// Cells that have a colour.
pub fn colors(buffer: &Buffer) -> usize {
    buffer.content().iter().filter(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset).count()
}

fn plain() -> Vec<Setup> {
    vec![
        Setup { theme: "mono", ..at(80, 24) },
        Setup { theme: "mono", glyphs: Glyphs::Ascii, ..at(80, 24) },
        Setup { glyphs: Glyphs::Ascii, ..at(80, 24) },
        Setup { depth: Depth::None, ..at(80, 24) },
    ]
}

#[test]
fn no_two_states_of_tasks_look_alike_without_colour() {
    for setup in plain() {
        let mut screen = setup.over(all_states());
        screen.press("l");
        let mut seen: BTreeMap<String, String> = BTreeMap::new();
        for (line, name) in [
            "a-asking",
            "a-approval",
            "a-pending",
            "a-queued",
            "a-held",
            "a-starting",
            "a-running",
            "a-cancelling",
            "a-completed",
            "a-failed",
            "a-cancelled",
            "a-skipped",
            "a-upstream",
            "a-delegated",
            "a-mapped",
        ]
        .into_iter()
        .enumerate()
        {
            // Below the job, the sign before its name.
            let (y, buffer) = (u16::try_from(line).unwrap() + 3, screen.draw());
            assert!(super::picture::row(&buffer, screen.area(), y).contains(&format!(" {name}")), "{name}\n{}", screen.text());
            let sign = buffer[(6, y)].symbol().to_owned();
            assert_eq!(sign.width(), 1, "{name}");
            if let Some(other) = seen.insert(sign.clone(), name.to_owned()) {
                panic!("{name} and {other} both are {sign:?}");
            }
        }
        assert_eq!(seen.len(), TaskKind::ALL.len());
    }
}

#[test]
fn no_two_states_of_jobs_look_alike_without_colour() {
    for unicode in [true, false] {
        let all = [JobState::Waiting, JobState::Working, JobState::Completed, JobState::Failed, JobState::Cancelled];
        let signs: BTreeSet<&str> = all.iter().map(|state| sign::job(*state).get(unicode)).collect();
        assert_eq!(signs.len(), all.len());
    }
}

#[test]
fn done_and_failed_differ_by_more_than_their_colour_in_every_theme() {
    for theme in ["terminal", "dark", "light", "high-contrast", "mono"] {
        let mut screen = Setup { theme, ..at(80, 24) }.over(all_states());
        screen.press("l");
        let look = |name: &str| {
            let (x, y) = screen.place(name);
            screen.draw()[(x - 2, y)].clone()
        };
        let (done, failed) = (look("a-completed"), look("a-failed"));
        assert_ne!(done.symbol(), failed.symbol());
        screen.shows("exit 3");
    }
}

#[test]
fn signs_take_one_cell_and_have_no_emoji_form() {
    // What stands on a screen besides letters: every one of them, wherever it comes from.
    let mut screens = vec![at(120, 40).over(morning()), at(120, 40).over(all_states())];
    screens[0].press("j j j space p");
    let mut talking = at(120, 40).over(world().job("ai", vec![task("fix").running(MINUTE).claude(&talk()), log()]));
    talking.press("j enter F");
    screens.push(talking);
    let mut graph = at(120, 40).over(super::scenes::thirty());
    graph.press("tab 4");
    screens.push(graph);
    let mut seen = BTreeSet::new();
    for screen in &screens {
        for cell in screen.draw().content() {
            seen.extend(cell.symbol().chars().filter(|character| !character.is_ascii()));
        }
    }
    for character in seen {
        assert_eq!(character.to_string().width(), 1, "{character:?} U+{:04X}", character as u32);
        assert!(!has_emoji_form(character), "{character:?} U+{:04X} may be drawn as an emoji", character as u32);
    }
}

/// Symbols below U+2C00 that are in `emoji-data.txt` with the property Emoji, as far as they are likely to be used as signs.
fn has_emoji_form(character: char) -> bool {
    matches!(character,
        '\u{203c}' | '\u{2049}' | '\u{2122}' | '\u{2139}' | '\u{2194}'..='\u{2199}' | '\u{21a9}'..='\u{21aa}'
        | '\u{231a}'..='\u{231b}' | '\u{2328}' | '\u{23cf}' | '\u{23e9}'..='\u{23f3}' | '\u{23f8}'..='\u{23fa}' | '\u{24c2}'
        | '\u{25aa}'..='\u{25ab}' | '\u{25b6}' | '\u{25c0}' | '\u{25fb}'..='\u{25fe}' | '\u{2600}'..='\u{2604}' | '\u{260e}'
        | '\u{2611}' | '\u{2614}'..='\u{2615}' | '\u{2618}' | '\u{261d}' | '\u{2620}' | '\u{2639}'..='\u{263a}'
        | '\u{26a0}'..='\u{26a1}' | '\u{26aa}'..='\u{26ab}' | '\u{26d4}' | '\u{2702}' | '\u{2705}' | '\u{2708}'..='\u{270d}'
        | '\u{270f}' | '\u{2712}' | '\u{2714}' | '\u{2716}' | '\u{2728}' | '\u{2733}'..='\u{2734}' | '\u{2744}' | '\u{274c}'
        | '\u{274e}' | '\u{2753}'..='\u{2755}' | '\u{2757}' | '\u{2763}'..='\u{2764}' | '\u{2795}'..='\u{2797}' | '\u{27a1}'
        | '\u{2934}'..='\u{2935}' | '\u{2b05}'..='\u{2b07}' | '\u{2b1b}'..='\u{2b1c}' | '\u{2b50}' | '\u{2b55}')
}

#[test]
fn ascii_means_ascii_everywhere() {
    let setup = Setup { glyphs: Glyphs::Ascii, ..at(120, 40) };
    let mut screen = setup.clone().over(morning());
    for keys in ["j j j", "l space p", "tab 1", "2", "3", "4", "tab ?", "esc :", "esc +", "esc m", "esc q", "esc / a b", "esc"] {
        screen.press(keys);
        let text = screen.text();
        assert!(text.is_ascii(), "after {keys}: {:?}\n{text}", text.chars().find(|character| !character.is_ascii()));
    }
    let mut talking = setup.over(world().job("ai", vec![task("fix").running(MINUTE).claude(&talk()), log()]));
    talking.press("j enter F");
    assert!(talking.text().is_ascii(), "{}", talking.text());
    talking.press("esc j j enter w");
    assert!(talking.text().is_ascii(), "{}", talking.text());
    talking.looks_as_in("ascii_log");
}

#[test]
fn the_selection_shows_without_colour() {
    for setup in plain() {
        let mut screen = setup.over(morning());
        for _ in 0..8 {
            screen.press("j");
            let line = screen.app.tree.cursor - screen.app.tree.top;
            let y = u16::try_from(line).unwrap() + 2;
            let buffer = screen.draw();
            let sign = screen.app.look.pick("›", ">");
            assert_eq!(buffer[(1, y)].symbol(), sign);
            let lines = (2..22).filter(|y| buffer[(1, *y)].symbol() == sign).count();
            assert_eq!(lines, 1, "only the selected line has the sign");
            assert!(buffer[(2, y)].modifier.contains(ratatui::style::Modifier::REVERSED));
        }
    }
}

#[test]
fn marks_show_without_colour_on_the_selected_line_too() {
    let mut screen = Setup { theme: "mono", ..at(80, 24) }.over(morning());
    screen.press("j space").shows("1 marked");
    assert!(screen.line("discover").contains("✚"));
    screen.press("k");
    assert_eq!(screen.selected(), "harden-auth.1/discover");
    assert!(
        screen.line("discover").contains("› ✚"),
        "a marked line shows its mark under the cursor: {}",
        screen.line("discover")
    );
}

#[test]
fn no_color_means_no_colour_at_all() {
    for theme in ["terminal", "dark", "light", "high-contrast", "mono"] {
        let mut screen = Setup { theme, depth: Depth::None, ..at(120, 40) }.over(morning());
        for keys in ["j j j", "space p", "tab 1", "2", "3", "4", "tab ?", "esc :", "esc +", "esc m", "esc q", "esc"] {
            screen.press(keys);
            assert_eq!(colors(&screen.draw()), 0, "{theme} after {keys}");
        }
    }
}

#[test]
fn sixteen_colours_are_enough() {
    for theme in ["terminal", "dark", "light", "high-contrast"] {
        let mut screen = Setup { theme, depth: Depth::Ansi16, ..at(120, 40) }.over(world().job("ci", vec![log()]));
        screen.press("j tab");
        let is_of_palette = |color: Color| !matches!(color, Color::Rgb(..) | Color::Indexed(_));
        assert!(screen.draw().content().iter().all(|cell| is_of_palette(cell.fg) && is_of_palette(cell.bg)), "{theme}");
    }
}
