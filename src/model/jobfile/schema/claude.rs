//! What belongs to Claude runs.

use schemars::JsonSchema;

use crate::model::spec::Trust;

use super::{Duration, OneOrMany};

/// A prompt, or all of it.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its shape is used")]
pub(super) enum ClaudeEntry {
    /// The prompt.
    Prompt(String),
    /// All of it.
    Full(Box<ClaudeFields>),
}

/// A Claude Code run; the fields are the CLI's flags.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its shape is used")]
pub(super) struct ClaudeFields {
    /// What Claude should do; a template.
    prompt: Option<String>,
    /// A file with the prompt, relative to this file; never a template.
    prompt_file: Option<String>,
    /// Default from the configuration.
    model: Option<String>,
    /// default, acceptEdits, plan, dontAsk, auto or bypassPermissions.
    permission_mode: Option<String>,
    /// Such as Read, Edit, "Bash(cargo *)".
    allowed_tools: Option<OneOrMany>,
    /// As allowed_tools.
    disallowed_tools: Option<OneOrMany>,
    /// Most turns.
    max_turns: Option<u32>,
    /// Most dollars.
    max_budget_usd: Option<f64>,
    /// Added to the system prompt.
    append_system_prompt: Option<String>,
    /// Further directories.
    add_dirs: Option<OneOrMany>,
    /// JSON Schema of the answer.
    json_schema: Option<serde_json::Value>,
    /// login, or env:NAME.
    auth: Option<String>,
    /// ask: tools that need permission ask a person; default deny.
    permissions: Option<Permissions>,
    /// ignore (default), or fail: a denied tool fails the task.
    denials: Option<Denials>,
    /// Longest time without an event; default from the configuration.
    silence: Option<Duration>,
    /// wait, ask or fail; default from the configuration.
    when_limited: Option<WhenLimited>,
    /// Whether the project's own settings, hooks and MCP servers may act.
    trust: Option<Trust>,
    /// Whether it may queue tasks of its job, tell its result and progress, and ask a person; default false.
    subtasks: Option<bool>,
}

/// What a denied tool does.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
#[expect(dead_code, reason = "only its shape is used")]
enum Denials {
    /// Nothing; the gate decides.
    Ignore,
    /// It fails the task.
    Fail,
}

/// What a usage limit does.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
#[expect(dead_code, reason = "only its shape is used")]
enum WhenLimited {
    /// Wait until it is lifted, then go on.
    Wait,
    /// Wait, then go on when a person says so.
    Ask,
    /// Fail.
    Fail,
}

/// Who decides about tools that need permission.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its shape is used")]
enum Permissions {
    /// ask or deny.
    Word(PermissionsWord),
    /// A person, with what happens when nobody answers.
    Full(PermissionsFields),
}

/// Who decides.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
#[expect(dead_code, reason = "only its shape is used")]
enum PermissionsWord {
    /// A person.
    Ask,
    /// Nobody: they are denied.
    Deny,
}

/// A person, with what happens when nobody answers.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its shape is used")]
pub(super) struct PermissionsFields {
    /// Default true.
    ask: Option<bool>,
    /// How long a question waits; for ever without it.
    timeout: Option<Duration>,
    /// deny (default) or allow, after that.
    default: Option<AllowOrDeny>,
}

/// An answer.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
#[expect(dead_code, reason = "only its shape is used")]
enum AllowOrDeny {
    /// Yes.
    Allow,
    /// No.
    Deny,
}

/// The most that Claude runs may use: dollars, or both.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its shape is used")]
pub(super) enum Budget {
    /// Dollars.
    Usd(f64),
    /// Dollars, tokens or both.
    Full(BudgetFields),
}

/// Dollars, tokens or both.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its shape is used")]
pub(super) struct BudgetFields {
    /// Dollars.
    usd: Option<f64>,
    /// Tokens, read and written together.
    tokens: Option<u64>,
}

/// Runs a task again until a condition holds.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its shape is used")]
pub(super) struct RepeatFields {
    /// The condition, looked at after each round.
    until: UntilFields,
    /// Most rounds; default 10.
    #[schemars(range(min = 1, max = 10000))]
    max: Option<u32>,
    /// A new session for each round; default false.
    fresh_session: Option<bool>,
    /// Given up after so many rounds in a row without a change in the git tree; default 3, 0 never.
    stop_after_no_change: Option<u32>,
}

/// A file, or a command that exits 0.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its shape is used")]
pub(super) struct UntilFields {
    /// A file of the workspace that must exist.
    file: Option<String>,
    /// A regular expression (`grep -E`) that a line of it must match.
    matches: Option<String>,
    /// A shell script that must exit 0.
    command: Option<String>,
}
