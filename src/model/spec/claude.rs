//! What belongs to Claude runs: the run itself, what it may use, and how often it is run again.

use serde::{Deserialize, Serialize};

/// A Claude Code run. Fields follow the CLI's flags.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ClaudeSpec {
    /// Template (`prompt`), or file content as it is (`prompt_file`, never templated).
    pub prompt: String,
    /// Whether `prompt` came from `prompt_file` and must not be templated.
    #[serde(default)]
    pub literal: bool,
    /// `--model`; none takes the configuration's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// `--permission-mode`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission_mode: Option<String>,
    /// `--allowedTools`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_tools: Vec<String>,
    /// `--disallowedTools`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disallowed_tools: Vec<String>,
    /// `--max-turns`, at least 1 (the CLI takes 0 as no limit).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_turns: Option<u32>,
    /// `--max-budget-usd`, above 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_budget_usd: Option<f64>,
    /// `--append-system-prompt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub append_system_prompt: Option<String>,
    /// `--add-dir`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add_dirs: Vec<String>,
    /// `--json-schema`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json_schema: Option<serde_json::Value>,
    /// `login`, or `env:NAME` for an API key by reference; none takes the configuration's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<ClaudeAuth>,
    /// Tools that need permission ask a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<AskPerson>,
    /// A denied tool fails the task.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fails_on_denial: bool,
    /// Longest time without an event, in milliseconds; none takes the configuration's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silence_ms: Option<u64>,
    /// What a usage limit does; none takes the configuration's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when_limited: Option<WhenLimited>,
    /// Whether it gets the tools of `airx mcp`: queueing tasks of its job, its result, its progress, questions to a person.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub subtasks: bool,
    /// Whether the project's own settings may act; none leaves it to the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<Trust>,
}

/// Whether a project's own settings, hooks and MCP servers may act in a Claude run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// As in an interactive run there. Only in workspaces that the configuration marks.
    Project,
    /// Only the user's own settings, and no MCP server but airx's.
    None,
}

/// What becomes of a tool that needs permission, or of another question to a person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskPerson {
    /// How long it waits for an answer, in milliseconds; none is for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Whether it is allowed when nobody answers in time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allows: bool,
}

/// What a usage limit does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenLimited {
    /// Wait until it is lifted, then go on.
    #[default]
    Wait,
    /// Wait, then go on when a person says so.
    Ask,
    /// Fail.
    Fail,
}

/// Whether a retry goes on with the session of the attempt before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resume {
    /// After what was not the task's fault; else it begins afresh.
    #[default]
    Auto,
    /// Whenever there is a session.
    Always,
    /// Never.
    Never,
}

/// Where a Claude run takes its credential from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaudeAuth {
    /// The login kept under HOME or CLAUDE_CONFIG_DIR.
    Login,
    /// ANTHROPIC_API_KEY is set from the manager's variable of this name at launch.
    Env(String),
}

/// The most that may be used; at least one of the two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Millionths of a dollar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub microusd: Option<u64>,
    /// Tokens, read and written together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
}

impl Budget {
    /// Whether so much is all of it, or more.
    pub fn is_spent(&self, microusd: u64, tokens: u64) -> bool {
        self.microusd.is_some_and(|most| microusd >= most) || self.tokens.is_some_and(|most| tokens >= most)
    }

    /// What is left of it after so much.
    pub fn left(&self, microusd: u64, tokens: u64) -> Budget {
        Budget {
            microusd: self.microusd.map(|most| most.saturating_sub(microusd)),
            tokens: self.tokens.map(|most| most.saturating_sub(tokens)),
        }
    }
}

/// Longest look at the condition of a task that repeats.
pub const ROUND_TIMEOUT_MS: u64 = 600_000;

/// Runs a task again until a condition holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repeat {
    /// The condition, looked at after each round.
    pub until: Until,
    /// Most rounds, at least 1.
    pub max: u32,
    /// A new session for each round instead of one for all.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fresh_session: bool,
    /// After so many rounds in a row that left the git tree as it was it is given up; 0 never.
    pub stop_after_no_change: u32,
}

/// The condition of a [`Repeat`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// A file exists, and has a line that matches.
    File {
        /// Relative to the workspace.
        path: String,
        /// A regular expression of `grep -E`; none is content with the file's existence.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        matches: Option<String>,
    },
    /// A shell template that exits 0.
    Command(String),
}

impl Until {
    /// The exit code by which the look at a file says that `matches` is no regular expression: it could never hold.
    pub const BAD_PATTERN: i32 = 125;
}
