//! The top line: where one is, what goes on, what it costs.

use ratatui::layout::Rect;

use crate::config::theme::Role;
use crate::model::state::TaskKind;
use crate::tui::app::{App, Leaving, Link};
use crate::tui::text::cut;

use super::brush::Brush;
use super::usage;

/// How many schedules there are, and when the next one is due.
pub(super) fn scheduled(app: &App) -> Option<(String, Role)> {
    let overview = &app.mirror.overview;
    let next = overview.next_due.map_or_else(String::new, |at| format!(", next {}", app.time(at)));
    (overview.schedules > 0).then(|| (format!("{} scheduled{next}", overview.schedules), Role::Text))
}

/// Draws it.
pub fn draw(app: &App, area: Rect, brush: &mut Brush<'_>) {
    brush.fill(area, Role::Header);
    let end = area.right();
    let x = brush.put(area.x, area.y, end, " airx  ", Role::Title);
    let totals = app.mirror.totals();
    let mut parts: Vec<(String, Role)> = Vec::new();
    let mut count = |kind: TaskKind, count: u32, word: &str, always: bool| {
        if count > 0 || always {
            let (sign, role) = app.look.sign(kind);
            parts.push((format!("{sign} {count} {word}"), role));
        }
    };
    // What a person has to do something about comes first, and is the last to go when room is scarce.
    let (asking, approvals) = (totals.of(TaskKind::AwaitingInput), totals.of(TaskKind::AwaitingApproval));
    let waiting_for = asking + approvals;
    count(TaskKind::AwaitingInput, waiting_for, if waiting_for == 1 { "waits for you" } else { "wait for you" }, false);
    count(TaskKind::Failed, totals.of(TaskKind::Failed), "failed", false);
    count(TaskKind::Held, totals.of(TaskKind::Held), "held", false);
    count(TaskKind::Running, totals.live() - asking, "running", true);
    // What a person stopped is no load.
    let paused = app.mirror.paused_tasks();
    let waiting = (totals.of(TaskKind::Queued) + totals.of(TaskKind::Pending)).saturating_sub(paused);
    count(TaskKind::Queued, waiting, "waiting", true);
    count(TaskKind::Queued, paused, "paused", false);
    count(TaskKind::Completed, totals.of(TaskKind::Completed), "done", false);
    parts.extend(scheduled(app));
    // A hold stands beside what has to be done about it; windows and money are the first to go, money before the others.
    let after = usize::from(waiting_for > 0);
    parts.splice(after..after, usage::holds(app));
    parts.extend(usage::windows(app));
    parts.extend(usage::today(app));
    let mut alarms: Vec<(String, Role)> = Vec::new();
    if app.read_only.is_some() {
        let key = app.look.keys(crate::tui::action::Action::Messages);
        alarms.push((format!("read-only ({key})"), Role::Warning));
    }
    match (&app.link, app.leaving) {
        (Link::Down { since, .. }, _) => alarms.push((format!("as of {}", app.time(*since)), Role::Warning)),
        (_, Some(Leaving::Wait)) => alarms.push(("leaves when all is over".to_owned(), Role::Warning)),
        (_, Some(Leaving::Cancel)) => alarms.push(("cancelling, then leaves".to_owned(), Role::Warning)),
        _ => {}
    }
    if app.mirror.overview.paused {
        alarms.push(("all paused".to_owned(), Role::Warning));
    }
    let warnings = app.mirror.overview.warnings.len() + app.look.faults.len();
    if warnings > 0 {
        let key = app.look.keys(crate::tui::action::Action::Messages);
        let word = if warnings == 1 { "warning" } else { "warnings" };
        alarms.push((format!("{warnings} {word} ({key})"), Role::Warning));
    }
    alarms.append(&mut parts);
    let mut left = x;
    for (text, role) in alarms {
        let width = u16::try_from(cut::width(&text)).unwrap_or(u16::MAX);
        if left.saturating_add(width).saturating_add(1) > end {
            break;
        }
        left = brush.put(left, area.y, end, &text, role);
        left = brush.put(left, area.y, end, "  ", Role::Header);
    }
    let room = usize::from(end.saturating_sub(left).saturating_sub(2));
    if room >= 8 {
        let home = cut::middle(&app.home, room, brush.look.dots()).into_owned();
        brush.put_right(left, area.y, end - 1, &home, Role::Dim);
    }
}
