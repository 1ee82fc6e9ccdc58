//! From a job file to a job.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use crate::api::socket::SocketClient;
use crate::model::attempt::AddedTask;
use crate::model::diagnostic::{self, Diagnostic};
use crate::model::fit::parse_fitting;
use crate::model::ids::{AddressError, JobName};
use crate::model::jobfile::{MAX_FAULTS, MAX_FILE, ParseOptions, Parsed};
use crate::model::message::{Command, Done};
use crate::model::schedule::Rule;
use crate::model::spec::{Action, ClaudeSpec, Submission};
use crate::model::template::escape;
use crate::model::time::Utc;

use super::args::{ClaudeArgs, FileArgs, SubmitArgs};
use super::context::{Context, Failure};
use super::print;

/// How a job is named in messages that comes from standard input, and one that comes from the command line alone.
const STDIN: &str = "standard input";
const NO_FILE: &str = "the command line";

pub(super) fn run(context: &Context, args: &SubmitArgs) -> Result<i32, Failure> {
    let parsed = read_for(context, args)?;
    if let Some(rule) = &parsed.schedule {
        let words = print::harmless(&rule.to_string(), 200);
        print::note(&format!("running it once now; to schedule it ({words}): airx schedule add {}", args.file.file));
    }
    let mut client = context.manager_or_start()?;
    let (job, _) = send(context, &mut client, parsed.submission)?;
    super::follow::follow(context, client, &job)
}

pub(super) fn submit(context: &Context, args: &SubmitArgs) -> Result<(), Failure> {
    let parsed = read_for(context, args)?;
    if parsed.schedule.is_some() && !args.now {
        return super::schedule::set(context, parsed);
    }
    let mut client = context.manager_or_start()?;
    let (job, tasks) = send(context, &mut client, parsed.submission)?;
    if context.is_json() {
        print::out(&print::value(context.global.output, &serde_json::json!({ "job": job, "tasks": tasks })));
    } else {
        print::out(&format!("{job}\n"));
    }
    Ok(())
}

pub(super) fn validate(context: &Context, args: &FileArgs) -> Result<(), Failure> {
    let parsed = read(context, args)?;
    let Submission { job, tasks } = &parsed.submission;
    if parsed.schedule.as_ref().is_some_and(|rule| is_past(rule, crate::os::now().utc)) {
        print::note("warning: the schedule has no time to come, since its `until` is past: it would be refused");
    }
    if context.is_json() {
        print::out(&print::value(
            context.global.output,
            &serde_json::json!({ "name": job.name, "tasks": tasks.len(), "schedule": parsed.schedule, "warnings": parsed.warnings }),
        ));
    } else {
        let count = if tasks.len() == 1 { "1 task".to_owned() } else { format!("{} tasks", tasks.len()) };
        let rule =
            parsed.schedule.map_or_else(String::new, |rule| format!(", scheduled: {}", print::harmless(&rule.to_string(), 200)));
        print::out(&format!("{}: no fault, job {} with {count}{rule}\n", args.file, job.name));
    }
    Ok(())
}

pub(super) fn claude(context: &Context, args: &ClaudeArgs) -> Result<(), Failure> {
    let spec = ClaudeSpec { prompt: args.prompt.clone(), literal: true, model: args.model.clone(), ..ClaudeSpec::default() };
    if args.prompt.trim().is_empty() {
        return Err(Failure::input("the prompt is empty", "write what Claude should do: airx claude \"Fix the failing test\""));
    }
    if let Some(job) = &args.job {
        let job = job.parse().map_err(|error: AddressError| Failure::input(error.to_string(), ""))?;
        let task = AddedTask { id: None, needs: Vec::new(), action: Action::Claude(Box::new(spec)) };
        let mut client = context.manager_or_start()?;
        let done = context.ask(&mut client, &Command::Add { job, task: Box::new(task), key: Some(fresh_key()) })?;
        match done {
            Done::Added { task } if !context.is_json() => print::out(&format!("queued {task}\n")),
            other => print::out(&print::value(context.global.output, &other)),
        }
        return Ok(());
    }
    single(context, "claude", "claude", Action::Claude(Box::new(spec)))
}

/// Submits a job of one task, without a file. Its strings are literal.
pub(super) fn single(context: &Context, name: &str, id: &str, action: Action) -> Result<(), Failure> {
    // Through the same door as every file, so that it gets the same environment and limits.
    let kind = if matches!(action, Action::Claude(_)) { "claude" } else { "command" };
    let file = serde_json::json!({ "name": name, "tasks": [{ "id": id, kind: "-" }] }).to_string();
    let mut parsed = parse_text(context, NO_FILE, &file, &[])?;
    for task in &mut parsed.submission.tasks {
        task.action = match &action {
            Action::Command { program, args } => {
                Action::Command { program: escape(program), args: args.iter().map(|arg| escape(arg)).collect() }
            }
            other => other.clone(),
        };
    }
    let mut client = context.manager_or_start()?;
    let (job, _) = send(context, &mut client, parsed.submission)?;
    if context.is_json() {
        print::out(&print::value(context.global.output, &serde_json::json!({ "job": job })));
    } else {
        print::out(&format!("queued {job}/{id}; to watch it: airx logs -f {job}/{id}\n"));
    }
    Ok(())
}

