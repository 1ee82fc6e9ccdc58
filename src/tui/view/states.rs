//! What is shown when there is nothing else: empty, loading, lost, refused.

use ratatui::layout::Rect;

use crate::config::theme::Role;
use crate::tui::action::Action;
use crate::tui::app::toast::{Kind, Toast};
use crate::tui::app::{App, LEAST, Link};
use crate::tui::text::harmless::tamed;
use crate::tui::text::{cut, wrap};

use super::brush::Brush;

/// A screen below the least size.
pub fn too_small(brush: &mut Brush<'_>, area: Rect) {
    let text = format!("airx needs {}x{}, this is {}x{}", LEAST.0, LEAST.1, area.width, area.height);
    for (line, part) in wrap::prose(&text, usize::from(area.width.max(1))).iter().enumerate() {
        let y = area.y.saturating_add(u16::try_from(line).unwrap_or(u16::MAX));
        if y < area.bottom() {
            brush.put(area.x, y, area.right(), part, Role::Text);
        }
    }
}

/// Lines in the middle of an area; the first of each pair is what is typed.
pub fn lines(brush: &mut Brush<'_>, area: Rect, lines: &[(String, Role)]) {
    let width = usize::from(area.width.saturating_sub(4));
    let mut broken: Vec<(String, Role)> = Vec::new();
    for (text, role) in lines {
        if text.is_empty() {
            broken.push((String::new(), *role));
            continue;
        }
        // What stands indented is to be typed as it is.
        if text.starts_with(' ') {
            broken.push((cut::end(text, width, brush.look.dots()).into_owned(), *role));
        } else {
            broken.extend(wrap::prose(text, width).into_iter().map(|part| (part, *role)));
        }
    }
    let top = area.y + area.height.saturating_sub(u16::try_from(broken.len()).unwrap_or(u16::MAX)) / 3;
    for (line, (text, role)) in broken.iter().enumerate() {
        let y = top.saturating_add(u16::try_from(line).unwrap_or(u16::MAX));
        if y < area.bottom() {
            brush.put(area.x + 2, y, area.right().saturating_sub(1), text, *role);
        }
    }
}

/// The tree without lines.
pub fn no_rows(app: &App, area: Rect, brush: &mut Brush<'_>) {
    let text = |text: &str, role: Role| (text.to_owned(), role);
    let shown = match &app.link {
        Link::Connecting => vec![text("connecting to the manager", Role::Dim)],
        Link::Down { .. } if app.mirror.jobs.is_empty() => link_lines(app),
        _ if !app.tree.filter.is_empty() => vec![
            (format!("nothing matches `{}`", tamed(&app.tree.filter.text)), Role::Text),
            (format!("{} shows everything", app.look.keys(Action::ClearFilter)), Role::Dim),
        ],
        _ => vec![
            text("No jobs yet. In a shell:", Role::Text),
            text("", Role::Text),
            text("  airx run FILE", Role::Code),
            text("  airx claude \"fix the failing test\"", Role::Code),
            text("  airx add -- make test", Role::Code),
            text("", Role::Text),
            (
                format!(
                    "or here: {} writes a new job, {} shows all keys",
                    app.look.keys(Action::NewJob),
                    app.look.keys(Action::Help)
                ),
                Role::Dim,
            ),
        ],
    };
    lines(brush, area, &shown);
}

/// What is known about a connection that is down, and what to do.
pub fn link_lines(app: &App) -> Vec<(String, Role)> {
    let Link::Down { since, why } = &app.link else { return Vec::new() };
    if app.link.is_version_mismatch() {
        return vec![
            ("this program and the manager are of different versions".to_owned(), Role::Warning),
            (tamed(&why.message), Role::Text),
            (tamed(&why.hint), Role::Dim),
        ];
    }
    vec![
        (format!("no connection to the manager since {}", app.time(*since)), Role::Warning),
        ("what runs goes on; this screen tries again by itself".to_owned(), Role::Text),
        (tamed(&why.message), Role::Dim),
        (format!("{} starts a manager in the background", app.look.keys(Action::StartManager)), Role::Dim),
    ]
}

/// Messages over the lower right corner.
pub fn toasts(app: &App, area: Rect, brush: &mut Brush<'_>) {
    // Above the border, which is the edge of what is shown.
    let mut bottom = area.bottom().saturating_sub(1);
    if let Some(text) = link_toast(app) {
        bottom = toast(&text, Role::Warning, area, bottom, brush);
    }
    let shown: Vec<_> = app.toasts.shown(app.now.mono).collect();
    for one in shown.into_iter().rev() {
        let role = match one.kind {
            Kind::Sent => Role::Dim,
            Kind::News => Role::Toast,
            Kind::Fault => Role::ToastError,
        };
        bottom = toast(&toast_text(app)(one), role, area, bottom, brush);
    }
}

/// A message with the sign of its kind.
fn toast_text(app: &App) -> impl Fn(&Toast) -> String + '_ {
    |one| {
        let sign = match one.kind {
            Kind::Sent => app.look.pick("… ", ".. "),
            Kind::News => "",
            Kind::Fault => app.look.pick("✘ ", "x "),
        };
        format!("{sign}{}", one.text)
    }
}

/// That the connection is down, over what was there before.
fn link_toast(app: &App) -> Option<String> {
    let Link::Down { since, why } = &app.link else { return None };
    if app.mirror.jobs.is_empty() {
        return None;
    }
    Some(if app.link.is_version_mismatch() {
        format!("versions differ: {}\n{}", why.message, why.hint)
    } else {
        let key = app.look.keys(Action::StartManager);
        format!("no manager since {}: reconnecting\nwhat runs goes on; {key} starts a manager", app.time(*since))
    })
}

fn toast_lines(text: &str, area: Rect) -> Vec<String> {
    let room = usize::from(area.width.saturating_sub(6)).min(70);
    text.lines().flat_map(|line| wrap::prose(&tamed(line), room)).take(6).collect()
}

/// Lines that the messages take together.
pub fn toasts_height(app: &App, area: Rect) -> u16 {
    let link = link_toast(app).into_iter();
    let lines = app.toasts.shown(app.now.mono).map(toast_text(app)).chain(link).map(|text| toast_lines(&text, area).len());
    u16::try_from(lines.sum::<usize>()).unwrap_or(u16::MAX)
}

/// One message above `bottom`; where the next one ends.
fn toast(text: &str, role: Role, area: Rect, bottom: u16, brush: &mut Brush<'_>) -> u16 {
    let lines = toast_lines(text, area);
    let width = u16::try_from(lines.iter().map(|line| cut::width(line)).max().unwrap_or(0)).unwrap_or(0) + 2;
    let height = u16::try_from(lines.len()).unwrap_or(0);
    let Some(top) = bottom.checked_sub(height).filter(|top| *top > area.y) else { return bottom };
    let x = area.right().saturating_sub(width + 2);
    brush.fill(Rect { x, y: top, width, height }, role);
    for (line, text) in lines.iter().enumerate() {
        brush.put(x + 1, top + u16::try_from(line).unwrap_or(0), x + width, text, role);
    }
    top
}

/// A few lines in the middle of an area.
pub struct Lines(Vec<(String, Role)>);

impl Lines {
    /// One faint line.
    pub fn dim(text: String) -> Lines {
        Lines(vec![(text, Role::Dim)])
    }

    /// Draws them.
    pub fn draw(&self, brush: &mut Brush<'_>, area: Rect) {
        lines(brush, area, &self.0);
    }
}
