mod approvals;
mod claude;
mod fairness;
mod flows;
mod graph;
mod reach;
mod retries;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::model::attempt::{AddedTask, End, ExitRecord, OutboxBody, OutboxItem};
use crate::model::ids::{Address, JobRef};
use crate::model::message::{CancelHow, Command, Done, Refusal, RefusalCode, RequeueWhich};
use crate::model::report::{ClaudeReport, ClaudeResult, EndReport, ExitFinding, Report};
use crate::model::spec::{Action, ClaudeSpec, JobSpec, OnFailure, Retry, RetryClass, Submission, TaskDefaults, TaskSpec};
use crate::model::state::{Hold, JobState, TaskKind, TaskState};

/// A core and its clock; every step is "committed" at once.
struct Bench {
    core: Core,
    now: Now,
    requests: RequestId,
    /// All that was committed.
    events: Vec<Event>,
}

fn task(id: &str, needs: &[&str]) -> TaskSpec {
    let needs = needs.iter().map(|need| (*need).to_owned()).collect();
    TaskSpec { needs, ..TaskSpec::new(id, Action::Command { program: "x".to_owned(), args: Vec::new() }) }
}

fn job(max_parallel: u32, tasks: Vec<TaskSpec>) -> Submission {
    let job = JobSpec {
        name: "j".to_owned(),
        description: None,
        pool: "local".to_owned(),
        workspace: "/".into(),
        max_parallel,
        priority: 0,
        max_added: None,
        on_failure: OnFailure::Continue,
        params: BTreeMap::new(),
        env: BTreeMap::new(),
        passed_env: BTreeMap::new(),
        claude_env: BTreeMap::new(),
        scheduled: None,
        result: None,
        source: None,
        budget: None,
        added_defaults: TaskDefaults::default(),
    };
    Submission { job, tasks }
}

impl Bench {
    fn new(slots: u32) -> Bench {
        let limits = Limits { slots: BTreeMap::from([("local".to_owned(), slots)]), ..Limits::default() };
        Bench { core: Core::new(limits, 7), now: Now { utc: Utc(1_000_000), mono: Mono(1_000) }, requests: 0, events: Vec::new() }
    }

    fn step(&mut self, inputs: Vec<Input>) -> Vec<Effect> {
        inputs.into_iter().for_each(|input| self.core.handle(input, self.now));
        let Step { events, effects } = self.core.finish(self.now);
        self.events.extend(events);
        effects
    }

    fn ask(&mut self, command: Command) -> Result<Done, Refusal> {
        self.requests += 1;
        let id = self.requests;
        let effects = self.step(vec![Input::Command(id, command)]);
        let answer = effects.into_iter().find_map(|effect| match effect {
            Effect::Reply(to, answer) if to == id => Some(answer),
            _ => None,
        });
        answer.unwrap()
    }

    fn submit(&mut self, submission: Submission) {
        self.ask(Command::Submit { submission: Box::new(submission), key: None }).unwrap();
    }

    fn job(&self) -> &Job {
        self.core.jobs().next().unwrap()
    }

    fn states(&self) -> Vec<TaskKind> {
        self.job().tasks.iter().map(|task| task.state.kind()).collect()
    }

    fn attempt(&self, place: u32) -> AttemptId {
        AttemptId { job: JobId(1), task: TaskIdx(place), number: self.job().tasks[place as usize].attempts }
    }

    fn start(&mut self, place: u32) {
        let attempt = self.attempt(place);
        self.step(vec![Input::Report(Report::Started { attempt })]);
    }

    fn end(&mut self, place: u32, code: i32) -> Vec<Effect> {
        self.end_with(place, code, Vec::new())
    }

    fn end_with(&mut self, place: u32, code: i32, outbox: Vec<OutboxItem>) -> Vec<Effect> {
        let attempt = self.attempt(place);
        let record = self.record(code);
        let end = EndReport {
            exit: ExitFinding::Record(Box::new(record)),
            result: None,
            artifacts: None,
            claude: None,
            notes: Vec::new(),
        };
        self.step(vec![Input::Report(Report::Over { attempt, outbox, end: Box::new(end) })])
    }

