//! What is asked of whole jobs: taken in, run again, put before others.

use clap::Args;

use crate::model::spec::PRIORITIES;

use super::{FileArgs, Target};

/// A job file, its parameters and its priority.
#[derive(Debug, Args)]
pub struct SubmitArgs {
    /// The file
    #[command(flatten)]
    pub file: FileArgs,
    /// Its priority, instead of the file's: -1000 to 1000, higher ones get free slots first
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = priority())]
    pub priority: Option<i64>,
    /// Submit it once at once, also when it has `schedule:`
    #[arg(long)]
    pub now: bool,
}

fn priority() -> clap::builder::RangedI64ValueParser<i64> {
    clap::value_parser!(i64).range(i64::from(*PRIORITIES.start())..=i64::from(*PRIORITIES.end()))
}

/// Whose tasks are listed.
#[derive(Debug, Args)]
pub struct TasksArgs {
    /// JOB, or JOB/TASK for a mapped task and its instances
    #[command(flatten)]
    pub target: Target,
    /// Every instance of mapped tasks, not only those that a person may have to look at
    #[arg(long)]
    pub all: bool,
}

/// A job's priority.
#[derive(Debug, Args)]
pub struct PriorityArgs {
    /// NAME.N, or NAME for the newest
    pub job: String,
    /// -1000 to 1000; 0 is the usual one
    #[arg(value_name = "N", allow_hyphen_values = true, value_parser = priority())]
    pub priority: i64,
}

/// What to run again, and how.
#[derive(Debug, Args)]
pub struct RequeueArgs {
    /// JOB or JOB/TASK
    #[arg(required = true, value_name = "JOB[/TASK]")]
    pub targets: Vec<String>,
    /// Of a whole job: failed and cancelled tasks (the default)
    #[arg(long, conflicts_with = "all")]
    pub failed: bool,
    /// Of a whole job: all tasks
    #[arg(long)]
    pub all: bool,
    /// The tasks and everything that comes after them
    #[arg(long, conflicts_with_all = ["failed", "all"])]
    pub from: bool,
    /// A parameter's value, for all of the job that starts from now on
    #[arg(short, long = "with-params", value_name = "K=V")]
    pub params: Vec<String>,
    /// Do not ask before finished tasks run again
    #[arg(short, long)]
    pub yes: bool,
}
