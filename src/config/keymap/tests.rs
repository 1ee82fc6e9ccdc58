use super::*;
use crate::model::diagnostic::Diagnostic;

const DEFAULT: &str = include_str!("../../../keymaps/default.yaml");
const VIM: &str = include_str!("../../../keymaps/vim.yaml");
const EMACS: &str = include_str!("../../../keymaps/emacs.yaml");
const EMBEDDED: [(&str, &str); 3] = [("default", DEFAULT), ("vim", VIM), ("emacs", EMACS)];

/// Scopes as they are tried where the focus is.
const PLACES: [&[&str]; 6] = [
    &["tree", "task", "global"],
    &["pane", "task", "global"],
    &["graph", "pane", "task", "global"],
    &["editor"],
    &["dialog"],
    &["inbox", "global"],
];

#[rustfmt::skip]
const KNOWN: Known = Known {
    scopes: &["global", "tree", "pane", "task", "graph", "inbox", "editor", "dialog"],
    actions: &[
        ("quit", "global"), ("help", "global"), ("palette", "global"), ("next-pane", "global"),
        ("previous-pane", "global"), ("zoom", "global"), ("new-job", "global"), ("pause-all", "global"),
        ("messages", "global"), ("redraw", "global"), ("suspend", "global"), ("narrower", "global"),
        ("wider", "global"), ("toggle-mouse", "global"), ("start-manager", "global"),
        ("requeue", "task"), ("cancel", "task"), ("kill", "task"), ("pause", "task"), ("edit-job", "task"),
        ("export", "task"), ("copy", "task"), ("view-output", "task"), ("view-definition", "task"),
        ("down", "tree"), ("up", "tree"), ("page-down", "tree"), ("page-up", "tree"), ("first", "tree"),
        ("last", "tree"), ("fold", "tree"), ("unfold", "tree"), ("fold-toggle", "tree"), ("fold-all", "tree"),
        ("unfold-all", "tree"), ("open", "tree"), ("filter", "tree"), ("clear-filter", "tree"), ("sort", "tree"),
        ("mark", "tree"), ("mark-all", "tree"), ("clear-marks", "tree"), ("follow-active", "tree"),
        ("next-failed", "tree"), ("requeue-failed", "tree"), ("requeue-all", "tree"), ("requeue-from", "tree"), ("copy-name", "tree"),
        ("tab-output", "pane"), ("tab-info", "pane"), ("tab-events", "pane"), ("tab-graph", "pane"),
        ("next-tab", "pane"), ("previous-tab", "pane"), ("scroll-down", "pane"), ("scroll-up", "pane"),
        ("scroll-page-down", "pane"), ("scroll-page-up", "pane"), ("scroll-first", "pane"), ("scroll-last", "pane"),
        ("scroll-left", "pane"), ("scroll-right", "pane"), ("follow", "pane"), ("wrap", "pane"), ("search", "pane"),
        ("search-next", "pane"), ("search-previous", "pane"), ("jump-time", "pane"), ("stream", "pane"),
        ("older-attempt", "pane"), ("newer-attempt", "pane"), ("fold-line", "pane"), ("fold-all-lines", "pane"),
        ("back", "pane"),
        ("graph-left", "graph"), ("graph-right", "graph"), ("graph-up", "graph"), ("graph-down", "graph"),
        ("graph-open", "graph"),
        ("inbox", "global"), ("allow", "inbox"), ("allow-always", "inbox"), ("deny", "inbox"), ("allow-edited", "inbox"),
        ("say", "inbox"), ("inbox-open", "inbox"), ("inbox-back", "inbox"), ("inbox-output", "inbox"),
        ("inbox-down", "inbox"), ("inbox-up", "inbox"), ("inbox-page-down", "inbox"), ("inbox-page-up", "inbox"),
        ("inbox-first", "inbox"), ("inbox-last", "inbox"),
        ("editor-submit", "editor"), ("editor-close", "editor"), ("editor-template", "editor"),
        ("editor-external", "editor"),
        ("dialog-yes", "dialog"), ("dialog-no", "dialog"), ("dialog-next", "dialog"), ("dialog-previous", "dialog"),
        ("dialog-choose", "dialog"), ("dialog-wait", "dialog"), ("dialog-leave", "dialog"),
        ("dialog-cancel-all", "dialog"),
    ],
};

