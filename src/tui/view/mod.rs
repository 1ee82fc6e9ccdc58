//! What the app looks like: a function of the app and the area. It reads nothing, waits for nothing and changes nothing.

pub mod areas;
mod brush;
mod dialog;
mod editor;
mod events;
pub mod footer;
mod graph;
mod header;
pub mod inbox;
pub mod info;
mod instances;
pub mod output;
pub mod pane;
mod states;
mod tree;
pub mod usage;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::config::theme::Role;

use super::app::{App, Link};
use brush::Brush;

/// Draws everything. The place of the terminal's cursor, when it is to be seen.
pub fn draw(app: &App, area: Rect, buffer: &mut Buffer) -> Option<(u16, u16)> {
    let mut brush = Brush::new(buffer, &app.look);
    brush.fill(area, Role::Text);
    let areas = areas::areas_in(app, area);
    if areas.too_small {
        states::too_small(&mut brush, area);
        return None;
    }
    if app.editor.is_some() {
        header::draw(app, areas.header, &mut brush);
        let cursor = editor::draw(app, areas.main, &mut brush);
        footer::draw(app, areas.footer_or_end(area), &mut brush);
        // Above what the check says: both are about the text.
        let text = Rect { height: areas.main.height.saturating_sub(editor::BELOW), ..areas.main };
        states::toasts(app, text, &mut brush);
        return cursor;
    }
    header::draw(app, areas.header, &mut brush);
    if app.inbox.is_open {
        inbox::draw(app, areas.inbox, &mut brush);
    }
    if let Some(area) = areas.tree {
        tree::draw(app, area, &mut brush);
    }
    if let Some(area) = areas.pane {
        pane::draw(app, area, &mut brush);
    }
    // What is shown may have changed since: everything but the line that says so is faint.
    if matches!(app.link, Link::Down { .. }) && !app.mirror.jobs.is_empty() {
        brush.restyle(areas.main, Role::Stale);
    }
    let cursor = footer::draw(app, areas.footer_or_end(area), &mut brush);
    // Where requests are read, messages stand below them instead of over them.
    let below = Rect { height: areas.main.height + u16::from(app.inbox.is_open), ..areas.main };
    states::toasts(app, below, &mut brush);
    if app.dialog.is_some() {
        return dialog::draw(app, areas.main, &mut brush);
    }
    cursor
}
