//! A home whose tasks find the real CLI and the fake model, for tests of Claude tasks through the built program.
#![allow(dead_code, reason = "each test program uses its own part")]

use std::path::Path;

use crate::claude::{self, FakeApi};
use crate::home::TestHome;

/// Keeps the CLI from calling anybody but the fake model.
pub const QUIET: &str = "env: { DISABLE_TELEMETRY: 1, DISABLE_ERROR_REPORTING: 1, CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: 1 }";

/// A home with a manager, and the model; none when the CLI is not installed (and need not be). `claude` and `more` are added to the
/// configuration: to its `claude:`, and below it.
pub fn with(claude: &str, more: &str) -> Option<(TestHome, FakeApi)> {
    let (mut home, api) = unstarted(claude, more)?;
    home.start();
    Some((home, api))
}

/// As [`with`], without a manager.
pub fn unstarted(claude: &str, more: &str) -> Option<(TestHome, FakeApi)> {
    prepared(claude, more, FakeApi::start)
}

fn prepared(claude: &str, more: &str, start: impl FnOnce(&Path) -> FakeApi) -> Option<(TestHome, FakeApi)> {
    let binary = claude::binary()?;
    let mut home = TestHome::new();
    let api = start(&home.work());
    std::fs::create_dir_all(home.path()).expect("a home");
    let config = format!("claude: {{ binary: '{}', auth: 'env:TEST_KEY'{claude} }}\n{more}\n", binary.display());
    std::fs::write(home.path().join("config.yaml"), config).expect("a configuration");
    home.env.push(("TEST_KEY".to_owned(), "test-key".to_owned()));
    home.env.push(("ANTHROPIC_BASE_URL".to_owned(), api.url()));
    Some((home, api))
}

/// As [`with`], without anything else.
pub fn plain() -> Option<(TestHome, FakeApi)> {
    with("", "")
}

/// A job of one Claude task `a`; `more` follows the prompt, with its own indentation (6 for `claude:`, 4 for the task).
pub fn job(prompt: &str, more: &str) -> String {
    format!("name: c\n{QUIET}\ntasks:\n  - id: a\n    claude:\n      prompt: |\n        {prompt}\n{more}")
}

/// A home whose model answers prompts by the rules in `rules` (JSON, see the fake API) and whose programs find cargo.
pub fn with_rules(rules: &str) -> Option<(TestHome, FakeApi)> {
    let (mut home, api) = prepared("", "", |dir| {
        let file = dir.join("rules.json");
        std::fs::write(&file, rules).expect("rules");
        FakeApi::start_with_rules(dir, &file)
    })?;
    // As QUIET, for job files that are not the test's own.
    let settings =
        r#"{"env": {"DISABLE_TELEMETRY": "1", "DISABLE_ERROR_REPORTING": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}}"#;
    std::fs::create_dir_all(home.user().join(".claude")).expect("a directory");
    std::fs::write(home.user().join(".claude/settings.json"), settings).expect("settings");
    let toolchain = Path::new(env!("CARGO")).parent().expect("a directory");
    home.env.push(("PATH".to_owned(), format!("{}:/usr/local/bin:/usr/bin:/bin", toolchain.display())));
    home.start();
    Some((home, api))
}
