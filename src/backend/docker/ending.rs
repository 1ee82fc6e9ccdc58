//! How an attempt in a container ended, from what the engine and the attempt's directory tell: decided purely.

use crate::model::attempt::{End, ExitRecord, NOT_ENTERED, StopCause};
use crate::model::exit_file::ExitFile;
use crate::model::report::ExitFinding;
use crate::model::time::Utc;

/// What the engine tells of a container that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EngineEnd {
    /// The exit code of its first process.
    pub code: i32,
    /// Whether something in it was killed for its memory.
    pub oom: bool,
    /// When it was started and when it ended.
    pub started: Option<Utc>,
    /// See `started`.
    pub ended: Option<Utc>,
    /// What the engine says went wrong.
    pub error: String,
}

/// What is known of an attempt's end.
#[derive(Debug)]
pub struct Known<'a> {
    /// The attempt's mark.
    pub mark: &'a str,
    /// Whether the engine alone tells.
    pub is_reduced: bool,
    /// The container; none when it is gone.
    pub engine: Option<EngineEnd>,
    /// The runner's record.
    pub exit: ExitFile,
    /// Whether the runner had said who it is.
    pub had_runner: bool,
    /// Whether the container was started as far as we know, its environment handed over.
    pub is_started: bool,
    /// Whether the machine was started anew since.
    pub rebooted: bool,
    /// Why this backend ended it, if it did.
    pub stopped: Option<StopCause>,
    /// Bytes kept of stdout and stderr, for the reduced mode.
    pub kept: (u64, u64),
    /// In the reduced mode, why the engine's init could not start the command.
    pub not_started: Option<String>,
    /// In the reduced mode, whether somebody else killed it.
    pub is_killed: bool,
}

/// How it ended.
#[derive(Debug, PartialEq)]
pub enum Finding {
    /// As the report has it.
    Exit(ExitFinding),
    /// Nothing of the task ran: its environment did not arrive.
    NotEntered,
}

/// Decides, with remarks for people.
pub fn find(known: Known<'_>) -> (Finding, Vec<String>) {
    let mut notes = Vec::new();
    if !known.is_reduced {
        match known.exit {
            ExitFile::Complete(record) => return (Finding::Exit(ExitFinding::Record(record)), notes),
            ExitFile::Torn => notes.push("exit.json is torn".to_owned()),
            ExitFile::Empty => {}
        }
    }
    let Some(end) = known.engine else {
        notes.push("its container was removed, by someone else than airx".to_owned());
        return (Finding::Exit(ExitFinding::Missing { rebooted: known.rebooted }), notes);
    };
    if !end.error.is_empty() {
        notes.push(format!("the engine says: {}", end.error));
    }
    if known.is_reduced && end.started.is_none() {
        notes.push(
            "the engine was killed while it started the container, and does not know that it has run: what is left of it may go on"
                .to_owned(),
        );
        return (Finding::Exit(ExitFinding::Missing { rebooted: known.rebooted }), notes);
    }
    if known.is_reduced && known.is_killed {
        return (Finding::Exit(ExitFinding::Missing { rebooted: known.rebooted }), notes);
    }
    if known.is_reduced {
        let mut record = reduced(known.mark, &end, known.stopped, known.kept, &mut notes);
        if let Some(why) = known.not_started {
            record.end = End::NotStarted { errno: if end.code == 127 { libc::ENOENT } else { libc::EACCES }, why };
        }
        return (Finding::Exit(ExitFinding::Record(Box::new(record))), notes);
    }
    // Ended by whatever, it has run nothing: there was no environment to begin with.
    if !known.had_runner && (end.code == NOT_ENTERED || !known.is_started) {
        return (Finding::NotEntered, notes);
    }
    if end.oom {
        notes.push("the container's memory was used up, and its runner was killed too".to_owned());
        let record = record(known.mark, &end, End::Signalled(libc::SIGKILL), Some(StopCause::Memory), (0, 0));
        return (Finding::Exit(ExitFinding::Record(Box::new(record))), notes);
    }
    notes.push(match signal(end.code) {
        Some(signal) => format!("its container was ended by signal {signal}, without a word from its runner"),
        None => format!("its container ended with code {}, without a word from its runner", end.code),
    });
    (Finding::Exit(ExitFinding::Missing { rebooted: known.rebooted }), notes)
}

/// What the engine's init says on standard error when it cannot start a command, which then printed nothing: in words.
pub fn init_failure(code: i32, err: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(err).ok().filter(|_| matches!(code, 126 | 127))?;
    let (program, why) = text.strip_prefix("[FATAL tini (")?.split_once(")] exec ")?.1.split_once(" failed: ")?;
    Some(format!("`{program}` could not be started in the image: {}", why.trim_end()))
}

/// The engine tells one number of both codes and signals; the latter are told as shells do.
fn signal(code: i32) -> Option<i32> {
    (129..=159).contains(&code).then(|| code - 128)
}

