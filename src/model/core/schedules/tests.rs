use std::collections::BTreeMap;
use std::path::Path;

use super::super::{Core, Effect, Input, Limits};
use super::*;
use crate::model::change::Event;
use crate::model::jobfile::{ParseOptions, parse};
use crate::model::message::{CancelHow, Command, RefusalCode};
use crate::model::report::Report;
use crate::model::state::{JobState, TaskKind, TaskState};
use crate::model::stored::Loaded;
use crate::model::time::Mono;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
/// 10:00 UTC on a Monday.
const BEGIN: i64 = 1_800_266_400_000;

/// A core with its clocks, whose every turn is committed.
struct Bench {
    core: Core,
    now: Now,
    events: Vec<Event>,
}

impl Bench {
    /// With this schedule, added at the beginning.
    fn with(rule: &str) -> Bench {
        Bench::of(rule, "tasks: [{ id: a, run: x }]")
    }

    /// The same, of these tasks.
    fn of(rule: &str, tasks: &str) -> Bench {
        let mut bench =
            Bench { core: Core::new(limits(), 7), now: Now { utc: Utc(BEGIN), mono: Mono(5_000) }, events: Vec::new() };
        bench.set_of(rule, tasks).unwrap();
        bench
    }

    fn set(&mut self, rule: &str) -> Result<Done, Refusal> {
        self.set_of(rule, "tasks: [{ id: a, run: x }]")
    }

    fn set_of(&mut self, rule: &str, tasks: &str) -> Result<Done, Refusal> {
        let (submission, rule) = file(rule, tasks);
        self.ask(Command::ScheduleSet { submission: Box::new(submission), rule: Box::new(rule) })
    }

    fn step(&mut self, inputs: Vec<Input>) -> Vec<Effect> {
        inputs.into_iter().for_each(|input| self.core.handle(input, self.now));
        let step = self.core.finish(self.now);
        self.events.extend(step.events);
        step.effects
    }

    fn ask(&mut self, command: Command) -> Result<Done, Refusal> {
        let effects = self.step(vec![Input::Command(1, command)]);
        let answer = effects.into_iter().find_map(|effect| match effect {
            Effect::Reply(1, answer) => Some(answer),
            _ => None,
        });
        answer.unwrap()
    }

    fn pause(&mut self, paused: bool) {
        self.ask(Command::SchedulePause { names: vec!["nightly".to_owned()], paused }).unwrap();
    }

    /// Time passes while the manager looks at it, second by second.
    fn pass(&mut self, millis: i64) {
        for _ in 0..millis / SECOND {
            self.now = Now { utc: self.now.utc.plus(SECOND), mono: Mono(self.now.mono.0 + SECOND as u64) };
            self.step(vec![Input::Tick]);
        }
    }

    /// The wall clock goes on alone: the machine slept, or somebody set it.
    fn jump(&mut self, millis: i64) {
        self.now.utc = self.now.utc.plus(millis);
        self.step(vec![Input::Tick]);
    }

    /// No manager runs for so long. Jobs must be over.
    fn restart_after(&mut self, millis: i64) {
        let schedules = self.core.schedules().map(|(name, schedule)| StoredSchedule {
            name: name.to_owned(),
            rule: schedule.rule.clone(),
            submission: schedule.submission.clone(),
            state: schedule.state.clone(),
            last_number: self.core.number(name),
        });
        let loaded = Loaded { schedules: schedules.collect(), last_job: 1_000, ..Loaded::default() };
        self.now = Now { utc: self.now.utc.plus(millis), mono: Mono(100) };
        self.core = Core::load(limits(), 7, loaded, self.now);
        self.step(vec![Input::Reconcile]);
    }

    /// Everything that runs comes to its end.
    fn end_jobs(&mut self) {
        let live: Vec<_> = self.core.live().keys().copied().collect();
        for attempt in live {
            self.step(vec![Input::Report(Report::LaunchFailed { attempt, why: "test".to_owned(), transient: false })]);
        }
        self.step(vec![Input::Tick]);
    }

    fn live_jobs(&self) -> usize {
        self.core.jobs().filter(|job| !job.state.is_terminal()).count()
    }

    /// The times that something became of, in minutes since the beginning, and what.
    fn passed(&self) -> Vec<(f64, Fired)> {
        let passed = self.events.iter().filter_map(|event| match &event.change {
            Change::ScheduleMoved { passed: Some(passed), .. } => Some(passed),
            _ => None,
        });
        passed.map(|passed| ((passed.due.0 - BEGIN) as f64 / MINUTE as f64, passed.what.clone())).collect()
    }

