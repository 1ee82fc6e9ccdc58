//! Commands that only read.

mod events;
mod show;

use crate::api::client::{Client, ClientError};
use crate::model::ids::{Address, JobRef};
use crate::model::live::{how_far, on_its_way};
use crate::model::message::{Answer, JobView, MAX_PAGE, Page, Query, StatusView, TaskView};
use crate::model::state::{TaskKind, TaskState};
use crate::model::time::Utc;

use super::args::Format;
use super::context::{Context, Failure};
use super::print::{self, Cell, Ink, Printer, cell};

pub(super) use events::{change_text, events};
pub(super) use show::show;

pub(super) fn status(context: &Context, address: Option<&Address>) -> Result<(), Failure> {
    if let Some(address) = address {
        return show(context, address);
    }
    let mut client = context.reader()?;
    let view = match client.query(Query::Status) {
        Ok(Page { body: Answer::Status(view), .. }) => *view,
        Ok(_) => return Err(unexpected()),
        Err(error) if context.printer.for_people() && !context.home.database().exists() => {
            print::out(&format!(
                "nothing here yet in {}\n\nbegin with:\n  airx run FILE      run a job file\n  airx claude PROMPT queue a Claude task\n  airx doctor        see whether everything is in place\n",
                context.home.path.display()
            ));
            drop(error);
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    if context.is_json() {
        print::out(&print::value(context.global.output, &view));
        return Ok(());
    }
    if context.global.output == Format::Plain {
        let rows: Vec<_> = view.recent.iter().map(|job| job_row(&context.printer, job, now())).collect();
        print::out(&print::plain(&rows));
        return Ok(());
    }
    print::out(&status_text(&printer_of(context, client.as_mut()), &view, now()));
    Ok(())
}

/// How things are printed for people here: dollars that nobody pays are marked.
pub(super) fn printer_of(context: &Context, client: &mut dyn Client) -> Printer {
    match client.query(Query::Usage).map(|page| page.body) {
        Ok(Answer::Usage(usage)) => context.printer.paying(&usage),
        _ => context.printer.paid_by_key(false),
    }
}

fn status_text(printer: &Printer, view: &StatusView, now: Utc) -> String {
    let mut text = String::new();
    let manager = view.manager.map_or("no manager".to_owned(), |pid| format!("manager {pid}"));
    let mut counts = Vec::new();
    for (kind, word) in [
        (TaskKind::Running, "running"),
        (TaskKind::Queued, "queued"),
        (TaskKind::AwaitingApproval, "awaiting approval"),
        (TaskKind::Held, "held"),
        (TaskKind::Pending, "pending"),
        (TaskKind::Completed, "completed"),
        (TaskKind::Failed, "failed"),
        (TaskKind::Cancelled, "cancelled"),
    ] {
        let count = match kind {
            TaskKind::Running => view.tasks.live(),
            kind => view.tasks.of(kind),
        };
        if count > 0 || matches!(kind, TaskKind::Running | TaskKind::Queued) {
            let (sign, ink) = printer.task_sign(kind);
            counts.push(printer.ink(ink, &format!("{sign} {count} {word}")));
        }
    }
    text.push_str(&format!("{manager}   {}", counts.join("  ")));
    if view.cost_microusd > 0 {
        text.push_str(&format!("   {}", printer.money(view.cost_microusd)));
    }
    text.push('\n');
    let pools: Vec<String> = view.pools.iter().map(|pool| format!("{} {} of {}", pool.name, pool.used, pool.slots)).collect();
    if !pools.is_empty() {
        text.push_str(&format!("slots   {}\n", pools.join(", ")));
    }
    if view.paused {
        text.push_str(&printer.ink(Ink::Wait, "everything is paused: `airx resume` goes on\n"));
    }
    if view.schedules > 0 {
        let next = view.next_due.map_or_else(String::new, |at| format!(", next {}", printer.time(at, now)));
        text.push_str(&format!("scheduled   {}{next}\n", view.schedules));
    }
    for warning in &view.warnings {
        text.push_str(&printer.ink(Ink::Wait, &format!("{warning}\n")));
    }
    if view.recent.is_empty() {
        text.push_str("\nno jobs yet: `airx run FILE` begins one\n");
    } else {
        text.push('\n');
        text.push_str(&job_table(printer, &view.recent, now));
    }
    text
}

pub(super) fn jobs(context: &Context, limit: u32) -> Result<(), Failure> {
    let mut client = context.reader()?;
    let mut jobs: Vec<JobView> = Vec::new();
    while (jobs.len() as u32) < limit {
        let before = jobs.last().map(|job| job.id);
        let Answer::Jobs(page) = client.query(Query::Jobs { before, limit: (limit - jobs.len() as u32).min(MAX_PAGE) })?.body
        else {
            return Err(unexpected());
        };
        if page.is_empty() {
            break;
        }
        jobs.extend(page);
    }
    let text = match context.global.output {
        Format::Json => print::value(context.global.output, &jobs),
        Format::Jsonl => jobs.iter().map(print::json_line).collect(),
        Format::Plain => print::plain(&jobs.iter().map(|job| job_row(&context.printer, job, now())).collect::<Vec<_>>()),
        Format::Table if jobs.is_empty() => "no jobs yet: `airx run FILE` begins one\n".to_owned(),
        Format::Table => job_table(&printer_of(context, client.as_mut()), &jobs, now()),
    };
    print::out(&text);
    Ok(())
}

fn job_table(printer: &Printer, jobs: &[JobView], now: Utc) -> String {
    let rows: Vec<Vec<Cell>> = jobs.iter().map(|job| job_row(printer, job, now)).collect();
    print::table(printer, &["", "job", "state", "tasks", "submitted", "cost", ""], &rows)
}

fn job_row(printer: &Printer, job: &JobView, now: Utc) -> Vec<Cell> {
    let (sign, ink) = printer.job_sign(job.state);
    let work = job.work();
    let done = work.terminal();
    let mut more = Vec::new();
    let kinds = [
        (TaskKind::Running, "running"),
        (TaskKind::AwaitingApproval, "awaiting approval"),
        (TaskKind::Held, "held"),
        (TaskKind::Failed, "failed"),
    ];
    for (kind, word) in kinds {
        let count = if kind == TaskKind::Running { work.live() } else { work.of(kind) };
        if count > 0 {
            more.push(format!("{count} {word}"));
        }
    }
    if job.paused {
        more.push("paused".to_owned());
    }
    if let Some(parent) = &job.parent {
        more.push(format!("of {}", parent.address));
    }
    vec![
        cell(sign, ink),
        cell(job.name.to_string(), Ink::Bold),
        cell(job.state.word(), ink),
        format!("{done}/{}", work.total()).into(),
        printer.time(job.submitted, now).into(),
        printer.money(job.cost_microusd).into(),
        cell(more.join(", "), Ink::Dim),
    ]
}

/// All tasks of a job, page by page.
pub(super) fn all_tasks(client: &mut dyn Client, job: &JobRef) -> Result<Vec<TaskView>, ClientError> {
    let mut tasks: Vec<TaskView> = Vec::new();
    loop {
        let from = tasks.last().map_or(0, |task| task.idx + 1);
        let query = Query::Tasks { job: job.clone(), from, limit: MAX_PAGE, kinds: Vec::new() };
        let Answer::Tasks(page) = client.query(query)?.body else { return Err(ClientError::protocol("no tasks".to_owned())) };
        if page.is_empty() {
            return Ok(tasks);
        }
        tasks.extend(page);
    }
}

/// Why a task waits or how it failed, or how far it is.
pub(super) fn reason(task: &TaskView) -> String {
    let outcome = || task.outcome.as_ref().map(crate::model::state::Outcome::sentence).unwrap_or_default();
    match &task.state {
        TaskState::Failed => outcome(),
        TaskState::Held { .. } => {
            let last = outcome();
            let why = task.why.clone().unwrap_or_default();
            // What holds it may be what ended the last attempt: then it is said already.
            let said = last.strip_prefix("could not start: ").is_some_and(|reason| why.ends_with(reason));
            if last.is_empty() || said { why } else { format!("{why} ({last})") }
        }
        TaskState::Starting { .. } => beside(task, task.progress.as_ref().map(on_its_way).unwrap_or_default()),
        TaskState::Running { .. } => beside(task, how_far(task.progress.as_ref(), task.run.as_deref())),
        _ => task.why.clone().unwrap_or_default(),
    }
}

/// How far a live task is; after why nothing more is known of it, when that is so.
fn beside(task: &TaskView, far: String) -> String {
    match &task.why {
        None => far,
        Some(why) if far.is_empty() => why.clone(),
        Some(why) => format!("{why} ({far})"),
    }
}

pub(super) fn unexpected() -> Failure {
    Failure {
        code: 3,
        message: "the manager answered something else than was asked".to_owned(),
        hint: "restart it: `airx stop`".to_owned(),
    }
}

pub(super) fn now() -> Utc {
    crate::os::now().utc
}
