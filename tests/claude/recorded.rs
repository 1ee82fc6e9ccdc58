//! Recorded runs and the outcome each must have.

use std::path::PathBuf;

use airx::claude::render::Renderer;
use airx::claude::transcript;
use airx::model::attempt::End;
use airx::model::report::{ClaudeReport, LimitKind};
use airx::model::spec::ClaudeSpec;
use airx::model::state::Outcome;
use airx::model::time::Utc;

fn fixtures() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/claude"))
}

fn report(name: &str) -> ClaudeReport {
    transcript::read(&fixtures().join(format!("{name}.ndjson")), &jiff::tz::TimeZone::UTC)
}

fn outcome(name: &str, interrupted: bool) -> Outcome {
    let meta = std::fs::read(fixtures().join(format!("{name}.json"))).expect(name);
    let meta: serde_json::Value = serde_json::from_slice(&meta).expect(name);
    let code = i32::try_from(meta["exit_code"].as_i64().expect(name)).expect(name);
    let end = if code < 0 { End::Signalled(-code) } else { End::Exited(code) };
    let schema = meta["argv"].as_array().expect(name).iter().any(|word| word == "--json-schema");
    let spec = ClaudeSpec { json_schema: schema.then(|| serde_json::json!({})), ..ClaudeSpec::default() };
    super::outcome(&spec, end, &report(name), interrupted)
}

/// Beginning of the outcome's sentence for each recording that nobody interrupted.
const OUTCOMES: &[(&str, &str)] = &[
    ("text_stream-json", "succeeded"),
    ("text_unicode", "succeeded"),
    ("text_partial", "succeeded"),
    ("thinking", "succeeded"),
    ("tools_accept-edits", "succeeded"),
    ("tools_default-denied", "succeeded"),
    ("tools_bash-fails", "succeeded"),
    ("tools_bash-background", "succeeded"),
    ("tools_agent", "succeeded"),
    ("tools_parallel", "succeeded"),
    ("tools_tasks", "succeeded"),
    ("permission_stdio-allow", "succeeded"),
    ("permission_stdio-deny", "succeeded"),
    ("input_stream-json-initialize", "succeeded"),
    ("input_stream-json-two-turns", "succeeded"),
    ("input_stream-json-interrupt", "succeeded"),
    ("tools_bypass-as-root", "exit 1"),
    ("err_400", "error result: API Error: 400 messages: invalid"),
    ("err_401-retries-0", "not logged in"),
    ("err_401", "not logged in"),
    ("err_403", "not logged in"),
    ("err_404", "error result: There's an issue with the selected model"),
    ("err_429-twice", "succeeded"),
    ("err_429-retry-after-120", "usage limit reached"),
    ("err_500-max-retries-2", "crashed: the model provider failed: API Error: 500"),
    ("err_529-forever", "model provider overloaded"),
    ("err_529-retries-0", "model provider overloaded"),
    ("err_529-fallback-model", "succeeded"),
    ("err_connection-refused", "crashed: the model provider failed: API Error: Unable to connect"),
    ("err_credit", "not logged in, or the credential was refused"),
    ("err_empty", "succeeded"),
    ("err_hang-api-timeout-5s", "crashed: the model provider failed: Request timed out"),
    ("err_malformed-close", "succeeded"),
    ("err_malformed-close-garbage", "crashed: the model provider failed: API Error: API returned an empty"),
    ("err_max-tokens", "error result: API Error: Claude's response exceeded the 64000 output token maximum"),
    ("err_mid-tools-500", "crashed: the model provider failed: API Error: 500 boom"),
    ("err_no-key", "not logged in"),
    ("err_prompt-too-long", "error result: Prompt is too long"),
    ("err_refusal", "error result: API Error: Claude Code is unable to respond"),
    ("flag_json-schema", "succeeded"),
    ("flag_json-schema-not-called", "bad result: Claude gave no output in the form of json_schema"),
    ("flag_json-schema-always-mismatch", "bad result: Failed to provide valid structured output"),
    ("flag_resume-unknown", "crashed: the Claude CLI gave up: No conversation found"),
    ("flag_unknown-flag", "exit 1"),
    ("hooks_all", "succeeded"),
    ("hooks_prompt-block", "error result: the prompt never reached the model: UserPromptSubmit operation blocked"),
    ("hooks_stop-block-always", "succeeded"),
    ("max-budget-loop", "budget exceeded"),
    ("max-turns-3-loop", "maximum number of turns reached"),
    ("prompt_slash-unknown", "error result: the prompt never reached the model: Unknown command"),
    ("rate-limit-event_rejected", "usage limit reached"),
    ("rate-limit-event_warning", "succeeded"),
    ("signal_hang-INT", "crashed: the Claude CLI ended without a final result line"),
    ("signal_stream-INT", "crashed: the Claude CLI was interrupted"),
    ("signal_stream-TERM", "crashed: the Claude CLI was told to end by signal 15"),
    ("signal_bash-INT", "crashed: the Claude CLI was interrupted"),
    ("signal_bash-KILL", "crashed: the Claude CLI was ended by signal 9"),
    ("signal_startup-INT", "crashed: the Claude CLI was ended by signal 2"),
    ("signal_agent-TERM", "succeeded"),
    ("signal_retry-INT", "crashed: the Claude CLI was interrupted"),
    ("signal_background-task-INT", "crashed: the Claude CLI was interrupted"),
];

