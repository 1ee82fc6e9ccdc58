//! The command line, as DESIGN section 7 has it. Help texts, completions and the man page come from here.

mod jobs;
mod read;
mod schedule;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub use jobs::{PriorityArgs, RequeueArgs, SubmitArgs, TasksArgs};
pub use read::{ArtifactsArgs, LogsArgs, ShowArgs};
pub use schedule::ScheduleVerb;

/// Runs jobs of many tasks through runners that nothing can lose.
#[derive(Debug, Parser)]
#[command(name = "airx", version, about, long_about = None, max_term_width = 100, disable_help_subcommand = true)]
#[command(
    after_help = "`airx` alone opens the workstation. Begin with `airx run FILE`, or `airx doctor` to see whether everything is\nin place."
)]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub global: Global,
    /// Run the manager: in the background once it is ready, unless --foreground.
    #[arg(long)]
    pub daemon: bool,
    /// With --daemon: stay in the foreground (systemd, containers, tmux).
    #[arg(long, requires = "daemon")]
    pub foreground: bool,
    /// The command; none opens the workstation on a terminal, and shows the home at a glance elsewhere.
    #[command(subcommand)]
    pub command: Option<Verb>,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Global {
    /// Directory that holds the database, the output and the configuration [default: the platform's data directory]
    #[arg(long, global = true, value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// Configuration file [default: config.yaml in the home]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How to print
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table, hide_default_value = true)]
    pub output: Format,
    /// Say more
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// When to colour (NO_COLOR is honoured)
    #[arg(long, global = true, value_enum, default_value_t = When::Auto, hide_default_value = true)]
    pub color: When,
}

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// One JSON value.
    Json,
    /// A JSON value a line.
    Jsonl,
    /// Fields separated by tabs, no heading.
    Plain,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Submit a job file and follow the job to its end
    #[command(after_help = "Exit code: 0 completed, 1 failed, 2 bad input, 3 no manager, 130 cancelled.\n\
        Ctrl-C on a terminal leaves the job running; on a pipe it cancels the job.")]
    Run(SubmitArgs),
    /// Submit a job file and print the job's name; one with `schedule:` is scheduled
    Submit(SubmitArgs),
    /// Check a job file and name all its faults
    Validate(FileArgs),
    /// Queue one Claude task without a file
    Claude(ClaudeArgs),
    /// Queue one task: into --job, else as a new job; inside a running task, into its own job
    #[command(
        after_help = "Examples:\n  airx add --job nightly -- cargo test\n  airx add --id docs --claude 'Update the README'"
    )]
    Add(AddArgs),
    /// The home at a glance, or one job
    Status {
        /// NAME.N, or NAME for the newest; also JOB/TASK
        target: Option<String>,
        /// The task, when written apart
        #[arg(hide = true)]
        task: Option<String>,
    },
    /// List jobs, newest first
    Jobs {
        /// At most so many
        #[arg(short = 'n', long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
    },
    /// List the tasks of a job, or the instances of a mapped task
    Tasks(TasksArgs),
    /// Show a job or a task in full
    Show(ShowArgs),
    /// List the files that were kept of a task's workspace, print one, or copy them
    #[command(
        after_help = "Examples:\n  airx artifacts nightly/bench\n  airx artifacts nightly/bench report.html > report.html\n  airx artifacts nightly/bench --to out/"
    )]
    Artifacts(ArtifactsArgs),
    /// Print a task's output
    Logs(LogsArgs),
    /// Print what happened
    Events {
        /// Go on as things happen
        #[arg(short, long)]
        follow: bool,
        /// Begin after this event
        #[arg(long, default_value_t = 0, value_name = "SEQ")]
        since: u64,
        /// Only of this job
        #[arg(long)]
        job: Option<String>,
    },
    /// Run finished tasks again, with a fresh retry budget
    #[command(
        after_help = "Before finished tasks run again it asks on a terminal, with their number and what their last attempts cost;\nelsewhere it wants --yes. With --from only when they cost something.\n\nExamples:\n  airx requeue nightly\n  airx requeue nightly/build --from\n  airx requeue nightly --all --yes -p crate=auth"
    )]
    Requeue(RequeueArgs),
    /// End tasks or jobs: ask, then insist after the grace
    Cancel {
        /// JOB or JOB/TASK
        #[arg(required_unless_present = "all", value_name = "JOB[/TASK]")]
        targets: Vec<String>,
        /// Every job that is not over
        #[arg(long, conflicts_with = "targets")]
        all: bool,
        /// Insist at once
        #[arg(long)]
        kill: bool,
        /// Do not wait for proof that it ended (a dead machine); it may still run
        #[arg(long, conflicts_with = "kill")]
        abandon: bool,
    },
    /// List what running tasks ask you, and the approvals that jobs wait for
    Approvals {
        /// JOB or JOB/TASK
        target: Option<String>,
        /// Also what is settled, newest first
        #[arg(long)]
        all: bool,
    },
    /// Allow what a task asks for, answer its question, or give the approval that a job waits for
    #[command(
        after_help = "Examples:\n  airx approve 7\n  airx approve nightly/fix --always\n  airx approve 7 --input '{\"command\": \"cargo test -p auth\"}'\n  airx approve nightly/plan 'the second one'\n  airx approve release/deploy 'looks good'"
    )]
    Approve(AnswerArgs),
    /// Deny what a task asks for, or the approval that a job waits for
    Reject {
        /// The question's number, or JOB/TASK when that has asked one thing
        target: String,
        /// What the model is told, or the comment that the rejection is recorded with
        why: Vec<String>,
    },
    /// Give a job another budget; what was held for the old one goes on
    Budget(BudgetArgs),
    /// Give a job another priority: free slots go to jobs of higher priority first
    Priority(PriorityArgs),
    /// List the schedules, or change one
    #[command(
        after_help = "A schedule is a job file with `schedule:`; it has the job's name, and each of its times submits NAME.N.\n\
            Schedules fire while a manager runs: `airx --daemon` starts one in the background."
    )]
    Schedule {
        /// What to do; without it they are listed
        #[command(subcommand)]
        what: Option<ScheduleVerb>,
    },
    /// Start nothing new, in a job or anywhere; what runs goes on
    Pause(JobArg),
    /// Take back `pause`
    Resume(JobArg),
    /// End the manager; what runs goes on
    Stop {
        /// Do not wait until it has left
        #[arg(long)]
        now: bool,
        /// A job's name here is a mistake that gets an answer
        #[arg(hide = true)]
        job: Option<String>,
    },
    /// See whether a manager answers
    Ping,
    /// Check everything airx needs, with the remedy for what is missing
    Doctor {
        /// Rebuild a damaged database; nothing is deleted
        #[arg(long)]
        repair: bool,
    },
    /// Who is told what, as the configuration says (`notify`)
    Notify {
        /// What to do
        #[command(subcommand)]
        what: NotifyVerb,
    },
    /// Write a configuration file with every key explained
    Init {
        /// Make a home in this directory (.air-executor) and register it
        #[arg(long)]
        project: bool,
    },
    /// List job files to use as they are, or print one
    Examples {
        /// Which one; all are listed when it is left out
        name: Option<String>,
    },
    /// Inside a running task: set its result
    Result {
        /// JSON, or any text; `-` reads standard input, at most 1 MiB
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
    /// Inside a running task: tell how far it is
    Progress {
        /// N, or N/M
        count: String,
        /// In words
        text: Vec<String>,
    },
    /// Inside a running task: the same for Claude, and questions to a person, as an MCP server on standard input and output
    #[command(
        after_help = "A Claude task with `subtasks: true` gets it by itself, under the name `airx`: queue_task, list_tasks,\n\
        set_result, report_progress, ask_human. Whoever else speaks MCP may start it inside a task."
    )]
    Mcp,
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// A word that is no command
    #[command(external_subcommand)]
    Unknown(Vec<String>),
}

