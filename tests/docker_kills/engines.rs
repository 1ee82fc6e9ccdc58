//! The engine is killed and comes back, while tasks run and while they are launched.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use airx::model::state::{Outcome, TaskState};

use super::bench::{Bench, Mode};
use super::docker::{self, Options, Private};
use super::proxy::{Proxy, When};

/// Tasks that wait for a file of their own, say that they end, and end.
fn waiting(count: u32) -> String {
    let task = |n| {
        format!(
            "  - id: t{n}\n    run: 'echo $AIRX_TASK >> ran; echo begun; touch runs-t{n}; until [ -e go-t{n} ]; do sleep 0.05; done; \
             echo end; touch done-t{n}'\n"
        )
    };
    format!("name: k\npool: box\nmax_parallel: {count}\ntasks:\n{}", (1..=count).map(task).collect::<String>())
}

/// Counts the containers that run, over and over.
struct Watch {
    most: Arc<AtomicUsize>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    fn of(socket: PathBuf) -> Watch {
        let (most, ends) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (seen, told) = (most.clone(), ends.clone());
        let thread = std::thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                if let Some(count) = running(&socket) {
                    seen.fetch_max(count, Ordering::Relaxed);
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Watch { most, ends, thread: Some(thread) }
    }

    fn most(mut self) -> usize {
        self.ends.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
        self.most.load(Ordering::Relaxed)
    }
}

fn running(socket: &Path) -> Option<usize> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.write_all(b"GET /containers/json HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let body = answer.split_once("\r\n\r\n")?.1;
    Some(serde_json::from_str::<serde_json::Value>(body).ok()?.as_array()?.len())
}

fn private(live_restore: bool) -> Option<Private> {
    docker::private(Options { live_restore, ..Options::default() })
}

/// The reason is told where one looks, and nothing is opened meanwhile.
fn until_held(bench: &Bench, job: &str, tasks: &[&str]) {
    bench.home.until("the engine's absence is told", || {
        let tells = |task: &&str| bench.listed(job, task).why.is_some_and(|why| why.starts_with("engine unreachable: unix:///"));
        bench.status().pools.iter().any(|pool| pool.name == "box" && pool.unreachable.is_some()) && tasks.iter().all(tells)
    });
    let shown = bench.home.ok(["tasks", job]);
    assert!(shown.contains("engine unreachable"), "{shown}");
}

fn until_back(bench: &Bench) {
    bench.home.until("the engine is back", || bench.status().pools.iter().all(|pool| pool.unreachable.is_none()));
}

/// Two of four tasks run. The engine is killed; one of them ends meanwhile.
fn killed_while_tasks_run(live_restore: bool, mode: Mode) {
    let Some(mut engine) = private(live_restore) else { return };
    let socket = engine.socket();
    let host = engine.host();
    let mut bench = Bench::new(&engine, &host, 2, mode, "");
    bench.home.start();
    let job = bench.home.submit(&waiting(4));
    let watch = Watch::of(socket);
    bench.home.until("two tasks run", || {
        let runs = |task| matches!(bench.listed(&job, task).state, TaskState::Running { .. });
        runs("t1") && runs("t2") && bench.file("runs-t1").exists() && bench.file("runs-t2").exists()
    });

    engine.kill();
    until_held(&bench, &job, &["t1", "t2", "t3", "t4"]);
    bench.touch("go-t1");
    bench.until_file("done-t1");
    assert_eq!(bench.slots_used(), 2, "what was opened keeps its slot");
    engine.start();
    until_back(&bench);
    for task in ["t2", "t3", "t4"] {
        bench.touch(&format!("go-{task}"));
    }
    assert_eq!(bench.home.until_over(&job), "completed", "{}", bench.home.manager_log());

    assert!(watch.most() <= 2, "more containers ran than the pool has slots");
    for task in ["t1", "t2", "t3", "t4"] {
        let address = format!("{job}/{task}");
        let attempts = bench.attempts(&address);
        let outcomes = bench.outcomes(&address);
        if live_restore || task != "t2" {
            assert_eq!(outcomes, ["succeeded"], "{address}: {}", bench.notes(&address));
        }
        assert_eq!(attempts.last().unwrap().outcome, Some(Outcome::Succeeded), "{outcomes:?}");
        if mode == Mode::Reduced && task == "t1" {
            // What is printed while there is no engine passes nobody, which is said.
            assert!(bench.notes(&address).contains("the engine was gone for a while"), "{}", bench.notes(&address));
        } else {
            bench.assert_out(&address, "begun\nend\n");
        }
        let ran = bench.content("ran").lines().filter(|line| *line == task).count();
        assert_eq!(ran, attempts.len(), "{address} ran once for each of its attempts: {outcomes:?}");
    }
    let ended = bench.outcomes(&format!("{job}/t2"));
    println!("{ended:?}");
    assert!(live_restore || ended[0].starts_with("crashed"), "what its engine did is no fault of the task's: {ended:?}");
    bench.until_nothing_is_left();
    bench.assert_replay();
}

#[test]
fn killed_while_tasks_run_that_survive_it() {
    killed_while_tasks_run(true, Mode::Runner);
}

#[test]
fn killed_while_tasks_run_that_survive_it_without_runner() {
    killed_while_tasks_run(true, Mode::Reduced);
}

#[test]
fn killed_while_tasks_run_that_end_with_it() {
    killed_while_tasks_run(false, Mode::Runner);
}

#[test]
fn killed_while_tasks_run_that_end_with_it_without_runner() {
    killed_while_tasks_run(false, Mode::Reduced);
}

/// Killed when a request of a launch is there; the manager lives on.
fn killed_while_launched(live_restore: bool, points: &[(Mode, When, &str, &str)]) {
    let Some(mut engine) = private(live_restore) else { return };
    let handle = engine.handle();
    for (mode, when, method, part) in points {
        println!("{mode:?} {when:?} {method} {part}");
        let proxy = Proxy::before(&handle.socket());
        let mut bench = Bench::new(&handle, &proxy.host(), 1, *mode, "");
        let halt = proxy.stop_at(*when, method, part);
        bench.home.start();
        let job = bench.home.submit(&waiting(2));
        halt.reached();
        engine.kill();
        halt.drop_it();
        until_held(&bench, &job, &["t2"]);
        let watch = Watch::of(handle.socket());
        engine.start();
        until_back(&bench);
        bench.touch("go-t1");
        bench.touch("go-t2");
        let over = bench.home.until_over(&job);
        assert_eq!(over, "completed", "{:?}", ["t1", "t2"].map(|task| bench.outcomes(&format!("{job}/{task}"))));
        assert!(watch.most() <= 1);
        for task in ["t1", "t2"] {
            let address = format!("{job}/{task}");
            let outcomes = bench.outcomes(&address);
            println!("{address}: {outcomes:?} {}", bench.notes(&address));
            assert_eq!(outcomes.last().map(String::as_str), Some("succeeded"));
            bench.assert_out(&address, "begun\nend\n");
            // One that was started may be ended by the engine's return before it got to say so.
            let ran = bench.content("ran").lines().filter(|line| *line == task).count();
            assert!((1..=outcomes.len()).contains(&ran), "{address} ran {ran} times: {outcomes:?}");
        }
        bench.until_nothing_is_left();
        bench.assert_replay();
    }
}

const POINTS: [(Mode, When, &str, &str); 4] = [
    (Mode::Runner, When::After, "POST", "/containers/create"),
    (Mode::Runner, When::After, "POST", "/attach"),
    (Mode::Runner, When::After, "POST", "/start"),
    (Mode::Reduced, When::After, "POST", "/start"),
];

#[test]
fn killed_while_a_task_is_launched() {
    killed_while_launched(false, &POINTS);
}

#[test]
fn killed_while_a_task_is_launched_that_may_survive_it() {
    killed_while_launched(true, &POINTS);
}
