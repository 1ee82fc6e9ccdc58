//! What happened to a job or a task.

use ratatui::layout::Rect;

use crate::config::theme::Role;
use crate::model::change::{Change, mapped_state};
use crate::model::message::EventView;
use crate::model::said::{said, went_to};
use crate::model::state::Outcome;
use crate::tui::app::App;
use crate::tui::data::row::NONE;
use crate::tui::text::cut;
use crate::tui::text::harmless::tamed;

use super::brush::Brush;
use super::states;

/// Draws them, the last at the bottom.
pub fn draw(app: &App, area: Rect, brush: &mut Brush<'_>) {
    let Some((_, events)) = &app.pane.events else {
        return states::Lines::dim("reading".to_owned()).draw(brush, area);
    };
    if events.is_empty() {
        return states::Lines::dim("nothing happened yet".to_owned()).draw(brush, area);
    }
    let height = usize::from(area.height);
    let end = events.len().saturating_sub(app.pane.events_top);
    let start = end.saturating_sub(height);
    let names = app.pane.subject.is_some_and(|subject| subject.task == NONE);
    for (line, event) in events[start..end].iter().enumerate() {
        let y = area.y + u16::try_from(line).unwrap_or(0);
        let x = brush.put(area.x + 1, y, area.right(), &app.time(event.event.at), Role::Dim);
        let mut x = brush.put(x, y, area.right(), "  ", Role::Text);
        if let Some(task) = event.task.as_ref().filter(|_| names) {
            x = brush.put(x, y, area.right(), &format!("{}  ", cut::middle(task, 24, brush.look.dots())), Role::Strong);
        }
        let (text, role) = words(app, event);
        let text = cut::end(&tamed(&text), usize::from(area.right().saturating_sub(x)), brush.look.dots()).into_owned();
        brush.put(x, y, area.right(), &text, role);
    }
}

/// An event in words.
fn words(app: &App, event: &EventView) -> (String, Role) {
    let signed = |kind, text: String| {
        let (sign, role) = app.look.sign(kind);
        (format!("{sign} {text}"), role)
    };
    match &event.event.change {
        Change::JobSubmitted { .. } => ("submitted".to_owned(), Role::Text),
        Change::TaskAdded { origin: None, .. } => ("added with the file".to_owned(), Role::Dim),
        Change::TaskAdded { .. } => ("queued at run time".to_owned(), Role::Accent),
        Change::TaskMoved { state, .. } => signed(state.kind(), went_to(state)),
        Change::TaskEnded { state, .. } => signed(state.kind(), said(&event.event.change).unwrap_or_default()),
        Change::TaskExpanded { items, .. } => signed(mapped_state(items).kind(), said(&event.event.change).unwrap_or_default()),
        Change::TaskRequeued { .. } => ("requeued by a person".to_owned(), Role::Accent),
        Change::AttemptOpened { attempt, pool, .. } => (format!("attempt {} opened in pool {pool}", attempt.number), Role::Dim),
        Change::AttemptStarted { attempt } => (format!("attempt {} started", attempt.number), Role::Busy),
        Change::AttemptClosed { attempt, outcome, .. } => {
            let role = if *outcome == Outcome::Succeeded { Role::Good } else { Role::Bad };
            (format!("attempt {}: {}", attempt.number, outcome.sentence()), role)
        }
        Change::AttemptStale { attempt, what } => (format!("late news of attempt {}: {what}", attempt.number), Role::Warning),
        Change::ResultSet { .. } => ("result set".to_owned(), Role::Text),
        Change::ProgressSet { progress, .. } => {
            let total = progress.total.map(|total| format!("/{total}")).unwrap_or_default();
            (format!("progress {}{total} {}", progress.done, progress.text.as_deref().unwrap_or_default()), Role::Dim)
        }
        Change::OutboxRefused { why, .. } => (format!("refused: {why}"), Role::Warning),
        Change::JobMoved { state, .. } => (format!("the job is {}", state.word()), Role::Strong),
        Change::JobPaused { paused, .. } => ((if *paused { "paused by a person" } else { "resumed" }).to_owned(), Role::Accent),
        Change::JobStopped { stopped, .. } => {
            ((if *stopped { "stopped after a failure" } else { "goes on after a requeue" }).to_owned(), Role::Warning)
        }
        Change::AllPaused { paused } => {
            ((if *paused { "everything paused" } else { "everything resumed" }).to_owned(), Role::Accent)
        }
        Change::RunSeen { .. } => (said(&event.event.change).unwrap_or_default(), Role::Dim),
        other => (said(other).unwrap_or_default(), Role::Accent),
    }
}
