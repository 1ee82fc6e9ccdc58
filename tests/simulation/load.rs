//! Random jobs and commands.

use std::collections::BTreeMap;
use std::path::PathBuf;

use airx::model::artifact::{ArtifactSpec, Missing};
use airx::model::attempt::AddedTask;
use airx::model::ids::{Address, JobRef};
use airx::model::message::{CancelHow, Command, RequeueWhich};
use airx::model::question::{Answer, QuestionBody};
use airx::model::spec::{
    Action, Artifacts, AskPerson, Budget, ClassRetry, ClaudeAuth, ClaudeSpec, Gate, JobSpec, OnFailure, Repeat, ResultKind,
    Resume, Retry, RetryClass, Submission, TaskDefaults, TaskSpec, Until, WhenLimited,
};

use crate::approvals::approval;
use crate::dice::Dice;
use crate::{flows, graph};

/// A random job.
pub fn submission(dice: &mut Dice) -> Submission {
    submission_at(dice, 0)
}

/// A random job below so many others.
fn submission_at(dice: &mut Dice, depth: u32) -> Submission {
    let count = 1 + dice.below(if depth == 0 { 8 } else { 3 });
    let main = if dice.chance(300) { (count - dice.below(3).min(count)).max(1) } else { count };
    let tasks = (0..count)
        .map(|n| {
            let needs: Vec<String> = (0..n).filter(|_| dice.chance(250)).map(|m| format!("t{m}")).collect();
            let resume = *dice.pick(&[Resume::Auto, Resume::Always, Resume::Never]).unwrap_or(&Resume::Auto);
            let action = if depth < 2 && dice.chance(150) {
                let child = submission_at(dice, depth + 1);
                flows::child(dice, child, needs.first())
            } else {
                action(dice)
            };
            let retry = Retry {
                attempts: 1 + dice.below(3) as u32,
                delay_ms: dice.below(20_000),
                resume,
                on: retries(dice),
                ..Retry::default()
            };
            let is_other = !matches!(action, Action::Command { .. });
            let path = ArtifactSpec { path: "out".to_owned(), name: None, missing: Missing::Fails };
            let task = TaskSpec {
                needs,
                pool: dice.pick(&[None, None, Some("small"), Some("far")]).copied().flatten().map(str::to_owned),
                limits: TaskDefaults {
                    timeout_ms: dice.chance(300).then(|| 1 + dice.below(15_000)),
                    grace_ms: dice.below(5_000),
                    retry,
                    ..TaskDefaults::default()
                },
                accept: dice.chance(200).then(|| Gate { run: "true".to_owned(), timeout_ms: 1 + dice.below(4_000) }),
                result: (!is_other && dice.chance(250)).then(|| ResultKind::Json.into()),
                artifacts: (!is_other && dice.chance(250)).then(|| Artifacts { files: vec![path], max_bytes: 1 }),
                budget: dice.chance(150).then(|| dollars(dice, 2_000_000)),
                repeat: dice.chance(200).then(|| repeat(dice)),
                priority: priority(dice),
                ..TaskSpec::new(&format!("t{n}"), action)
            };
            let task = if dice.chance(500) { graph::shape(dice, task, n) } else { task };
            TaskSpec { finally: n >= main, ..task }
        })
        .collect();
    Submission {
        job: JobSpec {
            name: format!("job{}", dice.below(3)),
            description: None,
            pool: "local".to_owned(),
            workspace: PathBuf::from("/"),
            max_parallel: 1 + dice.below(4) as u32,
            priority: priority(dice),
            max_added: None,
            on_failure: if dice.chance(300) { OnFailure::Stop } else { OnFailure::Continue },
            params: if dice.chance(700) { BTreeMap::from([("p".to_owned(), 1.into())]) } else { BTreeMap::new() },
            env: BTreeMap::new(),
            passed_env: BTreeMap::new(),
            claude_env: BTreeMap::new(),
            scheduled: None,
            result: None,
            source: None,
            budget: dice.chance(500).then(|| dollars(dice, 1_000_000)),
            added_defaults: TaskDefaults::default(),
        },
        tasks,
    }
}

/// What holds for some outcomes only.
fn retries(dice: &mut Dice) -> BTreeMap<RetryClass, ClassRetry> {
    let classes = [
        RetryClass::Failed,
        RetryClass::Exit(1),
        RetryClass::Gate,
        RetryClass::TimedOut,
        RetryClass::Infrastructure,
        RetryClass::Lost,
        RetryClass::Overloaded,
    ];
    let said = classes.into_iter().filter(|_| dice.chance(150)).collect::<Vec<_>>();
    let some = |class| {
        let attempts = dice.chance(600).then(|| 1 + dice.below(4) as u32);
        let delay_ms = dice.chance(500).then(|| dice.below(30_000));
        (class, ClassRetry { attempts, delay_ms, ..ClassRetry::default() })
    };
    said.into_iter().map(some).collect()
}

