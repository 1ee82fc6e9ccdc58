//! The process backend with the real runner: starting once, adopting, stopping, sweeping.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails says so by panicking")]

mod runner_support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use airx::backend::process::{ProcessBackend, Settings};
use airx::manager::ports::{Backend, ClaudeCli, ClaudeRun, LaunchOrder, Place};
use airx::model::attempt::{End, MAX_INLINE_RESULT, OutboxBody, Progress, RunnerInfo, RunnerSpec, StopCause};
use airx::model::change::TaskResult;
use airx::model::ids::{AttemptId, JobId, TaskIdx};
use airx::model::report::{ClaudeReport, EndReport, ExitFinding, Report, ResultFinding};
use airx::model::spec::{ClaudeSpec, ResultKind};
use airx::os;
use runner_support::{AIRX, command, shell, survivors, wait_for};
use rustix::process::Signal;
use serde_json::json;

struct NoClaude;

impl ClaudeCli for NoClaude {
    fn refuse(&self, _: &ClaudeSpec, _: &str, _: bool, _: &[(String, String)]) -> Option<String> {
        None
    }

    fn env_defaults(&self) -> Vec<(&'static str, &'static str)> {
        Vec::new()
    }

    fn argv(&self, _: &ClaudeRun<'_>) -> Vec<String> {
        Vec::new()
    }
    fn go_on(&self) -> &'static str {
        ""
    }
    fn has_session(&self, _: &str, _: &std::collections::BTreeMap<String, String>) -> Option<bool> {
        None
    }
    fn stdin(&self, prompt: &str, _: bool) -> String {
        prompt.to_owned()
    }
    fn read(&self, _: &Path) -> ClaudeReport {
        ClaudeReport::default()
    }
}

struct Home {
    dir: tempfile::TempDir,
    backend: Option<ProcessBackend>,
    reports: Receiver<Report>,
}

impl Home {
    fn new() -> Home {
        let dir = tempfile::tempdir().unwrap();
        let (backend, reports) = backend(dir.path());
        Home { dir, backend: Some(backend), reports }
    }

    fn backend(&mut self) -> &mut ProcessBackend {
        self.backend.as_mut().unwrap()
    }

    /// As if the manager had been killed and started again.
    fn restart(&mut self) {
        self.backend = None;
        let (backend, reports) = backend(self.dir.path());
        (self.backend, self.reports) = (Some(backend), reports);
    }

    fn attempt_dir(&self, attempt: AttemptId) -> PathBuf {
        self.dir.path().join("jobs/a.1").join(format!("t.{}", attempt.number))
    }

    fn order(&self, number: u32, spec: RunnerSpec) -> LaunchOrder {
        let attempt = AttemptId { job: JobId(1), task: TaskIdx(0), number };
        let env = [("PATH", "/usr/local/bin:/usr/bin:/bin"), ("AIRX_ATTEMPT", spec.mark.as_str())];
        let env = env.map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec();
        LaunchOrder { attempt, dir: self.attempt_dir(attempt), spec, env, prompt: None, place: Place::Process }
    }

    fn launch(&mut self, number: u32, spec: RunnerSpec) -> LaunchOrder {
        let order = self.order(number, spec);
        self.backend().launch(order.clone());
        order
    }

    fn next(&self) -> Report {
        self.reports.recv_timeout(Duration::from_secs(30)).expect("a report within 30 s")
    }

    fn over(&self, attempt: AttemptId) -> EndReport {
        loop {
            match self.next() {
                Report::Over { attempt: over, end, .. } if over == attempt => return *end,
                Report::LaunchFailed { why, .. } => panic!("{why}"),
                _ => {}
            }
        }
    }

    fn info(&self, attempt: AttemptId) -> RunnerInfo {
        let path = self.attempt_dir(attempt).join("runner.json");
        wait_for("runner.json", || serde_json::from_slice(&std::fs::read(&path).ok()?).ok())
    }

