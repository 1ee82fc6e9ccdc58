//! What reaches a Claude run and what does not: the project's own settings, stray credentials, awkward prompts and places. The
//! built program, the real CLI, a fake model on loopback.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test says so by a panic")]

#[path = "support/claude/mod.rs"]
mod claude;
#[path = "support/home.rs"]
mod home;

use std::path::Path;

use airx::model::state::{Outcome, TaskState};
use claude::FakeApi;
use home::{TestHome, text};

/// The CLI stays at home.
const QUIET: &str = "env: { DISABLE_TELEMETRY: 1, DISABLE_ERROR_REPORTING: 1, CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: 1 }";

/// A home whose tasks find the real CLI and the fake model, with these further keys below `claude:`; no manager yet. None when
/// the CLI is not installed (and need not be).
fn home(more: &str) -> Option<(TestHome, FakeApi)> {
    let binary = claude::binary()?;
    let mut home = TestHome::new();
    let api = FakeApi::start(&home.user());
    std::fs::create_dir_all(home.path()).unwrap();
    std::fs::write(home.path().join("config.yaml"), format!("claude: {{ binary: '{}'{more} }}\n", binary.display())).unwrap();
    home.env.push(("TEST_KEY".to_owned(), "test-key".to_owned()));
    home.env.push(("ANTHROPIC_BASE_URL".to_owned(), api.url()));
    Some((home, api))
}

const KEY: &str = ", auth: 'env:TEST_KEY'";

fn job(prompt: &str, more: &str) -> String {
    format!("name: c\n{QUIET}\ntasks:\n  - id: a\n    claude:\n      prompt: '{prompt}'\n{more}")
}

fn run(home: &TestHome, text: &str) -> std::process::Output {
    let path = home.job_file("job.yaml", text);
    home.run(["run", path.to_str().unwrap()])
}

/// What the model was sent, as the fake wrote it down.
fn requests(home: &TestHome) -> String {
    claude::content(&home.user().join("requests.ndjson"))
}

/// A directory with settings, a hook, an MCP server and a CLAUDE.md of its own, as a cloned repository may have them.
fn project(place: &Path) {
    std::fs::create_dir_all(place.join(".claude")).unwrap();
    let hook = |mark: &str| {
        let command = format!("touch {}/{mark}", place.display());
        serde_json::json!({ "hooks": { "SessionStart": [{ "hooks": [{ "type": "command", "command": command }] }] } }).to_string()
    };
    std::fs::write(place.join(".claude/settings.json"), hook("hook-ran")).unwrap();
    std::fs::write(place.join(".claude/settings.local.json"), hook("local-hook-ran")).unwrap();
    let server = format!("touch {}/server-ran; exec cat", place.display());
    let servers = serde_json::json!({ "mcpServers": { "evil": { "command": "sh", "args": ["-c", server] } } });
    std::fs::write(place.join(".mcp.json"), servers.to_string()).unwrap();
}

fn acted(place: &Path) -> Vec<&'static str> {
    ["hook-ran", "local-hook-ran", "server-ran"].into_iter().filter(|mark| place.join(mark).exists()).collect()
}

#[test]
fn in_a_workspace_that_is_not_marked_nothing_of_the_project_acts_and_the_users_own_settings_do() {
    let Some((mut home, _api)) = home("") else { return };
    project(&home.work());
    // The user's login, and a hook of the user's own.
    let own = home.user().join(".claude");
    std::fs::create_dir_all(&own).unwrap();
    let hook = format!("touch {}/own-hook-ran", home.user().display());
    let settings = serde_json::json!({
        "apiKeyHelper": "echo key-of-the-user",
        "hooks": { "SessionStart": [{ "hooks": [{ "type": "command", "command": hook }] }] },
    });
    std::fs::write(own.join("settings.json"), settings.to_string()).unwrap();
    home.start();
    let output = run(&home, &job("Hi [[fake:text {\"text\": \"done\"}]]", ""));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).contains("its .claude, .mcp.json will not be used"), "{}", text(&output));
    assert_eq!(acted(&home.work()), Vec::<&str>::new());
    assert!(home.user().join("own-hook-ran").exists(), "the user's settings hold");
    let transcript = home.ok(["logs", "c/a", "--raw"]);
    let init: serde_json::Value =
        serde_json::from_str(transcript.lines().find(|line| line.contains("\"subtype\":\"init\"")).unwrap()).unwrap();
    assert_eq!(init["mcp_servers"], serde_json::json!([]));
    assert_eq!(init["apiKeySource"], "apiKeyHelper", "the user's own login works");
}

#[test]
fn in_a_marked_workspace_the_project_acts_unless_the_task_gives_that_up() {
    let Some((mut home, _api)) = home(&format!("{KEY}, trusted: [\"~/src\"]")) else { return };
    let place = home.user().join("src/shop");
    project(&place);
    home.start();
    let within = format!("    workspace: '{}'\n", place.display());
    let output = run(&home, &job("Hi [[fake:text]]", &format!("      trust: none\n{within}")));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert_eq!(acted(&place), Vec::<&str>::new());
    let output = run(&home, &job("Hi [[fake:text]]", &within));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(!text(&output).contains("will not be used"), "{}", text(&output));
    assert_eq!(acted(&place), ["hook-ran", "local-hook-ran", "server-ran"], "the marks of this test are real");
}

