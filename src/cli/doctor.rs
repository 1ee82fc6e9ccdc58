//! `airx doctor`: everything airx needs, each missing piece with its remedy.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::model::notice::Notifier;

use super::args::Format;
use super::context::{Context, Failure};
use super::print::{self, Ink, cell};

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// In place.
    Ok,
    /// Works, with a restriction.
    Warn,
    /// Does not work.
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What.
    pub name: String,
    /// How it is.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do; empty when nothing is to be done.
    pub remedy: String,
}

impl Check {
    /// A check that ended well.
    pub fn ok(name: &str, found: impl Into<String>) -> Check {
        Check { name: name.to_owned(), verdict: Verdict::Ok, found: found.into(), remedy: String::new() }
    }

    /// A restriction.
    pub fn warn(name: &str, found: impl Into<String>, remedy: impl Into<String>) -> Check {
        Check { name: name.to_owned(), verdict: Verdict::Warn, found: found.into(), remedy: remedy.into() }
    }

    /// Something that does not work.
    pub fn fail(name: &str, found: impl Into<String>, remedy: impl Into<String>) -> Check {
        Check { name: name.to_owned(), verdict: Verdict::Fail, found: found.into(), remedy: remedy.into() }
    }
}

/// Longest run of a program that is asked for its version.
const PROBE: Duration = Duration::from_secs(15);

pub(super) fn doctor(context: &Context, repair: bool) -> Result<i32, Failure> {
    if repair {
        let lines = context.services.repair(context)?;
        print::out(&(lines.join("\n") + "\n"));
        return Ok(0);
    }
    let mut checks = vec![configuration(context), manager(context)];
    checks.extend(notifiers(context));
    checks.extend(context.services.checks(context));
    checks.extend(claude(context));
    match context.global.output {
        Format::Table => print::out(&text(context, &checks)),
        Format::Plain => print::out(&print::plain(&checks.iter().map(row).collect::<Vec<_>>())),
        _ => print::out(&print::value(context.global.output, &checks)),
    }
    Ok(i32::from(checks.iter().any(|check| check.verdict == Verdict::Fail)))
}

/// Verdict, name, what was found and the remedy, for programs.
fn row(check: &Check) -> Vec<print::Cell> {
    let word = match check.verdict {
        Verdict::Ok => "ok",
        Verdict::Warn => "warn",
        Verdict::Fail => "fail",
    };
    vec![word.into(), check.name.clone().into(), check.found.clone().into(), check.remedy.clone().into()]
}

fn text(context: &Context, checks: &[Check]) -> String {
    let rows: Vec<_> = checks
        .iter()
        .map(|check| {
            let (word, ink) = match check.verdict {
                Verdict::Ok => ("ok", Ink::Good),
                Verdict::Warn => ("warn", Ink::Wait),
                Verdict::Fail => ("FAIL", Ink::Bad),
            };
            vec![cell(word, ink), cell(check.name.clone(), Ink::Bold), print::harmless(&check.found, 400).into()]
        })
        .collect();
    let mut text = String::new();
    // Remedies stand under their check, so the table is made line by line.
    for (line, check) in print::table(&context.printer, &["", "what", "found"], &rows).lines().skip(1).zip(checks) {
        text.push_str(line);
        text.push('\n');
        if !check.remedy.is_empty() {
            text.push_str(&format!("      {} {}\n", context.printer.ink(Ink::Dim, "->"), check.remedy));
        }
    }
    text
}

fn configuration(context: &Context) -> Check {
    let path = context.config_path();
    let loaded = context.settings();
    let faults = loaded.faults;
    match faults.first() {
        None if path.exists() => Check::ok("configuration", path.display().to_string()),
        None => Check::ok("configuration", "none, the defaults hold (`airx init` writes one)"),
        Some(first) => Check::fail(
            "configuration",
            match faults.len() {
                1 => format!("{}:{}:{}: {}", first.file, first.line, first.column, first.message),
                count => format!("{count} faults; the first: {}:{}:{}: {}", first.file, first.line, first.column, first.message),
            },
            if first.hint.is_empty() { "mend the file; the rest of it holds".to_owned() } else { first.hint.clone() },
        ),
    }
}

