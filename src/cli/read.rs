//! Commands that only read.

use std::time::Duration;

use crate::api::client::{Client, ClientError};
use crate::model::change::{Change, Seq, TaskResult};
use crate::model::ids::{Address, AddressError, JobRef};
use crate::model::live::{how_far, on_its_way};
use crate::model::message::{
    Answer, AttemptView, EventView, JobDetail, JobView, MAX_PAGE, Page, Query, StatusView, TaskDetail, TaskView,
};
use crate::model::said::{said, went_to};
use crate::model::state::{JobState, TaskKind, TaskState};
use crate::model::time::Utc;

use super::args::Format;
use super::context::{Context, Failure};
use super::print::{self, Cell, Ink, Printer, cell};
use super::tasks;

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

pub(super) fn show(context: &Context, address: &Address) -> Result<(), Failure> {
    let mut client = context.reader()?;
    if address.task.is_some() {
        let Answer::Task(detail) = client.query(Query::Task { task: address.clone() })?.body else { return Err(unexpected()) };
        let text = match context.global.output {
            Format::Json | Format::Jsonl => print::value(context.global.output, &detail),
            Format::Plain => print::plain(&detail.attempts.iter().map(attempt_row).collect::<Vec<_>>()),
            Format::Table => task_text(&context.printer, &detail),
        };
        print::out(&text);
        return Ok(());
    }
    let Answer::Job(detail) = client.query(Query::Job { job: address.job.clone() })?.body else { return Err(unexpected()) };
    if context.is_json() {
        // What is printed ends in logs and tickets; the values of the submitter's environment stay in the home.
        let detail = JobDetail { spec: detail.spec.without_values(), ..*detail };
        print::out(&print::value(context.global.output, &detail));
        return Ok(());
    }
    let tasks = all_tasks(client.as_mut(), &address.job)?;
    if context.global.output == Format::Plain {
        print::out(&print::plain(&tasks::plain_rows(&context.printer, &tasks)));
        return Ok(());
    }
    print::out(&job_text(&printer_of(context, client.as_mut()), &detail, &tasks));
    Ok(())
}

fn job_text(printer: &Printer, detail: &JobDetail, tasks: &[TaskView]) -> String {
    let job = &detail.job;
    let (sign, ink) = printer.job_sign(job.state);
    let mut text = format!("{}  {}", printer.ink(ink, &format!("{sign} {}", job.name)), job.state.word());
    if job.paused {
        text.push_str(", paused");
    }
    if let Some(parent) = &job.parent {
        text.push_str(&format!(", child job of {}", parent.address));
    }
    if job.priority != 0 {
        text.push_str(&format!(", priority {}", job.priority));
    }
    if let Some(description) = &detail.spec.description {
        text.push_str(&format!("\n{}", print::harmless(description, 200)));
    }
    text.push_str(&format!(
        "\nsubmitted {}   {}/{} tasks over   max_parallel {}   pool {}   {}\nworkspace {}\n",
        printer.time(job.submitted, now()),
        job.work().terminal(),
        job.work().total(),
        detail.spec.max_parallel,
        detail.spec.pool,
        printer.money(job.cost_microusd),
        detail.spec.workspace.display(),
    ));
    if let Some(scheduled) = &detail.spec.scheduled {
        text.truncate(text.trim_end().len());
        let due = printer.time(scheduled.due, now());
        text.push_str(&format!("\nfrom the schedule {}, due {due}\n", scheduled.schedule));
    }
    text.push_str(&params_text(detail));
    text.push('\n');
    text.push_str(&tasks::table(printer, &job.name, tasks, false));
    if job.state == JobState::Failed {
        text.push_str(&format!("\nto run what failed again: airx requeue {}\n", job.name));
    }
    text
}

/// Its parameters, and which of them were changed since it was submitted.
fn params_text(detail: &JobDetail) -> String {
    let params = &detail.spec.params;
    if params.is_empty() {
        return String::new();
    }
    let said = params.iter().map(|(name, value)| {
        let changed = if detail.params_set.contains(name) { " (changed)" } else { "" };
        format!("{name}={}{changed}", print::harmless(&value.to_string(), 80))
    });
    format!("params {}\n", said.collect::<Vec<_>>().join("  "))
}

