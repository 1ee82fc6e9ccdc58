//! Mapped tasks through the built program: what the command line says of them, and keys on a real screen.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test says so by a panic")]

#[path = "support/home.rs"]
mod home;
#[path = "support/pty.rs"]
mod pty;

use std::time::Duration;

use home::{TestHome, text};
use pty::Pty;

/// Every kind of decision: a list from a result, a product, an empty list, a condition, a rule, and what runs at the end.
const GROWN: &str = "\
name: grown
max_parallel: 3
tasks:
  - id: discover
    run: printf 'src/lib.rs\\nsrc/token.rs\\nsrc/user.rs\\n'
    result: lines
  - id: fix
    needs: [discover]
    for_each: '{{ tasks.discover.result }}'
    max_parallel: 2
    run: echo fixing {{ item }}; test {{ index }} != 1 -o -e mended
  - id: cells
    matrix: { os: [linux, mac], version: [1, 2] }
    run: echo {{ item.os }} {{ item.version }}
  - id: empty
    for_each: []
    run: 'true'
  - id: never
    if: 'false'
    run: 'true'
  - id: after
    needs: [fix]
    run: 'true'
finally:
  - id: clean
    run: echo cleaned
";

fn started() -> TestHome {
    let mut home = TestHome::new();
    home.start();
    home
}

