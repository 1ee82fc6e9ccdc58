//! The world and its storm.

mod engine;
mod people;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use airx::manager::turn::Turn;
use airx::model::attempt::{GateSpec, OutputMode, RunnerSpec, Stdin, StopSignal};
use airx::model::change::Seq;
use airx::model::core::{Effect, Input, Launch, Limits};
use airx::model::ids::{Address, AttemptId, JobName};
use airx::model::message::{Command, Done, Refusal};
use airx::model::report::{EndReport, ExitFinding, Report};
use airx::model::spec::{Action, Resources, Submission};
use airx::model::time::{Mono, Now, Utc};

use crate::approvals::Approvals;
use crate::claude::{Provider, Run};
use crate::dice::Dice;
use crate::fair::Fair;
use crate::flows::Flows;
use crate::graph::{self, Graph};
use crate::process::{Attempt, Script};
use crate::retries::Retries;
use crate::schedules::Schedules;
use crate::store::{Journal, SimStore};
use crate::watch::Watch;

pub use engine::Engine;

/// Faults that are planted to see whether they are caught.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Plant {
    #[default]
    None,
    /// The store claims a commit that it did not make.
    EffectBeforeCommit,
    /// An exit is not reported, and nothing is compared with reality.
    LostExit,
    /// The backend ignores the lock.
    DoubleStart,
    /// The outbox is read after the outcome.
    OutboxAfterOutcome,
    /// The core is told of more slots than there are.
    SlotsMiscounted,
    /// The end is reported before what is left was swept.
    RetryBeforeSweep,
    /// The store forgets how many attempts there were.
    AttemptsForgotten,
    /// The store forgets submission keys.
    KeysForgotten,
    /// The store does not say whose rows are damaged.
    DamageUnnamed,
    /// The store forgets what is known of credentials.
    CredentialsForgotten,
    /// The store forgets what was used.
    SpendingForgotten,
    /// The store forgets questions.
    QuestionsForgotten,
    /// The store forgets sessions.
    SessionsForgotten,
    /// The store forgets the lists of mapped tasks.
    ListsForgotten,
    /// What expressions say is never told.
    DecisionsLost,
    /// Answers do not reach their runners.
    AnswersLost,
    /// The core is told that more Claude runs may live at once than do.
    RunsMiscounted,
    /// The core is not told that an engine is gone.
    EngineUntold,
    /// The backend does not tell that an engine is back.
    ReturnUntold,
    /// The store forgets what approvals wait for.
    ApprovalsForgotten,
    /// The store forgets parameters that a person changed.
    ParamsForgotten,
    /// The store forgets how attempts ended.
    RetriesForgotten,
    /// The store forgets what priority a person gave a job.
    PrioritiesForgotten,
    /// The store forgets which times of schedules are settled.
    TimesForgotten,
    /// The store forgets which schedule a job comes from.
    ScheduleUnmarked,
    /// The store forgets the child jobs of tasks.
    ChildrenForgotten,
    /// The store forgets that a job is a child: its end is its parent's business no more.
    ParentsForgotten,
}

/// Slots of the pools; the last one lives on an engine.
pub const SLOTS: [(&str, u32); 3] = [("local", 4), ("small", 2), (engine::FAR, 2)];
/// Steps of the storm itself.
const STEPS: u64 = 120;
/// Steps until everything must have come to an end once the storm is over.
const CALM: u64 = 3_000;

