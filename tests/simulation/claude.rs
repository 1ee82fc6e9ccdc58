//! Claude runs: a provider whose limits and logins come and go, and what a run says of itself.

use std::collections::{BTreeMap, BTreeSet};

use airx::model::attempt::{Allowance, End, ExitRecord};
use airx::model::change::ClaudeFacts;
use airx::model::core::Launch;
use airx::model::credential;
use airx::model::live::{LiveFacts, Spent};
use airx::model::report::{ClaudeLimit, ClaudeReport, ClaudeResult};
use airx::model::spec::ClaudeAuth;
use airx::model::time::{Mono, Utc};

use crate::dice::Dice;

/// The model provider: which credentials it answers.
#[derive(Debug, Default)]
pub struct Provider {
    limited_until: BTreeMap<String, i64>,
    logged_out: BTreeSet<String>,
}

/// The credentials of the load.
pub const CREDENTIALS: [&str; 2] = ["login", "key TEAM"];

impl Provider {
    /// A limit is reached elsewhere, a login expires, or somebody logs in.
    pub fn change(&mut self, dice: &mut Dice, now: Utc) {
        let Some(name) = dice.pick(&CREDENTIALS).map(|name| (*name).to_owned()) else { return };
        match dice.below(3) {
            0 => drop(self.limited_until.insert(name, now.0 + dice.below(3_600_000) as i64)),
            1 => drop(self.logged_out.insert(name)),
            _ => drop(self.logged_out.remove(&name)),
        }
    }

    /// Somebody logs in everywhere.
    pub fn mend(&mut self) {
        self.logged_out.clear();
    }
}

/// How a run meets the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Open,
    Limited(Option<Utc>),
    Refused,
    Overloaded,
    /// The model answers, and the run ends in an error.
    Error,
}

/// What only a Claude run has.
#[derive(Debug, Clone)]
pub struct Run {
    pub session: String,
    pub allowance: Option<Allowance>,
    door: Door,
    /// Millionths of a dollar in its whole life.
    cost: u64,
    runs_ms: u64,
    began: Mono,
    /// How much of its life is behind it.
    pub lived_ms: u64,
    gone: bool,
}

impl Run {
    /// A run of this launch; none of another action.
    pub fn roll(
        dice: &mut Dice,
        provider: &mut Provider,
        launch: &Launch,
        runs_ms: u64,
        now: (Mono, Utc),
        is_calm: bool,
    ) -> Option<Run> {
        let name = credential::of(&launch.job, &launch.task, &ClaudeAuth::Login)?.0;
        let limit = provider.limited_until.get(&name).copied().filter(|until| *until > now.1.0);
        let is_told = dice.chance(700);
        let door = match dice.below(20) {
            _ if provider.logged_out.contains(&name) => Door::Refused,
            _ if limit.is_some() => Door::Limited(limit.filter(|_| is_told).map(Utc)),
            0 if !is_calm => {
                let until = now.1.0 + dice.below(3_600_000) as i64;
                provider.limited_until.insert(name, until);
                Door::Limited(is_told.then_some(Utc(until)))
            }
            1 | 3 if !is_calm => Door::Overloaded,
            2 if !is_calm => Door::Error,
            _ => Door::Open,
        };
        let answers = matches!(door, Door::Open | Door::Error);
        Some(Run {
            session: launch.session.clone().unwrap_or_default(),
            allowance: launch.allowance,
            door,
            cost: if answers { dice.below(600_000) } else { 0 },
            runs_ms: runs_ms.max(1),
            began: now.0,
            lived_ms: 0,
            gone: launch.resumes && dice.chance(30),
        })
    }

    /// Its time passes.
    pub fn live(&mut self, now: Mono) {
        self.lived_ms = now.0.saturating_sub(self.began.0);
    }

    /// How it ends when nothing ends it.
    pub fn end(&self, end: End) -> End {
        if self.door == Door::Open { end } else { End::Exited(1) }
    }

    fn cost(&self) -> u64 {
        self.cost * self.lived_ms.min(self.runs_ms) / self.runs_ms
    }

    /// What its transcript makes it seem to have used.
    pub fn seems(&self) -> Spent {
        Spent { cost_microusd: self.cost() * 5 / 4, ..Spent::default() }
    }

    /// What its runner writes down.
    pub fn facts(&self) -> LiveFacts {
        let answered = matches!(self.door, Door::Open | Door::Error) && self.lived_ms > 0;
        LiveFacts { turns: u32::from(answered), spent: self.seems(), answered, ..LiveFacts::default() }
    }

    /// What its whole transcript says.
    pub fn report(&self, record: Option<&ExitRecord>) -> ClaudeReport {
        let answers = matches!(self.door, Door::Open | Door::Error);
        let facts = ClaudeFacts {
            session: (self.lived_ms > 0 && !self.gone).then(|| self.session.clone()),
            turns: u32::from(answers && self.lived_ms > 0),
            cost_microusd: self.cost(),
            session_gone: self.gone,
            ..ClaudeFacts::default()
        };
        let by_itself = record.is_some_and(|record| record.stopped.is_none() && matches!(record.end, End::Exited(_)));
        let error = |status| ClaudeResult {
            subtype: "success".to_owned(),
            is_error: true,
            api_error_status: Some(status),
            ..ClaudeResult::default()
        };
        let result = match self.door {
            Door::Open => ClaudeResult { subtype: "success".to_owned(), ..ClaudeResult::default() },
            Door::Limited(_) => error(429),
            Door::Refused => error(401),
            Door::Overloaded => error(529),
            Door::Error => error(400),
        };
        let limited = match self.door {
            Door::Limited(resets_at) => Some(ClaudeLimit { resets_at, ..ClaudeLimit::default() }),
            _ => None,
        };
        ClaudeReport { facts, result: by_itself.then_some(result), limited, session_gone: self.gone, ..ClaudeReport::default() }
    }
}
