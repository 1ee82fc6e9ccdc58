//! Claude runs in containers: the built program, a real engine, the real CLI, a fake model on a bridge of this machine.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a failing test says so by a panic")]

#[path = "support/claude/mod.rs"]
mod claude;
#[path = "support/docker/mod.rs"]
mod engines;
#[path = "support/home.rs"]
mod home;

use std::path::Path;

use airx::model::state::{Outcome, TaskState};
use claude::FakeApi;
use home::{TestHome, text};

const KEY: &str = "test-key-that-nobody-may-see";

/// A home with a pool `box` of containers that have the real CLI, a model that they reach, and no manager yet. Runs are those of
/// user 1000, to whom the workspace belongs. Each test has a network of its own, by its number: nothing else on this machine is
/// expected there.
fn unstarted(number: u8, more: &str) -> Option<World> {
    let cli = claude::binary()?.canonicalize().unwrap();
    let engine = engines::private(engines::Options { images: &[engines::TOOLS], ..engines::Options::default() })?;
    let bridge = Bridge::free(number);
    let (subnet, name) = (format!("10.213.{number}.0/24"), format!("com.docker.network.bridge.name={}", bridge.0));
    engine.ok(["network", "create", "--subnet", &subnet, "-o", &name, "model"]);
    let mut home = TestHome::new();
    let api = FakeApi::start_on(&home.work(), &format!("10.213.{number}.1"));
    std::os::unix::fs::chown(home.work(), Some(1000), Some(1000)).unwrap();
    std::fs::create_dir_all(home.path()).unwrap();
    // The CLI needs the system's C library, which the image has only in part.
    let libraries = "\"/lib/x86_64-linux-gnu:/lib/x86_64-linux-gnu:ro\", \"/lib64:/lib64:ro\"";
    let config = format!(
        "claude: {{ binary: /opt/claude, auth: 'env:TEST_KEY' }}\npools:\n  box:\n    backend: docker\n    image: {}\n    pull: \
         never\n    host: \"{}\"\n    network: model\n    mounts: [\"{}:/opt/claude:ro\", {libraries}]\n{more}",
        engines::TOOLS,
        engine.host(),
        cli.display(),
    );
    std::fs::write(home.path().join("config.yaml"), config).unwrap();
    home.env.push(("TEST_KEY".to_owned(), KEY.to_owned()));
    home.env.push(("ANTHROPIC_BASE_URL".to_owned(), api.url()));
    Some((home, api, engine, bridge))
}

/// A home, the model that its runs ask, the engine, and the bridge between them.
type World = (TestHome, FakeApi, engines::Private, Bridge);

/// A bridge of this machine, which an engine that ends leaves behind.
struct Bridge(String);

impl Bridge {
    fn free(number: u8) -> Bridge {
        let bridge = Bridge(format!("airx-test-{number}"));
        bridge.remove();
        bridge
    }

    fn remove(&self) {
        let command = std::process::Command::new("ip").args(["link", "delete", &self.0]).output();
        assert!(command.is_ok(), "`ip` is missing (Debian: apt install iproute2)");
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.remove();
    }
}

fn started(number: u8) -> Option<World> {
    let (mut home, api, engine, bridge) = unstarted(number, "    user: \"1000:1000\"\n")?;
    home.start();
    Some((home, api, engine, bridge))
}

const QUIET: &str = "env: { DISABLE_TELEMETRY: 1, DISABLE_ERROR_REPORTING: 1, CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: 1 }";

fn job(prompt: &str, more: &str) -> String {
    format!("name: c\npool: box\n{QUIET}\ntasks:\n  - id: a\n    claude:\n      prompt: |\n        {prompt}\n{more}")
}

fn outcomes(home: &TestHome, name: &str) -> Vec<Outcome> {
    home.task(&format!("{name}/a")).attempts.into_iter().filter_map(|attempt| attempt.outcome).collect()
}

#[test]
fn a_run_works_in_its_workspace_as_nobody_special_and_its_key_is_written_nowhere() {
    let Some((home, _api, engine, _bridge)) = started(71) else { return };
    let command =
        r#"[[fake:bash {"command": "id -u > who; env | grep -c TEST_KEY; cat /proc/self/status | grep NoNewPrivs; sleep 2"}]]"#;
    let name = home.submit(&job(command, "      allowed_tools: [Bash]\n    result: text\n"));
    home.until("the container runs", || !engine.ok(["ps", "-q"]).trim().is_empty());
    let id = engine.ok(["ps", "-q"]).trim().to_owned();
    let shown = engine.ok(["inspect", &id]);
    assert!(!shown.contains(KEY), "the key is in no configuration of the engine's");
    assert_eq!(home.until_over(&name), "completed", "{}", home.ok(["logs", &format!("{name}/a")]));
    assert_eq!(std::fs::read_to_string(home.work().join("who")).unwrap().trim(), "1000");
    let task = home.task(&format!("{name}/a"));
    assert!(task.attempts[0].facts.as_ref().unwrap().claude.as_ref().unwrap().turns > 0);
    home.until("its container is removed", || engine.ok(["ps", "-aq"]).trim().is_empty());
    assert!(!is_written(&home.path(), KEY), "the key is in no file of the home");
}

