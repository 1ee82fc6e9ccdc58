//! The graph: nodes with their states, and the lines between them.

use ratatui::layout::Rect;

use crate::config::theme::Role;
use crate::model::state::{Counts, TaskKind};
use crate::tui::app::App;
use crate::tui::app::graph::{BAR, label};
use crate::tui::data::mirror::Loaded;
use crate::tui::text::cut;

use super::brush::{Brush, bar};
use super::states;

/// Draws it.
pub fn draw(app: &App, area: Rect, is_focused: bool, brush: &mut Brush<'_>) {
    let Some(job) = app.pane.subject.and_then(|subject| app.mirror.job(subject.job)) else { return };
    let view = &app.pane.graph;
    if job.loaded != Loaded::All {
        return states::Lines::dim("reading".to_owned()).draw(brush, area);
    }
    let Some(layout) = &view.layout else { return };
    let (corner_x, corner_y) = view.corner;
    let place = |x: u32, y: u32| {
        let column = x.checked_sub(corner_x).and_then(|x| u16::try_from(x).ok()).filter(|x| *x < area.width)?;
        let line = y.checked_sub(corner_y).and_then(|y| u16::try_from(y).ok()).filter(|y| *y < area.height)?;
        Some((area.x + column, area.y + line))
    };
    for edge in layout.visible(corner_x, corner_y, area.width, area.height) {
        let Some((x, y)) = place(edge.x, edge.y) else { continue };
        let touches = view.chosen.is_some_and(|chosen| layout.touches(&edge, chosen));
        let role = if touches { Role::EdgeSelected } else { Role::Edge };
        brush.put(x, y, area.right(), edge.symbol.encode_utf8(&mut [0; 4]), role);
    }
    for node in layout.nodes_in(corner_x, corner_y, area.width, area.height) {
        let (Some(spot), Some(member)) = (layout.nodes.get(node), view.members.get(node)) else { continue };
        let Some(y) = spot.y.checked_sub(corner_y).and_then(|y| u16::try_from(y).ok()).filter(|y| *y < area.height) else {
            continue;
        };
        // A node that begins to the left of the screen is shown from where it enters it.
        let room = usize::from(spot.width);
        let (label, shows_bar) = label(member, room, brush.look.unicode);
        let hidden = corner_x.saturating_sub(spot.x);
        let x = u16::try_from(spot.x.saturating_sub(corner_x)).unwrap_or(u16::MAX);
        let skip = cut::head(&label, hidden as usize).len();
        let start = area.x.saturating_add(x);
        let is_given_up = matches!(member.kind, TaskKind::Skipped | TaskKind::UpstreamFailed);
        let role = if is_given_up { Role::Dim } else { Role::Text };
        let end = brush.put(start, area.y + y, area.right(), &label[skip..], role);
        if let Some(counts) = member.instances.filter(|_| hidden == 0 && shows_bar) {
            let at = start.saturating_add(u16::try_from(room - BAR).unwrap_or(u16::MAX));
            draw_bar(&counts, at, area.y + y, end, brush);
        }
        if hidden == 0 {
            let (sign, role) = app.look.sign(member.kind);
            brush.put(start, area.y + y, area.right(), sign, role);
        }
        if view.chosen == Some(node) {
            let role = if is_focused { Role::Selection } else { Role::SelectionUnfocused };
            brush.restyle(Rect { x: start, y: area.y + y, width: end.saturating_sub(start), height: 1 }, role);
        }
    }
}

/// The bar of a mapped task's instances.
fn draw_bar(counts: &Counts, x: u16, y: u16, end: u16, brush: &mut Brush<'_>) {
    let done = counts.of(TaskKind::Completed);
    let (full, missed, rest) =
        bar(done.into(), (counts.terminal() - done).into(), counts.total().into(), BAR, brush.look.unicode);
    let x = brush.put(x, y, end, &full, Role::Gauge);
    let x = brush.put(x, y, end, &missed, Role::Bad);
    brush.put(x, y, end, &rest, Role::GaugeRest);
}
