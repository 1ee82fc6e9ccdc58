//! Output of many tasks, one after the other: of a job, or of a mapped task's instances.

use std::cell::Cell;

use crate::api::client::Client;
use crate::cli::args::LogsArgs;
use crate::cli::context::{Context, Failure};
use crate::cli::read::{all_tasks, unexpected};
use crate::cli::tasks::instances;
use crate::model::ids::Address;
use crate::model::message::{Answer, Query};

use super::{LOOK, task_logs};

/// Of whatever the address means.
pub(super) fn job_logs(
    context: &Context,
    client: &mut dyn Client,
    args: &LogsArgs,
    address: &Address,
    first: &Cell<bool>,
) -> Result<(), Failure> {
    if let Some(id) = &address.task {
        let Answer::Task(detail) = client.query(Query::Task { task: address.clone() })?.body else { return Err(unexpected()) };
        return match detail.task.mapping {
            Some(_) => mapping_logs(context, client, args, (address, id), first),
            None => task_logs(context, client, args, address, None, first),
        };
    }
    let mut shown = 0;
    loop {
        let tasks = all_tasks(client, &address.job)?;
        let width = tasks.iter().map(|task| task.id.len()).max().unwrap_or(0);
        for task in tasks.iter().skip(shown).filter(|task| task.attempts > 0 || args.follow) {
            let address = Address { job: address.job.clone(), task: Some(task.id.clone()) };
            let prefix = format!("{:width$} | ", task.id);
            task_logs(context, client, args, &address, Some(prefix), first)?;
        }
        // What was queued while others were followed has its turn too.
        if !args.follow || tasks.len() == shown {
            return Ok(());
        }
        shown = tasks.len();
    }
}

/// All instances of a mapped task, one after the other.
fn mapping_logs(
    context: &Context,
    client: &mut dyn Client,
    args: &LogsArgs,
    (address, mapping): (&Address, &str),
    first: &Cell<bool>,
) -> Result<(), Failure> {
    let mut shown = 0;
    loop {
        // Whether it is over is asked first: instances that come afterwards would be another list's.
        let Answer::Task(detail) = client.query(Query::Task { task: address.clone() })?.body else { return Err(unexpected()) };
        let instances = instances(client, address, mapping)?;
        let width = instances.iter().map(|task| task.id.len()).max().unwrap_or(0);
        for task in instances.iter().skip(shown).filter(|task| task.attempts > 0 || args.follow) {
            let address = Address { job: address.job.clone(), task: Some(task.id.clone()) };
            let prefix = format!("{:width$} | ", task.id);
            task_logs(context, client, args, &address, Some(prefix), first)?;
        }
        if !args.follow || (detail.task.state.is_terminal() && instances.len() == shown) {
            return Ok(());
        }
        if instances.len() == shown {
            std::thread::sleep(LOOK);
        }
        shown = instances.len();
    }
}
