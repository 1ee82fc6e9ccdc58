//! The client over the manager's socket. Plain blocking calls: a command line that only asks for the status must not pay
//! for a runtime.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::manager::handle::Taken;
use crate::model::change::Seq;
use crate::model::message::{Answer, Command, Done, PROTOCOL, Page, Query, TaskView};

use super::client::{Client, ClientError};
use super::wire::{Assembler, Hello, Intake, OwnTasks, Request, Response, frames};

/// Longest wait for an answer. The manager answers after a commit, so only a stuck one takes this long.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes read at a time.
const READ: usize = 64 * 1024;

/// A connection to a manager.
pub struct SocketClient {
    stream: UnixStream,
    assembler: Assembler,
    next: u64,
    subscribed: bool,
    newest: Seq,
    patience: Duration,
    /// The manager's own words about itself.
    pub manager: Hello,
}

impl SocketClient {
    /// Connects, and checks that both sides speak the same protocol.
    ///
    /// # Errors
    /// [`ClientError`] of kind `NoManager` when nobody listens.
    pub fn connect(control: &Path) -> Result<SocketClient, ClientError> {
        let stream = UnixStream::connect(control).map_err(|error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => ClientError::no_manager(),
            _ => ClientError::lost("connecting", &error),
        })?;
        let mut client = SocketClient::over(stream, PATIENCE);
        let hello = Hello { protocol: PROTOCOL, version: env!("CARGO_PKG_VERSION").to_owned(), pid: std::process::id() };
        client.manager = client.call("hello", serde_json::to_value(hello).unwrap_or_default(), "greeting it")?;
        Ok(client)
    }

    fn over(stream: UnixStream, patience: Duration) -> SocketClient {
        let manager = Hello { protocol: PROTOCOL, version: String::new(), pid: 0 };
        SocketClient { stream, assembler: Assembler::default(), next: 0, subscribed: false, newest: Seq(0), patience, manager }
    }

    fn call<T: DeserializeOwned>(&mut self, method: &str, params: Value, what: &str) -> Result<T, ClientError> {
        self.next += 1;
        let request = Request::new(self.next, method, params);
        self.exchange(&request, what)
    }

    fn exchange<T: DeserializeOwned>(&mut self, request: &Request, what: &str) -> Result<T, ClientError> {
        self.stream.set_write_timeout(Some(self.patience)).map_err(|error| ClientError::lost(what, &error))?;
        // A refusal may come before all parts were sent; then the write fails and the answer is there to be read.
        let sent = self.stream.write_all(&frames(request));
        let deadline = Instant::now() + self.patience;
        loop {
            let Some(message) = self.read(deadline, what).map_err(|lost| match &sent {
                Err(error) => ClientError::lost(what, error),
                Ok(()) => lost,
            })?
            else {
                return Err(ClientError::lost(what, &ErrorKind::TimedOut.into()));
            };
            if self.note_news(&message) {
                continue;
            }
            let response: Response = serde_json::from_str(&message).map_err(|error| ClientError::protocol(error.to_string()))?;
            if response.id.is_some() && response.id != request.id {
                continue;
            }
            return match (response.result, response.error) {
                (Some(result), None) => serde_json::from_value(result).map_err(|error| ClientError::protocol(error.to_string())),
                (_, Some(error)) => Err(match error.data {
                    Some(refusal) => refusal.into(),
                    None => ClientError::protocol(error.message),
                }),
                (None, None) => Err(ClientError::protocol("neither result nor error".to_owned())),
            };
        }
    }

    /// The next message; none when the deadline passes first.
    fn read(&mut self, deadline: Instant, what: &str) -> Result<Option<String>, ClientError> {
        loop {
            if let Some(message) = self.assembler.message().map_err(|error| ClientError::protocol(error.to_string()))? {
                return Ok(Some(message));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.stream.set_read_timeout(Some(left)).map_err(|error| ClientError::lost(what, &error))?;
            let buffer = self.assembler.buffer();
            let filled = buffer.len();
            buffer.resize(filled + READ, 0);
            let read = self.stream.read(&mut buffer[filled..]);
            buffer.truncate(filled + read.as_ref().copied().unwrap_or(0));
            match read {
                Ok(0) => return Err(ClientError::lost(what, &ErrorKind::UnexpectedEof.into())),
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(ClientError::lost(what, &error)),
            }
        }
    }

    /// Takes a notification of news; false when the message is something else.
    fn note_news(&mut self, message: &str) -> bool {
        if !message.contains("\"method\":\"news\"") {
            return false;
        }
        let Ok(request) = serde_json::from_str::<Request>(message) else { return false };
        match request.params.get("seq").and_then(Value::as_u64) {
            Some(seq) if request.method == "news" && request.id.is_none() => {
                self.newest = self.newest.max(Seq(seq));
                true
            }
            _ => false,
        }
    }
}

impl Client for SocketClient {
    fn command(&mut self, command: Command) -> Result<Done, ClientError> {
        self.next += 1;
        let request = Request::of(self.next, &command);
        self.exchange(&request, "waiting for its answer")
    }

    fn query(&mut self, query: Query) -> Result<Page<Answer>, ClientError> {
        self.next += 1;
        let request = Request::of(self.next, &query);
        self.exchange(&request, "waiting for its answer")
    }

    fn wait(&mut self, seen: Seq, patience: Duration) -> Result<Seq, ClientError> {
        if !self.subscribed {
            let newest: u64 = self.call("subscribe", Value::Null, "subscribing")?;
            self.newest = self.newest.max(Seq(newest));
            self.subscribed = true;
        }
        let deadline = Instant::now() + patience;
        while self.newest <= seen {
            match self.read(deadline, "waiting for news")? {
                Some(message) => drop(self.note_news(&message)),
                None => return Ok(seen),
            }
        }
        Ok(self.newest)
    }
}

/// What a running task proves itself by, and where.
#[derive(Clone)]
pub struct Proof {
    /// `AIRX_SOCKET`.
    pub socket: PathBuf,
    /// `AIRX_ATTEMPT`.
    pub mark: String,
    /// `AIRX_TOKEN`.
    pub token: String,
}

/// Asks the manager, from inside a task, to look into the attempt's outbox now.
///
/// # Errors
/// [`ClientError`]; the outbox stays, and the manager looks into it by itself later.
pub fn intake(proof: &Proof, patience: Duration) -> Result<Vec<Taken>, ClientError> {
    let intake = Intake { mark: proof.mark.clone(), token: proof.token.clone() };
    ask_from_inside(&proof.socket, "intake", &intake, "asking it to look into the outbox", patience)
}

/// The tasks of the attempt's own job in order, from the place `from` on; at most `limit`, and fewer where a page is full.
///
/// # Errors
/// [`ClientError`].
pub fn own_tasks(proof: &Proof, from: u32, limit: u32, patience: Duration) -> Result<Vec<TaskView>, ClientError> {
    let asked = OwnTasks { mark: proof.mark.clone(), token: proof.token.clone(), from, limit };
    ask_from_inside(&proof.socket, "tasks", &asked, "listing tasks", patience)
}

fn ask_from_inside<T: DeserializeOwned>(
    socket: &Path,
    verb: &str,
    params: &impl Serialize,
    what: &str,
    patience: Duration,
) -> Result<T, ClientError> {
    let stream = UnixStream::connect(socket).map_err(|_| ClientError::no_manager())?;
    SocketClient::over(stream, patience).call(verb, serde_json::to_value(params).unwrap_or_default(), what)
}
