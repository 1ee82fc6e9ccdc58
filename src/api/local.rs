//! Clients without a socket: in the manager's own process, and without any manager.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use crate::manager::handle::{ClientMessage, Handle};
use crate::manager::ports::Reader;
use crate::model::change::Seq;
use crate::model::message::{Answer, Command, Done, Page, Query};

use super::client::{Client, ClientError, ClientErrorKind};

/// A client in the manager's process.
pub struct Embedded {
    handle: Handle,
    reader: Arc<dyn Reader>,
    /// Sleeps until there is news; made at the first wait.
    runtime: Option<tokio::runtime::Runtime>,
}

impl Embedded {
    /// A client of this manager.
    pub fn new(handle: Handle, reader: Arc<dyn Reader>) -> Embedded {
        Embedded { handle, reader, runtime: None }
    }
}

impl Client for Embedded {
    fn command(&mut self, command: Command) -> Result<Done, ClientError> {
        let command = match command {
            Command::Answer { question, answer, .. } => {
                Command::Answer { question, answer, by_name: Some(crate::os::user::name(crate::os::uid())) }
            }
            other => other,
        };
        let (sender, receiver) = sync_channel(1);
        // A reply that nobody takes any more is dropped.
        self.handle.send(ClientMessage::Command { command, reply: Box::new(move |answer| drop(sender.send(answer))) });
        match receiver.recv() {
            Ok(answer) => answer.map_err(ClientError::from),
            Err(_) => Err(ClientError::no_manager()),
        }
    }

    fn query(&mut self, query: Query) -> Result<Page<Answer>, ClientError> {
        self.reader.query(&query).map_err(ClientError::from)
    }

    fn wait(&mut self, seen: Seq, patience: Duration) -> Result<Seq, ClientError> {
        let mut news = self.handle.news();
        let newest = *news.borrow_and_update();
        if newest > seen {
            return Ok(newest);
        }
        let runtime = match &self.runtime {
            Some(runtime) => runtime,
            None => {
                let made = tokio::runtime::Builder::new_current_thread().enable_time().build();
                self.runtime.insert(made.map_err(|error| ClientError::lost("preparing to wait", &error))?)
            }
        };
        let waited = runtime.block_on(async {
            tokio::time::timeout(patience, news.wait_for(|newest| *newest > seen)).await.map(|found| found.map(|seq| *seq))
        });
        match waited {
            Ok(Ok(newest)) => Ok(newest),
            // The manager has left.
            Ok(Err(_)) => Err(ClientError::no_manager()),
            Err(_) => Ok(seen),
        }
    }
}

/// A client that shows a store which cannot be changed here: it looks for news now and then.
pub struct Watching {
    reader: Arc<dyn Reader>,
    why: String,
}

impl Watching {
    /// A client of this store, and why nothing can be changed.
    pub fn new(reader: Arc<dyn Reader>, why: String) -> Watching {
        Watching { reader, why }
    }
}

/// Between two looks for news.
const LOOK: Duration = Duration::from_millis(500);

impl Client for Watching {
    fn command(&mut self, _: Command) -> Result<Done, ClientError> {
        Err(ClientError {
            kind: ClientErrorKind::NoManager,
            message: format!("read-only: {}", self.why),
            hint: "nothing was changed".to_owned(),
        })
    }

    fn query(&mut self, query: Query) -> Result<Page<Answer>, ClientError> {
        self.reader.query(&query).map_err(ClientError::from)
    }

    fn wait(&mut self, seen: Seq, patience: Duration) -> Result<Seq, ClientError> {
        let deadline = Instant::now() + patience;
        loop {
            let newest = self.query(Query::Overview)?.seq;
            if newest > seen || Instant::now() >= deadline {
                return Ok(newest.max(seen));
            }
            std::thread::sleep(LOOK);
        }
    }
}

/// A client that reads the store when no manager runs.
pub struct Offline {
    reader: Arc<dyn Reader>,
}

impl Offline {
    /// A client of this store.
    pub fn new(reader: Arc<dyn Reader>) -> Offline {
        Offline { reader }
    }
}

impl Client for Offline {
    fn command(&mut self, _: Command) -> Result<Done, ClientError> {
        Err(ClientError::no_manager())
    }

    fn query(&mut self, query: Query) -> Result<Page<Answer>, ClientError> {
        self.reader.query(&query).map_err(ClientError::from)
    }

    fn wait(&mut self, _: Seq, _: Duration) -> Result<Seq, ClientError> {
        Err(ClientError::no_manager())
    }
}
