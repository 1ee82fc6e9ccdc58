//! Questions, lists and the help, over everything else.

use ratatui::layout::Rect;

use crate::config::theme::Role;
use crate::tui::action::{Action, Scope, TABLE};
use crate::tui::app::App;
use crate::tui::app::dialog::{Confirm, Dialog, Palette};
use crate::tui::app::toast::Kind;
use crate::tui::text::harmless::tamed;
use crate::tui::text::{cut, wrap};

use super::brush::Brush;

/// Draws the open one; where the cursor is.
pub fn draw(app: &App, area: Rect, brush: &mut Brush<'_>) -> Option<(u16, u16)> {
    match app.dialog.as_ref()? {
        Dialog::Confirm(confirm) => draw_confirm(app, confirm, area, brush),
        Dialog::Leave { counts, .. } => draw_leave(app, *counts, area, brush),
        Dialog::Help { top } => draw_list(&help(app), "Keys", *top, area, brush),
        Dialog::Messages { top } => draw_list(&messages(app, usize::from(area.width)), "Messages", *top, area, brush),
        Dialog::Palette(palette) => return Some(draw_palette(app, palette, area, brush)),
    }
    None
}

/// A box in the middle; its content.
fn frame(title: &str, width: u16, height: u16, area: Rect, brush: &mut Brush<'_>) -> Rect {
    let (width, height) = (width.saturating_add(4).min(area.width), height.saturating_add(2).min(area.height));
    // No sliver of what is behind it.
    let width = if area.width - width < 4 { area.width } else { width };
    let outer = Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height };
    brush.fill(outer, Role::Dialog);
    brush.border(outer, title, "", true);
    Rect { x: outer.x + 2, y: outer.y + 1, width: width.saturating_sub(4), height: height.saturating_sub(2) }
}

type Words = Vec<(String, Role)>;

fn draw_words(lines: &[Words], inner: Rect, brush: &mut Brush<'_>) {
    for (line, words) in lines.iter().take(usize::from(inner.height)).enumerate() {
        let y = inner.y + u16::try_from(line).unwrap_or(0);
        let mut x = inner.x;
        for (text, role) in words {
            x = brush.put(x, y, inner.right(), text, *role);
        }
    }
}

fn choice(app: &App, action: Action, text: &str, role: Role) -> Words {
    let keys = app.look.keymap.keys_of(action.info().name);
    // Escape is what people press who want none of it.
    let key = keys.iter().find(|key| *key == "esc").or(keys.first()).cloned().unwrap_or_default();
    vec![(format!("{key:>5}  "), Role::Key), (text.to_owned(), role)]
}

fn boxed(title: &str, lines: &[Words], area: Rect, brush: &mut Brush<'_>) {
    let width = lines.iter().map(|words| words.iter().map(|(text, _)| cut::width(text)).sum::<usize>()).max().unwrap_or(0);
    let size = |count: usize| u16::try_from(count).unwrap_or(u16::MAX - 8);
    let inner = frame(title, size(width), size(lines.len()), area, brush);
    draw_words(lines, inner, brush);
}

fn draw_confirm(app: &App, confirm: &Confirm, area: Rect, brush: &mut Brush<'_>) {
    let room = usize::from(area.width.saturating_sub(8)).min(76);
    let mut lines: Vec<Words> =
        wrap::prose(&tamed(&confirm.question), room).into_iter().map(|line| vec![(line, Role::Danger)]).collect();
    if confirm.is_whole {
        let line = |line: &String| crate::tui::inbox::request::plain(line, room);
        let parts = confirm.lines.iter().flat_map(line).map(|line| vec![(format!("{}{}", line.mark, line.text), line.role)]);
        lines.extend(parts);
    } else if confirm.lines.len() > 1 {
        let most = usize::from(area.height.saturating_sub(10)).min(10);
        lines.extend(confirm.lines.iter().take(most).map(|line| vec![(format!("  {}", tamed(line)), Role::Text)]));
        if confirm.lines.len() > most {
            lines.push(vec![(format!("  and {} more", confirm.lines.len() - most), Role::Dim)]);
        }
    }
    lines.push(Vec::new());
    lines.push(choice(app, Action::DialogYes, "yes", Role::Text));
    lines.push(choice(app, Action::DialogNo, "no", Role::Text));
    boxed("", &lines, area, brush);
}

fn draw_leave(app: &App, [running, waiting, held]: [u32; 3], area: Rect, brush: &mut Brush<'_>) {
    let mut counts = Vec::new();
    for (count, word) in [(running, "running"), (waiting, "waiting"), (held, "held")] {
        if count > 0 {
            counts.push(format!("{count} {word}"));
        }
    }
    counts.extend(super::header::scheduled(app).map(|(text, _)| text));
    let is_scheduled = app.mirror.overview.schedules > 0;
    let (wait, cancel) = match is_scheduled {
        true => ("leave once every job is over; then no schedule fires", "cancel every job, then leave; then no schedule fires"),
        false => ("leave once everything is over", "cancel everything, then leave"),
    };
    let lines = vec![
        vec![(format!("Not over: {}.", counts.join(", ")), Role::Strong)],
        Vec::new(),
        choice(app, Action::DialogLeave, "leave it to a background manager", Role::Text),
        choice(app, Action::DialogWait, wait, Role::Text),
        choice(app, Action::DialogCancelAll, cancel, Role::Danger),
        choice(app, Action::DialogNo, "stay", Role::Text),
    ];
    boxed("Leave", &lines, area, brush);
}

