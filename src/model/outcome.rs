//! From the facts of an attempt's end to its [`Outcome`]. What the outcome means for the task (retry, hold, fail) is
//! decided elsewhere.

use super::attempt::{End, ExitRecord, GateEnd, StopCause};
use super::report::{ClaudeReport, ClaudeResult, EndReport, ExitFinding, ResultFinding};
use super::spec::{Action, ClaudeSpec, TaskSpec, Until};
use super::state::{BudgetOf, FailCause, LostCause, Outcome, Spends};

/// What a person had asked of the attempt by the time it ended. A runner that was told to end while this says `Nothing` was
/// told by something else, such as the machine's shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Asked {
    /// No end.
    #[default]
    Nothing,
    /// To end, with the grace.
    Cancel,
    /// To end at once.
    Kill,
}

/// How the attempt ended.
///
/// Rules, first match wins:
/// 1. A success that needs no doubt is a success, also when the request to end came at the last moment: the command
///    ended by itself, or (Claude) it said so in a final result, which an interrupted run never does. Its gate, if the
///    task has one, must have passed.
/// 2. A person asked for the end: `cancelled`, whatever else went wrong; nothing may be retried against that wish.
/// 3. No exit record: `lost`.
/// 4. The command never ran: `unlaunchable`.
/// 5. The runner ended it: the cause decides. Asked by nobody known: `crashed`.
/// 6. The command's own end, then Claude's result, then the gate, then the task's result, then what had to be kept of its files.
pub fn classify(end: &EndReport, asked: Asked, spec: &TaskSpec) -> Outcome {
    let outcome = match &end.exit {
        ExitFinding::Missing { rebooted: true } => Outcome::Lost { cause: LostCause::Reboot },
        ExitFinding::Missing { rebooted: false } => Outcome::Lost { cause: LostCause::RunnerGone },
        ExitFinding::Evicted(why) => Outcome::Evicted { why: one_line(why) },
        ExitFinding::Record(record) => recorded(record, end, spec),
    };
    match (asked, outcome) {
        (_, Outcome::Succeeded) => Outcome::Succeeded,
        (Asked::Cancel | Asked::Kill, _) => Outcome::Cancelled,
        (Asked::Nothing, outcome) => outcome,
    }
}

fn recorded(record: &ExitRecord, end: &EndReport, spec: &TaskSpec) -> Outcome {
    if let End::NotStarted { errno, why } = &record.end {
        return Outcome::Unlaunchable { why: why.clone(), transient: is_transient(*errno) };
    }
    match &record.stopped {
        None => own_end(record, end, spec),
        Some(StopCause::Timeout) => Outcome::TimedOut,
        Some(StopCause::Silence) => Outcome::Silent,
        Some(StopCause::OutputLimit) => failed(FailCause::OutputLimit),
        Some(StopCause::Memory) => failed(FailCause::Oom),
        Some(StopCause::Pids) => failed(FailCause::Pids),
        Some(StopCause::Refused) => Outcome::Auth,
        Some(StopCause::Budget { of }) => Outcome::BudgetExceeded { of: *of },
        // Exit 0 proves nothing for other commands: many programs answer TERM with it.
        Some(StopCause::Asked { .. }) if is_claude(spec) && own_end(record, end, spec) == Outcome::Succeeded => {
            Outcome::Succeeded
        }
        Some(StopCause::Asked { .. }) => crashed("its runner was told to end, by nobody airx knows (the machine's shutdown?)"),
    }
}

