//! Approvals: asked without an attempt, answered once, and the end of their task.

use super::*;
use crate::model::decide::{Decision, decide};
use crate::model::question::Answer;
use crate::model::spec::{ApproveSpec, Items, Mapping};
use crate::model::template::Context;

fn approval(needs: &[&str], asks: ApproveSpec) -> TaskSpec {
    let message = "Merge {{ job.name }}?".to_owned();
    TaskSpec { action: Action::Approve(Box::new(ApproveSpec { message, ..asks })), ..task("ok", needs) }
}

impl Bench {
    /// As the shell does: what is to be decided is decided.
    fn decide(&mut self, effects: Vec<Effect>) -> Vec<Effect> {
        let inputs = effects.iter().filter_map(|effect| match effect {
            Effect::Decide(ticket, launch) => {
                let context = Context { job: launch.name.to_string(), item: launch.item.clone(), ..Context::default() };
                let (job, task) = (launch.attempt.job, launch.attempt.task);
                Some(Input::Decided { job, task, ticket: *ticket, decision: decide(&launch.task, &context) })
            }
            _ => None,
        });
        let inputs: Vec<Input> = inputs.collect();
        if inputs.is_empty() { effects } else { self.step_and_decide(inputs) }
    }

    fn step_and_decide(&mut self, inputs: Vec<Input>) -> Vec<Effect> {
        let effects = self.step(inputs);
        self.decide(effects)
    }

    fn tell(&mut self, command: Command) {
        self.step_and_decide(vec![Input::Command(9_000, command)]);
    }

    fn answer(&mut self, question: u32, answer: Answer, name: &str) -> Result<Done, Refusal> {
        self.ask(Command::Answer { question, answer, by_name: Some(name.to_owned()) })
    }
}

fn yes() -> Answer {
    Answer::Approve { comment: "fine".to_owned() }
}

fn no() -> Answer {
    Answer::Reject { comment: "not now".to_owned() }
}

fn asking(asks: ApproveSpec) -> Bench {
    let mut bench = Bench::new(1);
    // No slot: the other task has the only one.
    let submission = job(1, vec![task("a", &[]), approval(&[], asks), task("after", &["ok"])]);
    bench.tell(Command::Submit { submission: Box::new(submission), key: None });
    bench.start(0);
    bench
}

#[test]
fn an_approval_takes_no_slot_and_its_answer_is_its_end() {
    let mut bench = asking(ApproveSpec::default());
    assert_eq!(bench.states(), [TaskKind::Running, TaskKind::AwaitingApproval, TaskKind::Pending]);
    assert_eq!(bench.answer(1, Answer::Say { text: "x".to_owned() }, "ann").unwrap_err().code, RefusalCode::Invalid);
    bench.answer(1, yes(), "ann").unwrap();
    assert_eq!(bench.states()[1..], [TaskKind::Completed, TaskKind::Queued]);
    let result = serde_json::to_value(bench.job().tasks[1].result.as_ref().unwrap()).unwrap();
    assert_eq!((&result["inline"]["approved"], &result["inline"]["by"]), (&true.into(), &"ann".into()));
    assert_eq!(result["inline"]["comment"], "fine");
    assert_eq!(bench.answer(1, yes(), "ann").unwrap_err().code, RefusalCode::NotFound, "it is settled once");
    assert_eq!(bench.job().tasks[1].attempts, 0);
}