    fn record(&self, code: i32) -> ExitRecord {
        ExitRecord {
            mark: String::new(),
            boot_id: String::new(),
            started: Utc(0),
            ended: Utc(0),
            elapsed_ms: 1,
            end: End::Exited(code),
            stopped: None,
            gate: None,
            round: None,
            tree: None,
            missing: None,
            spent: None,
            leftovers: 0,
            out_bytes: 0,
            err_bytes: 0,
            cpu_ms: 0,
            max_rss_kib: 0,
            notes: Vec::new(),
        }
    }

    fn of(&self, task: Option<&str>) -> Vec<Address> {
        vec![Address { job: JobRef { name: "j".to_owned(), number: Some(1) }, task: task.map(str::to_owned) }]
    }
}

#[test]
fn a_job_starts_as_many_tasks_as_it_and_its_pool_have_room_for_in_the_order_of_the_file() {
    let mut bench = Bench::new(2);
    bench.submit(job(3, vec![task("a", &[]), task("b", &[]), task("c", &[]), task("d", &["a"])]));
    assert_eq!(bench.states(), [TaskKind::Starting, TaskKind::Starting, TaskKind::Queued, TaskKind::Pending]);
    bench.start(0);
    bench.end(0, 0);
    assert_eq!(bench.states(), [TaskKind::Completed, TaskKind::Starting, TaskKind::Starting, TaskKind::Queued]);
}

#[test]
fn what_needs_a_failed_task_never_runs_and_requeueing_it_brings_all_of_it_back() {
    let mut bench = Bench::new(9);
    bench.submit(job(9, vec![task("a", &[]), task("b", &["a"]), task("c", &["b"]), task("d", &[])]));
    bench.start(0);
    bench.end(0, 1);
    assert_eq!(bench.states()[..3], [TaskKind::Failed, TaskKind::UpstreamFailed, TaskKind::UpstreamFailed]);
    let done = bench.ask(Command::Requeue { targets: bench.of(Some("a")), which: RequeueWhich::Failed, params: Vec::new() });
    assert_eq!(done, Ok(Done::Affected { count: 1 }));
    assert_eq!(bench.states()[..3], [TaskKind::Starting, TaskKind::Pending, TaskKind::Pending]);
    assert_eq!(bench.job().tasks[0].attempts, 2, "attempt numbers go on");
}

#[test]
fn requeueing_what_runs_is_refused_with_the_remedy() {
    let mut bench = Bench::new(9);
    bench.submit(job(1, vec![task("a", &[])]));
    let refusal =
        bench.ask(Command::Requeue { targets: bench.of(Some("a")), which: RequeueWhich::All, params: Vec::new() }).unwrap_err();
    assert_eq!(refusal.code, RefusalCode::Conflict);
    assert!(refusal.hint.contains("airx cancel j.1/a"), "{refusal:?}");
}

#[test]
fn requeue_from_takes_what_comes_after_and_nothing_that_may_run() {
    let mut bench = Bench::new(9);
    bench.submit(job(9, vec![task("a", &[]), task("b", &["a"]), task("c", &["b"]), task("d", &[])]));
    for place in [0, 1, 3] {
        bench.start(place);
        bench.end(place, 0);
    }
    bench.start(2);
    let refusal =
        bench.ask(Command::Requeue { targets: bench.of(Some("a")), which: RequeueWhich::From, params: Vec::new() }).unwrap_err();
    assert!(refusal.hint.contains("airx cancel j.1/c"), "{refusal:?}");
    bench.end(2, 0);
    let done = bench.ask(Command::Requeue { targets: bench.of(Some("b")), which: RequeueWhich::From, params: Vec::new() });
    assert_eq!(done, Ok(Done::Affected { count: 2 }));
    assert_eq!(bench.states(), [TaskKind::Completed, TaskKind::Starting, TaskKind::Pending, TaskKind::Completed]);
}

