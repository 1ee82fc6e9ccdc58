//! The inbox: what waits, and the whole request of the chosen question.

use ratatui::layout::Rect;

use crate::config::theme::Role;
use crate::model::question::{OF_APPROVAL, QuestionBody, QuestionView};
use crate::model::state::TaskKind;
use crate::tui::action::Action;
use crate::tui::app::{App, Link};
use crate::tui::text::cut;
use crate::tui::text::harmless::tamed;

use super::brush::Brush;
use super::{footer, states};

/// Lines of a question in the list.
pub const ROWS: usize = 2;
/// Lines above the request: whose it is, and what becomes of it.
pub const ABOVE: u16 = 2;

/// Where its parts stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Areas {
    /// The list with its border.
    pub list: Option<Rect>,
    /// The request with its border.
    pub request: Option<Rect>,
}

impl Areas {
    /// The request's lines: inside its border, below what is told about it.
    pub fn request_inner(&self) -> Rect {
        let area = self.request.unwrap_or_default();
        Rect {
            x: area.x.saturating_add(2),
            y: area.y.saturating_add(1 + ABOVE),
            width: area.width.saturating_sub(3),
            height: area.height.saturating_sub(2 + ABOVE),
        }
    }
}

/// Its parts within the area between the top and the bottom line. Messages stand below, so that they cover nothing of a request.
pub fn areas(app: &App, main: Rect) -> Areas {
    let toasts = states::toasts_height(app, main).min(main.height.saturating_sub(10));
    let main = Rect { height: main.height - toasts, ..main };
    if !app.is_wide() {
        let shown = Some(main);
        return if app.inbox.reads { Areas { list: None, request: shown } } else { Areas { list: shown, request: None } };
    }
    let width = (main.width * 2 / 5).clamp(30, 70);
    Areas { list: Some(Rect { width, ..main }), request: Some(Rect { x: main.x + width, width: main.width - width, ..main }) }
}

/// Draws it.
pub fn draw(app: &App, parts: Areas, brush: &mut Brush<'_>) {
    if let Some(area) = parts.list {
        draw_list(app, area, brush);
    }
    if let Some(area) = parts.request {
        draw_request(app, area, parts.request_inner(), brush);
    }
}

/// The first question that the list shows.
pub fn first(app: &App, area: Rect) -> usize {
    let rows = rows(area);
    app.inbox.place().saturating_sub(rows.saturating_sub(1))
}

fn rows(area: Rect) -> usize {
    usize::from(area.height.saturating_sub(2)) / ROWS
}

fn draw_list(app: &App, area: Rect, brush: &mut Brush<'_>) {
    let has_keys = !app.inbox.reads && app.editor.is_none();
    brush.border(area, "Inbox", &count(app), has_keys);
    let inner = Rect { x: area.x + 1, y: area.y + 1, width: area.width.saturating_sub(2), height: area.height.saturating_sub(2) };
    if app.inbox.questions.is_empty() {
        return states::lines(brush, inner, &nothing(app));
    }
    for (line, question) in app.inbox.questions.iter().skip(first(app, area)).take(rows(area)).enumerate() {
        let y = inner.y + u16::try_from(line * ROWS).unwrap_or(0);
        let row = Rect { y, height: 2, ..inner };
        draw_question(app, question, row, brush);
        if Some(question.id) == app.inbox.chosen {
            let role = if has_keys { Role::Selection } else { Role::SelectionUnfocused };
            brush.restyle(row, role);
            let sign = brush.look.pick("›", ">");
            brush.put_styled(inner.x, y, inner.right(), sign, brush.style(role));
        }
    }
}

/// Which one of how many; those beyond the first page are counted too.
fn count(app: &App) -> String {
    let known = app.inbox.questions.len();
    let all = usize::try_from(app.mirror.overview.questions).unwrap_or(usize::MAX).max(known);
    if known == 0 { String::new() } else { format!("{}/{all}", app.inbox.place() + 1) }
}

/// Why there is nothing in the list.
fn nothing(app: &App) -> Vec<(String, Role)> {
    if let Link::Down { .. } = &app.link {
        return states::link_lines(app);
    }
    if let Some(failure) = &app.inbox.failure {
        return vec![("what waits could not be read; it is tried again".to_owned(), Role::Warning), (tamed(failure), Role::Dim)];
    }
    if !app.inbox.is_known {
        return vec![("reading".to_owned(), Role::Dim)];
    }
    let back = app.look.keys(Action::InboxBack);
    vec![
        ("Nothing waits for you.".to_owned(), Role::Text),
        (String::new(), Role::Text),
        ("A Claude task asks here before it uses a tool that it may not use yet, when its file says".to_owned(), Role::Dim),
        ("  permissions: ask".to_owned(), Role::Code),
        ("An approval of a job (approve: Merge it?) waits here too.".to_owned(), Role::Dim),
        (String::new(), Role::Text),
        (format!("{back} goes back"), Role::Dim),
    ]
}

