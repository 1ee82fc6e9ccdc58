//! The task pane: tabs, scrolling, searching, attempts.

use ratatui::layout::Rect;

use crate::tui::action::Action;
use crate::tui::app::pane::{LogView, Search, Tab};
use crate::tui::app::prompt::{Prompt, Purpose};
use crate::tui::app::toast::Kind;
use crate::tui::app::tree::Key;
use crate::tui::app::{App, Effect, Focus};
use crate::tui::data::row::NONE;
use crate::tui::graph::Direction;
use crate::tui::output::document::Which;
use crate::tui::output::{Document, talk::Talk};

use super::searching;
use super::targets::{address, refuse};

/// What the action leads to; none when it is not one of these.
pub fn act(app: &mut App, action: Action) -> Option<Vec<Effect>> {
    match action {
        Action::Back => app.focus = Focus::Tree,
        Action::TabOutput => tab(app, Tab::Output),
        Action::TabInfo => tab(app, Tab::Info),
        Action::TabEvents => tab(app, Tab::Events),
        Action::TabGraph => tab(app, Tab::Graph),
        Action::NextTab | Action::PreviousTab => {
            let at = Tab::ALL.iter().position(|tab| *tab == app.pane.tab).unwrap_or(0);
            let step = if action == Action::NextTab { 1 } else { Tab::ALL.len() - 1 };
            tab(app, Tab::ALL[(at + step) % Tab::ALL.len()]);
        }
        Action::ScrollDown => scroll(app, 1),
        Action::ScrollUp => scroll(app, -1),
        Action::ScrollPageDown => scroll(app, page(app)),
        Action::ScrollPageUp => scroll(app, -page(app)),
        Action::ScrollFirst => ends(app, false),
        Action::ScrollLast => ends(app, true),
        Action::ScrollLeft | Action::ScrollRight => sideways(app, action == Action::ScrollRight),
        Action::Follow => follow(app),
        Action::Wrap => {
            if let Some(output) = &mut app.pane.output {
                output.log.wrap = !output.log.wrap;
                output.log.left = 0;
                output.log.skip = 0;
            }
        }
        Action::Search => {
            app.pane.tab = Tab::Output;
            let before = app.pane.output.as_ref().and_then(|output| output.log.search.as_ref());
            app.prompt = Some(Prompt::new(Purpose::Search, before.map_or("", |search| &search.pattern.text)));
        }
        Action::SearchNext => return Some(searching::on(app, false)),
        Action::SearchPrevious => return Some(searching::on(app, true)),
        Action::JumpTime => app.prompt = Some(Prompt::new(Purpose::Time, "")),
        Action::Stream => return Some(stream(app)),
        Action::OlderAttempt | Action::NewerAttempt => attempt(app, action == Action::NewerAttempt),
        Action::FoldLine => {
            if let Some(talk) = talk(app) {
                talk.toggle();
            }
        }
        Action::FoldAllLines => {
            if let Some(talk) = talk(app) {
                talk.toggle_all();
            }
        }
        Action::Copy => return Some(copy(app)),
        Action::GraphLeft => graph(app, Direction::Left),
        Action::GraphRight => graph(app, Direction::Right),
        Action::GraphUp => graph(app, Direction::Up),
        Action::GraphDown => graph(app, Direction::Down),
        Action::GraphOpen => return Some(graph_open(app)),
        _ => return None,
    }
    Some(Vec::new())
}

fn tab(app: &mut App, tab: Tab) {
    app.pane.tab = tab;
    app.focus = Focus::Pane;
}

fn page(app: &App) -> isize {
    isize::try_from(app.pane.height.max(2) - 1).unwrap_or(1)
}

fn talk(app: &mut App) -> Option<&mut Talk> {
    app.pane.output.as_mut()?.talk.as_mut()
}

/// What is scrolled: a job has a sheet in the place of output.
fn scrolled(app: &App) -> Tab {
    match app.pane.tab {
        Tab::Output if app.pane.subject.is_some_and(|key| key.task == NONE) => Tab::Info,
        tab => tab,
    }
}

