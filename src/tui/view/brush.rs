//! Writing into the buffer, clipped and styled by role.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::config::theme::Role;
use crate::tui::app::look::Look;
use crate::tui::text::cut;

/// The buffer with the look.
pub struct Brush<'a> {
    /// Where it is written.
    pub buffer: &'a mut Buffer,
    /// How.
    pub look: &'a Look,
}

impl<'a> Brush<'a> {
    /// For a buffer.
    pub fn new(buffer: &'a mut Buffer, look: &'a Look) -> Brush<'a> {
        Brush { buffer, look }
    }

    /// The role's style.
    pub fn style(&self, role: Role) -> Style {
        self.look.style(role)
    }

    /// Blanks in a role's style.
    pub fn fill(&mut self, area: Rect, role: Role) {
        let style = self.style(role);
        let area = area.intersection(self.buffer.area);
        for y in area.top()..area.bottom() {
            for x in area.left()..area.right() {
                let cell = &mut self.buffer[(x, y)];
                cell.reset();
                cell.set_style(style);
            }
        }
    }

    /// Another style over what is there.
    pub fn restyle(&mut self, area: Rect, role: Role) {
        let style = self.style(role);
        self.buffer.set_style(area.intersection(self.buffer.area), style);
    }

    /// Text at a place, at most up to `end`; the column after it. The text is harmless already.
    pub fn put(&mut self, x: u16, y: u16, end: u16, text: &str, role: Role) -> u16 {
        let style = self.style(role);
        self.put_styled(x, y, end, text, style)
    }

    /// As [`Brush::put`], in a style of its own.
    pub fn put_styled(&mut self, x: u16, y: u16, end: u16, text: &str, style: Style) -> u16 {
        let end = end.min(self.buffer.area.right());
        if x >= end || y >= self.buffer.area.bottom() || y < self.buffer.area.top() {
            return x.min(end);
        }
        self.buffer.set_stringn(x, y, text, usize::from(end - x), style).0
    }

    /// Text that ends at `end` and does not begin before `start`; where it begins.
    pub fn put_right(&mut self, start: u16, y: u16, end: u16, text: &str, role: Role) -> u16 {
        let width = u16::try_from(cut::width(text)).unwrap_or(u16::MAX);
        let x = end.saturating_sub(width).max(start);
        self.put(x, y, end, text, role);
        x
    }

    /// A border with a title.
    pub fn border(&mut self, area: Rect, title: &str, right: &str, is_focused: bool) {
        if area.width < 2 || area.height < 2 {
            return;
        }
        let role = if is_focused { Role::BorderFocused } else { Role::Border };
        let [left_top, right_top, left_bottom, right_bottom, across, down] =
            if self.look.unicode { ["╭", "╮", "╰", "╯", "─", "│"] } else { ["+", "+", "+", "+", "-", "|"] };
        let (end, bottom) = (area.right() - 1, area.bottom() - 1);
        for x in area.x + 1..end {
            self.put(x, area.y, area.right(), across, role);
            self.put(x, bottom, area.right(), across, role);
        }
        for y in area.y + 1..bottom {
            self.put(area.x, y, area.right(), down, role);
            self.put(end, y, area.right(), down, role);
        }
        self.put(area.x, area.y, area.right(), left_top, role);
        self.put(end, area.y, area.right(), right_top, role);
        self.put(area.x, bottom, area.right(), left_bottom, role);
        self.put(end, bottom, area.right(), right_bottom, role);
        let right_width = if right.is_empty() { 0 } else { u16::try_from(cut::width(right)).unwrap_or(0) + 3 };
        if !title.is_empty() {
            let room = usize::from(area.width.saturating_sub(5).saturating_sub(right_width));
            let title = cut::middle(title, room, self.look.dots()).into_owned();
            let x = self.put(area.x + 1, area.y, end, " ", role);
            let x = self.put(x, area.y, end, &title, Role::Title);
            self.put(x, area.y, end, " ", role);
        }
        if !right.is_empty() && right_width + 4 < area.width {
            let x = end.saturating_sub(right_width);
            self.put(x, area.y, end, &format!(" {right} "), role);
        }
    }
}

/// A bar of so many cells: what is done (eighths where there is Unicode), what is over and will not be, and the rest.
pub fn bar(done: u64, lost: u64, all: u64, cells: usize, unicode: bool) -> (String, String, String) {
    if all == 0 || cells == 0 {
        return (String::new(), String::new(), " ".repeat(cells));
    }
    let eighths = |part: u64| usize::try_from(u128::from(part.min(all)) * (cells as u128) * 8 / u128::from(all)).unwrap_or(0);
    let (full, part) = (eighths(done) / 8, if unicode { eighths(done) % 8 } else { 0 });
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let filled = full + usize::from(part > 0);
    // What failed shows in a cell of its own at least, where there is one left.
    let over = (eighths(done.saturating_add(lost)) / 8).max(filled + usize::from(lost > 0)).min(cells);
    let (block, shade, empty) = if unicode { ("█", "▒", " ") } else { ("#", "x", ".") };
    (
        format!("{}{}", block.repeat(full), PARTS[part]),
        if lost > 0 { shade.repeat(over - filled.min(over)) } else { String::new() },
        empty.repeat(cells - if lost > 0 { over.max(filled) } else { filled }),
    )
}

#[cfg(test)]
mod bar_tests {
    use super::bar;

    #[test]
    fn a_bar_has_its_cells_whatever_part_is_done_or_lost() {
        for all in [0, 1, 3, 8, 1_000] {
            for done in 0..=all.min(20) {
                for lost in 0..=(all - done).min(20) {
                    for unicode in [true, false] {
                        let (full, missed, rest) = bar(done, lost, all, 8, unicode);
                        assert_eq!((full + &missed + &rest).chars().count(), 8, "{done} {lost} {all}");
                        assert!(lost == 0 || done == all || !missed.is_empty(), "what failed shows: {done} {lost} {all}");
                    }
                }
            }
        }
        assert_eq!(bar(3, 0, 3, 4, true), ("████".to_owned(), String::new(), String::new()));
        assert_eq!(bar(2, 1, 3, 6, false), ("####".to_owned(), "xx".to_owned(), String::new()));
    }
}