/// Who is told what; nothing is sent.
fn notifiers(context: &Context) -> Vec<Check> {
    let notifiers = context.settings().settings.notify;
    let told = |notifier: &Notifier| {
        let kinds: Vec<&str> = notifier.on.iter().map(|kind| kind.word()).collect();
        let found = format!("{} on {}", notifier.what(), kinds.join(", "));
        match notifier.lacks(&context.env, |program| is_program(context, program)) {
            None => Check::ok("notify", found),
            Some(why) => Check::warn("notify", format!("{found}: {why}"), "mend it, then try it with `airx notify test`"),
        }
    };
    notifiers.iter().map(told).collect()
}

/// Whether a command can be found: a path, or a name in PATH.
fn is_program(context: &Context, program: &str) -> bool {
    let path = context.env.get("PATH").map_or("", String::as_str);
    if program.contains('/') {
        return std::path::Path::new(program).is_file();
    }
    std::env::split_paths(path).any(|directory| directory.join(program).is_file())
}

fn manager(context: &Context) -> Check {
    match (context.manager(), context.services.running(&context.home)) {
        (Ok(client), _) => Check::ok("manager", format!("airx {} (pid {})", client.manager.version, client.manager.pid)),
        (Err(_), None) => Check::ok("manager", "none runs (`airx run` and `airx --daemon` start one)"),
        (Err(error), Some(pid)) => Check::fail(
            "manager",
            format!("pid {pid} holds the home but does not answer: {error}"),
            "see its log in the home's logs/",
        ),
    }
}

fn claude(context: &Context) -> Vec<Check> {
    let binary = context.settings().settings.claude.binary;
    let version = match probe(context, &binary, &["--version"]) {
        Ok((_, text)) if text.contains("Claude Code") => Check::ok("claude", text.trim()),
        Ok((code, text)) => Check::warn(
            "claude",
            format!("`{binary} --version` exits {code} and says: {}", print::harmless(text.trim(), 100)),
            "set claude.binary in the configuration; only Claude tasks need it",
        ),
        Err(why) => Check::warn(
            "claude",
            format!("`{binary}` cannot be run: {why}"),
            "npm install -g @anthropic-ai/claude-code, or set claude.binary in the configuration; only Claude tasks need it",
        ),
    };
    if version.verdict != Verdict::Ok {
        return vec![version];
    }
    let login = match probe(context, &binary, &["auth", "status"]) {
        Ok((0, _)) => Check::ok("claude login", "logged in (as the CLI says; it does not ask the provider)"),
        Ok(_) => Check::warn("claude login", "not logged in", "run `claude` and log in, or give tasks `auth: env:NAME`"),
        Err(why) => Check::warn("claude login", format!("cannot be told: {why}"), "run `claude auth status` by hand"),
    };
    vec![version, login]
}

/// Runs a program for its exit code and output, for a bounded time.
fn probe(context: &Context, program: &str, args: &[&str]) -> Result<(i32, String), String> {
    let mut child = Command::new(program)
        .args(args)
        .env_clear()
        .envs(&context.env)
        .current_dir(if context.cwd.is_absolute() { &context.cwd } else { std::path::Path::new("/") })
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    let stdout = child.stdout.take();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        // What is no text is no version either.
        let _ = stdout.map(|out| out.take(64 * 1024).read_to_string(&mut text));
        text
    });
    let deadline = Instant::now() + PROBE;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok((status.code().unwrap_or(-1), reader.join().unwrap_or_default())),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
            Ok(None) => {
                // Already gone is as good as killed.
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("no answer within {} s", PROBE.as_secs()));
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}
