//! The first process of a pod, as the real binary: what comes out of it is all that its manager ever sees.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails says so by panicking")]
#![allow(clippy::print_stderr, reason = "what is left out is told")]

#[path = "runner_pod/harness.rs"]
mod harness;
mod runner_support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use airx::model::artifact::{ArtifactSpec, Artifacts, Manifest, Missing};
use airx::model::attempt::{End, OutboxBody, OutboxItem, RunnerInfo, StopCause};
use airx::model::exit_file::{ExitFile, decode};
use airx::model::pod::{PodOrder, Word};
use airx::model::relay::Kind;
use airx::model::spec::{ResultKind, ResultSpec};
use airx::os;
use harness::{NONCE, Place, Pod, Told, order};
use runner_support::{AIRX, gate, shell, survivors, wait_for};
use rustix::process::Signal;

fn run(order: &PodOrder) -> Told {
    Pod::start(order).finish()
}

#[test]
fn output_and_record_arrive_apart_from_each_other_and_the_end_is_last() {
    let mut spec = shell("echo one; echo two >&2; printf 'three'; exit 3");
    spec.mark = "m-1".into();
    let told = run(&order(&spec));
    assert_eq!((told.text("out"), told.text("err"), told.code), ("one\nthree".into(), "two\n".into(), Some(3)));
    let record = told.record();
    assert_eq!((record.end, record.mark.as_str(), record.out_bytes), (End::Exited(3), "m-1", 9));
    assert_eq!(told.files["index"].len() % 16, 0);
    let names = told.names();
    assert_eq!(names[names.len() - 2..], ["exit.json", "end"]);
    assert_eq!(names.iter().filter(|name| **name == "end").count(), 1);
    assert_eq!((told.lost, told.strange.as_slice(), told.stderr.as_str()), (0, &[][..], ""));
}

#[test]
fn the_exit_code_is_the_tasks_to_people_and_a_gate_makes_it_none() {
    let code = |script: &str| run(&order(&shell(script))).code;
    assert_eq!((code("true"), code("kill -9 $$"), code("exit 113")), (Some(0), Some(137), Some(1)));
    let mut spec = shell("true");
    spec.gate = gate("echo no; exit 4", 10_000);
    let told = run(&order(&spec));
    assert_eq!((told.code, told.text("gate.log")), (Some(1), "no\n".into()));
    spec.argv = vec!["no-such-program".into()];
    let told = run(&order(&spec));
    assert!(told.code == Some(1) && matches!(told.record().end, End::NotStarted { errno: 2, .. }));
}

#[test]
fn the_task_has_the_images_environment_and_its_own_and_nothing_of_the_order() {
    let mut order = order(&shell("env; pwd"));
    order.env.extend([("A".to_owned(), "task".to_owned()), ("LONG".to_owned(), "x".repeat(100_000))]);
    let place = Place::new();
    let mut command = place.command(&order);
    command.env("A", "image").env("B", "image");
    let out = Pod::of(command, place).finish().text("out");
    assert!(out.contains("\nA=task\n") && out.contains("\nB=image\n") && out.ends_with("\n/\n"), "{out}");
    assert!(!out.contains("AIRX_ORDER") && !out.contains(NONCE), "{out}");
    assert!(out.lines().any(|line| line.starts_with("PATH=") && line.ends_with(":/airx/bin")), "{out}");
}

#[test]
fn a_task_can_neither_read_the_nonce_nor_write_into_the_lines() {
    let script = format!(
        r#"sleep 0.3 # until the streams are given to its user
           runner=$PPID
           pod=$(cut -d' ' -f4 /proc/$runner/stat)
           echo "$(tr '\0' ' ' < /proc/$pod/cmdline | cut -d' ' -f2) started this"
           cat /proc/$runner/environ > /dev/null && echo its runner can be read
           cat /proc/$pod/environ > /dev/null && echo READ
           cat /proc/$pod/mem > /dev/null && echo READ
           ls /proc/$pod/fd && echo LISTED
           for fd in 0 1 2; do
             (echo '{NONCE} 0 + AAAA' > /proc/$pod/fd/$fd) && echo WROTE
             (: < /proc/$pod/fd/$fd) && echo OPENED
           done
           echo '{NONCE} 1000 + AAAA'; echo '{NONCE} 0 + AAAA' >&2; exit 0"#
    );
    let place = Place::of_another_user();
    let told = Pod::of(place.command(&order(&shell(&script))), place).finish();
    let expected = format!("pod started this\nits runner can be read\n{NONCE} 1000 + AAAA\n");
    assert_eq!(told.text("out"), expected, "{}", told.text("err"));
    assert!(told.text("err").matches("ermission denied").count() >= 8, "{}", told.text("err"));
    assert_eq!((told.lost, told.strange.as_slice(), told.code), (0, &[][..], Some(0)));
}

