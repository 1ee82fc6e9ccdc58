//! The keys of a job file. The JSON Schema lists the same ones, and a test holds the two together.

/// What a mapping may hold: its keys, and those that a later version will know.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keys {
    pub known: &'static [&'static str],
    pub later: &'static [&'static str],
}

pub(super) const JOB: Keys = Keys {
    known: &[
        "name",
        "description",
        "pool",
        "workspace",
        "max_parallel",
        "priority",
        "max_added",
        "on_failure",
        "params",
        "env",
        "env_pass",
        "budget",
        "schedule",
        "result",
        "defaults",
        "tasks",
        "finally",
    ],
    later: &["repeat"],
};

/// Keys of a task that say how a command or a run of Claude is done: neither an approval nor a child job is one.
pub(super) const OF_RUNS: [&str; 12] = [
    "env",
    "workspace",
    "pool",
    "timeout",
    "grace",
    "retry",
    "resources",
    "output_limit",
    "accept",
    "result",
    "repeat",
    "artifacts",
];

pub(super) const TASK: Keys = Keys {
    known: &[
        "id",
        "description",
        "needs",
        "run",
        "command",
        "args",
        "claude",
        "job",
        "approve",
        "env",
        "workspace",
        "pool",
        "timeout",
        "grace",
        "retry",
        "resources",
        "output_limit",
        "accept",
        "result",
        "artifacts",
        "budget",
        "repeat",
        "priority",
        "rule",
        "if",
        "for_each",
        "matrix",
        "max_parallel",
    ],
    later: &[],
};

pub(super) const DEFAULTS: Keys = Keys { known: &["timeout", "grace", "retry", "resources", "output_limit"], later: &[] };

pub(super) const RETRY: Keys =
    Keys { known: &["attempts", "delay", "factor", "max_delay", "jitter", "resume", "on"], later: &[] };

pub(super) const RETRY_CLASS: Keys = Keys { known: &["attempts", "delay", "factor", "max_delay", "jitter"], later: &[] };

pub(super) const RESOURCES: Keys = Keys { known: &["memory", "cpus", "pids"], later: &[] };

pub(super) const ACCEPT: Keys = Keys { known: &["run", "timeout"], later: &[] };

pub(super) const APPROVE: Keys = Keys { known: &["message", "who", "timeout", "default", "show"], later: &[] };

pub(super) const RESULT: Keys = Keys { known: &["kind", "file", "schema", "schema_file"], later: &[] };

pub(super) const ARTIFACTS: Keys = Keys { known: &["files", "max_bytes"], later: &[] };

pub(super) const ARTIFACT: Keys = Keys { known: &["path", "name", "required", "optional"], later: &[] };

pub(super) const BUDGET: Keys = Keys { known: &["usd", "tokens"], later: &[] };

pub(super) const REPEAT: Keys = Keys { known: &["until", "max", "fresh_session", "stop_after_no_change"], later: &[] };

pub(super) const SCHEDULE: Keys =
    Keys { known: &["cron", "timezone", "every", "start", "until", "catch_up", "overlap", "jitter"], later: &[] };

pub(super) const UNTIL: Keys = Keys { known: &["file", "matches", "command"], later: &[] };

pub(super) const PERMISSIONS: Keys = Keys { known: &["ask", "timeout", "default"], later: &[] };

pub(super) const PARAM: Keys = Keys { known: &["default", "description"], later: &[] };

pub(super) const CHILD: Keys = Keys { known: &["file", "params"], later: &[] };

pub(super) const ENV_FROM: Keys = Keys { known: &["from"], later: &[] };

pub(super) const CLAUDE: Keys = Keys {
    known: &[
        "prompt",
        "prompt_file",
        "model",
        "permission_mode",
        "allowed_tools",
        "disallowed_tools",
        "max_turns",
        "max_budget_usd",
        "append_system_prompt",
        "add_dirs",
        "json_schema",
        "auth",
        "permissions",
        "denials",
        "silence",
        "when_limited",
        "trust",
        "subtasks",
    ],
    later: &["fallback_model", "effort"],
};
