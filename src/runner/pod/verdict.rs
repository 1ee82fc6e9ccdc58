//! What a pod's exit code says to people who look at it. The manager reads the record.

use crate::model::attempt::{End, ExitRecord, NOT_ENTERED};
use crate::model::exit_file::ExitFile;

/// Something else, or nothing, is known.
pub(super) const UNKNOWN: i32 = 1;

/// 0 for a success, else as a shell would say it.
pub(super) fn code(exit: &ExitFile, mark: &str) -> i32 {
    match exit {
        ExitFile::Complete(record) if record.mark == mark => of(record),
        _ => UNKNOWN,
    }
}

fn of(record: &ExitRecord) -> i32 {
    let gate_is_passed = |end: &crate::model::attempt::GateEnd| end.end == End::Exited(0) && !end.timed_out;
    match record.end {
        End::Exited(0) => {
            let is_good = record.stopped.is_none() && record.gate.iter().all(gate_is_passed) && record.missing.is_none();
            if is_good { 0 } else { UNKNOWN }
        }
        // Nothing of the task would have run, and it would be run again.
        End::Exited(NOT_ENTERED) => UNKNOWN,
        End::Exited(code) => code,
        End::Signalled(signal) => 128 + signal,
        End::NotStarted { .. } => UNKNOWN,
    }
}

/// How a process ended, in words that go after its name.
pub(super) fn words(end: &End) -> String {
    match end {
        End::Exited(code) => format!("ended with exit code {code}"),
        End::Signalled(signal) => format!("was ended by signal {signal}"),
        End::NotStarted { why, .. } => format!("never ran: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::attempt::{GateEnd, StopCause};
    use crate::model::time::Utc;

    fn record(end: End) -> ExitRecord {
        ExitRecord {
            mark: "m".into(),
            boot_id: String::new(),
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

    #[test]
    fn only_a_success_is_a_success_and_no_task_can_say_that_it_never_ran() {
        let code = |record: ExitRecord| code(&ExitFile::Complete(Box::new(record)), "m");
        assert_eq!(code(record(End::Exited(0))), 0);
        assert_eq!(code(record(End::Exited(3))), 3);
        assert_eq!(code(record(End::Exited(113))), 1);
        assert_eq!(code(record(End::Signalled(9))), 137);
        assert_eq!(code(record(End::NotStarted { errno: 2, why: String::new() })), 1);
        assert_eq!(code(ExitRecord { stopped: Some(StopCause::Timeout), ..record(End::Exited(0)) }), 1);
        assert_eq!(code(ExitRecord { missing: Some("a".into()), ..record(End::Exited(0)) }), 1);
        assert_eq!(code(ExitRecord { mark: "other".into(), ..record(End::Exited(0)) }), 1);
        for (end, timed_out, expected) in [(End::Exited(0), false, 0), (End::Exited(1), false, 1), (End::Exited(0), true, 1)] {
            assert_eq!(code(ExitRecord { gate: Some(GateEnd { end, timed_out }), ..record(End::Exited(0)) }), expected);
        }
        assert_eq!(super::code(&ExitFile::Empty, "m"), 1);
    }
}
