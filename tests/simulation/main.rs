//! The whole core under a seeded storm: the manager's own turn, the runner's own machine, and around them a store, a
//! backend, processes and clocks that crash, delay, double, reorder and fail. After every step the rules of DESIGN
//! section 4 are checked. A failing seed prints itself, and replays exactly.
//!
//! `AIRX_SIM_SECONDS=60 cargo test --test simulation storm_for_as_long_as_wished -- --nocapture` runs fresh seeds for a
//! minute, from `AIRX_SIM_SEED` on.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a failing seed says so by a panic and prints itself"
)]

mod approvals;
mod checks;
mod claude;
mod dice;
mod fair;
mod graph;
mod load;
mod process;
mod retries;
mod schedules;
mod sim;
mod store;
mod watch;

use std::time::{Duration, Instant};

use sim::{Plant, Sim};

/// Seeds of the suite, in four tests that run side by side.
const SEEDS: u64 = 1_000;

fn storm(from: u64, count: u64) {
    for seed in from..from + count {
        if let Err(violation) = Sim::new(seed, Plant::None).run() {
            panic!("{violation}\nreplay with AIRX_SIM_SEED={seed}");
        }
    }
}

#[test]
fn thousands_of_storms_break_no_rule_1() {
    storm(0, SEEDS);
}

#[test]
fn thousands_of_storms_break_no_rule_2() {
    storm(SEEDS, SEEDS);
}

#[test]
fn thousands_of_storms_break_no_rule_3() {
    storm(2 * SEEDS, SEEDS);
}

#[test]
fn thousands_of_storms_break_no_rule_4() {
    storm(3 * SEEDS, SEEDS);
}

#[test]
fn storm_for_as_long_as_wished() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let from = number("AIRX_SIM_SEED").unwrap_or(1_000_000);
    let seconds = number("AIRX_SIM_SECONDS").unwrap_or(1);
    let deadline = Instant::now() + Duration::from_secs(seconds);
    let mut seed = from;
    while Instant::now() < deadline || seed == from {
        storm(seed, 1);
        seed += 1;
    }
    println!("{} storms from seed {from} on broke no rule", seed - from);
}

#[test]
fn a_seed_replays_exactly() {
    for seed in [3, 77, 1_234] {
        let (mut first, mut second) = (Sim::new(seed, Plant::None), Sim::new(seed, Plant::None));
        assert_eq!(first.run(), second.run());
        assert_eq!(first.digest(), second.digest());
    }
}

/// What a storm commits is written to a real database too: its rows equal the replayed journal, and it loads the same.
#[test]
fn the_real_store_keeps_what_the_simulated_one_keeps() {
    use airx::manager::ports::Store;
    for seed in 0..40 {
        let mut sim = Sim::new(seed, Plant::None);
        sim.storm_only().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("airx.db");
        let mut real = airx::store::SqliteStore::open(&path, [1; 36]).unwrap();
        let events = sim.journal.lock().unwrap().events.clone();
        for batch in events.chunks(7) {
            real.commit(batch).unwrap();
        }
        assert_eq!(airx::store::verify::replay(&path), Vec::<String>::new(), "seed {seed}");
        let (mut simulated, loaded) = (store::SimStore(sim.journal.clone()), real.load().unwrap());
        assert_eq!(loaded, simulated.load().unwrap(), "seed {seed}");
        for job in simulated.0.lock().unwrap().jobs.values() {
            let reference = airx::model::ids::JobRef { name: job.name.name.clone(), number: Some(job.name.number) };
            assert_eq!(real.load_job(&reference).unwrap().map(|job| job.name), Some(job.name.clone()));
            assert_eq!(real.last_number(&job.name.name).unwrap(), SimLast::of(&events, &job.name.name));
        }
        // A batch that contradicts the rows is refused whole.
        if let Some(closed) =
            events.iter().find(|event| matches!(event.change, airx::model::change::Change::AttemptClosed { .. }))
        {
            let before = real.load().unwrap();
            assert!(real.commit(&[events[0].clone(), closed.clone()]).is_err());
            assert!(real.commit(std::slice::from_ref(closed)).is_err(), "an attempt is closed once");
            assert_eq!(real.load().unwrap(), before);
        }
    }
}

