//! Claude runs from command line to outcome: with recorded transcripts, and with the real CLI of the pinned version
//! against a fake API on loopback.

#[path = "support/claude/mod.rs"]
mod support;

#[path = "claude/damaged.rs"]
mod damaged;
#[path = "claude/real.rs"]
mod real;
#[path = "claude/recorded.rs"]
mod recorded;
#[path = "claude/replayed.rs"]
mod replayed;

use airx::manager::ports::ClaudeRun;
use airx::model::attempt::{End, ExitRecord, StopCause};
use airx::model::outcome::{Asked, classify};
use airx::model::report::{ClaudeReport, EndReport, ExitFinding};
use airx::model::spec::{Action, ClaudeSpec, TaskSpec};
use airx::model::state::Outcome;
use airx::model::time::Utc;

/// The outcome of a Claude task whose runner recorded `end`; `interrupted` says that a person had cancelled it.
fn outcome(spec: &ClaudeSpec, end: End, report: &ClaudeReport, interrupted: bool) -> Outcome {
    let task = TaskSpec::new("t", Action::Claude(Box::new(spec.clone())));
    let record = ExitRecord {
        mark: "h-1-0-1".to_owned(),
        boot_id: "b".to_owned(),
        started: Utc(0),
        ended: Utc(1),
        elapsed_ms: 1,
        end,
        stopped: interrupted.then_some(StopCause::Asked { kill: false }),
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
    };
    let exit = ExitFinding::Record(Box::new(record));
    let end = EndReport { exit, result: None, artifacts: None, claude: Some(report.clone()), notes: Vec::new() };
    classify(&end, if interrupted { Asked::Cancel } else { Asked::Nothing }, &task)
}

/// A fresh session of this specification.
pub fn run(spec: &ClaudeSpec) -> ClaudeRun<'_> {
    let session = "6b3f1a52-8f0e-4d0c-9a63-2b1f6f0e7a11";
    ClaudeRun { spec, session, resumes: false, microusd: None, rules: &[], trusts_project: false }
}
