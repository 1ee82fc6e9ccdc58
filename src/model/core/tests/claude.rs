//! Claude runs: what is learnt of credentials, budgets, sessions and questions.

mod budgets;
mod credentials;
mod questions;
mod sessions;

use super::*;
use crate::model::attempt::StopCause;
use crate::model::change::ClaudeFacts;
use crate::model::live::{LiveFacts, Spent};
use crate::model::report::ClaudeLimit;
use crate::model::spec::{ClaudeAuth, ClaudeSpec};
use crate::model::state::Outcome;

/// A Claude task of the common login.
fn claude(id: &str) -> TaskSpec {
    claude_with(id, ClaudeSpec::default())
}

fn claude_with(id: &str, spec: ClaudeSpec) -> TaskSpec {
    TaskSpec { action: Action::Claude(Box::new(spec)), ..task(id, &[]) }
}

/// A Claude task of another credential.
fn with_key(id: &str) -> TaskSpec {
    claude_with(id, ClaudeSpec { auth: Some(ClaudeAuth::Env("TEAM".to_owned())), ..ClaudeSpec::default() })
}

/// A run that answered, and used so many millionths of a dollar.
fn answered(microusd: u64) -> ClaudeReport {
    ClaudeReport {
        facts: ClaudeFacts { session: Some("s".to_owned()), turns: 1, cost_microusd: microusd, ..ClaudeFacts::default() },
        result: Some(ClaudeResult { subtype: "success".to_owned(), ..ClaudeResult::default() }),
        ..ClaudeReport::default()
    }
}

/// A run that the provider refused with this status.
fn refused(status: u16) -> ClaudeReport {
    let mut report = answered(0);
    report.facts.turns = 0;
    report.result = Some(ClaudeResult { is_error: true, api_error_status: Some(status), ..report.result.unwrap() });
    report
}

/// A run that reached its usage limit.
fn limited(resets_at: Option<i64>) -> ClaudeReport {
    ClaudeReport { limited: Some(ClaudeLimit { resets_at: resets_at.map(Utc), ..ClaudeLimit::default() }), ..refused(429) }
}

/// What a runner tells of a run that goes on.
fn facts(microusd: u64, answered: bool) -> LiveFacts {
    let spent = Spent { cost_microusd: microusd, ..Spent::default() };
    LiveFacts { turns: 1, spent, answered, ..LiveFacts::default() }
}

impl Bench {
    /// Room for everything, and these limits.
    fn claude(change: impl FnOnce(&mut ClaudeLimits)) -> Bench {
        let mut bench = Bench::new(100);
        change(&mut bench.core.limits.claude);
        bench
    }

    fn ends(&mut self, place: u32, report: ClaudeReport) -> Vec<Effect> {
        let code = i32::from(report.result.as_ref().is_some_and(|result| result.is_error));
        let record = self.record(code);
        self.ends_with(place, record, report)
    }

    fn stopped(&mut self, place: u32, cause: StopCause, report: ClaudeReport) -> Vec<Effect> {
        let record = ExitRecord { stopped: Some(cause), ..self.record(130) };
        self.ends_with(place, record, report)
    }

    fn ends_with(&mut self, place: u32, record: ExitRecord, report: ClaudeReport) -> Vec<Effect> {
        let exit = ExitFinding::Record(Box::new(record));
        let end = EndReport { exit, result: None, artifacts: None, claude: Some(report), notes: Vec::new() };
        let attempt = self.attempt(place);
        self.step(vec![Input::Report(Report::Over { attempt, outbox: Vec::new(), end: Box::new(end) })])
    }

    /// The runner is gone without a record.
    fn vanishes(&mut self, place: u32, report: Option<ClaudeReport>) -> Vec<Effect> {
        let end = EndReport {
            exit: ExitFinding::Missing { rebooted: false },
            result: None,
            artifacts: None,
            claude: report,
            notes: Vec::new(),
        };
        let attempt = self.attempt(place);
        self.step(vec![Input::Report(Report::Over { attempt, outbox: Vec::new(), end: Box::new(end) })])
    }

    fn tells(&mut self, place: u32, items: Vec<OutboxItem>, live: Option<LiveFacts>) -> Vec<Effect> {
        let attempt = self.attempt(place);
        self.step(vec![Input::Report(Report::Outbox { attempt, items, live: live.map(Box::new) })])
    }

    fn hold(&self, place: usize) -> Hold {
        match &self.job().tasks[place].state {
            TaskState::Held { hold } => hold.clone(),
            other => panic!("it is {other:?}"),
        }
    }

    /// Until this moment of the wall clock.
    fn wait_until(&mut self, at: i64) -> Vec<Effect> {
        let waited = Utc(at).since(self.now.utc);
        self.now = Now { utc: Utc(at), mono: Mono(self.now.mono.0 + waited) };
        self.step(vec![Input::Tick])
    }

    fn wait(&mut self, millis: i64) -> Vec<Effect> {
        self.wait_until(self.now.utc.0 + millis)
    }

    fn requeue(&mut self, task: &str) {
        self.ask(Command::Requeue { targets: self.of(Some(task)), which: RequeueWhich::Failed, params: Vec::new() }).unwrap();
    }

    fn cancel(&mut self, task: &str, how: CancelHow) {
        self.ask(Command::Cancel { targets: self.of(Some(task)), all: false, how }).unwrap();
    }

    /// Places of the tasks that may be alive.
    fn live(&self) -> Vec<u32> {
        self.core.live().keys().map(|attempt| attempt.task.0).collect()
    }
}