/// The end of a command that nobody ended.
fn own_end(record: &ExitRecord, end: &EndReport, spec: &TaskSpec) -> Outcome {
    let trouble = match &spec.action {
        Action::Claude(claude) => claude_trouble(&record.end, end.claude.as_ref().unwrap_or(&ClaudeReport::default()), claude),
        Action::Run(_) | Action::Command { .. } | Action::Job(_) | Action::Approve(_) => command_trouble(&record.end),
    };
    trouble
        .or_else(|| round_trouble(record.round.as_ref(), spec.repeat.as_ref().map(|repeat| &repeat.until)))
        .or_else(|| gate_trouble(record.gate.as_ref(), spec.accept.is_some() && !goes_round(record.round.as_ref())))
        .or_else(|| match &end.result {
            Some(ResultFinding::Bad(why)) => Some(failed(FailCause::BadResult(why.clone()))),
            Some(ResultFinding::Value(_)) | None => None,
        })
        .or_else(|| {
            let missing = record.missing.as_ref().filter(|_| !goes_round(record.round.as_ref()))?;
            Some(failed(FailCause::Artifact(one_line(missing))))
        })
        .unwrap_or(Outcome::Succeeded)
}

fn command_trouble(end: &End) -> Option<Outcome> {
    match end {
        End::Exited(0) => None,
        End::Exited(code) => Some(failed(FailCause::Exit(*code))),
        End::Signalled(signal) => Some(failed(FailCause::Signal(*signal))),
        End::NotStarted { errno, why } => Some(Outcome::Unlaunchable { why: why.clone(), transient: is_transient(*errno) }),
    }
}

/// Why the condition of a task that repeats could not be looked at. That it does not hold is no trouble: another round follows.
fn round_trouble(round: Option<&GateEnd>, asked_for: Option<&Until>) -> Option<Outcome> {
    match round {
        None if asked_for.is_some() => Some(crashed("its condition was not looked at")),
        Some(GateEnd { end: End::NotStarted { why, .. }, .. }) => {
            Some(failed(FailCause::Repeat(format!("`until` could not start: {why}"))))
        }
        Some(GateEnd { end: End::Exited(Until::BAD_PATTERN), .. }) if matches!(asked_for, Some(Until::File { .. })) => {
            Some(failed(FailCause::Repeat("its `matches` is no regular expression of `grep -E`".to_owned())))
        }
        _ => None,
    }
}

/// The newest attempt whose gate's output is what the next one should know of, after another one ended like this. What was not
/// the task's fault, or a person's doing, leaves it as it was; another failure is about something else.
pub fn gated_after(before: Option<u32>, attempt: u32, outcome: &Outcome) -> Option<u32> {
    match outcome {
        Outcome::Failed { cause: FailCause::Gate(_) } => Some(attempt),
        Outcome::Succeeded => None,
        _ if outcome.spends() == Spends::Retry => None,
        _ => before,
    }
}

fn goes_round(round: Option<&GateEnd>) -> bool {
    round.is_some_and(|round| round.timed_out || round.end != End::Exited(0))
}

fn gate_trouble(gate: Option<&GateEnd>, asked_for: bool) -> Option<Outcome> {
    let how = match gate {
        None if asked_for => return Some(crashed("its gate did not run")),
        None => return None,
        Some(GateEnd { timed_out: true, .. }) => "timed out".to_owned(),
        Some(GateEnd { end, .. }) => match end {
            End::Exited(0) => return None,
            End::Exited(code) => format!("exit {code}"),
            End::Signalled(signal) => format!("signal {signal}"),
            End::NotStarted { why, .. } => format!("could not start: {why}"),
        },
    };
    Some(failed(FailCause::Gate(how)))
}

/// Why a Claude run was not a success; none when it was: a final result without error and exit 0, neither alone.
fn claude_trouble(end: &End, report: &ClaudeReport, spec: &ClaudeSpec) -> Option<Outcome> {
    let code = match end {
        End::Exited(code) => *code,
        // No fault of the prompt: the CLI itself never ends so, and its tools die in sessions of their own.
        End::Signalled(signal) => return Some(crashed(&format!("the Claude CLI was ended by signal {signal}"))),
        End::NotStarted { .. } => return command_trouble(end),
    };
    let Some(result) = &report.result else {
        return Some(without_result(code, report));
    };
    if result.is_error || result.subtype != "success" {
        return Some(error_result(result, report));
    }
    if code != 0 {
        return command_trouble(end);
    }
    if report.facts.turns == 0 {
        let said = one_line(result.text.as_deref().unwrap_or("no reason was given"));
        return Some(failed(FailCause::ErrorResult(format!("the prompt never reached the model: {said}"))));
    }
    if spec.fails_on_denial && !report.facts.denials.is_empty() {
        return Some(failed(FailCause::Denied(one_line(&report.facts.denials.join(", ")))));
    }
    if spec.json_schema.is_some() && !result.structured {
        return Some(failed(FailCause::BadResult("Claude gave no output in the form of json_schema".to_owned())));
    }
    None
}