/// One storm.
pub struct Sim {
    dice: Dice,
    seed: u64,
    pub plant: Plant,
    pub mono: u64,
    utc_offset: i64,
    pub journal: Arc<Mutex<Journal>>,
    pub turn: Option<Turn<SimStore>>,
    pub attempts: BTreeMap<AttemptId, Attempt>,
    /// Attempts whose end the present backend will notice.
    watched: BTreeSet<AttemptId>,
    /// Attempts whose order this backend has got.
    ordered: BTreeSet<AttemptId>,
    /// Reports on their way, in order for each attempt.
    reports: BTreeMap<AttemptId, VecDeque<Report>>,
    inputs: Vec<Input>,
    next_request: u64,
    waiting: BTreeSet<u64>,
    /// Submissions that were asked for, to be asked for again when the answer was lost.
    unanswered: Vec<(String, Submission)>,
    submits: BTreeMap<u64, String>,
    pub answered: Vec<JobName>,
    secrets_missing: bool,
    boot: u32,
    pub is_calm: bool,
    provider: Provider,
    quiet_until: Option<Utc>,
    pub engine: Engine,
    disk_low: bool,
    /// What the core was told last.
    pub told: Limits,
    pub watch: Watch,
    pub graph: Graph,
    /// Evaluations that are not told yet.
    decisions: Vec<Input>,
    pub fair: Fair,
    pub flows: Flows,
    pub retries: Retries,
    pub approvals: Approvals,
    pub schedules: Schedules,
    pub seen: usize,
    trace: VecDeque<String>,
    hash: u64,
}

impl Sim {
    pub fn new(seed: u64, plant: Plant) -> Sim {
        let journal = Arc::new(Mutex::new(Journal { plant, ..Journal::default() }));
        Sim {
            dice: Dice::new(seed),
            seed,
            plant,
            mono: 1_000,
            utc_offset: 1_700_000_000_000,
            journal,
            turn: None,
            attempts: BTreeMap::new(),
            watched: BTreeSet::new(),
            ordered: BTreeSet::new(),
            reports: BTreeMap::new(),
            inputs: Vec::new(),
            next_request: 0,
            waiting: BTreeSet::new(),
            unanswered: Vec::new(),
            submits: BTreeMap::new(),
            answered: Vec::new(),
            secrets_missing: false,
            boot: 1,
            is_calm: false,
            provider: Provider::default(),
            quiet_until: None,
            engine: Engine::default(),
            disk_low: false,
            told: Limits::default(),
            watch: Watch::default(),
            graph: Graph::default(),
            decisions: Vec::new(),
            fair: Fair::default(),
            flows: Flows::default(),
            retries: Retries::default(),
            approvals: Approvals::default(),
            schedules: Schedules::default(),
            seen: 0,
            trace: VecDeque::new(),
            hash: 0,
        }
    }

    /// A number that two equal runs share.
    pub fn digest(&self) -> u64 {
        self.hash
    }

    /// Runs the storm and the calm after it.
    pub fn run(&mut self) -> Result<(), String> {
        self.storm().map_err(|violation| {
            let trace: Vec<&str> = self.trace.iter().map(String::as_str).collect();
            format!("seed {}: {violation}\nlast steps:\n  {}", self.seed, trace.join("\n  "))
        })
    }

    /// The storm without the calm after it: much is left in the middle.
    pub fn storm_only(&mut self) -> Result<(), String> {
        (0..STEPS).try_for_each(|_| self.step())
    }

    fn storm(&mut self) -> Result<(), String> {
        self.storm_only()?;
        self.calm()?;
        self.until_over()?;
        self.repair()?;
        self.until_over()?;
        self.check_end()
    }

    fn until_over(&mut self) -> Result<(), String> {
        for _ in 0..CALM {
            if self.is_over() {
                return Ok(());
            }
            self.duties();
            self.pass_time();
            self.deliver(true)?;
        }
        Err(format!("every job comes to an end: after the storm this is left: {}", self.left()))
    }

    /// No more faults; everything that a person must do is done.
    fn calm(&mut self) -> Result<(), String> {
        self.note("calm".to_owned());
        self.is_calm = true;
        self.secrets_missing = false;
        self.provider.mend();
        self.engine.mend();
        self.journal.lock().expect("one thread").full = false;
        if self.plant != Plant::LostExit {
            self.attempts.values_mut().for_each(|attempt| attempt.sweep_frozen());
        }
        self.turn_on();
        // The store may be waiting to be tried again.
        self.mono += 10_000;
        self.inputs.push(Input::DiskLow(false));
        self.deliver(true)?;
        self.turn_on();
        // Refused together with what touches damaged rows, once for each such job, it is asked for again.
        let damaged = self.journal.lock().expect("one thread").damaged.len();
        for _ in 0..damaged {
            self.resume_all()?;
            self.mono += 10_000;
            self.deliver(true)?;
        }
        self.resume_all()
    }

