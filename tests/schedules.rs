//! Schedules through the built program: they fire, wait, replace, pause, survive kills and catch up; job files that are dropped
//! into the home are taken up.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test says so by a panic")]

#[path = "support/home.rs"]
mod home;

#[path = "schedules/drops.rs"]
mod drops;

use std::collections::BTreeSet;

use airx::model::message::{JobView, ScheduleDetail, ScheduleView};
use airx::model::schedule::{Fired, Skipped};
use airx::model::state::JobState;
use airx::model::time::Utc;
use home::{TestHome, text};

fn schedules(home: &TestHome) -> Vec<ScheduleView> {
    serde_json::from_str(&home.ok(["schedule", "-o", "json"])).unwrap()
}

fn detail(home: &TestHome, name: &str) -> ScheduleDetail {
    serde_json::from_str(&home.ok(["schedule", "show", name, "-o", "json"])).unwrap()
}

fn jobs(home: &TestHome) -> Vec<JobView> {
    serde_json::from_str(&home.ok(["jobs", "-o", "json", "-n", "500"])).unwrap()
}

/// A schedule whose job runs a script; the standard output of adding it.
fn add(home: &TestHome, rule: &str, script: &str) -> String {
    let file = format!("name: tick\nschedule: {rule}\ntasks:\n  - id: a\n    grace: 1s\n    run: |\n      {script}\n");
    let path = home.job_file("tick.yaml", &file);
    home.ok(["submit".as_ref(), path.as_os_str()])
}

/// The lines that jobs wrote.
fn lines(home: &TestHome) -> Vec<String> {
    std::fs::read_to_string(home.work().join("log")).unwrap_or_default().lines().map(str::to_owned).collect()
}

const LOG: &str = "echo {{ job.due }} {{ job.name }} >> log";

#[test]
fn a_schedule_fires_again_and_again_and_its_jobs_know_for_what() {
    let mut home = TestHome::new();
    home.start();
    let said = add(&home, "{ every: 1s }", LOG);
    assert!(said.starts_with("tick is scheduled (every 1s): next ") && said.contains(", in "), "{said}");
    assert_eq!(jobs(&home).len(), 0, "it does not run when it is submitted");
    home.until("three jobs wrote", || lines(&home).len() >= 3);
    let first = lines(&home)[0].clone();
    let (due, job) = first.split_once(' ').unwrap();
    assert_eq!(job, "tick.1");
    let scheduled = home.job("tick.1").spec.scheduled.unwrap();
    assert_eq!((scheduled.schedule.as_str(), scheduled.due.rfc3339().as_str()), ("tick", due));
    assert!(home.ok(["show", "tick.1"]).contains("from the schedule tick, due "), "people see it too");
    let fired = detail(&home, "tick");
    assert_eq!(fired.passed[0].what, Fired::Submitted { job: home.job("tick.1").job.name });
    assert_eq!(fired.upcoming.len(), 5);
    let again = add(&home, "{ every: 1h }", LOG);
    assert!(again.starts_with("tick has another definition (every 1h)"), "{again}");
    let run = home.ok(["schedule", "run", "tick"]);
    assert_eq!(home.until_over(run.trim()), "completed");
    let removed = home.ok(["schedule", "remove", "tick"]);
    assert_eq!((removed.as_str(), schedules(&home).len()), ("tick: removed\n", 0));
    let unknown = home.run(["schedule", "show", "tok"]);
    assert!(text(&unknown).contains("there is no schedule `tok`"), "{}", text(&unknown));
}

#[test]
fn a_file_with_a_schedule_can_be_run_once() {
    let mut home = TestHome::new();
    home.start();
    let path = home.job_file("tick.yaml", "name: tick\nschedule: \"@daily\"\ntasks: [{ id: a, run: echo hi }]\n");
    let ran = home.run(["run".as_ref(), path.as_os_str()]);
    assert!(ran.status.success() && text(&ran).contains("airx schedule add"), "{}", text(&ran));
    let job = home.ok(["submit".as_ref(), "--now".as_ref(), path.as_os_str()]);
    assert_eq!((job.trim(), home.until_over("tick.2").as_str()), ("tick.2", "completed"));
    assert_eq!(schedules(&home).len(), 0);
    let plain = home.job_file("plain.yaml", "name: plain\ntasks: [{ id: a, run: echo hi }]\n");
    let refused = home.run(["schedule".as_ref(), "add".as_ref(), plain.as_os_str()]);
    assert!(refused.status.code() == Some(2) && text(&refused).contains("has no `schedule:`"), "{}", text(&refused));
}

