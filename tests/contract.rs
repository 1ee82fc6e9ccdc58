//! The contract of all backends: each scenario of `contract/scenarios.yaml` on each of them, through the built program.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a failing test says so by a panic")]

#[path = "support/cluster.rs"]
mod cluster;
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

use std::collections::BTreeMap;
use std::path::Path;

use airx::model::change::TaskResult;
use airx::model::message::TaskDetail;
use home::TestHome;
use serde::Deserialize;
use serde_json::{Value, json};

/// A module of tests for each backend, with a test for each scenario in the order of the file.
macro_rules! backends {
    ($($backend:ident: $adapter:ident),+ $(,)?) => {
        $(mod $backend {
            tests_of! { $adapter:
                both_streams_are_kept_apart
                exit_3_is_a_failure
                exit_255_is_a_failure
                killed_by_signal_9
                killed_by_signal_11
                killed_by_signal_15
                no_such_command
                a_file_that_is_not_executable
                no_such_working_directory
                arguments_arrive_as_they_are
                standard_input_is_empty
                a_timeout
                a_timeout_of_a_command_that_ignores_term
                a_timeout_leaves_time_for_last_words
                cancelled
                cancelled_though_it_ignores_term
                cancelled_with_time_for_last_words
                killed_by_a_person_without_any_grace
                what_a_command_leaves_behind_is_ended
                more_output_than_the_limit
                a_last_line_without_its_end
                nothing_printed_at_all
                a_line_of_64_kib
                all_256_bytes
                twenty_thousand_quick_lines
                many_lines_on_both_streams
                output_and_the_end_within_milliseconds_of_the_start
                odd_characters_in_the_environment
                secrets_arrive_by_reference
                a_template_value_is_no_shell_text
                who_it_is
                files_of_the_workspace_are_there_and_stay
                a_text_result
                a_result_of_lines
                a_json_result
                a_result_that_is_no_json
                a_task_queues_further_ones
                a_task_tells_its_progress
                a_task_sets_its_result
                a_result_that_fits_its_schema
                a_result_that_does_not_fit_its_schema
                a_result_of_a_file
                a_result_file_that_is_not_there
                a_task_that_sets_a_result_that_does_not_fit_is_told_at_once
                artifacts_are_kept
                artifacts_of_a_failure_are_kept
                artifacts_of_a_timeout_are_kept
                a_missing_artifact_is_a_remark
                a_missing_artifact_that_is_required_is_a_failure
                artifacts_never_lead_out_of_the_workspace
                a_gate_that_passes
                a_gate_that_does_not_pass
                a_gate_that_takes_too_long
                retried_until_it_succeeds
                retries_are_used_up
                the_task_ends_while_no_manager_runs
                the_task_fails_while_no_manager_runs
                the_task_ends_after_the_next_manager_began
                the_next_manager_can_still_cancel_it
                the_timeout_comes_while_no_manager_runs
            }
        })+
    };
}

macro_rules! tests_of {
    ($adapter:ident: $($name:ident)+) => {
        #[allow(dead_code, reason = "the lists of all backends are the same; one is compared with the file")]
        pub(super) const NAMES: &[&str] = &[$(stringify!($name)),+];
        $(#[test]
        fn $name() {
            super::fulfil(&super::$adapter, stringify!($name));
        })+
    };
}

/// A backend under test.
struct Adapter {
    /// As the scenarios' `not:` calls it, after those that it shares with others.
    names: fn() -> Vec<&'static str>,
    /// Where its tasks are; none where the backend cannot be (which has been said).
    place: fn(&TestHome) -> Option<Place>,
}

/// Where tasks are.
struct Place {
    /// The pool `box` of a configuration file.
    pool: String,
    /// Variables of the manager.
    env: Vec<(String, String)>,
    /// Where what they do in their workspace is seen.
    sight: Sight,
    /// The cluster that is played, as long as the test goes on.
    server: Option<kubernetes::Server>,
}

/// Where what tasks do in their workspace is seen.
enum Sight {
    /// In the directory itself.
    Here,
    /// In the container: the task sees a copy.
    Container,
    /// In the pod of a real cluster.
    Pod(Box<cluster::Cluster>),
}

impl Place {
    fn new(pool: String, sight: Sight) -> Place {
        Place { pool, env: Vec::new(), sight, server: None }
    }
}

