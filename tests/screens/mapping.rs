//! Mapped tasks, rules and what runs at the end: one bar, a line for each instance, and what keys do to them.

use airx::config::screen::Glyphs;
use airx::model::message::{Command, RequeueWhich, TaskView};
use airx::model::spec::{Items, Mapping, Rule};
use airx::model::state::{FailCause, Hold, Outcome, SkipReason, TaskKind, TaskState};

use super::harness::{Setup, at, over};
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
        assert!(
            !screen.text().lines().any(|line| line.chars().take(90).collect::<String>().contains("fix/1")),
            "called by its item"
        );
        screen.looks_as_in(&format!("mapping_{columns}x{rows}"));
        screen.press("G");
        assert!(screen.line(" polish ").contains("needs fix") && !screen.line(" polish ").contains("0/"), "no fraction yet");
        assert!(screen.line(" clean ").contains("runs when everything else is over"));
        assert!(screen.line(" never ").contains("its `if` is false"));
    }
}

#[test]
fn a_bar_in_ascii_and_without_room() {
    let mut screen = Setup { glyphs: Glyphs::Ascii, ..at(80, 24) }.over(grown());
    screen.press("l j");
    assert!(screen.line(" fix ").contains("####x"), "{}", screen.text());
    screen.looks_as_in("mapping_ascii");
    let mut screen = at(60, 16).over(grown());
    screen.press("l j");
    let bar = screen.line(" fix ");
    assert!(bar.contains("2 failed") && bar.contains("9/18") && !bar.contains("$1.78"), "cost goes first: {bar}");
}

#[test]
fn a_large_mapping_is_folded_until_somebody_unfolds_it_and_stays_so() {
    let mut screen = over(many(10_000));
    screen.press("l j");
    assert_eq!(screen.rows(), ["large.1", "- fix"]);
    assert!(screen.line(" fix ").contains("9999/10000"));
    screen.press("l");
    assert_eq!(screen.app.tree.rows.len(), 10_002);
    screen.press("G");
    assert!(screen.line("item 9999").contains("1:00"), "{}", screen.text());
    screen.when(|world| world.moves(1, "fix/9999", |one| one.over(Outcome::Succeeded)));
    assert!(screen.line("item 9999").contains('✓'), "{}", screen.text());
    screen.press("h h");
    assert_eq!(screen.rows(), ["large.1", "- fix"], "the second one folds what the first went up to");
    assert_eq!(screen.selected(), "large.1/fix");
    assert!(screen.line(" fix ").contains("10000/10000"), "{}", screen.text());
    screen.press("h h l");
    assert_eq!(screen.rows().len(), 2, "unfolding the job again leaves it folded");
}

#[test]
fn moving_through_many_instances_finds_no_lines_anew() {
    let mut screen = over(many(10_000));
    screen.press("l j l");
    let (rows, capacity) = (screen.app.tree.rows.as_ptr(), screen.app.tree.rows.len());
    screen.press("j j ctrl-d G k k g g j");
    assert_eq!((screen.app.tree.rows.as_ptr(), screen.app.tree.rows.len()), (rows, capacity));
    screen.when(|world| world.moves(1, "fix/9999", |one| one.over(Outcome::Succeeded)));
    assert_eq!(screen.app.tree.rows.as_ptr(), rows, "nor does an instance that goes on");
}

#[test]
fn a_filter_finds_instances_by_item_and_by_state() {
    let mut screen = over(grown());
    screen.press("/").types("token").press("enter");
    assert_eq!(screen.rows(), ["harden-auth.1", "- fix", "-- fix/1"]);
    screen.press("/ ctrl-u").types("state:failed").press("enter");
    assert_eq!(screen.rows(), ["harden-auth.1", "- fix", "-- fix/9", "-- fix/10"]);
    let mut screen = over(many(100));
    screen.press("/").types("fix").press("enter");
    assert_eq!(screen.rows(), ["large.1", "- fix"], "whoever is like the mapped task too stays in its fold");
}