#[test]
fn every_recorded_run_has_the_outcome_it_deserves() {
    for (name, expected) in OUTCOMES {
        let sentence = outcome(name, false).sentence();
        assert!(sentence.starts_with(expected), "{name}: {sentence}");
    }
}

#[test]
fn no_recording_is_left_without_an_expected_outcome() {
    let files = std::fs::read_dir(fixtures()).expect("fixtures").map(|entry| entry.expect("entry").path());
    for file in files.filter(|file| file.extension().is_some_and(|ending| ending == "ndjson")) {
        let name = file.file_stem().expect("a name").to_str().expect("UTF-8");
        assert!(OUTCOMES.iter().any(|(known, _)| *known == name), "{name}");
    }
}

#[test]
fn a_cancelled_run_is_cancelled_unless_it_finished_first() {
    for (name, _) in OUTCOMES.iter().filter(|(name, _)| name.starts_with("signal_") && *name != "signal_agent-TERM") {
        assert_eq!(outcome(name, true), Outcome::Cancelled, "{name}");
    }
    assert_eq!(outcome("signal_agent-TERM", true), Outcome::Succeeded);
}

#[test]
fn a_rejected_limit_tells_when_it_is_lifted_and_a_plain_429_does_not() {
    let limited = |at| Outcome::Limited { resets_at: at };
    assert_eq!(outcome("rate-limit-event_rejected", false), limited(Some(Utc(1_893_456_000_000))));
    assert_eq!(outcome("err_429-retry-after-120", false), limited(None));
}

#[test]
fn cost_tokens_and_turns_come_from_the_last_result() {
    let facts = report("tools_bash-background").facts;
    assert_eq!((facts.cost_microusd, facts.input_tokens, facts.output_tokens, facts.turns), (2275, 300, 31, 3));
    assert_eq!(facts.model.as_deref(), Some("claude-opus-4-8[1m]"));
    assert_eq!(facts.session.as_deref(), Some("f627462e-55b3-4169-a3fd-50dc4e02fea1"));
    assert_eq!(facts.text.as_deref(), Some("Command finished."));
}

#[test]
fn limits_windows_and_who_pays_are_read_from_recorded_runs() {
    let rejected = report("rate-limit-event_rejected");
    assert_eq!(rejected.limited.map(|limit| limit.kind), Some(LimitKind::Session));
    assert!(rejected.facts.windows[0].is_rejected && !rejected.facts.pays_by_key);
    let warned = report("rate-limit-event_warning");
    assert_eq!((warned.limited, warned.facts.windows[0].percent), (None, Some(91)));
    assert!(report("text_stream-json").facts.pays_by_key);
}

#[test]
fn a_session_that_cannot_be_resumed_is_said_to_be_gone() {
    let gone: Vec<&str> = OUTCOMES.iter().map(|(name, _)| *name).filter(|name| report(name).session_gone).collect();
    assert_eq!(gone, ["flag_resume-unknown"]);
}

#[test]
fn denials_are_named() {
    assert_eq!(report("tools_default-denied").facts.denials, ["Write", "Bash"]);
}

#[test]
fn an_interrupted_run_keeps_its_last_words() {
    assert!(report("signal_stream-INT").facts.text.is_some_and(|text| !text.is_empty()));
}

#[test]
fn recorded_runs_are_rendered_as_they_read() {
    let mut page = String::new();
    for name in [
        "tools_default-denied",
        "tools_bash-fails",
        "tools_agent",
        "err_529-forever",
        "rate-limit-event_rejected",
        "signal_bash-INT",
        "permission_stdio-allow",
        "tools_bash-background",
        "hooks_stop-block-always",
        "err_529-fallback-model",
        "text_partial",
    ] {
        page.push_str(&format!("== {name}\n"));
        let bytes = std::fs::read(fixtures().join(format!("{name}.ndjson"))).expect(name);
        let mut renderer = Renderer::new();
        renderer.push(&bytes, &mut page);
        renderer.finish(&mut page);
    }
    let settings = {
        let mut settings = insta::Settings::new();
        settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"));
        settings.set_prepend_module_to_snapshot(false);
        settings.add_filter(r"in \d+\.\d s", "in N s");
        settings
    };
    settings.bind(|| insta::assert_snapshot!("claude_transcripts", page));
}