#[test]
fn trust_in_a_workspace_that_is_not_marked_is_refused_before_the_launch_with_the_remedy() {
    let Some((mut home, _api)) = home(KEY) else { return };
    project(&home.work());
    home.start();
    let output = run(&home, &job("Hi [[fake:text]]", "      trust: project\n"));
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let Some(Outcome::Unlaunchable { why, .. }) = &home.tasks("c")[0].outcome else { panic!("{:?}", home.tasks("c")) };
    assert!(why.contains(&format!("trusted: [\"{}\"]", home.work().canonicalize().unwrap().display())), "{why}");
    assert_eq!((acted(&home.work()), requests(&home)), (Vec::new(), String::new()));
}

#[test]
fn no_stray_credential_or_setting_of_the_manager_or_the_submitter_reaches_a_task() {
    let Some((mut home, _api)) = home("") else { return };
    for name in [
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_AUTH_TOKEN",
        "CLAUDE_CODE_OAUTH_TOKEN",
        "ANTHROPIC_MODEL",
        "CLAUDE_CODE_MAX_OUTPUT_TOKENS",
    ] {
        home.env.push((name.to_owned(), "77stray".to_owned()));
    }
    home.start();
    let env = "    env: { CLAUDE_CODE_MAX_RETRIES: 0 }\n";
    let name = home.submit(&job("Hi [[fake:text]]", env));
    home.until("it is held for a login", || matches!(home.tasks(&name)[0].state, TaskState::Held { .. }));
    assert_eq!(home.tasks(&name)[0].outcome, Some(Outcome::Auth));
    let transcript = home.ok(["logs", &format!("{name}/a"), "--raw"]);
    assert!(transcript.contains("\"apiKeySource\":\"none\""), "{transcript}");
    assert!(!requests(&home).contains("/v1/messages"), "{}", requests(&home));
    home.ok(["cancel", &name]);

    // With a key of its own, its tools see that one and nothing else of the kind.
    let tool = "Hi [[fake:bash {\"command\": \"env > seen\"}]]";
    let more = "      auth: 'env:TEST_KEY'\n      permission_mode: acceptEdits\n      allowed_tools: [Bash]\n";
    let output = run(&home, &job(tool, more));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let seen = claude::content(&home.work().join("seen"));
    assert!(seen.contains("AIRX_TASK=a") && !seen.contains("77stray"), "{seen}");
}

#[test]
fn prompts_that_look_like_options_or_commands_and_very_long_ones_reach_the_model() {
    let Some((mut home, _api)) = home(KEY) else { return };
    home.start();
    let long = format!("{} the end of it [[fake:text {{\"text\": \"long\"}}]]", "word ".repeat(210_000));
    assert!(long.len() > 1 << 20);
    std::fs::write(home.work().join("long.txt"), &long).unwrap();
    let file = format!(
        "name: c\nmax_parallel: 2\n{QUIET}\ntasks:\n  - {{ id: dash, claude: {{ prompt: '--model=none -p [[fake:text {{\"text\": \"dash\"}}]]' }} }}\n  - {{ id: slash, claude: {{ prompt: '/clear [[fake:text {{\"text\": \"slash\"}}]]' }} }}\n  - {{ id: long, claude: {{ prompt_file: long.txt, model: 'sonnet[1m]' }} }}\n"
    );
    let output = run(&home, &file);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    for id in ["dash", "slash", "long"] {
        let task = home.task(&format!("c/{id}"));
        let said = task.attempts[0].facts.as_ref().unwrap().claude.as_ref().unwrap().text.clone();
        assert_eq!(said.as_deref(), Some(id), "the marker at the prompt's end was seen");
    }
    let sizes = requests(&home)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()?["bytes"].as_u64())
        .collect::<Vec<_>>();
    assert!(sizes.iter().any(|size| *size > 1 << 20), "the long one was sent whole: {sizes:?}");
}

#[test]
fn airx_claude_works_at_once_in_any_directory_and_with_any_prompt() {
    use std::os::unix::fs::PermissionsExt;
    let Some((mut home, _api)) = home(KEY) else { return };
    home.start();
    let spaced = home.work().join("my shop, §1");
    let private = home.work().join("private");
    for place in [&spaced, &private] {
        std::fs::create_dir(place).unwrap();
    }
    std::fs::set_permissions(&private, std::fs::Permissions::from_mode(0o700)).unwrap();
    let tool = "[[fake:bash {\"command\": \"pwd\"}]]";
    for (place, prompt) in [
        (&spaced, format!("Say it {tool}")),
        (&private, format!("- say it {tool}")),
        (&private, format!("--say {{{{ it }}}} {tool}")),
    ] {
        let output = home.command(["claude", &prompt]).current_dir(place).output().unwrap();
        assert!(output.status.success(), "{prompt}: {}", text(&output));
        assert_eq!(home.until_over("claude"), "completed", "{prompt}");
        let transcript = home.ok(["logs", "claude", "--raw"]);
        assert!(transcript.contains(&format!("\"cwd\":\"{}\"", place.canonicalize().unwrap().display())), "{transcript}");
    }
    let model = home.command(["claude", "--model", "opus", "Say it [[fake:text]]"]).output().unwrap();
    assert!(model.status.success(), "options are options still: {}", text(&model));
    home.until_over("claude");
    assert!(home.ok(["logs", "claude", "--raw"]).contains("opus"));
}