#[test]
fn words_on_standard_input_reach_the_inbox_and_its_end_is_none_of_the_task() {
    let script = r#"cd "$AIRX_DIR"; until [ -e inbox/q-1.json ]; do sleep 0.02; done; cat inbox/q-1.json; ls -A inbox"#;
    let mut pod = Pod::start(&order(&shell(script)));
    pod.say(b"what is this\nput ../../escaped e30=\n");
    let long = format!("put long {}", "A".repeat(3 << 20));
    pod.say(long.as_bytes());
    pod.say(b"\n");
    pod.say(Word::Put("q-1.json".into(), b"{\"answer\":1}\n".to_vec()).line().as_bytes());
    let told = pod.finish();
    assert_eq!((told.text("out"), told.code), ("{\"answer\":1}\nq-1.json\n".into(), Some(0)));

    let pod = Pod::start(&order(&shell("sleep 1; echo over")));
    pod.hang_up();
    wait_for("the runner's own word", || pod.has("runner.json").then_some(()));
    let used = pod.cpu_ticks();
    let told = pod.finish();
    assert_eq!(told.text("out"), "over\n");
    assert!(used < 30, "{used} ticks: it looks again and again at an input that has ended");
}

#[test]
fn asked_to_end_it_has_last_words_and_told_to_insist_it_gives_no_grace() {
    let script = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done";
    for (signal, kill) in [(Some(Signal::TERM), false), (Some(Signal::INT), false), (Some(Signal::USR1), true), (None, true)] {
        let mut spec = shell(script);
        spec.grace_ms = 20_000;
        let mut pod = Pod::start(&order(&spec));
        wait_for("the task's first line", || (pod.text("out") == "up\n").then_some(()));
        match signal {
            Some(signal) => os::signal_pid(pod.id(), signal),
            None => pod.say(Word::Kill.line().as_bytes()),
        }
        let told = pod.finish();
        assert_eq!(told.record().stopped, Some(StopCause::Asked { kill }));
        assert_eq!((told.text("out").contains("bye"), told.names().last()), (!kill, Some(&"end")));
        assert_eq!(told.code, Some(if kill { 137 } else { 1 }));
    }
}

#[test]
fn a_reader_that_takes_nothing_keeps_neither_signals_nor_words_waiting_and_loses_nothing() {
    let mut spec =
        shell("trap 'echo bye; exit 0' TERM; seq 1 100000; until [ -e \"$AIRX_DIR/inbox/go\" ]; do sleep 0.05; done; kill $$");
    spec.grace_ms = 20_000;
    let mut pod = Pod::start(&order(&spec));
    let dir = pod.dir();
    let listening = pod.stop_listening();
    wait_for("the task's output", || (fs::metadata(dir.join("out")).ok()?.len() == 588_895).then_some(()));
    pod.say(Word::Put("go".into(), Vec::new()).line().as_bytes());
    wait_for("the word", || dir.join("inbox/go").exists().then_some(()));
    os::signal_pid(pod.id(), Signal::TERM);
    let is_over = || matches!(decode(&fs::read(dir.join("exit.json")).ok()?), ExitFile::Complete(_)).then_some(());
    wait_for("the runner's record", is_over);
    drop(listening);
    let told = pod.finish();
    assert_eq!((told.lost, told.names().last()), (0, Some(&"end")));
    assert!(told.text("out").ends_with("\n100000\nbye\n"));
}