/// What the workstation makes of the events is what is stored.
#[test]
fn rows_of_the_workstation_follow_the_events_as_the_stored_ones_do() {
    use airx::tui::data::row::TaskRow;
    for seed in 0..100 {
        let mut sim = Sim::new(seed, Plant::None);
        sim.storm_only().unwrap();
        let mut rows = std::collections::BTreeMap::new();
        let journal = sim.journal.lock().unwrap();
        for (seq, event) in (1..).map(airx::model::change::Seq).zip(&journal.events) {
            let (Some(job), Some(task)) = (event.change.job(), event.change.task()) else { continue };
            if let airx::model::change::Change::TaskAdded { spec, state, .. } = &event.change {
                let view = serde_json::json!({ "idx": task.0, "id": spec.id, "state": state, "attempts": 0, "updated": 0,
                    "cost_microusd": 0 });
                let row = TaskRow::new(serde_json::from_value(view).unwrap(), seq, |_| None);
                rows.insert((job.0, task.0), row);
            } else if let Some(row) = rows.get_mut(&(job.0, task.0)) {
                row.apply(seq, event.at, &event.change);
            }
        }
        for ((job, task), row) in rows {
            let stored = &journal.rows.jobs[&job].tasks[task as usize];
            let (ours, theirs) = (row.progress(), stored.progress.as_ref());
            assert_eq!(
                (row.kind, row.attempts, ours),
                (stored.state.kind(), stored.attempts, theirs),
                "seed {seed}: {job}-{task}"
            );
        }
    }
}

/// The configuration and the room on the disk are told once: also while the store fails.
#[test]
fn what_is_told_while_the_store_fails_holds_once_it_works_again() {
    use airx::manager::turn::Turn;
    use airx::model::core::{Effect, Input, Limits};
    use airx::model::message::Command;
    use airx::model::time::{Mono, Now, Utc};
    let journal = std::sync::Arc::new(std::sync::Mutex::new(store::Journal::default()));
    let now = |seconds: u64| Now { utc: Utc(1_700_000_000_000 + seconds as i64 * 1_000), mono: Mono(seconds * 1_000) };
    let mut turn = Turn::begin(store::SimStore(journal.clone()), Limits::default(), 1, now(0)).unwrap();
    let submission = Box::new(load::submission(&mut dice::Dice::new(1)));
    let submit = |id| Input::Command(id, Command::Submit { submission: submission.clone(), key: None });
    let launches = |effects: &[Effect]| effects.iter().filter(|effect| matches!(effect, Effect::Launch(_))).count();
    journal.lock().unwrap().full = true;
    assert!(turn.run(vec![submit(1)], now(1)).error.is_some());
    let slots = sim::SLOTS.iter().map(|(name, slots)| ((*name).to_owned(), *slots)).collect();
    let gone = sim::SLOTS.iter().map(|(name, _)| ((*name).to_owned(), "no answer".to_owned())).collect();
    let told = vec![Input::Limits(Limits { slots, ..Limits::default() }), Input::DiskLow(true), Input::Unreachable(gone)];
    assert!(turn.run(told, now(1)).error.is_some());
    journal.lock().unwrap().full = false;
    let outcome = turn.run(vec![submit(2)], now(60));
    assert_eq!((outcome.error.is_some(), launches(&outcome.effects)), (false, 0), "there is too little room on the disk");
    let outcome = turn.run(vec![Input::DiskLow(false)], now(61));
    assert_eq!(launches(&outcome.effects), 0, "the engines are gone");
    let outcome = turn.run(vec![Input::Unreachable(std::collections::BTreeMap::new())], now(62));
    assert!(launches(&outcome.effects) > 0, "the pools have slots");
}

