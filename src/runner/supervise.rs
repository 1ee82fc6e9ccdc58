//! The runner's loop: feeds [`Machine`] with what happens and performs what it decides.

mod start;

use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Signal, WaitOptions, wait};

use super::asking;
use super::copy::Copier;
use super::follow::{self, Follower};
use super::launch::end_of;
use super::records::{ExitFile, write_info};
use super::{RunnerError, launch};
use crate::model::attempt::{End, ExitRecord, RunnerSpec, StopCause, StopSignal};
use crate::model::live::Watch;
use crate::model::runner::{Effect, Input, Limits, Machine};
use crate::model::time::{Mono, Utc};
use crate::os;
use crate::os::cgroup::{Cgroup, Ended};
use crate::os::proc::{Process, descendants, memory, tree};

/// Bytes kept of the gate's output.
const GATE_LOG_LIMIT: u64 = 1 << 20;
/// Between two looks at the size of an output file that the task writes itself.
const LOOK_MS: u64 = 1000;
/// Makes what reads a Claude run's transcript.
pub type MakeWatch = fn() -> Box<dyn Watch>;
/// A pipe to the command, and what is said on it first.
type Talk = (OwnedFd, Vec<u8>);
/// Looks at `/proc` for one effect: what is forked between two of them is found by the next.
const PASSES: u32 = 4;

pub struct Supervisor {
    spec: RunnerSpec,
    machine: Machine,
    signals: OwnedFd,
    exit: Option<ExitFile>,
    boot_id: String,
    started: Utc,
    cgroup: Option<Cgroup>,
    /// What the container's limits had ended before the command began.
    ended_before: Option<Ended>,
    copier: Copier,
    /// How a Claude run is read.
    make_watch: MakeWatch,
    follower: Option<Follower>,
    /// When to see whether a command with a timeout waits for a person; a Claude run's follower looks by itself.
    asks_at: Option<Mono>,
    /// The file the task writes itself, and when to look at it.
    own_file: Option<(File, Mono)>,
    kept: (u64, u64),
    /// The command or the gate.
    main: Option<u32>,
    draining: bool,
    /// Who was sent TERM: pid and start time.
    asked: BTreeSet<(u32, u64)>,
    notes: Vec<String>,
}

impl Supervisor {
    pub fn new(spec: RunnerSpec, make_watch: MakeWatch) -> Result<Supervisor, RunnerError> {
        let signals = os::signal::signals().map_err(|e| RunnerError::new("listen for signals", e))?;
        let exit = ExitFile::reserve()?;
        let mut notes = Vec::new();
        let mut limits = Limits::from(&spec);
        let mut cgroup = None;
        if !spec.resources.is_empty() {
            match Cgroup::make(&spec.mark, &spec.resources) {
                Ok(group) => {
                    (limits.memory, limits.pids) = (None, None);
                    cgroup = Some(group);
                }
                Err(_) if spec.resources.cpus.is_some() => {
                    notes.push("`cpus` is not enforced: no cgroup v2 with the cpu controller is delegated here".to_owned());
                }
                Err(_) => {}
            }
        }
        let (boot_id, started) = (os::boot_id(), os::now().utc);
        write_info(&spec.mark, started, &boot_id, cgroup.as_ref().map(|g| g.path().to_owned()))?;
        Ok(Supervisor {
            machine: Machine::new(limits),
            signals,
            exit: Some(exit),
            boot_id,
            started,
            cgroup,
            ended_before: spec.contained.then(os::cgroup::ended_by_limits),
            copier: Copier::new(Vec::new(), 0, false),
            make_watch,
            follower: None,
            asks_at: (!spec.claude && spec.timeout_ms.is_some()).then(|| os::now().mono),
            own_file: None,
            kept: (0, 0),
            main: None,
            draining: false,
            asked: BTreeSet::new(),
            notes,
            spec,
        })
    }

    /// Runs the attempt to its record.
    pub fn run(mut self) -> Result<(), RunnerError> {
        self.feed(Input::Start)?;
        while !self.machine.is_finished() {
            self.wait()?;
        }
        Ok(())
    }

