//! A manager that goes away and comes back.

use crate::home::TestHome;
use crate::{WAITS, go, manager, state, unfold, wide};

#[test]
fn a_killed_manager_is_told_its_state_stays_and_another_is_found() {
    let mut home = TestHome::new();
    home.start();
    let mut screen = wide(&home);
    screen.wait_for("No jobs yet");
    let job = home.submit(&format!("name: stays\ntasks:\n  - {{ id: a, run: {WAITS} }}\n  - {{ id: later, run: echo b }}\n"));
    screen.wait_for(&job);
    unfold(&screen, "later");
    home.kill_manager();
    screen.wait_for("as of ");
    screen.wait_for("reconnecting");
    let shown = screen.screen();
    assert!(shown.contains(&job) && shown.contains("later"), "what was there is gone:\n{shown}");
    // What cannot be done is not done silently.
    screen.keys("p");
    screen.wait_for("not sent");

    home.start();
    screen.wait_gone("reconnecting");
    screen.wait_gone("as of ");
    go(&home);
    home.until_over(&job);
    screen.wait_line(&[&job, "2/2"]);

    // Once more; now one is started from here.
    home.kill_manager();
    screen.wait_for("reconnecting");
    screen.keys("S");
    screen.wait_gone("reconnecting");
    assert!(home.run(["ping"]).status.success());
    let started = manager(&home);
    let other = home.submit("name: other\ntasks:\n  - { id: a, run: echo a }\n");
    screen.wait_line(&[&other, "1/1"]);
    assert_eq!(state(&home, &other, "a"), "completed");
    screen.keys("q");
    assert_eq!(screen.exit(), 0);
    screen.assert_restored();
    assert_eq!(manager(&home), started, "an attached screen leaves the manager alone, also one it started");
    home.ok(["stop"]);
}

#[test]
fn an_arrow_whose_sequence_comes_in_two_pieces_is_an_arrow() {
    let home = TestHome::new();
    let mut screen = wide(&home);
    screen.wait_for("No jobs yet");
    let job = home.submit("name: torn\ntasks:\n  - { id: a, run: echo a }\n  - { id: b, run: echo b }\n");
    screen.wait_line(&[&job, "2/2"]);
    unfold(&screen, "b");
    let on_job = |text: &str| text.lines().nth(2).is_some_and(|line| line.contains('›'));
    // On a busy machine the pieces may lie too far apart for anybody to put them together.
    let is_arrow = (0..10).any(|_| {
        screen.keys("g g");
        screen.wait("the cursor is on the job", on_job);
        screen.text("\x1b");
        screen.until_read();
        screen.text("[B");
        screen.until_read();
        // What the letters would do by themselves comes before this.
        screen.keys("?");
        screen.wait_for("Job tree");
        screen.keys("esc");
        screen.wait_gone("Job tree");
        !on_job(&screen.screen())
    });
    assert!(is_arrow, "{}", screen.screen());
    screen.keys("q");
    assert_eq!(screen.exit(), 0);
}