    fn step(&mut self) -> Result<(), String> {
        if self.turn.is_none() {
            if self.dice.chance(400) {
                self.turn_on();
            } else {
                self.pass_time();
                return Ok(());
            }
        }
        match self.dice.below(100) {
            0..40 => self.pass_time(),
            40..58 => {}
            58..62 => self.move_engine(),
            62..64 => {
                let now = self.now().utc;
                self.provider.change(&mut self.dice, now);
            }
            64 => self.quiet_until = self.dice.chance(500).then(|| self.now().utc.plus(self.utc_offset.rem_euclid(600_000))),
            65..70 => self.answer_something(),
            70..82 => self.person(),
            82..87 => self.chaos_of_machines(),
            87..90 => self.crash("between two turns"),
            90..92 => {
                let full = self.dice.chance(300);
                self.journal.lock().expect("one thread").full = full;
            }
            92..94 => {
                let low = self.dice.chance(300);
                self.inputs.push(Input::DiskLow(low));
            }
            94..96 => self.secrets_missing = self.dice.chance(400),
            96 if self.dice.chance(100) => self.damage(),
            96..98 => self.utc_offset += self.dice.below(7_200_000) as i64 - 3_600_000,
            _ => self.inputs.push(if self.dice.chance(500) { Input::Reconcile } else { Input::Evict }),
        }
        self.deliver(false)
    }

    pub fn now(&self) -> Now {
        Now { utc: Utc(self.utc_offset + self.mono as i64), mono: Mono(self.mono) }
    }

    /// To the next thing that happens by itself, or a little on.
    fn pass_time(&mut self) {
        let wakes = self.attempts.values().filter_map(Attempt::wakes).map(|at| at.0).min();
        let timer = self.turn.as_ref().and_then(|turn| turn.next_wake(self.now())).map(|wait| self.mono + wait);
        let next = wakes.into_iter().chain(timer).filter(|at| *at >= self.mono).min();
        let jump = match next {
            Some(at) if self.is_calm || self.dice.chance(600) => (at - self.mono).min(600_000),
            _ => self.dice.below(3_000),
        };
        self.mono += jump.max(1);
        let now = Mono(self.mono);
        let running: Vec<AttemptId> = self.attempts.values().filter(|a| a.runner.is_some()).map(|a| a.id).collect();
        for id in running {
            let attempt = self.attempts.get_mut(&id).expect("just listed");
            attempt.advance(now);
            let live = attempt.run.as_ref().map(|run| Box::new(run.facts()));
            let tells = attempt.runner.is_some() && (!attempt.outbox.is_empty() || live.is_some());
            let items = attempt.outbox.clone();
            if tells && self.watched.contains(&id) && self.dice.chance(300) && self.reaches(id, "news that did not come") {
                self.reports.entry(id).or_default().push_back(Report::Outbox { attempt: id, items, live });
            }
            let Some(attempt) = self.attempts.get(&id) else { continue };
            if attempt.runner.is_none() && self.turn.is_some() {
                self.notice_end(id);
            }
        }
        self.look_at_engine();
        if self.is_calm || self.dice.chance(200) {
            let compares = self.plant != Plant::LostExit;
            let limits = self.limits();
            if limits != self.told {
                self.told = limits.clone();
                self.inputs.push(Input::Limits(limits));
            }
            self.inputs.push(if compares { Input::Reconcile } else { Input::Tick });
        }
    }

    /// The backend sees that a runner is gone.
    fn notice_end(&mut self, id: AttemptId) {
        if !self.reaches(id, "an end that was not seen")
            || !self.watched.remove(&id)
            || (self.plant == Plant::LostExit && self.dice.chance(100))
        {
            return;
        }
        self.over(id);
    }

