//! Questions of running tasks and approvals, answered from the command line; and what a job may use.

use std::io::Read;

use crate::api::client::Client;
use crate::model::attempt::MAX_OUTBOX_BYTES;
use crate::model::diagnostic::harmless;
use crate::model::ids::{Address, AddressError, JobRef};
use crate::model::message::{Answer as Reply, Command, Done, MAX_PAGE, Query};
use crate::model::money::micro;
use crate::model::question::{Answer, AnsweredBy, OF_APPROVAL, QuestionBody, QuestionView};
use crate::model::spec::Budget;
use crate::model::state::TaskKind;
use crate::model::time::Utc;

use super::args::{AnswerArgs, BudgetArgs, Format};
use super::context::{Context, Failure};
use super::print::{self, Ink, Printer, cell};
use super::read::{now, unexpected};

/// Lines of a request that the list shows; `-o json` has all of it.
const SHOWN_LINES: usize = 40;

pub(super) fn approvals(context: &Context, target: Option<&str>, all: bool) -> Result<(), Failure> {
    let mut client = context.reader()?;
    let of = target.map(address).transpose()?;
    let questions = ask(client.as_mut(), of, all)?;
    let text = match context.global.output {
        Format::Json | Format::Jsonl => print::value(context.global.output, &questions),
        Format::Plain => print::plain(
            &questions
                .iter()
                .map(|question| {
                    let line = print::harmless(&question.body.line(), 400);
                    vec![question.id.to_string().into(), place(question).into(), cell(line, Ink::Plain)]
                })
                .collect::<Vec<_>>(),
        ),
        Format::Table if questions.is_empty() => "nothing waits for you\n".to_owned(),
        Format::Table => questions.iter().map(|question| question_text(context, question)).collect(),
    };
    print::out(&text);
    Ok(())
}

fn place(question: &QuestionView) -> String {
    format!("{}/{}", question.job, question.task)
}

/// The whole request, since only who has seen it can answer it.
fn question_text(context: &Context, question: &QuestionView) -> String {
    let printer = &context.printer;
    let is_approval = matches!(question.body, QuestionBody::Approval { .. });
    let (sign, ink) = printer.task_sign(if is_approval { TaskKind::AwaitingApproval } else { TaskKind::AwaitingInput });
    let title = format!("{sign} {}  {}", question.id, place(question));
    let mut text = format!("{}  asked {}", printer.ink(ink, &title), printer.time(question.asked, now()));
    match (&question.answer, question.answered, question.expires) {
        (_, Some(at), _) => {
            text.push_str(&format!("  {}{} {}", settled(question), whom(question), printer.time(at, now())));
        }
        (_, None, Some(at)) => text.push_str(&format!("  {}", expiry(printer, question, at))),
        _ => {}
    }
    text.push('\n');
    let body = match &question.body {
        QuestionBody::Permission { tool, input, .. } => format!("{tool} {}", request(input)),
        QuestionBody::Words { text, options } => {
            let options: String = options.iter().map(|option| format!("\n- {option}")).collect();
            format!("{text}{options}")
        }
        QuestionBody::Approval { message, show, .. } => {
            let show = show.as_ref().map_or(String::new(), |show| format!("\n\n{show}"));
            format!("{message}{show}")
        }
    };
    let lines: Vec<&str> = body.lines().collect();
    for line in lines.iter().take(SHOWN_LINES) {
        text.push_str(&format!("    {}\n", visible(line)));
    }
    if lines.len() > SHOWN_LINES {
        text.push_str(&format!("    … {} more lines: airx approvals -o json\n", lines.len() - SHOWN_LINES));
    }
    if let Some(comment) = question.answer.as_ref().and_then(Answer::comment) {
        text.push_str(&format!("    comment: {}\n", print::harmless(comment, 400)));
    }
    if question.answered.is_none() {
        let how = match &question.body {
            QuestionBody::Permission { rules, .. } if rules.is_empty() => {
                format!("airx approve {0}   airx reject {0} [WHY]", question.id)
            }
            QuestionBody::Permission { rules, .. } => {
                format!("airx approve {0} [--always: {1}]   airx reject {0} [WHY]", question.id, rules.join(", "))
            }
            QuestionBody::Words { .. } => format!("airx approve {} ANSWER", question.id),
            QuestionBody::Approval { who, .. } => {
                let who = if who.is_empty() { String::new() } else { format!("   ({} may answer)", who.join(", ")) };
                format!("airx approve {0} [COMMENT]   airx reject {0} [WHY]{who}", question.id)
            }
        };
        text.push_str(&format!("    {}\n", printer.ink(Ink::Dim, &print::harmless(&how, 400))));
    }
    text
}

