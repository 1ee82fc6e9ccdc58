//! The task pane: its border, its tabs, and what the chosen one shows.

use ratatui::layout::Rect;

use crate::config::theme::Role;
use crate::model::money::micro;
use crate::tui::app::pane::Tab;
use crate::tui::app::{App, Focus};
use crate::tui::data::mirror::began;
use crate::tui::data::row::NONE;
use crate::tui::text::{cut, time};

use super::brush::Brush;
use super::{areas, events, graph, info, output, states};

/// Draws it.
pub fn draw(app: &App, area: Rect, brush: &mut Brush<'_>) {
    let is_focused = app.focus == Focus::Pane && app.editor.is_none();
    let (title, right) = title(app);
    brush.border(area, &title, &right, is_focused);
    draw_tabs(app, area, brush);
    let inner = Rect { x: area.x + 1, y: area.y + 2, width: area.width.saturating_sub(2), height: area.height.saturating_sub(3) };
    debug_assert_eq!(inner, areas::Areas { pane: Some(area), ..Default::default() }.pane_inner());
    let Some(subject) = app.pane.subject else {
        return states::lines(brush, inner, &[("nothing is selected".to_owned(), Role::Dim)]);
    };
    if app.tree.gone.is_some() || app.mirror.job(subject.job).is_none() {
        let name = app.tree.gone.as_deref().unwrap_or("it");
        let text = format!("{} is gone: removed after the retention time", crate::tui::text::harmless::tamed(name));
        return states::lines(brush, inner, &[(text, Role::Dim)]);
    }
    match app.pane.tab {
        Tab::Output => output::draw(app, inner, brush),
        Tab::Info => info::draw(app, inner, brush),
        Tab::Events => events::draw(app, inner, brush),
        Tab::Graph => graph::draw(app, inner, is_focused, brush),
    }
}

/// The address, and how it stands.
fn title(app: &App) -> (String, String) {
    let Some(subject) = app.pane.subject else { return ("Task".to_owned(), String::new()) };
    let Some(job) = app.mirror.job(subject.job) else { return ("gone".to_owned(), String::new()) };
    if subject.task == NONE {
        return (job.view.name.to_string(), job.view.state.word().to_owned());
    }
    let Some(task) = job.tasks.get(subject.task as usize) else { return (job.view.name.to_string(), String::new()) };
    let mut title = format!("{}/{}", job.view.name, task.id);
    if task.attempts > 1 {
        let attempt = app.pane.shown_attempt().unwrap_or(task.attempts);
        title.push_str(&format!(" attempt {attempt} of {}", task.attempts));
    }
    let right = match began(task) {
        Some(began) => format!("{} {}", task.kind.word(), time::duration(app.now.utc.since(began))),
        None => task.kind.word().to_owned(),
    };
    (title, right)
}

fn draw_tabs(app: &App, area: Rect, brush: &mut Brush<'_>) {
    let mut x = area.x + 2;
    for tab in Tab::ALL {
        let role = if tab == app.pane.tab { Role::TabActive } else { Role::Tab };
        // Also where there are no styles.
        let title = tab.title(of_job(app));
        let text = if tab == app.pane.tab { format!("[{title}]") } else { format!(" {title} ") };
        x = brush.put(x, area.y + 1, area.right() - 1, &text, role) + 1;
    }
    let room = usize::from(area.right().saturating_sub(x + 2));
    let mut notes = notes(app);
    while !notes.is_empty() {
        let note = notes.join("  ");
        if cut::width(&note) <= room {
            brush.put_right(x, area.y + 1, area.right() - 2, &note, Role::Dim);
            return;
        }
        notes.pop();
    }
}

/// How the output is looked at, the most important first: it is the last to go.
fn notes(app: &App) -> Vec<String> {
    if let (Tab::Graph, Some(all)) = (app.pane.tab, app.pane.graph.all) {
        return vec![format!("{} of {all} nodes, around the selected task", app.pane.graph.members.len())];
    }
    let Some(output) = app.pane.output.as_ref().filter(|_| app.pane.tab == Tab::Output) else { return Vec::new() };
    let mut notes: Vec<String> = Vec::new();
    if let Some(talk) = &output.talk {
        if talk.is_seeking() {
            notes.push("searching".to_owned());
        }
        let (turns, cost) = talk.spent();
        notes.extend(turns.filter(|turns| *turns > 0).map(|turns| format!("turn {turns}")));
        notes.extend(cost.and_then(micro).map(|cost| info::dollars(app).show(cost)).filter(|cost| !cost.is_empty()));
        if talk.follow && !talk.over {
            notes.push("follows".to_owned());
        }
        return notes;
    }
    if let Some(search) = &output.log.search {
        let going = if search.going.is_some() { ", searching" } else { "" };
        let text = crate::tui::text::harmless::tamed(&search.pattern.text);
        notes.push(format!("/{}{going}", cut::end(&text, 20, app.look.dots())));
    }
    match output.document.which {
        crate::tui::output::document::Which::Both => {}
        crate::tui::output::document::Which::Out => notes.push("stdout".to_owned()),
        crate::tui::output::document::Which::Err => notes.push("stderr".to_owned()),
    }
    if output.log.wrap {
        notes.push("wrapped".to_owned());
    }
    if output.log.follow && !output.document.over {
        notes.push("follows".to_owned());
    }
    let len = output.document.len();
    if len > 0 {
        let end = output.log.shown.last().map_or(0, |line| line.at);
        notes.push(format!("{} {}%", time::bytes(len), if output.log.follow { 100 } else { end * 100 / len }));
    }
    notes
}

fn of_job(app: &App) -> bool {
    app.pane.subject.is_some_and(|subject| subject.task == NONE)
}

/// The tab at a column, for the mouse.
pub fn tab_at(app: &App, area: Rect, column: u16) -> Option<Tab> {
    let mut x = area.x + 2;
    for tab in Tab::ALL {
        let width = u16::try_from(tab.title(of_job(app)).len() + 2).unwrap_or(0);
        if (x..x + width).contains(&column) {
            return Some(tab);
        }
        x += width + 1;
    }
    None
}