    /// Sweeps what is left, and reports the end with the whole outbox.
    fn over(&mut self, id: AttemptId) {
        let plant = self.plant;
        let Some(attempt) = self.attempts.get_mut(&id) else { return };
        if plant != Plant::RetryBeforeSweep {
            attempt.sweep();
        }
        let rebooted = attempt.boot != self.boot;
        let exit = match &attempt.exit {
            Some(record) => ExitFinding::Record(Box::new(record.clone())),
            None => ExitFinding::Missing { rebooted },
        };
        let claude = attempt.run.as_ref().map(|run| run.report(attempt.exit.as_ref()));
        let end =
            Box::new(EndReport { exit, result: attempt.result(), artifacts: attempt.artifacts(), claude, notes: Vec::new() });
        let outbox = attempt.outbox.clone();
        if plant == Plant::OutboxAfterOutcome {
            self.send(id, Report::Over { attempt: id, outbox: Vec::new(), end });
            self.send(id, Report::Outbox { attempt: id, items: outbox, live: None });
        } else {
            self.send(id, Report::Over { attempt: id, outbox, end });
        }
    }

    fn send(&mut self, id: AttemptId, report: Report) {
        self.reports.entry(id).or_default().push_back(report);
    }

    /// Runners are killed or stopped, the machine is started anew.
    fn chaos_of_machines(&mut self) {
        let live: Vec<AttemptId> = self.attempts.values().filter(|a| a.runner.is_some()).map(|a| a.id).collect();
        let victim = self.dice.pick(&live).copied();
        match (self.dice.below(10), victim) {
            (0, _) => {
                self.crash("the machine");
                self.boot += 1;
                self.attempts.values_mut().for_each(Attempt::sweep);
                self.mono = 1_000 + self.dice.below(1_000);
            }
            (1..6, Some(id)) => {
                self.note(format!("runner {id} is killed"));
                if let Some(attempt) = self.attempts.get_mut(&id) {
                    attempt.lose_runner();
                }
                if self.turn.is_some() {
                    self.notice_end(id);
                }
            }
            (_, Some(id)) => {
                self.note(format!("runner {id} is stopped"));
                if let Some(runner) = self.attempts.get_mut(&id).and_then(|attempt| attempt.runner.as_mut()) {
                    runner.frozen = true;
                }
            }
            _ => {}
        }
    }

    /// The rows of a job are damaged: it is left alone, and the others go on.
    fn damage(&mut self) {
        let mut journal = self.journal.lock().expect("one thread");
        let jobs: Vec<u32> = journal.jobs.keys().copied().collect();
        if let Some(job) = self.dice.pick(&jobs) {
            journal.damaged.insert(*job);
        }
    }

    /// The others went on although rows are damaged; then a person repairs them.
    fn repair(&mut self) -> Result<(), String> {
        if std::mem::take(&mut self.journal.lock().expect("one thread").damaged).is_empty() {
            return Ok(());
        }
        self.crash("for the repair");
        self.turn_on();
        self.deliver(true)?;
        self.resume_all()
    }

    /// The manager is killed: everything that it knew and had not committed is gone.
    fn crash(&mut self, when: &str) {
        self.note(format!("crash {when}"));
        self.turn = None;
        self.watched.clear();
        self.ordered.clear();
        self.reports.clear();
        self.inputs.clear();
        self.decisions.clear();
        self.waiting.clear();
        self.submits.clear();
        self.engine.forget();
        self.watch.gone.clear();
        self.disk_low = false;
    }

    fn turn_on(&mut self) {
        if self.turn.is_some() {
            return;
        }
        self.note("start".to_owned());
        let limits = self.limits();
        self.told = limits.clone();
        self.inputs.retain(|input| !matches!(input, Input::Limits(_)));
        let store = SimStore(self.journal.clone());
        match Turn::begin(store, limits, 42, self.now()) {
            Ok(turn) => self.turn = Some(turn),
            Err(error) => self.note(format!("no start: {error}")),
        }
        if self.plant != Plant::LostExit {
            self.inputs.push(Input::Reconcile);
        }
    }

