//! The manager's thread: drains messages into turns, performs their effects, keeps the poll interval.

mod composing;
mod limits;
mod trouble;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use tokio::sync::watch;

use crate::model::change::Seq;
use crate::model::core::{Effect, Input, Limits, Live, RequestId};
use crate::model::ids::AttemptId;
use crate::model::message::{Command, Done, Refusal, RefusalCode};
use crate::model::report::Report;
use crate::model::seal::seal;
use crate::model::settings::Settings;
use crate::model::time::Mono;

use limits::limits;
pub use trouble::Trouble;

use super::Message;
use super::handle::{ClientMessage, Handle, Reply, Taken};
use super::launch::Composer;
use super::ports::{Backend, Clock, Store, StoreError, StoreErrorKind};
use super::reach::Reach;
use super::secrets;
use super::turn::Turn;

/// Messages that may wait for the manager; senders beyond that block (backends) or are refused (clients).
const QUEUE: usize = 4_096;
/// Most messages taken into one turn, so that one commit stays short.
const BATCH: usize = 512;

/// From the end of a job until memory lets go of it (and of all that ended meanwhile), in milliseconds.
const TIDY_MS: u64 = 1_000;
/// The queue's two ends, made first since backends need the way in before the manager exists.
pub struct Mailbox {
    sender: SyncSender<Message>,
    receiver: Receiver<Message>,
    news: watch::Sender<Seq>,
}

impl Default for Mailbox {
    fn default() -> Self {
        let (sender, receiver) = sync_channel(QUEUE);
        Mailbox { sender, receiver, news: watch::Sender::new(Seq(0)) }
    }
}

impl Mailbox {
    /// The clients' way in.
    pub fn handle(&self) -> Handle {
        Handle::new(self.sender.clone(), self.news.subscribe())
    }

    /// The way in for everything else. Blocks when the queue is full.
    pub fn sender(&self) -> SyncSender<Message> {
        self.sender.clone()
    }

    /// The backends' way in.
    pub fn sink(&self) -> super::ports::ReportSink {
        let sender = self.sender.clone();
        // A manager that has left needs no reports: the next one inspects everything.
        Arc::new(move |report: Report| drop(sender.send(Message::Report(report))))
    }
}

/// What the manager is made of.
pub struct Parts<S> {
    /// Its store.
    pub store: S,
    /// What starts runners.
    pub backend: Box<dyn Backend>,
    /// Makes launch orders.
    pub composer: Composer,
    /// Its clocks.
    pub clock: Box<dyn Clock>,
    /// Its configuration.
    pub settings: Settings,
    /// Free bytes where attempts are kept; none when that cannot be told.
    pub free_bytes: Box<dyn Fn() -> Option<u64> + Send>,
    /// Told what a person should look at: jobs set aside, a full disk.
    pub on_trouble: Box<dyn FnMut(Trouble) + Send>,
    /// Called at each poll, for housekeeping that must not delay a turn for long.
    pub on_poll: Box<dyn FnMut() + Send>,
    /// Called when memory has let go of jobs.
    pub on_freed: Box<dyn FnMut() + Send>,
}

/// The manager's thread.
pub struct Engine<S> {
    turn: Turn<S>,
    backend: Box<dyn Backend>,
    composer: Arc<Composer>,
    clock: Box<dyn Clock>,
    settings: Settings,
    /// What the core was told last: its days and quiet hours pass.
    limits: Limits,
    free_bytes: Box<dyn Fn() -> Option<u64> + Send>,
    on_trouble: Box<dyn FnMut(Trouble) + Send>,
    told: Trouble,
    on_poll: Box<dyn FnMut() + Send>,
    on_freed: Box<dyn FnMut() + Send>,
    mailbox: Mailbox,
    replies: HashMap<RequestId, Reply<Done>>,
    intakes: HashMap<RequestId, Reply<Vec<Taken>>>,
    next_request: RequestId,
    /// Attempts whose order the backend has: they may be alive, so a secret that is missing by now says nothing.
    ordered: HashSet<AttemptId>,
    /// Attempts that are being composed on a thread of their own, one at a time each.
    composing: HashSet<AttemptId>,
    /// Held tasks whose secrets are being looked for.
    checking: HashSet<AttemptId>,
    /// What performing effects led to, for the next turn. At most one for each effect of a turn.
    pending: Vec<Input>,
    disk_low: bool,
    reach: Reach,
    next_poll: Mono,
    /// When jobs that are over leave memory.
    tidy_at: Option<Mono>,
    leaving: bool,
}

