//! What the courier's thread does: reads what is new, decides what to tell, has it delivered.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::model::change::Seq;
use crate::model::message::{Answer, EventView, JobView, MAX_PAGE, Query, Refusal};
use crate::model::notice::{Digest, Notice, Notifier, Throttle, wanted_jobs};
use crate::model::time::Utc;

use super::courier::{Control, Parts};
use super::keep::Keep;
use super::order::Order;
use super::send::send;

/// Least time between two reads: a busy manager commits hundreds of times a second.
const BREATH: Duration = Duration::from_millis(250);
/// Until the store is read again after it could not be.
const AGAIN: Duration = Duration::from_secs(5);
/// Longest sleep without news.
const SLEEP: Duration = Duration::from_secs(3_600);
/// Deliveries at the same time, at most one of each notifier.
const AT_ONCE: usize = 2;
/// Deliveries at the same time while the manager leaves, of whichever notifiers: they go on without it.
const AT_LAST: usize = 16;
/// Notices of one notifier that may wait for it. What comes beyond that is dropped, and the log says how many.
const MOST_WAITING: usize = 20;
/// Further behind than this, in events, begins at the newest.
const TOO_FAR: u64 = 50_000;
/// Events without a notice after which it is kept how far they were read.
const KEEP_EVERY: u64 = 1_000;
/// Longest wait, when the manager leaves, for what is left to be on its way.
const FAREWELL: Duration = Duration::from_secs(4);

pub(super) struct Rounds {
    parts: Parts,
    notifiers: Vec<Notifier>,
    /// Grows with each configuration: places mean other notifiers then.
    edition: u32,
    digest: Digest,
    throttle: Throttle,
    read: Seq,
    keep: Keep,
    waiting: VecDeque<(usize, Notice)>,
    /// Deliveries under way.
    going: usize,
    /// Notifiers that have one.
    busy: BTreeSet<usize>,
    /// Events whose delivery is not certain to happen yet.
    unstarted: Vec<Seq>,
    /// Whether anybody was told anything since it was last kept how far.
    owes: bool,
    dropped: u64,
    back: mpsc::WeakSender<Control>,
    leaving: bool,
}

impl Rounds {
    /// Begins where the last manager stopped, unless that is too far back; else at `newest`.
    pub fn new(parts: Parts, notifiers: Vec<Notifier>, newest: Seq, back: mpsc::WeakSender<Control>) -> Rounds {
        let mut keep = Keep::open(&parts.home);
        let kept = keep.get().filter(|kept| *kept <= newest && newest.0 - kept.0 <= TOO_FAR);
        keep.set(kept.unwrap_or(newest));
        Rounds {
            parts,
            notifiers,
            edition: 0,
            digest: Digest::default(),
            throttle: Throttle::default(),
            read: kept.unwrap_or(newest),
            keep,
            waiting: VecDeque::new(),
            going: 0,
            busy: BTreeSet::new(),
            unstarted: Vec::new(),
            owes: false,
            dropped: 0,
            back,
            leaving: false,
        }
    }