fn scroll(app: &mut App, by: isize) {
    let (height, width) = (app.pane.height, crate::tui::view::output::log_width(app.pane.width));
    match scrolled(app) {
        Tab::Output => {
            let Some(output) = &mut app.pane.output else { return };
            match &mut output.talk {
                Some(talk) => talk.scroll(by),
                None => scroll_log(&mut output.document, &mut output.log, by, width),
            }
        }
        Tab::Info => {
            let most = app.pane.info_lines.saturating_sub(height);
            app.pane.info_top = app.pane.info_top.saturating_add_signed(by).min(most);
        }
        Tab::Events => {
            let count = app.pane.events.as_ref().map_or(0, |(_, events)| events.len());
            // Counted from the last one, since more are added there.
            app.pane.events_top = app.pane.events_top.saturating_add_signed(-by).min(count.saturating_sub(height));
        }
        Tab::Graph => {
            let direction = if by > 0 { Direction::Down } else { Direction::Up };
            (0..by.unsigned_abs().min(50)).for_each(|_| graph(app, direction));
        }
    }
}

/// Goes on with what a key asked for before it was read.
pub fn pay(document: &mut Document, log: &mut LogView, width: usize) {
    if log.owed > 0 && !log.is_unread() {
        let owed = std::mem::take(&mut log.owed);
        scroll_log(document, log, -isize::try_from(owed).unwrap_or(isize::MAX), width);
    }
}

fn scroll_log(document: &mut Document, log: &mut LogView, by: isize, width: usize) {
    use crate::tui::output::document::Step;
    if log.is_unread() {
        // From an end that is not known yet: once it is.
        log.owed = log.owed.saturating_add(if by < 0 { by.unsigned_abs() } else { 0 });
        return;
    }
    log.follow = false;
    for step in 0..by.unsigned_abs() {
        if by > 0 {
            let rows = match document.line_at(log.top) {
                Step::Line(line) if line.next < document.len() || log.wrap => {
                    let rows = if log.wrap { crate::tui::text::wrap::rows_of(&line.bytes, width) } else { 1 };
                    if log.skip + 1 < rows {
                        log.skip += 1;
                        continue;
                    }
                    (line.next < document.len()).then_some(line.next)
                }
                _ => None,
            };
            let Some(next) = rows else { break };
            (log.top, log.skip) = (next, 0);
        } else if log.skip > 0 {
            log.skip -= 1;
        } else {
            let Some(before) = document.before(log.top) else {
                log.owed = by.unsigned_abs() - step;
                break;
            };
            if before == log.top {
                break;
            }
            log.top = before;
            if log.wrap
                && let Step::Line(line) = document.line_at(before)
            {
                log.skip = crate::tui::text::wrap::rows_of(&line.bytes, width).saturating_sub(1);
            }
        }
    }
}

fn ends(app: &mut App, last: bool) {
    let height = app.pane.height;
    match scrolled(app) {
        Tab::Output => {
            let Some(output) = &mut app.pane.output else { return };
            if let Some(talk) = &mut output.talk {
                talk.go_to_end(last);
            }
            output.log.follow = last;
            output.log.owed = 0;
            if !last {
                (output.log.top, output.log.skip) = (0, 0);
            }
        }
        Tab::Info => app.pane.info_top = if last { app.pane.info_lines.saturating_sub(height) } else { 0 },
        Tab::Events => {
            let count = app.pane.events.as_ref().map_or(0, |(_, events)| events.len());
            app.pane.events_top = if last { 0 } else { count.saturating_sub(height) };
        }
        Tab::Graph => app.pane.graph.chosen = app.pane.graph.members.len().checked_sub(1).map(|end| if last { end } else { 0 }),
    }
}

fn sideways(app: &mut App, right: bool) {
    if app.pane.tab == Tab::Graph {
        return graph(app, if right { Direction::Right } else { Direction::Left });
    }
    if let Some(output) = &mut app.pane.output
        && !output.log.wrap
    {
        let left = output.log.left;
        output.log.left = if right { (left + 10).min(60_000) } else { left.saturating_sub(10) };
    }
}

fn follow(app: &mut App) {
    let Some(output) = &mut app.pane.output else { return };
    output.log.follow = !output.log.follow;
    let follows = match &mut output.talk {
        Some(talk) => {
            talk.follow = !talk.follow;
            talk.follow
        }
        None => output.log.follow,
    };
    let text = if follows { "stays at the end" } else { "stays here" };
    app.toasts.add(text, Kind::News, app.now);
}

