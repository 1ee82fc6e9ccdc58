//! What every client sees, wherever the manager is.

use std::time::Duration;

use crate::model::change::Seq;
use crate::model::message::{Answer, Command, Done, Page, Query, Refusal, RefusalCode};

/// A way to the manager. Blocking: programs call it in order, the workstation on threads of its own.
pub trait Client: Send {
    /// Asks for a change; returns after its commit.
    ///
    /// # Errors
    /// [`ClientError`]; of kind `Lost` when it is not known whether the change was made (ask again with the same key).
    fn command(&mut self, command: Command) -> Result<Done, ClientError>;
    /// Reads.
    ///
    /// # Errors
    /// [`ClientError`].
    fn query(&mut self, query: Query) -> Result<Page<Answer>, ClientError>;
    /// Waits until something newer than `seen` is committed, at most `patience`; returns the newest event's number, which
    /// is `seen` when nothing came.
    ///
    /// # Errors
    /// [`ClientError`] of kind `Lost` when the manager went away.
    fn wait(&mut self, seen: Seq, patience: Duration) -> Result<Seq, ClientError>;
}

/// A failed request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ClientError {
    /// Which kind, for the exit code and for what to do next.
    pub kind: ClientErrorKind,
    /// What failed, and why.
    pub message: String,
    /// What to do; empty when that is plain.
    pub hint: String,
}

/// Kinds of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientErrorKind {
    /// No manager runs.
    NoManager,
    /// The connection broke.
    Lost,
    /// The manager refused.
    Refused(RefusalCode),
    /// The other side does not speak this protocol.
    Protocol,
}

impl ClientError {
    /// No manager runs.
    pub fn no_manager() -> ClientError {
        ClientError {
            kind: ClientErrorKind::NoManager,
            message: "no manager runs".to_owned(),
            hint: "start one: `airx --daemon`".to_owned(),
        }
    }

    /// A task has none to ask: it runs where its manager does not listen.
    pub fn apart() -> ClientError {
        ClientError {
            kind: ClientErrorKind::NoManager,
            message: "the manager cannot be asked from here: this task runs apart from it, in a pod".to_owned(),
            hint: "what a task queues, sets and reports reaches it all the same: `airx add`, `airx result`, `airx progress`"
                .to_owned(),
        }
    }

    /// The connection broke while doing `what`.
    pub fn lost(what: &str, cause: &std::io::Error) -> ClientError {
        ClientError {
            kind: ClientErrorKind::Lost,
            message: format!("lost the manager while {what}: {cause}"),
            hint: "`airx status` tells whether it runs; `airx --daemon` starts it".to_owned(),
        }
    }

    /// What came is no answer.
    pub fn protocol(why: String) -> ClientError {
        ClientError {
            kind: ClientErrorKind::Protocol,
            message: format!("the manager's answer cannot be read: {why}"),
            hint: "client and manager may be of different versions: `airx stop`, then `airx --daemon`".to_owned(),
        }
    }
}

impl From<Refusal> for ClientError {
    fn from(refusal: Refusal) -> ClientError {
        ClientError { kind: ClientErrorKind::Refused(refusal.code), message: refusal.message, hint: refusal.hint }
    }
}
