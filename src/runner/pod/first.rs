//! What stands between the runner, whoever ends pods, and whoever reads what is said: signals, standard input and output.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::Signal;

use super::ear::Ear;
use super::remark;
use crate::model::attempt::End;
use crate::model::pod::{LineWriter, Word};
use crate::model::relay::Frame;
use crate::os;
use crate::os::first::{Reaped, end_others, reap_any};
use crate::os::proc::tree;
use crate::runner::launch::end_of;

/// Bytes of one write: so much a pipe takes that is said to take anything, without keeping us waiting.
const WRITE: usize = 4096;
/// Between two looks at a reader that takes nothing.
const LOOK: Duration = Duration::from_secs(1);
/// Longest wait, once the runner has ended, for a reader that takes nothing.
const PATIENCE: Duration = Duration::from_mins(10);
/// Longest wait for what was killed to be gone, and between two looks at it.
const SWEEP: Duration = Duration::from_secs(5);
const SWEEP_LOOK: Duration = Duration::from_millis(10);
/// Words that could not be followed of which is told.
const MAX_REMARKS: u32 = 20;

/// The first process.
pub(super) struct First {
    /// The attempt's directory.
    pub dir: PathBuf,
    signals: OwnedFd,
    runner: Option<u32>,
    end: Option<End>,
    /// None once nobody can say anything any more.
    ear: Option<Ear>,
    lines: LineWriter,
    /// Whether anybody takes what is said.
    is_heard: bool,
    remarks: u32,
}

impl First {
    /// Of the attempt in `dir`.
    pub fn new(dir: &Path, signals: OwnedFd, nonce: &str) -> First {
        First {
            dir: dir.to_owned(),
            signals,
            runner: None,
            end: None,
            ear: Some(Ear::default()),
            lines: LineWriter::new(nonce),
            is_heard: true,
            remarks: 0,
        }
    }

    /// Knows the runner: a child that was not waited for.
    pub fn watch(&mut self, runner: u32) {
        self.runner = Some(runner);
    }

    /// How the runner ended, once it has.
    pub fn end(&self) -> Option<End> {
        self.end.clone()
    }

    /// Waits so long for something to happen, and does what it asks for; whether something can be said now, when that is waited for
    /// too.
    pub fn wait(&mut self, patience: Duration, to_speak: bool) -> bool {
        let timeout = Timespec { tv_sec: patience.as_secs().cast_signed(), tv_nsec: patience.subsec_nanos().into() };
        let (stdin, stdout) = (rustix::stdio::stdin(), rustix::stdio::stdout());
        let mut fds = Vec::with_capacity(3);
        fds.push(PollFd::new(&self.signals, PollFlags::IN));
        if to_speak {
            fds.push(PollFd::from_borrowed_fd(stdout, PollFlags::OUT));
        }
        if self.ear.is_some() {
            fds.push(PollFd::from_borrowed_fd(stdin, PollFlags::IN));
        }
        match poll(&mut fds, Some(&timeout)) {
            // Where nothing is told of children either, by whatever this process was started with.
            Ok(0) => {
                drop(fds);
                self.reap();
                return false;
            }
            Ok(_) => {}
            Err(Errno::INTR) => return false,
            Err(_) => {
                // The kernel has no memory for it now.
                std::thread::sleep(patience);
                return false;
            }
        }
        let is_ready = |at: usize| fds.get(at).is_some_and(|fd| !fd.revents().is_empty());
        let told = is_ready(0);
        let can_speak = to_speak && is_ready(1);
        let says = self.ear.is_some() && is_ready(usize::from(to_speak) + 1);
        drop(fds);
        if told {
            self.attend();
        }
        if says {
            self.hear(stdin);
        }
        can_speak
    }

    /// Says a frame. A reader that is slow is waited for; one that is gone is not, and all goes on without it.
    ///
    /// # Errors
    /// Never: for callers whose tellers can fail.
    pub fn say(&mut self, frame: &Frame) -> io::Result<()> {
        if !self.is_heard {
            return Ok(());
        }
        let lines = self.lines.lines(frame);
        let mut rest = lines.as_slice();
        let mut taken = Instant::now();
        while !rest.is_empty() {
            if self.wait(LOOK, true) {
                match rustix::io::write(rustix::stdio::stdout(), &rest[..rest.len().min(WRITE)]) {
                    Ok(count) => (rest, taken) = (&rest[count..], Instant::now()),
                    Err(Errno::INTR | Errno::AGAIN) => {}
                    Err(_) => self.is_heard = false,
                }
            }
            if self.runner.is_none() && taken.elapsed() > PATIENCE {
                self.is_heard = false;
            }
            if !self.is_heard {
                break;
            }
        }
        Ok(())
    }

    /// Kills whatever is left of the attempt, and of a pod whose first process this is everything.
    pub fn sweep(&mut self, mark: &str) {
        let begun = Instant::now();
        loop {
            end_others();
            let left = tree(std::process::id(), mark).unwrap_or_default();
            left.iter().for_each(|process| os::signal_pid(process.pid, Signal::KILL));
            self.reap();
            if left.is_empty() || begun.elapsed() > SWEEP {
                return;
            }
            self.wait(SWEEP_LOOK, false);
        }
    }

    fn attend(&mut self) {
        let told = os::signal::told(&self.signals);
        if told.stop {
            self.pass_on(Signal::TERM);
        }
        if told.kill {
            self.pass_on(Signal::USR1);
        }
        if told.child {
            self.reap();
        }
    }

    fn pass_on(&self, signal: Signal) {
        if let Some(runner) = self.runner {
            os::signal_pid(runner, signal);
        }
    }

    fn reap(&mut self) {
        loop {
            let end = match reap_any() {
                Reaped::One(pid, status) if Some(pid) == self.runner => end_of(status),
                Reaped::One(..) => continue,
                Reaped::None => return,
                // Somebody has had the system take leave of children by itself: how it ended is not known.
                Reaped::Childless if self.runner.is_some() => End::Exited(1),
                Reaped::Childless => return,
            };
            (self.runner, self.end) = (None, Some(end));
        }
    }

    fn hear(&mut self, stdin: impl AsFd) {
        let mut bytes = [0; 16 << 10];
        let count = match rustix::io::read(stdin, &mut bytes) {
            Ok(count) => count,
            Err(Errno::INTR | Errno::AGAIN) => return,
            Err(_) => 0,
        };
        if count == 0 {
            // Polled on, an end would be news for ever.
            self.ear = None;
            return;
        }
        let words = self.ear.as_mut().map(|ear| ear.take(&bytes[..count])).unwrap_or_default();
        for word in words {
            match word {
                Word::Kill => self.pass_on(Signal::USR1),
                Word::Put(name, content) => self.put(&name, &content),
            }
        }
    }

    fn put(&mut self, name: &str, content: &[u8]) {
        let put = os::Held::make(&self.dir.join("inbox")).and_then(|inbox| inbox.put(name, content, None));
        if let Err(error) = put
            && self.remarks < MAX_REMARKS
        {
            self.remarks += 1;
            remark(&format!("{name} could not be put into the inbox: {error}"));
        }
    }
}