#[test]
fn a_signal_that_comes_before_the_runner_can_listen_is_not_lost() {
    for _ in 0..5 {
        let mut spec = shell("trap 'exit 0' TERM; while :; do sleep 0.05; done");
        spec.grace_ms = 20_000;
        let pod = Pod::start(&order(&spec));
        wait_for("signals that are held", || pod.holds_signals().then_some(()));
        os::signal_pid(pod.id(), Signal::TERM);
        assert_eq!(pod.finish().record().stopped, Some(StopCause::Asked { kill: false }));
    }
}

#[test]
fn what_a_task_asks_for_comes_without_a_socket_at_once_and_once_more_at_the_end() {
    let script = r#""$AIRX_EXE" progress 1/2 half || exit 9
        "$AIRX_EXE" add --id later -- true || exit 9
        "$AIRX_EXE" add -- false || exit 9
        "$AIRX_EXE" result '{"n":1}' || exit 9
        "$AIRX_EXE" tasks job.1 && exit 9
        "$AIRX_EXE" add --job other -- true && exit 9
        until [ -e "$AIRX_DIR/inbox/go" ]; do sleep 0.02; done"#;
    let begun = Instant::now();
    let mut pod = Pod::start(&order(&shell(script)));
    let last = "outbox/000004-result#4.json";
    wait_for("all that was asked for", || pod.has(last).then_some(()));
    wait_for("the task to say no more", || pod.text("err").contains("own job").then_some(()));
    assert!(begun.elapsed() < Duration::from_secs(8), "something waited for the manager");
    pod.say(Word::Put("go".into(), Vec::new()).line().as_bytes());
    let told = pod.finish();
    assert_eq!((told.code, told.text("out")), (Some(0), String::new()));
    let err = told.text("err");
    let lines: Vec<&str> = err.lines().map(str::trim).collect();
    assert_eq!(lines[..2], ["queued (later)", "queued (#1)"], "{err}");
    assert!(lines[2].contains("the manager cannot be asked from here: this task runs apart from it"), "{err}");
    let item = |name: &str| serde_json::from_slice::<OutboxItem>(&told.files[name]).unwrap();
    assert_eq!(item(last).body, OutboxBody::Result(serde_json::json!({ "n": 1 })));
    assert!(matches!(item("outbox/000001-progress#1.json").body, OutboxBody::Progress(progress) if progress.done == 1));
    assert!(matches!(item("outbox/000002-later.json").body, OutboxBody::Add(_)));
    assert_eq!(item("outbox/000003-#1.json").key, "#1");
    let again: Vec<&str> = told.names().into_iter().rev().skip(2).take(4).collect();
    assert!(again.iter().all(|name| name.starts_with("outbox/")), "{again:?}");
    assert_eq!(told.names().iter().filter(|name| **name == last).count(), 2);
}

