//! The single-task runner, as the real binary.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails says so by panicking")]

mod runner_support;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use airx::model::attempt::{End, GateEnd, OutputMode, Stdin, StopCause, StopSignal};
use airx::model::spec::Resources;
use airx::os;
use runner_support::{AIRX, Attempt, command, gate, run, shell, survivors, wait_for};
use rustix::process::Signal;

#[test]
fn both_streams_are_kept_apart_and_the_index_tells_their_order() {
    let (attempt, record) = run(&shell("echo one; echo two >&2; sleep 0.1; echo three; sleep 0.1; printf 'no newline' >&2"));
    assert_eq!((attempt.text("out"), attempt.text("err")), ("one\nthree\n".into(), "two\nno newline".into()));
    assert_eq!((record.out_bytes, record.err_bytes, record.end), (10, 14, End::Exited(0)));
    let index = attempt.index();
    let sum = |stream| index.iter().filter(|(s, _)| *s == stream).map(|(_, len)| len).sum::<u32>();
    assert_eq!((sum(0), sum(1)), (10, 14));
    assert_eq!(index.last(), Some(&(1, 10)));
}

#[test]
fn exit_codes_and_signals_are_told_as_they_are() {
    assert_eq!(run(&shell("exit 3")).1.end, End::Exited(3));
    assert_eq!(run(&shell("kill -KILL $$")).1.end, End::Signalled(9));
    let (attempt, record) = run(&command(&["true"]));
    assert_eq!((record.end, record.leftovers, record.stopped), (End::Exited(0), 0, None));
    assert!(!attempt.dir.join("out").exists(), "a silent command makes no files");
}

#[test]
fn a_command_that_cannot_start_says_what_is_missing_and_where_it_was_looked_for() {
    let why = |spec| match run(&spec).1.end {
        End::NotStarted { errno, why } => (errno, why),
        other => panic!("{other:?}"),
    };
    let (errno, text) = why(command(&["no-such-program"]));
    assert_eq!((errno, text.as_str()), (2, "`no-such-program` was not found in PATH (/usr/local/bin:/usr/bin:/bin)"));
    assert_eq!(why(command(&["/no/such"])), (2, "/no/such does not exist".into()));
    let mut lost = command(&["true"]);
    lost.cwd = "/no/directory".into();
    let (errno, text) = why(lost);
    assert!(errno == 2 && text.contains("/no/directory, cannot be entered"), "{text}");

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("script");
    fs::write(&file, "echo no first line").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let (errno, text) = why(command(&[file.to_str().unwrap()]));
    assert!(errno == 13 && text.contains("is not executable (chmod +x)"), "{text}");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    let (errno, text) = why(command(&[file.to_str().unwrap()]));
    assert!(errno == 8 && text.contains("needs a first line such as #!/bin/sh"), "{text}");
    let (errno, text) = why(command(&["true", &"x".repeat(300_000)]));
    assert!(errno == 7 && text.contains("too large"), "{text}");
}

#[test]
fn a_timeout_ends_the_whole_tree_whatever_it_ignores() {
    let mut spec = shell(
        "trap '' TERM; setsid sh -c 'trap \"\" TERM; sleep 1000 & wait; wait' & env -i sleep 1000 & echo up; while :; do sleep 1; done",
    );
    spec.timeout_ms = Some(400);
    let (attempt, record) = run(&spec);
    assert_eq!((record.end, record.stopped), (End::Signalled(9), Some(StopCause::Timeout)));
    assert_eq!(attempt.text("out"), "up\n");
    assert!(record.elapsed_ms >= 700, "{} ms: TERM at 400, KILL at 700", record.elapsed_ms);
}

#[test]
fn silence_is_no_timeout_while_something_is_written() {
    let mut spec = shell("for i in 1 2 3 4 5 6; do echo $i; sleep 0.1; done; sleep 1000");
    spec.silence_ms = Some(400);
    let (attempt, record) = run(&spec);
    assert_eq!((record.stopped, attempt.text("out").lines().count()), (Some(StopCause::Silence), 6));
}

#[test]
fn what_outlives_the_command_is_ended_and_counted() {
    let (_, record) = run(&shell("sleep 1000 & setsid sleep 1000 & exit 0"));
    assert_eq!((record.end, record.leftovers, record.stopped), (End::Exited(0), 2, None));
}

#[test]
fn exactly_the_output_limit_is_kept() {
    let mut spec = shell("yes");
    spec.output_limit = 100_000;
    let (attempt, record) = run(&spec);
    assert_eq!((record.stopped, record.out_bytes, attempt.bytes("out").len()), (Some(StopCause::OutputLimit), 100_000, 100_000));
    let mut spec = shell("printf 12345; printf 67890 >&2");
    spec.output_limit = 10;
    assert_eq!(run(&spec).1.stopped, None);
}

