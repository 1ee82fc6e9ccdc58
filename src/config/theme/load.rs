//! Themes from files: read, checked, laid over one another.

use std::collections::HashMap;

use super::color::NAMES;
use super::{Color, Role, Style, Theme};
use crate::config::layers::{Family, Faults, Layer, inside, place, quoted, words};
use crate::model::diagnostic::Diagnostic;
use crate::model::yaml::{Node, Value};

/// Words of a style that are no colours.
const MODIFIERS: [&str; 6] = ["bold", "dim", "italic", "underline", "reverse", "strikethrough"];

/// A theme by name, with all that is wrong; what is right holds regardless.
///
/// A user's file builds on its `base`, else on the embedded theme of the same name, else on `terminal`.
pub fn load(name: &str, embedded: &[(&str, &str)], user: Option<(&str /*file*/, &str /*text*/)>) -> (Theme, Vec<Diagnostic>) {
    let mut faults = Faults::default();
    let family = Family { kind: "theme", default: "terminal", embedded };
    let layers = family.layers(name, user, &mut faults);
    let files: Vec<Parts> = layers.iter().map(|layer| parts(layer, &mut faults)).collect();
    // Colours first, of all files: a base's roles follow the colours that a user renames.
    let mut colors = HashMap::new();
    for parts in &files {
        read_colors(parts, &mut colors, &mut faults);
    }
    let mut theme = Theme::default();
    for parts in &files {
        read_roles(parts, &colors, &mut theme, &mut faults);
    }
    (theme, faults.into_sorted())
}

/// A file's entries by kind.
struct Parts<'a> {
    file: &'a str,
    colors: Vec<&'a (Node, Node)>,
    roles: Vec<&'a (Node, Node)>,
}

fn parts<'a>(layer: &'a Layer, faults: &mut Faults) -> Parts<'a> {
    let mut parts = Parts { file: &layer.file, colors: Vec::new(), roles: Vec::new() };
    let mut seen: HashMap<&str, u32> = HashMap::new();
    for (key, value) in &layer.entries {
        let name = key.text().unwrap_or_default();
        let into = match name {
            "colors" => &mut parts.colors,
            "roles" => &mut parts.roles,
            _ => {
                let hint = faults.near(name, ["base", "colors", "roles"], "a theme has `base`, `colors` and `roles`");
                faults.add(&layer.file, place(key), format!("a theme has no {}", quoted(name)), hint);
                continue;
            }
        };
        if let Some(first) = seen.insert(name, key.line) {
            faults.add(&layer.file, place(key), format!("`{name}` is already given on line {first}"), "write them as one");
        }
        match &value.value {
            Value::Map(entries) => into.extend(entries),
            Value::Null => {}
            Value::Scalar { .. } | Value::List(_) => {
                let message = format!("`{name}` is a mapping, but this is {}", value.kind());
                faults.add(&layer.file, place(value), message, "write `NAME: …` lines below it");
            }
        }
    }
    parts
}

fn read_colors<'a>(parts: &Parts<'a>, colors: &mut HashMap<&'a str, Color>, faults: &mut Faults) {
    let file = parts.file;
    let mut seen: HashMap<&str, u32> = HashMap::new();
    for (key, value) in &parts.colors {
        let name = key.text().unwrap_or_default();
        if name.is_empty() || name.contains(char::is_whitespace) || name == "on" || MODIFIERS.contains(&name) {
            faults.add(file, place(key), format!("{} cannot be a colour's name", quoted(name)), "choose one other word");
            continue;
        }
        if let Some(first) = seen.get(name) {
            let message = format!("the colour {} is already given on line {first}, which holds", quoted(name));
            faults.add(file, place(key), message, "leave one out");
            continue;
        }
        seen.insert(name, key.line);
        let Some(text) = text_of(file, value, "a colour", faults) else { continue };
        // Only what needs no other name, so that there is no order and no circle.
        match color(text.trim(), &HashMap::new(), &[], faults) {
            Ok(color) => {
                colors.insert(name, color);
            }
            Err(fault) => faults.add(file, place(value), fault.0, fault.1),
        }
    }
}

fn read_roles(parts: &Parts<'_>, colors: &HashMap<&str, Color>, theme: &mut Theme, faults: &mut Faults) {
    let file = parts.file;
    let mut seen: HashMap<&str, u32> = HashMap::new();
    for (key, value) in &parts.roles {
        let name = key.text().unwrap_or_default();
        let Some(role) = Role::ALL.iter().find(|role| role.name() == name) else {
            let hint = faults.near(name, Role::ALL.iter().map(|role| role.name()), "the embedded themes have all roles");
            faults.add(file, place(key), format!("no role is called {}", quoted(name)), hint);
            continue;
        };
        if let Some(first) = seen.get(name) {
            faults.add(
                file,
                place(key),
                format!("the role `{name}` is already given on line {first}, which holds"),
                "leave one out",
            );
            continue;
        }
        seen.insert(name, key.line);
        let Some(text) = text_of(file, value, "a style", faults) else { continue };
        if let Some(style) = style(file, value, text, colors, faults) {
            theme.set(*role, style);
        }
    }
}