#[test]
fn a_bad_rule_is_told_with_its_place() {
    let home = TestHome::new();
    let file = "name: tick\nschedule:\n  cron: \"0 25 * * *\"\n  timezone: Europe/Berln\n  every: 3s\ntasks: [{ id: a, run: \"true\" }]\n";
    home.job_file("bad.yaml", file);
    let refused = home.run(["validate", "bad.yaml"]);
    let said = text(&refused);
    assert_eq!(refused.status.code(), Some(2));
    for part in [
        "bad.yaml:4:13: there is no time zone `Europe/Berln`",
        "did you mean `Europe/Berlin`?",
        "bad.yaml:5:3: `cron` and `every`",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    for (rule, says) in [
        ("\"0 25 * * *\"", "bad.yaml:2:14: `25` is no hour"),
        ("\"0 0 30 2 *\"", "bad.yaml:2:11: `0 0 30 2 *` names a day that never comes"),
        ("{ every: 10ms }", "is too short"),
        ("{ catch_up: all }", "the schedule says no times"),
        ("{ every: 1m, start: tomorrow }", "`tomorrow` is no time"),
    ] {
        home.job_file("bad.yaml", &format!("name: tick\nschedule: {rule}\ntasks: [{{ id: a, run: \"true\" }}]\n"));
        let said = text(&home.run(["validate", "bad.yaml"]));
        assert!(said.contains(says), "{says}: {said}");
    }
}

#[test]
fn times_that_come_while_the_job_before_runs_are_skipped_or_queued() {
    let mut home = TestHome::new();
    home.start();
    let gate = "echo {{ job.name }} >> log; while [ ! -e go ]; do sleep 0.05; done";
    add(&home, "{ every: 1s, overlap: skip }", gate);
    let skipped = |home: &TestHome| {
        detail(home, "tick").passed.iter().any(|passed| matches!(&passed.what, Fired::Skipped(Skipped::Overlap { .. })))
    };
    home.until("a time was skipped", || skipped(&home));
    assert!(home.ok(["schedule"]).contains("skipped: tick.1 was not over (overlap: skip)"));
    let conflict = home.run(["schedule", "run", "tick"]);
    assert!(!conflict.status.success() && text(&conflict).contains("tick.1 of this schedule is not over"), "{}", text(&conflict));
    add(&home, "{ every: 1s, overlap: queue }", gate);
    home.until("one waits, and another did not fit", || {
        let detail = detail(&home, "tick");
        let is_full = detail.passed.iter().any(|passed| passed.what == Fired::Skipped(Skipped::Waiting));
        is_full && detail.schedule.state.waiting.len() == 1
    });
    assert_eq!(jobs(&home).len(), 1, "never two at once");
    std::fs::write(home.work().join("go"), "").unwrap();
    home.until("the next one ran", || lines(&home).contains(&"tick.2".to_owned()));
}

#[test]
fn the_job_before_is_replaced_and_never_two_run_at_once() {
    let mut home = TestHome::new();
    home.start();
    // Each says when it begins and when it was told to end.
    add(
        &home,
        "{ every: 1s, overlap: replace }",
        "trap 'echo end >> log; exit 1' TERM; echo begin >> log; while :; do sleep 0.05; done",
    );
    home.until("some were replaced", || lines(&home).iter().filter(|line| *line == "end").count() >= 3);
    home.ok(["schedule", "remove", "tick"]);
    home.ok(["cancel", "--all"]);
    home.until("all is over", || jobs(&home).iter().all(|job| job.state.is_terminal()));
    for pair in lines(&home).chunks(2) {
        assert!(pair[0] == "begin" && pair.get(1).is_none_or(|line| line == "end"), "{:?}", lines(&home));
    }
}

#[test]
fn nothing_fires_while_paused_and_nothing_is_made_up_for() {
    let mut home = TestHome::new();
    home.start();
    add(&home, "{ every: 1s, catch_up: all }", LOG);
    home.until("it fired", || !lines(&home).is_empty());
    assert_eq!(home.ok(["schedule", "pause", "tick"]), "tick: paused\n");
    home.until("its job is over", || jobs(&home).iter().all(|job| job.state.is_terminal()));
    let (count, paused_at) = (jobs(&home).len(), airx::os::now().utc);
    assert!(home.ok(["schedule"]).contains("paused"));
    home.until("time has passed", || airx::os::now().utc.since(paused_at) > 2_500);
    assert_eq!(jobs(&home).len(), count);
    let resumed_at = airx::os::now().utc;
    home.ok(["schedule", "resume", "tick"]);
    home.until("it fires again", || jobs(&home).len() > count);
    let first = detail(&home, "tick").passed.iter().map(|passed| passed.due).find(|due| *due > paused_at);
    assert!(first.is_some_and(|due| due >= resumed_at), "none of the pause");
}

#[test]
fn kills_of_the_manager_neither_double_nor_lose_a_time() {
    let mut home = TestHome::new();
    home.start();
    add(&home, "{ every: 1s, catch_up: all, overlap: queue }", LOG);
    for round in 1..=6 {
        home.until("some more fired", || jobs(&home).len() >= 2 * round);
        home.kill_manager();
        home.start();
    }
    home.ok(["schedule", "pause", "tick"]);
    home.until("all is over", || jobs(&home).iter().all(|job| job.state.is_terminal()));
    let detail = detail(&home, "tick");
    let submitted: Vec<Utc> =
        detail.passed.iter().filter(|passed| matches!(passed.what, Fired::Submitted { .. })).map(|p| p.due).collect();
    let each: BTreeSet<Utc> = submitted.iter().copied().collect();
    assert_eq!(each.len(), submitted.len(), "no time fires twice");
    assert_eq!(submitted.len(), jobs(&home).len(), "each job has its time");
    // Every second has its job, or its reason.
    let decided: BTreeSet<Utc> = detail.passed.iter().map(|passed| passed.due).collect();
    let (first, last) = (*decided.first().unwrap(), *decided.last().unwrap());
    let seconds = usize::try_from((last.0 - first.0) / 1_000).unwrap() + 1;
    assert_eq!(decided.len(), seconds, "no time is lost");
    assert!(jobs(&home).iter().all(|job| job.state == JobState::Completed));
    let doctor = home.ok(["doctor"]);
    assert!(doctor.contains("replaying it gives the tables"), "{doctor}");
}

#[test]
fn what_was_missed_without_a_manager_is_made_up_for_by_the_rule() {
    // What passed less than a minute ago is late and not missed: also `none` takes the last of it.
    for (catch_up, made) in [("none", 0..=1), ("last", 0..=1), ("all", 3..=3)] {
        let mut home = TestHome::new();
        home.start();
        add(&home, &format!("{{ every: 2s, catch_up: {catch_up} }}"), LOG);
        let first = schedules(&home)[0].state.next.unwrap().due;
        home.ok(["stop"]);
        home.await_manager();
        let offline = home.run(["schedule"]);
        assert!(text(&offline).contains("no schedule fires without a manager"), "{}", text(&offline));
        let third = first.plus(4_000);
        home.until("three times have passed", || airx::os::now().utc > third.plus(100));
        home.start();
        home.until("they are settled, and something fires again", || {
            let state = &schedules(&home)[0].state;
            state.through >= Some(third) && state.waiting.is_empty() && state.last.is_some()
        });
        let passed = detail(&home, "tick").passed;
        let missed: u64 = passed.iter().map(|passed| if let Fired::Missed { count } = passed.what { count } else { 0 }).sum();
        let fired: Vec<_> = passed.iter().filter(|passed| matches!(passed.what, Fired::Submitted { .. })).collect();
        let of_the_break = fired.iter().filter(|passed| passed.due <= third).count();
        // On a slow machine a fourth time may have passed, and be the one that is made up for.
        assert!(made.contains(&of_the_break), "{catch_up}: {passed:?}");
        assert!(missed as usize + of_the_break >= 3 && !fired.is_empty(), "{catch_up}: {passed:?}");
    }
}
