//! The imperative shell around [`crate::model`]: one thread owns the state, everything else talks to it in messages.

pub mod handle;
pub mod ports;
pub mod turn;

/// What arrives at the manager's thread.
pub enum Message {
    /// From a client.
    Client(handle::ClientMessage),
    /// From a backend.
    Report(crate::model::report::Report),
    /// Look whether something has to be done (a signal, a changed configuration, a clock step).
    Wake,
}
