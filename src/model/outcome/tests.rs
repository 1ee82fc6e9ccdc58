use super::*;
use crate::model::report::ClaudeLimit;
use crate::model::spec::{ClaudeSpec, Gate, Repeat};
use crate::model::time::Utc;

fn task(action: Action) -> TaskSpec {
    TaskSpec::new("t", action)
}

fn shell() -> TaskSpec {
    task(Action::Run("true".to_owned()))
}

fn gated() -> TaskSpec {
    TaskSpec { accept: Some(Gate { run: "true".to_owned(), timeout_ms: 1000 }), ..shell() }
}

fn claude() -> TaskSpec {
    task(Action::Claude(Box::default()))
}

fn with_schema() -> TaskSpec {
    let spec = ClaudeSpec { json_schema: Some(serde_json::json!({"type": "object"})), ..ClaudeSpec::default() };
    task(Action::Claude(Box::new(spec)))
}

fn record(end: End) -> ExitRecord {
    ExitRecord {
        mark: "h-1-0-1".to_owned(),
        boot_id: "b".to_owned(),
        started: Utc(0),
        ended: Utc(1),
        elapsed_ms: 1,
        end,
        stopped: None,
        gate: None,
        round: None,
        tree: None,
        missing: None,
        spent: None,
        leftovers: 0,
        out_bytes: 0,
        err_bytes: 0,
        cpu_ms: 0,
        max_rss_kib: 0,
        notes: Vec::new(),
    }
}

fn report(record: ExitRecord) -> EndReport {
    EndReport { exit: ExitFinding::Record(Box::new(record)), result: None, artifacts: None, claude: None, notes: Vec::new() }
}

fn exit(code: i32) -> EndReport {
    report(record(End::Exited(code)))
}

fn stopped(end: End, cause: StopCause) -> EndReport {
    report(ExitRecord { stopped: Some(cause), ..record(end) })
}

fn gate(end: End, timed_out: bool) -> EndReport {
    report(ExitRecord { gate: Some(GateEnd { end, timed_out }), ..record(End::Exited(0)) })
}

fn missing(rebooted: bool) -> EndReport {
    EndReport { exit: ExitFinding::Missing { rebooted }, ..exit(0) }
}

fn said(end: EndReport, result: ClaudeResult) -> EndReport {
    let mut claude = ClaudeReport { result: Some(result), ..ClaudeReport::default() };
    claude.facts.turns = 1;
    EndReport { claude: Some(claude), ..end }
}

fn good() -> ClaudeResult {
    ClaudeResult { subtype: "success".to_owned(), text: Some("done".to_owned()), ..ClaudeResult::default() }
}

fn bad(status: Option<u16>) -> ClaudeResult {
    ClaudeResult { is_error: true, api_error_status: status, ..good() }
}

fn sentence(end: &EndReport, asked: Asked, spec: &TaskSpec) -> String {
    classify(end, asked, spec).sentence()
}

#[test]
fn a_command_ends_by_its_exit_code_or_signal() {
    let table = [
        (exit(0), "succeeded"),
        (exit(3), "exit 3"),
        (report(record(End::Signalled(11))), "signal 11"),
        (missing(true), "lost: the machine was restarted"),
        (missing(false), "lost: its runner is gone"),
        (stopped(End::Signalled(15), StopCause::Timeout), "timed out"),
        (stopped(End::Exited(0), StopCause::Timeout), "timed out"),
        (stopped(End::Signalled(15), StopCause::Silence), "silent for too long"),
        (stopped(End::Signalled(15), StopCause::OutputLimit), "output limit reached"),
        (stopped(End::Signalled(9), StopCause::Memory), "out of memory (its limit)"),
        (stopped(End::Signalled(9), StopCause::Pids), "too many processes (its limit)"),
    ];
    for (end, expected) in table {
        assert_eq!(sentence(&end, Asked::Nothing, &shell()), expected, "{end:?}");
    }
}

#[test]
fn a_runner_told_to_end_while_nobody_asked_crashed() {
    let end = stopped(End::Signalled(15), StopCause::Asked { kill: false });
    assert!(matches!(classify(&end, Asked::Nothing, &shell()), Outcome::Crashed { .. }));
    assert_eq!(classify(&end, Asked::Cancel, &shell()), Outcome::Cancelled);
}

