//! Runners as processes: each drives the real machine, and a command that lives its own life.

use std::collections::BTreeMap;

use airx::model::artifact::{ArtifactFacts, NamedArtifact};
use airx::model::attempt::{AddedTask, End, ExitRecord, OutboxBody, OutboxItem, Progress, RunnerSpec, StopSignal};
use airx::model::change::TaskResult;
use airx::model::ids::AttemptId;
use airx::model::question::{Answer, Question, QuestionBody};
use airx::model::report::ResultFinding;
use airx::model::runner::{Effect, Input, Limits, Machine};
use airx::model::spec::{Action, TaskSpec};
use airx::model::time::{Mono, Utc};

use crate::claude::Run;
use crate::dice::Dice;

/// An attempt's directory, and the processes that belong to it.
pub struct Attempt {
    pub id: AttemptId,
    /// Whether the lock was made: from then on it is never started again.
    pub locked: bool,
    /// Times a runner was started.
    pub starts: u32,
    pub runner: Option<Runner>,
    pub exit: Option<ExitRecord>,
    pub outbox: Vec<OutboxItem>,
    /// Boot under which it began.
    pub boot: u32,
    /// A person gave up waiting for it.
    pub abandoned: bool,
    /// Processes of the command that are alive, whatever became of the runner.
    pub command: bool,
    pub others: u32,
    /// What its result is, once it has ended as one must that has a result.
    pub value: Option<u64>,
    /// What only a Claude run has.
    pub run: Option<Run>,
    /// Answers to its questions; one that is there stays.
    pub inbox: BTreeMap<String, Answer>,
}

/// A runner that is alive.
pub struct Runner {
    has_result: bool,
    has_artifacts: bool,
    machine: Machine,
    script: Script,
    ends_at: Option<Mono>,
    gate_ends_at: Option<Mono>,
    /// How the condition or the gate that runs will end.
    gate_end: End,
    /// SIGSTOPped.
    pub frozen: bool,
}

/// What a command does with its life.
#[derive(Debug, Clone)]
pub struct Script {
    pub runs_ms: u64,
    end: End,
    ignores_term: bool,
    leaves: u32,
    outbox: Vec<OutboxItem>,
    gate_ms: u64,
    gate: End,
    /// How the condition of a task that repeats ends, and the tree it is left with.
    round: End,
    tree: Option<String>,
    /// Whether what it prints is what its result should be, and whether what it should leave is there.
    prints_result: bool,
    leaves_files: bool,
}

impl Script {
    /// A life for this attempt of this task. What it asks for in the outbox is mostly the same at every attempt.
    pub fn roll(dice: &mut Dice, id: AttemptId, spec: &TaskSpec, is_calm: bool) -> Script {
        let end = match dice.below(10) {
            _ if is_calm => End::Exited(0),
            0..7 => End::Exited(0),
            7 | 8 => End::Exited(1 + dice.below(3) as i32),
            _ => End::Signalled(11),
        };
        let mut outbox: Vec<OutboxItem> = Vec::new();
        let depth = spec.id.matches('-').count() as u64;
        if !is_calm && depth < 2 && u64::from(id.task.0) % 4 == 1 {
            for n in 1..=1 + u64::from(id.job.0) % 3 {
                let named = n % 2 == 0;
                // Now and then a retried parent asks for something else under the same key.
                let other = dice.chance(60);
                let key = if named { format!("{}-sub{n}", spec.id) } else { format!("#{n}") };
                let program = if other { "other" } else { "child" }.to_owned();
                outbox.push(OutboxItem {
                    seq: n as u32,
                    key: key.clone(),
                    body: OutboxBody::Add(Box::new(AddedTask {
                        id: named.then_some(key),
                        needs: Vec::new(),
                        action: Action::Command { program, args: Vec::new() },
                    })),
                });
            }
            let seq = outbox.len() as u32 + 1;
            let body = if dice.chance(500) {
                OutboxBody::Result(serde_json::json!(id.number))
            } else if dice.chance(300) {
                OutboxBody::Unfit("it does not fit".to_owned())
            } else {
                OutboxBody::Progress(Progress { done: 1, total: Some(2), text: None })
            };
            outbox.push(OutboxItem { seq, key: format!("x#{seq}"), body });
        }
        outbox.extend(questions(dice, spec, outbox.len() as u32, is_calm));
        let hangs = !is_calm && matches!(spec.action, Action::Claude(_)) && dice.chance(60);
        Script {
            runs_ms: if hangs { HANGS_MS } else { dice.below(if is_calm { 2_000 } else { 20_000 }) },
            end,
            ignores_term: dice.chance(200),
            leaves: if dice.chance(150) { 1 + dice.below(3) as u32 } else { 0 },
            outbox,
            gate_ms: dice.below(3_000),
            gate: if is_calm || dice.chance(700) { End::Exited(0) } else { End::Exited(1) },
            round: if is_calm || dice.chance(400) { End::Exited(0) } else { End::Exited(1) },
            tree: dice.chance(800).then(|| dice.below(3).to_string()),
            prints_result: is_calm || dice.chance(800),
            leaves_files: is_calm || dice.chance(800),
        }
    }
}

