//! The real CLI, started with our command line as a runner would: prompt file as stdin, a regular file as stdout.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use airx::claude::cli::{Cli, refuse};
use airx::claude::env::env_defaults;
use airx::manager::ports::ClaudeCli;
use airx::model::attempt::End;
use airx::model::report::ClaudeReport;
use airx::model::spec::ClaudeSpec;
use airx::model::state::{BudgetOf, FailCause, Outcome};
use airx::model::time::Utc;

use super::support::{FakeApi, binary, content, wait_until};

/// Long enough for the slowest machine; a good run takes about a second.
const PATIENCE: Duration = Duration::from_secs(120);

/// A home, a project and a fake API of one test's own.
struct Stage {
    api: FakeApi,
    binary: PathBuf,
    dir: tempfile::TempDir,
    env: Vec<(String, String)>,
}

/// A started run.
struct Run<'a> {
    stage: &'a Stage,
    spec: ClaudeSpec,
    child: Child,
}

/// An ended one.
struct Ended {
    outcome: Outcome,
    report: ClaudeReport,
}

impl Stage {
    /// None when the CLI is not installed.
    fn set() -> Option<Stage> {
        let binary = binary()?;
        let dir = tempfile::tempdir().expect("a temporary directory");
        for sub in ["home", "project"] {
            std::fs::create_dir(dir.path().join(sub)).expect(sub);
        }
        let api = FakeApi::start(dir.path());
        let mut env: Vec<_> = env_defaults().into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        env.extend(api.environment(&dir.path().join("home")));
        Some(Stage { api, binary, dir, env })
    }

    fn with(mut self, name: &str, value: &str) -> Stage {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    fn without(mut self, name: &str) -> Stage {
        self.env.retain(|(known, _)| known != name);
        self
    }

    fn start(&self, spec: ClaudeSpec) -> Run<'_> {
        let cli = Cli::new(self.binary.to_str().expect("UTF-8"), "sonnet");
        let argv = cli.argv(&super::run(&spec));
        let at = |name: &str| self.dir.path().join(name);
        std::fs::write(at("prompt"), cli.stdin(&spec.prompt, false)).expect("the prompt is written");
        let child = Command::new(&argv[0])
            .args(&argv[1..])
            .current_dir(at("project"))
            .env_clear()
            .envs(self.env.iter().cloned())
            .stdin(File::open(at("prompt")).expect("the prompt opens"))
            .stdout(File::create(at("out")).expect("out opens"))
            .stderr(File::create(at("err")).expect("err opens"))
            .spawn()
            .expect("the CLI starts");
        Run { stage: self, spec, child }
    }

    fn run(&self, spec: ClaudeSpec) -> Ended {
        self.start(spec).end(false)
    }

    fn out(&self) -> String {
        content(&self.dir.path().join("out"))
    }

    fn requests(&self) -> String {
        content(&self.dir.path().join("requests.ndjson"))
    }
}

