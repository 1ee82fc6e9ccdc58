//! The threads that talk to the manager, so that the screen never waits: one for news, one for reading, one for commands.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use crate::api::client::{Client, ClientError, ClientErrorKind};
use crate::model::change::Seq;
use crate::model::diagnostic::Diagnostic;
use crate::model::ids::{Address, JobRef};
use crate::model::jobfile::Parsed;
use crate::model::message::{
    Answer, Command, Done, EventView, JobDetail, JobView, MAX_PAGE, OutputPiece, OutputStream, OverviewView, Query, RefusalCode,
    TaskDetail, TaskView,
};
use crate::model::question::QuestionView;
use crate::os::wake::Waker;
use crate::tui::parts::Connect;

/// How long a submission waits for the manager that another hands over to, and between two looks for it.
const HANDED_OVER: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_millis(50);
/// Messages that may wait for the screen; the threads wait when it is behind, and the manager waits for none of them.
const WAITING: usize = 64;
/// Requests that may wait for the reading thread; more are refused, and asked again by whoever still needs them.
const REQUESTS: usize = 64;
/// What the threads tell the screen.
#[derive(Debug)]
pub enum Incoming {
    /// The connection for news was made, and this is what is there.
    Reset {
        /// What surrounds the jobs.
        overview: Box<OverviewView>,
        /// The newest jobs.
        jobs: Vec<JobView>,
        /// Newest event of the first of these reads.
        seq: Seq,
        /// Whether there are more jobs, which follow.
        more: bool,
    },
    /// Older jobs.
    Jobs {
        /// The jobs.
        jobs: Vec<JobView>,
        /// Whether there are more than are kept.
        too_many: bool,
    },
    /// What happened.
    Changes {
        /// Events in order.
        events: Vec<EventView>,
        /// The jobs they touched, as they are now.
        jobs: Vec<JobView>,
        /// What surrounds them.
        overview: Box<OverviewView>,
        /// The last event.
        seq: Seq,
    },
    /// There is no connection, and why; the thread tries again.
    Down(ClientError),
    /// A page of tasks.
    Tasks {
        /// The job.
        job: u32,
        /// First place.
        from: u32,
        /// The page; empty is the end.
        tasks: Vec<TaskView>,
        /// When it was read.
        seq: Seq,
    },
    /// A job in full.
    Job(u32, Result<Box<JobDetail>, ClientError>),
    /// A task in full.
    Task(Address, Result<Box<TaskDetail>, ClientError>),
    /// Events of a job or a task.
    Events(Address, Result<Vec<EventView>, ClientError>),
    /// What waits for a person, oldest first.
    Questions(Result<Vec<QuestionView>, ClientError>),
    /// A piece of output.
    Output(OutputKey, Result<OutputPiece, ClientError>),
    /// A command was answered.
    Answered(u64, Result<Done, ClientError>),
    /// What surrounds the jobs, when nothing happened for a while.
    Overview(Box<OverviewView>),
    /// What a helper thread of the screen has to say.
    Told(String, bool),
    /// What a check of the editor's text found, and which text that was.
    Checked(u64, Result<Box<Parsed>, Vec<Diagnostic>>),
    /// Text for a pager, or an export, is complete.
    Fetched(u64, Result<std::path::PathBuf, String>),
}

/// What a piece of output was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputKey {
    /// The task.
    pub task: Address,
    /// The attempt.
    pub attempt: u32,
    /// The file.
    pub stream: OutputStream,
    /// First byte.
    pub offset: u64,
}

impl OutputKey {
    /// The question for it, and for so many bytes.
    pub fn query(&self, limit: u32) -> Query {
        let (task, attempt) = (self.task.clone(), Some(self.attempt));
        Query::Output { task, attempt, stream: self.stream, offset: self.offset, limit }
    }
}

/// What the screen asks to be read.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// A page of a job's tasks.
    Tasks {
        /// The job's number and name.
        job: (u32, JobRef),
        /// From this place.
        from: u32,
    },
    /// A job.
    Job(u32, JobRef),
    /// A task.
    Task(Address),
    /// The last events of a job (without a task), or of the task at this place.
    Events(Address, Option<u32>),
    /// What waits for a person.
    Questions,
    /// A piece of output.
    Output(OutputKey, u32),
}

/// The screen's end of the threads.
pub struct Sync {
    /// What they tell.
    pub incoming: Receiver<Incoming>,
    requests: SyncSender<Request>,
    commands: SyncSender<(u64, Command)>,
    back: Back,
}

/// The way back to the screen.
#[derive(Clone)]
pub struct Back {
    sender: SyncSender<Incoming>,
    waker: Waker,
}

impl Back {
    /// Tells the screen; waits while it is behind. False when the screen is gone.
    pub fn tell(&self, incoming: Incoming) -> bool {
        let told = self.sender.send(incoming).is_ok();
        self.waker.wake();
        told
    }
}

