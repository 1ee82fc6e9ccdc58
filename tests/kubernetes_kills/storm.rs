//! Managers are killed and the server is started anew in any order, while a dozen tasks are made, run and end.

use std::time::{Duration, Instant};

use super::bench::{Bench, Mode};
use super::kubernetes::Kind;
use super::kubernetes::faults::{Fault, When, Which};
use super::{in_both_modes, site};

in_both_modes! {
    a_storm, a_storm_without_runner: |mode| storm(mode, false);
    a_storm_that_takes_pods_too, a_storm_that_takes_pods_too_without_runner: |mode| storm(mode, true);
}

/// So long the storm lasts, unless all is over before.
const LASTS: Duration = Duration::from_secs(12);
const TASKS: u32 = 12;

/// The next number of a generator (splitmix64), below a bound.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn pause(&mut self, most_ms: u64) -> Duration {
        Duration::from_millis(self.below(most_ms))
    }
}

/// Prints a hundred lines within a second or two.
fn task(n: u32, dice: &mut Dice) -> String {
    let pause = 5 + dice.below(15);
    format!(
        "  - id: t{n}\n    run: 'echo $AIRX_ATTEMPT >> ran; i=1; while [ $i -le 100 ]; do echo t{n} $i; i=$((i+1)); \
         sleep 0.0{pause:02}; done; printf \"end of t{n}\"'\n"
    )
}

/// Deletes any pod that is known on this side: one that goes before its making was told to anybody may be made again.
fn take_one(bench: &Bench, dice: &mut Dice) -> bool {
    let pods = bench.server.pods();
    let known: Vec<_> = pods.iter().filter(|pod| bench.is_known(pod["metadata"]["uid"].as_str().unwrap())).collect();
    let Some(pod) = known.get(dice.below(known.len().max(1) as u64) as usize) else { return false };
    let grace = (dice.below(2) == 0).then_some(1);
    bench.server.delete_if_there(pod["metadata"]["name"].as_str().unwrap(), grace)
}

/// The seed is said, and can be: `AIRX_KILLS_SEED`.
fn storm(mode: Mode, takes_pods: bool) {
    let seed = std::env::var("AIRX_KILLS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(7);
    println!("seed {seed}");
    let mut dice = Dice(seed);
    let Some(mut bench) = site(mode, 4) else { return };
    let faults = bench.server.faults();
    faults.seed(seed);
    faults.on_all(Which::Chance(0.03), Fault::Cut(When::Before));
    faults.on_all(Which::Chance(0.03), Fault::internal(When::Before));
    faults.on(Kind::Create, Which::Chance(0.2), Fault::Cut(When::After));
    faults.on(Kind::Delete, Which::Chance(0.2), Fault::Cut(When::After));
    faults.on(Kind::Log, Which::Chance(0.2), Fault::End { after: 7, is_clean: false });
    faults.on(Kind::Watch, Which::Chance(0.2), Fault::End { after: 4, is_clean: true });
    bench.home.start();
    let tasks: String = (1..=TASKS).map(|n| task(n, &mut dice)).collect();
    let retry = "defaults: { retry: { on: { infrastructure: { attempts: 20, delay: 100ms } } } }";
    let job = bench.home.submit(&format!("name: k\npool: box\nmax_parallel: 4\n{retry}\ntasks:\n{tasks}"));
    let began = Instant::now();
    let (mut kills, mut restarts, mut taken) = (0, 0, 0);
    while began.elapsed() < LASTS && !bench.home.job(&job).job.state.is_terminal() {
        std::thread::sleep(dice.pause(600));
        let kind = dice.below(4);
        if kind != 1 {
            bench.home.kill_manager();
            kills += 1;
        }
        if kind > 0 {
            bench.server.restart(dice.pause(500));
            restarts += 1;
        }
        if takes_pods && dice.below(2) == 0 {
            taken += usize::from(take_one(&bench, &mut dice));
        }
        if kind != 1 {
            std::thread::sleep(dice.pause(300));
            bench.home.start();
        }
    }
    let broken = bench.server.faults().fired();
    println!("{kills} managers killed, the server started anew {restarts} times, {broken} calls broken, {taken} pods taken");
    bench.server.faults().clear();
    assert_eq!(bench.home.until_over(&job), "completed");
    let mut attempts = 0;
    for n in 1..=TASKS {
        let address = format!("{job}/t{n}");
        let outcomes = bench.outcomes(&address);
        attempts += outcomes.len();
        let (last, before) = outcomes.split_last().unwrap();
        let is_taken = |outcome: &String| takes_pods && (outcome.starts_with("evicted") || outcome.starts_with("lost"));
        assert!(last == "succeeded" && before.iter().all(is_taken), "{address}: {outcomes:?}");
        let lines: String = (1..=100).map(|line| format!("t{n} {line}\n")).collect();
        let notes = bench.notes(&address);
        if takes_pods && notes.contains("could not be read: its pod is gone") {
            // It had ended, and was taken with the rest of its log.
            println!("{address}: {notes}");
        } else {
            bench.assert_out(&address, &format!("{lines}end of t{n}"));
        }
    }
    bench.until_nothing_is_left();
    bench.assert_ran_at_most_once(attempts);
    assert!(takes_pods || attempts == TASKS as usize);
    bench.assert_replay();
}
