//! How often and how soon what failed is repeated.

use std::collections::BTreeMap;

use schemars::JsonSchema;

use super::Duration;

/// Attempts, or all of it.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its shape is used")]
pub(super) enum Retry {
    /// Attempts in all.
    Attempts(u32),
    /// All of it.
    Full(Box<RetryFields>),
}

/// Repeating what failed.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its shape is used")]
pub(super) struct RetryFields {
    /// In all; 1 is no retry.
    #[schemars(range(min = 1, max = 100))]
    attempts: Option<u32>,
    /// Before the second attempt; default 10s.
    delay: Option<Duration>,
    /// Multiplies the delay each time; default 2.
    #[schemars(range(min = 1.0, max = 100.0))]
    factor: Option<f64>,
    /// The longest delay; default 10m.
    max_delay: Option<Duration>,
    /// Part of the delay that is random; default 0.2.
    #[schemars(range(min = 0.0, max = 1.0))]
    jitter: Option<f64>,
    /// Whether a Claude run goes on with its session: auto (after what was not its fault), always or never.
    resume: Option<ResumeWord>,
    /// What holds for some outcomes only.
    on: Option<OnFields>,
}

/// Whether a retry goes on with the session of the attempt before.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
#[expect(dead_code, reason = "only its shape is used")]
enum ResumeWord {
    /// After what was not the task's fault.
    Auto,
    /// Whenever there is one.
    Always,
    /// Never.
    Never,
}

/// What holds for some outcomes only. What one does not say is said by the one above it: exit codes, signals and so on are
/// below `failed`; evicted, crashed, lost, overloaded and unlaunchable below `infrastructure`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its shape is used")]
pub(super) struct OnFields {
    /// By its own fault, in whatever way.
    failed: Option<ClassEntry>,
    /// By a signal.
    signal: Option<ClassEntry>,
    /// Out of the memory it may use.
    oom: Option<ClassEntry>,
    /// More processes than it may have.
    pids: Option<ClassEntry>,
    /// Refused by its gate (`accept`).
    gate: Option<ClassEntry>,
    /// `max_turns` reached.
    max_turns: Option<ClassEntry>,
    /// Tools were denied, and the task says `denials: fail`.
    denied: Option<ClassEntry>,
    /// Its `repeat` was given up.
    repeat: Option<ClassEntry>,
    /// Claude reported an error.
    error_result: Option<ClassEntry>,
    /// `output_limit` reached.
    output_limit: Option<ClassEntry>,
    /// Its output is not the result that it should be.
    bad_result: Option<ClassEntry>,
    /// A file that had to be kept was not there.
    artifact: Option<ClassEntry>,
    /// Longer than its `timeout`.
    timed_out: Option<ClassEntry>,
    /// Silent for longer than `silence`.
    silent: Option<ClassEntry>,
    /// The budget of one attempt is spent.
    budget_exceeded: Option<ClassEntry>,
    /// All that is not the task's fault; default 4 attempts, after 1s, 4s and 16s.
    infrastructure: Option<ClassEntry>,
    /// Its place was taken away.
    evicted: Option<ClassEntry>,
    /// Ended by something outside of it.
    crashed: Option<ClassEntry>,
    /// Its runner vanished.
    lost: Option<ClassEntry>,
    /// The model provider is overloaded.
    overloaded: Option<ClassEntry>,
    /// It could not be started this time.
    unlaunchable: Option<ClassEntry>,
    /// By exit code, 1 to 255.
    exit: Option<BTreeMap<String, ClassEntry>>,
}

/// Never, attempts in all, or all that differs.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its shape is used")]
enum ClassEntry {
    /// Never again.
    Never(NeverWord),
    /// Attempts in all that may end so.
    Attempts(u32),
    /// All that differs.
    Full(ClassFields),
}

/// No other attempt.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
#[expect(dead_code, reason = "only its shape is used")]
enum NeverWord {
    /// No other attempt.
    Never,
}

/// What differs for an outcome.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its shape is used")]
pub(super) struct ClassFields {
    /// In all that may end so; 1 is never again. Said, it is a budget of its own; else it is that of the class above.
    #[schemars(range(min = 1, max = 100))]
    attempts: Option<u32>,
    /// Before the second attempt.
    delay: Option<Duration>,
    /// Multiplies the delay each time.
    #[schemars(range(min = 1.0, max = 100.0))]
    factor: Option<f64>,
    /// The longest delay.
    max_delay: Option<Duration>,
    /// Part of the delay that is random.
    #[schemars(range(min = 0.0, max = 1.0))]
    jitter: Option<f64>,
}
