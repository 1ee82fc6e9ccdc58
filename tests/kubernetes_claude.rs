//! Claude runs in pods: the built program, a cluster that is played and whose pods really run, the real CLI, a fake model on a bridge
//! of this machine.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a failing test says so by a panic")]

#[path = "support/claude/mod.rs"]
mod claude;
#[path = "support/docker/mod.rs"]
mod docker;
#[path = "support/home.rs"]
mod home;
#[path = "support/kubernetes/mod.rs"]
mod kubernetes;
#[path = "support/kubernetes/real/mod.rs"]
mod real;
#[path = "support/runner_image.rs"]
mod runner_image;

use airx::model::state::{Outcome, TaskState};
use claude::FakeApi;
use home::{TestHome, text};
use kubernetes::{Kind, Server};

const KEY: &str = "test-key-that-nobody-may-see";

/// A bridge of this machine, which an engine that ends leaves behind.
struct Bridge(String);

impl Bridge {
    fn free(number: u32) -> Bridge {
        let bridge = Bridge(format!("airx-kube-{number}"));
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

/// A home, the cluster, and what is kept as long as the test goes on.
struct World {
    home: TestHome,
    server: Server,
    _api: FakeApi,
    _engine: docker::Private,
    _bridge: Bridge,
}

/// A home with a pool `box` of pods that have the real CLI and a model that they reach, and a manager.
fn world(more: &str) -> Option<World> {
    // Another for each test, which is a process of its own.
    let number = std::process::id() % 250 + 1;
    let cli = claude::binary()?.canonicalize().unwrap();
    let engine = docker::private(docker::Options { images: &[docker::TOOLS], ..docker::Options::default() })?;
    let bridge = Bridge::free(number);
    let (subnet, name) = (format!("10.214.{number}.0/24"), format!("com.docker.network.bridge.name={}", bridge.0));
    engine.ok(["network", "create", "--subnet", &subnet, "-o", &name, "model"]);
    let mut home = TestHome::new();
    let api = FakeApi::start_on(&home.work(), &format!("10.214.{number}.1"));
    let server = real::server_on(&engine);
    std::os::unix::fs::chown(home.work(), Some(10_001), Some(10_001)).unwrap();
    server.claim("work", &home.work());
    server.claim("cli", cli.parent().unwrap());
    // The CLI needs the system's C library, which the image has only in part.
    server.claim("libraries", std::path::Path::new("/lib/x86_64-linux-gnu"));
    server.claim("loader", std::path::Path::new("/lib64"));
    server.secret("model", "key", KEY.as_bytes());
    let config = format!(
        "claude: {{ binary: /opt/claude, auth: 'env:TEST_KEY' }}\npools:\n  box:\n    backend: kubernetes\n    image: {}\n    pull: never\n    \
         runner_image: {}\n    annotations: {{ airx.test/network: model }}\n    workspace: {{ claim: work }}\n    volumes:\n      \
         - {{ claim: cli, path: {}, target: /opt/claude, read_only: true }}\n      \
         - {{ claim: libraries, target: /lib/x86_64-linux-gnu, read_only: true }}\n      \
         - {{ claim: loader, target: /lib64, read_only: true }}\n{more}",
        docker::TOOLS,
        runner_image::runner_image(&engine),
        cli.file_name().unwrap().display(),
    );
    std::fs::create_dir_all(home.path()).unwrap();
    std::fs::write(home.path().join("config.yaml"), config).unwrap();
    home.env.push(("KUBECONFIG".to_owned(), server.kubeconfig().display().to_string()));
    home.env.push(("ANTHROPIC_BASE_URL".to_owned(), api.url()));
    home.start();
    Some(World { home, server, _api: api, _engine: engine, _bridge: bridge })
}

/// The key of a Secret of the cluster's, and answers by attaching.
const WHOLE: &str = "    env: { ANTHROPIC_API_KEY: { secret: model, key: key } }\n    attach: true\n";

const QUIET: &str = "env: { DISABLE_TELEMETRY: 1, DISABLE_ERROR_REPORTING: 1, CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: 1 }";

fn job(prompt: &str, more: &str) -> String {
    format!("name: c\npool: box\n{QUIET}\ntasks:\n  - id: a\n    claude:\n      prompt: |\n        {prompt}\n{more}")
}

fn outcomes(home: &TestHome, name: &str) -> Vec<Outcome> {
    home.task(&format!("{name}/a")).attempts.into_iter().filter_map(|attempt| attempt.outcome).collect()
}

#[test]
fn a_run_works_in_its_workspace_and_its_key_is_the_clusters_alone() {
    let Some(World { home, server, .. }) = &world(WHOLE) else { return };
    let command = r#"[[fake:bash {"command": "id -u > who; test -n \"$ANTHROPIC_API_KEY\" && echo has a key; sleep 1"}]]"#;
    let name = home.submit(&job(command, "      allowed_tools: [Bash]\n    result: text\n"));
    home.until("its pod is there", || !server.pods().is_empty());
    let pod = server.pods()[0].to_string();
    assert!(pod.contains("secretKeyRef") && !pod.contains(KEY), "the key is in no pod");
    assert_eq!(home.until_over(&name), "completed", "{}", home.ok(["logs", &format!("{name}/a")]));
    assert_eq!(std::fs::read_to_string(home.work().join("who")).unwrap().trim(), "10001");
    let task = home.task(&format!("{name}/a"));
    assert!(task.attempts[0].facts.as_ref().unwrap().claude.as_ref().unwrap().turns > 0);
    home.until("its pod is deleted", || server.pods().is_empty());
}

#[test]
fn a_permission_is_asked_for_and_the_answer_reaches_the_run_over_a_restart_of_the_manager() {
    let Some(mut world) = world(WHOLE) else { return };
    let home = &mut world.home;
    let tools = r#"[[fake:tools {"path": "/workspace/made", "command": "touch made-by-bash"}]]"#;
    let name = home.submit(&job(tools, "      permissions: ask\n      allowed_tools: [Bash]\n"));
    home.until("a person is asked", || matches!(home.tasks(&name)[0].state, TaskState::AwaitingInput { attempt: 1 }));
    home.kill_manager();
    home.start();
    home.ok(["approve", &format!("{name}/a")]);
    assert_eq!(home.until_over(&name), "completed", "{}", home.ok(["logs", &format!("{name}/a")]));
    assert!(home.work().join("made").exists() && home.work().join("made-by-bash").exists());
    assert_eq!(outcomes(home, &name), [Outcome::Succeeded]);
    assert!(world.server.requests(Kind::Attach) >= 1);
}

#[test]
fn a_run_queues_tasks_by_our_own_tools_though_nothing_listens() {
    let Some(World { home, .. }) = &world(WHOLE) else { return };
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
fn what_a_pod_lacks_is_refused_at_submission() {
    let Some(World { home, .. }) = &world("") else { return };
    let file = home.job_file("job.yaml", &job("[[fake:text]]", "      permissions: ask\n"));
    let refused = home.run([std::ffi::OsStr::new("submit"), file.as_os_str()]);
    assert_eq!(refused.status.code(), Some(2));
    let said = text(&refused);
    assert!(said.contains("this run has no credential there") && said.contains("no way to answer into its pods"), "{said}");
}