    /// Goes round until the manager leaves, or nobody is to be told any more.
    pub fn run(mut self, mut inbox: mpsc::Receiver<Control>) {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_time().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                tracing::error!("no notices: {error}");
                return;
            }
        };
        let mut next_read = Instant::now();
        let mut is_new = true;
        loop {
            if is_new && Instant::now() >= next_read {
                let is_read = self.read_events();
                is_new = !is_read;
                next_read = Instant::now() + if is_read { BREATH } else { AGAIN };
            }
            let due = self.throttle.due(crate::os::now().mono);
            self.wait_in_line(due);
            self.deliver();
            self.remember();
            let now = Instant::now();
            let due = self.throttle.next_due().map(|at| Duration::from_millis(at.0.saturating_sub(crate::os::now().mono.0)));
            let read = is_new.then(|| next_read.saturating_duration_since(now));
            let patience = [due, read].into_iter().flatten().min().unwrap_or(SLEEP);
            let news = &mut self.parts.news;
            let told = runtime.block_on(async {
                tokio::select! {
                    told = inbox.recv() => Told::By(told),
                    changed = news.changed(), if !is_new => Told::News(changed.is_ok()),
                    () = tokio::time::sleep(patience) => Told::Nothing,
                }
            });
            match told {
                Told::By(None) => return,
                Told::By(Some(Control::Leave)) | Told::News(false) => break,
                Told::By(Some(control)) => self.take(control),
                Told::News(true) => is_new = true,
                Told::Nothing => {}
            }
        }
        self.leave(&runtime, &mut inbox);
    }

    fn take(&mut self, control: Control) {
        match control {
            Control::Configure(notifiers) => self.configure(notifiers),
            Control::Started(seq) => {
                if let Some(at) = self.unstarted.iter().position(|other| *other == seq) {
                    self.unstarted.swap_remove(at);
                }
            }
            Control::Over(edition, place) => {
                self.going = self.going.saturating_sub(1);
                if edition == self.edition {
                    self.busy.remove(&place);
                }
            }
            Control::Leave => self.leaving = true,
        }
    }

    /// What waits for a notifier that is still there goes to it; the rest is for nobody.
    fn configure(&mut self, notifiers: Vec<Notifier>) {
        let gathered = self.throttle.flush();
        self.wait_in_line(gathered);
        let new_place = |old: usize| notifiers.iter().position(|new| Some(new) == self.notifiers.get(old));
        let waiting = std::mem::take(&mut self.waiting);
        self.waiting = waiting.into_iter().filter_map(|(place, notice)| Some((new_place(place)?, notice))).collect();
        self.notifiers = notifiers;
        self.edition += 1;
        self.busy.clear();
        if self.notifiers.is_empty() {
            self.keep.forget();
        }
    }

    /// Sends all that is left on its way, and waits until it is.
    fn leave(mut self, runtime: &tokio::runtime::Runtime, inbox: &mut mpsc::Receiver<Control>) {
        self.leaving = true;
        self.read_events();
        let gathered = self.throttle.flush();
        self.wait_in_line(gathered);
        self.deliver();
        let until = Instant::now() + FAREWELL;
        while (!self.unstarted.is_empty() || !self.waiting.is_empty()) && Instant::now() < until {
            let patience = until.saturating_duration_since(Instant::now());
            let told = runtime.block_on(async { tokio::time::timeout(patience, inbox.recv()).await });
            let Ok(Some(control)) = told else { break };
            self.take(control);
            self.deliver();
        }
        self.remember();
        let left = self.unstarted.len() + self.waiting.len();
        if left > 0 {
            tracing::warn!("{left} notices are left to the next manager");
        }
    }

    /// Reads what was committed since the last time; false when the store could not be read.
    fn read_events(&mut self) -> bool {
        if self.notifiers.is_empty() {
            self.read = self.read.max(*self.parts.news.borrow());
            return true;
        }
        loop {
            match self.read_page() {
                Ok(true) => {}
                Ok(false) => return true,
                Err(refusal) => {
                    tracing::warn!("events for notices cannot be read now: {refusal}");
                    return false;
                }
            }
        }
    }

    /// Whether there may be more.
    fn read_page(&mut self) -> Result<bool, Refusal> {
        let query = Query::Events { since: self.read, job: None, below: false, task: None, last: false, limit: MAX_PAGE };
        let page = self.parts.reader.query(&query)?;
        let Answer::Events(events) = page.body else { return Ok(false) };
        let Some(last) = events.last().map(|event| event.seq) else {
            self.read = self.read.max(page.seq);
            return Ok(false);
        };
        let jobs = self.jobs(&events);
        let now = crate::os::now().mono;
        for found in self.digest.take(&events, &jobs, &clock) {
            let told = self.throttle.offer(&self.notifiers, &found, now);
            self.wait_in_line(told);
        }
        self.read = last;
        Ok(last < page.seq)
    }

    /// Rows of the jobs that ended. Without them a notice says less.
    fn jobs(&self, events: &[EventView]) -> Vec<JobView> {
        let ids = wanted_jobs(events);
        if ids.is_empty() {
            return Vec::new();
        }
        match self.parts.reader.query(&Query::JobsOf { ids }).map(|page| page.body) {
            Ok(Answer::Jobs(jobs)) => jobs,
            _ => Vec::new(),
        }
    }

    fn wait_in_line(&mut self, told: Vec<(usize, Notice)>) {
        for (place, notice) in told {
            self.owes = true;
            if self.waiting.iter().filter(|(other, _)| *other == place).count() < MOST_WAITING {
                self.waiting.push_back((place, notice));
            } else {
                self.dropped += 1;
            }
        }
    }

    fn next_in_line(&mut self) -> Option<(usize, Notice)> {
        let (most, any) = if self.leaving { (AT_LAST, true) } else { (AT_ONCE, false) };
        if self.going >= most {
            return None;
        }
        let at = self.waiting.iter().position(|(place, _)| any || !self.busy.contains(place))?;
        self.waiting.remove(at)
    }

    fn deliver(&mut self) {
        let Some(back) = self.back.upgrade() else { return };
        while let Some((place, notice)) = self.next_in_line() {
            let Some(notifier) = self.notifiers.get(place).cloned() else { continue };
            let dropped = std::mem::take(&mut self.dropped);
            if dropped > 0 {
                tracing::warn!("{dropped} notices were dropped: their notifiers are too slow");
            }
            let (parts, back, edition, seq) = (self.parts.clone(), back.clone(), self.edition, notice.seq);
            let work = move || {
                let outcome = tell(&parts, &notifier, &notice, || drop(back.blocking_send(Control::Started(seq))));
                log(&notifier, &notice, outcome);
                // The thread may have left.
                drop(back.blocking_send(Control::Over(edition, place)));
            };
            match std::thread::Builder::new().name("notice".to_owned()).stack_size(256 * 1024).spawn(work) {
                Ok(_) => {
                    self.going += 1;
                    self.busy.insert(place);
                    self.unstarted.push(seq);
                }
                Err(error) => tracing::warn!("a notice is not sent, no thread can be started: {error}"),
            }
        }
    }

    /// Keeps how far people were told: up to the oldest event that still waits.
    fn remember(&mut self) {
        if self.notifiers.is_empty() {
            return;
        }
        let open = self.waiting.iter().map(|(_, notice)| notice.seq).chain(self.unstarted.iter().copied());
        let oldest = open.chain(self.throttle.oldest()).min();
        let done = oldest.map_or(self.read, |oldest| Seq(oldest.0.saturating_sub(1)).min(self.read));
        let kept = self.keep.get().unwrap_or_default();
        if done > kept && (self.owes || self.leaving || done.0 - kept.0 >= KEEP_EVERY) {
            self.keep.set(done);
            self.owes = oldest.is_some();
        }
    }
}

