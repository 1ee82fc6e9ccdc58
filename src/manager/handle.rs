//! The way to a running manager: bounded messages in, answers by callback, news as the newest event's number.

use std::sync::mpsc::{SyncSender, TrySendError};

use tokio::sync::watch;

use crate::model::change::Seq;
pub use crate::model::core::Taken;
use crate::model::ids::JobName;
use crate::model::message::{Command, Done, Refusal, RefusalCode};

/// Takes an answer; called once, on the manager's thread, after the commit. Must not block.
pub type Reply<T> = Box<dyn FnOnce(Result<T, Refusal>) + Send>;

/// What arrives at the manager from clients.
pub enum ClientMessage {
    /// A command of a person or program that may do everything.
    Command {
        /// What.
        command: Command,
        /// Takes the answer.
        reply: Reply<Done>,
    },
    /// A runner's task asks to look into its outbox now.
    Intake {
        /// Its `AIRX_ATTEMPT`.
        mark: String,
        /// Its `AIRX_TOKEN`.
        token: String,
        /// Takes one answer for each file that was in the outbox.
        reply: Reply<Vec<Taken>>,
    },
    /// A runner's task asks to see its own job.
    Prove {
        /// Its `AIRX_ATTEMPT`.
        mark: String,
        /// Its `AIRX_TOKEN`.
        token: String,
        /// Takes the name of its job.
        reply: Reply<JobName>,
    },
}

impl ClientMessage {
    /// Answers it with a refusal, whatever it asks.
    pub(super) fn refuse(self, refusal: Refusal) {
        match self {
            ClientMessage::Command { reply, .. } => reply(Err(refusal)),
            ClientMessage::Intake { reply, .. } => reply(Err(refusal)),
            ClientMessage::Prove { reply, .. } => reply(Err(refusal)),
        }
    }
}

/// A cheap, cloneable way to the manager. Dropping all of them does not stop it.
#[derive(Clone)]
pub struct Handle {
    sender: SyncSender<super::Message>,
    news: watch::Receiver<Seq>,
}

impl Handle {
    /// Made by the manager when it starts.
    pub(super) fn new(sender: SyncSender<super::Message>, news: watch::Receiver<Seq>) -> Handle {
        Handle { sender, news }
    }

    /// Sends a message; never blocks. When the manager's queue is full, or it has left, the message's own reply gets a
    /// refusal at once.
    pub fn send(&self, message: ClientMessage) {
        let (message, full) = match self.sender.try_send(super::Message::Client(message)) {
            Ok(()) => return,
            Err(TrySendError::Full(message)) => (message, true),
            Err(TrySendError::Disconnected(message)) => (message, false),
        };
        let refusal = Refusal {
            code: RefusalCode::Unavailable,
            message: if full { "the manager's queue is full" } else { "the manager is leaving" }.to_owned(),
            hint: "try again in a moment".to_owned(),
        };
        if let super::Message::Client(message) = message {
            message.refuse(refusal);
        }
    }

    /// The newest committed event's number, and a way to wait for the next. Coalesces by itself: whoever is slow misses
    /// no fact, since the events themselves are read from the store.
    pub fn news(&self) -> watch::Receiver<Seq> {
        self.news.clone()
    }
}
