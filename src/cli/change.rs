//! Commands that change something.

use std::time::{Duration, Instant};

use crate::api::client::{Client, ClientError, ClientErrorKind};
use crate::model::ids::{Address, AddressError, JobRef};
use crate::model::message::{Answer, CancelHow, Command, Done, Query};

use super::args::PriorityArgs;
use super::context::{Context, Failure};
use super::print;

/// Longest wait until a manager that was told to stop has left.
const LEAVE: Duration = Duration::from_secs(15);

pub(super) fn cancel(context: &Context, words: &[String], all: bool, kill: bool, abandon: bool) -> Result<(), Failure> {
    let mut client = context.manager()?;
    let targets = targets(&mut client, words)?;
    let how = match (kill, abandon) {
        (_, true) => CancelHow::Abandon,
        (true, _) => CancelHow::Kill,
        _ => CancelHow::Ask,
    };
    let done = client.command(Command::Cancel { targets, all, how })?;
    let verb = match how {
        CancelHow::Ask => "cancelled or asked to end",
        CancelHow::Kill => "cancelled or killed",
        CancelHow::Abandon => "abandoned",
    };
    tell(context, &done, verb, "nothing to cancel: all of it is over, or was asked already")
}

pub(super) fn pause(context: &Context, job: Option<&str>, paused: bool) -> Result<(), Failure> {
    let mut client = context.manager()?;
    let job: Option<JobRef> =
        job.map(|job| job.parse().map_err(|e: AddressError| Failure::input(e.to_string(), ""))).transpose()?;
    let what = job.as_ref().map_or("everything".to_owned(), ToString::to_string);
    let command = if paused { Command::Pause { job } } else { Command::Resume { job } };
    let done = client.command(command)?;
    if context.is_json() {
        print::out(&print::value(context.global.output, &done));
        return Ok(());
    }
    let line = match (paused, &done) {
        (true, Done::Affected { count: 0 }) => format!("{what} was paused already"),
        (true, _) => format!("paused {what}: nothing new starts, what runs goes on"),
        (false, Done::Affected { count: 0 }) => format!("{what} was not paused"),
        (false, _) => format!("resumed {what}"),
    };
    print::out(&format!("{line}\n"));
    Ok(())
}

pub(super) fn priority(context: &Context, args: &PriorityArgs) -> Result<(), Failure> {
    let job: JobRef =
        args.job.parse().map_err(|error: AddressError| Failure::input(error.to_string(), "`airx jobs` lists the jobs"))?;
    let priority = i32::try_from(args.priority).unwrap_or(0);
    let mut client = context.manager_or_start()?;
    let done = client.command(Command::Priority { job: job.clone(), priority })?;
    if context.is_json() {
        print::out(&print::value(context.global.output, &done));
    } else if done == (Done::Affected { count: 0 }) {
        print::out(&format!("{job} has the priority {priority} already\n"));
    } else {
        print::out(&format!("{job} has the priority {priority}: it counts for slots that become free, what runs goes on\n"));
    }
    Ok(())
}

pub(super) fn stop(context: &Context, now: bool, job: Option<&str>) -> Result<(), Failure> {
    if let Some(job) = job {
        return Err(Failure::input("`airx stop` ends the manager, not a job", format!("to end the job: airx cancel {job}")));
    }
    let mut client = context.manager()?;
    let pid = client.manager.pid;
    client.command(Command::Stop)?;
    drop(client);
    let deadline = Instant::now() + LEAVE;
    while !now && context.services.running(&context.home) == Some(pid) {
        if Instant::now() > deadline {
            return Err(Failure::failed(format!("the manager (pid {pid}) has not left yet"), "see its log in the home's logs/"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    if !context.is_json() {
        print::out("the manager has left; what runs goes on, and the next manager takes it over\n");
    } else {
        print::out(&print::value(context.global.output, &Done::Stopping));
    }
    Ok(())
}

pub(super) fn ping(context: &Context) -> Result<(), Failure> {
    let client = context.manager()?;
    if !context.is_json() {
        print::out(&format!("the manager answers: airx {} (pid {})\n", client.manager.version, client.manager.pid));
    } else {
        print::out(&print::value(context.global.output, &client.manager));
    }
    Ok(())
}

pub(super) fn tell(context: &Context, done: &Done, verb: &str, nothing: &str) -> Result<(), Failure> {
    if context.is_json() {
        print::out(&print::json(done));
        return Ok(());
    }
    let line = match done {
        Done::Affected { count: 0 } => nothing.to_owned(),
        Done::Affected { count: 1 } => format!("{verb}: 1 task"),
        Done::Affected { count } => format!("{verb}: {count} tasks"),
        other => format!("{other:?}"),
    };
    print::out(&format!("{line}\n"));
    Ok(())
}

/// Addresses from words. `JOB TASK` is one address when there is no job TASK but a task of that name in the job before it.
pub(super) fn targets(client: &mut dyn Client, words: &[String]) -> Result<Vec<Address>, Failure> {
    let mut targets = super::parse_addresses(words)?;
    if let [job, task] = targets.as_mut_slice()
        && job.task.is_none()
        && task.task.is_none()
        && task.job.number.is_none()
    {
        let joined = Address { job: job.job.clone(), task: Some(task.job.name.clone()) };
        let is_job = exists(client.query(Query::Job { job: task.job.clone() }))?;
        if !is_job && exists(client.query(Query::Task { task: joined.clone() }))? {
            return Ok(vec![joined]);
        }
    }
    Ok(targets)
}

fn exists(answer: Result<crate::model::message::Page<Answer>, ClientError>) -> Result<bool, Failure> {
    match answer {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind, ClientErrorKind::Refused(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
