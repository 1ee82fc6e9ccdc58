//! Moving in the tree, folding, marking, and the mouse.

use crate::model::state::TaskKind;
use crate::tui::action::Action;
use crate::tui::app::toast::Kind;
use crate::tui::app::tree::{Key, key};
use crate::tui::app::{App, Effect, Focus};
use crate::tui::data::row::{NONE, TaskRow};
use crate::tui::view::areas;

use super::Mouse;
use super::targets::refuse;

/// What the action leads to; none when it is not one of these.
pub fn act(app: &mut App, action: Action) -> Option<Vec<Effect>> {
    let page = areas::areas(app).tree_rows().max(2) - 1;
    match action {
        Action::Down => step(app, 1),
        Action::Up => step(app, -1),
        Action::PageDown => step(app, isize::try_from(page).unwrap_or(1)),
        Action::PageUp => step(app, -isize::try_from(page).unwrap_or(1)),
        Action::First => go(app, 0),
        Action::Last => go(app, usize::MAX),
        Action::Open => open(app),
        Action::Fold => fold(app),
        Action::Unfold => unfold(app),
        Action::FoldToggle => {
            if is_open(app) {
                fold(app);
            } else {
                unfold(app);
            }
        }
        Action::FoldAll => {
            app.tree.open.clear();
            app.tree.open_tasks.clear();
            app.tree.mappings.clear();
            app.tree.outcomes.clear();
            app.tree.touch();
        }
        Action::UnfoldAll => {
            // As many as a person can look at.
            let live = app.mirror.jobs.iter().rev().filter(|job| !job.view.state.is_terminal()).take(200);
            app.tree.open.extend(live.map(|job| job.view.id));
            app.tree.touch();
        }
        Action::Sort => {
            app.tree.sort = app.tree.sort.next();
            app.tree.touch();
            let text = format!("order: {}", app.tree.sort.word());
            app.toasts.add(text, Kind::News, app.now);
        }
        Action::Mark => {
            if let Some(selected) = app.tree.selected.map(Key::whole) {
                if !app.tree.marks.remove(&selected) {
                    app.tree.marks.insert(selected);
                }
                step(app, 1);
            }
        }
        Action::MarkAll => mark_all(app),
        Action::ClearMarks => app.tree.marks.clear(),
        Action::FollowActive => {
            app.tree.follows = !app.tree.follows;
            let text = if app.tree.follows { "the cursor follows what starts" } else { "the cursor stays" };
            app.toasts.add(text, Kind::News, app.now);
        }
        Action::NextFailed => return Some(next_failed(app)),
        Action::NextPane | Action::PreviousPane => {
            app.focus = if app.focus == Focus::Tree { Focus::Pane } else { Focus::Tree };
        }
        Action::Zoom => app.zoomed = !app.zoomed,
        Action::Narrower | Action::Wider => {
            let step = if action == Action::Wider { 5 } else { -5 };
            app.split = app.split.saturating_add_signed(step).clamp(20, 80);
            return Some(vec![Effect::Keep]);
        }
        _ => return None,
    }
    Some(Vec::new())
}

fn step(app: &mut App, by: isize) {
    app.tree.follows = false;
    let at = app.tree.cursor.saturating_add_signed(by);
    go(app, at);
}

fn go(app: &mut App, at: usize) {
    app.tree.build(&app.mirror);
    app.tree.go(&app.mirror, at);
}

fn is_open(app: &App) -> bool {
    match app.tree.selected {
        Some(Key { job, task: NONE, .. }) => app.tree.open.contains(&job),
        Some(Key { job, task, attempt: 0 }) if mapping(app, job, task).is_some() => shows_instances(app, job, task),
        Some(Key { job, task, .. }) => app.tree.open_tasks.contains(&(job, task)),
        None => false,
    }
}

/// A mapped task that has instances.
fn mapping(app: &App, job: u32, task: u32) -> Option<&TaskRow> {
    app.mirror.task(job, task).filter(|row| row.instances().is_some_and(|known| known.counts.total() + known.gone > 0))
}

fn shows_instances(app: &App, job: u32, task: u32) -> bool {
    mapping(app, job, task).is_some_and(|row| app.tree.shows_instances(job, task, row))
}

/// A job is unfolded first, then looked into; a task is looked into.
fn open(app: &mut App) {
    match app.tree.selected {
        Some(Key { task: NONE, .. }) if !is_open(app) => unfold(app),
        Some(_) => app.focus = Focus::Pane,
        None => {}
    }
}

fn unfold(app: &mut App) {
    let Some(Key { job, task, .. }) = app.tree.selected else { return };
    if task == NONE {
        app.tree.open.insert(job);
    } else if mapping(app, job, task).is_some() {
        app.tree.mappings.insert((job, task), true);
    } else if app.mirror.task(job, task).is_some_and(|row| row.attempts > 1) {
        app.tree.open_tasks.insert((job, task));
        app.pane.asked = None;
    }
    app.tree.touch();
}

fn fold(app: &mut App) {
    let Some(selected) = app.tree.selected else { return };
    let was_open = match selected {
        Key { job, task: NONE, .. } => app.tree.open.remove(&job),
        Key { job, task, .. } if mapping(app, job, task).is_some() => {
            let was_open = shows_instances(app, job, task);
            app.tree.mappings.insert((job, task), false);
            was_open
        }
        Key { job, task, .. } => {
            app.tree.outcomes.remove(&(job, task));
            app.tree.open_tasks.remove(&(job, task))
        }
    };
    app.tree.touch();
    if was_open {
        if selected.attempt > 0 {
            app.tree.selected = Some(selected.whole());
        }
        return;
    }
    // To the line above that this one belongs to.
    let depth = app.tree.rows.get(app.tree.cursor).map_or(0, |row| row.depth);
    let above = (0..app.tree.cursor).rev().find(|at| app.tree.rows[*at].depth < depth);
    if let Some(above) = above {
        go(app, above);
    }
}

