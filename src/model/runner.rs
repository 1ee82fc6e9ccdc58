//! The runner's decisions: when to ask, when to insist, when the gate runs, when everything is over.
//!
//! A pure machine: the runner (or a simulator) feeds [`Input`]s with the monotonic time and performs the [`Effect`]s.

use super::attempt::{End, GateEnd, RunnerSpec, StopCause, StopSignal};
use super::state::BudgetOf;
use super::time::Mono;

/// What the machine needs of the specification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Longest run of the command.
    pub timeout_ms: Option<u64>,
    /// Longest time without output.
    pub silence_ms: Option<u64>,
    /// Between asking and insisting.
    pub grace_ms: u64,
    /// How to ask.
    pub stop: StopSignal,
    /// Bytes of output.
    pub output_limit: u64,
    /// Bytes of memory, when it is the runner who watches.
    pub memory: Option<u64>,
    /// Processes and threads, when it is the runner who watches.
    pub pids: Option<u32>,
    /// Longest look at the condition of a task that repeats.
    pub round_timeout_ms: Option<u64>,
    /// Longest run of the gate, when there is one.
    pub gate_timeout_ms: Option<u64>,
}

impl From<&RunnerSpec> for Limits {
    fn from(spec: &RunnerSpec) -> Limits {
        Limits {
            timeout_ms: spec.timeout_ms,
            silence_ms: spec.silence_ms,
            grace_ms: spec.grace_ms,
            stop: spec.stop,
            output_limit: spec.output_limit,
            memory: spec.resources.memory,
            pids: spec.resources.pids,
            round_timeout_ms: spec.round.as_ref().map(|r| r.timeout_ms),
            gate_timeout_ms: spec.gate.as_ref().map(|g| g.timeout_ms),
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Begin.
    Start,
    /// What was to be spawned never ran.
    NotStarted(End),
    /// The command, the condition or the gate ended.
    Exited {
        /// How.
        end: End,
        /// No descendant is left.
        alone: bool,
    },
    /// No descendant is left.
    TreeEmpty,
    /// Everything that was written is stored (asked for by [`Effect::Drain`]).
    Drained,
    /// The command wrote something.
    Output {
        /// Stdout and stderr since the start.
        total: u64,
    },
    /// SIGTERM or SIGUSR1 arrived.
    Asked {
        /// Without grace.
        kill: bool,
    },
    /// A stop or kill reached so many processes.
    Signalled {
        /// Processes other than the command (condition, gate) itself.
        others: u32,
    },
    /// What the tree uses (asked for by [`Effect::Sample`]).
    Usage {
        /// Bytes.
        memory: u64,
        /// Processes and threads.
        pids: u32,
    },
    /// Whether the task waits for a person: then neither its timeout nor its silence passes.
    Waiting(bool),
    /// The credential of a Claude run was refused.
    Refused,
    /// A Claude run has used its allowance, or a budget that it shares is spent.
    OverBudget(BudgetOf),
    /// The kernel enforced a limit.
    Enforced(StopCause),
    /// A deadline may have passed.
    Tick,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Start the command.
    SpawnCommand,
    /// Start the condition.
    SpawnRound,
    /// Start the gate.
    SpawnGate,
    /// Ask: TERM to every process that was not sent it before, or INT to the command alone. Answer with
    /// [`Input::Signalled`].
    Ask(StopSignal),
    /// KILL every process. Answer with [`Input::Signalled`].
    Kill,
    /// Measure the tree; answer with [`Input::Usage`].
    Sample,
    /// Store what is still in the pipes, whose writers are gone; answer with [`Input::Drained`].
    Drain,
    /// Stop trying to store output.
    GiveUpOutput,
    /// Write the exit record and end. Comes exactly once, last.
    WriteExit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Starting,
    Running,
    /// Asked; insists at `kill_at`.
    Stopping {
        kill_at: Mono,
    },
    /// Insisting, again and again: what is forked meanwhile, or sleeps in the kernel, needs another try.
    Killing {
        again_at: Mono,
        pause_ms: u64,
    },
    /// The tree is gone, its output is not all stored.
    Draining {
        give_up_at: Option<Mono>,
    },
    Finished,
}

/// What runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Command,
    Round,
    Gate,
}

/// Between two looks at the tree's memory and size.
pub const SAMPLE_MS: u64 = 1000;
const FIRST_KILL_PAUSE_MS: u64 = 20;
const LAST_KILL_PAUSE_MS: u64 = 1000;

/// The runner's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    limits: Limits,
    phase: Phase,
    stage: Stage,
    started: Mono,
    /// Since when it waits for a person.
    waiting: Option<Mono>,
    /// How long it has waited for one before.
    waited_ms: u64,
    elapsed_ms: u64,
    heard: Mono,
    sample_at: Mono,
    output: u64,
    end: Option<End>,
    round_end: Option<End>,
    gate_end: Option<End>,
    timed_out: bool,
    round_timed_out: bool,
    stopped: Option<StopCause>,
    leftovers: u32,
}