const PROCESS: Adapter =
    Adapter { names: || vec!["process"], place: |_| Some(Place::new("{ backend: process, slots: 4 }".to_owned(), Sight::Here)) };

const DOCKER: Adapter = Adapter { names: || vec!["docker"], place: |_| containers("") };

const REDUCED: Adapter = Adapter { names: || vec!["reduced"], place: |_| containers(", runner: none") };

/// The same engine as if it were another machine's: all is copied.
const REMOTE: Adapter = Adapter { names: || vec!["remote"], place: |_| remote("") };

const REMOTE_REDUCED: Adapter = Adapter { names: || vec!["reduced"], place: |_| remote(", runner: none") };

const PODS: Adapter = Adapter { names: || pods_names(false), place: |home| pods(home, true) };

const PODS_REDUCED: Adapter = Adapter { names: || pods_names(true), place: |home| pods(home, false) };

fn containers(more: &str) -> Option<Place> {
    Some(Place::new(pool(&docker::shared()?.host(), more), Sight::Here))
}

fn remote(more: &str) -> Option<Place> {
    Some(Place::new(pool(&docker::shared()?.remote(), more), Sight::Container))
}

fn pool(engine: &str, more: &str) -> String {
    let image = docker::BUSYBOX;
    format!("{{ backend: docker, slots: 4, image: {image}, pull: never, host: \"{engine}\"{more} }}")
}

fn pods_names(is_reduced: bool) -> Vec<&'static str> {
    let far = cluster::is_named().then_some("far pods");
    let reduced: &[&str] = if is_reduced { &["reduced", "reduced pods"] } else { &[] };
    std::iter::once("pods").chain(far).chain(reduced.iter().copied()).collect()
}

/// On a real cluster, when one is named, else on one that is played, whose pods really run.
fn pods(home: &TestHome, has_runner: bool) -> Option<Place> {
    if cluster::is_named() {
        let cluster = cluster::Cluster::new();
        let runner = if has_runner { Some(cluster.runner_image.as_str()) } else { None };
        let more = format!("namespace: {}", cluster.namespace);
        let pool = pods_pool(&cluster.image, runner, &more);
        let env = vec![kubeconfig(&cluster.kubeconfig)];
        return Some(Place { pool, env, sight: Sight::Pod(Box::new(cluster)), server: None });
    }
    let server = real::server()?;
    let runner = has_runner.then(|| runner_image::runner_image(engine()));
    // The workspace is a directory of this machine, by way of a claim.
    std::fs::set_permissions(home.work(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    server.claim("work", &home.work());
    let pool = pods_pool(docker::BUSYBOX, runner.as_deref(), "pull: never, workspace: { claim: work }");
    let env = vec![kubeconfig(&server.kubeconfig())];
    Some(Place { pool, env, sight: Sight::Here, server: Some(server) })
}

fn pods_pool(image: &str, runner: Option<&str>, more: &str) -> String {
    let runner = runner.map_or_else(|| "runner: none".to_owned(), |image| format!("runner_image: \"{image}\""));
    format!("{{ backend: kubernetes, slots: 4, image: \"{image}\", {runner}, {more} }}")
}

fn kubeconfig(path: &Path) -> (String, String) {
    ("KUBECONFIG".to_owned(), path.display().to_string())
}

// The backends that fulfil the contract: a module of tests for each.
backends! {
    process: PROCESS,
    containers: DOCKER,
    reduced: REDUCED,
    remote: REMOTE,
    remote_reduced: REMOTE_REDUCED,
    pods: PODS,
    reduced_pods: PODS_REDUCED,
}

/// A scenario. Its job is `NAME.1` in the pool `box`, its tasks are called `t`, or `t1`, `t2`… when there are copies.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    name: String,
    /// Files of the workspace, before.
    #[serde(default)]
    files: BTreeMap<String, String>,
    /// Keys of the job.
    #[serde(default)]
    job: serde_json::Map<String, Value>,
    /// Keys of the task.
    task: serde_json::Map<String, Value>,
    /// So many tasks that are the same, each as expected.
    #[serde(default)]
    copies: u32,
    /// What is done while it runs, in order.
    #[serde(default)]
    act: Vec<Act>,
    expect: Expected,
    /// Backends that it does not apply to, each with the reason.
    #[serde(default)]
    not: BTreeMap<String, String>,
}

/// What is done, or waited for.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Act {
    /// Waits until the task has printed this.
    Printed(String),
    /// Waits for a file in the workspace.
    File(String),
    /// Makes a file in the workspace.
    Touch(String),
    /// `airx cancel`.
    Cancel,
    /// `airx cancel --kill`.
    Kill,
    /// Kills the manager with SIGKILL.
    KillManager,
    /// Starts another one.
    StartManager,
}