#[test]
fn on_failure_stop_skips_what_has_not_started_and_lets_run_what_runs() {
    let mut bench = Bench::new(9);
    let mut submission = job(2, vec![task("a", &[]), task("b", &[]), task("c", &[]), task("d", &["b"])]);
    submission.job.on_failure = OnFailure::Stop;
    bench.submit(submission);
    bench.start(0);
    bench.start(1);
    bench.end(0, 1);
    assert_eq!(bench.states(), [TaskKind::Failed, TaskKind::Running, TaskKind::Skipped, TaskKind::Skipped]);
    bench.end(1, 0);
    assert_eq!(bench.job().state, JobState::Failed);
}

#[test]
fn a_cancel_while_launching_waits_for_the_start_and_then_stops_it() {
    let mut bench = Bench::new(9);
    bench.submit(job(1, vec![task("a", &[])]));
    bench.ask(Command::Cancel { targets: bench.of(None), all: false, how: CancelHow::Ask }).unwrap();
    assert_eq!(bench.states(), [TaskKind::Cancelling], "it keeps its slot until its end is proven");
    let attempt = bench.attempt(0);
    let effects = bench.step(vec![Input::Report(Report::Started { attempt })]);
    assert!(effects.contains(&Effect::Stop { attempt, kill: false }), "{effects:?}");
    bench.end(0, 143);
    assert_eq!(bench.states(), [TaskKind::Cancelled]);
}

#[test]
fn a_failure_is_repeated_after_growing_delays_until_its_budget_is_spent() {
    let mut bench = Bench::new(9);
    let mut only = task("a", &[]);
    only.limits.retry =
        Retry { attempts: 3, delay_ms: 1_000, factor: 10.0, max_delay_ms: 5_000, jitter: 0.0, ..Retry::default() };
    bench.submit(job(1, vec![only]));
    for delay in [1_000, 5_000] {
        bench.start(0);
        bench.end(0, 1);
        let TaskState::Held { hold: Hold::Retry { at, delay_ms } } = bench.job().tasks[0].state else { panic!("not held") };
        assert_eq!((at, delay_ms), (bench.now.utc.plus(delay), delay as u64));
        bench.now.utc = at;
        bench.step(vec![Input::Tick]);
    }
    bench.start(0);
    bench.end(0, 1);
    assert_eq!(bench.states(), [TaskKind::Failed]);
}

#[test]
fn a_clock_that_is_set_back_makes_no_retry_wait_longer_than_its_delay() {
    let mut bench = Bench::new(9);
    let mut only = task("a", &[]);
    only.limits.retry = Retry { attempts: 2, delay_ms: 1_000, jitter: 0.0, ..Retry::default() };
    bench.submit(job(1, vec![only]));
    bench.start(0);
    bench.end(0, 1);
    bench.now.utc = Utc(0);
    bench.step(vec![Input::Reconcile]);
    assert_eq!(bench.core.next_wake().0, Some(Utc(1_000)));
}

#[test]
fn the_same_request_of_a_retried_parent_is_done_once_and_another_under_its_key_refused() {
    let mut bench = Bench::new(9);
    let mut parent = task("p", &[]);
    parent.limits.retry = Retry { attempts: 3, delay_ms: 0, ..Retry::default() };
    bench.submit(job(1, vec![parent]));
    let item = |program: &str| OutboxItem {
        seq: 1,
        key: "#1".to_owned(),
        body: OutboxBody::Add(Box::new(AddedTask {
            id: None,
            needs: Vec::new(),
            action: Action::Command { program: program.to_owned(), args: Vec::new() },
        })),
    };
    for program in ["x", "x", "other"] {
        bench.start(0);
        bench.end_with(0, 1, vec![item(program)]);
        bench.now.utc = bench.now.utc.plus(1);
        bench.step(vec![Input::Tick]);
    }
    let ids: Vec<&str> = bench.job().tasks.iter().map(|task| task.spec.id.as_str()).collect();
    assert_eq!(ids, ["p", "p-1"]);
}