impl Machine {
    /// Nothing has started yet; feed [`Input::Start`].
    pub fn new(limits: Limits) -> Machine {
        Machine {
            limits,
            phase: Phase::Starting,
            stage: Stage::Command,
            started: Mono(0),
            waiting: None,
            waited_ms: 0,
            elapsed_ms: 0,
            heard: Mono(0),
            sample_at: Mono(0),
            output: 0,
            end: None,
            round_end: None,
            gate_end: None,
            timed_out: false,
            round_timed_out: false,
            stopped: None,
            leftovers: 0,
        }
    }

    /// How the command ended, once it has.
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// Why it was ended, if it was.
    pub fn stopped(&self) -> Option<&StopCause> {
        self.stopped.as_ref()
    }

    /// How the gate ended, once it has.
    pub fn gate(&self) -> Option<GateEnd> {
        self.gate_end.clone().map(|end| GateEnd { end, timed_out: self.timed_out })
    }

    /// How the condition ended, once it has.
    pub fn round(&self) -> Option<GateEnd> {
        self.round_end.clone().map(|end| GateEnd { end, timed_out: self.round_timed_out })
    }

    /// Processes that outlived the command and were ended.
    pub fn leftovers(&self) -> u32 {
        self.leftovers
    }

    /// The command's run, in milliseconds.
    pub fn elapsed_ms(&self) -> u64 {
        self.elapsed_ms
    }

    /// Whether the exit record was asked for.
    pub fn is_finished(&self) -> bool {
        self.phase == Phase::Finished
    }

    /// When to feed [`Input::Tick`] at the latest.
    pub fn deadline(&self) -> Option<Mono> {
        match self.phase {
            Phase::Starting | Phase::Finished => None,
            Phase::Stopping { kill_at } => Some(kill_at),
            Phase::Killing { again_at, .. } => Some(again_at),
            Phase::Draining { give_up_at } => give_up_at,
            Phase::Running => {
                [self.timeout_at(), self.silence_at(), self.watches().then_some(self.sample_at)].into_iter().flatten().min()
            }
        }
    }

    /// Takes one fact in. Total: what cannot be, or comes late, changes nothing.
    pub fn step(&mut self, now: Mono, input: Input) -> Vec<Effect> {
        match (self.phase, input) {
            (Phase::Finished, _) => Vec::new(),
            (Phase::Starting, Input::Start) => self.spawn(now, Effect::SpawnCommand),
            (Phase::Starting, _) => Vec::new(),
            (_, Input::NotStarted(end)) => self.exited(now, end, true),
            (_, Input::Exited { end, alone }) => self.exited(now, end, alone),
            (Phase::Draining { .. }, Input::Drained) => self.over(now),
            (Phase::Draining { .. }, Input::Asked { kill }) => {
                // Only a full disk keeps us, and whoever asks no longer wants to wait for it.
                self.note_asked(kill);
                self.finish(vec![Effect::GiveUpOutput])
            }
            (Phase::Draining { give_up_at: Some(at) }, Input::Tick) if now >= at => {
                let mut effects = vec![Effect::GiveUpOutput];
                effects.extend(self.over(now));
                effects
            }
            (Phase::Draining { .. }, _) => Vec::new(),
            (_, Input::TreeEmpty) if self.main_is_over() => self.drain(now),
            (_, Input::Signalled { others }) => {
                if self.main_is_over() {
                    self.leftovers = self.leftovers.max(others);
                }
                Vec::new()
            }
            (_, Input::Asked { kill }) => self.asked(now, kill),
            (_, Input::Output { total }) => self.wrote(now, total),
            (_, Input::Waiting(waits)) => self.wait(now, waits),
            (Phase::Running, Input::Refused) if self.stage == Stage::Command => self.stop(now, StopCause::Refused, false),
            (Phase::Running, Input::OverBudget(of)) if self.stage == Stage::Command => {
                self.stop(now, StopCause::Budget { of }, false)
            }
            (Phase::Running, Input::Usage { memory, pids }) => self.used(now, memory, pids),
            (Phase::Running, Input::Enforced(cause)) => self.stop(now, cause, true),
            (_, Input::Tick) => self.tick(now),
            (
                _,
                Input::Start
                | Input::TreeEmpty
                | Input::Drained
                | Input::Usage { .. }
                | Input::Enforced(_)
                | Input::Refused
                | Input::OverBudget(_),
            ) => Vec::new(),
        }
    }

