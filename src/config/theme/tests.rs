use super::*;
use crate::model::diagnostic::Diagnostic;
use crate::model::yaml::{self, Value};

const TERMINAL: &str = include_str!("../../../themes/terminal.yaml");
const DARK: &str = include_str!("../../../themes/dark.yaml");
const LIGHT: &str = include_str!("../../../themes/light.yaml");
const HIGH_CONTRAST: &str = include_str!("../../../themes/high-contrast.yaml");
const MONO: &str = include_str!("../../../themes/mono.yaml");
const EMBEDDED: [(&str, &str); 5] =
    [("terminal", TERMINAL), ("dark", DARK), ("light", LIGHT), ("high-contrast", HIGH_CONTRAST), ("mono", MONO)];
const DEPTHS: [Depth; 4] = [Depth::None, Depth::Ansi16, Depth::Indexed256, Depth::True];

fn embedded(name: &str) -> Theme {
    let (theme, faults) = load(name, &EMBEDDED, None);
    assert_eq!(faults, [], "{name}");
    theme
}

fn with_user(text: &str) -> (Theme, Vec<Diagnostic>) {
    load("mine", &EMBEDDED, Some(("mine.yaml", text)))
}

fn faults(text: &str) -> Vec<String> {
    with_user(text).1.iter().map(Diagnostic::to_string).collect()
}