    fn wait_for_output(&self, attempt: AttemptId, text: &str) {
        let path = self.attempt_dir(attempt).join("out");
        wait_for("the task's output", || std::fs::read_to_string(&path).ok().filter(|t| t.contains(text)));
    }
}

fn backend(home: &Path) -> (ProcessBackend, Receiver<Report>) {
    let (send, reports) = channel();
    // A report nobody waits for any more is of no use.
    let sink = Arc::new(move |report| drop(send.send(report)));
    let settings = Settings { exe: Some(AIRX.into()), results: home.join("results") };
    (ProcessBackend::start(settings, sink, Arc::new(NoClaude)).unwrap(), reports)
}

fn end_of(report: &EndReport) -> &End {
    match &report.exit {
        ExitFinding::Record(record) => &record.end,
        missing => panic!("{missing:?}, {:?}", report.notes),
    }
}

#[test]
fn an_attempt_starts_runs_and_is_over() {
    let mut home = Home::new();
    let order = home.launch(1, shell("exit 5"));
    assert_eq!(home.next(), Report::Started { attempt: order.attempt });
    assert_eq!(end_of(&home.over(order.attempt)), &End::Exited(5));
}

#[test]
fn many_attempts_at_once_all_end_once() {
    let mut home = Home::new();
    for number in 1..=60 {
        home.launch(number, command(&["true"]));
    }
    let mut over = Vec::new();
    while over.len() < 60 {
        if let Report::Over { attempt, end, .. } = home.next() {
            assert_eq!(end_of(&end), &End::Exited(0));
            over.push(attempt.number);
        }
    }
    over.sort_unstable();
    assert_eq!(over, (1..=60).collect::<Vec<_>>());
}

#[test]
fn starting_twice_starts_once() {
    let mut home = Home::new();
    let dir = tempfile::tempdir().unwrap();
    let count = dir.path().join("count");
    let order = home.launch(1, shell(&format!("echo x >> {}; cat; sleep 0.2", count.display())));
    home.backend().launch(order.clone());
    assert_eq!(home.next(), Report::Started { attempt: order.attempt });
    assert_eq!(home.next(), Report::Started { attempt: order.attempt });
    home.restart();
    home.backend().launch(order.clone());
    assert_eq!(end_of(&home.over(order.attempt)), &End::Exited(0));
    home.backend().launch(order.clone());
    assert_eq!(end_of(&home.over(order.attempt)), &End::Exited(0));
    assert_eq!(std::fs::read_to_string(count).unwrap(), "x\n");
}

#[test]
fn a_live_attempt_is_adopted_and_its_end_is_told() {
    let mut home = Home::new();
    let gate = tempfile::tempdir().unwrap();
    let go = gate.path().join("go");
    let script = format!("echo before; until [ -e {} ]; do sleep 0.01; done; echo after; exit 4", go.display());
    let order = home.launch(1, shell(&script));
    home.wait_for_output(order.attempt, "before");
    home.restart();
    home.backend().inspect(vec![(order.attempt, order.dir.clone())], &BTreeSet::new());
    assert_eq!(home.next(), Report::Live { attempt: order.attempt });
    std::fs::write(go, "").unwrap();
    assert_eq!(end_of(&home.over(order.attempt)), &End::Exited(4));
    assert_eq!(std::fs::read_to_string(order.dir.join("out")).unwrap(), "before\nafter\n");
}

#[test]
fn what_ended_unwatched_is_over_and_what_never_started_is_known() {
    let mut home = Home::new();
    let order = home.launch(1, command(&["true"]));
    home.backend = None;
    wait_for("the lock to be free", || {
        os::is_locked(&order.dir.join("lock")).is_ok_and(|held| !held && order.dir.join("exit.json").exists()).then_some(())
    });
    home.restart();
    let never = home.order(2, command(&["true"]));
    home.backend().inspect(vec![(never.attempt, never.dir), (order.attempt, order.dir)], &BTreeSet::new());
    assert_eq!(home.next(), Report::NeverStarted { attempt: never.attempt });
    assert_eq!(end_of(&home.over(order.attempt)), &End::Exited(0));
}

