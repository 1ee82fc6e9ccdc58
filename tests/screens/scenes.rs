//! Worlds that several tests look at.

use airx::model::ids::JobName;
use airx::model::state::{FailCause, Hold, Outcome, TaskState};

use super::world::{HOUR, MINUTE, SECOND, Task, World, ago, task, world};

/// A recorded transcript.
pub fn transcript(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/claude/{name}.ndjson", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A conversation with a list of things to do, as Claude Code writes it.
pub fn talk() -> Vec<u8> {
    let said = |text: &str| serde_json::json!({"type":"assistant","message":{"id":"m1","content":[{"type":"text","text":text}]}});
    let call = |id: &str, name: &str, input: serde_json::Value| serde_json::json!({"type":"assistant","message":{"id":"m2","content":[{"type":"tool_use","id":id,"name":name,"input":input}]}});
    let answer = |id: &str, text: &str, is_error: bool| {
        serde_json::json!({"type":"user","message":{"role":"user","content":[
            {"type":"tool_result","tool_use_id":id,"content":text,"is_error":is_error}]}})
    };
    let todo = serde_json::json!({"todos":[
        {"content":"read the validator","status":"completed"},
        {"content":"fix the check","status":"in_progress"},
        {"content":"run the tests","status":"pending"}]});
    let file: String = (1..=214).map(|line| format!("line {line}\n")).collect();
    let lines = [
        serde_json::json!({"type":"system","subtype":"init","session_id":"7605ea43-9d63-4dd7-9eec-cf2e38914930",
            "model":"claude-opus-4-8","permissionMode":"acceptEdits","tools":[]}),
        said(
            "I'll look at **how the token is validated** first. The check is in `src/token.rs`:\n\n- one branch for each error\n- the same error in both",
        ),
        call("a", "Read", serde_json::json!({"file_path":"/home/ann/shop/src/token.rs"})),
        answer("a", &file, false),
        call("b", "Bash", serde_json::json!({"command":"cargo clippy -p auth"})),
        answer("b", "error: this `if` has identical blocks\n  --> src/token.rs:88:5", true),
        call("t", "TodoWrite", todo),
        answer("t", "ok", false),
        said("Both branches return the same error, so the check can go."),
        call("c", "Bash", serde_json::json!({"command":"cargo test -p auth"})),
    ];
    lines.iter().map(|line| format!("{line}\n")).collect::<String>().into_bytes()
}

/// Output with colours, both streams, tabs and a progress line.
pub fn log() -> Task {
    task("unit").running(31 * MINUTE).wrote(&[
        (false, "   \u{1b}[1;32mCompiling\u{1b}[0m auth v0.3.1\n"),
        (true, "\u{1b}[33mwarning\u{1b}[0m: this `if` has identical blocks\n  --> src/token.rs:88:5\n"),
        (false, "running 3 tests\ntest token::expired ... \u{1b}[32mok\u{1b}[0m\ntest token::forged ... \u{1b}[31mFAILED\u{1b}[0m\n"),
        (false, "10 %\r55 %\r100 % of the corpus was read, which took quite a while since the disk of this machine is slow today, and then it was sorted\n"),
        (false, "name\tsize\nauth\t12\n\u{1b}[38;2;120;200;80mtrue\u{1b}[0m \u{1b}[38;5;208mindexed\u{1b}[0m \u{1b}[7mreversed\u{1b}[0m\n"),
        (true, "panicked at src/token.rs:91: FAILED\n"),
    ])
}

/// What a person finds in the morning: running, failed, held, queued and added work, and attempts.
pub fn morning() -> World {
    world()
        .job(
            "release-notes",
            vec![
                task("draft").completed(4 * MINUTE).cost(310_000).claude(&transcript("tools_default-denied")),
                task("docs").failed(Outcome::Failed { cause: FailCause::Gate("cargo doc".to_owned()) }),
                task("publish").upstream_failed(&["docs"]),
            ],
        )
        .job(
            "nightly-docs",
            (0..12)
                .map(|n| if n < 2 { task(&format!("page-{n}")).completed(9 * SECOND) } else { task(&format!("page-{n}")) })
                .collect(),
        )
        .with(|job| (job.view.paused, job.view.submitted) = (true, ago(9 * HOUR)))
        .job(
            "harden-auth",
            vec![
                task("discover").completed(4 * SECOND),
                task("fix/0").completed(101 * SECOND).cost(140_000).claude(&transcript("tools_parallel")),
                task("fix/1")
                    .failed(Outcome::Lost { cause: airx::model::state::LostCause::RunnerGone })
                    .exited(101)
                    .running(192 * SECOND)
                    .cost(220_000)
                    .progress(3, Some(5), "todo")
                    .claude(&talk()),
                task("fix/2").needs(&["discover"]),
                task("fix/3").exited(2).held(Hold::Retry { at: ago(0).plus(150_000), delay_ms: 600_000 }),
                task("limits")
                    .failed(Outcome::Limited { resets_at: None })
                    .held(Hold::Limit { until: ago(0).plus(3_600_000), asks: false }),
                task("report-the-summary-of-everything-that-was-found-in-the-audit")
                    .pending(&["fix/1", "fix/2", "fix/3", "limits"]),
                log(),
                task("extra").below("fix/1").completed(SECOND),
                task("extra-2").below("extra").starting(),
                task("stop-me").cancelling(12 * SECOND),
            ],
        )
        .with(|job| job.spec.max_parallel = 4)
}

/// Every state that a task can be in.
pub fn all_states() -> World {
    world().job(
        "all",
        vec![
            task("a-pending").pending(&["a-running"]),
            task("a-queued"),
            task("a-held").held(Hold::Limit { until: ago(0).plus(3_600_000), asks: false }),
            task("a-starting").starting(),
            task("a-running").running(MINUTE),
            task("a-cancelling").cancelling(MINUTE),
            task("a-completed").completed(MINUTE),
            task("a-failed").exited(3),
            task("a-cancelled").cancelled(),
            task("a-skipped").skipped(),
            task("a-upstream").upstream_failed(&["a-failed"]),
            task("a-asking").asking(MINUTE),
            task("a-approval").in_state(TaskState::AwaitingApproval { question: 1 }),
            task("a-delegated").in_state(TaskState::Delegated { job: JobName { name: "child".to_owned(), number: 1 } }),
            task("a-mapped").in_state(TaskState::Mapped { instances: 2 }),
        ],
    )
}

/// 30 nodes as a job may have them: one, eight, eight, eight, four, one.
pub fn thirty() -> World {
    let mut tasks = vec![task("begin").completed(SECOND)];
    for lane in 0..8 {
        tasks.push(task(&format!("fetch-{lane}")).completed(2 * SECOND).needs(&["begin"]));
    }
    for lane in 0..8 {
        let one = task(&format!("build-{lane}")).needs(&[&format!("fetch-{lane}")]);
        tasks.push(match lane {
            0 => one.running(MINUTE),
            1 => one.exited(1),
            _ => one,
        });
    }
    for lane in 0..8 {
        tasks.push(task(&format!("check-{lane}")).pending(&[&format!("build-{lane}")]));
    }
    for group in 0..4 {
        let needs = [format!("check-{}", 2 * group), format!("check-{}", 2 * group + 1)];
        tasks.push(task(&format!("pack-{group}")).pending(&[&needs[0], &needs[1]]));
    }
    tasks.push(task("release").pending(&["pack-0", "pack-1", "pack-2", "pack-3"]));
    world().job("thirty", tasks)
}
