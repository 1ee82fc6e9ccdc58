//! The command line: arguments to requests, answers to tables.

pub mod args;
mod artifacts;
mod attempt;
mod change;
pub mod context;
pub mod daemon;
pub mod doctor;
mod examples;
mod follow;
mod init;
mod inside;
mod live;
mod logs;
mod mcp;
mod notify;
mod print;
mod questions;
mod read;
mod requeue;
mod schedule;
pub mod submit;
mod tail;
mod tasks;
mod trust;
mod words;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{CommandFactory, Parser};

use crate::config::home::Home;
use crate::model::ids::Address;

use args::{Cli, Format, NotifyVerb, Target, Verb};
use context::{Context, Failure, Services};
use print::Printer;

/// Runs a command line to its end; the exit code.
pub fn run(words: Vec<OsString>, env: BTreeMap<String, String>, cwd: PathBuf, services: Arc<dyn Services>) -> i32 {
    let cli = match Cli::try_parse_from(&words) {
        Ok(cli) => cli,
        Err(error) => return refuse_words(&error),
    };
    let is_json = matches!(cli.global.output, Format::Json | Format::Jsonl);
    match prepare(&cli, env, cwd, services).and_then(|context| dispatch(cli, &context)) {
        Ok(code) => code,
        Err(failure) => {
            report(&failure, is_json);
            failure.code
        }
    }
}

/// Help and version are no errors; everything else is bad input.
fn refuse_words(error: &clap::Error) -> i32 {
    // Nobody to tell that the stream is gone.
    let _ = error.print();
    if error.use_stderr() { 2 } else { 0 }
}

fn report(failure: &Failure, is_json: bool) {
    if failure.message.is_empty() {
        return;
    }
    if is_json {
        let value =
            serde_json::json!({ "error": { "message": failure.message, "hint": failure.hint, "exit_code": failure.code } });
        print::note(&value.to_string());
    } else {
        print::note(&format!("airx: {}", failure.message));
        if !failure.hint.is_empty() {
            print::note(&format!("  help: {}", failure.hint));
        }
    }
}

fn prepare(cli: &Cli, env: BTreeMap<String, String>, cwd: PathBuf, services: Arc<dyn Services>) -> Result<Context, Failure> {
    let found = Home::discover(cli.global.home.as_deref(), &env, &cwd)
        .map_err(|error| Failure::input(error.to_string(), "name a directory on a local disk with --home"))?;
    found.notices.iter().for_each(|notice| print::note(notice));
    let variable = |name: &str| env.get(name).cloned();
    let printer = Printer::new(cli.global.output, cli.global.color, std::io::stdout().is_terminal(), variable);
    Ok(Context { global: cli.global.clone(), env, cwd, printer, home: found.home, services })
}

fn dispatch(cli: Cli, context: &Context) -> Result<i32, Failure> {
    if cli.daemon {
        return daemon::daemon(context, cli.foreground);
    }
    let Some(verb) = cli.command else { return at_a_glance(context) };
    match verb {
        Verb::Run(args) => submit::run(context, &args),
        Verb::Submit(args) => submit::submit(context, &args).map(|()| 0),
        Verb::Schedule { what } => schedule::schedule(context, what).map(|()| 0),
        Verb::Validate(args) => submit::validate(context, &args).map(|()| 0),
        Verb::Claude(args) => submit::claude(context, &args).map(|()| 0),
        Verb::Add(args) => inside::add(context, args).map(|()| 0),
        Verb::Result { value } => inside::result(context, &value).map(|()| 0),
        Verb::Progress { count, text } => inside::progress(context, &count, &text.join(" ")).map(|()| 0),
        Verb::Mcp => mcp::serve(context).map(|()| 0),
        Verb::Status { target, task } => {
            let target = target.map(|target| address(&Target { target, task })).transpose()?;
            read::status(context, target.as_ref()).map(|()| 0)
        }
        Verb::Jobs { limit } => read::jobs(context, limit).map(|()| 0),
        Verb::Tasks(args) => tasks::tasks(context, &args).map(|()| 0),
        Verb::Show(args) if args.result => artifacts::result(context, &address(&args.target)?).map(|()| 0),
        Verb::Show(args) => read::show(context, &address(&args.target)?).map(|()| 0),
        Verb::Artifacts(args) => artifacts::artifacts(context, &args).map(|()| 0),
        Verb::Logs(args) => logs::logs(context, &args).map(|()| 0),
        Verb::Events { follow, since, job } => read::events(context, since, follow, job.as_deref()).map(|()| 0),
        Verb::Requeue(args) => requeue::requeue(context, &args).map(|()| 0),
        Verb::Cancel { targets, all, kill, abandon } => change::cancel(context, &targets, all, kill, abandon).map(|()| 0),
        Verb::Approvals { target, all } => questions::approvals(context, target.as_deref(), all).map(|()| 0),
        Verb::Approve(args) => questions::approve(context, &args).map(|()| 0),
        Verb::Reject { target, why } => questions::reject(context, &target, &why.join(" ")).map(|()| 0),
        Verb::Budget(args) => questions::budget(context, &args).map(|()| 0),
        Verb::Priority(args) => change::priority(context, &args).map(|()| 0),
        Verb::Pause(args) => change::pause(context, args.job.as_deref(), true).map(|()| 0),
        Verb::Resume(args) => change::pause(context, args.job.as_deref(), false).map(|()| 0),
        Verb::Stop { now, job } => change::stop(context, now, job.as_deref()).map(|()| 0),
        Verb::Ping => change::ping(context).map(|()| 0),
        Verb::Doctor { repair } => doctor::doctor(context, repair),
        Verb::Notify { what: NotifyVerb::Test } => notify::test(context),
        Verb::Init { project } => init::init(context, project).map(|()| 0),
        Verb::Examples { name } => examples::examples(context, name.as_deref()).map(|()| 0),
        Verb::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "airx", &mut text);
            print::out_bytes(&text);
            Ok(0)
        }
        Verb::Unknown(words) => {
            let command = Cli::command();
            let names: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
            let (message, hint) = words::answer(words.first().map_or("", String::as_str), &names);
            Err(Failure::input(message, hint))
        }
    }
}