    /// The times that a job was submitted for, in minutes since the beginning.
    fn submitted(&self) -> Vec<f64> {
        self.passed().into_iter().filter(|(_, what)| matches!(what, Fired::Submitted { .. })).map(|(due, _)| due).collect()
    }
}

fn limits() -> Limits {
    Limits { slots: BTreeMap::from([("local".to_owned(), 4)]), ..Limits::default() }
}

fn file(rule: &str, tasks: &str) -> (Submission, Rule) {
    let none = BTreeMap::new();
    let options = ParseOptions {
        file: "job.yaml",
        base: Path::new("/"),
        params: &[],
        environment: &none,
        pools: None,
        claude_passed: &none,
        read_file: &|_| Err(String::new()),
    };
    let parsed = parse(&format!("name: nightly\nschedule: {rule}\n{tasks}\n"), &options).unwrap();
    (parsed.submission, parsed.schedule.unwrap())
}

fn name(number: u32) -> JobName {
    JobName { name: "nightly".to_owned(), number }
}

#[test]
fn a_schedule_submits_a_job_at_each_of_its_times_and_none_at_once() {
    let mut bench = Bench::with("{ every: 2m }");
    assert_eq!((bench.core.jobs().count(), bench.core.next_wake().0), (0, Some(Utc(BEGIN + 2 * MINUTE))));
    bench.pass(2 * MINUTE);
    let job = bench.core.jobs().next().unwrap();
    let scheduled = Scheduled { schedule: "nightly".to_owned(), due: Utc(BEGIN + 2 * MINUTE) };
    assert_eq!((job.name.clone(), job.spec.scheduled.clone()), (name(1), Some(scheduled)));
    assert_eq!(job.tasks[0].state.kind(), TaskKind::Starting, "it starts in the same turn");
    bench.end_jobs();
    bench.pass(4 * MINUTE);
    bench.end_jobs();
    assert_eq!(bench.submitted(), [2.0, 4.0]);
    bench.pass(MINUTE);
    assert_eq!(bench.submitted(), [2.0, 4.0], "6.0 was skipped, since the job of 4.0 was there");
}

#[test]
fn a_time_that_comes_while_the_job_before_is_there_is_skipped_and_says_why() {
    let mut bench = Bench::with("{ every: 1m }");
    bench.pass(2 * MINUTE);
    let skipped = Fired::Skipped(Skipped::Overlap { job: name(1) });
    assert_eq!(bench.passed()[1], (2.0, skipped));
    bench.end_jobs();
    bench.pass(MINUTE);
    assert_eq!((bench.submitted(), bench.live_jobs()), (vec![1.0, 3.0], 1));
}

#[test]
fn a_time_is_one_event_beside_its_job() {
    for rule in ["{ every: 1m }", "{ every: 1m, overlap: queue }"] {
        let mut bench = Bench::with(rule);
        bench.pass(3 * MINUTE);
        let moved = bench.events.iter().filter(|event| matches!(event.change, Change::ScheduleMoved { .. }));
        assert_eq!((moved.count(), bench.passed().len()), (3, 3), "{rule}");
    }
    let mut bench = Bench::with("{ every: 1m }");
    bench.pass(MINUTE);
    let state = bench.core.schedules().next().unwrap().1.state.clone();
    assert_eq!((state.through, state.next.map(|next| next.due)), (Some(Utc(BEGIN + MINUTE)), Some(Utc(BEGIN + 2 * MINUTE))));
}

#[test]
fn one_time_waits_in_the_queue_and_starts_when_the_job_before_is_over() {
    let mut bench = Bench::with("{ every: 1m, overlap: queue }");
    bench.pass(3 * MINUTE);
    assert_eq!(bench.passed()[1..], [(2.0, Fired::Waits { behind: name(1) }), (3.0, Fired::Skipped(Skipped::Waiting))]);
    assert_eq!(bench.live_jobs(), 1);
    bench.end_jobs();
    assert_eq!((bench.submitted(), bench.live_jobs()), (vec![1.0, 2.0], 1));
}