enum Told {
    By(Option<Control>),
    News(bool),
    Nothing,
}

/// A time of this system's zone; with the date when it is another day's.
fn clock(at: Utc) -> String {
    let local = |at: Utc| jiff::Timestamp::from_millisecond(at.0).map(|at| at.to_zoned_datetime(jiff::tz::TimeZone::system()));
    match (local(at), local(crate::os::now().utc)) {
        (Ok(at), Ok(now)) if at.date() == now.date() => at.strftime("%H:%M").to_string(),
        (Ok(at), _) => at.strftime("%b %-d, %H:%M").to_string(),
        _ => "a time out of range".to_owned(),
    }
}

/// One delivery, from the templates to its end.
fn tell(parts: &Parts, notifier: &Notifier, notice: &Notice, on_start: impl FnOnce()) -> Result<String, String> {
    // Whatever happens, it is told once that nobody needs to wait for the start.
    let mut on_start = Some(on_start);
    let mut started = || on_start.take().map_or((), |tell| tell());
    let sent = match Order::compose(notifier, notice, &parts.home, &parts.environment) {
        Ok(Some(order)) => send(&order, &parts.environment, &mut started),
        Ok(None) => Ok("left to a terminal".to_owned()),
        Err(why) => Err(why),
    };
    started();
    sent
}

/// Which notifier, and what became of it; nothing of what a secret could be in.
fn log(notifier: &Notifier, notice: &Notice, outcome: Result<String, String>) {
    let (event, seq) = (notice.kind.word(), notice.seq.0);
    match outcome {
        Ok(said) => tracing::info!(event, seq, "told by {}: {said}", notifier.what()),
        Err(why) => tracing::warn!(event, seq, "not told by {}: {why}", notifier.what()),
    }
}
