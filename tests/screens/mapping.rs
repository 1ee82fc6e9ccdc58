//! Mapped tasks, rules and what runs at the end: one bar, a line for each instance, and what keys do to them.

use airx::model::state::{FailCause, Hold, Outcome, SkipReason, TaskState};

use super::harness::{Screen, at, over};
use super::world::{MINUTE, SECOND, Task, World, ago, task, world};

/// A job that has found eighteen files and is in the midst of them.
fn grown() -> World {
    let files = ["lib", "token", "user", "session", "config", "error", "hash"];
    let mut tasks = vec![
        task("discover").completed(4 * SECOND),
        task("fix").in_state(TaskState::Mapped { instances: 18 }).each(Some(2)).needs(&["discover"]).claude(b""),
        task("polish").in_state(TaskState::Pending).each(None).needs(&["fix"]),
        task("never").in_state(TaskState::Skipped { why: SkipReason::If }),
        task("announce").pending(&["fix"]),
        task("clean").finally(),
    ];
    for number in 0..18 {
        let item = files.get(number).map_or(format!("src/generated/part_{number}.rs"), |name| format!("src/{name}.rs"));
        let one = task(&format!("fix/{number}")).of("fix", &item);
        tasks.push(match number {
            0..=8 => one.completed(101 * SECOND).cost(140_000),
            9 | 10 => one.exited(2).cost(150_000),
            11 => one.running(3 * MINUTE).progress(3, Some(5), "todo").cost(220_000),
            12 => one.asking(MINUTE),
            13 => one.held(Hold::Limit { until: ago(0).plus(3_600_000), asks: false }),
            _ => one,
        });
    }
    world().job("harden-auth", tasks).with(|job| job.spec.max_parallel = 4)
}

/// A mapped task of so many instances, all done but the last.
fn many(count: usize) -> World {
    let mut tasks = vec![task("fix").in_state(TaskState::Mapped { instances: u32::try_from(count).unwrap() }).each(None)];
    let one = |number: usize| task(&format!("fix/{number}")).of("fix", &format!("item {number}"));
    tasks.extend((0..count - 1).map(|number| one(number).completed(SECOND)));
    tasks.push(one(count - 1).running(MINUTE));
    world().job("large", tasks)
}

fn failed(instances: u32, of: u32) -> Outcome {
    Outcome::Failed { cause: FailCause::Instances { failed: instances, of } }
}

#[test]
fn the_parent_is_one_bar_and_its_instances_have_the_names_of_their_items() {
    for (columns, rows) in [(80, 24), (200, 50)] {
        let mut screen = at(columns, rows).over(grown());
        screen.press("l j j");
        let bar = screen.line(" fix ");
        assert!(bar.contains("9/18") && bar.contains("2 failed") && bar.contains("1 held"), "{bar}");
        assert!(screen.line("src/lib.rs").contains("1:41"), "{}", screen.text());
        screen.shows("src/token.rs").shows("2 of 2 (max_parallel of its mapping)");
        assert!(!screen.text().lines().any(|line| line.chars().take(90).collect::<String>().contains("fix/1")), "called by its item");
        screen.looks_as_in(&format!("mapping_{columns}x{rows}"));
        screen.press("G");
        assert!(screen.line("polish").contains("needs fix") && !screen.line("polish").contains("0/"), "no fraction yet");
        assert!(screen.line("clean").contains("runs when everything else is over"));
        assert!(screen.line("never").contains("its `if` is false"));
    }
}
