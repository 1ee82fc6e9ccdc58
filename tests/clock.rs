//! The manager's thread over a clock that steps: the real store, the real backend and real runners, and a wall clock that
//! the test sets.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test says so by a panic")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use airx::backend::process::{ProcessBackend, Settings as BackendSettings};
use airx::claude::cli::Cli;
use airx::manager::engine::{Engine, Mailbox, Parts};
use airx::manager::handle::{ClientMessage, Handle};
use airx::manager::launch::{Composer, MakeClaude, Surroundings};
use airx::manager::ports::{Clock, Reader};
use airx::manager::token::Identity;
use airx::model::ids::JobRef;
use airx::model::jobfile::{ParseOptions, parse};
use airx::model::message::{Answer, Command, Done, Query, TaskView};
use airx::model::settings::{PoolBackend, PoolSettings, Settings};
use airx::model::spec::Resources;
use airx::model::state::{Hold, TaskState};
use airx::model::time::{Now, Utc};
use airx::store::{SqliteStore, StoreReader, verify};

/// The machine's monotonic clock, and its wall clock moved by so many milliseconds.
#[derive(Clone, Default)]
struct Stepped(Arc<AtomicI64>);

impl Clock for Stepped {
    fn now(&self) -> Now {
        let now = airx::os::now();
        Now { utc: Utc(now.utc.0 + self.0.load(Ordering::SeqCst)), mono: now.mono }
    }
}

struct Manager {
    home: tempfile::TempDir,
    clock: Stepped,
    handle: Handle,
    reader: StoreReader,
    thread: Option<JoinHandle<()>>,
    freed: Arc<AtomicU32>,
}

impl Manager {
    fn start() -> Manager {
        let home = tempfile::tempdir().unwrap();
        let database = home.path().join("airx.db");
        let store = SqliteStore::open(&database, [9; 36]).unwrap();
        let settings = Settings {
            poll_interval_ms: 50,
            pools: BTreeMap::from([(
                "local".to_owned(),
                PoolSettings { slots: 4, resources: Resources::default(), backend: PoolBackend::Process },
            )]),
            min_free_bytes: 0,
            ..Settings::default()
        };
        let mailbox = Mailbox::default();
        let make_claude: MakeClaude = Arc::new(|_| Arc::new(Cli::new("claude", "sonnet")));
        let exe = Some(env!("CARGO_BIN_EXE_airx").into());
        let results = home.path().join("results");
        let backend = BackendSettings { exe, results };
        let backend = ProcessBackend::start(backend, mailbox.sink(), make_claude(&settings)).unwrap();
        let identity = Identity { home: store.identity().home.clone(), secret: store.identity().secret.clone() };
        let surroundings = Surroundings {
            home: home.path().to_owned(),
            identity,
            environment: BTreeMap::new(),
            task_socket: home.path().join("task.sock"),
            own_directory: None,
            is_root: false,
            open: airx::os::open_regular,
        };
        let clock = Stepped::default();
        let freed = Arc::new(AtomicU32::new(0));
        let counted = freed.clone();
        let parts = Parts {
            store,
            backend: Box::new(backend),
            composer: Composer::new(surroundings, &settings, make_claude),
            clock: Box::new(clock.clone()),
            settings,
            free_bytes: Box::new(|| None),
            on_trouble: Box::new(|_| {}),
            on_poll: Box::new(|| {}),
            on_freed: Box::new(move || {
                counted.fetch_add(1, Ordering::SeqCst);
            }),
        };
        let engine = Engine::begin(parts, mailbox).unwrap();
        let handle = engine.handle();
        let thread = Some(std::thread::spawn(move || engine.run().unwrap()));
        let reader = StoreReader::new(home.path(), &database);
        Manager { home, clock, handle, reader, thread, freed }
    }

    fn step_hours(&self, hours: i64) {
        self.clock.0.fetch_add(hours * 3_600_000, Ordering::SeqCst);
    }

    fn ask(&self, command: Command) -> Done {
        let (sender, answer) = sync_channel(1);
        self.handle.send(ClientMessage::Command { command, reply: Box::new(move |done| drop(sender.send(done))) });
        answer.recv_timeout(Duration::from_secs(30)).unwrap().unwrap()
    }

