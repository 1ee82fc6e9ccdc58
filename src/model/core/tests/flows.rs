//! Tasks whose work a child job does.

use super::*;
use crate::model::decide::{Decision, decide};
use crate::model::spec::{Mapping, SubJob};
use crate::model::state::{FailCause, Outcome};
use crate::model::template::Context;

/// Submits a job named `name` with these tasks.
fn named(name: &str, tasks: Vec<TaskSpec>) -> Submission {
    let mut submission = job(9, tasks);
    submission.job.name = name.to_owned();
    submission
}

fn flow(id: &str, needs: &[&str], child: Submission) -> TaskSpec {
    let child = SubJob { file: "child.yaml".to_owned(), submission: child, params: BTreeMap::new() };
    TaskSpec { action: Action::Job(Box::new(child)), ..task(id, needs) }
}

impl Bench {
    /// Lets the shell evaluate what it was asked, until nothing is asked any more.
    fn settle_decisions(&mut self) {
        for _ in 0..100 {
            let mut asked: Vec<((JobId, TaskIdx), u64)> = self.core.deciding.iter().map(|(of, ticket)| (*of, *ticket)).collect();
            asked.sort();
            if asked.is_empty() {
                return;
            }
            let mut answers = Vec::new();
            for ((job, task), ticket) in asked {
                let launch = self.core.launch(AttemptId { job, task, number: 0 }, self.now).unwrap();
                let context = Context { item: launch.item.clone(), ..Context::default() };
                answers.push(Input::Decided { job, task, ticket, decision: decide(&launch.task, &context) });
            }
            self.step(answers);
        }
        panic!("decisions without end");
    }

    fn named(&self, name: &str, number: u32) -> &Job {
        self.core.job(&JobName { name: name.to_owned(), number }).unwrap()
    }

    fn kinds(&self, name: &str, number: u32) -> Vec<TaskKind> {
        self.named(name, number).tasks.iter().map(|task| task.state.kind()).collect()
    }

    /// Ends a task of a job with this exit code.
    fn finish_task(&mut self, name: &str, number: u32, place: u32, code: i32) {
        let job = self.named(name, number);
        let attempt = AttemptId { job: job.id, task: TaskIdx(place), number: job.tasks[place as usize].attempts };
        let record = self.record(code);
        let end = EndReport {
            exit: ExitFinding::Record(Box::new(record)),
            result: None,
            artifacts: Default::default(),
            claude: None,
            notes: Vec::new(),
        };
        let over = Report::Over { attempt, outbox: Vec::new(), end: Box::new(end) };
        self.step(vec![Input::Report(Report::Started { attempt }), Input::Report(over)]);
        self.settle_decisions();
    }

    fn target(name: &str, number: u32, task: Option<&str>) -> Vec<Address> {
        vec![Address { job: JobRef { name: name.to_owned(), number: Some(number) }, task: task.map(str::to_owned) }]
    }

    fn again(&mut self, name: &str, number: u32, task: Option<&str>, which: RequeueWhich) -> Result<Done, Refusal> {
        let done = self.ask(Command::Requeue { targets: Bench::target(name, number, task), which, params: Vec::new() });
        self.settle_decisions();
        done
    }
}

use TaskKind::{Cancelled, Completed, Delegated, Failed, Pending, Starting, UpstreamFailed};

/// `a` leaves its first task to `b`, which leaves its own to `c` of two tasks in a row.
fn nested() -> Bench {
    let mut bench = Bench::new(1);
    let c = named("c", vec![task("t", &[]), task("u", &["t"])]);
    let b = named("b", vec![flow("t", &[], c)]);
    let mut a = named("a", vec![flow("t", &[], b), task("after", &["t"])]);
    a.job.max_parallel = 1;
    bench.submit(a);
    bench.settle_decisions();
    bench
}