fn draw_question(app: &App, question: &QuestionView, area: Rect, brush: &mut Brush<'_>) {
    let is_approval = matches!(question.body, QuestionBody::Approval { .. });
    let (sign, role) = app.look.sign(if is_approval { TaskKind::AwaitingApproval } else { TaskKind::AwaitingInput });
    let x = brush.put(area.x + 1, area.y, area.right(), sign, role);
    let age = if app.inbox.sent.contains(&question.id) { "sent".to_owned() } else { footer::ago(app, question.asked) };
    let end = brush.put_right(x + 1, area.y, area.right().saturating_sub(1), &age, Role::Dim);
    let name = format!("{}/{}", question.job, tamed(&question.task));
    let room = usize::from(end.saturating_sub(x + 2));
    brush.put(x + 1, area.y, end, &cut::middle(&name, room, brush.look.dots()), Role::Strong);
    // What becomes of it by itself is never cut; the request is there in full beside.
    let then = expiry(app, question);
    let then = if then.is_empty() { then } else { format!("{then}  ") };
    let x = brush.put(area.x + 3, area.y + 1, area.right(), &then, Role::Warning);
    // What a line can hold of it: a request may be large.
    let line: String = question.body.line().chars().take(usize::from(area.width)).collect();
    let line = tamed(&line);
    let room = usize::from(area.right().saturating_sub(x + 1));
    brush.put(x, area.y + 1, area.right(), &cut::end(&line, room, brush.look.dots()), Role::Dim);
}

/// What it is answered by itself, and when.
fn expiry(app: &App, question: &QuestionView) -> String {
    let Some(at) = question.expires else { return String::new() };
    format!("{} at {}", question.by_default(), app.time(at))
}

fn draw_request(app: &App, area: Rect, inner: Rect, brush: &mut Brush<'_>) {
    let has_keys = app.inbox.reads && app.editor.is_none();
    let Some(question) = app.inbox.question() else {
        brush.border(area, "Request", "", has_keys);
        let text = Rect { x: area.x + 1, y: area.y + 1, height: area.height.saturating_sub(2), ..inner };
        // On a narrow screen the list with its words is not there.
        if !app.is_wide() {
            states::lines(brush, text, &nothing(app));
        }
        return;
    };
    let of = if question.attempt == OF_APPROVAL { "approval".to_owned() } else { format!("attempt {}", question.attempt) };
    let title = format!("{}/{} {of}", question.job, tamed(&question.task));
    brush.border(area, &title, &count(app), has_keys);
    let x = brush.put(area.x + 2, area.y + 1, area.right() - 1, &format!("asked {}", app.time(question.asked)), Role::Dim);
    let then = match (app.inbox.sent.contains(&question.id), expiry(app, question)) {
        (true, _) => "your answer is on its way".to_owned(),
        (false, then) if then.is_empty() => "waits until somebody answers".to_owned(),
        (false, then) => format!("{then} if nobody answers"),
    };
    brush.put(x + 2, area.y + 1, area.right() - 1, &then, Role::Warning);
    let shown = app.inbox.shown();
    for (y, line) in (inner.y..inner.bottom()).zip(app.inbox.laid.lines.iter().skip(app.inbox.top).take(shown)) {
        let mark = if line.mark == brush.look.pick("↳ ", "\\ ") { Role::Dim } else { line.role };
        let x = brush.put(inner.x, y, inner.right(), line.mark, mark);
        brush.put(x, y, inner.right(), &line.text, line.role);
    }
    draw_rest(app, inner, brush);
}

/// What of the request is not on the screen: whoever answers without having seen it should know.
fn draw_rest(app: &App, inner: Rect, brush: &mut Brush<'_>) {
    if app.inbox.laid.lines.len() <= usize::from(inner.height) || inner.height == 0 {
        return;
    }
    let y = inner.bottom() - 1;
    let lines = |count: usize| if count == 1 { "1 line".to_owned() } else { format!("{count} lines") };
    let key = app.look.keys(Action::InboxPageDown);
    match app.inbox.below() {
        0 => brush.put(inner.x, y, inner.right(), "  the end of the request", Role::Dim),
        below => {
            let sign = brush.look.pick("▼ ", "v ");
            brush.put(inner.x, y, inner.right(), &format!("{sign}more below: {} ({key})", lines(below)), Role::Warning)
        }
    };
}