/// Mostly the usual one, so that there are equals.
fn priority(dice: &mut Dice) -> i32 {
    *dice.pick(&[0, 0, 0, 5, -7]).unwrap_or(&0)
}

fn dollars(dice: &mut Dice, most: u64) -> Budget {
    Budget { microusd: Some(1 + dice.below(most)), tokens: None }
}

fn repeat(dice: &mut Dice) -> Repeat {
    Repeat {
        until: Until::Command("true".to_owned()),
        max: 1 + dice.below(5) as u32,
        fresh_session: dice.chance(300),
        stop_after_no_change: dice.below(4) as u32,
    }
}

fn claude(dice: &mut Dice) -> ClaudeSpec {
    let when = [WhenLimited::Wait, WhenLimited::Ask, WhenLimited::Fail];
    ClaudeSpec {
        prompt: "p".to_owned(),
        auth: dice.chance(300).then(|| ClaudeAuth::Env("TEAM".to_owned())),
        permissions: dice
            .chance(600)
            .then(|| AskPerson { timeout_ms: dice.chance(500).then(|| dice.below(60_000)), allows: dice.chance(500) }),
        when_limited: dice.chance(500).then(|| dice.pick(&when).copied().unwrap_or_default()),
        max_budget_usd: dice.chance(150).then(|| (1 + dice.below(40)) as f64 / 64.0),
        silence_ms: Some(30_000),
        ..ClaudeSpec::default()
    }
}

/// What a person answers, mostly fitting.
pub fn answer(dice: &mut Dice, body: &QuestionBody) -> Answer {
    if matches!(body, QuestionBody::Approval { .. }) && !dice.chance(100) {
        let comment = if dice.chance(500) { "since I say so".to_owned() } else { String::new() };
        return if dice.chance(700) { Answer::Approve { comment } } else { Answer::Reject { comment } };
    }
    let is_tool = matches!(body, QuestionBody::Permission { .. }) != dice.chance(100);
    match dice.below(4) {
        0..3 if is_tool => Answer::Allow { input: None, always: dice.chance(700) },
        0 | 1 => Answer::Deny { message: "no".to_owned() },
        _ => Answer::Say { text: "the first".to_owned() },
    }
}

fn action(dice: &mut Dice) -> Action {
    if dice.chance(120) {
        approval(dice)
    } else if dice.chance(400) {
        Action::Claude(Box::new(claude(dice)))
    } else {
        Action::Command { program: "c".to_owned(), args: Vec::new() }
    }
}

/// A random command about one of `jobs` (or a job that does not exist).
pub fn command(dice: &mut Dice, jobs: &[(JobRef, u32)]) -> Command {
    let (job, tasks) = match dice.pick(jobs) {
        Some(found) if !dice.chance(30) => found.clone(),
        _ => (JobRef { name: "nowhere".to_owned(), number: None }, 1),
    };
    let instance = if dice.chance(300) { format!("/{}", dice.below(4)) } else { String::new() };
    let task = dice.chance(700).then(|| format!("t{}{instance}", dice.below(u64::from(tasks).min(8))));
    let target = Address { job: job.clone(), task };
    match dice.below(10) {
        0..4 => {
            let which = [RequeueWhich::All, RequeueWhich::Failed, RequeueWhich::Failed, RequeueWhich::From];
            let which = dice.pick(&which).copied().unwrap_or_default();
            let params = if dice.chance(300) { vec![("p".to_owned(), dice.below(9).to_string())] } else { Vec::new() };
            Command::Requeue { targets: vec![target], which, params }
        }
        4..6 => {
            let how = match dice.below(12) {
                0..7 => CancelHow::Ask,
                7..11 => CancelHow::Kill,
                _ => CancelHow::Abandon,
            };
            Command::Cancel { targets: vec![target], all: dice.chance(50), how }
        }
        6 if dice.chance(300) => {
            let budget = dice.chance(700).then(|| dollars(dice, 4_000_000));
            Command::Budget { job, budget }
        }
        6 if dice.chance(300) => Command::Priority { job, priority: priority(dice) },
        6 => Command::Pause { job: dice.chance(700).then_some(job) },
        7 => Command::Resume { job: dice.chance(500).then_some(job) },
        _ => {
            let added = AddedTask {
                id: dice.chance(500).then(|| format!("added{}", dice.below(5))),
                needs: if dice.chance(500) { vec!["t0".to_owned()] } else { Vec::new() },
                action: Action::Command { program: "c".to_owned(), args: Vec::new() },
            };
            Command::Add { job, task: Box::new(added), key: dice.chance(500).then(|| format!("k{}", dice.below(9))) }
        }
    }
}
