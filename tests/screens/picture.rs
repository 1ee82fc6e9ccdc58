//! A buffer as text: its cells, and below them which ones are styled and how.

use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier};
use unicode_width::UnicodeWidthStr;

/// A row's text, without what wide characters cover.
pub fn row(buffer: &Buffer, area: Rect, y: u16) -> String {
    let mut text = String::new();
    let mut x = area.left();
    while x < area.right() {
        let symbol = buffer[(x, y)].symbol();
        text.push_str(symbol);
        x += u16::try_from(symbol.width().max(1)).unwrap();
    }
    text.trim_end().to_owned()
}

pub fn text(buffer: &Buffer, area: Rect) -> String {
    (area.top()..area.bottom()).map(|y| row(buffer, area, y) + "\n").collect()
}

/// A cell's style in words, as themes are written; empty when it has none.
pub fn style(cell: &Cell) -> String {
    let mut words: Vec<String> = Vec::new();
    if cell.fg != Color::Reset {
        words.push(color(cell.fg));
    }
    if cell.bg != Color::Reset {
        words.push(format!("on {}", color(cell.bg)));
    }
    for (modifier, word) in [
        (Modifier::BOLD, "bold"),
        (Modifier::DIM, "dim"),
        (Modifier::ITALIC, "italic"),
        (Modifier::UNDERLINED, "underline"),
        (Modifier::REVERSED, "reverse"),
        (Modifier::CROSSED_OUT, "strikethrough"),
    ] {
        if cell.modifier.contains(modifier) {
            words.push(word.to_owned());
        }
    }
    words.join(" ")
}

fn color(color: Color) -> String {
    let name = format!("{color:?}");
    match color {
        Color::Rgb(r, g, b) => format!("#{r:02x}{g:02x}{b:02x}"),
        Color::Indexed(number) => format!("color{number}"),
        // `DarkGray` as `dark-gray`.
        _ => {
            let mut words = String::new();
            for character in name.chars() {
                if character.is_uppercase() && !words.is_empty() {
                    words.push('-');
                }
                words.extend(character.to_lowercase());
            }
            words
        }
    }
}

/// The text, then for each row the runs of styled cells: `3-9 red bold`. Rows that are alike are told once.
pub fn whole(buffer: &Buffer, area: Rect) -> String {
    let mut page = text(buffer, area);
    page.push_str("--\n");
    let rows: Vec<String> = (area.top()..area.bottom()).map(|y| runs(buffer, area, y)).collect();
    let mut first = 0;
    while first < rows.len() {
        let mut last = first;
        while last + 1 < rows.len() && rows[last + 1] == rows[first] {
            last += 1;
        }
        if !rows[first].is_empty() {
            let place = if first == last { first.to_string() } else { format!("{first}-{last}") };
            page.push_str(&format!("{place}: {}\n", rows[first]));
        }
        first = last + 1;
    }
    page
}

fn runs(buffer: &Buffer, area: Rect, y: u16) -> String {
    let mut runs: Vec<(u16, u16, String)> = Vec::new();
    for x in area.left()..area.right() {
        let style = style(&buffer[(x, y)]);
        match runs.last_mut() {
            Some((_, end, same)) if *same == style => *end = x,
            _ => runs.push((x, x, style)),
        }
    }
    let told = runs
        .into_iter()
        .filter(|(_, _, style)| !style.is_empty())
        .map(|(from, to, style)| if from == to { format!("{from} {style}") } else { format!("{from}-{to} {style}") });
    told.collect::<Vec<_>>().join(", ")
}

/// What is wrong with the cells, if anything: nothing in them may act on a terminal or take another room than it says.
pub fn faults(buffer: &Buffer, area: Rect) -> Vec<String> {
    let mut faults = Vec::new();
    for y in area.top()..area.bottom() {
        for x in area.left()..area.right() {
            let symbol = buffer[(x, y)].symbol();
            if symbol.chars().any(acts) {
                faults.push(format!("{x},{y} holds {symbol:?}, which acts on a terminal"));
            }
            let width = symbol.width();
            if width > 2 || x + u16::try_from(width).unwrap() > area.right() {
                faults.push(format!("{x},{y} holds {symbol:?}, which does not fit"));
            }
        }
    }
    faults
}

/// Controls, and what shows nothing and reorders or hides other characters.
fn acts(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}
