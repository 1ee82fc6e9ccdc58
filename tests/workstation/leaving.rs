//! However the workstation is left, the work goes on, with one manager and no more.

use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Signal;

use crate::home::{TestHome, is_alive};
use crate::pty::Pty;
use crate::{
    LEAVING, WAITS, answer, assert_no_manager, assert_replay, flood, go, in_state, is_free, manager, state, unfold,
    wait_for_flood, wide,
};

/// One task that fails at first and is held for its second attempt, and thirteen that wait for a file, three at a time.
fn fourteen() -> String {
    use std::fmt::Write as _;
    let mut job = String::from(
        "name: fourteen\nmax_parallel: 3\ntasks:\n  - id: flaky\n    retry: { attempts: 2, delay: 6s }\n    run: test -e tried || { touch tried; exit 1; }\n",
    );
    for n in 0..13 {
        let _ = writeln!(job, "  - {{ id: t{n}, run: {WAITS} }}");
    }
    job
}

/// Leaves a workstation with 3 running, 10 queued and 1 held until a time, in some way, unasked: all 14 complete.
fn all_complete_after(leave: impl FnOnce(&mut Pty)) -> (TestHome, Pty) {
    let home = TestHome::new();
    let mut screen = wide(&home);
    screen.wait_for("No jobs yet");
    let job = home.submit(&fourteen());
    home.until("3 run, 10 are queued and 1 is held", || {
        [("running", 3), ("queued", 10), ("held", 1)].iter().all(|(word, count)| in_state(&home, &job, word) == *count)
    });
    screen.wait_for(&job);
    let runners = runners(&home, &job);
    assert_eq!(runners.len(), 3);
    let embedding = manager(&home);
    assert_eq!(embedding, screen.pid());

    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // At no moment is the home free for another manager.
        let watch = scope.spawn(|| {
            let mut looks = 0_u32;
            while !is_over.load(Ordering::SeqCst) {
                assert!(!is_free(&home), "the home was free after {looks} looks");
                looks += 1;
                std::thread::yield_now();
            }
            looks
        });
        leave(&mut screen);
        screen.exit();
        is_over.store(true, Ordering::SeqCst);
        assert!(watch.join().unwrap() > 0);
    });

    assert!(home.run(["ping"]).status.success());
    assert_ne!(manager(&home), embedding);
    assert!(runners.iter().all(|runner| is_alive(*runner)), "a runner was ended");
    assert_eq!(self::runners(&home, &job), runners);
    go(&home);
    assert_eq!(home.until_over(&job), "completed");
    let tasks = home.tasks(&job);
    assert_eq!(tasks.len(), 14);
    for task in &tasks {
        let attempts = home.task(&format!("{job}/{}", task.id)).attempts.len();
        assert_eq!(attempts, if task.id == "flaky" { 2 } else { 1 }, "{}", task.id);
    }
    home.ok(["stop"]);
    assert_replay(&home);
    (home, screen)
}

/// Process ids of the runners of tasks that run.
fn runners(home: &TestHome, job: &str) -> Vec<u32> {
    let tasks = home.tasks(job).into_iter().filter(|task| task.state.kind().word() == "running");
    tasks
        .map(|task| {
            let file = home.path().join("jobs").join(job).join(format!("{}.1", task.id)).join("runner.json");
            let info: airx::model::attempt::RunnerInfo = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
            info.pid
        })
        .collect()
}

#[test]
fn a_terminal_that_is_closed_leaves_fourteen_tasks_to_a_background_manager() {
    all_complete_after(Pty::hang_up);
}

#[test]
fn sigterm_leaves_fourteen_tasks_to_a_background_manager() {
    let (_home, screen) = all_complete_after(|screen| screen.signal(Signal::TERM));
    screen.assert_restored();
}

#[test]
fn sighup_leaves_fourteen_tasks_to_a_background_manager() {
    let (_home, screen) = all_complete_after(|screen| screen.signal(Signal::HUP));
    screen.assert_restored();
}

#[test]
fn a_terminal_that_vanishes_without_a_signal_is_noticed() {
    let home = TestHome::new();
    // Only the leader of the terminal's session is sent the signal: this one, not the workstation in another session.
    let command = home.command_of(std::path::Path::new("/usr/bin/setsid"), ["--wait", crate::home::AIRX]);
    let mut screen = Pty::open(&command, 130, 40);
    screen.wait_for("No jobs yet");
    let job = home.submit(&format!("name: noticed\ntasks:\n  - {{ id: a, run: {WAITS} }}\n"));
    screen.wait_for(&job);
    let embedding = manager(&home);
    assert_ne!(embedding, screen.pid());
    screen.hang_up();
    home.until("the workstation has ended", || !is_alive(embedding));
    assert!(home.run(["ping"]).status.success());
    assert_ne!(manager(&home), embedding);
    go(&home);
    assert_eq!(home.until_over(&job), "completed");
    home.ok(["stop"]);
}