fn chord(text: &str) -> Chord {
    text.parse().unwrap_or_else(|fault| panic!("{text}: {fault}"))
}

fn keys(text: &str) -> Vec<Chord> {
    text.split(' ').map(chord).collect()
}

fn with_user(text: &str) -> (Keymap, Vec<Diagnostic>) {
    load("mine", &EMBEDDED, Some(("mine.yaml", text)), &KNOWN)
}

/// All faults of a user's file, hints included.
fn faults(text: &str) -> Vec<String> {
    with_user(text).1.iter().map(Diagnostic::to_string).collect()
}

/// A text's only fault.
fn fault(text: &str) -> String {
    let mut all = faults(text);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

/// The action of keys typed one after another; earlier keys must ask for more.
fn typed(map: &Keymap, scopes: &[&str], keys: &[Chord]) -> Option<&'static str> {
    for length in 1..keys.len() {
        let Found::Prefix(_) = map.find(scopes, &keys[..length]) else { return None };
    }
    match map.find(scopes, keys) {
        Found::Action(action) => Some(action),
        Found::Prefix(_) | Found::Nothing => None,
    }
}

#[test]
fn the_embedded_maps_have_no_fault() {
    for (name, _) in EMBEDDED {
        let (map, faults) = load(name, &EMBEDDED, None, &KNOWN);
        assert_eq!(faults, [], "{name}");
        assert!(map.bindings.len() > 90, "{name}");
    }
}

#[test]
fn in_each_embedded_map_every_action_can_be_typed_wherever_it_holds() {
    for (name, _) in EMBEDDED {
        let (map, _) = load(name, &EMBEDDED, None, &KNOWN);
        for (action, home) in KNOWN.actions {
            for scopes in PLACES.iter().filter(|scopes| scopes.contains(home)) {
                // In the graph its own moves stand before the pane's.
                if scopes[0] == "graph" && *home == "pane" {
                    continue;
                }
                let reaches =
                    |binding: &Binding| binding.action == *action && typed(&map, scopes, &binding.keys) == Some(*action);
                assert!(map.bindings.iter().any(reaches), "{name}: {action} in {scopes:?}");
            }
        }
    }
}

#[test]
fn in_each_embedded_map_every_binding_can_be_typed_where_its_scope_comes_first() {
    for (name, _) in EMBEDDED {
        let (map, _) = load(name, &EMBEDDED, None, &KNOWN);
        for binding in &map.bindings {
            assert_eq!(typed(&map, &[binding.scope], &binding.keys), Some(binding.action), "{name}: {binding:?}");
        }
    }
}

#[test]
fn in_each_embedded_map_j_k_and_the_arrows_move() {
    for (name, _) in EMBEDDED {
        let (map, _) = load(name, &EMBEDDED, None, &KNOWN);
        for (place, down, up) in
            [(0, "down", "up"), (1, "scroll-down", "scroll-up"), (2, "graph-down", "graph-up"), (5, "inbox-down", "inbox-up")]
        {
            for (key, action) in [("j", down), ("down", down), ("k", up), ("up", up)] {
                assert_eq!(typed(&map, PLACES[place], &keys(key)), Some(action), "{name}: {key}");
            }
        }
    }
}

#[test]
fn the_editor_takes_no_characters() {
    for (name, _) in EMBEDDED {
        let (map, _) = load(name, &EMBEDDED, None, &KNOWN);
        for binding in map.bindings.iter().filter(|binding| binding.scope == "editor") {
            let first = binding.keys[0];
            assert!(!matches!(first, Chord { key: Key::Char(_), ctrl: false, alt: false, .. }), "{name}: {binding:?}");
        }
    }
}

#[test]
fn the_first_scope_with_the_keys_answers() {
    let (map, _) = load("default", &EMBEDDED, None, &KNOWN);
    assert_eq!(map.find(&["tree", "task", "global"], &keys("s")), Found::Action("sort"));
    assert_eq!(map.find(&["pane", "task", "global"], &keys("s")), Found::Action("stream"));
    assert_eq!(map.find(&["pane", "task", "global"], &keys("q")), Found::Action("quit"));
    assert_eq!(map.find(&["tree"], &keys("g")), Found::Prefix(vec![(chord("g"), "first")]));
    assert_eq!(map.find(&["tree"], &keys("g x")), Found::Nothing);
    assert_eq!(map.find(&["tree"], &[]), Found::Nothing);
}