#[test]
fn a_child_takes_no_slot_of_its_parent_and_its_end_is_that_of_all_above_in_the_same_turn() {
    let mut bench = nested();
    assert_eq!(bench.kinds("a", 1), [Delegated, Pending]);
    assert_eq!((bench.kinds("b", 1), bench.kinds("c", 1)), (vec![Delegated], vec![Starting, Pending]));
    bench.finish_task("c", 1, 0, 0);
    bench.finish_task("c", 1, 1, 0);
    assert_eq!((bench.kinds("b", 1), bench.kinds("a", 1)), (vec![Completed], vec![Completed, Starting]));
}

#[test]
fn a_failure_below_is_named_above_and_a_requeue_goes_on_in_the_same_children() {
    let mut bench = nested();
    bench.finish_task("c", 1, 0, 0);
    bench.finish_task("c", 1, 1, 1);
    assert_eq!(bench.kinds("a", 1), [Failed, UpstreamFailed]);
    assert_eq!(bench.again("a", 1, None, RequeueWhich::Failed), Ok(Done::Affected { count: 1 }));
    assert_eq!(bench.kinds("a", 1), [Delegated, Pending]);
    assert_eq!((bench.kinds("b", 1), bench.kinds("c", 1)), (vec![Delegated], vec![Completed, Starting]), "only what failed");
    bench.finish_task("c", 1, 1, 0);
    assert_eq!(bench.kinds("a", 1), [Completed, Starting]);
    let outcome = Outcome::Failed { cause: FailCause::Child("b.1 failed".to_owned()) };
    assert_eq!(outcome.sentence(), "child job b.1 failed");
}

#[test]
fn a_requeue_of_everything_begins_new_children_and_the_old_ones_stay_over() {
    let mut bench = nested();
    bench.finish_task("c", 1, 0, 1);
    bench.again("a", 1, Some("t"), RequeueWhich::All).unwrap();
    assert_eq!((bench.kinds("b", 2), bench.kinds("c", 2)), (vec![Delegated], vec![Starting, Pending]));
    let refusal = bench.again("c", 1, Some("t"), RequeueWhich::Failed).unwrap_err();
    assert!(refusal.message.contains("`b.1` is replaced by b.2"), "{refusal:?}");
}

#[test]
fn a_requeue_inside_a_child_brings_back_all_above() {
    let mut bench = nested();
    bench.finish_task("c", 1, 0, 1);
    assert_eq!(bench.kinds("a", 1), [Failed, UpstreamFailed]);
    bench.again("c", 1, Some("t"), RequeueWhich::Failed).unwrap();
    assert_eq!((bench.kinds("a", 1), bench.kinds("b", 1)), (vec![Delegated, Pending], vec![Delegated]));
    bench.finish_task("c", 1, 0, 0);
    bench.finish_task("c", 1, 1, 0);
    assert_eq!(bench.kinds("a", 1), [Completed, Starting]);
}

#[test]
fn a_cancel_reaches_all_below_and_what_runs_at_the_end_of_a_child_is_awaited() {
    let mut bench = Bench::new(9);
    let last = TaskSpec { finally: true, ..task("last", &[]) };
    let child = named("b", vec![task("t", &[]), last]);
    bench.submit(named("a", vec![flow("t", &[], child), task("u", &["t"])]));
    bench.settle_decisions();
    let cancel = || Command::Cancel { targets: Bench::target("a", 1, None), all: false, how: CancelHow::Ask };
    assert_eq!(bench.ask(cancel()), Ok(Done::Affected { count: 2 }));
    bench.finish_task("b", 1, 0, 1);
    assert_eq!((bench.kinds("a", 1), bench.kinds("b", 1)), (vec![Delegated, Cancelled], vec![Cancelled, Starting]));
    bench.ask(cancel()).unwrap();
    assert_eq!(bench.kinds("b", 1)[1], TaskKind::Cancelling, "asked twice, it is meant");
    bench.finish_task("b", 1, 1, 1);
    assert_eq!(bench.kinds("a", 1), [Cancelled, Cancelled]);
}