/// Whether a text is in any file below a directory.
fn is_written(directory: &Path, wanted: &str) -> bool {
    std::fs::read_dir(directory).unwrap().flatten().any(|entry| match entry.file_type().unwrap() {
        kind if kind.is_dir() => is_written(&entry.path(), wanted),
        kind if kind.is_file() => {
            let bytes = std::fs::read(entry.path()).unwrap_or_default();
            bytes.len() < 8 << 20 && bytes.windows(wanted.len()).any(|window| window == wanted.as_bytes())
        }
        _ => false,
    })
}

#[test]
fn a_permission_is_asked_for_and_the_answer_reaches_the_run_over_a_restart_of_the_manager() {
    let Some((mut home, _api, _engine, _bridge)) = started(72) else { return };
    let tools = r#"[[fake:tools {"path": "/workspace/made", "command": "touch made-by-bash"}]]"#;
    let name = home.submit(&job(tools, "      permissions: ask\n      allowed_tools: [Bash]\n"));
    home.until("a person is asked", || matches!(home.tasks(&name)[0].state, TaskState::AwaitingInput { attempt: 1 }));
    home.kill_manager();
    home.start();
    home.ok(["approve", &format!("{name}/a")]);
    assert_eq!(home.until_over(&name), "completed", "{}", home.ok(["logs", &format!("{name}/a")]));
    assert!(home.work().join("made").exists() && home.work().join("made-by-bash").exists());
    assert_eq!(outcomes(&home, &name), [Outcome::Succeeded]);
}

#[test]
fn a_run_queues_tasks_by_our_own_tools() {
    let Some((home, _api, _engine, _bridge)) = started(73) else { return };
    let step =
        r#"{"blocks": [{"tool": "mcp__airx__queue_task", "input": {"id": "child", "command": ["echo", "from the child"]}}]}"#;
    let prompt = format!(r#"go [[fake:script {{"steps": [{step}, {{"blocks": [{{"text": "done"}}]}}]}}]]"#);
    std::fs::write(home.work().join("prompt.md"), prompt).unwrap();
    let name = home.submit(&format!(
        "name: c\npool: box\n{QUIET}\ntasks:\n  - id: a\n    claude:\n      prompt_file: prompt.md\n      subtasks: true\n      \
         allowed_tools: ['Bash(echo *)']\n"
    ));
    assert_eq!(home.until_over(&name), "completed", "{}", home.ok(["logs", &format!("{name}/a")]));
    assert_eq!(home.ok(["logs", &format!("{name}/child"), "--raw"]), "from the child\n");
}

#[test]
fn a_container_that_is_killed_loses_no_session() {
    let Some((home, _api, engine, _bridge)) = started(74) else { return };
    let steps = r#"[{"blocks": [{"tool": "Bash", "input": {"command": "echo step-one"}}]}, {"blocks": [{"text": "slow slow slow slow slow slow slow slow"}], "delay": 0.3, "times": 1}, {"blocks": [{"text": "the end"}]}]"#;
    let name = home.submit(&job(&format!(r#"Work [[fake:script {{"steps": {steps}}}]]"#), ""));
    let projects = home.path().join("jobs").join(&name).join(".claude/projects");
    let is_kept = || {
        let files = std::fs::read_dir(&projects).into_iter().flatten().flatten();
        let files = files.flat_map(|project| std::fs::read_dir(project.path()).into_iter().flatten().flatten());
        files
            .into_iter()
            .any(|file| std::fs::read_to_string(file.path()).is_ok_and(|text| text.contains("\"stdout\":\"step-one")))
    };
    home.until("its first tool has run and is part of the session", is_kept);
    engine.ok(["kill", engine.ok(["ps", "-q"]).trim()]);
    assert_eq!(home.until_over(&name), "completed", "{}", home.ok(["logs", &format!("{name}/a")]));
    assert!(matches!(outcomes(&home, &name)[..], [Outcome::Lost { .. }, Outcome::Succeeded]), "{:?}", outcomes(&home, &name));
    let log = home.ok(["logs", &format!("{name}/a"), "--raw"]);
    assert!(!log.contains("echo step-one"), "what was done is not done again: {log}");
}

#[test]
fn neither_a_login_nor_root_goes_into_a_container() {
    let Some((mut home, _api, _engine, _bridge)) = unstarted(75, "") else { return };
    home.start();
    let file = home.job_file("job.yaml", &job("[[fake:text]]", "      auth: login\n"));
    let refused = home.run([std::ffi::OsStr::new("submit"), file.as_os_str()]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused).contains("your login stays outside of containers"), "{}", text(&refused));
    let name = home.submit(&job("[[fake:text]]", ""));
    assert_eq!(home.until_over(&name), "failed");
    let shown = home.ok(["show", &format!("{name}/a")]);
    assert!(shown.contains("never root by default"), "{shown}{}", text(&home.run(["status"])));
}