#[test]
fn longer_sequences_are_announced_once() {
    let (map, faults) = with_user("tree:\n  \"ctrl-k a b\": sort\n  \"ctrl-k a c\": open\n  \"ctrl-k d\": mark\n");
    assert_eq!(faults, []);
    assert_eq!(map.find(&["tree"], &keys("ctrl-k")), Found::Prefix(vec![(chord("a"), MORE), (chord("d"), "mark")]));
}

#[test]
fn the_keys_of_an_action_are_told_shortest_first() {
    let (map, _) = load("vim", &EMBEDDED, None, &KNOWN);
    assert_eq!(map.keys_of("quit"), ["q", "Z Z", "Z Q", "ctrl-c"]);
    assert!(map.keys_of("nothing").is_empty());
}

#[test]
fn a_user_s_file_changes_single_keys_without_a_fault() {
    let (map, faults) = with_user("base: emacs\ntree:\n  \"s\": open\n  \"m\": none\n  1: sort\n");
    assert_eq!(faults, []);
    assert_eq!(map.find(&["tree"], &keys("s")), Found::Action("open"));
    assert_eq!(map.find(&["tree"], &keys("m")), Found::Nothing);
    assert_eq!(map.find(&["tree"], &keys("1")), Found::Action("sort"));
    assert_eq!(map.find(&["tree"], &keys("ctrl-n")), Found::Action("down"));
}

#[test]
fn a_user_s_file_builds_on_the_embedded_one_of_its_name_else_on_the_default() {
    let (map, faults) = load("vim", &EMBEDDED, Some(("vim.yaml", "# nothing\n")), &KNOWN);
    assert_eq!((&map, faults), (&load("vim", &EMBEDDED, None, &KNOWN).0, Vec::new()));
    let (mine, faults) = with_user("");
    assert_eq!((&mine, faults), (&load("default", &EMBEDDED, None, &KNOWN).0, Vec::new()));
    assert_ne!(mine, map);
}

#[test]
fn unbinding_makes_room_wherever_it_stands() {
    let (map, faults) = with_user("tree:\n  \"g\": first\n  \"g g\": none\n");
    assert_eq!(faults, []);
    assert_eq!(map.find(&["tree"], &keys("g")), Found::Action("first"));
}

#[test]
fn unbinding_what_is_not_bound_is_told_with_where_it_is() {
    let text = "mine.yaml:2:3: `q` is not bound in `tree`, so `none` changes nothing\n  help: it is bound in `global`";
    assert_eq!(fault("tree:\n  q: none\n"), text);
}

#[test]
fn unknown_names_are_told_with_a_near_miss_and_the_rest_holds() {
    let text = "tre:\n  x: mark\ntask:\n  \"ctrl-x\": requeu\n  \"entr\": copy\n  \"X\": copy\n";
    let (map, faults) = with_user(text);
    let told: Vec<String> = faults.iter().map(Diagnostic::to_string).collect();
    assert_eq!(
        told,
        [
            "mine.yaml:1:1: no scope is called `tre`\n  help: did you mean `tree`?",
            "mine.yaml:4:13: no action is called `requeu`\n  help: did you mean `requeue`?",
            "mine.yaml:5:4: no key is called `entr`\n  help: did you mean `enter`?",
        ]
    );
    assert_eq!(map.find(&["task"], &keys("X")), Found::Action("copy"));
    assert_eq!(map.find(&["task"], &keys("r")), Found::Action("requeue"));
}

#[test]
fn keys_as_other_programs_write_them_are_told_in_ours() {
    for (theirs, ours) in [
        ("C-x", "`ctrl-x`"),
        ("M-v", "`alt-v`"),
        ("Escape", "`esc`"),
        ("return", "`enter`"),
        ("PageUp", "`page-up`"),
        ("crtl-x", "`ctrl-x`"),
        ("F13", "`f1`"),
        ("gg", "`g g`"),
    ] {
        let told = fault(&format!("tree:\n  \"{theirs}\": sort\n"));
        assert!(told.starts_with("mine.yaml:2:4: no key is called") && told.contains(ours), "{told}");
    }
    assert!(fault("tree:\n  \"ctrl-\": sort\n").contains("lacks a key"));
    assert!(fault("tree:\n  \"ctrl-ctrl-x\": sort\n").contains("a modifier twice"));
    assert!(fault("tree:\n  \"shift-g\": sort\n").contains("write `G`"));
    assert!(fault("tree:\n  \"g Up\": sort\n").starts_with("mine.yaml:2:6: "));
}

