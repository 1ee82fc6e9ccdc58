//! What the schema says of approvals.

use schemars::JsonSchema;

use super::{Duration, OneOrMany};

/// An approval: what is asked, or with more.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its shape is used")]
pub(super) enum ApproveEntry {
    /// What is asked.
    Message(String),
    /// With more.
    Full(ApproveFields),
}

/// An approval.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its shape is used")]
pub(super) struct ApproveFields {
    /// What is asked.
    message: String,
    /// Who may answer, by login names; without it whoever may use the control socket.
    who: Option<OneOrMany>,
    /// How long it waits; for ever without it.
    timeout: Option<Duration>,
    /// What happens after that: reject (default) or approve.
    default: Option<ApproveOrReject>,
    /// Longer text under the message.
    show: Option<String>,
}

/// An answer.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
#[expect(dead_code, reason = "only its shape is used")]
enum ApproveOrReject {
    /// Yes.
    Approve,
    /// No.
    Reject,
}
