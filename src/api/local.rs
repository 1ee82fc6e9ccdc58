//! Clients without a socket: in the manager's own process, and without any manager.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use crate::manager::handle::{ClientMessage, Handle};
use crate::manager::ports::Reader;
use crate::model::change::Seq;
use crate::model::message::{Answer, Command, Done, Page, Query};

use super::client::{Client, ClientError};

/// How often a waiting client looks for news.
const LOOK: Duration = Duration::from_millis(20);

/// A client in the manager's process.
pub struct Embedded {
    handle: Handle,
    reader: Arc<dyn Reader>,
}

impl Embedded {
    /// A client of this manager.
    pub fn new(handle: Handle, reader: Arc<dyn Reader>) -> Embedded {
        Embedded { handle, reader }
    }
}

impl Client for Embedded {
    fn command(&mut self, command: Command) -> Result<Done, ClientError> {
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
        let deadline = Instant::now() + patience;
        let news = self.handle.news();
        loop {
            let newest = *news.borrow();
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