#[cfg(debug_assertions)]
#[test]
fn a_panic_gives_the_terminal_back_says_what_happened_and_hands_over() {
    let mut home = TestHome::new();
    let fault = home.work().join("fault");
    home.env.push(("AIRX_TEST_PANIC".to_owned(), fault.display().to_string()));
    let mut screen = wide(&home);
    screen.wait_for("No jobs yet");
    let job = home.submit(&format!("name: survives\ntasks:\n  - {{ id: a, run: {WAITS} }}\n"));
    screen.wait_for(&job);
    std::fs::write(&fault, "").unwrap();
    assert_eq!(screen.exit(), 101);
    screen.assert_restored();
    let said = screen.screen();
    assert!(said.contains("AIRX_TEST_PANIC"), "the report is missing: {said}");
    assert!(said.contains("a manager in the background goes on"), "{said}");
    assert_eq!(state(&home, &job, "a"), "running");
    go(&home);
    assert_eq!(home.until_over(&job), "completed");
    home.ok(["stop"]);
}

#[test]
fn one_can_wait_for_everything_to_be_over_and_then_nothing_is_left() {
    let home = TestHome::new();
    let mut screen = wide(&home);
    screen.wait_for("No jobs yet");
    let job = home.submit(&format!("name: awaited\ntasks:\n  - {{ id: a, run: {WAITS} }}\n  - {{ id: b, run: echo b }}\n"));
    screen.wait_for(&job);
    screen.keys("q");
    answer(&screen, LEAVING, "w");
    screen.wait_gone(LEAVING);
    assert!(screen.is_alive());
    go(&home);
    assert_eq!(screen.exit(), 0);
    screen.assert_restored();
    assert_no_manager(&home);
    assert_eq!(home.until_over(&job), "completed");
}

#[test]
fn one_can_cancel_everything_and_leave() {
    let home = TestHome::new();
    let mut screen = wide(&home);
    screen.wait_for("No jobs yet");
    let job = home.submit("name: unwanted\ntasks:\n  - { id: a, run: sleep 300 }\n  - { id: b, run: echo b }\n");
    screen.wait_for(&job);
    screen.keys("q");
    answer(&screen, LEAVING, "c");
    assert_eq!(screen.exit(), 0);
    screen.assert_restored();
    assert_no_manager(&home);
    assert_eq!(home.until_over(&job), "cancelled");
    assert_eq!(home.strays(), Vec::<u32>::new());
}

#[test]
fn a_stuck_terminal_does_not_keep_the_manager_from_being_handed_over() {
    let home = TestHome::new();
    let mut screen = wide(&home);
    screen.wait_for("No jobs yet");
    let job = home.submit(&format!("name: floods\ntasks:\n  - {{ id: flood, run: {} }}\n", flood(100)));
    screen.wait_for(&job);
    unfold(&screen, "flood");
    screen.keys("j enter");
    wait_for_flood(&screen);
    screen.rest();
    screen.wait_until_stuck();
    screen.signal(Signal::TERM);
    screen.exit();
    assert!(home.run(["ping"]).status.success());
    assert_eq!(state(&home, &job, "flood"), "running");
    go(&home);
    assert_eq!(home.until_over(&job), "completed");
    home.ok(["stop"]);
}

#[cfg(debug_assertions)]
#[test]
fn what_was_being_written_survives_a_fault() {
    let mut home = TestHome::new();
    let fault = home.work().join("fault");
    home.env.push(("AIRX_TEST_PANIC".to_owned(), fault.display().to_string()));
    let mut screen = wide(&home);
    screen.wait_for("No jobs yet");
    screen.keys("+");
    screen.wait_for("name: build");
    screen.text("# of mine ");
    screen.wait_for("# of mine");
    std::fs::write(&fault, "").unwrap();
    assert_eq!(screen.exit(), 101);
    std::fs::remove_file(&fault).unwrap();
    let mut screen = wide(&home);
    screen.wait_for("No jobs yet");
    screen.keys("+");
    screen.wait_for("# of mine");
    screen.keys("esc q");
    assert_eq!(screen.exit(), 0);
}

#[test]
fn nobody_who_submits_meanwhile_notices_a_hand_over() {
    let home = TestHome::new();
    let mut screen = wide(&home);
    screen.wait_for("No jobs yet");
    let job = home.submit(&format!("name: stays\ntasks:\n  - {{ id: a, run: {WAITS} }}\n"));
    screen.wait_for(&job);
    let embedding = manager(&home);
    let more = home.work().join("more.yaml");
    std::fs::write(&more, "name: more\ntasks:\n  - { id: a, run: echo a }\n").unwrap();
    let is_over = AtomicBool::new(false);
    let submitted: Vec<String> = std::thread::scope(|scope| {
        let submit = || {
            let mut names = Vec::new();
            while !is_over.load(Ordering::SeqCst) {
                names.push(home.ok(["submit", more.to_str().unwrap(), "-o", "plain"]).trim().to_owned());
            }
            names
        };
        let threads = [scope.spawn(submit), scope.spawn(submit), scope.spawn(submit)];
        screen.signal(Signal::TERM);
        screen.exit();
        is_over.store(true, Ordering::SeqCst);
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_ne!(manager(&home), embedding);
    assert!(!submitted.is_empty());
    submitted.iter().for_each(|job| assert_eq!(home.until_over(job), "completed"));
    go(&home);
    assert_eq!(home.until_over(&job), "completed");
    home.ok(["stop"]);
}
