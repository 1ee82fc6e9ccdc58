//! The imperative shell around [`crate::model`]: one thread owns the state, everything else talks to it in messages.

pub mod engine;
pub mod handle;
pub mod launch;
pub mod ports;
pub mod reach;
pub mod secrets;
pub mod token;
pub mod trust;
pub mod turn;

use crate::model::core::Launch;

/// What arrives at the manager's thread.
pub enum Message {
    /// From a client.
    Client(handle::ClientMessage),
    /// From a backend.
    Report(crate::model::report::Report),
    /// A launch that had to wait for a command that prints a secret.
    Composed(Box<Launch>, Box<launch::Composed>),
    /// The configuration was read anew.
    Configure(Box<crate::model::settings::Settings>),
    /// Compare with reality now.
    Poll,
    /// Leave: finish the turn, close the store, return. Runners go on.
    Leave,
}
