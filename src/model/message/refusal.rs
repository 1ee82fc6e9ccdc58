//! Why a request is refused.

use serde::{Deserialize, Serialize};

/// Why a request was refused, with what to do. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// For programs.
    pub code: RefusalCode,
    /// For people: what, why.
    pub message: String,
    /// What to do; empty when that is plain.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hint: String,
}

/// Kinds of refusals, with their JSON-RPC error codes (-32000 to -32099 are the server's).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// No such job or task.
    NotFound,
    /// The state does not allow it (requeueing a live task).
    Conflict,
    /// The request itself is wrong.
    Invalid,
    /// The caller may not do this (a task that cancels).
    Forbidden,
    /// A bound was reached.
    Limit,
    /// The store cannot take it now (disk full); nothing is lost, try again.
    Unavailable,
    /// Client and manager are of different versions.
    Version,
}
