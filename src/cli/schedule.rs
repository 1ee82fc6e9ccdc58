//! Schedules: list, show, add, pause, resume, remove, run now.

use crate::api::client::Client;
use crate::model::jobfile::Parsed;
use crate::model::message::{Answer, Command, Done, Query, ScheduleDetail, ScheduleView};
use crate::model::schedule::{Fired, Passed, Rule};
use crate::model::spec::Submission;
use crate::model::time::Utc;

use super::args::{FileArgs, Format, ScheduleVerb};
use super::context::{Context, Failure};
use super::print::{self, Cell, Ink, cell};
use super::read::{now, unexpected};
use super::submit;

/// What the last time may lie ahead before it is told that the clock was set back.
const CLOCKS_DIFFER_MS: i64 = 60_000;
/// Tasks that `show` names.
const SHOWN_TASKS: usize = 8;
/// Lines of the job file that `show` prints; `-o json` has all of it.
const SHOWN_LINES: usize = 60;

pub(super) fn schedule(context: &Context, verb: Option<ScheduleVerb>) -> Result<(), Failure> {
    match verb {
        None => list(context),
        Some(ScheduleVerb::Show { name }) => show(context, &name),
        Some(ScheduleVerb::Add(args)) => add(context, &args),
        Some(ScheduleVerb::Pause { names }) => {
            let command = Command::SchedulePause { names, paused: true };
            change(context, &command, "paused", "paused already")
        }
        Some(ScheduleVerb::Resume { names }) => {
            let command = Command::SchedulePause { names, paused: false };
            change(context, &command, "resumed", "not paused")
        }
        Some(ScheduleVerb::Remove { names }) => change(context, &Command::ScheduleRemove { names }, "removed", "not there"),
        Some(ScheduleVerb::Run { name }) => run(context, name),
    }
}

/// Tells that nothing fires now.
fn warn_without_manager(context: &Context) {
    if context.services.running(&context.home).is_none() {
        print::note("no schedule fires without a manager");
    }
}