/// What is seen afterwards; what is not said is not looked at. That no process is left is always looked at.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    /// The outcome of each attempt as a sentence; `…` at its end stands for anything. The task's state follows from the last.
    attempts: Vec<String>,
    /// What the last attempt printed.
    out: Option<Printed>,
    err: Option<Printed>,
    /// What the acceptance command printed.
    gate: Option<String>,
    result: Option<Value>,
    progress: Option<String>,
    /// Tasks that were queued at run time, by id, and their states.
    added: Option<BTreeMap<String, String>>,
    /// All artifacts of the last attempt, and how many remarks there are on it.
    artifacts: Option<BTreeMap<String, String>>,
    notes: Option<usize>,
    /// Files of the workspace, and those that must not be there.
    #[serde(default)]
    files: BTreeMap<String, String>,
    #[serde(default)]
    absent: Vec<String>,
}

/// Bytes of a stream.
#[derive(Deserialize)]
#[serde(untagged)]
enum Printed {
    Text(String),
    /// The numbers from 1, a line each.
    Numbers {
        numbers: u32,
    },
    /// Each byte once, in order.
    EveryByte {
        #[serde(rename = "every_byte")]
        _yes: bool,
    },
    /// A line of so many `x`, and what follows.
    LineOf {
        line_of: usize,
        then: String,
    },
    /// A part of something endless.
    AtMost {
        at_most: usize,
        begins: String,
    },
}

impl Printed {
    fn check(&self, what: &str, seen: &[u8]) {
        let expected = match self {
            Printed::Text(text) => text.clone().into_bytes(),
            Printed::Numbers { numbers } => (1..=*numbers).flat_map(|n| format!("{n}\n").into_bytes()).collect(),
            Printed::EveryByte { .. } => (0..=255).collect(),
            Printed::LineOf { line_of, then } => ["x".repeat(*line_of), "\n".to_owned(), then.clone()].concat().into_bytes(),
            Printed::AtMost { at_most, begins } => {
                assert!(seen.len() <= *at_most && seen.starts_with(begins.as_bytes()), "{what}: {} bytes", seen.len());
                return;
            }
        };
        let shown = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(2_000)]).into_owned();
        let (long, differ) = (expected.len(), expected.iter().zip(seen).position(|(a, b)| a != b));
        assert!(
            expected == seen,
            "{what}: {} bytes where {long} were expected, first difference {differ:?}\nexpected {:?}\nseen     {:?}",
            seen.len(),
            shown(&expected),
            shown(seen)
        );
    }
}

fn scenarios() -> Vec<Scenario> {
    let parsed = airx::model::yaml::parse(include_str!("contract/scenarios.yaml"));
    assert!(parsed.faults.is_empty(), "{:?}", parsed.faults);
    let Value::Array(items) = parsed.root.expect("a list").to_json() else { panic!("no list") };
    let scenario = |item: Value| {
        let name = item["name"].to_string();
        serde_json::from_value(item).unwrap_or_else(|why| panic!("{name}: {why}"))
    };
    items.into_iter().map(scenario).collect()
}