/// What to do about notifiers.
#[derive(Debug, Subcommand)]
pub enum NotifyVerb {
    /// Send one notice through each notifier and print what became of it
    Test,
}

/// A job file and its parameters.
#[derive(Debug, Args)]
pub struct FileArgs {
    /// The job file; `-` reads standard input
    pub file: String,
    /// A parameter's value
    #[arg(short, long = "param", value_name = "K=V")]
    pub params: Vec<String>,
    /// Words that do not belong here are answered with the command that was meant
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub rest: Vec<String>,
}

/// A Claude task without a file.
#[derive(Debug, Args)]
pub struct ClaudeArgs {
    /// What Claude should do
    #[arg(allow_hyphen_values = true)]
    pub prompt: String,
    /// The model
    #[arg(long)]
    pub model: Option<String>,
    /// Into this job instead of a new one
    #[arg(long)]
    pub job: Option<String>,
}

/// One task.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// The job; without it a new one, inside a running task its own
    #[arg(long)]
    pub job: Option<String>,
    /// The new task's id
    #[arg(long)]
    pub id: Option<String>,
    /// A task it waits for
    #[arg(long, value_name = "TASK")]
    pub needs: Vec<String>,
    /// A Claude task with this prompt
    #[arg(long, value_name = "PROMPT", conflicts_with = "command")]
    pub claude: Option<String>,
    /// The program and its arguments, after `--`
    #[arg(last = true, required_unless_present = "claude", value_name = "CMD")]
    pub command: Vec<String>,
}

/// An answer to a question.
#[derive(Debug, Args)]
pub struct AnswerArgs {
    /// The question's number, or JOB/TASK when that has asked one thing
    pub target: String,
    /// The answer to a question in words, or the comment that an approval is recorded with
    pub text: Vec<String>,
    /// Never ask for this again in this job
    #[arg(long)]
    pub always: bool,
    /// Use the tool with this input instead, a JSON object; `-` reads standard input
    #[arg(long, value_name = "JSON")]
    pub input: Option<String>,
}

/// A job's budget.
#[derive(Debug, Args)]
pub struct BudgetArgs {
    /// NAME.N, or NAME for the newest
    pub job: String,
    /// Most dollars of its Claude runs together
    #[arg(long, value_name = "DOLLARS")]
    pub usd: Option<f64>,
    /// Most tokens of its Claude runs together
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub tokens: Option<u64>,
    /// No limit
    #[arg(long, conflicts_with_all = ["usd", "tokens"])]
    pub none: bool,
}

/// An optional job.
#[derive(Debug, Args)]
pub struct JobArg {
    /// NAME.N, or NAME for the newest
    pub job: Option<String>,
}

/// A job or a task.
#[derive(Debug, Args)]
pub struct Target {
    /// JOB or JOB/TASK
    pub target: String,
    /// The task, when written apart
    #[arg(hide = true)]
    pub task: Option<String>,
}