/// A text's only fault.
fn fault(text: &str) -> String {
    let mut all = faults(text);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

/// The style of a text that is right.
fn style(text: &str) -> Style {
    let (theme, faults) = with_user(&format!("roles:\n  text: \"{text}\"\n"));
    assert_eq!(faults, [], "{text}");
    theme.style(Role::Text)
}

#[test]
fn the_embedded_themes_have_no_fault_and_a_style_for_each_role() {
    for (name, text) in EMBEDDED {
        embedded(name);
        let Some(yaml::Node { value: Value::Map(parts), .. }) = yaml::parse(text).root else { panic!("{name}") };
        let given: Vec<&str> = parts
            .iter()
            .filter(|(key, _)| key.text() == Some("roles"))
            .flat_map(|(_, roles)| match &roles.value {
                Value::Map(entries) => entries.iter().filter_map(|(key, _)| key.text()).collect(),
                _ => Vec::new(),
            })
            .collect();
        let wanted: Vec<&str> = Role::ALL.iter().map(|role| role.name()).collect();
        assert_eq!(given, wanted, "{name}");
    }
}

#[test]
fn each_role_has_its_own_place() {
    for (index, role) in Role::ALL.iter().enumerate() {
        assert_eq!(*role as usize, index);
    }
}

#[test]
fn terminal_and_mono_set_no_background() {
    for name in ["terminal", "mono"] {
        let theme = embedded(name);
        for role in Role::ALL {
            assert_eq!(theme.style(*role).bg, None, "{name}: {}", role.name());
        }
    }
}

#[test]
fn terminal_keeps_to_the_palette_and_mono_to_modifiers() {
    let (terminal, mono) = (embedded("terminal"), embedded("mono"));
    for role in Role::ALL {
        let fg = terminal.style(*role).fg;
        assert!(matches!(fg, None | Some(Color::Default | Color::Ansi(_))), "{}", role.name());
        assert!(matches!(mono.style(*role).fg, None | Some(Color::Default)), "{}", role.name());
    }
    assert_eq!(terminal.at_depth(Depth::Ansi16), terminal);
}

#[test]
fn good_and_bad_never_differ_by_colour_alone() {
    for (name, _) in EMBEDDED {
        for depth in DEPTHS {
            let theme = embedded(name).at_depth(depth);
            let (good, bad) = (theme.style(Role::Good), theme.style(Role::Bad));
            assert!(bad.bold && !good.bold, "{name} {depth:?}");
            let (good, bad) = (theme.style(Role::Added), theme.style(Role::Removed));
            assert!(depth == Depth::None || name == "mono" || bad.bold && !good.bold, "{name} {depth:?}");
        }
    }
}

#[test]
fn states_keep_their_own_colours_at_every_depth() {
    for (name, _) in EMBEDDED.iter().filter(|(name, _)| *name != "mono") {
        for depth in [Depth::Ansi16, Depth::Indexed256, Depth::True] {
            let theme = embedded(name).at_depth(depth);
            let states = [Role::Good, Role::Bad, Role::Busy, Role::Wait, Role::Idle].map(|role| theme.style(role).fg);
            for (index, fg) in states.iter().enumerate() {
                assert!(!states[..index].contains(fg), "{name} {depth:?}: {states:?}");
            }
        }
    }
}

#[test]
fn the_selection_is_seen_at_every_depth() {
    for (name, _) in EMBEDDED {
        for depth in DEPTHS {
            let theme = embedded(name).at_depth(depth);
            let text = theme.style(Role::Text);
            for role in [Role::Selection, Role::SelectionUnfocused, Role::Search, Role::SearchCurrent] {
                let style = theme.style(role);
                let marked = style.reverse || style.underline || (style.bg.is_some() && style.bg != text.bg);
                assert!(marked, "{name} {depth:?} {}: {style:?}", role.name());
            }
            assert_ne!(theme.style(Role::Selection), theme.style(Role::SelectionUnfocused), "{name} {depth:?}");
            assert_ne!(theme.style(Role::Search), theme.style(Role::SearchCurrent), "{name} {depth:?}");
        }
    }
}

#[test]
fn no_depth_makes_text_vanish() {
    for (name, _) in EMBEDDED {
        for depth in [Depth::Ansi16, Depth::Indexed256, Depth::True] {
            let theme = embedded(name).at_depth(depth);
            let text = theme.style(Role::Text);
            for role in Role::ALL {
                let style = theme.style(*role);
                let (fg, bg) = (style.fg.or(text.fg), style.bg.or(text.bg));
                assert!(fg != bg || bg.is_none(), "{name} {depth:?} {}", role.name());
            }
        }
    }
}

/// Contrast as the WCAG count it, 1 to 21.
fn contrast(a: Color, b: Color) -> f64 {
    let light = |color: Color| {
        let Color::Rgb(r, g, b) = color else { panic!("{color:?}") };
        let part = |part: u8| {
            let part = f64::from(part) / 255.0;
            if part <= 0.03928 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b)
    };
    let (a, b) = (light(a), light(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[test]
fn text_can_be_read_on_its_ground() {
    for (name, least, least_line) in [("dark", 4.5, 3.0), ("light", 4.5, 3.0), ("high-contrast", 7.0, 7.0)] {
        let theme = embedded(name);
        let text = theme.style(Role::Text);
        for role in Role::ALL {
            let style = theme.style(*role);
            let (Some(fg), Some(bg)) = (style.fg.or(text.fg), style.bg.or(text.bg)) else { panic!("{name}") };
            let line = matches!(role, Role::Border | Role::Edge | Role::GaugeRest);
            let found = contrast(fg, bg);
            assert!(found >= if line { least_line } else { least }, "{name} {}: {found:.2}", role.name());
        }
    }
}

#[test]
fn styles_are_read_word_by_word() {
    assert_eq!(style("cyan bold"), Style { fg: Some(Color::Ansi(6)), bold: true, ..Style::default() });
    let expected = Style {
        fg: Some(Color::Rgb(0x7a, 0xa2, 0xf7)),
        bg: Some(Color::Rgb(0x1a, 0x1b, 0x26)),
        italic: true,
        ..Style::default()
    };
    assert_eq!(style("#7aa2f7 on #1a1B26 italic"), expected);
    assert_eq!(style("italic #7aa2f7 on #1a1b26"), expected);
    assert_eq!(style("239").fg, Some(Color::Indexed(239)));
    assert_eq!(style("9").fg, Color::named("light-red"));
    assert_eq!(style("default").fg, Some(Color::Default));
    assert_eq!(style("on white"), Style { bg: Some(Color::Ansi(15)), ..Style::default() });
    let all = style("bold dim italic underline reverse strikethrough");
    assert!(all.bold && all.dim && all.italic && all.underline && all.reverse && all.strikethrough);
}

#[test]
fn a_user_s_theme_builds_on_its_base() {
    let (theme, faults) = with_user("base: dark\nroles:\n  good: 34\n");
    assert_eq!(faults, []);
    assert_eq!(theme.style(Role::Good), Style { fg: Some(Color::Indexed(34)), ..Style::default() });
    assert_eq!(theme.style(Role::Bad), embedded("dark").style(Role::Bad));
    assert_eq!(with_user("").0, embedded("terminal"));
    assert_eq!(load("light", &EMBEDDED, Some(("light.yaml", ""))).0, embedded("light"));
}

#[test]
fn a_base_s_roles_follow_a_user_s_colours() {
    let (theme, faults) = with_user("base: dark\ncolors:\n  red: \"#ff0000\"\n  mine: 200\nroles:\n  good: mine\n");
    assert_eq!(faults, []);
    assert_eq!(theme.style(Role::Bad).fg, Some(Color::Rgb(255, 0, 0)));
    assert_eq!(theme.style(Role::Good).fg, Some(Color::Indexed(200)));
}

#[test]
fn all_faults_are_told_and_the_rest_holds() {
    let text =
        "roles:\n  god: green\n  bad: rad bold\n  busy: blue bodl\n  wait: 256\n  idle: \"red on #12345g\"\n  mark: cyan\n";
    let (theme, faults) = with_user(text);
    let told: Vec<String> = faults.iter().map(Diagnostic::to_string).collect();
    assert_eq!(
        told,
        [
            "mine.yaml:2:3: no role is called `god`\n  help: did you mean `good`?",
            "mine.yaml:3:8: `rad` is neither a colour nor a modifier\n  help: did you mean `red`?",
            "mine.yaml:4:14: `bodl` is neither a colour nor a modifier\n  help: did you mean `bold`?",
            "mine.yaml:5:9: there is no colour `256`\n  help: colours go from 0 to 255",
            "mine.yaml:6:17: `#12345g` is no colour\n  help: write six of 0-9 and a-f after `#`, as in `#7aa2f7`",
        ]
    );
    assert_eq!(theme.style(Role::Mark).fg, Color::named("cyan"));
    assert_eq!(theme.style(Role::Bad), embedded("terminal").style(Role::Bad));
}

#[test]
fn faults_in_the_order_of_words_are_told() {
    assert!(fault("roles:\n  text: red blue\n").starts_with("mine.yaml:2:13: `blue` is a second colour of the text"));
    assert!(fault("roles:\n  text: red on\n").starts_with("mine.yaml:2:13: no colour comes after `on`"));
    assert!(fault("roles:\n  text: red on #1a1b26\n").contains("must stand in quotes"));
    assert!(fault("roles:\n  text: red on blue on black\n").contains("`on` stands here a second time"));
    assert!(fault("roles:\n  text: red on bold\n").starts_with("mine.yaml:2:16: `bold` is no colour"));
    assert!(fault("roles:\n  text: \"#fff\"\n").contains("`#fff` is no colour"));
}

#[test]
fn wrong_kinds_are_told_by_what_they_are() {
    assert!(fault("[roles]\n").starts_with("mine.yaml:1:1: a theme is a mapping, but this is a list"));
    assert!(fault("roles: red\n").starts_with("mine.yaml:1:8: `roles` is a mapping, but this is text"));
    assert!(fault("roles:\n  text: [red]\n").starts_with("mine.yaml:2:9: a style is text, but this is a list"));
    assert!(fault("roles:\n  text: #ff0000\n").contains("begins with `#` must stand in quotes"));
    assert!(fault("roles:\n  text: \"\"\n").contains("a style is text, but this is nothing"));
    assert!(fault("colors:\n  mine: {a: b}\n").starts_with("mine.yaml:2:9: a colour is text, but this is a mapping"));
    assert!(fault("colors:\n  bold: red\n").starts_with("mine.yaml:2:3: `bold` cannot be a colour's name"));
    assert!(fault("colors:\n  mine: rde\n").contains("did you mean `red`?"));
    assert!(fault("role:\n  text: red\n").starts_with("mine.yaml:1:1: a theme has no `role`\n  help: did you mean `roles`?"));
}

#[test]
fn what_is_given_twice_is_told_and_the_first_holds() {
    let text = "roles:\n  good: blue\n  good: red\n";
    assert!(fault(text).starts_with("mine.yaml:3:3: the role `good` is already given on line 2"));
    assert_eq!(with_user(text).0.style(Role::Good).fg, Color::named("blue"));
    assert!(fault("colors:\n  a: red\n  a: blue\n").starts_with("mine.yaml:3:3: the colour `a` is already given on line 2"));
    assert!(fault("roles:\n  good: blue\nroles:\n  bad: red\n").starts_with("mine.yaml:3:1: `roles` is already given on line 1"));
}

#[test]
fn an_unknown_name_is_told_and_terminal_holds() {
    let (theme, faults) = load("drak", &EMBEDDED, None);
    assert_eq!(faults[0].message, "no theme is called `drak`; `terminal` holds instead");
    assert_eq!(faults[0].hint, "did you mean `dark`?");
    assert_eq!(theme, embedded("terminal"));
    assert!(fault("base: drak\n").starts_with("mine.yaml:1:7: no theme is called `drak`"));
}

#[test]
fn the_environment_tells_the_depth() {
    for (variables, depth) in [
        (&[("TERM", "xterm-256color"), ("COLORTERM", "truecolor")][..], Depth::True),
        (&[("TERM", "xterm-256color"), ("COLORTERM", "24bit")], Depth::True),
        (&[("TERM", "xterm-256color")], Depth::Indexed256),
        (&[("TERM", "xterm-kitty")], Depth::True),
        (&[("TERM", "tmux-direct")], Depth::True),
        (&[("TERM", "xterm")], Depth::Ansi16),
        (&[("TERM", "linux")], Depth::Ansi16),
        (&[], Depth::Ansi16),
        (&[("TERM", "dumb"), ("COLORTERM", "truecolor")], Depth::None),
        (&[("TERM", "vt100")], Depth::None),
        (&[("TERM", "xterm-256color"), ("NO_COLOR", "1")], Depth::None),
        (&[("TERM", "xterm-256color"), ("NO_COLOR", "")], Depth::Indexed256),
        (&[("TERM", "screen-256color"), ("COLORTERM", "truecolor")], Depth::Indexed256),
        (&[("TERM", "screen-256color"), ("COLORTERM", "truecolor"), ("TMUX", "/tmp/x")], Depth::True),
    ] {
        let variable = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        assert_eq!(Depth::detect(variable), depth, "{variables:?}");
    }
}

#[test]
fn the_nearest_colours_are_near() {
    for (rgb, indexed, ansi) in [
        ((0, 0, 0), 16, "black"),
        ((255, 255, 255), 231, "white"),
        ((255, 0, 0), 196, "light-red"),
        ((0, 95, 135), 24, "cyan"),
        ((8, 8, 8), 232, "black"),
        ((0x9e, 0xce, 0x6a), 149, "light-green"),
        ((0xbb, 0x9a, 0xf7), 141, "light-magenta"),
        ((0x57, 0x60, 0x6a), 59, "dark-gray"),
    ] {
        let color = Color::Rgb(rgb.0, rgb.1, rgb.2);
        assert_eq!(color.at_depth(Depth::Indexed256), Some(Color::Indexed(indexed)), "{rgb:?}");
        assert_eq!(color.at_depth(Depth::Ansi16), Color::named(ansi), "{rgb:?}");
        assert_eq!(color.at_depth(Depth::True), Some(color));
        assert_eq!(color.at_depth(Depth::None), None);
    }
    for index in 16..=255 {
        assert!(matches!(Color::Indexed(index).at_depth(Depth::Ansi16), Some(Color::Ansi(0..16))));
    }
}

#[test]
fn without_colours_modifiers_stay_and_what_is_needed_comes() {
    let theme = embedded("dark").at_depth(Depth::None);
    for role in Role::ALL {
        let style = theme.style(*role);
        assert_eq!((style.fg, style.bg), (None, None));
    }
    assert!(theme.style(Role::Selection).reverse && theme.style(Role::Selection).bold);
    assert!(theme.style(Role::EditorFault).underline);
    assert!(theme.style(Role::Emphasis).italic);
    assert_eq!(theme.style(Role::Text), Style::default());
}

#[test]
fn what_few_colours_make_one_is_kept_apart() {
    let (theme, _) = with_user(
        "roles:\n  text: \"#c0c0c0 on #101010\"\n  selection: \"#d0d0d0 on #181818\"\n  toast: \"#202020 on #303030\"\n  key: black on black\n",
    );
    let theme = theme.at_depth(Depth::Ansi16);
    let (gray, black) = (Color::named("gray"), Color::named("black"));
    assert_eq!(theme.style(Role::Selection), Style { fg: gray, bg: black, reverse: true, ..Style::default() });
    assert_eq!(theme.style(Role::Toast), Style { fg: gray, bg: black, reverse: true, ..Style::default() });
    assert_eq!(theme.style(Role::Key), Style { fg: black, bg: black, ..Style::default() });
}
