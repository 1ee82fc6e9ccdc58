//! What a task is, and how its attempts ended.

use ratatui::layout::Rect;

use crate::config::theme::Role;
use crate::model::artifact::DIRECTORY;
use crate::model::by_hand;
use crate::model::message::{AttemptView, TaskDetail};
use crate::model::money::{Dollars, most};
use crate::model::spec::{Action, EnvValue, Retry, RetryClass, SecretRef, Trust};
use crate::model::state::TaskKind;
use crate::tui::app::App;
use crate::tui::data::mirror::JobRow;
use crate::tui::data::row::NONE;
use crate::tui::text::harmless::tamed;
use crate::tui::text::{time, wrap};

use super::brush::Brush;
use super::{states, tree};

mod approval;
mod decides;
mod run;

/// Artifacts of an attempt that are named.
const MAX_ARTIFACTS: usize = 20;
/// Columns of the names on the left.
const NAMES: usize = 12;

/// Lines with their roles: a heading, or a name and a value.
#[derive(Default)]
struct Sheet {
    lines: Vec<Vec<(String, Role)>>,
    width: usize,
}

impl Sheet {
    fn new(width: u16) -> Sheet {
        Sheet { lines: Vec::new(), width: usize::from(width) }
    }

    fn heading(&mut self, text: &str) {
        if !self.lines.is_empty() {
            self.lines.push(Vec::new());
        }
        self.lines.push(vec![(text.to_owned(), Role::Heading)]);
    }

    fn field(&mut self, name: &str, value: &str, role: Role) {
        if value.is_empty() {
            return;
        }
        let room = self.width.saturating_sub(NAMES + 2);
        let mut name = format!("{name:NAMES$} ");
        for line in value.lines().take(200) {
            for part in wrap::prose(&tamed(line), room) {
                self.lines.push(vec![(std::mem::replace(&mut name, " ".repeat(NAMES + 1)), Role::Dim), (part, role)]);
            }
        }
    }

    /// Text as it is, cut at the edge.
    fn code(&mut self, text: &str) {
        for line in text.lines().take(200) {
            self.lines.push(vec![(format!("  {}", tamed(line)), Role::Code)]);
        }
    }

    fn draw(&self, top: usize, area: Rect, brush: &mut Brush<'_>) {
        let top = top.min(self.lines.len().saturating_sub(1));
        for (line, words) in self.lines.iter().skip(top).take(usize::from(area.height)).enumerate() {
            let y = area.y + u16::try_from(line).unwrap_or(0);
            let mut x = area.x + 1;
            for (text, role) in words {
                x = brush.put(x, y, area.right(), text, *role);
            }
        }
    }
}

/// Draws it.
pub fn draw(app: &App, area: Rect, brush: &mut Brush<'_>) {
    match sheet(app, area.width) {
        Some(sheet) => sheet.draw(app.pane.info_top, area, brush),
        None => {
            let text = app.pane.failure.clone().unwrap_or_else(|| "reading".to_owned());
            states::Lines::dim(text).draw(brush, area);
        }
    }
}

/// A job's sheet in the place of its output.
pub fn draw_job(app: &App, area: Rect, brush: &mut Brush<'_>) {
    draw(app, area, brush);
}

/// How the dollars of what the pane shows are written.
pub fn dollars(app: &App) -> Dollars {
    match (app.pane.subject, app.pane.detail.as_deref()) {
        (Some(subject), Some(detail)) => run::dollars(app, detail, app.mirror.task(subject.job, subject.task)),
        _ => app.dollars(),
    }
}

/// Lines that it has, for scrolling.
pub fn height(app: &App, width: u16) -> usize {
    sheet(app, width).map_or(0, |sheet| sheet.lines.len())
}

fn sheet(app: &App, width: u16) -> Option<Sheet> {
    let subject = app.pane.subject?;
    let job = app.mirror.job(subject.job)?;
    let mut sheet = Sheet::new(width);
    if subject.task == NONE {
        job_sheet(app, job, &mut sheet);
    } else {
        let detail = app.pane.detail.as_deref()?;
        task_sheet(app, job, subject.task, detail, &mut sheet);
    }
    Some(sheet)
}

