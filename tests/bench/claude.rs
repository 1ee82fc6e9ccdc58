//! What airx adds to a run of the Claude CLI, beside the bare CLI in the same minutes.

use std::fs::File;
use std::process::Stdio;
use std::time::Instant;

use airx::claude::cli::Cli;
use airx::claude::env::env_defaults;
use airx::manager::ports::{ClaudeCli, ClaudeRun};
use airx::model::spec::ClaudeSpec;

use crate::place::Place;
use crate::report::{Report, median};
use crate::runs::timed;
use crate::support::{FakeApi, binary, wait_until};

/// Pairs of a bare run and one through airx, one after the other, so that both meet the same machine.
const PAIRS: usize = 15;
const PROMPT: &str = "Say hello. [[fake:text]]";

/// One bare run, as a runner would start it; seconds.
fn bare(place: &Place, env: &[(String, String)], binary: &str, number: usize) -> f64 {
    let cli = Cli::new(binary, "sonnet");
    let spec = ClaudeSpec { prompt: PROMPT.to_owned(), ..ClaudeSpec::default() };
    let session = format!("00000000-0000-4000-8000-{number:012}");
    let argv = cli.argv(&ClaudeRun {
        spec: &spec,
        session: &session,
        resumes: false,
        microusd: None,
        rules: &[],
        trusts_project: false,
    });
    let at = |name: &str| place.work().join(name);
    std::fs::write(at("prompt"), PROMPT).expect("a prompt");
    let start = Instant::now();
    let status = std::process::Command::new(&argv[0])
        .args(&argv[1..])
        .current_dir(place.work())
        .env_clear()
        .envs(env.iter().cloned())
        .stdin(File::open(at("prompt")).expect("the prompt"))
        .stdout(File::create(at("out")).expect("a file"))
        .stderr(Stdio::null())
        .status()
        .expect("the CLI runs");
    assert!(status.success(), "{}", std::fs::read_to_string(at("out")).unwrap_or_default());
    start.elapsed().as_secs_f64()
}

/// A job of so many Claude tasks at once.
fn job(count: usize, prompt: &str) -> String {
    let tasks: String = (0..count).map(|n| format!("  - {{ id: t{n}, claude: '{prompt}' }}\n")).collect();
    format!(
        "name: claudes\nmax_parallel: {count}\nenv: {{ DISABLE_TELEMETRY: 1, DISABLE_ERROR_REPORTING: 1, CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: 1 }}\ntasks:\n{tasks}"
    )
}

/// Wall time in pairs, and the manager's memory beside eight runs.
pub fn all(report: &mut Report) {
    let Some(binary) = binary().map(|path| path.display().to_string()) else { return };
    let mut place = Place::new();
    let api = FakeApi::start(&place.work());
    let mut env = api.environment(&place.home().with_file_name("user"));
    env.extend(env_defaults().into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
    std::fs::create_dir_all(place.home()).expect("a home");
    std::fs::write(place.home().join("config.yaml"), format!("claude: {{ binary: '{binary}', auth: 'env:TEST_KEY' }}\n"))
        .expect("a configuration");
    place.more = vec![("TEST_KEY".to_owned(), "test-key".to_owned()), ("ANTHROPIC_BASE_URL".to_owned(), api.url())];
    place.start();
    let one = place.file("one.yaml", &job(1, PROMPT));
    // The first start of each reads the CLI from the disk and makes its configuration.
    bare(&place, &env, &binary, 0);
    timed(&place, &one);
    let (mut bares, mut ratios) = (Vec::new(), Vec::new());
    for number in 1..=PAIRS {
        let alone = bare(&place, &env, &binary, number);
        ratios.push(timed(&place, &one) / alone);
        bares.push(alone);
    }
    report.figure("the bare Claude CLI, a minimal prompt", median(bares) * 1_000.0, "ms");
    report.at_most("the same as a task, added wall time", (median(ratios) - 1.0) * 100.0, 5.0, 2.0, "%");
    let eight = place.file("eight.yaml", &job(8, "Count. [[fake:long {\"deltas\": 400, \"delay\": 0.05}]]"));
    assert!(place.run(&["submit", &eight]).status.success());
    let log = place.work().join("requests.ndjson");
    let asked = |text: &str| text.matches("\"scenario\": \"long\"").count() >= 8;
    wait_until("eight runs are answered", std::time::Duration::from_secs(120), || {
        std::fs::read_to_string(&log).is_ok_and(|text| asked(&text))
    });
    report.at_most("manager memory (PSS) beside eight Claude runs", place.manager_pss(), 40.0, 12.0, "MiB");
    assert!(place.run(&["cancel", "--all", "--kill"]).status.success());
    wait_until("they have ended", std::time::Duration::from_secs(60), || {
        String::from_utf8_lossy(&place.run(&["jobs", "-o", "plain"]).stdout).lines().all(|line| !line.contains("working"))
    });
}