fn item(seq: u32, action: Action) -> OutboxItem {
    OutboxItem { seq, key: format!("#{seq}"), body: OutboxBody::Add(Box::new(AddedTask { id: None, needs: Vec::new(), action })) }
}

#[test]
fn what_a_task_queues_runs_where_it_runs_and_a_claude_run_queues_nothing_that_it_may_not_do() {
    let claude = |rules: &[&str]| {
        let allowed_tools = rules.iter().map(|rule| (*rule).to_owned()).collect();
        Action::Claude(Box::new(ClaudeSpec { prompt: "x".to_owned(), literal: true, allowed_tools, ..ClaudeSpec::default() }))
    };
    let mut bench = Bench::new(9);
    let place = |task| TaskSpec { workspace: Some("/srv".into()), pool: Some("sandbox".to_owned()), ..task };
    bench
        .core
        .handle(Input::Limits(Limits { slots: BTreeMap::from([("sandbox".to_owned(), 9)]), ..Limits::default() }), bench.now);
    bench.submit(job(1, vec![place(TaskSpec { action: claude(&["Read"]), ..task("p", &[]) })]));
    bench.start(0);
    let outbox = vec![item(1, claude(&[])), item(2, claude(&["Write"])), item(3, Action::Run("true".to_owned()))];
    let attempt = bench.attempt(0);
    bench.step(vec![Input::Intake(99, attempt)]);
    let effects = bench.step(vec![Input::Report(Report::Outbox { attempt, items: outbox, live: None })]);
    let refused: Vec<bool> = effects
        .iter()
        .find_map(|effect| match effect {
            Effect::Took(99, Ok(taken)) => Some(taken.iter().map(|taken| taken.refused.is_some()).collect()),
            _ => None,
        })
        .unwrap();
    assert_eq!(refused, [false, true, true]);
    let added = &bench.job().tasks[1].spec;
    assert_eq!((&added.action, added.workspace.as_deref()), (&claude(&["Read"]), Some("/srv".as_ref())));
    assert_eq!(added.pool.as_deref(), Some("sandbox"));
}

#[test]
fn the_tasks_of_a_job_queue_at_most_max_added_and_the_same_request_again_is_no_further_one() {
    let mut bench = Bench::new(9);
    let mut submission = job(1, vec![TaskSpec { limits: retried(2), ..task("p", &[]) }]);
    submission.job.max_added = Some(2);
    bench.submit(submission);
    let run = || Action::Run("true".to_owned());
    for _ in 0..2 {
        bench.start(0);
        bench.end_with(0, 1, (1..=3).map(|seq| item(seq, run())).collect());
        bench.now.utc = bench.now.utc.plus(1);
        bench.step(vec![Input::Tick]);
    }
    let ids: Vec<&str> = bench.job().tasks.iter().map(|task| task.spec.id.as_str()).collect();
    assert_eq!(ids, ["p", "p-1", "p-2"]);
    let by_hand = AddedTask { id: Some("by-hand".to_owned()), needs: Vec::new(), action: run() };
    let job = JobRef { name: "j".to_owned(), number: None };
    assert!(bench.ask(Command::Add { job, task: Box::new(by_hand), key: None }).is_ok(), "a person is not bound by it");
}

fn retried(attempts: u32) -> TaskDefaults {
    TaskDefaults { retry: Retry { attempts, delay_ms: 0, ..Retry::default() }, ..TaskDefaults::default() }
}