/// Lines without what differs from run to run: times.
fn without_times(text: &str) -> Vec<String> {
    let is_time = |word: &&str| !word.contains(':') || word.len() < 8 || !word.starts_with(|c: char| c.is_ascii_digit());
    text.lines().map(|line| line.split(' ').filter(is_time).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn a_run_says_what_is_mapped_what_failed_and_what_was_skipped() {
    let home = started();
    let file = home.job_file("grown.yaml", GROWN);
    let output = home.run([std::ffi::OsStr::new("run"), file.as_os_str()]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    let lines = without_times(&said);
    for wanted in [
        "grown.1/cells mapped: 4 instances",
        "grown.1/fix mapped: 3 instances",
        "grown.1/empty skipped (its list is empty)",
        "grown.1/never skipped (its `if` is false)",
        "grown.1/fix/1 failed (exit 1)",
        "grown.1/fix failed (1 of 3 instances failed)",
        "grown.1/cells completed",
        "  fix/1 (src/token.rs): exit 1",
        "    airx logs grown.1/fix/1",
    ] {
        assert!(lines.iter().any(|line| line == wanted), "{wanted}\n{said}");
    }
    assert!(said.contains("grown.1 failed  8/12 tasks completed, 2 skipped"), "instances stand for their mapped tasks\n{said}");
    assert!(lines.iter().all(|line| !line.trim_end().ends_with("/fix") && !line.trim_end().ends_with("/cells")), "{said}");
    assert!(home.ok(["jobs"]).contains("12/12"), "{}", home.ok(["jobs"]));
    assert!(home.ok(["status"]).contains("8 completed") && home.ok(["status"]).contains("1 failed"));
    let events = home.ok(["events"]);
    assert!(events.contains("grown.1/fix  mapped: 3 instances"), "{events}");
}

#[test]
fn tasks_show_and_logs_know_a_mapped_task_and_its_instances() {
    let home = started();
    home.submit(GROWN);
    assert_eq!(home.until_over("grown"), "failed");
    let table = home.ok(["tasks", "grown"]);
    let ids: Vec<&str> = table.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)).collect();
    let expected = "discover fix fix/0 fix/1 fix/2 cells cells/0 cells/1 cells/2 cells/3 empty never after clean";
    assert_eq!(ids.join(" "), expected, "instances stand beneath their mapped task\n{table}");
    let line = |id: &str| table.lines().find(|line| line.split_whitespace().nth(1) == Some(id)).unwrap().to_owned();
    assert!(line("fix").contains("2/3") && line("fix").contains("1 of 3 instances failed"), "{table}");
    assert!(line("fix/1").contains("src/token.rs") && line("fix/1").contains("exit 1"), "{table}");
    let one = home.ok(["tasks", "grown/fix"]);
    assert_eq!(one.lines().count(), 5, "{one}");
    assert_eq!(home.tasks("grown").len(), 14, "programs are told of all");
    assert_eq!(
        home.ok(["logs", "grown/fix"]),
        "fix/0 | fixing src/lib.rs\nfix/1 | fixing src/token.rs\nfix/2 | fixing src/user.rs\n"
    );
    assert_eq!(home.ok(["logs", "grown/fix/2"]), "fixing src/user.rs\n");
    let whole = home.ok(["show", "grown/fix"]);
    assert!(whole.contains("3 instances: completed 2, failed 1"), "{whole}");
    assert!(whole.contains("\"for_each\": \"{{ tasks.discover.result }}\"") && whole.contains("\"max_parallel\": 2"), "{whole}");
    let cell = home.ok(["show", "grown/cells/3"]);
    assert!(cell.contains("instance 3 of grown.1/cells") && cell.contains("\"os\": \"mac\""), "{cell}");
    assert_eq!(home.task("grown/cells/3").item, Some(serde_json::json!({ "os": "mac", "version": 2 })));
    let job = home.job("grown").job;
    assert_eq!((job.work().total(), job.tasks.total()), (12, 14), "two mapped tasks have instances that stand for them");
}

#[test]
fn of_a_large_mapping_only_what_matters_is_told() {
    let home = started();
    let items: Vec<String> = (0..300).map(|number| number.to_string()).collect();
    let text = format!(
        "name: large\nmax_parallel: 50\ntasks:\n  - id: one\n    for_each: [{}]\n    run: test {{{{ item }}}} != 7\n",
        items.join(", ")
    );
    let file = home.job_file("large.yaml", &text);
    let output = home.run([std::ffi::OsStr::new("run"), file.as_os_str()]);
    let said = String::from_utf8(output.stdout).unwrap();
    let of_instances: Vec<&str> =
        said.lines().filter(|line| line.contains(":") && line.contains(" large.1/one/") && !line.starts_with(" ")).collect();
    assert_eq!(of_instances.len(), 1, "only the failure has a line\n{said}");
    assert!(of_instances[0].ends_with("large.1/one/7 failed (exit 1)"), "{said}");
    assert!(said.contains("large.1 failed  299/300 tasks completed"), "{said}");
    let table = home.ok(["tasks", "large"]);
    assert_eq!(table.lines().count(), 4, "{table}");
    assert!(table.contains("299 more (completed 299); `airx tasks large/one` lists them"), "{table}");
    assert_eq!(home.ok(["tasks", "large", "--all"]).lines().count(), 302);
    assert_eq!(home.ok(["tasks", "large/one"]).lines().count(), 302);
}

#[test]
fn keys_unfold_a_mapped_task_and_requeue_what_failed_of_it() {
    let home = started();
    home.submit(GROWN);
    assert_eq!(home.until_over("grown"), "failed");
    let mut screen = Pty::open(&home.command::<&str>([]), 130, 40);
    screen.wait_for("grown.1");
    screen.keys("l");
    screen.wait_line(&["fix", "2/3", "1 failed"]);
    screen.wait_line(&["src/token.rs", "exit 1"]);
    screen.wait_line(&["{\"os\":\"mac\",\"version\":2}"]);
    // Folded and unfolded again: discover is the first line, fix the second.
    screen.keys("j j h");
    screen.wait_gone("src/lib.rs");
    screen.keys("l");
    screen.wait_line(&["src/token.rs", "exit 1"]);
    std::fs::write(home.work().join("mended"), "").unwrap();
    screen.keys("r");
    screen.wait_for("Requeue 1 failed instance of grown.1/fix?");
    // Keys are no answer to a question that has just appeared.
    std::thread::sleep(Duration::from_millis(350));
    screen.keys("y");
    home.until("the job completes", || home.job("grown").job.state.word() == "completed");
    screen.wait_line(&["fix", "3/3"]);
    let again: Vec<String> =
        home.tasks("grown").into_iter().filter(|task| task.item.is_some() && task.attempts > 1).map(|task| task.id).collect();
    assert_eq!(again, ["fix/1"], "the others are left alone");
    screen.keys("q");
    assert_eq!(screen.exit(), 0);
}

#[test]
fn one_failed_instance_is_requeued_alone_and_told_so() {
    let home = started();
    home.submit(GROWN);
    assert_eq!(home.until_over("grown"), "failed");
    std::fs::write(home.work().join("mended"), "").unwrap();
    let said = home.run(["requeue", "grown/fix/1"]);
    assert!(said.status.success(), "{}", text(&said));
    home.until("the job completes", || home.job("grown").job.state.word() == "completed");
    let fix = home.task("grown/fix").task;
    assert_eq!(fix.instances.unwrap().of(airx::model::state::TaskKind::Completed), 3);
    let events = home.ok(["events"]);
    assert!(events.contains("grown.1/fix  goes on with its instances"), "{events}");
}