#[test]
fn stopping_asks_and_killing_insists() {
    let mut home = Home::new();
    for (number, kill) in [(1, false), (2, true)] {
        let order = home.launch(number, shell("echo up; sleep 1000"));
        home.wait_for_output(order.attempt, "up");
        home.backend().stop(order.attempt, kill);
        let end = home.over(order.attempt);
        let ExitFinding::Record(record) = &end.exit else { panic!("{end:?}") };
        assert_eq!(record.stopped, Some(StopCause::Asked { kill }));
    }
}

#[test]
fn a_stop_right_after_the_launch_is_not_lost() {
    let mut home = Home::new();
    let order = home.launch(1, shell("sleep 1000"));
    home.backend().stop(order.attempt, false);
    let end = home.over(order.attempt);
    let ExitFinding::Record(record) = &end.exit else { panic!("{end:?}") };
    assert_eq!(record.stopped, Some(StopCause::Asked { kill: false }));
}

#[test]
fn the_processes_of_a_vanished_runner_are_swept_before_it_is_told() {
    let mut home = Home::new();
    for (number, restart) in [(1, false), (2, true)] {
        let spec = shell("trap '' TERM; setsid sh -c 'trap \"\" TERM; echo up; sleep 1000; sleep 1000' & wait; sleep 1000");
        let mark = spec.mark.clone();
        let order = home.launch(number, spec);
        home.wait_for_output(order.attempt, "up");
        let runner = home.info(order.attempt).pid;
        if restart {
            home.restart();
            home.backend().inspect(vec![(order.attempt, order.dir.clone())], &BTreeSet::new());
        }
        os::signal_pid(runner, Signal::KILL);
        let end = home.over(order.attempt);
        assert_eq!(end.exit, ExitFinding::Missing { rebooted: false });
        assert_eq!(survivors(&mark), Vec::<u32>::new());
        let certain = end.notes.iter().any(|n| n.contains("the sweep is certain"));
        assert_eq!(certain, !restart, "{:?}", end.notes);
    }
}

#[test]
fn a_stopped_runner_can_still_be_killed() {
    let mut home = Home::new();
    let spec = shell("echo up; sleep 1000");
    let mark = spec.mark.clone();
    let order = home.launch(1, spec);
    home.wait_for_output(order.attempt, "up");
    let runner = home.info(order.attempt).pid;
    os::signal_pid(runner, Signal::STOP);
    wait_for("the runner to stand still", || os::proc::process(runner).filter(|p| p.state == b'T'));
    home.backend().stop(order.attempt, true);
    let end = home.over(order.attempt);
    assert_eq!(end.exit, ExitFinding::Missing { rebooted: false });
    assert!(end.notes.iter().any(|n| n.contains("did not answer")), "{:?}", end.notes);
    assert_eq!(survivors(&mark), Vec::<u32>::new());
}

#[test]
fn another_boot_id_means_the_machine_was_restarted() {
    let mut home = Home::new();
    let order = home.order(1, command(&["true"]));
    std::fs::create_dir_all(&order.dir).unwrap();
    std::fs::write(order.dir.join("spec.json"), serde_json::to_vec(&order.spec).unwrap()).unwrap();
    std::fs::write(order.dir.join("lock"), "another-boot").unwrap();
    home.backend().inspect(vec![(order.attempt, order.dir)], &BTreeSet::new());
    assert_eq!(home.over(order.attempt).exit, ExitFinding::Missing { rebooted: true });
}

