//! `airx show`: one job, or one task with its attempts.

use crate::cli::args::Format;
use crate::cli::context::{Context, Failure};
use crate::cli::print::{self, Cell, Ink, Printer};
use crate::cli::{questions, tasks};
use crate::model::change::TaskResult;
use crate::model::ids::Address;
use crate::model::message::{Answer, AttemptView, JobDetail, Query, TaskDetail, TaskView};
use crate::model::state::JobState;

use super::{all_tasks, now, printer_of, reason, unexpected};

pub(in crate::cli) fn show(context: &Context, address: &Address) -> Result<(), Failure> {
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
        text.push_str(&questions::approval_text(printer, question));
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