#[test]
fn the_job_before_is_cancelled_and_the_new_one_starts_once_it_is_over() {
    let mut bench = Bench::with("{ every: 1m, overlap: replace }");
    bench.pass(2 * MINUTE);
    assert_eq!(bench.passed()[1], (2.0, Fired::Replaces { job: name(1) }));
    let state = |bench: &Bench| bench.core.job(&name(1)).unwrap().tasks[0].state.clone();
    assert!(matches!(state(&bench), TaskState::Cancelling { .. }));
    assert_eq!(bench.live_jobs(), 1, "never two at once");
    bench.pass(MINUTE);
    assert_eq!(bench.passed()[2..], [(2.0, Fired::Skipped(Skipped::Replaced)), (3.0, Fired::Replaces { job: name(1) })]);
    bench.end_jobs();
    assert_eq!((bench.submitted(), bench.live_jobs()), (vec![1.0, 3.0], 1));
    // One that has not begun is over at once.
    let mut bench = Bench::with("{ every: 1m, overlap: replace }");
    bench.ask(Command::Pause { job: None }).unwrap();
    bench.pass(2 * MINUTE);
    assert_eq!((bench.submitted(), bench.live_jobs()), (vec![1.0, 2.0], 1));
    assert_eq!(bench.core.job(&name(1)).unwrap().state, JobState::Cancelled);
}

#[test]
fn what_cleans_up_after_a_replaced_job_runs_to_its_end_however_many_times_come() {
    let state = |bench: &Bench, task: usize| bench.core.job(&name(1)).unwrap().tasks[task].state.kind();
    let last = "tasks: [{ id: a, run: x }]\nfinally: [{ id: b, run: x }]";
    for clean in [last, "tasks: [{ id: a, run: x }, { id: b, run: x, needs: [a], rule: always }]"] {
        let mut bench = Bench::of("{ every: 1m, overlap: replace }", clean);
        bench.pass(2 * MINUTE);
        bench.end_jobs();
        assert_eq!((state(&bench, 0), state(&bench, 1)), (TaskKind::Cancelled, TaskKind::Starting));
        bench.pass(3 * MINUTE);
        assert_eq!(state(&bench, 1), TaskKind::Starting, "{clean}: the times after it leave it alone");
        bench.end_jobs();
        assert_eq!((bench.submitted(), bench.live_jobs()), (vec![1.0, 5.0], 1));
        // Also when a person began it.
        let person = vec!["nightly.2".parse().unwrap()];
        bench.ask(Command::Cancel { targets: person, all: false, how: CancelHow::Ask }).unwrap();
        bench.end_jobs();
        bench.pass(MINUTE);
        let job = bench.core.job(&name(2)).unwrap();
        assert_eq!(job.tasks[1].state.kind(), TaskKind::Starting, "{clean}");
    }
    let mut bench = Bench::of("{ every: 1m, overlap: replace }", "tasks: [{ id: a, run: x, rule: always }]");
    bench.pass(2 * MINUTE);
    assert_eq!(state(&bench, 0), TaskKind::Cancelling, "what is no cleaning up is replaced");
}

#[test]
fn what_was_missed_is_made_up_for_by_the_rule() {
    let after_break = |rule: &str| {
        let mut bench = Bench::with(rule);
        bench.pass(2 * MINUTE);
        bench.end_jobs();
        bench.restart_after(7 * MINUTE + 30 * SECOND);
        // What is caught up for runs one after the other.
        for _ in 0..5 {
            assert!(bench.live_jobs() <= 1, "never two at once");
            bench.end_jobs();
        }
        bench
    };
    let none = after_break("{ every: 2m, catch_up: none }");
    assert_eq!(none.passed()[1..], [(4.0, Fired::Missed { count: 3 })]);
    let last = after_break("{ every: 2m }");
    assert_eq!(last.passed()[1..], [(4.0, Fired::Missed { count: 2 }), (8.0, Fired::Submitted { job: name(2) })]);
    let all = after_break("{ every: 2m, catch_up: all }");
    assert_eq!(all.submitted(), [2.0, 4.0, 6.0, 8.0]);
    for mut bench in [none, last, all] {
        bench.pass(MINUTE);
        assert_eq!(bench.submitted().last(), Some(&10.0), "it goes on as before");
    }
}

#[test]
fn a_hundred_are_made_up_for_and_the_rest_is_dropped_and_told() {
    let mut bench = Bench::with("{ every: 1m, catch_up: all }");
    bench.restart_after(150 * MINUTE + SECOND);
    for _ in 0..120 {
        bench.end_jobs();
    }
    assert_eq!(bench.passed()[0], (1.0, Fired::Missed { count: 50 }));
    assert_eq!(bench.submitted(), (51..=150).map(f64::from).collect::<Vec<_>>());
}