#[test]
fn what_terminals_cannot_tell_apart_is_not_bound() {
    for (one, other) in [
        ("ctrl-i", "tab"),
        ("ctrl-m", "enter"),
        ("ctrl-[", "esc"),
        ("ctrl-G", "ctrl-g"),
        ("ctrl-shift-x", "ctrl-x"),
        ("ctrl-1", "1"),
        ("ctrl-enter", "enter"),
        ("shift-esc", "esc"),
        ("ctrl-shift-tab", "backtab"),
        ("ctrl-alt-i", "alt-tab"),
    ] {
        let told = fault(&format!("tree:\n  '{one}': sort\n"));
        assert!(told.starts_with(&format!("mine.yaml:2:4: terminals cannot tell `{one}` from `{other}`")), "{told}");
    }
    assert!(fault("tree:\n  'alt-[': sort\n").contains("the beginning of other keys"));
}

#[test]
fn an_action_is_bound_only_where_it_means_something() {
    let told = "mine.yaml:2:8: `sort` means nothing in the scope `pane`\n  help: bind it in the scope `tree`";
    assert_eq!(fault("pane:\n  \"X\": sort\n"), told);
    let (map, faults) = with_user("pane:\n  \"X\": quit\n  \"D\": kill\ntree:\n  \"D\": pause\n");
    assert_eq!(faults, []);
    assert_eq!(map.find(&["pane"], &keys("D")), Found::Action("kill"));
    assert!(fault("editor:\n  \"f9\": kill\n").contains("in the scope `task`"));
}

#[test]
fn the_same_keys_twice_in_a_scope_are_told_with_the_first_line() {
    let text = "tree:\n  \"shift-tab\": sort\n  \"backtab\": open\n  \"U\": mark\n  U: none\n";
    let (map, _) = with_user(text);
    assert_eq!(map.find(&["tree"], &keys("backtab")), Found::Action("sort"));
    let told = faults(text);
    assert!(told[0].starts_with("mine.yaml:3:3: `backtab` is already given in `tree` on line 2"), "{told:?}");
    assert!(told[1..].iter().any(|told| told.contains("`U` is already given in `tree` on line 5")), "{told:?}");
}

#[test]
fn a_sequence_that_begins_another_is_told_with_both_lines() {
    for (text, other) in [("\"X\": sort\n  \"X y\": open", "X"), ("\"X y\": sort\n  \"X\": open", "X y")] {
        let text = format!("tree:\n  {text}\n");
        let told = fault(&text);
        let expected = format!(
            "mine.yaml:3:3: `X` is the beginning of `X y` in `tree`, so only one of them can hold: `{other}` on line 2 does"
        );
        assert!(told.starts_with(&expected), "{told}");
        assert_eq!(typed(&with_user(&text).0, &["tree"], &keys(other)), Some("sort"));
    }
    assert_eq!(faults("tree:\n  \"X\": sort\npane:\n  \"X y\": wrap\n"), [] as [String; 0]);
}

#[test]
fn a_sequence_that_begins_an_embedded_one_holds_and_the_loss_is_told() {
    let (map, faults) = with_user("tree:\n  \"g\": sort\n");
    assert_eq!(map.find(&["tree"], &keys("g")), Found::Action("sort"));
    let told = faults[0].to_string();
    let expected =
        "mine.yaml:2:3: `g` is the beginning of `g g` in `tree`, so only one of them can hold: `g g` in default (built in), line";
    assert!(faults.len() == 1 && told.starts_with(expected) && told.contains("`\"g g\": none`"), "{told}");
    assert_eq!(map.keys_of("first"), ["home"]);
}

#[test]
fn what_does_not_hold_drops_nothing() {
    // `g` loses against the file's own `g x`, so the embedded `g g` stays.
    let (map, faults) = with_user("tree:\n  \"g x\": open\n  \"g\": sort\n");
    assert_eq!(faults.len(), 1);
    assert_eq!(map.find(&["tree"], &keys("g g")), Found::Action("first"));
}