#[test]
fn a_chain_of_a_hundred_thousand_fails_and_comes_back_without_a_stack_or_patience_running_out() {
    let mut bench = Bench::new(9);
    let mut tasks = vec![task("t0", &[])];
    tasks.extend((1..100_000).map(|n| task(&format!("t{n}"), &[&format!("t{}", n - 1)])));
    bench.submit(job(1, tasks));
    bench.start(0);
    bench.end(0, 1);
    assert_eq!(bench.job().counts.of(TaskKind::UpstreamFailed), 99_999);
    bench.ask(Command::Requeue { targets: bench.of(None), which: RequeueWhich::Failed, params: Vec::new() }).unwrap();
    assert_eq!(bench.job().counts.of(TaskKind::Pending), 99_999);
    bench.ask(Command::Cancel { targets: bench.of(None), all: false, how: CancelHow::Ask }).unwrap();
    assert_eq!(bench.job().counts.of(TaskKind::Cancelled), 99_999);
}

#[test]
fn what_many_need_is_counted_once_each() {
    let mut bench = Bench::new(1);
    let mut tasks: Vec<TaskSpec> = (0..20_000).map(|n| task(&format!("t{n}"), &[])).collect();
    let names: Vec<String> = (0..20_000).map(|n| format!("t{n}")).collect();
    tasks.push(TaskSpec { needs: names, ..task("all", &[]) });
    bench.submit(job(1, tasks));
    for place in 0..20_000 {
        bench.start(place);
        bench.end(place, 0);
    }
    assert_eq!(bench.job().tasks[20_000].state.kind(), TaskKind::Starting);
}

#[test]
fn any_timeout_can_be_submitted_and_none_ends_the_manager() {
    let mut bench = Bench::new(1);
    let mut endless = task("a", &[]);
    endless.limits.timeout_ms = Some(u64::MAX);
    endless.limits.grace_ms = u64::MAX;
    endless.accept = Some(crate::model::spec::Gate { run: "true".to_owned(), timeout_ms: u64::MAX });
    bench.submit(job(1, vec![endless]));
    bench.start(0);
    assert_eq!(bench.core.next_wake().1, Some(Mono(u64::MAX)));
    bench.ask(Command::Cancel { targets: bench.of(Some("a")), all: false, how: CancelHow::Ask }).unwrap();
    assert_eq!(bench.core.next_wake().1, Some(Mono(u64::MAX)));
}

#[test]
fn an_abandoned_attempt_is_watched_on_and_its_late_end_recorded() {
    let mut bench = Bench::new(1);
    bench.submit(job(1, vec![task("a", &[])]));
    bench.start(0);
    let attempt = bench.attempt(0);
    let cancel = Command::Cancel { targets: bench.of(Some("a")), all: false, how: CancelHow::Abandon };
    let effects = bench.step(vec![Input::Command(99, cancel)]);
    assert!(effects.contains(&Effect::Stop { attempt, kill: true }));
    assert!(!effects.contains(&Effect::Forget(attempt)), "what it leaves could not be ended: {effects:?}");
    bench.step(vec![Input::Evict]);
    let end = EndReport {
        exit: ExitFinding::Missing { rebooted: false },
        result: None,
        artifacts: None,
        claude: None,
        notes: Vec::new(),
    };
    bench.core.handle(Input::Report(Report::Over { attempt, outbox: Vec::new(), end: Box::new(end) }), bench.now);
    let Step { events, effects } = bench.core.finish(bench.now);
    assert!(matches!(events[..], [Event { change: Change::AttemptStale { .. }, .. }]), "{events:?}");
    assert_eq!(effects, [Effect::Forget(attempt)]);
    bench.step(vec![Input::Evict]);
    assert_eq!(bench.core.jobs().count(), 0);
}

#[test]
fn who_waits_for_a_look_into_an_outbox_is_answered_also_over_a_reload() {
    let mut bench = Bench::new(1);
    bench.submit(job(1, vec![task("a", &[])]));
    bench.start(0);
    let attempt = bench.attempt(0);
    bench.step(vec![Input::Intake(7, attempt)]);
    // As the store would give it back.
    let mut reloaded = bench.core.clone();
    reloaded.live.insert(attempt, Live::default());
    reloaded.inherit(&bench.core);
    bench.core = reloaded;
    let effects = bench.step(vec![Input::Report(Report::Outbox { attempt, items: Vec::new(), live: None })]);
    assert!(effects.contains(&Effect::Intake(attempt)), "what was taken before is lost and asked for again: {effects:?}");
    assert!(effects.contains(&Effect::Took(7, Ok(Vec::new()))), "{effects:?}");
}