fn job_sheet(app: &App, job: &JobRow, sheet: &mut Sheet) {
    let view = &job.view;
    sheet.heading(&view.name.to_string());
    let spec = job.spec.as_deref();
    sheet.field("description", spec.and_then(|spec| spec.description.as_deref()).unwrap_or_default(), Role::Text);
    let paused = if view.paused { ", paused" } else { "" };
    let stopped = if view.stopped { ", stopped after a failure" } else { "" };
    sheet.field("state", &format!("{}{paused}{stopped}", view.state.word()), Role::Text);
    for kind in TaskKind::ALL {
        let count = view.tasks.of(kind);
        if count > 0 {
            let (sign, role) = app.look.sign(kind);
            sheet.field(kind.word(), &format!("{sign} {count}"), role);
        }
    }
    sheet.field("submitted", &app.time(view.submitted), Role::Text);
    sheet.field("last change", &app.time(view.updated), Role::Text);
    sheet.field("cost", &tree::cost(app, job), Role::Cost);
    sheet.field("budget", &spec.and_then(|spec| spec.budget).map(|budget| most(&budget)).unwrap_or_default(), Role::Text);
    if let Some(spec) = spec {
        sheet.field("workspace", &spec.workspace.display().to_string(), Role::Text);
        sheet.field("pool", &spec.pool, Role::Text);
        sheet.field("max_parallel", &spec.max_parallel.to_string(), Role::Text);
        let priority = if view.priority == 0 { String::new() } else { view.priority.to_string() };
        sheet.field("priority", &priority, Role::Text);
        let params: Vec<String> = spec.params.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        sheet.field("params", &params.join("\n"), Role::Text);
        if let Some(source) = &spec.source {
            sheet.heading("Definition");
            sheet.code(&source.text);
        }
    }
    let failed = job.tasks.iter().filter(|task| task.kind == TaskKind::Failed && !task.is_mapped()).take(20);
    let mut any = false;
    for task in failed {
        if !std::mem::replace(&mut any, true) {
            sheet.heading("Failed");
        }
        sheet.field(&task.id, &tree::reason(app, job, task).0, Role::Bad);
    }
}

fn task_sheet(app: &App, job: &JobRow, place: u32, detail: &TaskDetail, sheet: &mut Sheet) {
    let row = job.tasks.get(place as usize);
    let dollars = run::dollars(app, detail, row);
    if let Some(row) = row {
        let (sign, role) = app.look.sign(row.kind);
        sheet.heading(&format!("{}/{}", detail.job, detail.task.id));
        sheet.field("state", &format!("{sign} {}", row.kind.word()), role);
        let (reason, role) = tree::reason(app, job, row);
        sheet.field("because", &reason, role);
    }
    decides::sheet(app, row, detail, sheet);
    let cost = row.map_or(detail.task.cost_microusd, |row| row.whole_cost().max(detail.task.cost_microusd));
    sheet.field("cost", &dollars.show(cost), Role::Cost);
    if let Some(result) = &detail.result {
        let text = match result {
            crate::model::change::TaskResult::Inline(value) => value.to_string(),
            crate::model::change::TaskResult::File { bytes, .. } => {
                format!("{}: airx show --result prints it", time::bytes(*bytes))
            }
        };
        let text: String = text.chars().take(2_000).collect();
        sheet.field("result", &text, Role::Text);
    }
    if detail.task.mapping.is_none() {
        run::sheet(app, job, row, detail, sheet);
    }
    if let Some(question) = &detail.approval {
        approval::sheet(app, question, sheet);
    }
    for attempt in detail.attempts.iter().rev().take(50) {
        self::attempt(app, job, detail, attempt, sheet);
    }
    definition(detail, sheet);
    if detail.approval.is_none() {
        environment(job, detail, sheet);
    }
}

/// The session of an attempt, as printed or as chosen at its launch.
fn session(attempt: &AttemptView) -> Option<String> {
    let printed = attempt.facts.as_ref().and_then(|facts| facts.claude.as_ref()?.session.clone());
    printed.or_else(|| attempt.session.clone())
}

/// How to go on with a session by hand: it is found again only where it was begun.
fn by_hand(job: &JobRow, detail: &TaskDetail, attempt: &AttemptView, sheet: &mut Sheet) {
    if let (Some(session), Action::Claude(_)) = (session(attempt), &detail.spec.action) {
        let Some(spec) = &job.spec else { return };
        let command = by_hand::command(spec, &detail.spec, &session);
        sheet.field("by hand", &command.replacen(" && ", "\n", 1), Role::Code);
    }
}