#[test]
fn once_a_person_asked_everything_but_a_success_is_cancelled() {
    let ends = [
        exit(1),
        report(record(End::Signalled(9))),
        missing(false),
        missing(true),
        stopped(End::Signalled(9), StopCause::Asked { kill: true }),
        stopped(End::Signalled(15), StopCause::Timeout),
        report(record(End::NotStarted { errno: libc::ENOENT, why: "no such program".to_owned() })),
    ];
    for end in ends {
        for asked in [Asked::Cancel, Asked::Kill] {
            assert_eq!(classify(&end, asked, &shell()), Outcome::Cancelled, "{end:?}");
        }
    }
}

#[test]
fn a_command_that_had_succeeded_before_the_request_reached_it_succeeded() {
    assert_eq!(classify(&exit(0), Asked::Cancel, &shell()), Outcome::Succeeded);
}

#[test]
fn exit_0_after_the_request_is_no_success_since_many_programs_answer_term_with_it() {
    let end = stopped(End::Exited(0), StopCause::Asked { kill: false });
    assert_eq!(classify(&end, Asked::Cancel, &shell()), Outcome::Cancelled);
}

#[test]
fn a_claude_run_that_had_finished_when_interrupted_succeeded_and_one_that_had_not_is_cancelled() {
    let asked = || stopped(End::Exited(0), StopCause::Asked { kill: false });
    assert_eq!(classify(&said(asked(), good()), Asked::Cancel, &claude()), Outcome::Succeeded);
    assert_eq!(classify(&said(asked(), good()), Asked::Nothing, &claude()), Outcome::Succeeded);
    let interrupted = ClaudeResult { subtype: "error_during_execution".to_owned(), ..bad(None) };
    assert_eq!(classify(&said(asked(), interrupted.clone()), Asked::Cancel, &claude()), Outcome::Cancelled);
    assert!(matches!(classify(&said(asked(), interrupted), Asked::Nothing, &claude()), Outcome::Crashed { .. }));
    let gated = TaskSpec { accept: gated().accept, ..claude() };
    assert_eq!(classify(&said(asked(), good()), Asked::Cancel, &gated), Outcome::Cancelled, "its gate never passed");
}

#[test]
fn a_program_that_cannot_start_may_be_tried_again_only_when_the_machine_was_short_of_something() {
    for (errno, expected) in
        [(libc::ENOENT, false), (libc::EACCES, false), (libc::E2BIG, false), (libc::EAGAIN, true), (libc::ENOMEM, true)]
    {
        let end = report(record(End::NotStarted { errno, why: "why".to_owned() }));
        let outcome = classify(&end, Asked::Nothing, &shell());
        assert_eq!(outcome, Outcome::Unlaunchable { why: "why".to_owned(), transient: expected }, "{errno}");
    }
}

#[test]
fn the_gate_decides_after_a_success_and_only_then() {
    let table = [
        (gate(End::Exited(0), false), "succeeded"),
        (gate(End::Exited(1), false), "gate failed: exit 1"),
        (gate(End::Signalled(9), false), "gate failed: signal 9"),
        (gate(End::Signalled(15), true), "gate failed: timed out"),
        (gate(End::NotStarted { errno: 2, why: "no sh".to_owned() }, false), "gate failed: could not start: no sh"),
        (exit(0), "crashed: its gate did not run"),
        (exit(4), "exit 4"),
    ];
    for (end, expected) in table {
        assert_eq!(sentence(&end, Asked::Nothing, &gated()), expected, "{end:?}");
    }
}

#[test]
fn output_that_is_not_the_promised_result_fails_the_attempt() {
    let bad = Some(ResultFinding::Bad("line 1: not JSON".to_owned()));
    assert_eq!(sentence(&EndReport { result: bad.clone(), ..exit(0) }, Asked::Nothing, &shell()), "bad result: line 1: not JSON");
    assert_eq!(sentence(&EndReport { result: bad, ..exit(2) }, Asked::Nothing, &shell()), "exit 2");
}

