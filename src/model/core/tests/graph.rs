//! Rules, `if`, mapped tasks and `finally`.

use super::*;
use crate::model::decide::decide;
use crate::model::replay::Replayed;
use crate::model::spec::{Items, Mapping, Rule};
use crate::model::state::SkipReason;
use crate::model::template::Context;

impl Bench {
    /// Answers every expression that is asked about, as the shell would, and whatever that leads to.
    fn settle(&mut self, effects: Vec<Effect>) {
        let mut work = effects;
        while let Some(effect) = work.pop() {
            let Effect::Decide(ticket, launch) = effect else { continue };
            let states = launch.seen.iter().map(|(task, seen)| (task.clone(), seen.state.word().to_owned())).collect();
            let context = Context { params: launch.job.params.clone(), states, ..Context::default() };
            let (job, task) = (launch.attempt.job, launch.attempt.task);
            work.extend(self.step(vec![Input::Decided { job, task, ticket, decision: decide(&launch.task, &context) }]));
        }
    }

    fn begin(&mut self, submission: Submission) {
        let effects = self.step(vec![Input::Command(1, Command::Submit { submission: Box::new(submission), key: None })]);
        self.settle(effects);
    }

    /// Ends the attempt of a task, by its id.
    fn finish(&mut self, id: &str, code: i32) {
        let place = self.job().find(id).unwrap_or_else(|| panic!("no task {id}")).0;
        assert!(self.job().tasks[place as usize].state.live_attempt().is_some(), "{id} is {:?}", self.states());
        let effects = self.end(place, code);
        self.settle(effects);
    }

    fn asks(&mut self, command: Command) -> Result<Done, Refusal> {
        self.requests += 1;
        let id = self.requests;
        let effects = self.step(vec![Input::Command(id, command)]);
        let answer = effects.iter().find_map(|effect| match effect {
            Effect::Reply(to, answer) if *to == id => Some(answer.clone()),
            _ => None,
        });
        self.settle(effects);
        answer.unwrap()
    }

    fn requeues(&mut self, task: Option<&str>, which: RequeueWhich) -> Result<Done, Refusal> {
        let targets = self.of(task);
        self.asks(Command::Requeue { targets, which, params: Vec::new() })
    }

    fn cancels(&mut self, task: Option<&str>) -> Result<Done, Refusal> {
        let targets = self.of(task);
        self.asks(Command::Cancel { targets, all: false, how: CancelHow::Kill })
    }

    fn state(&self, id: &str) -> TaskState {
        let place = self.job().find(id).unwrap_or_else(|| panic!("no task {id}"));
        self.job().tasks[place.0 as usize].state.clone()
    }

    fn alive(&self) -> Vec<String> {
        self.job().tasks.iter().filter(|task| task.state.live_attempt().is_some()).map(|task| task.id.to_string()).collect()
    }
}

fn ruled(id: &str, needs: &[&str], rule: Rule) -> TaskSpec {
    TaskSpec { rule, ..task(id, needs) }
}

fn mapped(id: &str, needs: &[&str], items: u32, most: Option<u32>) -> TaskSpec {
    let over = Items::List((0..items).map(serde_json::Value::from).collect());
    TaskSpec { each: Some(Mapping { over, max_parallel: most }), ..task(id, needs) }
}

const GONE: TaskState = TaskState::Skipped { why: SkipReason::Gone };
const BY_RULE: TaskState = TaskState::Skipped { why: SkipReason::Rule };

#[test]
fn a_mapping_runs_as_many_at_once_as_it_says_and_ends_with_its_last_instance() {
    let mut bench = Bench::new(9);
    bench.begin(job(9, vec![mapped("m", &[], 3, Some(2)), task("after", &["m"])]));
    assert_eq!(bench.state("m"), TaskState::Mapped { instances: 3 });
    assert_eq!(bench.alive(), ["m/0", "m/1"]);
    bench.finish("m/1", 0);
    assert_eq!(bench.alive(), ["m/0", "m/2"]);
    bench.finish("m/0", 0);
    bench.finish("m/2", 1);
    assert_eq!((bench.state("m"), bench.state("after")), (TaskState::Failed, TaskState::UpstreamFailed));
    assert_eq!(bench.requeues(Some("m"), RequeueWhich::Failed), Ok(Done::Affected { count: 1 }));
    assert_eq!((bench.alive(), bench.state("after")), (vec!["m/2".to_owned()], TaskState::Pending));
    bench.finish("m/2", 0);
    assert_eq!(bench.state("m"), TaskState::Completed);
    bench.finish("after", 0);
    assert!(bench.requeues(Some("m"), RequeueWhich::Failed).is_err(), "nothing of it failed");
    bench.requeues(Some("m/0"), RequeueWhich::Failed).unwrap();
    assert_eq!((bench.alive(), bench.state("after")), (vec!["m/0".to_owned()], TaskState::Completed));
}