fn attempt(app: &App, job: &JobRow, detail: &TaskDetail, attempt: &AttemptView, sheet: &mut Sheet) {
    sheet.heading(&format!("Attempt {}", attempt.number));
    match &attempt.outcome {
        Some(outcome) => {
            let role = if *outcome == crate::model::state::Outcome::Succeeded { Role::Good } else { Role::Bad };
            sheet.field("outcome", &outcome.sentence(), role);
        }
        None => sheet.field("outcome", "not over", Role::Busy),
    }
    sheet.field("opened", &app.time(attempt.opened), Role::Text);
    if let Some(closed) = attempt.closed {
        sheet.field("closed", &app.time(closed), Role::Text);
    }
    sheet.field("pool", &attempt.pool, Role::Text);
    if let Some(facts) = &attempt.facts {
        sheet.field("ran", &time::took(facts.elapsed_ms), Role::Text);
        let used = format!("{} of processor, {} at most", time::took(facts.cpu_ms), time::bytes(facts.max_rss_kib << 10));
        sheet.field("used", &used, Role::Text);
        sheet.field("output", &format!("{} out, {} err", time::bytes(facts.out_bytes), time::bytes(facts.err_bytes)), Role::Text);
        if facts.leftovers > 0 {
            sheet.field("leftovers", &format!("{} processes were ended after it", facts.leftovers), Role::Warning);
        }
        if let Some(artifacts) = &facts.artifacts {
            let sum =
                format!("{} ({}) in {}", artifacts.count, time::bytes(artifacts.bytes), attempt.dir.join(DIRECTORY).display());
            sheet.field("artifacts", &sum, Role::Text);
            let named =
                artifacts.named.iter().take(MAX_ARTIFACTS).map(|file| format!("{}, {}", file.name, time::bytes(file.bytes)));
            sheet.field("", &named.collect::<Vec<_>>().join("\n"), Role::Dim);
        }
        facts.notes.iter().for_each(|note| sheet.field("note", note, Role::Warning));
        if let Some(claude) = &facts.claude {
            sheet.field("model", claude.model.as_deref().unwrap_or_default(), Role::Text);
            let tokens = format!("{} in, {} out, {} turns", claude.input_tokens, claude.output_tokens, claude.turns);
            sheet.field("tokens", &tokens, Role::Text);
            sheet.field("cost", &app.dollars().paid_by_key(claude.pays_by_key).show(claude.cost_microusd), Role::Cost);
            sheet.field("denied", &claude.denials.join(", "), Role::Warning);
        }
    }
    // That of the newest one stands above.
    if attempt.number < detail.attempts.last().map_or(0, |last| last.number) {
        by_hand(job, detail, attempt, sheet);
    }
    sheet.field("directory", &attempt.dir.display().to_string(), Role::Dim);
}

fn definition(detail: &TaskDetail, sheet: &mut Sheet) {
    sheet.heading("Definition");
    match &detail.spec.action {
        Action::Run(script) => sheet.code(script),
        Action::Command { program, args } => {
            sheet.code(&std::iter::once(program).chain(args).cloned().collect::<Vec<_>>().join(" "))
        }
        Action::Job(child) => {
            sheet.field("job file", &child.file, Role::Text);
            for (name, value) in &child.params {
                sheet.field(name, &value.to_string(), Role::Text);
            }
        }
        Action::Approve(asks) => {
            sheet.field("asks", &asks.message, Role::Text);
            sheet.field("shows", asks.show.as_deref().unwrap_or_default(), Role::Text);
            sheet.field("of", &asks.who.join(", "), Role::Text);
            return;
        }
        Action::Claude(claude) => {
            sheet.field("model", claude.model.as_deref().unwrap_or_default(), Role::Text);
            sheet.field("permissions", claude.permission_mode.as_deref().unwrap_or_default(), Role::Text);
            let trust = claude.trust.map_or("", |trust| if trust == Trust::Project { "project" } else { "none" });
            sheet.field("trust", trust, Role::Text);
            sheet.field("tools", &claude.allowed_tools.join(", "), Role::Text);
            sheet.field("prompt", &claude.prompt, Role::Text);
        }
    }
    let limits = &detail.spec.limits;
    sheet.field("timeout", &limits.timeout_ms.map(time::duration).unwrap_or_default(), Role::Text);
    if limits.retry.attempts > 1 {
        let text = format!("{} attempts, first after {}", limits.retry.attempts, time::duration(limits.retry.delay_ms));
        sheet.field("retry", &text, Role::Text);
    }
    sheet.field("retry on", &retries(&limits.retry), Role::Text);
    sheet.field("accept", detail.spec.accept.as_ref().map_or("", |gate| gate.run.as_str()), Role::Text);
}

/// What differs for some outcomes.
fn retries(retry: &Retry) -> String {
    let said = |class: &RetryClass| {
        let rule = retry.rule(*class);
        match rule.attempts {
            1 => format!("{class}: never"),
            attempts => format!("{class}: {attempts} attempts, first after {}", time::duration(rule.delay_ms)),
        }
    };
    retry.on.keys().map(said).collect::<Vec<_>>().join("; ")
}

/// Names and values; of secrets only where they come from.
fn environment(job: &JobRow, detail: &TaskDetail, sheet: &mut Sheet) {
    let own = &detail.spec.env;
    let of_job = job.spec.as_ref().map(|spec| &spec.env);
    let all: std::collections::BTreeMap<&String, &EnvValue> = of_job.into_iter().flatten().chain(own).collect();
    let passed = job.spec.as_ref().map(|spec| spec.passed_env.keys().cloned().collect::<Vec<_>>().join(", "));
    sheet.heading("Environment");
    // Their values are the submitter's, and may be secrets.
    sheet.field("passed on", &passed.unwrap_or_default(), Role::Dim);
    for (name, value) in all {
        let shown = match value {
            EnvValue::Text(text) => text.clone(),
            EnvValue::From(SecretRef::Env(name)) => format!("secret from env:{name}"),
            EnvValue::From(SecretRef::File(path)) => format!("secret from file:{}", path.display()),
            EnvValue::From(SecretRef::Command(_)) => "secret from a command".to_owned(),
        };
        sheet.field(name, &shown, Role::Text);
    }
}