#[test]
fn claude_succeeds_only_with_a_good_result_and_exit_0() {
    let no_calls = {
        let mut end = said(exit(0), good());
        end.claude.as_mut().unwrap().facts.turns = 0;
        end
    };
    let table = [
        (said(exit(0), good()), "succeeded"),
        (said(exit(1), good()), "exit 1"),
        (exit(0), "crashed: the Claude CLI ended without a final result line, though with exit 0"),
        (exit(1), "exit 1"),
        (exit(143), "crashed: the Claude CLI was told to end by signal 15"),
        (report(record(End::Signalled(9))), "crashed: the Claude CLI was ended by signal 9"),
        (said(report(record(End::Signalled(9))), good()), "crashed: the Claude CLI was ended by signal 9"),
        (said(exit(0), bad(Some(400))), "error result: done"),
        (said(exit(0), ClaudeResult { subtype: "from_the_future".to_owned(), ..good() }), "error result: done"),
        (no_calls, "error result: the prompt never reached the model: done"),
    ];
    for (end, expected) in table {
        assert_eq!(sentence(&end, Asked::Nothing, &claude()), expected, "{end:?}");
    }
}

#[test]
fn a_json_schema_must_have_been_met() {
    assert!(matches!(
        classify(&said(exit(0), good()), Asked::Nothing, &with_schema()),
        Outcome::Failed { cause: FailCause::BadResult(_) }
    ));
    let structured = ClaudeResult { structured: true, ..good() };
    assert_eq!(classify(&said(exit(0), structured), Asked::Nothing, &with_schema()), Outcome::Succeeded);
}

#[test]
fn a_usage_limit_tells_when_it_is_lifted_if_that_was_said() {
    let mut end = said(exit(1), bad(Some(429)));
    assert_eq!(classify(&end, Asked::Nothing, &claude()), Outcome::Limited { resets_at: None });
    end.claude.as_mut().unwrap().limited = Some(ClaudeLimit { resets_at: Some(Utc(5000)), ..ClaudeLimit::default() });
    assert_eq!(classify(&end, Asked::Nothing, &claude()), Outcome::Limited { resets_at: Some(Utc(5000)) });
    let turns = ClaudeResult { subtype: "error_max_turns".to_owned(), ..bad(None) };
    end.claude.as_mut().unwrap().result = Some(turns);
    assert_eq!(sentence(&end, Asked::Nothing, &claude()), "maximum number of turns reached");
}

#[test]
fn claudes_words_become_one_harmless_line() {
    let long = ClaudeResult { text: Some(format!("API\u{1b}[2J Error:\n\n {}", "x".repeat(600))), ..bad(Some(400)) };
    let said = sentence(&said(exit(1), long), Asked::Nothing, &claude());
    assert!(said.starts_with("error result: API [2J Error: xxx") && said.ends_with("x…"), "{said}");
    assert_eq!(said.chars().count(), "error result: ".len() + MAX_REASON + 1);
}

#[test]
fn a_pattern_that_is_none_ends_the_rounds_at_once_and_a_condition_that_does_not_hold_does_not() {
    let looks = |until: Until, code: i32| {
        let repeat = Repeat { until, max: 9, fresh_session: false, stop_after_no_change: 0 };
        let round = Some(GateEnd { end: End::Exited(code), timed_out: false });
        let exit = ExitFinding::Record(Box::new(ExitRecord { round, ..record(End::Exited(0)) }));
        let end = EndReport { exit, result: None, artifacts: None, claude: None, notes: Vec::new() };
        classify(&end, Asked::Nothing, &TaskSpec { repeat: Some(repeat), ..shell() })
    };
    let file = Until::File { path: "x".to_owned(), matches: Some("[".to_owned()) };
    assert!(matches!(looks(file.clone(), Until::BAD_PATTERN), Outcome::Failed { cause: FailCause::Repeat(_) }));
    assert_eq!(looks(file, 2), Outcome::Succeeded, "the file is not there yet");
    assert_eq!(looks(Until::Command("exit 125".to_owned()), 125), Outcome::Succeeded, "a command may mean anything by it");
}