/// Longer than anything waits.
const HANGS_MS: u64 = 1 << 40;

/// What an attempt asks a person: Claude runs mostly, and now and then a command.
fn questions(dice: &mut Dice, spec: &TaskSpec, after: u32, is_calm: bool) -> Vec<OutboxItem> {
    let often = if matches!(spec.action, Action::Claude(_)) { 400 } else { 20 };
    if is_calm || !dice.chance(often) {
        return Vec::new();
    }
    let question = |dice: &mut Dice, n: u32| {
        let body = if dice.chance(700) {
            let rule = format!("Bash({})", dice.below(2));
            QuestionBody::Permission { tool: "Bash".to_owned(), input: serde_json::json!({}), rules: vec![rule] }
        } else {
            QuestionBody::Words { text: "which?".to_owned(), options: Vec::new() }
        };
        let key = format!("q{n}");
        OutboxItem { seq: after + n, key: key.clone(), body: OutboxBody::Ask(Box::new(Question { key, body })) }
    };
    (1..=1 + dice.below(3) as u32).map(|n| question(dice, n)).collect()
}

impl Attempt {
    pub fn new(id: AttemptId, boot: u32) -> Attempt {
        Attempt {
            id,
            locked: false,
            starts: 0,
            runner: None,
            exit: None,
            outbox: Vec::new(),
            boot,
            abandoned: false,
            command: false,
            others: 0,
            value: None,
            run: None,
            inbox: BTreeMap::new(),
        }
    }

    /// What reading its result gives.
    pub fn result(&self) -> Option<ResultFinding> {
        Some(match self.value? {
            0 => ResultFinding::Bad("it does not fit".to_owned()),
            value => ResultFinding::Value(TaskResult::Inline(std::sync::Arc::new(value.into()))),
        })
    }

    /// What was kept of its workspace.
    pub fn artifacts(&self) -> Option<ArtifactFacts> {
        self.exit.as_ref().filter(|exit| exit.missing.is_none() && self.id.number.is_multiple_of(2))?;
        Some(ArtifactFacts { count: 1, bytes: 3, named: vec![NamedArtifact { name: "out".to_owned(), bytes: 3 }] })
    }

    /// Whether something that it asked is not answered.
    fn waits(&self) -> bool {
        self.outbox.iter().any(|item| matches!(&item.body, OutboxBody::Ask(question) if !self.inbox.contains_key(&question.key)))
    }

    /// Whether anything of it is alive.
    pub fn is_alive(&self) -> bool {
        self.runner.is_some() || self.command || self.others > 0
    }

    /// Starts a runner.
    pub fn start(&mut self, spec: &RunnerSpec, script: Script, now: Mono) {
        self.locked = true;
        self.starts += 1;
        let machine = Machine::new(Limits::from(spec));
        let gate_end = End::Exited(0);
        let (has_result, has_artifacts) = (spec.result.is_some(), spec.artifacts.is_some());
        let ends_at = None;
        self.runner =
            Some(Runner { has_result, has_artifacts, machine, script, ends_at, gate_ends_at: None, gate_end, frozen: false });
        self.feed(Input::Start, now);
    }

    /// Lets the runner's time pass.
    pub fn advance(&mut self, now: Mono) {
        let Some(runner) = &self.runner else { return };
        if runner.frozen {
            return;
        }
        if let Some(run) = self.run.as_mut().filter(|_| self.command) {
            run.live(now);
            let spent = run.seems().cost_microusd;
            let over = run.allowance.filter(|allowance| allowance.left.microusd.is_some_and(|left| spent > left));
            if let Some(allowance) = over {
                self.feed(Input::OverBudget(allowance.of), now);
            }
        }
        let Some(runner) = &self.runner else { return };
        if self.command {
            // Requests appear while it runs, one after the other.
            let (written, total) = (self.outbox.len(), runner.script.outbox.len());
            if written < total {
                let item = runner.script.outbox[written].clone();
                self.outbox.push(item);
            }
        }
        let runner = self.runner.as_ref().expect("checked above");
        let is_due = self.command && runner.ends_at.is_some_and(|at| now >= at);
        if is_due {
            let rest: Vec<OutboxItem> = runner.script.outbox.iter().skip(self.outbox.len()).cloned().collect();
            self.outbox.extend(rest);
        }
        let waits = self.waits();
        if self.command {
            self.feed(Input::Waiting(waits), now);
        }
        if let Some(runner) = self.runner.as_mut().filter(|_| is_due && !waits) {
            runner.ends_at = None;
            self.command = false;
            let end = runner.script.end.clone();
            let end = self.run.as_ref().map_or(end.clone(), |run| run.end(end));
            self.feed(Input::Exited { end, alone: self.others == 0 }, now);
        }
        let Some(runner) = self.runner.as_mut() else { return };
        if runner.gate_ends_at.is_some_and(|at| now >= at) {
            runner.gate_ends_at = None;
            let end = runner.gate_end.clone();
            self.feed(Input::Exited { end, alone: true }, now);
        }
        if self.runner.as_ref().is_some_and(|runner| runner.machine.deadline().is_some_and(|at| now >= at)) {
            self.feed(Input::Tick, now);
        }
    }