#[test]
fn more_than_four_chords_are_too_many() {
    assert_eq!(faults("tree:\n  \"X a b c\": sort\n"), [] as [String; 0]);
    assert!(fault("tree:\n  \"X a b c d\": sort\n").starts_with("mine.yaml:2:3: `X a b c d` is longer than 4 chords"));
}

#[test]
fn an_action_whose_only_keys_terminals_take_is_told() {
    let told = fault("tree:\n  \"s\": none\n  \"ctrl-s\": sort\n");
    assert!(told.starts_with("mine.yaml:3:3: `ctrl-s` is the only key of `sort`"), "{told}");
    assert!(fault("tree:\n  \"s\": none\n  \"X ctrl-\\\\\": sort\n").contains("`X ctrl-\\` is the only key of `sort`"));
    assert_eq!(faults("tree:\n  \"ctrl-s\": sort\n"), [] as [String; 0]);
    assert_eq!(faults("tree:\n  \"s\": none\n"), [] as [String; 0]);
}

#[test]
fn wrong_kinds_are_told_by_what_they_are() {
    assert!(fault("- x\n").starts_with("mine.yaml:1:1: a keymap is a mapping, but this is a list"));
    assert!(fault("tree: x\n").starts_with("mine.yaml:1:7: a scope is a mapping of keys to actions, but this is text"));
    assert!(fault("tree:\n  x: [sort]\n").starts_with("mine.yaml:2:6: an action's name is needed, but this is a list"));
    assert!(fault("tree:\n  x:\n").contains("`none` unbinds"));
    assert!(fault("tree:\n  ~: sort\n").starts_with("mine.yaml:2:3: keys are text, but this is nothing"));
    assert!(fault("base: [vim]\n").starts_with("mine.yaml:1:7: `base` is the name of a keymap, but this is a list"));
    assert!(fault("base: vim\nbase: vim\n").starts_with("mine.yaml:2:1: `base` is already given on line 1"));
    assert!(
        fault("tree:\n  X: sort\ntree:\n  D: open\n").starts_with("mine.yaml:3:1: the scope `tree` is already given on line 1")
    );
}

#[test]
fn a_text_that_is_no_yaml_leaves_the_base() {
    let (map, faults) = with_user("tree: [\n");
    assert_eq!((map, faults.len()), (load("default", &EMBEDDED, None, &KNOWN).0, 1));
}

#[test]
fn a_file_over_256_kib_is_not_read() {
    let told = fault(&"#".repeat(256 * 1024 + 1));
    assert!(told.starts_with("mine.yaml:1:1: the file has 257 KiB; at most 256 are read"), "{told}");
    assert_eq!(faults(&"#".repeat(256 * 1024)), [] as [String; 0]);
}

#[test]
fn an_unknown_name_is_told_and_the_default_holds() {
    let (map, faults) = load("vmi", &EMBEDDED, None, &KNOWN);
    assert_eq!(faults[0].message, "no keymap is called `vmi`; `default` holds instead");
    assert_eq!(faults[0].hint, "did you mean `vim`?");
    assert_eq!(map, load("default", &EMBEDDED, None, &KNOWN).0);
    let told = fault("base: emcas\n");
    assert!(told.starts_with("mine.yaml:1:7: no keymap is called `emcas`") && told.contains("`emacs`"), "{told}");
}

#[test]
fn bases_in_a_circle_end() {
    let embedded = [("default", "base: other\ntree:\n  x: sort\n"), ("other", "base: default\ntree:\n  y: sort\n")];
    let (map, faults) = load("default", &embedded, None, &KNOWN);
    assert_eq!((map.keys_of("sort"), faults), (vec!["y".to_owned(), "x".to_owned()], Vec::new()));
}

#[test]
fn messages_carry_nothing_that_a_terminal_would_obey() {
    let long = "x".repeat(1000);
    for told in faults(&format!("\"\\e[31m\":\n  x: sort\ntree:\n  \"\\e[2J\": \"\\a{long}\"\n")) {
        assert!(told.len() < 300 && !told.contains(['\u{1b}', '\u{7}']), "{told:?}");
    }
}

#[test]
fn a_large_file_of_faults_is_read_soon() {
    let lines: String = (0..12_000).map(|n| format!("  \"entr{n}\": sorr\n")).collect();
    let begin = std::time::Instant::now();
    assert!(faults(&format!("tree:\n{lines}")).len() > 20_000);
    assert!(begin.elapsed().as_secs() < 10);
}