/// A line of a request with everything in it to be seen: who asks chose the text, and could hide a part of it by a colour, or
/// show it in another order.
fn visible(line: &str) -> String {
    harmless(line.replace('\t', "    "))
}

/// A tool's input: the command as it is, everything else as indented JSON.
fn request(input: &serde_json::Value) -> String {
    match (input["command"].as_str(), input.as_object().map_or(0, serde_json::Map::len)) {
        (Some(command), 1) => command.to_owned(),
        _ => serde_json::to_string_pretty(input).unwrap_or_default(),
    }
}

fn settled(question: &QuestionView) -> &'static str {
    match &question.answer {
        Some(Answer::Allow { .. }) => "allowed",
        Some(Answer::Deny { .. }) => "denied",
        Some(Answer::Say { .. }) => "answered",
        Some(Answer::Approve { .. }) => "approved",
        Some(Answer::Reject { .. }) => "rejected",
        None if question.attempt == OF_APPROVAL => "void: its task was cancelled",
        None => "void: its attempt is over",
    }
}

/// By whom it was settled.
fn whom(question: &QuestionView) -> String {
    match (question.by, &question.by_name) {
        (Some(AnsweredBy::Timeout), _) => ", since nobody answered in time,".to_owned(),
        (Some(AnsweredBy::Rule), _) => " by a rule of the job".to_owned(),
        (Some(AnsweredBy::Person), Some(name)) => format!(" by {}", print::harmless(name, 100)),
        (Some(AnsweredBy::Person | AnsweredBy::Over) | None, _) => String::new(),
    }
}

/// What an approval asks or asked, and who said what: for `airx show`.
pub(super) fn approval_text(printer: &Printer, question: &QuestionView) -> String {
    let QuestionBody::Approval { message, who, .. } = &question.body else { return String::new() };
    let mut text = format!("\n{}\n", printer.ink(Ink::Dim, "approval"));
    message.lines().for_each(|line| text.push_str(&format!("{}\n", visible(line))));
    text.push_str(&format!("asked {}, question {}", printer.time(question.asked, now()), question.id));
    if !who.is_empty() {
        text.push_str(&format!(", of {}", print::harmless(&who.join(", "), 200)));
    }
    text.push('\n');
    match (question.answered, question.expires) {
        (Some(at), _) => {
            text.push_str(&format!("{}{} {}\n", settled(question), whom(question), printer.time(at, now())));
        }
        (None, Some(at)) => text.push_str(&format!("{}\n", expiry(printer, question, at))),
        (None, None) => text.push_str("waits until somebody answers\n"),
    }
    if let Some(comment) = question.answer.as_ref().and_then(Answer::comment) {
        comment.lines().for_each(|line| text.push_str(&format!("    {}\n", visible(line))));
    }
    text
}

fn expiry(printer: &Printer, question: &QuestionView, at: Utc) -> String {
    format!("{} at {} if nobody answers", question.by_default(), printer.time(at, now()))
}

fn ask(client: &mut dyn Client, of: Option<Address>, all: bool) -> Result<Vec<QuestionView>, Failure> {
    match client.query(Query::Questions { of, all, limit: MAX_PAGE })?.body {
        Reply::Questions(questions) => Ok(questions),
        _ => Err(unexpected()),
    }
}

fn address(text: &str) -> Result<Address, Failure> {
    text.parse().map_err(|error: AddressError| Failure::input(error.to_string(), "`airx approvals` lists what waits"))
}

/// The question that a number, or JOB/TASK with a single one, means.
fn find(client: &mut dyn Client, target: &str) -> Result<QuestionView, Failure> {
    let none = |what: String| Failure::input(what, "`airx approvals` lists what waits");
    if let Ok(id) = target.parse::<u32>() {
        let all = ask(client, None, false)?;
        return all.into_iter().find(|question| question.id == id).ok_or_else(|| none(format!("no question {id} waits")));
    }
    let mut found = ask(client, Some(address(target)?), false)?;
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(none(format!("nothing of {target} waits for you"))),
        several => Err(none(format!("{several} questions of {target} wait: name one by its number"))),
    }
}

pub(super) fn approve(context: &Context, args: &AnswerArgs) -> Result<(), Failure> {
    let mut client = context.manager()?;
    let question = find(&mut client, &args.target)?;
    unheard(&question, args)?;
    let answer = match &question.body {
        QuestionBody::Permission { rules, .. } if args.always && rules.is_empty() => {
            return Err(Failure::input(
                "no rule would allow this and nothing else, so it cannot be allowed for the whole job",
                format!("airx approve {}", question.id),
            ));
        }
        QuestionBody::Permission { .. } => Answer::Allow { input: input(args)?, always: args.always },
        QuestionBody::Words { options, .. } => {
            let text = args.text.join(" ");
            if text.is_empty() {
                let known = if options.is_empty() { String::new() } else { format!(" ({})", options.join(", ")) };
                return Err(Failure::input(
                    "the question is in words and wants an answer in words",
                    format!("airx approve {} ANSWER{known}", question.id),
                ));
            }
            Answer::Say { text }
        }
        QuestionBody::Approval { .. } => Answer::Approve { comment: args.text.join(" ") },
    };
    send(context, &mut client, &question, answer, "approved")
}