fn read_for(context: &Context, args: &SubmitArgs) -> Result<Parsed, Failure> {
    let mut parsed = read(context, &args.file)?;
    if let Some(priority) = args.priority.and_then(|priority| i32::try_from(priority).ok()) {
        parsed.submission.job.priority = priority;
    }
    Ok(parsed)
}

/// Whether no time of a schedule that is added now would come. A file stays right while time passes, so this is no fault of it.
fn is_past(rule: &Rule, now: Utc) -> bool {
    rule.times(now).is_ok_and(|times| times.next_after(now).is_none())
}

/// Reads and parses the job file; all faults are told.
pub(super) fn read(context: &Context, args: &FileArgs) -> Result<Parsed, Failure> {
    let path = context.cwd.join(&args.file);
    let is_there = args.file == "-" || path.exists();
    if is_there && let Some(word) = args.rest.first() {
        return Err(Failure::input(
            format!("`{word}` does not belong here: `{}` is the job file", args.file),
            "a parameter is given by -p NAME=VALUE",
        ));
    }
    if !is_there {
        let words = std::iter::once(args.file.as_str()).chain(args.rest.iter().map(String::as_str)).collect::<Vec<_>>().join(" ");
        let is_path = args.rest.is_empty() && (args.file.contains('/') || has_job_ending(&args.file));
        let hint = if is_path {
            format!("paths begin at {}; `-` reads standard input", context.cwd.display())
        } else {
            format!("to queue a command as a task: airx add -- {words}")
        };
        return Err(Failure::input(format!("there is no job file `{}`", args.file), hint));
    }
    let name = if args.file == "-" { STDIN } else { &args.file };
    let text = if args.file == "-" { read_all(std::io::stdin().lock(), name) } else { read_file(&path, name) };
    let text = text.map_err(|why| Failure::input(why.message, why.hint))?;
    let params = params(&args.params)?;
    parse_text(context, name, &text, &params)
}

/// `NAME=VALUE` of each `-p`.
pub(super) fn params(given: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let pair = |param: &String| {
        let pair = param.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
        pair.ok_or_else(|| Failure::input(format!("`-p {param}` is no parameter"), "write -p NAME=VALUE"))
    };
    given.iter().map(pair).collect()
}

fn parse_text(context: &Context, name: &str, text: &str, params: &[(String, String)]) -> Result<Parsed, Failure> {
    let base = match Path::new(name).parent() {
        Some(parent) if name != STDIN && name != NO_FILE => context.cwd.join(parent),
        _ => context.cwd.clone(),
    };
    let base = base.canonicalize().unwrap_or(base);
    // Its tasks must not work in some other place instead.
    if !base.is_absolute() {
        return Err(Failure::input(
            "the working directory is gone, and its tasks would work there",
            "change to one that is there",
        ));
    }
    let settings = context.settings();
    context.warn(&settings.faults);
    let pools: BTreeSet<String> = settings.settings.pools.keys().cloned().collect();
    let options = ParseOptions {
        file: name,
        base: &base,
        params,
        environment: &context.env,
        pools: Some(&pools),
        claude_passed: &context.services.claude_passed(&context.env),
        read_file: &read_named,
    };
    match parse_fitting(text, &options, &settings.settings) {
        Ok(parsed) => {
            context.warn(&parsed.warnings);
            Ok(parsed)
        }
        Err(faults) if context.is_json() => {
            print::note(&serde_json::json!({ "error": { "message": format!("{} faults", faults.len()), "faults": faults, "exit_code": 2 } }).to_string());
            Err(Failure { code: 2, message: String::new(), hint: String::new() })
        }
        Err(faults) => {
            print::note(diagnostic::render(&faults, text).trim_end());
            let count = match faults.len() {
                1 => "1 fault".to_owned(),
                count @ MAX_FAULTS.. => format!("{count} faults or more"),
                count => format!("{count} faults"),
            };
            Err(Failure::input(format!("{name} has {count}; nothing was submitted"), ""))
        }
    }
}

/// Checks a job file's text, named so, with relative paths from there, with these parameters.
pub type Checker = Box<dyn Fn(&str, &str, &Path, &[(String, String)]) -> Result<Parsed, Vec<Diagnostic>> + Send + Sync>;

/// A check of job files that outlives the command: for the workstation's editor. The pools are those of the configuration
/// at the time of each check.
pub fn checker(context: &Context) -> Checker {
    let environment = context.env.clone();
    let claude_passed = context.services.claude_passed(&environment);
    let config = context.config_path();
    Box::new(move |text, file, base, params| {
        let settings = crate::config::load(&config).settings;
        let pools: BTreeSet<String> = settings.pools.keys().cloned().collect();
        let options = ParseOptions {
            file,
            base,
            params,
            environment: &environment,
            pools: Some(&pools),
            claude_passed: &claude_passed,
            read_file: &read_named,
        };
        parse_fitting(text, &options, &settings)
    })
}