fn stream(app: &mut App) -> Vec<Effect> {
    let Some(output) = &mut app.pane.output else { return Vec::new() };
    if output.talk.is_some() {
        return refuse(app, "a transcript has no streams; stderr of claude is shown at its end");
    }
    let (which, text) = match output.document.which {
        Which::Both => (Which::Out, "only stdout"),
        Which::Out => (Which::Err, "only stderr"),
        Which::Err => (Which::Both, "both streams"),
    };
    output.document.which = which;
    let (wrap, search) = (output.log.wrap, output.log.search.take());
    let search = search.map(|search| Search { at: None, going: None, ..search });
    output.log = LogView { wrap, search, follow: true, ..LogView::default() };
    app.toasts.add(text, Kind::News, app.now);
    Vec::new()
}

fn attempt(app: &mut App, newer: bool) {
    let Some(detail) = &app.pane.detail else { return };
    let newest = detail.task.attempts;
    let shown = app.pane.attempt.unwrap_or(newest);
    let wanted = if newer { shown + 1 } else { shown.saturating_sub(1) };
    if (1..=newest).contains(&wanted) {
        app.pane.attempt = (wanted < newest).then_some(wanted);
        app.pane.output = None;
    } else {
        let text = if newer { "this is the newest attempt" } else { "this is the first attempt" };
        app.toasts.add(text, Kind::News, app.now);
    }
}

fn copy(app: &mut App) -> Vec<Effect> {
    let text = match (app.pane.tab, &app.pane.output) {
        (Tab::Output, Some(output)) => match &output.talk {
            Some(talk) => talk.chosen_text(),
            None => {
                let line = |shown: &crate::tui::app::pane::Shown| {
                    shown.segments.iter().map(|segment| segment.text.as_str()).collect::<String>()
                };
                let mut text = String::new();
                for shown in &output.log.shown {
                    if !shown.continues && !text.is_empty() {
                        text.push('\n');
                    }
                    text.push_str(&line(shown));
                }
                text
            }
        },
        _ => app.tree.selected.and_then(|key| address(app, key.whole())).map(|address| address.to_string()).unwrap_or_default(),
    };
    if text.is_empty() { refuse(app, "there is nothing to copy") } else { vec![Effect::Copy(text)] }
}

fn graph(app: &mut App, direction: Direction) {
    let view = &mut app.pane.graph;
    let (Some(layout), Some(chosen)) = (&view.layout, view.chosen) else { return };
    if let Some(next) = layout.neighbour(chosen, direction) {
        view.chosen = Some(next);
    }
}

fn graph_open(app: &mut App) -> Vec<Effect> {
    let (Some(subject), Some(chosen)) = (app.pane.subject, app.pane.graph.chosen) else { return Vec::new() };
    let Some(member) = app.pane.graph.members.get(chosen) else { return Vec::new() };
    let wanted = Key::task(subject.job, member.task);
    if app.tree.select(&app.mirror, wanted) {
        app.pane.tab = Tab::Output;
        Vec::new()
    } else {
        refuse(app, "the filter hides it: clear the filter first")
    }
}

/// A click into the pane's content.
pub fn click(app: &mut App, area: Rect, x: u16, y: u16) -> Vec<Effect> {
    let (column, line) = (x.saturating_sub(area.x + 1), y.saturating_sub(area.y + 2));
    match app.pane.tab {
        Tab::Output => {
            if let Some(talk) = talk(app) {
                talk.click(usize::from(line));
            }
        }
        Tab::Graph => {
            let view = &mut app.pane.graph;
            let (at_x, at_y) = (view.corner.0 + u32::from(column), view.corner.1 + u32::from(line));
            let hit = view.layout.as_ref().and_then(|layout| {
                layout
                    .nodes
                    .iter()
                    .position(|place| place.y == at_y && (place.x..place.x + u32::from(place.width)).contains(&at_x))
            });
            if let Some(hit) = hit {
                view.chosen = Some(hit);
            }
        }
        _ => {}
    }
    Vec::new()
}