/// All keys, made of the action table and the keymap.
fn help(app: &App) -> Vec<Words> {
    let mut lines: Vec<Words> = Vec::new();
    for scope in Scope::ALL {
        if !lines.is_empty() {
            lines.push(Vec::new());
        }
        lines.push(vec![(scope.title().to_owned(), Role::Heading)]);
        for info in TABLE.iter().filter(|info| info.scope == scope) {
            let keys = app.look.keymap.keys_of(info.name).join("  ");
            let role = if info.danger { Role::Danger } else { Role::Text };
            lines.push(vec![(format!("{:20}", cut::end(&keys, 19, "..")), Role::Key), (info.doc.to_owned(), role)]);
        }
    }
    lines
}

/// Warnings, faults of the configuration, and the messages that passed.
fn messages(app: &App, width: usize) -> Vec<Words> {
    let room = width.saturating_sub(8).min(96);
    let mut lines: Vec<Words> = Vec::new();
    let mut add = |text: &str, role: Role| {
        for line in text.lines() {
            lines.extend(wrap::prose(&tamed(line), room).into_iter().map(|part| vec![(part, role)]));
        }
    };
    if let Some(why) = &app.read_only {
        add(&format!("read-only, nothing can be changed: {why}"), Role::Warning);
    }
    app.mirror.overview.warnings.iter().for_each(|warning| add(warning, Role::Warning));
    app.look.faults.iter().for_each(|fault| add(&fault.to_string(), Role::Warning));
    for toast in app.toasts.all.iter().rev() {
        let role = if toast.kind == Kind::Fault { Role::Bad } else { Role::Text };
        add(&format!("{} {}", app.time(toast.at), toast.text), role);
    }
    if lines.is_empty() {
        lines.push(vec![("no messages".to_owned(), Role::Dim)]);
    }
    lines
}

fn draw_list(lines: &[Words], title: &str, top: usize, area: Rect, brush: &mut Brush<'_>) {
    let width = lines.iter().map(|words| words.iter().map(|(text, _)| cut::width(text)).sum::<usize>()).max().unwrap_or(0);
    let size = |count: usize| u16::try_from(count).unwrap_or(u16::MAX - 8);
    let inner = frame(title, size(width), size(lines.len()), area, brush);
    let top = top.min(lines.len().saturating_sub(usize::from(inner.height)));
    draw_words(&lines[top..], inner, brush);
    if lines.len() > usize::from(inner.height) {
        let text = format!(" {}-{} of {} ", top + 1, (top + usize::from(inner.height)).min(lines.len()), lines.len());
        brush.put_right(inner.x, inner.bottom(), inner.right(), &text, Role::Dim);
    }
}

fn draw_palette(app: &App, palette: &Palette, area: Rect, brush: &mut Brush<'_>) -> (u16, u16) {
    // As high as what it found; its first line stays where it is while one types.
    let most = area.height.saturating_sub(4).min(18);
    let height = u16::try_from(palette.found.len().max(1)).unwrap_or(most).saturating_add(1).min(most);
    let top = area.y + (area.height.saturating_sub(most + 2)) / 2;
    let inner = frame("Palette", 72, height, Rect { y: top, height: (height + 2).min(area.bottom() - top), ..area }, brush);
    let x = brush.put(inner.x, inner.y, inner.right(), ": ", Role::Key);
    let cursor = brush.put(x, inner.y, inner.right(), &tamed(&palette.text), Role::Text);
    let rows = usize::from(inner.height.saturating_sub(1));
    let top = palette.chosen.saturating_sub(rows.saturating_sub(1));
    if palette.found.is_empty() {
        brush.put(inner.x, inner.y + 1, inner.right(), "no such action", Role::Dim);
    }
    for (line, action) in palette.found.iter().skip(top).take(rows).enumerate() {
        let y = inner.y + 1 + u16::try_from(line).unwrap_or(0);
        let info = action.info();
        let keys = app.look.keys(*action);
        let end = brush.put_right(inner.x + 20, y, inner.right(), &keys, Role::Key).saturating_sub(1);
        let is_chosen = top + line == palette.chosen;
        let sign = if is_chosen { brush.look.pick("›", ">") } else { " " };
        let x = brush.put(inner.x, y, end, &format!("{sign} {:18}", info.name), Role::Strong);
        let doc = cut::end(info.doc, usize::from(end.saturating_sub(x)), brush.look.dots()).into_owned();
        brush.put(x, y, end, &doc, Role::Dim);
        if is_chosen {
            brush.restyle(Rect { y, height: 1, ..inner }, Role::Selection);
        }
    }
    (cursor.min(inner.right().saturating_sub(1)), inner.y)
}