    fn timeout_at(&self) -> Option<Mono> {
        let limit = match self.stage {
            Stage::Command if self.waiting.is_some() => None,
            Stage::Command => self.limits.timeout_ms.map(|ms| ms.saturating_add(self.waited_ms)),
            Stage::Round => self.limits.round_timeout_ms,
            Stage::Gate => self.limits.gate_timeout_ms,
        };
        limit.map(|ms| plus(self.started, ms))
    }

    fn silence_at(&self) -> Option<Mono> {
        let listens = self.stage == Stage::Command && self.waiting.is_none();
        self.limits.silence_ms.filter(|_| listens).map(|ms| plus(self.heard, ms))
    }

    /// A person's time is not the task's.
    fn wait(&mut self, now: Mono, waits: bool) -> Vec<Effect> {
        match (self.waiting, waits) {
            (None, true) => self.waiting = Some(now),
            (Some(since), false) => {
                self.waited_ms = self.waited_ms.saturating_add(now.0.saturating_sub(since.0));
                (self.waiting, self.heard) = (None, now);
            }
            _ => {}
        }
        Vec::new()
    }

    fn watches(&self) -> bool {
        self.limits.memory.is_some() || self.limits.pids.is_some()
    }

    fn main_is_over(&self) -> bool {
        match self.stage {
            Stage::Command => self.end.is_some(),
            Stage::Round => self.round_end.is_some(),
            Stage::Gate => self.gate_end.is_some(),
        }
    }

    fn spawn(&mut self, now: Mono, effect: Effect) -> Vec<Effect> {
        self.phase = Phase::Running;
        (self.started, self.heard, self.sample_at) = (now, now, plus(now, SAMPLE_MS));
        vec![effect]
    }

    fn exited(&mut self, now: Mono, end: End, alone: bool) -> Vec<Effect> {
        if self.main_is_over() {
            return Vec::new();
        }
        match self.stage {
            Stage::Command => {
                self.end = Some(end);
                self.elapsed_ms = now.0.saturating_sub(self.started.0);
            }
            Stage::Round => (self.round_end, self.round_timed_out) = (Some(end), std::mem::take(&mut self.timed_out)),
            Stage::Gate => self.gate_end = Some(end),
        }
        match self.phase {
            _ if alone => self.drain(now),
            Phase::Running => {
                self.phase = Phase::Stopping { kill_at: plus(now, self.limits.grace_ms) };
                vec![Effect::Ask(StopSignal::Term)]
            }
            // INT went to the command alone, and TERM may have missed what was being forked: the rest is asked now.
            Phase::Stopping { .. } => vec![Effect::Ask(StopSignal::Term)],
            _ => Vec::new(),
        }
    }

    fn drain(&mut self, now: Mono) -> Vec<Effect> {
        let give_up_at = self.stopped.is_some().then(|| plus(now, self.limits.grace_ms));
        self.phase = Phase::Draining { give_up_at };
        vec![Effect::Drain]
    }

    /// The tree is gone and its output stored.
    fn over(&mut self, now: Mono) -> Vec<Effect> {
        match self.next_stage() {
            Some(stage) => {
                self.stage = stage;
                self.spawn(now, if stage == Stage::Round { Effect::SpawnRound } else { Effect::SpawnGate })
            }
            None => self.finish(Vec::new()),
        }
    }