#[test]
fn an_empty_list_skips_the_task_and_what_waits_for_its_success() {
    let mut bench = Bench::new(9);
    bench.begin(job(
        9,
        vec![
            mapped("m", &[], 0, None),
            task("success", &["m"]),
            ruled("none_failed", &["m"], Rule::NoneFailed),
            ruled("done", &["m"], Rule::AllDone),
        ],
    ));
    assert_eq!(bench.state("m"), TaskState::Skipped { why: SkipReason::Empty });
    assert_eq!(bench.state("success"), BY_RULE);
    assert_eq!(bench.alive(), ["none_failed", "done"]);
}

#[test]
fn one_instance_is_enough_for_the_rules_that_ask_for_one() {
    let mut bench = Bench::new(9);
    bench.begin(job(
        9,
        vec![mapped("m", &[], 3, None), ruled("one", &["m"], Rule::OneSuccess), ruled("alarm", &["m"], Rule::OneFailed)],
    ));
    bench.finish("m/1", 0);
    assert_eq!((bench.state("one").live_attempt(), bench.state("alarm")), (Some(1), TaskState::Pending));
    bench.finish("m/0", 3);
    assert_eq!(bench.state("alarm").live_attempt(), Some(1));
}

#[test]
fn a_shorter_list_lets_go_of_instances_and_a_longer_one_makes_more() {
    let mut bench = Bench::new(9);
    let each = Some(Mapping { over: Items::From("params.list".to_owned()), max_parallel: None });
    let mut submission = job(9, vec![task("first", &[]), TaskSpec { each, ..task("m", &["first"]) }]);
    submission.job.params.insert("list".to_owned(), serde_json::json!([1, 2]));
    bench.begin(submission);
    bench.finish("first", 0);
    bench.finish("m/0", 0);
    bench.finish("m/1", 1);
    let with = |list: &str| vec![("list".to_owned(), list.to_owned())];
    let targets = bench.of(Some("first"));
    bench.asks(Command::Requeue { targets, which: RequeueWhich::From, params: with("[5]") }).unwrap();
    bench.finish("first", 0);
    assert_eq!((bench.alive(), bench.state("m/1")), (vec!["m/0".to_owned()], GONE.clone()));
    assert_eq!(bench.job().tasks[2].attempts, 2, "attempts go on being numbered");
    assert!(bench.requeues(Some("m/1"), RequeueWhich::Failed).unwrap_err().message.contains("does not have its item any more"));
    bench.finish("m/0", 0);
    let targets = bench.of(Some("m"));
    bench.asks(Command::Requeue { targets, which: RequeueWhich::All, params: with("[5, 6, 7]") }).unwrap();
    assert_eq!(bench.alive(), ["m/0", "m/1", "m/2"]);
}

#[test]
fn finally_runs_whatever_happened_and_after_a_cancel_and_a_second_cancel_ends_it() {
    let last = || TaskSpec { finally: true, ..ruled("last", &[], Rule::AllDone) };
    let mut bench = Bench::new(9);
    bench.begin(job(9, vec![task("a", &[]), task("b", &["a"]), last()]));
    bench.finish("a", 1);
    assert_eq!((bench.state("b"), bench.alive()), (TaskState::UpstreamFailed, vec!["last".to_owned()]));
    bench.finish("last", 0);
    bench.requeues(Some("a"), RequeueWhich::Failed).unwrap();
    assert_eq!(bench.state("last"), TaskState::Pending, "what runs at the end runs again after that");
    assert_eq!(bench.cancels(None), Ok(Done::Affected { count: 2 }));
    bench.finish("a", 137);
    assert_eq!(bench.alive(), ["last"]);
    assert_eq!(bench.cancels(None), Ok(Done::Affected { count: 1 }));
    bench.finish("last", 137);
    assert_eq!(bench.job().state, JobState::Cancelled);
}

#[test]
fn a_false_condition_skips_and_a_wrong_one_fails_with_its_reason() {
    let when = |id: &str, source: &str| TaskSpec { when: Some(source.to_owned()), ..task(id, &[]) };
    let mut bench = Bench::new(9);
    bench.begin(job(9, vec![when("no", "1 > 2"), when("yes", "1 < 2"), when("wrong", "params.nothing")]));
    assert_eq!(bench.state("no"), TaskState::Skipped { why: SkipReason::If });
    assert_eq!((bench.state("yes").live_attempt(), bench.state("wrong")), (Some(1), TaskState::Failed));
}