#[test]
fn results_are_read_as_text_lines_or_json() {
    let mut home = Home::new();
    let big = format!("head -c {} /dev/zero | tr '\\0' x", MAX_INLINE_RESULT + 1);
    let cases = [
        ("printf 'a\\nb\\n'", ResultKind::Text, Some(json!("a\nb"))),
        ("printf 'a\\nb\\n'", ResultKind::Lines, Some(json!(["a", "b"]))),
        ("echo '{\"n\": 1}'", ResultKind::Json, Some(json!({"n": 1}))),
        ("true", ResultKind::Text, Some(json!(""))),
        ("echo '{'", ResultKind::Json, None),
        ("printf '\\377'", ResultKind::Text, None),
        ("yes '' | head -n 500001", ResultKind::Lines, None),
        ("head -c 9000000 /dev/zero | tr '\\0' 1", ResultKind::Json, None),
        (big.as_str(), ResultKind::Text, None),
    ];
    for (number, (script, kind, expected)) in (1..).zip(cases) {
        let mut spec = shell(script);
        spec.result = Some(kind.into());
        let order = home.launch(number, spec);
        match (home.over(order.attempt).result, expected) {
            (Some(ResultFinding::Value(TaskResult::Inline(value))), Some(expected)) => assert_eq!(*value, expected),
            (Some(ResultFinding::Bad(why)), None) => {
                let known = ["not one JSON value", "not UTF-8", "more lines than", "larger than a result may be (8388608"];
                assert!(known.iter().any(|known| why.contains(known)), "{why}")
            }
            (Some(ResultFinding::Value(TaskResult::File { sha256, bytes })), None) => {
                assert_eq!(home.dir.path().join("results").join(sha256).metadata().unwrap().len(), bytes);
            }
            other => panic!("{script}: {other:?}"),
        }
    }
}

#[test]
fn the_outbox_is_told_while_live_and_whole_at_the_end() {
    let mut home = Home::new();
    let order = home.launch(1, shell("echo up; sleep 1000"));
    home.wait_for_output(order.attempt, "up");
    let put = |done| {
        airx::runner::outbox::put(&order.dir, OutboxBody::Progress(Progress { done, ..Progress::default() }), None).unwrap()
    };
    assert_eq!(home.next(), Report::Started { attempt: order.attempt });
    for seq in [1, 2] {
        put(seq.into());
        home.backend().intake(order.attempt, seq - 1);
        let Report::Outbox { items, .. } = home.next() else { panic!("no outbox") };
        assert_eq!(items.iter().map(|i| i.seq).collect::<Vec<_>>(), [seq]);
    }
    // A manager that lost a report with a failed commit asks for it again.
    home.backend().intake(order.attempt, 0);
    let Report::Outbox { items, .. } = home.next() else { panic!("no outbox") };
    assert_eq!(items.len(), 2);
    home.backend().stop(order.attempt, true);
    let Report::Over { outbox, .. } = home.next() else { panic!("not over") };
    assert_eq!(outbox.len(), 2);
}

#[test]
fn a_live_attempt_whose_directory_was_removed_is_not_started_again() {
    let mut home = Home::new();
    let mut spec = shell("echo up; sleep 1000");
    spec.cwd = "/".into();
    let mut order = home.order(1, spec);
    order.env.push(("AIRX_DIR".into(), order.dir.display().to_string()));
    home.backend().launch(order.clone());
    home.wait_for_output(order.attempt, "up");
    let runner = home.info(order.attempt).pid;
    std::fs::remove_dir_all(&order.dir).unwrap();
    home.restart();
    home.backend().inspect(vec![(order.attempt, order.dir.clone())], &BTreeSet::new());
    assert_eq!(home.next(), Report::Live { attempt: order.attempt });
    os::signal_pid(runner, Signal::KILL);
    let end = home.over(order.attempt);
    assert_eq!(end.exit, ExitFinding::Missing { rebooted: false });
    assert_eq!(survivors(&order.spec.mark), Vec::<u32>::new());
}

#[test]
fn a_runner_that_cannot_start_says_why_and_leaves_no_lock() {
    let mut home = Home::new();
    let mut order = home.order(1, command(&["true"]));
    order.env.push(("BIG".into(), "x".repeat(300_000)));
    home.backend().launch(order.clone());
    let Report::LaunchFailed { why, transient, .. } = home.next() else { panic!("it started") };
    assert!(!transient && why.contains("the task's environment is too large"), "{why}");
    home.backend().inspect(vec![(order.attempt, order.dir)], &BTreeSet::new());
    assert_eq!(home.next(), Report::NeverStarted { attempt: order.attempt });
}
