//! Jobs that run other job files, through the built program.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test says so by a panic")]

#[path = "support/home.rs"]
mod home;

use airx::model::change::TaskResult;
use airx::model::message::JobView;
use airx::model::state::{TaskKind, TaskState};
use home::{TestHome, text};
use serde_json::json;

fn home() -> TestHome {
    let mut home = TestHome::new();
    home.start();
    home
}

fn states(home: &TestHome, job: &str) -> Vec<TaskKind> {
    home.tasks(job).iter().map(|task| task.state.kind()).collect()
}

fn result(home: &TestHome, task: &str) -> serde_json::Value {
    match home.task(task).result {
        Some(TaskResult::Inline(value)) => value.as_ref().clone(),
        other => panic!("{task} has {other:?}"),
    }
}

/// The child job that does a task's work.
fn child(home: &TestHome, task: &str) -> String {
    home.task(task).task.child.map(|child| child.job.to_string()).unwrap_or_default()
}

fn is_delegated(home: &TestHome, job: &str, place: usize) -> bool {
    states(home, job).get(place) == Some(&TaskKind::Delegated)
}

#[test]
fn values_go_in_and_a_result_comes_out_with_their_types_two_deep() {
    let home = home();
    home.job_file(
        "inner.yaml",
        "name: inner\nparams: { list, word: none, count: 0 }\nresult: out\ntasks:\n  - id: out\n    result: json\n    \
         command: python3\n    args: [-c, \"import json,sys; print(json.dumps([json.loads(sys.argv[1]), sys.argv[2], int(sys.argv[3]) + 1]))\", \
         '{{ params.list | tojson }}', '{{ params.word }}', '{{ params.count }}']\n"
            .replace("{ list,", "{ list: { description: what to work on },")
            .as_str(),
    );
    home.job_file(
        "middle.yaml",
        "name: middle\nparams: { list: [], n: 1 }\nresult: work\ntasks:\n  - id: work\n    job:\n      file: inner.yaml\n      params: \
         { list: '{{ params.list }}', word: 'a-{{ params.n }}', count: '{{ params.n }}' }\n",
    );
    let job = home.submit(
        "name: outer\ntasks:\n  - { id: find, run: 'echo x; echo y', result: lines }\n  - id: middle\n    needs: [find]\n    \
         job: { file: middle.yaml, params: { list: '{{ tasks.find.result }}', n: 41 } }\n  \
         - { id: show, needs: [middle], run: 'echo {{ tasks.middle.result[2] }}', result: text }\n",
    );
    assert_eq!(home.until_over(&job), "completed", "{}", home.ok(["status"]));
    assert_eq!(result(&home, "outer/middle"), json!([["x", "y"], "a-41", 42]));
    assert_eq!(result(&home, "outer/show"), json!("42"));
    let parent = home.job("inner.1").job.parent.unwrap();
    assert_eq!(parent.address.to_string(), "middle.1/work");
    assert_eq!(
        home.job("inner.1").spec.params,
        [("count", json!(41)), ("list", json!(["x", "y"])), ("word", json!("a-41"))]
            .map(|(name, value)| (name.to_owned(), value))
            .into()
    );
    let listed = home.ok(["jobs"]);
    assert!(listed.contains("of middle.1/work") && listed.contains("of outer.1/middle"), "{listed}");
    assert!(home.task("outer/middle").attempts.is_empty(), "it had no attempt");
    home.ok(["stop"]);
    assert!(home.run(["doctor"]).stdout.windows(7).any(|part| part == b"journal"), "tables and journal are compared");
}

#[test]
fn a_pool_of_one_slot_is_enough_for_any_depth() {
    let home = TestHome::new();
    std::fs::create_dir_all(home.path()).unwrap();
    std::fs::write(home.path().join("config.yaml"), "pools: { local: { slots: 1 } }\n").unwrap();
    let mut home = home;
    home.start();
    home.job_file("c.yaml", "name: c\ntasks: [{ id: t, run: 'true' }, { id: u, run: 'true' }]\n");
    home.job_file("b.yaml", "name: b\ntasks: [{ id: t, job: c.yaml }, { id: u, job: c.yaml }, { id: v, run: 'true' }]\n");
    let job = home.submit("name: a\nmax_parallel: 1\ntasks: [{ id: t, job: b.yaml }, { id: u, needs: [t], run: 'true' }]\n");
    assert_eq!(home.until_over(&job), "completed");
}