    fn feed(&mut self, input: Input) -> Result<(), RunnerError> {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for effect in self.machine.step(os::now().mono, input) {
                inputs.extend(self.perform(effect)?);
            }
        }
        Ok(())
    }

    fn perform(&mut self, effect: Effect) -> Result<Option<Input>, RunnerError> {
        Ok(match effect {
            Effect::SpawnCommand => self.spawn_command().err().map(Input::NotStarted),
            Effect::SpawnRound => self.spawn_shell(self.spec.round.clone()).err().map(Input::NotStarted),
            Effect::SpawnGate => self.spawn_shell(self.spec.gate.clone()).err().map(Input::NotStarted),
            Effect::Ask(StopSignal::Int) => {
                if let Some(pid) = self.main {
                    os::signal_pid(pid, Signal::INT);
                    os::signal_pid(pid, Signal::CONT);
                }
                None
            }
            Effect::Ask(StopSignal::Term) => Some(Input::Signalled { others: self.ask_tree() }),
            Effect::Kill => {
                if let Some(group) = &self.cgroup {
                    group.kill();
                }
                let mut others = 0;
                for _ in 0..PASSES {
                    let found = self.tree();
                    found.iter().for_each(|p| os::signal_pid(p.pid, Signal::KILL));
                    others = others.max(self.others(&found));
                    if found.is_empty() {
                        break;
                    }
                }
                Some(Input::Signalled { others })
            }
            Effect::Sample => Some(self.measure()),
            Effect::Drain => {
                self.draining = true;
                self.try_drain()
            }
            Effect::GiveUpOutput => {
                self.copier.give_up();
                None
            }
            Effect::WriteExit => {
                self.write_exit()?;
                None
            }
        })
    }

    /// Waits for the next thing to happen and takes it in.
    fn wait(&mut self) -> Result<(), RunnerError> {
        let look_at = self.own_file.as_ref().map(|(_, at)| *at);
        let deadline = [self.machine.deadline(), self.copier.retry_at(), look_at, self.asks_at].into_iter().flatten().min();
        let timeout = deadline.map(|at| {
            let millis = at.0.saturating_sub(os::now().mono.0).min(3_600_000);
            Timespec { tv_sec: (millis / 1000).cast_signed(), tv_nsec: ((millis % 1000) * 1_000_000).cast_signed() }
        });
        let mut numbers = [0; 2];
        let mut fds = Vec::with_capacity(4);
        fds.push(PollFd::new(&self.signals, PollFlags::IN));
        for ((number, pipe), slot) in self.copier.pipes().zip(&mut numbers) {
            fds.push(PollFd::from_borrowed_fd(pipe, PollFlags::IN));
            *slot = number;
        }
        let pipes = fds.len();
        if let Some(stdin) = self.follower.as_ref().and_then(Follower::blocked) {
            fds.push(PollFd::from_borrowed_fd(stdin, PollFlags::OUT));
        }
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(RunnerError::new("wait for events", e)),
        }
        let signalled = !fds[0].revents().is_empty();
        let ready: Vec<usize> =
            fds[1..pipes].iter().zip(numbers).filter(|(fd, _)| !fd.revents().is_empty()).map(|(_, n)| n).collect();
        let may_talk = fds.get(pipes).is_some_and(|fd| !fd.revents().is_empty());
        drop(fds);
        if may_talk && let Some((_, at)) = &mut self.own_file {
            *at = Mono(0);
        }
        for stream in ready {
            if self.copier.retry_at().is_none() {
                self.copier.read(stream, os::now());
            }
        }
        self.look(signalled)
    }

    fn look(&mut self, signalled: bool) -> Result<(), RunnerError> {
        let now = os::now();
        if self.copier.retry_at().is_some_and(|at| now.mono >= at) {
            self.copier.flush(now);
        }
        if self.asks_at.is_some_and(|at| now.mono >= at) {
            self.asks_at = Some(Mono(now.mono.0 + LOOK_MS));
            let seal = (self.spec.seal.clone(), self.spec.mark.clone());
            self.feed(Input::Waiting(asking::waits(Path::new("."), &seal)))?;
        }
        if let Some((_, at)) = self.own_file.as_mut().filter(|(_, at)| now.mono >= *at) {
            *at = Mono(now.mono.0 + if self.spec.claude { follow::LOOK_MS } else { LOOK_MS });
            if let Some(follower) = &mut self.follower {
                for input in follower.look(now.mono) {
                    self.feed(input)?;
                }
            }
        }
        let total = self.own_size() + self.copier.seen();
        self.feed(Input::Output { total })?;
        if signalled {
            let told = os::signal::told(&self.signals);
            if told.stop || told.kill {
                self.feed(Input::Asked { kill: told.kill })?;
            }
            if told.child {
                self.reap()?;
            }
        }
        if self.draining
            && let Some(input) = self.try_drain()
        {
            self.feed(input)?;
        }
        self.feed(Input::Tick)
    }

    fn reap(&mut self) -> Result<(), RunnerError> {
        let mut ended = None;
        let alone = loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if Some(pid.as_raw_nonzero().get().unsigned_abs()) == self.main => {
                    ended = Some(end_of(status))
                }
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => break false,
                // No child is left, and every descendant is a child's: there is none.
                Err(_) => break true,
            }
        };
        if ended.is_some() {
            self.main = None;
        }
        if let Some(group) = self.cgroup.as_ref().filter(|_| ended.as_ref().is_some_and(|e| *e != End::Exited(0))) {
            if self.spec.resources.memory.is_some() && group.oom_killed() {
                self.feed(Input::Enforced(StopCause::Memory))?;
            } else if self.spec.resources.pids.is_some() && group.forks_refused() {
                self.notes.push("a fork was refused: the limit `pids` was reached".to_owned());
            }
        }
        if let Some(before) = self.ended_before.filter(|_| ended.is_some()) {
            let now = os::cgroup::ended_by_limits();
            if now.killed > before.killed && ended == Some(End::Exited(0)) {
                self.notes.push("a process was killed: the container's limit `memory` was reached".to_owned());
            } else if now.killed > before.killed {
                self.feed(Input::Enforced(StopCause::Memory))?;
            } else if now.forks_refused > before.forks_refused {
                self.notes.push("a fork was refused: the container's limit `pids` was reached".to_owned());
            }
        }
        match ended {
            Some(end) => self.feed(Input::Exited { end, alone }),
            None if alone => self.feed(Input::TreeEmpty),
            None => Ok(()),
        }
    }

    /// Sends TERM, once, to every process of the tree (and wakes it, should it be stopped); how many there are besides
    /// the command or gate itself.
    fn ask_tree(&mut self) -> u32 {
        let mut others = 0;
        for _ in 0..PASSES {
            let found = self.tree();
            others = others.max(self.others(&found));
            let mut news = false;
            for process in found {
                if self.asked.insert((process.pid, process.start_ticks)) {
                    os::signal_pid(process.pid, Signal::TERM);
                    os::signal_pid(process.pid, Signal::CONT);
                    news = true;
                }
            }
            if !news {
                break;
            }
        }
        others
    }

    /// Empty as well when `/proc` cannot be read: then the next try finds them, and the end of the tree is known from
    /// `wait` alone.
    fn tree(&self) -> Vec<Process> {
        tree(std::process::id(), &self.spec.mark).unwrap_or_default()
    }

    fn others(&self, found: &[Process]) -> u32 {
        u32::try_from(found.iter().filter(|p| Some(p.pid) != self.main).count()).unwrap_or(u32::MAX)
    }

    fn measure(&self) -> Input {
        let found = descendants(std::process::id()).unwrap_or_default();
        let watched = self.spec.resources.memory.is_some();
        Input::Usage {
            memory: if watched { found.iter().map(|p| memory(p.pid)).sum() } else { 0 },
            pids: found.iter().map(|p| p.threads).sum(),
        }
    }

    fn try_drain(&mut self) -> Option<Input> {
        let now = os::now();
        self.copier.drain(now).then(|| {
            self.draining = false;
            Input::Drained
        })
    }

    fn own_size(&self) -> u64 {
        self.own_file.as_ref().map_or(0, |(file, _)| rustix::fs::fstat(file).map_or(0, |s| u64::try_from(s.st_size).unwrap_or(0)))
    }

    fn kept_output(&self) -> (u64, u64) {
        (self.own_size() + self.copier.kept("out"), self.copier.kept("err"))
    }

    fn write_exit(&mut self) -> Result<(), RunnerError> {
        let Some(file) = self.exit.take() else { return Ok(()) };
        if self.machine.gate().is_none() && self.machine.round().is_none() {
            self.kept = self.kept_output();
        }
        self.notes.extend(self.copier.take_notes());
        self.follower.iter_mut().for_each(Follower::finish);
        let missing = self.keep();
        let (cpu_ms, max_rss_kib) = os::children_usage();
        let lost = || launch::failed(Errno::IO, "the runner lost track of its command".into());
        file.write(&ExitRecord {
            mark: std::mem::take(&mut self.spec.mark),
            boot_id: std::mem::take(&mut self.boot_id),
            started: self.started,
            ended: os::now().utc,
            elapsed_ms: self.machine.elapsed_ms(),
            end: self.machine.end().cloned().unwrap_or_else(lost),
            stopped: self.machine.stopped().cloned(),
            gate: self.machine.gate(),
            round: self.machine.round(),
            tree: tree_digest(),
            missing,
            spent: self.follower.as_ref().map(Follower::spent),
            leftovers: self.machine.leftovers(),
            out_bytes: self.kept.0,
            err_bytes: self.kept.1,
            cpu_ms,
            max_rss_kib,
            notes: std::mem::take(&mut self.notes),
        })
    }
}

/// The digest of the workspace's git tree, as the condition of a task that repeats left it.
fn tree_digest() -> Option<String> {
    use std::io::Read as _;
    let mut text = String::new();
    os::open_regular("tree".as_ref()).ok()?.take(200).read_to_string(&mut text).ok()?;
    Some(text.trim().to_owned()).filter(|digest| !digest.is_empty())
}