/// Whether a word is named as job files are.
fn has_job_ending(word: &str) -> bool {
    [".yaml", ".yml", ".json"].iter().any(|ending| word.ends_with(ending))
}

/// Why a file's text cannot be had.
struct Unreadable {
    message: String,
    hint: &'static str,
}

fn read_file(path: &Path, name: &str) -> Result<String, Unreadable> {
    let unreadable = |why: String| Unreadable { message: why, hint: "" };
    let file = std::fs::File::open(path).map_err(|error| unreadable(format!("{name} cannot be read: {error}")))?;
    if file.metadata().is_ok_and(|data| data.is_dir()) {
        return Err(unreadable(format!("{name} is a directory, not a file")));
    }
    read_all(file, name)
}

/// A file that a job file names. Where no person waits, as in the drop directory, nobody would end a wait for a fifo's writer.
fn read_named(path: &Path) -> Result<String, String> {
    let name = path.display().to_string();
    // A link to a file is as good as the file.
    let opened = path.canonicalize().and_then(|path| match path.is_dir() {
        true => Err(std::io::Error::other("it is a directory, not a file")),
        false => crate::os::open_regular(&path),
    });
    let file = opened.map_err(|error| format!("{name} cannot be read: {error}"))?;
    read_all(file, &name).map_err(|why| why.message)
}

fn read_all(source: impl Read, name: &str) -> Result<String, Unreadable> {
    let mut bytes = Vec::new();
    // One byte more than allowed shows that it is too long.
    source
        .take(MAX_FILE as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Unreadable { message: format!("{name} cannot be read: {error}"), hint: "" })?;
    if bytes.len() > MAX_FILE {
        let message = format!("{name}:1:1: the file is larger than {} MiB, the most that it may be", MAX_FILE >> 20);
        return Err(Unreadable { message, hint: "split the job" });
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let bytes = error.as_bytes();
        let (line, column) = diagnostic::place_of(&String::from_utf8_lossy(&bytes[..at]), at);
        let byte = bytes.get(at).copied().unwrap_or_default();
        Unreadable {
            message: format!("{name}:{line}:{column}: this is no UTF-8 text (byte 0x{byte:02x})"),
            hint: "save the file as UTF-8: iconv -f latin1 -t utf-8 (or what it is written in)",
        }
    })
}

fn send(context: &Context, client: &mut SocketClient, submission: Submission) -> Result<(JobName, u32), Failure> {
    super::trust::tell(context, &submission);
    match context.ask(client, &Command::Submit { submission: Box::new(submission), key: Some(fresh_key()) })? {
        Done::Submitted { job, tasks, missing } => {
            tell_missing(&missing);
            Ok((job, tasks))
        }
        _ => Err(super::read::unexpected()),
    }
}

/// Tells which secrets are not there.
pub(super) fn tell_missing(missing: &[String]) {
    for secret in missing {
        print::note(&format!("warning: a secret is missing, its tasks will be held: {}", print::harmless(secret, 400)));
    }
}

/// A key that no other submission has, so that a lost answer can be asked for again.
pub(super) fn fresh_key() -> String {
    crate::os::random_hex(16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::schedule::{CatchUp, Overlap, When};

    #[test]
    fn a_schedule_whose_end_is_past_has_no_time_to_come() {
        let when = When::Every { ms: 60_000 };
        let rule = |until| Rule {
            when: when.clone(),
            start: None,
            until,
            catch_up: CatchUp::Last,
            overlap: Overlap::Skip,
            jitter_ms: 0,
        };
        let now = Utc(1_800_000_000_000);
        assert!(is_past(&rule(Some(now.plus(-1))), now));
        assert!(!is_past(&rule(Some(now.plus(3_600_000))), now) && !is_past(&rule(None), now));
    }

    #[test]
    fn a_file_that_a_job_file_names_is_a_regular_one_or_a_link_to_one_and_nothing_is_waited_for() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        std::fs::write(at("prompt"), "Fix it.").unwrap();
        std::os::unix::fs::symlink(at("prompt"), at("link")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, at("fifo"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert_eq!((read_named(&at("prompt")), read_named(&at("link"))), (Ok("Fix it.".to_owned()), Ok("Fix it.".to_owned())));
        let why = |name: &str| read_named(&at(name)).unwrap_err();
        assert!(why("fifo").ends_with("fifo cannot be read: it is no regular file"), "{}", why("fifo"));
        assert!(why(".").contains("is a directory") && why("none").contains("No such file"), "{} {}", why("."), why("none"));
        assert!(read_named(Path::new("/dev/zero")).is_err());
    }
}
