//! The thread that follows the journal and sends notices, and the way to it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::manager::ports::Reader;
use crate::model::change::Seq;
use crate::model::message::Query;
use crate::model::notice::Notifier;

use super::keep::Keep;
use super::rounds::Rounds;

/// Messages that may wait for the thread: reports of the deliveries under way, and what the manager tells.
const QUEUE: usize = 16;
/// Longest wait for the last notices to be on their way when the manager leaves.
const FAREWELL: Duration = Duration::from_secs(5);

/// What a courier works with.
#[derive(Clone)]
pub struct Parts {
    /// The home's directory.
    pub home: PathBuf,
    /// The manager's environment.
    pub environment: Arc<BTreeMap<String, String>>,
    /// Where events are read.
    pub reader: Arc<dyn Reader>,
    /// Tells that there are new ones.
    pub news: watch::Receiver<Seq>,
}

/// What the thread is told.
pub(super) enum Control {
    /// These are the notifiers from now on.
    Configure(Vec<Notifier>),
    /// The delivery of this event's notice is certain to happen.
    Started(Seq),
    /// A delivery is over: of which configuration's notifier, by its place.
    Over(u32, usize),
    /// The manager leaves: tell what is left, then end.
    Leave,
}

/// Tells people of what was committed, by commands and webhooks. There is a thread only while there is somebody to tell.
pub struct Courier {
    parts: Parts,
    running: Mutex<Option<Running>>,
}

struct Running {
    control: mpsc::Sender<Control>,
    ended: Receiver<()>,
}

impl Courier {
    /// A courier who tells nobody yet.
    pub fn new(parts: Parts) -> Courier {
        Courier { parts, running: Mutex::new(None) }
    }

    /// Tells these from now on; those of terminals are left to the workstation. Called before the manager decides anything, and
    /// whenever the configuration changed.
    pub fn configure(&self, notifiers: &[Notifier]) {
        let notifiers: Vec<Notifier> = notifiers.iter().filter(|notifier| !notifier.is_terminal()).cloned().collect();
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if notifiers.is_empty() && running.is_none() {
            // Whoever is told later is told of what comes from then on.
            Keep::open(&self.parts.home).forget();
            return;
        }
        let notifiers = match &*running {
            None => notifiers,
            Some(known) => match known.control.try_send(Control::Configure(notifiers)) {
                Ok(()) => return,
                Err(mpsc::error::TrySendError::Full(_)) => {
                    tracing::warn!("the thread that sends notices is behind; the notifiers stay as they were");
                    return;
                }
                // It could not read the store, or died of a fault of ours.
                Err(mpsc::error::TrySendError::Closed(Control::Configure(notifiers))) => notifiers,
                Err(mpsc::error::TrySendError::Closed(_)) => return,
            },
        };
        *running = begin(&self.parts, notifiers);
    }

    /// Sends what is left on its way, within seconds, and ends. What is on its way arrives without this process.
    pub fn finish(&self) {
        let Some(running) = self.running.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        // It leaves by itself when it sees that the manager has.
        let _ = running.control.try_send(Control::Leave);
        if running.ended.recv_timeout(FAREWELL).is_err() {
            tracing::warn!("the thread that sends notices did not end in time; the next manager sends what is left");
        }
    }
}

fn begin(parts: &Parts, notifiers: Vec<Notifier>) -> Option<Running> {
    let newest = Query::Events { since: Seq(u64::MAX), job: None, below: false, task: None, last: true, limit: 1 };
    let newest = match parts.reader.query(&newest) {
        Ok(page) => page.seq,
        Err(refusal) => {
            tracing::error!("no notices: {refusal}");
            return None;
        }
    };
    let (control, inbox) = mpsc::channel(QUEUE);
    let (tell_end, ended) = sync_channel(1);
    // A weak way back: the thread must see when nobody has the other one any more.
    let back = control.downgrade();
    let rounds = Rounds::new(parts.clone(), notifiers, newest, back);
    let work = move || {
        rounds.run(inbox);
        // Nobody waits for it but a manager that leaves.
        let _ = tell_end.try_send(());
    };
    match std::thread::Builder::new().name("notices".to_owned()).stack_size(512 * 1024).spawn(work) {
        Ok(_) => Some(Running { control, ended }),
        Err(error) => {
            tracing::error!("no notices, no thread can be started: {error}");
            None
        }
    }
}
