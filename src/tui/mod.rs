//! The workstation: the full-screen terminal app, over the same [`Client`](crate::api::client::Client) as the command line.
//!
//! What comes in changes the [`app`] in [`update`]; the [`view`] is a function of the app and the area; `shell` is the
//! loop around both, and the threads of [`data::sync`] talk to the manager, so that nothing here ever waits for it.

pub mod action;
pub mod app;
pub mod data;
mod external;
pub mod graph;
pub mod inbox;
mod input;
mod keep;
pub mod output;
pub mod parts;
mod shell;
mod terminal;
pub mod text;
pub mod update;
pub mod view;

use parts::{Left, Parts};

pub use terminal::{leave_raw_mode, restore};

/// Shows the workstation until it is left.
///
/// # Errors
/// When the terminal cannot be used.
pub fn run(parts: Parts, sleeper: crate::os::wake::Sleeper) -> std::io::Result<Left> {
    shell::Shell::begin(parts, sleeper)?.run()
}