#[test]
fn a_finished_job_leaves_memory_at_the_next_comparison() {
    let mut bench = Bench::new(9);
    bench.submit(job(1, vec![task("a", &[])]));
    bench.start(0);
    bench.end(0, 0);
    bench.step(vec![Input::Reconcile]);
    assert_eq!(bench.core.jobs().count(), 0);
}

proptest! {
    #[test]
    fn delays_stay_within_their_jitter_and_never_above_the_longest(spent in 1u32..50, random in any::<u64>(), jitter in 0.0f64..1.0) {
        let retry = Retry { attempts: 100, delay_ms: 1_000, factor: 2.0, max_delay_ms: 60_000, jitter, ..Retry::default() };
        let delay = retry::delay(&retry.rule(RetryClass::Failed), spent, random) as f64;
        let plain = (1_000.0 * 2f64.powi(spent as i32 - 1)).min(60_000.0);
        prop_assert!(delay >= plain * (1.0 - jitter) - 1.0 && delay <= plain * (1.0 + jitter) + 1.0);
    }
}

#[test]
fn a_refused_login_spends_nothing_and_is_tried_again_by_itself_or_at_once_by_a_person() {
    let mut bench = Bench::new(9);
    let mut only = task("a", &[]);
    only.action = Action::Claude(Box::default());
    bench.submit(job(1, vec![only]));
    let refused = |bench: &mut Bench| {
        bench.start(0);
        let attempt = bench.attempt(0);
        let record = bench.record(1);
        let result = ClaudeResult {
            subtype: "success".to_owned(),
            is_error: true,
            api_error_status: Some(401),
            ..ClaudeResult::default()
        };
        let claude = ClaudeReport { result: Some(result), ..ClaudeReport::default() };
        let exit = ExitFinding::Record(Box::new(record));
        let end = EndReport { exit, result: None, artifacts: None, claude: Some(claude), notes: Vec::new() };
        bench.step(vec![Input::Report(Report::Over { attempt, outbox: Vec::new(), end: Box::new(end) })]);
    };
    for round in 1..=3 {
        refused(&mut bench);
        let TaskState::Held { hold: Hold::Login { again, .. } } = bench.job().tasks[0].state else {
            panic!("{:?}", bench.job().tasks[0].state)
        };
        assert_eq!((bench.job().tasks[0].spent_retry, bench.job().tasks[0].attempts), (0, round));
        if round < 3 {
            let target = bench.of((round == 1).then_some("a"));
            let done = bench.ask(Command::Requeue { targets: target, which: RequeueWhich::Failed, params: Vec::new() });
            assert_eq!(done, Ok(Done::Affected { count: 1 }));
        } else {
            bench.now = Now { utc: again, mono: Mono(bench.now.mono.0 + again.since(bench.now.utc)) };
            bench.step(vec![Input::Tick]);
        }
        assert_eq!(bench.states(), [TaskKind::Starting]);
    }
}

#[test]
fn a_person_need_not_wait_for_a_retry() {
    let mut bench = Bench::new(9);
    let mut only = task("a", &[]);
    only.limits.retry = Retry { attempts: 2, delay_ms: 3_600_000, jitter: 0.0, ..Retry::default() };
    bench.submit(job(1, vec![only, task("b", &["a"])]));
    bench.start(0);
    bench.end(0, 1);
    assert_eq!(bench.states(), [TaskKind::Held, TaskKind::Pending]);
    bench.ask(Command::Requeue { targets: bench.of(Some("a")), which: RequeueWhich::Failed, params: Vec::new() }).unwrap();
    assert_eq!(bench.states(), [TaskKind::Starting, TaskKind::Pending]);
    assert_eq!((bench.job().tasks[0].spent_retry, bench.job().tasks[0].attempts), (0, 2), "with a fresh budget");
}
