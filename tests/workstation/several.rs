//! Several workstations on one manager.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::home::TestHome;
use crate::pty::Pty;
use crate::{WAITS, flood, go, manager, unfold, wait_for_flood, wide};

/// Longest way of a change from one screen to all others, in the median.
const ALL_SEE: Duration = Duration::from_millis(100);

/// Pauses and resumes the job on the first screen, again and again; how long it took until all others showed it.
fn propagation(screens: &[&Pty], job: &str) -> Vec<Duration> {
    let mut took: Vec<Duration> = (0..12)
        .map(|round| {
            let begun = Instant::now();
            screens[0].keys("p");
            let is_paused = round % 2 == 0;
            let shows = |screen: &str| {
                let lines = screen.lines().skip(2).filter(|line| line.starts_with('│'));
                lines
                    .filter_map(|line| line.split("││").next())
                    .any(|row| row.contains(job) && row.contains("paused") == is_paused)
            };
            for screen in screens {
                screen.wait("the job is paused, or goes on", shows);
            }
            begun.elapsed()
        })
        .collect();
    took.sort_unstable();
    took
}

fn assert_all_see(who: &str, screens: &[&Pty], job: &str) {
    let took = propagation(screens, job);
    println!("{who}: a change is on all screens after {took:?}");
    assert!(took[took.len() / 2] <= ALL_SEE, "{who}: {took:?}");
}

#[test]
fn what_is_done_in_one_is_in_all_at_once_also_when_one_holds_the_manager() {
    let home = TestHome::new();
    let first = wide(&home);
    first.wait_for("No jobs yet");
    let (second, third) = (wide(&home), wide(&home));
    let job = home.submit(&format!("name: shared\ntasks:\n  - {{ id: a, run: {WAITS} }}\n"));
    for screen in [&first, &second, &third] {
        screen.wait_for(&job);
    }
    assert_all_see("from the one that holds the manager", &[&first, &second, &third], &job);
    assert_all_see("from an attached one", &[&second, &first, &third], &job);
    go(&home);
    home.until_over(&job);
    for screen in [&first, &second, &third] {
        screen.wait_line(&[&job, "1/1"]);
    }
}

#[test]
fn what_is_done_in_one_is_in_all_at_once_with_a_manager_in_the_background() {
    let mut home = TestHome::new();
    home.start();
    let screens = [wide(&home), wide(&home), wide(&home)];
    for screen in &screens {
        screen.wait_for("No jobs yet");
    }
    let job = home.submit(&format!("name: shared\ntasks:\n  - {{ id: a, run: {WAITS} }}\n"));
    for screen in &screens {
        screen.wait_for(&job);
    }
    assert_all_see("three attached", &[&screens[0], &screens[1], &screens[2]], &job);
}

#[test]
fn one_that_is_stopped_and_one_whose_terminal_takes_nothing_harm_none() {
    let home = TestHome::new();
    // The stuck one holds the manager: the worst place for it.
    let stuck = wide(&home);
    stuck.wait_for("No jobs yet");
    let (mut stopped, good) = (wide(&home), wide(&home));
    let floods = home.submit(&format!("name: floods\ntasks:\n  - {{ id: flood, run: {} }}\n", flood(100)));
    for screen in [&stuck, &stopped, &good] {
        screen.wait_for(&floods);
    }
    unfold(&stuck, "flood");
    stuck.keys("j enter");
    wait_for_flood(&stuck);
    stuck.rest();
    stopped.signal(Signal::STOP);
    stuck.wait_until_stuck();

    let job = home.submit("name: goes-on\nmax_parallel: 4\ntasks:\n  - { id: a, run: echo a }\n  - { id: b, run: echo b }\n");
    good.wait_line(&[&job, "2/2"]);
    good.keys("home");
    assert_all_see("beside a stuck and a stopped one", &[&good], &job);

    stopped.signal(Signal::CONT);
    stopped.wait_line(&[&job, "2/2"]);
    stuck.go_on();
    stuck.keys("esc home");
    stuck.wait_line(&[&job, "2/2"]);
    assert!(stopped.is_alive());
    go(&home);
    home.until_over(&floods);
}

#[test]
fn two_that_are_started_at_once_in_a_new_home_share_one_manager() {
    let home = TestHome::new();
    let (mark, mut screens) = ("fresh.1", [wide(&home), wide(&home)]);
    for screen in &screens {
        screen.wait_for("No jobs yet");
    }
    let pids = screens.each_ref().map(Pty::pid);
    assert!(pids.contains(&manager(&home)), "neither has it");
    home.submit("name: fresh\ntasks:\n  - { id: a, run: echo a }\n");
    for screen in &mut screens {
        screen.wait_line(&[mark, "completed"]);
        let log = String::from_utf8_lossy(&screen.since(0)).into_owned();
        assert!(!log.contains("is back") && !log.contains("no connection"), "it came before the manager listened");
        screen.keys("q");
        assert_eq!(screen.exit(), 0);
    }
    home.run(["stop"]);
}