#[test]
fn after_a_stop_only_what_accepts_a_failure_starts() {
    let mut submission = job(
        9,
        vec![
            task("a", &[]),
            task("b", &[]),
            task("c", &["b"]),
            ruled("clean", &["c"], Rule::AllDone),
            ruled("alarm", &["a"], Rule::OneFailed),
        ],
    );
    submission.job.on_failure = OnFailure::Stop;
    let mut bench = Bench::new(9);
    bench.begin(submission);
    bench.finish("a", 1);
    assert_eq!(bench.state("c"), TaskState::Skipped { why: SkipReason::Stopped });
    assert_eq!(bench.alive(), ["b", "clean", "alarm"]);
}

/// What a person does in the middle, by number.
#[derive(Debug, Clone, Copy)]
enum Person {
    Cancel(u8),
    CancelAll,
    Requeue(u8, u8),
    RequeueAll(u8),
}

fn person() -> impl Strategy<Value = Person> {
    prop_oneof![
        any::<u8>().prop_map(Person::Cancel),
        Just(Person::CancelAll),
        (any::<u8>(), any::<u8>()).prop_map(|(task, which)| Person::Requeue(task, which)),
        any::<u8>().prop_map(Person::RequeueAll),
    ]
}

fn graph() -> impl Strategy<Value = Submission> {
    let task_of = (any::<u16>(), 0usize..6, 0u8..10, 0u32..4, prop::option::of(1u32..3), any::<bool>());
    (prop::collection::vec(task_of, 1..10), any::<bool>(), 1u32..5).prop_map(|(shapes, stops, parallel)| {
        let tasks = shapes.iter().enumerate().map(|(n, (needs, rule, kind, items, most, last))| {
            let needs: Vec<String> = (0..n).filter(|m| needs >> m & 1 == 1).map(|m| format!("t{m}")).collect();
            let needs: Vec<&str> = needs.iter().map(String::as_str).collect();
            let rule = if needs.is_empty() { Rule::AllSuccess } else { Rule::WORDS[*rule].1 };
            let spec = ruled(&format!("t{n}"), &needs, rule);
            let when = needs.first().map_or("1 < 2".to_owned(), |need| format!("tasks.{need}.state == 'completed'"));
            let spec = match kind {
                0..4 => spec,
                4 | 5 => TaskSpec { when: Some(when), ..spec },
                _ => TaskSpec { each: mapped("x", &[], *items, *most).each, ..spec },
            };
            TaskSpec { finally: *last && n > 0 && n + 2 > shapes.len(), ..spec }
        });
        let mut submission = job(parallel, tasks.collect());
        submission.job.on_failure = if stops { OnFailure::Stop } else { OnFailure::Continue };
        submission
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn every_graph_comes_to_an_end_with_every_task_accounted_for(
        submission in graph(),
        codes in prop::collection::vec(0i32..3, 64),
        people in prop::collection::vec((1usize..12, person()), 0..5),
    ) {
        let mut bench = Bench::new(3);
        bench.begin(submission);
        let mut people = people.into_iter();
        let mut next = people.next();
        let mut turns = 0;
        for turn in 0.. {
            prop_assert!(turn < 5_000, "it does not come to an end: {:?}", bench.states());
            if let Some((_, what)) = next.take_if(|(after, _)| turns >= *after) {
                turns = 0;
                let ids: Vec<String> = bench.job().tasks.iter().map(|task| task.id.to_string()).collect();
                let id = |n: u8| ids[n as usize % ids.len()].clone();
                // What is refused changes nothing.
                let _ = match what {
                    Person::Cancel(task) => bench.cancels(Some(&id(task))),
                    Person::CancelAll => bench.cancels(None),
                    Person::Requeue(task, which) => bench.requeues(Some(&id(task)), WHICH[which as usize % 3]),
                    Person::RequeueAll(which) => bench.requeues(None, WHICH[which as usize % 3]),
                };
                next = people.next();
            }
            turns += 1;
            let Some(live) = bench.alive().first().cloned() else {
                match next { Some(_) => { turns = usize::MAX; continue } None => break }
            };
            bench.finish(&live, i32::from(codes[turn % codes.len()] == 0));
        }
        let left: Vec<_> = bench.job().tasks.iter().filter(|task| !task.state.is_terminal()).map(|task| &task.id).collect();
        prop_assert!(left.is_empty(), "{left:?} of {:?}", bench.states());
        prop_assert!(bench.job().state.is_terminal());
        let mut replayed = Replayed::default();
        for event in &bench.events {
            prop_assert_eq!(replayed.apply(event), Ok(()));
        }
        let rows: Vec<TaskState> = replayed.jobs[&1].tasks.iter().map(|row| row.state.clone()).collect();
        let memory: Vec<TaskState> = bench.job().tasks.iter().map(|task| task.state.clone()).collect();
        prop_assert_eq!(rows, memory);
    }
}

const WHICH: [RequeueWhich; 3] = [RequeueWhich::Failed, RequeueWhich::All, RequeueWhich::From];