#[test]
fn a_result_of_a_file_and_artifacts_of_any_size_and_name_come_with_their_list() {
    let work = tempfile::tempdir().unwrap();
    fs::set_permissions(work.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let deep = format!("{}/{}", "d".repeat(200), "é".repeat(100));
    let script = format!(
        "mkdir -p out/sub out/{}; head -c 300000 /dev/urandom > out/sub/large; : > out/empty; echo deep > out/{deep}; echo 7 > answer",
        "d".repeat(200)
    );
    let mut spec = shell(&script);
    spec.cwd = work.path().to_owned();
    spec.result = Some(ResultSpec { kind: ResultKind::Text, file: Some("answer".into()), schema: None });
    let file = ArtifactSpec { path: "out".into(), name: None, missing: Missing::Fails };
    spec.artifacts = Some(Artifacts { files: vec![file], max_bytes: 1 << 20 });
    let told = run(&order(&spec));
    assert_eq!((told.code, told.text("result")), (Some(0), "7\n".into()), "{:?}", told.record());
    assert_eq!(told.files["artifacts/out/sub/large"], fs::read(work.path().join("out/sub/large")).unwrap());
    assert_eq!((told.text("artifacts/out/empty"), told.text(&format!("artifacts/out/{deep}"))), ("".into(), "deep\n".into()));
    let manifest = Manifest::read(&told.files["artifacts.json"]);
    assert_eq!(manifest.files.len(), 3);
    assert!(manifest.files.iter().all(|file| told.files[&format!("artifacts/{}", file.name)].len() as u64 == file.bytes));
    let at = |wanted: &str| told.names().iter().position(|name| *name == wanted).unwrap();
    assert!(at("result") < at("artifacts.json") && at("artifacts.json") < at("exit.json"));
    assert!(told.frames.iter().all(|frame| frame.content.len() <= 64 << 10));
}

#[test]
fn a_runner_that_is_killed_leaves_what_it_had_and_nobody_alive() {
    let mut spec = shell("echo before; setsid sh -c 'sleep 1000 & wait' & env -i setsid sleep 1000 & echo up >&2; wait");
    spec.timeout_ms = Some(60_000);
    let pod = Pod::start(&order(&spec));
    wait_for("the task's line", || (pod.text("err") == "up\n").then_some(()));
    let info: RunnerInfo = serde_json::from_str(&pod.text("runner.json")).unwrap();
    let below = os::proc::descendants(pod.id()).unwrap();
    assert!(below.len() >= 4, "{below:?}");
    os::signal_pid(info.pid, Signal::KILL);
    let told = pod.finish();
    assert_eq!((told.text("out"), told.code), ("before\n".into(), Some(1)));
    assert!(!told.files.contains_key("exit.json"));
    assert!(told.text("runner.log").contains("the runner was ended by signal 9"), "{}", told.text("runner.log"));
    assert!(told.stderr.starts_with("airx pod: the runner was ended by signal 9"), "{}", told.stderr);
    let alive = |pid: u32, ticks: u64| os::proc::process(pid).is_some_and(|p| p.start_ticks == ticks && !p.is_zombie());
    assert!(below.iter().all(|process| !alive(process.pid, process.start_ticks)));
    assert_eq!(survivors(&spec.mark), Vec::<u32>::new());
}

#[test]
fn much_output_is_complete_and_quick() {
    let begun = Instant::now();
    let told = run(&order(&shell("seq 1 750000")));
    let out = &told.files["out"];
    assert_eq!((out.len(), told.lost, told.code), (5_138_895, 0, Some(0)));
    assert!(out.ends_with(b"\n750000\n"));
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    let parts = told.frames.iter().filter(|frame| frame.name == "out" && frame.kind == Kind::Part);
    assert!(parts.clone().count() >= 79 && parts.clone().all(|frame| frame.content.len() <= 64 << 10));
}

#[test]
fn an_order_that_cannot_be_followed_is_told_in_a_line_and_runs_nothing() {
    let mut newer = order(&shell("touch \"$AIRX_DIR/ran\""));
    newer.version = 2;
    let told = run(&newer);
    assert_eq!(told.code, Some(113));
    assert_eq!(told.stderr, "airx pod: the manager speaks version 2 and this program 1: use an image of the manager's version\n");
    assert!(told.frames.is_empty() && !told.dir_exists);

    let place = Place::new();
    let mut command = place.command(&newer);
    command.env_clear();
    let told = Pod::of(command, place).finish();
    assert_eq!((told.code, told.stderr.lines().count()), (Some(113), 1));
    assert!(told.stderr.contains("there is no order"), "{}", told.stderr);

    let place = Place::new();
    fs::write(&place.dir, "in its place").unwrap();
    let told = Pod::of(place.command(&order(&shell("true"))), place).finish();
    assert_eq!((told.code, told.frames.len()), (Some(113), 0));
    assert!(told.stderr.contains("cannot be made ready"), "{}", told.stderr);
}

#[test]
fn a_container_that_is_started_again_tells_what_is_there_and_begins_nothing() {
    let order = order(&shell("echo once >> \"$AIRX_DIR/runs\"; echo hello; exit 5"));
    let place = Place::new();
    let (first, place) = Pod::of(place.command(&order), place).finish_keeping();
    assert_eq!((first.code, first.text("out")), (Some(5), "hello\n".into()));
    let (second, place) = Pod::of(place.command(&order), place).finish_keeping();
    assert_eq!((second.code, second.text("out"), second.record()), (Some(5), "hello\n".into(), first.record()));
    assert_eq!(second.names().last(), Some(&"end"));
    assert!(second.stderr.contains("was not begun twice"), "{}", second.stderr);

    // As a container that was killed leaves it: a lock that nobody holds, and no record.
    fs::remove_file(place.dir.join("exit.json")).unwrap();
    let (third, place) = Pod::of(place.command(&order), place).finish_keeping();
    assert_eq!((third.code, third.text("out")), (Some(1), "hello\n".into()));
    assert!(third.text("runner.log").contains("its task had begun before"), "{}", third.text("runner.log"));
    assert_eq!(fs::read_to_string(place.dir.join("runs")).unwrap(), "once\n");

    let lock = fs::File::open(place.dir.join("lock")).unwrap();
    assert!(os::try_lock(&lock).unwrap());
    let told = Pod::of(place.command(&order), place).finish();
    assert_eq!((told.code, told.frames.len()), (Some(1), 0), "it is another's to tell");
}

#[test]
fn a_directory_that_is_there_already_and_open_to_all_will_do() {
    let place = Place::new();
    fs::create_dir(&place.dir).unwrap();
    fs::set_permissions(&place.dir, fs::Permissions::from_mode(0o2777)).unwrap();
    let mut order = order(&shell("cat; ls -l \"$AIRX_DIR\" | grep -c '^[-d]rw[-x]------'"));
    order.spec.stdin = airx::model::attempt::Stdin::Prompt;
    order.prompt = Some("do it\n".into());
    let told = Pod::of(place.command(&order), place).finish();
    // spec.json, prompt, lock, outbox, inbox, and what the runner has made.
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    let out = told.text("out");
    assert!(out.starts_with("do it\n") && out.lines().nth(1).unwrap().parse::<u32>().unwrap() >= 7, "{out}");
}

#[test]
fn without_anybody_who_listens_the_task_goes_on_to_its_end() {
    let pod = Pod::start(&order(&shell("seq 1 100000; sleep 0.5; echo done; touch \"$AIRX_DIR/ran\"; exit 6")));
    let (told, place) = pod.deafen().finish_keeping();
    assert_eq!(told.code, Some(6));
    assert!(place.dir.join("ran").exists());
}

#[test]
fn as_the_first_process_of_a_namespace_it_takes_everything_with_it() {
    let Some(place) = Place::first_of_a_namespace() else {
        let required = std::env::var("AIRX_TEST_REQUIRE").unwrap_or_default();
        assert!(required != "all" || os::uid() != 0, "no pid namespace can be made here");
        eprintln!("left out: no pid namespace can be made here");
        return;
    };
    // An orphan that nobody marks; then the runner goes, and what it would have ended with it.
    let script = "(env -i setsid sleep 997 &) ; sleep 0.2; echo $PPID; sleep 0.4; kill -9 $PPID; sleep 996";
    let told = Pod::of(place.command(&order(&shell(script))), place).finish();
    assert_eq!((told.names().last(), told.code), (Some(&"end"), Some(1)), "{}", told.stderr);
    assert!(told.text("runner.log").contains("signal 9") && !told.text("out").is_empty());

    let place = Place::first_of_a_namespace().unwrap();
    let told = Pod::of(place.command(&order(&shell("[ -d /proc/1 ] && tr '\\0' ' ' < /proc/1/cmdline; exit 2"))), place).finish();
    assert!(told.code == Some(2) && told.text("out").starts_with(AIRX), "{} {}", told.text("out"), told.stderr);
}

#[test]
fn the_program_is_put_where_a_container_of_any_image_finds_it() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("bin");
    let place = |dir: &std::path::Path| std::process::Command::new(AIRX).arg("place").arg(dir).output().unwrap();
    assert!(place(&dir).status.success());
    let run = std::process::Command::new(dir.join("airx")).arg("--version").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&run.stdout), format!("airx {}\n", env!("CARGO_PKG_VERSION")));
    let refused = place(&dir.join("airx"));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && said.starts_with("airx place: the program cannot be put into "), "{said}");
}
