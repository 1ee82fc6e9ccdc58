//! `airx run`: follows a job to its end, as a picture on a terminal, as lines on a pipe.

mod mappings;

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::api::client::{Client, ClientError, ClientErrorKind};
use crate::api::socket::SocketClient;
use crate::model::change::{Change, Seq};
use crate::model::ids::{Address, JobName, JobRef};
use crate::model::message::{Answer, CancelHow, Command, EventView, JobView, MAX_PAGE, Page, Query, TaskView};
use crate::model::question::OF_APPROVAL;
use crate::model::state::{FailCause, JobState, Outcome, TaskKind};

use super::args::Format;
use super::context::{Context, Failure};
use super::live::Live;
use super::print;
use super::read::{change_text, reason, unexpected};
use mappings::Mappings;

/// Between two pictures.
const FRAME: Duration = Duration::from_millis(100);
/// Longest wait for a manager that went away.
const RECONNECT: Duration = Duration::from_secs(60);

/// A connection that is made anew when the manager is.
struct Link<'a> {
    context: &'a Context,
    client: SocketClient,
}

impl Link<'_> {
    fn again<T>(&mut self, ask: impl Fn(&mut SocketClient) -> Result<T, ClientError>) -> Result<T, Failure> {
        loop {
            match ask(&mut self.client) {
                Err(error) if matches!(error.kind, ClientErrorKind::Lost | ClientErrorKind::NoManager) => self.reconnect()?,
                other => return other.map_err(Failure::from),
            }
        }
    }

    fn reconnect(&mut self) -> Result<(), Failure> {
        print::note("lost the manager; waiting for it (runners go on)");
        let deadline = Instant::now() + RECONNECT;
        loop {
            match self.context.manager() {
                Ok(client) => {
                    print::note("the manager is back");
                    self.client = client;
                    return Ok(());
                }
                Err(_) if Instant::now() < deadline => std::thread::sleep(FRAME),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Follows the job; the exit code is its outcome's.
pub(super) fn follow(context: &Context, client: SocketClient, job: &JobName) -> Result<i32, Failure> {
    let interrupted = Arc::new(AtomicBool::new(false));
    crate::os::on_interrupt(&interrupted).map_err(|error| Failure::failed(format!("cannot listen for Ctrl-C: {error}"), ""))?;
    print::must_be_read();
    let reference = JobRef { name: job.name.clone(), number: Some(job.number) };
    let is_live = context.printer.can_draw && context.printer.for_people() && std::io::stderr().is_terminal();
    let mut link = Link { context, client };
    let mut live = is_live.then(|| Live::new(context.printer.clone()));
    if !is_live && context.printer.for_people() {
        print::out(&format!("{job} submitted\n"));
    }
    // Those of jobs below it come after its own first one.
    let mut seen = Seq(0);
    let mut below = false;
    let mut mappings = Mappings::default();
    let mut cancelling = false;
    loop {
        if interrupted.swap(false, Ordering::Relaxed) {
            // Whoever sits at a terminal leaves the job running, also where nothing can be drawn on it.
            if context.printer.is_terminal {
                if let Some(live) = &mut live {
                    live.clear();
                }
                print::note(&format!("{job} goes on; to watch it: airx status {job}; to cancel it: airx cancel {job}"));
                return Ok(0);
            }
            let how = if cancelling { CancelHow::Kill } else { CancelHow::Ask };
            cancelling = true;
            let targets = vec![Address { job: reference.clone(), task: None }];
            link.again(|client| client.command(Command::Cancel { targets: targets.clone(), all: false, how }))?;
        }
        let view = job_view(&mut link, &reference)?;
        let page = events(&mut link, seen, &reference, below)?;
        below = below || !page.is_empty();
        if let Some(last) = page.last() {
            seen = last.seq;
        }
        match &mut live {
            Some(live) => {
                let query = Query::Tasks {
                    job: reference.clone(),
                    from: 0,
                    limit: 200,
                    kinds: vec![
                        TaskKind::AwaitingApproval,
                        TaskKind::AwaitingInput,
                        TaskKind::Running,
                        TaskKind::Cancelling,
                        TaskKind::Delegated,
                    ],
                };
                if live.wants_usage(&view)
                    && let Answer::Usage(usage) = link.again(|client| client.query(Query::Usage))?.body
                {
                    live.set_usage(&usage);
                }
                if let Answer::Tasks(running) = link.again(|client| client.query(query.clone()))?.body {
                    live.draw(&view, &running);
                }
            }
            None => print::out(&lines(context, job, &page, &mut mappings)),
        }
        if view.state.is_terminal() && page.is_empty() {
            if let Some(live) = &mut live {
                live.clear();
            }
            return summary(context, &mut link, &view, &reference, cancelling);
        }
        if page.is_empty() {
            link.again(|client| client.wait(seen, if interrupted.load(Ordering::Relaxed) { Duration::ZERO } else { FRAME }))?;
        }
        if is_live {
            std::thread::sleep(FRAME);
        }
    }
}

fn job_view(link: &mut Link<'_>, job: &JobRef) -> Result<JobView, Failure> {
    match link.again(|client| client.query(Query::Job { job: job.clone() }))?.body {
        Answer::Job(detail) => Ok(detail.job),
        _ => Err(unexpected()),
    }
}

fn events(link: &mut Link<'_>, since: Seq, job: &JobRef, below: bool) -> Result<Vec<EventView>, Failure> {
    // The first one alone tells where to begin with those of jobs below.
    let limit = if below { MAX_PAGE } else { 1 };
    match link
        .again(|client| client.query(Query::Events { since, job: Some(job.clone()), below, task: None, last: false, limit }))?
    {
        Page { body: Answer::Events(page), .. } => Ok(page),
        _ => Err(unexpected()),
    }
}

/// Lines for a pipe.
fn lines(context: &Context, job: &JobName, page: &[EventView], mappings: &mut Mappings) -> String {
    let is_whole = context.global.output == Format::Jsonl;
    let told = page.iter().filter(|event| mappings.take(event, Instant::now()) || is_whole);
    let mut text: String = told.filter_map(|event| line(context, event)).collect();
    if context.printer.for_people() || context.global.output == Format::Plain {
        for (at, task, far) in mappings.due(Instant::now()) {
            text.push_str(&format!("{} {job}/{task} {far}\n", context.printer.clock(at)));
        }
    }
    text
}

/// A line for a pipe; none for what only airx itself needs to know.
fn line(context: &Context, event: &EventView) -> Option<String> {
    if matches!(context.global.output, Format::Jsonl) {
        return Some(print::json_line(event));
    }
    if context.global.output == Format::Json {
        return None;
    }
    if matches!(
        event.event.change,
        Change::JobSubmitted { .. }
            | Change::TaskAdded { origin: None, .. }
            | Change::AttemptOpened { .. }
            | Change::ProgressSet { .. }
    ) {
        return None;
    }
    let job = event.job.as_ref()?;
    let what = event.task.as_ref().map_or(job.to_string(), |task| format!("{job}/{task}"));
    let text = print::harmless(&change_text(&event.event.change), 300);
    let how = match &event.event.change {
        Change::QuestionAsked { attempt, id, .. } if attempt.number == OF_APPROVAL => {
            format!("   (airx approve {id} [COMMENT], or airx reject {id} [WHY])")
        }
        _ => String::new(),
    };
    Some(format!("{} {what} {text}{how}\n", context.printer.clock(event.event.at)))
}

fn summary(context: &Context, link: &mut Link<'_>, view: &JobView, job: &JobRef, cancelling: bool) -> Result<i32, Failure> {
    let code = match view.state {
        JobState::Completed => 0,
        JobState::Cancelled => 130,
        _ if cancelling => 130,
        _ => 1,
    };
    if !context.printer.for_people() {
        if context.global.output == Format::Json {
            print::out(&print::value(context.global.output, view));
        }
        return Ok(code);
    }
    let (sign, ink) = context.printer.job_sign(view.state);
    let cost = super::read::printer_of(context, &mut link.client).money(view.cost_microusd);
    let took = print::duration(view.updated.since(view.submitted));
    let head = format!("{sign} {} {}", view.name, view.state.word());
    let work = view.work();
    let skipped = match work.of(TaskKind::Skipped) {
        0 => String::new(),
        count => format!(", {count} skipped"),
    };
    let done = format!("{}/{} tasks completed{skipped}", work.of(TaskKind::Completed), work.total());
    let mut text = format!("{}  {done}  {took}  {cost}", context.printer.ink(ink, &head));
    text.truncate(text.trim_end().len());
    text.push('\n');
    if view.state == JobState::Failed {
        text.push_str(&failures(link, view, job)?);
    }
    print::out(&text);
    Ok(code)
}

/// Failures that are named at the end; the others are counted.
const NAMED: usize = 10;

/// What failed, and where its output is. A mapped task that failed by its instances is told by them.
fn failures(link: &mut Link<'_>, view: &JobView, job: &JobRef) -> Result<String, Failure> {
    // A few more than are named: mapped tasks are among them.
    let query = Query::Tasks { job: job.clone(), from: 0, limit: 200, kinds: vec![TaskKind::Failed] };
    let Answer::Tasks(failed) = link.again(|client| client.query(query.clone()))?.body else { return Err(unexpected()) };
    let by_instances = |task: &TaskView| {
        matches!(task.outcome, Some(Outcome::Failed { cause: FailCause::Instances { .. } })) && task.mapping.is_some()
    };
    let mut text = String::new();
    let mut named = 0;
    for task in failed.iter().filter(|task| !by_instances(task)).take(NAMED) {
        named += 1;
        let item = task.item.as_ref().map(|item| format!(" ({})", print::harmless(item, 60))).unwrap_or_default();
        let reason = print::harmless(&reason(task), 300);
        let more = match &task.child {
            Some(child) => format!("airx status {}", child.job),
            None => format!("airx logs {}/{}", view.name, task.id),
        };
        text.push_str(&format!("  {}{item}: {reason}\n    {more}\n", task.id));
    }
    let more = view.work().of(TaskKind::Failed).saturating_sub(named);
    if more > 0 {
        text.push_str(&format!("  +{more} more: airx tasks {}\n", view.name));
    }
    Ok(text)
}