impl<S: Store> Engine<S> {
    /// Reads the store.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn begin(parts: Parts<S>, mailbox: Mailbox) -> Result<Engine<S>, StoreError> {
        let Parts { store, mut backend, composer, clock, settings, free_bytes, on_trouble, on_poll, on_freed } = parts;
        backend.configure(&settings);
        let bounds = limits(&settings, clock.as_ref());
        let turn = Turn::begin(store, bounds.clone(), composer.identity().seed(), clock.now())?;
        Ok(Engine {
            turn,
            backend,
            composer: Arc::new(composer),
            clock,
            settings,
            limits: bounds,
            free_bytes,
            on_trouble,
            told: Trouble::default(),
            on_poll,
            on_freed,
            mailbox,
            replies: HashMap::new(),
            intakes: HashMap::new(),
            next_request: 1,
            ordered: HashSet::new(),
            composing: HashSet::new(),
            checking: HashSet::new(),
            pending: Vec::new(),
            disk_low: false,
            reach: Reach::default(),
            next_poll: Mono(0),
            tidy_at: None,
            leaving: false,
        })
    }

    /// The clients' way in.
    pub fn handle(&self) -> Handle {
        self.mailbox.handle()
    }

    /// Runs until it is told to leave.
    ///
    /// # Errors
    /// [`StoreError`] when the database is damaged: nothing may be decided on it any more. Runners go on.
    pub fn run(mut self) -> Result<(), StoreError> {
        while !self.leaving {
            let inputs = self.gather();
            let tidies = inputs.contains(&Input::Evict);
            let now = self.clock.now();
            let outcome = self.turn.run(inputs, now);
            if tidies {
                (self.on_freed)();
            }
            if outcome.freed && self.tidy_at.is_none() {
                self.tidy_at = Some(Mono(now.mono.0.saturating_add(TIDY_MS)));
            }
            if let Some(error) = outcome.error {
                tracing::error!(kind = ?error.kind, "{error}");
                if error.kind == StoreErrorKind::Corrupt {
                    self.refuse_rest();
                    return Err(error);
                }
            }
            self.tell_trouble();
            if let Some(seq) = outcome.seq {
                self.mailbox.news.send_replace(seq);
            }
            for effect in outcome.effects {
                self.perform(effect);
            }
        }
        self.refuse_rest();
        Ok(())
    }

    /// Waits for something to happen, then takes all that has.
    fn gather(&mut self) -> Vec<Input> {
        let now = self.clock.now();
        let next = self.tidy_at.map_or(self.next_poll, |at| at.min(self.next_poll));
        let until_next = next.0.saturating_sub(now.mono.0);
        let wait = self.turn.next_wake(now).map_or(until_next, |wake| wake.min(until_next));
        let mut inputs = std::mem::take(&mut self.pending);
        if wait > 0 && inputs.is_empty() {
            match self.mailbox.receiver.recv_timeout(Duration::from_millis(wait)) {
                Ok(message) => self.take(message, &mut inputs),
                // The mailbox keeps a sender of its own, so the queue cannot be disconnected.
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
        while inputs.len() < BATCH {
            let Ok(message) = self.mailbox.receiver.try_recv() else { break };
            self.take(message, &mut inputs);
        }
        self.look_at_disk(&mut inputs);
        let now = self.clock.now();
        if self.tidy_at.is_some_and(|at| now.mono >= at) {
            self.tidy_at = None;
            inputs.push(Input::Evict);
        }
        if now.mono >= self.next_poll {
            self.next_poll = Mono(now.mono.0 + self.settings.poll_interval_ms);
            (self.on_poll)();
            let bounds = limits(&self.settings, self.clock.as_ref());
            if bounds != self.limits {
                self.limits = bounds.clone();
                inputs.push(Input::Limits(bounds));
            }
            inputs.push(Input::Reconcile);
        } else {
            inputs.push(Input::Tick);
        }
        inputs
    }

    fn take(&mut self, message: Message, inputs: &mut Vec<Input>) {
        match message {
            Message::Client(ClientMessage::Command { command, reply }) => {
                let id = self.request();
                let reply = match &command {
                    Command::Submit { submission, .. } | Command::ScheduleSet { submission, .. } => {
                        secrets::tell(self.composer.missing_secrets(submission), reply)
                    }
                    _ => reply,
                };
                self.replies.insert(id, reply);
                inputs.push(Input::Command(id, command));
            }
            Message::Client(ClientMessage::Intake { mark, token, reply }) => {
                match self.composer.identity().prove(&mark, &token) {
                    Some(attempt) => {
                        let id = self.request();
                        self.intakes.insert(id, reply);
                        inputs.push(Input::Intake(id, attempt));
                    }
                    None => reply(Err(unproven())),
                }
            }
            Message::Client(ClientMessage::Prove { mark, token, reply }) => {
                let attempt = self.composer.identity().prove(&mark, &token);
                let job = attempt.and_then(|attempt| self.turn.core().job_of_live(attempt)).map(|job| job.name.clone());
                reply(job.ok_or_else(unproven));
            }
            Message::Report(Report::Engine { host, trouble }) => self.hear_of_engine(host, trouble, inputs),
            Message::Report(Report::Stranded { attempt, why }) => self.reach.hear_of_attempt(attempt, why),
            Message::Report(report) => inputs.push(Input::Report(report)),
            Message::Composed(launch, composed) => {
                self.composing.remove(&launch.attempt);
                self.checking.remove(&launch.attempt);
                inputs.extend(self.launch(&launch, *composed));
            }
            Message::Configure(settings) => {
                let bounds = limits(&settings, self.clock.as_ref());
                self.limits = bounds.clone();
                inputs.push(Input::Limits(bounds));
                self.composer = Arc::new(self.composer.with_settings(&settings));
                self.backend.configure(&settings);
                self.settings = *settings;
                inputs.push(Input::Unreachable(self.reach.pools(&self.settings)));
            }
            Message::Poll => self.next_poll = Mono(0),
            Message::Leave => self.leaving = true,
        }
    }

    fn request(&mut self) -> RequestId {
        self.next_request += 1;
        self.next_request
    }

    /// A launch needs room for its output; below the limit nothing new starts, and what runs goes on.
    fn look_at_disk(&mut self, inputs: &mut Vec<Input>) {
        let low = (self.free_bytes)().is_some_and(|free| free < self.settings.min_free_bytes);
        if low != self.disk_low {
            self.disk_low = low;
            tracing::warn!(low, "free disk space crossed min_free_disk");
            inputs.push(Input::DiskLow(low));
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Launch(launch) => self.compose(*launch),
            Effect::Stop { attempt, kill } => self.backend.stop(attempt, kill),
            Effect::Inspect(attempts) => {
                let places = attempts.into_iter().filter_map(|attempt| {
                    let (job, task) = self.turn.core().names(attempt)?;
                    Some((attempt, self.composer.directory(&job, &task, attempt)))
                });
                let set_aside = self.turn.set_aside().iter().map(|(name, _)| name.to_string()).collect();
                self.backend.inspect(places.collect(), &set_aside);
            }
            Effect::Intake(attempt) => {
                let after = self.turn.core().live().get(&attempt).map_or(0, Live::taken_to);
                self.backend.intake(attempt, after);
            }
            Effect::Answer { attempt, item } => {
                let identity = self.composer.identity();
                let mark = identity.mark(attempt);
                let name = format!("{}.json", item.key);
                let sealed = seal(&identity.seal(&mark), &mark, *item);
                // Keys are names, and answers always have a JSON form.
                self.backend.put(attempt, name, serde_json::to_vec(&sealed).unwrap_or_default());
            }
            Effect::OverBudget { attempt, of } => {
                self.backend.put(attempt, "over-budget".to_owned(), of.word().as_bytes().to_vec());
            }
            Effect::Forget(attempt) => {
                self.ordered.remove(&attempt);
                self.backend.forget(attempt);
            }
            Effect::Decide(ticket, launch) => {
                let (job, task) = (launch.attempt.job, launch.attempt.task);
                // Without an answer it is asked for again at the next poll.
                let decision = self.composer.decide(&launch);
                self.pending.extend(decision.map(|decision| Input::Decided { job, task, ticket, decision }));
            }
            Effect::CheckSecrets(launch) => self.check_secrets(*launch),
            Effect::Reply(id, answer) => {
                if let Some(reply) = self.replies.remove(&id) {
                    reply(answer);
                }
            }
            Effect::Took(id, answer) => {
                if let Some(reply) = self.intakes.remove(&id) {
                    reply(answer);
                }
            }
            Effect::Leave => self.leaving = true,
        }
    }

    /// Whoever still waits for an answer gets one.
    fn refuse_rest(&mut self) {
        let refusal = || Refusal {
            code: RefusalCode::Unavailable,
            message: "the manager is leaving".to_owned(),
            hint: "nothing was changed; try again when it is back".to_owned(),
        };
        self.replies.drain().for_each(|(_, reply)| reply(Err(refusal())));
        self.intakes.drain().for_each(|(_, reply)| reply(Err(refusal())));
        while let Ok(message) = self.mailbox.receiver.try_recv() {
            if let Message::Client(message) = message {
                message.refuse(refusal());
            }
        }
    }
}

fn unproven() -> Refusal {
    Refusal {
        code: RefusalCode::Forbidden,
        message: "this token does not belong to a running attempt".to_owned(),
        hint: "AIRX_ATTEMPT and AIRX_TOKEN are set by airx for each attempt".to_owned(),
    }
}