#[test]
fn all_at_once_are_cancelled_once_each() {
    let mut bench = Bench::new(9);
    let last = TaskSpec { finally: true, ..task("last", &[]) };
    bench.submit(named("a", vec![flow("t", &[], named("b", vec![task("t", &[]), task("u", &["t"]), last]))]));
    bench.settle_decisions();
    bench.ask(Command::Cancel { targets: Vec::new(), all: true, how: CancelHow::Ask }).unwrap();
    bench.finish_task("b", 1, 0, 1);
    assert_eq!(bench.kinds("b", 1), [Cancelled, Cancelled, Starting], "what runs whatever happened runs");
}

#[test]
fn a_pause_above_starts_nothing_below() {
    let mut bench = nested();
    bench.ask(Command::Pause { job: Some(JobRef { name: "a".to_owned(), number: Some(1) }) }).unwrap();
    bench.finish_task("c", 1, 0, 0);
    assert_eq!(bench.kinds("c", 1), [Completed, TaskKind::Queued]);
    bench.ask(Command::Resume { job: Some(JobRef { name: "a".to_owned(), number: Some(1) }) }).unwrap();
    assert_eq!(bench.kinds("c", 1), [Completed, Starting]);
}

#[test]
fn a_pause_keeps_a_decided_child_from_beginning() {
    let mut bench = Bench::new(9);
    bench.submit(named("a", vec![flow("t", &[], named("b", vec![task("t", &[])]))]));
    let ticket = 1;
    bench.ask(Command::Pause { job: Some(JobRef { name: "a".to_owned(), number: Some(1) }) }).unwrap();
    let decision = Decision::Delegate(BTreeMap::new());
    bench.step(vec![Input::Decided { job: JobId(1), task: TaskIdx(0), ticket, decision }]);
    assert_eq!((bench.kinds("a", 1), bench.core.jobs().count()), (vec![TaskKind::Queued], 1));
    bench.ask(Command::Resume { job: Some(JobRef { name: "a".to_owned(), number: Some(1) }) }).unwrap();
    bench.step(vec![Input::Decided {
        job: JobId(1),
        task: TaskIdx(0),
        ticket: 2,
        decision: Decision::Delegate(BTreeMap::new()),
    }]);
    assert_eq!(bench.kinds("a", 1), [Delegated]);
}

#[test]
fn priorities_add_up_and_go_along() {
    let mut bench = Bench::new(0);
    let mut child = named("b", vec![task("t", &[])]);
    child.job.priority = 2;
    let mut parent = named("a", vec![TaskSpec { priority: 30, ..flow("t", &[], child) }]);
    parent.job.priority = 100;
    bench.submit(parent);
    bench.settle_decisions();
    assert_eq!(bench.named("b", 1).priority, 132);
    bench.ask(Command::Priority { job: JobRef { name: "a".to_owned(), number: Some(1) }, priority: 990 }).unwrap();
    assert_eq!(bench.named("b", 1).priority, 1_000, "within its bounds");
}

#[test]
fn a_task_added_to_a_child_that_is_over_brings_back_its_task() {
    let mut bench = nested();
    bench.finish_task("c", 1, 0, 1);
    let added = AddedTask { id: Some("more".to_owned()), needs: Vec::new(), action: task("x", &[]).action };
    let job = JobRef { name: "b".to_owned(), number: Some(1) };
    bench.ask(Command::Add { job, task: Box::new(added), key: None }).unwrap();
    assert_eq!((bench.kinds("a", 1), bench.kinds("b", 1)), (vec![Delegated, Pending], vec![Failed, Starting]));
    bench.finish_task("b", 1, 1, 0);
    assert_eq!(bench.kinds("a", 1), [Failed, UpstreamFailed]);
}

