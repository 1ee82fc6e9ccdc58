//! Output: a log, or a conversation.

use ratatui::layout::Rect;

use crate::config::theme::Role;
use crate::model::conversation::TodoState;
use crate::model::spec::{Action as TaskAction, ClaudeAuth};
use crate::model::state::{FailCause, Outcome};
use crate::tui::action::Action;
use crate::tui::app::pane::{Output, Shown as Row};
use crate::tui::app::{App, Focus};
use crate::tui::data::mirror::began;
use crate::tui::data::row::NONE;
use crate::tui::output::order::Stream;
use crate::tui::output::talk::Talk;
use crate::tui::text::harmless::tamed;
use crate::tui::text::{cut, time, wrap};

use super::brush::Brush;
use super::{info, instances, states};

/// Columns of a log: beside them stands the sign of its stream.
pub fn log_width(width: usize) -> usize {
    width.saturating_sub(1)
}

/// Columns of a conversation: the cursor's sign is on the left, and a blank on the right.
pub fn talk_width(width: usize) -> usize {
    width.saturating_sub(2)
}

/// Draws it.
pub fn draw(app: &App, area: Rect, brush: &mut Brush<'_>) {
    let Some(subject) = app.pane.subject else { return };
    if subject.task == NONE {
        return info::draw_job(app, area, brush);
    }
    let text = |text: String| states::Lines::dim(text);
    if let Some(failure) = &app.pane.failure {
        return text(failure.clone()).draw(brush, area);
    }
    let mapped = app.mirror.job(subject.job).and_then(|job| Some((job, job.tasks.get(subject.task as usize)?)));
    if let Some((job, row)) = mapped.filter(|(_, row)| row.instances().is_some()) {
        return instances::draw(app, job, subject.task, row, area, brush);
    }
    let area = draw_notice(app, area, brush);
    let Some(output) = &app.pane.output else {
        let none_yet = app.mirror.task(subject.job, subject.task).is_some_and(|row| row.attempts == 0);
        return text(if none_yet { "nothing yet: it has not started".to_owned() } else { "reading".to_owned() })
            .draw(brush, area);
    };
    match &output.talk {
        Some(talk) => draw_talk(app, talk, area, brush),
        None => draw_log(app, output, area, brush),
    }
}

/// What a person has to know about an attempt that ended, and may have to do, below its output however it is scrolled.
fn notice(app: &App) -> Option<String> {
    let detail = app.pane.detail.as_ref()?;
    let shown = app.pane.shown_attempt()?;
    let requeue = app.look.keys(Action::Requeue);
    match detail.attempts.iter().find(|attempt| attempt.number == shown)?.outcome.as_ref()? {
        Outcome::Failed { cause: FailCause::OutputLimit } => {
            let limit = time::bytes(detail.spec.limits.output_limit);
            Some(format!("cut off at {limit} (output_limit): what came after it was not kept"))
        }
        Outcome::Auth => Some(match &detail.spec.action {
            TaskAction::Claude(claude) if matches!(claude.auth, Some(ClaudeAuth::Env(_))) => {
                format!("the API key was missing or refused: set it where the manager runs; {requeue} tries it at once")
            }
            _ => format!("the login has expired: /login in `claude`; {requeue} tries it at once"),
        }),
        _ => None,
    }
}

/// Its lines; none where they would leave no room for the output.
pub fn notice_lines(app: &App, width: usize, height: usize) -> Vec<String> {
    let Some(text) = notice(app).filter(|_| height >= 6) else { return Vec::new() };
    wrap::prose(&text, width.saturating_sub(2)).into_iter().take(3).collect()
}

/// Draws it; what remains for the output.
fn draw_notice(app: &App, area: Rect, brush: &mut Brush<'_>) -> Rect {
    let lines = notice_lines(app, usize::from(area.width), usize::from(area.height));
    let height = area.height.saturating_sub(u16::try_from(lines.len()).unwrap_or(0));
    for (y, line) in (area.y + height..area.bottom()).zip(&lines) {
        brush.put(area.x + 1, y, area.right(), line, Role::Warning);
    }
    Rect { height, ..area }
}

/// Nothing there: because it is being read, because the task is silent, or because there was nothing.
fn draw_nothing(app: &App, output: &Output, over: bool, known: bool, area: Rect, brush: &mut Brush<'_>) {
    let text = if let Some(failure) = &output.document.failure {
        tamed(failure)
    } else if !known {
        "reading".to_owned()
    } else if over {
        "it wrote nothing".to_owned()
    } else {
        let task = app.pane.subject.and_then(|key| app.mirror.task(key.job, key.task));
        match task.and_then(began) {
            Some(began) => format!("nothing yet, silent {}", time::duration(app.now.utc.since(began))),
            None => "nothing yet".to_owned(),
        }
    };
    states::Lines::dim(text).draw(brush, area);
}

