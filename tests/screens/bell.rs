//! What the terminal itself tells of, while the workstation is open.

use airx::model::notice::{GAP_MS, Kind, Means, Notifier, Ring};
use airx::tui::app::Effect;

use super::harness::{Screen, Setup};
use super::world::{World, task, world};

fn telling(ring: Ring, world: World) -> Screen {
    let notifier = Notifier { on: [Kind::Failed].into(), means: Means::Terminal(ring), title: None, text: None };
    Setup { notify: vec![notifier], ..Setup::default() }.over(world)
}

fn rings(screen: &mut Screen) -> Vec<String> {
    let told = |effect: Effect| match effect {
        Effect::Ring { title, text, .. } => Some(format!("{title} | {text}")),
        _ => None,
    };
    std::mem::take(&mut screen.effects).into_iter().filter_map(told).collect()
}

fn three() -> World {
    world()
        .job("nightly", vec![task("old").exited(2), task("a").running(5_000), task("b").running(5_000), task("c").running(5_000)])
}

#[test]
fn what_failed_before_the_workstation_was_opened_rings_nothing_and_what_fails_then_does() {
    let mut screen = telling(Ring::Osc777, three());
    assert_eq!(rings(&mut screen), Vec::<String>::new());
    screen.when(|world| world.moves(1, "a", |task| task.exited(3)));
    assert_eq!(rings(&mut screen), ["airx: task failed | task nightly.1/a failed: exit 3"]);
}

#[test]
fn what_fails_right_after_it_rings_once_when_the_time_has_come() {
    let mut screen = telling(Ring::Osc9, three());
    for id in ["a", "b", "c"] {
        screen.when(|world| world.moves(1, id, |task| task.exited(3)));
    }
    assert_eq!(rings(&mut screen).len(), 1);
    let wake = airx::tui::update::next_wake(&screen.app).unwrap();
    assert!(wake.0 <= screen.now.mono.0 + GAP_MS, "an idle screen wakes for it");
    screen.pass(GAP_MS);
    assert_eq!(rings(&mut screen), ["airx: task failed | 2 tasks failed in nightly.1"]);
    screen.pass(GAP_MS);
    assert_eq!(rings(&mut screen), Vec::<String>::new());
}

#[test]
fn without_such_a_notifier_nothing_rings() {
    let mut screen = Setup::default().over(three());
    screen.when(|world| world.moves(1, "a", |task| task.exited(3)));
    assert_eq!(rings(&mut screen), Vec::<String>::new());
}
