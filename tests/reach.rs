//! The manager's thread over a backend whose engine goes and comes back.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test says so by a panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use airx::claude::cli::Cli;
use airx::manager::Message;
use airx::manager::engine::{Engine, Mailbox, Parts, Trouble};
use airx::manager::handle::ClientMessage;
use airx::manager::launch::{Composer, MakeClaude, Surroundings};
use airx::manager::ports::{Backend, Clock, LaunchOrder};
use airx::manager::token::Identity;
use airx::model::docker::{DEFAULT_ENGINE, DockerSettings};
use airx::model::ids::AttemptId;
use airx::model::jobfile::{ParseOptions, parse};
use airx::model::message::Command;
use airx::model::report::Report;
use airx::model::settings::{PoolBackend, PoolSettings, Settings};
use airx::model::spec::Resources;
use airx::model::time::Now;
use airx::store::SqliteStore;

/// What the backend was asked.
#[derive(Debug, PartialEq)]
enum Asked {
    Launch(AttemptId),
    Inspect(Vec<AttemptId>),
}

/// Tells what it is asked, and answers nothing.
struct Silent(Sender<Asked>);

impl Backend for Silent {
    fn launch(&mut self, order: LaunchOrder) {
        self.0.send(Asked::Launch(order.attempt)).unwrap();
    }
    fn stop(&mut self, _: AttemptId, _: bool) {}
    fn inspect(&mut self, attempts: Vec<(AttemptId, PathBuf)>, _: &BTreeSet<String>) {
        self.0.send(Asked::Inspect(attempts.into_iter().map(|(attempt, _)| attempt).collect())).unwrap();
    }
    fn intake(&mut self, _: AttemptId, _: u32) {}
    fn put(&mut self, _: AttemptId, _: String, _: Vec<u8>) {}
    fn forget(&mut self, _: AttemptId) {}
}

struct Real;

impl Clock for Real {
    fn now(&self) -> Now {
        airx::os::now()
    }
}

const PATIENCE: Duration = Duration::from_secs(30);

fn settings() -> Settings {
    let backend = PoolBackend::Docker(Arc::new(DockerSettings::of("image")));
    let far = PoolSettings { slots: 1, resources: Resources::default(), backend };
    let mut settings = Settings { poll_interval_ms: 60_000, min_free_bytes: 0, ..Settings::default() };
    settings.pools.insert("far".to_owned(), far);
    settings
}

fn submission(text: &str) -> Command {
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
    Command::Submit { submission: Box::new(parse(text, &options).unwrap().submission), key: None }
}

/// What it is asked next; that it shall look for what is left, when nothing lives, aside.
fn next(asked: &Receiver<Asked>) -> Asked {
    loop {
        match asked.recv_timeout(PATIENCE).unwrap() {
            Asked::Inspect(attempts) if attempts.is_empty() => {}
            asked => return asked,
        }
    }
}

#[test]
fn an_engine_that_is_gone_holds_its_pool_is_told_and_its_return_is_looked_at_at_once() {
    let home = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&home.path().join("airx.db"), [9; 36]).unwrap();
    let identity = Identity { home: store.identity().home.clone(), secret: store.identity().secret.clone() };
    let make_claude: MakeClaude = Arc::new(|_| Arc::new(Cli::new("claude", "sonnet")));
    let surroundings = Surroundings {
        home: home.path().to_owned(),
        identity,
        environment: BTreeMap::new(),
        task_socket: home.path().join("task.sock"),
        own_directory: None,
        is_root: false,
        open: airx::os::open_regular,
    };
    let mailbox = Mailbox::default();
    let (sink, sender) = (mailbox.sink(), mailbox.sender());
    let (told, asked) = channel();
    let troubles: Arc<Mutex<Vec<Trouble>>> = Arc::default();
    let heard = troubles.clone();
    let parts = Parts {
        store,
        backend: Box::new(Silent(told)),
        composer: Composer::new(surroundings, &settings(), make_claude),
        clock: Box::new(Real),
        settings: settings(),
        free_bytes: Box::new(|| None),
        on_trouble: Box::new(move |trouble| heard.lock().unwrap().push(trouble)),
        on_poll: Box::new(|| {}),
        on_freed: Box::new(|| {}),
    };
    let engine = Engine::begin(parts, mailbox).unwrap();
    let handle = engine.handle();
    let thread = std::thread::spawn(move || engine.run().unwrap());
    let submit = |text: &str| {
        let (sender, answer) = sync_channel(1);
        let reply = Box::new(move |done| drop(sender.send(done)));
        handle.send(ClientMessage::Command { command: submission(text), reply });
        answer.recv_timeout(PATIENCE).unwrap().unwrap();
    };
    let engine_is = |trouble: Option<&str>| {
        sink(Report::Engine { host: DEFAULT_ENGINE.to_owned(), trouble: trouble.map(str::to_owned) });
    };

    submit("name: a\npool: far\ntasks: [{ id: a, run: a }]\n");
    let Asked::Launch(first) = next(&asked) else { panic!("not launched") };
    engine_is(Some("no such socket"));
    submit("name: b\npool: far\ntasks: [{ id: b, run: b }]\n");
    submit("name: c\ntasks: [{ id: c, run: c }]\n");
    let Asked::Launch(local) = next(&asked) else { panic!("not launched") };
    assert_eq!((first.job.0, local.job.0), (1, 3), "the other pool goes on");
    let unreachable = troubles.lock().unwrap().last().unwrap().unreachable();
    assert_eq!(unreachable, BTreeMap::from([("far".to_owned(), "no such socket".to_owned())]));

    // Another configuration, with more room there: as long as the engine is gone that changes nothing.
    let mut more = settings();
    more.pools.get_mut("far").unwrap().slots = 2;
    sender.send(Message::Configure(Box::new(more))).unwrap();
    submit("name: d\ntasks: [{ id: d, run: d }]\n");
    assert!(matches!(next(&asked), Asked::Launch(attempt) if attempt.job.0 == 4));

    // Long before the next poll.
    engine_is(None);
    let asked: Vec<Asked> = vec![next(&asked), next(&asked)];
    assert!(matches!(&asked[0], Asked::Inspect(all) if all.contains(&first) && all.contains(&local)), "{asked:?}");
    assert!(matches!(&asked[1], Asked::Launch(attempt) if attempt.job.0 == 2), "{asked:?}");
    assert!(troubles.lock().unwrap().last().unwrap().engines.is_empty());
    sender.send(Message::Leave).unwrap();
    thread.join().unwrap();
}
