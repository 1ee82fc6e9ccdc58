//! A first day with the workstation.

use crate::home::TestHome;
use crate::{LEAVING, WAITS, answer, assert_no_manager, go, has_row, state, unfold, wide};

#[test]
fn a_job_from_another_shell_is_watched_requeued_cancelled_and_found() {
    let home = TestHome::new();
    let mut screen = wide(&home);
    screen.wait_for("No jobs yet");
    let job = home.submit(&format!(
        "name: first\nmax_parallel: 3\ntasks:\n  - {{ id: good, run: {WAITS} }}\n  - {{ id: bad, run: 'test -e mended' }}\n  - {{ id: long, run: sleep 300 }}\n"
    ));
    screen.wait_for(&job);
    screen.wait_gone("No jobs yet");
    unfold(&screen, "long");
    screen.wait_line(&["bad", "exit 1"]);

    // Its output, while it runs.
    screen.keys("j enter");
    screen.wait_for("begun");
    assert_eq!(state(&home, &job, "good"), "running");
    go(&home);
    screen.wait_for("went");
    screen.keys("esc");

    // What failed runs again, once its cause is mended.
    assert_eq!(state(&home, &job, "bad"), "failed");
    std::fs::write(home.work().join("mended"), "").unwrap();
    screen.keys("j r");
    screen.wait("the failure is gone", |screen| !screen.lines().any(|line| line.contains("bad") && line.contains("exit 1")));
    home.until("the requeued task is done", || state(&home, &job, "bad") == "completed");

    // The one that would go on for long is cancelled, after a question.
    screen.keys("j c");
    answer(&screen, &format!("Cancel {job}/long?"), "n");
    screen.wait_gone("Cancel first");
    assert_eq!(state(&home, &job, "long"), "running", "`no` cancels nothing");
    screen.keys("c");
    answer(&screen, &format!("Cancel {job}/long?"), "y");
    home.until("it is cancelled", || state(&home, &job, "long") == "cancelled");
    screen.wait_line(&["long", "cancelled"]);

    // The filter.
    screen.keys("/ ba");
    screen.wait("only what matches is shown", |screen| has_row(screen, "bad") && !has_row(screen, "long"));
    screen.keys("enter esc");
    screen.wait("everything is shown again", |screen| has_row(screen, "bad") && has_row(screen, "long"));

    let status: serde_json::Value = serde_json::from_str(&home.ok(["status", "-o", "json"])).unwrap();
    assert!(status.to_string().contains(&job), "{status}");
    assert_eq!(state(&home, &job, "good"), "completed");

    // Nothing is left to do: no question.
    screen.keys("q");
    assert_eq!(screen.exit(), 0);
    screen.assert_restored();
    assert_no_manager(&home);
}

#[test]
fn a_job_written_in_the_editor_shows_its_faults_and_runs_once_they_are_mended() {
    let home = TestHome::new();
    let mut screen = wide(&home);
    screen.wait_for("No jobs yet");
    screen.keys("+");
    screen.wait_for("name: build");
    screen.wait_for("no fault");
    // Everything out, then a text with a fault in its fourth line.
    screen.keys("ctrl-u");
    for _ in 0..12 {
        screen.keys("ctrl-k delete");
    }
    screen.paste("name: written\ntasks:\n  - id: one\n    rum: echo typed\n");
    screen.wait_for("line 4, column 5");
    screen.wait_line(&["✘", "4", "rum"]);
    // Submitting says so and keeps the text.
    screen.keys("f2");
    screen.wait_for("not submitted");
    // The cursor stands at the first of them.
    screen.keys("down home right right right right right right delete n");
    screen.wait_for("no fault: written, 1 task");
    screen.keys("f2");
    screen.wait_for("written.1 submitted");
    assert_eq!(home.until_over("written.1"), "completed");
    assert_eq!(home.ok(["logs", "written.1/one", "--raw"]), "typed\n");
    screen.keys("q");
    assert_eq!(screen.exit(), 0);
}