/// Refuses what would reach nobody: whoever writes it means it to be heard.
fn unheard(question: &QuestionView, args: &AnswerArgs) -> Result<(), Failure> {
    let id = question.id;
    match &question.body {
        QuestionBody::Permission { .. } if !args.text.is_empty() => Err(Failure::input(
            "what is allowed takes no message: the model would not be told",
            format!("airx approve {id}, or to tell it something: airx reject {id} WHY"),
        )),
        QuestionBody::Words { .. } if args.always || args.input.is_some() => Err(Failure::input(
            "--always and --input are for tools, and this is a question in words",
            format!("airx approve {id} ANSWER"),
        )),
        QuestionBody::Approval { .. } if args.always || args.input.is_some() => Err(Failure::input(
            "--always and --input are for tools, and this is an approval",
            format!("airx approve {id} [COMMENT]"),
        )),
        _ => Ok(()),
    }
}

pub(super) fn reject(context: &Context, target: &str, why: &str) -> Result<(), Failure> {
    let mut client = context.manager()?;
    let question = find(&mut client, target)?;
    let message = if why.is_empty() { "a person has denied this".to_owned() } else { why.to_owned() };
    let answer = match &question.body {
        QuestionBody::Approval { .. } => Answer::Reject { comment: why.to_owned() },
        QuestionBody::Permission { .. } | QuestionBody::Words { .. } => Answer::Deny { message },
    };
    send(context, &mut client, &question, answer, "rejected")
}

fn send(context: &Context, client: &mut dyn Client, question: &QuestionView, answer: Answer, word: &str) -> Result<(), Failure> {
    let done = client.command(Command::Answer { question: question.id, answer, by_name: None })?;
    if context.is_json() {
        print::out(&print::value(context.global.output, &done));
    } else {
        let line = print::harmless(&question.body.line(), 200);
        print::out(&format!("{word} {} ({line})\n", place(question)));
    }
    Ok(())
}

/// Another input for the tool, as a JSON object; `-` reads standard input.
fn input(args: &AnswerArgs) -> Result<Option<serde_json::Value>, Failure> {
    let Some(text) = &args.input else { return Ok(None) };
    let mut from_stdin = String::new();
    if text == "-" {
        std::io::stdin()
            .lock()
            .take(MAX_OUTBOX_BYTES)
            .read_to_string(&mut from_stdin)
            .map_err(|error| Failure::input(format!("standard input cannot be read: {error}"), "it must be UTF-8 text"))?;
    }
    let text = if text == "-" { &from_stdin } else { text };
    let value: serde_json::Value = serde_json::from_str(text).map_err(|error| {
        Failure::input(format!("the input is no JSON: {error}"), "begin with what `airx approvals -o json` shows")
    })?;
    if !value.is_object() {
        return Err(Failure::input("a tool's input is a JSON object", "begin with what `airx approvals -o json` shows"));
    }
    Ok(Some(value))
}

pub(super) fn budget(context: &Context, args: &BudgetArgs) -> Result<(), Failure> {
    let job: JobRef =
        args.job.parse().map_err(|error: AddressError| Failure::input(error.to_string(), "`airx jobs` lists the jobs"))?;
    if let Some(usd) = args.usd.filter(|usd| !(0.000_001..=1e6).contains(usd)) {
        return Err(Failure::input(format!("{usd} dollars are no budget"), "write 0.000001 to 1000000, or --none"));
    }
    let microusd = args.usd.and_then(micro);
    if microusd.is_none() && args.tokens.is_none() && !args.none {
        return Err(Failure::input("the budget bounds nothing", "write --usd DOLLARS, --tokens NUMBER, or --none"));
    }
    let budget = (!args.none).then_some(Budget { microusd, tokens: args.tokens });
    let mut client = context.manager_or_start()?;
    let done = client.command(Command::Budget { job: job.clone(), budget })?;
    if context.is_json() {
        print::out(&print::value(context.global.output, &done));
    } else if done == (Done::Affected { count: 0 }) {
        print::out(&format!("{job} has that budget already\n"));
    } else {
        // Whether it goes on depends on what it has used already.
        print::out(&format!("{job} has its new budget\n"));
    }
    Ok(())
}