fn text_of<'a>(file: &str, node: &'a Node, wanted: &str, faults: &mut Faults) -> Option<&'a str> {
    let text = node.text().filter(|text| !text.trim().is_empty());
    if text.is_none() {
        let hint = if node.value == Value::Null {
            "a text that begins with `#` must stand in quotes; what changes nothing is `default`"
        } else {
            "write for example `cyan bold` or `\"#7aa2f7 on #1a1b26\"`"
        };
        let what = if node.text().is_some() { "nothing" } else { node.kind() };
        faults.add(file, place(node), format!("{wanted} is text, but this is {what}"), hint);
    }
    text
}

/// A style, when all of it is right.
fn style(file: &str, node: &Node, text: &str, colors: &HashMap<&str, Color>, faults: &mut Faults) -> Option<Style> {
    let mut style = Style::default();
    let mut background = false;
    let mut right = true;
    let mut last = 0;
    for (offset, word) in words(text) {
        last = offset;
        if word == "on" && (background || style.bg.is_some()) {
            // What follows it could mean anything.
            faults.add(file, inside(node, offset), "`on` stands here a second time", "leave one out");
            return None;
        }
        let fault = match word {
            "on" => None,
            _ if !background && set_modifier(&mut style, word) => None,
            _ => match color(word, colors, if background { &[] } else { &MODIFIERS }, faults) {
                Err(fault) => Some(fault),
                Ok(color) => set_color(&mut style, color, background).then(|| {
                    let message = format!("{} is a second colour of the text", quoted(word));
                    (message, "the colour behind the text comes after `on`".to_owned())
                }),
            },
        };
        background = word == "on";
        if let Some((message, hint)) = fault {
            faults.add(file, inside(node, offset), message, hint);
            right = false;
        }
    }
    if background {
        let hint = "name a colour after it; what has a ` #` in it must stand in quotes";
        faults.add(file, inside(node, last), "no colour comes after `on`", hint);
        right = false;
    }
    right.then_some(style)
}

/// Sets a colour; true when the text already has one.
fn set_color(style: &mut Style, color: Color, background: bool) -> bool {
    let place = if background { &mut style.bg } else { &mut style.fg };
    place.replace(color).is_some()
}

fn set_modifier(style: &mut Style, word: &str) -> bool {
    let flag = match word {
        "bold" => &mut style.bold,
        "dim" => &mut style.dim,
        "italic" => &mut style.italic,
        "underline" => &mut style.underline,
        "reverse" => &mut style.reverse,
        "strikethrough" => &mut style.strikethrough,
        _ => return false,
    };
    *flag = true;
    true
}

/// A colour, or what is wrong and what to do; `others` are the words besides that could stand here.
fn color(word: &str, colors: &HashMap<&str, Color>, others: &[&'static str], faults: &Faults) -> Result<Color, (String, String)> {
    if let Some(color) = colors.get(word).copied().or_else(|| Color::named(word)) {
        return Ok(color);
    }
    if let Some(digits) = word.strip_prefix('#') {
        return hex(digits).ok_or_else(|| {
            let hint = "write six of 0-9 and a-f after `#`, as in `#7aa2f7`";
            (format!("{} is no colour", quoted(word)), hint.to_owned())
        });
    }
    if word.bytes().all(|byte| byte.is_ascii_digit()) {
        return match word.parse::<u8>() {
            Ok(index @ 0..16) => Ok(Color::Ansi(index)),
            Ok(index) => Ok(Color::Indexed(index)),
            Err(_) => Err((format!("there is no colour {}", quoted(word)), "colours go from 0 to 255".to_owned())),
        };
    }
    let names = NAMES.into_iter().chain(["default"]).chain(colors.keys().copied()).chain(others.iter().copied());
    let hint = faults.near(word, names, "write a colour's name, 0 to 255, or \"#rrggbb\"");
    let what = if others.is_empty() { "is no colour" } else { "is neither a colour nor a modifier" };
    Err((format!("{} {what}", quoted(word)), hint))
}

fn hex(digits: &str) -> Option<Color> {
    if digits.len() != 6 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let [_, r, g, b] = u32::from_str_radix(digits, 16).ok()?.to_be_bytes();
    Some(Color::Rgb(r, g, b))
}