#[test]
fn a_text_that_was_not_submitted_is_there_again_also_after_a_restart() {
    let home = TestHome::new();
    let mut screen = wide(&home);
    screen.wait_for("No jobs yet");
    screen.keys("+");
    screen.wait_for("name: build");
    screen.text("# half a thought");
    screen.wait_for("half a thought");
    screen.keys("esc");
    screen.wait_gone("half a thought");
    screen.keys("+");
    screen.wait_for("half a thought");
    // The program ends under it, without the text having been closed.
    screen.text("more than ");
    screen.wait_for("more than # half");
    screen.signal(rustix::process::Signal::TERM);
    assert_eq!(screen.exit(), 0);
    screen.assert_restored();

    let mut again = wide(&home);
    again.wait_for("No jobs yet");
    again.keys("+");
    again.wait_for("more than # half a thought");
    again.keys("esc q");
    assert_eq!(again.exit(), 0);
}

#[test]
fn what_was_typed_outlives_a_kill() {
    let home = TestHome::new();
    let mut screen = wide(&home);
    screen.wait_for("No jobs yet");
    screen.keys("+");
    screen.wait_for("template: command");
    screen.text("# unfinished thought");
    screen.wait_for("unfinished thought");
    home.until("the text is on the disk", || {
        std::fs::read_to_string(home.path().join("workstation.json")).is_ok_and(|kept| kept.contains("unfinished thought"))
    });
    screen.signal(rustix::process::Signal::KILL);
    screen.exit();
    let again = wide(&home);
    again.wait_for("No jobs yet");
    again.keys("+");
    again.wait_for("unfinished thought");
}

#[test]
fn leaving_with_work_going_on_asks_and_a_background_manager_goes_on() {
    let home = TestHome::new();
    let mut screen = wide(&home);
    screen.wait_for("No jobs yet");
    let job = home.submit(&format!("name: goes-on\ntasks:\n  - {{ id: a, run: {WAITS} }}\n  - {{ id: b, run: echo b }}\n"));
    screen.wait_for(&job);
    screen.keys("q");
    // Staying is an answer too.
    answer(&screen, LEAVING, "esc");
    screen.wait_gone(LEAVING);
    screen.keys("q");
    answer(&screen, LEAVING, "l");
    assert_eq!(screen.exit(), 0);
    screen.assert_restored();
    let left = screen.screen();
    assert!(left.contains("a manager in the background goes on"), "{left}");
    assert!(home.run(["ping"]).status.success());
    assert_eq!(state(&home, &job, "a"), "running");
    let manager = crate::manager(&home);

    // Back to it: all is there. Leaving it again asks nothing and leaves the manager alone.
    let mut again = wide(&home);
    again.wait_for(&job);
    again.keys("q");
    assert_eq!(again.exit(), 0);
    again.assert_restored();
    assert_eq!(crate::manager(&home), manager);
    go(&home);
    assert_eq!(home.until_over(&job), "completed");
    home.ok(["stop"]);
}

#[test]
fn parameters_and_a_priority_that_were_changed_elsewhere_show() {
    let home = TestHome::new();
    let screen = wide(&home);
    screen.wait_for("No jobs yet");
    let job = home
        .submit("name: par\nparams: { word: { default: old } }\ntasks:\n  - { id: a, run: 'test {{ params.word }} = new' }\n");
    home.until("it has failed", || state(&home, &job, "a") == "failed");
    screen.wait_line(&["params", "word = \"old\""]);
    home.ok(["priority", &job, "--", "-7"]);
    screen.wait_line(&["priority", "-7"]);
    home.ok(["requeue", &job, "-p", "word=new"]);
    screen.wait_line(&["params", "word = \"new\""]);
    home.until("it is completed", || state(&home, &job, "a") == "completed");
}