/// Nothing on stdout says how the run ended.
fn without_result(code: i32, report: &ClaudeReport) -> Outcome {
    match code {
        0 => crashed("the Claude CLI ended without a final result line, though with exit 0"),
        129 | 130 | 143 => crashed(&format!("the Claude CLI was told to end by signal {}", code - 128)),
        _ if report.limited.is_some() => limited(report),
        // Bad arguments, settings or files: said on stderr only.
        _ => failed(FailCause::Exit(code)),
    }
}

fn error_result(result: &ClaudeResult, report: &ClaudeReport) -> Outcome {
    let text = one_line(result.text.as_deref().unwrap_or(&result.subtype));
    match result.subtype.as_str() {
        "error_max_turns" => return failed(FailCause::MaxTurns),
        // Whose it was is found out by what was used: the CLI is told the tightest.
        "error_max_budget_usd" => return Outcome::BudgetExceeded { of: BudgetOf::Attempt },
        "error_max_structured_output_retries" => return failed(FailCause::BadResult(text)),
        // Only an interrupt leads here, and ours were handled before; or a fault of the CLI.
        "error_during_execution" if text.starts_with(DIAGNOSTIC) => return crashed("the Claude CLI was interrupted"),
        "error_during_execution" => return crashed(&format!("the Claude CLI gave up: {text}")),
        _ => {}
    }
    let error = report.api_error.as_deref();
    match (result.api_error_status, error) {
        (_, _) if report.limited.is_some() => limited(report),
        (Some(429), _) | (None, Some("rate_limit")) => limited(report),
        (Some(529), _) | (None, Some("overloaded")) => Outcome::Overloaded,
        // Without credit a key is as good as refused: nothing but a person helps.
        (Some(401 | 403), _) | (_, Some("authentication_failed" | "billing_error")) => Outcome::Auth,
        (Some(500..=599), _) | (None, Some("server_error" | "unknown")) => crashed(&format!("the model provider failed: {text}")),
        _ => failed(FailCause::ErrorResult(text)),
    }
}

/// Begins what the CLI says of an interrupted run; it means nothing to people.
const DIAGNOSTIC: &str = "[ede_diagnostic]";
/// Longest reason kept in an outcome, in characters; the transcript has it all.
const MAX_REASON: usize = 500;

/// The CLI's words as part of a sentence: no line breaks or control characters.
fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect();
    let line = words.join(" ");
    match line.char_indices().nth(MAX_REASON) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

fn limited(report: &ClaudeReport) -> Outcome {
    Outcome::Limited { resets_at: report.limited.as_ref().and_then(|limit| limit.resets_at) }
}

fn is_claude(spec: &TaskSpec) -> bool {
    matches!(spec.action, Action::Claude(_))
}

fn failed(cause: FailCause) -> Outcome {
    Outcome::Failed { cause }
}

fn crashed(why: &str) -> Outcome {
    Outcome::Crashed { why: why.to_owned() }
}

/// Whether a program that could not be started may start later: the machine was short of something, the program is
/// there. A missing or forbidden file stays so until a person acts.
fn is_transient(errno: i32) -> bool {
    [
        libc::EAGAIN,
        libc::ENOMEM,
        libc::EMFILE,
        libc::ENFILE,
        libc::ENOSPC,
        libc::EDQUOT,
        libc::EIO,
        libc::EINTR,
        libc::ETXTBSY,
        libc::EBUSY,
        libc::ESTALE,
        libc::ETIMEDOUT,
    ]
    .contains(&errno)
}

#[cfg(test)]
mod tests;
