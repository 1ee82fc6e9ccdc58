//! Whatever dies in between, every task runs once for each attempt, its output is whole, and nothing is left behind.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a failing test says so by a panic")]

#[path = "support/home.rs"]
mod home;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use airx::model::state::{LostCause, Outcome, TaskState};
use home::{TestHome, is_alive, kill, signal};

/// A small linear generator: the moments of the kills differ, and a seed repeats them.
struct Moments(u64);

impl Moments {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Sixty tasks: plain ones, ones that add sub-tasks, ones that ignore TERM, ones that leave children in another session.
fn sixty_tasks(log: &str) -> String {
    let mut job = String::from("name: sixty\nmax_parallel: 8\ntasks:\n");
    for n in 0..60 {
        let extra = match n % 4 {
            0 => "airx add --id sub-$AIRX_TASK -- sh -c 'echo start $AIRX_ATTEMPT >> LOG; echo sub'".replace("LOG", log),
            1 => "trap '' TERM".to_owned(),
            2 => "setsid sleep 300 &".to_owned(),
            _ => ":".to_owned(),
        };
        let _ = write!(
            job,
            "  - id: t{n}\n    grace: 1s\n    run: |\n      echo start $AIRX_ATTEMPT >> {log}\n      {extra}\n      \
             i=0; while [ $i -lt 50 ]; do echo line $i; i=$((i+1)); done; sleep 0.2; echo end\n"
        );
    }
    job
}

/// How many tasks are completed.
fn done(home: &TestHome, job: &str) -> usize {
    home.tasks(job).iter().filter(|task| task.state == TaskState::Completed).count()
}

#[test]
fn sixty_tasks_survive_twenty_kills_of_the_manager() {
    let mut home = TestHome::new();
    let log = home.work().join("starts");
    home.start();
    let job = home.submit(&sixty_tasks(&log.display().to_string()));
    let mut moments = Moments(42);
    for _ in 0..20 {
        // A kill at a random moment, all over the job's life: after a random number of further ends and looks.
        let target = done(&home, &job) + moments.below(6) as usize;
        home.until("some more are done", || done(&home, &job) >= target.min(75));
        for _ in 0..moments.below(6) {
            let _ = home.job(&job);
        }
        home.kill_manager();
        home.start();
    }
    assert_eq!(home.until_over(&job), "completed");

    let tasks = home.tasks(&job);
    assert_eq!(tasks.len(), 75, "60 of the file and 15 queued at run time");
    let starts = std::fs::read_to_string(&log).unwrap();
    let mut by_mark: BTreeMap<&str, u32> = BTreeMap::new();
    for line in starts.lines() {
        *by_mark.entry(line.strip_prefix("start ").unwrap()).or_default() += 1;
    }
    assert!(by_mark.values().all(|times| *times == 1), "an attempt ran twice: {by_mark:?}");
    let expected: String = (0..50).map(|n| format!("line {n}\n")).collect::<String>() + "end\n";
    for task in &tasks {
        assert_eq!(task.state, TaskState::Completed, "{}", task.id);
        let address = format!("{job}/{}", task.id);
        let detail = home.task(&address);
        let good: Vec<_> = detail.attempts.iter().filter(|a| a.outcome == Some(Outcome::Succeeded)).collect();
        assert_eq!(good.len(), 1, "{address}: {:?}", detail.attempts);
        assert!(detail.attempts.iter().all(|a| a.outcome.is_some()), "{address} has an attempt without an outcome");
        if !task.id.starts_with("sub-") {
            let output = std::fs::read_to_string(good[0].dir.join("out")).unwrap();
            assert!(output.ends_with(&expected), "{address} lost output: {output}");
        }
    }
    assert_eq!(home.strays(), Vec::<u32>::new(), "processes were left running");
    assert_replay(&home);
}

/// Replay of the journal equals the tables, as `airx doctor` sees it.
fn assert_replay(home: &TestHome) {
    let differences = airx::store::verify::replay(&home.path().join("airx.db"));
    assert!(differences.is_empty(), "{differences:?}");
}

#[test]
fn a_killed_runner_is_swept_recorded_as_lost_and_its_task_retried() {
    let mut home = TestHome::new();
    home.start();
    let marker = home.work().join("first");
    let job = home.submit(&format!(
        "name: lost\ntasks:\n  - id: a\n    run: |\n      if [ -e {0} ]; then echo again; exit 0; fi\n      echo $$ > {0}.tmp; mv {0}.tmp {0}\n      exec sleep 300\n",
        marker.display()
    ));
    home.until("the task has told its process id", || marker.exists());
    let task: u32 = std::fs::read_to_string(&marker).unwrap().trim().parse().unwrap();
    kill(runner_pid(&home, &job));
    assert_eq!(home.until_over(&job), "completed");
    assert!(!is_alive(task), "the task lives on after its runner");
    let attempts = home.task(&format!("{job}/a")).attempts;
    assert_eq!(attempts[0].outcome, Some(Outcome::Lost { cause: LostCause::RunnerGone }));
    assert_eq!(attempts[1].outcome, Some(Outcome::Succeeded));
    assert_eq!(attempts.len(), 2);
}

#[test]
fn a_stopped_runner_can_still_be_killed() {
    let mut home = TestHome::new();
    home.start();
    let job = home.submit("name: frozen\ntasks:\n  - { id: a, command: sleep, args: ['300'] }\n");
    home.until("the task runs", || matches!(home.tasks(&job)[0].state, TaskState::Running { .. }));
    let runner = runner_pid(&home, &job);
    signal(runner, rustix::process::Signal::STOP);
    home.ok(["cancel", &job, "--kill"]);
    assert_eq!(home.until_over(&job), "cancelled");
    assert!(!is_alive(runner));
    assert_eq!(home.strays(), Vec::<u32>::new());
}

/// A stopped runner enforces no timeout: half a minute after the task's own end would have been, the manager does.
#[test]
fn a_task_whose_runner_is_stopped_is_ended_after_its_timeout_and_retried() {
    let mut home = TestHome::new();
    home.start();
    let job = home.submit(
        "name: stopped\ntasks:\n  - { id: a, timeout: 1s, grace: 0s, run: 'if [ -e a ]; then exit 0; fi; touch a; sleep 300' }\n",
    );
    home.until("the task runs", || home.work().join("a").exists());
    signal(runner_pid(&home, &job), rustix::process::Signal::STOP);
    assert_eq!(home.until_over(&job), "completed");
    let attempts = home.task(&format!("{job}/a")).attempts;
    assert_eq!(attempts[0].outcome, Some(Outcome::Lost { cause: LostCause::RunnerGone }));
    assert_eq!(attempts.len(), 2);
    assert_eq!(home.strays(), Vec::<u32>::new());
    assert_replay(&home);
}

/// Its runner is stopped and given up: nothing of it may live on unseen.
#[test]
fn what_an_abandoned_runner_started_is_ended_and_its_late_end_recorded() {
    let mut home = TestHome::new();
    home.start();
    let job = home.submit("name: given-up\ntasks:\n  - { id: a, run: 'setsid sleep 300 & sleep 300' }\n");
    home.until("the task runs", || matches!(home.tasks(&job)[0].state, TaskState::Running { .. }));
    signal(runner_pid(&home, &job), rustix::process::Signal::STOP);
    home.ok(["cancel", &format!("{job}/a"), "--abandon"]);
    home.until("nothing of it is left", || home.strays().is_empty());
    home.until("its end is in the journal", || home.ok(["events", "--job", &job]).contains("late news of attempt 1"));
    assert_eq!(home.until_over(&job), "cancelled");
    assert_replay(&home);
}

/// A task can do anything to its runner and its directory: it is lost, swept and retried.
#[test]
fn a_task_that_kills_its_own_runner_is_swept_and_retried() {
    let mut home = TestHome::new();
    home.start();
    let job = home.submit(
        "name: own\nmax_parallel: 2\ntasks:\n  - { id: a, run: 'if [ -e a ]; then exit 0; fi; touch a; setsid sleep 300 & kill -9 $PPID; sleep 300' }\n  \
         - { id: b, run: 'if [ -e b ]; then exit 0; fi; touch b; rm -r $AIRX_DIR; kill -9 $PPID; sleep 300' }\n",
    );
    assert_eq!(home.until_over(&job), "completed");
    for task in ["a", "b"] {
        let attempts = home.task(&format!("{job}/{task}")).attempts;
        assert_eq!(attempts[0].outcome, Some(Outcome::Lost { cause: LostCause::RunnerGone }), "{task}");
        assert_eq!(attempts.len(), 2, "{task}");
    }
    assert_eq!(home.strays(), Vec::<u32>::new());
    assert_replay(&home);
}

/// A fifo, a link and rubbish in an outbox delay nobody.
#[test]
fn a_hostile_outbox_stops_no_other_task() {
    let mut home = TestHome::new();
    home.start();
    let job = home.submit(
        "name: hostile\nmax_parallel: 2\ntasks:\n  - id: a\n    run: |\n      mkdir -p $AIRX_DIR/outbox; cd $AIRX_DIR/outbox; mkfifo 000001-a.json; \
         ln -s /dev/zero 000002-b.json; head -c 3000000 /dev/zero > 000003-c.json\n      airx progress 1/2 there; rm $AIRX_DIR/out; mkfifo $AIRX_DIR/out\n    \
         result: text\n  - { id: b, run: 'airx progress 1/1' }\n",
    );
    home.until_over(&job);
    let tasks = home.tasks(&job);
    assert_eq!(tasks[1].state, TaskState::Completed);
    let notes = format!("{:?}", home.task(&format!("{job}/a")).attempts[0].facts);
    assert_eq!(notes.matches("cannot be used").count(), 3, "{notes}");
}

/// The process id in the first attempt's `runner.json`.
fn runner_pid(home: &TestHome, job: &str) -> u32 {
    let path = home.path().join("jobs").join(job).join("a.1").join("runner.json");
    home.until("the runner is there", || path.exists());
    let info: airx::model::attempt::RunnerInfo = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    info.pid
}

#[test]
fn a_replaced_binary_harms_nothing_that_runs_or_waits() {
    let mut home = TestHome::new();
    let copy = home.work().join("airx-copy");
    std::fs::copy(home::AIRX, &copy).unwrap();
    home.start_with(&copy);
    let job = home
        .submit("name: upgrade\ntasks:\n  - { id: a, run: 'sleep 0.5; echo one' }\n  - { id: b, needs: [a], run: echo two }\n");
    // The way package managers replace a binary: a new file renamed over the old name.
    std::fs::write(home.work().join("new"), "#!/bin/sh\nexit 9\n").unwrap();
    std::fs::rename(home.work().join("new"), &copy).unwrap();
    assert_eq!(home.until_over(&job), "completed");
}

#[test]
fn a_task_cannot_cancel_requeue_or_stop_anything() {
    let mut home = TestHome::new();
    home.start();
    let job = home.submit(
        "name: rogue\ntasks:\n  - id: a\n    run: |\n      airx cancel --all; echo cancel $?\n      env -i PATH=$PATH HOME=$HOME AIRX_HOME=HOMEDIR XDG_RUNTIME_DIR=RUNDIR airx cancel --all; echo hidden $?\n      airx stop; echo stop $?\n"
            .replace("HOMEDIR", &home.path().display().to_string())
            .replace("RUNDIR", &home.path().parent().unwrap().join("run").display().to_string())
            .as_str(),
    );
    assert_eq!(home.until_over(&job), "completed");
    let output = home.ok(["logs", &format!("{job}/a"), "--raw"]);
    for line in ["cancel 0", "hidden 0", "stop 0"] {
        assert!(!output.contains(line), "a task may not do this: {output}");
    }
    assert!(home.run(["ping"]).status.success(), "the manager is still there");
}

/// Neither an empty environment nor a long line of ancestors hides that a process descends from a runner.
#[test]
fn a_task_cannot_hide_behind_its_ancestors() {
    let mut home = TestHome::new();
    home.start();
    let script = home.work().join("deep.sh");
    let run = home.path().parent().unwrap().join("run");
    std::fs::write(
        &script,
        format!(
            "if [ $1 -gt 0 ]; then sh deep.sh $(($1 - 1)); exit $?; fi\n\
             env -i PATH=$PATH HOME=$HOME AIRX_HOME={} XDG_RUNTIME_DIR={} airx cancel --all\necho deep $?\n",
            home.path().display(),
            run.display()
        ),
    )
    .unwrap();
    // `env -i` first, since the environment that each process began with can be read as well.
    let job = home.submit("name: deep\ntasks:\n  - { id: a, run: 'env -i PATH=$PATH HOME=$HOME sh deep.sh 150' }\n");
    assert_eq!(home.until_over(&job), "completed");
    let output = home.ok(["logs", &format!("{job}/a"), "--raw"]);
    assert!(output.contains("deep 1"), "{output}");
}