#[test]
fn much_output_is_complete() {
    let (attempt, record) = run(&shell("seq 1 2000000"));
    let out = attempt.bytes("out");
    assert_eq!((record.out_bytes, out.len()), (14_888_896, 14_888_896));
    assert!(out.ends_with(b"\n2000000\n"));
    assert_eq!(attempt.index().iter().map(|(_, len)| u64::from(*len)).sum::<u64>(), 14_888_896);
}

#[test]
fn the_gate_decides_after_a_success_only() {
    let mut spec = shell("echo work");
    spec.gate = gate("echo checked; echo twice >&2", 10_000);
    let (attempt, record) = run(&spec);
    assert_eq!(record.gate, Some(GateEnd { end: End::Exited(0), timed_out: false }));
    assert_eq!(
        (attempt.text("out"), attempt.text("gate.log"), record.out_bytes),
        ("work\n".into(), "checked\ntwice\n".into(), 5)
    );
    spec.gate = gate("exit 7", 10_000);
    assert_eq!(run(&spec).1.gate, Some(GateEnd { end: End::Exited(7), timed_out: false }));
    spec.gate = gate("sleep 1000", 200);
    assert_eq!(run(&spec).1.gate, Some(GateEnd { end: End::Signalled(15), timed_out: true }));
    spec.argv = vec!["false".into()];
    assert_eq!(run(&spec).1.gate, None);
}

#[test]
fn asked_to_stop_it_gives_the_grace_and_told_to_insist_it_gives_none() {
    for (signal, kill) in [(Signal::TERM, false), (Signal::USR1, true)] {
        let mut spec = shell("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done");
        spec.grace_ms = 20_000;
        let attempt = Attempt::new(&spec);
        let mut runner = attempt.start();
        wait_for("the task's first line", || (attempt.text("out") == "up\n").then_some(()));
        os::signal_pid(runner.id(), signal);
        assert!(runner.wait().unwrap().success());
        let record = attempt.record();
        assert_eq!(record.stopped, Some(StopCause::Asked { kill }));
        assert_eq!(attempt.text("out").contains("bye"), !kill);
    }
}

#[test]
fn an_interrupt_goes_to_the_command_alone() {
    let mut spec =
        shell("trap 'echo interrupted; kill $!; exit 0' INT; sh -c 'trap \"echo wrong\" INT; sleep 1000' & echo up; wait");
    spec.stop = StopSignal::Int;
    let attempt = Attempt::new(&spec);
    let mut runner = attempt.start();
    wait_for("the task's first line", || (attempt.text("out") == "up\n").then_some(()));
    os::signal_pid(runner.id(), Signal::TERM);
    runner.wait().unwrap();
    assert_eq!(attempt.record().end, End::Exited(0));
    assert_eq!(attempt.text("out"), "up\ninterrupted\n");
}

#[test]
fn a_task_cannot_truncate_its_output_and_holds_no_lock() {
    let (attempt, _) = run(&shell("echo first >&2; echo second > /dev/stderr; ls -l /proc/self/fd"));
    assert_eq!(attempt.text("err"), "first\nsecond\n");
    assert!(!attempt.text("out").contains("/lock"), "{}", attempt.text("out"));
    // Standard streams and the directory that ls reads.
    assert_eq!(attempt.text("out").matches(" -> ").count(), 4, "{}", attempt.text("out"));
}

#[test]
fn a_prompt_is_standard_input_and_a_file_can_be_standard_output() {
    let mut spec = command(&["cat"]);
    spec.stdin = Stdin::Prompt;
    spec.output = OutputMode::File;
    let attempt = Attempt::new(&spec);
    fs::write(attempt.dir.join("prompt"), "do it").unwrap();
    let record = attempt.run();
    assert_eq!((attempt.text("out"), record.out_bytes), ("do it".into(), 5));
}