fn reduced(mark: &str, end: &EngineEnd, stopped: Option<StopCause>, kept: (u64, u64), notes: &mut Vec<String>) -> ExitRecord {
    let how = match signal(end.code) {
        Some(number) if stopped.is_none() => {
            notes.push(format!("the engine does not tell signal {number} from exit code {}", end.code));
            End::Signalled(number)
        }
        Some(number) => End::Signalled(number),
        None => End::Exited(end.code),
    };
    let stopped = stopped.or_else(|| (end.oom && end.code != 0).then_some(StopCause::Memory));
    record(mark, end, how, stopped, kept)
}

fn record(mark: &str, end: &EngineEnd, how: End, stopped: Option<StopCause>, kept: (u64, u64)) -> ExitRecord {
    let ended = end.ended.or(end.started).unwrap_or(Utc(0));
    let started = end.started.unwrap_or(ended);
    ExitRecord {
        mark: mark.to_owned(),
        boot_id: String::new(),
        started,
        ended,
        elapsed_ms: u64::try_from(ended.0 - started.0).unwrap_or(0),
        end: how,
        stopped,
        gate: None,
        round: None,
        tree: None,
        missing: None,
        spent: None,
        leftovers: 0,
        out_bytes: kept.0,
        err_bytes: kept.1,
        cpu_ms: 0,
        max_rss_kib: 0,
        notes: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(engine: Option<EngineEnd>) -> Known<'static> {
        Known {
            mark: "m",
            is_reduced: false,
            engine,
            exit: ExitFile::Empty,
            had_runner: true,
            is_started: true,
            rebooted: false,
            stopped: None,
            kept: (0, 0),
            not_started: None,
            is_killed: false,
        }
    }

    fn code(code: i32) -> Option<EngineEnd> {
        Some(EngineEnd { code, started: Some(Utc(1_000)), ended: Some(Utc(3_500)), ..EngineEnd::default() })
    }

    fn ended(known: Known<'_>) -> (End, Option<StopCause>) {
        match find(known).0 {
            Finding::Exit(ExitFinding::Record(record)) => (record.end, record.stopped),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_runners_word_counts_and_without_it_the_engines() {
        let record = record("m", &EngineEnd::default(), End::Exited(3), None, (0, 0));
        let with_record = Known { exit: ExitFile::Complete(Box::new(record)), ..known(code(0)) };
        assert_eq!(ended(with_record), (End::Exited(3), None));
        let (finding, notes) = find(known(code(137)));
        assert_eq!(finding, Finding::Exit(ExitFinding::Missing { rebooted: false }));
        assert!(notes[0].contains("signal 9"), "{notes:?}");
        let (finding, notes) = find(known(None));
        assert_eq!(finding, Finding::Exit(ExitFinding::Missing { rebooted: false }));
        assert!(notes[0].contains("removed"), "{notes:?}");
        let oom = EngineEnd { oom: true, ..code(137).unwrap() };
        assert_eq!(ended(known(Some(oom))), (End::Signalled(9), Some(StopCause::Memory)));
    }

    #[test]
    fn a_first_process_that_never_got_its_task_has_run_nothing() {
        assert_eq!(find(Known { had_runner: false, ..known(code(NOT_ENTERED)) }).0, Finding::NotEntered);
        assert!(matches!(find(known(code(NOT_ENTERED))).0, Finding::Exit(_)), "its runner began, so the code is something else");
        let killed = Known { had_runner: false, is_started: false, ..known(code(143)) };
        assert_eq!(find(killed).0, Finding::NotEntered, "ended by an engine that came back before it got its task");
    }

    #[test]
    fn what_init_says_is_told_apart_from_what_a_command_says() {
        let said = b"[FATAL tini (7)] exec ./plain failed: Permission denied\n";
        assert_eq!(init_failure(126, said).as_deref(), Some("`./plain` could not be started in the image: Permission denied"));
        assert_eq!(init_failure(1, said), None);
        assert_eq!(init_failure(127, b"sh: nosuch: not found\n"), None);
        let known = Known { not_started: Some("no".to_owned()), is_reduced: true, ..known(code(127)) };
        assert!(matches!(ended(known).0, End::NotStarted { errno: libc::ENOENT, .. }));
    }

    #[test]
    fn in_the_reduced_mode_the_engine_tells_code_signal_and_memory() {
        let reduced = |engine| Known { is_reduced: true, ..known(engine) };
        assert_eq!(ended(reduced(code(3))), (End::Exited(3), None));
        assert_eq!(ended(reduced(code(255))), (End::Exited(255), None));
        assert_eq!(ended(reduced(code(143))), (End::Signalled(15), None));
        let stopped = Known { stopped: Some(StopCause::Timeout), ..reduced(code(143)) };
        assert_eq!(ended(stopped), (End::Signalled(15), Some(StopCause::Timeout)));
        let unknown = EngineEnd { started: None, ended: None, ..code(0).unwrap() };
        let (finding, notes) = find(reduced(Some(unknown)));
        assert_eq!(finding, Finding::Exit(ExitFinding::Missing { rebooted: false }));
        assert!(notes[0].contains("killed while it started"), "{notes:?}");
        let oom = EngineEnd { oom: true, ..code(1).unwrap() };
        assert_eq!(ended(reduced(Some(oom.clone()))), (End::Exited(1), Some(StopCause::Memory)));
        assert_eq!(ended(reduced(Some(EngineEnd { code: 0, ..oom }))), (End::Exited(0), None), "it got over it");
    }
}
