//! What a pod prints: followed as it comes, gone on with where it broke off, and read once more after the end. Nothing is lost, and
//! nothing is kept twice.
//!
//! A followed log that ends says nothing of the container, and one that goes on may be dead: the pod tells which. A log that is
//! opened anew shows only the file that the kubelet writes at that time, so one that is open is let go of as late as can be. That a
//! stream ended well proves nothing: one whose node fell away behind the API server does, too. All is here when the last line is.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use futures_util::AsyncBufRead;
use tokio::time::{Instant, sleep, timeout};

use super::api::{Api, LogRange};
use super::cluster::{Cluster, Pause};
use super::custody::Custody;
use super::fault::{Fault, Refusal};
use super::frames::{Frames, Kept, newest};
use super::lines::{Line, Lines};
use crate::backend::attempt::keeper::{Keeper, Origin, stamped};
use crate::model::pod::{LineReader, MAX_LINE, Taken};

/// Between two tries.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LAST_PAUSE: Duration = Duration::from_secs(5);
/// Tries to read the rest of a log after its container has ended. A pod that is deleted loses it before it goes itself.
const LAST_TRIES: u32 = 12;
/// Tries that bring nothing new though the last line is said to be another: the last piece of a long line has a time of its own.
const SAME_TRIES: u32 = 3;
/// So long the kubelet is waited for that has the rest and does not answer: without it a task that has succeeded might run again.
const AWAY: Duration = Duration::from_secs(1_800);
/// So long a follower goes on behind the end that the pod has told: it ends about a second after it, before or after that is seen.
const TAIL: Duration = Duration::from_secs(10);
/// A follower that tells nothing for so long is opened anew: its connection may be dead.
const SILENCE: Duration = Duration::from_secs(300);
/// Between two tries on a full disk.
const NO_ROOM: Duration = Duration::from_secs(1);
/// Most bytes that are kept of what the first process says besides.
const MAX_STRANGE: usize = 2_000;

/// What was kept of it.
#[derive(Debug, Default)]
pub struct Output {
    /// Bytes of both streams, for the reduced mode.
    pub kept: (u64, u64),
    /// Whether more came than may be kept.
    pub is_cut: bool,
    /// Whether all was told, to the runner's last word.
    pub is_complete: bool,
    /// What its first process said besides, which is for people.
    pub strange: String,
}

/// Follows until all is read.
pub async fn keep(cluster: &Rc<Cluster>, custody: &Rc<Custody>) -> Output {
    let mut sink = loop {
        match Sink::open(custody) {
            Ok(sink) => break sink,
            Err(error) => {
                custody.note(format!("its output could not be kept for a while: {error}"));
                sleep(NO_ROOM).await;
            }
        }
    };
    let mut reading = Reading { pause: Pause::new(FIRST_PAUSE, LAST_PAUSE), is_read: false, same_tries: 0 };
    let (mut last_tries, mut away_since) = (0, None);
    loop {
        let api = cluster.until_back().await;
        let had_ended = custody.has_ended();
        let step = reading.step(cluster, custody, &api, &mut sink).await;
        match &step {
            Ok(Step::All) => break,
            Ok(Step::More) => continue,
            Ok(Step::Same) => {}
            Err(fault) => {
                if had_ended && (fault.is_missing() || custody.is_gone()) {
                    if !reading.is_read {
                        custody.note("the last of its output could not be read: its pod is gone");
                    }
                    break;
                }
                match fault {
                    Fault::Unreachable(_) => cluster.doubt(fault),
                    Fault::Refused(_) => tracing::debug!(attempt = %custody.attempt, "{fault}"),
                }
            }
        }
        if had_ended {
            let is_away = step.as_ref().is_err_and(Fault::is_passing);
            let waits = is_away && away_since.get_or_insert_with(Instant::now).elapsed() < AWAY;
            last_tries += u32::from(!waits);
            if last_tries >= LAST_TRIES {
                custody.note("the last of its output could not be read");
                break;
            }
        }
        tokio::select! { () = reading.pause.wait() => {}, () = custody.until_ended(), if !had_ended => {} }
    }
    sink.close(custody)
}

/// How far the reading of a log is.
struct Reading {
    pause: Pause,
    /// Whether a stream has ended well: what is left is to see that it was all.
    is_read: bool,
    same_tries: u32,
}

/// What came of a step.
enum Step {
    /// All is here.
    All,
    /// It goes on at once.
    More,
    /// Nothing came that is new.
    Same,
}