    /// A signal reaches the runner.
    pub fn ask(&mut self, kill: bool, now: Mono) {
        if self.runner.as_ref().is_some_and(|runner| !runner.frozen) {
            self.feed(Input::Asked { kill }, now);
        }
    }

    /// Word from the manager that a budget is spent.
    pub fn over_budget(&mut self, of: airx::model::state::BudgetOf, now: Mono) {
        if self.runner.as_ref().is_some_and(|runner| !runner.frozen) {
            self.feed(Input::OverBudget(of), now);
        }
    }

    /// The runner is killed; what it started lives on.
    pub fn lose_runner(&mut self) {
        self.runner = None;
    }

    /// Everything of it is killed.
    pub fn sweep(&mut self) {
        self.runner = None;
        self.command = false;
        self.others = 0;
    }

    /// When something happens by itself.
    pub fn wakes(&self) -> Option<Mono> {
        let runner = self.runner.as_ref().filter(|runner| !runner.frozen)?;
        let ends_at = runner.ends_at.filter(|_| !self.waits());
        [ends_at, runner.gate_ends_at, runner.machine.deadline()].into_iter().flatten().min()
    }

    fn feed(&mut self, input: Input, now: Mono) {
        let mut inputs = vec![input];
        while let (Some(input), Some(runner)) = (inputs.pop(), self.runner.as_mut()) {
            let effects = runner.machine.step(now, input);
            for effect in effects {
                inputs.extend(self.perform(effect, now));
            }
        }
    }

    fn perform(&mut self, effect: Effect, now: Mono) -> Option<Input> {
        let runner = self.runner.as_mut()?;
        match effect {
            Effect::SpawnCommand => {
                self.command = true;
                self.others = runner.script.leaves;
                runner.ends_at = Some(Mono(now.0 + runner.script.runs_ms));
                None
            }
            Effect::SpawnRound => {
                runner.gate_end = runner.script.round.clone();
                runner.gate_ends_at = Some(Mono(now.0 + runner.script.gate_ms));
                None
            }
            Effect::SpawnGate => {
                runner.gate_end = runner.script.gate.clone();
                runner.gate_ends_at = Some(Mono(now.0 + runner.script.gate_ms));
                None
            }
            Effect::Ask(signal) if runner.script.ignores_term => {
                let others = if signal == StopSignal::Term { self.others } else { 0 };
                Some(Input::Signalled { others })
            }
            Effect::Ask(_) => self.end_all(15),
            Effect::Kill => self.end_all(9),
            Effect::Drain => Some(Input::Drained),
            Effect::Sample | Effect::GiveUpOutput => None,
            Effect::WriteExit => {
                let is_success = runner.machine.end() == Some(&End::Exited(0)) && runner.machine.stopped().is_none();
                self.value = (is_success && runner.has_result).then(|| u64::from(runner.script.prints_result));
                let has_run = !matches!(runner.machine.end(), None | Some(End::NotStarted { .. }));
                let is_missing = has_run && runner.has_artifacts && !runner.script.leaves_files;
                self.exit = Some(ExitRecord {
                    mark: self.id.to_string(),
                    boot_id: self.boot.to_string(),
                    started: Utc(0),
                    ended: Utc(0),
                    elapsed_ms: runner.machine.elapsed_ms(),
                    end: runner.machine.end().cloned().unwrap_or(End::Signalled(9)),
                    stopped: runner.machine.stopped().cloned(),
                    gate: runner.machine.gate(),
                    round: runner.machine.round(),
                    tree: runner.script.tree.clone(),
                    missing: is_missing.then(|| "out".to_owned()),
                    spent: self.run.as_ref().map(Run::seems),
                    leftovers: runner.machine.leftovers(),
                    out_bytes: 0,
                    err_bytes: 0,
                    cpu_ms: 0,
                    max_rss_kib: 0,
                    notes: Vec::new(),
                });
                self.runner = None;
                None
            }
        }
    }

    /// The tree is gone by a signal.
    fn end_all(&mut self, signal: i32) -> Option<Input> {
        let runner = self.runner.as_mut()?;
        let had_command = std::mem::take(&mut self.command);
        self.others = 0;
        runner.ends_at = None;
        if had_command || runner.gate_ends_at.take().is_some() {
            return Some(Input::Exited { end: End::Signalled(signal), alone: true });
        }
        Some(Input::TreeEmpty)
    }
}