#[test]
fn a_rejection_fails_it_and_a_requeue_asks_another_question() {
    let mut bench = asking(ApproveSpec { who: vec!["ann".to_owned()], ..ApproveSpec::default() });
    assert_eq!(bench.answer(1, no(), "bob").unwrap_err().code, RefusalCode::Forbidden);
    assert_eq!(
        bench.ask(Command::Answer { question: 1, answer: yes(), by_name: None }).unwrap_err().code,
        RefusalCode::Forbidden
    );
    bench.answer(1, no(), "ann").unwrap();
    assert_eq!(bench.states()[1..], [TaskKind::Failed, TaskKind::UpstreamFailed]);
    let targets = vec![Address { job: JobRef { name: "j".to_owned(), number: None }, task: Some("ok".to_owned()) }];
    bench.tell(Command::Requeue { targets: targets.clone(), which: RequeueWhich::Failed, params: Vec::new() });
    assert_eq!(bench.job().tasks[1].state, TaskState::AwaitingApproval { question: 2 });
    assert_eq!(bench.job().tasks[1].result, None);
    bench.tell(Command::Cancel { targets, all: false, how: CancelHow::Ask });
    assert_eq!(bench.states()[1], TaskKind::Cancelled);
    assert_eq!(bench.answer(2, yes(), "ann").unwrap_err().code, RefusalCode::NotFound, "nobody is asked any more");
    assert_eq!(bench.core.next_wake().0, None);
}

#[test]
fn a_time_out_is_a_wait_that_a_clock_does_not_make_longer() {
    for (approves, end) in [(true, TaskKind::Completed), (false, TaskKind::Failed)] {
        let mut bench = asking(ApproveSpec { timeout_ms: Some(60_000), approves, ..ApproveSpec::default() });
        let asked = bench.now.utc;
        assert_eq!(bench.core.next_wake().0, Some(asked.plus(60_000)));
        // The clock is put back by an hour: it waits a minute from now on, not an hour and a minute.
        bench.now.utc = asked.plus(-3_600_000);
        bench.step(vec![Input::Reconcile]);
        assert_eq!(bench.core.next_wake().0, Some(bench.now.utc.plus(60_000)));
        bench.now.utc = bench.now.utc.plus(59_999);
        bench.step(vec![Input::Tick]);
        assert_eq!(bench.states()[1], TaskKind::AwaitingApproval);
        bench.now.utc = bench.now.utc.plus(1);
        bench.step(vec![Input::Tick]);
        assert_eq!(bench.states()[1], end);
    }
}

#[test]
fn what_is_paused_or_stopped_asks_nothing_new() {
    let mut bench = Bench::new(1);
    let job_of = JobRef { name: "j".to_owned(), number: None };
    let each = Some(Mapping { over: Items::List(vec![1.into(), 2.into()]), max_parallel: None });
    let spec = TaskSpec { each, ..approval(&["a"], ApproveSpec::default()) };
    bench.submit(job(1, vec![task("a", &[]), spec]));
    bench.start(0);
    let effects = bench.end(0, 0);
    // Asked to decide, and paused before the answer comes.
    bench.ask(Command::Pause { job: Some(job_of.clone()) }).unwrap();
    bench.decide(effects);
    assert!(bench.states()[1..].iter().all(|kind| *kind != TaskKind::AwaitingApproval), "{:?}", bench.states());
    bench.tell(Command::Resume { job: Some(job_of) });
    assert_eq!(bench.states()[1..], [TaskKind::Mapped, TaskKind::AwaitingApproval, TaskKind::AwaitingApproval]);
    bench.answer(1, yes(), "ann").unwrap();
    bench.answer(2, no(), "ann").unwrap();
    assert_eq!(bench.states()[1..], [TaskKind::Failed, TaskKind::Completed, TaskKind::Failed]);
}

#[test]
fn what_nobody_can_be_shown_is_not_asked() {
    let mut bench = Bench::new(1);
    let effects = {
        let submission = Box::new(job(1, vec![approval(&[], ApproveSpec::default())]));
        bench.step(vec![Input::Command(1, Command::Submit { submission, key: None })])
    };
    let Some(Effect::Decide(ticket, launch)) = effects.into_iter().find(|effect| matches!(effect, Effect::Decide(..))) else {
        panic!("nothing is to be decided")
    };
    let decision = Decision::Ask { message: "m".to_owned(), show: Some("x".repeat(300 << 10)) };
    let (job, task) = (launch.attempt.job, launch.attempt.task);
    bench.step(vec![Input::Decided { job, task, ticket, decision }]);
    assert_eq!(bench.states(), [TaskKind::Failed]);
}