    /// Some of what is on its way arrives; one turn; its effects.
    fn deliver(&mut self, everything: bool) -> Result<(), String> {
        if self.turn.is_none() {
            return Ok(());
        }
        let mut inputs = std::mem::take(&mut self.inputs);
        for decision in std::mem::take(&mut self.decisions) {
            if everything || self.dice.chance(600) { inputs.push(decision) } else { self.decisions.push(decision) }
        }
        let senders: Vec<AttemptId> = self.reports.keys().copied().collect();
        for id in senders {
            while everything || self.dice.chance(700) {
                let Some(queue) = self.reports.get_mut(&id) else { break };
                let Some(report) = queue.pop_front() else { break };
                // Each inspection is answered once; everything else may be told twice.
                let is_answer = matches!(report, Report::NeverStarted { .. } | Report::Live { .. } | Report::Unsure { .. });
                if !everything && !is_answer && self.dice.chance(50) {
                    // Told twice, now and a little later.
                    self.reports.entry(id).or_default().push_front(report.clone());
                }
                inputs.push(Input::Report(report));
                if !everything && self.dice.chance(300) {
                    break;
                }
            }
        }
        self.reports.retain(|_, queue| !queue.is_empty());
        self.hear_of_engine(&mut inputs);
        for input in &inputs {
            if let Input::DiskLow(low) = input {
                self.disk_low = *low;
            }
        }
        if inputs.is_empty() {
            inputs.push(Input::Tick);
        }
        self.note(format!("{} turn {inputs:?}", self.mono));
        let now = self.now();
        let cancelled = only_cancel(&inputs);
        let Some(turn) = self.turn.as_mut() else { return Ok(()) };
        let outcome = turn.run(inputs, now);
        self.check_commit(outcome.seq.map_or(0, |Seq(seq)| seq as usize))?;
        let is_done = |effect: &Effect| matches!(effect, Effect::Reply(_, Ok(Done::Affected { .. })));
        if let Some(targets) = cancelled.filter(|_| outcome.effects.iter().any(is_done)) {
            let journal = self.journal.clone();
            self.flows.check_cancel(&targets, &journal.lock().expect("one thread"))?;
        }
        if !self.is_calm && self.dice.chance(15) {
            self.crash("after the commit");
            return Ok(());
        }
        for effect in outcome.effects {
            if !self.is_calm && self.dice.chance(5) {
                self.crash("between effects");
                return Ok(());
            }
            self.perform(effect)?;
            if self.turn.is_none() {
                return Ok(());
            }
        }
        if let Some(id) = self.waiting.iter().next() {
            return Err(format!("every command is answered: request {id} was not"));
        }
        self.check_state()
    }

    fn perform(&mut self, effect: Effect) -> Result<(), String> {
        match effect {
            Effect::Launch(launch) => self.launch(*launch)?,
            Effect::Stop { attempt, kill } => self.stop(attempt, kill),
            Effect::Inspect(ids) => ids.into_iter().for_each(|id| self.inspect(id)),
            Effect::Intake(id) if !self.reaches(id, "an outbox that was not looked into") => {}
            Effect::Intake(id) => {
                let live = self.turn.as_ref().and_then(|turn| turn.core().live().get(&id));
                let after = live.map_or(0, airx::model::core::Live::taken_to);
                let attempt = self.attempts.get(&id);
                let live = attempt.and_then(|attempt| attempt.run.as_ref()).map(|run| Box::new(run.facts()));
                let outbox = attempt.map(|attempt| attempt.outbox.clone()).unwrap_or_default();
                let items = outbox.into_iter().filter(|item| item.seq > after).collect();
                self.send(id, Report::Outbox { attempt: id, items, live });
            }
            Effect::Decide(ticket, launch) => {
                let (job, task) = (launch.attempt.job, launch.attempt.task);
                if self.plant != Plant::DecisionsLost {
                    self.decisions.push(Input::Decided { job, task, ticket, decision: graph::decided(&launch) });
                }
            }
            Effect::CheckSecrets(launch) => {
                if !self.secrets_missing {
                    self.inputs.push(Input::SecretsReady(launch.attempt.job, launch.attempt.task));
                }
            }
            Effect::Reply(id, answer) => self.reply(id, answer)?,
            Effect::Answer { attempt, .. } | Effect::OverBudget { attempt, .. }
                if !self.reaches(attempt, "an answer that did not arrive") => {}
            Effect::Answer { attempt, item } => {
                if let Some(attempt) = self.attempts.get_mut(&attempt).filter(|_| self.plant != Plant::AnswersLost) {
                    attempt.inbox.entry(item.key).or_insert(item.answer);
                }
            }
            Effect::OverBudget { attempt, of } => {
                let now = Mono(self.mono);
                if let Some(found) = self.attempts.get_mut(&attempt) {
                    found.over_budget(of, now);
                    if found.runner.is_none() {
                        self.notice_end(attempt);
                    }
                }
            }
            Effect::Took(..) | Effect::Forget(_) => {}
            Effect::Leave => self.crash("because it was told to leave"),
        }
        Ok(())
    }

