//! Arguments of commands that read what tasks left behind.

use std::path::PathBuf;

use clap::Args;

use super::Target;

/// A job or a task, and what of it to show.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Which
    #[command(flatten)]
    pub target: Target,
    /// Only the task's result: text as it is, everything else as JSON
    #[arg(long)]
    pub result: bool,
}

/// Files that were kept.
#[derive(Debug, Args)]
pub struct ArtifactsArgs {
    /// JOB or JOB/TASK
    pub target: String,
    /// The file to print; before it the task, when written apart
    #[arg(value_name = "NAME", num_args = 0..=2)]
    pub words: Vec<String>,
    /// This attempt instead of the newest that has some
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub attempt: Option<u32>,
    /// Copy into this directory; of a whole job into one for each task
    #[arg(short = 'O', long, value_name = "DIR")]
    pub to: Option<PathBuf>,
    /// Write over files that are there
    #[arg(long, requires = "to")]
    pub force: bool,
}

/// A task's output.
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// JOB or JOB/TASK
    pub target: String,
    /// The task, when written apart
    #[arg(hide = true)]
    pub task: Option<String>,
    /// Go on until the task is over
    #[arg(short, long)]
    pub follow: bool,
    /// This attempt instead of the newest
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub attempt: Option<u32>,
    /// The bytes as they are: no prefix, no rendering of transcripts
    #[arg(long)]
    pub raw: bool,
    /// Only the last N lines
    #[arg(long, value_name = "N")]
    pub tail: Option<usize>,
}