#[test]
fn the_end_of_a_child_is_that_of_its_task_and_airx_run_tells_of_both() {
    let home = home();
    home.job_file("bad.yaml", "name: bad\ntasks: [{ id: t, run: 'exit 3' }]\n");
    let path = home.job_file(
        "a.yaml",
        "name: a\ntasks:\n  - { id: sub, job: bad.yaml }\n  - { id: after, needs: [sub], run: 'true' }\n  \
         - { id: anyway, needs: [sub], rule: all_done, run: 'true' }\n",
    );
    let output = home.run(["run", path.to_str().unwrap()]);
    let told = text(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    for line in ["a.1/sub delegated to bad.1", "bad.1/t failed (exit 3)", "sub: child job bad.1 failed", "airx status bad.1"] {
        assert!(told.contains(line), "{line}: {told}");
    }
    assert_eq!(states(&home, "a.1"), [TaskKind::Failed, TaskKind::UpstreamFailed, TaskKind::Completed]);
}

#[test]
fn a_cancel_of_the_parent_reaches_all_below_and_that_of_a_child_ends_its_task() {
    let home = home();
    home.job_file("c.yaml", "name: c\ntasks: [{ id: t, run: 'sleep 60' }]\nfinally: [{ id: f, run: 'touch cleaned' }]\n");
    home.job_file("b.yaml", "name: b\ntasks: [{ id: t, job: c.yaml }]\n");
    let whole = "name: a\nmax_parallel: 9\ntasks: [{ id: t, job: b.yaml }, { id: u, needs: [t], rule: all_done, run: 'true' }]\n";
    let job = home.submit(whole);
    home.until("the innermost one runs", || {
        home.run(["tasks", "c.1"]).status.success() && states(&home, "c.1")[0] == TaskKind::Running
    });
    home.ok(["cancel", &job]);
    assert_eq!(home.until_over(&job), "cancelled");
    assert_eq!(
        (states(&home, "c.1"), states(&home, "b.1")),
        (vec![TaskKind::Cancelled, TaskKind::Completed], vec![TaskKind::Cancelled])
    );
    assert!(home.work().join("cleaned").exists(), "what runs whatever happened has run");
    let job = home.submit(whole);
    home.until("it runs again", || home.run(["tasks", "c.2"]).status.success() && states(&home, "c.2")[0] == TaskKind::Running);
    home.ok(["cancel", "c.2"]);
    assert_eq!(home.until_over(&job), "cancelled");
    assert_eq!(states(&home, &job), [TaskKind::Cancelled, TaskKind::Completed]);
}

#[test]
fn a_requeue_goes_on_in_the_child_and_with_all_it_begins_a_new_one() {
    let home = home();
    home.job_file(
        "b.yaml",
        "name: b\nparams: { to: x }\ntasks:\n  - { id: once, run: 'echo x >> once' }\n  - { id: t, needs: [once], run: 'test -e ok' }\n",
    );
    let job = home.submit("name: a\ntasks: [{ id: t, job: b.yaml }, { id: u, needs: [t], run: 'true' }]\n");
    assert_eq!(home.until_over(&job), "failed");
    std::fs::write(home.work().join("ok"), "").unwrap();
    home.ok(["requeue", "a/t"]);
    home.until("all of it is completed", || states(&home, &job) == [TaskKind::Completed; 2]);
    assert_eq!((child(&home, "a/t").as_str(), home.task("b.1/once").attempts.len()), ("b.1", 1), "it went on in the same child");
    std::fs::remove_file(home.work().join("ok")).unwrap();
    home.ok(["requeue", "a/t", "--all", "--yes"]);
    home.until("the new child failed", || states(&home, &job) == [TaskKind::Failed, TaskKind::Completed]);
    assert_eq!(child(&home, "a/t"), "b.2");
    std::fs::write(home.work().join("ok"), "").unwrap();
    home.ok(["requeue", "b.2"]);
    assert!(is_delegated(&home, &job, 0) || states(&home, &job)[0] == TaskKind::Completed, "its task goes on with it");
    home.until("all of it is completed again", || states(&home, &job) == [TaskKind::Completed; 2]);
    let refused = home.run(["requeue", "b.1/t", "--all", "--yes"]);
    assert!(text(&refused).contains("`b.1` is replaced by b.2"), "{}", text(&refused));
}

#[test]
fn a_killed_manager_finds_the_child_again() {
    let mut home = home();
    home.job_file(
        "b.yaml",
        "name: b\nresult: t\ntasks: [{ id: t, run: 'while ! test -e go; do sleep 0.05; done; echo 7', result: json }]\n",
    );
    let job =
        home.submit("name: a\ntasks: [{ id: t, job: b.yaml }, { id: u, needs: [t], run: 'test {{ tasks.t.result }} = 7' }]\n");
    home.until("the child runs", || is_delegated(&home, &job, 0) && states(&home, "b.1") == [TaskKind::Running]);
    home.kill_manager();
    std::fs::write(home.work().join("go"), "").unwrap();
    home.start();
    assert_eq!(home.until_over(&job), "completed");
    let jobs: Vec<JobView> = serde_json::from_str(&home.ok(["jobs", "-o", "json"])).unwrap();
    assert_eq!(jobs.len(), 2, "one child and no more");
    home.ok(["stop"]);
    let doctor = home.ok(["doctor"]);
    assert!(doctor.contains("journal"), "{doctor}");
}

#[test]
fn a_mapped_sub_flow_is_a_child_for_each_item_and_max_parallel_bounds_them() {
    let home = home();
    home.job_file("b.yaml", "name: b\nparams: { x: 0, n: 0 }\nresult: t\ntasks: [{ id: t, run: 'echo {{ params.x }}{{ params.n }}', result: text }]\n");
    let job = home.submit(
        "name: a\nmax_parallel: 9\ntasks:\n  - { id: each, for_each: [1, 2, 3], max_parallel: 1, job: { file: b.yaml, params: { x: '{{ item }}', n: '{{ index }}' } } }\n  \
         - { id: sum, needs: [each], run: 'echo {{ tasks.each.result | join(\"+\") }}', result: text }\n",
    );
    assert_eq!(home.until_over(&job), "completed", "{}", home.ok(["status"]));
    assert_eq!(result(&home, "a/sum"), json!("10+21+32"));
    assert_eq!(home.job("b.3").job.parent.unwrap().address.to_string(), "a.1/each/2");
}

#[test]
fn pausing_a_job_starts_nothing_new_below_it() {
    let home = home();
    home.job_file(
        "b.yaml",
        "name: b\ntasks: [{ id: t, run: 'while ! test -e go; do sleep 0.05; done' }, { id: u, needs: [t], run: 'true' }]\n",
    );
    let job = home.submit("name: a\ntasks: [{ id: t, job: b.yaml }]\n");
    home.until("the child runs", || home.run(["tasks", "b.1"]).status.success() && states(&home, "b.1")[0] == TaskKind::Running);
    home.ok(["pause", &job]);
    std::fs::write(home.work().join("go"), "").unwrap();
    home.until("what ran is over", || states(&home, "b.1") == [TaskKind::Completed, TaskKind::Queued]);
    let why = home.tasks("b.1")[1].why.clone();
    assert_eq!(why.as_deref(), Some("the job is paused"));
    assert!(matches!(home.tasks(&job)[0].state, TaskState::Delegated { .. }));
    assert_eq!(home.tasks(&job)[0].why.as_deref(), Some("done by b.1, 1/2 tasks over"));
    home.ok(["resume", &job]);
    assert_eq!(home.until_over(&job), "completed");
}

#[test]
fn files_that_name_each_other_are_refused_before_anything_runs() {
    let home = home();
    std::fs::create_dir(home.work().join("sub")).unwrap();
    home.job_file("sub/b.yaml", "name: b\ntasks: [{ id: t, job: ../a.yaml }]\n");
    let path = home.job_file("a.yaml", "name: a\ntasks: [{ id: t, job: sub/b.yaml }]\n");
    let output = home.command(["submit", "a.yaml"]).output().unwrap();
    let told = text(&output);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(
        told.contains("sub/b.yaml:2:23: the job files name each other in a circle: a.yaml -> sub/b.yaml -> a.yaml"),
        "{told}"
    );
    assert!(told.contains("a.yaml:2:23: sub/b.yaml has 1 fault"), "{told}");
    assert!(path.exists() && home.ok(["jobs", "-o", "json"]).trim() == "[]");
}