/// A storm that never tries something proves nothing about it.
#[test]
fn storms_try_all_that_the_rules_are_about() {
    use airx::model::change::Change;
    use airx::model::question::AnsweredBy;
    use airx::model::state::{FailCause, Hold, Outcome, SkipReason, TaskState};
    let mut seen: std::collections::BTreeMap<&str, u32> = std::collections::BTreeMap::new();
    for seed in 0..300 {
        let mut sim = Sim::new(seed, Plant::None);
        sim.run().unwrap();
        for event in &sim.journal.lock().unwrap().events {
            let what = match &event.change {
                Change::AttemptOpened { resumes: true, .. } => "a session is resumed",
                Change::AttemptClosed { outcome, state, .. } => match (outcome, state) {
                    (Outcome::Succeeded, TaskState::Queued) => "another round",
                    (Outcome::Limited { resets_at: Some(_) }, _) => "a limit whose end is told",
                    (Outcome::Limited { .. }, _) => "a limit without an end",
                    (Outcome::Auth, _) => "a refused login",
                    (Outcome::Overloaded, _) => "an overloaded provider",
                    (Outcome::Silent, _) => "silence",
                    (Outcome::BudgetExceeded { .. }, _) => "a budget that ended a run",
                    _ => continue,
                },
                Change::TaskMoved { state: TaskState::Held { hold }, .. } => match hold {
                    Hold::Limit { asks: true, .. } => "a person to be asked",
                    Hold::Limit { .. } => "held by a limit",
                    Hold::Login { .. } => "held by a login",
                    Hold::Quiet { .. } => "held by quiet hours",
                    Hold::Budget { .. } => "held by a budget",
                    _ => continue,
                },
                Change::CredentialMoved { state, .. } if state.probe.is_some() => "a try whether a hold is over",
                Change::TaskMoved { state: TaskState::Skipped { why: SkipReason::If }, .. } => "skipped by its if",
                Change::TaskMoved { state: TaskState::Skipped { why: SkipReason::Rule }, .. } => "skipped by its rule",
                Change::TaskMoved { state: TaskState::Mapped { .. }, .. } => "a mapped task that goes on again",
                Change::TaskExpanded { items, .. } if items.is_empty() => "an empty list",
                Change::TaskExpanded { .. } => "a list",
                Change::TaskEnded { outcome, .. } => match outcome.as_ref() {
                    Outcome::Succeeded => "a mapped task that completed",
                    Outcome::Failed { cause: FailCause::Instances { .. } } => "a mapped task that failed",
                    Outcome::Failed { cause: FailCause::Decision(_) } => "an expression that fails",
                    Outcome::Cancelled => "a mapped task that was cancelled",
                    _ => continue,
                },
                Change::QuestionAnswered { by: AnsweredBy::Person, .. } => "a person's answer",
                Change::QuestionAnswered { by: AnsweredBy::Rule, .. } => "a rule's answer",
                Change::QuestionAnswered { by: AnsweredBy::Timeout, .. } => "an answer by default",
                Change::QuestionAnswered { by: AnsweredBy::Over, .. } => "a void question",
                Change::BudgetSet { .. } => "another budget",
                Change::PrioritySet { .. } => "another priority",
                Change::ParamsSet { .. } => "other parameters",
                Change::RunSeen { .. } => "a run seen from afar",
                Change::ProgressSet { progress, .. } if progress.total == Some(100) => "a launch on its way",
                _ => continue,
            };
            *seen.entry(what).or_default() += 1;
        }
        let others = sim.fair.tried.iter().chain(&sim.retries.tried).chain(&sim.schedules.tried).chain(&sim.approvals.tried);
        for (what, count) in sim.engine.tried.iter().chain(others) {
            *seen.entry(what).or_default() += count;
        }
    }
    println!("{seen:#?}");
    assert_eq!(seen.len(), 65, "not all of it was tried: {seen:#?}");
}

/// The highest submission number of a name, from the events alone.
struct SimLast;

impl SimLast {
    fn of(events: &[airx::model::change::Event], wanted: &str) -> u32 {
        let numbers = events.iter().filter_map(|event| match &event.change {
            airx::model::change::Change::JobSubmitted { name, .. } if name.name == wanted => Some(name.number),
            _ => None,
        });
        numbers.max().unwrap_or(0)
    }
}

/// Each planted fault is caught, and by the rule that it breaks.
#[test]
fn planted_faults_are_caught() {
    let plants = [
        (Plant::EffectBeforeCommit, "intent before effect|memory equals the store"),
        (Plant::LostExit, "comes to an end"),
        (Plant::DoubleStart, "at most one|live runners|outbox before outcome"),
        (Plant::OutboxAfterOutcome, "outbox before outcome"),
        (Plant::SlotsMiscounted, "slots"),
        (Plant::RetryBeforeSweep, "at most one|comes to an end"),
        (Plant::AttemptsForgotten, ""),
        (Plant::KeysForgotten, "submitted once"),
        (Plant::DamageUnnamed, "comes to an end"),
        (Plant::CredentialsForgotten, "held|same after a reload"),
        (Plant::SpendingForgotten, "budget is spent|same after a reload"),
        (Plant::QuestionsForgotten, "asked once|same after a reload|replay"),
        (Plant::SessionsForgotten, "session|same after a reload"),
        (Plant::AnswersLost, "comes to an end"),
        (Plant::RunsMiscounted, "claude.max_parallel"),
        (Plant::EngineUntold, "where the engine is gone"),
        (Plant::ReturnUntold, "comes to an end"),
        (Plant::ListsForgotten, "graph|same after a reload|replay|comes to an end|what has room starts"),
        (Plant::DecisionsLost, "comes to an end"),
        (Plant::PrioritiesForgotten, "higher priority|same after a reload"),
        (Plant::ApprovalsForgotten, "same after a reload|comes to an end|settled exactly once|approvals"),
        (Plant::ParamsForgotten, "what starts has the newest parameters|same after a reload|memory equals the store"),
        (Plant::RetriesForgotten, "no budget of retries is overdrawn|memory equals the store"),
        (Plant::TimesForgotten, "a time fires once|settled|same after a reload"),
        (Plant::ScheduleUnmarked, "never two jobs of one schedule"),
    ];
    for (plant, rule) in plants {
        let caught = (0..400).find_map(|seed| Sim::new(seed, plant).run().err());
        let Some(violation) = caught else { panic!("{plant:?} was not caught") };
        assert!(rule.split('|').any(|rule| violation.contains(rule)), "{plant:?} was caught by another rule: {violation}");
    }
}