fn mark_all(app: &mut App) {
    let Some(selected) = app.tree.selected else { return };
    let of_job = app.tree.rows.iter().map(|row| key(&app.mirror, row));
    let keys: Vec<Key> = if selected.task == NONE {
        of_job.filter(|key| key.task == NONE).collect()
    } else {
        of_job.filter(|key| key.job == selected.job && key.task != NONE && key.attempt == 0).collect()
    };
    app.tree.marks.extend(keys);
}

/// The next failed task after the cursor, in jobs that are folded too.
fn next_failed(app: &mut App) -> Vec<Effect> {
    app.tree.build(&app.mirror);
    let rows = &app.tree.rows;
    let count = rows.len();
    let failed = |at: usize| {
        let row = rows[at];
        let Some(job) = app.mirror.jobs.get(row.job as usize) else { return false };
        match row.task {
            NONE => !app.tree.open.contains(&job.view.id) && job.view.tasks.of(TaskKind::Failed) > 0,
            _ if row.attempt > 0 => false,
            task if shows_instances(app, job.view.id, task) => false,
            task => job.tasks.get(task as usize).is_some_and(|row| {
                let instances = row.instances().filter(|_| row.is_mapped());
                row.kind == TaskKind::Failed || instances.is_some_and(|known| known.counts.of(TaskKind::Failed) > 0)
            }),
        }
    };
    let found = (1..=count).map(|step| (app.tree.cursor + step) % count.max(1)).find(|at| failed(*at));
    let Some(at) = found else { return refuse(app, "no task has failed") };
    let row = rows[at];
    if row.task == NONE
        && let Some(job) = app.mirror.jobs.get(row.job as usize)
    {
        let id = job.view.id;
        let first = job.first_failed();
        app.tree.open.insert(id);
        app.tree.touch();
        if let Some(first) = first {
            app.tree.select(&app.mirror, Key::task(id, first));
            return Vec::new();
        }
        // Its tasks are read first.
        go(app, at);
        app.tree.seeks_failed = Some(id);
        return Vec::new();
    }
    let instance = app.mirror.jobs.get(row.job as usize).and_then(|job| {
        let mut instances = job.instances_of(row.task);
        instances.find(|(_, row)| row.kind == TaskKind::Failed).map(|(task, _)| Key::task(job.view.id, task))
    });
    match instance {
        Some(wanted) => drop(app.tree.select(&app.mirror, wanted)),
        None => go(app, at),
    }
    Vec::new()
}

/// The mouse at a cell.
pub fn mouse(app: &mut App, what: Mouse, x: u16, y: u16) -> Vec<Effect> {
    if app.dialog.is_some() || app.editor.is_some() {
        return match (what, &mut app.dialog) {
            (Mouse::Down | Mouse::Up, Some(_)) => super::dialogs::scroll(app, what == Mouse::Down),
            _ => Vec::new(),
        };
    }
    let areas = areas::areas(app);
    if app.inbox.is_open && inside_of(areas.main, x, y) {
        match what {
            Mouse::Click => super::inbox::click(app, x, y),
            Mouse::Down => app.inbox.scroll(3),
            Mouse::Up => app.inbox.scroll(-3),
        }
        return Vec::new();
    }
    let inside = |area: Option<ratatui::layout::Rect>| area.filter(|area| area.contains((x, y).into()));
    if let Some(area) = inside(areas.footer)
        && what == Mouse::Click
    {
        let hint = crate::tui::view::footer::hint_at(app, area, x);
        return hint.map(|action| super::act(app, action)).unwrap_or_default();
    }
    if let Some(area) = inside(areas.tree) {
        match what {
            Mouse::Down => step(app, 3),
            Mouse::Up => step(app, -3),
            Mouse::Click => {
                app.focus = Focus::Tree;
                let line = usize::from(y.saturating_sub(area.y + 1));
                let at = app.tree.top + line;
                if y > area.y && at < app.tree.rows.len() {
                    if at == app.tree.cursor {
                        open_by_mouse(app);
                    } else {
                        go(app, at);
                    }
                }
            }
        }
        return Vec::new();
    }
    if let Some(area) = inside(areas.pane) {
        match what {
            Mouse::Click => {
                app.focus = Focus::Pane;
                if y == area.y + 1
                    && let Some(tab) = crate::tui::view::pane::tab_at(app, area, x)
                {
                    app.pane.tab = tab;
                } else {
                    return super::panes::click(app, area, x, y);
                }
            }
            Mouse::Down | Mouse::Up => {
                let action = if what == Mouse::Down { Action::ScrollDown } else { Action::ScrollUp };
                return (0..3).flat_map(|_| super::panes::act(app, action).unwrap_or_default()).collect();
            }
        }
    }
    Vec::new()
}

fn inside_of(area: ratatui::layout::Rect, x: u16, y: u16) -> bool {
    area.contains((x, y).into())
}

fn open_by_mouse(app: &mut App) {
    match app.tree.selected {
        Some(Key { task: NONE, .. }) if is_open(app) => fold(app),
        _ => open(app),
    }
}
