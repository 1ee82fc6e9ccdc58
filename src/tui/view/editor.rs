//! The editor of job files: the text with line numbers, its faults marked, and what the check says.

use ratatui::layout::Rect;

use crate::config::theme::Role;
use crate::tui::action::Action;
use crate::tui::app::App;
use crate::tui::app::editor::{Checked, Editor, TEMPLATES};
use crate::tui::text::harmless::tamed;
use crate::tui::text::{cut, wrap};

use super::brush::Brush;

/// Columns of the line numbers.
const NUMBERS: u16 = 5;
/// Lines below the text.
pub const BELOW: u16 = 4;

/// Draws it; where the cursor is.
pub fn draw(app: &App, area: Rect, brush: &mut Brush<'_>) -> Option<(u16, u16)> {
    let editor = app.editor.as_ref()?;
    let right = match editor.template.filter(|_| !editor.touched) {
        Some(template) => format!("template: {}", TEMPLATES[template % TEMPLATES.len()].0),
        None => String::new(),
    };
    brush.border(area, &tamed(&editor.file), &right, true);
    let inner = Rect { x: area.x + 1, y: area.y + 1, width: area.width.saturating_sub(2), height: area.height.saturating_sub(2) };
    let text = Rect { height: inner.height.saturating_sub(BELOW), ..inner };
    let cursor = draw_text(editor, text, brush);
    let below = Rect { y: text.bottom(), height: inner.height.saturating_sub(text.height), ..inner };
    draw_check(editor, below, brush);
    cursor
}

fn draw_text(editor: &Editor, area: Rect, brush: &mut Brush<'_>) -> Option<(u16, u16)> {
    let lines = editor.area.lines();
    let (row, column) = {
        let cursor = editor.area.cursor();
        (cursor.0, cursor.1)
    };
    let height = usize::from(area.height.max(1));
    // The cursor stays in the middle of a text that does not fit.
    let top = row.saturating_sub(height / 2).min(lines.len().saturating_sub(height));
    let before: String = lines.get(row).map(|line| line.chars().take(column).collect()).unwrap_or_default();
    let room = usize::from(area.width.saturating_sub(NUMBERS + 1));
    let left = cut::width(&tamed(&before)).saturating_sub(room.saturating_sub(4));
    let faults: Vec<u32> = match &editor.checked {
        Checked::Bad(faults) => faults.iter().map(|fault| fault.line).collect(),
        _ => Vec::new(),
    };
    for (line, text) in lines.iter().enumerate().skip(top).take(height) {
        let y = area.y + u16::try_from(line - top).unwrap_or(0);
        let number = u32::try_from(line).unwrap_or(u32::MAX).saturating_add(1);
        let is_faulty = faults.contains(&number);
        let role = if is_faulty { Role::Bad } else { Role::Dim };
        let sign = if is_faulty { brush.look.pick("✘", "x") } else { " " };
        brush.put(area.x, y, area.right(), &format!("{sign}{number:>3} "), role);
        let shown = tamed(text);
        let hidden = cut::head(&shown, left).len();
        brush.put(area.x + NUMBERS, y, area.right(), &shown[hidden..], Role::Text);
        if is_faulty {
            let width = u16::try_from(cut::width(&shown)).unwrap_or(u16::MAX).min(area.width.saturating_sub(NUMBERS));
            brush.restyle(Rect { x: area.x + NUMBERS, y, width, height: 1 }, Role::EditorFault);
        } else if line == row {
            brush
                .restyle(Rect { x: area.x + NUMBERS, y, width: area.width.saturating_sub(NUMBERS), height: 1 }, Role::EditorLine);
        }
    }
    let x = area.x + NUMBERS + u16::try_from(cut::width(&tamed(&before)).saturating_sub(left)).unwrap_or(0);
    let y = area.y + u16::try_from(row.saturating_sub(top)).unwrap_or(0);
    (x < area.right() && y < area.bottom()).then_some((x, y))
}

fn draw_check(editor: &Editor, area: Rect, brush: &mut Brush<'_>) {
    let width = usize::from(area.width.saturating_sub(2));
    let mut lines: Vec<(String, Role)> = Vec::new();
    match &editor.checked {
        _ if editor.sending => {
            lines.push((if editor.answers.is_some() { "sending" } else { "submitting" }.to_owned(), Role::Dim))
        }
        Checked::No => lines.push(("checking".to_owned(), Role::Dim)),
        Checked::Good(name, tasks, warnings) => {
            let count = if *tasks == 1 { "1 task".to_owned() } else { format!("{tasks} tasks") };
            lines.push((format!("{} no fault: {name}, {count}", brush.look.pick("✓", "+")), Role::Good));
            lines.extend(warnings.iter().map(|warning| (format!("line {}: {}", warning.line, warning.message), Role::Warning)));
        }
        Checked::Input => {
            let key = brush.look.keys(Action::EditorSubmit);
            lines.push((format!("{} a JSON object: {key} allows the tool with it", brush.look.pick("✓", "+")), Role::Good));
        }
        Checked::Bad(faults) => {
            let word = if faults.len() == 1 { "fault" } else { "faults" };
            lines.push((format!("{} {} {word}", brush.look.pick("✘", "x"), faults.len()), Role::Bad));
            if let Some(fault) = editor.fault_here() {
                lines.push((format!("line {}, column {}: {}", fault.line, fault.column, fault.message), Role::Text));
                lines.push((fault.hint.clone(), Role::Dim));
            }
        }
    }
    let mut y = area.y;
    for (text, role) in lines {
        for part in wrap::prose(&tamed(&text), width) {
            if y >= area.bottom() {
                return;
            }
            if !part.is_empty() {
                brush.put(area.x + 1, y, area.right(), &part, role);
                y += 1;
            }
        }
    }
}