fn draw_log(app: &App, output: &Output, area: Rect, brush: &mut Brush<'_>) {
    let log = &output.log;
    if output.document.is_empty() {
        return draw_nothing(app, output, output.document.over, output.document.known, area, brush);
    }
    if log.shown.is_empty() {
        return states::Lines::dim("reading".to_owned()).draw(brush, area);
    }
    let pattern = log.search.as_ref();
    for (line, row) in log.shown.iter().take(usize::from(area.height)).enumerate() {
        let y = area.y + u16::try_from(line).unwrap_or(0);
        draw_line(row, log.left, Rect { y, height: 1, ..area }, brush);
        if let Some(search) = pattern {
            let text: String = row.segments.iter().map(|segment| segment.text.as_str()).collect();
            let role = if search.at == Some(row.at) { Role::SearchCurrent } else { Role::Search };
            for (from, to) in search.pattern.find(&text) {
                let start = cut::width(&text[..from]).saturating_sub(log.left);
                let end = cut::width(&text[..to]).saturating_sub(log.left);
                if end > start {
                    let place = |cells: usize| u16::try_from(cells).unwrap_or(u16::MAX);
                    let x = area.x.saturating_add(1).saturating_add(place(start));
                    let width = place(end - start).min(area.right().saturating_sub(x));
                    brush.restyle(Rect { x, y, width, height: 1 }, role);
                }
            }
        }
    }
    silent(app, output, area, brush);
}

/// A running task that has written nothing for a while says so.
fn silent(app: &App, output: &Output, area: Rect, brush: &mut Brush<'_>) {
    let is_running = app.pane.subject.and_then(|key| app.mirror.task(key.job, key.task)).and_then(began).is_some();
    let Some(last) = output.document.last_time().filter(|_| is_running && !output.document.over) else { return };
    let for_ms = app.now.utc.since(crate::model::time::Utc(last));
    if for_ms >= 30_000 && area.height > 2 {
        brush.put_right(area.x, area.bottom() - 1, area.right() - 1, &format!(" silent {} ", time::duration(for_ms)), Role::Dim);
    }
}

fn draw_line(row: &Row, left: usize, area: Rect, brush: &mut Brush<'_>) {
    // Standard error is told apart by a sign too, not by colour alone.
    let is_err = row.stream == Stream::Err;
    if is_err {
        brush.put(area.x, area.y, area.right(), brush.look.pick("▎", "!"), Role::Stderr);
    }
    let base = if is_err { brush.style(Role::Stderr) } else { brush.style(Role::Text) };
    let (mut x, mut skip) = (area.x + 1, left);
    for segment in &row.segments {
        let style = base.patch(brush.look.within_depth(segment.sgr));
        let width = cut::width(&segment.text);
        if skip >= width {
            skip -= width;
            continue;
        }
        let hidden = cut::head(&segment.text, skip);
        let text = &segment.text[hidden.len()..];
        skip = 0;
        x = brush.put_styled(x, area.y, area.right(), text, style);
        if x >= area.right() {
            return;
        }
    }
}

fn draw_talk(app: &App, talk: &Talk, area: Rect, brush: &mut Brush<'_>) {
    if talk.is_empty() {
        if let Some(output) = &app.pane.output {
            draw_nothing(app, output, talk.over, talk.known, area, brush);
        }
        return;
    }
    let is_focused = app.focus == Focus::Pane;
    for (line, (block, place, shown)) in talk.shown.iter().take(usize::from(area.height)).enumerate() {
        let y = area.y + u16::try_from(line).unwrap_or(0);
        let mut end = area.right().saturating_sub(1);
        if let Some((text, role)) = &shown.right {
            end = brush.put_right(area.x, y, end, text, *role).saturating_sub(1);
        }
        let mut x = area.x + 1;
        for (text, role) in &shown.words {
            x = brush.put(x, y, end, text, *role);
        }
        if is_focused && talk.cursor == (*block, *place) && !talk.follow {
            brush.restyle(Rect { y, height: 1, ..area }, Role::SelectionUnfocused);
            brush.put(area.x, y, area.right(), brush.look.pick("›", ">"), Role::Mark);
        }
    }
    draw_todo(talk, area, brush);
}

/// Lines that the list of things to do takes below the conversation.
pub fn todo_rows(talk: &Talk, height: usize) -> u16 {
    u16::from(!talk.todo().is_empty() && height >= 6)
}

fn draw_todo(talk: &Talk, area: Rect, brush: &mut Brush<'_>) {
    let todo = talk.todo();
    if todo_rows(talk, usize::from(area.height)) == 0 {
        return;
    }
    let y = area.bottom() - 1;
    brush.fill(Rect { y, height: 1, ..area }, Role::Todo);
    let done = todo.iter().filter(|(state, _)| *state == TodoState::Done).count();
    let mut x = brush.put(area.x + 1, y, area.right(), &format!("todo {done}/{}  ", todo.len()), Role::Todo);
    // What is being done first: it is what people look for.
    let mut order: Vec<&(TodoState, String)> = todo.iter().collect();
    order.sort_by_key(|(state, _)| match state {
        TodoState::Active => 0,
        TodoState::Pending => 1,
        TodoState::Done => 2,
    });
    for (state, text) in order {
        let (sign, role) = match state {
            TodoState::Active => (brush.look.pick("► ", "> "), Role::Busy),
            TodoState::Pending => (brush.look.pick("◦ ", "o "), Role::Todo),
            TodoState::Done => (brush.look.pick("✓ ", "+ "), Role::Good),
        };
        let text = cut::end(&tamed(text), 30, brush.look.dots()).into_owned();
        if usize::from(area.right().saturating_sub(x)) < cut::width(&text) + 4 {
            return;
        }
        x = brush.put(x, y, area.right(), sign, role);
        x = brush.put(x, y, area.right(), &format!("{text}  "), Role::Todo);
    }
}
