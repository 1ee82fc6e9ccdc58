//! Keys, colours and signs.

use crate::config::keymap::Keymap;
use crate::config::screen::Glyphs;
use crate::config::theme::{Color, Depth, Role, Style as Plain, Theme};
use crate::model::diagnostic::Diagnostic;
use crate::model::notice::Notifier;
use crate::model::sign::{self, Sign};
use crate::model::state::TaskKind;
use crate::tui::action::Action;
use crate::tui::parts::LoadedLook;
use crate::tui::text::ansi::Sgr;
use ratatui::style::{Color as Shown, Modifier, Style};

/// All of it.
#[derive(Debug, Clone)]
pub struct Look {
    /// Keys.
    pub keymap: Keymap,
    /// Colours.
    pub theme: Theme,
    /// Whether signs beyond ASCII may be used.
    pub unicode: bool,
    /// What is wrong with the configuration.
    pub faults: Vec<Diagnostic>,
    /// Who is told what; the terminal's part of it.
    pub notify: Vec<Notifier>,
    /// Colours that a program's own output may use.
    depth: Depth,
    /// Whether the terminal has the last word on the signs.
    measured: bool,
}

impl Look {
    /// For a terminal that this environment tells of.
    pub fn new(loaded: LoadedLook, variable: impl Fn(&str) -> Option<String>) -> Look {
        let LoadedLook { screen, keymap, theme, depth, notify, faults } = loaded;
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| variable(name).filter(|value| !value.is_empty()));
        let by_locale = locale.is_some_and(|locale| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        });
        // The kernel's console has few signs in its font.
        let by_locale = by_locale && variable("TERM").as_deref() != Some("linux");
        let (unicode, measured) = match screen.glyphs {
            Glyphs::Auto => (by_locale, by_locale),
            Glyphs::Unicode => (true, false),
            Glyphs::Ascii => (false, false),
        };
        // A theme without colours means output without colours too.
        let is_plain = Role::ALL.iter().all(|role| theme.style(*role).fg.is_none() && theme.style(*role).bg.is_none());
        let depth = if is_plain { Depth::None } else { depth };
        Look { keymap, theme, unicode, faults, notify, depth, measured }
    }

    /// Whether the terminal has to be asked what it makes of the signs.
    pub fn is_measured(&self) -> bool {
        self.measured
    }

    /// How a program's own output looks, in the nearest colours that may be shown; in none where there are none.
    pub fn within_depth(&self, sgr: Sgr) -> Style {
        let within = |color: Option<Color>| color.and_then(|color| color.at_depth(self.depth));
        shown(Plain { fg: within(sgr.fg), bg: within(sgr.bg), ..sgr })
    }

    /// A role's style.
    pub fn style(&self, role: Role) -> Style {
        shown(self.theme.style(role))
    }

    /// A state's sign and the role of its colour.
    pub fn sign(&self, kind: TaskKind) -> (&'static str, Role) {
        (sign::task(kind).get(self.unicode), role_of(kind))
    }

    /// Either form.
    pub fn pick(&self, unicode: &'static str, ascii: &'static str) -> &'static str {
        Sign { unicode, ascii }.get(self.unicode)
    }

    /// What stands for something left out.
    pub fn dots(&self) -> &'static str {
        self.pick("…", "..")
    }

    /// The shortest keys of an action; empty when it has none.
    pub fn keys(&self, action: Action) -> String {
        self.keymap.keys_of(action.info().name).into_iter().next().unwrap_or_default()
    }
}

/// The role of a state's colour.
pub fn role_of(kind: TaskKind) -> Role {
    match kind {
        TaskKind::Pending | TaskKind::Skipped | TaskKind::UpstreamFailed => Role::Idle,
        TaskKind::Queued
        | TaskKind::Held
        | TaskKind::AwaitingInput
        | TaskKind::AwaitingApproval
        | TaskKind::Cancelling
        | TaskKind::Cancelled => Role::Wait,
        TaskKind::Starting | TaskKind::Running | TaskKind::Delegated | TaskKind::Mapped => Role::Busy,
        TaskKind::Completed => Role::Good,
        TaskKind::Failed => Role::Bad,
    }
}

/// A style for the terminal.
pub fn shown(plain: Plain) -> Style {
    let mut style = Style { fg: plain.fg.map(color), bg: plain.bg.map(color), ..Style::default() };
    for (is_set, modifier) in [
        (plain.bold, Modifier::BOLD),
        (plain.dim, Modifier::DIM),
        (plain.italic, Modifier::ITALIC),
        (plain.underline, Modifier::UNDERLINED),
        (plain.reverse, Modifier::REVERSED),
        (plain.strikethrough, Modifier::CROSSED_OUT),
    ] {
        if is_set {
            style = style.add_modifier(modifier);
        }
    }
    style
}

fn color(color: Color) -> Shown {
    match color {
        Color::Default => Shown::Reset,
        Color::Ansi(number) => of_palette(number),
        Color::Indexed(number) => Shown::Indexed(number),
        Color::Rgb(red, green, blue) => Shown::Rgb(red, green, blue),
    }
}

/// The terminal's own colours by number.
fn of_palette(number: u8) -> Shown {
    match number {
        0 => Shown::Black,
        1 => Shown::Red,
        2 => Shown::Green,
        3 => Shown::Yellow,
        4 => Shown::Blue,
        5 => Shown::Magenta,
        6 => Shown::Cyan,
        7 => Shown::Gray,
        8 => Shown::DarkGray,
        9 => Shown::LightRed,
        10 => Shown::LightGreen,
        11 => Shown::LightYellow,
        12 => Shown::LightBlue,
        13 => Shown::LightMagenta,
        14 => Shown::LightCyan,
        15 => Shown::White,
        other => Shown::Indexed(other),
    }
}
