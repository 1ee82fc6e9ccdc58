//! Arguments of what submits job files with times.

use clap::Subcommand;

use super::FileArgs;

/// What to do about schedules.
#[derive(Debug, Subcommand)]
pub enum ScheduleVerb {
    /// Show one in full: its job, its next times, what became of the last ones
    Show {
        /// Its name
        name: String,
    },
    /// Add a job file with `schedule:`; one of the same name gets another definition
    Add(FileArgs),
    /// Let nothing be due; what was missed is not made up for afterwards
    Pause {
        /// Their names
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Take back `pause`
    Resume {
        /// Their names
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Remove schedules; their jobs stay
    Remove {
        /// Their names
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Submit its job now, out of turn, within its overlap rule
    Run {
        /// Its name
        name: String,
    },
}
