//! Keymaps: every action can be reached, none of the keys that others take is the only way, and the README has the table.

use airx::config::keymap::{Chord, Found, Key, Keymap, load};
use airx::config::screen::KEYMAPS;
use airx::tui::action::{Scope, TABLE, known};
use airx::tui::view::footer::key_table;

use super::harness::{Setup, at};
use super::scenes::morning;

fn map(name: &str) -> Keymap {
    let (keymap, faults) = load(name, KEYMAPS, None, &known());
    assert_eq!(faults, [], "{name}");
    keymap
}

/// Where keys are looked up, the nearest first, as the screen does it.
const PLACES: [&[&str]; 6] = [
    &["tree", "task", "global"],
    &["pane", "task", "global"],
    &["graph", "pane", "task", "global"],
    &["inbox", "global"],
    &["editor"],
    &["dialog"],
];

#[test]
fn every_keymap_is_without_fault_or_conflict() {
    for (name, _) in KEYMAPS {
        let map = map(name);
        for one in &map.bindings {
            for other in map.bindings.iter().filter(|other| other.scope == one.scope && *other != one) {
                let is_begun = other.keys.starts_with(&one.keys);
                assert!(
                    !is_begun,
                    "{name}, {}: {:?} of {} begins {:?} of {}",
                    one.scope, one.keys, one.action, other.keys, other.action
                );
            }
        }
    }
}

#[test]
fn every_action_is_reached_by_a_key_or_the_palette_in_every_keymap() {
    for (name, _) in KEYMAPS {
        let map = map(name);
        let mut screen = Setup { keymap: name, ..at(120, 40) }.over(morning());
        let palette = map.keys_of("palette");
        screen.press(&palette[0]);
        let Some(airx::tui::app::dialog::Dialog::Palette(palette)) = screen.app.dialog.take() else { panic!("{name}") };
        for info in TABLE {
            let by_key = PLACES.iter().any(|scopes| {
                map.bindings
                    .iter()
                    .any(|binding| binding.action == info.name && map.find(scopes, &binding.keys) == Found::Action(info.name))
            });
            assert!(by_key || palette.found.contains(&info.action), "{name}: {} cannot be reached", info.name);
            if matches!(info.scope, Scope::Dialog | Scope::Editor) {
                assert!(by_key, "{name}: {} has no key, and the palette does not have it", info.name);
            }
        }
    }
}

#[test]
fn every_binding_does_something_somewhere() {
    for (name, _) in KEYMAPS {
        let map = map(name);
        for binding in &map.bindings {
            let is_found = PLACES.iter().any(|scopes| map.find(scopes, &binding.keys) == Found::Action(binding.action));
            assert!(is_found, "{name}: {:?} of {} is hidden everywhere", binding.keys, binding.action);
        }
    }
}

#[test]
fn keys_that_terminals_and_multiplexers_take_are_never_the_only_way() {
    let is_taken = |chord: &Chord| chord.ctrl && !chord.alt && matches!(chord.key, Key::Char('a' | 'b' | 's' | 'q' | 'z' | '\\'));
    for (name, _) in KEYMAPS {
        let map = map(name);
        for info in TABLE {
            let all: Vec<_> = map.bindings.iter().filter(|binding| binding.action == info.name).collect();
            let is_safe = all.is_empty() || all.iter().any(|binding| !binding.keys.iter().any(is_taken));
            assert!(is_safe, "{name}: {} is only on {:?}", info.name, map.keys_of(info.name));
        }
    }
}

#[test]
fn every_keymap_moves_leaves_and_asks_for_help() {
    for (name, _) in KEYMAPS {
        let map = map(name);
        let mut screen = Setup { keymap: name, ..at(120, 40) }.over(morning());
        screen.press(&map.keys_of("down")[0]);
        assert_eq!(screen.selected(), "harden-auth.1/discover", "{name}");
        screen.press(&map.keys_of("help")[0]).shows("Keys").shows("run the task again");
        screen.press(&map.keys_of("dialog-no")[0]).shows_no("╭ Keys");
        screen.press(&map.keys_of("quit")[0]).shows("Not over");
        screen.looks_as_in(&format!("keymap_{name}"));
    }
}

#[test]
fn the_help_tells_the_keys_of_the_map_at_hand() {
    let mut screen = Setup { keymap: "vim", ..at(120, 100) }.over(morning());
    screen.press("?");
    for key in map("vim").keys_of("kill") {
        assert!(screen.line("end it at once").contains(&key), "{}", screen.line("end it at once"));
    }
}

#[test]
fn all_actions_can_be_asked_for_anywhere_without_harm() {
    for info in TABLE {
        for keys in ["", "tab", "tab 2", "tab 4", "G"] {
            let mut screen = at(80, 24).over(morning());
            screen.press(keys);
            let _ = airx::tui::update::act(&mut screen.app, info.action);
            screen.resize(120, 40).pass(1_000);
            assert_eq!(super::picture::faults(&screen.draw(), screen.area()), Vec::<String>::new());
        }
    }
}

#[test]
fn the_readme_has_the_table_of_keys() {
    let readme = include_str!("../../README.md");
    let (_, rest) = readme.split_once("<!-- keys -->\n").expect("README.md has a line `<!-- keys -->`");
    let (table, _) = rest.split_once("<!-- /keys -->").expect("README.md has a line `<!-- /keys -->`");
    let wanted = key_table(&map("default"));
    assert!(table == wanted, "put this between the marks in README.md:\n{wanted}");
}