impl Reading {
    /// Follows the log to its end, and asks whether that was all once its container has ended.
    async fn step(&mut self, cluster: &Rc<Cluster>, custody: &Rc<Custody>, api: &Api, sink: &mut Sink) -> Result<Step, Fault> {
        let before = sink.progress();
        if !self.is_read {
            let began = Instant::now();
            let range = LogRange { follow: true, since_s: sink.since_s(), last: false };
            let read = follow(cluster, custody, api.log(&custody.name(), range).await?, sink).await;
            sink.again();
            if sink.is_done() {
                return Ok(Step::All);
            }
            if began.elapsed() > LAST_PAUSE {
                self.pause.reset();
            }
            read?;
            // Both ends are told at about the same time.
            tokio::select! { () = self.pause.wait(), if !custody.has_ended() => {}, () = custody.until_ended() => {} }
            if !custody.has_ended() {
                return Ok(Step::More);
            }
            self.is_read = true;
        }
        if is_last(api, custody, sink.newest).await? {
            return Ok(Step::All);
        }
        self.is_read = false;
        if sink.progress() != before {
            return Ok(Step::More);
        }
        self.same_tries += 1;
        Ok(if self.same_tries < SAME_TRIES { Step::Same } else { Step::All })
    }
}

/// That says nothing of the cluster.
fn broken(why: &str) -> Fault {
    Fault::Refused(Refusal { message: format!("its log broke off: {why}"), ..Refusal::default() })
}

/// Whether the last line of a log whose container has ended is not newer than the newest that is here.
async fn is_last(api: &Api, custody: &Custody, newest: i128) -> Result<bool, Fault> {
    let mut lines = api.log(&custody.name(), LogRange { follow: false, since_s: None, last: true }).await?;
    let line = match timeout(TAIL, lines.next()).await {
        Ok(Ok(Some(line))) => line,
        // There is none.
        Ok(Ok(None)) => return Ok(true),
        Ok(Err(error)) => return Err(broken(&error.to_string())),
        Err(_) => return Err(broken("it has fallen silent")),
    };
    let (at, _) = stamped(&line.bytes).ok_or_else(|| broken(&String::from_utf8_lossy(&line.bytes)))?;
    Ok(at <= newest)
}

/// Reads one stream to its end; an error when it broke off, or was none.
async fn follow<R: AsyncBufRead + Unpin>(
    cluster: &Rc<Cluster>,
    custody: &Rc<Custody>,
    mut lines: Lines<R>,
    sink: &mut Sink,
) -> Result<(), Fault> {
    loop {
        let patience = if custody.has_ended() { TAIL } else { SILENCE };
        let next = tokio::select! {
            next = timeout(patience, lines.next()) => next,
            // From then on it has only so long.
            () = custody.until_ended(), if !custody.has_ended() => continue,
        };
        let line = match next {
            Err(_) => return Err(broken("it has fallen silent")),
            Ok(Err(error)) => return Err(broken(&error.to_string())),
            Ok(Ok(None)) => {
                sink.flush().await;
                return Ok(());
            }
            Ok(Ok(Some(line))) => line,
        };
        match sink.take(line).await {
            Took::Nothing => {}
            Took::News => cluster.desk.news(custody.source(), None),
            Took::NoLog(text) => return Err(broken(&text)),
        }
        if sink.is_done() {
            return Ok(());
        }
    }
}

/// What became of a line.
enum Took {
    Nothing,
    News,
    /// It is no line of a log, but what the kubelet says in its place.
    NoLog(String),
}

/// Where lines go.
struct Sink {
    to: To,
    /// Whether the line that goes on is one of a log, and its time.
    stamp: Vec<u8>,
    strange: String,
    /// Whether the line that goes on has not come before.
    is_new: bool,
    /// The second of the newest line.
    newest_s: Option<i64>,
    /// The time of the newest line that was read, in nanoseconds.
    newest: i128,
}

enum To {
    Runner { frames: Frames, lines: LineReader },
    Reduced(Box<Keeper>),
}

impl Sink {
    fn open(custody: &Custody) -> io::Result<Sink> {
        let record = custody.record.borrow();
        let to = if record.is_reduced {
            To::Reduced(Box::new(Keeper::open(&custody.dir, record.output_limit, Origin::Cluster)?))
        } else {
            To::Runner { frames: Frames::new(&custody.dir, &record), lines: LineReader::new(&record.nonce) }
        };
        // What the runner told before its newest output came before it.
        let newest_s = if record.is_reduced { None } else { newest(&custody.dir).map(|ms| ms.div_euclid(1_000)) };
        Ok(Sink { to, stamp: Vec::new(), strange: String::new(), is_new: true, newest_s, newest: 0 })
    }