    fn submit(&self, text: &str) -> JobRef {
        let none = BTreeMap::new();
        let options = ParseOptions {
            file: "job.yaml",
            base: Path::new("/"),
            params: &[],
            environment: &none,
            pools: None,
            claude_passed: &none,
            read_file: &|_| Err(String::new()),
        };
        let submission = Box::new(parse(text, &options).unwrap().submission);
        let Done::Submitted { job, .. } = self.ask(Command::Submit { submission, key: None }) else { panic!("not submitted") };
        JobRef { name: job.name, number: Some(job.number) }
    }

    fn task(&self, job: &JobRef) -> TaskView {
        let query = Query::Tasks { job: job.clone(), from: 0, limit: 10, kinds: Vec::new() };
        let Answer::Tasks(tasks) = self.reader.query(&query).unwrap().body else { panic!("no tasks") };
        tasks.into_iter().next().unwrap()
    }

    fn until(&self, what: &str, condition: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !condition() {
            assert!(Instant::now() < deadline, "waited too long until {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        self.handle.send(ClientMessage::Command { command: Command::Stop, reply: Box::new(|_| {}) });
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        assert_eq!(verify::replay(&self.home.path().join("airx.db")), Vec::<String>::new());
    }
}

fn held_until(task: &TaskView) -> Option<Utc> {
    match task.state {
        TaskState::Held { hold: Hold::Retry { at, .. } } => Some(at),
        _ => None,
    }
}

/// Fails at first, succeeds once the file is there.
fn retried(manager: &Manager, delay: &str) -> JobRef {
    let mark = manager.home.path().join("again");
    manager.submit(&format!(
        "name: stepped\ntasks:\n  - id: a\n    run: 'test -e {0} || {{ touch {0}; exit 1; }}'\n    retry: {{ attempts: 2, delay: {delay}, jitter: 0 }}\n",
        mark.display()
    ))
}

#[test]
fn a_retry_runs_when_the_clock_was_set_past_it() {
    let manager = Manager::start();
    let job = retried(&manager, "2h");
    manager.until("the task is held", || held_until(&manager.task(&job)).is_some());
    manager.step_hours(3);
    manager.until("the retry has run", || manager.task(&job).state == TaskState::Completed);
    assert_eq!(manager.task(&job).attempts, 2);
}

#[test]
fn a_clock_that_is_set_back_makes_a_retry_wait_no_longer_than_its_delay() {
    let manager = Manager::start();
    let job = retried(&manager, "1s");
    manager.until("the task is held", || held_until(&manager.task(&job)).is_some());
    // By the new clock its time is a day away: it waits for its delay, no more.
    manager.step_hours(-24);
    manager.until("the retry has run", || manager.task(&job).state == TaskState::Completed);
}

#[test]
fn a_timeout_does_not_follow_the_wall_clock() {
    let manager = Manager::start();
    let go = manager.home.path().join("go");
    let job = manager.submit(&format!(
        "name: timed\ntasks:\n  - {{ id: a, timeout: 1h, run: 'until [ -e {} ]; do sleep 0.02; done' }}\n",
        go.display()
    ));
    manager.until("the task runs", || matches!(manager.task(&job).state, TaskState::Running { .. }));
    for hours in [5, -48, 200] {
        manager.step_hours(hours);
        // A full comparison with reality on the new clock: a command's answer, then some polls.
        manager.ask(Command::Resume { job: None });
        assert!(matches!(manager.task(&job).state, TaskState::Running { .. }), "after {hours} hours");
    }
    std::fs::write(go, "").unwrap();
    manager.until("the task is over", || manager.task(&job).state == TaskState::Completed);
    assert_eq!(manager.task(&job).attempts, 1);
}

#[test]
fn jobs_that_are_over_leave_memory_soon_and_that_is_told() {
    let manager = Manager::start();
    let job = manager.submit("name: short\ntasks:\n  - { id: a, command: /bin/true }\n");
    manager.until("the task is over", || manager.task(&job).state == TaskState::Completed);
    manager.until("memory was given back", || manager.freed.load(Ordering::SeqCst) > 0);
}
