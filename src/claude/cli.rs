//! The command line of a headless run, and what must be known before starting one.

use std::collections::BTreeMap;
use std::path::Path;

use crate::manager::ports::{ClaudeCli, ClaudeRun};
use crate::model::report::ClaudeReport;
use crate::model::spec::ClaudeSpec;

/// Longest single argument that Linux takes (`MAX_ARG_STRLEN`, 32 pages of 4 KiB, its final NUL included).
const MAX_ARG_BYTES: usize = 32 * 4096 - 1;

/// The smallest budget that the CLI is given: it crashes at none.
const MIN_MICROUSD: u64 = 1;

/// The installed CLI, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cli {
    binary: String,
    model: String,
}

impl Cli {
    /// `binary` is a path, or a name that is looked up in the task's PATH; `model` is for tasks that name none (the CLI's
    /// own default depends on the account, so one is always passed).
    pub fn new(binary: impl Into<String>, model: impl Into<String>) -> Cli {
        Cli { binary: binary.into(), model: model.into() }
    }
}

impl ClaudeCli for Cli {
    /// Every value is glued to its flag with `=`, list flags are repeated: a list flag followed by a separate word takes
    /// all further words, and a value that begins with `-` would be read as a flag.
    fn argv(&self, run: &ClaudeRun<'_>) -> Vec<String> {
        let spec = run.spec;
        let mut argv = vec![self.binary.clone(), "-p".to_owned(), "--verbose".to_owned()];
        let mut flag = |name: &str, value: &str| argv.push(format!("--{name}={value}"));
        flag("output-format", "stream-json");
        flag(if run.resumes { "resume" } else { "session-id" }, run.session);
        if spec.permissions.is_some() {
            flag("input-format", "stream-json");
            flag("permission-prompt-tool", "stdio");
        }
        flag("model", spec.model.as_deref().unwrap_or(&self.model));
        if let Some(mode) = &spec.permission_mode {
            flag("permission-mode", mode);
        }
        // Observed: either keeps the project's `.mcp.json` servers from starting, the first its hooks and settings too; both,
        // since servers can come from elsewhere as well.
        if !run.trusts_project {
            flag("setting-sources", "user");
        }
        spec.allowed_tools.iter().chain(run.rules).for_each(|rule| flag("allowedTools", rule));
        spec.disallowed_tools.iter().for_each(|rule| flag("disallowedTools", rule));
        spec.add_dirs.iter().for_each(|dir| flag("add-dir", dir));
        if let Some(turns) = spec.max_turns {
            flag("max-turns", &turns.to_string());
        }
        let left = run.microusd.map(|left| left.max(MIN_MICROUSD) as f64 / 1e6);
        if let Some(usd) = [spec.max_budget_usd, left].into_iter().flatten().reduce(f64::min) {
            flag("max-budget-usd", &usd.to_string());
        }
        if let Some(text) = &spec.append_system_prompt {
            flag("append-system-prompt", text);
        }
        if let Some(schema) = &spec.json_schema {
            flag("json-schema", &schema.to_string());
        }
        if spec.subtasks {
            flag("mcp-config", &mcp_config());
            // The rule for all tools of the server; without it each call would be denied.
            flag("allowedTools", "mcp__airx");
        }
        if !run.trusts_project {
            argv.push("--strict-mcp-config".to_owned());
        }
        argv
    }

    /// A prompt that begins with `/` would be taken for one of the CLI's own commands, answered without the model and
    /// reported as a success.
    fn stdin(&self, prompt: &str, is_conversation: bool) -> String {
        let prompt = if prompt.starts_with('/') { format!(" {prompt}") } else { prompt.to_owned() };
        if !is_conversation {
            return prompt;
        }
        let content = [serde_json::json!({ "type": "text", "text": prompt })];
        format!("{}\n", serde_json::json!({ "type": "user", "message": { "role": "user", "content": content } }))
    }

    /// The CLI's own words for it.
    fn go_on(&self) -> &'static str {
        "Continue from where you left off."
    }

    fn has_session(&self, session: &str, env: &BTreeMap<String, String>) -> Option<bool> {
        super::session::exists(session, env)
    }

    fn refuse(&self, spec: &ClaudeSpec, prompt: &str, is_root: bool, env: &[(String, String)]) -> Option<String> {
        refuse(spec, prompt, is_root, env)
    }

    fn env_defaults(&self) -> Vec<(&'static str, &'static str)> {
        super::env::env_defaults()
    }

    fn read(&self, transcript: &Path) -> ClaudeReport {
        super::transcript::read(transcript, &jiff::tz::TimeZone::system())
    }
}

