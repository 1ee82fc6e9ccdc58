//! Colours, their names, and what a terminal can show of them.

/// A colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Color {
    /// The terminal's own.
    Default,
    /// One of the 16 of the terminal's palette.
    Ansi(u8),
    /// 16 to 255: the cube and the greys.
    Indexed(u8),
    /// Red, green, blue.
    Rgb(u8, u8, u8),
}

/// The 16 colours of the palette, in its order.
pub(super) const NAMES: [&str; 16] = [
    "black",
    "red",
    "green",
    "yellow",
    "blue",
    "magenta",
    "cyan",
    "gray",
    "dark-gray",
    "light-red",
    "light-green",
    "light-yellow",
    "light-blue",
    "light-magenta",
    "light-cyan",
    "white",
];

/// How many colours a terminal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// No colours.
    None,
    /// The palette of 16.
    Ansi16,
    /// The palette, the cube and the greys.
    Indexed256,
    /// All.
    True,
}

/// Terminals that have all colours, whether or not they say so by COLORTERM (ssh does not pass it on).
const TRUE: [&str; 6] = ["direct", "kitty", "ghostty", "alacritty", "wezterm", "foot"];
/// Terminals without colours.
const COLORLESS: [&str; 6] = ["dumb", "vt52", "vt100", "vt102", "vt220", "vt320"];

impl Depth {
    /// What the environment says of the terminal; `variable` gives a variable's value.
    pub fn detect(variable: impl Fn(&str) -> Option<String>) -> Self {
        let value = |name: &str| variable(name).unwrap_or_default().to_ascii_lowercase();
        let term = value("TERM");
        if !value("NO_COLOR").is_empty() || COLORLESS.contains(&term.as_str()) || term.ends_with("-mono") {
            return Depth::None;
        }
        // GNU screen passes COLORTERM on from outside, but not the colours.
        let screen = term.starts_with("screen") && value("TMUX").is_empty();
        let says_true = !screen && matches!(value("COLORTERM").as_str(), "truecolor" | "24bit");
        if says_true || TRUE.iter().any(|name| term.contains(name)) {
            Depth::True
        } else if term.contains("256") {
            Depth::Indexed256
        } else {
            Depth::Ansi16
        }
    }
}

impl Color {
    /// One of the sixteen, or `default`, by its name.
    pub(super) fn named(name: &str) -> Option<Self> {
        if name == "default" {
            return Some(Color::Default);
        }
        (0u8..).zip(NAMES).find(|(_, known)| *known == name).map(|(index, _)| Color::Ansi(index))
    }

    /// The nearest that can be shown; none where there are no colours.
    pub fn at_depth(self, depth: Depth) -> Option<Self> {
        Some(match (self, depth) {
            (_, Depth::None) => return None,
            (Color::Rgb(r, g, b), Depth::Indexed256) => Color::Indexed(nearest_indexed([r, g, b])),
            (Color::Rgb(r, g, b), Depth::Ansi16) => Color::Ansi(nearest_ansi([r, g, b])),
            (Color::Indexed(index), Depth::Ansi16) if index >= 16 => Color::Ansi(nearest_ansi(indexed_rgb(index))),
            (Color::Indexed(index), Depth::Ansi16) => Color::Ansi(index),
            (color, _) => color,
        })
    }
}

/// The steps of the cube of 216 colours.
const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];

/// Red, green and blue of 16 to 255; below that they are the terminal's own affair.
fn indexed_rgb(index: u8) -> [u8; 3] {
    if index >= 232 {
        return [8 + (index - 232) * 10; 3];
    }
    let cube = usize::from(index.saturating_sub(16));
    [cube / 36, cube / 6 % 6, cube % 6].map(|step| STEPS.get(step).copied().unwrap_or_default())
}

/// Nearest of 16 to 255.
fn nearest_indexed(rgb: [u8; 3]) -> u8 {
    (16..=255u8).min_by_key(|index| distance(rgb, indexed_rgb(*index))).unwrap_or(16)
}

/// Distance with the weights of the eye.
fn distance(a: [u8; 3], b: [u8; 3]) -> u32 {
    let mut sum = 0;
    for ((a, b), weight) in a.into_iter().zip(b).zip([3, 6, 1]) {
        sum += weight * u32::from(a.abs_diff(b)).pow(2);
    }
    sum
}

/// Nearest of the palette by hue: its true colours are unknown, and by distance every pastel would come out grey.
fn nearest_ansi([r, g, b]: [u8; 3]) -> u8 {
    let (max, min) = (r.max(g).max(b), r.min(g).min(b));
    let range = max - min;
    if max < 64 || u32::from(range) * 4 <= u32::from(max) {
        return match u16::midpoint(max.into(), min.into()) {
            0..64 => 0,
            64..144 => 8,
            144..216 => 7,
            _ => 15,
        };
    }
    // The sixths of the circle, around red, yellow, green, cyan, blue and magenta.
    let (r, g, b, range) = (i32::from(r), i32::from(g), i32::from(b), i32::from(range));
    let max = i32::from(max);
    let degrees = if max == r {
        (60 * (g - b) / range).rem_euclid(360)
    } else if max == g {
        60 * (b - r) / range + 120
    } else {
        60 * (r - g) / range + 240
    };
    let hue = match degrees {
        25..75 => 3,
        75..150 => 2,
        150..210 => 6,
        210..250 => 4,
        250..335 => 5,
        _ => 1,
    };
    if max >= 192 { hue + 8 } else { hue }
}
