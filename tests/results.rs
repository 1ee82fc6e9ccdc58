//! Results with a schema and results of files, artifacts, and how people get them out, through the built program.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test says so by a panic")]

#[path = "support/home.rs"]
mod home;

use std::fs;

use airx::model::change::TaskResult;
use airx::model::state::{FailCause, Outcome};
use home::TestHome;

/// A home with a manager, a job in it that is over, and the job's name.
fn over(text: &str) -> (TestHome, String) {
    let mut home = TestHome::new();
    home.start();
    let job = home.submit(text);
    home.until_over(&job);
    (home, job)
}

/// The outcome of a task's last attempt.
fn outcome(home: &TestHome, task: &str) -> String {
    home.task(task).attempts.last().and_then(|attempt| attempt.outcome.clone()).expect("an outcome").sentence()
}

#[test]
fn a_schema_in_a_file_counts_as_it_was_at_the_submission() {
    let mut home = TestHome::new();
    home.start();
    fs::write(home.work().join("shape.json"), r#"{ "type": "object", "required": ["ok"] }"#).unwrap();
    let tasks = "tasks:\n  - { id: a, run: \"echo '{}'; echo anything >shape.json\", result: { schema_file: shape.json } }\n";
    let job = home.submit(&format!("name: j\n{tasks}"));
    home.until_over(&job);
    assert_eq!(outcome(&home, "j/a"), "bad result: it does not fit its schema: at the top: expected the key `ok`, found {}");
    let refused = home.run(["submit", "job.yaml"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(home::text(&refused).contains("job.yaml:3:82: "), "{}", home::text(&refused));
}

#[test]
fn an_invalid_schema_is_a_fault_of_the_job_file_with_its_place() {
    let home = TestHome::new();
    let path = home.job_file(
        "job.yaml",
        "name: j\ntasks:\n  - id: a\n    run: x\n    result:\n      schema:\n        properties:\n          a: { type: strng }\n",
    );
    let refused = home.run(["validate", path.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(home::text(&refused).contains("job.yaml:8:22: it is no JSON Schema"), "{}", home::text(&refused));
}

#[test]
fn a_value_that_keeps_its_schema_busy_costs_the_manager_nothing() {
    let mut home = TestHome::new();
    home.start();
    let twice = "{ type: object, properties: { a: { $ref: \"#\" } }, required: [b] }";
    let slow = format!("{{ schema: {{ anyOf: [{twice}, {twice}, {twice}] }} }}");
    let value = "$(yes '{\"a\":' | head -n 50 | tr -d '\\n')1$(yes '}' | head -n 50 | tr -d '\\n')";
    let job = home.submit(&format!(
        "name: j\nmax_parallel: 3\ntasks:\n  - id: slow\n    run: |\n      echo \"{value}\"\n    result: {slow}\n  - id: flood\n    run: |\n      \
         mkdir -p $AIRX_DIR/outbox\n      for n in 1 2 3 4 5 6 7 8; do\n        echo \"{{\\\"seq\\\":$n,\\\"key\\\":\\\"r$n\\\",\\\"body\\\":{{\\\"result\\\":{value}}}}}\" \
         >$AIRX_DIR/outbox/00000$n-r.json\n      done\n      echo 1\n    result: {slow}\n  - {{ id: deep, run: \"echo $(yes [ | head -n 100)$(yes ] | \
         head -n 100)\", result: json }}\n"
    ));
    let other = home.submit("name: other\ntasks:\n  - { id: a, run: echo 1 }\n  - { id: b, needs: [a], run: echo 2 }\n");
    home.until_over(&other);
    assert!(home.task("j/flood").attempts[0].outcome.is_none(), "it held up what has nothing to do with it");
    home.until_over(&job);
    assert!(
        outcome(&home, "j/slow").contains("whether it fits its schema could not be found out"),
        "{}",
        outcome(&home, "j/slow")
    );
    assert!(outcome(&home, "j/deep").contains("nested deeper than 64 levels"), "{}", outcome(&home, "j/deep"));
    assert!(home.run(["ping"]).status.success());
    let events = home.ok(["events", "--job", "j"]);
    assert_eq!(events.matches("could not be found out").count(), 1 + 3, "a flood of them is looked at three times: {events}");
    assert_eq!(events.matches("took too long to be compared").count(), 5, "{events}");
    assert!(!events.contains("late news"), "what an attempt left is read once: {events}");
}

#[test]
fn a_large_result_works_in_every_way_in_and_out() {
    let (home, job) = over(
        "name: j\nmax_parallel: 4\ntasks:\n  - { id: printed, run: seq 1 100000, result: lines }\n  - { id: filed, run: \"seq 1 100000 \
         >n.txt\", result: { kind: text, file: n.txt } }\n  - { id: set, run: \"seq 1 100000 | airx result -\" }\n  - id: uses\n    needs: \
         [printed, filed]\n    run: echo {{ tasks.printed.result | length }} {{ tasks.filed.result | length }}\n    result: text\n",
    );
    assert_eq!(home.job(&job).job.state.word(), "completed");
    for task in ["printed", "filed", "set"] {
        assert!(matches!(home.task(&format!("j/{task}")).result, Some(TaskResult::File { .. })), "{task}");
    }
    let numbers: String = (1..=100_000).map(|n| format!("{n}\n")).collect();
    let text = numbers.trim_end();
    assert_eq!(home.ok(["show", "j/filed", "--result"]), text);
    assert_eq!(home.ok(["show", "j", "set", "--result"]), text);
    let lines: Vec<String> = serde_json::from_str(&home.ok(["show", "j/printed", "--result"])).unwrap();
    assert_eq!(lines.len(), 100_000);
    assert_eq!(home.ok(["show", "j/uses", "--result"]), format!("100000 {}", text.len()));
    assert_eq!(home.ok(["show", "j/uses", "--result", "-o", "json"]), format!("\"100000 {}\"\n", text.len()));
    let job = home.run(["show", "j", "--result"]);
    assert_eq!(job.status.code(), Some(2), "{}", home::text(&job));
}

#[test]
fn more_than_a_task_can_set_is_refused_with_the_way_that_works() {
    let (home, _) = over("name: j\ntasks:\n  - { id: a, run: \"yes x | head -c 1100000 | airx result - 2>&1; echo exit $?\" }\n");
    let said = home.ok(["logs", "j/a", "--raw"]);
    assert!(said.contains("more than 1 MiB") && said.contains("result: { kind: json, file: PATH }"), "{said}");
    assert!(said.ends_with("exit 2\n"), "{said}");
    assert_eq!(home.task("j/a").result, None);
}

#[test]
fn a_task_that_sets_its_result_may_print_what_it_likes_and_one_that_goes_by_its_own_ways_is_refused() {
    let (home, _) = over(
        "name: j\nmax_parallel: 2\ntasks:\n  - id: own\n    run: |\n      echo no JSON at all\n      airx result '[1]' || airx result '{}'\n    \
         result: { schema: { type: object } }\n  - id: sly\n    run: |\n      mkdir -p $AIRX_DIR/outbox\n      printf \
         '{\"seq\":1,\"key\":\"r\",\"body\":{\"result\":[1]}}' >$AIRX_DIR/outbox/000001-r.json\n      echo '{\"from\": \"stdout\"}'\n    \
         result: { schema: { type: object } }\n",
    );
    assert_eq!(home.ok(["show", "j/own", "--result"]), "{}\n");
    assert_eq!(home.ok(["show", "j/sly", "--result"]), "{\"from\":\"stdout\"}\n");
    let events = home.ok(["events", "--job", "j"]);
    assert!(events.contains("refused `r`: it does not fit its schema: at the top: expected object, found [1]"), "{events}");
}

const ARTIFACTS: &str = "name: j\nmax_parallel: 2\ntasks:\n  - id: a\n    run: mkdir -p out && printf '\\001\\000\\377' >out/b.bin && echo hi \
                         >out/t.txt\n    artifacts: [out/]\n  - id: b\n    run: echo $AIRX_ATTEMPT >log; exit 1\n    retry: { attempts: 2, delay: \
                         0s }\n    artifacts: [log]\n";

#[test]
fn artifacts_are_listed_printed_and_copied_with_a_manager_and_without() {
    let (mut home, _) = over(ARTIFACTS);
    for round in 0..2 {
        let listed: Vec<serde_json::Value> = serde_json::from_str(&home.ok(["artifacts", "j", "-o", "json"])).unwrap();
        let rows: Vec<_> = listed
            .iter()
            .map(|row| (row["task"].as_str().unwrap(), row["attempt"].as_u64().unwrap(), row["name"].as_str().unwrap()))
            .collect();
        assert_eq!(rows, [("a", 1, "out/b.bin"), ("a", 1, "out/t.txt"), ("b", 2, "log")]);
        let printed = home.run(["artifacts", "j/a", "out/b.bin"]);
        assert_eq!(printed.stdout, [1, 0, 255], "{}", home::text(&printed));
        let first = home.ok(["artifacts", "j/b", "log", "--attempt", "1"]);
        assert_ne!(first, home.ok(["artifacts", "j", "b", "log"]));
        assert_eq!(home.ok(["artifacts", "j/a", "-o", "plain"]).lines().count(), 2);
        let to = format!("copied{round}");
        home.ok(["artifacts", "j", "--to", &to]);
        assert_eq!(fs::read(home.work().join(&to).join("a/out/t.txt")).unwrap(), b"hi\n");
        if round == 0 {
            home.kill_manager();
        }
    }
    let facts = home.task("j/a").attempts[0].facts.clone().unwrap().artifacts.unwrap();
    assert_eq!((facts.count, facts.bytes, facts.named[0].name.as_str()), (2, 6, "out/b.bin"));
}

#[test]
fn nothing_is_written_over_and_nothing_outside_of_the_directory() {
    let (home, _) = over(ARTIFACTS);
    fs::create_dir(home.work().join("to")).unwrap();
    std::os::unix::fs::symlink(home.user(), home.work().join("to/out")).unwrap();
    let refused = home.run(["artifacts", "j/a", "--to", "to"]);
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(fs::read_dir(home.user()).unwrap().count(), 0, "{}", home::text(&refused));
    fs::remove_file(home.work().join("to/out")).unwrap();
    fs::create_dir(home.work().join("to/out")).unwrap();
    fs::write(home.work().join("to/out/t.txt"), "mine").unwrap();
    let refused = home.run(["artifacts", "j/a", "--to", "to"]);
    assert!(home::text(&refused).contains("is there already, and nothing was written"), "{}", home::text(&refused));
    assert!(!home.work().join("to/out/b.bin").exists());
    assert_eq!(fs::read(home.work().join("to/out/t.txt")).unwrap(), b"mine");
    home.ok(["artifacts", "j/a", "--to", "to", "--force"]);
    assert_eq!(fs::read(home.work().join("to/out/t.txt")).unwrap(), b"hi\n");
    let near = home.run(["artifacts", "j/a", "out/t.tx"]);
    assert!(home::text(&near).contains("did you mean `out/t.txt`?"), "{}", home::text(&near));
}

#[test]
fn what_was_changed_after_it_was_kept_is_no_artifact_any_more() {
    let (home, _) = over(ARTIFACTS);
    let kept = home.task("j/a").attempts[0].dir.join("artifacts/out/t.txt");
    fs::remove_file(&kept).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &kept).unwrap();
    let led = home.run(["artifacts", "j/a", "out/t.txt"]);
    assert!(led.stdout.is_empty() && led.status.code() == Some(1), "{}", home::text(&led));
    fs::remove_file(&kept).unwrap();
    fs::write(&kept, "other").unwrap();
    let changed = home.run(["artifacts", "j/a", "out/t.txt", "--to", "to"]);
    assert!(home::text(&changed).contains("is not as it was kept"), "{}", home::text(&changed));
    assert!(!home.work().join("to/out/t.txt").exists());
}

#[test]
fn what_never_started_has_no_artifacts_and_what_failed_for_want_of_one_is_retried() {
    let (home, _) = over(
        "name: j\ntasks:\n  - { id: a, command: no-such-program, artifacts: [{ path: x, required: true }] }\n  - id: b\n    run: test -e first \
         && echo made >x; echo >first\n    retry: { attempts: 2, delay: 0s }\n    artifacts: [{ path: x, required: true }]\n",
    );
    assert!(outcome(&home, "j/a").starts_with("could not start"), "{}", outcome(&home, "j/a"));
    let attempts = home.task("j/b").attempts;
    let cause = FailCause::Artifact("x".to_owned());
    assert_eq!(attempts[0].outcome, Some(Outcome::Failed { cause }));
    assert_eq!(attempts[1].outcome, Some(Outcome::Succeeded));
    assert!(home.ok(["artifacts", "j/a"]).starts_with("nothing was kept"));
}

#[test]
fn an_instances_artifacts_are_copied_beside_those_of_a_task_with_names_like_them() {
    let (home, _) = over(
        "name: j\nmax_parallel: 2\ntasks:\n  - { id: own, run: \"mkdir 1 && echo own >1/x\", artifacts: [1/x] }\n  - id: many\n    \
         for_each: [a, b]\n    run: \"echo {{ item }} >x{{ index }}\"\n    artifacts: [\"x[01]\"]\n",
    );
    home.ok(["artifacts", "j", "--to", "to"]);
    let copied = |name: &str| fs::read_to_string(home.work().join("to").join(name)).unwrap();
    assert_eq!((copied("own/1/x"), copied("many.0/x0"), copied("many.1/x1")), ("own\n".into(), "a\n".into(), "b\n".into()));
}

#[test]
fn a_value_that_keeps_its_schema_busy_is_refused_inside_the_task_within_bounds() {
    let twice = "{ type: object, properties: { a: { $ref: \"#\" } }, required: [b] }";
    let value = "$(yes '{\"a\":' | head -n 50 | tr -d '\\n')1$(yes '}' | head -n 50 | tr -d '\\n')";
    let (home, _) = over(&format!(
        "name: j\ntasks:\n  - id: a\n    run: |\n      airx result \"{value}\" 2>why && exit 3\n      grep -q 'could not be found out' why || exit 4\n      \
         echo 1\n    result: {{ schema: {{ anyOf: [{{ type: integer }}, {twice}, {twice}, {twice}] }} }}\n"
    ));
    assert_eq!(outcome(&home, "j/a"), "succeeded");
}
