//! Random jobs and commands.

use std::collections::BTreeMap;
use std::path::PathBuf;

use airx::model::artifact::{ArtifactSpec, Missing};
use airx::model::attempt::AddedTask;
use airx::model::ids::{Address, JobRef};
use airx::model::message::{CancelHow, Command, RequeueWhich};
use airx::model::question::{Answer, QuestionBody};
use airx::model::spec::{
    Action, Artifacts, AskPerson, Budget, ClaudeAuth, ClaudeSpec, Gate, JobSpec, OnFailure, Repeat, ResultKind, Resume, Retry,
    Submission, TaskDefaults, TaskSpec, Until, WhenLimited,
};

use crate::dice::Dice;

/// A random job.
pub fn submission(dice: &mut Dice) -> Submission {
    let count = 1 + dice.below(8);
    let tasks = (0..count)
        .map(|n| {
            let needs = (0..n).filter(|_| dice.chance(250)).map(|m| format!("t{m}")).collect();
            let resume = *dice.pick(&[Resume::Auto, Resume::Always, Resume::Never]).unwrap_or(&Resume::Auto);
            let retry = Retry { attempts: 1 + dice.below(3) as u32, delay_ms: dice.below(20_000), resume, ..Retry::default() };
            let action = action(dice);
            let is_claude = matches!(action, Action::Claude(_));
            let path = ArtifactSpec { path: "out".to_owned(), name: None, missing: Missing::Fails };
            TaskSpec {
                id: format!("t{n}"),
                needs,
                action,
                env: BTreeMap::new(),
                workspace: None,
                pool: dice.pick(&[None, None, Some("small"), Some("far")]).copied().flatten().map(str::to_owned),
                limits: TaskDefaults {
                    timeout_ms: dice.chance(300).then(|| 1 + dice.below(15_000)),
                    grace_ms: dice.below(5_000),
                    retry,
                    ..TaskDefaults::default()
                },
                accept: dice.chance(200).then(|| Gate { run: "true".to_owned(), timeout_ms: 1 + dice.below(4_000) }),
                result: (!is_claude && dice.chance(250)).then(|| ResultKind::Json.into()),
                artifacts: dice.chance(250).then(|| Artifacts { files: vec![path], max_bytes: 1 }),
                budget: dice.chance(150).then(|| dollars(dice, 2_000_000)),
                repeat: dice.chance(200).then(|| repeat(dice)),
            }
        })
        .collect();
    Submission {
        job: JobSpec {
            name: format!("job{}", dice.below(3)),
            description: None,
            pool: "local".to_owned(),
            workspace: PathBuf::from("/"),
            max_parallel: 1 + dice.below(4) as u32,
            max_added: None,
            on_failure: if dice.chance(300) { OnFailure::Stop } else { OnFailure::Continue },
            params: BTreeMap::new(),
            env: BTreeMap::new(),
            passed_env: BTreeMap::new(),
            claude_env: BTreeMap::new(),
            source: None,
            budget: dice.chance(500).then(|| dollars(dice, 1_000_000)),
            added_defaults: TaskDefaults::default(),
        },
        tasks,
    }
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
    let is_tool = matches!(body, QuestionBody::Permission { .. }) != dice.chance(100);
    match dice.below(4) {
        0..3 if is_tool => Answer::Allow { input: None, always: dice.chance(700) },
        0 | 1 => Answer::Deny { message: "no".to_owned() },
        _ => Answer::Say { text: "the first".to_owned() },
    }
}

fn action(dice: &mut Dice) -> Action {
    if dice.chance(400) {
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
    let task = dice.chance(700).then(|| format!("t{}", dice.below(u64::from(tasks))));
    let target = Address { job: job.clone(), task };
    match dice.below(10) {
        0..4 => {
            let which = if dice.chance(500) { RequeueWhich::All } else { RequeueWhich::Failed };
            Command::Requeue { targets: vec![target], which }
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
