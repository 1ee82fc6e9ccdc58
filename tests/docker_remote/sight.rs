//! What is seen of a task while it runs.

use std::time::{Duration, Instant};

use airx::model::question::Answer;

use super::*;

#[test]
fn output_grows_while_people_watch_and_what_is_asked_arrives_at_once() {
    let Some(engine) = engines::shared() else { return };
    let home = started(&engine.remote(), "");
    let script = "n=0; while [ ! -e go ]; do n=$((n + 1)); echo line $n; echo err $n >&2; sleep 0.02; done; echo $n >count";
    submit(&home, script, "");
    until_printed(&home, "line 20\n");
    let began = Instant::now();
    until_printed(&home, "err 60\n");
    assert!(began.elapsed() < Duration::from_secs(20));
    // Whatever becomes of who tells it, it goes on.
    let kill = "for p in /proc/[0-9]*; do grep -qs '[a]irx.relay' $p/cmdline && kill -9 ${p#/proc/} && echo killed; done; true";
    for round in 1..4 {
        home.until("who tells it is there", || inside(engine, &home, &["sh", "-c", kill]) == "killed\n");
        let seen = home.run(["logs", "j.1/t", "--raw"]).stdout.len();
        home.until("it goes on", || home.run(["logs", "j.1/t", "--raw"]).stdout.len() > seen + 200 * round);
    }
    let dir = task(&home).attempts[0].dir.clone();
    let whole = |name: &str, prefix: &str| {
        let text = std::fs::read_to_string(dir.join(name)).unwrap();
        let lines = text.lines().enumerate().take(text.matches('\n').count());
        lines.map(|(n, line)| assert_eq!(line, format!("{prefix} {}", n + 1))).count()
    };
    assert!(whole("out", "line") > 60 && whole("err", "err") > 60, "nothing is lost or doubled on the way");
    inside(engine, &home, &["touch", "go"]);
    assert_eq!(only(&home), ("succeeded".to_owned(), String::new()));
    let count: usize = std::fs::read_to_string(home.work().join("count")).unwrap().trim().parse().unwrap();
    assert_eq!((whole("out", "line"), whole("err", "err")), (count, count));
    let raw = home.run(["logs", "j.1/t", "--raw"]).stdout;
    assert_eq!(raw.iter().filter(|byte| **byte == b'\n').count(), 2 * count);
}

#[test]
fn progress_and_further_tasks_are_known_while_the_task_goes_on() {
    let Some(engine) = engines::shared() else { return };
    let mut home = started(&engine.remote(), "");
    // Nothing is looked at by the clock.
    let config = std::fs::read_to_string(home.path().join("config.yaml")).unwrap();
    std::fs::write(home.path().join("config.yaml"), config.replace("poll_interval: 1s", "poll_interval: 60s")).unwrap();
    home.kill_manager();
    home.start();
    let script =
        "airx progress 1/2 half; airx add --id leaf -- true; while [ ! -e go ]; do sleep 0.05; done; airx progress 2/2 all";
    submit(&home, script, r#""timeout": "10m""#);
    let begin = Instant::now();
    home.until("its progress is known", || task(&home).task.progress.is_some());
    home.until("the other task is there", || home.tasks("j.1").len() == 2);
    assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
    inside(engine, &home, &["touch", "go"]);
    assert_eq!(home.until_over("j.1"), "completed");
    assert_eq!(task(&home).task.progress.map(|progress| progress.to_string()), Some("2/2 all".to_owned()));
}

#[test]
fn where_nobody_can_tell_it_is_looked_at_and_the_end_has_it_all() {
    let Some(engine) = engines::shared() else { return };
    // The command and the runner are all that may be.
    let home = started(&engine.remote(), ", pids: 2");
    submit(&home, "echo begun; airx() { :; }; exec sleep 3", "");
    until_running(&home);
    assert_eq!(only(&home).0, "succeeded");
    assert_eq!(home.run(["logs", "j.1/t", "--raw"]).stdout, b"begun\n");
}

#[test]
fn an_engine_that_is_not_there_holds_the_task_with_the_reason() {
    let home = started("tcp://127.0.0.1:1", "");
    home.until("it is known", || home.ok(["status"]).contains("127.0.0.1:1"));
    submit(&home, "true", "");
    let shown = home.ok(["tasks", "j.1"]);
    assert!(shown.contains("127.0.0.1:1"), "{shown}");
    home.ok(["cancel", "j.1/t"]);
    assert_eq!(home.until_over("j.1"), "cancelled");
}

#[test]
fn a_question_is_answered_into_the_container() {
    let Some(engine) = engines::shared() else { return };
    let home = started(&engine.remote(), ", user: task");
    let script = r#"
        say() { echo "$1"; }
        {
            say '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"claude-code","version":"2.1.197"}}}'
            say '{"jsonrpc":"2.0","method":"notifications/initialized"}'
            say '{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"ask_human","arguments":{"question":"which one?"}}}'
            while ! grep -q 'the second' answers; do sleep 0.1; done
        } | airx mcp >answers
    "#;
    submit(&home, script, "");
    home.until("the question is seen", || !questions::waiting(&home.path()).is_empty());
    let question = questions::waiting(&home.path())[0].id;
    questions::answer(&home.path(), question, Answer::Say { text: "the second".to_owned() });
    assert_eq!(only(&home), ("succeeded".to_owned(), String::new()));
    assert!(std::fs::read_to_string(home.work().join("answers")).unwrap().contains("the second"));
}
