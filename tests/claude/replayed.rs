//! The demo's stand-in for the CLI behaves as the CLI does for our command line.

use std::fs::File;
use std::process::{Command, Stdio};
use std::time::Duration;

use airx::claude::cli::Cli;
use airx::manager::ports::ClaudeCli;
use airx::model::attempt::End;
use airx::model::spec::ClaudeSpec;
use airx::model::state::Outcome;

use super::support::{content, wait_until};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/demo/replay-claude");

/// Starts it with `prompt` in `dir`; stdout goes to the file `out`.
fn start(dir: &std::path::Path, prompt: &str, delay: &str) -> (ClaudeSpec, std::process::Child) {
    let cli = Cli::new(SCRIPT, "sonnet");
    let spec = ClaudeSpec {
        allowed_tools: vec!["Read".to_owned(), "Bash(cargo *)".to_owned()],
        append_system_prompt: Some("-e 'quoted'\nlines".to_owned()),
        ..ClaudeSpec::default()
    };
    let argv = cli.argv(&super::run(&spec));
    std::fs::write(dir.join("prompt"), cli.stdin(prompt, false)).expect("the prompt is written");
    let child = Command::new(&argv[0])
        .args(&argv[1..])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("REPLAY_DELAY", delay)
        .stdin(File::open(dir.join("prompt")).expect("the prompt opens"))
        .stdout(File::create(dir.join("out")).expect("out opens"))
        .stderr(Stdio::null())
        .spawn()
        .expect("the script starts");
    (spec, child)
}

#[test]
fn the_replay_succeeds_under_the_session_it_was_given() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (spec, mut child) = start(dir.path(), "Fix the cart.", "0");
    let status = child.wait().expect("it ends");
    let report = Cli::new(SCRIPT, "sonnet").read(&dir.path().join("out"));
    let end = End::Exited(status.code().unwrap_or(-1));
    assert_eq!(super::outcome(&spec, end, &report, false), Outcome::Succeeded);
    assert_eq!(report.facts.session.as_deref(), Some("6b3f1a52-8f0e-4d0c-9a63-2b1f6f0e7a11"));
    assert_eq!((report.facts.cost_microusd, report.facts.turns), (21_400, 5));
}

#[test]
fn the_replay_wants_a_prompt() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (_, mut child) = start(dir.path(), "\n", "0");
    assert_eq!(child.wait().expect("it ends").code(), Some(1));
    assert_eq!(content(&dir.path().join("out")), "");
}

#[test]
fn an_interrupted_replay_is_cancelled() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let out = dir.path().join("out");
    let (spec, mut child) = start(dir.path(), "Fix the cart.", "0.2");
    wait_until("the first event", Duration::from_secs(30), || content(&out).contains("\"init\""));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("the signal is sent");
    let code = child.wait().expect("it ends").code();
    let report = Cli::new(SCRIPT, "sonnet").read(&out);
    assert_eq!(code, Some(1));
    assert_eq!(super::outcome(&spec, End::Exited(1), &report, true), Outcome::Cancelled);
}