    /// From which second on more is wanted.
    fn since_s(&self) -> Option<i64> {
        match &self.to {
            To::Runner { .. } => self.newest_s,
            To::Reduced(keeper) => keeper.resumes_at_s(),
        }
    }

    /// How far it is: other than before once something new was read.
    fn progress(&self) -> (i128, u64) {
        match &self.to {
            To::Runner { .. } => (self.newest, 0),
            To::Reduced(keeper) => (self.newest, keeper.kept().0),
        }
    }

    /// From now on lines come again.
    fn again(&mut self) {
        self.stamp.clear();
        if let To::Reduced(keeper) = &mut self.to {
            keeper.again();
        }
    }

    fn is_done(&self) -> bool {
        match &self.to {
            To::Runner { frames, .. } => frames.is_complete(),
            To::Reduced(keeper) => keeper.is_cut(),
        }
    }

    /// Takes in a line: its time, a space, and its bytes.
    async fn take(&mut self, line: Line) -> Took {
        if line.begins {
            let Some((nanos, _)) = stamped(&line.bytes) else {
                return Took::NoLog(String::from_utf8_lossy(&line.bytes).into_owned());
            };
            self.is_new = nanos > self.newest;
            self.newest = self.newest.max(nanos);
            self.newest_s = i64::try_from(nanos.div_euclid(1_000_000_000)).ok();
            let end = line.bytes.iter().position(|byte| *byte == b' ').map_or(0, |space| space + 1);
            self.stamp = line.bytes[..end].to_vec();
        }
        match &mut self.to {
            To::Runner { frames, lines } => {
                let text = line.bytes.strip_prefix(self.stamp.as_slice()).unwrap_or(&line.bytes);
                let taken = if line.is_whole && text.len() <= MAX_LINE { lines.take(text) } else { Taken::Strange };
                match taken {
                    Taken::Nothing => Took::Nothing,
                    Taken::Strange => {
                        if self.is_new && self.strange.len() < MAX_STRANGE {
                            let room = MAX_STRANGE - self.strange.len();
                            let text = String::from_utf8_lossy(&text[..text.len().min(room)]).into_owned();
                            self.strange.push_str(if self.strange.is_empty() { "" } else { "\n" });
                            self.strange.push_str(text.trim_end());
                        }
                        Took::Nothing
                    }
                    Taken::Frame(frame) => loop {
                        match frames.keep(&frame) {
                            Ok(Kept::Nothing) => break Took::Nothing,
                            Ok(Kept::News) => break Took::News,
                            Err(error) => {
                                tracing::warn!("what a runner told cannot be kept now: {error}");
                                sleep(NO_ROOM).await;
                            }
                        }
                    },
                }
            }
            To::Reduced(keeper) => {
                let mut piece = if line.begins { Vec::new() } else { self.stamp.clone() };
                piece.extend(line.bytes);
                piece.extend(line.ends.then_some(b'\n'));
                while keeper.take(0, &piece).is_err_and(|error| error.kind() == io::ErrorKind::StorageFull) {
                    sleep(NO_ROOM).await;
                }
                self.flush().await;
                Took::Nothing
            }
        }
    }

    /// Writes what was gathered.
    async fn flush(&mut self) {
        let To::Reduced(keeper) = &mut self.to else { return };
        while let Err(error) = keeper.flush() {
            tracing::warn!("output cannot be kept now: {error}");
            sleep(NO_ROOM).await;
        }
    }

    fn close(self, custody: &Custody) -> Output {
        match self.to {
            To::Runner { frames, .. } => {
                if frames.lost() > 0 {
                    custody.note(format!(
                        "{} bytes of its output were lost: the log was rotated while nobody read it",
                        frames.lost()
                    ));
                }
                if let Some(why) = frames.unkept() {
                    custody.note(why);
                }
                if !self.strange.is_empty() {
                    custody.note(format!("its first process said: {}", self.strange));
                }
                Output { is_complete: frames.is_complete(), strange: self.strange, ..Output::default() }
            }
            To::Reduced(keeper) => {
                if keeper.gaps() > 0 {
                    custody.note("a part of its output was lost: the log was rotated while nobody read it");
                }
                Output { kept: keeper.kept(), is_cut: keeper.is_cut(), is_complete: true, strange: String::new() }
            }
        }
    }
}