#[test]
fn instances_of_an_earlier_list_are_counted_and_shown_to_who_asks_for_them() {
    let gone = |number: usize| {
        let one = task(&format!("fix/{number}")).in_state(TaskState::Skipped { why: SkipReason::Gone });
        Task { view: TaskView { parent: Some("fix".to_owned()), ..one.view }, ..one }
    };
    let mut tasks = vec![task("fix").in_state(TaskState::Completed).each(None)];
    tasks.push(task("fix/0").of("fix", "one").completed(SECOND));
    tasks.extend((1..4).map(gone));
    let mut screen = over(world().job("shrunk", tasks));
    screen.press("l");
    assert_eq!(screen.rows(), ["shrunk.1", "- fix", "-- fix/0"]);
    assert!(screen.line(" fix ").contains("+3 gone") && screen.line(" fix ").contains("1/1"), "{}", screen.text());
    screen.press("/").types("state:skipped").press("enter");
    assert_eq!(screen.rows(), ["shrunk.1", "- fix", "-- fix/1", "-- fix/2", "-- fix/3"]);
}

#[test]
fn requeue_of_a_mapped_task_says_of_how_many_and_asks() {
    let mut screen = over(grown());
    screen.press("l j").select("fix").press("r");
    screen.shows("Requeue 2 failed instances of harden-auth.1/fix?");
    screen.pass(400).press("y");
    let [Command::Requeue { targets, which: RequeueWhich::Failed, .. }] = &screen.commands[..] else {
        panic!("{:?}", screen.commands)
    };
    assert_eq!(targets[0].to_string(), "harden-auth.1/fix");
    screen.select("fix/10").press("r");
    let Some(Command::Requeue { targets, .. }) = screen.commands.last() else { panic!("{:?}", screen.commands) };
    assert_eq!(targets[0].to_string(), "harden-auth.1/fix/10", "an instance alone, and nobody is asked");
}

#[test]
fn where_nothing_failed_all_of_it_may_run_again_for_its_cost() {
    let mut tasks = vec![task("fix").in_state(TaskState::Completed).each(None)];
    tasks.extend((0..18).map(|number| task(&format!("fix/{number}")).of("fix", "x").completed(SECOND).cost(200_000)));
    let mut screen = over(world().job("done", tasks));
    screen.press("l j r");
    screen.shows("Run all 18 instances of done.1/fix again").shows("So far they cost $3.60.");
    screen.pass(400).press("y");
    assert!(matches!(screen.commands[..], [Command::Requeue { which: RequeueWhich::All, .. }]), "{:?}", screen.commands);
    let mut screen = over(many(3));
    screen.press("l j r");
    screen.shows("no instance of large.1/fix failed or was cancelled");
    assert!(screen.commands.is_empty());
}

#[test]
fn cancelling_a_mapped_task_says_to_how_many() {
    let mut screen = over(grown());
    screen.press("l j").select("fix").press("c");
    screen.shows("Cancel harden-auth.1/fix? 7 instances are not over.");
    screen.pass(400).press("esc").select("harden-auth.1").press("c");
    screen.shows("10 tasks are not over.");
}

#[test]
fn in_the_place_of_output_stands_what_became_of_its_instances() {
    for (columns, rows) in [(80, 24), (200, 50)] {
        let mut screen = at(columns, rows).over(grown());
        screen.press("l j").select("fix").press("enter");
        screen
            .shows("18 instances  ? 1 awaiting_input  ✘ 2 failed")
            .shows("Waits for you")
            .shows("Failed")
            .shows("exit 2")
            .shows("Running");
        screen.looks_as_in(&format!("mapping_output_{columns}x{rows}"));
    }
    let why = |task: Task| {
        let mut screen = at(80, 24).over(world().job("m", vec![task.each(None), super::world::task("discover")]));
        screen.press("l j enter");
        screen.text()
    };
    let skipped = |why| TaskState::Skipped { why };
    for (state, said) in [
        (TaskState::Pending, "its list is not known yet: waits for discover"),
        (TaskState::Queued, "its list is not known yet: next"),
        (skipped(SkipReason::Empty), "its list is empty"),
        (skipped(SkipReason::If), "skipped: its `if` is false"),
        (TaskState::Cancelled, "cancelled before its list was known"),
    ] {
        let text = why(task("fix").in_state(state).needs(&["discover"]));
        assert!(text.contains(said), "{said}\n{text}");
    }
    let mut broken = task("fix").in_state(TaskState::Failed);
    broken.view.outcome = Some(Outcome::Failed { cause: FailCause::Decision("for_each: no such field".to_owned()) });
    assert!(why(broken).contains("cannot be decided: for_each: no such field"));
}