/// A scenario on a backend, from the job file to what is left of it.
fn fulfil(adapter: &Adapter, name: &str) {
    let scenario = scenarios().into_iter().find(|scenario| scenario.name == name).expect("a scenario of this name");
    if let Some((name, reason)) = (adapter.names)().into_iter().find_map(|name| scenario.not.get_key_value(name)) {
        println!("does not apply to {name}: {reason}");
        return;
    }
    let mut home = TestHome::new();
    let Some(place) = (adapter.place)(&home) else { return };
    let pool = &place.pool;
    std::fs::create_dir_all(home.path()).unwrap();
    std::fs::write(home.path().join("config.yaml"), format!("pools:\n  box: {pool}\n")).unwrap();
    home.env.extend(place.env.clone());
    home.env.push(("CONTRACT_SECRET".to_owned(), "dummy of the manager".to_owned()));
    for (file, text) in &scenario.files {
        let path = home.work().join(file);
        std::fs::write(&path, text).unwrap();
        if place.server.is_some() {
            // Its user there is none of this machine's.
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
        }
    }
    home.start();

    let job = home.submit(&job_file(&scenario, &mark_of(&home)));
    for act in &scenario.act {
        perform(&mut home, &place.sight, &job, act);
    }
    home.until_over(&job);
    let left = marked(&mark_of(&home));
    assert!(left.is_empty(), "processes were left: {left:?}");
    for id in ids(&scenario) {
        check(&home, &home.task(&format!("{job}/{id}")), &scenario.expect);
    }
    if let Some(added) = &scenario.expect.added {
        let tasks = home.tasks(&job).into_iter().filter(|task| task.parent.is_some());
        let states: BTreeMap<_, _> = tasks.map(|task| (task.id, task.state.kind().word().to_owned())).collect();
        assert_eq!(&states, added);
    }
    for (file, text) in &scenario.expect.files {
        assert_eq!(std::fs::read_to_string(home.work().join(file)).ok().as_ref(), Some(text), "{file}");
    }
    for file in &scenario.expect.absent {
        assert!(!home.work().join(file).exists(), "{file} is there");
    }
}

fn ids(scenario: &Scenario) -> Vec<String> {
    match scenario.copies {
        0 => vec!["t".to_owned()],
        copies => (1..=copies).map(|n| format!("t{n}")).collect(),
    }
}

fn job_file(scenario: &Scenario, mark: &str) -> String {
    let tasks = ids(scenario).into_iter().map(|id| {
        let mut task = scenario.task.clone();
        task.insert("id".to_owned(), id.into());
        Value::Object(task)
    });
    let mut job = scenario.job.clone();
    job.insert("name".to_owned(), scenario.name.replace('_', "-").into());
    job.insert("pool".to_owned(), "box".into());
    job.insert("max_parallel".to_owned(), 4.into());
    job.insert("tasks".to_owned(), tasks.collect());
    let env = job.entry("env").or_insert_with(|| json!({}));
    env[MARK] = mark.into();
    Value::Object(job).to_string()
}

/// A variable of all tasks, by which their processes are known on this machine, in containers as well.
const MARK: &str = "CONTRACT_OF";

fn mark_of(home: &TestHome) -> String {
    home.path().display().to_string()
}

fn marked(mark: &str) -> Vec<String> {
    let line = format!("{MARK}={mark}");
    let has_mark = |environment: &[u8]| environment.split(|byte| *byte == 0).any(|entry| entry == line.as_bytes());
    let processes = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let ours = processes.filter(|process| std::fs::read(process.join("environ")).is_ok_and(|environment| has_mark(&environment)));
    ours.map(|process| String::from_utf8_lossy(&std::fs::read(process.join("cmdline")).unwrap_or_default()).into_owned())
        .collect()
}

/// The container of a home with one task.
fn container(home: &TestHome) -> String {
    let of_home = format!("label=airx.home={}", home.path().display());
    engine().ok(["ps", "-aq", "--filter", &of_home]).trim().to_owned()
}

fn engine() -> &'static docker::Engine {
    docker::shared().expect("it has the container")
}

/// Also when the container has ended.
fn is_inside(home: &TestHome, name: &str) -> bool {
    let path = format!("/containers/{}/archive?path=/workspace/{name}", container(home));
    engine().request("GET", &path, None).is_ok_and(|(status, _)| status == 200)
}

fn perform(home: &mut TestHome, sight: &Sight, job: &str, act: &Act) {
    let task = format!("{job}/t");
    match (act, sight) {
        (Act::Printed(text), _) => {
            home.until("the task printed it", || {
                let output = home.run(["logs", &task, "--raw"]);
                String::from_utf8_lossy(&output.stdout).contains(text)
            });
            let is_far = matches!(sight, Sight::Pod(_));
            assert!(
                is_far || !marked(&mark_of(home)).is_empty(),
                "its processes are seen, so that it would be seen if some were left"
            );
        }
        (Act::File(name), Sight::Here) => home.until("the file is there", || home.work().join(name).exists()),
        (Act::File(name), Sight::Container) => home.until("the file is there", || is_inside(home, name)),
        (Act::File(name), Sight::Pod(pods)) => home.until("the file is there", || pods.has_file(name)),
        (Act::Touch(name), Sight::Here) => std::fs::write(home.work().join(name), "").unwrap(),
        (Act::Touch(name), Sight::Container) => drop(engine().ok(["exec", "-w", "/workspace", &container(home), "touch", name])),
        (Act::Touch(name), Sight::Pod(pods)) => pods.touch(name),
        (Act::Cancel, _) => drop(home.ok(["cancel", &task])),
        (Act::Kill, _) => drop(home.ok(["cancel", &task, "--kill"])),
        (Act::KillManager, _) => home.kill_manager(),
        (Act::StartManager, _) => home.start(),
    }
}