fn task_text(printer: &Printer, detail: &TaskDetail) -> String {
    let task = &detail.task;
    let (sign, ink) = printer.task_sign(task.state.kind());
    let title = format!("{sign} {}/{}", detail.job, task.id);
    let mut text = format!("{}  {}", printer.ink(ink, &title), task.state.kind().word());
    let why = reason(task);
    if !why.is_empty() {
        text.push_str(&format!(": {}", print::harmless(&why, 400)));
    }
    text.push('\n');
    text.push_str(&tasks::of_mapping(detail));
    if let Some(question) = &detail.approval {
        text.push_str(&super::questions::approval_text(printer, question));
    }
    if let Some(child) = &task.child {
        let (over, all) = (child.tasks.terminal(), child.tasks.total());
        text.push_str(&format!("child job {}, {over}/{all} tasks over: airx status {}\n", child.job, child.job));
    }
    let definition = serde_json::to_string_pretty(&tasks::definition(&detail.spec)).unwrap_or_default();
    text.push_str(&format!("\n{}\n{}\n", printer.ink(Ink::Dim, "definition"), print::tame(&definition)));
    for attempt in &detail.attempts {
        text.push_str(&attempt_text(printer, &detail.job.to_string(), &task.id, attempt));
    }
    if let Some(command) = &detail.by_hand {
        text.push_str(&format!("\nto continue by hand: {}\n", print::harmless(command, 2_000)));
    }
    if let Some(result) = &detail.result {
        let shown = match result {
            TaskResult::Inline(value) => print::harmless(&value.to_string(), 2_000),
            TaskResult::File { bytes, .. } => {
                format!("{}: airx show {}/{} --result prints it", print::bytes(*bytes), detail.job, task.id)
            }
        };
        text.push_str(&format!("\n{}\n{shown}\n", printer.ink(Ink::Dim, "result")));
    }
    text
}

/// Number, outcome, run time in milliseconds and directory, for programs.
fn attempt_row(attempt: &AttemptView) -> Vec<Cell> {
    let outcome = attempt.outcome.as_ref().map_or("alive".to_owned(), crate::model::state::Outcome::sentence);
    let elapsed = attempt.facts.as_ref().map(|facts| facts.elapsed_ms.to_string()).unwrap_or_default();
    let dir = attempt.dir.display().to_string();
    vec![attempt.number.to_string().into(), print::harmless(&outcome, 400).into(), elapsed.into(), dir.into()]
}

fn attempt_text(printer: &Printer, job: &str, task: &str, attempt: &AttemptView) -> String {
    let outcome = attempt.outcome.as_ref().map_or("alive".to_owned(), crate::model::state::Outcome::sentence);
    let mut text = format!(
        "\n{}  opened {}  pool {}  {}\n",
        printer.ink(Ink::Bold, &format!("attempt {}", attempt.number)),
        printer.time(attempt.opened, now()),
        attempt.pool,
        print::harmless(&outcome, 400),
    );
    if let Some(facts) = &attempt.facts {
        text.push_str(&format!(
            "  ran {}  cpu {}  memory {}  output {}\n",
            print::duration(facts.elapsed_ms),
            print::duration(facts.cpu_ms),
            print::bytes(facts.max_rss_kib * 1_024),
            print::bytes(facts.out_bytes + facts.err_bytes),
        ));
        if facts.leftovers > 0 {
            text.push_str(&format!("  {} processes outlived the command and were ended\n", facts.leftovers));
        }
        if let Some(artifacts) = &facts.artifacts {
            let (count, size) = (artifacts.count, print::bytes(artifacts.bytes));
            text.push_str(&format!("  artifacts: {count} ({size}): airx artifacts {job}/{task} --attempt {}\n", attempt.number));
        }
        for note in &facts.notes {
            text.push_str(&format!("  note: {}\n", print::harmless(note, 400)));
        }
        if let Some(claude) = &facts.claude {
            text.push_str(&format!(
                "  claude {}  {} turns  {} in, {} out  {}\n",
                claude.model.as_deref().unwrap_or("?"),
                claude.turns,
                claude.input_tokens,
                claude.output_tokens,
                printer.paid_by_key(claude.pays_by_key).money(claude.cost_microusd),
            ));
            if !claude.denials.is_empty() {
                text.push_str(&format!("  denied: {}\n", print::harmless(&claude.denials.join(", "), 400)));
            }
        }
    }
    if let Some(session) = &attempt.session {
        text.push_str(&format!("  session {session}\n"));
    }
    text.push_str(&format!("  output: airx logs {job}/{task} --attempt {}   ({})\n", attempt.number, attempt.dir.display()));
    text
}