/// `airx` alone: the workstation where it can be shown, else the home at a glance.
fn at_a_glance(context: &Context) -> Result<i32, Failure> {
    let is_dumb = context.env.get("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    let can_show = std::io::stdin().is_terminal() && context.printer.is_terminal && context.printer.for_people();
    if can_show && !is_dumb {
        return context.services.workstation(context);
    }
    read::status(context, None)?;
    if can_show {
        print::note("\nThis terminal (TERM) cannot show the workstation; `airx --help` lists the commands.");
    }
    Ok(0)
}

/// `JOB/TASK`, or `JOB TASK`.
fn address(target: &Target) -> Result<Address, Failure> {
    let text = match &target.task {
        Some(task) => format!("{}/{task}", target.target),
        None => target.target.clone(),
    };
    parse_address(&text)
}

fn parse_address(text: &str) -> Result<Address, Failure> {
    text.parse().map_err(|error: crate::model::ids::AddressError| Failure::input(error.to_string(), "`airx jobs` lists the jobs"))
}

/// Addresses from words, where `JOB TASK` counts as `JOB/TASK` when no job has the second word's name.
fn parse_addresses(words: &[String]) -> Result<Vec<Address>, Failure> {
    words.iter().map(|word| parse_address(word)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_documented_command_line_is_accepted() {
        for line in [
            "airx",
            "airx --daemon",
            "airx --daemon --foreground --home /x",
            "airx stop --now",
            "airx ping",
            "airx doctor --repair",
            "airx init --project",
            "airx notify test",
            "airx claude PROMPT --model M --job J",
            "airx add --job J --id X --needs T --needs U --claude PROMPT",
            "airx add -- sh -c true",
            "airx run FILE -p k=v -p l=w",
            "airx run -",
            "airx submit FILE",
            "airx submit FILE --priority -5 -p k=v",
            "airx run FILE --priority 10",
            "airx priority JOB 10",
            "airx priority JOB -10",
            "airx submit --now FILE -p k=v",
            "airx schedule",
            "airx schedule show NAME -o json",
            "airx schedule add -",
            "airx schedule pause NAME OTHER",
            "airx schedule resume NAME",
            "airx schedule remove NAME",
            "airx schedule run NAME",
            "airx validate -",
            "airx status",
            "airx status JOB -o json",
            "airx jobs -o jsonl",
            "airx tasks JOB -o plain",
            "airx tasks JOB/fix --all",
            "airx show JOB/TASK",
            "airx show JOB TASK",
            "airx show JOB/TASK --result",
            "airx artifacts JOB",
            "airx artifacts JOB/TASK NAME --attempt 2",
            "airx artifacts JOB TASK -O DIR --force",
            "airx logs JOB/TASK -f --attempt 2 --raw --tail 10",
            "airx events -f --since 4",
            "airx requeue JOB/TASK JOB --failed",
            "airx requeue JOB --all",
            "airx requeue JOB/TASK --from --yes",
            "airx requeue JOB --failed -p k=v --with-params l=w",
            "airx cancel JOB/TASK --kill",
            "airx cancel --all",
            "airx cancel JOB --abandon",
            "airx approvals",
            "airx approvals JOB/TASK --all",
            "airx approve 7 --always",
            "airx approve JOB/TASK the second one",
            "airx reject 7 not now",
            "airx budget JOB --usd 5 --tokens 1000000",
            "airx budget JOB --none",
            "airx pause",
            "airx resume JOB",
            "airx result -",
            "airx progress 3/5 some text",
            "airx mcp",
            "airx completions bash",
            "airx status --color never -v --config c.yaml",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
    }
}
