//! What a running task asks for by the command line: further tasks, its result, its progress.

use std::io::Read;
use std::path::Path;

use crate::model::attempt::{AddedTask, MAX_OUTBOX_BYTES, OutboxBody, Progress};
use crate::model::core::Taken;
use crate::model::ids::{AddressError, is_name};
use crate::model::message::{Command, Done};
use crate::model::spec::{Action, ClaudeSpec};

use super::args::AddArgs;
use super::attempt::{Asked, Attempt};
use super::context::{Context, Failure};
use super::print;

pub(super) fn add(context: &Context, args: AddArgs) -> Result<(), Failure> {
    if let Some(id) = args.id.as_deref().filter(|id| !is_name(id)) {
        return Err(Failure::input(format!("`{id}` is no task id"), "use 1 to 100 letters, digits, `_` and `-`"));
    }
    let action = match (args.claude, args.command.split_first()) {
        (Some(prompt), _) => Action::Claude(Box::new(ClaudeSpec { prompt, literal: true, ..ClaudeSpec::default() })),
        (None, Some((program, rest))) => Action::Command { program: program.clone(), args: rest.to_vec() },
        (None, None) => return Err(Failure::input("there is nothing to queue", "airx add -- CMD, or airx add --claude PROMPT")),
    };
    let task = AddedTask { id: args.id.clone(), needs: args.needs, action };
    match (&args.job, Attempt::of(context)) {
        (None, Some(attempt)) => add_inside(context, &attempt, task, args.id.as_deref()),
        (Some(job), None) => add_from_outside(context, job, task),
        (Some(job), Some(attempt)) if attempt.is_of(job) => add_inside(context, &attempt, task, args.id.as_deref()),
        (Some(_), Some(_)) => Err(Failure::input("a running task can only queue tasks for its own job", "leave out --job")),
        (None, None) if !task.needs.is_empty() => {
            Err(Failure::input("a new job has no tasks to wait for", "name the job: airx add --job JOB --needs TASK -- CMD"))
        }
        (None, None) => {
            let name = job_name(&task.action);
            super::submit::single(context, &name, task.id.as_deref().unwrap_or(&name), task.action)
        }
    }
}

/// A name for a job of one task: that of its program, where it can be one.
fn job_name(action: &Action) -> String {
    let program = match action {
        Action::Command { program, .. } => Path::new(program).file_name().and_then(|name| name.to_str()).unwrap_or_default(),
        _ => "claude",
    };
    if is_name(program) { program.to_owned() } else { "task".to_owned() }
}

pub(super) fn result(context: &Context, value: &str) -> Result<(), Failure> {
    let attempt = Attempt::needed(context, "result")?;
    let text = if value == "-" { read_stdin()? } else { value.to_owned() };
    let value = serde_json::from_str(&text).unwrap_or(serde_json::Value::String(text));
    ask(&attempt, OutboxBody::Result(value), None, "the result is set").map(drop)
}

pub(super) fn progress(context: &Context, count: &str, text: &str) -> Result<(), Failure> {
    let attempt = Attempt::needed(context, "progress")?;
    let bad = || Failure::input(format!("`{count}` is no progress"), "write N, or N/M: airx progress 3/10 compiling");
    let (done, total) = match count.split_once('/') {
        Some((done, total)) => (done.parse().map_err(|_| bad())?, Some(total.parse().map_err(|_| bad())?)),
        None => (count.parse().map_err(|_| bad())?, None),
    };
    if total == Some(0) {
        return Err(Failure::input(
            format!("`{count}` is no progress: there is nothing to do"),
            "write N, or N/M with M above 0",
        ));
    }
    let text = Some(text.to_owned()).filter(|text| !text.is_empty());
    ask(&attempt, OutboxBody::Progress(Progress { done, total, text }), None, "noted").map(drop)
}

fn add_inside(context: &Context, attempt: &Attempt, task: AddedTask, id: Option<&str>) -> Result<(), Failure> {
    let taken = ask(attempt, OutboxBody::Add(Box::new(task)), id, "queued")?;
    if let Some(address) = taken.and_then(|taken| taken.task) {
        if !context.is_json() {
            print::out(&format!("queued {address}\n"));
        } else {
            print::out(&print::value(context.global.output, &address.to_string()));
        }
    }
    Ok(())
}

fn add_from_outside(context: &Context, job: &str, task: AddedTask) -> Result<(), Failure> {
    let job = job.parse().map_err(|error: AddressError| Failure::input(error.to_string(), ""))?;
    let mut client = context.manager_or_start()?;
    let done = context.ask(&mut client, &Command::Add { job, task: Box::new(task), key: Some(super::submit::fresh_key()) })?;
    match done {
        Done::Added { task } if !context.is_json() => print::out(&format!("queued {task}\n")),
        Done::Added { task } => print::out(&print::value(context.global.output, &task.to_string())),
        other => print::out(&print::value(context.global.output, &other)),
    }
    Ok(())
}

/// Asks; tells when the manager answers later only.
fn ask(attempt: &Attempt, body: OutboxBody, id: Option<&str>, done: &str) -> Result<Option<Taken>, Failure> {
    let is_add = matches!(body, OutboxBody::Add(_));
    match attempt.ask(body, id)? {
        Asked::Taken(taken) => Ok(Some(taken)),
        Asked::Later(key) => {
            print::note(&format!("{done} ({key}): the manager cannot be asked from here now, and takes it in as soon as it can"));
            Ok(None)
        }
        Asked::Apart(key) => {
            // Its address is not known, and nothing else would say that it was done.
            if is_add {
                print::note(&format!("{done} ({key})"));
            }
            Ok(None)
        }
    }
}

/// What to do with a result that is too large to be asked for.
const LARGE: &str =
    "write it into a file, and say so in the job file: result: { kind: json, file: PATH } takes up to 8 MiB, text 64 MiB";

fn read_stdin() -> Result<String, Failure> {
    let mut text = Vec::new();
    let unreadable = |why: String| Failure::input(format!("standard input cannot be read: {why}"), "it must be UTF-8 text");
    let read = std::io::stdin().lock().take(MAX_OUTBOX_BYTES + 1).read_to_end(&mut text);
    read.map_err(|error| unreadable(error.to_string()))?;
    if text.len() as u64 > MAX_OUTBOX_BYTES {
        return Err(Failure::input("standard input has more than 1 MiB, the most that a task can set so", LARGE));
    }
    let text = String::from_utf8(text).map_err(|error| unreadable(error.to_string()))?;
    Ok(text.strip_suffix('\n').map(str::to_owned).unwrap_or(text))
}