    /// What follows, unless what ran had a reason to end it all.
    fn next_stage(&self) -> Option<Stage> {
        if self.end != Some(End::Exited(0)) || self.stopped.is_some() {
            return None;
        }
        let gate = self.limits.gate_timeout_ms.map(|_| Stage::Gate);
        match self.stage {
            Stage::Command => self.limits.round_timeout_ms.map(|_| Stage::Round).or(gate),
            Stage::Round if self.round_end == Some(End::Exited(0)) && !self.round_timed_out => gate,
            Stage::Round | Stage::Gate => None,
        }
    }

    fn finish(&mut self, mut effects: Vec<Effect>) -> Vec<Effect> {
        self.phase = Phase::Finished;
        effects.push(Effect::WriteExit);
        effects
    }

    fn asked(&mut self, now: Mono, kill: bool) -> Vec<Effect> {
        self.note_asked(kill);
        match self.phase {
            Phase::Running if !kill => self.ask(now),
            Phase::Running | Phase::Stopping { .. } if kill => self.kill(now, FIRST_KILL_PAUSE_MS),
            _ => Vec::new(),
        }
    }

    fn note_asked(&mut self, kill: bool) {
        let all_done = self.main_is_over() && self.next_stage().is_none();
        match &mut self.stopped {
            Some(StopCause::Asked { kill: insisted }) => *insisted |= kill,
            Some(_) => {}
            // Only leftovers are being ended, or output stored: what counts had ended by itself.
            None if all_done => {}
            None => self.stopped = Some(StopCause::Asked { kill }),
        }
    }

    fn stop(&mut self, now: Mono, cause: StopCause, at_once: bool) -> Vec<Effect> {
        self.stopped.get_or_insert(cause);
        if at_once { self.kill(now, FIRST_KILL_PAUSE_MS) } else { self.ask(now) }
    }

    fn ask(&mut self, now: Mono) -> Vec<Effect> {
        self.phase = Phase::Stopping { kill_at: plus(now, self.limits.grace_ms) };
        vec![Effect::Ask(if self.stage == Stage::Command { self.limits.stop } else { StopSignal::Term })]
    }

    fn kill(&mut self, now: Mono, pause_ms: u64) -> Vec<Effect> {
        self.phase = Phase::Killing { again_at: plus(now, pause_ms), pause_ms };
        vec![Effect::Kill]
    }

    fn wrote(&mut self, now: Mono, total: u64) -> Vec<Effect> {
        if self.stage != Stage::Command || total <= self.output {
            return Vec::new();
        }
        self.output = total;
        self.heard = now;
        if self.phase == Phase::Running && total > self.limits.output_limit {
            return self.stop(now, StopCause::OutputLimit, false);
        }
        Vec::new()
    }

    fn used(&mut self, now: Mono, memory: u64, pids: u32) -> Vec<Effect> {
        if self.limits.memory.is_some_and(|most| memory > most) {
            return self.stop(now, StopCause::Memory, true);
        }
        if self.limits.pids.is_some_and(|most| pids > most) {
            return self.stop(now, StopCause::Pids, true);
        }
        Vec::new()
    }

    fn tick(&mut self, now: Mono) -> Vec<Effect> {
        match self.phase {
            Phase::Stopping { kill_at } if now >= kill_at => self.kill(now, FIRST_KILL_PAUSE_MS),
            Phase::Killing { again_at, pause_ms } if now >= again_at => self.kill(now, (pause_ms * 2).min(LAST_KILL_PAUSE_MS)),
            Phase::Running if self.timeout_at().is_some_and(|at| now >= at) => {
                if self.stage == Stage::Command {
                    self.stop(now, StopCause::Timeout, false)
                } else {
                    self.timed_out = true;
                    self.ask(now)
                }
            }
            Phase::Running if self.silence_at().is_some_and(|at| now >= at) => self.stop(now, StopCause::Silence, false),
            Phase::Running if self.watches() && now >= self.sample_at => {
                self.sample_at = plus(now, SAMPLE_MS);
                vec![Effect::Sample]
            }
            _ => Vec::new(),
        }
    }
}

fn plus(at: Mono, millis: u64) -> Mono {
    Mono(at.0.saturating_add(millis))
}

#[cfg(test)]
mod tests;