#[test]
fn a_suspend_is_a_break_and_a_busy_manager_is_none() {
    let mut bench = Bench::with("{ every: 2m, catch_up: none }");
    bench.jump(5 * MINUTE + 30 * SECOND);
    assert_eq!(bench.passed(), [(2.0, Fired::Missed { count: 2 })], "the machine slept");
    let mut bench = Bench::with("{ every: 1m, catch_up: none }");
    bench.now = Now { utc: bench.now.utc.plus(90 * SECOND), mono: Mono(bench.now.mono.0 + 90_000) };
    bench.step(vec![Input::Tick]);
    assert_eq!(bench.submitted(), [1.0], "it was late, but there");
}

#[test]
fn a_time_within_a_quick_restart_or_a_clock_that_is_set_right_is_not_missed() {
    let none = "{ every: 10m, catch_up: none }";
    let mut bench = Bench::with(none);
    bench.pass(10 * MINUTE - 3 * SECOND);
    bench.restart_after(8 * SECOND);
    assert_eq!(bench.submitted(), [10.0], "nobody was away for long");
    let mut bench = Bench::with(none);
    bench.pass(10 * MINUTE - SECOND);
    bench.jump(3 * SECOND);
    assert_eq!(bench.submitted(), [10.0]);
    let mut bench = Bench::with(none);
    bench.restart_after(11 * MINUTE);
    assert_eq!(bench.passed(), [(10.0, Fired::Missed { count: 1 })], "a minute is a break");
}

#[test]
fn a_clock_that_is_set_back_fires_no_time_again() {
    let mut bench = Bench::with("{ cron: \"*/10 * * * *\", catch_up: all, overlap: queue }");
    bench.pass(20 * MINUTE);
    bench.end_jobs();
    bench.end_jobs();
    bench.jump(-25 * MINUTE);
    bench.pass(20 * MINUTE);
    bench.restart_after(-15 * MINUTE);
    bench.pass(20 * MINUTE);
    assert_eq!(bench.submitted(), [10.0, 20.0]);
    bench.pass(20 * MINUTE);
    assert_eq!(bench.submitted(), [10.0, 20.0, 30.0]);
}

#[test]
fn a_clock_that_ran_ahead_when_the_schedule_was_added_keeps_it_from_nothing() {
    let mut bench = Bench::with("\"*/10 * * * *\"");
    bench.jump(-24 * 60 * MINUTE);
    bench.pass(10 * MINUTE);
    assert_eq!(bench.submitted(), [-24.0 * 60.0 + 10.0]);
}

#[test]
fn a_clock_that_is_set_forward_is_a_break() {
    let mut bench = Bench::with("{ every: 1m }");
    bench.jump(60 * MINUTE);
    assert_eq!(bench.passed(), [(1.0, Fired::Missed { count: 59 }), (60.0, Fired::Submitted { job: name(1) })]);
}

#[test]
fn nothing_is_due_while_a_schedule_is_paused_and_nothing_is_made_up_for() {
    let mut bench = Bench::with("{ every: 1m, overlap: queue, catch_up: all }");
    bench.pass(2 * MINUTE);
    bench.pause(true);
    assert_eq!(bench.passed().last(), Some(&(2.0, Fired::Skipped(Skipped::Paused))), "what waited is given up");
    assert_eq!(bench.core.next_wake().0, None);
    bench.end_jobs();
    bench.pass(3 * MINUTE);
    bench.restart_after(3 * MINUTE);
    bench.pause(false);
    bench.pass(SECOND);
    assert_eq!(bench.submitted(), [1.0]);
    bench.pass(MINUTE);
    assert_eq!(bench.submitted(), [1.0, 9.0]);
}

#[test]
fn while_everything_is_paused_jobs_are_submitted_but_do_not_start() {
    let mut bench = Bench::with("{ every: 1m }");
    bench.ask(Command::Pause { job: None }).unwrap();
    bench.pass(MINUTE);
    assert_eq!((bench.submitted(), bench.core.live().len()), (vec![1.0], 0));
    bench.ask(Command::Resume { job: None }).unwrap();
    assert_eq!(bench.core.live().len(), 1);
}