    fn reply(&mut self, id: u64, answer: Result<Done, Refusal>) -> Result<(), String> {
        if !self.waiting.remove(&id) {
            return Err(format!("every command is answered once: request {id} was answered again"));
        }
        if let (Some(key), Ok(Done::Submitted { job, .. })) = (self.submits.remove(&id), answer) {
            self.answered.push(job);
            // Most clients hear the answer; the others ask again with the same key.
            if self.dice.chance(800) {
                self.unanswered.retain(|(known, _)| *known != key);
            }
        }
        Ok(())
    }

    fn launch(&mut self, launch: Launch) -> Result<(), String> {
        let id = launch.attempt;
        if self.secrets_missing && !self.ordered.contains(&id) && self.dice.chance(500) {
            self.inputs.push(Input::SecretMissing { attempt: id, what: "KEY".to_owned() });
            return Ok(());
        }
        self.ordered.insert(id);
        if self.drops(&launch) {
            return Ok(());
        }
        let boot = self.boot;
        let attempt = self.attempts.entry(id).or_insert_with(|| Attempt::new(id, boot));
        if attempt.locked && self.plant != Plant::DoubleStart {
            // What was begun is never begun again: it is adopted, or it is over.
            if attempt.runner.is_some() {
                self.watched.insert(id);
                self.send(id, Report::Started { attempt: id });
            } else {
                self.over(id);
            }
            return Ok(());
        }
        if !self.is_calm && self.dice.chance(30) {
            let transient = self.dice.chance(600);
            self.send(id, Report::LaunchFailed { attempt: id, why: "no such program".to_owned(), transient });
            return Ok(());
        }
        if !self.is_calm && self.dice.chance(20) {
            // Killed between making the lock and starting the runner.
            attempt.locked = true;
            self.crash("in the middle of a launch");
            return Ok(());
        }
        self.check_launch(&launch)?;
        let script = Script::roll(&mut self.dice, id, &launch.task, self.is_calm);
        let (now, utc) = (Mono(self.mono), self.now().utc);
        let run = Run::roll(&mut self.dice, &mut self.provider, &launch, script.runs_ms, (now, utc), self.is_calm);
        let attempt = self.attempts.get_mut(&id).expect("made above");
        attempt.run = run;
        attempt.boot = boot;
        attempt.start(&spec(&launch), script, now);
        if self.goes_silent(id) {
            return self.check_alive();
        }
        self.watched.insert(id);
        self.tell_launch(id);
        self.send(id, Report::Started { attempt: id });
        self.tell_launch(id);
        self.check_alive()
    }

    fn stop(&mut self, id: AttemptId, kill: bool) {
        if !self.reaches(id, "a stop that was dropped") {
            return;
        }
        let now = Mono(self.mono);
        let Some(attempt) = self.attempts.get_mut(&id) else { return };
        let is_frozen = attempt.runner.as_ref().is_some_and(|runner| runner.frozen);
        if is_frozen && kill {
            attempt.sweep();
        } else {
            attempt.ask(kill, now);
        }
        if attempt.runner.is_none() && attempt.locked {
            self.notice_end(id);
        }
    }

    fn inspect(&mut self, id: AttemptId) {
        if !self.reaches(id, "an inspection without an answer") {
            if self.dice.chance(500) {
                self.send(id, Report::Unsure { attempt: id });
            }
            return;
        }
        if self.is_far(id) && !self.is_calm && self.dice.chance(100) {
            return self.send(id, Report::Unsure { attempt: id });
        }
        let is_blind = self.plant == Plant::DoubleStart;
        match self.attempts.get(&id).filter(|_| !is_blind) {
            Some(attempt) if attempt.runner.is_some() => {
                self.watched.insert(id);
                let items = attempt.outbox.clone();
                self.send(id, Report::Live { attempt: id });
                if !items.is_empty() && self.dice.chance(500) {
                    self.send(id, Report::Outbox { attempt: id, items, live: None });
                }
            }
            Some(attempt) if attempt.locked => {
                self.watched.remove(&id);
                self.over(id);
            }
            _ => self.send(id, Report::NeverStarted { attempt: id }),
        }
    }