fn list(context: &Context) -> Result<(), Failure> {
    let mut client = context.reader()?;
    let schedules = match client.query(Query::Schedules).map(|page| page.body) {
        Ok(Answer::Schedules(schedules)) => schedules,
        Ok(_) => return Err(unexpected()),
        // A home that never had a manager.
        Err(_) if !context.home.database().exists() => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    if !schedules.is_empty() {
        warn_without_manager(context);
    }
    let now = now();
    let rows = || schedules.iter().map(|schedule| row(context, schedule, now)).collect::<Vec<_>>();
    let text = match context.global.output {
        Format::Json => print::value(context.global.output, &schedules),
        Format::Jsonl => schedules.iter().map(print::json_line).collect(),
        Format::Plain => print::plain(&rows()),
        Format::Table if schedules.is_empty() => {
            "no schedules yet: `airx schedule add FILE` adds a job file that has `schedule:`\n".to_owned()
        }
        Format::Table => print::table(&context.printer, &["name", "times", "next", "last job", "newest time"], &rows()),
    };
    print::out(&text);
    Ok(())
}

fn row(context: &Context, schedule: &ScheduleView, now: Utc) -> Vec<Cell> {
    let (next, ink) = next(context, schedule, now);
    let last = match (&schedule.state.last, schedule.last_state) {
        (Some(job), Some(state)) => {
            let (sign, ink) = context.printer.job_sign(state);
            cell(format!("{sign} {job} {}", state.word()), ink)
        }
        (Some(job), None) => cell(format!("{job}, not there any more"), Ink::Dim),
        (None, _) => cell("-", Ink::Dim),
    };
    let newest = match &schedule.newest {
        Some(passed) if !matches!(passed.what, Fired::Submitted { .. }) => passed_cell(context, passed, now),
        _ => cell("", Ink::Plain),
    };
    let words = print::harmless(&schedule.words, 200);
    vec![cell(&schedule.name, Ink::Plain), cell(words, Ink::Plain), cell(next, ink), last, newest]
}

/// When it is due next and in how long, or why it is not.
fn next(context: &Context, schedule: &ScheduleView, now: Utc) -> (String, Ink) {
    match schedule.state.next {
        _ if schedule.state.paused => ("paused".to_owned(), Ink::Wait),
        // None up to there fires again.
        Some(next) if schedule.state.through.is_some_and(|through| through > now.plus(CLOCKS_DIFFER_MS)) => {
            let at = context.printer.time(next.at, now);
            (format!("{at}, since the clock was set back and all before that is settled"), Ink::Wait)
        }
        Some(next) if next.at <= now => (format!("{}, due", context.printer.time(next.at, now)), Ink::Wait),
        Some(next) => (format!("{}, in {}", context.printer.time(next.at, now), print::duration(next.at.since(now))), Ink::Plain),
        None => ("no further time".to_owned(), Ink::Dim),
    }
}

fn passed_cell(context: &Context, passed: &Passed, now: Utc) -> Cell {
    let ink = match passed.what {
        Fired::Submitted { .. } => Ink::Plain,
        _ => Ink::Wait,
    };
    cell(print::harmless(&format!("{}: {}", context.printer.time(passed.due, now), passed.what), 300), ink)
}

fn show(context: &Context, name: &str) -> Result<(), Failure> {
    let mut client = context.reader()?;
    let Answer::Schedule(detail) = client.query(Query::Schedule { name: name.to_owned() })?.body else {
        return Err(unexpected());
    };
    warn_without_manager(context);
    let text = match context.global.output {
        Format::Json | Format::Jsonl => print::value(context.global.output, &detail),
        Format::Plain => print::plain(&detail.passed.iter().map(plain_passed).collect::<Vec<_>>()),
        Format::Table => detail_text(context, &detail),
    };
    print::out(&text);
    Ok(())
}

fn plain_passed(passed: &Passed) -> Vec<Cell> {
    vec![passed.due.0.to_string().into(), passed.at.0.to_string().into(), passed.what.to_string().into()]
}

fn detail_text(context: &Context, detail: &ScheduleDetail) -> String {
    let (schedule, now) = (&detail.schedule, now());
    let (next, ink) = next(context, schedule, now);
    let mut text =
        format!("{}  {}   {}\n", schedule.name, print::harmless(&schedule.words, 200), context.printer.ink(ink, &next));
    if let Some(description) = &detail.spec.description {
        text.push_str(&format!("{}\n", print::harmless(description, 200)));
    }
    text.push_str(&format!("{}\n", further(context, &schedule.rule, now)));
    let (shown, more) = detail.tasks.split_at(detail.tasks.len().min(SHOWN_TASKS));
    let dots = if more.is_empty() { "" } else { ", …" };
    text.push_str(&format!("tasks {}{dots}   workspace {}\n", shown.join(", "), detail.spec.workspace.display()));
    let list = |title: &str, lines: Vec<String>| {
        let lines: String = lines.iter().map(|line| format!("  {line}\n")).collect();
        if lines.is_empty() { String::new() } else { format!("\n{title}\n{lines}") }
    };
    text.push_str(&list("next times", detail.upcoming.iter().map(|at| context.printer.time(*at, now)).collect()));
    let waiting = schedule.state.waiting.iter().take(5).map(|at| context.printer.time(*at, now)).collect();
    text.push_str(&list("wait until the job before is over", waiting));
    let passed = detail.passed.iter().rev().take(10).map(|passed| {
        let cell = passed_cell(context, passed, now);
        context.printer.ink(cell.ink, &cell.text)
    });
    text.push_str(&list("last times", passed.collect()));
    if let Some(source) = &detail.spec.source {
        let lines = source.text.lines().take(SHOWN_LINES).map(|line| print::harmless(line, 400)).collect();
        text.push_str(&list(&print::harmless(&source.file, 200), lines));
    }
    text
}

/// What a rule says beside its times.
fn further(context: &Context, rule: &Rule, now: Utc) -> String {
    let word = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let mut parts = vec![
        format!("catch_up {}", word(serde_json::json!(rule.catch_up))),
        format!("overlap {}", word(serde_json::json!(rule.overlap))),
    ];
    parts.extend(rule.start.map(|at| format!("from {}", context.printer.time(at, now))));
    parts.extend(rule.until.map(|at| format!("until {}", context.printer.time(at, now))));
    parts.join("   ")
}

fn add(context: &Context, args: &FileArgs) -> Result<(), Failure> {
    let parsed = submit::read(context, args)?;
    if parsed.schedule.is_none() {
        return Err(Failure::input(
            format!("{} has no `schedule:`", args.file),
            "add one, such as schedule: { cron: \"0 3 * * *\", timezone: Europe/Berlin }, or submit it once: airx submit",
        ));
    }
    set(context, parsed)
}

/// Sends a job with a rule to the manager.
pub(super) fn set(context: &Context, parsed: Parsed) -> Result<(), Failure> {
    let Parsed { submission, schedule: Some(rule), .. } = parsed else { return Err(unexpected()) };
    super::trust::tell(context, &submission);
    let mut client = context.manager_or_start()?;
    let words = rule.to_string();
    let command = Command::ScheduleSet { submission: Box::<Submission>::new(submission), rule: Box::new(rule) };
    let done = context.ask(&mut client, &command)?;
    let Done::Scheduled { name, replaced, next, paused, missing } = &done else { return Err(unexpected()) };
    submit::tell_missing(missing);
    if context.is_json() {
        print::out(&print::value(context.global.output, &done));
        return Ok(());
    }
    let verb = if *replaced { "has another definition" } else { "is scheduled" };
    let when = match next {
        Some(at) => {
            let now = now();
            format!("next {}, in {}", context.printer.time(*at, now), print::duration(at.since(now)))
        }
        None if *paused => format!("paused: airx schedule resume {name}"),
        None => "no further time".to_owned(),
    };
    print::out(&format!("{name} {verb} ({}): {when}\n", print::harmless(&words, 200)));
    Ok(())
}

fn change(context: &Context, command: &Command, verb: &str, otherwise: &str) -> Result<(), Failure> {
    let mut client = context.manager_or_start()?;
    let done = client.command(command.clone())?;
    if context.is_json() {
        print::out(&print::value(context.global.output, &done));
        return Ok(());
    }
    let (Command::SchedulePause { names, .. } | Command::ScheduleRemove { names }) = command else { return Err(unexpected()) };
    let names = names.join(", ");
    match done {
        Done::Affected { count: 0 } => print::out(&format!("{names}: {otherwise}\n")),
        _ => print::out(&format!("{names}: {verb}\n")),
    }
    Ok(())
}

fn run(context: &Context, name: String) -> Result<(), Failure> {
    let mut client = context.manager_or_start()?;
    let done = context.ask(&mut client, &Command::ScheduleRun { name, key: Some(submit::fresh_key()) })?;
    if context.is_json() {
        print::out(&print::value(context.global.output, &done));
        return Ok(());
    }
    match done {
        Done::Submitted { job, .. } => print::out(&format!("{job}\n")),
        Done::Waits { behind } => print::out(&format!("it starts once {behind} is over\n")),
        _ => return Err(unexpected()),
    }
    Ok(())
}