#[test]
fn info_tells_the_list_the_rule_and_the_item() {
    let mut screen = over(grown().with(|job| {
        job.tasks[1].spec.rule = Rule::NoneFailed;
        job.tasks[3].spec.when = Some("params.deep".to_owned());
    }));
    screen.press("l j").select("fix").press("enter 2");
    screen.shows("for_each").shows("{{ tasks.discover.result }}").shows("max_parallel").shows("none_failed");
    screen.shows("9 completed").shows("2 failed");
    screen.looks_as_in("mapping_info");
    screen.select("never");
    screen.shows("params.deep").shows("its `if` is false");
    screen.select("clean");
    screen.shows("finally      runs when everything else is over");
    let item = "{\"os\":\"linux\",\"version\":3}";
    let tasks = vec![
        task("mx").in_state(TaskState::Mapped { instances: 1 }).each(None),
        task("mx/0").of("mx", item).with(|spec| {
            let over = Items::From("x".to_owned());
            spec.each = Some(Mapping { over, max_parallel: None });
        }),
    ];
    let mut screen = over(world().job("m", tasks));
    screen.press("l j").select("mx/0").press("enter 2");
    screen.shows("instance of").shows("m.1/mx").shows("\"version\": 3");
}

#[test]
fn the_graph_has_one_node_for_a_mapped_task_and_what_runs_at_the_end_is_last() {
    for (columns, rows) in [(80, 24), (200, 50)] {
        let mut screen = at(columns, rows).over(grown());
        screen.press("l j").select("discover").press("enter 4");
        screen.shows("fix ×18 ██▌▒").shows("polish ×?").shows("┄");
        assert_eq!(screen.app.pane.graph.members.len(), 6, "instances are no nodes");
        screen.looks_as_in(&format!("mapping_graph_{columns}x{rows}"));
    }
    let mut screen = Setup { glyphs: Glyphs::Ascii, ..at(120, 40) }.over(grown());
    screen.press("l j").select("discover").press("enter 4");
    screen.shows("fix x18").shows("...");
    screen.when(|world| world.moves(1, "fix/11", |one| one.over(Outcome::Succeeded)));
    let counts = screen.app.pane.graph.members[1].instances.unwrap();
    assert_eq!(counts.of(TaskKind::Completed), 10, "the node keeps up with what happens");
}

#[test]
fn a_failed_mapped_task_counts_no_failure_beside_those_of_its_instances() {
    let mut tasks = vec![task("fix").in_state(TaskState::Failed).each(None)];
    tasks[0].view.outcome = Some(failed(1, 2));
    tasks.extend([task("fix/0").of("fix", "a").exited(3), task("fix/1").of("fix", "b").completed(SECOND)]);
    let mut screen = over(world().job("m", tasks));
    screen.press("l");
    assert!(screen.line(" ✘ m.1").contains("1/2") && screen.line(" ✘ m.1").contains("1 failed"), "{}", screen.text());
    let header = screen.text().lines().next().unwrap().to_owned();
    assert!(header.contains("1 failed") && header.contains("1 done"), "{header}");
    screen.press("g g !");
    assert_eq!(screen.selected(), "m.1/fix/0", "the next failure is the instance's");
}

#[test]
fn a_list_that_becomes_known_and_then_is_another_one_is_kept_up_with() {
    let tasks =
        vec![task("discover").completed(SECOND), task("fix").each(None).needs(&["discover"]), task("after").pending(&["fix"])];
    let mut screen = over(world().job("m", tasks));
    screen.press("l");
    assert!(screen.line(" fix ").contains("next") && !screen.line(" fix ").contains('/'), "an open mapping has no fraction");
    screen.when(|world| world.expands(1, "fix", &["one", "two", "three"]));
    assert_eq!(screen.rows(), ["m.1", "- discover", "- fix", "-- fix/0", "-- fix/1", "-- fix/2", "- after"]);
    screen.when(|world| world.moves(1, "fix/0", |one| one.completed(SECOND).cost(90_000)));
    assert!(screen.line(" fix ").contains("1/3"), "{}", screen.text());
    assert!(screen.line(" ◦ m.1").contains("2/5"), "{}", screen.text());
    screen.when(|world| world.expands(1, "fix", &["uno"]));
    assert_eq!(screen.rows(), ["m.1", "- discover", "- fix", "-- fix/0", "- after"]);
    assert!(screen.line(" fix ").contains("0/1") && screen.line(" fix ").contains("+2 gone"), "{}", screen.text());
    screen.shows(" uno ");
    screen.when(|world| world.expands(1, "fix", &["uno", "due"]));
    assert!(screen.line(" fix ").contains("0/2") && screen.line(" fix ").contains("+1 gone"), "{}", screen.text());
    screen.shows(" due ");
}