    fn is_over(&self) -> bool {
        let journal = self.journal.lock().expect("one thread");
        let quiet = self.inputs.iter().all(|input| matches!(input, Input::Reconcile | Input::Evict | Input::Tick));
        // Whoever is above a job that is set aside waits for it.
        let above = |id: &u32| journal.jobs.get(id)?.parent.as_ref().map(|(parent, _)| parent.job.0);
        let waiting: BTreeSet<u32> = journal.damaged.iter().flat_map(|id| std::iter::successors(Some(*id), above)).collect();
        quiet
            && self.reports.is_empty()
            && self.engine.is_quiet()
            && journal.rows.jobs.iter().all(|(id, job)| job.state.is_terminal() || waiting.contains(id))
            && self
                .attempts
                .values()
                .all(|attempt| !attempt.is_alive() || attempt.abandoned || journal.damaged.contains(&attempt.id.job.0))
    }

    fn left(&self) -> String {
        let journal = self.journal.lock().expect("one thread");
        let mut left = Vec::new();
        for (id, job) in journal.rows.jobs.iter().filter(|(id, _)| !journal.damaged.contains(id)) {
            for (task, row) in job.tasks.iter().enumerate().filter(|(_, task)| !task.state.is_terminal()) {
                left.push(format!("{id}-{task} is {:?} (paused: {}, stopped: {})", row.state, job.paused, job.stopped));
            }
        }
        left.extend(self.attempts.values().filter(|a| a.is_alive()).map(|a| format!("{} is alive", a.id)));
        left.truncate(10);
        left.push(format!("now is {:?}, credentials are {:?}", self.now().utc, journal.rows.credentials));
        left.join(", ")
    }

    pub fn note(&mut self, line: String) {
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        let line: String = line.chars().take(600).collect();
        self.trace.push_back(line);
        if self.trace.len() > 40 {
            self.trace.pop_front();
        }
    }
}

/// The targets of a cancel that is the only command among these.
fn only_cancel(inputs: &[Input]) -> Option<Vec<Address>> {
    let mut commands = inputs.iter().filter_map(|input| match input {
        Input::Command(_, command) => Some(command),
        _ => None,
    });
    match (commands.next(), commands.next()) {
        (Some(Command::Cancel { targets, .. }), None) => Some(targets.clone()),
        _ => None,
    }
}

impl Attempt {
    /// A runner that a person stopped is continued or killed by that person in the end.
    fn sweep_frozen(&mut self) {
        if let Some(runner) = &mut self.runner {
            runner.frozen = false;
        }
    }
}

fn spec(launch: &Launch) -> RunnerSpec {
    let is_claude = matches!(launch.task.action, Action::Claude(_));
    RunnerSpec {
        mark: launch.attempt.to_string(),
        argv: Vec::new(),
        cwd: "/".into(),
        stdin: Stdin::Null,
        output: OutputMode::Pipes,
        timeout_ms: launch.task.limits.timeout_ms,
        silence_ms: match &launch.task.action {
            Action::Claude(claude) => claude.silence_ms,
            Action::Run(_) | Action::Command { .. } | Action::Job(_) | Action::Approve(_) => None,
        },
        grace_ms: launch.task.limits.grace_ms,
        stop: if is_claude { StopSignal::Int } else { StopSignal::Term },
        output_limit: u64::MAX,
        resources: Resources::default(),
        gate: launch.task.accept.as_ref().map(|gate| GateSpec { argv: Vec::new(), timeout_ms: gate.timeout_ms }),
        round: launch.task.repeat.as_ref().map(|_| GateSpec { argv: Vec::new(), timeout_ms: 2_000 }),
        allowance: launch.allowance,
        seal: String::new(),
        result: launch.task.result.clone(),
        artifacts: launch.task.artifacts.clone(),
        claude: is_claude,
        contained: false,
    }
}