#[test]
fn another_definition_replaces_the_old_one_and_the_same_rule_goes_on() {
    let mut bench = Bench::with("{ every: 2m }");
    bench.pass(90 * SECOND);
    let again = bench.set("{ every: 2m, overlap: queue }").unwrap();
    assert!(
        matches!(again, Done::Scheduled { replaced: true, next: Some(next), .. } if next == Utc(BEGIN + 2 * MINUTE)),
        "{again:?}"
    );
    bench.pass(30 * SECOND);
    assert_eq!(bench.submitted(), [2.0], "whoever sets it again and again does not put it off");
    let other = bench.set("{ every: 5m }").unwrap();
    assert!(
        matches!(other, Done::Scheduled { replaced: true, next: Some(next), .. } if next == Utc(BEGIN + 7 * MINUTE)),
        "{other:?}"
    );
    bench.pause(true);
    let paused = bench.set("{ every: 6m }").unwrap();
    assert!(matches!(paused, Done::Scheduled { paused: true, next: None, .. }), "it stays paused: {paused:?}");
}

#[test]
fn a_person_runs_it_out_of_turn_within_the_overlap_rule() {
    let run = || Command::ScheduleRun { name: "nightly".to_owned(), key: Some("k".to_owned()) };
    let mut bench = Bench::with("{ every: 1h }");
    let Ok(Done::Submitted { job, .. }) = bench.ask(run()) else { panic!("it was not submitted") };
    assert_eq!(job, name(1));
    assert!(matches!(bench.ask(run()), Ok(Done::Submitted { job, .. }) if job == name(1)), "the same request once");
    let other = Command::ScheduleRun { name: "nightly".to_owned(), key: None };
    assert_eq!(bench.ask(other.clone()).unwrap_err().code, RefusalCode::Conflict);
    assert_eq!(bench.core.next_wake().0, Some(Utc(BEGIN + 60 * MINUTE)), "its times stay");
    bench.set("{ every: 1h, overlap: queue }").unwrap();
    assert_eq!(bench.ask(other), Ok(Done::Waits { behind: name(1) }));
    bench.end_jobs();
    assert_eq!(bench.live_jobs(), 1);
}

#[test]
fn removed_schedules_fire_no_more_and_wrong_names_get_a_hint() {
    let mut bench = Bench::with("{ every: 1m }");
    let remove = |name: &str| Command::ScheduleRemove { names: vec![name.to_owned()] };
    let refusal = bench.ask(remove("nightli")).unwrap_err();
    assert!(refusal.code == RefusalCode::NotFound && refusal.hint.contains("did you mean `nightly`?"), "{refusal:?}");
    assert_eq!(bench.ask(remove("nightly")), Ok(Done::Affected { count: 1 }));
    bench.pass(5 * MINUTE);
    assert_eq!((bench.submitted().len(), bench.core.next_wake().0), (0, None));
}

#[test]
fn an_end_is_an_end_and_one_that_is_past_is_refused() {
    let mut bench = Bench::with("{ every: 1m, until: 2027-01-18T10:02:00Z }");
    for _ in 0..4 {
        bench.pass(MINUTE);
        bench.end_jobs();
    }
    assert_eq!((bench.submitted(), bench.core.next_wake().0), (vec![1.0, 2.0], None));
    let refusal = bench.set("{ every: 1m, until: 2027-01-18T10:03:00Z }").unwrap_err();
    assert!(refusal.message.contains("no time to come"), "{refusal:?}");
}

#[test]
fn a_rule_that_can_be_read_again_has_its_next_time_again() {
    let mut bench = Bench::with("{ every: 10m }");
    let state = bench.core.schedules().next().unwrap().1.state.clone();
    bench.core.apply_schedule_state("nightly", &ScheduleState { next: None, ..state });
    bench.restart_after(25 * MINUTE);
    assert_eq!(bench.core.next_wake().0, Some(Utc(BEGIN + 30 * MINUTE)), "the next one, and nothing is made up for");
    bench.pause(true);
    bench.restart_after(MINUTE);
    assert_eq!(bench.core.next_wake().0, None, "one that is paused stays so");
}

#[test]
fn jitter_puts_each_time_off_and_none_past_the_next_one() {
    let mut bench = Bench::with("{ every: 1m, jitter: 1h, overlap: queue }");
    let mut delays = Vec::new();
    for _ in 0..20 {
        let next = bench.core.schedules().next().unwrap().1.state.next.unwrap();
        delays.push(next.at.since(next.due));
        assert!(next.at >= next.due && next.at < next.due.plus(MINUTE), "{next:?}");
        bench.pass(MINUTE);
        bench.end_jobs();
    }
    delays.dedup();
    assert!(delays.len() > 10, "they differ: {delays:?}");
    let mut each = bench.submitted();
    each.dedup();
    assert_eq!(each.len(), bench.submitted().len(), "each once");
    assert!(each.len() >= 18, "{each:?}");
}