impl Sync {
    /// Starts the threads.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(connect: &Connect, waker: &Waker) -> std::io::Result<Sync> {
        let (sender, incoming) = sync_channel(WAITING);
        let (requests, queue) = sync_channel(REQUESTS);
        let (commands, orders) = sync_channel(REQUESTS);
        let back = Back { sender, waker: waker.clone() };
        let spawn = |name: &str, body: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().name(name.to_owned()).stack_size(512 * 1024).spawn(body).map(drop)
        };
        let (link, to) = (Arc::clone(connect), back.clone());
        spawn("screen-news", Box::new(move || super::news::run(&link, &to)))?;
        let (link, to) = (Arc::clone(connect), back.clone());
        spawn("screen-reads", Box::new(move || reads(&link, &queue, &to)))?;
        let (link, to) = (Arc::clone(connect), back.clone());
        spawn("screen-orders", Box::new(move || obey(&link, &orders, &to)))?;
        Ok(Sync { incoming, requests, commands, back })
    }

    /// Asks for something to be read.
    ///
    /// # Errors
    /// The request, when too much is waiting already.
    pub fn ask(&self, request: Request) -> Result<(), Request> {
        self.requests.try_send(request).map_err(|error| match error {
            TrySendError::Full(request) | TrySendError::Disconnected(request) => request,
        })
    }

    /// Sends a command; its answer comes as [`Incoming::Answered`] under this number. False when too many wait.
    pub fn command(&self, number: u64, command: Command) -> bool {
        self.commands.try_send((number, command)).is_ok()
    }

    /// The way back, for threads of the screen's own.
    pub fn back(&self) -> Back {
        self.back.clone()
    }
}

/// A connection that is made when it is needed and dropped when it breaks.
struct Link<'a> {
    connect: &'a Connect,
    client: Option<Box<dyn Client>>,
}

impl Link<'_> {
    fn with<T>(&mut self, ask: impl FnOnce(&mut dyn Client) -> Result<T, ClientError>) -> Result<T, ClientError> {
        let client = match &mut self.client {
            Some(client) => client,
            None => self.client.insert((self.connect)()?),
        };
        let answer = ask(client.as_mut());
        let is_broken = |kind| {
            matches!(kind, ClientErrorKind::Lost | ClientErrorKind::NoManager | ClientErrorKind::Protocol)
                || kind == ClientErrorKind::Refused(RefusalCode::Unavailable)
        };
        if answer.as_ref().is_err_and(|error| is_broken(error.kind)) {
            self.client = None;
        }
        answer
    }
}

fn reads(connect: &Connect, queue: &Receiver<Request>, back: &Back) {
    let mut link = Link { connect, client: None };
    while let Ok(request) = queue.recv() {
        let incoming = match request {
            Request::Tasks { job: (id, job), from } => {
                let query = Query::Tasks { job, from, limit: MAX_PAGE, kinds: Vec::new() };
                match link.with(|client| client.query(query)) {
                    Ok(page) => match page.body {
                        Answer::Tasks(tasks) => Incoming::Tasks { job: id, from, tasks, seq: page.seq },
                        _ => Incoming::Down(unexpected()),
                    },
                    Err(error) => Incoming::Job(id, Err(error)),
                }
            }
            Request::Job(id, job) => Incoming::Job(
                id,
                link.with(|client| match client.query(Query::Job { job })?.body {
                    Answer::Job(detail) => Ok(detail),
                    _ => Err(unexpected()),
                }),
            ),
            Request::Task(address) => {
                let query = Query::Task { task: address.clone() };
                let found = link.with(|client| match client.query(query)?.body {
                    Answer::Task(detail) => Ok(detail),
                    _ => Err(unexpected()),
                });
                Incoming::Task(address, found)
            }
            Request::Events(address, task) => {
                let job = Some(address.job.clone());
                let query = Query::Events { since: Seq(0), job, below: false, task, last: true, limit: MAX_PAGE };
                let found = link.with(|client| match client.query(query)?.body {
                    Answer::Events(events) => Ok(events),
                    _ => Err(unexpected()),
                });
                Incoming::Events(address, found)
            }
            Request::Questions => {
                let query = Query::Questions { of: None, all: false, limit: MAX_PAGE };
                Incoming::Questions(link.with(|client| match client.query(query)?.body {
                    Answer::Questions(questions) => Ok(questions),
                    _ => Err(unexpected()),
                }))
            }
            Request::Output(key, limit) => {
                let found = link.with(|client| match client.query(key.query(limit))?.body {
                    Answer::Output(piece) => Ok(piece),
                    _ => Err(unexpected()),
                });
                Incoming::Output(key, found)
            }
        };
        if !back.tell(incoming) {
            return;
        }
    }
}

fn obey(connect: &Connect, orders: &Receiver<(u64, Command)>, back: &Back) {
    let mut link = Link { connect, client: None };
    while let Ok((number, command)) = orders.recv() {
        let answer = order(&mut link, &command);
        if !back.tell(Incoming::Answered(number, answer)) {
            return;
        }
    }
}

/// A submission has a key, under which it is done once whoever answers: when the manager hands over to another meanwhile, that
/// one is asked.
fn order(link: &mut Link<'_>, command: &Command) -> Result<Done, ClientError> {
    // A schedule that is set twice is set once.
    let is_keyed = matches!(command, Command::Submit { key: Some(_), .. } | Command::ScheduleSet { .. });
    let deadline = Instant::now() + HANDED_OVER;
    loop {
        let answer = link.with(|client| client.command(command.clone()));
        let is_gone = answer.as_ref().is_err_and(|error| {
            matches!(error.kind, ClientErrorKind::Lost | ClientErrorKind::NoManager)
                || error.kind == ClientErrorKind::Refused(RefusalCode::Unavailable)
        });
        if !(is_keyed && is_gone) || Instant::now() >= deadline {
            return answer;
        }
        std::thread::sleep(AGAIN);
    }
}

/// An answer of another kind than was asked for.
pub(super) fn unexpected() -> ClientError {
    ClientError::protocol("it answered something else than was asked".to_owned())
}
