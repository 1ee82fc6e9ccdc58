//! Retries by class of outcome.

use super::*;
use crate::model::attempt::StopCause;
use crate::model::spec::ClassRetry;

/// How an attempt ends.
#[derive(Debug, Clone, Copy)]
enum Ends {
    Exit(i32),
    Timeout,
    Lost,
}

impl Bench {
    /// Runs the first task once and ends it so; the wait that follows, if another attempt does.
    fn once(&mut self, ends: Ends) -> Option<u64> {
        self.start(0);
        let attempt = self.attempt(0);
        let exit = match ends {
            Ends::Exit(code) => ExitFinding::Record(Box::new(self.record(code))),
            Ends::Timeout => ExitFinding::Record(Box::new(ExitRecord { stopped: Some(StopCause::Timeout), ..self.record(143) })),
            Ends::Lost => ExitFinding::Missing { rebooted: false },
        };
        let end = EndReport { exit, result: None, claude: None, artifacts: None, notes: Vec::new() };
        self.step(vec![Input::Report(Report::Over { attempt, outbox: Vec::new(), end: Box::new(end) })]);
        let TaskState::Held { hold: Hold::Retry { at, delay_ms } } = self.job().tasks[0].state else { return None };
        self.now.utc = at;
        self.step(vec![Input::Tick]);
        assert_eq!(self.states(), [TaskKind::Starting]);
        Some(delay_ms)
    }
}

fn of(retry: Retry) -> Bench {
    let mut bench = Bench::new(9);
    let mut only = task("a", &[]);
    only.limits.retry = retry;
    bench.submit(job(1, vec![only]));
    bench
}

fn on<const N: usize>(classes: [(RetryClass, ClassRetry); N]) -> Retry {
    Retry { attempts: 3, delay_ms: 1_000, factor: 2.0, jitter: 0.0, on: classes.into(), ..Retry::default() }
}

const SHARED: ClassRetry = ClassRetry { attempts: None, delay_ms: None, factor: None, max_delay_ms: None, jitter: None };

#[test]
fn a_class_has_its_own_delay_and_shares_the_budget_unless_it_says_attempts() {
    let late = ClassRetry { delay_ms: Some(60_000), ..SHARED };
    let mut bench = of(on([(RetryClass::TimedOut, late)]));
    assert_eq!(bench.once(Ends::Exit(1)), Some(1_000));
    assert_eq!(bench.once(Ends::Timeout), Some(120_000), "the second that is spent of the same budget");
    assert_eq!(bench.once(Ends::Exit(1)), None);
    let many = ClassRetry { attempts: Some(4), delay_ms: Some(5), factor: Some(1.0), ..SHARED };
    let mut bench = of(on([(RetryClass::Exit(75), many)]));
    let waits = [75, 1, 75, 1, 75].map(|code| bench.once(Ends::Exit(code)));
    assert_eq!(waits, [Some(5), Some(1_000), Some(5), Some(2_000), Some(5)]);
    assert_eq!(bench.once(Ends::Exit(75)), None, "the fourth that ended so");
}

#[test]
fn never_is_never_and_what_is_lost_has_its_own_budget() {
    let never = ClassRetry { attempts: Some(1), ..SHARED };
    let mut bench = of(on([(RetryClass::Exit(2), never)]));
    assert_eq!((bench.once(Ends::Exit(3)), bench.once(Ends::Exit(2))), (Some(1_000), None));
    let lost = ClassRetry { attempts: Some(2), delay_ms: Some(7), jitter: Some(0.0), ..SHARED };
    let mut bench = of(on([(RetryClass::Infrastructure, lost)]));
    let waits = [Ends::Lost, Ends::Exit(1), Ends::Exit(1)].map(|ends| bench.once(ends));
    assert_eq!(waits, [Some(7), Some(1_000), Some(2_000)]);
    assert_eq!(bench.once(Ends::Lost), None);
    assert_eq!(of(Retry::default()).once(Ends::Exit(1)), None, "by default nothing of its own fault is repeated");
}

#[test]
fn a_requeue_begins_every_budget_afresh() {
    let twice = ClassRetry { attempts: Some(2), ..SHARED };
    let mut bench = of(on([(RetryClass::Exit(75), twice)]));
    for _ in 0..2 {
        assert_eq!((bench.once(Ends::Exit(75)), bench.once(Ends::Exit(75))), (Some(1_000), None));
        bench.ask(Command::Requeue { targets: bench.of(Some("a")), which: RequeueWhich::Failed, params: Vec::new() }).unwrap();
    }
}

fn class() -> impl Strategy<Value = RetryClass> {
    let classes = [
        RetryClass::Failed,
        RetryClass::Exit(1),
        RetryClass::Exit(75),
        RetryClass::TimedOut,
        RetryClass::Infrastructure,
        RetryClass::Lost,
    ];
    prop::sample::select(classes.to_vec())
}

prop_compose! {
    fn said()(
        attempts in prop::option::of(1u32..6),
        delay_ms in prop::option::of(0u64..10_000),
        factor in prop::option::of(1.0f64..10.0),
        max_delay_ms in prop::option::of(0u64..100_000),
        jitter in prop::option::of(0.0f64..1.0),
    ) -> ClassRetry {
        ClassRetry { attempts, delay_ms, factor, max_delay_ms, jitter }
    }
}

proptest! {
    #[test]
    fn there_are_never_more_attempts_than_the_budgets_allow_and_no_wait_is_longer_than_its_class_says(
        attempts in 1u32..6,
        on in prop::collection::btree_map(class(), said(), 0..4),
        ends in prop::collection::vec(prop::sample::select(vec![Ends::Exit(1), Ends::Exit(75), Ends::Timeout, Ends::Lost]), 40),
    ) {
        let retry = Retry { attempts, on, ..Retry::default() };
        let mut bench = of(retry.clone());
        let mut count = 0;
        for end in ends {
            count += 1;
            let finest = match end {
                Ends::Exit(code) => RetryClass::Exit(code),
                Ends::Timeout => RetryClass::TimedOut,
                Ends::Lost => RetryClass::Lost,
            };
            match bench.once(end) {
                Some(delay_ms) => prop_assert!(delay_ms <= retry.rule(finest).longest_ms()),
                None => break,
            }
        }
        prop_assert!(count <= retry.most(), "{} attempts, at most {}", count, retry.most());
        prop_assert_eq!(bench.states(), [TaskKind::Failed], "and it ends");
    }
}
