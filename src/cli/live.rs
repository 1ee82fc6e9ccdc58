//! A picture of a job on a terminal: one bar, one line for each running task, drawn over the last one.

use std::io::Write;

use unicode_width::UnicodeWidthStr;

use crate::model::message::{JobView, TaskView, UsageView};
use crate::model::state::TaskKind;

use super::print::{Ink, Printer, duration, harmless, middle};
use super::read::{now, reason};

/// The picture that is on the terminal.
pub(super) struct Live {
    printer: Printer,
    lines: usize,
    /// The cost when it was asked last who pays.
    cost: u64,
}

impl Live {
    pub fn new(printer: Printer) -> Live {
        Live { printer, lines: 0, cost: 0 }
    }

    /// Whether there is another cost than when it was asked last who pays.
    pub fn wants_usage(&mut self, job: &JobView) -> bool {
        std::mem::replace(&mut self.cost, job.cost_microusd) != job.cost_microusd
    }

    /// Who pays.
    pub fn set_usage(&mut self, usage: &UsageView) {
        self.printer = self.printer.paying(usage);
    }

    /// Draws the job as it is now.
    pub fn draw(&mut self, job: &JobView, running: &[TaskView]) {
        let (columns, rows) = crate::os::terminal_size().unwrap_or((80, 24));
        let lines = picture(&self.printer, job, running, usize::from(columns), usize::from(rows));
        let mut text = self.back();
        for line in &lines {
            text.push_str(line);
            text.push_str("\x1b[K\n");
        }
        text.push_str("\x1b[J");
        self.lines = lines.len();
        write(&text);
    }

    /// Takes the picture away.
    pub fn clear(&mut self) {
        let text = self.back() + "\x1b[J";
        self.lines = 0;
        write(&text);
    }

    fn back(&self) -> String {
        if self.lines > 0 { format!("\x1b[{}A\r", self.lines) } else { "\r".to_owned() }
    }
}

fn write(text: &str) {
    let mut stdout = std::io::stdout().lock();
    // A terminal that is gone will be noticed by the next signal or write of text that matters.
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// The lines of a picture that fits `columns` by `rows`.
fn picture(printer: &Printer, job: &JobView, running: &[TaskView], columns: usize, rows: usize) -> Vec<String> {
    let columns = columns.saturating_sub(1);
    let mut lines = vec![bar(printer, job, columns)];
    // One row for the bar and one for the cursor stay free.
    let room = rows.saturating_sub(3).max(1);
    let shown = if running.len() > room { room - 1 } else { running.len() };
    for task in running.iter().take(shown) {
        lines.push(running_line(printer, job, task, columns));
    }
    if running.len() > shown {
        lines.push(format!("  and {} more running", running.len() - shown));
    }
    lines
}

fn bar(printer: &Printer, job: &JobView, columns: usize) -> String {
    let work = job.work();
    let (total, done) = (work.total().max(1), work.terminal());
    let mut more = Vec::new();
    for (kind, word) in [(TaskKind::Failed, "failed"), (TaskKind::Held, "held"), (TaskKind::Queued, "queued")] {
        if work.of(kind) > 0 {
            more.push(format!("{} {word}", work.of(kind)));
        }
    }
    if job.paused {
        more.push("paused".to_owned());
    }
    let tail = format!(" {done}/{total}  {}  {}", more.join(", "), printer.money(job.cost_microusd)).trim_end().to_owned();
    let name = harmless(&job.name.to_string(), columns / 3);
    let room = columns.saturating_sub(name.width() + tail.width() + 2).min(30);
    let filled = room * done as usize / total as usize;
    let (full, empty) = if printer.unicode { ("█", "░") } else { ("#", "-") };
    let ink = if job.tasks.of(TaskKind::Failed) > 0 { Ink::Bad } else { Ink::Good };
    let picture = format!("{}{}", printer.ink(ink, &full.repeat(filled)), printer.ink(Ink::Dim, &empty.repeat(room - filled)));
    format!("{} {picture}{}", printer.ink(Ink::Bold, &name), harmless(&tail, columns.saturating_sub(name.width() + room + 1)))
}

fn running_line(printer: &Printer, job: &JobView, task: &TaskView, columns: usize) -> String {
    let (sign, ink) = printer.task_sign(task.state.kind());
    let time = task.started.map(|started| duration(now().since(started))).unwrap_or_default();
    let attempt = if task.attempts > 1 { format!(" (attempt {})", task.attempts) } else { String::new() };
    let reason = match task.state.kind() {
        TaskKind::AwaitingApproval => format!("waits for approval: airx approve {}/{}, or airx reject", job.name, task.id),
        _ => reason(task),
    };
    let rest = format!("{attempt}  {time}  {reason}");
    let columns = columns.saturating_sub(3 + sign.width());
    // How far it is matters more than the end of a long name.
    let id = match &task.item {
        Some(item) => format!("{} {}", task.id, harmless(item, 60)),
        None => task.id.clone(),
    };
    let name = middle(&id, columns.saturating_sub(rest.trim_end().width()).max(columns / 3));
    let text = format!("{name}{}", rest.trim_end());
    format!("  {} {}", printer.ink(ink, sign), harmless(&text, columns))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Format, When};

    #[test]
    fn how_far_a_task_is_survives_a_long_name() {
        let printer = Printer::new(Format::Table, When::Never, false, |name| (name == "LANG").then(|| "C.UTF-8".to_owned()));
        let task: TaskView = serde_json::from_value(serde_json::json!({
            "idx": 0, "id": "b".repeat(90), "state": { "state": "queued" }, "why": "3/4 step", "attempts": 2, "updated": 0,
            "cost_microusd": 0,
        }))
        .unwrap();
        let job: JobView = serde_json::from_value(serde_json::json!({
            "id": 1, "name": "j.1", "state": "working", "paused": false, "stopped": false, "tasks": [], "submitted": 0,
            "updated": 0, "cost_microusd": 0,
        }))
        .unwrap();
        let line = running_line(&printer, &job, &task, 60);
        assert!(line.ends_with("bb (attempt 2)    3/4 step") && line.contains('…') && line.width() <= 60, "{line}");
    }
}