pub(super) fn events(context: &Context, since: u64, follow: bool, job: Option<&str>) -> Result<(), Failure> {
    let job: Option<JobRef> =
        job.map(|job| job.parse().map_err(|e: AddressError| Failure::input(e.to_string(), ""))).transpose()?;
    let mut client = context.reader()?;
    let mut seen = Seq(since);
    let mut all: Vec<EventView> = Vec::new();
    loop {
        let Page { seq, body: Answer::Events(page) } = client.query(Query::Events {
            since: seen,
            job: job.clone(),
            below: false,
            task: None,
            last: false,
            limit: MAX_PAGE,
        })?
        else {
            return Err(unexpected());
        };
        let is_last = page.is_empty();
        if let Some(last) = page.last() {
            seen = last.seq;
        }
        if context.global.output == Format::Json && !follow {
            all.extend(page);
        } else {
            print::out(&page.iter().map(|event| event_text(context, event)).collect::<String>());
        }
        if is_last && !follow {
            break;
        }
        if is_last {
            seen = seen.max(seq);
            client.wait(seen, Duration::from_secs(60))?;
        }
    }
    if context.global.output == Format::Json {
        print::out(&print::value(context.global.output, &all));
    }
    Ok(())
}

fn event_text(context: &Context, event: &EventView) -> String {
    if matches!(context.global.output, Format::Json | Format::Jsonl) {
        return print::json_line(event);
    }
    let whole = match event.event.change {
        Change::CredentialMoved { .. } => "claude",
        Change::ScheduleSet { .. }
        | Change::ScheduleMoved { .. }
        | Change::SchedulePaused { .. }
        | Change::ScheduleRemoved { .. } => "schedules",
        _ => "everything",
    };
    let what = event.job.as_ref().map_or(whole.to_owned(), |job| match &event.task {
        Some(task) => format!("{job}/{task}"),
        None => job.to_string(),
    });
    let line = print::harmless(&change_text(&event.event.change), 400);
    match context.global.output {
        Format::Plain => format!("{}\t{}\t{what}\t{line}\n", event.seq.0, event.event.at.0),
        _ => format!("{:>6}  {}  {what}  {line}\n", event.seq.0, context.printer.clock(event.event.at)),
    }
}

/// An event in words.
pub(super) fn change_text(change: &Change) -> String {
    match change {
        Change::JobSubmitted { .. } => "submitted".to_owned(),
        Change::TaskAdded { origin: Some(_), state, .. } => format!("queued at run time, {}", state.kind().word()),
        Change::TaskAdded { state, .. } => format!("added, {}", state.kind().word()),
        Change::TaskMoved { state, .. } => went_to(state),
        Change::TaskRequeued { state, .. } => format!("requeued, {}", state.kind().word()),
        Change::AttemptOpened { attempt, .. } => format!("starting (attempt {})", attempt.number),
        Change::AttemptStarted { attempt } => format!("running (attempt {})", attempt.number),
        Change::AttemptClosed { outcome, state, .. } => format!("{} ({})", state.kind().word(), outcome.sentence()),
        Change::AttemptStale { attempt, what } => format!("late news of attempt {}: {what}", attempt.number),
        Change::ResultSet { .. } => "result set".to_owned(),
        Change::ProgressSet { progress: so_far, .. } => format!("progress {so_far}"),
        Change::OutboxRefused { key, why, .. } => format!("refused `{key}`: {why}"),
        Change::JobMoved { state, .. } => format!("job {}", state.word()),
        Change::JobPaused { paused: true, .. } => "job paused".to_owned(),
        Change::JobPaused { .. } => "job resumed".to_owned(),
        Change::JobStopped { stopped: true, .. } => "job stopped: a task failed (on_failure: stop)".to_owned(),
        Change::JobStopped { .. } => "job goes on".to_owned(),
        Change::AllPaused { paused: true } => "paused".to_owned(),
        Change::AllPaused { .. } => "resumed".to_owned(),
        other => said(other).unwrap_or_default(),
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