/// The server of our own tools, as `--mcp-config` takes it. The CLI puts in the variable, which the runner sets to the airx that
/// it is itself, and starts the server with its own whole environment, by which that one proves which attempt it belongs to: so
/// neither a path that an upgrade may replace nor a token is written into the arguments.
///
/// The timeout is the longest that the CLI takes: a question to a person may wait for days, and progress does not prolong it.
/// Said here it also overrides a shorter `MCP_TOOL_TIMEOUT` of the task, for this server alone.
fn mcp_config() -> String {
    let command = format!("${{{}}}", crate::model::attempt::OWN_PROGRAM);
    serde_json::json!({ "mcpServers": { "airx": { "command": command, "args": ["mcp"], "timeout": i32::MAX } } }).to_string()
}

/// Why this run would certainly fail at once, for people, with the remedy; none when it may start.
///
/// `prompt` is the rendered one, `is_root` whether the task would run with user id 0, `env` the task's environment.
pub fn refuse(spec: &ClaudeSpec, prompt: &str, is_root: bool, env: &[(String, String)]) -> Option<String> {
    let sandboxed = env.iter().any(|(name, value)| name == "IS_SANDBOX" && value == "1");
    if is_root && !sandboxed && spec.permission_mode.as_deref() == Some("bypassPermissions") {
        return Some(
            "the Claude CLI refuses permission_mode bypassPermissions as root: run airx as another user, choose acceptEdits with \
             allowed_tools, or, inside a real sandbox only, set IS_SANDBOX: \"1\" in the task's env"
                .to_owned(),
        );
    }
    if prompt.trim().is_empty() {
        return Some("the prompt is empty: write what Claude should do".to_owned());
    }
    let schema = spec.json_schema.as_ref().map(|schema| schema.to_string().len());
    let system = spec.append_system_prompt.as_ref().map(String::len);
    [("json_schema", "--json-schema=", schema), ("append_system_prompt", "--append-system-prompt=", system)]
        .into_iter()
        .find(|(_, flag, len)| len.is_some_and(|len| len + flag.len() > MAX_ARG_BYTES))
        .map(|(name, _, _)| {
            format!("{name} is longer than the 128 KiB that one argument may have: shorten it, or move text to the prompt")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: &str = "6b3f1a52-8f0e-4d0c-9a63-2b1f6f0e7a11";

    fn argv(spec: &ClaudeSpec) -> Vec<String> {
        Cli::new("claude", "sonnet").argv(&run(spec))
    }

    fn run(spec: &ClaudeSpec) -> ClaudeRun<'_> {
        ClaudeRun { spec, session: SESSION, resumes: false, microusd: None, rules: &[], trusts_project: true }
    }

    #[test]
    fn a_bare_prompt_runs_headless_with_the_configured_model_and_our_session() {
        assert_eq!(
            argv(&ClaudeSpec::default()),
            [
                "claude",
                "-p",
                "--verbose",
                "--output-format=stream-json",
                "--session-id=6b3f1a52-8f0e-4d0c-9a63-2b1f6f0e7a11",
                "--model=sonnet"
            ]
        );
    }

    #[test]
    fn where_the_project_is_not_trusted_only_the_users_settings_hold_and_no_server_of_its_own_starts() {
        let spec = ClaudeSpec::default();
        let argv = Cli::new("claude", "sonnet").argv(&ClaudeRun { trusts_project: false, ..run(&spec) });
        assert_eq!(argv[6..], ["--setting-sources=user", "--strict-mcp-config"]);
    }

    #[test]
    fn every_field_becomes_its_flag_and_lists_cannot_swallow_what_follows() {
        let spec = ClaudeSpec {
            prompt: "never in the arguments".to_owned(),
            model: Some("opus".to_owned()),
            permission_mode: Some("acceptEdits".to_owned()),
            allowed_tools: vec!["Read".to_owned(), "Bash(cargo *)".to_owned()],
            disallowed_tools: vec!["WebFetch".to_owned()],
            max_turns: Some(30),
            max_budget_usd: Some(0.5),
            append_system_prompt: Some("-be brief\nalways".to_owned()),
            add_dirs: vec!["/srv/a b".to_owned()],
            json_schema: Some(serde_json::json!({"type": "object"})),
            ..ClaudeSpec::default()
        };
        assert_eq!(
            argv(&spec)[5..],
            [
                "--model=opus",
                "--permission-mode=acceptEdits",
                "--allowedTools=Read",
                "--allowedTools=Bash(cargo *)",
                "--disallowedTools=WebFetch",
                "--add-dir=/srv/a b",
                "--max-turns=30",
                "--max-budget-usd=0.5",
                "--append-system-prompt=-be brief\nalways",
                "--json-schema={\"type\":\"object\"}",
            ]
        );
    }

    #[test]
    fn a_run_that_may_queue_tasks_gets_our_server_and_its_tools_and_no_secret_is_in_its_arguments() {
        let spec = ClaudeSpec { subtasks: true, ..ClaudeSpec::default() };
        assert_eq!(
            argv(&spec)[6..],
            [
                "--mcp-config={\"mcpServers\":{\"airx\":{\"command\":\"${AIRX_EXE}\",\"args\":[\"mcp\"],\"timeout\":2147483647}}}",
                "--allowedTools=mcp__airx",
            ]
        );
    }

    #[test]
    fn a_tiny_budget_is_written_without_an_exponent() {
        let spec = ClaudeSpec { max_budget_usd: Some(1e-7), ..ClaudeSpec::default() };
        assert!(argv(&spec).contains(&"--max-budget-usd=0.0000001".to_owned()));
    }

    #[test]
    fn a_resumed_session_is_named_as_such_and_the_tighter_budget_counts() {
        let spec = ClaudeSpec { max_budget_usd: Some(0.5), allowed_tools: vec!["Read".to_owned()], ..ClaudeSpec::default() };
        let rules = ["Bash(touch *)".to_owned()];
        let argv =
            Cli::new("claude", "sonnet").argv(&ClaudeRun { resumes: true, microusd: Some(20_000), rules: &rules, ..run(&spec) });
        assert_eq!(argv[4], format!("--resume={SESSION}"));
        assert_eq!(argv[6..], ["--allowedTools=Read", "--allowedTools=Bash(touch *)", "--max-budget-usd=0.02"]);
    }

    #[test]
    fn a_run_that_asks_a_person_is_a_conversation() {
        let spec = ClaudeSpec { permissions: Some(crate::model::spec::AskPerson::default()), ..ClaudeSpec::default() };
        let argv = argv(&spec);
        assert!(argv.contains(&"--permission-prompt-tool=stdio".to_owned()), "{argv:?}");
        let line = Cli::new("claude", "sonnet").stdin("/clear\n\"it\"", true);
        let message: serde_json::Value = serde_json::from_str(line.strip_suffix('\n').unwrap()).unwrap();
        assert_eq!(message["message"]["content"][0]["text"], " /clear\n\"it\"");
        assert_eq!(line.lines().count(), 1);
    }

    #[test]
    fn a_prompt_that_looks_like_a_command_is_neutralised_and_others_are_kept() {
        let cli = Cli::new("claude", "sonnet");
        assert_eq!(cli.stdin("/clear everything", false), " /clear everything");
        assert_eq!(cli.stdin("fix /etc/hosts", false), "fix /etc/hosts");
        assert_eq!(cli.stdin("-p is not a flag here", false), "-p is not a flag here");
    }

    #[test]
    fn what_would_fail_at_once_is_refused_with_the_remedy() {
        let bypass = ClaudeSpec { permission_mode: Some("bypassPermissions".to_owned()), ..ClaudeSpec::default() };
        let sandbox = [("IS_SANDBOX".to_owned(), "1".to_owned())];
        assert!(refuse(&bypass, "do it", true, &[]).is_some_and(|why| why.contains("as root")));
        assert_eq!(refuse(&bypass, "do it", true, &sandbox), None);
        assert_eq!(refuse(&bypass, "do it", false, &[]), None);
        assert!(refuse(&ClaudeSpec::default(), " \n", false, &[]).is_some_and(|why| why.contains("empty")));
        let long = |len| ClaudeSpec { append_system_prompt: Some("x".repeat(len)), ..ClaudeSpec::default() };
        assert_eq!(refuse(&long(131_071 - 23), "do it", false, &[]), None);
        assert!(refuse(&long(131_072 - 23), "do it", false, &[]).is_some_and(|why| why.contains("append_system_prompt")));
    }
}