#[test]
fn a_task_starts_with_default_signals_in_a_session_of_its_own() {
    let (attempt, _) = run(&shell(
        "grep -E '^Sig(Blk|Ign)' /proc/self/status; read -r _ _ _ _ _ sid _ < /proc/$$/stat; [ $sid = $$ ] && echo leader",
    ));
    // Signals 32 and 33 are the C library's own.
    let out = attempt.text("out").replace("SigIgn:\t0000000180000000", "SigIgn:\t0000000000000000");
    assert_eq!(out, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\nleader\n");
}

#[test]
fn a_large_environment_reaches_the_task() {
    let attempt = Attempt::new(&shell("printf %s \"$BIG\" | wc -c"));
    let mut command = attempt.command();
    command.env("BIG", "x".repeat(120_000));
    for i in 0..500 {
        command.env(format!("V{i}"), "y".repeat(1000));
    }
    assert!(command.status().unwrap().success());
    assert_eq!(attempt.text("out").trim(), "120000");
}

#[test]
fn a_task_can_start_the_airx_that_runs_it_though_its_file_is_gone() {
    let place = tempfile::tempdir().unwrap();
    let copy = place.path().join("airx");
    fs::copy(AIRX, &copy).unwrap();
    let script = format!("until [ -e {0}/gone ]; do sleep 0.01; done; \"$AIRX_EXE\" --version", place.path().display());
    let attempt = Attempt::new(&shell(&script));
    let runner = attempt.command_of(&copy).spawn();
    let mut runner = runner.unwrap();
    wait_for("the runner to say who it is", || attempt.dir.join("runner.json").exists().then_some(()));
    fs::remove_file(&copy).unwrap();
    fs::write(place.path().join("gone"), "").unwrap();
    assert!(runner.wait().unwrap().success());
    assert_eq!(attempt.text("out"), format!("airx {}\n", env!("CARGO_PKG_VERSION")), "{}", attempt.text("err"));
}

#[test]
fn a_persons_time_is_not_the_runs_though_it_asks_by_itself_and_its_own_time_goes_on_after_that() {
    let script = "mkdir outbox; echo '{}' > outbox/000001-ask-1.json; flock -s outbox/.asking sleep 4; sleep 1000";
    for (is_claude, output) in [(true, OutputMode::File), (false, OutputMode::Pipes)] {
        let mut spec = shell(&format!("cd \"$AIRX_DIR\"; {script}"));
        (spec.claude, spec.output, spec.timeout_ms) = (is_claude, output, Some(2_000));
        let attempt = Attempt::new(&spec);
        let mut command = attempt.command();
        assert!(command.env("AIRX_DIR", &attempt.dir).status().unwrap().success());
        let record = attempt.record();
        assert_eq!(record.stopped, Some(StopCause::Timeout));
        assert!(record.elapsed_ms >= 4_000, "{record:?}");
    }
}

#[test]
fn limits_on_memory_and_processes_are_enforced_or_watched() {
    let mut spec = shell("for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done; wait");
    spec.resources = Resources { pids: Some(4), ..Resources::default() };
    spec.timeout_ms = Some(20_000);
    let (_, record) = run(&spec);
    assert!(record.stopped == Some(StopCause::Pids) || matches!(record.end, End::Exited(code) if code != 0), "{record:?}");
    let mut spec = shell("x=$(head -c 60000000 /dev/zero | tr '\\0' x); sleep 1000");
    spec.resources = Resources { memory: Some(20 << 20), ..Resources::default() };
    spec.timeout_ms = Some(20_000);
    assert_eq!(run(&spec).1.stopped, Some(StopCause::Memory));
}

#[test]
fn a_limit_that_cannot_be_kept_is_said() {
    let mut spec = command(&["true"]);
    spec.resources = Resources { cpus: Some(1.0), ..Resources::default() };
    let (_, record) = run(&spec);
    let enforced = record.notes.is_empty();
    assert!(enforced || record.notes[0].contains("`cpus` is not enforced"), "{:?}", record.notes);
    assert_eq!(survivors(&record.mark), Vec::<u32>::new());
}

#[test]
fn on_a_full_disk_the_task_waits_and_nothing_is_lost() {
    let attempt = Attempt::new(&shell("seq 1 100000"));
    let out = attempt.dir.join("out");
    std::os::unix::fs::symlink("/dev/full", &out).unwrap();
    let mut runner = attempt.start();
    let fds = format!("/proc/{}/fd", runner.id());
    wait_for("the runner to try", || {
        let mut targets = fs::read_dir(&fds).ok()?.flatten().filter_map(|e| fs::read_link(e.path()).ok());
        targets.any(|t| t.as_os_str() == "/dev/full").then_some(())
    });
    fs::remove_file(&out).unwrap();
    assert!(runner.wait().unwrap().success());
    let record = attempt.record();
    assert_eq!((record.end, record.out_bytes, attempt.bytes("out").len()), (End::Exited(0), 588_895, 588_895));
    assert!(record.notes[0].contains("output waited for room on the disk"), "{:?}", record.notes);
    assert_eq!(attempt.index().iter().map(|(_, len)| u64::from(*len)).sum::<u64>(), 588_895);
}

#[test]
fn a_stop_ends_the_wait_for_a_disk_that_stays_full() {
    let attempt = Attempt::new(&shell("echo lost"));
    std::os::unix::fs::symlink("/dev/full", attempt.dir.join("out")).unwrap();
    let mut runner = attempt.start();
    wait_for("runner.json, written when it listens to signals", || attempt.dir.join("runner.json").exists().then_some(()));
    os::signal_pid(runner.id(), Signal::TERM);
    assert!(runner.wait().unwrap().success());
    let record = attempt.record();
    assert!(
        record.stopped.is_some() || record.notes.iter().any(|n| n.contains("the end of the output is missing")),
        "{record:?}"
    );
}

#[test]
fn a_file_that_the_task_writes_itself_is_watched_in_size_and_for_silence() {
    let mut spec = shell("head -c 1000 /dev/zero; sleep 1000");
    spec.output = OutputMode::File;
    spec.output_limit = 999;
    assert_eq!(run(&spec).1.stopped, Some(StopCause::OutputLimit));
    spec.output_limit = 1000;
    spec.silence_ms = Some(1500);
    let (_, record) = run(&spec);
    assert_eq!((record.stopped, record.out_bytes), (Some(StopCause::Silence), 1000));
}