impl Run<'_> {
    fn end(mut self, interrupted: bool) -> Ended {
        let mut status: Option<ExitStatus> = None;
        wait_until("the CLI to end", PATIENCE, || {
            status = self.child.try_wait().expect("its state");
            status.is_some()
        });
        let status = status.expect("it ended");
        let end = status.signal().map_or_else(|| End::Exited(status.code().unwrap_or(-1)), End::Signalled);
        let cli = Cli::new("claude", "sonnet");
        let report = cli.read(&self.stage.dir.path().join("out"));
        let outcome = super::outcome(&self.spec, end, &report, interrupted);
        Ended { outcome, report }
    }

    /// As the runner cancels a Claude task.
    fn interrupt(self) -> Ended {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("the signal is sent");
        self.end(true)
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn prompt(text: &str) -> ClaudeSpec {
    ClaudeSpec { prompt: text.to_owned(), ..ClaudeSpec::default() }
}

#[test]
fn an_answer_is_a_success_with_session_model_cost_and_text() {
    let Some(stage) = Stage::set() else { return };
    let ended = stage.run(prompt("Say hello. [[fake:text {\"text\": \"Grüß dich\"}]]"));
    assert_eq!(ended.outcome, Outcome::Succeeded, "{}", stage.out());
    let facts = ended.report.facts;
    assert_eq!(facts.session.as_deref(), Some("6b3f1a52-8f0e-4d0c-9a63-2b1f6f0e7a11"));
    assert_eq!(facts.text.as_deref(), Some("Grüß dich"));
    assert!(facts.model.is_some_and(|model| model.contains("sonnet")));
    assert!(facts.cost_microusd > 0 && facts.input_tokens == 100 && facts.turns == 1);
}

#[test]
fn a_prompt_that_begins_with_a_slash_reaches_the_model() {
    let Some(stage) = Stage::set() else { return };
    assert_eq!(stage.run(prompt("/nosuch [[fake:text]]")).outcome, Outcome::Succeeded, "{}", stage.out());
    assert!(stage.requests().contains("/v1/messages"), "{} {}", stage.api.url(), stage.requests());
}

#[test]
fn every_list_flag_is_heard_and_none_swallows_another() {
    let Some(stage) = Stage::set() else { return };
    let spec = ClaudeSpec {
        allowed_tools: vec!["Write".to_owned(), "Bash(python3 -c *)".to_owned()],
        disallowed_tools: vec!["WebFetch".to_owned(), "WebSearch".to_owned()],
        add_dirs: vec![stage.dir.path().join("home").display().to_string()],
        max_turns: Some(5),
        max_budget_usd: Some(1.0),
        append_system_prompt: Some("-begins like a flag".to_owned()),
        permission_mode: Some("default".to_owned()),
        ..prompt("Do it. [[fake:tools {\"command\": \"python3 -c pass\"}]]")
    };
    let ended = stage.run(spec);
    assert_eq!(ended.outcome, Outcome::Succeeded, "{}", stage.out());
    assert_eq!(ended.report.facts.denials, Vec::<String>::new(), "both rules count");
    let init = stage.out().lines().next().unwrap_or_default().to_owned();
    assert!(!init.contains("WebFetch") && !init.contains("WebSearch"), "both are removed: {init}");
}

#[test]
fn denied_tools_are_recorded_though_the_run_succeeds() {
    let Some(stage) = Stage::set() else { return };
    let ended = stage.run(prompt("Do it. [[fake:tools]]"));
    assert_eq!(ended.outcome, Outcome::Succeeded, "{}", stage.out());
    assert!(ended.report.facts.denials.contains(&"Write".to_owned()), "{:?}", ended.report.facts);
}

#[test]
fn max_turns_and_budget_end_a_loop() {
    let Some(stage) = Stage::set() else { return };
    let turns = stage.run(ClaudeSpec { max_turns: Some(2), ..prompt("Go. [[fake:loop]]") });
    assert_eq!(turns.outcome, Outcome::Failed { cause: FailCause::MaxTurns }, "{}", stage.out());
    let Some(stage) = Stage::set() else { return };
    let budget = stage.run(ClaudeSpec { max_budget_usd: Some(0.0005), ..prompt("Go. [[fake:loop]]") });
    assert_eq!(budget.outcome, Outcome::BudgetExceeded { of: BudgetOf::Attempt }, "{}", stage.out());
}

#[test]
fn a_json_schema_is_met_or_the_result_is_bad() {
    let Some(stage) = Stage::set() else { return };
    let schema = serde_json::json!({"type": "object", "properties": {"name": {"type": "string"}, "count": {"type": "integer"}}});
    let spec = |text| ClaudeSpec { json_schema: Some(schema.clone()), ..prompt(text) };
    let met = stage.run(spec("Go. [[fake:structured {\"value\": {\"name\": \"fake\", \"count\": 3}}]]"));
    assert_eq!(met.outcome, Outcome::Succeeded, "{}", stage.out());
    let Some(stage) = Stage::set() else { return };
    let missed = stage.run(spec("Go. [[fake:text]]"));
    assert!(matches!(missed.outcome, Outcome::Failed { cause: FailCause::BadResult(_) }), "{}", stage.out());
}

#[test]
fn a_refused_or_missing_key_is_a_matter_of_login() {
    let Some(stage) = Stage::set() else { return };
    let stage = stage.with("ANTHROPIC_API_KEY", "invalid-key").with("CLAUDE_CODE_MAX_RETRIES", "1");
    assert_eq!(stage.run(prompt("Hi")).outcome, Outcome::Auth, "{}", stage.out());
    let Some(stage) = Stage::set() else { return };
    let stage = stage.without("ANTHROPIC_API_KEY");
    assert_eq!(stage.run(prompt("Hi")).outcome, Outcome::Auth, "{}", stage.out());
}

#[test]
fn a_subscription_limit_is_limited_until_it_resets() {
    let Some(stage) = Stage::set() else { return };
    let stage = stage.without("ANTHROPIC_API_KEY").with("CLAUDE_CODE_OAUTH_TOKEN", "dummy-token");
    let ended = stage.run(prompt(
        "Hi [[fake:429 {\"retry_after\": 3600, \"headers\": {\"anthropic-ratelimit-unified-status\": \"rejected\", \
         \"anthropic-ratelimit-unified-representative-claim\": \"five_hour\", \
         \"anthropic-ratelimit-unified-overage-status\": \"rejected\", \
         \"anthropic-ratelimit-unified-reset\": \"1893456000\"}}]]",
    ));
    assert_eq!(ended.outcome, Outcome::Limited { resets_at: Some(Utc(1_893_456_000_000)) }, "{}", stage.out());
}

#[test]
fn a_provider_in_trouble_is_overloaded_or_a_crash_and_never_the_tasks_fault() {
    let Some(stage) = Stage::set() else { return };
    let stage = stage.with("CLAUDE_CODE_MAX_RETRIES", "1");
    assert_eq!(stage.run(prompt("Hi [[fake:529]]")).outcome, Outcome::Overloaded, "{}", stage.out());
    let Some(stage) = Stage::set() else { return };
    let stage = stage.with("CLAUDE_CODE_MAX_RETRIES", "0");
    let ended = stage.run(prompt("Hi [[fake:malformed {\"how\": \"close\", \"whole\": \"garbage\"}]]"));
    assert!(matches!(ended.outcome, Outcome::Crashed { .. }), "{:?} {}", ended.outcome, stage.out());
}

#[test]
fn a_run_on_a_hanging_api_is_cancelled_by_an_interrupt() {
    let Some(stage) = Stage::set() else { return };
    let run = stage.start(prompt("Hi [[fake:hang]]"));
    wait_until("the request", PATIENCE, || stage.requests().contains("/v1/messages"));
    let ended = run.interrupt();
    assert_eq!(ended.outcome, Outcome::Cancelled, "{}", stage.out());
    // Whether it still prints a result is a race; a good one it never prints.
    assert!(ended.report.result.is_none_or(|result| result.is_error), "{}", stage.out());
}

#[test]
fn an_interrupt_stops_the_tool_that_runs() {
    let Some(stage) = Stage::set() else { return };
    let mark = stage.dir.path().join("project/started");
    let spec = ClaudeSpec {
        allowed_tools: vec!["Bash".to_owned()],
        ..prompt("Hi [[fake:bash {\"command\": \"echo $$ > started; exec sleep 300\"}]]")
    };
    let run = stage.start(spec);
    wait_until("the tool to start", PATIENCE, || content(&mark).ends_with('\n'));
    let ended = run.interrupt();
    assert_eq!(ended.outcome, Outcome::Cancelled, "{}", stage.out());
    let pid = content(&mark).trim().to_owned();
    wait_until("the tool to be gone", PATIENCE, || !content(&PathBuf::from(format!("/proc/{pid}/cmdline"))).contains("sleep"));
}

#[test]
fn what_we_refuse_beforehand_is_what_the_cli_refuses() {
    let Some(stage) = Stage::set() else { return };
    let root = rustix::process::getuid().is_root();
    let bypass = ClaudeSpec { permission_mode: Some("bypassPermissions".to_owned()), ..prompt("Hi [[fake:text]]") };
    for stage in [stage, Stage::set().expect("it was there").with("IS_SANDBOX", "1")] {
        let refused = refuse(&bypass, &bypass.prompt, root, &stage.env).is_some();
        let expected = if refused { Outcome::Failed { cause: FailCause::Exit(1) } } else { Outcome::Succeeded };
        assert_eq!(stage.run(bypass.clone()).outcome, expected, "{}", stage.out());
    }
}