#[test]
fn of_a_mapped_sub_flow_no_more_children_go_on_than_max_parallel_says() {
    let mut bench = Bench::new(9);
    let each =
        Mapping { over: crate::model::spec::Items::List((0..3).map(|n| serde_json::json!(n)).collect()), max_parallel: Some(2) };
    bench.submit(named("a", vec![TaskSpec { each: Some(each), ..flow("t", &[], named("b", vec![task("t", &[])])) }]));
    bench.settle_decisions();
    assert_eq!(bench.kinds("a", 1), [TaskKind::Mapped, Delegated, Delegated, TaskKind::Queued]);
    bench.finish_task("b", 1, 0, 1);
    assert_eq!(bench.kinds("a", 1)[1..], [Failed, Delegated, Delegated]);
    bench.finish_task("b", 2, 0, 0);
    bench.finish_task("b", 3, 0, 0);
    assert_eq!(bench.kinds("a", 1), [Failed, Failed, Completed, Completed]);
    bench.again("a", 1, Some("t"), RequeueWhich::Failed).unwrap();
    assert_eq!(bench.kinds("a", 1), [TaskKind::Mapped, Delegated, Completed, Completed]);
    bench.finish_task("b", 1, 0, 0);
    assert_eq!(bench.kinds("a", 1), [Completed, Completed, Completed, Completed]);
}

#[test]
fn a_running_task_may_not_queue_a_job_file_and_children_are_checked_in_full() {
    let mut bench = Bench::new(9);
    bench.submit(named("a", vec![task("t", &[])]));
    let action = flow("x", &[], named("b", vec![task("t", &[])])).action;
    let added = AddedTask { id: None, needs: Vec::new(), action };
    let job = JobRef { name: "a".to_owned(), number: None };
    let refusal = bench.ask(Command::Add { job, task: Box::new(added), key: None }).unwrap_err();
    assert!(refusal.message.contains("runs no job file"), "{refusal:?}");
    let broken = named("a", vec![flow("t", &[], named("b", vec![task("t", &["nobody"])]))]);
    let refusal = bench.ask(Command::Submit { submission: Box::new(broken), key: None }).unwrap_err();
    assert!(refusal.message.contains("needs `nobody`"), "{refusal:?}");
    let mut deep = named("x", vec![task("t", &[])]);
    for _ in 0..10 {
        deep = named("x", vec![flow("t", &[], deep)]);
    }
    let refusal = bench.ask(Command::Submit { submission: Box::new(deep), key: None }).unwrap_err();
    assert!(refusal.message.contains("nested too deep"), "{refusal:?}");
}

#[test]
fn what_runs_below_a_job_use_counts_for_its_budget() {
    use crate::model::change::ClaudeFacts;
    use crate::model::spec::Budget;
    let mut bench = Bench::new(9);
    let run = |id: &str, needs: &[&str]| TaskSpec {
        action: Action::Claude(Box::new(ClaudeSpec { prompt: "p".to_owned(), ..ClaudeSpec::default() })),
        ..task(id, needs)
    };
    let mut parent = named("a", vec![flow("t", &[], named("b", vec![run("t", &[]), run("u", &["t"])]))]);
    parent.job.budget = Some(Budget { microusd: Some(100), tokens: None });
    bench.submit(parent);
    bench.settle_decisions();
    let attempt = AttemptId { job: JobId(2), task: TaskIdx(0), number: 1 };
    let facts = ClaudeFacts { turns: 1, cost_microusd: 150, ..ClaudeFacts::default() };
    let claude = ClaudeReport {
        facts,
        result: Some(ClaudeResult { subtype: "success".to_owned(), ..ClaudeResult::default() }),
        ..ClaudeReport::default()
    };
    let exit = ExitFinding::Record(Box::new(bench.record(0)));
    let end = EndReport { exit, result: None, artifacts: None, claude: Some(claude), notes: Vec::new() };
    bench.step(vec![Input::Report(Report::Over { attempt, outbox: Vec::new(), end: Box::new(end) })]);
    assert_eq!(bench.named("a", 1).below, (150, 0));
    let state = bench.named("b", 1).tasks[1].state.clone();
    assert!(matches!(state, TaskState::Held { hold: Hold::Budget { .. } }), "{state:?}");
    bench.ask(Command::Budget { job: JobRef { name: "a".to_owned(), number: Some(1) }, budget: None }).unwrap();
    assert_eq!(bench.kinds("b", 1)[1], Starting);
}