fn check(home: &TestHome, task: &TaskDetail, expected: &Expected) {
    let outcomes: Vec<String> =
        task.attempts.iter().map(|a| a.outcome.as_ref().map_or_else(String::new, |o| o.sentence())).collect();
    let fits = |(seen, wanted): (&String, &String)| match wanted.strip_suffix('…') {
        Some(begin) => seen.starts_with(begin),
        None => seen == wanted,
    };
    let all_fit = outcomes.len() == expected.attempts.len() && outcomes.iter().zip(&expected.attempts).all(fits);
    let address = format!("{}/{}", task.job, task.task.id);
    let raw = home.run(["logs", &address, "--raw"]);
    let printed = home::text(&raw);
    let notes = || task.attempts.last().map(|attempt| attempt.facts.clone());
    assert!(all_fit, "{outcomes:?} instead of {:?}\n{:.2000}\n{:?}", expected.attempts, printed, notes());
    let state = match expected.attempts.last().map(String::as_str) {
        Some("succeeded") => "completed",
        Some("cancelled") => "cancelled",
        _ => "failed",
    };
    assert_eq!(task.task.state.kind().word(), state);
    check_output(&task.attempts.last().expect("an attempt").dir, &raw.stdout, expected);
    if let Some(value) = &expected.result {
        match &task.result {
            Some(TaskResult::Inline(result)) => assert_eq!(result.as_ref(), value),
            other => panic!("the result is {other:?}"),
        }
    }
    if let Some(wanted) = &expected.artifacts {
        let listed: Vec<Value> = serde_json::from_str(&home.ok(["artifacts", &address, "-o", "json"])).unwrap();
        let names = listed.iter().map(|file| file["name"].as_str().unwrap().to_owned());
        let seen: BTreeMap<_, _> = names.map(|name| (name.clone(), home.ok(["artifacts", &address, &name]))).collect();
        assert_eq!(&seen, wanted, "{:?}", notes());
        let facts = task.attempts.last().and_then(|attempt| attempt.facts.as_ref()?.artifacts.clone()).unwrap_or_default();
        assert_eq!(facts.count as usize, wanted.len());
    }
    if let Some(count) = expected.notes {
        let seen = task.attempts.last().and_then(|attempt| attempt.facts.clone()).unwrap_or_default().notes;
        assert_eq!(seen.len(), count, "{seen:?}");
    }
    if let Some(text) = &expected.progress {
        assert_eq!(task.task.progress.as_ref().map(ToString::to_string).as_ref(), Some(text));
    }
}

/// The streams apart are the attempt's files; what `airx logs --raw` prints is both.
fn check_output(attempt: &Path, raw: &[u8], expected: &Expected) {
    let file = |name: &str| std::fs::read(attempt.join(name)).unwrap_or_default();
    let (out, err) = (file("out"), file("err"));
    if let Some(expected) = &expected.out {
        expected.check("stdout", &out);
    }
    if let Some(expected) = &expected.err {
        expected.check("stderr", &err);
    }
    assert_eq!(raw.len(), out.len() + err.len(), "`airx logs --raw` prints all of both streams");
    if err.is_empty() {
        assert!(raw == out, "`airx logs --raw` prints stdout as it is");
    }
    if let Some(text) = &expected.gate {
        assert_eq!(&String::from_utf8_lossy(&file("gate.log")), text);
    }
}

#[test]
fn each_scenario_is_a_test() {
    let of_the_file: Vec<String> = scenarios().into_iter().map(|scenario| scenario.name).collect();
    assert_eq!(of_the_file, process::NAMES);
}
